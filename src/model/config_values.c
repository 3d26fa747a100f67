/* SPDX-License-Identifier: PostgreSQL
 *
 * One value: from JSON by its option into its struct, from the struct to text. And one object: its members
 * against the options right under its prefix.
 */
#include "model/config_internal.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"

/* Integers above this are not exact in JSON's doubles. */
static const double exact_max = 9007199254740992.0;

/* The part behind the prefix if the option is right under it, else NULL. */
static const char *name_under(const struct option *o, const char *prefix)
{
    size_t n = strlen(prefix);
    if (strncmp(o->path, prefix, n) != 0)
        return NULL;
    const char *name = o->path + n;
    return strpbrk(name, ".[") ? NULL : name;
}

static const struct option *find_option(const char *prefix, const char *name)
{
    for (const struct option *o = config_options; o->path; o++) {
        const char *own = name_under(o, prefix);
        if (own && strcmp(own, name) == 0)
            return o;
    }
    return NULL;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Edit distance, letter case apart; long names are far from everything. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    size_t row[LONGEST + 1];
    size_t na = strlen(a);
    size_t nb = strlen(b);
    if (na > LONGEST || nb > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t cost = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]) ? 0 : 1;
            size_t above = row[j];
            row[j] = smallest(row[j - 1] + 1, above + 1, diagonal + cost);
            diagonal = above;
        }
    }
    return row[nb];
}

static const char *nearest(const char *prefix, const char *name)
{
    const char *best = NULL;
    size_t least = 2 + strlen(name) / 8;
    for (const struct option *o = config_options; o->path; o++) {
        const char *own = name_under(o, prefix);
        size_t d = own ? distance(name, own) : SIZE_MAX;
        if (d <= least && (!best || d < least)) {
            best = own;
            least = d;
        }
    }
    return best;
}

static void unknown_key(struct reader *self, const cJSON *item, const char *prefix, int kind)
{
    struct buffer allowed = {0};
    if (self->count >= PROBLEMS_MAX) {
        self->count++; /* not worth the search */
        return;
    }
    for (const struct option *o = config_options; o->path; o++) {
        const char *own = name_under(o, prefix);
        if (own && o->type != OPTION_LATER && (!o->kinds || !kind || (o->kinds & kind)))
            buffer_printf(&allowed, "%s%s", allowed.length ? ", " : "", own);
    }
    const char *near = nearest(prefix, item->string);
    if (near)
        config_problem(self, item, "unknown key - did you mean \"%s\" - allowed: %s", near,
                       buffer_text(&allowed));
    else
        config_problem(self, item, "unknown key - allowed: %s", buffer_text(&allowed));
    buffer_free(&allowed);
}

static const char *kind_names(int kinds)
{
    if (kinds == FOR_POSTGRESQL)
        return "postgresql";
    if (kinds == FOR_CSV)
        return "csv";
    return kinds == FOR_SQLSERVER ? "sqlserver" : "postgresql or sqlserver";
}

static void check_required(struct reader *self, const cJSON *object, const char *prefix)
{
    for (const struct option *o = config_options; o->path; o++) {
        const char *own = name_under(o, prefix);
        if (own && o->required && !json_member(object, own))
            config_problem(self, object, "required key \"%s\" is missing - %s", own, o->help);
    }
}

bool config_read_object(struct reader *self, const cJSON *object, const char *prefix, void *base, int kind)
{
    if (!cJSON_IsObject(object)) {
        config_problem(self, object, "%s where an object is needed - allowed: {…}", json_kind(object));
        return false;
    }
    for (const cJSON *item = object->child; item; item = item->next) {
        const struct option *o = find_option(prefix, item->string);
        if (!o)
            unknown_key(self, item, prefix, kind);
        else if (kind && o->kinds && !(o->kinds & kind))
            config_problem(self, item, "belongs to kind %s, not to this one - remove it",
                           kind_names(o->kinds));
        else
            config_read_option(self, o, item, base);
    }
    check_required(self, object, prefix);
    return true;
}

static void *place_of(const struct option *o, void *base)
{
    return o->offset == OPTION_NOWHERE ? NULL : (char *)base + o->offset;
}

static void store_text(const struct option *o, const char *text, void *base)
{
    char **place = place_of(o, base);
    if (!place)
        return;
    free(*place); /* the default, or a duplicate that has been told */
    *place = mem_strdup(text);
}

