/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/redis_mirror.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <hiredis/adapters/libevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "replicator/report.h"
#include "state/mirror.h"

enum { RETRY_FIRST_MS = 250, RETRY_MAX_MS = 15000, ANSWER_TIMEOUT_S = 5 };

struct redis_mirror {
    struct redis_mirror_options o;
    redisAsyncContext *redis; /* NULL: not connected and not connecting */
    struct event *retry;
    struct event *patience; /* runs while an answer, or the connection, is waited for */
    int retry_ms;
    bool busy;   /* a command is under way */
    bool wanted; /* another update is due after it */
    bool closing;
    char told[256];
};

static struct timeval to_timeval(int ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* Logged once while it stays the same. */
static void degraded(struct redis_mirror *self, const char *why)
{
    self->o.stats->redis_ok = false;
    if (strcmp(self->told, why) == 0)
        return;
    snprintf(self->told, sizeof(self->told), "%s", why);
    log_warning(self->o.log, "redis: %s - replication goes on, the mirror in redis is stale", why);
}

static void again_later(struct redis_mirror *self)
{
    if (self->closing)
        return;
    self->retry_ms = self->retry_ms ? self->retry_ms * 2 : RETRY_FIRST_MS;
    if (self->retry_ms > RETRY_MAX_MS)
        self->retry_ms = RETRY_MAX_MS;
    unsigned seed = (unsigned)clock_us();
    struct timeval tv = to_timeval(self->retry_ms / 2 + (int)(rand_r(&seed) % (self->retry_ms / 2 + 1)));
    evtimer_add(self->retry, &tv);
}

/* hiredis of Debian 12 has no time-outs of its own. */
static void wait_for_answer(struct redis_mirror *self)
{
    struct timeval tv = {.tv_sec = ANSWER_TIMEOUT_S};
    evtimer_add(self->patience, &tv);
}

static void on_patience(evutil_socket_t fd, short what, void *context)
{
    struct redis_mirror *self = context;
    redisAsyncContext *redis = self->redis;
    (void)fd;
    (void)what;
    if (!redis)
        return;
    self->redis = NULL;
    self->busy = false;
    redisAsyncFree(redis);
    degraded(self, "no answer within 5 s");
    again_later(self);
}

static void collect(struct redis_mirror *self, struct mirror *m)
{
    struct stats *stats = self->o.stats;
    struct report_lag lag = report_lag(stats);
    struct mirror_offsets offsets = {.received = stats_position_get(&stats->received),
                                     .applied = stats_position_get(&stats->applied),
                                     .confirmed = stats_position_get(&stats->confirmed),
                                     .lag_bytes = lag.known ? (int64_t)lag.bytes : -1,
                                     .lag_ms = lag.ms};
    mirror_init(m, self->o.config->pipeline, stats->epoch);
    mirror_set_offsets(m, stats_stream_name(stats), &offsets);
    mirror_set(m, MIRROR_STATE, "pipeline", "%s",
               stats->paused ? "paused" : stats_phase_name((enum stats_phase)stats->phase));
    stats_lock(stats);
    m->whole = stats->table_count > 0;
    char field[256];
    const char *group;
    for (uint32_t i = 0; (group = report_group_name(stats, i)); i++) {
        snprintf(field, sizeof(field), "group:%s", group);
        mirror_set(m, MIRROR_STATE, field, "%s", table_state_name(report_group_state(stats, group)));
        snprintf(field, sizeof(field), "%s.live", group);
        mirror_set(m, MIRROR_FLAGS, field, "%s", stats->reverse ? "target" : "legacy");
        snprintf(field, sizeof(field), "%s.frozen", group);
        mirror_set(m, MIRROR_FLAGS, field, "0");
        snprintf(field, sizeof(field), "%s.epoch", group);
        mirror_set(m, MIRROR_FLAGS, field, "%lld", (long long)stats->epoch);
    }
    for (uint32_t i = 0; i < stats->table_count; i++) {
        snprintf(field, sizeof(field), "table:%s", stats->tables[i].from);
        mirror_set(m, MIRROR_STATE, field, "%s", table_state_name((enum table_state)stats->tables[i].state));
    }
    stats_unlock(stats);
}

/* The mirror's epoch is above ours although the lease is ours: it was written under another target, or this
 * one was restored. Only a person can know that no other replicator writes there. */
static void refused(struct redis_mirror *self)
{
    char why[256];
    char key[64];
    snprintf(
        why, sizeof(why),
        "holds a higher epoch of this pipeline than ours, %lld - if the target was made anew or restored: "
        "DEL %s",
        (long long)self->o.stats->epoch, mirror_key(self->o.config->pipeline, "epoch", key));
    degraded(self, why);
}

static void on_answer(redisAsyncContext *redis, void *answer, void *context)
{
    struct redis_mirror *self = context;
    const redisReply *reply = answer;
    if (self->closing || self->redis != redis)
        return;
    self->busy = false;
    evtimer_del(self->patience);
    if (!reply)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        degraded(self, reply->str);
        return;
    }
    if (reply->type == REDIS_REPLY_INTEGER && reply->integer == 0) {
        refused(self);
        return;
    }
    if (!self->o.stats->redis_ok && self->told[0])
        log_info(self->o.log, "redis: the mirror is up to date again");
    self->told[0] = '\0';
    self->o.stats->redis_ok = true;
    self->retry_ms = 0;
    if (self->wanted)
        redis_mirror_update(self);
}

