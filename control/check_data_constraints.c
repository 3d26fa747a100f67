/* SPDX-License-Identifier: PostgreSQL
 *
 * `crossfade check --data`, the second half: unique indexes, checks and foreign keys that only the target
 * has, held against the rows of the legacy database. One query a constraint.
 */
#include "control/check_run.h"

#include <stdlib.h>
#include <string.h>

#include "pgsql/sql.h"

/* What a column of the target is called in the legacy table; NULL if it is not carried. */
static const char *source_name(const struct table *t, const char *sink)
{
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (strcmp(t->columns[i].sink, sink) == 0)
            return t->columns[i].source;
    }
    return NULL;
}

static void from_table(const struct table *t, struct buffer *sql)
{
    buffer_puts(sql, t->source_partitioned ? " FROM " : " FROM ONLY ");
    sql_qualified(sql, t->from_schema, t->from_name);
}

/* The query gives a count and an example. */
static void say(struct check *self, const struct table *t, const char *sql, const char *constraint,
                const char *what)
{
    PGresult *r = check_rows(self, &self->legacy, sql);
    if (r && strcmp(PQgetvalue(r, 0, 0), "0") != 0)
        check_say(self, PAIR_FAIL, "data_refused", t->from, NULL, "%s %s %s of the target - %s, for example",
                  PQgetvalue(r, 0, 0), what, constraint, PQgetvalue(r, 0, 1));
    else if (r)
        check_say(self, PAIR_OK, "data", t->from, NULL, "no %s %s of the target", what, constraint);
    PQclear(r);
}

static void scan_unique(struct check *self, const struct table *t, const struct pg_relation *to,
                        const struct pg_index *x)
{
    struct buffer columns = {0}, present = {0}, sql = {0};
    for (uint16_t i = 0; i < x->column_count; i++) {
        const char *name = source_name(t, to->columns[x->columns[i]].name);
        if (!name)
            goto done; /* the target fills it by itself */
        buffer_puts(&columns, i ? ", " : "");
        sql_ident(&columns, name);
        buffer_puts(&present, i ? " AND " : "");
        sql_ident(&present, name);
        buffer_puts(&present, " IS NOT NULL");
    }
    buffer_printf(&sql, "SELECT count(*), min(k) FROM (SELECT ROW(%s)::text AS k", buffer_text(&columns));
    from_table(t, &sql);
    buffer_printf(&sql, " WHERE %s GROUP BY %s HAVING count(*) > 1) d", buffer_text(&present),
                  buffer_text(&columns));
    say(self, t, buffer_text(&sql), x->name, "value(s) are there more than once, against unique index");
done:
    buffer_free(&columns);
    buffer_free(&present);
    buffer_free(&sql);
}

static void scan_indexes(struct check *self)
{
    for (uint32_t i = 0; i < self->pairing.tables.count; i++) {
        const struct table *t = self->pairing.tables.tables[i];
        const struct pg_relation *from = pg_catalog_by_oid(&self->legacy.catalog, t->source_oid);
        const struct pg_relation *to = pg_catalog_by_oid(&self->target.catalog, t->sink_oid);
        for (uint16_t j = 0; from && to && j < to->index_count; j++) {
            const struct pg_index *x = &to->indexes[j];
            if (x->unique && x->valid && !x->partial && !x->has_expressions &&
                !check_like_index(self, from, to, x))
                scan_unique(self, t, to, x);
        }
    }
}

static bool names_are_the_same(const struct table *t)
{
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (strcmp(t->columns[i].source, t->columns[i].sink) != 0)
            return false;
    }
    return !t->sink_extra_columns;
}

static bool legacy_has_check(const PGresult *legacy, uint32_t oid, const char *expression)
{
    for (int i = 0; i < PQntuples(legacy); i++) {
        if (strtoul(PQgetvalue(legacy, i, 0), NULL, 10) == oid &&
            strcmp(PQgetvalue(legacy, i, 2), expression) == 0)
            return true;
    }
    return false;
}

