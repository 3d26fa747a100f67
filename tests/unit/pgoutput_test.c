/* SPDX-License-Identifier: PostgreSQL
 *
 * The pgoutput codec: every message made by hand field by field, every way to be malformed, and whole
 * sessions recorded from a PostgreSQL 15 (tests/unit/data). Each message is copied to a block of just its
 * size, so that under ASan a read past the end shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "pgsql/pgoutput.h"

static struct arena *arena;
static struct buffer m;

static int setup(void **state)
{
    (void)state;
    arena = arena_new();
    m = (struct buffer){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    buffer_free(&m);
    return 0;
}

static void put_text(const char *text)
{
    buffer_put(&m, text, strlen(text) + 1);
}

static void put_value(char kind, const char *data)
{
    buffer_putc(&m, kind);
    if (kind == 'n' || kind == 'u')
        return;
    buffer_put_u32(&m, (uint32_t)strlen(data));
    buffer_put(&m, data, strlen(data));
}

/* Decodes from a block that ends where the message ends; the block stays (leaked to the arena's life). */
static bool decode_bytes(const char *data, size_t length, struct pgoutput_message *out, struct error *err)
{
    static char *block;
    free(block);
    block = malloc(length ? length : 1);
    assert_non_null(block);
    memcpy(block, data, length);
    arena_reset(arena);
    bool ok = pgoutput_decode((struct slice){block, length}, arena, out, err);
    if (length == 0) {
        free(block);
        block = NULL;
    }
    return ok;
}

static struct pgoutput_message decode(void)
{
    struct pgoutput_message out;
    struct error err = {0};
    if (!decode_bytes(m.data, m.length, &out, &err))
        fail_msg("%s", err.text);
    return out;
}

