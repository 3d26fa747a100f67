/* SPDX-License-Identifier: PostgreSQL
 *
 * The boundary values through a PostgreSQL server: it must read the codec's binary format as the text that is
 * meant, under the carrier's modifier, and what it sends in binary must go back to the same datum. Also the
 * time zones, whose offsets are the server's. Without CROSSFADE_TEST_PG the test skips.
 */
#include "mssql/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <libpq-fe.h>

#include "ms_cases.h"
#include "pgsql/type_name.h"

static PGconn *server_open(void)
{
    const char *conninfo = getenv("CROSSFADE_TEST_PG");
    if (!conninfo || !*conninfo) {
        printf("1..0 # SKIP no CROSSFADE_TEST_PG\n");
        exit(77);
    }
    PGconn *pg = PQconnectdb(conninfo);
    if (PQstatus(pg) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(pg));
    PQclear(PQexec(
        pg, "SET DateStyle = ISO; SET TimeZone = UTC; SET client_encoding = UTF8; SET bytea_output = hex"));
    return pg;
}

/* The value cast to the carrier with its modifier, in text or binary. The cast would round silently, were the
 * modifier too narrow. */
static PGresult *ask(PGconn *pg, const struct ms_case *c, const struct ms_codec *codec,
                     const struct buffer *bytes, int binary)
{
    struct buffer sql = {0};
    Oid type = c->oid;
    const char *values[] = {buffer_text(bytes)};
    int lengths[] = {(int)bytes->length};
    int formats[] = {1};
    buffer_puts(&sql, "SELECT $1::");
    assert_true(type_name(&sql, c->oid, codec->modifier));
    PGresult *r = PQexecParams(pg, buffer_text(&sql), 1, &type, values, lengths, formats, binary);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s %s: %s", c->column.type->name, c->text, PQerrorMessage(pg));
    buffer_free(&sql);
    return r;
}

static void assert_back(const struct ms_case *c, const struct ms_codec *codec, PGresult *r)
{
    struct buffer out = {0};
    struct ms_bound bound;
    struct error err = {0};
    struct value v = {PQgetvalue(r, 0, 0), (uint32_t)PQgetlength(r, 0, 0), VALUE_BINARY};
    if (!ms_value_encode(codec, &v, &out, &bound, &err))
        fail_msg("%s %s: %s", c->column.type->name, c->text, err.text);
    if (!c->changes && bound.type != MS_WIRE_CHAR) {
        assert_int_equal(bound.length, c->datum.length);
        if (bound.length)
            assert_memory_equal(out.data + bound.offset, c->datum.data, bound.length);
    }
    buffer_free(&out);
}

static void through_the_server(const struct ms_case *c, void *context)
{
    PGconn *pg = context;
    struct ms_codec codec;
    struct buffer bytes = {0};
    struct error err = {0};
    ms_codec_make(&c->column, ms_type_offers(c->column.type, c->oid), NULL, &codec);
    if (!ms_value_decode(&codec, &c->datum, &bytes, &err))
        fail_msg("%s %s: %s", c->column.type->name, c->text, err.text);
    PGresult *r = ask(pg, c, &codec, &bytes, 0);
    if (strcmp(PQgetvalue(r, 0, 0), c->text) != 0)
        fail_msg("%s: %s, not %s", c->column.type->name, PQgetvalue(r, 0, 0), c->text);
    PQclear(r);
    r = ask(pg, c, &codec, &bytes, 1);
    /* The server's own bytes are ours: keys are compared and hashed by them. */
    if (c->oid != MS_OID_JSONB && c->oid != MS_OID_XML) {
        assert_int_equal(PQgetlength(r, 0, 0), bytes.length);
        if (bytes.length)
            assert_memory_equal(PQgetvalue(r, 0, 0), bytes.data, bytes.length);
    }
    assert_back(c, &codec, r);
    PQclear(r);
    buffer_free(&bytes);
}

static void test_values(void **state)
{
    (void)state;
    PGconn *pg = server_open();
    ms_cases_each(through_the_server, pg);
    PQfinish(pg);
}

static void zone_read(PGconn *pg, const char *name, struct ms_zone *zone)
{
    const char *values[] = {name};
    PGresult *r = PQexecParams(pg, ms_zone_query, 1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(pg));
    for (int i = 0; i < PQntuples(r); i++)
        ms_zone_add(zone, *PQgetvalue(r, i, 0) == 't', strtoll(PQgetvalue(r, i, 1), NULL, 10),
                    (int32_t)strtol(PQgetvalue(r, i, 2), NULL, 10));
    PQclear(r);
}

/* Every 2,711 seconds about clock changes, and far years, against the server's AT TIME ZONE. */
static void zone_check(PGconn *pg, const char *name, const char *moments)
{
    struct ms_zone zone = {0};
    char sql[700];
    const char *values[] = {name};
    zone_read(pg, name, &zone);
    snprintf(sql, sizeof(sql),
             "SELECT (extract(epoch FROM t - timestamp '2000-01-01') * 1000000)::int8,"
             " (extract(epoch FROM (t AT TIME ZONE $1) - timestamptz '2000-01-01 00:00+00') * 1000000)::int8,"
             " (extract(epoch FROM ((t AT TIME ZONE 'UTC') AT TIME ZONE $1) - timestamp '2000-01-01') * "
             "1000000)::int8"
             " FROM (%s) AS m(t)",
             moments);
    PGresult *r = PQexecParams(pg, sql, 1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(pg));
    assert_true(PQntuples(r) > 0);
    for (int i = 0; i < PQntuples(r); i++) {
        int64_t t = strtoll(PQgetvalue(r, i, 0), NULL, 10);
        int64_t utc = strtoll(PQgetvalue(r, i, 1), NULL, 10);
        int64_t local = strtoll(PQgetvalue(r, i, 2), NULL, 10);
        if (ms_zone_to_utc(&zone, t) != utc || ms_zone_to_local(&zone, t) != local)
            fail_msg("%s at %lld: %lld %lld, not %lld %lld", name, (long long)t,
                     (long long)ms_zone_to_utc(&zone, t), (long long)ms_zone_to_local(&zone, t),
                     (long long)utc, (long long)local);
    }
    PQclear(r);
    ms_zone_free(&zone);
}

static void test_zones(void **state)
{
    (void)state;
    static const char *const zones[] = {"America/Chicago", "Europe/Berlin", "Australia/Lord_Howe",
                                        "Asia/Kathmandu",  "UTC",           "Pacific/Apia"};
    static const char around[] =
        "SELECT generate_series(timestamp '2023-03-08', '2023-04-04', '2711 s') UNION ALL"
        " SELECT generate_series(timestamp '2023-09-30', '2023-11-07', '2711 s')";
    static const char far[] =
        "SELECT y + interval '1 s' FROM generate_series(timestamp '0001-01-01', '9999-12-31',"
        " '97 days 5 hours') y";
    PGconn *pg = server_open();
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        zone_check(pg, zones[i], around);
        zone_check(pg, zones[i], far);
    }
    PQfinish(pg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_zones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
