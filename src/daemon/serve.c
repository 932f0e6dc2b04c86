/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/serve.h"

#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/confine.h"
#include "daemon/control.h"
#include "daemon/predecessor.h"
#include "daemon/resources.h"
#include "daemon/settings.h"
#include "daemon/settings_files.h"
#include "daemon/successor.h"
#include "io/file.h"
#include "io/notify.h"
#include "io/process.h"
#include "io/signals.h"
#include "io/socket.h"

#define CONSUL_STANDARD "127.0.0.1:8500" /* where its clients look */
#define EXIT_FAILED 1
#define EXIT_USAGE 2

static const char *const dev_usage =
    "usage: sarsen dev [-c FILE] [--data DIR | --ephemeral] [-- COMMAND ARGUMENT…]\n"
    "\n"
    "Everything on loopback in one process, data kept in ./.sarsen. With a COMMAND: starts it when\n"
    "Sarsen is ready, with SARSEN_ADDRESS, SARSEN_TOKEN, SARSEN_GATEWAY and SARSEN_DATA in its\n"
    "environment, and ends with it.\n"
    "\n"
    "  -c FILE       a config file; `sarsen config reference` lists its keys\n"
    "  --data DIR    keep data there\n"
    "  --ephemeral   keep data in a directory below $TMPDIR and remove it at the end\n";

static const char *const server_usage =
    "usage: sarsen server -c FILE [--takeover]\n"
    "\n"
    "Serves by the config file. SIGHUP reads it again, SIGTERM drains and ends.\n"
    "\n"
    "  --takeover    take over from the process that serves from the same data directory, if there\n"
    "                is one: its sockets and its store, while it drains. `sarsen upgrade` does that\n"
    "                in the background\n";

static const char *const config_usage =
    "usage: sarsen config check FILE    tells whether the file would be accepted\n"
    "       sarsen config reference     the keys, as Markdown\n"
    "       sarsen config schema        the keys, as JSON Schema\n";

struct server {
    struct loop *loop;
    struct settings *settings;
    struct settings *old_settings; /* of before a reload; workers may still read them */
    struct control *control;
    struct confine confine; /* of `sarsen server`: a command of `sarsen dev` is to be executed */
    struct predecessor *predecessor; /* NULL: nobody is taken over from, and nobody takes over */
    struct successor *successor;
    int ready_fd; /* written to when everything serves; -1: nobody waits */
    struct signals signals;
    struct process child;
    char *const *child_argv; /* NULL: none */
    const char *config;
    const char *data; /* from the command line */
    struct timer child_grace;
    bool is_dev, is_ephemeral, is_ready, is_stopping, is_control_stopped;
    bool is_takeover, has_stop; /* another process takes over: when that fails, we stop */
    int status;
};

/* --- what a person reads --- */

static void print_problem(const char *file, const struct problem *problem)
{
    fprintf(stderr, "sarsen: ");
    if (file)
        fprintf(stderr, "%s: ", file);
    if (problem->line)
        fprintf(stderr, "line %u: ", problem->line);
    fprintf(stderr, "%s%s%s\n", problem->path, problem->path[0] ? " " : "", problem->text);
}

/* The addresses of one kind of listener, with spaces between them. */
static char *listeners_text(const struct server *server, bool is_internal)
{
    struct buf text = { 0 };
    for (unsigned i = 0; i < server->settings->gateway.n_listeners; i++) {
        if (server->settings->gateway.listeners[i].is_internal != is_internal)
            continue;
        char address[ADDRESS_TEXT_MAX];
        const char *scheme =
            server->settings->gateway.listeners[i].tls.n_pairs ? "https://" : "http://";
        control_listener_text(server->control, i, address, sizeof(address));
        buf_printf(&text, "%s%s%s", text.size ? " " : "",
                   strncmp(address, "unix:", 5) == 0 ? "" : scheme, address);
    }
    return buf_take_text(&text);
}

