/* SPDX-License-Identifier: PostgreSQL
 *
 * Values of the present row of a connection, raw or as text for catalogs and messages. Rows that are moved
 * are converted elsewhere.
 */
#include "mssql/conn.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sybfront.h>
#include <sybdb.h>

#include "mssql/sql.h"

/* Not in every sybdb.h. */
enum { UNIQUEIDENTIFIER = 36, XML = 241 };

struct ms_datum ms_column(struct ms_conn *self, int column)
{
    assert(column >= 0 && column < self->columns);
    int length = dbdatlen(self->db, column + 1);
    return (struct ms_datum){.data = dbdata(self->db, column + 1),
                             .length = length > 0 ? (uint32_t)length : 0,
                             .type = (uint8_t)dbcoltype(self->db, column + 1)};
}

const char *ms_column_name(struct ms_conn *self, int column)
{
    return dbcolname(self->db, column + 1);
}

int ms_column_type(struct ms_conn *self, int column)
{
    return dbcoltype(self->db, column + 1);
}

int ms_column_size(struct ms_conn *self, int column)
{
    return dbcollen(self->db, column + 1);
}

static int64_t integer_of(const struct ms_datum *d)
{
    int64_t wide = 0;
    int32_t four = 0;
    int16_t two = 0;
    switch (d->length) {
    case 1:
        return *(const uint8_t *)d->data;
    case 2:
        memcpy(&two, d->data, 2);
        return two;
    case 4:
        memcpy(&four, d->data, 4);
        return four;
    case 8:
        memcpy(&wide, d->data, 8);
        return wide;
    default:
        return 0;
    }
}

static bool is_integer(int type)
{
    return type == SYBINT1 || type == SYBINT2 || type == SYBINT4 || type == SYBINT8 || type == SYBINTN ||
           type == SYBBIT || type == SYBBITN;
}

static bool is_text(int type)
{
    return type == SYBCHAR || type == SYBVARCHAR || type == SYBTEXT || type == SYBNVARCHAR ||
           type == SYBNTEXT || type == XML;
}

static void put_uuid(struct buffer *out, const uint8_t *b)
{
    /* The first three fields are little-endian. */
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int i = 0; i < 16; i++)
        buffer_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[order[i]]);
}

static void put_converted(struct ms_conn *self, const struct ms_datum *d, struct buffer *out)
{
    char text[300];
    DBINT n =
        dbconvert(self->db, d->type, d->data, (DBINT)d->length, SYBCHAR, (BYTE *)text, (DBINT)sizeof(text));
    while (n > 0 && text[n - 1] == ' ')
        n--;
    if (n > 0)
        buffer_put(out, text, (size_t)n);
}

bool ms_column_text(struct ms_conn *self, int column, struct buffer *out)
{
    struct ms_datum d = ms_column(self, column);
    if (!d.data)
        return false;
    if (is_text(d.type))
        buffer_put(out, d.data, d.length);
    else if (is_integer(d.type))
        buffer_printf(out, "%" PRId64, integer_of(&d));
    else if (d.type == SYBBINARY || d.type == SYBVARBINARY || d.type == SYBIMAGE)
        ms_sql_hex(out, d.data, d.length);
    else if (d.type == UNIQUEIDENTIFIER && d.length == 16)
        put_uuid(out, d.data);
    else
        put_converted(self, &d, out);
    return true;
}

int64_t ms_column_int(struct ms_conn *self, int column)
{
    struct ms_datum d = ms_column(self, column);
    return d.data && is_integer(d.type) ? integer_of(&d) : 0;
}

/* The first column of the one row there is. */
static bool one_row(struct ms_conn *self, const char *sql, struct error *err)
{
    if (!ms_query_start(self, sql, err))
        return false;
    if (!self->in_results)
        return error_set(err, ERROR_REFUSED, "%s: a query returned no rows where rows belong: %.200s",
                         self->endpoint, sql);
    enum ms_next next = ms_query_next(self, err);
    if (next == MS_END) {
        ms_query_stop(self);
        error_set(err, ERROR_REFUSED, "%s: no row where one belongs: %.200s", self->endpoint, sql);
    }
    return next == MS_ROW;
}

/* True if nothing comes behind it. */
static bool no_more(struct ms_conn *self, const char *sql, struct error *err)
{
    enum ms_next next = ms_query_next(self, err);
    if (next == MS_ROW) {
        ms_query_stop(self);
        return error_set(err, ERROR_REFUSED, "%s: several rows where one belongs: %.200s", self->endpoint,
                         sql);
    }
    while (next == MS_END && self->in_results) {
        next = ms_query_next_set(self, err);
        while (next == MS_ROW)
            next = ms_query_next(self, err);
    }
    return next == MS_END;
}

bool ms_query_one(struct ms_conn *self, const char *sql, char *out, size_t size, bool *is_null,
                  struct error *err)
{
    struct buffer text = {0};
    if (!one_row(self, sql, err))
        return false;
    bool null = !ms_column_text(self, 0, &text);
    snprintf(out, size, "%s", buffer_text(&text));
    buffer_free(&text);
    if (is_null)
        *is_null = null;
    return no_more(self, sql, err);
}

bool ms_query_int(struct ms_conn *self, const char *sql, int64_t *out, struct error *err)
{
    if (!one_row(self, sql, err))
        return false;
    *out = ms_column_int(self, 0);
    return no_more(self, sql, err);
}
