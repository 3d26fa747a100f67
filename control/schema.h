/* SPDX-License-Identifier: PostgreSQL
 *
 * `crossfade schema`: the DDL of the tables that the target lacks.
 */
#ifndef CONTROL_SCHEMA_H
#define CONTROL_SCHEMA_H

#include <stdio.h>

#include "model/config.h"

/* Prints it; section is "pre", "post" or NULL for both. Nothing is run. Exit status as everywhere. */
int schema_command(const struct config *config, const char *section, FILE *out);

#endif
