/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The calendar is computed here and not by the C library: gmtime() and timegm() depend on no zone
 * but are slow, take no other range, and strftime() speaks the locale's language.
 */

#include "codec/timefmt.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "codec/http1_scan.h"

#define MSEC_PER_DAY 86400000
#define DAYS_TO_1970 719468 /* from 0000-03-01 */
#define DAYS_PER_ERA 146097 /* 400 years of the Gregorian calendar */

/* The years that four digits can write. */
#define FIRST_TIME ((unix_msec)-62167219200000)
#define LAST_TIME ((unix_msec)253402300799999)

struct date {
    int year, month, day;
};

/* Years are taken to start in March, so that the leap day is their last and months are regular:
 * the first day of month m, from March = 0, is (153 m + 2) / 5. */
static struct date date_of_days(int64_t days)
{
    days += DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int day_of_era = (int)(days - era * DAYS_PER_ERA);
    int year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    int month = (5 * day_of_year + 2) / 153;
    return (struct date){
        .year = (int)(era * 400) + year + (month >= 10),
        .month = month < 10 ? month + 3 : month - 9,
        .day = day_of_year - (153 * month + 2) / 5 + 1,
    };
}

static int64_t days_of_date(struct date date)
{
    int year = date.year - (date.month <= 2);
    int era = (year >= 0 ? year : year - 399) / 400;
    int year_of_era = year - era * 400;
    int month = date.month > 2 ? date.month - 3 : date.month + 9;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
                     (153 * month + 2) / 5 + date.day - 1;
    return (int64_t)era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

struct instant {
    struct date date;
    int64_t days;
    unsigned hour, minute, second, msec;
};

static struct instant instant_of(unix_msec time)
{
    if (time < FIRST_TIME)
        time = FIRST_TIME;
    if (time > LAST_TIME)
        time = LAST_TIME;
    int64_t days = (time - (time < 0 ? MSEC_PER_DAY - 1 : 0)) / MSEC_PER_DAY;
    unsigned rest = (unsigned)(time - days * MSEC_PER_DAY);
    return (struct instant){
        .date = date_of_days(days),
        .days = days,
        .hour = rest / 3600000,
        .minute = rest / 60000 % 60,
        .second = rest / 1000 % 60,
        .msec = rest % 1000,
    };
}

/* The fields are bounded by construction; the compiler is told so by the remainders. */
static unsigned short_of(int value, unsigned bound)
{
    return (unsigned)value % bound;
}

void time_format(unix_msec time, char ret_text[TIME_TEXT_MAX])
{
    struct instant at = instant_of(time);
    int size = snprintf(ret_text, TIME_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u",
                        short_of(at.date.year, 10000), short_of(at.date.month, 100),
                        short_of(at.date.day, 100), at.hour % 100, at.minute, at.second);
    if (at.msec) {
        snprintf(ret_text + size, TIME_TEXT_MAX - (size_t)size, ".%03uZ", at.msec);
    } else {
        memcpy(ret_text + size, "Z", 2);
    }
}

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void time_format_http(unix_msec time, char ret_text[TIME_TEXT_MAX])
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    struct instant at = instant_of(time);
    int64_t weekday = (at.days % 7 + 7) % 7;
    snprintf(ret_text, TIME_TEXT_MAX, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * weekday,
             short_of(at.date.day, 100), months + 3 * (ptrdiff_t)(at.date.month - 1),
             short_of(at.date.year, 10000), at.hour % 100, at.minute, at.second);
}

/* Reads exactly `n_digits` digits and then `separator`, if that is not NUL. */
static bool cut_number(struct span *text, unsigned n_digits, char separator, int *ret_number)
{
    uint64_t number;
    if (text->size < n_digits || !span_to_uint(span_first(*text, n_digits), 9999, &number))
        return false;
    *text = span_from(*text, n_digits);
    if (separator) {
        if (!text->size || text->data[0] != separator)
            return false;
        *text = span_from(*text, 1);
    }
    *ret_number = (int)number;
    return true;
}

