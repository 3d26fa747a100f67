# cmocka tests, one program a noun: tests/unit/<noun>_test.c
UNIT_LDADD = libcrossfade.a $(CMOCKA_LIBS) $(LIBPQ_LIBS) $(CJSON_LIBS) $(SYSTEMD_LIBS)
UNIT_TESTS =
if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif
