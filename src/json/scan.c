/*
 * The scanner: one pass, no recursion, every byte looked at once. Strings are scanned sixteen bytes
 * a step where SSE2 is there; UTF-8, escapes, numbers and depth are checked as RFC 8259 and RFC
 * 3629 say. The tape holds offsets only, so a document of text costs a few nodes whatever its size.
 * Never copies, never decodes, never accepts more than the RFC.
 */
#include "json/scan.h"

#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { NO_NODE = UINT32_MAX, FIRST_CAP = 48 };

struct level {
    uint32_t node; /* NO_NODE: below keep_depth */
    uint32_t count;
    bool is_object;
};

struct scanner {
    const char *p, *end, *base;
    struct ar_jnode *nodes;
    uint32_t count, cap;
    unsigned keep_depth, depth, deepest;
    struct ar_arena *arena; /* one of the two owns the nodes */
    struct ar_jtape *tape;
    enum ar_code code;
    const char *why;
    struct level levels[AR_JSON_DEPTH];
};

static bool fail(struct scanner *s, enum ar_code code, const char *why)
{
    s->code = code;
    s->why = why;
    return false;
}

/* Doubles the node storage. */
static bool grow(struct scanner *s)
{
    uint32_t cap = s->cap > 0 ? s->cap * 2 : FIRST_CAP;
    struct ar_jnode *nodes;
    if (s->tape) {
        nodes = realloc(s->nodes, cap * sizeof *nodes);
        AR_ASSERT(nodes != NULL);
        s->tape->nodes = nodes;
        s->tape->cap = cap;
    } else {
        nodes = ar_arena_alloc(s->arena, cap * sizeof *nodes);
        if (!nodes) {
            return fail(s, AR_TOO_LARGE, "too many JSON values");
        }
        if (s->count > 0) {
            memcpy(nodes, s->nodes, s->count * sizeof *nodes);
        }
    }
    s->nodes = nodes;
    s->cap = cap;
    return true;
}

/* Appends a node for the value at `at`; NO_NODE in *ret below keep_depth. */
static bool add_node(struct scanner *s, enum ar_jtype type, const char *at, uint32_t *ret)
{
    *ret = NO_NODE;
    if (s->depth > s->keep_depth) {
        return true;
    }
    if (s->count == s->cap && !grow(s)) {
        return false;
    }
    struct ar_jnode *n = &s->nodes[s->count];
    *n = (struct ar_jnode){
        .at = (uint32_t)(at - s->base), .next = s->count + 1, .type = (uint8_t)type};
    *ret = s->count++;
    return true;
}

static void end_node(struct scanner *s, uint32_t node, unsigned flags)
{
    if (node != NO_NODE) {
        s->nodes[node].end = (uint32_t)(s->p - s->base);
        s->nodes[node].flags = (uint8_t)flags;
    }
}

/* First byte in [p, end) that is a quote, a backslash, a control character or not ASCII. */
static inline __attribute__((always_inline)) const char *skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
                  space = _mm_set1_epi8(0x20);
    while (end - p >= 16) {
        __m128i v;
        memcpy(&v, p, sizeof v);
        /* signed compare: bytes above 0x7f are negative, hence below a space too */
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
                                   _mm_cmplt_epi8(v, space));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0) {
            return p + __builtin_ctz(mask);
        }
        p += 16;
    }
#endif
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\') {
        p++;
    }
    return p;
}

