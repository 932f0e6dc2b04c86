/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sessions, and the keys they hold. A session that ends gives its keys back or deletes them, and for
 * its lock delay nobody else gets them: whoever held one may not have noticed yet.
 *
 * A session with a TTL ends when it was not renewed for twice that long, which Consul's clients
 * rely on. Deadlines are in memory: after a restart each session has all of its time again. One with
 * checks ends when one of them turns critical, or goes.
 */

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/timefmt.h"
#include "faces/consul/owner.h"
#include "faces/consul/render.h"

#define PREFIX CONSUL_PREFIX "session/"
#define TTL_MIN (10 * NSEC_PER_SEC)
#define TTL_MAX (86400 * NSEC_PER_SEC)
#define TTL_TIMES 2u
#define DELAY_DEFAULT (15 * NSEC_PER_SEC)
#define DELAY_MAX (60 * NSEC_PER_SEC)
#define SECONDS_BELOW 1000u /* smaller numbers are seconds, others nanoseconds */
#define SESSIONS_MAX 10000u
#define SESSION_CHECKS_MAX 64u
#define SWEEP_EVERY 256u /* delays that are kept */

struct session {
    struct map_node node;
    char id[UUID_SIZE + 1];
    Consul__SessionRecord *record;
    int64_t create_revision, mod_revision;
    struct list held;
    struct list checked_link;  /* in the face's, where it has checks that can fail */
    struct heap_node deadline; /* in no heap without a TTL */
};

struct held_key {
    struct map_node node;
    struct list link; /* in the session's, or in none when that is not there */
    char *key;
    char session[UUID_SIZE + 1];
};

struct lock_delay {
    struct map_node node;
    char *key;
    nsec until;
};

static struct session *find(const struct consul *consul, struct span id)
{
    return map_find_as(&consul->sessions, id, struct session, node);
}

bool consul_session_expect(const struct consul *consul, struct span id, struct txn *txn)
{
    const struct session *session = find(consul, id);
    if (session)
        txn_expect(txn, span_of(arena_format(&txn->arena, PREFIX "%s", session->id)),
                   session->mod_revision);
    return session != NULL;
}

/* --- held keys --- */

static void drop_delay(struct consul *consul, struct lock_delay *delay)
{
    map_remove(&consul->delays, &delay->node);
    free(delay->key);
    free(delay);
}

/* Most keys are never asked for again. */
static void sweep_delays(struct consul *consul)
{
    map_each (node, &consul->delays) {
        struct lock_delay *delay = container_of(node, struct lock_delay, node);
        if (loop_now(consul->loop) >= delay->until)
            drop_delay(consul, delay);
    }
}

static void delay_key(struct consul *consul, struct span key, nsec time)
{
    struct lock_delay *delay = map_find_as(&consul->delays, key, struct lock_delay, node);
    if (!delay) {
        if (consul->delays.n_nodes % SWEEP_EVERY == SWEEP_EVERY - 1)
            sweep_delays(consul);
        delay = mem_new(struct lock_delay);
        delay->key = mem_span_dup(key);
        map_add(&consul->delays, &delay->node, (struct span){ delay->key, key.size });
    }
    delay->until = loop_now(consul->loop) + time;
}

bool consul_session_delays(struct consul *consul, struct span key)
{
    struct lock_delay *delay = map_find_as(&consul->delays, key, struct lock_delay, node);
    if (!delay)
        return false;
    if (loop_now(consul->loop) < delay->until)
        return true;
    drop_delay(consul, delay);
    return false;
}

static void drop_held(struct consul *consul, struct held_key *held)
{
    list_remove(&held->link);
    map_remove(&consul->held, &held->node);
    free(held->key);
    free(held);
}

/* A key was acquired while its session ended: it is given back, as soon as all has been applied. */
static void note_orphans(struct consul *consul)
{
    consul->has_orphans = true;
    if (!consul->is_expiring)
        timer_start(&consul->expire, consul->loop, loop_now(consul->loop));
}

