/* SPDX-License-Identifier: PostgreSQL
 *
 * Keys of changes: compared, made canonical, and shown. Runs once or more for every change of the stream,
 * so the usual case is a memcpy. Values are never interpreted beyond what key equality needs.
 */
#include "model/change.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"

/* Where the display scale sits in numeric's send format: ndigits, weight, sign, dscale, 2 bytes each. */
enum { NUMERIC_HEADER = 8, NUMERIC_DSCALE = 6 };

static bool value_same(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind || a->length != b->length)
        return false;
    return a->length == 0 || memcmp(a->data, b->data, a->length) == 0;
}

bool change_moves_key(const struct change *c)
{
    if (c->op != CHANGE_UPDATE || !c->old || !c->row)
        return false;
    for (uint16_t i = 0; i < c->table->key_count; i++) {
        uint16_t at = c->table->key[i];
        /* A key value that the new row lacks is an unchanged TOASTed one. */
        if (c->row[at].kind == VALUE_ABSENT || c->old[at].kind == VALUE_ABSENT)
            continue;
        if (!value_same(&c->old[at], &c->row[at]))
            return true;
    }
    return false;
}

static void put_part(struct buffer *out, enum value_kind kind, const char *data, uint32_t length)
{
    char *at = buffer_extend(out, 5 + (size_t)length);
    at[0] = (char)kind;
    memcpy(at + 1, &length, 4);
    if (length)
        memcpy(at + 5, data, length);
}

static void put_numeric_binary(struct buffer *out, const struct value *v)
{
    uint32_t length = v->length - 2;
    char *at = buffer_extend(out, 5 + (size_t)length);
    at[0] = (char)VALUE_BINARY;
    memcpy(at + 1, &length, 4);
    memcpy(at + 5, v->data, NUMERIC_DSCALE);
    memcpy(at + 5 + NUMERIC_DSCALE, v->data + NUMERIC_HEADER, v->length - NUMERIC_HEADER);
}

static void put_numeric_text(struct buffer *out, const struct value *v)
{
    const char *data = v->data;
    uint32_t length = v->length;
    if (memchr(data, '.', length)) {
        while (data[length - 1] == '0')
            length--;
        if (data[length - 1] == '.')
            length--;
    }
    if (length == 2 && memcmp(data, "-0", 2) == 0) {
        data++;
        length--;
    }
    put_part(out, VALUE_TEXT, data, length);
}

void change_key_bytes(const struct table *table, const struct value *row, struct buffer *out)
{
    assert(table->key_hashable);
    for (uint16_t i = 0; i < table->key_count; i++) {
        uint16_t at = table->key[i];
        const struct value *v = &row[at];
        bool numeric = table->columns[at].key_numeric;
        if (numeric && v->kind == VALUE_BINARY && v->length >= NUMERIC_HEADER)
            put_numeric_binary(out, v);
        else if (numeric && v->kind == VALUE_TEXT && v->length > 0)
            put_numeric_text(out, v);
        else
            put_part(out, v->kind, v->data, v->length);
    }
}

/* --- for people --- */

enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_CHAR = 18,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_UUID = 2950
};

struct text {
    char *at;
    char *end; /* the NUL goes here at the latest */
};

static void text_put(struct text *t, const char *data, size_t length)
{
    size_t room = (size_t)(t->end - t->at);
    size_t n = length < room ? length : room;
    memcpy(t->at, data, n);
    t->at += n;
}

static void text_puts(struct text *t, const char *s)
{
    text_put(t, s, strlen(s));
}

static void text_quoted(struct text *t, const char *data, size_t length)
{
    text_puts(t, "\"");
    for (size_t i = 0; i < length && t->at < t->end; i++) {
        unsigned char c = (unsigned char)data[i];
        char escaped[8];
        if (c == '"' || c == '\\') {
            escaped[0] = '\\';
            escaped[1] = (char)c;
            text_put(t, escaped, 2);
        } else if (c < 0x20) {
            snprintf(escaped, sizeof(escaped), "\\u%04x", c);
            text_puts(t, escaped);
        } else {
            text_put(t, &data[i], 1);
        }
    }
    text_puts(t, "\"");
}

