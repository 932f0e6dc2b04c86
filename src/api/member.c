/* SPDX-License-Identifier: Apache-2.0 */

#include "api/member.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/api.h"
#include "base/buf.h"
#include "base/hash.h"

#define VALID_MSEC ((unix_msec)5 * 60 * 1000) /* before and after: their clocks differ */

static void sign(struct span secret, struct span method, struct span path, unix_msec at,
                 char ret_hex[2 * SHA256_SIZE + 1])
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    uint8_t digest[SHA256_SIZE];
    buf_printf(&text, "%.*s\n%.*s\n%" PRId64, SPAN_ARG(method), SPAN_ARG(path), at);
    hash_hmac_sha256(secret, buf_span(&text), digest);
    ret_hex[hash_hex(digest, sizeof(digest), ret_hex)] = '\0';
}

void api_member_proof(struct span secret, struct span method, struct span path, unix_msec wall,
                      char ret_value[API_MEMBER_PROOF_MAX])
{
    char hex[2 * SHA256_SIZE + 1];
    sign(secret, method, path, wall, hex);
    snprintf(ret_value, API_MEMBER_PROOF_MAX, MEMBER_SCHEME "%" PRId64 ".%s", wall, hex);
}

bool member_proof_age(struct span secret, struct span value, struct span method, struct span path,
                      unix_msec wall, unix_msec *ret_age)
{
    char hex[2 * SHA256_SIZE + 1];
    uint64_t at;
    if (secret.size != API_MEMBER_SECRET_SIZE || !span_starts_with(value, SPAN(MEMBER_SCHEME)))
        return false;
    struct span proof = span_from(value, strlen(MEMBER_SCHEME));
    struct span time = span_cut(&proof, '.');
    if (!span_to_uint(time, INT64_MAX / 2, &at))
        return false;
    sign(secret, method, path, (unix_msec)at, hex);
    *ret_age = wall - (unix_msec)at;
    return hash_equals(proof, span_of(hex));
}

bool member_proof_holds(struct span secret, struct span value, struct span method, struct span path,
                        unix_msec wall)
{
    unix_msec age;
    return member_proof_age(secret, value, method, path, wall, &age) && age <= VALID_MSEC &&
           age >= -VALID_MSEC;
}