static void print_ready(const struct server *server)
{
    char api[ADDRESS_TEXT_MAX], consul[ADDRESS_TEXT_MAX];
    CLEANUP(mem_freep) char *edge = listeners_text(server, false);
    CLEANUP(mem_freep) char *internal = listeners_text(server, true);
    control_api_text(server->control, api, sizeof(api));
    control_consul_text(server->control, consul, sizeof(consul));
    if (!server->is_dev) {
        log_info("daemon", "ready", "management", api, "edge", edge, "internal", internal, "data",
                 server->settings->data, consul[0] ? "consul" : NULL, consul);
        return;
    }
    printf("sarsen %s is ready, bound to loopback; data in %s%s\n", SARSEN_VERSION,
           server->settings->data, server->is_ephemeral ? " until it ends" : "");
    printf(" gateway     %s\n internal    %s\n", edge, internal);
    printf(" management  %s://%s  token in %s/token\n",
           server->settings->api_tls.certificate ? "https" : "http", api, server->settings->data);
    if (consul[0])
        printf(" consul      http://%s\n", consul);
    printf("Ctrl-C ends it.\n");
    fflush(stdout);
}

/* --- the command of `sarsen dev -- COMMAND` --- */

static void stop(struct server *server, int status);

/* Sarsen ends when it has stopped serving and its command has ended. */
static void end_when_stopped(struct server *server)
{
    if (server->is_control_stopped && !server->child.pid)
        loop_stop(server->loop);
}

static void on_child_grace(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, child_grace);
    process_kill(&server->child);
    end_when_stopped(server);
}

static void on_child_exit(struct process *process, int wait_status)
{
    struct server *server = container_of(process, struct server, child);
    if (server->is_stopping)
        end_when_stopped(server);
    else
        stop(server,
             WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status));
}

/* From the root where a socket's address has room for that: the command may go elsewhere. */
static void set_data(const char *data)
{
    char *whole = realpath(data, NULL);
    setenv("SARSEN_DATA", whole ? whole : data, 1);
    CLEANUP(mem_freep) char *far = mem_format("unix:%s/gateway.sock", whole ? whole : data);
    CLEANUP(mem_freep) char *near = mem_format("unix:%s/gateway.sock", data);
    struct address address;
    setenv("SARSEN_GATEWAY", address_parse(span_of(far), &address) ? near : far, 1);
    free(whole);
}

static void set_environment(const struct server *server)
{
    char text[ADDRESS_TEXT_MAX], address[ADDRESS_TEXT_MAX + 8];
    control_api_text(server->control, text, sizeof(text));
    snprintf(address, sizeof(address), "%s://%s",
             server->settings->api_tls.certificate ? "https" : "http", text);
    setenv("SARSEN_ADDRESS", address, 1);
    setenv("SARSEN_TOKEN", control_token(server->control), 1);
    set_data(server->settings->data);
}

static void start_child(struct server *server)
{
    set_environment(server);
    server->child.on_exit = on_child_exit;
    int r =
        process_start(&server->child, server->loop, (const char *const *)server->child_argv, NULL);
    if (r) {
        fprintf(stderr, "sarsen: %s cannot be started\n", server->child_argv[0]);
        stop(server, 127);
    }
}

/* --- life --- */

static void on_stopped(void *owner)
{
    struct server *server = owner;
    server->is_control_stopped = true;
    log_info("daemon", "stopped");
    end_when_stopped(server);
}

/* Between two processes there is nothing to stop: either the other one gets ready, and this one
 * drains anyway, or it does not, and then it is time. Who asks twice is in a hurry. */
static bool is_stopped_later(struct server *server)
{
    if (server->is_stopping || !successor_is_busy(server->successor))
        return false;
    if (server->has_stop)
        loop_stop(server->loop);
    server->has_stop = true;
    return true;
}

static void stop(struct server *server, int status)
{
    if (server->is_ready && is_stopped_later(server))
        return;
    server->status = status;
    if (server->is_stopping || !server->is_ready) {
        loop_stop(server->loop);
        return;
    }
    server->is_stopping = true;
    notify_send("STOPPING=1");
    process_signal(&server->child, SIGTERM);
    server->child_grace.on_due = on_child_grace;
    timer_start(&server->child_grace, server->loop,
                loop_now(server->loop) + server->settings->drain_grace);
    control_stop(server->control, on_stopped, server);
}

/* --- another process --- */

static void on_left(void *owner)
{
    struct server *server = owner;
    log_info("daemon", "stopped");
    loop_stop(server->loop);
}

static void on_lost(void *owner)
{
    struct server *server = owner;
    server->status = EXIT_FAILED;
    loop_stop(server->loop);
}

static void on_kept(void *owner)
{
    struct server *server = owner;
    if (server->has_stop)
        stop(server, 0);
}

