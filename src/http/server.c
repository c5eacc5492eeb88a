/* The server side of one worker: connections from accept to close.
 *
 * A connection is in one state of server.h; the stream's wake, a job (pipelined head) and one timer
 * drive it, and while a request is its owner's they only wake the owner. The server owns its
 * connections and recycles them, and owns the caches of heads; an idle connection holds no buffer.
 *
 * Deadlines are computed from the state when the timer fires, so a request in the ordinary case
 * never moves the timer. A connection is closed with what was written delivered (a stream that was
 * shut lingers by itself, so no reset overtakes the answer), or reset. on_request is the last thing
 * done with a connection in a turn: the callee may have ended it. */
#include "http/server.h"

#include "base/clock.h"
#include "base/rand.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    KEEP_CONNS = 256,
    DROP_MAX =
        262144, /* bytes read and dropped to keep a connection, or to let an answer be seen */
    DROP_MS = 3000,
    ABORT_WAIT_MS = 5000, /* for what was written before a reset */
    ABORT_GRACE_MS = 50,  /* for the kernel to send it */
    BODY_BYTES_PER_MS = 16,
};

static void wake_conn(struct ar_waker *w);
static void run_job(struct ar_job *j);
static void fire(struct ar_timer *t);
static void read_heads(struct ar_conn *c);

struct ar_server *ar_server_new(struct ar_loop *l, const struct ar_conn_limits *limits,
                                ar_on_request *on_request, ar_on_bad_head *on_bad, void *user)
{
    struct ar_server *s = calloc(1, sizeof(*s));
    AR_ASSERT(s != NULL);
    s->loop = l;
    s->limits = *limits;
    s->on_request = on_request;
    s->on_bad = on_bad;
    s->user = user;
    ar_list_init(&s->conns);
    ar_list_init(&s->free_conns);
    ar_head_cache_init(&s->heads);
    ar_buf_init(&s->scratch, 262144);
    return s;
}

void ar_server_set_limits(struct ar_server *s, const struct ar_conn_limits *limits)
{
    s->limits = *limits;
}

unsigned ar_server_connections(const struct ar_server *s)
{
    return s->count;
}

struct ar_str ar_server_date(struct ar_server *s)
{
    int64_t now_ms = ar_loop_now_ms(s->loop);
    if (now_ms >= s->date_until_ms) {
        int64_t unix_ms = ar_clock_unix_ms();
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t at = (time_t)(unix_ms / 1000);
        struct tm t;
        gmtime_r(&at, &t);
        s->date_until_ms = now_ms + 1000 - unix_ms % 1000;
        snprintf(s->date, sizeof(s->date), "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
                 days + (size_t)t.tm_wday * 3, (unsigned)t.tm_mday % 100u,
                 months + (size_t)t.tm_mon * 3, (unsigned)(t.tm_year + 1900) % 10000u,
                 (unsigned)t.tm_hour % 100u, (unsigned)t.tm_min % 100u, (unsigned)t.tm_sec % 100u);
    }
    return ar_str_n(s->date, 29);
}

/* Everything of the last request, not the stream. */
static void forget_request(struct ar_conn *c)
{
    ar_head_done(&c->server->heads, &c->head);
    ar_body_done(&c->body);
    c->owner = NULL;
    c->chunk_left = c->dropped = 0;
    c->keep = c->opened = c->chunked = c->no_body = c->until_close = false;
    c->continue_due = c->reading = c->blocked = c->timed_out = c->upgraded = c->lent = false;
}

static void close_conn(struct ar_conn *c)
{
    struct ar_server *s = c->server;
    ar_timer_clear(s->loop, &c->timer);
    ar_job_cancel(&c->job);
    ar_stream_close(c->stream);
    c->stream = NULL;
    ar_head_reader_drop(&s->heads, &c->reader);
    forget_request(c);
    ar_buf_done(&c->pending);
    ar_list_remove(&c->node);
    s->count--;
    if (s->free_count < KEEP_CONNS) {
        ar_list_prepend(&s->free_conns, &c->node);
        s->free_count++;
    } else {
        free(c);
    }
}

/* What was written reaches the client, even when it is still sending. */
static void shut_conn(struct ar_conn *c)
{
    ar_stream_shut(c->stream);
    close_conn(c);
}

/* A stream with a byte unsent is reset by its close (io/stream.h); a full one may take a byte to
 * the kernel. */
static void reset_conn(struct ar_conn *c)
{
    struct ar_str byte = AR_LIT("\n");
    for (int i = 0; i < 2 && ar_stream_is_flushed(c->stream); i++) {
        ar_stream_write(c->stream, &byte, 1);
    }
    close_conn(c);
}

