/*
 * Responses over a WebSocket (PROTOCOLS 2.1): GET /v1/responses with an upgrade. The connection's
 * flow stays in this step for as long as it is open: bytes become messages (http/ws.h), each
 * response.create starts a flow of its own without a socket (http/conn.h, inner), whose event
 * stream comes back here and leaves as one text message an event. So authentication, planning,
 * fail-over and records are those of any request. One response at a time. The items of the last
 * answer are kept with the connection: a previous_response_id that names it goes on from it, stored
 * or not. Owns what it keeps; the inner flow is told when it ends first.
 */
#include "flow/flow.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/rand.h"
#include "http/sse.h"
#include "http/ws.h"
#include "json/write.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    OUT_HIGH = 256 << 10, /* above it the inner flow waits */
    ERROR_MAX = 256 << 10,
    FRAME_MAX = 64 << 20,
    ID_MAX = 128,
    OPEN_MS = 60 * 60 * 1000, /* as the vendor's */
};

struct ar_socket {
    struct ar_flow *flow;
    struct ar_ws *ws;
    struct ar_conn *inner; /* of the response under way; NULL: none */
    struct ar_sse sse;
    struct ar_buf error; /* body of an answer that is none */
    int status;
    bool has_ended;       /* the stream of the response said how it ended */
    bool is_full;         /* the inner flow waits for room */
    bool is_deaf;         /* nothing more is read */
    char last_id[ID_MAX]; /* of the last answer; empty: none to go on from */
    struct ar_buf last;   /* its history: all items up to its end */
    struct ar_buf asked;  /* items of the response under way; n 0 and !knows: not all known */
    bool knows;
    int64_t close_ms, ping_ms;
};

/* --- what the client is told --- */

static void send_json(struct ar_socket *s, struct ar_str json)
{
    (void)ar_ws_text(s->ws, json);
    ar_wake(&s->flow->waker);
}

/* {"type":"error"} with the error object of the dialect. */
static void send_error(struct ar_socket *s, int status, struct ar_str error)
{
    struct ar_buf b;
    ar_buf_init(&b, ERROR_MAX + 1024);
    struct ar_jw w = ar_jw_on(&b);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "type", "error");
    ar_jw_key_i64(&w, "status", status);
    ar_jw_key_raw(&w, "error", error);
    ar_jw_close(&w, '}');
    send_json(s, ar_buf_view(&b));
    ar_buf_done(&b);
}

static void refuse(struct ar_socket *s, const char *code, const char *message)
{
    struct ar_buf b;
    ar_buf_init(&b, 4096);
    struct ar_jw w = ar_jw_on(&b);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "type", "invalid_request_error");
    ar_jw_key_text(&w, "code", ar_str_of(code));
    ar_jw_key_text(&w, "message", ar_str_of(message));
    ar_jw_key_null(&w, "param");
    ar_jw_close(&w, '}');
    send_error(s, 400, ar_buf_view(&b));
    ar_buf_done(&b);
}

/* --- the response under way --- */

static void open_inner(void *user, int status, const struct ar_header *h, unsigned n)
{
    (void)h;
    (void)n;
    ((struct ar_socket *)user)->status = status;
}

/* The answer is complete: the next message may go on from it. */
static void note_last(struct ar_socket *s, struct ar_str data)
{
    struct ar_jdoc doc;
    struct ar_arena a;
    ar_arena_init(&a, FRAME_MAX);
    s->last_id[0] = '\0';
    ar_buf_clear(&s->last);
    if (s->knows && ar_json_parse(data, 3, &a, &doc, NULL) == AR_OK) {
        struct ar_jval r = ar_json_get_lit(ar_json_root(&doc), "response");
        struct ar_str id = ar_json_esc(ar_json_get_lit(r, "id"));
        struct ar_jval output = ar_json_get_lit(r, "output");
        struct ar_str items = ar_recall_items(output, &a);
        ar_buf_str(&s->last, ar_buf_view(&s->asked));
        if (items.n > 0 && s->last.n > 0) {
            ar_buf_char(&s->last, ',');
        }
        ar_buf_str(&s->last, items);
        if (id.n > 0 && id.n < ID_MAX && ar_json_is(output, AR_J_ARRAY) &&
            ar_buf_finish(&s->last) == AR_OK) {
            memcpy(s->last_id, id.p, id.n);
            s->last_id[id.n] = '\0';
        }
    }
    ar_arena_done(&a);
}

