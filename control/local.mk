# Everything of the command line but main() and what it calls of check and schema, so that tests can link it.
noinst_LIBRARIES += libcontrol.a
libcontrol_a_SOURCES = \
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
	control/status_sql.c control/status_sql.h
