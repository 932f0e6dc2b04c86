/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/publish.h"

static const struct verb *const tables[] = { registry_verbs, version_verbs, rollout_verbs,
                                             usage_verbs,    auth_verbs,    meta_verbs };

#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

static void print_http2(const sarsen_value *http2)
{
    double n_calmed = sarsen_value_number(sarsen_value_get(http2, "calmed"));
    double n_broken = sarsen_value_number(sarsen_value_get(http2, "broken"));
    if (n_calmed + n_broken <= 0)
        return;
    printf(
        "connections of HTTP/2 were ended: %.0f for too much, %.0f for what is against the "
        "protocol\n",
        n_calmed, n_broken);
}

static void print_failing(const sarsen_value *instances)
{
    for (size_t i = 0; i < sarsen_value_size(instances); i++) {
        const sarsen_value *instance = sarsen_value_at(instances, i);
        printf("%s of %s is failing: %s\n", sarsen_value_text(sarsen_value_get(instance, "id")),
               sarsen_value_text(sarsen_value_get(instance, "service")),
               sarsen_value_text(sarsen_value_get(instance, "reason")));
    }
}

static void print_panics(const sarsen_value *builds)
{
    for (size_t i = 0; i < sarsen_value_size(builds); i++) {
        const sarsen_value *build = sarsen_value_at(builds, i);
        printf("%s %s: %.0f of %.0f instances are well, so all are used\n",
               sarsen_value_text(sarsen_value_get(build, "service")),
               sarsen_value_text(sarsen_value_get(build, "build")),
               sarsen_value_number(sarsen_value_get(build, "ready")),
               sarsen_value_number(sarsen_value_get(build, "instances")));
    }
}

static void print_health(const sarsen_value *value)
{
    printf("%s, version %s, revision %.0f\n", sarsen_value_text(sarsen_value_get(value, "status")),
           sarsen_value_text(sarsen_value_get(value, "version")),
           sarsen_value_number(sarsen_value_get(value, "revision")));
    const char *pressure = sarsen_value_text(sarsen_value_get(value, "pressure"));
    if (pressure && strcmp(pressure, "none") != 0)
        printf("memory is short: %s\n", pressure);
    double panics = sarsen_value_number(sarsen_value_get(value, "panics"));
    if (panics > 0)
        printf("static upstreams of which too few pass their checks, so that all are used: %.0f\n",
               panics);
    double n_to_come = sarsen_value_number(sarsen_value_get(value, "files_to_come"));
    if (n_to_come > 0)
        printf("files of releases still to come from other members: %.0f\n", n_to_come);
    const char *etcd = sarsen_value_text(sarsen_value_get(value, "trouble"));
    if (etcd && etcd[0])
        printf("the etcd cannot be used now: %s\n", etcd);
    const char *trouble = sarsen_value_text(sarsen_value_get(value, "tls_trouble"));
    if (trouble && trouble[0])
        printf("new certificates were refused, the old ones stay: %s\n", trouble);
    print_http2(sarsen_value_get(value, "http2"));
    print_panics(sarsen_value_get(value, "panic_builds"));
    print_failing(sarsen_value_get(value, "failing_instances"));
}

/* A 503 tells what is wrong, in the same shape. */
static int health(struct command *command)
{
    sarsen_value *value = NULL;
    int r = sarsen_call(command->client, "GET", "/v1/health", NULL, &value);
    bool is_told = sarsen_value_get(value, "revision") != NULL;
    if (is_told)
        command_show(command, value, print_health);
    sarsen_value_free(value);
    if (r && !is_told)
        return command_fail(command, r);
    return r ? CLI_FAILED : CLI_OK;
}

static void print_raw(const sarsen_value *value)
{
    char *text = sarsen_value_json(value);
    puts(text ? text : "");
    free(text);
}

static int call(struct command *command)
{
    struct buf body = { 0 };
    CLEANUP(buf_fini) struct buf path = { 0 };
    if (command->n_operands > 2)
        buf_puts(&body, command->operands[2]);
    buf_puts(&path, command->operands[1]);
    command_put_dry_run(command, &path);
    buf_put(&path, (struct span){ "", 1 });
    return command_call(command, command->operands[0], path.data,
                        command->n_operands > 2 ? &body : NULL, print_raw);
}

