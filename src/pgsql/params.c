/* SPDX-License-Identifier: PostgreSQL
 *
 * An array in binary format: dimensions 1, flag whether a NULL is inside, element type, count, lower bound 1,
 * then per element its length (-1 for NULL) and bytes; all integers 32 bits, big-endian. A value that was not
 * provided never gets here: the statement's column set leaves it out.
 */
#include "pgsql/params.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { ARRAY_HEADER = 20 };

void params_free(struct params *self)
{
    buffer_free(&self->bytes);
    free(self->values);
    free(self->lengths);
    free(self->formats);
    *self = (struct params){0};
}

static void add(struct params *self, const char *data, int length, int format)
{
    if (self->count == self->capacity) {
        self->capacity = 2 * self->capacity + 16;
        size_t n = (size_t)self->capacity;
        self->values = mem_grow(self->values, n, sizeof(self->values[0]));
        self->lengths = mem_grow(self->lengths, n, sizeof(self->lengths[0]));
        self->formats = mem_grow(self->formats, n, sizeof(self->formats[0]));
    }
    self->values[self->count] = data;
    self->lengths[self->count] = length;
    self->formats[self->count] = format;
    self->count++;
}

static inline char *put_u32(char *at, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(at, &v, 4);
    return at + 4;
}

static void add_expected(struct params *self, size_t count)
{
    put_u32(put_u32(self->expected, 0), (uint32_t)count);
    add(self, self->expected, 8, 1);
}

/* --- how many rows go together --- */

/* What is known of the columns' kinds so far. */
struct kinds {
    uint64_t *text;
    uint64_t *binary;
};

/* False if the value's kind is another than that of an earlier row's. */
static bool note_kind(struct kinds *kinds, uint16_t column, enum value_kind kind)
{
    uint64_t bit = UINT64_C(1) << (column % 64);
    size_t word = column / 64;

    if (kind == VALUE_TEXT)
        kinds->text[word] |= bit;
    else if (kind == VALUE_BINARY)
        kinds->binary[word] |= bit;
    return !(kinds->text[word] & kinds->binary[word] & bit);
}

/* The bytes of a row as array elements, or SIZE_MAX if its kinds don't fit those before. */
static size_t row_bytes(const struct net_step *step, const struct net_row *row, struct kinds *kinds)
{
    const struct table *t = step->table;
    size_t bytes = 0;

    for (uint16_t k = 0; k < t->key_count; k++) {
        const struct value *v = &row->key[t->key[k]];
        bytes += 4 + (size_t)v->length;
        if (!note_kind(kinds, t->key[k], v->kind))
            return SIZE_MAX;
    }
    if (!row->row || !step->mask)
        return bytes;
    for (uint16_t c = 0; c < t->column_count; c++) {
        if (!(step->mask[c / 64] >> (c % 64) & 1))
            continue;
        bytes += 4 + (size_t)row->row[c].length;
        if (!note_kind(kinds, c, row->row[c].kind))
            return SIZE_MAX;
    }
    return bytes;
}

static bool any_bit(const uint64_t *mask, size_t words)
{
    for (size_t i = 0; i < words; i++)
        if (mask[i])
            return true;
    return false;
}

enum { MAX_WORDS = 1664 / 64 }; /* a PostgreSQL table has at most 1,600 columns */

size_t params_fit(const struct net_step *step, size_t first, size_t max_rows, size_t bytes,
                  uint64_t *text_mask, bool *text)
{
    size_t words = ((size_t)step->table->column_count + 63) / 64;
    uint64_t binary[MAX_WORDS] = {0};
    uint64_t before[MAX_WORDS];
    struct kinds kinds = {text_mask, binary};
    size_t used = 0, n = 0;

    assert(words <= MAX_WORDS && first < step->count);
    memset(text_mask, 0, words * sizeof(uint64_t));
    while (n < max_rows && first + n < step->count) {
        memcpy(before, text_mask, words * sizeof(uint64_t));
        size_t more = row_bytes(step, &step->rows[first + n], &kinds);
        if (n > 0 && (more > bytes || used + more > bytes)) {
            memcpy(text_mask, before, words * sizeof(uint64_t));
            break;
        }
        assert(more != SIZE_MAX); /* the key and the row of one change came in the same kinds */
        used += more;
        n++;
    }
    *text = any_bit(text_mask, words);
    return n;
}

