/* SPDX-License-Identifier: PostgreSQL
 *
 * Reads a server's catalogs: six queries under one snapshot, each over all relations at once, put together
 * here by oid. Servers differ by version in a few columns; each query says what stands in for them on older
 * ones. Nothing here judges what it finds: that is pairing's and check's business.
 */
#include "pgsql/catalog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pgsql/sql.h"

/* Relations we look at; `c` is pg_class. Our own schema and the system's are nobody's business. */
#define OURS                                                                                                 \
    " c.relkind IN ('r','p') AND c.relpersistence <> 't' AND c.relnamespace NOT IN ("                        \
    "SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname IN ('information_schema','crossfade')) "

/* Finds relations by oid while the catalog is being read. */
struct oid_entry {
    uint32_t oid;
    struct pg_relation *relation;
};

struct reader {
    struct pg_conn *conn;
    struct pg_catalog *out;
    struct oid_entry *by_oid;
    struct error *err;
};

static const char *text(const PGresult *r, int row, int column)
{
    return PQgetvalue(r, row, column);
}

static char *text_copy(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : mem_strdup(PQgetvalue(r, row, column));
}

static bool truth(const PGresult *r, int row, int column)
{
    return *PQgetvalue(r, row, column) == 't';
}

static uint32_t oid_of(const PGresult *r, int row, int column)
{
    return (uint32_t)strtoul(PQgetvalue(r, row, column), NULL, 10);
}

static int64_t number(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? -1 : strtoll(PQgetvalue(r, row, column), NULL, 10);
}

static int by_oid(const void *a, const void *b)
{
    uint32_t x = ((const struct oid_entry *)a)->oid, y = ((const struct oid_entry *)b)->oid;
    return (x > y) - (x < y);
}

static struct pg_relation *relation_of(const struct reader *self, uint32_t oid)
{
    if (self->out->count == 0)
        return NULL;
    struct oid_entry key = {oid, NULL};
    struct oid_entry *e = bsearch(&key, self->by_oid, self->out->count, sizeof(key), by_oid);
    return e ? e->relation : NULL;
}

static PGresult *query(struct reader *self, const char *sql)
{
    return pg_query(self->conn, sql, 0, NULL, self->err);
}

static bool read_types(struct reader *self)
{
    PGresult *r =
        query(self, "SELECT t.oid, n.nspname, t.typname,"
                    " quote_ident(n.nspname) || '.' || quote_ident(t.typname), t.typtype, t.typcategory,"
                    " t.typbasetype, t.typtypmod,"
                    " CASE WHEN t.typlen = -1 AND t.typcategory = 'A' THEN t.typelem ELSE 0 END,"
                    " coalesce(g.rngsubtype, 0), t.typsend <> 0 AND t.typreceive <> 0"
                    " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
                    " LEFT JOIN pg_range g ON g.rngtypid = t.oid WHERE t.typisdefined ORDER BY t.oid");
    if (!r)
        return false;
    struct pg_catalog *out = self->out;
    out->type_count = (uint32_t)PQntuples(r);
    out->types = mem_alloc(out->type_count * sizeof(*out->types));
    for (int i = 0; i < PQntuples(r); i++) {
        out->types[i] = (struct pg_type_info){.oid = oid_of(r, i, 0),
                                              .schema = text_copy(r, i, 1),
                                              .name = text_copy(r, i, 2),
                                              .quoted = text_copy(r, i, 3),
                                              .kind = *text(r, i, 4),
                                              .category = *text(r, i, 5),
                                              .base_oid = oid_of(r, i, 6),
                                              .base_modifier = (int32_t)strtol(text(r, i, 7), NULL, 10),
                                              .element_oid = oid_of(r, i, 8),
                                              .subtype_oid = oid_of(r, i, 9),
                                              .has_binary = truth(r, i, 10)};
    }
    PQclear(r);
    return true;
}

