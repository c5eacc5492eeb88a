/*
 * Sinks: where an attempt's events become bytes for the client. Three ways: relayed bytes as they
 * are, a stream through the client dialect's writer, a whole answer through a fold. Everything
 * lands in one private buffer, so that nothing has to be taken back.
 */
#include "flow/flow.h"

#include "http/sse.h"

static struct ar_write_how write_how(struct ar_flow *f)
{
    struct ar_write_how how = {.request = f->request,
                               .model = f->outlined.model,
                               .include_usage = f->outlined.include_usage};
    how.stamp.now_unix = f->seat.spec.stamp.now_unix;
    memcpy(how.stamp.seed, f->id, sizeof how.stamp.seed);
    return how;
}

void ar_sink_open(struct ar_flow *f)
{
    struct ar_sink *s = &f->seat.sink;
    struct ar_buf out = s->out; /* its memory is used again */
    memset(s, 0, sizeof *s);
    s->losses = f->seat.native ? NULL : ar_arena_new(&f->arena, struct ar_losses);
    s->out = out;
    ar_buf_clear(&s->out);
    s->out.max = (size_t)f->snapshot->config->limits_request_memory;
    s->framer =
        (struct ar_framer){.how = f->framing ? f->framing : &ar_framing_sse, .out = &s->out};
}

void ar_sink_close(struct ar_flow *f)
{
    struct ar_sink *s = &f->seat.sink;
    if (s->writer) {
        f->dialect->writer_done(s->writer);
        s->writer = NULL;
    }
    ar_fold_free(s->fold);
    s->fold = NULL;
    ar_buf_clear(&s->out);
    s->given = 0;
}

void ar_flow_estimate(struct ar_flow *f)
{
    struct ar_call_facts facts;
    struct ar_usage *u = &f->seat.usage;
    if (f->op != AR_OP_GENERATE || ar_usage_is_known(u) || !f->seat.call) {
        return;
    }
    f->seat.call->ops->facts(f->seat.call, &facts);
    if (u->in_total < 0) {
        u->in_total = (int64_t)(f->outlined.body_bytes / 4 + 1);
    }
    if (u->out_total <
        0) { /* a relayed frame is mostly envelope: one token each is nearer than its bytes */
        u->out_total =
            (int64_t)(f->seat.native ? facts.content_frames
                                     : facts.content_bytes / 4 + (facts.content_bytes > 0));
    }
    u->estimated = true;
}

/* The whole answer in the client's dialect. */
static enum ar_code put_whole(struct ar_flow *f, const struct ar_response *r)
{
    struct ar_write_how how = write_how(f);
    struct ar_response copy = *r;
    if (!ar_usage_is_known(&copy.usage)) {
        ar_flow_estimate(f);
        copy.usage = f->seat.usage;
    }
    size_t from = f->seat.sink.out.n;
    enum ar_code code =
        f->dialect->encode_response(&copy, &how, f->seat.spec.losses, &f->seat.sink.out);
    if (code == AR_OK) {
        ar_flow_keep_whole(f, ar_str_from(ar_buf_view(&f->seat.sink.out), from));
    }
    return code;
}

static enum ar_code put_folded(struct ar_flow *f, const struct ar_event *ev)
{
    struct ar_sink *s = &f->seat.sink;
    if (ev->kind == AR_EV_PING || ev->kind == AR_EV_RAW) {
        return AR_OK;
    }
    if (!s->fold) {
        s->fold = ar_fold_new((size_t)f->snapshot->config->limits_request_memory);
    }
    enum ar_code code = ar_fold_put(s->fold, ev);
    if (code == AR_OK && ev->kind == AR_EV_END) {
        struct ar_response *r;
        code = ar_fold_finish(s->fold, &f->arena, &r);
        return code == AR_OK ? put_whole(f, r) : code;
    }
    return code;
}

