/* SPDX-License-Identifier: PostgreSQL
 *
 * DDL from pg_dump: the whole schema into an archive, its table of contents cut to what the missing tables
 * need, and pg_restore prints that. An entry of the contents names its object by catalog and oid, which tells
 * us whose it is without reading names. What is kept: the missing tables with their sequences, defaults,
 * constraints, indexes, triggers, rules and policies; and all types, functions, schemas, extensions that the
 * target lacks. Section "post" looks at tables that are there too, for it is run after "pre" has made them,
 * and keeps what they lack. Views, grants and owners are not kept.
 */
#include "control/schema_run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/schema_tool.h"

/* Kept objects by catalog and oid; relations also by name, for entries that have no oid. */
struct kept {
    PGresult *objects; /* classid, oid, identity: of the tables */
    PGresult *present; /* the same of their like on the target */
    PGresult *names;   /* nspname, relname, quote_ident(relname) */
};

static const char objects_sql[] =
    "WITH rel AS (SELECT unnest($1::oid[]) AS oid),"
    " seq AS (SELECT d.objid AS oid FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'"
    "  WHERE d.classid = 1259 AND d.refclassid = 1259 AND d.refobjid IN (SELECT oid FROM rel)"
    "  UNION SELECT d.refobjid FROM pg_depend d JOIN pg_attrdef a ON d.classid = 2604 AND d.objid = a.oid"
    "  JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'"
    "  WHERE d.refclassid = 1259 AND a.adrelid IN (SELECT oid FROM rel))"
    " SELECT o.classid, o.oid, (pg_identify_object(o.classid, o.oid, 0)).identity FROM ("
    " SELECT 1259::oid AS classid, oid FROM rel UNION ALL SELECT 1259, oid FROM seq"
    " UNION ALL SELECT 1259, indexrelid FROM pg_index WHERE indrelid IN (SELECT oid FROM rel)"
    " UNION ALL SELECT 2606, oid FROM pg_constraint WHERE conrelid IN (SELECT oid FROM rel)"
    " UNION ALL SELECT 2604, oid FROM pg_attrdef WHERE adrelid IN (SELECT oid FROM rel)"
    " UNION ALL SELECT 2620, oid FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM rel)"
    " UNION ALL SELECT 3256, oid FROM pg_policy WHERE polrelid IN (SELECT oid FROM rel)"
    " UNION ALL SELECT 2618, oid FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM rel)"
    " UNION ALL SELECT 3381, oid FROM pg_statistic_ext WHERE stxrelid IN (SELECT oid FROM rel)) o";

static const char names_sql[] =
    "SELECT n.nspname, c.relname, quote_ident(c.relname) FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])";

/* Objects that tables may need, with a name that is the same on another server. */
static const char needed_sql[] =
    "SELECT o.classid, o.oid, (pg_identify_object(o.classid, o.oid, 0)).identity FROM ("
    " SELECT 1247::oid AS classid, oid FROM pg_type WHERE oid >= 16384"
    " UNION ALL SELECT 1255, oid FROM pg_proc WHERE oid >= 16384"
    " UNION ALL SELECT 2615, oid FROM pg_namespace WHERE oid >= 16384"
    " UNION ALL SELECT 3079, oid FROM pg_extension"
    " UNION ALL SELECT 3456, oid FROM pg_collation WHERE oid >= 16384"
    " UNION ALL SELECT 2617, oid FROM pg_operator WHERE oid >= 16384"
    " UNION ALL SELECT 2605, oid FROM pg_cast WHERE oid >= 16384) o ORDER BY 1, 3";

/* The oids of the relations that are looked at, or of their like on the target. */
static void oid_array(const struct schema *self, bool target, struct buffer *out)
{
    buffer_putc(out, '{');
    for (uint32_t i = 0; i < self->source.count; i++) {
        const struct pg_relation *rel = &self->source.relations[i];
        if (target)
            rel = pg_catalog_find(&self->target, rel->schema, rel->name);
        if (self->missing[i] && rel)
            buffer_printf(out, "%s%u", out->length > 1 ? "," : "", rel->oid);
    }
    buffer_putc(out, '}');
}

