/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/existing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/pair_names.h"
#include "pgsql/sql.h"

enum existing_rule existing_rule(const struct config *config, const struct table *table)
{
    for (int i = 0; i < config->table_count; i++)
        if (pair_name_means(config->tables[i].from, table->from_schema, table->from_name))
            return config->tables[i].existing;
    return config->backfill_existing;
}

/* Is it one table's trouble, or everybody's? */
static bool is_own(const struct error *err)
{
    return err->kind == ERROR_DATA || err->kind == ERROR_REFUSED || err->kind == ERROR_TABLE;
}

static void put_relation(const struct table *t, struct buffer *sql)
{
    buffer_puts(sql, t->sink_partitioned ? "" : "ONLY ");
    sql_qualified(sql, t->to_schema, t->to_name);
}

/* Under a savepoint, so that the transaction goes on if it is refused. */
static bool try_exec(struct pg_conn *target, const char *sql, struct error *err)
{
    struct error ignored;
    if (!pg_exec(target, "SAVEPOINT crossfade_try", err))
        return false;
    if (pg_exec(target, sql, err))
        return pg_exec(target, "RELEASE crossfade_try", err);
    if (is_own(err) && !pg_exec(target, "ROLLBACK TO crossfade_try", &ignored))
        *err = ignored;
    return false;
}

bool existing_empty(struct pg_conn *target, const struct table *table, struct error *err)
{
    struct buffer sql = {0};
    struct error deleting;
    buffer_puts(&sql, "TRUNCATE ");
    put_relation(table, &sql);
    bool ok = try_exec(target, buffer_text(&sql), err);
    if (!ok && is_own(err)) {
        buffer_clear(&sql);
        if (!target->replica_role)
            buffer_puts(&sql, "SET LOCAL session_replication_role = replica; ");
        buffer_puts(&sql, "DELETE FROM ");
        put_relation(table, &sql);
        ok = try_exec(target, buffer_text(&sql), &deleting);
        if (!ok && !is_own(&deleting))
            *err = deleting;
    }
    buffer_free(&sql);
    return ok || error_prefix(err, "emptying %s", table->to);
}

/* Several tables may fill one: then its rows are ours as soon as one of them has begun. */
static bool sink_started(const struct chunk_table *tables, uint32_t count, const struct table *t)
{
    for (uint32_t i = 0; i < count; i++)
        if (tables[i].started && strcmp(tables[i].table->to, t->to) == 0)
            return true;
    return false;
}

/* Tables that point to each other have to be named in one TRUNCATE. */
static bool truncate_all(struct pg_conn *target, const struct chunk_table *tables, const bool *chosen,
                         uint32_t count, char **reasons, struct error *err)
{
    struct buffer sql = {0};
    const char *lead = "TRUNCATE ";
    for (uint32_t i = 0; i < count; i++) {
        if (!chosen[i])
            continue;
        buffer_puts(&sql, lead);
        put_relation(tables[i].table, &sql);
        lead = ", ";
    }
    bool ok = sql.length == 0 || try_exec(target, buffer_text(&sql), err);
    buffer_free(&sql);
    if (ok || !is_own(err))
        return ok;
    for (uint32_t i = 0; i < count; i++) {
        if (!chosen[i] || existing_empty(target, tables[i].table, err))
            continue;
        if (!is_own(err))
            return false;
        reasons[i] = mem_strdup(err->text);
    }
    return true;
}

static bool truncate_chosen(struct pg_conn *target, const struct config *config, int64_t epoch,
                            const struct chunk_table *tables, const bool *chosen, uint32_t count,
                            char **reasons, struct error *err)
{
    char number[24];
    struct error ignored;
    snprintf(number, sizeof(number), "%" PRId64, epoch);
    const char *params[] = {config->pipeline, number};
    /* The fence comes last: it locks the lease row until the end, and the heartbeat must not wait for
     * TRUNCATE. */
    if (pg_exec(target, "BEGIN", err) && truncate_all(target, tables, chosen, count, reasons, err) &&
        pg_exec_params(target, "SELECT crossfade.fence($1, $2)", 2, params, err) &&
        pg_exec(target, "COMMIT", err))
        return true;
    bool back = pg_exec(target, "ROLLBACK", &ignored);
    (void)back; /* the connection is given up with this error in any case */
    return false;
}

static bool must_be_empty(struct pg_conn *target, const struct table *t, bool keyless_upsert, char **reason,
                          struct error *err)
{
    struct buffer sql = {0};
    char text[8];
    buffer_puts(&sql, "SELECT EXISTS (SELECT 1 FROM ");
    put_relation(t, &sql);
    buffer_puts(&sql, ")");
    bool ok = pg_query_one(target, buffer_text(&sql), 0, NULL, text, sizeof(text), NULL, err);
    buffer_clear(&sql);
    if (!ok && is_own(err)) {
        *reason = mem_strdup(err->text);
        ok = true;
    } else if (ok && text[0] == 't') {
        buffer_printf(
            &sql, "target table %s already holds rows - %s", t->to,
            keyless_upsert
                ? "\"existing\": \"upsert\" needs a key - empty it or set \"existing\": \"truncate\""
                : "empty it, or set \"existing\" to \"truncate\" or \"upsert\" for it");
        *reason = buffer_detach(&sql);
    }
    buffer_free(&sql);
    return ok;
}

bool existing_settle(struct pg_conn *target, const struct config *config, int64_t epoch,
                     const struct chunk_table *tables, uint32_t count, char **reasons, struct error *err)
{
    bool *chosen = mem_alloc(count + 1), any = false, ok = true;
    for (uint32_t i = 0; i < count && ok; i++) {
        const struct table *t = tables[i].table;
        enum existing_rule rule = existing_rule(config, t);
        if (reasons[i] || sink_started(tables, count, t))
            continue;
        chosen[i] = rule == EXISTING_TRUNCATE;
        any = any || chosen[i];
        bool keyless_upsert = rule == EXISTING_UPSERT && t->key_count == 0;
        if (rule == EXISTING_REFUSE || keyless_upsert)
            ok = must_be_empty(target, t, keyless_upsert, &reasons[i], err);
    }
    if (ok && any)
        ok = truncate_chosen(target, config, epoch, tables, chosen, count, reasons, err);
    free(chosen);
    return ok;
}
