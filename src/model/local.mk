libcrossfade_a_SOURCES += \
	src/model/batch.c src/model/batch.h \
	src/model/capture.c src/model/capture.h \
	src/model/change.c src/model/change.h \
	src/model/compact.c src/model/compact.h \
	src/model/compact_merge.c src/model/compact_part.h \
	src/model/compact_sets.c \
	src/model/compact_sort.c \
	src/model/config.c src/model/config.h src/model/config_internal.h \
	src/model/config_capture.c \
	src/model/config_column.c \
	src/model/config_diff.c \
	src/model/config_endpoint.c \
	src/model/config_options.c \
	src/model/config_sqlserver.c \
	src/model/config_tables.c \
	src/model/config_twins.c \
	src/model/config_values.c \
	src/model/held.c src/model/held.h \
	src/model/parked.c src/model/parked.h \
	src/model/polled.c src/model/polled.h \
	src/model/position.c src/model/position.h \
	src/model/seen.c src/model/seen.h \
	src/model/sink.h \
	src/model/source.h \
	src/model/table.c src/model/table.h
