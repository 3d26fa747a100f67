/* SPDX-License-Identifier: PostgreSQL
 *
 * What the PostgreSQL legacy's own files share.
 */
#ifndef LEGACY_LEGACY_PGSQL_H
#define LEGACY_LEGACY_PGSQL_H

#include "legacy/legacy_driver.h"

/* What of the config is the source's: the legacy's, or in the reverse direction the target's. */
struct pgsql_side {
    const char *endpoint;
    const char *conninfo;
    const char *slot;
    const char *publication;
    const char *stream;
    struct legacy_sink *sink; /* NULL: the target, whose crossfade.progress tells how far the stream is */
};

struct legacy_pgsql {
    struct legacy base;
    struct pg_conn conn;
    const struct config *config;
    struct pgsql_side side;
    uint64_t begun_before; /* transactions from before this stream have lower ids on the source (64 bit) */
};

/* One step of preparing. */
struct pgsql_work {
    const struct config *config;
    const struct pgsql_side *side;
    struct log *log;
    struct pg_conn *source;
    struct pg_conn *target;
    int64_t epoch;
    const _Atomic bool *cancel;
};

/* legacy_pgsql.c: what every capture of a PostgreSQL has in common */
static inline struct legacy_pgsql *pgsql_of(struct legacy *base)
{
    return (struct legacy_pgsql *)base;
}
/* Connects to `side`; *out has the tables of `base`. */
MUST_CHECK bool pgsql_open(const struct legacy_options *options, const struct pgsql_side *side,
                           const struct legacy *base, struct legacy **out, struct error *err);
void pgsql_close(struct legacy *base);
void pgsql_cancel(struct legacy *base);
bool pgsql_evict(struct legacy *base, struct error *err);
bool pgsql_fetch_rows(struct legacy *base, const struct legacy_notes *notes, const struct table *table,
                      char *const *const *keys, size_t count, struct legacy_rows *out, struct error *err);
bool pgsql_install(struct legacy *base, struct error *err); /* nothing */
MUST_CHECK bool pgsql_refuse_standby(struct pg_conn *conn, struct error *err);

/* legacy_pgsql_slot.c */
MUST_CHECK bool pgsql_history(const struct pgsql_work *self, bool *first, struct error *err);
/* Slot and fingerprint, made at the first start. */
MUST_CHECK bool pgsql_slot(const struct pgsql_work *self, struct error *err);
/* Where the source's WAL ends now. The insert position counts, not the flushed one, as transactions that
 * commit asynchronously are seen before they are written. Rounded down so that a stream reaches it though
 * nothing more is written. */
MUST_CHECK bool pgsql_end(struct pg_conn *source, struct position *out, struct error *err);

/* legacy_pgsql_drop.c */
MUST_CHECK bool pgsql_drop(struct pg_conn *source, const struct pgsql_side *side,
                           const struct legacy_notes *notes, struct buffer *said, int *undone,
                           struct error *err);

/* legacy_pgsql_publication.c */
/* Publication(s), made or completed where we may. */
/* *added: so many tables were not in it. `first`: nobody has read it yet. */
MUST_CHECK bool pgsql_publication(const struct pgsql_work *self, const struct table_set *tables, bool first,
                                  uint32_t *added, struct error *err);
/* Until every transaction that was open when the publication changed has ended. */
MUST_CHECK bool pgsql_wait_out_writers(const struct pgsql_work *self, struct error *err);
/* The publication of tables without a replica identity into out; NULL if there is none. Returns out. */
const char *pgsql_insert_publication(const struct pgsql_side *side, const struct table_set *tables, char *out,
                                     size_t size);
/* Beside an existing slot: whoever wrote before the table was published (hazard 6). A new slot has waited for
 * older writers, but not for those that wrote their commit record while it was being made and wait for a
 * synchronous standby: too early for the stream, too late for the copy. */
MUST_CHECK bool pgsql_writers(const struct pgsql_work *self, const struct table_set *tables,
                              struct error *err);

/* legacy_pgsql_rows.c */
MUST_CHECK bool pgsql_fetch(struct pg_conn *source, const struct table *table, char *const *const *keys,
                            size_t count, struct legacy_rows *out, struct error *err);

/* legacy_pgsql_copy.c */
MUST_CHECK bool pgsql_copy_open(const struct legacy_options *options, struct legacy_copy **out,
                                struct error *err);

#endif
