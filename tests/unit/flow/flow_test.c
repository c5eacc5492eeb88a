/*
 * The real steps behind a real server over streams in memory, answered by the built-in provider:
 * framing at every byte, pipelining, clients that leave or do not read, errors in the client's
 * dialect, fail-over, cut answers, snapshots that change meanwhile.
 */
#include "http/http_kit.h"
#include "route/rig.h"

#include "flow/flow.h"

struct world {
    struct kit kit;
    struct rig rig;
    struct ar_worker worker;
    struct ar_arena a; /* what the tests write */
    unsigned retired;
};

static void retire(struct ar_worker *w, const struct ar_snapshot *s)
{
    (void)s;
    ((struct world *)w->app)->retired++;
}

static void world_init(struct world *v, const char *yaml)
{
    static const struct ar_endpoint NONE[] = {{.methods = NULL}};
    *v = (struct world){.retired = 0};
    kit_init(&v->kit);
    ar_arena_init(&v->a, 16 << 20);
    rig_init(&v->rig, yaml);
    struct ar_worker *w = &v->worker;
    struct ar_conn_limits limits = {.head_bytes = 65536,
                                    .body_bytes = (size_t)v->rig.config->body_limit,
                                    .headers = 100,
                                    .head_ms = 10000,
                                    .body_ms = 10000,
                                    .idle_ms = 10000,
                                    .send_ms = 10000,
                                    .connections = 1000};
    w->loop = v->kit.loop;
    w->pool = ar_pool_new(w->loop, &(struct ar_pool_limits){4, 1000});
    w->server = ar_server_new(w->loop, &limits, ar_flow_start, ar_flow_bad_head, w);
    w->metrics = ar_metrics_new();
    w->route = &v->rig.route;
    w->snapshot = &v->rig.snapshot;
    w->endpoints = NONE;
    w->retire = retire;
    w->app = v;
    ar_list_init(&w->flows);
    ar_rand_init(&w->rand, 5);
}

static void world_done(struct world *v)
{
    ar_worker_stop_flows(&v->worker);
    assert_int_equal(v->worker.flow_count, 0);
    ar_server_free(v->worker.server);
    ar_pool_free(v->worker.pool);
    ar_metrics_free(v->worker.metrics);
    rig_done(&v->rig);
    kit_done(&v->kit);
    ar_arena_done(&v->a);
}

static void dial_in(struct world *v, struct kit_peer *p)
{
    struct ar_stream *pair[2];
    ar_stream_pair(v->kit.loop, pair);
    kit_peer_init(p, &v->kit, pair[0]);
    ar_server_accept(v->worker.server, pair[1], false);
}

/* A POST as bytes; more: header lines. */
static struct ar_str post(struct ar_arena *a, const char *path, const char *more, const char *body)
{
    return ar_arena_fmt(a,
                        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                        "application/json\r\n%sContent-Length: %zu\r\n\r\n%s",
                        path, more, strlen(body), body);
}

#define CHAT     "/v1/chat/completions"
#define MESSAGES "/v1/messages"
#define ASK(model, more)                                                                           \
    "{\"model\":\"" model "\"," more                                                               \
    "\"messages\":[{\"role\":\"user\",\"content\":\"ping pong\"}],\"max_tokens\":50}"

/* Sends one request and gets all of the answer, up to the end of the connection. */
static void ask(struct world *v, struct kit_peer *p, const char *path, const char *more,
                const char *body)
{
    char headers[256];
    (void)snprintf(headers, sizeof headers, "Connection: close\r\n%s", more);
    dial_in(v, p);
    kit_peer_send(p, post(&v->a, path, headers, body));
    assert_true(kit_peer_want_end(p));
}

static void check_has(const struct kit_peer *p, const char *text)
{
    if (!kit_peer_has(p, text)) {
        print_error("no \"%s\" in\n%.*s\n", text, AR_FMT(ar_buf_view(&p->in)));
        fail();
    }
}

static void check_lacks(const struct kit_peer *p, const char *text)
{
    if (kit_peer_has(p, text)) {
        print_error("\"%s\" in\n%.*s\n", text, AR_FMT(ar_buf_view(&p->in)));
        fail();
    }
}

static const char ECHO[] = "upstreams: [{provider: echo}]\n";