/* --- sets --- */

static inline const struct value *value_of(const struct statement_param *p, const struct net_row *row)
{
    return p->from_key ? &row->key[p->column] : &row->row[p->column];
}

/* One column of the set; returns its bytes. */
static size_t put_array(struct params *self, const struct statement_param *p, const struct net_row *rows,
                        size_t count)
{
    size_t size = ARRAY_HEADER + 4 * count;
    bool has_null = false;

    for (size_t i = 0; i < count; i++) {
        const struct value *v = value_of(p, &rows[i]);
        assert(v->kind != VALUE_ABSENT);
        has_null |= v->kind == VALUE_NULL;
        size += v->length;
    }
    char *at = buffer_extend(&self->bytes, size);
    at = put_u32(at, 1);
    at = put_u32(at, has_null);
    at = put_u32(at, p->oid);
    at = put_u32(at, (uint32_t)count);
    at = put_u32(at, 1);
    for (size_t i = 0; i < count; i++) {
        const struct value *v = value_of(p, &rows[i]);
        at = put_u32(at, v->kind == VALUE_NULL ? UINT32_MAX : v->length);
        if (v->length)
            memcpy(at, v->data, v->length);
        at += v->length;
    }
    return size;
}

void params_set(struct params *self, const struct statement *statement, const struct net_row *rows,
                size_t count)
{
    size_t offset = 0;

    assert(statement->set_based && count > 0 && count <= INT32_MAX);
    buffer_clear(&self->bytes);
    self->count = 0;
    for (uint16_t p = 0; p < statement->param_count; p++)
        add(self, NULL, (int)put_array(self, &statement->params[p], rows, count), 1);
    for (uint16_t p = 0; p < statement->param_count; p++) { /* the buffer has stopped moving */
        self->values[p] = self->bytes.data + offset;
        offset += (size_t)self->lengths[p];
    }
    assert(offset == self->bytes.length);
    if (statement->checked)
        add_expected(self, count);
}

/* --- rows --- */

/* libpq wants texts to end in a NUL, which values have not: copied, all at once so that nothing moves. */
static size_t text_bytes(const struct statement *st, const struct net_row *row)
{
    size_t size = 0;

    for (uint16_t p = 0; p < st->param_count; p++) {
        const struct value *v = value_of(&st->params[p], row);
        if (v->kind == VALUE_TEXT)
            size += (size_t)v->length + 1;
    }
    return size;
}

void params_row(struct params *self, const struct statement *statement, const struct value *key,
                const struct value *row)
{
    struct net_row r = {.key = key, .row = row};

    assert(!statement->set_based);
    buffer_clear(&self->bytes);
    self->count = 0;
    char *at = buffer_extend(&self->bytes, text_bytes(statement, &r));
    for (uint16_t p = 0; p < statement->param_count; p++) {
        const struct value *v = value_of(&statement->params[p], &r);
        assert(v->kind != VALUE_ABSENT);
        if (v->kind == VALUE_TEXT) {
            add(self, at, (int)v->length, 0);
            if (v->length)
                memcpy(at, v->data, v->length);
            at[v->length] = '\0';
            at += v->length + 1;
        } else {
            add(self, v->kind == VALUE_NULL ? NULL : v->length ? v->data : "", (int)v->length, 1);
        }
    }
    if (statement->checked)
        add_expected(self, 1);
}

void params_add_text(struct params *self, const char *text)
{
    add(self, text, (int)strlen(text), 0);
}

struct pipe_args params_args(const struct params *self)
{
    return (struct pipe_args){self->values, self->lengths, self->formats, self->count};
}
