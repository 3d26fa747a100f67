/* SPDX-License-Identifier: PostgreSQL
 *
 * Dates and times, forth and back. Between the two sides a moment is {days since 1900-01-01, 100 ns since
 * midnight}: SQL Server's own terms, so that rounding is over one day and never carries by itself.
 */
#include "mssql/value_part.h"

#include <assert.h>

#define DAY_100NS INT64_C(864000000000)

enum { THIRDS_A_DAY = 25920000 };

struct moment {
    int64_t days;
    int64_t time; /* 100 ns, below a day */
};

static bool out_of_range(const struct ms_codec *self, struct error *err)
{
    return error_set(err, ERROR_DATA, "the date or time is out of range of %s", ms_type_at(self->type)->name);
}

static bool all_moment(const struct ms_datum *datum, struct moment *out)
{
    struct ms_datetimeall all;
    if (datum->length != sizeof(all))
        return false;
    memcpy(&all, datum->data, sizeof(all));
    bool clock = datum->type != MS_WIRE_DATE;
    bool calendar = datum->type != MS_WIRE_TIME;
    int slack = datum->type == MS_WIRE_DATETIMEOFFSET; /* its UTC may lie a day beyond */
    if ((clock && all.time >= (uint64_t)DAY_100NS) ||
        (calendar && (all.date < MS_DATE_FIRST - slack || all.date > MS_DATE_LAST + slack)))
        return false;
    out->days = calendar ? all.date : 0;
    out->time = clock ? (int64_t)all.time : 0;
    return true;
}

/* datetime as SQL Server shows it: .000, .003, .007. */
static bool third_moment(const struct ms_datum *datum, struct moment *out)
{
    if (datum->length != 8)
        return false;
    int32_t days = ms_get_i32(datum->data);
    int32_t thirds = ms_get_i32((const char *)datum->data + 4);
    if (days < MS_DATETIME_FIRST || days > MS_DATE_LAST || thirds < 0 || thirds >= THIRDS_A_DAY)
        return false;
    out->days = days;
    out->time = ((int64_t)thirds * 10 + 1) / 3 * 10000;
    return true;
}

static bool minute_moment(const struct ms_datum *datum, struct moment *out)
{
    if (datum->length != 4)
        return false;
    out->days = (uint16_t)ms_get_i16(datum->data);
    out->time = (uint16_t)ms_get_i16((const char *)datum->data + 2) * INT64_C(600000000);
    return out->time < DAY_100NS;
}

/* The datum must be of the column's type: an expression that gives another one is our mistake. */
static bool read_moment(const struct ms_codec *self, const struct ms_datum *datum, struct moment *out,
                        struct error *err)
{
    static const uint8_t wires[] = {[MS_DATE - MS_DATE] = MS_WIRE_DATE,
                                    [MS_TIME - MS_DATE] = MS_WIRE_TIME,
                                    [MS_SMALLDATETIME - MS_DATE] = MS_WIRE_DATETIME4,
                                    [MS_DATETIME - MS_DATE] = MS_WIRE_DATETIME,
                                    [MS_DATETIME2 - MS_DATE] = MS_WIRE_DATETIME2,
                                    [MS_DATETIMEOFFSET - MS_DATE] = MS_WIRE_DATETIMEOFFSET};
    assert(self->type >= MS_DATE && self->type <= MS_DATETIMEOFFSET);
    bool good = datum->type == wires[self->type - MS_DATE];
    if (good && datum->type == MS_WIRE_DATETIME)
        good = third_moment(datum, out);
    else if (good && datum->type == MS_WIRE_DATETIME4)
        good = minute_moment(datum, out);
    else if (good)
        good = all_moment(datum, out);
    return good || ms_value_unexpected(self, datum, err);
}

static int64_t moment_us(struct moment m)
{
    return (m.days - MS_EPOCH_DAYS) * MS_DAY_US + m.time / 10;
}

