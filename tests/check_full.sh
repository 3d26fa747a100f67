#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# make check-full: what `./quickstart check` does, and then clang, ThreadSanitizer, valgrind, coverage, 100 fault
# rounds and PostgreSQL 10 to 18. Prints one line a stage; logs are in the current directory under full/.
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p full
out=$(cd full && pwd)
bad=0

stage() { # stage NAME COMMAND…
    local name=$1 begin=$SECONDS
    shift
    if "$@" >"$out/$name.log" 2>&1; then
        printf 'ok    %-12s %5d s  %s\n' "$name" $((SECONDS - begin)) "$(tail -1 "$out/$name.log")"
    else
        printf 'FAIL  %-12s %5d s  %s  (%s)\n' "$name" $((SECONDS - begin)) "$(tail -1 "$out/$name.log")" "$out/$name.log"
        bad=1
    fi
}

build() { # build NAME OPTIONS…
    mkdir -p "$out/$1"
    (cd "$out/$1" && shift && { [ -e config.status ] || "$top/configure" -q "$@"; } && make -s -j"$(nproc)" all)
}

scenarios() { # scenarios BUILD ARGS…
    local dir=$out/$1
    shift
    make -s -C "$dir" -j"$(nproc)" check TESTS= >/dev/null # the live programs
    CROSSFADE_BUILD=$dir CROSSFADE_TEST=${CROSSFADE_TEST-SANITIZED} /usr/bin/python3 -m pytest -p no:cacheprovider -q "$top/tests/scenario" "$@"
}

# Units under valgrind; the live ones skip themselves (77) without a server.
valgrind_units() {
    local program status wrong=0 ran=0
    for program in "$out"/plain/tests/unit/*_test; do
        srcdir=$top valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite "$program"
        status=$?
        case $status in
            0) ran=$((ran + 1)) ;;
            77) ;;
            *) echo "$program: exit status $status"; wrong=1 ;;
        esac
    done
    echo "$ran programs"
    return "$wrong"
}

coverage() {
    make -s -C "$out/coverage" -k check || true
    scenarios coverage -k 'not faults' || true
    (cd "$out/coverage" && find . -name '*.gcda' -print0 | xargs -0 gcov -n 2>/dev/null |
        awk -v top="$top/" '/^File/ { ours = index($0, top) && !index($0, "/tests/") }
            ours && /^Lines executed/ { split($0, a, /[:% ]+/); n += a[5]; hit += a[3] * a[5] / 100; ours = 0 }
            END { printf "%.1f %% of %d lines\n", n ? 100 * hit / n : 0, n }')
}

stage asan-build build asan --enable-werror --enable-sanitizers
stage asan-units make -s -C "$out/asan" -k check
CROSSFADE_FAULT_ROUNDS=100 stage asan-scenes scenarios asan
stage clang-build build clang --enable-werror CC=clang
stage clang-units make -s -C "$out/clang" -k check
stage tsan-build build tsan --enable-sanitizers=thread
CROSSFADE_FAULT_ROUNDS=20 stage tsan-scenes scenarios tsan -k 'move or service or failover or faults'
stage plain-build build plain --enable-werror
stage plain-units make -s -C "$out/plain" -k check
# memory and deadlines as promised, which only a build without sanitizers can be held to
CROSSFADE_TEST='' stage plain-scenes scenarios plain -k 'test_16 or rows_read_again or thousand_tables or failover or sigterm'
stage valgrind valgrind_units
CROSSFADE_WRAP='valgrind -q --error-exitcode=99' stage valgrind-run scenarios plain -k 'test_until_caught_up_moves'
stage coverage-build build coverage --enable-coverage
stage coverage coverage
if versions=$("$top/tests/pg_versions.sh" "$out/postgresql" 2>"$out/pg_versions.log" | tail -1); then
    CROSSFADE_TEST_PG_VERSIONS=$versions stage versions scenarios plain -k 'version'
else
    echo "FAIL  versions: no other PostgreSQL versions, see $out/pg_versions.log"
    bad=1
fi
stage distcheck make -s -C "$out/plain" distcheck
exit $bad
