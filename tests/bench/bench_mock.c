/*
 * A cheap upstream for benchmarks: answers fixed bytes by path, so that what is measured is the
 * proxy in front of it.
 *
 *   bench_mock --dir D [--port N] [--tls-port N --cert F --key F] [--tick-us N]
 *
 * D holds, for each of the names `chat`, `messages`, `responses` and `gemini`, NAME.json (the whole
 * answer) and NAME.sse (the streamed one). A request's path says which; it gets the stream when its
 * body says "stream":true or its path says streamGenerateContent. The frames of a stream (parted by
 * an empty line) are sent as one HTTP chunk and one write each, a tick apart; all streams wait in
 * one queue, which the constant tick keeps in order.
 *
 * One thread, epoll, level-triggered. A connection owns its buffers; answers are built once and
 * live until the end. It never checks what it is asked beyond the path and that word. Prints "ready
 * PORT TLSPORT" when it listens.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FRAMES = 4096, IN_START = 8192, IN_MAX = 4 << 20, EVENTS = 256 };

struct bytes {
    char *p;
    size_t n;
};

struct answer {
    struct bytes whole;              /* head and body */
    struct bytes head;               /* of the stream */
    struct bytes frames[MAX_FRAMES]; /* each an HTTP chunk, the last one ends the body */
    size_t frame_count;
};

struct conn {
    int fd;
    SSL *ssl; /* NULL: plain */
    bool handshaken;
    char *in;
    size_t in_len, in_cap;
    char *out; /* what a write could not take */
    size_t out_len, out_off, out_cap;
    bool wants_out;
    const struct answer *streaming; /* NULL: no stream under way */
    size_t frame;
    int64_t due_us;
    struct conn *next_due;
    bool dead;
};

struct listener {
    int fd;
    SSL_CTX *tls;
};

/* What a request's path tells; the last part of Gemini's is one of two verbs. */
static const struct {
    const char *name, *path;
} dialects[] = {{"chat", "/chat/completions"},
                {"messages", "/messages"},
                {"responses", "/responses"},
                {"gemini", "enerateContent"}};
enum { DIALECTS = sizeof dialects / sizeof *dialects };

struct server {
    int ep;
    int64_t tick_us;
    struct answer answers[DIALECTS];
    struct conn *due_head, *due_tail;
    struct listener plain, secure;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_mock: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void *must_alloc(void *old, size_t n)
{
    void *p = realloc(old, n);
    if (!p)
        die("memory");
    return p;
}

static struct bytes read_file(const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        die(path);
    struct bytes b = {0};
    size_t got;
    do {
        b.p = must_alloc(b.p, b.n + 65536);
        got = fread(b.p + b.n, 1, 65536, f);
        b.n += got;
    } while (got > 0);
    fclose(f);
    return b;
}

static struct bytes join(const char *head, const char *body, size_t n, const char *tail)
{
    size_t h = strlen(head), t = strlen(tail);
    struct bytes b = {must_alloc(NULL, h + n + t + 1), h + n + t};
    memcpy(b.p, head, h);
    memcpy(b.p + h, body, n);
    memcpy(b.p + h + n, tail, t + 1);
    return b;
}

static void load_answer(struct answer *a, const char *dir, const char *name)
{
    char file[64], head[256];
    snprintf(file, sizeof file, "%s.json", name);
    struct bytes json = read_file(dir, file);
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n",
             json.n);
    a->whole = join(head, json.p, json.n, "");
    free(json.p);
    a->head = join("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                   "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n",
                   "", 0, "");
    snprintf(file, sizeof file, "%s.sse", name);
    struct bytes sse = read_file(dir, file);
    size_t at = 0;
    while (at < sse.n) {
        const char *end = memmem(sse.p + at, sse.n - at, "\n\n", 2);
        size_t n = end ? (size_t)(end + 2 - (sse.p + at)) : sse.n - at;
        bool last = at + n >= sse.n;
        if (a->frame_count == MAX_FRAMES) {
            fprintf(stderr, "bench_mock: %s has too many frames\n", file);
            exit(1);
        }
        snprintf(head, sizeof head, "%zx\r\n", n);
        a->frames[a->frame_count++] = join(head, sse.p + at, n, last ? "\r\n0\r\n\r\n" : "\r\n");
        at += n;
    }
    free(sse.p);
}

/* ---- connections */

static void watch(struct server *s, struct conn *c, bool out)
{
    struct epoll_event e = {.events = EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0U), .data.ptr = c};
    if (epoll_ctl(s->ep, EPOLL_CTL_MOD, c->fd, &e) < 0)
        die("epoll_ctl");
    c->wants_out = out;
}

