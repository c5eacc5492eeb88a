/* Thinking that a client dropped comes back on the next request, once decided stays decided, and
 * never crosses callers or vendors. */
#include "check.h"

#include "recall/signatures.h"

static const struct ar_recall_limits WIDE = {1000, 1 << 24, 1000000};

struct bench {
    struct ar_recall_table *t;
    struct ar_recall_key me, you;
    struct ar_arena a;
};

static void bench_init(struct bench *b)
{
    b->t = ar_recall_table_new(&WIDE);
    b->me = ar_recall_tenant(AR_LIT("me"));
    b->you = ar_recall_tenant(AR_LIT("you"));
    ar_arena_init(&b->a, 1 << 20);
}

static void bench_done(struct bench *b)
{
    ar_recall_table_free(b->t);
    ar_arena_done(&b->a);
}

static struct ar_block *add(struct bench *b, struct ar_block ***tail, enum ar_block_kind kind,
                            const char *id, const char *text)
{
    struct ar_block *k = ar_block_new(&b->a, kind, tail);
    k->id = ar_str_of(id);
    k->text = ar_str_of(text);
    return k;
}

static struct ar_opaque *sig(struct bench *b, enum ar_vendor vendor, const char *data)
{
    struct ar_opaque *o = ar_arena_new(&b->a, struct ar_opaque);
    *o = (struct ar_opaque){.vendor = vendor,
                            .form = AR_SIGNATURE,
                            .family = AR_LIT("fam"),
                            .account = AR_LIT("acct"),
                            .data = ar_str_of(data)};
    return o;
}

/* thinking, text, call one; thinking, call two. */
static struct ar_response *answer(struct bench *b)
{
    struct ar_response *r = ar_arena_new(&b->a, struct ar_response);
    struct ar_block **tail = &r->blocks;
    add(b, &tail, AR_THINKING, NULL, "why")->sig = sig(b, AR_VENDOR_ANTHROPIC, "S1");
    add(b, &tail, AR_TEXT, NULL, "so");
    add(b, &tail, AR_TOOL_USE, "call-1", "{}");
    add(b, &tail, AR_THINKING, NULL, "and")->sig = sig(b, AR_VENDOR_ANTHROPIC, "S2");
    add(b, &tail, AR_TOOL_USE, "call-2", "{}");
    return r;
}

/* The same as a chat client sends it back. */
static struct ar_request *history(struct bench *b)
{
    struct ar_request *r = ar_arena_new(&b->a, struct ar_request);
    struct ar_turn **turns = &r->turns;
    struct ar_turn *user = ar_turn_new(&b->a, AR_USER, &turns);
    struct ar_block **tail = &user->blocks;
    add(b, &tail, AR_TEXT, NULL, "ask");
    struct ar_turn *turn = ar_turn_new(&b->a, AR_ASSISTANT, &turns);
    tail = &turn->blocks;
    add(b, &tail, AR_TEXT, NULL, "so");
    add(b, &tail, AR_TOOL_USE, "call-1", "{}");
    add(b, &tail, AR_TOOL_USE, "call-2", "{}");
    return r;
}

/* The assistant turn in one line: T(data) text C(id, sig). */
static struct ar_str shape(struct bench *b, const struct ar_request *r)
{
    struct ar_str s = AR_LIT("");
    for (const struct ar_block *k = r->turns->next->blocks; k; k = k->next) {
        struct ar_str data = k->sig ? k->sig->data : AR_LIT("-");
        s = k->kind == AR_THINKING
                ? ar_arena_fmt(&b->a, "%.*s T(%.*s,%.*s)", AR_FMT(s), AR_FMT(k->text), AR_FMT(data))
            : k->kind == AR_TOOL_USE
                ? ar_arena_fmt(&b->a, "%.*s C(%.*s,%.*s)", AR_FMT(s), AR_FMT(k->id), AR_FMT(data))
                : ar_arena_fmt(&b->a, "%.*s %.*s", AR_FMT(s), AR_FMT(k->text));
    }
    return s;
}

