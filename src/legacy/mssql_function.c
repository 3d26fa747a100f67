/* SPDX-License-Identifier: PostgreSQL
 *
 * Calls of functions, conversions and CASE. A function stands here only if PostgreSQL's gives the same for
 * every argument that can come.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "legacy/mssql_expression_part.h"
#include "pgsql/type_name.h"

enum { ARGS_MAX = 16 };

struct args {
    struct node *list[ARGS_MAX];
    int count;
};

/* The list up to its closing parenthesis; the opening one is taken. */
static bool take_args(struct mssql_expression *self, struct args *out)
{
    out->count = 0;
    if (mssql_expression_sign(self, ")"))
        return true;
    do {
        if (out->count == ARGS_MAX) {
            mssql_expression_refuse(self, "it has too many arguments");
            return false;
        }
        struct node *n = mssql_expression_plain(self);
        if (!n)
            return false;
        out->list[out->count++] = n;
    } while (mssql_expression_sign(self, ","));
    return mssql_expression_expect(self, ")");
}

static void inherit(struct node *to, const struct node *from)
{
    to->stable |= from->stable;
    to->now |= from->now;
    to->folds_case |= from->folds_case;
    to->folds_accents |= from->folds_accents;
    to->unicode |= from->unicode;
}

static struct node *call_node(struct mssql_expression *self, enum node_kind kind, char *sql,
                              const struct args *args)
{
    struct node *n = mssql_expression_node(self, kind, sql);
    n->atom = true;
    for (int i = 0; args && i < args->count; i++)
        inherit(n, args->list[i]);
    return n;
}

/* --- the present time --- */

static struct node *now(struct mssql_expression *self, enum node_kind kind, const char *sql)
{
    struct node *n = mssql_expression_node(self, kind, arena_strdup(self->arena, sql));
    n->atom = n->stable = n->now = true;
    return n;
}

static struct node *present(struct mssql_expression *self, const char *name)
{
    if (strcasecmp(name, "getdate") == 0 || strcasecmp(name, "sysdatetime") == 0)
        return now(self, NODE_TIMESTAMP, "LOCALTIMESTAMP");
    if (strcasecmp(name, "getutcdate") == 0 || strcasecmp(name, "sysutcdatetime") == 0)
        return now(self, NODE_TIMESTAMP, "(now() AT TIME ZONE 'UTC')");
    if (strcasecmp(name, "sysdatetimeoffset") == 0)
        return now(self, NODE_TIMESTAMPTZ, "now()");
    return NULL;
}

struct node *mssql_function_bare(struct mssql_expression *self, const char *name)
{
    if (strcasecmp(name, "CURRENT_TIMESTAMP") == 0)
        return now(self, NODE_TIMESTAMP, "LOCALTIMESTAMP");
    if (strcasecmp(name, "CURRENT_USER") == 0 || strcasecmp(name, "SESSION_USER") == 0 ||
        strcasecmp(name, "SYSTEM_USER") == 0 || strcasecmp(name, "USER") == 0)
        return mssql_expression_refuse(self, "%s: who is logged in is called something else there", name);
    return NULL;
}

/* --- conversion --- */

static int whole_number(struct mssql_expression *self)
{
    int n = self->token.type == TOKEN_NUMBER ? atoi(self->token.text) : -1;
    mssql_expression_advance(self);
    return n;
}

/* What a conversion without a size means. */
static void default_size(struct ms_column_type *t)
{
    enum ms_type_id id = t->type->id;
    if (id == MS_DECIMAL || id == MS_NUMERIC)
        t->precision = 18;
    else if (id == MS_TIME || id == MS_DATETIME2 || id == MS_DATETIMEOFFSET)
        t->scale = 7;
    else if (id == MS_NCHAR || id == MS_NVARCHAR)
        t->max_length = 60;
    else
        t->max_length = 30;
}

static bool put_size(struct mssql_expression *self, struct ms_column_type *t)
{
    enum ms_type_id id = t->type->id;
    if (!mssql_expression_sign(self, "("))
        return true;
    if (mssql_expression_word(self, "max")) {
        t->max_length = -1;
        return mssql_expression_expect(self, ")");
    }
    int first = whole_number(self), second = mssql_expression_sign(self, ",") ? whole_number(self) : 0;
    if (first < 0 || first > 8000 || second < 0 || second > 38) {
        mssql_expression_refuse(self, "%s has a size that is not understood", t->type->name);
        return false;
    }
    t->precision = id == MS_DECIMAL || id == MS_NUMERIC ? (uint8_t)first : 0;
    t->scale = (uint8_t)(id == MS_DECIMAL || id == MS_NUMERIC ? second : first <= 7 ? first : 0);
    t->max_length = (int16_t)(id == MS_NCHAR || id == MS_NVARCHAR ? 2 * first : first);
    return mssql_expression_expect(self, ")");
}

