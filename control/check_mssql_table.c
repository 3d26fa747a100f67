/* SPDX-License-Identifier: PostgreSQL
 *
 * Table by table, column by column: what of SQL Server's kinds there is, and what becomes of it. Rows that
 * our login is kept from seeing are the worst of them: a copy would be thinner and nobody would know, so that
 * is counted, not believed.
 */
#include "control/check_mssql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mssql/sql.h"
#include "pgsql/pair_names.h"

/* --- rights --- */

static void check_select(struct check_mssql *self, const struct ms_catalog_table *t, const char *name)
{
    struct buffer sql = {0};
    if (t->can_select)
        return;
    buffer_puts(&sql, "GRANT SELECT ON ");
    ms_sql_qualified(&sql, t->schema, t->name);
    buffer_puts(&sql, " TO ");
    ms_sql_ident(&sql, self->server.login);
    buffer_putc(&sql, ';');
    check_say(self->check, PAIR_FAIL, "right_missing", name, buffer_text(&sql),
              "login %s may not SELECT from it", self->server.login);
    buffer_free(&sql);
}

static void check_filter(struct check_mssql *self, const struct ms_catalog_table *t, const char *name)
{
    struct error err = {0};
    struct buffer sql = {0};
    int64_t seen = 0;
    if (!t->filter_policy || !t->can_select)
        return;
    buffer_puts(&sql, "ALTER SECURITY POLICY ");
    ms_sql_ident(&sql, t->filter_policy);
    buffer_puts(&sql, " WITH (STATE = OFF);");
    if (!ms_estate_rows(&self->conn, t, &seen, &err))
        check_mssql_failed(self, name, &err);
    else if (seen < t->rows)
        check_say(self->check, PAIR_FAIL, "row_security", name, buffer_text(&sql),
                  "security policy %s hides rows from us: we see %" PRId64 " of about %" PRId64
                  " - let its predicate pass our login, or switch it off for the move",
                  t->filter_policy, seen, t->rows);
    else
        check_say(self->check, PAIR_WARN, "row_security", name, NULL,
                  "security policy %s filters rows; we see all %" PRId64
                  " now, and nobody would notice if that changed",
                  t->filter_policy, seen);
    buffer_free(&sql);
}

/* --- kinds of tables --- */

static void check_kind(struct check_mssql *self, const struct ms_catalog_table *t, const char *name)
{
    bool cdc = check_mssql_kind(self, t) == CAPTURE_CDC;
    if (t->temporal == 1)
        check_say(self->check, cdc ? PAIR_FAIL : PAIR_WARN, "temporal", name, NULL,
                  "the history of a temporal table can't be captured - leave it out of `tables`, or carry it "
                  "by snapshot");
    else if (t->temporal == 2)
        check_say(self->check, PAIR_OK, "temporal", name, NULL,
                  "system-versioned: its present rows come, with their period columns; its history is a "
                  "table of its own, and the target writes none");
    if (t->memory_optimized)
        check_say(self->check, cdc ? PAIR_FAIL : PAIR_OK, "memory_optimized", name, NULL,
                  "memory-optimised: it is read WITH (SNAPSHOT), and change data capture does not know it");
    if (t->columnstore)
        check_say(self->check, cdc ? PAIR_FAIL : PAIR_OK, "columnstore", name, NULL,
                  "a clustered columnstore: change data capture does not know it, nothing else is amiss");
    if (t->filetable || t->external)
        check_say(self->check, PAIR_FAIL, "table_kind", name, NULL,
                  "%s: it is not carried - leave it out of `tables`",
                  t->filetable ? "a FileTable, whose rows are files"
                               : "an external table, whose rows are elsewhere");
    if (t->node || t->edge)
        check_say(self->check, PAIR_WARN, "graph", name, NULL,
                  "a node or edge table of a graph: its hidden id columns come as plain ones, and nothing on "
                  "the target follows them");
    if (t->replicated)
        check_say(self->check, PAIR_OK, "transactional_replication", name, NULL,
                  "is published too: the Log Reader Agent captures it");
}

/* --- columns --- */

