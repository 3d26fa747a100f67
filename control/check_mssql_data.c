/* SPDX-License-Identifier: PostgreSQL
 *
 * `crossfade check --data` on the SQL Server side: reads each table once and counts the values that the
 * target would refuse or change, with a key to find one by. Under SNAPSHOT where the database allows it.
 */
#include "control/check_mssql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/sql.h"
#include "pgsql/pair_type.h"

enum { KEY_COLUMNS = 3, MICROSECOND_DIGITS = 6, BRIDGE_VERSION = 150000 };

struct suspicion {
    char *object;
    const char *what; /* "… value(s) <what>" */
    enum pair_level level;
    struct buffer condition;
};

struct scan {
    struct check_mssql *self;
    const struct table *table;
    const struct ms_catalog_table *from;
    struct suspicion *list;
    int count;
    int at; /* while the answer is read */
};

static struct buffer *suspect(struct scan *scan, const struct ms_catalog_column *c, enum pair_level level,
                              const char *what)
{
    scan->list = mem_grow(scan->list, (size_t)scan->count + 1, sizeof(*scan->list));
    struct suspicion *s = &scan->list[scan->count++];
    *s = (struct suspicion){.object = check_mssql_name(scan->from, c), .what = what, .level = level};
    return &s->condition;
}

static void quote(const struct ms_catalog_column *c, struct buffer *out)
{
    ms_sql_column(out, "t", c->name);
}

/* --- characters --- */

/* The column as nvarchar, compared by code units. */
static void units(const struct ms_catalog_column *c, struct buffer *out)
{
    bool old = c->type.type->id == MS_TEXT || c->type.type->id == MS_NTEXT;
    buffer_puts(out, old ? "CONVERT(nvarchar(max), " : "");
    quote(c, out);
    buffer_puts(out, old ? ") COLLATE Latin1_General_BIN2" : " COLLATE Latin1_General_BIN2");
}

static void nul_suspicion(struct scan *scan, const struct ms_catalog_column *c, bool refused)
{
    struct buffer *b = suspect(scan, c, refused ? PAIR_FAIL : PAIR_WARN, "hold a NUL character");
    buffer_puts(b, "CHARINDEX(NCHAR(0), ");
    units(c, b);
    buffer_puts(b, ") > 0");
}

/* A first half without its second behind it, or a second without its first before it. */
static void surrogate_suspicion(struct scan *scan, const struct ms_catalog_column *c, bool refused)
{
    static const char high[] = "NCHAR(55296) + N'-' + NCHAR(56319)",
                      low[] = "NCHAR(56320) + N'-' + NCHAR(57343)";
    struct buffer *b = suspect(scan, c, refused ? PAIR_FAIL : PAIR_WARN, "hold half a surrogate pair");
    units(c, b);
    buffer_printf(b, " LIKE N'%%[' + %s + N'][^' + %s + N']%%' OR ", high, low);
    units(c, b);
    buffer_printf(b, " LIKE N'%%[' + %s + N']' OR ", high);
    units(c, b);
    buffer_printf(b, " LIKE N'%%[^' + %s + N'][' + %s + N']%%' OR ", high, low);
    units(c, b);
    buffer_printf(b, " LIKE N'[' + %s + N']%%'", low);
}

static void length_suspicion(struct scan *scan, const struct ms_catalog_column *c, const struct type *sink)
{
    int32_t length = sink->modifier - 4;
    bool limited = (sink->base_oid == MS_OID_VARCHAR || sink->base_oid == MS_OID_BPCHAR) && length > 0;
    uint32_t own = ms_type_length(&c->type);
    if (!limited || (own != 0 && own <= (uint32_t)length))
        return;
    struct buffer *b = suspect(scan, c, PAIR_FAIL, "are longer than the target's column");
    bool old = c->type.type->id == MS_TEXT || c->type.type->id == MS_NTEXT;
    buffer_puts(b, old ? "LEN(CONVERT(nvarchar(max), " : "LEN(");
    quote(c, b);
    buffer_printf(b, "%s > %d", old ? "))" : ")", length);
}

static void character_suspicions(struct scan *scan, const struct ms_catalog_column *c, bool refused)
{
    enum ms_type_id id = c->type.type->id;
    nul_suspicion(scan, c, refused);
    if (id == MS_NCHAR || id == MS_NVARCHAR || id == MS_NTEXT)
        surrogate_suspicion(scan, c, refused);
}

/* --- numbers and times --- */

