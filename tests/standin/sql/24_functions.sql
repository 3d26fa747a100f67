-- SPDX-License-Identifier: PostgreSQL
-- Metadata, property and security functions. Names and arguments as Microsoft documents them, names in lower case;
-- an unknown object or property is NULL, as documented. Those that return sql_variant there return nvarchar here.

-- OBJECT_ID (Transact-SQL). Tables and views first, by PostgreSQL's index; then the rest, without regard to case.
CREATE OR REPLACE FUNCTION sys.object_id(name text, kind text DEFAULT NULL) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE
    p pg_catalog.text[] := standin.parts(name);
    schema pg_catalog.text := coalesce(nullif(p[2], ''), 'dbo');
    wanted pg_catalog.text := rtrim(upper(kind COLLATE "C"));
    found int;
BEGIN
    IF p[1] IS NULL OR (coalesce(p[3], '') <> '' AND lower(p[3] COLLATE "C") <> lower(current_database() COLLATE "C")) THEN
        RETURN NULL;
    END IF;
    IF wanted IS NULL OR wanted IN ('U', 'V') THEN
        SELECT c.oid::int INTO found FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = p[1] COLLATE "C" AND n.nspname = schema COLLATE "C" AND c.relkind IN ('r', 'p', 'v')
          AND (wanted IS NULL OR (wanted = 'V') = (c.relkind = 'v'));
        IF found IS NOT NULL THEN
            RETURN found;
        END IF;
        SELECT c.oid::int INTO found FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE lower(c.relname COLLATE "C") = lower(p[1] COLLATE "C") AND lower(n.nspname COLLATE "C") = lower(schema COLLATE "C")
          AND c.relkind IN ('r', 'p', 'v') AND (wanted IS NULL OR (wanted = 'V') = (c.relkind = 'v')) LIMIT 1;
        IF found IS NOT NULL OR wanted IS NOT NULL THEN
            RETURN found;
        END IF;
    END IF;
    RETURN (SELECT o.object_id FROM sys.objects o WHERE lower(o.name::text COLLATE "C") = lower(p[1] COLLATE "C")
        AND o.schema_id = sys.schema_id(schema) AND (wanted IS NULL OR rtrim(o.type::text COLLATE "C") = wanted) LIMIT 1);
END $$;

