/* SPDX-License-Identifier: PostgreSQL
 *
 * `crossfade check`: everything that can be known before the first start, one finding a line.
 */
#ifndef CONTROL_CHECK_H
#define CONTROL_CHECK_H

#include <stdio.h>

#include "model/config.h"

/* Runs all checks and prints them as a table, or as JSON. Exit status 0 (ok or warnings), 1 (some fail), 2
 * (the config names tables that can't be understood), 3 (a server can't be reached or refuses us). `data`
 * also scans the rows of columns whose target type is narrower. */
int check_command(const struct config *config, bool data, bool json, FILE *out);

#endif
