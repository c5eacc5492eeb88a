/*
 * A stored response as an event stream (background: true with stream: true, and GET with
 * stream=true). While its run goes on, the frames come from the run's tape (recall/tapes.h), which
 * this flow looks at again and again; when it is over, from what was kept of it; of a response that
 * was never streamed they are made anew from the answer. Whoever reads is free to leave and to come
 * again: the run knows nothing of its readers. Owns a reference to the tape.
 */
#include "flow/stored.h"

#include "base/clock.h"
#include "http/sse.h"
#include "http/url.h"

enum { PIECE = 256 << 10, LOOK_SOON_MS = 10, LOOK_LATE_MS = 100 };

static int64_t now_ms(void)
{
    return ar_clock_us() / 1000;
}

/* Status and headers of an event stream; length -1: not known. */
static void open_stream(struct ar_flow *f, int64_t length)
{
    struct ar_header v[AR_ANSWER_HEADERS];
    unsigned n = ar_flow_headers(f, ar_str_of(ar_framing_sse.content_type), v);
    f->commit = AR_COMMITTED;
    f->record.status_sent = 200;
    f->record.client_dialect = "local";
    ar_conn_open(f->conn, 200, v, n, length);
}

/* --- a run that goes on --- */

enum ar_next ar_flow_follow(struct ar_flow *f, struct ar_tape *tape, int64_t skip)
{
    f->recalled.tape = tape;
    f->recalled.place = (struct ar_tape_place){.skip = skip};
    f->recalled.look_ms = LOOK_SOON_MS;
    ar_sink_open(f);
    open_stream(f, -1);
    f->ping_at_ms = ar_loop_now_ms(f->worker->loop) + f->snapshot->config->ping_interval;
    return ar_flow_to(f, &ar_step_follow);
}

/* Hands out what was read. false: the client takes no more now. */
static bool pour(struct ar_flow *f)
{
    struct ar_buf *out = &f->seat.sink.out;
    if (f->ping_rest.n > 0 && !ar_flow_end_ping(f)) {
        return false;
    }
    if (out->n > 0) {
        ar_buf_eat(out, ar_conn_write(f->conn, ar_buf_view(out)));
    }
    return out->n == 0;
}

static enum ar_next give_up(struct ar_flow *f, enum ar_code code, const char *note)
{
    f->fault = (struct ar_fault){.code = code, .blame = AR_OF_US, .retry_after_ms = -1};
    f->fault.message = ar_str_of(note);
    f->cut = true;
    return ar_flow_to(f, &ar_step_settle);
}

enum ar_next ar_run_follow(struct ar_flow *f)
{
    struct ar_recalled *r = &f->recalled;
    struct ar_buf *out = &f->seat.sink.out;
    int64_t now = ar_loop_now_ms(f->worker->loop);
    if (ar_conn_is_gone(f->conn)) {
        f->gone = true;
        return give_up(f, AR_CLIENT_CLOSED, "");
    }
    enum ar_tape_state state = AR_TAPE_RUNS;
    bool some = false;
    while (pour(f)) {
        state = ar_tape_read(r->tape, &r->place, PIECE, out);
        if (out->n == 0) {
            break;
        }
        some = true;
    }
    if (out->n > 0) {
        return ar_flow_wait(f, AR_W_CLIENT, AR_NEVER); /* the connection keeps send_time */
    }
    if (state == AR_TAPE_ENDED) {
        return ar_flow_to(f, &ar_step_settle);
    }
    if (state == AR_TAPE_TORN) {
        return give_up(f, AR_TOO_LARGE, "the run's events are over recall.response_memory");
    }
    if (some) {
        f->ping_at_ms = now + f->snapshot->config->ping_interval;
        r->look_ms = LOOK_SOON_MS;
    } else {
        r->look_ms = r->look_ms < LOOK_LATE_MS / 2 ? 2 * r->look_ms : LOOK_LATE_MS;
    }
    ar_conn_flush(f->conn);
    if (now >= f->ping_at_ms) {
        ar_flow_ping(f);
    }
    return ar_flow_wait(f, AR_W_CLIENT | AR_W_CLOCK, now + r->look_ms);
}

/* --- one that is over --- */