const struct verb meta_verbs[] = {
    { "publish", "DIR", "", 1, 1,
      "Publishes a release of a frontend: DIR/sarsen.json is its manifest, the rest its files.",
      publish },
    { "health", "", "", 0, 0, "Tells whether Sarsen serves.", health },
    { "cluster", "", "", 0, 0, "Lists the processes that share one state.", cluster },
    { "call", "METHOD PATH [JSON]", "", 2, 3, "Makes any call of the management API.", call },
    { 0 },
};

#define FORM_WIDTH 40u

/* "  form        help", with the second lines of a help below its first. */
static void print_form(FILE *out, const char *name, const char *operands, const char *text)
{
    CLEANUP(mem_freep) char *form = mem_format("%s%s%s", name, *operands ? " " : "", operands);
    struct span help = span_of(text), line = span_cut(&help, '\n');
    size_t width = text_width(form);
    int pad = width < FORM_WIDTH ? (int)(FORM_WIDTH - width) : 0;
    fprintf(out, "  %s%*s %.*s\n", form, pad, "", SPAN_ARG(line));
    while (help.data) {
        line = span_cut(&help, '\n');
        fprintf(out, "  %*s %.*s\n", (int)FORM_WIDTH, "", SPAN_ARG(line));
    }
}

/* The verbs that begin with a word: "rollout" has "rollout start", "rollout step"… NULL: all.
 * Returns how many there are. */
static unsigned print_verbs(FILE *out, const char *word)
{
    size_t size = word ? strlen(word) : 0;
    unsigned n = 0;
    for (size_t t = 0; t < N_TABLES; t++) {
        for (const struct verb *verb = tables[t]; verb->name; verb++) {
            if (word && (strncmp(verb->name, word, size) != 0 || verb->name[size] != ' '))
                continue;
            if (n++ == 0 && word)
                fprintf(out, "usage: sarsen %s VERB …\n\n", word);
            print_form(out, verb->name, verb->operands, verb->help);
        }
    }
    return n;
}

static void print_help(FILE *out)
{
    fputs("usage: sarsen VERB …\n\n", out);
    print_form(out, "dev", "", "everything on loopback, at once");
    print_form(out, "server", "-c FILE", "the same for production");
    print_form(out, "upgrade", "-c FILE", "a new process takes over from the one that runs");
    print_form(out, "store", "copy --from PLACE --to PLACE",
               "what is kept, from a directory to an etcd and back");
    print_form(out, "config", "check|reference|schema", "the config file");
    print_form(out, "help", "VERB", "what a verb takes");
    print_verbs(out, NULL);
    fprintf(out,
            "\nAll take --json, --dry-run, --help, --address URL, --token TOKEN, --data DIR\n"
            "(whose socket and token are used), --ca FILE (who vouches for an https:// address).\n"
            "Exit status: 0 done, 1 refused or failed, 2 wrong usage.\n");
}

static const struct verb *find_in_table(const struct verb *table, const char *one, const char *two)
{
    for (const struct verb *verb = table; verb->name; verb++) {
        if (strcmp(verb->name, two) == 0 || strcmp(verb->name, one) == 0)
            return verb;
    }
    return NULL;
}

/* Finds the verb of one or two words at argv[1]; *ret_n is how many it took. */
static const struct verb *find_verb(int argc, char **argv, int *ret_n)
{
    char two[128] = "";
    if (argc > 2)
        snprintf(two, sizeof(two), "%s %s", argv[1], argv[2]);
    const struct verb *verb = NULL;
    for (size_t t = 0; t < N_TABLES && !verb; t++)
        verb = find_in_table(tables[t], argv[1], two);
    if (verb)
        *ret_n = strchr(verb->name, ' ') ? 2 : 1;
    return verb;
}

/* --- where to call --- */

#define N_DATA (sizeof(data_directories) / sizeof(data_directories[0]))
#define TCP_ADDRESS "http://127.0.0.1:7000"

/* Where `sarsen dev` keeps its data, and where the package does. */
static const char *const data_directories[] = { ".sarsen", "/var/lib/sarsen" };

/* Whether somebody listens there who lets us in: a socket outlives a process that was killed. */
static bool is_answered(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t size = strlen(path);
    if (size >= sizeof(address.sun_path))
        return false;
    memcpy(address.sun_path, path, size);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool is_connected = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return is_connected;
}

