/* SPDX-License-Identifier: PostgreSQL
 *
 * The replicator's HTTP face, reading only: /healthz, /readyz, /status, /metrics.
 */
#ifndef REPLICATOR_HTTP_H
#define REPLICATOR_HTTP_H

#include <event2/event.h>

#include "model/config.h"
#include "replicator/stats.h"

struct http;

struct http_options {
    struct event_base *base;
    const struct config *config;
    struct stats *stats;
};

/* ERROR_CONFIG when it can't listen: the caller warns and goes on without. */
MUST_CHECK bool http_start(const struct http_options *options, struct http **out, struct error *err);
void http_free(struct http *self);

#endif
