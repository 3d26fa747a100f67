/* SPDX-License-Identifier: PostgreSQL
 *
 * Replays a corpus through a fuzz target without a fuzzer, so that `make check` runs it with any compiler:
 * each file as it is, then cut off at every byte (up to PREFIXES_MAX), where decoders go wrong. Without
 * arguments the corpus is the one of the program's name: tests/fuzz/NAME_fuzz reads tests/fuzz/corpus/NAME
 * under $srcdir. An empty or missing corpus is a failure.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

enum { FILE_MAX_BYTES = 4 << 20, PREFIXES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of its own and exact size, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    uint8_t *data = mem_alloc(FILE_MAX_BYTES);
    size_t size = fread(data, 1, FILE_MAX_BYTES, f);
    fclose(f);
    run(data, size);
    for (size_t n = 0; n < size && n < PREFIXES_MAX; n++)
        run(data, n);
    free(data);
    return 0;
}

static int replay_directory(const char *path, int *files)
{
    DIR *dir = opendir(path);
    int failed = 0;
    if (!dir) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char file[PATH_MAX];
        struct stat st;
        int n = snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
        if (n < 0 || (size_t)n >= sizeof(file) || stat(file, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        failed |= replay_file(file);
        (*files)++;
    }
    closedir(dir);
    return failed;
}

int main(int argc, char **argv)
{
    char own[PATH_MAX];
    const char *srcdir = getenv("srcdir");
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash ? slash + 1 : argv[0];
    const char *suffix = strstr(name, "_fuzz");
    int files = 0;
    int failed = 0;
    snprintf(own, sizeof(own), "%s/tests/fuzz/corpus/%.*s", srcdir ? srcdir : ".",
             suffix ? (int)(suffix - name) : (int)strlen(name), name);
    if (argc < 2)
        failed = replay_directory(own, &files);
    for (int i = 1; i < argc; i++)
        failed |= replay_directory(argv[i], &files);
    printf("%s: %d files\n", name, files);
    return failed || files == 0;
}
