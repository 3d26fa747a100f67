/* SPDX-License-Identifier: PostgreSQL
 *
 * The config reader: what it fills in, and what it says about everything it refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "model/config.h"

/* Lines 1 to 4; what a test adds stands in line 5. */
static const char head[] = "{ \"pipeline\": \"district\",\n"
                           "  \"legacy\": {\"conninfo\": \"dbname=old\"},\n"
                           "  \"target\": {\"conninfo\": \"dbname=new\"},\n"
                           "  \"redis\": {\"url\": \"redis://localhost\"}";

static char *with(const char *extra)
{
    struct buffer text = {0};
    buffer_printf(&text, "%s%s\n%s\n}\n", head, *extra ? "," : "", extra);
    return buffer_detach(&text);
}

static struct config *must_parse(const char *text)
{
    struct config *config;
    struct buffer problems = {0};
    struct error err;
    if (!config_parse("c.json", text, strlen(text), &config, &problems, &err))
        fail_msg("refused: %s", buffer_text(&problems));
    assert_int_equal(problems.length, 0);
    buffer_free(&problems);
    return config;
}

static struct config *must_parse_with(const char *extra)
{
    char *text = with(extra);
    struct config *config = must_parse(text);
    free(text);
    return config;
}

/* Every problem, as one text. */
static char *refused_bytes(const char *text, size_t length)
{
    struct config *config;
    struct buffer problems = {0};
    struct error err;
    assert_false(config_parse("c.json", text, length, &config, &problems, &err));
    assert_null(config);
    assert_int_equal(err.kind, ERROR_CONFIG);
    size_t first = strcspn(buffer_text(&problems), "\n");
    assert_int_equal(first, strlen(err.text));
    assert_memory_equal(err.text, buffer_text(&problems), first);
    return buffer_detach(&problems);
}

/* Exactly these lines. */
static void check_refused(const char *text, const char *wanted)
{
    char *problems = refused_bytes(text, strlen(text));
    assert_string_equal(problems, wanted);
    free(problems);
}

static void check_extra(const char *extra, const char *wanted)
{
    char *text = with(extra);
    char *problems = refused_bytes(text, strlen(text));
    assert_string_equal(problems, wanted);
    free(problems);
    free(text);
}

static void check_extra_holds(const char *extra, const char *wanted)
{
    char *text = with(extra);
    char *problems = refused_bytes(text, strlen(text));
    if (!strstr(problems, wanted))
        fail_msg("\"%s\" is not in: %s", wanted, problems);
    free(problems);
    free(text);
}

static void shortest_config_gets_all_defaults(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    struct config *c = must_parse_with("");
    assert_string_equal(c->path, "c.json");
    assert_string_equal(c->pipeline, "district");
    assert_int_equal(c->legacy_kind, LEGACY_POSTGRESQL);
    assert_string_equal(c->legacy_conninfo, "dbname='old'");
    assert_string_equal(c->target_conninfo, "dbname='new'");
    assert_string_equal(c->legacy_slot, "crossfade_district");
    assert_string_equal(c->legacy_publication, "crossfade_district");
    assert_string_equal(c->target_slot, "crossfade_district_reverse");
    assert_string_equal(c->target_publication, "crossfade_district_reverse");
    assert_string_equal(c->redis_url, "redis://localhost");
    assert_null(c->redis_password);
    assert_string_equal(c->http_listen, "127.0.0.1:8480");
    assert_true(c->all_tables);
    assert_int_equal(c->table_count, 0);
    assert_int_equal(c->names, NAMES_AS_IS);
    assert_int_equal(c->group_count, 0);
    assert_int_equal(c->backfill_workers, 2);
    assert_int_equal(c->backfill_chunk_rows, 0);
    assert_int_equal(c->backfill_rate_limit, 0);
    assert_int_equal(c->backfill_existing, EXISTING_REFUSE);
    assert_int_equal(c->backfill_indexes, INDEXES_DEFER);
    assert_int_equal(c->stream_batch_changes, 50000);
    assert_int_equal(c->stream_poll_interval_ms, 1000);
    assert_int_equal(c->stream_lanes, 0);
    assert_int_equal(c->lease_ttl_ms, 10000);
    assert_int_equal(c->memory_limit, INT64_C(256) << 20);
    assert_int_equal(c->park_limit, INT64_C(10) << 30);
    assert_int_equal(c->quarantine_limit, 1000);
    assert_true(c->max_deletes > 0.0099 && c->max_deletes < 0.0101);
    assert_int_equal(c->value_limit, INT64_C(256) << 20);
    assert_int_equal(c->connect_timeout_ms, 10000);
    assert_int_equal(c->log_level, LOG_LEVEL_INFO);
    assert_int_equal(c->log_format, LOG_FORMAT_TEXT);
    config_free(c);
}

static void every_value_is_read(void **state)
{
    (void)state;
    struct config *c = must_parse_with(
        "\"http\": {\"listen\": \"[::1]:9000\"}, \"names\": \"snake_case\", \"schemas\": {\"a.b\": "
        "\"public\"},"
        "\"backfill\": {\"workers\": 64, \"chunk_rows\": 5000, \"rate_limit\": \"20MB\", \"existing\": "
        "\"upsert\","
        "  \"indexes\": \"keep\"},"
        "\"stream\": {\"batch_changes\": 1, \"poll_interval\": \"500ms\", \"lanes\": 4},"
        "\"lease_ttl\": \"1min\", \"memory_limit\": 16777216, \"park_limit\": \"1TB\", \"quarantine_limit\": "
        "0,"
        "\"max_deletes\": 1, \"value_limit\": \"1kB\", \"connect_timeout\": \"2 s\","
        "\"log\": {\"level\": \"debug\", \"format\": \"json\"},"
        "\"tables\": [\"students\", {\"from\": \"s.staff\", \"to\": \"hr.staff\", \"key\": [\"a\", \"b\"],"
        "  \"existing\": \"truncate\", \"group\": \"hr\"}]");
    assert_string_equal(c->http_listen, "[::1]:9000");
    assert_int_equal(c->names, NAMES_SNAKE_CASE);
    assert_int_equal(c->schema_count, 1);
    assert_string_equal(c->schemas[0].from, "a.b");
    assert_string_equal(c->schemas[0].to, "public");
    assert_int_equal(c->backfill_workers, 64);
    assert_int_equal(c->backfill_chunk_rows, 5000);
    assert_int_equal(c->backfill_rate_limit, 20 << 20);
    assert_int_equal(c->backfill_existing, EXISTING_UPSERT);
    assert_int_equal(c->backfill_indexes, INDEXES_KEEP);
    assert_int_equal(c->stream_batch_changes, 1);
    assert_int_equal(c->stream_poll_interval_ms, 500);
    assert_int_equal(c->stream_lanes, 4);
    assert_int_equal(c->lease_ttl_ms, 60000);
    assert_int_equal(c->memory_limit, 16 << 20);
    assert_int_equal(c->park_limit, INT64_C(1) << 40);
    assert_int_equal(c->quarantine_limit, 0);
    assert_true(c->max_deletes > 0.999);
    assert_int_equal(c->value_limit, 1024);
    assert_int_equal(c->connect_timeout_ms, 2000);
    assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(c->log_format, LOG_FORMAT_JSON);
    assert_false(c->all_tables);
    assert_int_equal(c->table_count, 2);
    assert_string_equal(c->tables[0].from, "students");
    assert_null(c->tables[0].to);
    assert_null(c->tables[0].group);
    assert_int_equal(c->tables[0].existing, EXISTING_UPSERT);
    assert_int_equal(c->tables[0].line, 5);
    assert_string_equal(c->tables[1].to, "hr.staff");
    assert_int_equal(c->tables[1].key_count, 2);
    assert_string_equal(c->tables[1].key[1], "b");
    assert_int_equal(c->tables[1].existing, EXISTING_TRUNCATE);
    assert_string_equal(c->tables[1].group, "hr");
    assert_int_equal(c->group_count, 1);
    assert_string_equal(c->groups[0].name, "hr");
    config_free(c);
}

