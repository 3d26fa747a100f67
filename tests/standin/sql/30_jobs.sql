-- SPDX-License-Identifier: PostgreSQL
-- The jobs of SQL Server Agent that change data capture has, as msdb shows them. cdc_jobs.py runs them; it reads the
-- wish in standin.job and keeps the state there.
-- Each database holds its own jobs only; the real msdb lists those of all databases.

-- dbo.cdc_jobs (Transact-SQL): defaults as sys.sp_cdc_add_job (Transact-SQL) names them.
CREATE TABLE msdb_dbo.cdc_jobs (
    database_id int NOT NULL, job_type sys.nvarchar(20) NOT NULL, job_id sys.uniqueidentifier, maxtrans int, maxscans int,
    continuous sys.bit, pollinginterval bigint, retention bigint, threshold bigint
);

CREATE TABLE standin.job (
    job_type text PRIMARY KEY, job_id uuid NOT NULL DEFAULT gen_random_uuid(), wanted boolean NOT NULL, running boolean NOT NULL DEFAULT false,
    runs int NOT NULL DEFAULT 0, started timestamp, ended timestamp, message text
);

CREATE VIEW standin.jobs AS
SELECT j.*, format('cdc.%s_%s', current_database(), j.job_type) AS name FROM standin.job j;

-- dbo.sysjobs, dbo.sysjobactivity, dbo.sysjobsteps (Transact-SQL)
CREATE VIEW msdb_dbo.sysjobs AS
SELECT j.job_id::sys.uniqueidentifier AS job_id, j.name::sys.sysname AS name, 1::sys.tinyint AS enabled,
    'CDC Log Scan Job'::sys.nvarchar(512) AS description FROM standin.jobs j;
CREATE VIEW msdb_dbo.sysjobactivity AS
SELECT 1 AS session_id, j.job_id::sys.uniqueidentifier AS job_id, j.started::sys.datetime AS run_requested_date,
    j.started::sys.datetime AS start_execution_date, 1 AS last_executed_step_id,
    (CASE WHEN NOT j.running THEN j.ended END)::sys.datetime AS stop_execution_date FROM standin.jobs j;
CREATE VIEW msdb_dbo.sysjobsteps AS
SELECT j.job_id::sys.uniqueidentifier AS job_id, 1 AS step_id, (CASE j.job_type WHEN 'capture' THEN 'Change Data Capture Collection Agent'
    ELSE 'Change Data Capture Cleanup Agent' END)::sys.sysname AS step_name, 'TSQL'::sys.nvarchar(40) AS subsystem,
    format('sys.sp_MScdc_%s_job', j.job_type)::sys.nvarcharmax AS command FROM standin.jobs j;