static void send_frame(struct ar_socket *s, const struct ar_frame *f)
{
    if (f->data.n == 0 || ar_str_is_lit(f->data, "[DONE]")) {
        return; /* a keep-alive */
    }
    bool whole = ar_str_is_lit(f->name, "response.completed") ||
                 ar_str_is_lit(f->name, "response.incomplete");
    s->has_ended |=
        whole || ar_str_is_lit(f->name, "response.failed") || ar_str_is_lit(f->name, "error");
    if (whole) {
        note_last(s, f->data);
    }
    send_json(s, f->data);
}

static size_t write_inner(void *user, struct ar_str bytes)
{
    struct ar_socket *s = user;
    struct ar_frame frame;
    size_t used;
    if (s->status >= 400) {
        ar_buf_str(&s->error, bytes);
        return bytes.n;
    }
    if (ar_ws_out(s->ws).n >= OUT_HIGH) {
        s->is_full = true;
        return 0;
    }
    for (struct ar_str rest = bytes; rest.n > 0; rest = ar_str_from(rest, used)) {
        enum ar_poll poll = ar_sse_next(&s->sse, rest, &used, &frame);
        if (poll == AR_FAILED) {
            ar_inner_cut(s->inner, false);
            break;
        }
        if (poll == AR_READY) {
            send_frame(s, &frame);
        }
    }
    return bytes.n;
}

static void tell_failure(struct ar_socket *s)
{
    struct ar_arena a;
    struct ar_jdoc doc;
    struct ar_str error = {NULL, 0};
    ar_arena_init(&a, (size_t)16 * ERROR_MAX);
    if (s->status >= 400 && ar_buf_finish(&s->error) == AR_OK &&
        ar_json_parse(ar_buf_view(&s->error), 1, &a, &doc, NULL) == AR_OK) {
        error = ar_json_raw(ar_json_get_lit(ar_json_root(&doc), "error"));
    }
    send_error(s, s->status >= 400 ? s->status : 500,
               error.p ? error
                       : AR_LIT("{\"type\":\"server_error\",\"code\":\"server_error\",\"message\":"
                                "\"the response ended early\",\"param\":null}"));
    ar_arena_done(&a);
}

static void end_inner(void *user, bool clean)
{
    struct ar_socket *s = user;
    (void)clean;
    s->inner = NULL;
    s->is_full = false;
    if (!s->has_ended) {
        tell_failure(s);
    }
    ar_wake(&s->flow->waker);
}

/* --- messages --- */

static const struct ar_str NOT_SENT[] = {AR_LIT_INIT("type"), AR_LIT_INIT("stream"),
                                         AR_LIT_INIT("background"), AR_LIT_INIT("generate")};

/* The body of a request: this message's items, behind the last answer's when it goes on from it. A
 * previous response that this connection does not hold is left for the inner flow to find. */
