#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the gateway says when it cannot pass a request on: problem documents (RFC 9457) that name
 * what is missing and what to do about it. Each ends the request.
 *
 * Threads: the worker's.
 */

#include "gateway/request.h"

void answer_problem(struct request *request, unsigned status, const char *detail);

/* 404: nobody has registered a service of that name. */
void answer_no_service(struct request *request, struct span service);

/* 503: a route leads to it, so it is expected to come. */
void answer_route_without_service(struct request *request, struct span service);

/* 404: the service has no such contract. */
void answer_no_contract(struct request *request, uint32_t major);

/* 503: the service has no contract at all yet. */
void answer_no_default(struct request *request);

/* 410: the contract is offline; names its successor. */
void answer_offline(struct request *request);

/* 503: the build has no ready instance; names the builds that wait. */
void answer_unavailable(struct request *request);

/* 503: the file is to come from another member of the cluster, and has not in time. */
void answer_file_to_come(struct request *request);

/* 503: every instance refused; or all their connections are taken. */
void answer_unreachable(struct request *request, bool is_busy);

/* No handshake with whom it would go to, and why. */
void answer_no_tls(struct request *request, const char *why);

/* 502 and 504. */
void answer_bad_gateway(struct request *request, const char *detail);
void answer_timeout(struct request *request);

/* 405; the methods that are allowed, and why. */
void answer_method(struct request *request, const char *allow, const char *detail);

/* 405 for what is only read. */
void answer_read_only(struct request *request);
