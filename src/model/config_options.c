/* SPDX-License-Identifier: PostgreSQL
 *
 * The one table of options: the reader, defaults, messages, `--help`, the comparison on SIGHUP and the
 * check of the manual are all driven by it. A key that is not here does not exist.
 */
#include "model/config_internal.h"

#include <string.h>

#include "base/units.h"

#define KB               INT64_C(1024)
#define MB               (1024 * KB)
#define GB               (1024 * MB)
#define TB               (1024 * GB)
#define SECOND           INT64_C(1000)
#define HOUR             (3600 * SECOND)
#define AT(field)        .offset = offsetof(struct config, field)
#define TABLE_AT(field)  .offset = offsetof(struct config_table, field)
#define COLUMN_AT(field) .offset = offsetof(struct config_column, field)
#define GROUP_AT(field)  .offset = offsetof(struct config_group, field)
#define NOWHERE          .offset = OPTION_NOWHERE

_Static_assert(sizeof(enum log_level) == sizeof(int), "enums are stored as int");
_Static_assert(offsetof(struct config_table, key_count) ==
                   offsetof(struct config_table, key) + sizeof(char **),
               "the count of a list stands behind it");
_Static_assert(offsetof(struct config_group, table_count) ==
                   offsetof(struct config_group, tables) + sizeof(char **),
               "the count of a list stands behind it");

/* In the order of the enums in config.h and log.h. */
static const char *const kinds[] = {"postgresql", "sqlserver", "csv", NULL};
static const char *const captures[] = {"logical",         "timestamp",  "snapshot", "cdc",
                                       "change_tracking", "rowversion", NULL};
static const char *const auths[] = {"sql", "kerberos", "ntlm", NULL};
static const char *const encrypts[] = {"require", "request", "off", "strict", NULL};
static const char *const name_rules[] = {"as_is", "snake_case", NULL};
static const char *const existing_rules[] = {"refuse", "upsert", "truncate", NULL};
static const char *const bad_texts[] = {"refuse", "strip", "replace", NULL};
static const char *const index_rules[] = {"defer", "keep", NULL};
static const char *const directions[] = {"forward", "reverse", "both", NULL};
static const char *const levels[] = {"debug", "info", "warning", "error", NULL};
static const char *const formats[] = {"text", "json", "journal", "auto", NULL};

