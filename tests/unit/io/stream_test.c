/*
 * Streams over TCP and in memory: backpressure on both sides, ends, resets, closing at any moment,
 * buffers of an idle stream, passing to another owner.
 */
#include "io/peer.h"
#include "io/impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { BIG = 4 << 20 };
static char *big;
static struct ar_loop *the_loop;
static struct server srv;

static int setup(void **state)
{
    (void)state;
    memset(&srv, 0, sizeof srv);
    the_loop = ar_loop_new();
    big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++) {
        big[i] = (char)(i * 131 + (i >> 9));
    }
    return the_loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    if (srv.listener) {
        server_stop(&srv);
    }
    ar_loop_free(the_loop);
    free(big);
    return 0;
}

/* A client of srv, and the server's end of it. */
static struct peer *connect_peer(struct peer **ret_other)
{
    struct ar_err err = {0};
    unsigned before = srv.n;
    struct ar_stream *s =
        dial_port(the_loop, "127.0.0.1", ar_listener_port(srv.listener), NULL, &err);
    assert_non_null(s);
    assert_true(wait_until(the_loop, server_has_peer, &srv, 1000));
    while (srv.n == before) {
        run_for(the_loop, 2);
    }
    *ret_other = srv.peers[srv.n - 1];
    return peer_new(s);
}

static void bytes_are_echoed_over_tcp(void **state)
{
    (void)state;
    struct peer *other;
    srv.echo = true;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    struct peer *p = connect_peer(&other);
    assert_true(ar_str_is_lit(ar_stream_peer(other->s), "127.0.0.1"));
    p->shut_after = true;
    peer_send(p, big, BIG);
    other->shut_after = false;
    while (p->in.n < BIG) {
        run_for(the_loop, 5);
        assert_false(p->failed);
    }
    assert_memory_equal(p->in.p, big, BIG);
    run_for(the_loop, 5);
    assert_true(other->ended);
    peer_free(p);
}

static void a_slow_reader_stops_the_writer(void **state)
{
    (void)state;
    struct peer *other;
    srv.lazy = true;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    struct peer *p = connect_peer(&other);
    p->shut_after = true;
    char *huge = malloc(4 * (size_t)BIG); /* more than the kernel takes */
    for (size_t i = 0; i < 4; i++) {
        memcpy(huge + i * (size_t)BIG, big, BIG);
    }
    peer_send(p, huge, 4 * (size_t)BIG);
    run_for(the_loop, 50);
    size_t left = p->out_n;
    assert_true(left > 0);
    run_for(the_loop, 30);
    assert_int_equal(p->out_n, left);
    assert_true(ar_stream_room(p->s) <= AR_STREAM_LOW);
    assert_false(ar_stream_is_flushed(p->s));
    int64_t stalled_ms = ar_loop_now_ms(the_loop) - ar_stream_moved_ms(p->s, true);
    assert_true(stalled_ms >= 25);
    struct ar_str in;
    assert_int_equal(ar_stream_peek(other->s, &in, NULL), AR_READY);
    assert_int_equal(in.n, AR_STREAM_BUF);
    other->lazy = false;
    peer_step(other);
    assert_true(wait_until(the_loop, peer_has_ended, other, 4000));
    assert_true(other->ended);
    assert_int_equal(other->in.n, 4 * (size_t)BIG);
    assert_memory_equal(other->in.p, huge, 4 * (size_t)BIG);
    free(huge);
    peer_free(p);
}

static void a_full_buffer_eaten_in_part_is_filled_again(void **state)
{
    (void)state;
    struct peer *other;
    struct ar_str in;
    srv.lazy = true;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    struct peer *p = connect_peer(&other);
    peer_send(p, big, 3 * AR_STREAM_BUF);
    run_for(the_loop, 20);
    size_t at = 0;
    for (int i = 0; i < 200; i++) {
        assert_int_equal(ar_stream_peek(other->s, &in, NULL), AR_READY);
        assert_memory_equal(in.p, big + at, in.n);
        ar_stream_eat(other->s, 100);
        at += 100;
        if (i % 20 == 0) {
            run_for(the_loop, 3);
            assert_int_equal(ar_stream_peek(other->s, &in, NULL), AR_READY); /* makes room */
            run_for(the_loop, 3);
            assert_int_equal(ar_stream_peek(other->s, &in, NULL), AR_READY);
            assert_int_equal(in.n, AR_STREAM_BUF);
        }
    }
    peer_free(p);
}

