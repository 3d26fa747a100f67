/* SPDX-License-Identifier: PostgreSQL
 *
 * Dropping, and remembering how to make it again. One transaction a table: each object's row in
 * crossfade.saved_ddl is written where the object is dropped, so whatever happens it exists or is saved,
 * never neither. saved_ddl.position says when it is made: 0 the key's index, 1 indexes and constraints, 2
 * foreign keys. Making it again is indexes_restore.c's.
 *
 * Left alone: tables of other owners; partitioned tables and partitions (an index there belongs to the whole
 * tree); invalid indexes; a unique index that a remaining foreign key of another table needs; what something
 * else of the database depends on (a view by its primary key).
 *
 * A constraint's index is saved as CREATE INDEX plus ADD CONSTRAINT … USING INDEX, which keeps its tablespace
 * and storage parameters and needs the strong lock only for a moment.
 */
#include "replicator/indexes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/sql.h"

/* $1 the tables' oids, $2 for each the text of an array of its key's sink column names, $3 whether foreign
 * keys are asked for, or indexes and constraints. What may be dropped, table by table. */
static const char find_sql[] =
    "WITH w AS ("
    "  SELECT DISTINCT ON (u.oid) u.oid, u.ord, u.key::text[] AS key"
    "    FROM unnest($1::oid[], $2::text[]) WITH ORDINALITY u(oid, key, ord)),"
    "t AS ("
    "  SELECT c.oid, w.ord, w.key, format('%I.%I', n.nspname, c.relname) AS name, n.nspname"
    "    FROM w JOIN pg_class c ON c.oid = w.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
    "   WHERE c.relkind = 'r' AND NOT c.relispartition AND pg_has_role(c.relowner, 'USAGE')),"
    "i AS ("
    "  SELECT x.*, c.relname, coalesce(co.oid, 0) AS constraint_oid, co.contype, co.conname,"
    "         coalesce(co.condeferrable, false) AS may_defer, coalesce(co.condeferred, false) AS defers,"
    "         coalesce(co.contype = 'x' OR pg_get_constraintdef(co.oid) LIKE '%WITHOUT OVERLAPS%', false) AS "
    "whole,"
    "         (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a"
    "           WHERE a.attrelid = x.indrelid"
    "             AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1])) AS columns"
    "    FROM pg_index x JOIN t ON t.oid = x.indrelid JOIN pg_class c ON c.oid = x.indexrelid"
    "    LEFT JOIN pg_constraint co ON co.conindid = x.indexrelid AND co.contype IN ('p', 'u', 'x')"
    "         AND co.conrelid = x.indrelid"
    "   WHERE x.indisvalid AND x.indisready"
    "     AND NOT $3::bool"
    "     AND x.indexrelid NOT IN (SELECT f.conindid FROM pg_constraint f WHERE f.contype = 'f')),"
    "k AS ("
    "  SELECT DISTINCT ON (i.indrelid) i.indexrelid FROM i JOIN t ON t.oid = i.indrelid"
    "   WHERE indisunique AND indpred IS NULL AND indexprs IS NULL"
    "     AND columns = (SELECT array_agg(u ORDER BY u) FROM unnest(t.key) u)"
    "   ORDER BY i.indrelid, may_defer, indisprimary DESC, indexrelid),"
    "extra AS (" /* what an index carries besides its definition */
    "  SELECT i.indexrelid, concat("
    "    CASE WHEN i.indisreplident THEN"
    "         format('; ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', t.name, i.relname) END,"
    "    CASE WHEN i.indisclustered THEN format('; ALTER TABLE %s CLUSTER ON %I', t.name, i.relname) END,"
    "    (SELECT format('; COMMENT ON INDEX %I.%I IS %L', t.nspname, i.relname, d.description)"
    "       FROM pg_description d WHERE d.objoid = i.indexrelid AND d.classoid = 'pg_class'::regclass"
    "        AND d.objsubid = 0),"
    "    (SELECT format('; COMMENT ON CONSTRAINT %I ON %s IS %L', i.conname, t.name, d.description)"
    "       FROM pg_description d WHERE d.objoid = i.constraint_oid"
    "        AND d.classoid = 'pg_constraint'::regclass),"
    "    (SELECT string_agg(format('; ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', t.nspname,"
    "            i.relname, a.attnum, a.attstattarget), '' ORDER BY a.attnum)"
    "       FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0)) AS ddl"
    "    FROM i JOIN t ON t.oid = i.indrelid) "
    "SELECT 'foreign_key', f.conname::text, NULL,"
    "       format('ALTER TABLE %s ADD CONSTRAINT %I %s', t.name, f.conname, pg_get_constraintdef(f.oid))"
    "         || coalesce((SELECT format('; COMMENT ON CONSTRAINT %I ON %s IS %L', f.conname, t.name,"
    "            d.description) FROM pg_description d WHERE d.objoid = f.oid"
    "             AND d.classoid = 'pg_constraint'::regclass), ''),"
    "       format('ALTER TABLE %s DROP CONSTRAINT %I', t.name, f.conname), 2, t.ord"
    "  FROM pg_constraint f JOIN t ON t.oid = f.conrelid"
    " WHERE $3::bool AND f.contype = 'f' AND f.conparentid = 0 "
    "UNION ALL "
    "SELECT 'constraint', i.relname::text, CASE WHEN NOT i.whole THEN pg_get_indexdef(i.indexrelid) END,"
    "       nullif(CASE WHEN i.contype IS NULL THEN ''"
    "            WHEN i.whole THEN format('ALTER TABLE %s ADD CONSTRAINT %I %s', t.name, i.conname,"
    "                                     pg_get_constraintdef(i.constraint_oid))"
    "            ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s USING INDEX %I', t.name, i.conname,"
    "                        CASE i.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, i.relname)"
    "                 || CASE WHEN i.may_defer THEN ' DEFERRABLE' ELSE '' END"
    "                 || CASE WHEN i.defers THEN ' INITIALLY DEFERRED' ELSE '' END"
    "       END || CASE WHEN i.contype IS NULL THEN ltrim(extra.ddl, '; ') ELSE extra.ddl END, ''),"
    "       CASE WHEN i.contype IS NULL THEN format('DROP INDEX %I.%I', t.nspname, i.relname)"
    "            ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', t.name, i.conname) END,"
    "       CASE WHEN i.indexrelid IN (SELECT indexrelid FROM k) THEN 0 ELSE 1 END, t.ord"
    "  FROM i JOIN t ON t.oid = i.indrelid JOIN extra USING (indexrelid) "
    "ORDER BY 7, 2";

