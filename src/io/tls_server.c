/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files are watched by what stat() says of them, which follows links: where a directory of
 * certificates is exchanged as a whole, by a link that is turned to another one, no event of the
 * files themselves would tell. A pair is written in two steps as a rule, so one that does not fit
 * together is looked at again when either file changes.
 */

#include <pthread.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/tls_contexts.h"

/* What a file was when it was looked at; all zero when it could not be. */
struct mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct tls_server {
    pthread_mutex_t lock; /* of `current` */
    struct tls_contexts *current;
    struct arena arena; /* of the settings */
    char *name;
    struct tls_server_settings settings;
    struct tls_tickets *tickets;
    struct mark *marks; /* of the files in the order of file_at() */
    char *trouble;
};

static unsigned n_files(const struct tls_server_settings *settings)
{
    return 2 * settings->n_pairs + (settings->client_ca ? 1 : 0) + (settings->client_crl ? 1 : 0);
}

static const char *file_at(const struct tls_server_settings *settings, unsigned i)
{
    if (i >= 2 * settings->n_pairs)
        return i == 2 * settings->n_pairs ? settings->client_ca : settings->client_crl;
    const struct tls_pair *pair = &settings->pairs[i / 2];
    return i % 2 ? pair->key : pair->certificate;
}

static struct mark mark_of(const char *file)
{
    struct mark mark;
    struct stat status;
    memset(&mark, 0, sizeof(mark)); /* marks are compared with their padding */
    if (stat(file, &status))
        return mark;
    mark.device = status.st_dev;
    mark.inode = status.st_ino;
    mark.size = status.st_size;
    mark.modified = status.st_mtim;
    mark.changed = status.st_ctim;
    return mark;
}

/* Notes how the files are now; whether that is another way than before. */
static bool look(struct tls_server *server)
{
    bool is_other = false;
    for (unsigned i = 0; i < n_files(&server->settings); i++) {
        struct mark mark = mark_of(file_at(&server->settings, i));
        if (memcmp(&mark, &server->marks[i], sizeof(mark)) == 0)
            continue;
        server->marks[i] = mark;
        is_other = true;
    }
    return is_other;
}

static void keep_settings(struct tls_server *server, const struct tls_server_settings *settings)
{
    struct arena *arena = &server->arena;
    struct tls_pair *pairs = arena_new_array(arena, struct tls_pair, settings->n_pairs);
    for (unsigned i = 0; i < settings->n_pairs; i++) {
        pairs[i].certificate = arena_strdup(arena, settings->pairs[i].certificate);
        pairs[i].key = arena_strdup(arena, settings->pairs[i].key);
    }
    server->settings = *settings;
    server->settings.pairs = pairs;
    if (settings->client_ca)
        server->settings.client_ca = arena_strdup(arena, settings->client_ca);
    if (settings->client_crl)
        server->settings.client_crl = arena_strdup(arena, settings->client_crl);
    server->marks = arena_new_array(arena, struct mark, n_files(settings));
}

int tls_server_new(const char *name, const struct tls_server_settings *settings,
                   struct tls_tickets *tickets, struct tls_server **ret_server,
                   struct problem *problem)
{
    struct tls_server *server = mem_new(struct tls_server);
    pthread_mutex_init(&server->lock, NULL);
    server->name = arena_strdup(&server->arena, name);
    server->tickets = tls_tickets_ref(tickets);
    keep_settings(server, settings);
    look(server); /* before reading: what changes meanwhile is seen later */
    int r = tls_contexts_new(name, &server->settings, tickets, 0, &server->current, problem);
    if (r) {
        tls_server_free(server);
        return r;
    }
    *ret_server = server;
    return 0;
}

struct tls_server *tls_server_free(struct tls_server *server)
{
    if (!server)
        return NULL;
    tls_contexts_unref(server->current);
    tls_tickets_unref(server->tickets);
    pthread_mutex_destroy(&server->lock);
    free(server->trouble);
    struct arena arena = server->arena;
    arena_fini(&arena);
    free(server);
    return NULL;
}

static void serve_by(struct tls_server *server, struct tls_contexts *contexts)
{
    pthread_mutex_lock(&server->lock);
    struct tls_contexts *before = server->current;
    server->current = contexts;
    pthread_mutex_unlock(&server->lock);
    tls_contexts_unref(before);
}

static void set_trouble(struct tls_server *server, const char *text)
{
    free(server->trouble);
    server->trouble = text ? mem_strdup(text) : NULL;
}

int tls_server_refresh(struct tls_server *server, unix_msec now, struct problem *problem)
{
    struct tls_contexts *contexts = NULL;
    struct problem found = { 0 };
    if (!look(server))
        return TLS_SAME;
    int r =
        tls_contexts_new(server->name, &server->settings, server->tickets, now, &contexts, &found);
    if (r) {
        set_trouble(server, found.text);
        if (problem)
            *problem = found;
        return r;
    }
    serve_by(server, contexts);
    set_trouble(server, NULL);
    return 0;
}

void tls_server_take(struct tls_server *server, struct tls_server *other)
{
    serve_by(server, steal(other->current));
    struct arena arena = server->arena;
    server->arena = other->arena;
    server->settings = other->settings;
    server->name = other->name;
    server->marks = other->marks;
    other->arena = arena;
    set_trouble(server, NULL);
    tls_server_free(other);
}

const char *tls_server_trouble(const struct tls_server *server)
{
    return server->trouble;
}

unix_msec tls_server_expires(const struct tls_server *server)
{
    return server->current->expires;
}

struct tls_stream *tls_stream_accept(struct tls_server *server, int fd, struct tls_scratch *scratch)
{
    pthread_mutex_lock(&server->lock);
    struct tls_contexts *contexts = tls_contexts_ref(server->current);
    pthread_mutex_unlock(&server->lock);
    struct tls_stream *stream = tls_stream_new(fd, scratch);
    stream->is_server = true;
    stream->contexts = contexts;
    return stream;
}

bool tls_server_begin(struct tls_stream *stream)
{
    SSL *ssl = SSL_new(stream->contexts->contexts[0]);
    if (ssl)
        SSL_set_accept_state(ssl);
    tls_stream_attach(stream, ssl);
    return !stream->is_broken;
}
