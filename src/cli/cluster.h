#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The processes that share one state, as a list.
 */

struct command;

/* `sarsen cluster` */
int cluster(struct command *command);