static void test_steps_have_names_and_say_what_they_wait_for(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
#define X(name, doc, waits) #name,
        AR_STEPS(X)
#undef X
    };
    unsigned n = 0;
    for (; ar_steps[n]; n++) {
        const struct ar_step *s = ar_steps[n];
        assert_string_equal(s->name, NAMES[n]);
        assert_true(strlen(s->doc) > 8 && s->run != NULL);
        assert_int_equal(s->may_wait & ~(unsigned)(AR_W_CLIENT | AR_W_CALL | AR_W_CLOCK), 0);
        for (unsigned k = 0; k < n; k++) {
            assert_string_not_equal(ar_steps[k]->name, s->name);
            assert_ptr_not_equal(ar_steps[k]->run, s->run);
        }
    }
    assert_int_equal(n, sizeof NAMES / sizeof *NAMES);
    assert_true(ar_step_relay.may_wait & AR_W_CALL);
    assert_int_equal(ar_step_pick.may_wait, 0);
}

static void test_a_request_may_be_split_anywhere(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body, *want;
    } CASES[] = {{CHAT, ASK("echo/text", ""), "\"content\":\"ping pong\""},
                 {CHAT, ASK("echo/text", "\"stream\":true,"), "data: [DONE]"},
                 {MESSAGES, ASK("echo/text", ""), "\"text\":\"ping pong\""}};
    struct world v;
    world_init(&v, ECHO);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct ar_str bytes = post(&v.a, CASES[i].path, "", CASES[i].body);
        for (size_t at = 1; at < bytes.n; at++) {
            struct kit_peer p;
            dial_in(&v, &p);
            kit_peer_send(&p, ar_str_head(bytes, at));
            kit_run(&v.kit, 0);
            assert_int_equal(p.in.n, 0);
            kit_peer_send(&p, ar_str_from(bytes, at));
            assert_true(kit_peer_want_text(&p, CASES[i].want));
            check_has(&p, "HTTP/1.1 200 OK\r\n");
            kit_peer_close(&p);
        }
    }
    world_done(&v);
}

static void test_a_request_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct world v;
    struct kit_peer p;
    world_init(&v, ECHO);
    struct ar_str bytes = post(&v.a, MESSAGES, "", ASK("echo/text", "\"stream\":true,"));
    dial_in(&v, &p);
    for (size_t i = 0; i < bytes.n; i++) {
        kit_peer_send(&p, ar_str_n(bytes.p + i, 1));
        kit_run(&v.kit, 0);
    }
    assert_true(kit_peer_want_text(&p, "event: message_stop"));
    kit_peer_close(&p);
    world_done(&v);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct world v;
    struct kit_peer p;
    world_init(&v, ECHO);
    dial_in(&v, &p);
    struct ar_str one =
        post(&v.a, CHAT, "X-AnyRouter-Trace-Id: first\r\n", ASK("echo/text", "\"stream\":true,"));
    struct ar_str two =
        post(&v.a, MESSAGES, "X-AnyRouter-Trace-Id: second\r\n", ASK("echo/thinking", ""));
    struct ar_str three = post(&v.a, CHAT, "X-AnyRouter-Trace-Id: third\r\n", "{");
    kit_peer_send(&p, ar_arena_fmt(&v.a, "%.*s%.*s%.*s", AR_FMT(one), AR_FMT(two), AR_FMT(three)));
    assert_true(kit_peer_want_text(&p, "invalid_request"));
    struct ar_str in = ar_buf_view(&p.in);
    static const char *const ORDER[] = {"first",          "[DONE]", "0\r\n\r\n",   "second",
                                        "The user wants", "third",  "HTTP/1.1 400"};
    size_t at = 0;
    for (size_t i = 0; i < sizeof ORDER / sizeof *ORDER; i++) {
        size_t found = ar_str_find(in, ar_str_of(ORDER[i]));
        assert_true(found < in.n);
        assert_true(i == 6 || found >= at); /* the status line comes before its headers */
        at = found;
    }
    kit_peer_close(&p);
    world_done(&v);
}

static bool has_no_flow(void *arg)
{
    return ((struct world *)arg)->worker.flow_count == 0;
}

