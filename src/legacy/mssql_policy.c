/* SPDX-License-Identifier: PostgreSQL */
#include "legacy/mssql_policy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/pair_names.h"
#include "pgsql/sql.h"

static const struct config_table *entry_of(const struct config *config, const char *schema, const char *name)
{
    for (int i = 0; i < config->table_count; i++) {
        if (pair_name_means(config->tables[i].from, schema, name))
            return &config->tables[i];
    }
    return NULL;
}

static const struct config_values *values_of(const struct config *config, const struct config_table *entry,
                                             const char *column)
{
    for (int i = 0; entry && i < entry->column_count; i++) {
        if (strcmp(entry->columns[i].name, column) == 0)
            return &entry->columns[i].values;
    }
    return entry ? &entry->values : &config->values;
}

const struct config_values *mssql_policy_of(const struct config *config, const struct ms_catalog_table *table,
                                            const char *column)
{
    return values_of(config, entry_of(config, table->schema, table->name), column);
}

bool mssql_policy_needs_zone(const struct ms_type *type)
{
    const struct ms_carrier *carrier = type ? ms_type_offers(type, MS_OID_TIMESTAMPTZ) : NULL;
    return carrier && type->id != MS_DATETIMEOFFSET;
}

/* --- into the columns --- */

static bool is_unfit(const struct table *t, const struct pairing *pairing)
{
    for (uint32_t i = 0; i < pairing->finding_count; i++) {
        const struct pair_finding *f = &pairing->findings[i];
        size_t length = strlen(t->from);
        if (f->level == PAIR_FAIL && strncmp(f->code, "time_zone_", 10) == 0 &&
            strncmp(f->object, t->from, length) == 0 && f->object[length] == '.')
            return true;
    }
    return false;
}

/* Tables with a finding about a zone are not to be carried: their values would be wrong. */
static void sort_out(struct pairing *pairing)
{
    struct table_set *all = &pairing->tables, kept = {0};
    for (uint32_t i = 0; i < all->count; i++)
        table_set_add(is_unfit(all->tables[i], pairing) ? &pairing->unfit : &kept, all->tables[i]);
    free(all->tables);
    *all = kept;
}

static uint32_t base_oid(const struct type *type)
{
    return type->base_oid ? type->base_oid : type->oid;
}

/* `back`: the SQL Server is the sink. */
static void put_table(const struct config *config, const struct ms_catalog_table *legacy, bool back,
                      struct table *t, struct pairing *pairing)
{
    struct buffer object = {0};
    for (uint16_t i = 0; i < t->column_count; i++) {
        struct column *c = &t->columns[i];
        const char *name = back ? c->sink : c->source;
        const struct type *target = back ? &c->source_type : &c->sink_type;
        const struct ms_catalog_column *column = ms_catalog_column(legacy, name);
        const struct config_values *v = mssql_policy_of(config, legacy, name);
        bool zoned =
            column && mssql_policy_needs_zone(column->type.type) && base_oid(target) == MS_OID_TIMESTAMPTZ;
        c->policy = (struct column_policy){
            .bad_text = v->bad_text, .trim_blanks = v->trim_blanks, .time_zone = zoned ? v->time_zone : NULL};
        if (!zoned || v->time_zone)
            continue;
        buffer_clear(&object);
        buffer_printf(&object, "%s.%s", t->from, c->source);
        pairing_add(
            pairing, PAIR_FAIL, "time_zone_missing", buffer_text(&object), NULL,
            "%s says no time zone and %s needs one: which moment is meant by any of its values is not "
            "known, and by those of the hour that a clock change repeats least of all - set time_zone "
            "of the legacy, the table or the column (\"UTC\" if that is what it holds)",
            column->type_name, target->display);
    }
    buffer_free(&object);
}

static void put_set(const struct config *config, const struct ms_catalog *legacy, bool back,
                    const struct table_set *tables, struct pairing *pairing)
{
    for (uint32_t i = 0; i < tables->count; i++) {
        struct table *t = tables->tables[i];
        const struct ms_catalog_table *from =
            ms_catalog_by_id(legacy, (int32_t)(back ? t->sink_oid : t->source_oid));
        if (from)
            put_table(config, from, back, t, pairing);
    }
}

static void look_for_columns(const struct config_table *entry, const struct ms_catalog_table *from,
                             struct pairing *pairing)
{
    for (int i = 0; i < entry->column_count; i++) {
        const struct config_column *c = &entry->columns[i];
        struct buffer object = {0};
        if (ms_catalog_column(from, c->name))
            continue;
        buffer_printf(&object, "%s.%s.%s", from->schema, from->name, c->name);
        pairing_add(pairing, PAIR_FAIL, "values_column_missing", buffer_text(&object), NULL,
                    "line %d of the config says something of a column that the legacy's table does not have",
                    c->line);
        buffer_free(&object);
    }
}

static void put_all(const struct config *config, const struct ms_catalog *legacy, bool back,
                    struct pairing *pairing)
{
    for (uint32_t i = 0; i < legacy->count; i++) {
        const struct config_table *entry = entry_of(config, legacy->tables[i].schema, legacy->tables[i].name);
        if (entry)
            look_for_columns(entry, &legacy->tables[i], pairing);
    }
    put_set(config, legacy, back, &pairing->tables, pairing);
    put_set(config, legacy, back, &pairing->unfit, pairing);
    sort_out(pairing);
}

void mssql_policy_put(const struct config *config, const struct ms_catalog *source, struct pairing *pairing)
{
    put_all(config, source, false, pairing);
}

