/* Digests, HMAC, RS256 and spellings against published vectors and signatures that the openssl
 * program made with the same key. */
#include "vault/sign.h"

#include "check.h"

/* A key for this test alone. */
static const char PKCS1[] = "-----BEGIN RSA PRIVATE KEY-----\n"
                            "MIICXAIBAAKBgQDJni3HpQhT6RU14gBPKEGhf7oFdqGVFQCoGhkaraYqY+WwwVUr\n"
                            "Sdknu03fuLWGCoCeDnEWhZ8692xe9m3ygB6WvRmbiBpZjg5FaKEIqmqzGombPdcs\n"
                            "SQLN6FCUVqEwjoLBarj+obGlsCKATTZvaVI1qcSd4C5Yi18SAmEdgRwk+QIDAQAB\n"
                            "AoGADn74+6m5946Cn+Un8IkMbvgn/8yPwZBJA80ckPZ7RAD6usKrxPkCTAEDkFpP\n"
                            "ctu+c57GMsBYunyfphRBw3XCvSMfOpBdOz5MCMl94z7SkowXMhFGN/RzNtdfZG93\n"
                            "iFe6DvuTz5ZQ+MpuR5aLmZmd8Y024tj7tAeS3GVwFu1wDAECQQDmksPleGbTkmsz\n"
                            "QY4vcpcACXNU9VoMmZXAgkzmb4CD3snzF/ileahsbkb+UfjpurhS3RjY5Sd6cBrq\n"
                            "2IfwtlfxAkEA39n7u2r89857l6wmxkeS1N1EkfCIM/sT8LP+e0duBGzWkEBcy/Gg\n"
                            "gJp4gLPGn1hLnphpp09wWEYcdE08mSVliQJBAOXqV1jMVIyIJkk4B1Ycx6GLyute\n"
                            "tGp4A7GwvInTiaz1TR8QOiqXQ3DMDhKvHqvCOua1/X7aEiGvA8hGHlfTG6ECQG43\n"
                            "WeaxitRIajoHnR/LZdRBDd39XFKbsPm25fm09cpf/FUSG56e3bP0Wpij64vRYYo4\n"
                            "6OxkBKCyBJiO3uNYsmECQG26DZsb3uxguMp/GV4TvRbTz4HktKHHLyNi6rkksb5P\n"
                            "Rs1jkwb05cRQ7J71FgwLPIzmcVaeJ32U4Bs/MA7Qzow=\n"
                            "-----END RSA PRIVATE KEY-----\n";
static const char PKCS8[] = "-----BEGIN PRIVATE KEY-----\n"
                            "MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAMmeLcelCFPpFTXi\n"
                            "AE8oQaF/ugV2oZUVAKgaGRqtpipj5bDBVStJ2Se7Td+4tYYKgJ4OcRaFnzr3bF72\n"
                            "bfKAHpa9GZuIGlmODkVooQiqarMaiZs91yxJAs3oUJRWoTCOgsFquP6hsaWwIoBN\n"
                            "Nm9pUjWpxJ3gLliLXxICYR2BHCT5AgMBAAECgYAOfvj7qbn3joKf5SfwiQxu+Cf/\n"
                            "zI/BkEkDzRyQ9ntEAPq6wqvE+QJMAQOQWk9y275znsYywFi6fJ+mFEHDdcK9Ix86\n"
                            "kF07PkwIyX3jPtKSjBcyEUY39HM2119kb3eIV7oO+5PPllD4ym5HlouZmZ3xjTbi\n"
                            "2Pu0B5LcZXAW7XAMAQJBAOaSw+V4ZtOSazNBji9ylwAJc1T1WgyZlcCCTOZvgIPe\n"
                            "yfMX+KV5qGxuRv5R+Om6uFLdGNjlJ3pwGurYh/C2V/ECQQDf2fu7avz3znuXrCbG\n"
                            "R5LU3USR8Igz+xPws/57R24EbNaQQFzL8aCAmniAs8afWEuemGmnT3BYRhx0TTyZ\n"
                            "JWWJAkEA5epXWMxUjIgmSTgHVhzHoYvK6160angDsbC8idOJrPVNHxA6KpdDcMwO\n"
                            "Eq8eq8I65rX9ftoSIa8DyEYeV9MboQJAbjdZ5rGK1EhqOgedH8tl1EEN3f1cUpuw\n"
                            "+bbl+bT1yl/8VRIbnp7ds/RamKPri9Fhijjo7GQEoLIEmI7e41iyYQJAbboNmxve\n"
                            "7GC4yn8ZXhO9FtPPgeS0occvI2LquSSxvk9GzWOTBvTlxFDsnvUWDAs8jOZxVp4n\n"
                            "fZTgGz8wDtDOjA==\n"
                            "-----END PRIVATE KEY-----\n";
static const char ELLIPTIC[] = "-----BEGIN EC PRIVATE KEY-----\n"
                               "MHcCAQEEICLgWVGgw1HnXGD8FseFPK2RbYKevEhZP7qFBsOJyms3oAoGCCqGSM49\n"
                               "AwEHoUQDQgAEz+Io2hPZZoKYDDTMJdNVF3MxjP64yfDJZdvPYDd6d0h2+/Js1A9D\n"
                               "0IAjIOPeGDXDAH5M5cpjvdxpmMqPKAGhbw==\n"
                               "-----END EC PRIVATE KEY-----\n";
