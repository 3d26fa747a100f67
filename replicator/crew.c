/* SPDX-License-Identifier: PostgreSQL
 *
 * One mutex guards who has ended, the first error and the held connections; a connection is let go under it
 * before it is closed, so that an interrupt never meets a freed one. Members don't look at the cancel flag:
 * `stop` is theirs.
 */
#include "replicator/crew.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "replicator/deadline.h"

enum { WATCH_MS = 100 };

struct crew_member {
    struct crew *crew;
    pthread_t thread;
    int number;
    struct {
        void *conn; /* NULL: none */
        void (*cancel)(void *conn);
    } held[2];
};

struct crew {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    crew_work *work;
    void *context;
    struct crew_member *members;
    int count;
    int running;
    _Atomic bool stop;
    bool failed;
    struct error err; /* the first failure */
};

int crew_number(const struct crew_member *self)
{
    return self->number;
}

bool crew_stopping(const struct crew_member *self)
{
    return atomic_load_explicit(&self->crew->stop, memory_order_relaxed);
}

void crew_hold(struct crew_member *self, int slot, void *conn, void (*cancel)(void *conn))
{
    pthread_mutex_lock(&self->crew->mutex);
    self->held[slot].conn = conn;
    self->held[slot].cancel = cancel;
    pthread_mutex_unlock(&self->crew->mutex);
}

static void cancel_pg(void *conn)
{
    pg_conn_cancel(conn);
}

bool crew_open(struct crew_member *self, int slot, struct pg_conn *conn,
               const struct pg_conn_options *options, struct error *err)
{
    if (!pg_conn_open(conn, options, err))
        return false;
    crew_hold(self, slot, conn, cancel_pg);
    return true;
}

void crew_close(struct crew_member *self, int slot, struct pg_conn *conn)
{
    crew_hold(self, slot, NULL, NULL);
    pg_conn_close(conn);
}

static void *member_main(void *arg)
{
    struct crew_member *self = arg;
    struct crew *crew = self->crew;
    struct error err = {0};
    bool ok = crew->work(crew->context, self, &err);
    pthread_mutex_lock(&crew->mutex);
    assert(!self->held[0].conn && !self->held[1].conn);
    if (!ok && !crew->failed && !atomic_load(&crew->stop)) {
        crew->failed = true;
        crew->err = err;
        atomic_store(&crew->stop, true);
    }
    crew->running--;
    pthread_cond_signal(&crew->ended);
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

/* Under the mutex. A statement may begin just after its connection was interrupted: hence again and again. */
static void interrupt(struct crew *crew)
{
    for (int i = 0; i < crew->count; i++)
        for (int slot = 0; slot < 2; slot++)
            if (crew->members[i].held[slot].conn)
                crew->members[i].held[slot].cancel(crew->members[i].held[slot].conn);
}

static void watch(struct crew *crew, _Atomic bool *cancel)
{
    pthread_mutex_lock(&crew->mutex);
    while (crew->running > 0) {
        bool woken = deadline_wait(&crew->ended, &crew->mutex, clock_ms() + WATCH_MS);
        if (cancel && atomic_load(cancel))
            atomic_store(&crew->stop, true);
        if (!woken && atomic_load(&crew->stop))
            interrupt(crew);
    }
    pthread_mutex_unlock(&crew->mutex);
}

static void init(struct crew *crew)
{
    pthread_mutex_init(&crew->mutex, NULL);
    deadline_cond_init(&crew->ended);
}

bool crew_run(int count, crew_work *work, void *context, _Atomic bool *cancel, struct error *err)
{
    assert(count > 0);
    struct crew crew = {.work = work, .context = context, .count = count, .running = count};
    init(&crew);
    crew.members = mem_alloc((size_t)count * sizeof(*crew.members));
    for (int i = 0; i < count; i++) {
        struct crew_member *m = &crew.members[i];
        m->crew = &crew;
        m->number = i;
        int rc = pthread_create(&m->thread, NULL, member_main, m);
        assert(rc == 0);
    }
    watch(&crew, cancel);
    for (int i = 0; i < count; i++)
        pthread_join(crew.members[i].thread, NULL);
    bool ok = !crew.failed;
    if (!ok)
        *err = crew.err;
    if (cancel && atomic_load(cancel))
        ok = error_set(err, ERROR_CANCELED, "stopped");
    free(crew.members);
    pthread_cond_destroy(&crew.ended);
    pthread_mutex_destroy(&crew.mutex);
    return ok;
}
