/*
 * Signature Version 4. The request is written in a canonical form (method, path encoded once more,
 * query sorted, headers in lower case and sorted, their list, the body's digest), that form's
 * digest is put into a text with time and scope, and the text is signed by a key that is derived
 * from the secret through date, region and service. The path is normalised and encoded again, as
 * all services but S3 want it. Owns nothing but two buffers while it works; the secret is copied
 * into neither.
 */
#include "vault/sigv4.h"

#include "vault/sign.h"

#include <time.h>

enum { CANONICAL_MAX = 1 << 18, PAIRS_MAX = 64, SEGMENTS_MAX = 64 };

void ar_sigv4_date(int64_t now_unix, char ret[17])
{
    time_t t = (time_t)now_unix;
    struct tm parts;
    if (!gmtime_r(&t, &parts) || strftime(ret, 17, "%Y%m%dT%H%M%SZ", &parts) != 16) {
        memcpy(ret, "19700101T000000Z", 17);
    }
}

/* "/a/./b/../c//d/" -> "/a/c/d/", each segment percent-encoded as a whole. */
static void put_path(struct ar_str path, struct ar_buf *out)
{
    struct ar_str kept[SEGMENTS_MAX], rest = path, one;
    unsigned n = 0;
    bool slash = path.n > 0 && path.p[path.n - 1] == '/';
    while (ar_str_split(&rest, '/', &one)) {
        if (ar_str_is_lit(one, "..")) {
            n -= n > 0;
            slash |= rest.n == 0;
        } else if (one.n > 0 && !ar_str_is_lit(one, ".") && n < SEGMENTS_MAX) {
            kept[n++] = one;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        ar_buf_char(out, '/');
        ar_percent_encode(kept[i], false, out);
    }
    if (n == 0 || slash) {
        ar_buf_char(out, '/');
    }
}

struct pair {
    struct ar_str name, value;
};

static int compare(const struct pair *a, const struct pair *b)
{
    int by_name = ar_str_compare(a->name, b->name);
    return by_name != 0 ? by_name : ar_str_compare(a->value, b->value);
}

static void put_sorted(struct pair *v, unsigned n, struct pair one)
{
    while (n > 0 && compare(&v[n - 1], &one) > 0) {
        v[n] = v[n - 1];
        n--;
    }
    v[n] = one;
}

/* The query comes encoded: it is only sorted, by name and then value. */
static void put_query(struct ar_str query, struct ar_buf *out)
{
    struct pair pairs[PAIRS_MAX];
    struct ar_str rest = query, one;
    unsigned n = 0;
    while (query.n > 0 && n < PAIRS_MAX && ar_str_split(&rest, '&', &one)) {
        size_t at = ar_str_find_char(one, '=');
        struct pair p = {ar_str_head(one, at), ar_str_from(one, at < one.n ? at + 1 : at)};
        put_sorted(pairs, n++, p);
    }
    for (unsigned i = 0; i < n; i++) {
        ar_buf_put(out, "&", i > 0);
        ar_buf_str(out, pairs[i].name);
        ar_buf_char(out, '=');
        ar_buf_str(out, pairs[i].value);
    }
}

static void put_lower(struct ar_str s, struct ar_buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        ar_buf_char(out, c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c);
    }
}

static int compare_nocase(struct ar_str a, struct ar_str b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        int x = a.p[i] >= 'A' && a.p[i] <= 'Z' ? a.p[i] + ('a' - 'A') : a.p[i];
        int y = b.p[i] >= 'A' && b.p[i] <= 'Z' ? b.p[i] + ('a' - 'A') : b.p[i];
        if (x != y) {
            return x - y;
        }
    }
    return (a.n > b.n) - (a.n < b.n);
}

/* Runs of blanks count as one, none at the ends. */
static void put_trimmed(struct ar_str s, struct ar_buf *out)
{
    s = ar_str_trim(s);
    for (size_t i = 0; i < s.n; i++) {
        bool blank = s.p[i] == ' ' || s.p[i] == '\t';
        bool again = blank && i > 0 && (s.p[i - 1] == ' ' || s.p[i - 1] == '\t');
        if (!again) {
            ar_buf_char(out, blank ? ' ' : s.p[i]);
        }
    }
}

struct sorted {
    const struct ar_sigv4_header *v[AR_SIGV4_HEADERS_MAX];
    unsigned n;
};

/* By name; of one name in the order they came. */
static struct sorted sort_headers(const struct ar_sigv4_ask *ask)
{
    struct sorted s = {.n = 0};
    for (unsigned i = 0; i < ask->header_count && i < AR_SIGV4_HEADERS_MAX; i++) {
        unsigned at = s.n++;
        while (at > 0 && compare_nocase(s.v[at - 1]->name, ask->headers[i].name) > 0) {
            s.v[at] = s.v[at - 1];
            at--;
        }
        s.v[at] = &ask->headers[i];
    }
    return s;
}

