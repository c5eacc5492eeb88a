/* The body of one message as pieces: framing undone, content coding undone, bounded. Reads a stream
 * in place. Loop thread only. */
#ifndef AR_HTTP_BODY_H
#define AR_HTTP_BODY_H

#include "http/chunk.h"
#include "http/encoding.h"

struct ar_stream;

struct ar_body {
    struct ar_chunk chunk;
    int64_t length;             /* AR_LENGTH_* of http/head.h, or bytes left on the wire */
    int64_t raw_bytes;          /* came, coding still on, framing off */
    int64_t out_bytes, out_max; /* decoded so far; over out_max: AR_TOO_LARGE */
    struct ar_decoder *decoder; /* owns; NULL: identity */
    char *out;                  /* owns; decoded and not eaten */
    size_t out_at, out_n;
    enum ar_code code; /* sticky failure */
    char note[64];
    bool request; /* failures are the client's, else the upstream's */
    bool over;    /* complete by its framing */
    bool gone;    /* the stream itself failed or ended early */
};

/* length and encoding as in struct ar_head. A coding that is not known fails at the first peek. */
void ar_body_init(struct ar_body *b, bool request, int64_t length, enum ar_encoding e,
                  int64_t out_max);
void ar_body_done(struct ar_body *b); /* a zeroed one is fine */
/* READY: borrows until the next call on b or s. ENDED: complete. FAILED, sticky: requests:
 * AR_INVALID_REQUEST, AR_TOO_LARGE, AR_CLIENT_CLOSED; answers: AR_UPSTREAM_ERROR,
 * AR_UPSTREAM_TRUNCATED, AR_TOO_LARGE. */
enum ar_poll ar_body_peek(struct ar_body *b, struct ar_stream *s, struct ar_str *ret,
                          struct ar_err *err);
void ar_body_eat(struct ar_body *b, struct ar_stream *s, size_t n);
/* Bytes still to come that are the body as they are, the next ones of the stream: its length is
 * known and within the limit, nothing is coded. 0: none, or not such a body. */
size_t ar_body_plain_left(const struct ar_body *b);
/* n of them were taken from the stream by somebody else. */
void ar_body_skip(struct ar_body *b, size_t n);

#endif
