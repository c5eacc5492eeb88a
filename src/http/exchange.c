/* One request to an upstream and its answer.
 *
 * An exchange goes DIAL, SEND, HEAD, BODY, OVER; a pooled connection skips DIAL. advance() does all
 * that can be done without the owner and runs both when the owner asks and when the stream wakes;
 * the owner is woken only when there is something for it. The request's head is a pure function of
 * the spec, made again when it is needed again (a full socket, a resend), so nothing of a request
 * is kept but how many bytes are sent. The answer may come while the body is still being sent.
 *
 * Deadlines are computed from the phase when the one timer fires. The timer is never later than the
 * deadline of the phase. An exchange owns its stream or dial until close; the spec is the owner's.
 * What never happens: a connection with unread, unasked or cut bytes going back to the pool. */
#include "http/body.h"
#include "http/pool.h"

#include "base/clock.h"
#include "io/dial.h"

#include <stdlib.h>

enum {
    KEEP_EXCHANGES = 256,
    HEAD_BYTES = 65536,
    HEAD_COUNT = 200,
    INTERIM_MAX = 32,
    PARTS_A_WRITE = 16,
    TAIL_MAX = 16384, /* of an answer, read at close to keep the connection */
};

struct ar_exchange {
    struct ar_node node; /* in the free list */
    struct ar_pool *pool;
    struct ar_pool_origin *at;
    struct ar_exchange_spec spec;
    struct ar_waker waker; /* of dial and stream */
    struct ar_timer timer;
    struct ar_dial *dial;
    struct ar_stream *stream;
    struct ar_head_reader *reader;
    struct ar_head head;
    struct ar_body body;
    struct ar_exchange_facts facts;
    struct ar_err err; /* code AR_OK: none */
    size_t body_bytes, sent;
    int64_t since_ms, wait_since_ms;
    unsigned interims;
    bool sent_all, has_head, waiting,
        began; /* began: a byte of the answer came on this connection */
};

static void wake_exchange(struct ar_waker *w);
static void fire(struct ar_timer *t);
static void advance(struct ar_exchange *x);

void ar_exchange_free_all(struct ar_pool *p)
{
    while (!ar_list_is_empty(&p->free_exchanges)) {
        struct ar_exchange *x = AR_HOLDER(p->free_exchanges.next, struct ar_exchange, node);
        ar_list_remove(&x->node);
        free(x);
    }
}

static int64_t after(int64_t from_ms, int64_t ms)
{
    return ms > 0 ? from_ms + ms : AR_NEVER;
}

static int64_t moved(const struct ar_exchange *x, bool out, int64_t since_ms)
{
    int64_t at = ar_stream_moved_ms(x->stream, out);
    return at > since_ms ? at : since_ms;
}

static int64_t deadline(const struct ar_exchange *x)
{
    if (x->err.code != AR_OK) {
        return AR_NEVER;
    }
    switch (x->facts.phase) {
    case AR_PH_DIAL:
        return after(x->since_ms, x->spec.connect_ms);
    case AR_PH_SEND:
        return after(moved(x, true, x->since_ms), x->spec.idle_ms);
    case AR_PH_HEAD:
        return after(x->since_ms, x->spec.head_ms);
    case AR_PH_BODY:
        return x->waiting ? after(moved(x, false, x->wait_since_ms), x->spec.idle_ms) : AR_NEVER;
    case AR_PH_OVER:
        break;
    }
    return AR_NEVER;
}

static void arm(struct ar_exchange *x)
{
    int64_t at = deadline(x);
    if (at != AR_NEVER && (x->timer.slot == 0 || at < x->timer.at_ms)) {
        ar_timer_set(x->pool->loop, &x->timer, at);
    }
}

static void enter(struct ar_exchange *x, enum ar_phase phase)
{
    x->facts.phase = phase;
    x->facts.at_us[phase] = ar_loop_now_us(x->pool->loop);
    x->since_ms = ar_loop_now_ms(x->pool->loop);
    arm(x);
}

