/* SPDX-License-Identifier: PostgreSQL
 *
 * Prints the type table as crossfade-types(7) has it: tests/check_man_types.sh compares the two, and whoever
 * changes the table pastes this output between the page's two marks.
 */
#include <stdio.h>

#include "mssql/type.h"

static const char *carrier_name(uint32_t oid)
{
    static const struct {
        uint32_t oid;
        const char *name;
    } names[] = {
        {MS_OID_BOOL, "boolean"},        {MS_OID_BYTEA, "bytea"},
        {MS_OID_INT8, "bigint"},         {MS_OID_INT2, "smallint"},
        {MS_OID_INT4, "integer"},        {MS_OID_TEXT, "text"},
        {MS_OID_JSON, "json"},           {MS_OID_XML, "xml"},
        {MS_OID_FLOAT4, "real"},         {MS_OID_FLOAT8, "double"},
        {MS_OID_BPCHAR, "char"},         {MS_OID_VARCHAR, "varchar"},
        {MS_OID_DATE, "date"},           {MS_OID_TIME, "time"},
        {MS_OID_TIMESTAMP, "timestamp"}, {MS_OID_TIMESTAMPTZ, "timestamptz"},
        {MS_OID_NUMERIC, "numeric"},     {MS_OID_UUID, "uuid"},
        {MS_OID_JSONB, "jsonb"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].oid == oid)
            return names[i].name;
    }
    return "?";
}

static const char *modifier(const struct ms_type *type, const struct ms_carrier *carrier)
{
    switch (carrier->modifier) {
    case MS_MODIFIER_NONE:
        return "";
    case MS_MODIFIER_DECIMAL:
        return "(p,s)";
    case MS_MODIFIER_MONEY:
        return type->id == MS_MONEY ? "(19,4)" : "(10,4)";
    case MS_MODIFIER_LENGTH:
        return "(n)";
    case MS_MODIFIER_SECONDS:
        return type->id == MS_DATETIME ? "(3)" : type->id == MS_SMALLDATETIME ? "(0)" : "(n)";
    }
    return "";
}

/* Sentences, one a line. */
static void say(const char *word, const char *text, const char *end)
{
    printf("%s", word);
    for (const char *p = text; *p; p++)
        putchar(p > text && p[-1] == '.' && *p == ' ' ? '\n' : *p);
    printf(".\n%s", end);
}

static void carrier(const char *word, const struct ms_type *type, const struct ms_carrier *c)
{
    printf("%s\n.Cm %s%s :\n", word, carrier_name(c->oid), modifier(type, c));
    say("", c->note ? c->note : "exactly", "");
}

static void describe(const struct ms_type *type)
{
    printf(".It Cm %s%s\n", type->name, type->id == MS_ROWVERSION ? " , rowversion" : "");
    say("Holds ", type->range, ".br\n");
    for (const struct ms_carrier *c = type->carriers; c->convert != MS_CONVERT_NONE; c++)
        carrier(c == type->carriers ? "Becomes" : ".br\nor", type, c);
    if (type->policy)
        say(".br\nRule: ", type->policy, "");
    if (!type->cdc)
        say(".br\nNot taken from change tables: ", type->cdc_note, "");
    else if (type->cdc_note)
        say(".br\nIn change tables: ", type->cdc_note, "");
}

int main(void)
{
    for (int i = 0; i < MS_TYPE_COUNT; i++)
        describe(ms_type_at((enum ms_type_id)i));
    return 0;
}
