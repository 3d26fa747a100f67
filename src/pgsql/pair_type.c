/* SPDX-License-Identifier: PostgreSQL
 *
 * The compatibility table of column types. A value travels in one of three ways: as its binary format where
 * both sides have the same; as the source's binary format with a cast, only where cast and text input
 * give the same result (int4 to int8: yes; float8 to numeric: no, the cast rounds to 15 digits); else as
 * text, read by the sink type's own input function, exactly as COPY would. What text input would change
 * without an error (timestamp to date, text to name) is unfit.
 */
#include "pgsql/pair_type.h"

#include <string.h>

#include "pgsql/pair_names.h"
#include "pgsql/sql.h"

struct type_pair {
    const char *from, *to;
    enum pair_fit fit;
    bool stream_binary;
    const char *why;
};

static const char out_of_range[] = "a value out of range is refused";
static const char fraction[] = "a value with a fraction or out of range is refused";
static const char digits[] = "digits beyond the target's precision are lost";
static const char zone[] = "values are read as UTC";

static const struct type_pair pairs[] = {
    {"int2", "int4", PAIR_FIT, true, NULL},
    {"int2", "int8", PAIR_FIT, true, NULL},
    {"int4", "int8", PAIR_FIT, true, NULL},
    {"int2", "numeric", PAIR_FIT, true, NULL},
    {"int4", "numeric", PAIR_FIT, true, NULL},
    {"int8", "numeric", PAIR_FIT, true, NULL},
    {"int2", "float4", PAIR_FIT, true, NULL},
    {"int2", "float8", PAIR_FIT, true, NULL},
    {"int4", "float8", PAIR_FIT, true, NULL},
    {"int4", "float4", PAIR_RISKY, false, digits},
    {"int8", "float4", PAIR_RISKY, false, digits},
    {"int8", "float8", PAIR_RISKY, false, digits},
    {"int8", "int4", PAIR_RISKY, true, out_of_range},
    {"int8", "int2", PAIR_RISKY, true, out_of_range},
    {"int4", "int2", PAIR_RISKY, true, out_of_range},
    {"numeric", "int2", PAIR_RISKY, false, fraction},
    {"numeric", "int4", PAIR_RISKY, false, fraction},
    {"numeric", "int8", PAIR_RISKY, false, fraction},
    {"float4", "int4", PAIR_RISKY, false, fraction},
    {"float4", "int8", PAIR_RISKY, false, fraction},
    {"float8", "int4", PAIR_RISKY, false, fraction},
    {"float8", "int8", PAIR_RISKY, false, fraction},
    {"float4", "float8", PAIR_FIT, false, NULL},
    {"float8", "float4", PAIR_RISKY, false, digits},
    {"numeric", "float8", PAIR_RISKY, false, digits},
    {"numeric", "float4", PAIR_RISKY, false, digits},
    {"float4", "numeric", PAIR_RISKY, false, "infinities are refused before 14"},
    {"float8", "numeric", PAIR_RISKY, false, "infinities are refused before 14"},
    {"money", "numeric", PAIR_RISKY, false, "money is written with its currency sign, which numeric refuses"},
    {"oid", "int8", PAIR_FIT, true, NULL},
    {"int8", "oid", PAIR_RISKY, false, out_of_range},
    {"date", "timestamp", PAIR_FIT, true, NULL},
    {"date", "timestamptz", PAIR_RISKY, true, "midnight UTC is meant"},
    {"timestamp", "timestamptz", PAIR_RISKY, true, zone},
    {"timestamptz", "timestamp", PAIR_RISKY, true, "values are written as UTC"},
    {"time", "timetz", PAIR_RISKY, true, zone},
    {"time", "interval", PAIR_FIT, true, NULL},
    {"json", "jsonb", PAIR_RISKY, false, "values are normalised, and \\u0000 is refused"},
    {"jsonb", "json", PAIR_FIT, false, NULL},
    {"cidr", "inet", PAIR_FIT, true, NULL},
    {"inet", "cidr", PAIR_RISKY, false, "a value with bits right of its mask is refused"},
    {"macaddr", "macaddr8", PAIR_FIT, false, NULL},
    {"bit", "varbit", PAIR_FIT, false, NULL},
    {"varbit", "bit", PAIR_RISKY, false, "another length is refused"},
    {"xid", "xid8", PAIR_FIT, false, NULL},
};