static void existing_of_the_pipeline_may_come_after_the_tables(void **state)
{
    (void)state;
    struct config *c = must_parse_with("\"tables\": [\"a\"], \"backfill\": {\"existing\": \"truncate\"}");
    assert_int_equal(c->tables[0].existing, EXISTING_TRUNCATE);
    config_free(c);
}

static void slots_and_publications_can_be_named(void **state)
{
    (void)state;
    struct config *c =
        must_parse("{\"pipeline\": \"p\", \"redis\": null,"
                   "\"legacy\": {\"conninfo\": \"dbname=a\", \"slot\": \"s1\", \"publication\": \"P 1\"},"
                   "\"target\": {\"conninfo\": \"dbname=b\", \"slot\": \"s2\", \"publication\": \"P2\"}}");
    assert_string_equal(c->legacy_slot, "s1");
    assert_string_equal(c->legacy_publication, "P 1");
    assert_string_equal(c->target_slot, "s2");
    assert_string_equal(c->target_publication, "P2");
    assert_null(c->redis_url);
    config_free(c);
}

static void redis_can_be_left_out(void **state)
{
    (void)state;
    struct config *c = must_parse("{\"pipeline\": \"p\", \"legacy\": {\"conninfo\": \"dbname=a\"},"
                                  "\"target\": {\"conninfo\": \"dbname=b\"}}");
    assert_null(c->redis_url);
    assert_null(c->redis_password);
    config_free(c);
}

static void http_can_be_turned_off(void **state)
{
    (void)state;
    static const char *const off[] = {"\"http\": null", "\"http\": {\"listen\": null}",
                                      "\"http\": {\"listen\": \"\"}"};
    for (size_t i = 0; i < 3; i++) {
        struct config *c = must_parse_with(off[i]);
        assert_null(c->http_listen);
        config_free(c);
    }
}

static void comments_are_fine_and_lines_stay_right(void **state)
{
    (void)state;
    struct config *c =
        must_parse_with("// \"names\": 1\n /* \"names\": 2, // */ \"names\": \"as_is\" // end");
    config_free(c);
    check_extra("/* one\n two\n three */ \"names\": \"x\"",
                "c.json:7: names: unknown value \"x\" - allowed: as_is, snake_case\n");
    c = must_parse_with("\"schemas\": {\"a//b\": \"/* c */\"}");
    assert_string_equal(c->schemas[0].from, "a//b");
    assert_string_equal(c->schemas[0].to, "/* c */");
    config_free(c);
}

static void every_problem_is_listed_in_order(void **state)
{
    (void)state;
    check_refused(
        "{\n"
        " \"pipeline\": \"1st\",\n"
        " \"legacy\": {\"conninfo\": \"dbname=a\", \"slot\": \"A\"},\n"
        " \"redis\": {\"url\": \"http://x\"},\n"
        " \"lease_ttl\": \"1ms\",\n"
        " \"wokers\": 1\n"
        "}\n",
        "c.json:1: (top level): required key \"target\" is missing - the database to reach, always "
        "PostgreSQL\n"
        "c.json:2: pipeline: not a good name - allowed: [a-z][a-z0-9_]{0,30}\n"
        "c.json:3: legacy.slot: not a good slot name - allowed: [a-z0-9_]{1,63}\n"
        "c.json:4: redis.url: not a Redis address - allowed: \"redis://host:port/db\" or "
        "\"unix:/path/redis.sock\"\n"
        "c.json:5: lease_ttl: out of range - allowed: 1s to 1h\n"
        "c.json:6: wokers: unknown key - allowed: pipeline, legacy, target, redis, http, tables, names, "
        "schemas, groups, backfill, stream, lease_ttl, memory_limit, park_limit, quarantine_limit, "
        "max_deletes, value_limit, connect_timeout, log\n");
}

static void too_many_problems_are_counted(void **state)
{
    (void)state;
    struct buffer extra = {0};
    for (int i = 0; i < 150; i++)
        buffer_printf(&extra, "%s\"zzzz%d\": 1", i ? ",\n" : "", i);
    check_extra_holds(buffer_text(&extra), "c.json: and 50 problems more\n");
    buffer_free(&extra);
}

static void unknown_keys_name_the_nearest(void **state)
{
    (void)state;
    check_extra(
        "\"backfill\": {\n\"worker\": 2}",
        "c.json:6: backfill.worker: unknown key - did you mean \"workers\" - allowed: workers, chunk_rows, "
        "rate_limit, existing, indexes\n");
    check_extra(
        "\"tables\": [{\"from\": \"a\", \"too\": \"b\"}]",
        "c.json:5: tables[0].too: unknown key - did you mean \"to\" - allowed: from, to, group, key, "
        "existing, capture, updated_at, overlap, soft_delete, time_zone, bad_text, trim_blanks, values\n");
    check_extra_holds("\"Memory_Limit\": 1", "did you mean \"memory_limit\"");
    check_extra("\"log\": {\"a.b\": 1}", "c.json:5: log.\"a.b\": unknown key - allowed: level, format\n");
}

