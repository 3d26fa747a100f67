/* SPDX-License-Identifier: PostgreSQL
 *
 * From a file to a checked config, and the list of everything that is wrong with it. The steps: read
 * (refusing what is no such file), JSON, duplicate keys, every key by the option table, then what spans
 * several keys. A config that has one problem is not handed out.
 */
#include "model/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "model/config_internal.h"

/* Takes the text over. Values that it repeats may hold anything, so it is made printable. */
static void add_problem(struct reader *self, int line, struct buffer *text)
{
    if (self->count < PROBLEMS_MAX) {
        struct buffer printable = {0};
        utf8_put_printable(&printable, buffer_text(text));
        self->problems[self->count] = (struct problem){line, self->count, buffer_detach(&printable)};
    }
    buffer_free(text);
    self->count++;
}

void config_problem(struct reader *self, const cJSON *item, const char *fmt, ...)
{
    if (self->count >= PROBLEMS_MAX) {
        self->count++;
        return;
    }
    struct buffer text = {0};
    struct json_place place = item ? json_locate(&self->json, item) : (struct json_place){0};
    buffer_puts(&text, self->path);
    if (item) {
        buffer_printf(&text, ":%d: ", place.line);
        size_t before = text.length;
        json_path(&self->json, item, &text);
        if (text.length == before)
            buffer_puts(&text, "(top level)");
    }
    buffer_puts(&text, ": ");
    va_list ap;
    va_start(ap, fmt);
    buffer_vprintf(&text, fmt, ap);
    va_end(ap);
    add_problem(self, place.line, &text);
}

static void report_duplicate(void *context, const cJSON *again)
{
    config_problem(context, again, "duplicate key - remove one of them");
}

/* journald when stderr is its stream: the variable alone is inherited by shells whose stderr is not. */
static bool stderr_is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    unsigned long long device;
    unsigned long long inode;
    struct stat st;
    return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == device && st.st_ino == inode;
}

static char *named_after(const struct config *config, const char *suffix)
{
    struct buffer name = {0};
    buffer_printf(&name, "crossfade_%s%s", config->pipeline ? config->pipeline : "", suffix);
    return buffer_detach(&name);
}

static void fill_names(struct config *config)
{
    if (!config->legacy_slot)
        config->legacy_slot = named_after(config, "");
    if (!config->legacy_publication)
        config->legacy_publication = named_after(config, "");
    if (!config->target_slot)
        config->target_slot = named_after(config, "_reverse");
    if (!config->target_publication)
        config->target_publication = named_after(config, "_reverse");
}

static void read_root(struct reader *self)
{
    struct config *config = self->config;
    config->all_tables = true;
    config_set_defaults("", config);
    json_duplicates(&self->json, report_duplicate, self);
    if (!config_read_object(self, self->json.root, "", config, 0))
        return;
    config_join_groups(self);
    if (config->legacy_kind == LEGACY_SQLSERVER)
        config_check_sqlserver(self);
    else
        config_join_conninfo(self, "legacy", &config->legacy_conninfo);
    config_check_captures(self);
    config_inherit_values(self);
    config_join_conninfo(self, "target", &config->target_conninfo);
    config_read_redis_password(self);
    fill_names(config);
    /* One past the enum: auto. */
    if ((int)config->log_format > (int)LOG_FORMAT_JOURNAL)
        config->log_format = stderr_is_journal() ? LOG_FORMAT_JOURNAL : LOG_FORMAT_TEXT;
}

static int by_line(const void *a, const void *b)
{
    const struct problem *pa = a;
    const struct problem *pb = b;
    return pa->line != pb->line ? pa->line - pb->line : pa->order - pb->order;
}

/* Writes the problems out in order and frees them. True if there was none. */
static bool conclude(struct reader *self, struct buffer *problems, struct error *err)
{
    int kept = self->count < PROBLEMS_MAX ? self->count : PROBLEMS_MAX;
    qsort(self->problems, (size_t)kept, sizeof(*self->problems), by_line);
    for (int i = 0; i < kept; i++) {
        if (i == 0)
            error_set(err, ERROR_CONFIG, "%s", self->problems[0].text);
        if (problems)
            buffer_printf(problems, "%s\n", self->problems[i].text);
        free(self->problems[i].text);
    }
    if (problems && self->count > kept)
        buffer_printf(problems, "%s: and %d problems more\n", self->path, self->count - kept);
    return self->count == 0;
}

