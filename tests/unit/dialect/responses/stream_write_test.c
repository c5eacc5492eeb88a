/* The stream writer under every order of events that a reader may give: the grammar of its frames
 * holds (P-169 to P-173), and what a reader of the dialect makes of them is the answer that went
 * in. Besides: what the writer does at odd moments. */
#include "base/rand.h"
#include "dialect/golden_kit.h"
#include "dialect/responses/responses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct pen {
    struct ar_arena a;
    struct ar_buf out;
    struct ar_framer f;
    struct ar_losses l;
    struct ar_request request;
    struct ar_writer *w;
    struct ar_fold *fold; /* of what went in */
};

static void pen_open(struct pen *p, const struct ar_request *r)
{
    memset(p, 0, sizeof *p);
    ar_arena_init(&p->a, 64 << 20);
    ar_buf_init(&p->out, 64 << 20);
    p->f = (struct ar_framer){.how = &kit_sse, .out = &p->out};
    struct ar_write_how how = {.request = r, .model = AR_LIT("m")};
    p->w = ar_responses_writer_new(&how, &p->l, &p->a);
    p->fold = ar_fold_new(64 << 20);
    assert_non_null(p->w);
}

static void pen_close(struct pen *p)
{
    ar_responses_writer_done(p->w);
    ar_fold_free(p->fold);
    ar_buf_done(&p->out);
    ar_arena_done(&p->a);
}

static void put(struct pen *p, struct ar_event ev)
{
    assert_int_equal(ar_responses_write(p->w, &ev, &p->f), AR_OK);
    if (ev.kind != AR_EV_ERROR) {
        assert_int_equal(ar_fold_put(p->fold, &ev), AR_OK);
    }
}

static void start(struct pen *p)
{
    struct ar_response r = {.id = AR_LIT("x"), .model = AR_LIT("m")};
    ar_usage_clear(&r.usage);
    put(p, (struct ar_event){.kind = AR_EV_START, .answer = &r});
}

static void stop(struct pen *p, enum ar_stop_reason reason)
{
    struct ar_stop s = {.reason = reason};
    struct ar_usage u;
    ar_usage_clear(&u);
    u.in_total = 7;
    u.out_total = 5;
    put(p, (struct ar_event){.kind = AR_EV_STOP, .stop = &s, .usage = &u});
    put(p, (struct ar_event){.kind = AR_EV_END});
}

/* --- the grammar --- */

enum { ITEMS = 64 };
struct grammar {
    struct ar_arena *a;
    int64_t seq;
    unsigned count;
    struct ar_str ids[ITEMS], done[ITEMS];
    struct ar_buf said[ITEMS]; /* of the open part, or the input */
    struct ar_str last;        /* type of the last frame */
};

static struct ar_str esc_of(struct ar_jval v, const char *key)
{
    return ar_json_esc(ar_json_get(v, ar_str_of(key)));
}

static int64_t int_of(struct ar_jval v, const char *key)
{
    int64_t n = -1;
    assert_int_equal(ar_json_i64(ar_json_get(v, ar_str_of(key)), &n, NULL), AR_OK);
    return n;
}

static void see_added(struct grammar *g, struct ar_jval v)
{
    assert_int_equal(int_of(v, "output_index"), g->count);
    assert_true(g->count < ITEMS);
    g->ids[g->count] = esc_of(ar_json_get_lit(v, "item"), "id");
    assert_true(g->ids[g->count].n > 4); /* P-172 */
    ar_buf_init(&g->said[g->count], 1 << 20);
    g->count++;
}

static void see_done(struct grammar *g, struct ar_jval v)
{
    int64_t i = int_of(v, "output_index");
    struct ar_jval item = ar_json_get_lit(v, "item");
    assert_true(i >= 0 && i < g->count && !g->done[i].p);
    assert_true(ar_str_is(esc_of(item, "id"), g->ids[i])); /* P-170 */
    g->done[i] = ar_json_raw(item);
}

