-- SPDX-License-Identifier: PostgreSQL
-- The server and its databases: sys.databases, sys.configurations, sessions and transactions, availability.

-- Every database has them from the day it is made; ALTER DATABASE changes them: standin.set_database_property.
CREATE OR REPLACE FUNCTION standin.guid(db oid, what text) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT coalesce((standin.database_properties(db) ->> what)::uuid,
        md5(what || db::text || (SELECT system_identifier::text FROM pg_control_system()))::uuid)
$$;

CREATE VIEW standin.databases AS
SELECT d.oid, d.datname, standin.database_properties(d.oid) AS p,
    CASE d.datname WHEN 'master' THEN 1 WHEN 'tempdb' THEN 2 WHEN 'model' THEN 3 WHEN 'msdb' THEN 4 ELSE d.oid::int END AS id
FROM pg_database d WHERE NOT d.datistemplate AND d.datname NOT IN ('postgres', 'standin_template');

-- sys.databases (Transact-SQL), as of SQL Server 2016. The log waits for REPLICATION while changes are captured by no one. read_committed_snapshot and snapshot isolation default to OFF.
CREATE VIEW sys.databases AS
SELECT d.datname::sys.sysname AS name, d.id AS database_id, NULL::int AS source_database_id,
    '\x01'::bytea::sys.varbinary(85) AS owner_sid,
    coalesce((p ->> 'create_date')::timestamp, (pg_stat_file(format('base/%s/PG_VERSION', d.oid), true)).modification::timestamp)
        ::sys.datetime AS create_date,
    coalesce((p ->> 'compatibility_level')::int, 130)::sys.tinyint AS compatibility_level,
    coalesce(p ->> 'collation_name', 'SQL_Latin1_General_CP1_CI_AS')::sys.sysname AS collation_name,
    0::sys.tinyint AS user_access, 'MULTI_USER'::sys.nvarchar(60) AS user_access_desc,
    coalesce((p ->> 'is_read_only')::int, 0)::sys.bit AS is_read_only, 0::sys.bit AS is_auto_close_on,
    0::sys.bit AS is_auto_shrink_on, 0::sys.tinyint AS state, 'ONLINE'::sys.nvarchar(60) AS state_desc,
    0::sys.bit AS is_in_standby, 0::sys.bit AS is_cleanly_shutdown, 0::sys.bit AS is_supplemental_logging_enabled,
    coalesce((p ->> 'snapshot_isolation_state')::int, 0)::sys.tinyint AS snapshot_isolation_state,
    (CASE coalesce((p ->> 'snapshot_isolation_state')::int, 0) WHEN 1 THEN 'ON' WHEN 2 THEN 'IN_TRANSITION_TO_OFF'
        WHEN 3 THEN 'IN_TRANSITION_TO_ON' ELSE 'OFF' END)::sys.nvarchar(60) AS snapshot_isolation_state_desc,
    coalesce((p ->> 'is_read_committed_snapshot_on')::int, 0)::sys.bit AS is_read_committed_snapshot_on,
    (CASE coalesce(p ->> 'recovery_model', 'FULL') WHEN 'FULL' THEN 1 WHEN 'BULK_LOGGED' THEN 2 ELSE 3 END)::sys.tinyint
        AS recovery_model,
    coalesce(p ->> 'recovery_model', 'FULL')::sys.nvarchar(60) AS recovery_model_desc,
    2::sys.tinyint AS page_verify_option, 'CHECKSUM'::sys.nvarchar(60) AS page_verify_option_desc,
    1::sys.bit AS is_auto_create_stats_on, 0::sys.bit AS is_auto_create_stats_incremental_on,
    1::sys.bit AS is_auto_update_stats_on, 0::sys.bit AS is_auto_update_stats_async_on,
    0::sys.bit AS is_ansi_null_default_on, 0::sys.bit AS is_ansi_nulls_on, 0::sys.bit AS is_ansi_padding_on,
    0::sys.bit AS is_ansi_warnings_on, 0::sys.bit AS is_arithabort_on, 0::sys.bit AS is_concat_null_yields_null_on,
    0::sys.bit AS is_numeric_roundabort_on, 0::sys.bit AS is_quoted_identifier_on, 0::sys.bit AS is_recursive_triggers_on,
    0::sys.bit AS is_cursor_close_on_commit_on, 0::sys.bit AS is_local_cursor_default, 1::sys.bit AS is_fulltext_enabled,
    0::sys.bit AS is_trustworthy_on, 0::sys.bit AS is_db_chaining_on, 0::sys.bit AS is_parameterization_forced,
    0::sys.bit AS is_master_key_encrypted_by_server, 0::sys.bit AS is_query_store_on,
    coalesce((p ->> 'is_published')::int, 0)::sys.bit AS is_published, 0::sys.bit AS is_subscribed,
    0::sys.bit AS is_merge_published, 0::sys.bit AS is_distributor, 0::sys.bit AS is_sync_with_backup,
    standin.guid(d.oid, 'service_broker_guid')::sys.uniqueidentifier AS service_broker_guid, 0::sys.bit AS is_broker_enabled,
    (CASE WHEN w.held THEN 6 ELSE coalesce((p ->> 'log_reuse_wait')::int, 0) END)::sys.tinyint AS log_reuse_wait,
    (CASE WHEN w.held THEN 'REPLICATION' ELSE coalesce(p ->> 'log_reuse_wait_desc', 'NOTHING') END)::sys.nvarchar(60) AS log_reuse_wait_desc,
    0::sys.bit AS is_date_correlation_on, coalesce((p ->> 'is_cdc_enabled')::int, 0)::sys.bit AS is_cdc_enabled,
    coalesce((p ->> 'is_encrypted')::int, 0)::sys.bit AS is_encrypted, 0::sys.bit AS is_honor_broker_priority_on,
    (p ->> 'replica_id')::uuid::sys.uniqueidentifier AS replica_id, (p ->> 'group_database_id')::uuid::sys.uniqueidentifier AS group_database_id,
    NULL::int AS resource_pool_id, NULL::smallint AS default_language_lcid, NULL::sys.nvarchar(128) AS default_language_name,
    NULL::int AS default_fulltext_language_lcid, NULL::sys.nvarchar(128) AS default_fulltext_language_name,
    NULL::sys.bit AS is_nested_triggers_on, NULL::sys.bit AS is_transform_noise_words_on, NULL::smallint AS two_digit_year_cutoff,
    0::sys.tinyint AS containment, 'NONE'::sys.nvarchar(60) AS containment_desc, 60 AS target_recovery_time_in_seconds,
    0 AS delayed_durability, 'DISABLED'::sys.nvarchar(60) AS delayed_durability_desc,
    0::sys.bit AS is_memory_optimized_elevate_to_snapshot_on, 0::sys.bit AS is_federation_member,
    0::sys.bit AS is_remote_data_archive_enabled, 0::sys.bit AS is_mixed_page_allocation_on