static ssize_t raw_write(struct conn *c, const char *p, size_t n)
{
    if (!c->ssl)
        return send(c->fd, p, n, MSG_NOSIGNAL);
    int got = SSL_write(c->ssl, p, (int)n);
    if (got > 0)
        return got;
    int why = SSL_get_error(c->ssl, got);
    errno = why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? EAGAIN : EPIPE;
    return -1;
}

static ssize_t raw_read(struct conn *c, char *p, size_t n)
{
    if (!c->ssl)
        return recv(c->fd, p, n, 0);
    int got = SSL_read(c->ssl, p, (int)n);
    if (got > 0)
        return got;
    int why = SSL_get_error(c->ssl, got);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    return 0;
}

static void send_bytes(struct server *s, struct conn *c, const char *p, size_t n)
{
    size_t sent = 0;
    if (c->out_len == c->out_off) {
        ssize_t got = raw_write(c, p, n);
        if (got < 0 && errno != EAGAIN) {
            c->dead = true;
            return;
        }
        sent = got > 0 ? (size_t)got : 0;
    }
    if (sent == n)
        return;
    if (c->out_off == c->out_len)
        c->out_off = c->out_len = 0;
    size_t left = n - sent;
    if (c->out_len + left > c->out_cap) {
        c->out_cap = c->out_len + left;
        c->out = must_alloc(c->out, c->out_cap);
    }
    memcpy(c->out + c->out_len, p + sent, left);
    c->out_len += left;
    if (!c->wants_out)
        watch(s, c, true);
}

static void flush_out(struct server *s, struct conn *c)
{
    while (c->out_off < c->out_len) {
        ssize_t n = raw_write(c, c->out + c->out_off, c->out_len - c->out_off);
        if (n < 0) {
            c->dead = errno != EAGAIN;
            return;
        }
        c->out_off += (size_t)n;
    }
    watch(s, c, false);
}

static void queue_due(struct server *s, struct conn *c, int64_t now)
{
    c->due_us = now + s->tick_us;
    c->next_due = NULL;
    if (s->due_tail)
        s->due_tail->next_due = c;
    else
        s->due_head = c;
    s->due_tail = c;
}

