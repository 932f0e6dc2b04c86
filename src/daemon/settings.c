/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/settings.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <yaml.h>

#include "base/mem.h"
#include "codec/origin.h"
#include "codec/timefmt.h"
#include "daemon/settings_listeners.h"
#include "daemon/settings_routes.h"
#include "daemon/settings_rules.h"
#include "daemon/settings_store.h"
#include "daemon/settings_table.h"
#include "daemon/settings_yaml.h"
#include "io/file.h"
#include "io/network.h"

#define SETTINGS_FILE_MAX ((size_t)4 * 1024 * 1024)
#define FILE_PATIENCE (10 * NSEC_PER_SEC) /* as long as a member may be silent before it is gone */

/* --- values --- */

/* One reading of a document. */
struct reader {
    struct settings *settings;
    yaml_document_t document;
    struct problem *problem;
    bool is_given[SETTINGS_MAX], has_routes;
    size_t listener_lines[GATEWAY_LISTENERS_MAX];
    size_t api_line; /* of api.listen, 0 where it is not given */
};

/* Position of the word in "a, b, c", or -1. */
static int choice_of(const char *choices, struct span word)
{
    struct span rest = span_of(choices);
    for (int i = 0; rest.data; i++) {
        if (span_equals(span_trim(span_cut(&rest, ',')), word))
            return i;
    }
    return -1;
}

static bool set_choice(void *at, const struct setting *setting, struct span text)
{
    int choice = choice_of(setting->accepts, text);
    if (choice < 0)
        return false;
    if (setting->at == offsetof(struct settings, log_level))
        *(enum log_level *)at = (enum log_level)choice;
    else if (setting->at == offsetof(struct settings, sandbox))
        *(enum sandbox_mode *)at = (enum sandbox_mode)choice;
    else
        *(bool *)at = choice != 0;
    return true;
}

/* "4096", "32KiB", "1MiB", "2GiB". */
static bool read_size(struct span text, uint64_t *ret_size)
{
    static const struct span units[] = { SPAN("KiB"), SPAN("MiB"), SPAN("GiB") };
    unsigned bits = 0;
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]) && !bits; i++) {
        if (!span_ends_with(text, units[i]))
            continue;
        text = span_first(text, text.size - units[i].size);
        bits = 10 * (i + 1);
    }
    uint64_t count;
    if (!span_to_uint(text, UINT64_MAX >> bits, &count))
        return false;
    *ret_size = count << bits;
    return true;
}

static bool set_size(uint64_t *at, const struct setting *setting, struct span text)
{
    uint64_t size;
    if (!read_size(text, &size) || size > setting->max)
        return false;
    if (size < setting->min && (size || strcmp(setting->standard, "0") != 0))
        return false;
    *at = size;
    return true;
}

static bool set_number(void *at, const struct setting *setting, struct span text)
{
    if (setting->kind == KIND_COUNT) {
        uint64_t count;
        if (!span_to_uint(text, setting->max, &count) || count < setting->min)
            return false;
        *(unsigned *)at = (unsigned)count;
        return true;
    }
    nsec duration;
    if (duration_parse(text, &duration) || duration < setting->min || duration > setting->max)
        return false;
    *(nsec *)at = duration;
    return true;
}

static bool set_bool(bool *at, struct span text)
{
    if (!span_is(text, "true") && !span_is(text, "false"))
        return false;
    *at = span_is(text, "true");
    return true;
}

static bool add_listener(struct settings *settings, const struct setting *setting, struct span text)
{
    struct gateway_settings *gateway = &settings->gateway;
    struct gateway_listener listener = { .is_internal = setting->at };
    if (gateway->n_listeners == GATEWAY_LISTENERS_MAX || address_parse(text, &listener.address))
        return false;
    listener.text = arena_span_dup(&settings->arena, text).data;
    gateway->listeners[gateway->n_listeners++] = listener;
    return true;
}

