/* SPDX-License-Identifier: PostgreSQL
 *
 * Reading: one statement a kind of fact, each ordered so that its rows can be laid beside the tables read
 * first. A fact about a table that is not in the list (ours, the system's, made meanwhile) is passed over.
 */
#include "mssql/catalog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/cdc_lsn.h"

struct reading {
    struct ms_catalog *catalog;
    struct ms_catalog_table *table; /* of the row before */
    bool utf16;
};

static char *take_text(struct ms_conn *conn, int column)
{
    struct buffer text = {0};
    if (!ms_column_text(conn, column, &text)) {
        buffer_free(&text);
        return NULL;
    }
    return buffer_detach(&text);
}

static bool take_bool(struct ms_conn *conn, int column)
{
    return ms_column_int(conn, column) != 0;
}

static struct ms_catalog_table *find(struct reading *r, int64_t object_id)
{
    if (r->table && r->table->object_id == object_id)
        return r->table;
    r->table = (struct ms_catalog_table *)(uintptr_t)ms_catalog_by_id(r->catalog, (int32_t)object_id);
    return r->table;
}

static int column_by_id(const struct ms_catalog_table *t, int64_t id)
{
    for (uint16_t i = 0; i < t->column_count; i++) {
        if (t->columns[i].id == id)
            return i;
    }
    return -1;
}

/* --- the database --- */

static const char database_sql[] =
    "SELECT d.database_id, d.name, d.compatibility_level, d.collation_name, d.snapshot_isolation_state,"
    " d.is_read_committed_snapshot_on, d.is_cdc_enabled, d.recovery_model, d.is_encrypted,"
    " d.log_reuse_wait_desc, d.is_read_only, CASE WHEN EXISTS (SELECT 1 FROM"
    " sys.change_tracking_databases AS c WHERE c.database_id = d.database_id) THEN 1 ELSE 0 END,"
    " HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'VIEW DATABASE STATE'),"
    " HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'UNMASK'), IS_MEMBER(N'db_owner'),"
    " DATEPART(TZOFFSET, SYSDATETIMEOFFSET()),"
    " CASE WHEN DATALENGTH(CONVERT(varbinary(4), NCHAR(228))) = 2 THEN 1 ELSE 0 END"
    " FROM sys.databases AS d WHERE d.database_id = DB_ID()";

static bool take_database(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct ms_database *d = &((struct reading *)context)->catalog->database;
    d->id = (int32_t)ms_column_int(conn, 0);
    free(d->name);
    d->name = take_text(conn, 1);
    d->compatibility = (int)ms_column_int(conn, 2);
    free(d->collation);
    d->collation = take_text(conn, 3);
    d->snapshot_allowed = ms_column_int(conn, 4) == 1;
    d->read_committed_snapshot = take_bool(conn, 5);
    d->cdc = take_bool(conn, 6);
    d->recovery_model = (int)ms_column_int(conn, 7);
    d->encrypted = take_bool(conn, 8);
    free(d->log_reuse_wait);
    d->log_reuse_wait = take_text(conn, 9);
    d->read_only = take_bool(conn, 10);
    d->change_tracking = take_bool(conn, 11);
    d->view_state = take_bool(conn, 12);
    d->unmask = take_bool(conn, 13);
    d->owner = take_bool(conn, 14);
    d->zone_minutes = (int)ms_column_int(conn, 15);
    ((struct reading *)context)->utf16 = take_bool(conn, 16);
    return true;
}

/* --- tables --- */

static void put_tables_sql(int version, struct buffer *out)
{
    static const char *const rights[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "ALTER"};
    buffer_puts(out,
                "SELECT t.object_id, s.name, t.name, t.temporal_type, t.is_memory_optimized, t.is_external,"
                " t.is_filetable, t.is_tracked_by_cdc, t.is_replicated, ");
    buffer_puts(out, version >= 14 ? "t.is_node, t.is_edge" : "0, 0"); /* graph tables came with 2017 */
    for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
        buffer_printf(out,
                      ", HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(t.name), N'OBJECT', N'%s')",
                      rights[i]);
    buffer_puts(out, " FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id"
                     " WHERE t.is_ms_shipped = 0 AND s.name NOT IN (N'crossfade', N'cdc', N'sys')"
                     " ORDER BY t.object_id");
}

