/* SPDX-License-Identifier: PostgreSQL */
#include "mssql/ms_error.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/utf8.h"

struct known {
    int number;
    enum error_kind kind;
};

/* Numbers and texts: "Database Engine events and errors". What is set up wrongly is REFUSED, not DATA,
 * although it fails a statement: quarantining rows would not help (313, 334, 468, 1934). */
static const struct known server_errors[] = {
    {102, ERROR_REFUSED},   /* incorrect syntax near */
    {105, ERROR_REFUSED},   /* unclosed quotation mark */
    {156, ERROR_REFUSED},   /* incorrect syntax near the keyword */
    {207, ERROR_REFUSED},   /* invalid column name */
    {208, ERROR_REFUSED},   /* invalid object name */
    {220, ERROR_DATA},      /* arithmetic overflow for data type */
    {229, ERROR_REFUSED},   /* permission denied on object */
    {230, ERROR_REFUSED},   /* permission denied on column */
    {232, ERROR_DATA},      /* arithmetic overflow for type */
    {233, ERROR_RETRY},     /* the client was unable to establish a connection */
    {241, ERROR_DATA},      /* conversion failed: date and time */
    {242, ERROR_DATA},      /* conversion resulted in an out-of-range value */
    {244, ERROR_DATA},      /* conversion overflowed an int1 or int2 column */
    {245, ERROR_DATA},      /* conversion failed when converting the value */
    {248, ERROR_DATA},      /* conversion overflowed an int column */
    {262, ERROR_REFUSED},   /* permission denied in database */
    {297, ERROR_REFUSED},   /* the user does not have permission */
    {300, ERROR_REFUSED},   /* VIEW SERVER STATE was denied */
    {313, ERROR_REFUSED},   /* insufficient arguments: how CDC's functions say that a range is gone */
    {334, ERROR_REFUSED},   /* OUTPUT without INTO on a table with triggers */
    {405, ERROR_REFUSED},   /* a remote table can't be the target */
    {468, ERROR_REFUSED},   /* collation conflict */
    {515, ERROR_DATA},      /* cannot insert NULL */
    {517, ERROR_DATA},      /* overflow of a date column */
    {544, ERROR_REFUSED},   /* IDENTITY_INSERT is OFF */
    {547, ERROR_DATA},      /* constraint conflict */
    {548, ERROR_DATA},      /* conflict with an identity range check */
    {596, ERROR_RETRY},     /* the session is in the kill state */
    {601, ERROR_RETRY},     /* NOLOCK scan could not continue due to data movement */
    {615, ERROR_RETRY},     /* database could not be found while in use */
    {617, ERROR_RETRY},     /* descriptor not found in the hash table */
    {701, ERROR_RETRY},     /* insufficient memory */
    {802, ERROR_RETRY},     /* insufficient memory in the buffer pool */
    {823, ERROR_FATAL},     /* I/O error of the database's files */
    {824, ERROR_FATAL},     /* logical consistency error */
    {911, ERROR_REFUSED},   /* database does not exist */
    {916, ERROR_REFUSED},   /* the login can't access the database */
    {921, ERROR_RETRY},     /* database is not recovered yet */
    {922, ERROR_RETRY},     /* database is being recovered */
    {926, ERROR_RETRY},     /* database is marked suspect */
    {927, ERROR_RETRY},     /* database is being restored */
    {942, ERROR_RETRY},     /* database is offline */
    {945, ERROR_RETRY},     /* database has inaccessible files or not enough memory */
    {952, ERROR_RETRY},     /* database is in transition */
    {976, ERROR_RETRY},     /* availability database is not readable here */
    {978, ERROR_REFUSED},   /* read-only intent needed */
    {983, ERROR_RETRY},     /* availability replica changes roles */
    {1088, ERROR_REFUSED},  /* cannot find the object, or no permission */
    {1101, ERROR_RETRY},    /* no more room in a filegroup */
    {1105, ERROR_RETRY},    /* no more room in a filegroup */
    {1204, ERROR_RETRY},    /* no locks left */
    {1205, ERROR_RETRY},    /* deadlock victim */
    {1222, ERROR_RETRY},    /* lock request time-out */
    {1505, ERROR_DATA},     /* duplicate key while building an index */
    {1534, ERROR_RETRY},    /* retry the query plan */
    {1807, ERROR_RETRY},    /* exclusive lock on model */
    {1934, ERROR_REFUSED},  /* wrong SET options for an indexed view or computed column */
    {2601, ERROR_DATA},     /* duplicate key in a unique index */
    {2627, ERROR_DATA},     /* violation of a unique constraint */
    {2628, ERROR_DATA},     /* string would be truncated: with table and column */
    {2812, ERROR_REFUSED},  /* procedure not found */
    {3604, ERROR_DATA},     /* duplicate key was ignored */
    {3702, ERROR_RETRY},    /* database is in use */
    {3902, ERROR_RETRY},    /* COMMIT without a transaction: it was rolled back */
    {3906, ERROR_REFUSED},  /* the database is read-only */
    {3908, ERROR_RETRY},    /* emergency mode or damaged */
    {3941, ERROR_RETRY},    /* transaction can't be continued */
    {3951, ERROR_RETRY},    /* snapshot isolation: database changed */
    {3952, ERROR_RETRY},    /* snapshot isolation was switched off in the database: next time without */
    {3957, ERROR_RETRY},    /* snapshot: pending state */
    {3958, ERROR_RETRY},    /* snapshot: row version not found */
    {3960, ERROR_RETRY},    /* snapshot update conflict */
    {3961, ERROR_RETRY},    /* snapshot: the object was altered meanwhile */
    {3966, ERROR_RETRY},    /* transaction rolled back for the version store */
    {3967, ERROR_RETRY},    /* the version store is full */
    {4060, ERROR_REFUSED},  /* cannot open the database of the login */
    {4064, ERROR_REFUSED},  /* cannot open the user's default database */
    {4063, ERROR_REFUSED},  /* the same */
    {4221, ERROR_RETRY},    /* login to a read secondary: waiting for row versions */
    {4711, ERROR_REFUSED},  /* TRUNCATE of a table that is published or captured */
    {4712, ERROR_REFUSED},  /* TRUNCATE of a table that a foreign key references */
    {4815, ERROR_DATA},     /* bulk: invalid column length */
    {4863, ERROR_DATA},     /* bulk: truncation */
    {4864, ERROR_DATA},     /* bulk: type mismatch */
    {4902, ERROR_REFUSED},  /* cannot find the object to alter */
    {5074, ERROR_REFUSED},  /* an object depends on the column */
    {6002, ERROR_RETRY},    /* shutdown is in progress */
    {6005, ERROR_RETRY},    /* shutdown is in progress */
    {8101, ERROR_REFUSED},  /* explicit value for an identity column needs a column list */
    {8114, ERROR_DATA},     /* error converting data type */
    {8115, ERROR_DATA},     /* arithmetic overflow error converting */
    {8134, ERROR_DATA},     /* divide by zero */
    {8152, ERROR_DATA},     /* string or binary data would be truncated */
    {8169, ERROR_DATA},     /* conversion to uniqueidentifier failed */
    {8623, ERROR_REFUSED},  /* no query plan: too complex */
    {8628, ERROR_RETRY},    /* time-out while optimizing */
    {8645, ERROR_RETRY},    /* time-out waiting for memory */
    {8651, ERROR_RETRY},    /* low memory */
    {8657, ERROR_REFUSED},  /* memory grant impossible */
    {8902, ERROR_RETRY},    /* memory allocation error */
    {9001, ERROR_RETRY},    /* log for database is not available */
    {9002, ERROR_RETRY},    /* the transaction log is full */
    {9100, ERROR_FATAL},    /* possible index corruption */
    {9420, ERROR_DATA},     /* XML parsing: illegal character */
    {10053, ERROR_RETRY},   /* transport-level error */
    {10054, ERROR_RETRY},   /* transport-level error */
    {10060, ERROR_RETRY},   /* network error */
    {10922, ERROR_RETRY},   /* rerun the query */
    {10928, ERROR_RETRY},   /* Azure: resource limit reached */
    {10929, ERROR_RETRY},   /* Azure: resource minimum guarantee */
    {10936, ERROR_RETRY},   /* Azure: elastic pool's limit */
    {14355, ERROR_RETRY},   /* MSSQLServerADHelper busy */
    {17142, ERROR_RETRY},   /* service is paused */
    {17197, ERROR_RETRY},   /* login time-out */
    {18401, ERROR_RETRY},   /* login failed: script upgrade mode */
    {18451, ERROR_RETRY},   /* login failed: only administrators now */
    {18452, ERROR_REFUSED}, /* login from an untrusted domain */
    {18456, ERROR_REFUSED}, /* login failed */
    {18470, ERROR_REFUSED}, /* the account is disabled */
    {18486, ERROR_REFUSED}, /* the account is locked */
    {18487, ERROR_REFUSED}, /* the password has expired */
    {18488, ERROR_REFUSED}, /* the password must be changed */
    {20041, ERROR_RETRY},   /* transaction rolled back: replication */
    {22837, ERROR_RETRY},   /* CDC clean-up could not delete */
    {22859, ERROR_RETRY},   /* CDC log scan failed */
    {22901, ERROR_REFUSED}, /* the database is not enabled for CDC */
    {22911, ERROR_REFUSED}, /* capture job can't be used with replication */
    {22977, ERROR_REFUSED}, /* CDC object missing */
    {22983, ERROR_REFUSED}, /* unable to enable CDC */
    {22985, ERROR_REFUSED}, /* CDC object not found, or no access */
    {22117, ERROR_REFUSED}, /* change tracking of this table is not on */
    {40143, ERROR_RETRY},   /* Azure: the service has encountered an error */
    {40166, ERROR_RETRY},   /* Azure */
    {40197, ERROR_RETRY},   /* Azure: error processing the request */
    {40501, ERROR_RETRY},   /* Azure: service is busy */
    {40540, ERROR_RETRY},   /* Azure: transaction aborted */
    {40544, ERROR_RETRY},   /* Azure: size quota reached */
    {40549, ERROR_RETRY},   /* Azure: long transaction */
    {40550, ERROR_RETRY},   /* Azure: too many locks */
    {40551, ERROR_RETRY},   /* Azure: tempdb */
    {40552, ERROR_RETRY},   /* Azure: log space */
    {40553, ERROR_RETRY},   /* Azure: memory */
    {40613, ERROR_RETRY},   /* Azure: database is not currently available */
    {40615, ERROR_REFUSED}, /* Azure: firewall */
    {40532, ERROR_REFUSED}, /* Azure: cannot open server */
    {41301, ERROR_RETRY},   /* In-Memory OLTP: dependency failed */
    {41302, ERROR_RETRY},   /* In-Memory OLTP: write conflict */
    {41305, ERROR_RETRY},   /* In-Memory OLTP: repeatable read validation */
    {41325, ERROR_RETRY},   /* In-Memory OLTP: serializable validation */
    {41839, ERROR_RETRY},   /* In-Memory OLTP: commit dependencies */
    {42109, ERROR_RETRY},   /* Azure: warming up */
    {49918, ERROR_RETRY},   /* Azure: not enough resources */
    {49919, ERROR_RETRY},   /* Azure: too many operations */
    {49920, ERROR_RETRY},   /* Azure: too many operations */
    {MS_RAISED_DATA, ERROR_DATA},
    {MS_RAISED_FENCED, ERROR_FENCED},
    {MS_RAISED_FATAL, ERROR_FATAL},
};