enum { COL_KIND, COL_NAME, COL_INDEX, COL_DDL, COL_DROP, COL_POSITION, COL_TABLE };

/* Left where it is for the table's own reasons; the server's other troubles are everybody's. */
static bool is_own(const struct error *err)
{
    return err->kind == ERROR_REFUSED || err->kind == ERROR_DATA || err->kind == ERROR_TABLE;
}

static bool save(struct pg_conn *target, const char *pipeline, const struct table *table, const char *kind,
                 const PGresult *r, int row, int ddl, struct error *err)
{
    const char *params[] = {pipeline,
                            table->to,
                            kind,
                            PQgetvalue(r, row, COL_NAME),
                            PQgetvalue(r, row, ddl),
                            PQgetvalue(r, row, COL_DROP),
                            PQgetvalue(r, row, COL_POSITION)};
    if (PQgetisnull(r, row, ddl))
        return true;
    return pg_exec_params(
        target,
        "INSERT INTO crossfade.saved_ddl (pipeline, table_name, kind, name, ddl, drop_ddl, position)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)"
        " ON CONFLICT (pipeline, table_name, kind, name) DO UPDATE"
        " SET ddl = excluded.ddl, drop_ddl = excluded.drop_ddl, position = excluded.position",
        7, params, err);
}

/* Saves and drops one object under a savepoint. */
static bool defer_one(struct pg_conn *target, const char *pipeline, const struct table *table,
                      const PGresult *r, int row, struct error *err)
{
    if (!pg_exec(target, "SAVEPOINT crossfade_try", err))
        return false;
    if (save(target, pipeline, table, "index", r, row, COL_INDEX, err) &&
        save(target, pipeline, table, PQgetvalue(r, row, COL_KIND), r, row, COL_DDL, err) &&
        pg_exec(target, PQgetvalue(r, row, COL_DROP), err))
        return pg_exec(target, "RELEASE crossfade_try", err);
    return is_own(err) && pg_exec(target, "ROLLBACK TO crossfade_try; RELEASE crossfade_try", err);
}

