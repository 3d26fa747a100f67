#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# The systemd unit is valid and, by systemd's own measure, below 2.0.
command -v systemd-analyze >/dev/null || { echo "no systemd-analyze here"; exit 77; }
unit="conf/crossfade-replicator@.service"
[ -e "$unit" ] || { echo "$unit is not built"; exit 1; }
out=$(systemd-analyze security --no-pager --offline=true --threshold=20 "$unit" 2>&1) || { echo "$out"; exit 1; }
echo "$out" | grep 'Overall exposure level' || { echo "$out"; exit 1; }
for want in Type=notify WatchdogSec= LoadCredential=; do
    grep -q "^$want" "$unit" || { echo "$unit: no $want"; exit 1; }
done
# Unknown keys are warnings of `verify`; a missing program is none of this test's business.
! systemd-analyze verify "$unit" 2>&1 | grep -i 'unknown\|invalid\|failed to parse'