/* ".250…": digits behind the third are cut off. */
static bool cut_fraction(struct span *text, int *ret_msec)
{
    int msec = 0, weight = 100;
    size_t size = 1;
    for (; size < text->size && text->data[size] >= '0' && text->data[size] <= '9'; size++) {
        msec += (text->data[size] - '0') * weight;
        weight /= 10;
    }
    *text = span_from(*text, size);
    *ret_msec = msec;
    return size > 1;
}

/* "Z" or "+01:00", the whole rest. */
static bool read_offset(struct span text, int *ret_minutes)
{
    if (text.size == 1 && (text.data[0] | 0x20) == 'z') {
        *ret_minutes = 0;
        return true;
    }
    if (text.size != 6 || (text.data[0] != '+' && text.data[0] != '-'))
        return false;
    int sign = text.data[0] == '+' ? 1 : -1, hours, minutes;
    text = span_from(text, 1);
    if (!cut_number(&text, 2, ':', &hours) || !cut_number(&text, 2, 0, &minutes))
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return hours < 24 && minutes < 60;
}

static bool date_is_valid(struct date date)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
    return date.month >= 1 && date.month <= 12 && date.day >= 1 &&
           date.day <= days[date.month - 1] + (date.month == 2 && is_leap);
}

int time_parse(struct span text, unix_msec *ret_time)
{
    struct date date;
    int hour, minute, second, msec = 0, offset;
    if (!cut_number(&text, 4, '-', &date.year) || !cut_number(&text, 2, '-', &date.month) ||
        !cut_number(&text, 2, 0, &date.day) || !date_is_valid(date))
        return TIME_BAD;
    if (!text.size || (text.data[0] | 0x20) != 't')
        return TIME_BAD;
    text = span_from(text, 1);
    if (!cut_number(&text, 2, ':', &hour) || !cut_number(&text, 2, ':', &minute) ||
        !cut_number(&text, 2, 0, &second) || hour > 23 || minute > 59 || second > 59)
        return TIME_BAD;
    if (text.size && text.data[0] == '.' && !cut_fraction(&text, &msec))
        return TIME_BAD;
    if (!read_offset(text, &offset))
        return TIME_BAD;

    int64_t minutes = days_of_date(date) * 1440 + hour * INT64_C(60) + minute - offset;
    *ret_time = (minutes * 60 + second) * 1000 + msec;
    return TIME_OK;
}

static int month_of(struct span name)
{
    for (int month = 1; month <= 12; month++) {
        if (span_equals(name, (struct span){ months + 3 * (ptrdiff_t)(month - 1), 3 }))
            return month;
    }
    return 0;
}

int time_parse_http(struct span text, unix_msec *ret_time)
{
    struct date date;
    int hour, minute, second;
    if (text.size != strlen("Fri, 20 Nov 2026 08:00:00 GMT") ||
        !span_is(span_first(span_from(text, 3), 2), ", "))
        return TIME_BAD;
    text = span_from(text, 5);
    if (!cut_number(&text, 2, ' ', &date.day))
        return TIME_BAD;
    date.month = month_of(span_first(text, 3));
    text = span_from(text, 3);
    if (!span_starts_with(text, SPAN(" ")))
        return TIME_BAD;
    text = span_from(text, 1);
    if (!cut_number(&text, 4, ' ', &date.year) || !date_is_valid(date) ||
        !cut_number(&text, 2, ':', &hour) || !cut_number(&text, 2, ':', &minute) ||
        !cut_number(&text, 2, ' ', &second) || hour > 23 || minute > 59 || second > 60 ||
        !span_is(text, "GMT"))
        return TIME_BAD;
    int64_t minutes = days_of_date(date) * 1440 + hour * INT64_C(60) + minute;
    *ret_time = (minutes * 60 + second) * 1000;
    return TIME_OK;
}

