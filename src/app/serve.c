/*
 * anyrouter serve: boot, signals, reload, end. The main thread serves nothing; it owns what
 * outlives a worker. A bad configuration at start is an error and exit code 1; at reload it is a
 * log line and the old one goes on.
 */
#include "app/app.h"

#include "base/clock.h"
#include "base/log.h"
#include "provider/upstream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static void post_all(struct ar_app *app, void (*fn)(void *))
{
    for (unsigned i = 0; i < app->worker_count; i++) {
        (void)ar_loop_post(app->workers[i].worker.loop, fn, &app->workers[i]);
    }
}

/* A signal to the process and one to its group, as some supervisors send, are one wish. */
enum { ONE_WISH_US = 200000 };

static void on_term(void *arg)
{
    struct ar_app *app = arg;
    int64_t now = ar_clock_us();
    if (app->terms == 1 && now - app->term_us < ONE_WISH_US) {
        return;
    }
    app->term_us = now;
    ar_log_note(AR_LOG_INFO, "stopping",
                app->terms == 0 ? "running answers finish; once more stops at once" : "at once");
    post_all(app, app->terms++ == 0 ? ar_worker_drain : ar_worker_stop);
}

static void start_watch(struct ar_app *app);

/* Every address is free. */
static enum ar_code check_free(const struct ar_config *c, struct ar_err *err)
{
    enum ar_code code = AR_OK;
    for (unsigned i = 0; i < c->listen.n && code == AR_OK; i++) {
        struct ar_str host;
        uint16_t port;
        code = ar_listen_address(c->listen.v[i], &host, &port);
        code = code == AR_OK ? ar_listen_probe(host, port, &port, err) : code;
    }
    return code;
}

/* What cannot change without a restart is said. */
static void warn_of_restart(const struct ar_config *was, const struct ar_config *now)
{
    bool same = was->listen.n == now->listen.n;
    for (unsigned i = 0; same && i < was->listen.n; i++) {
        same = ar_str_is(was->listen.v[i], now->listen.v[i]);
    }
    struct {
        const char *what;
        bool changed;
    } rows[] = {{"listen", !same},
                {"workers", !ar_str_is(was->workers, now->workers)},
                {"tls on or off", (was->tls_cert.n > 0) != (now->tls_cert.n > 0)}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].changed) {
            ar_log_note(AR_LOG_WARN, "reload", "%s changed: that needs a restart", rows[i].what);
        }
    }
}

/* Reads everything anew. */
static void reload(void *arg)
{
    struct ar_app *app = arg;
    struct ar_err err = {0};
    struct ar_snapshot *s = ar_snapshot_build(app, &err);
    if (!s || ar_startup_check_again(s->config, s->upstreams, app->is_public, &err) != AR_OK) {
        ar_snapshot_free(s);
        ar_log_note(AR_LOG_ERROR, "reload", "kept the old configuration: %s", err.note);
        return;
    }
    struct ar_tls *tls = NULL;
    if (s->config->tls_cert.n > 0 && app->tls) {
        tls = ar_tls_server(s->config->tls_cert.p, s->config->tls_key.p, &err);
        if (!tls) {
            ar_log_note(AR_LOG_ERROR, "reload", "kept the old configuration: %s", err.note);
            ar_snapshot_free(s);
            return;
        }
    }
    warn_of_restart(app->snapshot->config, s->config);
    ar_snapshot_announce(s);
    s->holders = app->worker_count;
    s->older = app->snapshot; /* freed when every worker gave it back */
    app->snapshot = s;
    ar_recall_reload(&app->recall, s->config);
    for (unsigned i = 0; i < app->worker_count; i++) {
        struct ar_snapshot_message *m = malloc(sizeof *m);
        AR_ASSERT(m != NULL);
        *m = (struct ar_snapshot_message){
            .to = &app->workers[i], .snapshot = s, .tls = ar_tls_ref(tls)};
        (void)ar_loop_post(app->workers[i].worker.loop, ar_worker_take_snapshot, m);
    }
    if (tls) {
        ar_tls_unref(app->tls); /* messages, listeners and streams hold their own references */
        app->tls = tls;
    }
}

static void start_watch(struct ar_app *app)
{
    if (app->snapshot->config->path.n > 0) {
        app->watch = ar_watch_new(app->loop, app->snapshot->config->path.p, reload, app);
    }
}

