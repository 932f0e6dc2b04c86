#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `sarsen upgrade`: starts `sarsen server --takeover` in the background, by the program that this
 * is, and waits until it serves. The process that served before cannot do that itself: it may not
 * execute anything.
 */

/* The exit status: 0 when the new process serves, 1 when the old one goes on. */
int upgrade_main(int argc, char **argv);
