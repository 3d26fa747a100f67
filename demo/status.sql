-- SPDX-License-Identifier: PostgreSQL
-- `crossfade status --json` (psql variable `json`) as lines for a terminal.
\pset tuples_only on
\pset format unaligned
WITH s AS (SELECT :'json'::jsonb AS j),
     t AS (SELECT t.* FROM s, jsonb_array_elements(j -> 'groups') g,
                  jsonb_to_recordset(g -> 'tables') AS t("from" text, state text, rows_copied bigint, rows_total bigint,
                                                         eta_s numeric, rate_rows_s numeric, parked bigint, quarantined bigint))
SELECT line FROM (
    SELECT 1 AS part, 0::bigint AS n, format('  %-28s %-10s %10s %5s %9s %6s', 'table', 'state', 'copied', '%', 'rows/s', 'ETA') AS line
    UNION ALL
    SELECT 2, -coalesce(rows_total, 0), format('  %-28s %-10s %10s %5s %9s %6s', "from", state, rows_copied,
           CASE WHEN state NOT IN ('init', 'backfill') THEN '100'
                WHEN rows_total > 0 THEN least(99, rows_copied * 100 / rows_total)::text ELSE '' END,
           coalesce(round(nullif(rate_rows_s, 0))::text, ''),
           CASE WHEN state = 'backfill' AND eta_s IS NOT NULL THEN round(eta_s) || ' s' ELSE '' END) FROM t
    UNION ALL
    SELECT 3, 0, format('  all: %s of %s tables streaming, %s rows copied, lag %s%s ms%s',
           (SELECT count(*) FILTER (WHERE state = 'streaming') FROM t), (SELECT count(*) FROM t),
           (SELECT sum(rows_copied) FROM t), (j -> 'streams' -> 0 ->> 'lag_bytes') || ' bytes, ', j -> 'streams' -> 0 ->> 'lag_ms',
           ', the capture job''s own ' || (j -> 'streams' -> 0 ->> 'capture_lag_ms') || ' ms') FROM s
) l ORDER BY part, n, line;
