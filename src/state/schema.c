/* SPDX-License-Identifier: PostgreSQL
 *
 * Installs crossfade's own objects in the target. The script is a string literal that the build makes from
 * schema.sql (schema_sql.h). It is sent as one simple query inside an explicit transaction: it either is
 * there as a whole or not at all, and two that install at once wait for each other.
 */
#include "state/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgsql/sql.h"
#include "src/state/schema_sql.h"

/* Any constant will do: "cfschema" in ASCII. */
#define INSTALL_LOCK "7162258760691377505"

const char *schema_sql(void)
{
    return schema_sql_text;
}

void schema_grants(struct buffer *out, const char *role)
{
    static const char *const rights[] = {"USAGE ON SCHEMA",
                                         "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA",
                                         "EXECUTE ON ALL FUNCTIONS IN SCHEMA"};
    for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
        buffer_printf(out, "GRANT %s crossfade TO ", rights[i]);
        sql_ident(out, role);
        buffer_puts(out, ";\n");
    }
}

static bool explain_rights(struct error *err)
{
    size_t used = strlen(err->text);
    if (strcmp(err->code, "42501") == 0)
        snprintf(err->text + used, sizeof(err->text) - used,
                 " - have an administrator run what `crossfade install --print` prints");
    return false;
}

bool schema_version(struct pg_conn *target, int *version, struct error *err)
{
    char text[16];
    bool none;
    *version = 0;
    if (!pg_query_one(target, "SELECT pg_catalog.to_regclass('crossfade.version')", 0, NULL, text,
                      sizeof(text), &none, err))
        return explain_rights(err);
    if (none)
        return true;
    if (!pg_query_one(target, "SELECT coalesce(max(version), 0) FROM crossfade.version", 0, NULL, text,
                      sizeof(text), NULL, err))
        return explain_rights(err);
    *version = atoi(text);
    return true;
}

static bool install_locked(struct pg_conn *target, struct error *err)
{
    int version;
    if (!pg_exec(target, "SET LOCAL client_min_messages = warning", err) ||
        !pg_exec(target, "SELECT pg_catalog.pg_advisory_xact_lock(" INSTALL_LOCK ")", err) ||
        !schema_version(target, &version, err))
        return false;
    return version >= SCHEMA_VERSION || pg_exec(target, schema_sql_text, err);
}

bool schema_install(struct pg_conn *target, struct error *err)
{
    int version;
    if (!schema_version(target, &version, err))
        return false;
    if (version > SCHEMA_VERSION)
        return error_set(
            err, ERROR_FATAL,
            "schema crossfade in the target has version %d, this program knows %d - a newer crossfade "
            "has run here - use that one",
            version, SCHEMA_VERSION);
    if (version == SCHEMA_VERSION)
        return true;
    if (!pg_exec(target, "BEGIN ISOLATION LEVEL READ COMMITTED", err))
        return false;
    if (!install_locked(target, err)) {
        struct error second;
        if (!pg_exec(target, "ROLLBACK", &second))
            err->kind = ERROR_RETRY; /* the link is gone, whatever else was wrong */
        (void)error_prefix(err, "installing schema crossfade");
        return explain_rights(err);
    }
    return pg_exec(target, "COMMIT", err);
}
