/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/capture.h"
#include "pgsql/sql.h"

/* All that does not fit, in one text. */
static bool refuse_findings(const struct pairing *pairing, struct error *err)
{
    struct buffer text = {0};
    int count = 0;
    for (uint32_t i = 0; i < pairing->finding_count; i++) {
        const struct pair_finding *f = &pairing->findings[i];
        if (f->level == PAIR_FAIL && ++count <= 5)
            buffer_printf(&text, "%s%s: %s", count > 1 ? "; " : "", f->object, f->text);
    }
    if (count)
        error_set(err, ERROR_REFUSED,
                  "%d finding(s) stand in the way - %s%s - `crossfade check` shows each with the "
                  "SQL that mends it",
                  count, buffer_text(&text), count > 5 ? "; …" : "");
    buffer_free(&text);
    return count == 0;
}

/* Also of a config that was changed later. */
static bool refuse_mixed(const struct config *config, struct error *err)
{
    const char *other = capture_mixed(config);
    return !other || error_set(err, ERROR_REFUSED,
                               "%s is captured otherwise than the tables before it - several captures in one "
                               "pipeline are not available in this version: give it a pipeline of its own",
                               other);
}

/* What is wrong with it, by the findings. malloc'ed. */
static char *why_unfit(const struct pairing *pairing, const struct table *table)
{
    struct buffer text = {0};
    size_t length = strlen(table->from);
    for (uint32_t i = 0; i < pairing->finding_count; i++) {
        const struct pair_finding *f = &pairing->findings[i];
        bool about = strncmp(f->object, table->from, length) == 0 &&
                     (f->object[length] == '\0' || f->object[length] == '.');
        if (f->level == PAIR_FAIL && about)
            buffer_printf(&text, "%s%s: %s%s%s", text.length ? "; " : "", f->object, f->text,
                          f->sql ? " - " : "", f->sql ? f->sql : "");
    }
    return buffer_detach(&text);
}

/* Tables that streamed once and no longer fit stay in the set: their changes have to be parked. */
static void keep_unfit(struct preparation *out, struct pairing *pairing)
{
    uint32_t fit = out->tables.count;
    out->unfit = mem_alloc((fit + pairing->unfit.count) * sizeof(*out->unfit));
    for (uint32_t i = 0; i < pairing->unfit.count; i++) {
        struct table *t = pairing->unfit.tables[i];
        out->unfit[fit + i] = why_unfit(pairing, t);
        t->state = TABLE_INIT;
        table_set_add(&out->tables, t);
    }
    free(pairing->unfit.tables);
    pairing->unfit = (struct table_set){0};
}

bool prepare_tables(const struct prepare *self, bool first, struct preparation *out, struct error *err)
{
    struct pairing pairing = {0};
    *out = (struct preparation){0};
    bool ok = self->legacy->session->pair(self->legacy, &self->notes, &pairing, err);
    ok = ok && (!first || refuse_findings(&pairing, err)) && refuse_mixed(self->notes.config, err);
    if (ok && pairing.tables.count == 0)
        ok = error_set(err, ERROR_REFUSED, "there is no table to move - see `tables` in %s",
                       self->notes.config->path);
    if (ok) {
        *out = (struct preparation){.tables = pairing.tables, .binary = pairing.binary, .first = first};
        pairing.tables = (struct table_set){0};
        keep_unfit(out, &pairing);
        out->reasons = mem_alloc(out->tables.count * sizeof(*out->reasons));
        out->parked = mem_alloc(out->tables.count * sizeof(*out->parked));
        out->quarantined = mem_alloc(out->tables.count * sizeof(*out->quarantined));
        out->forget = mem_alloc(out->tables.count);
    }
    pairing_free(&pairing);
    return ok;
}

/* Keyless tables in catchup need the snapshot under which they were copied. */
static bool read_snapshots(const struct prepare *self, struct preparation *p, struct error *err)
{
    const char *pipeline = self->notes.config->pipeline;
    PGresult *r =
        pg_query(self->notes.target,
                 "SELECT table_name, snapshot FROM crossfade.chunk WHERE pipeline = $1 AND state = 'done'"
                 " AND snapshot IS NOT NULL",
                 1, &pipeline, err);
    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        struct table *t = table_set_named(&p->tables, PQgetvalue(r, i, 0));
        if (t && t->key_count == 0 && t->state == TABLE_CATCHUP) {
            free(t->copied_snapshot);
            t->copied_snapshot = mem_strdup(PQgetvalue(r, i, 1));
        }
    }
    PQclear(r);
    return true;
}

bool prepare_waiting(const struct prepare *self, struct preparation *p, struct error *err)
{
    const char *pipeline = self->notes.config->pipeline;
    memset(p->parked, 0, p->tables.count * sizeof(*p->parked));
    memset(p->quarantined, 0, p->tables.count * sizeof(*p->quarantined));
    if (self->sink)
        return self->sink->ops->waiting(self->sink, &p->tables, p->parked, p->quarantined, err);
    PGresult *r = pg_query(self->notes.target,
                           "SELECT table_name, count(*), true FROM crossfade.parked WHERE pipeline = $1"
                           " GROUP BY 1 UNION ALL"
                           " SELECT table_name, count(*), false FROM crossfade.quarantine WHERE pipeline = $1"
                           " GROUP BY 1",
                           1, &pipeline, err);
    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        const struct table *t = table_set_named(&p->tables, PQgetvalue(r, i, 0));
        if (!t)
            continue;
        bool parked = strcmp(PQgetvalue(r, i, 2), "t") == 0;
        (parked ? p->parked : p->quarantined)[t->id] = strtoll(PQgetvalue(r, i, 1), NULL, 10);
    }
    PQclear(r);
    return true;
}

