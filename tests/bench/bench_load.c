/*
 * A load generator for benchmarks: keep-alive connections that send one fixed request again and
 * again and check each answer.
 *
 *   bench_load --port N --request F --marker TEXT [--connections 64] [--requests N | --seconds S]
 * [--min-body N]
 *              [--ramp-us N] [--hold 1]
 *
 * An answer counts only when its status is 200, its framing (content-length or chunked) is
 * complete, its body has at least
 * --min-body bytes and the last TAIL bytes hold the marker: a benchmark of errors is impossible.
 * With --hold each connection sends one request and the program ends when all answers are complete;
 * --ramp-us parts the starts. A connection that the server closed between answers is opened again
 * and counted in `reconnects`.
 *
 * One thread, epoll, level-triggered. Prints one line of JSON; exit code 1 if any answer was wrong.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
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

enum { TAIL = 4096, HEAD_MAX = 8192, EVENTS = 256 };
enum phase { HEAD, BODY_LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };

struct conn {
    int fd;
    bool busy, out;
    size_t sent;
    enum phase phase;
    char head[HEAD_MAX];
    size_t head_len;
    size_t left, body;
    char line[32];
    size_t line_len;
    char tail[TAIL];
    size_t tail_len;
    int64_t began_us;
};

struct load {
    int ep, port;
    char *request;
    size_t request_len;
    const char *marker;
    size_t min_body;
    long total, started, good, bad, reconnects;
    int64_t until_us;
    bool hold;
    uint64_t bytes;
    uint32_t *latency_us;
    size_t latency_count, latency_cap;
    char why[200];
};

static void die(const char *what)
{
    fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void watch(struct load *l, struct conn *c, int op, bool out)
{
    struct epoll_event e = {.events = EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0U), .data.ptr = c};
    if (epoll_ctl(l->ep, op, c->fd, &e) < 0)
        die("epoll_ctl");
    c->out = out;
}

static void open_conn(struct load *l, struct conn *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)l->port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&a, sizeof a) < 0)
        die("connect");
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(l, c, EPOLL_CTL_ADD, false);
}

static void send_more(struct load *l, struct conn *c)
{
    while (c->sent < l->request_len) {
        ssize_t n = send(c->fd, l->request + c->sent, l->request_len - c->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            if (!c->out)
                watch(l, c, EPOLL_CTL_MOD, true);
            return;
        }
        if (n < 0)
            return; /* the read side reports it */
        c->sent += (size_t)n;
    }
    if (c->out)
        watch(l, c, EPOLL_CTL_MOD, false);
}

static bool may_start(const struct load *l)
{
    return l->until_us ? now_us() < l->until_us : l->started < l->total;
}

static void start_request(struct load *l, struct conn *c)
{
    l->started++;
    c->busy = true;
    c->sent = c->head_len = c->body = c->left = c->line_len = c->tail_len = 0;
    c->phase = HEAD;
    c->began_us = now_us();
    send_more(l, c);
}

static void complain(struct load *l, const struct conn *c, const char *what)
{
    l->bad++;
    if (!l->why[0])
        snprintf(l->why, sizeof l->why, "%s; head: %.60s; tail: %.80s", what,
                 c->head_len ? c->head : "",
                 c->tail_len ? c->tail + (c->tail_len > 80 ? c->tail_len - 80 : 0) : "");
}

static void finish_answer(struct load *l, struct conn *c)
{
    c->busy = false;
    if (strncmp(c->head, "HTTP/1.1 200", 12) != 0)
        complain(l, c, "status");
    else if (c->body < l->min_body)
        complain(l, c, "body too short");
    else if (!memmem(c->tail, c->tail_len, l->marker, strlen(l->marker)))
        complain(l, c, "no marker");
    else
        l->good++;
    if (l->latency_count == l->latency_cap) {
        l->latency_cap = l->latency_cap ? l->latency_cap * 2 : 65536;
        l->latency_us = realloc(l->latency_us, l->latency_cap * sizeof *l->latency_us);
        if (!l->latency_us)
            die("memory");
    }
    l->latency_us[l->latency_count++] = (uint32_t)(now_us() - c->began_us);
    if (!l->hold && may_start(l))
        start_request(l, c);
}

static void keep_tail(struct conn *c, const char *p, size_t n)
{
    c->body += n;
    if (n >= TAIL) {
        memcpy(c->tail, p + n - TAIL, TAIL);
        c->tail_len = TAIL;
        return;
    }
    if (c->tail_len + n > TAIL) {
        size_t drop = c->tail_len + n - TAIL;
        memmove(c->tail, c->tail + drop, c->tail_len - drop);
        c->tail_len -= drop;
    }
    memcpy(c->tail + c->tail_len, p, n);
    c->tail_len += n;
}

/* Adds to a line of the chunked framing; gives true when it is whole (without its end). */
static bool take_line(struct conn *c, char b)
{
    if (b != '\n') {
        if (b != '\r' && c->line_len + 1 < sizeof c->line)
            c->line[c->line_len++] = b;
        return false;
    }
    c->line[c->line_len] = 0;
    return true;
}

static size_t take_head(struct load *l, struct conn *c, const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && c->head_len + 1 < HEAD_MAX) {
        c->head[c->head_len++] = p[i++];
        if (c->head_len < 4 || memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4) != 0)
            continue;
        c->head[c->head_len] = 0;
        const char *length = strcasestr(c->head, "\r\ncontent-length:");
        if (strcasestr(c->head, "\r\ntransfer-encoding: chunked")) {
            c->phase = CHUNK_SIZE;
        } else {
            c->phase = BODY_LENGTH;
            c->left = length ? strtoul(length + 17, NULL, 10) : 0;
            if (c->left == 0)
                finish_answer(l, c);
        }
        break;
    }
    return i;
}