static bool take_table(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct ms_catalog *c = ((struct reading *)context)->catalog;
    c->tables = mem_grow(c->tables, c->count + 1, sizeof(*c->tables));
    c->tables[c->count++] = (struct ms_catalog_table){
        .object_id = (int32_t)ms_column_int(conn, 0),
        .schema = take_text(conn, 1),
        .name = take_text(conn, 2),
        .temporal = (int)ms_column_int(conn, 3),
        .memory_optimized = take_bool(conn, 4),
        .external = take_bool(conn, 5),
        .filetable = take_bool(conn, 6),
        .cdc = take_bool(conn, 7),
        .replicated = take_bool(conn, 8),
        .node = take_bool(conn, 9),
        .edge = take_bool(conn, 10),
        .can_select = take_bool(conn, 11),
        .can_insert = take_bool(conn, 12),
        .can_update = take_bool(conn, 13),
        .can_delete = take_bool(conn, 14),
        .can_alter = take_bool(conn, 15),
        .utf16 = ((struct reading *)context)->utf16,
        .min_valid_version = -1,
        .rows = -1,
        .pages = -1,
    };
    return true;
}

/* --- columns --- */

static const char columns_sql[] =
    "SELECT c.object_id, c.column_id, c.name, c.system_type_id, y.name, c.max_length, c.precision, c.scale,"
    " c.collation_name, c.is_nullable, c.is_identity, c.is_computed, c.is_sparse, c.is_column_set,"
    " c.is_rowguidcol, c.is_filestream, c.is_masked, CASE WHEN c.encryption_type IS NULL THEN 0 ELSE 1 END,"
    " c.generated_always_type, c.is_hidden, d.definition, k.definition, k.is_persisted,"
    " CONVERT(nvarchar(64), i.seed_value), CONVERT(nvarchar(64), i.increment_value),"
    " CONVERT(nvarchar(64), i.last_value)"
    " FROM sys.columns AS c JOIN sys.tables AS t ON t.object_id = c.object_id"
    " JOIN sys.types AS y ON y.user_type_id = c.user_type_id"
    " LEFT JOIN sys.default_constraints AS d ON d.object_id = c.default_object_id"
    " LEFT JOIN sys.computed_columns AS k ON k.object_id = c.object_id AND k.column_id = c.column_id"
    " LEFT JOIN sys.identity_columns AS i ON i.object_id = c.object_id AND i.column_id = c.column_id"
    " WHERE t.is_ms_shipped = 0 ORDER BY c.object_id, c.column_id";

static void take_column_flags(struct ms_conn *conn, struct ms_catalog_column *out)
{
    out->nullable = take_bool(conn, 9);
    out->identity = take_bool(conn, 10);
    out->computed = take_bool(conn, 11);
    out->sparse = take_bool(conn, 12);
    out->column_set = take_bool(conn, 13);
    out->rowguid = take_bool(conn, 14);
    out->filestream = take_bool(conn, 15);
    out->masked = take_bool(conn, 16);
    out->encrypted = take_bool(conn, 17);
    out->generated_always = (int)ms_column_int(conn, 18);
    out->hidden = take_bool(conn, 19);
    out->persisted = take_bool(conn, 22);
}

