# CF_WARNINGS: puts into CF_WARNFLAGS the warnings of the house that this compiler knows.
AC_DEFUN([CF_TRY_CFLAG], [
  AC_CACHE_CHECK([whether $CC takes $1], [AS_TR_SH([cf_cv_flag_$1])], [
    save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $1"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])], [AS_TR_SH([cf_cv_flag_$1])=yes], [AS_TR_SH([cf_cv_flag_$1])=no])
    CFLAGS=$save_CFLAGS])
  AS_IF([test "$AS_TR_SH([cf_cv_flag_$1])" = yes], [$2="$$2 $1"])
])
AC_DEFUN([CF_WARNINGS], [
  CF_WARNFLAGS=
  m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wvla -Wundef -Wcast-qual -Wwrite-strings
    -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum],
    [CF_TRY_CFLAG(flag, [CF_WARNFLAGS])])
  AS_IF([test "x$enable_werror" = xyes], [CF_WARNFLAGS="$CF_WARNFLAGS -Werror"])
])
AC_DEFUN([CF_HARDENING], [
  CF_CFLAGS="-std=c17 -D_GNU_SOURCE -pthread"
  CF_LDFLAGS="-pthread"
  m4_foreach_w([flag], [-fstack-protector-strong -fstack-clash-protection -fPIE], [CF_TRY_CFLAG(flag, [CF_CFLAGS])])
  AS_IF([test "x$enable_sanitizers" = x || test "x$enable_sanitizers" = xno],
    [CF_CFLAGS="$CF_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
  CF_LDFLAGS="$CF_LDFLAGS -pie -Wl,-z,relro -Wl,-z,now"
])
