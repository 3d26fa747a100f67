/* SPDX-License-Identifier: PostgreSQL
 *
 * Sets on their way: a session's #temp table for each table, operation and column set, made once, emptied for
 * each batch and filled before the transaction begins, so that no lock is held meanwhile. Small sets come as
 * VALUES lists in the batch that empties the table; larger ones by bulk copy, which takes three round trips.
 * Bulk copy goes into no table but these: it skips triggers and constraints, and converts no characters.
 *
 * Columns: [s] tells the steps of one batch apart, k<column> are keys, c<column> values; text is UTF-16 in
 * nvarchar, times have seven digits. Values are encoded and sent row by row.
 */
#include "mssql/ms_sink_part.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sybfront.h>
#include <sybdb.h>

#include "base/mem.h"
#include "model/compact.h"
#include "mssql/sql.h"

enum { STAGES_MAX = 100, BULK_ROWS = 32, LIST_ROWS = 100 };

/* A step whose rows go into the stage with this batch. */
struct part {
    const struct net_step *step;
    struct part *next;
    uint32_t number;
};

struct ms_stage {
    const struct ms_sink_table *t;
    enum net_op op;
    uint64_t mask[MS_MASK_WORDS];
    char name[24]; /* [#cf12] */
    bool made;
    struct part *parts, **last; /* in the arena of the apply */
    uint32_t part_count;
    size_t rows;
    bool *odd; /* by column: some value with a code page is not ASCII; in the arena */
};

static size_t mask_words(const struct table *t)
{
    return ((size_t)t->column_count + 63) / 64;
}

static bool has_key(const struct ms_stage *self)
{
    return self->op != NET_INSERT;
}

static bool is_value(const struct ms_stage *self, uint16_t i)
{
    if (self->op == NET_DELETE || self->t->columns[i].skipped || !(self->mask[i / 64] >> (i % 64) & 1))
        return false;
    return self->op == NET_INSERT || !self->t->table->columns[i].key;
}

/* --- which --- */

static struct ms_stage *find(struct ms_sink *s, const struct net_step *step)
{
    const struct ms_sink_table *t = ms_sink_lane(s, step->table);
    for (size_t i = 0; i < s->stage_count; i++) {
        struct ms_stage *g = &s->stages[i];
        if (g->t == t && g->op == step->op &&
            (step->op == NET_DELETE || memcmp(g->mask, step->mask, 8 * mask_words(step->table)) == 0))
            return g;
    }
    return NULL;
}

static struct ms_stage *get(struct ms_sink *s, const struct net_step *step)
{
    struct ms_stage *g = find(s, step);
    if (g)
        return g;
    assert(s->stage_count < STAGES_MAX);
    g = &s->stages[s->stage_count++];
    *g = (struct ms_stage){.t = ms_sink_lane(s, step->table), .op = step->op};
    if (step->op != NET_DELETE)
        memcpy(g->mask, step->mask, 8 * mask_words(step->table));
    snprintf(g->name, sizeof(g->name), "#cf%u", ++s->stage_number);
    return g;
}

void ms_sink_stage_reset(struct ms_sink *s)
{
    if (!s->stages)
        s->stages = mem_alloc(STAGES_MAX * sizeof(*s->stages));
    for (size_t i = 0; i < s->stage_count; i++) {
        s->stages[i].parts = NULL;
        s->stages[i].part_count = 0;
        s->stages[i].rows = 0;
    }
}

bool ms_sink_stage_add(struct ms_sink *s, const struct net_step *step, struct ms_stage **out,
                       uint32_t *number)
{
    if (s->stage_count == STAGES_MAX && !find(s, step))
        return false;
    struct ms_stage *g = get(s, step);
    struct part *p = arena_alloc(s->arena, sizeof(*p));
    if (!g->parts) {
        g->last = &g->parts;
        g->odd = arena_alloc(s->arena, step->table->column_count);
        memset(g->odd, 0, step->table->column_count);
    }
    *p = (struct part){.step = step, .number = ++g->part_count};
    *g->last = p;
    g->last = &p->next;
    g->rows += step->count;
    *out = g;
    *number = p->number;
    return true;
}

void ms_sink_stage_free(struct ms_sink *s)
{
    free(s->stages); /* the tables go with the session */
}

/* --- rows --- */

struct filling {
    struct ms_sink *s;
    struct ms_stage *stage;
    struct ms_bound *bounds, *end; /* of the row encoded last */
    int columns;                   /* without [s] */
    int32_t number;
};

