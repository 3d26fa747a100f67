/* SPDX-License-Identifier: PostgreSQL
 *
 * Constants as the kind of what they meet. SQL Server converts them when the statement runs, by data type
 * precedence; PostgreSQL wants them right when the table is made, so each is rewritten, or refused, here.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "legacy/mssql_expression_part.h"
#include "pgsql/sql.h"

enum node_kind mssql_literal_kind(const struct ms_column_type *type)
{
    switch (ms_type_carrier(type->type)->oid) {
    case MS_OID_BOOL:
        return NODE_BOOL;
    case MS_OID_INT2:
    case MS_OID_INT4:
    case MS_OID_INT8:
    case MS_OID_FLOAT4:
    case MS_OID_FLOAT8:
    case MS_OID_NUMERIC:
        return NODE_NUMBER;
    case MS_OID_TEXT:
    case MS_OID_VARCHAR:
    case MS_OID_BPCHAR:
        return NODE_TEXT;
    case MS_OID_DATE:
        return NODE_DATE;
    case MS_OID_TIME:
        return NODE_TIME;
    case MS_OID_TIMESTAMP:
        return NODE_TIMESTAMP;
    case MS_OID_TIMESTAMPTZ:
        return NODE_TIMESTAMPTZ;
    case MS_OID_UUID:
        return NODE_UUID;
    case MS_OID_BYTEA:
        return NODE_BYTES;
    default:
        return NODE_OTHER;
    }
}

static struct node *constant(struct mssql_expression *self, enum node_kind kind, const char *text, char *sql)
{
    struct node *n = mssql_expression_node(self, kind, sql);
    n->literal = arena_strdup(self->arena, text);
    n->atom = *sql != '-';
    n->integer = kind == NODE_NUMBER && !strpbrk(text, ".eE");
    return n;
}

static struct node *quoted(struct mssql_expression *self, enum node_kind kind, const char *type,
                           const char *text)
{
    struct buffer sql = {0};
    if (*type)
        buffer_printf(&sql, "%s ", type);
    sql_literal(&sql, text);
    struct node *n = constant(self, kind, text, arena_strdup(self->arena, buffer_text(&sql)));
    buffer_free(&sql);
    return n;
}

static struct node *as_bool(struct mssql_expression *self, const struct node *n)
{
    const char *t = n->literal;
    if (strcasecmp(t, "true") == 0 || (n->kind == NODE_NUMBER && strpbrk(t, "123456789")))
        return constant(self, NODE_BOOL, "1", arena_strdup(self->arena, "true"));
    if (strcasecmp(t, "false") == 0 || *t == '\0' || strspn(t, "0.") == strlen(t))
        return constant(self, NODE_BOOL, "0", arena_strdup(self->arena, "false"));
    if (strcmp(t, "1") == 0)
        return constant(self, NODE_BOOL, "1", arena_strdup(self->arena, "true"));
    return mssql_expression_refuse(self, "'%s' is no bit", t);
}

static struct node *as_number(struct mssql_expression *self, const struct node *n)
{
    const char *t = n->literal;
    char *end = NULL;
    size_t length = strspn(t, "+-.0123456789eE");
    if (length == 0 || t[length] != '\0' || (strtod(t, &end), *end != '\0'))
        return mssql_expression_refuse(self, "'%s' is no number", t);
    return constant(self, NODE_NUMBER, t, arena_strdup(self->arena, t));
}

/* --- dates and times --- */

static bool good_date(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && leap);
}

/* hh:mm[:ss[.fraction]] at the start of `text`; its length, 0 if it is none. */
static size_t time_length(const char *text)
{
    int hour, minute, second = 0, used = 0;
    if (sscanf(text, "%2d:%2d%n", &hour, &minute, &used) != 2 || used < 4)
        return 0;
    size_t n = (size_t)used;
    if (text[n] == ':') {
        if (sscanf(text + n, ":%2d%n", &second, &used) != 1)
            return 0;
        n += (size_t)used;
        if (text[n] == '.')
            n += 1 + strspn(text + n + 1, "0123456789");
    }
    return hour < 24 && minute < 60 && second < 60 && hour >= 0 && minute >= 0 && second >= 0 ? n : 0;
}

/* Digits alone where digits belong: sscanf would take blanks and signs. */
static bool shaped(const char *text, const char *shape)
{
    for (; *shape; shape++, text++) {
        if (*shape == '9' ? !isdigit((unsigned char)*text) : *text != *shape)
            return false;
    }
    return true;
}

