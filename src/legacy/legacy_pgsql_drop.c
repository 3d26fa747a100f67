/* SPDX-License-Identifier: PostgreSQL
 *
 * Takes a pipeline's slot and publications away from a PostgreSQL legacy: the slot first, it keeps WAL.
 */
#include <string.h>

#include "legacy/legacy_pgsql.h"
#include "pgsql/sql.h"
#include "state/lease.h"

struct drop {
    struct pg_conn *source;
    const struct pgsql_side *side;
    const struct legacy_notes *notes;
    struct buffer *said;
    int *undone;
};

static bool drop_slot(struct drop *self, struct error *err)
{
    const char *slot = self->side->slot;
    char state[16];
    /* Only one that this pipeline has made: the name may be somebody else's. */
    const char *params[] = {self->notes->config->pipeline, self->side->stream};
    if (!pg_query_one(self->notes->target,
                      "SELECT EXISTS (SELECT FROM crossfade.state WHERE pipeline = $1 AND object = 'stream:' "
                      "|| $2::text"
                      " AND key IN ('slot_intent', 'fingerprint'))",
                      2, params, state, sizeof(state), NULL, err))
        return false;
    if (state[0] != 't') {
        buffer_printf(self->said, "slot %s: not made by this pipeline, left alone\n", slot);
        return true;
    }
    if (!lease_terminate_others(self->source, self->notes->config->pipeline, err) ||
        !pg_query_one(self->source,
                      "SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_catalog.pg_replication_slots"
                      " WHERE slot_name = $1 AND database = current_database()",
                      1, &slot, state, sizeof(state), NULL, err))
        return error_prefix(err, "dropping slot %s", slot);
    buffer_printf(self->said, "slot %s: %s\n", slot, state[0] == '0' ? "was not there" : "dropped");
    return true;
}

/* Runs it; where the right is missing, prints it for somebody who has it. */
static bool run_or_print(struct drop *self, const char *sql, struct error *err)
{
    if (pg_exec(self->source, sql, err)) {
        buffer_printf(self->said, "%s: done\n", sql);
        return true;
    }
    if (strcmp(err->code, "42501") != 0)
        return false;
    buffer_printf(self->said, "%s: not allowed here - to be run on the %s side by its owner\n", sql,
                  self->source->endpoint);
    ++*self->undone;
    return true;
}

static bool drop_publications(struct drop *self, struct error *err)
{
    static const char *const tails[] = {"", "_insert"};
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof(tails) / sizeof(tails[0]); i++) {
        struct buffer name = {0}, sql = {0};
        char there[8];
        buffer_printf(&name, "%s%s", self->side->publication, tails[i]);
        const char *params[] = {buffer_text(&name)};
        ok = pg_query_one(self->source,
                          "SELECT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = $1)", 1,
                          params, there, sizeof(there), NULL, err);
        buffer_puts(&sql, "DROP PUBLICATION ");
        sql_ident(&sql, buffer_text(&name));
        if (ok && there[0] == 't')
            ok = run_or_print(self, buffer_text(&sql), err);
        buffer_free(&name);
        buffer_free(&sql);
    }
    return ok;
}

bool pgsql_drop(struct pg_conn *source, const struct pgsql_side *side, const struct legacy_notes *notes,
                struct buffer *said, int *undone, struct error *err)
{
    struct drop d = {.source = source, .side = side, .notes = notes, .said = said, .undone = undone};
    return drop_slot(&d, err) && drop_publications(&d, err);
}
