#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# The manual pages are clean mdoc.
command -v mandoc >/dev/null || { echo "no mandoc here"; exit 77; }
cd "${srcdir:-$(dirname "$0")/..}" || exit 99
set -- man/*.[1-8]
[ -e "$1" ] || { echo "no manual pages"; exit 1; }
for page in "$@"; do
    grep -q '^\.Dd ' "$page" || { echo "$page is not mdoc"; exit 1; }
done
out=$(mandoc -T lint -W warning "$@" 2>&1)
[ -z "$out" ] || { echo "$out"; exit 1; }
