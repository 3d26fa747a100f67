/* SPDX-License-Identifier: PostgreSQL
 *
 * Secrets by reference: each kind, what is stripped, and messages that name the place but never the value.
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
#include <unistd.h>

#include "base/secret.h"

static char dir[] = "/tmp/cf-secret-XXXXXX";
static char path[64];

static void put_file(const char *data, size_t length)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, length, f), length);
    fclose(f);
}

static void expect(const char *reference, const char *wanted)
{
    char *secret;
    struct error err = {0};
    if (!secret_resolve(reference, &secret, &err))
        fail_msg("%s", err.text);
    assert_string_equal(secret, wanted);
    secret_free(secret);
}

static void refuse(const char *reference, const char *wanted)
{
    char *secret;
    struct error err = {0};
    assert_false(secret_resolve(reference, &secret, &err));
    assert_null(secret);
    assert_int_equal(err.kind, ERROR_CONFIG);
    if (!strstr(err.text, wanted))
        fail_msg("\"%s\" is not in: %s", wanted, err.text);
    assert_null(strstr(err.text, "hunter2"));
}

static void from_the_environment(void **state)
{
    (void)state;
    setenv("CF_TEST_SECRET", " hunter2\n", 1); /* as it is */
    expect("env:CF_TEST_SECRET", " hunter2\n");
    setenv("CF_TEST_SECRET", "", 1);
    refuse("env:CF_TEST_SECRET", "environment variable CF_TEST_SECRET is empty");
    unsetenv("CF_TEST_SECRET");
    refuse("env:CF_TEST_SECRET", "environment variable CF_TEST_SECRET is not set");
}

static void from_a_file_less_one_newline(void **state)
{
    (void)state;
    char reference[80];
    char wanted[120];
    snprintf(reference, sizeof(reference), "file:%s", path);
    put_file("hunter2\n", 8);
    expect(reference, "hunter2");
    put_file("hunter2", 7);
    expect(reference, "hunter2");
    put_file(" a b\n\n", 6);
    expect(reference, " a b\n");
    put_file("\n", 1);
    snprintf(wanted, sizeof(wanted), "secret file %s is empty", path);
    refuse(reference, wanted);
    put_file("", 0);
    refuse(reference, wanted);
    put_file("hunter2\0x", 9);
    snprintf(wanted, sizeof(wanted), "secret file %s holds a NUL byte", path);
    refuse(reference, wanted);
    char *large = calloc(1, 70000);
    memset(large, 'x', 70000);
    put_file(large, 70000);
    snprintf(wanted, sizeof(wanted), "secret file %s is larger than 64 kB", path);
    refuse(reference, wanted);
    put_file(large, 65536);
    large[65536] = '\0';
    expect(reference, large);
    free(large);
    unlink(path);
    refuse(reference, "cannot be opened: No such file or directory");
    refuse("file:/dev/zero", "secret file /dev/zero is not a regular file");
    refuse("file:/tmp", "secret file /tmp is not a regular file");
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse(reference, "is not a regular file"); /* and does not wait */
    unlink(path);
}

static void from_the_credentials_directory(void **state)
{
    (void)state;
    unsetenv("CREDENTIALS_DIRECTORY");
    refuse("credential:pw", "credential pw is not there: $CREDENTIALS_DIRECTORY is not set");
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    put_file("hunter2\n", 8);
    expect("credential:pw", "hunter2");
    refuse("credential:other", "credential other: secret file ");
    refuse("credential:../pw", "has no path in it");
    refuse("credential:..", "has no path in it");
    unlink(path);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void anything_else_is_refused_and_not_repeated(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "hunter2", "", "env:", "file:", "credential:", "ENV:hunter2", "vault:hunter2", " env:hunter2"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        refuse(bad[i], "allowed: \"env:NAME\", \"file:PATH\", \"credential:NAME\"");
    secret_free(NULL);
}

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/pw", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_the_environment),
        cmocka_unit_test(from_a_file_less_one_newline),
        cmocka_unit_test(from_the_credentials_directory),
        cmocka_unit_test(anything_else_is_refused_and_not_repeated),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
