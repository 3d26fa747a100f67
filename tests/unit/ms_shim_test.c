/* SPDX-License-Identifier: PostgreSQL
 *
 * The private freetds.conf: what stands in it, who can read it, what of the user's own is taken over, and
 * that it goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mssql/shim.h"

static char host[] = "old.example.org";
static char password[] = "hunter2";
static char user[] = "u";
static char database[] = "d";
static char directory[64];

static struct config_sqlserver server(void)
{
    return (struct config_sqlserver){
        .host = host, .database = database, .user = user, .password = password, .hostname = true};
}

static void is(struct buffer *b, const char *wanted)
{
    assert_string_equal(buffer_text(b), wanted);
    buffer_free(b);
}

static void required_encryption_verifies(void **state)
{
    (void)state;
    struct config_sqlserver s = server();
    struct buffer b = {0};
    ms_shim_describe(&s, 1500, "", &b);
    is(&b, "\tca file = system\n"
           "\thost = old.example.org\n\tport = 1433\n"
           "\ttds version = 7.4\n\tclient charset = UTF-8\n"
           "\tinitial block size = 16383\n\tconnect timeout = 2\n"
           "\tencryption = require\n\tcheck certificate hostname = yes\n");
    static char ca[] = "/etc/ca.pem";
    s.ca = ca;
    s.hostname = false;
    s.port = 1444;
    ms_shim_describe(&s, 0, "", &b);
    is(&b, "\thost = old.example.org\n\tport = 1444\n\tinstance =\n"
           "\ttds version = 7.4\n\tclient charset = UTF-8\n"
           "\tinitial block size = 16383\n\tconnect timeout = 10\n"
           "\tencryption = require\n\tca file = /etc/ca.pem\n\tcheck certificate hostname = no\n");
}

static void trust_is_only_on_demand(void **state)
{
    (void)state;
    struct config_sqlserver s = server();
    struct buffer b = {0};
    s.trust_server_certificate = true;
    ms_shim_describe(&s, 1000, "\tca file = /user/ca.pem\n", &b);
    assert_null(strstr(buffer_text(&b), "system"));
    assert_non_null(strstr(buffer_text(&b), "\tcheck certificate hostname = no\n\tca file =\n"));
    buffer_clear(&b);
    s = server();
    s.encrypt = SQLSERVER_OFF;
    ms_shim_describe(&s, 1000, "", &b);
    assert_non_null(strstr(buffer_text(&b), "\tencryption = off\n"));
    assert_non_null(strstr(buffer_text(&b), "block size = 32767\n"));
    assert_null(strstr(buffer_text(&b), "ca file"));
    buffer_clear(&b);
    s.encrypt = SQLSERVER_REQUEST;
    ms_shim_describe(&s, 1000, "", &b);
    assert_non_null(strstr(buffer_text(&b), "\tencryption = request\n"));
    assert_null(strstr(buffer_text(&b), "ca file"));
    buffer_free(&b);
}

static void write_user_file(const char *path)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("[global]\n  TDS Version = 4.2 ; old\n\tCA  File = /g/ca.pem\n# [none]\n"
          "[Other]\n host = elsewhere\n[My   Server]\n\thost = h1 # note\n port=1500\n encryption = off\n"
          " dump file = /tmp/dump\n Realm = CORP.LOCAL\n  text size = 5\n",
          f);
    fclose(f);
}

static void of_the_users_section_the_address_is_taken(void **state)
{
    (void)state;
    struct buffer b = {0};
    char path[100];
    snprintf(path, sizeof(path), "%s/user.conf", directory);
    write_user_file(path);
    assert_true(ms_shim_copy_section(path, "my server", &b));
    is(&b, "\tca file = /g/ca.pem\n\thost = h1\n\tport = 1500\n\trealm = CORP.LOCAL\n");
    assert_false(ms_shim_copy_section(path, "none", &b));
    assert_false(ms_shim_copy_section("/nonexistent", "my server", &b));
    assert_int_equal(b.length, 0);
    unlink(path);
}

static char *file_text(const char *path)
{
    static char text[4096];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    return text;
}

/* In a child, so that it ends as a process does. */
static void child(void)
{
    struct config_sqlserver s = server();
    struct error err;
    char name[MS_SECTION_SIZE], again[MS_SECTION_SIZE], path[100];
    struct stat st;
    setenv("TDSVER", "4.2", 1);
    setenv("TDSPORT", "1", 1);
    snprintf(path, sizeof(path), "%s/user.conf", directory);
    write_user_file(path);
    setenv("FREETDSCONF", path, 1);
    assert_false(ms_shim_started());
    assert_true(ms_shim_start(&err));
    assert_true(ms_shim_start(&err));
    const char *conf = getenv("FREETDSCONF");
    assert_int_equal(strncmp(conf, directory, strlen(directory)), 0);
    assert_null(getenv("TDSVER"));
    assert_null(getenv("TDSPORT"));
    assert_true(ms_shim_section(&s, 1000, name, &err));
    assert_true(ms_shim_section(&s, 1000, again, &err));
    assert_string_equal(name, again);
    assert_true(ms_shim_section(&s, 2000, again, &err));
    assert_string_not_equal(name, again);
    assert_int_equal(stat(conf, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_null(strstr(file_text(conf), password));
    assert_non_null(strstr(file_text(conf), "[crossfade_1]\n"));
    static char named[] = "MY SERVER", missing[] = "missing", bad[] = "h # x";
    s.host = NULL;
    s.server = named;
    assert_true(ms_shim_section(&s, 1000, name, &err));
    assert_non_null(strstr(file_text(conf), "\thost = h1\n\tport = 1500\n"));
    assert_non_null(strstr(file_text(conf), "\trealm = CORP.LOCAL\n\ttds version = 7.4\n"));
    s.server = missing;
    assert_false(ms_shim_section(&s, 1000, name, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "no section [missing]"));
    s = server();
    s.ca = bad;
    assert_false(ms_shim_section(&s, 1000, name, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    int major = 0, minor = 0;
    ms_shim_library_version(&major, &minor);
    assert_true(major >= 1);
    s = server();
    s.encrypt = SQLSERVER_STRICT;
    assert_int_equal(ms_shim_section(&s, 1000, name, &err), major > 1 || minor >= 5);
    unlink(path);
}

static void the_file_is_private_and_goes_with_the_process(void **state)
{
    (void)state;
    int status = 0;
    setenv("RUNTIME_DIRECTORY", directory, 1);
    pid_t pid = fork();
    if (pid == 0) {
        child();
        exit(0); /* an assert that fails ends the child with another status */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(rmdir(directory), 0); /* so it is empty */
    assert_int_equal(mkdir(directory, 0700), 0);
}

static void a_place_we_cannot_write_to_is_told(void **state)
{
    (void)state;
    struct error err;
    setenv("RUNTIME_DIRECTORY", "/nonexistent/dir:/tmp", 1);
    assert_false(ms_shim_start(&err));
    assert_int_equal(err.kind, ERROR_REFUSED);
    assert_non_null(strstr(err.text, "/nonexistent/dir/freetds."));
}

int main(void)
{
    snprintf(directory, sizeof(directory), "/tmp/shim-test.XXXXXX");
    if (!mkdtemp(directory))
        return 99;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(required_encryption_verifies),
        cmocka_unit_test(trust_is_only_on_demand),
        cmocka_unit_test(of_the_users_section_the_address_is_taken),
        cmocka_unit_test(the_file_is_private_and_goes_with_the_process),
        cmocka_unit_test(a_place_we_cannot_write_to_is_told),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(directory);
    return failed;
}
