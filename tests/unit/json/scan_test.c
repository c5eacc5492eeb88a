/*
 * The JSON scanner: what RFC 8259 accepts and nothing else, offsets, depth, duplicates, lone
 * surrogates, number spellings, typed reads and their error paths, escapes both ways.
 */
#include "check.h"

#include "json/scan.h"

#define TEXT_OF(l)                                                                                 \
    {                                                                                              \
        l, sizeof(l) - 1                                                                           \
    }

static const struct {
    int accepted;
    struct ar_str text;
} TEXTS[] = {
#define X(ok, l) {ok, TEXT_OF(l)},
#include "json/accept.def"
#undef X
};
enum { TEXT_COUNT = sizeof TEXTS / sizeof TEXTS[0] };

static struct ar_jval parse(const char *json, struct ar_arena *a)
{
    struct ar_jdoc *doc = ar_arena_new(a, struct ar_jdoc);
    struct ar_err err;
    enum ar_code code = ar_json_parse(ar_str_of(json), AR_JSON_DEPTH, a, doc, &err);
    if (code != AR_OK) {
        fail_msg("%s: %s", json, err.note);
    }
    return ar_json_root(doc);
}

static void test_accepts(void **state)
{
    (void)state;
    struct ar_jtape tape = {NULL, 0};
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        for (unsigned depth = 1; depth <= AR_JSON_DEPTH; depth += 127) {
            struct ar_arena a;
            struct ar_jdoc doc;
            struct ar_err err;
            ar_arena_init(&a, 1 << 20);
            enum ar_code code = ar_json_parse(TEXTS[i].text, depth, &a, &doc, &err);
            if ((code == AR_OK) != TEXTS[i].accepted) {
                fail_msg("text %zu is %s: %s", i, code == AR_OK ? "accepted" : "refused",
                         TEXTS[i].text.p);
            }
            assert_true(code == AR_OK || code == AR_INVALID_REQUEST);
            assert_int_equal(ar_jtape_parse(&tape, TEXTS[i].text, &doc, &err), code);
            ar_arena_done(&a);
        }
    }
    ar_jtape_done(&tape);
}

/* The same texts as values inside others, where every byte may follow. A number needs its end, so
 * all are wrapped. */
static void test_accepts_inside(void **state)
{
    (void)state;
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        struct ar_arena a;
        struct ar_jdoc doc;
        ar_arena_init(&a, 1 << 20);
        struct ar_str s = ar_arena_fmt(&a, "{\"k\":[%.*s]}", AR_FMT(TEXTS[i].text));
        bool empty = ar_str_trim(TEXTS[i].text).n == 0;
        enum ar_code code = ar_json_parse(s, AR_JSON_DEPTH, &a, &doc, NULL);
        if ((code == AR_OK) != (TEXTS[i].accepted || empty)) {
            fail_msg("inside: text %zu: %s", i, s.p);
        }
        ar_arena_done(&a);
    }
}

/* No prefix of an object is one. */
static void test_prefixes(void **state)
{
    (void)state;
    const char *json =
        "{\"a\":[1,-2.5e3,true,null,\"x\\u00e9\\n\xc3\xa9\"],\"b\":{\"c\":\"0123456789abcdef\"}}";
    struct ar_arena a;
    struct ar_jdoc doc;
    ar_arena_init(&a, 1 << 20);
    for (size_t n = 0; n < strlen(json); n++) {
        assert_int_equal(ar_json_parse(ar_str_n(json, n), AR_JSON_DEPTH, &a, &doc, NULL),
                         AR_INVALID_REQUEST);
    }
    CHECK_OK(ar_json_parse(ar_str_of(json), AR_JSON_DEPTH, &a, &doc, NULL));
    ar_arena_done(&a);
}

static void test_error_offset(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_jdoc doc;
    struct ar_err err;
    ar_arena_init(&a, 1 << 20);
    assert_int_equal(ar_json_parse(AR_LIT("{\"a\":1,}"), 1, &a, &doc, &err), AR_INVALID_REQUEST);
    assert_int_equal(err.code, AR_INVALID_REQUEST);
    assert_non_null(strstr(err.note, "7"));
    assert_int_equal(ar_json_parse(AR_LIT("[1, x]"), 1, &a, &doc, &err), AR_INVALID_REQUEST);
    assert_non_null(strstr(err.note, "4"));
    ar_arena_done(&a);
}

