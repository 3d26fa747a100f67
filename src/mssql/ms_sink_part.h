/* SPDX-License-Identifier: PostgreSQL
 *
 * What the parts of the SQL Server sink share: the session, the lane's standing, and per table how its values
 * are written and what must not simply be applied. Only ms_sink*.c include it.
 */
#ifndef MSSQL_MS_SINK_PART_H
#define MSSQL_MS_SINK_PART_H

#include "base/arena.h"
#include "model/held.h"
#include "mssql/ms_sink.h"

enum { MS_MASK_WORDS = 1664 / 64 };

/* A carried column, or one that only the sink has. */
struct ms_sink_column {
    char *name; /* quoted: [Name] */
    char *collation;
    struct ms_column_type type; /* its collation is ours */
    struct ms_carrier carrier;
    struct ms_codec codec;
    bool identity;
    bool skipped;   /* computed, rowversion: never written */
    bool code_page; /* may have no place for a character */
};

struct ms_sink_table {
    struct table *table;
    struct ms_sink_column *columns; /* by table column */
    struct ms_sink_column *extra;   /* writable ones that are not carried */
    uint16_t extra_count;
    char *name;   /* [schema].[name] */
    int identity; /* index of the carried identity column, -1: none */
    bool can_truncate;
    bool usable; /* columns are there */

    bool care;         /* some change of it may have to be parked or quarantined */
    bool parking;      /* changes of it wait in crossfade.parked: later ones go behind them */
    bool overflowed;   /* park_limit was passed: changes are dropped until the table is copied anew */
    bool purge_parked; /* with this transaction: the parked rows go, a tombstone comes */
    bool purge_held;   /* with this transaction: the quarantined rows go */
    bool draining;     /* the waiting changes are being applied: don't park */
    int64_t parked_bytes;
    struct held held;    /* quarantined keys */
    int64_t quarantined; /* rows */
};

/* A change that goes to crossfade.parked or crossfade.quarantine with this transaction. */
struct ms_waiting {
    struct ms_sink_table *table;
    bool held;             /* quarantine */
    size_t change, length; /* into waiting_bytes */
    size_t key, key_length;
    char position[POSITION_TEXT_SIZE];
    char op;
    char code[8];   /* empty: waits for an earlier one */
    char *key_text; /* malloc'ed */
    char *message;  /* malloc'ed */
};

/* What the server answered to one batch of ours. */
struct ms_answer {
    bool trouble;
    uint32_t at;        /* the tag that was being worked on */
    int state;          /* THROW's */
    bool gone;          /* the transaction was rolled back as a whole */
    struct error error; /* kind by the server's number */
};

/* States of our THROWs: what was not as expected. */
enum { MS_THROW_COUNT = 1, MS_THROW_CHARACTERS = 2, MS_THROW_GONE = 9 };

struct ms_stage;

struct ms_sink {
    struct sink base;
    struct ms_conn conn;
    struct arena *arena; /* of one apply */
    struct buffer sql;   /* the batch that is being written */
    struct buffer inner; /* its statement */
    struct buffer declared, assigned;
    struct buffer bytes; /* encoded values of one row */

    struct ms_stage *stages;
    size_t stage_count;
    uint32_t stage_number;

    struct ms_waiting *waiting;
    size_t waiting_count, waiting_capacity;
    struct buffer waiting_bytes;

    char *pipeline;
    char *stream;
    int lane;
    int64_t epoch;
    const struct table_set *tables;
    struct ms_sink_table *lane_tables; /* by table id */
    struct sink_events events;
    int64_t park_limit;
    int64_t quarantine_limit;
    size_t set_rows, bulk_rows;

    struct position applied; /* of the progress row, committed */
    char applied_text[POSITION_TEXT_SIZE];
    uint64_t commits;
    const struct ms_sink_table *identity_left; /* an INSERT failed that may have left IDENTITY_INSERT on */
    bool in_transaction;                       /* a source transaction is half applied */
};

static inline struct ms_sink_table *ms_sink_lane(struct ms_sink *s, const struct table *table)
{
    return &s->lane_tables[table->id];
}

/* Whose fault a failure is. */
enum ms_blame {
    MS_BLAME_ROW,   /* refused for its data */
    MS_BLAME_TABLE, /* this statement can't work: missing table, right, feature */
    MS_BLAME_NONE   /* link, resources, deadlock, fence: the whole lane */
};
enum ms_blame ms_sink_blame(const struct error *err);

