-- SPDX-License-Identifier: PostgreSQL
-- Change data capture: enabling, disabling, metadata tables. The capture job itself is cdc_capture.py.
--
-- 1. sp_cdc_enable_db makes a logical slot (pgoutput) and the tables of schema cdc; they live as long as the database is
--    enabled.
-- 2. sp_cdc_enable_table locks the source exclusively (REPLICA IDENTITY FULL does), so that no transaction is
--    half captured, and leaves a message in the log; when the capture job meets it, it sets start_lsn. Until then
--    start_lsn is NULL: "the low endpoint has not been established" (cdc.change_tables (Transact-SQL)).
-- 3. An LSN of ours is PostgreSQL's plus the setting lsn_shift, as VLF (4 bytes), block (4 bytes), slot (2 bytes);
--    a restore (standin.restore) changes the shift, so that LSNs go back.

CREATE TABLE standin.cdc_state (
    slot text NOT NULL, last_commit pg_lsn NOT NULL DEFAULT '0/0', last_time timestamp, sessions int NOT NULL DEFAULT 0
);

CREATE OR REPLACE FUNCTION standin.lsn(at pg_lsn, slot int DEFAULT 1) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT int8send((at - '0/0'::pg_lsn)::bigint + standin.setting('lsn_shift', '274877906944')::bigint) || int2send(slot::int2)
$$;

-- '00000040:0157e0a8:0001', as sys.dm_cdc_log_scan_sessions writes an LSN.
CREATE OR REPLACE FUNCTION standin.lsn_text(lsn bytea) RETURNS pg_catalog.text LANGUAGE sql IMMUTABLE AS $$
    SELECT regexp_replace(encode(lsn, 'hex'), '^(.{8})(.{8})(.{4})$', '\1:\2:\3')
$$;

CREATE OR REPLACE FUNCTION standin.need_cdc_database() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(standin.database_property('is_cdc_enabled'), '0') <> '1' THEN
        PERFORM standin.fail(22901, format('The database ''%s'' is not enabled for Change Data Capture. Ensure that the correct database context is set and retry the operation. To report on the databases enabled for Change Data Capture, query the is_cdc_enabled column in the sys.databases catalog view.', current_database()));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION standin.need_owner() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF sys.is_member('db_owner') = 0 THEN
        PERFORM standin.fail(22904, 'Caller is not authorized to initiate the requested action. DBO privileges are required.');
    END IF;
END $$;

-- The tables of schema cdc, with the documented columns: cdc.change_tables, cdc.captured_columns, cdc.index_columns,
-- cdc.ddl_history, cdc.lsn_time_mapping (Transact-SQL). tran_begin_lsn is there in SQL Server 2012 and later, though
-- its page leaves it out.
CREATE OR REPLACE FUNCTION standin.create_cdc_tables() RETURNS void LANGUAGE sql AS $$
    CREATE SCHEMA cdc;
    CREATE TABLE cdc.change_tables (
        object_id int NOT NULL PRIMARY KEY, version int, source_object_id int, capture_instance sys.sysname NOT NULL,
        start_lsn sys.binary(10), end_lsn sys.binary(10), supports_net_changes sys.bit, has_drop_pending sys.bit,
        role_name sys.sysname, index_name sys.sysname, filegroup_name sys.sysname, create_date sys.datetime,
        partition_switch sys.bit NOT NULL);
    CREATE TABLE cdc.captured_columns (
        object_id int NOT NULL, column_name sys.sysname NOT NULL, column_id int, column_type sys.sysname NOT NULL,
        column_ordinal int NOT NULL, is_computed sys.bit, masking_function sys.nvarchar(4000));
    CREATE TABLE cdc.index_columns (
        object_id int NOT NULL, column_name sys.sysname NOT NULL, index_ordinal sys.tinyint NOT NULL, column_id int NOT NULL);
    CREATE TABLE cdc.ddl_history (
        source_object_id int, object_id int NOT NULL, required_column_update sys.bit, ddl_command sys.nvarcharmax,
        ddl_lsn sys.binary(10) NOT NULL, ddl_time sys.datetime);
    CREATE TABLE cdc.lsn_time_mapping (
        start_lsn sys.binary(10) NOT NULL, tran_begin_time sys.datetime, tran_end_time sys.datetime, tran_id sys.varbinary(10),
        tran_begin_lsn sys.binary(10));
    CREATE UNIQUE INDEX lsn_time_mapping_clustered_idx ON cdc.lsn_time_mapping (start_lsn);
    CREATE INDEX lsn_time_mapping_nonunique_idx ON cdc.lsn_time_mapping (tran_end_time);