static void missing_keys_are_named(void **state)
{
    (void)state;
    char *problems = refused_bytes("{}", 2);
    assert_string_equal(
        problems,
        "c.json:1: (top level): required key \"pipeline\" is missing - the pipeline's name, part of "
        "every name we create\n"
        "c.json:1: (top level): required key \"legacy\" is missing - the database to leave\n"
        "c.json:1: (top level): required key \"target\" is missing - the database to reach, always "
        "PostgreSQL\n");
    free(problems);
    check_refused("{\"pipeline\": \"p\",\n\"legacy\": {},\n\"target\": {},\n\"redis\": {}}",
                  "c.json:2: legacy: required key \"conninfo\" is missing - libpq connection string\n"
                  "c.json:3: target: required key \"conninfo\" is missing - libpq connection string, without "
                  "password\n"
                  "c.json:4: redis: required key \"url\" is missing - redis://host:port/db or unix:/path\n");
    check_extra_holds("\"tables\": [{\"to\": \"b\"}]",
                      "c.json:5: tables[0]: required key \"from\" is missing");
}

static void wrong_types_are_named(void **state)
{
    (void)state;
    check_extra("\"backfill\": []", "c.json:5: backfill: a list where an object is needed - allowed: {…}\n");
    check_extra("\"backfill\": null", "c.json:5: backfill: null where an object is needed - allowed: {…}\n");
    check_extra("\"backfill\": {\"workers\": \"2\"}",
                "c.json:5: backfill.workers: a string where a number is needed - allowed: 1 to 64\n");
    check_extra("\"lease_ttl\": 10",
                "c.json:5: lease_ttl: a number where a duration is needed - allowed: text with a unit, as in "
                "\"10s\"\n");
    check_extra(
        "\"memory_limit\": true",
        "c.json:5: memory_limit: true or false where a size is needed - allowed: bytes, or text with a unit, "
        "as in \"64MB\"\n");
    check_extra("\"names\": {}",
                "c.json:5: names: an object where a string is needed - allowed: as_is, snake_case\n");
    check_extra("\"max_deletes\": \"1%\"",
                "c.json:5: max_deletes: a string where a number is needed - allowed: 0 to 1\n");
    check_extra(
        "\"http\": {\"listen\": 8480}",
        "c.json:5: http.listen: a number where a string is needed - address and port; empty or null: off\n");
    check_extra("\"schemas\": [\"a\"]",
                "c.json:5: schemas: a list where an object is needed - allowed: {\"legacy schema\": \"target "
                "schema\"}\n");
    check_refused("[]", "c.json:1: (top level): a list where an object is needed - allowed: {…}\n");
    check_refused("\"x\"", "c.json:1: (top level): a string where an object is needed - allowed: {…}\n");
}

