/* SPDX-License-Identifier: PostgreSQL
 *
 * The text of apply statements; and, where CROSSFADE_TEST_PG names a server (a conninfo of a role that may
 * create schemas), that each form prepares and does what its header says with every kind of type. Those tests
 * work in schemas of their own, "st '""s" and st_ext, which they drop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "base/mem.h"
#include "pgsql/sql.h"
#include "pgsql/statement.h"

static const uint64_t ALL[] = {UINT64_MAX, UINT64_MAX};

/* --- text --- */

static struct column int_column(const char *name, bool key)
{
    return (struct column){.source = mem_strdup(name),
                           .sink = mem_strdup(name),
                           .sink_type = {.oid = 23,
                                         .base_oid = 23,
                                         .kind = 'b',
                                         .category = 'N',
                                         .name = mem_strdup("pg_catalog.int4")},
                           .key = key,
                           .key_bytewise = key,
                           .not_null = key};
}

/* "s"."t" with id (key), a, b. */
static struct table *plain_table(void)
{
    static const char *const names[] = {"id", "a", "b"};
    struct table *t = table_new();
    t->to_schema = mem_strdup("s");
    t->to_name = mem_strdup("t");
    t->columns = mem_alloc(3 * sizeof(*t->columns));
    t->column_count = 3;
    for (int i = 0; i < 3; i++)
        t->columns[i] = int_column(names[i], i == 0);
    t->key = mem_alloc(sizeof(*t->key));
    t->key_count = 1;
    t->key_hashable = true;
    t->sink_key_arbiter = true;
    return t;
}

static void assert_sql(struct statement *st, const char *expected)
{
    assert_string_equal(buffer_text(&st->sql), expected);
    statement_free(st);
}

static void set_forms(void **state)
{
    (void)state;
    struct table *t = plain_table();
    struct statement st;
    uint64_t a_only[] = {1 << 1};
    statement_net(t, NET_UPDATE, a_only, NULL, true, true, &st);
    assert_int_equal(st.param_count, 2);
    assert_true(st.checked && st.set_based && st.params[0].from_key && !st.params[1].from_key);
    assert_int_equal(st.params[1].oid, 23);
    assert_sql(
        &st,
        "WITH n AS (UPDATE ONLY \"s\".\"t\" AS t SET \"a\" = u.p2 FROM (SELECT unnest($1::pg_catalog.int4[]) "
        "AS p1, unnest($2::pg_catalog.int4[]) AS p2) AS u WHERE t.\"id\" = u.p1 RETURNING 1) SELECT "
        "crossfade.expect((SELECT count(*) FROM n), $3::pg_catalog.int8)");
    statement_net(t, NET_DELETE, NULL, NULL, true, false, &st);
    assert_sql(&st, "DELETE FROM ONLY \"s\".\"t\" AS t USING (SELECT unnest($1::pg_catalog.int4[]) AS "
                    "p1) AS u WHERE t.\"id\" = u.p1");
    statement_net(t, NET_INSERT, ALL, ALL, true, false, &st);
    assert_int_equal(st.params[0].oid, 25);
    assert_sql(
        &st, "INSERT INTO \"s\".\"t\" AS t (\"id\", \"a\", \"b\") SELECT u.p1::pg_catalog.int4, "
             "u.p2::pg_catalog.int4, u.p3::pg_catalog.int4 FROM (SELECT unnest($1::pg_catalog.text[]) AS p1, "
             "unnest($2::pg_catalog.text[]) AS p2, unnest($3::pg_catalog.text[]) AS p3) AS u ON CONFLICT "
             "(\"id\") DO NOTHING");
    statement_net(t, NET_UPSERT, ALL, NULL, true, false, &st);
    assert_sql(&st, "INSERT INTO \"s\".\"t\" AS t (\"id\", \"a\", \"b\") SELECT u.p1, u.p2, u.p3 FROM "
                    "(SELECT unnest($1::pg_catalog.int4[]) AS p1, unnest($2::pg_catalog.int4[]) AS p2, "
                    "unnest($3::pg_catalog.int4[]) AS p3) AS u ON "
                    "CONFLICT (\"id\") DO UPDATE SET \"a\" = excluded.\"a\", \"b\" = excluded.\"b\"");
    table_free(t);
}

