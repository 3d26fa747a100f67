-- SPDX-License-Identifier: PostgreSQL
-- sys.types, and which SQL Server type a column of PostgreSQL is.

-- sys.types (Transact-SQL). The ids and lengths are those that every database of SQL Server shows.
CREATE TABLE standin.system_type (
    name text PRIMARY KEY, system_type_id int2, user_type_id int, max_length int2, "precision" int2, scale int2,
    is_text boolean, is_assembly_type boolean
);
INSERT INTO standin.system_type VALUES
    ('image', 34, 34, 16, 0, 0, false, false), ('text', 35, 35, 16, 0, 0, true, false),
    ('uniqueidentifier', 36, 36, 16, 0, 0, false, false), ('date', 40, 40, 3, 10, 0, false, false),
    ('time', 41, 41, 5, 16, 7, false, false), ('datetime2', 42, 42, 8, 27, 7, false, false),
    ('datetimeoffset', 43, 43, 10, 34, 7, false, false), ('tinyint', 48, 48, 1, 3, 0, false, false),
    ('smallint', 52, 52, 2, 5, 0, false, false), ('int', 56, 56, 4, 10, 0, false, false),
    ('smalldatetime', 58, 58, 4, 16, 0, false, false), ('real', 59, 59, 4, 24, 0, false, false),
    ('money', 60, 60, 8, 19, 4, false, false), ('datetime', 61, 61, 8, 23, 3, false, false),
    ('float', 62, 62, 8, 53, 0, false, false), ('sql_variant', 98, 98, 8016, 0, 0, false, false),
    ('ntext', 99, 99, 16, 0, 0, true, false), ('bit', 104, 104, 1, 1, 0, false, false),
    ('decimal', 106, 106, 17, 38, 38, false, false), ('numeric', 108, 108, 17, 38, 38, false, false),
    ('smallmoney', 122, 122, 4, 10, 4, false, false), ('bigint', 127, 127, 8, 19, 0, false, false),
    ('hierarchyid', 240, 128, 892, 0, 0, false, true), ('geometry', 240, 129, -1, 0, 0, false, true),
    ('geography', 240, 130, -1, 0, 0, false, true), ('varbinary', 165, 165, 8000, 0, 0, false, false),
    ('varchar', 167, 167, 8000, 0, 0, true, false), ('binary', 173, 173, 8000, 0, 0, false, false),
    ('char', 175, 175, 8000, 0, 0, true, false), ('timestamp', 189, 189, 8, 0, 0, false, false),
    ('nvarchar', 231, 231, 8000, 0, 0, true, false), ('nchar', 239, 239, 8000, 0, 0, true, false),
    ('xml', 241, 241, -1, 0, 0, false, false), ('sysname', 231, 256, 256, 0, 0, true, false);

-- Alias types (CREATE TYPE … FROM): schema, name, what they stand for.
CREATE TABLE standin.alias_type (
    user_type_id int PRIMARY KEY, schema_name text NOT NULL, name text NOT NULL, system_type text NOT NULL,
    max_length int2, "precision" int2, scale int2, is_nullable boolean NOT NULL DEFAULT true
);

CREATE OR REPLACE FUNCTION standin.collation() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(standin.database_property('collation_name'), 'SQL_Latin1_General_CP1_CI_AS')
$$;

CREATE VIEW sys.types AS
SELECT name::sys.sysname AS name, system_type_id::sys.tinyint AS system_type_id, user_type_id, 4 AS schema_id,
    NULL::int AS principal_id, max_length, "precision"::sys.tinyint AS "precision", scale::sys.tinyint AS scale,
    CASE WHEN is_text THEN standin.collation() END::sys.sysname AS collation_name,
    (CASE WHEN name = 'sysname' THEN 0 ELSE 1 END)::sys.bit AS is_nullable, 0::sys.bit AS is_user_defined,
    is_assembly_type::int::sys.bit AS is_assembly_type, 0 AS default_object_id, 0 AS rule_object_id,
    0::sys.bit AS is_table_type
FROM standin.system_type
UNION ALL
SELECT a.name::sys.sysname, s.system_type_id::sys.tinyint, a.user_type_id, n.oid::int, NULL::int,
    coalesce(a.max_length, s.max_length), coalesce(a."precision", s."precision")::sys.tinyint,
    coalesce(a.scale, s.scale)::sys.tinyint, CASE WHEN s.is_text THEN standin.collation() END::sys.sysname,
    a.is_nullable::int::sys.bit, 1::sys.bit, 0::sys.bit, 0, 0, 0::sys.bit
