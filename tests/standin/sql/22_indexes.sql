-- SPDX-License-Identifier: PostgreSQL
-- sys.indexes and what hangs on it: keys, foreign keys, partitions and sizes.

-- Every index of a client's table with its index_id: 0 = the heap, 1 = the clustered index, others from 2 on.
CREATE VIEW standin.indexes AS
WITH plain AS (
    SELECT i.indexrelid, i.indrelid, i.indisunique, i.indisprimary, i.indisvalid, i.indkey, i.indoption, i.indnkeyatts,
        i.indpred, c.relname, r.relkind,
        coalesce(x.clustered, i.indisprimary) AS clustered,
        (SELECT k.oid FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u')) AS constraint_oid
    FROM pg_index i JOIN standin.relations r ON r.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
        LEFT JOIN standin.index x ON x.indexid = i.indexrelid)
SELECT p.*, (CASE WHEN clustered THEN 1
    ELSE 1 + row_number() OVER (PARTITION BY indrelid, clustered ORDER BY indexrelid) END)::int AS index_id
FROM plain p
UNION ALL
SELECT 0, r.oid, false, false, true, ''::int2vector, ''::int2vector, 0::int2, NULL, NULL, r.relkind, false, NULL, 0
FROM standin.relations r
WHERE r.relkind IN ('r', 'p') AND NOT EXISTS (SELECT FROM plain p WHERE p.indrelid = r.oid AND p.clustered);

-- sys.indexes (Transact-SQL)
CREATE VIEW sys.indexes AS
SELECT i.indrelid::int AS object_id, i.relname::sys.sysname AS name, i.index_id,
    least(i.index_id, 2)::sys.tinyint AS type,
    (CASE i.index_id WHEN 0 THEN 'HEAP' WHEN 1 THEN 'CLUSTERED' ELSE 'NONCLUSTERED' END)::sys.nvarchar(60) AS type_desc,
    i.indisunique::int::sys.bit AS is_unique, 1 AS data_space_id, 0::sys.bit AS ignore_dup_key,
    i.indisprimary::int::sys.bit AS is_primary_key,
    (i.constraint_oid IS NOT NULL AND NOT i.indisprimary)::int::sys.bit AS is_unique_constraint,
    0::sys.tinyint AS fill_factor, 0::sys.bit AS is_padded, (NOT i.indisvalid)::int::sys.bit AS is_disabled,
    0::sys.bit AS is_hypothetical, 0::sys.bit AS is_ignored_in_optimization, 1::sys.bit AS allow_row_locks,
    1::sys.bit AS allow_page_locks, (i.indpred IS NOT NULL)::int::sys.bit AS has_filter,
    coalesce((SELECT m.definition FROM standin.definition m WHERE m.classid = 'pg_class'::regclass AND m.objid = i.indexrelid),
        pg_get_expr(i.indpred, i.indrelid))::sys.nvarcharmax AS filter_definition,
    NULL::int AS compression_delay, 0::sys.bit AS suppress_dup_key_messages, 0::sys.bit AS auto_created
FROM standin.indexes i;

-- sys.index_columns (Transact-SQL)
CREATE VIEW sys.index_columns AS
SELECT i.indrelid::int AS object_id, i.index_id, k.ordinal::int AS index_column_id, k.attnum::int AS column_id,
    (CASE WHEN k.ordinal <= i.indnkeyatts THEN k.ordinal ELSE 0 END)::sys.tinyint AS key_ordinal,
    0::sys.tinyint AS partition_ordinal,
    (k.ordinal <= i.indnkeyatts AND i.indoption[k.ordinal - 1] & 1 = 1)::int::sys.bit AS is_descending_key,
    (k.ordinal > i.indnkeyatts)::int::sys.bit AS is_included_column, 0::sys.tinyint AS column_store_order_ordinal
FROM standin.indexes i, LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ordinal)
WHERE i.index_id > 0 AND k.attnum > 0;

-- sys.key_constraints (Transact-SQL)
CREATE VIEW sys.key_constraints AS
SELECT o.*, i.index_id AS unique_index_id, 0::sys.bit AS is_system_named, 1::sys.bit AS is_enforced
FROM sys.objects o JOIN standin.indexes i ON i.constraint_oid::int = o.object_id;

