/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/store_copy.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/json.h"
#include "daemon/secrets.h"
#include "daemon/settings.h"
#include "daemon/settings_store.h"
#include "io/file.h"
#include "io/tls.h"
#include "registry/registry.h"

#define EXIT_FAILED 1
#define EXIT_USAGE 2

static const char *const usage =
    "usage: sarsen store copy --from PLACE --to PLACE [--replace] [--dry-run] [--json]\n"
    "\n"
    "Copies services, apps, releases, rollouts, pins, tokens and all else that is kept as keys.\n"
    "A PLACE is a data directory, or a config file: then it is the etcd that store.etcd names, or\n"
    "the data directory where it names none. Both must be stopped. What broke off is done by the\n"
    "same command again; until then the target does not serve.\n"
    "\n"
    "Not copied: who serves and who is elected (leases). The ledger (usage, audit), the files of\n"
    "releases and the token stay in the data directory; the keys of the cookie go along.\n"
    "\n"
    "  --from PLACE    is not changed\n"
    "  --to PLACE      has the same keys afterwards, and no others\n"
    "  --replace       what it has may go\n"
    "  --dry-run       tells what would be done, and writes no keys\n"
    "  --json          tells it as JSON\n";

/* One of the two stores, with what it was read from. */
struct place {
    const char *name; /* as it was given */
    struct settings *settings;
    struct arena arena;
    struct store_etcd_settings etcd;
    struct store_settings store;
};

/* Keys by what stands before their first slash. */
struct kind {
    struct map_node node;
    uint64_t n_keys, size, n_left_out;
};

struct tool {
    struct place from, to;
    struct store_copy copy;
    struct map kinds;
    struct arena arena;
    struct span cookie_keys; /* of the source, where it has them as a key; the arena's */
    bool is_json;
};

static void print_problem(const char *name, const struct problem *problem)
{
    fprintf(stderr, "sarsen: ");
    if (name && strcmp(name, problem->path) != 0)
        fprintf(stderr, "%s: ", name);
    fprintf(stderr, "%s%s%s\n", problem->path, problem->path[0] ? " " : "", problem->text);
}

/* --- places --- */

static int read_config(struct place *place, struct problem *problem)
{
    int r = settings_load(place->name, NULL, &place->settings, problem);
    if (r == SETTINGS_ABSENT)
        problem_set(problem, "", "there is no such file");
    else if (r < 0)
        problem_set(problem, "", "it cannot be read: %s", strerror(-r));
    if (r)
        return r;
    place->store.path = place->settings->data;
    if (!place->settings->etcd.endpoints)
        return 0;
    place->store.etcd = &place->etcd;
    return settings_read_etcd(&place->settings->etcd, &place->arena, &place->etcd, problem);
}

static bool is_config_name(const char *name)
{
    return span_ends_with(span_of(name), SPAN(".yaml")) ||
           span_ends_with(span_of(name), SPAN(".yml"));
}

/* What is no directory is a config file, unless it is not there and has no such name. */
static int place_read(struct place *place, struct problem *problem)
{
    struct stat status;
    bool is_there = stat(place->name, &status) == 0;
    if (is_there ? !S_ISDIR(status.st_mode) : is_config_name(place->name))
        return read_config(place, problem);
    place->store.path = place->name;
    return 0;
}

static void place_fini(struct place *place)
{
    tls_client_unref(place->etcd.tls);
    arena_fini(&place->arena);
    settings_free(place->settings);
}

static char *place_text(const struct place *place)
{
    if (!place->store.etcd)
        return mem_format("%s", place->store.path);
    return mem_format("etcd %s below %s", place->settings->etcd.endpoints,
                      place->settings->etcd.prefix);
}

/* --- what there is --- */

static void on_key(void *owner, struct span key, struct span value, bool is_left_out)
{
    struct tool *tool = owner;
    size_t size = key.size + value.size;
    if (span_is(key, COOKIE_KEYS_KEY))
        tool->cookie_keys = arena_span_dup(&tool->arena, value);
    struct span name = span_cut(&key, '/');
    if (span_starts_with(name, SPAN("~")))
        name = SPAN("leases");
    struct kind *kind = map_find_as(&tool->kinds, name, struct kind, node);
    if (!kind) {
        kind = arena_new(&tool->arena, struct kind);
        map_add(&tool->kinds, &kind->node, arena_span_dup(&tool->arena, name));
    }
    kind->n_left_out += is_left_out;
    kind->n_keys += !is_left_out;
    kind->size += is_left_out ? 0 : size;
}

static void print_kind(const struct kind *kind)
{
    printf("  %8" PRIu64 " %10" PRIu64 "  %.*s", kind->n_keys, kind->size,
           SPAN_ARG(kind->node.key));
    if (kind->n_left_out)
        printf(" (%" PRIu64 " left out)", kind->n_left_out);
    printf("\n");
}

static void print_result(const struct tool *tool, const struct store_copied *copied)
{
    CLEANUP(mem_freep) char *from = place_text(&tool->from);
    CLEANUP(mem_freep) char *to = place_text(&tool->to);
    bool is_dry_run = tool->copy.is_dry_run;
    printf("from %s, at revision %" PRId64 "\nto   %s, which had %zu keys%s\n\n", from,
           copied->from_revision, to, copied->n_there,
           copied->is_continued ? " from a copy that was not finished" : "");
    printf("  %8s %10s\n", "KEYS", "BYTES");
    map_each (node, &tool->kinds)
        print_kind(container_of(node, struct kind, node));
    printf("\n%zu keys %s, %zu %s the same, %zu %s\n", copied->n_put,
           is_dry_run ? "would be written" : "were written", copied->n_same,
           is_dry_run ? "are" : "were", copied->n_deleted, is_dry_run ? "would go" : "went");
    if (!is_dry_run)
        printf("all was read back; it is at revision %" PRId64 "\n", copied->to_revision);
}

