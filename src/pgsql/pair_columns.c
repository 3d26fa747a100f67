/* SPDX-License-Identifier: PostgreSQL
 *
 * Column by column. A source column is carried, or ignored with a finding that says so; nothing is left out
 * silently (rule 8). Generated columns of either side are never carried: pgoutput before 18 does not send
 * them and COPY can't write them; the sink computes its own.
 */
#include "pgsql/pair_columns.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/pair_names.h"
#include "pgsql/sql.h"

enum { TEXT_OID = 25 };

void pair_say(struct pair_work *work, enum pair_level level, const char *code, const char *column,
              const char *sql, const char *fmt, ...)
{
    struct buffer text = {0}, object = {0};
    va_list ap;
    if (level == PAIR_FAIL)
        work->failed = true;
    if (work->quiet)
        return;
    va_start(ap, fmt);
    buffer_vprintf(&text, fmt, ap);
    va_end(ap);
    buffer_puts(&object, work->table->from);
    if (column)
        buffer_printf(&object, ".%s", column);
    pairing_add(work->out, level, code, buffer_text(&object), sql && *sql ? sql : NULL, "%s",
                buffer_text(&text));
    buffer_free(&text);
    buffer_free(&object);
}

static void alter_table(struct buffer *out, const struct pair_work *work)
{
    buffer_puts(out, "ALTER TABLE ");
    sql_qualified(out, work->sink->schema, work->sink->name);
}

/* The type's name in the sink's terms: its schema mapped. */
static void type_ddl(const struct pair_sides *sides, const struct type *type, struct buffer *out)
{
    const struct pg_type_info *t = pg_catalog_type(sides->source, type->oid);
    if (t && t->element_oid)
        t = pg_catalog_type(sides->source, t->element_oid);
    const char *to = t ? pair_schema(sides->config, t->schema) : NULL;
    if (!to || strcmp(to, t->schema) == 0 || strcmp(t->schema, "pg_catalog") == 0) {
        buffer_puts(out, type->display);
        return;
    }
    sql_qualified(out, to, t->name);
    buffer_puts(out, type->element_oid ? "[]" : "");
}

static void column_ddl(const struct pair_sides *sides, const struct pg_column *c, struct buffer *out)
{
    char *name = pair_name(sides->config, c->name);
    sql_ident(out, name);
    buffer_putc(out, ' ');
    type_ddl(sides, &c->type, out);
    if (c->generated && c->expression)
        buffer_printf(out, " GENERATED ALWAYS AS (%s) %s", c->expression,
                      c->generated == 's' ? "STORED" : "VIRTUAL");
    else if (c->identity)
        buffer_printf(out, " GENERATED %s AS IDENTITY", c->identity == 'a' ? "ALWAYS" : "BY DEFAULT");
    if (c->not_null)
        buffer_puts(out, " NOT NULL");
    free(name);
}

void pair_create_table(const struct pair_sides *sides, const struct pg_relation *source,
                       const char *to_schema, const char *to_name, struct buffer *out)
{
    buffer_puts(out, "CREATE TABLE ");
    sql_qualified(out, to_schema, to_name);
    buffer_puts(out, " (");
    for (uint16_t i = 0; i < source->column_count; i++) {
        buffer_puts(out, i ? ", " : "");
        column_ddl(sides, &source->columns[i], out);
    }
    for (uint16_t i = 0; i < source->index_count; i++) {
        const struct pg_index *x = &source->indexes[i];
        if (!x->primary)
            continue;
        buffer_puts(out, ", PRIMARY KEY (");
        for (uint16_t j = 0; j < x->column_count; j++) {
            char *name = pair_name(sides->config, source->columns[x->columns[j]].name);
            buffer_puts(out, j ? ", " : "");
            sql_ident(out, name);
            free(name);
        }
        buffer_putc(out, ')');
    }
    buffer_puts(out, ");");
}

void pair_ignore(struct pair_work *work, const char *name)
{
    struct table *t = work->table;
    t->ignored = mem_grow(t->ignored, t->ignored_count + 1u, sizeof(*t->ignored));
    t->ignored[t->ignored_count++] = mem_strdup(name);
}

/* The source computes it: it does not come. The sink should compute its own. */
static void source_generated(struct pair_work *work, const struct pg_column *c, const struct pg_column *to)
{
    struct buffer sql = {0};
    pair_ignore(work, c->name);
    alter_table(&sql, work);
    if (to) {
        buffer_puts(&sql, " DROP COLUMN ");
        sql_ident(&sql, to->name);
        buffer_putc(&sql, ',');
    }
    buffer_puts(&sql, " ADD COLUMN ");
    column_ddl(work->sides, c, &sql);
    buffer_putc(&sql, ';');
    if (to && to->generated)
        pair_say(work, PAIR_OK, "generated", c->name, NULL, "generated on both sides, not carried");
    else if (to && to->not_null && !to->has_default && !to->identity)
        pair_say(
            work, PAIR_FAIL, "generated_not_carried", c->name, buffer_text(&sql),
            "generated on the source, so no value comes, but the target's column is a plain one that must "
            "not be null");
    else
        pair_say(work, PAIR_WARN, "generated_not_carried", c->name, buffer_text(&sql),
                 "generated on the source, so no value comes - the target %s",
                 to ? "has a plain column of this name, which stays empty" : "has no such column");
    buffer_free(&sql);
}

static struct type type_copy(const struct type *from)
{
    struct type copy = *from;
    copy.name = mem_strdup(from->name);
    copy.display = mem_strdup(from->display);
    return copy;
}

