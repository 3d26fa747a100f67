/* SPDX-License-Identifier: PostgreSQL
 *
 * Recursive descent over the text, PostgreSQL's SQL upward. Precedence is T-SQL's ("Operator precedence").
 */
#include "legacy/mssql_expression.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "legacy/mssql_expression_part.h"
#include "pgsql/sql.h"

enum { DEPTH_MAX = 200, TEXT_MAX = 16 * 1024, SQL_MAX = 64 * 1024 };

char *mssql_expression_text(struct mssql_expression *self, const char *fmt, ...)
{
    struct buffer text = {0};
    va_list ap;
    va_start(ap, fmt);
    buffer_vprintf(&text, fmt, ap);
    va_end(ap);
    if (text.length > SQL_MAX) { /* BETWEEN says its first operand twice */
        mssql_expression_refuse(self, "it becomes too long");
        buffer_clear(&text);
    }
    char *out = arena_strdup(self->arena, buffer_text(&text));
    buffer_free(&text);
    return out;
}

struct node *mssql_expression_refuse(struct mssql_expression *self, const char *fmt, ...)
{
    va_list ap;
    if (!self->failed) {
        va_start(ap, fmt);
        buffer_vprintf(self->why, fmt, ap);
        va_end(ap);
    }
    self->failed = true;
    return NULL;
}

struct node *mssql_expression_node(struct mssql_expression *self, enum node_kind kind, char *sql)
{
    struct node *node = arena_alloc(self->arena, sizeof(*node));
    *node = (struct node){.kind = kind, .sql = sql};
    return node;
}

/* --- tokens --- */

/* What stands between `at`, behind the opening quote, and the closing one, doubled ones halved. */
static void take_quoted(struct mssql_expression *self, char close, enum token_type type)
{
    struct buffer text = {0};
    const char *p = self->at;
    for (; *p && !(*p == close && p[1] != close); p++) {
        if (*p == close)
            p++;
        buffer_putc(&text, *p);
    }
    self->token.type = *p ? type : TOKEN_BAD;
    self->token.text = arena_strdup(self->arena, buffer_text(&text));
    self->at = *p ? p + 1 : p;
    buffer_free(&text);
}

static void take_run(struct mssql_expression *self, enum token_type type, size_t skip, size_t length)
{
    self->token.type = type;
    self->token.text = mssql_expression_text(self, "%.*s", (int)(length - skip), self->at + skip);
    self->at += length;
}

static size_t number_length(const char *at)
{
    size_t n = strspn(at, "0123456789.");
    if ((at[n] == 'e' || at[n] == 'E') && n > 0) {
        size_t sign = at[n + 1] == '-' || at[n + 1] == '+';
        size_t digits = strspn(at + n + 1 + sign, "0123456789");
        n += digits ? 1 + sign + digits : 0;
    }
    return n;
}

static bool starts_name(char c)
{
    return isalpha((unsigned char)c) || c == '_' || c == '@' || c == '#' || (c & 0x80);
}

static void take_sign(struct mssql_expression *self)
{
    static const char *const pairs[] = {"<=", ">=", "<>", "!=", "!<", "!>"};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (strncmp(self->at, pairs[i], 2) == 0) {
            take_run(self, TOKEN_SIGN, 0, 2);
            return;
        }
    }
    take_run(self, strchr("()+-*/%&|^~=<>,.:", *self->at) ? TOKEN_SIGN : TOKEN_BAD, 0, 1);
}

