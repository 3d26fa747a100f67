/* SPDX-License-Identifier: PostgreSQL
 *
 * Keys of changes, and changes kept in a batch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "model/batch.h"

static struct value text(const char *s)
{
    return (struct value){s, (uint32_t)strlen(s), VALUE_TEXT};
}

static struct value binary(const char *data, uint32_t length)
{
    return (struct value){data, length, VALUE_BINARY};
}

static const struct value absent = {NULL, 0, VALUE_ABSENT};
static const struct value null = {NULL, 0, VALUE_NULL};

static char id_name[] = "id", code_name[] = "code \"x\"", note_name[] = "note";
static struct column columns[3];
static uint16_t key[2] = {1, 0};
static struct table table;

static int setup(void **state)
{
    (void)state;
    columns[0] = (struct column){.source = id_name,
                                 .key = true,
                                 .key_bytewise = true,
                                 .source_type = {.oid = 23, .base_oid = 23, .category = 'N'}};
    columns[1] = (struct column){.source = code_name,
                                 .key = true,
                                 .key_numeric = true,
                                 .source_type = {.oid = 1700, .base_oid = 1700, .category = 'N'}};
    columns[2] =
        (struct column){.source = note_name, .source_type = {.oid = 25, .base_oid = 25, .category = 'S'}};
    table = (struct table){
        .columns = columns, .column_count = 3, .key = key, .key_count = 2, .key_hashable = true};
    return 0;
}

static bool same_key(const struct value *a, const struct value *b)
{
    struct buffer x = {0}, y = {0};
    change_key_bytes(&table, a, &x);
    change_key_bytes(&table, b, &y);
    bool same = x.length == y.length && memcmp(x.data, y.data, x.length) == 0;
    buffer_free(&x);
    buffer_free(&y);
    return same;
}

static void numeric_text_keys(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {{"1", "1.0", true},
                 {"1.50", "1.5", true},
                 {"0", "0.000", true},
                 {"-0.50", "-0.5", true},
                 {"100", "1", false},
                 {"10.0", "1.0", false},
                 {"NaN", "NaN", true},
                 {"-0", "0", true},
                 {"1.05", "1.5", false},
                 {"-1", "1", false},
                 {"Infinity", "-Infinity", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct value a[] = {text("7"), text(cases[i].a), absent};
        struct value b[] = {text("7"), text(cases[i].b), null};
        assert_int_equal(same_key(a, b), cases[i].same);
    }
}

static void numeric_binary_keys(void **state)
{
    (void)state;
    /* ndigits, weight, sign, dscale, digits: 1.0, 1.00, 2.0, NaN */
    static const char one[] = {0, 1, 0, 0, 0, 0, 0, 1, 0, 1}, one_00[] = {0, 1, 0, 0, 0, 0, 0, 2, 0, 1},
                      two[] = {0, 1, 0, 0, 0, 0, 0, 1, 0, 2}, nan[] = {0, 0, 0, 0, (char)0xC0, 0, 0, 0};
    struct value a[] = {text("7"), binary(one, 10), absent}, b[] = {text("7"), binary(one_00, 10), absent};
    struct value c[] = {text("7"), binary(two, 10), absent}, d[] = {text("7"), binary(nan, 8), absent};
    assert_true(same_key(a, b));
    assert_false(same_key(a, c));
    assert_false(same_key(a, d));
    assert_true(same_key(d, d));
}

/* ("1", "23") is not ("12", "3"): lengths are part of it. */
static void columns_do_not_run_together(void **state)
{
    (void)state;
    struct value a[] = {text("23"), text("1"), absent}, b[] = {text("3"), text("12"), absent};
    struct value c[] = {binary("23", 2), text("1"), absent};
    assert_false(same_key(a, b));
    assert_false(same_key(a, c));
}

static void moved_keys(void **state)
{
    (void)state;
    struct value old[] = {text("1"), text("5.0"), absent}, same[] = {text("1"), text("5.0"), text("n")};
    struct value scale[] = {text("1"), text("5.00"), text("n")},
                 other[] = {text("2"), text("5.0"), text("n")};
    struct value toasted[] = {text("1"), absent, text("n")};
    struct change c = {.table = &table, .op = CHANGE_UPDATE, .old = old, .row = same};
    assert_false(change_moves_key(&c));
    assert_ptr_equal(change_key_row(&c), old);
    c.row = scale; /* the sink has to get the new scale */
    assert_true(change_moves_key(&c));
    c.row = other;
    assert_true(change_moves_key(&c));
    c.row = toasted;
    assert_false(change_moves_key(&c));
    c.old = NULL;
    assert_false(change_moves_key(&c));
}

static void assert_text(const struct value *row, uint32_t size, const char *expected)
{
    char out[200];
    assert_true(size <= sizeof(out));
    memset(out, 'z', sizeof(out));
    assert_string_equal(change_key_text(&table, row, out, size), expected);
}

