/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading a registration: what Consul takes is taken, with the limits and the texts that it has.
 * Fields that are not known, and nulls, are passed over, as clients of many years send them.
 */

#include <stdio.h>

#include "codec/http1.h"
#include "codec/timefmt.h"
#include "faces/consul/service.h"

#define TAGS_MAX 256u
#define TAG_MAX 1024u
#define META_MAX 64u
#define META_KEY_MAX 128u
#define META_VALUE_MAX 512u
#define REGISTRATION_CHECKS_MAX 16u
#define TAGGED_MAX 16u
#define TEXT_MAX 1024u
#define OUTPUT_MAX 4096u /* what is behind is left out */
#define WEIGHT_MAX 65535
#define INTERVAL_MIN NSEC_PER_SEC
#define TIMEOUT_DEFAULT (10 * NSEC_PER_SEC)
#define DEREGISTER_MIN (60 * NSEC_PER_SEC)
#define TIMES_MAX 100

json_t *consul_member(json_t *body, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach(body, key, value)
    {
        if (strcasecmp(key, name) == 0 && !json_is_null(value))
            return value;
    }
    return NULL;
}

/* A name as it is written in Go, or with underscores. */
static json_t *member_of(json_t *body, const char *name, const char *other)
{
    json_t *value = consul_member(body, name);
    return value ? value : consul_member(body, other);
}

bool consul_read_duration(json_t *value, nsec *ret_duration)
{
    const char *text = json_string_value(value);
    if (!value || (text && text[0] == '\0'))
        return true;
    if (text)
        return duration_parse(span_of(text), ret_duration) == 0;
    double number = json_number_value(value);
    if (!json_is_number(value) || number < 0 || number > 1e18)
        return false;
    *ret_duration = (nsec)number;
    return true;
}

int consul_read_text(struct consul_call *call, json_t *body, const char *name, char **ret_text)
{
    json_t *value = consul_member(body, name);
    if (!value)
        return 0;
    if (!json_is_string(value) || json_string_length(value) > TEXT_MAX)
        return consul_deny(call, 400, "%s is no text of at most %u bytes", name, TEXT_MAX);
    *ret_text = arena_strdup(&call->arena, json_string_value(value));
    return 0;
}

int consul_read_output(struct consul_call *call, json_t *body, char **ret_text)
{
    json_t *value = consul_member(body, "Output");
    if (!value)
        return 0;
    if (!json_is_string(value))
        return consul_deny(call, 400, "Output is no text");
    *ret_text = consul_cut_output(&call->arena, span_of(json_string_value(value)));
    return 0;
}

char *consul_cut_output(struct arena *arena, struct span text)
{
    size_t size = text.size < OUTPUT_MAX ? text.size : OUTPUT_MAX;
    while (size < text.size && size > 0 && ((unsigned char)text.data[size] & 0xC0) == 0x80)
        size--; /* not within a letter */
    return arena_format(arena, "%.*s", SPAN_ARG(span_first(text, size)));
}

static int read_number(struct consul_call *call, json_t *body, const char *name, unsigned max,
                       uint32_t *ret_number)
{
    json_t *value = consul_member(body, name);
    if (!value)
        return 0;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > max)
        return consul_deny(call, 400, "%s is no number from 0 to %u", name, max);
    *ret_number = (uint32_t)number;
    return 0;
}

static int read_time(struct consul_call *call, json_t *body, const char *name, const char *other,
                     uint64_t *ret_time)
{
    nsec time = *ret_time;
    if (!consul_read_duration(member_of(body, name, other), &time))
        return consul_deny(call, 400, "%s: invalid duration; \"10s\" is one", name);
    *ret_time = time;
    return 0;
}

/* --- checks --- */

static int read_kind(struct consul_call *call, json_t *body, Consul__CheckRecord *check)
{
    static const struct {
        const char *name;
        enum check_kind kind;
    } kinds[] = { { "HTTP", CHECK_HTTP },
                  { "TCP", CHECK_TCP },
                  { "GRPC", CHECK_GRPC },
                  { "AliasService", CHECK_ALIAS } };
    static const char *const refused[] = {
        "Args", "ScriptArgs", "script_args", "Script", "Shell", "DockerContainerID",
        "UDP",  "H2PING",     "OSService",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        json_t *value = consul_member(body, refused[i]);
        if (value && !(json_is_string(value) && json_string_length(value) == 0)) {
            return consul_deny(call, 400,
                               "checks by %s are not made here; TTL, HTTP, TCP, GRPC and "
                               "AliasService are",
                               refused[i]);
        }
    }
    int r = read_time(call, body, "TTL", "ttl", &check->ttl);
    check->kind = CHECK_TTL;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !r; i++) {
        char *target = NULL;
        r = consul_read_text(call, body, kinds[i].name, &target);
        if (!r && target && target[0]) {
            check->kind = kinds[i].kind;
            check->target = target;
        }
    }
    if (!r)
        r = consul_read_text(call, body, "AliasNode", &check->alias_node);
    if (!r && check->kind == CHECK_TTL && check->alias_node[0])
        check->kind = CHECK_ALIAS;
    if (!r && check->kind == CHECK_TTL && !check->ttl)
        r = consul_deny(call, 400, "Invalid check: TTL must be > 0 for TTL checks");
    return r;
}

