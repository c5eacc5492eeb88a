/*
 * TCP under a stream: libuv's handle, reads into the stream's buffer, writes by uv_try_write.
 *
 * One system call per readable event: libuv stops after a read that did not fill what it was given.
 * Reading is not stopped when the buffer fills but when the kernel offers bytes to a full buffer a
 * second time: whoever eats quickly costs no change to epoll. A write that the kernel does not take
 * becomes one uv_write of what is buffered.
 *
 * Closing: a stream that was shut lingers without its owner until its last bytes and the peer's
 * FIN, within bounds; one with unsent bytes resets. The memory is freed in libuv's close callback
 * and nowhere else.
 */
#include "io/impl.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ar_tcp *tcp_of(struct ar_stream *s)
{
    return AR_HOLDER(s, struct ar_tcp, s);
}

static void on_closed(uv_handle_t *h)
{
    struct ar_tcp *t = h->data;
    ar_tls_detach(t);
    ar_stream_done(&t->s);
    free(t->out);
    free(t);
}

/* No callback but on_closed comes after this. */
static void close_now(struct ar_tcp *t, bool reset)
{
    ar_timer_clear(t->s.loop, &t->linger);
    ar_list_remove(&t->s.dirty);
    if (uv_is_closing((uv_handle_t *)&t->uv)) {
        return;
    }
    if (!reset || uv_tcp_close_reset(&t->uv, on_closed) != 0) {
        uv_close((uv_handle_t *)&t->uv, on_closed);
    }
}

static bool is_over(const struct ar_tcp *t)
{
    return (t->s.fin && t->s.eof) || t->s.in_failed || t->s.out_failed;
}

/* --- reading
 * ------------------------------------------------------------------------------------------------
 */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    struct ar_tcp *t = h->data;
    size_t room = 0;
    (void)suggested;
    ret->base = NULL;
    if (!t->link || t->s.closed) {
        ret->base = ar_stream_space(&t->s, &room);
    } else if (ar_tls_wants(t)) {
        ret->base = ar_slab_get(t->s.loop);
        room = AR_STREAM_BUF;
    }
    ret->len = ret->base ? room : 0;
}

static void stop_reading(struct ar_tcp *t)
{
    t->reading = false;
    (void)uv_read_stop((uv_stream_t *)&t->uv);
}

static void on_full(struct ar_tcp *t)
{
    if (t->full_seen) {
        stop_reading(t);
    }
    t->full_seen = true;
    ar_stream_full(&t->s);
}

static void on_end(struct ar_tcp *t, ssize_t status, char *base)
{
    bool plain = !t->link || t->s.closed;
    stop_reading(t);
    if (!plain && base) {
        ar_slab_put(t->s.loop, base);
    }
    if (status != UV_EOF) {
        ar_stream_fail_in(&t->s, AR_CLIENT_CLOSED, (int)status, NULL);
    } else if (plain) {
        ar_stream_ended(&t->s);
    } else {
        ar_tls_feed(t, NULL, 0);
    }
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
    struct ar_tcp *t = h->data;
    if (n == UV_ENOBUFS) {
        on_full(t);
        return;
    }
    if (n < 0) {
        on_end(t, n, buf->base);
    } else if (t->link && !t->s.closed) {
        if (n > 0) {
            ar_tls_feed(t, buf->base, (size_t)n);
        } else {
            ar_slab_put(t->s.loop, buf->base);
        }
    } else {
        ar_stream_fed(&t->s, (size_t)n);
    }
    if (t->s.closed && is_over(t)) {
        close_now(t, t->s.in_failed);
    }
    if (n > 0) {
        ar_loop_fed(t->s.loop, (size_t)n);
    }
}

void ar_tcp_start(struct ar_tcp *t)
{
    t->up = true;
    ar_tcp_resume(t);
}

void ar_tcp_resume(struct ar_tcp *t)
{
    t->full_seen = false;
    if (!t->reading && t->up && !t->s.eof && !t->s.in_failed &&
        !uv_is_closing((uv_handle_t *)&t->uv)) {
        t->reading = uv_read_start((uv_stream_t *)&t->uv, on_alloc, on_read) == 0;
    }
}

