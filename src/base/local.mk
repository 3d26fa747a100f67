libcrossfade_a_SOURCES += \
	src/base/arena.c src/base/arena.h \
	src/base/buffer.c src/base/buffer.h \
	src/base/clock.c src/base/clock.h \
	src/base/error.c src/base/error.h \
	src/base/json.c src/base/json.h \
	src/base/log.c src/base/log.h \
	src/base/map.c src/base/map.h \
	src/base/mem.c src/base/mem.h \
	src/base/secret.c src/base/secret.h \
	src/base/slice.h \
	src/base/units.c src/base/units.h \
	src/base/utf8.c src/base/utf8.h
