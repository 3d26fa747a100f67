# Speed and memory, side by side with what else there is: bench/run --help
EXTRA_DIST += bench/run bench/sqlserver.py bench/RESULTS.md
bench_binaries =
if HAVE_FREETDS
bench_binaries += bench/ms_fetch bench/ms_apply
bench_ms_fetch_SOURCES = bench/ms_fetch.c
bench_ms_fetch_LDADD = $(FREETDS_LIBS)
bench_ms_apply_SOURCES = bench/ms_apply.c
bench_ms_apply_LDADD = libcrossfade.a $(LIBPQ_LIBS) $(CJSON_LIBS) $(SYSTEMD_LIBS) $(FREETDS_LIBS)
endif
EXTRA_PROGRAMS = $(bench_binaries)
CLEANFILES += bench/ms_fetch bench/ms_apply
bench: all $(bench_binaries)
	CROSSFADE_BUILD='$(abs_top_builddir)' $(srcdir)/bench/run
.PHONY: bench
