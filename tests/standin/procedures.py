# SPDX-License-Identifier: PostgreSQL
"""EXEC: dynamic SQL, sp_executesql, system procedures as functions of PostgreSQL, T-SQL procedures; KILL, DBCC, GRANT."""


from . import ast, lexer, modules, parser
from .errors import SqlError, syntax
from .parser_base import Cursor
from .render import q, quote_stored, typed
from .results import ResultWriter


def execute(engine, s):
    if s.text is not None:
        return run_inner(engine, engine.text_of(s.text) or "", engine.frame.variables and {} or {})
    name = s.name
    if len(name) == 1 and name[0].startswith("@"):
        name = engine.text_of(ast.Variable(name[0])).replace("[", "").replace("]", "").split(".")
    short = name[-1].lower()
    if short == "sp_executesql":
        status = executesql(engine, s)
    elif short in _SPECIAL:
        status = _SPECIAL[short](engine, s) or 0
    else:
        status = call(engine, name, s)
    engine.answer.done_procedure(status)
    if s.result:
        engine.frame.variables[s.result.lower()] = (str(status), engine.variable(s.result)[1])


def run_inner(engine, text, variables):
    """A batch inside: errors end it as they would end the caller. Gives the inner frame."""
    from .engine import Frame, Return
    outer, frame = engine.frame, Frame()
    frame.variables = variables
    engine.frame = frame
    engine.answer.depth += 1
    engine.session.check_attention()
    try:
        engine.run_all(parser.parse(text, engine.options["QUOTED_IDENTIFIER"]))
        status = 0
    except Return as e:
        status = e.value
    finally:
        engine.drop_table_variables()
        engine.answer.depth -= 1
        engine.frame = outer
    frame.status = status
    return frame


def declarations(text):
    """[(name, SqlType, output)] of sp_executesql's parameter list."""
    c = Cursor(text or "")
    out = []
    while c.token.kind == lexer.VARIABLE:
        name = c.advance().value
        c.accept("AS")
        t = c.type()
        if c.accept_op("="):
            c.advance()
        out.append((name, t, c.accept("OUTPUT") or c.accept("OUT")))
        if not c.accept_op(","):
            break
    if c.token.kind != lexer.END:
        c.fail()
    return out


def executesql(engine, s):
    args = list(s.args)
    text = engine.text_of(args[0][1])
    declared = declarations(engine.text_of(args[1][1])) if len(args) > 1 else []
    variables, back = {}, []
    given = args[2:]
    named = {n.lower(): (e, o) for n, e, o in given if n}
    positional = [(e, o) for n, e, o in given if not n]
    for i, (name, t, output) in enumerate(declared):
        e, out = named.get(name.lower()) or (positional[i] if i < len(positional) else (None, False))
        if e is None:
            raise SqlError(8178, f"The parameterized query '({engine.text_of(args[1][1])}){text}' expects the parameter '{name}', which was not supplied.", 16)
        variables[name.lower()] = engine.evaluate(e, t)
        if out and isinstance(e, ast.Variable):
            back.append((name.lower(), e.name))
    frame = run_inner(engine, text, variables)
    for inner, outer in back:
        engine.frame.variables[outer.lower()] = frame.variables[inner]
    return frame.status


def call(engine, name, s):
    """A T-SQL procedure, or a system procedure: a function of schema sys."""
    found = modules.find_procedure(engine, name) if not name[-1].lower().startswith("sp_") else None
    if found:
        return call_tsql(engine, *found, s)
    schema = engine.schema(name[-2]) if len(name) > 1 and name[-2] and name[-2].lower() != "dbo" else "sys"
    if len(name) == 3 and name[0].lower() == "msdb":
        schema = "msdb_dbo"
    rows = engine.connection.rows("SELECT p.proname, array_to_string(p.proargnames, ','), p.prorettype = 'void'::regtype, p.pronargs FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE "
                                  "n.nspname IN (%s, 'sys', 'msdb_dbo') AND lower(p.proname) = lower(%s) ORDER BY n.nspname = %s DESC LIMIT 1", [schema, name[-1], schema])
    if not rows:
        raise SqlError(2812, f"Could not find stored procedure '{'.'.join(name)}'.", 16, 62)
    proname, argnames, void, count = rows[0]
    names = {n.lower(): n for n in (argnames.split(",") if argnames else [])[:int(count)]}
    args = []
    for n, e, _ in s.args:
        if isinstance(e, ast.Literal) and e.kind == "default":
            continue
        text, t = engine.evaluate(e) if not (isinstance(e, ast.Literal) and e.kind == "null") else (None, None)
        value = "NULL" if text is None else quote_stored(text) if t.name in ("varchar", "nvarchar", "int", "bigint", "bit", "smallint", "tinyint", "char", "nchar", "uniqueidentifier", "decimal",
                                                                          "numeric") else typed(text, t)
        if n:
            if n[1:].lower() not in names:
                raise SqlError(8145, f"{n} is not a parameter for procedure {name[-1]}.", 16, 2)
            value = f"{q(names[n[1:].lower()])} => {value}"
        args.append(value)
    owner = engine.connection.rows("SELECT n.nspname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.proname = %s ORDER BY n.nspname = %s DESC LIMIT 1", [proname, schema])[0][0]
    sql = f"SELECT * FROM {q(owner)}.{q(proname)}({', '.join(args)})"
    run_function(engine, sql, void)
    engine.names.forget()
    return 0


