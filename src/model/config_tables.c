/* SPDX-License-Identifier: PostgreSQL
 *
 * `tables`, `groups`, `schemas`, and how they hang together: no table twice, none in two groups, no name
 * of a group or table that nothing stands for. "students" and "public.students" are the same table here.
 */
#include "model/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

/* No pipeline has so many; names are searched one by one. */
enum { GROUPS_MAX = 1000 };

/* A table's own `existing` is not given. */
#define EXISTING_UNSET ((enum existing_rule) - 1)

static struct slice plain_name(const char *name)
{
    return slice_of(strncmp(name, "public.", 7) == 0 && name[7] ? name + 7 : name);
}

static bool is_name(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            return false;
    }
    return true;
}

static bool table_from_item(struct reader *self, const cJSON *item, struct config_table *out)
{
    *out = (struct config_table){.line = json_line(&self->json, item), .values.bad_text = BAD_TEXT_UNSET};
    config_set_defaults("tables[].", out);
    if (cJSON_IsObject(item)) {
        config_read_object(self, item, "tables[].", out, 0);
        out->values.trim_stated = json_member(item, "trim_blanks") != NULL;
        return true;
    }
    if (!cJSON_IsString(item)) {
        config_problem(self, item, "%s where a table is needed - allowed: \"schema.name\" or {\"from\": …}",
                       json_kind(item));
        return false;
    }
    if (!is_name(item->valuestring)) {
        config_problem(self, item, "not a table's name - allowed: \"schema.name\"");
        return false;
    }
    out->from = mem_strdup(item->valuestring);
    return true;
}

void config_read_tables(struct reader *self, const cJSON *item)
{
    struct config *config = self->config;
    if (cJSON_IsString(item) && strcmp(item->valuestring, "all") == 0)
        return;
    if (!cJSON_IsArray(item) || !item->child) {
        const char *what = cJSON_IsArray(item) ? "an empty list" : json_kind(item);
        config_problem(self, item,
                       "%s where tables are needed - allowed: \"all\", or a list of names and {\"from\": …}",
                       what);
        return;
    }
    if (config->tables)
        return; /* a duplicate key, already told */
    config->all_tables = false;
    config->tables = mem_alloc((size_t)cJSON_GetArraySize(item) * sizeof(*config->tables));
    struct map from = {0};
    struct map to = {0};
    for (const cJSON *c = item->child; c; c = c->next) {
        struct config_table *table = &config->tables[config->table_count];
        if (!table_from_item(self, c, table))
            continue;
        config->table_count++;
        if (!cJSON_IsObject(c) || !json_member(c, "existing"))
            table->existing = EXISTING_UNSET; /* the pipeline's, which may come later in the file */
        if (!cJSON_IsObject(c) || !json_member(c, "capture"))
            table->capture = CAPTURE_UNSET;
        struct map_entry *e = table->from ? map_at(&from, plain_name(table->from)) : NULL;
        if (e && e->value)
            config_problem(self, c, "table \"%s\" is listed twice, first in line %d - remove one",
                           table->from, ((struct config_table *)e->value)->line);
        if (e)
            e->value = table;
        e = table->to ? map_at(&to, plain_name(table->to)) : NULL;
        if (e && e->value)
            config_problem(self, c,
                           "target table \"%s\" is named twice, first in line %d - merging tables is not "
                           "available in this version",
                           table->to, ((struct config_table *)e->value)->line);
        if (e)
            e->value = table;
    }
    map_free(&from);
    map_free(&to);
}

void config_read_schemas(struct reader *self, const cJSON *item)
{
    struct config *config = self->config;
    if (!cJSON_IsObject(item)) {
        config_problem(self, item,
                       "%s where an object is needed - allowed: {\"legacy schema\": \"target schema\"}",
                       json_kind(item));
        return;
    }
    if (config->schemas)
        return;
    config->schemas = mem_alloc((size_t)cJSON_GetArraySize(item) * sizeof(*config->schemas));
    for (const cJSON *c = item->child; c; c = c->next) {
        if (!cJSON_IsString(c) || !is_name(c->valuestring) || !is_name(c->string)) {
            config_problem(self, c, "not a schema's name - allowed: \"legacy schema\": \"target schema\"");
            continue;
        }
        config->schemas[config->schema_count++] =
            (struct config_schema){mem_strdup(c->string), mem_strdup(c->valuestring)};
    }
}

static struct config_group *find_group(struct config *config, const char *name)
{
    for (int i = 0; i < config->group_count; i++) {
        if (strcmp(config->groups[i].name, name) == 0)
            return &config->groups[i];
    }
    return NULL;
}

static struct config_group *add_group(struct config *config, const char *name)
{
    config->groups = mem_grow(config->groups, (size_t)config->group_count + 1, sizeof(*config->groups));
    struct config_group *group = &config->groups[config->group_count++];
    *group = (struct config_group){.name = mem_strdup(name)};
    config_set_defaults("groups.*.", group);
    return group;
}