static int read_limits(struct consul_call *call, json_t *body, Consul__CheckRecord *check)
{
    uint32_t failures = 0, passes = 0, warnings = 0;
    bool is_asked = check->kind != CHECK_TTL && check->kind != CHECK_ALIAS;
    check->timeout = TIMEOUT_DEFAULT;
    int r = read_time(call, body, "Interval", "interval", &check->interval);
    if (!r)
        r = read_time(call, body, "Timeout", "timeout", &check->timeout);
    if (!r)
        r = read_time(call, body, "DeregisterCriticalServiceAfter",
                      "deregister_critical_service_after", &check->deregister_after);
    if (!r)
        r = read_number(call, body, "FailuresBeforeCritical", TIMES_MAX, &failures);
    if (!r)
        r = read_number(call, body, "FailuresBeforeWarning", TIMES_MAX, &warnings);
    if (!r && warnings && failures && warnings > failures)
        r = consul_deny(call, 400,
                        "FailuresBeforeWarning can't be higher than FailuresBeforeCritical");
    if (!r)
        r = read_number(call, body, "SuccessBeforePassing", TIMES_MAX, &passes);
    if (!r && is_asked && !check->interval) {
        r = consul_deny(call, 400,
                        "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, "
                        "TCP, UDP or OSService checks");
    }
    if (is_asked && check->interval < INTERVAL_MIN)
        check->interval = INTERVAL_MIN;
    if (check->deregister_after && check->deregister_after < DEREGISTER_MIN)
        check->deregister_after = DEREGISTER_MIN;
    if (!check->timeout)
        check->timeout = TIMEOUT_DEFAULT;
    check->failures = failures + 1; /* Consul counts those that are let pass */
    check->passes = passes + 1;
    check->warnings = warnings ? warnings + 1 : 0;
    return r;
}

/* One field for each of its values; "Host" is who is asked for. */
static int read_header(struct consul_call *call, const char *name, json_t *values,
                       struct buf *lines, Consul__CheckRecord *check)
{
    for (size_t i = 0; i < json_array_size(values); i++) {
        const char *value = json_string_value(json_array_get(values, i));
        if (!value || !http_is_token(span_of(name)) || !http_is_field_value(span_of(value)))
            return consul_deny(call, 400, "Header.%.80s is no list of texts that can be sent",
                               name);
        if (strcasecmp(name, "Host") == 0)
            check->host = arena_strdup(&call->arena, value);
        else
            buf_printf(lines, "%s: %s\r\n", name, value);
    }
    return json_is_array(values)
               ? 0
               : consul_deny(call, 400, "Header.%.80s is no list of texts that can be sent", name);
}

static int read_headers(struct consul_call *call, json_t *body, Consul__CheckRecord *check)
{
    CLEANUP(buf_fini) struct buf lines = { 0 };
    json_t *header = consul_member(body, "Header"), *values;
    const char *name;
    int r = 0;
    if (header && !json_is_object(header))
        return consul_deny(call, 400, "Header is no object of lists of texts");
    json_object_foreach(header, name, values)
    {
        if (!r)
            r = read_header(call, name, values, &lines, check);
    }
    if (lines.size)
        check->headers = arena_format(&call->arena, "%.*s", SPAN_ARG(buf_span(&lines)));
    return r;
}

/* What is sent, and how TLS is spoken. */
static int read_request(struct consul_call *call, json_t *body, Consul__CheckRecord *check)
{
    int r = consul_read_text(call, body, "Method", &check->method);
    if (!r)
        r = read_headers(call, body, check);
    if (!r)
        r = consul_read_text(call, body, "Body", &check->body);
    if (!r)
        r = consul_read_text(call, body, "TLSServerName", &check->server_name);
    const char *use = check->kind == CHECK_TCP ? "TCPUseTLS" : "GRPCUseTLS";
    const char *other = check->kind == CHECK_TCP ? "tcp_use_tls" : "grpc_use_tls";
    check->is_tls = json_is_true(member_of(body, use, other));
    check->is_unverified = json_is_true(member_of(body, "TLSSkipVerify", "tls_skip_verify"));
    return r;
}

