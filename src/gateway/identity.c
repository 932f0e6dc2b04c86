/* SPDX-License-Identifier: Apache-2.0 */

#include "gateway/identity.h"

#include "base/hash.h"
#include "codec/cookie.h"

/* How many cookies of our name are tried; a browser sends one. */
#define COOKIES_TRIED 4u

/* The first one that is valid; several of the name come from other paths or older times. */
static bool find_cookie(const struct identity_context *context, struct identity *identity)
{
    struct http_cookie_cursor cursor = { 0 };
    if (!context->head->by_name[HTTP_COOKIE])
        return false;
    for (unsigned i = 0; i < COOKIES_TRIED; i++) {
        struct span value = http_cookie_next(&cursor, context->head, SPAN(COOKIE_NAME));
        if (!value.data)
            return false;
        if (cookie_cache_verify(context->cookies, context->keys, value, context->wall,
                                &identity->cookie))
            return true;
    }
    return false;
}

static void be_anonymous(struct identity *identity, const char *device)
{
    identity->is_anonymous = true;
    identity->anonymous[0] = '~';
    memcpy(identity->anonymous + 1, device, DEVICE_ID_SIZE + 1);
    identity->customer = (struct span){ identity->anonymous, DEVICE_ID_SIZE + 1 };
    identity->device = span_from(identity->customer, 1);
}

/* A customer named by somebody we trust, who may pass on an anonymous one. */
static bool take_trusted(struct identity *identity, struct span customer)
{
    bool is_anonymous = customer.size > 1 && customer.data[0] == '~';
    if (!customer_id_is_valid(is_anonymous ? span_from(customer, 1) : customer))
        return false;
    identity->customer = customer;
    identity->is_anonymous = is_anonymous;
    if (is_anonymous)
        identity->device = span_from(customer, 1);
    return true;
}

static bool take_from_trusted_caller(const struct identity_context *context,
                                     struct identity *identity)
{
    baggage_read(context->head, &identity->baggage);
    identity->bom = identity->baggage.bom;
    identity->lane = identity->baggage.lane;
    if (take_trusted(identity, identity->baggage.customer)) {
        identity->source = IDENTITY_BAGGAGE;
        return true;
    }
    if (take_trusted(identity, http_head_value(context->head, HTTP_SARSEN_CUSTOMER))) {
        identity->source = IDENTITY_HEADER;
        return true;
    }
    return false;
}

void identity_read(const struct identity_context *context, struct identity *ret_identity)
{
    struct identity *identity = ret_identity;
    identity->source = IDENTITY_NOBODY;
    identity->customer = identity->device = identity->bom = identity->lane = SPAN_NULL;
    identity->is_anonymous = true;
    identity->has_cookie = find_cookie(context, identity);

    if (context->is_internal && take_from_trusted_caller(context, identity)) {
        if (!identity->is_anonymous && identity->has_cookie)
            identity->device = (struct span){ identity->cookie.device, DEVICE_ID_SIZE };
        return;
    }
    if (!identity->has_cookie)
        return;
    identity->source = IDENTITY_COOKIE;
    if (!identity->cookie.customer[0]) {
        be_anonymous(identity, identity->cookie.device);
        return;
    }
    identity->is_anonymous = false;
    identity->customer = span_of(identity->cookie.customer);
    identity->device = (struct span){ identity->cookie.device, DEVICE_ID_SIZE };
}

void identity_make_device(struct identity *identity, const uint8_t random[DEVICE_RANDOM_SIZE])
{
    char device[DEVICE_ID_SIZE + 1];
    hash_base32(random, DEVICE_RANDOM_SIZE, device);
    identity->source = IDENTITY_NEW_DEVICE;
    be_anonymous(identity, device);
}
