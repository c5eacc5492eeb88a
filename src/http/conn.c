/* What the owner of a request calls: its body in, its answer out.
 *
 * The answer's head is made in the server's one scratch buffer and handed to the stream at once;
 * the stream gathers what one turn writes into one system call. In the chunked framing a chunk is
 * as large as what is offered: when the stream takes less, chunk_left remembers what the chunk
 * still promises, and the next bytes, whatever they are, go into it. Nothing of an answer is
 * buffered here but head and framing bytes that found no room (pending). Header values are checked
 * on the way out: a line break in one would split the answer. */
#include "http/server.h"

enum { CHUNK_MAX = 65536, LEND_MIN = 4096 };

void ar_conn_set_waker(struct ar_conn *c, struct ar_waker *w)
{
    c->owner = w;
}

static void say_continue(struct ar_conn *c)
{
    c->continue_due = false;
    ar_conn_put(c, AR_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
    ar_stream_flush(c->stream);
}

enum ar_poll ar_conn_peek(struct ar_conn *c, struct ar_str *ret, struct ar_err *err)
{
    if (c->inner) {
        return ar_inner_peek(c, ret);
    }
    if (c->timed_out) {
        ar_fail(err, AR_REQUEST_TIMEOUT, "the request's body did not arrive in time");
        return AR_FAILED;
    }
    enum ar_poll poll = ar_body_peek(&c->body, c->stream, ret, err);
    if (poll == AR_PENDING) {
        if (c->continue_due && !c->opened) {
            say_continue(c);
        }
        if (!c->reading && !c->upgraded) {
            c->reading = true;
            c->body_since_ms = ar_loop_now_ms(c->server->loop);
            ar_conn_arm(c);
        }
    } else if (poll == AR_FAILED) {
        c->keep = false;
        c->gone |= c->body.gone;
    } else {
        c->continue_due = false; /* the body came without being asked for, an empty one too */
    }
    return poll;
}

void ar_conn_eat(struct ar_conn *c, size_t n)
{
    if (c->inner) {
        ar_inner_eat(c, n);
        return;
    }
    ar_body_eat(&c->body, c->stream, n);
}

/* What is left of a body of known length goes straight to where it is wanted. */
static void lend(struct ar_conn *c, struct ar_buf *into)
{
    size_t left = c->inner ? 0 : ar_body_plain_left(&c->body);
    if (left >= LEND_MIN && ar_buf_reserve(into, left)) {
        ar_stream_lend(c->stream, into->p + into->n, left);
        c->lent = true;
    }
}

static size_t take_back(struct ar_conn *c)
{
    size_t n = c->lent ? ar_stream_take_back(c->stream) : 0;
    c->lent = false;
    ar_body_skip(&c->body, n);
    return n;
}

enum ar_poll ar_conn_read(struct ar_conn *c, struct ar_buf *into, struct ar_err *err)
{
    struct ar_str piece;
    enum ar_poll poll;
    into->n += take_back(c);
    while ((poll = ar_conn_peek(c, &piece, err)) == AR_READY) {
        ar_buf_str(into, piece);
        ar_conn_eat(c, piece.n);
        if (ar_buf_finish(into) != AR_OK) {
            ar_fail(err, AR_TOO_LARGE, "the request body is over body_limit");
            return AR_FAILED;
        }
    }
    if (poll == AR_PENDING) {
        lend(c, into);
    }
    return poll;
}

struct reason {
    int status;
    struct ar_str text;
};

static const struct reason reasons[] = {
    {101, AR_LIT_INIT("101 Switching Protocols")},
    {200, AR_LIT_INIT("200 OK")},
    {201, AR_LIT_INIT("201 Created")},
    {202, AR_LIT_INIT("202 Accepted")},
    {204, AR_LIT_INIT("204 No Content")},
    {304, AR_LIT_INIT("304 Not Modified")},
    {400, AR_LIT_INIT("400 Bad Request")},
    {401, AR_LIT_INIT("401 Unauthorized")},
    {402, AR_LIT_INIT("402 Payment Required")},
    {403, AR_LIT_INIT("403 Forbidden")},
    {404, AR_LIT_INIT("404 Not Found")},
    {405, AR_LIT_INIT("405 Method Not Allowed")},
    {408, AR_LIT_INIT("408 Request Timeout")},
    {409, AR_LIT_INIT("409 Conflict")},
    {413, AR_LIT_INIT("413 Content Too Large")},
    {417, AR_LIT_INIT("417 Expectation Failed")},
    {422, AR_LIT_INIT("422 Unprocessable Content")},
    {426, AR_LIT_INIT("426 Upgrade Required")},
    {429, AR_LIT_INIT("429 Too Many Requests")},
    {431, AR_LIT_INIT("431 Request Header Fields Too Large")},
    {500, AR_LIT_INIT("500 Internal Server Error")},
    {502, AR_LIT_INIT("502 Bad Gateway")},
    {503, AR_LIT_INIT("503 Service Unavailable")},
    {504, AR_LIT_INIT("504 Gateway Timeout")},
    {529, AR_LIT_INIT("529 Overloaded")},
};

static void put_status(struct ar_buf *b, int status)
{
    ar_buf_lit(b, "HTTP/1.1 ");
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            ar_buf_str(b, reasons[i].text);
            ar_buf_lit(b, "\r\n");
            return;
        }
    }
    ar_buf_i64(b, status);
    ar_buf_lit(b, " \r\n");
}