-- OBJECT_NAME, OBJECT_SCHEMA_NAME, SCHEMA_NAME, SCHEMA_ID (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.object_name(id int, db int DEFAULT NULL) RETURNS sys.sysname LANGUAGE sql STABLE AS $$
    SELECT name FROM sys.objects WHERE object_id = id LIMIT 1
$$;
CREATE OR REPLACE FUNCTION sys.object_schema_name(id int, db int DEFAULT NULL) RETURNS sys.sysname LANGUAGE sql STABLE AS $$
    SELECT s.name FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE o.object_id = id LIMIT 1
$$;
CREATE OR REPLACE FUNCTION sys.schema_name(id int) RETURNS sys.sysname LANGUAGE sql STABLE AS $$
    SELECT nspname::sys.sysname FROM pg_namespace WHERE oid::int = id
$$;
CREATE OR REPLACE FUNCTION sys.schema_name() RETURNS sys.sysname LANGUAGE sql STABLE AS $$ SELECT 'dbo'::sys.sysname $$;
CREATE OR REPLACE FUNCTION sys.schema_id(name text DEFAULT 'dbo') RETURNS int LANGUAGE sql STABLE AS $$
    SELECT oid::int FROM pg_namespace WHERE lower(nspname COLLATE "C") = lower(name COLLATE "C") ORDER BY nspname = name COLLATE "C" DESC LIMIT 1
$$;

-- DB_NAME, DB_ID (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.db_name() RETURNS sys.sysname LANGUAGE sql STABLE AS $$ SELECT current_database()::sys.sysname $$;
CREATE OR REPLACE FUNCTION sys.db_name(wanted int) RETURNS sys.sysname LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN wanted = 0 THEN current_database()::text ELSE (SELECT datname::text FROM standin.databases WHERE id = wanted) END
        ::sys.sysname
$$;
CREATE OR REPLACE FUNCTION sys.db_id() RETURNS int LANGUAGE sql STABLE AS $$
    SELECT id FROM standin.databases WHERE datname = current_database()
$$;
CREATE OR REPLACE FUNCTION sys.db_id(wanted text) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT id FROM standin.databases WHERE lower(datname COLLATE "C") = lower(wanted COLLATE "C") ORDER BY datname = wanted COLLATE "C" DESC LIMIT 1
$$;

-- COL_NAME, COL_LENGTH, INDEX_COL (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.col_name(id int, number int) RETURNS sys.sysname LANGUAGE sql STABLE AS $$
    SELECT attname::sys.sysname FROM pg_attribute WHERE attrelid::int = id AND attnum = number AND NOT attisdropped
$$;
CREATE OR REPLACE FUNCTION sys.col_length(tab text, col text) RETURNS smallint LANGUAGE sql STABLE AS $$
    SELECT max_length FROM sys.columns WHERE object_id = standin.relation(tab)::int AND lower(name::text COLLATE "C") = lower(standin.unbracket(col) COLLATE "C")
$$;
CREATE OR REPLACE FUNCTION sys.index_col(tab text, index_number int, key_number int) RETURNS sys.sysname LANGUAGE sql STABLE AS $$
    SELECT sys.col_name(c.object_id, c.column_id) FROM sys.index_columns c
    WHERE c.object_id = standin.relation(tab)::int AND c.index_id = index_number AND c.key_ordinal = key_number::sys.tinyint
$$;

-- TYPE_NAME, TYPE_ID (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.type_name(id int) RETURNS sys.sysname LANGUAGE sql STABLE AS $$
    SELECT name FROM sys.types WHERE user_type_id = id
$$;
CREATE OR REPLACE FUNCTION sys.type_id(type text) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT user_type_id FROM sys.types t WHERE lower(t.name::text COLLATE "C") = lower((standin.parts(type))[1] COLLATE "C") LIMIT 1
$$;

-- COLUMNPROPERTY (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.columnproperty(id int, col text, property text) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT CASE lower(property COLLATE "C")
        WHEN 'allowsnull' THEN c.is_nullable::int WHEN 'columnid' THEN c.column_id WHEN 'ordinal' THEN c.column_id
        WHEN 'iscomputed' THEN c.is_computed::int WHEN 'isidentity' THEN c.is_identity::int
        WHEN 'isrowguidcol' THEN c.is_rowguidcol::int WHEN 'issparse' THEN c.is_sparse::int
        WHEN 'ishidden' THEN c.is_hidden::int WHEN 'iscolumnset' THEN 0 WHEN 'isidnotforrepl' THEN 0
        WHEN 'generatedalwaystype' THEN c.generated_always_type::int WHEN 'precision' THEN c."precision"::int
        WHEN 'scale' THEN c.scale::int WHEN 'isdeterministic' THEN CASE WHEN c.is_computed::int = 1 THEN 1 END
        WHEN 'charmaxlen' THEN CASE WHEN t.is_text THEN CASE WHEN t.name LIKE 'n%' OR t.name = 'sysname' THEN
            CASE WHEN c.max_length < 0 THEN -1 ELSE c.max_length / 2 END ELSE c.max_length END END::int END
    FROM sys.columns c JOIN standin.system_type t ON t.user_type_id = c.user_type_id OR
        (t.system_type_id = c.system_type_id::int AND c.user_type_id > 256 AND t.name <> 'sysname')
    WHERE c.object_id = id AND lower(c.name::text COLLATE "C") = lower(col COLLATE "C") LIMIT 1
$$;

-- OBJECTPROPERTY (Transact-SQL): the properties of tables and keys that a copier asks for.
CREATE OR REPLACE FUNCTION sys.objectproperty(id int, property text) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT CASE lower(property COLLATE "C")
        WHEN 'istable' THEN (rtrim(o.type::text COLLATE "C") = 'U')::int WHEN 'isusertable' THEN (rtrim(o.type::text COLLATE "C") = 'U')::int
        WHEN 'isview' THEN (rtrim(o.type::text COLLATE "C") = 'V')::int WHEN 'istrigger' THEN (rtrim(o.type::text COLLATE "C") = 'TR')::int
        WHEN 'isprimarykey' THEN (rtrim(o.type::text COLLATE "C") = 'PK')::int
        WHEN 'tablehasprimarykey' THEN EXISTS (SELECT FROM standin.indexes i WHERE i.indrelid::int = id AND i.indisprimary)::int
        WHEN 'tablehasidentity' THEN EXISTS (SELECT FROM standin.column k WHERE k.relid::int = id AND k.identity_seed IS NOT NULL)::int
        WHEN 'tablehasclustindex' THEN EXISTS (SELECT FROM standin.indexes i WHERE i.indrelid::int = id AND i.index_id = 1)::int
        WHEN 'tablehastimestamp' THEN EXISTS (SELECT FROM standin.column k WHERE k.relid::int = id AND k.ms_type = 'timestamp')::int
        WHEN 'ownerid' THEN 1 WHEN 'schemaid' THEN o.schema_id WHEN 'ismsshipped' THEN o.is_ms_shipped::int END
    FROM sys.objects o WHERE o.object_id = id LIMIT 1
$$;

-- INDEXPROPERTY (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.indexproperty(id int, index_name text, property text) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT CASE lower(property COLLATE "C") WHEN 'indexid' THEN i.index_id WHEN 'isclustered' THEN (i.index_id = 1)::int
        WHEN 'isunique' THEN i.is_unique::int WHEN 'isdisabled' THEN i.is_disabled::int END
    FROM sys.indexes i WHERE i.object_id = id AND lower(i.name::text COLLATE "C") = lower(index_name COLLATE "C") LIMIT 1
$$;

-- SERVERPROPERTY (Transact-SQL). Says 16.x Developer: a value can be overridden by the setting server.<property>.
CREATE OR REPLACE FUNCTION sys.serverproperty(property text) RETURNS sys.nvarchar LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT s.value FROM standin.settings s WHERE s.name = 'server.' || lower(property COLLATE "C")), CASE lower(property COLLATE "C")
        WHEN 'productversion' THEN '16.0.1000.6' WHEN 'productlevel' THEN 'RTM' WHEN 'productmajorversion' THEN '16'
        WHEN 'productminorversion' THEN '0' WHEN 'productbuild' THEN '1000' WHEN 'productupdatelevel' THEN NULL
        WHEN 'edition' THEN 'Developer Edition (64-bit)' WHEN 'editionid' THEN '-2117995310' WHEN 'engineedition' THEN '3'
        WHEN 'servername' THEN 'STANDIN' WHEN 'machinename' THEN 'STANDIN' WHEN 'instancename' THEN NULL
        WHEN 'computernamephysicalnetbios' THEN 'STANDIN' WHEN 'collation' THEN 'SQL_Latin1_General_CP1_CI_AS'
        WHEN 'isclustered' THEN '0' WHEN 'ishadrenabled' THEN '0' WHEN 'hadrmanagerstatus' THEN '2'
        WHEN 'isintegratedsecurityonly' THEN '0' WHEN 'issingleuser' THEN '0' WHEN 'isfulltextinstalled' THEN '0'
        WHEN 'islocaldb' THEN '0' WHEN 'isxtpsupported' THEN '0' WHEN 'ispolybaseinstalled' THEN '0'
        WHEN 'sqlcharset' THEN '1' WHEN 'sqlcharsetname' THEN 'iso_1' WHEN 'lcid' THEN '1033' WHEN 'comparisonstyle' THEN '196609'
        WHEN 'processid' THEN pg_backend_pid()::text WHEN 'buildclrversion' THEN 'v4.0.30319' END)::sys.nvarchar
$$;

-- CONNECTIONPROPERTY (Transact-SQL): of our connection; NULL for what is not kept here.
CREATE OR REPLACE FUNCTION sys.connectionproperty(property text) RETURNS sys.nvarchar LANGUAGE sql STABLE AS $$
    SELECT CASE lower(property COLLATE "C") WHEN 'auth_scheme' THEN 'SQL' WHEN 'net_transport' THEN 'TCP' WHEN 'protocol_type' THEN 'TSQL'
        WHEN 'physical_net_transport' THEN 'TCP' END::sys.nvarchar
$$;

-- DATABASEPROPERTYEX (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.databasepropertyex(db text, property text) RETURNS sys.nvarchar LANGUAGE sql STABLE AS $$
    SELECT CASE lower(property COLLATE "C")
        WHEN 'collation' THEN d.collation_name::text WHEN 'recovery' THEN d.recovery_model_desc::text WHEN 'status' THEN d.state_desc::text
        WHEN 'updateability' THEN CASE WHEN d.is_read_only::int = 1 THEN 'READ_ONLY' ELSE 'READ_WRITE' END
        WHEN 'useraccess' THEN 'MULTI_USER' WHEN 'version' THEN '957' WHEN 'lcid' THEN '1033' WHEN 'comparisonstyle' THEN '196609'
        WHEN 'edition' THEN NULL WHEN 'serviceobjective' THEN NULL
        WHEN 'ispublished' THEN d.is_published::int::text WHEN 'isfulltextenabled' THEN '1' WHEN 'isautoclose' THEN '0'
        WHEN 'isansinullsenabled' THEN '0' WHEN 'isquotedidentifiersenabled' THEN '0' WHEN 'isinstandby' THEN '0'
        WHEN 'sqlsortorder' THEN '52' END::sys.nvarchar
    FROM sys.databases d WHERE lower(d.name::text COLLATE "C") = lower(db COLLATE "C") LIMIT 1
$$;

-- HAS_PERMS_BY_NAME (Transact-SQL): 1 unless standin.denied says no; NULL for a securable that is not there.
CREATE OR REPLACE FUNCTION sys.has_perms_by_name(securable text, class text, permission text, sub_securable text DEFAULT NULL,
    sub_class text DEFAULT NULL) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE
    kind pg_catalog.text := upper(coalesce(class, 'SERVER') COLLATE "C");
    target int := CASE WHEN kind = 'OBJECT' THEN sys.object_id(securable) END;
    d record;
BEGIN
    IF coalesce(permission, '') = '' OR (kind = 'OBJECT' AND target IS NULL)
            OR (kind = 'SCHEMA' AND sys.schema_id(standin.unbracket(securable)) IS NULL)
            OR (kind = 'DATABASE' AND securable IS NOT NULL AND sys.db_id(standin.unbracket(securable)) IS NULL) THEN
        RETURN NULL;
    END IF;
    FOR d IN SELECT x.permission, x.securable FROM standin.denied x WHERE x.login = standin.login() COLLATE "C" LOOP
        IF (d.permission = '%' OR upper(d.permission COLLATE "C") = upper(permission COLLATE "C"))
                AND (d.securable IS NULL OR (kind = 'OBJECT' AND sys.object_id(d.securable) = target)
                    OR lower(d.securable COLLATE "C") = lower(coalesce(securable, current_database()::text) COLLATE "C")) THEN
            RETURN 0;
        END IF;
    END LOOP;
    RETURN 1;
END $$;

-- IS_MEMBER, IS_ROLEMEMBER, IS_SRVROLEMEMBER (Transact-SQL): every login is a member unless standin.not_member lists it.
CREATE OR REPLACE FUNCTION sys.is_rolemember(role text, principal text DEFAULT NULL) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN role IS NULL THEN NULL ELSE (NOT EXISTS (SELECT FROM standin.not_member m
        WHERE m.login = coalesce(principal, standin.login()) COLLATE "C" AND lower(m.role_name COLLATE "C") = lower(role COLLATE "C")))::int END
$$;
CREATE OR REPLACE FUNCTION sys.is_member(role text) RETURNS int LANGUAGE sql STABLE AS $$ SELECT sys.is_rolemember(role) $$;
CREATE OR REPLACE FUNCTION sys.is_srvrolemember(role text, login text DEFAULT NULL) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN lower(role COLLATE "C") NOT IN ('sysadmin', 'serveradmin', 'securityadmin', 'processadmin', 'setupadmin', 'bulkadmin',
        'diskadmin', 'dbcreator', 'public') THEN NULL ELSE sys.is_rolemember(role, login) END
$$;
CREATE OR REPLACE FUNCTION sys.has_dbaccess(db text) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN sys.db_id(db) IS NOT NULL THEN 1 END
$$;

-- SUSER_SNAME, SUSER_NAME, ORIGINAL_LOGIN, SYSTEM_USER, USER_NAME, HOST_NAME, APP_NAME (Transact-SQL). Every login is
-- the user dbo of every database.
CREATE OR REPLACE FUNCTION sys.suser_sname() RETURNS sys.nvarchar LANGUAGE sql STABLE AS $$ SELECT standin.login()::sys.nvarchar $$;
CREATE OR REPLACE FUNCTION sys.suser_name() RETURNS sys.nvarchar LANGUAGE sql STABLE AS $$ SELECT standin.login()::sys.nvarchar $$;
CREATE OR REPLACE FUNCTION sys.original_login() RETURNS sys.nvarchar LANGUAGE sql STABLE AS $$ SELECT standin.login()::sys.nvarchar $$;
CREATE OR REPLACE FUNCTION sys.user_name() RETURNS sys.nvarchar LANGUAGE sql STABLE AS $$ SELECT 'dbo'::sys.nvarchar $$;
CREATE OR REPLACE FUNCTION sys.host_name() RETURNS sys.nvarchar LANGUAGE sql STABLE AS $$
    SELECT current_setting('standin.host', true)::sys.nvarchar $$;
CREATE OR REPLACE FUNCTION sys.app_name() RETURNS sys.nvarchar LANGUAGE sql STABLE AS $$
    SELECT current_setting('standin.app', true)::sys.nvarchar $$;

-- IDENT_SEED, IDENT_INCR (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.ident_seed(tab text) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT identity_seed FROM standin.column WHERE relid = standin.relation(tab) AND identity_seed IS NOT NULL
$$;
CREATE OR REPLACE FUNCTION sys.ident_incr(tab text) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT identity_increment FROM standin.column WHERE relid = standin.relation(tab) AND identity_seed IS NOT NULL
$$;

-- OBJECT_DEFINITION (Transact-SQL), sys.fn_hadr_is_primary_replica (Transact-SQL): no availability groups here, so NULL.
CREATE OR REPLACE FUNCTION sys.object_definition(id int) RETURNS sys.nvarcharmax LANGUAGE sql STABLE AS $$
    SELECT definition::sys.nvarcharmax FROM standin.definition WHERE objid::int = id LIMIT 1
$$;
CREATE OR REPLACE FUNCTION sys.fn_hadr_is_primary_replica(db text) RETURNS sys.bit LANGUAGE sql STABLE AS $$ SELECT NULL::sys.bit $$;