static bool has_metric(struct world *v, const char *line)
{
    struct ar_buf out;
    ar_buf_init(&out, 1 << 20);
    ar_metrics_render(&v->worker.metrics, 1, NULL, 0, &out);
    bool has = ar_str_has(ar_buf_view(&out), ar_str_of(line));
    ar_buf_done(&out);
    return has;
}

static void check_nothing_in_flight(struct world *v)
{
    assert_true(has_metric(v, "anyrouter_requests_in_flight 0\n"));
    for (unsigned i = 0; i < v->rig.upstreams->n; i++) {
        struct ar_health *h =
            v->rig.upstreams->v[i].bases ? v->rig.upstreams->v[i].bases[0].health : NULL;
        assert_true(!h || atomic_load(&h->in_flight) == 0);
    }
}

/* P-017: whoever leaves ends the attempt, in any phase. */
static void test_clients_may_leave(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body, *until;
    } CASES[] = {
        {CHAT, ASK("echo/forever-1", "\"stream\":true,"), "and on"}, /* in the middle of a stream */
        {MESSAGES, ASK("echo/forever-1", "\"stream\":true,"), "and on"},
        {CHAT, ASK("echo/slow-5000", "\"stream\":true,"), NULL}, /* before anything came */
        {CHAT, "{\"model\":\"echo/text\"", NULL},                /* with half a body sent */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct world v;
        struct kit_peer p;
        world_init(&v, ECHO);
        struct ar_str bytes = post(&v.a, CASES[i].path, "", CASES[i].body);
        dial_in(&v, &p);
        kit_peer_send(
            &p, ar_str_head(bytes, bytes.n - (CASES[i].body[strlen(CASES[i].body) - 1] != '}')));
        if (CASES[i].until) {
            assert_true(kit_peer_want_text(&p, CASES[i].until));
        } else {
            kit_run(&v.kit, 3);
        }
        assert_int_equal(v.worker.flow_count, 1);
        kit_peer_close(&p);
        assert_true(kit_until(&v.kit, 1000, has_no_flow, &v));
        assert_int_equal(has_metric(&v, "outcome=\"cancelled\"} 1\n"), i < 3);
        check_nothing_in_flight(&v);
        world_done(&v);
    }
}

static struct ar_flow *only_flow(struct world *v)
{
    assert_int_equal(v->worker.flow_count, 1);
    return AR_HOLDER(v->worker.flows.next, struct ar_flow, node);
}

/* The answer waits for the client alone. */
static bool is_held_up(void *arg)
{
    struct world *v = arg;
    return v->worker.flow_count == 1 && strcmp(only_flow(v)->doing, "relay") == 0 &&
           only_flow(v)->waits == AR_W_CLIENT;
}

static void test_a_slow_reader_stops_the_answer(void **state)
{
    (void)state;
    struct world v;
    struct kit_peer p;
    world_init(&v, ECHO);
    dial_in(&v, &p);
    p.paused = true;
    kit_peer_send(&p, post(&v.a, CHAT, "",
                           ASK("echo/forever-0", "\"stream\":true,"))); /* as fast as it is taken */
    assert_true(kit_until(&v.kit, 3000, is_held_up, &v));
    struct ar_flow *f = only_flow(&v);
    assert_true(f->seat.sink.out.n <= 65536);
    size_t held = f->seat.sink.out.n;
    kit_run(&v.kit, 30);
    assert_int_equal(f->seat.sink.out.n, held); /* nothing more is asked of the provider */
    assert_int_equal(p.in.n, 0);
    kit_peer_resume(&p);
    assert_true(kit_peer_want(&p, 1 << 20)); /* and it goes on when the client reads */
    p.paused = true;
    size_t got = p.in.n;
    assert_int_equal(ar_str_find(ar_str_from(ar_buf_view(&p.in), got / 2), AR_LIT("HTTP/1.1")),
                     got - got / 2);
    kit_peer_close(&p);
    assert_true(kit_until(&v.kit, 1000, has_no_flow, &v));
    check_nothing_in_flight(&v);
    world_done(&v);
}

