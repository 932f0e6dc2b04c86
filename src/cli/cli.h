#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The command line: every verb that is not served in this process is a call of the management API
 * through the client library, printed as a table or, with --json, as the API gave it.
 */

/* argv[0] is the program. Returns the exit status: 0 done, 1 refused or failed, 2 wrong usage. */
int cli_main(int argc, char **argv);
