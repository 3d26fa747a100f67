#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# crossfade-types(7) has every row of the type table, word for word as the program that prints it.
page=${srcdir:-$(dirname "$0")/..}/man/crossfade-types.7
describe=./tests/unit/type_describe
[ -x "$describe" ] || { echo "$describe is not built"; exit 99; }
[ "$("$describe" | grep -c '^\.It Cm ')" -ge 33 ] || { echo "$describe prints too few types"; exit 1; }
"$describe" >check_man_types.tmp
sed -n '/^\.\\" types$/,/^\.\\" end of types$/p' "$page" | sed '1d;$d' | diff - check_man_types.tmp
status=$?
rm -f check_man_types.tmp
[ $status = 0 ] || echo "$page: paste the output of $describe between the marks"
exit $status
