/* SPDX-License-Identifier: PostgreSQL
 *
 * The CDC source against a change history in memory: instead of a server, the functions of mssql/conn.h below
 * answer its statements. So clean-up, a capture job, restores and deploy tools can strike between any two
 * statements.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mssql/cdc_lsn.h"
#include "mssql/cdc_merge.h"
#include "mssql/cdc_source.h"

/* --- the history --- */

enum { TABLES = 3, MAX_ROWS = 8000, PAGE = 1000 };

struct row {
    uint64_t lsn;
    int command; /* -1: NULL */
    uint64_t seqval;
    int operation;
    unsigned char mask;
    int id;
    const char *v;
    const char *big; /* NULL: NULL */
};

struct instance {
    int object_id;
    char name[40];
    uint64_t start;
    bool there, zero;
    bool without_v; /* made before the column was added */
    struct row *rows;
    size_t count;
};

static struct {
    struct instance instances[TABLES][2];
    uint64_t max;
    uint64_t commits[MAX_ROWS];
    size_t commit_count;
    uint64_t own[100];
    size_t own_count;
    struct {
        int source;
        uint64_t lsn;
    } ddl[4];
    size_t ddl_count;
    bool extra_column;
    bool cdc_off;
    int statements, pages;
    void (*before_watch)(void);
    void (*before_page)(void);
} db;

static void reset(void)
{
    for (int i = 0; i < TABLES; i++) {
        for (int k = 0; k < 2; k++)
            free(db.instances[i][k].rows);
    }
    memset(&db, 0, sizeof(db));
    for (int i = 0; i < TABLES; i++) {
        struct instance *first = &db.instances[i][0];
        first->object_id = 1000 + i * 10;
        snprintf(first->name, sizeof(first->name), "dbo_t%d", i);
        first->start = 1;
        first->there = true;
    }
}

static void commit(uint64_t lsn)
{
    db.commits[db.commit_count++] = lsn;
    db.max = lsn;
}

static void add(struct instance *n, struct row row)
{
    n->rows = mem_grow(n->rows, n->count + 1, sizeof(row));
    n->rows[n->count++] = row;
}

static void change(int table, uint64_t lsn, int command, uint64_t seqval, int operation, int id,
                   const char *v)
{
    add(&db.instances[table][0], (struct row){lsn, command, seqval, operation, 0x07, id, v, "large"});
}

/* --- the server --- */

struct cell {
    enum { NIL, INT, TEXT, BYTES } kind;
    int64_t number;
    const char *text;
    unsigned char bytes[16];
    uint32_t length;
};

enum { WIDTH = 32 };

static struct {
    struct cell (*rows)[WIDTH];
    size_t count, capacity, at;
    char *batch; /* statements left */
    bool in_set;
    int watch_set; /* 1: the second set of a watch is next */
    int bounds_set;
    uint64_t from, to;
    bool own_wanted;
} now;

static struct cell *new_row(void)
{
    if (now.count == now.capacity) {
        now.capacity = now.capacity ? now.capacity * 2 : 64;
        now.rows = mem_grow(now.rows, now.capacity, sizeof(*now.rows));
    }
    memset(now.rows[now.count], 0, sizeof(*now.rows));
    return now.rows[now.count++];
}

static struct cell number(int64_t n)
{
    return (struct cell){.kind = INT, .number = n};
}

static struct cell text(const char *s)
{
    return s ? (struct cell){.kind = TEXT, .text = s} : (struct cell){.kind = NIL};
}

static struct cell lsn_cell(uint64_t n)
{
    struct cell c = {.kind = BYTES, .length = CDC_LSN_SIZE};
    cdc_lsn_bytes((struct position){.kind = POSITION_CDC, .low = n}, c.bytes);
    return c;
}

static uint64_t hex_after(const char *sql, const char *name)
{
    const char *at = strstr(sql, name);
    return at ? strtoull(at + strlen(name) + 2 + 4, NULL, 16) : 0; /* behind 0x and the two high bytes */
}

static int int_after(const char *sql, const char *name)
{
    const char *at = strstr(sql, name);
    return at ? atoi(at + strlen(name)) : 0;
}

static bool is_own(uint64_t lsn)
{
    for (size_t i = 0; i < db.own_count; i++) {
        if (db.own[i] == lsn)
            return true;
    }
    return false;
}

static struct cdc_key key_of(const struct row *r)
{
    return (struct cdc_key){.lsn = {.kind = POSITION_CDC, .low = r->lsn},
                            .seqval = {.kind = POSITION_CDC, .low = r->seqval},
                            .command = r->command < 0 ? 0 : r->command,
                            .command_null = r->command < 0,
                            .operation = (uint8_t)r->operation};
}