static PGresult *read_objects(struct schema *self, bool target, struct error *err)
{
    struct buffer oids = {0};
    oid_array(self, target, &oids);
    const char *param = buffer_text(&oids);
    PGresult *r = pg_query(target ? &self->sink : &self->legacy, objects_sql, 1, &param, err);
    buffer_free(&oids);
    return r;
}

static bool target_has(const PGresult *target, const char *classid, const char *identity)
{
    for (int i = 0; i < PQntuples(target); i++) {
        if (strcmp(PQgetvalue(target, i, 0), classid) == 0 && strcmp(PQgetvalue(target, i, 2), identity) == 0)
            return true;
    }
    return false;
}

static bool read_kept(struct schema *self, struct kept *out, struct error *err)
{
    struct buffer all = {0};
    out->objects = read_objects(self, false, err);
    out->present = out->objects ? read_objects(self, true, err) : NULL;
    buffer_putc(&all, '{');
    for (int i = 0; out->present && i < PQntuples(out->objects); i++) {
        if (strcmp(PQgetvalue(out->objects, i, 0), "1259") == 0 &&
            !target_has(out->present, "1259", PQgetvalue(out->objects, i, 2)))
            buffer_printf(&all, "%s%s", all.length > 1 ? "," : "", PQgetvalue(out->objects, i, 1));
    }
    buffer_putc(&all, '}');
    const char *param = buffer_text(&all);
    if (out->present)
        out->names = pg_query(&self->legacy, names_sql, 1, &param, err);
    buffer_free(&all);
    return out->names != NULL;
}

/* Is the object (classid, oid), as text, among the rows that begin with those two columns? */
static int row_of(const PGresult *r, const char *classid, const char *oid)
{
    for (int i = 0; i < PQntuples(r); i++) {
        if (strcmp(PQgetvalue(r, i, 1), oid) == 0 && strcmp(PQgetvalue(r, i, 0), classid) == 0)
            return i;
    }
    return -1;
}

/* Entries without an object: "TABLE ATTACH schema name owner", "COMMENT schema TABLE name owner", … */
static bool keeps_named(const struct kept *kept, const char *what)
{
    static const char *const preamble[] = {"ENCODING", "STDSTRINGS", "SEARCHPATH"};
    static const char *const forms[] = {"TABLE ATTACH %s %s ", "INDEX ATTACH %s %s ",
                                        "SEQUENCE OWNED BY %s %s ", "SEQUENCE SET %s %s "};
    static const char *const comments[] = {"COMMENT %s TABLE %s ", "COMMENT %s COLUMN %s."};
    for (size_t i = 0; i < sizeof(preamble) / sizeof(preamble[0]); i++) {
        if (strncmp(what, preamble[i], strlen(preamble[i])) == 0)
            return true;
    }
    for (int row = 0; row < PQntuples(kept->names); row++) {
        const char *schema = PQgetvalue(kept->names, row, 0);
        struct buffer text = {0};
        bool same = false;
        for (size_t i = 0; !same && i < 4 + 2; i++) {
            const char *form = i < 4 ? forms[i] : comments[i - 4];
            const char *at = strstr(form, "%s");
            buffer_clear(&text); /* the two %s by hand: the form is no constant to the compiler */
            buffer_printf(&text, "%.*s%s%.*s%s%s", (int)(at - form), form, schema,
                          (int)(strstr(at + 2, "%s") - (at + 2)), at + 2,
                          PQgetvalue(kept->names, row, i < 4 ? 1 : 2), strstr(at + 2, "%s") + 2);
            same = strncmp(what, buffer_text(&text), text.length) == 0;
        }
        buffer_free(&text);
        if (same)
            return true;
    }
    return false;
}

