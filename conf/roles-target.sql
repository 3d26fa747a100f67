-- Crossfade, target side: the role that writes. Run by a superuser with psql in the target database, and again
-- after tables or schemas were added:
--
--   psql -d DATABASE -v role=crossfade_target -f roles-target.sql
--
-- and then \password crossfade_target, or whatever pg_hba.conf asks for. PostgreSQL 12 and newer; running it twice
-- does no harm.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?role}
\else
  \set role crossfade_target
\endif
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :'role') AS make_role,
       pg_catalog.current_database() AS database,
       pg_catalog.current_setting('server_version_num')::int >= 150000 AS has_parameter_grants \gset
BEGIN;
\if :make_role
  CREATE ROLE :"role" LOGIN;
\endif

-- To write the tables: those there are ...
GRANT CONNECT ON DATABASE :"database" TO :"role";
SELECT pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I; '
                         'GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA %I TO %I',
                         nspname, :'role', nspname, :'role')
  FROM pg_catalog.pg_namespace
 WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'crossfade') \gexec

-- ... and those that the tables' present owners will make.
SELECT pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE'
                         ' ON TABLES TO %I', owner, :'role')
  FROM (SELECT DISTINCT pg_catalog.pg_get_userbyid(c.relowner) AS owner
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'
           AND n.nspname NOT IN ('information_schema', 'crossfade')) o \gexec

-- Crossfade's own schema belongs to it; `crossfade install` fills it.
CREATE SCHEMA IF NOT EXISTS crossfade AUTHORIZATION :"role";

-- To apply under replication origins of our own, by which a stream the other way knows what not to send back.
-- Before 14 origins are superuser's whatever is granted; the progress row is the marker then.
SELECT pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %I', oid::pg_catalog.regprocedure, :'role')
  FROM pg_catalog.pg_proc
 WHERE pronamespace = 'pg_catalog'::pg_catalog.regnamespace
   AND proname IN ('pg_replication_origin_create', 'pg_replication_origin_drop', 'pg_replication_origin_oid',
                   'pg_replication_origin_session_setup', 'pg_replication_origin_session_reset',
                   'pg_replication_origin_session_is_setup', 'pg_replication_origin_xact_setup') \gexec

-- To apply without firing the target's own triggers and foreign keys (session_replication_role = replica): what
-- they did on the legacy side comes with the stream. Before 15 only a setting of the role can give it; it holds for
-- every session of the role, so the role must be used for nothing else.
\if :has_parameter_grants
  GRANT SET ON PARAMETER session_replication_role TO :"role";
\else
  ALTER ROLE :"role" SET session_replication_role = replica;
\endif
COMMIT;

-- Optional, for the direction "reverse", in which the target is read too:
--   ALTER ROLE crossfade_target REPLICATION;
--   CREATE PUBLICATION crossfade_<pipeline>_reverse FOR TABLE ...;   -- or let the role own the tables
-- and on a PostgreSQL legacy this whole script, there, for the legacy's role.

-- Optional, per owner of the tables: to defer indexes and foreign keys during the copy, to ANALYZE after it, and to
-- carry TRUNCATE ... RESTART IDENTITY. Without it they stay where they are, the copy is slower, and check says so.
--   GRANT app_owner TO crossfade_target;   -- REVOKE it when the pipeline streams
