#pragma once

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Times and durations as text: RFC 3339 instants in UTC, IMF-fixdate of HTTP (RFC 9110 section
 * 5.6.7), and durations such as "10s", "1h30m", "45d".
 *
 * Threads: any. No allocation.
 */

#include "base/clock.h"
#include "base/compiler.h"
#include "base/span.h"

#define TIME_TEXT_MAX 32u

enum timefmt_answer {
    TIME_OK,
    TIME_BAD,
};

/* "2026-11-20T08:00:00.250Z"; the milliseconds are left out when zero. */
void time_format(unix_msec time, char ret_text[TIME_TEXT_MAX]);

/* Any offset is accepted. Answers: TIME_BAD. */
int time_parse(struct span text, unix_msec *ret_time) MUST_CHECK;

/* "Fri, 20 Nov 2026 08:00:00 GMT". */
void time_format_http(unix_msec time, char ret_text[TIME_TEXT_MAX]);

/* That form alone; the weekday is not looked at. Answers: TIME_BAD. */
int time_parse_http(struct span text, unix_msec *ret_time) MUST_CHECK;

/* Units ns, us, ms, s, m, h, d; several may follow each other, from the largest down, each with a
 * fraction: "1m30.5s", ".5s". Answers: TIME_BAD. */
int duration_parse(struct span text, nsec *ret_duration) MUST_CHECK;

/* The shortest exact form in at most two units: "10s", "1h30m", "45d". */
void duration_format(nsec duration, char ret_text[TIME_TEXT_MAX]);
