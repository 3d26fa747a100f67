/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/estate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mssql/sql.h"

static void take_text(struct ms_conn *conn, int column, char *out, size_t size)
{
    struct buffer text = {0};
    (void)ms_column_text(conn, column, &text);
    snprintf(out, size, "%s", buffer_text(&text));
    buffer_free(&text);
}

static bool take_server(void *context, struct ms_conn *conn, struct error *err)
{
    struct ms_estate_server *out = context;
    char updateability[64];
    (void)err;
    take_text(conn, 0, out->edition, sizeof(out->edition));
    take_text(conn, 1, out->objective, sizeof(out->objective));
    take_text(conn, 2, out->login, sizeof(out->login));
    take_text(conn, 3, out->auth, sizeof(out->auth));
    out->view_state = ms_column_int(conn, 4) == 1;
    take_text(conn, 5, updateability, sizeof(updateability));
    out->writable = strcmp(updateability, "READ_ONLY") != 0;
    out->in_group = ms_column_int(conn, 6) == 1;
    out->published = ms_column_int(conn, 7) != 0 || ms_column_int(conn, 8) != 0;
    out->cdc_select = ms_column_int(conn, 9) == 1;
    out->view_definition = ms_column_int(conn, 10) == 1;
    return true;
}

bool ms_estate_server(struct ms_conn *conn, struct ms_estate_server *out, struct error *err)
{
    *out = (struct ms_estate_server){.writable = true};
    return ms_query(conn,
                    "SELECT CONVERT(nvarchar(128), SERVERPROPERTY(N'Edition')),"
                    " CONVERT(nvarchar(60), DATABASEPROPERTYEX(DB_NAME(), N'ServiceObjective')),"
                    " CONVERT(nvarchar(128), SUSER_SNAME()),"
                    " CONVERT(nvarchar(60), CONNECTIONPROPERTY(N'auth_scheme')),"
                    " HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE'),"
                    " CONVERT(nvarchar(60), DATABASEPROPERTYEX(DB_NAME(), N'Updateability')),"
                    " CASE WHEN d.replica_id IS NULL THEN 0 ELSE 1 END, d.is_published, d.is_merge_published,"
                    " HAS_PERMS_BY_NAME(N'cdc', N'SCHEMA', N'SELECT'),"
                    " HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'VIEW DEFINITION')"
                    " FROM sys.databases AS d WHERE d.database_id = DB_ID()",
                    take_server, out, err);
}

bool ms_estate_clock(struct ms_conn *conn, int64_t *out, struct error *err)
{
    return ms_query_int(conn, "SELECT DATEDIFF_BIG(microsecond, '19700101', SYSUTCDATETIME())", out, err);
}

bool ms_estate_encrypted(struct ms_conn *conn, bool *out, struct error *err)
{
    char answer[44];
    if (!ms_query_one(conn,
                      "SELECT c.encrypt_option FROM sys.dm_exec_connections AS c WHERE c.session_id = @@SPID",
                      answer, sizeof(answer), NULL, err))
        return false;
    *out = strcmp(answer, "TRUE") == 0;
    return true;
}

struct line {
    char *out;
    size_t size;
};

static bool take_line(void *context, struct ms_conn *conn, struct error *err)
{
    const struct line *line = context;
    (void)err;
    take_text(conn, 0, line->out, line->size);
    return true;
}

bool ms_estate_agent(struct ms_conn *conn, char *out, size_t size, struct error *err)
{
    struct line line = {out, size};
    *out = '\0';
    return ms_query(conn,
                    "SELECT TOP (1) s.status_desc FROM sys.dm_server_services AS s"
                    " WHERE s.servicename LIKE N'SQL Server Agent%'",
                    take_line, &line, err);
}

static bool take_int(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    *(int64_t *)context = ms_column_int(conn, 0);
    return true;
}

bool ms_estate_text_limit(struct ms_conn *conn, int64_t *out, struct error *err)
{
    *out = -1;
    return ms_query(conn,
                    "SELECT CONVERT(bigint, c.value_in_use) FROM sys.configurations AS c"
                    " WHERE c.name = N'max text repl size (B)'",
                    take_int, out, err);
}

static bool take_job(void *context, struct ms_conn *conn, struct error *err)
{
    struct ms_estate_jobs *out = context;
    char type[24];
    (void)err;
    take_text(conn, 0, type, sizeof(type));
    if (strcmp(type, "capture") == 0) {
        out->capture = true;
        out->maxtrans = ms_column_int(conn, 1);
        out->maxscans = ms_column_int(conn, 2);
        out->continuous = ms_column_int(conn, 3) != 0;
        out->polling_seconds = ms_column_int(conn, 4);
    } else if (strcmp(type, "cleanup") == 0) {
        out->cleanup = true;
        out->retention_minutes = ms_column_int(conn, 5);
    }
    return true;
}