static void scalar_forms(void **state)
{
    (void)state;
    struct table *t = plain_table();
    struct statement st;
    statement_net(t, NET_UPDATE, ALL, NULL, false, false, &st);
    assert_sql(
        &st,
        "UPDATE ONLY \"s\".\"t\" AS t SET \"a\" = $2::pg_catalog.int4, \"b\" = $3::pg_catalog.int4 WHERE "
        "t.\"id\" = $1::pg_catalog.int4");
    t->sink_key_arbiter = false;
    statement_net(t, NET_UPSERT, ALL, NULL, false, true, &st);
    assert_false(st.checked);
    assert_sql(&st,
               "INSERT INTO \"s\".\"t\" AS t (\"id\", \"a\", \"b\") SELECT $1::pg_catalog.int4, "
               "$2::pg_catalog.int4, "
               "$3::pg_catalog.int4 WHERE NOT EXISTS (SELECT 1 FROM ONLY \"s\".\"t\" AS t WHERE t.\"id\" = "
               "$4::pg_catalog.int4)");
    table_free(t);
}

static void partitioned_and_quoted(void **state)
{
    (void)state;
    struct table *t = plain_table();
    struct table *u = plain_table();
    struct statement st;
    struct buffer sql = {0};
    t->sink_partitioned = true;
    free(t->to_name);
    t->to_name = mem_strdup("a \"b\".c");
    statement_net(t, NET_DELETE, NULL, NULL, false, false, &st);
    assert_sql(&st, "DELETE FROM \"s\".\"a \"\"b\"\".c\" AS t WHERE t.\"id\" = $1::pg_catalog.int4");
    const struct table *both[] = {t, u};
    statement_truncate(both, 2, true, &sql);
    assert_string_equal(buffer_text(&sql),
                        "TRUNCATE \"s\".\"a \"\"b\"\".c\", ONLY \"s\".\"t\" RESTART IDENTITY");
    buffer_free(&sql);
    table_free(t);
    table_free(u);
}

static void casts(void **state)
{
    (void)state;
    struct table *t = plain_table();
    struct statement st;
    struct column *c = &t->columns[0];
    c->source_type = (struct type){.oid = 21, .base_oid = 21, .name = mem_strdup("pg_catalog.int2")};
    c->wire_oid = 21;
    c->wire_cast = true;
    statement_net(t, NET_DELETE, NULL, NULL, true, false, &st);
    assert_int_equal(st.params[0].oid, 21);
    assert_sql(&st, "DELETE FROM ONLY \"s\".\"t\" AS t USING (SELECT unnest($1::pg_catalog.int2[]) AS p1) AS "
                    "u WHERE t.\"id\" = "
                    "u.p1::pg_catalog.int4");
    c->source_type.kind = 'd'; /* whose name the sink does not know */
    statement_net(t, NET_DELETE, NULL, NULL, false, false, &st);
    assert_sql(&st, "DELETE FROM ONLY \"s\".\"t\" AS t WHERE t.\"id\" = $1::smallint::pg_catalog.int4");
    free(c->sink_type.name);
    c->sink_type.name = mem_strdup("\"my.ext\".ltree");
    c->wire_oid = 0;
    c->wire_cast = false;
    statement_net(t, NET_DELETE, NULL, NULL, false, false, &st);
    assert_sql(
        &st, "DELETE FROM ONLY \"s\".\"t\" AS t WHERE t.\"id\" OPERATOR(\"my.ext\".=) $1::\"my.ext\".ltree");
    table_free(t);
}

/* --- a server --- */

static PGconn *test_pg;
static char last_state[6]; /* SQLSTATE of the last touch that failed */

static PGresult *run(const char *sql, ExecStatusType expected)
{
    PGresult *r = PQexec(test_pg, sql);
    if (PQresultStatus(r) != expected)
        fail_msg("%s: %s", sql, PQerrorMessage(test_pg));
    return r;
}

static void exec_sql(const char *sql)
{
    PGresult *r = PQexec(test_pg, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(test_pg));
    PQclear(r);
}

static void assert_query(const char *sql, const char *expected)
{
    PGresult *r = run(sql, PGRES_TUPLES_OK);
    assert_int_equal(PQntuples(r), 1);
    assert_string_equal(PQgetvalue(r, 0, 0), expected);
    PQclear(r);
}