static void take_byte(struct load *l, struct conn *c, char b)
{
    if (!take_line(c, b))
        return;
    bool empty = c->line_len == 0;
    c->line_len = 0;
    if (c->phase == CHUNK_SIZE) {
        c->left = strtoul(c->line, NULL, 16);
        c->phase = c->left ? CHUNK_DATA : TRAILER;
    } else if (c->phase == CHUNK_END) {
        c->phase = CHUNK_SIZE;
    } else if (empty) {
        finish_answer(l, c);
    }
}

static void take(struct load *l, struct conn *c, const char *p, size_t n)
{
    l->bytes += n;
    while (n > 0) {
        if (!c->busy) {
            complain(l, c, "bytes after the answer");
            return;
        }
        size_t used = 1;
        if (c->phase == HEAD) {
            used = take_head(l, c, p, n);
            if (used == 0) {
                complain(l, c, "head too long");
                return;
            }
        } else if (c->phase == BODY_LENGTH || c->phase == CHUNK_DATA) {
            used = n < c->left ? n : c->left;
            keep_tail(c, p, used);
            c->left -= used;
            if (c->left == 0 && c->phase == BODY_LENGTH)
                finish_answer(l, c);
            else if (c->left == 0)
                c->phase = CHUNK_END;
        } else {
            take_byte(l, c, *p);
        }
        p += used;
        n -= used;
    }
}

static void on_close(struct load *l, struct conn *c)
{
    close(c->fd);
    bool again = !l->hold && may_start(l);
    if (c->busy) {
        complain(l, c, "closed in mid answer");
        c->busy = false;
    }
    c->fd = -1;
    if (again) {
        l->reconnects++;
        open_conn(l, c);
        start_request(l, c);
    }
}

static void on_readable(struct load *l, struct conn *c)
{
    static char buf[65536];
    ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n > 0)
        take(l, c, buf, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        on_close(l, c);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(const struct load *l, double q)
{
    if (l->latency_count == 0)
        return 0;
    return l->latency_us[(size_t)(q * (double)(l->latency_count - 1))];
}

static bool any_busy(const struct conn *conns, long n)
{
    for (long i = 0; i < n; i++)
        if (conns[i].busy)
            return true;
    return false;
}

static void run(struct load *l, struct conn *conns, long n, int64_t ramp_us)
{
    struct epoll_event events[EVENTS];
    int64_t begin = now_us();
    for (long next = 0;;) {
        while (next < n && now_us() >= begin + next * ramp_us) {
            open_conn(l, &conns[next]);
            if (l->hold || may_start(l))
                start_request(l, &conns[next]);
            next++;
        }
        if (next == n && !any_busy(conns, n))
            return;
        int got = epoll_wait(l->ep, events, EVENTS, next < n ? 1 : 30000);
        if (got == 0 && next == n) {
            snprintf(l->why, sizeof l->why, "no byte for 30 s");
            l->bad++;
            return;
        }
        for (int i = 0; i < got; i++) {
            struct conn *c = events[i].data.ptr;
            if (c->fd >= 0 && events[i].events & EPOLLOUT)
                send_more(l, c);
            if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                on_readable(l, c);
        }
    }
}

static void read_request(struct load *l, const char *file)
{
    FILE *f = fopen(file, "rb");
    if (!f)
        die(file);
    fseek(f, 0, SEEK_END);
    l->request_len = (size_t)ftell(f);
    rewind(f);
    l->request = malloc(l->request_len);
    if (!l->request || fread(l->request, 1, l->request_len, f) != l->request_len)
        die(file);
    fclose(f);
}

int main(int argc, char **argv)
{
    static struct load l;
    long connections = 64, seconds = 0, ramp_us = 0;
    const char *request = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        long number = strtol(value, NULL, 10);
        if (strcmp(name, "--port") == 0)
            l.port = (int)number;
        else if (strcmp(name, "--request") == 0)
            request = value;
        else if (strcmp(name, "--marker") == 0)
            l.marker = value;
        else if (strcmp(name, "--connections") == 0)
            connections = number;
        else if (strcmp(name, "--requests") == 0)
            l.total = number;
        else if (strcmp(name, "--seconds") == 0)
            seconds = number;
        else if (strcmp(name, "--min-body") == 0)
            l.min_body = (size_t)number;
        else if (strcmp(name, "--ramp-us") == 0)
            ramp_us = number;
        else if (strcmp(name, "--hold") == 0)
            l.hold = number != 0;
    }
    if (!l.port || !request || !l.marker || (!l.total && !seconds && !l.hold)) {
        fprintf(stderr, "usage: see the head of bench_load.c\n");
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    read_request(&l, request);
    l.ep = epoll_create1(EPOLL_CLOEXEC);
    struct conn *conns = calloc((size_t)connections, sizeof *conns);
    if (!conns)
        die("memory");
    int64_t begin = now_us();
    l.until_us = seconds ? begin + seconds * 1000000 : 0;
    run(&l, conns, connections, ramp_us);
    double spent = (double)(now_us() - begin) / 1e6;
    qsort(l.latency_us, l.latency_count, sizeof *l.latency_us, by_size);
    for (char *p = l.why; *p; p++)
        if (*p == '"' || *p == '\\' || (unsigned char)*p < 32)
            *p = ' ';
    printf("{\"good\":%ld,\"bad\":%ld,\"reconnects\":%ld,\"seconds\":%.3f,\"bytes\":%llu,\"p50_"
           "us\":%u,\"p99_us\":%u,"
           "\"why\":\"%s\"}\n",
           l.good, l.bad, l.reconnects, spent, (unsigned long long)l.bytes, percentile(&l, 0.5),
           percentile(&l, 0.99), l.why);
    return l.bad || !l.good ? 1 : 0;
}
