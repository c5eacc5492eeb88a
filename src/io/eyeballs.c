/*
 * Happy eyeballs (RFC 8305): both families are looked up at once; connects start with IPv6,
 * families alternate, a new one starts every 250 ms or when one fails; the first that stands wins
 * and the others are closed. When only the IPv4 answer is there, IPv6 gets 50 ms more (section 3).
 * Addresses that are not public are passed over where the owner wants so: what is checked is the
 * very address that is connected to, so no second look-up can change it.
 *
 * Owns the connects under way. Never outlives its owner's drop; a look-up that still runs then is
 * the cache's.
 */
#include "io/impl.h"

#include <stdio.h>
#include <stdlib.h>

enum { STAGGER_MS = 250, V6_GRACE_MS = 50, FAMILY_MAX = 8, TRIES_MAX = 2 * FAMILY_MAX };

struct family {
    struct ar_eyeballs *e;
    struct ar_dns_query query;
    bool asked, answered;
    int status;
    unsigned n, used;
    union ar_addr addrs[FAMILY_MAX];
};
struct ar_eyeballs {
    struct ar_loop *loop;
    void (*done)(void *user, struct ar_tcp *t, const struct ar_err *err);
    void *user;
    struct family v6, v4;
    struct ar_tcp *tries[TRIES_MAX]; /* NULL: over */
    unsigned tried, live;
    bool last_was_v6, graced, public_only, passed_over;
    int last_status;
    uint16_t port;
    struct ar_timer timer;
    struct ar_job job;
    char host[256];
};

static void advance(struct ar_eyeballs *e);

static void leave(struct ar_eyeballs *e)
{
    ar_timer_clear(e->loop, &e->timer);
    ar_job_cancel(&e->job);
    ar_dns_cancel(&e->v6.query);
    ar_dns_cancel(&e->v4.query);
    for (unsigned i = 0; i < e->tried; i++) {
        if (e->tries[i]) {
            ar_tcp_drop(e->tries[i]);
        }
    }
    free(e);
}

/* The only two ways out besides drop. */
static void finish(struct ar_eyeballs *e, struct ar_tcp *t, const struct ar_err *err)
{
    void (*done)(void *user, struct ar_tcp *t, const struct ar_err *err) = e->done;
    void *user = e->user;
    leave(e);
    done(user, t, err);
}

static void give_up(struct ar_eyeballs *e)
{
    struct ar_err err = {0};
    bool unknown = e->tried == 0;
    char text[80];
    if (unknown && e->passed_over) {
        (void)ar_fail(&err, AR_INVALID_REQUEST, "%.80s: the address is not public", e->host);
        finish(e, NULL, &err);
        return;
    }
    err.sys = unknown ? (e->v4.status ? e->v4.status : e->v6.status) : e->last_status;
    (void)uv_strerror_r(err.sys ? err.sys : UV_EAI_NONAME, text, sizeof text);
    if (unknown) {
        (void)ar_fail(&err, AR_UPSTREAM_DNS, "cannot resolve %.80s: %s", e->host, text);
    } else {
        (void)ar_fail(&err, AR_UPSTREAM_CONNECT, "%.80s port %u: %s", e->host, e->port, text);
    }
    finish(e, NULL, &err);
}

static void on_connect(void *user, struct ar_tcp *t, int status)
{
    struct ar_eyeballs *e = user;
    for (unsigned i = 0; i < e->tried; i++) {
        if (e->tries[i] == t) {
            e->tries[i] = NULL;
        }
    }
    e->live--;
    if (status == 0) {
        finish(e, t, NULL);
        return;
    }
    e->last_status = status;
    ar_tcp_drop(t);
    ar_timer_clear(e->loop, &e->timer); /* the next one starts now */
    advance(e);
}

/* An address is left that may be tried: the first of the unused. */
static bool has_more(struct family *f)
{
    while (f->used < f->n && f->e->public_only && !ar_addr_is_public(&f->addrs[f->used])) {
        f->used++;
        f->e->passed_over = true;
    }
    return f->used < f->n;
}

