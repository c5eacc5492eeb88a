/*
 * Arguments of commands, and the commands that need no gateway: exit codes, what goes to standard
 * output and what to standard error.
 */
#include "check.h"

#include "cli/command.h"
#include "json/scan.h"

#include <unistd.h>

enum { WORDS_MAX = 8, OUT_MAX = 65536 };

struct said {
    int code;
    char out[OUT_MAX], err[OUT_MAX];
};

/* Catches a descriptor in a file; give it back with uncatch. */
static int catch_fd(int fd, FILE **ret_file)
{
    (void)fflush(NULL);
    *ret_file = tmpfile();
    assert_non_null(*ret_file);
    int kept = dup(fd);
    assert_true(kept >= 0 && dup2(fileno(*ret_file), fd) == fd);
    return kept;
}

static void uncatch(int fd, int kept, FILE *file, char *ret)
{
    (void)fflush(NULL);
    assert_int_equal(dup2(kept, fd), fd);
    (void)close(kept);
    rewind(file);
    ret[fread(ret, 1, OUT_MAX - 1, file)] = '\0';
    (void)fclose(file);
}

/* Runs a command with words separated by blanks. */
static struct said *run(const struct ar_command *c, const char *words)
{
    static struct said s;
    static char text[512];
    char *argv[WORDS_MAX];
    int argc = 0;
    FILE *out, *err;
    (void)snprintf(text, sizeof text, "%s", words);
    for (char *w = strtok(text, " "); w && argc < WORDS_MAX; w = strtok(NULL, " ")) {
        argv[argc++] = w;
    }
    int kept_out = catch_fd(1, &out), kept_err = catch_fd(2, &err);
    s.code = c->run((struct ar_args){argc, argv});
    uncatch(1, kept_out, out, s.out);
    uncatch(2, kept_err, err, s.err);
    return &s;
}

static void put_file(char *ret_path, size_t n, const char *text)
{
    (void)snprintf(ret_path, n, "%s/cli.XXXXXX", P_tmpdir);
    int fd = mkstemp(ret_path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static void test_options_with_values(void **state)
{
    (void)state;
    char a[] = "--config", b[] = "x", c[] = "--config=y", d[] = "--configs", e[] = "--config=";
    char *argv[] = {a, b, c, d, e, a};
    struct ar_args args = {6, argv};
    int i = 0;
    assert_string_equal(ar_args_value(args, &i, "--config"), "x");
    assert_int_equal(i, 1);
    i = 2;
    assert_string_equal(ar_args_value(args, &i, "--config"), "y");
    assert_int_equal(i, 2);
    i = 3;
    assert_null(ar_args_value(args, &i, "--config"));
    i = 4;
    assert_string_equal(ar_args_value(args, &i, "--config"), "");
    assert_true(ar_args_flag(args, 1, "x"));
    assert_false(ar_args_flag(args, 2, "--config"));
}

static void test_config_check(void **state)
{
    (void)state;
    char good[64], bad[64], words[160];
    put_file(good, sizeof good,
             "upstreams: [{name: one, provider: openai, keys: [canary-1]}, {provider: echo}]\n");
    put_file(bad, sizeof bad, "# a\nmax_atempts: 3\n");
    (void)snprintf(words, sizeof words, "check --config %s", good);
    struct said *s = run(&ar_command_config, words);
    assert_int_equal(s->code, 0);
    assert_non_null(strstr(s->out, "2 upstreams"));
    assert_null(strstr(s->out, "canary"));
    (void)snprintf(words, sizeof words, "check --json --config=%s", good);
    s = run(&ar_command_config, words);
    assert_string_equal(s->out, "{\"ok\":true,\"upstreams\":2}\n");
    (void)snprintf(words, sizeof words, "check --config %s", bad);
    s = run(&ar_command_config, words);
    assert_int_equal(s->code, 1);
    assert_string_equal(s->out, "");
    assert_non_null(strstr(s->err, ":2: unknown option max_atempts; did you mean max_attempts?"));
    (void)snprintf(words, sizeof words, "show --sources --config %s", good);
    s = run(&ar_command_config, words);
    assert_int_equal(s->code, 0);
    assert_non_null(strstr(s->out, "keys: ***"));
    assert_null(strstr(s->out, "canary"));
    (void)snprintf(words, sizeof words, "show --json --config %s", good);
    s = run(&ar_command_config, words);
    struct ar_arena a;
    struct ar_jdoc doc;
    ar_arena_init(&a, 1 << 20);
    CHECK_OK(ar_json_parse(ar_str_of(s->out), AR_JSON_DEPTH, &a, &doc, NULL));
    ar_arena_done(&a);
    (void)snprintf(words, sizeof words, "path --config %s", good);
    assert_int_equal(strncmp(run(&ar_command_config, words)->out, good, strlen(good)), 0);
    (void)unlink(good);
    (void)unlink(bad);
}

/* INTERFACE 6: usage is 2, one line on standard error with the next command to try. */
static void test_wrong_usage(void **state)
{
    (void)state;
    static const struct {
        const struct ar_command *c;
        const char *words;
    } CASES[] = {{&ar_command_config, ""},
                 {&ar_command_config, "frobnicate"},
                 {&ar_command_config, "show --frobnicate"},
                 {&ar_command_config, "show twice"},
                 {&ar_command_config, "check --config"},
                 {&ar_command_config, "check --config="},
                 {&ar_command_models, "--frobnicate"},
                 {&ar_command_version, "--frobnicate"}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const struct said *s = run(CASES[i].c, CASES[i].words);
        if (s->code != 2) {
            print_error("%s %s: %d %s\n", CASES[i].c->name, CASES[i].words, s->code, s->err);
        }
        assert_int_equal(s->code, 2);
        assert_string_equal(s->out, "");
        assert_non_null(strstr(s->err, "try: anyrouter "));
        assert_ptr_equal(strchr(s->err, '\n'), s->err + strlen(s->err) - 1);
    }
}

static void test_help(void **state)
{
    (void)state;
    static const struct ar_command *const ALL[] = {&ar_command_config, &ar_command_models,
                                                   &ar_command_version};
    for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++) {
        const struct said *s = run(ALL[i], "--help");
        assert_int_equal(s->code, 0);
        assert_non_null(strstr(s->out, ALL[i]->usage));
        assert_string_equal(s->err, "");
    }
}

static void test_version(void **state)
{
    (void)state;
    const struct said *s = run(&ar_command_version, "");
    assert_int_equal(s->code, 0);
    assert_non_null(strstr(s->out, AR_VERSION));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_with_values),
        cmocka_unit_test(test_config_check),
        cmocka_unit_test(test_wrong_usage),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