static void ranges_are_checked_at_both_ends(void **state)
{
    (void)state;
    static const struct {
        const char *good;
        const char *bad;
        const char *wanted;
    } cases[] = {
        {"\"backfill\": {\"workers\": 1}", "\"backfill\": {\"workers\": 0}", "allowed: 1 to 64"},
        {"\"backfill\": {\"workers\": 64}", "\"backfill\": {\"workers\": 65}", "allowed: 1 to 64"},
        {"\"backfill\": {\"workers\": 2.0}", "\"backfill\": {\"workers\": 2.5}",
         "not a whole number - allowed: 1"},
        {"\"stream\": {\"lanes\": 64}", "\"stream\": {\"lanes\": -1}",
         "stream.lanes: out of range - allowed: 0 to 64"},
        {"\"stream\": {\"lanes\": 0}", "\"stream\": {\"lanes\": 1e300}", "out of range - allowed: 0 to 64"},
        {"\"stream\": {\"lanes\": 0}", "\"stream\": {\"lanes\": 1e999}", "out of range"},
        {"\"stream\": {\"lanes\": 0}", "\"stream\": {\"lanes\": -9e18}", "out of range"},
        {"\"lease_ttl\": \"1s\"", "\"lease_ttl\": \"999ms\"", "allowed: 1s to 1h"},
        {"\"lease_ttl\": \"1h\"", "\"lease_ttl\": \"61min\"", "allowed: 1s to 1h"},
        {"\"memory_limit\": \"16MB\"", "\"memory_limit\": 16777215", "allowed: 16MB to 1TB"},
        {"\"memory_limit\": \"1TB\"", "\"memory_limit\": \"99999999999999999999GB\"", "too large to count"},
        {"\"memory_limit\": \"16MB\"", "\"memory_limit\": \"16mb\"",
         "of unknown unit - allowed: a whole number of"},
        {"\"memory_limit\": \"16MB\"", "\"memory_limit\": \"\"", "not a size - allowed: "},
        {"\"max_deletes\": 0", "\"max_deletes\": -0.1", "max_deletes: out of range - allowed: 0 to 1"},
        {"\"max_deletes\": 1.0", "\"max_deletes\": 1.01", "allowed: 0 to 1"},
        {"\"connect_timeout\": \"100ms\"", "\"connect_timeout\": 0", "allowed: 100ms to 1h"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        config_free(must_parse_with(cases[i].good));
        check_extra_holds(cases[i].bad, cases[i].wanted);
    }
}

static void duplicate_keys_are_refused(void **state)
{
    (void)state;
    check_extra("\"names\": \"as_is\",\n\"names\": \"snake_case\"",
                "c.json:6: names: duplicate key - remove one of them\n");
    check_extra("\"names\": \"as_is\",\n\"nam\\u0065s\": \"as_is\"",
                "c.json:6: names: duplicate key - remove one of them\n");
    check_extra("\"log\": {\"level\": \"info\",\n \"level\": \"info\"}",
                "c.json:6: log.level: duplicate key - remove one of them\n");
    check_extra("\"pipeline\": \"other\"", "c.json:5: pipeline: duplicate key - remove one of them\n");
    check_extra("\"groups\": {\"g\": {\"tables\": [\"a\"]},\n \"g\": {\"tables\": [\"b\"]}}",
                "c.json:6: groups.g: duplicate key - remove one of them\n");
    check_extra("\"tables\": [\"a\"],\n\"tables\": [\"b\"]",
                "c.json:6: tables: duplicate key - remove one of them\n");
}

static void tables_are_listed_once(void **state)
{
    (void)state;
    check_extra(
        "\"tables\": [\"students\",\n {\"from\": \"public.students\"}]",
        "c.json:6: tables[1]: table \"public.students\" is listed twice, first in line 5 - remove one\n");
    check_extra(
        "\"tables\": [{\"from\": \"a\", \"to\": \"x\"},\n {\"from\": \"b\", \"to\": \"x\"}]",
        "c.json:6: tables[1]: target table \"x\" is named twice, first in line 5 - merging tables is not "
        "available in this version\n");
    check_extra("\"tables\": []",
                "c.json:5: tables: an empty list where tables are needed - allowed: \"all\", or a "
                "list of names and {\"from\": …}\n");
    check_extra_holds("\"tables\": \"students\"",
                      "tables: a string where tables are needed - allowed: \"all\"");
    check_extra_holds("\"tables\": [1]", "tables[0]: a number where a table is needed");
    check_extra_holds("\"tables\": [\"\"]", "tables[0]: not a table's name");
    check_extra_holds("\"tables\": [{\"from\": \"a\", \"key\": []}]",
                      "tables[0].key: an empty list where a list");
    check_extra_holds("\"tables\": [{\"from\": \"a\", \"key\": [\"i\", \"i\"]}]",
                      "tables[0].key[1]: is in this list already");
    check_extra_holds("\"tables\": [{\"from\": \"a\", \"group\": \"No\"}]",
                      "tables[0].group: not a good name - allowed: [a-z][a-z0-9_]{0,30}");
}

static void groups_take_their_tables(void **state)
{
    (void)state;
    struct config *c =
        must_parse_with("\"tables\": [\"a\", \"public.b\", {\"from\": \"c\", \"group\": \"two\"}, \"d\"],"
                        "\"groups\": {\"one\": {\"tables\": [\"public.a\", \"b\"]}, \"two\": {}}");
    assert_int_equal(c->group_count, 2);
    assert_int_equal(c->groups[0].table_count, 2);
    assert_int_equal(c->groups[0].direction, DIRECTION_FORWARD);
    assert_string_equal(c->tables[0].group, "one");
    assert_string_equal(c->tables[1].group, "one");
    assert_string_equal(c->tables[2].group, "two");
    assert_null(c->tables[3].group);
    config_free(c);
    c = must_parse_with("\"groups\": {\"one\": {\"tables\": [\"x\"], \"direction\": \"forward\"}}");
    assert_true(c->all_tables);
    assert_string_equal(c->groups[0].tables[0], "x");
    config_free(c);
}

static void groups_that_do_not_hang_together_are_refused(void **state)
{
    (void)state;
    check_extra(
        "\"groups\": {\"one\": {\"tables\": [\"a\"]},\n \"two\": {\"tables\": [\"public.a\"]}}",
        "c.json:6: groups.two.tables[0]: table \"public.a\" is in group \"one\" already - a table is in one "
        "group\n");
    check_extra(
        "\"tables\": [{\"from\": \"a\", \"group\": \"two\"}],\n"
        "\"groups\": {\"one\": {\"tables\": [\"a\"]}, \"two\": {}}",
        "c.json:6: groups.one.tables[0]: table \"a\" names group \"two\" in its own entry - a table is in "
        "one group\n");
    check_extra(
        "\"tables\": [{\"from\": \"a\",\n \"group\": \"tow\"}], \"groups\": {\"two\": {\"tables\": [\"a\"]}}",
        "c.json:6: groups.two.tables[0]: table \"a\" names group \"tow\" in its own entry - a table is in "
        "one group\n"
        "c.json:6: tables[0].group: no group \"tow\" under \"groups\" - allowed: two\n");
    check_extra(
        "\"tables\": [\"a\"],\n\"groups\": {\"one\": {\"tables\": [\"a\", \"b\"]}}",
        "c.json:6: groups.one.tables[1]: table \"b\" is not in \"tables\" - add it there, or remove it "
        "here\n");
    check_extra("\"groups\": {\"One\": {\"tables\": [\"a\"]}}",
                "c.json:5: groups.One: not a good group name - allowed: [a-z][a-z0-9_]{0,30}\n");
    check_extra("\"groups\": {\"one\": {}}",
                "c.json:5: groups.one: a group without tables - list them under \"tables\", or remove it\n");
    check_extra_holds("\"groups\": {}", "groups: an empty object where groups are needed");
    check_extra_holds("\"groups\": {\"one\": []}", "groups.one: a list where an object is needed");
}

static void names_have_their_pattern(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "A",   "1a", "_a",
                                      "a-b", "a b", "ä",  "abcdefghijklmnopqrstuvwxyz012345"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct buffer text = {0};
        buffer_printf(&text,
                      "{\"pipeline\": \"%s\", \"redis\": null, \"legacy\": {\"conninfo\": \"dbname=a\"},"
                      "\"target\": {\"conninfo\": \"dbname=b\"}}",
                      bad[i]);
        char *problems = refused_bytes(text.data, text.length);
        assert_non_null(strstr(problems, "c.json:1: pipeline: "));
        free(problems);
        buffer_free(&text);
    }
}

static void later_features_are_refused_not_ignored(void **state)
{
    (void)state;
    static const char *const later[] = {
        "\"mapping\": \"m.json\"",
        "\"reconcile\": {}",
        "\"tables\": [{\"from\": \"a\", \"columns\": {}}]",
        "\"tables\": [{\"from\": \"a\", \"where\": \"x\"}]",
        "\"tables\": [{\"from\": \"a\", \"each\": \"x\"}]",
        "\"tables\": [{\"from\": \"a\", \"capture\": \"rowversion\"}]",
        "\"groups\": {\"g\": {\"tables\": [\"a\"], \"following\": \"writable\"}}",
        "\"groups\": {\"g\": {\"tables\": [\"a\"], \"direction\": \"both\"}}",
    };
    for (size_t i = 0; i < sizeof(later) / sizeof(*later); i++)
        check_extra_holds(later[i], "not available in this version");
    check_refused("{\"pipeline\": \"p\", \"redis\": null, \"target\": {\"conninfo\": \"dbname=b\"},\n"
                  "\"legacy\": {\"kind\": \"csv\", \"directory\": \"/in\"}}",
                  "c.json:2: legacy.kind: \"csv\" is not available in this version, which can't run it yet - "
                  "allowed: postgresql, sqlserver\n");
    check_refused(
        "{\"pipeline\": \"p\", \"redis\": null, \"target\": {\"conninfo\": \"dbname=b\"},\n"
        "\"legacy\": {\"conninfo\": \"dbname=a\",\n \"host\": \"h\", \"capture\": \"cdc\"}}",
        "c.json:3: legacy.host: belongs to kind sqlserver, not to this one - remove it\n"
        "c.json:3: legacy.capture: \"cdc\" is not available in this version, which can't run it yet - "
        "allowed: logical, timestamp, snapshot\n");
}