/* How a value travels as an array element or a parameter; see pair_type.c. */
static void wire(const struct pair_work *work, struct column *c, const struct pair_type *fit)
{
    int32_t ignored = -1;
    const struct pg_type_info *s = pg_catalog_base_type(work->sides->source, c->source_type.oid, &ignored);
    const struct pg_type_info *t = pg_catalog_base_type(work->sides->sink, c->sink_type.oid, &ignored);
    assert(s && t);
    if (c->sink_type.kind == 'd') {
        free(c->sink_type.name);
        c->sink_type.name = mem_strdup(t->quoted);
    }
    if (t->kind == 'e') {
        c->wire_oid = TEXT_OID;
        c->wire_cast = true;
    } else if (fit->same_binary || strcmp(s->quoted, t->quoted) == 0) {
        c->wire_oid = t->oid;
        c->wire_cast = false;
    } else if (fit->stream_binary) {
        c->wire_oid = s->oid;
        c->wire_cast = true;
    } else {
        c->wire_oid = TEXT_OID;
        c->wire_cast = true;
    }
}

void pair_carry(struct pair_work *work, const struct pg_column *c, const struct pg_column *to)
{
    struct pair_type fit;
    pair_type_judge(work->sides, &c->type, &to->type, &fit);
    if (fit.fit != PAIR_FIT)
        pair_say(work, fit.fit == PAIR_UNFIT ? PAIR_FAIL : PAIR_WARN, fit.code, c->name,
                 buffer_text(&fit.sql), "%s here, %s on the target - %s", c->type.display, to->type.display,
                 buffer_text(&fit.why));
    if (fit.fit != PAIR_UNFIT) {
        struct table *t = work->table;
        t->columns = mem_grow(t->columns, t->column_count + 1u, sizeof(*t->columns));
        struct column *column = &t->columns[t->column_count++];
        *column = (struct column){.source = mem_strdup(c->name),
                                  .sink = mem_strdup(to->name),
                                  .source_type = type_copy(&c->type),
                                  .sink_type = type_copy(&to->type),
                                  .not_null = to->not_null,
                                  .sink_identity_always = to->identity == 'a'};
        wire(work, column, &fit);
        t->sink_has_arrays |= to->type.element_oid != 0;
        t->copy_binary &= fit.same_binary;
        work->binary &= fit.stream_binary;
        if (to->not_null && !c->not_null)
            pair_say(work, PAIR_WARN, "nullable", c->name, NULL,
                     "may be null here, but not on the target - a null is refused");
    }
    pair_type_free(&fit);
}

static void column_missing(struct pair_work *work, const struct pg_column *c)
{
    struct buffer sql = {0};
    alter_table(&sql, work);
    buffer_puts(&sql, " ADD COLUMN ");
    column_ddl(work->sides, c, &sql);
    buffer_putc(&sql, ';');
    pair_say(work, PAIR_FAIL, "column_missing", c->name, buffer_text(&sql),
             "the target's %s has no such column", work->table->to);
    buffer_free(&sql);
}

static void extra_columns(struct pair_work *work, const bool *used)
{
    for (uint16_t i = 0; i < work->sink->column_count; i++) {
        const struct pg_column *c = &work->sink->columns[i];
        if (used[i])
            continue;
        work->table->sink_extra_columns = true;
        if (!c->not_null || c->has_default || c->identity || c->generated) {
            pair_say(work, PAIR_OK, "column_extra", c->name, NULL,
                     "only the target has it - it keeps its default there");
            continue;
        }
        struct buffer sql = {0};
        alter_table(&sql, work);
        buffer_puts(&sql, " ALTER COLUMN ");
        sql_ident(&sql, c->name);
        buffer_puts(&sql, " DROP NOT NULL;");
        pair_say(work, PAIR_FAIL, "column_extra", c->name, buffer_text(&sql),
                 "only the target has it, it must not be null and has no default - every insert would fail");
        buffer_free(&sql);
    }
}

static void pair_column(struct pair_work *work, const struct pg_column *c, bool *used)
{
    char *name = pair_name(work->sides->config, c->name);
    const struct pg_column *to = pg_relation_column(work->sink, name);
    free(name);
    size_t at = to ? (size_t)(to - work->sink->columns) : 0;
    if (to && used[at] && !c->generated) {
        pair_say(work, PAIR_FAIL, "name_collision", c->name, NULL,
                 "another column of the source is already carried to the target's \"%s\"", to->name);
    } else if (c->generated) {
        source_generated(work, c, to);
        if (to)
            work->table->sink_extra_columns = used[at] = true;
    } else if (!to) {
        column_missing(work, c);
    } else if (to->generated) {
        pair_ignore(work, c->name);
        work->table->sink_extra_columns = used[at] = true;
        pair_say(work, PAIR_WARN, "sink_generated", c->name, NULL,
                 "the target computes this column itself - the source's value is not carried");
    } else {
        used[at] = true;
        pair_carry(work, c, to);
    }
}

void pair_columns(struct pair_work *work)
{
    work->binary = true;
    work->table->copy_binary = true;
    bool *used = mem_alloc(work->sink->column_count + 1u);
    for (uint16_t i = 0; i < work->source->column_count; i++)
        pair_column(work, &work->source->columns[i], used);
    extra_columns(work, used);
    free(used);
    if (work->table->column_count == 0 && !work->failed)
        pair_say(work, PAIR_FAIL, "no_columns", NULL, NULL, "no column of it can be carried");
}