void consul_session_hold(struct consul *consul, struct span key, struct span session)
{
    struct held_key *held = map_find_as(&consul->held, key, struct held_key, node);
    if (held && span_is(session, held->session))
        return;
    if (held)
        drop_held(consul, held);
    if (session.size == 0 || session.size > UUID_SIZE)
        return;
    held = mem_new(struct held_key);
    held->key = mem_span_dup(key);
    memcpy(held->session, session.data, session.size);
    map_add(&consul->held, &held->node, (struct span){ held->key, key.size });
    struct session *owner = find(consul, session);
    list_init(&held->link);
    if (owner)
        list_add_last(&owner->held, &held->link);
    else
        note_orphans(consul);
}

/* --- the fold --- */

static void plan_expiry(struct consul *consul)
{
    const struct heap_node *first = heap_first(&consul->deadlines);
    bool is_due = consul->has_orphans || consul->has_failed_checks;
    if (consul->is_expiring || (!first && !is_due))
        timer_stop(&consul->expire);
    else
        timer_start(&consul->expire, consul->loop, is_due ? loop_now(consul->loop) : first->at);
}

static bool is_own(const struct consul *consul, const struct session *session)
{
    return strcmp(session->record->owner, registry_self_id(consul->registry)) == 0;
}

/* The deadline runs where it was made or renewed last; TTL_MIN twice is more than a lease takes. */
static void renew(struct consul *consul, struct session *session)
{
    bool is_ours = registry_speaks_for(consul->registry, span_of(session->record->owner));
    if (session->record->ttl == 0 || !is_ours)
        heap_remove(&consul->deadlines, &session->deadline);
    else
        heap_set(&consul->deadlines, &session->deadline,
                 loop_now(consul->loop) + TTL_TIMES * session->record->ttl);
    plan_expiry(consul);
}

void consul_sessions_mind(struct consul *consul)
{
    map_each (node, &consul->sessions) {
        struct session *session = container_of(node, struct session, node);
        bool is_ours = registry_speaks_for(consul->registry, span_of(session->record->owner));
        if (!is_ours || !heap_has(&session->deadline))
            renew(consul, session);
    }
}

void consul_sessions_forgive(struct consul *consul)
{
    map_each (node, &consul->sessions)
        renew(consul, container_of(node, struct session, node));
}

/* Keys may have been read before the session that holds them. */
static void take_held(struct consul *consul, struct session *session)
{
    map_each (node, &consul->held) {
        struct held_key *held = container_of(node, struct held_key, node);
        if (strcmp(held->session, session->id) == 0 && list_is_empty(&held->link))
            list_add_last(&session->held, &held->link);
    }
}

/* --- checks --- */

/* That this node is there is one, too, which cannot fail. */
static bool is_steady(const char *check)
{
    return strcmp(check, "serfHealth") == 0;
}

/* What is told to another of us as its own is here among those of this node. */
static const struct consul_check *find_check(const struct consul *consul, const char *node,
                                             const char *id)
{
    const struct consul_check *check = consul_node_check(consul, span_of(node), span_of(id));
    return check ? check : consul_check_find(consul, span_of(id));
}

/* The first that is critical, or not there; NULL when all is well. */
static const char *find_failed(const struct consul *consul, const Consul__SessionRecord *record)
{
    for (size_t i = 0; i < record->n_node_checks + record->n_service_checks; i++) {
        const char *id = i < record->n_node_checks
                             ? record->node_checks[i]
                             : record->service_checks[i - record->n_node_checks];
        if (is_steady(id))
            continue;
        const struct consul_check *check = find_check(consul, record->node, id);
        if (!check || check->status == CHECK_CRITICAL)
            return id;
    }
    return NULL;
}

static bool is_checked(const Consul__SessionRecord *record)
{
    bool is_steadily = record->n_node_checks == 1 && is_steady(record->node_checks[0]);
    return record->n_service_checks > 0 || (record->n_node_checks > 0 && !is_steadily);
}

void consul_session_check_failed(struct consul *consul)
{
    if (list_is_empty(&consul->checked_sessions) || consul->has_failed_checks)
        return;
    consul->has_failed_checks = true;
    plan_expiry(consul);
}

static void drop(struct consul *consul, struct session *session)
{
    list_remove(&session->checked_link);
    take_held(consul, session);
    while (list_take_first(&session->held))
        consul->has_orphans = true;
    heap_remove(&consul->deadlines, &session->deadline);
    map_remove(&consul->sessions, &session->node);
    consul__session_record__free_unpacked(session->record, NULL);
    free(session);
    plan_expiry(consul);
}

