/* SPDX-License-Identifier: PostgreSQL
 *
 * Strict JSON with comments: what is taken, what is refused and where, and the place and path of every
 * value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

static void refuse(const char *text, int line, int column, const char *wanted)
{
    struct json json;
    struct json_place where;
    struct error err = {0};
    assert_false(json_parse(text, strlen(text), &json, &where, &err));
    assert_null(json.root);
    assert_int_equal(err.kind, ERROR_CONFIG);
    if (where.line != line || where.column != column || !strstr(err.text, wanted))
        fail_msg("%s: at %d:%d: %s", text, where.line, where.column, err.text);
}

static void accept(const char *text)
{
    struct json json;
    struct json_place where;
    struct error err = {0};
    if (!json_parse(text, strlen(text), &json, &where, &err))
        fail_msg("%s: at %d:%d: %s", text, where.line, where.column, err.text);
    json_free(&json);
}

static void all_of_json_is_taken(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        "[]",
        " [ ] ",
        "0",
        "-0",
        "10.25e-3",
        "1E+2",
        "\"\"",
        "true",
        "false",
        "null",
        "[[],{}]",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"",
        "\"\\ud83d\\ude00\"",
        "\"\xF0\x9F\x98\x80\"",
        "{\"\": 1}",
        "// c\n1",
        "1 // c",
        "/**/1/***/",
        "[1,/*,*/2]",
        "\"// no\"",
        "\xEF\xBB\xBF{}",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        accept(good[i]);
}

static void all_else_is_refused_at_its_place(void **state)
{
    (void)state;
    refuse("", 1, 1, "nothing in it");
    refuse(" // only a comment", 1, 1, "nothing in it");
    refuse("{", 1, 2, "the text ends here, too early - expected a key in double quotes");
    refuse("[1", 1, 3, "too early - expected ',' or ']'");
    refuse("[1,]", 1, 3, "a comma with nothing behind it");
    refuse("{\"a\": 1,}", 1, 8, "a comma with nothing behind it");
    refuse("[,1]", 1, 2, "unexpected ','");
    refuse("{a: 1}", 1, 2, "unexpected 'a' - expected a key in double quotes");
    refuse("{'a': 1}", 1, 2, "unexpected '''");
    refuse("{\"a\": }", 1, 7, "unexpected '}' - expected a value");
    refuse("tru", 1, 1, "unexpected 't' - expected a value");
    refuse("NaN", 1, 1, "unexpected 'N'");
    refuse("Infinity", 1, 1, "unexpected 'I'");
    refuse("01", 1, 1, "begins with 0");
    refuse("+1", 1, 1, "unexpected '+'");
    refuse(".5", 1, 1, "unexpected '.'");
    refuse("1.", 1, 3, "too early - expected a digit behind the point");
    refuse("1e", 1, 3, "expected a digit of the exponent");
    refuse("-", 1, 2, "expected a digit");
    refuse("0x10", 1, 2, "unexpected 'x' - expected nothing behind the value");
    refuse("1111111111111111111111111111111111111111111111111111111111111", 1, 1, "more than 60 characters");
    refuse("1 2", 1, 3, "unexpected '2' - expected nothing behind the value");
    refuse("\"a", 1, 3, "expected the \" that closes the string");
    refuse("\"a\\", 1, 4, "behind the backslash");
    refuse("\"a\\x\"", 1, 4, "behind the backslash");
    refuse("\"\\u12g4\"", 1, 6, "four hex digits");
    refuse("\"\\u0000\"", 1, 2, "no name or value here can hold a NUL");
    refuse("\"\\ud800\"", 1, 2, "half a surrogate pair");
    refuse("\"\\ud800\\u0041\"", 1, 2, "half a surrogate pair");
    refuse("\"\\udc00\"", 1, 2, "half a surrogate pair");
    refuse("\"a\tb\"", 1, 3, "a control character in a string");
    refuse("[\n\"a\n\"]", 2, 1, "no end on its line");
    refuse("[1\x01]", 1, 3, "unexpected character 0x01");
    refuse("/", 1, 1, "unexpected '/'");
    refuse("1\n/* x", 2, 1, "a comment begins here");
    refuse("/*/", 1, 1, "a comment begins here");
    refuse("[\n\"\xC3\xA4\", \xC3\xA4]", 2, 6, "unexpected '\xC3\xA4'"); /* columns are characters */
    refuse("\"\xC0\x80\"", 1, 2, "not valid UTF-8");
}

