/*
 * Answers to events and back (PROTOCOLS 8.7, P-183): every kind of block, text cut at every place,
 * interleaved blocks, and what must not count as an answer.
 */
#include "check.h"
#include "ir/events.h"

#include "json/scan.h"

static struct ar_opaque SIG = {AR_VENDOR_ANTHROPIC, AR_SIGNATURE, AR_LIT_INIT("claude"),
                               AR_LIT_INIT("0a1b2c3d"), AR_LIT_INIT("c2ln")};
static struct ar_media PNG = {.mime = AR_LIT_INIT("image/png"), .data = AR_LIT_INIT("AAAA")};

/* One block of each kind that an answer can hold. */
static struct ar_response *sample(struct ar_arena *a)
{
    struct ar_response *r = ar_arena_new(a, struct ar_response);
    struct ar_block **tail = &r->blocks, *b;
    r->id = AR_LIT("id1");
    r->model = AR_LIT("m");
    r->created_unix = 7;
    b = ar_block_new(a, AR_THINKING, &tail);
    b->text = AR_LIT("hm \\u00e9\xc3\xa9");
    b->sig = &SIG;
    b = ar_block_new(a, AR_REDACTED_THINKING, &tail);
    b->sig = &SIG;
    b = ar_block_new(a, AR_TEXT, &tail);
    b->text = AR_LIT("say \\\"hi\\\" \\ud83d\\ude00 \xf0\x9f\x98\x80");
    b->citations = AR_LIT("[{\"a\":1},{\"b\":[2]}]");
    b = ar_block_new(a, AR_TOOL_USE, &tail);
    b->id = AR_LIT("c1");
    b->name = AR_LIT("get");
    b->text = AR_LIT("{\"q\":\"a\\\"b\\n\",\"n\":1.0}");
    b = ar_block_new(a, AR_TOOL_USE, &tail);
    b->id = AR_LIT("c2");
    b->name = AR_LIT("patch");
    b->text = AR_LIT("line 1\nline \"2\"");
    b->freeform = true;
    b = ar_block_new(a, AR_SERVER_TOOL_USE, &tail);
    b->vendor = AR_VENDOR_ANTHROPIC;
    b->id = AR_LIT("s1");
    b->text = AR_LIT("{\"query\":\"x\"}");
    b = ar_block_new(a, AR_SERVER_TOOL_RESULT, &tail);
    b->raw = AR_LIT("{\"type\":\"web_search_tool_result\"}");
    b = ar_block_new(a, AR_IMAGE, &tail);
    b->media = &PNG;
    b = ar_block_new(a, AR_REFUSAL, &tail);
    b->text = AR_LIT("no");
    b = ar_block_new(a, AR_TOOL_USE, &tail);
    b->id = AR_LIT("c3");
    b->text = AR_LIT("");
    r->stop = (struct ar_stop){.reason = AR_STOP_SEQUENCE, .sequence = AR_LIT("END\\n")};
    r->has_stop = true;
    ar_usage_clear(&r->usage);
    r->usage.in_total = 10;
    r->usage.out_total = 3;
    return r;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 20);
    struct ar_response *r = sample(&a), *back;
    struct ar_unfold u;
    struct ar_event ev;
    struct ar_fold *f = ar_fold_new(1 << 20);
    ar_unfold_init(&u, r, &a);
    while (ar_unfold_next(&u, &ev)) {
        CHECK_OK(ar_fold_put(f, &ev));
    }
    CHECK_OK(ar_fold_finish(f, &a, &back));
    ar_fold_free(f);
    CHECK_STR(show_answer(back, &a), show_answer(r, &a).p);
    CHECK_STR(back->id, "id1");
    CHECK_STR(back->model, "m");
    assert_int_equal(back->created_unix, 7);
    assert_memory_equal(&back->usage, &r->usage, sizeof r->usage);
    const struct ar_block *x = r->blocks, *y = back->blocks;
    for (; x && y; x = x->next, y = y->next) {
        assert_int_equal(x->vendor, y->vendor);
        CHECK_STR(y->raw, x->raw.p ? x->raw.p : "");
        assert_int_equal(x->media != NULL, y->media != NULL);
        if (x->media) {
            CHECK_STR(y->media->data, x->media->data.p);
            assert_ptr_not_equal(y->media, x->media); /* a copy, which outlives the answer */
            assert_ptr_not_equal(y->media->data.p, x->media->data.p);
        }
    }
    assert_true(!x && !y);
    ar_arena_done(&a);
}

