/* SPDX-License-Identifier: PostgreSQL
 *
 * Offsets are noted in document order (a value before what it contains), which is the order in which the
 * tree is walked afterwards: the n-th value of the one is the n-th of the other.
 */
#include "base/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { NUMBER_MAX = 60 };

struct scanner {
    const char *text;
    size_t length;
    size_t at;
    uint32_t *offsets;
    size_t count;
    size_t capacity;
    int depth;
    size_t fault; /* offset of what the error is about */
    struct error *err;
};

static bool fail(struct scanner *s, size_t at, const char *text)
{
    s->fault = at;
    return error_set(s->err, ERROR_CONFIG, "%s", text);
}

static struct json_place place_at(const char *text, size_t offset)
{
    struct json_place p = {1, 1};
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n')
            p = (struct json_place){p.line + 1, 1};
        else if (((unsigned char)text[i] & 0xC0) != 0x80)
            p.column++;
    }
    return p;
}

/* The end of the string that begins at `at`, or of its line: the scanner will say that it is not closed. */
static size_t skip_string(const char *text, size_t length, size_t at)
{
    for (at++; at < length && text[at] != '"' && text[at] != '\n'; at++) {
        if (text[at] == '\\' && at + 1 < length && text[at + 1] != '\n')
            at++;
    }
    return at < length ? at + 1 : length;
}

static size_t comment_end(const char *text, size_t length, size_t at)
{
    if (text[at + 1] == '/') {
        const char *end = memchr(text + at, '\n', length - at);
        return end ? (size_t)(end - text) : length;
    }
    const char *end = memmem(text + at + 2, length - at - 2, "*/", 2);
    return end ? (size_t)(end - text) + 2 : 0;
}

/* Blanks comments, so that offsets and lines stay what they are in the file. */
static bool strip_comments(struct scanner *s, char *text)
{
    size_t at = 0;
    if (s->length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        memset(text, ' ', 3);
        at = 3;
    }
    while (at < s->length) {
        if (text[at] == '"') {
            at = skip_string(text, s->length, at);
        } else if (text[at] == '/' && at + 1 < s->length && (text[at + 1] == '/' || text[at + 1] == '*')) {
            size_t end = comment_end(text, s->length, at);
            if (!end)
                return fail(s, at, "a comment begins here and has no end - close it with */");
            for (; at < end; at++) {
                if (text[at] != '\n')
                    text[at] = ' ';
            }
        } else {
            at++;
        }
    }
    return true;
}

static bool check_bytes(struct scanner *s)
{
    if (memchr(s->text, '\0', s->length))
        return fail(s, (size_t)((const char *)memchr(s->text, '\0', s->length) - s->text),
                    "a NUL byte - the file is no text, or UTF-16 - save it as UTF-8");
    for (size_t at = 0; at < s->length;) {
        size_t n = utf8_length(s->text + at, s->length - at);
        if (n == 0)
            return fail(s, at, "bytes that are not valid UTF-8 - save the file as UTF-8");
        at += n;
    }
    return true;
}

static char skip_blanks(struct scanner *s)
{
    while (s->at < s->length && memchr(" \t\r\n", s->text[s->at], 4))
        s->at++;
    return s->at < s->length ? s->text[s->at] : '\0';
}

static bool fail_here(struct scanner *s, const char *expected)
{
    s->fault = s->at;
    if (s->at >= s->length)
        return error_set(s->err, ERROR_CONFIG,
                         "the text ends here, too early - expected %s - is the file cut off?", expected);
    unsigned char c = (unsigned char)s->text[s->at];
    if (c < 0x20 || c == 0x7F)
        return error_set(s->err, ERROR_CONFIG, "unexpected character 0x%02x - expected %s", c, expected);
    int n = (int)utf8_length(s->text + s->at, s->length - s->at);
    return error_set(s->err, ERROR_CONFIG, "unexpected '%.*s' - expected %s", n, s->text + s->at, expected);
}

static bool read_hex4(struct scanner *s, unsigned *out)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        char c = s->at < s->length ? s->text[s->at] : '\0';
        const char *digits = "0123456789abcdef";
        const char *digit = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
        if (!digit)
            return fail_here(s, "four hex digits behind \\u");
        v = v * 16 + (unsigned)(digit - digits);
        s->at++;
    }
    *out = v;
    return true;
}

static bool scan_unicode(struct scanner *s)
{
    unsigned high;
    unsigned low = 0;
    size_t begin = s->at - 2;
    if (!read_hex4(s, &high))
        return false;
    if (high == 0)
        return fail(s, begin, "\\u0000 in a string - no name or value here can hold a NUL");
    if (high < 0xD800 || high > 0xDFFF)
        return true;
    bool pair = high < 0xDC00 && s->at + 1 < s->length && s->text[s->at] == '\\' && s->text[s->at + 1] == 'u';
    if (pair) {
        s->at += 2;
        if (!read_hex4(s, &low))
            return false;
    }
    return low >= 0xDC00 && low <= 0xDFFF ? true : fail(s, begin, "half a surrogate pair in a string");
}

