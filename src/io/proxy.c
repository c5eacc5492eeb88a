/*
 * Outbound proxies: HTTP CONNECT (RFC 9110 9.3.6, with Basic credentials, RFC 7617) and SOCKS5 (RFC
 * 1928, user and password RFC 1929). Names are resolved by the proxy. Each step looks at what came,
 * answers, and says whether the tunnel stands; a stream's own buffers hold everything, so the state
 * is one number.
 *
 * Never keeps a byte behind the proxy's answer: that belongs to what runs through the tunnel. Never
 * puts a password or a word of the proxy's into a note.
 */
#include "io/impl.h"

#include "base/buf.h"

#include <openssl/evp.h>
#include <stdio.h>

enum { HTTP_PORT = 80, SOCKS_PORT = 1080, ANSWER_MAX = 8192 };
enum step { GREET, METHOD, ACCESS, REPLY, HEAD };

/* --- the URL
 * ------------------------------------------------------------------------------------------------
 */

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes into a field of 256 bytes. */
static bool decode(struct ar_str s, char ret[256])
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int c = (unsigned char)s.p[i];
        if (c == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            c = hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]);
            i += 2;
        }
        if (c == 0 || n == 255) {
            return false;
        }
        ret[n++] = (char)c;
    }
    ret[n] = '\0';
    return true;
}

/* host, host:port, [v6], [v6]:port */
static bool parse_place(struct ar_str s, struct ar_proxy *ret)
{
    struct ar_str port = {NULL, 0};
    if (s.n > 0 && s.p[0] == '[') {
        size_t end = ar_str_find_char(s, ']');
        if (end == s.n) {
            return false;
        }
        ret->host = ar_str_n(s.p + 1, end - 1);
        port = ar_str_from(s, end + 1);
    } else {
        size_t end = ar_str_find_char(s, ':');
        ret->host = ar_str_head(s, end);
        port = ar_str_from(s, end);
    }
    ret->port = ret->kind == AR_PROXY_SOCKS5 ? SOCKS_PORT : HTTP_PORT;
    if (port.n > 0) {
        int64_t v;
        if (port.p[0] != ':' || ar_str_to_i64(ar_str_from(port, 1), 1, 65535, &v) != AR_OK) {
            return false;
        }
        ret->port = (uint16_t)v;
    }
    return ret->host.n > 0 && ret->host.n < 254;
}

enum ar_code ar_proxy_parse(struct ar_str url, struct ar_proxy *ret, struct ar_err *err)
{
    struct ar_str rest = url;
    size_t at = ar_str_find(url, AR_LIT("://"));
    struct ar_str scheme = at < url.n ? ar_str_head(url, at) : AR_LIT("http");
    memset(ret, 0, sizeof *ret);
    if (at < url.n) {
        rest = ar_str_from(url, at + 3);
    }
    if (ar_str_is_nocase(scheme, AR_LIT("http"))) {
        ret->kind = AR_PROXY_HTTP;
    } else if (ar_str_is_nocase(scheme, AR_LIT("socks5")) ||
               ar_str_is_nocase(scheme, AR_LIT("socks5h"))) {
        ret->kind = AR_PROXY_SOCKS5;
    } else {
        return ar_fail(err, AR_UPSTREAM_CONNECT, "proxy: the scheme must be http or socks5");
    }
    rest = ar_str_head(rest, ar_str_find_char(rest, '/'));
    for (at = rest.n; at > 0 && rest.p[at - 1] != '@'; at--) {
    }
    if (at > 0) {
        struct ar_str who = ar_str_head(rest, at - 1);
        size_t colon = ar_str_find_char(who, ':');
        rest = ar_str_from(rest, at);
        if (!decode(ar_str_head(who, colon), ret->user) ||
            !decode(ar_str_from(who, colon + 1), ret->password)) {
            return ar_fail(err, AR_UPSTREAM_CONNECT, "proxy: user or password is malformed");
        }
    }
    if (!parse_place(rest, ret)) {
        return ar_fail(err, AR_UPSTREAM_CONNECT, "proxy: host or port is malformed");
    }
    return AR_OK;
}