static bool take_column(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct ms_catalog_table *t = find(context, ms_column_int(conn, 0));
    if (!t)
        return true;
    t->columns = mem_grow(t->columns, (size_t)t->column_count + 1, sizeof(*t->columns));
    struct ms_catalog_column *c = &t->columns[t->column_count++];
    *c = (struct ms_catalog_column){.id = (int32_t)ms_column_int(conn, 1),
                                    .name = take_text(conn, 2),
                                    .type_name = take_text(conn, 4),
                                    .default_text = take_text(conn, 20),
                                    .computed_text = take_text(conn, 21),
                                    .identity_seed = take_text(conn, 23),
                                    .identity_increment = take_text(conn, 24),
                                    .identity_last = take_text(conn, 25)};
    char *collation = take_text(conn, 8);
    c->type = (struct ms_column_type){
        .type = ms_type_find((uint8_t)ms_column_int(conn, 3), c->type_name ? c->type_name : ""),
        .max_length = (int16_t)ms_column_int(conn, 5),
        .precision = (uint8_t)ms_column_int(conn, 6),
        .scale = (uint8_t)ms_column_int(conn, 7),
        .collation = collation};
    if (collation)
        ms_catalog_collation(collation, &c->case_sensitive, &c->accent_sensitive, &c->binary_collation,
                             &c->type.is_utf8);
    take_column_flags(conn, c);
    return true;
}

/* --- indexes --- */

static const char indexes_sql[] =
    "SELECT i.object_id, i.index_id, i.name, i.type, i.is_unique, i.is_primary_key, i.is_unique_constraint,"
    " i.is_disabled, i.has_filter, i.filter_definition, x.column_id, x.key_ordinal, x.is_descending_key,"
    " x.is_included_column"
    " FROM sys.indexes AS i JOIN sys.tables AS t ON t.object_id = i.object_id"
    " LEFT JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id"
    " WHERE t.is_ms_shipped = 0 AND i.is_hypothetical = 0"
    " ORDER BY i.object_id, i.index_id, x.is_included_column, x.key_ordinal, x.index_column_id";

struct reading_indexes {
    struct reading base;
    int64_t object_id, index_id;
};

static void add_index(struct ms_catalog_table *t, struct ms_conn *conn)
{
    t->indexes = mem_grow(t->indexes, (size_t)t->index_count + 1, sizeof(*t->indexes));
    t->indexes[t->index_count++] =
        (struct ms_index){.name = take_text(conn, 2),
                          .kind = (enum ms_index_kind)ms_column_int(conn, 3),
                          .unique = take_bool(conn, 4),
                          .primary = take_bool(conn, 5),
                          .constraint = take_bool(conn, 6),
                          .disabled = take_bool(conn, 7),
                          .filter = take_bool(conn, 8) ? take_text(conn, 9) : NULL};
    enum ms_index_kind kind = t->indexes[t->index_count - 1].kind;
    if (kind == MS_INDEX_CLUSTERED_COLUMNSTORE)
        t->columnstore = true;
}

static bool take_index(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct reading_indexes *r = context;
    int64_t object_id = ms_column_int(conn, 0), index_id = ms_column_int(conn, 1);
    struct ms_catalog_table *t = find(&r->base, object_id);
    if (!t)
        return true;
    if (object_id != r->object_id || index_id != r->index_id || t->index_count == 0)
        add_index(t, conn);
    r->object_id = object_id;
    r->index_id = index_id;
    struct ms_index *i = &t->indexes[t->index_count - 1];
    int column = column_by_id(t, ms_column_int(conn, 10));
    if (column < 0)
        return true;
    bool included = take_bool(conn, 13);
    /* Neither key nor included: the partitioning column, or a column of a columnstore. */
    if (!included && ms_column_int(conn, 11) == 0)
        return true;
    i->columns = mem_grow(i->columns, (size_t)i->column_count + 1, sizeof(*i->columns));
    i->columns[i->column_count++] = (struct ms_index_column){
        .column = (uint16_t)column, .descending = take_bool(conn, 12), .included = included};
    i->key_count = (uint16_t)(i->key_count + !included);
    return true;
}

/* --- foreign keys, checks, triggers --- */

static const char foreign_keys_sql[] =
    "SELECT f.object_id, f.name, f.parent_object_id, f.referenced_object_id, f.is_disabled, f.is_not_trusted,"
    " f.delete_referential_action, f.update_referential_action, x.parent_column_id, x.referenced_column_id"
    " FROM sys.foreign_keys AS f"
    " JOIN sys.foreign_key_columns AS x ON x.constraint_object_id = f.object_id"
    " WHERE f.is_ms_shipped = 0 ORDER BY f.object_id, x.constraint_column_id";

