# Samples, systemd units, SQL for administrators
EXTRA_DIST += conf/crossfade-replicator@.service.in
systemdunitdir = $(prefix)/lib/systemd/system
systemdunit_DATA = conf/crossfade-replicator@.service
CLEANFILES += conf/crossfade-replicator@.service

conf/crossfade-replicator@.service: conf/crossfade-replicator@.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) conf && sed 's|@sbindir[@]|$(sbindir)|g' '$(srcdir)/conf/crossfade-replicator@.service.in' >'$@.new' && mv '$@.new' '$@'
dist_pkgdata_DATA = conf/roles-source.sql conf/roles-sqlserver.sql conf/roles-target.sql
dist_doc_DATA = conf/minimal.json conf/sample.json conf/sqlserver.json