static void test_depth(void **state)
{
    (void)state;
    for (unsigned depth = AR_JSON_DEPTH - 1; depth <= AR_JSON_DEPTH + 1; depth++) {
        for (unsigned keep = 1; keep <= AR_JSON_DEPTH; keep += AR_JSON_DEPTH - 1) {
            struct ar_arena a;
            struct ar_buf b;
            struct ar_jdoc doc;
            ar_arena_init(&a, 1 << 20);
            ar_buf_init(&b, 1 << 20);
            for (unsigned i = 0; i < depth; i++) {
                ar_buf_lit(&b, "[");
            }
            for (unsigned i = 0; i < depth; i++) {
                ar_buf_lit(&b, "]");
            }
            enum ar_code code = ar_json_parse(ar_buf_view(&b), keep, &a, &doc, NULL);
            assert_int_equal(code, depth <= AR_JSON_DEPTH ? AR_OK : AR_INVALID_REQUEST);
            if (code == AR_OK) {
                assert_int_equal(doc.depth, depth);
            }
            ar_buf_done(&b);
            ar_arena_done(&a);
        }
    }
}

/* What is deeper than keep_depth is validated and spanned, but has no nodes. */
static void test_keep_depth(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_jdoc doc;
    ar_arena_init(&a, 1 << 20);
    CHECK_OK(ar_json_parse(AR_LIT("{\"a\":{\"b\":[1,2]},\"c\":3}"), 1, &a, &doc, NULL));
    struct ar_jval root = ar_json_root(&doc), in = ar_json_get_lit(root, "a");
    assert_int_equal(ar_json_count(root), 2);
    CHECK_STR(ar_json_raw(in), "{\"b\":[1,2]}");
    assert_false(ar_json_is(ar_json_get_lit(in, "b"), AR_J_ARRAY));
    CHECK_STR(ar_json_raw(ar_json_get_lit(root, "c")), "3");
    assert_int_equal(doc.count, 5); /* root, two keys, two values */
    ar_arena_done(&a);
}

static void test_walks(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 20);
    struct ar_jval root = parse(
        " {\"a\" : [10, {\"x\":\"y\"}, []] , \"b\":null, \"a\":\"last\", \"k\\u0065y\":true}", &a);
    static const char *const KEYS[] = {"a", "b", "a", "key"}, *const RAWS[] = {
                                                                  "[10, {\"x\":\"y\"}, []]", "null",
                                                                  "\"last\"", "true"};
    struct ar_jiter it = ar_json_iter(root);
    unsigned n = 0;
    while (ar_json_next(&it)) {
        CHECK_STR(it.key, KEYS[n]);
        CHECK_STR(ar_json_raw(it.val), RAWS[n]);
        n++;
    }
    assert_int_equal(n, 4);
    assert_int_equal(ar_json_count(root), 4);
    CHECK_STR(ar_json_esc(ar_json_get_lit(root, "a")), "last");       /* the last of duplicates */
    assert_true(ar_json_is(ar_json_get_lit(root, "key"), AR_J_TRUE)); /* however it is spelled */
    assert_true(ar_json_is_nil(ar_json_get_lit(root, "b")));
    assert_true(ar_json_is_nil(ar_json_get_lit(root, "none")));
    assert_null(ar_json_get_lit(root, "none").doc);
    it = ar_json_iter(root);
    assert_true(ar_json_next(&it));
    struct ar_jval list = it.val;
    assert_int_equal(ar_json_count(list), 3);
    CHECK_STR(ar_json_raw(ar_json_at(list, 0)), "10");
    CHECK_STR(ar_json_raw(ar_json_at(list, 2)), "[]");
    assert_null(ar_json_at(list, 3).doc);
    assert_null(ar_json_at(root, 0).doc);
    struct ar_jval nothing = {NULL, 0};
    it = ar_json_iter(nothing);
    assert_false(ar_json_next(&it));
    assert_null(ar_json_raw(nothing).p);
    assert_null(ar_json_esc(list).p);
    assert_int_equal(ar_json_type(nothing), AR_J_NONE);
    ar_arena_done(&a);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_int;
        int64_t i;
        double d;
    } ROWS[] = {{"0", true, 0, 0},
                {"-0", true, 0, 0},
                {"1.0", true, 1, 1},
                {"1e2", true, 100, 100},
                {"0.10", false, 0, 0.1},
                {"-2.5E+1", true, -25, -25},
                {"1.5", false, 0, 1.5},
                {"9223372036854775807", true, INT64_MAX, 9223372036854775807.0},
                {"-9223372036854775808", true, INT64_MIN, -9223372036854775808.0},
                {"9223372036854775808", false, 0, 9223372036854775808.0},
                {"1e18", false, 0, 1e18}}; /* a real beyond 2^53 is no integer */
    struct ar_arena a;
    ar_arena_init(&a, 1 << 20);
    for (unsigned i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct ar_jval v = parse(ROWS[i].text, &a);
        int64_t n = 77;
        double d = 77;
        CHECK_OK(ar_json_double(v, &d, NULL));
        assert_true(d == ROWS[i].d);
        bool ok = ar_json_i64(v, &n, NULL) == AR_OK;
        if (ok != ROWS[i].is_int || n != (ok ? ROWS[i].i : 77)) {
            fail_msg("%s", ROWS[i].text);
        }
        CHECK_STR(ar_json_raw(v), ROWS[i].text); /* the spelling stays */
    }
    double d;
    assert_int_equal(ar_json_double(parse("1e400", &a), &d, NULL), AR_INVALID_REQUEST);
    ar_arena_done(&a);
}