static void test_thinking_comes_back_before_its_calls(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    ar_signatures_note(b.t, &b.me, answer(&b), 0);
    struct ar_request *r = history(&b);
    assert_int_equal(ar_signatures_restore(b.t, &b.me, r, AR_VENDOR_ANTHROPIC, &b.a, 1), 2);
    CHECK_STR(shape(&b, r), " T(why,S1) so C(call-1,-) T(and,S2) C(call-2,-)");
    const struct ar_opaque *o = r->turns->next->blocks->sig;
    CHECK_STR(o->family, "fam");
    CHECK_STR(o->account, "acct");
    assert_int_equal(o->form, AR_SIGNATURE);
    /* A second restore finds it there. */
    assert_int_equal(ar_signatures_restore(b.t, &b.me, r, AR_VENDOR_ANTHROPIC, &b.a, 1), 0);
    CHECK_STR(shape(&b, r), " T(why,S1) so C(call-1,-) T(and,S2) C(call-2,-)");
    bench_done(&b);
}

static void test_nothing_crosses_callers_or_vendors(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    ar_signatures_note(b.t, &b.me, answer(&b), 0);
    struct ar_request *r = history(&b);
    assert_int_equal(ar_signatures_restore(b.t, &b.you, r, AR_VENDOR_ANTHROPIC, &b.a, 1), 0);
    assert_int_equal(ar_signatures_restore(b.t, &b.me, r, AR_VENDOR_GOOGLE, &b.a, 1), 0);
    CHECK_STR(shape(&b, r), " so C(call-1,-) C(call-2,-)");
    bench_done(&b);
}

/* P-104 */
static void test_a_calls_own_signature_comes_back(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    struct ar_response *r = ar_arena_new(&b.a, struct ar_response);
    struct ar_block **tail = &r->blocks;
    add(&b, &tail, AR_TOOL_USE, "call-1", "{}")->sig = sig(&b, AR_VENDOR_GOOGLE, "G");
    add(&b, &tail, AR_TOOL_USE, "call-2", "{}");
    ar_signatures_note(b.t, &b.me, r, 0);
    struct ar_request *q = history(&b);
    assert_int_equal(ar_signatures_restore(b.t, &b.me, q, AR_VENDOR_GOOGLE, &b.a, 1), 1);
    CHECK_STR(shape(&b, q), " so C(call-1,G) C(call-2,-)");
    bench_done(&b);
}

static void test_what_the_client_kept_is_not_doubled(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    ar_signatures_note(b.t, &b.me, answer(&b), 0);
    struct ar_request *r = history(&b);
    struct ar_block *own = ar_arena_new(&b.a, struct ar_block);
    own->kind = AR_THINKING;
    own->text = AR_LIT("mine");
    own->sig = sig(&b, AR_VENDOR_ANTHROPIC, "M");
    own->next = r->turns->next->blocks;
    r->turns->next->blocks = own;
    assert_int_equal(ar_signatures_restore(b.t, &b.me, r, AR_VENDOR_ANTHROPIC, &b.a, 1), 1);
    CHECK_STR(shape(&b, r), " T(mine,M) so C(call-1,-) T(and,S2) C(call-2,-)");
    bench_done(&b);
}

static void test_a_call_that_went_without_stays_without(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    struct ar_request *r = history(&b);
    assert_int_equal(ar_signatures_restore(b.t, &b.me, r, AR_VENDOR_ANTHROPIC, &b.a, 0), 0);
    assert_int_equal(ar_recall_table_counts(b.t).entries, 2);
    assert_int_equal(ar_signatures_restore(b.t, &b.me, r, AR_VENDOR_ANTHROPIC, &b.a, 0), 0);
    assert_int_equal(ar_recall_table_counts(b.t).entries, 2);
    ar_signatures_note(b.t, &b.me, answer(&b), 0); /* what is sure overwrites what was guessed */
    ar_signatures_forget(b.t, &b.me, r, 1);
    assert_int_equal(ar_signatures_restore(b.t, &b.me, r, AR_VENDOR_ANTHROPIC, &b.a, 2), 0);
    CHECK_STR(shape(&b, r), " so C(call-1,-) C(call-2,-)");
    bench_done(&b);
}

