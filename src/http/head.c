/* Reading heads with llhttp, strictly.
 *
 * llhttp is fed the stream's own bytes; spans are kept as offsets from the head's first byte, so it
 * does not matter how the head was split. When the head is complete, its bytes and its header array
 * go into one block of exactly that use, from a free list; the input is then free to be eaten. Only
 * a head that came in pieces is gathered first, in the reader's own buffer.
 *
 * What llhttp lets pass and we do not: other versions than 1.0 and 1.1, other protocols, more than
 * one space after the method, fragments, transfer codings other than exactly "chunked", a missing
 * or second Host, RTSP's methods. No leniency flag is ever set. The body is not llhttp's business
 * (http/body.h). The only file that knows llhttp. */
#include "http/head.h"

#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    HEADERS_MAX = 256,
    BLOCK_BYTES = 2048, /* the recycled kind */
    KEEP_BLOCKS = 64,
    KEEP_READERS = 8,
};

struct span {
    uint32_t at, n;
};

struct ar_head_reader {
    struct ar_head_reader *next;
    llhttp_t parser;
    struct ar_buf gathered; /* empty unless the head came in pieces */
    const char *piece;      /* input of the current call */
    size_t base;            /* offset of piece in the head */
    size_t bytes_max;
    unsigned header_count, header_max;
    struct span method, target, version;
    struct span names[HEADERS_MAX + 1], values[HEADERS_MAX + 1]; /* one over the limit */
    bool in_name, too_many, complete;
};

struct ar_head_block {
    struct ar_head_block *next;
    size_t size; /* of data */
    struct ar_header data[];
};

void ar_head_cache_init(struct ar_head_cache *c)
{
    *c = (struct ar_head_cache){0};
}

void ar_head_cache_done(struct ar_head_cache *c)
{
    while (c->readers) {
        struct ar_head_reader *r = c->readers;
        c->readers = r->next;
        ar_buf_done(&r->gathered);
        free(r);
    }
    while (c->blocks) {
        struct ar_head_block *b = c->blocks;
        c->blocks = b->next;
        free(b);
    }
    *c = (struct ar_head_cache){0};
}

static struct ar_head_block *take_block(struct ar_head_cache *c, size_t size)
{
    if (size <= BLOCK_BYTES && c->blocks) {
        struct ar_head_block *b = c->blocks;
        c->blocks = b->next;
        c->block_count--;
        return b;
    }
    size = size <= BLOCK_BYTES ? BLOCK_BYTES : size;
    struct ar_head_block *b = malloc(sizeof(*b) + size);
    AR_ASSERT(b != NULL);
    b->size = size;
    return b;
}

void ar_head_done(struct ar_head_cache *c, struct ar_head *h)
{
    struct ar_head_block *b = h->block;
    if (b && b->size == BLOCK_BYTES && c->block_count < KEEP_BLOCKS) {
        b->next = c->blocks;
        c->blocks = b;
        c->block_count++;
    } else {
        free(b);
    }
    *h = (struct ar_head){0};
}

static struct ar_head_reader *of(llhttp_t *p)
{
    return (struct ar_head_reader *)p->data;
}

/* Adds a piece to a span that may have begun in an earlier one. */
static void extend(struct ar_head_reader *r, struct span *s, const char *at, size_t n)
{
    if (s->n == 0) {
        s->at = (uint32_t)(r->base + (size_t)(at - r->piece));
    }
    s->n += (uint32_t)n;
}

static int on_method(llhttp_t *p, const char *at, size_t n)
{
    extend(of(p), &of(p)->method, at, n);
    return 0;
}

static int on_target(llhttp_t *p, const char *at, size_t n)
{
    extend(of(p), &of(p)->target, at, n);
    return 0;
}

static int on_version(llhttp_t *p, const char *at, size_t n)
{
    extend(of(p), &of(p)->version, at, n);
    return 0;
}

static int on_name(llhttp_t *p, const char *at, size_t n)
{
    struct ar_head_reader *r = of(p);
    if (!r->in_name) {
        r->names[r->header_count] = (struct span){0};
        r->values[r->header_count] = (struct span){0};
        r->header_count++;
        r->in_name = true;
    }
    extend(r, &r->names[r->header_count - 1], at, n);
    return 0;
}

/* The limit is looked at here: whether a name is begun before its fault depends on the split. */
static int on_name_complete(llhttp_t *p)
{
    struct ar_head_reader *r = of(p);
    r->in_name = false;
    r->too_many = r->header_count > r->header_max;
    return r->too_many ? -1 : 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct ar_head_reader *r = of(p);
    extend(r, &r->values[r->header_count - 1], at, n);
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    of(p)->complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_method = on_method,
    .on_url = on_target,
    .on_version = on_version,
    .on_header_field = on_name,
    .on_header_field_complete = on_name_complete,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
};