/* A whole config with that as the legacy's members. */
static char *legacy(const char *members)
{
    struct buffer text = {0};
    buffer_printf(&text,
                  "{\"pipeline\": \"p\", \"redis\": null, \"target\": {\"conninfo\": \"dbname=b\"},\n"
                  "\"legacy\": {%s}}",
                  members);
    return buffer_detach(&text);
}

static void literal_passwords_are_refused_and_never_repeated(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\"conninfo\": \"dbname=a password=hunter2\"",
        "\"conninfo\": \"dbname=a password = 'hunter2'\"",
        "\"conninfo\": \"postgresql://u:hunter2@h/a\"",
        "\"conninfo\": \"postgres://h/a?password=hunter2\"",
        "\"conninfo\": \"dbname=a sslpassword=hunter2\"",
        "\"conninfo\": \"dbname=a password=my hunter2\"",
        "\"conninfo\": \"dbname=a pass hunter2\"",
        "\"conninfo\": \"postgresql://u:hunter2@h:port/a\"",
        "\"conninfo\": \"dbname=a\", \"password\": \"hunter2\"",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char *text = legacy(bad[i]);
        char *problems = refused_bytes(text, strlen(text));
        assert_null(strstr(problems, "hunter2"));
        if (!strstr(problems, "c.json:2: legacy."))
            fail_msg("%s: %s", bad[i], problems);
        assert_non_null(strstr(problems, "password"));
        free(problems);
        free(text);
    }
    char *text = legacy(bad[0]);
    check_refused(text,
                  "c.json:2: legacy.conninfo: a literal password is refused - write \"password\": "
                  "\"env:NAME\", \"file:PATH\" or \"credential:NAME\" beside it, or use PGPASSFILE or a "
                  "service file\n");
    free(text);
    check_refused(
        "{\"pipeline\": \"p\", \"legacy\": {\"conninfo\": \"dbname=a\"},"
        "\"target\": {\"conninfo\": \"dbname=b\"},\n\"redis\": {\"url\": \"redis://:hunter2@h/0\"}}",
        "c.json:2: redis.url: a user or literal password is refused here - write \"password\": "
        "\"env:NAME\", \"file:PATH\" or \"credential:NAME\" beside it\n");
}

static void secrets_are_joined_quoted(void **state)
{
    (void)state;
    setenv("CF_TEST_SECRET", "it's a\\b", 1);
    char *text = legacy("\"conninfo\": \"host=h dbname='my db'\", \"password\": \"env:CF_TEST_SECRET\"");
    struct config *c = must_parse(text);
    assert_string_equal(c->legacy_conninfo, "dbname='my db' host='h' password='it\\'s a\\\\b'");
    config_free(c);
    free(text);
    text = legacy(
        "\"conninfo\": \"postgresql://u@h:5433/a?sslmode=require\", \"password\": \"env:CF_TEST_SECRET\"");
    c = must_parse(text);
    assert_non_null(strstr(c->legacy_conninfo, "port='5433'"));
    assert_non_null(strstr(c->legacy_conninfo, "sslmode='require'"));
    assert_non_null(strstr(c->legacy_conninfo, "password='it\\'s a\\\\b'"));
    config_free(c);
    free(text);
    text = legacy("\"conninfo\": \"dbname=${HOME}\"");
    c = must_parse(text);
    assert_string_equal(c->legacy_conninfo, "dbname='${HOME}'");
    config_free(c);
    free(text);
    c = must_parse(
        "{\"pipeline\": \"p\", \"legacy\": {\"conninfo\": \"dbname=a\"}, \"target\": {\"conninfo\": "
        "\"dbname=b\"}, \"redis\": {\"url\": \"unix:/run/r.sock\", \"password\": \"env:CF_TEST_SECRET\"}}");
    assert_string_equal(c->redis_password, "it's a\\b");
    config_free(c);
    unsetenv("CF_TEST_SECRET");
}

static void missing_secrets_are_named(void **state)
{
    (void)state;
    unsetenv("CF_TEST_NONE");
    unsetenv("CREDENTIALS_DIRECTORY");
    char *text = legacy("\"conninfo\": \"dbname=a\",\n\"password\": \"env:CF_TEST_NONE\"");
    check_refused(text, "c.json:3: legacy.password: environment variable CF_TEST_NONE is not set\n");
    free(text);
    text = legacy("\"conninfo\": \"dbname=a\", \"password\": \"file:/nowhere/at/all\"");
    check_refused(text,
                  "c.json:2: legacy.password: secret file /nowhere/at/all cannot be opened: No such file or "
                  "directory\n");
    free(text);
    text = legacy("\"conninfo\": \"dbname=a\", \"password\": \"credential:pw\"");
    check_refused(
        text, "c.json:2: legacy.password: credential pw is not there: $CREDENTIALS_DIRECTORY is not set - "
              "start it as a systemd unit with LoadCredential=pw:…\n");
    free(text);
    text = legacy("\"conninfo\": \"dbname=a\", \"password\": 5");
    check_refused(
        text, "c.json:2: legacy.password: a number where a string is needed - where the password is kept\n");
    free(text);
}

static void conninfo_is_checked(void **state)
{
    (void)state;
    char *text = legacy("\"conninfo\": \"dbnam=a\"");
    check_refused(text, "c.json:2: legacy.conninfo: not a libpq connection string: invalid connection option "
                        "\"dbnam\"\n");
    free(text);
    text = legacy("\"conninfo\": \" \"");
    check_refused(text, "c.json:2: legacy.conninfo: is empty - write at least a database: \"dbname=…\"\n");
    free(text);
    text = legacy("\"conninfo\": \"dbname=a replication=database\"");
    check_refused(text, "c.json:2: legacy.conninfo: \"replication\" is set where it is needed - remove it\n");
    free(text);
}

