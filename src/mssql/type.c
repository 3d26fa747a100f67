/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/type.h"

#include <string.h>

/* sql_variant to text: each base type in the form that loses nothing. The client library can't tell them. */
static const char variant_text[] =
    "CASE CONVERT(sysname, SQL_VARIANT_PROPERTY(%s, 'BaseType'))"
    " WHEN N'float' THEN CONVERT(nvarchar(max), CONVERT(float, %s), 3)"
    " WHEN N'real' THEN CONVERT(nvarchar(max), CONVERT(real, %s), 3)"
    " WHEN N'money' THEN CONVERT(nvarchar(max), CONVERT(money, %s), 2)"
    " WHEN N'smallmoney' THEN CONVERT(nvarchar(max), CONVERT(money, %s), 2)"
    " WHEN N'datetime' THEN CONVERT(nvarchar(max), CONVERT(datetime, %s), 121)"
    " WHEN N'smalldatetime' THEN CONVERT(nvarchar(max), CONVERT(datetime, %s), 120)"
    " WHEN N'date' THEN CONVERT(nvarchar(max), CONVERT(date, %s), 121)"
    " WHEN N'time' THEN CONVERT(nvarchar(max), CONVERT(time(7), %s), 121)"
    " WHEN N'datetime2' THEN CONVERT(nvarchar(max), CONVERT(datetime2(7), %s), 121)"
    " WHEN N'datetimeoffset' THEN CONVERT(nvarchar(max), CONVERT(datetimeoffset(7), %s), 121)"
    " WHEN N'varchar' THEN CONVERT(nvarchar(max), CONVERT(varchar(8000), %s))"
    " WHEN N'char' THEN CONVERT(nvarchar(max), CONVERT(varchar(8000), %s))"
    " WHEN N'binary' THEN CONVERT(nvarchar(max), CONVERT(varbinary(8000), %s), 1)"
    " WHEN N'varbinary' THEN CONVERT(nvarchar(max), CONVERT(varbinary(8000), %s), 1)"
    " ELSE CONVERT(nvarchar(max), CONVERT(nvarchar(4000), %s)) END";

/* Appends `form` with each %s replaced. */
static void put_form(struct buffer *out, const char *form, const char *quoted)
{
    for (const char *at; (at = strstr(form, "%s")) != NULL; form = at + 2) {
        buffer_put(out, form, (size_t)(at - form));
        buffer_puts(out, quoted);
    }
    buffer_puts(out, form);
}

const struct ms_type *ms_type_named(const char *name)
{
    if (strcmp(name, "rowversion") == 0)
        return ms_type_at(MS_ROWVERSION);
    for (int i = 0; i < MS_TYPE_COUNT; i++) {
        const struct ms_type *t = ms_type_at((enum ms_type_id)i);
        if (strcmp(t->name, name) == 0)
            return t;
    }
    return NULL;
}

const struct ms_type *ms_type_find(uint8_t system_type_id, const char *name)
{
    for (int i = 0; i < MS_TYPE_COUNT; i++) {
        const struct ms_type *t = ms_type_at((enum ms_type_id)i);
        if (t->system_type_id != system_type_id)
            continue;
        if (i < MS_HIERARCHYID || strcmp(t->name, name) == 0)
            return t;
    }
    return NULL;
}

bool ms_type_is_large(const struct ms_column_type *column)
{
    switch ((unsigned)column->type->id) {
    case MS_TEXT:
    case MS_NTEXT:
    case MS_IMAGE:
    case MS_XML:
    case MS_GEOMETRY:
    case MS_GEOGRAPHY:
        return true;
    case MS_VARCHAR:
    case MS_NVARCHAR:
    case MS_VARBINARY:
        return column->max_length < 0;
    default:
        return false;
    }
}