static struct ar_head_reader *take_reader(struct ar_head_cache *c, llhttp_type_t type,
                                          const struct ar_head_limits *limits)
{
    struct ar_head_reader *r = c->readers;
    if (r) {
        c->readers = r->next;
        c->reader_count--;
    } else {
        r = malloc(sizeof(*r));
        AR_ASSERT(r != NULL);
        r->gathered = (struct ar_buf){0};
    }
    llhttp_init(&r->parser, type, &settings);
    r->parser.data = r;
    r->gathered.max = limits->bytes;
    r->base = 0;
    r->bytes_max = limits->bytes;
    r->header_count = 0;
    r->header_max = limits->headers < HEADERS_MAX ? limits->headers : HEADERS_MAX;
    r->method = r->target = r->version = (struct span){0};
    r->in_name = r->too_many = r->complete = false;
    return r;
}

void ar_head_reader_drop(struct ar_head_cache *c, struct ar_head_reader **rr)
{
    struct ar_head_reader *r = *rr;
    *rr = NULL;
    if (!r) {
        return;
    }
    ar_buf_done(&r->gathered);
    if (c->reader_count >= KEEP_READERS) {
        free(r);
        return;
    }
    r->next = c->readers;
    c->readers = r;
    c->reader_count++;
}

struct ar_str ar_head_target_so_far(const struct ar_head_reader *r)
{
    /* The failing piece was gathered too (see fail). */
    if (!r || (size_t)r->target.at + r->target.n > r->gathered.n) {
        return (struct ar_str){NULL, 0};
    }
    return ar_str_n(r->gathered.p + r->target.at, r->target.n);
}

/* Text of a parser's fault, and its code. */
static void explain(struct ar_head_reader *r, llhttp_errno_t e, struct ar_err *err)
{
    bool request = llhttp_get_type(&r->parser) == HTTP_REQUEST;
    if (r->too_many) {
        ar_fail(err, request ? AR_HEADERS_TOO_LARGE : AR_UPSTREAM_ERROR,
                "%s has more than %u headers", request ? "the request" : "malformed answer: it",
                r->header_max);
    } else if (!request) {
        ar_fail(err, AR_UPSTREAM_ERROR, "malformed answer: %s", llhttp_errno_name(e));
    } else if (e == HPE_INVALID_METHOD) {
        ar_fail(err, AR_INVALID_REQUEST, "unknown HTTP method");
    } else if (e == HPE_INVALID_VERSION || e == HPE_PAUSED_H2_UPGRADE) {
        ar_fail(err, AR_INVALID_REQUEST, "HTTP version not supported; use HTTP/1.1");
    } else if (e == HPE_INVALID_URL) {
        ar_fail(err, AR_INVALID_REQUEST, "malformed request target");
    } else {
        const char *why = llhttp_get_error_reason(&r->parser);
        ar_fail(err, AR_INVALID_REQUEST, "malformed request head: %s",
                why && *why ? why : llhttp_errno_name(e));
    }
}

struct cursor { /* where the head's bytes lie in its block */
    const char *bytes;
    struct ar_head *h;
    unsigned hosts, codings, lengths;
    bool close, keep, bad;
    const char *why;
};

static struct ar_str str_of(const char *bytes, struct span s)
{
    return ar_str_n(bytes + s.at, s.n);
}

static void read_connection(struct cursor *k, struct ar_str value)
{
    struct ar_str token;
    while (ar_str_split(&value, ',', &token)) {
        token = ar_str_trim(token);
        k->close |= ar_str_is_nocase(token, AR_LIT("close"));
        k->keep |= ar_str_is_nocase(token, AR_LIT("keep-alive"));
    }
}

static void read_length(struct cursor *k, struct ar_str value)
{
    int64_t v = 0;
    if (++k->lengths > 1 || ar_str_to_i64(value, 0, INT64_MAX / 2, &v) != AR_OK ||
        (value.n > 0 && (value.p[0] < '0' || value.p[0] > '9'))) {
        k->why = "bad Content-Length";
        return;
    }
    k->h->length = v;
}

static void read_coding(struct cursor *k, struct ar_str value)
{
    if (++k->codings > 1 || !ar_str_is_nocase(value, AR_LIT("chunked"))) {
        k->why = "Transfer-Encoding other than chunked";
    }
}

