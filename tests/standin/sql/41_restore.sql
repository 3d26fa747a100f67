-- SPDX-License-Identifier: PostgreSQL
-- What tests need beyond T-SQL: a database that was restored, and one that can be dropped.

-- The database as it is after RESTORE to the moment of `at` (an LSN of cdc.lsn_time_mapping): change history ends there, the
-- next LSNs follow it, and so go back below those already handed out; recovery_fork_guid is new, database_guid too
-- unless it is the same database restored over itself (sys.database_recovery_status (Transact-SQL)); msdb notes the
-- restore. The rows of the tables are the test's business. The capture job must be idle.
CREATE OR REPLACE FUNCTION standin.restore(at bytea, new_database boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    i record;
    -- where the first 8 bytes of the next LSN would be without the restore, and where they are to be
    next_now bigint := (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint + standin.setting('lsn_shift', '274877906944')::bigint;
    next_wanted bigint := ('x' || encode(substr(at, 1, 8), 'hex'))::bit(64)::bigint + 8;
BEGIN
    IF coalesce(standin.database_property('is_cdc_enabled'), '0') = '1' THEN
        PERFORM pg_advisory_xact_lock(21830, 1);
        FOR i IN SELECT change_relid::regclass AS change FROM standin.cdc_instance LOOP
            EXECUTE format('DELETE FROM %s WHERE "__$start_lsn"::bytea > $1', i.change) USING at;
        END LOOP;
        DELETE FROM cdc.lsn_time_mapping WHERE start_lsn::bytea > at;
        DELETE FROM cdc.ddl_history WHERE ddl_lsn::bytea > at;
    END IF;
    PERFORM standin.set('lsn_shift', (standin.setting('lsn_shift', '274877906944')::bigint + next_wanted - next_now)::pg_catalog.text);
    PERFORM standin.set_database_property(current_database(), 'recovery_fork_guid', to_jsonb(gen_random_uuid()));
    IF new_database THEN
        PERFORM standin.set_database_property(current_database(), 'database_guid', to_jsonb(gen_random_uuid()));
    END IF;
    INSERT INTO msdb_dbo.restorehistory (restore_date, destination_database_name, user_name, restore_type, replace, recovery)
    VALUES (clock_timestamp()::timestamp::sys.datetime, current_database()::pg_catalog.text::sys.nvarchar(128), standin.login()::sys.nvarchar(128),
        'D'::sys."char"(1), 1::sys.bit, 1::sys.bit);
END $$;

-- Before DROP DATABASE: its slot and its sessions, the jobs' among them. Run from another database.
CREATE OR REPLACE FUNCTION standin.release_database(db text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM standin.set_database_property(db, 'is_cdc_enabled', '0');
    FOR i IN 1..100 LOOP
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = db AND pid <> pg_backend_pid();
        PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = db AND active;
        PERFORM pg_stat_clear_snapshot();
        IF NOT EXISTS (SELECT FROM pg_replication_slots WHERE database = db AND active) THEN
            PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = db;
            RETURN;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;

-- MIN_ACTIVE_ROWVERSION (Transact-SQL): the counter is read before the locks of open writers; the other way round a writer
-- that begins in between would be missed.
CREATE OR REPLACE FUNCTION standin.min_active_rowversion() RETURNS sys."binary" LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    next_one bigint := (SELECT last_value + is_called::int FROM standin.rowversion);
    oldest bigint := (SELECT min(objid::bigint) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1398 AND objsubid = 2
        AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()));
BEGIN
    RETURN int8send(least(oldest, next_one))::sys."binary";
END $$;
