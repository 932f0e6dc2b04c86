/* SPDX-License-Identifier: Apache-2.0 */

#include "api/access.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/call.h"
#include "base/hash.h"
#include "http/site.h"

/* --- where it comes from --- */

bool access_is_from_here(const struct access *access, const struct http_exchange *exchange)
{
    return site_is_ours(exchange, span_of(access->hosts));
}

/* --- who it is --- */

static bool is_token(const struct access *access, struct span text, unix_msec wall,
                     struct caller *ret_caller)
{
    bool is_master = hash_equals(text, span_of(access->token));
    const struct token *token = token_check(access->auth, text, wall);
    if (!text.size || (!is_master && !token))
        return false;
    ret_caller->is_known = true;
    ret_caller->is_read_only = !is_master && token->is_read_only;
    if (is_master)
        snprintf(ret_caller->name, sizeof(ret_caller->name), "token");
    else
        snprintf(ret_caller->name, sizeof(ret_caller->name), "token:%s", token->name);
    return true;
}

/* Whoever may read the data directory has its token anyway. Who brings one is held to it. */
static bool is_our_peer(const struct http_exchange *exchange, struct caller *ret_caller)
{
    uid_t uid;
    if (http_head_value(exchange->head, HTTP_AUTHORIZATION).size ||
        !http_peer_uid(exchange, &uid) || (uid != 0 && uid != geteuid()))
        return false;
    ret_caller->is_known = true;
    snprintf(ret_caller->name, sizeof(ret_caller->name), "uid:%u", (unsigned)uid);
    return true;
}

/* On routes for members only: it may read what all of them need, and do nothing else. */
static bool is_member(const struct access *access, const struct http_exchange *exchange,
                      const struct api_route *route, unix_msec wall, struct caller *ret_caller)
{
    const struct http_head *head = exchange->head;
    struct span secret = { (const char *)access->member_secret, access->member_secret_size };
    if (!route->is_for_members ||
        !member_proof_holds(secret, http_head_value(head, HTTP_AUTHORIZATION), head->method,
                            head->path_and_query, wall))
        return false;
    *ret_caller = (struct caller){ .name = "member", .is_read_only = true, .is_known = true };
    return true;
}

/* What a form of another site could send: for those who are let in without a token that is not
 * good enough (RFC 6454 has no Origin for all of them). */
static bool is_form(const struct http_head *head)
{
    static const char *const types[] = { "application/x-www-form-urlencoded", "multipart/form-data",
                                         "text/plain" };
    struct span type = http_head_value(head, HTTP_CONTENT_TYPE);
    type = span_trim(span_first(type, span_find(type, ';')));
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (span_equals_nocase(type, span_of(types[i])))
            return span_is(head->method, "POST");
    }
    return false;
}

/* --- what it may --- */

static bool refuse(struct access_refusal *refusal, unsigned status, const char *field,
                   const char *text)
{
    *refusal = (struct access_refusal){ .status = status, .field = field, .text = text };
    return false;
}

static bool refuse_member(const struct access *access, const struct http_exchange *exchange,
                          unix_msec wall, struct access_refusal *refusal)
{
    const struct http_head *head = exchange->head;
    struct span secret = { (const char *)access->member_secret, access->member_secret_size };
    struct span value = http_head_value(head, HTTP_AUTHORIZATION);
    unix_msec age;
    if (!member_proof_age(secret, value, head->method, head->path_and_query, wall, &age)) {
        return refuse(refusal, 401, "",
                      "this proof of a member is not by the secret of this cluster, or for another "
                      "call");
    }
    if (member_proof_holds(secret, value, head->method, head->path_and_query, wall))
        return refuse(refusal, 401, "", "members of the cluster may not make this call");
    refuse(refusal, 401, "", refusal->made);
    snprintf(refusal->made, sizeof(refusal->made),
             "this proof of a member does not hold: its clock is %" PRId64
             " s %s ours, and 300 s are accepted",
             (age < 0 ? -age : age) / 1000, age < 0 ? "ahead of" : "behind");
    return false;
}

static bool refuse_token(struct access *access, const struct http_exchange *exchange,
                         struct access_moment moment, struct access_refusal *refusal)
{
    struct span value = http_head_value(exchange->head, HTTP_AUTHORIZATION);
    if (span_starts_with(value, SPAN(MEMBER_SCHEME)))
        return refuse_member(access, exchange, moment.wall, refusal);
    if (!value.size) {
        return refuse(refusal, 401, "",
                      "a token is needed: Authorization: Bearer …, from the file \"token\" in the "
                      "data directory, or one that `sarsen token create` made");
    }
    if (attempts_is_over(&access->attempts, exchange->peer, moment.now))
        return refuse(refusal, 429, "", "too many wrong tokens came from this address");
    attempts_add(&access->attempts, exchange->peer, moment.now);
    return refuse(refusal, 401, "",
                  "this token is not accepted; the one that is stands in the file \"token\" in "
                  "the data directory");
}

static bool is_reading(struct span method)
{
    return span_is(method, "GET") || span_is(method, "HEAD");
}

static bool check_open(const struct access *access, const struct http_exchange *exchange,
                       const struct api_route *route, struct access_refusal *refusal,
                       bool *ret_is_open)
{
    *ret_is_open =
        route->is_open && access->registration_is_open && address_is_loopback(exchange->peer);
    if (*ret_is_open && is_form(exchange->head)) {
        return refuse(refusal, 415, "Content-Type",
                      "is one that forms of other sites send; application/json is accepted");
    }
    return true;
}

bool access_check(struct access *access, const struct http_exchange *exchange,
                  const struct api_route *route, struct access_moment moment,
                  struct caller *ret_caller, struct access_refusal *ret_refusal)
{
    bool is_open;
    *ret_caller = (struct caller){ .name = "open" };
    if (!access_is_from_here(access, exchange)) {
        return refuse(ret_refusal, 403, "",
                      "requests of other sites are not accepted: Host must be loopback, or one of "
                      "api.hosts, and Origin, where sent, the same");
    }
    /* On loopback a stranger could keep everybody out. */
    if (!address_is_loopback(exchange->peer) &&
        attempts_is_over(&access->attempts, exchange->peer, moment.now))
        return refuse(ret_refusal, 429, "", "too many wrong tokens came from this address");
    if (is_token(access, http_head_bearer(exchange->head), moment.wall, ret_caller) ||
        is_member(access, exchange, route, moment.wall, ret_caller) ||
        is_our_peer(exchange, ret_caller)) {
        if (!ret_caller->is_read_only || is_reading(exchange->head->method))
            return true;
        return refuse(ret_refusal, 403, "", "this token may read and change nothing");
    }
    if (!check_open(access, exchange, route, ret_refusal, &is_open))
        return false;
    return is_open || refuse_token(access, exchange, moment, ret_refusal);
}
