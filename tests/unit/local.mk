# cmocka tests, one program a noun: tests/unit/<noun>_test.c
UNIT_LDADD = libcrossfade.a $(CMOCKA_LIBS) $(LIBPQ_LIBS) $(CJSON_LIBS) $(SYSTEMD_LIBS)
UNIT_TESTS =
UNIT_TESTS += tests/unit/compact_test
tests_unit_compact_test_SOURCES = tests/unit/compact_test.c
tests_unit_compact_test_LDADD = $(UNIT_LDADD)
UNIT_TESTS += tests/unit/lease_test
tests_unit_lease_test_SOURCES = tests/unit/lease_test.c
tests_unit_lease_test_LDADD = $(UNIT_LDADD)
UNIT_TESTS += tests/unit/mirror_test
tests_unit_mirror_test_SOURCES = tests/unit/mirror_test.c
tests_unit_mirror_test_LDADD = $(UNIT_LDADD)
UNIT_TESTS += tests/unit/wish_test
tests_unit_wish_test_SOURCES = tests/unit/wish_test.c
tests_unit_wish_test_LDADD = $(UNIT_LDADD)
UNIT_TESTS += tests/unit/store_test
tests_unit_store_test_SOURCES = tests/unit/store_test.c
tests_unit_store_test_LDADD = $(UNIT_LDADD)
UNIT_TESTS += tests/unit/stats_test
tests_unit_stats_test_SOURCES = tests/unit/stats_test.c
tests_unit_stats_test_LDADD = libreplicator.a $(UNIT_LDADD)
UNIT_TESTS += tests/unit/parked_test
tests_unit_parked_test_SOURCES = tests/unit/parked_test.c
tests_unit_parked_test_LDADD = $(UNIT_LDADD)
UNIT_TESTS += tests/unit/snapshot_test
tests_unit_snapshot_test_SOURCES = tests/unit/snapshot_test.c
tests_unit_snapshot_test_LDADD = $(UNIT_LDADD)
UNIT_TESTS += tests/unit/pgoutput_test
tests_unit_pgoutput_test_SOURCES = tests/unit/pgoutput_test.c
tests_unit_pgoutput_test_LDADD = $(UNIT_LDADD)
EXTRA_DIST += tests/unit/data/pgoutput_text.hex tests/unit/data/pgoutput_binary.hex

if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif
