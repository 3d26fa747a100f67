libcrossfade_a_SOURCES += \
	src/model/batch.c src/model/batch.h \
	src/model/change.c src/model/change.h \
	src/model/compact.h \
	src/model/config.h \
	src/model/parked.c src/model/parked.h \
	src/model/position.c src/model/position.h \
	src/model/sink.h \
	src/model/source.h \
	src/model/table.c src/model/table.h
