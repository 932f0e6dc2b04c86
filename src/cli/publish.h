#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Publishing a frontend's release from the folder its build has written.
 */

#include "cli/command.h"

/* `sarsen publish DIR`: DIR/sarsen.json is the manifest, everything else its files. */
int publish(struct command *command);
