/* SPDX-License-Identifier: PostgreSQL
 *
 * A key in SQL Server's own order (hazard 18): where the next chunk ends, and the predicate of a chunk. The
 * server orders and gives the bounds; a bound is one text a key column, in a form that loses nothing
 * (keyset.c says which), that is stored and carried back untouched. Nobody here compares two of them.
 *
 * Order of calls: make from the catalog, `supported` looked at, then border and where any number of times.
 */
#ifndef MSSQL_KEYSET_H
#define MSSQL_KEYSET_H

#include "mssql/catalog.h"

struct ms_keyset_part {
    char *name;
    char *type; /* as T-SQL declares it: what a bound is converted to, so that the column's index serves */
    char *collation; /* NULL: none */
    int form;        /* enum form of keyset.c */
    bool descending; /* as the index has it */
};

struct ms_keyset {
    char *from; /* [schema].[table] */
    struct ms_keyset_part *parts;
    uint16_t count;
    bool supported;   /* every column is NOT NULL and of a type with an order and a lossless text */
    bool indexed;     /* an index gives the rows in the key's order */
    bool clustered;   /* and the rows lie in it */
    char reason[200]; /* !supported: why, for people */
};

/* The key's columns by their names, in the key's order. `out` is to be freed in any case. */
void ms_keyset_make(const struct ms_catalog_table *table, const char *const *columns, uint16_t count,
                    struct ms_keyset *out);
void ms_keyset_free(struct ms_keyset *self);

/* The key's columns as bounds: what SELECT has to list. */
void ms_keyset_texts(const struct ms_keyset *self, struct buffer *out);
/* [t].[a], [t].[b] DESC */
void ms_keyset_order(const struct ms_keyset *self, struct buffer *out);
/* Rows behind the bound (`inclusive` false) or up to and with it (true), in the key's order. SQL Server has
 * no comparison of rows: (a >= x AND (a > x OR (a = x AND b > y))). */
void ms_keyset_predicate(const struct ms_keyset *self, bool behind, char *const *bound, struct buffer *out);
/* " WHERE …" for low < key <= high, either of which may be NULL (open); nothing if both are. */
void ms_keyset_where(const struct ms_keyset *self, char *const *low, char *const *high, struct buffer *out);

/* The key of the `rows`th row behind `low` (NULL: from the first): malloc'ed as one block of pointers and
 * text, free() it; NULL if the table ends before. One statement of its own. */
MUST_CHECK bool ms_keyset_border(struct ms_conn *conn, const struct ms_keyset *self, char *const *low,
                                 int64_t rows, char ***high, struct error *err);

/* One level of such a predicate, for other keys than a table's: `column` and `value` are T-SQL as it stands.
 */
struct ms_keyset_term {
    const char *column;
    const char *value; /* NULL: the bound has NULL there, which sorts first; not the last term */
    bool descending;
};
void ms_keyset_expand(const struct ms_keyset_term *terms, uint16_t count, bool behind, struct buffer *out);

#endif
