# Speed and memory, side by side with what else there is: bench/run --help
EXTRA_DIST += bench/run bench/sqlserver.py bench/RESULTS.md
bench: all
	CROSSFADE_BUILD='$(abs_top_builddir)' $(srcdir)/bench/run
.PHONY: bench
if HAVE_FREETDS
EXTRA_PROGRAMS = bench/ms_fetch
bench_ms_fetch_SOURCES = bench/ms_fetch.c
bench_ms_fetch_LDADD = $(FREETDS_LIBS)
EXTRA_PROGRAMS += bench/ms_apply
bench_ms_apply_SOURCES = bench/ms_apply.c
bench_ms_apply_LDADD = libcrossfade.a $(LIBPQ_LIBS) $(CJSON_LIBS) $(SYSTEMD_LIBS) $(FREETDS_LIBS)
CLEANFILES += bench/ms_apply
CLEANFILES += bench/ms_fetch
bench: bench/ms_fetch
endif