const struct option config_options[] = {
    {"pipeline", OPTION_NAME, .required = true, AT(pipeline),
     .help = "the pipeline's name, part of every name we create"},

    {"legacy", OPTION_SECTION, .required = true, NOWHERE, .help = "the database to leave"},
    {"legacy.kind", OPTION_ENUM, .initial = "postgresql", .names = kinds, .runs = 2, AT(legacy_kind),
     .help = "what the legacy is"},
    {"legacy.conninfo", OPTION_CONNINFO, .kinds = FOR_POSTGRESQL, NOWHERE,
     .help = "libpq connection string, without password; required for kind postgresql"},
    {"legacy.password", OPTION_SECRET, .kinds = FOR_POSTGRESQL | FOR_SQLSERVER, NOWHERE,
     .shown = "PGPASSFILE or the service file", .help = "where the password is kept"},
    {"legacy.capture", OPTION_ENUM, .shown = "logical, or cdc for kind sqlserver", .names = captures,
     .kinds = FOR_POSTGRESQL | FOR_SQLSERVER, AT(legacy_capture), .help = "how changes are read"},
    {"legacy.slot", OPTION_SLOT, .shown = "crossfade_<pipeline>", .kinds = FOR_POSTGRESQL, AT(legacy_slot),
     .help = "replication slot of the forward stream"},
    {"legacy.publication", OPTION_IDENTIFIER, .shown = "crossfade_<pipeline>", .kinds = FOR_POSTGRESQL,
     AT(legacy_publication), .help = "publication of the forward stream"},
    {"legacy.host", OPTION_TEXT, .kinds = FOR_SQLSERVER, AT(sqlserver.host), .help = "SQL Server's host"},
    {"legacy.port", OPTION_INT, .shown = "1433", .min = 1, .max = 65535, .kinds = FOR_SQLSERVER,
     AT(sqlserver.port), .help = "SQL Server's port, that of the instance if it is a named one"},
    {"legacy.server", OPTION_TEXT, .kinds = FOR_SQLSERVER, AT(sqlserver.server),
     .help = "a server of your freetds.conf, in place of the host"},
    {"legacy.database", OPTION_TEXT, .kinds = FOR_SQLSERVER, AT(sqlserver.database),
     .help = "SQL Server database"},
    {"legacy.user", OPTION_TEXT, .kinds = FOR_SQLSERVER, AT(sqlserver.user), .help = "SQL Server login"},
    {"legacy.auth", OPTION_ENUM, .initial = "sql", .names = auths, .kinds = FOR_SQLSERVER, AT(sqlserver.auth),
     .help = "how to log in to SQL Server"},
    {"legacy.spn", OPTION_TEXT, .shown = "MSSQLSvc/host:port", .kinds = FOR_SQLSERVER, AT(sqlserver.spn),
     .help = "service principal name, for auth kerberos"},
    {"legacy.encrypt", OPTION_ENUM, .initial = "require", .names = encrypts, .kinds = FOR_SQLSERVER,
     AT(sqlserver.encrypt), .help = "encryption of the link to SQL Server"},
    {"legacy.ca", OPTION_TEXT, .shown = "the system's", .kinds = FOR_SQLSERVER, AT(sqlserver.ca),
     .help = "file of the certificates that SQL Server's is verified with"},
    {"legacy.hostname", OPTION_BOOL, .initial = "true", .kinds = FOR_SQLSERVER, AT(sqlserver.hostname),
     .help = "whether the certificate must be for the host's name"},
    {"legacy.trust_server_certificate", OPTION_BOOL, .initial = "false", .kinds = FOR_SQLSERVER,
     AT(sqlserver.trust_server_certificate), .help = "whether any certificate is good"},
    {"legacy.time_zone", OPTION_TEXT, .shown = "none", .kinds = FOR_SQLSERVER, AT(values.time_zone),
     .help =
         "zone of date-times without one, where the target has timestamptz; one of its pg_timezone_names"},
    {"legacy.bad_text", OPTION_ENUM, .initial = "refuse", .names = bad_texts, .kinds = FOR_SQLSERVER,
     AT(values.bad_text), .help = "what becomes of NUL characters and halves of surrogate pairs"},
    {"legacy.trim_blanks", OPTION_BOOL, .initial = "false", .kinds = FOR_SQLSERVER, AT(values.trim_blanks),
     .help = "whether char and nchar lose their trailing blanks in text and varchar"},
    {"legacy.directory", OPTION_TEXT, .kinds = FOR_CSV, NOWHERE, .help = "where CSV files are delivered"},

    {"target", OPTION_SECTION, .required = true, NOWHERE, .help = "the database to reach, always PostgreSQL"},
    {"target.conninfo", OPTION_CONNINFO, .required = true, NOWHERE,
     .help = "libpq connection string, without password"},
    {"target.password", OPTION_SECRET, .shown = "PGPASSFILE or the service file", NOWHERE,
     .help = "where the password is kept"},
    {"target.slot", OPTION_SLOT, .shown = "crossfade_<pipeline>_reverse", AT(target_slot),
     .help = "replication slot of the reverse stream"},
    {"target.publication", OPTION_IDENTIFIER, .shown = "crossfade_<pipeline>_reverse", AT(target_publication),
     .help = "publication of the reverse stream"},

    {"redis", OPTION_SECTION, .nullable = true, NOWHERE,
     .help = "the mirror that people and programs read; absent or null: none"},
    {"redis.url", OPTION_REDIS, .required = true, AT(redis_url),
     .help = "redis://host:port/db or unix:/path"},
    {"redis.password", OPTION_SECRET, NOWHERE, .help = "where the password is kept"},

    {"http", OPTION_SECTION, .nullable = true, NOWHERE, .help = "health, status and metrics; null: off"},
    {"http.listen", OPTION_LISTEN, .initial = "127.0.0.1:8480", .nullable = true, AT(http_listen),
     .help = "address and port; empty or null: off"},

    {"tables", OPTION_TABLES, .shown = "all", NOWHERE,
     .help = "which tables, \"all\" or a list of names and entries"},
    {"tables[].from", OPTION_TEXT, .required = true, TABLE_AT(from),
     .help = "the legacy's table, schema.name"},
    {"tables[].to", OPTION_TEXT, .shown = "by names and schemas", TABLE_AT(to),
     .help = "the target's table, schema.name"},
    {"tables[].group", OPTION_NAME, .shown = "default", TABLE_AT(group),
     .help = "the group it is cut over with"},
    {"tables[].key", OPTION_TEXTS, .shown = "replica identity or primary key", TABLE_AT(key),
     .help = "columns by which rows are found"},
    {"tables[].existing", OPTION_ENUM, .shown = "backfill.existing", .names = existing_rules,
     TABLE_AT(existing), .help = "what to do when the target table holds rows"},
    {"tables[].capture", OPTION_ENUM, .shown = "legacy.capture", .names = captures, TABLE_AT(capture),
     .help = "how changes of this table are read"},
    {"tables[].updated_at", OPTION_TEXT, TABLE_AT(updated_at),
     .help = "capture timestamp: the column with the time of the last change"},
    {"tables[].overlap", OPTION_DURATION, .initial = "2h", .min = 0, .max = 7 * 24 * HOUR,
     TABLE_AT(overlap_ms), .help = "capture timestamp: how far behind the newest time each poll reads again"},
    {"tables[].soft_delete", OPTION_TEXT, TABLE_AT(soft_delete),
     .help = "capture timestamp: the column that marks a row as deleted"},
    {"tables[].time_zone", OPTION_TEXT, .shown = "legacy.time_zone", .kinds = FOR_SQLSERVER,
     TABLE_AT(values.time_zone), .help = "zone of the table's date-times without one"},
    {"tables[].bad_text", OPTION_ENUM, .shown = "legacy.bad_text", .names = bad_texts, .kinds = FOR_SQLSERVER,
     TABLE_AT(values.bad_text), .help = "what becomes of NUL characters and halves of surrogate pairs there"},
    {"tables[].trim_blanks", OPTION_BOOL, .shown = "legacy.trim_blanks", .kinds = FOR_SQLSERVER,
     TABLE_AT(values.trim_blanks), .help = "whether its char and nchar lose their trailing blanks"},
    {"tables[].values", OPTION_COLUMNS, .shown = "as the table", .kinds = FOR_SQLSERVER, NOWHERE,
     .help = "the same for single columns, by the legacy's name"},
    {"tables[].values.*.time_zone", OPTION_TEXT, .shown = "tables[].time_zone", COLUMN_AT(values.time_zone),
     .help = "zone of the column's date-times"},
    {"tables[].values.*.bad_text", OPTION_ENUM, .shown = "tables[].bad_text", .names = bad_texts,
     COLUMN_AT(values.bad_text),
     .help = "what becomes of NUL characters and halves of surrogate pairs in it"},
    {"tables[].values.*.trim_blanks", OPTION_BOOL, .shown = "tables[].trim_blanks",
     COLUMN_AT(values.trim_blanks), .help = "whether the column loses its trailing blanks"},
    {"tables[].where", OPTION_LATER, NOWHERE, .help = "which rows belong in the target"},
    {"tables[].columns", OPTION_LATER, NOWHERE, .help = "the target's columns as expressions"},
    {"tables[].each", OPTION_LATER, NOWHERE, .help = "one row becomes a set of rows"},
    {"mapping", OPTION_LATER, NOWHERE, .help = "a file with the tables"},
    {"names", OPTION_ENUM, .initial = "as_is", .names = name_rules, AT(names),
     .help = "how names of the legacy become names of the target"},
    {"schemas", OPTION_SCHEMAS, .shown = "the same", NOWHERE,
     .help = "schemas of the legacy and of the target"},
    {"groups", OPTION_GROUPS, .shown = "one, named default", NOWHERE,
     .help = "tables that are cut over together"},
    {"groups.*.tables", OPTION_TEXTS, .shown = "those whose entry names it", GROUP_AT(tables),
     .help = "the group's tables"},
    {"groups.*.direction", OPTION_ENUM, .initial = "forward", .names = directions, .runs = 2,
     GROUP_AT(direction), .help = "the first direction; after that the switch decides"},
    {"groups.*.following", OPTION_LATER, NOWHERE, .help = "whether others may write to the following side"},

    {"backfill", OPTION_SECTION, NOWHERE, .help = "the bulk copy"},
    {"backfill.workers", OPTION_INT, .initial = "2", .min = 1, .max = 64, AT(backfill_workers),
     .help = "copies at a time, each with a connection to both sides"},
    {"backfill.chunk_rows", OPTION_COUNT, .initial = "0", .min = 0, .max = 1000000000,
     AT(backfill_chunk_rows), .help = "rows of a chunk; 0: by size"},
    {"backfill.rate_limit", OPTION_SIZE, .initial = "0", .min = 0, .max = TB, .reloadable = true,
     AT(backfill_rate_limit), .help = "bytes a second of all workers; 0: none"},
    {"backfill.existing", OPTION_ENUM, .initial = "refuse", .names = existing_rules, AT(backfill_existing),
     .help = "what to do when a target table holds rows"},
    {"backfill.indexes", OPTION_ENUM, .initial = "defer", .names = index_rules, AT(backfill_indexes),
     .help = "build secondary indexes, exclusion constraints and foreign keys after the copy, or keep them"},

    {"stream", OPTION_SECTION, NOWHERE, .help = "the stream of changes"},
    {"stream.batch_changes", OPTION_COUNT, .initial = "50000", .min = 1, .max = 10000000,
     AT(stream_batch_changes), .help = "a lane commits at the latest after so many changes"},
    {"stream.poll_interval", OPTION_DURATION, .initial = "1s", .min = 10, .max = HOUR,
     AT(stream_poll_interval_ms), .help = "pause between two polls of captures that poll"},
    {"stream.lanes", OPTION_INT, .initial = "0", .min = 0, .max = 64, AT(stream_lanes),
     .help = "apply connections; 0: automatic"},
    {"reconcile", OPTION_LATER, NOWHERE, .help = "the nightly comparison"},

    {"lease_ttl", OPTION_DURATION, .initial = "10s", .min = SECOND, .max = HOUR, AT(lease_ttl_ms),
     .help = "age at which another replicator may take the pipeline over"},
    {"memory_limit", OPTION_SIZE, .initial = "256MB", .min = 16 * MB, .max = TB, AT(memory_limit),
     .help = "ceiling of the changes held in memory"},
    {"park_limit", OPTION_SIZE, .initial = "10GB", .min = MB, .max = 1024 * TB, AT(park_limit),
     .help = "parked changes beyond which a table must be copied again"},
    {"quarantine_limit", OPTION_COUNT, .initial = "1000", .min = 0, .max = 1000000000, AT(quarantine_limit),
     .help = "quarantined rows of a table beyond which it stops"},
    {"max_deletes", OPTION_RATIO, .initial = "0.01", .min = 0, .max = 1, AT(max_deletes),
     .help = "share of a table's rows beyond which a key sweep deletes nothing"},
    {"value_limit", OPTION_SIZE, .initial = "256MB", .min = KB, .max = 1023 * MB, AT(value_limit),
     .help = "largest value that is carried"},
    {"connect_timeout", OPTION_DURATION, .initial = "10s", .min = 100, .max = HOUR, AT(connect_timeout_ms),
     .help = "wait for a server"},

    {"log", OPTION_SECTION, NOWHERE, .help = "the log"},
    {"log.level", OPTION_ENUM, .initial = "info", .names = levels, .reloadable = true, AT(log_level),
     .help = "the least level that is logged"},
    {"log.format", OPTION_ENUM, .initial = "auto", .names = formats, AT(log_format),
     .help = "auto: journal when stderr is the journal, else text"},
    {.path = NULL},
};