/* Bytes of a code page other than the database's are captured as if they were the database's. */
static bool foreign_code_page(const struct check_mssql *self, const struct ms_catalog_column *c)
{
    enum ms_type_id id = c->type.type ? c->type.type->id : MS_TYPE_COUNT;
    const char *own = self->catalog.database.collation;
    return (id == MS_CHAR || id == MS_VARCHAR || id == MS_TEXT) && c->type.collation && own &&
           strcmp(c->type.collation, own) != 0;
}

static void list(struct buffer *out, const struct ms_catalog_column *c)
{
    buffer_printf(out, "%s%s", out->length ? ", " : "", c->name);
}

struct columns {
    struct buffer encrypted, computed, version, old_large, max, sets, files, sparse, pages;
};

static void sort_column(const struct check_mssql *self, const struct ms_catalog_column *c,
                        struct columns *out)
{
    enum ms_type_id id = c->type.type ? c->type.type->id : MS_TYPE_COUNT;
    if (c->encrypted)
        list(&out->encrypted, c);
    if (c->computed)
        list(&out->computed, c);
    if (c->column_set)
        list(&out->sets, c);
    if (c->sparse)
        list(&out->sparse, c);
    if (c->filestream)
        list(&out->files, c);
    if (id == MS_ROWVERSION)
        list(&out->version, c);
    if (id == MS_TEXT || id == MS_NTEXT || id == MS_IMAGE)
        list(&out->old_large, c);
    else if (c->type.type && ms_type_is_large(&c->type))
        list(&out->max, c);
    if (foreign_code_page(self, c))
        list(&out->pages, c);
}

static void say_columns(struct check_mssql *self, const char *name, bool cdc, struct columns *f)
{
    struct check *check = self->check;
    if (f->encrypted.length)
        check_say(check, PAIR_FAIL, "always_encrypted", name, NULL,
                  "%s: Always Encrypted, which only its clients can read - decrypt the columns, or leave the "
                  "table out",
                  buffer_text(&f->encrypted));
    if (f->computed.length && cdc)
        check_say(check, PAIR_OK, "capture_computed", name, NULL,
                  "%s: computed, so change tables have NULL; not carried", buffer_text(&f->computed));
    if (f->version.length)
        check_say(check, PAIR_OK, "capture_rowversion", name, NULL,
                  "%s: written by the server alone; carried as it is, left out on the way back",
                  buffer_text(&f->version));
    if (f->old_large.length && cdc)
        check_say(check, PAIR_WARN, "capture_large", name, NULL,
                  "%s: change tables have NULL for text, ntext and image in deletes and old rows, and in new "
                  "ones that did not change them - such rows are read again from the table",
                  buffer_text(&f->old_large));
    if (f->max.length && cdc)
        check_say(check, PAIR_OK, "capture_large", name, NULL,
                  "%s: in an update's old row only if it changed", buffer_text(&f->max));
    if (f->sets.length)
        check_say(check, PAIR_OK, "column_set", name, NULL,
                  "%s: left out, for the sparse columns it is made of (%s) come", buffer_text(&f->sets),
                  buffer_text(&f->sparse));
    if (f->files.length)
        check_say(check, PAIR_WARN, "filestream", name, NULL,
                  "%s: FILESTREAM, copied as varbinary(max); what is written through the file system is not "
                  "captured",
                  buffer_text(&f->files));
    if (f->pages.length && cdc)
        check_say(check, PAIR_WARN, "capture_collation", name, NULL,
                  "%s: char or varchar of another collation than the database's (%s) - if code pages differ, "
                  "change tables hold wrong characters: compare some after a change, or alter the column",
                  buffer_text(&f->pages), self->catalog.database.collation);
}

static bool check_columns(struct check_mssql *self, const struct ms_catalog_table *t, const char *name)
{
    struct columns f = {0};
    for (uint16_t i = 0; i < t->column_count; i++)
        sort_column(self, &t->columns[i], &f);
    say_columns(self, name, check_mssql_kind(self, t) == CAPTURE_CDC, &f);
    bool large = f.max.length > 0 || f.old_large.length > 0;
    struct buffer *all[] = {&f.encrypted, &f.computed, &f.version, &f.old_large, &f.max,
                            &f.sets,      &f.files,    &f.sparse,  &f.pages};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        buffer_free(all[i]);
    return large;
}

