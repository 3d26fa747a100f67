/* SPDX-License-Identifier: PostgreSQL
 *
 * The prepared statements of one session: built when a form is first wanted, prepared in the pipeline that
 * first uses them, and given up again when there are too many and they have not been used for long.
 */
#ifndef PGSQL_PREPARED_H
#define PGSQL_PREPARED_H

#include "base/map.h"
#include "pgsql/pipe.h"
#include "pgsql/statement.h"

enum prepared_kind { PREPARED_NET, PREPARED_EXACT, PREPARED_REREAD };

struct prepared_form {
    const struct table *table;
    enum prepared_kind kind;
    int op; /* enum net_op or enum change_op */
    bool set_based;
    bool flag;                 /* NET: expect; EXACT: old_full; REREAD: only_missing */
    const uint64_t *mask;      /* NULL where the form has none */
    const uint64_t *text_mask; /* NULL: none */
};

struct prepared {
    struct statement statement;
    struct buffer key;
    char name[16];
    bool known;    /* the server has it */
    uint64_t sent; /* the exchange in which it was last prepared */
    uint64_t used; /* the exchange in which it was last used */
};

struct prepared_set {
    struct map map;
    struct buffer probe;
    uint32_t next;
    uint64_t exchange; /* raised by prepared_turn */
};

void prepared_free(struct prepared_set *self);

/* A new pipeline exchange begins. */
void prepared_turn(struct prepared_set *self);

/* The statement of that form, ready to execute in this exchange: its PREPARE is in the pipe if it was needed.
 */
MUST_CHECK bool prepared_get(struct prepared_set *self, struct pipe *pipe, const struct prepared_form *form,
                             uint32_t tag, struct prepared **out, struct error *err);

/* Gives up what was used least recently while more than the limit are there; outside a failed transaction,
 * first thing in an exchange. */
MUST_CHECK bool prepared_trim(struct prepared_set *self, struct pipe *pipe, struct error *err);

#endif
