#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How many connections a process holds: clients in all, clients of one address, upstreams.
 *
 * The servers and pools of several loops share one census, so that a limit is the process's and not
 * each loop's own: the kernel spreads connections over loops by a hash, and one of them may get all
 * of a client's. It is touched when a connection comes and when it goes, never by a request.
 *
 * Addresses are counted in cells: each belongs to one cell of either row, by two seeded hashes, and
 * its count is the smaller of the two. So a count is never too low; it is too high only when both
 * cells are shared with addresses that hold many, which nobody can arrange who does not know the
 * seed. That needs no lock and no memory per address.
 *
 * Threads:  any. Cost: O(1), two to four atomic operations for each connection.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "http/http2/abuse.h"
#include "io/socket.h"

struct http_census;

struct http_census *http_census_new(void);
struct http_census *http_census_free(struct http_census *census);

/* Counts one more client. `max_per_address` 0 counts no address, and so do unix sockets; *ret_key
 * goes back to http_census_drop_client(). False when there are enough; then nothing is counted but
 * the refusal. */
bool http_census_take_client(struct http_census *census, const struct address *peer,
                             unsigned max_clients, unsigned max_per_address, uint32_t *ret_key);
void http_census_drop_client(struct http_census *census, uint32_t key);

bool http_census_take_upstream(struct http_census *census, unsigned max_upstreams);
void http_census_drop_upstream(struct http_census *census);

unsigned http_census_n_clients(const struct http_census *census);
unsigned http_census_n_upstreams(const struct http_census *census);

/* Clients that were refused, since the beginning. */
uint64_t http_census_n_refused(const struct http_census *census);

/* What a server has counted of its clients of HTTP/2 is the process's from here on, and is counted
 * there from 0 again. Called when one of its connections ends. */
void http_census_take_http2(struct http_census *census, struct http2_counts *counts);
struct http2_counts http_census_http2(const struct http_census *census);