static int by_key(const void *a, const void *b)
{
    struct cdc_key x = key_of(a), y = key_of(b);
    return cdc_key_compare(&x, &y);
}

static struct instance *find_instance(const char *sql)
{
    for (int i = 0; i < TABLES; i++) {
        for (int k = 0; k < 2; k++) {
            char name[60];
            snprintf(name, sizeof(name), "[cdc].[%s_CT]", db.instances[i][k].name);
            if (db.instances[i][k].there && strstr(sql, name))
                return &db.instances[i][k];
        }
    }
    fail_msg("no change table in %s", sql);
    return NULL;
}

static void answer_page(const char *sql)
{
    struct instance *n = find_instance(sql);
    bool paged = strstr(sql, "@operation = ") != NULL;
    uint64_t from = hex_after(sql, "@from = "), to = hex_after(sql, "@to = ");
    struct row last = {.lsn = from,
                       .command = strstr(sql, "IS NULL") ? -1 : int_after(sql, "@command = "),
                       .seqval = hex_after(sql, "@seqval = "),
                       .operation = int_after(sql, "@operation = ")};
    if (db.before_page)
        db.before_page();
    db.pages++;
    if (n->count)
        qsort(n->rows, n->count, sizeof(*n->rows), by_key);
    for (size_t i = 0; i < n->count && now.count < PAGE; i++) {
        const struct row *r = &n->rows[i];
        bool behind = paged ? by_key(r, &last) > 0 : r->lsn > from;
        if (!behind || r->lsn > to || (strstr(sql, "NOT EXISTS") && is_own(r->lsn)))
            continue;
        struct cell *c = new_row();
        c[0] = lsn_cell(r->lsn);
        c[1] = r->command < 0 ? text(NULL) : number(r->command);
        c[2] = lsn_cell(r->seqval);
        c[3] = number(r->operation);
        c[4] = (struct cell){.kind = BYTES, .bytes = {r->mask}, .length = 1};
        c[5] = number(r->id);
        c[6] = text(r->v);
        c[7] = text(r->big);
    }
}

static void answer_watch(void)
{
    if (now.watch_set == 0) {
        if (db.before_watch)
            db.before_watch();
        for (int i = 0; i < TABLES; i++) {
            for (int k = 0; k < 2; k++) {
                const struct instance *n = &db.instances[i][k];
                if (!n->there)
                    continue;
                struct cell *c = new_row();
                c[0] = number(n->object_id);
                c[1] = number(100 + i);
                c[2] = lsn_cell(n->zero ? 0 : n->start);
            }
        }
        return;
    }
    for (size_t i = 0; i < db.ddl_count; i++) {
        if (db.ddl[i].lsn <= now.from || db.ddl[i].lsn > now.to)
            continue;
        struct cell *c = new_row();
        c[0] = number(db.ddl[i].source);
        c[1] = lsn_cell(db.ddl[i].lsn);
    }
}

static void answer_bounds(void)
{
    if (now.bounds_set == 0) {
        struct cell *c = new_row();
        c[0] = lsn_cell(db.max);
        c[1] = number(1000);
        c[2] = number(5);
        c[3] = number(60);
        if (db.max == 0)
            now.count = 0;
    } else if (now.bounds_set == 1) {
        for (size_t i = 0; i < db.commit_count && now.count < 4000; i++) {
            if (db.commits[i] <= now.from)
                continue;
            struct cell *c = new_row();
            c[0] = lsn_cell(db.commits[i]);
            c[1] = number(3600000 + (int64_t)db.commits[i]); /* local time: an hour east */
        }
    } else {
        for (size_t i = 0; i < db.own_count; i++) {
            if (db.own[i] > now.from)
                new_row()[0] = lsn_cell(db.own[i]);
        }
    }
}

