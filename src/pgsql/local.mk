libcrossfade_a_SOURCES += \
	src/pgsql/apply.c src/pgsql/apply.h \
	src/pgsql/catalog.c src/pgsql/catalog.h \
	src/pgsql/conn.c src/pgsql/conn.h \
	src/pgsql/copy.c src/pgsql/copy.h \
	src/pgsql/exact.c src/pgsql/exact.h \
	src/pgsql/key_order.c src/pgsql/key_order.h \
	src/pgsql/lane.h \
	src/pgsql/logical_source.c src/pgsql/logical_source.h \
	src/pgsql/mend.c src/pgsql/mend.h \
	src/pgsql/pair.c src/pgsql/pair.h \
	src/pgsql/pair_back.c src/pgsql/pair_back.h \
	src/pgsql/pair_columns.c src/pgsql/pair_columns.h \
	src/pgsql/pair_key.c \
	src/pgsql/pair_names.c src/pgsql/pair_names.h \
	src/pgsql/pair_order.c src/pgsql/pair_order.h \
	src/pgsql/pair_type.c src/pgsql/pair_type.h \
	src/pgsql/params.c src/pgsql/params.h \
	src/pgsql/pg_sink.c src/pgsql/pg_sink.h \
	src/pgsql/partition.c src/pgsql/partition.h \
	src/pgsql/pgoutput.c src/pgsql/pgoutput.h \
	src/pgsql/pipe.c src/pgsql/pipe.h \
	src/pgsql/prepared.c src/pgsql/prepared.h \
	src/pgsql/poll.c src/pgsql/poll.h \
	src/pgsql/publication.c src/pgsql/publication.h \
	src/pgsql/quarantine.c src/pgsql/quarantine.h \
	src/pgsql/relation.c src/pgsql/relation.h \
	src/pgsql/replay.c src/pgsql/replay.h \
	src/pgsql/retry.c src/pgsql/retry.h \
	src/pgsql/sift.c src/pgsql/sift.h \
	src/pgsql/slot.c src/pgsql/slot.h \
	src/pgsql/snapshot.c src/pgsql/snapshot.h \
	src/pgsql/sql.c src/pgsql/sql.h \
	src/pgsql/statement.c src/pgsql/statement.h \
	src/pgsql/statement_exact.c \
	src/pgsql/statement_part.c src/pgsql/statement_part.h \
	src/pgsql/stored.c src/pgsql/stored.h \
	src/pgsql/type_name.c src/pgsql/type_name.h \
	src/pgsql/walsender.c src/pgsql/walsender.h \
	src/pgsql/waiting.c src/pgsql/waiting.h
