/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/shim.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sybfront.h>
#include <sybdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    LINE_MAX_BYTES = 255,
    CONNECTIONS_MAX = 1024,
    /* The largest packets there are; under TLS one must fit a record. */
    PACKET_PLAIN = 32767,
    PACKET_ENCRYPTED = 16383
};

/* The one exception to "no globals": FreeTDS has them, and this is where they are kept. */
static struct {
    pthread_mutex_t lock; /* of sections and count */
    atomic_bool started;
    pid_t owner;
    char directory[256];
    char path[300];
    char *user_conf; /* $FREETDSCONF as we found it, or NULL */
    char **sections; /* texts; the name is crossfade_<index> */
    int count;
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct ms_messages *listener;

struct ms_messages *ms_shim_listen(struct ms_messages *messages)
{
    struct ms_messages *before = listener;
    listener = messages;
    return before;
}

/* INT_EXIT and whatever is no answer would end the process. A time-out first tells the server to stop; if
 * that is not heard either, the link is given up. */
static int on_error(DBPROCESS *db, int severity, int number, int os_error, char *text, char *os_text)
{
    (void)db;
    (void)severity;
    (void)os_text;
    if (!listener)
        return INT_CANCEL;
    bool stop = number == SYBETIME && listener->command && !listener->attention;
    ms_messages_add_client(listener, number, os_error > 0 ? os_error : 0, text);
    if (stop)
        listener->attention = true;
    return stop ? INT_TIMEOUT : INT_CANCEL;
}

static int on_message(DBPROCESS *db, DBINT number, int state, int severity, char *text, char *server,
                      char *procedure, int line)
{
    (void)db;
    (void)server;
    if (listener)
        ms_messages_add_server(listener, (int)number, state, severity, line, procedure, text);
    return 0;
}

void ms_shim_library_version(int *major, int *minor)
{
    *major = 0;
    *minor = 0;
    (void)sscanf(dbversion(), "freetds v%d.%d", major, minor);
}

/* A directory that only we can enter. */
static bool make_directory(struct error *err)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY");
    const char *temporary = getenv("TMPDIR");
    char *out = shim.directory;
    int n = 0;
    if (runtime && *runtime == '/')
        n = snprintf(out, sizeof(shim.directory), "%.*s/freetds.XXXXXX", (int)strcspn(runtime, ":"), runtime);
    else
        n = snprintf(out, sizeof(shim.directory), "%s/crossfade-freetds.XXXXXX",
                     temporary && *temporary == '/' ? temporary : "/tmp");
    if (n >= (int)sizeof(shim.directory))
        return error_set(err, ERROR_CONFIG, "the name of the runtime directory is too long");
    if (!mkdtemp(out)) {
        error_set(err, ERROR_REFUSED,
                  "cannot make a private directory %s: %s - set RUNTIME_DIRECTORY or TMPDIR to one that we "
                  "may write to",
                  out, strerror(errno));
        out[0] = '\0';
        return false;
    }
    snprintf(shim.path, sizeof(shim.path), "%s/freetds.conf", out);
    return true;
}

static void put_section(struct buffer *out, int index)
{
    buffer_printf(out, "[crossfade_%d]\n%s", index, shim.sections[index]);
}

/* Another thread may be reading it: the new one takes the old one's place at once. */
static bool write_file(struct error *err)
{
    struct buffer text = {0};
    char temporary[sizeof(shim.path) + 8];
    snprintf(temporary, sizeof(temporary), "%s.new", shim.path);
    buffer_puts(&text, "# Written by Crossfade for this process; gone with it.\n");
    for (int i = 0; i < shim.count; i++)
        put_section(&text, i);
    FILE *f = fopen(temporary, "we");
    bool ok = f && fchmod(fileno(f), 0600) == 0 && fwrite(text.data, 1, text.length, f) == text.length;
    int saved = errno;
    if (f && fclose(f) != 0 && ok) {
        ok = false;
        saved = errno;
    }
    if (ok && rename(temporary, shim.path) != 0) {
        ok = false;
        saved = errno;
    }
    buffer_free(&text);
    return ok || error_set(err, ERROR_RETRY, "cannot write %s: %s", temporary, strerror(saved));
}

void ms_shim_stop(void)
{
    if (!shim.directory[0] || getpid() != shim.owner)
        return;
    (void)unlink(shim.path);
    (void)rmdir(shim.directory);
    shim.directory[0] = '\0';
}

bool ms_shim_started(void)
{
    return atomic_load(&shim.started);
}

