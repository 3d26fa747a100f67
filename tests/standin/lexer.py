# SPDX-License-Identifier: PostgreSQL
"""T-SQL text to tokens (Transact-SQL syntax conventions; Constants; Database identifiers)."""
import re
from dataclasses import dataclass

from .errors import SqlError

WORD, QUOTED, VARIABLE, STRING, NSTRING, BINARY, INTEGER, DECIMAL, FLOAT, MONEY, OPERATOR, END = (
    "word", "quoted", "variable", "string", "nstring", "binary", "integer", "decimal", "float", "money", "operator", "end")


@dataclass
class Token:
    kind: str
    text: str      # as written
    value: str     # without quotes
    line: int
    at: int
    upper: str = ""


_TOKEN = re.compile(r"""
    (?P<space>[\s\xa0\ufeff]+|--[^\n]*)
  | (?P<comment>/\*)
  | (?P<nstring>[Nn]'(?:[^']|'')*')
  | (?P<string>'(?:[^']|'')*')
  | (?P<dquoted>"(?:[^"]|"")*")
  | (?P<bracket>\[(?:[^\]]|\]\])*\])
  | (?P<binary>0[xX][0-9a-fA-F]*)
  | (?P<float>(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+)
  | (?P<decimal>\d+\.\d*|\.\d+)
  | (?P<integer>\d+)
  | (?P<money>\$-?\d+(?:\.\d*)?)
  | (?P<variable>@@?[\w@$#]+)
  | (?P<word>[^\W\d][\w@$#]*|\#\#?[\w@$#]+)
  | (?P<operator><>|!=|<=|>=|!<|!>|\+=|-=|\*=|/=|%=|&=|\|=|\^=|::|[-+*/%&|^~=<>(),.;:$])
""", re.X | re.S)


def tokenize(text, quoted_identifier=True):
    """List of tokens, END last. Raises 105 for an open string and 102 for what is no token."""
    out, at, line = [], 0, 1
    while at < len(text):
        m = _TOKEN.match(text, at)
        if not m:
            if text[at] in "'\"" or text[at:at + 2] in ("N'", "n'"):
                raise SqlError(105, f"Unclosed quotation mark after the character string '{text[at + 1:at + 60]}'.", 15, 1, line)
            raise SqlError(102, f"Incorrect syntax near '{text[at]}'.", 15, 1, line)
        kind, piece = m.lastgroup, m.group()
        end = m.end()
        if kind == "comment":
            end = _comment_end(text, at, line)
            piece = text[at:end]
        elif kind != "space":
            out.append(_token(kind, piece, line, at, quoted_identifier))
        line += piece.count("\n")
        at = end
    out.append(Token(END, "", "", line, at))
    return out


def _comment_end(text, at, line):
    """Comments nest."""
    depth, i = 1, at + 2
    while depth:
        opened, closed = text.find("/*", i), text.find("*/", i)
        if closed < 0:
            raise SqlError(113, "Missing end comment mark '*/'.", 15, 1, line)
        if 0 <= opened < closed:
            depth, i = depth + 1, opened + 2
        else:
            depth, i = depth - 1, closed + 2
    return i


def _token(kind, piece, line, at, quoted_identifier):
    if kind == "nstring":
        return Token(NSTRING, piece, piece[2:-1].replace("''", "'"), line, at)
    if kind == "string":
        return Token(STRING, piece, piece[1:-1].replace("''", "'"), line, at)
    if kind == "dquoted":
        value = piece[1:-1].replace('""', '"')
        return Token(QUOTED if quoted_identifier else STRING, piece, value, line, at)
    if kind == "bracket":
        return Token(QUOTED, piece, piece[1:-1].replace("]]", "]"), line, at)
    return Token(kind, piece, piece, line, at, piece.upper())
