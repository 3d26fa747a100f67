/* SPDX-License-Identifier: PostgreSQL
 *
 * `crossfade check --data`: reads each table that has a column with a narrower target once, and counts the
 * values that the target would refuse or change, with a key to find one by. What can't be judged by a query
 * on the legacy side is named as not looked at, never passed over.
 */
#include "control/check_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/pair_type.h"
#include "pgsql/sql.h"

enum { NUMERIC_MAX_DIGITS = 1000 };

/* One condition that a bad value meets, in the legacy database's SQL. */
struct suspicion {
    char *object; /* table.column */
    char *what;   /* "… value(s) <what>" */
    enum pair_level level;
    struct buffer condition;
};

struct scan {
    struct check *check;
    const struct table *table;
    struct suspicion *list;
    int count;
};

static const struct {
    const char *type;
    const char *low, *high;
    const char *pattern; /* of its text form */
} integers[] = {
    {"int2", "-32768", "32767", "^\\s*[-+]?\\d+\\s*$"},
    {"int4", "-2147483648", "2147483647", "^\\s*[-+]?\\d+\\s*$"},
    {"int8", "-9223372036854775808", "9223372036854775807", "^\\s*[-+]?\\d+\\s*$"},
    {"oid", "0", "4294967295", "^\\s*\\d+\\s*$"},
};

/* Other types that legacy texts go to, by what their texts look like. */
static const struct {
    const char *type;
    const char *pattern;
} patterns[] = {
    {"uuid", "^\\s*\\{?[0-9A-Fa-f]{8}-?([0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}\\}?\\s*$"},
    {"numeric", "^\\s*([-+]?(\\d+\\.?\\d*|\\.\\d+)([eE][-+]?\\d+)?|[nN]a[nN])\\s*$"},
    {"float4", "^\\s*([-+]?(\\d+\\.?\\d*|\\.\\d+)([eE][-+]?\\d+)?|[nN]a[nN]|[-+]?[iI]nfinity)\\s*$"},
    {"float8", "^\\s*([-+]?(\\d+\\.?\\d*|\\.\\d+)([eE][-+]?\\d+)?|[nN]a[nN]|[-+]?[iI]nfinity)\\s*$"},
    {"bool", "^\\s*(t|tr|tru|true|f|fa|fal|fals|false|y|ye|yes|n|no|on|of|off|0|1)\\s*$"},
};

static struct buffer *suspect(struct scan *self, const struct column *c, const char *what)
{
    struct buffer object = {0};
    self->list = mem_grow(self->list, (size_t)self->count + 1, sizeof(*self->list));
    struct suspicion *s = &self->list[self->count++];
    buffer_printf(&object, "%s.%s", self->table->from, c ? c->source : "");
    *s = (struct suspicion){.object = c ? buffer_detach(&object) : mem_strdup(self->table->from),
                            .what = mem_strdup(what),
                            .level = PAIR_FAIL};
    buffer_free(&object);
    return &s->condition;
}

static bool is(const struct pg_type_info *t, const char *name)
{
    return strcmp(t->schema, "pg_catalog") == 0 && strcmp(t->name, name) == 0;
}

static bool is_text(const struct pg_type_info *t)
{
    return is(t, "text") || is(t, "varchar") || is(t, "bpchar") || is(t, "name");
}

static bool is_number(const struct pg_type_info *t)
{
    return t->category == 'N';
}

static void integer_suspicion(struct scan *self, const struct column *c, const struct pg_type_info *s,
                              size_t i)
{
    struct buffer *b = suspect(self, c, "have a fraction or are out of the target's range");
    if (is_text(s)) {
        buffer_puts(b, "CASE WHEN ");
        sql_ident(b, c->source);
        buffer_puts(b, "::text !~ ");
        sql_literal(b, integers[i].pattern);
        buffer_puts(b, " THEN true ELSE ");
        sql_ident(b, c->source);
        buffer_printf(b, "::text::numeric NOT BETWEEN %s AND %s END", integers[i].low, integers[i].high);
        return;
    }
    sql_ident(b, c->source);
    buffer_printf(b, "::numeric NOT BETWEEN %s AND %s OR ", integers[i].low, integers[i].high);
    sql_ident(b, c->source);
    buffer_puts(b, "::numeric <> trunc(");
    sql_ident(b, c->source);
    buffer_puts(b, "::numeric)");
}

static void numeric_suspicion(struct scan *self, const struct column *c, int32_t modifier)
{
    int precision = ((modifier - 4) >> 16) & 0xffff;
    int scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
    if (precision > NUMERIC_MAX_DIGITS)
        return;
    struct buffer *b = suspect(self, c, "have more digits before the point than the target takes");
    buffer_puts(b, "abs(round(");
    sql_ident(b, c->source);
    buffer_printf(b, "::numeric, %d)) >= 1e%d::numeric", scale, precision - scale);
    b = suspect(self, c, "have more digits after the point than the target keeps");
    self->list[self->count - 1].level = PAIR_WARN;
    sql_ident(b, c->source);
    buffer_puts(b, "::numeric <> round(");
    sql_ident(b, c->source);
    buffer_printf(b, "::numeric, %d)", scale);
}

