#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# crossfade-capture(7) has every row of the table of captures, word for word as the program that prints it.
page=${srcdir:-$(dirname "$0")/..}/man/crossfade-capture.7
describe=./tests/unit/capture_describe
[ -x "$describe" ] || { echo "$describe is not built"; exit 99; }
[ "$("$describe" | grep -c '^\.Ss ')" -ge 6 ] || { echo "$describe prints too few captures"; exit 1; }
"$describe" >check_man_capture.tmp
sed -n '/^\.\\" captures$/,/^\.\\" end of captures$/p' "$page" | sed '1d;$d' | diff - check_man_capture.tmp
status=$?
rm -f check_man_capture.tmp
[ $status = 0 ] || echo "$page: paste the output of $describe between the marks"
exit $status
