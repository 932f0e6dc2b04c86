#ifndef SARSEN_H
#define SARSEN_H

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The C client of Sarsen's management API.
 *
 *   sarsen_client *client;
 *   int r = sarsen_client_new(&(sarsen_options){ .size = sizeof(sarsen_options) }, &client);
 *   …
 *   r = sarsen_register(client, &instance);
 *   if (r == SARSEN_EREFUSED)
 *       fprintf(stderr, "%s\n", sarsen_problem(client));
 *
 * Calls block, for at most the timeout. Functions return 0 or a negative SARSEN_E*; what they hand
 * out through ret_ parameters is set on success only. The library never prints, never aborts and
 * never touches signals (writes use MSG_NOSIGNAL).
 *
 * Threads: a client belongs to one thread at a time; several clients are independent.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SARSEN_API __attribute__((visibility("default")))

/* name, value, text */
#define SARSEN_ERRORS(X)                                                                           \
    X(SARSEN_ENOMEM, -1, "out of memory")                                                          \
    X(SARSEN_EADDRESS, -2, "the address is neither http(s)://host:port nor unix:/path")            \
    X(SARSEN_ECONNECT, -3, "nobody answers at the address")                                        \
    X(SARSEN_ETIMEOUT, -4, "no answer in time")                                                    \
    X(SARSEN_EBROKEN, -5, "the connection broke before the answer was complete")                   \
    X(SARSEN_EPROTOCOL, -6, "the answer is not what the API gives")                                \
    X(SARSEN_EREFUSED, -7, "the server refused; the problem says why")                             \
    X(SARSEN_EINVALID, -8, "an argument is wrong")                                                 \
    X(SARSEN_ETLS, -9, "there is no TLS with the server; the problem says why")

enum sarsen_error {
#define SARSEN_ERROR_ENUM(name, value, text) name = value,
    SARSEN_ERRORS(SARSEN_ERROR_ENUM)
#undef SARSEN_ERROR_ENUM
};

/* The text of an error; never NULL. */
SARSEN_API const char *sarsen_strerror(int error);

typedef struct sarsen_client sarsen_client;

typedef struct sarsen_options {
    size_t size;         /* sizeof(sarsen_options) */
    const char *address; /* NULL: $SARSEN_ADDRESS, else http://127.0.0.1:7000 */
    const char *token;   /* NULL: $SARSEN_TOKEN, else none */
    uint32_t timeout_ms; /* of each call; 0: 30,000 */
    /* A file of certificates (PEM) that vouch for an https:// server; NULL: $SARSEN_CA, else the
     * system's. Its certificate must be for the host of the address. */
    const char *ca;
} sarsen_options;

/* Copies the options; connects with the first call. SARSEN_EADDRESS, SARSEN_EINVALID (a token
 * that fits into no header), SARSEN_ENOMEM. */
SARSEN_API int sarsen_client_new(const sarsen_options *options, sarsen_client **ret_client);

/* Closes its connection; values it gave stay. NULL is fine. */
SARSEN_API void sarsen_client_free(sarsen_client *client);

/* The HTTP status of the last answer; 0 when there was none. */
SARSEN_API int sarsen_status(const sarsen_client *client);

/* Why the last call was refused, or the server not trusted, as a sentence; "" otherwise. Valid until the next call. */
SARSEN_API const char *sarsen_problem(const sarsen_client *client);

/* --- values: documents as the API gives them --- */

typedef struct sarsen_value sarsen_value;

/* Reads JSON. SARSEN_EINVALID when it is none, SARSEN_ENOMEM. */
SARSEN_API int sarsen_value_parse(const char *json, size_t size, sarsen_value **ret_value);

/* Frees a whole document; what was borrowed from it goes with it. NULL is fine. */
SARSEN_API void sarsen_value_free(sarsen_value *value);

/* Members and elements are borrowed from the document; NULL when there is none. */
SARSEN_API const sarsen_value *sarsen_value_get(const sarsen_value *object, const char *name);
SARSEN_API const sarsen_value *sarsen_value_at(const sarsen_value *array, size_t index);

/* Elements of an array, members of an object; 0 for anything else. */
SARSEN_API size_t sarsen_value_size(const sarsen_value *value);

/* The name of an object's member; NULL past its end. */
SARSEN_API const char *sarsen_value_name(const sarsen_value *object, size_t index);

/* The text of a string; "" for anything else. */
SARSEN_API const char *sarsen_value_text(const sarsen_value *value);

/* The number; 0 for anything else. */
SARSEN_API double sarsen_value_number(const sarsen_value *value);

/* What a value is; false for NULL. sarsen_value_is_true(): it is JSON's true. */
SARSEN_API bool sarsen_value_is_true(const sarsen_value *value);
SARSEN_API bool sarsen_value_is_text(const sarsen_value *value);
SARSEN_API bool sarsen_value_is_number(const sarsen_value *value);
SARSEN_API bool sarsen_value_is_array(const sarsen_value *value);

/* As JSON, indented; free() it. NULL without memory. */
SARSEN_API char *sarsen_value_json(const sarsen_value *value);

/* --- calls --- */

/* Any call of the API. `body` is JSON or NULL; ret_value may be NULL. An answer without a body
 * gives a NULL value. With SARSEN_EREFUSED too ret_value is set: to the problem document, or NULL.
 * SARSEN_EINVALID for a method or path with spaces or control characters. */
SARSEN_API int sarsen_call(sarsen_client *client, const char *method, const char *path,
                           const char *body, sarsen_value **ret_value);

/* PUTs raw bytes. */
SARSEN_API int sarsen_upload(sarsen_client *client, const char *path, const void *bytes,
                             size_t size, sarsen_value **ret_value);

typedef struct sarsen_instance {
    size_t size;          /* sizeof(sarsen_instance) */
    const char *service;  /* "orders" */
    const char *id;       /* "orders-1" */
    const char *address;  /* "127.0.0.1:9012" */
    const char *build;    /* "3.14.2"; NULL: unversioned */
    const char *ttl;      /* "10s"; NULL: until deregistered */
    const char *protocol; /* "http", "http2" or "grpc", each with "+tls" for TLS; NULL: http */
    /* Full names of gRPC services whose methods lead to it, ended by NULL; NULL: none. They want a
     * protocol. */
    const char *const *grpc_services;
    /* How it is asked whether it works, as "name=value", ended by NULL: "grpc=shop.orders.v1.Orders",
     * "interval=5s"; NULL: not at all. */
    const char *const *health;
    const char *deregister_after; /* "30s" or "never": from failing to removed; NULL: as is usual */
} sarsen_instance;

/* Reachable when this returns 0. */
SARSEN_API int sarsen_register(sarsen_client *client, const sarsen_instance *instance);

/* SARSEN_EREFUSED with status 404: register again. */
SARSEN_API int sarsen_heartbeat(sarsen_client *client, const char *service, const char *id);

/* It gets no new requests from now on; those in flight finish. */
SARSEN_API int sarsen_drain(sarsen_client *client, const char *service, const char *id);

/* It is gone from the registry when this returns 0. */
SARSEN_API int sarsen_deregister(sarsen_client *client, const char *service, const char *id);

/* What a customer is served by and why. `app` may be NULL: all. */
SARSEN_API int sarsen_explain(sarsen_client *client, const char *customer, const char *app,
                              sarsen_value **ret_value);

#ifdef __cplusplus
}
#endif

#endif
