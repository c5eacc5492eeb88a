/*
 * An attempt over HTTP: encode (or cut the native body into pieces), send, and turn whatever comes
 * back into events; whole answers and streams are read in call_whole.c and call_stream.c. One state
 * field, asked by next(); every way to fail leaves by ar_call_fail() as one ERROR event. It owns
 * the exchange, the encoded body, the reader and the buffers of the answer; it borrows everything
 * in the spec. It never decides where to go next and never sees the client.
 */
#include "provider/call.h"

#include <stdlib.h>

#define AWS_STREAM "application/vnd.amazon.eventstream"
enum { ERROR_BODY_MAX = 1 << 20, FRAME_MAX = 16 << 20, SPARE_BYTES = 16384 };

static void mask(struct http_call *c, struct ar_str secret, struct ar_str *s)
{
    if (secret.n < 4 || s->n == 0 || !ar_str_has(*s, secret)) {
        return;
    }
    struct ar_buf b;
    ar_buf_init(&b, s->n + 16);
    struct ar_str rest = *s;
    for (size_t at; (at = ar_str_find(rest, secret)) < rest.n;
         rest = ar_str_from(rest, at + secret.n)) {
        ar_buf_put(&b, rest.p, at);
        ar_buf_lit(&b, "***");
    }
    ar_buf_str(&b, rest);
    *s = ar_arena_copy(&c->arena, ar_buf_view(&b));
    ar_buf_done(&b);
}

static void masked(struct http_call *c, struct ar_str *s)
{
    mask(c, c->spec->secret, s);
    for (unsigned i = 0; c->scheme && i < AR_AUTH_MASKS; i++) {
        mask(c, c->auth.masks[i], s);
    }
}

bool ar_call_fail(struct http_call *c, const struct ar_fault *fault, struct ar_event *ret)
{
    c->fault = *fault;
    masked(c, &c->fault.message);
    masked(c, &c->fault.raw_body);
    masked(c, &c->fault.details);
    c->state = CALL_OVER;
    *ret = (struct ar_event){.kind = AR_EV_ERROR, .fault = &c->fault};
    return true;
}

static enum ar_blame blame_of(enum ar_code code)
{
    switch (ar_code_retry(code)) {
    case AR_RETRY_PLACE:
    case AR_RETRY_LATER:
        return AR_OF_PLACE;
    case AR_RETRY_KEY:
        return AR_OF_KEY;
    case AR_RETRY_MODEL:
        return AR_OF_MODEL;
    case AR_RETRY_NO:
        break;
    }
    return code == AR_INTERNAL ? AR_OF_US : AR_OF_CALLER;
}

bool ar_call_fail_code(struct http_call *c, enum ar_code code, const char *note,
                       struct ar_event *ret)
{
    struct ar_fault f = {.code = code, .blame = blame_of(code), .retry_after_ms = -1};
    f.message = ar_arena_copy(&c->arena, ar_str_of(note));
    return ar_call_fail(c, &f, ret);
}

static void fire(struct ar_timer *t)
{
    struct http_call *c = AR_HOLDER(t, struct http_call, timer);
    c->is_late = true;
    ar_wake(c->spec->waker);
}

void ar_call_arm(struct http_call *c, int64_t in_ms)
{
    c->is_late = false;
    ar_timer_set(c->spec->loop, &c->timer,
                 in_ms > 0 ? ar_loop_now_ms(c->spec->loop) + in_ms : AR_NEVER);
}

static struct ar_str accept_of(const struct ar_call_spec *s)
{
    const struct ar_body_form *form = ar_body_form_of(s);
    return !s->upstream_stream           ? AR_LIT("application/json")
           : form && form->accept_stream ? ar_str_of(form->accept_stream)
                                         : AR_LIT("text/event-stream");
}

/* Request headers into c->headers; the spec's, then auth, then the dialect's; room is left for
 * those of a scheme. */
