#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What goes wrong: which kinds, and how often, is drawn at the start of each run, so that some runs
 * have few faults and others all of one kind. Each ends by itself.
 */

void faults_begin(void);

/* All is mended, and nothing goes wrong any more. */
void faults_end(void);
