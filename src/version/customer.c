/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Customers and their pins. Nobody has to be announced: a customer that the room does not know is
 * served like everybody, and a pin alone makes one known.
 */

#include "version/version.h"

#include <stdio.h>

#include "base/mem.h"
#include "version/record.h"
#include "version/state.h"

#define ATTRIBUTE_VALUE_MAX 1024u

/* --- applying --- */

static void attributes_clear(struct customer *customer)
{
    for (unsigned i = 0; i < customer->n_attributes; i++) {
        free(customer->attributes[i].key);
        free(customer->attributes[i].value);
    }
    free(customer->attributes);
    customer->attributes = NULL;
    customer->n_attributes = 0;
}

static void pin_free(struct customer *customer, struct pin *pin)
{
    map_remove(&customer->pins, &pin->node);
    free(pin->app);
    free(pin->release);
    free(pin->why);
    free(pin->by);
    free(pin);
}

static void customer_free(struct version *version, struct customer *customer)
{
    attributes_clear(customer);
    map_each (node, &customer->pins)
        pin_free(customer, container_of(node, struct pin, node));
    map_fini(&customer->pins);
    map_remove(&version->customers, &customer->node);
    free(customer->id);
    free(customer);
}

void customers_fini(struct version *version)
{
    map_each (node, &version->customers)
        customer_free(version, container_of(node, struct customer, node));
    map_fini(&version->customers);
}

struct customer *customer_find(const struct version *version, struct span id)
{
    return map_find_as(&version->customers, id, struct customer, node);
}

static struct customer *customer_make(struct version *version, struct span id)
{
    struct customer *customer = customer_find(version, id);
    if (customer)
        return customer;

    customer = mem_new(struct customer);
    customer->id = mem_span_dup(id);
    map_init(&customer->pins);
    map_add(&version->customers, &customer->node, span_of(customer->id));
    return customer;
}

static void customer_tidy(struct version *version, struct customer *customer)
{
    if (!customer->mod_revision && !customer->pins.n_nodes)
        customer_free(version, customer);
}

int customer_apply(struct version *version, struct span name, const struct store_event *event)
{
    if (event->kind == TXN_DELETE) {
        struct customer *customer = customer_find(version, name);
        if (customer) {
            attributes_clear(customer);
            customer->mod_revision = 0;
            customer_tidy(version, customer);
        }
        return 0;
    }

    CLEANUP(version_record_freep) ProtobufCMessage *message = NULL;
    int r = version_record_decode(event, &version__customer_record__descriptor, &message);
    if (r)
        return err_trace(r);

    const Version__CustomerRecord *record = (const Version__CustomerRecord *)message;
    struct customer *customer = customer_make(version, name);
    attributes_clear(customer);
    customer->attributes = mem_new_array(struct instance_meta, record->n_attributes);
    for (size_t i = 0; i < record->n_attributes; i++) {
        customer->attributes[i].key = mem_strdup(record->attributes[i]->key);
        customer->attributes[i].value = mem_strdup(record->attributes[i]->value);
        customer->n_attributes++;
    }
    customer->created = record->created;
    customer->mod_revision = event->entry.mod_revision;
    return 0;
}

/* A customer's id may contain slashes, an app's name does not: the last one parts them. */
static bool pin_name_split(struct span name, struct span *ret_customer, struct span *ret_app)
{
    size_t at = name.size;
    while (at > 0 && name.data[at - 1] != '/')
        at--;
    if (at < 2)
        return false;
    *ret_customer = span_first(name, at - 1);
    *ret_app = span_from(name, at);
    return true;
}

int pin_apply(struct version *version, struct span name, const struct store_event *event)
{
    struct span id, app;
    if (!pin_name_split(name, &id, &app))
        return err_origin(-EBADMSG);

    if (event->kind == TXN_DELETE) {
        struct customer *customer = customer_find(version, id);
        struct pin *pin = customer ? map_find_as(&customer->pins, app, struct pin, node) : NULL;
        if (pin) {
            pin_free(customer, pin);
            customer_tidy(version, customer);
        }
        return 0;
    }

    CLEANUP(version_record_freep) ProtobufCMessage *message = NULL;
    int r = version_record_decode(event, &version__pin_record__descriptor, &message);
    if (r)
        return err_trace(r);

    const Version__PinRecord *record = (const Version__PinRecord *)message;
    struct customer *customer = customer_make(version, id);
    struct pin *pin = map_find_as(&customer->pins, app, struct pin, node);
    if (!pin) {
        pin = mem_new(struct pin);
        pin->app = mem_span_dup(app);
        map_add(&customer->pins, &pin->node, span_of(pin->app));
    }
    version_text_set(&pin->release, record->release);
    version_text_set(&pin->why, record->why);
    version_text_set(&pin->by, record->by);
    pin->expires = record->expires;
    pin->created = record->created;
    pin->mod_revision = event->entry.mod_revision;
    return 0;
}

/* --- commands --- */

static struct span pin_key(struct txn *txn, struct span customer, struct span app)
{
    return version_key(txn, VERSION_PREFIX "pin/%.*s/%.*s", SPAN_ARG(customer), SPAN_ARG(app));
}

static struct span customer_key(struct txn *txn, struct span id)
{
    return version_key(txn, VERSION_PREFIX "customer/%.*s", SPAN_ARG(id));
}

static int customer_id_check(struct span id, struct problem *problem)
{
    if (customer_id_is_valid(id))
        return 0;

    problem_set(problem, "customer",
                "is \"%.*s\"; 1 to %u visible ASCII characters are accepted, \"~\" not first",
                SPAN_ARG(span_first(id, 80)), CUSTOMER_ID_MAX);
    return VERSION_INVALID;
}

