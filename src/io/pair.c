/*
 * Two streams that are each other's peer, in memory, for tests: what one flushes is put into the
 * other's read buffer as far as there is room; the rest stays until the other eats. A close without
 * shut while bytes are unsent is a reset, else an end, as with sockets. Each end owns itself; the
 * other's pointer is dropped at its close.
 */
#include "io/impl.h"

#include <stdlib.h>

struct pair_end {
    struct ar_stream s;
    struct pair_end *other; /* NULL: closed */
    struct ar_job job;      /* move bytes, or die */
    bool dying, lingers;
};

static struct pair_end *end_of(struct ar_stream *s)
{
    return AR_HOLDER(s, struct pair_end, s);
}

/* What is pending goes over, as far as it fits. */
static size_t send_pair(struct ar_stream *s, const struct ar_str *parts, unsigned n)
{
    struct pair_end *other = end_of(s)->other;
    size_t room = 0, pending = ar_stream_pending(s);
    (void)parts;
    (void)n;
    if (!other || other->s.in_failed) {
        ar_stream_fail_out(s, AR_CLIENT_CLOSED, UV_EPIPE, NULL);
        return 0;
    }
    char *to = ar_stream_space(&other->s, &room);
    size_t k = pending < room ? pending : room;
    if (to && k > 0) {
        memcpy(to, s->wbuf + s->woff, k);
        ar_stream_fed(&other->s, k);
    }
    return k;
}

static void park(struct ar_stream *s)
{
    s->wbusy = (unsigned)ar_stream_pending(s);
    s->in_flight = true; /* until the other eats: resume */
}

static void die(struct pair_end *e)
{
    e->dying = true;
    ar_list_remove(&e->s.dirty);
    ar_loop_queue(e->s.loop, &e->job);
}

static void on_job(struct ar_job *j)
{
    struct pair_end *e = AR_HOLDER(j, struct pair_end, job);
    if (e->dying) {
        ar_stream_done(&e->s);
        free(e);
    } else if (e->s.in_flight) {
        ar_stream_landed(&e->s, 0);
    }
}

/* The other may have bytes for the room that is now here. */
static void resume(struct ar_stream *s)
{
    struct pair_end *other = end_of(s)->other;
    if (other && other->s.in_flight) {
        ar_loop_queue(s->loop, &other->job);
    }
}

static void part(struct pair_end *e, bool reset)
{
    struct pair_end *other = e->other;
    if (!other) {
        return;
    }
    if (reset) {
        ar_stream_fail_in(&other->s, AR_CLIENT_CLOSED, UV_ECONNRESET, NULL);
    } else if (!other->s.eof) {
        ar_stream_ended(&other->s);
    }
    other->other = e->other = NULL;
    if (other->s.in_flight) {
        ar_loop_queue(other->s.loop, &other->job); /* to fail */
    }
}

static void fin(struct ar_stream *s)
{
    struct pair_end *e = end_of(s);
    if (e->other && !e->other->s.eof) {
        ar_stream_ended(&e->other->s);
    }
    if (s->closed) {
        part(e, false);
        die(e);
    }
}

static void close_pair(struct ar_stream *s)
{
    struct pair_end *e = end_of(s);
    bool unsent = ar_stream_pending(s) > 0 && !s->out_failed;
    if (s->shut && unsent && e->other && !e->lingers) {
        e->lingers = true; /* until the other ate */
        ar_list_append(&s->loop->lingering, &s->dirty);
        return;
    }
    part(e, unsent);
    die(e);
}

static struct ar_str peer(struct ar_stream *s)
{
    (void)s;
    return AR_LIT("127.0.0.1");
}

static const struct ar_stream_ops PAIR_OPS = {.send = send_pair,
                                              .park = park,
                                              .resume = resume,
                                              .fin = fin,
                                              .close = close_pair,
                                              .peer = peer};

void ar_stream_pair(struct ar_loop *l, struct ar_stream *ret[2])
{
    struct pair_end *e[2];
    for (int i = 0; i < 2; i++) {
        e[i] = ar_io_alloc(sizeof *e[i]);
        ar_stream_init(&e[i]->s, l, &PAIR_OPS);
        e[i]->job.run = on_job;
        ret[i] = &e[i]->s;
    }
    e[0]->other = e[1];
    e[1]->other = e[0];
}
