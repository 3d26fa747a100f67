/* SPDX-License-Identifier: PostgreSQL */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "state/wish.h"

static struct wish one(const char *object, const char *key, const char *value)
{
    return (struct wish){.object = mem_strdup(object), .key = mem_strdup(key), .value = mem_strdup(value)};
}

static struct wish_list list_of(struct wish a, struct wish b)
{
    struct wish_list list = {mem_alloc(2 * sizeof(struct wish)), 2};
    list.wishes[0] = a;
    list.wishes[1] = b;
    return list;
}

static void a_table_is_paused_by_itself_its_group_or_all(void **state)
{
    (void)state;
    struct wish_list list =
        list_of(one("group:students", "paused", "true"), one("table:public.t", "paused", "true"));
    assert_true(wish_paused(&list, "students", "public.other"));
    assert_true(wish_paused(&list, "staff", "public.t"));
    assert_true(wish_paused(&list, NULL, "public.t"));
    assert_false(wish_paused(&list, "staff", "public.tt"));
    wish_list_free(&list);
    list = list_of(one("pipeline", "paused", "true"), one("group:students", "paused", "false"));
    assert_true(wish_paused(&list, "students", "public.t"));
    wish_list_free(&list);
    list = list_of(one("pipeline", "paused", "false"), one("pipeline", "recopy", "true"));
    assert_false(wish_paused(&list, NULL, "public.t"));
    wish_list_free(&list);
}

static void ids_keep_64_bits_and_nonsense_is_left_out(void **state)
{
    (void)state;
    int64_t *ids;
    struct wish wish = {
        .value = mem_strdup("[\"9007199254740993\", 7, \"x\", \"9223372036854775808\", -1, null, \"0\"]")};
    assert_int_equal(wish_ids(&wish, &ids), 2);
    assert_true(ids[0] == INT64_C(9007199254740993));
    assert_true(ids[1] == 7);
    free(ids);
    free(wish.value);
    wish.value = mem_strdup("{\"a\": 1}");
    assert_int_equal(wish_ids(&wish, &ids), 0);
    free(ids);
    free(wish.value);
    wish.value = mem_strdup("[1");
    assert_int_equal(wish_ids(&wish, &ids), 0);
    free(ids);
    free(wish.value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_paused_by_itself_its_group_or_all),
        cmocka_unit_test(ids_keep_64_bits_and_nonsense_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