static void addresses_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"redis://h",           "redis://h/",
                                       "redis://h:6379/0",    "redis://[::1]:6379/15",
                                       "redis://127.0.0.1/3", "unix:/run/redis.sock"};
    static const char *const bad[] = {
        "",           "redis://",        "redis://:6379", "redis://h:0",  "redis://h:65536",
        "redis://h:", "redis://h/x",     "redis://[::1",  "rediss://h",   "unix:redis.sock",
        "h:6379",     "redis://h:12 /0", "unix:",         "redis://h/0/1"};
    static const char *const bad_listen[] = {"8480",  ":8480", "h:", "h:0", "h:65536", "h:99999999999999",
                                             "[::1]", "a b:1"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good) + sizeof(bad) / sizeof(*bad); i++) {
        bool is_good = i < sizeof(good) / sizeof(*good);
        struct buffer text = {0};
        buffer_printf(&text,
                      "{\"pipeline\": \"p\", \"legacy\": {\"conninfo\": \"dbname=a\"},"
                      "\"target\": {\"conninfo\": \"dbname=b\"}, \"redis\": {\"url\": \"%s\"}}",
                      is_good ? good[i] : bad[i - sizeof(good) / sizeof(*good)]);
        if (is_good) {
            config_free(must_parse(text.data));
        } else {
            char *problems = refused_bytes(text.data, text.length);
            assert_non_null(strstr(problems, "c.json:1: redis.url: "));
            assert_non_null(
                strstr(problems, "allowed: \"redis://host:port/db\" or \"unix:/path/redis.sock\""));
            free(problems);
        }
        buffer_free(&text);
    }
    for (size_t i = 0; i < sizeof(bad_listen) / sizeof(*bad_listen); i++) {
        struct buffer extra = {0};
        buffer_printf(&extra, "\"http\": {\"listen\": \"%s\"}", bad_listen[i]);
        check_extra_holds(extra.data, "c.json:5: http.listen: not an address - allowed: \"address:port\"");
        buffer_free(&extra);
    }
}

static void what_is_not_json_is_refused_with_its_place(void **state)
{
    (void)state;
    check_refused("{\n \"a\": 1,\n}", "c.json:2:8: a comma with nothing behind it - remove it\n");
    check_refused("{\n \"a\" 1}", "c.json:2:6: unexpected '1' - expected ':' behind the key\n");
    check_refused("", "c.json:1:1: nothing in it - expected {…}\n");
    check_refused("{} x", "c.json:1:4: unexpected 'x' - expected nothing behind the value\n");
    check_refused("/* open", "c.json:1:1: a comment begins here and has no end - close it with */\n");
    check_refused("{\"a\": \"b\n\"}",
                  "c.json:1:7: a string begins here and has no end on its line - close it with "
                  "\"\n");
    char *problems = refused_bytes("{\n\"a\0\": 1}", 10);
    assert_string_equal(problems,
                        "c.json:2:3: a NUL byte - the file is no text, or UTF-16 - save it as UTF-8\n");
    free(problems);
    check_refused("{\"\xC3\x28\": 1}",
                  "c.json:1:3: bytes that are not valid UTF-8 - save the file as UTF-8\n");
}

static void a_text_cut_off_anywhere_is_refused(void **state)
{
    (void)state;
    char *text = with("\"tables\": [\"ä\", {\"from\": \"b\\u00e4\", \"key\": [\"k\"]}], // c\n"
                      "\"max_deletes\": 0.25, \"log\": {\"level\": \"info\"} /* end */");
    size_t whole = strlen(text) - 1; /* the newline behind the last brace may go */
    config_free(must_parse(text));
    for (size_t n = 0; n < whole; n++) {
        char *cut = mem_strndup(text, n);
        char *problems = refused_bytes(cut, n);
        assert_non_null(strstr(problems, "c.json:"));
        free(problems);
        free(cut);
    }
    free(text);
}

static void a_nul_anywhere_is_refused(void **state)
{
    (void)state;
    char *text = with("\"names\": \"as_is\"");
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        char was = text[i];
        text[i] = '\0';
        char *problems = refused_bytes(text, length);
        assert_non_null(strstr(problems, ": a NUL byte"));
        free(problems);
        text[i] = was;
    }
    free(text);
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 500000; i++)
        buffer_putc(&text, '[');
    char *problems = refused_bytes(text.data, text.length);
    assert_string_equal(problems, "c.json:1:33: nested more than 32 deep\n");
    free(problems);
    buffer_free(&text);
}

/* At the size limit, with as much in it as fits: every quadratic step would show. */
static void a_megabyte_of_small_things_is_read_quickly(void **state)
{
    (void)state;
    struct buffer text = {0};
    buffer_puts(&text, head);
    buffer_puts(&text, ", \"tables\": [");
    for (int i = 0; text.length < 1000000; i++)
        buffer_printf(&text, "%s\"t%d\"", i ? "," : "", i);
    buffer_puts(&text, "]}");
    struct config *c = must_parse(text.data);
    assert_true(c->table_count > 90000);
    config_free(c);
    buffer_free(&text);
}

static char scratch[] = "/tmp/cf-config-XXXXXX";

static void files_that_are_no_config_are_refused(void **state)
{
    (void)state;
    struct config *config;
    struct buffer problems = {0};
    struct error err;
    char path[64];
    snprintf(path, sizeof(path), "%s/none.json", scratch);
    assert_false(config_read(path, &config, &problems, &err));
    assert_non_null(strstr(problems.data, "none.json: cannot be opened: No such file or directory\n"));
    assert_int_equal(err.kind, ERROR_CONFIG);
    buffer_clear(&problems);
    assert_false(config_read(scratch, &config, &problems, &err));
    assert_non_null(strstr(problems.data, ": not a regular file\n"));
    buffer_clear(&problems);
    snprintf(path, sizeof(path), "%s/fifo", scratch);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(config_read(path, &config, &problems, &err)); /* does not wait for a writer */
    assert_non_null(strstr(problems.data, "fifo: not a regular file\n"));
    unlink(path);
    assert_false(config_read("/dev/zero", &config, NULL, &err));
    assert_string_equal(err.text, "/dev/zero: not a regular file");
    buffer_free(&problems);
}

static void a_file_of_50_mb_is_refused_without_memory(void **state)
{
    (void)state;
    struct config *config;
    struct error err;
    char path[64];
    snprintf(path, sizeof(path), "%s/big.json", scratch);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    char piece[65536];
    memset(piece, ' ', sizeof(piece));
    for (int i = 0; i < 800; i++)
        assert_int_equal(write(fd, piece, sizeof(piece)), sizeof(piece));
    close(fd);
    struct rusage before;
    struct rusage after;
    getrusage(RUSAGE_SELF, &before);
    assert_false(config_read(path, &config, NULL, &err));
    getrusage(RUSAGE_SELF, &after);
    unlink(path);
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(
        strstr(err.text, "big.json: 52428800 bytes are too many for a config - allowed: up to 1 MB"));
    assert_true(after.ru_maxrss - before.ru_maxrss < 1024); /* kB */
}

static void a_file_is_read(void **state)
{
    (void)state;
    struct config *config;
    struct error err;
    char path[64];
    char *text = with("");
    snprintf(path, sizeof(path), "%s/good.json", scratch);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "\xEF\xBB\xBF%s", text); /* a byte order mark does no harm */
    fclose(f);
    assert_true(config_read(path, &config, NULL, &err));
    assert_string_equal(config->path, path);
    config_free(config);
    unlink(path);
    free(text);
}

