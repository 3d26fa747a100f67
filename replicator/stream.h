/* SPDX-License-Identifier: PostgreSQL
 *
 * A running stream in one direction: the capture thread reads the source and deals its changes to the
 * lanes; lanes apply; what all lanes hold durably is confirmed to the source.
 *
 * A *meet* stops capture at the end of a source transaction, with every lane idle, every progress row at the
 * same position and that position returned: the sink equals the source at that commit. While it lasts the
 * caller may use the lanes' sinks and change table states; the source connection is kept alive meanwhile.
 */
#ifndef REPLICATOR_STREAM_H
#define REPLICATOR_STREAM_H

#include "base/log.h"
#include "model/config.h"
#include "model/sink.h"
#include "model/source.h"
#include "model/table.h"
#include "replicator/stats.h"

struct stream;

struct stream_options {
    const struct config *config;
    struct log *log;
    struct stats *stats;
    struct source *source;      /* taken over, also on failure */
    struct sink **sinks;        /* taken over, one a lane */
    struct position *positions; /* of each lane's progress row */
    int lane_count;
    struct table_set *tables;
    int64_t stall_ms; /* warns when applying stands still for so long while more is read; 0: a minute */
    /* A table stops in the stream's own threads (drift seen by capture); `recopy`: only a new copy mends it.
     * Must store it durably; false: the stream ends. */
    bool (*table_stopped)(void *context, struct table *table, bool recopy, const char *reason,
                          struct error *err);
    void (*changed)(void *context); /* any thread; must only wake */
    void *context;
};

struct stream *stream_start(const struct stream_options *options);
/* Ends the threads. `drain`: what has been read in whole transactions is applied first. The source is told
 * what is confirmed. */
void stream_free(struct stream *self, bool drain);

struct stream_view {
    struct position received;  /* handed out by the source, whole transactions only */
    struct position applied;   /* min over lanes; lanes with nothing to do count as `received` */
    struct position confirmed; /* durable progress of every lane */
    bool failed;
    bool met;
};
struct stream_view stream_look(struct stream *self);
void stream_error(struct stream *self, struct error *err);

/* Asks for a meet; the `met` of stream_look tells when. */
void stream_meet(struct stream *self);
void stream_release(struct stream *self);
/* Does the snapshot of the source see all transactions that were dealt out? Of the last 32,768 and of the
 * last hour: a backend there would have to be stopped for longer, between writing its commit record and
 * ending its transaction, to be overlooked. Only while met. */
struct snapshot;
bool stream_all_seen(struct stream *self, const struct snapshot *snapshot);
/* Only while met. */
struct sink *stream_sink(struct stream *self, int lane);
/* For --until-caught-up: somebody waits until all up to `goal` is confirmed and for nothing else. May be
 * called again with another goal. */
void stream_hurry(struct stream *self, struct position goal);

#endif