/* A table that no longer fits has drifted if it was ever copied, else it can't be copied. */
static bool mark_unfit(const struct prepare *self, struct preparation *p, struct error *err)
{
    for (uint32_t i = 0; i < p->tables.count; i++) {
        struct table *t = p->tables.tables[i];
        if (!p->unfit[i])
            continue;
        bool copied = t->state != TABLE_INIT && t->state != TABLE_BACKFILL && t->state != TABLE_STOPPED;
        t->state = copied ? TABLE_DRIFT : TABLE_STOPPED;
        free(p->reasons[i]);
        p->reasons[i] = mem_strdup(p->unfit[i]);
        struct log_fields fields = {.table = t->from};
        log_write(self->notes.log, LOG_LEVEL_WARNING, &fields, "%s: %s", table_state_name(t->state),
                  p->reasons[i]);
        if (!store_table_state_put(self->notes.target, self->notes.config->pipeline, self->notes.epoch, t,
                                   p->reasons[i], err))
            return false;
    }
    return true;
}

/* A table that is not among ours this time, though it was: the stream goes on without it, so whatever happens
 * to it now is missing when it comes back. */
static bool mark_left_out(const struct prepare *self, const struct preparation *p, struct error *err)
{
    struct buffer names = {0};
    char epoch[24];
    const char **from = mem_alloc((p->tables.count + 1) * sizeof(*from));
    for (uint32_t i = 0; i < p->tables.count; i++)
        from[i] = p->tables.tables[i]->from;
    sql_array(&names, from, p->tables.count);
    snprintf(epoch, sizeof(epoch), "%lld", (long long)self->notes.epoch);
    const char *params[] = {self->notes.config->pipeline, epoch, buffer_text(&names)};
    bool ok = pg_exec_params(
        self->notes.target,
        "WITH gone AS MATERIALIZED (SELECT object, substr(object, 7) AS name FROM crossfade.state"
        "  WHERE pipeline = $1 AND key = 'state' AND left(object, 6) = 'table:'"
        "    AND (value ->> 'state' <> 'init' OR EXISTS (SELECT FROM crossfade.chunk c"
        "         WHERE c.pipeline = $1 AND c.table_name = substr(object, 7)))"
        "    AND substr(object, 7) <> ALL ($3::text[]))"
        " SELECT crossfade.state_put($1, $2, object, 'needs_recopy', 'true'),"
        "        crossfade.state_put($1, $2, object, 'state', jsonb_build_object('state', 'stopped', "
        "'reason',"
        "          'it was left out for a while: changes are missing - crossfade recopy --table ' || name))"
        "   FROM gone",
        3, params, err);
    free(from);
    buffer_free(&names);
    return ok;
}

/* A state of its own tells a table apart that no state is stored of. */
static void take_as_equal(struct preparation *p)
{
    for (uint32_t i = 0; i < p->tables.count; i++)
        p->tables.tables[i]->state = TABLE_STREAMING;
}

bool prepare_equal(const struct prepare *self, struct preparation *p, struct error *err)
{
    for (uint32_t i = 0; i < p->tables.count; i++) {
        struct table *t = p->tables.tables[i];
        if (t->state == TABLE_INIT || t->state == TABLE_BACKFILL || t->state == TABLE_CATCHUP)
            return error_set(err, ERROR_REFUSED,
                             "%s is in state %s of the forward direction: the sides are not equal - let it "
                             "stream forward first",
                             t->from, table_state_name(t->state));
        if (t->state == TABLE_STREAMING &&
            !store_table_state_put(self->notes.target, self->notes.config->pipeline, self->notes.epoch, t,
                                   NULL, err))
            return false;
    }
    return true;
}

bool prepare_states(const struct prepare *self, struct preparation *p, struct error *err)
{
    if (self->sink)
        take_as_equal(p);
    return store_table_states_get(self->notes.target, self->notes.config->pipeline, &p->tables, p->reasons,
                                  err) &&
           mark_left_out(self, p, err) && mark_unfit(self, p, err) && read_snapshots(self, p, err) &&
           prepare_waiting(self, p, err);
}

void preparation_free(struct preparation *self)
{
    for (uint32_t i = 0; i < self->tables.count && self->reasons; i++)
        free(self->reasons[i]);
    for (uint32_t i = 0; i < self->tables.count && self->unfit; i++)
        free(self->unfit[i]);
    free(self->unfit);
    free(self->reasons);
    free(self->parked);
    free(self->quarantined);
    free(self->forget);
    table_set_free(&self->tables);
    *self = (struct preparation){0};
}