/* openssl dgst -sha256 -sign over "eyJhbGciOiJSUzI1NiJ9.e30" */
static const char SIGNATURE[] =
    "e9nOeMEH_lPeLETcmcP3KkivuCpz7P0yTB0B0OHeTKmu9Vq6a1KB1oyYCbpDgj8XTvp6jEzCtRIhfwG2Zr_"
    "FZWxgHxGInEd8NSNP0bREmJDv1lgQ4L9a6ckmoBD8dCb9XoNTPfV0VbCCEVLRcIF4CHEmf3ohAc0tto9t3Wtw6tM";

static void check_hex(const uint8_t *digest, const char *want)
{
    char hex[65];
    ar_hex(digest, 32, hex);
    assert_string_equal(hex, want);
}

static void test_digest_of_parts(void **state)
{
    (void)state;
    uint8_t digest[32];
    struct ar_str parts[] = {AR_LIT("a"), {NULL, 0}, AR_LIT("bc")};
    ar_sha256_parts(parts, 3, digest);
    check_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ar_sha256_parts(parts, 0, digest);
    check_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231, cases 2 and 6. */
static void test_hmac(void **state)
{
    (void)state;
    uint8_t digest[32];
    char key[131];
    ar_hmac_sha256(AR_LIT("Jefe"), AR_LIT("what do ya want for nothing?"), digest);
    check_hex(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    ar_hmac_sha256(ar_str_n(key, sizeof key),
                   AR_LIT("Test Using Larger Than Block-Size Key - Hash Key First"), digest);
    check_hex(digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_jwt_with_either_form_of_key(void **state)
{
    (void)state;
    const char *keys[] = {PKCS1, PKCS8};
    for (unsigned i = 0; i < 2; i++) {
        struct ar_buf out;
        struct ar_err err = {0};
        ar_buf_init(&out, 4096);
        CHECK_OK(ar_jwt_rs256(AR_LIT("{\"alg\":\"RS256\"}"), AR_LIT("{}"), ar_str_of(keys[i]), &out,
                              &err));
        struct ar_str got = ar_buf_view(&out);
        assert_true(ar_str_has_prefix(got, AR_LIT("eyJhbGciOiJSUzI1NiJ9.e30.")));
        CHECK_STR(ar_str_from(got, 25), SIGNATURE);
        ar_buf_done(&out);
    }
}

static void test_keys_that_are_none(void **state)
{
    (void)state;
    const char *keys[] = {"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                          ELLIPTIC};
    for (unsigned i = 0; i < 3; i++) {
        struct ar_buf out;
        struct ar_err err = {0};
        ar_buf_init(&out, 4096);
        assert_int_equal(ar_rs256_sign(ar_str_of(keys[i]), AR_LIT("x"), &out, &err),
                         AR_UPSTREAM_CREDENTIALS);
        assert_true(err.note[0]);
        assert_int_equal(out.n, 0);
        ar_buf_done(&out);
    }
}

/* RFC 4648, 10; and what is no base64. */
static void test_base64(void **state)
{
    (void)state;
    static const char *const PAIRS[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"},
                                           {"\xfb\xff\xfe", "+//+"}};
    struct ar_buf out;
    ar_buf_init(&out, 64);
    for (unsigned i = 0; i < sizeof PAIRS / sizeof *PAIRS; i++) {
        struct ar_str padded = ar_str_of(PAIRS[i][1]), bare = padded;
        while (bare.n > 0 && bare.p[bare.n - 1] == '=') {
            bare.n--;
        }
        ar_buf_clear(&out);
        assert_true(ar_base64_decode(padded, &out));
        CHECK_STR(ar_buf_view(&out), PAIRS[i][0]);
        assert_true(ar_base64_decode(bare, &out));
        assert_int_equal(out.n, 2 * strlen(PAIRS[i][0]));
        ar_buf_clear(&out);
        ar_base64url(ar_str_of(PAIRS[i][0]), &out);
        assert_int_equal(out.n, bare.n);
    }
    CHECK_STR(ar_buf_view(&out), "-__-");
    static const char *const BAD[] = {"Z", "Zm9v=", "Zm 9v", "Zm9_", "=", "Zg===", "Zm\n9v"};
    for (unsigned i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        ar_buf_clear(&out);
        assert_false(ar_base64_decode(ar_str_of(BAD[i]), &out));
        assert_int_equal(out.n, 0);
    }
    ar_buf_done(&out);
}

static void test_percent(void **state)
{
    (void)state;
    struct ar_buf out;
    ar_buf_init(&out, 256);
    ar_percent_encode(AR_LIT("a-Z_.~/:@ \xc3\xa9%"), false, &out);
    CHECK_STR(ar_buf_view(&out), "a-Z_.~%2F%3A%40%20%C3%A9%25");
    ar_buf_clear(&out);
    ar_percent_encode(AR_LIT("a/b:c"), true, &out);
    CHECK_STR(ar_buf_view(&out), "a/b%3Ac");
    ar_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_of_parts),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_jwt_with_either_form_of_key),
        cmocka_unit_test(test_keys_that_are_none),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
