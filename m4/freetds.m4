dnl FreeTDS's db-lib, for SQL Server. It has no pkg-config file; --with-freetds=PREFIX names where it is.
AC_DEFUN([CF_FREETDS], [
  have_freetds=no
  FREETDS_CFLAGS=
  FREETDS_LIBS=
  AS_IF([test "x$with_freetds" != xno], [
    AS_CASE([$with_freetds], [/*], [
      FREETDS_CFLAGS="-I$with_freetds/include"
      FREETDS_LIBS="-L$with_freetds/lib -Wl,-rpath,$with_freetds/lib"
    ])
    cf_save_CPPFLAGS=$CPPFLAGS
    cf_save_LIBS=$LIBS
    CPPFLAGS="$FREETDS_CFLAGS $CPPFLAGS"
    LIBS="$FREETDS_LIBS $LIBS"
    # dbtablecolinfo and DBDATETIMEALL mean FreeTDS 1.0 or later, with TDS 7.4 and its date types.
    AC_CHECK_HEADERS([sybdb.h])
    AC_CHECK_TYPE([DBDATETIMEALL], [
      AC_CHECK_LIB([sybdb], [dbanydatecrack], [
        have_freetds=yes
        FREETDS_LIBS="$FREETDS_LIBS -lsybdb"
      ])
    ], [], [[
#include <sybfront.h>
#include <sybdb.h>
]])
    CPPFLAGS=$cf_save_CPPFLAGS
    LIBS=$cf_save_LIBS
    AS_IF([test "$have_freetds" = no && test -n "$with_freetds"],
      [AC_MSG_ERROR([FreeTDS 1.0 or later was asked for and is not there: install freetds-dev])])
  ])
  AS_IF([test "$have_freetds" = yes],
    [AC_DEFINE([HAVE_FREETDS], [1], [FreeTDS's db-lib is there])],
    [FREETDS_CFLAGS= FREETDS_LIBS=])
  AM_CONDITIONAL([HAVE_FREETDS], [test "$have_freetds" = yes])
  AC_SUBST([FREETDS_CFLAGS])
  AC_SUBST([FREETDS_LIBS])
])
