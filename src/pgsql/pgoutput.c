/* SPDX-License-Identifier: PostgreSQL
 *
 * Every read goes through struct reader: once it has failed it stays failed, reads give zeroes, and the
 * one check at the end of a message refuses it. So no field can be read past the end, and the decoders
 * below can be compared line by line with PostgreSQL's manual.
 *
 * Refused: a field past the end, bytes left over, a string without its NUL, a count that the remaining
 * bytes could not hold (nothing is allocated for it), unknown kinds and flags. Messages of streamed and of
 * prepared transactions are refused too: we never ask for them, and taking one for something else would
 * lose data.
 */
#include "pgsql/pgoutput.h"

#include <endian.h>

#include "base/clock.h"

struct reader {
    const char *at;
    const char *end;
    const char *why; /* NULL as long as all went well */
};

enum { TUPLE_COLUMNS_MAX = 1664 }; /* MaxTupleAttributeNumber */

static size_t left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

static void refuse(struct reader *r, const char *why)
{
    if (!r->why)
        r->why = why;
    r->at = r->end;
}

static const char *take(struct reader *r, size_t size)
{
    if (left(r) < size) {
        refuse(r, "it ends in the middle of a field");
        return NULL;
    }
    const char *p = r->at;
    r->at += size;
    return p;
}

static uint8_t read_u8(struct reader *r)
{
    const char *p = take(r, 1);
    return p ? (uint8_t)*p : 0;
}

static uint16_t read_u16(struct reader *r)
{
    uint16_t v = 0;
    const char *p = take(r, sizeof(v));
    if (p)
        memcpy(&v, p, sizeof(v));
    return be16toh(v);
}