/* From now on the changes of this table are parked; tells the owner. */
void ms_sink_stop_table(struct ms_sink *s, struct ms_sink_table *t, const char *reason);
void ms_sink_mark(struct ms_sink_table *t); /* recomputes t->care */

/* --- ms_sink_table.c --- */

/* How the table's values are written. False: they can't be; err says why (ERROR_TABLE). */
MUST_CHECK bool ms_sink_table_make(struct ms_sink_table *self, const struct ms_catalog *catalog,
                                   const struct ms_value_policy *policy, struct error *err);
void ms_sink_table_free(struct ms_sink_table *self);
/* Sets table->rank of all by the sink's foreign keys: parents before children. */
void ms_sink_table_rank(const struct table_set *tables, const struct ms_catalog *catalog);

/* --- ms_sink_literal.c --- */

/* An encoded value as a constant that sp_executesql takes for a parameter of ms_sink_parameter's type, or
 * that stands in a VALUES list. */
void ms_sink_literal(const struct ms_bound *bound, const char *bytes, struct buffer *out);
/* The type of a parameter for values of the column: int, nvarchar(4000) … */
void ms_sink_parameter(const struct ms_sink_column *column, struct buffer *out);
/* db-lib's type number of the column's encoded values. */
uint8_t ms_sink_wire(const struct ms_sink_column *column);

/* --- ms_sink_form.c --- */

/* ERROR_DATA, with the column's name in front. */
MUST_CHECK bool ms_sink_encode(const struct ms_sink_column *column, const struct value *value,
                               struct buffer *bytes, struct ms_bound *bound, struct error *err);
/* The expression by which [t].[column] = … finds a key: `value` is a parameter or [z].[k0]. */
void ms_sink_match(const struct ms_sink_column *column, const char *value, bool staged, struct buffer *out);

/* IF <the value would lose characters> THROW …; appended where the column has a code page. `from`: "#t AS [z]
 * WHERE …" for a staged column, "" for a parameter. */
void ms_sink_put_misfit(const struct ms_sink_column *column, const char *value, const char *from,
                        struct buffer *out);
bool ms_sink_has_other_than_ascii(const struct value *v);

/* One change as statements, appended to s->sql: an EXEC of sp_executesql that THROWs when its row count is
 * not one. ERROR_DATA: a value can't be written, nothing is appended. */
MUST_CHECK bool ms_sink_put_insert(struct ms_sink *s, const struct ms_sink_table *t, const struct value *row,
                                   struct error *err);
/* `row` NULL: only looks whether the row is there. `by` finds the row: by key, or all of it without one. */
MUST_CHECK bool ms_sink_put_update(struct ms_sink *s, const struct ms_sink_table *t, const struct value *by,
                                   const struct value *row, struct error *err);
MUST_CHECK bool ms_sink_put_delete(struct ms_sink *s, const struct ms_sink_table *t, const struct value *by,
                                   struct error *err);
/* An UPDATE whose identity column gets another value: the row is deleted and inserted again, with what it has
 * in columns that `row` lacks. */
MUST_CHECK bool ms_sink_put_rewrite(struct ms_sink *s, const struct ms_sink_table *t, const struct value *by,
                                    const struct value *row, struct error *err);
void ms_sink_put_truncate(struct ms_sink *s, const struct ms_sink_table *t);
/* The change as it came. Not for TRUNCATE. */
MUST_CHECK bool ms_sink_put_change(struct ms_sink *s, const struct change *c, struct error *err);
/* Can the row be found at all? A keyless table needs the whole old row. */
bool ms_sink_is_possible(const struct change *c);
bool ms_sink_is_whole(const struct table *table, const struct value *row);
/* The new row with unchanged large values filled in from the old one where that has them. */
const struct value *ms_sink_row(struct ms_sink *s, const struct change *c);

/* --- ms_sink_exchange.c --- */