/* An address with what else is said of it. */
static int read_listener(struct reader *reader, const struct setting *setting,
                         const yaml_node_t *node)
{
    struct gateway_settings *gateway = &reader->settings->gateway;
    struct gateway_listener listener = { .is_internal = setting->at };
    if (gateway->n_listeners == GATEWAY_LISTENERS_MAX)
        return settings_refuse(reader->problem, yaml_line(node), setting->key, SPAN("longer"),
                               "16 listeners at most");
    int r = settings_read_listener(reader->settings, &reader->document, node, &listener,
                                   reader->problem);
    if (r)
        return r;
    reader->listener_lines[gateway->n_listeners] = yaml_line(node);
    gateway->listeners[gateway->n_listeners++] = listener;
    return 0;
}

/* A file is written with a slash, so that a word that is none of ours does not become one. */
static bool set_access(struct settings *settings, struct gateway_access *at, struct span text)
{
    static const struct span syslog = SPAN("syslog:");
    struct gateway_access access = { .kind = ACCESS_OFF };
    if (span_is(text, "syslog"))
        text = SPAN("syslog:unix:/dev/log");
    if (span_starts_with(text, syslog)) {
        access.kind = ACCESS_SYSLOG;
        if (address_parse(span_from(text, syslog.size), &access.address))
            return false;
    } else if (span_is(text, "stdout")) {
        access.kind = ACCESS_STDOUT;
    } else if (!span_is(text, "off")) {
        access.kind = ACCESS_FILE;
        access.path = arena_span_dup(&settings->arena, text).data;
        if (span_find(text, '/') == text.size)
            return false;
    }
    *at = access;
    return true;
}

static bool set_text(struct settings *settings, const char **at, struct span text)
{
    *at = arena_span_dup(&settings->arena, text).data;
    return true;
}

/* One more of them. */
static bool add_endpoints(struct settings *settings, const char **at, struct span text)
{
    if (!settings_endpoints_are_valid(text))
        return false;
    *at = *at ? arena_format(&settings->arena, "%s,%.*s", *at, SPAN_ARG(text))
              : arena_span_dup(&settings->arena, text).data;
    return true;
}

static bool set_value(struct settings *settings, const struct setting *setting, struct span text)
{
    void *at = (char *)settings + setting->at;
    struct address address;
    switch (setting->kind) {
    case KIND_TEXT: return text.size && set_text(settings, at, text);
    case KIND_BOOL: return set_bool(at, text);
    case KIND_COUNT:
    case KIND_DURATION: return set_number(at, setting, text);
    case KIND_SIZE: return set_size(at, setting, text);
    case KIND_CHOICE: return set_choice(at, setting, text);
    case KIND_ADDRESS: return !address_parse(text, &address) && set_text(settings, at, text);
    case KIND_NETWORKS: return networks_are_valid(text) && set_text(settings, at, text);
    case KIND_ORIGINS: return origins_are_valid(text) && set_text(settings, at, text);
    case KIND_ACCESS: return set_access(settings, at, text);
    case KIND_ENDPOINTS: return add_endpoints(settings, at, text);
    case KIND_LISTENERS: return add_listener(settings, setting, text);
    case KIND_RULES: return true; /* none */
    }
    return false;
}

static void set_standards(struct reader *reader)
{
    for (size_t i = 0; i < settings_n; i++) {
        if (!reader->is_given[i])
            set_value(reader->settings, &settings_table[i], span_of(settings_table[i].standard));
    }
}

/* --- the document --- */

static int read_leaf(struct reader *reader, const struct setting *setting, const yaml_node_t *node)
{
    if (node->type == YAML_MAPPING_NODE && setting->kind == KIND_LISTENERS)
        return read_listener(reader, setting, node);
    if (node->type != YAML_SCALAR_NODE)
        return settings_refuse(reader->problem, yaml_line(node), setting->key, yaml_found(node),
                               setting->accepts);
    uint64_t count;
    if (setting->kind == KIND_DURATION && span_to_uint(yaml_text(node), UINT64_MAX, &count) &&
        count) {
        CLEANUP(mem_freep)
        char *accepts = mem_format("the unit is missing, as in 30s; %s", setting->accepts);
        return settings_refuse(reader->problem, yaml_line(node), setting->key, yaml_text(node),
                               accepts);
    }
    if (yaml_has_nul(node) || !set_value(reader->settings, setting, yaml_text(node)))
        return settings_refuse(reader->problem, yaml_line(node), setting->key, yaml_text(node),
                               setting->accepts);
    if (setting->kind == KIND_LISTENERS)
        reader->listener_lines[reader->settings->gateway.n_listeners - 1] = yaml_line(node);
    if (setting->at == offsetof(struct settings, api_listen))
        reader->api_line = yaml_line(node);
    return 0;
}

