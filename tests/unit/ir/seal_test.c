/*
 * Pairing of calls and results (PROTOCOLS 6.5). Histories are written as text, one letter and a
 * word an entry: turns U A S hold "call ID", "result ID", "text WORD"; what comes out is printed
 * the same way.
 */
#include "check.h"

#include "ir/loss.h"
#include "ir/request.h"

static struct ar_request *parse(const char *text, struct ar_arena *a)
{
    struct ar_request *r = ar_arena_new(a, struct ar_request);
    struct ar_turn **turns = &r->turns;
    struct ar_str rest = ar_str_of(text), turn, piece;
    while (ar_str_split(&rest, '|', &turn)) {
        turn = ar_str_trim(turn);
        char who = turn.p[0];
        struct ar_turn *t = ar_turn_new(a,
                                        who == 'A'   ? AR_ASSISTANT
                                        : who == 'S' ? AR_SYSTEM
                                                     : AR_USER,
                                        &turns);
        struct ar_block **blocks = &t->blocks;
        turn = ar_str_trim(ar_str_from(turn, 1));
        while (turn.n > 0 && ar_str_split(&turn, ',', &piece)) {
            piece = ar_str_trim(piece);
            struct ar_str arg = ar_str_trim(ar_str_from(piece, ar_str_find_char(piece, ' ')));
            char kind = piece.p[0];
            struct ar_block *b = ar_block_new(a,
                                              kind == 'c'   ? AR_TOOL_USE
                                              : kind == 'r' ? AR_TOOL_RESULT
                                                            : AR_TEXT,
                                              &blocks);
            if (kind == 'r') {
                struct ar_block **inner = &b->inner;
                ar_block_new(a, AR_TEXT, &inner)->text = AR_LIT("ok");
            }
            if (kind == 't') {
                b->text = arg;
            } else {
                b->id = arg;
            }
            if (kind == 'c') {
                b->name = AR_LIT("tool");
            }
        }
    }
    return r;
}

static struct ar_str print(const struct ar_request *r, struct ar_arena *a)
{
    struct ar_str s = {"", 0};
    for (const struct ar_turn *t = r->turns; t; t = t->next) {
        s = ar_arena_fmt(a, "%.*s%s%c", AR_FMT(s), s.n > 0 ? " | " : "", "UAS"[t->role]);
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            const char *kind = b->kind == AR_TOOL_USE      ? "call"
                               : b->kind == AR_TOOL_RESULT ? "result"
                               : b->kind == AR_TEXT        ? "text"
                                                           : "image";
            struct ar_str what = b->kind == AR_TEXT ? b->text : b->id;
            s = ar_arena_fmt(a, "%.*s%s%s %.*s%s", AR_FMT(s), b == t->blocks ? " " : ", ", kind,
                             AR_FMT(what), b->is_error ? "!" : "");
        }
    }
    return s;
}

