/* SPDX-License-Identifier: PostgreSQL
 *
 * One run of `crossfade check`, shared by its parts. Each part asks one side about one matter and adds
 * findings; a query that fails is itself a finding, so that one missing right does not hide all else.
 */
#ifndef CONTROL_CHECK_RUN_H
#define CONTROL_CHECK_RUN_H

#include "pgsql/pair.h"

struct check_side {
    struct pg_conn conn;
    bool open;
    char role[128]; /* whom we are there */
    bool superuser;
    bool bypass_rls;
    struct pg_catalog catalog;
};

struct check {
    const struct config *config;
    struct check_side legacy;
    struct check_side target;
    struct pairing pairing; /* its findings are everybody's */
    bool paired;
    bool unreachable;
};

/* Adds a finding. */
#define check_say(self, level, code, object, sql, ...)                                                       \
    pairing_add(&(self)->pairing, level, code, object, sql, __VA_ARGS__)

/* One text value of one row; false after a finding `query_failed` has been added. */
MUST_CHECK bool check_ask(struct check *self, struct check_side *side, const char *sql, char *out,
                          size_t size);
/* Rows; NULL after such a finding. */
PGresult *check_rows(struct check *self, struct check_side *side, const char *sql);

/* A server that can't be reached or refuses us: a finding, and exit status 3. */
void check_unreachable(struct check *self, const char *endpoint, const struct error *err);
void check_open_target(struct check *self);
/* Takes what pairing found, behind what has been found so far, and its tables; frees the rest. */
void check_adopt(struct check *self, struct pairing *found);

/* The parts. Each may rely on the sides that it names being open, and those after `paired` on the pairing. */
void check_session(struct check *self, struct check_side *side); /* version, encoding, pooler, standby */
void check_legacy(struct check *self);      /* WAL level, slots, senders, replication, retention */
void check_legacy_data(struct check *self); /* what is not carried: large objects, sequences, extensions */
void check_target(struct check *self);      /* our schema, origins, replica role, connections, time-outs */
void check_both(struct check *self);        /* same database, clocks, extensions */
void check_publication(struct check *self); /* paired */
void check_rights(struct check *self); /* paired: table by table, sides that are open; row security; owners */
void check_apply(struct check *self);  /* paired: triggers, foreign keys, checks, rows already there */
void check_size(struct check *self);   /* paired */
int64_t check_copy_seconds(const struct check *self); /* the slow end of its estimate */
void check_redis(struct check *self);
void check_data(struct check *self); /* paired */
void check_data_constraints(struct check *self);
/* All there is in the reverse direction. False: the config can't be understood. */
MUST_CHECK bool check_back(struct check *self, struct error *err);
/* All of a SQL Server legacy, and the target's parts that go with it; builds with FreeTDS only. False: the
 * config can't be understood. */
MUST_CHECK bool check_mssql(struct check *self, bool data, struct error *err);

/* ROW(key columns)::text, of a keyless table its first three columns: never more of a row than finding it
 * takes. */
void check_key_row(const struct table *t, struct buffer *out);
/* The pairing's table that goes to this relation of the target, NULL if none. */
const struct table *check_by_sink(const struct check *self, uint32_t oid);
/* Has the legacy table a unique index that makes this one of the target's true? */
bool check_like_index(const struct check *self, const struct pg_relation *from, const struct pg_relation *to,
                      const struct pg_index *x);

#endif
