/* SPDX-License-Identifier: PostgreSQL
 *
 * The publications on the source: `<publication>` for tables whose old rows can be told apart, and
 * `<publication>_insert` for those that have no replica identity: publishing their updates would make the
 * application's own UPDATE and DELETE fail (hazard 36).
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "legacy/legacy_pgsql.h"
#include "pgsql/publication.h"
#include "pgsql/sql.h"

enum { WAIT_OUT_MS = 250 };

static bool has_insert_only(const struct table_set *tables)
{
    for (uint32_t i = 0; i < tables->count; i++) {
        if (tables->tables[i]->insert_only)
            return true;
    }
    return false;
}

static void insert_name(const struct pgsql_side *side, char *out, size_t size)
{
    snprintf(out, size, "%s_insert", side->publication);
}

const char *pgsql_insert_publication(const struct pgsql_side *side, const struct table_set *tables, char *out,
                                     size_t size)
{
    insert_name(side, out, size);
    return has_insert_only(tables) ? out : NULL;
}

static PGresult *published(const struct pgsql_work *self, const char *publication, struct error *err)
{
    struct buffer sql = {0};
    publication_tables_sql(&sql, self->source->version, publication);
    PGresult *r = pg_query(self->source, buffer_text(&sql), 0, NULL, err);
    buffer_free(&sql);
    return r;
}

/* Stored before it is put back. */
static bool note_hole(const struct pgsql_work *self, const struct table *t, struct error *err)
{
    struct legacy_notes notes = {
        .config = self->config, .log = self->log, .target = self->target, .epoch = self->epoch};
    return legacy_note_hole(&notes, t, "it was not in its publication for a while", err);
}

/* A publication as it should be. */
struct wanted {
    const char *name;
    bool insert_only;
    bool first; /* nobody has read it yet: nothing can be missing */
};

/* The tables of `tables` that belong to that publication and are not in it, as SQL names; *count how many. */
static bool missing_tables(const struct pgsql_work *self, const struct table_set *tables,
                           const struct wanted *wanted, struct buffer *names, uint32_t *count,
                           struct error *err)
{
    PGresult *r = published(self, wanted->name, err);
    if (!r)
        return false;
    *count = 0;
    bool ok = true;
    unsigned char *seen = mem_alloc(tables->count);
    for (int i = 0; i < PQntuples(r); i++) {
        struct table *t = table_set_find(tables, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
        if (t)
            seen[t->id] = 1;
    }
    for (uint32_t i = 0; i < tables->count && ok; i++) {
        const struct table *t = tables->tables[i];
        if (seen[i] || t->insert_only != wanted->insert_only)
            continue;
        ok = wanted->first || note_hole(self, t, err);
        buffer_puts(names, (*count)++ ? ", " : "");
        buffer_puts(names, t->source_partitioned ? "" : "ONLY ");
        sql_qualified(names, t->from_schema, t->from_name);
    }
    free(seen);
    PQclear(r);
    return ok;
}

static void publish_options(const struct pgsql_work *self, bool insert_only, struct buffer *sql)
{
    /* Partitioned tables by their leaves: through the root a TRUNCATE of one partition is not published at
     * all. */
    buffer_puts(sql, insert_only ? " WITH (publish = 'insert" : " WITH (publish = 'insert, update, delete");
    buffer_puts(sql, self->source->version >= 110000 ? ", truncate')" : "')");
}

static bool refused(const struct pgsql_work *self, const char *sql, struct error *err)
{
    if (err->kind != ERROR_REFUSED)
        return false;
    struct error why = *err;
    return error_set_code(err, ERROR_REFUSED, why.code, "%.500s - a DBA of the %s side may run: %.500s",
                          why.text, self->side->endpoint, sql);
}

/* Makes or completes one publication. */
static bool complete(const struct pgsql_work *self, const struct table_set *tables,
                     const struct wanted *wanted, uint32_t *added, struct error *err)
{
    char all[8];
    struct buffer names = {0};
    struct buffer sql = {0};
    uint32_t count = 0;
    const char *name = wanted->name;
    bool ok = pg_query_one(self->source,
                           "SELECT coalesce((SELECT puballtables::text FROM pg_catalog.pg_publication"
                           " WHERE pubname = $1), 'none')",
                           1, &name, all, sizeof(all), NULL, err);
    bool exists = ok && strcmp(all, "none") != 0;
    ok = ok && missing_tables(self, tables, wanted, &names, &count, err);
    if (!ok || count == 0)
        goto done;
    buffer_puts(&sql, exists ? "ALTER PUBLICATION " : "CREATE PUBLICATION ");
    sql_ident(&sql, name);
    buffer_puts(&sql, exists ? " ADD TABLE " : " FOR TABLE ");
    buffer_put(&sql, buffer_text(&names), names.length);
    if (!exists)
        publish_options(self, wanted->insert_only, &sql);
    ok = pg_exec(self->source, buffer_text(&sql), err) || refused(self, buffer_text(&sql), err);
    if (ok)
        log_info(self->log, "publication %s: %u table(s) added", name, count);
done:
    *added += count;
    buffer_free(&names);
    buffer_free(&sql);
    return ok;
}

/* Until every transaction that was open when the publication changed has ended: what it had written before
 * may be in neither the copy nor the stream. */
bool pgsql_wait_out_writers(const struct pgsql_work *self, struct error *err)
{
    char limit[32];
    char still[8];
    const char *param = limit;
    if (!pg_query_one(self->source, "SELECT txid_snapshot_xmax(txid_current_snapshot())::text", 0, NULL,
                      limit, sizeof(limit), NULL, err))
        return false;
    int64_t told = 0;
    for (;;) {
        if (!pg_query_one(self->source,
                          "SELECT (txid_snapshot_xmin(txid_current_snapshot()) < $1::bigint)::text", 1,
                          &param, still, sizeof(still), NULL, err))
            return false;
        if (strcmp(still, "false") == 0)
            return true;
        if (atomic_load(self->cancel))
            return error_set(err, ERROR_CANCELED, "stopped");
        if (clock_ms() - told > 30000) {
            told = clock_ms();
            log_info(self->log,
                     "waiting for transactions on the %s side that began before the publication changed",
                     self->side->endpoint);
        }
        struct timespec pause = {.tv_nsec = WAIT_OUT_MS * 1000000};
        nanosleep(&pause, NULL);
    }
}

bool pgsql_publication(const struct pgsql_work *self, const struct table_set *tables, bool first,
                       uint32_t *added, struct error *err)
{
    char insert[80];
    struct wanted all = {.name = self->side->publication, .first = first};
    struct wanted inserts = {.name = insert, .insert_only = true, .first = first};
    insert_name(self->side, insert, sizeof(insert));
    *added = 0;
    return complete(self, tables, &all, added, err) &&
           (!has_insert_only(tables) || complete(self, tables, &inserts, added, err));
}

bool pgsql_writers(const struct pgsql_work *self, const struct table_set *tables, struct error *err)
{
    for (uint32_t i = 0; i < tables->count; i++) {
        if (tables->tables[i]->state == TABLE_INIT)
            return pgsql_wait_out_writers(self, err);
    }
    return true;
}