static bool encode_row(struct filling *f, const struct net_row *row, struct error *err)
{
    const struct ms_sink_table *t = f->stage->t;
    struct ms_bound *b = f->bounds;
    buffer_clear(&f->s->bytes);
    for (uint16_t i = 0; has_key(f->stage) && i < t->table->key_count; i++) {
        uint16_t at = t->table->key[i];
        if (!ms_sink_encode(&t->columns[at], &row->key[at], &f->s->bytes, b++, err))
            return false;
    }
    for (uint16_t i = 0; i < t->table->column_count; i++) {
        if (!is_value(f->stage, i))
            continue;
        if (!ms_sink_encode(&t->columns[i], &row->row[i], &f->s->bytes, b++, err))
            return false;
        if (t->columns[i].code_page && !f->stage->odd[i])
            f->stage->odd[i] = ms_sink_has_other_than_ascii(&row->row[i]);
    }
    f->end = b;
    return true;
}

/* --- making --- */

static void put_create(const struct ms_stage *self, struct buffer *sql)
{
    const struct ms_sink_table *t = self->t;
    const char *comma = "";
    buffer_printf(sql, "CREATE TABLE [%s] (", self->name);
    for (uint16_t i = 0; has_key(self) && i < t->table->key_count; i++) {
        uint16_t at = t->table->key[i];
        buffer_printf(sql, "%s[k%u] ", comma, at);
        comma = ", ";
        ms_type_staging(&t->columns[at].type, &t->columns[at].carrier, sql);
        buffer_puts(sql, " NULL");
    }
    for (uint16_t i = 0; i < t->table->column_count; i++) {
        if (!is_value(self, i))
            continue;
        buffer_printf(sql, "%s[c%u] ", comma, i);
        comma = ", ";
        ms_type_staging(&t->columns[i].type, &t->columns[i].carrier, sql);
        buffer_puts(sql, " NULL");
    }
    buffer_printf(sql, "%s[s] int NOT NULL);\n", comma);
}

/* Stages of former batches are dropped when there are too many. */
static void put_room(struct ms_sink *s, struct buffer *sql)
{
    for (size_t i = 0; i < s->stage_count; i++) {
        struct ms_stage *g = &s->stages[i];
        if (g->parts && !g->made)
            put_create(g, sql);
        else if (g->parts)
            buffer_printf(sql, "TRUNCATE TABLE [%s];\n", g->name);
    }
}

/* --- filling --- */

static bool is_bulk(const struct ms_sink *s, const struct ms_stage *stage)
{
    return stage->rows >= (s->bulk_rows ? s->bulk_rows : BULK_ROWS);
}

/* A list's column has one type before it is the table's: no text among them where a time is meant. */
static void put_item(const struct ms_bound *b, const char *bytes, struct buffer *sql)
{
    static const char *const types[] = {[MS_WIRE_DATE] = "date",
                                        [MS_WIRE_TIME] = "time(7)",
                                        [MS_WIRE_DATETIME2] = "datetime2(7)",
                                        [MS_WIRE_DATETIMEOFFSET] = "datetimeoffset(7)"};
    const char *type = b->type < sizeof(types) / sizeof(types[0]) && !b->null ? types[b->type] : NULL;
    if (type)
        buffer_printf(sql, "CONVERT(%s, ", type);
    ms_sink_literal(b, bytes, sql);
    buffer_puts(sql, type ? "), " : ", ");
}

/* Lists of literals: their texts have the column's own scale, so that a list's common type holds them all. */
static bool put_lists(struct ms_sink *s, struct ms_stage *stage, struct buffer *sql, struct error *err)
{
    struct filling f = {.s = s, .stage = stage};
    size_t rows = 0;
    f.bounds = arena_alloc(s->arena, (2u * stage->t->table->column_count + 1) * sizeof(*f.bounds));
    for (const struct part *p = stage->parts; p; p = p->next) {
        for (size_t i = 0; i < p->step->count; i++, rows++) {
            if (!encode_row(&f, &p->step->rows[i], err))
                return false;
            if (rows % LIST_ROWS == 0)
                buffer_printf(sql, "%sINSERT INTO [%s] VALUES\n(", rows ? ";\n" : "", stage->name);
            else
                buffer_puts(sql, ",\n(");
            for (const struct ms_bound *b = f.bounds; b < f.end; b++)
                put_item(b, buffer_text(&s->bytes), sql);
            buffer_printf(sql, "%u)", p->number);
        }
    }
    buffer_puts(sql, ";\n");
    return true;
}