static bool take_type(struct mssql_expression *self, struct ms_column_type *out)
{
    *out = (struct ms_column_type){0};
    const char *name = self->token.text;
    if (self->token.type != TOKEN_NAME || !(out->type = ms_type_named(name))) {
        mssql_expression_refuse(self, "%s is no type that is known", name);
        return false;
    }
    mssql_expression_advance(self);
    default_size(out);
    return put_size(self, out);
}

static bool is_integer(const struct ms_column_type *t)
{
    enum ms_type_id id = t->type->id;
    return id == MS_TINYINT || id == MS_SMALLINT || id == MS_INT || id == MS_BIGINT;
}

static struct node *convert(struct mssql_expression *self, const struct ms_column_type *t, struct node *n)
{
    enum node_kind kind = mssql_literal_kind(t);
    const struct ms_carrier *carrier = ms_type_carrier(t->type);
    struct buffer type = {0};
    struct node *out;
    if (n->kind == NODE_NULL)
        return n;
    if (n->literal && !(kind == NODE_TEXT && n->kind == NODE_TEXT) &&
        !(kind == NODE_NUMBER && n->kind == NODE_NUMBER))
        return mssql_literal_as(self, n, kind, t);
    bool number_text = kind == NODE_TEXT && n->kind == NODE_NUMBER && n->integer;
    bool bit_number = kind == NODE_NUMBER && n->kind == NODE_BOOL && is_integer(t);
    bool whole = !is_integer(t) || n->integer || n->kind == NODE_BOOL;
    if (!number_text && !bit_number && (n->kind != kind || !whole || kind == NODE_OTHER))
        return n->kind == kind || kind == NODE_OTHER
                   ? mssql_expression_refuse(self, "a conversion to %s is not translated", t->type->name)
                   : mssql_literal_as(self, n, kind, t);
    if (!type_name(&type, carrier->oid, ms_type_modifier(t, carrier)))
        out = mssql_expression_refuse(self, "a conversion to %s is not translated", t->type->name);
    else
        out = mssql_expression_node(
            self, kind,
            mssql_expression_text(self, bit_number ? "CAST(CAST(%s AS integer) AS %s)" : "CAST(%s AS %s)",
                                  n->sql, buffer_text(&type)));
    buffer_free(&type);
    if (!out)
        return NULL;
    inherit(out, n);
    out->atom = true;
    out->integer = is_integer(t);
    out->padded = carrier->oid == MS_OID_BPCHAR;
    return out;
}

/* CONVERT(type, value[, style]); of the styles only those that literals are read the same by. */
static struct node *convert_call(struct mssql_expression *self)
{
    struct ms_column_type type;
    if (!take_type(self, &type) || !mssql_expression_expect(self, ","))
        return NULL;
    struct node *n = mssql_expression_plain(self), *style = NULL;
    if (n && mssql_expression_sign(self, ",") && !(style = mssql_expression_plain(self)))
        return NULL;
    if (!n || !mssql_expression_expect(self, ")"))
        return NULL;
    if (style &&
        !(n->literal && style->literal && strspn(style->literal, "0123456789") > 0 &&
          strstr(" 0 20 21 23 112 120 121 126 127 ", mssql_expression_text(self, " %s ", style->literal))))
        return mssql_expression_refuse(self, "CONVERT with a style is not translated");
    return convert(self, &type, n);
}

static struct node *cast_call(struct mssql_expression *self)
{
    struct ms_column_type type;
    struct node *n = mssql_expression_plain(self);
    if (!n)
        return NULL;
    if (!mssql_expression_word(self, "AS"))
        return mssql_expression_refuse(self, "CAST has no AS");
    return take_type(self, &type) && mssql_expression_expect(self, ")") ? convert(self, &type, n) : NULL;
}

/* --- parts of dates --- */