static bool take_foreign_key(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct ms_catalog *c = ((struct reading *)context)->catalog;
    int32_t id = (int32_t)ms_column_int(conn, 0);
    struct ms_foreign_key *f = c->foreign_key_count ? &c->foreign_keys[c->foreign_key_count - 1] : NULL;
    if (!f || f->object_id != id) {
        c->foreign_keys = mem_grow(c->foreign_keys, c->foreign_key_count + 1, sizeof(*c->foreign_keys));
        f = &c->foreign_keys[c->foreign_key_count++];
        *f = (struct ms_foreign_key){.object_id = id,
                                     .name = take_text(conn, 1),
                                     .child = (int32_t)ms_column_int(conn, 2),
                                     .parent = (int32_t)ms_column_int(conn, 3),
                                     .disabled = take_bool(conn, 4),
                                     .not_trusted = take_bool(conn, 5),
                                     .on_delete = (int)ms_column_int(conn, 6),
                                     .on_update = (int)ms_column_int(conn, 7)};
    }
    size_t n = (size_t)f->column_count + 1;
    f->child_columns = mem_grow(f->child_columns, n, sizeof(*f->child_columns));
    f->parent_columns = mem_grow(f->parent_columns, n, sizeof(*f->parent_columns));
    f->child_columns[n - 1] = (int32_t)ms_column_int(conn, 8);
    f->parent_columns[n - 1] = (int32_t)ms_column_int(conn, 9);
    f->column_count = (uint16_t)n;
    return true;
}

static const char checks_sql[] = "SELECT k.parent_object_id, k.name, k.definition, k.is_disabled"
                                 " FROM sys.check_constraints AS k WHERE k.is_ms_shipped = 0"
                                 " ORDER BY k.parent_object_id, k.object_id";

static bool take_check(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct ms_catalog_table *t = find(context, ms_column_int(conn, 0));
    if (!t)
        return true;
    t->checks = mem_grow(t->checks, (size_t)t->check_count + 1, sizeof(*t->checks));
    t->checks[t->check_count++] = (struct ms_check){
        .name = take_text(conn, 1), .text = take_text(conn, 2), .disabled = take_bool(conn, 3)};
    return true;
}

static const char triggers_sql[] =
    "SELECT g.parent_id, COUNT(*) FROM sys.triggers AS g WHERE g.parent_class = 1"
    " AND g.is_disabled = 0 AND g.is_ms_shipped = 0 GROUP BY g.parent_id";

static bool take_triggers(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct ms_catalog_table *t = find(context, ms_column_int(conn, 0));
    if (t)
        t->trigger_count = (int)ms_column_int(conn, 1);
    return true;
}

/* --- sizes, policies, change tracking --- */

static const char rows_sql[] = "SELECT p.object_id, SUM(p.rows) FROM sys.partitions AS p"
                               " WHERE p.index_id IN (0, 1) GROUP BY p.object_id";

static bool take_rows(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct ms_catalog_table *t = find(context, ms_column_int(conn, 0));
    if (t)
        t->rows = ms_column_int(conn, 1);
    return true;
}

static const char pages_sql[] =
    "SELECT p.object_id, SUM(a.used_pages) FROM sys.partitions AS p JOIN sys.allocation_units AS a"
    " ON a.container_id = CASE WHEN a.type = 2 THEN p.partition_id ELSE p.hobt_id END"
    " WHERE p.index_id IN (0, 1) GROUP BY p.object_id";

static bool take_pages(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct ms_catalog_table *t = find(context, ms_column_int(conn, 0));
    if (t)
        t->pages = ms_column_int(conn, 1);
    return true;
}

static const char policies_sql[] =
    "SELECT x.target_object_id, p.name FROM sys.security_predicates AS x JOIN sys.security_policies AS p"
    " ON p.object_id = x.object_id WHERE p.is_enabled = 1 AND x.predicate_type = 0";

