/* SPDX-License-Identifier: PostgreSQL
 *
 * What the files of the translator share. Nodes and their texts live in the arena of one translation; a
 * function that fails returns NULL after mssql_expression_refuse, and its callers only pass that on.
 */
#ifndef LEGACY_MSSQL_EXPRESSION_PART_H
#define LEGACY_MSSQL_EXPRESSION_PART_H

#include "base/arena.h"
#include "legacy/mssql_expression.h"

enum node_kind {
    NODE_NULL,
    NODE_BOOL,
    NODE_NUMBER,
    NODE_TEXT,
    NODE_DATE,
    NODE_TIME,
    NODE_TIMESTAMP,
    NODE_TIMESTAMPTZ,
    NODE_UUID,
    NODE_BYTES,
    NODE_OTHER,
    NODE_PREDICATE
};

struct node {
    char *sql;
    enum node_kind kind;
    const char *literal; /* what stands between the quotes, digits, hex digits; NULL: no literal */
    bool atom;           /* needs no parentheses anywhere */
    bool integer;        /* of a number: whole */
    bool padded;         /* of a text: char(n), filled up with blanks */
    bool unicode;        /* of a text */
    bool folds_case, folds_accents;
    bool stable; /* depends on more than its arguments: the time, a setting */
    bool now;    /* the present time */
};

enum token_type { TOKEN_END, TOKEN_NAME, TOKEN_NUMBER, TOKEN_TEXT, TOKEN_BYTES, TOKEN_SIGN, TOKEN_BAD };

struct token {
    enum token_type type;
    char *text;   /* a name or text without its quotes, digits, or the sign: <= <> ( */
    bool quoted;  /* a [name] */
    bool unicode; /* N'text' */
};

struct mssql_expression {
    const struct mssql_expression_rules *rules;
    struct arena *arena;
    const char *at;
    struct token token; /* the next one */
    int depth;
    struct buffer *why;
    bool failed;
};

/* A text of the arena. */
char *mssql_expression_text(struct mssql_expression *self, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The first reason is kept. Returns NULL. */
struct node *mssql_expression_refuse(struct mssql_expression *self, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct node *mssql_expression_node(struct mssql_expression *self, enum node_kind kind, char *sql);
void mssql_expression_advance(struct mssql_expression *self);
/* Is the next token this sign, or this bare word? Then it is taken. */
bool mssql_expression_sign(struct mssql_expression *self, const char *sign);
bool mssql_expression_word(struct mssql_expression *self, const char *word);
bool mssql_expression_expect(struct mssql_expression *self, const char *sign);
/* Any expression, predicates too. */
struct node *mssql_expression_any(struct mssql_expression *self);
/* Anything but a predicate. */
struct node *mssql_expression_plain(struct mssql_expression *self);

/* --- mssql_literal.c --- */

enum node_kind mssql_literal_kind(const struct ms_column_type *type);
/* The node as one of this kind: a literal rewritten, anything else only if it is of the kind already or casts
 * as the SQL Server would. `type` (may be NULL) is the column's that it is for. */
struct node *mssql_literal_as(struct mssql_expression *self, struct node *node, enum node_kind kind,
                              const struct ms_column_type *type);
/* Makes both of one kind, so that they compare. */
bool mssql_literal_meet(struct mssql_expression *self, struct node **a, struct node **b);

/* --- mssql_function.c --- */

/* The name is taken, the next token is its parenthesis. */
struct node *mssql_function_call(struct mssql_expression *self, const char *name);
struct node *mssql_function_case(struct mssql_expression *self);
/* CURRENT_TIMESTAMP and the like, without parentheses; NULL and no failure: none of them. */
struct node *mssql_function_bare(struct mssql_expression *self, const char *name);

#endif