CREATE OR REPLACE FUNCTION standin.need_job_type(type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF type IS NULL OR lower(type COLLATE "C") NOT IN ('capture', 'cleanup') THEN
        PERFORM standin.fail(22992, format('The specified @job_type, %s, is not supported. The value specified for the parameter @job_type must be N''capture'' to indicate a capture job, or N''cleanup'' to indicate a cleanup job.', type));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION standin.need_job(type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM standin.need_job_type(type);
    IF NOT EXISTS (SELECT FROM standin.job j WHERE j.job_type = lower(type COLLATE "C")) THEN
        PERFORM standin.fail(22997, format('The Change Data Capture ''%s'' job does not exist in the system table ''msdb.dbo.cdc_jobs''. Use the stored procedure ''sys.sp_cdc_add_job'' to add the Change Data Capture job.', type));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION standin.check_job_values(type text, maxtrans int, maxscans int, continuous int, pollinginterval bigint,
    retention bigint, threshold bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF type = 'cleanup' AND (maxtrans IS NOT NULL OR maxscans IS NOT NULL OR continuous IS NOT NULL OR pollinginterval IS NOT NULL) THEN
        PERFORM standin.fail(22996, 'When adding or modifying the CDC cleanup job, @pollinginterval, @maxtrans, @maxscans, and @continuous may not be assigned non-null values.');
    ELSIF type = 'capture' AND retention IS NOT NULL THEN
        PERFORM standin.fail(22995, 'A value for the parameter @retention cannot be specified when the job type is ''capture''. Specify NULL for the parameter, or omit the parameter from the statement.');
    ELSIF maxtrans <= 0 THEN
        PERFORM standin.fail(22991, 'The value specified for the parameter @maxtrans must be greater than 0.');
    ELSIF maxscans <= 0 THEN
        PERFORM standin.fail(22970, 'The value for parameter @maxscans specified for the Change Data Capture job must be greater than 0.');
    ELSIF pollinginterval < 0 OR pollinginterval > 86400 THEN
        PERFORM standin.fail(22990, 'The value specified for the parameter @pollinginterval cannot exceed 24 hours or be less than 0. Specify a polling interval (in seconds) that is less than or equal to 24 hours (86,400 seconds).');
    ELSIF retention <= 0 OR retention > 52594800 THEN
        PERFORM standin.fail(22994, 'The retention value specified for the Change Data Capture cleanup process must be greater than 0 and less than or equal to 52594800. When creating or modifying the cleanup job, specify a retention value (in minutes) that is within that range.');
    ELSIF threshold <= 0 THEN
        PERFORM standin.fail(22850, 'The threshold value specified for the Change Data Capture cleanup process must be greater than 0. When creating or modifying the cleanup job, specify a positive threshold value.');
    END IF;
END $$;

-- sys.sp_cdc_add_job (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.sp_cdc_add_job(job_type text, start_job int DEFAULT 1, maxtrans int DEFAULT NULL, maxscans int DEFAULT NULL,
    continuous int DEFAULT NULL, pollinginterval bigint DEFAULT NULL, retention bigint DEFAULT NULL, threshold bigint DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    kind text := lower(job_type COLLATE "C");
    id uuid;
BEGIN
    PERFORM standin.need_cdc_database(), standin.need_job_type(job_type);
    PERFORM standin.check_job_values(kind, maxtrans, maxscans, continuous, pollinginterval, retention, threshold);
    INSERT INTO standin.job (job_type, wanted) VALUES (kind, kind = 'capture' AND start_job = 1) ON CONFLICT DO NOTHING RETURNING job.job_id INTO id;
    IF id IS NULL THEN
        PERFORM standin.fail(22998, format('The Change Data Capture ''%s'' job already exists.', kind));
    END IF;
    INSERT INTO msdb_dbo.cdc_jobs
    SELECT (SELECT d.id FROM standin.databases d WHERE d.datname = current_database()), kind::sys.nvarchar(20), id::sys.uniqueidentifier,
        coalesce(maxtrans, CASE kind WHEN 'capture' THEN 500 ELSE 0 END), coalesce(maxscans, CASE kind WHEN 'capture' THEN 10 ELSE 0 END),
        coalesce(continuous, CASE kind WHEN 'capture' THEN 1 ELSE 0 END)::sys.bit,
        coalesce(pollinginterval, CASE kind WHEN 'capture' THEN 5 ELSE 0 END),
        coalesce(retention, CASE kind WHEN 'cleanup' THEN 4320 ELSE 0 END), coalesce(threshold, CASE kind WHEN 'cleanup' THEN 5000 ELSE 0 END);
END $$;

-- sys.sp_cdc_change_job (Transact-SQL): takes effect when the job is started again.
CREATE OR REPLACE FUNCTION sys.sp_cdc_change_job(job_type text DEFAULT 'capture', maxtrans int DEFAULT NULL, maxscans int DEFAULT NULL,
    continuous int DEFAULT NULL, pollinginterval bigint DEFAULT NULL, retention bigint DEFAULT NULL, threshold bigint DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    PERFORM standin.need_cdc_database(), standin.need_job(job_type);
    PERFORM standin.check_job_values(lower(job_type COLLATE "C"), maxtrans, maxscans, continuous, pollinginterval, retention, threshold);
    UPDATE msdb_dbo.cdc_jobs j SET maxtrans = coalesce(sp_cdc_change_job.maxtrans, j.maxtrans),
        maxscans = coalesce(sp_cdc_change_job.maxscans, j.maxscans),
        continuous = coalesce(sp_cdc_change_job.continuous::sys.bit, j.continuous),
        pollinginterval = coalesce(sp_cdc_change_job.pollinginterval, j.pollinginterval),
        retention = coalesce(sp_cdc_change_job.retention, j.retention), threshold = coalesce(sp_cdc_change_job.threshold, j.threshold)
    WHERE j.job_type::pg_catalog.text COLLATE "C" = lower(sp_cdc_change_job.job_type COLLATE "C");
END $$;

-- sys.sp_cdc_start_job, sys.sp_cdc_stop_job, sys.sp_cdc_drop_job (Transact-SQL). 22022 is the Agent's answer.
CREATE OR REPLACE FUNCTION sys.sp_cdc_start_job(job_type text DEFAULT 'capture') RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM standin.need_job(sp_cdc_start_job.job_type);
    UPDATE standin.job SET wanted = true WHERE job_type = lower(sp_cdc_start_job.job_type COLLATE "C") AND NOT wanted;
    IF NOT FOUND THEN
        PERFORM standin.fail(22022, format('SQLServerAgent Error: Request to run job cdc.%s_%s (from User %s) refused because the job is already running from a request by User %s.',
            current_database(), sp_cdc_start_job.job_type, standin.login(), standin.login()));
    END IF;
    PERFORM pg_notify('standin_jobs', 'start');
END $$;
CREATE OR REPLACE FUNCTION sys.sp_cdc_stop_job(job_type text DEFAULT 'capture') RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM standin.need_job(sp_cdc_stop_job.job_type);
    UPDATE standin.job SET wanted = false WHERE job_type = lower(sp_cdc_stop_job.job_type COLLATE "C") AND wanted;
    IF NOT FOUND THEN
        PERFORM standin.fail(22022, format('SQLServerAgent Error: Request to stop job cdc.%s_%s (from User %s) refused because the job is not currently running.',
            current_database(), sp_cdc_stop_job.job_type, standin.login()));
    END IF;
    PERFORM pg_notify('standin_jobs', 'stop');
END $$;
CREATE OR REPLACE FUNCTION sys.sp_cdc_drop_job(job_type text) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM standin.need_job(sp_cdc_drop_job.job_type);
    DELETE FROM standin.job WHERE job_type = lower(sp_cdc_drop_job.job_type COLLATE "C");
    DELETE FROM msdb_dbo.cdc_jobs WHERE job_type::pg_catalog.text COLLATE "C" = lower(sp_cdc_drop_job.job_type COLLATE "C");
END $$;

-- sys.sp_cdc_help_jobs (Transact-SQL)
CREATE OR REPLACE FUNCTION sys.sp_cdc_help_jobs() RETURNS TABLE (job_id sys.uniqueidentifier, job_type sys.nvarchar, job_name sys.sysname,
    maxtrans int, maxscans int, continuous sys.bit, pollinginterval bigint, retention bigint, threshold bigint) LANGUAGE sql STABLE AS $$
    SELECT c.job_id, c.job_type, j.name::sys.sysname, c.maxtrans, c.maxscans, c.continuous, c.pollinginterval, c.retention, c.threshold
    FROM msdb_dbo.cdc_jobs c JOIN standin.jobs j ON j.job_type = c.job_type::pg_catalog.text COLLATE "C"
$$;
