/* SPDX-License-Identifier: PostgreSQL
 *
 * The buffer: growth, the NUL behind it, and PostgreSQL's byte order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

static void an_empty_buffer_is_an_empty_text(void **state)
{
    (void)state;
    struct buffer b = {0};
    assert_string_equal(buffer_text(&b), "");
    buffer_clear(&b);
    buffer_put(&b, NULL, 0);
    assert_int_equal(b.length, 0);
    char *text = buffer_detach(&b);
    assert_string_equal(text, "");
    free(text);
    text = buffer_detach(&b); /* of a buffer that never held a byte */
    assert_string_equal(text, "");
    free(text);
    buffer_free(&b);
    buffer_free(&b);
}

static void it_grows_and_stays_terminated(void **state)
{
    (void)state;
    struct buffer b = {0};
    for (int i = 0; i < 100000; i++) {
        buffer_putc(&b, (char)('a' + i % 26));
        assert_int_equal(b.length, i + 1);
        assert_int_equal(b.data[b.length], 0);
    }
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
    size_t capacity = b.capacity;
    buffer_clear(&b);
    assert_string_equal(buffer_text(&b), "");
    assert_int_equal(b.capacity, capacity);
    char *at = buffer_extend(&b, 1000000);
    memset(at, 'x', 1000000);
    assert_int_equal(b.data[1000000], 0);
    buffer_free(&b);
}

static void text_is_formatted_at_any_length(void **state)
{
    (void)state;
    struct buffer b = {0};
    size_t length = 0;
    for (int i = 0; i < 300; i++) {
        buffer_printf(&b, "%*d", i, 7);
        length += i ? (size_t)i : 1;
        assert_int_equal(b.length, length);
        assert_int_equal(strlen(b.data), length);
    }
    buffer_clear(&b);
    buffer_puts(&b, "a\xC3\xA4");
    buffer_printf(&b, "%s%d", "", 5);
    assert_string_equal(b.data, "a\xC3\xA4"
                                "5");
    buffer_free(&b);
}

static void bytes_may_hold_nul(void **state)
{
    (void)state;
    struct buffer b = {0};
    buffer_put(&b, "a\0b", 3);
    assert_int_equal(b.length, 3);
    assert_memory_equal(b.data, "a\0b", 4);
    buffer_free(&b);
}

static void integers_are_big_endian(void **state)
{
    (void)state;
    struct buffer b = {0};
    buffer_put_u8(&b, 0xFF);
    buffer_put_u16(&b, 0x0102);
    buffer_put_u32(&b, 0x03040506);
    buffer_put_u64(&b, 0x0708090A0B0C0D0E);
    const unsigned char wanted[] = {0xFF, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    assert_int_equal(b.length, sizeof(wanted));
    assert_memory_equal(b.data, wanted, sizeof(wanted));
    buffer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_an_empty_text), cmocka_unit_test(it_grows_and_stays_terminated),
        cmocka_unit_test(text_is_formatted_at_any_length),  cmocka_unit_test(bytes_may_hold_nul),
        cmocka_unit_test(integers_are_big_endian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