static void fail(struct ar_exchange *x, enum ar_code code, const char *note)
{
    ar_fail(&x->err, code, "%s", note);
}

static bool is_framing(struct ar_str name)
{
    switch (name.n) {
    case 10:
        return ar_str_is_nocase(name, AR_LIT("connection"));
    case 14:
        return ar_str_is_nocase(name, AR_LIT("content-length"));
    case 17:
        return ar_str_is_nocase(name, AR_LIT("transfer-encoding"));
    default:
        return false;
    }
}

static void put_host(struct ar_buf *b, const struct ar_origin *o)
{
    bool v6 = ar_str_find_char(o->host, ':') < o->host.n;
    ar_buf_lit(b, "host: ");
    if (v6) {
        ar_buf_char(b, '[');
    }
    ar_buf_str(b, o->host);
    if (v6) {
        ar_buf_char(b, ']');
    }
    if (o->port != (o->tls ? 443 : 80)) {
        ar_buf_char(b, ':');
        ar_buf_i64(b, o->port);
    }
    ar_buf_lit(b, "\r\n");
}

/* The request's head, in the pool's scratch buffer. */
static struct ar_str make_head(struct ar_exchange *x)
{
    const struct ar_exchange_spec *spec = &x->spec;
    struct ar_buf *b = &x->pool->scratch;
    bool host = false, accepts = false;
    ar_buf_clear(b);
    ar_buf_str(b, spec->method);
    ar_buf_char(b, ' ');
    ar_buf_str(b, spec->target);
    ar_buf_lit(b, " HTTP/1.1\r\n");
    for (unsigned i = 0; i < spec->header_count; i++) {
        const struct ar_header *h = &spec->headers[i];
        if (is_framing(h->name) || !ar_header_is_safe(h)) {
            continue;
        }
        host |= h->name.n == 4 && ar_str_is_nocase(h->name, AR_LIT("host"));
        accepts |= h->name.n == 15 && ar_str_is_nocase(h->name, AR_LIT("accept-encoding"));
        ar_buf_str(b, h->name);
        ar_buf_lit(b, ": ");
        ar_buf_str(b, h->value);
        ar_buf_lit(b, "\r\n");
    }
    if (!host) {
        put_host(b, spec->origin);
    }
    if (!accepts) {
        ar_buf_lit(b, "accept-encoding: identity\r\n");
    }
    if (x->body_bytes > 0 || ar_str_is_lit(spec->method, "POST") ||
        ar_str_is_lit(spec->method, "PUT") || ar_str_is_lit(spec->method, "PATCH")) {
        ar_buf_lit(b, "content-length: ");
        ar_buf_i64(b, (int64_t)x->body_bytes);
        ar_buf_lit(b, "\r\n");
    }
    ar_buf_lit(b, "\r\n");
    return ar_buf_view(b);
}

/* Pieces of the request from byte x->sent on; returns how many. */
static unsigned gather(struct ar_exchange *x, struct ar_str head, struct ar_str *ret_parts)
{
    unsigned n = 0;
    size_t skip = x->sent;
    if (skip < head.n) {
        ret_parts[n++] = ar_str_from(head, skip);
        skip = 0;
    } else {
        skip -= head.n;
    }
    for (unsigned i = 0; i < x->spec.part_count && n < PARTS_A_WRITE; i++) {
        struct ar_str part = x->spec.parts[i];
        if (skip < part.n) {
            ret_parts[n++] = ar_str_from(part, skip);
            skip = 0;
        } else {
            skip -= part.n;
        }
    }
    return n;
}

