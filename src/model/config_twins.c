/* SPDX-License-Identifier: PostgreSQL
 *
 * Two pipelines of one name would write over each other's slots and Redis keys. Within a file that is a
 * duplicate key; here the other files of the directory where the service's instances have theirs are looked
 * at. A copy for the same two databases does no harm (only one of the two gets the lease), nor does a
 * neighbour that can't be read: its own start will say so.
 */
#include "model/config_internal.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A value that both have or neither. */
static bool same_value(const cJSON *a, const cJSON *b)
{
    return (!a && !b) || (a && b && cJSON_Compare(a, b, true));
}

/* What says which database an endpoint is: conninfo, or a SQL Server's address. */
static bool same_conninfo(const struct reader *self, const struct json *other, const char *endpoint)
{
    static const char *const keys[] = {"conninfo", "host", "port", "server", "database"};
    const cJSON *mine = json_member(self->json.root, endpoint);
    const cJSON *theirs = json_member(other->root, endpoint);
    bool same = mine && theirs;
    for (size_t i = 0; same && i < sizeof(keys) / sizeof(keys[0]); i++)
        same = same_value(json_member(mine, keys[i]), json_member(theirs, keys[i]));
    return same;
}

static void compare(struct reader *self, const cJSON *own, const char *path, const struct json *other)
{
    const cJSON *theirs = json_member(other->root, "pipeline");
    if (!cJSON_IsString(theirs) || strcmp(theirs->valuestring, own->valuestring) != 0)
        return;
    if (!same_conninfo(self, other, "legacy") || !same_conninfo(self, other, "target"))
        config_problem(self, own,
                       "duplicate pipeline: \"%s\" is for other databases in %s:%d - give each a name of "
                       "its own",
                       own->valuestring, path, json_line(other, theirs));
}

static void look_at(struct reader *self, const cJSON *own, const char *path)
{
    struct buffer text = {0};
    struct json other;
    struct json_place where;
    struct error err;
    if (config_read_file(path, &text, &err) &&
        json_parse(buffer_text(&text), text.length, &other, &where, &err)) {
        compare(self, own, path, &other);
        json_free(&other);
    }
    buffer_free(&text);
}

/* True if both are one file. */
static bool is_self(const char *path, const char *own)
{
    struct stat a;
    struct stat b;
    return stat(path, &a) != 0 || stat(own, &b) != 0 || (a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

static bool is_config_name(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && name[0] != '.' && strcmp(name + n - 5, ".json") == 0;
}

void config_check_twins(struct reader *self)
{
    const cJSON *own = json_member(self->json.root, "pipeline");
    const char *slash = strrchr(self->path, '/');
    char *real = realpath(self->path, NULL);
    char *end = real ? strrchr(real, '/') : NULL;
    if (end)
        *end = '\0';
    const char *directory = end ? strrchr(real, '/') : NULL;
    DIR *dir = NULL;
    if (cJSON_IsString(own) && directory && strcmp(directory, "/crossfade") == 0)
        dir = opendir(real);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        struct buffer path = {0};
        if (!is_config_name(e->d_name))
            continue;
        /* Named as the file itself was. */
        buffer_printf(&path, "%.*s%s", slash ? (int)(slash + 1 - self->path) : 0, self->path, e->d_name);
        if (!is_self(path.data, self->path))
            look_at(self, own, path.data);
        buffer_free(&path);
    }
    if (dir)
        closedir(dir);
    free(real);
}
