# files of man
dist_man_MANS += man/crossfade.1
