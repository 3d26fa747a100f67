/* SPDX-License-Identifier: PostgreSQL
 *
 * A SQL Server as the legacy: what its keys need of each other, and the capture of each table.
 */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/config.h"

/* The legacy stands in line 2, the rest in line 3. */
static char *text_of(const char *legacy, const char *rest)
{
    struct buffer text = {0};
    buffer_printf(&text,
                  "{\"pipeline\": \"p\", \"redis\": null, \"target\": {\"conninfo\": \"dbname=b\"},\n"
                  "\"legacy\": {\"kind\": \"sqlserver\"%s%s}%s\n%s}",
                  *legacy ? ", " : "", legacy, *rest ? "," : "", rest);
    return buffer_detach(&text);
}

static const char good[] =
    "\"host\": \"h\", \"database\": \"d\", \"user\": \"u\", \"password\": \"env:CF_TEST_MS\"";

static struct config *must_parse(const char *legacy, const char *rest)
{
    struct config *config;
    struct buffer problems = {0};
    struct error err;
    char *text = text_of(legacy, rest);
    if (!config_parse("c.json", text, strlen(text), &config, &problems, &err))
        fail_msg("refused: %s", buffer_text(&problems));
    buffer_free(&problems);
    free(text);
    return config;
}

/* All that is said, compared with what should be. */
static void refused(const char *legacy, const char *rest, const char *wanted)
{
    struct config *config;
    struct buffer problems = {0};
    struct error err;
    char *text = text_of(legacy, rest);
    if (config_parse("c.json", text, strlen(text), &config, &problems, &err))
        fail_msg("accepted: %s", text);
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_string_equal(buffer_text(&problems), wanted);
    buffer_free(&problems);
    free(text);
}

static void refused_beside(const char *more, const char *wanted)
{
    struct buffer legacy = {0};
    buffer_printf(&legacy, "%s, %s", good, more);
    refused(buffer_text(&legacy), "", wanted);
    buffer_free(&legacy);
}

static void the_shortest_gets_what_is_safe(void **state)
{
    (void)state;
    struct config *c = must_parse(good, "");
    const struct config_sqlserver *s = &c->sqlserver;
    assert_int_equal(c->legacy_kind, LEGACY_SQLSERVER);
    assert_int_equal(c->legacy_capture, CAPTURE_CDC);
    assert_string_equal(s->host, "h");
    assert_int_equal(s->port, 0);
    assert_null(s->server);
    assert_string_equal(s->database, "d");
    assert_string_equal(s->user, "u");
    assert_string_equal(s->password, "s3cret");
    assert_int_equal(s->auth, SQLSERVER_AUTH_SQL);
    assert_int_equal(s->encrypt, SQLSERVER_REQUIRE);
    assert_null(s->ca);
    assert_true(s->hostname);
    assert_false(s->trust_server_certificate);
    assert_null(c->legacy_conninfo);
    config_free(c);
}