void ar_server_accept(struct ar_server *s, struct ar_stream *stream, bool tls)
{
    if (s->draining || s->count >= s->limits.connections) {
        ar_stream_close(stream);
        return;
    }
    struct ar_conn *c;
    if (s->free_count > 0) {
        c = AR_HOLDER(s->free_conns.next, struct ar_conn, node);
        ar_list_remove(&c->node);
        s->free_count--;
    } else {
        c = malloc(sizeof(*c));
        AR_ASSERT(c != NULL);
    }
    *c = (struct ar_conn){
        .server = s,
        .stream = stream,
        .waker = {wake_conn},
        .job = {.run = run_job},
        .timer = {.fire = fire, .at_ms = AR_NEVER},
        .tls = tls,
        .since_ms = ar_loop_now_ms(s->loop),
    };
    ar_buf_init(&c->pending, 262144);
    ar_list_append(&s->conns, &c->node);
    s->count++;
    ar_stream_set_waker(stream, &c->waker);
    ar_conn_arm(c);
    ar_loop_queue(s->loop, &c->job);
}

void ar_server_drain(struct ar_server *s)
{
    s->draining = true;
    for (struct ar_node *n = s->conns.next, *next; n != &s->conns; n = next) {
        struct ar_conn *c = AR_HOLDER(n, struct ar_conn, node);
        next = n->next;
        struct ar_str ignored;
        if (c->state == AR_CONN_IDLE && ar_stream_peek(c->stream, &ignored, NULL) != AR_READY) {
            shut_conn(c);
        } else if (c->upgraded) {
            ar_wake(c->owner);
        }
    }
}

void ar_server_free(struct ar_server *s)
{
    if (!s) {
        return;
    }
    while (!ar_list_is_empty(&s->conns)) {
        close_conn(AR_HOLDER(s->conns.next, struct ar_conn, node));
    }
    while (!ar_list_is_empty(&s->free_conns)) {
        struct ar_conn *c = AR_HOLDER(s->free_conns.next, struct ar_conn, node);
        ar_list_remove(&c->node);
        free(c);
    }
    ar_head_cache_done(&s->heads);
    ar_buf_done(&s->scratch);
    free(s);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t send_deadline(const struct ar_conn *c)
{
    int64_t from = later(c->send_since_ms, ar_stream_moved_ms(c->stream, true));
    return from + c->server->limits.send_ms;
}

/* Its framing says by itself that the answer is not all: no reset is needed, and none may overtake
 * the error event that a slow reader has not seen yet. */
static bool shows_cut(const struct ar_conn *c)
{
    return c->opened && !c->no_body && !c->gone && (c->chunked || c->out_left > 0);
}

static int64_t busy_deadline(const struct ar_conn *c)
{
    int64_t at = AR_NEVER;
    if (c->reading && !c->body.over && !c->timed_out) {
        /* A large body gets the time that a slow line needs; a trickle does not. */
        int64_t came = c->body.raw_bytes + (int64_t)ar_stream_lent(c->stream);
        at = c->body_since_ms + c->server->limits.body_ms + came / BODY_BYTES_PER_MS;
    }
    if (c->blocked && !c->gone) {
        int64_t send = send_deadline(c);
        at = send < at ? send : at;
    }
    return at;
}

static int64_t deadline(const struct ar_conn *c)
{
    const struct ar_conn_limits *limits = &c->server->limits;
    switch (c->state) {
    case AR_CONN_IDLE:
        return c->since_ms + limits->idle_ms;
    case AR_CONN_HEAD:
        return c->since_ms + limits->head_ms;
    case AR_CONN_BUSY:
        return busy_deadline(c);
    case AR_CONN_FINISH:
        return send_deadline(c);
    case AR_CONN_DRAIN:
        return c->since_ms + DROP_MS;
    case AR_CONN_ABORT:
        return shows_cut(c) ? send_deadline(c)
                            : c->since_ms + (ar_stream_is_flushed(c->stream) ? ABORT_GRACE_MS
                                                                             : ABORT_WAIT_MS);
    }
    return AR_NEVER;
}

void ar_conn_arm(struct ar_conn *c)
{
    int64_t at = deadline(c);
    /* A timer that is set too early looks again when it fires; one that is too late is moved. */
    if (at != AR_NEVER && (c->timer.slot == 0 || at < c->timer.at_ms)) {
        ar_timer_set(c->server->loop, &c->timer, at);
    }
}

static void enter(struct ar_conn *c, enum ar_conn_state state)
{
    c->state = state;
    c->since_ms = ar_loop_now_ms(c->server->loop);
    ar_conn_arm(c);
}

bool ar_conn_push(struct ar_conn *c)
{
    if (c->pending.n == 0) {
        return true;
    }
    struct ar_str rest = ar_buf_view(&c->pending);
    ar_buf_eat(&c->pending, ar_stream_write(c->stream, &rest, 1));
    if (c->pending.n > 0) {
        return false;
    }
    ar_buf_done(&c->pending);
    return true;
}

void ar_conn_put(struct ar_conn *c, struct ar_str bytes)
{
    size_t taken = ar_conn_push(c) ? ar_stream_write(c->stream, &bytes, 1) : 0;
    ar_buf_str(&c->pending, ar_str_from(bytes, taken));
}

/* Reads the body and drops it. READY: it is too much. */
static enum ar_poll drop_body(struct ar_conn *c)
{
    struct ar_str in;
    enum ar_poll poll;
    while ((poll = ar_body_peek(&c->body, c->stream, &in, NULL)) == AR_READY &&
           c->dropped < DROP_MAX) {
        c->dropped += in.n;
        ar_body_eat(&c->body, c->stream, in.n);
    }
    return poll;
}

/* The answer is out and the request read: the next one, or the end. */
static void go_on(struct ar_conn *c)
{
    struct ar_str in;
    bool keep = c->keep && !c->server->draining;
    if (keep) {
        forget_request(c);
        enter(c, AR_CONN_IDLE);
        if (ar_stream_peek(c->stream, &in, NULL) != AR_PENDING) {
            ar_loop_queue(c->server->loop, &c->job);
        }
    } else {
        shut_conn(c);
    }
}

static void drain_body(struct ar_conn *c)
{
    switch (drop_body(c)) {
    case AR_ENDED:
        go_on(c);
        break;
    case AR_PENDING:
        if (c->state != AR_CONN_DRAIN) {
            enter(c, AR_CONN_DRAIN);
        }
        break;
    default:
        shut_conn(c);
    }
}

static void finish(struct ar_conn *c)
{
    if (c->body.over) {
        go_on(c);
    } else if (c->keep) {
        drain_body(c);
    } else {
        shut_conn(c);
    }
}

static void abort_conn(struct ar_conn *c)
{
    bool pushed = ar_conn_push(c);
    ar_stream_flush(c->stream);
    if (ar_stream_is_dead(c->stream)) {
        reset_conn(c);
    } else if (!pushed || !ar_stream_is_flushed(c->stream)) {
        c->send_since_ms = ar_loop_now_ms(c->server->loop);
        enter(c, AR_CONN_ABORT);
    } else if (shows_cut(c)) {
        shut_conn(c);
    } else {
        enter(c, AR_CONN_ABORT);
    }
}

void ar_conn_settle(struct ar_conn *c, bool clean)
{
    c->owner = NULL;
    if (!clean) {
        abort_conn(c);
    } else if (c->pending.n > 0) {
        c->send_since_ms = ar_loop_now_ms(c->server->loop);
        enter(c, AR_CONN_FINISH);
    } else {
        finish(c);
    }
}

/* Every answer has a request id; this one has no record behind it. */
static struct ar_str random_id(char ret[33])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[16];
    ar_random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret[32] = 0;
    return ar_str_n(ret, 32);
}

