# The type table and the value codec need no FreeTDS.
libcrossfade_a_SOURCES += \
	src/mssql/datum.h \
	src/mssql/type.c src/mssql/type.h \
	src/mssql/type_table.c \
	src/mssql/value.c src/mssql/value.h \
	src/mssql/value_number.c \
	src/mssql/value_parse.c \
	src/mssql/value_part.h \
	src/mssql/value_text.c \
	src/mssql/value_time.c \
	src/mssql/value_zone.c src/mssql/value_zone.h
# Without FreeTDS none of it is built, and config says so to who wants a SQL Server.
MSSQL_SOURCES = \
	src/mssql/catalog.c src/mssql/catalog.h \
	src/mssql/catalog_find.c \
	src/mssql/cdc_instance.c src/mssql/cdc_instance.h \
	src/mssql/cdc_lsn.c src/mssql/cdc_lsn.h \
	src/mssql/cdc_mask.h \
	src/mssql/cdc_merge.c src/mssql/cdc_merge.h \
	src/mssql/cdc_poll.c src/mssql/cdc_poll.h \
	src/mssql/cdc_source.c src/mssql/cdc_source.h \
	src/mssql/cdc_stream.c src/mssql/cdc_stream.h \
	src/mssql/column.c \
	src/mssql/conn.c src/mssql/conn.h \
	src/mssql/copy_out.c src/mssql/copy_out.h \
	src/mssql/estate.c src/mssql/estate.h \
	src/mssql/history.c src/mssql/history.h \
	src/mssql/keyset.c src/mssql/keyset.h \
	src/mssql/marker.c src/mssql/marker.h \
	src/mssql/ms_error.c src/mssql/ms_error.h \
	src/mssql/ms_sink.c src/mssql/ms_sink.h \
	src/mssql/ms_sink_apply.c \
	src/mssql/ms_sink_exchange.c \
	src/mssql/ms_sink_form.c \
	src/mssql/ms_sink_literal.c \
	src/mssql/ms_sink_part.h \
	src/mssql/ms_sink_replay.c \
	src/mssql/ms_sink_sift.c \
	src/mssql/ms_sink_stage.c \
	src/mssql/ms_sink_stored.c \
	src/mssql/ms_sink_table.c \
	src/mssql/ms_sink_wait.c \
	src/mssql/row.c src/mssql/row.h \
	src/mssql/poll.c src/mssql/poll.h src/mssql/poll_part.h \
	src/mssql/poll_look.c \
	src/mssql/poll_table.c \
	src/mssql/session.c src/mssql/session.h \
	src/mssql/shim.c src/mssql/shim.h \
	src/mssql/sql.c src/mssql/sql.h
if HAVE_FREETDS
libcrossfade_a_SOURCES += $(MSSQL_SOURCES)
endif
