# SPDX-License-Identifier: PostgreSQL
"""The application: writers that insert, update, delete and move keys until told to stop. What they do follows from
the seed; when a server goes away they wait and go on."""
import random
import threading
import time

import psycopg2

SCHEMA = """
CREATE TABLE district (id int PRIMARY KEY, name text NOT NULL, founded date);
CREATE TABLE school (id serial PRIMARY KEY, district_id int NOT NULL REFERENCES district, name text NOT NULL,
                     tags text[] NOT NULL DEFAULT '{}', UNIQUE (district_id, name));
CREATE TABLE student (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, school_id int REFERENCES school,
                      name text NOT NULL, born date, gpa numeric(5,3), notes text, extra jsonb,
                      seen timestamptz DEFAULT now());
CREATE INDEX student_school ON student (school_id);
CREATE TABLE section (school_id int, code text, title text, capacity smallint, PRIMARY KEY (school_id, code));
CREATE TABLE enrolment (student_id bigint REFERENCES student ON DELETE CASCADE, school_id int, code text,
                        mark real, PRIMARY KEY (student_id, school_id, code));
CREATE TABLE event (id uuid PRIMARY KEY, at timestamptz NOT NULL, payload json, big text);
CREATE TABLE hot (id int PRIMARY KEY, n bigint NOT NULL, pad text);
CREATE TABLE keyed_by_text (k text PRIMARY KEY, v int);
CREATE TABLE moving (id numeric PRIMARY KEY, v text);
CREATE TABLE full_identity (a int, b text, c float8);
ALTER TABLE full_identity REPLICA IDENTITY FULL;
"""

FILL = """
INSERT INTO district SELECT i, 'District ' || i, date '1900-01-01' + i FROM generate_series(1, 20) i;
INSERT INTO school (district_id, name, tags) SELECT 1 + i % 20, 'School ' || i, ARRAY['t' || i, NULL, ''] FROM generate_series(1, {n} / 100 + 20) i;
INSERT INTO student (school_id, name, born, gpa, notes, extra)
  SELECT 1 + i % 20, 'Student ' || i, date '2005-01-01' + i % 3000, i % 4000 / 1000.0,
         CASE WHEN i % 7 = 0 THEN repeat(md5(i::text), 100) END, jsonb_build_object('i', i)
    FROM generate_series(1, {n}) i;
INSERT INTO section SELECT 1 + i % 20, 'C' || i, 'Title ' || i, i % 40 FROM generate_series(1, {n} / 10) i;
INSERT INTO enrolment SELECT i, 1 + i % 20, 'C' || i, i / 3.0 FROM generate_series(1, {n}) i;
INSERT INTO event SELECT md5(i::text)::uuid, timestamptz '2024-01-01Z' + i * interval '1 s', '{{"a": 1}}', NULL FROM generate_series(1, {n} / 4) i;
INSERT INTO hot SELECT i, 0, 'x' FROM generate_series(1, 10) i;
INSERT INTO keyed_by_text SELECT 'k' || i, i FROM generate_series(1, {n} / 10) i;
INSERT INTO moving SELECT i, 'v' || i FROM generate_series(1, {n} / 10) i;
INSERT INTO full_identity SELECT i % 50, 'b' || i % 7, i % 3 FROM generate_series(1, {n} / 20) i;
"""

TABLES = ["district", "school", "student", "section", "enrolment", "event", "hot", "keyed_by_text", "moving",
          "full_identity"]


