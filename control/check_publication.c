/* SPDX-License-Identifier: PostgreSQL
 *
 * The publications that the stream reads: do they exist, hold every table, whole rows, and all operations;
 * and do they not hurt the application: a table without a replica identity in a publication of updates and
 * deletes makes the application's own UPDATE and DELETE fail (hazard 36).
 */
#include "control/check_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/publication.h"
#include "pgsql/sql.h"

struct publication {
    char name[80];
    bool insert_only; /* the one for tables without replica identity */
    bool exists;
    bool all_tables, via_root, owned;
    bool ops[4]; /* insert, update, delete, truncate */
};

static const char *const op_names[] = {"insert", "update", "delete", "truncate"};

static void publication_name(const struct check *self, struct publication *p)
{
    snprintf(p->name, sizeof(p->name), "%s%s", self->config->legacy_publication,
             p->insert_only ? "_insert" : "");
}

static bool read_publication(struct check *self, struct publication *p)
{
    int version = self->legacy.conn.version;
    struct buffer sql = {0};
    buffer_printf(
        &sql,
        "SELECT puballtables, %s, pg_has_role(pubowner, 'USAGE'), pubinsert, pubupdate, pubdelete, %s"
        " FROM pg_publication WHERE pubname = ",
        version >= 130000 ? "pubviaroot" : "false", version >= 110000 ? "pubtruncate" : "true");
    sql_literal(&sql, p->name);
    PGresult *r = check_rows(self, &self->legacy, buffer_text(&sql));
    buffer_free(&sql);
    if (!r)
        return false;
    p->exists = PQntuples(r) == 1;
    if (p->exists) {
        p->all_tables = *PQgetvalue(r, 0, 0) == 't';
        p->via_root = *PQgetvalue(r, 0, 1) == 't';
        p->owned = *PQgetvalue(r, 0, 2) == 't';
        for (int i = 0; i < 4; i++)
            p->ops[i] = *PQgetvalue(r, 0, 3 + i) == 't';
    }
    PQclear(r);
    return true;
}

static bool wanted_op(const struct publication *p, int version, int op)
{
    if (p->insert_only)
        return op == 0 || (op == 3 && version >= 110000);
    return op < 3 || version >= 110000;
}

/* WITH (…) or SET (…): `publish = '…'`. */
static void publish_option(const struct publication *p, int version, struct buffer *out)
{
    bool first = true;
    buffer_puts(out, "publish = '");
    for (int i = 0; i < 4; i++) {
        if (!wanted_op(p, version, i))
            continue;
        buffer_printf(out, "%s%s", first ? "" : ", ", op_names[i]);
        first = false;
    }
    buffer_putc(out, '\'');
}

/* Tables that belong there and are not in it, as SQL names. Returns how many; *foreign: one of them is not
 * ours to add. */
static uint32_t missing_tables(struct check *self, const struct publication *p, struct buffer *names,
                               bool *foreign)
{
    uint32_t count = 0;
    const struct table_set *tables = &self->pairing.tables;
    unsigned char *in = mem_alloc(tables->count + 1u);
    struct buffer sql = {0};
    publication_tables_sql(&sql, self->legacy.conn.version, p->name);
    PGresult *r = p->exists ? check_rows(self, &self->legacy, buffer_text(&sql)) : NULL;
    buffer_free(&sql);
    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct table *t = table_set_find(tables, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
        if (t)
            in[t->id] = 1;
    }
    for (uint32_t i = 0; i < tables->count; i++) {
        const struct table *t = tables->tables[i];
        if (in[i] || t->insert_only != p->insert_only)
            continue;
        const struct pg_relation *rel = pg_catalog_by_oid(&self->legacy.catalog, t->source_oid);
        *foreign |= rel && !rel->owned;
        buffer_printf(names, "%s%s", count++ ? ", " : "", t->source_partitioned ? "" : "ONLY ");
        sql_qualified(names, t->from_schema, t->from_name);
    }
    PQclear(r);
    free(in);
    return count;
}

