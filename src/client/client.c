/* SPDX-License-Identifier: Apache-2.0 */

#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "client/tls.h"

#define PATH_MAX_SIZE 2048u

const char *sarsen_strerror(int error)
{
    switch (error) {
#define SARSEN_ERROR_TEXT(name, value, text)                                                       \
    case name: return text;
        SARSEN_ERRORS(SARSEN_ERROR_TEXT)
#undef SARSEN_ERROR_TEXT
    default: return error ? "unknown error" : "done";
    }
}

/* --- memory --- */

static void *resize_system(void *owner, void *block, size_t size)
{
    (void)owner;
    if (size)
        return realloc(block, size);
    free(block);
    return NULL;
}

const struct client_memory client_memory_system = { .resize = resize_system };

void *client_alloc(const struct client_memory *memory, size_t size)
{
    void *block = memory->resize(memory->owner, NULL, size);
    if (block)
        memset(block, 0, size);
    return block;
}

void client_release(const struct client_memory *memory, void *block)
{
    if (block)
        memory->resize(memory->owner, block, 0);
}

static char *copy(const struct client_memory *memory, const char *text, size_t size)
{
    char *made = client_alloc(memory, size + 1);
    if (made)
        memcpy(made, text, size);
    return made;
}

/* --- the address --- */

static int set_unix(sarsen_client *client, const char *path)
{
    if (!*path || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return SARSEN_EADDRESS;
    client->socket_path = copy(client->memory, path, strlen(path));
    return client->socket_path ? 0 : SARSEN_ENOMEM;
}

/* "host:port" or "[::1]:port". */
static int set_tcp(sarsen_client *client, const char *text)
{
    const char *port = strrchr(text, ':');
    size_t size = port ? (size_t)(port - text) : 0;
    if (size == 0 || !port[1] || strspn(port + 1, "0123456789") != strcspn(port + 1, "/"))
        return SARSEN_EADDRESS;
    client->authority = copy(client->memory, text, strcspn(text, "/"));
    if (text[0] == '[' && text[size - 1] == ']') {
        text++;
        size -= 2;
    }
    client->host = copy(client->memory, text, size);
    client->port = copy(client->memory, port + 1, strcspn(port + 1, "/"));
    return client->authority && client->host && client->port ? 0 : SARSEN_ENOMEM;
}

static int set_address(sarsen_client *client, const char *address)
{
    if (strncmp(address, "unix:", 5) == 0)
        return set_unix(client, strncmp(address, "unix://", 7) == 0 ? address + 7 : address + 5);
    if (strncmp(address, "http://", 7) == 0)
        return set_tcp(client, address + 7);
    client->is_tls = strncmp(address, "https://", 8) == 0;
    if (client->is_tls)
        return set_tcp(client, address + 8);
    return SARSEN_EADDRESS;
}

static const char *or_environment(const char *value, const char *name, const char *fallback)
{
    if (value)
        return value;
    const char *found = getenv(name);
    return found && *found ? found : fallback;
}

/* A line end or a space within would make another request of it. */
static bool is_request_word(const char *text)
{
    for (; text && *text; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f)
            return false;
    }
    return text;
}

/* NULL stays NULL. False without memory. */
static bool keep(sarsen_client *client, const char *text, char **ret_text)
{
    *ret_text = text ? copy(client->memory, text, strlen(text)) : NULL;
    return *ret_text || !text;
}

/* A caller that was built with an older header has shorter options. */
#define OPTIONS_SIZE_MIN offsetof(sarsen_options, ca)

int client_new(const struct client_memory *memory, const sarsen_options *options,
               sarsen_client **ret_client)
{
    if (!options || options->size < OPTIONS_SIZE_MIN || !ret_client)
        return SARSEN_EINVALID;
    const char *token = or_environment(options->token, "SARSEN_TOKEN", NULL);
    const char *ca =
        or_environment(options->size < sizeof(*options) ? NULL : options->ca, "SARSEN_CA", NULL);
    if (token && !is_request_word(token))
        return SARSEN_EINVALID;
    sarsen_client *client = client_alloc(memory, sizeof(*client));
    if (!client)
        return SARSEN_ENOMEM;

    client->memory = memory;
    client->fd = -1;
    client->timeout_ms = options->timeout_ms ? options->timeout_ms : CLIENT_TIMEOUT_MS;
    int r = set_address(
        client, or_environment(options->address, "SARSEN_ADDRESS", "http://127.0.0.1:7000"));
    if (!r && (!keep(client, token, &client->token) || !keep(client, ca, &client->ca)))
        r = SARSEN_ENOMEM;
    if (r) {
        sarsen_client_free(client);
        return r;
    }
    *ret_client = client;
    return 0;
}

