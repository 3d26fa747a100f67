/* SPDX-License-Identifier: PostgreSQL
 *
 * What the session's own files share; nobody else includes this.
 */
#ifndef REPLICATOR_SESSION_INTERNAL_H
#define REPLICATOR_SESSION_INTERNAL_H

#include <pthread.h>

#include "pgsql/pg_sink.h"
#include "replicator/prepare.h"
#include "replicator/session.h"
#include "replicator/steward.h"
#include "replicator/stream.h"
#include "state/wish.h"

struct session {
    struct session_options o;
    struct legacy *legacy;    /* what is read; in the reverse direction the target */
    struct legacy_sink *sink; /* the reverse direction's; NULL: the target is written to */
    const struct legacy_sink_waits *waits;
    struct pg_conn target;
    struct prepare prepare;
    struct preparation p;
    struct steward *steward;
    struct stream *stream; /* NULL: none runs */
    struct position goal;  /* the source's end as read after the last copy, or at the start */
    bool paused;
    bool looked_at_reread; /* the list was worked off once since the stream began */
    uint64_t reread_seen;  /* … when so many keys had been put on it */
    int reread_refusals; /* so often in a row a row of it was refused; tried again when the stream has passed
                            … */
    struct position reread_past;
    bool keys_restored; /* nothing that catching up needs is left in crossfade.saved_ddl */
    unsigned wishes_seen;
    struct wish_list wishes;

    pthread_mutex_t wake_mutex;
    pthread_cond_t wake_cond;
    bool woken;

    /* Lanes and capture report stopped tables over a connection of their own. */
    pthread_mutex_t report_mutex;
    struct pg_conn report;
};

/* Sleeps until woken or for `ms`. False (err) when a part has failed or the end is wanted. */
MUST_CHECK bool session_wait(struct session *self, int ms, struct error *err);
/* Any thread. */
void session_wake(void *session);

/* What is parked and in quarantine, as counted last, into the stats. */
void session_publish_waiting(struct session *self);

/* session_stream.c */
MUST_CHECK bool session_stream_start(struct session *self, struct error *err);
void session_stream_stop(struct session *self, bool drain);

/* session_reread.c */
enum session_reread {
    SESSION_REREAD_EMPTY, /* nothing was on the list */
    SESSION_REREAD_DONE,  /* the stream has to pass *past now */
    SESSION_REREAD_LATER  /* the source does not show everything yet that was applied */
};
/* Works the re-read list off, in a meet that is left to the caller. */
MUST_CHECK bool session_reread(struct session *self, enum session_reread *result, struct position *past,
                               struct error *err);

/* session_wishes.c */
/* Something happened to the table that was not parked: `resume` alone would hide it. */
MUST_CHECK bool session_needs_recopy_put(struct session *self, struct pg_conn *target,
                                         const struct table *table, bool needs, struct error *err);
MUST_CHECK bool session_wishes_read(struct session *self, struct error *err);
/* Do the wishes read last ask for another state than the tables have? */
bool session_wishes_differ(const struct session *self);
/* Carries them out; no stream runs. Those that need sinks are left for session_wishes_sinks. */
MUST_CHECK bool session_wishes_apply(struct session *self, struct error *err);
MUST_CHECK bool session_wishes_sinks(struct session *self, struct sink **sinks, struct error *err);

#endif
