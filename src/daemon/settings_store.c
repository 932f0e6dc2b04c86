/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings_store.h"

#include <fcntl.h>

#include "base/buf.h"
#include "io/file.h"
#include "io/resolver.h"
#include "io/socket.h"

#define PREFIX_MAX 255u
#define PASSWORD_FILE_MAX 4096u

static const struct span https = SPAN("https://"), http = SPAN("http://");

/* What is behind the scheme. */
static struct span place_of(struct span endpoint)
{
    if (span_starts_with(endpoint, https))
        return span_from(endpoint, https.size);
    return span_starts_with(endpoint, http) ? span_from(endpoint, http.size) : endpoint;
}

static bool endpoint_is_valid(struct span endpoint)
{
    struct span place = place_of(endpoint), port = place;
    struct address address;
    uint64_t number;
    if (!address_parse(place, &address))
        return address.any.sa_family != AF_UNIX;
    span_cut(&port, ':');
    return resolver_accepts(place) && span_to_uint(port, UINT16_MAX, &number) && number;
}

bool settings_endpoints_are_valid(struct span list)
{
    do {
        if (!endpoint_is_valid(span_trim(span_cut(&list, ','))))
            return false;
    } while (list.data);
    return true;
}

static bool prefix_is_valid(struct span prefix)
{
    for (size_t i = 0; i < prefix.size; i++) {
        if (prefix.data[i] <= ' ' || prefix.data[i] > '~')
            return false;
    }
    return prefix.size <= PREFIX_MAX && span_ends_with(prefix, SPAN("/"));
}

static int refuse(struct problem *problem, const char *key, const char *text)
{
    problem_set(problem, key, "%s", text);
    return SETTINGS_INVALID;
}

/* One scheme for all of them: who meant TLS must not be sent on without it. */
static bool schemes_agree(struct span list)
{
    bool is_secure = span_starts_with(span_trim(list), https);
    while (list.data) {
        if (span_starts_with(span_trim(span_cut(&list, ',')), https) != is_secure)
            return false;
    }
    return true;
}

static bool has_scheme(struct span list, struct span scheme)
{
    while (list.data) {
        if (span_starts_with(span_trim(span_cut(&list, ',')), scheme))
            return true;
    }
    return false;
}

static bool names_tls(const struct settings_etcd *etcd)
{
    return etcd->tls.ca || etcd->tls.server_name || etcd->tls.certificate;
}

int settings_check_store(const struct settings *settings, struct problem *problem)
{
    const struct settings_etcd *etcd = &settings->etcd;
    if (!prefix_is_valid(span_of(etcd->prefix))) {
        problem_set(problem, "store.etcd.prefix",
                    "is \"%.64s\"; visible ASCII of at most %u characters with \"/\" at its end is "
                    "accepted",
                    etcd->prefix, PREFIX_MAX);
        return SETTINGS_INVALID;
    }
    if (!etcd->tls.certificate != !etcd->tls.key) {
        return refuse(problem, etcd->tls.key ? "store.etcd.tls.certificate" : "store.etcd.tls.key",
                      "is missing; a certificate is shown with its key");
    }
    if (!etcd->user != !etcd->password_file) {
        return refuse(problem, etcd->user ? "store.etcd.password_file" : "store.etcd.user",
                      "is missing; who signs in has a name and a password");
    }
    struct span list = span_of(etcd->endpoints);
    if (!etcd->endpoints && (names_tls(etcd) || etcd->user)) {
        return refuse(problem, "store.etcd.endpoints",
                      "is missing; the rest of store.etcd says how these are spoken to");
    }
    if (!schemes_agree(list) || (names_tls(etcd) && has_scheme(list, http))) {
        return refuse(problem, "store.etcd.endpoints",
                      "has endpoints with TLS and without; https:// before all of them, or "
                      "before none, is accepted");
    }
    return 0;
}

/* --- what the store takes --- */

static int read_password(const char *path, struct arena *arena, const char **ret_password,
                         struct problem *problem)
{
    CLEANUP(buf_fini) struct buf bytes = { .limit = PASSWORD_FILE_MAX };
    struct stat status;
    if (stat(path, &status) == 0 && (status.st_mode & 077)) {
        problem_set(problem, "store.etcd.password_file",
                    "is %s, which others can read (mode %04o); chmod 600 it", path,
                    status.st_mode & 07777);
        return SETTINGS_INVALID;
    }
    int r = file_read(AT_FDCWD, path, &bytes);
    struct span rest = buf_span(&bytes), line = span_cut(&rest, '\n');
    line = span_first(line, line.size - span_ends_with(line, SPAN("\r")));
    if (r || !line.size) {
        problem_set(problem, "store.etcd.password_file", "is %s, which %s", path,
                    r < 0              ? strerror(-r)
                    : r == FILE_ABSENT ? "is not there"
                    : r                ? "is larger than 4 KiB"
                                       : "has no password in its first line");
        return SETTINGS_INVALID;
    }
    *ret_password = arena_span_dup(arena, line).data;
    explicit_bzero(bytes.data, bytes.size);
    return 0;
}

static void split(struct span list, struct arena *arena, struct store_etcd_settings *etcd)
{
    unsigned n = 1;
    for (size_t i = 0; i < list.size; i++)
        n += list.data[i] == ',';
    const char **endpoints = arena_new_array(arena, const char *, n);
    for (etcd->n_endpoints = 0; list.data; etcd->n_endpoints++) {
        struct span place = place_of(span_trim(span_cut(&list, ',')));
        endpoints[etcd->n_endpoints] = arena_span_dup(arena, place).data;
    }
    etcd->endpoints = endpoints;
}

int settings_read_etcd(const struct settings_etcd *settings, struct arena *arena,
                       struct store_etcd_settings *ret_etcd, struct problem *problem)
{
    struct store_etcd_settings etcd = { .prefix = settings->prefix, .user = settings->user };
    split(span_of(settings->endpoints), arena, &etcd);
    if (settings->user) {
        int r = read_password(settings->password_file, arena, &etcd.password, problem);
        if (r)
            return r;
    }
    if (names_tls(settings) || has_scheme(span_of(settings->endpoints), https)) {
        struct tls_client *tls;
        int r = tls_client_new(&settings->tls, &tls, problem);
        if (r)
            return r > 0 ? SETTINGS_INVALID : err_trace(r);
        etcd.tls = tls;
    }
    *ret_etcd = etcd;
    return 0;
}

bool settings_text_equals(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool settings_etcd_equals(const struct settings_etcd *a, const struct settings_etcd *b)
{
    return settings_text_equals(a->endpoints, b->endpoints) &&
           settings_text_equals(a->prefix, b->prefix) &&
           settings_text_equals(a->tls.ca, b->tls.ca) &&
           settings_text_equals(a->tls.server_name, b->tls.server_name) &&
           settings_text_equals(a->tls.certificate, b->tls.certificate) &&
           settings_text_equals(a->tls.key, b->tls.key) && settings_text_equals(a->user, b->user) &&
           settings_text_equals(a->password_file, b->password_file);
}