void mssql_expression_advance(struct mssql_expression *self)
{
    self->token = (struct token){0};
    while (isspace((unsigned char)*self->at))
        self->at++;
    const char *p = self->at;
    if (*p == '\0') {
        self->token.text = arena_strdup(self->arena, "");
    } else if (*p == '[' || *p == '"') {
        self->at++;
        self->token.quoted = true;
        take_quoted(self, *p == '[' ? ']' : '"', TOKEN_NAME);
    } else if (*p == '\'' || ((*p == 'N' || *p == 'n') && p[1] == '\'')) {
        self->token.unicode = *p != '\'';
        self->at += self->token.unicode ? 2 : 1;
        take_quoted(self, '\'', TOKEN_TEXT);
    } else if (*p == '0' && (p[1] == 'x' || p[1] == 'X')) {
        take_run(self, TOKEN_BYTES, 2, 2 + strspn(p + 2, "0123456789abcdefABCDEF"));
    } else if (*p == '$' && isdigit((unsigned char)p[1])) { /* money */
        self->at++;
        take_run(self, TOKEN_NUMBER, 0, number_length(self->at));
    } else if (isdigit((unsigned char)*p) || (*p == '.' && isdigit((unsigned char)p[1]))) {
        take_run(self, TOKEN_NUMBER, 0, number_length(p));
    } else if (starts_name(*p)) {
        size_t n = 0;
        while (starts_name(p[n]) || isdigit((unsigned char)p[n]) || p[n] == '$')
            n++;
        take_run(self, TOKEN_NAME, 0, n);
    } else {
        take_sign(self);
    }
}

bool mssql_expression_sign(struct mssql_expression *self, const char *sign)
{
    if (self->token.type != TOKEN_SIGN || strcmp(self->token.text, sign) != 0)
        return false;
    mssql_expression_advance(self);
    return true;
}

bool mssql_expression_word(struct mssql_expression *self, const char *word)
{
    if (self->token.type != TOKEN_NAME || self->token.quoted || strcasecmp(self->token.text, word) != 0)
        return false;
    mssql_expression_advance(self);
    return true;
}

bool mssql_expression_expect(struct mssql_expression *self, const char *sign)
{
    if (mssql_expression_sign(self, sign))
        return true;
    mssql_expression_refuse(self,
                            self->token.type == TOKEN_END ? "it ends where a %s is expected"
                                                          : "there is no %s where one is expected",
                            sign);
    return false;
}

/* --- what things are made of --- */

static const char *wrapped(struct mssql_expression *self, const struct node *n)
{
    return n->atom ? n->sql : mssql_expression_text(self, "(%s)", n->sql);
}

static struct node *join(struct mssql_expression *self, enum node_kind kind, const struct node *a,
                         const char *sign, const struct node *b)
{
    struct node *n = mssql_expression_node(
        self, kind, mssql_expression_text(self, "%s %s %s", wrapped(self, a), sign, wrapped(self, b)));
    n->stable = a->stable || b->stable;
    n->now = a->now || b->now;
    n->folds_case = a->folds_case || b->folds_case;
    n->folds_accents = a->folds_accents || b->folds_accents;
    n->integer = a->integer && b->integer;
    n->unicode = a->unicode || b->unicode;
    return n;
}

static struct node *column(struct mssql_expression *self, const char *name)
{
    const struct ms_catalog_table *t = self->rules->table;
    int at = t ? ms_catalog_column_at(t, name) : -1;
    if (at < 0)
        return mssql_expression_refuse(self, "%s is no column that is known here", name);
    const struct ms_catalog_column *c = &t->columns[at];
    char *target = c->type.type ? self->rules->name(self->rules->context, c) : NULL;
    if (!target)
        return mssql_expression_refuse(self, "column %s is not on the target", name);
    struct buffer sql = {0};
    sql_ident(&sql, target);
    free(target);
    struct node *n = mssql_expression_node(self, mssql_literal_kind(&c->type),
                                           arena_strdup(self->arena, buffer_text(&sql)));
    buffer_free(&sql);
    enum ms_type_id id = c->type.type->id;
    n->atom = true;
    n->integer = id == MS_TINYINT || id == MS_SMALLINT || id == MS_INT || id == MS_BIGINT;
    n->padded = id == MS_CHAR || id == MS_NCHAR;
    n->unicode = id == MS_NCHAR || id == MS_NVARCHAR || id == MS_NTEXT;
    n->folds_case = n->kind == NODE_TEXT && !c->case_sensitive;
    n->folds_accents = n->kind == NODE_TEXT && !c->accent_sensitive;
    return n;
}