#define SCHEMA "\"st '\"\"s\""

/* The table as pairing would describe it. `key`: names, comma-separated, "" for none. */
static struct table *table_load(const char *name, const char *key)
{
    const char *params[] = {"st '\"s", name, key};
    PGresult *r = PQexecParams(
        test_pg,
        "SELECT a.attname, quote_ident(n.nspname) || '.' || quote_ident(b.typname), b.oid, t.typtype, "
        "t.typcategory,"
        " t.oid, a.attnotnull, a.attidentity = 'a', coalesce(array_position(string_to_array($3, ','), "
        "a.attname::text), 0),"
        " c.relkind = 'p'"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace cn ON cn.oid = "
        "c.relnamespace"
        " JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN "
        "t.typbasetype"
        " ELSE t.oid END JOIN pg_namespace n ON n.oid = b.typnamespace"
        " WHERE cn.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        3, NULL, params, NULL, NULL, 0);
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    struct table *t = table_new();
    t->to_schema = mem_strdup(params[0]);
    t->to_name = mem_strdup(name);
    t->from = mem_strdup(name);
    t->column_count = (uint16_t)PQntuples(r);
    t->columns = mem_alloc(t->column_count * sizeof(*t->columns));
    t->key = mem_alloc(t->column_count * sizeof(*t->key));
    t->sink_key_arbiter = true;
    for (uint16_t i = 0; i < t->column_count; i++) {
        struct column *c = &t->columns[i];
        c->source = mem_strdup(PQgetvalue(r, i, 0));
        c->sink = mem_strdup(PQgetvalue(r, i, 0));
        c->sink_type = (struct type){.oid = (uint32_t)atol(PQgetvalue(r, i, 5)),
                                     .base_oid = (uint32_t)atol(PQgetvalue(r, i, 2)),
                                     .name = mem_strdup(PQgetvalue(r, i, 1)),
                                     .kind = *PQgetvalue(r, i, 3),
                                     .category = *PQgetvalue(r, i, 4)};
        c->not_null = *PQgetvalue(r, i, 6) == 't';
        c->sink_identity_always = *PQgetvalue(r, i, 7) == 't';
        int at = atoi(PQgetvalue(r, i, 8));
        if (at > 0) {
            t->key[at - 1] = i;
            t->key_count++;
            c->key = c->key_bytewise = true;
        }
        t->sink_has_arrays = t->sink_has_arrays || c->sink_type.category == 'A';
        t->sink_partitioned = *PQgetvalue(r, i, 9) == 't';
    }
    PQclear(r);
    return t;
}

static void prepares(const struct statement *st)
{
    PGresult *r = PQprepare(test_pg, "", buffer_text(&st->sql), 0, NULL);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        fail_msg("%s: %.400s", PQerrorMessage(test_pg), buffer_text(&st->sql));
    PQclear(r);
    r = PQdescribePrepared(test_pg, "");
    for (uint16_t i = 0; !st->set_based && i < st->param_count; i++)
        assert_int_equal(PQparamtype(r, i), st->params[i].oid);
    PQclear(r);
}

/* Runs it with these values, one a column (text; sets of one row get an array around it); rows touched. */
static int touch(struct statement *st, const char *const *old, const char *const *row, const char *more)
{
    const char *values[200];
    struct buffer arrays[200] = {{0}};
    assert_true(st->param_count < 198);
    for (uint16_t i = 0; i < st->param_count; i++) {
        values[i] = (st->params[i].from_key ? old : row)[st->params[i].column];
        if (!st->set_based)
            continue;
        sql_array(&arrays[i], &values[i], 1);
        values[i] = buffer_text(&arrays[i]);
    }
    values[st->param_count] = more;
    PGresult *r = PQexecParams(test_pg, buffer_text(&st->sql), st->param_count + (more != NULL), NULL, values,
                               NULL, NULL, 0);
    int touched = -1;
    if (PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK)
        touched = atoi(PQcmdTuples(r));
    else
        snprintf(last_state, sizeof(last_state), "%s", PQresultErrorField(r, PG_DIAG_SQLSTATE));
    PQclear(r);
    for (uint16_t i = 0; i < st->param_count; i++)
        buffer_free(&arrays[i]);
    statement_free(st);
    return touched;
}

static const char all_types[] =
    "CREATE TABLE " SCHEMA
    ".all_types (id int4 PRIMARY KEY, c1 varchar(5), c2 bpchar(3), c3 numeric(8,2), c4 bit(3),"
    " c5 varbit(5), c6 " SCHEMA ".short, c7 " SCHEMA ".\"Small Int\", c8 " SCHEMA ".mood, c9 " SCHEMA ".pair,"
    " c10 json, c11 jsonb, c12 xml, c13 point, c14 box, c15 polygon, c16 interval, c17 timestamptz, c18 "
    "uuid, c19 bytea,"
    " c20 money, c21 inet, c22 tsvector, c23 int4range, c24 name, c25 \"char\", c26 oid, c27 regclass, c28 "
    "float8,"
    " c29 st_ext.citext, c30 st_ext.ltree, c31 bool, c32 timetz, c33 text, c34 " SCHEMA ".bits)";

static const char *const all_values[] = {"1",
                                         "abcde",
                                         "ab",
                                         "12.50",
                                         "101",
                                         "10101",
                                         "abcde",
                                         "7",
                                         "it's \"ok\"",
                                         "(1,\"a,b\")",
                                         "{\"a\": 1.0}",
                                         "{\"a\": 1.00}",
                                         "<a>1</a>",
                                         "(1,2)",
                                         "(3,4),(1,2)",
                                         "((0,0),(1,1),(2,0))",
                                         "1 mon",
                                         "2024-02-29 12:00:00+00",
                                         "6b1d9f10-0d0c-4d4e-9f4f-0123456789ab",
                                         "\\x00ff",
                                         "$1.50",
                                         "10.0.0.0/8",
                                         "'a' 'b'",
                                         "[1,5)",
                                         "n",
                                         "x",
                                         "42",
                                         "pg_class",
                                         "0.1",
                                         "CiText",
                                         "a.b.c",
                                         "t",
                                         "12:00:00+02",
                                         "text",
                                         "101"};

static void each_form(struct table *t, const uint64_t *text_mask, bool set_based)
{
    struct statement st;
    assert_true(!set_based || statement_can_set(t, ALL, text_mask));
    for (int op = NET_DELETE; op <= NET_UPSERT; op++) {
        for (int expect = 0; expect < 2; expect++) {
            statement_net(t, (enum net_op)op, ALL, text_mask, set_based, expect, &st);
            prepares(&st);
            statement_free(&st);
        }
    }
    statement_reread(t, text_mask, set_based, true, &st);
    prepares(&st);
    statement_free(&st);
}

static void exact_forms(struct table *t)
{
    struct statement st;
    for (int op = CHANGE_INSERT; op <= CHANGE_DELETE; op++) {
        for (int full = t->key_count == 0; full < 2; full++) {
            statement_exact(t, (enum change_op)op, full, ALL, &st);
            prepares(&st);
            statement_free(&st);
        }
    }
}

static void pg_every_type(void **state)
{
    (void)state;
    exec_sql(all_types);
    struct table *t = table_load("all_types", "id");
    assert_int_equal(t->column_count, sizeof(all_values) / sizeof(all_values[0]));
    assert_false(statement_can_set(t, ALL, NULL)); /* a composite: unnest would make columns of its fields */
    const uint64_t composite_text[] = {1 << 9};
    each_form(t, composite_text, true);
    for (int set = 0; set < 2; set++) {
        struct statement st;
        const uint64_t *text_mask = set ? ALL : NULL;
        each_form(t, text_mask, set);
        statement_net(t, NET_INSERT, ALL, text_mask, set, false, &st);
        assert_int_equal(touch(&st, all_values, all_values, NULL), 1);
        statement_net(t, NET_INSERT, ALL, text_mask, set, false, &st);
        assert_int_equal(touch(&st, all_values, all_values, NULL), 0);
        statement_net(t, NET_UPDATE, ALL, text_mask, set, true, &st);
        assert_int_equal(touch(&st, all_values, all_values, "1"), 1);
        statement_net(t, NET_UPSERT, ALL, text_mask, set, false, &st);
        assert_int_equal(touch(&st, all_values, all_values, NULL), 1);
        statement_net(t, NET_DELETE, NULL, text_mask, set, true, &st);
        assert_int_equal(touch(&st, all_values, all_values, "2"), -1);
        assert_string_equal(last_state, "CF001");
        statement_net(t, NET_DELETE, NULL, text_mask, set, false, &st);
        assert_int_equal(touch(&st, all_values, all_values, NULL), 1);
    }
    exact_forms(t);
    for (uint16_t i = 1; i < t->column_count; i++) {
        t->columns[i].wire_oid = 25;
        t->columns[i].wire_cast = true;
    }
    assert_true(statement_can_set(t, ALL, NULL));
    exact_forms(t);
    for (int set = 0; set < 2; set++) {
        struct statement st;
        each_form(t, NULL, set);
        statement_net(t, NET_UPSERT, ALL, NULL, set, false, &st);
        assert_int_equal(touch(&st, all_values, all_values, NULL), 1);
    }
    table_free(t);
}

/* What is too long is refused in every form, never cut. */
static void pg_nothing_is_cut(void **state)
{
    (void)state;
    static const char *const good[] = {"1", "abcde", "ab", "12.50", "101", "10101", "abcde", "7", "101"};
    static const struct {
        int column;
        const char *value;
    } bad[] = {{1, "abcdef"}, {2, "abcd"},   {3, "1234567.00"}, {4, "1011"}, {4, "10"},
               {5, "101010"}, {6, "abcdef"}, {7, "100"},        {8, "1011"}, {8, "10"}};
    exec_sql("CREATE TABLE " SCHEMA
             ".cut (id int4 PRIMARY KEY, c1 varchar(5), c2 bpchar(3), c3 numeric(8,2), c4 bit(3),"
             " c5 varbit(5), c6 " SCHEMA ".short, c7 " SCHEMA ".\"Small Int\", c8 " SCHEMA ".bits)");
    struct table *t = table_load("cut", "id");
    struct statement st;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *row[9];
        memcpy(row, good, sizeof(good));
        row[bad[i].column] = bad[i].value;
        for (int form = 0; form < 4; form++) {
            if (form == 3)
                statement_exact(t, CHANGE_INSERT, false, ALL, &st);
            else
                statement_net(t, NET_INSERT, ALL, form ? ALL : NULL, form < 2, false, &st);
            assert_int_equal(touch(&st, row, row, NULL), -1);
            assert_true(strncmp(last_state, "22", 2) == 0 || strcmp(last_state, "23514") == 0);
        }
    }
    assert_query("SELECT count(*) FROM " SCHEMA ".cut", "0");
    statement_net(t, NET_INSERT, ALL, ALL, true, false, &st);
    assert_int_equal(touch(&st, good, good, NULL), 1);
    table_free(t);
}

