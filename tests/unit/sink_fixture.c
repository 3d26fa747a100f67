/* SPDX-License-Identifier: PostgreSQL */
#include "sink_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "state/schema.h"

#define DATABASE "crossfade_sink_unit"

static void must(bool ok, const struct error *err)
{
    if (!ok)
        fail_msg("%s %s: %s", error_kind_name(err->kind), err->code, err->text);
}

static void on_stopped(void *context, struct table *table, enum table_state state, const char *reason)
{
    struct fixture *f = context;

    (void)state;
    snprintf(f->stopped, sizeof(f->stopped), "%s: %s", table->from_name, reason);
}

static void on_conflict(void *context, const struct table *table, const char *kind, const char *key_text)
{
    struct fixture *f = context;
    size_t n = strlen(f->conflicts);

    snprintf(f->conflicts + n, sizeof(f->conflicts) - n, "%s %s %s;", kind, table->from_name, key_text);
}

struct fixture *fixture_new(const char *ddl)
{
    struct fixture *f = mem_alloc(sizeof(*f));

    f->options = (struct pg_sink_options){
        .conn = {.conninfo = getenv("CROSSFADE_TEST_PG"),
                 .pipeline = "unit",
                 .job = "lane0",
                 .endpoint = "target"},
        .stream = "forward",
        .events = {f, on_stopped, on_conflict},
        .park_limit = 1 << 30,
        .quarantine_limit = 1000,
    };
    struct pg_conn_options admin = f->options.conn;
    admin.job = "admin";
    must(pg_conn_open(&f->admin, &admin, &f->err), &f->err);
    if (!pg_exec(&f->admin, "CREATE DATABASE " DATABASE, &f->err) && strcmp(f->err.code, "42P04") != 0)
        must(false, &f->err);
    pg_conn_close(&f->admin);
    snprintf(f->conninfo, sizeof(f->conninfo), "%s dbname=" DATABASE, getenv("CROSSFADE_TEST_PG"));
    f->options.conn.conninfo = f->conninfo;
    admin.conninfo = f->conninfo;
    must(pg_conn_open(&f->admin, &admin, &f->err), &f->err);
    must(pg_exec(
             &f->admin,
             "DROP SCHEMA IF EXISTS public CASCADE; DROP SCHEMA IF EXISTS crossfade CASCADE; CREATE SCHEMA "
             "public; SET search_path = public",
             &f->err),
         &f->err);
    must(pg_exec(&f->admin, schema_sql(), &f->err), &f->err);
    must(pg_exec(&f->admin, ddl, &f->err), &f->err);
    must(pg_exec(&f->admin, "SELECT crossfade.lease_take('unit', 'me', '1h')", &f->err), &f->err);
    must(pg_catalog_read(&f->admin, &f->catalog, &f->err), &f->err);
    f->config.all_tables = true;
    must(pair_tables(&f->config, &f->catalog, f->admin.version, &f->catalog, &f->pairing, &f->err), &f->err);
    for (uint32_t i = 0; i < f->pairing.tables.count; i++) {
        f->pairing.tables.tables[i]->state = TABLE_STREAMING;
        f->pairing.tables.tables[i]->lane = 0;
    }
    f->counts = mem_alloc((f->pairing.tables.count + 1) * sizeof(*f->counts));
    f->batch = batch_new();
    f->lsn = 0x1000;
    fixture_open(f, 1);
    return f;
}

void fixture_open(struct fixture *self, int64_t epoch)
{
    if (self->sink)
        self->sink->ops->free(self->sink);
    self->sink = NULL;
    self->options.epoch = epoch;
    self->options.tables = &self->pairing.tables;
    for (int i = 0; i < 200; i++) { /* the session before may still be ending */
        if (pg_sink_open(&self->options, &self->sink, &self->position, &self->err))
            return;
        if (self->err.kind != ERROR_RETRY)
            break;
        fixture_exec(self, "SELECT pg_sleep(0.02)");
    }
    must(false, &self->err);
}

void fixture_free(struct fixture *self)
{
    self->sink->ops->free(self->sink);
    batch_free(self->batch);
    free(self->counts);
    pairing_free(&self->pairing);
    pg_catalog_free(&self->catalog);
    pg_conn_close(&self->admin);
    free(self);
}

struct table *fixture_table(struct fixture *self, const char *name)
{
    struct table *t = table_set_find(&self->pairing.tables, "public", name);

    if (!t)
        fail_msg("no table %s is paired", name);
    return t;
}

void fixture_exec(struct fixture *self, const char *sql)
{
    must(pg_exec(&self->admin, sql, &self->err), &self->err);
}