void ar_app_worker_ended(void *worker_thread)
{
    struct ar_worker_thread *t = worker_thread;
    struct ar_app *app = t->app;
    ar_thread_join(t->thread);
    t->thread = NULL;
    if (!t->started) {
        ar_log_note(AR_LOG_ERROR, "start", "%s", t->err.note);
        app->exit_code = 1;
        post_all(app, ar_worker_stop);
    }
    if (--app->running == 0) {
        ar_loop_stop(app->loop);
    }
}

void ar_app_give_back(struct ar_app *app, const struct ar_snapshot *s)
{
    for (struct ar_snapshot **at = &app->snapshot; *at; at = &(*at)->older) {
        if (*at == s && --(*at)->holders == 0) {
            struct ar_snapshot *done = *at;
            *at = done->older;
            ar_snapshot_free(done);
            return;
        }
    }
}

static unsigned workers_of(const struct ar_config *c)
{
    int64_t n = sysconf(_SC_NPROCESSORS_ONLN);
    if (ar_str_is_lit(c->workers, "auto")) {
        return (unsigned)(n > 0 ? n : 1);
    }
    enum ar_code code = ar_str_to_i64(c->workers, 1, UINT16_MAX, &n);
    AR_ASSERT(code == AR_OK); /* checked when loaded */
    return (unsigned)n;
}

