/* SPDX-License-Identifier: PostgreSQL
 *
 * Two fresh databases in the server that CROSSFADE_TEST_PG (a superuser's connection string) names, paired as
 * a pipeline: for tests of what only a server can answer. Without the variable such a test skips (status 77).
 */
#ifndef TESTS_LIVE_H
#define TESTS_LIVE_H

#include "pgsql/catalog.h"
#include "pgsql/pair.h"
#include "replicator/stats.h"

struct live {
    struct config config;
    struct log *log;
    struct stats *stats;
    struct pg_conn source, sink;
    struct pairing pairing;
    int64_t epoch;
    _Atomic bool cancel;
    _Atomic int64_t rate_limit;
    char source_conninfo[512], sink_conninfo[512];
    char source_db[64], sink_db[64];
};

/* Exits with 77 when there is no server to use. */
void live_need(void);
struct live *live_open(const char *name);
void live_close(struct live *self);
/* Runs SQL, which must succeed. */
void live_source(struct live *self, const char *sql);
void live_sink(struct live *self, const char *sql);
void live_both(struct live *self, const char *sql);
/* One value; "" for NULL or no row. Overwritten by the next call. */
const char *live_ask(struct pg_conn *conn, const char *sql);
/* Reads the catalogs and pairs all tables; states are set to INIT. */
void live_pair(struct live *self);
struct table *live_table(struct live *self, const char *from);
/* Fails unless both sides hold the same rows of `table`, compared as text. */
void live_assert_equal(struct live *self, const char *table);

#endif