static void digits_suspicion(struct scan *scan, const struct ms_catalog_column *c, const struct type *sink)
{
    enum ms_type_id id = c->type.type->id;
    int32_t kept = sink->modifier >= 0 ? sink->modifier : MICROSECOND_DIGITS, unit = 1;
    bool timed = sink->base_oid == MS_OID_TIMESTAMP || sink->base_oid == MS_OID_TIMESTAMPTZ ||
                 sink->base_oid == MS_OID_TIME;
    int32_t has = id == MS_DATETIME ? 3 : c->type.scale;
    if (!timed || has <= kept ||
        (id != MS_TIME && id != MS_DATETIME && id != MS_DATETIME2 && id != MS_DATETIMEOFFSET))
        return;
    for (int32_t i = kept; i < 9; i++)
        unit *= 10;
    struct buffer *b = suspect(scan, c, PAIR_WARN, "have more fractional digits than the target keeps");
    buffer_puts(b, "DATEPART(NANOSECOND, ");
    quote(c, b);
    buffer_printf(b, ") %% %d <> 0", unit);
}

static bool is_decimal(enum ms_type_id id)
{
    return id == MS_DECIMAL || id == MS_NUMERIC || id == MS_MONEY || id == MS_SMALLMONEY;
}

static bool is_integer(enum ms_type_id id)
{
    return id == MS_TINYINT || id == MS_SMALLINT || id == MS_INT || id == MS_BIGINT;
}

/* The least number that rounds to one digit more than there is room for: 9999.995 for numeric(6,2). */
static void put_limit(struct buffer *out, const char *sign, int32_t precision, int32_t scale)
{
    buffer_puts(out, sign);
    for (int32_t i = 0; i < precision; i++)
        buffer_puts(out, i == precision - scale ? ".9" : "9");
    if (precision < 38)
        buffer_puts(out, scale > 0 ? "5" : ".5");
}

/* ROUND of a decimal overflows where the result has a digit more, the remainder never does. */
static void decimal_suspicions(struct scan *scan, const struct ms_catalog_column *c, const struct type *sink)
{
    static const char zeros[] = "00000000000000000000000000000000000000";
    enum ms_type_id id = c->type.type->id;
    int32_t m = sink->modifier - 4, precision = m >> 16 & 0xffff, scale = m & 0x7ff;
    int own_scale = is_integer(id) ? 0 : is_decimal(id) && id >= MS_MONEY ? 4 : c->type.scale;
    if (sink->base_oid != MS_OID_NUMERIC || sink->modifier < 4 || scale > precision || precision > 38 ||
        (!is_decimal(id) && !is_integer(id)))
        return;
    struct buffer *b = suspect(scan, c, PAIR_FAIL, "have more digits before the point than the target takes");
    quote(c, b);
    put_limit(b, " >= ", precision, scale);
    buffer_puts(b, " OR ");
    quote(c, b);
    put_limit(b, " <= -", precision, scale);
    if (own_scale <= scale)
        return;
    b = suspect(scan, c, PAIR_WARN, "have more digits after the point than the target keeps");
    quote(c, b);
    buffer_printf(b, " %% %s%.*s1 <> 0", scale > 0 ? "0." : "", scale > 0 ? scale - 1 : 0, zeros);
}

static void integer_suspicion(struct scan *scan, const struct ms_catalog_column *c, const struct type *sink)
{
    static const struct {
        uint32_t oid;
        const char *low, *high;
    } ranges[] = {{MS_OID_INT2, "-32768", "32767"},
                  {MS_OID_INT4, "-2147483648", "2147483647"},
                  {MS_OID_INT8, "-9223372036854775808", "9223372036854775807"}};
    enum ms_type_id id = c->type.type->id;
    if (!is_integer(id) && !is_decimal(id))
        return;
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (sink->base_oid != ranges[i].oid || ms_type_carrier(c->type.type)->oid == sink->base_oid)
            continue;
        struct buffer *b = suspect(scan, c, PAIR_FAIL, "have a fraction or are out of the target's range");
        quote(c, b);
        buffer_printf(b, " NOT BETWEEN %s AND %s", ranges[i].low, ranges[i].high);
        if (is_decimal(id)) {
            buffer_puts(b, " OR ");
            quote(c, b);
            buffer_puts(b, " % 1 <> 0");
        }
    }
}

/* --- a table --- */

