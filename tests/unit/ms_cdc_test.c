/* SPDX-License-Identifier: PostgreSQL
 *
 * The pure parts of reading a SQL Server: LSNs, update masks, the order of change rows and their merge, key
 * predicates, and the framing of COPY BINARY.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mssql/cdc_lsn.h"
#include "mssql/cdc_mask.h"
#include "mssql/cdc_merge.h"
#include "mssql/copy_out.h"
#include "mssql/keyset.h"
#include "mssql/marker.h"

/* --- LSNs --- */

static struct position lsn(uint16_t high, uint64_t low)
{
    return (struct position){.kind = POSITION_CDC, .high = high, .low = low};
}

static void test_lsn_bytes_there_and_back(void **state)
{
    (void)state;
    const unsigned char bytes[10] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0xff};
    unsigned char back[CDC_LSN_SIZE];
    struct position p = cdc_lsn(bytes, sizeof(bytes));
    struct buffer text = {0};
    assert_int_equal(p.kind, POSITION_CDC);
    assert_int_equal(p.high, 0x0102);
    assert_int_equal(p.low, 0x03040506070809ff);
    cdc_lsn_bytes(p, back);
    assert_memory_equal(back, bytes, sizeof(bytes));
    cdc_lsn_put(&text, p);
    assert_string_equal(buffer_text(&text), "0x010203040506070809FF");
    buffer_free(&text);
    assert_int_equal(cdc_lsn(bytes, 9).kind, POSITION_NONE);
    assert_int_equal(cdc_lsn(NULL, 0).kind, POSITION_NONE);
}

static void test_lsn_steps_carry_over_all_ten_bytes(void **state)
{
    (void)state;
    assert_int_equal(cdc_lsn_compare(cdc_lsn_next(lsn(1, UINT64_MAX)), lsn(2, 0)), 0);
    assert_int_equal(cdc_lsn_compare(cdc_lsn_before(lsn(2, 0)), lsn(1, UINT64_MAX)), 0);
    assert_int_equal(cdc_lsn_compare(cdc_lsn_next(lsn(UINT16_MAX, UINT64_MAX)), lsn(UINT16_MAX, UINT64_MAX)),
                     0);
    assert_true(cdc_lsn_is_zero(cdc_lsn_before(lsn(0, 0))));
    assert_true(cdc_lsn_is_zero((struct position){.kind = POSITION_NONE}));
    assert_true(cdc_lsn_compare(lsn(1, 0), lsn(0, UINT64_MAX)) > 0);
}

/* --- hazard 14: update mask read from the wrong end, unseen below 9 columns --- */

/* A mask as the server makes it: `columns` bits in whole bytes, the last byte first. */
static size_t make_mask(unsigned char *out, uint32_t columns, const uint32_t *set, size_t count)
{
    size_t length = (columns + 7) / 8;
    memset(out, 0, length);
    for (size_t i = 0; i < count; i++)
        out[length - 1 - (set[i] - 1) / 8] |= (unsigned char)(1 << ((set[i] - 1) % 8));
    return length;
}

static void check_mask(uint32_t columns)
{
    unsigned char mask[128];
    for (uint32_t one = 1; one <= columns; one++) {
        size_t length = make_mask(mask, columns, &one, 1);
        for (uint32_t i = 1; i <= columns; i++)
            assert_int_equal(cdc_mask_has(mask, length, i), i == one);
    }
}

static void test_mask_of_9_17_and_40_columns(void **state)
{
    (void)state;
    check_mask(8);
    check_mask(9);
    check_mask(17);
    check_mask(40);
    check_mask(1024);
    /* As documented for sys.fn_cdc_is_bit_set: column 9 of 9 is the first byte, column 1 the last. */
    const unsigned char ninth[] = {0x01, 0x00}, first[] = {0x00, 0x01};
    assert_true(cdc_mask_has(ninth, 2, 9));
    assert_false(cdc_mask_has(ninth, 2, 1));
    assert_true(cdc_mask_has(first, 2, 1));
    assert_false(cdc_mask_has(first, 2, 9));
    assert_false(cdc_mask_has(first, 2, 17));
    assert_false(cdc_mask_has(first, 2, 0));
    assert_false(cdc_mask_has(NULL, 0, 1));
}

