/*
 * Runs without a client (background: true). The request is answered at once with a response in
 * progress, which is stored; a second flow, with the same id and body and no socket, makes the
 * answer and stores it in that place. It is an ordinary flow in all its steps. Its owner is a
 * struct of this file, which gathers an error answer, and looks now and then whether the stored
 * response was cancelled or deleted: then the flow sees that its client is gone. Only attempts that
 * are translated run so; an upstream of the dialect has background runs of its own.
 */
#include "flow/flow.h"

#include "base/clock.h"
#include "base/id.h"
#include "http/sse.h"
#include "json/write.h"

#include <stdlib.h>

enum { LOOK_MS = 250, ERROR_MAX = 65536, FRAME_MAX = 64 << 20 };

struct run {
    struct ar_worker *worker;
    struct ar_conn *conn;
    struct ar_timer timer;
    struct ar_recall_key tenant;
    char id[80];
    int status;
    struct ar_buf error;  /* the answer that is one, or the event that says so */
    struct ar_tape *tape; /* owns a reference; NULL: nobody asked for a stream */
    struct ar_sse sse;
    bool has_ended, has_failed; /* as the frames say */
    unsigned to_skip;
};

bool ar_flow_runs_apart(const struct ar_flow *f)
{
    return f->outlined.background && f->recalled.keeps && !f->recalled.is_hidden &&
           !f->recalled.is_run && f->op == AR_OP_GENERATE && f->dialect == &ar_dialect_responses;
}

struct ar_str ar_run_id(struct ar_flow *f)
{
    char text[49];
    ar_id_hex(f->id, "response", 0, 48, text);
    return ar_arena_fmt(&f->arena, "resp_%s", text);
}

static struct ar_recall_table *table(const struct run *r)
{
    return r->worker->recall->responses;
}

/* Is it still wanted? Cancelled, deleted and forgotten runs are not. */
static bool is_wanted(struct run *r)
{
    struct ar_kept k;
    if (!ar_kept_get(table(r), &r->tenant, ar_str_of(r->id), ar_clock_us() / 1000, &k)) {
        return false;
    }
    bool wanted = k.state != AR_KEPT_CANCELLED;
    ar_kept_done(&k);
    return wanted;
}

static void look(struct ar_timer *t)
{
    struct run *r = AR_HOLDER(t, struct run, timer);
    if (!r->has_ended && !is_wanted(r)) {
        ar_inner_cut(r->conn, false);
        return;
    }
    ar_timer_set(r->worker->loop, t, ar_loop_now_ms(r->worker->loop) + LOOK_MS);
}

static void open_run(void *user, int status, const struct ar_header *h, unsigned n)
{
    struct run *r = user;
    (void)h;
    (void)n;
    r->status = status;
}

static bool is_begin(struct ar_str name)
{
    return ar_str_is_lit(name, "response.created") || ar_str_is_lit(name, "response.in_progress");
}

/* A failure is noted and told when the run has ended; the beginning is on the tape already, from
 * before there was an upstream. */
static void take_frame(struct run *r, const struct ar_frame *frame)
{
    bool failed =
        ar_str_is_lit(frame->name, "response.failed") || ar_str_is_lit(frame->name, "error");
    if (frame->data.n == 0) {
        return; /* a keep-alive */
    }
    if (failed) {
        r->has_failed = true;
        ar_buf_clear(&r->error);
        ar_buf_str(&r->error, frame->data);
        return;
    }
    r->to_skip = is_begin(frame->name) ? r->to_skip : 0;
    if (r->to_skip > 0) {
        r->to_skip--;
        return;
    }
    r->has_ended |= ar_str_is_lit(frame->name, "response.completed") ||
                    ar_str_is_lit(frame->name, "response.incomplete");
    struct ar_buf text;
    ar_buf_init(&text, frame->name.n + frame->data.n + 64);
    ar_buf_fmt(&text, "event: %.*s\ndata: ", AR_FMT(frame->name));
    ar_buf_str(&text, frame->data);
    ar_buf_lit(&text, "\n\n");
    ar_tape_put(r->tape, ar_buf_view(&text));
    ar_buf_done(&text);
}

static size_t write_run(void *user, struct ar_str bytes)
{
    struct run *r = user;
    struct ar_frame frame;
    size_t used;
    if (r->status >= 400) {
        ar_buf_str(&r->error, bytes);
    }
    for (struct ar_str rest = bytes; r->tape && r->status < 400 && rest.n > 0;
         rest = ar_str_from(rest, used)) {
        enum ar_poll poll = ar_sse_next(&r->sse, rest, &used, &frame);
        if (poll == AR_FAILED) {
            ar_inner_cut(r->conn, false);
            break;
        }
        if (poll == AR_READY) {
            take_frame(r, &frame);
        }
    }
    return bytes.n;
}