bool ms_estate_jobs(struct ms_conn *conn, struct ms_estate_jobs *out, struct error *err)
{
    *out = (struct ms_estate_jobs){0};
    return ms_query(conn,
                    "SELECT j.job_type, j.maxtrans, j.maxscans, j.continuous, j.pollinginterval, j.retention"
                    " FROM msdb.dbo.cdc_jobs AS j WHERE j.database_id = DB_ID()",
                    take_job, out, err);
}

static bool take_age(void *context, struct ms_conn *conn, struct error *err)
{
    (void)err;
    *(int64_t *)context = ms_column(conn, 0).data ? ms_column_int(conn, 0) : -1;
    return true;
}

bool ms_estate_capture(struct ms_conn *conn, struct ms_estate_capture *out, struct error *err)
{
    *out = (struct ms_estate_capture){.age_seconds = -1};
    return ms_query(conn,
                    "SELECT DATEDIFF_BIG(second, MAX(m.tran_end_time), SYSDATETIME())"
                    " FROM cdc.lsn_time_mapping AS m",
                    take_age, &out->age_seconds, err);
}

static bool take_error(void *context, struct ms_conn *conn, struct error *err)
{
    struct ms_estate_capture *out = context;
    (void)err;
    out->error = ms_column_int(conn, 0);
    take_text(conn, 1, out->message, sizeof(out->message));
    out->error_minutes = ms_column_int(conn, 2);
    return true;
}

bool ms_estate_capture_errors(struct ms_conn *conn, struct ms_estate_capture *io, struct error *err)
{
    return ms_query(conn,
                    "SELECT TOP (1) e.error_number, e.error_message,"
                    " DATEDIFF(minute, e.entry_time, SYSDATETIME()) FROM sys.dm_cdc_errors AS e"
                    " WHERE e.entry_time > DATEADD(day, -1, SYSDATETIME()) ORDER BY e.entry_time DESC",
                    take_error, io, err);
}

/* --- objects --- */

static char *detach_text(struct ms_conn *conn, int column)
{
    struct buffer text = {0};
    if (ms_column_text(conn, column, &text))
        return buffer_detach(&text);
    buffer_free(&text);
    return NULL;
}

static bool take_object(void *context, struct ms_conn *conn, struct error *err)
{
    struct ms_estate_objects *out = context;
    (void)err;
    out->list = mem_grow(out->list, out->count + 1, sizeof(*out->list));
    out->list[out->count++] = (struct ms_estate_object){
        .schema = detach_text(conn, 0), .name = detach_text(conn, 1), .base = detach_text(conn, 2)};
    return true;
}

static bool take_partitioned(void *context, struct ms_conn *conn, struct error *err)
{
    struct ms_estate_objects *out = context;
    (void)err;
    out->partitioned = mem_grow(out->partitioned, out->partitioned_count + 1, sizeof(*out->partitioned));
    out->partitioned[out->partitioned_count++] = (int32_t)ms_column_int(conn, 0);
    return true;
}

bool ms_estate_objects(struct ms_conn *conn, struct ms_estate_objects *out, struct error *err)
{
    *out = (struct ms_estate_objects){0};
    return ms_query(conn,
                    "SELECT s.name, o.name, y.base_object_name FROM sys.objects AS o"
                    " JOIN sys.schemas AS s ON s.schema_id = o.schema_id"
                    " LEFT JOIN sys.synonyms AS y ON y.object_id = o.object_id"
                    " WHERE o.type IN (N'V', N'SN') AND o.is_ms_shipped = 0",
                    take_object, out, err) &&
           ms_query(conn,
                    "SELECT DISTINCT p.object_id FROM sys.partitions AS p"
                    " WHERE p.index_id IN (0, 1) AND p.partition_number > 1",
                    take_partitioned, out, err);
}

void ms_estate_objects_free(struct ms_estate_objects *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        free(self->list[i].schema);
        free(self->list[i].name);
        free(self->list[i].base);
    }
    free(self->list);
    free(self->partitioned);
    *self = (struct ms_estate_objects){0};
}

bool ms_estate_is_partitioned(const struct ms_estate_objects *self, int32_t object_id)
{
    for (uint32_t i = 0; i < self->partitioned_count; i++) {
        if (self->partitioned[i] == object_id)
            return true;
    }
    return false;
}

bool ms_estate_rows(struct ms_conn *conn, const struct ms_catalog_table *table, int64_t *out,
                    struct error *err)
{
    struct buffer sql = {0};
    buffer_puts(&sql, "SELECT COUNT_BIG(*) FROM ");
    ms_sql_qualified(&sql, table->schema, table->name);
    bool ok = ms_query_int(conn, buffer_text(&sql), out, err);
    buffer_free(&sql);
    return ok;
}
