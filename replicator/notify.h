/* SPDX-License-Identifier: PostgreSQL
 *
 * Talking to systemd where it started us: readiness, status line, watchdog. Nothing elsewhere.
 */
#ifndef REPLICATOR_NOTIFY_H
#define REPLICATOR_NOTIFY_H

#include <stdint.h>

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
void notify_status(const char *text);
void notify_alive(void);
/* How often notify_alive is wanted, ms; 0: not at all. */
int64_t notify_interval_ms(void);

#endif
