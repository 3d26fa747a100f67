/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/poll_part.h"

#include <endian.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "mssql/sql.h"

/* --- what the catalog says --- */

const struct ms_catalog_column *ms_poll_rowversion(const struct ms_catalog_table *table)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct ms_catalog_column *c = &table->columns[i];
        if (c->type.type && c->type.type->id == MS_ROWVERSION)
            return c;
    }
    return NULL;
}

bool ms_poll_is_indexed(const struct ms_catalog_table *table, const struct ms_catalog_column *column)
{
    for (uint16_t i = 0; i < table->index_count; i++) {
        const struct ms_index *x = &table->indexes[i];
        if ((x->kind == MS_INDEX_CLUSTERED || x->kind == MS_INDEX_NONCLUSTERED) && !x->disabled &&
            !x->filter && x->key_count > 0 && &table->columns[x->columns[0].column] == column)
            return true;
    }
    return false;
}

bool ms_poll_has_primary_key(const struct ms_catalog_table *source, const struct table *table)
{
    for (uint16_t i = 0; i < source->index_count; i++) {
        const struct ms_index *x = &source->indexes[i];
        if (!x->primary)
            continue;
        uint16_t found = 0;
        for (uint16_t k = 0; k < x->key_count; k++) {
            const char *name = source->columns[x->columns[k].column].name;
            for (uint16_t n = 0; n < table->key_count; n++)
                found = (uint16_t)(found + (strcmp(table->columns[table->key[n]].source, name) == 0));
        }
        return found == x->key_count && found == table->key_count;
    }
    return false;
}

/* --- a table --- */

void ms_poll_table_lose(struct ms_poll_table *self, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    self->lost = true;
    vsnprintf(self->text, sizeof(self->text), fmt, ap);
    va_end(ap);
}

/* Nobody dropped anything from the mapping by adding a column to the source (rule 8). */
static const char *unknown_column(const struct table *t, const struct ms_catalog_table *source)
{
    for (uint16_t i = 0; i < source->column_count; i++) {
        const char *name = source->columns[i].name;
        bool known = source->columns[i].computed || source->columns[i].column_set;
        for (uint16_t k = 0; k < t->column_count && !known; k++)
            known = strcmp(t->columns[k].source, name) == 0;
        for (uint16_t k = 0; k < t->ignored_count && !known; k++)
            known = strcmp(t->ignored[k], name) == 0;
        if (!known)
            return name;
    }
    return NULL;
}

/* A table of the key's columns alone; its columns are borrowed. */
static struct table *make_key_image(const struct table *t)
{
    struct table *image = mem_alloc(sizeof(*image));
    *image = (struct table){.from = t->from, .column_count = t->key_count, .key_count = t->key_count};
    image->columns = mem_alloc((t->key_count + (size_t)1) * sizeof(*image->columns));
    image->key = mem_alloc((t->key_count + (size_t)1) * sizeof(*image->key));
    for (uint16_t i = 0; i < t->key_count; i++) {
        image->columns[i] = t->columns[t->key[i]];
        image->key[i] = i;
    }
    return image;
}

static void find_rowversion(struct ms_poll_table *self, const struct ms_catalog_table *source)
{
    struct buffer quoted = {0};
    const struct ms_catalog_column *c = ms_poll_rowversion(source);
    if (!c) {
        ms_poll_table_lose(self, "%.130s has no column of type rowversion any more", self->table->from);
        return;
    }
    ms_sql_column(&quoted, "t", c->name);
    self->column = buffer_detach(&quoted);
}

bool ms_poll_is_time(const struct ms_catalog_column *column)
{
    enum ms_type_id id = column->type.type ? column->type.type->id : MS_TYPE_COUNT;
    return id == MS_DATETIME || id == MS_DATETIME2 || id == MS_DATETIMEOFFSET || id == MS_SMALLDATETIME ||
           id == MS_DATE;
}

/* A flag is true where it is not 0; a time, or whatever else, where there is one. */
static void find_soft(struct ms_poll_table *self, const struct ms_catalog_table *source, const char *name)
{
    struct buffer quoted = {0}, text = {0};
    const struct ms_catalog_column *c = ms_catalog_column(source, name);
    if (!c) {
        ms_poll_table_lose(self, "%.130s has no column %.100s (soft_delete)", self->table->from, name);
        return;
    }
    enum ms_type_id id = c->type.type ? c->type.type->id : MS_TYPE_COUNT;
    bool number = id == MS_BIT || id == MS_TINYINT || id == MS_SMALLINT || id == MS_INT || id == MS_BIGINT;
    ms_sql_column(&quoted, "t", name);
    buffer_printf(&text, number ? "%s <> 0" : "%s IS NOT NULL", buffer_text(&quoted));
    buffer_free(&quoted);
    self->soft = buffer_detach(&text);
}