/* Their binary format is something else on another server: names resolved to oids. */
static const char *const by_name_only[] = {"regproc",   "regprocedure",  "regoper",     "regoperator",
                                           "regclass",  "regtype",       "regrole",     "regnamespace",
                                           "regconfig", "regdictionary", "regcollation"};

static const char *const bytewise[] = {"int2",      "int4",        "int8",   "oid",   "bool", "uuid",
                                       "text",      "varchar",     "name",   "bytea", "char", "date",
                                       "timestamp", "timestamptz", "time",   "inet",  "cidr", "macaddr",
                                       "macaddr8",  "money",       "pg_lsn", "xid8"};

static bool listed(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], name) == 0)
            return true;
    }
    return false;
}
#define LISTED(list, name) listed(list, sizeof(list) / sizeof((list)[0]), name)

static bool builtin(const struct pg_type_info *t)
{
    return strcmp(t->schema, "pg_catalog") == 0;
}

static bool named(const struct pg_type_info *t, const char *name)
{
    return builtin(t) && strcmp(t->name, name) == 0;
}

/* Types whose binary format is their characters. */
static bool textual(const struct pg_type_info *t)
{
    return named(t, "text") || named(t, "varchar") || named(t, "bpchar") || named(t, "name") ||
           (t->kind == 'b' && strcmp(t->name, "citext") == 0);
}

bool pair_type_refuses_only(const struct pair_type *self)
{
    return self->fit == PAIR_FIT || strcmp(self->code, "length_narrower") == 0 ||
           strcmp(self->code, "range_narrower") == 0 || strcmp(self->code, "domain") == 0;
}

bool pair_type_bytewise(const struct pg_type_info *base, int32_t modifier, bool deterministic)
{
    if (!base || !deterministic)
        return false;
    if (base->kind == 'e')
        return true;
    if (!builtin(base))
        return false;
    if (strcmp(base->name, "bpchar") == 0)
        return modifier >= 4; /* always padded to the same length */
    return LISTED(bytewise, base->name);
}

static void judge(struct pair_type *out, enum pair_fit fit, const char *code, const char *why)
{
    if (fit <= out->fit)
        return;
    out->fit = fit;
    out->code = code;
    buffer_clear(&out->why);
    buffer_puts(&out->why, why);
}

/* A type of the user's own: the same name in the schema that the config maps to. A base type belongs to an
 * extension, which may live in another schema. */
static bool same_type(const struct pair_sides *sides, const struct pg_type_info *a,
                      const struct pg_type_info *b)
{
    if (strcmp(a->name, b->name) != 0 || a->kind != b->kind)
        return false;
    if (builtin(a) || builtin(b))
        return builtin(a) && builtin(b);
    return a->kind == 'b' || strcmp(pair_schema(sides->config, a->schema), b->schema) == 0;
}

static bool has_label(const struct pg_type_info *t, const char *label)
{
    for (uint32_t i = 0; i < t->label_count; i++) {
        if (strcmp(t->labels[i], label) == 0)
            return true;
    }
    return false;
}

static void judge_enum(const struct pg_type_info *s, const struct pg_type_info *t, struct pair_type *out)
{
    struct buffer missing = {0};
    for (uint32_t i = 0; i < s->label_count; i++) {
        if (has_label(t, s->labels[i]))
            continue;
        buffer_puts(&missing, missing.length ? ", " : "the target's enum lacks ");
        sql_literal(&missing, s->labels[i]);
        buffer_printf(&out->sql, "%sALTER TYPE %s ADD VALUE ", out->sql.length ? " " : "", t->quoted);
        sql_literal(&out->sql, s->labels[i]);
        buffer_putc(&out->sql, ';');
    }
    if (missing.length)
        judge(out, PAIR_UNFIT, "enum_label_missing", buffer_text(&missing));
    buffer_free(&missing);
}

static int character_limit(const struct pg_type_info *t, int32_t modifier)
{
    if (named(t, "name"))
        return 63;
    return modifier >= 4 ? modifier - 4 : -1;
}

