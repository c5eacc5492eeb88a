/* Idle upstream connections of one worker, by origin.
 *
 * Reuse is last in, first out: the newest connection is the least likely to have been closed by the
 * peer, and what is not needed ages out. An idle connection is watched: bytes, a FIN or a reset
 * while nobody asked anything close it at once. One timer closes what is too old; it is set for the
 * oldest and looks again when it fires. The pool owns idle streams and one reference of each
 * origin's TLS settings; origins nobody uses are dropped when there are many. The system's trusted
 * certificates are read once for all origins: that takes 50 ms, in which a worker does nothing
 * else, and hosts of media are anybody's to name. */
#include "http/pool.h"

#include "base/rand.h"

#include <stdlib.h>

enum { KEEP_IDLE_OBJECTS = 64, KEEP_ORIGINS = 256 };

struct idle {
    struct ar_node node; /* in its origin, or in the free list */
    struct ar_node aged; /* in the pool */
    struct ar_pool *pool;
    struct ar_pool_origin *at;
    struct ar_stream *stream;
    struct ar_waker waker;
    int64_t since_ms;
};

static void fire(struct ar_timer *t);

struct ar_pool *ar_pool_new(struct ar_loop *l, const struct ar_pool_limits *limits)
{
    struct ar_pool *p = calloc(1, sizeof(*p));
    AR_ASSERT(p != NULL);
    uint64_t seed = 0;
    ar_random_bytes(&seed, sizeof(seed));
    p->loop = l;
    p->limits = *limits;
    p->timer = (struct ar_timer){.fire = fire, .at_ms = AR_NEVER};
    ar_map_init(&p->by_key, seed);
    ar_list_init(&p->origins);
    ar_list_init(&p->idle);
    ar_list_init(&p->free_idle);
    ar_list_init(&p->free_exchanges);
    ar_head_cache_init(&p->heads);
    ar_buf_init(&p->scratch, 1 << 20);
    return p;
}

/* Forgets an idle connection; its stream is the caller's. */
static struct ar_stream *unlink_idle(struct idle *i)
{
    struct ar_pool *p = i->pool;
    struct ar_stream *s = i->stream;
    ar_list_remove(&i->node);
    ar_list_remove(&i->aged);
    i->at->idle_count--;
    i->stream = NULL;
    if (p->free_idle_count < KEEP_IDLE_OBJECTS) {
        ar_list_prepend(&p->free_idle, &i->node);
        p->free_idle_count++;
    } else {
        free(i);
    }
    return s;
}

static void free_origin(struct ar_pool *p, struct ar_pool_origin *at)
{
    union {
        const char *from;
        void *to;
    } key = {.from = at->key.p};
    ar_map_remove(&p->by_key, at->key);
    ar_list_remove(&at->node);
    ar_tls_unref(at->tls);
    p->origin_count--;
    free(key.to);
    free(at);
}

void ar_pool_free(struct ar_pool *p)
{
    if (!p) {
        return;
    }
    ar_timer_clear(p->loop, &p->timer);
    while (!ar_list_is_empty(&p->idle)) {
        ar_stream_close(unlink_idle(AR_HOLDER(p->idle.next, struct idle, aged)));
    }
    while (!ar_list_is_empty(&p->origins)) {
        struct ar_pool_origin *at = AR_HOLDER(p->origins.next, struct ar_pool_origin, node);
        AR_ASSERT(at->users == 0);
        free_origin(p, at);
    }
    while (!ar_list_is_empty(&p->free_idle)) {
        struct idle *i = AR_HOLDER(p->free_idle.next, struct idle, node);
        ar_list_remove(&i->node);
        free(i);
    }
    ar_exchange_free_all(p);
    ar_tls_unref(p->system_tls);
    ar_map_done(&p->by_key);
    ar_head_cache_done(&p->heads);
    ar_buf_done(&p->scratch);
    free(p);
}

/* Origins without a connection and without a user go when there are too many. */
static void prune(struct ar_pool *p)
{
    for (struct ar_node *n = p->origins.next, *next; n != &p->origins; n = next) {
        struct ar_pool_origin *at = AR_HOLDER(n, struct ar_pool_origin, node);
        next = n->next;
        if (at->users == 0 && at->idle_count == 0) {
            free_origin(p, at);
        }
    }
}

static struct ar_str make_key(struct ar_pool *p, const struct ar_origin *o)
{
    struct ar_buf *b = &p->scratch;
    char fixed[4] = {(char)(o->tls | o->insecure << 1 | o->public_only << 2), (char)(o->port >> 8),
                     (char)o->port, 0};
    ar_buf_clear(b);
    ar_buf_put(b, fixed, sizeof(fixed));
    ar_buf_str(b, o->host);
    ar_buf_char(b, 0);
    ar_buf_str(b, o->proxy);
    ar_buf_char(b, 0);
    ar_buf_str(b, o->ca_file);
    return ar_buf_view(b);
}