/* The socket in a data directory, NULL when it does not answer. free() it. */
static char *find_socket(const char *data)
{
    CLEANUP(mem_freep) char *path = mem_format("%s/api.sock", data);
    return is_answered(path) ? mem_format("unix:%s", path) : NULL;
}

/* What is named wins; else the socket of the data directory, which needs no token. free() it. */
static char *find_address(const struct cli_options *options)
{
    const char *named = options->address ? options->address : getenv("SARSEN_ADDRESS");
    if (named && *named)
        return mem_format("%s", named);
    char *found = options->data ? find_socket(options->data) : NULL;
    for (size_t i = 0; !options->data && !found && i < N_DATA; i++)
        found = find_socket(data_directories[i]);
    return found ? found : mem_format("%s", TCP_ADDRESS);
}

static char *read_token_file(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    char line[128] = "";
    bool is_read = fgets(line, sizeof(line), file);
    fclose(file);
    return is_read ? mem_span_dup(span_first(span_of(line), strcspn(line, "\r\n"))) : NULL;
}

/* The token of the data directory, NULL where it cannot be read. free() it. */
static char *read_token(const char *data)
{
    char *token = NULL;
    for (size_t i = 0; !token && i < (data ? 1 : N_DATA); i++) {
        CLEANUP(mem_freep) char *path = mem_format("%s/token", data ? data : data_directories[i]);
        token = read_token_file(path);
        if (!token && data)
            fprintf(stderr, "sarsen: %s cannot be read: %s\n", path, strerror(errno));
    }
    return token;
}

/* A socket opens by who we are; the token is for all other addresses. */
static bool needs_token(const struct command *command)
{
    const struct cli_options *options = &command->options;
    if (options->token || (!options->data && getenv("SARSEN_TOKEN")))
        return false;
    return options->address || strncmp(command->address, "unix:", 5) != 0;
}

static int run(struct command *command)
{
    CLEANUP(mem_freep) char *address = find_address(&command->options);
    CLEANUP(mem_freep) char *token = NULL;
    command->address = address;
    if (needs_token(command)) {
        token = read_token(command->options.data);
        if (!token && command->options.data)
            return CLI_FAILED;
    }
    sarsen_options options = {
        .size = sizeof(options),
        .address = address,
        .token = command->options.token ? command->options.token : token,
        .ca = command->options.ca,
    };
    int r = sarsen_client_new(&options, &command->client);
    if (r) {
        fprintf(stderr, "sarsen: %s\n", sarsen_strerror(r));
        return CLI_USAGE;
    }
    r = command->verb->run(command);
    sarsen_client_free(command->client);
    return r;
}

/* `sarsen help rollout start`, `sarsen help rollout`. */
static int help_verb(int argc, char **argv)
{
    int n_words = 0;
    const struct verb *verb = find_verb(argc, argv, &n_words);
    if (verb) {
        command_usage(verb, false);
        return CLI_OK;
    }
    if (print_verbs(stdout, argv[1]))
        return CLI_OK;
    fprintf(stderr, "sarsen: there is no verb \"%s\"; `sarsen help` lists them\n", argv[1]);
    return CLI_USAGE;
}

int cli_main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "help") == 0)
        return help_verb(argc - 1, argv + 1);
    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? CLI_USAGE : CLI_OK;
    }
    if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
        puts("sarsen " SARSEN_VERSION);
        return CLI_OK;
    }

    int n_words = 0;
    struct command command = { .verb = find_verb(argc, argv, &n_words) };
    bool is_help = argc == 3 && strcmp(argv[2], "--help") == 0;
    if (!command.verb && (argc == 2 || is_help) && print_verbs(is_help ? stdout : stderr, argv[1]))
        return is_help ? CLI_OK : CLI_USAGE;
    if (!command.verb && argv[1][0] == '-') {
        fprintf(stderr,
                "sarsen: %s stands before the verb; options come behind it: "
                "`sarsen services --json`\n",
                argv[1]);
        return CLI_USAGE;
    }
    if (!command.verb) {
        fprintf(stderr, "sarsen: there is no verb \"%s\"; `sarsen help` lists them\n", argv[1]);
        return CLI_USAGE;
    }
    int r = command_parse(&command, argc - 1 - n_words, argv + 1 + n_words);
    if (r)
        return r;
    if (command.options.is_help) {
        command_usage(command.verb, false);
        return CLI_OK;
    }
    return run(&command);
}