FROM standin.alias_type a JOIN standin.system_type s ON s.name = a.system_type
JOIN pg_namespace n ON n.nspname = a.schema_name;

-- The SQL Server type of a PostgreSQL type where the registry has no row: views, functions, tables made behind its back.
CREATE OR REPLACE FUNCTION standin.type_name(typ oid) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN t.typtype = 'd' AND t.typname = 'sysname' THEN 'sysname'
        WHEN t.typtype = 'd' THEN standin.type_name(t.typbasetype)
        WHEN n.nspname = 'sys' THEN CASE t.typname WHEN 'rowversion' THEN 'timestamp'
            ELSE regexp_replace(t.typname, '^(nvarchar|varchar|varbinary)max$', '\1') END
        ELSE CASE t.typname
            WHEN 'bool' THEN 'bit' WHEN 'int2' THEN 'smallint' WHEN 'int4' THEN 'int' WHEN 'int8' THEN 'bigint'
            WHEN 'float4' THEN 'real' WHEN 'float8' THEN 'float' WHEN 'numeric' THEN 'decimal' WHEN 'date' THEN 'date'
            WHEN 'time' THEN 'time' WHEN 'timestamp' THEN 'datetime2' WHEN 'timestamptz' THEN 'datetimeoffset'
            WHEN 'uuid' THEN 'uniqueidentifier' WHEN 'bytea' THEN 'varbinary' WHEN 'xml' THEN 'xml'
            WHEN 'bpchar' THEN 'nchar' ELSE 'nvarchar' END
        END
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = typ
$$;

-- max_length in bytes, precision and scale of such a column.
CREATE OR REPLACE FUNCTION standin.type_facts(typ oid, typmod int, OUT name text, OUT max_length int2,
    OUT "precision" int2, OUT scale int2) LANGUAGE plpgsql STABLE AS $$
DECLARE
    t pg_type%ROWTYPE;
    s standin.system_type%ROWTYPE;
    arguments text[];
BEGIN
    SELECT * INTO t FROM pg_type WHERE oid = typ;
    name := standin.type_name(typ);
    IF t.typtype = 'd' THEN
        typmod := t.typtypmod;
        SELECT * INTO t FROM pg_type WHERE oid = t.typbasetype;
    END IF;
    SELECT * INTO s FROM standin.system_type x WHERE x.name = type_facts.name;
    max_length := s.max_length;
    "precision" := s."precision";
    scale := s.scale;
    arguments := regexp_split_to_array(substring(format_type(t.oid, typmod) FROM '\(([0-9, ]+)\)'), ', *');
    IF name IN ('decimal', 'numeric') AND arguments IS NOT NULL THEN
        "precision" := arguments[1];
        scale := coalesce(arguments[2], '0');
        max_length := CASE WHEN "precision" < 10 THEN 5 WHEN "precision" < 20 THEN 9 WHEN "precision" < 29 THEN 13 ELSE 17 END;
    ELSIF name IN ('nvarchar', 'varchar', 'varbinary', 'nchar', 'char', 'binary') THEN
        max_length := CASE WHEN arguments IS NULL THEN -1 ELSE arguments[1]::int * CASE WHEN name LIKE 'n%' THEN 2 ELSE 1 END END;
    ELSIF name IN ('time', 'datetime2', 'datetimeoffset') AND arguments IS NOT NULL THEN
        scale := arguments[1];
        max_length := s.max_length - CASE WHEN scale < 3 THEN 2 WHEN scale < 5 THEN 1 ELSE 0 END;
        "precision" := s."precision" - 7 + scale - CASE WHEN scale = 0 THEN 1 ELSE 0 END;
    END IF;
END $$;

-- The last identity value handed out: that of the sequence behind the column. NULL if none was, or if it can't be told.
CREATE OR REPLACE FUNCTION standin.identity_last(relid oid, attnum int2) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT pg_sequence_last_value(d.objid) FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = relid AND d.refobjsubid = attnum
      AND d.deptype IN ('i', 'a') LIMIT 1
$$;
