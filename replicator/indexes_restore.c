/* SPDX-License-Identifier: PostgreSQL
 *
 * indexes_restore of indexes.h: what indexes_defer saved is made again, by a crew. Three rounds, each ended
 * before the next begins: indexes and constraints, the largest tables first; foreign keys, added NOT VALID
 * one after the other (an instant each, and two at once could lock each other out); then their validation,
 * and ANALYZE. An added but not yet validated foreign key keeps its saved row, whose DDL then is VALIDATE.
 *
 * Each object is made and its row deleted in one transaction, which is fenced at its end and need not be
 * flushed: lost in a crash of the target, both come back.
 */
#include "replicator/indexes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pgsql/sql.h"
#include "replicator/crew.h"
#include "state/store.h"

/* For all builds under way together; the server's own setting if that is more. */
enum { BUILD_MEMORY_MB = 1024 };

enum step { STEP_INDEX, STEP_CONSTRAINT, STEP_ADD_FOREIGN_KEY, STEP_VALIDATE, STEP_ANALYZE };

struct item {
    char *id;
    char *table; /* the target's schema.name */
    char *name;
    char *ddl;
    int position;
};

struct restore {
    const struct config *config;
    struct log *log;
    struct table *const *tables;
    uint32_t count;
    int64_t epoch;
    int jobs;
    enum step step;
    enum indexes_phase phase;
    struct item *items; /* of this step */
    int item_count;
    _Atomic int next;
};

static void free_items(struct restore *r)
{
    for (int i = 0; i < r->item_count; i++) {
        free(r->items[i].id);
        free(r->items[i].table);
        free(r->items[i].name);
        free(r->items[i].ddl);
    }
    free(r->items);
    r->items = NULL;
    r->item_count = 0;
}

static struct table *table_of(const struct restore *r, const char *to)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (strcmp(r->tables[i]->to, to) == 0)
            return r->tables[i];
    return NULL;
}

/* Which saved rows a step works off. A foreign key that is there but for its validation says so in its DDL.
 */
static const char *const conditions[] = {
    [STEP_INDEX] = "s.kind = 'index'",
    [STEP_CONSTRAINT] = "s.kind = 'constraint' AND NOT EXISTS (SELECT 1 FROM crossfade.saved_ddl i"
                        " WHERE i.pipeline = s.pipeline AND i.table_name = s.table_name AND i.name = s.name"
                        " AND i.kind = 'index')",
    [STEP_ADD_FOREIGN_KEY] = "s.kind = 'foreign_key' AND s.ddl NOT LIKE '%VALIDATE CONSTRAINT%'",
    [STEP_VALIDATE] = "s.kind = 'foreign_key' AND s.ddl LIKE '%VALIDATE CONSTRAINT%'",
};

static bool load_saved(struct restore *r, struct pg_conn *target, struct error *err)
{
    struct buffer sql = {0}, names = {0};
    const char **to = mem_alloc((r->count + 1) * sizeof(*to));
    for (uint32_t i = 0; i < r->count; i++)
        to[i] = r->tables[i]->to;
    sql_array(&names, to, r->count);
    buffer_printf(
        &sql,
        "SELECT s.id, s.table_name, s.name, s.ddl, s.position FROM crossfade.saved_ddl s"
        "  LEFT JOIN (SELECT min(t.ord) AS ord, t.name FROM unnest($2::text[]) WITH ORDINALITY t(name, ord)"
        "              GROUP BY 2) t"
        "    ON t.name = s.table_name"
        " WHERE s.pipeline = $1 AND t.ord IS NOT NULL AND s.position <= $3 AND %s"
        " ORDER BY s.position, s.id",
        conditions[r->step]);
    const char *params[] = {r->config->pipeline, buffer_text(&names), r->phase == INDEXES_KEYS ? "0" : "2"};
    PGresult *rows = pg_query(target, buffer_text(&sql), 3, params, err);
    buffer_free(&sql);
    buffer_free(&names);
    free(to);
    if (!rows)
        return false;
    r->item_count = PQntuples(rows);
    r->items = mem_alloc((size_t)(r->item_count + 1) * sizeof(*r->items));
    for (int i = 0; i < r->item_count; i++)
        r->items[i] = (struct item){mem_strdup(PQgetvalue(rows, i, 0)), mem_strdup(PQgetvalue(rows, i, 1)),
                                    mem_strdup(PQgetvalue(rows, i, 2)), mem_strdup(PQgetvalue(rows, i, 3)),
                                    atoi(PQgetvalue(rows, i, 4))};
    PQclear(rows);
    return true;
}