/* Begins the text of a batch: what follows runs under TRY. `open`: in a transaction that is there already. */
void ms_sink_batch(struct ms_sink *s, bool open);
/* What comes next belongs to this tag: a trouble's answer names it. */
void ms_sink_tag(struct ms_sink *s, uint32_t tag);
/* The progress row moves (to where it is: only the fence). */
void ms_sink_put_advance(struct ms_sink *s, const char *to, int64_t time_us);
/* Where a failure rolls back to. */
enum ms_rollback { MS_ROLLBACK_ALL, MS_ROLLBACK_PIECE, MS_ROLLBACK_CHANGE };
/* Ends the text and runs it. False: the lane is dead; true: *out tells. */
MUST_CHECK bool ms_sink_run(struct ms_sink *s, enum ms_rollback rollback, struct ms_answer *out,
                            struct error *err);

/* --- ms_sink_stage.c --- */

struct net_step;
/* The step's rows will go into a stage; *number is what they have in [s]. False: there are too many forms. */
MUST_CHECK bool ms_sink_stage_add(struct ms_sink *s, const struct net_step *step, struct ms_stage **out,
                                  uint32_t *number);
/* Makes, empties and fills the temp tables of what was added. ERROR_DATA: a value can't be written. */
MUST_CHECK bool ms_sink_stage_load(struct ms_sink *s, struct error *err);
/* The set-based statement over a staged step, appended to s->sql. */
void ms_sink_stage_put(struct ms_sink *s, const struct ms_stage *stage, uint32_t number, size_t rows);
void ms_sink_stage_reset(struct ms_sink *s); /* before a batch: nothing is added */
void ms_sink_stage_free(struct ms_sink *s);

/* --- ms_sink_wait.c --- */

void ms_sink_park(struct ms_sink *s, const struct batch *batch, size_t index);
/* why NULL: it waits for an earlier change of its key. */
void ms_sink_hold(struct ms_sink *s, const struct batch *batch, size_t index, const struct error *why);
void ms_sink_overflow(struct ms_sink *s, struct ms_sink_table *t);
void ms_sink_drop_held(struct ms_sink *s, struct ms_sink_table *t);
void ms_sink_wait_rewind(struct ms_sink *s, size_t count);
void ms_sink_wait_clear(struct ms_sink *s);
/* Appends the INSERTs to s->sql. */
void ms_sink_wait_put(struct ms_sink *s);

/* --- ms_sink_sift.c --- */

enum ms_fate {
    MS_FATE_APPLY = 0,
    MS_FATE_PARK, /* is in s->waiting now */
    MS_FATE_HOLD  /* quarantined, is in s->waiting now */
};
enum ms_fate ms_sink_sift(struct ms_sink *s, const struct batch *batch, size_t index);
/* Quarantines a refused change, unless that can't be: then the table stops. */
enum ms_fate ms_sink_refuse(struct ms_sink *s, const struct batch *batch, size_t index,
                            const struct error *why);
enum ms_fate ms_sink_stop(struct ms_sink *s, const struct batch *batch, size_t index,
                          const struct error *why);
void ms_sink_add_keys(struct ms_sink *s, const struct change *change);
bool ms_sink_is_held(struct ms_sink *s, const struct change *change);
void ms_sink_forget_keys(struct ms_sink_table *t);

/* --- ms_sink_apply.c --- */

MUST_CHECK bool ms_sink_apply(struct ms_sink *s, const struct batch *batch, struct sink_counts *counts,
                              struct sink_result *out, struct error *err);

/* --- ms_sink_replay.c --- */

/* Applies the batch up to and with its COMMIT; the failed attempt has been rolled back. */
MUST_CHECK bool ms_sink_replay(struct ms_sink *s, const struct batch *batch, unsigned char *fates,
                               struct sink_counts *counts, struct error *err);
/* Begins the transaction (unless one is open), moves the position where the batch is complete. */
MUST_CHECK bool ms_sink_replay_begin(struct ms_sink *s, const struct batch *batch, struct error *err);
/* Inside a transaction that the caller begins with ms_sink_replay_begin and ends. *again: the transaction is
 * gone; what made it go is remembered and the caller begins anew. */
struct ms_replay {
    struct ms_sink *s;
    const struct batch *batch;
    unsigned char *fates;
    struct sink_counts *counts;
    struct error **bad; /* by change, zeroed by the caller: why it was refused, or ended a transaction */
    bool again;
};
MUST_CHECK bool ms_sink_replay_changes(struct ms_replay *r, struct error *err);

/* --- ms_sink_stored.c --- */

MUST_CHECK bool ms_sink_load_waiting(struct ms_sink *s, struct error *err);

#endif