static void test_errors_are_in_the_clients_dialect(void **state)
{
    (void)state;
    static const struct {
        const char *path, *headers, *body, *want[3];
    } CASES[] = {
        {CHAT,
         "",
         ASK("echo/error-529", ""),
         {"HTTP/1.1 503 ", "x-anyrouter-error: no_upstream_available", "\"error\":{"}},
        {MESSAGES,
         "",
         ASK("echo/error-529", ""),
         {"HTTP/1.1 529 ", "x-anyrouter-error: ", "\"overloaded_error\""}},
        {CHAT,
         "",
         ASK("echo/error-429", ""),
         {"HTTP/1.1 429 ", "retry-after: ", "x-anyrouter-error: upstream_rate_limited"}},
        {CHAT,
         "",
         ASK("echo/what", ""),
         {"HTTP/1.1 404 ", "x-anyrouter-error: model_not_found", "\"error\":{"}},
        {CHAT,
         "",
         ASK("gpt-none", ""),
         {"HTTP/1.1 401 ", "\"code\":\"invalid_api_key\"", "\"param\""}}, /* P-001 */
        {MESSAGES,
         "",
         ASK("gpt-none", ""),
         {"HTTP/1.1 403 ", "permission_error", "x-anyrouter-error: key_missing"}},
        {CHAT,
         "",
         "{\"model\":",
         {"HTTP/1.1 400 ", "\"error\":{", "x-anyrouter-error: invalid_request"}}, /* P-010 */
        {MESSAGES, "", "[]", {"HTTP/1.1 400 ", "\"type\":\"error\"", "invalid_request_error"}},
        {"/v1/messages?beta=true",
         "",
         ASK("echo/text", ""),
         {"HTTP/1.1 200 ", "ping pong", "\"type\":\"message\""}}, /* P-006 */
        {"/api/v1/v1/chat/completions",
         "",
         ASK("echo/text", ""),
         {"HTTP/1.1 200 ", "ping pong", "chat.completion"}},
        {"/nowhere", "", "{}", {"HTTP/1.1 404 ", "endpoint_not_found", "\"error\":{"}}, /* P-005 */
        {"/v1/messages/nowhere",
         "",
         "{}",
         {"HTTP/1.1 40", "\"type\":\"error\"", "x-anyrouter-error: "}},
        {CHAT,
         "X-AnyRouter-Provider: nobody\r\n",
         ASK("echo/text", ""),
         {"HTTP/1.1 404 ", "nobody", "model_not_found"}},
        {CHAT,
         "Authorization: Bearer sk-ar-v1-x\r\n",
         ASK("echo/text", ""),
         {"HTTP/1.1 401 ", "key_invalid", "\"error\":{"}},
        {CHAT,
         "X-AnyRouter-Trace-Id: mine-1\r\n",
         ASK("echo/text", ""),
         {"x-anyrouter-trace-id: mine-1",
          "x-anyrouter-request-id: ", "x-anyrouter-upstream: echo"}},
    };
    struct world v;
    world_init(&v, "upstreams: [{provider: echo}, {provider: openai}]\n");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct kit_peer p;
        ask(&v, &p, CASES[i].path, CASES[i].headers, CASES[i].body);
        for (unsigned k = 0; k < 3; k++) {
            check_has(&p, CASES[i].want[k]);
        }
        kit_peer_close(&p);
    }
    check_nothing_in_flight(&v);
    world_done(&v);
}

static void test_methods_and_sizes(void **state)
{
    (void)state;
    struct world v;
    struct kit_peer p;
    world_init(&v, "body_limit: 1KiB\nupstreams: [{provider: echo}]\n");
    dial_in(&v, &p);
    kit_peer_send(&p, AR_LIT("PUT /v1/messages HTTP/1.1\r\nHost: h\r\nConnection: "
                             "close\r\nContent-Length: 0\r\n\r\n"));
    assert_true(kit_peer_want_end(&p));
    check_has(&p, "HTTP/1.1 405 ");
    check_has(&p, "allow: POST");
    kit_peer_close(&p);
    for (int i = 0; i < 2; i++) { /* P-009 */
        char body[3000];
        memset(body, ' ', sizeof body - 1);
        body[sizeof body - 1] = '\0';
        ask(&v, &p, i ? MESSAGES : CHAT, "", body);
        check_has(&p, "HTTP/1.1 413 ");
        check_has(&p, i ? "request_too_large" : "\"error\":{");
        kit_peer_close(&p);
    }
    dial_in(&v, &p);
    kit_peer_send(&p, AR_LIT("POST /v1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n"));
    assert_true(kit_peer_want_end(&p));
    check_has(&p, "HTTP/1.1 400 ");
    check_has(&p, "\"type\":\"error\"");
    kit_peer_close(&p);
    world_done(&v);
}