FROM standin.databases d, LATERAL (SELECT EXISTS (SELECT FROM pg_replication_slots x WHERE x.database = d.datname
    AND x.slot_name LIKE 'standin\_%' AND NOT x.active) AS held) w;

-- sys.database_recovery_status (Transact-SQL). last_log_backup_lsn is not kept here: NULL.
CREATE VIEW sys.database_recovery_status AS
SELECT d.id AS database_id, standin.guid(d.oid, 'database_guid')::sys.uniqueidentifier AS database_guid, standin.guid(d.oid, 'family_guid')::sys.uniqueidentifier AS family_guid,
    NULL::numeric(25, 0) AS last_log_backup_lsn, standin.guid(d.oid, 'recovery_fork_guid')::sys.uniqueidentifier AS recovery_fork_guid,
    NULL::sys.uniqueidentifier AS first_recovery_fork_guid, NULL::numeric(25, 0) AS fork_point_lsn
FROM standin.databases d;

-- dbo.restorehistory (Transact-SQL) of msdb: one row for each simulated restore.
CREATE TABLE msdb_dbo.restorehistory (
    restore_history_id int GENERATED ALWAYS AS IDENTITY, restore_date sys.datetime, destination_database_name sys.nvarchar(128),
    user_name sys.nvarchar(128), backup_set_id int, restore_type sys.char(1), replace sys.bit, recovery sys.bit, restart sys.bit,
    stop_at sys.datetime, device_count sys.tinyint, stop_at_mark_name sys.nvarchar(128), stop_before sys.bit
);

