#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# The scripts pass shellcheck.
command -v shellcheck >/dev/null || { echo "no shellcheck here"; exit 77; }
cd "${srcdir:-$(dirname "$0")/..}" || exit 99
shellcheck -S warning quickstart .ci/run tests/*.sh