/* Framing facts of one header; the length decides most names away. */
static void read_fact(struct cursor *k, struct ar_header *h)
{
    struct ar_str name = h->name;
    struct ar_head *head = k->h;
    switch (name.n) {
    case 4:
        if (ar_str_is_nocase(name, AR_LIT("host"))) {
            head->host = h->value;
            k->hosts++;
        }
        break;
    case 6:
        if (ar_str_is_nocase(name, AR_LIT("expect"))) {
            head->expect = h->value;
        }
        break;
    case 7:
        if (ar_str_is_nocase(name, AR_LIT("upgrade"))) {
            head->upgrade = h->value;
        }
        break;
    case 10:
        if (ar_str_is_nocase(name, AR_LIT("connection"))) {
            head->connection = h->value;
            read_connection(k, h->value);
        }
        break;
    case 12:
        if (ar_str_is_nocase(name, AR_LIT("content-type")) && !head->content_type.p) {
            head->content_type = h->value;
        }
        break;
    case 14:
        if (ar_str_is_nocase(name, AR_LIT("content-length"))) {
            read_length(k, h->value);
        }
        break;
    case 16:
        if (ar_str_is_nocase(name, AR_LIT("content-encoding"))) {
            head->encoding =
                head->encoding == AR_ENC_IDENTITY ? ar_encoding_of(h->value) : AR_ENC_UNKNOWN;
        }
        break;
    case 17:
        if (ar_str_is_nocase(name, AR_LIT("transfer-encoding"))) {
            read_coding(k, h->value);
        }
        break;
    default:
        break;
    }
}

/* Bytes that could end a host or smuggle a path, below 0x80; the rest of them is_host looks at. */
static const bool NOT_OF_HOST[128] = {
    ['/'] = true, ['?'] = true, ['#'] = true, ['@'] = true, ['\\'] = true,
    ['<'] = true, ['>'] = true, ['"'] = true, ['^'] = true, ['`'] = true,
    ['{'] = true, ['|'] = true, ['}'] = true, [','] = true, [0x7f] = true,
};

/* A registered host. */
static bool is_host(struct ar_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= sizeof NOT_OF_HOST || NOT_OF_HOST[c]) {
            return false;
        }
    }
    return true;
}

static const char *check_request(struct ar_head_reader *r, struct cursor *k)
{
    struct ar_head *h = k->h;
    if (k->bytes[r->method.at + r->method.n] != ' ' ||
        r->target.at != r->method.at + r->method.n + 1) {
        return "malformed request line";
    }
    if (r->parser.http_major != 1 || r->version.at < 5 ||
        memcmp(k->bytes + r->version.at - 5, "HTTP/", 5) != 0) {
        return "HTTP version not supported; use HTTP/1.1";
    }
    if (memchr(h->target.p, '#', h->target.n)) {
        return "malformed request target";
    }
    if (k->hosts > 1 || (k->hosts == 0 && h->minor == 1)) {
        return k->hosts > 1 ? "more than one Host header" : "no Host header";
    }
    if (!is_host(h->host)) {
        return "malformed Host header";
    }
    if (k->codings > 0 && h->minor == 0) {
        return "Transfer-Encoding in HTTP/1.0";
    }
    return NULL;
}

static const char *check_answer(struct ar_head_reader *r)
{
    if (r->parser.http_major != 1) {
        return "not HTTP/1.x";
    }
    if (r->parser.status_code < 100) {
        return "bad status";
    }
    return NULL;
}

/* The block of a complete head: header array, then its bytes. */
static void settle(struct ar_head_cache *c, struct ar_head_reader *r, struct ar_str last,
                   struct cursor *k)
{
    size_t array = r->header_count * sizeof(struct ar_header);
    size_t total = r->gathered.n + last.n;
    struct ar_head *h = k->h;
    h->block = take_block(c, array + total);
    h->headers = h->block->data;
    char *bytes = (char *)h->block->data + array;
    if (r->gathered.n > 0) {
        memcpy(bytes, r->gathered.p, r->gathered.n);
    }
    memcpy(bytes + r->gathered.n, last.p, last.n);
    k->bytes = bytes;
    h->header_count = r->header_count;
    for (unsigned i = 0; i < r->header_count; i++) {
        h->headers[i].name = str_of(bytes, r->names[i]);
        h->headers[i].value = ar_str_trim(str_of(bytes, r->values[i]));
        read_fact(k, &h->headers[i]);
    }
    h->method = str_of(bytes, r->method);
    h->target = str_of(bytes, r->target);
    h->status = r->parser.status_code;
    h->minor = r->parser.http_minor;
    h->keep_alive = h->minor == 0 ? k->keep && !k->close : !k->close;
}