/* P-173: deltas joined are the text of the event that ends them. */
static void see_text(struct grammar *g, struct ar_jval v, struct ar_str type)
{
    static const char *const WHOLE[] = {"text", "refusal", "arguments", "input"};
    int64_t i = int_of(v, "output_index");
    assert_true(i >= 0 && i < g->count && !g->done[i].p);
    assert_true(ar_str_is(esc_of(v, "item_id"), g->ids[i]));
    if (ar_str_has_suffix(type, AR_LIT(".delta"))) {
        ar_buf_str(&g->said[i], esc_of(v, "delta"));
        return;
    }
    for (unsigned k = 0; k < sizeof WHOLE / sizeof *WHOLE; k++) {
        struct ar_str whole = esc_of(v, WHOLE[k]);
        if (whole.p && ar_str_has_suffix(type, AR_LIT(".done"))) {
            assert_true(ar_str_is(ar_buf_view(&g->said[i]), whole));
            ar_buf_clear(&g->said[i]);
        }
    }
}

/* P-171 */
static void see_end(const struct grammar *g, struct ar_jval v)
{
    struct ar_jval output = ar_json_get_lit(ar_json_get_lit(v, "response"), "output");
    assert_int_equal(ar_json_count(output), g->count);
    for (unsigned i = 0; i < g->count; i++) {
        assert_true(ar_str_is(ar_json_raw(ar_json_at(output, i)), g->done[i]));
    }
}

static void see_frame(struct grammar *g, const struct ar_frame *f)
{
    struct ar_jdoc *doc = ar_arena_new(g->a, struct ar_jdoc);
    assert_int_equal(ar_json_parse(f->data, AR_JSON_DEPTH, g->a, doc, NULL), AR_OK);
    struct ar_jval v = ar_json_root(doc);
    struct ar_str type = esc_of(v, "type");
    assert_true(ar_str_is(type, f->name));
    assert_int_equal(int_of(v, "sequence_number"), g->seq++); /* P-169 */
    assert_false(ar_str_is_lit(g->last, "response.completed"));
    g->last = type;
    if (ar_str_is_lit(type, "response.output_item.added")) {
        see_added(g, v);
    } else if (ar_str_is_lit(type, "response.output_item.done")) {
        see_done(g, v);
    } else if (ar_json_get_lit(v, "item_id").doc) {
        see_text(g, v, type);
    } else if (ar_str_is_lit(type, "response.completed") ||
               ar_str_is_lit(type, "response.incomplete")) {
        see_end(g, v);
    }
}

static struct ar_str check_grammar(struct pen *p)
{
    struct grammar g = {.a = &p->a};
    struct ar_str body = ar_buf_view(&p->out);
    struct ar_frame f;
    while (kit_frame(&body, &p->a, &f)) {
        see_frame(&g, &f);
    }
    for (unsigned i = 0; i < g.count; i++) {
        ar_buf_done(&g.said[i]);
    }
    return g.last;
}

/* --- what a reader makes of it --- */

static struct ar_response *read_back(struct pen *p)
{
    struct ar_read_how how = {.content_max = 1 << 24};
    struct ar_reader *r = ar_responses_reader_new(&how, &p->a);
    struct ar_fold *fold = ar_fold_new(64 << 20);
    struct ar_str body = ar_buf_view(&p->out);
    struct ar_frame f;
    struct ar_event ev;
    struct ar_response *got = NULL;
    bool more = true;
    while (more) {
        more = kit_frame(&body, &p->a, &f);
        if (more) {
            ar_responses_read_frame(r, &f);
        } else {
            ar_responses_read_eof(r, AR_EOF_CLEAN);
        }
        while (ar_responses_read_next(r, &ev)) {
            assert_int_equal(ar_fold_put(fold, &ev), AR_OK);
        }
    }
    assert_int_equal(ar_fold_finish(fold, &p->a, &got), AR_OK);
    ar_responses_reader_done(r);
    ar_fold_free(fold);
    return got;
}

/* The answer in words, with what is no difference taken out: texts that follow each other are one,
 * and a call without arguments has the empty object. */
