noinst_LIBRARIES += libcrossfade.a
libcrossfade_a_SOURCES =
include src/base/local.mk
include src/model/local.mk
include src/pgsql/local.mk
include src/mssql/local.mk
include src/state/local.mk
include src/legacy/local.mk
