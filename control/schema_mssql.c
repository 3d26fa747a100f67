/* SPDX-License-Identifier: PostgreSQL
 *
 * `crossfade schema` of a SQL Server: reads both catalogs, takes the tables that pairing says are missing,
 * and prints them in the order in which they load: schemas, tables with their keys; then indexes and foreign
 * keys. What PostgreSQL has no like of is a comment with the reason and the original.
 */
#include "control/schema_mssql.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/command.h"
#include "legacy/legacy_mssql.h"
#include "legacy/mssql_bridge.h"
#include "pgsql/pair_names.h"
#include "pgsql/sql.h"

enum { NAME_MAX_BYTES = 63 };

void schema_mssql_comment(const struct schema_mssql *self, const char *fmt, ...)
{
    struct buffer text = {0};
    va_list ap;
    va_start(ap, fmt);
    buffer_vprintf(&text, fmt, ap);
    va_end(ap);
    fputs("-- ", self->base->out);
    for (const char *p = buffer_text(&text); *p; p++) {
        if (*p == '\r' && p[1] == '\n')
            continue;
        if (*p == '\n' || *p == '\r')
            fputs("\n--     ", self->base->out);
        else
            fputc(*p, self->base->out);
    }
    fputc('\n', self->base->out);
    buffer_free(&text);
}

static bool is_taken(const struct schema_mssql *self, const char *scoped)
{
    for (size_t i = 0; i < self->taken_count; i++) {
        if (strcmp(self->taken[i], scoped) == 0)
            return true;
    }
    return false;
}

static void take(struct schema_mssql *self, char *scoped)
{
    self->taken = mem_grow(self->taken, self->taken_count + 1, sizeof(*self->taken));
    self->taken[self->taken_count++] = scoped;
}

static void take_name(struct schema_mssql *self, const char *scope, const char *name)
{
    struct buffer scoped = {0};
    buffer_printf(&scoped, "%s.%s", scope, name);
    take(self, buffer_detach(&scoped));
}

/* To `room` bytes, between two characters. */
static size_t cut(const char *name, size_t room)
{
    size_t n = strlen(name);
    if (n <= room)
        return n;
    for (n = room; n > 0 && (name[n] & 0xc0) == 0x80; n--)
        continue;
    return n;
}

char *schema_mssql_name(struct schema_mssql *self, const char *scope, const char *wanted)
{
    char *name = pair_name(self->base->config, wanted), suffix[16] = "";
    struct buffer scoped = {0}, out = {0};
    for (int i = 1;; i++) {
        if (i > 1)
            snprintf(suffix, sizeof(suffix), "_%d", i);
        buffer_clear(&out);
        buffer_printf(&out, "%.*s%s", (int)cut(name, NAME_MAX_BYTES - strlen(suffix)), name, suffix);
        buffer_clear(&scoped);
        buffer_printf(&scoped, "%s.%s", scope, buffer_text(&out));
        if (!is_taken(self, buffer_text(&scoped)))
            break;
    }
    take(self, buffer_detach(&scoped));
    free(name);
    return buffer_detach(&out);
}

char *schema_mssql_constraint(const struct schema_mssql_table *t, const char *scope, const char *wanted,
                              const char *suffix)
{
    static const char *const made_up[] = {"PK__", "UQ__", "FK__", "CK__"};
    struct buffer name = {0};
    buffer_puts(&name, wanted);
    for (size_t i = 0; i < sizeof(made_up) / sizeof(made_up[0]); i++) {
        if (strncmp(wanted, made_up[i], strlen(made_up[i])) == 0) {
            buffer_clear(&name);
            buffer_printf(&name, "%s_%s", t->from->name, suffix);
        }
    }
    char *out = schema_mssql_name(t->self, scope, buffer_text(&name));
    buffer_free(&name);
    return out;
}

/* --- tables --- */

bool schema_mssql_computed(const struct schema_mssql_table *t, const struct ms_catalog_column *c,
                           struct buffer *sql, struct buffer *why)
{
    return c->type.type && c->computed_text &&
           mssql_expression_value(&t->rules, c, true, c->computed_text, sql, why);
}

char *schema_mssql_column(void *context, const struct ms_catalog_column *c)
{
    const struct schema_mssql_table *t = context;
    if (c->column_set || c->encrypted || !c->type.type)
        return NULL;
    if (c->computed) {
        struct buffer sql = {0}, why = {0};
        bool computed = schema_mssql_computed(t, c, &sql, &why);
        buffer_free(&sql);
        buffer_free(&why);
        if (!computed)
            return NULL;
    }
    char *name = pair_name(t->self->base->config, c->name);
    if (t->target && !pg_relation_column(t->target, name)) {
        free(name);
        return NULL;
    }
    return name;
}

/* A computed column of another one is not translated: neither side has that. */
static char *plain_column(void *context, const struct ms_catalog_column *c)
{
    return c->computed ? NULL : schema_mssql_column(context, c);
}