static void find_time(struct ms_poll_table *self, const struct ms_catalog_table *source,
                      const struct polled_time *time)
{
    struct buffer quoted = {0}, type = {0};
    const struct ms_catalog_column *c = ms_catalog_column(source, time->updated_at);
    if (!c || !ms_poll_is_time(c)) {
        ms_poll_table_lose(self, "%.130s has no column %.100s with a time (updated_at)", self->table->from,
                           time->updated_at);
        return;
    }
    ms_sql_column(&quoted, "t", c->name);
    ms_type_declare(&c->type, &type);
    self->column = buffer_detach(&quoted);
    self->column_type = buffer_detach(&type);
    self->zoned = c->type.type->id == MS_DATETIMEOFFSET;
    self->overlap_us = time->overlap_us;
    self->nulls = true;
    if (time->soft_delete)
        find_soft(self, source, time->soft_delete);
}

static void find_column(struct ms_poll_table *self, const struct ms_catalog_table *source,
                        const struct ms_poll_options *options)
{
    if (options->capture == CAPTURE_ROWVERSION)
        find_rowversion(self, source);
    else if (options->capture == CAPTURE_TIMESTAMP)
        find_time(self, source, &options->times[self->table->id]);
}

void ms_poll_table_make(const struct ms_catalog *catalog, const struct ms_poll_options *options,
                        struct table *table, struct ms_poll_table *out)
{
    int64_t value_limit = options->value_limit;
    struct error err;
    struct buffer from = {0};
    const char *unknown;
    const struct ms_catalog_table *source = ms_catalog_find(catalog, table->from_schema, table->from_name);
    *out = (struct ms_poll_table){.table = table, .begun = -1};
    ms_sql_qualified(&from, table->from_schema, table->from_name);
    out->from = buffer_detach(&from);
    if (!source) {
        ms_poll_table_lose(out, "%.130s is not there any more", table->from);
        return;
    }
    out->object_id = source->object_id;
    out->memory_optimized = source->memory_optimized;
    out->key_image = make_key_image(table);
    if ((unknown = unknown_column(table, source)))
        ms_poll_table_lose(out,
                           "column %.100s was added to %.130s - ALTER TABLE the target's table too, then "
                           "crossfade recopy --table %.130s",
                           unknown, table->from, table->from);
    else if (table->key_count == 0)
        ms_poll_table_lose(out, "%.130s has no key: this capture finds rows by it", table->from);
    else if (!ms_row_plan_make(source, table, NULL, value_limit, &out->plan, &err) ||
             !ms_row_plan_make(source, out->key_image, NULL, value_limit, &out->keys, &err))
        ms_poll_table_lose(out, "%.500s - crossfade recopy --table %.130s once it fits", err.text,
                           table->from);
    else if (options->capture == CAPTURE_CHANGE_TRACKING && !source->change_tracking)
        ms_poll_table_lose(
            out,
            "change tracking is off for %.130s, its changes are missing - ALTER TABLE … ENABLE "
            "CHANGE_TRACKING, then crossfade recopy --table %.130s",
            table->from, table->from);
    else
        find_column(out, source, options);
}

void ms_poll_table_free(struct ms_poll_table *self)
{
    ms_row_plan_free(&self->plan);
    ms_row_plan_free(&self->keys);
    if (self->key_image) {
        free(self->key_image->columns);
        free(self->key_image->key);
    }
    free(self->key_image);
    free(self->from);
    free(self->column);
    free(self->column_type);
    free(self->soft);
    seen_free(&self->seen);
    *self = (struct ms_poll_table){0};
}

/* --- SQL --- */

static void put_from(const struct ms_poll_table *t, struct buffer *sql)
{
    buffer_printf(sql, "%s AS [t]%s", t->from, t->memory_optimized ? " WITH (SNAPSHOT)" : "");
}

