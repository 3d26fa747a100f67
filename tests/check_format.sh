#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Every C file is as clang-format 14 with .clang-format would write it, and says its licence.
cd "${srcdir:-$(dirname "$0")/..}" || exit 99
files=$(find src replicator reconciler control tests -name '*.[ch]' 2>/dev/null | sort)
bad=0
for file in $files; do
    head -1 "$file" | grep -q 'SPDX-License-Identifier: PostgreSQL' || { echo "$file: no SPDX line"; bad=1; }
done
command -v clang-format-14 >/dev/null || { [ $bad = 0 ] && echo "no clang-format-14 here" && exit 77; exit 1; }
for file in $files; do
    clang-format-14 --dry-run -Werror --ferror-limit=1 "$file" 2>/dev/null || { echo "$file: clang-format-14 -i $file"; bad=1; }
done
exit $bad