static bool may_create(struct check *self)
{
    char answer[8];
    return self->legacy.superuser ||
           (check_ask(self, &self->legacy, "SELECT has_database_privilege(current_database(), 'CREATE')",
                      answer, sizeof(answer)) &&
            *answer == 't');
}

static void check_missing(struct check *self, const struct publication *p, const char *names, uint32_t count,
                          bool foreign)
{
    int version = self->legacy.conn.version;
    struct buffer sql = {0};
    buffer_puts(&sql, p->exists ? "ALTER PUBLICATION " : "CREATE PUBLICATION ");
    sql_ident(&sql, p->name);
    buffer_printf(&sql, "%s%s", p->exists ? " ADD TABLE " : " FOR TABLE ", names);
    if (!p->exists) {
        buffer_puts(&sql, " WITH (");
        publish_option(p, version, &sql);
        buffer_putc(&sql, ')');
    }
    buffer_putc(&sql, ';');
    if (!foreign && (p->exists ? p->owned : may_create(self)))
        check_say(self, PAIR_OK, "publication", p->name, NULL, "%u table(s) will be added by the replicator",
                  count);
    else
        check_say(
            self, PAIR_FAIL, p->exists ? "publication_incomplete" : "publication_missing", p->name,
            buffer_text(&sql),
            p->exists
                ? "%u table(s) are not in the publication, and role %s does not own them - an administrator "
                  "has to add them"
                : "there is no such publication for %u table(s), and role %s does not own them - an "
                  "administrator has to make it",
            count, self->legacy.role);
    buffer_free(&sql);
}

static void check_operations(struct check *self, const struct publication *p)
{
    int version = self->legacy.conn.version;
    bool good = true;
    struct buffer sql = {0};
    buffer_puts(&sql, "ALTER PUBLICATION ");
    sql_ident(&sql, p->name);
    buffer_puts(&sql, " SET (");
    publish_option(p, version, &sql);
    buffer_puts(&sql, ");");
    for (int i = 0; i < 4; i++)
        good &= p->ops[i] || !wanted_op(p, version, i);
    if (!good)
        check_say(self, PAIR_FAIL, "publication_operations", p->name, buffer_text(&sql),
                  "the publication does not publish everything that happens to its tables");
    buffer_free(&sql);
}

/* Either way of publishing carries the rows of a partitioned table; they differ in a TRUNCATE of one
 * partition, which PostgreSQL leaves out of what it publishes through the root. */
static void check_root(struct check *self, const struct publication *p)
{
    struct buffer sql = {0};
    buffer_puts(&sql, "ALTER PUBLICATION ");
    sql_ident(&sql, p->name);
    buffer_puts(&sql, " SET (publish_via_partition_root = false);");
    for (uint32_t i = 0; i < self->pairing.tables.count; i++) {
        const struct table *t = self->pairing.tables.tables[i];
        if (!t->source_partitioned || t->insert_only != p->insert_only)
            continue;
        if (p->via_root)
            check_say(
                self, PAIR_WARN, "publication_via_root", t->from, buffer_text(&sql),
                "publication %s publishes it through its root: PostgreSQL then leaves out a TRUNCATE of a "
                "single partition, which would go unseen - DELETE its rows instead, or publish by partition",
                p->name);
        else
            check_say(self, PAIR_OK, "publication_via_root", t->from, NULL,
                      "publication %s publishes it by partition: a TRUNCATE of a single one stops the table, "
                      "which is then to be copied again",
                      p->name);
    }
    buffer_free(&sql);
}

