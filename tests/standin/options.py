# SPDX-License-Identifier: PostgreSQL
"""SET options of a session (SET Statements, Transact-SQL), and what they do to PostgreSQL."""
from .errors import SqlError

ANSI = ("ANSI_NULLS", "ANSI_PADDING", "ANSI_WARNINGS", "ANSI_NULL_DFLT_ON", "QUOTED_IDENTIFIER", "CONCAT_NULL_YIELDS_NULL", "ARITHABORT")
BITS = {"IMPLICIT_TRANSACTIONS": 2, "CURSOR_CLOSE_ON_COMMIT": 4, "ANSI_WARNINGS": 8, "ANSI_PADDING": 16, "ANSI_NULLS": 32, "ARITHABORT": 64,
        "ARITHIGNORE": 128, "QUOTED_IDENTIFIER": 256, "NOCOUNT": 512, "ANSI_NULL_DFLT_ON": 1024, "ANSI_NULL_DFLT_OFF": 2048,
        "CONCAT_NULL_YIELDS_NULL": 4096, "NUMERIC_ROUNDABORT": 8192, "XACT_ABORT": 16384}
SET_BY_ODBC = ("ANSI_NULLS", "ANSI_PADDING", "ANSI_WARNINGS", "ANSI_NULL_DFLT_ON", "QUOTED_IDENTIFIER", "CONCAT_NULL_YIELDS_NULL")
DATE_FORMATS = ("mdy", "dmy", "ymd", "ydm", "myd", "dym")
LANGUAGES = {"us_english": "mdy", "english": "mdy", "british": "dmy", "british english": "dmy", "german": "dmy", "deutsch": "dmy",
             "french": "dmy", "français": "dmy"}


class Options:
    """ODBC and OLE DB clients turn the ANSI options on as they log in (LOGIN7 fODBC); DB-Library's don't."""

    def __init__(self, odbc):
        self.flags = {name: False for name in BITS}
        for name in SET_BY_ODBC if odbc else ():
            self.flags[name] = True
        self.isolation = "READ COMMITTED"
        self.lock_timeout = -1
        self.textsize = 2147483647 if odbc else 4096
        self.rowcount = 0
        self.language = "us_english"
        self.dateformat = "mdy"
        self.datefirst = 7
        self.deadlock_priority = 0
        self.identity_insert = None     # oid of the table
        self.fmtonly = False

    def __getitem__(self, name):
        return self.flags.get(name, False)

    def word(self):
        """@@OPTIONS"""
        return sum(bit for name, bit in BITS.items() if self.flags[name])

    def set_flag(self, name, on):
        if name == "ANSI_DEFAULTS":
            for n in ("ANSI_NULLS", "ANSI_NULL_DFLT_ON", "ANSI_PADDING", "ANSI_WARNINGS", "CURSOR_CLOSE_ON_COMMIT", "IMPLICIT_TRANSACTIONS",
                      "QUOTED_IDENTIFIER"):
                self.flags[n] = on
        elif name == "FMTONLY":
            self.fmtonly = on
        elif name in self.flags:
            self.flags[name] = on
        if name == "IMPLICIT_TRANSACTIONS" and on:
            raise SqlError(102, "stand-in: SET IMPLICIT_TRANSACTIONS ON is not understood", 15)

    def set_value(self, name, value):
        if name == "LOCK_TIMEOUT":
            self.lock_timeout = int(value)
        elif name == "TEXTSIZE":
            self.textsize = {-1: 2147483647, 0: 4096}.get(int(value), int(value))
        elif name == "ROWCOUNT":
            self.rowcount = int(value)
        elif name == "DATEFIRST":
            self.datefirst = int(value)
        elif name == "DATEFORMAT":
            if value.lower() not in DATE_FORMATS:
                raise SqlError(2741, f"SET DATEFORMAT date order '{value}' is invalid.", 16)
            self.dateformat = value.lower()
        elif name == "LANGUAGE":
            if value.lower() not in LANGUAGES:
                raise SqlError(2740, f"SET LANGUAGE failed because '{value}' is not an official language name or a language alias on this SQL Server.", 16)
            self.language, self.dateformat = value, LANGUAGES[value.lower()]
        elif name == "DEADLOCK_PRIORITY":
            self.deadlock_priority = {"LOW": -5, "NORMAL": 0, "HIGH": 5}.get(str(value).upper())
            if self.deadlock_priority is None:
                self.deadlock_priority = int(value)

    def pg_lock_timeout(self):
        return 0 if self.lock_timeout < 0 else max(self.lock_timeout, 1)

    def pg_isolation(self):
        return {"SNAPSHOT": "REPEATABLE READ", "REPEATABLE READ": "REPEATABLE READ", "SERIALIZABLE": "SERIALIZABLE"}.get(
            self.isolation, "READ COMMITTED")

    def for_views(self):
        """What sys.dm_exec_sessions tells, as settings standin.<name>."""
        return {"isolation": self.isolation.lower(), "dateformat": self.dateformat, "datefirst": str(self.datefirst),
                "deadlock_priority": str(self.deadlock_priority), "rowcount": str(self.rowcount), "language": self.language,
                "lock_timeout": str(self.lock_timeout), "textsize": str(self.textsize),
                **{n.lower(): "1" if self.flags[n] else "0" for n in BITS}}
