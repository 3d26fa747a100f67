/* SPDX-License-Identifier: PostgreSQL
 *
 * What a SQL Server says about itself beyond its catalog: edition, connection, jobs of change data capture,
 * how far they are. Facts only, each group by a statement of its own, because each takes another right;
 * `crossfade check` judges them. Where a right is missing the function is false with ERROR_REFUSED, and the
 * connection can be used on.
 */
#ifndef MSSQL_ESTATE_H
#define MSSQL_ESTATE_H

#include "mssql/catalog.h"

enum ms_edition {
    MS_EDITION_STANDARD = 2,
    MS_EDITION_ENTERPRISE = 3,
    MS_EDITION_EXPRESS = 4,
    MS_EDITION_AZURE_DATABASE = 5,
    MS_EDITION_MANAGED_INSTANCE = 8
};

struct ms_estate_server {
    char edition[132];  /* as the server calls it */
    char objective[64]; /* of an Azure SQL Database: S3, GP_Gen5_2; "" elsewhere */
    char login[132];
    char auth[64];        /* SQL, NTLM, KERBEROS; "" if unknown */
    bool view_state;      /* of the server */
    bool writable;        /* the database, here: not on a readable secondary */
    bool in_group;        /* availability group */
    bool published;       /* transactional or merge replication */
    bool cdc_select;      /* on schema cdc; false too where there is none */
    bool view_definition; /* without it defaults, checks and security policies are not all seen */
};
MUST_CHECK bool ms_estate_server(struct ms_conn *conn, struct ms_estate_server *out, struct error *err);

/* Wall clock in microseconds since 1970, UTC. */
MUST_CHECK bool ms_estate_clock(struct ms_conn *conn, int64_t *out, struct error *err);
/* TRUE or FALSE, of this session. Takes VIEW SERVER STATE. */
MUST_CHECK bool ms_estate_encrypted(struct ms_conn *conn, bool *out, struct error *err);
/* "Running"; "" where it is not known. Takes VIEW SERVER STATE. */
MUST_CHECK bool ms_estate_agent(struct ms_conn *conn, char *out, size_t size, struct error *err);
/* Bytes of a large value that a captured column may be given; -1: any. */
MUST_CHECK bool ms_estate_text_limit(struct ms_conn *conn, int64_t *out, struct error *err);

struct ms_estate_jobs {
    bool capture, cleanup; /* they are there */
    int64_t maxtrans, maxscans, polling_seconds;
    bool continuous;
    int64_t retention_minutes;
};
/* Takes SELECT on msdb.dbo.cdc_jobs. */
MUST_CHECK bool ms_estate_jobs(struct ms_conn *conn, struct ms_estate_jobs *out, struct error *err);

struct ms_estate_capture {
    int64_t age_seconds; /* of the newest entry of cdc.lsn_time_mapping; -1: there is none */
    int64_t error;       /* number of the last error of a log scan, 0: none in the last day */
    char message[600];
    int64_t error_minutes; /* how long ago */
};
/* Takes SELECT on schema cdc. */
MUST_CHECK bool ms_estate_capture(struct ms_conn *conn, struct ms_estate_capture *out, struct error *err);
/* Fills the last error. Takes VIEW DATABASE STATE. */
MUST_CHECK bool ms_estate_capture_errors(struct ms_conn *conn, struct ms_estate_capture *io,
                                         struct error *err);

/* Views and synonyms, and what a synonym stands for. */
struct ms_estate_object {
    char *schema, *name, *base; /* base NULL: a view */
};
struct ms_estate_objects {
    struct ms_estate_object *list;
    uint32_t count;
    int32_t *partitioned; /* object ids of tables with more than one partition */
    uint32_t partitioned_count;
};
MUST_CHECK bool ms_estate_objects(struct ms_conn *conn, struct ms_estate_objects *out, struct error *err);
void ms_estate_objects_free(struct ms_estate_objects *self);
bool ms_estate_is_partitioned(const struct ms_estate_objects *self, int32_t object_id);

/* Rows that this login sees of a table. Reads all of it. */
MUST_CHECK bool ms_estate_rows(struct ms_conn *conn, const struct ms_catalog_table *table, int64_t *out,
                               struct error *err);

#endif