$$;

-- sys.sp_cdc_enable_db (Transact-SQL). The slot comes first: PostgreSQL makes none in a transaction that has written.
-- The publication is made with the template and stays: decoding fails where the log is older than its publication.
CREATE PUBLICATION standin_cdc WITH (publish_via_partition_root = true, publish = 'insert, update, delete');

CREATE OR REPLACE FUNCTION sys.sp_cdc_enable_db() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    my_slot name := 'standin_' || (SELECT oid FROM pg_database WHERE datname = current_database());
BEGIN
    PERFORM standin.need_owner();
    PERFORM pg_advisory_xact_lock(21830, 3);
    IF standin.database_property('is_cdc_enabled') = '1' THEN
        PERFORM standin.inform(22905, format('Database ''%s'' is already enabled for Change Data Capture. Ensure that the correct database context is set, and retry the operation. To report on the databases enabled for Change Data Capture, query the is_cdc_enabled column in the sys.databases catalog view.', current_database()));
        RETURN;
    ELSIF current_database() IN ('master', 'msdb', 'tempdb', 'model') THEN
        PERFORM standin.fail(22989, format('Could not enable Change Data Capture for database ''%s''. Change data capture is not supported on system databases, or on a distribution database.', current_database()));
    ELSIF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'cdc') THEN
        PERFORM standin.fail(22906, format('The database ''%s'' cannot be enabled for Change Data Capture because a database user named ''cdc'' or a schema named ''cdc'' already exists in the current database. These objects are required exclusively by Change Data Capture. Drop or rename the user or schema and retry the operation.', current_database()));
    END IF;
    FOR i IN 1..200 LOOP  -- the job lets go of the slot of an earlier time
        EXIT WHEN NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = my_slot AND active);
        PERFORM pg_sleep(0.05);
    END LOOP;
    PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = my_slot;
    PERFORM pg_create_logical_replication_slot(my_slot, 'pgoutput');
    PERFORM standin.create_cdc_tables();
    DELETE FROM standin.cdc_state;
    INSERT INTO standin.cdc_state (slot, last_time) VALUES (my_slot, now());
    PERFORM standin.set_database_property(current_database(), 'is_cdc_enabled', '1');
END $$;

-- sys.sp_cdc_disable_db (Transact-SQL): everything goes, unread history included (hazard 13). The job holds the
-- advisory lock while it works and lets its connection to the slot go when the database is no longer enabled.
CREATE OR REPLACE FUNCTION sys.sp_cdc_disable_db() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    i record;
BEGIN
    PERFORM standin.need_owner();
    IF coalesce(standin.database_property('is_cdc_enabled'), '0') <> '1' THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(21830, 1);
    FOR i IN SELECT capture_instance FROM standin.cdc_instance LOOP
        PERFORM standin.drop_instance(i.capture_instance);
    END LOOP;
    DELETE FROM standin.job;
    DELETE FROM msdb_dbo.cdc_jobs;
    DELETE FROM standin.cdc_scan;
    DROP SCHEMA cdc CASCADE;
    PERFORM standin.set_database_property(current_database(), 'is_cdc_enabled', '0');
    PERFORM pg_notify('standin_jobs', 'disabled');
END $$;

-- 'a, [b c], "d"' as column names (@captured_column_list).
CREATE OR REPLACE FUNCTION standin.name_list(list text) RETURNS pg_catalog.text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(standin.unbracket(btrim(m[1])) ORDER BY i)
    FROM regexp_matches(list COLLATE "C", '(\s*(?:\[(?:[^]]|\]\])*\]|"(?:[^"]|"")*"|[^,]*))(?:,|$)', 'g') WITH ORDINALITY AS x(m, i)
    WHERE btrim(m[1]) <> ''
