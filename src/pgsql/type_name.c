/* SPDX-License-Identifier: PostgreSQL */
#include "pgsql/type_name.h"

#include <stddef.h>

enum modifier_style { NO_MODIFIER, LENGTH_PLUS_4, BITS, PRECISION, PRECISION_SCALE };

struct known_type {
    uint32_t oid;
    uint32_t array_oid;
    const char *name;
    const char *tail; /* behind the modifier */
    enum modifier_style style;
};

static const struct known_type known[] = {
    {16, 1000, "boolean", "", NO_MODIFIER},
    {17, 1001, "bytea", "", NO_MODIFIER},
    {18, 1002, "\"char\"", "", NO_MODIFIER},
    {19, 1003, "name", "", NO_MODIFIER},
    {20, 1016, "bigint", "", NO_MODIFIER},
    {21, 1005, "smallint", "", NO_MODIFIER},
    {23, 1007, "integer", "", NO_MODIFIER},
    {25, 1009, "text", "", NO_MODIFIER},
    {26, 1028, "oid", "", NO_MODIFIER},
    {114, 199, "json", "", NO_MODIFIER},
    {142, 143, "xml", "", NO_MODIFIER},
    {600, 1017, "point", "", NO_MODIFIER},
    {601, 1018, "lseg", "", NO_MODIFIER},
    {602, 1019, "path", "", NO_MODIFIER},
    {603, 1020, "box", "", NO_MODIFIER},
    {604, 1027, "polygon", "", NO_MODIFIER},
    {628, 629, "line", "", NO_MODIFIER},
    {650, 651, "cidr", "", NO_MODIFIER},
    {700, 1021, "real", "", NO_MODIFIER},
    {701, 1022, "double precision", "", NO_MODIFIER},
    {718, 719, "circle", "", NO_MODIFIER},
    {774, 775, "macaddr8", "", NO_MODIFIER},
    {790, 791, "money", "", NO_MODIFIER},
    {829, 1040, "macaddr", "", NO_MODIFIER},
    {869, 1041, "inet", "", NO_MODIFIER},
    {1042, 1014, "character", "", LENGTH_PLUS_4},
    {1043, 1015, "character varying", "", LENGTH_PLUS_4},
    {1082, 1182, "date", "", NO_MODIFIER},
    {1083, 1183, "time", " without time zone", PRECISION},
    {1114, 1115, "timestamp", " without time zone", PRECISION},
    {1184, 1185, "timestamp", " with time zone", PRECISION},
    {1186, 1187, "interval", "", NO_MODIFIER},
    {1266, 1270, "time", " with time zone", PRECISION},
    {1560, 1561, "bit", "", BITS},
    {1562, 1563, "bit varying", "", BITS},
    {1700, 1231, "numeric", "", PRECISION_SCALE},
    {2950, 2951, "uuid", "", NO_MODIFIER},
    {3220, 3221, "pg_lsn", "", NO_MODIFIER},
    {3614, 3643, "tsvector", "", NO_MODIFIER},
    {3615, 3645, "tsquery", "", NO_MODIFIER},
    {3802, 3807, "jsonb", "", NO_MODIFIER},
    {3904, 3905, "int4range", "", NO_MODIFIER},
    {3906, 3907, "numrange", "", NO_MODIFIER},
    {3908, 3909, "tsrange", "", NO_MODIFIER},
    {3910, 3911, "tstzrange", "", NO_MODIFIER},
    {3912, 3913, "daterange", "", NO_MODIFIER},
    {3926, 3927, "int8range", "", NO_MODIFIER},
    {4072, 4073, "jsonpath", "", NO_MODIFIER},
    {4451, 6150, "int4multirange", "", NO_MODIFIER},
    {4532, 6151, "nummultirange", "", NO_MODIFIER},
    {4533, 6152, "tsmultirange", "", NO_MODIFIER},
    {4534, 6153, "tstzmultirange", "", NO_MODIFIER},
    {4535, 6155, "datemultirange", "", NO_MODIFIER},
    {4536, 6157, "int8multirange", "", NO_MODIFIER},
};

static void put_modifier(struct buffer *out, enum modifier_style style, int32_t modifier)
{
    if (modifier < 0)
        return;
    uint32_t bits = (uint32_t)modifier - 4;
    switch (style) {
    case NO_MODIFIER:
        break;
    case LENGTH_PLUS_4:
        buffer_printf(out, "(%d)", (int)bits);
        break;
    case BITS:
    case PRECISION:
        buffer_printf(out, "(%d)", modifier);
        break;
    case PRECISION_SCALE: /* the scale is a signed number of 11 bits */
        buffer_printf(out, "(%d,%d)", (int)(bits >> 16 & 0xFFFF), (int)((bits & 0x7FF) ^ 1024) - 1024);
        break;
    }
}

/* SQL's character and bit without a length have length 1: the types without limit go by other names. */
static const char *bare_name(const struct known_type *t)
{
    return t->oid == 1042 ? "bpchar" : t->oid == 1560 ? "\"bit\"" : t->name;
}

bool type_name(struct buffer *out, uint32_t oid, int32_t modifier)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const struct known_type *t = &known[i];
        if (t->oid != oid && t->array_oid != oid)
            continue;
        buffer_puts(out, modifier < 0 ? bare_name(t) : t->name);
        put_modifier(out, t->style, modifier);
        buffer_puts(out, t->tail);
        if (t->array_oid == oid)
            buffer_puts(out, "[]");
        return true;
    }
    return false;
}
