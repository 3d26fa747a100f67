-- SPDX-License-Identifier: PostgreSQL
-- Change tracking: About Change Tracking; CHANGETABLE (Transact-SQL). For the translator:
--
--   ALTER DATABASE d SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 2 DAYS, AUTO_CLEANUP = ON)  -> standin.ct_database('d', true, 2, 'DAYS', true)
--   ALTER DATABASE d SET CHANGE_TRACKING = OFF           -> standin.ct_database('d', false)
--   ALTER TABLE t ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)                    -> standin.ct_enable(oid, true)
--   ALTER TABLE t DISABLE CHANGE_TRACKING                -> standin.ct_disable(oid)
--   CHANGETABLE(CHANGES t, v)                            -> standin."ct_changes_<oid>"(v)
--   CHANGETABLE(VERSION t, (a, b), (x, y))               -> standin."ct_version_<oid>"("a" => x, "b" => y)
--   WITH CHANGE_TRACKING_CONTEXT(x) … DML                -> standin.ct_context(x) before, standin.ct_context(NULL) after
--   standin.ct_name(oid, 'changes'|'version') gives the function's name, or raises 22105.
--
-- A tracked change is a row of the side table standin."ct_<oid>" with the transaction's id. The version belongs to the
-- transaction: a deferred trigger draws it at commit, holding a lock until the commit is over, so that versions become
-- visible in their order (as sys.dm_tran_commit_table's commit_ts).

CREATE TABLE standin.ct_commit (xid xid8 PRIMARY KEY, version bigint UNIQUE, committed timestamp);
CREATE TABLE standin.ct_table (
    relid oid PRIMARY KEY, track_columns boolean NOT NULL, begin_version bigint NOT NULL, min_valid_version bigint NOT NULL,
    cleanup_version bigint NOT NULL DEFAULT 0, key_attnums int2[] NOT NULL
);
CREATE SEQUENCE standin.ct_version START 1;

CREATE OR REPLACE FUNCTION standin.ct_on() RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT standin.database_properties((SELECT oid FROM pg_database WHERE datname = current_database())) -> 'change_tracking'
$$;

-- CHANGE_TRACKING_CURRENT_VERSION (Transact-SQL): of the last committed transaction that changed a tracked table; NULL if
-- change tracking is off. In a SNAPSHOT transaction, as of the snapshot.
CREATE OR REPLACE FUNCTION sys.change_tracking_current_version() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN coalesce(standin.ct_on(), 'null') <> 'null' THEN
        coalesce((SELECT max(version) FROM standin.ct_commit), standin.setting('ct_floor', '0')::bigint) END
$$;

-- CHANGE_TRACKING_MIN_VALID_VERSION (Transact-SQL): NULL if the table is not tracked or not there.
CREATE OR REPLACE FUNCTION sys.change_tracking_min_valid_version(table_object_id int) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT min_valid_version FROM standin.ct_table WHERE relid::int = table_object_id
$$;

CREATE OR REPLACE FUNCTION standin.ct_draw() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(21830, 7);
    UPDATE standin.ct_commit SET version = nextval('standin.ct_version'), committed = clock_timestamp()::timestamp WHERE xid = NEW.xid;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER standin_draw AFTER INSERT ON standin.ct_commit DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION standin.ct_draw();

-- ALTER DATABASE SET options (Transact-SQL): <change_tracking_option>. 22115, 5088 and 5089 as documented.
CREATE OR REPLACE FUNCTION standin.ct_database(db text, turn_on boolean, retention int DEFAULT NULL, units text DEFAULT NULL,
    auto_cleanup boolean DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now_on jsonb := standin.ct_on();
BEGIN
    IF db <> current_database() THEN
        PERFORM standin.fail(102, 'stand-in: change tracking is switched in the current database only');
    END IF;
    IF turn_on AND coalesce(now_on, 'null') <> 'null' THEN
        PERFORM standin.fail(5088, format('Change tracking is already enabled for database ''%s''.', db));
    ELSIF NOT turn_on AND coalesce(now_on, 'null') = 'null' THEN
        PERFORM standin.fail(5089, format('Change tracking is disabled for database ''%s''. Change tracking must be enabled on a database to modify change tracking settings.', db));
    ELSIF NOT turn_on AND EXISTS (SELECT FROM standin.ct_table) THEN
        PERFORM standin.fail(22115, format('Change tracking is enabled for one or more tables in database ''%s''. Disable change tracking on each table before disabling it for the database. Use the sys.change_tracking_tables catalog view to obtain a list of tables for which change tracking is enabled.', db));
    END IF;
    PERFORM standin.set_database_property(db, 'change_tracking', CASE WHEN turn_on THEN jsonb_build_object(
        'retention', coalesce(retention, 2), 'units', rtrim(upper(coalesce(units, 'DAYS')), 'S') || 'S', 'auto_cleanup', coalesce(auto_cleanup, true))
        ELSE 'null' END);
END $$;

-- SET CHANGE_TRACKING (CHANGE_RETENTION = …, AUTO_CLEANUP = …) of a database where it is on.
CREATE OR REPLACE FUNCTION standin.ct_change(db text, retention int, units text, auto_cleanup boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now_on jsonb := standin.ct_on();
BEGIN
    IF coalesce(now_on, 'null') = 'null' THEN
        PERFORM standin.fail(5089, format('Change tracking is disabled for database ''%s''. Change tracking must be enabled on a database to modify change tracking settings.', db));
    END IF;
    PERFORM standin.set_database_property(db, 'change_tracking', jsonb_build_object('retention', coalesce(retention, (now_on ->> 'retention')::int),
        'units', coalesce(rtrim(upper(units), 'S') || 'S', now_on ->> 'units'), 'auto_cleanup', coalesce(auto_cleanup, (now_on ->> 'auto_cleanup')::boolean)));
END $$;

-- The context of the next changes (WITH CHANGE_TRACKING_CONTEXT (Transact-SQL)).
CREATE OR REPLACE FUNCTION standin.ct_context(context bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF length(context) > 128 THEN
        PERFORM standin.fail(22109, 'The "context" argument for the CHANGE_TRACKING_CONTEXT WITH clause must be of type varbinary data type with a maximum length of 128.');
    END IF;
    PERFORM set_config('standin.ct_context', coalesce(encode(context, 'hex'), ''), false);
END $$;

CREATE OR REPLACE FUNCTION standin.ct_label(tab oid) RETURNS pg_catalog.text LANGUAGE sql STABLE AS $$ SELECT relname::pg_catalog.text FROM pg_class WHERE oid = tab $$;

-- Notes the transaction once; every tracked row calls it.
CREATE OR REPLACE FUNCTION standin.ct_transaction() RETURNS xid8 LANGUAGE plpgsql AS $$
DECLARE
    me xid8 := pg_current_xact_id();
BEGIN
    IF coalesce(current_setting('standin.ct_xid', true), '') <> me::pg_catalog.text THEN
        INSERT INTO standin.ct_commit (xid) VALUES (me) ON CONFLICT DO NOTHING;
        PERFORM set_config('standin.ct_xid', me::pg_catalog.text, true);
    END IF;
    RETURN me;
END $$;

-- ALTER TABLE … ENABLE CHANGE_TRACKING: 4996, 4997 (no primary key), 5089. Makes the side table, its triggers, and the
-- two functions that CHANGETABLE is.
CREATE OR REPLACE FUNCTION standin.ct_enable(tab oid, track_columns boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    label pg_catalog.text := standin.ct_label(tab);
    side pg_catalog.text := format('standin.%I', 'ct_' || tab);
    keys int2[] := (SELECT (indkey::int2[])[0:indnkeyatts - 1] FROM pg_index WHERE indrelid = tab AND indisprimary);
    names pg_catalog.text[];
    declared pg_catalog.text;
BEGIN
    IF coalesce(standin.ct_on(), 'null') = 'null' THEN
        PERFORM standin.fail(22088, format('Change tracking is not enabled on database ''%s''.', current_database()));
    ELSIF EXISTS (SELECT FROM standin.ct_table t WHERE t.relid = tab) THEN
        PERFORM standin.fail(4996, format('Change tracking is already enabled for table ''%s''.', label));
    ELSIF keys IS NULL THEN
        PERFORM standin.fail(4997, format('Cannot enable change tracking on table ''%s''. Change tracking requires a primary key on the table. Create a primary key on the table before enabling change tracking.', label));
    END IF;
    SELECT array_agg(quote_ident(a.attname) ORDER BY k.ordinal), string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)
            || CASE WHEN a.attcollation <> 0 THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END), ', ' ORDER BY k.ordinal)
    INTO names, declared FROM unnest(keys) WITH ORDINALITY AS k(attnum, ordinal) JOIN pg_attribute a ON a.attrelid = tab AND a.attnum = k.attnum;
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', tab::regclass);
    EXECUTE format('CREATE TABLE %s (xid xid8 NOT NULL, seq bigint GENERATED ALWAYS AS IDENTITY, op "char" NOT NULL, changed int2[], context bytea, %s)', side, declared);
    EXECUTE format('CREATE INDEX ON %s (xid)', side);
    EXECUTE format('CREATE INDEX ON %s (%s)', side, array_to_string(names, ', '));
    INSERT INTO standin.ct_table VALUES (tab, track_columns, sys.change_tracking_current_version(), sys.change_tracking_current_version(), 0, keys);
    PERFORM standin.ct_make_trigger(tab, names), standin.ct_make_changes(tab, names), standin.ct_make_version(tab, names);
END $$;

-- The row triggers. Which columns an UPDATE named a trigger can't know: those whose value changed are noted. The page
-- has every column named in SET; a statement that sets a column to its own value is thus shown narrower here.
CREATE OR REPLACE FUNCTION standin.ct_make_trigger(tab oid, names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    f pg_catalog.text := format('standin.%I', 'ct_track_' || tab);
    columns pg_catalog.text := array_to_string(names, ', ');
    new_key pg_catalog.text := (SELECT string_agg('NEW.' || n, ', ' ORDER BY i) FROM unnest(names) WITH ORDINALITY AS x(n, i));
    old_key pg_catalog.text := (SELECT string_agg('OLD.' || n, ', ' ORDER BY i) FROM unnest(names) WITH ORDINALITY AS x(n, i));
    same_key pg_catalog.text := (SELECT string_agg(format('standin.same(OLD.%s::pg_catalog.text, NEW.%s::pg_catalog.text)', n, n), ' AND ') FROM unnest(names) n);
    changed pg_catalog.text := (SELECT string_agg(format('CASE WHEN NOT standin.same(OLD.%I::pg_catalog.text, NEW.%I::pg_catalog.text) THEN ARRAY[%s]::int2[] ELSE ''{}'' END', a.attname, a.attname, a.attnum), ' || ' ORDER BY a.attnum)
        FROM pg_attribute a LEFT JOIN standin.column k ON k.relid = a.attrelid AND k.attnum = a.attnum
        WHERE a.attrelid = tab AND a.attnum > 0 AND NOT a.attisdropped AND k.computed IS NULL AND a.attgenerated = '');
BEGIN
    EXECUTE format($f$CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $t$
DECLARE
    me xid8 := standin.ct_transaction();
    context bytea := decode(nullif(current_setting('standin.ct_context', true), ''), 'hex');
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO standin.%I (xid, op, context, %s) VALUES (me, 'I', context, %s);
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO standin.%I (xid, op, context, %s) VALUES (me, 'D', context, %s);
    ELSIF %s THEN
        INSERT INTO standin.%I (xid, op, changed, context, %s) VALUES (me, 'U', %s, context, %s);
    ELSE
        INSERT INTO standin.%I (xid, op, context, %s) VALUES (me, 'D', context, %s), (me, 'I', context, %s);
    END IF;
    RETURN NULL;
END $t$ SET search_path = pg_catalog$f$, f, 'ct_' || tab, columns, new_key, 'ct_' || tab, columns, old_key, same_key, 'ct_' || tab, columns, changed, new_key,
        'ct_' || tab, columns, old_key, new_key);
    EXECUTE format('DROP TRIGGER IF EXISTS standin_track ON %s', tab::regclass);
    EXECUTE format('CREATE TRIGGER standin_track AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %s()', tab::regclass, f);
    EXECUTE format('DROP TRIGGER IF EXISTS standin_truncated ON %s', tab::regclass);
    EXECUTE format('CREATE TRIGGER standin_truncated AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION standin.ct_truncated()', tab::regclass);
END $$;

CREATE OR REPLACE FUNCTION standin.same(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT a COLLATE "C" IS NOT DISTINCT FROM b COLLATE "C" $$;

-- TRUNCATE TABLE resets the table's tracking as if it had just been enabled (CHANGETABLE, Remarks).
CREATE OR REPLACE FUNCTION standin.ct_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DELETE FROM standin.%I', 'ct_' || TG_RELID);
    PERFORM standin.ct_transaction();
    UPDATE standin.ct_table SET min_valid_version = sys.change_tracking_current_version() + 1,
        begin_version = sys.change_tracking_current_version() + 1 WHERE relid = TG_RELID;
    RETURN NULL;
END $$;

-- The list of changed columns: opaque, for CHANGE_TRACKING_IS_COLUMN_IN_MASK; four bytes a column. NULL when all
-- non-key columns changed, or none is known to have.
CREATE OR REPLACE FUNCTION standin.ct_mask(changed int2[]) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT '\x00000000'::bytea || string_agg(int4send(n), '' ORDER BY n) FROM unnest(changed) n
$$;
CREATE OR REPLACE FUNCTION sys.change_tracking_is_column_in_mask(column_id int, change_columns bytea) RETURNS sys.bit LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN column_id IS NULL THEN NULL WHEN change_columns IS NULL THEN 1::sys.bit ELSE EXISTS (SELECT FROM generate_series(5, length(change_columns), 4) i
        WHERE substr(change_columns, i, 4) = int4send(column_id))::int::sys.bit END
$$;

-- CHANGETABLE(CHANGES t, v): one row for each key changed after v. Operation relative to v: inserted since = I, unless
-- the row was deleted since before (then the page calls it an update of all columns); last seen deleted = D.
CREATE OR REPLACE FUNCTION standin.ct_make_changes(tab oid, names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    keys pg_catalog.text := array_to_string(names, ', ');
    declared pg_catalog.text := (SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, NULL)), ', ' ORDER BY k.ordinal)
        FROM standin.ct_table t, unnest(t.key_attnums) WITH ORDINALITY AS k(attnum, ordinal), pg_attribute a
        WHERE t.relid = tab AND a.attrelid = tab AND a.attnum = k.attnum);
    plain int := (SELECT count(*) FROM pg_attribute a LEFT JOIN standin.column k ON k.relid = a.attrelid AND k.attnum = a.attnum, standin.ct_table t
        WHERE t.relid = tab AND a.attrelid = tab AND a.attnum > 0 AND NOT a.attisdropped AND k.computed IS NULL AND NOT a.attnum = ANY (t.key_attnums));
BEGIN
    EXECUTE format($f$CREATE OR REPLACE FUNCTION standin.%I(last_sync_version bigint) RETURNS TABLE ("SYS_CHANGE_VERSION" bigint,
    "SYS_CHANGE_CREATION_VERSION" bigint, "SYS_CHANGE_OPERATION" sys."nchar", "SYS_CHANGE_COLUMNS" sys.varbinary, "SYS_CHANGE_CONTEXT" sys.varbinary, %s)
LANGUAGE sql STABLE AS $q$
    SELECT g.last_version, g.creation, g.operation::sys."nchar"(1),
        (CASE WHEN g.operation = 'U' AND g.tracked AND g.first_op = 'U' AND g.narrow THEN standin.ct_mask(g.columns) END)::sys.varbinary(4100),
        g.context::sys.varbinary(128), %s
    FROM (SELECT x.*, CASE WHEN last_op = 'D' THEN 'D' WHEN first_op = 'I' THEN 'I' ELSE 'U' END AS operation,
            (SELECT t.track_columns FROM standin.ct_table t WHERE t.relid = %s) AS tracked
        FROM (SELECT %s, max(c.version) AS last_version, max(c.version) FILTER (WHERE s.op = 'I') AS creation,
                (array_agg(s.op ORDER BY c.version, s.seq))[1] AS first_op, (array_agg(s.op ORDER BY c.version DESC, s.seq DESC))[1] AS last_op,
                bool_and(coalesce(cardinality(s.changed), 0) BETWEEN 1 AND %s - 1) AS narrow,
                (SELECT array_agg(DISTINCT u) FROM unnest(string_to_array(string_agg(array_to_string(s.changed, ','), ','), ',')::int2[]) u) AS columns,
                (array_agg(s.context ORDER BY c.version DESC, s.seq DESC))[1] AS context
            FROM standin.%I s JOIN standin.ct_commit c ON c.xid = s.xid
            WHERE c.version > coalesce(last_sync_version, -1) GROUP BY %s) x) g
$q$ $f$, 'ct_changes_' || tab, declared, (SELECT string_agg('g.' || n, ', ' ORDER BY i) FROM unnest(names) WITH ORDINALITY AS x(n, i)), tab, keys,
        greatest(plain, 1), 'ct_' || tab, keys);
    EXECUTE format('ALTER FUNCTION standin.%I SET search_path = sys, pg_catalog', 'ct_changes_' || tab);
END $$;

-- CHANGETABLE(VERSION t, (key), (values)): one row for a key that is there or tracked; version NULL if not tracked.
CREATE OR REPLACE FUNCTION standin.ct_make_version(tab oid, names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    facts record;
BEGIN
    SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, NULL)), ', ' ORDER BY k.ordinal) AS arguments,
        string_agg(format('%I %s', 'of_' || a.attname, format_type(a.atttypid, NULL)), ', ' ORDER BY k.ordinal) AS declared,
        string_agg(format('t.%I = $%s', a.attname, k.ordinal), ' AND ') AS condition, string_agg(format('s.%I = $%s', a.attname, k.ordinal), ' AND ') AS tracked,
        string_agg('$' || k.ordinal, ', ' ORDER BY k.ordinal) AS given
    INTO facts FROM standin.ct_table t, unnest(t.key_attnums) WITH ORDINALITY AS k(attnum, ordinal), pg_attribute a
    WHERE t.relid = tab AND a.attrelid = tab AND a.attnum = k.attnum;
    EXECUTE format('DROP TYPE IF EXISTS standin.%I CASCADE', 'ct_row_' || tab);
    EXECUTE format('CREATE TYPE standin.%I AS ("SYS_CHANGE_VERSION" bigint, "SYS_CHANGE_CONTEXT" sys.varbinary, %s)', 'ct_row_' || tab, facts.arguments);
    EXECUTE format($f$CREATE FUNCTION standin.%I(%s) RETURNS SETOF standin.%I LANGUAGE sql STABLE AS $q$
    SELECT l.version, l.context::sys.varbinary(128), %s
    FROM (SELECT) one LEFT JOIN LATERAL (SELECT c.version, s.context FROM standin.%I s JOIN standin.ct_commit c ON c.xid = s.xid
        WHERE c.version IS NOT NULL AND %s ORDER BY c.version DESC, s.seq DESC LIMIT 1) l ON true
    WHERE EXISTS (SELECT FROM %s t WHERE %s) OR l.version IS NOT NULL
$q$ SET search_path = sys, pg_catalog$f$, 'ct_version_' || tab, facts.arguments, 'ct_row_' || tab, facts.given, 'ct_' || tab, facts.tracked, tab::regclass, facts.condition);
END $$;

