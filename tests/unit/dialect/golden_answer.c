/*
 * An answer case: what an upstream said, whole or as a stream, is read, undone and written for each
 * client dialect, and compared. What must hold for every answer is checked besides: events keep
 * their invariants, both forms give the same answer, the relay loses no byte, and observing sees
 * what decoding reads.
 */
#include "dialect/golden_case.h"

#include <stdio.h>

struct told {
    const struct ar_dialect *up;
    struct ar_jval how; /* answer.json */
    struct ar_str whole, stream;
    struct ar_target target;
    struct ar_read_how read;
    const struct ar_request *request; /* NULL: none given */
    const struct ar_dialect *asker;   /* of request */
    struct ar_undo *undo;
    struct ar_name *stops;
    struct ar_response *answer, *folded;
    bool has_fault;
};

static const char *blame_name(enum ar_blame b)
{
    static const char *const NAMES[] = {"caller", "key", "place", "model", "upstream", "us"};
    return NAMES[b];
}

static void see_fault(struct golden *g, struct told *t, const struct ar_fault *f)
{
    t->has_fault = true;
    struct ar_str got = ar_arena_fmt(&g->a, "%s %s", ar_code_name(f->code), blame_name(f->blame));
    if (!golden_compare(g, "fault.txt", GOLDEN_TEXT, got, false)) {
        golden_bad(g, "no answer: %.*s: %.*s", AR_FMT(got), AR_FMT(f->message));
    }
}

static struct ar_write_how how_to_write(struct golden *g, const struct told *t,
                                        const struct ar_dialect *d)
{
    struct ar_str model = golden_text(g, t->how, "model");
    return (struct ar_write_how){.request = t->asker == d ? t->request : NULL,
                                 .model = model.p ? model : AR_LIT("asked-model"),
                                 .stamp = {.now_unix = 1700000000},
                                 .include_usage = golden_bool(t->how, "include_usage", false)};
}

/* A stream's events, one by one, undone. */
struct source {
    const struct told *t;
    struct ar_reader *reader;
    struct ar_undoer *undoer;
    struct ar_str rest;
    bool has_eof;
    struct ar_frame frame;
};

static void source_open(struct golden *g, struct source *s, const struct told *t)
{
    *s = (struct source){.t = t, .rest = t->stream};
    s->reader = t->up->reader_new(&t->read, &g->a);
    s->undoer = ar_undoer_new(t->undo, t->stops, &g->a);
}

static void source_close(struct source *s)
{
    s->t->up->reader_done(s->reader);
    ar_undoer_done(s->undoer);
}

static bool source_read(struct golden *g, struct source *s, struct ar_event *ret)
{
    for (;;) {
        if (s->t->up->read_next(s->reader, ret)) {
            return true;
        }
        if (s->has_eof) {
            return false;
        }
        if (kit_frame(&s->rest, &g->a, &s->frame)) {
            s->t->up->read_frame(s->reader, &s->frame);
        } else {
            s->has_eof = true;
            s->t->up->read_eof(s->reader,
                               golden_bool(s->t->how, "cut", false) ? AR_EOF_CUT : AR_EOF_CLEAN);
        }
    }
}

static bool source_next(struct golden *g, struct source *s, struct ar_event *ret)
{
    struct ar_event in;
    if (!s->undoer) {
        return source_read(g, s, ret);
    }
    while (!ar_undoer_next(s->undoer, ret)) {
        if (!source_read(g, s, &in)) {
            return false;
        }
        ar_undoer_put(s->undoer, &in);
    }
    return true;
}