void redis_mirror_update(struct redis_mirror *self)
{
    if (!self || self->o.stats->epoch == 0 || self->o.stats->role != STATS_ACTIVE)
        return;
    self->wanted = self->busy;
    if (!self->redis || self->busy)
        return;
    struct mirror m;
    struct mirror_command command;
    collect(self, &m);
    mirror_encode(&m, &command);
    const char **argv = mem_alloc((size_t)command.argc * sizeof(*argv));
    for (int i = 0; i < command.argc; i++)
        argv[i] = command.argv[i];
    self->busy =
        redisAsyncCommandArgv(self->redis, on_answer, self, command.argc, argv, command.lengths) == REDIS_OK;
    free(argv);
    mirror_command_free(&command);
    mirror_free(&m);
    if (self->busy)
        wait_for_answer(self);
}

/* AUTH and SELECT answer here; what they refuse shows in the mirror command's answer, too. */
static void on_hello(redisAsyncContext *redis, void *answer, void *context)
{
    struct redis_mirror *self = context;
    const redisReply *reply = answer;
    if (self->redis == redis && reply && reply->type == REDIS_REPLY_ERROR)
        degraded(self, reply->str);
}

static void on_connect(const redisAsyncContext *redis, int status)
{
    struct redis_mirror *self = redis->data;
    if (!self->closing)
        evtimer_del(self->patience);
    if (status == REDIS_OK) {
        redis_mirror_update(self);
        return;
    }
    if (self->closing || self->redis != redis)
        return;
    char why[256];
    snprintf(why, sizeof(why), "can't connect: %s", redis->errstr);
    self->redis = NULL; /* hiredis frees it */
    self->busy = false;
    degraded(self, why);
    again_later(self);
}

static void on_disconnect(const redisAsyncContext *redis, int status)
{
    struct redis_mirror *self = redis->data;
    if (self->closing || self->redis != redis)
        return;
    self->redis = NULL;
    self->busy = false;
    evtimer_del(self->patience);
    degraded(self, status == REDIS_OK ? "the connection was closed" : redis->errstr);
    again_later(self);
}

/* redis://host[:port][/db] or unix:/path, as the config reader has checked it. */
static redisAsyncContext *open_url(struct redis_mirror *self, char *db, size_t size)
{
    const char *url = self->o.config->redis_url;
    db[0] = '\0';
    if (strncmp(url, "unix:", 5) == 0)
        return redisAsyncConnectUnix(url + 5);
    char host[256];
    snprintf(host, sizeof(host), "%s", url + strlen("redis://"));
    char *slash = strchr(host, '/');
    if (slash) {
        *slash = '\0';
        snprintf(db, size, "%s", slash + 1);
    }
    char *colon = strrchr(host, ':');
    int port = colon && !strchr(colon, ']') ? atoi(colon + 1) : 6379;
    if (colon && !strchr(colon, ']'))
        *colon = '\0';
    char *name = host;
    if (host[0] == '[') {
        name = host + 1;
        name[strcspn(name, "]")] = '\0';
    }
    return redisAsyncConnect(name, port);
}

static void connect_now(struct redis_mirror *self)
{
    char db[16];
    redisAsyncContext *redis = open_url(self, db, sizeof(db));
    if (!redis || redis->err) {
        degraded(self, redis ? redis->errstr : "out of memory");
        if (redis)
            redisAsyncFree(redis);
        again_later(self);
        return;
    }
    redis->data = self;
    self->redis = redis;
    redisLibeventAttach(redis, self->o.base);
    redisAsyncSetConnectCallback(redis, on_connect);
    redisAsyncSetDisconnectCallback(redis, on_disconnect);
    wait_for_answer(self);
    const char *password = self->o.config->redis_password;
    if (password)
        redisAsyncCommand(redis, on_hello, self, "AUTH %s", password);
    if (db[0])
        redisAsyncCommand(redis, on_hello, self, "SELECT %s", db);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
    struct redis_mirror *self = context;
    (void)fd;
    (void)what;
    if (!self->redis)
        connect_now(self);
}

struct redis_mirror *redis_mirror_start(const struct redis_mirror_options *options)
{
    if (!options->config->redis_url)
        return NULL;
    struct redis_mirror *self = mem_alloc(sizeof(*self));
    self->o = *options;
    self->retry = evtimer_new(options->base, on_retry, self);
    self->patience = evtimer_new(options->base, on_patience, self);
    connect_now(self);
    return self;
}

void redis_mirror_free(struct redis_mirror *self)
{
    if (!self)
        return;
    self->closing = true;
    if (self->redis)
        redisAsyncFree(self->redis);
    event_free(self->retry);
    event_free(self->patience);
    free(self);
}