static void put_story(struct ar_buf *out, const struct ar_block *list)
{
    enum ar_block_kind last = AR_OPAQUE_ITEM;
    for (const struct ar_block *b = list; b; b = b->next) {
        bool has_sig = b->sig && b->sig->data.n > 0;
        if (b->kind != AR_TOOL_USE && b->text.n == 0 && !has_sig) {
            continue;
        }
        bool joins = b->kind == last && (b->kind == AR_TEXT || b->kind == AR_REFUSAL);
        last = b->kind;
        if (!joins) {
            ar_buf_fmt(out, "\n%s %.*s %.*s%s ",
                       b->kind == AR_TEXT       ? "text"
                       : b->kind == AR_REFUSAL  ? "refusal"
                       : b->kind == AR_TOOL_USE ? "call"
                                                : "thinking",
                       AR_FMT(b->id), AR_FMT(b->name), b->freeform ? " freeform" : "");
        }
        ar_buf_str(out, b->kind == AR_TOOL_USE && b->text.n == 0 && !b->freeform ? AR_LIT("{}")
                                                                                 : b->text);
        if (has_sig) {
            ar_buf_fmt(out, " <%d %.*s>", (int)b->sig->vendor, AR_FMT(b->sig->data));
        }
    }
}

static void expect_story(const struct ar_block *in, const struct ar_block *out, const char *what)
{
    struct ar_buf want, got;
    ar_buf_init(&want, 1 << 24);
    ar_buf_init(&got, 1 << 24);
    put_story(&want, in);
    put_story(&got, out);
    if (!ar_str_is(ar_buf_view(&want), ar_buf_view(&got))) {
        kit_show_difference(what, ar_buf_view(&want), ar_buf_view(&got));
        fail();
    }
    ar_buf_done(&want);
    ar_buf_done(&got);
}

/* The output as a client sends it back with its next request (P-096). */
static const struct ar_block *as_history(struct pen *p)
{
    struct ar_str body = ar_buf_view(&p->out);
    struct ar_frame f, last = {.data = AR_LIT("{}")};
    struct ar_jdoc doc;
    struct ar_request *r = NULL;
    struct ar_err err;
    while (kit_frame(&body, &p->a, &f)) {
        last = f;
    }
    assert_int_equal(ar_json_parse(last.data, AR_JSON_DEPTH, &p->a, &doc, NULL), AR_OK);
    struct ar_str output =
        ar_json_raw(ar_json_get_lit(ar_json_get_lit(ar_json_root(&doc), "response"), "output"));
    struct ar_str next = ar_arena_fmt(&p->a, "{\"model\":\"m\",\"input\":%.*s}", AR_FMT(output));
    assert_int_equal(ar_responses_decode_request(next, NULL, AR_OP_GENERATE, &p->a, &r, &err),
                     AR_OK);
    assert_true(!r->turns || (r->turns->role == AR_ASSISTANT && !r->turns->next));
    return r->turns ? r->turns->blocks : NULL;
}

static void check_same(struct pen *p)
{
    struct ar_response *in = NULL, *out = read_back(p);
    assert_int_equal(ar_fold_finish(p->fold, &p->a, &in), AR_OK);
    expect_story(in->blocks, out->blocks, "read back");
    expect_story(in->blocks, as_history(p), "as history");
    assert_int_equal(in->usage.in_total, out->usage.in_total);
}

/* --- any order of events --- */

struct wild {
    unsigned b;
    enum ar_block_kind kind;
    bool freeform;
};

static void wild_begin(struct pen *p, struct ar_rand *r, struct wild *k)
{
    static const enum ar_block_kind KINDS[] = {AR_TEXT,     AR_TEXT,     AR_THINKING,
                                               AR_TOOL_USE, AR_TOOL_USE, AR_REFUSAL};
    k->kind = KINDS[ar_rand_below(r, 6)];
    k->freeform = k->kind == AR_TOOL_USE && ar_rand_below(r, 2) == 0;
    struct ar_block meta = {.kind = k->kind, .freeform = k->freeform};
    if (k->kind == AR_TOOL_USE) {
        meta.id = ar_arena_fmt(&p->a, "call_%u", k->b);
        meta.name = k->freeform ? AR_LIT("patch") : AR_LIT("look");
    }
    put(p, (struct ar_event){.kind = AR_EV_BLOCK_START, .b = k->b, .block = &meta});
}