/* Bytes of the UTF-8 sequence at p, 0 when it is broken (RFC 3629). */
static unsigned utf8_length(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t left = (size_t)(end - p);
    if (u[0] < 0x80) {
        return 1;
    }
    if (u[0] >= 0xc2 && u[0] <= 0xdf) {
        return left > 1 && (u[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if ((u[0] & 0xf0) == 0xe0) {
        bool ok = left > 2 && (u[1] & 0xc0) == 0x80 && (u[2] & 0xc0) == 0x80 &&
                  (u[0] != 0xe0 || u[1] >= 0xa0) && (u[0] != 0xed || u[1] < 0xa0);
        return ok ? 3 : 0;
    }
    if (u[0] >= 0xf0 && u[0] <= 0xf4) {
        bool ok = left > 3 && (u[1] & 0xc0) == 0x80 && (u[2] & 0xc0) == 0x80 &&
                  (u[3] & 0xc0) == 0x80 && (u[0] != 0xf0 || u[1] >= 0x90) &&
                  (u[0] != 0xf4 || u[1] < 0x90);
        return ok ? 4 : 0;
    }
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    int l = c | 0x20;
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* Four hex digits at p, or -1. */
static int read_hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int d = hex_value(p[i]);
        if (d < 0) {
            return -1;
        }
        v = v * 16 + d;
    }
    return v;
}

/* An escape at p (on the backslash): its length, 0 when broken; marks lone surrogates. */
static unsigned escape_length(const char *p, const char *end, unsigned *flags)
{
    if (end - p < 2) {
        return 0;
    }
    if (p[1] != 'u') {
        return 0; /* the short ones were taken before */
    }
    int hi = read_hex4(p + 2, end);
    if (hi < 0) {
        return 0;
    }
    if (hi < 0xd800 || hi > 0xdfff) {
        return 6;
    }
    if (hi <= 0xdbff && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
        int lo = read_hex4(p + 8, end);
        if (lo >= 0xdc00 && lo <= 0xdfff) {
            return 12;
        }
    }
    *flags |= AR_J_LONE;
    return 6;
}

/* Letters behind a backslash that need no look further. */
static const bool SHORT_ESCAPES[256] = {['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
                                        ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true};

#ifdef __SSE2__
/* A bit for each of the 64 bytes at p that is a quote, a backslash, a control character or not
 * ASCII. */
static inline __attribute__((always_inline)) uint64_t special_bits(const char *p)
{
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
                  space = _mm_set1_epi8(0x20);
    uint64_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        __m128i v;
        memcpy(&v, p + 16 * i, sizeof v);
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
                                   _mm_cmplt_epi8(v, space));
        bits |= (uint64_t)(unsigned)_mm_movemask_epi8(hit) << (16 * i);
    }
    return bits;
}

/* Skips blocks of 64 bytes with short escapes in them, without reading a byte twice. Returns the
 * closing quote, or where a closer look is needed. */
static const char *skip_blocks(const char *p, const char *end, unsigned *flags)
{
    while (end - p > 64) {
        uint64_t bits = special_bits(p);
        const char *next = p + 64;
        while (bits != 0) {
            unsigned at = (unsigned)__builtin_ctzll(bits);
            if (p[at] != '\\' || !SHORT_ESCAPES[(unsigned char)p[at + 1]]) {
                return p + at;
            }
            *flags |= AR_J_ESCAPED;
            bits &= at < 62 ? ~UINT64_C(0) << (at + 2) : 0;
            next += at == 63; /* the escape's letter is the next block's first byte */
        }
        p = next;
    }
    return p;
}
#else
static const char *skip_blocks(const char *p, const char *end, unsigned *flags)
{
    (void)end;
    (void)flags;
    return p;
}
#endif

/* A string from its opening quote; leaves p after the closing one. */
static bool scan_string(struct scanner *s, unsigned *ret_flags)
{
    unsigned flags = 0;
    const char *p = s->p + 1;
    for (;;) {
        unsigned step = 0;
        p = skip_plain(p, s->end);
        if (p == s->end) {
            return fail(s, AR_INVALID_REQUEST, "the string does not end");
        }
        if (*p == '"') {
            s->p = p + 1;
            *ret_flags = flags;
            return true;
        }
        if (*p == '\\') {
            flags |= AR_J_ESCAPED;
            if (s->end - p > 1 && SHORT_ESCAPES[(unsigned char)p[1]]) {
                p = skip_blocks(p + 2, s->end, &flags); /* where one is, more are */
                continue;
            }
            step = escape_length(p, s->end, &flags);
        } else if ((unsigned char)*p >= 0x80) {
            step = utf8_length(p, s->end);
        }
        if (step == 0) {
            s->p = p;
            return fail(s, AR_INVALID_REQUEST,
                        "a string holds a control character, a broken escape or broken UTF-8");
        }
        p += step;
    }
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

static bool scan_number(struct scanner *s, unsigned *ret_flags)
{
    const char *p = s->p, *q;
    p += *p == '-';
    q = skip_digits(p, s->end);
    bool ok = q > p && (*p != '0' || q == p + 1);
    *ret_flags = 0;
    if (ok && q < s->end && *q == '.') {
        p = q + 1;
        q = skip_digits(p, s->end);
        ok = q > p;
        *ret_flags = AR_J_REAL;
    }
    if (ok && q < s->end && (*q | 0x20) == 'e') {
        p = q + 1;
        p += p < s->end && (*p == '+' || *p == '-');
        q = skip_digits(p, s->end);
        ok = q > p;
        *ret_flags = AR_J_REAL;
    }
    if (!ok) {
        return fail(s, AR_INVALID_REQUEST, "a number is malformed");
    }
    s->p = q;
    return true;
}

static bool scan_word(struct scanner *s, struct ar_str word)
{
    if (!ar_str_has_prefix(ar_str_n(s->p, (size_t)(s->end - s->p)), word)) {
        return fail(s, AR_INVALID_REQUEST, "expected a value");
    }
    s->p += word.n;
    return true;
}

static void skip_space(struct scanner *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t')) {
        s->p++;
    }
}

/* A string, number or word at p. */
static bool scan_scalar(struct scanner *s)
{
    const char *at = s->p;
    enum ar_jtype type = AR_J_NUMBER;
    unsigned flags = 0;
    bool ok;
    switch (*at) {
    case '"':
        type = AR_J_STRING;
        ok = scan_string(s, &flags);
        break;
    case 't':
        type = AR_J_TRUE;
        ok = scan_word(s, AR_LIT("true"));
        break;
    case 'f':
        type = AR_J_FALSE;
        ok = scan_word(s, AR_LIT("false"));
        break;
    case 'n':
        type = AR_J_NULL;
        ok = scan_word(s, AR_LIT("null"));
        break;
    default:
        if (*at != '-' && (*at < '0' || *at > '9')) {
            return fail(s, AR_INVALID_REQUEST, "expected a value");
        }
        ok = scan_number(s, &flags);
    }
    uint32_t node;
    if (!ok || !add_node(s, type, at, &node)) {
        return false;
    }
    end_node(s, node, flags);
    return true;
}

static bool open_container(struct scanner *s)
{
    bool is_object = *s->p == '{';
    uint32_t node;
    if (s->depth >= AR_JSON_DEPTH) {
        return fail(s, AR_INVALID_REQUEST, "JSON is nested too deeply");
    }
    if (!add_node(s, is_object ? AR_J_OBJECT : AR_J_ARRAY, s->p, &node)) {
        return false;
    }
    s->levels[s->depth++] = (struct level){.node = node, .is_object = is_object};
    s->deepest = s->depth > s->deepest ? s->depth : s->deepest;
    s->p++;
    return true;
}

static void close_container(struct scanner *s)
{
    struct level *top = &s->levels[--s->depth];
    s->p++;
    if (top->node != NO_NODE) {
        s->nodes[top->node].count = top->count;
        s->nodes[top->node].next = s->count;
        end_node(s, top->node, 0);
    }
}

/* Key and colon of an object's next member. */
static bool scan_key(struct scanner *s)
{
    unsigned flags;
    uint32_t node;
    const char *at = s->p;
    if (s->p == s->end || *s->p != '"') {
        return fail(s, AR_INVALID_REQUEST, "expected a key in double quotes");
    }
    if (!scan_string(s, &flags) || !add_node(s, AR_J_STRING, at, &node)) {
        return false;
    }
    end_node(s, node, flags);
    skip_space(s);
    if (s->p == s->end || *s->p != ':') {
        return fail(s, AR_INVALID_REQUEST, "expected ':' after a key");
    }
    s->p++;
    skip_space(s);
    return true;
}

/* After a value: closes what ends here. *ret_done: the root is complete; else the next element may
 * start. */
static bool after_value(struct scanner *s, bool *ret_done)
{
    for (;;) {
        if (s->depth == 0) {
            *ret_done = true;
            return true;
        }
        struct level *top = &s->levels[s->depth - 1];
        top->count++;
        skip_space(s);
        char close = top->is_object ? '}' : ']';
        if (s->p < s->end && *s->p == ',') {
            s->p++;
            skip_space(s);
            *ret_done = false;
            return !top->is_object || scan_key(s);
        }
        if (s->p == s->end || *s->p != close) {
            return fail(s, AR_INVALID_REQUEST,
                        top->is_object ? "expected ',' or '}'" : "expected ',' or ']'");
        }
        close_container(s);
    }
}

static bool scan_document(struct scanner *s)
{
    bool done = false;
    skip_space(s);
    while (!done) {
        if (s->p == s->end) {
            return fail(s, AR_INVALID_REQUEST, "JSON ends too early");
        }
        if (*s->p == '{' || *s->p == '[') {
            char close = *s->p == '{' ? '}' : ']';
            if (!open_container(s)) {
                return false;
            }
            skip_space(s);
            if (s->p == s->end || *s->p != close) {
                if (close == '}' && !scan_key(s)) {
                    return false;
                }
                continue;
            }
            close_container(s);
        } else if (!scan_scalar(s)) {
            return false;
        }
        if (!after_value(s, &done)) {
            return false;
        }
    }
    skip_space(s);
    return s->p == s->end || fail(s, AR_INVALID_REQUEST, "something follows the JSON value");
}

static enum ar_code run(struct scanner *s, struct ar_str src, struct ar_jdoc *ret,
                        struct ar_err *err)
{
    if (src.n >= UINT32_MAX) {
        return ar_fail(err, AR_TOO_LARGE, "JSON over 4 GiB");
    }
    s->base = s->p = src.p ? src.p : "";
    s->end = s->base + src.n;
    if (!scan_document(s)) {
        if (err) {
            err->at[0] = '\0';
        }
        return ar_fail(err, s->code, "invalid JSON at byte %zu: %s", (size_t)(s->p - s->base),
                       s->why);
    }
    *ret = (struct ar_jdoc){
        .src = {s->base, src.n}, .nodes = s->nodes, .count = s->count, .depth = s->deepest};
    return AR_OK;
}

enum ar_code ar_json_parse(struct ar_str src, unsigned keep_depth, struct ar_arena *a,
                           struct ar_jdoc *ret, struct ar_err *err)
{
    struct scanner s;
    memset(&s, 0, offsetof(struct scanner, levels));
    s.keep_depth = keep_depth;
    s.arena = a;
    return run(&s, src, ret, err);
}

enum ar_code ar_jtape_parse(struct ar_jtape *t, struct ar_str src, struct ar_jdoc *ret,
                            struct ar_err *err)
{
    struct scanner s;
    memset(&s, 0, offsetof(struct scanner, levels));
    s.keep_depth = AR_JSON_DEPTH;
    s.tape = t;
    s.nodes = t->nodes;
    s.cap = t->cap;
    return run(&s, src, ret, err);
}

void ar_jtape_done(struct ar_jtape *t)
{
    free(t->nodes);
    *t = (struct ar_jtape){NULL, 0};
}