static void make_body(struct ar_socket *s, struct ar_jval root, struct ar_arena *a,
                      struct ar_buf *out)
{
    struct ar_str previous = ar_json_esc(ar_json_get_lit(root, "previous_response_id"));
    bool goes_on = previous.n > 0 && s->last_id[0] && ar_str_is(previous, ar_str_of(s->last_id));
    struct ar_str items = ar_recall_items(ar_json_get_lit(root, "input"), a);
    struct ar_jval talk = ar_json_get_lit(root, "conversation");
    s->knows = (goes_on || previous.n == 0) && ar_json_is_nil(talk);
    ar_buf_clear(&s->asked);
    if (goes_on) {
        ar_buf_str(&s->asked, ar_buf_view(&s->last));
        if (items.n > 0 && s->asked.n > 0) {
            ar_buf_char(&s->asked, ',');
        }
    }
    ar_buf_str(&s->asked, items);
    ar_recall_body(root, (struct ar_str){NULL, 0}, ar_buf_view(&s->asked), NOT_SENT,
                   sizeof NOT_SENT / sizeof *NOT_SENT, out);
    out->n -= out->n > 0;
    ar_buf_lit(out, ",\"stream\":true");
    if (previous.n > 0 && !goes_on) {
        ar_buf_fmt(out, ",\"previous_response_id\":%.*s",
                   AR_FMT(ar_json_raw(ar_json_get_lit(root, "previous_response_id"))));
    }
    if (!ar_json_is_nil(talk)) {
        ar_buf_fmt(out, ",\"conversation\":%.*s", AR_FMT(ar_json_raw(talk)));
    }
    ar_buf_char(out, '}');
}

static void start(struct ar_socket *s, struct ar_jval root, struct ar_arena *a)
{
    static const struct ar_inner_ops OPS = {open_inner, write_inner, end_inner};
    const struct ar_request_head *copy;
    struct ar_flow *f = s->flow;
    struct ar_request_head head = *f->head;
    struct ar_buf body;
    ar_buf_init(&body, f->body.max + 4096);
    make_body(s, root, a, &body);
    if (ar_buf_finish(&body) != AR_OK || ar_buf_finish(&s->asked) != AR_OK) {
        ar_buf_done(&body);
        refuse(s, "request_too_large", "the history is over body_limit");
        return;
    }
    head.method = AR_LIT("POST");
    head.path = AR_LIT("/v1/responses");
    ar_sse_done(&s->sse);
    ar_sse_init(&s->sse, FRAME_MAX);
    ar_buf_clear(&s->error);
    s->status = 0;
    s->has_ended = false;
    struct ar_conn *inner = ar_inner_new(&head, ar_buf_view(&body), &OPS, s, &copy);
    ar_buf_done(&body);
    if (!inner) {
        refuse(s, "server_error", "out of memory");
        return;
    }
    s->inner = inner;
    ar_flow_start(f->worker, inner, copy); /* may be over when it returns */
}

/* generate: false: the history is taken, nothing is asked of a model. */
static void take_history(struct ar_socket *s, struct ar_jval root, struct ar_arena *a)
{
    static const char *const STATES[] = {"in_progress", "completed"};
    static const char *const EVENTS[] = {"response.created", "response.completed"};
    uint8_t seed[16];
    char id[25];
    struct ar_buf body;
    ar_buf_init(&body, s->flow->body.max + 4096);
    make_body(s, root, a, &body);
    struct ar_str model = ar_json_raw(ar_json_get_lit(root, "model"));
    ar_buf_done(&body);
    if (!s->knows || ar_buf_finish(&s->asked) != AR_OK) {
        refuse(s, "previous_response_not_found", "this connection does not hold that response");
        return;
    }
    ar_random_bytes(seed, sizeof seed);
    ar_id_hex(seed, "response", 0, 24, id);
    (void)snprintf(s->last_id, sizeof s->last_id, "resp_%s", id);
    ar_buf_clear(&s->last);
    ar_buf_str(&s->last, ar_buf_view(&s->asked));
    for (unsigned i = 0; i < 2; i++) {
        struct ar_str text = ar_arena_fmt(
            a,
            "{\"type\":\"%s\",\"sequence_number\":%u,\"response\":{\"id\":\"%s\",\"object\":"
            "\"response\",\"created_at\":%lld,\"status\":\"%s\",\"error\":null,"
            "\"incomplete_details\":null,\"model\":%.*s,\"output\":[],\"usage\":{\"input_tokens\":"
            "0,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":0,"
            "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":0}}}",
            EVENTS[i], i, s->last_id, (long long)(ar_clock_unix_ms() / 1000), STATES[i],
            model.p ? (int)model.n : 4, model.p ? model.p : "null");
        send_json(s, text);
    }
}