static void send_request(struct ar_exchange *x)
{
    struct ar_str head = make_head(x);
    size_t total = head.n + x->body_bytes;
    while (x->sent < total) {
        struct ar_str parts[PARTS_A_WRITE];
        unsigned n = gather(x, head, parts);
        size_t offered = 0;
        for (unsigned i = 0; i < n; i++) {
            offered += parts[i].n;
        }
        size_t taken = ar_stream_write(x->stream, parts, n);
        x->sent += taken;
        x->facts.out_bytes += (int64_t)taken;
        if (taken < offered) {
            return;
        }
    }
    x->sent_all = true;
    if (x->facts.phase == AR_PH_SEND) {
        enter(x, AR_PH_HEAD);
    }
}

static void start_dial(struct ar_exchange *x)
{
    const struct ar_origin *o = x->spec.origin;
    struct ar_tls *tls = NULL;
    x->sent = 0;
    x->sent_all = false;
    if (o->tls && !(tls = ar_pool_tls(x->pool, x->at, o, &x->err))) {
        if (x->err.code == AR_OK) {
            fail(x, AR_UPSTREAM_TLS, "no TLS settings");
        }
        x->err.code = AR_UPSTREAM_TLS;
        return;
    }
    struct ar_dial_spec spec = {.host = o->host,
                                .port = o->port,
                                .proxy = o->proxy,
                                .tls = tls,
                                .public_only = o->public_only,
                                .waker = &x->waker};
    x->dial = ar_dial_start(x->pool->loop, &spec);
    enter(x, AR_PH_DIAL);
}

static void have_stream(struct ar_exchange *x, struct ar_stream *s)
{
    x->stream = s;
    ar_stream_set_waker(s, &x->waker);
    enter(x, AR_PH_SEND);
}

static void drop_stream(struct ar_exchange *x)
{
    if (x->stream) {
        ar_stream_close(x->stream);
        x->stream = NULL;
    }
    if (x->dial) {
        ar_dial_close(x->dial);
        x->dial = NULL;
    }
}

static void poll_dial(struct ar_exchange *x)
{
    struct ar_stream *s = NULL;
    enum ar_poll poll = ar_dial_poll(x->dial, &s, &x->err);
    if (poll == AR_PENDING) {
        return;
    }
    ar_dial_close(x->dial);
    x->dial = NULL;
    if (poll == AR_READY) {
        x->err.code = AR_OK;
        have_stream(x, s);
    } else if (x->err.code == AR_OK) {
        fail(x, AR_UPSTREAM_CONNECT, "no connection");
    }
}

/* The connection ended before the head was whole. */
static void lost(struct ar_exchange *x)
{
    if (x->facts.reused && !x->facts.resent && !x->began) {
        drop_stream(x);
        x->facts.resent = true;
        start_dial(x);
    } else if (x->began) {
        fail(x, AR_UPSTREAM_TRUNCATED, "the connection closed inside the answer's head");
    } else {
        fail(x, AR_UPSTREAM_ERROR, "the connection closed before an answer");
    }
}

/* The body is handed out decoded: the headers must not say otherwise. */
static void strip_coding(struct ar_head *h)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < h->header_count; i++) {
        struct ar_str name = h->headers[i].name;
        if (!ar_str_is_nocase(name, AR_LIT("content-encoding")) &&
            !ar_str_is_nocase(name, AR_LIT("content-length"))) {
            h->headers[kept++] = h->headers[i];
        }
    }
    h->header_count = kept;
}

static void start_body(struct ar_exchange *x)
{
    struct ar_head *h = &x->head;
    bool bare = h->status == 204 || h->status == 304 || ar_str_is_lit(x->spec.method, "HEAD");
    int64_t length = bare ? 0 : h->length;
    ar_body_init(&x->body, false, length, h->encoding, INT64_MAX / 2);
    if (!bare && h->encoding != AR_ENC_IDENTITY) {
        strip_coding(h);
        h->length = AR_LENGTH_CHUNKED;
    }
    x->has_head = true;
    x->waiting = false;
    enter(x, AR_PH_BODY);
    if (x->body.over) {
        enter(x, AR_PH_OVER);
    }
}