static void text_hex(struct text *t, const char *data, size_t length, bool uuid)
{
    text_puts(t, uuid ? "\"" : "\"\\\\x");
    for (size_t i = 0; i < length && t->at < t->end; i++) {
        char two[3];
        if (uuid && (i == 4 || i == 6 || i == 8 || i == 10))
            text_puts(t, "-");
        snprintf(two, sizeof(two), "%02x", (unsigned char)data[i]);
        text_put(t, two, 2);
    }
    text_puts(t, "\"");
}

static int64_t big_endian(const char *data, uint32_t length)
{
    uint64_t v = (unsigned char)data[0] & 0x80 ? UINT64_MAX : 0;
    for (uint32_t i = 0; i < length; i++)
        v = v << 8 | (unsigned char)data[i];
    return (int64_t)v;
}

static bool is_integer_oid(uint32_t oid, uint32_t length)
{
    return (oid == OID_INT2 && length == 2) || (oid == OID_INT4 && length == 4) ||
           (oid == OID_INT8 && length == 8);
}

static void text_binary(struct text *t, const struct column *column, const struct value *v)
{
    uint32_t oid = column->source_type.base_oid ? column->source_type.base_oid : column->source_type.oid;
    char number[24];
    if (is_integer_oid(oid, v->length)) {
        snprintf(number, sizeof(number), "%" PRId64, big_endian(v->data, v->length));
        text_puts(t, number);
    } else if (oid == OID_OID && v->length == 4) {
        snprintf(number, sizeof(number), "%" PRIu32, (uint32_t)big_endian(v->data, 4));
        text_puts(t, number);
    } else if (oid == OID_BOOL && v->length == 1) {
        text_puts(t, v->data[0] ? "true" : "false");
    } else if (oid == OID_TEXT || oid == OID_VARCHAR || oid == OID_BPCHAR || oid == OID_NAME ||
               oid == OID_CHAR || column->source_type.kind == 'e') {
        text_quoted(t, v->data, v->length);
    } else {
        text_hex(t, v->data, v->length, oid == OID_UUID && v->length == 16);
    }
}

static bool is_number_text(const struct value *v)
{
    for (uint32_t i = 0; i < v->length; i++) {
        char c = v->data[i];
        if (!((c >= '0' && c <= '9') || (c == '-' && i == 0 && v->length > 1)))
            return false;
    }
    return v->length > 0 && v->length < 20;
}

static void text_value(struct text *t, const struct column *column, const struct value *v)
{
    switch (v->kind) {
    case VALUE_ABSENT:
        text_puts(t, "?");
        return;
    case VALUE_NULL:
        text_puts(t, "null");
        return;
    case VALUE_TEXT:
        if (column->source_type.category == 'N' && is_number_text(v))
            text_put(t, v->data, v->length);
        else
            text_quoted(t, v->data, v->length);
        return;
    case VALUE_BINARY:
        text_binary(t, column, v);
        return;
    }
}

/* Not in the middle of a UTF-8 character, with three dots where something was cut. */
static void text_finish(struct text *t, const char *start)
{
    if (t->at < t->end) {
        *t->at = '\0';
        return;
    }
    char *cut = t->end - start >= 3 ? t->end - 3 : t->end;
    while (cut > start && ((unsigned char)*cut & 0xC0) == 0x80)
        cut--;
    for (int i = 0; i < 3 && cut < t->end; i++)
        *cut++ = '.';
    *cut = '\0';
}

char *change_key_text(const struct table *table, const struct value *row, char *out, uint32_t size)
{
    enum { KEYLESS_SHOWN = 4 };
    assert(size > 0);
    struct text t = {out, out + size - 1};
    uint16_t count = table->key_count;
    if (count == 0)
        count = table->column_count < KEYLESS_SHOWN ? table->column_count : KEYLESS_SHOWN;
    text_puts(&t, "{");
    for (uint16_t i = 0; row && i < count; i++) {
        uint16_t at = table->key_count ? table->key[i] : i;
        if (i)
            text_puts(&t, ", ");
        text_quoted(&t, table->columns[at].source, strlen(table->columns[at].source));
        text_puts(&t, ": ");
        text_value(&t, &table->columns[at], &row[at]);
    }
    text_puts(&t, "}");
    text_finish(&t, out);
    return out;
}