-- sys.database_files (Transact-SQL): one data and one log file; sizes in pages of 8 KB.
CREATE VIEW sys.database_files AS
SELECT f.id AS file_id, f.type::sys.tinyint AS type, f.type_desc::sys.nvarchar(60) AS type_desc, f.id AS data_space_id,
    (current_database() || f.suffix)::sys.sysname AS name, ('/var/opt/mssql/data/' || current_database() || f.suffix)::sys.nvarchar(260)
        AS physical_name, 0::sys.tinyint AS state, 'ONLINE'::sys.nvarchar(60) AS state_desc,
    (pg_database_size(current_database()) / 8192)::int AS size, -1 AS max_size, 8192 AS growth
FROM (VALUES (1, 0, 'ROWS', '.mdf'), (2, 1, 'LOG', '.ldf')) AS f(id, type, type_desc, suffix);

-- sys.dm_db_log_space_usage (Transact-SQL)
CREATE VIEW sys.dm_db_log_space_usage AS
SELECT d.id AS database_id, 1073741824::bigint AS total_log_size_in_bytes, 107374182::bigint AS used_log_space_in_bytes,
    10::real AS used_log_space_in_percent, 0::bigint AS log_space_in_bytes_since_last_backup
FROM standin.databases d WHERE d.datname = current_database();

-- sys.configurations (Transact-SQL): those that a client of change data capture reads; values are sql_variant there.
CREATE TABLE standin.configuration (id int PRIMARY KEY, name text, value int, minimum int, maximum int, description text);
INSERT INTO standin.configuration VALUES
    (503, 'max worker threads', 0, 128, 65535, 'Maximum worker threads'),
    (505, 'network packet size (B)', 4096, 512, 32767, 'Network packet size'),
    (1536, 'max text repl size (B)', 65536, -1, 2147483647, 'Maximum size of a text field in replication.'),
    (1539, 'max degree of parallelism', 0, 0, 32767, 'maximum degree of parallelism'),
    (16384, 'Agent XPs', 1, 0, 1, 'Enable or disable Agent XPs');
CREATE VIEW sys.configurations AS
SELECT id AS configuration_id, name::sys.nvarchar(35) AS name, value, minimum, maximum, value AS value_in_use,
    description::sys.nvarchar(255) AS description, 1::sys.bit AS is_dynamic, 0::sys.bit AS is_advanced
FROM standin.configuration;

-- One row for each session of the stand-in: the server names its connections 'standin <spid> <login> <program>'. What a
-- session has SET is known of the caller's own only; the others show the defaults of a login.
CREATE OR REPLACE FUNCTION standin.own(name text, otherwise text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('standin.' || name, true), ''), otherwise)
$$;
CREATE VIEW standin.sessions AS
SELECT a.pid, coalesce((regexp_match(a.application_name, '^standin ([0-9]+)'))[1], own.spid)::int AS spid,
    coalesce((regexp_match(a.application_name, '^standin [0-9]+ ([^ ]*)'))[1], own.login) AS login,
    coalesce((regexp_match(a.application_name, '^standin [0-9]+ [^ ]* (.*)$'))[1], own.program) AS program, a.datname, a.backend_start,
    a.xact_start, a.state, a.query_start, a.backend_xid, a.backend_xmin, a.datid, own.mine
FROM pg_stat_activity a LEFT JOIN LATERAL (SELECT true AS mine, standin.own('spid', '51') AS spid, standin.login() AS login,
    standin.own('app', '') AS program WHERE a.pid = pg_backend_pid()) own ON true
WHERE a.application_name ~ '^standin [0-9]' OR own.mine;

