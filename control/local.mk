# Everything of the command line but main() and its dispatch, so that tests can link it.
noinst_LIBRARIES += libcontrol.a
libcontrol_a_SOURCES = \
	control/check.c control/check.h \
	control/check_apply.c control/check_back.c \
	control/check_data.c \
	control/check_data_constraints.c \
	control/check_legacy.c \
	control/check_publication.c \
	control/check_redis.c \
	control/check_rights.c \
	control/check_run.h \
	control/check_session.c \
	control/check_size.c \
	control/check_target.c \
	control/command.h \
	control/finish.c \
	control/http_get.c control/http_get.h \
	control/install.c \
	control/offsets.c \
	control/offsets_facts.c control/offsets_facts.h \
	control/pause.c \
	control/quarantine.c \
	control/redis.c control/redis.h \
	control/session.c \
	control/status.c \
	control/status_sql.c control/status_sql.h \
	control/schema.c control/schema.h \
	control/schema_dump.c \
	control/schema_own.c \
	control/schema_run.h \
	control/schema_tool.c control/schema_tool.h
if HAVE_FREETDS
libcontrol_a_SOURCES += \
	control/check_mssql.c control/check_mssql.h \
	control/check_mssql_capture.c \
	control/check_mssql_collisions.c \
	control/check_mssql_data.c \
	control/check_mssql_server.c \
	control/check_mssql_table.c \
	control/schema_mssql.c control/schema_mssql.h \
	control/schema_mssql_index.c \
	control/schema_mssql_table.c
endif

bin_PROGRAMS += crossfade
crossfade_SOURCES = control/main.c control/dispatch.c
crossfade_LDADD = libcontrol.a libcrossfade.a $(LIBPQ_LIBS) $(CJSON_LIBS) $(HIREDIS_LIBS) $(SYSTEMD_LIBS) $(FREETDS_LIBS)