static unsigned put_headers(struct http_call *c, const struct ar_encoded *e)
{
    const struct ar_call_spec *s = c->spec;
    unsigned n = 0;
    c->headers = ar_arena_alloc(c->mem, (s->header_count + CALL_OWN_HEADERS) * sizeof *c->headers);
    if (!c->headers) {
        return 0; /* over the cap: the upstream refuses the bare request */
    }
    for (unsigned i = 0; i < s->header_count; i++) {
        c->headers[n++] = s->headers[i];
    }
    if (s->auth_value.n > 0) {
        c->headers[n++] = (struct ar_header){s->auth_header, s->auth_value};
    }
    for (unsigned i = 0; i < e->header_count; i++) {
        c->headers[n++] = (struct ar_header){e->headers[i].name, e->headers[i].value};
    }
    if (s->op == AR_OP_PASS) {
        return n;
    }
    if (!ar_header_lit(c->headers, n, "content-type").p) {
        c->headers[n++] = (struct ar_header){AR_LIT("content-type"), AR_LIT("application/json")};
    }
    if (!ar_header_lit(c->headers, n, "accept").p) {
        c->headers[n++] = (struct ar_header){AR_LIT("accept"), accept_of(s)};
    }
    return n;
}

/* Takes the header of the name out of c->headers. */
static struct ar_str take_header(struct http_call *c, unsigned *count, struct ar_str name)
{
    struct ar_str value = {"", 0};
    unsigned n = 0;
    for (unsigned i = 0; i < *count; i++) {
        if (ar_str_is_nocase(c->headers[i].name, name)) {
            value = c->headers[i].value;
        } else {
            c->headers[n++] = c->headers[i];
        }
    }
    *count = n;
    return value;
}

/* The body as the place wants it, instead of parts; what went into it leaves the headers. */
static enum ar_code adapt(struct http_call *c, unsigned *parts, struct ar_err *err)
{
    struct ar_call_spec *s = c->spec;
    struct ar_exchange_spec *x = &c->exchange_spec;
    struct ar_adapt how = {.form = ar_body_form_of(s),
                           .body = s->native ? s->body : c->parts[0],
                           .doc = s->native ? &s->outline->doc : NULL,
                           .model = s->target.model,
                           .keeps_model = s->op == AR_OP_COUNT};
    struct ar_buf out;
    if (!how.form) {
        return AR_OK;
    }
    (void)take_header(c, &x->header_count, AR_LIT("anthropic-version"));
    how.betas = take_header(c, &x->header_count, AR_LIT("anthropic-beta"));
    ar_buf_init(&out, s->whole_max * 4);
    (void)ar_buf_reserve(&out, how.body.n + 256);
    enum ar_code code = ar_body_adapt(&how, &c->arena, &out, err);
    ar_buf_done(&c->body);
    c->body = out;
    c->parts[0] = ar_buf_view(&c->body);
    *parts = 1;
    return code;
}

static void send(struct http_call *c)
{
    c->exchange_spec.headers = c->headers;
    c->exchange = ar_exchange_start(c->spec->pool, &c->exchange_spec);
    c->state = CALL_HEAD;
}

/* The proof of a scheme, as soon as it can be had; then the exchange begins. */
static bool prepare(struct http_call *c, struct ar_event *ret)
{
    struct ar_err err = {0};
    enum ar_poll p = c->scheme->prepare ? c->scheme->prepare(&c->auth, &err) : AR_READY;
    if (p == AR_PENDING) {
        return c->is_late &&
               ar_call_fail_code(c, AR_UPSTREAM_TIMEOUT, "no access token came in time", ret);
    }
    if (p == AR_READY && c->scheme->sign(&c->auth, &err) == AR_OK) {
        for (unsigned i = 0; c->headers && i < c->auth.add_count; i++) {
            c->headers[c->exchange_spec.header_count++] = c->auth.add[i];
        }
        send(c);
        return false;
    }
    struct ar_fault f = {.code = err.code ? err.code : AR_UPSTREAM_CREDENTIALS,
                         .blame = AR_OF_KEY,
                         .retry_after_ms = -1,
                         .message = ar_arena_copy(&c->arena, ar_str_of(err.note))};
    return ar_call_fail(c, &f, ret);
}

/* What was encoded is made what the place wants; then the exchange begins, or its proof is
 * prepared. */