static bool send_row(struct filling *f, struct error *err)
{
    DBPROCESS *db = f->s->conn.db;
    bool ok = true;
    for (int i = 0; ok && i < f->columns; i++) {
        const struct ms_bound *b = &f->bounds[i];
        ok = bcp_collen(db, b->null ? 0 : b->varlen, i + 1) == SUCCEED &&
             bcp_colptr(db, (BYTE *)f->s->bytes.data + b->offset, i + 1) == SUCCEED;
    }
    ok = ok && bcp_sendrow(db) == SUCCEED;
    return ok || error_set(err, ERROR_RETRY, "bulk copy failed");
}

static bool bind_column(DBPROCESS *db, const struct ms_sink_column *c, int at)
{
    static BYTE nothing[64];
    uint8_t wire = ms_sink_wire(c);
    bool fixed = wire != MS_WIRE_CHAR && wire != MS_WIRE_VARBINARY && wire != MS_WIRE_NUMERIC &&
                 wire != MS_WIRE_TIME && wire != MS_WIRE_DATETIME2 && wire != MS_WIRE_DATETIMEOFFSET;
    return bcp_bind(db, nothing, 0, fixed ? -1 : 0, NULL, 0, wire, at) == SUCCEED;
}

static bool bind_all(struct filling *f)
{
    const struct ms_sink_table *t = f->stage->t;
    DBPROCESS *db = f->s->conn.db;
    int at = 1;
    bool ok = true;
    for (uint16_t i = 0; ok && has_key(f->stage) && i < t->table->key_count; i++)
        ok = bind_column(db, &t->columns[t->table->key[i]], at++);
    for (uint16_t i = 0; ok && i < t->table->column_count; i++)
        if (is_value(f->stage, i))
            ok = bind_column(db, &t->columns[i], at++);
    f->columns = at - 1;
    return ok && bcp_bind(db, (BYTE *)&f->number, 0, -1, NULL, 0, MS_WIRE_INT4, at) == SUCCEED;
}

static bool send_parts(struct filling *f, size_t *sent, struct error *err)
{
    for (const struct part *p = f->stage->parts; p; p = p->next) {
        f->number = (int32_t)p->number;
        for (size_t i = 0; i < p->step->count; i++) {
            if (!encode_row(f, &p->step->rows[i], err) || !send_row(f, err))
                return false;
            ++*sent;
        }
    }
    return true;
}

static bool fill(struct ms_sink *s, struct ms_stage *stage, struct error *err)
{
    struct filling f = {.s = s, .stage = stage};
    DBPROCESS *db = s->conn.db;
    struct error why = {0};
    size_t sent = 0;
    f.bounds = arena_alloc(s->arena, (2u * stage->t->table->column_count + 1) * sizeof(*f.bounds));
    ms_conn_call(&s->conn);
    bool begun = bcp_init(db, stage->name, NULL, NULL, DB_IN) == SUCCEED && bind_all(&f);
    bool all = begun && send_parts(&f, &sent, &why);
    DBINT done = begun ? bcp_done(db) : -1; /* fails where nothing was sent */
    bool ok = begun && (all || why.kind == ERROR_DATA) && (done == (DBINT)sent || sent == 0);
    if (!ms_conn_called(&s->conn, ok, err))
        return false;
    if (!all)
        *err = why;
    return all;
}

bool ms_sink_stage_load(struct ms_sink *s, struct error *err)
{
    struct buffer sql = {0};
    bool ok = true;
    put_room(s, &sql);
    for (size_t i = 0; ok && i < s->stage_count; i++)
        if (s->stages[i].parts && !is_bulk(s, &s->stages[i]))
            ok = put_lists(s, &s->stages[i], &sql, err);
    ok = ok && (sql.length == 0 || ms_exec(&s->conn, buffer_text(&sql), err));
    buffer_free(&sql);
    if (!ok)
        return false;
    for (size_t i = 0; i < s->stage_count; i++)
        s->stages[i].made = s->stages[i].made || s->stages[i].parts;
    for (size_t i = 0; i < s->stage_count; i++)
        if (s->stages[i].parts && is_bulk(s, &s->stages[i]) && !fill(s, &s->stages[i], err))
            return false;
    return true;
}

/* --- statements --- */

