/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `sarsen publish DIR`: uploads the files of a built frontend and then its manifest.
 */

#include "cli/publish.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define MANIFEST "sarsen.json"
#define DEPTH_MAX 16u

struct publication {
    struct command *command;
    const char *app, *release; /* as the manifest names them */
    unsigned n_files;
};

static int read_file(const char *path, struct buf *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -1 : buf_read_all(bytes, fd);
    if (fd >= 0)
        close(fd);
    if (r)
        fprintf(stderr, "sarsen: %s cannot be read: %s\n", path, strerror(errno));
    return r ? CLI_FAILED : CLI_OK;
}

static int upload(struct publication *publication, const char *file, const char *below)
{
    CLEANUP(buf_fini) struct buf bytes = { 0 };
    int r = read_file(file, &bytes);
    if (r)
        return r;

    struct buf path = { 0 };
    char *base = command_path(publication->command, "/v1/apps/%/releases/%/files", publication->app,
                              publication->release);
    struct span rest = span_of(base);
    buf_put(&path, span_cut(&rest, '?'));
    struct span segments = span_of(below);
    while (segments.data) {
        char *segment = mem_span_dup(span_cut(&segments, '/'));
        char *encoded = command_path(publication->command, "/%", segment);
        struct span cut = span_of(encoded);
        buf_put(&path, span_cut(&cut, '?'));
        free(encoded);
        free(segment);
    }
    free(base);
    char *text = buf_take_text(&path);
    r = sarsen_upload(publication->command->client, text, bytes.data, bytes.size, NULL);
    free(text);
    if (r) {
        fprintf(stderr, "sarsen: %s:\n", file);
        return command_fail(publication->command, r);
    }
    publication->n_files++;
    return CLI_OK;
}

static int upload_below(struct publication *publication, const char *dir, const char *below,
                        unsigned depth);

static int upload_entry(struct publication *publication, const char *dir, const char *below,
                        const char *name, unsigned depth)
{
    char *file = mem_format("%s/%s", dir, name);
    char *path = *below ? mem_format("%s/%s", below, name) : mem_strdup(name);
    struct stat status;
    int r = CLI_OK;
    if (stat(file, &status) == 0 && S_ISDIR(status.st_mode))
        r = upload_below(publication, file, path, depth + 1);
    else if (strcmp(path, MANIFEST) != 0)
        r = upload(publication, file, path);
    free(path);
    free(file);
    return r;
}

static int upload_below(struct publication *publication, const char *dir, const char *below,
                        unsigned depth)
{
    DIR *entries = depth < DEPTH_MAX ? opendir(dir) : NULL;
    if (!entries) {
        fprintf(stderr, "sarsen: %s cannot be read\n", dir);
        return CLI_FAILED;
    }
    int r = CLI_OK;
    for (const struct dirent *entry; !r && (entry = readdir(entries));) {
        if (entry->d_name[0] != '.')
            r = upload_entry(publication, dir, below, entry->d_name, depth);
    }
    closedir(entries);
    return r;
}

/* What the manifest is refused for before its files are there; that they are absent is none. */
static int check_manifest(const struct publication *publication, struct span manifest)
{
    struct command *command = publication->command;
    CLEANUP(mem_freep) char *text = mem_span_dup(manifest);
    CLEANUP(mem_freep)
    char *path = command_path(command, "/v1/apps/%/releases/%?dry_run=1", publication->app,
                              publication->release);
    int r = sarsen_call(command->client, "PUT", path, text, NULL);
    if (!r || (r == SARSEN_EREFUSED && sarsen_status(command->client) == 409))
        return CLI_OK;
    return command_fail(command, r);
}

/* Publishing moves nobody; this says what does. */
static void print_published(const struct publication *publication, bool is_new)
{
    const char *app = publication->app, *release = publication->release;
    CLEANUP(mem_freep) char *path = command_path(publication->command, "/v1/apps/%", app);
    sarsen_value *value = NULL;
    if (!is_new) {
        printf("%s %s was published already\n", app, release);
        return;
    }
    printf("published %s %s (%u files)", app, release, publication->n_files);
    if (!sarsen_call(publication->command->client, "GET", path, NULL, &value)) {
        const char *standard = sarsen_value_text(sarsen_value_get(value, "default"));
        if (strcmp(standard, release) == 0) {
            printf("; it is the default");
        } else {
            printf(
                "; default is %s: `sarsen app default %s %s` or `sarsen rollout start %s@%s` "
                "moves customers",
                *standard ? standard : "none", app, release, app, release);
        }
    }
    puts("");
    sarsen_value_free(value);
}

static int publish_dir(struct publication *publication, const char *dir, struct span manifest)
{
    if (!*publication->app || !*publication->release) {
        fprintf(stderr, "sarsen: %s/" MANIFEST " must name \"app\" and \"release\"\n", dir);
        return CLI_FAILED;
    }
    struct command *command = publication->command;
    int r = command->options.is_dry_run ? CLI_OK : check_manifest(publication, manifest);
    if (!r && !command->options.is_dry_run)
        r = upload_below(publication, dir, "", 0);
    if (r)
        return r;

    struct buf body = { 0 };
    buf_put(&body, manifest);
    char *path =
        command_path(command, "/v1/apps/%/releases/%", publication->app, publication->release);
    r = command_call(command, "PUT", path, &body, NULL);
    free(path);
    if (!r && !command->options.is_json && !command->options.is_dry_run)
        print_published(publication, sarsen_status(command->client) == 201);
    return r;
}

int publish(struct command *command)
{
    CLEANUP(buf_fini) struct buf manifest = { 0 };
    char *path = mem_format("%s/" MANIFEST, command->operands[0]);
    int r = read_file(path, &manifest);
    free(path);
    if (r)
        return r;

    sarsen_value *value = NULL;
    if (sarsen_value_parse(manifest.data, manifest.size, &value)) {
        fprintf(stderr, "sarsen: %s/" MANIFEST " is no JSON\n", command->operands[0]);
        return CLI_FAILED;
    }
    struct publication publication = {
        .command = command,
        .app = sarsen_value_text(sarsen_value_get(value, "app")),
        .release = sarsen_value_text(sarsen_value_get(value, "release")),
    };
    r = publish_dir(&publication, command->operands[0], buf_span(&manifest));
    sarsen_value_free(value);
    return r;
}