static void begin(struct http_call *c, unsigned parts)
{
    struct ar_call_spec *s = c->spec;
    struct ar_err err = {0};
    enum ar_code code = adapt(c, &parts, &err);
    c->exchange_spec.part_count = parts;
    ar_call_arm(c, s->upstream_stream ? s->first_byte_ms : s->total_ms);
    const struct ar_auth_scheme *scheme = s->secret.n > 0 ? ar_auth_scheme_of(s->auth) : NULL;
    if (code != AR_OK) {
        c->early = (struct ar_fault){.code = code, .blame = blame_of(code), .retry_after_ms = -1};
        c->early.message = ar_arena_copy(&c->arena, ar_str_of(err.note));
    } else if (scheme) {
        c->scheme = scheme;
        c->auth = (struct ar_auth_job){.spec = s,
                                       .headers = c->headers,
                                       .header_count = c->exchange_spec.header_count,
                                       .parts = c->parts,
                                       .part_count = parts,
                                       .now_unix = s->stamp.now_unix,
                                       .arena = c->mem};
        c->state = CALL_PREPARE;
    } else {
        send(c);
    }
}

/* Body and headers. A refused encoding is kept as the fault that next() gives. */
static void encode(struct http_call *c)
{
    struct ar_call_spec *s = c->spec;
    struct ar_encoded e = {.body = &c->body};
    unsigned parts;
    if (s->native) {
        struct ar_edit edits[AR_EDITS_MAX];
        struct ar_edit_wish wish = {s->target.model, s->keep_wishes, s->ask_usage, s->force_whole};
        wish.keep_wishes |= s->op == AR_OP_PASS;
        bool edits_model = s->op != AR_OP_PASS || s->outline->model_at.n > 0;
        unsigned n = edits_model ? ar_native_edits(s->body, s->outline, &wish, c->mem, edits) : 0;
        parts = ar_edits_apply(s->body, edits, n, c->parts);
    } else {
        (void)ar_buf_reserve(&c->body, s->outline->body_bytes + s->outline->body_bytes / 8 +
                                           1024); /* seldom grows */
        enum ar_code code =
            s->dialect->encode_request(s->request, s->op, &s->target, &c->arena, s->losses, &e);
        code = code == AR_OK ? ar_buf_finish(&c->body) : code;
        if (code != AR_OK) {
            c->early =
                (struct ar_fault){.code = code, .blame = blame_of(code), .retry_after_ms = -1};
            c->early.message = ar_arena_copy(&c->arena, ar_str_of(s->losses->why));
            c->early.param = ar_arena_copy(&c->arena, ar_str_of(s->losses->field));
            return;
        }
        c->parts[0] = ar_buf_view(&c->body);
        parts = 1;
        c->undo = e.undo;
        c->stops = e.stops;
    }
    c->exchange_spec = (struct ar_exchange_spec){
        .origin = &s->origin,
        .method = s->method,
        .target = s->path,
        .header_count = put_headers(c, &e),
        .parts = c->parts,
        .connect_ms = s->connect_ms,
        .head_ms = s->upstream_stream ? s->first_byte_ms : s->total_ms,
        .idle_ms = s->upstream_stream ? s->silence_ms : s->total_ms,
        .waker = s->waker,
    };
    begin(c, parts);
}

static struct ar_call *start(struct ar_call_spec *spec)
{
    struct http_call *c = ar_arena_alloc(spec->arena, sizeof *c);
    bool on_heap = c == NULL;
    if (on_heap) {
        c = malloc(sizeof *c);
        AR_ASSERT(c != NULL);
    }
    memset(c, 0, offsetof(struct http_call, parts));
    c->on_heap = on_heap;
    c->call.ops = &ar_http_call;
    c->spec = spec;
    c->timer.fire = fire;
    ar_arena_init(&c->arena, spec->whole_max * 4);
    c->mem = spec->native ? spec->arena : &c->arena;
    ar_buf_init(&c->body, spec->whole_max * 4);
    ar_buf_init(&c->whole, spec->whole_max);
    if (spec->spare) {
        c->whole.p = spec->spare->p;
        c->whole.cap = spec->spare->cap;
        *spec->spare = (struct ar_buf){.p = NULL};
    }
    encode(c);
    return &c->call;
}

static bool is_json_type(struct ar_str type)
{
    return type.n == 0 || ar_str_find_nocase(type, AR_LIT("json")) < type.n;
}