/* "3559; 2606 16799 CONSTRAINT public t t_pkey owner" */
static bool keeps(const struct kept *kept, const PGresult *needed, const PGresult *present, const char *line)
{
    char classid[16], oid[16];
    int used = 0;
    if (sscanf(line, "%*d; %15[0-9] %15[0-9] %n", classid, oid, &used) != 2 || used == 0)
        return false;
    if (strcmp(classid, "0") == 0)
        return keeps_named(kept, line + used);
    int row = row_of(kept->objects, classid, oid);
    if (row >= 0)
        return !target_has(kept->present, classid, PQgetvalue(kept->objects, row, 2));
    row = row_of(needed, classid, oid);
    return row >= 0 && !target_has(present, classid, PQgetvalue(needed, row, 2));
}

/* The list that pg_restore -l wrote, read back, cut, and written over itself. */
static bool cut_list(struct schema *self, int list, struct error *err)
{
    struct kept kept = {0};
    struct buffer out = {0};
    char *line = NULL;
    size_t size = 0;
    FILE *in = NULL;
    PGresult *present = NULL;
    PGresult *needed = pg_query(&self->legacy, needed_sql, 0, NULL, err);
    bool ok =
        needed && (present = pg_query(&self->sink, needed_sql, 0, NULL, err)) && read_kept(self, &kept, err);
    if (ok && !(in = fdopen(dup(list), "r")))
        ok = error_set(err, ERROR_RETRY, "can't read pg_restore's list: %m");
    if (ok)
        rewind(in);
    while (ok && getline(&line, &size, in) > 0) {
        if (keeps(&kept, needed, present, line))
            buffer_puts(&out, line);
    }
    if (ok && (ftruncate(list, 0) != 0 || lseek(list, 0, SEEK_SET) != 0 ||
               write(list, buffer_text(&out), out.length) != (ssize_t)out.length))
        ok = error_set(err, ERROR_RETRY, "can't write pg_restore's list: %m");
    if (in)
        fclose(in);
    free(line);
    buffer_free(&out);
    PQclear(kept.objects);
    PQclear(kept.present);
    PQclear(kept.names);
    PQclear(needed);
    PQclear(present);
    return ok;
}

static bool dump(struct schema *self, const struct schema_tool *tool, const char *archive, struct error *err)
{
    const char *argv[] = {tool->dump,
                          "--schema-only",
                          "--no-owner",
                          "--no-privileges",
                          "--no-publications",
                          "--no-subscriptions",
                          "--exclude-schema=crossfade",
                          "--format=custom",
                          "--file",
                          archive,
                          "--dbname",
                          tool->conninfo,
                          NULL};
    (void)self;
    return schema_tool_run(argv, tool->env, -1, err);
}

static bool restore(struct schema *self, const struct schema_tool *tool, const char *archive,
                    const char *list_path, struct error *err)
{
    const char *section = !self->section                      ? NULL
                          : strcmp(self->section, "pre") == 0 ? "--section=pre-data"
                                                              : "--section=post-data";
    const char *argv[] = {tool->restore, "--no-owner", "--no-privileges", "--use-list", list_path,
                          "--file",      "-",          archive,           section,      NULL};
    if (fflush(self->out) != 0)
        return error_set(err, ERROR_RETRY, "can't write the output: %m");
    return schema_tool_run(argv, tool->env, fileno(self->out), err);
}

bool schema_dump(struct schema *self, struct error *err)
{
    struct schema_tool tool;
    char archive[] = "/tmp/crossfade-schema-XXXXXX", list_path[] = "/tmp/crossfade-list-XXXXXX";
    if (!schema_tool_find(self->config->legacy_conninfo, self->legacy.version, &tool, err))
        return false;
    int file = mkstemp(archive), list = mkstemp(list_path);
    bool ok = file >= 0 && list >= 0;
    if (!ok)
        error_set(err, ERROR_RETRY, "can't make a file in /tmp: %m");
    const char *list_argv[] = {tool.restore, "--list", archive, NULL};
    ok = ok && dump(self, &tool, archive, err) && schema_tool_run(list_argv, tool.env, list, err) &&
         cut_list(self, list, err) && restore(self, &tool, archive, list_path, err);
    if (file >= 0) {
        close(file);
        unlink(archive);
    }
    if (list >= 0) {
        close(list);
        unlink(list_path);
    }
    schema_tool_free(&tool);
    return ok;
}