static struct node *literal(struct mssql_expression *self)
{
    const struct token t = self->token;
    struct buffer sql = {0};
    struct node *n;
    mssql_expression_advance(self);
    if (t.type == TOKEN_TEXT)
        sql_literal(&sql, t.text);
    else if (t.type == TOKEN_BYTES)
        buffer_printf(&sql, "'\\x%s'::bytea", t.text);
    else
        buffer_puts(&sql, t.text);
    n = mssql_expression_node(self,
                              t.type == TOKEN_TEXT    ? NODE_TEXT
                              : t.type == TOKEN_BYTES ? NODE_BYTES
                                                      : NODE_NUMBER,
                              arena_strdup(self->arena, buffer_text(&sql)));
    buffer_free(&sql);
    n->literal = t.text;
    n->atom = true;
    n->integer = t.type == TOKEN_NUMBER && !strpbrk(t.text, ".eE");
    n->unicode = t.unicode;
    return n;
}

static struct node *named(struct mssql_expression *self)
{
    const struct token t = self->token;
    mssql_expression_advance(self);
    if (self->token.type == TOKEN_SIGN && strcmp(self->token.text, ".") == 0)
        return mssql_expression_refuse(self, "%s is somebody's own function, or of another table", t.text);
    if (self->token.type == TOKEN_SIGN && strcmp(self->token.text, "(") == 0)
        return mssql_function_call(self, t.text);
    if (!t.quoted && strcasecmp(t.text, "CASE") == 0)
        return mssql_function_case(self);
    if (!t.quoted && strcasecmp(t.text, "NULL") == 0) {
        struct node *n = mssql_expression_node(self, NODE_NULL, arena_strdup(self->arena, "NULL"));
        n->atom = true;
        return n;
    }
    struct node *bare = t.quoted ? NULL : mssql_function_bare(self, t.text);
    return bare || self->failed ? bare : column(self, t.text);
}

static struct node *parenthesised(struct mssql_expression *self)
{
    struct node *n = mssql_expression_any(self);
    return n && mssql_expression_expect(self, ")") ? n : NULL;
}

static struct node *primary(struct mssql_expression *self)
{
    enum token_type type = self->token.type;
    struct node *n = NULL;
    if (self->depth >= DEPTH_MAX)
        return mssql_expression_refuse(self, "it is nested too deeply");
    self->depth++;
    if (mssql_expression_sign(self, "("))
        n = parenthesised(self);
    else if (type == TOKEN_NAME)
        n = named(self);
    else if (type == TOKEN_NUMBER || type == TOKEN_TEXT || type == TOKEN_BYTES)
        n = literal(self);
    else if (type == TOKEN_END)
        mssql_expression_refuse(self, "it ends early");
    else
        mssql_expression_refuse(self, "%s is not translated", self->token.text);
    self->depth--;
    return n;
}

static struct node *number_of(struct mssql_expression *self, struct node *n)
{
    return n ? mssql_literal_as(self, n, NODE_NUMBER, NULL) : NULL;
}

static struct node *unary(struct mssql_expression *self)
{
    if (mssql_expression_sign(self, "+"))
        return number_of(self, unary(self));
    if (!mssql_expression_sign(self, "-"))
        return primary(self);
    self->depth++;
    struct node *n = self->depth < DEPTH_MAX ? number_of(self, unary(self))
                                             : mssql_expression_refuse(self, "it is nested too deeply");
    self->depth--;
    if (!n)
        return NULL;
    struct node *out =
        mssql_expression_node(self, NODE_NUMBER, mssql_expression_text(self, "-%s", wrapped(self, n)));
    if (n->literal && *n->literal != '-')
        out->literal = mssql_expression_text(self, "-%s", n->literal);
    out->integer = n->integer;
    out->stable = n->stable;
    out->now = n->now;
    return out;
}

static struct node *add_texts(struct mssql_expression *self, struct node *a, struct node *b)
{
    if (a->kind != NODE_TEXT || b->kind != NODE_TEXT)
        return mssql_expression_refuse(self, "+ of a text and something else is not translated");
    if (a->padded || b->padded)
        return mssql_expression_refuse(self, "char filled with blanks is joined otherwise by PostgreSQL");
    return join(self, NODE_TEXT, a, "||", b);
}

