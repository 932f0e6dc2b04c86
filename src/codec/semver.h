#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Versions by Semantic Versioning 2.0.0, and the ranges releases require contracts with.
 *
 * Threads: any. No allocation.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define SEMVER_TEXT_MAX 128u

struct semver {
    uint32_t major, minor, patch;
    struct span prerelease; /* "rc.1"; borrowed from the text */
    struct span build;      /* metadata; does not count in comparison */
};

enum semver_answer {
    SEMVER_OK,
    SEMVER_BAD,
};

/* "3.15.0", "3.15.0-rc.1+sha". Answers: SEMVER_BAD. */
int semver_parse(struct span text, struct semver *ret_version) MUST_CHECK;

/* Precedence, section 11: below, at or above 0. */
int semver_compare(const struct semver *a, const struct semver *b);

/* A set of majors: "3", ">=2 <4", "2 || 3", "^3", "*". */
#define MAJOR_RANGE_PARTS 8u
struct major_range {
    struct {
        uint32_t low, high; /* both inclusive */
    } parts[MAJOR_RANGE_PARTS];
    unsigned n_parts;
};

/* Answers: SEMVER_BAD. */
int major_range_parse(struct span text, struct major_range *ret_range) MUST_CHECK;
bool major_range_has(const struct major_range *range, uint32_t major);