static void read_head(struct ar_exchange *x)
{
    static const struct ar_head_limits limits = {HEAD_BYTES, HEAD_COUNT};
    while (!x->has_head && x->err.code == AR_OK && x->stream) {
        struct ar_str in;
        enum ar_poll poll = ar_stream_peek(x->stream, &in, NULL);
        if (poll == AR_PENDING) {
            return;
        }
        if (poll != AR_READY) {
            lost(x);
            return;
        }
        size_t used = 0;
        x->began = true;
        poll =
            ar_head_read_answer(&x->pool->heads, &x->reader, &limits, in, &used, &x->head, &x->err);
        ar_stream_eat(x->stream, used);
        x->facts.in_bytes += (int64_t)used;
        if (poll != AR_READY) {
            continue;
        }
        x->err.code = AR_OK;
        if (x->head.status >= 200) {
            start_body(x);
        } else if (x->head.status == 101 || ++x->interims > INTERIM_MAX) {
            fail(x, AR_UPSTREAM_ERROR, "malformed answer: interim status out of place");
        } else {
            ar_head_done(&x->pool->heads, &x->head);
        }
    }
}

static void advance(struct ar_exchange *x)
{
    if (x->err.code != AR_OK) {
        return;
    }
    if (x->dial) {
        poll_dial(x);
    }
    if (!x->stream) {
        return;
    }
    if (!x->sent_all && x->facts.phase != AR_PH_OVER) {
        send_request(x);
    }
    if (!x->has_head) {
        read_head(x);
    }
}

static void wake_exchange(struct ar_waker *w)
{
    struct ar_exchange *x = AR_HOLDER(w, struct ar_exchange, waker);
    advance(x);
    if (x->has_head || x->err.code != AR_OK) {
        ar_wake(x->spec.waker);
    }
}

static void fire(struct ar_timer *t)
{
    static const char *const notes[] = {
        [AR_PH_DIAL] = "no connection in time",
        [AR_PH_SEND] = "the upstream stopped reading the request",
        [AR_PH_HEAD] = "no answer in time",
        [AR_PH_BODY] = "the answer stalled",
    };
    struct ar_exchange *x = AR_HOLDER(t, struct ar_exchange, timer);
    int64_t at = deadline(x);
    if (at == AR_NEVER) {
        return;
    }
    if (at > ar_loop_now_ms(x->pool->loop)) {
        ar_timer_set(x->pool->loop, &x->timer, at);
        return;
    }
    fail(x, AR_UPSTREAM_TIMEOUT, notes[x->facts.phase]);
    ar_wake(x->spec.waker);
}

static struct ar_exchange *new_exchange(struct ar_pool *p)
{
    if (p->free_exchange_count == 0) {
        struct ar_exchange *x = malloc(sizeof(*x));
        AR_ASSERT(x != NULL);
        return x;
    }
    struct ar_exchange *x = AR_HOLDER(p->free_exchanges.next, struct ar_exchange, node);
    ar_list_remove(&x->node);
    p->free_exchange_count--;
    return x;
}

static bool is_token(struct ar_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f) {
            return false;
        }
    }
    return s.n > 0;
}

struct ar_exchange *ar_exchange_start(struct ar_pool *p, const struct ar_exchange_spec *spec)
{
    struct ar_exchange *x = new_exchange(p);
    *x = (struct ar_exchange){
        .pool = p,
        .at = ar_pool_enter(p, spec->origin),
        .spec = *spec,
        .waker = {wake_exchange},
        .timer = {.fire = fire, .at_ms = AR_NEVER},
    };
    for (unsigned i = 0; i < spec->part_count; i++) {
        x->body_bytes += spec->parts[i].n;
    }
    if (!is_token(spec->target) || !is_token(spec->method)) {
        fail(x, AR_INVALID_REQUEST, "the upstream's path is malformed");
        return x;
    }
    struct ar_stream *s = ar_pool_take(p, x->at);
    if (s) {
        x->facts.reused = true;
        have_stream(x, s);
        send_request(x);
    } else {
        start_dial(x);
    }
    return x;
}