/* --- the talk
 * -----------------------------------------------------------------------------------------------
 */

static enum ar_poll refuse(const struct ar_proxy *p, const char *why, struct ar_err *err)
{
    (void)ar_fail(err, AR_UPSTREAM_CONNECT, "proxy %.*s port %u %s",
                  (int)(p->host.n < 60 ? p->host.n : 60), p->host.p, p->port, why);
    return AR_FAILED;
}

static void send_bytes(struct ar_stream *s, const struct ar_buf *b)
{
    struct ar_str bytes = ar_buf_view(b);
    (void)ar_stream_write(s, &bytes, 1); /* far below an empty buffer's room */
    ar_stream_flush(s);
}

static void ask_http(const struct ar_proxy *p, struct ar_stream *s, const struct ar_str to[2])
{
    struct ar_buf b;
    ar_buf_init(&b, 4096);
    bool v6 = ar_str_find_char(to[0], ':') < to[0].n;
    char place[300];
    (void)snprintf(place, sizeof place, "%s%.*s%s:%.*s", v6 ? "[" : "", AR_FMT(to[0]),
                   v6 ? "]" : "", AR_FMT(to[1]));
    ar_buf_fmt(&b, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", place, place);
    if (p->user[0] != '\0' || p->password[0] != '\0') {
        char pair[520], text[700];
        int n = snprintf(pair, sizeof pair, "%s:%s", p->user, p->password);
        (void)EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)pair, n);
        ar_buf_fmt(&b, "Proxy-Authorization: Basic %s\r\n", text);
        explicit_bzero(pair, sizeof pair);
        explicit_bzero(text, sizeof text);
    }
    ar_buf_lit(&b, "\r\n");
    send_bytes(s, &b);
    explicit_bzero(b.p, b.n);
    ar_buf_done(&b);
}

static enum ar_poll read_head(const struct ar_proxy *p, struct ar_stream *s, struct ar_str in,
                              struct ar_err *err)
{
    char why[40];
    int64_t status;
    size_t end = ar_str_find(in, AR_LIT("\r\n\r\n"));
    if (end == in.n) {
        return in.n < ANSWER_MAX ? AR_PENDING : refuse(p, "answered nonsense", err);
    }
    if (!ar_str_has_prefix(in, AR_LIT("HTTP/1.")) || in.n < 12 ||
        ar_str_to_i64(ar_str_n(in.p + 9, 3), 100, 599, &status) != AR_OK) {
        return refuse(p, "answered nonsense", err);
    }
    if (status / 100 != 2) {
        (void)snprintf(why, sizeof why, "answered %d", (int)status);
        return refuse(p, why, err);
    }
    ar_stream_eat(s, end + 4);
    return AR_READY;
}

static void put_short(struct ar_buf *b, struct ar_str s)
{
    ar_buf_char(b, (char)s.n);
    ar_buf_str(b, s);
}

static void ask_socks(const struct ar_proxy *p, struct ar_stream *s, enum step step,
                      const struct ar_str to[2])
{
    struct ar_buf b;
    union ar_addr a;
    int64_t port = 0;
    ar_buf_init(&b, 1024);
    if (step == GREET) {
        if (p->user[0] != '\0') {
            ar_buf_put(&b, "\5\2\0\2", 4);
        } else {
            ar_buf_put(&b, "\5\1\0", 3);
        }
    } else if (step == ACCESS) {
        ar_buf_char(&b, 1);
        put_short(&b, ar_str_of(p->user));
        put_short(&b, ar_str_of(p->password));
    } else {
        ar_buf_put(&b, "\5\1\0", 3);
        if (!ar_addr_parse(to[0], 0, &a)) {
            ar_buf_char(&b, 3);
            put_short(&b, to[0]);
        } else if (a.any.sa_family == AF_INET) {
            ar_buf_char(&b, 1);
            ar_buf_put(&b, &a.v4.sin_addr, 4);
        } else {
            ar_buf_char(&b, 4);
            ar_buf_put(&b, &a.v6.sin6_addr, 16);
        }
        if (ar_str_to_i64(to[1], 0, 65535, &port) != AR_OK) {
            port = 0;
        }
        ar_buf_char(&b, (char)(port >> 8));
        ar_buf_char(&b, (char)port);
    }
    send_bytes(s, &b);
    explicit_bzero(b.p, b.n);
    ar_buf_done(&b);
}

