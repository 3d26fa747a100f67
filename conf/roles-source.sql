-- Crossfade, legacy side: the role that reads. Run by a superuser with psql in the legacy database, and again
-- after tables or schemas were added:
--
--   psql -d DATABASE -v role=crossfade_source -f roles-source.sql
--
-- and then \password crossfade_source (or a certificate, GSSAPI, peer: whatever pg_hba.conf says; it needs a line
-- for the database only, logical replication is not matched by "replication" there). All PostgreSQL versions
-- from 10; nothing here writes to a table of yours, and running it twice does no harm.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?role}
\else
  \set role crossfade_source
\endif
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :'role') AS make_role,
       pg_catalog.current_database() AS database \gset
BEGIN;
\if :make_role
  CREATE ROLE :"role" LOGIN;
\endif

-- To make a slot and to stream from it.
ALTER ROLE :"role" REPLICATION;

-- To read the tables (the copy, rows read again, check --data): those there are ...
GRANT CONNECT ON DATABASE :"database" TO :"role";
SELECT pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I; GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I',
                         nspname, :'role', nspname, :'role')
  FROM pg_catalog.pg_namespace
 WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'crossfade') \gexec

-- ... and those that the tables' present owners will make.
SELECT pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT SELECT ON TABLES TO %I', owner, :'role')
  FROM (SELECT DISTINCT pg_catalog.pg_get_userbyid(c.relowner) AS owner
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') o \gexec
COMMIT;

-- The publication is not made here: FOR TABLE needs the tables' owner, FOR ALL TABLES a superuser, so that an
-- administrator makes it. `crossfade check` prints the very statement. Row security would thin the copy: where a
-- table has it, check says so; either disable it there for the move, or: ALTER ROLE crossfade_source BYPASSRLS.