static void wild_delta(struct pen *p, struct ar_rand *r, const struct wild *k)
{
    static const char *const PIECES[] = {
        "a", "\\n", "b c", "\xc3\xa9", "\\u00e9", "\\\"", "\\ud83d\\ude00", "", "x\\\\y"};
    static const struct ar_opaque SIG = {.vendor = AR_VENDOR_ANTHROPIC,
                                         .form = AR_SIGNATURE,
                                         .family = AR_LIT_INIT(""),
                                         .account = AR_LIT_INIT(""),
                                         .data = AR_LIT_INIT("sig")};
    enum ar_delta what = k->kind == AR_TEXT       ? AR_D_TEXT
                         : k->kind == AR_THINKING ? AR_D_THINKING
                         : k->kind == AR_REFUSAL  ? AR_D_REFUSAL
                         : k->freeform            ? AR_D_FREEFORM
                                                  : AR_D_JSON;
    struct ar_event ev = {.kind = AR_EV_DELTA, .b = k->b, .delta = what};
    ev.text = ar_str_of(PIECES[ar_rand_below(r, sizeof PIECES / sizeof *PIECES)]);
    if (k->kind == AR_THINKING && ar_rand_below(r, 4) == 0) {
        ev = (struct ar_event){
            .kind = AR_EV_DELTA, .b = k->b, .delta = AR_D_SIGNATURE, .opaque = &SIG};
    }
    put(p, ev);
}

/* One answer with at most so many blocks open at once. */
static void run_wild(uint64_t seed, unsigned most)
{
    struct pen p;
    struct ar_rand r;
    struct wild open[4];
    unsigned n = 0, next = 0;
    ar_rand_init(&r, seed);
    pen_open(&p, NULL);
    start(&p);
    for (unsigned i = 0; i < 40; i++) {
        unsigned at = n > 0 ? (unsigned)ar_rand_below(&r, n) : 0;
        unsigned dice = (unsigned)ar_rand_below(&r, 8);
        if (n == 0 || (n < most && dice == 0)) {
            open[n].b = next++;
            wild_begin(&p, &r, &open[n++]);
        } else if (dice < 6) {
            wild_delta(&p, &r, &open[at]);
        } else {
            put(&p, (struct ar_event){.kind = AR_EV_BLOCK_END, .b = open[at].b});
            open[at] = open[--n];
        }
        if (ar_rand_below(&r, 16) == 0) {
            ar_responses_write_ping(p.w, &p.f);
        }
    }
    while (n > 0) {
        put(&p, (struct ar_event){.kind = AR_EV_BLOCK_END, .b = open[--n].b});
    }
    stop(&p, AR_STOP_END);
    assert_true(ar_str_is_lit(check_grammar(&p), "response.completed"));
    if (most == 1) { /* side by side, texts join otherwise than they came */
        check_same(&p);
    }
    pen_close(&p);
}

static void any_order_keeps_the_grammar(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        run_wild(seed, 1);
        run_wild(seed, 3);
    }
}

/* --- odd moments --- */

static unsigned count_of(const struct pen *p, const char *text)
{
    struct ar_str rest = ar_buf_view(&p->out), what = ar_str_of(text);
    unsigned n = 0;
    while (ar_str_has(rest, what)) {
        rest = ar_str_from(rest, ar_str_find(rest, what) + what.n);
        n++;
    }
    return n;
}

static void text(struct pen *p, unsigned b, const char *esc)
{
    struct ar_block meta = {.kind = AR_TEXT};
    put(p, (struct ar_event){.kind = AR_EV_BLOCK_START, .b = b, .block = &meta});
    put(p,
        (struct ar_event){.kind = AR_EV_DELTA, .b = b, .delta = AR_D_TEXT, .text = ar_str_of(esc)});
    put(p, (struct ar_event){.kind = AR_EV_BLOCK_END, .b = b});
}