static void take_message(struct ar_socket *s, struct ar_str text)
{
    struct ar_arena a;
    struct ar_jdoc doc;
    struct ar_err err;
    ar_arena_init(&a, (size_t)s->flow->snapshot->config->limits_request_memory);
    if (ar_json_parse(text, 2, &a, &doc, &err) != AR_OK ||
        !ar_json_is(ar_json_root(&doc), AR_J_OBJECT)) {
        refuse(s, "invalid_json", "a message is one JSON object with a type");
        ar_arena_done(&a);
        return;
    }
    struct ar_jval root = ar_json_root(&doc);
    struct ar_str type = ar_json_esc(ar_json_get_lit(root, "type"));
    bool is_create = ar_str_is_lit(type, "response.create");
    uint32_t at;
    if (is_create && !ar_recall_is_input(ar_json_get_lit(root, "input"), &at)) {
        refuse(s, "invalid_input", "input is a string or a list of objects");
    } else if (is_create && s->inner) {
        refuse(s, "response_in_progress",
               "one response at a time: wait for its end, or open another connection");
    } else if (is_create && ar_json_is(ar_json_get_lit(root, "generate"), AR_J_FALSE)) {
        take_history(s, root, &a);
    } else if (is_create) {
        start(s, root, &a);
    } else if (ar_str_is_lit(type, "response.steer")) {
        refuse(s, "unsupported_event",
               "response.steer is not offered here: send response.create after the response");
    } else {
        refuse(s, "unknown_event", "the client's event is response.create");
    }
    ar_arena_done(&a);
}

/* --- the connection --- */

void ar_flow_socket_done(struct ar_flow *f)
{
    struct ar_socket *s = f->socket;
    if (!s) {
        return;
    }
    f->socket = NULL;
    if (s->inner) {
        ar_inner_cut(s->inner, true);
    }
    ar_ws_free(s->ws);
    ar_sse_done(&s->sse);
    ar_buf_done(&s->error);
    ar_buf_done(&s->last);
    ar_buf_done(&s->asked);
    free(s);
}

/* RFC 6455 4.2. */
static enum ar_next open_socket(struct ar_flow *f)
{
    const struct ar_request_head *h = f->head;
    struct ar_str key = ar_header_lit(h->headers, h->header_count, "sec-websocket-key");
    struct ar_str version = ar_header_lit(h->headers, h->header_count, "sec-websocket-version");
    char accept[29];
    if (!ar_str_is_lit(version, "13")) {
        return ar_flow_fail(f, AR_UPGRADE_REQUIRED, "the WebSocket version is 13");
    }
    if (!ar_ws_accept(key, accept)) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "Sec-WebSocket-Key is no key");
    }
    struct ar_socket *s = calloc(1, sizeof *s);
    if (!s || !(s->ws = ar_ws_new(f->body.max))) {
        free(s);
        return ar_flow_fail(f, AR_INTERNAL, "out of memory");
    }
    size_t most = f->body.max + FRAME_MAX;
    int64_t now = ar_loop_now_ms(f->worker->loop);
    s->flow = f;
    s->close_ms = now + OPEN_MS;
    s->ping_ms = now + f->snapshot->config->ping_interval;
    ar_sse_init(&s->sse, FRAME_MAX);
    ar_buf_init(&s->error, ERROR_MAX);
    ar_buf_init(&s->last, most);
    ar_buf_init(&s->asked, most);
    f->socket = s;
    struct ar_header v[] = {
        {AR_LIT("sec-websocket-accept"), ar_str_of(accept)},
        {AR_LIT("x-anyrouter-request-id"), ar_str_of(f->record.request_id)},
    };
    ar_conn_upgrade(f->conn, v, 2);
    f->commit = AR_COMMITTED;
    f->record.status_sent = 101;
    f->record.client_dialect = "local";
    return AR_MORE;
}