/* The next result set of the batch; false: it is over. */
static bool advance_set(void)
{
    now.count = now.at = 0;
    if (now.watch_set == 1) {
        answer_watch();
        now.watch_set = 0;
        return true;
    }
    if (now.bounds_set > 0 && now.bounds_set < (now.own_wanted ? 3 : 2)) {
        answer_bounds();
        now.bounds_set++;
        return true;
    }
    now.bounds_set = 0;
    char *at = now.batch ? strstr(now.batch, "EXEC sys.sp_executesql") : NULL;
    if (!at)
        return false;
    char *end = strstr(at + 4, "EXEC sys.sp_executesql");
    char *one = end ? mem_strndup(at, (size_t)(end - at)) : mem_strdup(at);
    now.batch = end;
    now.from = hex_after(one, "@from = ");
    now.to = hex_after(one, "@to = ");
    if (strstr(one, "lsn_time_mapping")) {
        now.own_wanted = strstr(one, "[pipeline]") != NULL;
        answer_bounds();
        now.bounds_set = 1;
    } else if (strstr(one, "cdc.change_tables")) {
        answer_watch();
        now.watch_set = 1;
    } else {
        answer_page(one);
    }
    free(one);
    return true;
}

static char *batch_copy;

bool ms_query_start(struct ms_conn *self, const char *sql, struct error *err)
{
    (void)err;
    db.statements++;
    free(batch_copy);
    now.batch = batch_copy = mem_strdup(sql);
    now.watch_set = now.bounds_set = 0;
    now.in_set = advance_set();
    self->columns = WIDTH;
    return true;
}

enum ms_next ms_query_next(struct ms_conn *self, struct error *err)
{
    (void)self;
    (void)err;
    if (!now.in_set || now.at == now.count)
        return MS_END;
    now.at++;
    return MS_ROW;
}

enum ms_next ms_query_next_set(struct ms_conn *self, struct error *err)
{
    (void)self;
    (void)err;
    now.in_set = advance_set();
    return now.in_set ? MS_ROW : MS_END;
}

void ms_query_stop(struct ms_conn *self)
{
    (void)self;
    now.in_set = false;
}

static struct cell *cell(int column)
{
    return &now.rows[now.at - 1][column];
}

struct ms_datum ms_column(struct ms_conn *self, int column)
{
    static int32_t four[WIDTH];
    struct cell *c = cell(column);
    (void)self;
    switch (c->kind) {
    case NIL:
        break;
    case INT:
        four[column] = (int32_t)c->number;
        return (struct ms_datum){&four[column], 4, MS_WIRE_INT4};
    case TEXT:
        return (struct ms_datum){c->text, (uint32_t)strlen(c->text), MS_WIRE_CHAR};
    case BYTES:
        return (struct ms_datum){c->bytes, c->length, MS_WIRE_BINARY};
    }
    return (struct ms_datum){.data = NULL};
}

int64_t ms_column_int(struct ms_conn *self, int column)
{
    (void)self;
    return cell(column)->number;
}

bool ms_column_text(struct ms_conn *self, int column, struct buffer *out)
{
    struct cell *c = cell(column);
    (void)self;
    if (c->kind == TEXT)
        buffer_puts(out, c->text);
    else if (c->kind == INT)
        buffer_printf(out, "%lld", (long long)c->number);
    return c->kind != NIL;
}

static void answer_tables(void)
{
    static const char *const names[TABLES] = {"t0", "t1", "t2"};
    for (int i = 0; i < TABLES; i++) {
        struct cell *c = new_row();
        c[0] = number(100 + i);
        c[1] = text("dbo");
        c[2] = text(names[i]);
        c[7] = c[11] = number(1);
    }
}

static void answer_columns(void)
{
    static const char *const names[] = {"id", "v", "big", "added"};
    static const int types[] = {56, 231, 231, 56}, lengths[] = {4, 40, -1, 4};
    static const char *const type_names[] = {"int", "nvarchar", "nvarchar", "int"};
    for (int i = 0; i < TABLES; i++) {
        for (int k = 0; k < (db.extra_column && i == 0 ? 4 : 3); k++) {
            struct cell *c = new_row();
            c[0] = number(100 + i);
            c[1] = number(k + 1);
            c[2] = text(names[k]);
            c[3] = number(types[k]);
            c[4] = text(type_names[k]);
            c[5] = number(lengths[k]);
            c[8] = text(types[k] == 231 ? "Latin1_General_CI_AS" : NULL);
        }
    }
}

static void answer_captures(bool columns)
{
    for (int i = 0; i < TABLES; i++) {
        for (int k = 0; k < 2; k++) {
            const struct instance *n = &db.instances[i][k];
            static char tables[TABLES][2][60];
            snprintf(tables[i][k], sizeof(tables[i][k]), "%s_CT", n->name);
            for (int ordinal = 1; n->there && columns && ordinal <= 3; ordinal++) {
                static const char *const names[] = {"id", "v", "big"};
                struct cell *c = new_row();
                c[0] = number(n->object_id);
                c[1] = number(ordinal);
                c[2] = number(n->without_v && ordinal == 2 ? 77 : ordinal);
                c[3] = text(names[ordinal - 1]);
            }
            if (!n->there || columns)
                continue;
            struct cell *c = new_row();
            c[0] = number(n->object_id);
            c[1] = number(100 + i);
            c[2] = text(n->name);
            c[3] = lsn_cell(n->start);
            c[4] = lsn_cell(n->zero ? 0 : n->start);
            c[5] = text("2026-01-01T00:00:00");
            c[8] = text(tables[i][k]);
            c[9] = number(5);
        }
    }
}

