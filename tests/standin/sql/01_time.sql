-- SPDX-License-Identifier: PostgreSQL
-- Dates and times: reading text, rounding, casts. All times are counts of 100 ns.

-- Ticks since 0001-01-01 of a text; an offset in the text is returned in minutes, else NULL.
CREATE FUNCTION standin.parse_time(v text, OUT ticks int8, OUT day_given bool, OUT minutes int) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    m text[] COLLATE "C";
    t text COLLATE "C" := btrim(v);
    fmt text := coalesce(nullif(current_setting('standin.dateformat', true), ''), 'mdy');
BEGIN
    ticks := 0;
    day_given := false;
    m := regexp_match(t, '^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(.*))?$');
    IF m IS NULL THEN
        m := regexp_match(t, '^(\d{4})(\d{2})(\d{2})(?:[T ]+(.*))?$');
    END IF;
    IF m IS NULL THEN
        m := regexp_match(t, '^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?: +(.*))?$');
        IF m IS NOT NULL THEN
            m := ARRAY[m[3], m[CASE WHEN fmt = 'dmy' THEN 2 ELSE 1 END], m[CASE WHEN fmt = 'dmy' THEN 1 ELSE 2 END], m[4]];
        END IF;
    END IF;
    IF m IS NULL THEN
        m := regexp_match(t, '^([A-Za-z]{3,9})\.? +(\d{1,2}),? +(\d{4})(?: +(.*))?$');
        IF m IS NOT NULL THEN
            m := ARRAY[m[3], (position(lower(left(m[1], 3)) IN 'janfebmaraprmayjunjulaugsepoctnovdec') / 3 + 1)::text, m[2], m[4]];
        END IF;
    END IF;
    IF m IS NOT NULL THEN
        ticks := (make_date(m[1]::int, m[2]::int, m[3]::int) - date '0001-01-01') * 864000000000;
        day_given := true;
        t := coalesce(m[4], '');
    ELSE
        ticks := 693595 * 864000000000;
    END IF;
    IF t = '' THEN
        RETURN;
    END IF;
    m := regexp_match(t, '^(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.:](\d{1,9}))?)? *([AaPp][Mm])? *(Z|[+-]\d{1,2}:\d{2})?$');
    IF m IS NULL OR m[1]::int > 23 OR m[2]::int > 59 OR m[3]::int > 59 THEN
        RAISE EXCEPTION USING ERRCODE = '22007';
    END IF;
    ticks := ticks + ((CASE WHEN m[5] IS NULL THEN m[1]::int
                            ELSE m[1]::int % 12 + CASE WHEN lower(m[5]) = 'pm' THEN 12 ELSE 0 END END * 60
        + m[2]::int) * 60 + coalesce(m[3]::int, 0)) * 10000000::int8 + rpad(left(coalesce(m[4], '0'), 7), 7, '0')::int8;
    IF m[6] IS NOT NULL THEN
        minutes := CASE WHEN m[6] = 'Z' THEN 0
            ELSE (left(m[6], 1) || '1')::int * (split_part(substr(m[6], 2), ':', 1)::int * 60 + split_part(m[6], ':', 2)::int) END;
    END IF;
EXCEPTION WHEN invalid_datetime_format OR datetime_field_overflow OR numeric_value_out_of_range THEN
    RAISE EXCEPTION USING ERRCODE = 'MS000',
        MESSAGE = '241|16|1|Conversion failed when converting date and/or time from character string.';
END $$;

CREATE CAST (sys.datetime AS sys.datetime2) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (sys.smalldatetime AS sys.datetime) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (sys.smalldatetime AS sys.datetime2) WITHOUT FUNCTION AS IMPLICIT;
-- Ticks as a number: for the functions below only.
CREATE CAST (sys.datetime2 AS int8) WITHOUT FUNCTION;
CREATE CAST (sys."time" AS int8) WITHOUT FUNCTION;
CREATE CAST (int8 AS sys.datetime2) WITHOUT FUNCTION;
CREATE CAST (int8 AS sys.datetime) WITHOUT FUNCTION;
CREATE CAST (int8 AS sys.smalldatetime) WITHOUT FUNCTION;
CREATE CAST (int8 AS sys."time") WITHOUT FUNCTION;

CREATE FUNCTION standin.ticks(sys.datetime2) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT $1::int8 $$;
CREATE FUNCTION standin.ticks(sys."time") RETURNS int8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT $1::int8 $$;

