/* SPDX-License-Identifier: PostgreSQL
 *
 * What the sink has of a table, as the source would send it: so that a capture which compares whole tables
 * knows after a restart what was applied, without a copy of it kept anywhere. A value that does not come back
 * from the sink's type as it was sent is taken for a change once, at the start; nothing is ever missed.
 */
#ifndef LEGACY_SINK_ROWS_H
#define LEGACY_SINK_ROWS_H

#include "model/config.h"
#include "model/polled.h"

/* polled_load functions; the context is the struct config. In the source types' binary format, or text. */
polled_load sink_rows_load_binary;
polled_load sink_rows_load_text;

/* Where a stream that counts its rounds will be when it has read all that is there now: a round may be under
 * way, the one after it begins later. */
struct legacy_notes;
MUST_CHECK bool sink_rows_poll_end(const struct legacy_notes *notes, struct position *out, struct error *err);

#endif
