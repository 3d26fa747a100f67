/* SPDX-License-Identifier: PostgreSQL
 *
 * What an engine gives to the list in legacy.c.
 */
#ifndef LEGACY_LEGACY_DRIVER_H
#define LEGACY_LEGACY_DRIVER_H

#include "legacy/legacy.h"

struct legacy_driver {
    bool (*open)(const struct legacy_options *options, struct legacy **out, struct error *err);
    bool (*copy_open)(const struct legacy_options *options, struct legacy_copy **out, struct error *err);
};

extern const struct legacy_driver legacy_pgsql;

#endif
