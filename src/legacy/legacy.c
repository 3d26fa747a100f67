/* SPDX-License-Identifier: PostgreSQL */
#include "legacy/legacy.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "config.h"
#include "legacy/legacy_driver.h"

/* The one list of engines, by legacy.kind. */
static const struct legacy_driver *const drivers[] = {
    [LEGACY_POSTGRESQL] = &legacy_pgsql,
#ifdef HAVE_FREETDS
    [LEGACY_SQLSERVER] = &legacy_mssql,
#else
    [LEGACY_SQLSERVER] = NULL,
#endif
    [LEGACY_CSV] = NULL,
};

static const struct legacy_driver *find(const struct config *config, struct error *err)
{
    const struct legacy_driver *driver = drivers[config->legacy_kind];
    if (!driver)
        error_set(err, ERROR_REFUSED, "this kind of legacy is not available in this version");
    return driver;
}

bool legacy_start(const struct config *config, struct error *err)
{
    const struct legacy_driver *driver = find(config, err);
    return driver && (!driver->start || driver->start(err));
}

void legacy_install_script(const struct config *config, struct buffer *out)
{
    const struct legacy_driver *driver = drivers[config->legacy_kind];
    if (driver && driver->install_script)
        driver->install_script(config, out);
}

bool legacy_open(const struct legacy_options *options, struct legacy **out, struct error *err)
{
    const struct legacy_driver *driver = find(options->config, err);
    *out = NULL;
    return driver && driver->open(options, out, err);
}

void legacy_close(struct legacy *self)
{
    if (self)
        self->ops->close(self);
}

bool legacy_copy_open(const struct legacy_options *options, struct legacy_copy **out, struct error *err)
{
    const struct legacy_driver *driver = find(options->config, err);
    *out = NULL;
    return driver && driver->copy_open(options, out, err);
}

void legacy_copy_close(struct legacy_copy *self)
{
    if (self)
        self->ops->close(self);
}

bool legacy_note_hole(const struct legacy_notes *notes, const struct table *table, const char *what,
                      struct error *err)
{
    static const char sql[] =
        "SELECT crossfade.state_put($1, $2, object, 'needs_recopy', 'true'),"
        "       crossfade.state_put($1, $2, object, 'state', jsonb_build_object('state', 'stopped', 'reason',"
        "         $4::text || ': changes are missing - crossfade recopy --table ' || $3::text))"
        "  FROM crossfade.state WHERE pipeline = $1 AND object = 'table:' || $3::text AND key = 'state'"
        "   AND (value ->> 'state' <> 'init' OR EXISTS (SELECT FROM crossfade.chunk c"
        "        WHERE c.pipeline = $1 AND c.table_name = $3))";
    char epoch[24];
    snprintf(epoch, sizeof(epoch), "%lld", (long long)notes->epoch);
    const char *params[] = {notes->config->pipeline, epoch, table->from, what};
    PGresult *r = pg_query(notes->target, sql, 4, params, err);
    if (!r)
        return false;
    struct log_fields fields = {.table = table->from};
    if (PQntuples(r) > 0)
        log_write(notes->log, LOG_LEVEL_ERROR, &fields,
                  "%s: changes are missing - crossfade recopy --table %s", what, table->from);
    PQclear(r);
    return true;
}

void legacy_rows_init(struct legacy_rows *self, size_t count, uint16_t column_count)
{
    *self = (struct legacy_rows){.arena = arena_new(), .count = count};
    self->key = arena_alloc(self->arena, (count + 1) * sizeof(*self->key));
    self->values = arena_alloc(self->arena, (count * column_count + 1) * sizeof(*self->values));
}

void legacy_rows_free(struct legacy_rows *self)
{
    arena_free(self->arena);
    *self = (struct legacy_rows){0};
}