static void key_text(void **state)
{
    (void)state;
    static const char minus_two[] = {-1, -1, -1, -2}, odd[] = {1, 2, 3};
    struct value row[] = {binary(minus_two, 4), text("5.0"), absent};
    assert_text(row, 200, "{\"code \\\"x\\\"\": \"5.0\", \"id\": -2}");
    row[0] = binary(odd, 3);
    row[1] = null;
    assert_text(row, 200, "{\"code \\\"x\\\"\": null, \"id\": \"\\\\x010203\"}");
    row[1] = text("12345678");
    assert_text(row, 24, "{\"code \\\"x\\\"\": 12345...");
    row[1] = text("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4");
    assert_text(row, 25, "{\"code \\\"x\\\"\": \"\xc3\xa4\xc3\xa4...");
    assert_text(row, 1, "");
    table.key_count = 0;
    row[2] = text("a\n");
    assert_text(row, 200,
                "{\"id\": \"\\\\x010203\", \"code \\\"x\\\"\": \"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\", "
                "\"note\": \"a\\u000a\"}");
}

/* --- batch --- */

static void batch_keeps_copies(void **state)
{
    (void)state;
    struct batch *b = batch_new();
    char data[] = "abc", name[] = "added";
    struct value row[] = {text("1"), {data, 3, VALUE_TEXT}, null}, old[] = {text(""), absent, absent};
    struct extra_column extra = {name, 25, {data, 3, VALUE_TEXT}};
    struct change c = {.table = &table,
                       .op = CHANGE_UPDATE,
                       .row = row,
                       .old = old,
                       .old_kind = OLD_KEY,
                       .extra = &extra,
                       .extra_count = 1,
                       .transaction = 99};
    struct transaction t = {.xid = 5, .end = position_lsn(100), .commit_time_us = 7};
    batch_begin(b, &t);
    assert_false(b->complete);
    batch_append(b, &c);
    memset(data, 'x', 3);
    name[0] = 'x';
    row[0] = absent;
    batch_commit(b, &t);
    const struct change *kept = &b->changes[0];
    assert_int_equal(kept->transaction, 0);
    assert_memory_equal(kept->row[1].data, "abc", 3);
    assert_int_equal(kept->row[0].kind, VALUE_TEXT);
    assert_int_equal(kept->row[2].kind, VALUE_NULL);
    assert_null(kept->row[2].data);
    assert_int_equal(kept->old[0].length, 0);
    assert_non_null(kept->old[0].data);
    assert_string_equal(kept->extra[0].name, "added");
    assert_memory_equal(kept->extra[0].value.data, "abc", 3);
    assert_true(b->complete && b->end.low == 100 && b->end_time_us == 7 && b->bytes == 7);
    assert_true(batch_memory(b) > 0);
    batch_reset(b);
    assert_true(b->complete && b->count == 0 && b->end.kind == POSITION_NONE && b->bytes == 0);
    batch_free(b);
}

static void batch_positions(void **state)
{
    (void)state;
    struct batch *b = batch_new();
    struct change c = {.table = &table, .op = CHANGE_TRUNCATE, .truncate_group = 1};
    struct transaction t = {.xid = 5, .end = position_lsn(100)};
    batch_advance(b, position_lsn(50));
    assert_int_equal(b->end.low, 50);
    batch_begin(b, &t);
    for (int i = 0; i < 1000; i++)
        batch_append(b, &c);
    assert_int_equal(b->end.low, 50);
    batch_commit(b, &t);
    t.end = position_lsn(200);
    batch_begin(b, &t);
    batch_append(b, &c);
    assert_int_equal(b->changes[1000].transaction, 1);
    assert_int_equal(b->end.low, 100);
    batch_commit(b, &t);
    batch_advance(b, position_lsn(150)); /* never back */
    assert_int_equal(b->end.low, 200);
    batch_free(b);
}

static void state_names(void **state)
{
    (void)state;
    enum table_state s;
    for (int i = TABLE_INIT; i <= TABLE_PAUSED; i++) {
        assert_true(table_state_parse(table_state_name((enum table_state)i), &s));
        assert_int_equal(s, i);
        struct table t = {.state = s};
        assert_int_equal(table_is_parked(&t), s != TABLE_CATCHUP && s != TABLE_STREAMING);
    }
    assert_false(table_state_parse("unknown", &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(numeric_text_keys, setup),
        cmocka_unit_test_setup(numeric_binary_keys, setup),
        cmocka_unit_test_setup(columns_do_not_run_together, setup),
        cmocka_unit_test_setup(moved_keys, setup),
        cmocka_unit_test_setup(key_text, setup),
        cmocka_unit_test_setup(batch_keeps_copies, setup),
        cmocka_unit_test_setup(batch_positions, setup),
        cmocka_unit_test(state_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
