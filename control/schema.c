/* SPDX-License-Identifier: PostgreSQL
 *
 * Finds the tables that pairing says are missing and prints their DDL: from pg_dump (schema_dump.c) where the
 * target's names are the legacy's, else from the catalog itself (schema_own.c), for pg_dump can't rename; a
 * SQL Server's from its own (schema_mssql.c). Nothing is changed on any server; the DDL is the operator's to
 * read and to run.
 */
#include "control/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config.h"
#include "control/command.h"
#include "control/schema_run.h"
#include "pgsql/pair_names.h"

/* Reads "schema.name" of the findings back to relations: objects of table_missing are written from them. */
static bool is_missing(const struct pairing *pairing, const struct pg_relation *rel)
{
    size_t length = strlen(rel->schema);
    for (uint32_t i = 0; i < pairing->finding_count; i++) {
        const struct pair_finding *f = &pairing->findings[i];
        if (strcmp(f->code, "table_missing") == 0 && strncmp(f->object, rel->schema, length) == 0 &&
            f->object[length] == '.' && strcmp(f->object + length + 1, rel->name) == 0)
            return true;
    }
    return false;
}

static bool is_post(const struct schema *self)
{
    return self->section && strcmp(self->section, "post") == 0;
}

/* Partitions come and go with their table; and where the source is too old to be read through it, the table
 * comes with its partitions. */
static void mark_partitions(struct schema *self)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t i = 0; i < self->source.count; i++) {
            const struct pg_relation *rel = &self->source.relations[i];
            const struct pg_relation *parent =
                rel->parent ? pg_catalog_by_oid(&self->source, rel->parent) : NULL;
            if (parent && self->missing[i] && !self->missing[parent - self->source.relations] &&
                (is_post(self) || !pg_catalog_find(&self->target, parent->schema, parent->name)))
                self->missing[parent - self->source.relations] = moved = true;
            if (!parent || self->missing[i] || !self->missing[parent - self->source.relations])
                continue;
            if (!is_post(self) && pg_catalog_find(&self->target, rel->schema, rel->name))
                continue;
            self->missing[i] = moved = true;
        }
    }
}

void schema_mark_missing(struct schema *self, const struct pairing *pairing)
{
    self->missing = mem_alloc(self->source.count + 1u);
    for (uint32_t i = 0; i < self->source.count; i++) {
        const struct pg_relation *rel = &self->source.relations[i];
        self->missing[i] = is_missing(pairing, rel) ||
                           (is_post(self) && table_set_find(&pairing->tables, rel->schema, rel->name));
        self->count += self->missing[i];
    }
}

static bool find_missing(struct schema *self, struct error *err)
{
    struct pairing pairing;
    if (!pair_tables(self->config, &self->source, self->legacy.version, &self->target, &pairing, err))
        return false;
    schema_mark_missing(self, &pairing);
    mark_partitions(self);
    pairing_free(&pairing);
    return true;
}

static const struct config_table *entry_of(const struct config *config, const struct pg_relation *rel)
{
    for (int i = 0; !config->all_tables && i < config->table_count; i++) {
        if (pair_name_means(config->tables[i].from, rel->schema, rel->name))
            return &config->tables[i];
    }
    return NULL;
}

void schema_target_name(const struct schema *self, const struct pg_relation *rel, char **schema, char **name)
{
    const struct config_table *entry = entry_of(self->config, rel);
    *schema = NULL;
    if (entry && entry->to)
        pair_name_split(entry->to, schema, name);
    else
        *name = pair_name(self->config, rel->name);
    if (!*schema)
        *schema = mem_strdup(pair_schema(self->config, rel->schema));
}

/* Any table or column that is called something else there? */
static bool renames(const struct schema *self)
{
    bool differs = false;
    for (uint32_t i = 0; i < self->source.count && !differs; i++) {
        const struct pg_relation *rel = &self->source.relations[i];
        char *schema, *name;
        if (!self->missing[i])
            continue;
        schema_target_name(self, rel, &schema, &name);
        differs = strcmp(schema, rel->schema) != 0 || strcmp(name, rel->name) != 0;
        free(schema);
        free(name);
        for (uint16_t c = 0; c < rel->column_count && !differs; c++) {
            name = pair_name(self->config, rel->columns[c].name);
            differs = strcmp(name, rel->columns[c].name) != 0;
            free(name);
        }
    }
    return differs;
}

static bool run(struct schema *self, struct error *err)
{
#ifdef HAVE_FREETDS
    if (self->config->legacy_kind == LEGACY_SQLSERVER)
        return schema_mssql(self, err);
#endif
    if (self->config->legacy_kind != LEGACY_POSTGRESQL)
        return error_set(err, ERROR_REFUSED,
                         "DDL from a legacy of this kind is not available in this version");
    if (!session_legacy(self->config, &self->legacy, err) ||
        !session_target_bare(self->config, &self->sink, err) ||
        !pg_catalog_read(&self->legacy, &self->source, err) ||
        !pg_catalog_read(&self->sink, &self->target, err) || !find_missing(self, err))
        return false;
    if (self->count == 0) {
        fputs("-- The target lacks no table of this pipeline.\n", self->out);
        return true;
    }
    return renames(self) ? schema_own(self, err) : schema_dump(self, err);
}

int schema_command(const struct config *config, const char *section, FILE *out)
{
    struct schema self = {.config = config, .section = section, .out = out};
    struct error err = {0};
    int status = run(&self, &err) ? EXIT_GOOD : command_fail(&err);
    free(self.missing);
    pg_catalog_free(&self.source);
    pg_catalog_free(&self.target);
    pg_conn_close(&self.legacy);
    pg_conn_close(&self.sink);
    return status;
}
