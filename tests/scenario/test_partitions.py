# SPDX-License-Identifier: PostgreSQL
"""Partitioned and inherited tables, published either way."""
import pytest

PARTITIONED = """
CREATE TABLE m (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE m_old PARTITION OF m FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE m_new PARTITION OF m FOR VALUES FROM ('2024-01-01') TO (MAXVALUE) PARTITION BY LIST (id);
CREATE TABLE m_new_1 PARTITION OF m_new FOR VALUES IN (1, 2, 3);
CREATE TABLE m_new_d PARTITION OF m_new DEFAULT;
"""
PLAIN = "CREATE TABLE m (id int, day date, v text, PRIMARY KEY (id, day));"
OTHERWISE = """
CREATE TABLE m (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY HASH (id);
CREATE TABLE m_h0 PARTITION OF m FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE m_h1 PARTITION OF m FOR VALUES WITH (MODULUS 2, REMAINDER 1);
"""
FILL = "INSERT INTO m SELECT i, date '2023-12-01' + i % 60, 'v' || i FROM generate_series(1, 500) i"
CHANGES = """
INSERT INTO m VALUES (1, '2022-01-01', 'old'), (2, '2025-01-01', 'new'), (9999, '2025-01-01', 'default');
UPDATE m SET v = 'changed' WHERE id % 10 = 0;
UPDATE m SET day = day + 365 WHERE id % 7 = 0;
UPDATE m SET id = id + 10000, day = day - 200 WHERE id % 11 = 0;
DELETE FROM m WHERE id % 13 = 0;
BEGIN; UPDATE m SET day = '2020-01-01' WHERE id = 2 AND day = '2025-01-01'; UPDATE m SET day = '2026-01-01' WHERE id = 2 AND day = '2020-01-01'; COMMIT;
"""


@pytest.mark.parametrize("target", ["same", "plain", "otherwise"])
def test_published_via_root(pipeline, target):
    """Published via its root: rows go to the root of the target, however that is partitioned"""
    pipeline.on(pipeline.legacy, PARTITIONED)
    pipeline.on(pipeline.target, {"same": PARTITIONED, "plain": PLAIN, "otherwise": OTHERWISE}[target])
    pipeline.legacy.execute(FILL)
    pipeline.prepare(options="WITH (publish_via_partition_root = true)")
    r = pipeline.start(ready=True)
    pipeline.legacy.psql(CHANGES)
    pipeline.wait_equal(r)
    pipeline.legacy.psql("TRUNCATE m; INSERT INTO m VALUES (5, '2024-05-05', 'x');")
    pipeline.wait_equal(r)


def test_published_by_leaf(pipeline):
    """Published by its leaves: the same rows arrive; a partition truncated alone stops the table, recopy mends it"""
    pipeline.on(pipeline.legacy, PARTITIONED)
    pipeline.on(pipeline.target, PARTITIONED)
    pipeline.legacy.execute(FILL)
    pipeline.prepare(options="WITH (publish_via_partition_root = false)")
    r = pipeline.start(ready=True)
    pipeline.legacy.psql(CHANGES)
    pipeline.wait_equal(r)
    pipeline.legacy.psql("TRUNCATE m; INSERT INTO m VALUES (5, '2024-05-05', 'x'), (6, '2020-05-05', 'y');")
    pipeline.wait_equal(r)
    pipeline.legacy.psql("TRUNCATE m_old; INSERT INTO m VALUES (7, '2020-05-05', 'z');")
    r.wait(lambda: r.table_state("public.m") == "stopped", 20, "the table stops")
    assert "m_old" in r.tables()["public.m"]["reason"]
    assert pipeline.crossfade("recopy", "--table", "m")[0] == 0
    r.wait(lambda: r.table_state("public.m") == "streaming", 30, "copied again")
    pipeline.wait_equal(r)


def test_partition_attached_while_streaming(pipeline):
    """A partition made while streaming: its rows arrive"""
    pipeline.on(pipeline.legacy, PARTITIONED.replace("(MAXVALUE)", "('2030-01-01')"))
    pipeline.on(pipeline.target, PARTITIONED)
    pipeline.legacy.execute(FILL)
    pipeline.prepare(options="WITH (publish_via_partition_root = true)")
    r = pipeline.start(ready=True)
    pipeline.on(pipeline.legacy, "CREATE TABLE m_far PARTITION OF m FOR VALUES FROM ('2030-01-01') TO (MAXVALUE)")
    pipeline.legacy.execute("INSERT INTO m VALUES (1, '2031-01-01', 'far'); UPDATE m SET v = 'farther' WHERE day = '2031-01-01'")
    pipeline.wait_equal(r)


def test_inheritance(pipeline):
    """Inherited tables: each table's own rows go to its own counterpart, none twice"""
    ddl = "CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (extra int, PRIMARY KEY (id)) INHERITS (parent);"
    pipeline.both(ddl)
    pipeline.legacy.execute("INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 50) i; INSERT INTO child SELECT i, 'c', i FROM generate_series(51, 90) i")
    pipeline.prepare()
    r = pipeline.start(ready=True)
    pipeline.legacy.execute("INSERT INTO child VALUES (200, 'c', 1); UPDATE parent SET v = 'all' WHERE id > 40; DELETE FROM parent WHERE id IN (60, 5)")
    pipeline.wait_equal(r)
    for t in ("parent", "child"):
        assert pipeline.legacy.one(f"SELECT count(*) FROM ONLY {t}") == pipeline.target.one(f"SELECT count(*) FROM ONLY {t}")