/* Status and headers came: decides how the body is read. */
static bool take_head(struct http_call *c, struct ar_event *ret)
{
    struct ar_err err = {0};
    switch (ar_exchange_head(c->exchange, &c->head, &err)) {
    case AR_PENDING:
        return c->is_late && ar_call_fail_code(c, AR_UPSTREAM_TIMEOUT,
                                               "the upstream did not answer in time", ret);
    case AR_FAILED:
    case AR_ENDED:
        return ar_call_fail_code(c, err.code ? err.code : AR_UPSTREAM_ERROR, err.note, ret);
    case AR_READY:
        break;
    }
    bool sse = ar_str_find_nocase(c->head.content_type, AR_LIT("text/event-stream")) <
               c->head.content_type.n;
    if (ar_str_has_prefix_nocase(c->head.content_type, AR_LIT(AWS_STREAM)) &&
        c->spec->op != AR_OP_PASS) {
        c->is_aws = sse = true;
        c->head.content_type = AR_LIT("text/event-stream"); /* which it is, from here on */
    }
    if (c->head.status >= 300 && (c->spec->op != AR_OP_PASS || c->head.status >= 400)) {
        c->state = CALL_ERROR_BODY;
    } else if (c->spec->op == AR_OP_PASS) {
        c->spec->relays_stream = sse;
        c->state = CALL_PASS;
        ar_timer_clear(c->spec->loop, &c->timer);
    } else if (sse) {
        struct ar_read_how how = ar_call_how(c);
        how.relay = how.relay && c->spec->client_stream;
        c->relays = how.relay;
        c->state = CALL_STREAM;
        if (c->is_aws) {
            ar_aws_stream_init(&c->aws, FRAME_MAX);
        } else {
            ar_sse_init(&c->sse, FRAME_MAX);
        }
        c->reader = c->spec->dialect->reader_new(&how, c->mem);
        c->undoer = how.relay ? NULL : ar_undoer_new(c->undo, c->stops, &c->arena);
    } else if (c->spec->upstream_stream && !is_json_type(c->head.content_type)) {
        return ar_call_fail_code(
            c, AR_UPSTREAM_ERROR,
            "the upstream answered a stream request with something that is no stream", ret);
    } else {
        c->state = CALL_WHOLE; /* who asked for a stream gets one */
        c->relays = c->spec->native && !(c->spec->op == AR_OP_GENERATE && c->spec->client_stream);
        if (c->head.length > 0 && c->head.length <= CALL_HOLD_MAX) {
            (void)ar_buf_reserve(&c->whole, (size_t)c->head.length);
        }
    }
    return false;
}

/* Collects up to max bytes into whole. true: the body is complete (or max is reached with cut set).
 */
static bool gather(struct http_call *c, size_t max, struct ar_err *err, bool *ret_failed)
{
    struct ar_str piece;
    *ret_failed = false;
    for (;;) {
        switch (ar_exchange_peek(c->exchange, &piece, err)) {
        case AR_READY:
            ar_buf_str(&c->whole, ar_str_head(piece, max > c->whole.n ? max - c->whole.n : 0));
            ar_exchange_eat(c->exchange, piece.n);
            if (c->whole.n >= max) {
                return true;
            }
            break;
        case AR_PENDING:
            return false;
        case AR_ENDED:
            return true;
        case AR_FAILED:
            *ret_failed = true;
            return true;
        }
    }
}

static bool take_error_body(struct http_call *c, struct ar_event *ret)
{
    struct ar_err err = {0};
    bool failed;
    if (!gather(c, ERROR_BODY_MAX, &err, &failed) && !c->is_late) {
        return false;
    }
    struct ar_fault f = {.code = AR_UPSTREAM_ERROR, .blame = AR_OF_PLACE, .retry_after_ms = -1};
    if (c->head.status >= 400) {
        c->spec->dialect->decode_error(c->head.status, ar_buf_view(&c->whole), &c->arena, &f);
        f.raw_body = ar_arena_copy(&c->arena, ar_buf_view(&c->whole));
        f.raw_headers = c->head.headers;
        f.raw_header_count = c->head.header_count;
    } else {
        f.message = ar_arena_fmt(&c->arena, "the upstream redirected (status %d)", c->head.status);
    }
    f.upstream_status = c->head.status;
    if (f.retry_after_ms < 0) {
        f.retry_after_ms = c->head.retry_after_ms;
    }
    return ar_call_fail(c, &f, ret);
}

