#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A file of a release, by the SHA-256 of its bytes.
 *
 * In a cluster the file may still be on its way from the member that it was sent to. Its name says
 * what its bytes are, so there is nothing else to answer with: the request waits, for a while.
 *
 * Threads: the worker's.
 * Cost:    of one that waits, an open() every 50 ms; a worker has FILE_WAITERS_MAX at most.
 */

#include "gateway/request.h"

#define FILE_WAITERS_MAX 256u

/* The file is of the request's epoch. */
void app_file_answer(struct request *request, const struct release_file *file);
