-- SPDX-License-Identifier: PostgreSQL
-- Change data capture: functions over LSNs, clean-up, schema changes, and what the log scan shows of itself.

-- sys.fn_cdc_get_min_lsn (Transact-SQL): start_lsn of the instance; all zeros if there is none, or if the caller has no
-- right to it (hazard 9). For an instance whose low endpoint is not established the page is silent: zeros, too.
CREATE OR REPLACE FUNCTION sys.fn_cdc_get_min_lsn(capture_instance text) RETURNS sys.binary LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    found bytea;
BEGIN
    IF standin.database_property('is_cdc_enabled') = '1' THEN
        SELECT t.start_lsn::bytea INTO found FROM cdc.change_tables t
        WHERE lower(t.capture_instance::pg_catalog.text COLLATE "C") = lower(fn_cdc_get_min_lsn.capture_instance COLLATE "C")
          AND (t.role_name IS NULL OR sys.is_member(t.role_name::pg_catalog.text) = 1);
    END IF;
    RETURN coalesce(found, '\x00000000000000000000')::sys.binary;
END $$;

-- sys.fn_cdc_get_max_lsn (Transact-SQL): the newest start_lsn of cdc.lsn_time_mapping; NULL if there is none.
CREATE OR REPLACE FUNCTION sys.fn_cdc_get_max_lsn() RETURNS sys.binary LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF coalesce(standin.database_property('is_cdc_enabled'), '0') <> '1' THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT m.start_lsn FROM cdc.lsn_time_mapping m ORDER BY m.start_lsn DESC LIMIT 1);
END $$;

-- sys.fn_cdc_map_lsn_to_time (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.fn_cdc_map_lsn_to_time(lsn bytea) RETURNS sys.datetime LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT m.tran_end_time FROM cdc.lsn_time_mapping m WHERE m.start_lsn OPERATOR(sys.=) lsn::sys.varbinarymax);
END $$;

