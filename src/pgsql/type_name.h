/* SPDX-License-Identifier: PostgreSQL
 *
 * SQL names of PostgreSQL's own types from (oid, modifier), as format_type() gives them, for the moments when
 * the server can't be asked (a replication stream takes no SQL).
 */
#ifndef PGSQL_TYPE_NAME_H
#define PGSQL_TYPE_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* Appends the name, say `numeric(10,2)[]`. False, nothing appended: no type of PostgreSQL's own that we know.
 */
bool type_name(struct buffer *out, uint32_t oid, int32_t modifier);

#endif
