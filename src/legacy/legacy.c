/* SPDX-License-Identifier: PostgreSQL */
#include "legacy/legacy.h"

#include <stdlib.h>

#include "base/mem.h"
#include "legacy/legacy_driver.h"

/* The one list of engines, by legacy.kind. */
static const struct legacy_driver *const drivers[] = {
    [LEGACY_POSTGRESQL] = &legacy_pgsql,
    [LEGACY_SQLSERVER] = NULL,
    [LEGACY_CSV] = NULL,
};

static const struct legacy_driver *find(const struct config *config, struct error *err)
{
    const struct legacy_driver *driver = drivers[config->legacy_kind];
    if (!driver)
        error_set(err, ERROR_REFUSED, "this kind of legacy is not available in this version");
    return driver;
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
