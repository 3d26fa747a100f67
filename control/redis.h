/* SPDX-License-Identifier: PostgreSQL
 *
 * The mirror in Redis, read and cleared by a command: synchronous, within a second. That Redis can't be
 * reached is an answer here, not a failure.
 */
#ifndef CONTROL_REDIS_H
#define CONTROL_REDIS_H

#include <cjson/cJSON.h>

#include "model/config.h"

/* {"reachable": bool, "error": text | null, "epoch": text | null, "offsets": {field: text}}; the caller's to
 * delete. */
cJSON *redis_mirror(const struct config *config);
/* Deletes the pipeline's keys. False if that could not be done; NULL-terminated reason in `why`. */
MUST_CHECK bool redis_clear(const struct config *config, char *why, size_t size);
/* The answer to one command as text (of an array: its last element), malloc'ed. NULL, with a reason, if Redis
 * can't be reached or says no. */
char *redis_text(const struct config *config, int argc, const char **argv, char *why, size_t size);

#endif