/* No delta is longer than 64 code points, and none ends inside an escape, a pair of surrogates or a
 * UTF-8 sequence. */
static void test_deltas(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 8 << 20);
    struct ar_buf text;
    ar_buf_init(&text, 1 << 20);
    for (int i = 0; i < 200; i++) {
        ar_buf_lit(&text, "\\ud83d\\ude00x\xf0\x9f\x98\x80\\n\xe2\x82\xac\\\\\\u00e9");
    }
    struct ar_block block = {.kind = AR_TEXT, .text = ar_buf_view(&text)};
    struct ar_response r = {.blocks = &block, .has_stop = true};
    struct ar_unfold u;
    struct ar_event ev;
    struct ar_str left = block.text;
    int deltas = 0;
    ar_usage_clear(&r.usage);
    ar_unfold_init(&u, &r, &a);
    while (ar_unfold_next(&u, &ev)) {
        if (ev.kind != AR_EV_DELTA) {
            continue;
        }
        deltas++;
        assert_true(ar_str_has_prefix(left, ev.text));
        left = ar_str_from(left, ev.text.n);
        struct ar_str json = ar_arena_fmt(&a, "\"%.*s\"", AR_FMT(ev.text));
        struct ar_jdoc doc;
        CHECK_OK(ar_json_parse(json, 1, &a, &doc, NULL)); /* UTF-8 and escapes are whole */
        assert_false(ar_json_flags(ar_json_root(&doc)) & AR_J_LONE);
        size_t points = 0;
        struct ar_str dec = ar_json_unescape_in(ev.text, &a);
        for (size_t i = 0; i < dec.n; i++) {
            points += (dec.p[i] & 0xc0) != 0x80;
        }
        assert_in_range(points, 1, 64);
    }
    assert_int_equal(left.n, 0);
    assert_int_equal(deltas, (200 * 7 + 63) / 64);
    ar_buf_done(&text);
    ar_arena_done(&a);
}

/* Parallel calls come interleaved; text cut at every two places gives the same answer. */
static void test_interleaved(void **state)
{
    (void)state;
    struct ar_str one = AR_LIT("{\\\"a\\\":\\\"\\ud83d\\ude00\\\"}"), two = AR_LIT("{\\\"b\\\":2}");
    struct ar_block first = {.kind = AR_TOOL_USE, .id = AR_LIT("1"), .name = AR_LIT("f")};
    struct ar_block second = {.kind = AR_TOOL_USE, .id = AR_LIT("2"), .name = AR_LIT("g")};
    struct ar_stop stop = {.reason = AR_STOP_TOOL_USE};
    struct ar_response head = {.id = AR_LIT("x")};
    for (size_t i = 0; i <= one.n; i++) {
        for (size_t k = 0; k <= two.n; k++) {
            struct ar_event start = {.kind = AR_EV_START, .answer = &head};
            struct ar_event evs[] = {start,
                                     ev_block(0, &first),
                                     ev_text(0, AR_D_JSON, ar_str_head(one, i)),
                                     ev_block(1, &second),
                                     ev_text(1, AR_D_JSON, ar_str_head(two, k)),
                                     ev_text(0, AR_D_JSON, ar_str_from(one, i)),
                                     ev_of(AR_EV_BLOCK_END, 0),
                                     ev_text(1, AR_D_JSON, ar_str_from(two, k)),
                                     ev_of(AR_EV_BLOCK_END, 1),
                                     ev_stop(&stop),
                                     ev_of(AR_EV_END, 0)};
            struct ar_arena a;
            struct ar_response *r;
            ar_arena_init(&a, 1 << 16);
            struct ar_fold *f = ar_fold_new(1 << 16);
            for (size_t n = 0; n < sizeof evs / sizeof evs[0]; n++) {
                CHECK_OK(ar_fold_put(f, &evs[n]));
            }
            CHECK_OK(ar_fold_finish(f, &a, &r));
            CHECK_STR(show_answer(r, &a),
                      "call(1,f):{\"a\":\"\xf0\x9f\x98\x80\"}; call(2,g):{\"b\":2}; stop=3");
            ar_fold_free(f);
            ar_arena_done(&a);
        }
    }
}