def run_function(engine, sql, void):
    """Its rows are the result set; RAISE INFO becomes INFO tokens."""
    pg = engine.pg
    del pg.notices[:]
    with engine.connection.atomic("EXEC"):
        with pg.cursor() as cur:
            cur.execute(sql)
            if not void:
                some = cur.fetchall()
                writer = ResultWriter(engine, engine.answer)
                writer.begin(cur, some)
                writer.rows(some)
                engine.answer.done(0xC1, len(some))
    for notice in pg.notices:
        kind, _, message = notice.strip().partition(":")
        parts = message.split("\n")[0].strip().split("|", 3)
        if kind == "INFO" and len(parts) == 4:
            engine.answer.release(True)
            engine.session.write_info(int(parts[0]), parts[3], int(parts[2]), int(parts[1]))
    del pg.notices[:]


def call_tsql(engine, definition, body, s):
    variables, back = {}, []
    positional = [(e, o) for n, e, o in s.args if not n]
    named = {n.lower(): (e, o) for n, e, o in s.args if n}
    for i, (name, t, default, output) in enumerate(definition.args["parameters"]):
        e, out = named.get(name.lower()) or (positional[i] if i < len(positional) else (default, False))
        if e is None:
            raise SqlError(201, f"Procedure or function '{definition.name[-1]}' expects parameter '{name}', which was not supplied.", 16, 4)
        variables[name.lower()] = engine.evaluate(e, t)
        if out and isinstance(e, ast.Variable):
            back.append((name.lower(), e.name))
    frame = run_inner(engine, body, variables)
    for inner, outer in back:
        engine.frame.variables[outer.lower()] = frame.variables[inner]
    return frame.status


def insert_exec(engine, s):
    raise syntax("EXEC")


def _rename(engine, s):
    old, new = engine.text_of(s.args[0][1]), engine.text_of(s.args[1][1])
    kind = engine.text_of(s.args[2][1]) if len(s.args) > 2 else "OBJECT"
    parts = [p.strip("[]") for p in old.split(".")]
    with engine.connection.atomic("EXEC"):
        if kind.upper() == "COLUMN":
            info = engine.table(parts[:-1])
            if info is None or parts[-1].lower() not in info.columns:
                raise SqlError(15248, "Either the parameter @objname is ambiguous or the claimed @objtype (COLUMN) is wrong.", 11)
            engine.connection.command(f"ALTER TABLE {info.qualified} RENAME COLUMN {q(info.columns[parts[-1].lower()])} TO {q(new)}")
        else:
            info = engine.table(parts)
            if info is None:
                raise SqlError(15225, f"No item by the name of '{old}' could be found in the current database '{engine.session.database}', given that @itemtype was input as '(null)'.", 11)
            engine.connection.command(f"ALTER TABLE {info.qualified} RENAME TO {q(new)}")
    engine.names.forget()


_SPECIAL = {"sp_rename": _rename, "sp_updatestats": lambda engine, s: 0, "sp_tableoption": lambda engine, s: 0}


def kill(engine, spid):
    rows = engine.connection.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ %s", [f"^standin {spid} "])
    if not rows:
        raise SqlError(6106, f"Process ID {spid} is not an active process ID.", 16, 2)


def dbcc(engine, name, args):
    if name in ("FREEPROCCACHE", "DROPCLEANBUFFERS", "TRACEON", "TRACEOFF", "SHRINKDATABASE", "SHRINKFILE", "UPDATEUSAGE"):
        return
    if name == "CHECKIDENT" and len(args) >= 3 and args[1].upper() == "RESEED":
        info = engine.table([p.strip("[]") for p in args[0].split(".")])
        if info is None or not info.identity:
            raise SqlError(2501, f'Cannot find a table or object with the name "{args[0]}". Check the system catalog.', 16, 45)
        with engine.connection.atomic("DBCC"):
            engine.connection.rows("SELECT setval(pg_get_serial_sequence(%s, %s), %s)", [info.qualified, info.identity, int(args[2])])
        return
    raise syntax(name)


def permission(engine, kind, permissions, target, principal):
    """Everyone here is sa; what sys.* views and HAS_PERMS_BY_NAME say is in standin.denied."""
    securable = ".".join(target) if target else None
    with engine.connection.atomic("GRANT"):
        for p in permissions:
            if kind == "DENY":
                engine.connection.command("INSERT INTO standin.denied VALUES (%s, %s, %s)", [principal, p, securable])
            else:
                engine.connection.command("DELETE FROM standin.denied WHERE login = %s AND permission = %s AND securable IS NOT DISTINCT FROM %s", [principal, p, securable])