static bool scan_string(struct scanner *s)
{
    size_t begin = s->at++;
    while (s->at < s->length && s->text[s->at] != '"') {
        unsigned char c = (unsigned char)s->text[s->at++];
        if (c == '\n' || c == '\r')
            return fail(s, begin, "a string begins here and has no end on its line - close it with \"");
        if (c < 0x20)
            return fail(s, s->at - 1, "a control character in a string - write it as \\t or \\u00XX");
        if (c != '\\')
            continue;
        char e = s->at < s->length ? s->text[s->at] : '\0';
        if (!e || !strchr("\"\\/bfnrtu", e))
            return fail_here(s, "one of \" \\ / b f n r t u behind the backslash");
        s->at++;
        if (e == 'u' && !scan_unicode(s))
            return false;
    }
    if (s->at >= s->length)
        return fail_here(s, "the \" that closes the string");
    s->at++;
    return true;
}

static size_t skip_digits(struct scanner *s)
{
    size_t begin = s->at;
    while (s->at < s->length && s->text[s->at] >= '0' && s->text[s->at] <= '9')
        s->at++;
    return s->at - begin;
}

static bool scan_number(struct scanner *s)
{
    size_t begin = s->at;
    if (s->text[s->at] == '-')
        s->at++;
    size_t first = s->at;
    if (skip_digits(s) == 0)
        return fail_here(s, "a digit");
    if (s->text[first] == '0' && s->at > first + 1)
        return fail(s, first, "a number that begins with 0 - write it without");
    if (s->at < s->length && s->text[s->at] == '.') {
        s->at++;
        if (skip_digits(s) == 0)
            return fail_here(s, "a digit behind the point");
    }
    if (s->at < s->length && (s->text[s->at] == 'e' || s->text[s->at] == 'E')) {
        s->at++;
        if (s->at < s->length && (s->text[s->at] == '+' || s->text[s->at] == '-'))
            s->at++;
        if (skip_digits(s) == 0)
            return fail_here(s, "a digit of the exponent");
    }
    if (s->at - begin > NUMBER_MAX)
        return fail(s, begin, "a number of more than 60 characters");
    return true;
}

static void note(struct scanner *s, size_t offset)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 256;
        s->offsets = mem_grow(s->offsets, s->capacity, sizeof(*s->offsets));
    }
    s->offsets[s->count++] = (uint32_t)offset;
}

/* `offset` is what messages about the value point at: its key, or itself. */
static bool scan_value(struct scanner *s, size_t offset);

static bool scan_member(struct scanner *s)
{
    size_t key = s->at;
    if (skip_blanks(s) != '"')
        return fail_here(s, "a key in double quotes");
    if (!scan_string(s))
        return false;
    if (skip_blanks(s) != ':')
        return fail_here(s, "':' behind the key");
    s->at++;
    return scan_value(s, key);
}

/* `{` or `[` up to its end. */
static bool scan_container(struct scanner *s, char end)
{
    size_t begin = s->at++;
    if (++s->depth > JSON_MAX_DEPTH)
        return fail(s, begin, "nested more than 32 deep");
    if (skip_blanks(s) == end) {
        s->at++;
        s->depth--;
        return true;
    }
    for (;;) {
        char c = skip_blanks(s);
        if (!(end == '}' ? scan_member(s) : scan_value(s, s->at)))
            return false;
        c = skip_blanks(s);
        if (c != ',' && c != end)
            return fail_here(s, end == '}' ? "',' or '}'" : "',' or ']'");
        size_t comma = s->at++;
        if (c == end)
            break;
        if (skip_blanks(s) == end)
            return fail(s, comma, "a comma with nothing behind it - remove it");
    }
    s->depth--;
    return true;
}

static bool scan_word(struct scanner *s)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if (s->length - s->at >= n && memcmp(s->text + s->at, words[i], n) == 0) {
            s->at += n;
            return true;
        }
    }
    return fail_here(s, "a value: \"text\", a number, true, false, null, {…} or […]");
}

static bool scan_value(struct scanner *s, size_t offset)
{
    char c = skip_blanks(s);
    note(s, offset);
    if (c == '{')
        return scan_container(s, '}');
    if (c == '[')
        return scan_container(s, ']');
    if (c == '"')
        return scan_string(s);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s);
    return scan_word(s);
}

