/*
 * The half of a stream that all transports share: the two buffers, the flags, the wakes.
 *
 * Input: a transport asks for space, fills it, says how much (ar_stream_fed); the owner peeks and
 * eats, or lends memory of his own that is filled first. Output: bytes are copied to the write
 * buffer and leave together when the owner flushes or before the loop sleeps; parts that are large
 * go straight to the kernel when the transport can (ops->direct). What the kernel does not take at
 * once is parked: the transport sends it when it can and reports by ar_stream_landed.
 *
 * Owns both buffers; they are the loop's slab's and go back when empty. Wakes are jobs of the loop,
 * so they never run inside a call of the owner. Never touches a socket.
 */
#include "io/impl.h"

#include <stdlib.h>

static void on_wake(struct ar_job *j)
{
    ar_wake(AR_HOLDER(j, struct ar_stream, wake)->waker);
}

void ar_stream_init(struct ar_stream *s, struct ar_loop *l, const struct ar_stream_ops *ops)
{
    memset(s, 0, sizeof *s);
    s->ops = ops;
    s->loop = l;
    s->wake.run = on_wake;
    s->in_ms = s->out_ms = ar_loop_now_ms(l);
}

static void drop_input(struct ar_stream *s)
{
    if (s->rbuf) {
        ar_slab_put(s->loop, s->rbuf);
        s->rbuf = NULL;
    }
    s->roff = s->rn = 0;
    s->squeeze = false;
}

static void drop_output(struct ar_stream *s)
{
    if (s->wbuf) {
        ar_slab_put(s->loop, s->wbuf);
        s->wbuf = NULL;
    }
    s->woff = s->wn = 0;
}

void ar_stream_done(struct ar_stream *s)
{
    drop_input(s);
    drop_output(s);
    ar_job_cancel(&s->wake);
    ar_list_remove(&s->dirty);
    free(s->note);
    s->note = NULL;
}

void ar_stream_wake(struct ar_stream *s)
{
    if (s->waker) {
        ar_loop_queue(s->loop, &s->wake);
    }
}

/* --- input
 * --------------------------------------------------------------------------------------------------
 */

void ar_stream_lend(struct ar_stream *s, char *p, size_t n)
{
    AR_ASSERT(!s->lent && s->rn == s->roff && n > 0);
    s->lent = p;
    s->lent_n = 0;
    s->lent_cap = n;
}

size_t ar_stream_lent(const struct ar_stream *s)
{
    return s->lent ? s->lent_n : 0;
}

size_t ar_stream_take_back(struct ar_stream *s)
{
    size_t n = ar_stream_lent(s);
    s->lent = NULL;
    s->ops->resume(s); /* the bytes behind them have the buffer */
    return n;
}

static bool fills_lent(const struct ar_stream *s)
{
    return s->lent && s->lent_n < s->lent_cap;
}

char *ar_stream_space(struct ar_stream *s, size_t *ret_room)
{
    if (fills_lent(s)) {
        *ret_room = s->lent_cap - s->lent_n;
        return s->lent + s->lent_n;
    }
    if (!s->rbuf) {
        s->rbuf = ar_slab_get(s->loop);
    }
    *ret_room = AR_STREAM_BUF - s->rn;
    return *ret_room > 0 ? s->rbuf + s->rn : NULL;
}

void ar_stream_fed(struct ar_stream *s, size_t n)
{
    if (fills_lent(s)) {
        s->lent_n += n;
        s->in_ms = ar_loop_now_ms(s->loop);
        if (!fills_lent(s)) {
            ar_stream_wake(s);
        }
        return;
    }
    s->rn += (unsigned)n;
    if (s->rn == 0 || s->closed) {
        drop_input(s);
    }
    if (n > 0) {
        s->in_ms = ar_loop_now_ms(s->loop);
        ar_stream_wake(s);
    }
}

/* Moves what is unread to the front: the tail is room again. */
static void make_room(struct ar_stream *s)
{
    memmove(s->rbuf, s->rbuf + s->roff, s->rn - s->roff);
    s->rn -= s->roff;
    s->roff = 0;
    s->squeeze = false;
}

void ar_stream_full(struct ar_stream *s)
{
    s->squeeze = true;
    if (s->roff > 0) {
        ar_stream_wake(s); /* bytes are moved inside a call of the owner only */
    }
}