/* sybdb.h's SYBE…; numbers so that this file needs no FreeTDS. */
static const struct known client_errors[] = {
    {2400, ERROR_DATA},     /* characters could not be converted */
    {2401, ERROR_DATA},     /* conversion not available: a value cut in its middle */
    {2402, ERROR_DATA},     /* error converting into the server's character set */
    {2403, ERROR_DATA},     /* characters were replaced by ? */
    {2404, ERROR_DATA},     /* overflow while converting */
    {2500, ERROR_CONFIG},   /* both port and instance */
    {20001, ERROR_RETRY},   /* read out of synchronization */
    {20002, ERROR_RETRY},   /* connection failed */
    {20003, ERROR_RETRY},   /* timed out */
    {20004, ERROR_RETRY},   /* read failed */
    {20006, ERROR_RETRY},   /* write failed */
    {20008, ERROR_RETRY},   /* unable to open socket */
    {20009, ERROR_RETRY},   /* server is unavailable or does not exist */
    {20010, ERROR_RETRY},   /* memory */
    {20011, ERROR_REFUSED}, /* too many connections in this process */
    {20012, ERROR_RETRY},   /* server name not found: also a name that DNS does not know just now */
    {20013, ERROR_RETRY},   /* unknown host */
    {20014, ERROR_REFUSED}, /* login incorrect */
    {20017, ERROR_RETRY},   /* unexpected end of the stream */
    {20020, ERROR_RETRY},   /* bad token: out of sync */
    {20047, ERROR_RETRY},   /* the connection is dead */
    {20049, ERROR_DATA},    /* conversion overflow */
    {20050, ERROR_DATA},    /* syntax error in the value */
    {20052, ERROR_DATA},    /* overflow to NULL */
    {20056, ERROR_RETRY},   /* error in closing the link */
    {20073, ERROR_DATA},    /* bcp: NULL into a column that takes none */
    {20074, ERROR_DATA},    /* bcp: row too large */
    {20210, ERROR_REFUSED}, /* negotiated login failed */
    {20296, ERROR_RETRY},   /* the attention was not acknowledged */
    {20297, ERROR_DATA},    /* bcp: batch failed */
};