/* Any other endpoint: bytes as they come, never read. */
static bool take_pass(struct http_call *c, struct ar_event *ret)
{
    struct ar_err err = {0};
    struct ar_str piece;
    if (c->eat > 0) {
        ar_exchange_eat(c->exchange, c->eat);
        c->eat = 0;
    }
    switch (ar_exchange_peek(c->exchange, &piece, &err)) {
    case AR_READY:
        c->eat = piece.n;
        *ret = (struct ar_event){.kind = AR_EV_RAW, .raw = piece};
        return true;
    case AR_PENDING:
        return false;
    case AR_ENDED:
        c->state = CALL_OVER;
        *ret = (struct ar_event){.kind = AR_EV_END, .raw = AR_LIT("")};
        return true;
    case AR_FAILED:
        break;
    }
    return ar_call_fail_code(c, err.code ? err.code : AR_UPSTREAM_TRUNCATED, err.note, ret);
}

static void count(struct http_call *c, const struct ar_event *ev)
{
    for (const struct ar_block *b = ev->kind == AR_EV_WHOLE ? ev->answer->blocks : NULL; b;
         b = b->next) {
        c->content_bytes += b->text.n;
    }
    if (ev->kind == AR_EV_DELTA || ev->kind == AR_EV_RAW) {
        c->content_frames++;
        c->content_bytes += ev->kind == AR_EV_DELTA ? ev->text.n : ev->raw.n;
    }
}

static bool step(struct http_call *c, struct ar_event *ret)
{
    switch (c->state) {
    case CALL_PREPARE:
        return prepare(c, ret);
    case CALL_HEAD:
        return take_head(c, ret);
    case CALL_ERROR_BODY:
        return take_error_body(c, ret);
    case CALL_WHOLE:
        return ar_call_take_whole(c, ret);
    case CALL_STREAM:
        return ar_call_take_stream(c, ret);
    case CALL_PASS:
        return take_pass(c, ret);
    case CALL_UNFOLD:
        c->state = ar_unfold_next(&c->unfold, ret) ? CALL_UNFOLD : CALL_OVER;
        return c->state == CALL_UNFOLD;
    case CALL_QUEUE:
        if (c->queue_at < c->queued) {
            *ret = c->queue[c->queue_at++];
            return true;
        }
        c->state = CALL_OVER;
        return false;
    case CALL_OVER:
        break;
    }
    return false;
}

static bool next(struct ar_call *call, struct ar_event *ret)
{
    struct http_call *c = AR_HOLDER(call, struct http_call, call);
    if (c->early.code != AR_OK && c->state != CALL_OVER) {
        return ar_call_fail(c, &c->early, ret);
    }
    for (;;) {
        enum call_state before = c->state;
        if (step(c, ret)) {
            count(c, ret);
            return true;
        }
        if (c->state == before) {
            return false;
        }
    }
}

static void facts(const struct ar_call *call, struct ar_call_facts *ret)
{
    const struct http_call *c = (const struct http_call *)(const void *)call; /* its first member */
    *ret = (struct ar_call_facts){.status = c->head.status,
                                  .headers = c->head.headers,
                                  .header_count = c->head.header_count,
                                  .content_type = c->head.content_type,
                                  .length = c->head.status > 0 ? c->head.length : -1,
                                  .content_bytes = c->content_bytes,
                                  .content_frames = c->content_frames};
    if (c->exchange) {
        ar_exchange_facts(c->exchange, &ret->io);
    }
}

static void close_call(struct ar_call *call)
{
    struct http_call *c = AR_HOLDER(call, struct http_call, call);
    ar_timer_clear(c->spec->loop, &c->timer);
    if (c->scheme) {
        ar_token_leave(&c->auth.wait);
    }
    if (c->exchange) {
        if (c->eat > 0) {
            ar_exchange_eat(c->exchange, c->eat);
        }
        ar_exchange_close(c->exchange);
    }
    if (c->undoer) {
        ar_undoer_done(c->undoer);
    }
    if (c->reader) {
        c->spec->dialect->reader_done(c->reader);
        if (c->is_aws) {
            ar_aws_stream_done(&c->aws);
        } else {
            ar_sse_done(&c->sse);
        }
    }
    if (c->spec->spare && !c->spec->spare->p && c->whole.cap <= SPARE_BYTES) {
        *c->spec->spare = c->whole;
    } else {
        ar_buf_done(&c->whole);
    }
    ar_buf_done(&c->body);
    ar_arena_done(&c->arena);
    if (c->on_heap) {
        free(c);
    }
}

const struct ar_call_ops ar_http_call = {
    .name = "http", .start = start, .next = next, .facts = facts, .close = close_call};
