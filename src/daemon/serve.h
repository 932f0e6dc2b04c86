#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `sarsen dev` and `sarsen server`: from arguments to a serving process and back.
 */

/* Each returns the exit status: 0, 1 when it could not serve, 2 for wrong arguments. */
int serve_dev(int argc, char **argv);
int serve_server(int argc, char **argv);

/* `sarsen config check|reference|schema`. */
int serve_config(int argc, char **argv);