static void resume(struct ar_stream *s)
{
    ar_tcp_resume(tcp_of(s));
}

/* --- writing
 * ------------------------------------------------------------------------------------------------
 */

size_t ar_tcp_try(struct ar_tcp *t, const uv_buf_t *bufs, unsigned n)
{
    int sent = uv_try_write((uv_stream_t *)&t->uv, bufs, n);
    if (sent >= 0) {
        return (size_t)sent;
    }
    if (sent != UV_EAGAIN && sent != UV_ENOBUFS) {
        ar_stream_fail_out(&t->s, AR_CLIENT_CLOSED, sent, NULL);
    }
    return 0;
}

static size_t send_plain(struct ar_stream *s, const struct ar_str *parts, unsigned n)
{
    uv_buf_t bufs[AR_WRITE_PARTS];
    unsigned k = 0;
    if (ar_stream_pending(s) > 0) {
        bufs[k++] = uv_buf_init(s->wbuf + s->woff, (unsigned)ar_stream_pending(s));
    }
    for (unsigned i = 0; i < n && k < AR_WRITE_PARTS; i++) {
        if (parts[i].n > 0) {
            union {
                const char *from;
                char *to;
            } p = {.from = parts[i].p};
            bufs[k].base = p.to;
            bufs[k++].len = parts[i].n;
        }
    }
    return k > 0 ? ar_tcp_try(tcp_of(s), bufs, k) : 0;
}

static void on_written(uv_write_t *req, int status)
{
    struct ar_tcp *t = req->data;
    size_t n = t->s.wbusy;
    if (status == UV_ECANCELED) {
        return; /* closing: on_closed frees */
    }
    free(t->out);
    t->out = NULL;
    if (status != 0) {
        ar_stream_fail_out(&t->s, AR_CLIENT_CLOSED, status, NULL);
    }
    ar_stream_landed(&t->s, n);
    if (t->link) {
        ar_tls_output(t);
    }
    if (t->s.closed && is_over(t)) {
        close_now(t, t->s.out_failed);
    }
}

static void write_later(struct ar_tcp *t, char *p, size_t n)
{
    uv_buf_t buf = {.base = p, .len = n};
    t->s.in_flight = true;
    t->req.write.data = t;
    t->s.queue_seen = n;
    int status = uv_write(&t->req.write, (uv_stream_t *)&t->uv, &buf, 1, on_written);
    if (status != 0) {
        t->s.in_flight = false;
        t->s.wbusy = 0;
        free(t->out);
        t->out = NULL;
        ar_stream_fail_out(&t->s, AR_CLIENT_CLOSED, status, NULL);
    }
}

static void park(struct ar_stream *s)
{
    s->wbusy = (unsigned)ar_stream_pending(s);
    write_later(tcp_of(s), s->wbuf + s->woff, s->wbusy);
}

void ar_tcp_send_later(struct ar_tcp *t, char *block, size_t n)
{
    t->out = block;
    write_later(t, block, n);
}

/* --- the end
 * ------------------------------------------------------------------------------------------------
 */

void ar_tcp_fin(struct ar_tcp *t)
{
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&t->uv, &fd) == 0) {
        (void)shutdown(fd, SHUT_WR);
    }
    if (t->s.closed) {
        ar_timer_set(t->s.loop, &t->linger, ar_loop_now_ms(t->s.loop) + AR_LINGER_FIN_MS);
    }
}

static void fin(struct ar_stream *s)
{
    ar_tcp_fin(tcp_of(s));
}

static void on_linger(struct ar_timer *timer)
{
    struct ar_tcp *t = AR_HOLDER(timer, struct ar_tcp, linger);
    close_now(t, !t->s.fin);
}

