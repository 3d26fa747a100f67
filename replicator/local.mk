# Everything of the replicator but main(), so that tests can link it.
noinst_LIBRARIES += libreplicator.a
libreplicator_a_SOURCES = \
	replicator/backfill.c replicator/backfill.h \
	replicator/chunk.c replicator/chunk.h \
	replicator/copier.c replicator/copier.h \
	replicator/crew.c replicator/crew.h \
	replicator/deadline.c replicator/deadline.h \
	replicator/existing.c replicator/existing.h \
	replicator/indexes.c replicator/indexes.h \
	replicator/reread.c replicator/reread.h \
	replicator/indexes_restore.c \
	replicator/runner.h \
	replicator/http.c \
	replicator/http.h \
	replicator/lane.c \
	replicator/lane.h \
	replicator/machine.c \
	replicator/machine.h \
	replicator/metrics.c \
	replicator/notify.c \
	replicator/notify.h \
	replicator/prepare.c \
	replicator/prepare.h \
	replicator/prepare_lanes.c \
	replicator/redis_mirror.c \
	replicator/redis_mirror.h \
	replicator/report.c \
	replicator/report.h \
	replicator/runner.c \
	replicator/service.c \
	replicator/service.h \
	replicator/session.c \
	replicator/session.h \
	replicator/session_internal.h \
	replicator/session_reread.c \
	replicator/session_stream.c \
	replicator/session_wishes.c \
	replicator/steward.c \
	replicator/steward.h \
	replicator/stall.c \
	replicator/stall.h \
	replicator/stream.c \
	replicator/stream.h \
	replicator/stats.c replicator/stats.h \
	replicator/throttle.c replicator/throttle.h

sbin_PROGRAMS += crossfade-replicator
crossfade_replicator_SOURCES = replicator/main.c
crossfade_replicator_LDADD = libreplicator.a libcrossfade.a $(LIBPQ_LIBS) $(LIBEVENT_LIBS) $(CJSON_LIBS) \
	$(HIREDIS_LIBS) $(SYSTEMD_LIBS) $(FREETDS_LIBS)
