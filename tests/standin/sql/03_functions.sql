-- SPDX-License-Identifier: PostgreSQL
-- T-SQL's scalar functions and conversions. The translator calls sys.<name in lower case>; PostgreSQL picks the overload.

-- Text ------------------------------------------------------------------------------------------------------------------
-- UTF-16 code units that a stored text stands for; NUL and lone surrogates are kept in a private plane (README.md).
CREATE FUNCTION standin.units(t text) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(t) < 4 OR octet_length(t) = length(t) THEN length(t)
        ELSE length(t) + length(regexp_replace(t COLLATE "C", '[^\U00010000-\U0010EFFF]', '', 'g')) END::int8 $$;

CREATE FUNCTION standin.hex16(n int) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT lpad(to_hex(n & 255), 2, '0') || lpad(to_hex(n >> 8), 2, '0') $$;
CREATE FUNCTION standin.utf16(t text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF octet_length(t) = length(t) THEN -- ASCII
        RETURN decode(regexp_replace(encode(convert_to(t, 'UTF8'), 'hex'), '(..)', '\100', 'g'), 'hex');
    END IF;
    RETURN (SELECT decode(string_agg(CASE WHEN n BETWEEN 1110016 AND 1112063 THEN standin.hex16(n - 1110016 + 55296) WHEN n = 1112064 THEN '0000'
            WHEN n >= 65536 THEN standin.hex16(55296 + ((n - 65536) >> 10)) || standin.hex16(56320 + ((n - 65536) & 1023))
            ELSE standin.hex16(n) END, '' ORDER BY i), 'hex')
        FROM (SELECT ascii(c) AS n, i FROM unnest(string_to_array(t, NULL)) WITH ORDINALITY AS x(c, i)) AS y);
END $$;
CREATE FUNCTION standin.from_utf16(b bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    out text[] := '{}';
    i int := 0;
    n int;
    low int;
BEGIN
    WHILE i + 1 < octet_length(b) LOOP
        n := get_byte(b, i) + 256 * get_byte(b, i + 1);
        i := i + 2;
        IF n BETWEEN 55296 AND 56319 AND i + 1 < octet_length(b) THEN
            low := get_byte(b, i) + 256 * get_byte(b, i + 1);
            IF low BETWEEN 56320 AND 57343 THEN
                i := i + 2;
                out := out || chr(65536 + ((n - 55296) << 10) + (low - 56320));
                CONTINUE;
            END IF;
        END IF;
        out := out || CASE WHEN n = 0 THEN chr(x'10F800'::int) WHEN n BETWEEN 55296 AND 57343 THEN chr(x'10F000'::int + n - 55296) ELSE chr(n) END;
    END LOOP;
    RETURN array_to_string(out, '');
END $$;
CREATE FUNCTION standin.cp1252(t text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN convert_to(t, 'WIN1252');
EXCEPTION WHEN untranslatable_character OR character_not_in_repertoire THEN
    RETURN (SELECT string_agg(standin.cp1252_char(c), '') FROM regexp_split_to_table(t COLLATE "C", '') c);
END $$;
CREATE FUNCTION standin.cp1252_char(t text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF ascii(t) = x'10F800'::int THEN
        RETURN '\x00'::bytea;
    END IF;
    RETURN convert_to(t, 'WIN1252');
EXCEPTION WHEN OTHERS THEN
    RETURN '\x3f'::bytea;
END $$;
CREATE FUNCTION standin.from_cp1252(b bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN position('\x00'::bytea IN b) = 0 THEN convert_from(b, 'WIN1252')
        ELSE (SELECT string_agg(CASE get_byte(b, i) WHEN 0 THEN chr(x'10F800'::int) ELSE convert_from(substring(b FROM i + 1 FOR 1), 'WIN1252') END, '' ORDER BY i)
                FROM generate_series(0, octet_length(b) - 1) i) END $$;

CREATE FUNCTION sys.len(sys.nvarcharmax) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT standin.units(rtrim($1::text, ' '))::int4 $$;
CREATE FUNCTION sys.len(int8) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT length($1::text) $$;
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['nvarcharmax', 'nvarchar', 'nchar', 'ntext', 'xml'] LOOP
        EXECUTE format('CREATE FUNCTION sys.datalength(sys.%I) RETURNS %s LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT (2 * standin.units($1::text))::%s $x$', t,
            CASE t WHEN 'nvarcharmax' THEN 'int8' ELSE 'int4' END, CASE t WHEN 'nvarcharmax' THEN 'int8' ELSE 'int4' END);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['varcharmax', 'varchar', 'char', 'text'] LOOP
        EXECUTE format('CREATE FUNCTION sys.datalength(sys.%I) RETURNS %s LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT length($1::text)::%s $x$', t,
            CASE t WHEN 'varcharmax' THEN 'int8' ELSE 'int4' END, CASE t WHEN 'varcharmax' THEN 'int8' ELSE 'int4' END);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['varbinarymax', 'varbinary', 'binary', 'image', 'timestamp', 'geometry', 'geography', 'hierarchyid'] LOOP
        EXECUTE format('CREATE FUNCTION sys.datalength(sys.%I) RETURNS %s LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT octet_length($1::bytea)::%s $x$', t,
            CASE t WHEN 'varbinarymax' THEN 'int8' ELSE 'int4' END, CASE t WHEN 'varbinarymax' THEN 'int8' ELSE 'int4' END);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['int2:2', 'int4:4', 'int8:8', 'float4:4', 'float8:8', 'date:3', 'sys.datetime:8', 'sys.smalldatetime:4', 'sys.datetime2:8', 'sys."time":5',
                             'sys.datetimeoffset:10', 'sys.uniqueidentifier:16', 'sys.money:8', 'sys.smallmoney:4', 'sys."bit":1', 'sys.tinyint:1'] LOOP
        EXECUTE format('CREATE FUNCTION sys.datalength(%s) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT %s $x$', split_part(t, ':', 1), split_part(t, ':', 2));
    END LOOP;
    FOREACH t IN ARRAY ARRAY['varchar', 'nvarchar', 'varcharmax', 'nvarcharmax'] LOOP
        EXECUTE format('CREATE FUNCTION sys."left"(sys.%I, int8) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT pg_catalog.left($1::text, $2::int4)::sys.%I $x$', t, t, t);
        EXECUTE format('CREATE FUNCTION sys."right"(sys.%I, int8) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT pg_catalog.right($1::text, $2::int4)::sys.%I $x$', t, t, t);
        EXECUTE format('CREATE FUNCTION sys."substring"(sys.%I, int8, int8) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT pg_catalog.substr($1::text, $2::int4, greatest(least($3, 2147483647 - greatest($2, 1)), 0)::int4)::sys.%I $x$', t, t, t);
        EXECUTE format('CREATE FUNCTION sys."upper"(sys.%I) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT pg_catalog.upper($1::text COLLATE "en-x-icu")::sys.%I $x$', t, t, t);
        EXECUTE format('CREATE FUNCTION sys."lower"(sys.%I) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT pg_catalog.lower($1::text COLLATE "en-x-icu")::sys.%I $x$', t, t, t);
        EXECUTE format('CREATE FUNCTION sys."ltrim"(sys.%I) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT pg_catalog.ltrim($1::text)::sys.%I $x$', t, t, t);
        EXECUTE format('CREATE FUNCTION sys."rtrim"(sys.%I) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT pg_catalog.rtrim($1::text)::sys.%I $x$', t, t, t);
        EXECUTE format('CREATE FUNCTION sys."trim"(sys.%I) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT pg_catalog.btrim($1::text)::sys.%I $x$', t, t, t);
        EXECUTE format('CREATE FUNCTION sys."reverse"(sys.%I) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT pg_catalog.reverse($1::text)::sys.%I $x$', t, t, t);
        EXECUTE format('CREATE FUNCTION sys."replicate"(sys.%I, int8) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT pg_catalog.repeat($1::text, %s)::sys.%I $x$', t, t,
            CASE WHEN t LIKE '%max' THEN '$2::int4' ELSE format('least($2, %s / greatest(length($1::text), 1))::int4', CASE t WHEN 'varchar' THEN 8000 ELSE 4000 END) END, t);
        EXECUTE format('CREATE FUNCTION sys."stuff"(sys.%I, int8, int8, sys.nvarcharmax) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$
            SELECT CASE WHEN $2 < 1 OR $2 > length($1::text) THEN NULL ELSE pg_catalog.overlay($1::text, $4::text, $2::int4, $3::int4) END::sys.%I $x$', t, t, t);
        EXECUTE format('CREATE FUNCTION sys."replace"(sys.%I, sys.nvarcharmax, sys.nvarcharmax) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$
            SELECT CASE WHEN $2::text = '''' THEN $1::text ELSE regexp_replace($1::text COLLATE "en-x-icu", regexp_replace($2::text COLLATE "en-x-icu", ''([][\\.*+?^$(){}|])'', ''\\\1'', ''g''), replace($3::text COLLATE "en-x-icu", ''\'', ''\\''), ''gi'') END::sys.%I $x$', t, t, t);
    END LOOP;
END $$;
CREATE FUNCTION sys."substring"(sys.varbinarymax, int8, int8) RETURNS sys.varbinary LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT pg_catalog.substring($1::bytea, $2::int4, least($3, 2147483647 - $2)::int4)::sys.varbinary $$;
CREATE FUNCTION sys.charindex(sys.nvarcharmax, sys.nvarcharmax, int8 DEFAULT 1) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN p = 0 THEN 0 ELSE p + greatest($3, 1)::int4 - 1 END
      FROM (SELECT pg_catalog.strpos(pg_catalog.lower(substr($2::text, greatest($3, 1)::int4) COLLATE "en-x-icu"), pg_catalog.lower($1::text COLLATE "en-x-icu"))) AS x(p) $$;
CREATE FUNCTION sys.space(int8) RETURNS sys."varchar" LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT repeat(' ', $1::int4)::sys."varchar" $$;
CREATE FUNCTION sys."char"(int8) RETURNS sys."char" LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE WHEN $1 BETWEEN 0 AND 255 THEN standin.from_cp1252(decode(lpad(to_hex($1), 2, '0'), 'hex'))::sys."char"(1) END $$;
CREATE FUNCTION sys."nchar"(int8) RETURNS sys."nchar" LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE WHEN $1 BETWEEN 0 AND 65535 THEN standin.from_utf16(decode(standin.hex16($1::int4), 'hex'))::sys."nchar"(1) END $$;
CREATE FUNCTION sys.ascii(sys.nvarcharmax) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT get_byte(standin.cp1252($1::text), 0) $$;
CREATE FUNCTION sys.unicode(sys.nvarcharmax) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT get_byte(b, 0) + 256 * get_byte(b, 1) FROM standin.utf16(pg_catalog.left($1::text, 1)) b $$;
CREATE FUNCTION sys.quotename(sys.nvarcharmax, sys.nvarcharmax DEFAULT NULL) RETURNS sys.nvarchar LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN $1 IS NULL OR length($1::text) > 128 THEN NULL
        WHEN coalesce($2::text, '[') IN ('[', ']') THEN '[' || pg_catalog.replace($1::text COLLATE "C", ']', ']]') || ']'
        WHEN $2::text = '''' THEN quote_literal($1::text)
        WHEN $2::text = '"' THEN '"' || pg_catalog.replace($1::text COLLATE "C", '"', '""') || '"' END::sys.nvarchar $$;
CREATE FUNCTION sys.concat(VARIADIC "any") RETURNS text LANGUAGE internal STABLE AS 'text_concat';
CREATE FUNCTION sys.isnumeric(sys.nvarcharmax) RETURNS int4 LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN $1::text COLLATE "en-x-icu" ~ '^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$' THEN 1 ELSE 0 END $$;
CREATE FUNCTION sys.hashbytes(sys.nvarcharmax, sys.nvarcharmax) RETURNS sys.varbinary LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.hash($1::text, standin.utf16($2::text)) $$;
CREATE FUNCTION sys.hashbytes(sys.nvarcharmax, sys."varchar") RETURNS sys.varbinary LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.hash($1::text, standin.cp1252($2::text)) $$;
CREATE FUNCTION sys.hashbytes(sys.nvarcharmax, sys.varbinarymax) RETURNS sys.varbinary LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.hash($1::text, $2::bytea) $$;
CREATE FUNCTION standin.hash(kind text, b bytea) RETURNS sys.varbinary LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE pg_catalog.upper(kind) WHEN 'SHA2_256' THEN sha256(b) WHEN 'SHA2_512' THEN sha512(b) WHEN 'MD5' THEN decode(md5(b), 'hex') END::sys.varbinary $$;

-- LIKE as a regular expression; without regard to case.
CREATE FUNCTION standin.like_pattern(p text, escape text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    out text := '^';
    c text;
    i int := 1;
    e int;
BEGIN
    WHILE i <= length(p) LOOP
        c := substr(p, i, 1);
        IF escape IS NOT NULL AND c = escape AND i < length(p) THEN
            i := i + 1;
            out := out || regexp_replace(substr(p, i, 1), '([][\\.*+?^$(){}|])', '\\\1');
        ELSIF c = '%' THEN
            out := out || '.*';
        ELSIF c = '_' THEN
            out := out || '.';
        ELSIF c = '[' AND strpos(substr(p, i + 2), ']') > 0 THEN
            e := i + 1 + strpos(substr(p, i + 2), ']');
            out := out || '[' || pg_catalog.replace(pg_catalog.replace(substr(p, i + 1, e - i - 1), '\', '\\'), '[', '\[') || ']';
            i := e;
        ELSE
            out := out || regexp_replace(c, '([][\\.*+?^$(){}|])', '\\\1');
        END IF;
        i := i + 1;
    END LOOP;
    RETURN out || ' *$';
END $$;
CREATE FUNCTION sys."like"(sys.nvarcharmax, sys.nvarcharmax, sys.nvarcharmax DEFAULT NULL) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT $1::text COLLATE "en-x-icu" ~* standin.like_pattern($2::text COLLATE "en-x-icu", $3::text COLLATE "en-x-icu") $$;

-- Time ------------------------------------------------------------------------------------------------------------------
CREATE FUNCTION sys.sysutcdatetime() RETURNS sys.datetime2 LANGUAGE sql VOLATILE AS $$ SELECT standin.timestamp_ticks(clock_timestamp() AT TIME ZONE 'UTC')::sys.datetime2 $$;
CREATE FUNCTION sys.sysdatetime() RETURNS sys.datetime2 LANGUAGE sql VOLATILE AS $$ SELECT sys.sysutcdatetime() $$;
CREATE FUNCTION sys.getdate() RETURNS sys.datetime LANGUAGE sql VOLATILE AS $$ SELECT standin.datetime(standin.ticks(sys.sysutcdatetime())) $$;
CREATE FUNCTION sys.getutcdate() RETURNS sys.datetime LANGUAGE sql VOLATILE AS $$ SELECT sys.getdate() $$;
CREATE FUNCTION sys.sysdatetimeoffset() RETURNS sys.datetimeoffset LANGUAGE sql VOLATILE AS $$ SELECT standin.datetimeoffset(standin.ticks(sys.sysutcdatetime()), 0) $$;
CREATE FUNCTION sys.newid() RETURNS sys.uniqueidentifier LANGUAGE sql VOLATILE AS $$ SELECT gen_random_uuid()::sys.uniqueidentifier $$;
CREATE FUNCTION sys.newsequentialid() RETURNS sys.uniqueidentifier LANGUAGE sql VOLATILE AS $$ SELECT gen_random_uuid()::sys.uniqueidentifier $$;

CREATE FUNCTION standin.part_name(p text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE WHEN p IN ('year', 'yy', 'yyyy') THEN 'year' WHEN p IN ('quarter', 'qq', 'q') THEN 'quarter' WHEN p IN ('month', 'mm', 'm') THEN 'month'
        WHEN p IN ('dayofyear', 'dy', 'y') THEN 'dayofyear' WHEN p IN ('day', 'dd', 'd') THEN 'day' WHEN p IN ('week', 'wk', 'ww') THEN 'week'
        WHEN p IN ('weekday', 'dw', 'w') THEN 'weekday' WHEN p IN ('hour', 'hh') THEN 'hour' WHEN p IN ('minute', 'mi', 'n') THEN 'minute'
        WHEN p IN ('second', 'ss', 's') THEN 'second' WHEN p IN ('millisecond', 'ms') THEN 'millisecond' WHEN p IN ('microsecond', 'mcs') THEN 'microsecond'
        WHEN p IN ('nanosecond', 'ns') THEN 'nanosecond' WHEN p IN ('tzoffset', 'tz') THEN 'tzoffset' WHEN p IN ('iso_week', 'isowk', 'isoww') THEN 'iso_week' END $$;
CREATE FUNCTION standin.unit_ticks(p text) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE p WHEN 'week' THEN 6048000000000 WHEN 'day' THEN 864000000000 WHEN 'dayofyear' THEN 864000000000 WHEN 'weekday' THEN 864000000000 WHEN 'hour' THEN 36000000000
        WHEN 'minute' THEN 600000000 WHEN 'second' THEN 10000000 WHEN 'millisecond' THEN 10000 WHEN 'microsecond' THEN 10 END::int8 $$;
CREATE FUNCTION standin.add(part text, n int8, t int8) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE WHEN p IN ('year', 'quarter', 'month') THEN
            standin.timestamp_ticks((standin.ticks_timestamp(t / 864000000000 * 864000000000) + n * CASE p WHEN 'year' THEN interval '1 year' WHEN 'quarter' THEN interval '3 months' ELSE interval '1 month' END)) + t % 864000000000
        WHEN p = 'nanosecond' THEN t + n / 100 ELSE t + n * standin.unit_ticks(p) END FROM standin.part_name(part) p $$;
CREATE FUNCTION sys.dateadd(part text, n int8, d sys.datetime2) RETURNS sys.datetime2 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.datetime2(standin.add(part, n, standin.ticks(d))) $$;
CREATE FUNCTION sys.dateadd(part text, n int8, d sys.datetime) RETURNS sys.datetime LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.datetime(standin.add(part, n, standin.ticks(d))) $$;
CREATE FUNCTION sys.dateadd(part text, n int8, d sys.smalldatetime) RETURNS sys.smalldatetime LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.smalldatetime(standin.add(part, n, standin.ticks(d))) $$;
CREATE FUNCTION sys.dateadd(part text, n int8, d date) RETURNS date LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.date(standin.add(part, n, (d - date '0001-01-01') * 864000000000)) $$;
CREATE FUNCTION sys.dateadd(part text, n int8, d sys."time") RETURNS sys."time" LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT ((standin.add(part, n, standin.ticks(d) + 864000000000 * 1000000) % 864000000000))::sys."time" $$;
CREATE FUNCTION sys.dateadd(part text, n int8, d sys.datetimeoffset) RETURNS sys.datetimeoffset LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT standin.datetimeoffset(standin.add(part, n, standin.utc(d)), standin.minutes(d)) $$;
CREATE FUNCTION sys.dateadd(part text, n int8, d sys.nvarcharmax) RETURNS sys.datetime LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT sys.dateadd(part, n, d::sys.datetime) $$;
-- Boundaries crossed.
CREATE FUNCTION standin.diff(part text, a int8, b int8) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE p WHEN 'year' THEN extract(year FROM y) - extract(year FROM x)
        WHEN 'month' THEN (extract(year FROM y) - extract(year FROM x)) * 12 + extract(month FROM y) - extract(month FROM x)
        WHEN 'quarter' THEN (extract(year FROM y) - extract(year FROM x)) * 4 + extract(quarter FROM y) - extract(quarter FROM x)
        WHEN 'week' THEN (b / 864000000000 + 1) / 7 - (a / 864000000000 + 1) / 7
        WHEN 'nanosecond' THEN (b - a) * 100
        ELSE b / standin.unit_ticks(p) - a / standin.unit_ticks(p) END::int8
      FROM standin.part_name(part) p, standin.ticks_timestamp(a) x, standin.ticks_timestamp(b) y $$;
CREATE FUNCTION sys.datediff_big(part text, a sys.datetime2, b sys.datetime2) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.diff(part, standin.ticks(a), standin.ticks(b)) $$;
CREATE FUNCTION sys.datediff_big(part text, a sys.datetimeoffset, b sys.datetimeoffset) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.diff(part, standin.utc(a), standin.utc(b)) $$;
CREATE FUNCTION sys.datediff_big(part text, a sys."time", b sys."time") RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.diff(part, standin.ticks(a), standin.ticks(b)) $$;
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['sys.datetime2', 'sys.datetimeoffset', 'sys."time"'] LOOP
        EXECUTE format('CREATE FUNCTION sys.datediff(part text, a %s, b %s) RETURNS int4 LANGUAGE plpgsql IMMUTABLE STRICT AS $x$
            BEGIN RETURN sys.datediff_big(part, a, b)::int4;
            EXCEPTION WHEN numeric_value_out_of_range THEN PERFORM standin.raise(535, ''The datediff function resulted in an overflow. The number of dateparts separating two date/time instances is too large. Try to use datediff with a less precise datepart.'', 16, 0);
            END $x$', t, t);
    END LOOP;
END $$;
CREATE FUNCTION standin.part(part text, t int8) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE p WHEN 'millisecond' THEN t % 10000000 / 10000 WHEN 'microsecond' THEN t % 10000000 / 10 WHEN 'nanosecond' THEN t % 10000000 * 100
        WHEN 'second' THEN t / 10000000 % 60 WHEN 'minute' THEN t / 600000000 % 60 WHEN 'hour' THEN t / 36000000000 % 24
        WHEN 'year' THEN extract(year FROM x) WHEN 'month' THEN extract(month FROM x) WHEN 'day' THEN extract(day FROM x) WHEN 'quarter' THEN extract(quarter FROM x)
        WHEN 'dayofyear' THEN extract(doy FROM x) WHEN 'weekday' THEN extract(dow FROM x) + 1 WHEN 'iso_week' THEN extract(week FROM x)
        WHEN 'week' THEN (extract(doy FROM x) + extract(dow FROM date_trunc('year', x)) - 1)::int / 7 + 1 WHEN 'tzoffset' THEN 0 END::int4
      FROM standin.part_name(part) p, standin.ticks_timestamp(t) x $$;
CREATE FUNCTION sys.datepart(part text, d sys.datetime2) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.part(part, standin.ticks(d)) $$;
CREATE FUNCTION sys.datepart(part text, d sys."time") RETURNS int4 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.part(part, standin.ticks(d)) $$;
CREATE FUNCTION sys.datepart(part text, d sys.datetimeoffset) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE standin.part_name(part) WHEN 'tzoffset' THEN standin.minutes(d) ELSE standin.part(part, standin.local(d)) END $$;
CREATE FUNCTION sys.year(sys.datetime2) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.part('year', standin.ticks($1)) $$;
CREATE FUNCTION sys.month(sys.datetime2) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.part('month', standin.ticks($1)) $$;
CREATE FUNCTION sys.day(sys.datetime2) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.part('day', standin.ticks($1)) $$;
CREATE FUNCTION sys.datefromparts(int8, int8, int8) RETURNS date LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT make_date($1::int4, $2::int4, $3::int4) $$;
CREATE FUNCTION sys.switchoffset(sys.datetimeoffset, sys.nvarcharmax) RETURNS sys.datetimeoffset LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT standin.datetimeoffset(standin.utc($1), (standin.parse_time('00:00:00 ' || $2::text)).minutes) $$;
CREATE FUNCTION sys.switchoffset(sys.datetimeoffset, int8) RETURNS sys.datetimeoffset LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.datetimeoffset(standin.utc($1), $2::int4) $$;
CREATE FUNCTION sys.todatetimeoffset(sys.datetime2, int8) RETURNS sys.datetimeoffset LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT standin.datetimeoffset(standin.ticks($1) - $2 * 600000000, $2::int4) $$;

-- Conversions: to_text (for char and varchar), to_ntext (for nchar and nvarchar), to_binary, to_int8 -----------------------
CREATE FUNCTION standin.fraction(t int8, digits int) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE WHEN digits = 0 THEN '' ELSE '.' || pg_catalog.left(lpad((t % 10000000)::text, 7, '0'), digits) END $$;
CREATE FUNCTION standin.format_time(t int8, style int4, digits int, kind text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE
        WHEN kind = 'date' THEN CASE style WHEN 112 THEN to_char(x, 'YYYYMMDD') WHEN 101 THEN to_char(x, 'MM/DD/YYYY') WHEN 103 THEN to_char(x, 'DD/MM/YYYY')
            WHEN 104 THEN to_char(x, 'DD.MM.YYYY') ELSE to_char(x, 'YYYY-MM-DD') END
        WHEN kind = 'time' THEN to_char(x, 'HH24:MI:SS') || standin.fraction(t, digits)
        WHEN style IN (0, 100) THEN CASE WHEN style = 0 AND kind = 'datetime2' THEN to_char(x, 'YYYY-MM-DD HH24:MI:SS') || standin.fraction(t, digits)
            ELSE to_char(x, 'Mon ') || lpad(extract(day FROM x)::text, 2) || to_char(x, ' YYYY ') || lpad(to_char(x, 'FMHH12'), 2) || to_char(x, ':MIAM') END
        WHEN style IN (120, 20) THEN to_char(x, 'YYYY-MM-DD HH24:MI:SS')
        WHEN style IN (121, 21, 25) THEN to_char(x, 'YYYY-MM-DD HH24:MI:SS') || standin.fraction(t, digits)
        WHEN style IN (126, 127) THEN to_char(x, 'YYYY-MM-DD"T"HH24:MI:SS') || CASE WHEN t % 10000000 = 0 AND kind = 'datetime' THEN '' ELSE standin.fraction(t, digits) END
        WHEN style = 112 THEN to_char(x, 'YYYYMMDD') WHEN style = 23 THEN to_char(x, 'YYYY-MM-DD') WHEN style = 101 THEN to_char(x, 'MM/DD/YYYY')
        WHEN style = 103 THEN to_char(x, 'DD/MM/YYYY') WHEN style = 104 THEN to_char(x, 'DD.MM.YYYY') WHEN style IN (108, 8) THEN to_char(x, 'HH24:MI:SS')
        WHEN style IN (114, 14) THEN to_char(x, 'HH24:MI:SS') || ':' || substr(standin.fraction(t, 3), 2)
        ELSE standin.bad_style(style) END
      FROM standin.ticks_timestamp(t) x $$;
CREATE FUNCTION standin.bad_style(style int4) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM standin.raise(281, format('%s is not a valid style number when converting from datetime to a character string.', style));
    RETURN NULL;
END $$;
-- 1/300 s as it prints: three digits, rounded.
CREATE FUNCTION standin.millis(t int8) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT (t + 5000) / 10000 * 10000 $$;
CREATE FUNCTION standin.float_text(v float8, style int4, digits int4) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    t text;
    m text[];
BEGIN
    IF style = 3 OR style = 2 OR style = 1 THEN
        t := to_char(v, '9.' || repeat('9', CASE style WHEN 1 THEN 7 WHEN 2 THEN 15 ELSE 16 END) || 'EEEE');
        m := regexp_match(btrim(t), '^(-?)(\S+)e([-+])(\d+)$');
        RETURN m[1] || m[2] || 'e' || m[3] || lpad(m[4], 3, '0');
    END IF;
    RETURN CASE WHEN v = 0 OR abs(v) BETWEEN 1e-4 AND 999999 THEN trim_scale(round(v::numeric, greatest(0, 5 - floor(log(greatest(abs(v), 1e-300)))::int4)))::text
        ELSE regexp_replace(btrim(to_char(v, '9.99999EEEE')), '\.?0*e([-+])(\d+)$', 'e\1' || lpad('', 0) || '0\2') END;
END $$;

DO $$
DECLARE
    f text;
    t text;
BEGIN
    FOREACH f IN ARRAY ARRAY['to_text', 'to_ntext'] LOOP
        FOREACH t IN ARRAY ARRAY['int2', 'int4', 'int8', 'numeric', 'sys."bit"', 'sys.tinyint', 'sys.uniqueidentifier', 'bool', 'sys.nvarcharmax', 'sys.ntext', 'sys."text"', 'sys."xml"'] LOOP
            EXECUTE format('CREATE FUNCTION standin.%I(v %s, style int4) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT %s $x$', f, t,
                CASE t WHEN 'sys.uniqueidentifier' THEN 'standin.guid_text(v)' WHEN 'bool' THEN 'CASE WHEN v THEN ''1'' ELSE ''0'' END' ELSE 'v::text' END);
        END LOOP;
        FOREACH t IN ARRAY ARRAY['float8:17', 'float4:9'] LOOP
            EXECUTE format('CREATE FUNCTION standin.%I(v %s, style int4) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT standin.float_text(v, style, %s) $x$', f, split_part(t, ':', 1), split_part(t, ':', 2));
        END LOOP;
        FOREACH t IN ARRAY ARRAY['sys.money', 'sys.smallmoney'] LOOP
            EXECUTE format('CREATE FUNCTION standin.%I(v %s, style int4) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$
                SELECT CASE style WHEN 2 THEN round(v::numeric, 4)::text WHEN 1 THEN btrim(to_char(v::numeric, ''999,999,999,999,999,990.00'')) ELSE round(v::numeric, 2)::text END $x$', f, t);
        END LOOP;
        EXECUTE format('CREATE FUNCTION standin.%I(v sys.datetime, style int4) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT standin.format_time(standin.millis(standin.ticks(v)), style, 3, ''datetime'') $x$', f);
        EXECUTE format('CREATE FUNCTION standin.%I(v sys.smalldatetime, style int4) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT standin.format_time(standin.ticks(v), style, 3, ''datetime'') $x$', f);
        EXECUTE format('CREATE FUNCTION standin.%I(v sys.datetime2, style int4) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT standin.format_time(standin.ticks(v), style, 7, ''datetime2'') $x$', f);
        EXECUTE format('CREATE FUNCTION standin.%I(v sys."time", style int4) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT standin.format_time(standin.ticks(v), style, 7, ''time'') $x$', f);
        EXECUTE format('CREATE FUNCTION standin.%I(v date, style int4) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT standin.format_time((v - date ''0001-01-01'') * 864000000000, style, 0, ''date'') $x$', f);
        EXECUTE format('CREATE FUNCTION standin.%I(v sys.datetimeoffset, style int4) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $x$
            SELECT standin.format_time(standin.local(v), CASE style WHEN 0 THEN 121 ELSE style END, 7, ''datetime2'') || CASE WHEN style = 126 THEN '''' ELSE '' '' END || CASE WHEN standin.minutes(v) < 0 THEN ''-'' ELSE ''+'' END
                || to_char(abs(standin.minutes(v)) / 60, ''FM00'') || '':'' || to_char(abs(standin.minutes(v)) %% 60, ''FM00'') $x$', f);
        EXECUTE format('CREATE FUNCTION standin.%I(v sys.varbinarymax, style int4) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $x$
            SELECT CASE style WHEN 1 THEN ''0x'' || pg_catalog.upper(encode(v::bytea, ''hex'')) WHEN 2 THEN pg_catalog.upper(encode(v::bytea, ''hex'')) ELSE standin.%I(v::bytea) END $x$', f,
            CASE f WHEN 'to_text' THEN 'from_cp1252' ELSE 'from_utf16' END);
        EXECUTE format('CREATE FUNCTION standin.%I(v sys.sql_variant, style int4) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT substr(v::text, strpos(v::text, '':'') + 1) $x$', f);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['sys."char"', 'sys."varchar"', 'sys.varcharmax', 'sys."text"', 'sys.nvarcharmax', 'sys.ntext', 'sys."xml"'] LOOP
        EXECUTE format('CREATE FUNCTION standin.to_binary(v %s, style int4) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS $x$
            SELECT CASE style WHEN 1 THEN standin.unhex(substr(v::text, 3)) WHEN 2 THEN standin.unhex(v::text) ELSE standin.%I(v::text) END $x$', t,
            CASE WHEN t IN ('sys.nvarcharmax', 'sys.ntext', 'sys."xml"') THEN 'utf16' ELSE 'cp1252' END);
    END LOOP;
    -- nchar and nvarchar are taken as nvarcharmax.
    FOREACH t IN ARRAY ARRAY['int2', 'int4', 'int8'] LOOP
        EXECUTE format('CREATE FUNCTION standin.to_binary(v %s, style int4) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT %ssend(v) $x$', t, t);
    END LOOP;
    EXECUTE 'CREATE FUNCTION standin.to_binary(v sys.tinyint, style int4) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT substr(int2send(v::int2), 2) $x$';
    EXECUTE 'CREATE FUNCTION standin.to_binary(v sys."bit", style int4) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT substr(int2send(v::int2), 2) $x$';
    EXECUTE 'CREATE FUNCTION standin.to_binary(v sys.varbinarymax, style int4) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT v::bytea $x$';
    EXECUTE 'CREATE FUNCTION standin.to_binary(v sys.uniqueidentifier, style int4) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS $x$
        SELECT substr(b, 13, 4) || substr(b, 11, 2) || substr(b, 9, 2) || substr(b, 7, 2) || substr(b, 1, 6) FROM decode(pg_catalog.replace(v::text, ''-'', ''''), ''hex'') b $x$';
    FOREACH t IN ARRAY ARRAY['float4', 'float8', 'numeric', 'sys.money', 'sys.smallmoney'] LOOP
        EXECUTE format('CREATE FUNCTION standin.to_int8(v %s) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT trunc(v::numeric)::int8 $x$', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['int2', 'int4', 'int8', 'sys."bit"', 'sys.tinyint'] LOOP
        EXECUTE format('CREATE FUNCTION standin.to_int8(v %s) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT v::int8 $x$', t);
    END LOOP;
END $$;
CREATE FUNCTION standin.unhex(t text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN decode(t, 'hex');
EXCEPTION WHEN invalid_parameter_value THEN
    PERFORM standin.raise(8114, 'Error converting data type varchar to varbinary.', 16, 5);
END $$;
CREATE FUNCTION standin.to_int8(v sys.nvarcharmax) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE WHEN btrim(v::text) = '' THEN 0 ELSE standin.parse_int(v::text) END $$;
CREATE FUNCTION standin.parse_int(v text) RETURNS int8 LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN v::int8;
EXCEPTION WHEN invalid_text_representation THEN
    PERFORM standin.raise(245, format('Conversion failed when converting the varchar value ''%s'' to data type int.', v));
END $$;
CREATE FUNCTION standin.to_int8(v sys.varbinarymax) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT coalesce((SELECT ('x' || lpad(encode(substring(v::bytea FROM greatest(octet_length(v::bytea) - 7, 1)), 'hex'), 16, '0'))::bit(64)::int8), 0) $$;
CREATE FUNCTION standin.to_int8(v sys.sql_variant) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT substr(v::text, strpos(v::text, ':') + 1)::int8 $$;
CREATE FUNCTION standin.guid_from_binary(v bytea) RETURNS sys.uniqueidentifier LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT encode(substr(b, 11, 6) || substr(b, 9, 2) || substr(b, 7, 2) || substr(b, 5, 2) || substr(b, 1, 4), 'hex')::uuid::text::sys.uniqueidentifier
      FROM (SELECT substring(v || decode(repeat('00', 16), 'hex') FROM 1 FOR 16)) AS x(b) $$;
SELECT standin.make_cast(t, 'sys.uniqueidentifier', 'standin.guid_from_binary($1::bytea)', '') FROM unnest(ARRAY['sys.varbinarymax', 'sys.varbinary', 'sys."binary"']) t;
-- Text to and from numbers by assignment.
DO $$
DECLARE
    c text;
    t text;
BEGIN
    FOREACH c IN ARRAY ARRAY['sys."char"', 'sys."nchar"', 'sys."varchar"', 'sys.nvarchar', 'sys.varcharmax', 'sys.nvarcharmax'] LOOP
        FOREACH t IN ARRAY ARRAY['numeric', 'float4', 'float8', 'sys.money', 'sys.smallmoney', 'int2', 'int4', 'int8', 'sys.tinyint', 'sys."bit"'] LOOP
            EXECUTE format('CREATE FUNCTION standin.%I(%s) RETURNS %s LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT %s $x$', 'parse_' || pg_catalog.replace(pg_catalog.replace(t, 'sys.', ''), '"', ''), c, t,
                CASE WHEN t LIKE 'int_' OR t = 'sys.tinyint' THEN format('standin.to_int8($1::sys.nvarcharmax)::%s', t)
                     WHEN t = 'sys."bit"' THEN 'CASE pg_catalog.lower(btrim($1::text) COLLATE "C") WHEN ''true'' THEN ''1'' WHEN ''false'' THEN ''0'' ELSE (standin.to_int8($1::sys.nvarcharmax) <> 0)::int4::text END::sys."bit"'
                     WHEN t LIKE '%money' THEN format('(pg_catalog.replace(btrim($1::text) COLLATE "C", ''$'', '''')::numeric)::%s', t)
                     ELSE format('(btrim($1::text))::%s', t) END);
            EXECUTE format('CREATE CAST (%s AS %s) WITH FUNCTION standin.%I(%s) AS ASSIGNMENT', c, t, 'parse_' || pg_catalog.replace(pg_catalog.replace(t, 'sys.', ''), '"', ''), c);
        END LOOP;
        FOREACH t IN ARRAY ARRAY['int2', 'int4', 'int8', 'numeric', 'float4', 'float8', 'sys.money', 'sys.smallmoney', 'sys."bit"', 'sys.tinyint', 'sys.datetime', 'sys.smalldatetime', 'sys.datetime2',
                                 'sys."time"', 'date', 'sys.datetimeoffset', 'bool'] LOOP
            EXECUTE format('CREATE FUNCTION standin.%I(%s) RETURNS %s LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT standin.to_text($1, 0)::%s $x$', 'char_' || pg_catalog.replace(pg_catalog.replace(c, 'sys.', ''), '"', ''), t, c, c);
            EXECUTE format('CREATE CAST (%s AS %s) WITH FUNCTION standin.%I(%s) AS ASSIGNMENT', t, c, 'char_' || pg_catalog.replace(pg_catalog.replace(c, 'sys.', ''), '"', ''), t);
        END LOOP;
    END LOOP;
END $$;
-- TRY_CAST: the value's text through the target's own cast.
CREATE FUNCTION standin.try_cast(v text, target text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    out text;
BEGIN
    EXECUTE format('SELECT (%L::sys.nvarcharmax::%s)::text', v, target) INTO out;
    RETURN out;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- sql_variant: 'base type:value'.
DO $$
DECLARE
    t text[];
BEGIN
    FOREACH t SLICE 1 IN ARRAY ARRAY[['int2', 'smallint'], ['int4', 'int'], ['int8', 'bigint'], ['float4', 'real'], ['float8', 'float'], ['date', 'date'], ['sys."bit"', 'bit'], ['sys.tinyint', 'tinyint'],
        ['sys.money', 'money'], ['sys.smallmoney', 'smallmoney'], ['sys.datetime', 'datetime'], ['sys.smalldatetime', 'smalldatetime'], ['sys.datetime2', 'datetime2(7)'], ['sys."time"', 'time(7)'],
        ['sys.datetimeoffset', 'datetimeoffset(7)'], ['sys.uniqueidentifier', 'uniqueidentifier'], ['sys."varchar"', 'varchar(8000)'], ['sys.nvarchar', 'nvarchar(4000)'], ['sys."char"', 'char(8000)'], ['sys."nchar"', 'nchar(4000)'],
        ['sys.varbinary', 'varbinary(8000)'], ['sys."binary"', 'binary(8000)'], ['sys.nvarcharmax', 'nvarchar(4000)']] LOOP
        EXECUTE format('CREATE FUNCTION standin.to_variant(%s) RETURNS sys.sql_variant LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT (%L || $1::text)::sys.sql_variant $x$', t[1], t[2] || ':');
        EXECUTE format('CREATE CAST (%s AS sys.sql_variant) WITH FUNCTION standin.to_variant(%s) AS ASSIGNMENT', t[1], t[1]);
        EXECUTE format('CREATE FUNCTION standin.%I(sys.sql_variant) RETURNS %s LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT substr($1::text, strpos($1::text, '':'') + 1)::%s $x$', 'variant_' || t[1], t[1], t[1]);
        EXECUTE format('CREATE CAST (sys.sql_variant AS %s) WITH FUNCTION standin.%I(sys.sql_variant)', t[1], 'variant_' || t[1]);
    END LOOP;
END $$;
CREATE FUNCTION standin.to_binary(v sys.sql_variant, style int4) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT substr(v::text, strpos(v::text, ':') + 1)::bytea $$;
CREATE FUNCTION standin.to_variant(numeric) RETURNS sys.sql_variant LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (format('numeric(%s,%s):%s', greatest(length(regexp_replace($1::text, '[^0-9]', '', 'g')), 1), scale($1), $1))::sys.sql_variant $$;
CREATE CAST (numeric AS sys.sql_variant) WITH FUNCTION standin.to_variant(numeric) AS ASSIGNMENT;
CREATE FUNCTION sys.sql_variant_property(v sys.sql_variant, property sys.nvarcharmax) RETURNS sys.nvarchar LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE pg_catalog.lower(property::text)
        WHEN 'basetype' THEN split_part(split_part(v::text, ':', 1), '(', 1)
        WHEN 'precision' THEN (regexp_match(split_part(v::text, ':', 1), '\((\d+)'))[1]
        WHEN 'scale' THEN coalesce((regexp_match(split_part(v::text, ':', 1), ',(\d+)\)'))[1], (regexp_match(split_part(v::text, ':', 1), '^(?:datetime2|time|datetimeoffset)\((\d)\)'))[1], '0') END::sys.nvarchar $$;
CREATE FUNCTION sys.ident_current(sys.nvarcharmax) RETURNS numeric LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
    out numeric;
BEGIN
    EXECUTE format('SELECT last_value FROM %s', (SELECT pg_get_serial_sequence(c.oid::regclass::text, a.attname)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.oid = to_regclass($1::text) AND a.attidentity <> '')) INTO out;
    RETURN out;
END $$;
CREATE FUNCTION sys.min_active_rowversion() RETURNS sys."binary" LANGUAGE sql VOLATILE AS $$ SELECT standin.min_active_rowversion() $$;
