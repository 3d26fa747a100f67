/* SPDX-License-Identifier: PostgreSQL
 *
 * The map against a plain array, under random puts and removals: removal from a probe chain is where
 * open addressing goes wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/map.h"

enum { KEYS = 700, STEPS = 200000 };

static uint32_t random_next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static size_t walk(const struct map *map)
{
    size_t at = 0;
    size_t n = 0;
    while (map_next(map, &at))
        n++;
    return n;
}

static void it_agrees_with_an_array(void **state)
{
    (void)state;
    static char keys[KEYS][24];
    static void *values[KEYS];
    struct map map = {0};
    uint32_t seed = 20261120;
    size_t count = 0;
    memset(values, 0, sizeof(values));
    for (int i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof(keys[i]), "%.*s%d", i % 19, "abcdefghijklmnopqrs", i);
    for (int step = 0; step < STEPS; step++) {
        uint32_t i = random_next(&seed) % KEYS;
        struct slice key = slice_of(keys[i]);
        /* Growing phases and shrinking phases. */
        if (random_next(&seed) % 10 < (step / 20000 % 2 ? 3u : 7u)) {
            struct map_entry *e = map_at(&map, key);
            assert_ptr_equal(e->value, values[i]);
            count += values[i] == NULL;
            values[i] = &keys[random_next(&seed) % KEYS];
            e->value = values[i];
        } else {
            assert_int_equal(map_remove(&map, key), values[i] != NULL);
            count -= values[i] != NULL;
            values[i] = NULL;
        }
        assert_int_equal(map.count, count);
        if (step % 1000 == 0) {
            assert_int_equal(walk(&map), count);
            for (int j = 0; j < KEYS; j++)
                assert_ptr_equal(map_get(&map, slice_of(keys[j])), values[j]);
        }
    }
    map_free(&map);
}

static void keys_are_bytes(void **state)
{
    (void)state;
    struct map map = {0};
    static const struct slice keys[] = {{"", 0},    {"\0", 1},       {"\0\0", 2},      {"a", 1},
                                        {"a\0", 2}, {"12345678", 8}, {"12345678\0", 9}};
    for (size_t i = 0; i < 7; i++) {
        struct map_entry *e = map_at(&map, keys[i]);
        assert_null(e->value);
        e->value = &map;
    }
    assert_int_equal(map.count, 7);
    for (size_t i = 0; i < 7; i++)
        assert_ptr_equal(map_get(&map, keys[i]), &map);
    map_free(&map);
    assert_null(map_get(&map, keys[3]));
    assert_false(map_remove(&map, keys[3]));
}

static void clear_forgets_and_gives_large_memory_back(void **state)
{
    (void)state;
    static char keys[20000][8];
    struct map map = {0};
    for (int i = 0; i < 20000; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%d", i);
        map_at(&map, slice_of(keys[i]))->value = keys[i];
    }
    map_clear(&map);
    assert_int_equal(map.count, 0);
    assert_null(map_get(&map, slice_of("5")));
    map_at(&map, slice_of("5"))->value = keys;
    map_clear(&map); /* one of many: not worth keeping */
    assert_int_equal(map.capacity, 0);
    map_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_an_array),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(clear_forgets_and_gives_large_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
