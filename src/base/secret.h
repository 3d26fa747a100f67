/* SPDX-License-Identifier: PostgreSQL
 *
 * Where a secret is kept, never the secret itself: "env:NAME", "file:PATH" or "credential:NAME" (a file
 * in systemd's $CREDENTIALS_DIRECTORY). Messages name what is missing and never a value.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/error.h"

/* The secret, the caller's to secret_free(), less one newline at its end. ERROR_CONFIG when the reference is
 * none (its text is not repeated: it may be the password), or when what it names is missing, empty, not a
 * regular file, larger than 64 kB or holds a NUL. */
MUST_CHECK bool secret_resolve(const char *reference, char **out, struct error *err);

/* Overwrites, then frees. NULL is fine. */
void secret_free(char *secret);

#endif
