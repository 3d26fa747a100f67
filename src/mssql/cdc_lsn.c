/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/cdc_lsn.h"

#include "mssql/sql.h"

struct position cdc_lsn(const void *data, size_t length)
{
    const unsigned char *b = data;
    struct position p = {.kind = POSITION_NONE};
    if (!data || length != CDC_LSN_SIZE)
        return p;
    p.kind = POSITION_CDC;
    p.high = (uint16_t)(b[0] << 8 | b[1]);
    for (int i = 2; i < CDC_LSN_SIZE; i++)
        p.low = p.low << 8 | b[i];
    return p;
}

void cdc_lsn_bytes(struct position lsn, unsigned char out[CDC_LSN_SIZE])
{
    out[0] = (unsigned char)(lsn.high >> 8);
    out[1] = (unsigned char)lsn.high;
    for (int i = 2; i < CDC_LSN_SIZE; i++)
        out[i] = (unsigned char)(lsn.low >> (8 * (CDC_LSN_SIZE - 1 - i)));
}

void cdc_lsn_put(struct buffer *out, struct position lsn)
{
    unsigned char bytes[CDC_LSN_SIZE];
    cdc_lsn_bytes(lsn, bytes);
    ms_sql_hex(out, bytes, sizeof(bytes));
}

bool cdc_lsn_is_zero(struct position lsn)
{
    return lsn.high == 0 && lsn.low == 0;
}

struct position cdc_lsn_next(struct position lsn)
{
    lsn.kind = POSITION_CDC;
    if (lsn.low == UINT64_MAX && lsn.high == UINT16_MAX)
        return lsn;
    if (++lsn.low == 0)
        lsn.high++;
    return lsn;
}

struct position cdc_lsn_before(struct position lsn)
{
    lsn.kind = POSITION_CDC;
    if (cdc_lsn_is_zero(lsn))
        return lsn;
    if (lsn.low-- == 0)
        lsn.high--;
    return lsn;
}

int cdc_lsn_compare(struct position a, struct position b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return (a.low > b.low) - (a.low < b.low);
}
