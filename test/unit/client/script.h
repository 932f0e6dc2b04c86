#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A server that answers by script, on a thread of its own and a real socket: the n-th request gets
 * the n-th line. What was asked is kept for the test to look at after script_end().
 */

#include <pthread.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"
#include "io/socket.h"

struct script_line {
    const char *answer; /* NULL: none */
    bool closes;        /* the connection, after it */
    size_t size;        /* of the answer; 0: all of it */
    bool is_early;      /* answers when the head is there, and does not read the body */
};

struct script {
    const struct script_line *lines;
    unsigned n_lines, n_connections, n_requests;
    int listen_fd;
    char address[ADDRESS_TEXT_MAX + 8]; /* "http://127.0.0.1:4711" */
    pthread_t thread;
    char requests[16][8192];
};

static inline size_t script_body_size(const char *head)
{
    const char *field = strstr(head, "Content-Length: ");
    return field ? strtoul(field + 16, NULL, 10) : 0;
}

/* One request into `text`; false when the client has closed. */
static inline bool script_read(int fd, char *text, size_t size, bool is_early)
{
    size_t n_got = 0;
    for (;;) {
        text[n_got] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        if (end && (is_early || n_got >= (size_t)(end + 4 - text) + script_body_size(text)))
            return true;
        ssize_t n = read(fd, text + n_got, size - 1 - n_got);
        if (n <= 0)
            return false;
        n_got += (size_t)n;
    }
}

static inline void *script_run(void *owner)
{
    struct script *script = owner;
    int fd = -1;
    while (script->n_requests < script->n_lines) {
        const struct script_line *line = &script->lines[script->n_requests];
        if (fd < 0) {
            fd = accept(script->listen_fd, NULL, NULL);
            script->n_connections++;
        }
        char *text = script->requests[script->n_requests];
        if (!script_read(fd, text, sizeof(script->requests[0]), line->is_early)) {
            close(fd);
            fd = -1;
            continue;
        }
        script->n_requests++;
        size_t size = !line->answer ? 0 : line->size ? line->size : strlen(line->answer);
        if (size)
            IGNORE((int)send(fd, line->answer, size, MSG_NOSIGNAL), "the client may be gone");
        if (line->closes) {
            shutdown(fd, SHUT_WR);
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

#define SCRIPT_START(lines) script_start((lines), sizeof(lines) / sizeof((lines)[0]))

static inline struct script *script_start(const struct script_line *lines, unsigned n_lines)
{
    struct script *script = mem_new(struct script);
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    script->lines = lines;
    script->n_lines = n_lines;
    CHECK_INT(address_parse(SPAN("127.0.0.1:0"), &address), 0);
    CHECK_INT(socket_listen(&address, false, &script->listen_fd), 0);
    CHECK_INT(socket_address(script->listen_fd, &address), 0);
    address_format(&address, text);
    snprintf(script->address, sizeof(script->address), "http://%s", text);
    /* accept() is to wait, since this thread has no loop. */
    int flags = fcntl(script->listen_fd, F_GETFL);
    CHECK_INT(fcntl(script->listen_fd, F_SETFL, flags & ~O_NONBLOCK), 0);
    CHECK_INT(pthread_create(&script->thread, NULL, script_run, script), 0);
    return script;
}

/* Waits until every line was used. */
static inline void script_end(struct script *script)
{
    pthread_join(script->thread, NULL);
    CHECK_INT(script->n_requests, script->n_lines);
}

static inline void script_free(struct script *script)
{
    close(script->listen_fd);
    free(script);
}
