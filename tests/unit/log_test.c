/* SPDX-License-Identifier: PostgreSQL
 *
 * What log lines look like on stderr, which is a file while a test runs; and that threads' lines don't mix.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/log.h"

static int saved = -1;
static FILE *capture;

static void begin(void)
{
    capture = tmpfile();
    assert_non_null(capture);
    saved = dup(STDERR_FILENO);
    assert_true(dup2(fileno(capture), STDERR_FILENO) >= 0);
}

/* What was written. */
static char *end(void)
{
    struct buffer out = {0};
    char piece[4096];
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    rewind(capture);
    for (size_t n; (n = fread(piece, 1, sizeof(piece), capture)) > 0;)
        buffer_put(&out, piece, n);
    fclose(capture);
    return buffer_detach(&out);
}

static void text_has_time_level_and_fields(void **state)
{
    (void)state;
    begin();
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_INFO, "district");
    const struct log_fields fields = {.table = "public.students", .position = "0/16B3748"};
    log_info(log, "hello %d", 5);
    log_write(log, LOG_LEVEL_ERROR, &fields, "no");
    log_free(log);
    char *out = end();
    assert_int_equal(out[4], '-');
    assert_int_equal(out[10], 'T');
    assert_int_equal(out[23], 'Z');
    assert_non_null(strstr(out, "Z info district: hello 5\n"));
    assert_non_null(strstr(out, "Z error district public.students 0/16B3748: no\n"));
    free(out);
}

static void json_has_the_pinned_fields_and_parses(void **state)
{
    (void)state;
    begin();
    struct log *log = log_new(LOG_FORMAT_JSON, LOG_LEVEL_DEBUG, "district");
    const struct log_fields fields = {.table = "a\"b\\c", .position = "0/1"};
    log_write(log, LOG_LEVEL_WARNING, &fields, "line\none \x01 tab\t \x1b[31m \xC2\x9B \xFF \xC3\xA4 \x7F");
    log_free(log);
    char *out = end();
    assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
    for (const char *p = out; *p != '\n'; p++)
        assert_true((unsigned char)*p >= 0x20 && *p != 0x7F);
    cJSON *root = cJSON_Parse(out);
    assert_non_null(root);
    static const char *const names[] = {"ts", "level", "pipeline", "table", "position", "msg"};
    const cJSON *c = root->child;
    for (size_t i = 0; i < 6; i++, c = c->next)
        assert_string_equal(c->string, names[i]);
    assert_null(c);
    assert_string_equal(cJSON_GetObjectItem(root, "level")->valuestring, "warning");
    assert_string_equal(cJSON_GetObjectItem(root, "table")->valuestring, "a\"b\\c");
    assert_string_equal(cJSON_GetObjectItem(root, "msg")->valuestring,
                        "line\none \x01 tab\t \x1b[31m \xC2\x9B \xEF\xBF\xBD \xC3\xA4 \x7F");
    cJSON_Delete(root);
    free(out);
}

static void text_can_not_be_forged(void **state)
{
    (void)state;
    begin();
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG, NULL);
    log_info(log, "a\nb\r\x1b[2J");
    log_free(log);
    char *out = end();
    assert_non_null(strstr(out, " info: a\\nb\\r\\x1b[2J\n"));
    free(out);
}

static void levels_hold_lines_back(void **state)
{
    (void)state;
    begin();
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_WARNING, "p");
    log_debug(log, "one");
    log_info(log, "two");
    log_warning(log, "three");
    log_set_level(log, LOG_LEVEL_DEBUG);
    log_debug(log, "four");
    log_free(log);
    char *out = end();
    assert_null(strstr(out, "one"));
    assert_null(strstr(out, "two"));
    assert_non_null(strstr(out, "warning p: three\n"));
    assert_non_null(strstr(out, "debug p: four\n"));
    free(out);
}

static void errno_survives(void **state)
{
    (void)state;
    begin();
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_INFO, "p");
    close(STDERR_FILENO); /* the write fails, too */
    errno = ENOSPC;
    log_info(log, "x");
    int after = errno;
    log_free(log);
    free(end());
    assert_int_equal(after, ENOSPC);
}

enum { THREADS = 4, LINES = 500 };

struct writer {
    struct log *log;
    char letter;
};

static void *write_lines(void *context)
{
    const struct writer *w = context;
    char text[200];
    memset(text, w->letter, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < LINES; i++)
        log_info(w->log, "%s", text);
    return NULL;
}

static void count_lines(int fd, int *lines)
{
    char line[4096];
    for (ssize_t n; (n = recv(fd, line, sizeof(line), MSG_DONTWAIT)) > 0; (*lines)++) {
        assert_int_equal(line[n - 1], '\n');
        assert_ptr_equal(memchr(line, '\n', (size_t)n), line + n - 1);
        for (ssize_t i = n - 100; i < n - 1; i++)
            assert_int_equal(line[i], line[n - 2]);
    }
}

/* stderr is a packet socket here: one write(2) is one packet. */
static void a_line_of_any_thread_is_one_write(void **state)
{
    (void)state;
    int fds[2];
    int size = 1 << 20;
    int lines = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    begin();
    assert_true(dup2(fds[0], STDERR_FILENO) >= 0);
    struct log *log = log_new(LOG_FORMAT_TEXT, LOG_LEVEL_INFO, "p");
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){log, (char)('a' + i)};
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &writers[i]), 0);
    }
    while (lines < THREADS * LINES)
        count_lines(fds[1], &lines);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    count_lines(fds[1], &lines);
    log_free(log);
    free(end());
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(lines, THREADS * LINES);
}

static void journal_falls_back_to_text_where_there_is_none(void **state)
{
    (void)state;
    if (access("/run/systemd/journal/socket", F_OK) == 0)
        skip();
    begin();
    struct log *log = log_new(LOG_FORMAT_JOURNAL, LOG_LEVEL_INFO, "p");
    log_info(log, "still here");
    log_free(log);
    log_free(NULL);
    char *out = end();
    assert_non_null(strstr(out, " info p: still here\n"));
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_time_level_and_fields),
        cmocka_unit_test(json_has_the_pinned_fields_and_parses),
        cmocka_unit_test(text_can_not_be_forged),
        cmocka_unit_test(levels_hold_lines_back),
        cmocka_unit_test(errno_survives),
        cmocka_unit_test(a_line_of_any_thread_is_one_write),
        cmocka_unit_test(journal_falls_back_to_text_where_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