enum ar_poll ar_exchange_head(struct ar_exchange *x, struct ar_answer_head *ret, struct ar_err *err)
{
    if (!x->has_head) {
        advance(x);
    }
    if (x->has_head) {
        struct ar_head *h = &x->head;
        *ret = (struct ar_answer_head){
            .status = h->status,
            .headers = h->headers,
            .header_count = h->header_count,
            .content_type = h->content_type,
            .length = h->length >= 0 ? h->length : -1,
            .retry_after_ms = h->status < 400 ? -1
                                              : ar_header_retry_ms(h->headers, h->header_count,
                                                                   ar_clock_unix_ms()),
        };
        return AR_READY;
    }
    if (x->err.code != AR_OK) {
        *err = x->err;
        return AR_FAILED;
    }
    return AR_PENDING;
}

enum ar_poll ar_exchange_peek(struct ar_exchange *x, struct ar_str *ret, struct ar_err *err)
{
    if (x->err.code == AR_OK && (!x->has_head || !x->sent_all)) {
        advance(x);
    }
    if (x->err.code != AR_OK) {
        *err = x->err;
        return AR_FAILED;
    }
    if (!x->has_head) {
        return AR_PENDING;
    }
    if (x->facts.phase == AR_PH_OVER) {
        return AR_ENDED;
    }
    enum ar_poll poll = ar_body_peek(&x->body, x->stream, ret, &x->err);
    if (poll == AR_PENDING) {
        if (!x->waiting) {
            x->waiting = true;
            x->wait_since_ms = ar_loop_now_ms(x->pool->loop);
            arm(x);
        }
        return AR_PENDING;
    }
    x->waiting = false;
    if (poll == AR_ENDED) {
        enter(x, AR_PH_OVER);
    } else if (poll == AR_FAILED) {
        *err = x->err;
    }
    return poll;
}

void ar_exchange_eat(struct ar_exchange *x, size_t n)
{
    ar_body_eat(&x->body, x->stream, n);
}

void ar_exchange_facts(const struct ar_exchange *x, struct ar_exchange_facts *ret)
{
    *ret = x->facts;
    ret->in_bytes += x->body.raw_bytes;
}

/* Is the answer complete, or will it be with what is already here? */
static bool is_read_out(struct ar_exchange *x)
{
    size_t dropped = 0;
    while (x->facts.phase == AR_PH_BODY) {
        struct ar_str in;
        struct ar_err err;
        enum ar_poll poll = ar_exchange_peek(x, &in, &err);
        if (poll != AR_READY || (dropped += in.n) > TAIL_MAX) {
            break;
        }
        ar_exchange_eat(x, in.n);
    }
    return x->facts.phase == AR_PH_OVER;
}

static bool may_reuse(struct ar_exchange *x)
{
    struct ar_str in;
    return x->stream && x->has_head && x->err.code == AR_OK && x->sent_all && x->head.keep_alive &&
           x->body.length != AR_LENGTH_UNTIL_CLOSE && is_read_out(x) &&
           ar_stream_peek(x->stream, &in, NULL) == AR_PENDING;
}

void ar_exchange_close(struct ar_exchange *x)
{
    if (!x) {
        return;
    }
    struct ar_pool *p = x->pool;
    if (may_reuse(x)) {
        ar_stream_set_waker(x->stream, NULL);
        ar_pool_put(p, x->at, x->stream);
        x->stream = NULL;
    }
    drop_stream(x);
    ar_timer_clear(p->loop, &x->timer);
    ar_pool_leave(p, x->at);
    ar_head_reader_drop(&p->heads, &x->reader);
    ar_head_done(&p->heads, &x->head);
    ar_body_done(&x->body);
    if (p->free_exchange_count < KEEP_EXCHANGES) {
        ar_list_prepend(&p->free_exchanges, &x->node);
        p->free_exchange_count++;
    } else {
        free(x);
    }
}