int sarsen_client_new(const sarsen_options *options, sarsen_client **ret_client)
{
    return client_new(&client_memory_system, options, ret_client);
}

void sarsen_client_free(sarsen_client *client)
{
    if (!client)
        return;
    const struct client_memory *memory = client->memory;
    transport_close(client);
    tls_free(client->tls);
    client_release(memory, client->authority);
    client_release(memory, client->host);
    client_release(memory, client->port);
    client_release(memory, client->socket_path);
    client_release(memory, client->token);
    client_release(memory, client->ca);
    client_release(memory, client);
}

int sarsen_status(const sarsen_client *client)
{
    return client->status;
}

const char *sarsen_problem(const sarsen_client *client)
{
    return client->problem;
}

/* --- calls --- */

static void keep_problem(sarsen_client *client, const sarsen_value *document)
{
    const char *detail = sarsen_value_text(sarsen_value_get(document, "detail"));
    if (!*detail)
        detail = sarsen_value_text(sarsen_value_get(document, "title"));
    snprintf(client->problem, sizeof(client->problem), "%s", *detail ? detail : "no reason given");
}

/* Takes the body's bytes into a value; an empty body is a NULL value. */
static int parse_answer(sarsen_client *client, const struct bytes *body, sarsen_value **ret_value)
{
    json_error_t error;
    json_t *json = NULL;
    if (body->size) {
        json = json_loadb(body->data, body->size, JSON_DECODE_ANY, &error);
        if (!json && client->status < 400)
            return json_is_exhausted(&error) ? SARSEN_ENOMEM : SARSEN_EPROTOCOL;
    }
    if (client->status >= 400)
        keep_problem(client, (const sarsen_value *)json);
    if (ret_value)
        *ret_value = (sarsen_value *)json;
    else
        json_decref(json);
    return client->status >= 400 ? SARSEN_EREFUSED : 0;
}

static int run(sarsen_client *client, const struct request *request, sarsen_value **ret_value)
{
    client->status = 0;
    client->problem[0] = '\0';
    struct bytes body = { .memory = client->memory };
    int r = transport_call(client, request, &body);
    if (!r)
        r = parse_answer(client, &body, ret_value);
    bytes_fini(&body);
    return r;
}

int sarsen_call(sarsen_client *client, const char *method, const char *path, const char *body,
                sarsen_value **ret_value)
{
    if (!is_request_word(method) || !is_request_word(path) || path[0] != '/')
        return SARSEN_EINVALID;
    struct request request = {
        .method = method,
        .path = path,
        .content_type = body ? "application/json" : NULL,
        .body = body,
        .body_size = body ? strlen(body) : 0,
    };
    return run(client, &request, ret_value);
}

int sarsen_upload(sarsen_client *client, const char *path, const void *bytes, size_t size,
                  sarsen_value **ret_value)
{
    if (!is_request_word(path) || path[0] != '/')
        return SARSEN_EINVALID;
    struct request request = {
        .method = "PUT",
        .path = path,
        .content_type = "application/octet-stream",
        .body = bytes,
        .body_size = size,
    };
    return run(client, &request, ret_value);
}

/* Appends a path segment, percent-encoded as RFC 3986 wants it. False when it does not fit. */
static bool put_segment(char *path, size_t *size, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                        (byte >= '0' && byte <= '9') || strchr("-._~:@", byte);
        if (*size + 4 > PATH_MAX_SIZE)
            return false;
        if (is_plain) {
            path[(*size)++] = (char)byte;
        } else {
            path[(*size)++] = '%';
            path[(*size)++] = digits[byte >> 4];
            path[(*size)++] = digits[byte & 15];
        }
    }
    path[*size] = '\0';
    return true;
}

static bool put_text(char *path, size_t *size, const char *text)
{
    int n = snprintf(path + *size, PATH_MAX_SIZE - *size, "%s", text);
    *size += n > 0 ? (size_t)n : 0;
    return *size < PATH_MAX_SIZE;
}

static int instance_path(char *path, const char *service, const char *id, const char *verb)
{
    size_t size = 0;
    if (!service || !id || !*service || !*id)
        return SARSEN_EINVALID;
    bool fits = put_text(path, &size, "/v1/services/") && put_segment(path, &size, service) &&
                put_text(path, &size, "/instances/") && put_segment(path, &size, id) &&
                put_text(path, &size, verb);
    return fits ? 0 : SARSEN_EINVALID;
}

