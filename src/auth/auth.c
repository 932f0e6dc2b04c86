/* SPDX-License-Identifier: Apache-2.0 */

#include "auth/auth.h"

#include "auth/records.pb-c.h"
#include "base/mem.h"

#define TOKEN_PREFIX AUTH_PREFIX "token/"

struct auth {
    struct map tokens;
};

struct auth *auth_new(void)
{
    struct auth *auth = mem_new(struct auth);
    map_init(&auth->tokens);
    return auth;
}

static void token_drop(struct auth *auth, struct token *token)
{
    map_remove(&auth->tokens, &token->node);
    free(token->name);
    free(token);
}

struct auth *auth_free(struct auth *auth)
{
    if (!auth)
        return NULL;

    map_each (node, &auth->tokens)
        token_drop(auth, container_of(node, struct token, node));
    map_fini(&auth->tokens);
    free(auth);
    return NULL;
}

const struct map *auth_tokens(const struct auth *auth)
{
    return &auth->tokens;
}

static struct token *token_get(const struct auth *auth, struct span name)
{
    return map_find_as(&auth->tokens, name, struct token, node);
}

const struct token *token_find(const struct auth *auth, struct span name)
{
    return token_get(auth, name);
}

/* --- the fold --- */

static int put(struct auth *auth, struct span name, const struct store_entry *entry)
{
    Auth__TokenRecord *record =
        auth__token_record__unpack(NULL, entry->value.size, (const uint8_t *)entry->value.data);
    if (!record || record->sha256.len != SHA256_SIZE) {
        if (record)
            auth__token_record__free_unpacked(record, NULL);
        return err_origin(-EBADMSG);
    }
    struct token *token = token_get(auth, name);
    if (!token) {
        token = mem_new(struct token);
        token->name = mem_span_dup(name);
        map_add(&auth->tokens, &token->node, span_of(token->name));
    }
    memcpy(token->sha256, record->sha256.data, SHA256_SIZE);
    token->is_read_only = record->is_read_only;
    token->created = record->created;
    token->expires = record->expires;
    token->mod_revision = entry->mod_revision;
    auth__token_record__free_unpacked(record, NULL);
    return 0;
}

int auth_apply(struct auth *auth, const struct store_event *event)
{
    struct span key = event->entry.key;
    if (!span_starts_with(key, SPAN(TOKEN_PREFIX)))
        return err_origin(-EBADMSG);
    struct span name = span_from(key, sizeof(TOKEN_PREFIX) - 1);
    if (event->kind == TXN_PUT)
        return put(auth, name, &event->entry);
    struct token *token = token_get(auth, name);
    if (token)
        token_drop(auth, token);
    return 0;
}

/* --- asking --- */

/* Digests are compared, all of them and in full: time tells nothing of a token but how many there
 * are. */
const struct token *token_check(const struct auth *auth, struct span text, unix_msec now)
{
    uint8_t digest[SHA256_SIZE];
    const struct token *found = NULL;
    hash_sha256(text, digest);
    map_each (node, &auth->tokens) {
        const struct token *token = container_of(node, struct token, node);
        if (hash_equals((struct span){ (const char *)digest, SHA256_SIZE },
                        (struct span){ (const char *)token->sha256, SHA256_SIZE }))
            found = token;
    }
    return found && (!found->expires || found->expires > now) ? found : NULL;
}

/* --- commands --- */

static bool name_is_valid(struct span name)
{
    if (!name.size || name.size > TOKEN_NAME_MAX || name.data[0] < 'a' || name.data[0] > 'z')
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

static struct span token_key(struct arena *arena, struct span name)
{
    return span_of(arena_format(arena, TOKEN_PREFIX "%.*s", SPAN_ARG(name)));
}

static int check_new(const struct auth *auth, const struct token_spec *spec, unix_msec now,
                     struct problem *problem)
{
    if (!name_is_valid(spec->name)) {
        problem_set(problem, "name",
                    "is \"%.*s\"; a lower-case letter and then up to 62 letters, digits and "
                    "hyphens are accepted",
                    SPAN_ARG(span_first(spec->name, 80)));
        return AUTH_INVALID;
    }
    if (spec->expires && spec->expires <= now) {
        problem_set(problem, "expires", "is in the past");
        return AUTH_INVALID;
    }
    if (token_get(auth, spec->name)) {
        problem_set(problem, "name", "%.*s is taken; revoke that token first",
                    SPAN_ARG(spec->name));
        return AUTH_EXISTS;
    }
    if (auth->tokens.n_nodes >= TOKENS_MAX) {
        problem_set(problem, "", "there are %u tokens already", TOKENS_MAX);
        return AUTH_FULL;
    }
    return 0;
}

int token_create(const struct auth *auth, const struct token_spec *spec, unix_msec now,
                 struct txn *txn, struct problem *problem)
{
    int r = check_new(auth, spec, now, problem);
    if (r)
        return r;

    uint8_t digest[SHA256_SIZE];
    hash_sha256(spec->text, digest);
    Auth__TokenRecord record = AUTH__TOKEN_RECORD__INIT;
    record.sha256 = (ProtobufCBinaryData){ .len = sizeof(digest), .data = digest };
    record.is_read_only = spec->is_read_only;
    record.created = now;
    record.expires = spec->expires;

    struct span key = token_key(&txn->arena, spec->name);
    txn_expect(txn, key, 0);
    txn_put(txn, key, txn_pack(txn, &record.base));
    return 0;
}

int token_revoke(const struct auth *auth, struct span name, struct txn *txn,
                 struct problem *problem)
{
    const struct token *token = token_get(auth, name);
    if (!token) {
        problem_set(problem, "token", "%.*s does not exist", SPAN_ARG(span_first(name, 80)));
        return AUTH_NOT_FOUND;
    }
    struct span key = token_key(&txn->arena, name);
    txn_expect(txn, key, token->mod_revision);
    txn_delete(txn, key);
    return 0;
}
