/* SPDX-License-Identifier: PostgreSQL
 *
 * What is made of values (characters, blanks, time zones): stated for the pipeline, a table or a column, and
 * inherited in that order.
 */
#include "model/config_internal.h"

#include <stdlib.h>

#include "base/mem.h"

void config_read_columns(struct reader *self, const cJSON *item, struct config_table *table)
{
    if (!cJSON_IsObject(item) || !item->child) {
        config_problem(
            self, item,
            "%s where columns are needed - allowed: {\"legacy column\": {\"bad_text\": \"strip\"}}",
            cJSON_IsObject(item) ? "an empty object" : json_kind(item));
        return;
    }
    if (table->columns)
        return; /* a duplicate key, already told */
    table->columns = mem_alloc((size_t)cJSON_GetArraySize(item) * sizeof(*table->columns));
    for (const cJSON *c = item->child; c; c = c->next) {
        struct config_column *column = &table->columns[table->column_count++];
        *column = (struct config_column){.name = mem_strdup(c->string),
                                         .values.bad_text = BAD_TEXT_UNSET,
                                         .line = json_line(&self->json, c)};
        if (config_read_object(self, c, "tables[].values.*.", column, 0))
            column->values.trim_stated = json_member(c, "trim_blanks") != NULL;
    }
}

static void inherit(struct config_values *self, const struct config_values *from)
{
    if (self->bad_text == BAD_TEXT_UNSET)
        self->bad_text = from->bad_text;
    if (!self->trim_stated)
        self->trim_blanks = from->trim_blanks;
    if (!self->time_zone)
        self->time_zone = mem_strdup(from->time_zone);
}

/* PostgreSQL's own values are carried as they are. */
static void refuse(struct reader *self)
{
    static const char *const keys[] = {"time_zone", "bad_text", "trim_blanks", "values"};
    const cJSON *list = json_member(self->json.root, "tables");
    for (const cJSON *c = cJSON_IsArray(list) ? list->child : NULL; c; c = c->next) {
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
            const cJSON *item = json_member(c, keys[i]);
            if (item)
                config_problem(self, item, "belongs to kind sqlserver, not to this one - remove it");
        }
    }
}

void config_inherit_values(struct reader *self)
{
    struct config *config = self->config;
    for (int i = 0; i < config->table_count; i++) {
        struct config_table *t = &config->tables[i];
        inherit(&t->values, &config->values);
        for (int k = 0; k < t->column_count; k++)
            inherit(&t->columns[k].values, &t->values);
    }
    if (config->legacy_kind != LEGACY_SQLSERVER)
        refuse(self);
}
