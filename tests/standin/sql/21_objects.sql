-- SPDX-License-Identifier: PostgreSQL
-- sys.schemas, sys.objects, sys.tables, sys.views, sys.columns and the views that extend them. object_id is the oid.

-- sys.schemas (Transact-SQL)
CREATE VIEW sys.schemas AS
SELECT nspname::sys.sysname AS name, oid::int AS schema_id, 1 AS principal_id
FROM pg_namespace WHERE nspname NOT IN ('standin', 'pg_toast', 'msdb_dbo', 'public', 'information_schema', 'pg_catalog')
    AND nspname !~ '^pg_(toast_)?temp_';

-- Relations that a client of SQL Server would see, system views apart.
CREATE VIEW standin.relations AS
SELECT c.oid, c.relname, c.relnamespace, n.nspname, c.relkind, c.relhastriggers, c.relispartition,
    coalesce(o.created, now()) AS created,
    coalesce((SELECT m.properties FROM standin.table_more m WHERE m.relid = c.oid), '{}') AS more
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN standin.object o ON o.relid = c.oid
WHERE c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
    AND n.nspname NOT IN ('sys', 'standin', 'pg_toast', 'msdb_dbo', 'public', 'information_schema', 'pg_catalog')
    AND n.nspname !~ '^pg_(toast_)?temp_';

-- Of a constraint: the columns of sys.objects that all kinds share.
CREATE VIEW standin.constraints AS
SELECT c.oid, c.conname, c.connamespace, c.conrelid, c.contype, c.conindid, c.convalidated, c.conkey, c.confkey,
    c.confrelid, c.confdeltype, c.confupdtype, r.created
FROM pg_constraint c JOIN standin.relations r ON r.oid = c.conrelid WHERE c.contype IN ('p', 'u', 'f', 'c');

-- Defaults: named in the registry, or as SQL Server names them itself.
CREATE VIEW standin.defaults AS
SELECT d.oid, d.adrelid, d.adnum, r.relnamespace, r.created,
    coalesce((SELECT m.definition FROM standin.definition m WHERE m.classid = 'pg_attrdef'::regclass AND m.objid = d.oid),
             k.default_text, pg_get_expr(d.adbin, d.adrelid)) AS definition,
    format('DF__%s__%s__%s', left(r.relname, 9), left(a.attname, 5), upper(lpad(to_hex(d.oid::int), 8, '0'))) AS name
FROM pg_attrdef d JOIN standin.relations r ON r.oid = d.adrelid
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    LEFT JOIN standin.column k ON k.relid = d.adrelid AND k.attnum = d.adnum
WHERE a.attgenerated = '' AND k.computed IS NULL AND k.identity_seed IS NULL AND k.ms_type IS DISTINCT FROM 'timestamp';

-- sys.objects (Transact-SQL)
CREATE VIEW sys.objects AS
SELECT r.relname::sys.sysname AS name, r.oid::int AS object_id, NULL::int AS principal_id, r.relnamespace::int AS schema_id,
    0 AS parent_object_id, (CASE r.relkind WHEN 'v' THEN 'V ' ELSE 'U ' END)::sys.char(2) AS type,
    (CASE r.relkind WHEN 'v' THEN 'VIEW' ELSE 'USER_TABLE' END)::sys.nvarchar(60) AS type_desc,
    r.created::timestamp::sys.datetime AS create_date, r.created::timestamp::sys.datetime AS modify_date,
    (r.nspname = 'cdc')::int::sys.bit AS is_ms_shipped, 0::sys.bit AS is_published, 0::sys.bit AS is_schema_published