/* P-176: the code is one that Codex knows, the hint is one that it waits for, nothing follows. */
static void a_failure_is_the_last_word(void **state)
{
    (void)state;
    struct pen p;
    pen_open(&p, NULL);
    start(&p);
    text(&p, 0, "Half");
    struct ar_fault f = {.code = AR_UPSTREAM_RATE_LIMITED,
                         .retry_after_ms = 1500,
                         .message = AR_LIT("Slow \"down\".")};
    put(&p, (struct ar_event){.kind = AR_EV_ERROR, .fault = &f});
    size_t n = p.out.n;
    struct ar_event end = {.kind = AR_EV_END};
    assert_int_equal(ar_responses_write(p.w, &end, &p.f), AR_OK);
    assert_int_equal(p.out.n, n);
    assert_true(ar_str_is_lit(check_grammar(&p), "response.failed"));
    assert_int_equal(count_of(&p, "\"status\":\"failed\""), 1);
    assert_int_equal(count_of(&p, "\"code\":\"rate_limit_exceeded\",\"message\":\"Slow "
                                  "\\\"down\\\". Please try again in 2s.\""),
                     1);
    pen_close(&p);
}

static void an_end_without_a_stop_is_a_failure(void **state)
{
    (void)state;
    struct pen p;
    pen_open(&p, NULL);
    start(&p);
    text(&p, 0, "Half");
    struct ar_event end = {.kind = AR_EV_END};
    assert_int_equal(ar_responses_write(p.w, &end, &p.f), AR_OK);
    assert_true(ar_str_is_lit(check_grammar(&p), "response.failed"));
    assert_int_equal(count_of(&p, "\"code\":\"server_error\""), 1);
    pen_close(&p);
}

static void an_answer_without_content_is_complete(void **state)
{
    (void)state;
    struct pen p;
    pen_open(&p, NULL);
    start(&p);
    stop(&p, AR_STOP_END);
    assert_true(ar_str_is_lit(check_grammar(&p), "response.completed"));
    assert_int_equal(count_of(&p, "\"output\":[]"), 3);
    assert_int_equal(count_of(&p, "\"total_tokens\":12"), 1); /* P-149 */
    pen_close(&p);
}

