-- SPDX-License-Identifier: PostgreSQL
-- Comparison, one family a kind, on the type where the kind meets; concatenation; MIN and MAX; the registry.

CREATE FUNCTION standin.make_operators(l text, r text, prefix text, cmp text DEFAULT NULL, hash text DEFAULT NULL, lang text DEFAULT 'internal')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    op text[];
    body text;
    selectivity text;
BEGIN
    FOREACH op SLICE 1 IN ARRAY ARRAY[['=', 'eq', '=', '<>'], ['<>', 'ne', '<>', '='], ['<', 'lt', '>', '>='],
                                      ['<=', 'le', '>=', '>'], ['>', 'gt', '<', '<='], ['>=', 'ge', '<=', '<']] LOOP
        body := CASE lang WHEN 'internal' THEN prefix || op[2] ELSE 'SELECT ' || replace(prefix, '?', op[1]) END;
        EXECUTE format('CREATE FUNCTION sys.%I(%s, %s) RETURNS bool LANGUAGE %s IMMUTABLE STRICT PARALLEL SAFE AS %L', 'op_' || op[2], l, r, lang, body);
        selectivity := CASE op[2] WHEN 'eq' THEN 'eq' WHEN 'ne' THEN 'neq' ELSE 'scalar' || op[2] END;
        EXECUTE format('CREATE OPERATOR sys.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = sys.%I, RESTRICT = %s, JOIN = %s%s%s)', op[1], l, r, 'op_' || op[2],
            selectivity || 'sel', selectivity || 'joinsel',
            CASE WHEN l = r THEN format(', COMMUTATOR = OPERATOR(sys.%s), NEGATOR = OPERATOR(sys.%s)', op[3], op[4]) ELSE '' END,
            CASE WHEN op[2] = 'eq' AND hash IS NOT NULL THEN ', HASHES, MERGES' ELSE '' END);
    END LOOP;
    IF cmp IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE FUNCTION sys.op_cmp(%s, %s) RETURNS int4 LANGUAGE %s IMMUTABLE STRICT PARALLEL SAFE AS %L', l, l, lang, cmp);
    EXECUTE format('CREATE FUNCTION sys.op_hash(%s) RETURNS int4 LANGUAGE %s IMMUTABLE STRICT PARALLEL SAFE AS %L', l, lang, hash);
    EXECUTE format('CREATE OPERATOR CLASS sys.%I DEFAULT FOR TYPE %s USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, '
        'OPERATOR 5 >, FUNCTION 1 sys.op_cmp(%s, %s)', replace(split_part(l, '.', 2), '"', '') || '_ops', l, l, l);
    EXECUTE format('CREATE OPERATOR CLASS sys.%I DEFAULT FOR TYPE %s USING hash AS OPERATOR 1 =, FUNCTION 1 sys.op_hash(%s)',
        replace(split_part(l, '.', 2), '"', '') || '_hash', l, l);
END $$;

SET search_path = pg_catalog, sys;
-- Text compares as bpchar does: trailing blanks don't count, the collation decides the rest.
SELECT standin.make_operators('sys.nvarcharmax', 'sys.nvarcharmax', 'bpchar', 'bpcharcmp', 'hashbpchar');
SELECT standin.make_operators('pg_catalog.text', 'sys.nvarcharmax', 'bpchar');
SELECT standin.make_operators('sys.nvarcharmax', 'pg_catalog.text', 'bpchar');
SELECT standin.make_operators('sys.varbinarymax', 'sys.varbinarymax', 'bytea', 'byteacmp', 'hashvarlena');
SELECT standin.make_operators('sys.datetime2', 'sys.datetime2', 'int8', 'btint8cmp', 'hashint8');
SELECT standin.make_operators('sys."time"', 'sys."time"', 'int8', 'btint8cmp', 'hashint8');
SELECT standin.make_operators('sys.uniqueidentifier', 'sys.uniqueidentifier', 'uuid_', 'uuid_cmp', 'uuid_hash');
SELECT standin.make_operators('sys.datetimeoffset', 'sys.datetimeoffset', 'standin.utc($1) ? standin.utc($2)',
    'SELECT btint8cmp(standin.utc($1), standin.utc($2))', 'SELECT hashint8(standin.utc($1))', 'sql');

-- Concatenation.
DO $$
DECLARE
    t text[];
BEGIN
    FOREACH t SLICE 1 IN ARRAY ARRAY[['varchar', 'varchar', 'textcat'], ['nvarchar', 'nvarchar', 'textcat'], ['varcharmax', 'varcharmax', 'textcat'],
        ['nvarcharmax', 'nvarcharmax', 'textcat'], ['char', 'varchar', 'textcat'], ['nchar', 'nvarchar', 'textcat'],
        ['varbinary', 'varbinary', 'byteacat'], ['varbinarymax', 'varbinarymax', 'byteacat'], ['binary', 'varbinary', 'byteacat']] LOOP
        EXECUTE format('CREATE FUNCTION sys.op_concat(sys.%I, sys.%I) RETURNS sys.%I LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS %L', t[1], t[1], t[2], t[3]);
        EXECUTE format('CREATE OPERATOR sys.+ (LEFTARG = sys.%I, RIGHTARG = sys.%I, FUNCTION = sys.op_concat)', t[1], t[1]);
    END LOOP;
