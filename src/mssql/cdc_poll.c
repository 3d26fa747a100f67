/* SPDX-License-Identifier: PostgreSQL
 *
 * Statements go through sp_executesql, so that the server keeps their plans although LSNs differ in each
 * poll.
 *
 * Order inside a batch matters. Bounds: max first, then the list: what is committed between the two is in the
 * list, or after max, never passed over. Own transactions last: everything listed has its rows by then.
 * Watch: after the pages (hazard 46).
 */
#include "mssql/cdc_poll.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/cdc_lsn.h"
#include "mssql/sql.h"

enum { GROUP = 32 }; /* pages in one batch */

/* --- bounds --- */

void cdc_bounds_free(struct cdc_bounds *self)
{
    free(self->commits);
    free(self->own);
    *self = (struct cdc_bounds){0};
}

static void put_bounds_sql(struct position position, const char *progress, const char *pipeline,
                           struct buffer *out)
{
    struct buffer sql = {0};
    buffer_printf(&sql,
                  "SELECT TOP (1) m.start_lsn, DATEDIFF_BIG(millisecond, '19700101', m.tran_end_time),"
                  " DATEDIFF_BIG(millisecond, m.tran_end_time, SYSDATETIME()),"
                  " DATEPART(TZOFFSET, SYSDATETIMEOFFSET())"
                  " FROM cdc.lsn_time_mapping AS m ORDER BY m.start_lsn DESC;"
                  " SELECT TOP (%d) m.start_lsn, DATEDIFF_BIG(millisecond, '19700101', m.tran_end_time)"
                  " FROM cdc.lsn_time_mapping AS m WHERE m.start_lsn > @from AND m.tran_id <> 0x00"
                  " ORDER BY m.start_lsn",
                  CDC_COMMITS);
    if (progress) {
        buffer_printf(&sql,
                      "; SELECT DISTINCT TOP (%d) [x].[__$start_lsn] FROM %s AS [x]"
                      " WHERE [x].[__$start_lsn] > @from AND [x].[pipeline] = ",
                      CDC_COMMITS, progress);
        ms_sql_literal(&sql, pipeline);
        buffer_puts(&sql, " ORDER BY [x].[__$start_lsn]");
    }
    buffer_puts(out, "EXEC sys.sp_executesql ");
    ms_sql_literal(out, buffer_text(&sql));
    buffer_puts(out, ", N'@from binary(10)', @from = ");
    cdc_lsn_put(out, position);
    buffer_free(&sql);
}

static void take_max(struct cdc_bounds *b, struct ms_conn *conn, int64_t *zone_ms)
{
    struct ms_datum lsn = ms_column(conn, 0);
    b->max = cdc_lsn(lsn.data, lsn.length);
    b->max_age_ms = ms_column_int(conn, 2);
    *zone_ms = ms_column_int(conn, 3) * 60000;
}

static void take_commit(struct cdc_bounds *b, struct ms_conn *conn, int64_t zone_ms)
{
    if (b->count == b->capacity) {
        b->capacity = b->capacity ? b->capacity * 2 : 64;
        b->commits = mem_grow(b->commits, b->capacity, sizeof(*b->commits));
    }
    struct ms_datum lsn = ms_column(conn, 0);
    b->commits[b->count++] = (struct cdc_commit){.lsn = cdc_lsn(lsn.data, lsn.length),
                                                 .time_us = (ms_column_int(conn, 1) - zone_ms) * 1000};
}

static void take_own(struct cdc_bounds *b, struct ms_conn *conn)
{
    if (b->own_count == b->own_capacity) {
        b->own_capacity = b->own_capacity ? b->own_capacity * 2 : 64;
        b->own = mem_grow(b->own, b->own_capacity, sizeof(*b->own));
    }
    struct ms_datum lsn = ms_column(conn, 0);
    b->own[b->own_count++] = cdc_lsn(lsn.data, lsn.length);
}

