/* The chunked coding, read byte by byte where it is framing and not at all where it is data.
 *
 * Strict on purpose: a reader that takes what another one refuses is how requests are smuggled. A
 * size is one to sixteen hex digits, directly followed by CRLF or by extensions; a bare LF or CR
 * fails. Extensions and trailers are dropped, and all of a message's together are bounded, so that
 * nobody can send framing without end. Owns nothing. */
#include "http/chunk.h"

enum state {
    SIZE_FIRST, /* zeroed: the first byte of a size */
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST,
    TRAILER,
    TRAILER_LF,
    LAST_LF,
    OVER,
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte that may stand in an extension or a trailer. */
static bool is_text(struct ar_chunk *c, char b)
{
    return ++c->extra <= AR_CHUNK_EXTRA_MAX && ((unsigned char)b >= ' ' || b == '\t') && b != 0x7f;
}

static bool read_size(struct ar_chunk *c, char b)
{
    int digit = hex_digit(b);
    if (digit >= 0) {
        if (c->left >> 58 != 0) {
            return false;
        }
        c->left = c->left * 16 + (uint64_t)digit;
        c->state = SIZE;
        return ++c->extra <= AR_CHUNK_EXTRA_MAX;
    }
    if (c->state == SIZE_FIRST) {
        return false;
    }
    c->state = b == '\r' ? SIZE_LF : EXTENSION;
    return b == '\r' || b == ';';
}

static bool read_tail(struct ar_chunk *c, char b)
{
    switch (c->state) {
    case TRAILER_FIRST:
        c->state = b == '\r' ? LAST_LF : TRAILER;
        return b == '\r' || (is_text(c, b) && b != ' ' && b != '\t' && b != ':');
    case TRAILER:
        if (b == '\r') {
            c->state = TRAILER_LF;
            return true;
        }
        return is_text(c, b);
    case TRAILER_LF:
        c->state = TRAILER_FIRST;
        return b == '\n';
    default:
        c->state = OVER;
        return b == '\n';
    }
}

static bool read_byte(struct ar_chunk *c, char b)
{
    switch (c->state) {
    case SIZE_FIRST:
    case SIZE:
        return read_size(c, b);
    case EXTENSION:
        if (b == '\r') {
            c->state = SIZE_LF;
            return true;
        }
        return is_text(c, b);
    case SIZE_LF:
        c->state = c->left > 0 ? DATA : TRAILER_FIRST;
        return b == '\n';
    case DATA_CR:
        c->state = DATA_LF;
        return b == '\r';
    case DATA_LF:
        c->state = SIZE_FIRST;
        /* The digits of honest sizes are no reason to fail a long stream. */
        c->extra = c->extra > 16 ? (uint16_t)(c->extra - 16) : 0;
        return b == '\n';
    default:
        return read_tail(c, b);
    }
}

enum ar_poll ar_chunk_read(struct ar_chunk *c, struct ar_str in, size_t *ret_used)
{
    size_t i = 0;
    if (c->state == DATA && c->left == 0) {
        c->state = DATA_CR;
    }
    while (i < in.n && c->state != DATA && c->state != OVER) {
        if (!read_byte(c, in.p[i++])) {
            *ret_used = i;
            return AR_FAILED;
        }
    }
    *ret_used = i;
    if (c->state == OVER) {
        return AR_ENDED;
    }
    return c->state == DATA && i < in.n ? AR_READY : AR_PENDING;
}

size_t ar_chunk_head(size_t n, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    char rev[16];
    size_t len = 0;
    do {
        rev[len++] = digits[n & 15];
        n >>= 4;
    } while (n > 0);
    for (size_t i = 0; i < len; i++) {
        ret[i] = rev[len - 1 - i];
    }
    ret[len] = '\r';
    ret[len + 1] = '\n';
    return len + 2;
}