CREATE FUNCTION standin.datetime2(int8) RETURNS sys.datetime2 LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF $1 < 0 OR $1 >= 3155378976000000000 THEN
        PERFORM standin.raise(517, 'Adding a value to a ''datetime2'' column caused an overflow.');
    END IF;
    RETURN $1::sys.datetime2;
END $$;

-- datetime: 1/300 s, the nearest; from 1753 on.
CREATE FUNCTION standin.datetime(int8) RETURNS sys.datetime LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    d int8 := $1 / 864000000000;
    n int8 := ($1 % 864000000000 * 3 + 50000) / 100000;
BEGIN
    IF d < 639905 OR $1 >= 3155378976000000000 THEN
        PERFORM standin.raise(242, 'The conversion of a varchar data type to a datetime data type resulted in an out-of-range value.', 16, 3);
    END IF;
    RETURN (d * 864000000000 + (n * 100000 + 1) / 3)::sys.datetime;
END $$;

CREATE FUNCTION standin.smalldatetime(int8) RETURNS sys.smalldatetime LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF $1 / 864000000000 NOT BETWEEN 693595 AND 759130 THEN
        PERFORM standin.raise(242, 'The conversion of a varchar data type to a smalldatetime data type resulted in an out-of-range value.', 16, 3);
    END IF;
    RETURN (($1 + 300000000) / 600000000 * 600000000)::sys.smalldatetime;
END $$;

CREATE FUNCTION standin."time"(int8) RETURNS sys."time" LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ($1 % 864000000000)::sys."time" $$;
CREATE FUNCTION standin.date(int8) RETURNS date LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT date '0001-01-01' + ($1 / 864000000000)::int4 $$;
CREATE FUNCTION standin.datetimeoffset(utc int8, minutes int4) RETURNS sys.datetimeoffset LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (lpad(utc::text, 19, '0') || '.' || lpad((minutes + 1000)::text, 4, '0'))::sys.datetimeoffset $$;
CREATE FUNCTION standin.utc(sys.datetimeoffset) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT left($1::text, 19)::int8 $$;
CREATE FUNCTION standin.minutes(sys.datetimeoffset) RETURNS int4 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT substr($1::text, 21)::int4 - 1000 $$;
-- What the clock of the offset shows, in ticks.
CREATE FUNCTION standin.local(sys.datetimeoffset) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT standin.utc($1) + standin.minutes($1) * 600000000::int8 $$;
CREATE FUNCTION standin.timestamp_ticks(timestamp) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (extract(epoch FROM $1) * 10000000)::int8 + 621355968000000000 $$;
CREATE FUNCTION standin.ticks_timestamp(int8) RETURNS timestamp LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT date '0001-01-01' + ($1 / 864000000000)::int4 + ($1 % 864000000000 / 10) * interval '1 microsecond' $$;