/* Row filters and column lists would thin what we carry (15 and newer). */
static void check_filters(struct check *self, const struct publication *p)
{
    if (self->legacy.conn.version < 150000)
        return;
    struct buffer sql = {0};
    buffer_puts(&sql, "SELECT n.nspname, c.relname, r.prqual IS NOT NULL FROM pg_publication_rel r"
                      " JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid"
                      " JOIN pg_namespace n ON n.oid = c.relnamespace"
                      " WHERE (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL) AND p.pubname = ");
    sql_literal(&sql, p->name);
    PGresult *r = check_rows(self, &self->legacy, buffer_text(&sql));
    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct table *t =
            table_set_find(&self->pairing.tables, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
        if (!t)
            continue;
        buffer_clear(&sql);
        buffer_puts(&sql, "ALTER PUBLICATION ");
        sql_ident(&sql, p->name);
        buffer_puts(&sql, " DROP TABLE ");
        sql_qualified(&sql, t->from_schema, t->from_name);
        buffer_puts(&sql, "; ALTER PUBLICATION ");
        sql_ident(&sql, p->name);
        buffer_puts(&sql, " ADD TABLE ");
        sql_qualified(&sql, t->from_schema, t->from_name);
        buffer_putc(&sql, ';');
        check_say(self, PAIR_FAIL, "publication_filter", t->from, buffer_text(&sql),
                  "publication %s has a %s for this table - a part of it would not reach the target", p->name,
                  *PQgetvalue(r, i, 2) == 't' ? "row filter" : "column list");
    }
    PQclear(r);
    buffer_free(&sql);
}

/* Every table it publishes updates or deletes of, carried or not. */
static void check_keyless(struct check *self, const struct publication *p)
{
    if (!p->ops[1] && !p->ops[2])
        return;
    struct buffer sql = {0};
    buffer_puts(
        &sql,
        "SELECT DISTINCT n.nspname, c.relname FROM pg_publication_tables t"
        " JOIN pg_namespace n ON n.nspname = t.schemaname"
        " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename WHERE c.relkind IN ('r', 'p')"
        " AND (c.relreplident = 'n' OR (c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i"
        "  WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND i.indimmediate)))"
        " AND n.nspname <> 'crossfade' AND t.pubname = ");
    sql_literal(&sql, p->name);
    PGresult *r = check_rows(self, &self->legacy, buffer_text(&sql));
    for (int i = 0; r && i < PQntuples(r); i++) {
        struct buffer object = {0};
        buffer_clear(&sql);
        buffer_puts(&sql, "ALTER TABLE ");
        sql_qualified(&sql, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
        buffer_puts(&sql, " REPLICA IDENTITY FULL;");
        buffer_printf(&object, "%s.%s", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
        check_say(
            self, PAIR_FAIL, "keyless_published", buffer_text(&object), buffer_text(&sql),
            "publication %s publishes updates and deletes of this table, which has no replica identity: the "
            "application's own UPDATE and DELETE fail on it now",
            p->name);
        buffer_free(&object);
    }
    PQclear(r);
    buffer_free(&sql);
}

static void check_one(struct check *self, bool insert_only)
{
    struct publication p = {.insert_only = insert_only};
    struct buffer names = {0};
    bool foreign = false, needed = false;
    publication_name(self, &p);
    for (uint32_t i = 0; i < self->pairing.tables.count; i++)
        needed |= self->pairing.tables.tables[i]->insert_only == insert_only;
    if (!read_publication(self, &p) || (!needed && !p.exists))
        return;
    uint32_t missing = p.all_tables ? 0 : missing_tables(self, &p, &names, &foreign);
    if (missing > 0)
        check_missing(self, &p, buffer_text(&names), missing, foreign);
    else if (needed)
        check_say(self, PAIR_OK, "publication", p.name, NULL, "holds every table that it should");
    buffer_free(&names);
    if (!p.exists)
        return;
    check_operations(self, &p);
    check_root(self, &p);
    check_filters(self, &p);
    check_keyless(self, &p);
}

void check_publication(struct check *self)
{
    check_one(self, false);
    check_one(self, true);
}
