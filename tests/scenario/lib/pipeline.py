# SPDX-License-Identifier: PostgreSQL
"""One pipeline with everything it needs: a database on either server, least-privilege roles, a publication made by
the administrator, a Redis, a config file, and the replicators started on it."""
import json
import os

from .compare import differences
from .postgres import Database, lsn_number
from .process import free_port, wait_for
from .replicator import TOP, Replicator, crossfade

SOURCE_ROLE = "crossfade_source"
TARGET_ROLE = "crossfade_target"
OWNER = "app_owner"

# Tables whose rows an UPDATE could not name
KEYLESS = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind IN ('r', 'p') AND NOT relispartition AND relpersistence = 'p' AND nspname !~ '^pg_'
   AND nspname NOT IN ('information_schema', 'crossfade')
   AND NOT (relreplident IN ('f', 'i') OR relreplident = 'd' AND EXISTS
            (SELECT FROM pg_index i WHERE indrelid = c.oid AND indisprimary)) ORDER BY 1"""


class Pipeline:
    def __init__(self, name, directory, legacy, target, redis=None):
        self.name = name
        self.dir = directory
        self.legacy = legacy
        self.target = target
        self.redis = redis
        self.replicators = []
        self.http_port = free_port()
        self.config = {
            "pipeline": name,
            "legacy": {"kind": "postgresql", "conninfo": legacy.conninfo(SOURCE_ROLE)} if legacy else {},
            "target": {"conninfo": target.conninfo(TARGET_ROLE)},
            "http": {"listen": f"127.0.0.1:{self.http_port}"},
            "tables": "all",
            "backfill": {"workers": 2},
            "lease_ttl": "5s",
            "connect_timeout": "10s",
        }
        if redis is not None:
            self.config["redis"] = {"url": redis.url}
        self.slot = f"crossfade_{name}"

    # -- preparation, as a person would do it

    def both(self, sql):
        """The same DDL on both sides, owned by the application's role."""
        self.on(self.legacy, sql)
        self.on(self.target, sql)

    def on(self, database, sql):
        database.psql(f"SET ROLE {OWNER};\nSET search_path = public;\n{sql}")

    def roles(self, owner_on_target=True):
        """Runs the SQL we ship for administrators; needs the tables to be there already."""
        for database, script, role in ((self.legacy, "roles-source.sql", SOURCE_ROLE),
                                       (self.target, "roles-target.sql", TARGET_ROLE)):
            if database is None:
                continue
            run_roles_script(database, script, role)
        if owner_on_target:
            self.target.execute(f"GRANT {OWNER} TO {TARGET_ROLE}")
        else:
            self.target.execute(f"REVOKE {OWNER} FROM {TARGET_ROLE}")

    def publish(self, what=None, options=""):
        """As an administrator: ALL TABLES, unless some table has no replica identity; such tables are published for
        inserts only, or the application could not update them any more."""
        name = f"crossfade_{self.name}"
        keyless = [r[0] for r in self.legacy.query(KEYLESS)]
        if what is None and keyless:
            keyed = [r[0] for r in self.legacy.query(KEYLESS.replace("AND NOT (relreplident", "AND (relreplident"))]
            ops = "insert, truncate" if self.legacy.server.version >= 110000 else "insert"
            insert = f"publish = '{ops}'"
            self.legacy.execute(f"CREATE PUBLICATION {name}_insert FOR TABLE {', '.join(keyless)} WITH ({insert})")
            what = "TABLE " + ", ".join(keyed) if keyed else None
            if what is None:
                self.legacy.execute(f"CREATE PUBLICATION {name}")
                return
        self.legacy.execute(f"CREATE PUBLICATION {name} FOR {what or 'ALL TABLES'} {options}")

    def prepare(self, owner_on_target=True, publish=None, options=""):
        self.roles(owner_on_target)
        self.publish(publish, options)
        code, out, err = self.crossfade("install")
        assert code == 0, f"crossfade install: {code}\n{out}{err}"
        return self

    def write_config(self, text=None):
        path = os.path.join(self.dir, f"{self.name}.json")
        with open(path, "w") as f:
            f.write(text if text is not None else json.dumps(self.config, indent=2))
        return path

    # -- the programs

    def crossfade(self, command, *args, **kw):
        return crossfade(command, "-c", self.write_config(), *args, **kw)

    def check(self):
        """(exit status, findings)"""
        code, out, err = self.crossfade("check", "--json")
        assert code in (0, 1), f"crossfade check: {code}\n{out}{err}"
        return code, json.loads(out)["findings"]

    def replicator(self, env=None, args=(), config=None):
        """A replicator that is not started yet; the second one of a pipeline gets a port of its own."""
        n = len(self.replicators)
        port = self.http_port
        path = self.write_config()
        if n > 0 or config:
            port = free_port()
            changed = dict(self.config, http={"listen": f"127.0.0.1:{port}"}, **(config or {}))
            path = os.path.join(self.dir, f"{self.name}.{n}.json")
            with open(path, "w") as f:
                json.dump(changed, f, indent=2)
        r = Replicator(path, os.path.join(self.dir, f"{self.name}.{n}.log"), port, env=env, args=args)
        self.replicators.append(r)
        return r

    def start(self, *args, ready=False, deadline=90, **kw):
        r = self.replicator(**kw).start(*args)
        return r.wait_ready(deadline) if ready else r

    def move(self, deadline=120, expect=0):
        """--until-caught-up to its end."""
        r = self.start("--until-caught-up")
        code = r.wait_exit(deadline)
        assert code == expect, f"--until-caught-up ended with {code}\n{r.tail()}"
        return r

    # -- where it stands

    def positions(self):
        """{lane: position text} by the progress rows in the target."""
        return dict(self.target.query(
            "SELECT lane, position FROM crossfade.progress WHERE pipeline = %s AND stream = 'forward'", (self.name,)))

    def confirmed(self):
        return self.legacy.one("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s", (self.slot,))

    def wait_applied(self, replicator, deadline=60):
        """Everything committed in the legacy until now is applied, by the replicator's own account."""
        want = lsn_number(self.legacy.lsn())
        replicator.wait(lambda: (lambda s: s["applied"] and lsn_number(s["applied"]) >= want)(replicator.stream()),
                        deadline, f"applied passes {self.legacy.lsn()}")

    def assert_equal(self, **kw):
        found = differences(self.legacy, self.target, **kw)
        assert not found, "not equal:\n" + "\n".join(found) + "".join("\n" + r.tail() for r in self.replicators[-2:])

    def wait_equal(self, replicator, deadline=60, **kw):
        """Caught up, and then equal at once: `applied` must not run ahead of the rows."""
        self.wait_applied(replicator, deadline)
        self.assert_equal(**kw)

    # -- the end

    def close(self):
        problems = []
        for r in self.replicators:
            try:
                r.end()
            except AssertionError as e:
                problems.append(str(e))
        for database in (self.legacy, self.target):
            if database is None:
                continue
            server = database.server
            if server.process is None or server.process.poll() is not None:
                continue
            slots = server.query("SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s", (database.name,))
            for slot, pid in slots:
                if pid:
                    server.one("SELECT pg_terminate_backend(%s)", (pid,))
                wait_for(lambda: server.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                                              "WHERE slot_name = %s AND NOT active", (slot,))
                         or not server.query("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (slot,)),
                         20, f"slot {slot} dropped")
            drop_database(server, database.name)
            # each origin holds one of the server's few states as long as it exists
            wait_for(lambda: server.query("SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin "
                                          "WHERE roname LIKE %s", (f"crossfade\\_{self.name}\\_%",)) or True, 20, "origins dropped")
        if problems:
            raise AssertionError("\n".join(problems))


def drop_database(server, name):
    server.one("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s", (name,))
    wait_for(lambda: server.execute(f'DROP DATABASE IF EXISTS "{name}"') or True, 20, f"database {name} dropped")


def run_roles_script(database, script, role):
    database.psql(open(os.path.join(TOP, "conf", script)).read(), "-v", f"role={role}")


def make_databases(legacy_server, target_server, name):
    """The legacy is no database of a PostgreSQL where that server is None."""
    out = []
    for server in (legacy_server, target_server):
        if server is None:
            out.append(None)
            continue
        server.execute(f'CREATE DATABASE "{name}"')
        if not server.one("SELECT count(*) FROM pg_roles WHERE rolname = %s", (OWNER,)):
            server.execute(f"CREATE ROLE {OWNER} NOLOGIN")
        database = Database(server, name)
        database.execute(f'GRANT ALL ON SCHEMA public TO {OWNER}; GRANT CREATE ON DATABASE "{name}" TO {OWNER}')
        out.append(database)
    return out
