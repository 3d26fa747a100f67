/* SPDX-License-Identifier: PostgreSQL
 *
 * A PostgreSQL sink on the database of CROSSFADE_TEST_PG (a superuser's conninfo; its schemas public and
 * crossfade are dropped), its tables paired with themselves, and batches written by hand.
 */
#ifndef TESTS_SINK_FIXTURE_H
#define TESTS_SINK_FIXTURE_H

#include "model/batch.h"
#include "model/sink.h"
#include "pgsql/pair.h"
#include "pgsql/pg_sink.h"

#define ABSENT ((const char *)"\001absent")

struct fixture {
    struct pg_conn admin;
    char conninfo[512];
    struct pg_catalog catalog;
    struct config config;
    struct pairing pairing;
    struct pg_sink_options options;
    struct sink *sink;
    struct position position;
    struct batch *batch;
    struct transaction transaction;
    struct sink_counts *counts;
    struct sink_result result;
    struct error err;
    uint64_t lsn;
    bool text;            /* values come as text, not in binary where we know how */
    char stopped[1200];   /* "table: reason" of the last stop */
    char conflicts[4000]; /* "kind table key;" */
};

struct fixture *fixture_new(const char *ddl);
void fixture_free(struct fixture *self);
void fixture_open(struct fixture *self, int64_t epoch); /* the sink, anew */
struct table *fixture_table(struct fixture *self, const char *name);

void fixture_exec(struct fixture *self, const char *sql);
/* The query's rows, columns joined by ',' and rows by ';'. */
void fixture_expect(struct fixture *self, const char *sql, const char *expected);

/* Source changes. Rows are lists of column texts: NULL, ABSENT, or the value. */
void fixture_begin(struct fixture *self);
void fixture_insert(struct fixture *self, const char *table, const char *const *row);
void fixture_update(struct fixture *self, const char *table, const char *const *old, const char *const *row);
void fixture_delete(struct fixture *self, const char *table, const char *const *old);
void fixture_truncate(struct fixture *self, const char *const *tables); /* NULL at the end */
void fixture_commit(struct fixture *self);
#define ROW(...) ((const char *const[]){__VA_ARGS__})

/* Applies what was gathered; must succeed. */
void fixture_apply(struct fixture *self);
/* The source transaction goes on in the next batch: applies the piece. */
void fixture_apply_piece(struct fixture *self);
bool fixture_try(struct fixture *self);
struct sink_counts fixture_counts(struct fixture *self, const char *table);

#endif
