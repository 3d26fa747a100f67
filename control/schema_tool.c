/* SPDX-License-Identifier: PostgreSQL */
#include "control/schema_tool.h"

#include <libpq-fe.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/mem.h"

extern char **environ;

static void quote_value(struct buffer *out, const char *value)
{
    buffer_putc(out, '\'');
    for (const char *p = value; *p; p++) {
        if (*p == '\'' || *p == '\\')
            buffer_putc(out, '\\');
        buffer_putc(out, *p);
    }
    buffer_putc(out, '\'');
}

/* Our environment, with the password in front. */
static char **with_password(const char *password)
{
    size_t count = 0, n = 0;
    while (environ[count])
        count++;
    char **env = mem_alloc(sizeof(*env) * (count + 2));
    struct buffer first = {0};
    if (password) {
        buffer_printf(&first, "PGPASSWORD=%s", password);
        env[n++] = buffer_detach(&first);
    }
    for (size_t i = 0; i < count; i++) {
        if (!password || strncmp(environ[i], "PGPASSWORD=", 11) != 0)
            env[n++] = mem_strdup(environ[i]);
    }
    return env;
}

static bool take_conninfo(const char *conninfo, struct schema_tool *out, struct error *err)
{
    char *why = NULL;
    const char *password = NULL;
    struct buffer text = {0};
    PQconninfoOption *options = PQconninfoParse(conninfo, &why);
    if (!options) {
        PQfreemem(why); /* it may quote the password */
        return error_set(err, ERROR_CONFIG, "legacy.conninfo can't be understood");
    }
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        if (!o->val)
            continue;
        if (strcmp(o->keyword, "password") == 0) {
            password = o->val;
            continue;
        }
        buffer_printf(&text, "%s%s=", text.length ? " " : "", o->keyword);
        quote_value(&text, o->val);
    }
    out->env = with_password(password);
    PQconninfoFree(options);
    out->conninfo = text.length ? buffer_detach(&text) : mem_strdup("");
    return true;
}

/* "/opt/pg/bin/pg_dump" -> "/opt/pg/bin/pg_restore" */
static char *sibling(const char *dump, const char *name)
{
    struct buffer out = {0};
    const char *slash = strrchr(dump, '/');
    if (slash)
        buffer_put(&out, dump, (size_t)(slash - dump) + 1);
    buffer_puts(&out, name);
    return buffer_detach(&out);
}

bool schema_tool_run(const char *const *argv, char *const *env, int output, struct error *err)
{
    posix_spawn_file_actions_t actions;
    union {
        const char *const *in;
        char *const *out;
    } args = {.in = argv}; /* posix_spawn does not write to them */
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&actions);
    if (output >= 0 && output != STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    int failed = posix_spawnp(&pid, argv[0], &actions, NULL, args.out, env);
    posix_spawn_file_actions_destroy(&actions);
    if (failed)
        return error_set(err, ERROR_CONFIG,
                         "can't run %s: %s - install it, or name one by the environment's PG_DUMP", argv[0],
                         strerror(failed));
    while (waitpid(pid, &status, 0) < 0)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    return error_set(err, ERROR_REFUSED, "%s failed - see its message above", argv[0]);
}

/* "pg_dump (PostgreSQL) 15.20 (Debian …)" */
static bool check_version(const struct schema_tool *self, int server_version, struct error *err)
{
    char text[200] = "";
    FILE *file = tmpfile();
    if (!file)
        return error_set(err, ERROR_RETRY, "can't make a temporary file: %m");
    const char *argv[] = {self->dump, "--version", NULL};
    bool ok = schema_tool_run(argv, self->env, fileno(file), err);
    rewind(file);
    if (ok && !fgets(text, sizeof(text), file))
        text[0] = '\0';
    fclose(file);
    if (!ok)
        return false;
    const char *number = strstr(text, ") ");
    int major = number ? atoi(number + 2) : 0;
    if (major >= server_version / 10000)
        return true;
    text[strcspn(text, "\n")] = '\0';
    return error_set(
        err, ERROR_CONFIG,
        "%s is too old: it is \"%s\", the legacy server is PostgreSQL %d - name a pg_dump of that version or "
        "newer by the environment's PG_DUMP",
        self->dump, text, server_version / 10000);
}

bool schema_tool_find(const char *conninfo, int server_version, struct schema_tool *out, struct error *err)
{
    const char *named = getenv("PG_DUMP");
    *out = (struct schema_tool){0};
    out->dump = mem_strdup(named && *named ? named : "pg_dump");
    out->restore = sibling(out->dump, "pg_restore");
    if (take_conninfo(conninfo, out, err) && check_version(out, server_version, err))
        return true;
    schema_tool_free(out);
    return false;
}

void schema_tool_free(struct schema_tool *self)
{
    for (size_t i = 0; self->env && self->env[i]; i++)
        free(self->env[i]);
    free(self->env);
    free(self->dump);
    free(self->restore);
    free(self->conninfo);
    *self = (struct schema_tool){0};
}