static struct node *arithmetic(struct mssql_expression *self, struct node *a, const char *sign,
                               struct node *b)
{
    if (*sign == '+' && (a->kind == NODE_TEXT || b->kind == NODE_TEXT) && a->kind != NODE_NUMBER &&
        b->kind != NODE_NUMBER)
        return add_texts(self, a, b);
    a = number_of(self, a);
    b = a ? number_of(self, b) : NULL;
    if (!b)
        return NULL;
    if (strchr("&|^", *sign) && !(a->integer && b->integer))
        return mssql_expression_refuse(self, "%s of anything but integers is not translated", sign);
    return join(self, NODE_NUMBER, a, *sign == '^' ? "#" : sign, b);
}

/* Left to right over operators of one precedence. */
static struct node *series(struct mssql_expression *self, const char *signs,
                           struct node *(*operand)(struct mssql_expression *self))
{
    struct node *a = operand(self);
    while (a && self->token.type == TOKEN_SIGN && !self->token.text[1] && strchr(signs, *self->token.text)) {
        const char *sign = self->token.text;
        mssql_expression_advance(self);
        struct node *b = operand(self);
        if (b && (a->kind == NODE_PREDICATE || b->kind == NODE_PREDICATE))
            return mssql_expression_refuse(self, "a condition is no number");
        a = b ? arithmetic(self, a, sign, b) : NULL;
    }
    return a;
}

static struct node *product(struct mssql_expression *self)
{
    return series(self, "*/%", unary);
}

static struct node *sum(struct mssql_expression *self)
{
    return series(self, "+-&|^", product);
}

struct node *mssql_expression_plain(struct mssql_expression *self)
{
    struct node *n = sum(self);
    return n && n->kind == NODE_PREDICATE ? mssql_expression_refuse(self, "a condition is no value") : n;
}

/* --- predicates --- */