int consul_session_apply(struct consul *consul, struct span id, const struct store_event *event)
{
    struct session *session = find(consul, id);
    topics_changed(&consul->topics, TOPIC_SESSIONS, SPAN_NULL);
    if (event->kind == TXN_DELETE) {
        consul->sessions_revision = event->entry.mod_revision;
        if (session)
            drop(consul, session);
        return 0;
    }
    Consul__SessionRecord *record = consul__session_record__unpack(
        NULL, event->entry.value.size, (const uint8_t *)event->entry.value.data);
    if (!record || id.size != UUID_SIZE) {
        if (record)
            consul__session_record__free_unpacked(record, NULL);
        return err_origin(-EBADMSG);
    }
    if (session) {
        consul__session_record__free_unpacked(session->record, NULL);
    } else {
        session = mem_new(struct session);
        memcpy(session->id, id.data, UUID_SIZE);
        list_init(&session->held);
        list_init(&session->checked_link);
        map_add(&consul->sessions, &session->node, (struct span){ session->id, UUID_SIZE });
        take_held(consul, session);
    }
    session->record = record;
    list_remove(&session->checked_link);
    if (is_checked(record))
        list_add_last(&consul->checked_sessions, &session->checked_link);
    consul_session_check_failed(consul); /* since it was decided, perhaps */
    session->create_revision = event->entry.create_revision;
    session->mod_revision = event->entry.mod_revision;
    renew(consul, session);
    return 0;
}

/* --- the end of a session --- */

static struct span record_key(struct arena *arena, const char *id)
{
    return span_of(arena_format(arena, PREFIX "%s", id));
}

/* What it holds first, as much as one transaction takes, and then the session. */
static void end_session(struct consul *consul, struct session *session, struct txn *txn)
{
    while (!list_is_empty(&session->held) && txn_has_room(txn, 2)) {
        struct held_key *held = container_of(session->held.next, struct held_key, link);
        struct span key = { held->key, held->node.key.size };
        if (session->record->lock_delay)
            delay_key(consul, key, session->record->lock_delay);
        consul_kv_release(consul, key, session->record->deletes, txn);
        list_remove(&held->link); /* it is the key's record that says who holds it */
    }
    if (list_is_empty(&session->held)) {
        struct span key = record_key(&txn->arena, session->id);
        txn_expect(txn, key, session->mod_revision);
        txn_delete(txn, key);
    }
}

/* As many as one transaction takes. There are none left when none is found, which is looked for
 * again after each release, for the store may have refused it. */
static void release_orphans(struct consul *consul, struct txn *txn)
{
    map_each (node, &consul->held) {
        const struct held_key *held = container_of(node, struct held_key, node);
        if (find(consul, span_of(held->session)))
            continue;
        consul_kv_release(consul, held->node.key, false, txn);
        if (!txn_has_room(txn, 1))
            return;
    }
    consul->has_orphans = txn->n_ops > 0;
}

/* As orphans are: until none is found. */
static void end_failed(struct consul *consul, struct txn *txn)
{
    list_each (link, &consul->checked_sessions) {
        struct session *session = container_of(link, struct session, checked_link);
        const char *check = find_failed(consul, session->record);
        if (!check)
            continue;
        log_info("consul", "session ended: a check of it is critical", "session", session->id,
                 "check", check);
        take_held(consul, session);
        end_session(consul, session, txn);
        if (!txn_has_room(txn, 2))
            return;
    }
    consul->has_failed_checks = txn->n_ops > 0;
}

static int build_expire(struct store_command *command, struct txn *txn)
{
    struct consul *consul = container_of(command, struct consul, expire_command);
    if (consul->has_orphans)
        release_orphans(consul, txn);
    if (consul->has_orphans)
        return 0;
    if (consul->has_failed_checks)
        end_failed(consul, txn);
    if (consul->has_failed_checks)
        return 0;
    struct heap_node *first = heap_first(&consul->deadlines);
    if (!first || first->at > loop_now(consul->loop))
        return 0;
    struct session *session = container_of(first, struct session, deadline);
    log_info("consul", "session expired: not renewed within twice its ttl", "session", session->id);
    take_held(consul, session);
    end_session(consul, session, txn);
    consul->settings.fence(consul->settings.owner, txn);
    return 0;
}

