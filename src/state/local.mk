libcrossfade_a_SOURCES += \
	src/state/lease.c src/state/lease.h \
	src/state/mirror.c src/state/mirror.h \
	src/state/schema.c src/state/schema.h \
	src/state/store.c src/state/store.h \
	src/state/wish.c src/state/wish.h
nodist_libcrossfade_a_SOURCES = src/state/schema_sql.h
BUILT_SOURCES += src/state/schema_sql.h
CLEANFILES += src/state/schema_sql.h
EXTRA_DIST += src/state/schema.sql

# The script as one string literal, a line a line.
src/state/schema_sql.h: src/state/schema.sql
	@$(MKDIR_P) src/state
	$(AM_V_GEN)awk 'BEGIN { print "static const char schema_sql_text[] =" } \
	  { gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); print "    \"" $$0 "\\n\"" } \
	  END { print "    ;" }' $(top_srcdir)/src/state/schema.sql > $@.tmp && mv $@.tmp $@
src/state/schema.$(OBJEXT): src/state/schema_sql.h