static void every_key_arrives(void **state)
{
    (void)state;
    struct config *c = must_parse(
        "\"host\": \"h\", \"port\": 1444, \"database\": \"d\", \"auth\": \"kerberos\", \"spn\": "
        "\"MSSQLSvc/h:1444\", "
        "\"encrypt\": \"request\", \"ca\": \"/etc/ca.pem\", \"hostname\": false, \"capture\": \"rowversion\"",
        "\"tables\": [\"dbo.A\", {\"from\": \"dbo.B\", \"capture\": \"timestamp\", \"updated_at\": "
        "\"Modified\", "
        "\"overlap\": \"5min\", \"soft_delete\": \"IsDeleted\"}, {\"from\": \"dbo.C\", \"capture\": "
        "\"snapshot\"}]");
    const struct config_sqlserver *s = &c->sqlserver;
    assert_int_equal(s->port, 1444);
    assert_int_equal(s->auth, SQLSERVER_AUTH_KERBEROS);
    assert_string_equal(s->spn, "MSSQLSvc/h:1444");
    assert_int_equal(s->encrypt, SQLSERVER_REQUEST);
    assert_string_equal(s->ca, "/etc/ca.pem");
    assert_false(s->hostname);
    assert_null(s->user);
    assert_int_equal(c->tables[0].capture, CAPTURE_ROWVERSION);
    assert_int_equal(c->tables[0].overlap_ms, 2 * 3600 * 1000);
    assert_int_equal(c->tables[1].capture, CAPTURE_TIMESTAMP);
    assert_string_equal(c->tables[1].updated_at, "Modified");
    assert_int_equal(c->tables[1].overlap_ms, 300000);
    assert_string_equal(c->tables[1].soft_delete, "IsDeleted");
    assert_int_equal(c->tables[2].capture, CAPTURE_SNAPSHOT);
    config_free(c);
    c = must_parse(
        "\"server\": \"old\", \"database\": \"d\", \"user\": \"CORP\\\\u\", \"auth\": \"ntlm\", "
        "\"password\": \"env:CF_TEST_MS\", \"encrypt\": \"strict\", \"trust_server_certificate\": true",
        "");
    assert_string_equal(c->sqlserver.server, "old");
    assert_null(c->sqlserver.host);
    assert_int_equal(c->sqlserver.encrypt, SQLSERVER_STRICT);
    assert_true(c->sqlserver.trust_server_certificate);
    config_free(c);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    refused("", "",
            "c.json:2: legacy: required key \"host\" is missing - SQL Server's host, or \"server\": a server "
            "of your "
            "freetds.conf\n"
            "c.json:2: legacy: required key \"database\" is missing - SQL Server database\n"
            "c.json:2: legacy: required key \"user\" is missing - SQL Server login\n"
            "c.json:2: legacy: required key \"password\" is missing - write \"env:NAME\", \"file:PATH\" or "
            "\"credential:NAME\"\n");
}

static void addresses_are_checked(void **state)
{
    (void)state;
    refused_beside("\"server\": \"s\"", "c.json:2: legacy.server: there is a host already - remove it\n");
    refused("\"host\": \"h\\\\SQLEXPRESS\", \"database\": \"d\", \"user\": \"u\", \"password\": "
            "\"env:CF_TEST_MS\"",
            "",
            "c.json:2: legacy.host: a named instance is reached by its port - write the host alone and the "
            "instance's \"port\" (SQL Server Configuration Manager shows it)\n");
    refused("\"host\": \"h,1433\", \"database\": \"d\", \"user\": \"u\", \"password\": \"env:CF_TEST_MS\"",
            "", "c.json:2: legacy.host: not a host - allowed: a name or address, the port under \"port\"\n");
    refused_beside("\"port\": 0", "c.json:2: legacy.port: out of range - allowed: 1 to 65535\n");
}

static void logins_have_what_they_need_and_no_more(void **state)
{
    (void)state;
    refused("\"host\": \"h\", \"database\": \"d\", \"user\": \"u\", \"password\": \"hunter2\"", "",
            "c.json:2: legacy.password: not a reference to a secret, and a literal one is refused - allowed: "
            "\"env:NAME\", \"file:PATH\", \"credential:NAME\"\n");
    refused_beside("\"auth\": \"kerberos\"",
                   "c.json:2: legacy.user: with auth kerberos the ticket says who we are - remove it\n"
                   "c.json:2: legacy.password: with auth kerberos the ticket says who we are - remove it\n");
    refused_beside("\"spn\": \"x\"", "c.json:2: legacy.spn: belongs to auth kerberos - remove it\n");
    refused_beside(
        "\"auth\": \"ntlm\"",
        "c.json:2: legacy.user: not a Windows user - allowed with auth ntlm: \"DOMAIN\\\\user\"\n");
    refused("\"host\": \"h\", \"database\": \"d\", \"user\": \"C\\\\u\", \"password\": \"env:CF_TEST_MS\"",
            "", "c.json:2: legacy.user: a Windows user - write \"auth\": \"ntlm\" or \"kerberos\"\n");
    refused_beside("\"auth\": \"entra\"",
                   "c.json:2: legacy.auth: unknown value \"entra\" - allowed: sql, kerberos, ntlm\n");
    refused_beside("\"conninfo\": \"dbname=x\"",
                   "c.json:2: legacy.conninfo: belongs to kind postgresql, not to this one - remove it\n");
}