struct ar_pool_origin *ar_pool_enter(struct ar_pool *p, const struct ar_origin *o)
{
    struct ar_str key = make_key(p, o);
    struct ar_pool_origin *at = ar_map_get(&p->by_key, key);
    if (!at) {
        if (p->origin_count >= KEEP_ORIGINS) {
            prune(p);
        }
        char *copy = malloc(key.n);
        at = calloc(1, sizeof(*at));
        AR_ASSERT(at && copy);
        memcpy(copy, key.p, key.n);
        at->key = ar_str_n(copy, key.n);
        ar_list_init(&at->idle);
        ar_list_append(&p->origins, &at->node);
        ar_map_put(&p->by_key, at->key, at);
        p->origin_count++;
    }
    at->users++;
    return at;
}

void ar_pool_leave(struct ar_pool *p, struct ar_pool_origin *at)
{
    (void)p;
    at->users--;
}

struct ar_tls *ar_pool_tls(struct ar_pool *p, struct ar_pool_origin *at, const struct ar_origin *o,
                           struct ar_err *err)
{
    if (!at->tls && o->ca_file.n == 0 && !o->insecure) {
        p->system_tls = p->system_tls ? p->system_tls : ar_tls_client(NULL, false, err);
        at->tls = p->system_tls ? ar_tls_ref(p->system_tls) : NULL;
    } else if (!at->tls) {
        char *file = o->ca_file.n > 0 ? strndup(o->ca_file.p, o->ca_file.n) : NULL;
        at->tls = ar_tls_client(file, o->insecure, err);
        free(file);
    }
    return at->tls;
}

struct ar_stream *ar_pool_take(struct ar_pool *p, struct ar_pool_origin *at)
{
    (void)p;
    while (!ar_list_is_empty(&at->idle)) {
        struct ar_stream *s = unlink_idle(AR_HOLDER(at->idle.next, struct idle, node));
        struct ar_str in;
        if (!ar_stream_is_dead(s) && ar_stream_peek(s, &in, NULL) == AR_PENDING) {
            return s;
        }
        ar_stream_close(s);
    }
    return NULL;
}

/* Nothing may come on an idle connection: a FIN, a reset, or bytes that nobody asked for. */
static void wake_idle(struct ar_waker *w)
{
    struct idle *i = AR_HOLDER(w, struct idle, waker);
    struct ar_str in;
    if (ar_stream_is_dead(i->stream) || ar_stream_peek(i->stream, &in, NULL) != AR_PENDING) {
        ar_stream_close(unlink_idle(i));
    }
}

void ar_pool_put(struct ar_pool *p, struct ar_pool_origin *at, struct ar_stream *s)
{
    if (p->limits.idle_per_origin == 0) {
        ar_stream_close(s);
        return;
    }
    if (at->idle_count >= p->limits.idle_per_origin) {
        ar_stream_close(unlink_idle(AR_HOLDER(at->idle.prev, struct idle, node)));
    }
    struct idle *i;
    if (p->free_idle_count > 0) {
        i = AR_HOLDER(p->free_idle.next, struct idle, node);
        ar_list_remove(&i->node);
        p->free_idle_count--;
    } else {
        i = calloc(1, sizeof(*i));
        AR_ASSERT(i != NULL);
    }
    *i = (struct idle){.pool = p,
                       .at = at,
                       .stream = s,
                       .waker = {wake_idle},
                       .since_ms = ar_loop_now_ms(p->loop)};
    ar_list_prepend(&at->idle, &i->node);
    ar_list_append(&p->idle, &i->aged);
    at->idle_count++;
    ar_stream_set_waker(s, &i->waker);
    if (p->timer.slot == 0) {
        ar_timer_set(p->loop, &p->timer, i->since_ms + p->limits.idle_ms);
    }
}

static void fire(struct ar_timer *t)
{
    struct ar_pool *p = AR_HOLDER(t, struct ar_pool, timer);
    int64_t now = ar_loop_now_ms(p->loop);
    while (!ar_list_is_empty(&p->idle)) {
        struct idle *i = AR_HOLDER(p->idle.next, struct idle, aged);
        if (i->since_ms + p->limits.idle_ms > now) {
            ar_timer_set(p->loop, &p->timer, i->since_ms + p->limits.idle_ms);
            return;
        }
        ar_stream_close(unlink_idle(i));
    }
}
