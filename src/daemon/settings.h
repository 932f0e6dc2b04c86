#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The config file: one YAML document, held whole to one table of settings. The table also makes
 * the defaults, `sarsen config reference` and the JSON Schema of `sarsen config schema`.
 *
 * A file that names an unknown key, gives one twice, or a value out of its range is refused with
 * the line, what was found and what is accepted; nothing of it is used.
 *
 * Owns:     everything in a struct settings lives in its arena. Threads: any.
 */

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/log.h"
#include "daemon/sandbox.h"
#include "faces/consul/rule.h"
#include "gateway/settings.h"
#include "io/tls.h"

/* The etcd of a cluster; see settings_store.h for what is made of it. */
struct settings_etcd {
    char *endpoints; /* with commas between them; NULL: everything is kept in the data directory */
    char *prefix;
    struct tls_client_settings tls;
    char *user, *password_file; /* NULL: none */
};

struct settings {
    struct arena arena;
    char *data;                /* directory */
    char *user, *group;        /* of the server; NULL: who starts it */
    enum sandbox_mode sandbox; /* of the server */
    enum log_level log_level;
    bool log_is_json;
    struct settings_etcd etcd;
    char *api_listen;        /* "127.0.0.1:7000" */
    struct tls_pair api_tls; /* its certificate and key; NULL: in plain text */
    char *api_hosts;         /* names with commas between them */
    bool auth_required;
    char *consul_listen;     /* NULL: nobody is served as by Consul */
    bool consul_is_optional; /* where its port is taken, it is left out */
    char *health_networks;   /* networks with commas between them */
    bool trust_network; /* whoever reaches an internal listener is believed, from other hosts too */
    struct consul_rules rules; /* of registrations */
    nsec retire_window;
    nsec usage_keep;  /* of the hourly rows */
    nsec drain_grace; /* how long requests under way may take at shutdown */
    uint64_t memory;  /* watermarks are shares of it; 0 = what the machine gives */
    struct gateway_settings gateway;
    struct gateway_route *routes;
};

enum settings_answer {
    SETTINGS_OK,
    SETTINGS_INVALID, /* the problem tells line, key, what was found and what is accepted */
    SETTINGS_ABSENT,  /* there is no such file */
};

/* Reads the file; NULL is the defaults alone. `data` (may be NULL) overrides the directory.
 * Answers: SETTINGS_INVALID, SETTINGS_ABSENT. */
int settings_load(const char *file, const char *data, struct settings **ret_settings,
                  struct problem *problem) MUST_CHECK;

/* The same for bytes at hand. */
int settings_parse(struct span yaml, const char *data, struct settings **ret_settings,
                   struct problem *problem) MUST_CHECK;
struct settings *settings_free(struct settings *settings);
DEFINE_CLEANUP(struct settings *, settings_free);

/* Markdown, and JSON Schema 2020-12, of the table. */
void settings_write_reference(struct buf *text);
void settings_write_schema(struct buf *text);