static void reasons_that_are_no_completion(void **state)
{
    (void)state;
    static const struct {
        enum ar_stop_reason reason;
        const char *type, *detail;
    } CASES[] = {
        {AR_STOP_MAX_TOKENS, "response.incomplete", "\"reason\":\"max_output_tokens\""}, /* P-175 */
        {AR_STOP_CONTEXT, "response.incomplete", "\"reason\":\"max_output_tokens\""},    /* P-137 */
        {AR_STOP_FILTER, "response.incomplete", "\"reason\":\"content_filter\""},
        {AR_STOP_REFUSAL, "response.incomplete", "\"reason\":\"content_filter\""},
        {AR_STOP_STEERED, "response.incomplete", "\"reason\":\"steered\""},
        {AR_STOP_TOOL_USE, "response.completed", "\"incomplete_details\":null"},
        {AR_STOP_SEQUENCE, "response.completed", "\"incomplete_details\":null"},
        {AR_STOP_PAUSE, "response.completed", "\"incomplete_details\":null"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct pen p;
        pen_open(&p, NULL);
        start(&p);
        text(&p, 0, "Some");
        stop(&p, CASES[i].reason);
        assert_true(ar_str_is(check_grammar(&p), ar_str_of(CASES[i].type)));
        assert_true(count_of(&p, CASES[i].detail) >= 1);
        pen_close(&p);
    }
}

static void a_loss_of_the_answer_is_told_before_its_end(void **state)
{
    (void)state;
    struct pen p;
    pen_open(&p, NULL);
    start(&p);
    struct ar_block audio = {.kind = AR_AUDIO};
    put(&p, (struct ar_event){.kind = AR_EV_BLOCK_START, .b = 0, .block = &audio});
    put(&p, (struct ar_event){.kind = AR_EV_BLOCK_END, .b = 0});
    stop(&p, AR_STOP_END);
    struct ar_str all = ar_buf_view(&p.out);
    size_t at = ar_str_find(all, AR_LIT(": x-anyrouter-warnings dropped:content"));
    assert_true(at < ar_str_find(all, AR_LIT("event: response.completed")));
    pen_close(&p);
}

/* 8.3.9: the keep-alive is an event, because comments do not reset the idle timer of agents. */
static void a_ping_is_an_event(void **state)
{
    (void)state;
    struct pen p;
    pen_open(&p, NULL);
    start(&p);
    ar_responses_write_ping(p.w, &p.f);
    stop(&p, AR_STOP_END);
    (void)check_grammar(&p);
    assert_int_equal(count_of(&p, "event: response.in_progress\n"), 2);
    pen_close(&p);
}

static void call(struct pen *p, unsigned b, const char *name, const char *esc)
{
    struct ar_block meta = {.kind = AR_TOOL_USE, .id = AR_LIT("c"), .name = ar_str_of(name)};
    put(p, (struct ar_event){.kind = AR_EV_BLOCK_START, .b = b, .block = &meta});
    put(p,
        (struct ar_event){.kind = AR_EV_DELTA, .b = b, .delta = AR_D_JSON, .text = ar_str_of(esc)});
    put(p, (struct ar_event){.kind = AR_EV_BLOCK_END, .b = b});
}

/* 8.3.5: a client runs these without asking, so only what is of the form is one. */
static void a_call_has_the_kind_of_its_tool(void **state)
{
    (void)state;
    static const char BODY[] =
        "{\"model\":\"m\",\"tools\":[{\"type\":\"local_shell\"},{\"type\":\"apply_patch\"},"
        "{\"type\":\"namespace\",\"name\":\"n\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]}"
        "]}";
    static const struct {
        const char *name, *esc, *want;
    } CASES[] = {
        {"local_shell", "{\\\"command\\\":[\\\"ls\\\"],\\\"env\\\":{\\\"A\\\":\\\"b\\\"}}",
         "\"action\":{\"type\":\"exec\",\"command\":[\"ls\"],\"env\":{\"A\":\"b\"}}"},
        {"local_shell", "{\\\"command\\\":[1]}", "\"type\":\"function_call\""},
        {"local_shell", "{\\\"command\\\":[]}", "\"type\":\"function_call\""},
        {"local_shell", "no JSON", "\"arguments\":\"no JSON\""},
        {"apply_patch",
         "{\\\"type\\\":\\\"delete_file\\\",\\\"path\\\":\\\"a\\\",\\\"diff\\\":\\\"\\\"}",
         "\"operation\":{\"type\":\"delete_file\",\"path\":\"a\"}"},
        {"apply_patch", "{\\\"type\\\":\\\"create_file\\\",\\\"path\\\":\\\"a\\\"}",
         "\"type\":\"function_call\""},
        {"n__f", "{}", "\"name\":\"f\",\"namespace\":\"n\""}, /* P-053 */
        {"f", "{}", "\"name\":\"f\",\"namespace\":\"n\""},
        {"g", "{}", "\"name\":\"g\",\"arguments\""},
    };
    struct ar_arena a;
    struct ar_request *r = NULL;
    struct ar_err err;
    ar_arena_init(&a, 1 << 20);
    assert_int_equal(
        ar_responses_decode_request(ar_str_of(BODY), NULL, AR_OP_GENERATE, &a, &r, &err), AR_OK);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct pen p;
        pen_open(&p, r);
        start(&p);
        call(&p, 0, CASES[i].name, CASES[i].esc);
        stop(&p, AR_STOP_TOOL_USE);
        assert_true(ar_str_is_lit(check_grammar(&p), "response.completed"));
        assert_true(count_of(&p, CASES[i].want) >= 2);
        pen_close(&p);
    }
    ar_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_keeps_the_grammar),
        cmocka_unit_test(a_failure_is_the_last_word),
        cmocka_unit_test(an_end_without_a_stop_is_a_failure),
        cmocka_unit_test(an_answer_without_content_is_complete),
        cmocka_unit_test(reasons_that_are_no_completion),
        cmocka_unit_test(a_loss_of_the_answer_is_told_before_its_end),
        cmocka_unit_test(a_ping_is_an_event),
        cmocka_unit_test(a_call_has_the_kind_of_its_tool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