static void scan_checks(struct check *self)
{
    static const char read[] = "SELECT conrelid, conname, pg_get_expr(conbin, conrelid) FROM pg_constraint"
                               " WHERE contype = 'c' AND conrelid <> 0";
    PGresult *theirs = check_rows(self, &self->legacy, read), *ours = check_rows(self, &self->target, read);
    for (int i = 0; theirs && ours && i < PQntuples(ours); i++) {
        const struct table *t = check_by_sink(self, (uint32_t)strtoul(PQgetvalue(ours, i, 0), NULL, 10));
        const char *expression = PQgetvalue(ours, i, 2);
        struct buffer sql = {0};
        if (!t || legacy_has_check(theirs, t->source_oid, expression))
            continue;
        if (!names_are_the_same(t)) {
            check_say(self, PAIR_WARN, "data_not_scanned", t->from, NULL,
                      "rows were not held against check %s of the target: its columns are not the legacy's",
                      PQgetvalue(ours, i, 1));
            continue;
        }
        buffer_puts(&sql, "SELECT count(*), min(");
        check_key_row(t, &sql);
        buffer_putc(&sql, ')');
        from_table(t, &sql);
        buffer_printf(&sql, " t WHERE NOT (%s)", expression);
        say(self, t, buffer_text(&sql), PQgetvalue(ours, i, 1), "row(s) break check");
        buffer_free(&sql);
    }
    PQclear(theirs);
    PQclear(ours);
}

/* "c.a = p.x AND …" of a foreign key, in the legacy's names. False if some column is not carried. */
static bool match_sql(const struct table *child, const struct table *parent, char *const *from,
                      char *const *to, int count, struct buffer *match, struct buffer *present)
{
    for (int i = 0; i < count; i++) {
        const char *a = source_name(child, from[i]), *b = source_name(parent, to[i]);
        if (!a || !b)
            return false;
        buffer_puts(match, i ? " AND c." : "c.");
        sql_ident(match, a);
        buffer_puts(match, " = p.");
        sql_ident(match, b);
        buffer_puts(present, i ? " AND c." : "c.");
        sql_ident(present, a);
        buffer_puts(present, " IS NOT NULL");
    }
    return count > 0;
}

static void scan_foreign_key(struct check *self, const struct table *child, const struct table *parent,
                             const char *name, const char *from, const char *to)
{
    struct buffer match = {0}, present = {0}, sql = {0};
    char **a = NULL, **b = NULL;
    int n = sql_array_parse(from, &a), m = sql_array_parse(to, &b);
    if (n > 0 && n == m && match_sql(child, parent, a, b, n, &match, &present)) {
        buffer_puts(&sql, "SELECT count(*), min(");
        check_key_row(child, &sql);
        buffer_putc(&sql, ')');
        from_table(child, &sql);
        buffer_printf(&sql, " c WHERE %s AND NOT EXISTS (SELECT", buffer_text(&present));
        from_table(parent, &sql);
        buffer_printf(&sql, " p WHERE %s)", buffer_text(&match));
        say(self, child, buffer_text(&sql), name, "row(s) have no parent, against foreign key");
    }
    free(a);
    free(b);
    buffer_free(&match);
    buffer_free(&present);
    buffer_free(&sql);
}

static bool legacy_has_foreign_key(const struct check *self, const struct table *child,
                                   const struct table *parent)
{
    const struct pg_catalog *c = &self->legacy.catalog;
    for (uint32_t i = 0; i < c->foreign_key_count; i++) {
        if (c->foreign_keys[i].child == child->source_oid && c->foreign_keys[i].parent == parent->source_oid)
            return true;
    }
    return false;
}

static void scan_foreign_keys(struct check *self)
{
    PGresult *r = check_rows(
        self, &self->target,
        "SELECT o.conrelid, o.confrelid, o.conname,"
        " (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(o.conkey) WITH ORDINALITY k(num, n)"
        "  JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.num),"
        " (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(o.confkey) WITH ORDINALITY k(num, n)"
        "  JOIN pg_attribute a ON a.attrelid = o.confrelid AND a.attnum = k.num)"
        " FROM pg_constraint o WHERE o.contype = 'f'");
    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct table *child = check_by_sink(self, (uint32_t)strtoul(PQgetvalue(r, i, 0), NULL, 10));
        const struct table *parent = check_by_sink(self, (uint32_t)strtoul(PQgetvalue(r, i, 1), NULL, 10));
        if (child && parent && !legacy_has_foreign_key(self, child, parent))
            scan_foreign_key(self, child, parent, PQgetvalue(r, i, 2), PQgetvalue(r, i, 3),
                             PQgetvalue(r, i, 4));
    }
    PQclear(r);
}

void check_data_constraints(struct check *self)
{
    scan_indexes(self);
    scan_checks(self);
    scan_foreign_keys(self);
}