/* Said beside the message that matters. */
static bool is_noise(int number)
{
    switch (number) {
    case 3621: /* the statement has been terminated */
    case 3609: /* the transaction ended in the trigger */
    case 3616: /* an error was raised during trigger execution */
    case 3998: /* uncommittable transaction at the end of the batch */
    case 3930: /* the transaction cannot be committed */
    case 5701: /* changed database context */
    case 5703: /* changed language setting */
        return true;
    default:
        return false;
    }
}

static const struct known *find(const struct known *table, size_t count, int number)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].number == number)
            return &table[i];
    }
    return NULL;
}

enum error_kind ms_error_kind(int number, int severity)
{
    const struct known *k = find(server_errors, sizeof(server_errors) / sizeof(server_errors[0]), number);
    if (k)
        return k->kind;
    /* 17 resources, 19 limits, 20 and up end the session. What people raise themselves (50000 and up) is not
     * the fault of a row's data as far as we can tell. */
    return severity == 17 || severity >= 19 ? ERROR_RETRY : ERROR_REFUSED;
}

enum error_kind ms_client_kind(int number)
{
    const struct known *k = find(client_errors, sizeof(client_errors) / sizeof(client_errors[0]), number);
    return k ? k->kind : ERROR_REFUSED;
}

void ms_messages_clear(struct ms_messages *self)
{
    *self = (struct ms_messages){0};
}

