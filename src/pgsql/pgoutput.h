/* SPDX-License-Identifier: PostgreSQL
 *
 * The codec of logical replication messages as the pgoutput plugin writes them (PostgreSQL documentation,
 * "Logical Replication Message Formats", protocol versions 1 and 2 without streaming), and of the
 * replication copy-data envelope ('w' XLogData, 'k' keepalive, 'r' standby status update).
 * Pure: bytes to structs; no I/O, no logging, no allocation but the caller's arena. Everything points into
 * the message. Any bytes at all are safe to feed.
 */
#ifndef PGSQL_PGOUTPUT_H
#define PGSQL_PGOUTPUT_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "model/change.h"

struct pgoutput_envelope {
    char kind;         /* 'w' or 'k' */
    uint64_t start;    /* 'w': WAL position of this message */
    uint64_t end;      /* end of WAL as the server knows it */
    int64_t clock_us;  /* server's clock, microseconds since 1970 UTC */
    bool reply;        /* 'k': answer at once */
    struct slice body; /* 'w' */
};

enum pgoutput_kind {
    PGOUTPUT_BEGIN,
    PGOUTPUT_COMMIT,
    PGOUTPUT_ORIGIN,
    PGOUTPUT_RELATION,
    PGOUTPUT_TYPE,
    PGOUTPUT_INSERT,
    PGOUTPUT_UPDATE,
    PGOUTPUT_DELETE,
    PGOUTPUT_TRUNCATE,
    PGOUTPUT_MESSAGE
};

struct pgoutput_column {
    bool key;         /* flag bit 0: part of the replica identity */
    const char *name; /* NUL-terminated, inside the message */
    uint32_t type_oid;
    int32_t type_modifier;
};

struct pgoutput_tuple {
    uint16_t count;
    struct value *values; /* in the arena; data points into the message */
};

struct pgoutput_message {
    enum pgoutput_kind kind;
    /* BEGIN: final_lsn is the LSN of the commit record; COMMIT: commit_lsn, end_lsn */
    uint64_t final_lsn, commit_lsn, end_lsn;
    int64_t commit_time_us; /* since 1970 UTC */
    uint32_t xid;
    const char *origin; /* ORIGIN */
    uint64_t origin_lsn;
    uint32_t relation;  /* RELATION, INSERT, UPDATE, DELETE: oid on the source */
    uint32_t type_oid;  /* TYPE */
    const char *schema; /* RELATION, TYPE; empty for pg_catalog */
    const char *name;
    char replica_identity;           /* RELATION: d n f i */
    struct pgoutput_column *columns; /* RELATION, in the arena */
    uint16_t column_count;
    enum old_row old_kind; /* UPDATE, DELETE */
    struct pgoutput_tuple old_tuple;
    struct pgoutput_tuple new_tuple;
    const uint32_t *truncated; /* TRUNCATE: relation oids, host byte order, in the arena */
    uint32_t truncated_count;
    bool truncate_cascade;
    bool truncate_restart;
};

/* False: malformed (ERROR_RETRY: the link or the server garbled it), or of a kind that we do not know
 * (ERROR_FATAL: reading on would lose data). */
MUST_CHECK bool pgoutput_envelope_decode(struct slice data, struct pgoutput_envelope *out, struct error *err);
MUST_CHECK bool pgoutput_decode(struct slice body, struct arena *arena, struct pgoutput_message *out,
                                struct error *err);

enum { PGOUTPUT_STATUS_SIZE = 34 };
/* A standby status update: written = received; flushed = applied = confirmed. */
void pgoutput_status_encode(uint64_t written, uint64_t flushed, uint64_t applied, int64_t clock_us,
                            bool reply, char out[PGOUTPUT_STATUS_SIZE]);

#endif
