/* SPDX-License-Identifier: PostgreSQL
 *
 * The status document (DESIGN.md section 9) from what is stored, for when no replicator answers over HTTP.
 * What only a running one knows is null: rates, conflicts, lag in ms, what was received; role is null if
 * nobody holds the lease.
 */
#ifndef CONTROL_STATUS_SQL_H
#define CONTROL_STATUS_SQL_H

#include <cjson/cJSON.h>

#include "model/config.h"

MUST_CHECK bool status_sql(const struct config *config, cJSON **out, struct error *err);

#endif
