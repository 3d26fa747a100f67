/* SPDX-License-Identifier: PostgreSQL
 *
 * The main thread: libevent loop with signals, timers, HTTP, Redis and systemd around one runner. Works no
 * data itself.
 */
#ifndef REPLICATOR_SERVICE_H
#define REPLICATOR_SERVICE_H

#include "base/log.h"
#include "model/config.h"

struct service_options {
    const struct config *config;
    struct log *log;
    bool until_caught_up;
};

/* Runs until the runner ends or a signal asks for it. Returns the exit status of DESIGN.md section 7. */
int service_run(const struct service_options *options);

#endif
