/*
 * POST /v1/responses/compact where no upstream has it: the history is summed up by the model that
 * was named, in a flow of its own without a socket, and comes back as a compaction item whose
 * content is the summary in our envelope. When such an item stands in a later input, steps_recall.c
 * opens it again. An upstream that speaks Responses to the model compacts by itself: then the
 * request is passed through. Owns the summary under way.
 */
#include "flow/flow.h"

#include "base/clock.h"
#include "base/id.h"
#include "ir/opaque.h"
#include "json/write.h"

#include <stdlib.h>

enum { ANSWER_MAX = 16 << 20 };

static const struct ar_str WISH = AR_LIT_INIT(
    "Sum up the conversation so far for somebody who goes on with it and sees nothing else: what "
    "was "
    "asked, in the user's own words where they matter; what was decided and why; what was done, "
    "with "
    "names of files, functions and commands as they are; what tools returned that is still needed; "
    "what is open and what comes next. Answer with the summary alone.");
static const struct ar_str INTRO =
    AR_LIT_INIT("The conversation before this point was compacted. This is its summary:\n\n");

struct ar_compact {
    struct ar_flow *flow;
    struct ar_conn *inner; /* NULL: over */
    int status;
    struct ar_buf answer;
};

void ar_flow_compact_done(struct ar_flow *f)
{
    struct ar_compact *c = f->compact;
    if (c) {
        f->compact = NULL;
        if (c->inner) {
            ar_inner_cut(c->inner, true);
        }
        ar_buf_done(&c->answer);
        free(c);
    }
}

static void open_summary(void *user, int status, const struct ar_header *h, unsigned n)
{
    (void)h;
    (void)n;
    ((struct ar_compact *)user)->status = status;
}

static size_t write_summary(void *user, struct ar_str bytes)
{
    ar_buf_str(&((struct ar_compact *)user)->answer, bytes);
    return bytes.n;
}

static void end_summary(void *user, bool clean)
{
    struct ar_compact *c = user;
    c->inner = NULL;
    c->status = clean ? c->status : 0;
    ar_wake(&c->flow->waker);
}

/* Does an upstream speak Responses to the model? */
static bool has_upstream(const struct ar_flow *f, struct ar_str model)
{
    const struct ar_upstreams *all = f->snapshot->upstreams;
    struct ar_str name = model, sent;
    (void)ar_route_alias(f->snapshot->config, model, &name);
    for (unsigned i = 0; i < all->n; i++) {
        const struct ar_upstream *u = &all->v[i];
        if (ar_upstream_speaks(u, f->dialect) && ar_upstream_serves(u, name, &sent)) {
            return true;
        }
    }
    return false;
}

/* The request for the summary: the same history, one wish more. */
static void make_body(struct ar_jval root, struct ar_arena *a, struct ar_buf *out)
{
    static const struct ar_str KEEP[] = {AR_LIT_INIT("model"), AR_LIT_INIT("instructions"),
                                         AR_LIT_INIT("previous_response_id"),
                                         AR_LIT_INIT("prompt_cache_key")};
    struct ar_str items = ar_recall_items(ar_json_get_lit(root, "input"), a);
    struct ar_jw w = ar_jw_on(out);
    ar_jw_open(&w, '{');
    for (unsigned i = 0; i < sizeof KEEP / sizeof *KEEP; i++) {
        struct ar_jval v = ar_json_get(root, KEEP[i]);
        if (!ar_json_is_nil(v)) {
            ar_jw_key_dec(&w, KEEP[i]);
            ar_jw_raw(&w, ar_json_raw(v));
        }
    }
    ar_jw_key_bool(&w, "store", false);
    ar_jw_key(&w, "input");
    ar_buf_char(out, '[');
    ar_buf_str(out, items);
    if (items.n > 0) {
        ar_buf_char(out, ',');
    }
    ar_buf_lit(out, "{\"type\":\"message\",\"role\":\"user\",\"content\":");
    ar_buf_char(out, '"');
    ar_json_escape(WISH, out);
    ar_buf_lit(out, "\"}]}");
}