static void test_wrong_types(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_err err;
    int64_t i;
    double d;
    bool b;
    struct ar_str s;
    ar_arena_init(&a, 1 << 20);
    struct ar_jval root =
        parse("{\"messages\":[{},{\"content\":[1,{\"type\":5}]}],\"n\":\"1\"}", &a);
    struct ar_jval type = ar_json_get_lit(
        ar_json_at(ar_json_get_lit(ar_json_at(ar_json_get_lit(root, "messages"), 1), "content"), 1),
        "type");
    assert_int_equal(ar_json_text(type, &a, &s, &err), AR_INVALID_REQUEST);
    assert_string_equal(err.at, "messages[1].content[1].type");
    assert_non_null(strstr(err.note, "must be a string"));
    assert_int_equal(ar_json_i64(ar_json_get_lit(root, "n"), &i, &err), AR_INVALID_REQUEST);
    assert_string_equal(err.at, "n");
    assert_int_equal(ar_json_double(ar_json_get_lit(root, "n"), &d, &err), AR_INVALID_REQUEST);
    assert_int_equal(ar_json_bool(ar_json_get_lit(root, "n"), &b, &err), AR_INVALID_REQUEST);
    struct ar_jval none = {NULL, 0};
    assert_int_equal(ar_json_i64(none, &i, NULL), AR_INVALID_REQUEST);
    CHECK_OK(ar_json_bool(parse("true", &a), &b, &err));
    assert_true(b);
    char tiny[8];
    ar_json_path(type, tiny, sizeof tiny); /* a path that does not fit is cut, not overrun */
    assert_string_equal(tiny, "message");
    ar_arena_done(&a);
}

