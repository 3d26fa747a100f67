# files of man
dist_man_MANS += man/crossfade.1 man/crossfade-replicator.8
dist_man_MANS += man/crossfade.conf.5
dist_man_MANS += man/crossfade-capture.7
dist_man_MANS += man/crossfade-types.7
