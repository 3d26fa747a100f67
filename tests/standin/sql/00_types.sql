-- SPDX-License-Identifier: PostgreSQL
-- SQL Server's types as PostgreSQL base types of schema sys, made of PostgreSQL's own input and output functions.
-- PostgreSQL's parser then infers SQL Server's types, and RowDescription names them with their length.
-- Implicit casts follow SQL Server's type precedence: char < varchar < nvarchar < (max); all character types meet in
-- nvarcharmax, binaries in varbinarymax, datetimes in datetime2. Operators and the operator class are defined there.
CREATE SCHEMA sys;
CREATE SCHEMA dbo;
CREATE SCHEMA standin;
CREATE SCHEMA msdb_dbo;

-- Latin1_General_CI_AS and its binary and case-sensitive siblings.
CREATE COLLATION sys."Latin1_General_CI_AS" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION sys."SQL_Latin1_General_CP1_CI_AS" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION sys."Latin1_General_100_CI_AS_SC_UTF8" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION sys."Latin1_General_100_CI_AS" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION sys."Latin1_General_CI_AI" (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
CREATE COLLATION sys."Latin1_General_CS_AS" (provider = icu, locale = 'und', deterministic = false);
CREATE COLLATION sys."Latin1_General_100_CS_AS" (provider = icu, locale = 'und', deterministic = false);
CREATE COLLATION sys."Latin1_General_BIN" FROM pg_catalog."C";
CREATE COLLATION sys."Latin1_General_BIN2" FROM pg_catalog."C";
CREATE COLLATION sys."Latin1_General_100_BIN2" FROM pg_catalog."C";
CREATE COLLATION sys."Latin1_General_100_BIN2_UTF8" FROM pg_catalog."C";

CREATE FUNCTION standin.make_type(name text, model text, input text, output text, receive text, send text,
                                  typmod_in text DEFAULT NULL, typmod_out text DEFAULT NULL, category text DEFAULT 'U',
                                  preferred bool DEFAULT false, collatable bool DEFAULT false, input_typmod bool DEFAULT false)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE args text := CASE WHEN input_typmod THEN 'cstring, oid, int4' ELSE 'cstring' END;
        rargs text := CASE WHEN input_typmod THEN 'internal, oid, int4' ELSE 'internal' END;
BEGIN
    EXECUTE format('CREATE TYPE sys.%I', name);
    EXECUTE format('CREATE FUNCTION sys.%I(%s) RETURNS sys.%I LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS %L', name || '_in', args, name, input);
    EXECUTE format('CREATE FUNCTION sys.%I(sys.%I) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS %L', name || '_out', name, output);
    EXECUTE format('CREATE FUNCTION sys.%I(%s) RETURNS sys.%I LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS %L', name || '_recv', rargs, name, receive);
    EXECUTE format('CREATE FUNCTION sys.%I(sys.%I) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS %L', name || '_send', name, send);
    EXECUTE format('CREATE TYPE sys.%I (INPUT = sys.%I, OUTPUT = sys.%I, RECEIVE = sys.%I, SEND = sys.%I, LIKE = %s, CATEGORY = %L, PREFERRED = %s, COLLATABLE = %s%s)',
        name, name || '_in', name || '_out', name || '_recv', name || '_send', model, category, preferred::text, collatable::text,
        CASE WHEN typmod_in IS NULL THEN '' ELSE format(', TYPMOD_IN = %s, TYPMOD_OUT = %s', typmod_in, typmod_out) END);
END $$;

-- Character types -----------------------------------------------------------------------------------------------------
SELECT standin.make_type(n, 'pg_catalog.varchar', 'varcharin', 'varcharout', 'varcharrecv', 'varcharsend', 'varchartypmodin', 'varchartypmodout',
                         'm', n = 'nvarcharmax', true, true)
  FROM unnest(ARRAY['varchar', 'nvarchar', 'varcharmax', 'nvarcharmax', 'text', 'ntext', 'xml', 'sql_variant']) n;
SELECT standin.make_type(n, 'pg_catalog.bpchar', 'bpcharin', 'bpcharout', 'bpcharrecv', 'bpcharsend', 'bpchartypmodin', 'bpchartypmodout', 'm', false, true, true)
  FROM unnest(ARRAY['char', 'nchar']) n;

-- Binary types --------------------------------------------------------------------------------------------------------
SELECT standin.make_type(n, 'pg_catalog.bytea', 'byteain', 'byteaout', 'bytearecv', 'byteasend', 'varchartypmodin', 'varchartypmodout', 'w', n = 'varbinarymax')
  FROM unnest(ARRAY['binary', 'varbinary', 'varbinarymax', 'image', 'timestamp', 'hierarchyid', 'geometry', 'geography']) n;

-- CONVERT(varbinary, nvarchar) in a result: text that is sent as its UTF-16, which PostgreSQL would be slow to make -----
SELECT standin.make_type(n, 'pg_catalog.text', 'textin', 'textout', 'textrecv', 'textsend') FROM unnest(ARRAY['units', 'unitsmax']) n;

-- Numbers -------------------------------------------------------------------------------------------------------------
SELECT standin.make_type(n, 'pg_catalog.int2', 'int2in', 'int2out', 'int2recv', 'int2send', NULL, NULL, 'N') FROM unnest(ARRAY['bit', 'tinyint']) n;
SELECT standin.make_type(n, 'pg_catalog.numeric', 'numeric_in', 'numeric_out', 'numeric_recv', 'numeric_send', NULL, NULL, 'N', false, false, true)
  FROM unnest(ARRAY['money', 'smallmoney']) n;

-- Time: datetime2(n) is declared with n + 1, since varchar's typmod can't be 0 -----------------------------------------
SELECT standin.make_type(n, 'pg_catalog.int8', 'int8in', 'int8out', 'int8recv', 'int8send', 'varchartypmodin', 'varchartypmodout', 'k', n = 'datetime2')
  FROM unnest(ARRAY['datetime', 'smalldatetime', 'datetime2', 'time']) n;
-- datetimeoffset: 19 digits of 100 ns (UTC), a point, offset in minutes + 1000.
SELECT standin.make_type('datetimeoffset', 'pg_catalog.text', 'textin', 'textout', 'textrecv', 'textsend', 'varchartypmodin', 'varchartypmodout', 'k');

-- uniqueidentifier: its bytes stored in the order SQL Server compares them, so that uuid_cmp is SQL Server's order ------
SELECT standin.make_type('uniqueidentifier', 'pg_catalog.uuid', 'uuid_in', 'uuid_out', 'uuid_recv', 'uuid_send');

CREATE DOMAIN sys.sysname AS sys.nvarchar(128) COLLATE sys."Latin1_General_CI_AS";

-- Casts ---------------------------------------------------------------------------------------------------------------
CREATE FUNCTION standin.binary_cast(source text, target text, context text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE CAST (%s AS %s) WITHOUT FUNCTION %s', source, target, context);
END $$;

SELECT standin.binary_cast('pg_catalog.text', t, '') FROM unnest(ARRAY['sys.units', 'sys.unitsmax']) t;

DO $$
DECLARE chars text[] := ARRAY['char', 'nchar', 'varchar', 'nvarchar', 'varcharmax', 'nvarcharmax']; a text; b text;
        up text[] := ARRAY['char>nchar', 'char>varchar', 'char>nvarchar', 'char>varcharmax', 'char>nvarcharmax', 'nchar>nvarchar', 'nchar>nvarcharmax',
            'varchar>nvarchar', 'varchar>varcharmax', 'varchar>nvarcharmax', 'nvarchar>nvarcharmax', 'varcharmax>nvarcharmax'];
BEGIN
    FOREACH a IN ARRAY chars LOOP
        FOREACH b IN ARRAY chars LOOP
            CONTINUE WHEN a = b;
            PERFORM standin.binary_cast('sys.' || quote_ident(a), 'sys.' || quote_ident(b),
                CASE WHEN a || '>' || b = ANY(up) THEN 'AS IMPLICIT' ELSE 'AS ASSIGNMENT' END);
        END LOOP;
        PERFORM standin.binary_cast('sys.' || quote_ident(a), 'pg_catalog.text', 'AS IMPLICIT');
        PERFORM standin.binary_cast('pg_catalog.text', 'sys.' || quote_ident(a), CASE a WHEN 'nvarcharmax' THEN 'AS IMPLICIT' ELSE 'AS ASSIGNMENT' END);
        EXECUTE format('CREATE CAST (pg_catalog.name AS sys.%I) WITH INOUT AS %s', a, CASE a WHEN 'nvarcharmax' THEN 'IMPLICIT' ELSE 'ASSIGNMENT' END);
        PERFORM standin.binary_cast('sys.' || quote_ident(a), k, 'AS ASSIGNMENT') FROM unnest(ARRAY['sys.text', 'sys.ntext', 'sys.xml']) k;
        PERFORM standin.binary_cast(k, 'sys.' || quote_ident(a), CASE a WHEN 'nvarcharmax' THEN 'AS IMPLICIT' ELSE 'AS ASSIGNMENT' END) FROM unnest(ARRAY['sys.text', 'sys.ntext', 'sys.xml']) k;
    END LOOP;
    PERFORM standin.binary_cast(x, 'pg_catalog.text', '') FROM unnest(ARRAY['sys.xml', 'sys.sql_variant', 'sys.datetimeoffset']) x;
    PERFORM standin.binary_cast('pg_catalog.text', x, '') FROM unnest(ARRAY['sys.xml', 'sys.sql_variant', 'sys.datetimeoffset']) x;
    PERFORM standin.binary_cast('pg_catalog.text', x, 'AS ASSIGNMENT') FROM unnest(ARRAY['sys.text', 'sys.ntext']) x;
    -- Lengths.
    FOREACH a IN ARRAY ARRAY['varchar', 'nvarchar', 'char', 'nchar'] LOOP
        EXECUTE format('CREATE FUNCTION sys.%I(sys.%I, int4, bool) RETURNS sys.%I LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS %L',
            a || '_length', a, a, CASE WHEN a IN ('char', 'nchar') THEN 'bpchar' ELSE 'varchar' END);
        EXECUTE format('CREATE CAST (sys.%I AS sys.%I) WITH FUNCTION sys.%I(sys.%I, int4, bool) AS IMPLICIT', a, a, a || '_length', a);
    END LOOP;
    -- Binaries: everything is a varbinary(max), and comes from one.
    FOREACH a IN ARRAY ARRAY['binary', 'varbinary', 'image', 'timestamp', 'hierarchyid', 'geometry', 'geography', 'varbinarymax'] LOOP
        FOREACH b IN ARRAY ARRAY['binary', 'varbinary', 'image', 'timestamp', 'hierarchyid', 'geometry', 'geography', 'varbinarymax'] LOOP
            CONTINUE WHEN a = b;
            PERFORM standin.binary_cast('sys.' || quote_ident(a), 'sys.' || quote_ident(b),
                CASE WHEN b = 'varbinarymax' OR a || '>' || b IN ('binary>varbinary', 'timestamp>binary', 'timestamp>varbinary') THEN 'AS IMPLICIT' ELSE 'AS ASSIGNMENT' END);
        END LOOP;
        PERFORM standin.binary_cast('sys.' || quote_ident(a), 'pg_catalog.bytea', 'AS IMPLICIT');
        PERFORM standin.binary_cast('pg_catalog.bytea', 'sys.' || quote_ident(a), CASE a WHEN 'varbinarymax' THEN 'AS IMPLICIT' ELSE 'AS ASSIGNMENT' END);
    END LOOP;
END $$;

CREATE FUNCTION sys.varbinary_length(v sys.varbinary, typmod int4, explicit bool) RETURNS sys.varbinary LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF typmod < 5 OR octet_length(v::bytea) <= typmod - 4 THEN RETURN v; END IF;
    IF NOT explicit THEN RAISE EXCEPTION USING ERRCODE = '22001', MESSAGE = 'value too long for type varbinary'; END IF;
    RETURN substring(v::bytea FROM 1 FOR typmod - 4)::sys.varbinary;
END $$;
CREATE FUNCTION sys.binary_length(v sys."binary", typmod int4, explicit bool) RETURNS sys."binary" LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE n int := octet_length(v::bytea);
BEGIN
    IF typmod < 5 OR n = typmod - 4 THEN RETURN v; END IF;
    IF n < typmod - 4 THEN RETURN (v::bytea || decode(repeat('00', typmod - 4 - n), 'hex'))::sys."binary"; END IF;
    IF NOT explicit THEN RAISE EXCEPTION USING ERRCODE = '22001', MESSAGE = 'value too long for type binary'; END IF;
    RETURN substring(v::bytea FROM 1 FOR typmod - 4)::sys."binary";
END $$;
CREATE CAST (sys.varbinary AS sys.varbinary) WITH FUNCTION sys.varbinary_length(sys.varbinary, int4, bool) AS IMPLICIT;
CREATE CAST (sys."binary" AS sys."binary") WITH FUNCTION sys.binary_length(sys."binary", int4, bool) AS IMPLICIT;

-- Numbers.
CREATE CAST (sys."bit" AS int2) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (sys.tinyint AS int2) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (sys.money AS numeric) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (sys.smallmoney AS numeric) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (sys.smallmoney AS sys.money) WITHOUT FUNCTION AS IMPLICIT;
CREATE FUNCTION standin.raise(number int, message text, severity int DEFAULT 16, state int DEFAULT 1) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = 'MS000', MESSAGE = format('%s|%s|%s|%s', number, severity, state, message); END $$;

CREATE FUNCTION standin.tinyint_of(v int8) RETURNS sys.tinyint LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF v < 0 OR v > 255 THEN PERFORM standin.raise(220, format('Arithmetic overflow error for data type tinyint, value = %s.', v), 16, 2); END IF;
    RETURN v::text::sys.tinyint;
END $$;
CREATE FUNCTION standin.money_of(v numeric) RETURNS sys.money LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF round(v, 4) NOT BETWEEN -922337203685477.5808 AND 922337203685477.5807 THEN
        PERFORM standin.raise(8115, 'Arithmetic overflow error converting expression to data type money.', 16, 2); END IF;
    RETURN round(v, 4)::text::sys.money;
END $$;
CREATE FUNCTION standin.smallmoney_of(v numeric) RETURNS sys.smallmoney LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF round(v, 4) NOT BETWEEN -214748.3648 AND 214748.3647 THEN
        PERFORM standin.raise(8115, 'Arithmetic overflow error converting expression to data type smallmoney.', 16, 2); END IF;
    RETURN round(v, 4)::text::sys.smallmoney;
END $$;
DO $$
DECLARE t text; s text;
BEGIN
    FOREACH t IN ARRAY ARRAY['int2', 'int4', 'int8', 'numeric', 'float4', 'float8'] LOOP
        EXECUTE format('CREATE FUNCTION standin.to_tinyint(%s) RETURNS sys.tinyint LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT standin.tinyint_of(trunc($1::numeric)::int8) $x$', t);
        EXECUTE format('CREATE FUNCTION standin.to_bit(%s) RETURNS sys."bit" LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT (CASE WHEN $1 = 0 THEN ''0'' ELSE ''1'' END)::text::sys."bit" $x$', t);
        EXECUTE format('CREATE FUNCTION standin.to_money(%s) RETURNS sys.money LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT standin.money_of($1::numeric) $x$', t);
        EXECUTE format('CREATE FUNCTION standin.to_smallmoney(%s) RETURNS sys.smallmoney LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT standin.smallmoney_of($1::numeric) $x$', t);
        FOREACH s IN ARRAY ARRAY['tinyint', 'bit', 'money', 'smallmoney'] LOOP
            -- Implicit for int and for numeric to money, so that ISNULL(m, 0) has a common type.
            EXECUTE format('CREATE CAST (%s AS sys.%I) WITH FUNCTION standin.%I(%s) AS %s', t, s, 'to_' || s, t,
                CASE WHEN t = 'int4' OR (t = 'numeric' AND s = 'money') THEN 'IMPLICIT' ELSE 'ASSIGNMENT' END);
        END LOOP;
    END LOOP;
    -- A byte or a bit is widened by assignment or CAST.
    FOREACH s IN ARRAY ARRAY['tinyint', 'bit'] LOOP
        FOREACH t IN ARRAY ARRAY['int4', 'int8', 'numeric', 'float4', 'float8'] LOOP
            EXECUTE format('CREATE FUNCTION standin.%I(sys.%I) RETURNS %s LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT ($1::text)::%s $x$', 'widen_' || t, s, t, t);
            EXECUTE format('CREATE CAST (sys.%I AS %s) WITH FUNCTION standin.%I(sys.%I) AS ASSIGNMENT', s, t, 'widen_' || t, s);
        END LOOP;
    END LOOP;
    FOREACH s IN ARRAY ARRAY['money', 'smallmoney'] LOOP
        FOREACH t IN ARRAY ARRAY['int2', 'int4', 'int8', 'float4', 'float8'] LOOP
            EXECUTE format('CREATE FUNCTION standin.%I(sys.%I) RETURNS %s LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT ($1::numeric)::%s $x$', 'widen_' || t, s, t, t);
            EXECUTE format('CREATE CAST (sys.%I AS %s) WITH FUNCTION standin.%I(sys.%I) AS ASSIGNMENT', s, t, 'widen_' || t, s);
        END LOOP;
    END LOOP;
    CREATE CAST (sys.money AS sys.smallmoney) WITHOUT FUNCTION AS ASSIGNMENT;
    CREATE CAST (sys.tinyint AS sys."bit") WITHOUT FUNCTION;
    CREATE CAST (sys."bit" AS sys.tinyint) WITHOUT FUNCTION AS ASSIGNMENT;
    CREATE FUNCTION standin.bool_bit(bool) RETURNS sys."bit" LANGUAGE sql IMMUTABLE STRICT AS $x$ SELECT standin.to_bit($1::int4) $x$;
    CREATE CAST (bool AS sys."bit") WITH FUNCTION standin.bool_bit(bool) AS ASSIGNMENT;
END $$;

-- uniqueidentifier.
CREATE FUNCTION standin.guid_permute(h text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT substr(h, 21, 12) || substr(h, 17, 4) || substr(h, 15, 2) || substr(h, 13, 2) || substr(h, 11, 2) || substr(h, 9, 2)
           || substr(h, 7, 2) || substr(h, 5, 2) || substr(h, 3, 2) || substr(h, 1, 2) $$;
CREATE FUNCTION standin.guid_unpermute(h text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT substr(h, 31, 2) || substr(h, 29, 2) || substr(h, 27, 2) || substr(h, 25, 2) || substr(h, 23, 2) || substr(h, 21, 2)
           || substr(h, 19, 2) || substr(h, 17, 2) || substr(h, 13, 4) || substr(h, 1, 12) $$;
CREATE FUNCTION standin.guid(h text) RETURNS sys.uniqueidentifier LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT standin.guid_permute(replace(btrim(h, '{}') COLLATE "C", '-', ''))::uuid::text::sys.uniqueidentifier $$;
CREATE FUNCTION standin.guid_text(g sys.uniqueidentifier) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT upper(standin.guid_unpermute(replace(g::text, '-', ''))::uuid::text) $$;
CREATE FUNCTION standin.guid_from_uuid(u uuid) RETURNS sys.uniqueidentifier LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT standin.guid(u::text) $$;
CREATE CAST (uuid AS sys.uniqueidentifier) WITH FUNCTION standin.guid_from_uuid(uuid) AS IMPLICIT;