static int read_setting(struct reader *reader, const struct setting *setting, yaml_node_t *node)
{
    if (setting->kind == KIND_RULES)
        return settings_read_rules(reader->settings, &reader->document, node, reader->problem);
    bool is_list = setting->kind == KIND_LISTENERS || setting->kind == KIND_ENDPOINTS;
    if (!is_list || node->type != YAML_SEQUENCE_NODE)
        return read_leaf(reader, setting, node);

    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        int r = read_leaf(reader, setting, yaml_document_get_node(&reader->document, *item));
        if (r)
            return r;
    }
    return 0;
}

/* --- sections --- */

/* The first table row below the section, as "gateway.", or NULL: then no such section exists. */
static const struct setting *section_find(const char *prefix)
{
    for (size_t i = 0; i < settings_n; i++) {
        if (strncmp(settings_table[i].key, prefix, strlen(prefix)) == 0)
            return &settings_table[i];
    }
    return NULL;
}

/* How many letters must be put in, left out or replaced to make one of the other; texts of up to
 * SETTINGS_KEY_MAX bytes. */
static unsigned edit_distance(struct span a, struct span b)
{
    unsigned row[SETTINGS_KEY_MAX + 1];
    for (unsigned j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 0; i < a.size; i++) {
        unsigned diagonal = row[0]++;
        for (size_t j = 0; j < b.size; j++) {
            unsigned replaced = diagonal + (a.data[i] != b.data[j]);
            unsigned shorter = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            diagonal = row[j + 1];
            row[j + 1] = replaced < shorter ? replaced : shorter;
        }
    }
    return row[b.size];
}

/* The key or section that was most likely meant, or SPAN_NULL. Also found when only its place is
 * wrong: "window" for "retire.window". */
static struct span nearest_key(struct span key)
{
    struct span nearest = SPAN_NULL;
    unsigned best = key.size > 3 ? 3 : key.size;
    for (size_t i = 0; i < settings_n && key.size < SETTINGS_KEY_MAX; i++) {
        struct span whole = span_of(settings_table[i].key);
        struct span part = span_first(whole, span_find(whole, '.'));
        size_t dot = whole.size;
        while (dot > 0 && whole.data[dot - 1] != '.')
            dot--;
        unsigned far = edit_distance(key, whole), part_far = edit_distance(key, part);
        if (dot > 0 && span_equals(key, span_from(whole, dot)))
            far = 0;
        if (far < best)
            nearest = whole;
        else if (part_far < best)
            nearest = part;
        best = far < best ? far : best;
        best = part_far < best ? part_far : best;
    }
    return nearest;
}

/* The keys and sections right below a section. */
static void name_keys(const char *section, struct buf *text)
{
    struct span last = SPAN_NULL;
    for (size_t i = 0; i < settings_n; i++) {
        if (strncmp(settings_table[i].key, section, strlen(section)) != 0)
            continue;
        struct span rest = span_of(settings_table[i].key + strlen(section)),
                    name = span_cut(&rest, '.');
        if (!span_equals(name, last))
            buf_printf(text, "%s%.*s", text->size ? ", " : "", SPAN_ARG(name));
        last = name;
    }
    if (!section[0])
        buf_puts(text, ", routes");
}