static void test_not_an_answer(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_response *r = NULL, head = {.id = AR_LIT("x")};
    struct ar_stop stop = {.reason = AR_STOP_END};
    struct ar_event start = {.kind = AR_EV_START, .answer = &head}, st = ev_stop(&stop),
                    error = ev_of(AR_EV_ERROR, 0);
    ar_arena_init(&a, 1 << 16);
    struct ar_fold *f = ar_fold_new(1 << 16);
    assert_int_equal(ar_fold_finish(f, &a, &r), AR_UPSTREAM_TRUNCATED);
    CHECK_OK(ar_fold_put(f, &start));
    CHECK_OK(ar_fold_put(f, &st));
    assert_int_equal(ar_fold_finish(f, &a, &r), AR_UPSTREAM_TRUNCATED); /* a stop alone is no end */
    CHECK_OK(ar_fold_put(f, &error));
    assert_int_equal(ar_fold_finish(f, &a, &r), AR_UPSTREAM_TRUNCATED);
    assert_null(r);
    ar_fold_free(f);
    ar_arena_done(&a);
}

static void test_caps(void **state)
{
    (void)state;
    static char big[4096];
    memset(big, 'x', sizeof big);
    struct ar_block text = {.kind = AR_TEXT};
    struct ar_event open = ev_block(0, &text),
                    delta = ev_text(0, AR_D_TEXT, ar_str_n(big, sizeof big));
    struct ar_fold *f = ar_fold_new(10000);
    CHECK_OK(ar_fold_put(f, &open));
    CHECK_OK(ar_fold_put(f, &delta));
    CHECK_OK(ar_fold_put(f, &delta));
    assert_int_equal(ar_fold_put(f, &delta), AR_TOO_LARGE);
    struct ar_response *r;
    assert_int_equal(ar_fold_finish(f, NULL, &r), AR_TOO_LARGE);
    ar_fold_free(f);
    f = ar_fold_new(10000);
    open.b = 5; /* out of order: not a crash */
    assert_int_equal(ar_fold_put(f, &open), AR_TOO_LARGE);
    ar_fold_free(f);
    ar_fold_free(NULL);
}

static void test_late_pieces(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_response head = {.id = AR_LIT("x")}, *r;
    struct ar_block text = {.kind = AR_TEXT},
                    end = {.kind = AR_TEXT, .sig = &SIG, .citations = AR_LIT("[1]")};
    struct ar_stop stop = {.reason = AR_STOP_END};
    struct ar_usage early, late;
    ar_usage_clear(&early);
    ar_usage_clear(&late);
    early.in_total = 5;
    early.out_total = 1;
    late.out_total = 9;
    struct ar_event evs[] = {{.kind = AR_EV_START, .answer = &head},
                             {.kind = AR_EV_USAGE, .usage = &early},
                             ev_block(0, &text),
                             ev_text(0, AR_D_TEXT, AR_LIT("t")),
                             {.kind = AR_EV_PING},
                             {.kind = AR_EV_BLOCK_END, .block = &end},
                             {.kind = AR_EV_STOP, .stop = &stop, .usage = &late},
                             ev_of(AR_EV_END, 0)};
    ar_arena_init(&a, 1 << 16);
    struct ar_fold *f = ar_fold_new(1 << 16);
    for (size_t n = 0; n < sizeof evs / sizeof evs[0]; n++) {
        CHECK_OK(ar_fold_put(f, &evs[n]));
    }
    CHECK_OK(ar_fold_finish(f, &a, &r));
    CHECK_STR(show_answer(r, &a), "text:t cites[1] sig=c2ln; stop=0");
    assert_int_equal(r->usage.in_total, 5);
    assert_int_equal(r->usage.out_total, 9);
    ar_fold_free(f);
    ar_arena_done(&a);
}

static void test_whole(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 20);
    struct ar_response *r = sample(&a), *back;
    r->more = sample(&a);
    struct ar_event whole = {.kind = AR_EV_WHOLE, .answer = r}, end = ev_of(AR_EV_END, 0);
    struct ar_fold *f = ar_fold_new(1 << 20);
    CHECK_OK(ar_fold_put(f, &whole));
    CHECK_OK(ar_fold_put(f, &end));
    CHECK_OK(ar_fold_finish(f, &a, &back));
    ar_fold_free(f);
    CHECK_STR(show_answer(back, &a), show_answer(r, &a).p);
    CHECK_STR(show_answer(back->more, &a), show_answer(r, &a).p);
    ar_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_deltas),
        cmocka_unit_test(test_interleaved), cmocka_unit_test(test_not_an_answer),
        cmocka_unit_test(test_caps),        cmocka_unit_test(test_late_pieces),
        cmocka_unit_test(test_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