static bool is_again(const struct sorted *s, unsigned i)
{
    return i > 0 && ar_str_is_nocase(s->v[i]->name, s->v[i - 1]->name);
}

static void put_names(const struct sorted *s, struct ar_buf *out)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (!is_again(s, i)) {
            ar_buf_put(out, ";", i > 0);
            put_lower(s->v[i]->name, out);
        }
    }
}

void ar_sigv4_canonical(const struct ar_sigv4_ask *ask, struct ar_buf *out)
{
    struct sorted s = sort_headers(ask);
    uint8_t digest[32];
    char hex[65];
    ar_buf_str(out, ask->method);
    ar_buf_char(out, '\n');
    put_path(ask->path, out);
    ar_buf_char(out, '\n');
    put_query(ask->query, out);
    ar_buf_char(out, '\n');
    for (unsigned i = 0; i < s.n; i++) {
        if (is_again(&s, i)) {
            ar_buf_char(out, ',');
        } else {
            ar_buf_put(out, "\n", i > 0);
            put_lower(s.v[i]->name, out);
            ar_buf_char(out, ':');
        }
        put_trimmed(s.v[i]->value, out);
    }
    ar_buf_lit(out, "\n\n");
    put_names(&s, out);
    ar_buf_char(out, '\n');
    ar_sha256_parts(ask->parts, ask->part_count, digest);
    ar_hex(digest, sizeof digest, hex);
    ar_buf_put(out, hex, 64);
}

/* The signing key: secret -> date -> region -> service -> "aws4_request". */
static void derive(const struct ar_sigv4_ask *ask, struct ar_str date, uint8_t key[32])
{
    char first[256] = "AWS4";
    size_t n = ask->secret_key.n < sizeof first - 4 ? ask->secret_key.n : sizeof first - 4;
    memcpy(first + 4, ask->secret_key.p, n);
    ar_hmac_sha256(ar_str_n(first, n + 4), date, key);
    explicit_bzero(first, sizeof first);
    const struct ar_str steps[] = {ask->region, ask->service, AR_LIT("aws4_request")};
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        uint8_t next[32];
        ar_hmac_sha256(ar_str_n((const char *)key, 32), steps[i], next);
        memcpy(key, next, sizeof next);
    }
}

struct ar_str ar_sigv4_sign(const struct ar_sigv4_ask *ask, struct ar_arena *a)
{
    struct ar_str none = {NULL, 0};
    if (ask->header_count > AR_SIGV4_HEADERS_MAX || ask->secret_key.n > 250 ||
        ask->secret_key.n == 0) {
        return none;
    }
    char stamp[17], hex[65];
    uint8_t digest[32], key[32];
    struct ar_buf text, names;
    ar_sigv4_date(ask->now_unix, stamp);
    struct ar_str date = ar_str_n(stamp, 8);
    ar_buf_init(&text, CANONICAL_MAX);
    ar_sigv4_canonical(ask, &text);
    bool ok = ar_buf_finish(&text) == AR_OK;
    struct ar_str canonical = ar_buf_view(&text);
    ar_sha256_parts(&canonical, 1, digest);
    ar_hex(digest, sizeof digest, hex);
    ar_buf_clear(&text);
    ar_buf_fmt(&text, "AWS4-HMAC-SHA256\n%s\n%.*s/%.*s/%.*s/aws4_request\n%s", stamp, AR_FMT(date),
               AR_FMT(ask->region), AR_FMT(ask->service), hex);
    derive(ask, date, key);
    ar_hmac_sha256(ar_str_n((const char *)key, 32), ar_buf_view(&text), digest);
    explicit_bzero(key, sizeof key);
    ar_hex(digest, sizeof digest, hex);
    struct sorted s = sort_headers(ask);
    ar_buf_init(&names, CANONICAL_MAX);
    put_names(&s, &names);
    struct ar_str out =
        ok ? ar_arena_fmt(a,
                          "AWS4-HMAC-SHA256 Credential=%.*s/%.*s/%.*s/%.*s/aws4_request, "
                          "SignedHeaders=%.*s, Signature=%s",
                          AR_FMT(ask->access_key), AR_FMT(date), AR_FMT(ask->region),
                          AR_FMT(ask->service), AR_FMT(ar_buf_view(&names)), hex)
           : none;
    ar_buf_done(&names);
    ar_buf_done(&text);
    return out;
}