static void print_json(const struct tool *tool, const struct store_copied *copied)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    CLEANUP(mem_freep) char *from = place_text(&tool->from);
    CLEANUP(mem_freep) char *to = place_text(&tool->to);
    struct json_out out = { .buf = &text };
    const struct {
        const char *name;
        uint64_t number;
    } numbers[] = {
        { "from_revision", (uint64_t)copied->from_revision },
        { "to_revision", (uint64_t)copied->to_revision },
        { "there", copied->n_there },
        { "written", copied->n_put },
        { "same", copied->n_same },
        { "deleted", copied->n_deleted },
    };
    json_open(&out, '{');
    json_key(&out, SPAN("from"));
    json_text(&out, span_of(from));
    json_key(&out, SPAN("to"));
    json_text(&out, span_of(to));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        json_key(&out, span_of(numbers[i].name));
        json_uint(&out, numbers[i].number);
    }
    json_key(&out, SPAN("continued"));
    json_bool(&out, copied->is_continued);
    json_key(&out, SPAN("dry_run"));
    json_bool(&out, tool->copy.is_dry_run);
    json_close(&out, '}');
    printf("%.*s\n", SPAN_ARG(buf_span(&text)));
}

/* --- secrets --- */

/* A cluster has the keys of its cookies in its store, one server in a file. Cookies stay good. */
static int place_cookie_keys(void *owner, struct problem *problem)
{
    const struct tool *tool = owner;
    const char *path = tool->to.store.path;
    struct stat status;
    if (tool->to.store.etcd || !tool->cookie_keys.size)
        return 0;
    CLEANUP(fd_closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = dir < 0 ? -errno : file_write(dir, "cookie.keys", tool->cookie_keys, 0600);
    if (!r && geteuid() == 0 && fstat(dir, &status) == 0 &&
        fchownat(dir, "cookie.keys", status.st_uid, status.st_gid, 0) < 0)
        r = -errno;
    if (r) {
        problem_set(problem, path,
                    "is not done: its cookie.keys cannot be written: %s; run the same again to "
                    "go on",
                    strerror(-r));
    }
    return err_fold(r);
}

/* --- all of it --- */

static int copy(struct tool *tool)
{
    /* The others are a cluster's alone. */
    static const struct span left_out[] = { SPAN(REGISTRY_ELECTED_KEY), SPAN(COOKIE_KEYS_KEY),
                                            SPAN(MEMBER_SECRET_KEY) };
    struct problem problem = { 0 };
    struct place *const places[] = { &tool->from, &tool->to };
    for (unsigned i = 0; i < 2; i++) {
        if (place_read(places[i], &problem)) {
            print_problem(places[i]->name, &problem);
            return EXIT_FAILED;
        }
    }
    tool->copy.from = &tool->from.store;
    tool->copy.to = &tool->to.store;
    tool->copy.in_use = SPAN(REGISTRY_PREFIX "owner/");
    tool->copy.left_out = left_out;
    tool->copy.n_left_out = tool->to.store.etcd ? 1 : sizeof(left_out) / sizeof(left_out[0]);
    tool->copy.on_key = on_key;
    tool->copy.on_written = place_cookie_keys;
    tool->copy.owner = tool;

    struct loop *loop = loop_new(clock_system());
    struct store_copied copied = { 0 };
    int r = store_copy(loop, &tool->copy, &copied, &problem);
    loop_free(loop);
    if (r)
        print_problem(NULL, &problem);
    else if (tool->is_json)
        print_json(tool, &copied);
    else
        print_result(tool, &copied);
    return r ? EXIT_FAILED : 0;
}

static int read_arguments(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        { "from", required_argument, NULL, 'f' },
        { "to", required_argument, NULL, 't' },
        { "replace", no_argument, NULL, 'r' },
        { "dry-run", no_argument, NULL, 'n' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'f': tool->from.name = optarg; break;
        case 't': tool->to.name = optarg; break;
        case 'r': tool->copy.is_replacing = true; break;
        case 'n': tool->copy.is_dry_run = true; break;
        case 'j': tool->is_json = true; break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return EXIT_USAGE;
        }
    }
    if (tool->from.name && tool->to.name && optind == argc)
        return -1;
    fputs(usage, stderr);
    return EXIT_USAGE;
}

int store_main(int argc, char **argv)
{
    struct tool tool = { 0 };
    bool is_copy = argc > 1 && strcmp(argv[1], "copy") == 0;
    bool is_help = argc > 1 && strcmp(argv[1], "--help") == 0;
    if (!is_copy) {
        fputs(usage, is_help ? stdout : stderr);
        return is_help ? 0 : EXIT_USAGE;
    }
    int status = read_arguments(&tool, argc - 1, argv + 1);
    if (status >= 0)
        return status;
    log_setup(LOG_LEVEL_WARN, false);
    signal(SIGPIPE, SIG_IGN); /* an etcd that goes is an answer */
    map_init(&tool.kinds);
    status = copy(&tool);
    map_fini(&tool.kinds);
    arena_fini(&tool.arena);
    place_fini(&tool.from);
    place_fini(&tool.to);
    return status;
}