static void load_tables(struct restore *r)
{
    r->items = mem_alloc((r->count + 1) * sizeof(*r->items));
    for (uint32_t i = 0; i < r->count; i++) {
        const struct table *t = r->tables[i];
        struct buffer ddl = {0};
        if (t->state == TABLE_INIT || t->state == TABLE_BACKFILL)
            continue;
        buffer_puts(&ddl, "ANALYZE ");
        sql_qualified(&ddl, t->to_schema, t->to_name);
        r->items[r->item_count++] =
            (struct item){.table = mem_strdup(t->to), .ddl = buffer_detach(&ddl), .name = mem_strdup("")};
    }
}

static int64_t size_of(const struct restore *r, const struct item *item)
{
    const struct table *t = table_of(r, item->table);
    return t ? t->source_bytes : 0;
}

/* Largest first, so that no large one is left alone at the end. */
static void sort_items(struct restore *r)
{
    for (int i = 1; i < r->item_count; i++) {
        struct item item = r->items[i];
        int at = i;
        while (at > 0 && (r->items[at - 1].position > item.position ||
                          (r->items[at - 1].position == item.position &&
                           size_of(r, &r->items[at - 1]) < size_of(r, &item)))) {
            r->items[at] = r->items[at - 1];
            at--;
        }
        r->items[at] = item;
    }
}

static bool fence(struct restore *r, struct pg_conn *target, struct error *err)
{
    char number[24];
    snprintf(number, sizeof(number), "%" PRId64, r->epoch);
    const char *params[] = {r->config->pipeline, number};
    return pg_exec_params(target, "SELECT crossfade.fence($1, $2)", 2, params, err);
}

static bool forget(struct pg_conn *target, const struct item *item, struct error *err)
{
    const char *params[] = {item->id};
    return pg_exec_params(target, "DELETE FROM crossfade.saved_ddl WHERE id = $1", 1, params, err);
}

static bool raise_memory(struct restore *r, struct pg_conn *target, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql,
                  "SELECT pg_catalog.set_config('maintenance_work_mem', %d || 'kB', true)"
                  " WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')) < %d "
                  "* 1024::int8",
                  BUILD_MEMORY_MB * 1024 / r->jobs, BUILD_MEMORY_MB * 1024 / r->jobs);
    bool ok = pg_exec(target, buffer_text(&sql), err);
    buffer_free(&sql);
    return ok;
}

/* Runs the DDL. What is there already, made by somebody meanwhile, need not be made. */
static bool make(struct pg_conn *target, const char *ddl, bool *there, struct error *err)
{
    *there = false;
    if (!pg_exec(target, "SAVEPOINT crossfade_make", err))
        return false;
    if (pg_exec(target, ddl, err))
        return true;
    *there =
        strcmp(err->code, "42P07") == 0 || strcmp(err->code, "42710") == 0 || strcmp(err->code, "42P16") == 0;
    return *there && pg_exec(target, "ROLLBACK TO crossfade_make", err);
}

/* The first half of a foreign key: its row now says what is left to do. */
static bool add_foreign_key(struct pg_conn *target, const struct item *item, struct error *err)
{
    bool there;
    if (strstr(item->ddl, " NOT VALID"))
        return make(target, item->ddl, &there, err) && forget(target, item, err);
    struct buffer ddl = {0};
    const char *tail = strstr(item->ddl, "; COMMENT ON CONSTRAINT ");
    size_t length = tail ? (size_t)(tail - item->ddl) : strlen(item->ddl);
    buffer_put(&ddl, item->ddl, length);
    buffer_puts(&ddl, " NOT VALID");
    buffer_puts(&ddl, tail ? tail : "");
    const char *params[] = {item->id};
    bool ok = make(target, buffer_text(&ddl), &there, err) &&
              pg_exec_params(target,
                             "UPDATE crossfade.saved_ddl SET ddl = replace(drop_ddl, ' DROP CONSTRAINT ',"
                             " ' VALIDATE CONSTRAINT ') WHERE id = $1",
                             1, params, err);
    buffer_free(&ddl);
    return ok;
}

static bool do_item(struct restore *r, struct pg_conn *target, const struct item *item, struct error *err)
{
    bool there;
    if (!pg_exec(target, "BEGIN", err))
        return false;
    switch (r->step) {
    case STEP_ANALYZE:
        return pg_exec(target, item->ddl, err) && pg_exec(target, "COMMIT", err);
    case STEP_ADD_FOREIGN_KEY:
        if (!add_foreign_key(target, item, err))
            return false;
        break;
    case STEP_INDEX:
    case STEP_CONSTRAINT:
    case STEP_VALIDATE:
        if (!raise_memory(r, target, err) || !make(target, item->ddl, &there, err) ||
            !forget(target, item, err))
            return false;
        break;
    }
    return fence(r, target, err) && pg_exec(target, "COMMIT", err);
}