static void open_to_successor(struct server *server)
{
    struct successor_hooks hooks = { on_left, on_kept, on_lost, server };
    server->successor =
        successor_new(server->loop, server->control, server->predecessor,
                      predecessor_take_door(server->predecessor), server->settings->data, &hooks);
}

static void on_ready(void *owner)
{
    struct server *server = owner;
    server->is_ready = true;
    if (server->predecessor)
        open_to_successor(server);
    print_ready(server);
    notify_send("READY=1\nMAINPID=%d", (int)getpid());
    if (server->ready_fd >= 0)
        IGNORE(write(server->ready_fd, "\n", 1) < 0, "then nobody waits any more");
    fd_closep(&server->ready_fd);
    server->ready_fd = -1;
    if (server->child_argv)
        start_child(server);
}

static void on_failed(void *owner, const struct problem *problem)
{
    struct server *server = owner;
    print_problem(NULL, problem);
    stop(server, EXIT_FAILED);
}

static int confine(void *owner, struct problem *problem)
{
    struct server *server = owner;
    int r = confine_bind(server->settings, predecessor_given(server->predecessor), problem);
    if (!r)
        r = confine_enter(&server->confine, server->settings, server->config, problem);
    return r > 0 ? CONTROL_REFUSED : err_trace(r);
}

static int check(void *owner, const struct settings *settings, struct problem *problem)
{
    const struct server *server = owner;
    return confine_check(&server->confine, settings, problem) ? CONTROL_REFUSED : 0;
}

/* Loads the config file; what stands against it is told in a sentence. */
static int load_file(const char *file, const char *data, struct settings **ret_settings,
                     struct problem *problem)
{
    int r = settings_load(file, data, ret_settings, problem);
    if (r == SETTINGS_ABSENT)
        problem_set(problem, "", "there is no such file");
    if (r < 0)
        problem_set(problem, "", "it cannot be read: %s", strerror(-r));
    return r;
}

static int load(const struct server *server, struct settings **ret_settings,
                struct problem *problem)
{
    int r = load_file(server->config, server->data, ret_settings, problem);
    if (!r && server->is_dev && !server->config) {
        (*ret_settings)->consul_listen = arena_strdup(&(*ret_settings)->arena, CONSUL_STANDARD);
        (*ret_settings)->consul_is_optional = true;
    }
    if (!r)
        resources_share_descriptors(&(*ret_settings)->gateway);
    return r;
}

/* Whoever renamed a log file sends SIGHUP too, and is served whatever becomes of the settings. */
static void reload(struct server *server)
{
    struct problem problem = { 0 };
    CLEANUP(settings_freep) struct settings *settings = NULL;
    if (!server->config) {
        control_reopen_logs(server->control);
        return;
    }
    int r = load(server, &settings, &problem);
    if (!r)
        r = control_reload(server->control, settings, &problem);
    if (r) {
        print_problem(server->config, &problem);
        log_error("daemon", "the config file was refused; the old one stays", "file",
                  server->config);
        control_reopen_logs(server->control);
        return;
    }
    settings_free(server->old_settings);
    server->old_settings = server->settings;
    server->settings = steal(settings);
    log_info("daemon", "reloaded", "file", server->config);
}

static void on_hangup(struct server *server)
{
    if (!server->is_ready)
        return;
    if (successor_is_busy(server->successor)) {
        log_warn("daemon", "another process is taking over; it has read the config file");
        control_reopen_logs(server->control);
        return;
    }
    notify_reloading();
    reload(server);
    notify_send("READY=1"); /* by the old settings, where the new ones were refused */
}

static void on_signal(struct signals *signals, int signal)
{
    struct server *server = container_of(signals, struct server, signals);
    if (signal == SIGHUP)
        on_hangup(server);
    else if (signal == SIGTERM || signal == SIGINT)
        stop(server, 0);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)status;
    (void)kind;
    (void)at;
    return remove(path);
}