static bool take_bounds(struct cdc_bounds *b, struct ms_conn *conn, struct error *err)
{
    int64_t zone_ms = 0;
    enum ms_next next = MS_ROW;
    for (int set = 0; next == MS_ROW; set++) {
        while ((next = ms_query_next(conn, err)) == MS_ROW) {
            if (set == 0)
                take_max(b, conn, &zone_ms);
            else if (set == 1)
                take_commit(b, conn, zone_ms);
            else
                take_own(b, conn);
        }
        if (next == MS_END)
            next = ms_query_next_set(conn, err);
    }
    return next == MS_END;
}

bool cdc_bounds_read(struct ms_conn *conn, struct position position, const char *progress,
                     const char *pipeline, struct cdc_bounds *io, struct error *err)
{
    struct buffer sql = {0};
    io->count = io->own_count = 0;
    io->max = (struct position){.kind = POSITION_NONE};
    put_bounds_sql(position, progress, pipeline, &sql);
    bool ok = ms_query_start(conn, buffer_text(&sql), err) && take_bounds(io, conn, err);
    buffer_free(&sql);
    return ok || error_prefix(err, "polling change data capture");
}

int64_t cdc_bounds_time(const struct cdc_bounds *self, struct position lsn)
{
    uint32_t low = 0, high = self->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (cdc_lsn_compare(self->commits[middle].lsn, lsn) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < self->count && cdc_lsn_compare(self->commits[low].lsn, lsn) == 0 ? self->commits[low].time_us
                                                                                  : 0;
}

/* --- watch --- */

void cdc_watch_free(struct cdc_watch *self)
{
    free(self->seen);
    free(self->ddl);
    *self = (struct cdc_watch){0};
}

static void put_watch_sql(struct position from, struct position to, struct buffer *out)
{
    static const char sql[] =
        "SELECT c.object_id, c.source_object_id, sys.fn_cdc_get_min_lsn(c.capture_instance)"
        " FROM cdc.change_tables AS c;"
        " SELECT h.source_object_id, h.ddl_lsn FROM cdc.ddl_history AS h"
        " WHERE h.ddl_lsn > @from AND h.ddl_lsn <= @to";
    buffer_puts(out, "EXEC sys.sp_executesql ");
    ms_sql_literal(out, sql);
    buffer_puts(out, ", N'@from binary(10), @to binary(10)', @from = ");
    cdc_lsn_put(out, from);
    buffer_puts(out, ", @to = ");
    cdc_lsn_put(out, to);
}

static void take_seen(struct cdc_watch *w, struct ms_conn *conn)
{
    struct ms_datum least = ms_column(conn, 2);
    w->seen = mem_grow(w->seen, w->seen_count + 1, sizeof(*w->seen));
    w->seen[w->seen_count++] = (struct cdc_seen){.object_id = (int32_t)ms_column_int(conn, 0),
                                                 .source_id = (int32_t)ms_column_int(conn, 1),
                                                 .least = cdc_lsn(least.data, least.length)};
}

static void take_ddl(struct cdc_watch *w, struct ms_conn *conn)
{
    struct ms_datum lsn = ms_column(conn, 1);
    w->ddl = mem_grow(w->ddl, w->ddl_count + 1, sizeof(*w->ddl));
    w->ddl[w->ddl_count++] =
        (struct cdc_ddl){.source_id = (int32_t)ms_column_int(conn, 0), .lsn = cdc_lsn(lsn.data, lsn.length)};
}

/* From the present set on: two of them, to the end of the batch. */
static bool take_watch(struct cdc_watch *w, struct ms_conn *conn, struct error *err)
{
    enum ms_next next;
    w->seen_count = w->ddl_count = 0;
    while ((next = ms_query_next(conn, err)) == MS_ROW)
        take_seen(w, conn);
    if (next == MS_END)
        next = ms_query_next_set(conn, err);
    if (next == MS_END)
        return error_set(err, ERROR_RETRY, "polling change data capture: an answer is missing");
    while (next == MS_ROW && (next = ms_query_next(conn, err)) == MS_ROW)
        take_ddl(w, conn);
    if (next == MS_END)
        next = ms_query_next_set(conn, err);
    return next == MS_END;
}

bool cdc_watch_read(struct ms_conn *conn, struct position from, struct position to, struct cdc_watch *out,
                    struct error *err)
{
    struct buffer sql = {0};
    put_watch_sql(from, to, &sql);
    bool ok = ms_query_start(conn, buffer_text(&sql), err) && take_watch(out, conn, err);
    ms_query_stop(conn);
    buffer_free(&sql);
    return ok;
}

/* --- pages --- */

static uint32_t pick(struct cdc_stream_set *set, struct cdc_stream *group[GROUP], bool *all)
{
    uint32_t n = 0;
    *all = true;
    for (uint32_t i = 0; i < set->count; i++) {
        if (!cdc_stream_is_hungry(set->streams[i]))
            continue;
        if (n == GROUP)
            *all = false;
        else
            group[n++] = set->streams[i];
    }
    return n;
}

static void put_page(const struct cdc_stream *s, const char *own, struct buffer *out)
{
    struct buffer sql = {0};
    cdc_stream_put_page(s, own, &sql);
    buffer_puts(out, "EXEC sys.sp_executesql ");
    ms_sql_literal(out, buffer_text(&sql));
    buffer_puts(
        out, s->paged
                 ? ", N'@from binary(10), @to binary(10), @command int, @seqval binary(10), @operation int'"
                 : ", N'@from binary(10), @to binary(10)'");
    cdc_stream_put_values(s, out);
    buffer_puts(out, ";\n");
    buffer_free(&sql);
}

enum taken { TAKEN, NO_ROOM, UNREADABLE, FAILED };

static enum taken take_pages(struct ms_conn *conn, struct cdc_stream *const *group, uint32_t n, size_t room,
                             struct cdc_stream **bad, struct error *err)
{
    struct buffer scratch = {0};
    enum taken result = TAKEN;
    for (uint32_t i = 0; i < n && result == TAKEN; i++) {
        bool stopped = false;
        if (!cdc_stream_take(group[i], conn, room, &scratch, &stopped, err)) {
            result = err->kind == ERROR_DATA && ms_conn_alive(conn) ? UNREADABLE : FAILED;
            *bad = result == UNREADABLE ? group[i] : NULL;
            break;
        }
        room -= group[i]->bytes < room ? group[i]->bytes : room;
        if (stopped) {
            result = NO_ROOM;
            break;
        }
        enum ms_next next = ms_query_next_set(conn, err);
        if (next == MS_FAILED)
            result = FAILED;
        else if (next == MS_END && i + 1 < n) {
            error_set(err, ERROR_RETRY, "polling change data capture: an answer is missing");
            result = FAILED;
        }
    }
    buffer_free(&scratch);
    return result;
}

bool cdc_pages_read(struct ms_conn *conn, struct cdc_stream_set *set, struct position from,
                    struct position to, const char *own, size_t room, struct cdc_watch *watch, bool *watched,
                    struct cdc_stream **bad, struct error *err)
{
    struct cdc_stream *group[GROUP];
    struct buffer sql = {0};
    bool all;
    uint32_t n = pick(set, group, &all);
    *watched = false;
    *bad = NULL;
    for (uint32_t i = 0; i < n; i++)
        put_page(group[i], own, &sql);
    if (all)
        put_watch_sql(from, to, &sql);
    bool ok = ms_query_start(conn, buffer_text(&sql), err);
    enum taken taken = ok ? take_pages(conn, group, n, room, bad, err) : FAILED;
    if (taken == TAKEN && all)
        ok = *watched = take_watch(watch, conn, err);
    else
        ok = taken == TAKEN || taken == NO_ROOM;
    ms_query_stop(conn);
    buffer_free(&sql);
    return ok;
}