/* A text as = sees it. */
static struct node *folded(struct mssql_expression *self, struct node *n, bool lower)
{
    bool ascii = n->literal != NULL;
    for (const char *p = n->literal; ascii && *p; p++)
        ascii = !(*p & 0x80);
    struct node *out = arena_copy(self->arena, n, sizeof(*n));
    if (!ascii) {
        out->sql = mssql_expression_text(self, lower ? "lower(rtrim(%s))" : "rtrim(%s)", n->sql);
        out->atom = true;
        return out;
    }
    char *text = arena_strdup(self->arena, n->literal);
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        text[--length] = '\0';
    for (char *p = text; lower && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    struct buffer sql = {0};
    sql_literal(&sql, text);
    out->sql = arena_strdup(self->arena, buffer_text(&sql));
    buffer_free(&sql);
    return out;
}

static bool no_accents(struct mssql_expression *self, const struct node *a, const struct node *b)
{
    if (a->folds_accents || b->folds_accents)
        mssql_expression_refuse(self, "the collation ignores accents, PostgreSQL would not");
    return !self->failed;
}

static struct node *compare(struct mssql_expression *self, struct node *a, const char *sign, struct node *b)
{
    bool equality = strcmp(sign, "=") == 0 || strcmp(sign, "<>") == 0;
    if (a->kind == NODE_PREDICATE || b->kind == NODE_PREDICATE)
        return mssql_expression_refuse(self, "a condition is no value");
    if (!mssql_literal_meet(self, &a, &b))
        return NULL;
    if (a->kind == NODE_OTHER)
        return mssql_expression_refuse(self, "values of this type don't compare on the target");
    if (a->kind == NODE_UUID && !equality)
        return mssql_expression_refuse(self, "the two sides order uniqueidentifier differently");
    if (a->kind == NODE_TEXT) {
        bool lower = a->folds_case || b->folds_case;
        if (!equality)
            return mssql_expression_refuse(self, "the order of texts is the collation's");
        if (!no_accents(self, a, b))
            return NULL;
        a = folded(self, a, lower);
        b = folded(self, b, lower);
    }
    return join(self, NODE_PREDICATE, a, sign, b);
}

/* Last blanks count in nchar and nvarchar; in char and varchar a value matches with or without them. */
static char *like_sql(struct mssql_expression *self, const struct node *a, bool negated,
                      const struct node *pattern, const char *escape)
{
    const char *value = wrapped(self, a), *word = a->folds_case ? "ILIKE" : "LIKE";
    size_t length = strlen(pattern->literal);
    if (a->unicode || (length > 0 && pattern->literal[length - 1] == '%'))
        return mssql_expression_text(self, "%s %s%s %s%s", value, negated ? "NOT " : "", word, pattern->sql,
                                     escape);
    return mssql_expression_text(self, "%s(%s %s %s%s OR rtrim(%s) %s %s%s)", negated ? "NOT " : "", value,
                                 word, pattern->sql, escape, a->sql, word, pattern->sql, escape);
}

static struct node *like(struct mssql_expression *self, struct node *a, bool negated)
{
    struct node *pattern = mssql_expression_plain(self);
    struct buffer escape = {0};
    if (!pattern)
        return NULL;
    if (a->kind != NODE_TEXT || pattern->kind != NODE_TEXT || !pattern->literal)
        return mssql_expression_refuse(self, "LIKE is translated only of a text and a constant");
    if (mssql_expression_word(self, "ESCAPE")) {
        struct node *with = mssql_expression_plain(self);
        if (!with || !with->literal)
            return mssql_expression_refuse(self, "ESCAPE is translated only of a constant");
        buffer_printf(&escape, " ESCAPE %s", with->sql);
    } else if (strchr(pattern->literal, '\\')) {
        buffer_puts(&escape, " ESCAPE ''");
    }
    const char *p = pattern->literal;
    size_t length = strlen(p);
    char *sql = NULL;
    if (strchr(p, '['))
        mssql_expression_refuse(self, "LIKE has no classes of characters in PostgreSQL");
    else if (length > 0 && p[length - 1] == ' ')
        mssql_expression_refuse(self, "LIKE treats a pattern's last blanks differently");
    else if (no_accents(self, a, a))
        sql = like_sql(self, a, negated, pattern, buffer_text(&escape));
    buffer_free(&escape);
    return sql ? mssql_expression_node(self, NODE_PREDICATE, sql) : NULL;
}

static struct node *negation(struct mssql_expression *self, const struct node *n)
{
    struct node *out =
        mssql_expression_node(self, NODE_PREDICATE, mssql_expression_text(self, "NOT (%s)", n->sql));
    out->stable = n->stable;
    out->now = n->now;
    return out;
}

static struct node *in_list(struct mssql_expression *self, struct node *a)
{
    struct node *all = NULL;
    if (!mssql_expression_expect(self, "("))
        return NULL;
    do {
        struct node *item = mssql_expression_plain(self);
        struct node *one = item ? compare(self, a, "=", item) : NULL;
        if (!one)
            return NULL;
        all = all ? join(self, NODE_PREDICATE, all, "OR", one) : one;
    } while (mssql_expression_sign(self, ","));
    return mssql_expression_expect(self, ")") ? all : NULL;
}

static struct node *between(struct mssql_expression *self, struct node *a)
{
    struct node *low = mssql_expression_plain(self);
    if (!low)
        return NULL;
    if (!mssql_expression_word(self, "AND"))
        return mssql_expression_refuse(self, "BETWEEN has no AND");
    struct node *high = mssql_expression_plain(self);
    low = high ? compare(self, a, ">=", low) : NULL;
    high = low ? compare(self, a, "<=", high) : NULL;
    return high ? join(self, NODE_PREDICATE, low, "AND", high) : NULL;
}

static struct node *is_null(struct mssql_expression *self, const struct node *a)
{
    bool negated = mssql_expression_word(self, "NOT");
    if (!mssql_expression_word(self, "NULL"))
        return mssql_expression_refuse(self, "IS is translated only with NULL");
    struct node *n = mssql_expression_node(
        self, NODE_PREDICATE,
        mssql_expression_text(self, "%s IS %sNULL", wrapped(self, a), negated ? "NOT " : ""));
    n->stable = a->stable;
    n->now = a->now;
    return n;
}

static struct node *worded(struct mssql_expression *self, struct node *a)
{
    bool negated = mssql_expression_word(self, "NOT");
    struct node *n = NULL;
    if (mssql_expression_word(self, "LIKE"))
        return like(self, a, negated);
    if (mssql_expression_word(self, "IN"))
        n = in_list(self, a);
    else if (mssql_expression_word(self, "BETWEEN"))
        n = between(self, a);
    else if (negated)
        return mssql_expression_refuse(self, "NOT stands before something unknown");
    else
        return a;
    return n && negated ? negation(self, n) : n;
}

static struct node *predicate(struct mssql_expression *self)
{
    static const char *const signs[][2] = {{"=", "="}, {"<>", "<>"}, {"!=", "<>"}, {"<=", "<="}, {">=", ">="},
                                           {"<", "<"}, {">", ">"},   {"!<", ">="}, {"!>", "<="}};
    struct node *a = sum(self);
    if (!a)
        return NULL;
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (mssql_expression_sign(self, signs[i][0])) {
            struct node *b = sum(self);
            return b ? compare(self, a, signs[i][1], b) : NULL;
        }
    }
    if (mssql_expression_word(self, "IS"))
        return is_null(self, a);
    return worded(self, a);
}