static void put_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void two_pipelines_of_one_name_are_refused(void **state)
{
    (void)state;
    struct config *config;
    struct error err;
    char dir[64];
    char mine[96];
    char other[96];
    char copy[96];
    char broken[96];
    char wanted[400];
    snprintf(dir, sizeof(dir), "%s/crossfade", scratch);
    snprintf(mine, sizeof(mine), "%s/mine.json", dir);
    snprintf(copy, sizeof(copy), "%s/copy.json", dir);
    snprintf(other, sizeof(other), "%s/other.json", dir);
    snprintf(broken, sizeof(broken), "%s/broken.json", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    char *text = with("");
    put_text(mine, text);
    put_text(copy, text); /* the same databases: fine */
    put_text(broken, "{");
    assert_true(config_read(mine, &config, NULL, &err));
    config_free(config);
    put_text(other, "{\n\"pipeline\": \"district\", \"legacy\": {\"conninfo\": \"dbname=x\"}}");
    assert_false(config_read(mine, &config, NULL, &err));
    snprintf(wanted, sizeof(wanted),
             "%s:1: pipeline: duplicate pipeline: \"district\" is for other databases in %s:2 - give each a "
             "name of "
             "its own",
             mine, other);
    assert_string_equal(err.text, wanted);
    put_text(other, "{\"pipeline\": \"district2\"}");
    assert_true(config_read(mine, &config, NULL, &err));
    config_free(config);
    free(text);
    unlink(mine);
    unlink(copy);
    unlink(other);
    unlink(broken);
    assert_int_equal(rmdir(dir), 0);
}

static void what_is_repeated_is_printable(void **state)
{
    (void)state;
    check_extra("\"names\": \"a\\u001b[2J\\n\\u009b\"",
                "c.json:5: names: unknown value \"a\\x1b[2J\\n\\u009b\" - allowed: as_is, snake_case\n");
    check_extra("\"log\": {\"\\u0007\": 1}",
                "c.json:5: log.\"\\x07\": unknown key - allowed: level, format\n");
    char *text = with("\"names\": \"ääääääääääääääääääääääääääääääxä\"");
    char *problems = refused_bytes(text, strlen(text));
    for (size_t at = 0; problems[at];) {
        size_t n = utf8_length(problems + at, strlen(problems + at));
        assert_true(n > 0);
        at += n;
    }
    free(problems);
    free(text);
}

static void a_megabyte_of_wrong_things_is_refused_quickly(void **state)
{
    (void)state;
    struct buffer text = {0};
    buffer_putc(&text, '{');
    for (int i = 0; text.length < 1000000; i++)
        buffer_printf(&text, "%s\"worker%d\":%d", i ? "," : "", i % 1000, i);
    buffer_putc(&text, '}');
    char *problems = refused_bytes(text.data, text.length);
    assert_non_null(strstr(problems, "problems more\n"));
    free(problems);
    buffer_free(&text);
}

static void a_reload_tells_what_takes_effect(void **state)
{
    (void)state;
    setenv("CF_TEST_SECRET", "hunter2", 1);
    struct config *old = must_parse_with("\"tables\": [\"a\"]");
    struct config *same = must_parse_with("\"tables\": [\"a\"]");
    struct buffer changed = {0};
    struct buffer ignored = {0};
    config_diff(old, same, &changed, &ignored);
    assert_int_equal(changed.length, 0);
    assert_int_equal(ignored.length, 0);
    struct config *new = must_parse(
        "{\"pipeline\": \"district\", \"legacy\": {\"conninfo\": \"dbname=old\", \"password\": "
        "\"env:CF_TEST_SECRET\"},"
        "\"target\": {\"conninfo\": \"dbname=new\"}, \"redis\": {\"url\": \"redis://localhost\"},"
        "\"tables\": [\"a\", \"b\"], \"backfill\": {\"rate_limit\": \"20MB\", \"workers\": 3}, \"http\": "
        "null,"
        "\"log\": {\"level\": \"debug\"}, \"max_deletes\": 0.5, \"groups\": {\"g\": {\"tables\": [\"a\"]}}}");
    config_diff(old, new, &changed, &ignored);
    assert_string_equal(buffer_text(&changed), "backfill.rate_limit: 0 -> 20MB\nlog.level: info -> debug\n");
    assert_string_equal(buffer_text(&ignored), "http.listen: 127.0.0.1:8480 -> none\n"
                                               "backfill.workers: 2 -> 3\n"
                                               "max_deletes: 0.01 -> 0.5\n"
                                               "legacy.conninfo or legacy.password: changed\n"
                                               "tables: changed\n"
                                               "groups: changed\n");
    buffer_free(&changed);
    buffer_free(&ignored);
    config_free(old);
    config_free(same);
    config_free(new);
    unsetenv("CF_TEST_SECRET");
}

static void a_reload_compares_what_it_does_not_show(void **state)
{
    (void)state;
    setenv("CF_TEST_SECRET", "hunter2", 1);
    struct config *old = must_parse_with("\"schemas\": {\"a\": \"b\"}");
    struct config *new =
        must_parse("{\"pipeline\": \"district\", \"legacy\": {\"conninfo\": \"dbname=old\"},"
                   "\"target\": {\"conninfo\": \"dbname=new\", \"password\": \"env:CF_TEST_SECRET\"},"
                   "\"redis\": {\"url\": \"redis://localhost\", \"password\": \"env:CF_TEST_SECRET\"},"
                   "\"schemas\": {\"a\": \"c\"}}");
    struct buffer changed = {0};
    struct buffer ignored = {0};
    config_diff(old, new, &changed, &ignored);
    assert_int_equal(changed.length, 0);
    assert_string_equal(buffer_text(&ignored), "target.conninfo or target.password: changed\n"
                                               "redis.password: changed\n"
                                               "schemas: changed\n");
    buffer_free(&ignored);
    config_free(old);
    config_free(new);
    unsetenv("CF_TEST_SECRET");
}

static void auto_is_the_journal_where_stderr_is(void **state)
{
    (void)state;
    struct stat st;
    char text[64];
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", text, 1);
    struct config *c = must_parse_with("");
    assert_int_equal(c->log_format, LOG_FORMAT_JOURNAL);
    config_free(c);
    c = must_parse_with("\"log\": {\"format\": \"text\"}");
    assert_int_equal(c->log_format, LOG_FORMAT_TEXT);
    config_free(c);
    snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino + 1);
    setenv("JOURNAL_STREAM", text, 1); /* inherited: stderr leads elsewhere now */
    c = must_parse_with("\"log\": {\"format\": \"auto\"}");
    assert_int_equal(c->log_format, LOG_FORMAT_TEXT);
    config_free(c);
    unsetenv("JOURNAL_STREAM");
}

