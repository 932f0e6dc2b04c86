/* SPDX-License-Identifier: Apache-2.0 */

#include "codec/timefmt.h"

#include <time.h>

#include "check.h"

TEST(instants)
{
    static const struct {
        const char *text;
        unix_msec time;
        const char *canonical; /* NULL: the text itself */
    } rows[] = {
        { "1970-01-01T00:00:00Z", 0, NULL },
        { "2026-11-20T08:00:00.250Z", 1795161600250, NULL },
        { "2026-11-20T08:00:00Z", 1795161600000, NULL },
        { "2026-11-20t08:00:00z", 1795161600000, "2026-11-20T08:00:00Z" },
        { "2026-11-20T08:00:00.000Z", 1795161600000, "2026-11-20T08:00:00Z" },
        { "2026-11-20T08:00:00.2509999999999999999999Z", 1795161600250,
          "2026-11-20T08:00:00.250Z" },
        { "2026-11-20T08:00:00.2Z", 1795161600200, "2026-11-20T08:00:00.200Z" },
        { "2026-11-20T10:30:00+02:30", 1795161600000, "2026-11-20T08:00:00Z" },
        { "2026-11-19T23:00:00-09:00", 1795161600000, "2026-11-20T08:00:00Z" },
        { "2026-11-20T08:00:00-00:00", 1795161600000, "2026-11-20T08:00:00Z" },
        { "2000-02-29T12:00:00Z", 951825600000, NULL },
        { "1969-12-31T23:59:59.999Z", -1, NULL },
        { "0000-01-01T00:00:00Z", -62167219200000, NULL },
        { "9999-12-31T23:59:59.999Z", 253402300799999, NULL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unix_msec time;
        char text[TIME_TEXT_MAX];
        if (time_parse(span_of(rows[i].text), &time))
            check_fail(__FILE__, __LINE__, rows[i].text, "is refused");
        CHECK_INT(time, rows[i].time);
        time_format(time, text);
        CHECK_STR(text, rows[i].canonical ? rows[i].canonical : rows[i].text);
    }
}

TEST(instants_refused)
{
    static const char *const texts[] = {
        "",
        "2026-11-20",
        "2026-11-20T08:00:00",
        "2026-11-20 08:00:00Z",
        "2026-11-20T08:00Z",
        "2026-11-20T08:00:00.Z",
        "2026-11-20T08:00:00,5Z",
        "2026-11-20T08:00:00Zx",
        "2026-11-20T24:00:00Z",
        "2026-11-20T08:60:00Z",
        "2026-11-20T08:00:60Z",
        "2026-02-29T08:00:00Z",
        "1900-02-29T08:00:00Z",
        "2026-04-31T08:00:00Z",
        "2026-00-10T08:00:00Z",
        "2026-13-10T08:00:00Z",
        "2026-01-00T08:00:00Z",
        "26-11-20T08:00:00Z",
        "+026-11-20T08:00:00Z",
        "2026-1-20T08:00:00Z",
        "2026-11-20T8:00:00Z",
        "2026-11-20T08:00:00+24:00",
        "2026-11-20T08:00:00+02:60",
        "2026-11-20T08:00:00+0200",
        "2026-11-20T08:00:00+02",
        " 2026-11-20T08:00:00Z",
    };
    unix_msec time;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (time_parse(span_of(texts[i]), &time) != TIME_BAD)
            check_fail(__FILE__, __LINE__, texts[i], "is accepted");
    }
    struct span good = SPAN("2026-11-20T08:00:00.250Z");
    for (size_t size = 0; size < good.size; size++)
        CHECK_INT(time_parse(span_first(good, size), &time), TIME_BAD);
    CHECK_INT(time_parse(SPAN_NULL, &time), TIME_BAD);
}

/* Against the C library, in steps that meet every day of 800 years. */
TEST(calendar)
{
    for (unix_msec time = -12622780800000; time < 12622780800000; time += 86399999) {
        char text[TIME_TEXT_MAX], want[96];
        time_t seconds = (time_t)(time / 1000 - (time % 1000 < 0));
        struct tm utc;
        gmtime_r(&seconds, &utc);
        strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &utc);
        time_format_http(time, text);
        CHECK_STR(text, want);
        unix_msec parsed;
        CHECK_INT(time_parse_http(span_of(text), &parsed), TIME_OK);
        CHECK_INT(parsed, seconds * INT64_C(1000));
        time_format(time, text);
        CHECK_INT(time_parse(span_of(text), &parsed), TIME_OK);
        CHECK_INT(parsed, time);
    }
}