/* --- hazard 10: SQL Server changes out of order across tables --- */

static struct cdc_key key(uint64_t at, int32_t command, uint64_t seqval, enum cdc_operation op)
{
    return (struct cdc_key){
        .lsn = lsn(0, at), .command = command, .seqval = lsn(0, seqval), .operation = (uint8_t)op};
}

static struct cdc_key old_key(uint64_t at, uint64_t seqval, enum cdc_operation op)
{
    struct cdc_key k = key(at, 0, seqval, op);
    k.command_null = true;
    return k;
}

static void test_order_is_lsn_command_seqval_operation(void **state)
{
    (void)state;
    struct cdc_key order[] = {
        key(1, 9, 9, CDC_UPDATE_NEW), key(2, 1, 9, CDC_UPDATE_NEW), key(2, 2, 1, CDC_UPDATE_NEW),
        key(2, 2, 3, CDC_UPDATE_OLD), key(2, 2, 3, CDC_UPDATE_NEW), key(2, 3, 0, CDC_DELETE),
        old_key(3, 1, CDC_INSERT),    old_key(3, 2, CDC_DELETE),    key(3, 0, 0, CDC_DELETE)};
    size_t n = sizeof(order) / sizeof(order[0]);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            int c = cdc_key_compare(&order[i], &order[k]);
            assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
        }
    }
    assert_true(cdc_key_is_pair(&order[3], &order[4]));
    assert_false(cdc_key_is_pair(&order[4], &order[3]));
    assert_false(cdc_key_is_pair(&order[3], &order[2]));
}

/* Seqval alone, or the operation alone, would give another order. */
static void test_merge_of_tables_interleaved_in_one_transaction(void **state)
{
    (void)state;
    struct cdc_merge merge = {0};
    struct cdc_key a[] = {key(5, 1, 50, CDC_INSERT), key(5, 3, 10, CDC_DELETE), key(6, 1, 1, CDC_INSERT)};
    struct cdc_key b[] = {key(5, 2, 40, CDC_INSERT), key(5, 4, 5, CDC_INSERT), key(7, 1, 1, CDC_DELETE)};
    const uint32_t expected[] = {0, 1, 0, 1, 0, 1};
    size_t at[2] = {0, 0};
    cdc_merge_push(&merge, 1, &b[0]);
    cdc_merge_push(&merge, 0, &a[0]);
    for (size_t i = 0; i < 6; i++) {
        const struct cdc_merge_item *item = cdc_merge_least(&merge);
        assert_non_null(item);
        uint32_t stream = item->stream;
        assert_int_equal(stream, expected[i]);
        cdc_merge_pop(&merge);
        if (++at[stream] < 3)
            cdc_merge_push(&merge, stream, stream ? &b[at[1]] : &a[at[0]]);
    }
    assert_null(cdc_merge_least(&merge));
    cdc_merge_free(&merge);
}

