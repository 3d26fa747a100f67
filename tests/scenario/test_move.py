# SPDX-License-Identifier: PostgreSQL
"""The main job, end to end: ten tables move while an application writes to them."""
from lib.load import FILL, SCHEMA, Load
from lib.process import wait_for


def prepare(pipeline, rows=2000):
    pipeline.both(SCHEMA)
    pipeline.on(pipeline.legacy, FILL.format(n=rows))
    return pipeline.prepare()


def test_until_caught_up_moves_a_quiet_database(pipeline):
    """Without writers, --until-caught-up ends with 0 and both sides are equal"""
    prepare(pipeline)
    pipeline.move()
    pipeline.assert_equal()


def test_moves_under_load_and_streams(pipeline):
    """Backfill, catch-up and streaming under a write load leave every table equal"""
    prepare(pipeline, 5000)
    with Load(pipeline.legacy, rows=5000) as load:
        r = pipeline.start(ready=True)
        before = load.transactions
        r.wait(lambda: load.transactions > before + 200, 60, "200 transactions while streaming")
        load.stop()
    pipeline.wait_equal(r)
    assert all(t["state"] == "streaming" for t in r.tables().values())
    assert len(r.tables()) == 10
    code, _ = r.stop()
    assert code == 0, r.tail()


def test_goes_on_where_it_stood_after_a_clean_stop(pipeline):
    """Stopped and started again it copies nothing twice and applies what was written in between"""
    prepare(pipeline)
    r = pipeline.start(ready=True)
    r.stop()
    done = pipeline.target.query("SELECT table_name, seq, rows, xmin::text FROM crossfade.chunk ORDER BY 1, 2")
    with Load(pipeline.legacy) as load:
        wait_for(lambda: load.transactions > 200, 60, "200 transactions while stopped")
        load.stop()
    r = pipeline.start(ready=True)
    pipeline.wait_equal(r)
    assert pipeline.target.query("SELECT table_name, seq, rows, xmin::text FROM crossfade.chunk ORDER BY 1, 2") == done


def test_indexes_and_foreign_keys_are_back(pipeline):
    """Every index and constraint of the target is there again, and valid, once it streams"""
    objects = """SELECT 'i', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), i.indisvalid FROM pg_index i
                   JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace
                 UNION ALL SELECT contype::text, conrelid::regclass || '.' || conname, pg_get_constraintdef(oid), convalidated
                   FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"""
    prepare(pipeline)
    before = pipeline.target.query(objects)
    assert len(before) > 15
    pipeline.move()
    assert pipeline.target.query(objects) == before
    assert pipeline.target.one("SELECT count(*) FROM crossfade.saved_ddl") == 0


def test_offsets_in_redis_follow(pipeline, redis_server):
    """The mirror in Redis tells the positions that the progress rows hold"""
    prepare(pipeline, 200)
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("UPDATE hot SET n = n + 1")
    pipeline.wait_equal(r)
    c = redis_server.client()
    want = r.stream()["applied"]
    key = f"crossfade:{pipeline.name}:offsets"
    r.wait(lambda: (c.hget(key, "forward.applied") or "") >= want, 20, "Redis shows the applied position")
    assert set(c.hgetall(key)) >= {f"forward.{k}" for k in ("received", "applied", "confirmed", "lag_bytes", "lag_ms")}