MS_DECODE(ms_value_decode_date)
{
    struct moment m;
    if (!read_moment(self, datum, &m, err))
        return false;
    if (m.time != 0)
        return error_set(err, ERROR_DATA, "a time other than midnight is no date - choose timestamp");
    buffer_put_u32(out, (uint32_t)(m.days - MS_EPOCH_DAYS));
    return true;
}

MS_DECODE(ms_value_decode_time)
{
    struct moment m;
    if (!read_moment(self, datum, &m, err))
        return false;
    buffer_put_u64(out, (uint64_t)(m.time / 10));
    return true;
}

MS_DECODE(ms_value_decode_timestamp)
{
    struct moment m;
    if (!read_moment(self, datum, &m, err))
        return false;
    buffer_put_u64(out, (uint64_t)moment_us(m));
    return true;
}

MS_DECODE(ms_value_decode_timestamptz)
{
    struct moment m;
    if (!read_moment(self, datum, &m, err))
        return false;
    int64_t us = moment_us(m);
    if (self->policy.zone && self->type != MS_DATETIMEOFFSET)
        us = ms_zone_to_utc(self->policy.zone, us);
    buffer_put_u64(out, (uint64_t)us);
    return true;
}

/* The nearest multiple of `unit`. Past the end of the day: the next one, or, at the last, cut instead. */
static void round_moment(struct moment *m, int64_t unit, int64_t last_day)
{
    m->time = (m->time + unit / 2) / unit * unit;
    if (m->time < DAY_100NS)
        return;
    if (m->days < last_day) {
        m->days++;
        m->time = 0;
    } else {
        m->time = DAY_100NS - unit;
    }
}

