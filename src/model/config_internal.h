/* SPDX-License-Identifier: PostgreSQL
 *
 * Between the files of the config reader only: the option table and the state of one reading.
 */
#ifndef MODEL_CONFIG_INTERNAL_H
#define MODEL_CONFIG_INTERNAL_H

#include "base/json.h"
#include "model/config.h"

enum option_type {
    OPTION_SECTION,    /* an object whose members are options */
    OPTION_NAME,       /* [a-z][a-z0-9_]{0,30} */
    OPTION_SLOT,       /* a replication slot's name */
    OPTION_IDENTIFIER, /* 1 to 63 bytes */
    OPTION_TEXT,       /* any text but the empty one */
    OPTION_TEXTS,      /* a list of those; the count is the int behind the pointer */
    OPTION_CONNINFO,   /* libpq's, without a password */
    OPTION_SECRET,     /* a reference for secret_resolve */
    OPTION_REDIS,      /* redis://… or unix:/… */
    OPTION_LISTEN,     /* address:port, or empty */
    OPTION_INT,        /* int */
    OPTION_COUNT,      /* int64_t */
    OPTION_SIZE,       /* int64_t, bytes */
    OPTION_DURATION,   /* int64_t, ms */
    OPTION_RATIO,      /* double */
    OPTION_BOOL,       /* bool */
    OPTION_ENUM,       /* int-sized enum, index into names */
    OPTION_TABLES,     /* "all" or a list */
    OPTION_GROUPS,     /* an object, a member a group */
    OPTION_SCHEMAS,    /* an object of texts */
    OPTION_COLUMNS,    /* an object, a member a column */
    OPTION_LATER       /* a key of the contract whose feature this version has not */
};

enum { FOR_POSTGRESQL = 1, FOR_SQLSERVER = 2, FOR_CSV = 4 };

/* A table's own `capture` is not given. */
#define CAPTURE_UNSET ((enum capture_kind) - 1)

/* An entry's own `bad_text` is not given. */
#define BAD_TEXT_UNSET ((enum bad_text) - 1)

/* No place in a struct: checked and used while reading, or not at all. */
#define OPTION_NOWHERE ((size_t)-1)

struct option {
    const char *path; /* "backfill.workers"; "tables[].from" of an entry, "groups.*.tables" of a group */
    enum option_type type;
    const char *initial; /* the default as text, NULL: none */
    const char *shown;   /* the default for people where `initial` can't say it */
    int64_t min;         /* numbers; units of the type */
    int64_t max;
    const char *const *names; /* enums, NULL-terminated */
    int runs;                 /* enums: how many of the names this version runs, 0: all */
    bool required;
    bool nullable; /* null is allowed and means none */
    bool reloadable;
    int kinds;     /* FOR_…: of the legacy kinds that have this key, 0: any */
    size_t offset; /* in struct config, config_table, config_column or config_group */
    const char *help;
};

extern const struct option config_options[]; /* ends with path NULL */

enum { PROBLEMS_MAX = 100 };

struct problem {
    int line;
    int order; /* among those of one line */
    char *text;
};

struct reader {
    const char *path;
    struct json json;
    struct config *config;
    struct problem problems[PROBLEMS_MAX];
    int count; /* may be greater than PROBLEMS_MAX: the rest is only counted */
};

/* One problem about the item, or (NULL) about the file. Text: "what is wrong - allowed: …". */
void config_problem(struct reader *self, const cJSON *item, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Reads the members of an object by the options whose path is prefix + name, into the struct at base. `what`
 * is NULL or tells apart legacy kinds (FOR_…). False if the item is no object. */
bool config_read_object(struct reader *self, const cJSON *object, const char *prefix, void *base, int kind);

/* Gives the options right under prefix their defaults. */
void config_set_defaults(const char *prefix, void *base);

/* One value by its option, into base (if the option has a place). */
void config_read_option(struct reader *self, const struct option *option, const cJSON *item, void *base);

/* The value of an option as text, appended; for config_diff. */
void config_format_option(const struct option *option, const void *base, struct buffer *out);

/* "a, b, c" of an enum's names that this version runs. */
void config_allowed_names(const struct option *option, struct buffer *out);

bool config_name_valid(const char *name);

void config_read_tables(struct reader *self, const cJSON *item);
void config_read_groups(struct reader *self, const cJSON *item);
void config_read_schemas(struct reader *self, const cJSON *item);
void config_read_columns(struct reader *self, const cJSON *item, struct config_table *table);
/* Which table belongs to which group, once all is read. */
void config_join_groups(struct reader *self);

/* conninfo without secrets? Says the problem if not. */
void config_check_conninfo(struct reader *self, const cJSON *item);
void config_check_redis(struct reader *self, const cJSON *item);
void config_check_listen(struct reader *self, const cJSON *item);
/* conninfo and password of "legacy" or "target" into one. */
void config_join_conninfo(struct reader *self, const char *endpoint, char **out);
void config_read_redis_password(struct reader *self);
/* What spans several keys of a SQL Server: how to reach it, how to log in, and captures of both kinds of
 * legacy and their tables. */
void config_check_sqlserver(struct reader *self);
void config_check_captures(struct reader *self);
/* What an entry says of values, else its table, else the pipeline: filled in everywhere. */
void config_inherit_values(struct reader *self);

/* The text of a file that may be a config: regular, up to 1 MB. */
MUST_CHECK bool config_read_file(const char *path, struct buffer *out, struct error *err);
/* Says if another file beside this one gives the pipeline's name to other databases. */
void config_check_twins(struct reader *self);

#endif
