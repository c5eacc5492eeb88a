/*
 * Watching a file, and plain threads.
 *
 * A watch asks for the file's identity (device, inode, size, times) every 400 ms on libuv's pool
 * and compares: unlike the kernel's notifications that sees every way to replace a file (rename, a
 * link swapped somewhere up the path, a network file system). The first identity is taken at once,
 * so nothing after ar_watch_new is missed. A watch owns its libuv handle; after ar_watch_free its
 * memory lives until libuv is done with it.
 */
#include "io/impl.h"

#include <stdlib.h>

enum { WATCH_MS = 400 };

struct identity {
    bool there;
    uint64_t dev, ino, size;
    uv_timespec_t mtime, ctime;
};
struct ar_watch {
    uv_timer_t timer;
    uv_fs_t req;
    bool busy, freed, timer_closed;
    struct identity last;
    void (*fn)(void *arg);
    void *arg;
    char *path;
};

static struct identity identify(const uv_fs_t *req)
{
    struct identity id;
    memset(&id, 0, sizeof id);
    id.there = req->result == 0;
    if (id.there) {
        id.dev = req->statbuf.st_dev;
        id.ino = req->statbuf.st_ino;
        id.size = req->statbuf.st_size;
        id.mtime = req->statbuf.st_mtim;
        id.ctime = req->statbuf.st_ctim;
    }
    return id;
}

static bool is_same(const struct identity *a, const struct identity *b)
{
    return a->there == b->there && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
           a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static void release(struct ar_watch *w)
{
    if (w->freed && !w->busy && w->timer_closed) {
        free(w->path);
        free(w);
    }
}

static void on_stat(uv_fs_t *req)
{
    struct ar_watch *w = req->data;
    struct identity now = identify(req);
    uv_fs_req_cleanup(req);
    w->busy = false;
    if (w->freed) {
        release(w);
        return;
    }
    if (!is_same(&now, &w->last)) {
        w->last = now;
        w->fn(w->arg);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct ar_watch *w = timer->data;
    if (!w->busy) {
        w->req.data = w;
        w->busy = uv_fs_stat(timer->loop, &w->req, w->path, on_stat) == 0;
    }
}

static void on_closed(uv_handle_t *h)
{
    struct ar_watch *w = h->data;
    w->timer_closed = true;
    release(w);
}

struct ar_watch *ar_watch_new(struct ar_loop *l, const char *path, void (*fn)(void *arg), void *arg)
{
    struct ar_watch *w = ar_io_alloc(sizeof *w);
    w->path = strdup(path);
    AR_ASSERT(w->path != NULL);
    w->fn = fn;
    w->arg = arg;
    (void)uv_fs_stat(&l->uv, &w->req, path, NULL);
    w->last = identify(&w->req);
    uv_fs_req_cleanup(&w->req);
    (void)uv_timer_init(&l->uv, &w->timer);
    w->timer.data = w;
    (void)uv_timer_start(&w->timer, on_tick, WATCH_MS, WATCH_MS);
    return w;
}

void ar_watch_free(struct ar_watch *w)
{
    if (w) {
        w->freed = true;
        uv_close((uv_handle_t *)&w->timer, on_closed);
    }
}

struct ar_thread {
    uv_thread_t id;
    void (*fn)(void *arg);
    void *arg;
};

static void run_thread(void *arg)
{
    struct ar_thread *t = arg;
    t->fn(t->arg);
}

struct ar_thread *ar_thread_start(void (*fn)(void *arg), void *arg)
{
    struct ar_thread *t = ar_io_alloc(sizeof *t);
    t->fn = fn;
    t->arg = arg;
    if (uv_thread_create(&t->id, run_thread, t) != 0) {
        free(t);
        return NULL;
    }
    return t;
}

void ar_thread_join(struct ar_thread *t)
{
    if (t) {
        (void)uv_thread_join(&t->id);
        free(t);
    }
}
