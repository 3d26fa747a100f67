# SPDX-License-Identifier: PostgreSQL
"""Triggers and procedures written in T-SQL, and ALTER DATABASE.

A trigger is a PostgreSQL trigger that does nothing, so that the catalog shows it; the engine runs its T-SQL after a
statement on the table. A trigger that names inserted or deleted is not understood."""
import re

from . import ast, parser
from .errors import SqlError, syntax
from .render import q


def create_trigger(engine, s):
    a = s.args
    info = engine.table(a["table"])
    if info is None:
        raise SqlError(8197, f"The object '{'.'.join(a['table'])}' does not exist or is invalid for this operation.", 16)
    if re.search(r"\b(inserted|deleted)\b", a["text"], re.I):
        raise syntax("inserted")
    parser.parse(a["text"], True)
    name = s.name[-1]
    c = engine.connection
    with c.atomic("CREATE TRIGGER"):
        c.command("CREATE OR REPLACE FUNCTION standin.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        if a["alter"]:
            c.command(f"DROP TRIGGER IF EXISTS {q(name)} ON {info.qualified}")
        elif c.rows("SELECT 1 FROM pg_trigger WHERE lower(tgname) = lower(%s) AND NOT tgisinternal", [name]):
            raise SqlError(2714, f"There is already an object named '{name}' in the database.", 16, 2)
        # PostgreSQL has INSTEAD OF on views only: here it is a BEFORE trigger whose definition says what it is.
        timing = "AFTER" if a["timing"] == "AFTER" else "BEFORE"
        c.command(f"CREATE TRIGGER {q(name)} {timing} {' OR '.join(a['events'])} ON {info.qualified} FOR EACH STATEMENT EXECUTE FUNCTION standin.nothing()")
        c.command("INSERT INTO standin.definition SELECT 'pg_trigger'::regclass, oid, %s FROM pg_trigger WHERE tgrelid = %s AND tgname = %s "
                  "ON CONFLICT (classid, objid) DO UPDATE SET definition = excluded.definition",
                  [f"CREATE TRIGGER {q(name)} ON {info.qualified} {a['timing']} {', '.join(a['events'])} AS {a['text']}", info.oid, name])


EVENT = {"INSERT": 4, "DELETE": 8, "UPDATE": 16}


def triggers(engine, info, verb):
    """(timing bit, definition) of the enabled T-SQL triggers."""
    if info.temporary:
        return []
    return engine.connection.rows("SELECT t.tgtype, d.definition FROM pg_trigger t JOIN standin.definition d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid "
                                  "WHERE t.tgrelid = %s AND t.tgenabled <> 'D' AND t.tgtype & %s <> 0", [info.oid, EVENT[verb]])


def check_output(engine, info, output, verb):
    if output is not None and output.into is None and triggers(engine, info, verb):
        raise SqlError(334, f"The target table '{info.name}' of the DML statement cannot have any enabled triggers if the statement contains an OUTPUT "
                            "clause without INTO clause.", 16)


def _run(engine, definitions):
    if engine.trigger_depth > 8:
        raise SqlError(217, "Maximum stored procedure, function, trigger, or view nesting level exceeded (limit 32).", 16)
    from .engine import Frame, Return
    for text in definitions:
        body = text.split(" AS ", 1)[1]
        frame, in_try, depth = engine.frame, engine.in_try, engine.answer.depth
        engine.frame, engine.in_try, engine.trigger_depth = Frame(), engine.in_try + 1, engine.trigger_depth + 1
        engine.answer.depth += 1
        try:
            engine.run_all(parser.parse(body, True))
        except Return:
            pass
        finally:
            engine.frame, engine.in_try, engine.trigger_depth, engine.answer.depth = frame, in_try, engine.trigger_depth - 1, depth


def after(engine, info, verb):
    _run(engine, [d for kind, d in triggers(engine, info, verb) if not kind & 2])


def instead_of(engine, info, verb):
    return [d for kind, d in triggers(engine, info, verb) if kind & 2]


def refuse_instead(info):
    raise SqlError(102, f"stand-in: INSTEAD OF trigger on '{info.name}'", 15)


def enable(engine, info, on, names):
    c = engine.connection
    for name in names:
        where, args = ("", []) if name == "ALL" else (" AND lower(t.tgname) = lower(%s)", [name])
        rows = c.rows("SELECT tgname FROM pg_trigger t JOIN standin.definition d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid "
                      f"WHERE tgrelid = %s{where}", [info.oid, *args])
        if not rows and name != "ALL":
            raise SqlError(4920, f"ALTER TABLE failed because trigger '{name}' on table '{info.name}' does not exist.", 16)
        for trigger, in rows:
            c.command(f"ALTER TABLE {info.qualified} {'ENABLE' if on else 'DISABLE'} TRIGGER {q(trigger)}")


def drop(engine, kind, name, if_exists):
    c = engine.connection
    if kind == "TRIGGER":
        rows = c.rows("SELECT t.tgname, t.tgrelid::regclass::text FROM pg_trigger t WHERE lower(tgname) = lower(%s) AND NOT tgisinternal", [name[-1]])
        if rows:
            c.command(f"DROP TRIGGER {q(rows[0][0])} ON {rows[0][1]}")
            return
    else:
        ensure_procedures(engine)
        schema, name_ = engine.names.place(name)
        if c.command("DELETE FROM standin.procedure WHERE schema = %s AND lower(name) = lower(%s)", [schema, name_]):
            return
    if not if_exists:
        raise SqlError(3701, f"Cannot drop the {kind.lower()} '{'.'.join(name)}', because it does not exist or you do not have permission.", 11, 5)


def ensure_procedures(engine):
    engine.connection.command("CREATE TABLE IF NOT EXISTS standin.procedure (schema text, name text, parameters text, body text, PRIMARY KEY (schema, name))")


def create_procedure(engine, s):
    """The text is kept and parsed again at each call."""
    schema, name = engine.names.place(s.name)
    parser.parse(s.args["text"], True)
    with engine.connection.atomic("CREATE PROCEDURE"):
        ensure_procedures(engine)
        if find_procedure(engine, s.name) and not s.args["alter"]:
            raise SqlError(2714, f"There is already an object named '{name}' in the database.", 16, 3)
        engine.connection.command("INSERT INTO standin.procedure VALUES (%s, %s, %s, %s) ON CONFLICT (schema, name) DO UPDATE SET parameters = excluded.parameters, "
                                  "body = excluded.body", [schema, name, engine.statement_text, s.args["text"]])


def find_procedure(engine, name):
    """(Definition, body) of a T-SQL procedure, or None."""
    schema, name = engine.names.place(name)
    if not engine.connection.rows("SELECT to_regclass('standin.procedure') IS NOT NULL")[0][0]:
        return None
    rows = engine.connection.rows("SELECT parameters, body FROM standin.procedure WHERE lower(schema) = lower(%s) AND lower(name) = lower(%s)", [schema, name])
    if not rows:
        return None
    return next(s for s in parser.parse(rows[0][0], True) if isinstance(s, ast.Definition)), rows[0][1]


_OPTION = re.compile(r"""^\s*(?:
    (?P<name>ALLOW_SNAPSHOT_ISOLATION|READ_COMMITTED_SNAPSHOT|READ_ONLY|READ_WRITE|MULTI_USER|SINGLE_USER|ENCRYPTION|AUTO_CLOSE|AUTO_SHRINK|
            AUTO_UPDATE_STATISTICS|AUTO_CREATE_STATISTICS|ANSI_NULLS|ANSI_PADDING|ANSI_WARNINGS)\s*(?:=\s*)?(?P<on>ON|OFF)?
  | RECOVERY\s+(?P<recovery>FULL|SIMPLE|BULK_LOGGED)
  | COMPATIBILITY_LEVEL\s*=\s*(?P<level>\d+)
  | CHANGE_TRACKING\s*(?:=\s*(?P<ct>ON|OFF))?\s*(?:\((?P<ctopt>[^)]*)\))?
)\s*(?:WITH\s+(?:ROLLBACK\s+IMMEDIATE|NO_WAIT|ROLLBACK\s+AFTER\s+\d+))?\s*$""", re.X | re.I)
_PROPERTY = {"ALLOW_SNAPSHOT_ISOLATION": "snapshot_isolation_state", "READ_COMMITTED_SNAPSHOT": "is_read_committed_snapshot_on", "ENCRYPTION": "is_encrypted"}


def alter_database(engine, s):
    m = _OPTION.match(s.args["text"])
    if not m:
        raise syntax(s.args["text"][:60])
    db = engine.find_database(s.name[0]) if s.name[0] else engine.session.database
    if db is None:
        raise SqlError(5011, f"User does not have permission to alter database '{s.name[0]}', the database does not exist, or the database is not in a state that "
                             "allows access checks.", 14, 9)
    c = engine.connection
    with c.atomic("ALTER DATABASE"):
        if m.group("recovery"):
            c.rows("SELECT standin.set_database_property(%s, 'recovery_model', to_jsonb(%s::text))", [db, m.group("recovery").upper()])
        elif m.group("level"):
            c.rows("SELECT standin.set_database_property(%s, 'compatibility_level', to_jsonb(%s::int))", [db, int(m.group("level"))])
        elif m.group("ct") or m.group("ctopt"):
            _change_tracking(c, db, m.group("ct"), m.group("ctopt") or "")
        else:
            name = m.group("name").upper()
            if name in ("READ_ONLY", "READ_WRITE"):
                c.rows("SELECT standin.set_database_property(%s, 'is_read_only', to_jsonb(%s::int))", [db, int(name == "READ_ONLY")])
            elif name in _PROPERTY:
                c.rows("SELECT standin.set_database_property(%s, %s, to_jsonb(%s::int))", [db, _PROPERTY[name], int((m.group("on") or "").upper() == "ON")])


def _change_tracking(c, db, switch, options):
    retention, units, cleanup = None, None, None
    m = re.search(r"CHANGE_RETENTION\s*=\s*(\d+)\s*(DAYS?|HOURS?|MINUTES?)", options, re.I)
    if m:
        retention, units = int(m.group(1)), m.group(2).upper()
    m = re.search(r"AUTO_CLEANUP\s*=\s*(ON|OFF)", options, re.I)
    if m:
        cleanup = m.group(1).upper() == "ON"
    if switch is None:
        c.rows("SELECT standin.ct_change(%s, %s, %s, %s)", [db, retention, units, cleanup])
    elif switch.upper() == "ON":
        c.rows("SELECT standin.ct_database(%s, true, %s, %s, %s)", [db, retention, units, cleanup])
    else:
        c.rows("SELECT standin.ct_database(%s, false)", [db])