-- sys.fn_cdc_map_time_to_lsn (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.fn_cdc_map_time_to_lsn(operator text, tracking_time sys.datetime) RETURNS sys.binary LANGUAGE plpgsql STABLE AS $$
DECLARE
    t timestamp := tracking_time::timestamp;
    found sys.binary;
BEGIN
    CASE lower(operator COLLATE "C")
        WHEN 'largest less than' THEN
            SELECT m.start_lsn INTO found FROM cdc.lsn_time_mapping m WHERE m.tran_end_time::timestamp < t ORDER BY m.start_lsn DESC LIMIT 1;
        WHEN 'largest less than or equal' THEN
            SELECT m.start_lsn INTO found FROM cdc.lsn_time_mapping m WHERE m.tran_end_time::timestamp <= t ORDER BY m.start_lsn DESC LIMIT 1;
        WHEN 'smallest greater than' THEN
            SELECT m.start_lsn INTO found FROM cdc.lsn_time_mapping m WHERE m.tran_end_time::timestamp > t ORDER BY m.start_lsn LIMIT 1;
        WHEN 'smallest greater than or equal' THEN
            SELECT m.start_lsn INTO found FROM cdc.lsn_time_mapping m WHERE m.tran_end_time::timestamp >= t ORDER BY m.start_lsn LIMIT 1;
        ELSE NULL;
    END CASE;
    RETURN found;
END $$;

-- sys.fn_cdc_increment_lsn, sys.fn_cdc_decrement_lsn (Transact-SQL): the next and the previous 10-byte number.
CREATE OR REPLACE FUNCTION standin.lsn_plus(lsn bytea, step int) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    FOR i IN REVERSE 9..0 LOOP
        IF step > 0 THEN
            lsn := set_byte(lsn, i, (get_byte(lsn, i) + 1) % 256);
            EXIT WHEN get_byte(lsn, i) <> 0;
        ELSE
            lsn := set_byte(lsn, i, (get_byte(lsn, i) + 255) % 256);
            EXIT WHEN get_byte(lsn, i) <> 255;
        END IF;
    END LOOP;
    RETURN lsn;
END $$;
CREATE OR REPLACE FUNCTION sys.fn_cdc_increment_lsn(lsn_value bytea) RETURNS sys.binary LANGUAGE sql IMMUTABLE AS $$
    SELECT standin.lsn_plus(lsn_value, 1)::sys.binary $$;
CREATE OR REPLACE FUNCTION sys.fn_cdc_decrement_lsn(lsn_value bytea) RETURNS sys.binary LANGUAGE sql IMMUTABLE AS $$
    SELECT standin.lsn_plus(lsn_value, -1)::sys.binary $$;

-- sys.fn_cdc_get_column_ordinal, sys.fn_cdc_is_bit_set, sys.fn_cdc_has_column_changed (Transact-SQL). The first
-- captured column is the lowest bit of the last byte (hazard 14): the pages leave the layout to these functions; it is
-- seen in every change table of 9 columns and more.
CREATE OR REPLACE FUNCTION sys.fn_cdc_get_column_ordinal(capture_instance text, column_name text) RETURNS int LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN (SELECT c.column_ordinal FROM cdc.captured_columns c JOIN cdc.change_tables t ON t.object_id = c.object_id
            WHERE lower(t.capture_instance::pg_catalog.text COLLATE "C") = lower(fn_cdc_get_column_ordinal.capture_instance COLLATE "C")
              AND lower(c.column_name::pg_catalog.text COLLATE "C") = lower(fn_cdc_get_column_ordinal.column_name COLLATE "C"));
END $$;
CREATE OR REPLACE FUNCTION sys.fn_cdc_is_bit_set(bit_position int, update_mask bytea) RETURNS sys.bit LANGUAGE sql IMMUTABLE AS $$
    SELECT (CASE WHEN bit_position < 1 OR bit_position > length(update_mask) * 8 THEN 0
        ELSE (get_byte(update_mask, length(update_mask) - 1 - (bit_position - 1) / 8) >> ((bit_position - 1) % 8)) & 1 END)::sys.bit
$$;
CREATE OR REPLACE FUNCTION sys.fn_cdc_has_column_changed(capture_instance text, column_name text, update_mask bytea) RETURNS sys.bit
LANGUAGE sql STABLE AS $$
    SELECT sys.fn_cdc_is_bit_set(sys.fn_cdc_get_column_ordinal(capture_instance, column_name), update_mask)
$$;

-- cdc.fn_cdc_get_all_changes_<capture_instance> (Transact-SQL): 'all' and 'all update old'. 313 outside the validity
-- interval. The net changes function is not here: nothing asks for it.
CREATE OR REPLACE FUNCTION standin.create_all_changes(change oid, instance text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    columns pg_catalog.text := (SELECT string_agg(format('%I %s', attname, format_type(atttypid, NULL)), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = change AND attnum > 5 AND NOT attisdropped AND attname <> '__$command_id');
    selected pg_catalog.text := (SELECT string_agg(format('t.%I', attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = change AND attnum > 5 AND NOT attisdropped AND attname <> '__$command_id');
    name pg_catalog.text := 'fn_cdc_get_all_changes_' || instance;
BEGIN
    EXECUTE format('CREATE FUNCTION cdc.%I(from_lsn bytea, to_lsn bytea, row_filter_option pg_catalog.text) RETURNS TABLE ("__$start_lsn" sys.binary,
        "__$seqval" sys.binary, "__$operation" int, "__$update_mask" sys.varbinary, %s) LANGUAGE plpgsql STABLE AS $f$
#variable_conflict use_column
BEGIN
    IF from_lsn IS NULL OR to_lsn IS NULL OR from_lsn > to_lsn OR from_lsn < sys.fn_cdc_get_min_lsn(%L)::bytea
            OR sys.fn_cdc_get_min_lsn(%L)::bytea = ''\x00000000000000000000'' OR to_lsn > sys.fn_cdc_get_max_lsn()::bytea
            OR row_filter_option IS NULL OR lower(row_filter_option COLLATE "C") NOT IN (''all'', ''all update old'') THEN
        PERFORM standin.fail(313, ''An insufficient number of arguments were supplied for the procedure or function cdc.fn_cdc_get_all_changes_ ... .'', 3);
    END IF;
    RETURN QUERY SELECT t."__$start_lsn", t."__$seqval", t."__$operation", t."__$update_mask", %s FROM cdc.%I t
        WHERE t."__$start_lsn"::bytea BETWEEN from_lsn AND to_lsn AND (t."__$operation" <> 3 OR lower(row_filter_option COLLATE "C") = ''all update old'')
        ORDER BY t."__$start_lsn"::bytea, t."__$command_id", t."__$seqval"::bytea, t."__$operation";
END $f$', name, columns, instance, instance, selected, instance || '_CT');
    EXECUTE format('ALTER FUNCTION cdc.%I SET search_path = pg_catalog', name);
END $$;

-- Clean-up, as the job does it (Change data capture and other SQL Server features; sys.sp_cdc_cleanup_change_table
-- (Transact-SQL)): first every low watermark in one transaction, then the rows, in steps of @threshold.

-- Step 1: moves the low watermark of every instance to the newest entry that is older than the retention. The end of
-- the interval is the newest entry of lsn_time_mapping, not the clock. Returns the watermark, NULL if there is none.
CREATE OR REPLACE FUNCTION standin.cdc_move_watermarks(retention_minutes numeric) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    newest timestamp := (SELECT m.tran_end_time::timestamp FROM cdc.lsn_time_mapping m ORDER BY m.start_lsn DESC LIMIT 1);
    mark bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(21830, 1);
    SELECT m.start_lsn::bytea INTO mark FROM cdc.lsn_time_mapping m
    WHERE m.tran_end_time::timestamp <= newest - retention_minutes * interval '1 minute' ORDER BY m.start_lsn DESC LIMIT 1;
    UPDATE cdc.change_tables SET start_lsn = mark::sys.binary(10) WHERE start_lsn::bytea < mark;
    RETURN mark;
END $$;

-- Step 2, one step of it: deletes up to `threshold` rows below the low watermark; returns how many.
CREATE OR REPLACE FUNCTION standin.cdc_delete_old(threshold bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    i record;
    n bigint;
    total bigint := 0;
BEGIN
    FOR i IN SELECT x.change_relid::regclass AS change, t.start_lsn::bytea AS mark FROM standin.cdc_instance x
            JOIN cdc.change_tables t ON t.object_id = x.change_relid::int WHERE t.start_lsn IS NOT NULL LOOP
        EXECUTE format('DELETE FROM %s WHERE ctid IN (SELECT ctid FROM %s WHERE "__$start_lsn" OPERATOR(sys.<) $1::sys.varbinarymax LIMIT $2)', i.change, i.change)
            USING i.mark, threshold;
        GET DIAGNOSTICS n = ROW_COUNT;
        total := total + n;
    END LOOP;
    DELETE FROM cdc.lsn_time_mapping WHERE ctid IN (SELECT m.ctid FROM cdc.lsn_time_mapping m
        WHERE m.start_lsn OPERATOR(sys.<) (SELECT t.start_lsn FROM cdc.change_tables t WHERE t.start_lsn IS NOT NULL ORDER BY t.start_lsn LIMIT 1)
        LIMIT threshold);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN total + n;
END $$;

-- sys.sp_cdc_cleanup_change_table (Transact-SQL): of one instance, to a given low watermark (NULL: the present one).
-- Here in the caller's transaction; there in transactions of its own.
CREATE OR REPLACE FUNCTION sys.sp_cdc_cleanup_change_table(capture_instance text, low_water_mark bytea, threshold bigint DEFAULT 5000)
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    i record;
    low bytea;
    high bytea := sys.fn_cdc_get_max_lsn()::bytea;
    n bigint;
BEGIN
    PERFORM standin.need_cdc_database(), standin.need_owner();
    PERFORM pg_advisory_xact_lock(21830, 1);
    SELECT t.object_id, t.object_id::oid::regclass AS change, t.start_lsn::bytea AS low INTO i FROM cdc.change_tables t
    WHERE lower(t.capture_instance::pg_catalog.text COLLATE "C") = lower(capture_instance COLLATE "C");
    IF NOT FOUND THEN
        PERFORM standin.fail(22981, 'Object does not exist or access is denied.');
    ELSIF threshold <= 0 THEN
        PERFORM standin.fail(22850, 'The threshold value specified for the Change Data Capture cleanup process must be greater than 0. When creating or modifying the cleanup job, specify a positive threshold value.');
    ELSIF low_water_mark < i.low OR low_water_mark > high THEN
        PERFORM standin.fail(22957, format('LSN 0x%s, specified as the new low end point for the change table associated with capture instance ''%s'', is not within the Change Data Capture timeline [0x%s, 0x%s].',
            encode(low_water_mark, 'hex'), capture_instance, encode(i.low, 'hex'), encode(high, 'hex')));
    ELSIF low_water_mark IS NOT NULL AND NOT EXISTS (SELECT FROM cdc.lsn_time_mapping m WHERE m.start_lsn::bytea = low_water_mark) THEN
        PERFORM standin.fail(22964, format('LSN 0x%s, specified as the new low end point for change table cleanup must represent the start_lsn value of a current entry in the cdc.lsn_time_mapping table. Choose an LSN value that satisfies this requirement.', encode(low_water_mark, 'hex')));
    END IF;
    UPDATE cdc.change_tables t SET start_lsn = coalesce(low_water_mark, i.low)::sys.binary(10) WHERE t.object_id = i.object_id;
    EXECUTE format('DELETE FROM %s WHERE "__$start_lsn" OPERATOR(sys.<) $1::sys.varbinarymax', i.change) USING coalesce(low_water_mark, i.low);
END $$;

-- Schema changes (cdc.ddl_history (Transact-SQL)): left in the log in commit order; the capture job writes the history
-- and follows changes of type. A dropped source takes its instances with it; the index an instance uses can't be dropped.
CREATE OR REPLACE FUNCTION standin.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT DISTINCT d.objid FROM pg_event_trigger_ddl_commands() d WHERE d.classid = 'pg_class'::regclass LOOP
        IF standin.is_captured(c.objid) AND coalesce(current_setting('standin.quiet', true), '') <> 'on' THEN
            PERFORM pg_logical_emit_message(true, 'standin.ddl', json_build_object('relid', c.objid,
                'command', coalesce(nullif(current_setting('standin.statement', true), ''), current_query()),
                'time', clock_timestamp()::timestamp, 'columns', standin.columns_of(c.objid),
                'types', (SELECT jsonb_object_agg(a.attnum, standin.cdc_column_type(c.objid, a.attnum)) FROM pg_attribute a
                          WHERE a.attrelid = c.objid AND a.attnum > 0 AND NOT a.attisdropped))::pg_catalog.text);
        END IF;
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION standin.on_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    i record;
BEGIN
    SELECT d.object_name, c.relname, d.original INTO i FROM pg_event_trigger_dropped_objects() d JOIN standin.cdc_instance x ON x.key_index = d.objid
        JOIN pg_class c ON c.oid = x.source_relid
    WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0;
    IF FOUND AND i.original THEN
        PERFORM standin.fail(22983, format('The unique index ''%s'' on source table ''%s'' is used by Change Data Capture. To alter or drop the index, you must first disable Change Data Capture on the table.', i.object_name, i.relname));
    ELSIF FOUND THEN
        PERFORM standin.fail(22979, format('The unique index ''%s'' on table ''%s'' is used by Change Data Capture. The constraint using this index cannot be dropped or disabled.', i.object_name, i.relname));
    END IF;
    FOR i IN SELECT x.capture_instance FROM pg_event_trigger_dropped_objects() d JOIN standin.cdc_instance x ON x.source_relid = d.objid
            WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 LOOP
        PERFORM standin.drop_instance(i.capture_instance);
    END LOOP;
    DELETE FROM standin.column k USING pg_event_trigger_dropped_objects() d
        WHERE d.classid = 'pg_class'::regclass AND k.relid = d.objid AND (d.objsubid = 0 OR k.attnum = d.objsubid);
END $$;
CREATE EVENT TRIGGER standin_ddl ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION standin.on_ddl();
CREATE EVENT TRIGGER standin_drop ON sql_drop EXECUTE FUNCTION standin.on_drop();

-- When the capture job meets a schema change: history for each instance of the source, and the new type in the change
-- table, of columns whose type was another then. Called by the job.
CREATE OR REPLACE FUNCTION standin.cdc_apply_ddl(relid oid, command text, at bytea, happened timestamp, types jsonb, columns jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    i record;
    a record;
    changed boolean;
BEGIN
    UPDATE standin.cdc_source s SET columns = cdc_apply_ddl.columns WHERE s.relid = cdc_apply_ddl.relid;
    FOR i IN SELECT x.change_relid, x.attnums FROM standin.cdc_instance x WHERE x.source_relid = cdc_apply_ddl.relid LOOP
        changed := false;
        FOR a IN SELECT k.column_id::int2 AS attnum, c.attname, types ->> k.column_id::pg_catalog.text AS new_type,
                    format_type(c.atttypid, c.atttypmod) AS old_type
                FROM cdc.captured_columns k
                JOIN pg_attribute c ON c.attrelid = i.change_relid AND c.attname = k.column_name::pg_catalog.text COLLATE "C"
                WHERE k.object_id = i.change_relid::int AND types ? k.column_id::pg_catalog.text LOOP
            IF split_part(a.new_type, ' COLLATE', 1) <> a.old_type THEN
                EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', i.change_relid::regclass, a.attname, a.new_type);
                UPDATE cdc.captured_columns k SET column_type = (SELECT c.ms_type FROM standin.all_columns c
                    WHERE c.attrelid = cdc_apply_ddl.relid AND c.attnum = a.attnum)::sys.sysname
                WHERE k.object_id = i.change_relid::int AND k.column_id = a.attnum;
                DELETE FROM standin.column k USING pg_attribute b
                WHERE k.relid = i.change_relid AND b.attrelid = k.relid AND b.attnum = k.attnum AND b.attname = a.attname;
                INSERT INTO standin.column (relid, attnum, ms_type, max_length, prec, scale, nullable, "collation")
                SELECT i.change_relid, b.attnum, k.ms_type, k.max_length, k.prec, k.scale, true, k."collation"
                FROM standin.column k JOIN pg_attribute b ON b.attrelid = i.change_relid AND b.attname = a.attname
                WHERE k.relid = cdc_apply_ddl.relid AND k.attnum = a.attnum;
                changed := true;
            END IF;
        END LOOP;
        INSERT INTO cdc.ddl_history VALUES (cdc_apply_ddl.relid::int, i.change_relid::int, changed::int::sys.bit, command::sys.nvarcharmax,
            at::sys.binary(10), happened::sys.datetime);
    END LOOP;
END $$;

-- sys.sp_cdc_get_ddl_history (Transact-SQL)
CREATE TYPE standin.cdc_ddl AS (source_schema sys.sysname, source_table sys.sysname, capture_instance sys.sysname,
    required_column_update sys.bit, ddl_command sys.nvarcharmax, ddl_lsn sys.binary(10), ddl_time sys.datetime);
CREATE OR REPLACE FUNCTION sys.sp_cdc_get_ddl_history(capture_instance text) RETURNS SETOF standin.cdc_ddl LANGUAGE sql STABLE AS $$
    SELECT n.nspname::pg_catalog.text::sys.sysname, c.relname::pg_catalog.text::sys.sysname, t.capture_instance, h.required_column_update,
        h.ddl_command, h.ddl_lsn, h.ddl_time
    FROM cdc.ddl_history h JOIN cdc.change_tables t ON t.object_id = h.object_id JOIN pg_class c ON c.oid::int = t.source_object_id
        JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE lower(t.capture_instance::pg_catalog.text COLLATE "C") = lower($1 COLLATE "C") ORDER BY h.ddl_lsn::bytea
$$;

-- sys.dm_cdc_log_scan_sessions and sys.dm_cdc_errors (Transact-SQL): one row a scan, written by the capture job; the row
-- with session_id 0 sums them up. Reset when the server starts, which a private PostgreSQL does once.
CREATE TABLE standin.cdc_scan (
    session_id int PRIMARY KEY, start_time timestamp NOT NULL, end_time timestamp, start_lsn bytea, end_lsn bytea, last_commit_lsn bytea,
    last_commit_time timestamp, tran_count bigint NOT NULL DEFAULT 0, command_count bigint NOT NULL DEFAULT 0,
    schema_change_count int NOT NULL DEFAULT 0, first_begin_lsn bytea, empty_scan_count int NOT NULL DEFAULT 0, error_count int NOT NULL DEFAULT 0
);
CREATE TABLE standin.cdc_error (
    session_id int, entry_time timestamp NOT NULL DEFAULT now(), error_number int, message pg_catalog.text, start_lsn bytea
);
CREATE VIEW sys.dm_cdc_log_scan_sessions AS
SELECT s.session_id, s.start_time::sys.datetime AS start_time, s.end_time::sys.datetime AS end_time,
    (CASE WHEN s.tran_count > 0 THEN extract(epoch FROM s.end_time - s.start_time) ELSE 0 END)::bigint AS duration,
    (CASE s.session_id WHEN 0 THEN 'Aggregate' ELSE CASE WHEN s.end_time IS NULL THEN 'Last scan' ELSE 'Done' END END)::sys.nvarchar(200) AS scan_phase,
    s.error_count, standin.lsn_text(s.start_lsn)::sys.nvarchar(23) AS start_lsn,
    (CASE s.session_id WHEN 0 THEN '00000000:00000000:0000' ELSE standin.lsn_text(s.end_lsn) END)::sys.nvarchar(23) AS current_lsn,
    standin.lsn_text(s.end_lsn)::sys.nvarchar(23) AS end_lsn, s.tran_count, standin.lsn_text(s.last_commit_lsn)::sys.nvarchar(23) AS last_commit_lsn,
    s.last_commit_time::sys.datetime AS last_commit_time, s.command_count + 2 * s.tran_count AS log_record_count, s.schema_change_count,
    s.command_count, standin.lsn_text(s.first_begin_lsn)::sys.nvarchar(23) AS first_begin_cdc_lsn,
    standin.lsn_text(s.last_commit_lsn)::sys.nvarchar(23) AS last_commit_cdc_lsn, s.last_commit_time::sys.datetime AS last_commit_cdc_time,
    coalesce(greatest(extract(epoch FROM s.end_time - s.last_commit_time), 0), 0)::int AS latency, s.empty_scan_count,
    s.error_count AS failed_sessions_count
FROM (SELECT * FROM standin.cdc_scan UNION ALL
    SELECT 0, min(start_time), max(end_time), (array_agg(start_lsn ORDER BY session_id DESC))[1], (array_agg(end_lsn ORDER BY session_id DESC))[1],
        (array_agg(last_commit_lsn ORDER BY session_id DESC) FILTER (WHERE last_commit_lsn IS NOT NULL))[1], max(last_commit_time),
        sum(tran_count)::bigint, sum(command_count)::bigint, sum(schema_change_count)::int,
        (array_agg(first_begin_lsn ORDER BY session_id) FILTER (WHERE first_begin_lsn IS NOT NULL))[1],
        (array_agg(empty_scan_count ORDER BY session_id DESC))[1], sum(error_count)::int
    FROM standin.cdc_scan HAVING count(*) > 0) s;
CREATE VIEW sys.dm_cdc_errors AS
SELECT e.session_id, 1 AS phase_number, e.entry_time::sys.datetime AS entry_time, e.error_number, 16 AS error_severity, 1 AS error_state,
    e.message::sys.nvarchar(1024) AS error_message, standin.lsn_text(e.start_lsn)::sys.nvarchar(23) AS start_lsn,
    NULL::sys.nvarchar(23) AS begin_lsn, NULL::sys.nvarchar(23) AS sequence_value FROM standin.cdc_error e;