/* Answers a head at fault without any owner, then closes. */
static void refuse(struct ar_conn *c, const struct ar_err *err, struct ar_str target, int status)
{
    struct ar_server *s = c->server;
    struct ar_buf body;
    ar_buf_init(&body, 65536);
    int said = s->on_bad(s->user, err->code, err->note,
                         ar_str_head(target, ar_str_find_char(target, '?')), &body);
    char id[33];
    struct ar_header headers[] = {
        {AR_LIT("content-type"), AR_LIT("application/json")},
        {AR_LIT("x-anyrouter-request-id"), random_id(id)},
        {AR_LIT("x-anyrouter-error"), ar_str_of(ar_code_public(err->code))},
    };
    c->state = AR_CONN_BUSY;
    c->keep = false;
    ar_body_init(&c->body, true, AR_LENGTH_UNTIL_CLOSE, AR_ENC_IDENTITY, 0);
    c->head.minor = 1;
    ar_conn_open(c, status ? status : said, headers, 3, (int64_t)body.n);
    if (!c->no_body) {
        ar_conn_put(c, ar_buf_view(&body));
    }
    ar_buf_done(&body);
    ar_head_reader_drop(&s->heads, &c->reader);
    ar_conn_settle(c, true);
}

/* path and query of a target in origin-form, absolute-form or "*". */
static void split_target(struct ar_str target, struct ar_request_head *ret)
{
    size_t at = 0;
    if (target.n > 0 && target.p[0] != '/' && target.p[0] != '*') {
        at = ar_str_find(target, AR_LIT("://")) + 3;
        while (at < target.n && target.p[at] != '/' && target.p[at] != '?') {
            at++;
        }
    }
    struct ar_str rest = ar_str_from(target, at);
    size_t mark = ar_str_find_char(rest, '?');
    ret->path = mark == 0 ? AR_LIT("/") : ar_str_head(rest, mark);
    ret->query = ar_str_from(rest, mark + 1);
}