static void suspect_column(struct scan *scan, const struct column *carried)
{
    const struct ms_catalog_column *c = ms_catalog_column(scan->from, carried->source);
    const struct check *check = scan->self->check;
    if (!c || !c->type.type)
        return;
    int32_t modifier = carried->sink_type.modifier;
    const struct pg_type_info *base =
        pg_catalog_base_type(&check->target.catalog, carried->sink_type.oid, &modifier);
    struct type sink = carried->sink_type;
    sink.modifier = modifier;
    sink.base_oid = base ? base->oid : 0;
    int before = scan->count;
    if (c->type.type->characters)
        length_suspicion(scan, c, &sink);
    digits_suspicion(scan, c, &sink);
    decimal_suspicions(scan, c, &sink);
    integer_suspicion(scan, c, &sink);
    const struct pair_sides sides = {check->config, &check->legacy.catalog, &check->target.catalog,
                                     BRIDGE_VERSION};
    struct pair_type fit;
    pair_type_judge(&sides, &carried->source_type, &carried->sink_type, &fit);
    if (fit.fit == PAIR_RISKY && scan->count == before) {
        char *name = check_mssql_name(scan->from, c);
        check_say(scan->self->check, PAIR_WARN, "data_not_scanned", name, NULL,
                  "its values were not looked at: %s to %s can't be judged by a query on the legacy side",
                  c->type_name, carried->sink_type.display);
        free(name);
    }
    pair_type_free(&fit);
    if (carried->not_null && c->nullable) {
        struct buffer *b = suspect(scan, c, PAIR_FAIL, "are null");
        quote(c, b);
        buffer_puts(b, " IS NULL");
    }
    if (c->type.type->characters)
        character_suspicions(scan, c, carried->policy.bad_text == BAD_TEXT_REFUSE);
}

static void key_part(const struct ms_catalog_column *c, struct buffer *out)
{
    enum ms_type_id id = c->type.type ? c->type.type->id : MS_XML;
    int style = id == MS_BINARY || id == MS_VARBINARY || id == MS_ROWVERSION ? 1
                : id >= MS_DATE && id <= MS_DATETIMEOFFSET                   ? 121
                                                                             : -1;
    bool shown = id != MS_XML && id != MS_IMAGE && id != MS_SQL_VARIANT && id < MS_HIERARCHYID;
    bool old = id == MS_TEXT || id == MS_NTEXT;
    if (!shown) {
        buffer_puts(out, "N'...'");
        return;
    }
    buffer_puts(out, old ? "ISNULL(CONVERT(nvarchar(60), CONVERT(nvarchar(max), "
                         : "ISNULL(CONVERT(nvarchar(60), ");
    quote(c, out);
    buffer_puts(out, old ? ")" : "");
    if (style >= 0)
        buffer_printf(out, ", %d", style);
    buffer_puts(out, "), N'NULL')");
}

/* The key as one text; of a keyless table its first three columns. */
static void key_text(const struct scan *scan, struct buffer *out)
{
    const struct table *t = scan->table;
    uint16_t count = t->key_count                    ? t->key_count
                     : t->column_count < KEY_COLUMNS ? t->column_count
                                                     : KEY_COLUMNS;
    for (uint16_t i = 0; i < count; i++) {
        const struct ms_catalog_column *c =
            ms_catalog_column(scan->from, t->columns[t->key_count ? t->key[i] : i].source);
        buffer_puts(out, i ? " + N', ' + " : "");
        if (c)
            key_part(c, out);
        else
            buffer_puts(out, "N'?'");
    }
}

static char *column_text(struct ms_conn *conn, int column)
{
    struct buffer text = {0};
    if (!ms_column_text(conn, column, &text))
        buffer_puts(&text, "?");
    return buffer_detach(&text);
}

static bool take_counts(void *context, struct ms_conn *conn, struct error *err)
{
    struct scan *scan = context;
    struct check *check = scan->self->check;
    (void)err;
    for (int i = 0; i < scan->count; i++) {
        const struct suspicion *s = &scan->list[i];
        int64_t count = ms_column_int(conn, 3 * i);
        char *low = column_text(conn, 3 * i + 1), *high = column_text(conn, 3 * i + 2);
        bool several = strcmp(low, high) != 0, refused = s->level == PAIR_FAIL;
        if (count == 0)
            check_say(check, PAIR_OK, "data", s->object, NULL, "no values %s", s->what);
        else
            check_say(check, s->level, refused ? "data_refused" : "data_changed", s->object, NULL,
                      "%" PRId64 " value(s) %s - %s; the rows with key (%s)%s%s%s, for example", count,
                      s->what, refused ? "the target refuses them" : "they come changed", low,
                      several ? " and (" : "", several ? high : "", several ? ")" : "");
        free(low);
        free(high);
    }
    return true;
}

