/* SPDX-License-Identifier: PostgreSQL
 *
 * What the target itself would do with the rows that come: triggers, foreign keys, checks and unique indexes
 * that the source does not have, and rows that are there already.
 */
#include "control/check_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/pair_names.h"
#include "pgsql/sql.h"

enum { TABLES_A_QUERY = 100 };

static void check_triggers(struct check *self, const struct table *t, const struct pg_relation *to)
{
    bool replica = self->target.conn.replica_role;
    if (to->always_triggers)
        check_say(self, PAIR_WARN, "triggers_always", t->from, NULL,
                  "%d trigger(s) of the target's %s are ENABLE ALWAYS or REPLICA: they fire on what we apply",
                  to->always_triggers, t->to);
    if (to->trigger_count && replica)
        check_say(self, PAIR_WARN, "triggers", t->from, NULL,
                  "%d trigger(s) of the target's %s do not fire on what we apply: an updated_at comes from "
                  "the legacy "
                  "side, an audit table is not written",
                  to->trigger_count, t->to);
    else if (to->trigger_count)
        check_say(self, PAIR_WARN, "triggers", t->from, NULL,
                  "%d trigger(s) of the target's %s fire on what we apply, a second time after the legacy "
                  "side's - an "
                  "updated_at they set differs from the legacy's",
                  to->trigger_count, t->to);
}

const struct table *check_by_sink(const struct check *self, uint32_t oid)
{
    for (uint32_t i = 0; i < self->pairing.tables.count; i++) {
        if (self->pairing.tables.tables[i]->sink_oid == oid)
            return self->pairing.tables.tables[i];
    }
    return NULL;
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

/* A foreign key of the target that the legacy side does not keep, or whose parent does not come. */
static void check_foreign_keys(struct check *self)
{
    const struct pg_catalog *c = &self->target.catalog;
    for (uint32_t i = 0; i < c->foreign_key_count; i++) {
        const struct pg_foreign_key *fk = &c->foreign_keys[i];
        const struct table *child = check_by_sink(self, fk->child), *parent = check_by_sink(self, fk->parent);
        const struct pg_relation *to = pg_catalog_by_oid(c, fk->parent);
        if (!child || !to)
            continue;
        if (!parent && !to->parent)
            check_say(self, PAIR_WARN, "foreign_key_outside", child->from, NULL,
                      "foreign key %s of the target points to %s.%s, which is not carried - rows whose "
                      "parent is not "
                      "there break it",
                      fk->name, to->schema, to->name);
        else if (parent && !legacy_has_foreign_key(self, child, parent))
            check_say(self, PAIR_WARN, "foreign_key_extra", child->from, NULL,
                      "foreign key %s of the target has no like in the legacy database - rows that break it "
                      "are found "
                      "when it is made again after the copy",
                      fk->name);
    }
}

bool check_like_index(const struct check *self, const struct pg_relation *from, const struct pg_relation *to,
                      const struct pg_index *x)
{
    for (uint16_t i = 0; i < from->index_count; i++) {
        const struct pg_index *s = &from->indexes[i];
        bool same =
            s->unique && s->valid && !s->partial && !s->has_expressions && s->column_count <= x->column_count;
        for (uint16_t j = 0; same && j < s->column_count;
             j++) { /* unique on fewer columns is unique on more */
            char *name = pair_name(self->config, from->columns[s->columns[j]].name);
            bool found = false;
            for (uint16_t k = 0; k < x->column_count; k++)
                found |= x->columns[k] != UINT16_MAX && strcmp(to->columns[x->columns[k]].name, name) == 0;
            same = found;
            free(name);
        }
        if (same)
            return true;
    }
    return false;
}

static void check_unique(struct check *self, const struct table *t, const struct pg_relation *from,
                         const struct pg_relation *to)
{
    for (uint16_t i = 0; i < to->index_count; i++) {
        const struct pg_index *x = &to->indexes[i];
        if (!x->unique || !x->valid || check_like_index(self, from, to, x))
            continue;
        if (x->partial ||
            x->has_expressions) /* can't be compared; say it only if the source has nothing of the kind */
            continue;
        check_say(self, PAIR_WARN, "unique_extra", t->from, NULL,
                  "unique index %s of the target has no like in the legacy database - doubles are refused "
                  "and end in "
                  "quarantine",
                  x->name);
    }
    if (to->exclusion_count > from->exclusion_count)
        check_say(self, PAIR_WARN, "exclusion_extra", t->from, NULL,
                  "the target has %d exclusion constraint(s), the legacy database %d - rows that break them "
                  "are refused",
                  to->exclusion_count, from->exclusion_count);
}

/* CHECK constraints of one side as rows (schema, table, name, definition). */
static PGresult *constraints(struct check *self, struct check_side *side)
{
    return check_rows(self, side,
                      "SELECT c.oid, o.conname, pg_get_constraintdef(o.oid) FROM pg_constraint o"
                      " JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
                      " WHERE o.contype = 'c' AND n.nspname !~ '^pg_'"
                      " AND n.nspname NOT IN ('information_schema', 'crossfade')");
}

static bool same_constraint(const PGresult *legacy, const char *oid, const char *definition)
{
    for (int i = 0; legacy && i < PQntuples(legacy); i++) {
        if (strcmp(PQgetvalue(legacy, i, 0), oid) == 0 && strcmp(PQgetvalue(legacy, i, 2), definition) == 0)
            return true;
    }
    return false;
}

static void check_constraints(struct check *self)
{
    PGresult *theirs = constraints(self, &self->legacy), *ours = constraints(self, &self->target);
    for (int i = 0; ours && i < PQntuples(ours); i++) {
        const struct table *t = check_by_sink(self, (uint32_t)strtoul(PQgetvalue(ours, i, 0), NULL, 10));
        char oid[16];
        snprintf(oid, sizeof(oid), "%u", t ? t->source_oid : 0);
        if (t && !same_constraint(theirs, oid, PQgetvalue(ours, i, 2)))
            check_say(self, PAIR_WARN, "check_extra", t->from, NULL,
                      "the target's %s %s is not the legacy's - rows that break it are refused and end in "
                      "quarantine",
                      PQgetvalue(ours, i, 1), PQgetvalue(ours, i, 2));
    }
    PQclear(theirs);
    PQclear(ours);
}

static enum existing_rule existing_of(const struct check *self, const struct table *t)
{
    for (int i = 0; !self->config->all_tables && i < self->config->table_count; i++) {
        if (pair_name_means(self->config->tables[i].from, t->from_schema, t->from_name))
            return self->config->tables[i].existing;
    }
    return self->config->backfill_existing;
}

/* Tables that this pipeline has already begun with are its own to fill: 1 by table id. */
static unsigned char *begun(struct check *self)
{
    unsigned char *out = mem_alloc(self->pairing.tables.count + 1u);
    char answer[8];
    struct buffer sql = {0};
    buffer_puts(&sql,
                "SELECT substr(object, 7) FROM crossfade.state WHERE object LIKE 'table:%' AND pipeline = ");
    sql_literal(&sql, self->config->pipeline);
    PGresult *r = NULL;
    if (check_ask(self, &self->target, "SELECT to_regclass('crossfade.state') IS NOT NULL", answer,
                  sizeof(answer)) &&
        *answer == 't')
        r = check_rows(self, &self->target, buffer_text(&sql));
    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct table *t = table_set_named(&self->pairing.tables, PQgetvalue(r, i, 0));
        if (t)
            out[t->id] = 1;
    }
    PQclear(r);
    buffer_free(&sql);
    return out;
}

