/*
 * A watched file: written, replaced, removed, made again; silence otherwise.
 */
#include "io/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/ar-watch-XXXXXX";
static char path[64], other[64];
static int changes;

static void on_change(void *arg)
{
    assert_ptr_equal(arg, &changes);
    changes++;
}

static void put(const char *where, const char *text)
{
    FILE *f = fopen(where, "w");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static bool has_changed(void *arg)
{
    return changes == *(int *)arg;
}

static void every_kind_of_change_is_seen(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/conf", dir);
    (void)snprintf(other, sizeof other, "%s/conf.new", dir);
    struct ar_loop *l = ar_loop_new();
    put(path, "one");
    struct ar_watch *w = ar_watch_new(l, path, on_change, &changes);
    int n = 1;
    put(path, "two!");
    assert_true(wait_until(l, has_changed, &n, 1000));
    put(other, "two!");
    assert_int_equal(rename(other, path), 0);
    n = 2;
    assert_true(wait_until(l, has_changed, &n, 1000));
    assert_int_equal(unlink(path), 0);
    n = 3;
    assert_true(wait_until(l, has_changed, &n, 1000));
    run_for(l, 450);
    assert_int_equal(changes, 3); /* nothing happened */
    put(path, "three");
    n = 4;
    assert_true(wait_until(l, has_changed, &n, 1000));
    put(path, "four four");
    ar_watch_free(w);
    run_for(l, 450);
    assert_int_equal(changes, 4);
    w = ar_watch_new(l, path, on_change, &changes);
    run_for(l, 401); /* maybe while it asks */
    ar_watch_free(w);
    ar_loop_free(l);
    (void)unlink(path);
    (void)rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_kind_of_change_is_seen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
