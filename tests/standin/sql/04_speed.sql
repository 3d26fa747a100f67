-- SPDX-License-Identifier: PostgreSQL
-- A strict SQL function whose body has CASE or FROM is not inlined, and called from another SQL function it is planned at
-- every call: 0.1 ms and more a value. The same body in PL/pgSQL keeps its plan.
DO $$
DECLARE
    f record;
    body text;
BEGIN
    FOR f IN SELECT p.oid, p.oid::regproc::text AS name, pg_get_function_arguments(p.oid) AS args, pg_get_function_result(p.oid) AS result, btrim(p.prosrc, E' \n') AS src,
                    CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END AS volatility
               FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
              WHERE p.pronamespace IN ('sys'::regnamespace, 'standin'::regnamespace) AND l.lanname = 'sql' AND p.proisstrict AND NOT p.proretset AND p.prokind = 'f'
                AND (p.prosrc ~ '\m(CASE|FROM|coalesce)\M' OR p.proname ~ '^(cast|parse|char|widen|to)_' OR p.proname IN ('op_eq', 'op_cmp', 'guid', 'guid_text', 'set_scale')) LOOP
        body := substr(f.src, 8);
        body := CASE WHEN f.src ~ '\mFROM\M' THEN format('(%s)', f.src) ELSE body END;
        EXECUTE format(E'CREATE OR REPLACE FUNCTION %s(%s) RETURNS %s LANGUAGE plpgsql %s STRICT PARALLEL SAFE AS $f$\n#variable_conflict use_column\nBEGIN\n    RETURN %s;\nEND $f$',
            f.name, f.args, f.result, f.volatility, body);
    END LOOP;
END $$;