/* The client has seen the end of its response and may send the next message; its flow has not yet
 * seen the end of the upstream's stream. */
static bool is_ending(const struct ar_socket *s)
{
    return s->inner && s->has_ended;
}

/* false: the client's side is closed. */
static bool read_messages(struct ar_socket *s)
{
    struct ar_str piece, text;
    struct ar_err err;
    for (;;) {
        while (!is_ending(s) && ar_ws_next(s->ws, &text)) {
            take_message(s, text);
        }
        if (s->is_deaf || is_ending(s) || ar_ws_out(s->ws).n >= OUT_HIGH) {
            return true; /* who does not read what he is told is not listened to */
        }
        enum ar_poll poll = ar_conn_peek(s->flow->conn, &piece, &err);
        if (poll != AR_READY) {
            return poll == AR_PENDING;
        }
        s->is_deaf = !ar_ws_put(s->ws, piece);
        ar_conn_eat(s->flow->conn, piece.n);
    }
}

/* true: all is out. */
static bool send_bytes(struct ar_socket *s)
{
    struct ar_str out = ar_ws_out(s->ws);
    ar_ws_sent(s->ws, out.n > 0 ? ar_conn_write(s->flow->conn, out) : 0);
    ar_conn_flush(s->flow->conn);
    size_t left = ar_ws_out(s->ws).n;
    if (s->is_full && left < OUT_HIGH / 2) {
        s->is_full = false;
        ar_inner_wake(s->inner);
    }
    return left == 0;
}

/* Closes when its time is over or the gateway stops, between two responses; pings. */
static void keep_time(struct ar_socket *s, int64_t now)
{
    if (!s->inner && s->flow->worker->draining) {
        ar_ws_close(s->ws, AR_WS_GOING_AWAY, AR_LIT("the gateway stops"));
        s->is_deaf = true;
    } else if (!s->inner && now >= s->close_ms) {
        refuse(s, "websocket_connection_limit_reached", "60 minutes are over: connect anew");
        ar_ws_close(s->ws, AR_WS_NORMAL, AR_LIT("60 minutes"));
    } else if (now >= s->ping_ms) {
        (void)ar_ws_ping(s->ws);
        s->ping_ms = now + s->flow->snapshot->config->ping_interval;
    }
}

enum ar_next ar_run_socket(struct ar_flow *f)
{
    if (!f->socket) {
        return open_socket(f);
    }
    struct ar_socket *s = f->socket;
    int64_t now = ar_loop_now_ms(f->worker->loop);
    ar_flow_renew(f); /* messages are flows of their own and have it already */
    if (s->ping_ms > now + f->snapshot->config->ping_interval) {
        s->ping_ms = now + f->snapshot->config->ping_interval;
    }
    bool open = !ar_conn_is_gone(f->conn) && read_messages(s);
    keep_time(s, now);
    bool sent = send_bytes(s);
    bool is_over = !open || (sent && ar_ws_is_over(s->ws));
    if (is_over || s->is_deaf) {
        if (s->inner) { /* a client that said goodbye does not wait for its answer */
            ar_inner_cut(s->inner, false);
        }
        f->gone = !open;
        if (is_over && !s->inner) {
            return ar_flow_to(f, &ar_step_settle);
        }
    }
    int64_t until = s->inner ? s->ping_ms : s->ping_ms < s->close_ms ? s->ping_ms : s->close_ms;
    return ar_flow_wait(f, AR_W_CLIENT | AR_W_CALL | AR_W_CLOCK, until);
}
