/* Bodies of requests and answers, pulled out of a stream.
 *
 * Two layers, both pull. The raw layer undoes the framing: length and close-delimited bodies are
 * the stream's own bytes, chunked ones are the data bytes of one chunk at a time; nothing is
 * copied. The coded layer, only there when the message has a Content-Encoding, decodes into one
 * buffer of its own, at most OUT_BYTES ahead of the reader. A body is over only by its framing; a
 * stream that ends before is a failure, but for close-delimited bodies, where the end is the
 * framing. Never reads a byte that belongs to the next message. */
#include "http/body.h"

#include "http/head.h"
#include "io/stream.h"

#include <stdio.h>
#include <stdlib.h>

enum { OUT_BYTES = 16384 };

void ar_body_init(struct ar_body *b, bool request, int64_t length, enum ar_encoding e,
                  int64_t out_max)
{
    memset(b, 0, offsetof(struct ar_body, note));
    b->note[0] = 0;
    b->request = request;
    b->length = length;
    b->out_max = out_max;
    b->gone = false;
    b->over = length == 0;
    if (b->over || e == AR_ENC_IDENTITY) {
        return;
    }
    if (e == AR_ENC_UNKNOWN) {
        b->code = request ? AR_INVALID_REQUEST : AR_UPSTREAM_ERROR;
        snprintf(b->note, sizeof(b->note), "Content-Encoding other than gzip, deflate, zstd");
        return;
    }
    b->decoder = ar_decoder_new(e);
    b->out = malloc(OUT_BYTES);
    AR_ASSERT(b->decoder && b->out);
}

void ar_body_done(struct ar_body *b)
{
    if (b->decoder) {
        ar_decoder_free(b->decoder);
        free(b->out);
        b->decoder = NULL;
        b->out = NULL;
    }
}

static enum ar_poll fail(struct ar_body *b, enum ar_code code, const char *note)
{
    b->code = code;
    snprintf(b->note, sizeof(b->note), "%s", note);
    return AR_FAILED;
}

static enum ar_poll fail_framing(struct ar_body *b, const char *note)
{
    return fail(b, b->request ? AR_INVALID_REQUEST : AR_UPSTREAM_ERROR, note);
}

/* The stream ended or failed inside the body. */
static enum ar_poll fail_cut(struct ar_body *b)
{
    b->gone = true;
    return b->request ? fail(b, AR_CLIENT_CLOSED, "the client left inside its request")
                      : fail(b, AR_UPSTREAM_TRUNCATED, "the answer was cut short");
}

static enum ar_poll peek_chunked(struct ar_body *b, struct ar_stream *s, struct ar_str *ret)
{
    for (;;) {
        struct ar_str in;
        enum ar_poll poll = ar_stream_peek(s, &in, NULL);
        if (poll == AR_PENDING) {
            return AR_PENDING;
        }
        if (poll != AR_READY) {
            return fail_cut(b);
        }
        size_t used = 0;
        poll = ar_chunk_read(&b->chunk, in, &used);
        if (used > 0) {
            ar_stream_eat(s, used);
        }
        if (poll == AR_ENDED) {
            b->over = true;
            return AR_ENDED;
        }
        if (poll == AR_FAILED) {
            return fail_framing(b, "broken chunked framing");
        }
        if (poll == AR_READY && used == 0) {
            *ret = ar_str_head(in, b->chunk.left < in.n ? (size_t)b->chunk.left : in.n);
            return AR_READY;
        }
    }
}

/* Data bytes as they are on the wire, framing off. */
static enum ar_poll peek_raw(struct ar_body *b, struct ar_stream *s, struct ar_str *ret)
{
    if (b->over) {
        return AR_ENDED;
    }
    if (b->length == AR_LENGTH_CHUNKED) {
        return peek_chunked(b, s, ret);
    }
    struct ar_str in;
    enum ar_poll poll = ar_stream_peek(s, &in, NULL);
    if (poll == AR_READY) {
        bool bounded = b->length >= 0 && (uint64_t)b->length < in.n;
        *ret = ar_str_head(in, bounded ? (size_t)b->length : in.n);
        return AR_READY;
    }
    if (poll == AR_ENDED && b->length == AR_LENGTH_UNTIL_CLOSE) {
        b->over = true;
        return AR_ENDED;
    }
    return poll == AR_PENDING ? AR_PENDING : fail_cut(b);
}

