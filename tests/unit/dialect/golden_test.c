/*
 * Runs every directory of tests/golden/<dialect>/ as a test of its own (its README.md says what a
 * case is). Arguments: parts of paths; only cases that contain one are run.
 */
#include "dialect/golden_case.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { CASES_MAX = 1000 };

#ifndef AR_TESTS_DIR
/* tests/ as the compiler was given this file. */
static const char *tests_dir(void)
{
    static char dir[400];
    const char *end = strstr(__FILE__, "unit/dialect/golden_test.c");
    (void)snprintf(dir, sizeof dir, "%.*s", end ? (int)(end - __FILE__) : 0, __FILE__);
    return dir;
}
#else
static const char *tests_dir(void)
{
    return AR_TESTS_DIR "/";
}
#endif

struct one {
    char dir[1024];
    const struct ar_dialect *own;
};

static void run(void **state)
{
    const struct one *one = *state;
    struct golden g = {.dir = one->dir, .own = one->own};
    ar_arena_init(&g.a, 1 << 30);
    if (golden_has(&g, "upstream.json") || golden_has(&g, "upstream.sse")) {
        golden_answer(&g);
    } else if (golden_has(&g, "client.json")) {
        golden_request(&g);
    } else {
        golden_bad(&g, "neither client.json nor upstream.json nor upstream.sse");
    }
    if (g.expected == 0) {
        golden_bad(&g, "the case expects nothing");
    }
    unsigned bad = g.bad;
    ar_arena_done(&g.a);
    if (bad > 0) {
        fail_msg("%s: %u differences", one->dir, bad);
    }
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct one *)a)->dir, ((const struct one *)b)->dir);
}

static bool is_wanted(const char *dir, int argc, char **argv)
{
    bool wanted = argc < 2;
    for (int i = 1; i < argc; i++) {
        wanted = wanted || strstr(dir, argv[i]) != NULL;
    }
    return wanted;
}

/* Adds the cases of one dialect's folder. */
static size_t add_cases(const struct ar_dialect *d, struct one *cases, size_t n, int argc,
                        char **argv)
{
    char folder[512];
    (void)snprintf(folder, sizeof folder, "%sgolden/%s", tests_dir(), d->name);
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL && n < CASES_MAX;) {
        if (e->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(cases[n].dir, sizeof cases[n].dir, "%s/%s", folder, e->d_name);
        cases[n].own = d;
        n += is_wanted(cases[n].dir, argc, argv);
    }
    if (dir) {
        (void)closedir(dir);
    }
    return n;
}

int main(int argc, char **argv)
{
    struct one *cases = calloc(CASES_MAX, sizeof *cases);
    struct CMUnitTest *tests = calloc(CASES_MAX, sizeof *tests);
    size_t n = 0;
    for (unsigned i = 0; i < AR_DIALECT_COUNT; i++) {
        n = add_cases(ar_dialect_by_id(i), cases, n, argc, argv);
    }
    qsort(cases, n, sizeof *cases, by_path);
    for (size_t i = 0; i < n; i++) {
        tests[i] = (struct CMUnitTest){
            .name = strstr(cases[i].dir, "golden/"), .test_func = run, .initial_state = &cases[i]};
    }
    int failed = n > 0 ? _cmocka_run_group_tests("golden", tests, n, NULL, NULL) : 1;
    if (n == 0) {
        printf("no golden cases in %sgolden\n", tests_dir());
    }
    free(tests);
    free(cases);
    return failed;
}