uint32_t ms_type_length(const struct ms_column_type *column)
{
    if (column->max_length < 0)
        return 0;
    uint32_t bytes = (uint32_t)column->max_length;
    switch ((unsigned)column->type->id) {
    case MS_NCHAR:
    case MS_NVARCHAR:
        return bytes / 2;
    case MS_CHAR:
    case MS_VARCHAR:
    case MS_BINARY:
    case MS_VARBINARY:
        return bytes;
    case MS_ROWVERSION:
        return 8;
    default:
        return 0;
    }
}

void ms_type_declare(const struct ms_column_type *column, struct buffer *out)
{
    uint32_t length = ms_type_length(column);
    buffer_puts(out, column->type->id == MS_ROWVERSION ? "rowversion" : column->type->name);
    switch ((unsigned)column->type->id) {
    case MS_DECIMAL:
    case MS_NUMERIC:
        buffer_printf(out, "(%u,%u)", column->precision, column->scale);
        break;
    case MS_TIME:
    case MS_DATETIME2:
    case MS_DATETIMEOFFSET:
        buffer_printf(out, "(%u)", column->scale);
        break;
    case MS_CHAR:
    case MS_VARCHAR:
    case MS_NCHAR:
    case MS_NVARCHAR:
    case MS_BINARY:
    case MS_VARBINARY:
        if (length)
            buffer_printf(out, "(%u)", length);
        else
            buffer_puts(out, "(max)");
        break;
    default:
        break;
    }
}

const struct ms_carrier *ms_type_carrier(const struct ms_type *type)
{
    return &type->carriers[0];
}

const struct ms_carrier *ms_type_offers(const struct ms_type *type, uint32_t oid)
{
    for (int i = 0; i < MS_CARRIERS_MAX && type->carriers[i].convert != MS_CONVERT_NONE; i++) {
        if (type->carriers[i].oid == oid)
            return &type->carriers[i];
    }
    return NULL;
}

/* How PostgreSQL packs numeric(p,s). */
static int32_t numeric_modifier(uint32_t precision, uint32_t scale)
{
    return (int32_t)((precision << 16 | scale) + 4);
}

static int32_t length_modifier(const struct ms_column_type *column)
{
    uint32_t length = ms_type_length(column);
    return length ? (int32_t)length + 4 : -1;
}

static int32_t seconds_modifier(const struct ms_column_type *column)
{
    switch ((unsigned)column->type->id) {
    case MS_SMALLDATETIME:
        return 0;
    case MS_DATETIME:
        return 3;
    default:
        return column->scale > 6 ? 6 : column->scale;
    }
}

int32_t ms_type_modifier(const struct ms_column_type *column, const struct ms_carrier *carrier)
{
    switch (carrier->modifier) {
    case MS_MODIFIER_NONE:
        return -1;
    case MS_MODIFIER_DECIMAL:
        return numeric_modifier(column->precision, column->scale);
    case MS_MODIFIER_MONEY:
        return numeric_modifier(column->type->id == MS_MONEY ? 19 : 10, 4);
    case MS_MODIFIER_LENGTH:
        return length_modifier(column);
    case MS_MODIFIER_SECONDS:
        return seconds_modifier(column);
    }
    return -1;
}

void ms_type_select(const struct ms_column_type *column, const struct ms_carrier *carrier, const char *quoted,
                    struct buffer *out)
{
    const char *form = "%s";
    bool bytes = carrier->convert == MS_CONVERT_BYTES;
    switch ((unsigned)column->type->id) {
    case MS_XML:
        form = "CONVERT(nvarchar(max), %s)";
        break;
    case MS_SQL_VARIANT:
        form = variant_text;
        break;
    case MS_HIERARCHYID:
        form = bytes ? "CONVERT(varbinary(892), %s)" : "%s.ToString()";
        break;
    case MS_GEOMETRY:
    case MS_GEOGRAPHY:
        form = bytes ? "CONVERT(varbinary(max), %s)"
                     : "N'SRID=' + CONVERT(nvarchar(11), %s.STSrid) + N';' + %s.AsTextZM()";
        break;
    default:
        break;
    }
    put_form(out, form, quoted);
}

void ms_type_select_raw(const char *quoted, struct buffer *out)
{
    put_form(out, "CONVERT(varbinary(max), CONVERT(nvarchar(max), %s))", quoted);
}

