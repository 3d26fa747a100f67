include tests/unit/local.mk
include tests/fuzz/local.mk

# Checks of the tree; each exits 77 where its tool is not installed.
CHECKS = \
	tests/check_format.sh \
	tests/check_headers.sh \
	tests/check_layers.sh \
	tests/check_man.sh \
	tests/check_man_capture.sh \
	tests/check_man_control.sh \
	tests/check_man_config.sh \
	tests/check_man_findings.sh \
	tests/check_man_types.sh \
	tests/check_shell.sh \
	tests/check_unit.sh
TESTS += $(CHECKS)
check_PROGRAMS += tests/unit/config_describe
tests_unit_config_describe_SOURCES = tests/unit/config_describe.c
tests_unit_config_describe_LDADD = $(FUZZ_LDADD)
check_PROGRAMS += tests/unit/capture_describe
tests_unit_capture_describe_SOURCES = tests/unit/capture_describe.c
tests_unit_capture_describe_LDADD = $(FUZZ_LDADD)
check_PROGRAMS += tests/unit/type_describe
tests_unit_type_describe_SOURCES = tests/unit/type_describe.c
tests_unit_type_describe_LDADD = $(FUZZ_LDADD)
AM_TESTS_ENVIRONMENT = CC='$(CC)'; CHECK_CPPFLAGS='$(LIBPQ_CFLAGS) $(LIBEVENT_CFLAGS) $(CJSON_CFLAGS) $(HIREDIS_CFLAGS) $(SYSTEMD_CFLAGS) $(FREETDS_CFLAGS)'; \
	export CC CHECK_CPPFLAGS;
EXTRA_DIST += $(CHECKS) \
	tests/check_full.sh \
	tests/pg_versions.sh \
	tests/scenario/conftest.py \
	tests/scenario/lib/__init__.py \
	tests/scenario/lib/compare.py \
	tests/scenario/lib/leaving.py \
	tests/scenario/lib/load.py \
	tests/scenario/lib/load_sqlserver.py \
	tests/scenario/lib/pipeline.py \
	tests/scenario/lib/polled.py \
	tests/scenario/lib/postgres.py \
	tests/scenario/lib/process.py \
	tests/scenario/lib/proxy.py \
	tests/scenario/lib/redis_server.py \
	tests/scenario/lib/replicator.py \
	tests/scenario/lib/sqlserver.py \
	tests/scenario/lib/sqlserver_pipeline.py \
	tests/scenario/test_attack.py \
	tests/scenario/test_bad_input.py \
	tests/scenario/test_capture_polled.py \
	tests/scenario/test_capture_postgresql.py \
	tests/scenario/test_check.py \
	tests/scenario/test_control.py \
	tests/scenario/test_failover.py \
	tests/scenario/test_faults.py \
	tests/scenario/test_findings.py \
	tests/scenario/test_hazards_copy.py \
	tests/scenario/test_hazards_sqlserver.py \
	tests/scenario/test_hazards_sqlserver_copy.py \
	tests/scenario/test_hazards_stream.py \
	tests/scenario/test_live_units.py \
	tests/scenario/test_move.py \
	tests/scenario/test_names.py \
	tests/scenario/test_partitions.py \
	tests/scenario/test_quickstart.py \
	tests/scenario/test_redis.py \
	tests/scenario/test_reverse.py \
	tests/scenario/test_reverse_sqlserver.py \
	tests/scenario/test_service.py \
	tests/scenario/test_sqlserver_check.py \
	tests/scenario/test_sqlserver_bad_input.py \
	tests/scenario/test_sqlserver_faults.py \
	tests/scenario/test_sqlserver_move.py \
	tests/scenario/test_sqlserver_schema.py \
	tests/scenario/test_sqlserver_values.py \
	tests/scenario/test_standin.py \
	tests/scenario/test_standin_cdc.py \
	tests/scenario/test_streams.py \
	tests/scenario/test_types.py \
	tests/scenario/test_versions.py
# The stand-in for SQL Server: its system side.
EXTRA_DIST += tests/standin/__init__.py \
	tests/standin/__main__.py \
	tests/standin/ast.py \
	tests/standin/bulk.py \
	tests/standin/connection.py \
	tests/standin/ddl.py \
	tests/standin/dml.py \
	tests/standin/engine.py \
	tests/standin/errors.py \
	tests/standin/functions.py \
	tests/standin/install.py \
	tests/standin/lexer.py \
	tests/standin/modules.py \
	tests/standin/names.py \
	tests/standin/options.py \
	tests/standin/parser.py \
	tests/standin/parser_base.py \
	tests/standin/parser_ddl.py \
	tests/standin/parser_query.py \
	tests/standin/procedures.py \
	tests/standin/render.py \
	tests/standin/results.py \
	tests/standin/rows.py \
	tests/standin/rpc.py \
	tests/standin/server.py \
	tests/standin/session.py \
	tests/standin/tds.py \
	tests/standin/transport.py \
	tests/standin/values.py \
	tests/standin/README.md \
	tests/standin/sql/00_types.sql \
	tests/standin/sql/01_time.sql \
	tests/standin/sql/02_operators.sql \
	tests/standin/sql/03_functions.sql \
	tests/standin/sql/04_speed.sql \
	tests/standin/sql/05_aggregates.sql
EXTRA_DIST += tests/standin/cdc.py \
	tests/standin/cdc_capture.py \
	tests/standin/cdc_jobs.py \
	tests/standin/cdc_pgoutput.py \
	tests/standin/cdc_rows.py \
	tests/standin/sql/10_base.sql \
	tests/standin/sql/20_types.sql \
	tests/standin/sql/21_objects.sql \
	tests/standin/sql/22_indexes.sql \
	tests/standin/sql/23_server.sql \
	tests/standin/sql/24_functions.sql \
	tests/standin/sql/30_jobs.sql \
	tests/standin/sql/31_cdc.sql \
	tests/standin/sql/32_cdc_functions.sql \
	tests/standin/sql/40_ct.sql \
	tests/standin/sql/41_restore.sql \
	tests/standin/sql/90_path.sql

# Programs against real servers; PYTEST_ARGS='-k name' picks some.
check-scenarios: all $(check_PROGRAMS)
	CROSSFADE_BUILD='$(abs_top_builddir)' /usr/bin/python3 -m pytest -p no:cacheprovider -q '$(srcdir)/tests/scenario' $(PYTEST_ARGS)
# Everything, hours: other compilers and sanitizers, valgrind, coverage, PostgreSQL 10 to 18.
check-full:
	$(srcdir)/tests/check_full.sh
.PHONY: check-scenarios check-full
