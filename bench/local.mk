# Speed and memory, side by side with what else there is: bench/run --help
EXTRA_DIST += bench/run
bench: all
	CROSSFADE_BUILD='$(abs_top_builddir)' $(srcdir)/bench/run
.PHONY: bench