$$;

-- The unique index that identifies rows: the one named, else the primary key; NULL if there is none.
CREATE OR REPLACE FUNCTION standin.cdc_index(source oid, wanted text, label text) RETURNS oid LANGUAGE plpgsql STABLE AS $$
DECLARE
    i record;
BEGIN
    IF wanted IS NULL THEN
        RETURN (SELECT indexrelid FROM pg_index WHERE indrelid = source AND indisprimary);
    END IF;
    SELECT x.indexrelid, x.indisunique, x.indkey INTO i FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
    WHERE x.indrelid = source AND lower(c.relname COLLATE "C") = lower(wanted COLLATE "C");
    IF NOT FOUND THEN
        PERFORM standin.fail(22928, format('Index name ''%s'' is not an index for table ''%s''. Specify a valid index name for the table.', wanted, label));
    ELSIF NOT i.indisunique THEN
        PERFORM standin.fail(22929, format('Index ''%s'' must be either a primary key or a unique index for table ''%s''. Specify an index that meets at least one of these requirements.', wanted, label));
    ELSIF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull) THEN
        PERFORM standin.fail(22838, format('All columns of a CDC unique index must be defined as NOT NULL. Index ''%s'' selected as the CDC unique index for source table ''%s'' does not meet this requirement. Define all columns of the selected index as NOT NULL or select another unique index as the CDC index and resubmit the request.', wanted, label));
    END IF;
    RETURN i.indexrelid;
END $$;

-- The attnums to capture, in the table's order; errors as documented.
CREATE OR REPLACE FUNCTION standin.cdc_columns(source oid, list text, key int2[], label text) RETURNS int2[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted pg_catalog.text[] := standin.name_list(list);
    name pg_catalog.text;
    result int2[];
BEGIN
    FOREACH name IN ARRAY coalesce(wanted, '{}') LOOP
        IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = source AND attnum > 0 AND NOT attisdropped AND lower(attname COLLATE "C") = lower(name COLLATE "C")) THEN
            PERFORM standin.fail(22930, format('Could not locate ''%s'' as a column of source table ''%s''. Specify a valid column name.', name, label));
        END IF;
    END LOOP;
    SELECT array_agg(attnum ORDER BY attnum) INTO result FROM pg_attribute
    WHERE attrelid = source AND attnum > 0 AND NOT attisdropped
      AND (list IS NULL OR lower(attname COLLATE "C") = ANY (SELECT lower(w COLLATE "C") FROM unnest(wanted) w));
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = source AND attnum = ANY (result) AND attname LIKE '\_\_$%'
            AND attname IN ('__$start_lsn', '__$end_lsn', '__$seqval', '__$operation', '__$update_mask')) THEN
        PERFORM standin.fail(22975, format('Source table ''%s'' contains one of the following reserved column names: __$start_lsn, __$end_lsn, __$seqval, __$operation, and __$update_mask. To enable Change Data Capture for this table, specify a captured column list and ensure that these columns are excluded from the list.', label));
    ELSIF NOT key <@ result THEN
        PERFORM standin.fail(22943, 'Columns used to uniquely identify a row for net change tracking must be included in the list of captured columns. Add either the primary key columns of the source table, or the columns defined for the index specified in the parameter @index_name to the list of captured columns and retry the operation.');
    ELSIF cardinality(result) > 1018 THEN
        PERFORM standin.fail(22925, format('The number of columns captured by capture instance ''%s'' exceeds the maximum allowed number: 1018. Use the @captured_columns_list parameter to specify a subset of the columns less than or equal to the maximum allowed and resubmit the request.', label));
    END IF;
    RETURN result;
END $$;