/* A date as every setting of DATEFORMAT reads it, or the ISO form. Its length, 0 if it is none. */
static size_t date_length(const char *t, int *year, int *month, int *day)
{
    size_t length = 0;
    if (shaped(t, "99999999") && sscanf(t, "%4d%2d%2d", year, month, day) == 3)
        length = 8;
    else if (shaped(t, "9999-99-99") && sscanf(t, "%4d-%2d-%2d", year, month, day) == 3)
        length = 10;
    return length && good_date(*year, *month, *day) ? length : 0;
}

/* Days since 1900-01-01, as datetime takes an integer. */
static void from_days(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 693901; /* since 0000-03-01 */
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

static struct node *put_time(struct mssql_expression *self, enum node_kind kind, const char *date,
                             const char *time, const char *zone)
{
    if (kind == NODE_DATE)
        return quoted(self, kind, "DATE", date);
    if (kind == NODE_TIME)
        return quoted(self, kind, "TIME", *time ? time : "00:00:00");
    const char *text = mssql_expression_text(self, "%s%s%s%s", date, *time ? " " : " 00:00:00", time,
                                             kind == NODE_TIMESTAMPTZ ? (*zone ? zone : "+00:00") : "");
    return quoted(self, kind, kind == NODE_TIMESTAMP ? "TIMESTAMP" : "TIMESTAMP WITH TIME ZONE", text);
}

static struct node *days_as_time(struct mssql_expression *self, const struct node *n, enum node_kind kind)
{
    int year, month, day;
    char date[40];
    int64_t days = strtoll(n->literal, NULL, 10);
    if (!n->integer || strlen(n->literal) > 7 || days < -53690 || days > 2958463)
        return mssql_expression_refuse(self, "%s is no date", n->literal);
    from_days(days, &year, &month, &day);
    snprintf(date, sizeof(date), "%04d-%02d-%02d", year, month, day);
    return put_time(self, kind, date, "", "");
}

static struct node *as_time(struct mssql_expression *self, const struct node *n, enum node_kind kind)
{
    const char *t = n->literal;
    int year = 1900, month = 1, day = 1;
    if (n->kind == NODE_NUMBER)
        return days_as_time(self, n, kind);
    size_t date = date_length(t, &year, &month, &day);
    const char *rest = t + date;
    if (date && (*rest == ' ' || *rest == 'T'))
        rest++;
    size_t time = *rest ? time_length(rest) : 0;
    const char *zone = rest + time;
    if (*zone == ' ')
        zone++;
    bool zoned = shaped(zone, "+99:99") || shaped(zone, "-99:99");
    size_t after = zoned ? 6 : *zone == 'Z' ? 1 : 0;
    bool good =
        (date || time || *t == '\0') && zone[after] == '\0' && (after == 0 || kind == NODE_TIMESTAMPTZ);
    if (!good)
        return mssql_expression_refuse(
            self, "'%s' is no date or time that reads the same under every setting (20001231, 2000-12-31)",
            t);
    return put_time(self, kind, mssql_expression_text(self, "%04d-%02d-%02d", year, month, day),
                    mssql_expression_text(self, "%.*s", (int)time, rest),
                    zoned   ? zone
                    : after ? "+00:00"
                            : "");
}

/* --- */

static struct node *as_uuid(struct mssql_expression *self, const struct node *n)
{
    const char *t = n->literal;
    size_t length = strlen(t);
    char *bare = mssql_expression_text(self, "%.*s", (int)(length == 38 ? 36 : length), t + (length == 38));
    bool good = n->kind == NODE_TEXT && strlen(bare) == 36;
    for (size_t i = 0; good && i < 36; i++)
        good = i == 8 || i == 13 || i == 18 || i == 23 ? bare[i] == '-' : isxdigit((unsigned char)bare[i]);
    return good ? quoted(self, NODE_UUID, "UUID", bare)
                : mssql_expression_refuse(self, "'%s' is no uniqueidentifier", t);
}

/* binary(n) is filled up with zeros. */
static struct node *as_bytes(struct mssql_expression *self, const struct node *n,
                             const struct ms_column_type *type)
{
    if (n->kind != NODE_BYTES)
        return mssql_expression_refuse(self, "'%s' as binary is not translated", n->literal);
    struct buffer hex = {0};
    if (strlen(n->literal) % 2)
        buffer_putc(&hex, '0');
    buffer_puts(&hex, n->literal);
    while (type && type->type->id == MS_BINARY && hex.length < 2 * (size_t)type->max_length)
        buffer_putc(&hex, '0');
    struct node *out = constant(self, NODE_BYTES, buffer_text(&hex),
                                mssql_expression_text(self, "'\\x%s'::bytea", buffer_text(&hex)));
    buffer_free(&hex);
    return out;
}

static struct node *literal_as(struct mssql_expression *self, struct node *n, enum node_kind kind,
                               const struct ms_column_type *type)
{
    if (kind == NODE_BYTES)
        return as_bytes(self, n, type);
    if (n->kind == kind)
        return n;
    bool plain = n->kind == NODE_TEXT || n->kind == NODE_NUMBER;
    switch (kind) {
    case NODE_BOOL:
        return plain ? as_bool(self, n) : NULL;
    case NODE_NUMBER:
        return plain || n->kind == NODE_BOOL ? as_number(self, n) : NULL;
    case NODE_TEXT:
        return n->kind == NODE_NUMBER ? quoted(self, NODE_TEXT, "", n->literal) : NULL;
    case NODE_DATE:
    case NODE_TIME:
    case NODE_TIMESTAMP:
    case NODE_TIMESTAMPTZ:
        return plain || (n->kind >= NODE_DATE && n->kind <= NODE_TIMESTAMPTZ) ? as_time(self, n, kind) : NULL;
    case NODE_UUID:
        return as_uuid(self, n);
    case NODE_OTHER: /* xml, say: a quoted text is read as the column's type */
        return n->kind == NODE_TEXT ? n : NULL;
    case NODE_BYTES:
    case NODE_NULL:
    case NODE_PREDICATE:
        break;
    }
    return NULL;
}

static struct node *cast(struct mssql_expression *self, const struct node *n, enum node_kind kind,
                         const char *fmt_before, const char *after)
{
    struct node *out = arena_copy(self->arena, n, sizeof(*n));
    out->kind = kind;
    out->sql = mssql_expression_text(self, "%s%s%s", fmt_before, n->sql, after);
    out->atom = true;
    return out;
}

/* Of what is no constant: only between kinds of time. */
static struct node *cast_as(struct mssql_expression *self, struct node *n, enum node_kind kind)
{
    if (kind == NODE_DATE && n->kind == NODE_TIMESTAMP)
        return cast(self, n, kind, "CAST(", " AS date)");
    if (kind == NODE_TIME && n->kind == NODE_TIMESTAMP)
        return cast(self, n, kind, "CAST(", " AS time)");
    if (kind == NODE_TIMESTAMP && n->kind == NODE_DATE)
        return cast(self, n, kind, "CAST(", " AS timestamp)");
    if (kind == NODE_TIMESTAMPTZ && n->kind == NODE_TIMESTAMP)
        return cast(self, n, kind, "((", ") AT TIME ZONE 'UTC')");
    if (kind == NODE_TIMESTAMP && n->kind == NODE_TIMESTAMPTZ && n->now)
        return cast(self, n, kind, "CAST(", " AS timestamp)");
    return NULL;
}

struct node *mssql_literal_as(struct mssql_expression *self, struct node *n, enum node_kind kind,
                              const struct ms_column_type *type)
{
    struct node *out = NULL;
    if (n->kind == NODE_NULL)
        return n;
    if (n->kind == NODE_PREDICATE)
        return mssql_expression_refuse(self, "a condition is no value");
    if (n->literal)
        out = literal_as(self, n, kind, type);
    else if (n->kind == kind && kind != NODE_OTHER)
        return n;
    else
        out = cast_as(self, n, kind);
    if (!out && !self->failed)
        mssql_expression_refuse(self, "%s as a value of another type is not translated", n->sql);
    return out;
}

/* By data type precedence: a text is converted to whatever it meets, a number to a time. */
bool mssql_literal_meet(struct mssql_expression *self, struct node **a, struct node **b)
{
    if ((*a)->kind == NODE_NULL || (*b)->kind == NODE_NULL)
        mssql_expression_refuse(self, "a comparison with NULL is never true");
    else if ((*a)->kind == (*b)->kind)
        return true;
    else if ((*a)->kind == NODE_TEXT && !(*a)->literal)
        mssql_expression_refuse(self, "%s is converted to another type by the SQL Server", (*a)->sql);
    else if ((*b)->kind == NODE_TEXT && !(*b)->literal)
        mssql_expression_refuse(self, "%s is converted to another type by the SQL Server", (*b)->sql);
    else if ((*b)->literal)
        *b = mssql_literal_as(self, *b, (*a)->kind, NULL);
    else if ((*a)->literal)
        *a = mssql_literal_as(self, *a, (*b)->kind, NULL);
    else if ((*a)->kind == NODE_DATE && (*b)->kind == NODE_TIMESTAMP)
        *a = cast_as(self, *a, NODE_TIMESTAMP);
    else if ((*a)->kind == NODE_TIMESTAMP && (*b)->kind == NODE_DATE)
        *b = cast_as(self, *b, NODE_TIMESTAMP);
    else
        mssql_expression_refuse(self, "%s and %s are of different types", (*a)->sql, (*b)->sql);
    return !self->failed && *a && *b;
}