static void enum_suspicion(struct scan *self, const struct column *c, const struct pg_type_info *t)
{
    struct buffer *b = suspect(self, c, "are no label of the target's enum");
    sql_ident(b, c->source);
    buffer_puts(b, "::text NOT IN (''");
    for (uint32_t i = 0; i < t->label_count; i++) {
        buffer_puts(b, ", ");
        sql_literal(b, t->labels[i]);
    }
    buffer_puts(b, ")");
}

static bool pattern_suspicion(struct scan *self, const struct column *c, const struct pg_type_info *t)
{
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        if (!is(t, patterns[i].type))
            continue;
        struct buffer *b = suspect(self, c, "can't be read as the target's type");
        sql_ident(b, c->source);
        buffer_puts(b, "::text !~* ");
        sql_literal(b, patterns[i].pattern);
        return true;
    }
    return false;
}

/* A text that becomes another type. False: can't be judged here. */
static bool text_suspicion(struct scan *self, const struct column *c, const struct pg_type_info *t)
{
    if (t->kind == 'e') {
        enum_suspicion(self, c, t);
        return true;
    }
    if (pattern_suspicion(self, c, t))
        return true;
    if (self->check->legacy.conn.version < 160000 || strcmp(t->schema, "pg_catalog") != 0)
        return false;
    struct buffer *b = suspect(self, c, "can't be read as the target's type");
    buffer_puts(b, "NOT pg_input_is_valid(");
    sql_ident(b, c->source);
    buffer_puts(b, "::text, ");
    sql_literal(b, t->quoted);
    buffer_putc(b, ')');
    return true;
}

static bool length_suspicion(struct scan *self, const struct column *c, const struct pg_type_info *t,
                             int32_t modifier)
{
    bool bits = is(t, "bit") || is(t, "varbit");
    if (!bits && !is_text(t))
        return false;
    if (bits ? modifier < 0 : modifier < 4)
        return true; /* unlimited */
    struct buffer *b = suspect(
        self, c, bits ? "have another length than the target's" : "are longer than the target's column");
    buffer_puts(b, "length(");
    sql_ident(b, c->source);
    buffer_printf(b, "%s) %s %d", bits ? "" : "::text", is(t, "bit") ? "<>" : ">",
                  bits ? modifier : modifier - 4);
    return true;
}

/* False: the finding that pairing made about this column can't be looked into by a query here. */
static bool narrower_suspicion(struct scan *self, const struct column *c)
{
    int32_t smod = c->source_type.modifier, tmod = c->sink_type.modifier;
    const struct pg_type_info *s =
        pg_catalog_base_type(&self->check->legacy.catalog, c->source_type.oid, &smod);
    const struct pg_type_info *t =
        pg_catalog_base_type(&self->check->target.catalog, c->sink_type.oid, &tmod);
    if (!s || !t || s->element_oid || t->element_oid)
        return false;
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        if (is(t, integers[i].type) && (is_number(s) || is_text(s))) {
            integer_suspicion(self, c, s, i);
            return true;
        }
    }
    if (is(t, "numeric") && is_number(s) && tmod >= 4) {
        numeric_suspicion(self, c, tmod);
        return true;
    }
    if (is(s, "json") && is(t, "jsonb")) {
        struct buffer *b = suspect(self, c, "hold \\u0000");
        sql_ident(b, c->source);
        buffer_puts(b, "::text LIKE '%\\\\u0000%'");
        return true;
    }
    if (length_suspicion(self, c, t, tmod))
        return true;
    return is_text(s) && text_suspicion(self, c, t);
}

static void suspect_columns(struct scan *self)
{
    const struct pair_sides sides = {self->check->config, &self->check->legacy.catalog,
                                     &self->check->target.catalog, self->check->legacy.conn.version};
    const struct pg_relation *from = pg_catalog_by_oid(sides.source, self->table->source_oid);
    for (uint16_t i = 0; i < self->table->column_count; i++) {
        const struct column *c = &self->table->columns[i];
        const struct pg_column *own = from ? pg_relation_column(from, c->source) : NULL;
        struct pair_type fit;
        pair_type_judge(&sides, &c->source_type, &c->sink_type, &fit);
        if (fit.fit == PAIR_RISKY && !narrower_suspicion(self, c)) {
            struct buffer object = {0};
            buffer_printf(&object, "%s.%s", self->table->from, c->source);
            check_say(self->check, PAIR_WARN, "data_not_scanned", buffer_text(&object), NULL,
                      "its values were not looked at: %s to %s can't be judged by a query on the legacy side",
                      c->source_type.display, c->sink_type.display);
            buffer_free(&object);
        }
        pair_type_free(&fit);
        if (c->not_null && own && !own->not_null) {
            struct buffer *b = suspect(self, c, "are null");
            sql_ident(b, c->source);
            buffer_puts(b, " IS NULL");
        }
    }
}