-- One cast: function standin.cast_<target>(source) and the cast over it.
CREATE FUNCTION standin.make_cast(source text, target text, body text, context text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    f text := 'cast_' || replace(split_part(target, '.', 2), '"', '');
BEGIN
    EXECUTE format('CREATE FUNCTION standin.%I(%s) RETURNS %s LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT %s $x$', f, source, target, body);
    EXECUTE format('CREATE CAST (%s AS %s) WITH FUNCTION standin.%I(%s) %s', source, target, f, source, context);
END $$;

DO $$
DECLARE
    c text;
    t text;
    kinds text[] := ARRAY['sys.datetime2', 'sys.datetime', 'sys.smalldatetime', 'sys."time"', 'pg_catalog.date'];
BEGIN
    FOREACH c IN ARRAY ARRAY['sys."char"', 'sys."nchar"', 'sys."varchar"', 'sys.nvarchar', 'sys.varcharmax', 'sys.nvarcharmax'] LOOP
        FOREACH t IN ARRAY kinds LOOP
            PERFORM standin.make_cast(c, t, format('standin.%s((standin.parse_time($1::text)).ticks)', split_part(t, '.', 2)), 'AS IMPLICIT');
        END LOOP;
        PERFORM standin.make_cast(c, 'sys.datetimeoffset',
            'standin.datetimeoffset((p).ticks - coalesce((p).minutes, 0) * 600000000::int8, coalesce((p).minutes, 0)) FROM standin.parse_time($1::text) p', 'AS IMPLICIT');
        PERFORM standin.make_cast(c, 'sys.uniqueidentifier', 'standin.guid($1::text)', 'AS IMPLICIT');
        PERFORM standin.make_cast('sys.uniqueidentifier', c, format('standin.guid_text($1)::%s', c), 'AS ASSIGNMENT');
    END LOOP;
    FOREACH t IN ARRAY kinds[2:5] LOOP
        PERFORM standin.make_cast('sys.datetime2', t, format('standin.%s(standin.ticks($1))', split_part(t, '.', 2)), 'AS ASSIGNMENT');
    END LOOP;
    FOREACH c IN ARRAY ARRAY['sys.datetime', 'sys.smalldatetime'] LOOP
        FOREACH t IN ARRAY kinds[4:5] LOOP
            PERFORM standin.make_cast(c, t, format('standin.%s(standin.ticks($1))', split_part(t, '.', 2)), 'AS ASSIGNMENT');
        END LOOP;
    END LOOP;
    PERFORM standin.make_cast('sys.datetime', 'sys.smalldatetime', 'standin.smalldatetime(standin.ticks($1))', 'AS ASSIGNMENT');
    PERFORM standin.make_cast('sys."time"', 'sys.datetime2', 'standin.datetime2(693595 * 864000000000 + standin.ticks($1))', 'AS ASSIGNMENT');
    PERFORM standin.make_cast('sys."time"', 'sys.datetime', 'standin.datetime(693595 * 864000000000 + standin.ticks($1))', 'AS ASSIGNMENT');
    FOREACH t IN ARRAY kinds[1:3] LOOP
        c := split_part(t, '.', 2);
        PERFORM standin.make_cast('date', t, format('standin.%s(($1 - date ''0001-01-01'') * 864000000000)', c),
            CASE c WHEN 'datetime2' THEN 'AS IMPLICIT' ELSE 'AS ASSIGNMENT' END);
        PERFORM standin.make_cast('timestamp', t, format('standin.%s(standin.timestamp_ticks($1))', c), 'AS ASSIGNMENT');
        PERFORM standin.make_cast('timestamptz', t, format('standin.%s(standin.timestamp_ticks($1 AT TIME ZONE ''UTC''))', c), 'AS ASSIGNMENT');
        PERFORM standin.make_cast(t, 'pg_catalog.timestamp', 'standin.ticks_timestamp(standin.ticks($1))', 'AS ASSIGNMENT');
        PERFORM standin.make_cast(t, 'sys.datetimeoffset', 'standin.datetimeoffset(standin.ticks($1), 0)', 'AS IMPLICIT');
        PERFORM standin.make_cast('sys.datetimeoffset', t, format('standin.%s(standin.local($1))', c), 'AS ASSIGNMENT');
    END LOOP;
    PERFORM standin.make_cast('sys.datetimeoffset', 'pg_catalog.date', 'standin.date(standin.local($1))', 'AS ASSIGNMENT');
    -- datetime2(n), time(n), datetimeoffset(n) round to their fraction; n is typmod - 5.
    FOREACH t IN ARRAY ARRAY['sys.datetime2', 'sys."time"'] LOOP
        EXECUTE format('CREATE FUNCTION standin.set_scale(v %s, typmod int4, explicit bool) RETURNS %s LANGUAGE sql IMMUTABLE STRICT AS $x$
            SELECT CASE WHEN typmod < 5 OR typmod >= 12 THEN v ELSE ((standin.ticks(v) + u / 2) / u * u)::%s END
              FROM (SELECT (10 ^ greatest(12 - typmod, 0))::int8) AS x(u) $x$', t, t, t);
        EXECUTE format('CREATE CAST (%s AS %s) WITH FUNCTION standin.set_scale(%s, int4, bool) AS IMPLICIT', t, t, t);
    END LOOP;
END $$;
CREATE FUNCTION standin.set_scale(v sys.datetimeoffset, typmod int4, explicit bool) RETURNS sys.datetimeoffset LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE WHEN typmod < 5 OR typmod >= 12 THEN v ELSE standin.datetimeoffset((standin.utc(v) + u / 2) / u * u, standin.minutes(v)) END
      FROM (SELECT (10 ^ greatest(12 - typmod, 0))::int8) AS x(u) $$;
CREATE CAST (sys.datetimeoffset AS sys.datetimeoffset) WITH FUNCTION standin.set_scale(sys.datetimeoffset, int4, bool) AS IMPLICIT;
