#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What was found out from a client's field lines, for its next request.
 *
 * Who is served, the BOM that follows, where the use is counted and most of what goes to a service
 * are functions of the field lines, the connection and the view. Field lines seldom change between
 * the requests of a client, so all that is noted where struct http_exchange lets us, and used
 * again while lines, view and cookie stay what they were.
 *
 * Owns:     nothing; it lies in the exchange. Threads: the worker's.
 */

#include <stdbool.h>

#include "gateway/route.h"
#include "http/server.h"
#include "usage/usage.h"
#include "version/version.h"

#define MEMO_NAME_MAX 56u
#define MEMO_ANSWERER_MAX 180u

struct memo {
    uint64_t fields; /* http_exchange.fields_number of all this; 0 = nothing is noted */
    uint64_t view;   /* its number */
    unix_msec until; /* the cookie says no longer who it is */
    const struct bom *bom;
    enum resolve_reason reason;
    uint32_t contract, build;         /* that were counted last, */
    struct usage_place place;         /* at */
    const struct route_action *route; /* that the lines were made under */
    bool is_grpc;                     /* and for a request of gRPC */
    size_t lines_size;                /* 0 = not made yet, or too long */
    /* What a path or Sarsen-Service named last, in whatever request, */
    uint64_t named_view; /* under this view; 0 = nothing is noted */
    uint32_t service, major;
    size_t name_size;
    char name[MEMO_NAME_MAX];
    /* The lines that said who answered last, when it was the service itself: */
    uint32_t answer_contract, answer_build, answerer_size; /* 0 = not made yet, or too long */
    char answerer[MEMO_ANSWERER_MAX];
    char lines[HTTP_MEMO_SIZE - 376]; /* forward_fields() */
};

_Static_assert(sizeof(struct memo) <= HTTP_MEMO_SIZE, "it fits into an exchange");
