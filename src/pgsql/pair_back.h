/* SPDX-License-Identifier: PostgreSQL
 *
 * One table for the way back, from the target to the legacy. Part of pairing.
 */
#ifndef PGSQL_PAIR_BACK_H
#define PGSQL_PAIR_BACK_H

#include "pgsql/pair_columns.h"

/* `work` has the legacy's relation as its source and the target's as its sink; afterwards the other way
 * round. False: it does not fit, the findings say why. */
bool pair_back(struct pair_work *work, const struct pair_sides *back);

#endif
