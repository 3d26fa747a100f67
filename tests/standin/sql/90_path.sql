-- SPDX-License-Identifier: PostgreSQL
-- Sessions run with search_path dbo, sys, pg_catalog, where `text` and other names mean SQL Server's. The functions of
-- the system side are written with PostgreSQL's.
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
            WHERE p.pronamespace IN ('sys'::regnamespace, 'standin'::regnamespace) AND l.lanname IN ('sql', 'plpgsql')
              AND p.oid::int8 >= standin.setting('first_function', '0')::int8 LOOP
        EXECUTE format('ALTER ROUTINE %s SET search_path = pg_catalog', f);
    END LOOP;
END $$;
