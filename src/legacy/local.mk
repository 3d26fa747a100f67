libcrossfade_a_SOURCES += \
	src/legacy/legacy.c src/legacy/legacy.h \
	src/legacy/legacy_driver.h \
	src/legacy/legacy_pgsql.c src/legacy/legacy_pgsql.h \
	src/legacy/legacy_pgsql_copy.c \
	src/legacy/legacy_pgsql_drop.c \
	src/legacy/legacy_pgsql_fingerprint.c src/legacy/legacy_pgsql_fingerprint.h \
	src/legacy/legacy_pgsql_poll.c src/legacy/legacy_pgsql_poll.h \
	src/legacy/legacy_pgsql_publication.c \
	src/legacy/legacy_pgsql_rows.c \
	src/legacy/legacy_pgsql_slot.c \
	src/legacy/legacy_sink.c src/legacy/legacy_sink.h \
	src/legacy/legacy_sink_driver.h \
	src/legacy/legacy_sink_pgsql.c \
	src/legacy/sink_rows.c src/legacy/sink_rows.h \
	src/legacy/sweep.c src/legacy/sweep.h
if HAVE_FREETDS
libcrossfade_a_SOURCES += \
	src/legacy/legacy_mssql.c src/legacy/legacy_mssql.h \
	src/legacy/legacy_mssql_capture.c \
	src/legacy/legacy_mssql_copy.c \
	src/legacy/legacy_mssql_poll.c \
	src/legacy/legacy_mssql_rows.c \
	src/legacy/legacy_sink_mssql.c \
	src/legacy/mssql_bridge.c src/legacy/mssql_bridge.h \
	src/legacy/mssql_expression.c src/legacy/mssql_expression.h \
	src/legacy/mssql_expression_part.h \
	src/legacy/mssql_function.c \
	src/legacy/mssql_literal.c \
	src/legacy/mssql_policy.c src/legacy/mssql_policy.h
endif
