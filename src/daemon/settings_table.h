#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The table of settings, private to daemon/settings*.c: keys, kinds, ranges, defaults, help. The
 * reader, the reference and the schema all come from it.
 */

#include <stddef.h>
#include <stdint.h>

#define SETTINGS_KEY_MAX 128u
#define SETTINGS_MAX 96u /* rows of the table */

enum kind {
    KIND_TEXT,
    KIND_BOOL,
    KIND_COUNT,
    KIND_DURATION,
    KIND_SIZE,      /* of bytes: a count, or one with KiB, MiB, GiB; 0 also where it is standard */
    KIND_CHOICE,    /* one of the words of `accepts`, stored as its position */
    KIND_ADDRESS,   /* text of an address */
    KIND_ORIGINS,   /* text of origins with commas between them */
    KIND_NETWORKS,  /* text of networks with commas between them */
    KIND_ACCESS,    /* where the access log goes */
    KIND_ENDPOINTS, /* of an etcd: text with commas between them, or a list */
    KIND_RULES,     /* a list with a table of its own */
    KIND_LISTENERS, /* one address or a list; `at` tells edge (0) from internal (1) */
};

struct setting {
    const char *key;
    enum kind kind;
    size_t at; /* offset in struct settings */
    const char *standard;
    uint64_t min, max; /* of counts and sizes; of durations in nanoseconds */
    const char *accepts;
    const char *help;
};

extern const struct setting settings_table[];
extern const size_t settings_n;