bool ms_shim_start(struct error *err)
{
    /* They would win over the file. */
    static const char *const stronger[] = {"TDSVER", "TDSPORT", "TDSHOST", "TDSQUERY", "DSQUERY"};
    if (ms_shim_started())
        return true;
    if (!make_directory(err))
        return false;
    shim.owner = getpid();
    (void)atexit(ms_shim_stop);
    if (!write_file(err))
        return false;
    for (size_t i = 0; i < sizeof(stronger) / sizeof(stronger[0]); i++)
        (void)unsetenv(stronger[i]);
    shim.user_conf = mem_strdup(getenv("FREETDSCONF"));
    if (setenv("FREETDSCONF", shim.path, 1) != 0)
        return error_set(err, ERROR_REFUSED, "cannot set FREETDSCONF: %s", strerror(errno));
    /* dbinit puts in the handler that ends the process, so ours come right behind it. */
    if (dbinit() == FAIL)
        return error_set(err, ERROR_RETRY, "FreeTDS does not start: out of memory");
    (void)dberrhandle(on_error);
    (void)dbmsghandle(on_message);
    (void)dbsetmaxprocs(CONNECTIONS_MAX);
    atomic_store(&shim.started, true);
    return true;
}

/* ------------------------------------------------------------------------------------ the user's own file */

/* As FreeTDS reads an option's name or value: blanks at both ends gone, several made one. */
static void squeeze(const char *from, size_t length, char *out, size_t size, bool lower)
{
    size_t n = 0;
    bool blank = false;
    for (size_t i = 0; i < length && n + 2 < size; i++) {
        if (isspace((unsigned char)from[i])) {
            blank = n > 0;
            continue;
        }
        if (blank)
            out[n++] = ' ';
        blank = false;
        out[n++] = lower ? (char)tolower((unsigned char)from[i]) : from[i];
    }
    out[n] = '\0';
}

/* The rest is ours to decide. */
static bool may_copy(const char *option)
{
    static const char *const names[] = {"host",
                                        "port",
                                        "instance",
                                        "ca file",
                                        "crl file",
                                        "realm",
                                        "spn",
                                        "use ntlmv2",
                                        "enable tls v1",
                                        "openssl ciphers",
                                        "mutual authentication",
                                        "enable gssapi delegation"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], option) == 0)
            return true;
    }
    return false;
}

static bool copy_lines(FILE *f, const char *section, struct buffer *out)
{
    char line[LINE_MAX_BYTES + 1];
    char option[LINE_MAX_BYTES + 1];
    char value[LINE_MAX_BYTES + 1];
    bool inside = false;
    bool found = false;
    rewind(f);
    while (fgets(line, sizeof(line), f)) {
        const char *s = line + strspn(line, " \t\r\n");
        size_t end = strcspn(s, ";#\r\n");
        size_t equals = strcspn(s, "=");
        if (end == 0)
            continue;
        squeeze(s, equals < end ? equals : end, option, sizeof(option), true);
        if (option[0] == '[') {
            option[strcspn(option, "]")] = '\0';
            inside = strcasecmp(option + 1, section) == 0;
            found = found || inside;
        } else if (inside && equals < end && may_copy(option)) {
            squeeze(s + equals + 1, end - equals - 1, value, sizeof(value), false);
            buffer_printf(out, "\t%s = %s\n", option, value);
        }
    }
    return found;
}

bool ms_shim_copy_section(const char *path, const char *server, struct buffer *out)
{
    FILE *f = fopen(path, "re");
    struct buffer own = {0};
    if (!f)
        return false;
    bool found = copy_lines(f, server, &own);
    if (found) {
        (void)copy_lines(f, "global", out);
        buffer_put(out, own.data, own.length);
    }
    buffer_free(&own);
    fclose(f);
    return found;
}

/* In the order FreeTDS looks: the first file that has the section. */
static bool find_section(const char *server, struct buffer *out, struct error *err)
{
    const char *top = getenv("FREETDS");
    const char *home = getenv("HOME");
    char path[1024];
    if (shim.user_conf && ms_shim_copy_section(shim.user_conf, server, out))
        return true;
    if (top && snprintf(path, sizeof(path), "%s/etc/freetds.conf", top) < (int)sizeof(path) &&
        ms_shim_copy_section(path, server, out))
        return true;
    if (home && snprintf(path, sizeof(path), "%s/.freetds.conf", home) < (int)sizeof(path) &&
        ms_shim_copy_section(path, server, out))
        return true;
    if (ms_shim_copy_section("/etc/freetds/freetds.conf", server, out) ||
        ms_shim_copy_section("/etc/freetds.conf", server, out) ||
        ms_shim_copy_section("/usr/local/etc/freetds.conf", server, out))
        return true;
    return error_set(err, ERROR_CONFIG,
                     "legacy.server: no section [%s] in %s%s~/.freetds.conf or /etc/freetds/freetds.conf - "
                     "add it there, or name host and port instead",
                     server, shim.user_conf ? shim.user_conf : "", shim.user_conf ? ", " : "");
}