static void test_merge_ties_go_to_the_lower_stream(void **state)
{
    (void)state;
    struct cdc_merge merge = {0};
    struct cdc_key same = key(5, 1, 1, CDC_INSERT);
    for (uint32_t i = 7; i-- > 0;)
        cdc_merge_push(&merge, i, &same);
    for (uint32_t i = 0; i < 7; i++) {
        assert_int_equal(cdc_merge_least(&merge)->stream, i);
        cdc_merge_pop(&merge);
    }
    cdc_merge_free(&merge);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void test_merge_of_many_streams_is_sorted_and_whole(void **state)
{
    (void)state;
    enum { STREAMS = 100, EACH = 50 };
    static struct cdc_key keys[STREAMS][EACH];
    uint32_t at[STREAMS] = {0}, seed = 4711, seen = 0;
    struct cdc_merge merge = {0};
    struct cdc_key last = {0};
    for (uint32_t i = 0; i < STREAMS; i++) {
        uint64_t l = 0;
        for (uint32_t k = 0; k < EACH; k++) {
            l += next_random(&seed) % 3;
            keys[i][k] = key(l, (int32_t)k, k, CDC_INSERT);
        }
        cdc_merge_push(&merge, i, &keys[i][0]);
    }
    for (const struct cdc_merge_item *item; (item = cdc_merge_least(&merge)); seen++) {
        uint32_t i = item->stream;
        assert_true(cdc_key_compare(&last, &item->key) <= 0);
        last = item->key;
        cdc_merge_pop(&merge);
        if (++at[i] < EACH)
            cdc_merge_push(&merge, i, &keys[i][at[i]]);
    }
    assert_int_equal(seen, STREAMS * EACH);
    cdc_merge_free(&merge);
}

/* --- hazard 18: keys sort differently on the two sides --- */

static char name_a[] = "a", name_b[] = "b]", name_c[] = "c", schema[] = "dbo", table_name[] = "t";

static struct ms_catalog_column column(char *name, enum ms_type_id id, int16_t length, const char *collation)
{
    return (struct ms_catalog_column){.name = name,
                                      .type = {.type = ms_type_at(id),
                                               .max_length = length,
                                               .precision = 10,
                                               .scale = 2,
                                               .collation = collation}};
}

static void make_keyset(struct ms_catalog_column *columns, uint16_t count, struct ms_index *index,
                        struct ms_keyset *out)
{
    const char *names[] = {name_a, name_b, name_c};
    struct ms_catalog_table t = {
        .schema = schema, .name = table_name, .columns = columns, .column_count = count};
    t.indexes = index;
    t.index_count = index ? 1 : 0;
    ms_keyset_make(&t, names, count, out);
}

static void check_where(const struct ms_keyset *k, char *const *low, char *const *high, const char *expected)
{
    struct buffer sql = {0};
    ms_keyset_where(k, low, high, &sql);
    assert_string_equal(buffer_text(&sql), expected);
    buffer_free(&sql);
}

static void test_predicate_of_one_column(void **state)
{
    (void)state;
    struct ms_catalog_column c[] = {column(name_a, MS_INT, 4, NULL)};
    struct ms_keyset k;
    char one[] = "1", two[] = "2';--", *low[] = {one}, *high[] = {two};
    make_keyset(c, 1, NULL, &k);
    assert_true(k.supported);
    assert_false(k.indexed);
    check_where(&k, NULL, NULL, "");
    check_where(&k, low, NULL, " WHERE [t].[a] > CONVERT(int, N'1')");
    check_where(&k, low, high, " WHERE [t].[a] > CONVERT(int, N'1') AND [t].[a] <= CONVERT(int, N'2'';--')");
    ms_keyset_free(&k);
}

static void test_predicate_of_three_columns_one_descending(void **state)
{
    (void)state;
    struct ms_catalog_column c[] = {column(name_a, MS_UNIQUEIDENTIFIER, 16, NULL),
                                    column(name_b, MS_NVARCHAR, 40, "Latin1_General_CI_AS"),
                                    column(name_c, MS_DATETIME2, 8, NULL)};
    struct ms_index_column ic[] = {{.column = 0}, {.column = 1, .descending = true}, {.column = 2}};
    struct ms_index index = {
        .kind = MS_INDEX_CLUSTERED, .unique = true, .columns = ic, .column_count = 3, .key_count = 3};
    struct ms_keyset k;
    char u[] = "6F9619FF-8B86-D011-B42D-00C04FC964FF", t[] = "0x6100", d[] = "2026-01-02T03:04:05.1234567";
    char *bound[] = {u, t, d};
    struct buffer order = {0};
    make_keyset(c, 3, &index, &k);
    assert_true(k.supported && k.indexed && k.clustered);
    ms_keyset_order(&k, &order);
    assert_string_equal(buffer_text(&order), "[t].[a], [t].[b]]] DESC, [t].[c]");
#define U "CONVERT(uniqueidentifier, N'6F9619FF-8B86-D011-B42D-00C04FC964FF')"
#define T "CONVERT(nvarchar(20), CONVERT(varbinary(max), N'0x6100', 1)) COLLATE Latin1_General_CI_AS"
#define D "CONVERT(datetime2(2), N'2026-01-02T03:04:05.1234567', 126)"
    check_where(&k, bound, NULL,
                " WHERE ([t].[a] >= " U " AND ([t].[a] > " U " OR ([t].[a] = " U " AND ([t].[b]]] <= " T
                " AND ([t].[b]]] < " T " OR ([t].[b]]] = " T " AND [t].[c] > " D "))))))");
    check_where(&k, NULL, bound,
                " WHERE ([t].[a] <= " U " AND ([t].[a] < " U " OR ([t].[a] = " U " AND ([t].[b]]] >= " T
                " AND ([t].[b]]] > " T " OR ([t].[b]]] = " T " AND [t].[c] <= " D "))))))");
    buffer_free(&order);
    ms_keyset_free(&k);
}

static void test_keys_that_cannot_be_cut(void **state)
{
    (void)state;
    struct ms_keyset k;
    struct ms_catalog_column null = column(name_a, MS_INT, 4, NULL);
    null.nullable = true;
    make_keyset(&null, 1, NULL, &k);
    assert_false(k.supported);
    assert_non_null(strstr(k.reason, "allows NULL"));
    ms_keyset_free(&k);
    struct ms_catalog_column variant = column(name_a, MS_SQL_VARIANT, 8016, NULL);
    make_keyset(&variant, 1, NULL, &k);
    assert_false(k.supported);
    ms_keyset_free(&k);
    struct ms_catalog_column odd = column(name_a, MS_VARCHAR, 10, "x; DROP TABLE t");
    make_keyset(&odd, 1, NULL, &k);
    assert_false(k.supported);
    ms_keyset_free(&k);
    struct ms_catalog_column good = column(name_a, MS_INT, 4, NULL);
    make_keyset(&good, 0, NULL, &k);
    assert_false(k.supported);
    ms_keyset_free(&k);
}

static void test_filtered_or_other_indexes_give_no_order(void **state)
{
    (void)state;
    static char filter[] = "([a]>(0))";
    struct ms_catalog_column c[] = {column(name_a, MS_INT, 4, NULL), column(name_b, MS_INT, 4, NULL)};
    struct ms_index_column right[] = {{.column = 0}, {.column = 1}}, wrong[] = {{.column = 1}, {.column = 0}};
    struct ms_index index = {
        .kind = MS_INDEX_NONCLUSTERED, .columns = right, .column_count = 2, .key_count = 2};
    struct ms_keyset k;
    make_keyset(c, 2, &index, &k);
    assert_true(k.indexed);
    assert_false(k.clustered);
    ms_keyset_free(&k);
    index.filter = filter;
    make_keyset(c, 2, &index, &k);
    assert_false(k.indexed);
    ms_keyset_free(&k);
    index.filter = NULL;
    index.columns = wrong;
    make_keyset(c, 2, &index, &k);
    assert_false(k.indexed);
    ms_keyset_free(&k);
    index.columns = right;
    index.kind = MS_INDEX_CLUSTERED_COLUMNSTORE;
    make_keyset(c, 2, &index, &k);
    assert_false(k.indexed);
    ms_keyset_free(&k);
}

/* A change row from before sp_cdc_vupgrade has no command id: the page goes on behind NULL. */
static void test_predicate_behind_null(void **state)
{
    (void)state;
    const struct ms_keyset_term terms[] = {{.column = "l", .value = "@from"},
                                           {.column = "c", .value = NULL},
                                           {.column = "s", .value = "@seqval"}};
    struct buffer sql = {0};
    ms_keyset_expand(terms, 3, true, &sql);
    assert_string_equal(buffer_text(&sql), "(l >= @from AND (l > @from OR (l = @from AND "
                                           "(c IS NOT NULL OR (c IS NULL AND s > @seqval)))))");
    buffer_free(&sql);
}

/* --- COPY BINARY --- */

static void test_copy_framing(void **state)
{
    (void)state;
    struct buffer out = {0};
    ms_copy_header(&out);
    assert_int_equal(out.length, 19);
    assert_memory_equal(out.data, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
    buffer_clear(&out);
    ms_copy_trailer(&out);
    assert_int_equal(out.length, 2);
    assert_memory_equal(out.data, "\377\377", 2);
    buffer_free(&out);
}

/* --- collations --- */

static void check_collation(const char *name, bool case_sensitive, bool accent_sensitive, bool binary,
                            bool utf8)
{
    bool c, a, b, u;
    ms_catalog_collation(name, &c, &a, &b, &u);
    assert_int_equal(c, case_sensitive);
    assert_int_equal(a, accent_sensitive);
    assert_int_equal(b, binary);
    assert_int_equal(u, utf8);
}

static void test_collation_names(void **state)
{
    (void)state;
    check_collation("SQL_Latin1_General_CP1_CI_AS", false, true, false, false);
    check_collation("Latin1_General_100_CS_AI_KS_SC_UTF8", true, false, false, true);
    check_collation("Latin1_General_BIN2", true, true, true, false);
    check_collation("Japanese_BIN", true, true, true, false);
    check_collation("Latin1_General_100_BIN2_UTF8", true, true, true, true);
}

/* --- the script --- */

static void test_script_is_idempotent_and_quotes_the_login(void **state)
{
    (void)state;
    struct buffer script = {0};
    marker_script(true, true, "a]b", &script);
    const char *text = buffer_text(&script);
    size_t batches = 0, guarded = 0;
    for (const char *at = strstr(text, "GO\n"); at; at = strstr(at + 1, "GO\n"))
        batches++;
    for (const char *at = strstr(text, "IF "); at; at = strstr(at + 1, "IF "))
        guarded++;
    assert_int_equal(batches, 9);
    assert_int_equal(guarded, 8);
    assert_non_null(strstr(text, "TO [a]]b]"));
    buffer_clear(&script);
    marker_script(false, false, NULL, &script);
    assert_null(strstr(buffer_text(&script), "sp_cdc"));
    assert_null(strstr(buffer_text(&script), "progress"));
    buffer_free(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lsn_bytes_there_and_back),
        cmocka_unit_test(test_lsn_steps_carry_over_all_ten_bytes),
        cmocka_unit_test(test_mask_of_9_17_and_40_columns),
        cmocka_unit_test(test_order_is_lsn_command_seqval_operation),
        cmocka_unit_test(test_merge_of_tables_interleaved_in_one_transaction),
        cmocka_unit_test(test_merge_ties_go_to_the_lower_stream),
        cmocka_unit_test(test_merge_of_many_streams_is_sorted_and_whole),
        cmocka_unit_test(test_predicate_of_one_column),
        cmocka_unit_test(test_predicate_of_three_columns_one_descending),
        cmocka_unit_test(test_keys_that_cannot_be_cut),
        cmocka_unit_test(test_filtered_or_other_indexes_give_no_order),
        cmocka_unit_test(test_predicate_behind_null),
        cmocka_unit_test(test_copy_framing),
        cmocka_unit_test(test_collation_names),
        cmocka_unit_test(test_script_is_idempotent_and_quotes_the_login),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
