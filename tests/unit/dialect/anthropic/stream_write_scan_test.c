/* The scanner that tells when a call's JSON is complete, at every split (P-161). */
#include "dialect/anthropic/stream_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* esc: JSON text as it stands inside a JSON string. ends: how many bytes make it complete; 0:
 * never. */
static void check(const char *esc, size_t ends)
{
    size_t n = strlen(esc);
    for (size_t cut = 0; cut <= n; cut++) {
        struct ar_anthropic_scan s = {0};
        ar_anthropic_scan_put(&s, ar_str_n(esc, cut));
        if (cut < ends || ends == 0) {
            assert_false(s.complete);
        } else if (cut == ends) {
            assert_true(s.complete);
        }
        ar_anthropic_scan_put(&s, ar_str_n(esc + cut, n - cut));
        assert_int_equal(s.complete, ends > 0);
    }
}

static void complete_at_the_last_bracket(void **state)
{
    (void)state;
    check("{}", 2);
    check("{\\\"a\\\":[1,{\\\"b\\\":\\\"}\\\"}]} ",
          sizeof("{\\\"a\\\":[1,{\\\"b\\\":\\\"}\\\"}]}") - 1);
    check("{\\\"a\\\":\\\"\\\\\\\"}\\\"}",
          sizeof("{\\\"a\\\":\\\"\\\\\\\"}\\\"}") - 1); /* {"a":"\"}"} */
    check("{\\u0022a\\u0022:\\u0022}\\u0022\\u007d",
          sizeof("{\\u0022a\\u0022:\\u0022}\\u0022\\u007d") - 1);
    check("{\\n\\\"a\\\": \\\"\\\\u007d\\\"}", sizeof("{\\n\\\"a\\\": \\\"\\\\u007d\\\"}") - 1);
    check("\\\"text\\\"", 8);
}

static void never_complete(void **state)
{
    (void)state;
    check("{\\\"a\\\":1", 0);
    check("12", 0);
    check("null", 0);
    check("", 0);
    check("[\\\"]", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_at_the_last_bracket),
        cmocka_unit_test(never_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