static void on_expired(struct store_command *command, int answer, bool is_store_answer,
                       int64_t revision)
{
    struct consul *consul = container_of(command, struct consul, expire_command);
    (void)revision;
    consul->is_expiring = false;
    if (answer && is_store_answer) /* read-only, most likely */
        timer_start(&consul->expire, consul->loop, loop_now(consul->loop) + NSEC_PER_SEC);
    else
        plan_expiry(consul);
}

static void on_expire_due(struct timer *timer)
{
    struct consul *consul = container_of(timer, struct consul, expire);
    if (!consul->settings.on_judge(consul->settings.owner)) {
        timer_start(timer, consul->loop, loop_now(consul->loop) + NSEC_PER_SEC);
        return;
    }
    consul->is_expiring = true;
    consul->expire_command.build = build_expire;
    consul->expire_command.on_done = on_expired;
    store_run(consul->store, &consul->expire_command);
}

void consul_session_init(struct consul *consul)
{
    map_init(&consul->sessions);
    map_init(&consul->held);
    map_init(&consul->delays);
    list_init(&consul->checked_sessions);
    consul->sessions_revision = store_revision(consul->store);
    consul->expire.on_due = on_expire_due;
}

void consul_session_fini(struct consul *consul)
{
    map_each (node, &consul->sessions)
        drop(consul, container_of(node, struct session, node));
    map_each (held, &consul->held)
        drop_held(consul, container_of(held, struct held_key, node));
    map_each (delay, &consul->delays)
        drop_delay(consul, container_of(delay, struct lock_delay, node));
    map_fini(&consul->sessions);
    map_fini(&consul->held);
    map_fini(&consul->delays);
    heap_fini(&consul->deadlines);
    timer_stop(&consul->expire);
}

/* --- calls --- */

static void put_texts(struct json_out *out, struct span name, char **texts, size_t n)
{
    json_key(out, name);
    if (n == 0) {
        json_none(out);
        return;
    }
    json_open(out, '[');
    for (size_t i = 0; i < n; i++)
        json_text(out, span_of(texts[i]));
    json_close(out, ']');
}

/* As they were registered: objects, or nothing at all. */
static void put_service_checks(struct json_out *out, const Consul__SessionRecord *record)
{
    json_key(out, SPAN("ServiceChecks"));
    if (record->n_service_checks == 0) {
        json_none(out);
        return;
    }
    json_open(out, '[');
    for (size_t i = 0; i < record->n_service_checks; i++) {
        json_open(out, '{');
        put_text(out, "ID", span_of(record->service_checks[i]));
        put_text(out, "Namespace", SPAN(""));
        json_close(out, '}');
    }
    json_close(out, ']');
}

static void put_session(struct json_out *out, const struct session *session)
{
    const Consul__SessionRecord *record = session->record;
    char ttl[TIME_TEXT_MAX] = "";
    if (record->ttl)
        duration_format(record->ttl, ttl);
    json_open(out, '{');
    put_text(out, "ID", span_of(session->id));
    put_text(out, "Name", span_of(record->name));
    put_text(out, "Node", span_of(record->node));
    json_key(out, SPAN("LockDelay"));
    json_uint(out, record->lock_delay);
    put_text(out, "Behavior", record->deletes ? SPAN("delete") : SPAN("release"));
    put_text(out, "TTL", span_of(ttl));
    put_texts(out, SPAN("NodeChecks"), record->node_checks, record->n_node_checks);
    put_service_checks(out, record);
    json_key(out, SPAN("CreateIndex"));
    json_int(out, consul_index(session->create_revision));
    json_key(out, SPAN("ModifyIndex"));
    json_int(out, consul_index(session->mod_revision));
    json_close(out, '}');
}

static int64_t newest(const struct consul *consul)
{
    int64_t index = consul->sessions_revision;
    map_each (node, &consul->sessions) {
        const struct session *session = container_of(node, struct session, node);
        if (session->mod_revision > index)
            index = session->mod_revision;
    }
    return index;
}

/* Those whose id, or node, is `only`; all without either. */
static void reply_sessions(struct consul_call *call, struct span id, struct span on_node)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    if (!consul_is_due(call, newest(call->consul), TOPIC_SESSIONS, SPAN_NULL))
        return;
    json_open(&out, '[');
    map_each (node, &call->consul->sessions) {
        const struct session *session = container_of(node, struct session, node);
        bool is_id = !id.data || span_is(id, session->id);
        bool is_node = !on_node.data || span_is(on_node, session->record->node);
        if (is_id && is_node)
            put_session(&out, session);
    }
    json_close(&out, ']');
    consul_reply_json(call, &text);
}

