#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The kernel's TLS (kTLS), for what is sent: it seals what is written to a socket, files too.
 *
 * Private to io/tls*.c, but for tls_kernel_is_missing(), which tls.h has.
 *
 * Owns:     nothing.
 * Threads:  any.
 */

#include "io/tls_record.h"

/* From now on the kernel seals what is sent there, with these keys from their next number on. False
 * where it does not, and then nothing has changed. Once more for the same socket: with other keys, which
 * kernels before 6.14 do not do. */
bool tls_kernel_take(int fd, const struct tls_keys *keys) MUST_CHECK;

/* A record of another type than application data; false when it was not sent. */
bool tls_kernel_say(int fd, enum tls_content type, struct span content) MUST_CHECK;