static void test_failed_attempts_move_on_unseen(void **state)
{
    (void)state;
    static const struct {
        const char *fails, *more;
    } CASES[] = {{"echo/error-500", ""},
                 {"echo/error-500", "\"stream\":true,"},
                 {"echo/error-429", "\"stream\":true,"},
                 {"echo/error-401", ""},
                 {"echo/cut", ""},
                 {"echo/what", ""}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        for (int k = 0; k < 2; k++) {
            struct world v;
            struct kit_peer p;
            char text[256], body[256];
            (void)snprintf(
                text, sizeof text,
                "upstreams:\n  - {name: a, provider: echo, models: [{from: m, to: %s}]}\n"
                "  - {name: b, provider: echo, priority: 2, models: [{from: m, to: echo/text}]}\n",
                CASES[i].fails);
            (void)snprintf(body, sizeof body,
                           "{\"model\":\"m\",%s\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
                           "\"content\":\"ping pong\"}]}",
                           CASES[i].more);
            world_init(&v, text);
            ask(&v, &p, k ? MESSAGES : CHAT, "", body);
            check_has(&p, "HTTP/1.1 200 ");
            check_has(&p, "x-anyrouter-upstream: b");
            check_has(&p, "x-anyrouter-attempts: 2");
            check_has(&p, "ping pong");
            check_lacks(&p, "echo was asked to fail");
            assert_true(has_metric(&v, "upstream=\"a\",outcome=\"failed_over\"} 1\n"));
            assert_true(has_metric(&v, "upstream=\"b\",outcome=\"served\"} 1\n"));
            kit_peer_close(&p);
            check_nothing_in_flight(&v);
            world_done(&v);
        }
    }
}

static void test_a_cut_stream_never_looks_complete(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct world v;
        struct kit_peer p;
        world_init(
            &v, "upstreams:\n"
                "  - {name: a, provider: echo, models: [{from: m, to: echo/cut}]}\n"
                "  - {name: b, provider: echo, priority: 2, models: [{from: m, to: echo/text}]}\n");
        ask(&v, &p, k ? MESSAGES : CHAT, "", ASK("m", "\"stream\":true,"));
        check_has(&p, "HTTP/1.1 200 ");
        check_has(&p, "error");
        check_lacks(&p, "[DONE]");
        check_lacks(&p, "message_stop");
        check_lacks(&p, "finish_reason\":\"");
        check_lacks(&p, "\r\n0\r\n\r\n");
        assert_true(has_metric(&v, "outcome=\"cut\"} 1\n"));
        assert_false(has_metric(&v, "upstream=\"b\"")); /* after the commit nobody else is asked */
        kit_peer_close(&p);
        check_nothing_in_flight(&v);
        world_done(&v);
    }
}

static void test_waiting_clients_get_keep_alives(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct world v;
        struct kit_peer p;
        world_init(&v, "ping_interval: 20ms\nupstreams: [{provider: echo}]\n");
        ask(&v, &p, k ? MESSAGES : CHAT, "", ASK("echo/slow-20", "\"stream\":true,"));
        check_has(&p, k ? "event: message_stop" : "data: [DONE]");
        struct ar_str in = ar_buf_view(&p.in);
        size_t comment = ar_str_find(in, AR_LIT("\n:")),
               content = ar_str_find(in, k ? AR_LIT("message_start") : AR_LIT("data: "));
        assert_true(comment < content); /* before the commit: comments */
        check_has(&p, k ? "text_delta" : "\"content\":\"");
        kit_peer_close(&p);
        world_done(&v);
    }
}