static void say_not_empty(struct check *self, const char *sql)
{
    PGresult *r = check_rows(self, &self->target, sql);
    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct table *t = self->pairing.tables.tables[atoi(PQgetvalue(r, i, 0))];
        struct buffer mend = {0};
        buffer_puts(&mend, "TRUNCATE ");
        sql_qualified(&mend, t->to_schema, t->to_name);
        buffer_putc(&mend, ';');
        check_say(self, PAIR_FAIL, "target_not_empty", t->from, buffer_text(&mend),
                  "the target's %s holds rows already - empty it, or set backfill.existing to \"upsert\" or "
                  "\"truncate\"",
                  t->to);
        buffer_free(&mend);
    }
    PQclear(r);
}

static void check_existing(struct check *self)
{
    unsigned char *done = begun(self);
    struct buffer sql = {0};
    int count = 0;
    for (uint32_t i = 0; i < self->pairing.tables.count; i++) {
        const struct table *t = self->pairing.tables.tables[i];
        const struct pg_relation *to = pg_catalog_by_oid(&self->target.catalog, t->sink_oid);
        if (done[i] || existing_of(self, t) != EXISTING_REFUSE || !to || !to->can_select ||
            !to->schema_usage || (to->row_security && !self->target.bypass_rls))
            continue;
        buffer_printf(&sql, "%sSELECT %u WHERE EXISTS (SELECT FROM ", count++ ? " UNION ALL " : "", i);
        sql_qualified(&sql, t->to_schema, t->to_name);
        buffer_putc(&sql, ')');
        if (count == TABLES_A_QUERY) {
            say_not_empty(self, buffer_text(&sql));
            buffer_clear(&sql);
            count = 0;
        }
    }
    if (count)
        say_not_empty(self, buffer_text(&sql));
    buffer_free(&sql);
    free(done);
}

/* Without the replica role rows must come parents first, which tables that point at each other have not. */
static void check_cycles(struct check *self)
{
    if (self->target.conn.replica_role)
        return;
    const struct pg_catalog *c = &self->target.catalog;
    for (uint32_t i = 0; i < c->foreign_key_count; i++) {
        const struct table *child = check_by_sink(self, c->foreign_keys[i].child);
        const struct table *parent = check_by_sink(self, c->foreign_keys[i].parent);
        if (child && parent && child->rank <= parent->rank)
            check_say(self, PAIR_WARN, "foreign_key_cycle", child->from, NULL,
                      "foreign key %s of the target is part of a cycle%s - without session_replication_role "
                      "no order of "
                      "applying satisfies it; make it DEFERRABLE INITIALLY DEFERRED",
                      c->foreign_keys[i].name, child == parent ? " (the table points at itself)" : "");
    }
}

void check_apply(struct check *self)
{
    for (uint32_t i = 0; i < self->pairing.tables.count; i++) {
        const struct table *t = self->pairing.tables.tables[i];
        const struct pg_relation *from = pg_catalog_by_oid(&self->legacy.catalog, t->source_oid);
        const struct pg_relation *to = pg_catalog_by_oid(&self->target.catalog, t->sink_oid);
        if (!from || !to)
            continue;
        check_triggers(self, t, to);
        check_unique(self, t, from, to);
    }
    check_foreign_keys(self);
    check_cycles(self);
    if (self->legacy.open) /* of another engine: that one's part compares */
        check_constraints(self);
    check_existing(self);
}