static void an_idle_stream_holds_no_buffer(void **state)
{
    (void)state;
    struct peer *other;
    srv.echo = true;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    struct peer *p = connect_peer(&other);
    peer_send(p, "hello", 5);
    run_for(the_loop, 10);
    assert_int_equal(p->in.n, 5);
    assert_null(p->s->rbuf);
    assert_null(p->s->wbuf);
    assert_null(other->s->rbuf);
    assert_null(other->s->wbuf);
    peer_free(p);
}

static void an_idle_stream_notices_the_end(void **state)
{
    (void)state;
    struct peer *other;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    struct peer *p = connect_peer(&other);
    assert_false(ar_stream_is_dead(p->s));
    ar_stream_set_waker(p->s, NULL); /* as in a pool */
    ar_stream_close(other->s);
    other->s = NULL;
    run_for(the_loop, 10);
    assert_true(ar_stream_is_dead(p->s));
    assert_int_equal(p->wakes, 0);
    ar_stream_set_waker(p->s, &p->waker); /* and the new owner is told */
    run_for(the_loop, 10);
    assert_true(p->ended);
    peer_free(p);
}

static void unsent_bytes_at_close_are_a_reset(void **state)
{
    (void)state;
    struct peer *other;
    srv.lazy = true;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    struct peer *p = connect_peer(&other);
    struct ar_str parts[] = {{big, 100}};
    assert_int_equal(ar_stream_write(p->s, parts, 1), 100);
    ar_stream_close(p->s); /* not flushed */
    p->s = NULL;
    other->lazy = false;
    assert_true(wait_until(the_loop, peer_has_ended, other, 1000));
    assert_true(other->failed);
    assert_int_equal(other->err.code, AR_CLIENT_CLOSED);
    assert_int_equal(other->in.n, 0);
    assert_true(ar_stream_is_dead(other->s));
    assert_int_equal(ar_stream_write(other->s, parts, 1), 100); /* taken and dropped */
    peer_free(p);
}

static void shut_and_close_still_delivers_everything(void **state)
{
    (void)state;
    struct peer *other;
    srv.lazy = true;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    struct peer *p = connect_peer(&other);
    size_t n = 0;
    for (size_t k = 1; k > 0; n += k) { /* until kernel and buffer are full */
        struct ar_str part = {big + n % BIG, 30000};
        part.n = part.n < BIG - n % BIG ? part.n : BIG - n % BIG;
        k = ar_stream_write(p->s, &part, 1);
    }
    ar_stream_shut(p->s);
    ar_stream_close(p->s);
    p->s = NULL;
    run_for(the_loop, 20);
    other->lazy = false;
    peer_step(other);
    assert_true(wait_until(the_loop, peer_has_ended, other, 2000));
    assert_true(other->ended);
    assert_int_equal(other->in.n, n);
    peer_free(p);
}

static void a_reset_fails_after_what_came_is_eaten(void **state)
{
    (void)state;
    struct peer *other;
    srv.lazy = true;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    struct peer *p = connect_peer(&other);
    struct ar_str part = {"abc", 3};
    (void)ar_stream_write(p->s, &part, 1);
    ar_stream_flush(p->s);
    run_for(the_loop, 10);
    (void)ar_stream_write(p->s, &part, 1);
    ar_stream_close(p->s);
    p->s = NULL;
    run_for(the_loop, 10);
    other->lazy = false;
    peer_step(other);
    assert_int_equal(other->in.n, 3);
    assert_true(other->failed);
    peer_free(p);
}

static void close_me(struct ar_waker *w)
{
    struct peer *p = AR_HOLDER(w, struct peer, waker);
    p->wakes++;
    ar_stream_close(p->s);
    p->s = NULL;
}

static void a_stream_may_be_closed_in_its_wake(void **state)
{
    (void)state;
    struct peer *other;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    struct peer *p = connect_peer(&other);
    p->waker.wake = close_me;
    peer_send(other, big, BIG);
    run_for(the_loop, 20);
    assert_null(p->s);
    assert_int_equal(p->wakes, 1);
    run_for(the_loop, 20);
    assert_true(other->failed || other->ended);
    peer_free(p);
}