static void test_snapshots_live_until_their_last_flow(void **state)
{
    (void)state;
    struct world v;
    struct kit_peer p, q;
    world_init(&v, ECHO);
    struct ar_snapshot next = v.rig.snapshot;
    dial_in(&v, &p);
    kit_peer_send(&p, post(&v.a, CHAT, "", ASK("echo/forever-1", "\"stream\":true,")));
    assert_true(kit_peer_want_text(&p, "and on"));
    ar_worker_switch(&v.worker, &next);
    assert_int_equal(v.retired, 0);
    ask(&v, &q, CHAT, "", ASK("echo/text", "")); /* the new one serves already */
    check_has(&q, "ping pong");
    kit_peer_close(&q);
    assert_int_equal(v.retired, 0);
    kit_peer_close(&p);
    assert_true(kit_until(&v.kit, 1000, has_no_flow, &v));
    assert_int_equal(v.retired, 1);
    ar_worker_switch(&v.worker, &v.rig.snapshot); /* nothing runs: at once */
    assert_int_equal(v.retired, 2);
    world_done(&v);
}

static void test_a_worker_can_stop_in_the_middle(void **state)
{
    (void)state;
    struct world v;
    struct kit_peer p[6];
    static const char *const BODIES[] = {ASK("echo/forever-1", "\"stream\":true,"),
                                         ASK("echo/slow-5000", "\"stream\":true,"),
                                         ASK("echo/slow-5000", ""),
                                         ASK("echo/forever-0", "\"stream\":true,"),
                                         "{\"half\"",
                                         ASK("echo/text", "")};
    world_init(&v, ECHO);
    for (unsigned i = 0; i < 6; i++) {
        struct ar_str bytes = post(&v.a, i % 2 ? CHAT : MESSAGES, "", BODIES[i]);
        dial_in(&v, &p[i]);
        p[i].paused = i == 3;
        kit_peer_send(&p[i], ar_str_head(bytes, bytes.n - (i == 4)));
    }
    kit_run(&v.kit, 5);
    assert_true(v.worker.flow_count >= 4);
    ar_worker_stop_flows(&v.worker);
    assert_int_equal(v.worker.flow_count, 0);
    kit_run(&v.kit, 5);
    for (unsigned i = 0; i < 6; i++) {
        check_lacks(&p[i], i < 4 ? "message_stop" : "no such text");
        kit_peer_close(&p[i]);
    }
    check_nothing_in_flight(&v);
    world_done(&v);
}

static void test_where_a_token_is_required_others_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path, *headers, *want;
    } CASES[] = {
        {CHAT, "", "x-anyrouter-error: key_missing"},
        {CHAT, "x-api-key: k\r\n", "x-anyrouter-error: key_invalid"},
        {CHAT, "Authorization: Bearer k\r\n", "HTTP/1.1 401 "},
        {MESSAGES, "x-api-key: k\r\n", "HTTP/1.1 403 "},
        {MESSAGES, "x-api-key: k\r\n", "permission_error"},
    };
    struct world v;
    struct kit_peer p;
    world_init(&v, "require_token: true\nupstreams: [{provider: echo}]\n");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        ask(&v, &p, CASES[i].path, CASES[i].headers, ASK("echo/text", ""));
        check_has(&p, CASES[i].want);
        kit_peer_close(&p);
    }
    world_done(&v);
}

static void test_web_pages_do_not_spend_the_operators_keys(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *want;
    } CASES[] = {
        {"", "HTTP/1.1 200 "},
        {"Origin: https://evil\r\n", "HTTP/1.1 403 "},
        {"Origin: https://evil\r\nAuthorization: Bearer x\r\n", "HTTP/1.1 200 "},
        {"Origin: https://good\r\n", "access-control-allow-origin: https://good"},
    };
    struct world v;
    struct kit_peer p;
    world_init(&v, "cors: {origins: ['https://good']}\nhost_names: [mine.example]\nupstreams: "
                   "[{provider: echo}, {provider: openai, keys: [k]}]\n");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        ask(&v, &p, CHAT, CASES[i].headers, ASK("echo/text", ""));
        check_has(&p, CASES[i].want);
        kit_peer_close(&p);
    }
    static const struct {
        const char *host, *want;
    } HOSTS[] = {{"evil.example", "403 "},
                 {"mine.example:99", "200 "},
                 {"[::1]:9999", "200 "},
                 {"192.168.0.3", "200 "},
                 {"localhost.evil", "403 "}};
    for (size_t i = 0; i < sizeof HOSTS / sizeof *HOSTS; i++) {
        char text[512];
        int n = snprintf(
            text, sizeof text,
            "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
            CHAT, HOSTS[i].host, sizeof ASK("echo/text", "") - 1, ASK("echo/text", ""));
        dial_in(&v, &p);
        kit_peer_send(&p, ar_str_n(text, (size_t)n));
        assert_true(kit_peer_want_end(&p));
        check_has(&p, HOSTS[i].want);
        kit_peer_close(&p);
    }
    world_done(&v);
}

