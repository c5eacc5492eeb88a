/* The process: workers, snapshots, signals. Everything is made and freed here. */
#ifndef AR_APP_APP_H
#define AR_APP_APP_H

#include "admin/admin.h"
#include "cli/command.h"
#include "cli/startup.h"
#include "flow/worker.h"
#include "io/listen.h"
#include "recall/recall.h"

struct ar_app;
/* A thread that serves. app's thread makes and frees it; the rest is the worker's own thread. */
struct ar_worker_thread {
    struct ar_worker worker;
    struct ar_app *app;
    struct ar_thread *thread;
    struct ar_listener *listeners[AR_LISTENERS_MAX];
    unsigned listener_count;
    struct ar_timer tick;
    struct ar_admin admin;
    struct ar_err err;      /* why it could not start */
    int64_t drain_until_ms; /* AR_NEVER: not draining */
    bool speaks_tls;
    bool draining, started, ended; /* ended: nothing is left that a message could reach */
};

struct ar_app {
    struct ar_loop *loop; /* of the main thread: signals, reload, ends */
    struct ar_conf_ask ask;
    const char *data_dir;
    struct ar_route route;
    struct ar_recall recall;
    struct ar_snapshot *snapshot; /* the newest; older ones follow by `older` */
    uint64_t generation;
    struct ar_worker_thread *workers;
    unsigned worker_count, running;
    struct ar_metrics **metrics;
    struct ar_tls *tls;
    struct ar_watch *watch;
    unsigned terms;  /* SIGTERM and SIGINT so far */
    int64_t term_us; /* of the first one */
    bool is_public;  /* an address of listen is no loopback address */
    int lock_fd;
    int exit_code;
};

/* snapshot.c: loads and builds; NULL and err on failure. Free by ar_snapshot_free. */
struct ar_snapshot *ar_snapshot_build(struct ar_app *app, struct ar_err *err);
void ar_snapshot_free(struct ar_snapshot *s);
/* Log lines that a fresh configuration deserves. */
void ar_snapshot_announce(const struct ar_snapshot *s);

/* worker.c: runs a worker until it has drained. Thread function. */
void ar_worker_run(void *worker_thread);
/* Messages to a worker, by ar_loop_post. */
void ar_worker_take_snapshot(void *message);
void ar_worker_drain(void *worker_thread);
void ar_worker_stop(void *worker_thread);
struct ar_snapshot_message {
    struct ar_worker_thread *to;
    struct ar_snapshot *snapshot;  /* to take */
    const struct ar_snapshot *old; /* given back */
    struct ar_tls *tls;            /* owns a reference; NULL: unchanged */
};
/* Messages of workers to the app. */
void ar_app_worker_ended(void *worker_thread);
/* One worker has no flow on s any more; the last one frees it. */
void ar_app_give_back(struct ar_app *app, const struct ar_snapshot *s);

extern const struct ar_command ar_command_serve, ar_command_docs;

#endif
