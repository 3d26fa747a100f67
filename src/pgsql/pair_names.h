/* SPDX-License-Identifier: PostgreSQL
 *
 * Names on the other side: `names` and `schemas` of the config, and which relation a name in the config
 * means. Part of pairing. Pure.
 */
#ifndef PGSQL_PAIR_NAMES_H
#define PGSQL_PAIR_NAMES_H

#include "model/config.h"

/* The sink's schema for a source schema. */
const char *pair_schema(const struct config *config, const char *schema);
/* A table's or column's name on the sink by `names`, malloc'ed. */
char *pair_name(const struct config *config, const char *name);

/* Does a name as written in the config (students, public.students, "My Schema"."T.1") mean this relation? An
 * unqualified one means it in any schema. */
bool pair_name_means(const char *written, const char *schema, const char *name);
/* Splits it; *schema is NULL if there is none. Both malloc'ed. */
void pair_name_split(const char *written, char **schema, char **name);

#endif