bool ms_query(struct ms_conn *self, const char *sql, ms_row_fn row, void *context, struct error *err)
{
    now.count = now.at = 0;
    now.in_set = true;
    if (strstr(sql, "FROM sys.databases")) {
        struct cell *c = new_row();
        c[1] = text("school");
        c[6] = number(!db.cdc_off);
    } else if (strstr(sql, "FROM sys.tables AS t JOIN sys.schemas")) {
        answer_tables();
    } else if (strstr(sql, "FROM sys.columns")) {
        answer_columns();
    } else if (strstr(sql, "FROM cdc.change_tables")) {
        answer_captures(false);
    } else if (strstr(sql, "FROM cdc.captured_columns")) {
        answer_captures(true);
    }
    while (ms_query_next(self, err) == MS_ROW) {
        if (!row(context, self, err))
            return false;
    }
    return true;
}

bool ms_query_one(struct ms_conn *self, const char *sql, char *out, size_t size, bool *is_null,
                  struct error *err)
{
    (void)self;
    (void)err;
    assert_non_null(strstr(sql, "crossfade.progress"));
    snprintf(out, size, "%s", db.own_count ? "crossfade_progress_CT" : "");
    if (is_null)
        *is_null = db.own_count == 0;
    return true;
}

bool ms_conn_open(struct ms_conn *self, const struct ms_conn_options *options, struct error *err)
{
    (void)options;
    (void)err;
    *self = (struct ms_conn){.version = 15, .socket = -1};
    snprintf(self->database, sizeof(self->database), "school");
    return true;
}

void ms_conn_close(struct ms_conn *self)
{
    (void)self;
}

bool ms_conn_alive(const struct ms_conn *self)
{
    (void)self;
    return true;
}

void ms_conn_cancel(struct ms_conn *self)
{
    (void)self;
}

/* --- reading it --- */

static struct table_set tables;

static void make_tables(int count, bool keyed)
{
    static const struct {
        const char *name;
        uint32_t oid;
    } columns[] = {{"id", MS_OID_INT4}, {"v", MS_OID_TEXT}, {"big", MS_OID_TEXT}};
    for (int i = 0; i < count; i++) {
        struct table *t = table_new();
        char name[16];
        snprintf(name, sizeof(name), "t%d", i);
        t->from_schema = mem_strdup("dbo");
        t->from_name = mem_strdup(name);
        t->from = mem_strdup(name);
        t->column_count = keyed ? 3 : 2;
        t->columns = mem_alloc(3 * sizeof(*t->columns));
        for (int k = 0; k < t->column_count; k++) {
            t->columns[k].source = mem_strdup(columns[k].name);
            t->columns[k].source_type.oid = columns[k].oid;
        }
        t->key = mem_alloc(sizeof(*t->key));
        t->key_count = keyed ? 1 : 0;
        if (!keyed) {
            t->ignored = mem_alloc(sizeof(char *));
            t->ignored[0] = mem_strdup("big");
            t->ignored_count = 1;
        }
        table_set_add(&tables, t);
    }
}

static struct source *open_at(uint64_t start, size_t memory, struct error *err)
{
    struct cdc_source_options o = {.pipeline = "p",
                                   .start = {.kind = POSITION_CDC, .low = start},
                                   .tables = &tables,
                                   .poll_interval_ms = 5,
                                   .memory = memory};
    struct source *s = NULL;
    return cdc_source_open(&o, &s, err) ? s : NULL;
}

static struct source *need_source(uint64_t start)
{
    struct error err;
    struct source *s = open_at(start, 0, &err);
    if (!s)
        fail_msg("%s", err.text);
    return s;
}

static void put_value(struct buffer *out, const struct value *v)
{
    if (v->kind == VALUE_ABSENT)
        buffer_puts(out, "?");
    else if (v->kind == VALUE_NULL)
        buffer_puts(out, "-");
    else
        buffer_put(out, v->data, v->length);
}

