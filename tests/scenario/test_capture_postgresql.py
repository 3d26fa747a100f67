# SPDX-License-Identifier: PostgreSQL
"""A PostgreSQL as the legacy without its WAL: tables polled by timestamp and by snapshot."""
import pytest

from lib.process import wait_for

TABLES = """
CREATE TABLE student (id int PRIMARY KEY, name text, price numeric(10,2), tags text[], doc jsonb, changed timestamptz DEFAULT now(), gone bool NOT NULL DEFAULT false);
CREATE TABLE enrolled (code text, n bigint, note text, changed timestamp DEFAULT (now() AT TIME ZONE 'UTC'), PRIMARY KEY (code, n));
"""
CAPTURES = ("timestamp", "snapshot")


class Polled:
    def __init__(self, pipeline, capture):
        self.pipeline, self.legacy, self.target = pipeline, pipeline.legacy, pipeline.target
        c = pipeline.config
        c["legacy"]["capture"] = capture
        c["stream"] = {"poll_interval": "50ms"}
        c["max_deletes"] = 0.5
        if capture == "timestamp":
            c["tables"] = [{"from": "student", "updated_at": "changed", "overlap": "1min", "soft_delete": "gone"},
                           {"from": "enrolled", "updated_at": "changed", "overlap": "1min"}]
        pipeline.both(TABLES)
        pipeline.roles()
        code, out, err = pipeline.crossfade("install")
        assert code == 0, out + err

    def fill(self, first, last):
        self.legacy.execute(f"INSERT INTO student (id, name, price, tags, doc) SELECT i, 'naïve ' || i, i + 0.25, ARRAY['a', NULL], '{{\"a\": [1]}}' "
                            f"FROM generate_series({first}, {last}) i")
        self.legacy.execute(f"INSERT INTO enrolled (code, n) SELECT 'a', i FROM generate_series({first}, {last}) i")

    def wait_equal(self, replicator=None, deadline=60):
        def look():
            assert replicator is None or replicator.running, replicator.tail()
            self.pipeline.assert_equal()
            return True

        def quiet():
            try:
                return look()
            except AssertionError:
                assert replicator is None or replicator.running, replicator.tail()
                return False
        try:
            wait_for(quiet, deadline, "both sides are equal", step=0.1)
        except AssertionError:
            look()


@pytest.fixture
def make_polled(pipeline):
    return lambda capture: Polled(pipeline, capture)


@pytest.mark.parametrize("capture", CAPTURES)
def test_moved_and_followed(make_polled, capture):
    """Copied, then followed: inserts, updates, deletes, key changes; a commit held open over many polls (19) and a kill -9"""
    m = make_polled(capture)
    m.fill(1, 1500)
    m.pipeline.move()
    m.wait_equal(deadline=1)
    r = m.pipeline.start(ready=True)
    m.legacy.execute("UPDATE student SET name = NULL, changed = now() WHERE id = 1; DELETE FROM student WHERE id = 2")
    m.legacy.execute("UPDATE student SET id = 9000, changed = now() WHERE id = 3")
    m.fill(2000, 2010)
    m.wait_equal(r)
    assert r.stream()["applied"].startswith("{")
    late = m.legacy.connect()
    late.autocommit = False
    late.cursor().execute("INSERT INTO student (id, name) VALUES (5000, 'late'); UPDATE student SET name = 'late', changed = now() WHERE id = 10")
    for i in range(3000, 3005):
        m.fill(i, i)
    m.wait_equal(r)
    r.kill9()
    r = m.pipeline.start(ready=True)
    m.fill(4000, 4001)
    m.wait_equal(r)
    late.commit()
    late.close()
    m.legacy.execute("DELETE FROM enrolled WHERE n = 7")
    m.wait_equal(r)
    assert m.target.one("SELECT count(*) FROM student WHERE name = 'late'") == 2
    assert [t["conflicts"] for g in r.status()["groups"] for t in g["tables"]] == [0, 0]
    assert m.legacy.one("SELECT count(*) FROM pg_publication") == 0 and m.legacy.one("SELECT count(*) FROM pg_replication_slots") == 0


def test_soft_delete_and_null_times(make_polled):
    """Timestamp: rows soft-deleted before the copy go, later ones are deletes, a row without a time comes after a sweep"""
    m = make_polled("timestamp")
    m.fill(1, 20)
    m.legacy.execute("UPDATE student SET gone = true, changed = now() - interval '1 year' WHERE id = 4")
    m.pipeline.move()
    assert m.target.one("SELECT count(*) FROM student WHERE id = 4") == 0
    r = m.pipeline.start(ready=True)
    m.legacy.execute("UPDATE student SET gone = true, changed = now() WHERE id = 5; INSERT INTO student (id, changed) VALUES (77, NULL)")
    r.wait(lambda: m.target.one("SELECT count(*) FROM student WHERE id = 5") == 0, 60, "the soft delete came")
    r.wait(lambda: m.target.one("SELECT count(*) FROM student WHERE id = 77") == 1, 60, "the row without a time came")


def test_too_many_missing_rows_stop_the_table(make_polled):
    """48: more rows gone than max_deletes allows: nothing is deleted, the table stops, recopy mends it"""
    m = make_polled("snapshot")
    m.pipeline.config["max_deletes"] = 0.05
    m.fill(1, 40)
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    m.legacy.execute("DELETE FROM student WHERE id <= 20")
    r.wait(lambda: r.table_state("public.student") == "stopped", 60, "the table has stopped")
    assert m.target.one("SELECT count(*) FROM student") == 40
    assert m.pipeline.crossfade("recopy", "--table", "public.student")[0] == 0
    m.wait_equal(r)


def test_a_new_column_stops_the_table(make_polled):
    """34: a column added to the source is not dropped on the way"""
    m = make_polled("snapshot")
    m.fill(1, 5)
    m.pipeline.move()
    r = m.pipeline.start(ready=True)
    m.pipeline.on(m.legacy, "ALTER TABLE student ADD extra int DEFAULT 7")
    r.wait(lambda: r.table_state("public.student") == "stopped", 60, "the table has stopped")
    m.legacy.execute("INSERT INTO enrolled (code, n) VALUES ('z', 1)")
    r.wait(lambda: m.target.one("SELECT count(*) FROM enrolled WHERE code = 'z'") == 1, 60, "the other goes on")


def test_check_and_status_tell_the_capture(make_polled):
    """12: check says what the capture promises and asks for no WAL; a mix is refused; status names the capture"""
    m = make_polled("timestamp")
    code, findings = m.pipeline.check()
    by_code = {f["code"]: f for f in findings}
    assert code == 0, findings
    assert by_code["capture"]["level"] == "ok" and "soft_delete" in by_code["capture"]["text"]
    assert by_code["updated_at_index"]["level"] == "warn"
    assert not {"wal_level", "slots", "publication_missing"} & set(by_code)
    m.fill(1, 3)
    r = m.pipeline.start(ready=True)
    assert {t["capture"] for t in r.tables().values()} == {"timestamp"}
    assert "timestamp" in m.pipeline.crossfade("status")[1]
    r.end()
    m.pipeline.config["tables"][1]["capture"] = "snapshot"
    del m.pipeline.config["tables"][1]["updated_at"], m.pipeline.config["tables"][1]["overlap"]
    code, findings = m.pipeline.check()
    assert code == 1 and "capture_mixed" in {f["code"] for f in findings}
