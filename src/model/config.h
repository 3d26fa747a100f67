/* SPDX-License-Identifier: PostgreSQL
 *
 * The configuration of one pipeline, read, checked and with defaults filled in. Immutable; SIGHUP reads a
 * new one and config_reload moves over what may change.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"

enum legacy_kind { LEGACY_POSTGRESQL, LEGACY_SQLSERVER, LEGACY_CSV };
/* In what order: config_options.c. */
enum capture_kind {
    CAPTURE_LOGICAL,
    CAPTURE_TIMESTAMP,
    CAPTURE_SNAPSHOT,
    CAPTURE_CDC,
    CAPTURE_CHANGE_TRACKING,
    CAPTURE_ROWVERSION
};
enum sqlserver_auth { SQLSERVER_AUTH_SQL, SQLSERVER_AUTH_KERBEROS, SQLSERVER_AUTH_NTLM };
enum sqlserver_encrypt { SQLSERVER_REQUIRE, SQLSERVER_REQUEST, SQLSERVER_OFF, SQLSERVER_STRICT };
enum names_rule { NAMES_AS_IS, NAMES_SNAKE_CASE };
enum existing_rule { EXISTING_REFUSE, EXISTING_UPSERT, EXISTING_TRUNCATE };
enum index_rule { INDEXES_DEFER, INDEXES_KEEP };
enum group_direction { DIRECTION_FORWARD, DIRECTION_REVERSE, DIRECTION_BOTH };
/* What becomes of characters that PostgreSQL has not. */
enum bad_text { BAD_TEXT_REFUSE, BAD_TEXT_STRIP, BAD_TEXT_REPLACE };

/* What is made of a SQL Server's values; what an entry leaves out is its table's, then the pipeline's. */
struct config_values {
    enum bad_text bad_text;
    bool trim_blanks; /* char and nchar into text and varchar without trailing blanks */
    bool trim_stated; /* by this entry itself */
    char *time_zone;  /* of naive date-times that go into timestamptz; NULL: none is stated */
};

struct config_column {
    char *name; /* the legacy's, as written */
    struct config_values values;
    int line;
};

struct config_table {
    char *from;  /* as written: "public.students" or "students" */
    char *to;    /* NULL: by `names` and `schemas` */
    char *group; /* of `groups` or its own `group`; NULL: default */
    char **key;  /* NULL: from the catalog */
    int key_count;
    enum existing_rule existing; /* the pipeline's unless given */
    enum capture_kind capture;   /* the same */
    char *updated_at;            /* capture timestamp: the column of the last change, else NULL */
    char *soft_delete;           /* capture timestamp: the column that marks a row as deleted; NULL: none */
    int64_t overlap_ms;          /* capture timestamp: how far behind the newest each poll reads again */
    struct config_values values;
    struct config_column *columns; /* those with values of their own */
    int column_count;
    int line; /* where in the file, for messages */
};

/* Those of `groups`, then those that only `tables[].group` names. */
struct config_group {
    char *name;
    char **tables; /* as written under `groups`; tables[].group is not added here */
    int table_count;
    enum group_direction direction;
    bool following_writable;
};

/* Where a SQL Server is and how to log in. */
struct config_sqlserver {
    char *host;   /* NULL with `server` */
    int port;     /* 0: 1433, or what the section of `server` says */
    char *server; /* a section of the user's freetds.conf; NULL: none */
    char *database;
    char *user;     /* NULL with kerberos */
    char *password; /* secret; NULL with kerberos */
    enum sqlserver_auth auth;
    char *spn; /* NULL: the library's MSSQLSvc/host:port */
    enum sqlserver_encrypt encrypt;
    char *ca;                      /* a file of CA certificates; NULL: the system's */
    bool hostname;                 /* the certificate must carry the host's name */
    bool trust_server_certificate; /* it is not looked at */
};

struct config_schema {
    char *from;
    char *to;
};

struct config {
    char *path;
    char *pipeline;
    enum legacy_kind legacy_kind;
    /* In keyword form, each value quoted, the password of legacy.password appended: secret, not for logs. */
    char *legacy_conninfo;
    char *legacy_slot; /* never NULL: crossfade_<pipeline> unless given */
    char *legacy_publication;
    enum capture_kind legacy_capture;
    struct config_sqlserver sqlserver; /* of legacy_kind LEGACY_SQLSERVER */
    struct config_values values;       /* the same; those of tables without their own */
    char *target_conninfo;
    char *target_slot; /* of the reverse stream: crossfade_<pipeline>_reverse unless given */
    char *target_publication;
    char *redis_url;      /* redis://host[:port][/db] or unix:/path, checked; NULL: no mirror */
    char *redis_password; /* NULL: none */
    char *http_listen;    /* "127.0.0.1:8480"; NULL: off */

    bool all_tables;
    struct config_table *tables;
    int table_count;
    enum names_rule names;
    struct config_schema *schemas;
    int schema_count;
    struct config_group *groups;
    int group_count;

    int backfill_workers;
    int64_t backfill_chunk_rows; /* 0: by size */
    int64_t backfill_rate_limit; /* bytes/s, 0: none; reloadable */
    enum existing_rule backfill_existing;
    enum index_rule backfill_indexes;
    int64_t stream_batch_changes;
    int64_t stream_poll_interval_ms;
    int stream_lanes; /* 0: automatic */
    int64_t lease_ttl_ms;
    int64_t memory_limit;
    int64_t park_limit;
    int64_t quarantine_limit;
    double max_deletes;
    int64_t value_limit;
    int64_t connect_timeout_ms;
    enum log_level log_level; /* reloadable */
    enum log_format log_format;
};

/* Reads the file. All problems are collected in the order of lines, one a line, "file:line: key: text -
 * allowed …", into `problems` (which may be NULL); false (ERROR_CONFIG, text = the first) if there is any.
 * Files of more than 1 MB are refused unread. */
MUST_CHECK bool config_read(const char *path, struct config **out, struct buffer *problems,
                            struct error *err);
/* The same from memory, for tests and the fuzzer; `path` only for messages. Secrets are resolved too. */
MUST_CHECK bool config_parse(const char *path, const char *text, size_t length, struct config **out,
                             struct buffer *problems, struct error *err);

/* True if the pipeline streams from the target to the legacy: all its groups' direction is "reverse". */
bool config_is_reverse(const struct config *self);
/* May a table of this group stream in the pipeline's direction? A group that `groups` does not have is
 * "forward". */
bool config_group_fits(const struct config *self, const char *group);

void config_free(struct config *self); /* overwrites what is secret; NULL is fine */

/* What differs between two configs: reloadable keys into `changed` ("key: old -> new"), others into
 * `ignored`, one a line. Secrets are compared, not shown. */
void config_diff(const struct config *old, const struct config *new, struct buffer *changed,
                 struct buffer *ignored);

/* The option table as text, one line an option, its fields between tabs: key, type, unit, default, allowed,
 * "reload" or "restart", help ("-" where there is none); for --help and for the check that the man page lists
 * each. */
void config_describe(struct buffer *out);

#endif
