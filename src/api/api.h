#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The management API: HTTP and JSON over the rooms, on the control loop.
 *
 * The routes, their parameters and the fields of their bodies are described below spec/; the
 * table that routes and validates and the OpenAPI document are generated from that. Problems are
 * RFC 9457 documents. Every write may carry ?dry_run, which answers with the changes and makes
 * none, and If-Match with the ETag of what it replaces; where nothing with an ETag is replaced,
 * If-Match is refused rather than ignored.
 *
 * A route marked open (registration and discovery) needs no token on loopback; all others need
 * "Authorization: Bearer <token>", unless they come by the unix socket from our own uid or root.
 * Host and Origin are checked against DNS rebinding and cross-site requests. Who changed what is
 * in the audit log before the answer is given.
 *
 * Owns:     its server and calls. Borrows: the loop, the rooms, the settings' strings.
 * Threads:  the control loop.
 */

#include "api/rooms.h"
#include "base/compiler.h"
#include "http/server.h"

struct api;
struct tls_server;

struct api_settings {
    const char *token;         /* of the data directory: it may do everything */
    const char *hosts;         /* names that Host may have, with commas between them */
    bool registration_is_open; /* open routes need no token */
    /* of the process, for health: since when, and how it is confined */
    nsec started;
    int landlock; /* version, 0: none */
    bool has_seccomp;
};

struct api *api_new(struct loop *loop, struct rooms *rooms, const struct api_settings *settings);
struct api *api_free(struct api *api);

/* Serves a listening socket, which stays the caller's; with TLS where `tls` is not NULL. */
int api_listen(struct api *api, int listen_fd, struct tls_server *tls) MUST_CHECK;

/* New settings for these, from the next request on. */
void api_set_access(struct api *api, const char *hosts, bool registration_is_open);

/* What members of a cluster prove to each other that they are by; 32 bytes, or empty: nobody can. */
void api_set_member_secret(struct api *api, struct span secret);

#define API_MEMBER_SECRET_SIZE 32u

/* The value of Authorization for a call of another member, `path` as it stands in the request. */
#define API_MEMBER_PROOF_MAX 128u
void api_member_proof(struct span secret, struct span method, struct span path, unix_msec wall,
                      char ret_value[API_MEMBER_PROOF_MAX]);

/* Something was applied: answers the long polls that waited for it. */
void api_changed(struct api *api);

/* rooms->is_settled has become true: answers the writes that waited for it, so that whoever has
 * its answer finds every worker serving by it. */
void api_settled(struct api *api);

/* Ends long polls, stops accepting. */
void api_drain(struct api *api, void (*on_done)(void *owner), void *owner);

/* The same for a process whose heir goes on with the sockets and with connections that are between
 * two calls. */
void api_leave(struct api *api, const struct http_heir *heir, void (*on_done)(void *owner),
               void *owner);

/* Serves a connection that another process left. */
void api_admit(struct api *api, int fd, const struct address *peer);