static void close_conn(struct conn *c)
{
    if (c->ssl)
        SSL_free(c->ssl);
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

static bool says_stream(const char *p, size_t n)
{
    const char *end = p + n;
    for (;;) {
        const char *at = memmem(p, (size_t)(end - p), "\"stream\"", 8);
        if (!at)
            return false;
        for (at += 8; at < end && (*at == ' ' || *at == ':'); at++)
            ;
        if (end - at >= 4 && memcmp(at, "true", 4) == 0)
            return true;
        p = at;
    }
}

static const char not_found[] =
    "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}";

static void answer_request(struct server *s, struct conn *c, const char *body, size_t body_len)
{
    const char *eol = memchr(c->in, '\r', c->in_len);
    size_t line = (size_t)(eol - c->in);
    const struct answer *a = NULL;
    for (int i = 0; i < DIALECTS && !a; i++)
        if (memmem(c->in, line, dialects[i].path, strlen(dialects[i].path)))
            a = &s->answers[i];
    if (!a) {
        send_bytes(s, c, not_found, sizeof not_found - 1);
    } else if (memmem(c->in, line, ":streamGenerateContent", 22) || says_stream(body, body_len)) {
        send_bytes(s, c, a->head.p, a->head.n);
        c->streaming = a;
        c->frame = 0;
        queue_due(s, c, now_us());
    } else {
        send_bytes(s, c, a->whole.p, a->whole.n);
    }
}

/* Takes whole requests out of c->in; one at a time while a stream is under way. */
static void take_requests(struct server *s, struct conn *c)
{
    while (!c->dead && !c->streaming && c->in_len > 0) {
        char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
        if (!end)
            return;
        size_t head = (size_t)(end + 4 - c->in), length = 0;
        *end = 0;
        const char *field = strcasestr(c->in, "content-length:");
        if (field)
            length = strtoul(field + 15, NULL, 10);
        *end = '\r';
        if (length > IN_MAX) {
            c->dead = true;
            return;
        }
        if (c->in_len < head + length)
            return;
        answer_request(s, c, c->in + head, length);
        c->in_len -= head + length;
        memmove(c->in, c->in + head + length, c->in_len);
    }
}

static void read_conn(struct server *s, struct conn *c)
{
    if (c->ssl && !c->handshaken) {
        int r = SSL_accept(c->ssl);
        if (r != 1) {
            int why = SSL_get_error(c->ssl, r);
            c->dead = why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
            return;
        }
        c->handshaken = true;
    }
    for (;;) {
        if (c->in_cap - c->in_len < IN_START) {
            c->in_cap = c->in_cap ? c->in_cap * 2 : IN_START * 2;
            if (c->in_cap > 2U * IN_MAX) {
                c->dead = true;
                return;
            }
            c->in = must_alloc(c->in, c->in_cap);
        }
        ssize_t n = raw_read(c, c->in + c->in_len, c->in_cap - c->in_len);
        if (n <= 0) {
            c->dead = n == 0 || errno != EAGAIN;
            break;
        }
        c->in_len += (size_t)n;
        if (!c->ssl && c->in_len < c->in_cap)
            break;
    }
    if (!c->dead)
        take_requests(s, c);
}

static void accept_all(struct server *s, const struct listener *l)
{
    int fd;
    while ((fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct conn *c = calloc(1, sizeof *c);
        if (!c)
            die("memory");
        c->fd = fd;
        if (l->tls) {
            c->ssl = SSL_new(l->tls);
            SSL_set_fd(c->ssl, fd);
        }
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(s->ep, EPOLL_CTL_ADD, fd, &e) < 0)
            die("epoll_ctl");
    }
}

/* Sends the frames that are due; gives the milliseconds until the next one, or -1. */
static int run_due(struct server *s)
{
    int64_t now = now_us();
    while (s->due_head && s->due_head->due_us <= now) {
        struct conn *c = s->due_head;
        s->due_head = c->next_due;
        if (!s->due_head)
            s->due_tail = NULL;
        if (c->dead) {
            close_conn(c);
            continue;
        }
        const struct answer *a = c->streaming;
        const struct bytes *f = &a->frames[c->frame++];
        send_bytes(s, c, f->p, f->n);
        if (c->frame < a->frame_count) {
            queue_due(s, c, now);
            continue;
        }
        c->streaming = NULL;
        take_requests(s, c);
        if (c->dead && !c->streaming)
            close_conn(c);
    }
    if (!s->due_head)
        return -1;
    int64_t wait = s->due_head->due_us - now_us();
    return wait <= 0 ? 0 : (int)((wait + 999) / 1000);
}

static void serve(struct server *s)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(s->ep, events, EVENTS, run_due(s));
        for (int i = 0; i < n; i++) {
            void *p = events[i].data.ptr;
            if (p == &s->plain || p == &s->secure) {
                accept_all(s, p);
                continue;
            }
            struct conn *c = p;
            if (events[i].events & EPOLLOUT)
                flush_out(s, c);
            if (!c->dead && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                read_conn(s, c);
            if (!c->dead)
                continue;
            if (c->streaming)
                epoll_ctl(s->ep, EPOLL_CTL_DEL, c->fd, NULL); /* run_due frees it */
            else
                close_conn(c);
        }
    }
}

static int listen_on(struct server *s, struct listener *l, int port)
{
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof a;
    if (bind(l->fd, (struct sockaddr *)&a, n) < 0 || listen(l->fd, 4096) < 0)
        die("listen");
    getsockname(l->fd, (struct sockaddr *)&a, &n);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = l};
    if (epoll_ctl(s->ep, EPOLL_CTL_ADD, l->fd, &e) < 0)
        die("epoll_ctl");
    return ntohs(a.sin_port);
}

static SSL_CTX *tls_context(const char *cert, const char *key)
{
    SSL_CTX *x = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(x, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!x || SSL_CTX_use_certificate_chain_file(x, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(x, key, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    return x;
}

int main(int argc, char **argv)
{
    static struct server s;
    const char *dir = NULL, *cert = NULL, *key = NULL;
    int port = 0, tls_port = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--dir") == 0)
            dir = value;
        else if (strcmp(name, "--port") == 0)
            port = (int)strtol(value, NULL, 10);
        else if (strcmp(name, "--tls-port") == 0)
            tls_port = (int)strtol(value, NULL, 10);
        else if (strcmp(name, "--cert") == 0)
            cert = value;
        else if (strcmp(name, "--key") == 0)
            key = value;
        else if (strcmp(name, "--tick-us") == 0)
            s.tick_us = strtol(value, NULL, 10);
        else
            dir = NULL, i = argc;
    }
    if (!dir) {
        fprintf(
            stderr,
            "usage: bench_mock --dir D [--port N] [--tls-port N --cert F --key F] [--tick-us N]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 0; i < DIALECTS; i++)
        load_answer(&s.answers[i], dir, dialects[i].name);
    s.ep = epoll_create1(EPOLL_CLOEXEC);
    port = listen_on(&s, &s.plain, port);
    if (cert && key) {
        s.secure.tls = tls_context(cert, key);
        tls_port = listen_on(&s, &s.secure, tls_port);
    }
    printf("ready %d %d\n", port, tls_port);
    fflush(stdout);
    serve(&s);
}
