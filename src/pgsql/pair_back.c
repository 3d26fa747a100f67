/* SPDX-License-Identifier: PostgreSQL
 *
 * The mapping turned round: a target column goes to the legacy column that is carried to it. Nothing is left
 * out silently: what only the target has, or computes itself, stays there and a finding says so; what only
 * the legacy has keeps what it has there, and its default in new rows.
 *
 * A table that rows can't be told apart in, by its key and by what the target logs of old rows, is refused:
 * on the way back there is no copy that would mend what went wrong.
 */
#include "pgsql/pair_back.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/pair_names.h"
#include "pgsql/sql.h"

static void replace(char **at, const char *text)
{
    char *copy = mem_strdup(text);
    free(*at);
    *at = copy;
}

static void turn(struct pair_work *work, const struct pair_sides *back)
{
    const struct pg_relation *legacy = work->source, *target = work->sink;
    struct table *t = work->table;
    replace(&t->from_schema, target->schema);
    replace(&t->from_name, target->name);
    replace(&t->to_schema, legacy->schema);
    replace(&t->to_name, legacy->name);
    replace(&t->to, t->from);
    t->source_oid = target->oid;
    t->sink_oid = legacy->oid;
    t->source_rows = target->rows;
    t->source_bytes = target->bytes;
    t->source_partitioned = target->kind == 'p';
    t->sink_partitioned = legacy->kind == 'p';
    work->source = target;
    work->sink = legacy;
    work->sides = back;
}

/* The legacy's column that the mapping carries to the target's; NULL: none. */
static const struct pg_column *goes_to(const struct pair_work *work, const struct pg_column *c)
{
    const struct pg_column *found = NULL;
    for (uint16_t i = 0; i < work->sink->column_count && !found; i++) {
        char *name = pair_name(work->sides->config, work->sink->columns[i].name);
        if (strcmp(name, c->name) == 0)
            found = &work->sink->columns[i];
        free(name);
    }
    return found;
}

static bool needs_value(const struct pg_column *c)
{
    return c->not_null && !c->has_default && !c->identity && !c->generated;
}

static void pair_column(struct pair_work *work, const struct pg_column *c, bool *used)
{
    const struct pg_column *to = goes_to(work, c);
    if (to)
        used[to - work->sink->columns] = true;
    if (to && !c->generated && !to->generated) {
        pair_carry(work, c, to);
        return;
    }
    pair_ignore(work, c->name);
    work->table->sink_extra_columns |= to != NULL;
    if (to && to->generated)
        pair_say(work, PAIR_OK, "generated", c->name, NULL,
                 "the legacy side makes this column's values itself - they are not carried back");
    else if (to && needs_value(to))
        pair_say(work, PAIR_FAIL, "generated_not_carried", c->name, NULL,
                 "generated on the target, so no value comes, but the legacy's column must not be null");
    else if (to)
        pair_say(work, PAIR_WARN, "generated_not_carried", c->name, NULL,
                 "generated on the target, so no value comes back - the legacy's column keeps what it has");
    else
        pair_say(work, PAIR_WARN, "column_not_back", c->name, NULL,
                 "only the target has it - what is written there does not go back");
}

static void legacy_only(struct pair_work *work, const bool *used)
{
    for (uint16_t i = 0; i < work->sink->column_count; i++) {
        const struct pg_column *c = &work->sink->columns[i];
        if (used[i])
            continue;
        work->table->sink_extra_columns = true;
        if (needs_value(c))
            pair_say(
                work, PAIR_FAIL, "column_extra", c->name, NULL,
                "only the legacy side has it, it must not be null and has no default - every row that is "
                "new on the target would be refused");
    }
}

static void pair_all(struct pair_work *work)
{
    bool *used = mem_alloc(work->sink->column_count + 1u);
    work->binary = true;
    for (uint16_t i = 0; i < work->source->column_count; i++)
        pair_column(work, &work->source->columns[i], used);
    legacy_only(work, used);
    free(used);
    if (work->table->column_count == 0 && !work->failed)
        pair_say(work, PAIR_FAIL, "no_columns", NULL, NULL, "no column of it can be carried back");
}

/* The config's key has the legacy's names. */
static char **turn_key(const struct pair_work *work)
{
    char **key = mem_alloc((size_t)(work->entry->key_count + 1) * sizeof(*key));
    for (int i = 0; i < work->entry->key_count; i++)
        key[i] = pair_name(work->sides->config, work->entry->key[i]);
    return key;
}

static void full_identity(const struct pair_work *work, struct buffer *sql)
{
    buffer_puts(sql, "ALTER TABLE ");
    sql_qualified(sql, work->source->schema, work->source->name);
    buffer_puts(sql, " REPLICA IDENTITY FULL;");
}

static void judge_key(struct pair_work *work)
{
    const struct table *t = work->table;
    struct buffer sql = {0};
    full_identity(work, &sql);
    if (work->failed)
        pair_say(work, PAIR_FAIL, "key_not_back", NULL, buffer_text(&sql),
                 "its rows can't be found by its key on the way back: a column of the key is not carried, or "
                 "the target does not log its old values");
    else if (t->insert_only)
        pair_say(work, PAIR_FAIL, "no_identity", NULL, buffer_text(&sql),
                 "the target's table has no replica identity - its updates and deletes would not go back");
    else if (t->key_count == 0)
        pair_say(work, PAIR_FAIL, "no_key", NULL, NULL,
                 "no key - tables without one don't go back in this version: give the target's table a "
                 "primary key, or leave it out of `tables`");
    buffer_free(&sql);
}

static void pair_its_key(struct pair_work *work)
{
    const struct config_table *entry = work->entry;
    struct config_table turned;
    if (entry && entry->key_count > 0) {
        turned = *entry;
        turned.key = turn_key(work);
        work->entry = &turned;
    }
    work->quiet = true; /* what it says is about the way forth */
    pair_key(work);
    work->quiet = false;
    if (work->entry != entry) {
        for (int i = 0; i < turned.key_count; i++)
            free(turned.key[i]);
        free(turned.key);
        work->entry = entry;
    }
    judge_key(work);
}

static void judge_table(struct pair_work *work)
{
    const struct table *t = work->table;
    if (work->source->persistence == 'u')
        pair_say(work, PAIR_FAIL, "unlogged", NULL, NULL,
                 "the target's table is unlogged, so its changes can't be streamed");
    for (uint32_t i = 0; i < work->out->tables.count; i++) {
        if (work->out->tables.tables[i]->source_oid == t->source_oid)
            pair_say(work, PAIR_FAIL, "target_shared", NULL, NULL,
                     "it is one of several tables that went to one of the target - that can't be taken apart "
                     "on the way back");
    }
    if (!config_group_fits(work->sides->config, t->group))
        pair_say(work, PAIR_FAIL, "direction_mixed", NULL, NULL,
                 "its group \"%s\" has the direction \"forward\" - all groups of a pipeline have the same "
                 "direction in this version: list it in a group whose direction is \"reverse\"",
                 t->group);
}

bool pair_back(struct pair_work *work, const struct pair_sides *back)
{
    turn(work, back);
    judge_table(work);
    pair_all(work);
    if (!work->failed)
        pair_its_key(work);
    return !work->failed;
}
