/* SPDX-License-Identifier: PostgreSQL
 *
 * A PREPARE outlives the transaction it was sent in, but is skipped when something before it in the pipeline
 * failed: a statement counts as known only once its own answer came back good. Each one costs the server some
 * tens of kilobytes for its plan, hence the limit.
 */
#include "pgsql/prepared.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum { PREPARED_LIMIT = 1000, PREPARED_KEEP = 750 };

static void free_one(struct prepared *p)
{
    statement_free(&p->statement);
    buffer_free(&p->key);
    free(p);
}

void prepared_free(struct prepared_set *self)
{
    struct map_entry *e;

    for (size_t at = 0; (e = map_next(&self->map, &at));)
        free_one(e->value);
    map_free(&self->map);
    buffer_free(&self->probe);
}

void prepared_turn(struct prepared_set *self)
{
    self->exchange++;
}

static void put_mask(struct buffer *key, const struct table *table, const uint64_t *mask)
{
    buffer_put_u8(key, mask != NULL);
    if (mask)
        buffer_put(key, mask, ((size_t)table->column_count + 63) / 64 * sizeof(uint64_t));
}

static void form_key(const struct prepared_form *f, struct buffer *key)
{
    buffer_put_u32(key, f->table->id);
    buffer_put_u8(key, (uint8_t)f->kind);
    buffer_put_u8(key, (uint8_t)f->op);
    buffer_put_u8(key, (uint8_t)(f->set_based << 1 | f->flag));
    put_mask(key, f->table, f->mask);
    put_mask(key, f->table, f->text_mask);
}

static void build(const struct prepared_form *f, struct statement *out)
{
    switch (f->kind) {
    case PREPARED_NET:
        statement_net(f->table, (enum net_op)f->op, f->mask, f->text_mask, f->set_based, f->flag, out);
        break;
    case PREPARED_EXACT:
        statement_exact(f->table, (enum change_op)f->op, f->flag, f->mask, out);
        break;
    case PREPARED_REREAD:
        statement_reread(f->table, f->text_mask, f->set_based, f->flag, out);
        break;
    }
}

static struct prepared *find(struct prepared_set *self, const struct prepared_form *form)
{
    buffer_clear(&self->probe);
    form_key(form, &self->probe);
    struct prepared *p = map_get(&self->map, (struct slice){self->probe.data, self->probe.length});
    if (p)
        return p;
    p = mem_alloc(sizeof(*p));
    buffer_put(&p->key, self->probe.data, self->probe.length);
    snprintf(p->name, sizeof(p->name), "cf%u", self->next++);
    build(form, &p->statement);
    map_at(&self->map, (struct slice){p->key.data, p->key.length})->value = p;
    return p;
}

bool prepared_get(struct prepared_set *self, struct pipe *pipe, const struct prepared_form *form,
                  uint32_t tag, struct prepared **out, struct error *err)
{
    struct prepared *p = find(self, form);

    p->used = self->exchange;
    *out = p;
    if (p->known || p->sent == self->exchange)
        return true;
    p->sent = self->exchange;
    return pipe_prepare(pipe, p->name, buffer_text(&p->statement.sql), &p->known, tag, err);
}

static int by_use(const void *a, const void *b)
{
    uint64_t x = (*(struct prepared *const *)a)->used, y = (*(struct prepared *const *)b)->used;

    return (x > y) - (x < y);
}

bool prepared_trim(struct prepared_set *self, struct pipe *pipe, struct error *err)
{
    if (self->map.count <= PREPARED_LIMIT)
        return true;
    size_t count = 0;
    struct prepared **all = mem_grow(NULL, self->map.count, sizeof(struct prepared *));
    struct map_entry *e;
    bool ok = true;

    for (size_t at = 0; (e = map_next(&self->map, &at));)
        all[count++] = e->value;
    qsort(all, count, sizeof(struct prepared *), by_use);
    for (size_t i = 0; ok && i < count - PREPARED_KEEP; i++) {
        char sql[40];
        snprintf(sql, sizeof(sql), "DEALLOCATE %s", all[i]->name);
        if (all[i]->known)
            ok = pipe_sql(pipe, sql, 0, NULL, PIPE_NO_TAG, err);
        map_remove(&self->map, (struct slice){all[i]->key.data, all[i]->key.length});
        free_one(all[i]);
    }
    free(all);
    return ok;
}