static int serve(struct server *server)
{
    struct problem problem = { 0 };
    resources_raise_descriptors();
    if (load(server, &server->settings, &problem)) {
        print_problem(server->config, &problem);
        return EXIT_FAILED;
    }
    log_setup(server->settings->log_level, server->settings->log_is_json);

    server->loop = loop_new(clock_system());
    server->signals.on_signal = on_signal;
    int r = signals_open(&server->signals, server->loop);
    struct control_hooks hooks = { .on_ready = on_ready,
                                   .on_failed = on_failed,
                                   .owner = server,
                                   .predecessor = server->predecessor };
    if (!server->is_dev) {
        hooks.confine = confine;
        hooks.check = check;
        hooks.sandbox = &server->confine.report;
    }
    if (!r && server->is_takeover)
        r = predecessor_ask(server->predecessor, server->settings->data, &problem);
    if (!r)
        r = control_start(server->loop, server->settings, &hooks, &server->control, &problem);
    if (r < 0 && !problem.text[0])
        problem_set(&problem, "", "it cannot start: %s", strerror(-r));
    if (r)
        print_problem(NULL, &problem);
    if (!r)
        r = loop_run(server->loop);
    return r ? EXIT_FAILED : server->status;
}

static int serve_and_clean(struct server *server)
{
    int status = serve(server);
    timer_stop(&server->child_grace);
    process_kill(&server->child);
    successor_free(server->successor);
    control_free(server->control);
    predecessor_free(server->predecessor);
    signals_close(&server->signals);
    loop_free(server->loop);
    settings_free(server->old_settings);
    if (server->is_ephemeral)
        nftw(server->data, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    settings_free(server->settings);
    confine_fini(&server->confine);
    return status;
}

/* --- arguments --- */

int serve_dev(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "data", required_argument, NULL, 'd' },
        { "ephemeral", no_argument, NULL, 'e' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct server server = { .is_dev = true, .child.pidfd = -1, .ready_fd = -1 };
    const char *base = getenv("TMPDIR");
    CLEANUP(mem_freep) char *temporary = mem_format("%s/sarsen.XXXXXX", base ? base : "/tmp");
    int option;
    while ((option = getopt_long(argc, argv, "+c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c': server.config = optarg; break;
        case 'd': server.data = optarg; break;
        case 'e': server.is_ephemeral = true; break;
        case 'h': fputs(dev_usage, stdout); return 0;
        default: fputs(dev_usage, stderr); return EXIT_USAGE;
        }
    }
    if (server.is_ephemeral && server.data) {
        fprintf(stderr, "sarsen: --data and --ephemeral exclude each other\n");
        return EXIT_USAGE;
    }
    if (server.is_ephemeral)
        server.data = mkdtemp(temporary);
    if (server.is_ephemeral && !server.data) {
        fprintf(stderr, "sarsen: %s cannot be made: %s\n", temporary, strerror(errno));
        return EXIT_FAILED;
    }
    if (optind < argc)
        server.child_argv = argv + optind;
    return serve_and_clean(&server);
}

int serve_server(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "takeover", no_argument, NULL, 't' },
        { "ready-fd", required_argument, NULL, 'r' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct server server = { .child.pidfd = -1, .ready_fd = -1 };
    uint64_t ready_fd;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c': server.config = optarg; break;
        case 't': server.is_takeover = true; break;
        case 'r':
            if (span_to_uint(span_of(optarg), INT32_MAX, &ready_fd))
                server.ready_fd = (int)ready_fd;
            break;
        case 'h': fputs(server_usage, stdout); return 0;
        default: fputs(server_usage, stderr); return EXIT_USAGE;
        }
    }
    if (!server.config || optind < argc) {
        fputs(server_usage, stderr);
        return EXIT_USAGE;
    }
    if (server.ready_fd >= 0)
        fcntl(server.ready_fd, F_SETFD, FD_CLOEXEC);
    server.predecessor = predecessor_new();
    if (server.ready_fd >= 0)
        predecessor_want_output(server.predecessor);
    return serve_and_clean(&server);
}

static int check_config(const char *file)
{
    struct problem problem = { 0 };
    CLEANUP(settings_freep) struct settings *settings = NULL;
    if (load_file(file, NULL, &settings, &problem) || settings_check_files(settings, &problem)) {
        print_problem(file, &problem);
        return EXIT_FAILED;
    }
    printf("%s is fine\n", file);
    return 0;
}

int serve_config(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "check") == 0)
        return check_config(argv[2]);

    CLEANUP(buf_fini) struct buf text = { 0 };
    if (argc == 2 && strcmp(argv[1], "reference") == 0)
        settings_write_reference(&text);
    else if (argc == 2 && strcmp(argv[1], "schema") == 0)
        settings_write_schema(&text);
    if (!text.size) {
        fputs(config_usage, argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : EXIT_USAGE;
    }
    fwrite(text.data, 1, text.size, stdout);
    return 0;
}
