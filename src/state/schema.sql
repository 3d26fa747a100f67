-- Crossfade's own objects in the target, version 1. Applied in one transaction, idempotent.
-- Everything is keyed by pipeline: several may share a target. Positions are text (DESIGN.md section 9).
--
-- SQLSTATEs raised here: CF001 a row count was not the expected one (the batch is then replayed exactly);
-- CF002 fenced: another epoch owns the pipeline; CF003 protected: the position does not fit.

-- IF NOT EXISTS would still ask for the right to create schemas, where an administrator has made it for us.
DO $$ BEGIN
    IF to_regnamespace('crossfade') IS NULL THEN
        CREATE SCHEMA crossfade;
    END IF;
END $$;

CREATE TABLE IF NOT EXISTS crossfade.version (
    version      integer PRIMARY KEY,
    installed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS crossfade.lease (
    pipeline  text PRIMARY KEY,
    holder    text NOT NULL,          -- host:pid:random, unique for one process
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

-- Ends this pipeline's sessions on this server and waits until they are gone, at most 2 s: those of the same
-- role whose application_name is crossfade:<pipeline>:<job>. Not our own session, and not those that write
-- nothing under an epoch: standbys and the operator's commands. Returns how many are still there.
-- A stopped process still holds its row locks, replication origin and transactions (hazard 40).
CREATE OR REPLACE FUNCTION crossfade.terminate_others(p_pipeline text)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    started timestamptz := clock_timestamp();
    left_over integer;
BEGIN
    LOOP
        PERFORM pg_stat_clear_snapshot();
        SELECT count(pg_terminate_backend(pid)) INTO left_over FROM pg_stat_activity
         WHERE split_part(application_name, ':', 1) = 'crossfade'
           AND split_part(application_name, ':', 2) = p_pipeline
           AND split_part(application_name, ':', 3) NOT IN ('standby', 'control', 'check', 'reconciler')
           AND usename = session_user AND pid <> pg_backend_pid();
        -- The second term ends the loop when this server's clock steps back.
        EXIT WHEN left_over = 0 OR clock_timestamp() NOT BETWEEN started AND started + interval '2 s';
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN left_over;
END $$;

-- The lock that every fenced transaction shares and a take-over has alone. It is not the lease's row, because
-- a transaction of minutes (an index, a copy) would then keep the heartbeat from being written.
CREATE OR REPLACE FUNCTION crossfade.fence_key(p_pipeline text)
RETURNS bigint LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT hashtextextended('crossfade ' || p_pipeline, 0);
$$;

-- The lease. held_epoch is the epoch that p_holder now holds, 0 if somebody else's lease is still fresh by this
-- server's clock. It is called where p_holder has no other session here. In this order, under the row's lock, so
-- that of several newcomers one takes over and the others find a fresh lease:
--   1. the predecessor's sessions are ended (also our own of before a lost link);
--   2. fenced transactions that began meanwhile are waited out, new ones wait for us;
--   3. the epoch is raised by one if the holder changes.
-- A heartbeat from the future means that the clock was set back: it counts as one of now.
CREATE OR REPLACE FUNCTION crossfade.lease_take(p_pipeline text, p_holder text, p_ttl interval,
                                                OUT held_epoch bigint, OUT changed_hands boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    l crossfade.lease;
    tries integer := 0;
    left_over integer;
BEGIN
    INSERT INTO crossfade.lease VALUES (p_pipeline, p_holder, 1, clock_timestamp())
    ON CONFLICT DO NOTHING;
    SELECT * INTO l FROM crossfade.lease WHERE pipeline = p_pipeline FOR UPDATE;
    changed_hands := l.holder <> p_holder;
    IF changed_hands AND l.heartbeat > clock_timestamp() - p_ttl THEN
        UPDATE crossfade.lease SET heartbeat = clock_timestamp()
         WHERE pipeline = p_pipeline AND heartbeat > clock_timestamp();
        held_epoch := 0;
        changed_hands := false;
        RETURN;
    END IF;
    LOOP
        left_over := crossfade.terminate_others(p_pipeline);
        EXIT WHEN left_over = 0 AND pg_try_advisory_xact_lock(crossfade.fence_key(p_pipeline));
        tries := tries + 1;
        IF left_over > 0 OR tries > 200 THEN
            RAISE EXCEPTION 'sessions of pipeline "%" on this server do not end', p_pipeline
                USING ERRCODE = '55P03', HINT = 'end those with application_name crossfade:' || p_pipeline || ':…';
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
    held_epoch := l.epoch + changed_hands::integer;
    UPDATE crossfade.lease SET holder = p_holder, epoch = held_epoch, heartbeat = clock_timestamp()
     WHERE pipeline = p_pipeline;
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

-- Every other write of ours (chunks, DDL, state) is fenced by this, in its own transaction: from here to its end
-- no take-over can be completed. Under a snapshot older than this statement the answer could be of the past.
CREATE OR REPLACE FUNCTION crossfade.fence(p_pipeline text, p_epoch bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a fenced transaction must be read committed' USING ERRCODE = 'CF003';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(crossfade.fence_key(p_pipeline));
    PERFORM 1 FROM crossfade.lease WHERE pipeline = p_pipeline AND epoch = p_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'pipeline "%" is run under another epoch than %', p_pipeline, p_epoch
            USING ERRCODE = 'CF002';
    END IF;
END $$;

-- A lane claims its row under the epoch and learns its position ('' when new). It would wait behind a transaction
-- of a predecessor's lane: lease_take has ended those.
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

-- A list is added to the list that waits already, so that two `quarantine retry` in a row are both done.
CREATE OR REPLACE FUNCTION crossfade.wish_put(p_pipeline text, p_object text, p_key text, p_value jsonb)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO crossfade.wish (pipeline, object, key, value, at)
    VALUES (p_pipeline, p_object, p_key, p_value, clock_timestamp())
    ON CONFLICT (pipeline, object, key) DO UPDATE
    SET value = CASE WHEN jsonb_typeof(wish.value) = 'array' AND jsonb_typeof(excluded.value) = 'array'
                     THEN wish.value || excluded.value ELSE excluded.value END,
        who = session_user, at = excluded.at;
    PERFORM pg_notify('crossfade_' || p_pipeline, p_object || ' ' || p_key);
END $$;

-- Which side is live, for applications that route by SQL. Without a pipeline the group's name must be unique here.
CREATE OR REPLACE FUNCTION crossfade.live_side(p_group text, p_pipeline text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sides text[];
BEGIN
    SELECT array_agg(DISTINCT value #>> '{}') INTO sides FROM crossfade.state
     WHERE (p_pipeline IS NULL OR pipeline = p_pipeline) AND object = 'group:' || p_group AND key = 'live';
    IF cardinality(sides) > 1 THEN
        RAISE EXCEPTION 'several pipelines have a group "%": name the pipeline too', p_group;
    END IF;
    RETURN coalesce(sides[1], 'legacy');
END $$;

INSERT INTO crossfade.version (version) VALUES (1) ON CONFLICT DO NOTHING;