CREATE OR REPLACE FUNCTION standin.ct_name(tab oid, kind text) RETURNS pg_catalog.text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM standin.ct_table t WHERE t.relid = tab) THEN
        PERFORM standin.fail(22105, format('Change tracking is not enabled on table ''%s''.', standin.ct_label(tab)));
    END IF;
    RETURN format('standin.%I', 'ct_' || kind || '_' || tab);
END $$;

-- ALTER TABLE … DISABLE CHANGE_TRACKING
CREATE OR REPLACE FUNCTION standin.ct_disable(tab oid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM standin.ct_table t WHERE t.relid = tab;
    IF NOT FOUND THEN
        PERFORM standin.fail(4998, format('Change tracking is not enabled on table ''%s''.', standin.ct_label(tab)));
    END IF;
    EXECUTE format('DROP TRIGGER IF EXISTS standin_track ON %s', tab::regclass);
    EXECUTE format('DROP TRIGGER IF EXISTS standin_truncated ON %s', tab::regclass);
    PERFORM standin.ct_forget(tab);
END $$;
CREATE OR REPLACE FUNCTION standin.ct_forget(tab oid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP FUNCTION IF EXISTS standin.%I', 'ct_changes_' || tab);
    EXECUTE format('DROP FUNCTION IF EXISTS standin.%I', 'ct_version_' || tab);
    EXECUTE format('DROP TYPE IF EXISTS standin.%I', 'ct_row_' || tab);
    EXECUTE format('DROP FUNCTION IF EXISTS standin.%I CASCADE', 'ct_track_' || tab);
    EXECUTE format('DROP TABLE IF EXISTS standin.%I', 'ct_' || tab);
END $$;

-- Clean-up of what is older than `keep` (sp_flush_CT_internal_table_on_demand (Transact-SQL) does the like by hand): the
-- versions up to the newest such commit go, and the minimal valid version becomes that one.
CREATE OR REPLACE FUNCTION standin.ct_cleanup(keep interval) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    upto bigint := (SELECT max(version) FROM standin.ct_commit WHERE committed <= clock_timestamp()::timestamp - keep);
    t record;
BEGIN
    IF upto IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM standin.set('ct_floor', upto::pg_catalog.text);
    FOR t IN SELECT relid FROM standin.ct_table LOOP
        EXECUTE format('DELETE FROM standin.%I s USING standin.ct_commit c WHERE c.xid = s.xid AND c.version <= %s', 'ct_' || t.relid, upto);
    END LOOP;
    UPDATE standin.ct_table SET min_valid_version = greatest(min_valid_version, upto), cleanup_version = upto;
    DELETE FROM standin.ct_commit WHERE version <= upto;
    RETURN upto;
END $$;
CREATE OR REPLACE FUNCTION sys.sp_flush_ct_internal_table_on_demand(tabletoclean text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    kept jsonb := standin.ct_on();
BEGIN
    PERFORM standin.ct_cleanup(((kept ->> 'retention') || ' ' || (kept ->> 'units'))::interval);
END $$;

-- sys.change_tracking_databases (Transact-SQL)
CREATE VIEW sys.change_tracking_databases AS
SELECT d.id AS database_id, ((p -> 'change_tracking' ->> 'auto_cleanup')::boolean)::int::sys.bit AS is_auto_cleanup_on,
    (p -> 'change_tracking' ->> 'retention')::int AS retention_period,
    (CASE p -> 'change_tracking' ->> 'units' WHEN 'MINUTES' THEN 1 WHEN 'HOURS' THEN 2 ELSE 3 END)::sys.tinyint AS retention_period_units,
    (p -> 'change_tracking' ->> 'units')::sys.nvarchar(60) AS retention_period_units_desc, NULL::bigint AS max_cleanup_version
FROM standin.databases d WHERE jsonb_typeof(p -> 'change_tracking') = 'object';

-- sys.change_tracking_tables (Transact-SQL)
CREATE VIEW sys.change_tracking_tables AS
SELECT t.relid::int AS object_id, t.track_columns::int::sys.bit AS is_track_columns_updated_on, t.min_valid_version, t.begin_version, t.cleanup_version
FROM standin.ct_table t;

-- sys.dm_tran_commit_table (Transact-SQL)
CREATE VIEW sys.dm_tran_commit_table AS
SELECT c.version AS commit_ts, c.xid::pg_catalog.text::bigint AS xdes_id, 0::bigint AS commit_lbn, c.version AS commit_csn,
    c.committed::sys.datetime AS commit_time FROM standin.ct_commit c WHERE c.version IS NOT NULL;

-- A tracked table that is dropped takes its tracking along.
CREATE OR REPLACE FUNCTION standin.on_drop_tracked() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    i record;
BEGIN
    FOR i IN DELETE FROM standin.ct_table t USING pg_event_trigger_dropped_objects() d
            WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND t.relid = d.objid RETURNING t.relid LOOP
        PERFORM standin.ct_forget(i.relid);
    END LOOP;
END $$;
CREATE EVENT TRIGGER standin_drop_tracked ON sql_drop EXECUTE FUNCTION standin.on_drop_tracked();