END $$;
CREATE FUNCTION sys.op_add_days(sys.datetime, numeric) RETURNS sys.datetime LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT standin.datetime(standin.ticks($1) + ($2 * 864000000000)::int8) $$;
CREATE OPERATOR sys.+ (LEFTARG = sys.datetime, RIGHTARG = numeric, FUNCTION = sys.op_add_days);
CREATE FUNCTION sys.op_sub_days(sys.datetime, numeric) RETURNS sys.datetime LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT standin.datetime(standin.ticks($1) - ($2 * 864000000000)::int8) $$;
CREATE OPERATOR sys.- (LEFTARG = sys.datetime, RIGHTARG = numeric, FUNCTION = sys.op_sub_days);

-- MIN and MAX keep the type.
DO $$
DECLARE
    t text;
    top bool;
BEGIN
    FOREACH t IN ARRAY ARRAY['nvarcharmax', 'varbinarymax', 'datetime2', 'time', 'uniqueidentifier', 'datetimeoffset', 'nvarchar', 'varchar', 'char', 'nchar',
                             'datetime', 'smalldatetime', 'varbinary', 'binary', 'timestamp', 'bit', 'tinyint', 'money', 'smallmoney'] LOOP
        top := t IN ('nvarcharmax', 'varbinarymax', 'datetime2', 'time', 'uniqueidentifier', 'datetimeoffset');
        EXECUTE format('CREATE FUNCTION standin.larger(sys.%I, sys.%I) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT CASE WHEN $1 >= $2 THEN $1 ELSE $2 END $x$', t, t, t);
        EXECUTE format('CREATE FUNCTION standin.smaller(sys.%I, sys.%I) RETURNS sys.%I LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $x$ SELECT CASE WHEN $1 <= $2 THEN $1 ELSE $2 END $x$', t, t, t);
        EXECUTE format('CREATE AGGREGATE sys.max(sys.%I) (SFUNC = standin.larger, STYPE = sys.%I%s)', t, t, CASE WHEN top THEN ', SORTOP = >' ELSE '' END);
        EXECUTE format('CREATE AGGREGATE sys.min(sys.%I) (SFUNC = standin.smaller, STYPE = sys.%I%s)', t, t, CASE WHEN top THEN ', SORTOP = <' ELSE '' END);
    END LOOP;
END $$;
RESET search_path;

-- The registry: what was declared and PostgreSQL does not keep.
CREATE TABLE standin."column" (
    relid oid NOT NULL,
    attnum int2 NOT NULL,
    ms_type text NOT NULL,
    max_length int4 NOT NULL,
    prec int4 NOT NULL,
    scale int4 NOT NULL,
    nullable bool NOT NULL,
    "collation" text,
    identity_seed numeric,
    identity_increment numeric,
    computed text,
    sparse bool NOT NULL DEFAULT false,
    rowguid bool NOT NULL DEFAULT false,
    default_text text,
    PRIMARY KEY (relid, attnum)
);
CREATE TABLE standin.object (relid oid PRIMARY KEY, kind text NOT NULL, created timestamptz NOT NULL DEFAULT now());
CREATE TABLE standin."index" (indexid oid PRIMARY KEY, clustered bool NOT NULL);

-- rowversion: one counter a database. Before a transaction draws its first number it locks the next one, so that
-- MIN_ACTIVE_ROWVERSION() sees the lowest number that may still be uncommitted.
CREATE SEQUENCE standin.rowversion START 2001;
CREATE FUNCTION standin.next_rowversion() RETURNS sys."timestamp" LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('standin.rowversion_xid', true), '') <> pg_current_xact_id()::text THEN
        PERFORM pg_advisory_xact_lock(1398, (SELECT (last_value + is_called::int)::int4 FROM standin.rowversion));
        PERFORM set_config('standin.rowversion_xid', pg_current_xact_id()::text, true);
    END IF;
    RETURN int8send(nextval('standin.rowversion'))::sys."timestamp";
END $$;
CREATE FUNCTION standin.min_active_rowversion() RETURNS sys."binary" LANGUAGE sql VOLATILE AS $$
    SELECT int8send(coalesce((SELECT min(objid::int8) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1398 AND objsubid = 2
                                 AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
                             (SELECT last_value + is_called::int FROM standin.rowversion)))::sys."binary" $$;
CREATE FUNCTION standin.dbts() RETURNS sys.varbinary LANGUAGE sql VOLATILE AS $$
    SELECT int8send(last_value - (NOT is_called)::int)::sys.varbinary FROM standin.rowversion $$;
-- Trigger of every table with a rowversion; its argument is the column.
CREATE FUNCTION standin.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_populate_record(NEW, jsonb_build_object(TG_ARGV[0], standin.next_rowversion()::bytea::text));
END $$;
