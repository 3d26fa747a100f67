/* SPDX-License-Identifier: PostgreSQL
 *
 * Looking up in a catalog that was read, and what the name of a collation tells.
 */
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "mssql/catalog.h"

static bool names_part(const char *name, const char *part)
{
    size_t n = strlen(part);
    for (const char *at = strstr(name, part); at; at = strstr(at + 1, part)) {
        if (at[n] == '\0' || at[n] == '_')
            return true;
    }
    return false;
}

void ms_catalog_collation(const char *name, bool *case_sensitive, bool *accent_sensitive, bool *binary,
                          bool *utf8)
{
    *binary = names_part(name, "_BIN") || names_part(name, "_BIN2");
    *case_sensitive = *binary || names_part(name, "_CS");
    *accent_sensitive = *binary || names_part(name, "_AS");
    *utf8 = names_part(name, "_UTF8");
}

static bool ignores_case(const struct ms_catalog *self)
{
    bool case_sensitive, accent, binary, utf8;
    if (!self->database.collation)
        return false;
    ms_catalog_collation(self->database.collation, &case_sensitive, &accent, &binary, &utf8);
    return !case_sensitive;
}

const struct ms_catalog_table *ms_catalog_find(const struct ms_catalog *self, const char *schema,
                                               const char *name)
{
    int (*compare)(const char *, const char *) = ignores_case(self) ? strcasecmp : strcmp;
    for (uint32_t i = 0; i < self->count; i++) {
        const struct ms_catalog_table *t = &self->tables[i];
        if (compare(t->name, name) == 0 && compare(t->schema, schema) == 0)
            return t;
    }
    return NULL;
}

const struct ms_catalog_table *ms_catalog_by_id(const struct ms_catalog *self, int32_t object_id)
{
    uint32_t low = 0, high = self->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (self->tables[middle].object_id < object_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < self->count && self->tables[low].object_id == object_id ? &self->tables[low] : NULL;
}

int ms_catalog_column_at(const struct ms_catalog_table *table, const char *name)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i].name, name) == 0)
            return i;
    }
    return -1;
}

const struct ms_catalog_column *ms_catalog_column(const struct ms_catalog_table *table, const char *name)
{
    int at = ms_catalog_column_at(table, name);
    return at < 0 ? NULL : &table->columns[at];
}