void consul_session_info(struct consul_call *call)
{
    reply_sessions(call, call->tail, SPAN_NULL);
}

void consul_session_list(struct consul_call *call)
{
    reply_sessions(call, SPAN_NULL, SPAN_NULL);
}

void consul_session_node(struct consul_call *call)
{
    reply_sessions(call, SPAN_NULL, call->tail);
}

static void reply_renewed(struct consul_call *call)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    struct session *session = find(call->consul, call->tail);
    if (!session) {
        consul_refuse(call, 404, "Session id '%.*s' not found",
                      SPAN_ARG(span_first(call->tail, 64)));
        return;
    }
    renew(call->consul, session);
    json_open(&out, '[');
    put_session(&out, session);
    json_close(&out, ']');
    consul_reply_json(call, &text);
}

/* It is ours from now on. */
static int build_claim(struct consul_call *call, struct txn *txn)
{
    const struct session *session = find(call->consul, call->tail);
    if (!session || is_own(call->consul, session))
        return 0;
    Consul__SessionRecord record = *session->record;
    record.owner = arena_strdup(&txn->arena, registry_self_id(call->consul->registry));
    struct span key = record_key(&txn->arena, session->id);
    txn_expect(txn, key, session->mod_revision);
    txn_put(txn, key, txn_pack(txn, &record.base));
    return 0;
}

void consul_session_renew(struct consul_call *call)
{
    const struct session *session = find(call->consul, call->tail);
    if (session && session->record->ttl && !is_own(call->consul, session))
        consul_write(call, build_claim, reply_renewed);
    else
        reply_renewed(call);
}

static int build_destroy(struct consul_call *call, struct txn *txn)
{
    struct session *session = find(call->consul, call->tail);
    if (session) {
        take_held(call->consul, session);
        end_session(call->consul, session, txn);
    }
    return 0;
}

static void destroy_rest(struct consul_call *call)
{
    if (find(call->consul, call->tail))
        consul_write(call, build_destroy, destroy_rest);
    else
        consul_reply_bool(call, true);
}

void consul_session_destroy(struct consul_call *call)
{
    destroy_rest(call);
}

/* --- making one --- */

/* "15s", or a number: small ones are seconds. */
static bool read_delay(json_t *value, nsec *ret_delay)
{
    double number = json_number_value(value);
    if (!json_is_number(value) || number >= SECONDS_BELOW || number < 0)
        return consul_read_duration(value, ret_delay);
    *ret_delay = (nsec)(number * (double)NSEC_PER_SEC);
    return true;
}

/* Names, or objects with an ID. */
static int read_checks(struct consul_call *call, json_t *body, const char *member,
                       char ***ret_texts, size_t *ret_n)
{
    json_t *list = consul_member(body, member);
    if (!list)
        return 0;
    size_t n = json_array_size(list);
    *ret_texts = arena_new_array(&call->arena, char *, n + 1);
    for (size_t i = 0; i < n && n <= SESSION_CHECKS_MAX; i++) {
        json_t *one = json_array_get(list, i);
        const char *name = json_string_value(json_is_object(one) ? consul_member(one, "ID") : one);
        if (name)
            (*ret_texts)[(*ret_n)++] = arena_strdup(&call->arena, name);
    }
    if (json_is_array(list) && *ret_n == n)
        return 0;
    return consul_deny(call, 400, "%s is no list of at most %u checks, each by its ID", member,
                       SESSION_CHECKS_MAX);
}

/* Without a word of checks it is bound to the node's being there. */
static int read_all_checks(struct consul_call *call, json_t *body, Consul__SessionRecord *record)
{
    const char *old = consul_member(body, "NodeChecks") ? "NodeChecks" : "Checks";
    int r = read_checks(call, body, old, &record->node_checks, &record->n_node_checks);
    if (!r)
        r = read_checks(call, body, "ServiceChecks", &record->service_checks,
                        &record->n_service_checks);
    if (r || consul_member(body, old))
        return r;
    record->node_checks = arena_new_array(&call->arena, char *, 1);
    record->node_checks[0] = arena_strdup(&call->arena, "serfHealth");
    record->n_node_checks = 1;
    return 0;
}

