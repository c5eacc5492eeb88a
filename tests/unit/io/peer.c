/*
 * Peers, servers and waiting for the tests of streams.
 */
#include "io/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

void peer_step(struct peer *p)
{
    struct ar_str in;
    while (p->out_n > 0) {
        struct ar_str part = {p->out, p->out_n};
        size_t n = ar_stream_write(p->s, &part, 1);
        p->out += n;
        p->out_n -= n;
        if (n < part.n) {
            break;
        }
    }
    if (p->out_n == 0 && p->shut_after) {
        p->shut_after = false;
        ar_stream_shut(p->s);
    }
    while (!p->lazy) {
        enum ar_poll is = ar_stream_peek(p->s, &in, &p->err);
        if (is != AR_READY) {
            p->ended = is == AR_ENDED;
            p->failed = is == AR_FAILED;
            break;
        }
        size_t n = p->echo ? ar_stream_write(p->s, &in, 1) : in.n;
        ar_buf_put(&p->in, in.p, n);
        ar_stream_eat(p->s, n);
        if (n < in.n) {
            break;
        }
    }
}

static void on_wake(struct ar_waker *w)
{
    struct peer *p = AR_HOLDER(w, struct peer, waker);
    p->wakes++;
    peer_step(p);
}

struct peer *peer_new(struct ar_stream *s)
{
    struct peer *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->waker.wake = on_wake;
    p->s = s;
    ar_buf_init(&p->in, 64u << 20);
    ar_stream_set_waker(s, &p->waker);
    return p;
}

void peer_send(struct peer *p, const char *bytes, size_t n)
{
    p->out = bytes;
    p->out_n = n;
    peer_step(p);
}

void peer_free(struct peer *p)
{
    if (p->s) {
        ar_stream_close(p->s);
    }
    ar_buf_done(&p->in);
    free(p);
}

static void on_accept(void *user, struct ar_stream *s)
{
    struct server *v = user;
    assert_true(v->n < 64);
    struct peer *p = peer_new(s);
    p->echo = v->echo;
    p->lazy = v->lazy;
    v->peers[v->n++] = p;
    if (v->on_peer) {
        v->on_peer(p);
    }
}

void server_start(struct server *v, struct ar_loop *l, const char *host, struct ar_tls *tls)
{
    struct ar_err err = {0};
    struct ar_listen_spec spec = {
        .host = ar_str_of(host), .tls = tls, .on_accept = on_accept, .user = v};
    v->listener = ar_listen(l, &spec, &err);
    if (!v->listener) {
        fail_msg("listen: %s", err.note);
    }
}

void server_stop(struct server *v)
{
    ar_listener_close(v->listener);
    for (unsigned i = 0; i < v->n; i++) {
        peer_free(v->peers[i]);
    }
    v->n = 0;
}

struct waiting {
    struct ar_timer timer;
    struct ar_loop *l;
    bool (*test)(void *arg);
    void *arg;
    int64_t until_ms;
    int turns; /* at least: the clock runs on when the machine is busy, the loop does not */
    bool met;
};

static void on_tick(struct ar_timer *t)
{
    struct waiting *w = AR_HOLDER(t, struct waiting, timer);
    w->met = w->test && w->test(w->arg);
    if (w->met || (--w->turns <= 0 && ar_loop_now_ms(w->l) >= w->until_ms)) {
        ar_loop_stop(w->l);
    } else {
        ar_timer_set(w->l, t, ar_loop_now_ms(w->l) + 1);
    }
}

bool peer_has_ended(void *peer)
{
    const struct peer *p = peer;
    return p->ended || p->failed;
}

bool server_has_peer(void *server)
{
    return ((const struct server *)server)->n > 0;
}

bool wait_until(struct ar_loop *l, bool (*test)(void *arg), void *arg, int ms)
{
    struct waiting w = {.timer.fire = on_tick, .l = l, .test = test, .arg = arg};
    w.until_ms = ar_loop_now_ms(l) + ms;
    w.turns = ms < 60 ? ms : 60;
    ar_timer_set(l, &w.timer, ar_loop_now_ms(l));
    ar_loop_run(l);
    ar_timer_clear(l, &w.timer);
    return w.met;
}

void run_for(struct ar_loop *l, int ms)
{
    (void)wait_until(l, NULL, NULL, ms);
}

struct dialling {
    struct ar_waker waker;
    bool woken;
};

static void on_dial(struct ar_waker *w)
{
    AR_HOLDER(w, struct dialling, waker)->woken = true;
}

static bool is_woken(void *arg)
{
    return ((struct dialling *)arg)->woken;
}

struct ar_stream *dial(struct ar_loop *l, const struct ar_dial_spec *spec, struct ar_err *err)
{
    struct dialling g = {.waker.wake = on_dial};
    struct ar_dial_spec mine = *spec;
    struct ar_stream *s = NULL;
    mine.waker = &g.waker;
    struct ar_dial *d = ar_dial_start(l, &mine);
    assert_true(wait_until(l, is_woken, &g, 4000));
    enum ar_poll is = ar_dial_poll(d, &s, err);
    assert_true(is == AR_READY || is == AR_FAILED);
    ar_dial_close(d);
    return is == AR_READY ? s : NULL;
}

struct ar_stream *dial_port(struct ar_loop *l, const char *host, uint16_t port, struct ar_tls *tls,
                            struct ar_err *err)
{
    struct ar_dial_spec spec = {.host = ar_str_of(host), .port = port, .tls = tls};
    return dial(l, &spec, err);
}