static void put_change(struct buffer *out, const struct change *c)
{
    static const char *const names[] = {"I", "U", "D", "T"};
    buffer_printf(out, " %s%s(", c->table->from, names[c->op]);
    for (int part = 0; part < 2; part++) {
        const struct value *row = part ? c->row : c->old;
        buffer_puts(out, part ? "|" : "");
        for (uint16_t i = 0; row && i < c->table->column_count; i++) {
            if (i == 0 && row[0].kind == VALUE_BINARY)
                buffer_printf(out, "%d", row[0].data[3]);
            else if (i)
                put_value(out, &row[i]);
            buffer_puts(out, i + 1 < c->table->column_count ? "," : "");
        }
    }
    buffer_puts(out, ")");
}

/* Events as text until nothing more comes: "[5 t0I(|1,a,large)]@5". */
static bool drain(struct source *s, struct buffer *out, struct error *err)
{
    struct source_event e;
    for (;;) {
        if (!s->ops->next(s, clock_ms(), &e, err))
            return false;
        switch (e.kind) {
        case SOURCE_NOTHING:
            if (e.position.low >= db.max)
                return true;
            break;
        case SOURCE_BEGIN:
            buffer_printf(out, "[%llu%s", (unsigned long long)e.transaction.end.low,
                          e.transaction.own ? " own" : "");
            assert_int_equal(e.transaction.commit_time_us, (int64_t)e.transaction.end.low * 1000);
            break;
        case SOURCE_CHANGE:
            put_change(out, &e.change);
            break;
        case SOURCE_COMMIT:
            buffer_puts(out, "]");
            break;
        case SOURCE_DRIFT:
            assert_true(e.recopy);
            buffer_printf(out, "{%s}", e.table->from);
            break;
        }
    }
}

static void check_events(struct source *s, const char *expected)
{
    struct buffer out = {0};
    struct error err;
    if (!drain(s, &out, &err))
        fail_msg("%s", err.text);
    assert_string_equal(buffer_text(&out), expected);
    buffer_free(&out);
}

static void check_failure(struct source *s, enum error_kind kind, const char *part)
{
    struct buffer out = {0};
    struct error err;
    assert_false(drain(s, &out, &err));
    assert_int_equal(err.kind, kind);
    if (!strstr(err.text, part))
        fail_msg("%s", err.text);
    buffer_free(&out);
}

static int begin_test(void **state)
{
    (void)state;
    reset();
    make_tables(2, true);
    return 0;
}

static int end_test(void **state)
{
    (void)state;
    table_set_free(&tables);
    memset(&tables, 0, sizeof(tables));
    reset();
    return 0;
}

/* --- tests --- */

static void test_operations_become_changes(void **state)
{
    (void)state;
    change(0, 5, 1, 1, CDC_INSERT, 1, "a");
    add(&db.instances[0][0], (struct row){5, 2, 2, CDC_UPDATE_OLD, 0x02, 1, "a", NULL});
    add(&db.instances[0][0], (struct row){5, 2, 2, CDC_UPDATE_NEW, 0x02, 1, "b", NULL});
    add(&db.instances[0][0], (struct row){6, 1, 3, CDC_UPDATE_OLD, 0x05, 1, "b", "large"});
    add(&db.instances[0][0], (struct row){6, 1, 3, CDC_UPDATE_NEW, 0x05, 2, "b", NULL});
    change(0, 7, 1, 4, CDC_DELETE, 2, "b");
    commit(5);
    commit(6);
    commit(7);
    struct source *s = need_source(4);
    check_events(s, "[5 t0I(|1,a,large) t0U(|1,b,?)][6 t0U(1,?,?|2,b,-)][7 t0D(2,?,?|)]");
    s->ops->free(s);
}

/* Hazard 10: SQL Server changes out of order across tables. */
static void test_transaction_over_two_tables_in_command_order(void **state)
{
    (void)state;
    change(1, 5, 2, 1, CDC_INSERT, 2, "b");
    change(0, 5, 1, 9, CDC_INSERT, 1, "a");
    change(0, 5, 3, 2, CDC_INSERT, 3, "c");
    change(1, 6, 1, 1, CDC_DELETE, 2, "b");
    commit(5);
    commit(6);
    struct source *s = need_source(0);
    check_events(s, "[5 t0I(|1,a,large) t1I(|2,b,large) t0I(|3,c,large)][6 t1D(2,?,?|)]");
    s->ops->free(s);
}