FROM standin.relations r
UNION ALL
SELECT c.conname::sys.sysname, c.oid::int, NULL, c.connamespace::int, c.conrelid::int,
    (CASE c.contype WHEN 'p' THEN 'PK' WHEN 'u' THEN 'UQ' WHEN 'f' THEN 'F ' ELSE 'C ' END)::sys.char(2),
    (CASE c.contype WHEN 'p' THEN 'PRIMARY_KEY_CONSTRAINT' WHEN 'u' THEN 'UNIQUE_CONSTRAINT'
        WHEN 'f' THEN 'FOREIGN_KEY_CONSTRAINT' ELSE 'CHECK_CONSTRAINT' END)::sys.nvarchar(60),
    c.created::timestamp::sys.datetime, c.created::timestamp::sys.datetime, 0::sys.bit, 0::sys.bit, 0::sys.bit
FROM standin.constraints c
UNION ALL
SELECT d.name::sys.sysname, d.oid::int, NULL, d.relnamespace::int, d.adrelid::int, 'D '::sys.char(2),
    'DEFAULT_CONSTRAINT'::sys.nvarchar(60), d.created::timestamp::sys.datetime, d.created::timestamp::sys.datetime,
    0::sys.bit, 0::sys.bit, 0::sys.bit
FROM standin.defaults d
UNION ALL
SELECT t.tgname::sys.sysname, t.oid::int, NULL, r.relnamespace::int, r.oid::int, 'TR'::sys.char(2),
    'SQL_TRIGGER'::sys.nvarchar(60), r.created::timestamp::sys.datetime, r.created::timestamp::sys.datetime,
    0::sys.bit, 0::sys.bit, 0::sys.bit
FROM pg_trigger t JOIN standin.relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgname NOT LIKE 'standin\_%'
UNION ALL
SELECT p.proname::sys.sysname, p.oid::int, NULL, n.oid::int, 0, (CASE p.prokind WHEN 'p' THEN 'P ' ELSE 'FN' END)::sys.char(2),
    (CASE p.prokind WHEN 'p' THEN 'SQL_STORED_PROCEDURE' ELSE 'SQL_SCALAR_FUNCTION' END)::sys.nvarchar(60),
    now()::timestamp::sys.datetime, now()::timestamp::sys.datetime, 0::sys.bit, 0::sys.bit, 0::sys.bit
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('sys', 'standin', 'public', 'msdb_dbo', 'information_schema', 'pg_catalog');

CREATE VIEW sys.all_objects AS SELECT * FROM sys.objects;

-- sys.tables (Transact-SQL): in SQL Server 2016 and later. Columns for features that no table here has come from
-- standin.table_more, so that a test can show one to `check`.
CREATE VIEW sys.tables AS
SELECT o.*, 0 AS lob_data_space_id, NULL::int AS filestream_data_space_id,
    (SELECT coalesce(max(a.attnum), 0) FROM pg_attribute a WHERE a.attrelid = r.oid)::int AS max_column_id_used,
    0::sys.bit AS lock_on_bulk_load, 1::sys.bit AS uses_ansi_nulls,
    coalesce((r.more ->> 'is_replicated')::int, 0)::sys.bit AS is_replicated,
    0::sys.bit AS has_replication_filter, 0::sys.bit AS is_merge_published, 0::sys.bit AS is_sync_tran_subscribed,
    0::sys.bit AS has_unchecked_assembly_data, 0 AS text_in_row_limit, 0::sys.bit AS large_value_types_out_of_row,
    (standin.is_captured(r.oid))::int::sys.bit AS is_tracked_by_cdc, 0::sys.tinyint AS lock_escalation,
    'TABLE'::sys.nvarchar(60) AS lock_escalation_desc,
    coalesce((r.more ->> 'is_filetable')::int, 0)::sys.bit AS is_filetable,
    coalesce((r.more ->> 'is_memory_optimized')::int, 0)::sys.bit AS is_memory_optimized, 0::sys.tinyint AS durability,
    'SCHEMA_AND_DATA'::sys.nvarchar(60) AS durability_desc,
    coalesce((r.more ->> 'temporal_type')::int, 0)::sys.tinyint AS temporal_type,
    (CASE coalesce((r.more ->> 'temporal_type')::int, 0) WHEN 1 THEN 'HISTORY_TABLE'
        WHEN 2 THEN 'SYSTEM_VERSIONED_TEMPORAL_TABLE' ELSE 'NON_TEMPORAL_TABLE' END)::sys.nvarchar(60) AS temporal_type_desc,
    (r.more ->> 'history_table_id')::int AS history_table_id, 0::sys.bit AS is_remote_data_archive_enabled,
    coalesce((r.more ->> 'is_external')::int, 0)::sys.bit AS is_external,
    coalesce((r.more ->> 'is_node')::int, 0)::sys.bit AS is_node,
    coalesce((r.more ->> 'is_edge')::int, 0)::sys.bit AS is_edge
