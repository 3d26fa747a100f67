/* SPDX-License-Identifier: PostgreSQL */
#include "state/mirror.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/mem.h"

static const char *const part_names[MIRROR_PARTS] = {"offsets", "state", "flags"};

/* KEYS: epoch, then one hash a part. ARGV: epoch, channel, whether state is whole, then for each part its
 * number of pairs and the pairs. Flags change rarely and state not often: only what is new is written, and
 * told. */
static const char script[] =
    "local held = tonumber(redis.call('GET', KEYS[1]) or '0') or 0\n"
    "if held > tonumber(ARGV[1]) then return 0 end\n"
    "redis.call('SET', KEYS[1], ARGV[1])\n"
    "local at = 4\n"
    "local now = {}\n"
    "for k = 2, #KEYS do\n"
    "  local pairs_left = tonumber(ARGV[at])\n"
    "  at = at + 1\n"
    "  for _ = 1, pairs_left do\n"
    "    local field, value = ARGV[at], ARGV[at + 1]\n"
    "    at = at + 2\n"
    "    if k == 3 then now[field] = true end\n"
    "    if redis.call('HGET', KEYS[k], field) ~= value then\n"
    "      redis.call('HSET', KEYS[k], field, value)\n"
    "      if k > 2 then redis.call('PUBLISH', ARGV[2], field .. ' ' .. value) end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "for _, field in ipairs(ARGV[3] == '1' and redis.call('HKEYS', KEYS[3]) or {}) do\n"
    "  if not now[field] then\n"
    "    redis.call('HDEL', KEYS[3], field)\n"
    "    redis.call('PUBLISH', ARGV[2], field .. ' ')\n"
    "  end\n"
    "end\n"
    "return 1\n";

char *mirror_key(const char *pipeline, const char *name, char out[64])
{
    snprintf(out, 64, "crossfade:%s:%s", pipeline, name);
    return out;
}

void mirror_init(struct mirror *self, const char *pipeline, int64_t epoch)
{
    *self = (struct mirror){.epoch = epoch};
    snprintf(self->pipeline, sizeof(self->pipeline), "%s", pipeline);
}

void mirror_free(struct mirror *self)
{
    for (int p = 0; p < MIRROR_PARTS; p++) {
        for (size_t i = 0; i < self->parts[p].count; i++)
            free(self->parts[p].items[i]);
        free(self->parts[p].items);
        self->parts[p] = (struct mirror_hash){0};
    }
}

void mirror_set(struct mirror *self, enum mirror_part part, const char *field, const char *fmt, ...)
{
    struct mirror_hash *hash = &self->parts[part];
    struct buffer value = {0};
    va_list ap;
    va_start(ap, fmt);
    buffer_vprintf(&value, fmt, ap);
    va_end(ap);
    if (hash->count + 2 > hash->capacity) {
        hash->capacity = hash->capacity ? hash->capacity * 2 : 16;
        hash->items = mem_grow(hash->items, hash->capacity, sizeof(*hash->items));
    }
    hash->items[hash->count++] = mem_strdup(field);
    hash->items[hash->count++] = mem_strdup(buffer_text(&value));
    buffer_free(&value);
}

static void set_offset(struct mirror *self, const char *stream, const char *name, const char *value)
{
    char field[64];
    snprintf(field, sizeof(field), "%s.%s", stream, name);
    mirror_set(self, MIRROR_OFFSETS, field, "%s", value);
}

void mirror_set_offsets(struct mirror *self, const char *stream, const struct mirror_offsets *offsets)
{
    char text[POSITION_TEXT_SIZE];
    char number[24];
    set_offset(self, stream, "received", position_format(offsets->received, text));
    set_offset(self, stream, "applied", position_format(offsets->applied, text));
    set_offset(self, stream, "confirmed", position_format(offsets->confirmed, text));
    snprintf(number, sizeof(number), "%" PRId64, offsets->lag_bytes);
    set_offset(self, stream, "lag_bytes", offsets->lag_bytes < 0 ? "" : number);
    snprintf(number, sizeof(number), "%" PRId64, offsets->lag_ms);
    set_offset(self, stream, "lag_ms", number);
}

static void add(struct mirror_command *out, const char *text)
{
    out->argv[out->argc] = mem_strdup(text);
    out->lengths[out->argc++] = strlen(text);
}

static void add_number(struct mirror_command *out, int64_t n)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, n);
    add(out, text);
}

void mirror_encode(const struct mirror *self, struct mirror_command *out)
{
    /* EVAL script numkeys, the keys, epoch, channel and wholeness, and a count for each part */
    size_t size = 3 + 1 + MIRROR_PARTS + 3 + MIRROR_PARTS;
    char key[64];
    for (int p = 0; p < MIRROR_PARTS; p++)
        size += self->parts[p].count;
    *out = (struct mirror_command){0};
    out->argv = mem_grow(NULL, size, sizeof(*out->argv));
    out->lengths = mem_grow(NULL, size, sizeof(*out->lengths));
    add(out, "EVAL");
    add(out, script);
    add_number(out, 1 + MIRROR_PARTS);
    add(out, mirror_key(self->pipeline, "epoch", key));
    for (int p = 0; p < MIRROR_PARTS; p++)
        add(out, mirror_key(self->pipeline, part_names[p], key));
    add_number(out, self->epoch);
    add(out, mirror_key(self->pipeline, "events", key));
    add(out, self->whole ? "1" : "0");
    for (int p = 0; p < MIRROR_PARTS; p++) {
        add_number(out, (int64_t)self->parts[p].count / 2);
        for (size_t i = 0; i < self->parts[p].count; i++)
            add(out, self->parts[p].items[i]);
    }
    assert((size_t)out->argc == size);
}

void mirror_command_free(struct mirror_command *self)
{
    for (int i = 0; i < self->argc; i++)
        free(self->argv[i]);
    free(self->argv);
    free(self->lengths);
    *self = (struct mirror_command){0};
}
