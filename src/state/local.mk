libcrossfade_a_SOURCES += \
	src/state/lease.h \
	src/state/parked.h \
	src/state/schema.h \
	src/state/store.h
EXTRA_DIST += src/state/schema.sql
