/* SPDX-License-Identifier: PostgreSQL */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { SECRET_MAX = 64 * 1024 };

void secret_free(char *secret)
{
    if (!secret)
        return;
    explicit_bzero(secret, strlen(secret));
    free(secret);
}

static bool read_all(int fd, const char *path, char *data, size_t *length, struct error *err)
{
    *length = 0;
    while (*length <= SECRET_MAX) {
        ssize_t n = read(fd, data + *length, SECRET_MAX + 1 - *length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(err, ERROR_CONFIG, "secret file %s cannot be read: %s", path, strerror(errno));
        if (n == 0)
            break;
        *length += (size_t)n;
    }
    if (*length > SECRET_MAX)
        return error_set(err, ERROR_CONFIG, "secret file %s is larger than 64 kB", path);
    if (memchr(data, '\0', *length))
        return error_set(err, ERROR_CONFIG, "secret file %s holds a NUL byte", path);
    if (*length && data[*length - 1] == '\n')
        (*length)--;
    if (*length == 0)
        return error_set(err, ERROR_CONFIG, "secret file %s is empty", path);
    return true;
}

static bool from_file(const char *path, char **out, struct error *err)
{
    /* Not blocking on a FIFO, and nothing but a regular file: a device has no end. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set(err, ERROR_CONFIG, "secret file %s cannot be opened: %s", path, strerror(errno));
    struct stat st;
    bool ok = false;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        error_set(err, ERROR_CONFIG, "secret file %s is not a regular file", path);
    } else {
        char *data = mem_alloc(SECRET_MAX + 2);
        size_t length = 0;
        ok = read_all(fd, path, data, &length, err);
        if (ok)
            *out = mem_strndup(data, length);
        explicit_bzero(data, SECRET_MAX + 2);
        free(data);
    }
    close(fd);
    return ok;
}

static bool from_env(const char *name, char **out, struct error *err)
{
    const char *value = getenv(name);
    if (!value)
        return error_set(err, ERROR_CONFIG, "environment variable %s is not set", name);
    if (!*value)
        return error_set(err, ERROR_CONFIG, "environment variable %s is empty", name);
    *out = mem_strdup(value);
    return true;
}

static bool from_credential(const char *name, char **out, struct error *err)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return error_set(err, ERROR_CONFIG, "a credential's name has no path in it");
    if (!dir || !*dir)
        return error_set(
            err, ERROR_CONFIG,
            "credential %s is not there: $CREDENTIALS_DIRECTORY is not set - start it as a systemd "
            "unit with LoadCredential=%s:…",
            name, name);
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return error_set(err, ERROR_CONFIG, "credential's path is too long");
    if (!from_file(path, out, err))
        return error_prefix(err, "credential %s", name);
    return true;
}

bool secret_resolve(const char *reference, char **out, struct error *err)
{
    static const struct {
        const char *prefix;
        bool (*resolve)(const char *name, char **out, struct error *err);
    } kinds[] = {{"env:", from_env}, {"file:", from_file}, {"credential:", from_credential}};
    *out = NULL;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        size_t n = strlen(kinds[i].prefix);
        if (strncmp(reference, kinds[i].prefix, n) == 0 && reference[n])
            return kinds[i].resolve(reference + n, out, err);
    }
    return error_set(err, ERROR_CONFIG,
                     "not a reference to a secret, and a literal one is refused - allowed: \"env:NAME\", "
                     "\"file:PATH\", \"credential:NAME\"");
}