static bool take_policy(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct ms_catalog_table *t = find(context, ms_column_int(conn, 0));
    if (t && !t->filter_policy)
        t->filter_policy = take_text(conn, 1);
    return true;
}

static const char tracking_sql[] = "SELECT x.object_id, x.min_valid_version, x.begin_version,"
                                   " x.is_track_columns_updated_on FROM sys.change_tracking_tables AS x";

static bool take_tracking(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct ms_catalog_table *t = find(context, ms_column_int(conn, 0));
    if (!t)
        return true;
    t->change_tracking = true;
    t->min_valid_version = ms_column(conn, 1).data ? ms_column_int(conn, 1) : -1;
    t->change_tracking_columns = take_bool(conn, 3);
    return true;
}

/* --- change data capture --- */

static const char captures_sql[] =
    "SELECT c.object_id, c.source_object_id, c.capture_instance, c.start_lsn,"
    " sys.fn_cdc_get_min_lsn(c.capture_instance), CONVERT(nvarchar(30), c.create_date, 126),"
    " c.has_drop_pending, c.partition_switch, OBJECT_NAME(c.object_id),"
    " COLUMNPROPERTY(c.object_id, N'__$command_id', N'ColumnId')"
    " FROM cdc.change_tables AS c ORDER BY c.source_object_id, c.start_lsn";

static bool take_capture(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    struct ms_catalog_table *t = find(context, ms_column_int(conn, 1));
    if (!t)
        return true;
    t->captures = mem_grow(t->captures, (size_t)t->capture_count + 1, sizeof(*t->captures));
    struct ms_capture *c = &t->captures[t->capture_count++];
    struct ms_datum least = ms_column(conn, 4);
    *c = (struct ms_capture){.object_id = (int32_t)ms_column_int(conn, 0),
                             .name = take_text(conn, 2),
                             .created = take_text(conn, 5),
                             .drop_pending = take_bool(conn, 6),
                             .partition_switch = take_bool(conn, 7),
                             .table = take_text(conn, 8),
                             .has_command_id = ms_column(conn, 9).data != NULL};
    c->start = cdc_lsn(least.data, least.length);
    c->denied = cdc_lsn_is_zero(c->start);
    return true;
}

static const char captured_sql[] =
    "SELECT k.object_id, k.column_ordinal, k.column_id, k.column_name, k.is_computed"
    " FROM cdc.captured_columns AS k ORDER BY k.object_id, k.column_ordinal";

static struct ms_capture *find_capture(struct ms_catalog *c, int64_t object_id,
                                       struct ms_catalog_table **table)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct ms_catalog_table *t = &c->tables[i];
        for (uint16_t k = 0; k < t->capture_count; k++) {
            if (t->captures[k].object_id == object_id) {
                *table = t;
                return &t->captures[k];
            }
        }
    }
    return NULL;
}

struct reading_captured {
    struct reading base;
    int64_t object_id;
    struct ms_capture *capture;
};

static bool take_captured(void *context, struct ms_conn *conn, struct error *err)
{
    struct reading_captured *r = context;
    int64_t object_id = ms_column_int(conn, 0), ordinal = ms_column_int(conn, 1);
    if (object_id != r->object_id)
        r->capture = find_capture(r->base.catalog, object_id, &r->base.table);
    r->object_id = object_id;
    struct ms_capture *c = r->capture;
    if (!c)
        return true;
    if (ordinal != c->column_count + 1)
        return error_set(err, ERROR_REFUSED, "capture instance %s lists its columns with gaps", c->name);
    size_t n = (size_t)ordinal;
    c->columns = mem_grow(c->columns, n, sizeof(*c->columns));
    c->computed = mem_grow(c->computed, n, sizeof(*c->computed));
    c->column_names = mem_grow(c->column_names, n, sizeof(*c->column_names));
    /* By id: a column that was renamed keeps it, one dropped and made anew does not. */
    int at = column_by_id(r->base.table, ms_column_int(conn, 2));
    c->columns[n - 1] = at < 0 ? UINT16_MAX : (uint16_t)at;
    c->computed[n - 1] = take_bool(conn, 4);
    c->column_names[n - 1] = take_text(conn, 3);
    c->column_count = (uint16_t)n;
    return true;
}

