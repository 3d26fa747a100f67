/* SPDX-License-Identifier: PostgreSQL */
#include "control/redis.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "state/mirror.h"

enum { TIMEOUT_S = 1, DEFAULT_PORT = 6379 };

struct redis_link {
    redisContext *context;
    int database;
    char why[160]; /* empty: all is well */
};

/* "host", "host:port" or "[v6]:port", cut at the right places. Returns the host. */
static char *split_host(char *text, int *port)
{
    char *end = text[0] == '[' ? strchr(text, ']') : NULL;
    char *colon = strchr(end ? end : text, ':');
    if (colon) {
        *colon = '\0';
        *port = atoi(colon + 1);
    }
    if (!end)
        return text;
    *end = '\0';
    return text + 1;
}

static redisContext *connect_url(const char *url, int *database)
{
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    *database = 0;
    if (strncmp(url, "unix:", 5) == 0)
        return redisConnectUnixWithTimeout(url + 5, timeout);
    char *text = mem_strdup(strncmp(url, "redis://", 8) == 0 ? url + 8 : url);
    char *slash = strchr(text, '/');
    int port = DEFAULT_PORT;
    if (slash) {
        *slash = '\0';
        *database = atoi(slash + 1);
    }
    const char *host = split_host(text, &port);
    redisContext *context = redisConnectWithTimeout(host, port, timeout);
    free(text);
    return context;
}

/* NULL (with `why` set) when Redis says no; else the caller's to free. */
static redisReply *ask(struct redis_link *self, int argc, const char **argv)
{
    if (self->why[0])
        return NULL;
    redisReply *reply = redisCommandArgv(self->context, argc, argv, NULL);
    if (!reply)
        snprintf(self->why, sizeof(self->why), "%s", self->context->errstr);
    else if (reply->type == REDIS_REPLY_ERROR)
        snprintf(self->why, sizeof(self->why), "%s", reply->str);
    else
        return reply;
    freeReplyObject(reply);
    return NULL;
}

static void link_open(struct redis_link *self, const struct config *config)
{
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    char number[16];
    *self = (struct redis_link){0};
    if (!config->redis_url) {
        snprintf(self->why, sizeof(self->why), "no redis in the configuration");
        return;
    }
    self->context = connect_url(config->redis_url, &self->database);
    if (!self->context || self->context->err) {
        snprintf(self->why, sizeof(self->why), "%s", self->context ? self->context->errstr : "out of memory");
        return;
    }
    (void)redisSetTimeout(self->context, timeout);
    if (config->redis_password)
        freeReplyObject(ask(self, 2, (const char *[]){"AUTH", config->redis_password}));
    snprintf(number, sizeof(number), "%d", self->database);
    if (self->database)
        freeReplyObject(ask(self, 2, (const char *[]){"SELECT", number}));
}

static void link_close(struct redis_link *self)
{
    if (self->context)
        redisFree(self->context);
}

cJSON *redis_mirror(const struct config *config)
{
    struct redis_link link;
    char key[64];
    cJSON *out = cJSON_CreateObject();
    cJSON *offsets = cJSON_CreateObject();
    link_open(&link, config);
    redisReply *epoch = ask(&link, 2, (const char *[]){"GET", mirror_key(config->pipeline, "epoch", key)});
    redisReply *hash =
        ask(&link, 2, (const char *[]){"HGETALL", mirror_key(config->pipeline, "offsets", key)});
    for (size_t i = 0; hash && i + 1 < hash->elements; i += 2)
        cJSON_AddStringToObject(offsets, hash->element[i]->str, hash->element[i + 1]->str);
    cJSON_AddBoolToObject(out, "reachable", link.why[0] == '\0');
    cJSON_AddItemToObject(out, "error", link.why[0] ? cJSON_CreateString(link.why) : cJSON_CreateNull());
    cJSON_AddItemToObject(out, "epoch",
                          epoch && epoch->type == REDIS_REPLY_STRING ? cJSON_CreateString(epoch->str)
                                                                     : cJSON_CreateNull());
    cJSON_AddItemToObject(out, "offsets", offsets);
    freeReplyObject(epoch);
    freeReplyObject(hash);
    link_close(&link);
    return out;
}

bool redis_clear(const struct config *config, char *why, size_t size)
{
    static const char *const names[] = {"epoch", "offsets", "state", "flags"};
    struct redis_link link;
    char key[64];
    link_open(&link, config);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        freeReplyObject(ask(&link, 2, (const char *[]){"DEL", mirror_key(config->pipeline, names[i], key)}));
    link_close(&link);
    snprintf(why, size, "%s", link.why);
    return link.why[0] == '\0';
}

char *redis_text(const struct config *config, int argc, const char **argv, char *why, size_t size)
{
    struct redis_link link;
    char *out = NULL;
    link_open(&link, config);
    redisReply *reply = ask(&link, argc, argv);
    const redisReply *last = reply;
    if (last && last->type == REDIS_REPLY_ARRAY && last->elements > 0)
        last = last->element[last->elements - 1];
    if (last)
        out = mem_strdup(last->str ? last->str : "");
    freeReplyObject(reply);
    link_close(&link);
    snprintf(why, size, "%s", link.why);
    return out;
}