static struct node *part_of(struct mssql_expression *self, const char *part, struct node *n)
{
    bool clock = strcmp(part, "hour") == 0 || strcmp(part, "minute") == 0 || strcmp(part, "second") == 0;
    if (!n)
        return NULL;
    if (n->kind != NODE_TIMESTAMP && !(n->kind == NODE_DATE && !clock) && !(n->kind == NODE_TIME && clock))
        return mssql_expression_refuse(self, "a part of %s is not translated", n->sql);
    const struct args args = {{n}, 1};
    struct node *out = call_node(self, NODE_NUMBER,
                                 mssql_expression_text(self,
                                                       strcmp(part, "second") == 0
                                                           ? "CAST(floor(extract(%s FROM %s)) AS integer)"
                                                           : "CAST(extract(%s FROM %s) AS integer)",
                                                       part, n->sql),
                                 &args);
    out->integer = true;
    return out;
}

static struct node *datepart(struct mssql_expression *self)
{
    static const char *const parts[][2] = {
        {"year", "year"},     {"yyyy", "year"},     {"yy", "year"},     {"quarter", "quarter"},
        {"qq", "quarter"},    {"q", "quarter"},     {"month", "month"}, {"mm", "month"},
        {"m", "month"},       {"dayofyear", "doy"}, {"dy", "doy"},      {"y", "doy"},
        {"day", "day"},       {"dd", "day"},        {"d", "day"},       {"hour", "hour"},
        {"hh", "hour"},       {"minute", "minute"}, {"mi", "minute"},   {"n", "minute"},
        {"second", "second"}, {"ss", "second"},     {"s", "second"}};
    const char *found = NULL, *name = self->token.text;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcasecmp(parts[i][0], name) == 0)
            found = parts[i][1];
    }
    if (!found)
        return mssql_expression_refuse(self, "DATEPART of %s is not translated", name);
    mssql_expression_advance(self);
    if (!mssql_expression_expect(self, ","))
        return NULL;
    struct node *n = part_of(self, found, mssql_expression_plain(self));
    return n && mssql_expression_expect(self, ")") ? n : NULL;
}

/* --- values to choose from --- */

/* All of one kind: that of the first that is no constant, else of the first. */
static bool unify(struct mssql_expression *self, struct node **list, int count, enum node_kind *kind)
{
    const struct node *model = NULL;
    for (int i = 0; i < count; i++) {
        if (list[i]->kind != NODE_NULL && (!model || (model->literal && !list[i]->literal)))
            model = list[i];
    }
    *kind = model ? model->kind : NODE_NULL;
    for (int i = 0; i < count; i++) {
        if (model && !(list[i] = mssql_literal_as(self, list[i], *kind, NULL)))
            return false;
    }
    return true;
}

static struct node *choice(struct mssql_expression *self, const char *function, struct args *args)
{
    enum node_kind kind;
    struct buffer sql = {0};
    if (!unify(self, args->list, args->count, &kind))
        return NULL;
    if (strcmp(function, "nullif") == 0 && kind == NODE_TEXT)
        return mssql_expression_refuse(self, "NULLIF of texts compares by the collation");
    buffer_printf(&sql, "%s(", function);
    bool whole = true;
    for (int i = 0; i < args->count; i++) {
        buffer_printf(&sql, "%s%s", i ? ", " : "", args->list[i]->sql);
        whole &= args->list[i]->integer;
    }
    buffer_putc(&sql, ')');
    struct node *n = call_node(self, kind, arena_strdup(self->arena, buffer_text(&sql)), args);
    n->integer = whole;
    buffer_free(&sql);
    return n;
}

static struct node *finish_case(struct mssql_expression *self, struct node **conditions, struct node **values,
                                int count, struct node *otherwise)
{
    enum node_kind kind;
    struct buffer sql = {0};
    struct node *all[ARGS_MAX + 1];
    memcpy(all, values, (size_t)count * sizeof(*all));
    if (otherwise)
        all[count] = otherwise;
    int n = count + (otherwise != NULL);
    if (!unify(self, all, n, &kind))
        return NULL;
    buffer_puts(&sql, "CASE");
    for (int i = 0; i < count; i++)
        buffer_printf(&sql, " WHEN %s THEN %s", conditions[i]->sql, all[i]->sql);
    if (otherwise)
        buffer_printf(&sql, " ELSE %s", all[count]->sql);
    buffer_puts(&sql, " END");
    struct node *out = call_node(self, kind, arena_strdup(self->arena, buffer_text(&sql)), NULL);
    buffer_free(&sql);
    out->integer = true;
    for (int i = 0; i < n; i++) {
        inherit(out, all[i]);
        out->integer &= all[i]->integer;
    }
    for (int i = 0; i < count; i++) {
        out->stable |= conditions[i]->stable;
        out->now |= conditions[i]->now;
    }
    return out;
}

