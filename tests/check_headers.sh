#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Each header compiles alone, and each .c that has a header of its own includes it first.
build=$(pwd)
cd "${srcdir:-$(dirname "$0")/..}" || exit 99
bad=0
# shellcheck disable=SC2086 # both are lists of words
for header in $(find src replicator reconciler control -name '*.h' 2>/dev/null | sort); do
    printf '#include "%s"\nint nothing;\n' "$(pwd)/$header" |
        ${CC:-cc} -std=c17 -Wall -Wextra -Werror -fsyntax-only -I. -Isrc -I"$build" -I"$build/src" $CHECK_CPPFLAGS -x c - || {
        echo "$header does not compile alone"
        bad=1
    }
done
for file in $(find src replicator reconciler control -name '*.c' 2>/dev/null | sort); do
    header=${file%.c}.h
    [ -e "$header" ] || continue
    first=$(sed -n 's/^#include "\(.*\)"/\1/p' "$file" | grep -v '^config\.h$' | head -1)
    case $header in
    "$first" | src/"$first" | */"$first") ;;
    *) echo "$file includes $first before its own header"; bad=1 ;;
    esac
done
exit $bad