/* Rows that = can't tell apart; of equal rows, one. */
static void pg_keyless(void **state)
{
    (void)state;
    exec_sql("TRUNCATE " SCHEMA ".all_types; ALTER TABLE " SCHEMA
             ".all_types DROP CONSTRAINT all_types_pkey");
    struct table *t = table_load("all_types", "");
    struct statement st;
    const char *other[64];
    memcpy(other, all_values, sizeof(all_values));
    other[11] = "{\"a\": 1.0}";
    other[16] = "30 days";
    other[14] = "(2,4),(0,2)";
    other[29] = "citext";
    other[33] = NULL;
    exact_forms(t);
    for (int i = 0; i < 4; i++) {
        statement_exact(t, CHANGE_INSERT, false, ALL, &st);
        assert_int_equal(touch(&st, NULL, i < 2 ? all_values : other, NULL), 1);
    }
    statement_exact(t, CHANGE_DELETE, true, NULL, &st);
    assert_int_equal(touch(&st, other, NULL, NULL), 1);
    assert_query("SELECT count(*) || ' ' || count(c33) FROM " SCHEMA ".all_types", "3 2");
    statement_exact(t, CHANGE_UPDATE, true, ALL, &st);
    assert_int_equal(touch(&st, all_values, other, NULL), 1);
    assert_query("SELECT count(*) || ' ' || count(c33) FROM " SCHEMA ".all_types", "3 1");
    for (int i = 0; i < 3; i++) {
        statement_exact(t, CHANGE_DELETE, true, NULL, &st);
        assert_int_equal(touch(&st, other, NULL, NULL), i < 2);
    }
    table_free(t);
}