/* What the client would have been told is the error of the stored response. */
static struct ar_str error_of(struct run *r, struct ar_arena *a)
{
    struct ar_jdoc doc;
    if ((r->status >= 400 || r->has_failed) && ar_buf_finish(&r->error) == AR_OK &&
        ar_json_parse(ar_buf_view(&r->error), 3, a, &doc, NULL) == AR_OK) {
        struct ar_jval whole = ar_json_get_lit(ar_json_root(&doc), "response");
        struct ar_jval e =
            ar_json_get_lit(ar_json_is_nil(whole) ? ar_json_root(&doc) : whole, "error");
        struct ar_jval said = ar_json_get_lit(e, "code");
        struct ar_str code = ar_json_is(said, AR_J_STRING) ? ar_json_raw(said)
                                                           : AR_LIT("\"server_error\""),
                      message = ar_json_raw(ar_json_get_lit(e, "message"));
        if (message.p) {
            return ar_arena_fmt(a, "{\"code\":%.*s,\"message\":%.*s}", AR_FMT(code),
                                AR_FMT(message));
        }
    }
    return AR_LIT("{\"code\":\"server_error\",\"message\":\"the run ended early\"}");
}

/* A run that is still running when its flow ended has failed. */
static void fail_run(struct run *r)
{
    struct ar_arena a;
    struct ar_buf out;
    struct ar_kept k;
    int64_t now = ar_clock_us() / 1000;
    if (!ar_kept_get(table(r), &r->tenant, ar_str_of(r->id), now, &k)) {
        return;
    }
    ar_arena_init(&a, (size_t)4 * ERROR_MAX + 64 * k.whole.n);
    ar_buf_init(&out, k.whole.n + (size_t)2 * ERROR_MAX);
    if (k.state == AR_KEPT_RUNNING) {
        struct ar_kept next = k;
        ar_recall_restate(k.whole, AR_LIT("failed"), error_of(r, &a), &a, &out);
        next.state = AR_KEPT_DONE;
        next.whole = ar_buf_view(&out);
        next.output = AR_LIT("");
        (void)ar_kept_replace(table(r), &r->tenant, ar_str_of(r->id), &k, &next, now);
    }
    ar_buf_done(&out);
    ar_arena_done(&a);
    ar_kept_done(&k);
}

/* What was on the tape is kept beside the response, if that is still there. */
static void end_tape(struct run *r)
{
    struct ar_kept k;
    struct ar_buf frames;
    int64_t now = ar_clock_us() / 1000;
    bool is_there = ar_kept_get(table(r), &r->tenant, ar_str_of(r->id), now, &k);
    if (is_there && k.state == AR_KEPT_DONE && !r->has_ended) {
        ar_buf_init(&frames, k.whole.n + 256);
        ar_follow_put_end(ar_follow_end_name(k.whole), ar_tape_count(r->tape), k.whole, &frames);
        ar_tape_put(r->tape, ar_buf_view(&frames));
        ar_buf_done(&frames);
    }
    ar_buf_init(&frames, SIZE_MAX / 2);
    if (ar_tape_end(r->tape, &frames) && is_there) {
        (void)ar_frames_put(table(r), &r->tenant, ar_str_of(r->id), ar_buf_view(&frames), now);
    }
    ar_buf_done(&frames);
    if (is_there) {
        ar_kept_done(&k);
    }
    ar_tape_drop(r->tape);
    ar_sse_done(&r->sse);
}

static void end_run(void *user, bool clean)
{
    struct run *r = user;
    (void)clean;
    fail_run(r);
    if (r->tape) {
        end_tape(r);
    }
    ar_timer_clear(r->worker->loop, &r->timer);
    ar_recall_run_end(r->worker->recall);
    ar_buf_done(&r->error);
    free(r);
}

/* The response object while it is in progress, and the frames that tell it: as the writer of the
 * dialect begins a stream. Arena. */
static bool write_object(struct ar_flow *f, struct ar_str *ret, struct ar_str *ret_frames)
{
    struct ar_write_how how = {.request = f->request, .model = f->outlined.model};
    struct ar_response begun = {.created_unix = f->seat.spec.stamp.now_unix};
    struct ar_event start = {.kind = AR_EV_START, .answer = &begun};
    struct ar_buf frames;
    struct ar_jdoc doc;
    bool good = false;
    how.stamp = f->seat.spec.stamp;
    ar_buf_init(&frames, (size_t)f->snapshot->config->limits_request_memory);
    struct ar_framer framer = {.how = &ar_framing_sse, .out = &frames};
    struct ar_losses *losses = ar_arena_new(&f->arena, struct ar_losses);
    struct ar_writer *w = losses ? f->dialect->writer_new(&how, losses, &f->arena) : NULL;
    if (w && f->dialect->write(w, &start, &framer) == AR_OK) {
        struct ar_str all = *ret_frames = ar_arena_copy(&f->arena, ar_buf_view(&frames));
        struct ar_str data = ar_str_from(all, ar_str_find(all, AR_LIT("data: ")) + 6);
        data = ar_str_head(data, ar_str_find_char(data, '\n'));
        if (all.p && ar_json_parse(data, 2, &f->arena, &doc, NULL) == AR_OK) {
            *ret = ar_json_raw(ar_json_get_lit(ar_json_root(&doc), "response"));
            good = ret->p != NULL;
        }
    }
    f->dialect->writer_done(w);
    ar_buf_done(&frames);
    return good;
}

