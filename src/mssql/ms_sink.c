/* SPDX-License-Identifier: PostgreSQL
 *
 * The lane's session: connecting, the claim on the progress row, what waits from earlier runs, and what check
 * asks about rights. The work is in ms_sink_apply.c (sets, over ms_sink_stage.c), ms_sink_replay.c (exact),
 * ms_sink_sift.c and ms_sink_wait.c (what must not be applied), ms_sink_stored.c (its return).
 *
 * Invariants: `applied` is what the progress row says as committed; what is in memory about parked tables and
 * quarantined keys matches the tables in the sink whenever no transaction is open, or has a key too many.
 *
 * A predecessor that still has a transaction open holds the progress row's lock: claiming waits for it, up to
 * LOCK_TIMEOUT, and is ERROR_RETRY then; nobody's session is ended (that would need ALTER ANY CONNECTION).
 */
#include "mssql/ms_sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/ms_sink_part.h"
#include "mssql/sql.h"

/* --- open --- */

struct looked {
    int64_t durability;
    bool progress, waiting;
};

static bool take_look(void *context, struct ms_conn *conn, struct error *err)
{
    struct looked *l = context;
    (void)err;
    l->durability = ms_column_int(conn, 0);
    l->progress = ms_column_int(conn, 1) != 0;
    l->waiting = ms_column_int(conn, 2) != 0;
    return true;
}

static bool look(struct ms_sink *s, struct error *err)
{
    struct looked l = {0};
    if (!ms_query(
            &s->conn,
            "SELECT d.delayed_durability, CASE WHEN OBJECT_ID(N'crossfade.progress', N'U') IS NULL THEN 0 "
            "ELSE 1 END, CASE WHEN OBJECT_ID(N'crossfade.parked', N'U') IS NULL OR "
            "OBJECT_ID(N'crossfade.quarantine', N'U') IS NULL THEN 0 ELSE 1 END FROM sys.databases AS d "
            "WHERE d.database_id = DB_ID()",
            take_look, &l, err))
        return false;
    if (!l.progress || !l.waiting)
        return error_set(
            err, ERROR_REFUSED,
            "%s: %s has no crossfade.%s - run crossfade install, which prints the script with --print",
            s->conn.endpoint, s->conn.where, l.progress ? "parked or crossfade.quarantine" : "progress");
    if (l.durability == 2)
        return error_set(
            err, ERROR_REFUSED,
            "%s: %s has DELAYED_DURABILITY = FORCED, so that a committed transaction can be lost - "
            "ALTER DATABASE [%s] SET DELAYED_DURABILITY = ALLOWED",
            s->conn.endpoint, s->conn.where, s->conn.database);
    return true;
}

static void put_lane(struct ms_sink *s, struct buffer *sql)
{
    buffer_puts(sql, "[pipeline] = ");
    ms_sql_literal(sql, s->pipeline);
    buffer_puts(sql, " AND [stream] = ");
    ms_sql_literal(sql, s->stream);
    buffer_printf(sql, " AND [lane] = %d", s->lane);
}

static void put_claim(struct ms_sink *s, struct buffer *sql)
{
    struct buffer where = {0};
    put_lane(s, &where);
    buffer_printf(
        sql,
        "IF EXISTS (SELECT 1 FROM [crossfade].[progress] WITH (UPDLOCK, HOLDLOCK) WHERE %s AND [epoch] > "
        "%" PRId64 ") THROW %d, N'the lane is held under a higher epoch: another process runs this "
        "pipeline', 1;\n",
        buffer_text(&where), s->epoch, MS_RAISED_FENCED);
    buffer_printf(sql,
                  "UPDATE [crossfade].[progress] SET [epoch] = %" PRId64
                  ", [written_at] = SYSUTCDATETIME() WHERE %s;\n",
                  s->epoch, buffer_text(&where));
    buffer_puts(sql, "IF @@ROWCOUNT = 0 INSERT INTO [crossfade].[progress] ([pipeline], [stream], [lane], "
                     "[position], [epoch], [written_at]) VALUES (");
    ms_sql_literal(sql, s->pipeline);
    buffer_puts(sql, ", ");
    ms_sql_literal(sql, s->stream);
    buffer_printf(sql, ", %d, N'', %" PRId64 ", SYSUTCDATETIME());\nCOMMIT TRANSACTION;\n", s->lane,
                  s->epoch);
    buffer_free(&where);
}