static const struct {
    const char *esc, *text, *again; /* again NULL: escapes to esc */
} ESCAPES[] = {
    {"", "", NULL},
    {"plain", "plain", NULL},
    {"\\\"\\\\\\b\\f\\n\\r\\t", "\"\\\b\f\n\r\t", NULL},
    {"\\/", "/", "/"},
    {"\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac", "A\xc3\xa9\xe2\x82\xac"},
    {"\\u001f\\u0001", "\x1f\x01", NULL},
    {"\\ud83d\\ude00", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    {"a\\ud83dz", "a\xef\xbf\xbdz", "a\xef\xbf\xbdz"},
    {"\\ude00", "\xef\xbf\xbd", "\xef\xbf\xbd"},
    {"\\ud83d\\ud83d\\ude00", "\xef\xbf\xbd\xf0\x9f\x98\x80", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
    {"\\ud83d\\n", "\xef\xbf\xbd\n", "\xef\xbf\xbd\\n"},
    {"\x7f\xc3\xa9", "\x7f\xc3\xa9", NULL},
    {"\\u003cb\\u003e", "<b>", "<b>"},
};

static void test_escapes(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 20);
    for (unsigned i = 0; i < sizeof ESCAPES / sizeof ESCAPES[0]; i++) {
        struct ar_str text = ar_json_unescape_in(ar_str_of(ESCAPES[i].esc), &a);
        CHECK_STR(text, ESCAPES[i].text);
        CHECK_STR(ar_json_escape_in(text, &a),
                  ESCAPES[i].again ? ESCAPES[i].again : ESCAPES[i].esc);
        struct ar_jval v = parse(ar_arena_fmt(&a, "\"%s\"", ESCAPES[i].esc).p, &a);
        struct ar_str read;
        CHECK_OK(ar_json_text(v, &a, &read, NULL));
        CHECK_STR(read, ESCAPES[i].text);
        CHECK_STR(ar_json_esc(v), ESCAPES[i].esc); /* the span stays, surrogates and all */
        bool lone = strstr(ESCAPES[i].text, "\xef\xbf\xbd") != NULL;
        assert_int_equal((ar_json_flags(v) & AR_J_LONE) != 0, lone);
        assert_int_equal((ar_json_flags(v) & AR_J_ESCAPED) != 0,
                         strchr(ESCAPES[i].esc, '\\') != NULL);
    }
    /* broken UTF-8 of ours never reaches a wire */
    CHECK_STR(
        ar_json_escape_in(AR_LIT("a\xff\xc3(\xed\xa0\x80z\xe2\x82"), &a),
        "a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd");
    CHECK_STR(ar_json_escape_in(ar_str_n("\0x", 2), &a), "\\u0000x");
    struct ar_str plain = AR_LIT("no change");
    assert_ptr_equal(ar_json_escape_in(plain, &a).p, plain.p);
    assert_ptr_equal(ar_json_unescape_in(plain, &a).p, plain.p);
    ar_arena_done(&a);
}

/* Every code point survives escaping, parsing and unescaping. */
static void test_all_code_points(void **state)
{
    (void)state;
    struct ar_buf text, json, back;
    struct ar_jtape tape = {NULL, 0};
    ar_buf_init(&text, 8 << 20);
    ar_buf_init(&json, 16 << 20);
    ar_buf_init(&back, 8 << 20);
    for (unsigned c = 0; c <= 0x10ffff; c++) {
        if (c >= 0xd800 && c <= 0xdfff) {
            continue;
        }
        char u[5] = {0};
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = n, v = c; i-- > 0; v >>= 6) {
            u[i] = (char)(i > 0 ? 0x80 | (v & 63) : n == 1 ? v : (0xf00 >> n & 0xff) | v);
        }
        ar_buf_put(&text, u, n);
    }
    ar_buf_lit(&json, "\"");
    ar_json_escape(ar_buf_view(&text), &json);
    ar_buf_lit(&json, "\"");
    struct ar_jdoc doc;
    CHECK_OK(ar_jtape_parse(&tape, ar_buf_view(&json), &doc, NULL));
    ar_json_unescape(ar_json_esc(ar_json_root(&doc)), &back);
    assert_true(ar_str_is(ar_buf_view(&back), ar_buf_view(&text)));
    assert_int_equal(text.n, 128 + 1920 * 2 + (0x10000 - 0x800 - 0x800) * 3 + 0x100000 * 4);
    ar_jtape_done(&tape);
    ar_buf_done(&text);
    ar_buf_done(&json);
    ar_buf_done(&back);
}

/* A string may end, break or hold anything at any place of a vector step. */
static void test_string_alignment(void **state)
{
    (void)state;
    struct ar_jtape tape = {NULL, 0};
    struct ar_jdoc doc;
    for (size_t n = 0; n < 40; n++) {
        for (size_t at = 0; at < n; at++) {
            char json[64];
            static const struct {
                char c;
                bool ok;
            } ODD[] = {{'\n', false}, {'\x80', false}, {'"', false}, {'\x7f', true}, {' ', true}};
            for (unsigned k = 0; k < 5; k++) {
                memset(json, 'a', sizeof json);
                json[0] = json[n + 1] = '"';
                json[at + 1] = ODD[k].c;
                bool ok = ar_jtape_parse(&tape, ar_str_n(json, n + 2), &doc, NULL) == AR_OK;
                assert_int_equal(ok, ODD[k].ok);
            }
        }
    }
    ar_jtape_done(&tape);
}