/* The run's tape, with its beginning on it. false: no memory. */
static bool begin_tape(struct ar_flow *f, struct run *r, struct ar_str frames)
{
    static const struct ar_str END = AR_LIT_INIT("\n\n");
    struct ar_recall_key key = ar_tape_key(&r->tenant, ar_str_of(r->id));
    r->tape = ar_tape_begin(f->worker->recall->tapes, &key);
    while (r->tape && frames.n > 0) {
        size_t n = ar_str_find(frames, END) + END.n;
        ar_tape_put(r->tape, ar_str_head(frames, n));
        frames = ar_str_from(frames, n);
        r->to_skip++;
    }
    return r->tape != NULL;
}

/* frames: told from the beginning; n 0: nobody asked for a stream. */
static bool start_run(struct ar_flow *f, struct ar_str id, struct ar_str frames,
                      struct ar_tape **ret_tape)
{
    static const struct ar_inner_ops OPS = {open_run, write_run, end_run};
    const struct ar_request_head *head;
    struct run *r = calloc(1, sizeof *r);
    if (!r || id.n >= sizeof r->id) {
        free(r);
        return false;
    }
    r->worker = f->worker;
    r->tenant = *ar_flow_tenant(f);
    memcpy(r->id, id.p, id.n);
    r->timer = (struct ar_timer){.fire = look, .at_ms = AR_NEVER};
    ar_buf_init(&r->error, ERROR_MAX);
    ar_sse_init(&r->sse, FRAME_MAX);
    const struct ar_buf *body = f->recalled.is_expanded ? &f->recalled.asked_body : &f->body;
    r->conn = ar_inner_new(f->head, ar_buf_view(body), &OPS, r, &head);
    if (!r->conn) {
        free(r);
        return false;
    }
    if (frames.n > 0 && begin_tape(f, r, frames)) { /* without memory for it: without a stream */
        struct ar_recall_key key = ar_tape_key(&r->tenant, id);
        *ret_tape = ar_tape_find(f->worker->recall->tapes, &key);
    }
    ar_timer_set(f->worker->loop, &r->timer, ar_loop_now_ms(f->worker->loop) + LOOK_MS);
    ar_flow_start_run(f->worker, r->conn, head, f->id); /* may be over when it returns */
    return true;
}

enum ar_next ar_flow_detach(struct ar_flow *f)
{
    struct ar_fault none = {.code = AR_CLIENT_CLOSED, .blame = AR_OF_CALLER, .retry_after_ms = -1};
    struct ar_header v[AR_ANSWER_HEADERS];
    struct ar_str id = ar_run_id(f), whole, frames;
    struct ar_tape *tape = NULL;
    /* The run plans for itself. */
    ar_plan_report(f->plan, f->seat.cand, &none, 0, ar_loop_now_ms(f->worker->loop));
    f->seat.cand = NULL;
    if (!ar_recall_run_begin(f->worker->recall, f->snapshot->config->limits_connections)) {
        return ar_flow_fail(f, AR_TOO_MANY_CONCURRENT, "too many background runs go on");
    }
    if (!id.p || !write_object(f, &whole, &frames)) {
        ar_recall_run_end(f->worker->recall);
        return ar_flow_fail(f, AR_TOO_LARGE, "the request needs too much memory");
    }
    struct ar_kept k = {.state = AR_KEPT_RUNNING,
                        .previous = f->recalled.previous,
                        .input = f->recalled.items,
                        .whole = whole};
    if (!ar_kept_put(f->worker->recall->responses, ar_flow_tenant(f), id, &k,
                     ar_clock_us() / 1000) ||
        !start_run(f, id, f->wants_stream ? frames : AR_LIT(""), &tape)) {
        ar_recall_run_end(f->worker->recall);
        return ar_flow_fail(f, AR_TOO_LARGE, "the run cannot be stored");
    }
    if (tape) {
        return ar_flow_follow(f, tape, 0);
    }
    if (f->wants_stream) {
        return ar_flow_fail(f, AR_INTERNAL, "out of memory");
    }
    ar_sink_open(f);
    ar_buf_str(&f->seat.sink.out, whole);
    unsigned n = ar_flow_headers(f, AR_LIT("application/json"), v);
    f->commit = AR_COMMITTED;
    f->record.status_sent = 200;
    ar_conn_open(f->conn, 200, v, n, (int64_t)whole.n);
    return ar_flow_to(f, &ar_step_settle);
}
