/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The rules and customers of a snapshot. A rule whose members cannot all be reached now is
 * suspended whole: a customer is moved to all of a train or to nothing of it.
 */

#include "version/snapshot.h"

#include "base/mem.h"
#include "version/cohort.h"
#include "version/state.h"

/* Each returns why the rule must be suspended, or NULL. A release of a suspended rule is added all
 * the same: it can be assigned again at any time, which retirement has to know. */
static const char *release_member_add(struct version_snapshot *snapshot, struct known_rule *known,
                                      const struct rule_member *member)
{
    const struct known_release *release =
        snapshot_release_known(snapshot, span_of(member->owner), span_of(member->version));
    if (!release) {
        return arena_format(&snapshot->arena, "%s %s is not published", member->owner,
                            member->version);
    }

    known->releases[known->n_releases++] = release;
    for (unsigned i = 0; i < release->n_needs; i++) {
        if (snapshot_need_contract(snapshot, &release->needs[i]) == NO_INDEX) {
            return arena_format(&snapshot->arena,
                                "%s %s requires %s %s, and no active contract is that",
                                member->owner, member->version, release->needs[i].service_name,
                                release->needs[i].range_text);
        }
    }
    return NULL;
}

static const char *build_member_add(struct version_snapshot *snapshot, struct bom_build *moves,
                                    unsigned *n_moves, const struct rule_member *member)
{
    uint32_t service = snapshot_service(snapshot, span_of(member->owner));
    uint32_t build = snapshot_build(snapshot, span_of(member->owner), span_of(member->version));
    if (build == NO_INDEX || !snapshot->builds[build].is_ready) {
        return arena_format(&snapshot->arena, "%s %s has no ready instance", member->owner,
                            member->version);
    }

    for (unsigned i = 0; i < member->n_provides; i++) {
        uint32_t contract = snapshot_contract(snapshot, service, member->provides[i]);
        if (contract != NO_INDEX && !snapshot->contracts[contract].is_offline &&
            snapshot->contracts[contract].baseline != build)
            moves[(*n_moves)++] = (struct bom_build){ contract, build };
    }
    return NULL;
}

static void rule_add(struct version_snapshot *snapshot, const struct version_rule *rule)
{
    unsigned n_provides = 0;
    for (unsigned i = 0; i < rule->n_members; i++)
        n_provides += rule->members[i].n_provides;
    struct bom_build *moves = arena_new_array(&snapshot->arena, struct bom_build, n_provides);
    struct known_rule *known = &snapshot->rules[snapshot->n_rules++];
    *known = (struct known_rule){
        .rollout = snapshot_text(snapshot, rule->rollout),
        .salt = span_of(snapshot_text(snapshot, rule->salt)),
        .subject = rule->subject,
        .pct_milli = rule->pct_milli,
        .cohort = cohort_rule_copy(rule->cohort),
        .moves = moves,
        .releases =
            arena_new_array(&snapshot->arena, const struct known_release *, rule->n_members),
    };
    for (unsigned i = 0; i < rule->n_members; i++) {
        const struct rule_member *member = &rule->members[i];
        const char *suspended = member->is_release
                                    ? release_member_add(snapshot, known, member)
                                    : build_member_add(snapshot, moves, &known->n_moves, member);
        if (suspended && !known->suspended)
            known->suspended = suspended;
    }
    snapshot->n_moves += known->n_moves;
}

void snapshot_add_rules(struct version_snapshot *snapshot, const struct version_rule *rules,
                        unsigned n_rules)
{
    for (unsigned i = 0; i < n_rules && i < RULES_MAX; i++)
        rule_add(snapshot, &rules[i]);
}

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
static uint32_t pin_set_intern(struct version_snapshot *snapshot, const struct known_pin *pins,
                               unsigned n_pins)
{
    if (!n_pins)
        return 0;

    struct pin_set_member members[APPS_MAX];
    for (unsigned i = 0; i < n_pins; i++)
        members[i] = (struct pin_set_member){ pins[i].app, pins[i].release };
    size_t size = n_pins * sizeof(members[0]);
    struct pin_set *set = map_find_as(
        &snapshot->pin_sets, ((struct span){ (const char *)members, size }), struct pin_set, node);
    if (set)
        return set->number;

    set = arena_alloc(&snapshot->arena, 1, sizeof(*set) + size);
    memcpy(set->members, members, size);
    set->number = (uint32_t)snapshot->pin_sets.n_nodes + 1;
    map_add(&snapshot->pin_sets, &set->node, (struct span){ (const char *)set->members, size });
    return set->number;
}

static int by_app(const void *a, const void *b)
{
    const struct known_pin *x = a, *y = b;
    return x->app < y->app ? -1 : x->app > y->app;
}

static void customer_add_pins(struct version_snapshot *snapshot, struct known_customer *known,
                              const struct customer *customer)
{
    struct known_pin *pins =
        arena_new_array(&snapshot->arena, struct known_pin, customer->pins.n_nodes);
    unsigned n = 0;
    map_each (node, &customer->pins) {
        const struct pin *pin = container_of(node, struct pin, node);
        const struct known_release *release =
            snapshot_release_known(snapshot, span_of(pin->app), span_of(pin->release));
        if (n == APPS_MAX || !release || (pin->expires && pin->expires <= snapshot->wall))
            continue;
        uint32_t app = snapshot_app(snapshot, span_of(pin->app));
        pins[n++] = (struct known_pin){ app, release, pin->expires };
    }
    qsort(pins, n, sizeof(pins[0]), by_app);
    known->pins = pins;
    known->n_pins = n;
    known->pin_set = pin_set_intern(snapshot, pins, n);
}

static void customer_add_attributes(struct version_snapshot *snapshot, struct known_customer *known,
                                    const struct customer *customer)
{
    struct instance_meta *attributes =
        arena_new_array(&snapshot->arena, struct instance_meta, customer->n_attributes);
    for (unsigned i = 0; i < customer->n_attributes; i++) {
        attributes[i].key = snapshot_text(snapshot, customer->attributes[i].key);
        attributes[i].value = snapshot_text(snapshot, customer->attributes[i].value);
    }
    known->attributes = attributes;
    known->n_attributes = customer->n_attributes;
}

/* Attributes matter only to cohorts; without any, customers without pins need no entry. */
static bool has_cohorts(const struct version_snapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->n_rules; i++) {
        if (snapshot->rules[i].cohort)
            return true;
    }
    return false;
}

void snapshot_add_customers(struct version_snapshot *snapshot, const struct version *version)
{
    bool wants_attributes = has_cohorts(snapshot);
    map_each (node, &version->customers) {
        const struct customer *customer = container_of(node, struct customer, node);
        if (!customer->pins.n_nodes && !wants_attributes)
            continue;
        struct known_customer *known = arena_new(&snapshot->arena, struct known_customer);
        customer_add_pins(snapshot, known, customer);
        if (wants_attributes)
            customer_add_attributes(snapshot, known, customer);
        map_add(&snapshot->customers, &known->node, span_of(snapshot_text(snapshot, customer->id)));
    }
}

unix_msec version_next_expiry(const struct version *version, unix_msec wall)
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