static bool claim(struct ms_sink *s, struct position *position, struct error *err)
{
    struct ms_answer a;
    struct buffer sql = {0};
    ms_sink_batch(s, false);
    put_claim(s, &s->sql);
    if (!ms_sink_run(s, MS_ROLLBACK_ALL, &a, err))
        return false;
    if (a.trouble)
        return error_set_code(err, ERROR_REFUSED, a.error.code, "%s", a.error.text);
    buffer_puts(&sql, "SELECT [position] FROM [crossfade].[progress] WHERE ");
    put_lane(s, &sql);
    bool ok = ms_query_one(&s->conn, buffer_text(&sql), s->applied_text, sizeof(s->applied_text), NULL, err);
    buffer_free(&sql);
    if (ok && !position_parse(s->applied_text, &s->applied))
        return error_set(err, ERROR_FATAL,
                         "%s: the progress row of lane %d holds \"%s\", which is no position",
                         s->conn.endpoint, s->lane, s->applied_text);
    *position = s->applied;
    return ok;
}

/* A table that can't be written to stops; the others go on. */
static void make_tables(struct ms_sink *s, const struct ms_sink_options *o)
{
    s->lane_tables = mem_alloc((s->tables->count + 1) * sizeof(*s->lane_tables));
    ms_sink_table_rank(s->tables, o->catalog);
    for (uint32_t i = 0; i < s->tables->count; i++) {
        struct ms_sink_table *t = &s->lane_tables[i];
        struct error why;
        t->table = s->tables->tables[i];
        t->identity = -1;
        if (t->table->lane == s->lane && !ms_sink_table_make(t, o->catalog, &o->policy, &why))
            ms_sink_stop_table(s, t, why.text);
    }
}

/* --- operations --- */

static bool sink_apply(struct sink *self, const struct batch *batch, struct sink_counts *counts,
                       struct sink_result *out, struct error *err)
{
    struct ms_sink *s = (struct ms_sink *)self;
    if (ms_sink_apply(s, batch, counts, out, err))
        return true;
    if (atomic_load(&s->conn.canceled))
        err->kind = ERROR_CANCELED;
    else if (err->kind == ERROR_DATA || err->kind == ERROR_TABLE || err->kind == ERROR_REFUSED)
        err->kind = ERROR_FATAL; /* nothing that was left to a row or a table */
    return false;
}

/* COMMIT has waited for the log. */
static bool sink_flushed(struct sink *self, bool force, uint64_t *out, struct error *err)
{
    (void)force;
    (void)err;
    *out = ((struct ms_sink *)self)->commits;
    return true;
}

static void sink_cancel(struct sink *self)
{
    ms_conn_cancel(&((struct ms_sink *)self)->conn);
}

static void sink_free(struct sink *self)
{
    struct ms_sink *s = (struct ms_sink *)self;
    if (!s)
        return;
    ms_conn_close(&s->conn);
    if (s->lane_tables)
        ms_sink_wait_clear(s);
    for (uint32_t i = 0; s->lane_tables && i < s->tables->count; i++)
        ms_sink_table_free(&s->lane_tables[i]);
    free(s->lane_tables);
    ms_sink_stage_free(s);
    free(s->waiting);
    buffer_free(&s->waiting_bytes);
    buffer_free(&s->sql);
    buffer_free(&s->inner);
    buffer_free(&s->declared);
    buffer_free(&s->assigned);
    buffer_free(&s->bytes);
    arena_free(s->arena);
    free(s->pipeline);
    free(s->stream);
    free(s);
}