static int pin_spec_check(const struct pin_spec *spec, unix_msec wall, struct problem *problem)
{
    int r = customer_id_check(spec->customer, problem);
    if (r)
        return r;
    if (spec->expires && spec->expires <= wall) {
        problem_set(problem, "expires", "is in the past");
        return VERSION_INVALID;
    }
    if (!version_text_is_plain(spec->why, VERSION_TEXT_MAX) ||
        !version_text_is_plain(spec->by, VERSION_TEXT_MAX)) {
        problem_set(problem, version_text_is_plain(spec->why, VERSION_TEXT_MAX) ? "by" : "why",
                    "has control characters or more than %u bytes", VERSION_TEXT_MAX);
        return VERSION_INVALID;
    }
    return 0;
}

int pin_put(const struct version *version, const struct pin_spec *spec, unix_msec wall,
            struct txn *txn, struct problem *problem)
{
    int r = pin_spec_check(spec, wall, problem);
    if (!r)
        r = release_hold(version, spec->app, spec->release, txn, problem);
    if (r)
        return r;

    const struct customer *customer = customer_find(version, spec->customer);
    const struct pin *pin =
        customer ? map_find_as(&customer->pins, spec->app, struct pin, node) : NULL;
    struct span key = pin_key(txn, spec->customer, spec->app);
    Version__PinRecord record;
    version__pin_record__init(&record);
    record.release = version_text(txn, spec->release);
    record.why = version_text(txn, spec->why);
    record.by = version_text(txn, spec->by);
    record.expires = spec->expires;
    record.created = wall;
    txn_expect(txn, key, pin ? pin->mod_revision : 0);
    version_record_put(txn, key, &record.base);
    return 0;
}

int pin_delete(const struct version *version, struct span customer, struct span app,
               struct txn *txn)
{
    const struct customer *found = customer_find(version, customer);
    const struct pin *pin = found ? map_find_as(&found->pins, app, struct pin, node) : NULL;
    if (!pin)
        return VERSION_NOT_FOUND;

    struct span key = pin_key(txn, customer, app);
    txn_expect(txn, key, pin->mod_revision);
    txn_delete(txn, key);
    return 0;
}

/* What is accepted is what a cohort's expression can name. */
static int attribute_check(const struct instance_meta *attributes, unsigned i,
                           struct problem *problem)
{
    char where[96];
    struct span key = span_of(attributes[i].key);
    snprintf(where, sizeof(where), "attributes.%.*s", SPAN_ARG(span_first(key, 70)));
    if (!attribute_name_is_valid(key)) {
        problem_set(problem, where,
                    "is no name; letters, digits, \"_\", \"-\" and \".\" are accepted, a letter or "
                    "\"_\" first");
        return VERSION_INVALID;
    }
    if (span_is(key, "id")) {
        problem_set(problem, where, "is the customer's own id and cannot be given");
        return VERSION_INVALID;
    }
    if (!version_text_is_plain(span_of(attributes[i].value), ATTRIBUTE_VALUE_MAX)) {
        problem_set(problem, where, "has control characters or more than %u bytes",
                    ATTRIBUTE_VALUE_MAX);
        return VERSION_INVALID;
    }
    for (unsigned j = 0; j < i; j++) {
        if (strcmp(attributes[j].key, attributes[i].key) == 0) {
            problem_set(problem, where, "is there twice");
            return VERSION_INVALID;
        }
    }
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): each is a part of the operator's decision */
int customer_put(const struct version *version, struct span id,
                 const struct instance_meta *attributes, unsigned n_attributes, unix_msec wall,
                 struct txn *txn, struct problem *problem)
{
    int r = customer_id_check(id, problem);
    if (r)
        return r;
    if (n_attributes > INSTANCE_META_MAX) {
        problem_set(problem, "attributes", "are %u; at most %u are accepted", n_attributes,
                    INSTANCE_META_MAX);
        return VERSION_INVALID;
    }
    for (unsigned i = 0; i < n_attributes; i++) {
        r = attribute_check(attributes, i, problem);
        if (r)
            return r;
    }

    const struct customer *customer = customer_find(version, id);
    struct span key = customer_key(txn, id);
    Version__CustomerRecord record;
    version__customer_record__init(&record);
    record.created = customer && customer->mod_revision ? customer->created : wall;
    record.n_attributes = n_attributes;
    record.attributes =
        arena_new_array(&txn->arena, Version__CustomerRecord__AttributesEntry *, n_attributes);
    for (unsigned i = 0; i < n_attributes; i++) {
        record.attributes[i] = arena_new(&txn->arena, Version__CustomerRecord__AttributesEntry);
        version__customer_record__attributes_entry__init(record.attributes[i]);
        record.attributes[i]->key = attributes[i].key;
        record.attributes[i]->value = attributes[i].value;
    }
    txn_expect(txn, key, customer ? customer->mod_revision : 0);
    version_record_put(txn, key, &record.base);
    return 0;
}

/* A customer of pins alone expects its record to stay absent, so one that is put meanwhile is not
 * left without the pins its author saw. */
int customer_delete(const struct version *version, struct span id, struct txn *txn)
{
    const struct customer *customer = customer_find(version, id);
    if (!customer)
        return VERSION_NOT_FOUND;

    struct span key = customer_key(txn, id);
    txn_expect(txn, key, customer->mod_revision);
    if (customer->mod_revision)
        txn_delete(txn, key);
    map_each (node, &customer->pins) {
        const struct pin *pin = container_of(node, struct pin, node);
        struct span of_pin = pin_key(txn, id, span_of(pin->app));
        txn_expect(txn, of_pin, pin->mod_revision);
        txn_delete(txn, of_pin);
    }
    return 0;
}
