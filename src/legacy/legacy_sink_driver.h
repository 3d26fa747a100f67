/* SPDX-License-Identifier: PostgreSQL
 *
 * What an engine gives to the list in legacy_sink.c.
 */
#ifndef LEGACY_LEGACY_SINK_DRIVER_H
#define LEGACY_LEGACY_SINK_DRIVER_H

#include "legacy/legacy_sink.h"

struct legacy_sink_driver {
    bool (*open)(const struct legacy_options *options, struct legacy_sink **out, struct error *err);
    void (*script)(const struct config *config, struct buffer *out); /* may be NULL */
};

extern const struct legacy_sink_driver legacy_sink_pgsql;
extern const struct legacy_sink_driver legacy_sink_mssql;

#endif