/* Watches the stream's events and folds them. */
static void fold_stream(struct golden *g, struct told *t)
{
    struct source s;
    struct ar_event ev;
    struct kit_watch watch = {0};
    struct ar_fold *f = ar_fold_new(64 << 20);
    source_open(g, &s, t);
    while (source_next(g, &s, &ev)) {
        const char *wrong = kit_watch_event(&watch, &ev);
        if (wrong) {
            golden_bad(g, "upstream.sse: %s", wrong);
            break;
        }
        if (ev.kind == AR_EV_ERROR) {
            see_fault(g, t, ev.fault);
        }
        if (ar_fold_put(f, &ev) != AR_OK) {
            golden_bad(g, "upstream.sse: does not fold");
        }
    }
    if (!watch.is_over) {
        golden_bad(g, "upstream.sse: neither an end nor an error");
    }
    if (!t->has_fault && ar_fold_finish(f, &g->a, &t->folded) != AR_OK) {
        golden_bad(g, "upstream.sse: the folded answer is not complete");
    }
    ar_fold_free(f);
    source_close(&s);
}

/* The relay shows the upstream's bytes, all of them, in order. */
static void check_relay(struct golden *g, const struct told *t)
{
    struct told relay = *t;
    struct source s;
    struct ar_event ev;
    struct kit_watch watch = {0};
    struct ar_buf raw;
    bool failed = false;
    relay.read.relay = true;
    relay.undo = NULL;
    relay.stops = NULL;
    ar_buf_init(&raw, 64 << 20);
    source_open(g, &s, &relay);
    while (source_next(g, &s, &ev)) {
        ar_buf_str(&raw, ev.raw);
        failed = failed || ev.kind == AR_EV_ERROR;
        watch.is_over = ev.kind == AR_EV_END || ev.kind == AR_EV_ERROR;
    }
    if (!watch.is_over || failed != t->has_fault) {
        golden_bad(g, "relay: does not end as the translated stream does");
    }
    struct ar_str sent = t->stream; /* what follows the last frame is no event */
    if (!failed && (!ar_str_has_prefix(sent, ar_buf_view(&raw)) ||
                    ar_str_trim(ar_str_from(sent, raw.n)).n > 0)) {
        kit_show_difference("relay: raw bytes", sent, ar_buf_view(&raw));
        g->bad++;
    }
    ar_buf_done(&raw);
    source_close(&s);
}

static struct ar_str write_whole(struct golden *g, const struct told *t, const struct ar_dialect *d,
                                 const struct ar_response *r, struct ar_losses *l)
{
    struct ar_write_how how = how_to_write(g, t, d);
    struct ar_buf out;
    ar_buf_init(&out, 64 << 20);
    if (d->encode_response(r, &how, l, &out) != AR_OK) {
        golden_bad(g, "for %s: the answer cannot be written", d->name);
    }
    struct ar_str text = ar_arena_copy(&g->a, ar_buf_view(&out));
    ar_buf_done(&out);
    if (!ar_str_is(kit_squeeze(text, &g->a), text)) {
        golden_bad(g, "for %s: the answer has needless white space", d->name);
    }
    return text;
}

/* Events of the stream, or of the unfolded answer, in the client's dialect. */
static struct ar_str write_stream(struct golden *g, const struct told *t,
                                  const struct ar_dialect *d, struct ar_losses *l)
{
    struct ar_write_how how = how_to_write(g, t, d);
    struct source s;
    struct ar_unfold u;
    struct ar_event ev;
    struct ar_buf out;
    bool live = t->stream.p != NULL;
    ar_buf_init(&out, 64 << 20);
    struct ar_framer framer = {.how = &kit_sse, .out = &out};
    struct ar_writer *w = d->writer_new(&how, l, &g->a);
    if (live) {
        source_open(g, &s, t);
    } else {
        ar_unfold_init(&u, t->answer, &g->a);
    }
    while (live ? source_next(g, &s, &ev) : ar_unfold_next(&u, &ev)) {
        if (d->write(w, &ev, &framer) != AR_OK) {
            golden_bad(g, "for %s: an event cannot be written", d->name);
        }
    }
    if (live) {
        source_close(&s);
    }
    d->writer_done(w);
    struct ar_str text = ar_arena_copy(&g->a, ar_buf_view(&out));
    ar_buf_done(&out);
    return text;
}