static bool read_multiranges(struct reader *self)
{
    if (self->conn->version < 140000)
        return true;
    PGresult *r = query(self, "SELECT rngmultitypid, rngsubtype FROM pg_range");
    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        const struct pg_type_info *t = pg_catalog_type(self->out, oid_of(r, i, 0));
        if (t)
            self->out->types[t - self->out->types].subtype_oid = oid_of(r, i, 1);
    }
    PQclear(r);
    return true;
}

static bool read_labels(struct reader *self)
{
    PGresult *r = query(self, "SELECT enumtypid, enumlabel FROM pg_enum ORDER BY enumtypid, enumsortorder");
    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        const struct pg_type_info *found = pg_catalog_type(self->out, oid_of(r, i, 0));
        if (!found)
            continue;
        struct pg_type_info *t = &self->out->types[found - self->out->types];
        t->labels = mem_grow(t->labels, t->label_count + 1, sizeof(*t->labels));
        t->labels[t->label_count++] = text_copy(r, i, 1);
    }
    PQclear(r);
    return true;
}

static void relation_fill(struct pg_relation *rel, const PGresult *r, int i)
{
    *rel = (struct pg_relation){.oid = oid_of(r, i, 0),
                                .schema = text_copy(r, i, 1),
                                .name = text_copy(r, i, 2),
                                .kind = *text(r, i, 3),
                                .persistence = *text(r, i, 4),
                                .identity = *text(r, i, 5),
                                .is_partition = truth(r, i, 6),
                                .parent = oid_of(r, i, 7),
                                .is_child = truth(r, i, 8),
                                .has_children = truth(r, i, 9),
                                .row_security = truth(r, i, 10),
                                .force_row_security = truth(r, i, 11),
                                .rows = number(r, i, 12),
                                .bytes = number(r, i, 13),
                                .owned = truth(r, i, 14),
                                .schema_usage = truth(r, i, 15),
                                .can_select = truth(r, i, 16),
                                .can_insert = truth(r, i, 17),
                                .can_update = truth(r, i, 18),
                                .can_delete = truth(r, i, 19),
                                .can_truncate = truth(r, i, 20),
                                .of_extension = truth(r, i, 21)};
    if (rel->bytes < 0)
        rel->bytes = 0;
}

/* has_*_privilege answers NULL, read as no, for a relation that has just been dropped. Before 14 an estimate
 * of 0 rows also means "never analysed". */
static bool read_relations(struct reader *self)
{
    PGresult *r = query(
        self,
        "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, c.relispartition,"
        " CASE WHEN c.relispartition THEN (SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid"
        " LIMIT 1) ELSE 0 END,"
        " NOT c.relispartition AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid),"
        " c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid),"
        " c.relrowsecurity, c.relforcerowsecurity,"
        " CASE WHEN c.reltuples < 0 OR (c.reltuples = 0 AND c.relpages = 0) THEN -1 ELSE"
        " c.reltuples::int8 END,"
        " CASE c.relkind WHEN 'r' THEN pg_table_size(c.oid) ELSE 0 END, pg_has_role(c.relowner, 'USAGE'),"
        " has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'),"
        " has_table_privilege(c.oid, 'INSERT'), has_table_privilege(c.oid, 'UPDATE'),"
        " has_table_privilege(c.oid, 'DELETE'), has_table_privilege(c.oid, 'TRUNCATE'),"
        " EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'e')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE" OURS
        " ORDER BY n.nspname::text COLLATE \"C\", c.relname::text COLLATE \"C\"");
    if (!r)
        return false;
    struct pg_catalog *out = self->out;
    out->count = (uint32_t)PQntuples(r);
    out->relations = mem_alloc((out->count + 1) * sizeof(*out->relations));
    self->by_oid = mem_alloc((out->count + 1) * sizeof(*self->by_oid));
    for (uint32_t i = 0; i < out->count; i++) {
        relation_fill(&out->relations[i], r, (int)i);
        self->by_oid[i] = (struct oid_entry){out->relations[i].oid, &out->relations[i]};
    }
    qsort(self->by_oid, out->count, sizeof(*self->by_oid), by_oid);
    PQclear(r);
    return true;
}