static const char *type_name(enum option_type type)
{
    static const char *const names[] = {"section",         "name",     "slot name", "identifier", "string",
                                        "list of strings", "conninfo", "secret",    "url",        "address",
                                        "integer",         "integer",  "size",      "duration",   "ratio",
                                        "boolean",         "enum",     "tables",    "groups",     "schemas",
                                        "columns",         "later"};
    return names[type];
}

static const char *unit_name(enum option_type type)
{
    if (type == OPTION_SIZE)
        return "B, kB, MB, GB, TB";
    return type == OPTION_DURATION ? "ms, s, min, h, d" : "-";
}

void config_allowed_names(const struct option *option, struct buffer *out)
{
    for (int i = 0; option->names[i] && (option->runs == 0 || i < option->runs); i++)
        buffer_printf(out, "%s%s", i ? ", " : "", option->names[i]);
}

static void describe_allowed(const struct option *o, struct buffer *out)
{
    char low[UNITS_TEXT_SIZE];
    char high[UNITS_TEXT_SIZE];
    switch (o->type) {
    case OPTION_ENUM:
        config_allowed_names(o, out);
        break;
    case OPTION_INT:
    case OPTION_COUNT:
    case OPTION_RATIO:
        buffer_printf(out, "%lld to %lld", (long long)o->min, (long long)o->max);
        break;
    case OPTION_SIZE:
        buffer_printf(out, "%s to %s", units_format_size(o->min, low), units_format_size(o->max, high));
        break;
    case OPTION_DURATION:
        buffer_printf(out, "%s to %s", units_format_duration(o->min, low),
                      units_format_duration(o->max, high));
        break;
    case OPTION_NAME:
        buffer_puts(out, "[a-z][a-z0-9_]{0,30}");
        break;
    case OPTION_SLOT:
        buffer_puts(out, "[a-z0-9_]{1,63}");
        break;
    case OPTION_BOOL:
        buffer_puts(out, "true, false");
        break;
    case OPTION_SECRET:
        buffer_puts(out, "env:NAME, file:PATH, credential:NAME");
        break;
    case OPTION_LATER:
        buffer_puts(out, "not available in this version");
        break;
    case OPTION_SECTION:
    case OPTION_IDENTIFIER:
    case OPTION_TEXT:
    case OPTION_TEXTS:
    case OPTION_CONNINFO:
    case OPTION_REDIS:
    case OPTION_LISTEN:
    case OPTION_TABLES:
    case OPTION_GROUPS:
    case OPTION_SCHEMAS:
    case OPTION_COLUMNS:
        buffer_putc(out, '-');
        break;
    }
}

void config_describe(struct buffer *out)
{
    for (const struct option *o = config_options; o->path; o++) {
        const char *initial = o->initial ? o->initial : o->shown;
        if (!initial)
            initial = o->required ? "required" : "-";
        buffer_printf(out, "%s\t%s\t%s\t%s\t", o->path, type_name(o->type), unit_name(o->type), initial);
        describe_allowed(o, out);
        buffer_printf(out, "\t%s\t%s\n", o->reloadable ? "reload" : "restart", o->help);
    }
}