static void pg_identity(void **state)
{
    (void)state;
    exec_sql("CREATE TABLE " SCHEMA ".ident (id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text)");
    exec_sql("CREATE TABLE " SCHEMA
             ".ident2 (id int4 PRIMARY KEY, a text, n int4 GENERATED ALWAYS AS IDENTITY)");
    struct table *t = table_load("ident", "id");
    struct table *u = table_load("ident2", "id");
    struct statement st;
    static const char *const one[] = {"1", "one", "1"}, *const two[] = {"2", "two", "1"},
                             *const odd[] = {"2", "x", "9"};
    uint64_t id_only[] = {1};
    each_form(t, NULL, true);
    each_form(u, NULL, true);
    exact_forms(t);
    exact_forms(u);
    statement_net(t, NET_INSERT, ALL, NULL, true, true, &st);
    assert_int_equal(touch(&st, one, one, "1"), 1);
    statement_exact(t, CHANGE_UPDATE, false, id_only, &st); /* key change; `a` is absent */
    assert_int_equal(touch(&st, one, two, NULL), 1);
    assert_query("SELECT id || a FROM " SCHEMA ".ident", "2one");
    statement_exact(t, CHANGE_UPDATE, false, ALL, &st);
    assert_int_equal(touch(&st, two, two, NULL), 1);
    assert_query("SELECT id || a FROM " SCHEMA ".ident", "2two");
    statement_exact(t, CHANGE_UPDATE, false, ALL, &st);
    assert_int_equal(touch(&st, one, one, NULL), 0);
    statement_net(u, NET_UPSERT, ALL, NULL, true, true, &st);
    assert_int_equal(touch(&st, two, two, "1"), 1);
    statement_net(u, NET_UPDATE, ALL, NULL, true, true, &st); /* n would change */
    assert_int_equal(touch(&st, odd, odd, "1"), -1);
    assert_string_equal(last_state, "CF001");
    statement_exact(u, CHANGE_UPDATE, false, ALL, &st);
    assert_int_equal(touch(&st, odd, odd, NULL), 1);
    assert_query("SELECT id || a || n FROM " SCHEMA ".ident2", "2x9");
    for (int form = 0; form < 4; form++) {
        const char *const *row = form % 2 ? odd : two;
        u->sink_key_arbiter = form < 2;
        each_form(u, NULL, form % 2);
        statement_net(u, NET_UPSERT, ALL, NULL, form % 2, false, &st);
        assert_int_equal(touch(&st, row, row, NULL), 1);
        assert_query("SELECT id || a || n FROM " SCHEMA ".ident2", form % 2 ? "2x9" : "2two1");
    }
    u->sink_key_arbiter = true;
    statement_net(u, NET_UPSERT, ALL, NULL, true, true, &st);
    assert_int_equal(touch(&st, two, two, "1"), 1);
    assert_query("SELECT id || a || n FROM " SCHEMA ".ident2", "2two1");
    table_free(t);
    table_free(u);
}