static enum ar_poll read_reply(const struct ar_proxy *p, struct ar_stream *s, struct ar_str in,
                               struct ar_err *err)
{
    static const char *const WHY[] = {"",
                                      "failed",
                                      "does not allow the connection",
                                      "cannot reach the network",
                                      "cannot reach the host",
                                      "was refused by the host",
                                      "ran out of time",
                                      "does not know the command",
                                      "does not know the type of address"};
    if (in.n >= 2 && (in.p[0] != 5 || in.p[1] != 0)) {
        unsigned why = (unsigned char)in.p[1];
        return refuse(p, in.p[0] == 5 && why < 9 ? WHY[why] : "answered nonsense", err);
    }
    if (in.n < 5) {
        return AR_PENDING;
    }
    size_t n = in.p[3] == 1 ? 4 : in.p[3] == 4 ? 16 : (size_t)(unsigned char)in.p[4] + 1;
    if (in.n < 4 + n + 2) {
        return AR_PENDING;
    }
    ar_stream_eat(s, 4 + n + 2);
    return AR_READY;
}

/* One answer of the proxy before the last: PENDING to go on, with k->step moved. */
static enum ar_poll read_socks(struct ar_proxy_talk *k, const struct ar_proxy *p,
                               struct ar_stream *s, const struct ar_str to[2], struct ar_err *err)
{
    struct ar_str in;
    if (ar_stream_peek(s, &in, NULL) != AR_READY) {
        return AR_PENDING;
    }
    if (k->step == REPLY) {
        return read_reply(p, s, in, err);
    }
    if (in.n < 2) {
        return AR_PENDING;
    }
    if (k->step == METHOD && (in.p[0] != 5 || (in.p[1] != 0 && (in.p[1] != 2 || !p->user[0])))) {
        return refuse(p, in.p[0] == 5 ? "wants other credentials" : "answered nonsense", err);
    }
    if (k->step == ACCESS && in.p[1] != 0) {
        return refuse(p, "refused the credentials", err);
    }
    bool access = k->step == METHOD && in.p[1] == 2;
    ar_stream_eat(s, 2);
    k->step = access ? ACCESS : REPLY;
    ask_socks(p, s, (enum step)k->step, to);
    return read_socks(k, p, s, to, err);
}

enum ar_poll ar_proxy_step(struct ar_proxy_talk *k, const struct ar_proxy *p, struct ar_stream *s,
                           struct ar_str host_port[2], struct ar_err *err)
{
    struct ar_str in;
    if (host_port[0].n == 0 || host_port[0].n > 253) {
        return refuse(p, "cannot be asked for such a host", err);
    }
    if (k->step == GREET && p->kind == AR_PROXY_HTTP) {
        ask_http(p, s, host_port);
        k->step = HEAD;
    } else if (k->step == GREET) {
        ask_socks(p, s, GREET, host_port);
        k->step = METHOD;
    }
    enum ar_poll is = ar_stream_peek(s, &in, NULL);
    if (is == AR_ENDED || is == AR_FAILED) {
        return refuse(p, "closed the connection", err);
    }
    if (is == AR_READY) {
        is = k->step == HEAD ? read_head(p, s, in, err) : read_socks(k, p, s, host_port, err);
    }
    if (is == AR_PENDING && ar_stream_is_dead(s)) {
        return refuse(p, "closed the connection", err);
    }
    return is;
}
