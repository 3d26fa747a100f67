/* SPDX-License-Identifier: PostgreSQL
 *
 * The arena: alignment, pieces that don't overlap, large pieces, and memory given back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"

enum { PIECES = 3000 };

static void pieces_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    unsigned char *pieces[PIECES];
    size_t sizes[PIECES];
    size_t total = 0;
    for (size_t i = 0; i < PIECES; i++) {
        sizes[i] = (i * 7919) % 601; /* 0 too */
        pieces[i] = arena_alloc(arena, sizes[i]);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 8, 0);
        memset(pieces[i], (int)(i % 251), sizes[i]);
        total += sizes[i];
    }
    assert_true(arena_used(arena) >= total);
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(pieces[i][j], i % 251);
    }
    arena_free(arena);
}

static void large_pieces_leave_room_in_the_block_before(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    char *first = arena_alloc(arena, 16);
    size_t before = arena_used(arena);
    char *large = arena_alloc(arena, 10 << 20);
    memset(large, 1, 10 << 20);
    assert_true(arena_used(arena) >= before + (10 << 20));
    char *second = arena_alloc(arena, 16);
    assert_ptr_equal(second, first + 16);
    arena_free(arena);
}

static void a_large_first_piece_works(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    memset(arena_alloc(arena, 1 << 20), 1, 1 << 20);
    memset(arena_alloc(arena, 100), 2, 100);
    arena_free(arena);
}

static void reset_gives_everything_back(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 200; i++)
            memset(arena_alloc(arena, 20000), round, 20000);
        assert_true(arena_used(arena) >= 200 * 20000);
        arena_reset(arena);
        assert_int_equal(arena_used(arena), 0);
    }
    arena_free(arena);
    arena_free(NULL);
}

static void copies_are_copies(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    char text[] = "text";
    char *copy = arena_strdup(arena, text);
    char *bytes = arena_copy(arena, "a\0b", 3);
    text[0] = 'x';
    assert_string_equal(copy, "text");
    assert_memory_equal(bytes, "a\0b", 3);
    assert_non_null(arena_copy(arena, NULL, 0));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_do_not_overlap),
        cmocka_unit_test(large_pieces_leave_room_in_the_block_before),
        cmocka_unit_test(a_large_first_piece_works),
        cmocka_unit_test(reset_gives_everything_back),
        cmocka_unit_test(copies_are_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
