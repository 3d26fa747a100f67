#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# crossfade.conf(5) tells of every key what the option table says: default, what is allowed, reloaded or not; the
# sample holds every key that can be used; the samples are good configs.
src=${srcdir:-$(dirname "$0")/..}
page=$src/man/crossfade.conf.5
describe=./tests/unit/config_describe
[ -x "$describe" ] || { echo "$describe is not built"; exit 99; }
sqlserver=
if grep -q '^#define HAVE_FREETDS 1' config.h; then sqlserver=$src/conf/sqlserver.json; fi
out=$("$describe" "$src/conf/minimal.json" "$src/conf/sample.json" ${sqlserver:+"$sqlserver"}) || { echo "$out"; exit 1; }

"$describe" | awk -F '\t' -v page="$page" -v sample="$src/conf/sample.json" '
    function fail(text) { print text; failed = 1 }
    # One line of mdoc as plain text.
    function plain(line) {
        gsub(/^\.(Cm|Sq|Dq|Ic|Em|Ql|Sx|Xr|Ev) /, "", line)
        gsub(/ ,/, ",", line)
        sub(/ ;$/, ";", line)
        sub(/ \.$/, ".", line)
        return line
    }
    BEGIN {
        while ((getline line < page) > 0) {
            if (line ~ /^\.It Ic /) {
                count = split(substr(line, 8), keys, " , ")
                for (i in seen) delete seen[i]
                for (i = 1; i <= count; i++) { seen[keys[i]]; shared[keys[i]] = count > 1; told[keys[i]] = " " }
            } else if (line ~ /^\.(El|Sh)/) {
                for (i in seen) delete seen[i]
            } else {
                for (k in seen) told[k] = told[k] plain(line) " "
            }
        }
        while ((getline line < sample) > 0) text = text line "\n"
        if (length(told) < 10 || text == "") fail("cannot read " page " or " sample)
    }
    {
        n++
        key = $1; type = $2; initial = $4; allowed = $5; reload = $6
        known[key]
        if (!(key in told)) { fail(page ": key " key " is missing"); next }
        body = told[key]
        if (type == "later") {
            if (body !~ /Not available in this version/) fail(page ": " key ": is not available in this version")
            next
        }
        if (!index(body, " " reload ".")) fail(page ": " key ": must say " reload)
        if (body ~ /Only for kind/) next
        if (!index(body, " " type)) fail(page ": " key ": type is " type)
        if (initial == "required" && !index(body, "required")) fail(page ": " key ": is required")
        if (initial != "-" && initial != "required" && type ~ /^(integer|size|duration|ratio|enum|address)$/ && \
            !index(body, "default " initial ";") && !index(body, "default: " initial ";"))
            fail(page ": " key ": default is " initial)
        if (type ~ /^(integer|size|duration|ratio|enum)$/ && !index(body, "allowed: " allowed ";"))
            fail(page ": " key ": must say \"allowed: " allowed ";\"")
        name = key
        sub(/.*[.]/, "", name)
        if (!index(text, "\"" name "\":")) fail(sample ": key " key " is missing")
    }
    END {
        if (n < 30) fail("the option table is short: " n " keys")
        for (k in told)
            if (k ~ /^[a-z]/ && k !~ /^(env|file|credential):/ && !(k in known)) fail(page ": " k " is no key")
        exit failed
    }'
