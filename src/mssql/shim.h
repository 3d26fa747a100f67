/* SPDX-License-Identifier: PostgreSQL
 *
 * The one process-wide place: FreeTDS has global handlers, a global list of connections, and takes encryption
 * only from a file whose name is in the environment. This file owns all of that. ms_shim_start comes before
 * any thread and before any other call into FreeTDS, whose own error handler would end the process.
 *
 * The file is private: $RUNTIME_DIRECTORY/freetds.<pid>/freetds.conf or in a directory made under TMPDIR,
 * mode 0700, without secrets, gone at exit. One section a server and set of options; the user's own file is
 * read for `server` names only, and its section copied.
 */
#ifndef MSSQL_SHIM_H
#define MSSQL_SHIM_H

#include "base/buffer.h"
#include "base/error.h"
#include "model/config.h"
#include "mssql/ms_error.h"

enum { MS_SECTION_SIZE = 32 };

/* dbinit, handlers, the directory, FREETDSCONF. Once a process; again is fine and does nothing. Also takes
 * TDSVER, TDSPORT, TDSHOST out of the environment, which would win over the file. */
MUST_CHECK bool ms_shim_start(struct error *err);
bool ms_shim_started(void);
/* Removes the file and the directory; registered with atexit. In a forked child it does nothing. */
void ms_shim_stop(void);

/* The name of the section for this server, written if it is not there yet. From any thread. ERROR_CONFIG when
 * the library can't do what is asked (strict before 1.5), when `server` is in no freetds.conf, or a value
 * can't stand in such a file (# ; control characters, 255 bytes a line). */
MUST_CHECK bool ms_shim_section(const struct config_sqlserver *server, int connect_timeout_ms,
                                char name[MS_SECTION_SIZE], struct error *err);

/* The text of a section as it would be written, without its [name]; `copied` are the lines of the user's own
 * section or empty. For ms_shim_section and tests. */
void ms_shim_describe(const struct config_sqlserver *server, int connect_timeout_ms, const char *copied,
                      struct buffer *out);
/* Lines of [global] and [server] in a freetds.conf, less those we decide ourselves. False if there is no such
 * section in it (or no such file). */
bool ms_shim_copy_section(const char *path, const char *server, struct buffer *out);

/* Handlers give what they hear on this thread to `messages` from now on; NULL: nobody listens. Returns what
 * was set before. conn.c sets it around each call into FreeTDS, as there is no user data while a connection
 * opens. */
struct ms_messages *ms_shim_listen(struct ms_messages *messages);

/* "freetds v1.3.17" -> 1, 3. */
void ms_shim_library_version(int *major, int *minor);

#endif
