# SPDX-License-Identifier: PostgreSQL
"""BulkLoadBCP (MS-TDS 2.2.6.1)."""