FROM sys.objects o JOIN standin.relations r ON r.oid::int = o.object_id AND o.parent_object_id = 0 WHERE r.relkind IN ('r', 'p');

-- sys.views (Transact-SQL)
CREATE VIEW sys.views AS
SELECT o.*, 0::sys.bit AS is_replicated, 0::sys.bit AS has_replication_filter, 0::sys.bit AS has_opaque_metadata,
    0::sys.bit AS has_unchecked_assembly_data, 0::sys.bit AS with_check_option, 0::sys.bit AS is_date_correlation_view
FROM sys.objects o JOIN standin.relations r ON r.oid::int = o.object_id WHERE r.relkind = 'v';

-- sys.synonyms (Transact-SQL): the stand-in has none.
CREATE VIEW sys.synonyms AS SELECT o.*, ''::sys.nvarchar(1035) AS base_object_name FROM sys.objects o WHERE false;

-- All facts of a column, the registry's first.
CREATE VIEW standin.all_columns AS
SELECT a.attrelid, a.attnum, a.attname, a.attnotnull, r.relname, r.nspname,
    coalesce(k.ms_type, f.name) AS ms_type, coalesce(k.max_length::int2, f.max_length) AS max_length,
    coalesce(k.prec::int2, f."precision") AS "precision", coalesce(k.scale::int2, f.scale) AS scale,
    k."collation" AS collation_name, k.identity_seed, k.identity_increment, k.computed, coalesce(k.sparse, false) AS sparse,
    coalesce(k.rowguid, false) AS rowguid, m.masking_function, m.encryption_type, m.user_type,
    coalesce(m.is_persisted, false) AS is_persisted, coalesce(m.is_filestream, false) AS is_filestream,
    coalesce(m.generated_always_type, 0::int2) AS generated_always_type,
    CASE WHEN a.attgenerated = '' AND k.computed IS NULL AND k.identity_seed IS NULL AND k.ms_type IS DISTINCT FROM 'timestamp'
        THEN coalesce(d.oid, 0) ELSE 0 END AS default_oid
FROM pg_attribute a JOIN standin.relations r ON r.oid = a.attrelid
    LEFT JOIN standin.column k ON k.relid = a.attrelid AND k.attnum = a.attnum
    LEFT JOIN standin.column_more m ON m.relid = a.attrelid AND m.attnum = a.attnum
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN LATERAL standin.type_facts(a.atttypid, a.atttypmod) f ON k.relid IS NULL
WHERE a.attnum > 0 AND NOT a.attisdropped;

