#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Includes go downward only (DESIGN: base <- model <- drivers <- state, compare <- legacy <- programs), drivers do not know each
# other, neither do programs; the library has no threads and no event loop.
cd "${srcdir:-$(dirname "$0")/..}" || exit 99

drivers="pgsql mssql files" # the one list of drivers

# shellcheck disable=SC2016 # the dollars are awk's
find src replicator reconciler control -name '*.[ch]' 2>/dev/null | sort | xargs awk -v drivers="$drivers" '
function layer(path) {
    sub(/^src\//, "", path)
    if (path ~ /^config\.h$/) return "config"
    if (path !~ /\//) return ""
    sub(/\/.*/, "", path)
    return path
}
BEGIN {
    rank["config"] = 0; rank["base"] = 0; rank["model"] = 1
    n = split(drivers, d, " ")
    for (i = 1; i <= n; i++) rank[d[i]] = 2
    rank["state"] = 3; rank["compare"] = 3
    rank["legacy"] = 4
    rank["replicator"] = 5; rank["reconciler"] = 5; rank["control"] = 5
}
FNR == 1 { mine = layer(FILENAME); files++ }
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, q, "\""); other = layer(q[2])
    if (other == "" && FILENAME ~ /^(replicator|reconciler|control)\//) other = mine
    if (!(other in rank)) { print FILENAME ":" FNR ": includes \"" q[2] "\": write the folder too"; bad = 1; next }
    if (other != mine && rank[other] >= rank[mine] && other != "config") {
        print FILENAME ":" FNR ": " mine " must not include " other " (" q[2] ")"; bad = 1
    }
}
/^[ \t]*#[ \t]*include[ \t]*<(event2\/|event\.h|evhttp|systemd\/sd-event)|pthread_create|thrd_create/ && FILENAME ~ /^src\// {
    print FILENAME ":" FNR ": the library has no threads of its own and no event loop: " $0; bad = 1
}
END { if (files < 10) { print "only " files " files seen"; bad = 1 } exit bad }'