static void count_raw(struct ar_body *b, size_t n)
{
    b->raw_bytes += (int64_t)n;
    if (b->length == AR_LENGTH_CHUNKED) {
        b->chunk.left -= n;
    } else if (b->length >= 0) {
        b->length -= (int64_t)n;
        b->over = b->length == 0;
    }
}

static void eat_raw(struct ar_body *b, struct ar_stream *s, size_t n)
{
    ar_stream_eat(s, n);
    count_raw(b, n);
}

size_t ar_body_plain_left(const struct ar_body *b)
{
    bool plain = b->code == AR_OK && !b->decoder && b->length > 0;
    return plain && b->length <= b->out_max - b->out_bytes ? (size_t)b->length : 0;
}

void ar_body_skip(struct ar_body *b, size_t n)
{
    if (n > 0) {
        b->out_bytes += (int64_t)n;
        count_raw(b, n);
    }
}

/* Fills out by decoding; out is empty. */
static enum ar_poll peek_coded(struct ar_body *b, struct ar_stream *s, struct ar_str *ret)
{
    /* First what the decoder still holds, output or a fault: how the stream went on since does not
     * matter to it. */
    for (bool fresh = false;; fresh = true) {
        struct ar_str raw = {NULL, 0};
        enum ar_poll poll = fresh ? peek_raw(b, s, &raw) : AR_READY;
        if (poll == AR_FAILED) {
            return AR_FAILED;
        }
        size_t used = 0;
        enum ar_poll did =
            ar_decoder_run(b->decoder, raw, &used, ar_str_n(b->out, OUT_BYTES), &b->out_n);
        if (used > 0) {
            eat_raw(b, s, used);
        }
        if (did == AR_READY) {
            b->out_at = 0;
            *ret = ar_str_n(b->out, b->out_n);
            return AR_READY;
        }
        if (did == AR_FAILED) {
            return fail_framing(b, "corrupt Content-Encoding");
        }
        if (poll == AR_ENDED) {
            return b->raw_bytes == 0 || ar_decoder_is_complete(b->decoder)
                       ? AR_ENDED
                       : fail_framing(b, "truncated Content-Encoding");
        }
        if (poll == AR_PENDING) {
            return AR_PENDING;
        }
    }
}

enum ar_poll ar_body_peek(struct ar_body *b, struct ar_stream *s, struct ar_str *ret,
                          struct ar_err *err)
{
    enum ar_poll poll;
    if (b->code != AR_OK) {
        poll = AR_FAILED;
    } else if (!b->decoder) {
        poll = peek_raw(b, s, ret);
    } else if (b->out_at < b->out_n) {
        *ret = ar_str_n(b->out + b->out_at, b->out_n - b->out_at);
        poll = AR_READY;
    } else {
        poll = peek_coded(b, s, ret);
    }
    int64_t room = b->out_max - b->out_bytes;
    if (poll == AR_READY && room <= 0) {
        poll = fail(b, AR_TOO_LARGE,
                    b->request ? "the request's body is over the limit"
                               : "the answer's body is over the limit");
    } else if (poll == AR_READY && (int64_t)ret->n > room) {
        *ret = ar_str_head(*ret, (size_t)room); /* up to the limit, however the bytes came */
    }
    if (poll == AR_FAILED) {
        ar_fail(err, b->code, "%s", b->note);
    }
    return poll;
}

void ar_body_eat(struct ar_body *b, struct ar_stream *s, size_t n)
{
    b->out_bytes += (int64_t)n;
    if (b->decoder) {
        b->out_at += n;
        AR_ASSERT(b->out_at <= b->out_n);
    } else {
        eat_raw(b, s, n);
    }
}
