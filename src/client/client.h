#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The client's inside: one connection, one answer at a time.
 *
 * Owns: its connection and buffers. Threads: one at a time. Everything that allocates can fail and
 * says so with SARSEN_ENOMEM; the host program is never aborted.
 */

#include <jansson.h>
#include <sarsen/sarsen.h>
#include <sys/types.h>

#include "base/span.h"

struct tls;

#define CLIENT_HEAD_MAX 65536u
#define CLIENT_BODY_MAX ((size_t)256 * 1024 * 1024)
#define CLIENT_TIMEOUT_MS 30000u

/* Where the client's memory comes from; the tests' own runs out where they want it to. */
struct client_memory {
    /* As realloc(3); size 0 frees. */
    void *(*resize)(void *owner, void *block, size_t size);
    void *owner;
};

extern const struct client_memory client_memory_system;

struct bytes {
    const struct client_memory *memory;
    char *data;
    size_t size, capacity;
};

struct sarsen_client {
    const struct client_memory *memory;
    char *authority; /* "host:port" of http://host:port, for the Host field */
    char *host, *port;
    char *socket_path; /* of unix:/path */
    char *token;
    char *ca; /* a file; NULL: the system's */
    bool is_tls;
    struct tls *tls; /* from the first connection on */
    uint32_t timeout_ms;
    int fd; /* -1: not connected */
    int status;
    char problem[512];
};

/* sarsen_client_new() on memory that outlives the client. */
int client_new(const struct client_memory *memory, const sarsen_options *options,
               sarsen_client **ret_client);

/* Zeroed; NULL without memory. */
void *client_alloc(const struct client_memory *memory, size_t size);
void client_release(const struct client_memory *memory, void *block);

/* Whether jansson failed for want of memory, as far as it tells: when an allocation fails it
 * mostly says nothing, and sometimes that a token is wrong. */
bool json_is_exhausted(const json_error_t *error);

/* Appends JSON; SARSEN_ENOMEM. */
int bytes_add_json(struct bytes *bytes, const json_t *json, size_t flags);

/* Appends; SARSEN_ENOMEM. */
int bytes_add(struct bytes *bytes, const void *data, size_t size);
void bytes_fini(struct bytes *bytes);

struct request {
    const char *method, *path, *content_type;
    const void *body;
    size_t body_size;
};

/* Sends the request and reads the whole answer's body. A kept connection that turns out dead is
 * replaced once, when nothing of an answer had come. */
int transport_call(struct sarsen_client *client, const struct request *request,
                   struct bytes *ret_body);
void transport_close(struct sarsen_client *client);
