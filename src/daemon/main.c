/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The one binary: the verbs that serve are here, all others are the CLI's.
 */

#include <stdbool.h>
#include <string.h>

#include "cli/cli.h"
#include "daemon/serve.h"
#include "daemon/store_copy.h"
#include "daemon/upgrade.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} serving_verbs[] = {
    { "dev", serve_dev },        { "server", serve_server }, { "config", serve_config },
    { "upgrade", upgrade_main }, { "store", store_main },
};

int main(int argc, char **argv)
{
    static char ask[] = "--help";
    bool is_help = argc == 3 && strcmp(argv[1], "help") == 0;
    const char *name = is_help ? argv[2] : argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof(serving_verbs) / sizeof(serving_verbs[0]); i++) {
        if (strcmp(name, serving_verbs[i].name) != 0)
            continue;
        char *asked[] = { argv[argc - 1], ask, NULL };
        return is_help ? serving_verbs[i].run(2, asked) : serving_verbs[i].run(argc - 1, argv + 1);
    }
    return cli_main(argc, argv);
}