class Load:
    def __init__(self, database, writers=2, seed=1, rows=2000, pause=0.0, scale=1):
        self.database = database
        self.rows = rows
        self.pause = pause
        self.stopping = threading.Event()
        self.done = [0] * writers
        self.errors = []
        self.threads = [threading.Thread(target=self._write, args=(i, random.Random(seed * 1000 + i)), daemon=True)
                        for i in range(writers)]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def stop(self, deadline=30):
        self.stopping.set()
        for t in self.threads:
            t.join(deadline)
            assert not t.is_alive(), "a writer hangs"
        assert not self.errors, f"the application was hurt: {self.errors[0]}"

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stopping.set()
        for t in self.threads:
            t.join(30)

    @property
    def transactions(self):
        return sum(self.done)

    def _write(self, me, rnd):
        connection = None
        while not self.stopping.is_set():
            try:
                if connection is None:
                    connection = self.database.connect()
                    connection.autocommit = False
                with connection.cursor() as cur:
                    for _ in range(rnd.choice((1, 1, 1, 2, 5, 20))):
                        self._one(cur, rnd, me)
                if rnd.random() < 0.05:
                    connection.rollback()
                else:
                    connection.commit()
                self.done[me] += 1
                if self.pause:
                    self.stopping.wait(self.pause)
            except (psycopg2.errors.DeadlockDetected, psycopg2.errors.UniqueViolation,
                    psycopg2.errors.ForeignKeyViolation, psycopg2.errors.SerializationFailure):
                connection.rollback()
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(0.05)
            except psycopg2.DatabaseError as e:
                # A link lost in the middle of a message comes as the bare class.
                if type(e) is not psycopg2.DatabaseError:
                    self.errors.append(repr(e))
                    return
                connection.close()
                connection = None
                time.sleep(0.05)
            except Exception as e:
                self.errors.append(repr(e))
                return
        if connection is not None:
            connection.close()

    def _one(self, cur, rnd, me):
        n, kind = self.rows, rnd.randrange(16)
        if kind < 3:
            cur.execute("UPDATE hot SET n = n + 1, pad = %s WHERE id = %s", (rnd.choice("abc") * 3, rnd.randint(1, 10)))
        elif kind == 3:
            cur.execute("INSERT INTO student (school_id, name, notes, extra) VALUES (%s, %s, %s, %s) RETURNING id",
                        (rnd.randint(1, 20), f"new {rnd.random()}", rnd.choice((None, "n" * 9000)), '{"x": [1, 2]}'))
            sid = cur.fetchone()[0]
            cur.execute("INSERT INTO enrolment VALUES (%s, %s, %s, %s)", (sid, me, "N", rnd.random()))
        elif kind == 4:
            cur.execute("UPDATE student SET gpa = %s, seen = now() WHERE id = %s", (rnd.randint(0, 4000) / 1000, rnd.randint(1, n)))
        elif kind == 5:
            cur.execute("UPDATE student SET notes = %s WHERE id = %s",
                        (rnd.choice((None, "", "y" * 12000)), rnd.randint(1, n)))
        elif kind == 6:
            cur.execute("DELETE FROM student WHERE id = %s", (rnd.randint(1, n),))
        elif kind == 7:
            cur.execute("INSERT INTO event VALUES (gen_random_uuid(), now(), '{\"b\": null}', repeat('z', %s))",
                        (rnd.choice((0, 10, 5000)),))
        elif kind == 8:
            cur.execute("DELETE FROM event WHERE id IN (SELECT id FROM event LIMIT 2 FOR UPDATE SKIP LOCKED)")
        elif kind == 9:  # the key moves, far or to a free neighbour
            cur.execute("UPDATE moving SET id = id + %s, v = v || '.' WHERE id = %s",
                        (rnd.choice((0.5, 1000000, -3)), rnd.randint(1, max(2, n // 10))))
        elif kind == 10:  # a key is deleted and used again in one transaction
            k = f"k{rnd.randint(1, max(2, n // 10))}"
            cur.execute("DELETE FROM keyed_by_text WHERE k = %s", (k,))
            cur.execute("INSERT INTO keyed_by_text VALUES (%s, %s)", (k, rnd.randint(0, 99)))
        elif kind == 11:
            cur.execute("INSERT INTO full_identity VALUES (%s, %s, %s)", (rnd.randint(0, 50), "b1", rnd.choice((1.5, None, float("nan")))))
        elif kind == 12:
            cur.execute("UPDATE full_identity SET b = b || '!' WHERE ctid IN (SELECT ctid FROM full_identity WHERE a = %s LIMIT 2)", (rnd.randint(0, 50),))
        elif kind == 13:
            cur.execute("DELETE FROM full_identity WHERE ctid = (SELECT ctid FROM full_identity WHERE a = %s LIMIT 1)", (rnd.randint(0, 50),))
        elif kind == 14:
            cur.execute("UPDATE section SET capacity = capacity + 1 WHERE school_id = %s", (rnd.randint(1, 20),))
        else:
            cur.execute("SAVEPOINT s")
            cur.execute("UPDATE hot SET n = n - 1000 WHERE id = %s", (rnd.randint(1, 10),))
            cur.execute("ROLLBACK TO s")
            cur.execute("UPDATE school SET tags = tags || %s::text WHERE id = %s", (rnd.choice((None, "", "é𝄞")), rnd.randint(1, 20)))