static void other_texts_have_their_limits(void **state)
{
    (void)state;
    char *text = legacy("\"conninfo\": \"dbname=a\", \"publication\": "
                        "\"0123456789012345678901234567890123456789012345678901234567890123\"");
    check_refused(text, "c.json:2: legacy.publication: too long - allowed: 1 to 63 bytes\n");
    free(text);
    text = legacy("\"conninfo\": \"dbname=a\", \"publication\": \"a\\u0007b\"");
    check_refused(text, "c.json:2: legacy.publication: holds a control character - remove it\n");
    free(text);
    check_extra_holds("\"tables\": [\"a\\tb\"]", "tables[0]: not a table's name");
    check_extra(
        "\"schemas\": {\"a\": 1, \"\": \"b\", \"c\": \"\"}",
        "c.json:5: schemas.a: not a schema's name - allowed: \"legacy schema\": \"target schema\"\n"
        "c.json:5: schemas.\"\": not a schema's name - allowed: \"legacy schema\": \"target schema\"\n"
        "c.json:5: schemas.c: not a schema's name - allowed: \"legacy schema\": \"target schema\"\n");
    unsetenv("CF_TEST_NONE");
    struct buffer whole = {0};
    buffer_printf(
        &whole,
        "{\"pipeline\": \"p\", \"legacy\": {\"conninfo\": \"dbname=a\"}, \"target\": {\"conninfo\": "
        "\"dbname=b\"},\n\"redis\": {\"url\": \"unix:/%0110d\",\n\"password\": \"env:CF_TEST_NONE\"}}",
        0);
    check_refused(whole.data, "c.json:2: redis.url: a Unix socket's path has at most 107 bytes - allowed: "
                              "\"redis://host:port/db\" or \"unix:/path/redis.sock\"\n"
                              "c.json:3: redis.password: environment variable CF_TEST_NONE is not set\n");
    buffer_free(&whole);
}

static void groups_are_not_without_end(void **state)
{
    (void)state;
    struct buffer declared = {0};
    struct buffer named = {0};
    buffer_puts(&declared, "\"groups\": {");
    buffer_puts(&named, "\"tables\": [");
    for (int i = 0; i < 1001; i++) {
        buffer_printf(&declared, "%s\"g%d\": {\"tables\": [\"t%d\"]}", i ? "," : "", i, i);
        buffer_printf(&named, "%s{\"from\": \"t%d\", \"group\": \"g%d\"}", i ? "," : "", i, i);
    }
    buffer_putc(&declared, '}');
    buffer_putc(&named, ']');
    check_extra(declared.data, "c.json:5: groups.g1000: more than 1000 groups\n");
    check_extra(named.data, "c.json: more than 1000 groups\n");
    buffer_free(&declared);
    buffer_free(&named);
}

static void the_description_has_every_key(void **state)
{
    (void)state;
    struct buffer text = {0};
    config_describe(&text);
    assert_non_null(strstr(text.data, "lease_ttl\tduration\tms, s, min, h, d\t10s\t1s to 1h\trestart\t"));
    assert_non_null(
        strstr(text.data, "\nbackfill.rate_limit\tsize\tB, kB, MB, GB, TB\t0\t0 to 1TB\treload\t"));
    assert_non_null(strstr(text.data, "\nlog.level\tenum\t-\tinfo\tdebug, info, warning, error\treload\t"));
    assert_non_null(strstr(text.data, "\nreconcile\tlater\t-\t-\tnot available in this version\trestart\t"));
    for (const char *line = text.data; *line; line = strchr(line, '\n') + 1) {
        int tabs = 0;
        for (const char *p = line; *p != '\n'; p++)
            tabs += *p == '\t';
        assert_int_equal(tabs, 6);
    }
    buffer_free(&text);
}

static int make_scratch(void **state)
{
    (void)state;
    return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
    (void)state;
    return rmdir(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shortest_config_gets_all_defaults),
        cmocka_unit_test(every_value_is_read),
        cmocka_unit_test(existing_of_the_pipeline_may_come_after_the_tables),
        cmocka_unit_test(slots_and_publications_can_be_named),
        cmocka_unit_test(redis_can_be_left_out),
        cmocka_unit_test(http_can_be_turned_off),
        cmocka_unit_test(comments_are_fine_and_lines_stay_right),
        cmocka_unit_test(every_problem_is_listed_in_order),
        cmocka_unit_test(too_many_problems_are_counted),
        cmocka_unit_test(unknown_keys_name_the_nearest),
        cmocka_unit_test(missing_keys_are_named),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(ranges_are_checked_at_both_ends),
        cmocka_unit_test(duplicate_keys_are_refused),
        cmocka_unit_test(tables_are_listed_once),
        cmocka_unit_test(groups_take_their_tables),
        cmocka_unit_test(groups_that_do_not_hang_together_are_refused),
        cmocka_unit_test(names_have_their_pattern),
        cmocka_unit_test(later_features_are_refused_not_ignored),
        cmocka_unit_test(literal_passwords_are_refused_and_never_repeated),
        cmocka_unit_test(secrets_are_joined_quoted),
        cmocka_unit_test(missing_secrets_are_named),
        cmocka_unit_test(conninfo_is_checked),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(what_is_not_json_is_refused_with_its_place),
        cmocka_unit_test(a_text_cut_off_anywhere_is_refused),
        cmocka_unit_test(a_nul_anywhere_is_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_megabyte_of_small_things_is_read_quickly),
        cmocka_unit_test(files_that_are_no_config_are_refused),
        cmocka_unit_test(a_file_of_50_mb_is_refused_without_memory),
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(two_pipelines_of_one_name_are_refused),
        cmocka_unit_test(what_is_repeated_is_printable),
        cmocka_unit_test(a_megabyte_of_wrong_things_is_refused_quickly),
        cmocka_unit_test(a_reload_tells_what_takes_effect),
        cmocka_unit_test(a_reload_compares_what_it_does_not_show),
        cmocka_unit_test(auto_is_the_journal_where_stderr_is),
        cmocka_unit_test(other_texts_have_their_limits),
        cmocka_unit_test(groups_are_not_without_end),
        cmocka_unit_test(the_description_has_every_key),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
