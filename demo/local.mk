# What ./quickstart shows
EXTRA_DIST += \
	.ci/run \
	demo/fill.sql \
	demo/keys.sql \
	demo/load.pgbench \
	demo/school.sql \
	demo/sqlserver/district.py \
	demo/sqlserver/keys.sql \
	demo/sqlserver/school.sql \
	demo/status.sql