static void put_join(const struct ms_stage *self, struct buffer *sql)
{
    const struct ms_sink_table *t = self->t;
    buffer_printf(sql, " FROM %s AS [t] JOIN [%s] AS [z] ON ", t->name, self->name);
    for (uint16_t i = 0; i < t->table->key_count; i++) {
        uint16_t at = t->table->key[i];
        char value[24];
        snprintf(value, sizeof(value), "[z].[k%u]", at);
        buffer_printf(sql, "%s[t].%s = ", i ? " AND " : "", t->columns[at].name);
        ms_sink_match(&t->columns[at], value, true, sql);
    }
    int id = t->identity;
    if (id >= 0 && is_value(self, (uint16_t)id)) /* it can't be set: it must be what it is */
        buffer_printf(sql, " AND [t].%s = [z].[c%d]", t->columns[id].name, id);
    buffer_puts(sql, " WHERE [z].[s] = @s");
}

static void put_assign(const struct ms_sink_column *c, uint16_t at, struct buffer *sql)
{
    char value[24];
    snprintf(value, sizeof(value), "[z].[c%u]", at);
    ms_type_assign(&c->type, &c->carrier, value, sql);
}

static void put_insert(const struct ms_stage *self, struct buffer *sql)
{
    const struct ms_sink_table *t = self->t;
    struct buffer values = {0};
    const char *comma = "";
    bool identity = t->identity >= 0 && is_value(self, (uint16_t)t->identity);
    if (identity)
        buffer_printf(sql, "SET IDENTITY_INSERT %s ON; ", t->name);
    buffer_printf(sql, "INSERT INTO %s (", t->name);
    for (uint16_t i = 0; i < t->table->column_count; i++) {
        if (!is_value(self, i))
            continue;
        buffer_printf(sql, "%s%s", comma, t->columns[i].name);
        buffer_puts(&values, comma);
        put_assign(&t->columns[i], i, &values);
        comma = ", ";
    }
    buffer_printf(sql, ") SELECT %s FROM [%s] AS [z] WHERE [z].[s] = @s", buffer_text(&values), self->name);
    buffer_printf(sql, "; IF @@ROWCOUNT <> @n THROW %d, N'not all rows', %d", MS_RAISED_DATA, MS_THROW_COUNT);
    if (identity)
        buffer_printf(sql, "; SET IDENTITY_INSERT %s OFF", t->name);
    buffer_free(&values);
}

static void put_update(const struct ms_stage *self, struct buffer *sql)
{
    const struct ms_sink_table *t = self->t;
    const char *lead = "UPDATE [t] SET ";
    bool any = false;
    for (uint16_t i = 0; i < t->table->column_count; i++) {
        if (!is_value(self, i) || t->columns[i].identity)
            continue;
        buffer_printf(sql, "%s%s = ", lead, t->columns[i].name);
        put_assign(&t->columns[i], i, sql);
        lead = ", ";
        any = true;
    }
    if (!any)
        buffer_puts(sql, "IF (SELECT COUNT(*)");
    put_join(self, sql);
    buffer_puts(sql, any ? "; IF @@ROWCOUNT" : ")");
    buffer_printf(sql, " <> @n THROW %d, N'not all rows', %d", MS_RAISED_DATA, MS_THROW_COUNT);
}

static void put_delete(const struct ms_stage *self, struct buffer *sql)
{
    buffer_puts(sql, "DELETE [t]");
    put_join(self, sql);
    buffer_printf(sql, "; IF @@ROWCOUNT <> @n THROW %d, N'not all rows', %d", MS_RAISED_DATA, MS_THROW_COUNT);
}

static void put_misfits(const struct ms_stage *self, struct buffer *sql)
{
    char from[80], value[24];
    snprintf(from, sizeof(from), "[%s] AS [z] WHERE [z].[s] = @s", self->name);
    for (uint16_t i = 0; i < self->t->table->column_count; i++) {
        snprintf(value, sizeof(value), "[z].[c%u]", i);
        if (is_value(self, i) && self->odd[i])
            ms_sink_put_misfit(&self->t->columns[i], value, from, sql);
    }
}

void ms_sink_stage_put(struct ms_sink *s, const struct ms_stage *stage, uint32_t number, size_t rows)
{
    struct buffer *sql = &s->inner;
    buffer_clear(sql);
    put_misfits(stage, sql);
    if (stage->op == NET_INSERT)
        put_insert(stage, sql);
    else if (stage->op == NET_UPDATE)
        put_update(stage, sql);
    else
        put_delete(stage, sql);
    buffer_puts(&s->sql, "EXEC sys.sp_executesql ");
    ms_sql_literal_slice(&s->sql, (struct slice){sql->data, sql->length});
    buffer_printf(&s->sql, ", N'@s int, @n int', @s = %u, @n = %zu;\n", number, rows);
}