/* What stands in strings: pieces, and whether each is text and holds an escape. */
static const struct piece {
    const char *text;
    bool ok, escaped;
} PIECES[] = {
    {"a", true, false},         {"plain words of some length ", true, false},
    {"\xc3\xa4", true, false},  {"\xe3\x81\x82\xf0\x9f\x98\x80", true, false},
    {"\\n", true, true},        {"\\\\", true, true},
    {"\\\"", true, true},       {"\\/\\b\\f\\r\\t", true, true},
    {"\\u00e9", true, true},    {"\x01", false, false},
    {"\\x", false, true},       {"\xff", false, false},
    {"\xe3\x81", false, false}, {"\\u12g4", false, true},
};
enum { PIECE_COUNT = sizeof PIECES / sizeof *PIECES, GOOD_PIECES = 9 };

/* Long strings of all of them: escapes fall on every border of the blocks, runs of backslashes
 * included. */
static void test_blocks(void **state)
{
    (void)state;
    struct ar_jtape tape = {NULL, 0};
    struct ar_jdoc doc;
    struct ar_buf json;
    uint32_t seed = 7;
    unsigned good = 0, bad = 0;
    ar_buf_init(&json, 1 << 16);
    for (unsigned round = 0; round < 40000; round++) {
        bool ok = true, escaped = false;
        unsigned of = round % 4 == 0 ? PIECE_COUNT : GOOD_PIECES;
        ar_buf_clear(&json);
        ar_buf_char(&json, '"');
        for (unsigned n = round % 90; n > 0; n--) {
            seed = seed * 1664525 + 1013904223;
            const struct piece *p = &PIECES[(seed >> 8) % ((seed >> 28) < 3 ? of : 6)];
            ar_buf_str(&json, ar_str_of(p->text));
            ok &= p->ok;
            escaped |= p->escaped;
        }
        ar_buf_char(&json, '"');
        bool said = ar_jtape_parse(&tape, ar_buf_view(&json), &doc, NULL) == AR_OK;
        assert_int_equal(said, ok);
        if (ok) {
            assert_int_equal((ar_json_flags(ar_json_root(&doc)) & AR_J_ESCAPED) != 0, escaped);
            assert_int_equal(doc.nodes[0].end, json.n);
        }
        good += ok;
        bad += !ok;
    }
    assert_true(good > 1000 && bad > 1000);
    ar_buf_done(&json);
    ar_jtape_done(&tape);
}

static void test_pick(void **state)
{
    (void)state;
    static const struct ar_str KEYS[] = {AR_LIT_INIT("a"), AR_LIT_INIT("none"), AR_LIT_INIT("b")};
    struct ar_jval got[3];
    struct ar_arena a;
    ar_arena_init(&a, 1 << 20);
    ar_json_pick(parse("{\"b\":1,\"c\":{\"none\":0},\"\\u0061\":2,\"b\":3}", &a), KEYS, 3, got);
    assert_true(ar_str_is_lit(ar_json_raw(got[0]), "2"));
    assert_null(got[1].doc);
    assert_true(ar_str_is_lit(ar_json_raw(got[2]), "3"));
    ar_json_pick(parse("[\"a\"]", &a), KEYS, 3, got);
    assert_null(got[0].doc);
    ar_arena_done(&a);
}

static void test_caps(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_jdoc doc;
    struct ar_err err;
    struct ar_buf b;
    ar_arena_init(&a, 20000);
    ar_buf_init(&b, 1 << 20);
    ar_buf_lit(&b, "[0");
    for (int i = 0; i < 5000; i++) {
        ar_buf_lit(&b, ",0");
    }
    ar_buf_lit(&b, "]");
    assert_int_equal(ar_json_parse(ar_buf_view(&b), AR_JSON_DEPTH, &a, &doc, &err), AR_TOO_LARGE);
    ar_arena_done(&a);
    ar_arena_init(&a, 1 << 20);
    CHECK_OK(ar_json_parse(ar_buf_view(&b), AR_JSON_DEPTH, &a, &doc, &err));
    assert_int_equal(ar_json_count(ar_json_root(&doc)), 5001);
    ar_buf_done(&b);
    ar_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_accepts_inside),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_error_offset),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_keep_depth),
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_all_code_points),
        cmocka_unit_test(test_string_alignment),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_pick),
        cmocka_unit_test(test_caps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
