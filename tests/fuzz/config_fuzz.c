/* SPDX-License-Identifier: PostgreSQL
 *
 * Any bytes as a config: it is taken, whole and equal to itself read again, or refused with problems that
 * are lines of text.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char path[] = "fuzz.json";

static void check_good(const struct config *config, const char *text, size_t size)
{
    struct config *again;
    struct error err = {0};
    struct buffer changed = {0};
    struct buffer ignored = {0};
    assert(config->pipeline && config->legacy_conninfo && config->target_conninfo);
    assert(config->legacy_slot && config->legacy_publication && config->target_slot &&
           config->target_publication);
    assert(config->all_tables == (config->table_count == 0));
    for (int i = 0; i < config->table_count; i++) {
        assert(config->tables[i].from && config->tables[i].line > 0);
        assert(config->tables[i].existing <= EXISTING_TRUNCATE);
    }
    assert(config->backfill_workers >= 1 && config->backfill_workers <= 64);
    assert(config->memory_limit >= INT64_C(16) << 20);
    assert(config->lease_ttl_ms >= 1000);
    bool ok = config_parse(path, text, size, &again, NULL, &err);
    assert(ok);
    config_diff(config, again, &changed, &ignored);
    assert(changed.length == 0 && ignored.length == 0);
    config_free(again);
}

static void check_problems(const struct buffer *problems, const struct error *err)
{
    assert(err->kind == ERROR_CONFIG && err->text[0]);
    assert(problems->length > 0 && problems->data[problems->length - 1] == '\n');
    assert(!memchr(problems->data, '\0', problems->length));
    for (const char *line = problems->data; *line; line = strchr(line, '\n') + 1)
        assert(strncmp(line, path, strlen(path)) == 0 && line[strlen(path)] == ':');
    for (size_t at = 0; at < problems->length;) {
        size_t n = utf8_length(problems->data + at, problems->length - at);
        assert(n > 0 && ((unsigned char)problems->data[at] >= 0x20 || problems->data[at] == '\n'));
        at += n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config;
    struct buffer problems = {0};
    struct error err = {0};
    const char *text = (const char *)data;
    if (config_parse(path, text, size, &config, &problems, &err)) {
        assert(problems.length == 0);
        check_good(config, text, size);
    } else {
        assert(!config);
        check_problems(&problems, &err);
    }
    config_free(config);
    buffer_free(&problems);
    return 0;
}