static void begin_request(struct ar_conn *c)
{
    struct ar_server *s = c->server;
    struct ar_head *h = &c->head;
    c->state = AR_CONN_BUSY;
    c->keep = h->keep_alive && !s->draining;
    bool expects = h->expect.p && h->minor >= 1;
    if (expects && !ar_str_is_nocase(h->expect, AR_LIT("100-continue"))) {
        struct ar_err err;
        ar_fail(&err, AR_INVALID_REQUEST, "unknown expectation in Expect");
        refuse(c, &err, h->target, 417);
        return;
    }
    ar_body_init(&c->body, true, h->length, h->encoding, (int64_t)s->limits.body_bytes);
    if (h->length > c->body.out_max && c->body.code == AR_OK) {
        c->body.code = AR_TOO_LARGE;
        snprintf(c->body.note, sizeof(c->body.note), "the request's body is over %zu bytes",
                 s->limits.body_bytes);
    }
    c->continue_due = expects && !c->body.over;
    c->request = (struct ar_request_head){
        .method = h->method,
        .peer_ip = ar_stream_peer(c->stream),
        .headers = h->headers,
        .header_count = h->header_count,
        .body_length = h->length,
        .upgrade_ws = h->upgrade.p && ar_str_is_nocase(h->upgrade, AR_LIT("websocket")),
        .tls = c->tls,
    };
    split_target(h->target, &c->request);
    s->on_request(s->user, c, &c->request);
}

static void read_heads(struct ar_conn *c)
{
    struct ar_server *s = c->server;
    struct ar_head_limits limits = {s->limits.head_bytes, s->limits.headers};
    for (;;) {
        struct ar_str in;
        enum ar_poll poll = ar_stream_peek(c->stream, &in, NULL);
        if (poll == AR_PENDING) {
            return;
        }
        if (poll != AR_READY) {
            close_conn(c);
            return;
        }
        size_t used = 0;
        struct ar_err err = {0};
        poll = ar_head_read_request(&s->heads, &c->reader, &limits, in, &used, &c->head, &err);
        ar_stream_eat(c->stream, used);
        if (poll == AR_READY) {
            begin_request(c);
            return;
        }
        if (poll == AR_FAILED) {
            refuse(c, &err, ar_head_target_so_far(c->reader), 0);
            return;
        }
        if (c->state == AR_CONN_IDLE) {
            enter(c, AR_CONN_HEAD);
        }
    }
}

static void drive(struct ar_conn *c)
{
    switch (c->state) {
    case AR_CONN_IDLE:
    case AR_CONN_HEAD:
        read_heads(c);
        break;
    case AR_CONN_BUSY:
        ar_wake(c->owner);
        break;
    case AR_CONN_FINISH:
        if (ar_conn_push(c)) {
            finish(c);
        } else if (ar_stream_is_dead(c->stream)) {
            struct ar_str in;
            if (ar_stream_peek(c->stream, &in, NULL) == AR_FAILED) {
                close_conn(c);
            }
        }
        break;
    case AR_CONN_DRAIN:
        drain_body(c);
        break;
    case AR_CONN_ABORT:
        if (ar_stream_is_dead(c->stream)) {
            reset_conn(c);
        } else if (ar_conn_push(c) && ar_stream_is_flushed(c->stream)) {
            abort_conn(c);
        }
        break;
    }
}

static void wake_conn(struct ar_waker *w)
{
    drive(AR_HOLDER(w, struct ar_conn, waker));
}

static void run_job(struct ar_job *j)
{
    drive(AR_HOLDER(j, struct ar_conn, job));
}

/* A deadline that is really over. */
static void expire(struct ar_conn *c, int64_t now)
{
    struct ar_err err = {0};
    switch (c->state) {
    case AR_CONN_HEAD:
        ar_fail(&err, AR_REQUEST_TIMEOUT, "the request's head did not arrive within %lld ms",
                (long long)c->server->limits.head_ms);
        refuse(c, &err, ar_head_target_so_far(c->reader), 0);
        break;
    case AR_CONN_BUSY:
        if (c->blocked && send_deadline(c) <= now) {
            c->gone = true;
        } else {
            c->timed_out = true;
        }
        ar_conn_arm(c);
        ar_wake(c->owner);
        break;
    case AR_CONN_IDLE:
    case AR_CONN_DRAIN:
        shut_conn(c);
        break;
    default:
        reset_conn(c);
    }
}

static void fire(struct ar_timer *t)
{
    struct ar_conn *c = AR_HOLDER(t, struct ar_conn, timer);
    int64_t now = ar_loop_now_ms(c->server->loop);
    int64_t at = deadline(c);
    if (at <= now) {
        expire(c, now);
    } else if (at != AR_NEVER) {
        ar_timer_set(c->server->loop, &c->timer, at);
    }
}
