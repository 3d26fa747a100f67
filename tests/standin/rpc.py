# SPDX-License-Identifier: PostgreSQL
"""Remote procedure calls (MS-TDS 2.2.6.6)."""