void mssql_policy_put_back(const struct config *config, const struct ms_catalog *sink,
                           struct pairing *pairing)
{
    put_all(config, sink, true, pairing);
}

/* --- zones --- */

static struct mssql_zone *find(const struct mssql_zones *self, const char *name)
{
    for (uint32_t i = 0; i < self->count; i++) {
        if (strcmp(self->zones[i]->name, name) == 0)
            return self->zones[i];
    }
    return NULL;
}

static void add(struct mssql_zones *self, const char *name)
{
    if (!name || find(self, name))
        return;
    struct mssql_zone *zone = mem_alloc(sizeof(*zone));
    *zone = (struct mssql_zone){.name = mem_strdup(name)};
    self->zones = mem_grow(self->zones, (size_t)self->count + 1, sizeof(struct mssql_zone *));
    self->zones[self->count++] = zone;
}

/* Marks those that the target does not know, from `first` on. */
static bool ask(struct mssql_zones *self, uint32_t first, struct pg_conn *target, struct error *err)
{
    const char **names = mem_alloc((self->count + (size_t)1) * sizeof(*names));
    struct buffer list = {0};
    for (uint32_t i = first; i < self->count; i++)
        names[i - first] = self->zones[i]->name;
    sql_array(&list, names, self->count - first);
    const char *params[] = {buffer_text(&list)};
    PGresult *r =
        pg_query(target,
                 "SELECT w.name FROM pg_catalog.unnest($1::text[]) AS w(name)"
                 " WHERE lower(w.name) NOT IN (SELECT lower(z.name) FROM pg_catalog.pg_timezone_names AS z)",
                 1, params, err);
    for (int i = 0; r && i < PQntuples(r); i++)
        find(self, PQgetvalue(r, i, 0))->unknown = true;
    PQclear(r);
    buffer_free(&list);
    free(names);
    return r != NULL;
}

static void say_unknown(const struct mssql_zones *self, const char *name, const char *object,
                        struct pairing *pairing)
{
    const struct mssql_zone *zone = name ? find(self, name) : NULL;
    if (zone && zone->unknown)
        pairing_add(pairing, PAIR_FAIL, "time_zone_unknown", object, NULL,
                    "\"%s\" is no time zone of the target - allowed: a name in its pg_timezone_names, as in "
                    "\"America/Chicago\"",
                    name);
}

bool mssql_zones_look(struct mssql_zones *self, const struct config *config, struct pg_conn *target,
                      struct pairing *pairing, struct error *err)
{
    uint32_t first = self->count;
    add(self, config->values.time_zone);
    for (int i = 0; i < config->table_count; i++) {
        add(self, config->tables[i].values.time_zone);
        for (int k = 0; k < config->tables[i].column_count; k++)
            add(self, config->tables[i].columns[k].values.time_zone);
    }
    if (first < self->count && !ask(self, first, target, err))
        return false;
    say_unknown(self, config->values.time_zone, "legacy.time_zone", pairing);
    for (uint32_t i = 0; i < pairing->tables.count; i++) {
        const struct table *t = pairing->tables.tables[i];
        for (uint16_t c = 0; c < t->column_count; c++) {
            struct buffer object = {0};
            buffer_printf(&object, "%s.%s", t->from, t->columns[c].source);
            say_unknown(self, t->columns[c].policy.time_zone, buffer_text(&object), pairing);
            buffer_free(&object);
        }
    }
    sort_out(pairing);
    return true;
}

static bool load(struct mssql_zone *self, struct pg_conn *target, struct error *err)
{
    const char *params[] = {self->name};
    if (strcasecmp(self->name, "UTC") == 0) {
        ms_zone_add(&self->zone, false, 0, 0);
        ms_zone_add(&self->zone, true, 0, 0);
        self->loaded = true;
        return true;
    }
    PGresult *r = pg_query(target, ms_zone_query, 1, params, err);
    if (!r)
        return error_prefix(err, "the offsets of time zone %s", self->name);
    for (int i = 0; i < PQntuples(r); i++)
        ms_zone_add(&self->zone, *PQgetvalue(r, i, 0) == 't', strtoll(PQgetvalue(r, i, 1), NULL, 10),
                    (int32_t)strtol(PQgetvalue(r, i, 2), NULL, 10));
    self->loaded = self->zone.local_count > 0 && self->zone.utc_count > 0;
    PQclear(r);
    return self->loaded ||
           error_set(err, ERROR_FATAL, "the target tells no offsets of time zone %s", self->name);
}

bool mssql_zones_bind(struct mssql_zones *self, struct pg_conn *target, struct pairing *pairing,
                      struct error *err)
{
    struct table_set *const sets[] = {&pairing->tables, &pairing->unfit};
    for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
        for (uint32_t i = 0; i < sets[s]->count; i++) {
            struct table *t = sets[s]->tables[i];
            for (uint16_t k = 0; k < t->column_count; k++) {
                struct column *c = &t->columns[k];
                struct mssql_zone *zone = c->policy.time_zone ? find(self, c->policy.time_zone) : NULL;
                if (!zone || zone->unknown)
                    continue;
                if (!zone->loaded && !load(zone, target, err))
                    return false;
                c->policy.zone = &zone->zone;
            }
        }
    }
    return true;
}

void mssql_zones_free(struct mssql_zones *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        free(self->zones[i]->name);
        ms_zone_free(&self->zones[i]->zone);
        free(self->zones[i]);
    }
    free(self->zones);
    *self = (struct mssql_zones){0};
}
