/*
 * anyrouter models: what the running gateway serves, asked over HTTP at its first listening
 * address. Owns one loop and one exchange for as long as it runs; never talks to an upstream
 * itself.
 */
#include "cli/command.h"
#include "cli/startup.h"

#include "http/exchange.h"
#include "io/loop.h"
#include "json/scan.h"
#include "provider/upstream.h"

#include <stdio.h>

struct asker {
    struct ar_waker waker;
    struct ar_job job;
    struct ar_loop *loop;
    struct ar_exchange *x;
    struct ar_buf body;
    struct ar_err err;
    int status;
    bool done;
};

static void poll(struct ar_job *j)
{
    struct asker *a = AR_HOLDER(j, struct asker, job);
    struct ar_answer_head head;
    struct ar_str piece;
    enum ar_poll p = ar_exchange_head(a->x, &head, &a->err);
    while (p == AR_READY) {
        a->status = head.status;
        p = ar_exchange_peek(a->x, &piece, &a->err);
        if (p == AR_READY) {
            ar_buf_str(&a->body, piece);
            ar_exchange_eat(a->x, piece.n);
        }
    }
    if (p != AR_PENDING) {
        a->done = p == AR_ENDED;
        ar_loop_stop(a->loop);
    }
}

static void wake(struct ar_waker *w)
{
    struct asker *a = AR_HOLDER(w, struct asker, waker);
    ar_loop_queue(a->loop, &a->job);
}

/* First listening address: where the gateway can be asked. */
static enum ar_code address_of(const struct ar_config *c, struct ar_origin *ret)
{
    struct ar_str address = c->listen.n > 0 ? c->listen.v[0] : AR_LIT("127.0.0.1:9999");
    struct ar_str host;
    uint16_t port;
    enum ar_code code = ar_listen_address(address, &host, &port);
    if (code != AR_OK) {
        return code;
    }
    if (host.n == 0 || ar_str_is_lit(host, "0.0.0.0")) {
        host = AR_LIT("127.0.0.1");
    }
    *ret = (struct ar_origin){.host = host, .tls = c->tls_cert.n > 0, .insecure = true};
    ret->port = port;
    return port > 0 ? AR_OK : AR_INVALID_REQUEST;
}

static enum ar_code ask(const struct ar_origin *origin, struct asker *a)
{
    a->loop = ar_loop_new();
    AR_ASSERT(a->loop != NULL);
    struct ar_pool *pool = ar_pool_new(a->loop, &(struct ar_pool_limits){1, 1000});
    struct ar_header headers[] = {{AR_LIT("accept"), AR_LIT("application/json")}};
    struct ar_exchange_spec spec = {.origin = origin,
                                    .method = AR_LIT("GET"),
                                    .target = AR_LIT("/v1/models"),
                                    .headers = headers,
                                    .header_count = 1,
                                    .connect_ms = 3000,
                                    .head_ms = 10000,
                                    .idle_ms = 10000,
                                    .waker = &a->waker};
    a->waker.wake = wake;
    a->job.run = poll;
    a->x = ar_exchange_start(pool, &spec);
    ar_loop_queue(a->loop, &a->job);
    ar_loop_run(a->loop);
    ar_job_cancel(&a->job);
    ar_exchange_close(a->x);
    ar_pool_free(pool);
    ar_loop_free(a->loop);
    return a->done && a->status == 200 ? AR_OK : AR_UPSTREAM_ERROR;
}

static int print(struct asker *a, bool json)
{
    struct ar_arena arena;
    struct ar_jdoc doc;
    int code = 0;
    ar_arena_init(&arena, 64U << 20);
    if (json) {
        (void)printf("%.*s\n", AR_FMT(ar_buf_view(&a->body)));
    } else if (ar_json_parse(ar_buf_view(&a->body), AR_JSON_DEPTH, &arena, &doc, NULL) == AR_OK) {
        struct ar_jiter it = ar_json_iter(ar_json_get_lit(ar_json_root(&doc), "data"));
        while (ar_json_next(&it)) {
            struct ar_str id =
                ar_json_unescape_in(ar_json_esc(ar_json_get_lit(it.val, "id")), &arena);
            struct ar_str owner =
                ar_json_unescape_in(ar_json_esc(ar_json_get_lit(it.val, "owned_by")), &arena);
            (void)printf("%-40.*s %.*s\n", AR_FMT(id), AR_FMT(owner));
        }
    } else {
        (void)fprintf(stderr, "anyrouter: the gateway's answer is no JSON\n");
        code = 1;
    }
    ar_arena_done(&arena);
    return code;
}

static int run(struct ar_args args)
{
    struct ar_conf_ask conf = {.path = NULL};
    bool json = false;
    for (int i = 0; i < args.argc; i++) {
        const char *v;
        if (ar_args_flag(args, i, "--help")) {
            return ar_print_help(&ar_command_models);
        }
        if ((v = ar_args_value(args, &i, "--config")) != NULL) {
            conf.path = v;
        } else if ((v = ar_args_value(args, &i, "--listen")) != NULL) {
            conf.listen = v;
        } else if (ar_args_flag(args, i, "--json")) {
            json = true;
        } else {
            return ar_usage_error(&ar_command_models, "unknown argument", args.argv[i]);
        }
        if (v && !v[0]) {
            return ar_usage_error(&ar_command_models, "a value is missing behind", args.argv[i]);
        }
    }
    struct ar_upstreams *u;
    if (conf.listen) {
        conf.path = "/dev/null"; /* the address is all that is needed */
    }
    struct ar_config *c = ar_load_all(&conf, &u);
    struct asker a = {.done = false};
    struct ar_origin origin;
    if (!c) {
        return 1;
    }
    ar_buf_init(&a.body, 64U << 20);
    int code = 1;
    if (address_of(c, &origin) != AR_OK) {
        (void)fprintf(stderr, "anyrouter: no listening address is configured\n");
    } else if (ask(&origin, &a) == AR_OK) {
        code = print(&a, json);
    } else if (a.status > 0) {
        (void)fprintf(stderr, "anyrouter: the gateway answered %d\n", a.status);
    } else {
        (void)fprintf(stderr,
                      "anyrouter: no gateway answers at %.*s:%u (%s); try: anyrouter serve\n",
                      AR_FMT(origin.host), origin.port, a.err.note);
    }
    ar_buf_done(&a.body);
    ar_config_free(c);
    return code;
}

const struct ar_command ar_command_models = {
    .name = "models",
    .usage = "models [--config F] [--listen A] [--json]",
    .brief = "list the models of the running gateway",
    .doc = "Lists the models of the running gateway.",
    .run = run,
};
