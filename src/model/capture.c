/* SPDX-License-Identifier: PostgreSQL */
#include "model/capture.h"

#include <assert.h>

#include "base/buffer.h"

static const struct capture_facts facts[CAPTURE_KINDS] = {
    [CAPTURE_LOGICAL] = {.name = "logical",
                         .legacies = "PostgreSQL",
                         .consistent = "yes, whole transactions",
                         .order = "commit order, and the order of changes within",
                         .deletes = "from the log",
                         .truncate = "from the log",
                         .large = "not sent, and left as they are",
                         .keyless = "inserts; with REPLICA IDENTITY FULL also updates and deletes",
                         .marking = "replication origins of our own",
                         .reverse = true,
                         .blind = "DDL, sequences, large objects"},
    [CAPTURE_TIMESTAMP] =
        {.name = "timestamp",
         .legacies = "SQL Server, PostgreSQL",
         .consistent = "no, rows as they are at a poll",
         .order = "none within a poll, and only the last state of a row",
         .deletes = "by soft_delete at once, else by key sweeps",
         .truncate = "as deletes: more than max_deletes stops the table",
         .large = "sent whole with their row",
         .keyless = "refused",
         .marking = "none",
         .reverse = false,
         .blind = "a row whose time was not set, or lies further back than the overlap when its "
                  "transaction commits (late clocks, long transactions, restored rows); states between two "
                  "polls; a deleted row until its sweep; unique values that change places"},
    [CAPTURE_SNAPSHOT] = {.name = "snapshot",
                          .legacies = "SQL Server, PostgreSQL",
                          .consistent = "where all tables are read under one snapshot, as of that; else no",
                          .order = "none within a poll, and only the last state of a row",
                          .deletes = "by comparison, each looked up by key once more",
                          .truncate = "as deletes: more than max_deletes stops the table",
                          .large = "read and compared whole in each poll",
                          .keyless = "refused",
                          .marking = "none",
                          .reverse = false,
                          .blind = "states between two polls; unique values that change places"},
    [CAPTURE_CDC] = {.name = "cdc",
                     .legacies = "SQL Server",
                     .consistent = "yes, whole transactions",
                     .order = "commit order, and the order of changes within",
                     .deletes = "from change tables",
                     .truncate = "refused by the server on captured tables",
                     .large = "not sent, and left as they are",
                     .keyless = "yes, unless it has large columns",
                     .marking = "our progress row, captured with the rest of a transaction",
                     .reverse = true,
                     .blind = "partitions switched in or out; computed, text, ntext and image columns; what "
                              "is older than the retention"},
    [CAPTURE_CHANGE_TRACKING] =
        {.name = "change_tracking",
         .legacies = "SQL Server",
         .consistent =
             "with SNAPSHOT isolation a poll is one state of the database; else tables may disagree "
             "until the next one",
         .order = "none within a poll, and only the last state of a row",
         .deletes = "from change tracking",
         .truncate = "seen as lost history: the table stops, and is copied anew",
         .large = "sent whole with their row",
         .keyless = "refused: a primary key is needed",
         .marking = "none",
         .reverse = false,
         .blind = "states between two polls; what is older than the retention; unique values that change "
                  "places"},
    [CAPTURE_ROWVERSION] =
        {.name = "rowversion",
         .legacies = "SQL Server",
         .consistent = "no, rows as they are at a poll",
         .order = "none within a poll, and only the last state of a row",
         .deletes = "by key sweeps",
         .truncate = "as deletes: more than max_deletes stops the table",
         .large = "sent whole with their row",
         .keyless = "refused",
         .marking = "none",
         .reverse = false,
         .blind =
             "states between two polls; a deleted row until its sweep; everything behind the oldest open "
             "transaction until it ends; unique values that change places"},
};

const struct capture_facts *capture_facts(enum capture_kind kind)
{
    assert((int)kind >= 0 && (int)kind < CAPTURE_KINDS);
    return &facts[kind];
}

enum capture_kind capture_of(const struct config *config)
{
    return !config->all_tables && config->table_count > 0 ? config->tables[0].capture
                                                          : config->legacy_capture;
}

const char *capture_mixed(const struct config *config)
{
    for (int i = 0; i < config->table_count; i++) {
        if (config->tables[i].capture != capture_of(config))
            return config->tables[i].from;
    }
    return NULL;
}

/* mdoc wants a line a sentence, and none that begins with a dot or a quote. */
static void item(struct buffer *out, const char *name, const char *text)
{
    buffer_printf(out, ".It %s\n%s\n", name, text);
}

void capture_describe(struct buffer *out)
{
    for (int i = 0; i < CAPTURE_KINDS; i++) {
        const struct capture_facts *f = &facts[i];
        buffer_printf(out, ".Ss %s\n.Bl -tag -width Ds\n", f->name);
        item(out, "Legacy", f->legacies);
        item(out, "Transaction-consistent", f->consistent);
        item(out, "Order", f->order);
        item(out, "Deletes", f->deletes);
        item(out, "TRUNCATE", f->truncate);
        item(out, "Unchanged large values", f->large);
        item(out, "Tables without a key", f->keyless);
        item(out, "Marking of our own writes", f->marking);
        item(out, "Allowed in reverse", f->reverse ? "yes" : "no");
        item(out, "Blind spots", f->blind);
        buffer_puts(out, ".El\n");
    }
}

void capture_say(enum capture_kind kind, struct buffer *out)
{
    const struct capture_facts *f = capture_facts(kind);
    buffer_printf(
        out,
        "changes are captured by %s - transaction-consistent: %s; order: %s; deletes: %s; TRUNCATE: "
        "%s; unchanged large values: %s; keyless: %s; own writes: %s; in reverse: %s; blind to: %s",
        f->name, f->consistent, f->order, f->deletes, f->truncate, f->large, f->keyless, f->marking,
        f->reverse ? "allowed" : "not allowed", f->blind);
}
