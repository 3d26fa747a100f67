/* SPDX-License-Identifier: PostgreSQL */
#include <string.h>

#include "control/command.h"
#include "legacy/legacy_sink.h"
#include "pgsql/sql.h"
#include "state/schema.h"

/* The role that the replicator connects as, from its conninfo. False if that does not name one. */
static bool conninfo_user(const char *conninfo, struct buffer *out)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    for (PQconninfoOption *o = options; o && o->keyword; o++) {
        if (strcmp(o->keyword, "user") == 0 && o->val)
            buffer_puts(out, o->val);
    }
    PQconninfoFree(options);
    return out->length > 0;
}

static int print_install(const struct context *context)
{
    struct buffer role = {0}, grants = {0};
    fprintf(context->out,
            "-- To be run in the target, by a role that may create schemas there.\nBEGIN;\n%s\n",
            schema_sql());
    if (!conninfo_user(context->config->target_conninfo, &role))
        buffer_puts(&role, "the replicator's role");
    fputs("-- Only where somebody else than the replicator's own role has run this:\n", context->out);
    schema_grants(&grants, buffer_text(&role));
    fprintf(context->out, "%sCOMMIT;\n", buffer_text(&grants));
    buffer_clear(&grants);
    if (config_is_reverse(context->config))
        legacy_sink_script(context->config, &grants);
    else
        legacy_install_script(context->config, &grants);
    if (grants.length)
        fprintf(context->out, "\n-- To be run in the legacy database, by its owner.\n%s",
                buffer_text(&grants));
    buffer_free(&role);
    buffer_free(&grants);
    return EXIT_GOOD;
}

/* What has to be there on the legacy side; nothing on a PostgreSQL. */
static bool install_legacy(const struct context *context, struct error *err)
{
    const struct config *c = context->config;
    struct legacy_options o = {
        .config = c, .job = "control", .connect_timeout_ms = (int)c->connect_timeout_ms};
    struct legacy *legacy = NULL;
    struct legacy_sink *sink = NULL;
    bool back = config_is_reverse(c);
    if (c->legacy_kind == LEGACY_POSTGRESQL && !back)
        return true;
    bool ok = legacy_open(&o, &legacy, err) && legacy->control->install(legacy, err);
    ok = ok && (!back || (legacy_sink_open(&o, &sink, err) && sink->ops->install(sink, err)));
    legacy_close(legacy);
    legacy_sink_close(sink);
    if (ok)
        fputs("schema crossfade is in the legacy database\n", context->out);
    return ok;
}

int command_install(const struct context *context)
{
    struct pg_conn target = {0};
    struct error err = {0};
    int before = 0;
    if (context->options.print)
        return print_install(context);
    if (!session_target_bare(context->config, &target, &err))
        return command_fail(&err);
    bool ok = schema_version(&target, &before, &err) && schema_install(&target, &err);
    int status = EXIT_GOOD;
    if (ok)
        fprintf(context->out, "schema crossfade version %d %s in %s\n", SCHEMA_VERSION,
                before == SCHEMA_VERSION ? "was already" : "is now", target.where);
    if (!ok || !install_legacy(context, &err))
        status = command_fail(&err);
    pg_conn_close(&target);
    return status;
}