static struct node *condition(struct mssql_expression *self)
{
    struct node *n = mssql_expression_any(self);
    return n && n->kind != NODE_PREDICATE ? mssql_expression_refuse(self, "it is no condition") : n;
}

/* CASE WHEN condition THEN value … ELSE value END; the form that compares one value is not translated. */
struct node *mssql_function_case(struct mssql_expression *self)
{
    struct node *conditions[ARGS_MAX], *values[ARGS_MAX], *otherwise = NULL;
    int count = 0;
    while (mssql_expression_word(self, "WHEN")) {
        if (count == ARGS_MAX)
            return mssql_expression_refuse(self, "CASE has too many branches");
        if (!(conditions[count] = condition(self)))
            return NULL;
        if (!mssql_expression_word(self, "THEN"))
            return mssql_expression_refuse(self, "WHEN has no THEN");
        if (!(values[count++] = mssql_expression_plain(self)))
            return NULL;
    }
    if (count == 0)
        return mssql_expression_refuse(self, "CASE of a value is not translated");
    if (mssql_expression_word(self, "ELSE") && !(otherwise = mssql_expression_plain(self)))
        return NULL;
    if (!mssql_expression_word(self, "END"))
        return mssql_expression_refuse(self, "CASE has no END");
    return finish_case(self, conditions, values, count, otherwise);
}

static struct node *iif(struct mssql_expression *self)
{
    struct node *when = condition(self), *values[2] = {NULL, NULL};
    for (int i = 0; when && i < 2; i++) {
        if (!mssql_expression_expect(self, ",") || !(values[i] = mssql_expression_plain(self)))
            return NULL;
    }
    if (!when || !mssql_expression_expect(self, ")"))
        return NULL;
    return finish_case(self, &when, values, 1, values[1]);
}

/* --- functions of texts and numbers --- */

enum shape { TEXT_TO_TEXT, TEXT_TO_LENGTH, NUMBER_TO_NUMBER };

static const struct simple {
    const char *name;
    enum shape shape;
    int args;
    const char *before, *after; /* around the arguments */
    bool whole;                 /* an integer stays one */
} simple[] = {
    {"len", TEXT_TO_LENGTH, 1, "length(rtrim(", "))", true},
    {"upper", TEXT_TO_TEXT, 1, "upper(", ")", false},
    {"lower", TEXT_TO_TEXT, 1, "lower(", ")", false},
    {"ltrim", TEXT_TO_TEXT, 1, "ltrim(", ")", false},
    {"rtrim", TEXT_TO_TEXT, 1, "rtrim(", ")", false},
    {"trim", TEXT_TO_TEXT, 1, "btrim(", ")", false},
    {"abs", NUMBER_TO_NUMBER, 1, "abs(", ")", true},
    {"floor", NUMBER_TO_NUMBER, 1, "floor(", ")", false},
    {"ceiling", NUMBER_TO_NUMBER, 1, "ceil(", ")", false},
    {"sqrt", NUMBER_TO_NUMBER, 1, "sqrt(CAST(", " AS double precision))", false},
    {"sign", NUMBER_TO_NUMBER, 1, "sign(", ")", false},
};

static struct node *simple_call(struct mssql_expression *self, const struct simple *f, struct args *args)
{
    struct node *n = args->list[0];
    enum node_kind wanted = f->shape == NUMBER_TO_NUMBER ? NODE_NUMBER : NODE_TEXT;
    if (args->count != f->args)
        return mssql_expression_refuse(self, "%s has %d arguments", f->name, args->count);
    if (n->kind != wanted)
        return mssql_expression_refuse(self, "%s of %s is not translated", f->name, n->sql);
    struct node *out = call_node(self, f->shape == TEXT_TO_TEXT ? NODE_TEXT : NODE_NUMBER,
                                 mssql_expression_text(self, "%s%s%s", f->before, n->sql, f->after), args);
    out->integer = f->shape == TEXT_TO_LENGTH || (f->whole && n->integer);
    return out;
}