static void sizes_are_limited(void **state)
{
    (void)state;
    struct json json;
    struct json_place where;
    struct error err = {0};
    char *text = malloc(JSON_MAX_BYTES + 1);
    memset(text, ' ', JSON_MAX_BYTES + 1);
    text[0] = '1';
    assert_true(json_parse(text, JSON_MAX_BYTES, &json, &where, &err));
    json_free(&json);
    assert_false(json_parse(text, JSON_MAX_BYTES + 1, &json, &where, &err));
    assert_int_equal(where.line, 0);
    assert_non_null(strstr(err.text, "larger than 1 MB"));
    free(text);
    accept("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    refuse("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", 1, 33,
           "nested more than 32 deep");
}

static void expect_at(const struct json *json, const cJSON *item, int line, int column, const char *path)
{
    struct buffer text = {0};
    struct json_place place = json_locate(json, item);
    json_path(json, item, &text);
    assert_string_equal(buffer_text(&text), path);
    assert_int_equal(place.line, line);
    assert_int_equal(place.column, column);
    assert_int_equal(json_line(json, item), line);
    buffer_free(&text);
}

static void every_value_has_its_place_and_path(void **state)
{
    (void)state;
    static const char text[] = "// head\n"
                               "{ \"a\": [1, {\"b.c\": null},\n"
                               "         \"x\"], /* {\"a\":\n"
                               " */ \"d\": {\"e\":\n"
                               "   {}}, \"q\\\"\": 2 }\n";
    struct json json;
    struct json_place where;
    struct error err = {0};
    assert_true(json_parse(text, strlen(text), &json, &where, &err));
    const cJSON *a = json_member(json.root, "a");
    const cJSON *d = json_member(json.root, "d");
    expect_at(&json, json.root, 2, 1, "");
    expect_at(&json, a, 2, 3, "a");
    expect_at(&json, a->child, 2, 9, "a[0]");
    expect_at(&json, a->child->next, 2, 12, "a[1]");
    expect_at(&json, a->child->next->child, 2, 13, "a[1].\"b.c\"");
    expect_at(&json, a->child->next->next, 3, 10, "a[2]");
    expect_at(&json, d, 4, 5, "d");
    expect_at(&json, d->child, 4, 11, "d.e");
    expect_at(&json, d->next, 5, 9, "\"q\\\"\"");
    json_free(&json);
    json_free(&json);
}

struct seen {
    const struct json *json;
    struct buffer paths;
};

static void record(void *context, const cJSON *again)
{
    struct seen *seen = context;
    json_path(seen->json, again, &seen->paths);
    buffer_putc(&seen->paths, ' ');
}

static void duplicates_are_told_at_every_depth(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\": 1, \"b\": [{\"c\": 1, \"d\": 2, \"c\": 3}, {\"c\": 1}], \"A\": 1, \"\\u0061\": {\"x\": 1, "
        "\"x\": 2, \"x\": 3}}";
    struct json json;
    struct json_place where;
    struct error err = {0};
    assert_true(json_parse(text, strlen(text), &json, &where, &err));
    struct seen seen = {.json = &json};
    json_duplicates(&json, record, &seen);
    assert_string_equal(buffer_text(&seen.paths), "b[0].c a a.x a.x ");
    buffer_free(&seen.paths);
    json_free(&json);
}

static void utf8_is_judged_by_the_book(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t wanted;
    } cases[] = {
        {"a", 1},
        {"\xC2\x80", 2},
        {"\xDF\xBF", 2},
        {"\xE0\xA0\x80", 3},
        {"\xED\x9F\xBF", 3},
        {"\xEE\x80\x80", 3},
        {"\xF0\x90\x80\x80", 4},
        {"\xF4\x8F\xBF\xBF", 4},
        {"\x80", 0},
        {"\xC0\xAF", 0},
        {"\xC1\xBF", 0},
        {"\xC2", 0},
        {"\xE0\x9F\xBF", 0},
        {"\xED\xA0\x80", 0},
        {"\xE2\x82", 0},
        {"\xF0\x8F\xBF\xBF", 0},
        {"\xF4\x90\x80\x80", 0},
        {"\xF5\x80\x80\x80", 0},
        {"\xF0\x90\x80", 0},
        {"\xFF", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(utf8_length(cases[i].bytes, strlen(cases[i].bytes)), cases[i].wanted);
    assert_int_equal(utf8_length("", 0), 0);
    assert_int_equal(utf8_length("\xE2\x82\xAC", 2), 0); /* cut off */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_json_is_taken),
        cmocka_unit_test(all_else_is_refused_at_its_place),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(every_value_has_its_place_and_path),
        cmocka_unit_test(duplicates_are_told_at_every_depth),
        cmocka_unit_test(utf8_is_judged_by_the_book),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