/* Headers that belong to the connection: ours alone. */
static bool is_ours(struct ar_str name)
{
    switch (name.n) {
    case 10:
        return ar_str_is_nocase(name, AR_LIT("connection")) ||
               ar_str_is_nocase(name, AR_LIT("keep-alive"));
    case 14:
        return ar_str_is_nocase(name, AR_LIT("content-length"));
    case 17:
        return ar_str_is_nocase(name, AR_LIT("transfer-encoding"));
    default:
        return false;
    }
}

static void put_headers(struct ar_buf *b, const struct ar_header *h, unsigned n, bool *ret_dated)
{
    for (unsigned i = 0; i < n; i++) {
        if (is_ours(h[i].name) || !ar_header_is_safe(&h[i])) {
            continue;
        }
        if (h[i].name.n == 4 && ar_str_is_nocase(h[i].name, AR_LIT("date"))) {
            *ret_dated = true;
        }
        ar_buf_str(b, h[i].name);
        ar_buf_lit(b, ": ");
        ar_buf_str(b, h[i].value);
        ar_buf_lit(b, "\r\n");
    }
}

/* How the body ends, and whether the connection goes on. */
static void choose_framing(struct ar_conn *c, int status, int64_t length)
{
    bool bare = status == 204 || status == 304;
    c->no_body = bare || ar_str_is_lit(c->head.method, "HEAD");
    c->chunked = length < 0 && c->head.minor >= 1 && !bare;
    c->until_close = length < 0 && c->head.minor == 0 && !bare;
    c->out_left = length;
    /* Who waits for a 100 that never came may or may not send the body. */
    c->keep &= !c->until_close && !c->continue_due && !c->server->draining && !c->timed_out;
}

void ar_conn_open(struct ar_conn *c, int status, const struct ar_header *h, unsigned n,
                  int64_t length)
{
    AR_ASSERT(!c->opened && c->state == AR_CONN_BUSY);
    if (c->inner) {
        c->opened = true;
        ar_inner_open(c, status, h, n);
        return;
    }
    struct ar_buf *b = &c->server->scratch;
    c->opened = true;
    choose_framing(c, status, length);
    ar_buf_clear(b);
    put_status(b, status);
    bool dated = false;
    put_headers(b, h, n, &dated);
    if (!dated) {
        ar_buf_lit(b, "date: ");
        ar_buf_str(b, ar_server_date(c->server));
        ar_buf_lit(b, "\r\n");
    }
    if (c->chunked) {
        ar_buf_lit(b, "transfer-encoding: chunked\r\n");
    } else if (length >= 0 && status != 204 && status != 304) {
        ar_buf_lit(b, "content-length: ");
        ar_buf_i64(b, length);
        ar_buf_lit(b, "\r\n");
    }
    if (!c->keep) {
        ar_buf_lit(b, "connection: close\r\n");
    } else if (c->head.minor == 0) {
        ar_buf_lit(b, "connection: keep-alive\r\n");
    }
    ar_buf_lit(b, "\r\n");
    AR_ASSERT(!b->overflowed);
    ar_conn_put(c, ar_buf_view(b));
}

static void note_blocked(struct ar_conn *c, bool blocked)
{
    if (!blocked) {
        c->blocked = false;
    } else if (!c->blocked) {
        c->blocked = true;
        c->send_since_ms = ar_loop_now_ms(c->server->loop);
        ar_conn_arm(c);
    }
}

