/* SPDX-License-Identifier: PostgreSQL
 *
 * Boundary values of every SQL Server type as db-lib delivers them, with what PostgreSQL shows of them.
 * Shared by the pure test of the codec and the one that asks a PostgreSQL server.
 */
#ifndef TESTS_MS_CASES_H
#define TESTS_MS_CASES_H

#include "mssql/value.h"

struct ms_case {
    struct ms_column_type column;
    uint32_t oid; /* of the carrier */
    unsigned char data[48];
    struct ms_datum datum; /* into data, or into a constant */
    const char *text;      /* as PostgreSQL writes the carrier's value */
    bool changes;          /* by declaration it does not come back the same */
};

void ms_cases_each(void (*each)(const struct ms_case *c, void *context), void *context);

/* The datum of a decimal from its digits without a point: 35 bytes into `out`. */
void ms_cases_decimal(unsigned precision, unsigned scale, const char *digits, unsigned char out[35]);

#endif
