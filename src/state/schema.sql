-- Crossfade's own objects in the target, version 1. Applied in one transaction, idempotent.
-- Everything is keyed by pipeline: several may share a target. Positions are text (DESIGN.md section 9).
--
-- SQLSTATEs raised here: CF001 a row count was not the expected one (the batch is then replayed exactly);
-- CF002 fenced: another epoch owns the pipeline; CF003 protected: the position does not fit.

CREATE SCHEMA IF NOT EXISTS crossfade;

CREATE TABLE IF NOT EXISTS crossfade.version (
    version      integer PRIMARY KEY,
    installed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS crossfade.lease (
    pipeline  text PRIMARY KEY,
    holder    text NOT NULL,          -- host:pid:boot, unique for one process
    epoch     bigint NOT NULL,
    heartbeat timestamptz NOT NULL    -- the target's clock
);

CREATE TABLE IF NOT EXISTS crossfade.progress (
    pipeline           text NOT NULL,
    stream             text NOT NULL,
    lane               integer NOT NULL,
    position           text NOT NULL,
    source_commit_time timestamptz,
    epoch              bigint NOT NULL,
    backend_pid        integer,
    backend_start      timestamptz,
    PRIMARY KEY (pipeline, stream, lane)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

CREATE TABLE IF NOT EXISTS crossfade.chunk (
    pipeline   text NOT NULL,
    table_name text NOT NULL,         -- the source's schema.name
    seq        integer NOT NULL,
    low        text[],                -- keys with low < key <= high; NULL is open
    high       text[],
    state      text NOT NULL CHECK (state IN ('planned', 'done')),
    rows       bigint NOT NULL DEFAULT 0,
    bytes      bigint NOT NULL DEFAULT 0,
    snapshot   text,                  -- keyless: the pg_snapshot it was read under
    epoch      bigint NOT NULL,
    PRIMARY KEY (pipeline, table_name, seq)
);

CREATE TABLE IF NOT EXISTS crossfade.saved_ddl (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline   text NOT NULL,
    table_name text NOT NULL,         -- the target's schema.name
    kind       text NOT NULL CHECK (kind IN ('index', 'constraint', 'foreign_key')),
    name       text NOT NULL,
    ddl        text NOT NULL,         -- makes it again
    drop_ddl   text NOT NULL,
    position   integer NOT NULL,      -- order of making: indexes, constraints, foreign keys
    UNIQUE (pipeline, table_name, kind, name)
);

CREATE TABLE IF NOT EXISTS crossfade.parked (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline   text NOT NULL,
    table_name text NOT NULL,         -- the source's schema.name
    position   text NOT NULL,
    change     bytea NOT NULL         -- encoded by src/state/parked.c
);
CREATE INDEX IF NOT EXISTS parked_table ON crossfade.parked (pipeline, table_name, seq);

CREATE TABLE IF NOT EXISTS crossfade.quarantine (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline   text NOT NULL,
    table_name text NOT NULL,
    key        bytea NOT NULL,        -- canonical key bytes; changes of one key stay together
    key_text   text NOT NULL,
    position   text NOT NULL,
    op         text NOT NULL,
    change     bytea NOT NULL,
    sqlstate   text NOT NULL,         -- empty: it waits for an earlier row of the same key
    message    text NOT NULL,
    at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS quarantine_table ON crossfade.quarantine (pipeline, table_name, id);

CREATE TABLE IF NOT EXISTS crossfade.reread (
    pipeline   text NOT NULL,
    table_name text NOT NULL,
    key        text[] NOT NULL,       -- values as text, in key order
    PRIMARY KEY (pipeline, table_name, key)
);

-- state: what the machine knows (object 'pipeline', 'stream:forward', 'table:public.t', 'group:g');
-- wish: what the operator wants (same objects; key 'paused', 'recopy', 'quarantine:retry', …).
CREATE TABLE IF NOT EXISTS crossfade.state (
    pipeline text NOT NULL,
    object   text NOT NULL,
    key      text NOT NULL,
    value    jsonb NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, object, key)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS crossfade.wish (
    pipeline text NOT NULL,
    object   text NOT NULL,
    key      text NOT NULL,
    value    jsonb NOT NULL,
    who      text NOT NULL DEFAULT session_user,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, object, key)
);

CREATE TABLE IF NOT EXISTS crossfade.audit (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    who      text NOT NULL DEFAULT session_user,
    what     text NOT NULL,
    detail   jsonb NOT NULL DEFAULT '{}'
);

-- The lease. Returns the epoch now held by p_holder, or 0 if somebody else's lease is still fresh.
-- Takes over only a lease older than the ttl by this server's clock, and raises the epoch by one when the
-- holder changes. Call it once more after the predecessor's backends are gone: see crossfade.lease_look.
CREATE OR REPLACE FUNCTION crossfade.lease_take(p_pipeline text, p_holder text, p_ttl interval)
RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    l crossfade.lease;
BEGIN
    INSERT INTO crossfade.lease VALUES (p_pipeline, p_holder, 1, clock_timestamp())
    ON CONFLICT DO NOTHING;
    SELECT * INTO l FROM crossfade.lease WHERE pipeline = p_pipeline FOR UPDATE;
    IF l.holder = p_holder THEN
        UPDATE crossfade.lease SET heartbeat = clock_timestamp() WHERE pipeline = p_pipeline;
        RETURN l.epoch;
    END IF;
    IF l.heartbeat > clock_timestamp() - p_ttl THEN
        RETURN 0;
    END IF;
    UPDATE crossfade.lease SET holder = p_holder, epoch = l.epoch + 1, heartbeat = clock_timestamp()
     WHERE pipeline = p_pipeline;
    RETURN l.epoch + 1;
END $$;

-- Heartbeat of the holder. Raises CF002 when the lease has gone to somebody else.
CREATE OR REPLACE FUNCTION crossfade.lease_beat(p_pipeline text, p_holder text, p_epoch bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE crossfade.lease SET heartbeat = clock_timestamp()
     WHERE pipeline = p_pipeline AND holder = p_holder AND epoch = p_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'lease of pipeline "%" is held by another process', p_pipeline USING ERRCODE = 'CF002';
    END IF;
END $$;

-- Gives the lease back at a clean stop, so that a standby takes over at once.
CREATE OR REPLACE FUNCTION crossfade.lease_release(p_pipeline text, p_holder text, p_epoch bigint)
RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    UPDATE crossfade.lease SET heartbeat = '-infinity'
     WHERE pipeline = p_pipeline AND holder = p_holder AND epoch = p_epoch;
$$;

-- Every other write of ours (chunks, DDL, state) is fenced by this, in its own transaction.
CREATE OR REPLACE FUNCTION crossfade.fence(p_pipeline text, p_epoch bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM 1 FROM crossfade.lease WHERE pipeline = p_pipeline AND epoch = p_epoch FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'pipeline "%" is run under a higher epoch than %', p_pipeline, p_epoch
            USING ERRCODE = 'CF002';
    END IF;
END $$;

-- A lane claims its row under the epoch and learns its position ('' when new).
CREATE OR REPLACE FUNCTION crossfade.claim_lane(p_pipeline text, p_stream text, p_lane integer, p_epoch bigint)
RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pos text;
BEGIN
    PERFORM crossfade.fence(p_pipeline, p_epoch);
    INSERT INTO crossfade.progress (pipeline, stream, lane, position, epoch)
    VALUES (p_pipeline, p_stream, p_lane, '', p_epoch) ON CONFLICT DO NOTHING;
    UPDATE crossfade.progress p
       SET epoch = p_epoch, backend_pid = pg_backend_pid(),
           backend_start = (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid())
     WHERE pipeline = p_pipeline AND stream = p_stream AND lane = p_lane AND p.epoch <= p_epoch
     RETURNING p.position INTO pos;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'lane % of pipeline "%" is held under a higher epoch than %', p_lane, p_pipeline, p_epoch
            USING ERRCODE = 'CF002';
    END IF;
    RETURN pos;
END $$;

-- The compare-and-set of rule 3: moves the lane's position in the transaction that carries the data.
CREATE OR REPLACE FUNCTION crossfade.advance(p_pipeline text, p_stream text, p_lane integer, p_epoch bigint,
                                             p_from text, p_to text, p_time timestamptz)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE crossfade.progress
       SET position = p_to, source_commit_time = coalesce(p_time, source_commit_time)
     WHERE pipeline = p_pipeline AND stream = p_stream AND lane = p_lane
       AND epoch = p_epoch AND position = p_from;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'lane % of pipeline "%" is not at % under epoch %', p_lane, p_pipeline, p_from, p_epoch
            USING ERRCODE = 'CF002',
                  HINT = 'another process runs this pipeline; this one becomes standby';
    END IF;
END $$;

-- Raises CF001 unless a statement touched as many rows as the batch holds.
CREATE OR REPLACE FUNCTION crossfade.expect(p_rows bigint, p_expected bigint)
RETURNS void LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_rows IS DISTINCT FROM p_expected THEN
        RAISE EXCEPTION '% rows touched, % expected', p_rows, p_expected USING ERRCODE = 'CF001';
    END IF;
END $$;

-- A planned chunk is done: in the transaction that copied its rows. Raises when it is not ours to finish.
CREATE OR REPLACE FUNCTION crossfade.chunk_done(p_pipeline text, p_table text, p_seq integer, p_epoch bigint,
                                                p_rows bigint, p_bytes bigint, p_snapshot text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM crossfade.fence(p_pipeline, p_epoch);
    UPDATE crossfade.chunk
       SET state = 'done', rows = p_rows, bytes = p_bytes, snapshot = p_snapshot, epoch = p_epoch
     WHERE pipeline = p_pipeline AND table_name = p_table AND seq = p_seq AND state = 'planned';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'chunk % of % is not planned', p_seq, p_table USING ERRCODE = 'CF002';
    END IF;
END $$;

-- State rows are fenced; wishes are written by operators and announced.
CREATE OR REPLACE FUNCTION crossfade.state_put(p_pipeline text, p_epoch bigint, p_object text, p_key text,
                                               p_value jsonb)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM crossfade.fence(p_pipeline, p_epoch);
    INSERT INTO crossfade.state VALUES (p_pipeline, p_object, p_key, p_value, clock_timestamp())
    ON CONFLICT (pipeline, object, key) DO UPDATE SET value = excluded.value, at = excluded.at
    WHERE state.value IS DISTINCT FROM excluded.value;
END $$;

CREATE OR REPLACE FUNCTION crossfade.wish_put(p_pipeline text, p_object text, p_key text, p_value jsonb)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO crossfade.wish (pipeline, object, key, value) VALUES (p_pipeline, p_object, p_key, p_value)
    ON CONFLICT (pipeline, object, key) DO UPDATE SET value = excluded.value, who = session_user, at = now();
    PERFORM pg_notify('crossfade_' || p_pipeline, p_object || ' ' || p_key);
END $$;

-- Which side is live, for applications that route by SQL.
CREATE OR REPLACE FUNCTION crossfade.live_side(p_group text, p_pipeline text DEFAULT NULL)
RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT value #>> '{}' FROM crossfade.state
                      WHERE (p_pipeline IS NULL OR pipeline = p_pipeline)
                        AND object = 'group:' || p_group AND key = 'live' LIMIT 1), 'legacy');
$$;

INSERT INTO crossfade.version (version) VALUES (1) ON CONFLICT DO NOTHING;
