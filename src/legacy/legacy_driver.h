/* SPDX-License-Identifier: PostgreSQL
 *
 * What an engine gives to the list in legacy.c.
 */
#ifndef LEGACY_LEGACY_DRIVER_H
#define LEGACY_LEGACY_DRIVER_H

#include "legacy/legacy.h"

struct legacy_driver {
    bool (*start)(struct error *err);                                        /* may be NULL */
    void (*install_script)(const struct config *config, struct buffer *out); /* may be NULL */
    bool (*open)(const struct legacy_options *options, struct legacy **out, struct error *err);
    bool (*copy_open)(const struct legacy_options *options, struct legacy_copy **out, struct error *err);
};

/* A table that was streamed, or is being copied, and was not captured (`what`): what was written to it
 * meanwhile never comes, and nobody can say what that was. Any other is let be. */
MUST_CHECK bool legacy_note_hole(const struct legacy_notes *notes, const struct table *table,
                                 const char *what, struct error *err);

extern const struct legacy_driver legacy_pgsql;
extern const struct legacy_driver legacy_mssql;

#endif