static void refused(const char *why)
{
    struct pgoutput_message out;
    struct error err = {0};
    assert_false(decode_bytes(m.data ? m.data : "", m.length, &out, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    buffer_clear(&m);
}

/* No proper beginning of it, and nothing longer, is a message. */
static void only_whole(const char *data, size_t length)
{
    struct pgoutput_message out;
    struct error err = {0};
    for (size_t n = 0; n < length; n++)
        assert_false(decode_bytes(data, n, &out, &err));
    char *longer = malloc(length + 1);
    assert_non_null(longer);
    memcpy(longer, data, length);
    longer[length] = 0;
    assert_false(decode_bytes(longer, length + 1, &out, &err));
    free(longer);
}

static void assert_value(struct value v, enum value_kind kind, const char *data)
{
    assert_int_equal(v.kind, kind);
    assert_int_equal(v.length, data ? strlen(data) : 0);
    if (data)
        assert_memory_equal(v.data, data, v.length);
    else
        assert_null(v.data);
}

static void begin_and_commit(void **state)
{
    (void)state;
    buffer_putc(&m, 'B');
    buffer_put_u64(&m, 0x16B3748);
    buffer_put_u64(&m, 1000000);
    buffer_put_u32(&m, 777);
    struct pgoutput_message out = decode();
    assert_int_equal(out.kind, PGOUTPUT_BEGIN);
    assert_int_equal(out.final_lsn, 0x16B3748);
    assert_true(out.commit_time_us == CLOCK_PG_EPOCH_US + 1000000);
    assert_int_equal(out.xid, 777);
    only_whole(m.data, m.length);

    buffer_clear(&m);
    buffer_putc(&m, 'C');
    buffer_put_u8(&m, 0);
    buffer_put_u64(&m, 5);
    buffer_put_u64(&m, UINT64_MAX);
    buffer_put_u64(&m, (uint64_t)-1);
    out = decode();
    assert_int_equal(out.kind, PGOUTPUT_COMMIT);
    assert_int_equal(out.commit_lsn, 5);
    assert_true(out.end_lsn == UINT64_MAX);
    assert_true(out.commit_time_us == CLOCK_PG_EPOCH_US - 1);
    only_whole(m.data, m.length);
    m.data[1] = 1;
    refused("unknown flags");
}

static void a_time_out_of_range_is_refused(void **state)
{
    (void)state;
    buffer_putc(&m, 'B');
    buffer_put_u64(&m, 1);
    buffer_put_u64(&m, INT64_MAX);
    buffer_put_u32(&m, 1);
    refused("time is out of range");
}

static void origin_type_and_message(void **state)
{
    (void)state;
    buffer_putc(&m, 'O');
    buffer_put_u64(&m, 9);
    put_text("crossfade_x_0");
    struct pgoutput_message out = decode();
    assert_int_equal(out.kind, PGOUTPUT_ORIGIN);
    assert_int_equal(out.origin_lsn, 9);
    assert_string_equal(out.origin, "crossfade_x_0");
    only_whole(m.data, m.length);

    buffer_clear(&m);
    buffer_putc(&m, 'Y');
    buffer_put_u32(&m, 16386);
    put_text("public");
    put_text("mood");
    out = decode();
    assert_int_equal(out.kind, PGOUTPUT_TYPE);
    assert_int_equal(out.type_oid, 16386);
    assert_string_equal(out.schema, "public");
    assert_string_equal(out.name, "mood");
    only_whole(m.data, m.length);

    buffer_clear(&m);
    buffer_putc(&m, 'M');
    buffer_put_u8(&m, 1);
    buffer_put_u64(&m, 3);
    put_text("prefix");
    buffer_put_u32(&m, 3);
    buffer_puts(&m, "abc");
    assert_int_equal(decode().kind, PGOUTPUT_MESSAGE);
    only_whole(m.data, m.length);
}

static void put_relation(uint16_t count)
{
    buffer_putc(&m, 'R');
    buffer_put_u32(&m, 4242);
    put_text("");
    put_text("t");
    buffer_putc(&m, 'd');
    buffer_put_u16(&m, count);
    buffer_put_u8(&m, 1);
    put_text("id");
    buffer_put_u32(&m, 23);
    buffer_put_u32(&m, (uint32_t)-1);
    buffer_put_u8(&m, 0);
    put_text("na\"me");
    buffer_put_u32(&m, 1043);
    buffer_put_u32(&m, 44);
}

static void relation(void **state)
{
    (void)state;
    put_relation(2);
    struct pgoutput_message out = decode();
    assert_int_equal(out.kind, PGOUTPUT_RELATION);
    assert_int_equal(out.relation, 4242);
    assert_string_equal(out.schema, "");
    assert_string_equal(out.name, "t");
    assert_int_equal(out.replica_identity, 'd');
    assert_int_equal(out.column_count, 2);
    assert_true(out.columns[0].key);
    assert_string_equal(out.columns[0].name, "id");
    assert_int_equal(out.columns[0].type_oid, 23);
    assert_int_equal(out.columns[0].type_modifier, -1);
    assert_false(out.columns[1].key);
    assert_string_equal(out.columns[1].name, "na\"me");
    assert_int_equal(out.columns[1].type_modifier, 44);
    only_whole(m.data, m.length);

    buffer_clear(&m);
    put_relation(3);
    refused("more columns than it can hold");
    put_relation(1);
    refused("left over");
    put_relation(0xFFFF);
    refused("more columns than it can hold");
    buffer_puts(&m, "R");
    buffer_put_u32(&m, 1);
    buffer_puts(&m, "no end");
    refused("a name has no end");
}

static void insert(void **state)
{
    (void)state;
    buffer_putc(&m, 'I');
    buffer_put_u32(&m, 7);
    buffer_putc(&m, 'N');
    buffer_put_u16(&m, 5);
    put_value('t', "42");
    put_value('n', NULL);
    put_value('u', NULL);
    put_value('b', "\x01\x02");
    put_value('t', "");
    struct pgoutput_message out = decode();
    assert_int_equal(out.kind, PGOUTPUT_INSERT);
    assert_int_equal(out.relation, 7);
    assert_int_equal(out.old_kind, OLD_NONE);
    assert_int_equal(out.new_tuple.count, 5);
    assert_value(out.new_tuple.values[0], VALUE_TEXT, "42");
    assert_value(out.new_tuple.values[1], VALUE_NULL, NULL);
    assert_value(out.new_tuple.values[2], VALUE_ABSENT, NULL);
    assert_value(out.new_tuple.values[3], VALUE_BINARY, "\x01\x02");
    assert_value(out.new_tuple.values[4], VALUE_TEXT, "");
    only_whole(m.data, m.length);
    m.data[5] = 'K';
    refused("the new row is missing");
}

static void update_with_each_old_row(void **state)
{
    (void)state;
    static const char kinds[] = {0, 'K', 'O'};
    static const enum old_row expected[] = {OLD_NONE, OLD_KEY, OLD_FULL};
    for (size_t i = 0; i < 3; i++) {
        buffer_clear(&m);
        buffer_putc(&m, 'U');
        buffer_put_u32(&m, 7);
        if (kinds[i]) {
            buffer_putc(&m, kinds[i]);
            buffer_put_u16(&m, 1);
            put_value('t', "old");
        }
        buffer_putc(&m, 'N');
        buffer_put_u16(&m, 1);
        put_value('t', "new");
        struct pgoutput_message out = decode();
        assert_int_equal(out.kind, PGOUTPUT_UPDATE);
        assert_int_equal(out.old_kind, expected[i]);
        assert_int_equal(out.old_tuple.count, kinds[i] ? 1 : 0);
        if (kinds[i])
            assert_value(out.old_tuple.values[0], VALUE_TEXT, "old");
        assert_value(out.new_tuple.values[0], VALUE_TEXT, "new");
        only_whole(m.data, m.length);
    }
    m.data[5] = 'X';
    refused("the new row is missing");
}

static void delete_with_key_and_full(void **state)
{
    (void)state;
    buffer_putc(&m, 'D');
    buffer_put_u32(&m, 7);
    buffer_putc(&m, 'K');
    buffer_put_u16(&m, 1);
    put_value('t', "1");
    struct pgoutput_message out = decode();
    assert_int_equal(out.kind, PGOUTPUT_DELETE);
    assert_int_equal(out.old_kind, OLD_KEY);
    assert_value(out.old_tuple.values[0], VALUE_TEXT, "1");
    only_whole(m.data, m.length);
    m.data[5] = 'O';
    assert_int_equal(decode().old_kind, OLD_FULL);
    m.data[5] = 'N';
    refused("the old row is missing");
}

static void truncate_lists_tables_and_options(void **state)
{
    (void)state;
    for (uint8_t flags = 0; flags < 4; flags++) {
        buffer_clear(&m);
        buffer_putc(&m, 'T');
        buffer_put_u32(&m, 2);
        buffer_put_u8(&m, flags);
        buffer_put_u32(&m, 11);
        buffer_put_u32(&m, 0x01020304);
        struct pgoutput_message out = decode();
        assert_int_equal(out.kind, PGOUTPUT_TRUNCATE);
        assert_int_equal(out.truncated_count, 2);
        assert_int_equal(out.truncated[0], 11);
        assert_int_equal(out.truncated[1], 0x01020304);
        assert_int_equal(out.truncate_cascade, (flags & 1) != 0);
        assert_int_equal(out.truncate_restart, (flags & 2) != 0);
        only_whole(m.data, m.length);
    }
    m.data[5] = 4;
    refused("unknown flags");
}

static void lying_counts_and_lengths_are_refused(void **state)
{
    (void)state;
    buffer_putc(&m, 'T');
    buffer_put_u32(&m, UINT32_MAX);
    buffer_put_u8(&m, 0);
    buffer_put_u32(&m, 1);
    refused("more tables than it can hold");

    static const uint32_t lengths[] = {2, INT32_MAX, 0x80000000u, UINT32_MAX};
    static const char *const why[] = {"middle of a field", "middle of a field", "negative", "negative"};
    for (size_t i = 0; i < 4; i++) {
        buffer_putc(&m, 'I');
        buffer_put_u32(&m, 7);
        buffer_putc(&m, 'N');
        buffer_put_u16(&m, 1);
        buffer_putc(&m, 't');
        buffer_put_u32(&m, lengths[i]);
        buffer_putc(&m, 'x');
        refused(why[i]);
    }
    buffer_putc(&m, 'I');
    buffer_put_u32(&m, 7);
    buffer_putc(&m, 'N');
    buffer_put_u16(&m, 0xFFFF);
    for (int i = 0; i < 0xFFFF; i++)
        buffer_putc(&m, 'n');
    refused("more columns than it can hold");
    buffer_putc(&m, 'I');
    buffer_put_u32(&m, 7);
    buffer_putc(&m, 'N');
    buffer_put_u16(&m, 1);
    buffer_putc(&m, 'z');
    refused("unknown kind");
    refused("it is empty");
}

static void messages_of_streamed_and_prepared_transactions_are_fatal(void **state)
{
    (void)state;
    for (const char *kind = "ScAEbPKrpZ"; *kind; kind++) {
        struct pgoutput_message out;
        struct error err = {0};
        assert_false(decode_bytes(kind, 1, &out, &err));
        assert_int_equal(err.kind, ERROR_FATAL);
    }
}

static void envelopes(void **state)
{
    (void)state;
    struct pgoutput_envelope e;
    struct error err = {0};
    buffer_putc(&m, 'w');
    buffer_put_u64(&m, 10);
    buffer_put_u64(&m, 20);
    buffer_put_u64(&m, 0);
    buffer_puts(&m, "body");
    assert_true(pgoutput_envelope_decode((struct slice){m.data, m.length}, &e, &err));
    assert_int_equal(e.kind, 'w');
    assert_int_equal(e.start, 10);
    assert_int_equal(e.end, 20);
    assert_true(e.clock_us == CLOCK_PG_EPOCH_US);
    assert_int_equal(e.body.length, 4);
    assert_memory_equal(e.body.data, "body", 4);
    for (size_t n = 0; n < 25; n++)
        assert_false(pgoutput_envelope_decode((struct slice){m.data, n}, &e, &err));

    buffer_clear(&m);
    buffer_putc(&m, 'k');
    buffer_put_u64(&m, 30);
    buffer_put_u64(&m, 1);
    buffer_put_u8(&m, 1);
    assert_true(pgoutput_envelope_decode((struct slice){m.data, m.length}, &e, &err));
    assert_int_equal(e.kind, 'k');
    assert_int_equal(e.end, 30);
    assert_true(e.reply);
    for (size_t n = 0; n < m.length; n++)
        assert_false(pgoutput_envelope_decode((struct slice){m.data, n}, &e, &err));
    buffer_putc(&m, 0);
    assert_false(pgoutput_envelope_decode((struct slice){m.data, m.length}, &e, &err));
    m.data[0] = 'q';
    assert_false(pgoutput_envelope_decode((struct slice){m.data, m.length}, &e, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
}

static void status_is_what_a_walsender_reads(void **state)
{
    (void)state;
    static const unsigned char expected[PGOUTPUT_STATUS_SIZE] = {
        'r', 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3,
        0,   0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 1,
    };
    char out[PGOUTPUT_STATUS_SIZE];
    pgoutput_status_encode(0x100000002, 3, 4, CLOCK_PG_EPOCH_US + 5, true, out);
    assert_memory_equal(out, expected, sizeof(out));
}

/* --- recorded --- */

static size_t unhex(char *line, char *out)
{
    size_t n = 0;
    unsigned v;
    for (char *p = line; sscanf(p, "%2x", &v) == 1; p += 2)
        out[n++] = (char)v;
    return n;
}

static void recorded(const char *name, bool binary)
{
    char path[512];
    size_t capacity = 1 << 20;
    char *line = malloc(capacity);
    char *bytes = malloc(capacity);
    int seen[PGOUTPUT_MESSAGE + 1] = {0};
    int absent = 0, old_key = 0, old_full = 0, values = 0, of_kind = 0;
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof(path), "%s/tests/unit/data/%s", srcdir ? srcdir : ".", name);
    FILE *f = fopen(path, "r");
    assert_true(f && line && bytes);
    while (fgets(line, (int)capacity, f)) {
        struct pgoutput_message out;
        struct error err = {0};
        if (line[0] == '#')
            continue;
        size_t n = unhex(line, bytes);
        if (!decode_bytes(bytes, n, &out, &err))
            fail_msg("%s: %s", line, err.text);
        seen[out.kind]++;
        old_key += out.old_kind == OLD_KEY;
        old_full += out.old_kind == OLD_FULL;
        for (uint16_t i = 0; i < out.new_tuple.count; i++) {
            enum value_kind kind = out.new_tuple.values[i].kind;
            absent += kind == VALUE_ABSENT;
            values += kind != VALUE_ABSENT && kind != VALUE_NULL;
            of_kind += kind == (binary ? VALUE_BINARY : VALUE_TEXT);
        }
        only_whole(bytes, n);
    }
    fclose(f);
    free(line);
    free(bytes);
    assert_int_equal(seen[PGOUTPUT_BEGIN], 11);
    assert_int_equal(seen[PGOUTPUT_COMMIT], 11);
    assert_int_equal(seen[PGOUTPUT_ORIGIN], 1);
    assert_int_equal(seen[PGOUTPUT_RELATION], 7);
    assert_int_equal(seen[PGOUTPUT_TYPE], 4);
    assert_int_equal(seen[PGOUTPUT_INSERT], 6);
    assert_int_equal(seen[PGOUTPUT_UPDATE], 3);
    assert_int_equal(seen[PGOUTPUT_DELETE], 2);
    assert_int_equal(seen[PGOUTPUT_TRUNCATE], 2);
    assert_int_equal(absent, 2); /* student.big and "Full Row".big, unchanged */
    assert_int_equal(old_key, 2);
    assert_int_equal(old_full, 2);
    assert_true(values > 0);
    assert_int_equal(of_kind, values);
}

static void recorded_text_session(void **state)
{
    (void)state;
    recorded("pgoutput_text.hex", false);
}

static void recorded_binary_session(void **state)
{
    (void)state;
    recorded("pgoutput_binary.hex", true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(begin_and_commit),
        TEST(a_time_out_of_range_is_refused),
        TEST(origin_type_and_message),
        TEST(relation),
        TEST(insert),
        TEST(update_with_each_old_row),
        TEST(delete_with_key_and_full),
        TEST(truncate_lists_tables_and_options),
        TEST(lying_counts_and_lengths_are_refused),
        TEST(messages_of_streamed_and_prepared_transactions_are_fatal),
        TEST(envelopes),
        TEST(status_is_what_a_walsender_reads),
        TEST(recorded_text_session),
        TEST(recorded_binary_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