void check_key_row(const struct table *t, struct buffer *out)
{
    buffer_puts(out, "ROW(");
    uint16_t count = t->key_count ? t->key_count : (t->column_count < 3 ? t->column_count : 3);
    for (uint16_t i = 0; i < count; i++) {
        buffer_puts(out, i ? ", " : "");
        sql_ident(out, t->columns[t->key_count ? t->key[i] : i].source);
    }
    buffer_puts(out, ")::text");
}

static void scan_sql(const struct scan *self, struct buffer *sql)
{
    const struct table *t = self->table;
    buffer_puts(sql, "SELECT ");
    for (int i = 0; i < self->count; i++) {
        const char *condition = buffer_text(&self->list[i].condition);
        buffer_printf(sql, "%scount(*) FILTER (WHERE %s), min(", i ? ", " : "", condition);
        check_key_row(t, sql);
        buffer_printf(sql, ") FILTER (WHERE %s), max(", condition);
        check_key_row(t, sql);
        buffer_printf(sql, ") FILTER (WHERE %s)", condition);
    }
    buffer_puts(sql, t->source_partitioned ? " FROM " : " FROM ONLY ");
    sql_qualified(sql, t->from_schema, t->from_name);
}

static void scan_table(struct scan *self)
{
    struct buffer sql = {0};
    scan_sql(self, &sql);
    PGresult *r = check_rows(self->check, &self->check->legacy, buffer_text(&sql));
    for (int i = 0; r && i < self->count; i++) {
        const char *count = PQgetvalue(r, 0, 3 * i);
        const char *low = PQgetvalue(r, 0, 3 * i + 1), *high = PQgetvalue(r, 0, 3 * i + 2);
        bool several = strcmp(low, high) != 0;
        if (strcmp(count, "0") == 0)
            check_say(self->check, PAIR_OK, "data", self->list[i].object, NULL, "no values %s",
                      self->list[i].what);
        else
            check_say(self->check, self->list[i].level,
                      self->list[i].level == PAIR_FAIL ? "data_refused" : "data_changed",
                      self->list[i].object, NULL,
                      "%s value(s) %s - the target %s them; the rows with key %s%s%s, for example", count,
                      self->list[i].what, self->list[i].level == PAIR_FAIL ? "refuses" : "rounds", low,
                      several ? " and " : "", several ? high : "");
    }
    PQclear(r);
    buffer_free(&sql);
}

/* A key that the config gives and no unique index vouches for. */
static void scan_doubles(struct scan *self)
{
    const struct table *t = self->table;
    const struct pg_relation *from = pg_catalog_by_oid(&self->check->legacy.catalog, t->source_oid);
    bool vouched = !from || t->key_count == 0;
    for (uint16_t i = 0; !vouched && i < from->index_count; i++) {
        const struct pg_index *x = &from->indexes[i];
        vouched =
            x->unique && x->valid && !x->partial && !x->has_expressions && x->column_count == t->key_count;
        for (uint16_t j = 0; vouched && j < x->column_count; j++) {
            bool in = false;
            for (uint16_t k = 0; k < t->key_count; k++)
                in |= strcmp(from->columns[x->columns[j]].name, t->columns[t->key[k]].source) == 0;
            vouched = in;
        }
    }
    if (vouched)
        return;
    struct buffer sql = {0};
    buffer_puts(&sql, "SELECT count(*), min(k), max(k) FROM (SELECT ");
    check_key_row(t, &sql);
    buffer_puts(&sql, t->source_partitioned ? " AS k FROM " : " AS k FROM ONLY ");
    sql_qualified(&sql, t->from_schema, t->from_name);
    buffer_puts(&sql, " GROUP BY 1 HAVING count(*) > 1) d");
    PGresult *r = check_rows(self->check, &self->check->legacy, buffer_text(&sql));
    if (r && strcmp(PQgetvalue(r, 0, 0), "0") != 0)
        check_say(self->check, PAIR_FAIL, "data_doubles", t->from, NULL,
                  "%s value(s) of the config's key are there more than once, %s for example",
                  PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1));
    else if (r)
        check_say(self->check, PAIR_OK, "data", t->from, NULL, "the config's key is unique");
    PQclear(r);
    buffer_free(&sql);
}

void check_data(struct check *self)
{
    struct error err = {0};
    if (!pg_exec(&self->legacy.conn, "SET statement_timeout = 0", &err)) {
        check_say(self, PAIR_WARN, "query_failed", "legacy", NULL, "%s", err.text);
        return;
    }
    for (uint32_t i = 0; i < self->pairing.tables.count; i++) {
        struct scan scan = {.check = self, .table = self->pairing.tables.tables[i]};
        suspect_columns(&scan);
        if (scan.count)
            scan_table(&scan);
        scan_doubles(&scan);
        for (int j = 0; j < scan.count; j++) {
            free(scan.list[j].object);
            free(scan.list[j].what);
            buffer_free(&scan.list[j].condition);
        }
        free(scan.list);
    }
    check_data_constraints(self);
}