static void scan_table(struct scan *scan)
{
    struct buffer sql = {0}, key = {0};
    struct error err = {0};
    key_text(scan, &key);
    buffer_puts(&sql, "SELECT ");
    for (int i = 0; i < scan->count; i++) {
        const char *condition = buffer_text(&scan->list[i].condition);
        buffer_printf(&sql,
                      "%sCOUNT_BIG(CASE WHEN %s THEN 1 END), MIN(CASE WHEN %s THEN %s END), MAX(CASE WHEN %s "
                      "THEN %s END)",
                      i ? ", " : "", condition, condition, buffer_text(&key), condition, buffer_text(&key));
    }
    buffer_puts(&sql, " FROM ");
    ms_sql_qualified(&sql, scan->from->schema, scan->from->name);
    buffer_puts(&sql, scan->from->memory_optimized ? " AS [t] WITH (SNAPSHOT)" : " AS [t]");
    if (!ms_query(&scan->self->conn, buffer_text(&sql), take_counts, scan, &err))
        check_mssql_failed(scan->self, scan->table->from, &err);
    buffer_free(&sql);
    buffer_free(&key);
}

static bool take_doubles(void *context, struct ms_conn *conn, struct error *err)
{
    struct scan *scan = context;
    int64_t count = ms_column_int(conn, 0);
    char *example = column_text(conn, 1);
    (void)err;
    if (count > 0)
        check_say(scan->self->check, PAIR_FAIL, "data_doubles", scan->table->from, NULL,
                  "%" PRId64 " value(s) of the config's key are there more than once, (%s) for example",
                  count, example);
    else
        check_say(scan->self->check, PAIR_OK, "data", scan->table->from, NULL, "the config's key is unique");
    free(example);
    return true;
}

/* A key that the config gives and no unique index vouches for. */
static void scan_doubles(struct scan *scan)
{
    const struct table *t = scan->table;
    bool vouched = t->key_count == 0;
    for (uint16_t i = 0; !vouched && i < scan->from->index_count; i++) {
        const struct ms_index *x = &scan->from->indexes[i];
        vouched = x->unique && !x->filter && !x->disabled && x->key_count > 0 && x->key_count <= t->key_count;
        for (uint16_t k = 0; vouched && k < x->column_count; k++) {
            bool in = x->columns[k].included;
            for (uint16_t j = 0; j < t->key_count; j++)
                in |=
                    strcmp(scan->from->columns[x->columns[k].column].name, t->columns[t->key[j]].source) == 0;
            vouched = in;
        }
    }
    if (vouched)
        return;
    struct buffer sql = {0}, key = {0};
    struct error err = {0};
    key_text(scan, &key);
    buffer_printf(&sql, "SELECT COUNT_BIG(*), MIN(d.k) FROM (SELECT MIN(%s) AS k FROM ", buffer_text(&key));
    ms_sql_qualified(&sql, scan->from->schema, scan->from->name);
    buffer_puts(&sql, " AS [t] GROUP BY ");
    for (uint16_t j = 0; j < t->key_count; j++) {
        buffer_puts(&sql, j ? ", " : "");
        ms_sql_column(&sql, "t", t->columns[t->key[j]].source);
    }
    buffer_puts(&sql, " HAVING COUNT(*) > 1) AS d");
    if (!ms_query(&scan->self->conn, buffer_text(&sql), take_doubles, scan, &err))
        check_mssql_failed(scan->self, t->from, &err);
    buffer_free(&sql);
    buffer_free(&key);
}

static void scan_one(struct check_mssql *self, const struct table *t)
{
    struct scan scan = {
        .self = self, .table = t, .from = ms_catalog_by_id(&self->catalog, (int32_t)t->source_oid)};
    if (!scan.from || !scan.from->can_select)
        return;
    for (uint16_t i = 0; i < t->column_count; i++)
        suspect_column(&scan, &t->columns[i]);
    if (scan.count)
        scan_table(&scan);
    scan_doubles(&scan);
    for (int i = 0; i < scan.count; i++) {
        free(scan.list[i].object);
        buffer_free(&scan.list[i].condition);
    }
    free(scan.list);
}

void check_mssql_data(struct check_mssql *self)
{
    struct error err = {0};
    if (self->catalog.database.snapshot_allowed &&
        !ms_exec(&self->conn, "SET TRANSACTION ISOLATION LEVEL SNAPSHOT", &err))
        check_mssql_failed(self, "legacy", &err);
    for (uint32_t i = 0; i < self->check->pairing.tables.count; i++)
        scan_one(self, self->check->pairing.tables.tables[i]);
}
