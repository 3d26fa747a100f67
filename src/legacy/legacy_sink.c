/* SPDX-License-Identifier: PostgreSQL */
#include "legacy/legacy_sink.h"

#include "config.h"
#include "legacy/legacy_sink_driver.h"
#include "pgsql/pg_sink.h"

/* The one list of engines that are written to, by legacy.kind. */
static const struct legacy_sink_driver *const drivers[] = {
    [LEGACY_POSTGRESQL] = &legacy_sink_pgsql,
#ifdef HAVE_FREETDS
    [LEGACY_SQLSERVER] = &legacy_sink_mssql,
#else
    [LEGACY_SQLSERVER] = NULL,
#endif
    [LEGACY_CSV] = NULL,
};

const struct legacy_sink_waits legacy_sink_target = {.drain = pg_sink_drain_parked,
                                                     .forget = pg_sink_forget_parked,
                                                     .retry = pg_sink_retry_quarantine,
                                                     .skip = pg_sink_skip_quarantine};

bool legacy_sink_open(const struct legacy_options *options, struct legacy_sink **out, struct error *err)
{
    const struct legacy_sink_driver *driver = drivers[options->config->legacy_kind];
    *out = NULL;
    if (!driver)
        return error_set(err, ERROR_REFUSED,
                         "the reverse direction into this kind of legacy is not available in this version");
    return driver->open(options, out, err);
}

void legacy_sink_close(struct legacy_sink *self)
{
    if (self)
        self->ops->close(self);
}

void legacy_sink_script(const struct config *config, struct buffer *out)
{
    const struct legacy_sink_driver *driver = drivers[config->legacy_kind];
    if (driver && driver->script)
        driver->script(config, out);
}
