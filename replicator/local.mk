# Everything of the replicator but main(), so that tests can link it.
noinst_LIBRARIES += libreplicator.a
libreplicator_a_SOURCES = \
	replicator/backfill.h \
	replicator/indexes.h \
	replicator/reread.h \
	replicator/runner.h \
	replicator/stats.c replicator/stats.h