/* One chunk, or what is left of the one that was begun. Returns the data bytes taken. */
static size_t write_chunk(struct ar_conn *c, struct ar_str bytes)
{
    char line[AR_CHUNK_HEAD_MAX];
    size_t line_n = 0;
    size_t n = bytes.n < CHUNK_MAX ? bytes.n : CHUNK_MAX;
    if (c->chunk_left == 0) {
        line_n = ar_chunk_head(n, line);
        c->chunk_left = n;
    } else if (n > c->chunk_left) {
        n = c->chunk_left;
    }
    bool whole = n == c->chunk_left;
    struct ar_str parts[3] = {{line, line_n}, {bytes.p, n}, AR_LIT("\r\n")};
    unsigned first = line_n > 0 ? 0 : 1;
    size_t taken = ar_stream_write(c->stream, parts + first, (whole ? 3 : 2) - first);
    if (taken < line_n) {
        ar_buf_put(&c->pending, line + taken, line_n - taken);
        return 0;
    }
    taken -= line_n;
    if (taken < n) {
        c->chunk_left -= taken;
        return taken;
    }
    c->chunk_left -= n;
    if (whole && taken < n + 2) {
        ar_buf_str(&c->pending, ar_str_from(AR_LIT("\r\n"), taken - n));
    }
    return n;
}

size_t ar_conn_write(struct ar_conn *c, struct ar_str bytes)
{
    AR_ASSERT(c->opened);
    if (c->inner) {
        return c->gone ? 0 : ar_inner_write(c, bytes);
    }
    if (bytes.n == 0 || c->no_body) {
        return bytes.n;
    }
    if (c->gone || !ar_conn_push(c)) {
        note_blocked(c, true);
        return 0;
    }
    size_t taken = 0;
    if (c->chunked) {
        size_t n;
        do {
            size_t want = bytes.n - taken < CHUNK_MAX ? bytes.n - taken : CHUNK_MAX;
            size_t limit = c->chunk_left > 0 && c->chunk_left < want ? c->chunk_left : want;
            n = write_chunk(c, ar_str_from(bytes, taken));
            taken += n;
            if (n < limit || c->pending.n > 0) {
                break;
            }
        } while (taken < bytes.n);
    } else {
        if (!c->until_close) {
            AR_ASSERT((uint64_t)c->out_left >= bytes.n);
        }
        taken = ar_stream_write(c->stream, &bytes, 1);
        c->out_left -= (int64_t)taken;
    }
    note_blocked(c, taken < bytes.n);
    return taken;
}

void ar_conn_flush(struct ar_conn *c)
{
    if (!c->inner) {
        ar_stream_flush(c->stream);
    }
}

void ar_conn_upgrade(struct ar_conn *c, const struct ar_header *h, unsigned n)
{
    AR_ASSERT(!c->opened && c->state == AR_CONN_BUSY && !c->inner);
    struct ar_buf *b = &c->server->scratch;
    bool dated = false;
    c->opened = c->upgraded = c->until_close = true;
    c->keep = c->no_body = c->chunked = c->continue_due = false;
    ar_buf_clear(b);
    put_status(b, 101);
    put_headers(b, h, n, &dated);
    ar_buf_lit(b, "connection: Upgrade\r\nupgrade: websocket\r\n\r\n");
    AR_ASSERT(!b->overflowed);
    ar_conn_put(c, ar_buf_view(b));
    ar_body_done(&c->body);
    ar_body_init(&c->body, true, AR_LENGTH_UNTIL_CLOSE, AR_ENC_IDENTITY, INT64_MAX);
}

bool ar_conn_is_gone(struct ar_conn *c)
{
    if (c->gone || c->inner) {
        return c->gone;
    }
    if (!ar_stream_is_dead(c->stream)) {
        return false;
    }
    /* A FIN behind bytes that nobody read yet (a body, a pipelined request) says nothing: the
     * client may have shut its side after sending all of it. */
    struct ar_str in;
    enum ar_poll poll = ar_stream_peek(c->stream, &in, NULL);
    c->gone = poll == AR_FAILED || (poll == AR_ENDED && c->body.over);
    return c->gone;
}

void ar_conn_end(struct ar_conn *c, bool clean)
{
    AR_ASSERT(c->state == AR_CONN_BUSY);
    if (c->inner) {
        ar_inner_end(c, clean && c->opened);
        return;
    }
    (void)take_back(c);
    clean = clean && c->opened && !c->gone;
    if (clean && !c->no_body) {
        if (c->chunked && c->chunk_left == 0) {
            ar_conn_put(c, AR_LIT("0\r\n\r\n"));
        }
        clean = c->chunked ? c->chunk_left == 0 : c->until_close || c->out_left == 0;
    }
    ar_conn_settle(c, clean);
}
