#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Every code that `crossfade check` can give is named in crossfade(1), and none that it can't.
set -eu
srcdir=${srcdir:-.}
cd "$srcdir"
code=$(cat control/check*.c src/pgsql/pair*.c src/legacy/*.c | tr '\n' ' ' |
    grep -oE '(check_say|pair_say|pairing_add|judge)\([^;]*' | grep -oE '"[a-z_]+"' | tr -d '"' |
    grep -vxE 'legacy|target|refuses|rounds|name|none|quarantine|there|values' | sort -u)
man=$(sed -n '/^\.Ss Findings of check/,/^\.Ss /p' man/crossfade.1 | sed -n 's/^\.It Cm //p' | tr -d ',' | tr ' ' '\n' |
    sort -u)
status=0
for c in $code; do
    printf '%s\n' "$man" | grep -qx "$c" || { echo "man/crossfade.1 does not name finding $c"; status=1; }
done
for c in $man; do
    printf '%s\n' "$code" | grep -qx "$c" || { echo "man/crossfade.1 names finding $c, which check does not give"; status=1; }
done
exit $status