void fixture_expect(struct fixture *self, const char *sql, const char *expected)
{
    struct buffer out = {0};
    PGresult *r = pg_query(&self->admin, sql, 0, NULL, &self->err);

    must(r != NULL, &self->err);
    for (int i = 0; i < PQntuples(r); i++)
        for (int j = 0; j < PQnfields(r); j++)
            buffer_printf(&out, "%s%s",
                          j   ? ","
                          : i ? ";"
                              : "",
                          PQgetisnull(r, i, j) ? "-" : PQgetvalue(r, i, j));
    PQclear(r);
    assert_string_equal(buffer_text(&out), expected);
    buffer_free(&out);
}

/* --- changes --- */

void fixture_begin(struct fixture *self)
{
    self->transaction =
        (struct transaction){.xid = (uint32_t)(self->lsn / 16), .commit_time_us = 1700000000000000};
    self->transaction.commit = position_lsn(self->lsn);
    batch_begin(self->batch, &self->transaction);
}

void fixture_commit(struct fixture *self)
{
    self->lsn += 0x10;
    self->transaction.end = position_lsn(self->lsn);
    batch_commit(self->batch, &self->transaction);
}

static struct value integer(const char *text, int size)
{
    static char bytes[64][8];
    static int at;
    char *to = bytes[at = (at + 1) % 64];
    uint64_t v = __builtin_bswap64((uint64_t)strtoll(text, NULL, 10));

    memcpy(to, (char *)&v + 8 - size, (size_t)size);
    return (struct value){to, (uint32_t)size, VALUE_BINARY};
}

static struct value value_of(const struct fixture *f, const struct column *c, const char *text)
{
    if (!text)
        return (struct value){.kind = VALUE_NULL};
    if (strcmp(text, ABSENT) == 0)
        return (struct value){.kind = VALUE_ABSENT};
    if (!f->text && c->source_type.oid == 23)
        return integer(text, 4);
    if (!f->text && c->source_type.oid == 20)
        return integer(text, 8);
    bool textual = c->source_type.oid == 25;
    return (struct value){text, (uint32_t)strlen(text), textual && !f->text ? VALUE_BINARY : VALUE_TEXT};
}

static struct value *make_row(struct fixture *f, const struct table *t, const char *const *row)
{
    struct value *out = mem_alloc(t->column_count * sizeof(*out));

    for (uint16_t i = 0; i < t->column_count; i++)
        out[i] = value_of(f, &t->columns[i], row[i]);
    return out;
}

static void append(struct fixture *f, enum change_op op, const char *table, const char *const *old,
                   const char *const *row)
{
    struct table *t = fixture_table(f, table);
    struct change c = {.table = t, .op = op};

    c.row = row ? make_row(f, t, row) : NULL;
    c.old = old ? make_row(f, t, old) : NULL;
    c.old_kind = !old ? OLD_NONE : t->key_count ? OLD_KEY : OLD_FULL;
    batch_append(f->batch, &c);
    free(c.row);
    free(c.old);
}

void fixture_insert(struct fixture *self, const char *table, const char *const *row)
{
    append(self, CHANGE_INSERT, table, NULL, row);
}

void fixture_update(struct fixture *self, const char *table, const char *const *old, const char *const *row)
{
    append(self, CHANGE_UPDATE, table, old, row);
}

void fixture_delete(struct fixture *self, const char *table, const char *const *old)
{
    append(self, CHANGE_DELETE, table, old, NULL);
}

void fixture_truncate(struct fixture *self, const char *const *tables)
{
    static uint32_t group;

    group++;
    for (; *tables; tables++) {
        struct change c = {
            .table = fixture_table(self, *tables), .op = CHANGE_TRUNCATE, .truncate_group = group};
        batch_append(self->batch, &c);
    }
}

bool fixture_try(struct fixture *self)
{
    return self->sink->ops->apply(self->sink, self->batch, self->counts, &self->result, &self->err);
}

void fixture_apply(struct fixture *self)
{
    must(fixture_try(self), &self->err);
    assert_int_equal(position_compare(self->result.applied, self->batch->end), 0);
    assert_true(self->result.flush_needed > 0);
    batch_reset(self->batch);
}

void fixture_apply_piece(struct fixture *self)
{
    self->batch->complete = false;
    must(fixture_try(self), &self->err);
    batch_reset(self->batch);
    self->batch->continues = true;
    batch_begin(self->batch, &self->transaction);
}

struct sink_counts fixture_counts(struct fixture *self, const char *table)
{
    return self->counts[fixture_table(self, table)->id];
}
