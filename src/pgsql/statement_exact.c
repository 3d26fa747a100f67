/* SPDX-License-Identifier: PostgreSQL
 *
 * Statements for one source change as it came, and TRUNCATE.
 *
 * Without a key, a row is found by all its values, and one of several equal rows is taken: the smallest
 * difference that the source could have made must make a difference here too. So types whose = is blind to
 * something (numeric's scale, interval's units, jsonb's numbers, collations, geometric areas) or that have
 * none (json, xml) are compared by their text, which our pinned sessions make exact.
 */
#include <assert.h>

#include "pgsql/sql.h"
#include "pgsql/statement.h"
#include "pgsql/statement_part.h"

/* bool bytea "char" int8 int2 int4 oid macaddr cidr inet date time timestamp timestamptz uuid pg_lsn
 * macaddr8 xid8 */
static bool is_bytewise(const struct type *type)
{
    static const uint16_t oids[] = {16,  17,   18,   20,   21,   23,   26,   829, 650,
                                    869, 1082, 1083, 1114, 1184, 2950, 3220, 774, 5069};
    if (type->kind == 'e')
        return true;
    for (size_t i = 0; i < sizeof(oids) / sizeof(oids[0]); i++) {
        if (type->base_oid == oids[i])
            return true;
    }
    return false;
}

/* text varchar bpchar */
static bool is_collated(const struct type *type)
{
    return type->base_oid == 25 || type->base_oid == 1043 || type->base_oid == 1042;
}

static void put_column(struct buffer *sql, const struct column *c)
{
    buffer_puts(sql, "t.");
    sql_ident(sql, c->sink);
}

static void put_same(const struct statement_part *p, uint16_t i)
{
    const struct column *c = &p->table->columns[i];
    struct buffer *sql = &p->out->sql;
    const char *same = c->not_null ? " = " : " IS NOT DISTINCT FROM ";
    bool bytewise = is_bytewise(&c->sink_type);
    bool collated = !bytewise && is_collated(&c->sink_type);
    if (collated && c->not_null) { /* an index, if there is one, has the column's own collation */
        put_column(sql, c);
        buffer_puts(sql, " = ");
        statement_part_value(p, i, true);
        buffer_puts(sql, " AND ");
    }
    put_column(sql, c);
    if (bytewise || collated) {
        buffer_puts(sql, same);
        statement_part_value(p, i, true);
        buffer_puts(sql, collated ? " COLLATE pg_catalog.\"C\"" : "");
        return;
    }
    buffer_puts(sql, "::pg_catalog.text COLLATE pg_catalog.\"C\"");
    buffer_puts(sql, same);
    buffer_putc(sql, '(');
    statement_part_value(p, i, true);
    buffer_puts(sql, ")::pg_catalog.text");
}

static void put_old_match(const struct statement_part *p)
{
    struct buffer *sql = &p->out->sql;
    buffer_puts(sql, "(t.tableoid, t.ctid) = (SELECT t.tableoid, t.ctid FROM ");
    statement_part_relation(p, true);
    for (uint16_t i = 0; i < p->table->column_count; i++) {
        buffer_puts(sql, i ? " AND " : " WHERE ");
        put_same(p, i);
    }
    buffer_puts(sql, " LIMIT 1)");
}

static void put_match(const struct statement_part *p, bool old_full)
{
    buffer_puts(&p->out->sql, " WHERE ");
    if (old_full)
        put_old_match(p);
    else
        statement_part_key_match(p);
}

static void add_match_params(struct statement_part *p, bool old_full)
{
    if (!old_full)
        statement_part_key_params(p);
    for (uint16_t i = 0; old_full && i < p->table->column_count; i++)
        statement_part_param(p, i, true);
}

static void add_row_params(struct statement_part *p, const uint64_t *mask)
{
    for (uint16_t i = 0; i < p->table->column_count; i++) {
        if (statement_part_has(mask, i))
            statement_part_param(p, i, false);
    }
}

static void put_exact_insert(struct statement_part *p, const uint64_t *mask)
{
    struct buffer *sql = &p->out->sql;
    add_row_params(p, mask);
    buffer_puts(sql, "INSERT INTO ");
    statement_part_relation(p, false);
    buffer_putc(sql, ' ');
    if (!statement_part_columns(p, mask)) {
        buffer_puts(sql, "DEFAULT VALUES");
        return;
    }
    if (statement_part_identity_always(p->table, mask))
        buffer_puts(sql, " OVERRIDING SYSTEM VALUE");
    const char *lead = " VALUES (";
    for (uint16_t i = 0; i < p->table->column_count; i++) {
        if (!statement_part_has(mask, i))
            continue;
        buffer_puts(sql, lead);
        statement_part_value(p, i, false);
        lead = ", ";
    }
    buffer_putc(sql, ')');
}

