# Without FreeTDS none of it is built, and config says so to who wants a SQL Server.
MSSQL_SOURCES = \
	src/mssql/column.c \
	src/mssql/conn.c src/mssql/conn.h \
	src/mssql/ms_error.c src/mssql/ms_error.h \
	src/mssql/session.c src/mssql/session.h \
	src/mssql/shim.c src/mssql/shim.h \
	src/mssql/sql.c src/mssql/sql.h
if HAVE_FREETDS
libcrossfade_a_SOURCES += $(MSSQL_SOURCES)
endif