static void pg_arrays(void **state)
{
    (void)state;
    exec_sql("CREATE TABLE " SCHEMA ".arrays (id int4[] PRIMARY KEY, a text[], b " SCHEMA ".mood[])");
    struct table *t = table_load("arrays", "id");
    struct statement st;
    static const char *const row[] = {"{1,2}", "{\"a,b\",NULL}", "{sad}"};
    assert_false(statement_can_set(t, ALL, NULL));
    assert_true(statement_can_set(t, ALL, ALL));
    each_form(t, NULL, false);
    each_form(t, ALL, true);
    exact_forms(t);
    statement_net(t, NET_INSERT, ALL, ALL, true, true, &st);
    assert_int_equal(touch(&st, row, row, "1"), 1);
    statement_net(t, NET_UPDATE, ALL, NULL, false, true, &st);
    assert_int_equal(touch(&st, row, row, "1"), 1);
    assert_query("SELECT id::text || a::text || b::text FROM " SCHEMA ".arrays", "{1,2}{\"a,b\",NULL}{sad}");
    table_free(t);
}

static void pg_keys(void **state)
{
    (void)state;
    static const char *const types[] = {
        "numeric",   "varchar(5)",   "bpchar(5)",     "st_ext.citext", "st_ext.ltree", "uuid", "date",
        "int4range", SCHEMA ".mood", SCHEMA ".short", "bit(3)",        "\"char\"",     "oid"};
    static const char *const values[] = {
        "1.0", "ab", "ab",  "ab", "a.b", "6b1d9f10-0d0c-4d4e-9f4f-0123456789ab", "2024-01-01", "[1,2)",
        "sad", "ab", "101", "x",  "7"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct buffer sql = {0};
        buffer_printf(
            &sql, "DROP TABLE IF EXISTS " SCHEMA ".k; CREATE TABLE " SCHEMA ".k (v text, k %s PRIMARY KEY)",
            types[i]);
        exec_sql(buffer_text(&sql));
        buffer_free(&sql);
        struct table *t = table_load("k", "k");
        const char *row[] = {"v", values[i]};
        t->columns[1].key_bytewise = i > 3;
        for (int form = 0; form < 3; form++) {
            struct statement st;
            const uint64_t *text_mask = form == 2 ? ALL : NULL;
            each_form(t, text_mask, form > 0);
            statement_net(t, NET_UPSERT, ALL, text_mask, form > 0, true, &st);
            assert_int_equal(touch(&st, row, row, "1"), 1);
            statement_net(t, NET_UPDATE, ALL, text_mask, form > 0, true, &st);
            assert_int_equal(touch(&st, row, row, "1"), 1);
            statement_find(t, text_mask, true, &st);
            prepares(&st);
            assert_int_equal(touch(&st, row, row, NULL), 1);
            statement_net(t, NET_DELETE, NULL, text_mask, form > 0, true, &st);
            prepares(&st);
            assert_int_equal(touch(&st, row, row, "1"), 1);
        }
        table_free(t);
    }
}