/* One line, no stop at its end. */
static void copy_text(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (const char *p = text ? text : ""; *p && n + 1 < size; p++)
        out[n++] = *p == '\n' || *p == '\r' || *p == '\t' ? ' ' : *p;
    /* Not through the middle of a character. */
    for (size_t i = 0; i < n;) {
        size_t length = utf8_length(out + i, n - i);
        if (!length && n - i < 4) {
            n = i;
            break;
        }
        i += length ? length : 1;
    }
    while (n && (out[n - 1] == ' ' || out[n - 1] == '.'))
        n--;
    out[n] = '\0';
}

void ms_messages_add_server(struct ms_messages *self, int number, int state, int severity, int line,
                            const char *procedure, const char *text)
{
    if (severity <= 10)
        return;
    if (self->number && !is_noise(self->number)) {
        /* Worse than the first: what began as this row's fault ended the transaction or the session. */
        if (ms_error_kind(number, severity) == ERROR_RETRY)
            self->later = number;
        return;
    }
    if (self->number && is_noise(number))
        return;
    self->number = number;
    self->severity = severity;
    self->state = state;
    self->line = line;
    copy_text(self->procedure, sizeof(self->procedure), procedure);
    copy_text(self->text, sizeof(self->text), text);
}

void ms_messages_add_client(struct ms_messages *self, int number, int os_error, const char *text)
{
    if (number == 20018)
        return;
    if (number >= 2400 && number <= 2404)
        self->damaged = true;
    if (number == 20003)
        self->timeout = true;
    /* 2403 alone does not fail a command; 20047 and 20002 only follow from what was said before. */
    bool weak = self->client == 0 || self->client == 2403 || self->client == 20047 || self->client == 20002;
    if (!weak || (self->client && (number == 20047 || number == 20002)))
        return;
    self->client = number;
    self->os_error = os_error;
    copy_text(self->client_text, sizeof(self->client_text), text);
    /* The section's name behind the text says nothing to anybody. */
    char *section = strstr(self->client_text, " (crossfade_");
    if (section)
        *section = '\0';
}

bool ms_messages_failed(const struct ms_messages *self)
{
    return self->number != 0 || (self->client != 0 && self->client != 2403);
}

static bool client_error_from(struct error *err, const char *endpoint, const struct ms_messages *m)
{
    char code[12];
    snprintf(code, sizeof(code), "%d", m->client);
    if (m->timeout)
        return error_set_code(err, ERROR_RETRY, code, "%s: the server did not answer in time (error %d)",
                              endpoint, m->client);
    return error_set_code(err, ms_client_kind(m->client), code, "%s: %s%s%s (error %d)", endpoint,
                          m->client_text, m->os_error ? " - " : "", m->os_error ? strerror(m->os_error) : "",
                          m->client);
}

bool ms_error_from(struct error *err, const char *endpoint, const struct ms_messages *m)
{
    char code[12];
    struct buffer place = {0};
    if (!m->number && m->client)
        return client_error_from(err, endpoint, m);
    if (!m->number)
        return error_set(err, ERROR_RETRY,
                         "%s: the command failed and nobody said why - the connection may be "
                         "lost",
                         endpoint);
    enum error_kind kind = ms_error_kind(m->number, m->severity);
    if (m->later && kind != ERROR_FATAL)
        kind = ERROR_RETRY;
    if (m->procedure[0])
        buffer_printf(&place, "%s ", m->procedure);
    if (m->line > 0)
        buffer_printf(&place, "line %d, ", m->line);
    snprintf(code, sizeof(code), "%d", m->number);
    error_set_code(err, kind, code, "%s: %s (%serror %d)", endpoint, m->text, buffer_text(&place), m->number);
    buffer_free(&place);
    return false;
}
