/* SPDX-License-Identifier: PostgreSQL */
#include "control/command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "state/schema.h"

enum { STATEMENT_TIMEOUT_MS = 60000, LOCK_TIMEOUT_MS = 10000 };

int command_fail(const struct error *err)
{
    fprintf(stderr, "crossfade: %s\n", err->text);
    int status = error_exit_status(err->kind);
    return status ? status : EXIT_ANSWER_NO;
}

int command_usage(const char *fmt, ...)
{
    va_list ap;
    fputs("crossfade: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

static bool session_open(const struct config *config, const char *conninfo, const char *endpoint,
                         struct pg_conn *out, struct error *err)
{
    struct pg_conn_options options = {.conninfo = conninfo,
                                      .pipeline = config->pipeline,
                                      .job = "control",
                                      .endpoint = endpoint,
                                      .connect_timeout_ms = (int)config->connect_timeout_ms,
                                      .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
                                      .lock_timeout_ms = LOCK_TIMEOUT_MS};
    return pg_conn_open(out, &options, err);
}

bool session_legacy(const struct config *config, struct pg_conn *out, struct error *err)
{
    return session_open(config, config->legacy_conninfo, "legacy", out, err);
}

bool session_target_bare(const struct config *config, struct pg_conn *out, struct error *err)
{
    return session_open(config, config->target_conninfo, "target", out, err);
}

bool session_target(const struct config *config, struct pg_conn *out, struct error *err)
{
    int version;
    if (!session_target_bare(config, out, err))
        return false;
    bool ok = schema_version(out, &version, err);
    if (ok && version != SCHEMA_VERSION)
        ok = version == 0
                 ? error_set(err, ERROR_REFUSED,
                             "target: there is no schema crossfade - run `crossfade install` first")
                 : error_set(err, ERROR_FATAL,
                             "target: schema crossfade has version %d, this program knows %d - %s", version,
                             SCHEMA_VERSION,
                             version < SCHEMA_VERSION ? "run `crossfade install`" : "use the newer program");
    if (!ok)
        pg_conn_close(out);
    return ok;
}

bool session_holder(struct pg_conn *target, const struct config *config, char *holder, size_t size,
                    int64_t *epoch, struct error *err)
{
    char ttl[40];
    snprintf(ttl, sizeof(ttl), "%" PRId64 " ms", config->lease_ttl_ms);
    const char *params[] = {config->pipeline, ttl};
    holder[0] = '\0';
    *epoch = 0;
    PGresult *r = pg_query(
        target,
        "SELECT CASE WHEN heartbeat > clock_timestamp() - $2::interval THEN holder ELSE '' END, epoch"
        " FROM crossfade.lease WHERE pipeline = $1",
        2, params, err);
    if (!r)
        return error_prefix(err, "reading the lease");
    if (PQntuples(r) == 1) {
        snprintf(holder, size, "%s", PQgetvalue(r, 0, 0));
        *epoch = strtoll(PQgetvalue(r, 0, 1), NULL, 10);
    }
    PQclear(r);
    return true;
}