static void check_forms(struct golden *g, const struct told *t, const struct ar_dialect *d)
{
    struct ar_losses l = {.strict = false};
    struct ar_str direct = write_whole(g, t, d, t->answer, &l);
    if (t->folded) { /* P-183 */
        struct ar_str folded = write_whole(g, t, d, t->folded, &l);
        if (!ar_str_is(direct, folded)) {
            printf("    for %s: the folded stream is not the whole answer\n", d->name);
            kit_show_difference("whole, then folded", direct, folded);
            g->bad++;
        }
    }
    struct ar_unfold u;
    struct ar_event ev;
    struct kit_watch watch = {0};
    struct ar_response *back;
    struct ar_fold *f = ar_fold_new(64 << 20);
    ar_unfold_init(&u, t->answer, &g->a);
    while (ar_unfold_next(&u, &ev)) {
        const char *wrong = kit_watch_event(&watch, &ev);
        if (wrong || ar_fold_put(f, &ev) != AR_OK) {
            golden_bad(g, "unfolded: %s", wrong ? wrong : "does not fold");
        }
    }
    if (ar_fold_finish(f, &g->a, &back) != AR_OK) {
        golden_bad(g, "unfolded: not complete");
    } else if (!t->answer->more) {
        back->logprobs = t->answer->logprobs; /* have no event */
        struct ar_str again = write_whole(g, t, d, back, &l);
        if (!ar_str_is(direct, again)) {
            kit_show_difference("unfolded and folded again", direct, again);
            g->bad++;
        }
    }
    ar_fold_free(f);
}

static void run_client(struct golden *g, struct told *t, const struct ar_dialect *d)
{
    struct ar_losses whole = {.strict = false}, streamed = {.strict = false};
    bool told = false;
    const struct ar_response *r = t->answer ? t->answer : t->folded;
    if (t->answer) {
        check_forms(g, t, d);
    }
    if (r) {
        struct ar_str got = write_whole(g, t, d, r, &whole);
        told = golden_compare(g, golden_name(g, "client-%s.json", d), GOLDEN_JSON, got, false);
    }
    if (t->stream.p || t->answer) {
        struct ar_str got = write_stream(g, t, d, &streamed);
        told =
            golden_compare(g, golden_name(g, "client-%s.sse", d), GOLDEN_SSE, got, false) || told;
    }
    const char *warnings = golden_name(g, "warnings-%s.txt", d);
    golden_compare(g, warnings, GOLDEN_TEXT,
                   r ? ar_str_n(whole.text, whole.n) : ar_str_n(streamed.text, streamed.n), told);
}

static void run_error(struct golden *g, struct told *t, const struct ar_fault *f)
{
    struct ar_str statuses = {"", 0}, asked = kit_read(g->dir, "status.txt", &g->a);
    see_fault(g, t, f);
    for (unsigned i = 0; i < AR_DIALECT_COUNT; i++) {
        const struct ar_dialect *d = ar_dialect_by_id(i);
        struct ar_buf out;
        ar_buf_init(&out, 1 << 20);
        int status = d->encode_error(f, AR_LIT("req_golden"), &out);
        struct ar_str line = ar_arena_fmt(&g->a, "%s ", d->name);
        if (ar_str_has(asked, line)) {
            statuses = ar_arena_fmt(&g->a, "%.*s%.*s%d\n", AR_FMT(statuses), AR_FMT(line), status);
        }
        golden_compare(g, golden_name(g, "client-%s.json", d), GOLDEN_JSON, ar_buf_view(&out),
                       false);
        ar_buf_done(&out);
    }
    golden_compare(g, "status.txt", GOLDEN_TEXT, statuses, false);
}

static void check_observe(struct golden *g, const struct told *t, const struct ar_response *r)
{
    struct ar_response seen;
    struct ar_fault fault;
    memset(&seen, 0, sizeof seen);
    ar_usage_clear(&seen.usage);
    if (t->up->observe(t->whole, &g->a, &seen, &fault) != AR_OK) {
        golden_bad(g, "observe fails where decode_response does not");
        return;
    }
    if (memcmp(&seen.usage, &r->usage, offsetof(struct ar_usage, estimated)) != 0 ||
        seen.has_stop != r->has_stop || seen.stop.reason != r->stop.reason ||
        !ar_str_is(seen.model, r->model)) {
        golden_bad(g, "observe sees another usage, stop or model than decode_response");
    }
}