static int64_t unit_100ns(unsigned scale)
{
    static const int64_t units[] = {10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
    return units[scale < 7 ? scale : 7];
}

static void bind_all(uint8_t wire, struct moment m, const struct ms_codec *self, struct buffer *out,
                     struct ms_bound *bound)
{
    struct ms_datetimeall all = {
        .time = (uint64_t)m.time,
        .date = (int32_t)m.days,
        .time_prec = self->scale & 7u,
        .has_time = wire != MS_WIRE_DATE,
        .has_date = wire != MS_WIRE_TIME,
        .has_offset = wire == MS_WIRE_DATETIMEOFFSET,
    };
    memcpy(ms_value_bind(out, wire, sizeof(all), bound), &all, sizeof(all));
}

static bool bind_thirds(const struct ms_codec *self, struct moment m, struct buffer *out,
                        struct ms_bound *bound, struct error *err)
{
    int64_t thirds = (m.time * 3 + 50000) / 100000;
    if (thirds == THIRDS_A_DAY && m.days < MS_DATE_LAST) {
        m.days++;
        thirds = 0;
    } else if (thirds == THIRDS_A_DAY) {
        thirds--;
    }
    if (m.days < MS_DATETIME_FIRST || m.days > MS_DATE_LAST)
        return out_of_range(self, err);
    int32_t words[2] = {(int32_t)m.days, (int32_t)thirds};
    memcpy(ms_value_bind(out, MS_WIRE_DATETIME, 8, bound), words, 8);
    return true;
}

static bool bind_minutes(const struct ms_codec *self, struct moment m, struct buffer *out,
                         struct ms_bound *bound, struct error *err)
{
    if (m.days < 0 || m.days > MS_SMALLDATETIME_LAST)
        return out_of_range(self, err);
    round_moment(&m, INT64_C(600000000), MS_SMALLDATETIME_LAST);
    uint16_t words[2] = {(uint16_t)m.days, (uint16_t)(m.time / INT64_C(600000000))};
    memcpy(ms_value_bind(out, MS_WIRE_DATETIME4, 4, bound), words, 4);
    return true;
}

static bool bind_moment(const struct ms_codec *self, struct moment m, struct buffer *out,
                        struct ms_bound *bound, struct error *err)
{
    if (self->type == MS_SMALLDATETIME)
        return bind_minutes(self, m, out, bound, err);
    if (m.days < MS_DATE_FIRST || m.days > MS_DATE_LAST)
        return out_of_range(self, err);
    switch ((unsigned)self->type) {
    case MS_DATETIME:
        return bind_thirds(self, m, out, bound, err);
    case MS_DATE:
        if (m.time != 0)
            return error_set(err, ERROR_DATA, "a time other than midnight does not fit a date");
        bind_all(MS_WIRE_DATE, m, self, out, bound);
        return true;
    case MS_DATETIMEOFFSET:
        round_moment(&m, unit_100ns(self->scale), MS_DATE_LAST);
        bind_all(MS_WIRE_DATETIMEOFFSET, m, self, out, bound);
        return true;
    default:
        assert(self->type == MS_DATETIME2);
        round_moment(&m, unit_100ns(self->scale), MS_DATE_LAST);
        bind_all(MS_WIRE_DATETIME2, m, self, out, bound);
        return true;
    }
}

static bool bind_us(const struct ms_codec *self, int64_t us, struct buffer *out, struct ms_bound *bound,
                    struct error *err)
{
    int64_t days = us / MS_DAY_US;
    int64_t rest = us % MS_DAY_US;
    if (rest < 0) {
        days--;
        rest += MS_DAY_US;
    }
    struct moment m = {.days = days + MS_EPOCH_DAYS, .time = rest * 10};
    return bind_moment(self, m, out, bound, err);
}

/* A date may be out of range of everything: infinity, 4713 BC. */
MS_ENCODE(ms_value_encode_date)
{
    struct moment m = {0};
    if (value->kind == VALUE_TEXT) {
        if (!ms_value_parse_date(ms_value_slice(value), &m.days, err))
            return false;
    } else if (value->length == 4) {
        m.days = (int64_t)(int32_t)ms_get_b32(value->data) + MS_EPOCH_DAYS;
    } else {
        return ms_value_malformed(self, value, err);
    }
    return bind_moment(self, m, out, bound, err);
}

MS_ENCODE(ms_value_encode_time)
{
    int64_t us;
    if (value->kind == VALUE_TEXT) {
        if (!ms_value_parse_time(ms_value_slice(value), &us, err))
            return false;
    } else if (value->length == 8) {
        us = (int64_t)ms_get_b64(value->data);
    } else {
        return ms_value_malformed(self, value, err);
    }
    if (us < 0 || us >= MS_DAY_US)
        return out_of_range(self, err);
    struct moment m = {.time = us * 10};
    round_moment(&m, unit_100ns(self->scale), 0);
    bind_all(MS_WIRE_TIME, m, self, out, bound);
    return true;
}

static bool read_timestamp(const struct ms_codec *self, const struct value *value, int64_t *us,
                           struct error *err)
{
    if (value->kind == VALUE_TEXT)
        return ms_value_parse_timestamp(ms_value_slice(value), us, err);
    if (value->length != 8)
        return ms_value_malformed(self, value, err);
    *us = (int64_t)ms_get_b64(value->data);
    if (*us == INT64_MAX || *us == INT64_MIN)
        return error_set(err, ERROR_DATA, "infinity is no value of %s", ms_type_at(self->type)->name);
    return true;
}

MS_ENCODE(ms_value_encode_timestamp)
{
    int64_t us;
    return read_timestamp(self, value, &us, err) && bind_us(self, us, out, bound, err);
}

MS_ENCODE(ms_value_encode_timestamptz)
{
    int64_t us;
    if (!read_timestamp(self, value, &us, err))
        return false;
    /* Far outside of both ranges, where an offset could overflow. */
    if (us < -INT64_C(100000) * 366 * MS_DAY_US / 10 || us > INT64_C(100000) * 366 * MS_DAY_US / 10)
        return out_of_range(self, err);
    if (self->policy.zone && self->type != MS_DATETIMEOFFSET)
        us = ms_zone_to_local(self->policy.zone, us);
    return bind_us(self, us, out, bound, err);
}