-- sys.dm_exec_sessions (Transact-SQL). database_id is smallint there; here it is the oid of PostgreSQL, which may be larger.
CREATE VIEW sys.dm_exec_sessions AS
SELECT s.spid::smallint AS session_id, s.backend_start::timestamp::sys.datetime AS login_time,
    (CASE WHEN s.mine THEN standin.own('host', '') END)::sys.nvarchar(128) AS host_name,
    s.program::sys.nvarchar(128) AS program_name, s.pid AS host_process_id, 7 AS client_version,
    'DB-Library'::sys.nvarchar(32) AS client_interface_name, s.login::sys.nvarchar(128) AS login_name,
    (CASE WHEN s.state = 'active' THEN 'running' ELSE 'sleeping' END)::sys.nvarchar(30) AS status,
    s.query_start::timestamp::sys.datetime AS last_request_start_time, 1::sys.bit AS is_user_process,
    2147483647 AS text_size, 'us_english'::sys.nvarchar(128) AS language,
    (CASE WHEN s.mine THEN standin.own('date_format', 'mdy') ELSE 'mdy' END)::sys.nvarchar(3) AS date_format,
    (CASE WHEN s.mine THEN standin.own('datefirst', '7') ELSE '7' END)::smallint AS date_first,
    (CASE lower(CASE WHEN s.mine THEN standin.own('isolation', '2') ELSE '2' END) WHEN 'read uncommitted' THEN '1' WHEN 'read committed' THEN '2'
        WHEN 'repeatable read' THEN '3' WHEN 'serializable' THEN '4' WHEN 'snapshot' THEN '5'
        ELSE standin.own('isolation', '2') END)::smallint AS transaction_isolation_level,
    (CASE WHEN s.mine THEN standin.own('lock_timeout', '-1') ELSE '-1' END)::int AS lock_timeout,
    (CASE WHEN s.mine THEN standin.own('deadlock_priority', '0') ELSE '0' END)::int AS deadlock_priority,
    (CASE WHEN s.mine THEN standin.own('rowcount', '0') ELSE '0' END)::bigint AS row_count,
    s.login::sys.nvarchar(128) AS original_login_name, d.id AS database_id,
    (s.xact_start IS NOT NULL)::int AS open_transaction_count
FROM standin.sessions s LEFT JOIN standin.databases d ON d.oid = s.datid;

-- sys.dm_exec_connections (Transact-SQL)
CREATE VIEW sys.dm_exec_connections AS
SELECT s.spid AS session_id, s.spid AS most_recent_session_id, s.backend_start::timestamp::sys.datetime AS connect_time,
    'TCP'::sys.nvarchar(40) AS net_transport, 'TSQL'::sys.nvarchar(40) AS protocol_type, 1946157060 AS protocol_version,
    coalesce(nullif(current_setting('standin.encrypted', true), ''), 'FALSE')::sys.nvarchar(40) AS encrypt_option,
    'SQL'::sys.nvarchar(40) AS auth_scheme, 4096 AS net_packet_size
FROM standin.sessions s;

-- sys.dm_tran_session_transactions, sys.dm_tran_active_transactions, sys.dm_tran_database_transactions (Transact-SQL)
CREATE VIEW sys.dm_tran_session_transactions AS
SELECT s.spid AS session_id, s.pid::bigint AS transaction_id, ''::sys.varbinary(8) AS transaction_descriptor, 0 AS enlist_count,
    1::sys.bit AS is_user_transaction, 1::sys.bit AS is_local, 0::sys.bit AS is_enlisted, 0::sys.bit AS is_bound, 1 AS open_transaction_count
FROM standin.sessions s WHERE s.xact_start IS NOT NULL;
CREATE VIEW sys.dm_tran_active_transactions AS
SELECT s.pid::bigint AS transaction_id, 'user_transaction'::sys.nvarchar(32) AS name,
    s.xact_start::timestamp::sys.datetime AS transaction_begin_time,
    (CASE WHEN s.backend_xid IS NULL THEN 2 ELSE 1 END) AS transaction_type, 2 AS transaction_state
FROM standin.sessions s WHERE s.xact_start IS NOT NULL;
CREATE VIEW sys.dm_tran_database_transactions AS
SELECT s.pid::bigint AS transaction_id, d.id AS database_id,
    (CASE WHEN s.backend_xid IS NOT NULL THEN s.xact_start::timestamp END)::sys.datetime AS database_transaction_begin_time,
    (CASE WHEN s.backend_xid IS NULL THEN 2 ELSE 1 END) AS database_transaction_type,
    (CASE WHEN s.backend_xid IS NULL THEN 3 ELSE 4 END) AS database_transaction_state,
    0::bigint AS database_transaction_log_bytes_used
FROM standin.sessions s JOIN standin.databases d ON d.oid = s.datid WHERE s.xact_start IS NOT NULL;
CREATE VIEW sys.dm_tran_active_snapshot_database_transactions AS
SELECT s.pid::bigint AS transaction_id, s.pid::bigint AS transaction_sequence_num, NULL::bigint AS commit_sequence_num,
    s.spid AS session_id, 1::sys.bit AS is_snapshot, NULL::bigint AS first_snapshot_sequence_num,
    0 AS max_version_chain_traversed, 0::float8 AS average_version_chain_traversed,
    extract(epoch FROM now() - s.xact_start)::bigint AS elapsed_time_seconds
FROM standin.sessions s WHERE s.backend_xmin IS NOT NULL AND s.xact_start IS NOT NULL;