static int instance_call(sarsen_client *client, const char *method, const char *service,
                         const char *id, const char *verb)
{
    char path[PATH_MAX_SIZE];
    int r = instance_path(path, service, id, verb);
    return r ? r : sarsen_call(client, method, path, NULL, NULL);
}

static int pack_error(const json_error_t *error)
{
    return json_error_code(error) == json_error_invalid_utf8 ? SARSEN_EINVALID : SARSEN_ENOMEM;
}

/* Adds one text to a list, or "name=value" to an object. */
static int add_text(json_t *whole, const char *text)
{
    json_error_t error;
    bool is_list = json_is_array(whole);
    size_t size = strcspn(text, "=");
    json_t *one =
        is_list ? json_pack_ex(&error, 0, "[s]", text)
                : json_pack_ex(&error, 0, "{s%:s}", text, size, text[size] ? text + size + 1 : "");
    if (!one)
        return pack_error(&error);
    int r = is_list ? json_array_extend(whole, one) : json_object_update(whole, one);
    json_decref(one);
    return r ? SARSEN_ENOMEM : 0;
}

/* `whole` is the caller's until it is a member. */
static int put_texts(json_t *object, const char *name, json_t *whole, const char *const *texts)
{
    int r = whole ? 0 : SARSEN_ENOMEM;
    for (size_t i = 0; !r && texts && texts[i]; i++)
        r = add_text(whole, texts[i]);
    if (!r && texts && json_object_set(object, name, whole))
        r = SARSEN_ENOMEM;
    json_decref(whole);
    return r;
}

/* A caller that was built with an older header has a shorter structure. */
#define INSTANCE_SIZE_MIN offsetof(sarsen_instance, grpc_services)

static int put_instance(const sarsen_instance *instance, json_t **ret_json)
{
    sarsen_instance given = { .size = sizeof(given) };
    memcpy(&given, instance, instance->size < sizeof(given) ? instance->size : sizeof(given));
    json_error_t error;
    json_t *json = json_pack_ex(&error, 0, "{s:s, s:s*, s:s*, s:s*, s:s*}", "address",
                                given.address, "build", given.build, "ttl", given.ttl, "protocol",
                                given.protocol, "deregister_after", given.deregister_after);
    if (!json)
        return pack_error(&error);
    int r = put_texts(json, "grpc_services", json_array(), given.grpc_services);
    if (!r)
        r = put_texts(json, "health", json_object(), given.health);
    if (r)
        json_decref(json);
    else
        *ret_json = json;
    return r;
}

int sarsen_register(sarsen_client *client, const sarsen_instance *instance)
{
    if (!instance || instance->size < INSTANCE_SIZE_MIN || !instance->address)
        return SARSEN_EINVALID;
    char path[PATH_MAX_SIZE];
    json_t *json = NULL;
    int r = instance_path(path, instance->service, instance->id, "");
    if (!r)
        r = put_instance(instance, &json);
    if (r)
        return r;

    struct bytes body = { .memory = client->memory };
    r = bytes_add_json(&body, json, JSON_COMPACT);
    json_decref(json);
    if (!r)
        r = sarsen_call(client, "PUT", path, body.data, NULL);
    bytes_fini(&body);
    return r;
}

int sarsen_heartbeat(sarsen_client *client, const char *service, const char *id)
{
    return instance_call(client, "POST", service, id, ":heartbeat");
}

int sarsen_drain(sarsen_client *client, const char *service, const char *id)
{
    return instance_call(client, "POST", service, id, ":drain");
}

int sarsen_deregister(sarsen_client *client, const char *service, const char *id)
{
    return instance_call(client, "DELETE", service, id, "");
}

int sarsen_explain(sarsen_client *client, const char *customer, const char *app,
                   sarsen_value **ret_value)
{
    char path[PATH_MAX_SIZE];
    size_t size = 0;
    bool fits = customer && *customer && put_text(path, &size, "/v1/customers/") &&
                put_segment(path, &size, customer) && put_text(path, &size, "/explain");
    if (fits && app)
        fits = put_text(path, &size, "?app=") && put_segment(path, &size, app);
    return fits ? sarsen_call(client, "GET", path, NULL, ret_value) : SARSEN_EINVALID;
}