static PGresult *find(struct pg_conn *target, struct table *const *tables, uint32_t count, bool foreign_keys,
                      struct error *err)
{
    struct buffer oids = {0}, keys = {0}, names = {0};
    char **texts = mem_alloc((count + 1) * sizeof(*texts));
    buffer_putc(&oids, '{');
    for (uint32_t i = 0; i < count; i++) {
        const struct table *t = tables[i];
        const char **key = mem_alloc((size_t)(t->key_count + 1) * sizeof(*key));
        for (uint16_t k = 0; k < t->key_count; k++)
            key[k] = t->columns[t->key[k]].sink;
        sql_array(&names, key, t->key_count);
        texts[i] = buffer_detach(&names);
        buffer_printf(&oids, "%s%" PRIu32, i ? "," : "", t->sink_oid);
        free(key);
    }
    buffer_putc(&oids, '}');
    sql_array(&keys, (const char *const *)texts, count);
    const char *params[] = {buffer_text(&oids), buffer_text(&keys), foreign_keys ? "true" : "false"};
    PGresult *r = pg_query(target, find_sql, 3, params, err);
    for (uint32_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
    buffer_free(&oids);
    buffer_free(&keys);
    return r;
}

/* One table's objects, rows [first, end), in a transaction. The fence comes last: it makes a take-over wait
 * until the end, and DROP may have to wait for locks. */
static bool defer_table(struct pg_conn *target, const char *pipeline, int64_t epoch,
                        const struct table *table, const PGresult *r, int first, int end, struct error *err)
{
    char number[24];
    struct error ignored;
    snprintf(number, sizeof(number), "%" PRId64, epoch);
    const char *fence[] = {pipeline, number};
    bool ok = pg_exec(target, "BEGIN", err);
    for (int row = first; row < end && ok; row++)
        ok = defer_one(target, pipeline, table, r, row, err);
    ok = ok && pg_exec_params(target, "SELECT crossfade.fence($1, $2)", 2, fence, err) &&
         pg_exec(target, "COMMIT", err);
    bool back = ok || pg_exec(target, "ROLLBACK", &ignored);
    (void)back; /* a lost link has rolled back by itself */
    return ok || error_prefix(err, "deferring the indexes of %s", table->to);
}

static bool defer_round(struct pg_conn *target, const char *pipeline, int64_t epoch,
                        struct table *const *tables, uint32_t count, bool foreign_keys, struct error *err)
{
    PGresult *r = find(target, tables, count, foreign_keys, err);
    if (!r)
        return false;
    int rows = PQntuples(r);
    bool ok = true;
    for (int first = 0, end; first < rows && ok; first = end) {
        const char *ord = PQgetvalue(r, first, COL_TABLE);
        for (end = first + 1; end < rows && strcmp(PQgetvalue(r, end, COL_TABLE), ord) == 0;)
            end++;
        ok = defer_table(target, pipeline, epoch, tables[strtoul(ord, NULL, 10) - 1], r, first, end, err);
    }
    PQclear(r);
    return ok;
}

/* Foreign keys of all tables first: they hold the unique indexes of the others. */
bool indexes_defer(struct pg_conn *target, const char *pipeline, int64_t epoch, struct table *const *tables,
                   uint32_t count, struct error *err)
{
    return defer_round(target, pipeline, epoch, tables, count, true, err) &&
           defer_round(target, pipeline, epoch, tables, count, false, err);
}

bool indexes_pending(struct pg_conn *target, const char *pipeline, bool *pending, struct error *err)
{
    char text[8];
    const char *params[] = {pipeline};
    if (!pg_query_one(target, "SELECT EXISTS (SELECT 1 FROM crossfade.saved_ddl WHERE pipeline = $1)", 1,
                      params, text, sizeof(text), NULL, err))
        return false;
    *pending = text[0] == 't';
    return true;
}