static enum ar_next start_summary(struct ar_flow *f, struct ar_jval root)
{
    static const struct ar_inner_ops OPS = {open_summary, write_summary, end_summary};
    const struct ar_request_head *copy;
    struct ar_request_head head = *f->head;
    struct ar_buf body;
    struct ar_compact *c = calloc(1, sizeof *c);
    if (!c) {
        return ar_flow_fail(f, AR_INTERNAL, "out of memory");
    }
    c->flow = f;
    f->compact = c;
    ar_buf_init(&c->answer, ANSWER_MAX);
    ar_buf_init(&body, f->body.max + 4096);
    make_body(root, &f->arena, &body);
    head.path = AR_LIT("/v1/responses");
    head.query = (struct ar_str){NULL, 0};
    bool fits = ar_buf_finish(&body) == AR_OK;
    c->inner = fits ? ar_inner_new(&head, ar_buf_view(&body), &OPS, c, &copy) : NULL;
    ar_buf_done(&body);
    if (!c->inner) {
        return ar_flow_fail(f, AR_TOO_LARGE, "the history is over body_limit");
    }
    ar_flow_start(f->worker, c->inner, copy);
    return ar_flow_to(f, &ar_step_compact);
}

enum ar_next ar_flow_compact(struct ar_flow *f)
{
    struct ar_jdoc doc;
    struct ar_err err = {0};
    struct ar_str model;
    if (ar_json_parse(ar_buf_view(&f->body), 2, &f->arena, &doc, &err) != AR_OK) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, err.note);
    }
    struct ar_jval root = ar_json_root(&doc);
    uint32_t at;
    if (!ar_recall_is_input(ar_json_get_lit(root, "input"), &at)) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "input is a string or a list of objects");
    }
    if (ar_json_text(ar_json_get_lit(root, "model"), &f->arena, &model, &err) != AR_OK) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "model is missing");
    }
    if (has_upstream(f, model)) {
        f->recalled.is_exchange = true;
        f->op = AR_OP_PASS;
        return ar_flow_to(f, &ar_step_outline);
    }
    return start_summary(f, root);
}

/* All that the model said; escaped, arena. */
static struct ar_str summary_of(struct ar_flow *f, struct ar_jval answer)
{
    struct ar_str all = AR_LIT("");
    for (struct ar_jiter i = ar_json_iter(ar_json_get_lit(answer, "output")); ar_json_next(&i);) {
        struct ar_jval content = ar_json_get_lit(i.val, "content");
        bool said = ar_str_is_lit(ar_json_esc(ar_json_get_lit(i.val, "type")), "message");
        for (struct ar_jiter k = ar_json_iter(content); said && ar_json_next(&k);) {
            struct ar_str text = ar_json_esc(ar_json_get_lit(k.val, "text"));
            all = text.n > 0 ? ar_arena_join(&f->arena, all, text) : all;
        }
    }
    return all;
}

static void write_answer(struct ar_flow *f, struct ar_jval answer, struct ar_str summary)
{
    char id[49];
    struct ar_opaque o = {.vendor = AR_VENDOR_OTHER,
                          .form = AR_ENCRYPTED,
                          .family = AR_LIT("summary"),
                          .account = AR_LIT(""),
                          .data = ar_json_unescape_in(summary, &f->arena)};
    struct ar_buf envelope;
    struct ar_jw w = ar_jw_on(&f->seat.sink.out);
    ar_buf_init(&envelope, (size_t)2 * ANSWER_MAX);
    ar_opaque_wrap(&o, &envelope);
    ar_id_hex(f->id, "compact", 0, 48, id);
    ar_jw_open(&w, '{');
    ar_jw_key_raw(&w, "id", ar_json_raw(ar_json_get_lit(answer, "id")));
    ar_jw_key_lit(&w, "object", "response.compaction");
    ar_jw_key_i64(&w, "created_at", ar_clock_unix_ms() / 1000);
    ar_jw_key(&w, "output");
    ar_jw_open(&w, '[');
    ar_jw_open(&w, '{');
    ar_jw_key_text(&w, "id", ar_arena_fmt(&f->arena, "cmp_%s", id));
    ar_jw_key_lit(&w, "type", "compaction");
    ar_jw_key_text(&w, "encrypted_content", ar_buf_view(&envelope));
    ar_jw_close(&w, '}');
    ar_jw_close(&w, ']');
    ar_jw_key_raw(&w, "usage", ar_json_raw(ar_json_get_lit(answer, "usage")));
    ar_jw_close(&w, '}');
    ar_buf_done(&envelope);
}

