#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/* `sarsen cluster`: the processes that share one state. Threads: one. */

struct command;

int cluster(struct command *command);