static int refuse_key(struct reader *reader, size_t line, const char *section, const char *key)
{
    CLEANUP(buf_fini) struct buf known = { 0 };
    name_keys(section, &known);
    struct span meant = nearest_key(span_of(key));
    if (meant.size) {
        problem_set(reader->problem, key, "is not known; did you mean %.*s? Accepted are %.*s",
                    SPAN_ARG(meant), SPAN_ARG(buf_span(&known)));
    } else {
        problem_set(reader->problem, key, "is not known; accepted are %.*s",
                    SPAN_ARG(buf_span(&known)));
    }
    if (reader->problem)
        reader->problem->line = (unsigned)line;
    return SETTINGS_INVALID;
}

static int read_section(struct reader *reader, const char *section, yaml_node_t *map);

static int read_pair(struct reader *reader, const char *section, const yaml_node_t *key_node,
                     yaml_node_t *value)
{
    char key[SETTINGS_KEY_MAX], below[SETTINGS_KEY_MAX];
    int size = snprintf(key, sizeof(key), "%s%.*s", section, SPAN_ARG(yaml_text(key_node)));
    if (size >= (int)sizeof(key) - 1)
        return refuse_key(reader, yaml_line(key_node), section, "a key");
    if (strcmp(key, "routes") == 0) {
        if (reader->has_routes)
            return settings_refuse_twice(reader->problem, yaml_line(key_node), key);
        reader->has_routes = true;
        return settings_read_routes(reader->settings, &reader->document, value, reader->problem);
    }

    for (size_t i = 0; i < settings_n; i++) {
        if (strcmp(settings_table[i].key, key) != 0)
            continue;
        if (reader->is_given[i])
            return settings_refuse_twice(reader->problem, yaml_line(key_node), key);
        reader->is_given[i] = true;
        return read_setting(reader, &settings_table[i], value);
    }
    snprintf(below, sizeof(below), "%.126s.", key);
    if (section_find(below))
        return read_section(reader, below, value);
    return refuse_key(reader, yaml_line(key_node), section, key);
}

static int read_section(struct reader *reader, const char *section, yaml_node_t *map)
{
    if (map->type != YAML_MAPPING_NODE) {
        char name[SETTINGS_KEY_MAX];
        struct span key = span_of(section);
        snprintf(name, sizeof(name), "%.*s", SPAN_ARG(span_first(key, key.size - (key.size > 0))));
        return settings_refuse(reader->problem, yaml_line(map), section[0] ? name : "the file",
                               yaml_found(map), "a section of keys and values");
    }

    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top;
         pair++) {
        int r = read_pair(reader, section, yaml_document_get_node(&reader->document, pair->key),
                          yaml_document_get_node(&reader->document, pair->value));
        if (r)
            return r;
    }
    return 0;
}

static int refuse_yaml(struct reader *reader, size_t line, const char *why)
{
    problem_set(reader->problem, "the file", "is no YAML: %s", why);
    if (reader->problem)
        reader->problem->line = (unsigned)line + 1;
    return SETTINGS_INVALID;
}

/* What comes after the first document would be settings that nobody reads. */
static int check_end(struct reader *reader, yaml_parser_t *parser)
{
    yaml_document_t document;
    if (!yaml_parser_load(parser, &document))
        return refuse_yaml(reader, parser->problem_mark.line,
                           parser->problem ? parser->problem : "unreadable");
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    int r = root ? settings_refuse(reader->problem, yaml_line(root), "the file",
                                   SPAN("several documents"), "one document")
                 : 0;
    yaml_document_delete(&document);
    return r;
}

static int read_document(struct reader *reader, struct span bytes)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        mem_exhausted(0);
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes.data, bytes.size);

    int r;
    if (!yaml_parser_load(&parser, &reader->document)) {
        r = refuse_yaml(reader, parser.problem_mark.line,
                        parser.problem ? parser.problem : "unreadable");
    } else {
        yaml_node_t *root = yaml_document_get_root_node(&reader->document);
        r = root ? read_section(reader, "", root) : 0;
        if (root && !r)
            r = check_end(reader, &parser);
        yaml_document_delete(&reader->document);
    }
    yaml_parser_delete(&parser);
    return r;
}