/* From the largest down. */
static const struct {
    struct span name;
    nsec size;
} units[] = {
    { SPAN("d"), 86400 * NSEC_PER_SEC },
    { SPAN("h"), 3600 * NSEC_PER_SEC },
    { SPAN("m"), 60 * NSEC_PER_SEC },
    { SPAN("s"), NSEC_PER_SEC },
    { SPAN("ms"), NSEC_PER_MSEC },
    { SPAN("us"), 1000 },
    { SPAN("ns"), 1 },
};

#define N_UNITS (sizeof(units) / sizeof(units[0]))

static size_t unit_find(struct span name)
{
    size_t unit = 0;
    while (unit < N_UNITS && !span_equals(units[unit].name, name))
        unit++;
    return unit;
}

static size_t count_digits(struct span text)
{
    size_t n = 0;
    while (n < text.size && text.data[n] >= '0' && text.data[n] <= '9')
        n++;
    return n;
}

/* So much of a unit as the digits behind a point say, from the last of them on; what is less than a
 * nanosecond is left out, as Go does. */
static nsec part_of(nsec unit, struct span digits)
{
    nsec part = 0;
    for (size_t i = digits.size; i > 0; i--)
        part = (part + (nsec)(digits.data[i - 1] - '0') * unit) / 10;
    return part;
}

/* "1.5h" at the head of `rest`, of the units from the index on, which is moved behind it. */
static bool take_count(struct span *rest, size_t *ret_unit, nsec *ret_part)
{
    struct span digits = span_first(*rest, count_digits(*rest)), fraction = SPAN_NULL;
    *rest = span_from(*rest, digits.size);
    if (span_starts_with(*rest, SPAN("."))) {
        *rest = span_from(*rest, 1);
        fraction = span_first(*rest, count_digits(*rest));
        *rest = span_from(*rest, fraction.size);
    }
    size_t size = 0;
    while (size < rest->size && rest->data[size] > '9')
        size++;
    size_t unit = unit_find(span_first(*rest, size));
    *rest = span_from(*rest, size);
    uint64_t count = 0;
    if (unit < *ret_unit || unit == N_UNITS || digits.size + fraction.size == 0 ||
        (digits.size && !span_to_uint(digits, UINT64_MAX, &count)))
        return false;
    *ret_unit = unit + 1;
    return !__builtin_mul_overflow(count, units[unit].size, ret_part) &&
           !__builtin_add_overflow(*ret_part, part_of(units[unit].size, fraction), ret_part);
}

int duration_parse(struct span text, nsec *ret_duration)
{
    nsec duration = 0, part = 0;
    size_t unit = 0; /* each at most once, the larger first */
    if (!text.size)
        return TIME_BAD;
    while (text.size) {
        if (!take_count(&text, &unit, &part) || __builtin_add_overflow(duration, part, &duration) ||
            duration == NSEC_NEVER)
            return TIME_BAD;
    }
    *ret_duration = duration;
    return TIME_OK;
}

/* Whether `rest` is a count of one unit below `unit`, and a count that reads well: less than what
 * makes one of the next larger unit. */
static bool rest_unit(size_t unit, nsec rest, size_t *ret_unit)
{
    for (size_t lower = unit + 1; lower < N_UNITS; lower++) {
        if (rest % units[lower].size == 0) {
            *ret_unit = lower;
            return rest < units[lower - 1].size;
        }
    }
    return false;
}

void duration_format(nsec duration, char ret_text[TIME_TEXT_MAX])
{
    size_t unit = 0, lower = 0;
    nsec rest = 0;
    for (; unit < N_UNITS; unit++) {
        rest = duration % units[unit].size;
        if (duration >= units[unit].size && (!rest || rest_unit(unit, rest, &lower)))
            break;
    }
    if (unit == N_UNITS) {
        memcpy(ret_text, "0s", 3);
        return;
    }
    int size = snprintf(ret_text, TIME_TEXT_MAX, "%" PRIu64 "%s", duration / units[unit].size,
                        units[unit].name.data);
    if (rest) {
        snprintf(ret_text + size, TIME_TEXT_MAX - (size_t)size, "%" PRIu64 "%s",
                 rest / units[lower].size, units[lower].name.data);
    }
}