static void judge_length(const struct pg_type_info *s, int32_t smod, const struct pg_type_info *t,
                         int32_t tmod, struct pair_type *out)
{
    int limit = character_limit(t, tmod);
    int from = textual(s) ? character_limit(s, smod) : -1;
    if (limit < 0 || (from >= 0 && from <= limit) || s->kind == 'e')
        return;
    struct buffer why = {0};
    if (named(t, "name"))
        buffer_puts(&why, "what is longer than 63 bytes would be cut without an error");
    else
        buffer_printf(&why, "what is longer than %d characters is refused", limit);
    judge(out, named(t, "name") ? PAIR_UNFIT : PAIR_RISKY,
          named(t, "name") ? "type_mismatch" : "length_narrower", buffer_text(&why));
    buffer_free(&why);
}

/* Digits before and after the point that a source type can have; -1 is unlimited. */
static void numeric_digits(const struct pg_type_info *t, int32_t modifier, int *before, int *after)
{
    static const struct {
        const char *name;
        int before;
    } ints[] = {{"int2", 5}, {"int4", 10}, {"int8", 19}};
    *before = *after = -1;
    for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
        if (named(t, ints[i].name)) {
            *before = ints[i].before;
            *after = 0;
        }
    }
    if (named(t, "numeric") && modifier >= 4) {
        int precision = ((modifier - 4) >> 16) & 0xffff;
        *after = (((modifier - 4) & 0x7ff) ^ 1024) - 1024; /* negative since 15 */
        *before = precision - *after;
    }
}

static void judge_numeric(const struct pg_type_info *s, int32_t smod, const struct pg_type_info *t,
                          int32_t tmod, struct pair_type *out)
{
    int before, after, from_before, from_after;
    numeric_digits(t, tmod, &before, &after);
    numeric_digits(s, smod, &from_before, &from_after);
    if (before < 0 && after < 0)
        return;
    if (from_after < 0 || from_after > after)
        judge(out, PAIR_RISKY, "precision_narrower",
              "digits after the point beyond the target's are rounded off");
    else if (from_before < 0 || from_before > before)
        judge(out, PAIR_RISKY, "precision_narrower", "a value with more digits before the point is refused");
}

static void judge_time(int32_t smod, int32_t tmod, struct pair_type *out)
{
    int from = smod < 0 ? 6 : smod & 0xffff, to = tmod < 0 ? 6 : tmod & 0xffff;
    if (to < from)
        judge(out, PAIR_RISKY, "precision_narrower",
              "fractions of a second beyond the target's are rounded off");
}

/* What the target column's modifier adds: varchar(n), numeric(p,s), timestamp(p), bit(n). */
static void judge_modifier(const struct pg_type_info *s, int32_t smod, const struct pg_type_info *t,
                           int32_t tmod, struct pair_type *out)
{
    if (textual(t)) {
        judge_length(s, smod, t, tmod, out);
        return;
    }
    if (tmod < 0 || !builtin(t))
        return;
    bool same = strcmp(s->name, t->name) == 0;
    if (strcmp(t->name, "numeric") == 0)
        judge_numeric(s, smod, t, tmod, out);
    else if (strcmp(t->name, "interval") == 0 && same && smod != tmod)
        judge(out, PAIR_RISKY, "precision_narrower",
              "fields outside the target's range or precision are lost");
    else if (strncmp(t->name, "time", 4) == 0)
        judge_time(same ? smod : -1, tmod, out);
    else if (strstr(t->name, "bit") && (!same || smod != tmod))
        judge(out, PAIR_RISKY, "length_narrower", "another length is refused");
}

static void judge_same(const struct pair_sides *sides, const struct pg_type_info *s,
                       const struct pg_type_info *t, struct pair_type *out)
{
    bool binary = s->has_binary && t->has_binary && !(builtin(s) && LISTED(by_name_only, s->name)) &&
                  s->kind != 'c' && s->kind != 'p';
    if (s->kind == 'r' || s->kind == 'm') {
        const struct pg_type_info *sub = pg_catalog_type(sides->source, s->subtype_oid);
        binary = binary && sub && builtin(sub);
    }
    out->same_binary = out->stream_binary = binary;
    if (s->kind == 'e')
        judge_enum(s, t, out);
}