-- sys.columns (Transact-SQL)
CREATE VIEW sys.columns AS
SELECT c.attrelid::int AS object_id, c.attname::sys.sysname AS name, c.attnum::int AS column_id,
    t.system_type_id::sys.tinyint AS system_type_id,
    coalesce((SELECT u.user_type_id FROM standin.alias_type u WHERE u.name = c.user_type), t.user_type_id) AS user_type_id,
    c.max_length, c."precision"::sys.tinyint AS "precision", c.scale::sys.tinyint AS scale,
    (CASE WHEN t.is_text THEN coalesce(c.collation_name, standin.collation()) END)::sys.sysname AS collation_name,
    (NOT c.attnotnull)::int::sys.bit AS is_nullable, 0::sys.bit AS is_ansi_padded, c.rowguid::int::sys.bit AS is_rowguidcol,
    (c.identity_seed IS NOT NULL)::int::sys.bit AS is_identity, (c.computed IS NOT NULL)::int::sys.bit AS is_computed,
    c.is_filestream::int::sys.bit AS is_filestream, 0::sys.bit AS is_replicated, 0::sys.bit AS is_non_sql_subscribed,
    0::sys.bit AS is_merge_published, 0::sys.bit AS is_dts_replicated, 0::sys.bit AS is_xml_document,
    0 AS xml_collection_id, c.default_oid::int AS default_object_id, 0 AS rule_object_id,
    c.sparse::int::sys.bit AS is_sparse, 0::sys.bit AS is_column_set,
    c.generated_always_type::sys.tinyint AS generated_always_type,
    (CASE c.generated_always_type WHEN 1 THEN 'AS_ROW_START' WHEN 2 THEN 'AS_ROW_END' ELSE 'NOT_APPLICABLE' END)::sys.nvarchar(60)
        AS generated_always_type_desc,
    c.encryption_type::int AS encryption_type,
    (CASE c.encryption_type WHEN 1 THEN 'DETERMINISTIC' WHEN 2 THEN 'RANDOMIZED' END)::sys.nvarchar(64) AS encryption_type_desc,
    (CASE WHEN c.encryption_type IS NOT NULL THEN 'AEAD_AES_256_CBC_HMAC_SHA_256' END)::sys.sysname AS encryption_algorithm_name,
    CASE WHEN c.encryption_type IS NOT NULL THEN 1 END AS column_encryption_key_id,
    NULL::sys.sysname AS column_encryption_key_database_name, 0::sys.bit AS is_hidden,
    (c.masking_function IS NOT NULL)::int::sys.bit AS is_masked, NULL::int AS graph_type, NULL::sys.nvarchar(60) AS graph_type_desc
FROM standin.all_columns c JOIN standin.system_type t ON t.name = c.ms_type;

CREATE VIEW sys.all_columns AS SELECT * FROM sys.columns;

-- sys.computed_columns (Transact-SQL)
CREATE VIEW sys.computed_columns AS
SELECT c.*, k.computed::sys.nvarcharmax AS definition, 1::sys.bit AS uses_database_collation,
    k.is_persisted::int::sys.bit AS is_persisted
FROM sys.columns c JOIN standin.all_columns k ON k.attrelid::int = c.object_id AND k.attnum = c.column_id
WHERE k.computed IS NOT NULL;

-- sys.identity_columns (Transact-SQL): seed_value, increment_value and last_value are sql_variant there; bigint here.
CREATE VIEW sys.identity_columns AS
SELECT c.*, k.identity_seed::bigint AS seed_value, k.identity_increment::bigint AS increment_value,
    standin.identity_last(k.attrelid, k.attnum) AS last_value, 0::sys.bit AS is_not_for_replication
FROM sys.columns c JOIN standin.all_columns k ON k.attrelid::int = c.object_id AND k.attnum = c.column_id
WHERE k.identity_seed IS NOT NULL;

-- sys.masked_columns (Transact-SQL)
CREATE VIEW sys.masked_columns AS
SELECT c.*, k.masking_function::sys.nvarchar(4000) AS masking_function
FROM sys.columns c JOIN standin.all_columns k ON k.attrelid::int = c.object_id AND k.attnum = c.column_id
WHERE k.masking_function IS NOT NULL;

-- sys.default_constraints (Transact-SQL)
CREATE VIEW sys.default_constraints AS
SELECT o.*, d.adnum::int AS parent_column_id, d.definition::sys.nvarcharmax AS definition, 1::sys.bit AS is_system_named
FROM sys.objects o JOIN standin.defaults d ON d.oid::int = o.object_id AND o.parent_object_id = d.adrelid::int;

