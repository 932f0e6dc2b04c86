/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tokens over HTTP.
 */

#include "api/routes.h"
#include "base/hash.h"

#define TOKEN_DURATION_DEFAULT (90ull * 86400 * NSEC_PER_SEC)
#define TOKEN_BYTES 32u
#define TOKEN_TEXT_MAX 64u

int auth_status(int r)
{
    switch (r) {
    case AUTH_OK: return 0;
    case AUTH_INVALID: return 400;
    case AUTH_NOT_FOUND: return 404;
    case AUTH_EXISTS:
    case AUTH_FULL: return 409;
    default: return r < 0 ? r : 500;
    }
}

static json_t *token_json(const struct token *token)
{
    return json_pack("{s:s, s:b, s:o, s:o}", "name", token->name, "read_only", token->is_read_only,
                     "created", api_json_time(token->created), "expires",
                     api_json_time(token->expires));
}

void route_tokens_get(struct api_call *call)
{
    json_t *list = json_array();
    map_each (node, auth_tokens(call->rooms->auth))
        json_array_append_new(list, token_json(container_of(node, struct token, node)));
    api_reply(call, 200, json_pack("{s:o}", "tokens", api_sorted(list, "name")));
}

/* The text is drawn once, however often the write is decided again. */
void route_token_draw(struct api_call *call)
{
    uint8_t random[TOKEN_BYTES];
    char text[TOKEN_TEXT_MAX];
    hash_random(random, sizeof(random));
    size_t size = hash_base32(random, sizeof(random), text);
    call->secret = arena_span_dup(&call->arena, (struct span){ text, size });
    api_write(call);
}

int route_token_write(struct api_call *call, struct txn *txn, struct problem *problem)
{
    struct token_spec spec = {
        .name = api_text(call->body, "name"),
        .text = call->secret,
        .is_read_only = json_is_true(json_object_get(call->body, "read_only")),
    };
    int status = api_expires(call, TOKEN_DURATION_DEFAULT, &spec.expires, problem);
    if (status)
        return status;
    call->is_created = true;
    return auth_status(token_create(call->rooms->auth, &spec, loop_wall(call->loop), txn, problem));
}

void route_token_get(struct api_call *call)
{
    const struct token *token = token_find(call->rooms->auth, api_text(call->body, "name"));
    if (!token) { /* somebody has revoked it already */
        api_refuse_text(call, 409, "the token was revoked at once");
        return;
    }
    json_t *json = token_json(token);
    json_object_set_new(json, "token", api_json_span(call->secret));
    api_reply(call, 200, json);
}

int route_token_remove(struct api_call *call, struct txn *txn, struct problem *problem)
{
    return auth_status(token_revoke(call->rooms->auth, call->params[0], txn, problem));
}