/* Hazard 2: several events share one LSN. A reader that stops inside of a transaction gets it whole again. */
static void test_resumes_behind_a_commit_only(void **state)
{
    (void)state;
    for (int i = 1; i <= 3; i++)
        change(0, 5, i, 1, CDC_INSERT, i, "a");
    change(0, 6, 1, 1, CDC_INSERT, 4, "a");
    commit(5);
    commit(6);
    struct source *s = need_source(4);
    struct source_event e;
    struct error err;
    for (int i = 0; i < 3; i++)
        assert_true(s->ops->next(s, clock_ms() + 1000, &e, &err));
    assert_int_equal(e.kind, SOURCE_CHANGE);
    s->ops->free(s);
    s = need_source(4);
    check_events(s, "[5 t0I(|1,a,large) t0I(|2,a,large) t0I(|3,a,large)][6 t0I(|4,a,large)]");
    s->ops->free(s);
    s = need_source(5);
    check_events(s, "[6 t0I(|4,a,large)]");
    s->ops->free(s);
}

static uint64_t count_changes(struct source *s, uint64_t *commits)
{
    struct source_event e;
    struct error err;
    uint64_t n = 0;
    int last = -1;
    do {
        if (!s->ops->next(s, clock_ms(), &e, &err))
            fail_msg("%s", err.text);
        n += e.kind == SOURCE_CHANGE;
        *commits += e.kind == SOURCE_COMMIT;
        if (e.kind == SOURCE_CHANGE) {
            uint32_t id = 0;
            const struct value *row = e.change.row ? e.change.row : e.change.old;
            for (int i = 0; i < 4; i++)
                id = id << 8 | (unsigned char)row[0].data[i];
            assert_true((int)id > last);
            last = (int)id;
        }
    } while (e.kind != SOURCE_NOTHING || e.position.low < db.max);
    return n;
}

/* Hazard 16: one huge transaction. Updates, so that pages end between old and new rows. */
static void test_large_transaction_in_pages(void **state)
{
    (void)state;
    enum { COUNT = 2501 };
    uint64_t commits = 0;
    for (int i = 0; i < COUNT; i++) {
        int table = i % 3 == 0;
        if (i % 2) {
            change(table, 5, i, (uint64_t)(COUNT - i), CDC_INSERT, i, "x");
            continue;
        }
        change(table, 5, i, 7, CDC_UPDATE_OLD, i, "a");
        change(table, 5, i, 7, CDC_UPDATE_NEW, i, "b");
    }
    commit(5);
    struct source *s = need_source(0);
    assert_int_equal(count_changes(s, &commits), COUNT);
    assert_int_equal(commits, 1);
    assert_true(db.pages >= 4);
    s->ops->free(s);
    struct error err;
    db.pages = 0;
    s = open_at(0, 1, &err); /* no more memory than must be: pages end where the room ends */
    commits = 0;
    assert_int_equal(count_changes(s, &commits), COUNT);
    assert_int_equal(commits, 1);
    assert_true(db.pages >= 6);
    s->ops->free(s);
}

static void test_rows_without_command_id_go_by_seqval(void **state)
{
    (void)state;
    uint64_t commits = 0;
    for (int i = 0; i < 1500; i++)
        change(0, 5, -1, (uint64_t)i + 1, CDC_INSERT, i, "x");
    commit(5);
    struct source *s = need_source(0);
    assert_int_equal(count_changes(s, &commits), 1500);
    s->ops->free(s);
}

/* Hazard 8: clean-up of a quiet table looked like lost history. The position moves on empty polls. */
static void clean_up_to_max(void)
{
    for (int i = 0; i < TABLES; i++)
        db.instances[i][0].start = db.max;
}

static void test_quiet_tables_and_clean_up(void **state)
{
    (void)state;
    db.max = 50;
    struct source *s = need_source(4);
    check_events(s, "");
    clean_up_to_max();
    db.max = 60;
    check_events(s, "");
    change(0, 70, 1, 1, CDC_INSERT, 1, "a");
    commit(70);
    check_events(s, "[70 t0I(|1,a,large)]");
    s->ops->free(s);
}

/* Hazard 46: clean-up between the range check and the read. All tables are hit: fatal, and nothing was
 * committed. */
static void clean_up_now(void)
{
    db.before_page = NULL;
    db.max = db.max < 9 ? 9 : db.max;
    for (int i = 0; i < TABLES; i++) {
        db.instances[i][0].start = 8;
        db.instances[i][0].count = 0;
    }
}

