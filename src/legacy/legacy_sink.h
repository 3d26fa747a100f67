/* SPDX-License-Identifier: PostgreSQL
 *
 * The reverse direction: the target is the source, the legacy, whichever engine, is written to. The source is
 * a struct legacy of another kind (legacy_back_open): the same questions, asked of the target. The sink's
 * part is here: a connection for questions and preparation, and lanes, each with a connection of its own. One
 * file an engine (legacy_sink_<engine>.c), one list (legacy_sink.c).
 *
 * The progress rows are the sink's; lease, fingerprint ("stream:reverse") and tables' states stay in the
 * target. A sink that has its own copy of the epoch is told of it by `prepare`.
 */
#ifndef LEGACY_LEGACY_SINK_H
#define LEGACY_LEGACY_SINK_H

#include "legacy/legacy.h"
#include "model/sink.h"
#include "state/store.h"

struct legacy_sink;

struct legacy_sink_lane {
    int lane;
    int64_t epoch;
    const struct table_set *tables; /* outlives the sink; see the drivers' sinks */
    struct sink_events events;
};

/* What a lane's sink can do between batches; pgsql/pg_sink.h and mssql/ms_sink.h say how. */
struct legacy_sink_waits {
    bool (*drain)(struct sink *sink, struct table *table, size_t max_rows, bool *empty, struct error *err);
    bool (*forget)(struct sink *sink, struct table *table, struct error *err);
    bool (*retry)(struct sink *sink, const int64_t *ids, size_t count, struct error *err);
    bool (*skip)(struct sink *sink, const int64_t *ids, size_t count, struct error *err);
};

/* One change in quarantine: id, table, key, op, position, the refusal's code and message, when. */
enum { LEGACY_SINK_FIELDS = 8 };
typedef void legacy_sink_row(void *context, const char *const fields[LEGACY_SINK_FIELDS]);

struct legacy_sink_ops {
    void (*close)(struct legacy_sink *self);
    void (*cancel)(struct legacy_sink *self); /* from any thread */
    /* Makes our objects in the legacy. */
    bool (*install)(struct legacy_sink *self, struct error *err);
    /* The same where they are missing; ERROR_REFUSED if we may not. And tells the legacy the epoch:
     * ERROR_FENCED if a higher one was there. */
    bool (*prepare)(struct legacy_sink *self, const struct legacy_notes *notes, struct error *err);
    /* Reads the legacy's catalog and pairs it for the way back with the target's. */
    bool (*pair)(struct legacy_sink *self, const struct legacy_notes *notes, const struct pg_catalog *target,
                 int target_version, struct pairing *out, struct error *err);
    /* The lanes' rows of the stream, by lane; *out malloc'ed. */
    bool (*progress)(struct legacy_sink *self, struct store_progress **out, int *count, struct error *err);
    /* A row for each of so many lanes, at that position where there was none, and none beyond. */
    bool (*deal)(struct legacy_sink *self, int64_t epoch, int lanes, struct position at, struct error *err);
    /* How many changes wait, per table id. */
    bool (*waiting)(struct legacy_sink *self, const struct table_set *tables, int64_t *parked,
                    int64_t *quarantined, struct error *err);
    /* How many changes of this pipeline wait there in all. */
    bool (*held)(struct legacy_sink *self, int64_t *count, struct error *err);
    /* This pipeline's changes in quarantine there, by id. */
    bool (*quarantine)(struct legacy_sink *self, legacy_sink_row *row, void *context, struct error *err);
    /* A lane, with the position of its row. After `pair`. */
    bool (*open)(struct legacy_sink *self, const struct legacy_sink_lane *lane, struct sink **out,
                 struct position *position, struct error *err);
    /* What the login lacks, as SQL for somebody who may grant it, one a line. */
    bool (*rights)(struct legacy_sink *self, const struct table_set *tables, struct buffer *out,
                   struct error *err);
    /* This pipeline's rows; a line a step to `said`. */
    bool (*drop)(struct legacy_sink *self, struct buffer *said, struct error *err);
    const struct legacy_sink_waits *waits;
};

struct legacy_sink {
    const struct legacy_sink_ops *ops;
    struct pg_conn *pg; /* where the re-read list is and what is read again is written; NULL: it has none */
};

MUST_CHECK bool legacy_sink_open(const struct legacy_options *options, struct legacy_sink **out,
                                 struct error *err);
void legacy_sink_close(struct legacy_sink *self); /* NULL is fine */

/* The forward stream's, whose sink is a PostgreSQL. */
extern const struct legacy_sink_waits legacy_sink_target;

/* The script of what `prepare` makes, for somebody else to run. */
void legacy_sink_script(const struct config *config, struct buffer *out);

/* The target as the source of the reverse stream. `sink` may be NULL where nothing but `ops` and `control` is
 * called; it outlives the connection. */
MUST_CHECK bool legacy_back_open(const struct legacy_options *options, struct legacy_sink *sink,
                                 struct legacy **out, struct error *err);

#endif