static void stage_text(uint32_t length, struct buffer *out)
{
    if (length && length <= 4000)
        buffer_printf(out, "nvarchar(%u) COLLATE DATABASE_DEFAULT", length);
    else
        buffer_puts(out, "nvarchar(max) COLLATE DATABASE_DEFAULT");
}

void ms_type_staging(const struct ms_column_type *column, const struct ms_carrier *carrier,
                     struct buffer *out)
{
    bool bytes = carrier->convert == MS_CONVERT_BYTES;
    uint32_t length = ms_type_length(column);
    switch ((unsigned)column->type->id) {
    case MS_CHAR:
    case MS_VARCHAR:
    case MS_TEXT:
    case MS_NCHAR:
    case MS_NVARCHAR:
    case MS_NTEXT:
    case MS_XML:
        stage_text(length, out);
        break;
    case MS_BINARY:
    case MS_VARBINARY:
        if (length)
            buffer_printf(out, "varbinary(%u)", length);
        else
            buffer_puts(out, "varbinary(max)");
        break;
    case MS_IMAGE:
        buffer_puts(out, "varbinary(max)");
        break;
    case MS_ROWVERSION:
        buffer_puts(out, "binary(8)");
        break;
    case MS_SQL_VARIANT:
        stage_text(4000, out);
        break;
    case MS_TIME: /* FreeTDS sends these with seven digits whatever the column has */
    case MS_DATETIME2:
    case MS_DATETIMEOFFSET:
        buffer_printf(out, "%s(7)", column->type->name);
        break;
    case MS_HIERARCHYID:
        buffer_puts(out, bytes ? "varbinary(892)" : "nvarchar(4000) COLLATE DATABASE_DEFAULT");
        break;
    case MS_GEOMETRY:
    case MS_GEOGRAPHY:
        buffer_puts(out, bytes ? "varbinary(max)" : "nvarchar(max) COLLATE DATABASE_DEFAULT");
        break;
    default:
        ms_type_declare(column, out);
    }
}

void ms_type_assign(const struct ms_column_type *column, const struct ms_carrier *carrier, const char *quoted,
                    struct buffer *out)
{
    const char *name = column->type->name;
    bool bytes = carrier->convert == MS_CONVERT_BYTES;
    switch ((unsigned)column->type->id) {
    case MS_XML: /* style 1 keeps insignificant white space */
        put_form(out, "CONVERT(xml, %s, 1)", quoted);
        break;
    case MS_SQL_VARIANT:
        put_form(out, "CONVERT(sql_variant, %s)", quoted);
        break;
    case MS_HIERARCHYID:
        put_form(out, bytes ? "CONVERT(hierarchyid, %s)" : "hierarchyid::Parse(%s)", quoted);
        break;
    case MS_GEOMETRY:
    case MS_GEOGRAPHY:
        if (bytes) {
            buffer_printf(out, "CONVERT(%s, %s)", name, quoted);
            break;
        }
        buffer_printf(out, "%s::STGeomFromText(", name);
        put_form(out, "STUFF(%s, 1, CHARINDEX(N';', %s), N''), ", quoted);
        put_form(out, "CONVERT(int, SUBSTRING(%s, 6, CHARINDEX(N';', %s) - 6)))", quoted);
        break;
    default:
        buffer_puts(out, quoted);
    }
}

bool ms_type_misfit(const struct ms_column_type *column, const char *quoted, struct buffer *out)
{
    enum ms_type_id id = column->type->id;
    if ((id != MS_CHAR && id != MS_VARCHAR && id != MS_TEXT) || column->is_utf8)
        return false;
    buffer_printf(out,
                  "CONVERT(nvarchar(max), CONVERT(varchar(max), %s COLLATE %s)) COLLATE Latin1_General_BIN2",
                  quoted, column->collation ? column->collation : "DATABASE_DEFAULT");
    buffer_printf(out, " <> %s COLLATE Latin1_General_BIN2", quoted);
    return true;
}
