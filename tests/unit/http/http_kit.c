/* The shared parts of the HTTP tests (http_kit.h). */
#include "http/http_kit.h"

#include <stdio.h>
#include <stdlib.h>

enum { BIG = 1 << 20 };

static void tick(struct ar_timer *t)
{
    struct kit *k = AR_HOLDER(t, struct kit, tick);
    k->ok = k->until && k->until(k->arg);
    if (k->ok || ar_loop_now_ms(k->loop) >= k->deadline_ms) {
        ar_loop_stop(k->loop);
    } else {
        ar_timer_set(k->loop, t, ar_loop_now_ms(k->loop) + 1);
    }
}

void kit_init(struct kit *k)
{
    *k = (struct kit){.loop = ar_loop_new(), .tick = {.fire = tick, .at_ms = AR_NEVER}};
    assert_non_null(k->loop);
}

void kit_done(struct kit *k)
{
    ar_timer_clear(k->loop, &k->tick);
    ar_loop_free(k->loop);
}

bool kit_until(struct kit *k, int64_t ms, bool (*until)(void *arg), void *arg)
{
    if (until && until(arg)) {
        return true;
    }
    k->until = until;
    k->arg = arg;
    k->deadline_ms = ar_loop_now_ms(k->loop) + ms;
    ar_timer_set(k->loop, &k->tick, ar_loop_now_ms(k->loop));
    ar_loop_run(k->loop);
    return k->ok;
}

void kit_run(struct kit *k, int64_t ms)
{
    kit_until(k, ms, NULL, NULL);
}

static void drive_peer(struct kit_peer *p)
{
    if (!p->stream) {
        return;
    }
    struct ar_str out = ar_buf_view(&p->out);
    if (out.n > 0) {
        ar_buf_eat(&p->out, ar_stream_write(p->stream, &out, 1));
    }
    struct ar_str in;
    struct ar_err err;
    while (!p->paused && !p->ended && !p->failed) {
        enum ar_poll poll = ar_stream_peek(p->stream, &in, &err);
        if (poll == AR_PENDING) {
            break;
        }
        p->ended = poll == AR_ENDED;
        p->failed = poll == AR_FAILED;
        if (poll == AR_READY) {
            ar_buf_str(&p->in, in);
            ar_stream_eat(p->stream, in.n);
        }
    }
}

static void wake_peer(struct ar_waker *w)
{
    drive_peer(AR_HOLDER(w, struct kit_peer, waker));
}

void kit_peer_init(struct kit_peer *p, struct kit *k, struct ar_stream *s)
{
    *p = (struct kit_peer){.kit = k, .stream = s, .waker = {wake_peer}};
    ar_buf_init(&p->in, 64 << 20);
    ar_buf_init(&p->out, 64 << 20);
    ar_stream_set_waker(s, &p->waker);
}

void kit_peer_send(struct kit_peer *p, struct ar_str bytes)
{
    ar_buf_str(&p->out, bytes);
    drive_peer(p);
}

void kit_peer_close(struct kit_peer *p)
{
    if (p->stream) {
        ar_stream_close(p->stream);
        p->stream = NULL;
    }
    ar_buf_done(&p->in);
    ar_buf_done(&p->out);
}

void kit_peer_resume(struct kit_peer *p)
{
    p->paused = false;
    drive_peer(p);
}

static bool has_enough(void *arg)
{
    struct kit_peer *p = arg;
    return p->in.n >= p->want;
}

bool kit_peer_want(struct kit_peer *p, size_t n)
{
    p->want = n;
    return kit_until(p->kit, 3000, has_enough, p);
}

static bool has_end(void *arg)
{
    struct kit_peer *p = arg;
    return p->ended || p->failed;
}

bool kit_peer_want_end(struct kit_peer *p)
{
    return kit_until(p->kit, 3000, has_end, p);
}

bool kit_peer_has(const struct kit_peer *p, const char *text)
{
    return ar_str_has(ar_buf_view(&p->in), ar_str_of(text));
}

struct wanted {
    struct kit_peer *peer;
    const char *text;
};

static bool has_text(void *arg)
{
    struct wanted *w = arg;
    return kit_peer_has(w->peer, w->text);
}

bool kit_peer_want_text(struct kit_peer *p, const char *text)
{
    struct wanted w = {p, text};
    return kit_until(p->kit, 3000, has_text, &w);
}

/* The owner of one request. */
struct kit_owner {
    struct kit_owner *next;
    struct kit_server *server;
    struct ar_conn *conn;
    struct ar_waker waker;
    struct ar_buf body;
    char path[64];
    size_t written;
    bool read_all, opened;
};

static void end_owner(struct kit_owner *o, bool clean)
{
    struct kit_server *s = o->server;
    struct kit_owner **at = &s->owners;
    while (*at != o) {
        at = &(*at)->next;
    }
    *at = o->next;
    s->ended++;
    ar_buf_done(&s->last_body);
    s->last_body = o->body;
    ar_conn_end(o->conn, clean);
    free(o);
}

static void answer(struct kit_owner *o, int status, const char *text)
{
    struct ar_header h = {AR_LIT("x-test"), AR_LIT("1")};
    ar_conn_open(o->conn, status, &h, 1, (int64_t)strlen(text));
    ar_conn_write(o->conn, ar_str_of(text));
    end_owner(o, true);
}

static bool is_path(const struct kit_owner *o, const char *path)
{
    return strcmp(o->path, path) == 0;
}

static struct ar_str big(void)
{
    static char bytes[BIG];
    if (!bytes[0]) {
        for (size_t i = 0; i < BIG; i++) {
            bytes[i] = (char)('a' + i % 25);
        }
    }
    return ar_str_n(bytes, BIG);
}

