/* SPDX-License-Identifier: PostgreSQL
 *
 * Which table comes before which, and which lane carries it. Part of pairing. Pure.
 */
#ifndef PGSQL_PAIR_ORDER_H
#define PGSQL_PAIR_ORDER_H

#include "pgsql/pair_type.h"

/* Sets rank (parents before children, over the foreign keys of both sides; a cycle's members follow each
 * other in some order) and lane. `lanes` 0 is automatic. Returns the number of lanes used, at least 1. */
int pair_order(const struct pair_sides *sides, struct table_set *tables, int lanes);

#endif
