# SPDX-License-Identifier: PostgreSQL
"""A stand-in for SQL Server that speaks TDS 7.4 over a private PostgreSQL; for tests only. README.md says what is where."""