/* A partitioned table has as many rows and bytes as its leaves together. */
static void sum_partitions(struct reader *self)
{
    for (uint32_t i = 0; i < self->out->count; i++) {
        if (self->out->relations[i].kind == 'p') /* ANALYZE leaves an estimate there, perhaps an old one */
            self->out->relations[i].rows = -1;
    }
    for (uint32_t i = 0; i < self->out->count; i++) {
        const struct pg_relation *leaf = &self->out->relations[i];
        if (!leaf->is_partition || leaf->kind != 'r')
            continue;
        struct pg_relation *up = relation_of(self, leaf->parent);
        for (int depth = 0; up && depth < 100; depth++) {
            up->bytes += leaf->bytes;
            if (leaf->rows > 0)
                up->rows = (up->rows < 0 ? 0 : up->rows) + leaf->rows;
            up = up->parent ? relation_of(self, up->parent) : NULL;
        }
    }
}

static struct type type_of(const struct reader *self, uint32_t oid, int32_t modifier, const char *display)
{
    const struct pg_type_info *t = pg_catalog_type(self->out, oid);
    struct type out = {.oid = oid, .modifier = modifier, .display = mem_strdup(display), .base_oid = oid};
    if (!t) {
        out.name = mem_strdup("pg_catalog.text");
        out.kind = 'p';
        return out;
    }
    out.name = mem_strdup(t->quoted);
    out.kind = t->kind;
    out.category = t->category;
    out.element_oid = t->element_oid;
    int32_t ignored = modifier;
    const struct pg_type_info *base = pg_catalog_base_type(self->out, oid, &ignored);
    if (base) {
        out.base_oid = base->oid;
        out.element_oid = base->element_oid;
    }
    return out;
}

static struct pg_column *column_add(struct pg_relation *rel)
{
    rel->columns = mem_grow(rel->columns, rel->column_count + 1u, sizeof(*rel->columns));
    return &rel->columns[rel->column_count++];
}

static void column_fill(const struct reader *self, struct pg_column *column, const PGresult *r, int i)
{
    *column = (struct pg_column){
        .name = text_copy(r, i, 1),
        .type = type_of(self, oid_of(r, i, 2), (int32_t)strtol(text(r, i, 3), NULL, 10), text(r, i, 4)),
        .not_null = truth(r, i, 5),
        .has_default = truth(r, i, 6),
        .identity = *text(r, i, 7),
        .generated = *text(r, i, 8),
        .number = (int16_t)strtol(text(r, i, 9), NULL, 10),
        .deterministic = truth(r, i, 10),
        .expression = text_copy(r, i, 11)};
}

static bool read_columns(struct reader *self)
{
    bool modern = self->conn->version >= 120000;
    struct buffer sql = {0};
    buffer_printf(
        &sql,
        "SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod),"
        " a.attnotnull, a.atthasdef, a.attidentity, %s, a.attnum, %s,"
        " CASE WHEN %s <> '' THEN (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d"
        " WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) END"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " LEFT JOIN pg_collation l ON l.oid = a.attcollation"
        " WHERE a.attnum > 0 AND NOT a.attisdropped AND" OURS " ORDER BY a.attrelid, a.attnum",
        modern ? "a.attgenerated" : "''", modern ? "coalesce(l.collisdeterministic, true)" : "true",
        modern ? "a.attgenerated" : "''");
    PGresult *r = query(self, buffer_text(&sql));
    buffer_free(&sql);
    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        struct pg_relation *rel = relation_of(self, oid_of(r, i, 0));
        if (rel)
            column_fill(self, column_add(rel), r, i);
    }
    PQclear(r);
    return true;
}

static uint16_t column_numbered(const struct pg_relation *rel, long attnum)
{
    for (uint16_t i = 0; i < rel->column_count; i++) {
        if (rel->columns[i].number == attnum)
            return i;
    }
    return UINT16_MAX;
}