/* Body of a chunked answer: the chunks joined. */
static void join_chunks(struct ar_str in, struct ar_buf *ret)
{
    while (in.n > 0) {
        size_t line = ar_str_find(in, AR_LIT("\r\n"));
        unsigned long n = strtoul(in.p, NULL, 16);
        if (n == 0 || line + 2 + n > in.n) {
            return;
        }
        ar_buf_put(ret, in.p + line + 2, n);
        in = ar_str_from(in, line + 2 + n + 2);
    }
}

/* Keep-alives to a client that does not read: when room runs out in the middle of one, what comes
 * after it is still a frame of its own. Answers before it, of every length, put the end of the room
 * everywhere. */
static void test_a_keep_alive_is_never_half(void **state)
{
    (void)state;
    enum { ROOM = 2 * AR_STREAM_BUF };
    static char text[3 * ROOM];
    memset(text, 'a', sizeof text);
    struct world v;
    unsigned met = 0;
    world_init(&v, "ping_interval: 1ms\nupstreams: [{provider: echo}]\n");
    for (int less = 1160; less < 1300; less += 7) {
        struct kit_peer p;
        dial_in(&v, &p);
        p.paused = true;
        kit_peer_send(
            &p,
            post(&v.a, CHAT, "",
                 ar_arena_fmt(&v.a,
                              "{\"model\":\"echo/"
                              "text\",\"messages\":[{\"role\":\"user\",\"content\":\"%.*s\"}]}%c",
                              ROOM - less, text, 0)
                     .p));
        kit_peer_send(&p, post(&v.a, MESSAGES, "X-AnyRouter-Trace-Id: second\r\n",
                               ASK("echo/slow-20", "\"stream\":true,")));
        kit_run(&v.kit, 80);
        kit_peer_resume(&p);
        assert_true(kit_peer_want_text(&p, "event: message_stop"));
        struct ar_str in = ar_buf_view(&p.in);
        in = ar_str_from(in, ar_str_find(in, AR_LIT("second")));
        in = ar_str_from(in, ar_str_find(in, AR_LIT("\r\n\r\n")) + 4);
        struct ar_buf body;
        ar_buf_init(&body, 1 << 20);
        join_chunks(in, &body);
        struct ar_str rest = ar_buf_view(&body);
        unsigned pings = 0;
        for (; ar_str_has_prefix(rest, AR_LIT(":\n\n")); pings++) {
            rest = ar_str_from(rest, 3);
        }
        assert_true(ar_str_has_prefix(rest, AR_LIT("event: message_start\n")));
        met += pings > 0 && pings < 20;
        ar_buf_done(&body);
        kit_peer_close(&p);
    }
    assert_true(met > 8);
    world_done(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_have_names_and_say_what_they_wait_for),
        cmocka_unit_test(test_a_request_may_be_split_anywhere),
        cmocka_unit_test(test_a_request_may_come_byte_by_byte),
        cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(test_clients_may_leave),
        cmocka_unit_test(test_a_slow_reader_stops_the_answer),
        cmocka_unit_test(test_errors_are_in_the_clients_dialect),
        cmocka_unit_test(test_methods_and_sizes),
        cmocka_unit_test(test_failed_attempts_move_on_unseen),
        cmocka_unit_test(test_a_cut_stream_never_looks_complete),
        cmocka_unit_test(test_waiting_clients_get_keep_alives),
        cmocka_unit_test(test_snapshots_live_until_their_last_flow),
        cmocka_unit_test(test_a_worker_can_stop_in_the_middle),
        cmocka_unit_test(test_a_keep_alive_is_never_half),
        cmocka_unit_test(test_where_a_token_is_required_others_are_refused),
        cmocka_unit_test(test_web_pages_do_not_spend_the_operators_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