static bool scan_text(struct scanner *s)
{
    if (skip_blanks(s) == '\0' && s->at >= s->length)
        return fail(s, 0, "nothing in it - expected {…}");
    if (!scan_value(s, s->at))
        return false;
    skip_blanks(s);
    if (s->at < s->length)
        return fail_here(s, "nothing behind the value");
    return true;
}

static size_t annotate(cJSON *item, const struct scanner *s, size_t n)
{
    for (; item; item = item->next) {
        assert(n < s->count);
        item->valueint = (int)s->offsets[n++];
        n = annotate(item->child, s, n);
    }
    return n;
}

static void index_lines(struct json *self)
{
    size_t lines = 1;
    for (size_t i = 0; i < self->length; i++)
        lines += self->text[i] == '\n';
    self->line_starts = mem_alloc(lines * sizeof(*self->line_starts));
    self->line_count = 1;
    for (size_t i = 0; i < self->length; i++) {
        if (self->text[i] == '\n')
            self->line_starts[self->line_count++] = (uint32_t)i + 1;
    }
}

static bool build(struct scanner *s, struct json *out)
{
    if (!strip_comments(s, out->text) || !scan_text(s))
        return false;
    out->root = cJSON_ParseWithLengthOpts(out->text, out->length + 1, NULL, 1);
    if (!out->root)
        return fail(s, 0, "cannot be read as JSON");
    size_t n = annotate(out->root, s, 0);
    assert(n == s->count);
    index_lines(out);
    return true;
}

bool json_parse(const char *text, size_t length, struct json *out, struct json_place *where,
                struct error *err)
{
    *out = (struct json){0};
    *where = (struct json_place){0};
    if (length > JSON_MAX_BYTES)
        return error_set(err, ERROR_CONFIG, "larger than 1 MB - not a file of this kind");
    struct scanner s = {.text = text, .length = length, .err = err};
    bool ok = check_bytes(&s);
    if (ok) {
        *out = (struct json){.text = mem_strndup(text, length), .length = length};
        s.text = out->text;
        ok = build(&s, out);
    }
    if (!ok) {
        *where = place_at(text, s.fault);
        json_free(out);
    }
    free(s.offsets);
    return ok;
}

void json_free(struct json *self)
{
    cJSON_Delete(self->root);
    free(self->text);
    free(self->line_starts);
    *self = (struct json){0};
}

struct json_place json_locate(const struct json *self, const cJSON *item)
{
    return place_at(self->text, (size_t)item->valueint);
}

int json_line(const struct json *self, const cJSON *item)
{
    int low = 0;
    int high = self->line_count;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (self->line_starts[middle] <= (uint32_t)item->valueint)
            low = middle;
        else
            high = middle;
    }
    return low + 1;
}

static void put_key(struct buffer *out, const char *key)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    if (*key && key[strspn(key, plain)] == '\0') {
        buffer_puts(out, key);
        return;
    }
    buffer_putc(out, '"');
    for (; *key; key++)
        buffer_printf(out, *key == '"' || *key == '\\' ? "\\%c" : "%c", *key);
    buffer_putc(out, '"');
}

/* Offsets grow in document order, so the way down is to the last child that begins at or before. */
void json_path(const struct json *self, const cJSON *item, struct buffer *out)
{
    const cJSON *at = self->root;
    size_t begin = out->length;
    while (at != item) {
        const cJSON *next = at->child;
        int index = 0;
        assert(next);
        while (next->next && next->next->valueint <= item->valueint) {
            next = next->next;
            index++;
        }
        if (cJSON_IsArray(at)) {
            buffer_printf(out, "[%d]", index);
        } else {
            if (out->length > begin)
                buffer_putc(out, '.');
            put_key(out, next->string);
        }
        at = next;
    }
}

static void duplicates_in(const cJSON *parent, void (*report)(void *context, const cJSON *again),
                          void *context)
{
    struct map seen = {0};
    for (const cJSON *c = parent->child; c; c = c->next) {
        if (cJSON_IsObject(parent)) {
            struct map_entry *e = map_at(&seen, slice_of(c->string));
            if (e->value)
                report(context, c);
            e->value = parent->child;
        }
        duplicates_in(c, report, context);
    }
    map_free(&seen);
}

void json_duplicates(const struct json *self, void (*report)(void *context, const cJSON *again),
                     void *context)
{
    duplicates_in(self->root, report, context);
}

const cJSON *json_member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

const char *json_kind(const cJSON *item)
{
    if (cJSON_IsString(item))
        return "a string";
    if (cJSON_IsNumber(item))
        return "a number";
    if (cJSON_IsObject(item))
        return "an object";
    if (cJSON_IsArray(item))
        return "a list";
    if (cJSON_IsBool(item))
        return "true or false";
    return "null";
}