void ar_tcp_close(struct ar_stream *s)
{
    struct ar_tcp *t = tcp_of(s);
    bool unsent = ar_stream_pending(s) > 0 || s->in_flight;
    if (t->linger.fire) { /* the loop ends */
        close_now(t, !s->fin);
        return;
    }
    bool deaf = t->link && ar_tls_handshake(t, NULL) != AR_READY; /* no byte can follow */
    if (!s->shut || is_over(t) || !t->up || deaf) {
        if (t->link && !unsent && !s->shut && t->up) {
            ar_tls_quit(t);
        }
        close_now(t, unsent || s->out_failed);
        return;
    }
    t->linger.fire = on_linger;
    ar_list_append(&s->loop->lingering, &s->dirty);
    ar_timer_set(s->loop, &t->linger,
                 ar_loop_now_ms(s->loop) + (s->fin ? AR_LINGER_FIN_MS : AR_LINGER_MS));
    ar_tcp_resume(t);
}

struct ar_str ar_tcp_peer(struct ar_stream *s)
{
    struct ar_tcp *t = tcp_of(s);
    union ar_addr a;
    int n = sizeof a;
    if (t->peer[0] == '\0' && uv_tcp_getpeername(&t->uv, &a.any, &n) == 0) {
        ar_addr_text(&a, t->peer, sizeof t->peer);
    }
    return ar_str_of(t->peer);
}

size_t ar_tcp_queued(struct ar_stream *s)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&tcp_of(s)->uv);
}

static const struct ar_stream_ops TCP_OPS = {.direct = true,
                                             .send = send_plain,
                                             .park = park,
                                             .resume = resume,
                                             .fin = fin,
                                             .close = ar_tcp_close,
                                             .peer = ar_tcp_peer,
                                             .queued = ar_tcp_queued};

/* --- the beginning
 * ------------------------------------------------------------------------------------------ */

static struct ar_tcp *create(struct ar_loop *l)
{
    struct ar_tcp *t = ar_io_alloc(sizeof *t);
    ar_stream_init(&t->s, l, &TCP_OPS);
    AR_ASSERT(uv_tcp_init(&l->uv, &t->uv) == 0);
    t->uv.data = t;
    return t;
}

static void on_connect(uv_connect_t *req, int status)
{
    struct ar_tcp *t = req->data;
    void (*fn)(void *user, struct ar_tcp *t, int status) = t->on_connect;
    if (status == UV_ECANCELED || !fn) {
        return;
    }
    t->on_connect = NULL;
    if (status == 0) {
        (void)uv_tcp_nodelay(&t->uv, 1);
    }
    fn(t->user, t, status);
}

static void on_refused_at_once(struct ar_timer *timer)
{
    struct ar_tcp *t = AR_HOLDER(timer, struct ar_tcp, linger);
    void (*fn)(void *user, struct ar_tcp *t, int status) = t->on_connect;
    t->on_connect = NULL;
    fn(t->user, t, t->s.sys);
}

struct ar_tcp *ar_tcp_connect(struct ar_loop *l, const union ar_addr *a,
                              void (*fn)(void *user, struct ar_tcp *t, int status), void *user)
{
    struct ar_tcp *t = create(l);
    t->on_connect = fn;
    t->user = user;
    t->req.connect.data = t;
    int status = uv_tcp_connect(&t->req.connect, &t->uv, &a->any, on_connect);
    if (status != 0) {
        t->s.sys = status;
        t->linger.fire = on_refused_at_once;
        ar_timer_set(l, &t->linger, ar_loop_now_ms(l));
    }
    return t;
}

void ar_tcp_drop(struct ar_tcp *t)
{
    t->on_connect = NULL;
    close_now(t, false);
}

struct ar_tcp *ar_tcp_open(struct ar_loop *l, int fd, struct ar_tls *tls)
{
    struct ar_tcp *t = create(l);
    if (uv_tcp_open(&t->uv, fd) != 0) {
        (void)close(fd);
        close_now(t, false);
        return NULL;
    }
    if (tls) {
        ar_tls_attach(t, tls, AR_LIT(""), 0);
    }
    ar_tcp_start(t);
    return t;
}