/* The request that was asked, for its undo list and its writers. */
static void read_asked(struct golden *g, struct told *t)
{
    struct ar_str body = kit_read(g->dir, "client.json", &g->a),
                  name = golden_text(g, t->how, "client_dialect");
    struct golden_target target;
    struct ar_request *r;
    struct ar_err err = {.code = AR_OK};
    struct ar_losses l = {.strict = false};
    golden_target_read(g, &target);
    t->target = golden_target_for(g, &target, t->up);
    t->target.quirks |= golden_target_for(g, &(struct golden_target){.json = t->how}, t->up).quirks;
    if (!body.p) {
        return;
    }
    unsigned other = t->up->id == AR_DIALECT_CHAT ? AR_DIALECT_ANTHROPIC : AR_DIALECT_CHAT;
    t->asker = name.p ? ar_dialect_by_name(name) : ar_dialect_by_id(other);
    struct ar_buf out;
    ar_buf_init(&out, 64 << 20);
    struct ar_encoded e = {.body = &out};
    if (t->asker->decode_request(body, &target.in, AR_OP_GENERATE, &g->a, &r, &err) != AR_OK ||
        ar_request_seal(r, &g->a, &l, &err) != AR_OK ||
        t->up->encode_request(r, AR_OP_GENERATE, &t->target, &g->a, &l, &e) != AR_OK) {
        golden_bad(g, "client.json: %s: %s %s", err.at, err.note, l.why);
    } else {
        t->request = r;
        t->undo = e.undo;
        t->stops = e.stops;
        golden_compare(g, golden_name(g, "to-%s.json", t->up), GOLDEN_JSON, ar_buf_view(&out),
                       false);
    }
    ar_buf_done(&out);
}

static void read_whole(struct golden *g, struct told *t)
{
    struct ar_fault fault = {.code = AR_OK, .retry_after_ms = -1};
    if (t->up->decode_response(t->whole, &t->read, &g->a, &t->answer, &fault) != AR_OK) {
        t->answer = NULL;
        run_error(g, t, &fault);
        return;
    }
    check_observe(g, t, t->answer);
    if (ar_undo_whole(t->undo, t->stops, t->answer, &g->a) != AR_OK) {
        golden_bad(g, "upstream.json: cannot be undone");
    }
}

void golden_answer(struct golden *g)
{
    struct told t = {.up = g->own, .how = golden_json(g, "answer.json")};
    struct ar_str name = golden_text(g, t.how, "dialect");
    t.up = name.p ? ar_dialect_by_name(name) : t.up;
    if (!t.up) {
        golden_bad(g, "answer.json: no such dialect");
        return;
    }
    t.whole = kit_read(g->dir, "upstream.json", &g->a);
    t.stream = kit_read(g->dir, "upstream.sse", &g->a);
    read_asked(g, &t);
    t.read = (struct ar_read_how){.target = &t.target, .content_max = 64 << 20};
    int64_t status = golden_int(t.how, "status", 200);
    if (status >= 400) {
        struct ar_fault fault = {.code = AR_OK, .retry_after_ms = -1};
        t.up->decode_error((int)status, t.whole, &g->a, &fault);
        run_error(g, &t, &fault);
        return;
    }
    if (t.whole.p) {
        read_whole(g, &t);
    }
    if (t.stream.p) {
        fold_stream(g, &t);
        check_relay(g, &t);
    }
    for (unsigned i = 0; i < AR_DIALECT_COUNT && (t.answer || t.stream.p); i++) {
        run_client(g, &t, ar_dialect_by_id(i));
    }
    if (golden_has(g, "fault.txt") && !t.has_fault) {
        golden_bad(g, "fault.txt: there was no fault");
    }
}