static void test_clean_up_between_check_and_read(void **state)
{
    (void)state;
    change(0, 5, 1, 1, CDC_INSERT, 1, "a");
    commit(5);
    change(0, 8, 1, 1, CDC_INSERT, 2, "a");
    commit(8);
    struct source *s = need_source(4);
    db.before_page = clean_up_now;
    check_failure(s, ERROR_FATAL, "crossfade recopy --table t");
    s->ops->free(s);
}

/* The other instance is whole: its table goes on (rule 5). */
static void clean_up_one(void)
{
    db.before_watch = NULL;
    db.instances[0][0].start = 8;
}

static void test_history_of_one_table_gone(void **state)
{
    (void)state;
    change(0, 5, 1, 1, CDC_INSERT, 1, "a");
    change(1, 5, 2, 1, CDC_INSERT, 2, "b");
    commit(5);
    change(1, 9, 1, 1, CDC_INSERT, 3, "c");
    commit(9);
    struct source *s = need_source(4);
    db.before_watch = clean_up_one;
    check_events(s, "{t0}[5 t1I(|2,b,large)][9 t1I(|3,c,large)]");
    s->ops->free(s);
}

static void test_retention_passed_before_the_start(void **state)
{
    (void)state;
    struct error err;
    db.max = 100;
    clean_up_to_max();
    assert_null(open_at(50, 0, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    assert_non_null(strstr(err.text, "dbo_t0"));
    assert_non_null(strstr(err.text, "crossfade recopy --table t0"));
    struct source *s = need_source(99);
    check_events(s, "");
    s->ops->free(s);
}

/* Hazard 9: min LSN of zeros taken as "nothing to check". */
static void hide(void)
{
    db.instances[0][0].zero = true;
}

static void test_min_lsn_of_zeros_is_an_error(void **state)
{
    (void)state;
    struct error err;
    change(0, 5, 1, 1, CDC_INSERT, 1, "a");
    commit(5);
    struct source *s = need_source(4);
    db.before_watch = hide;
    check_failure(s, ERROR_REFUSED, "all zeros");
    s->ops->free(s);
    assert_null(open_at(4, 0, &err));
    assert_int_equal(err.kind, ERROR_REFUSED);
}

/* Hazard 13: a deploy tool switched CDC off and on. */
static void switch_off_and_on(void)
{
    db.before_watch = NULL;
    db.instances[0][0].object_id = 4242;
    db.instances[0][0].start = 30;
    db.max = 30;
}

static void test_instance_made_anew(void **state)
{
    (void)state;
    struct error err;
    change(1, 5, 1, 1, CDC_INSERT, 1, "a");
    commit(5);
    struct source *s = need_source(4);
    db.before_watch = switch_off_and_on;
    check_events(s, "{t0}[5 t1I(|1,a,large)]");
    s->ops->free(s);
    s = need_source(5);
    check_events(s, "{t0}");
    s->ops->free(s);
    db.cdc_off = true;
    assert_null(open_at(5, 0, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
}

/* Hazard 12: second capture instance after a schema change. The older one is read up to where the newer
 * begins. */
static void test_second_instance_takes_over(void **state)
{
    (void)state;
    struct instance *second = &db.instances[0][1];
    change(0, 5, 1, 1, CDC_INSERT, 1, "a");
    commit(5);
    struct source *s = need_source(4);
    check_events(s, "[5 t0I(|1,a,large)]");
    second->object_id = 5000;
    snprintf(second->name, sizeof(second->name), "dbo_t0_v2");
    second->start = 10;
    second->there = true;
    change(0, 7, 1, 1, CDC_INSERT, 2, "old");
    change(0, 10, 1, 1, CDC_INSERT, 3, "old");
    add(second, (struct row){10, 1, 1, CDC_INSERT, 7, 3, "new", "x"});
    add(second, (struct row){12, 1, 1, CDC_INSERT, 4, 4, "new", "x"});
    commit(7);
    check_events(s, "[7 t0I(|2,old,large)]");
    commit(10);
    commit(12);
    change(0, 12, 1, 1, CDC_INSERT, 4, "old");
    check_events(s, "[10 t0I(|3,new,x)][12 t0I(|4,new,x)]");
    db.instances[0][0].there = false;
    add(second, (struct row){14, 1, 1, CDC_INSERT, 4, 5, "new", "x"});
    commit(14);
    check_events(s, "[14 t0I(|5,new,x)]");
    s->ops->free(s);
}

/* Hazard 34: column added while streaming. It is not captured: only a copy brings it. */
static void test_added_column_is_drift_before_the_next_change(void **state)
{
    (void)state;
    change(0, 5, 1, 1, CDC_INSERT, 1, "a");
    commit(5);
    struct source *s = need_source(4);
    check_events(s, "[5 t0I(|1,a,large)]");
    db.extra_column = true;
    db.ddl[0].source = 100;
    db.ddl[0].lsn = 6;
    db.ddl_count = 1;
    change(0, 7, 1, 1, CDC_INSERT, 2, "b");
    change(1, 7, 2, 1, CDC_INSERT, 3, "c");
    commit(7);
    check_events(s, "{t0}[7 t1I(|3,c,large)]");
    change(0, 8, 1, 1, CDC_INSERT, 2, "b");
    commit(8);
    check_events(s, "");
    s->ops->free(s);
}

static void test_column_missing_in_the_instance_is_drift(void **state)
{
    (void)state;
    db.instances[0][0].without_v = true;
    db.max = 5;
    struct source *s = need_source(4);
    check_events(s, "{t0}");
    s->ops->free(s);
}

/* Hazard 50: RESTORE: LSNs go back. */
static void test_position_beyond_max_is_fatal(void **state)
{
    (void)state;
    struct error err;
    db.max = 10;
    assert_null(open_at(11, 0, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    assert_non_null(strstr(err.text, "restored"));
    struct source *s = need_source(10);
    check_events(s, "");
    db.max = 9;
    struct source_event e;
    assert_false(s->ops->next(s, clock_ms() + 2000, &e, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    s->ops->free(s);
}

/* Hazard 27: what we wrote ourselves is dropped, in the server. */
static void test_own_transactions(void **state)
{
    (void)state;
    change(0, 5, 1, 1, CDC_INSERT, 1, "theirs");
    change(0, 6, 1, 1, CDC_INSERT, 2, "ours");
    change(0, 7, 1, 1, CDC_INSERT, 3, "theirs");
    commit(5);
    commit(6);
    commit(7);
    commit(8);
    db.own[db.own_count++] = 6;
    db.own[db.own_count++] = 8;
    struct source *s = need_source(4);
    check_events(s, "[5 t0I(|1,theirs,large)][6 own][7 t0I(|3,theirs,large)][8 own]");
    s->ops->free(s);
}

/* A keyless table's copy holds what was committed up to its marker. */
static void test_keyless_table_behind_its_copy(void **state)
{
    (void)state;
    table_set_free(&tables);
    memset(&tables, 0, sizeof(tables));
    make_tables(1, false);
    tables.tables[0]->copied_snapshot = mem_strdup("0x00000000000000000006");
    change(0, 5, 1, 1, CDC_INSERT, 1, "a");
    change(0, 6, 1, 1, CDC_INSERT, 1, "a");
    change(0, 7, 1, 1, CDC_DELETE, 1, "a");
    commit(5);
    commit(6);
    commit(7);
    struct source *s = need_source(4);
    check_events(s, "[7 t0D(1,a|)]");
    s->ops->free(s);
}

static void test_idle_poll_is_one_statement(void **state)
{
    (void)state;
    struct source_event e;
    struct error err;
    db.max = 10;
    struct source *s = need_source(10);
    assert_true(s->ops->next(s, clock_ms() + 1, &e, &err));
    int before = db.statements;
    int64_t until = clock_ms() + 60;
    while (clock_ms() < until)
        assert_true(s->ops->next(s, clock_ms() + 5, &e, &err));
    assert_int_equal(db.pages, 0);
    assert_in_range(db.statements - before, 1, 60 / 5 + 2);
    s->ops->cancel(s);
    assert_false(s->ops->next(s, clock_ms() + 5000, &e, &err));
    assert_int_equal(err.kind, ERROR_CANCELED);
    s->ops->free(s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(test_operations_become_changes),
        TEST(test_transaction_over_two_tables_in_command_order),
        TEST(test_resumes_behind_a_commit_only),
        TEST(test_large_transaction_in_pages),
        TEST(test_rows_without_command_id_go_by_seqval),
        TEST(test_quiet_tables_and_clean_up),
        TEST(test_clean_up_between_check_and_read),
        TEST(test_history_of_one_table_gone),
        TEST(test_retention_passed_before_the_start),
        TEST(test_min_lsn_of_zeros_is_an_error),
        TEST(test_instance_made_anew),
        TEST(test_second_instance_takes_over),
        TEST(test_added_column_is_drift_before_the_next_change),
        TEST(test_column_missing_in_the_instance_is_drift),
        TEST(test_position_beyond_max_is_fatal),
        TEST(test_own_transactions),
        TEST(test_keyless_table_behind_its_copy),
        TEST(test_idle_poll_is_one_statement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