static void store_integer(const struct option *o, int64_t n, void *base)
{
    void *place = place_of(o, base);
    int narrow = (int)n;
    if (!place)
        return;
    if (o->type == OPTION_INT || o->type == OPTION_ENUM)
        memcpy(place, &narrow, sizeof(narrow));
    else
        memcpy(place, &n, sizeof(n));
}

static int find_name(const struct option *o, const char *name)
{
    for (int i = 0; o->names[i]; i++) {
        if (strcmp(o->names[i], name) == 0)
            return i;
    }
    return -1;
}

void config_set_defaults(const char *prefix, void *base)
{
    struct error err;
    for (const struct option *o = config_options; o->path; o++) {
        int64_t n = 0;
        bool ok = true;
        void *place = place_of(o, base);
        if (!o->initial || !place || strncmp(o->path, prefix, strlen(prefix)) != 0)
            continue;
        if (!*prefix && strpbrk(o->path, "[*"))
            continue; /* of another struct */
        if (o->type == OPTION_LISTEN) {
            store_text(o, o->initial, base);
            continue;
        }
        if (o->type == OPTION_BOOL) {
            bool yes = strcmp(o->initial, "true") == 0;
            memcpy(place, &yes, sizeof(yes));
            continue;
        }
        if (o->type == OPTION_RATIO) {
            double ratio = strtod(o->initial, NULL);
            memcpy(place, &ratio, sizeof(ratio));
            continue;
        }
        if (o->type == OPTION_ENUM)
            n = find_name(o, o->initial);
        else if (o->type == OPTION_DURATION)
            ok = units_parse_duration(o->initial, &n, &err);
        else
            ok = units_parse_size(o->initial, &n, &err);
        assert(ok && n >= 0);
        store_integer(o, n, base);
    }
}

static void format_integer(const struct option *o, int64_t n, char out[UNITS_TEXT_SIZE])
{
    if (o->type == OPTION_SIZE)
        units_format_size(n, out);
    else if (o->type == OPTION_DURATION)
        units_format_duration(n, out);
    else
        snprintf(out, UNITS_TEXT_SIZE, "%" PRId64, n);
}

static void store_checked(struct reader *self, const struct option *o, const cJSON *item, int64_t n,
                          void *base)
{
    char low[UNITS_TEXT_SIZE];
    char high[UNITS_TEXT_SIZE];
    if (n >= o->min && n <= o->max) {
        store_integer(o, n, base);
        return;
    }
    format_integer(o, o->min, low);
    format_integer(o, o->max, high);
    config_problem(self, item, "out of range - allowed: %s to %s", low, high);
}

static void read_integer(struct reader *self, const struct option *o, const cJSON *item, void *base)
{
    double v = item->valuedouble;
    bool exact = v >= -exact_max && v <= exact_max;
    if (!cJSON_IsNumber(item))
        config_problem(self, item, "%s where a number is needed - allowed: %" PRId64 " to %" PRId64,
                       json_kind(item), o->min, o->max);
    else if (exact && (double)(int64_t)v != v)
        config_problem(self, item, "not a whole number - allowed: %" PRId64 " to %" PRId64, o->min, o->max);
    else
        store_checked(self, o, item, exact ? (int64_t)v : v < 0 ? INT64_MIN : INT64_MAX, base);
}

/* Sizes may be plain numbers (bytes); durations only as text with a unit, or 0. */
static void read_quantity(struct reader *self, const struct option *o, const cJSON *item, void *base)
{
    struct error err;
    int64_t n = 0;
    bool duration = o->type == OPTION_DURATION;
    const char *example =
        duration ? "text with a unit, as in \"10s\"" : "bytes, or text with a unit, as in \"64MB\"";
    if (cJSON_IsNumber(item) && (!duration || item->valuedouble == 0)) {
        read_integer(self, o, item, base);
    } else if (!cJSON_IsString(item)) {
        config_problem(self, item, "%s where a %s is needed - allowed: %s", json_kind(item),
                       duration ? "duration" : "size", example);
    } else if (!(duration ? units_parse_duration : units_parse_size)(item->valuestring, &n, &err)) {
        config_problem(self, item, "%s", err.text);
    } else {
        store_checked(self, o, item, n, base);
    }
}

static void read_ratio(struct reader *self, const struct option *o, const cJSON *item, void *base)
{
    double v = item->valuedouble;
    void *place = place_of(o, base);
    if (!cJSON_IsNumber(item))
        config_problem(self, item, "%s where a number is needed - allowed: 0 to 1", json_kind(item));
    else if (!(v >= (double)o->min && v <= (double)o->max))
        config_problem(self, item, "out of range - allowed: %d to %d", (int)o->min, (int)o->max);
    else
        memcpy(place, &v, sizeof(v));
}