static void pg_partitioned(void **state)
{
    (void)state;
    exec_sql("CREATE TABLE " SCHEMA ".p (id int4, a text, PRIMARY KEY (id)) PARTITION BY RANGE (id)");
    exec_sql("CREATE TABLE " SCHEMA ".p1 PARTITION OF " SCHEMA ".p FOR VALUES FROM (0) TO (10)");
    exec_sql("CREATE TABLE " SCHEMA ".p2 PARTITION OF " SCHEMA ".p FOR VALUES FROM (10) TO (20)");
    struct table *t = table_load("p", "id");
    struct statement st;
    static const char *const one[] = {"1", "a"}, *const eleven[] = {"11", "b"};
    each_form(t, NULL, true);
    each_form(t, NULL, false);
    exact_forms(t);
    statement_net(t, NET_UPSERT, ALL, NULL, true, true, &st);
    assert_int_equal(touch(&st, one, one, "1"), 1);
    statement_exact(t, CHANGE_UPDATE, false, ALL, &st);
    assert_int_equal(touch(&st, one, eleven, NULL), 1);
    statement_exact(t, CHANGE_DELETE, true, NULL, &st);
    assert_int_equal(touch(&st, eleven, NULL, NULL), 1);
    const struct table *list[] = {t};
    struct buffer sql = {0};
    statement_truncate(list, 1, false, &sql);
    exec_sql(buffer_text(&sql));
    buffer_free(&sql);
    table_free(t);
}

/* Children by inheritance are tables of their own on the source: a parent's statement leaves them alone. */
static void pg_inheritance(void **state)
{
    (void)state;
    exec_sql("CREATE TABLE " SCHEMA ".parent (id int4 PRIMARY KEY, a text)");
    exec_sql("CREATE TABLE " SCHEMA ".child () INHERITS (" SCHEMA ".parent)");
    exec_sql("INSERT INTO " SCHEMA ".child VALUES (1, 'child')");
    exec_sql("INSERT INTO " SCHEMA ".parent VALUES (1, 'parent')");
    struct table *t = table_load("parent", "id");
    struct statement st;
    static const char *const row[] = {"1", "new"};
    statement_net(t, NET_UPDATE, ALL, NULL, true, true, &st);
    assert_int_equal(touch(&st, row, row, "1"), 1);
    statement_net(t, NET_DELETE, NULL, NULL, false, true, &st);
    assert_int_equal(touch(&st, row, row, "1"), 1);
    assert_query("SELECT a FROM " SCHEMA ".parent", "child");
    table_free(t);
}