/* LEFT, RIGHT and SUBSTRING with constants that neither side reads otherwise. */
static struct node *slice(struct mssql_expression *self, const char *name, struct args *args)
{
    bool three = strcasecmp(name, "substring") == 0;
    if (args->count != (three ? 3 : 2) || args->list[0]->kind != NODE_TEXT || args->list[0]->padded)
        return mssql_expression_refuse(self, "%s of these arguments is not translated", name);
    for (int i = 1; i < args->count; i++) {
        const struct node *n = args->list[i];
        if (!n->literal || !n->integer || *n->literal == '-' || (three && i == 1 && atoi(n->literal) < 1))
            return mssql_expression_refuse(self, "%s is translated only with positive constants", name);
    }
    const struct node *const *a = (const struct node *const *)args->list;
    char *sql = three ? mssql_expression_text(self, "substr(%s, %s, %s)", a[0]->sql, a[1]->sql, a[2]->sql)
                      : mssql_expression_text(self, "%s(%s, %s)",
                                              strcasecmp(name, "left") == 0 ? "\"left\"" : "\"right\"",
                                              a[0]->sql, a[1]->sql);
    return call_node(self, NODE_TEXT, sql, args);
}

static struct node *datalength(struct mssql_expression *self, struct args *args)
{
    if (args->count != 1 || args->list[0]->kind != NODE_BYTES)
        return mssql_expression_refuse(self, "DATALENGTH is translated only of binary");
    struct node *n = call_node(self, NODE_NUMBER,
                               mssql_expression_text(self, "octet_length(%s)", args->list[0]->sql), args);
    n->integer = true;
    return n;
}

static struct node *new_uuid(struct mssql_expression *self)
{
    if (self->rules->target_version < 130000)
        return mssql_expression_refuse(self, "the target's PostgreSQL makes no uuid without an extension");
    struct node *n = call_node(self, NODE_UUID, arena_strdup(self->arena, "gen_random_uuid()"), NULL);
    n->stable = true;
    return n;
}

static struct node *with_args(struct mssql_expression *self, const char *name, struct args *args)
{
    struct node *n = args->count == 0 ? present(self, name) : NULL;
    if (n)
        return n;
    if (strcasecmp(name, "newid") == 0 || strcasecmp(name, "newsequentialid") == 0)
        return new_uuid(self);
    if (strcasecmp(name, "isnull") == 0 && args->count == 2)
        return choice(self, "coalesce", args);
    if (strcasecmp(name, "coalesce") == 0 && args->count > 0)
        return choice(self, "coalesce", args);
    if (strcasecmp(name, "nullif") == 0 && args->count == 2)
        return choice(self, "nullif", args);
    if (strcasecmp(name, "left") == 0 || strcasecmp(name, "right") == 0 || strcasecmp(name, "substring") == 0)
        return slice(self, name, args);
    if (strcasecmp(name, "datalength") == 0)
        return datalength(self, args);
    if (args->count == 1 &&
        (strcasecmp(name, "year") == 0 || strcasecmp(name, "month") == 0 || strcasecmp(name, "day") == 0))
        return part_of(self,
                       strcasecmp(name, "year") == 0    ? "year"
                       : strcasecmp(name, "month") == 0 ? "month"
                                                        : "day",
                       args->list[0]);
    for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++) {
        if (strcasecmp(simple[i].name, name) == 0 && args->count > 0)
            return simple_call(self, &simple[i], args);
    }
    return mssql_expression_refuse(self, "function %s is not translated", name);
}

struct node *mssql_function_call(struct mssql_expression *self, const char *name)
{
    struct args args;
    struct node *n = NULL;
    mssql_expression_advance(self); /* ( */
    if (strcasecmp(name, "convert") == 0)
        n = convert_call(self);
    else if (strcasecmp(name, "cast") == 0)
        n = cast_call(self);
    else if (strcasecmp(name, "datepart") == 0)
        n = datepart(self);
    else if (strcasecmp(name, "iif") == 0)
        n = iif(self);
    else if (strncasecmp(name, "date", 4) == 0 && strcasecmp(name, "datalength") != 0)
        n = mssql_expression_refuse(self, "function %s is not translated", name); /* DATEADD(day, …) */
    else if (take_args(self, &args))
        n = with_args(self, name, &args);
    return n;
}
