#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What an exchange and a call do where they are not of HTTP/1: one function for each of those that
 * server.h and client.h offer, which look here first. Private to http.
 */

#include "http/client.h"
#include "http/server.h"

struct http_wire {
    void (*pause)(struct http_exchange *exchange);
    void (*resume)(struct http_exchange *exchange);
    void (*take_expectation)(struct http_exchange *exchange);
    void (*interim)(struct http_exchange *exchange, unsigned status, struct span lines);
    void (*respond)(struct http_exchange *exchange, const struct http_message *response);
    void (*accept_upgrade)(struct http_exchange *exchange, const struct http_message *response);
    void (*send)(struct http_exchange *exchange, struct span bytes);
    void (*send_file)(struct http_exchange *exchange, int fd, uint64_t offset, uint64_t size);
    void (*put_trailers)(struct http_exchange *exchange, struct span lines);
    uint64_t (*received)(const struct http_exchange *exchange);
    uint64_t (*sent)(const struct http_exchange *exchange);
    size_t (*unsent)(const struct http_exchange *exchange);
    void (*finish)(struct http_exchange *exchange);
    void (*reset)(struct http_exchange *exchange, uint32_t code);
};

struct http_call_wire {
    void (*send)(struct http_call *call, struct span bytes);
    void (*finish)(struct http_call *call);
    size_t (*unsent)(const struct http_call *call);
    void (*pause)(struct http_call *call);
    void (*resume)(struct http_call *call);
    void (*cancel)(struct http_call *call);
};
