/* SPDX-License-Identifier: PostgreSQL */
#ifndef CONTROL_HTTP_GET_H
#define CONTROL_HTTP_GET_H

#include "base/buffer.h"

/* The body of GET http://<address>/<path> from the replicator on this host; "0.0.0.0:8480" and "[::]:8480"
 * are asked here too. At most a second for each step. False if nobody answers with status 200: no reason is
 * given, since the caller then looks elsewhere. */
MUST_CHECK bool http_get(const char *address, const char *path, struct buffer *body);

#endif