bool schema_mssql_enter(struct schema_mssql *self, int32_t object_id, struct schema_mssql_table *out)
{
    const struct ms_catalog_table *from = ms_catalog_by_id(&self->catalog, object_id);
    const struct pg_relation *rel = pg_catalog_by_oid(&self->base->source, (uint32_t)object_id);
    *out = (struct schema_mssql_table){.self = self, .from = from};
    if (!from || !rel)
        return false;
    schema_target_name(self->base, rel, &out->schema, &out->name);
    out->target = pg_catalog_find(&self->base->target, out->schema, out->name);
    if (!out->target && !self->base->missing[rel - self->base->source.relations]) {
        schema_mssql_leave(out);
        return false;
    }
    out->rules = (struct mssql_expression_rules){
        .table = from, .name = plain_column, .context = out, .target_version = self->base->sink.version};
    return true;
}

void schema_mssql_leave(struct schema_mssql_table *t)
{
    free(t->schema);
    free(t->name);
    *t = (struct schema_mssql_table){0};
}

static void print_schemas(struct schema_mssql *self)
{
    struct buffer seen = {0};
    for (uint32_t i = 0; i < self->base->source.count; i++) {
        char *schema, *name;
        struct buffer line = {0};
        if (!self->base->missing[i])
            continue;
        schema_target_name(self->base, &self->base->source.relations[i], &schema, &name);
        take_name(self, schema, name);
        buffer_puts(&line, "CREATE SCHEMA IF NOT EXISTS ");
        sql_ident(&line, schema);
        buffer_puts(&line, ";\n");
        if (strcmp(schema, "public") != 0 && !strstr(buffer_text(&seen), buffer_text(&line)))
            buffer_puts(&seen, buffer_text(&line));
        buffer_free(&line);
        free(schema);
        free(name);
    }
    if (!self->base->section || strcmp(self->base->section, "pre") == 0)
        fputs(buffer_text(&seen), self->base->out);
    buffer_free(&seen);
}

/* Each table that is looked at. */
static void each(struct schema_mssql *self, void (*print)(const struct schema_mssql_table *t))
{
    for (uint32_t i = 0; i < self->base->source.count; i++) {
        struct schema_mssql_table t;
        if (!self->base->missing[i] ||
            !schema_mssql_enter(self, (int32_t)self->base->source.relations[i].oid, &t))
            continue;
        print(&t);
        schema_mssql_leave(&t);
    }
}

static void print_table(const struct schema_mssql_table *t)
{
    if (t->target)
        return;
    schema_mssql_create(t);
    schema_mssql_indexes(t, true);
}

static void print_indexes(const struct schema_mssql_table *t)
{
    schema_mssql_indexes(t, false);
}

static void print(struct schema_mssql *self)
{
    const char *section = self->base->section;
    fputs("-- From the SQL Server's catalog. Behind each statement stands what it could not say. Defaults of "
          "the "
          "present\n-- time (LOCALTIMESTAMP) are local to the session's TimeZone, as GETDATE() is to the "
          "server's clock.\n",
          self->base->out);
    print_schemas(self);
    if (!section || strcmp(section, "pre") == 0)
        each(self, print_table);
    if (!section || strcmp(section, "post") == 0) {
        each(self, print_indexes);
        each(self, schema_mssql_foreign_keys);
    }
}

/* --- both sides --- */

static bool read_target(struct schema_mssql *self, struct error *err)
{
    struct pg_conn *sink = &self->base->sink;
    if (!session_target_bare(self->base->config, sink, err) ||
        !pg_catalog_read(sink, &self->base->target, err))
        return false;
    self->constraints =
        pg_query(sink, "SELECT conrelid, conname FROM pg_constraint WHERE conrelid <> 0", 0, NULL, err);
    PGresult *r = self->constraints
                      ? pg_query(sink,
                                 "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
                                 " ON n.oid = c.relnamespace",
                                 0, NULL, err)
                      : NULL;
    for (int i = 0; r && i < PQntuples(r); i++)
        take_name(self, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
    PQclear(r);
    return r != NULL;
}

static bool read_legacy(struct schema_mssql *self, struct error *err)
{
    const struct config *c = self->base->config;
    struct legacy_options o = {
        .config = c, .job = "control", .connect_timeout_ms = (int)c->connect_timeout_ms};
    struct ms_conn conn = {0};
    bool ok = mssql_connect(&o, &conn, err) && ms_catalog_read(&conn, &self->catalog, err);
    ms_conn_close(&conn);
    return ok;
}

static bool find_missing(struct schema_mssql *self, struct error *err)
{
    struct schema *base = self->base;
    struct pairing pairing;
    mssql_bridge_catalog(&self->catalog, &base->target, &base->source);
    if (!mssql_bridge_pair(base->config, &self->catalog, &base->target, &pairing, err))
        return false;
    schema_mark_missing(base, &pairing);
    pairing_free(&pairing);
    return true;
}

bool schema_mssql(struct schema *base, struct error *err)
{
    struct schema_mssql self = {.base = base};
    bool ok = read_legacy(&self, err) && read_target(&self, err) && find_missing(&self, err);
    if (ok && base->count == 0)
        fputs("-- The target lacks no table of this pipeline.\n", base->out);
    else if (ok)
        print(&self);
    for (size_t i = 0; i < self.taken_count; i++)
        free(self.taken[i]);
    free(self.taken);
    PQclear(self.constraints);
    ms_catalog_free(&self.catalog);
    return ok;
}