static bool parse(const char *path, const char *text, size_t length, bool with_twins, struct config **out,
                  struct buffer *problems, struct error *err)
{
    struct reader *reader = mem_alloc(sizeof(*reader));
    struct json_place where;
    struct error fault;
    *out = NULL;
    reader->path = path;
    reader->config = mem_alloc(sizeof(*reader->config));
    reader->config->path = mem_strdup(path);
    if (json_parse(text, length, &reader->json, &where, &fault)) {
        read_root(reader);
        if (with_twins)
            config_check_twins(reader);
    } else {
        struct buffer line = {0};
        buffer_puts(&line, path);
        if (where.line)
            buffer_printf(&line, ":%d:%d", where.line, where.column);
        buffer_printf(&line, ": %s", fault.text);
        add_problem(reader, where.line, &line);
    }
    bool ok = conclude(reader, problems, err);
    if (ok)
        *out = reader->config;
    else
        config_free(reader->config);
    json_free(&reader->json);
    free(reader);
    return ok;
}

bool config_parse(const char *path, const char *text, size_t length, struct config **out,
                  struct buffer *problems, struct error *err)
{
    return parse(path, text, length, false, out, problems, err);
}

bool config_read_file(const char *path, struct buffer *out, struct error *err)
{
    struct stat st;
    bool ok = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set(err, ERROR_CONFIG, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        error_set(err, ERROR_CONFIG, "%s: not a regular file", path);
        goto done;
    }
    if (st.st_size > JSON_MAX_BYTES) {
        error_set(err, ERROR_CONFIG, "%s: %lld bytes are too many for a config - allowed: up to 1 MB", path,
                  (long long)st.st_size);
        goto done;
    }
    /* One byte more than allowed, should it have grown: the parser refuses it. */
    while (out->length <= JSON_MAX_BYTES) {
        char piece[8192];
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            error_set(err, ERROR_CONFIG, "%s: cannot be read: %s", path, strerror(errno));
            goto done;
        }
        if (n == 0)
            break;
        buffer_put(out, piece, (size_t)n);
    }
    ok = true;
done:
    close(fd);
    return ok;
}

bool config_read(const char *path, struct config **out, struct buffer *problems, struct error *err)
{
    struct buffer text = {0};
    *out = NULL;
    bool ok = config_read_file(path, &text, err);
    if (ok)
        ok = parse(path, buffer_text(&text), text.length, true, out, problems, err);
    else if (problems)
        buffer_printf(problems, "%s\n", err->text);
    buffer_free(&text);
    return ok;
}

static void free_list(char **list, int count)
{
    for (int i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

static void free_columns(struct config_table *self)
{
    for (int i = 0; i < self->column_count; i++) {
        free(self->columns[i].name);
        free(self->columns[i].values.time_zone);
    }
    free(self->columns);
    free(self->values.time_zone);
}

static void free_tables(struct config *self)
{
    for (int i = 0; i < self->table_count; i++) {
        free(self->tables[i].from);
        free(self->tables[i].to);
        free(self->tables[i].group);
        free(self->tables[i].updated_at);
        free(self->tables[i].soft_delete);
        free_columns(&self->tables[i]);
        free_list(self->tables[i].key, self->tables[i].key_count);
    }
    for (int i = 0; i < self->group_count; i++) {
        free(self->groups[i].name);
        free_list(self->groups[i].tables, self->groups[i].table_count);
    }
    for (int i = 0; i < self->schema_count; i++) {
        free(self->schemas[i].from);
        free(self->schemas[i].to);
    }
    free(self->tables);
    free(self->groups);
    free(self->schemas);
}

static void free_sqlserver(struct config_sqlserver *self)
{
    free(self->host);
    free(self->server);
    free(self->database);
    free(self->user);
    secret_free(self->password);
    free(self->spn);
    free(self->ca);
}

bool config_is_reverse(const struct config *self)
{
    return self->group_count > 0 && self->groups[0].direction == DIRECTION_REVERSE;
}

bool config_group_fits(const struct config *self, const char *group)
{
    enum group_direction direction = DIRECTION_FORWARD;
    for (int i = 0; i < self->group_count; i++) {
        if (strcmp(self->groups[i].name, group) == 0)
            direction = self->groups[i].direction;
    }
    return direction == (config_is_reverse(self) ? DIRECTION_REVERSE : DIRECTION_FORWARD);
}

void config_free(struct config *self)
{
    if (!self)
        return;
    free_tables(self);
    free(self->path);
    free(self->pipeline);
    secret_free(self->legacy_conninfo);
    free(self->legacy_slot);
    free(self->legacy_publication);
    free_sqlserver(&self->sqlserver);
    free(self->values.time_zone);
    secret_free(self->target_conninfo);
    free(self->target_slot);
    free(self->target_publication);
    free(self->redis_url);
    secret_free(self->redis_password);
    free(self->http_listen);
    free(self);
}
