/* SPDX-License-Identifier: PostgreSQL
 *
 * DDL under other names, from our own catalog. It is less than pg_dump knows, and says so in its head.
 */
#include "control/schema_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/pair_columns.h"
#include "pgsql/pair_names.h"
#include "pgsql/sql.h"

static void print_schemas(const struct schema *self)
{
    struct buffer seen = {0};
    for (uint32_t i = 0; i < self->source.count; i++) {
        char *schema, *name;
        struct buffer line = {0};
        if (!self->missing[i])
            continue;
        schema_target_name(self, &self->source.relations[i], &schema, &name);
        buffer_puts(&line, "CREATE SCHEMA IF NOT EXISTS ");
        sql_ident(&line, schema);
        buffer_puts(&line, ";\n");
        if (strcmp(schema, "public") != 0 && !strstr(buffer_text(&seen), buffer_text(&line)))
            buffer_puts(&seen, buffer_text(&line));
        buffer_free(&line);
        free(schema);
        free(name);
    }
    fputs(buffer_text(&seen), self->out);
    buffer_free(&seen);
}

static bool target_has_type(const struct schema *self, const char *schema, const char *name)
{
    for (uint32_t i = 0; i < self->target.type_count; i++) {
        if (strcmp(self->target.types[i].name, name) == 0 &&
            strcmp(self->target.types[i].schema, schema) == 0)
            return true;
    }
    return false;
}

static bool used(const struct schema *self, uint32_t oid)
{
    for (uint32_t i = 0; i < self->source.count; i++) {
        const struct pg_relation *rel = &self->source.relations[i];
        for (uint16_t c = 0; self->missing[i] && c < rel->column_count; c++) {
            if (rel->columns[c].type.oid == oid || rel->columns[c].type.element_oid == oid)
                return true;
        }
    }
    return false;
}

static void print_enum(const struct schema *self, const struct pg_type_info *t, const char *schema)
{
    struct buffer sql = {0};
    buffer_puts(&sql, "CREATE TYPE ");
    sql_qualified(&sql, schema, t->name);
    buffer_puts(&sql, " AS ENUM (");
    for (uint32_t i = 0; i < t->label_count; i++) {
        buffer_puts(&sql, i ? ", " : "");
        sql_literal(&sql, t->labels[i]);
    }
    fprintf(self->out, "%s);\n", buffer_text(&sql));
    buffer_free(&sql);
}

static void print_types(const struct schema *self)
{
    for (uint32_t i = 0; i < self->source.type_count; i++) {
        const struct pg_type_info *t = &self->source.types[i];
        const char *schema = pair_schema(self->config, t->schema);
        if (strcmp(t->schema, "pg_catalog") == 0 || !used(self, t->oid) ||
            target_has_type(self, schema, t->name))
            continue;
        if (t->kind == 'e')
            print_enum(self, t, schema);
        else if (!t->element_oid)
            fprintf(self->out, "-- To be made by hand: type %s\n", t->quoted);
    }
}

static void print_tables(const struct schema *self)
{
    const struct pair_sides sides = {self->config, &self->source, &self->target, self->legacy.version};
    for (uint32_t i = 0; i < self->source.count; i++) {
        struct buffer sql = {0};
        char *schema, *name;
        if (!self->missing[i] || self->source.relations[i].is_partition)
            continue;
        schema_target_name(self, &self->source.relations[i], &schema, &name);
        pair_create_table(&sides, &self->source.relations[i], schema, name, &sql);
        fprintf(self->out, "%s\n", buffer_text(&sql));
        if (self->source.relations[i].kind == 'p')
            fprintf(self->out,
                    "-- (partitioned in the legacy database: add PARTITION BY and partitions if wanted)\n");
        buffer_free(&sql);
        free(schema);
        free(name);
    }
}

/* Same columns in the same order, and as unique. */
static bool target_has_index(const struct schema *self, const struct pg_relation *rel,
                             const struct pg_index *x)
{
    char *schema, *name;
    schema_target_name(self, rel, &schema, &name);
    const struct pg_relation *to = pg_catalog_find(&self->target, schema, name);
    free(schema);
    free(name);
    for (uint16_t i = 0; to && i < to->index_count; i++) {
        const struct pg_index *y = &to->indexes[i];
        bool same = y->column_count == x->column_count && y->unique == x->unique && !y->partial &&
                    !y->has_expressions;
        for (uint16_t c = 0; same && c < x->column_count; c++) {
            name = pair_name(self->config, rel->columns[x->columns[c]].name);
            same = strcmp(to->columns[y->columns[c]].name, name) == 0;
            free(name);
        }
        if (same)
            return true;
    }
    return false;
}

static void print_index(const struct schema *self, const struct pg_relation *rel, const struct pg_index *x)
{
    struct buffer sql = {0};
    char *schema, *name;
    schema_target_name(self, rel, &schema, &name);
    buffer_puts(&sql, x->unique ? "CREATE UNIQUE INDEX ON " : "CREATE INDEX ON ");
    sql_qualified(&sql, schema, name);
    buffer_puts(&sql, " (");
    for (uint16_t i = 0; i < x->column_count; i++) {
        char *column = pair_name(self->config, rel->columns[x->columns[i]].name);
        buffer_puts(&sql, i ? ", " : "");
        sql_ident(&sql, column);
        free(column);
    }
    fprintf(self->out, "%s); -- %s\n", buffer_text(&sql), x->name);
    buffer_free(&sql);
    free(schema);
    free(name);
}

static void print_indexes(const struct schema *self)
{
    for (uint32_t i = 0; i < self->source.count; i++) {
        const struct pg_relation *rel = &self->source.relations[i];
        for (uint16_t x = 0; self->missing[i] && !rel->is_partition && x < rel->index_count; x++) {
            if (rel->indexes[x].primary)
                continue;
            if (rel->indexes[x].has_expressions || rel->indexes[x].partial)
                fprintf(self->out, "-- To be made by hand: index %s\n", rel->indexes[x].name);
            else if (!target_has_index(self, rel, &rel->indexes[x]))
                print_index(self, rel, &rel->indexes[x]);
        }
    }
}

bool schema_own(struct schema *self, struct error *err)
{
    (void)err;
    fputs("-- The target's names are not the legacy's, so this comes from the catalog, not from pg_dump: "
          "tables, types\n"
          "-- of columns, NOT NULL, keys and plain indexes. Defaults, checks, foreign keys, triggers and "
          "access methods\n"
          "-- of indexes are yours to add.\n",
          self->out);
    if (!self->section || strcmp(self->section, "pre") == 0) {
        print_schemas(self);
        print_types(self);
        print_tables(self);
    }
    if (!self->section || strcmp(self->section, "post") == 0)
        print_indexes(self);
    return true;
}
