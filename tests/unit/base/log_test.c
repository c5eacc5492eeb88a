/*
 * The log: one line an event, values quoted so that none can forge a line or a pair.
 */
#include "check.h"

#include "base/log.h"
#include "json/scan.h"

#include <unistd.h>

static int pipes[2];

static struct ar_str read_line(char *text, size_t size)
{
    ssize_t n = read(pipes[0], text, size);
    assert_true(n > 0);
    return ar_str_n(text, (size_t)n);
}

static void test_logfmt(void **state)
{
    (void)state;
    char text[4096];
    ar_log_setup(AR_LOG_INFO, AR_LOG_LOGFMT, pipes[1]);
    assert_true(ar_log_is_on(AR_LOG_INFO));
    assert_false(ar_log_is_on(AR_LOG_DEBUG));
    struct ar_log_pair pairs[] = {{"plain", AR_LIT("a-b/c:1")},
                                  {"spaced", AR_LIT("two words")},
                                  {"evil", AR_LIT("x\nlevel=error \"q\" \\ k=v\x01")},
                                  {"absent", {NULL, 0}},
                                  {"empty", AR_LIT("")}};
    ar_log_line(AR_LOG_DEBUG, "hidden", pairs, 5);
    ar_log_line(AR_LOG_WARN, "it.happened", pairs, 5);
    struct ar_str line = read_line(text, sizeof text);
    assert_int_equal(ar_str_find_char(line, '\n'), line.n - 1); /* one line, whatever is in it */
    assert_true(ar_str_has_prefix(line, AR_LIT("time=20")));
    size_t at = ar_str_find(line, AR_LIT(" level="));
    CHECK_STR(ar_str_from(line, at),
              " level=warn event=it.happened plain=a-b/c:1 spaced=\"two words\" "
              "evil=\"x\\u000alevel=error \\\"q\\\" \\\\ k=v\\u0001\" empty=\"\"\n");
    ar_log_note(AR_LOG_INFO, "boot", "port %d", 80);
    line = read_line(text, sizeof text);
    assert_true(ar_str_has_suffix(line, AR_LIT(" note=\"port 80\"\n")));
}

static void test_json(void **state)
{
    (void)state;
    char text[4096];
    ar_log_setup(AR_LOG_DEBUG, AR_LOG_JSON, pipes[1]);
    struct ar_log_pair pairs[] = {{"k", AR_LIT("a \"b\"\n\\")}};
    ar_log_line(AR_LOG_DEBUG, "e", pairs, 1);
    struct ar_str line = read_line(text, sizeof text);
    struct ar_arena a;
    struct ar_jdoc doc;
    struct ar_str value;
    ar_arena_init(&a, 1 << 16);
    CHECK_OK(ar_json_parse(line, AR_JSON_DEPTH, &a, &doc, NULL));
    CHECK_OK(ar_json_text(ar_json_get_lit(ar_json_root(&doc), "k"), &a, &value, NULL));
    CHECK_STR(value, "a \"b\"\n\\");
    CHECK_STR(ar_json_esc(ar_json_get_lit(ar_json_root(&doc), "level")), "debug");
    ar_arena_done(&a);
}

/* A line has a limit; what does not fit is left out, the line is still one. */
static void test_long(void **state)
{
    (void)state;
    static char text[20000], value[12000];
    memset(value, 'v', sizeof value);
    ar_log_setup(AR_LOG_INFO, AR_LOG_LOGFMT, pipes[1]);
    struct ar_log_pair pairs[] = {
        {"a", AR_LIT("1")}, {"big", ar_str_n(value, sizeof value)}, {"b", AR_LIT("2")}};
    ar_log_line(AR_LOG_INFO, "e", pairs, 3);
    CHECK_STR(ar_str_trim(ar_str_from(read_line(text, sizeof text), 24 + 5)),
              "level=info event=e a=1 b=2");
    pairs[1].value.n = 8000;
    ar_log_line(AR_LOG_INFO, "e", pairs, 3);
    struct ar_str line = read_line(text, sizeof text);
    assert_in_range(line.n, 8000, 8192);
    assert_true(ar_str_has_suffix(line, AR_LIT(" b=2\n")));
}

static void test_levels(void **state)
{
    (void)state;
    enum ar_log_level level;
    CHECK_OK(ar_log_level_of(AR_LIT("warn"), &level));
    assert_int_equal(level, AR_LOG_WARN);
    CHECK_OK(ar_log_level_of(AR_LIT("off"), &level));
    assert_int_equal(ar_log_level_of(AR_LIT("WARN"), &level), AR_INVALID_REQUEST);
    assert_int_equal(ar_log_level_of(AR_LIT(""), &level), AR_INVALID_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logfmt), cmocka_unit_test(test_json),
                                       cmocka_unit_test(test_long), cmocka_unit_test(test_levels)};
    if (pipe(pipes) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