/* Without its key's index a table can't catch up. */
static bool stop_table(struct restore *r, struct pg_conn *target, struct table *t, const char *reason,
                       struct error *err)
{
    t->state = TABLE_STOPPED;
    return store_table_state_put(target, r->config->pipeline, r->epoch, t, reason, err);
}

/* The data refuses it: told, left saved, and the rest goes on. */
static bool refused(struct restore *r, struct pg_conn *target, const struct item *item, struct error *err)
{
    struct log_fields fields = {.table = item->table};
    struct error why = *err;
    struct table *t = table_of(r, item->table);
    if (!pg_exec(target, "ROLLBACK", err))
        return false;
    if (r->step == STEP_ANALYZE)
        log_write(r->log, LOG_LEVEL_WARNING, &fields, "not analyzed: %s", why.text);
    else
        log_write(r->log, LOG_LEVEL_WARNING, &fields,
                  "%s can't be made again, it stays in crossfade.saved_ddl: %s", item->name, why.text);
    if (r->step <= STEP_CONSTRAINT && item->position == 0 && t && t->state != TABLE_STOPPED)
        return stop_table(r, target, t, why.text, err);
    return true;
}

static bool work_items(struct restore *r, struct crew_member *member, struct pg_conn *target,
                       struct error *err)
{
    for (;;) {
        int i = atomic_fetch_add(&r->next, 1);
        if (i >= r->item_count || crew_stopping(member))
            return true;
        struct log_fields fields = {.table = r->items[i].table};
        int64_t begun = clock_ms();
        if (do_item(r, target, &r->items[i], err)) {
            log_write(r->log, LOG_LEVEL_DEBUG, &fields, "%s (%d ms)", r->items[i].ddl,
                      (int)(clock_ms() - begun));
            continue;
        }
        bool own = err->kind == ERROR_REFUSED || err->kind == ERROR_DATA || err->kind == ERROR_TABLE;
        if (!own || !refused(r, target, &r->items[i], err))
            return error_prefix(err, "restoring %s of %s", r->items[i].name, r->items[i].table);
    }
}

static bool open_target(struct restore *r, struct crew_member *member, struct pg_conn *target,
                        struct error *err)
{
    char job[24];
    snprintf(job, sizeof(job), "index%d", crew_number(member));
    struct pg_conn_options o = {.conninfo = r->config->target_conninfo,
                                .pipeline = r->config->pipeline,
                                .job = job,
                                .endpoint = "target",
                                .connect_timeout_ms = (int)r->config->connect_timeout_ms};
    if (!crew_open(member, 0, target, &o, err))
        return false;
    if (pg_exec(target, "SET synchronous_commit = off", err))
        return true;
    crew_close(member, 0, target);
    return false;
}

static bool work(void *context, struct crew_member *member, struct error *err)
{
    struct restore *r = context;
    struct pg_conn target = {0};
    if (!open_target(r, member, &target, err))
        return false;
    bool ok = work_items(r, member, &target, err);
    crew_close(member, 0, &target);
    return ok;
}

static bool load(void *context, struct crew_member *member, struct error *err)
{
    struct restore *r = context;
    struct pg_conn target = {0};
    if (!open_target(r, member, &target, err))
        return false;
    bool ok = load_saved(r, &target, err);
    crew_close(member, 0, &target);
    return ok;
}

static bool run_step(struct restore *r, enum step step, _Atomic bool *cancel, struct error *err)
{
    bool ok = true;
    r->step = step;
    atomic_store(&r->next, 0);
    if (step == STEP_ANALYZE)
        load_tables(r);
    else
        ok = crew_run(1, load, r, cancel, err);
    if (ok && r->item_count) {
        sort_items(r);
        int hands = step == STEP_ADD_FOREIGN_KEY ? 1 : r->jobs;
        ok = crew_run(hands < r->item_count ? hands : r->item_count, work, r, cancel, err);
    }
    free_items(r);
    return ok;
}

bool indexes_restore(const struct config *config, struct log *log, int64_t epoch, enum indexes_phase phase,
                     struct table *const *tables, uint32_t count, int jobs, _Atomic bool *cancel,
                     struct error *err)
{
    struct restore r = {.config = config,
                        .log = log,
                        .tables = tables,
                        .count = count,
                        .epoch = epoch,
                        .jobs = jobs > 0 ? jobs : 1,
                        .phase = phase};
    if (!run_step(&r, STEP_INDEX, cancel, err) || !run_step(&r, STEP_CONSTRAINT, cancel, err))
        return false;
    if (phase == INDEXES_KEYS)
        return true;
    return run_step(&r, STEP_ADD_FOREIGN_KEY, cancel, err) && run_step(&r, STEP_VALIDATE, cancel, err) &&
           run_step(&r, STEP_ANALYZE, cancel, err);
}
