/* SPDX-License-Identifier: PostgreSQL
 *
 * Table by table: may our role read it on the legacy side and write it on the target, does row security stand
 * in the way (it must fail a copy, never thin it: hazard 42), and whose are the indexes that the copy would
 * defer?
 */
#include "control/check_run.h"

#include <string.h>

#include "pgsql/sql.h"

static void grant_sql(struct buffer *out, const char *rights, const struct pg_relation *rel, const char *role)
{
    buffer_printf(out, "GRANT %s ON ", rights);
    sql_qualified(out, rel->schema, rel->name);
    buffer_puts(out, " TO ");
    sql_ident(out, role);
    buffer_putc(out, ';');
}

static void usage_sql(struct buffer *out, const struct pg_relation *rel, const char *role)
{
    if (rel->schema_usage)
        return;
    buffer_puts(out, "GRANT USAGE ON SCHEMA ");
    sql_ident(out, rel->schema);
    buffer_puts(out, " TO ");
    sql_ident(out, role);
    buffer_puts(out, "; ");
}

static void say_right(struct check *self, const struct check_side *side, const struct table *t,
                      const struct pg_relation *rel, const char *missing)
{
    struct buffer sql = {0};
    usage_sql(&sql, rel, side->role);
    if (*missing)
        grant_sql(&sql, missing, rel, side->role);
    check_say(self, PAIR_FAIL, "right_missing", t->from, buffer_text(&sql),
              "role %s of the %s may not %s %s.%s", side->role, side->conn.endpoint,
              *missing ? missing : "use the schema of", rel->schema, rel->name);
    buffer_free(&sql);
}

static void legacy_right(struct check *self, const struct table *t, const struct pg_relation *rel)
{
    if (!rel->can_select || !rel->schema_usage)
        say_right(self, &self->legacy, t, rel, rel->can_select ? "" : "SELECT");
}

static void target_right(struct check *self, const struct table *t, const struct pg_relation *rel)
{
    const struct {
        bool may;
        const char *name;
    } rights[] = {{rel->can_select, "SELECT"},
                  {rel->can_insert, "INSERT"},
                  {rel->can_update, "UPDATE"},
                  {rel->can_delete, "DELETE"},
                  {rel->can_truncate, "TRUNCATE"}};
    struct buffer missing = {0};
    for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
        if (!rights[i].may)
            buffer_printf(&missing, "%s%s", missing.length ? ", " : "", rights[i].name);
    }
    if (missing.length || !rel->schema_usage)
        say_right(self, &self->target, t, rel, buffer_text(&missing));
    buffer_free(&missing);
}

static void row_security(struct check *self, const struct check_side *side, const struct table *t,
                         const struct pg_relation *rel)
{
    struct buffer sql = {0};
    if (!rel->row_security || side->bypass_rls || (rel->owned && !rel->force_row_security))
        return;
    buffer_puts(&sql, "ALTER ROLE ");
    sql_ident(&sql, side->role);
    buffer_puts(&sql, " BYPASSRLS;");
    check_say(self, PAIR_FAIL, "row_security", t->from, buffer_text(&sql),
              "row security is on for %s.%s of the %s and binds role %s - it is refused rather than thinned",
              rel->schema, rel->name, side->conn.endpoint, side->role);
    buffer_free(&sql);
}

/* One finding an owner. */
static void not_owned(struct check *self)
{
    PGresult *r =
        check_rows(self, &self->target,
                   "SELECT o.rolname, count(*), bool_or(o.rolsuper) FROM pg_class c"
                   " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner"
                   " WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'"
                   " AND n.nspname NOT IN ('information_schema', 'crossfade')"
                   " AND NOT pg_has_role(c.relowner, 'USAGE') GROUP BY 1 ORDER BY 1");
    for (int i = 0; r && i < PQntuples(r); i++) {
        struct buffer sql = {0};
        buffer_puts(&sql, "GRANT ");
        sql_ident(&sql, PQgetvalue(r, i, 0));
        buffer_puts(&sql, " TO ");
        sql_ident(&sql, self->target.role);
        buffer_puts(&sql, "; -- and REVOKE it when all is streaming");
        bool super = *PQgetvalue(r, i, 2) == 't'; /* nobody should be made a member of that */
        check_say(self, PAIR_WARN, "not_owner", PQgetvalue(r, i, 0), super ? NULL : buffer_text(&sql),
                  "role %s is no member of this owner of %s target table(s): their indexes and foreign keys "
                  "stay during "
                  "the copy, which makes it slower, and they are not analysed after it%s",
                  self->target.role, PQgetvalue(r, i, 1),
                  super ? " - it is a superuser: give the tables an owner of their own first" : "");
        buffer_free(&sql);
    }
    PQclear(r);
}

void check_rights(struct check *self)
{
    uint32_t before = self->pairing.finding_count;
    for (uint32_t i = 0; i < self->pairing.tables.count; i++) {
        const struct table *t = self->pairing.tables.tables[i];
        const struct pg_relation *from = pg_catalog_by_oid(&self->legacy.catalog, t->source_oid);
        const struct pg_relation *to = pg_catalog_by_oid(&self->target.catalog, t->sink_oid);
        if (!from || !to)
            continue;
        if (self->legacy.open) {
            legacy_right(self, t, from);
            row_security(self, &self->legacy, t, from);
        }
        target_right(self, t, to);
        row_security(self, &self->target, t, to);
        if (from->has_children)
            check_say(self, PAIR_OK, "inherited", t->from, NULL,
                      "has children by inheritance - their rows are carried with the children's own tables");
    }
    if (self->pairing.finding_count == before && !self->legacy.open)
        check_say(self, PAIR_OK, "rights", self->config->pipeline, NULL,
                  "role %s may do on every table of the target what is needed", self->target.role);
    else if (self->pairing.finding_count == before)
        check_say(self, PAIR_OK, "rights", self->config->pipeline, NULL,
                  "roles %s and %s may do on every table what is needed", self->legacy.role,
                  self->target.role);
    if (self->config->backfill_indexes == INDEXES_DEFER)
        not_owned(self);
}
