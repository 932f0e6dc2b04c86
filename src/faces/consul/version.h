#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which version an instance has, by what its framework writes into a registration. The first that
 * is a version counts:
 *
 *   tag v-HEX        go-micro: the version, compressed by zlib (RFC 1950), in hexadecimal digits
 *   tag v=3.1.0      go-micro, as it was before
 *   tag version=     Kratos
 *   tag version:     Kitex and Hertz
 *   Meta             version, app_version or API_VERSION, in any case: Spring and others
 *
 * "latest", which go-micro has by default, and what is no version at all, are passed over.
 *
 * Threads: any. No allocation.
 */

#include <stddef.h>

#include "base/span.h"
#include "codec/semver.h"
#include "faces/consul/rule.h"

/* Writes "3.1.0" to `ret_text` and returns its size, 0 for none. */
size_t consul_version_find(const struct consul_saying *saying, char ret_text[SEMVER_TEXT_MAX]);

/* The text as a version of three numbers: "v1.2" is 1.2.0. Returns its size, 0 when it is none. A
 * date ("2024-01-15", "20240115") is none: its year would be a contract. */
size_t consul_version_normalise(struct span text, char ret_text[SEMVER_TEXT_MAX]);