TEST(dates_of_http_refused)
{
    static const char good[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    unix_msec time;
    for (size_t size = 0; size < strlen(good); size++)
        CHECK_INT(time_parse_http((struct span){ good, size }, &time), TIME_BAD);
    for (size_t i = 3; i < strlen(good); i++) {
        char text[sizeof(good)];
        memcpy(text, good, sizeof(good));
        text[i] = '~';
        CHECK_INT(time_parse_http(span_of(text), &time), TIME_BAD);
    }
    CHECK_INT(time_parse_http(SPAN("Sun, 31 Feb 1994 08:49:37 GMT"), &time), TIME_BAD);
    CHECK_INT(time_parse_http(SPAN("Sun, 06 Nov 1994 24:49:37 GMT"), &time), TIME_BAD);
    CHECK_INT(time_parse_http(SPAN("Sunday, 06-Nov-94 08:49:37 GMT"), &time), TIME_BAD);
    CHECK_INT(time_parse_http(SPAN("Sun Nov  6 08:49:37 1994"), &time), TIME_BAD);
}

TEST(extremes)
{
    char text[TIME_TEXT_MAX];
    time_format(INT64_MAX, text);
    CHECK_STR(text, "9999-12-31T23:59:59.999Z");
    time_format(INT64_MIN, text);
    CHECK_STR(text, "0000-01-01T00:00:00Z");
    time_format_http(INT64_MAX, text);
    CHECK_STR(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    time_format_http(784111777000, text);
    CHECK_STR(text, "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(durations)
{
    static const struct {
        const char *text;
        nsec duration;
        const char *canonical;
    } rows[] = {
        { "10s", 10 * NSEC_PER_SEC, NULL },
        { "1h30m", 5400 * NSEC_PER_SEC, NULL },
        { "90m", 5400 * NSEC_PER_SEC, "1h30m" },
        { "45d", 45 * 86400 * NSEC_PER_SEC, NULL },
        { "0s", 0, NULL },
        { "0d0ns", 0, "0s" },
        { "1ns", 1, NULL },
        { "250us", 250000, NULL },
        { "1500ms", 1500 * NSEC_PER_MSEC, "1s500ms" },
        { "1h1s", 3601 * NSEC_PER_SEC, NULL },
        { "1h1m1s", 3661 * NSEC_PER_SEC, "61m1s" },
        { "1d1h1m", 90060 * NSEC_PER_SEC, "25h1m" },
        { "1s1ns", NSEC_PER_SEC + 1, NULL },
        { "007s", 7 * NSEC_PER_SEC, "7s" },
        { "1d2h3m4s5ms6us7ns", 93784005006007, "93784005006us7ns" },
        { "1.5s", 1500 * NSEC_PER_MSEC, "1s500ms" },
        { ".5s", 500 * NSEC_PER_MSEC, "500ms" },
        { "2.s", 2 * NSEC_PER_SEC, "2s" },
        { "1m30.5s", 90500 * NSEC_PER_MSEC, "90s500ms" },
        { "1.5h.5m", 5430 * NSEC_PER_SEC, "90m30s" },
        { "0.1234567899s", 123456789, "123456us789ns" },
        { "1.9ns", 1, "1ns" },
        { "0.3333333333333333333333333h", 1199999999999, "1199999999us999ns" },
        { "0.00000000000000000000000000001d", 0, "0s" },
        { "18446744073.709551614s", UINT64_MAX - 1, "18446744073709551us614ns" },
        { "18446744073709551614ns", UINT64_MAX - 1, "18446744073709551us614ns" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        nsec duration, again;
        char text[TIME_TEXT_MAX];
        if (duration_parse(span_of(rows[i].text), &duration))
            check_fail(__FILE__, __LINE__, rows[i].text, "is refused");
        CHECK(duration == rows[i].duration);
        duration_format(duration, text);
        CHECK_STR(text, rows[i].canonical ? rows[i].canonical : rows[i].text);
        CHECK_INT(duration_parse(span_of(text), &again), TIME_OK);
        CHECK(again == duration);
    }
}

TEST(durations_refused)
{
    static const char *const texts[] = {
        "",
        "10",
        "s",
        "-1s",
        "+1s",
        ".",
        ".s",
        "1.",
        "1.5",
        "1..5s",
        "1.5.5s",
        "1. 5s",
        "1.-5s",
        "1.5s1.5s",
        "18446744073.709551615s",
        "18446744073.8s",
        "213503.99d",
        "1 s",
        " 1s",
        "1s ",
        "1S",
        "1w",
        "1m1h",
        "1s1s",
        "1hm",
        "h1",
        "1\xc2\xb5s",
        "1ms1",
        "0x1s",
        "18446744073709551615ns",
        "18446744073709551616ns",
        "213504d",
        "999999999999999999999s",
        "18446744073s999999999ns9ns",
    };
    nsec duration;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (duration_parse(span_of(texts[i]), &duration) != TIME_BAD)
            check_fail(__FILE__, __LINE__, texts[i], "is accepted");
    }
    CHECK_INT(duration_parse(SPAN_NULL, &duration), TIME_BAD);
}