static void write_all(struct kit_owner *o, struct ar_str bytes, int64_t length)
{
    if (!o->opened) {
        o->opened = true;
        ar_conn_open(o->conn, 200, NULL, 0, length);
    }
    size_t n;
    do {
        struct ar_str rest = ar_str_from(bytes, o->written);
        n = rest.n ? ar_conn_write(o->conn, rest) : 0;
        o->written += n;
    } while (n > 0);
    if (o->written == bytes.n) {
        end_owner(o, true);
    }
}

static void act(struct kit_owner *o)
{
    if (is_path(o, "/chunk")) {
        write_all(o, ar_buf_view(&o->body), -1);
    } else if (is_path(o, "/big") || is_path(o, "/biglen")) {
        write_all(o, big(), is_path(o, "/big") ? -1 : BIG);
    } else if (strncmp(o->path, "/status/", 8) == 0) {
        answer(o, (int)strtol(o->path + 8, NULL, 10), "");
    } else if (is_path(o, "/cut") || is_path(o, "/cutlen") || is_path(o, "/wait")) {
        if (!o->opened) {
            o->opened = true;
            ar_conn_open(o->conn, 200, NULL, 0, is_path(o, "/cutlen") ? 100 : -1);
            ar_conn_write(o->conn, AR_LIT("part of it"));
            if (!is_path(o, "/wait")) {
                end_owner(o, is_path(o, "/cutlen"));
            }
        }
    } else if (!is_path(o, "/hang")) {
        write_all(o, ar_buf_view(&o->body), (int64_t)o->body.n);
    }
}

/* What is there of the body: ENDED when it is all. */
static enum ar_poll take_body(struct kit_owner *o, struct ar_err *err)
{
    struct ar_str in;
    enum ar_poll poll;
    if (is_path(o, "/read")) {
        return ar_conn_read(o->conn, &o->body, err);
    }
    while ((poll = ar_conn_peek(o->conn, &in, err)) == AR_READY) {
        ar_buf_str(&o->body, in);
        ar_conn_eat(o->conn, in.n);
    }
    return poll;
}

static void drive_owner(struct kit_owner *o)
{
    struct kit_server *s = o->server;
    if (is_path(o, "/early")) {
        answer(o, 200, "early");
        return;
    }
    if (!o->read_all) {
        struct ar_err err = {0};
        enum ar_poll poll = take_body(o, &err);
        if (poll == AR_FAILED) {
            s->last_code = err.code;
            snprintf(s->last_note, sizeof(s->last_note), "%s", err.note);
            if (err.code == AR_CLIENT_CLOSED) {
                s->gone++;
                end_owner(o, false);
            } else {
                answer(o, ar_code_status(err.code), err.note);
            }
            return;
        }
        o->read_all = poll == AR_ENDED;
    }
    if (ar_conn_is_gone(o->conn)) {
        s->gone++;
        end_owner(o, false);
    } else if (o->read_all) {
        act(o);
    }
}

static void wake_owner(struct ar_waker *w)
{
    drive_owner(AR_HOLDER(w, struct kit_owner, waker));
}

static void copy_z(char *to, size_t cap, struct ar_str s)
{
    size_t n = s.n < cap - 1 ? s.n : cap - 1;
    memcpy(to, s.p ? s.p : "", n);
    to[n] = 0;
}

static void on_request(void *user, struct ar_conn *c, const struct ar_request_head *h)
{
    struct kit_server *s = user;
    struct kit_owner *o = calloc(1, sizeof(*o));
    s->requests++;
    copy_z(s->last_method, sizeof(s->last_method), h->method);
    copy_z(s->last_path, sizeof(s->last_path), h->path);
    copy_z(s->last_query, sizeof(s->last_query), h->query);
    s->last_length = h->body_length;
    s->last_ws = h->upgrade_ws;
    copy_z(o->path, sizeof(o->path), h->path);
    ar_buf_init(&o->body, 64 << 20);
    o->server = s;
    o->conn = c;
    o->waker.wake = wake_owner;
    o->next = s->owners;
    s->owners = o;
    ar_conn_set_waker(c, &o->waker);
    drive_owner(o);
}

static int on_bad(void *user, enum ar_code code, const char *note, struct ar_str path,
                  struct ar_buf *ret_body)
{
    struct kit_server *s = user;
    s->bad++;
    s->last_code = code;
    snprintf(s->last_note, sizeof(s->last_note), "%s", note);
    copy_z(s->last_path, sizeof(s->last_path), path);
    ar_buf_fmt(ret_body, "{\"bad\":\"%s\"}", note);
    return ar_code_status(code);
}

struct ar_conn_limits kit_limits(void)
{
    return (struct ar_conn_limits){.head_bytes = 8192,
                                   .body_bytes = 16 << 20,
                                   .headers = 20,
                                   .head_ms = 20000,
                                   .body_ms = 20000,
                                   .idle_ms = 20000,
                                   .send_ms = 20000,
                                   .connections = 100};
}

void kit_server_init(struct kit_server *s, struct kit *k, const struct ar_conn_limits *limits)
{
    *s = (struct kit_server){.kit = k};
    s->server = ar_server_new(k->loop, limits, on_request, on_bad, s);
}

void kit_server_done(struct kit_server *s)
{
    while (s->owners) {
        end_owner(s->owners, false);
    }
    ar_server_free(s->server);
    ar_buf_done(&s->last_body);
}

void kit_connect(struct kit_server *s, struct kit_peer *ret_client)
{
    struct ar_stream *pair[2];
    ar_stream_pair(s->kit->loop, pair);
    kit_peer_init(ret_client, s->kit, pair[0]);
    ar_server_accept(s->server, pair[1], false);
}