static enum ar_poll finish_request(struct ar_head_cache *c, struct ar_head_reader *r,
                                   struct ar_str last, struct ar_head *ret, struct ar_err *err)
{
    struct ar_head h = {0};
    struct cursor k = {.h = &h};
    settle(c, r, last, &k);
    if (k.codings > 0) {
        h.length = AR_LENGTH_CHUNKED;
    }
    const char *why = k.why ? k.why : check_request(r, &k);
    if (!why && k.codings > 0 && k.lengths > 0) {
        why = "both Content-Length and Transfer-Encoding";
    }
    if (!why && (ar_str_is_lit(h.method, "TRACE") || ar_str_is_lit(h.method, "CONNECT"))) {
        ar_fail(err, AR_METHOD_NOT_ALLOWED, "method %.*s is not allowed", AR_FMT(h.method));
        ar_head_done(c, &h);
        return AR_FAILED;
    }
    if (why) {
        ar_fail(err, AR_INVALID_REQUEST, "%s", why);
        ar_head_done(c, &h);
        return AR_FAILED;
    }
    *ret = h;
    return AR_READY;
}

static enum ar_poll finish_answer(struct ar_head_cache *c, struct ar_head_reader *r,
                                  struct ar_str last, struct ar_head *ret, struct ar_err *err)
{
    struct ar_head h = {0};
    struct cursor k = {.h = &h};
    h.length = AR_LENGTH_UNTIL_CLOSE;
    settle(c, r, last, &k);
    if (k.codings > 0) {
        h.length = AR_LENGTH_CHUNKED;
    }
    const char *why = k.why ? k.why : check_answer(r);
    if (!why && k.codings > 0 && k.lengths > 0) {
        why = "both Content-Length and Transfer-Encoding";
    }
    if (why) {
        ar_fail(err, AR_UPSTREAM_ERROR, "malformed answer: %s", why);
        ar_head_done(c, &h);
        return AR_FAILED;
    }
    *ret = h;
    return AR_READY;
}

/* Keeps what is there for ar_head_target_so_far. */
static enum ar_poll fail(struct ar_head_reader *r, struct ar_str piece)
{
    r->gathered.max = SIZE_MAX / 2;
    ar_buf_str(&r->gathered, piece);
    return AR_FAILED;
}

static enum ar_poll read_head(struct ar_head_reader *r, struct ar_str in, size_t *ret_used,
                              struct ar_err *err)
{
    size_t room = r->bytes_max - r->base;
    struct ar_str piece = ar_str_head(in, room);
    r->piece = piece.p;
    llhttp_errno_t e = llhttp_execute(&r->parser, piece.p, piece.n);
    if (r->complete) {
        *ret_used = (size_t)(llhttp_get_error_pos(&r->parser) - piece.p);
        return AR_READY;
    }
    *ret_used = piece.n;
    if (e != HPE_OK) {
        explain(r, e, err);
        return fail(r, piece);
    }
    if (in.n > room) {
        bool request = llhttp_get_type(&r->parser) == HTTP_REQUEST;
        ar_fail(err, request ? AR_HEADERS_TOO_LARGE : AR_UPSTREAM_ERROR,
                request ? "the request's head is over %zu bytes"
                        : "malformed answer: its head is over %zu bytes",
                r->bytes_max);
        return fail(r, piece);
    }
    ar_buf_str(&r->gathered, piece);
    r->base += piece.n;
    return AR_PENDING;
}

enum ar_poll ar_head_read_request(struct ar_head_cache *c, struct ar_head_reader **rr,
                                  const struct ar_head_limits *limits, struct ar_str in,
                                  size_t *ret_used, struct ar_head *ret, struct ar_err *err)
{
    if (!*rr) {
        *rr = take_reader(c, HTTP_REQUEST, limits);
    }
    enum ar_poll poll = read_head(*rr, in, ret_used, err);
    if (poll == AR_READY) {
        struct ar_str last = ar_str_head(in, *ret_used);
        poll = finish_request(c, *rr, last, ret, err);
        if (poll == AR_FAILED) {
            return fail(*rr, last);
        }
        ar_head_reader_drop(c, rr);
    }
    return poll;
}

enum ar_poll ar_head_read_answer(struct ar_head_cache *c, struct ar_head_reader **rr,
                                 const struct ar_head_limits *limits, struct ar_str in,
                                 size_t *ret_used, struct ar_head *ret, struct ar_err *err)
{
    if (!*rr) {
        *rr = take_reader(c, HTTP_RESPONSE, limits);
    }
    enum ar_poll poll = read_head(*rr, in, ret_used, err);
    if (poll == AR_READY) {
        poll = finish_answer(c, *rr, ar_str_head(in, *ret_used), ret, err);
        ar_head_reader_drop(c, rr);
    } else if (poll == AR_FAILED) {
        ar_head_reader_drop(c, rr);
    }
    return poll;
}