/* The summary's own failure is the answer. */
static enum ar_next give_failure(struct ar_flow *f, const struct ar_compact *c)
{
    struct ar_header v[AR_ANSWER_HEADERS];
    if (c->status < 400) {
        return ar_flow_fail(f, AR_UPSTREAM_ERROR, "the model gave no summary");
    }
    ar_sink_open(f);
    ar_buf_str(&f->seat.sink.out, ar_buf_view(&c->answer));
    unsigned n = ar_flow_headers(f, AR_LIT("application/json"), v);
    f->commit = AR_COMMITTED;
    f->record.status_sent = c->status;
    ar_conn_open(f->conn, c->status, v, n, (int64_t)f->seat.sink.out.n);
    return ar_flow_to(f, &ar_step_settle);
}

enum ar_next ar_run_compact(struct ar_flow *f)
{
    struct ar_jdoc doc;
    struct ar_header v[AR_ANSWER_HEADERS];
    struct ar_compact *c = f->compact;
    if (c->inner) {
        if (ar_conn_is_gone(f->conn)) {
            ar_inner_cut(c->inner, false);
        }
        return ar_flow_wait(f, AR_W_CLIENT | AR_W_CALL, AR_NEVER); /* the inner flow keeps time */
    }
    if (c->status != 200 || ar_buf_finish(&c->answer) != AR_OK ||
        ar_json_parse(ar_buf_view(&c->answer), AR_JSON_DEPTH, &f->arena, &doc, NULL) != AR_OK) {
        return give_failure(f, c);
    }
    struct ar_jval answer = ar_json_root(&doc);
    struct ar_str summary = summary_of(f, answer);
    if (summary.n == 0) {
        return ar_flow_fail(f, AR_UPSTREAM_ERROR, "the model gave no summary");
    }
    ar_sink_open(f);
    write_answer(f, answer, summary);
    unsigned n = ar_flow_headers(f, AR_LIT("application/json"), v);
    f->commit = AR_COMMITTED;
    f->record.status_sent = 200;
    f->record.client_dialect = "local";
    ar_conn_open(f->conn, 200, v, n, (int64_t)f->seat.sink.out.n);
    return ar_flow_to(f, &ar_step_settle);
}

bool ar_compact_open(struct ar_jval item, struct ar_arena *a, struct ar_str *ret)
{
    struct ar_opaque o;
    struct ar_str type = ar_json_esc(ar_json_get_lit(item, "type"));
    struct ar_str sealed = ar_json_esc(ar_json_get_lit(item, "encrypted_content"));
    if (!ar_str_is_lit(type, "compaction") || !ar_opaque_unwrap(sealed, a, &o) ||
        !ar_str_is_lit(o.family, "summary") || o.data.n == 0) {
        return false;
    }
    struct ar_str text = ar_json_escape_in(ar_arena_join(a, INTRO, o.data), a);
    *ret = ar_arena_fmt(a,
                        "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":"
                        "\"input_text\",\"text\":\"%.*s\"}]}",
                        AR_FMT(text));
    return ret->p != NULL;
}