void config_read_groups(struct reader *self, const cJSON *item)
{
    if (!cJSON_IsObject(item) || !item->child) {
        const char *what = cJSON_IsObject(item) ? "an empty object" : json_kind(item);
        config_problem(self, item, "%s where groups are needed - allowed: {\"name\": {\"tables\": […]}}",
                       what);
        return;
    }
    for (const cJSON *c = item->child; c; c = c->next) {
        if (self->config->group_count == GROUPS_MAX) {
            config_problem(self, c, "more than %d groups", GROUPS_MAX);
            return;
        }
        if (!config_name_valid(c->string))
            config_problem(self, c, "not a good group name - allowed: [a-z][a-z0-9_]{0,30}");
        else if (!find_group(self->config, c->string)) /* else a duplicate key, already told */
            config_read_object(self, c, "groups.*.", add_group(self->config, c->string), 0);
    }
}

/* One table of a group's list. */
static void join_one(struct reader *self, const cJSON *item, struct config_group *group, struct map *group_of,
                     struct map *tables)
{
    const char *text = item->valuestring;
    struct config_table *table = map_get(tables, plain_name(text));
    struct map_entry *e = map_at(group_of, plain_name(text));
    if (e->value && e->value != group->name)
        config_problem(self, item, "table \"%s\" is in group \"%s\" already - a table is in one group", text,
                       (const char *)e->value);
    else
        e->value = group->name;
    if (!table && !self->config->all_tables)
        config_problem(self, item, "table \"%s\" is not in \"tables\" - add it there, or remove it here",
                       text);
    else if (table && table->group && strcmp(table->group, group->name) != 0 && e->value == group->name)
        config_problem(self, item,
                       "table \"%s\" names group \"%s\" in its own entry - a table is in one group", text,
                       table->group);
    else if (table && !table->group)
        table->group = mem_strdup(group->name);
}

static void join_listed(struct reader *self, struct config_group *group, struct map *group_of,
                        struct map *tables)
{
    const cJSON *item = json_member(json_member(self->json.root, "groups"), group->name);
    const cJSON *list = json_member(item, "tables");
    if (!cJSON_IsArray(list))
        return;
    for (const cJSON *c = list->child; c; c = c->next) {
        if (cJSON_IsString(c) && is_name(c->valuestring))
            join_one(self, c, group, group_of, tables);
    }
}

static void unknown_group(struct reader *self, const char *name)
{
    struct buffer names = {0};
    for (int g = 0; g < self->config->group_count && g < 20; g++)
        buffer_printf(&names, "%s%s", g ? ", " : "", self->config->groups[g].name);
    const cJSON *at = NULL;
    for (const cJSON *c = json_member(self->json.root, "tables")->child; c && !at; c = c->next) {
        const cJSON *group = json_member(c, "group");
        if (cJSON_IsString(group) && strcmp(group->valuestring, name) == 0)
            at = group;
    }
    config_problem(self, at, "no group \"%s\" under \"groups\" - allowed: %s", name, buffer_text(&names));
    buffer_free(&names);
}

/* Groups that only entries of `tables` name: fine where there is no `groups`. */
static void join_named(struct reader *self, bool declared)
{
    struct config *config = self->config;
    for (int i = 0; i < config->table_count && self->count <= PROBLEMS_MAX; i++) {
        const char *name = config->tables[i].group;
        if (!name || find_group(config, name))
            continue;
        if (declared) {
            unknown_group(self, name);
        } else if (config->group_count < GROUPS_MAX) {
            add_group(config, name);
        } else {
            config_problem(self, NULL, "more than %d groups", GROUPS_MAX);
            return;
        }
    }
}

void config_join_groups(struct reader *self)
{
    struct config *config = self->config;
    struct map tables = {0};
    struct map group_of = {0};
    int declared = config->group_count;
    for (int i = 0; i < config->table_count; i++) {
        if (config->tables[i].existing == EXISTING_UNSET)
            config->tables[i].existing = config->backfill_existing;
        if (config->tables[i].from)
            map_at(&tables, plain_name(config->tables[i].from))->value = &config->tables[i];
    }
    for (int g = 0; g < declared; g++)
        join_listed(self, &config->groups[g], &group_of, &tables);
    join_named(self, declared > 0);
    for (int g = 0; g < declared; g++) {
        bool used = config->groups[g].table_count > 0;
        for (int i = 0; i < config->table_count && !used; i++)
            used = config->tables[i].group && strcmp(config->tables[i].group, config->groups[g].name) == 0;
        const cJSON *item = json_member(json_member(self->json.root, "groups"), config->groups[g].name);
        bool rest = strcmp(config->groups[g].name, "default") == 0; /* has what no other has */
        if (!used && !rest && !json_member(item, "tables"))
            config_problem(self, item, "a group without tables - list them under \"tables\", or remove it");
        if (config->groups[g].direction != config->groups[0].direction)
            config_problem(self, json_member(item, "direction"),
                           "groups of one pipeline that stream in different directions are not available in "
                           "this version - allowed: the same direction for all groups");
    }
    map_free(&tables);
    map_free(&group_of);
}