static void keys_of_a_certificate_need_one(void **state)
{
    (void)state;
    refused_beside(
        "\"encrypt\": \"off\", \"ca\": \"/x\", \"hostname\": true, \"trust_server_certificate\": true",
        "c.json:2: legacy.trust_server_certificate: without encryption there is no certificate - remove "
        "it\n"
        "c.json:2: legacy.ca: without encryption there is no certificate - remove it\n"
        "c.json:2: legacy.hostname: without encryption there is no certificate - remove it\n");
    refused_beside(
        "\"trust_server_certificate\": true, \"ca\": \"/x\"",
        "c.json:2: legacy.ca: with trust_server_certificate the certificate is not looked at - remove "
        "it\n");
    refused_beside("\"ca\": \"ca.pem\"",
                   "c.json:2: legacy.ca: not a path from the root - allowed: \"/path/ca.pem\"\n");
    refused_beside(
        "\"hostname\": \"yes\"",
        "c.json:2: legacy.hostname: a string where true or false is needed - whether the certificate must "
        "be for the host's name\n");
    refused_beside(
        "\"encrypt\": \"on\"",
        "c.json:2: legacy.encrypt: unknown value \"on\" - allowed: require, request, off, strict\n");
}

static void captures_belong_to_their_kind(void **state)
{
    (void)state;
    static const char tables[] =
        "\"tables\": [{\"from\": \"a\", \"capture\": \"logical\"}, {\"from\": \"b\", \"updated_at\": \"c\", "
        "\"overlap\": \"1h\", \"soft_delete\": \"d\"},\n{\"from\": \"e\", \"capture\": \"timestamp\"}]";
    refused(
        good, tables,
        "c.json:3: tables[0].capture: \"logical\" is of kind postgresql - allowed: cdc, change_tracking, "
        "rowversion, timestamp, snapshot\n"
        "c.json:3: tables[1].updated_at: belongs to capture timestamp - remove it\n"
        "c.json:3: tables[1].overlap: belongs to capture timestamp - remove it\n"
        "c.json:3: tables[1].soft_delete: belongs to capture timestamp - remove it\n"
        "c.json:4: tables[2]: required key \"updated_at\" is missing - capture timestamp reads by the column "
        "with the time of the last change\n");
    refused_beside(
        "\"capture\": \"timestamp\"",
        "c.json:2: legacy.capture: capture timestamp needs \"updated_at\" of each table - list them under "
        "\"tables\"\n");
}

static void a_reload_does_not_show_the_password(void **state)
{
    (void)state;
    struct buffer changed = {0}, ignored = {0};
    struct config *old = must_parse(good, "");
    setenv("CF_TEST_MS", "other", 1);
    struct config *new = must_parse("\"host\": \"h\", \"database\": \"d\", \"user\": \"u\", \"password\": "
                                    "\"env:CF_TEST_MS\", \"encrypt\": \"request\"",
                                    "");
    setenv("CF_TEST_MS", "s3cret", 1);
    config_diff(old, new, &changed, &ignored);
    assert_string_equal(buffer_text(&changed), "");
    assert_string_equal(buffer_text(&ignored),
                        "legacy.encrypt: require -> request\nlegacy.password: changed\n");
    buffer_free(&changed);
    buffer_free(&ignored);
    config_free(old);
    config_free(new);
}

/* The whole of it in a build without FreeTDS. */
static void without_freetds_the_build_says_so(void **state)
{
    (void)state;
    refused(good, "",
            "c.json:2: legacy.kind: this build has no SQL Server - install freetds-dev and build again "
            "(configure "
            "says \"FreeTDS yes\") - allowed: postgresql\n");
}