-- sys.foreign_keys (Transact-SQL). Disabled: its triggers are switched off (ALTER TABLE … NOCHECK CONSTRAINT).
CREATE VIEW sys.foreign_keys AS
SELECT o.*, c.confrelid::int AS referenced_object_id,
    coalesce((SELECT i.index_id FROM standin.indexes i WHERE i.indexrelid = c.conindid), 0) AS key_index_id,
    EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = c.oid AND t.tgenabled = 'D')::int::sys.bit AS is_disabled,
    0::sys.bit AS is_not_for_replication, (NOT c.convalidated)::int::sys.bit AS is_not_trusted,
    (CASE c.confdeltype WHEN 'c' THEN 1 WHEN 'n' THEN 2 WHEN 'd' THEN 3 ELSE 0 END)::sys.tinyint AS delete_referential_action,
    (CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET_NULL' WHEN 'd' THEN 'SET_DEFAULT' ELSE 'NO_ACTION' END)
        ::sys.nvarchar(60) AS delete_referential_action_desc,
    (CASE c.confupdtype WHEN 'c' THEN 1 WHEN 'n' THEN 2 WHEN 'd' THEN 3 ELSE 0 END)::sys.tinyint AS update_referential_action,
    (CASE c.confupdtype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET_NULL' WHEN 'd' THEN 'SET_DEFAULT' ELSE 'NO_ACTION' END)
        ::sys.nvarchar(60) AS update_referential_action_desc,
    0::sys.bit AS is_system_named
FROM sys.objects o JOIN standin.constraints c ON c.oid::int = o.object_id WHERE c.contype = 'f';

-- sys.foreign_key_columns (Transact-SQL)
CREATE VIEW sys.foreign_key_columns AS
SELECT c.oid::int AS constraint_object_id, k.ordinal::int AS constraint_column_id, c.conrelid::int AS parent_object_id,
    k.here::int AS parent_column_id, c.confrelid::int AS referenced_object_id, k.there::int AS referenced_column_id
FROM standin.constraints c, LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(here, there, ordinal)
WHERE c.contype = 'f';

-- The physical parts of a table: itself, or its partitions in the order in which they were made.
CREATE VIEW standin.parts_of AS
SELECT r.oid AS relid, r.oid AS part, 1 AS number FROM standin.relations r WHERE r.relkind = 'r'
UNION ALL
SELECT r.oid, t.relid::oid, (row_number() OVER (PARTITION BY r.oid ORDER BY t.relid::oid))::int
FROM standin.relations r, LATERAL pg_partition_tree(r.oid) t WHERE r.relkind = 'p' AND t.isleaf;

-- Rows: counted where that is cheap, else what the statistics say; sys.partitions.rows is approximate, too.
CREATE OR REPLACE FUNCTION standin.rows(part oid) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    n bigint := 0;
BEGIN
    IF pg_relation_size(part) > 1048576 THEN
        RETURN (SELECT greatest(c.reltuples, pg_stat_get_live_tuples(part), 0)::bigint FROM pg_class c WHERE c.oid = part);
    ELSIF pg_relation_size(part) > 0 THEN
        EXECUTE format('SELECT count(*) FROM %s', part::regclass) INTO n;
    END IF;
    RETURN n;
END $$;

CREATE VIEW standin.partitions AS
SELECT p.relid, p.part, p.number, i.index_id, i.indexrelid, (p.part::bigint << 8) + i.index_id AS id
FROM standin.parts_of p JOIN standin.indexes i ON i.indrelid = p.relid;

-- sys.partitions (Transact-SQL)
CREATE VIEW sys.partitions AS
SELECT p.id AS partition_id, p.relid::int AS object_id, p.index_id, p.number AS partition_number, p.id AS hobt_id,
    standin.rows(p.part) AS rows, 0::smallint AS filestream_filegroup_id,
    0::sys.tinyint AS data_compression, 'NONE'::sys.nvarchar(60) AS data_compression_desc
FROM standin.partitions p;

-- sys.dm_db_partition_stats (Transact-SQL): pages of 8 KB, like PostgreSQL's.
CREATE VIEW sys.dm_db_partition_stats AS
SELECT s.id AS partition_id, s.relid::int AS object_id, s.index_id, s.number AS partition_number, s.data AS in_row_data_page_count,
    s.data AS in_row_used_page_count, s.data AS in_row_reserved_page_count, s.lob AS lob_used_page_count,
    s.lob AS lob_reserved_page_count, 0::bigint AS row_overflow_used_page_count, 0::bigint AS row_overflow_reserved_page_count,
    s.data + s.lob AS used_page_count, s.data + s.lob AS reserved_page_count, standin.rows(s.part) AS row_count
FROM (SELECT p.*, CASE WHEN p.index_id < 2 THEN pg_relation_size(p.part) ELSE pg_relation_size(p.indexrelid) END / 8192 AS data,
        CASE WHEN p.index_id < 2 THEN pg_table_size(p.part) - pg_relation_size(p.part) ELSE 0 END / 8192 AS lob
    FROM standin.partitions p) s;

-- sys.allocation_units (Transact-SQL)
CREATE VIEW sys.allocation_units AS
SELECT (partition_id << 2) + t.type AS allocation_unit_id, t.type::sys.tinyint AS type,
    (CASE t.type WHEN 1 THEN 'IN_ROW_DATA' ELSE 'LOB_DATA' END)::sys.nvarchar(60) AS type_desc, s.partition_id AS container_id,
    1 AS data_space_id, CASE t.type WHEN 1 THEN s.in_row_reserved_page_count ELSE s.lob_reserved_page_count END AS total_pages,
    CASE t.type WHEN 1 THEN s.in_row_used_page_count ELSE s.lob_used_page_count END AS used_pages,
    CASE t.type WHEN 1 THEN s.in_row_data_page_count ELSE 0 END AS data_pages
FROM sys.dm_db_partition_stats s, (VALUES (1), (2)) AS t(type);

-- sys.data_spaces, sys.filegroups (Transact-SQL): one filegroup, PRIMARY.
CREATE VIEW sys.data_spaces AS
SELECT 'PRIMARY'::sys.sysname AS name, 1 AS data_space_id, 'FG'::sys.char(2) AS type,
    'ROWS_FILEGROUP'::sys.nvarchar(60) AS type_desc, 1::sys.bit AS is_default, 0::sys.bit AS is_system;
CREATE VIEW sys.filegroups AS
SELECT d.*, NULL::sys.uniqueidentifier AS filegroup_guid, NULL::int AS log_filegroup_id, 0::sys.bit AS is_read_only,
    0::sys.bit AS is_autogrow_all_files FROM sys.data_spaces d;

-- Partition schemes and functions, column store, In-Memory and row-level security objects: none exist here, so the
-- views are empty (sys.partition_schemes, sys.security_policies, sys.security_predicates,
-- sys.column_encryption_keys, sys.column_master_keys, sys.periods (Transact-SQL)). A test that wants one inserts into
-- standin.policy.
CREATE TABLE standin.policy (
    name text NOT NULL, schema_id int, relid oid NOT NULL, predicate text NOT NULL, predicate_type int NOT NULL DEFAULT 0,
    is_enabled boolean NOT NULL DEFAULT true, id int GENERATED ALWAYS AS IDENTITY
);
CREATE VIEW sys.security_policies AS
SELECT p.name::sys.sysname AS name, 1000000 + p.id AS object_id, NULL::int AS principal_id, p.schema_id, 0 AS parent_object_id,
    'SP'::sys.char(2) AS type, 'SECURITY_POLICY'::sys.nvarchar(60) AS type_desc, now()::timestamp::sys.datetime AS create_date,
    now()::timestamp::sys.datetime AS modify_date, 0::sys.bit AS is_ms_shipped, p.is_enabled::int::sys.bit AS is_enabled,
    0::sys.bit AS is_not_for_replication, 0::sys.bit AS uses_database_collation, 0::sys.bit AS is_schema_bound
FROM standin.policy p;
CREATE VIEW sys.security_predicates AS
SELECT 1000000 + p.id AS object_id, 1 AS security_predicate_id, p.relid::int AS target_object_id,
    p.predicate::sys.nvarcharmax AS predicate_definition, p.predicate_type AS predicate_type,
    (CASE p.predicate_type WHEN 0 THEN 'FILTER' ELSE 'BLOCK' END)::sys.nvarchar(60) AS predicate_type_desc,
    NULL::int AS operation, NULL::sys.nvarchar(60) AS operation_desc
FROM standin.policy p;
CREATE VIEW sys.partition_schemes AS SELECT d.*, 0 AS function_id FROM sys.data_spaces d WHERE false;
CREATE VIEW sys.column_encryption_keys AS
SELECT ''::sys.sysname AS name, 0 AS column_encryption_key_id, now()::timestamp::sys.datetime AS create_date,
    now()::timestamp::sys.datetime AS modify_date WHERE false;
CREATE VIEW sys.periods AS
SELECT ''::sys.sysname AS name, 1::sys.tinyint AS period_type, ''::sys.nvarchar(60) AS period_type_desc, 0 AS object_id,
    0 AS start_column_id, 0 AS end_column_id WHERE false;