static const struct sink_ops ms_sink_ops = {sink_apply, sink_flushed, sink_cancel, sink_free};

bool ms_sink_open(const struct ms_sink_options *options, struct sink **out, struct position *position,
                  struct error *err)
{
    struct ms_sink *s = mem_alloc(sizeof(*s));
    struct ms_conn_options conn = options->conn;

    conn.bulk = true;
    s->base.ops = &ms_sink_ops;
    s->arena = arena_new();
    s->pipeline = mem_strdup(conn.pipeline);
    s->stream = mem_strdup(options->stream);
    s->lane = options->lane;
    s->epoch = options->epoch;
    s->tables = options->tables;
    s->events = options->events;
    s->park_limit = options->park_limit;
    s->quarantine_limit = options->quarantine_limit;
    s->set_rows = options->set_rows;
    s->bulk_rows = options->bulk_rows;
    *out = NULL;
    if (!ms_conn_open(&s->conn, &conn, err) || !look(s, err) || !claim(s, position, err))
        goto failed;
    make_tables(s, options);
    if (!ms_sink_load_waiting(s, err))
        goto failed;
    *out = &s->base;
    return true;
failed:
    sink_free(&s->base);
    return false;
}

/* --- rights --- */

static void put_grant(struct buffer *out, const char *rights, const char *what, const char *user)
{
    buffer_printf(out, "GRANT %s ON %s TO ", rights, what);
    ms_sql_ident(out, user);
    buffer_puts(out, ";\n");
}

static void table_rights(const struct ms_catalog_table *c, const char *user, struct buffer *out)
{
    struct buffer rights = {0}, name = {0};
    bool identity = false;
    for (uint16_t i = 0; i < c->column_count; i++)
        identity = identity || c->columns[i].identity;
    const struct {
        bool lacks;
        const char *name;
    } all[] = {{!c->can_select, "SELECT"},
               {!c->can_insert, "INSERT"},
               {!c->can_update, "UPDATE"},
               {!c->can_delete, "DELETE"},
               {identity && !c->can_alter, "ALTER"}}; /* SET IDENTITY_INSERT */
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].lacks)
            buffer_printf(&rights, "%s%s", rights.length ? ", " : "", all[i].name);
    ms_sql_qualified(&name, c->schema, c->name);
    if (rights.length)
        put_grant(out, buffer_text(&rights), buffer_text(&name), user);
    buffer_free(&rights);
    buffer_free(&name);
}

bool ms_sink_rights(struct ms_conn *conn, const struct table_set *tables, const struct ms_catalog *catalog,
                    const char *user, struct buffer *out, struct error *err)
{
    int64_t schema;
    if (!ms_query_int(conn,
                      "SELECT CASE WHEN HAS_PERMS_BY_NAME(N'crossfade', N'SCHEMA', N'SELECT') = 1 AND "
                      "HAS_PERMS_BY_NAME(N'crossfade', N'SCHEMA', N'INSERT') = 1 AND "
                      "HAS_PERMS_BY_NAME(N'crossfade', N'SCHEMA', N'UPDATE') = 1 AND "
                      "HAS_PERMS_BY_NAME(N'crossfade', N'SCHEMA', N'DELETE') = 1 THEN 1 ELSE 0 END",
                      &schema, err))
        return false;
    if (!schema)
        put_grant(out, "SELECT, INSERT, UPDATE, DELETE", "SCHEMA::[crossfade]", user);
    for (uint32_t i = 0; i < tables->count; i++) {
        const struct table *t = tables->tables[i];
        const struct ms_catalog_table *c = ms_catalog_find(catalog, t->to_schema, t->to_name);
        if (c)
            table_rights(c, user, out);
    }
    return true;
}
