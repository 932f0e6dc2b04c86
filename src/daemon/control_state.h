#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The control loop as its own files see it.
 *
 *   control.c          its start and end, what is applied and published, reloading
 *   control_store.c    what is opened of the data directory, and of an etcd
 *   control_listen.c   the sockets of a start
 *   control_faces.c    other systems' protocols
 *   control_due.c      what becomes due, and the process as one of a cluster
 *   control_usage.c    in a cluster: when contracts were used here
 *   control_files.c    in a cluster: files of releases that others have
 *   control_blobs.c    what nobody names is removed
 *   control_leave.c    another process takes over
 *
 * control_cluster.h and control_expire.h stand on their own.
 */

#include "api/api.h"
#include "base/list.h"
#include "daemon/control.h"
#include "daemon/control_cluster.h"
#include "daemon/control_expire.h"
#include "daemon/health.h"
#include "daemon/pressure.h"
#include "daemon/secrets.h"
#include "daemon/stall.h"

/* A write that the start waits for. */
struct control_sharing {
    struct store_write write;
    int answer;
    bool is_done;
};

struct control {
    struct loop *loop;
    const struct settings *settings;
    struct control_hooks hooks;
    struct rooms rooms;
    struct api *api;
    struct consul *consul;      /* NULL: it is not served */
    char node[64];              /* what this host is called there */
    char *api_hosts;            /* api.hosts, and our own name where others reach us by it */
    struct tls_server *api_tls; /* NULL: in plain text */
    struct cookie_keys keys;
    struct control_sharing sharing;
    char token[TOKEN_TEXT_SIZE + 1];
    int api_fd, api_unix_fd, consul_fd;
    bool is_api_kept; /* the service manager has the sockets, too */
    nsec started;
    nsec opening_at, opening_took; /* the store, when this process started */
    struct store_watch watch;
    struct ledger_read seen;
    struct task publish, tell; /* tell: a face, of its own records */
    struct cluster cluster;
    struct expiry expiry;
    struct timer advance, trust, pins, collect, forget;
    struct pressure pressure;
    struct health *health; /* while the timers run */
    struct stall stall;
    struct files *files; /* while the timers run, in a cluster */
    struct store_command advance_command, secret_command, share_command;
    nsec share_at;   /* not before, unless it stops */
    bool has_unread; /* a record could not be read: what it names is not known */
    bool is_advancing, is_making_secret, is_sharing, is_collecting, is_stopping;
    struct timer drain_grace; /* of the API; the gateway keeps its own */
    bool is_api_stopped, is_gateway_stopped, is_grace_over, has_ended;
    void (*on_stopped)(void *owner);
    void *on_stopped_owner;

    /* While another process has the store, or is about to. */
    bool is_holding, is_held, is_leaving;
    struct timer hold_time;
    struct task closing; /* of the store */
    void (*on_held)(void *owner);
    void *on_held_owner;
    int64_t revision;                       /* of the last change that was applied */
    struct gateway_connection *connections; /* of the API, between two calls */
    size_t n_connections, connections_capacity;
    struct list boms;         /* struct keep_bom, which came meanwhile */
    struct control_heir heir; /* without an owner: there is none */
};

/* A BOM on its way to the store, or to the heir. */
struct keep_bom {
    struct list link;
    struct store_command command;
    struct control *control;
    char *json;
};

/* control.c */
/* Applies all that the store has below the prefix. */
void control_load(struct control *control, struct span prefix);
void control_publish(struct control *control);
void control_keep_bom(struct keep_bom *keep);
void control_keep_boms(struct control *control); /* that wait for the store */
void control_start_timers(struct control *control);
void control_stop_timers(struct control *control);
void control_gateway_stopped(void *owner);

/* Serves the API on the sockets that it has. */
int control_open_api(struct control *control) MUST_CHECK;

/* control_store.c */
int control_make_data(const struct control *control, struct problem *problem) MUST_CHECK;
int control_open_secrets(struct control *control, struct problem *problem) MUST_CHECK;
/* Opens the store alone. Answers: CONTROL_REFUSED. */
int control_open_store(struct control *control, struct problem *problem) MUST_CHECK;

/* Takes the secrets that all processes of a cluster have, or brings ours. Answers:
 * CONTROL_REFUSED. */
int control_share_secrets(struct control *control, struct problem *problem) MUST_CHECK;

/* control_due.c */
void control_due_init(struct control *control);
/* What may have become due by a change is looked at, and when to look again. */
void control_due(struct control *control);
void control_due_stop(struct control *control);
void control_open_cluster(struct control *control);
void control_start_cluster(struct control *control);
/* Another process came or went, or was elected: what runs at an instance's owner may run here. */
void control_owners_changed(struct control *control);
/* At a time of the wall clock. */
void timer_start_wall(struct timer *timer, struct loop *loop, unix_msec at);

/* control_listen.c */
/* Sockets that were there before; NULL: none. */
struct given *control_given(const struct control *control);

/* A socket of the API, or of a face, as `use` says. Answers: CONTROL_REFUSED. */
int control_listen_at(struct control *control, struct span text, unsigned use,
                      struct problem *problem, int *ret_fd) MUST_CHECK;
int control_open_listeners(struct control *control, struct problem *problem) MUST_CHECK;

/* Whether the API listens at all addresses: others then know us by our host's name. */
bool control_has_own_name(const struct control *control, char name[256]);
/* What Host may say in calls of the API, anew. */
const char *control_api_hosts(struct control *control, const struct settings *settings);

/* control_faces.c */
int control_bind_faces(struct control *control, struct problem *problem) MUST_CHECK;
/* When the store is open and the other rooms have been loaded. */
void control_open_faces(struct control *control);
int control_serve_faces(struct control *control) MUST_CHECK;
/* Takes a change that may be of interest to one. */
int control_tell_faces(struct control *control, const struct store_event *event) MUST_CHECK;
/* After the settings have become others. */
void control_reload_faces(struct control *control);
void control_faces_changed(struct control *control);
void control_faces_owners_changed(struct control *control);
void control_faces_forgive(struct control *control);
void control_faces_settled(struct control *control);
/* Who waits is answered, and nobody is listened to any more; an heir has the sockets. */
void control_drain_faces(struct control *control, bool has_heir);
void control_close_faces(struct control *control);

/* control_blobs.c */
void control_sweep_blobs(struct control *control);

/* control_files.c */
void control_start_files(struct control *control);
void control_stop_files(struct control *control);
/* Takes a change that was applied. */
void control_tell_files(struct control *control, const struct store_event *event);

/* control_usage.c */
/* After what was used has been merged. */
void control_share_usage(struct control *control);

/* control_leave.c */
/* "unix:…/api.sock"; the caller's. */
char *control_api_path(const struct control *control);

/* Drops what waits for the store or an heir. */
void control_forget_kept(struct control *control);
