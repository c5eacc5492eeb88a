/*
 * Escaped text and text: the two spellings of a JSON string's content. Both directions copy runs
 * and stop only at what needs a change. Broken material becomes U+FFFD, never an error: what
 * reached the tape was validated already.
 */
#include "json/scan.h"

static const char REPLACEMENT[] = "\xef\xbf\xbd";

static unsigned hex4(const char *p)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i];
        v = v * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

static void put_utf8(struct ar_buf *out, unsigned c)
{
    char u[4];
    size_t n;
    if (c < 0x80) {
        u[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        u[0] = (char)(0xc0 | c >> 6);
        u[1] = (char)(0x80 | (c & 63));
        n = 2;
    } else if (c < 0x10000) {
        u[0] = (char)(0xe0 | c >> 12);
        u[1] = (char)(0x80 | (c >> 6 & 63));
        u[2] = (char)(0x80 | (c & 63));
        n = 3;
    } else {
        u[0] = (char)(0xf0 | c >> 18);
        u[1] = (char)(0x80 | (c >> 12 & 63));
        u[2] = (char)(0x80 | (c >> 6 & 63));
        u[3] = (char)(0x80 | (c & 63));
        n = 4;
    }
    ar_buf_put(out, u, n);
}

/* The \u escape at s.p + i: appends its character, returns its length. Lone surrogates become
 * U+FFFD. */
static size_t put_unicode(struct ar_str s, size_t i, struct ar_buf *out)
{
    if (i + 6 > s.n) {
        ar_buf_put(out, REPLACEMENT, 3);
        return s.n - i;
    }
    unsigned c = hex4(s.p + i + 2);
    if (c >= 0xd800 && c <= 0xdbff && i + 12 <= s.n && s.p[i + 6] == '\\' && s.p[i + 7] == 'u') {
        unsigned lo = hex4(s.p + i + 8);
        if (lo >= 0xdc00 && lo <= 0xdfff) {
            put_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (lo - 0xdc00));
            return 12;
        }
    }
    if (c >= 0xd800 && c <= 0xdfff) {
        ar_buf_put(out, REPLACEMENT, 3);
    } else {
        put_utf8(out, c);
    }
    return 6;
}

static char control_of(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

void ar_json_unescape(struct ar_str esc, struct ar_buf *out)
{
    size_t i = 0;
    while (i < esc.n) {
        size_t run = ar_str_find_char(ar_str_from(esc, i), '\\');
        ar_buf_put(out, esc.p + i, run);
        i += run;
        if (i + 1 >= esc.n) {
            return;
        }
        if (esc.p[i + 1] == 'u') {
            i += put_unicode(esc, i, out);
        } else {
            ar_buf_char(out, control_of(esc.p[i + 1]));
            i += 2;
        }
    }
}

struct ar_str ar_json_unescape_in(struct ar_str esc, struct ar_arena *a)
{
    if (ar_str_find_char(esc, '\\') == esc.n) {
        return esc;
    }
    char *p =
        ar_arena_alloc(a, esc.n + 1); /* decoding never grows, but for U+FFFD: 3 bytes for 6 */
    if (!p) {
        return (struct ar_str){NULL, 0};
    }
    struct ar_buf b = {.p = p, .cap = esc.n + 1, .max = esc.n + 1};
    ar_json_unescape(esc, &b);
    return ar_str_n(p, b.n);
}

/* Bytes of the well-formed UTF-8 sequence at p (its first byte is not ASCII), or 0. */
static size_t utf8_sequence(const char *p, size_t left)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t n = u[0] >= 0xf0 && u[0] <= 0xf4   ? 4
               : (u[0] & 0xf0) == 0xe0        ? 3
               : u[0] >= 0xc2 && u[0] <= 0xdf ? 2
                                              : 0;
    if (n == 0 || n > left) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool wrong = (u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] >= 0xa0) ||
                 (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] >= 0x90);
    return wrong ? 0 : n;
}

static void put_escape(struct ar_buf *out, unsigned char c)
{
    static const char HEX[] = "0123456789abcdef";
    static const char LETTERS[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char e[6] = {'\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15]};
    if (c == '"' || c == '\\') {
        e[1] = (char)c;
        ar_buf_put(out, e, 2);
    } else if (c < 32 && LETTERS[c]) {
        e[1] = LETTERS[c];
        ar_buf_put(out, e, 2);
    } else {
        ar_buf_put(out, e, 6);
    }
}

void ar_json_escape(struct ar_str text, struct ar_buf *out)
{
    size_t from = 0, i = 0;
    while (i < text.n) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t step = c >= 0x80 ? utf8_sequence(text.p + i, text.n - i) : 0;
        if (step == 0) {
            ar_buf_put(out, text.p + from, i - from);
            if (c >= 0x80) {
                ar_buf_put(out, REPLACEMENT, 3);
            } else {
                put_escape(out, c);
            }
            from = i + 1;
            step = 1;
        }
        i += step;
    }
    ar_buf_str(out, ar_str_from(text, from));
}

struct ar_str ar_json_escape_in(struct ar_str text, struct ar_arena *a)
{
    struct ar_buf b;
    ar_buf_init(&b, SIZE_MAX / 2);
    ar_json_escape(text, &b);
    struct ar_str out = text;
    if (!ar_str_is(text, ar_buf_view(&b))) {
        out = ar_arena_copy(a, ar_buf_view(&b));
    }
    ar_buf_done(&b);
    return out;
}
