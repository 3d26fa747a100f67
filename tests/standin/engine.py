# SPDX-License-Identifier: PostgreSQL
"""Batches."""
import psycopg2

from . import install, rows, tds, values
from .errors import SqlError, from_postgres


class Engine:
    def __init__(self, session):
        self.session, self.pg = session, None

    def open(self, database):
        try:
            self.pg = install.connect(self.session.config.pg, database)
        except psycopg2.OperationalError:
            raise SqlError(4060, f'Cannot open database "{database}" requested by the login. The login failed.', 11)
        self.session.database = database

    def close(self):
        self.pg.close()

    def cancel(self):
        if self.pg:
            self.pg.cancel()

    def cancelled(self):
        pass

    def batch(self, text):
        s = self.session
        if text.strip().upper().startswith(("SET ", "BEGIN TRAN", "COMMIT", "ROLLBACK", "IF @@TRAN")):
            s.write(tds.done(tds.DONE, 0))
            return
        with self.pg.cursor() as cur:
            try:
                cur.execute(text)
            except psycopg2.Error as e:
                raise from_postgres(e)
            if not cur.description:
                s.write(tds.done(tds.DONE, 0))
                return
            types = [values.make_type("int") if d.type_code == 23 else values.make_type("nvarchar", [4000]) for d in cur.description]
            s.write(tds.colmetadata([("" if d.name == "?column?" else d.name, 1, values.type_info(t), 0) for d, t in zip(cur.description, types)]))
            got = cur.fetchall()
            s.write(rows.compile_rows(types)(got))
            s.write(tds.done(tds.DONE, tds.DONE_COUNT, 0xC1, len(got)))