-- PostgreSQL's declaration of a captured column: timestamp becomes binary(8) (cdc.<capture_instance>_CT (Transact-SQL)).
CREATE OR REPLACE FUNCTION standin.cdc_column_type(source oid, number int2) RETURNS pg_catalog.text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN k.ms_type IN ('timestamp', 'rowversion') OR a.atttypid = 'sys.timestamp'::regtype THEN 'sys."binary"(8)'
        ELSE format_type(a.atttypid, a.atttypmod)
            || CASE WHEN a.attcollation <> 0 AND a.attcollation <> t.typcollation
                THEN (SELECT format(' COLLATE %I.%I', n.nspname, c.collname) FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
                      WHERE c.oid = a.attcollation) ELSE '' END END
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN standin.column k ON k.relid = a.attrelid AND k.attnum = a.attnum
    WHERE a.attrelid = source AND a.attnum = number
$$;

-- The change table cdc.<capture_instance>_CT (Transact-SQL), its index and its registry rows.
CREATE OR REPLACE FUNCTION standin.create_change_table(source oid, instance text, attnums int2[]) RETURNS oid LANGUAGE plpgsql AS $$
DECLARE
    change oid;
BEGIN
    EXECUTE format('CREATE TABLE cdc.%I ("__$start_lsn" sys.binary(10) NOT NULL, "__$end_lsn" sys.binary(10), '
        '"__$seqval" sys.binary(10) NOT NULL, "__$operation" int NOT NULL, "__$update_mask" sys.varbinary(128), %s, "__$command_id" int)',
        instance || '_CT', (SELECT string_agg(format('%I %s', a.attname, standin.cdc_column_type(source, a.attnum)), ', ' ORDER BY a.attnum)
                            FROM pg_attribute a WHERE a.attrelid = source AND a.attnum = ANY (attnums)));
    change := format('cdc.%I', instance || '_CT')::regclass;
    EXECUTE format('CREATE UNIQUE INDEX %I ON cdc.%I ("__$start_lsn", "__$command_id", "__$seqval", "__$operation")',
        left(instance, 40) || '_CT_clustered_idx', instance || '_CT');
    INSERT INTO standin.index (indexid, clustered) SELECT indexrelid, true FROM pg_index WHERE indrelid = change;
    INSERT INTO standin.object (relid, kind, created) VALUES (change, 'U', clock_timestamp()) ON CONFLICT DO NOTHING;
    INSERT INTO standin.column (relid, attnum, ms_type, max_length, prec, scale, nullable, "collation")
    SELECT change, b.attnum, CASE WHEN k.ms_type IN ('timestamp', 'rowversion') THEN 'binary' ELSE k.ms_type END, k.max_length, k.prec, k.scale,
        true, k."collation"
    FROM standin.column k JOIN pg_attribute a ON a.attrelid = k.relid AND a.attnum = k.attnum
        JOIN pg_attribute b ON b.attrelid = change AND b.attname = a.attname
    WHERE k.relid = source AND k.attnum = ANY (attnums) ON CONFLICT DO NOTHING;
    RETURN change;
END $$;