static const struct {
    const char *in, *out, *warnings; /* out NULL: as in */
} CASES[] = {
    {"U text hi", NULL, ""},
    {"U text hi | A text yo", NULL, ""},
    {"U text hi | A call a | U result a", NULL, ""},
    {"A text x, call a, call b | U result a, result b, text more | A text done", NULL, ""},
    {"A call a | U result a | A call b | U result b", NULL, ""},
    {"S text s | A call a | U result a | S text s | U text u", NULL, ""},
    {"A call a", NULL, ""}, /* nothing came after it yet */
    /* P-075: call order */
    {"A call a, call b | U result b, result a", "A call a, call b | U result a, result b", ""},
    /* P-073: results of separate wire messages are one turn */
    {"A call a, call b | U result a | U result b", "A call a, call b | U result a, result b", ""},
    {"A call a, call b | U result b | U result a, text t",
     "A call a, call b | U result a, result b | U text t", ""},
    /* P-079: before other blocks of the turn */
    {"A call a | U text t, result a", "A call a | U result a, text t", ""},
    {"A call a, call b | U result a, text t, result b, text u",
     "A call a, call b | U result a, result b, text t, text u", ""},
    {"A call a | U text t | U result a", "A call a | U result a | U text t", ""},
    {"A call a | S text s | U result a", "A call a | U result a | S text s", ""},
    {"A call a | A call b | U result a, result b", "A call a | U result a | A call b | U result b",
     ""},
    {"A call a | A call b | U result a, text t | U result b",
     "A call a | U result a | A call b | U result b | U text t", ""},
    {"A call a | A text t | U result a", "A call a | U result a | A text t", ""},
    /* P-080: orphans */
    {"U result x", "U text [tool result for x]\\nok", "approximated:messages"},
    {"U result a | A call a | U text t",
     "U text [tool result for a]\\nok | A call a | U result a! | U text t",
     "approximated:messages, emulated:messages"},
    {"A call a | U result a, result x, text t",
     "A call a | U result a, text [tool result for x]\\nok, text t", "approximated:messages"},
    /* P-081: missing results */
    {"A call a | U text t", "A call a | U result a! | U text t", "emulated:messages"},
    {"A call a, call b | U result b", "A call a, call b | U result a!, result b",
     "emulated:messages"},
    {"A call a | A call b | U result b", "A call a | U result a! | A call b | U result b",
     "emulated:messages"},
    {"A call a, call b | A text t", "A call a, call b | U result a!, result b! | A text t",
     "emulated:messages"},
    /* duplicates */
    {"A call a | U result a, result a", "A call a | U result a, text [tool result for a]\\nok",
     "approximated:messages"},
    {"A call a | U result a | A text t | U result a",
     "A call a | U result a | A text t | U text [tool result for a]\\nok", "approximated:messages"},
    /* ids that come back */
    {"A call a | U result a | A call a | U result a",
     "A call a | U result a | A call a_2 | U result a_2", ""},
    {"A call a, call a | U result a, result a", "A call a, call a_2 | U result a, result a_2", ""},
    {"A call a | U result a | A call a, call a | U result a, result a",
     "A call a | U result a | A call a_2, call a_3 | U result a_2, result a_3", ""},
    {"A call a | A call a | U result a", "A call a | U result a! | A call a_2 | U result a_2",
     "emulated:messages"},
    {"A call a, call a | U result a, result a | A call a | U result a",
     "A call a, call a_2 | U result a, result a_2 | A call a_3 | U result a_3", ""},
};

static void test_pairing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct ar_arena a;
        struct ar_losses l = {.strict = false};
        struct ar_err err;
        ar_arena_init(&a, 1 << 20);
        struct ar_request *r = parse(CASES[i].in, &a);
        CHECK_OK(ar_request_seal(r, &a, &l, &err));
        CHECK_STR(print(r, &a), CASES[i].out ? CASES[i].out : CASES[i].in);
        CHECK_STR(ar_str_n(l.text, l.n), CASES[i].warnings);
        assert_true(r->sealed);
        /* what came out is well-formed: sealing it anew changes nothing and warns of nothing */
        struct ar_str once = print(r, &a);
        struct ar_losses again = {.strict = true};
        r->sealed = false;
        CHECK_OK(ar_request_seal(r, &a, &again, &err));
        CHECK_STR(print(r, &a), once.p);
        assert_int_equal(again.n, 0);
        ar_arena_done(&a);
    }
}

/* A history that has grown keeps its beginning (P-014). */
static void test_prefix(void **state)
{
    (void)state;
    const char *whole = "U text q | A call a, call b | U result b, result a | A text t | U text u "
                        "| A call c | U result c";
    struct ar_arena a;
    struct ar_losses l = {.strict = false};
    struct ar_err err;
    ar_arena_init(&a, 1 << 20);
    struct ar_request *r = parse(whole, &a);
    CHECK_OK(ar_request_seal(r, &a, &l, &err));
    struct ar_str longer = print(r, &a);
    static const size_t TURNS[] = {1, 3, 5, 7};
    for (unsigned i = 0; i < 4; i++) {
        struct ar_str rest = ar_str_of(whole), turn;
        for (size_t n = 0; n < TURNS[i]; n++) {
            assert_true(ar_str_split(&rest, '|', &turn));
        }
        struct ar_str head = ar_arena_fmt(&a, "%.*s", (int)(turn.p + turn.n - whole), whole);
        struct ar_request *s = parse(head.p, &a);
        CHECK_OK(ar_request_seal(s, &a, &l, &err));
        assert_true(ar_str_has_prefix(longer, print(s, &a)));
    }
    ar_arena_done(&a);
}