static uint32_t read_u32(struct reader *r)
{
    uint32_t v = 0;
    const char *p = take(r, sizeof(v));
    if (p)
        memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static uint64_t read_u64(struct reader *r)
{
    uint64_t v = 0;
    const char *p = take(r, sizeof(v));
    if (p)
        memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

/* Microseconds since 2000 in, since 1970 out. */
static int64_t read_clock(struct reader *r)
{
    int64_t out;
    if (__builtin_add_overflow((int64_t)read_u64(r), CLOCK_PG_EPOCH_US, &out))
        refuse(r, "its time is out of range");
    return r->why ? 0 : out;
}

static const char *read_text(struct reader *r)
{
    const char *start = r->at;
    const char *nul = left(r) ? memchr(start, '\0', left(r)) : NULL;
    if (!nul) {
        refuse(r, "a name has no end");
        return "";
    }
    r->at = nul + 1;
    return start;
}

static bool read_value(struct reader *r, struct value *out)
{
    uint8_t kind = read_u8(r);
    *out = (struct value){.kind = VALUE_ABSENT};
    if (kind == 'n') {
        out->kind = VALUE_NULL;
    } else if (kind == 't' || kind == 'b') {
        uint32_t length = read_u32(r);
        if (length > INT32_MAX) {
            refuse(r, "a value has a negative length");
            return false;
        }
        out->data = take(r, length);
        out->length = length;
        out->kind = kind == 't' ? VALUE_TEXT : VALUE_BINARY;
    } else if (kind != 'u') {
        refuse(r, "a value is of unknown kind");
    }
    return !r->why;
}

static void read_tuple(struct reader *r, struct arena *arena, struct pgoutput_tuple *out)
{
    uint16_t count = read_u16(r);
    *out = (struct pgoutput_tuple){0};
    if (count > left(r) || count > TUPLE_COLUMNS_MAX) {
        refuse(r, "it counts more columns than it can hold");
        return;
    }
    struct value *values = arena_alloc(arena, count * sizeof(*values));
    for (uint16_t i = 0; i < count; i++) {
        if (!read_value(r, &values[i]))
            return;
    }
    out->count = count;
    out->values = values;
}

static void read_old_tuple(struct reader *r, uint8_t kind, struct arena *arena, struct pgoutput_message *out)
{
    out->old_kind = kind == 'K' ? OLD_KEY : OLD_FULL;
    read_tuple(r, arena, &out->old_tuple);
}

static void read_new_tuple(struct reader *r, uint8_t kind, struct arena *arena, struct pgoutput_message *out)
{
    if (kind != 'N')
        refuse(r, "the new row is missing");
    else
        read_tuple(r, arena, &out->new_tuple);
}

static void read_update(struct reader *r, struct arena *arena, struct pgoutput_message *out)
{
    out->relation = read_u32(r);
    uint8_t kind = read_u8(r);
    if (kind == 'K' || kind == 'O') {
        read_old_tuple(r, kind, arena, out);
        kind = read_u8(r);
    }
    read_new_tuple(r, kind, arena, out);
}

static void read_delete(struct reader *r, struct arena *arena, struct pgoutput_message *out)
{
    out->relation = read_u32(r);
    uint8_t kind = read_u8(r);
    if (kind == 'K' || kind == 'O')
        read_old_tuple(r, kind, arena, out);
    else
        refuse(r, "the old row is missing");
}

static void read_begin(struct reader *r, struct pgoutput_message *out)
{
    out->final_lsn = read_u64(r);
    out->commit_time_us = read_clock(r);
    out->xid = read_u32(r);
}

static void read_commit(struct reader *r, struct pgoutput_message *out)
{
    if (read_u8(r) != 0)
        refuse(r, "it has unknown flags");
    out->commit_lsn = read_u64(r);
    out->end_lsn = read_u64(r);
    out->commit_time_us = read_clock(r);
}

static void read_relation(struct reader *r, struct arena *arena, struct pgoutput_message *out)
{
    enum { COLUMN_BYTES_MIN = 1 + 1 + 4 + 4 };
    out->relation = read_u32(r);
    out->schema = read_text(r);
    out->name = read_text(r);
    out->replica_identity = (char)read_u8(r);
    uint16_t count = read_u16(r);
    if (count > left(r) / COLUMN_BYTES_MIN || count > TUPLE_COLUMNS_MAX) {
        refuse(r, "it counts more columns than it can hold");
        return;
    }
    out->columns = arena_alloc(arena, count * sizeof(*out->columns));
    for (uint16_t i = 0; i < count; i++) {
        struct pgoutput_column *c = &out->columns[i];
        c->key = (read_u8(r) & 1) != 0;
        c->name = read_text(r);
        c->type_oid = read_u32(r);
        c->type_modifier = (int32_t)read_u32(r);
    }
    out->column_count = count;
}

static void read_type(struct reader *r, struct pgoutput_message *out)
{
    out->type_oid = read_u32(r);
    out->schema = read_text(r);
    out->name = read_text(r);
}

static void read_truncate(struct reader *r, struct arena *arena, struct pgoutput_message *out)
{
    uint32_t count = read_u32(r);
    uint8_t flags = read_u8(r);
    if (flags > 3)
        refuse(r, "it has unknown flags");
    if (count > left(r) / sizeof(uint32_t)) {
        refuse(r, "it counts more tables than it can hold");
        return;
    }
    uint32_t *oids = arena_alloc(arena, count * sizeof(*oids));
    for (uint32_t i = 0; i < count; i++)
        oids[i] = read_u32(r);
    out->truncated = oids;
    out->truncated_count = count;
    out->truncate_cascade = (flags & 1) != 0;
    out->truncate_restart = (flags & 2) != 0;
}

static void read_origin(struct reader *r, struct pgoutput_message *out)
{
    out->origin_lsn = read_u64(r);
    out->origin = read_text(r);
}

static void read_logical_message(struct reader *r)
{
    (void)read_u8(r);   /* flags */
    (void)read_u64(r);  /* LSN */
    (void)read_text(r); /* prefix */
    (void)take(r, read_u32(r));
}

static bool read_message(struct reader *r, uint8_t kind, struct arena *arena, struct pgoutput_message *out)
{
    switch (kind) {
    case 'B':
        out->kind = PGOUTPUT_BEGIN;
        read_begin(r, out);
        return true;
    case 'C':
        out->kind = PGOUTPUT_COMMIT;
        read_commit(r, out);
        return true;
    case 'I':
        out->kind = PGOUTPUT_INSERT;
        out->relation = read_u32(r);
        read_new_tuple(r, read_u8(r), arena, out);
        return true;
    case 'U':
        out->kind = PGOUTPUT_UPDATE;
        read_update(r, arena, out);
        return true;
    case 'D':
        out->kind = PGOUTPUT_DELETE;
        read_delete(r, arena, out);
        return true;
    case 'R':
        out->kind = PGOUTPUT_RELATION;
        read_relation(r, arena, out);
        return true;
    case 'Y':
        out->kind = PGOUTPUT_TYPE;
        read_type(r, out);
        return true;
    case 'O':
        out->kind = PGOUTPUT_ORIGIN;
        read_origin(r, out);
        return true;
    case 'T':
        out->kind = PGOUTPUT_TRUNCATE;
        read_truncate(r, arena, out);
        return true;
    case 'M':
        out->kind = PGOUTPUT_MESSAGE;
        read_logical_message(r);
        return true;
    default:
        return false;
    }
}

bool pgoutput_decode(struct slice body, struct arena *arena, struct pgoutput_message *out, struct error *err)
{
    if (body.length == 0)
        return error_set(err, ERROR_RETRY, "malformed replication message - it is empty");
    struct reader r = {.at = body.data, .end = body.data + body.length};
    uint8_t kind = read_u8(&r);
    *out = (struct pgoutput_message){0};
    if (!read_message(&r, kind, arena, out)) {
        return error_set(
            err, ERROR_FATAL,
            "unknown replication message 0x%02x - this version of crossfade cannot read what the "
            "source's pgoutput sends",
            kind);
    }
    if (!r.why && left(&r) > 0)
        r.why = "bytes are left over";
    if (r.why) {
        return error_set(err, ERROR_RETRY, "malformed replication message '%c' of %zu bytes - %s", kind,
                         body.length, r.why);
    }
    return true;
}

bool pgoutput_envelope_decode(struct slice data, struct pgoutput_envelope *out, struct error *err)
{
    struct reader r = {.at = data.data, .end = data.data + data.length};
    *out = (struct pgoutput_envelope){.kind = (char)read_u8(&r)};
    if (out->kind == 'w') {
        out->start = read_u64(&r);
        out->end = read_u64(&r);
        out->clock_us = read_clock(&r);
        out->body = (struct slice){r.at, left(&r)};
        r.at = r.end;
    } else if (out->kind == 'k') {
        out->end = read_u64(&r);
        out->clock_us = read_clock(&r);
        out->reply = read_u8(&r) != 0;
    } else {
        refuse(&r, "it is of unknown kind");
    }
    if (!r.why && left(&r) > 0)
        r.why = "bytes are left over";
    if (r.why)
        return error_set(err, ERROR_RETRY, "malformed replication envelope of %zu bytes - %s", data.length,
                         r.why);
    return true;
}

static char *write_u64(char *at, uint64_t v)
{
    v = htobe64(v);
    memcpy(at, &v, sizeof(v));
    return at + sizeof(v);
}

void pgoutput_status_encode(uint64_t written, uint64_t flushed, uint64_t applied, int64_t clock_us,
                            bool reply, char out[PGOUTPUT_STATUS_SIZE])
{
    char *at = out;
    *at++ = 'r';
    at = write_u64(at, written);
    at = write_u64(at, flushed);
    at = write_u64(at, applied);
    at = write_u64(at, (uint64_t)(clock_us - CLOCK_PG_EPOCH_US));
    *at = reply ? 1 : 0;
}
