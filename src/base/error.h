#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Return codes.
 *
 * Every function that can fail returns int and is marked MUST_CHECK:
 *
 *      0   done
 *    < 0   a fault: -errno. Nobody matches on its value; pass it up with err_trace().
 *    > 0   an answer: one value of the enum in the function's own header. The caller handles it;
 *          it never travels further than one call, so its meaning is always in sight.
 *
 * err_origin() marks the line where a fault is born and err_trace() each line it passes, so a
 * fault in the log comes with its path. All three cost one predicted branch on success.
 *
 * What a user will read is a struct problem, filled where the knowledge is: by the parser or the
 * validator that refused.
 */

#include <errno.h>

#include "base/compiler.h"

int err_report_(int r, const char *step, const char *func, const char *file, int line);

#define err_origin(r) err_at_((r), "fault")
#define err_trace(r) err_at_((r), "via")

/* err_fold(r): an answer this caller did not expect is a fault too. */
#define err_fold(r)                                                                                \
    ({                                                                                             \
        int fold_ = (r);                                                                           \
        err_at_(fold_ > 0 ? -ENOTRECOVERABLE : fold_, "via");                                      \
    })

#define err_at_(r, step)                                                                           \
    ({                                                                                             \
        int err_ = (r);                                                                            \
        likely(err_ >= 0) ? err_ : err_report_(err_, (step), __func__, __FILE__, __LINE__);        \
    })

/* Why input was refused: the field, what was found and what is accepted. */
struct problem {
    char path[160]; /* dotted: "gateway.edge", "steps[2].pct"; "" is the whole input */
    unsigned line;  /* of the file, from 1; 0 where there is no file */
    char
        text[320]; /* a sentence without the path: `is "abc"; a number from 0 to 100 is accepted` */
};

/* Fills the problem; what does not fit is cut. `problem` may be NULL: then nothing is kept. */
void problem_set(struct problem *problem, const char *path, const char *format, ...)
    PRINTF_LIKE(3, 4);
