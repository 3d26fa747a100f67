/* SPDX-License-Identifier: PostgreSQL
 *
 * How changes are read: which captures a kind of legacy has, the pipeline's for tables that name none, and
 * what the timestamp capture needs.
 */
#include "model/config_internal.h"

#include <string.h>

static const char *allowed_captures(enum legacy_kind kind)
{
    return kind == LEGACY_SQLSERVER ? "cdc, change_tracking, rowversion, timestamp, snapshot"
                                    : "logical, timestamp, snapshot";
}

static bool has_capture(enum legacy_kind kind, enum capture_kind capture)
{
    if (capture == CAPTURE_TIMESTAMP || capture == CAPTURE_SNAPSHOT)
        return kind != LEGACY_CSV;
    return (kind == LEGACY_SQLSERVER) == (capture != CAPTURE_LOGICAL);
}

static void check_kind(struct reader *self, const cJSON *item, enum capture_kind capture)
{
    enum legacy_kind kind = self->config->legacy_kind;
    if (!cJSON_IsString(item) || has_capture(kind, capture))
        return;
    config_problem(self, item, "\"%s\" %s - allowed: %s", item->valuestring,
                   kind == LEGACY_SQLSERVER ? "is of kind postgresql"
                                            : "is not available in this version, which can't run it yet",
                   allowed_captures(kind));
}

static void check_table(struct reader *self, const cJSON *item, const struct config_table *table)
{
    static const char *const keys[] = {"updated_at", "overlap", "soft_delete"};
    check_kind(self, json_member(item, "capture"), table->capture);
    if (table->capture == CAPTURE_TIMESTAMP && !json_member(item, "updated_at"))
        config_problem(self, item,
                       "required key \"updated_at\" is missing - capture timestamp reads by the column with "
                       "the time of the last change");
    for (size_t i = 0; table->capture != CAPTURE_TIMESTAMP && i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (json_member(item, keys[i]))
            config_problem(self, json_member(item, keys[i]), "belongs to capture timestamp - remove it");
    }
}

/* The entry of a table, by the line it stands in: entries that were refused have no table. */
static const cJSON *entry_of(const struct reader *self, const cJSON **next, int line)
{
    for (; *next; *next = (*next)->next) {
        if (json_line(&self->json, *next) == line) {
            const cJSON *found = *next;
            *next = found->next;
            return found;
        }
    }
    return NULL;
}

void config_check_captures(struct reader *self)
{
    struct config *config = self->config;
    const cJSON *given = json_member(json_member(self->json.root, "legacy"), "capture");
    const cJSON *list = json_member(self->json.root, "tables");
    const cJSON *next = cJSON_IsArray(list) ? list->child : NULL;
    if (!given && config->legacy_kind == LEGACY_SQLSERVER)
        config->legacy_capture = CAPTURE_CDC;
    check_kind(self, given, config->legacy_capture);
    for (int i = 0; i < config->table_count; i++) {
        struct config_table *table = &config->tables[i];
        if (table->capture == CAPTURE_UNSET)
            table->capture = config->legacy_capture;
        const cJSON *item = entry_of(self, &next, table->line);
        if (item)
            check_table(self, item, table);
    }
    if (config->all_tables && config->legacy_capture == CAPTURE_TIMESTAMP)
        config_problem(self, given,
                       "capture timestamp needs \"updated_at\" of each table - list them under \"tables\"");
}