static enum ar_code lock_data_dir(struct ar_app *app, struct ar_err *err)
{
    char path[PATH_BYTES];
    const char *xdg = getenv("XDG_DATA_HOME");
    if (app->data_dir) {
        (void)snprintf(path, sizeof path, "%s", app->data_dir);
    } else if (xdg && *xdg) {
        (void)snprintf(path, sizeof path, "%s/anyrouter", xdg);
    } else {
        (void)snprintf(path, sizeof path, "%s", "/var/lib/anyrouter");
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return ar_fail(err, AR_INTERNAL,
                       "cannot make the data folder %.100s: %s (--data-dir names another)", path,
                       strerror(errno));
    }
    int n = (int)strlen(path);
    (void)snprintf(path + n, sizeof path - (size_t)n, "/lock");
    app->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (app->lock_fd < 0) {
        return ar_fail(err, AR_INTERNAL,
                       "cannot write %.100s: %s (--data-dir names another folder)", path,
                       strerror(errno));
    }
    if (flock(app->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return ar_fail(err, AR_CONFLICT,
                       "another anyrouter uses the data folder %.*s; --data-dir names another",
                       n < 100 ? n : 100, path);
    }
    return AR_OK;
}

/* As many descriptors as the system lets us have: two a stream. */
static void raise_limits(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max < 1048576 ? r.rlim_max : 1048576;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
    r = (struct rlimit){0, 0};
    (void)setrlimit(RLIMIT_CORE, &r); /* a core would hold keys */
}

static void make_workers(struct ar_app *app, unsigned n)
{
    app->worker_count = app->running = n;
    app->workers = calloc(n, sizeof *app->workers);
    app->metrics = calloc(n, sizeof(struct ar_metrics *));
    AR_ASSERT(app->workers && app->metrics);
    app->snapshot->holders = n;
    for (unsigned i = 0; i < n; i++) {
        struct ar_worker_thread *t = &app->workers[i];
        t->app = app;
        t->worker.loop = ar_loop_new();
        AR_ASSERT(t->worker.loop != NULL);
        t->worker.metrics = app->metrics[i] = ar_metrics_new();
        t->worker.route = &app->route;
        t->worker.recall = &app->recall;
        t->worker.snapshot = app->snapshot;
        t->worker.number = i;
    }
    for (unsigned i = 0; i < n; i++) {
        app->workers[i].thread = ar_thread_start(ar_worker_run, &app->workers[i]);
    }
}

static void announce_listening(const struct ar_app *app)
{
    const struct ar_strs *l = &app->snapshot->config->listen;
    for (unsigned i = 0; i < l->n; i++) {
        ar_log_note(AR_LOG_INFO, "listening", "%s://%.*s (%u workers)", app->tls ? "https" : "http",
                    AR_FMT(l->v[i]), app->worker_count);
    }
}

static void clean_up(struct ar_app *app)
{
    for (unsigned i = 0; i < app->worker_count; i++) {
        ar_loop_free(app->workers[i].worker.loop);
        ar_metrics_free(app->metrics[i]);
    }
    free(app->workers);
    free(app->metrics);
    if (app->watch) {
        ar_watch_free(app->watch);
    }
    if (app->loop) {
        ar_loop_free(app->loop);
    }
    ar_tls_unref(app->tls);
    while (app->snapshot) {
        struct ar_snapshot *s = app->snapshot;
        app->snapshot = s->older;
        ar_snapshot_free(s);
    }
    ar_route_done(&app->route);
    ar_recall_done(&app->recall);
    if (app->lock_fd >= 0) {
        (void)close(app->lock_fd);
    }
}

static enum ar_code boot(struct ar_app *app, struct ar_err *err)
{
    raise_limits();
    if (ar_route_init(&app->route) != AR_OK) {
        return ar_fail(err, AR_INTERNAL, "out of memory");
    }
    app->snapshot = ar_snapshot_build(app, err);
    if (!app->snapshot) {
        return AR_INVALID_REQUEST;
    }
    const struct ar_config *c = app->snapshot->config;
    ar_snapshot_announce(app->snapshot);
    app->is_public = ar_startup_is_public(c);
    enum ar_code code = ar_startup_check(c, app->snapshot->upstreams, &app->tls, err);
    code = code == AR_OK ? check_free(c, err) : code;
    code = code == AR_OK ? lock_data_dir(app, err) : code;
    if (code != AR_OK) {
        return code;
    }
    app->loop = ar_loop_new();
    AR_ASSERT(app->loop != NULL);
    ar_loop_on_signal(app->loop, SIGTERM, on_term, app);
    ar_loop_on_signal(app->loop, SIGINT, on_term, app);
    ar_loop_on_signal(app->loop, SIGHUP, reload, app);
    start_watch(app);
    ar_recall_init(&app->recall, c);
    make_workers(app, workers_of(c));
    announce_listening(app);
    return AR_OK;
}

static int run(struct ar_args args)
{
    struct ar_app app = {.lock_fd = -1};
    struct ar_err err = {0};
    for (int i = 0; i < args.argc; i++) {
        const char *v;
        if (ar_args_flag(args, i, "--help")) {
            return ar_print_help(&ar_command_serve);
        }
        if ((v = ar_args_value(args, &i, "--config")) != NULL) {
            app.ask.path = v;
        } else if ((v = ar_args_value(args, &i, "--listen")) != NULL) {
            app.ask.listen = v;
        } else if ((v = ar_args_value(args, &i, "--data-dir")) != NULL) {
            app.data_dir = v;
        } else if (ar_args_flag(args, i, "--allow-open")) {
            app.ask.allow_open = true;
        } else {
            return ar_usage_error(&ar_command_serve, "unknown argument", args.argv[i]);
        }
        if (v && !v[0]) {
            return ar_usage_error(&ar_command_serve, "a value is missing behind", args.argv[i]);
        }
    }
    if (boot(&app, &err) != AR_OK) {
        (void)fprintf(stderr, "anyrouter: %s\n", err.note);
        clean_up(&app);
        return 1;
    }
    ar_loop_run(app.loop);
    ar_log_note(AR_LOG_INFO, "stopped", "bye");
    if (app.terms > 1) { /* at once: a name look-up under way would be waited for */
        _exit(app.exit_code);
    }
    clean_up(&app);
    return app.exit_code;
}

const struct ar_command ar_command_serve = {
    .name = "serve",
    .usage = "serve [--config F] [--listen A] [--data-dir D] [--allow-open]",
    .brief = "run the gateway",
    .doc = "--config F    the file; else $ANYROUTER_CONFIG, ./anyrouter.yaml, "
           "/etc/anyrouter/anyrouter.yaml, else\n"
           "              defaults and the environment\n"
           "--listen A    host:port instead of the file's; several with commas\n"
           "--data-dir D  folder of its lock; else $XDG_DATA_HOME/anyrouter, else "
           "/var/lib/anyrouter\n"
           "--allow-open  allow keys on a public address though anybody there can use them\n\n"
           "SIGTERM drains and stops, a second one stops at once; SIGHUP or a change of the file "
           "reloads it.",
    .run = run,
};