-- sys.check_constraints (Transact-SQL)
CREATE VIEW sys.check_constraints AS
SELECT o.*, 0::sys.bit AS is_disabled, 0::sys.bit AS is_not_for_replication, (NOT c.convalidated)::int::sys.bit AS is_not_trusted,
    (CASE WHEN array_length(c.conkey, 1) = 1 THEN c.conkey[1] ELSE 0 END)::int AS parent_column_id,
    coalesce((SELECT m.definition FROM standin.definition m WHERE m.classid = 'pg_constraint'::regclass AND m.objid = c.oid),
        regexp_replace(pg_get_constraintdef(c.oid), '^CHECK \((.*)\)( NOT VALID)?$', '\1'))::sys.nvarcharmax AS definition,
    1::sys.bit AS uses_database_collation, 0::sys.bit AS is_system_named
FROM sys.objects o JOIN standin.constraints c ON c.oid::int = o.object_id WHERE c.contype = 'c';

-- sys.triggers (Transact-SQL)
CREATE VIEW sys.triggers AS
SELECT t.tgname::sys.sysname AS name, t.oid::int AS object_id, 1::sys.tinyint AS parent_class,
    'OBJECT_OR_COLUMN'::sys.nvarchar(60) AS parent_class_desc, t.tgrelid::int AS parent_id, 'TR'::sys.char(2) AS type,
    'SQL_TRIGGER'::sys.nvarchar(60) AS type_desc, r.created::timestamp::sys.datetime AS create_date,
    r.created::timestamp::sys.datetime AS modify_date, 0::sys.bit AS is_ms_shipped,
    (t.tgenabled = 'D')::int::sys.bit AS is_disabled, 0::sys.bit AS is_not_for_replication,
    (t.tgtype & 64 <> 0)::int::sys.bit AS is_instead_of_trigger
FROM pg_trigger t JOIN standin.relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgname NOT LIKE 'standin\_%';

-- sys.sql_modules (Transact-SQL): the texts that the registry keeps.
CREATE VIEW sys.sql_modules AS
SELECT m.objid::int AS object_id, m.definition::sys.nvarcharmax AS definition, 1::sys.bit AS uses_ansi_nulls,
    1::sys.bit AS uses_quoted_identifier, 0::sys.bit AS is_schema_bound, 1::sys.bit AS uses_database_collation,
    0::sys.bit AS is_recompiled, 0::sys.bit AS null_on_null_input
FROM standin.definition m WHERE m.classid IN ('pg_trigger'::regclass, 'pg_proc'::regclass, 'pg_class'::regclass);

-- sys.sequences (Transact-SQL): those that are no identity column's. Values are sql_variant there.
CREATE VIEW sys.sequences AS
SELECT c.relname::sys.sysname AS name, c.oid::int AS object_id, NULL::int AS principal_id, c.relnamespace::int AS schema_id,
    0 AS parent_object_id, 'SO'::sys.char(2) AS type, 'SEQUENCE_OBJECT'::sys.nvarchar(60) AS type_desc,
    now()::timestamp::sys.datetime AS create_date, now()::timestamp::sys.datetime AS modify_date, 0::sys.bit AS is_ms_shipped,
    0::sys.bit AS is_published, 0::sys.bit AS is_schema_published, q.seqstart AS start_value, q.seqincrement AS increment,
    q.seqmin AS minimum_value, q.seqmax AS maximum_value, q.seqcycle::int::sys.bit AS is_cycling, (q.seqcache > 1)::int::sys.bit AS is_cached,
    q.seqcache::int AS cache_size, 127::sys.tinyint AS system_type_id, 127 AS user_type_id, 19::sys.tinyint AS "precision", 0::sys.tinyint AS scale,
    coalesce(pg_sequence_last_value(c.oid), q.seqstart) AS current_value, 0::sys.bit AS is_exhausted
FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('sys', 'standin', 'pg_catalog', 'public', 'information_schema', 'msdb_dbo')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('i', 'a')
        AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0);