static bool put_set(const struct statement_part *p, const uint64_t *mask)
{
    struct buffer *sql = &p->out->sql;
    const char *lead = " SET ";
    for (uint16_t i = 0; i < p->table->column_count; i++) {
        const struct column *c = &p->table->columns[i];
        if (!statement_part_has(mask, i) || c->sink_identity_always)
            continue;
        buffer_puts(sql, lead);
        sql_ident(sql, c->sink);
        buffer_puts(sql, " = ");
        statement_part_value(p, i, false);
        lead = ", ";
    }
    return lead[0] == ',';
}

static bool settable(const struct table *t, const uint64_t *mask)
{
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (statement_part_has(mask, i) && !t->columns[i].sink_identity_always)
            return true;
    }
    return false;
}

/* The GENERATED ALWAYS columns of the mask are (not) what they are to become. */
static void put_identity(const struct statement_part *p, const uint64_t *mask, bool same)
{
    struct buffer *sql = &p->out->sql;
    const char *lead = same ? " AND (" : " AND NOT (";
    for (uint16_t i = 0; i < p->table->column_count; i++) {
        const struct column *c = &p->table->columns[i];
        if (!statement_part_has(mask, i) || !c->sink_identity_always)
            continue;
        buffer_puts(sql, lead);
        put_column(sql, c);
        buffer_puts(sql, " = ");
        statement_part_value(p, i, false);
        lead = " AND ";
    }
    buffer_putc(sql, ')');
}

static void put_plain_update(struct statement_part *p, bool old_full, const uint64_t *mask)
{
    bool set = settable(p->table, mask);
    buffer_puts(&p->out->sql, set ? "UPDATE " : "SELECT 1 FROM ");
    statement_part_relation(p, true);
    if (set)
        put_set(p, mask);
    put_match(p, old_full);
}

/* No UPDATE sets a GENERATED ALWAYS column, so a row whose identity changes is taken out and put in again,
 * with the columns that the change did not bring (those that are not carried get their defaults); any other
 * is updated. The two match different rows, so both may stand in one statement. */
static void put_identity_update(struct statement_part *p, bool old_full, const uint64_t *mask)
{
    const struct table *t = p->table;
    struct buffer *sql = &p->out->sql;
    buffer_puts(sql, "WITH d AS (DELETE FROM ");
    statement_part_relation(p, true);
    put_match(p, old_full);
    put_identity(p, mask, false);
    buffer_puts(sql, " RETURNING t.*), i AS (INSERT INTO ");
    statement_part_relation(p, false);
    buffer_puts(sql, " (");
    for (uint16_t i = 0; i < t->column_count; i++) {
        buffer_puts(sql, i ? ", " : "");
        sql_ident(sql, t->columns[i].sink);
    }
    buffer_puts(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    for (uint16_t i = 0; i < t->column_count; i++) {
        buffer_puts(sql, i ? ", " : "");
        if (statement_part_has(mask, i)) {
            statement_part_value(p, i, false);
        } else {
            buffer_puts(sql, "d.");
            sql_ident(sql, t->columns[i].sink);
        }
    }
    buffer_puts(sql, " FROM d RETURNING 1), n AS (");
    put_plain_update(p, old_full, mask);
    put_identity(p, mask, true);
    buffer_puts(sql, settable(t, mask) ? " RETURNING 1" : "");
    buffer_puts(sql, ") SELECT 1 FROM n UNION ALL SELECT 1 FROM i");
}

void statement_exact(const struct table *table, enum change_op op, bool old_full, const uint64_t *mask,
                     struct statement *out)
{
    struct statement_part p;
    assert(op != CHANGE_TRUNCATE);
    assert(old_full || table->key_count > 0 || op == CHANGE_INSERT);
    statement_part_start(&p, table, NULL, false, out);
    if (op == CHANGE_INSERT) {
        put_exact_insert(&p, mask);
        return;
    }
    add_match_params(&p, old_full);
    if (op == CHANGE_DELETE) {
        buffer_puts(&out->sql, "DELETE FROM ");
        statement_part_relation(&p, true);
        put_match(&p, old_full);
        return;
    }
    add_row_params(&p, mask);
    if (statement_part_identity_always(table, mask))
        put_identity_update(&p, old_full, mask);
    else
        put_plain_update(&p, old_full, mask);
}

void statement_truncate(const struct table *const *tables, uint32_t count, bool restart, struct buffer *out)
{
    buffer_puts(out, "TRUNCATE ");
    for (uint32_t i = 0; i < count; i++) {
        buffer_puts(out, i ? ", " : "");
        buffer_puts(out, tables[i]->sink_partitioned ? "" : "ONLY ");
        sql_qualified(out, tables[i]->to_schema, tables[i]->to_name);
    }
    buffer_puts(out, restart ? " RESTART IDENTITY" : "");
}