static void pg_only_key_columns(void **state)
{
    (void)state;
    exec_sql("CREATE TABLE " SCHEMA ".bare (id int4 PRIMARY KEY)");
    exec_sql("CREATE TABLE " SCHEMA ".none ()");
    struct table *t = table_load("bare", "id");
    struct table *none = table_load("none", "");
    struct statement st;
    static const char *const row[] = {"1"};
    each_form(t, NULL, true);
    each_form(t, NULL, false);
    exact_forms(t);
    exact_forms(none);
    statement_net(t, NET_UPDATE, ALL, NULL, true, true, &st);
    assert_int_equal(touch(&st, row, row, "0"), 1);
    statement_net(t, NET_UPSERT, ALL, NULL, true, false, &st);
    assert_int_equal(touch(&st, row, row, NULL), 1);
    statement_net(t, NET_UPDATE, ALL, NULL, true, false, &st);
    assert_int_equal(touch(&st, row, row, NULL), 1);
    table_free(t);
    table_free(none);
}

static int pg_setup(void **state)
{
    (void)state;
    const char *conninfo = getenv("CROSSFADE_TEST_PG");
    test_pg = PQconnectdb(conninfo);
    if (PQstatus(test_pg) != CONNECTION_OK) {
        print_error("%s", PQerrorMessage(test_pg));
        return -1;
    }
    exec_sql("SET client_min_messages = warning; SET search_path = ''");
    exec_sql("DROP SCHEMA IF EXISTS " SCHEMA " CASCADE; DROP SCHEMA IF EXISTS st_ext CASCADE");
    exec_sql("CREATE SCHEMA " SCHEMA "; CREATE SCHEMA st_ext");
    exec_sql("CREATE EXTENSION citext SCHEMA st_ext; CREATE EXTENSION ltree SCHEMA st_ext");
    exec_sql("CREATE DOMAIN " SCHEMA ".short AS varchar(5); CREATE DOMAIN " SCHEMA ".bits AS bit(3);"
             " CREATE DOMAIN " SCHEMA ".\"Small Int\" AS int4 CHECK (VALUE < 100);"
             " CREATE TYPE " SCHEMA ".mood AS ENUM ('sad', 'it''s \"ok\"'); CREATE TYPE " SCHEMA
             ".pair AS (a int4, b text)");
    exec_sql(
        "CREATE SCHEMA IF NOT EXISTS crossfade;"
        " CREATE TABLE IF NOT EXISTS crossfade.reread (pipeline text NOT NULL, table_name text NOT NULL,"
        " key text[] NOT NULL, PRIMARY KEY (pipeline, table_name, key));"
        " CREATE OR REPLACE FUNCTION crossfade.expect(p_rows bigint, p_expected bigint) RETURNS void "
        "LANGUAGE plpgsql"
        " IMMUTABLE AS $$ BEGIN IF p_rows IS DISTINCT FROM p_expected THEN RAISE EXCEPTION '% rows touched, %"
        " expected', p_rows, p_expected USING ERRCODE = 'CF001'; END IF; END $$");
    return 0;
}

static int pg_teardown(void **state)
{
    (void)state;
    exec_sql("DROP SCHEMA " SCHEMA " CASCADE; DROP SCHEMA st_ext CASCADE");
    PQfinish(test_pg);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_forms),
        cmocka_unit_test(scalar_forms),
        cmocka_unit_test(partitioned_and_quoted),
        cmocka_unit_test(casts),
    };
    const struct CMUnitTest pg_tests[] = {
        cmocka_unit_test(pg_every_type),       cmocka_unit_test(pg_nothing_is_cut),
        cmocka_unit_test(pg_keyless),          cmocka_unit_test(pg_identity),
        cmocka_unit_test(pg_arrays),           cmocka_unit_test(pg_keys),
        cmocka_unit_test(pg_partitioned),      cmocka_unit_test(pg_inheritance),
        cmocka_unit_test(pg_only_key_columns),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (getenv("CROSSFADE_TEST_PG"))
        failed += cmocka_run_group_tests(pg_tests, pg_setup, pg_teardown);
    return failed;
}