static void test_orphan_keeps_media(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_losses l = {.strict = false};
    ar_arena_init(&a, 1 << 20);
    struct ar_request *r = parse("U result x\"y, text t", &a);
    struct ar_block **inner = &r->turns->blocks->inner->next;
    ar_block_new(&a, AR_IMAGE, &inner)->id = AR_LIT("i");
    ar_block_new(&a, AR_TEXT, &inner)->text = AR_LIT("two");
    CHECK_OK(ar_request_seal(r, &a, &l, NULL));
    CHECK_STR(print(r, &a), "U text [tool result for x\\\"y]\\nok\\ntwo, image i, text t");
    ar_arena_done(&a);
}

/* P-011 */
static void test_strict_refuses(void **state)
{
    (void)state;
    static const char *const BAD[] = {"U result x", "A call a | U text t",
                                      "A call a | U result a, result a"};
    for (unsigned i = 0; i < 3; i++) {
        struct ar_arena a;
        struct ar_losses l = {.strict = true};
        struct ar_err err;
        ar_arena_init(&a, 1 << 20);
        struct ar_request *r = parse(BAD[i], &a);
        assert_int_equal(ar_request_seal(r, &a, &l, &err), AR_LOSSY);
        assert_true(l.refused && !r->sealed);
        assert_string_equal(l.field, "messages");
        CHECK_STR(print(r, &a), BAD[i]);
        ar_arena_done(&a);
    }
}

static void test_full_arena(void **state)
{
    (void)state;
    struct ar_arena a, small;
    struct ar_losses l = {.strict = false};
    ar_arena_init(&a, 1 << 20);
    ar_arena_init(&small, 64);
    struct ar_request *r =
        parse("A call a, call b | U result a, result b | A call c | U text t", &a);
    assert_int_equal(ar_request_seal(r, &small, &l, NULL), AR_TOO_LARGE);
    ar_arena_done(&a);
    ar_arena_done(&small);
}

/* Work is linear: 20,000 calls in one history are sealed well within the time of a test. */
static void test_many(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_losses l = {.strict = true};
    ar_arena_init(&a, 256 << 20);
    struct ar_request *r = ar_arena_new(&a, struct ar_request);
    struct ar_turn **turns = &r->turns;
    for (int i = 0; i < 2000; i++) {
        struct ar_turn *as = ar_turn_new(&a, AR_ASSISTANT, &turns),
                       *us = ar_turn_new(&a, AR_USER, &turns);
        struct ar_block **calls = &as->blocks, **results = &us->blocks;
        for (int k = 0; k < 10; k++) {
            struct ar_str id = i % 2 ? AR_LIT("again") : ar_arena_fmt(&a, "call_%d_%d", i, k);
            ar_block_new(&a, AR_TOOL_USE, &calls)->id = id;
            ar_block_new(&a, AR_TOOL_RESULT, &results)->id = id;
        }
    }
    CHECK_OK(ar_request_seal(r, &a, &l, NULL));
    int n = 0;
    for (const struct ar_turn *t = r->turns; t; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            n++;
        }
    }
    assert_int_equal(n, 40000);
    ar_arena_done(&a);
}

/* What the encoders would compare with each other for hours is refused. */
static void test_too_many_tools(void **state)
{
    (void)state;
    static const struct {
        unsigned tools, names;
        enum ar_code code;
    } LISTS[] = {{4096, 1024, AR_OK}, {4097, 0, AR_INVALID_REQUEST}, {1, 1025, AR_INVALID_REQUEST}};
    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS; i++) {
        struct ar_arena a;
        struct ar_losses l = {.strict = false};
        struct ar_err err = {.code = AR_OK};
        ar_arena_init(&a, 16 << 20);
        struct ar_request *r = ar_arena_new(&a, struct ar_request);
        struct ar_name **names = &r->set.choice_names;
        for (unsigned k = 0; k < LISTS[i].tools; k++) {
            struct ar_tool *t = ar_arena_new(&a, struct ar_tool);
            t->next = r->tools;
            r->tools = t;
        }
        for (unsigned k = 0; k < LISTS[i].names; k++) {
            assert_non_null(ar_name_new(&a, AR_LIT("f"), &names));
        }
        assert_int_equal(ar_request_seal(r, &a, &l, &err), LISTS[i].code);
        ar_arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairing),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_orphan_keeps_media),
        cmocka_unit_test(test_strict_refuses),
        cmocka_unit_test(test_full_arena),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_too_many_tools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