void ar_stream_ended(struct ar_stream *s)
{
    if (s->rn == 0) {
        drop_input(s);
    }
    s->eof = true;
    ar_stream_wake(s);
}

static void note_failure(struct ar_stream *s, enum ar_code code, int sys, const char *note)
{
    if (!s->in_failed && !s->out_failed) {
        s->code = code;
        s->sys = sys;
        s->note = note ? strdup(note) : NULL;
    }
}

void ar_stream_fail_in(struct ar_stream *s, enum ar_code code, int sys, const char *note)
{
    note_failure(s, code, sys, note);
    if (s->rn == 0) {
        drop_input(s);
    }
    s->in_failed = true;
    ar_stream_wake(s);
}

static enum ar_poll tell_failure(struct ar_stream *s, struct ar_err *err)
{
    char text[80] = "broken";
    if (s->sys != 0) {
        (void)uv_strerror_r(s->sys, text, sizeof text);
    }
    (void)ar_fail(err, s->code, "%s", s->note ? s->note : text);
    if (err) {
        err->sys = s->sys;
    }
    return AR_FAILED;
}

enum ar_poll ar_stream_peek(struct ar_stream *s, struct ar_str *ret, struct ar_err *err)
{
    if (s->rn > s->roff) {
        if (s->squeeze && s->roff > 0) {
            make_room(s);
            s->ops->resume(s);
        }
        *ret = ar_str_n(s->rbuf + s->roff, s->rn - s->roff);
        return AR_READY;
    }
    if (s->in_failed || (s->eof && s->out_failed)) {
        return tell_failure(s, err);
    }
    return s->eof ? AR_ENDED : AR_PENDING;
}

void ar_stream_eat(struct ar_stream *s, size_t n)
{
    if (n == 0) {
        return;
    }
    AR_ASSERT(n <= s->rn - s->roff);
    s->roff += (unsigned)n;
    if (s->roff == s->rn) {
        drop_input(s);
    } else if (s->squeeze ||
               (s->rn > AR_STREAM_BUF - AR_STREAM_LOW && s->rn - s->roff <= s->roff / 4)) {
        make_room(s);
    }
    if (s->rn < AR_STREAM_BUF) {
        s->ops->resume(s);
    }
}

/* --- output
 * -------------------------------------------------------------------------------------------------
 */

void ar_stream_fail_out(struct ar_stream *s, enum ar_code code, int sys, const char *note)
{
    note_failure(s, code, sys, note);
    s->out_failed = true;
    if (s->wbusy == 0) {
        drop_output(s);
    }
    ar_stream_wake(s);
}

/* The first n pending bytes left. */
static void leave(struct ar_stream *s, size_t n)
{
    s->woff += (unsigned)n;
    s->out_ms = ar_loop_now_ms(s->loop);
    if (s->woff == s->wn) {
        drop_output(s);
    }
}

static void flush(struct ar_stream *s)
{
    if (s->in_flight) {
        return;
    }
    if (ar_stream_pending(s) > 0 && !s->out_failed) {
        size_t n = s->ops->send(s, NULL, 0);
        if (n > 0 && !s->out_failed) {
            leave(s, n);
        }
        if (ar_stream_pending(s) > 0 && !s->out_failed && !s->in_flight) {
            s->ops->park(s);
        }
    }
    if (s->out_failed && s->wbusy == 0) {
        drop_output(s);
    }
    if (ar_stream_pending(s) == 0 && !s->in_flight) {
        if (s->want_flushed) {
            s->want_flushed = false;
            ar_stream_wake(s);
        }
        if (s->shut && !s->fin) {
            s->fin = true;
            s->ops->fin(s);
        }
    }
}

static void wake_for_room(struct ar_stream *s)
{
    if (s->want_room && ar_stream_room(s) > AR_STREAM_LOW) {
        s->want_room = false;
        ar_stream_wake(s);
    }
}

void ar_stream_flush(struct ar_stream *s)
{
    if (!s->closed) {
        ar_list_remove(&s->dirty);
    }
    flush(s);
    wake_for_room(s);
}

void ar_stream_landed(struct ar_stream *s, size_t n)
{
    s->in_flight = false;
    s->wbusy = 0;
    s->out_ms = ar_loop_now_ms(s->loop);
    if (n > 0) {
        leave(s, n);
    }
    flush(s);
    wake_for_room(s);
}

