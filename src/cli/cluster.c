/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/cluster.h"

#include <stdio.h>
#include <string.h>

#include "cli/command.h"

/* "elected, this one". */
static void put_role(struct buf *text, const sarsen_value *row)
{
    if (strcmp(sarsen_value_text(sarsen_value_get(row, "state")), "gone") == 0)
        buf_puts(text, "gone");
    if (sarsen_value_is_true(sarsen_value_get(row, "elected")))
        buf_printf(text, "%selected", text->size ? ", " : "");
    if (sarsen_value_is_true(sarsen_value_get(row, "self")))
        buf_printf(text, "%sthis one", text->size ? ", " : "");
}

static void print_cluster(const sarsen_value *value)
{
    static const struct column columns[] = { { "HOST", "host" },
                                             { "API", "api" },
                                             { "ROLE", NULL, put_role },
                                             { "INSTANCES", "instances" },
                                             { "SINCE", "since" },
                                             { "ID", "id" },
                                             { 0 } };
    if (strcmp(sarsen_value_text(sarsen_value_get(value, "store")), "embedded") == 0) {
        puts("no cluster: the state is kept in the data directory of this process alone");
        return;
    }
    print_table(sarsen_value_get(value, "members"), columns, "no member is there");
    const char *trouble = sarsen_value_text(sarsen_value_get(value, "trouble"));
    if (trouble && *trouble)
        printf("the etcd cannot be used now: %s\n", trouble);
}

int cluster(struct command *command)
{
    return command_call(command, "GET", "/v1/cluster", NULL, print_cluster);
}