/* The events of a finished answer: frames into out. */
static bool write_events(struct ar_flow *f, struct ar_str whole, struct ar_buf *out)
{
    struct ar_read_how read = {.content_max = whole.n + 1};
    struct ar_write_how how = {.stamp = {.now_unix = ar_clock_unix_ms() / 1000}};
    struct ar_fault fault;
    struct ar_response *r;
    struct ar_unfold u;
    struct ar_event ev;
    if (f->dialect->decode_response(whole, &read, &f->arena, &r, &fault) != AR_OK) {
        return false;
    }
    how.model = r->model;
    struct ar_framer framer = {.how = &ar_framing_sse, .out = out};
    struct ar_losses *losses = ar_arena_new(&f->arena, struct ar_losses);
    struct ar_writer *w = losses ? f->dialect->writer_new(&how, losses, &f->arena) : NULL;
    bool good = w != NULL;
    ar_unfold_init(&u, r, &f->arena);
    while (good && ar_unfold_next(&u, &ev)) {
        good = f->dialect->write(w, &ev, &framer) == AR_OK;
    }
    f->dialect->writer_done(w);
    return good && ar_buf_finish(out) == AR_OK;
}

struct ar_str ar_follow_end_name(struct ar_str whole)
{
    struct ar_str status = ar_stored_member(whole, AR_LIT("status"));
    return ar_str_is_lit(status, "\"incomplete\"") ? AR_LIT("response.incomplete")
           : ar_str_is_lit(status, "\"failed\"")   ? AR_LIT("response.failed")
                                                   : AR_LIT("response.completed");
}

void ar_follow_put_end(struct ar_str name, int64_t number, struct ar_str whole, struct ar_buf *out)
{
    ar_buf_fmt(out, "event: %.*s\ndata: {\"type\":\"%.*s\",\"sequence_number\":%lld,\"response\":",
               AR_FMT(name), AR_FMT(name), (long long)number);
    ar_buf_str(out, whole);
    ar_buf_lit(out, "}\n\n");
}

/* Frames behind number after; the last one holds the response as it is stored. */
static void put_events(struct ar_str frames, int64_t after, struct ar_str whole, struct ar_buf *out)
{
    struct ar_sse sse;
    struct ar_frame frame;
    size_t used;
    int64_t number = 0;
    ar_sse_init(&sse, frames.n + 1);
    while (frames.n > 0 && ar_sse_next(&sse, frames, &used, &frame) == AR_READY) {
        bool is_last = ar_str_is_lit(frame.name, "response.completed") ||
                       ar_str_is_lit(frame.name, "response.incomplete") ||
                       ar_str_is_lit(frame.name, "response.failed");
        if (!is_last && number++ > after) {
            ar_buf_str(out, frame.raw);
        }
        frames = ar_str_from(frames, used);
    }
    ar_sse_done(&sse);
    /* Numbers of a stream that was not kept may be beyond ours: they still rise. */
    ar_follow_put_end(ar_follow_end_name(whole), number > after ? number : after + 1, whole, out);
}

static bool replay_anew(struct ar_flow *f, const struct ar_kept *k, int64_t after,
                        struct ar_buf *out)
{
    struct ar_buf frames;
    ar_buf_init(&frames, (size_t)f->snapshot->config->limits_request_memory);
    /* A failed one has no events but its end. */
    bool good = ar_str_is_lit(ar_follow_end_name(k->whole), "response.failed") ||
                write_events(f, k->whole, &frames);
    if (good) {
        put_events(ar_buf_view(&frames), after, k->whole, out);
    }
    ar_buf_done(&frames);
    return good && ar_buf_finish(out) == AR_OK;
}

enum ar_next ar_stored_stream(struct ar_flow *f, struct ar_str id, const struct ar_kept *k)
{
    struct ar_buf *out = &f->seat.sink.out;
    struct ar_str wish = ar_query_get(f->head->query, AR_LIT("starting_after"));
    int64_t after = -1;
    if (wish.n > 0 && ar_str_to_i64(wish, 0, INT32_MAX, &after) != AR_OK) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "starting_after is a number");
    }
    struct ar_recall_key key = ar_tape_key(ar_flow_tenant(f), id);
    struct ar_tape *tape = ar_tape_find(f->worker->recall->tapes, &key);
    if (tape) {
        return ar_flow_follow(f, tape, after + 1);
    }
    struct ar_memo *kept =
        ar_frames_get(f->worker->recall->responses, ar_flow_tenant(f), id, now_ms());
    bool good = kept != NULL;
    if (kept) {
        ar_buf_str(out, ar_frames_from(ar_memo_view(kept), after + 1));
        ar_memo_free(kept);
    } else if (k->state != AR_KEPT_DONE) {
        return ar_flow_fail(f, AR_INVALID_REQUEST,
                            k->state == AR_KEPT_RUNNING
                                ? "only a run that was begun with stream: true is streamed before "
                                  "its end"
                                : "the response was cancelled");
    } else {
        good = replay_anew(f, k, after, out);
    }
    if (!good || ar_buf_finish(out) != AR_OK) {
        return ar_flow_fail(f, AR_INTERNAL, "the stored response cannot be streamed");
    }
    open_stream(f, (int64_t)out->n);
    return ar_flow_to(f, &ar_step_settle);
}