size_t ar_stream_room(const struct ar_stream *s)
{
    return s->wbusy > 0 ? AR_STREAM_BUF - s->wn : AR_STREAM_BUF - ar_stream_pending(s);
}

/* Copies what fits of the parts past the first skip bytes; returns how many. */
static size_t copy_in(struct ar_stream *s, const struct ar_str *parts, unsigned n, size_t skip)
{
    size_t room = ar_stream_room(s), done = 0;
    if (s->wbusy == 0 && s->woff > 0) {
        memmove(s->wbuf, s->wbuf + s->woff, ar_stream_pending(s));
        s->wn -= s->woff;
        s->woff = 0;
    }
    for (unsigned i = 0; i < n && done < room; i++) {
        struct ar_str rest = ar_str_from(parts[i], skip);
        skip -= parts[i].n - rest.n;
        rest = ar_str_head(rest, room - done);
        if (rest.n == 0) {
            continue;
        }
        if (!s->wbuf) {
            s->wbuf = ar_slab_get(s->loop);
        }
        memcpy(s->wbuf + s->wn, rest.p, rest.n);
        s->wn += (unsigned)rest.n;
        done += rest.n;
    }
    return done;
}

static void mark_dirty(struct ar_stream *s)
{
    if (ar_stream_pending(s) > 0 && !s->in_flight && !ar_list_is_linked(&s->dirty)) {
        ar_list_append(&s->loop->dirty, &s->dirty);
    }
}

/* Everything pending and the parts, straight to the kernel; returns the bytes of parts that went.
 */
static size_t write_direct(struct ar_stream *s, const struct ar_str *parts, unsigned n)
{
    size_t before = ar_stream_pending(s), sent = s->ops->send(s, parts, n);
    size_t mine = sent < before ? sent : before;
    if (sent > 0 && !s->out_failed) {
        leave(s, mine);
    }
    return sent - mine;
}

size_t ar_stream_write(struct ar_stream *s, const struct ar_str *parts, unsigned n)
{
    size_t total = 0, taken = 0;
    for (unsigned i = 0; i < n; i++) {
        total += parts[i].n;
    }
    AR_ASSERT(!s->shut);
    if (s->out_failed || total == 0) {
        return total;
    }
    if (s->ops->direct && !s->in_flight &&
        (total >= AR_DIRECT_BYTES || total > ar_stream_room(s))) {
        taken = write_direct(s, parts, n);
    }
    for (;;) {
        taken += copy_in(s, parts, n, taken);
        if (taken == total || s->in_flight || s->out_failed) {
            break;
        }
        flush(s);
        if (ar_stream_room(s) == 0) {
            break;
        }
    }
    if (s->out_failed) {
        return total;
    }
    mark_dirty(s);
    s->want_room = s->want_room || taken < total;
    return taken;
}

bool ar_stream_is_flushed(struct ar_stream *s)
{
    bool is = ar_stream_pending(s) == 0 && !s->in_flight;
    s->want_flushed = !is;
    return is && !s->out_failed;
}

bool ar_stream_is_dead(const struct ar_stream *s)
{
    return s->eof || s->in_failed || s->out_failed;
}

void ar_stream_shut(struct ar_stream *s)
{
    s->shut = true;
    ar_stream_flush(s);
}

/* --- the rest
 * -----------------------------------------------------------------------------------------------
 */

void ar_stream_set_waker(struct ar_stream *s, struct ar_waker *w)
{
    s->waker = w;
    if (!w) {
        ar_job_cancel(&s->wake);
    } else if (s->rn > s->roff || ar_stream_is_dead(s)) {
        ar_stream_wake(s);
    }
}

int64_t ar_stream_moved_ms(struct ar_stream *s, bool out)
{
    if (out && s->in_flight && s->ops->queued) {
        size_t queued = s->ops->queued(s); /* the kernel takes a write in flight piece by piece */
        if (queued != s->queue_seen) {
            s->queue_seen = queued;
            s->out_ms = ar_loop_now_ms(s->loop);
        }
    }
    return out ? s->out_ms : s->in_ms;
}

struct ar_str ar_stream_peer(struct ar_stream *s)
{
    return s->ops->peer(s);
}

void ar_stream_close(struct ar_stream *s)
{
    if (!s) {
        return;
    }
    s->waker = NULL;
    ar_job_cancel(&s->wake);
    ar_list_remove(&s->dirty);
    drop_input(s);
    s->lent = NULL;
    s->closed = true;
    s->ops->close(s);
}