int consul_read_status(struct consul_call *call, json_t *body, Consul__CheckRecord *check)
{
    char *status = NULL;
    int r = consul_read_text(call, body, "Status", &status);
    if (r || !status || !status[0])
        return r;
    for (unsigned i = CHECK_CRITICAL; i <= CHECK_PASSING; i++) {
        if (strcmp(status, check_status_word(i)) == 0) {
            check->status = i;
            return 0;
        }
    }
    return consul_deny(call, 400, "Invalid check status: \"%s\"; passing, warning and critical are",
                       status);
}

int consul_read_check(struct consul_call *call, json_t *body, Consul__CheckRecord **ret_check)
{
    Consul__CheckRecord *check = arena_new(&call->arena, Consul__CheckRecord);
    consul__check_record__init(check);
    *ret_check = check;
    if (!json_is_object(body))
        return consul_deny(call, 400, "Invalid check: it is no JSON object");
    int r = read_kind(call, body, check);
    if (!r)
        r = read_limits(call, body, check);
    if (!r)
        r = consul_read_status(call, body, check);
    if (!r)
        r = consul_read_text(call, body, "CheckID", &check->id);
    if (!r && !check->id[0])
        r = consul_read_text(call, body, "ID", &check->id);
    if (!r)
        r = consul_read_text(call, body, "Name", &check->name);
    if (!r)
        r = consul_read_text(call, body, "Notes", &check->notes);
    return r ? r : read_request(call, body, check);
}

/* "Check" comes first, then "Checks"; those without an id are numbered by their place among all. */
static int read_checks(struct consul_call *call, json_t *body, Consul__ServiceRecord *record,
                       const char *id)
{
    json_t *one = consul_member(body, "Check"), *list = consul_member(body, "Checks");
    size_t n_one = one ? 1 : 0, n = n_one + json_array_size(list);
    if (list && !json_is_array(list))
        return consul_deny(call, 400, "Checks is no list");
    if (n > REGISTRATION_CHECKS_MAX)
        return consul_deny(call, 400, "there are %zu checks; up to %u are accepted", n,
                           REGISTRATION_CHECKS_MAX);
    record->checks = arena_new_array(&call->arena, Consul__CheckRecord *, n + 1);
    for (size_t i = 0; i < n; i++) {
        Consul__CheckRecord *check = NULL;
        json_t *source = i < n_one ? one : json_array_get(list, i - n_one);
        int r = consul_read_check(call, source, &check);
        if (r)
            return r;
        if (!check->id[0] && n == 1)
            check->id = arena_format(&call->arena, "service:%s", id);
        else if (!check->id[0])
            check->id = arena_format(&call->arena, "service:%s:%zu", id, i + 1);
        if (!check->name[0])
            check->name = arena_format(&call->arena, "Service '%s' check", record->name);
        record->checks[record->n_checks++] = check;
    }
    return 0;
}

/* --- what it says of itself --- */

static int read_tags(struct consul_call *call, json_t *body, Consul__ServiceRecord *record)
{
    json_t *list = consul_member(body, "Tags");
    size_t n = json_array_size(list);
    if (list && (!json_is_array(list) || n > TAGS_MAX))
        return consul_deny(call, 400, "Tags is no list of at most %u texts", TAGS_MAX);
    record->tags = arena_new_array(&call->arena, char *, n + 1);
    for (size_t i = 0; i < n; i++) {
        json_t *tag = json_array_get(list, i);
        if (!json_is_string(tag) || json_string_length(tag) > TAG_MAX)
            return consul_deny(call, 400, "Tags has one that is no text of at most %u bytes",
                               TAG_MAX);
        record->tags[record->n_tags++] = arena_strdup(&call->arena, json_string_value(tag));
    }
    return 0;
}

static bool is_meta_key(const char *key)
{
    size_t size = strlen(key);
    for (size_t i = 0; i < size; i++) {
        bool is_letter = (key[i] >= 'a' && key[i] <= 'z') || (key[i] >= 'A' && key[i] <= 'Z');
        if (!is_letter && !(key[i] >= '0' && key[i] <= '9') && key[i] != '-' && key[i] != '_')
            return false;
    }
    return size > 0 && size <= META_KEY_MAX && strncmp(key, "consul-", 7) != 0;
}

