# Fuzz targets: tests/fuzz/NAME_fuzz.c with its corpus in tests/fuzz/corpus/NAME. `make check` replays the
# corpus through each; `make fuzz` runs each under libFuzzer for FUZZ_SECONDS.
FUZZ_TARGETS = config pgoutput ms_value

FUZZ_LDADD = libcrossfade.a $(LIBPQ_LIBS) $(CJSON_LIBS) $(SYSTEMD_LIBS)
check_PROGRAMS += tests/fuzz/config_fuzz
TESTS += tests/fuzz/config_fuzz
tests_fuzz_config_fuzz_SOURCES = tests/fuzz/config_fuzz.c tests/fuzz/driver.c
tests_fuzz_config_fuzz_LDADD = $(FUZZ_LDADD)
check_PROGRAMS += tests/fuzz/pgoutput_fuzz
TESTS += tests/fuzz/pgoutput_fuzz
tests_fuzz_pgoutput_fuzz_SOURCES = tests/fuzz/pgoutput_fuzz.c tests/fuzz/driver.c
tests_fuzz_pgoutput_fuzz_LDADD = $(FUZZ_LDADD)
check_PROGRAMS += tests/fuzz/ms_value_fuzz
TESTS += tests/fuzz/ms_value_fuzz
tests_fuzz_ms_value_fuzz_SOURCES = tests/fuzz/ms_value_fuzz.c tests/fuzz/driver.c
tests_fuzz_ms_value_fuzz_LDADD = $(FUZZ_LDADD)

# libFuzzer needs clang and objects of its own.
FUZZ_CC = clang
FUZZ_SECONDS = 60
FUZZ_CFLAGS = -std=c17 -D_GNU_SOURCE -pthread -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
FUZZ_OBJECTS = $(patsubst %.c,build-fuzz/%.o,$(filter %.c,$(libcrossfade_a_SOURCES)))
FUZZ_DEPS = $(filter %.h,$(libcrossfade_a_SOURCES))

build-fuzz/%.o: %.c $(FUZZ_DEPS) | $(BUILT_SOURCES)
	@$(MKDIR_P) $(@D)
	$(AM_V_CC)$(FUZZ_CC) $(DEFS) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) $(CPPFLAGS) $(FUZZ_CFLAGS) \
		-fsanitize=fuzzer-no-link -c -o $@ $<
build-fuzz/%_fuzz: build-fuzz/tests/fuzz/%_fuzz.o $(FUZZ_OBJECTS)
	$(AM_V_CCLD)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ \
		$(LIBPQ_LIBS) $(CJSON_LIBS) $(HIREDIS_LIBS) $(LIBEVENT_LIBS) $(SYSTEMD_LIBS) $(FREETDS_LIBS)
# New inputs are kept in the build directory, what was found wrong beside them.
fuzz-run-%: build-fuzz/%_fuzz fuzz-always
	@$(MKDIR_P) build-fuzz/corpus/$*
	build-fuzz/$*_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix=build-fuzz/$*- \
		`test -f $(srcdir)/tests/fuzz/$*.dict && echo -dict=$(srcdir)/tests/fuzz/$*.dict` \
		build-fuzz/corpus/$* $(srcdir)/tests/fuzz/corpus/$*
fuzz: $(FUZZ_TARGETS:%=fuzz-run-%)
fuzz-always:
clean-local: clean-fuzz
clean-fuzz:
	rm -rf build-fuzz
.PHONY: fuzz fuzz-always clean-fuzz
.PRECIOUS: build-fuzz/%.o build-fuzz/%_fuzz

EXTRA_DIST += tests/fuzz/corpus tests/fuzz/config.dict
