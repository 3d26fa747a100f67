/* SPDX-License-Identifier: PostgreSQL
 *
 * __$update_mask: one bit a captured column. Column ordinal 1 is the lowest bit of the *last* byte, ordinal 9
 * the lowest of the byte before it (hazard 14: read from the other end, all is well up to 8 columns). Pure.
 */
#ifndef MSSQL_CDC_MASK_H
#define MSSQL_CDC_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ordinals count from 1 (cdc.captured_columns.column_ordinal). Outside the mask: false. */
static inline bool cdc_mask_has(const void *mask, size_t length, uint32_t ordinal)
{
    const uint8_t *bytes = mask;
    size_t byte = (ordinal - 1) / 8;
    if (ordinal == 0 || byte >= length)
        return false;
    return (bytes[length - 1 - byte] >> ((ordinal - 1) % 8) & 1) != 0;
}

#endif
