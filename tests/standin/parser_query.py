# SPDX-License-Identifier: PostgreSQL
"""Expressions and queries."""
from . import ast, lexer
from .parser_base import NOT_ALIAS, Cursor

COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "!<": ">=", "!>": "<="}
NILADIC = ("CURRENT_TIMESTAMP", "CURRENT_USER", "SESSION_USER", "SYSTEM_USER", "USER", "CURRENT_DATE")
RESERVED_FUNCTIONS = ("LEFT", "RIGHT", "COALESCE", "NULLIF", "UPDATE", "IDENTITY", "OPENROWSET")
# Functions whose first argument is a bare date part.
DATE_PART = ("DATEADD", "DATEDIFF", "DATEDIFF_BIG", "DATEPART", "DATENAME", "DATETRUNC")


class QueryParser(Cursor):
    # -- conditions ------------------------------------------------------------------------------------------------
    def condition(self):
        left = self.condition_and()
        while self.accept("OR"):
            left = ast.Binary("OR", left, self.condition_and())
        return left

    def condition_and(self):
        left = self.condition_not()
        while self.accept("AND"):
            left = ast.Binary("AND", left, self.condition_not())
        return left

    def condition_not(self):
        if self.accept("NOT"):
            return ast.Unary("NOT", self.condition_not())
        return self.predicate()

    def predicate(self):
        if self.is_word("EXISTS"):
            self.advance()
            self.expect_op("(")
            query = self.query()
            self.expect_op(")")
            return ast.Exists(query)
        if self.is_word("UPDATE") and self.is_op("(", at=1):
            self.fail()
        if self.is_op("("):
            # A parenthesis holds a condition or begins an expression: try the condition, then go back.
            start = self.i
            self.advance()
            if not self.is_word("SELECT", "WITH"):
                try:
                    inner = self.condition()
                    if self.is_op(")") and _is_condition(inner):
                        self.advance()
                        return inner
                except Exception as e:
                    failure = e
                else:
                    failure = None
                self.i = start
                try:
                    return self.comparison()
                except Exception:
                    if failure:
                        raise failure
                    raise
            self.i = start
        return self.comparison()

    def comparison(self):
        left = self.expression()
        if self.token.kind == lexer.OPERATOR and self.token.text in COMPARISONS:
            op = COMPARISONS[self.advance().text]
            if self.is_word("ALL", "ANY", "SOME"):
                quantifier = self.advance().upper
                self.expect_op("(")
                query = self.query()
                self.expect_op(")")
                return ast.Binary(f"{op} {quantifier}", left, ast.Subquery(query))
            return ast.Binary(op, left, self.expression())
        if self.accept("IS"):
            negated = self.accept("NOT")
            self.expect("NULL")
            return ast.IsNull(left, negated)
        negated = self.accept("NOT")
        if self.accept("IN"):
            self.expect_op("(")
            items = self.query() if self.is_word("SELECT", "WITH") else self.expression_list()
            self.expect_op(")")
            return ast.In(left, items, negated)
        if self.accept("BETWEEN"):
            low = self.expression()
            self.expect("AND")
            return ast.Between(left, low, self.expression(), negated)
        if self.accept("LIKE"):
            pattern = self.expression()
            escape = self.expression() if self.accept("ESCAPE") else None
            return ast.Like(left, pattern, escape, negated)
        if negated:
            self.fail()
        return left

    # -- expressions -------------------------------------------------------------------------------------------------
    def expression_list(self):
        out = [self.expression()]
        while self.accept_op(","):
            out.append(self.expression())
        return out

    def expression(self):
        left = self.term()
        while self.is_op("+", "-", "&", "|", "^"):
            op = self.advance().text
            left = ast.Binary(op, left, self.term())
        return left

    def term(self):
        left = self.factor()
        while self.is_op("*", "/", "%"):
            op = self.advance().text
            left = ast.Binary(op, left, self.factor())
        return left

    def factor(self):
        if self.is_op("-", "+", "~"):
            op = self.advance().text
            return ast.Unary(op, self.factor())
        out = self.primary()
        while True:
            if self.accept("COLLATE"):
                out = ast.Collate(out, self.any_word())
            elif self.is_word("AT") and self.is_word("TIME", at=1):
                self.i += 2
                self.expect("ZONE")
                out = ast.AtTimeZone(out, self.primary())
            else:
                return out

    def primary(self):
        t = self.token
        if t.kind in (lexer.INTEGER, lexer.DECIMAL, lexer.FLOAT, lexer.STRING, lexer.NSTRING, lexer.BINARY, lexer.MONEY):
            self.advance()
            return ast.Literal(t.kind, t.value)
        if t.kind == lexer.VARIABLE:
            self.advance()
            if self.is_op("::", "."):
                self.fail()
            return ast.Variable(t.value)
        if self.is_op("("):
            self.advance()
            if self.is_word("SELECT", "WITH"):
                query = self.query()
                self.expect_op(")")
                return ast.Subquery(query)
            out = self.expression()
            self.expect_op(")")
            return out
        if t.kind == lexer.WORD:
            special = self.special_word()
            if special is not None:
                return special
        if t.kind == lexer.WORD and t.upper in RESERVED_FUNCTIONS and self.is_op("(", at=1):
            self.advance()
            return self.call([t.value], False)
        if t.kind in (lexer.WORD, lexer.QUOTED):
            return self.column_or_call()
        if self.is_op("*"):
            self.advance()
            return ast.Star([])
        self.fail()

    def special_word(self):
        word = self.token.upper
        if word == "NULL":
            self.advance()
            return ast.Literal("null")
        if word == "DEFAULT":
            self.advance()
            return ast.Literal("default")
        if word == "CASE":
            return self.case()
        if word in ("CAST", "TRY_CAST") and self.is_op("(", at=1):
            self.i += 2
            operand = self.expression()
            self.expect("AS")
            type_ = self.type(30)
            self.expect_op(")")
            return ast.Cast(operand, type_, None, word != "CAST")
        if word in ("CONVERT", "TRY_CONVERT") and self.is_op("(", at=1):
            self.i += 2
            type_ = self.type(30)
            self.expect_op(",")
            operand = self.expression()
            style = self.expression() if self.accept_op(",") else None
            self.expect_op(")")
            return ast.Cast(operand, type_, style, word != "CONVERT", True)
        if word in NILADIC:
            self.advance()
            return ast.Call([word], [])
        if word == "IIF" and self.is_op("(", at=1):
            self.i += 2
            condition = self.condition()
            self.expect_op(",")
            yes = self.expression()
            self.expect_op(",")
            no = self.expression()
            self.expect_op(")")
            return ast.Case(None, [(condition, yes)], no)
        if word == "NEXT" and self.is_word("VALUE", at=1):
            self.fail()
        return None

    def case(self):
        self.expect("CASE")
        operand = None if self.is_word("WHEN") else self.expression()
        whens, otherwise = [], None
        while self.accept("WHEN"):
            when = self.expression() if operand is not None else self.condition()
            self.expect("THEN")
            whens.append((when, self.expression()))
        if self.accept("ELSE"):
            otherwise = self.expression()
        self.expect("END")
        if not whens:
            self.fail()
        return ast.Case(operand, whens, otherwise)

    def column_or_call(self):
        quoted = self.token.kind == lexer.QUOTED
        parts = [self.name()]
        while self.is_op("."):
            self.advance()
            if self.is_op("*"):
                self.advance()
                return ast.Star(parts)
            if self.is_op("."):
                parts.append("")
                continue
            parts.append(self.any_word())
        if self.is_op("("):
            return self.call(parts, quoted)
        return ast.Column(parts)

    def call(self, name, quoted):
        self.expect_op("(")
        out = ast.Call(name, [], quoted=quoted)
        if self.accept_op("*"):
            out.star = True
        elif not self.is_op(")"):
            if self.accept("DISTINCT"):
                out.distinct = True
            else:
                self.accept("ALL")
            if name[-1].upper() in DATE_PART and self.token.kind == lexer.WORD:
                out.args.append(ast.Literal("part", self.advance().value.lower()))
                if self.accept_op(","):
                    out.args += self.expression_list()
            else:
                out.args = self.expression_list()
        self.expect_op(")")
        if self.is_word("WITHIN"):
            self.fail()
        if self.accept("OVER"):
            out.over = self.over()
        return out

    def over(self):
        self.expect_op("(")
        out = ast.Over([], [])
        if self.accept("PARTITION", "BY"):
            out.partition = self.expression_list()
        if self.accept("ORDER", "BY"):
            out.order = self.order_items()
        start = self.i
        while not self.is_op(")"):
            if self.token.kind not in (lexer.WORD, lexer.INTEGER):
                self.fail()
            self.advance()
        out.frame = self.source(start)
        self.expect_op(")")
        return out

    # -- queries -----------------------------------------------------------------------------------------------------
    def query(self):
        """A query expression with its WITH, ORDER BY and OFFSET."""
        ctes = self.ctes() if self.accept("WITH") else []
        out = self.set_operation()
        out.ctes = ctes
        self.order_clause(out)
        return out

    def ctes(self):
        out = []
        while True:
            name = self.name()
            columns = self.name_list() if self.is_op("(") else []
            self.expect("AS")
            self.expect_op("(")
            query = self.query()
            self.expect_op(")")
            out.append((name, columns, query))
            if not self.accept_op(","):
                return out

    def order_clause(self, out):
        if self.accept("ORDER", "BY"):
            out.order = self.order_items()
            if self.accept("OFFSET"):
                out.offset = self.expression()
                if not self.accept("ROWS"):
                    self.expect("ROW")
                if self.accept("FETCH"):
                    if not self.accept("NEXT"):
                        self.expect("FIRST")
                    out.fetch = self.expression()
                    if not self.accept("ROWS"):
                        self.expect("ROW")
                    self.expect("ONLY")

    def order_items(self):
        out = []
        while True:
            expr = self.expression()
            descending = self.accept("DESC")
            if not descending:
                self.accept("ASC")
            out.append(ast.Order(expr, descending))
            if not self.accept_op(","):
                return out

    def set_operation(self):
        left = self.query_term()
        while self.is_word("UNION", "EXCEPT", "INTERSECT"):
            op = self.advance().upper
            if op == "UNION" and self.accept("ALL"):
                op = "UNION ALL"
            left = ast.SetOperation(op, left, self.query_term())
        return left

    def query_term(self):
        if self.accept_op("("):
            out = self.set_operation()
            self.expect_op(")")
            return out
        return self.select()

    def select(self):
        self.expect("SELECT")
        out = ast.Select([])
        if self.accept("DISTINCT"):
            out.distinct = True
        else:
            self.accept("ALL")
        if self.accept("TOP"):
            out.top, out.top_percent = self.top()
        out.items = self.items()
        if self.accept("INTO"):
            out.into = self.object_name()
        if self.accept("FROM"):
            out.source = self.sources()
        if self.accept("WHERE"):
            out.where = self.condition()
        if self.accept("GROUP", "BY"):
            out.group = self.expression_list()
        if self.accept("HAVING"):
            out.having = self.condition()
        return out

    def top(self):
        if self.accept_op("("):
            value = self.expression()
            self.expect_op(")")
        else:
            value = self.primary()
        percent = self.accept("PERCENT")
        if self.is_word("WITH") and self.is_word("TIES", at=1):
            self.fail()
        return value, percent

    def items(self):
        out = [self.item()]
        while self.accept_op(","):
            out.append(self.item())
        return out

    def item(self):
        t = self.token
        if t.kind == lexer.VARIABLE and self.is_op("=", "+=", "-=", at=1):
            self.advance()
            op = self.advance().text
            expr = self.expression()
            if op != "=":
                expr = ast.Binary(op[0], ast.Variable(t.value), expr)
            return ast.Item(expr, None, t.value)
        if self.is_name() and self.is_op("=", at=1):
            alias = self.name()
            self.advance()
            return ast.Item(self.expression(), alias)
        expr = self.expression()
        if self.accept("AS"):
            if self.token.kind in (lexer.STRING, lexer.NSTRING):
                return ast.Item(expr, self.advance().value)
            return ast.Item(expr, self.any_word())
        if self.token.kind == lexer.STRING:
            return ast.Item(expr, self.advance().value)
        if self.is_alias():
            return ast.Item(expr, self.name())
        return ast.Item(expr)

    def is_alias(self):
        t = self.token
        return t.kind == lexer.QUOTED or (t.kind == lexer.WORD and t.upper not in NOT_ALIAS)

    def sources(self):
        out = self.joined()
        while self.accept_op(","):
            out = ast.Join("CROSS", out, self.joined())
        return out

    def joined(self):
        left = self.table_source()
        while True:
            kind = self.join_kind()
            if kind is None:
                return left
            right = self.table_source()
            on = None
            if kind in ("INNER", "LEFT", "RIGHT", "FULL"):
                if self.is_word("INNER", "LEFT", "RIGHT", "FULL", "JOIN", "CROSS"):
                    right = self.joined_rest(right)
                self.expect("ON")
                on = self.condition()
            left = ast.Join(kind, left, right, on)

    def joined_rest(self, left):
        """A join nested without parentheses: a JOIN b JOIN c ON … ON …"""
        kind = self.join_kind()
        right = self.table_source()
        self.expect("ON")
        return ast.Join(kind, left, right, self.condition())

    def join_kind(self):
        if self.accept("CROSS", "JOIN"):
            return "CROSS"
        if self.accept("CROSS", "APPLY"):
            return "CROSS APPLY"
        if self.accept("OUTER", "APPLY"):
            return "OUTER APPLY"
        if self.accept("JOIN") or self.accept("INNER", "JOIN"):
            return "INNER"
        for hint in ("HASH", "LOOP", "MERGE"):
            if self.accept("INNER", hint, "JOIN"):
                return "INNER"
        for kind in ("LEFT", "RIGHT", "FULL"):
            if self.accept(kind, "JOIN") or self.accept(kind, "OUTER", "JOIN"):
                return kind
        return None

    def table_source(self):
        if self.accept_op("("):
            return self.parenthesised_source()
        if self.is_word("CHANGETABLE") and self.is_op("(", at=1):
            return self.changetable()
        name = self.object_name()
        out = ast.Table(name)
        if self.is_op("(") and not self.is_hint_list():
            self.advance()
            out.args = [] if self.is_op(")") else self.expression_list()
            self.expect_op(")")
        self.alias(out)
        self.hints(out)
        if not out.alias:
            self.alias(out)
        return out

    def is_hint_list(self):
        return self.is_word("NOLOCK", "HOLDLOCK", "UPDLOCK", "TABLOCK", "TABLOCKX", at=1) and self.is_op(")", at=2)

    def parenthesised_source(self):
        if self.accept("VALUES"):
            out = ast.Derived(ast.Values(self.value_rows()))
        elif self.is_word("SELECT", "WITH") or self.is_op("("):
            start = self.i
            try:
                out = ast.Derived(self.query())
            except Exception:
                self.i = start
                out = self.joined()
        else:
            out = self.joined()
        self.expect_op(")")
        if isinstance(out, ast.Derived):
            self.alias(out)
            if self.is_op("("):
                out.columns = self.name_list()
        return out

    def value_rows(self):
        out = []
        while True:
            self.expect_op("(")
            out.append(self.expression_list())
            self.expect_op(")")
            if not self.accept_op(","):
                return out

    def alias(self, out):
        if self.accept("AS"):
            out.alias = self.any_word()
        elif self.is_alias():
            out.alias = self.name()
        if out.alias and isinstance(out, (ast.Table, ast.Changetable)) and self.is_op("(") and not self.is_hint_list():
            out.columns = self.name_list()

    def hints(self, out):
        """WITH (NOLOCK, INDEX(x)) and the old form (NOLOCK)."""
        if not (self.is_word("WITH") and self.is_op("(", at=1)) and not (self.is_op("(") and self.is_hint_list()):
            return
        self.accept("WITH")
        self.expect_op("(")
        while not self.accept_op(")"):
            out.hints.append(self.any_word().upper())
            if self.accept_op("("):
                while not self.accept_op(")"):
                    self.advance()
            elif self.accept_op("="):
                self.advance()
            self.accept_op(",")

    def changetable(self):
        self.i += 2
        kind = self.any_word().upper()
        table = self.dotted()
        args = []
        while self.accept_op(","):
            if self.accept_op("("):
                args.append(self.expression_list())
                self.expect_op(")")
            else:
                args.append(self.expression())
        self.expect_op(")")
        if kind not in ("CHANGES", "VERSION"):
            self.fail()
        out = ast.Changetable(kind, table, args)
        self.alias(out)
        return out


def _is_condition(e):
    """Whether a node is a condition and not a value."""
    if isinstance(e, ast.Binary):
        return e.op in ("AND", "OR") or e.op.split()[0] in COMPARISONS.values()
    if isinstance(e, ast.Unary):
        return e.op == "NOT"
    return isinstance(e, (ast.Exists, ast.In, ast.Between, ast.Like, ast.IsNull))
