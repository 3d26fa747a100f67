#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Every command and option that crossfade --help knows is in crossfade(1), and nothing else is.
set -eu
program=${CROSSFADE:-./crossfade}
page=${srcdir:-.}/man/crossfade.1
fail=0
say() { echo "$*"; fail=1; }

commands=$("$program" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')
[ -n "$commands" ] || say "crossfade --help lists no commands"
for command in $commands; do
    section=$(sed -n "/^\.Ss $command\b/,/^\.S[sh] /p" "$page")
    [ -n "$section" ] || { say "command $command is not in $page"; continue; }
    for option in $("$program" "$command" --help | sed -n 's/^  --\([a-z-]*\).*/\1/p'); do
        case $option in config|help) section_of=$(cat "$page") ;; *) section_of=$(grep "^\.Ss $command" "$page") ;; esac
        echo "$section_of" | grep -q -e "Fl -$option\b" || say "option --$option of $command is not in $page"
    done
done
for command in $(sed -n 's/^\.Ss \([a-z]*\).*/\1/p' "$page"); do
    echo "$commands" | grep -qx "$command" || say "$page describes $command, which there is not"
    for option in $(grep "^\.Ss $command" "$page" | grep -o 'Fl -[a-z]*' | sed 's/Fl -//'); do
        "$program" "$command" --help | grep -q -e "--$option\b" || say "$page gives $command --$option, which there is not"
    done
done
for status in 0 1 2 3 4; do
    sed -n '/^\.Sh EXIT STATUS/,/^\.Sh EXAMPLES/p' "$page" | grep -qx "\.It $status" || say "exit status $status is not in $page"
done
exit $fail
