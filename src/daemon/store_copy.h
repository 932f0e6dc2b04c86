#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `sarsen store copy`: moves what a server keeps as keys from its data directory to an etcd, and
 * back. It opens both itself, as a server would, and so needs both to be stopped.
 */

/* The exit status: 0 when all is there, 1 when it was refused or broke off, 2 for wrong usage. */
int store_main(int argc, char **argv);