static void feed(struct ar_signature_tap *tap, enum ar_event_kind kind, unsigned at,
                 const struct ar_block *block)
{
    ar_signature_tap_put(tap, &(struct ar_event){.kind = kind, .b = at, .block = block});
}

static void delta(struct ar_signature_tap *tap, unsigned at, enum ar_delta kind, const char *text,
                  const struct ar_opaque *o)
{
    ar_signature_tap_put(
        tap,
        &(struct ar_event){
            .kind = AR_EV_DELTA, .b = at, .delta = kind, .text = ar_str_of(text), .opaque = o});
}

static void test_a_stream_is_watched(void **state)
{
    (void)state;
    struct bench b;
    struct ar_signature_tap tap = {.fold = NULL};
    bench_init(&b);
    struct ar_block text = {.kind = AR_TEXT}, think = {.kind = AR_THINKING},
                    call = {.kind = AR_TOOL_USE, .id = AR_LIT("call-1")};
    feed(&tap, AR_EV_START, 0, NULL);
    feed(&tap, AR_EV_BLOCK_START, 0, &text);
    delta(&tap, 0, AR_D_TEXT, "hello", NULL);
    feed(&tap, AR_EV_BLOCK_END, 0, NULL);
    assert_null(tap.fold); /* plain text costs nothing */
    feed(&tap, AR_EV_BLOCK_START, 1, &think);
    delta(&tap, 1, AR_D_THINKING, "wh", NULL);
    delta(&tap, 1, AR_D_THINKING, "y", NULL);
    delta(&tap, 1, AR_D_SIGNATURE, NULL, sig(&b, AR_VENDOR_ANTHROPIC, "S1"));
    feed(&tap, AR_EV_BLOCK_END, 1, NULL);
    feed(&tap, AR_EV_BLOCK_START, 2, &text);
    feed(&tap, AR_EV_BLOCK_START, 3, &call);
    delta(&tap, 3, AR_D_JSON, "{}", NULL);
    feed(&tap, AR_EV_BLOCK_END, 3, NULL);
    feed(&tap, AR_EV_END, 0, NULL);
    ar_signature_tap_note(&tap, b.t, &b.me, 0);
    assert_null(tap.fold);
    struct ar_request *r = history(&b);
    assert_int_equal(ar_signatures_restore(b.t, &b.me, r, AR_VENDOR_ANTHROPIC, &b.a, 1), 1);
    CHECK_STR(shape(&b, r), " T(why,S1) so C(call-1,-) C(call-2,-)");
    ar_signature_tap_done(&tap);
    bench_done(&b);
}

static void test_a_stream_that_failed_leaves_nothing(void **state)
{
    (void)state;
    struct bench b;
    struct ar_signature_tap tap = {.fold = NULL};
    bench_init(&b);
    struct ar_block call = {
        .kind = AR_TOOL_USE, .id = AR_LIT("call-1"), .sig = sig(&b, AR_VENDOR_GOOGLE, "G")};
    feed(&tap, AR_EV_BLOCK_START, 0, &call);
    feed(&tap, AR_EV_ERROR, 0, NULL);
    ar_signature_tap_note(&tap, b.t, &b.me, 0);
    assert_int_equal(ar_recall_table_counts(b.t).entries, 0);
    bench_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thinking_comes_back_before_its_calls),
        cmocka_unit_test(test_nothing_crosses_callers_or_vendors),
        cmocka_unit_test(test_a_calls_own_signature_comes_back),
        cmocka_unit_test(test_what_the_client_kept_is_not_doubled),
        cmocka_unit_test(test_a_call_that_went_without_stays_without),
        cmocka_unit_test(test_a_stream_is_watched),
        cmocka_unit_test(test_a_stream_that_failed_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