static struct node *inverse(struct mssql_expression *self)
{
    if (!mssql_expression_word(self, "NOT"))
        return predicate(self);
    self->depth++;
    struct node *n =
        self->depth < DEPTH_MAX ? inverse(self) : mssql_expression_refuse(self, "it is nested too deeply");
    self->depth--;
    if (n && n->kind != NODE_PREDICATE)
        return mssql_expression_refuse(self, "NOT of a value");
    return n ? negation(self, n) : NULL;
}

static struct node *logic(struct mssql_expression *self, const char *word,
                          struct node *(*operand)(struct mssql_expression *self))
{
    struct node *a = operand(self);
    while (a && mssql_expression_word(self, word)) {
        struct node *b = operand(self);
        if (b && (a->kind != NODE_PREDICATE || b->kind != NODE_PREDICATE))
            return mssql_expression_refuse(self, "%s of values", word);
        a = b ? join(self, NODE_PREDICATE, a, word, b) : NULL;
    }
    return a;
}

static struct node *conjunction(struct mssql_expression *self)
{
    return logic(self, "AND", inverse);
}

struct node *mssql_expression_any(struct mssql_expression *self)
{
    return logic(self, "OR", conjunction);
}

/* --- */

static struct node *whole(struct mssql_expression *self, const char *text)
{
    if (strlen(text) > TEXT_MAX)
        return mssql_expression_refuse(self, "it is too long");
    self->at = text;
    mssql_expression_advance(self);
    struct node *n = mssql_expression_any(self);
    if (n && self->token.type != TOKEN_END)
        return mssql_expression_refuse(self, "%s is not understood there", self->token.text);
    return n;
}

bool mssql_expression_condition(const struct mssql_expression_rules *rules, const char *text,
                                struct buffer *out, struct buffer *why)
{
    struct mssql_expression self = {.rules = rules, .arena = arena_new(), .why = why};
    const struct node *n = whole(&self, text);
    if (n && n->kind != NODE_PREDICATE)
        n = mssql_expression_refuse(&self, "it is no condition");
    else if (n && n->now)
        n = mssql_expression_refuse(
            &self, "it depends on the present time: rows that were good once would be refused later");
    else if (n && n->stable)
        n = mssql_expression_refuse(&self, "it depends on settings of the session");
    n = self.failed ? NULL : n;
    if (n)
        buffer_puts(out, n->sql);
    arena_free(self.arena);
    return n != NULL;
}

bool mssql_expression_value(const struct mssql_expression_rules *rules, const struct ms_catalog_column *of,
                            bool immutable, const char *text, struct buffer *out, struct buffer *why)
{
    struct mssql_expression self = {.rules = rules, .arena = arena_new(), .why = why};
    struct node *n = whole(&self, text);
    if (n && n->kind == NODE_PREDICATE)
        n = mssql_expression_refuse(&self, "it is a condition");
    if (n)
        n = mssql_literal_as(&self, n, mssql_literal_kind(&of->type), &of->type);
    if (n && immutable && (n->stable || n->now))
        n = mssql_expression_refuse(&self, "it depends on more than the row");
    n = self.failed ? NULL : n;
    if (n)
        buffer_printf(out, n->atom || !immutable ? "%s" : "(%s)", n->sql);
    arena_free(self.arena);
    return n != NULL;
}