-- sys.dm_server_services (Transact-SQL): the Agent runs unless a test says otherwise.
CREATE VIEW sys.dm_server_services AS
SELECT v.servicename::sys.nvarchar(256) AS servicename, 2 AS startup_type, 'Automatic'::sys.nvarchar(256) AS startup_type_desc,
    (CASE WHEN v.up THEN 4 ELSE 1 END) AS status, (CASE WHEN v.up THEN 'Running' ELSE 'Stopped' END)::sys.nvarchar(256) AS status_desc,
    1 AS process_id
FROM (VALUES ('SQL Server (MSSQLSERVER)', true),
    ('SQL Server Agent (MSSQLSERVER)', standin.setting('agent_running', '1') = '1')) AS v(servicename, up);

-- Availability groups: none (sys.availability_groups, sys.dm_hadr_database_replica_states,
-- sys.availability_replicas, sys.dm_hadr_availability_replica_states (Transact-SQL)).
CREATE VIEW sys.availability_groups AS
SELECT NULL::sys.uniqueidentifier AS group_id, NULL::sys.sysname AS name, NULL::sys.nvarchar(40) AS resource_id WHERE false;
CREATE VIEW sys.availability_replicas AS
SELECT NULL::sys.uniqueidentifier AS replica_id, NULL::sys.uniqueidentifier AS group_id, NULL::sys.nvarchar(256) AS replica_server_name,
    NULL::sys.tinyint AS availability_mode, NULL::sys.nvarchar(60) AS availability_mode_desc,
    NULL::sys.tinyint AS secondary_role_allow_connections WHERE false;
CREATE VIEW sys.dm_hadr_availability_replica_states AS
SELECT NULL::sys.uniqueidentifier AS replica_id, NULL::sys.uniqueidentifier AS group_id, NULL::sys.bit AS is_local, NULL::sys.tinyint AS role,
    NULL::sys.nvarchar(60) AS role_desc, NULL::sys.tinyint AS synchronization_health WHERE false;
CREATE VIEW sys.dm_hadr_database_replica_states AS
SELECT NULL::int AS database_id, NULL::sys.uniqueidentifier AS group_id, NULL::sys.uniqueidentifier AS replica_id, NULL::sys.uniqueidentifier AS group_database_id,
    NULL::sys.bit AS is_local, NULL::sys.bit AS is_primary_replica, NULL::sys.tinyint AS synchronization_state,
    NULL::sys.nvarchar(60) AS synchronization_state_desc, NULL::sys.bit AS is_suspended WHERE false;

-- sys.database_principals, sys.database_role_members, sys.server_principals, sys.server_role_members (Transact-SQL)
CREATE VIEW sys.database_principals AS
SELECT v.name::sys.sysname AS name, v.id AS principal_id, v.type::sys.char(1) AS type, v.type_desc::sys.nvarchar(60) AS type_desc,
    'dbo'::sys.sysname AS default_schema_name, 1::sys.bit AS is_fixed_role
FROM (VALUES ('public', 0, 'R', 'DATABASE_ROLE'), ('dbo', 1, 'S', 'SQL_USER'), ('db_owner', 16384, 'R', 'DATABASE_ROLE'),
    ('db_ddladmin', 16387, 'R', 'DATABASE_ROLE'), ('db_datareader', 16390, 'R', 'DATABASE_ROLE'),
    ('db_datawriter', 16391, 'R', 'DATABASE_ROLE')) AS v(name, id, type, type_desc);
CREATE VIEW sys.server_principals AS
SELECT v.name::sys.sysname AS name, v.id AS principal_id, v.type::sys.char(1) AS type, v.type_desc::sys.nvarchar(60) AS type_desc
FROM (VALUES ('sa', 1, 'S', 'SQL_LOGIN'), ('sysadmin', 3, 'R', 'SERVER_ROLE')) AS v(name, id, type, type_desc);

-- sys.dm_tran_version_store_space_usage, sys.dm_os_sys_info (Transact-SQL)
CREATE VIEW sys.dm_tran_version_store_space_usage AS
SELECT d.id AS database_id, 0::bigint AS reserved_page_count, 0::bigint AS reserved_space_kb FROM standin.databases d;
CREATE VIEW sys.dm_os_sys_info AS
SELECT 2 AS cpu_count, pg_postmaster_start_time()::timestamp::sys.datetime AS sqlserver_start_time, 8388608::bigint AS physical_memory_kb;
