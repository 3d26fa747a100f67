/* SPDX-License-Identifier: PostgreSQL */
#include "model/held.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct column columns[] = {
    {.source = (char[]){"k"}, .source_type = {.oid = 25}, .key = true, .key_bytewise = true},
    {.source = (char[]){"v"}, .source_type = {.oid = 25}},
};
static uint16_t key[] = {0};
static struct table table = {
    .columns = columns, .column_count = 2, .key = key, .key_count = 1, .key_hashable = true};

static struct value text(const char *v)
{
    return v ? (struct value){v, (uint32_t)strlen(v), VALUE_TEXT} : (struct value){.kind = VALUE_ABSENT};
}

static bool ask(struct held *held, enum change_op op, const char *old_key, const char *new_key, bool put)
{
    struct value old[] = {text(old_key), text(NULL)};
    struct value row[] = {text(new_key), text("x")};
    struct change c = {.table = &table,
                       .op = op,
                       .old_kind = old_key ? OLD_KEY : OLD_NONE,
                       .row = op == CHANGE_DELETE ? NULL : row,
                       .old = old_key ? old : NULL};
    if (put)
        held_add(held, &c);
    return held_has(held, &c);
}

static void a_key_takes_its_later_changes_along(void **state)
{
    struct held held = {0};
    (void)state;
    assert_true(held_is_empty(&held));
    assert_false(ask(&held, CHANGE_INSERT, NULL, "a", false));
    assert_true(ask(&held, CHANGE_INSERT, NULL, "a", true));
    assert_false(held_is_empty(&held));
    assert_true(ask(&held, CHANGE_UPDATE, NULL, "a", false));
    assert_true(ask(&held, CHANGE_DELETE, "a", NULL, false));
    assert_false(ask(&held, CHANGE_DELETE, "b", NULL, false));
    assert_false(ask(&held, CHANGE_TRUNCATE, NULL, "a", false));
    held_free(&held);
    assert_true(held_is_empty(&held));
    assert_false(ask(&held, CHANGE_UPDATE, NULL, "a", false));
    held_free(&held);
}

static void a_key_change_joins_both_keys(void **state)
{
    struct held held = {0};
    (void)state;
    assert_true(ask(&held, CHANGE_UPDATE, "a", "b", true));
    assert_true(ask(&held, CHANGE_INSERT, NULL, "a", false));
    assert_true(ask(&held, CHANGE_INSERT, NULL, "b", false));
    assert_true(ask(&held, CHANGE_UPDATE, "c", "b", false)); /* into a held key … */
    assert_true(ask(&held, CHANGE_UPDATE, "b", "c", false)); /* … and out of one */
    assert_false(ask(&held, CHANGE_UPDATE, "c", "d", false));
    held_free(&held);
}

/* A large key value that an UPDATE left as it was comes with the old key alone. */
static void an_unchanged_key_value_is_the_old_one(void **state)
{
    struct held held = {0};
    (void)state;
    assert_true(ask(&held, CHANGE_UPDATE, "a", NULL, true));
    assert_true(ask(&held, CHANGE_INSERT, NULL, "a", false));
    assert_int_equal(held.keys.count, 1);
    held_free(&held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_takes_its_later_changes_along),
        cmocka_unit_test(a_key_change_joins_both_keys),
        cmocka_unit_test(an_unchanged_key_value_is_the_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
