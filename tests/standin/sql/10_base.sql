-- SPDX-License-Identifier: PostgreSQL
-- What the system side knows of a database beyond pg_catalog and the registry standin.column: settings, rights,
-- properties of databases; and errors.
--
-- Two schemas: `sys`, what Microsoft documents; `standin`, ours, which no client sees. Every session runs as one
-- PostgreSQL superuser; the login's name is in the setting standin.login and what it may not do in standin.denied.

CREATE SCHEMA IF NOT EXISTS standin;
CREATE SCHEMA IF NOT EXISTS sys;
CREATE SCHEMA IF NOT EXISTS msdb_dbo;

-- Raises an error of SQL Server: the server sends it as the ERROR token.
CREATE OR REPLACE FUNCTION standin.fail(number int, message text, state int DEFAULT 1) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'MS000', MESSAGE = format('%s|16|%s|%s', number, state, message);
END $$;

-- A warning of a procedure (severity 10): for the INFO token.
CREATE OR REPLACE FUNCTION standin.inform(number int, message text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE INFO USING MESSAGE = format('%s|10|1|%s', number, message);
END $$;

-- Facts of a column beyond standin.column, for `check`: masks, encryption, alias types, temporal tables.
CREATE TABLE IF NOT EXISTS standin.column_more (
    relid oid NOT NULL,
    attnum int2 NOT NULL,
    masking_function text,
    encryption_type int2,
    generated_always_type int2 NOT NULL DEFAULT 0,
    user_type text,
    is_persisted boolean NOT NULL DEFAULT false,
    is_filestream boolean NOT NULL DEFAULT false,
    PRIMARY KEY (relid, attnum)
);

-- Facts of a table that only `check` asks for, as columns of sys.tables: '{"temporal_type": 2}'.
CREATE TABLE IF NOT EXISTS standin.table_more (relid oid PRIMARY KEY, properties jsonb NOT NULL DEFAULT '{}');

-- The T-SQL text of a check constraint, filter, trigger or view, where it is not PostgreSQL's own text.
CREATE TABLE IF NOT EXISTS standin.definition (
    classid oid NOT NULL,
    objid oid NOT NULL,
    definition text NOT NULL,
    PRIMARY KEY (classid, objid)
);

-- Knobs of one database that only tests turn: read by the jobs before every step.
CREATE TABLE IF NOT EXISTS standin.settings (name text PRIMARY KEY, value text NOT NULL);

INSERT INTO standin.settings SELECT 'first_function', oid::text FROM pg_proc WHERE proname = 'fail' AND pronamespace = 'standin'::regnamespace;

CREATE OR REPLACE FUNCTION standin.setting(wanted text, otherwise text) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT coalesce((SELECT value FROM standin.settings WHERE name = wanted), otherwise) $$;

CREATE OR REPLACE FUNCTION standin.set(wanted text, new_value text) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO standin.settings VALUES (wanted, new_value) ON CONFLICT (name) DO UPDATE SET value = excluded.value
$$;

-- What a login may not: permission names of HAS_PERMS_BY_NAME, '%' for all; securable NULL = the database and all in it.
CREATE TABLE IF NOT EXISTS standin.denied (login text NOT NULL, permission text NOT NULL, securable text);

-- Roles of the database that a login is not a member of (every login is a member of every role unless listed here).
CREATE TABLE IF NOT EXISTS standin.not_member (login text NOT NULL, role_name text NOT NULL, PRIMARY KEY (login, role_name));

CREATE OR REPLACE FUNCTION standin.login() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('standin.login', true), ''), 'sa')
$$;

-- Properties of databases must be seen from every database: they are JSON in the comment of the database, which is
-- shared, and transactional.
CREATE OR REPLACE FUNCTION standin.database_properties(db oid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN d LIKE '{%' THEN d::jsonb ELSE '{}' END
    FROM (SELECT shobj_description(db, 'pg_database')) AS x(d)
$$;

CREATE OR REPLACE FUNCTION standin.set_database_property(db text, property text, new_value jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COMMENT ON DATABASE %I IS %L', db,
        standin.database_properties((SELECT oid FROM pg_database WHERE datname = db))
        || jsonb_build_object(property, new_value));
END $$;

CREATE OR REPLACE FUNCTION standin.database_property(property text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT standin.database_properties((SELECT oid FROM pg_database WHERE datname = current_database())) ->> property
$$;

-- Names arrive with the collation of sysname, which is nondeterministic: patterns need another.
CREATE OR REPLACE FUNCTION standin.unbracket(part text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN left(part, 1) COLLATE "C" = '[' AND right(part, 1) COLLATE "C" = ']' THEN replace(substr(part, 2, length(part) - 2) COLLATE "C", ']]', ']')
                WHEN length(part) > 1 AND left(part, 1) COLLATE "C" = '"' AND right(part, 1) COLLATE "C" = '"'
                    THEN replace(substr(part, 2, length(part) - 2) COLLATE "C", '""', '"')
                ELSE part COLLATE "C" END
$$;

-- 'db.schema.[name]' in its parts, the last one first.
CREATE OR REPLACE FUNCTION standin.parts(name text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(standin.unbracket(m[1]) ORDER BY i DESC)
    FROM regexp_matches(name COLLATE "C", '(\[(?:[^]]|\]\])*\]|"(?:[^"]|"")*"|[^.]*)(?:\.|$)', 'g') WITH ORDINALITY AS x(m, i)
    WHERE m[1] <> '' OR i <= 1 + length(regexp_replace(name COLLATE "C", '\[(?:[^]]|\]\])*\]|"(?:[^"]|"")*"|[^.]', '', 'g'))
$$;

-- A relation by its T-SQL name, without regard to case as under the usual collations; the exact case wins.
CREATE OR REPLACE FUNCTION standin.relation(name text) RETURNS oid LANGUAGE sql STABLE AS $$
    SELECT c.oid FROM (SELECT standin.parts(name)) AS x(p), pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE lower(c.relname COLLATE "C") = lower(p[1] COLLATE "C") AND lower(n.nspname COLLATE "C") = lower(coalesce(nullif(p[2], ''), 'dbo') COLLATE "C")
      AND c.relkind IN ('r', 'p', 'v', 'f', 'm')
      AND (coalesce(p[3], '') = '' OR lower(p[3] COLLATE "C") = lower(current_database() COLLATE "C"))
    ORDER BY c.relname = p[1] COLLATE "C" DESC LIMIT 1
$$;

-- One row for each capture instance: what the capture job needs. attnums in the order of the instance's columns.
CREATE TABLE standin.cdc_instance (
    change_relid oid PRIMARY KEY, source_relid oid NOT NULL, capture_instance text NOT NULL UNIQUE, attnums int2[] NOT NULL,
    key_attnums int2[] NOT NULL, key_index oid
);

-- Which column of a source has which name, as of where the capture job stands in the log: {"name": attnum}.
CREATE TABLE standin.cdc_source (relid oid PRIMARY KEY, columns jsonb NOT NULL);

CREATE OR REPLACE FUNCTION standin.columns_of(relid oid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_object_agg(attname, attnum) FROM pg_attribute WHERE attrelid = relid AND attnum > 0 AND NOT attisdropped
$$;

CREATE OR REPLACE FUNCTION standin.is_captured(relid oid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM standin.cdc_instance i WHERE i.source_relid = relid)
$$;
