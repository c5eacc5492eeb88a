/* cmocka with what it needs, and strings of ours in assertions. */
#ifndef UNIT_CHECK_H
#define UNIT_CHECK_H

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* got is the text want. */
#define CHECK_STR(got, want) check_str((got), (want), __FILE__, __LINE__)
static inline void check_str(struct ar_str got, const char *want, const char *file, int line)
{
    if (!ar_str_is(got, ar_str_of(want))) {
        print_error("want \"%s\"\ngot  \"%.*s\"\n", want, AR_FMT(got));
        _fail(file, line);
    }
}
#define CHECK_OK(code) assert_int_equal((code), AR_OK)

#endif
