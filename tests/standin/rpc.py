# SPDX-License-Identifier: PostgreSQL
"""Remote procedure calls (MS-TDS 2.2.6.6): sp_executesql, sp_prepare and their kin by number, other procedures by name."""
from dataclasses import dataclass

from . import ast, procedures, rows, tds, values
from .errors import SqlError
from .results import Answer

NUMBERED = {1: "sp_cursor", 2: "sp_cursoropen", 3: "sp_cursorprepare", 4: "sp_cursorexecute", 5: "sp_cursorprepexec", 6: "sp_cursorunprepare",
            7: "sp_cursorfetch", 8: "sp_cursoroption", 9: "sp_cursorclose", 10: "sp_executesql", 11: "sp_prepare", 12: "sp_execute",
            13: "sp_prepexec", 14: "sp_prepexecrpc", 15: "sp_unprepare"}
BY_REFERENCE, DEFAULT = 1, 2


@dataclass
class Parameter:
    name: str
    status: int
    type: values.SqlType
    text: str          # stored text or None

    def string(self):
        return None if self.text is None else values.load_text(self.text)


def parse(data):
    """[(procedure, parameters)] of a message, which may batch several calls."""
    r = tds.Reader(data)
    tds.skip_all_headers(r)
    out = []
    while r.left():
        length = r.u16()
        name = NUMBERED.get(r.u16(), "?") if length == 0xFFFF else r.take(2 * length).decode("utf-16-le")
        r.u16()
        parameters = []
        while r.left():
            if r.data[r.at] in (0x80, 0xFE, 0xFF):
                r.u8()
                break
            parameter_name = r.b_varchar()
            status = r.u8()
            t, w = values.read_type_info(r)
            parameters.append(Parameter(parameter_name, status, t, values.read_value(r, t, w, text_pointer=False)))
        out.append((name, parameters))
    return out


def serve(session, data):
    engine = session.engine
    engine.answer = Answer(session)
    for name, parameters in parse(data):
        call(engine, name, parameters)
    engine.answer.finish()


def call(engine, name, parameters):
    from .engine import BatchEnd, Frame, Return
    engine.frame, engine.caught, engine.in_try = Frame(), [], 0
    engine._text = name
    status, out = 0, []
    try:
        special = _SPECIAL.get(name.lower())
        if special:
            status, out = special(engine, parameters)
        elif name.lower().startswith("sp_cursor"):
            raise SqlError(16902, f"stand-in: {name} is not understood")
        else:
            status, out = by_name(engine, name, parameters)
    except SqlError as e:
        engine.fail(e)
        engine.answer.held = None
        status = -6
    except (Return, BatchEnd):
        pass
    engine.answer.release(True)
    engine.session.write(tds.returnstatus(status))
    for i, (parameter, text) in enumerate(out):
        t = parameter.type
        if t.length == 0 and t.name in values.CHARACTER:
            t = values.make_type(t.name, ("max",) if t.name in ("varchar", "nvarchar") else (1,))
        engine.session.write(tds.returnvalue(i, parameter.name, values.type_info(t), rows.encoder(t)(text)))
    engine.answer.held = (tds.DONEPROC, tds.DONE_ERROR if status == -6 else 0, 0xE0, 0)


def execute_text(engine, text, declared, parameters):
    """Runs text with the declared parameters bound to the given ones, by name or position."""
    variables = {}
    named = {p.name.lower(): p for p in parameters if p.name}
    bound = []
    for i, (name, t, output) in enumerate(procedures.declarations(declared or "")):
        p = named.get(name.lower()) or (parameters[i] if i < len(parameters) and not parameters[i].name else None)
        if p is None:
            raise SqlError(8178, f"The parameterized query '({declared}){text}' expects the parameter '{name}', which was not supplied.", 16)
        variables[name.lower()] = convert(engine, p, t)
        if p.status & BY_REFERENCE or output:
            bound.append((name.lower(), p))
    frame = procedures.run_inner(engine, text, variables)
    return frame.status, [(p, frame.variables[n][0]) for n, p in bound if p.status & BY_REFERENCE]


def convert(engine, p, t):
    """A parameter in its declared type."""
    if p.text is None or p.type.name == t.name:
        return p.text, t
    engine.frame.variables["@standin"] = (p.text, p.type)
    return engine.evaluate(ast.Variable("@standin"), t)


def _executesql(engine, parameters):
    text = parameters[0].string()
    declared = parameters[1].string() if len(parameters) > 1 else ""
    return execute_text(engine, text, declared, parameters[2:])


def _prepared(engine):
    if not hasattr(engine, "prepared"):
        engine.prepared = {}
    return engine.prepared


def _prepare(engine, parameters):
    handle = len(_prepared(engine)) + 1
    _prepared(engine)[handle] = (parameters[2].string(), parameters[1].string())
    return 0, [(parameters[0], str(handle))]


def _execute(engine, parameters):
    handle = int(parameters[0].text or 0)
    if handle not in _prepared(engine):
        raise SqlError(8179, f"Could not find prepared statement with handle {handle}.", 16, 2)
    text, declared = _prepared(engine)[handle]
    return execute_text(engine, text, declared, parameters[1:])


def _prepexec(engine, parameters):
    _, out = _prepare(engine, parameters)
    status, more = execute_text(engine, parameters[2].string(), parameters[1].string(), parameters[3:])
    return status, out + more


def _unprepare(engine, parameters):
    _prepared(engine).pop(int(parameters[0].text or 0), None)
    return 0, []


_SPECIAL = {"sp_executesql": _executesql, "sp_prepare": _prepare, "sp_execute": _execute, "sp_prepexec": _prepexec, "sp_unprepare": _unprepare}


def by_name(engine, name, parameters):
    args = []
    for i, p in enumerate(parameters):
        variable = f"@standin{i}"
        engine.frame.variables[variable] = (p.text, p.type)
        expr = ast.Literal("default") if p.status & DEFAULT else ast.Variable(variable)
        args.append((p.name or None, expr, bool(p.status & BY_REFERENCE)))
    parts = [x.strip("[]") for x in name.split(".")]
    engine.answer.depth += 1
    try:
        procedure = procedures.modules.find_procedure(engine, parts) if not parts[-1].lower().startswith("sp_") else None
        s = ast.Execute(1, parts, args)
        status = procedures.call_tsql(engine, *procedure, s) if procedure else procedures.call(engine, parts, s)
    finally:
        engine.answer.depth -= 1
    return status, [(p, engine.frame.variables[f"@standin{i}"][0]) for i, p in enumerate(parameters) if p.status & BY_REFERENCE]