static enum ar_code put_written(struct ar_flow *f, const struct ar_event *ev)
{
    struct ar_sink *s = &f->seat.sink;
    if (!s->writer) {
        struct ar_write_how how = write_how(f);
        if (!s->losses) {
            s->losses = ar_arena_new(&f->arena, struct ar_losses);
        }
        s->writer = f->dialect->writer_new(&how, s->losses, &f->arena);
    }
    struct ar_event with_usage = *ev;
    struct ar_response started; /* an upstream that counts at its end: clients show the start's */
    if (ev->kind == AR_EV_START && ev->answer && ev->answer->usage.in_total <= 0) {
        started = *ev->answer;
        started.usage.in_total = (int64_t)(f->outlined.body_bytes / 4 + 1);
        started.usage.estimated = true;
        with_usage.answer = &started;
    }
    if (ev->kind == AR_EV_STOP && (!ev->usage || !ar_usage_is_known(ev->usage))) {
        ar_flow_estimate(f);
        with_usage.usage = &f->seat.usage;
    }
    size_t from = s->out.n;
    enum ar_code code = f->dialect->write(s->writer, &with_usage, &s->framer);
    if (code == AR_OK && (ev->kind == AR_EV_STOP || ev->kind == AR_EV_END)) {
        ar_flow_keep_frames(f, ar_str_from(ar_buf_view(&s->out), from));
    }
    return code == AR_OK ? ar_buf_finish(&s->out) : code;
}

/* Frames of an event stream as elements of the array that the client asked for. */
static void put_reframed(struct ar_sink *s, struct ar_str raw)
{
    struct ar_sse sse;
    struct ar_frame frame;
    ar_sse_init(&sse, raw.n + 1);
    for (bool is_last = false; !is_last;) {
        size_t used;
        bool some = ar_sse_next(&sse, raw, &used, &frame) == AR_READY;
        raw = ar_str_from(raw, used);
        is_last = !some && raw.n == 0;
        some = some || (is_last && ar_sse_rest(&sse, &frame) == AR_READY);
        if (some && frame.data.n > 0) {
            s->framer.how->begin(&s->framer, (struct ar_str){NULL, 0});
            ar_buf_str(&s->out, frame.data);
            s->framer.how->end(&s->framer);
        }
    }
    ar_sse_done(&sse);
}

/* Embeddings are held until they are complete: counted, and told in the client's form. */
static enum ar_code finish_embeddings(struct ar_flow *f)
{
    struct ar_sink *s = &f->seat.sink;
    struct ar_str body = ar_buf_view(&s->out);
    f->seat.usage.in_total = ar_embed_tokens(body, &f->arena);
    f->seat.usage.out_total = 0;
    if (f->embed->client == f->embed->upstream) {
        return AR_OK;
    }
    struct ar_buf out;
    ar_buf_init(&out, s->out.max);
    enum ar_code code = ar_embed_answer(f->embed, body, &f->arena, &out);
    if (code == AR_OK) {
        ar_buf_done(&s->out);
        s->out = out;
    } else {
        ar_buf_done(&out);
    }
    return code;
}

enum ar_code ar_sink_put(struct ar_flow *f, const struct ar_event *ev)
{
    struct ar_sink *s = &f->seat.sink;
    bool is_over = ev->kind == AR_EV_END || ev->kind == AR_EV_ERROR;
    if (ev->usage) {
        ar_usage_merge(&f->seat.usage, ev->usage);
    }
    ar_flow_watch(f, ev);
    if (ev->raw.p && f->wants_stream && s->framer.how == &ar_framing_json_array) {
        put_reframed(s, ev->raw);
        if (is_over) {
            s->framer.how->finish(&s->framer);
        }
        return ar_buf_finish(&s->out);
    }
    if (ev->raw.p) {
        ar_buf_str(&s->out, ev->raw);
        s->framer.count += ev->raw.n > 0 && ev->kind != AR_EV_PING;
        return ev->kind == AR_EV_END && f->embed && ar_buf_finish(&s->out) == AR_OK
                   ? finish_embeddings(f)
                   : ar_buf_finish(&s->out);
    }
    if (f->op == AR_OP_COUNT) {
        if (ev->kind == AR_EV_END && f->seat.usage.in_total >= 0) {
            f->dialect->encode_count(f->seat.usage.in_total, &s->out);
        }
        return AR_OK;
    }
    if (ev->kind == AR_EV_WHOLE) {
        s->has_whole = true;
        return put_whole(f, ev->answer);
    }
    if (ev->kind == AR_EV_END && s->has_whole) {
        return AR_OK;
    }
    return f->wants_stream ? put_written(f, ev) : put_folded(f, ev);
}