static void put_binary(uint64_t value, struct buffer *sql)
{
    uint64_t big = htobe64(value);
    ms_sql_convert_hex(sql, "binary(8)", &big, sizeof(big));
}

static void put_range(const struct ms_poll_table *t, struct position from, struct position to,
                      struct buffer *sql)
{
    buffer_printf(sql, " WHERE %s >= ", t->column);
    put_binary(from.low, sql);
    buffer_printf(sql, " AND %s < ", t->column);
    put_binary(to.low, sql);
}

/* What became of a row since is seen by the join alone: the list's own word for it may be of the past. */
static void put_tracked(const struct ms_poll_table *t, struct position from, struct position to,
                        struct buffer *sql)
{
    struct buffer key = {0};
    ms_sql_column(&key, "t", t->keys.columns[0].name);
    buffer_printf(sql, "SELECT CASE WHEN %s IS NULL THEN 0 ELSE 1 END, ", buffer_text(&key));
    buffer_free(&key);
    ms_row_select_of(&t->keys, "c", sql);
    buffer_puts(sql, ", ");
    ms_row_select(&t->plan, sql);
    buffer_printf(sql, " FROM CHANGETABLE(CHANGES %s, %" PRIu64 ") AS [c] LEFT JOIN ", t->from, from.low);
    put_from(t, sql);
    for (uint16_t i = 0; i < t->keys.count; i++) {
        buffer_puts(sql, i ? " AND " : " ON ");
        ms_sql_column(sql, "t", t->keys.columns[i].name);
        buffer_puts(sql, " = ");
        ms_sql_column(sql, "c", t->keys.columns[i].name);
    }
    buffer_printf(sql, " WHERE [c].[SYS_CHANGE_VERSION] <= %" PRIu64, to.low);
}

/* The earliest time that a row changed after `from` may bear, but for late clocks. */
static void put_low(const struct ms_poll_table *t, struct position from, int64_t zone_minutes,
                    struct buffer *sql)
{
    int64_t us = (int64_t)from.low - t->overlap_us;
    char text[40];
    struct tm tm;
    if (!t->zoned && zone_minutes < 0)
        us += zone_minutes * 60 * INT64_C(1000000);
    if (us < 0)
        us = 0;
    time_t seconds = (time_t)(us / 1000000);
    gmtime_r(&seconds, &tm);
    size_t length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    ms_sql_convert_text(sql, t->column_type, (struct slice){text, length}, 126);
}

static void put_timed(const struct ms_poll_table *t, struct position from, int64_t zone_minutes,
                      struct buffer *sql)
{
    buffer_printf(sql, "SELECT CASE WHEN %s THEN 1 ELSE 0 END, CASE WHEN %s IS NULL THEN 1 ELSE 0 END, ",
                  t->soft ? t->soft : "1 = 0", t->column);
    ms_row_select(&t->plan, sql);
    buffer_puts(sql, " FROM ");
    put_from(t, sql);
    buffer_printf(sql, " WHERE %s >= ", t->column);
    put_low(t, from, zone_minutes, sql);
    if (t->nulls_now)
        buffer_printf(sql, " OR %s IS NULL", t->column);
    if (t->soft && !t->begun_reading)
        buffer_printf(sql, " OR %s", t->soft);
}

void ms_poll_put_rows(const struct ms_poll_table *t, enum capture_kind capture, struct position from,
                      struct position to, int64_t zone_minutes, struct buffer *sql)
{
    if (capture == CAPTURE_CHANGE_TRACKING) {
        put_tracked(t, from, to, sql);
        return;
    }
    if (capture == CAPTURE_TIMESTAMP) {
        put_timed(t, from, zone_minutes, sql);
        return;
    }
    buffer_puts(sql, "SELECT ");
    ms_row_select(&t->plan, sql);
    buffer_puts(sql, " FROM ");
    put_from(t, sql);
    if (capture == CAPTURE_ROWVERSION)
        put_range(t, from, to, sql);
}

void ms_poll_put_cut(const struct ms_poll_table *t, struct position from, struct position to, int64_t rows,
                     struct buffer *sql)
{
    buffer_printf(sql, "SELECT CONVERT(bigint, %s) FROM ", t->column);
    put_from(t, sql);
    put_range(t, from, to, sql);
    buffer_printf(sql, " ORDER BY %s OFFSET %" PRId64 " ROWS FETCH NEXT 1 ROWS ONLY", t->column, rows);
}