-- sys.sp_cdc_enable_table (Transact-SQL). @role_name has no default there: '' stands for "not given".
CREATE OR REPLACE FUNCTION sys.sp_cdc_enable_table(source_schema text DEFAULT NULL, source_name text DEFAULT NULL,
    capture_instance text DEFAULT NULL, supports_net_changes int DEFAULT NULL, role_name text DEFAULT '<absent>',
    index_name text DEFAULT NULL, captured_column_list text DEFAULT NULL, filegroup_name text DEFAULT NULL,
    allow_partition_switch int DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    source oid;
    change oid;
    key_index oid;
    key int2[];
    attnums int2[];
    label pg_catalog.text := format('%s.%s', source_schema, source_name);
    instance pg_catalog.text := rtrim(coalesce(capture_instance, source_schema || '_' || source_name));
    net int;
    leaf regclass;
    partitioned boolean;
BEGIN
    PERFORM standin.need_cdc_database(), standin.need_owner();
    IF role_name = '<absent>' THEN
        PERFORM standin.fail(201, 'Procedure or function ''sp_cdc_enable_table'' expects parameter ''@role_name'', which was not supplied.', 4);
    ELSIF role_name = '' THEN
        PERFORM standin.fail(22907, 'Parameter @role_name cannot be empty. Specify a value for @role_name and retry the operation. Supply null as the value if no role is to be used to gate access to captured change data.');
    ELSIF coalesce(source_schema, '') = '' OR coalesce(source_name, '') = '' THEN
        PERFORM standin.fail(22963, format('Parameter ''%s'' cannot be null or empty. Specify a value for the named parameter and retry the operation.',
            CASE WHEN coalesce(source_schema, '') = '' THEN '@source_schema' ELSE '@source_name' END));
    ELSIF lower(source_schema COLLATE "C") = 'cdc' THEN
        PERFORM standin.fail(22974, 'Tables contained in the cdc schema cannot be enabled for Change Data Capture.');
    END IF;
    PERFORM pg_advisory_xact_lock(21830, 2);
    SELECT r.oid, r.relkind = 'p' INTO source, partitioned FROM standin.relations r
    WHERE lower(r.nspname COLLATE "C") = lower(source_schema COLLATE "C") AND lower(r.relname COLLATE "C") = lower(source_name COLLATE "C") AND r.relkind IN ('r', 'p')
    ORDER BY r.relname = source_name COLLATE "C" DESC LIMIT 1;
    IF source IS NULL THEN
        PERFORM standin.fail(22931, format('Source table ''%s'' does not exist in the current database. Ensure that the correct database context is set. Specify a valid schema and table name for the database.', label));
    ELSIF length(instance) > 100 THEN
        PERFORM standin.fail(22927, format('Capture instance name ''%s'' exceeds the length limit of 100 characters. Specify a name that satisfies the length constraint.', instance));
    ELSIF EXISTS (SELECT FROM standin.cdc_instance i WHERE lower(i.capture_instance COLLATE "C") = lower(instance COLLATE "C")) THEN
        PERFORM standin.fail(22926, format('Could not create a capture instance because the capture instance name ''%s'' already exists in the current database. Specify an explicit unique name for the parameter @capture_instance.', instance));
    ELSIF (SELECT count(*) FROM standin.cdc_instance i WHERE i.source_relid = source) >= 2 THEN
        PERFORM standin.fail(22962, format('Two capture instances already exist for source table ''%s''. A table can have at most two capture instances. If the current tracking options are not appropriate, disable change tracking for the obsolete instance by using sys.sp_cdc_disable_table and retry the operation.', label));
    END IF;
    key_index := standin.cdc_index(source, index_name, label);
    net := coalesce(supports_net_changes, (key_index IS NOT NULL)::int);
    IF net = 1 AND key_index IS NULL THEN
        PERFORM standin.fail(22939, 'The parameter @supports_net_changes is set to 1, but the source table does not have a primary key defined and no alternate unique index has been specified.');
    END IF;
    key := coalesce((SELECT (indkey::int2[])[0:indnkeyatts - 1] FROM pg_index WHERE indexrelid = key_index), '{}');
    attnums := standin.cdc_columns(source, captured_column_list, key, label);

    IF NOT standin.is_captured(source) THEN
        INSERT INTO standin.cdc_source VALUES (source, standin.columns_of(source));
        FOR leaf IN SELECT relid FROM pg_partition_tree(source) UNION SELECT source::regclass LOOP
            EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', leaf);
        END LOOP;
        EXECUTE format('ALTER PUBLICATION standin_cdc ADD TABLE %s', source::regclass);
        EXECUTE format('CREATE TRIGGER standin_no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION standin.refuse_truncate()', source::regclass);
    END IF;
    change := standin.create_change_table(source, instance, attnums);
    INSERT INTO standin.cdc_instance VALUES (change, source, instance, attnums, key, key_index);
    INSERT INTO cdc.change_tables VALUES (change::int, 0, source::int, instance::sys.sysname, NULL, NULL, net::sys.bit, 0::sys.bit,
        role_name::sys.sysname, (SELECT relname FROM pg_class WHERE oid = key_index)::pg_catalog.text::sys.sysname,
        filegroup_name::sys.sysname, clock_timestamp()::timestamp::sys.datetime,
        (CASE WHEN partitioned THEN coalesce(allow_partition_switch, 1) ELSE 1 END)::sys.bit);
    INSERT INTO cdc.captured_columns
    SELECT change::int, c.attname::pg_catalog.text::sys.sysname, c.attnum, c.ms_type::sys.sysname,
        row_number() OVER (ORDER BY c.attnum), (c.computed IS NOT NULL)::int::sys.bit, c.masking_function::sys.nvarchar(4000)
    FROM standin.all_columns c WHERE c.attrelid = source AND c.attnum = ANY (attnums);
    INSERT INTO cdc.index_columns
    SELECT change::int, a.attname::pg_catalog.text::sys.sysname, k.ordinal::int::sys.tinyint, a.attnum
    FROM unnest(key) WITH ORDINALITY AS k(attnum, ordinal) JOIN pg_attribute a ON a.attrelid = source AND a.attnum = k.attnum;
    PERFORM standin.create_all_changes(change, instance);
    PERFORM pg_logical_emit_message(true, 'standin.enable', change::pg_catalog.text);

    IF NOT EXISTS (SELECT FROM standin.job j WHERE j.job_type = 'capture') THEN
        PERFORM sys.sp_cdc_add_job('capture'), sys.sp_cdc_add_job('cleanup');
        PERFORM pg_notify('standin_jobs', 'start');
    END IF;
    IF partitioned THEN
        PERFORM standin.inform(CASE WHEN allow_partition_switch = 0 THEN 22856 ELSE 22855 END, format('Warning: The @allow_partition_switch parameter is set to %s.', coalesce(allow_partition_switch, 1)));
    ELSIF allow_partition_switch = 0 THEN
        PERFORM standin.inform(22857, 'Warning: The @allow_partition_switch parameter must be 1 for tables that are not partitioned. The explicit setting of the parameter to 0 was ignored. Refer to books online for more information about partition switching behavior when using Change Data Capture.');
    END IF;
END $$;

-- TRUNCATE TABLE (Transact-SQL): not on a table that change data capture watches.
CREATE OR REPLACE FUNCTION standin.refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM standin.fail(4711, format('Cannot truncate table ''%s'' because it is published for replication or enabled for Change Data Capture.', TG_TABLE_NAME));
    RETURN NULL;
END $$;

-- Takes one capture instance away; with the last one the source is no longer watched.
CREATE OR REPLACE FUNCTION standin.drop_instance(instance text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    i standin.cdc_instance%ROWTYPE;
BEGIN
    DELETE FROM standin.cdc_instance WHERE capture_instance = instance RETURNING * INTO i;
    EXECUTE format('DROP FUNCTION IF EXISTS cdc.%I', 'fn_cdc_get_all_changes_' || instance);
    EXECUTE format('DROP TABLE IF EXISTS cdc.%I', instance || '_CT');
    DELETE FROM cdc.change_tables WHERE object_id = i.change_relid::int;
    DELETE FROM cdc.captured_columns WHERE object_id = i.change_relid::int;
    DELETE FROM cdc.index_columns WHERE object_id = i.change_relid::int;
    DELETE FROM cdc.ddl_history WHERE object_id = i.change_relid::int;
    DELETE FROM standin.column WHERE relid = i.change_relid;
    DELETE FROM standin.cdc_source s WHERE s.relid = i.source_relid AND NOT standin.is_captured(i.source_relid);
    IF NOT standin.is_captured(i.source_relid) AND EXISTS (SELECT FROM pg_class WHERE oid = i.source_relid) THEN
        EXECUTE format('DROP TRIGGER IF EXISTS standin_no_truncate ON %s', i.source_relid::regclass);
        IF EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = i.source_relid) THEN
            EXECUTE format('ALTER PUBLICATION standin_cdc DROP TABLE %s', i.source_relid::regclass);
        END IF;
    END IF;
END $$;

-- sys.sp_cdc_disable_table (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.sp_cdc_disable_table(source_schema text, source_name text, capture_instance text) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    source oid := standin.relation(format('[%s].[%s]', source_schema, source_name));
    i record;
    found boolean := false;
BEGIN
    PERFORM standin.need_cdc_database(), standin.need_owner();
    IF source IS NULL OR NOT standin.is_captured(source) THEN
        PERFORM standin.fail(22985, format('Change data capture has not been enabled for source table ''%s.%s''. Specify the name of a table enabled for Change Data Capture. To report on the tables enabled for Change Data Capture, query the is_tracked_by_cdc column in the sys.tables catalog view.', source_schema, source_name));
    END IF;
    PERFORM pg_advisory_xact_lock(21830, 1);
    FOR i IN SELECT c.capture_instance AS name FROM standin.cdc_instance c
            WHERE c.source_relid = source AND (lower(capture_instance COLLATE "C") = 'all' OR lower(c.capture_instance COLLATE "C") = lower(capture_instance COLLATE "C")) LOOP
        PERFORM standin.drop_instance(i.name);
        found := true;
    END LOOP;
    IF NOT found THEN
        PERFORM standin.fail(22960, format('Change data capture instance ''%s'' has not been enabled for the source table ''%s.%s''. Use sys.sp_cdc_help_change_data_capture to verify the capture instance name and retry the operation.', capture_instance, source_schema, source_name));
    END IF;
END $$;

-- sys.sp_cdc_help_change_data_capture (Transact-SQL)
CREATE TYPE standin.cdc_help AS (source_schema sys.sysname, source_table sys.sysname, capture_instance sys.sysname, object_id int,
    source_object_id int, start_lsn sys.binary(10), end_lsn sys.binary(10), supports_net_changes sys.bit, has_drop_pending sys.bit,
    role_name sys.sysname, index_name sys.sysname, filegroup_name sys.sysname, create_date sys.datetime,
    index_column_list sys.nvarcharmax, captured_column_list sys.nvarcharmax);
CREATE OR REPLACE FUNCTION sys.sp_cdc_help_change_data_capture(source_schema text DEFAULT NULL, source_name text DEFAULT NULL)
RETURNS SETOF standin.cdc_help LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    wanted_schema pg_catalog.text := $1;
    wanted_name pg_catalog.text := $2;
BEGIN
    PERFORM standin.need_cdc_database();
    IF (coalesce(wanted_schema, '') = '') <> (coalesce(wanted_name, '') = '') THEN
        PERFORM standin.fail(22972, 'When calling stored procedure [sys].sp_cdc_help_change_data capture, if either @source_schema or @source_name is non-null and non-empty, the other parameter must also be non-null and non-empty.');
    END IF;
    RETURN QUERY
    SELECT n.nspname::pg_catalog.text::sys.sysname, c.relname::pg_catalog.text::sys.sysname, t.capture_instance, t.object_id, t.source_object_id, t.start_lsn,
        t.end_lsn, t.supports_net_changes, t.has_drop_pending, t.role_name, t.index_name, t.filegroup_name, t.create_date,
        (SELECT string_agg(format('[%s]', x.column_name), ', ' ORDER BY x.index_ordinal::int) FROM cdc.index_columns x WHERE x.object_id = t.object_id)::sys.nvarcharmax,
        (SELECT string_agg(format('[%s]', x.column_name), ', ' ORDER BY x.column_ordinal) FROM cdc.captured_columns x WHERE x.object_id = t.object_id)::sys.nvarcharmax
    FROM cdc.change_tables t JOIN pg_class c ON c.oid::int = t.source_object_id JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE coalesce(wanted_name, '') = '' OR (lower(n.nspname COLLATE "C") = lower(wanted_schema COLLATE "C") AND lower(c.relname COLLATE "C") = lower(wanted_name COLLATE "C"))
    ORDER BY t.object_id;
END $$;

-- sys.sp_cdc_vupgrade (Transact-SQL): gives change tables the column __$command_id where an upgrade left it out.
CREATE OR REPLACE FUNCTION sys.sp_cdc_vupgrade() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    i record;
BEGIN
    PERFORM standin.need_cdc_database();
    PERFORM pg_advisory_xact_lock(21830, 1);
    FOR i IN SELECT change_relid::regclass AS change FROM standin.cdc_instance x
            WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = x.change_relid AND a.attname = '__$command_id') LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN "__$command_id" int', i.change);
    END LOOP;
END $$;