static void judge_different(const struct pg_type_info *s, const struct pg_type_info *t, struct pair_type *out)
{
    out->same_binary = out->stream_binary = false;
    if (textual(s) && textual(t)) {
        out->same_binary = out->stream_binary = true;
        if (strcmp(t->name, "citext") == 0)
            judge(out, PAIR_RISKY, "type_differs", "values that differ in case only become equal");
        return;
    }
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (!named(s, pairs[i].from) || !named(t, pairs[i].to))
            continue;
        out->stream_binary = pairs[i].stream_binary;
        if (pairs[i].fit != PAIR_FIT)
            judge(out, pairs[i].fit, pairs[i].why == out_of_range ? "range_narrower" : "type_differs",
                  pairs[i].why);
        return;
    }
    if (s->kind == 'e' && t->kind == 'e') {
        out->same_binary = out->stream_binary = true; /* labels */
        judge_enum(s, t, out);
        judge(out, PAIR_RISKY, "type_differs", "another enum, which has all the labels");
    } else if (textual(t)) {
        out->same_binary = out->stream_binary = s->kind == 'e'; /* sent as its label */
        if (s->kind != 'e' && !named(s, "uuid"))
            judge(out, PAIR_RISKY, "type_differs", "values are kept as their text");
    } else if (textual(s) && t->kind != 'p') {
        judge(out, PAIR_RISKY, "type_differs", "a text that the target's type can't read is refused");
    } else {
        judge(out, PAIR_UNFIT, "type_mismatch",
              "there is no way from the one to the other that keeps the value");
    }
}

static void judge_base(const struct pair_sides *sides, const struct pg_type_info *s, int32_t smod,
                       const struct pg_type_info *t, int32_t tmod, struct pair_type *out)
{
    if (same_type(sides, s, t))
        judge_same(sides, s, t, out);
    else
        judge_different(s, t, out);
    if (out->fit != PAIR_UNFIT)
        judge_modifier(s, smod, t, tmod, out);
}

/* The header of a binary array carries its element type's oid: the same only for built-in types. */
static void judge_array(const struct pair_sides *sides, const struct pg_type_info *s, int32_t smod,
                        const struct pg_type_info *t, int32_t tmod, struct pair_type *out)
{
    const struct pg_type_info *a = pg_catalog_type(sides->source, s->element_oid);
    const struct pg_type_info *b = pg_catalog_type(sides->sink, t->element_oid);
    const struct pg_type_info *abase = pg_catalog_base_type(sides->source, s->element_oid, &smod);
    const struct pg_type_info *bbase = pg_catalog_base_type(sides->sink, t->element_oid, &tmod);
    if (!a || !b || !abase || !bbase) {
        judge(out, PAIR_UNFIT, "type_mismatch", "the element type is not known");
        return;
    }
    judge_base(sides, abase, smod, bbase, tmod, out);
    bool same = builtin(a) && builtin(b) && strcmp(a->name, b->name) == 0 && out->same_binary;
    out->same_binary = out->stream_binary = same;
}

void pair_type_judge(const struct pair_sides *sides, const struct type *source, const struct type *sink,
                     struct pair_type *out)
{
    *out = (struct pair_type){.fit = PAIR_FIT};
    int32_t smod = source->modifier, tmod = sink->modifier;
    const struct pg_type_info *s = pg_catalog_base_type(sides->source, source->oid, &smod);
    const struct pg_type_info *t = pg_catalog_base_type(sides->sink, sink->oid, &tmod);
    if (!s || !t) {
        judge(out, PAIR_UNFIT, "type_mismatch", "the type is not known");
        return;
    }
    if (s->element_oid && t->element_oid)
        judge_array(sides, s, smod, t, tmod, out);
    else
        judge_base(sides, s, smod, t, tmod, out);
    const struct pg_type_info *sd = pg_catalog_type(sides->source, source->oid);
    const struct pg_type_info *td = pg_catalog_type(sides->sink, sink->oid);
    if (td->kind == 'd' && !(sd->kind == 'd' && same_type(sides, sd, td)))
        judge(out, PAIR_RISKY, "domain", "the target's domain may refuse values");
}

void pair_type_free(struct pair_type *self)
{
    buffer_free(&self->why);
    buffer_free(&self->sql);
}