/* indkey is an int2vector: "1 3 0", where 0 is an expression. */
static void index_columns(struct pg_index *index, const struct pg_relation *rel, const char *indkey,
                          int count)
{
    index->columns = mem_alloc(sizeof(uint16_t) * (size_t)(count > 0 ? count : 1));
    const char *at = indkey;
    for (int i = 0; i < count; i++) {
        char *end;
        long attnum = strtol(at, &end, 10);
        if (end == at)
            break;
        at = end;
        index->columns[index->column_count] = column_numbered(rel, attnum);
        if (index->columns[index->column_count++] == UINT16_MAX)
            index->has_expressions = true;
    }
}

static bool read_indexes(struct reader *self)
{
    struct buffer sql = {0};
    buffer_printf(
        &sql,
        "SELECT x.indrelid, n.nspname, i.relname, x.indkey, x.%s, x.indisunique, x.indisprimary,"
        " x.indisreplident, x.indpred IS NOT NULL, NOT x.indimmediate, x.indisvalid AND x.indisready"
        " FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid"
        " JOIN pg_namespace n ON n.oid = i.relnamespace WHERE" OURS
        " ORDER BY x.indrelid, NOT x.indisprimary, x.%s, i.relname::text COLLATE \"C\"",
        self->conn->version >= 110000 ? "indnkeyatts" : "indnatts",
        self->conn->version >= 110000 ? "indnkeyatts" : "indnatts");
    PGresult *r = query(self, buffer_text(&sql));
    buffer_free(&sql);
    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        struct pg_relation *rel = relation_of(self, oid_of(r, i, 0));
        if (!rel)
            continue;
        rel->indexes = mem_grow(rel->indexes, rel->index_count + 1u, sizeof(*rel->indexes));
        struct pg_index *index = &rel->indexes[rel->index_count++];
        *index = (struct pg_index){.schema = text_copy(r, i, 1),
                                   .name = text_copy(r, i, 2),
                                   .unique = truth(r, i, 5),
                                   .primary = truth(r, i, 6),
                                   .replica_identity = truth(r, i, 7),
                                   .partial = truth(r, i, 8),
                                   .deferrable = truth(r, i, 9),
                                   .valid = truth(r, i, 10)};
        index_columns(index, rel, text(r, i, 3), atoi(text(r, i, 4)));
    }
    PQclear(r);
    return true;
}

static bool read_triggers(struct reader *self)
{
    PGresult *r = query(self, "SELECT t.tgrelid, count(*) FILTER (WHERE t.tgenabled = 'O'),"
                              " count(*) FILTER (WHERE t.tgenabled IN ('A','R')) FROM pg_trigger t"
                              " JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal AND" OURS
                              " GROUP BY t.tgrelid");
    if (!r)
        return false;
    for (int i = 0; i < PQntuples(r); i++) {
        struct pg_relation *rel = relation_of(self, oid_of(r, i, 0));
        if (!rel)
            continue;
        rel->trigger_count = atoi(text(r, i, 1));
        rel->always_triggers = atoi(text(r, i, 2));
    }
    PQclear(r);
    return true;
}

static bool read_constraints(struct reader *self)
{
    PGresult *r =
        query(self, "SELECT o.conrelid, o.contype, o.conname, o.confrelid FROM pg_constraint o"
                    " JOIN pg_class c ON c.oid = o.conrelid WHERE o.contype IN ('f','c','x') AND" OURS
                    " ORDER BY o.oid");
    if (!r)
        return false;
    struct pg_catalog *out = self->out;
    out->foreign_keys = mem_alloc(sizeof(*out->foreign_keys) * (size_t)(PQntuples(r) + 1));
    for (int i = 0; i < PQntuples(r); i++) {
        struct pg_relation *rel = relation_of(self, oid_of(r, i, 0));
        if (!rel)
            continue;
        char kind = *text(r, i, 1);
        if (kind == 'f')
            out->foreign_keys[out->foreign_key_count++] =
                (struct pg_foreign_key){text_copy(r, i, 2), rel->oid, oid_of(r, i, 3)};
        else if (kind == 'c')
            rel->check_count++;
        else
            rel->exclusion_count++;
    }
    PQclear(r);
    return true;
}

