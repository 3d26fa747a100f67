/* SPDX-License-Identifier: PostgreSQL
 *
 * One value as dbdata(), dbdatlen() and dbcoltype() give it, valid until the next row. It need not be
 * aligned.
 */
#ifndef MSSQL_DATUM_H
#define MSSQL_DATUM_H

#include <stdint.h>

struct ms_datum {
    const void *data; /* NULL: NULL */
    uint32_t length;  /* 0 with a pointer: the empty string */
    uint8_t type;     /* enum ms_wire: one of sybdb.h's SYB… */
};

#endif
