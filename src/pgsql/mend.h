/* SPDX-License-Identifier: PostgreSQL
 *
 * One change that did not go as expected, by itself: the source wins over what the sink has, and what can't
 * be written is set aside.
 */
#ifndef PGSQL_MEND_H
#define PGSQL_MEND_H

#include "pgsql/replay.h"

/* Applies change `index` (with TRUNCATE: its whole list) and gives the next index. *smooth: it went as
 * expected. */
MUST_CHECK bool mend_change(struct replay *r, size_t index, size_t *next, bool *smooth, struct error *err);

#endif