/* --------------------------------------------------------------------------------------------- our sections
 */

static bool fits_file(const char *key, const char *value, struct error *err)
{
    bool good = !value || (strlen(value) <= 200 && !strpbrk(value, "#;") && !strstr(value, "  ") &&
                           value[0] != ' ' && (!*value || value[strlen(value) - 1] != ' '));
    for (const char *p = value; good && p && *p; p++)
        good = (unsigned char)*p >= 0x20 && *p != 0x7F;
    return good || error_set(err, ERROR_CONFIG,
                             "legacy.%s: FreeTDS can't be told such a value - allowed: up to 200 bytes, "
                             "without # ; and double blanks",
                             key);
}

static void put_encryption(const struct config_sqlserver *server, struct buffer *out)
{
    static const char *const names[] = {"require", "request", "off", "strict"};
    buffer_printf(out, "\tencryption = %s\n", names[server->encrypt]);
    if (server->encrypt == SQLSERVER_OFF)
        return;
    if (server->ca)
        buffer_printf(out, "\tca file = %s\n", server->ca);
    buffer_printf(out, "\tcheck certificate hostname = %s\n",
                  server->hostname && !server->trust_server_certificate ? "yes" : "no");
    /* FreeTDS looks at the certificate only if it knows a CA; an empty name takes back a copied one. */
    if (server->trust_server_certificate)
        buffer_puts(out, "\tca file =\n");
}

void ms_shim_describe(const struct config_sqlserver *server, int connect_timeout_ms, const char *copied,
                      struct buffer *out)
{
    /* With `request` a server may have no certificate worth looking at: only where a CA is named. */
    bool system_ca = !server->trust_server_certificate &&
                     (server->encrypt == SQLSERVER_REQUIRE || server->encrypt == SQLSERVER_STRICT);
    if (system_ca && !server->ca)
        buffer_puts(out, "\tca file = system\n");
    buffer_puts(out, copied);
    if (server->host)
        buffer_printf(out, "\thost = %s\n", server->host);
    if (server->port || !server->server)
        buffer_printf(out, "\tport = %d\n", server->port ? server->port : 1433);
    if (server->port)
        buffer_puts(out, "\tinstance =\n");
    buffer_puts(out, "\ttds version = 7.4\n\tclient charset = UTF-8\n");
    buffer_printf(out, "\tinitial block size = %d\n",
                  server->encrypt == SQLSERVER_OFF ? PACKET_PLAIN : PACKET_ENCRYPTED);
    buffer_printf(out, "\tconnect timeout = %d\n",
                  connect_timeout_ms > 0 ? (connect_timeout_ms + 999) / 1000 : 10);
    put_encryption(server, out);
}

static bool library_can(const struct config_sqlserver *server, struct error *err)
{
    int major = 0;
    int minor = 0;
    ms_shim_library_version(&major, &minor);
    if (server->encrypt != SQLSERVER_STRICT || major > 1 || (major == 1 && minor >= 5))
        return true;
    return error_set(err, ERROR_CONFIG,
                     "legacy.encrypt: \"strict\" needs FreeTDS 1.5 or later, this is %d.%d - allowed: "
                     "require, request, off",
                     major, minor);
}

static bool remember(char *text, int *index, struct error *err)
{
    for (int i = 0; i < shim.count; i++) {
        if (strcmp(shim.sections[i], text) == 0) {
            free(text);
            *index = i;
            return true;
        }
    }
    *index = shim.count;
    shim.sections = mem_grow(shim.sections, (size_t)shim.count + 1, sizeof(*shim.sections));
    shim.sections[shim.count++] = text;
    if (write_file(err))
        return true;
    free(shim.sections[--shim.count]);
    return false;
}

bool ms_shim_section(const struct config_sqlserver *server, int connect_timeout_ms,
                     char name[MS_SECTION_SIZE], struct error *err)
{
    struct buffer copied = {0};
    struct buffer text = {0};
    int index = 0;
    bool ok = library_can(server, err) && fits_file("host", server->host, err) &&
              fits_file("ca", server->ca, err) &&
              (!server->server || find_section(server->server, &copied, err));
    if (ok) {
        ms_shim_describe(server, connect_timeout_ms, buffer_text(&copied), &text);
        pthread_mutex_lock(&shim.lock);
        ok = remember(buffer_detach(&text), &index, err);
        pthread_mutex_unlock(&shim.lock);
        snprintf(name, MS_SECTION_SIZE, "crossfade_%d", index);
    }
    buffer_free(&copied);
    return ok;
}