static void a_closed_stream_wakes_nobody(void **state)
{
    (void)state;
    struct peer *other;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    struct peer *p = connect_peer(&other);
    peer_send(other, "x", 1);
    ar_stream_flush(other->s);
    p->s->in_ms = 0;
    while (p->s->wake.node.next == NULL && p->wakes == 0) { /* until its wake is queued or ran */
        run_for(the_loop, 1);
    }
    unsigned wakes = p->wakes;
    ar_stream_wake(p->s);
    ar_stream_close(p->s);
    p->s = NULL;
    run_for(the_loop, 10);
    assert_int_equal(p->wakes, wakes);
    peer_free(p);
}

static void flushed_is_told(void **state)
{
    (void)state;
    struct peer *other;
    srv.lazy = true;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    struct peer *p = connect_peer(&other);
    while (p->out_n == 0) {
        peer_send(p, big, BIG);
    }
    p->out_n = 0;
    unsigned wakes = p->wakes;
    assert_false(ar_stream_is_flushed(p->s));
    p->s->want_room = false; /* no other reason to wake */
    other->lazy = false;
    peer_step(other);
    for (int i = 0; i < 500 && p->wakes == wakes; i++) {
        run_for(the_loop, 4);
    }
    assert_true(p->wakes > wakes);
    assert_true(ar_stream_is_flushed(p->s));
    peer_free(p);
}

/* --- in memory
 * ------------------------------------------------------------------------------------------- */

static void a_pair_holds_two_buffers_and_no_more(void **state)
{
    (void)state;
    struct ar_stream *s[2];
    ar_stream_pair(the_loop, s);
    struct peer *a = peer_new(s[0]), *b = peer_new(s[1]);
    b->lazy = true;
    a->shut_after = true;
    peer_send(a, big, BIG);
    run_for(the_loop, 10);
    assert_int_equal(BIG - a->out_n, 2 * AR_STREAM_BUF);
    b->lazy = false;
    peer_step(b);
    assert_true(wait_until(the_loop, peer_has_ended, b, 1000));
    assert_true(b->ended);
    assert_int_equal(b->in.n, BIG);
    assert_memory_equal(b->in.p, big, BIG);
    peer_free(a);
    peer_free(b);
}

static void a_pair_resets_and_ends_like_a_socket(void **state)
{
    (void)state;
    struct ar_stream *s[2];
    ar_stream_pair(the_loop, s);
    struct peer *a = peer_new(s[0]), *b = peer_new(s[1]);
    struct ar_str part = {"abc", 3};
    (void)ar_stream_write(a->s, &part, 1);
    ar_stream_close(a->s);
    a->s = NULL;
    run_for(the_loop, 5);
    assert_true(b->failed);
    peer_free(a);
    peer_free(b);
    ar_stream_pair(the_loop, s);
    a = peer_new(s[0]);
    b = peer_new(s[1]);
    b->lazy = true;
    size_t n = 0;
    while (n < 30000) {
        part = ar_str_n(big + n, 30000 - n);
        n += ar_stream_write(a->s, &part, 1);
    }
    ar_stream_shut(a->s);
    ar_stream_close(a->s);
    a->s = NULL;
    run_for(the_loop, 5);
    b->lazy = false;
    peer_step(b);
    run_for(the_loop, 5);
    assert_true(b->ended);
    assert_int_equal(b->in.n, 30000);
    peer_free(a);
    peer_free(b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(bytes_are_echoed_over_tcp),
        T(a_slow_reader_stops_the_writer),
        T(a_full_buffer_eaten_in_part_is_filled_again),
        T(an_idle_stream_holds_no_buffer),
        T(an_idle_stream_notices_the_end),
        T(unsent_bytes_at_close_are_a_reset),
        T(shut_and_close_still_delivers_everything),
        T(a_reset_fails_after_what_came_is_eaten),
        T(a_stream_may_be_closed_in_its_wake),
        T(a_closed_stream_wakes_nobody),
        T(flushed_is_told),
        T(a_pair_holds_two_buffers_and_no_more),
        T(a_pair_resets_and_ends_like_a_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
