/* Signature Version 4 against the published test suite of AWS: its example key, 2015-08-30, service
 * "service" in us-east-1. */
#include "vault/sigv4.h"

#include "check.h"

struct line {
    const char *name, *value;
};
struct suite_case {
    const char *name, *method, *path, *query;
    struct line more[5]; /* between host and x-amz-date, in the order of the suite's files */
    const char *body;
    const char *signature;
};

static const struct suite_case SUITE[] = {
    {"get-vanilla",
     "GET",
     "/",
     "",
     {{NULL, NULL}},
     "",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla",
     "POST",
     "/",
     "",
     {{NULL, NULL}},
     "",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     "Param2=value2&Param1=value1",
     {{NULL, NULL}},
     "",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-header-key-duplicate",
     "GET",
     "/",
     "",
     {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
     "",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-trim",
     "GET",
     "/",
     "",
     {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
     "",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-unreserved",
     "GET",
     "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     "",
     {{NULL, NULL}},
     "",
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-utf8",
     "GET",
     "/\xe1\x88\xb4",
     "",
     {{NULL, NULL}},
     "",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-space",
     "GET",
     "/example space/",
     "",
     {{NULL, NULL}},
     "",
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"get-relative-relative",
     "GET",
     "/example1/example2/../..",
     "",
     {{NULL, NULL}},
     "",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-dot-slash",
     "GET",
     "/./",
     "",
     {{NULL, NULL}},
     "",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-sts-header-before",
     "POST",
     "/",
     "",
     {{"X-Amz-Security-Token",
       "AQoDYXdzEPT//////////"
       "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPf"
       "IeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/"
       "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7"
       "WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+"
       "scqKmlzm"
       "8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="}},
     "",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    {"post-x-www-form-urlencoded",
     "POST",
     "/",
     "",
     {{"Content-Type", "application/x-www-form-urlencoded"}},
     "Param1=value1",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
};

static struct ar_str sign_case(const struct suite_case *c, struct ar_arena *a)
{
    struct ar_sigv4_header h[8];
    unsigned n = 0;
    h[n++] = (struct ar_sigv4_header){AR_LIT("Host"), AR_LIT("example.amazonaws.com")};
    for (unsigned i = 0; i < 5 && c->more[i].name; i++) {
        h[n++] = (struct ar_sigv4_header){ar_str_of(c->more[i].name), ar_str_of(c->more[i].value)};
    }
    h[n++] = (struct ar_sigv4_header){AR_LIT("X-Amz-Date"), AR_LIT("20150830T123600Z")};
    struct ar_str parts[] = {ar_str_head(ar_str_of(c->body), 3),
                             ar_str_from(ar_str_of(c->body), 3)};
    struct ar_sigv4_ask ask = {.access_key = AR_LIT("AKIDEXAMPLE"),
                               .secret_key = AR_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                               .region = AR_LIT("us-east-1"),
                               .service = AR_LIT("service"),
                               .now_unix = 1440938160,
                               .method = ar_str_of(c->method),
                               .path = ar_str_of(c->path),
                               .query = ar_str_of(c->query),
                               .headers = h,
                               .header_count = n,
                               .parts = parts,
                               .part_count = 2};
    return ar_sigv4_sign(&ask, a);
}

static void test_suite(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1U << 20);
    for (unsigned i = 0; i < sizeof SUITE / sizeof *SUITE; i++) {
        struct ar_str got = sign_case(&SUITE[i], &a);
        struct ar_str want = ar_str_of(SUITE[i].signature);
        if (!ar_str_has_suffix(got, want)) {
            print_error("%s: want %s\ngot %.*s\n", SUITE[i].name, SUITE[i].signature, AR_FMT(got));
            fail();
        }
    }
    ar_arena_done(&a);
}

static void test_header_says_scope_and_names(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1U << 16);
    CHECK_STR(sign_case(&SUITE[0], &a),
              "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
              "SignedHeaders=host;x-amz-date, "
              "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    ar_arena_done(&a);
}

/* A model's name is percent-encoded in the path and once more in what is signed. */
static void test_path_is_encoded_twice(void **state)
{
    (void)state;
    struct ar_buf out;
    ar_buf_init(&out, 4096);
    struct ar_sigv4_header host = {AR_LIT("host"), AR_LIT("h")};
    struct ar_sigv4_ask ask = {.method = AR_LIT("POST"),
                               .path = AR_LIT("/model/a.b-v1%3A0/invoke"),
                               .query = {"", 0},
                               .headers = &host,
                               .header_count = 1};
    ar_sigv4_canonical(&ask, &out);
    assert_true(ar_str_has_prefix(ar_buf_view(&out),
                                  AR_LIT("POST\n/model/a.b-v1%253A0/invoke\n\nhost:h\n\nhost\n"
                                         "e3b0c44298fc1c14")));
    ar_buf_done(&out);
}

static void test_what_cannot_be_signed(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_sigv4_header h[AR_SIGV4_HEADERS_MAX + 1];
    ar_arena_init(&a, 1U << 16);
    for (unsigned i = 0; i <= AR_SIGV4_HEADERS_MAX; i++) {
        h[i] = (struct ar_sigv4_header){AR_LIT("x"), AR_LIT("y")};
    }
    struct ar_sigv4_ask ask = {
        .secret_key = AR_LIT("s"), .headers = h, .header_count = AR_SIGV4_HEADERS_MAX + 1};
    assert_null(ar_sigv4_sign(&ask, &a).p);
    ask.header_count = 1;
    assert_non_null(ar_sigv4_sign(&ask, &a).p);
    ask.secret_key = AR_LIT("");
    assert_null(ar_sigv4_sign(&ask, &a).p);
    ar_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite),
        cmocka_unit_test(test_header_says_scope_and_names),
        cmocka_unit_test(test_path_is_encoded_twice),
        cmocka_unit_test(test_what_cannot_be_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