/* A longer value than this makes the application's own statement fail on a captured table (error 7139). */
static void check_text_limit(struct check_mssql *self)
{
    struct error err = {0};
    int64_t limit;
    if (!ms_estate_text_limit(&self->conn, &limit, &err))
        check_mssql_failed(self, "sys.configurations", &err);
    else if (limit >= 0)
        check_say(self->check, PAIR_WARN, "text_replication_limit", "legacy",
                  "EXEC sp_configure N'max text repl size (B)', -1; RECONFIGURE;",
                  "the application's own INSERT or UPDATE of a large value of more than %" PRId64
                  " bytes fails on a captured table (error 7139)",
                  limit);
}

/* --- */

static void check_not_tables(struct check_mssql *self)
{
    const struct config *c = self->check->config;
    for (int i = 0; i < c->table_count; i++) {
        for (uint32_t k = 0; k < self->objects.count; k++) {
            const struct ms_estate_object *o = &self->objects.list[k];
            if (!pair_name_means(c->tables[i].from, o->schema, o->name))
                continue;
            if (o->base)
                check_say(self->check, PAIR_FAIL, "not_a_table", c->tables[i].from, NULL,
                          "is a synonym of %s - name that table", o->base);
            else
                check_say(self->check, PAIR_FAIL, "not_a_table", c->tables[i].from, NULL,
                          "is a view, which has no changes of its own - name its tables");
        }
    }
}

/* What the target's own checks refuse and the legacy's do not: those that have no like by name. */
static void check_extra(struct check_mssql *self)
{
    PGresult *r = check_rows(self->check, &self->check->target,
                             "SELECT conrelid, conname, pg_get_constraintdef(oid) FROM pg_constraint"
                             " WHERE contype = 'c' AND conrelid <> 0");
    for (int i = 0; r && i < PQntuples(r); i++) {
        const struct table *t = check_by_sink(self->check, (uint32_t)strtoul(PQgetvalue(r, i, 0), NULL, 10));
        const struct ms_catalog_table *from =
            t ? ms_catalog_by_id(&self->catalog, (int32_t)t->source_oid) : NULL;
        bool like = !from;
        for (uint16_t k = 0; !like && k < from->check_count; k++) {
            char *name = pair_name(self->check->config, from->checks[k].name);
            like = !from->checks[k].disabled && strncmp(name, PQgetvalue(r, i, 1), 63) == 0;
            free(name);
        }
        if (!like)
            check_say(
                self->check, PAIR_WARN, "check_extra", t->from, NULL,
                "the target's %s %s has no like in the legacy database - rows that break it are refused "
                "and end in quarantine",
                PQgetvalue(r, i, 1), PQgetvalue(r, i, 2));
    }
    PQclear(r);
}

void check_mssql_tables(struct check_mssql *self)
{
    bool large = false;
    int identities = 0;
    check_not_tables(self);
    for (uint32_t i = 0; i < self->catalog.count; i++) {
        const struct ms_catalog_table *t = &self->catalog.tables[i];
        if (!check_mssql_wants(self, t))
            continue;
        char *name = check_mssql_name(t, NULL);
        check_select(self, t, name);
        check_filter(self, t, name);
        check_kind(self, t, name);
        large |= check_columns(self, t, name) && check_mssql_kind(self, t) == CAPTURE_CDC;
        for (uint16_t c = 0; c < t->column_count; c++)
            identities += t->columns[c].identity;
        free(name);
    }
    if (identities)
        check_say(self->check, PAIR_WARN, "sequences", "legacy", NULL,
                  "%d identity column(s): the values come, how far they are counted does not - set the "
                  "target's sequences before anybody else writes there",
                  identities);
    if (large)
        check_text_limit(self);
    if (self->check->paired && self->check->target.open)
        check_extra(self);
}
