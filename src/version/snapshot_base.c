/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The base of a snapshot: its life, and the customers and BOMs in it. The room keeps the last one
 * until a record of what is in it changes.
 */

#include "base/mem.h"
#include "version/snapshot.h"
#include "version/state.h"

/* --- customers --- */

struct pin_set {
    struct map_node node; /* by the bytes of `members` */
    uint32_t number;
    struct pin_set_member {
        uint64_t app;
        const struct known_release *release;
    } members[];
};

/* Equal sets get equal numbers, from 1. */
static uint32_t pin_set_intern(struct snapshot_base *base, const struct known_pin *pins,
                               unsigned n_pins)
{
    if (!n_pins)
        return 0;

    struct pin_set_member members[APPS_MAX];
    for (unsigned i = 0; i < n_pins; i++)
        members[i] = (struct pin_set_member){ pins[i].app, pins[i].release };
    size_t size = n_pins * sizeof(members[0]);
    struct pin_set *set = map_find_as(
        &base->pin_sets, ((struct span){ (const char *)members, size }), struct pin_set, node);
    if (set)
        return set->number;

    set = arena_alloc(&base->arena, 1, sizeof(*set) + size);
    memcpy(set->members, members, size);
    set->number = (uint32_t)base->pin_sets.n_nodes + 1;
    map_add(&base->pin_sets, &set->node, (struct span){ (const char *)set->members, size });
    return set->number;
}

static int by_app(const void *a, const void *b)
{
    const struct known_pin *x = a, *y = b;
    return x->app < y->app ? -1 : x->app > y->app;
}

static void customer_add_pins(struct snapshot_base *base, struct known_customer *known,
                              const struct customer *customer, unix_msec wall)
{
    struct known_pin *pins =
        arena_new_array(&base->arena, struct known_pin, customer->pins.n_nodes);
    unsigned n = 0;
    map_each (node, &customer->pins) {
        const struct pin *pin = container_of(node, struct pin, node);
        const struct known_release *release =
            base_release(base, span_of(pin->app), span_of(pin->release));
        if (n == APPS_MAX || !release || (pin->expires && pin->expires <= wall))
            continue;
        uint32_t app = base_app(base, span_of(pin->app));
        pins[n++] = (struct known_pin){ app, release, pin->expires };
    }
    qsort(pins, n, sizeof(pins[0]), by_app);
    known->pins = pins;
    known->n_pins = n;
    known->pin_set = pin_set_intern(base, pins, n);
}

static void customer_add_attributes(struct snapshot_base *base, struct known_customer *known,
                                    const struct customer *customer)
{
    struct instance_meta *attributes =
        arena_new_array(&base->arena, struct instance_meta, customer->n_attributes);
    for (unsigned i = 0; i < customer->n_attributes; i++) {
        attributes[i].key = arena_strdup(&base->arena, customer->attributes[i].key);
        attributes[i].value = arena_strdup(&base->arena, customer->attributes[i].value);
    }
    known->attributes = attributes;
    known->n_attributes = customer->n_attributes;
}

void snapshot_base_add_customers(struct snapshot_base *base, const struct version *version,
                                 unix_msec wall)
{
    map_each (node, &version->customers) {
        const struct customer *customer = container_of(node, struct customer, node);
        if (!customer->pins.n_nodes && !base->has_attributes)
            continue; /* nobody asks for it */
        struct known_customer *known = arena_new(&base->arena, struct known_customer);
        customer_add_pins(base, known, customer, wall);
        if (base->has_attributes)
            customer_add_attributes(base, known, customer);
        map_add(&base->customers, &known->node, span_of(arena_strdup(&base->arena, customer->id)));
    }
}

static unix_msec first_expiry(const struct version *version, unix_msec wall)
{
    unix_msec next = 0;
    map_each (node, &version->customers) {
        const struct customer *customer = container_of(node, struct customer, node);
        map_each (pin_node, &customer->pins) {
            const struct pin *pin = container_of(pin_node, struct pin, node);
            if (pin->expires > wall && (!next || pin->expires < next))
                next = pin->expires;
        }
    }
    return next;
}

unix_msec version_next_expiry(const struct version *version, unix_msec wall)
{
    const struct snapshot_base *base = version->base;
    bool is_known = base && (!base->expiry || base->expiry > wall);
    return is_known ? base->expiry : first_expiry(version, wall);
}

/* --- the whole --- */

static void add_boms(struct snapshot_base *base, const struct version *version)
{
    map_each (node, &version->boms) {
        const struct kept_bom *kept = container_of(node, struct kept_bom, node);
        struct known_bom *known = arena_new(&base->arena, struct known_bom);
        known->json = span_of(arena_strdup(&base->arena, kept->json));
        known->last_assigned = kept->last_assigned;
        map_add(&base->boms, &known->node, span_of(arena_strdup(&base->arena, kept->id)));
    }
}

static struct snapshot_base *base_new(const struct version *version, bool wants_attributes,
                                      unix_msec wall)
{
    struct snapshot_base *base = mem_new(struct snapshot_base);
    base->n_refs = 1;
    base->has_attributes = wants_attributes;
    base->expiry = first_expiry(version, wall);
    map_init(&base->apps_by_name);
    map_init(&base->customers);
    map_init(&base->pin_sets);
    map_init(&base->boms);
    snapshot_base_add_apps(base, version);
    snapshot_base_add_customers(base, version, wall);
    add_boms(base, version);
    return base;
}

struct snapshot_base *snapshot_base_take(struct version *version, bool wants_attributes,
                                         unix_msec wall)
{
    struct snapshot_base *base = version->base;
    bool is_of_now =
        base && base->has_attributes == wants_attributes && (!base->expiry || base->expiry > wall);
    if (!is_of_now) {
        snapshot_base_unref(base);
        version->base = base = base_new(version, wants_attributes, wall);
    }
    base->n_refs++;
    return base;
}

struct snapshot_base *snapshot_base_unref(struct snapshot_base *base)
{
    if (!base || --base->n_refs)
        return NULL;

    snapshot_base_free_apps(base);
    map_fini(&base->apps_by_name);
    map_fini(&base->customers);
    map_fini(&base->pin_sets);
    map_fini(&base->boms);
    arena_fini(&base->arena);
    free(base);
    return NULL;
}