static void try_next(struct ar_eyeballs *e)
{
    bool v6 = has_more(&e->v6) && !(e->last_was_v6 && has_more(&e->v4));
    struct family *f = v6 ? &e->v6 : &e->v4;
    union ar_addr a = f->addrs[f->used++];
    if (a.any.sa_family == AF_INET6) {
        a.v6.sin6_port = htons(e->port);
    } else {
        a.v4.sin_port = htons(e->port);
    }
    e->last_was_v6 = v6;
    e->live++;
    e->tries[e->tried++] = ar_tcp_connect(e->loop, &a, on_connect, e);
    ar_timer_set(e->loop, &e->timer, ar_loop_now_ms(e->loop) + STAGGER_MS);
}

/* Starts what may start now. */
static void advance(struct ar_eyeballs *e)
{
    bool looking = (e->v6.asked && !e->v6.answered) || (e->v4.asked && !e->v4.answered);
    if (e->timer.slot != 0) {
        return;
    }
    if (has_more(&e->v6) || has_more(&e->v4)) {
        if (e->tried == 0 && !has_more(&e->v6) && looking && !e->graced) {
            e->graced = true;
            ar_timer_set(e->loop, &e->timer, ar_loop_now_ms(e->loop) + V6_GRACE_MS);
            return;
        }
        try_next(e);
    } else if (e->live == 0 && !looking) {
        give_up(e);
    }
}

static void on_timer(struct ar_timer *t)
{
    advance(AR_HOLDER(t, struct ar_eyeballs, timer));
}

static void on_job(struct ar_job *j)
{
    advance(AR_HOLDER(j, struct ar_eyeballs, job));
}

static void on_names(struct ar_dns_query *q, int status, const union ar_addr *addrs, unsigned n)
{
    struct family *f = AR_HOLDER(q, struct family, query);
    f->answered = true;
    f->status = status;
    f->n = n < FAMILY_MAX ? n : FAMILY_MAX;
    if (f->n > 0) {
        memcpy(f->addrs, addrs, f->n * sizeof *addrs);
    }
    if (f->e->tried == 0 && f == &f->e->v6) {
        ar_timer_clear(f->e->loop, &f->e->timer); /* the grace is over */
    }
    advance(f->e);
}

static void ask(struct ar_eyeballs *e, struct family *f, int family)
{
    f->asked = true;
    f->query.done = on_names;
    f->n = FAMILY_MAX;
    f->answered = ar_dns_ask(e->loop, ar_str_of(e->host), family, &f->query, f->addrs, &f->n);
    if (!f->answered) {
        f->n = 0;
    }
}

/* RFC 6761 6.3: these never leave the machine. */
static bool is_local(struct ar_str host)
{
    struct ar_str tail = ar_str_from(host, host.n > 10 ? host.n - 10 : 0);
    return ar_str_is_nocase(host, AR_LIT("localhost")) ||
           ar_str_is_nocase(tail, AR_LIT(".localhost"));
}

struct ar_eyeballs *
ar_eyeballs_start(struct ar_loop *l, const struct ar_eyeballs_to *to,
                  void (*done)(void *user, struct ar_tcp *t, const struct ar_err *err), void *user)
{
    struct ar_eyeballs *e = ar_io_alloc(sizeof *e);
    struct ar_str host = to->host;
    uint16_t port = to->port;
    union ar_addr a;
    e->loop = l;
    e->done = done;
    e->user = user;
    e->port = port;
    e->public_only = to->public_only;
    e->timer.fire = on_timer;
    e->job.run = on_job;
    e->v6.e = e->v4.e = e;
    (void)snprintf(e->host, sizeof e->host, "%.*s", AR_FMT(ar_str_head(host, 255)));
    if (ar_addr_parse(host, port, &a)) {
        struct family *f = a.any.sa_family == AF_INET6 ? &e->v6 : &e->v4;
        f->addrs[f->n++] = a;
    } else if (is_local(host)) {
        (void)ar_addr_parse(AR_LIT("127.0.0.1"), port, &e->v4.addrs[e->v4.n++]);
        (void)ar_addr_parse(AR_LIT("::1"), port, &e->v6.addrs[e->v6.n++]);
        e->last_was_v6 = true; /* IPv4 first: what listens locally mostly does so there */
    } else {
        ask(e, &e->v6, AF_INET6);
        ask(e, &e->v4, AF_INET);
    }
    ar_loop_queue(l, &e->job);
    return e;
}

void ar_eyeballs_drop(struct ar_eyeballs *e)
{
    if (e) {
        leave(e);
    }
}
