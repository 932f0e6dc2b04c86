#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One call of the management API, private to the room: from the matched route to the answer.
 *
 * A route names its functions in the spec:
 *   read   answers from what is known
 *   write  decides and fills a transaction; when it is durable, `read` answers, or 204
 *   first  runs before the write, for what takes time, and goes on with api_write()
 * The body is JSON held to the route's fields, or raw bytes that stream into a blob.
 */

#include <jansson.h>

#include "api/access.h"
#include "api/api.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "codec/health_check.h"
#include "codec/timefmt.h"
#include "http/server.h"
#include "store/store.h"

#define API_PARAMS_MAX 4u
#define API_BODY_MAX ((size_t)1024 * 1024)
#define API_UPLOAD_MAX ((uint64_t)256 * 1024 * 1024)

struct api_call;

enum api_kind {
    API_TEXT,
    API_BOOL,
    API_UINT,
    API_PERCENT,  /* 0 to 100, thousandths count */
    API_DURATION, /* "30s" */

    API_MAP,     /* object of texts */
    API_TEXTS,   /* array of texts */
    API_OBJECTS, /* array of objects with `fields` */
};

struct api_field {
    const char *name;
    enum api_kind kind;
    bool is_required;
    const struct api_field *fields; /* of API_OBJECTS; ends with a NULL name */
};

struct api_route {
    const char *method, *pattern; /* "/v1/services/{service}", a last "{path...}" takes slashes */
    const char *query;            /* the parameters it takes, with spaces between them */
    const char *log;              /* what the log says when a write of it is durable, or NULL */
    bool is_open;                 /* needs no token on loopback, while registration is open */
    bool is_raw;
    bool is_for_members;          /* another process of the cluster may call it, too */
    const struct api_field *body; /* NULL: no body */
    void (*read)(struct api_call *call);
    /* 0, or the HTTP status of the refusal; the problem is for the caller. */
    int (*write)(struct api_call *call, struct txn *txn, struct problem *problem);
    void (*first)(struct api_call *call);
    int64_t (*revision)(struct api_call *call); /* of the resource, for ETag and If-Match */
};

extern const struct api_route api_routes[];
extern const unsigned api_n_routes;
extern const char api_openapi[]; /* JSON */

struct api_call {
    struct list link; /* among the API's parked or settling calls, or in no list */
    struct api *api;
    struct rooms *rooms;
    struct loop *loop;
    struct http_exchange *exchange; /* NULL when the client is gone */
    const struct api_route *route;
    struct caller caller;
    struct span params[API_PARAMS_MAX];
    struct span query, if_match, allow; /* allow: the methods of a 405 */
    struct arena arena;                 /* lives as long as the call */
    struct buf bytes;                   /* of the body */
    json_t *body;
    bool is_dry_run;
    size_t n_changes;     /* of a write; one that changes nothing is not logged */
    bool is_sign_of_life; /* and no change that anybody made */
    bool is_created;      /* a write made something new: 201 */
    bool is_busy;    /* the store has the command, the blob or its audit row; the call must stay */
    bool is_refused; /* as soon as that is in the audit log; its body is nobody's business */
    struct store_command command;
    struct ledger_write audited;
    struct {
        int answer; /* as on_done of the command had them */
        bool is_store_answer;
    } written;
    struct span path, secret; /* secret: of a token that is being made */
    char peer[ADDRESS_TEXT_MAX];
    uint64_t audit_limit;
    struct ledger_read read;
    struct problem problem;
    json_t *plan;    /* of a dry run */
    json_t *members; /* more for the problem document of a refusal */
    struct blob_writer *blob;
    uint64_t n_uploaded;
    struct blob blob_done;
    struct timer wait; /* of a long poll */
    bool is_parked, is_wait_over;
};

nsec api_uptime(const struct api *api);
json_t *api_sandbox(const struct api *api);
bool api_is_draining(const struct api *api);

/* api_changed(), or api_settled(), goes on with the call. */
void api_keep_parked(struct api_call *call);
void api_keep_settling(struct api_call *call);

/* Leaves the call waiting until api_changed() or for `wait`; its route's read is called again. */
void api_park(struct api_call *call, nsec wait);

/* --- answering; each ends the call --- */

/* Takes the JSON. */
void api_reply(struct api_call *call, unsigned status, json_t *json);
void api_reply_empty(struct api_call *call, unsigned status);
void api_reply_text(struct api_call *call, unsigned status, const char *type, struct span text);
/* A file as it is; the descriptor is taken. */
void api_reply_file(struct api_call *call, int fd, uint64_t size);

/* A problem document; `members` (may be NULL) are added to it and taken. `problem` may be NULL. */
void api_refuse(struct api_call *call, unsigned status, const struct problem *problem,
                json_t *members);
void api_refuse_text(struct api_call *call, unsigned status, const char *text);

/* Runs the route's write until it is durable, then its read answers, or 204 where there is none;
 * on dry_run tells what it would do. */
void api_write(struct api_call *call);

/* Puts what a call did, or was refused, into the audit log; call->audited.on_done is called when it
 * is on disk. `status` is that of the refusal, 200 otherwise. */
void api_audit(struct api_call *call, unsigned status, const struct problem *problem);

/* A refusal by call->problem that is put into the audit log before it is answered. */
void api_refuse_audited(struct api_call *call, unsigned status);

/* Answers a write that is durable and settled. */
void api_answer_written(struct api_call *call);

/* The client is gone and nothing refers to the call any more. */
void api_call_end(struct api_call *call);

/* --- reading input --- */

/* Parses the body and holds it to the table. False: *ret_problem says why. */
bool api_body_check(struct api_call *call, struct problem *ret_problem);

/* Fields that were checked already; SPAN_NULL, 0, false when absent. */
struct span api_text(const json_t *object, const char *name);
uint64_t api_uint(const json_t *object, const char *name);
nsec api_duration(const json_t *object, const char *name);
uint32_t api_pct_milli(const json_t *object, const char *name);

/* Whether it is UTF-8 without control characters: fit for records, logs and JSON. */
bool api_is_text(struct span text);

/* A query parameter, percent-decoded into the call's arena; SPAN_NULL when absent. */
struct span api_query(struct api_call *call, const char *name);

/* Holds the names of the query to those the route takes, each once. False: *ret_problem says why. */
bool api_query_check(const struct api_call *call, struct problem *ret_problem);

/* The body's "expires": a time to come, a duration from now, or "never", which is 0. 0, or 400. */
int api_expires(const struct api_call *call, nsec by_default, unix_msec *ret_expires,
                struct problem *problem) MUST_CHECK;

/* A time, or a duration back from now. */
bool api_since(const struct api_call *call, struct span text, unix_msec *ret_since);

bool api_major(struct span text, uint32_t *ret_major);

/* --- writing output --- */

/* RFC 3339, null for 0. */
json_t *api_json_time(unix_msec time);
json_t *api_json_duration(nsec duration);
json_t *api_json_span(struct span span);

/* As registrations and settings write it; null for none. */
json_t *api_json_health(const struct health_check *health);

/* Takes a list and gives it in the order of a member's text (NULL: of the texts themselves),
 * versions in theirs; a restart shows the same. */
json_t *api_sorted(json_t *list, const char *member);

/* For a person: bytes that are no UTF-8, as where a text was cut, are left out. */
json_t *api_json_sentence(const char *text);

/* One table per room turns answers into statuses; 0 for 0, 500 for faults. */
int registry_status(int r);
int version_status(int r);
int rollout_status(int r);
int auth_status(int r);