static void read_bool(struct reader *self, const struct option *o, const cJSON *item, void *base)
{
    bool yes = cJSON_IsTrue(item);
    if (!cJSON_IsBool(item))
        config_problem(self, item, "%s where true or false is needed - %s", json_kind(item), o->help);
    else
        memcpy(place_of(o, base), &yes, sizeof(yes));
}

static void read_enum(struct reader *self, const struct option *o, const cJSON *item, void *base)
{
    struct buffer allowed = {0};
    config_allowed_names(o, &allowed);
    int i = cJSON_IsString(item) ? find_name(o, item->valuestring) : -1;
    if (!cJSON_IsString(item))
        config_problem(self, item, "%s where a string is needed - allowed: %s", json_kind(item),
                       buffer_text(&allowed));
    else if (i < 0)
        config_problem(self, item, "unknown value \"%.60s\" - allowed: %s", item->valuestring,
                       buffer_text(&allowed));
    else if (o->runs && i >= o->runs)
        config_problem(self, item,
                       "\"%s\" is not available in this version, which can't run it yet - allowed: %s",
                       o->names[i], buffer_text(&allowed));
    else
        store_integer(o, i, base);
    buffer_free(&allowed);
}

bool config_name_valid(const char *name)
{
    static const char tail[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    size_t n = strlen(name);
    return n >= 1 && n <= 31 && name[0] >= 'a' && name[0] <= 'z' && name[strspn(name, tail)] == '\0';
}

/* What is wrong with a text of that type, or NULL. */
static const char *text_fault(enum option_type type, const char *text)
{
    static const char slot[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            return "holds a control character - remove it";
    }
    if (n == 0)
        return "is empty - write a name";
    if (type == OPTION_NAME && !config_name_valid(text))
        return "not a good name - allowed: [a-z][a-z0-9_]{0,30}";
    if (type == OPTION_SLOT && (n > 63 || text[strspn(text, slot)]))
        return "not a good slot name - allowed: [a-z0-9_]{1,63}";
    if (type == OPTION_IDENTIFIER && n > 63)
        return "too long - allowed: 1 to 63 bytes";
    return NULL;
}

static void read_text(struct reader *self, const struct option *o, const cJSON *item, void *base)
{
    const char *fault = text_fault(o->type, item->valuestring);
    if (fault)
        config_problem(self, item, "%s", fault);
    else
        store_text(o, item->valuestring, base);
}

static void read_texts(struct reader *self, const struct option *o, const cJSON *item, void *base)
{
    char ***place = place_of(o, base);
    int *count = (int *)(void *)(place + 1);
    if (!cJSON_IsArray(item) || !item->child) {
        config_problem(self, item, "%s where a list is needed - allowed: [\"name\", …]",
                       cJSON_IsArray(item) ? "an empty list" : json_kind(item));
        return;
    }
    if (*place)
        return; /* a duplicate key, already told */
    struct map seen = {0};
    *place = mem_alloc((size_t)cJSON_GetArraySize(item) * sizeof(**place));
    for (const cJSON *c = item->child; c; c = c->next) {
        const char *fault = cJSON_IsString(c) ? text_fault(OPTION_TEXT, c->valuestring) : "not a string";
        struct map_entry *e = fault ? NULL : map_at(&seen, slice_of(c->valuestring));
        if (e && e->value)
            fault = "is in this list already - remove it";
        if (e)
            e->value = *place;
        if (fault)
            config_problem(self, c, "%s", fault);
        else
            (*place)[(*count)++] = mem_strdup(c->valuestring);
    }
    map_free(&seen);
}

static void read_string(struct reader *self, const struct option *o, const cJSON *item, void *base)
{
    if (!cJSON_IsString(item)) {
        config_problem(self, item, "%s where a string is needed - %s", json_kind(item), o->help);
        return;
    }
    switch ((int)o->type) {
    case OPTION_CONNINFO:
        config_check_conninfo(self, item);
        break;
    case OPTION_REDIS:
        config_check_redis(self, item);
        store_text(o, item->valuestring, base);
        break;
    case OPTION_LISTEN:
        config_check_listen(self, item);
        store_text(o, *item->valuestring ? item->valuestring : NULL, base);
        break;
    case OPTION_SECRET:
        break; /* resolved with its conninfo */
    default:
        read_text(self, o, item, base);
    }
}

/* The prefix of a section's members, where that is not its path and a dot. */
static void read_section(struct reader *self, const struct option *o, const cJSON *item, void *base)
{
    struct buffer prefix = {0};
    buffer_printf(&prefix, "%s.", o->path);
    int kind = 0;
    if (strcmp(o->path, "legacy") == 0) {
        const cJSON *named = json_member(item, "kind");
        kind = FOR_POSTGRESQL;
        if (cJSON_IsString(named) && strcmp(named->valuestring, "sqlserver") == 0)
            kind = FOR_SQLSERVER;
        else if (cJSON_IsString(named) && strcmp(named->valuestring, "csv") == 0)
            kind = FOR_CSV;
        if (kind == FOR_POSTGRESQL && cJSON_IsObject(item) && !json_member(item, "conninfo"))
            config_problem(self, item, "required key \"conninfo\" is missing - libpq connection string");
    }
    config_read_object(self, item, buffer_text(&prefix), base, kind);
    buffer_free(&prefix);
}

void config_read_option(struct reader *self, const struct option *o, const cJSON *item, void *base)
{
    if (cJSON_IsNull(item) && o->nullable) {
        if (o->type == OPTION_LISTEN || strcmp(o->path, "http") == 0)
            store_text(find_option("http.", "listen"), NULL, base);
        return;
    }
    switch (o->type) {
    case OPTION_SECTION:
        read_section(self, o, item, base);
        break;
    case OPTION_TEXTS:
        read_texts(self, o, item, base);
        break;
    case OPTION_INT:
    case OPTION_COUNT:
        read_integer(self, o, item, base);
        break;
    case OPTION_SIZE:
    case OPTION_DURATION:
        read_quantity(self, o, item, base);
        break;
    case OPTION_RATIO:
        read_ratio(self, o, item, base);
        break;
    case OPTION_BOOL:
        read_bool(self, o, item, base);
        break;
    case OPTION_ENUM:
        read_enum(self, o, item, base);
        break;
    case OPTION_TABLES:
        config_read_tables(self, item);
        break;
    case OPTION_GROUPS:
        config_read_groups(self, item);
        break;
    case OPTION_SCHEMAS:
        config_read_schemas(self, item);
        break;
    case OPTION_COLUMNS:
        config_read_columns(self, item, base);
        break;
    case OPTION_LATER:
        config_problem(self, item, "not available in this version - remove it");
        break;
    case OPTION_NAME:
    case OPTION_SLOT:
    case OPTION_IDENTIFIER:
    case OPTION_TEXT:
    case OPTION_CONNINFO:
    case OPTION_SECRET:
    case OPTION_REDIS:
    case OPTION_LISTEN:
        read_string(self, o, item, base);
        break;
    }
}

void config_format_option(const struct option *o, const void *base, struct buffer *out)
{
    const char *place = (const char *)base + o->offset;
    char text[UNITS_TEXT_SIZE];
    int narrow = 0;
    int64_t wide = 0;
    double ratio = 0;
    bool yes = false;
    const char *string = NULL;
    switch (o->type) {
    case OPTION_INT:
    case OPTION_ENUM:
        memcpy(&narrow, place, sizeof(narrow));
        if (o->type == OPTION_ENUM)
            buffer_puts(out, o->names[narrow]);
        else
            buffer_printf(out, "%d", narrow);
        break;
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        memcpy(&wide, place, sizeof(wide));
        format_integer(o, wide, text);
        buffer_puts(out, text);
        break;
    case OPTION_RATIO:
        memcpy(&ratio, place, sizeof(ratio));
        buffer_printf(out, "%.15g", ratio);
        break;
    case OPTION_BOOL:
        memcpy(&yes, place, sizeof(yes));
        buffer_puts(out, yes ? "true" : "false");
        break;
    case OPTION_NAME:
    case OPTION_SLOT:
    case OPTION_IDENTIFIER:
    case OPTION_TEXT:
    case OPTION_REDIS:
    case OPTION_LISTEN:
        memcpy(&string, place, sizeof(string));
        buffer_puts(out, string ? string : "none");
        break;
    case OPTION_SECTION:
    case OPTION_TEXTS:
    case OPTION_CONNINFO:
    case OPTION_SECRET:
    case OPTION_TABLES:
    case OPTION_GROUPS:
    case OPTION_SCHEMAS:
    case OPTION_COLUMNS:
    case OPTION_LATER:
        break;
    }
}