static int judge_checks(struct consul_call *call, const Consul__SessionRecord *record)
{
    const struct consul *consul = call->consul;
    const char *failed = find_failed(consul, record);
    bool is_ours = consul_node_is_ours(consul, span_of(record->node));
    for (size_t i = 0; i < record->n_node_checks && !is_ours && !failed; i++)
        failed = is_steady(record->node_checks[i]) ? record->node_checks[i] : NULL;
    if (!failed)
        return 0;
    if (!find_check(consul, record->node, failed))
        return consul_deny(call, 500, "Missing check '%.80s' registration", failed);
    return consul_deny(call, 500, "Check '%.80s' is in critical state", failed);
}

static int read_times(struct consul_call *call, json_t *body, Consul__SessionRecord *record)
{
    nsec delay = DELAY_DEFAULT, ttl = 0;
    if (!read_delay(consul_member(body, "LockDelay"), &delay))
        return consul_deny(call, 400, "LockDelay is no duration; \"15s\" is one");
    if (!consul_read_duration(consul_member(body, "TTL"), &ttl))
        return consul_deny(call, 400, "TTL is no duration; \"30s\" is one");
    if (ttl && (ttl < TTL_MIN || ttl > TTL_MAX))
        return consul_deny(call, 400, "Invalid Session TTL, must be between [10s=24h0m0s]");
    record->lock_delay = delay > DELAY_MAX ? DELAY_MAX : delay;
    record->ttl = ttl;
    return 0;
}

static int read_session(struct consul_call *call, json_t *body, Consul__SessionRecord *record)
{
    const char *behavior = json_string_value(consul_member(body, "Behavior"));
    const char *name = json_string_value(consul_member(body, "Name"));
    const char *node = json_string_value(consul_member(body, "Node"));
    if (behavior && behavior[0] && strcmp(behavior, "release") != 0 &&
        strcmp(behavior, "delete") != 0)
        return consul_deny(call, 400, "Invalid Behavior setting '%s'; release and delete are",
                           behavior);
    bool is_ours = !node || !node[0] || consul_node_is_ours(call->consul, span_of(node));
    if (!is_ours && !consul_node_find(call->consul, span_of(node)))
        return consul_deny(call, 500, "Missing node registration");
    record->deletes = behavior && strcmp(behavior, "delete") == 0;
    record->name = arena_strdup(&call->arena, name ? name : "");
    record->node = arena_strdup(&call->arena, is_ours ? call->consul->settings.node : node);
    int r = read_times(call, body, record);
    if (!r)
        r = read_all_checks(call, body, record);
    return r ? r : judge_checks(call, record);
}

static int build_create(struct consul_call *call, struct txn *txn)
{
    Consul__SessionRecord record;
    json_t *body = NULL;
    consul__session_record__init(&record);
    if (call->consul->sessions.n_nodes >= SESSIONS_MAX)
        return consul_deny(call, 500, "there are %u sessions already", SESSIONS_MAX);
    if (call->body.size) {
        body = json_loadb(call->body.data, call->body.size, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(body)) {
            json_decref(body);
            return consul_deny(call, 400, "Request decode failed: the body is no JSON object");
        }
    }
    record.owner = arena_strdup(&txn->arena, registry_self_id(call->consul->registry));
    int r = read_session(call, body, &record);
    json_decref(body);
    if (r)
        return r;
    uint8_t bytes[16];
    char *id = arena_alloc(&call->arena, UUID_SIZE + 1, 1);
    hash_random(bytes, sizeof(bytes));
    hash_uuid(bytes, id);
    call->tail = span_of(id);
    struct span key = record_key(&txn->arena, id);
    txn_expect(txn, key, 0);
    txn_put(txn, key, txn_pack(txn, &record.base));
    return 0;
}

static void reply_created(struct consul_call *call)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct json_out out = { .buf = &text };
    json_open(&out, '{');
    json_key(&out, SPAN("ID"));
    json_text(&out, call->tail);
    json_close(&out, '}');
    consul_reply_json(call, &text);
}

void consul_session_create(struct consul_call *call)
{
    consul_write(call, build_create, reply_created);
}
