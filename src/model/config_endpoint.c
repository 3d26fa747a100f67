/* SPDX-License-Identifier: PostgreSQL
 *
 * Addresses and their secrets. A conninfo is taken apart with libpq's own parser, refused if a password
 * stands in it, and put together again in keyword form, every value quoted, with the password that the
 * config refers to. libpq's messages may repeat parts of the text, so they are shown only where no password
 * can be in it.
 */
#include "model/config_internal.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"

static bool may_hold_secret(const char *conninfo)
{
    return strcasestr(conninfo, "pass") || strchr(conninfo, '@') || strchr(conninfo, '%');
}

static void put_keyword(struct buffer *out, const char *keyword, const char *value)
{
    buffer_printf(out, "%s%s='", out->length ? " " : "", keyword);
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            buffer_putc(out, '\\');
        buffer_putc(out, *value);
    }
    buffer_putc(out, '\'');
}

static bool is_secret(const PQconninfoOption *o)
{
    return strcmp(o->keyword, "password") == 0 || strcmp(o->keyword, "sslpassword") == 0 ||
           (o->dispchar && strchr(o->dispchar, '*'));
}

void config_check_conninfo(struct reader *self, const cJSON *item)
{
    const char *text = item->valuestring;
    char *message = NULL;
    if (!text[strspn(text, " ")]) {
        config_problem(self, item, "is empty - write at least a database: \"dbname=…\"");
        return;
    }
    PQconninfoOption *options = PQconninfoParse(text, &message);
    if (!options) {
        if (may_hold_secret(text) || !message)
            config_problem(self, item,
                           "not a libpq connection string - allowed: \"host=… dbname=… user=…\" or "
                           "\"postgresql://user@host/db\", the password under \"password\"");
        else
            config_problem(self, item, "not a libpq connection string: %.*s", (int)strcspn(message, "\n"),
                           message);
    }
    for (PQconninfoOption *o = options; o && o->keyword; o++) {
        if (o->val && *o->val && is_secret(o))
            config_problem(self, item,
                           "a literal %s is refused - write \"password\": \"env:NAME\", \"file:PATH\" or "
                           "\"credential:NAME\" beside it, or use PGPASSFILE or a service file",
                           o->keyword);
        if (o->val && *o->val && strcmp(o->keyword, "replication") == 0)
            config_problem(self, item, "\"replication\" is set where it is needed - remove it");
    }
    PQfreemem(message);
    PQconninfoFree(options);
}

void config_join_conninfo(struct reader *self, const char *endpoint, char **out)
{
    const cJSON *section = json_member(self->json.root, endpoint);
    const cJSON *conninfo = json_member(section, "conninfo");
    const cJSON *reference = json_member(section, "password");
    char *password = NULL;
    struct error err;
    if (cJSON_IsString(reference) && !secret_resolve(reference->valuestring, &password, &err))
        config_problem(self, reference, "%s", err.text);
    PQconninfoOption *options =
        cJSON_IsString(conninfo) ? PQconninfoParse(conninfo->valuestring, NULL) : NULL;
    struct buffer joined = {0};
    for (PQconninfoOption *o = options; o && o->keyword; o++) {
        if (o->val && *o->val && !is_secret(o))
            put_keyword(&joined, o->keyword, o->val);
    }
    if (options && password)
        put_keyword(&joined, "password", password);
    PQconninfoFree(options);
    secret_free(password);
    secret_free(*out);
    *out = buffer_detach(&joined);
}

void config_read_redis_password(struct reader *self)
{
    const cJSON *reference = json_member(json_member(self->json.root, "redis"), "password");
    struct error err;
    secret_free(self->config->redis_password);
    self->config->redis_password = NULL;
    if (cJSON_IsString(reference) &&
        !secret_resolve(reference->valuestring, &self->config->redis_password, &err))
        config_problem(self, reference, "%s", err.text);
}

/* A decimal of at most `max`, the whole of text. */
static bool is_number(const char *text, long max)
{
    size_t n = strspn(text, "0123456789");
    return n > 0 && n < 7 && text[n] == '\0' && strtol(text, NULL, 10) <= max;
}

/* host, host:port, [v6]:port; `port` is set to the port's text or NULL. */
static bool split_address(char *text, const char **port)
{
    char *end = text;
    if (*text == '[') {
        end = strchr(text, ']');
        if (!end || end == text + 1)
            return false;
        end++;
    } else {
        end = text + strcspn(text, ":");
        if (end == text)
            return false;
    }
    *port = *end == ':' ? end + 1 : NULL;
    bool good = *end == ':' || *end == '\0';
    *end = '\0';
    return good && !strpbrk(text, " \t/@?#");
}

void config_check_redis(struct reader *self, const cJSON *item)
{
    static const char allowed[] = "allowed: \"redis://host:port/db\" or \"unix:/path/redis.sock\"";
    const char *url = item->valuestring;
    if (strncmp(url, "unix:/", 6) == 0) {
        if (strlen(url + 5) > 107)
            config_problem(self, item, "a Unix socket's path has at most 107 bytes - %s", allowed);
        return;
    }
    if (strncmp(url, "rediss://", 9) == 0) {
        config_problem(self, item, "this build has no TLS for Redis - %s", allowed);
        return;
    }
    if (strncmp(url, "redis://", 8) != 0) {
        config_problem(self, item, "not a Redis address - %s", allowed);
        return;
    }
    if (strchr(url, '@')) {
        config_problem(self, item,
                       "a user or literal password is refused here - write \"password\": \"env:NAME\", "
                       "\"file:PATH\" or \"credential:NAME\" beside it");
        return;
    }
    char *text = mem_strdup(url + 8);
    char *db = strchr(text, '/');
    const char *port = NULL;
    if (db)
        *db++ = '\0';
    if (!split_address(text, &port) || (port && (!is_number(port, 65535) || strtol(port, NULL, 10) == 0)) ||
        (db && *db && !is_number(db, 65535)))
        config_problem(self, item, "not a Redis address - %s", allowed);
    free(text);
}

void config_check_listen(struct reader *self, const cJSON *item)
{
    const char *port = NULL;
    char *text = mem_strdup(item->valuestring);
    if (*text &&
        (!split_address(text, &port) || !port || !is_number(port, 65535) || strtol(port, NULL, 10) == 0))
        config_problem(self, item,
                       "not an address - allowed: \"address:port\" as in \"127.0.0.1:8480\", or \"\" for "
                       "off");
    free(text);
}
