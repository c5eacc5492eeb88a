/*
 * Names to addresses: getaddrinfo on libuv's pool, one look-up at a time for a name and family,
 * kept 30 seconds. Older answers, up to ten minutes, are served at once while a new look-up runs,
 * and stay when it fails. Each loop has its own cache: no lock.
 *
 * Owns the entries; a look-up that runs keeps its entry. Queries belong to who asks and leave by
 * ar_dns_cancel: a dial never waits for the pool. Literal addresses and localhost never get here
 * (eyeballs.c).
 */
#include "io/impl.h"

#include "base/map.h"
#include "base/rand.h"

#include <stdlib.h>

enum { FRESH_MS = 30000, STALE_MS = 600000, ADDRS_MAX = 8, NAMES_MAX = 1024 };

struct entry {
    struct ar_dns *dns;
    struct ar_node node; /* in dns->entries, newest use last */
    uv_getaddrinfo_t req;
    struct ar_node queries;
    bool busy;
    int family;
    int64_t at_ms; /* when addrs came; 0: never */
    unsigned n;
    union ar_addr addrs[ADDRS_MAX];
    size_t key_n;
    char key[]; /* family, name, NUL */
};
struct ar_dns {
    struct ar_loop *loop;
    struct ar_map map;
    struct ar_node entries;
    unsigned n;
    bool leaving;
};

static struct ar_dns *dns_of(struct ar_loop *l)
{
    if (!l->dns) {
        uint64_t seed;
        ar_random_bytes(&seed, sizeof seed);
        l->dns = ar_io_alloc(sizeof *l->dns);
        l->dns->loop = l;
        ar_map_init(&l->dns->map, seed);
        ar_list_init(&l->dns->entries);
    }
    return l->dns;
}

static void drop(struct entry *e)
{
    (void)ar_map_remove(&e->dns->map, ar_str_n(e->key, e->key_n));
    ar_list_remove(&e->node);
    e->dns->n--;
    free(e);
}

/* The longest unused name that nobody looks up goes. */
static void evict(struct ar_dns *d)
{
    for (struct ar_node *n = d->entries.next; n != &d->entries; n = n->next) {
        struct entry *e = AR_HOLDER(n, struct entry, node);
        if (!e->busy) {
            drop(e);
            return;
        }
    }
}

static struct entry *entry_of(struct ar_dns *d, struct ar_str host, int family)
{
    char key[260];
    key[0] = family == AF_INET6 ? '6' : '4';
    memcpy(key + 1, host.p, host.n);
    struct ar_str k = {key, host.n + 1};
    struct entry *e = ar_map_get(&d->map, k);
    if (!e) {
        if (d->n >= NAMES_MAX) {
            evict(d);
        }
        e = ar_io_alloc(sizeof *e + k.n + 1);
        e->dns = d;
        e->family = family;
        e->key_n = k.n;
        memcpy(e->key, key, k.n);
        ar_list_init(&e->queries);
        ar_map_put(&d->map, ar_str_n(e->key, k.n), e);
        d->n++;
    } else {
        ar_list_remove(&e->node);
    }
    ar_list_append(&d->entries, &e->node);
    return e;
}

static void keep(struct entry *e, const struct addrinfo *list)
{
    e->n = 0;
    for (; list && e->n < ADDRS_MAX; list = list->ai_next) {
        if (list->ai_family == e->family && list->ai_addrlen <= sizeof e->addrs[0]) {
            memcpy(&e->addrs[e->n++], list->ai_addr, list->ai_addrlen);
        }
    }
    e->at_ms = e->n > 0 ? ar_loop_now_ms(e->dns->loop) : 0;
}

static void on_found(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct entry *e = req->data;
    e->busy = false;
    if (status == 0) {
        keep(e, list);
        status = e->n > 0 ? 0 : UV_EAI_NONAME;
    } else if (ar_loop_now_ms(e->dns->loop) - e->at_ms >= STALE_MS) {
        e->n = 0;
    }
    uv_freeaddrinfo(list);
    while (!ar_list_is_empty(&e->queries)) {
        struct ar_dns_query *q = AR_HOLDER(e->queries.next, struct ar_dns_query, node);
        ar_list_remove(&q->node);
        q->done(q, status, e->addrs, status == 0 ? e->n : 0);
    }
    if (e->n == 0 || e->dns->leaving) {
        struct ar_dns *d = e->dns;
        if (!e->busy && ar_list_is_empty(&e->queries)) {
            drop(e);
        }
        if (d->leaving && d->n == 0) {
            ar_map_done(&d->map);
            free(d);
        }
    }
}

static void look_up(struct entry *e)
{
    struct addrinfo hints;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = e->family;
    hints.ai_socktype = SOCK_STREAM;
    e->req.data = e;
    e->busy = true;
    int status = uv_getaddrinfo(&e->dns->loop->uv, &e->req, on_found, e->key + 1, NULL, &hints);
    AR_ASSERT(status != UV_EINVAL);
    if (status != 0) { /* a name that cannot be one (too long for IDNA): told on the next turn */
        e->busy = false;
        e->n = 0;
    }
}

bool ar_dns_ask(struct ar_loop *l, struct ar_str host, int family, struct ar_dns_query *q,
                union ar_addr *ret, unsigned *io_n)
{
    if (host.n == 0 || host.n > 253) {
        *io_n = 0;
        return true;
    }
    struct entry *e = entry_of(dns_of(l), host, family);
    int64_t age_ms = ar_loop_now_ms(l) - e->at_ms;
    bool usable = e->n > 0 && age_ms < STALE_MS;
    if (!e->busy && (!usable || age_ms >= FRESH_MS)) {
        look_up(e);
    }
    if (usable || !e->busy) {
        *io_n = e->n < *io_n ? e->n : *io_n;
        memcpy(ret, e->addrs, *io_n * sizeof *ret);
        return true;
    }
    ar_list_append(&e->queries, &q->node);
    return false;
}

void ar_dns_cancel(struct ar_dns_query *q)
{
    ar_list_remove(&q->node);
}

void ar_dns_free(struct ar_dns *d)
{
    if (!d) {
        return;
    }
    d->leaving = true;
    for (struct ar_node *n = d->entries.next, *next; n != &d->entries; n = next) {
        next = n->next;
        struct entry *e = AR_HOLDER(n, struct entry, node);
        if (e->busy) {
            (void)uv_cancel((uv_req_t *)&e->req); /* if it runs already, the loop's end waits */
        } else {
            drop(e);
        }
    }
    if (d->n == 0) {
        ar_map_done(&d->map);
        free(d);
    }
}