static void values_are_inherited(void **state)
{
    (void)state;
    struct buffer legacy = {0};
    buffer_printf(&legacy,
                  "%s, \"time_zone\": \"Europe/Berlin\", \"bad_text\": \"strip\", \"trim_blanks\": true",
                  good);
    struct config *c = must_parse(buffer_text(&legacy),
                                  "\"tables\": [\"dbo.A\", {\"from\": \"dbo.B\", \"trim_blanks\": false, "
                                  "\"values\": {\"n\": {\"bad_text\": "
                                  "\"replace\"}, \"t\": {\"time_zone\": \"UTC\", \"trim_blanks\": true}}}]");
    assert_int_equal(c->values.bad_text, BAD_TEXT_STRIP);
    assert_int_equal(c->tables[0].values.bad_text, BAD_TEXT_STRIP);
    assert_true(c->tables[0].values.trim_blanks);
    assert_string_equal(c->tables[0].values.time_zone, "Europe/Berlin");
    const struct config_table *b = &c->tables[1];
    assert_int_equal(b->values.bad_text, BAD_TEXT_STRIP);
    assert_false(b->values.trim_blanks);
    assert_int_equal(b->column_count, 2);
    assert_string_equal(b->columns[0].name, "n");
    assert_int_equal(b->columns[0].values.bad_text, BAD_TEXT_REPLACE);
    assert_false(b->columns[0].values.trim_blanks);
    assert_string_equal(b->columns[0].values.time_zone, "Europe/Berlin");
    assert_int_equal(b->columns[1].values.bad_text, BAD_TEXT_STRIP);
    assert_true(b->columns[1].values.trim_blanks);
    assert_string_equal(b->columns[1].values.time_zone, "UTC");
    config_free(c);
    buffer_free(&legacy);
    c = must_parse(good, "\"tables\": [\"dbo.A\"]");
    assert_int_equal(c->tables[0].values.bad_text, BAD_TEXT_REFUSE);
    assert_false(c->tables[0].values.trim_blanks);
    assert_null(c->tables[0].values.time_zone);
    config_free(c);
}

static void values_are_checked(void **state)
{
    (void)state;
    refused_beside("\"bad_text\": \"drop\"", "c.json:2: legacy.bad_text: unknown value \"drop\" - allowed: "
                                             "refuse, strip, replace\n");
    refused_beside("\"time_zone\": \"\"", "c.json:2: legacy.time_zone: is empty - write a name\n");
    refused_beside(
        "\"trim_blanks\": \"yes\"",
        "c.json:2: legacy.trim_blanks: a string where true or false is needed - whether char and nchar "
        "lose their trailing blanks in text and varchar\n");
    refused(
        good, "\"tables\": [{\"from\": \"dbo.B\", \"values\": {}}]",
        "c.json:3: tables[0].values: an empty object where columns are needed - allowed: {\"legacy column\": "
        "{\"bad_text\": \"strip\"}}\n");
    refused(
        good, "\"tables\": [{\"from\": \"dbo.B\", \"values\": {\"n\": {\"bad_txt\": \"strip\"}}}]",
        "c.json:3: tables[0].values.n.bad_txt: unknown key - did you mean \"bad_text\" - allowed: time_zone, "
        "bad_text, trim_blanks\n");
}

static void postgresql_values_are_left_alone(void **state)
{
    (void)state;
    static const char text[] =
        "{\"pipeline\": \"p\", \"redis\": null, \"target\": {\"conninfo\": \"dbname=b\"},\n"
        "\"legacy\": {\"conninfo\": \"dbname=a\", \"bad_text\": \"strip\"},\n"
        "\"tables\": [{\"from\": \"a\", \"values\": {\"n\": {\"bad_text\": \"strip\"}}}]}";
    struct config *config;
    struct buffer problems = {0};
    struct error err;
    assert_false(config_parse("c.json", text, strlen(text), &config, &problems, &err));
    assert_string_equal(
        buffer_text(&problems),
        "c.json:2: legacy.bad_text: belongs to kind sqlserver, not to this one - remove it\n"
        "c.json:3: tables[0].values: belongs to kind sqlserver, not to this one - remove it\n");
    buffer_free(&problems);
}

int main(void)
{
    setenv("CF_TEST_MS", "s3cret", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shortest_gets_what_is_safe),
        cmocka_unit_test(every_key_arrives),
        cmocka_unit_test(values_are_inherited),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(postgresql_values_are_left_alone),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(logins_have_what_they_need_and_no_more),
        cmocka_unit_test(keys_of_a_certificate_need_one),
        cmocka_unit_test(captures_belong_to_their_kind),
        cmocka_unit_test(a_reload_does_not_show_the_password),
    };
    const struct CMUnitTest none[] = {cmocka_unit_test(without_freetds_the_build_says_so)};
#ifdef HAVE_FREETDS
    (void)none;
    return cmocka_run_group_tests(tests, NULL, NULL);
#else
    (void)tests;
    return cmocka_run_group_tests(none, NULL, NULL);
#endif
}
