/* SPDX-License-Identifier: PostgreSQL
 *
 * Redis is not needed to move data, only to show it and to route by: nothing about it is a failure.
 */
#include "control/check_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/redis.h"
#include "state/mirror.h"

static void check_key_types(struct check *self)
{
    static const char *const keys[][2] = {
        {"epoch", "string"}, {"offsets", "hash"}, {"state", "hash"}, {"flags", "hash"}, {"audit", "stream"}};
    char key[64], why[200];
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *argv[] = {"TYPE", mirror_key(self->config->pipeline, keys[i][0], key)};
        char *type = redis_text(self->config, 2, argv, why, sizeof(why));
        if (type && strcmp(type, "none") != 0 && strcmp(type, keys[i][1]) != 0)
            check_say(
                self, PAIR_WARN, "redis_type", key, NULL,
                "somebody else's value of type %s is at this key, which has to be a %s - delete it (DEL %s)",
                type, keys[i][1], key);
        free(type);
    }
}

/* One line of INFO. */
static bool info(const char *text, const char *field, char *out, size_t size)
{
    const char *at = text ? strstr(text, field) : NULL;
    if (!at)
        return false;
    at += strlen(field);
    snprintf(out, size, "%.*s", (int)strcspn(at, "\r\n"), at);
    return true;
}

static void check_persistence(struct check *self, const char *text)
{
    char aof[8] = "0", role[16] = "master";
    char why[200];
    (void)info(text, "aof_enabled:", aof, sizeof(aof));
    (void)info(text, "\nrole:", role, sizeof(role));
    char *save = redis_text(self->config, 3, (const char *[]){"CONFIG", "GET", "save"}, why, sizeof(why));
    if (strcmp(role, "master") != 0)
        check_say(
            self, PAIR_WARN, "redis_readonly", "redis", NULL,
            "this Redis is a replica and takes no writes - the mirror stays as it is, status says degraded");
    if (strcmp(aof, "1") == 0)
        check_say(self, PAIR_OK, "redis", "redis", NULL, "reachable, writes an append-only file");
    else
        check_say(self, PAIR_OK, "redis", "redis", NULL,
                  "reachable, %s - a restart may lose or age the mirror; it is written again within seconds, "
                  "nothing is "
                  "decided by it",
                  save && *save ? "saves snapshots only" : "does not persist");
    free(save);
}

void check_redis(struct check *self)
{
    char why[200] = "";
    if (!self->config->redis_url) {
        check_say(self, PAIR_WARN, "redis_missing", "redis", NULL,
                  "no redis in the configuration - offsets and flags are kept in the target only");
        return;
    }
    char *text = redis_text(self->config, 1, (const char *[]){"INFO"}, why, sizeof(why));
    if (!text) {
        check_say(self, PAIR_WARN, "redis_unreachable", "redis", NULL,
                  "%s - replication goes on without it, status says degraded, flags hold their last value",
                  why);
        return;
    }
    check_persistence(self, text);
    check_key_types(self);
    free(text);
}
