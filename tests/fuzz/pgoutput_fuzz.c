/* SPDX-License-Identifier: PostgreSQL
 *
 * Any bytes as a replication envelope and as a pgoutput message: nothing is read outside of them, every
 * value and name that comes out lies inside, and the arena stays in proportion.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "pgsql/pgoutput.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct slice all, const char *data, size_t length)
{
    assert(data >= all.data && length <= all.length && data + length <= all.data + all.length);
}

static void check_tuple(struct slice all, const struct pgoutput_tuple *t)
{
    for (uint16_t i = 0; i < t->count; i++) {
        const struct value *v = &t->values[i];
        if (v->kind == VALUE_TEXT || v->kind == VALUE_BINARY)
            inside(all, v->data, v->length);
        else
            assert(!v->data && v->length == 0);
    }
}

static void check_message(struct slice all, struct arena *arena)
{
    struct pgoutput_message m;
    struct error err = {0};
    arena_reset(arena);
    if (!pgoutput_decode(all, arena, &m, &err)) {
        assert(err.kind != ERROR_NONE && err.text[0]);
        return;
    }
    if (m.schema)
        inside(all, m.schema, strlen(m.schema) + 1);
    if (m.name)
        inside(all, m.name, strlen(m.name) + 1);
    if (m.origin)
        inside(all, m.origin, strlen(m.origin) + 1);
    for (uint16_t i = 0; i < m.column_count; i++)
        inside(all, m.columns[i].name, strlen(m.columns[i].name) + 1);
    check_tuple(all, &m.old_tuple);
    check_tuple(all, &m.new_tuple);
    assert(arena_used(arena) < 4 * all.length + 1024 * 1024);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena *arena;
    struct slice all = {(const char *)data, size};
    struct pgoutput_envelope e;
    struct error err = {0};
    if (!arena)
        arena = arena_new();
    if (pgoutput_envelope_decode(all, &e, &err) && e.kind == 'w') {
        inside(all, e.body.data, e.body.length);
        check_message(e.body, arena);
    }
    check_message(all, arena);
    return 0;
}