/* --- all --- */

/* Sizes are estimates: a server that does not tell them is no reason to stop. */
static bool estimate(struct ms_conn *conn, const char *sql, ms_row_fn take, struct reading *r,
                     struct error *err)
{
    return ms_query(conn, sql, take, r, err) || (err->kind == ERROR_REFUSED && ms_conn_alive(conn));
}

static bool read_all(struct ms_conn *conn, struct ms_catalog *out, struct error *err)
{
    struct reading r = {.catalog = out};
    struct reading_indexes indexes = {.base = r};
    struct reading_captured captured = {.base = r};
    struct buffer tables = {0};
    put_tables_sql(conn->version, &tables);
    bool ok = ms_query(conn, database_sql, take_database, &r, err) &&
              ms_query(conn, buffer_text(&tables), take_table, &r, err) &&
              ms_query(conn, columns_sql, take_column, &r, err) &&
              ms_query(conn, indexes_sql, take_index, &indexes, err) &&
              ms_query(conn, foreign_keys_sql, take_foreign_key, &r, err) &&
              ms_query(conn, checks_sql, take_check, &r, err) &&
              ms_query(conn, triggers_sql, take_triggers, &r, err) &&
              estimate(conn, rows_sql, take_rows, &r, err) &&
              estimate(conn, pages_sql, take_pages, &r, err) &&
              ms_query(conn, policies_sql, take_policy, &r, err) &&
              ms_query(conn, tracking_sql, take_tracking, &r, err) &&
              (!out->database.cdc || (ms_query(conn, captures_sql, take_capture, &r, err) &&
                                      ms_query(conn, captured_sql, take_captured, &captured, err)));
    buffer_free(&tables);
    return ok;
}

bool ms_catalog_read(struct ms_conn *conn, struct ms_catalog *out, struct error *err)
{
    *out = (struct ms_catalog){0};
    if (read_all(conn, out, err))
        return true;
    ms_catalog_free(out);
    return error_prefix(err, "reading the catalog");
}

static void free_column(struct ms_catalog_column *c)
{
    free(c->name);
    free(c->type_name);
    free((char *)(uintptr_t)c->type.collation);
    free(c->default_text);
    free(c->computed_text);
    free(c->identity_seed);
    free(c->identity_increment);
    free(c->identity_last);
}

static void free_capture(struct ms_capture *c)
{
    for (uint16_t i = 0; i < c->column_count; i++)
        free(c->column_names[i]);
    free(c->column_names);
    free(c->columns);
    free(c->computed);
    free(c->name);
    free(c->table);
    free(c->created);
}

static void free_table(struct ms_catalog_table *t)
{
    for (uint16_t i = 0; i < t->column_count; i++)
        free_column(&t->columns[i]);
    for (uint16_t i = 0; i < t->index_count; i++) {
        free(t->indexes[i].name);
        free(t->indexes[i].filter);
        free(t->indexes[i].columns);
    }
    for (uint16_t i = 0; i < t->check_count; i++) {
        free(t->checks[i].name);
        free(t->checks[i].text);
    }
    for (uint16_t i = 0; i < t->capture_count; i++)
        free_capture(&t->captures[i]);
    free(t->columns);
    free(t->indexes);
    free(t->checks);
    free(t->captures);
    free(t->schema);
    free(t->name);
    free(t->filter_policy);
}

void ms_catalog_free(struct ms_catalog *self)
{
    for (uint32_t i = 0; i < self->count; i++)
        free_table(&self->tables[i]);
    for (uint32_t i = 0; i < self->foreign_key_count; i++) {
        free(self->foreign_keys[i].name);
        free(self->foreign_keys[i].child_columns);
        free(self->foreign_keys[i].parent_columns);
    }
    free(self->tables);
    free(self->foreign_keys);
    free(self->database.name);
    free(self->database.collation);
    free(self->database.log_reuse_wait);
    *self = (struct ms_catalog){0};
}
