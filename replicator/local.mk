# Everything of the replicator but main(), so that tests can link it.
noinst_LIBRARIES += libreplicator.a
libreplicator_a_SOURCES = \
	replicator/backfill.c replicator/backfill.h \
	replicator/chunk.c replicator/chunk.h \
	replicator/copier.c replicator/copier.h \
	replicator/crew.c replicator/crew.h \
	replicator/existing.c replicator/existing.h \
	replicator/indexes.h \
	replicator/key_order.c replicator/key_order.h \
	replicator/reread.h \
	replicator/runner.h \
	replicator/stats.c replicator/stats.h \
	replicator/throttle.c replicator/throttle.h
