/* SPDX-License-Identifier: PostgreSQL */
#include "live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "state/schema.h"

static const char *server(void)
{
    const char *text = getenv("CROSSFADE_TEST_PG");
    return text && *text ? text : NULL;
}

void live_need(void)
{
    if (!server()) {
        printf("1..0 # SKIP no CROSSFADE_TEST_PG\n");
        exit(77);
    }
}

static void open_conn(struct pg_conn *conn, const char *conninfo, const char *endpoint)
{
    struct error err = {0};
    struct pg_conn_options o = {.conninfo = conninfo,
                                .pipeline = "demo",
                                .job = "test",
                                .endpoint = endpoint,
                                .connect_timeout_ms = 10000};
    if (!pg_conn_open(conn, &o, &err))
        fail_msg("%s", err.text);
}

static void run(struct pg_conn *conn, const char *sql)
{
    struct error err = {0};
    if (!pg_exec(conn, sql, &err))
        fail_msg("%s\n%.300s", err.text, sql);
}

static void recreate(const char *name, bool create)
{
    struct pg_conn admin;
    char sql[200];
    open_conn(&admin, server(), "admin");
    snprintf(sql, sizeof(sql), "DROP DATABASE IF EXISTS %s%s", name,
             admin.version >= 130000 ? " WITH (FORCE)" : "");
    run(&admin, sql);
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s", name);
    if (create)
        run(&admin, sql);
    pg_conn_close(&admin);
}

struct live *live_open(const char *name)
{
    static char pipeline[] = "demo";
    struct live *self = mem_alloc(sizeof(*self));
    struct error err = {0};
    snprintf(self->source_db, sizeof(self->source_db), "cf_%s_source", name);
    snprintf(self->sink_db, sizeof(self->sink_db), "cf_%s_sink", name);
    recreate(self->source_db, true);
    recreate(self->sink_db, true);
    snprintf(self->source_conninfo, sizeof(self->source_conninfo), "%s dbname=%s", server(), self->source_db);
    snprintf(self->sink_conninfo, sizeof(self->sink_conninfo), "%s dbname=%s", server(), self->sink_db);
    self->config.pipeline = pipeline;
    self->config.all_tables = true;
    self->config.legacy_conninfo = self->source_conninfo;
    self->config.target_conninfo = self->sink_conninfo;
    self->config.backfill_workers = 2;
    self->config.connect_timeout_ms = 10000;
    self->log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, "demo");
    self->stats = stats_new("demo");
    open_conn(&self->source, self->source_conninfo, "legacy");
    open_conn(&self->sink, self->sink_conninfo, "target");
    if (!schema_install(&self->sink, &err))
        fail_msg("%s", err.text);
    run(&self->sink,
        "INSERT INTO crossfade.lease (pipeline, holder, epoch, heartbeat) VALUES ('demo', 'me', 1, now())");
    self->epoch = 1;
    return self;
}

void live_close(struct live *self)
{
    pg_conn_close(&self->source);
    pg_conn_close(&self->sink);
    pairing_free(&self->pairing);
    stats_free(self->stats);
    log_free(self->log);
    recreate(self->source_db, false);
    recreate(self->sink_db, false);
    free(self);
}

void live_source(struct live *self, const char *sql)
{
    run(&self->source, sql);
}

void live_sink(struct live *self, const char *sql)
{
    run(&self->sink, sql);
}

void live_both(struct live *self, const char *sql)
{
    live_source(self, sql);
    live_sink(self, sql);
}

const char *live_ask(struct pg_conn *conn, const char *sql)
{
    static char text[8192];
    struct error err = {0};
    PGresult *r = pg_query(conn, sql, 0, NULL, &err);
    if (!r)
        fail_msg("%s\n%.300s", err.text, sql);
    snprintf(text, sizeof(text), "%s", PQntuples(r) ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    return text;
}

void live_pair(struct live *self)
{
    struct pg_catalog source = {0}, sink = {0};
    struct error err = {0};
    pairing_free(&self->pairing);
    self->pairing = (struct pairing){0};
    if (!pg_catalog_read(&self->source, &source, &err) || !pg_catalog_read(&self->sink, &sink, &err) ||
        !pair_tables(&self->config, &source, self->source.version, &sink, &self->pairing, &err))
        fail_msg("%s", err.text);
    pg_catalog_free(&source);
    pg_catalog_free(&sink);
    for (uint32_t i = 0; i < self->pairing.tables.count; i++)
        self->pairing.tables.tables[i]->state = TABLE_INIT;
    stats_publish_tables(self->stats, &self->pairing.tables);
}

struct table *live_table(struct live *self, const char *from)
{
    struct table *t = table_set_named(&self->pairing.tables, from);
    if (!t) {
        for (uint32_t i = 0; i < self->pairing.finding_count; i++)
            print_message("%s %s\n", self->pairing.findings[i].code, self->pairing.findings[i].text);
        fail_msg("no table %s in the pairing", from);
    }
    return t;
}

void live_assert_equal(struct live *self, const char *table)
{
    char sql[400], source[400];
    snprintf(
        sql, sizeof(sql),
        "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")), "
        "'') FROM %s t",
        table);
    snprintf(source, sizeof(source), "%s", live_ask(&self->source, sql));
    assert_string_equal(source, live_ask(&self->sink, sql));
}