int consul_read_meta(struct consul_call *call, json_t *body, const char *name,
                     Consul__ServiceRecord *record)
{
    json_t *meta = consul_member(body, name), *value;
    const char *key;
    size_t n = json_object_size(meta);
    if (meta && (!json_is_object(meta) || n > META_MAX)) {
        return consul_deny(call, 400,
                           "Invalid Service %s: Node metadata cannot contain more than %u key "
                           "pairs",
                           name, META_MAX);
    }
    record->meta = arena_new_array(&call->arena, Consul__MetaRecord *, n + 1);
    json_object_foreach(meta, key, value)
    {
        const char *text = json_is_null(value) ? "" : json_string_value(value);
        if (!is_meta_key(key))
            return consul_deny(call, 400, "Invalid Service %s: key '%.80s' is not accepted", name,
                               key);
        if (!text || strlen(text) > META_VALUE_MAX) {
            return consul_deny(call, 400,
                               "Invalid Service %s: the value of '%s' is no text of at most %u "
                               "bytes",
                               name, key, META_VALUE_MAX);
        }
        Consul__MetaRecord *pair = arena_new(&call->arena, Consul__MetaRecord);
        consul__meta_record__init(pair);
        pair->key = arena_strdup(&call->arena, key);
        pair->value = arena_strdup(&call->arena, text);
        record->meta[record->n_meta++] = pair;
    }
    return 0;
}

static int read_tagged(struct consul_call *call, json_t *body, Consul__ServiceRecord *record)
{
    json_t *tagged = member_of(body, "TaggedAddresses", "tagged_addresses"), *value;
    const char *key;
    size_t n = json_object_size(tagged);
    if (tagged && (!json_is_object(tagged) || n > TAGGED_MAX))
        return consul_deny(call, 400, "TaggedAddresses has more than %u", TAGGED_MAX);
    record->tagged = arena_new_array(&call->arena, Consul__AddressRecord *, n + 1);
    json_object_foreach(tagged, key, value)
    {
        Consul__AddressRecord *address = arena_new(&call->arena, Consul__AddressRecord);
        consul__address_record__init(address);
        if (!json_is_object(value))
            return consul_deny(call, 400, "TaggedAddresses.%.80s is no object", key);
        address->name = arena_strdup(&call->arena, key);
        int r = consul_read_text(call, value, "Address", &address->address);
        if (!r)
            r = read_number(call, value, "Port", UINT16_MAX, &address->port);
        if (r)
            return r;
        record->tagged[record->n_tagged++] = address;
    }
    return 0;
}

static int read_weights(struct consul_call *call, json_t *body, Consul__ServiceRecord *record)
{
    json_t *weights = consul_member(body, "Weights");
    record->weight_passing = record->weight_warning = 1;
    if (!weights)
        return 0;
    int r = read_number(call, weights, "Passing", WEIGHT_MAX, &record->weight_passing);
    if (!r)
        r = read_number(call, weights, "Warning", WEIGHT_MAX, &record->weight_warning);
    return r;
}

static int read_address(struct consul_call *call, json_t *body, Consul__ServiceRecord *record)
{
    int r = consul_read_text(call, body, "Address", &record->address);
    if (!r)
        r = read_number(call, body, "Port", UINT16_MAX, &record->port);
    if (!r && (strcmp(record->address, "0.0.0.0") == 0 || strcmp(record->address, "::") == 0 ||
               strcmp(record->address, "[::]") == 0))
        r = consul_deny(call, 400, "Invalid service address: %s says nothing of where it is",
                        record->address);
    return r;
}

int consul_read_service(struct consul_call *call, json_t *body, const char *name,
                        Consul__ServiceRecord *record)
{
    int r = consul_read_text(call, body, name, &record->name);
    if (!r && !record->name[0])
        r = consul_deny(call, 400, "Missing service name");
    if (!r)
        r = read_address(call, body, record);
    if (!r)
        r = read_tags(call, body, record);
    if (!r)
        r = consul_read_meta(call, body, "Meta", record);
    if (!r)
        r = read_tagged(call, body, record);
    if (!r)
        r = read_weights(call, body, record);
    record->enables_tag_override =
        json_is_true(member_of(body, "EnableTagOverride", "enable_tag_override"));
    return r;
}

int consul_read_registration(struct consul_call *call, json_t *body,
                             Consul__ServiceRecord **ret_record)
{
    Consul__ServiceRecord *record = arena_new(&call->arena, Consul__ServiceRecord);
    char *id = NULL;
    consul__service_record__init(record);
    *ret_record = record;
    if (!json_is_object(body))
        return consul_deny(call, 400, "Request decode failed: the body is no JSON object");
    int r = consul_read_service(call, body, "Name", record);
    if (!r)
        r = consul_read_text(call, body, "ID", &id);
    if (!r && record->weight_passing < 1)
        r = consul_deny(call, 400, "Invalid Weights: Passing must be greater than 0");
    if (r)
        return r;
    call->tail = span_of(id && id[0] ? id : record->name);
    return read_checks(call, body, record, call->tail.data);
}
