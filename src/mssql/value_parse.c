/* SPDX-License-Identifier: PostgreSQL
 *
 * Dates and times from the text PostgreSQL writes in our sessions (DateStyle ISO): `0044-03-15 BC`,
 * `infinity`, `2024-02-29 23:59:59.5+05:30`. Only what SQL Server can hold is understood; the rest is
 * refused.
 */
#include "mssql/value_part.h"

struct reader {
    const char *at, *end;
};

static bool no_time(struct slice text, struct error *err)
{
    return error_set(
        err, ERROR_DATA,
        "the date or time is out of range - infinity, before Christ or past 9999, or %zu bytes that are "
        "none",
        text.length);
}

/* Exactly `digits` digits. */
static bool number(struct reader *r, int digits, int *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++, r->at++) {
        if (r->at >= r->end || *r->at < '0' || *r->at > '9')
            return false;
        *out = *out * 10 + (*r->at - '0');
    }
    return true;
}

static bool literal(struct reader *r, char c)
{
    if (r->at >= r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* Days since 1900-01-01 of a date of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int m = month <= 2 ? month + 9 : month - 3; /* March is 0 */
    int64_t days = 365 * (int64_t)y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    return days - 693901; /* of 1900-01-01 */
}

static bool date(struct reader *r, int64_t *days)
{
    static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!number(r, 4, &year) || !literal(r, '-') || !number(r, 2, &month) || !literal(r, '-') ||
        !number(r, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > lengths[month - 1])
        return false;
    *days = days_of(year, month, day);
    return true;
}

static bool clock(struct reader *r, int64_t *us)
{
    int hour, minute, second;
    int64_t fraction = 0;
    if (!number(r, 2, &hour) || !literal(r, ':') || !number(r, 2, &minute) || !literal(r, ':') ||
        !number(r, 2, &second) || hour > 24 || minute > 59 || second > 59)
        return false;
    if (literal(r, '.')) {
        int64_t place = 100000;
        while (r->at < r->end && *r->at >= '0' && *r->at <= '9' && place) {
            fraction += (*r->at++ - '0') * place;
            place /= 10;
        }
    }
    *us = ((int64_t)hour * 3600 + minute * 60 + second) * 1000000 + fraction;
    return true;
}

/* Seconds east of UTC: +hh, +hh:mm, +hh:mm:ss. */
static bool zone(struct reader *r, int64_t *seconds)
{
    int part[3] = {0};
    int sign = *r->at++ == '-' ? -1 : 1;
    for (int i = 0; i < 3; i++) {
        if (i && !literal(r, ':'))
            break;
        if (!number(r, 2, &part[i]))
            return false;
    }
    *seconds = sign * (part[0] * INT64_C(3600) + part[1] * 60 + part[2]);
    return true;
}

bool ms_value_parse_date(struct slice text, int64_t *days, struct error *err)
{
    struct reader r = {text.data, text.data + text.length};
    return (date(&r, days) && r.at == r.end) || no_time(text, err);
}

bool ms_value_parse_time(struct slice text, int64_t *us, struct error *err)
{
    struct reader r = {text.data, text.data + text.length};
    return (clock(&r, us) && r.at == r.end) || no_time(text, err);
}

bool ms_value_parse_timestamp(struct slice text, int64_t *us, struct error *err)
{
    struct reader r = {text.data, text.data + text.length};
    int64_t days, time;
    int64_t east = 0;
    if (!date(&r, &days) || !literal(&r, ' ') || !clock(&r, &time) || time >= MS_DAY_US)
        return no_time(text, err);
    if (r.at < r.end && (*r.at == '+' || *r.at == '-') && !zone(&r, &east))
        return no_time(text, err);
    *us = (days - MS_EPOCH_DAYS) * MS_DAY_US + time - east * 1000000;
    return r.at == r.end || no_time(text, err);
}