/* An internal listener believes what it is told, so only this machine may reach it by default. */
static int check_trust(const struct reader *reader)
{
    const struct gateway_settings *gateway = &reader->settings->gateway;
    for (unsigned i = 0; i < gateway->n_listeners; i++) {
        const struct gateway_listener *listener = &gateway->listeners[i];
        if (!listener->is_internal || reader->settings->trust_network ||
            address_is_loopback(&listener->address))
            continue;
        problem_set(reader->problem, "gateway.internal",
                    "is \"%s\", and whoever reaches it may name any customer; a loopback address "
                    "or unix:PATH is accepted, others with gateway.trust_network: true",
                    listener->text);
        if (reader->problem)
            reader->problem->line = (unsigned)reader->listener_lines[i];
        return SETTINGS_INVALID;
    }
    return 0;
}

/* The unix socket that every installation has, for callers on the same machine. */
/* Whoever reaches the API may try tokens, and whoever is in between may read one. */
static int check_api(const struct reader *reader)
{
    const struct settings *settings = reader->settings;
    const struct tls_pair *tls = &settings->api_tls;
    struct address address;
    if (!tls->certificate != !tls->key) {
        problem_set(reader->problem, tls->key ? "api.tls.certificate" : "api.tls.key",
                    "is missing; TLS needs a certificate and its key");
        return SETTINGS_INVALID;
    }
    if (tls->certificate || address_parse(span_of(settings->api_listen), &address) ||
        address_is_loopback(&address))
        return 0;
    return settings_refuse(reader->problem, reader->api_line, "api.listen",
                           span_of(settings->api_listen),
                           "a loopback address (with api.tls also one that other hosts reach)");
}

static int add_gateway_socket(struct settings *settings, struct problem *problem)
{
    static const struct setting internal = { .at = 1 };
    char *text = arena_format(&settings->arena, "unix:%s/gateway.sock", settings->data);
    for (unsigned i = 0; i < settings->gateway.n_listeners; i++) {
        if (strcmp(settings->gateway.listeners[i].text, text) == 0)
            return 0;
    }
    if (!add_listener(settings, &internal, span_of(text)))
        return settings_refuse(problem, 0, "data", span_of(settings->data),
                               "a path short enough for a socket in it (107 bytes)");
    return 0;
}

int settings_parse(struct span yaml, const char *data, struct settings **ret_settings,
                   struct problem *problem)
{
    CLEANUP(settings_freep) struct settings *settings = mem_new(struct settings);
    struct reader reader = { .settings = settings, .problem = problem };
    int r = yaml.size ? read_document(&reader, yaml) : 0;
    if (r)
        return r;
    set_standards(&reader);
    r = check_trust(&reader);
    if (!r)
        r = check_api(&reader);
    if (!r)
        r = settings_check_store(settings, problem);
    if (r)
        return r;
    if (data)
        settings->data = arena_strdup(&settings->arena, data);
    r = add_gateway_socket(settings, problem);
    if (r)
        return r;
    settings->gateway.blobs = arena_format(&settings->arena, "%s/blobs", settings->data);
    settings->gateway.file_patience = settings->etcd.endpoints ? FILE_PATIENCE : 0;
    *ret_settings = steal(settings);
    return 0;
}

int settings_load(const char *file, const char *data, struct settings **ret_settings,
                  struct problem *problem)
{
    if (!file)
        return settings_parse(SPAN_NULL, data, ret_settings, problem);

    CLEANUP(buf_fini) struct buf bytes = { .limit = SETTINGS_FILE_MAX };
    int r = file_read(AT_FDCWD, file, &bytes);
    if (r == FILE_ABSENT)
        return SETTINGS_ABSENT;
    if (r == FILE_TOO_LARGE)
        return settings_refuse(problem, 0, "the file", SPAN("larger"), "4 MiB at most");
    if (r)
        return err_trace(r);
    return settings_parse(buf_span(&bytes), data, ret_settings, problem);
}

struct settings *settings_free(struct settings *settings)
{
    if (!settings)
        return NULL;

    struct arena arena = settings->arena;
    arena_fini(&arena);
    free(settings);
    return NULL;
}