static bool read_all(struct reader *self)
{
    if (!read_types(self) || !read_multiranges(self) || !read_labels(self) || !read_relations(self))
        return false;
    sum_partitions(self);
    return read_columns(self) && read_indexes(self) && read_triggers(self) && read_constraints(self);
}

bool pg_catalog_read(struct pg_conn *conn, struct pg_catalog *out, struct error *err)
{
    *out = (struct pg_catalog){0};
    struct reader reader = {.conn = conn, .out = out, .err = err};
    bool alone = PQtransactionStatus(conn->pg) == PQTRANS_IDLE;
    if (alone && !pg_exec(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err))
        return false;
    bool good = read_all(&reader);
    free(reader.by_oid);
    struct error ignored;
    if (alone && !pg_exec(conn, good ? "COMMIT" : "ROLLBACK", good ? err : &ignored))
        good = false;
    if (!good) {
        pg_catalog_free(out);
        error_prefix(err, "reading the catalogs");
    }
    return good;
}

static void relation_free(struct pg_relation *rel)
{
    for (uint16_t i = 0; i < rel->column_count; i++) {
        free(rel->columns[i].name);
        free(rel->columns[i].type.name);
        free(rel->columns[i].type.display);
        free(rel->columns[i].expression);
    }
    for (uint16_t i = 0; i < rel->index_count; i++) {
        free(rel->indexes[i].schema);
        free(rel->indexes[i].name);
        free(rel->indexes[i].columns);
    }
    free(rel->columns);
    free(rel->indexes);
    free(rel->schema);
    free(rel->name);
}

void pg_catalog_free(struct pg_catalog *self)
{
    for (uint32_t i = 0; i < self->count; i++)
        relation_free(&self->relations[i]);
    for (uint32_t i = 0; i < self->foreign_key_count; i++)
        free(self->foreign_keys[i].name);
    for (uint32_t i = 0; i < self->type_count; i++) {
        struct pg_type_info *t = &self->types[i];
        for (uint32_t j = 0; j < t->label_count; j++)
            free(t->labels[j]);
        free(t->labels);
        free(t->schema);
        free(t->name);
        free(t->quoted);
    }
    free(self->relations);
    free(self->foreign_keys);
    free(self->types);
    *self = (struct pg_catalog){0};
}

const struct pg_relation *pg_catalog_find(const struct pg_catalog *self, const char *schema, const char *name)
{
    for (uint32_t i = 0; i < self->count; i++) {
        if (strcmp(self->relations[i].name, name) == 0 && strcmp(self->relations[i].schema, schema) == 0)
            return &self->relations[i];
    }
    return NULL;
}

const struct pg_relation *pg_catalog_by_oid(const struct pg_catalog *self, uint32_t oid)
{
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->relations[i].oid == oid)
            return &self->relations[i];
    }
    return NULL;
}

const struct pg_type_info *pg_catalog_type(const struct pg_catalog *self, uint32_t oid)
{
    uint32_t low = 0, high = self->type_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (self->types[mid].oid < oid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < self->type_count && self->types[low].oid == oid ? &self->types[low] : NULL;
}

const struct pg_type_info *pg_catalog_base_type(const struct pg_catalog *self, uint32_t oid,
                                                int32_t *modifier)
{
    const struct pg_type_info *t = pg_catalog_type(self, oid);
    for (int depth = 0; t && t->kind == 'd' && depth < 100; depth++) {
        *modifier = t->base_modifier;
        t = pg_catalog_type(self, t->base_oid);
    }
    return t;
}

const struct pg_column *pg_relation_column(const struct pg_relation *self, const char *name)
{
    for (uint16_t i = 0; i < self->column_count; i++) {
        if (strcmp(self->columns[i].name, name) == 0)
            return &self->columns[i];
    }
    return NULL;
}
