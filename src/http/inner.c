/*
 * Connections without a socket. A flow that was started from inside (a message of a WebSocket, a
 * run without a client) asks and writes as on any other; here its body comes from memory and its
 * answer goes to whoever started it. Owns copies of head and body, so the starter may end first.
 * Never blocks, has no deadline of its own.
 */
#include "http/server.h"

#include "base/arena.h"

#include <stdlib.h>

struct ar_inner {
    struct ar_conn conn;
    struct ar_request_head head;
    struct ar_arena arena;
    struct ar_str body; /* what is left */
    const struct ar_inner_ops *ops;
    void *user;
};

static void copy_head(struct ar_inner *i, const struct ar_request_head *head)
{
    struct ar_arena *a = &i->arena;
    struct ar_header *h = ar_arena_alloc(a, (head->header_count + 1) * sizeof *h);
    for (unsigned k = 0; h && k < head->header_count; k++) {
        h[k].name = ar_arena_copy(a, head->headers[k].name);
        h[k].value = ar_arena_copy(a, head->headers[k].value);
    }
    i->head = *head;
    i->head.headers = h;
    i->head.method = ar_arena_copy(a, head->method);
    i->head.path = ar_arena_copy(a, head->path);
    i->head.query = ar_arena_copy(a, head->query);
    i->head.peer_ip = ar_arena_copy(a, head->peer_ip);
    i->head.upgrade_ws = false;
}

struct ar_conn *ar_inner_new(const struct ar_request_head *head, struct ar_str body,
                             const struct ar_inner_ops *ops, void *user,
                             const struct ar_request_head **ret_head)
{
    struct ar_inner *i = calloc(1, sizeof *i);
    if (!i) {
        return NULL;
    }
    ar_arena_init(&i->arena, SIZE_MAX / 2);
    i->conn.inner = i;
    i->conn.state = AR_CONN_BUSY;
    i->ops = ops;
    i->user = user;
    copy_head(i, head);
    i->body = ar_arena_copy(&i->arena, body);
    i->head.body_length = (int64_t)body.n;
    *ret_head = &i->head;
    return &i->conn;
}

void ar_inner_wake(struct ar_conn *c)
{
    ar_wake(c->owner);
}

void ar_inner_cut(struct ar_conn *c, bool forget)
{
    c->gone = true;
    if (forget) {
        c->inner->ops = NULL;
    }
    ar_wake(c->owner);
}

enum ar_poll ar_inner_peek(struct ar_conn *c, struct ar_str *ret)
{
    *ret = c->inner->body;
    return ret->n > 0 ? AR_READY : AR_ENDED;
}

void ar_inner_eat(struct ar_conn *c, size_t n)
{
    c->inner->body = ar_str_from(c->inner->body, n);
}

void ar_inner_open(struct ar_conn *c, int status, const struct ar_header *h, unsigned n)
{
    if (c->inner->ops) {
        c->inner->ops->open(c->inner->user, status, h, n);
    }
}

size_t ar_inner_write(struct ar_conn *c, struct ar_str bytes)
{
    return c->inner->ops ? c->inner->ops->write(c->inner->user, bytes) : bytes.n;
}

void ar_inner_end(struct ar_conn *c, bool clean)
{
    struct ar_inner *i = c->inner;
    const struct ar_inner_ops *ops = i->ops;
    void *user = i->user;
    ar_arena_done(&i->arena);
    free(i);
    if (ops) {
        ops->end(user, clean);
    }
}
