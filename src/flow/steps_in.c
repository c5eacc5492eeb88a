/*
 * Steps from the first byte to the plan: what path it is, who asks, the body, its outline. They own
 * nothing beyond the flow and never talk to an upstream.
 */
#include "flow/flow.h"

#include "base/id.h"
#include "json/scan.h"

#include <stdio.h>

static const struct ar_endpoint ENDPOINTS[] = {
#define X(row_methods, row_path, row_vendor, row_dialect, row_op, row_doc)                         \
    {.methods = row_methods,                                                                       \
     .path = row_path,                                                                             \
     .vendor_methods = row_vendor,                                                                 \
     .dialect = AR_DIALECT_##row_dialect,                                                          \
     .op = AR_OP_##row_op,                                                                         \
     .doc = row_doc},
#include "flow/endpoints.def"
#undef X
    {.methods = NULL}};

/* /api and /gateway reach the same routes; a doubled /v1 is one. */
static struct ar_str normal_path(struct ar_str path)
{
    static const struct ar_str PREFIXES[] = {AR_LIT_INIT("/api/"), AR_LIT_INIT("/gateway/")};
    for (unsigned i = 0; i < 2; i++) {
        if (ar_str_has_prefix(path, PREFIXES[i])) {
            path = ar_str_from(path, PREFIXES[i].n - 1);
            break;
        }
    }
    while (ar_str_has_prefix(path, AR_LIT("/v1/v1/"))) {
        path = ar_str_from(path, 3);
    }
    if (path.n > 1 && path.p[path.n - 1] == '/') {
        path.n--;
    }
    return path;
}

/* "." or ".." is a segment, escaped or not: a place that resolves it would serve another path than
 * the one that was checked here. */
static bool climbs(struct ar_str path, struct ar_arena *a)
{
    struct ar_str plain = ar_percent_decode(path, a);
    size_t from = 0;
    for (size_t i = 0; i <= plain.n; i++) {
        if (i == plain.n || plain.p[i] == '/' || plain.p[i] == '\\') {
            struct ar_str segment = ar_str_n(plain.p + from, i - from);
            if (ar_str_is_lit(segment, ".") || ar_str_is_lit(segment, "..")) {
                return true;
            }
            from = i + 1;
        }
    }
    return false;
}

static const struct ar_dialect *dialect_of_path(struct ar_str path)
{
    bool anthropic = ar_str_has_prefix(path, AR_LIT("/v1/messages"));
    return anthropic ? &ar_dialect_anthropic : &ar_dialect_chat;
}

static bool has_method(const char *list, struct ar_str method)
{
    struct ar_str rest = ar_str_of(list), one;
    while (rest.n > 0 && ar_str_split(&rest, ',', &one)) {
        if (ar_str_is(one, method)) {
            return true;
        }
    }
    return false;
}

static bool path_fits(const char *pattern, struct ar_str path)
{
    struct ar_str p = ar_str_of(pattern);
    return p.n > 0 && p.p[p.n - 1] == '*'
               ? ar_str_has_prefix(path, ar_str_head(p, p.n - 1)) && path.n >= p.n
               : ar_str_is(path, p);
}

/* First row of the path; *ret_method: one of them takes the method. */
static const struct ar_endpoint *find(const struct ar_endpoint *rows, struct ar_str path,
                                      struct ar_str method, bool *ret_method)
{
    const struct ar_endpoint *found = NULL;
    *ret_method = false;
    for (; rows->methods; rows++) {
        if (path_fits(rows->path, path)) {
            found = rows;
            if (has_method(rows->methods, method)) {
                *ret_method = true;
                return rows;
            }
        }
    }
    return found;
}

/* The same, for a path that is none of ours: it is named. */
static enum ar_next fail_path(struct ar_flow *f, enum ar_code code, const char *note)
{
    char text[320];
    struct ar_str path = ar_str_head(f->path, 100);
    (void)snprintf(text, sizeof text, "%.*s: %s", AR_FMT(path), note);
    return ar_flow_fail(f, code, text);
}

enum ar_next ar_run_identify(struct ar_flow *f)
{
    bool takes;
    struct ar_str method = f->head->method;
    f->path = normal_path(f->head->path);
    f->dialect = dialect_of_path(f->path);
    f->record.client_dialect = f->dialect->name;
    struct ar_str trace =
        ar_header_lit(f->head->headers, f->head->header_count, "x-anyrouter-trace-id");
    for (size_t i = 0; i < trace.n; i++) {
        trace.n = trace.p[i] < 0x21 || trace.p[i] > 0x7e ? 0 : trace.n;
    }
    f->record.trace_id = ar_str_head(trace, 128);
    if (f->head->upgrade_ws) {
        return ar_flow_fail(f, AR_UPGRADE_REQUIRED, "WebSocket is not offered here; use HTTP");
    }
    const struct ar_endpoint *e = find(ENDPOINTS, f->path, method, &takes);
    e = e ? e : find(f->worker->endpoints, f->path, method, &takes);
    f->endpoint = e;
    if (ar_str_is_lit(method, "OPTIONS") &&
        ar_header_lit(f->head->headers, f->head->header_count, "origin").p) {
        return ar_flow_to(f, &ar_step_local);
    }
    if (e && !takes && !(e->vendor_methods && has_method(e->vendor_methods, method))) {
        char note[96];
        (void)snprintf(note, sizeof note, "this path takes %s", e->methods);
        return ar_flow_fail(f, AR_METHOD_NOT_ALLOWED, note);
    }
    if (e && takes) {
        f->op = (enum ar_op)e->op;
        f->dialect = e->run ? f->dialect : ar_dialect_by_id(e->dialect);
        return ar_flow_to(f, &ar_step_authenticate);
    }
    f->endpoint = NULL;
    f->op = AR_OP_PASS;
    if (!ar_str_has_prefix(f->path, AR_LIT("/v1/")) || climbs(f->path, &f->arena)) {
        return fail_path(f, AR_ENDPOINT_NOT_FOUND, "there is no such path; the API is below /v1");
    }
    return ar_flow_to(f, &ar_step_authenticate);
}

enum ar_next ar_run_authenticate(struct ar_flow *f)
{
    struct ar_err err = {0};
    f->secret = ar_flow_secret(f->head, &f->arena);
    f->pin =
        ar_str_trim(ar_header_lit(f->head->headers, f->head->header_count, "x-anyrouter-provider"));
    f->strict = ar_str_is_lit(
        ar_str_trim(ar_header_lit(f->head->headers, f->head->header_count, "x-anyrouter-strict")),
        "1");
    bool open = f->endpoint && f->endpoint->run && !ar_str_has_prefix(f->path, AR_LIT("/v1"));
    enum ar_code code =
        ar_str_has_prefix(f->path, AR_LIT("/health")) ? AR_OK : ar_flow_guard(f, &err);
    if (code != AR_OK) {
        return ar_flow_fail(f, code, err.note);
    }
    if (open) {
        return ar_flow_to(f, &ar_step_local);
    }
    bool issued = ar_str_has_prefix(f->secret, AR_LIT("sk-ar-"));
    if (issued || f->snapshot->config->require_token) {
        return ar_flow_fail(f, f->secret.n > 0 ? AR_KEY_INVALID : AR_KEY_MISSING,
                            issued ? "this gateway did not issue that token"
                                   : "this gateway wants a token that it issued (sk-ar-v1-...)");
    }
    return ar_flow_to(f, f->endpoint && f->endpoint->run ? &ar_step_local : &ar_step_read_body);
}

enum ar_next ar_run_read_body(struct ar_flow *f)
{
    struct ar_err err = {0};
    struct ar_str piece;
    if (f->head->body_length > 0 && f->body.cap == 0) {
        (void)ar_buf_reserve(&f->body, (size_t)f->head->body_length < f->body.max
                                           ? (size_t)f->head->body_length
                                           : 0);
    }
    for (;;) {
        switch (ar_conn_peek(f->conn, &piece, &err)) {
        case AR_READY:
            ar_buf_str(&f->body, piece);
            ar_conn_eat(f->conn, piece.n);
            if (ar_buf_finish(&f->body) != AR_OK) {
                return ar_flow_fail(f, AR_TOO_LARGE, "the request body is over body_limit");
            }
            break;
        case AR_PENDING:
            return ar_flow_wait(f, AR_W_CLIENT, AR_NEVER); /* the connection keeps the deadline */
        case AR_ENDED:
            return ar_flow_to(f, &ar_step_outline);
        case AR_FAILED:
            f->gone = err.code == AR_CLIENT_CLOSED;
            return ar_flow_fail(f, err.code ? err.code : AR_CLIENT_CLOSED, err.note);
        }
    }
}

/* A pass-through body may name a model; anything else is opaque. */
static void outline_pass(struct ar_flow *f)
{
    struct ar_jdoc doc;
    struct ar_str type = ar_header_lit(f->head->headers, f->head->header_count, "content-type");
    f->outlined = (struct ar_outline){.max_out_tokens = -1, .body_bytes = f->body.n};
    if (ar_str_find_nocase(type, AR_LIT("json")) == type.n || f->body.n == 0 ||
        ar_json_parse(ar_buf_view(&f->body), 1, &f->arena, &doc, NULL) != AR_OK) {
        return;
    }
    struct ar_jval model = ar_json_get_lit(ar_json_root(&doc), "model");
    struct ar_str raw = ar_json_raw(model);
    if (ar_json_text(model, &f->arena, &f->outlined.model, NULL) == AR_OK) {
        f->outlined.model_at = (struct ar_span){(size_t)(raw.p - doc.src.p), raw.n};
    } else {
        f->outlined.model = (struct ar_str){NULL, 0};
    }
}

enum ar_next ar_run_outline(struct ar_flow *f)
{
    struct ar_err err = {0};
    if (f->op == AR_OP_PASS) {
        outline_pass(f);
    } else {
        enum ar_code code =
            f->dialect->outline(ar_buf_view(&f->body), &f->arena, &f->outlined, &err);
        if (code != AR_OK) {
            enum ar_next next = ar_flow_fail(f, code, err.note);
            f->fault.param =
                err.at[0] ? ar_arena_copy(&f->arena, ar_str_of(err.at)) : (struct ar_str){NULL, 0};
            return next;
        }
        struct ar_str version =
            ar_header_lit(f->head->headers, f->head->header_count, "anthropic-version");
        if (f->outlined.sampling && ar_str_is_lit(version, "2026-10-21")) {
            (void)snprintf(err.note, sizeof err.note,
                           "%s: API version 2026-10-21 has no sampling settings",
                           f->outlined.sampling);
            return ar_flow_fail(f, AR_INVALID_REQUEST, err.note);
        }
        if (f->outlined.has_thread) {
            return ar_flow_fail(
                f, AR_THREAD_UNSUPPORTED,
                "thread is not available through this gateway: send the whole history");
        }
    }
    f->record.model = f->outlined.model;
    f->wants_stream = f->op == AR_OP_GENERATE && f->outlined.stream;
    f->record.stream = f->wants_stream;
    return ar_flow_to(f, &ar_step_plan);
}

static bool is_shared(const struct ar_flow *f)
{
    struct ar_str rest = ar_str_from(f->path, sizeof "/v1/" - 1);
    const struct ar_strs *shared = &f->snapshot->config->shared_paths;
    for (unsigned i = 0; i < shared->n; i++) {
        if (ar_str_matches_glob(rest, shared->v[i])) {
            return true;
        }
    }
    return false;
}

enum ar_next ar_run_plan(struct ar_flow *f)
{
    struct ar_err err = {0};
    bool pass = f->op == AR_OP_PASS;
    struct ar_plan_ask ask = {.snapshot = f->snapshot,
                              .route = f->worker->route,
                              .rand = &f->worker->rand,
                              .client = f->dialect,
                              .model = f->outlined.model,
                              .wishes = f->outlined.wishes,
                              .models = f->outlined.models,
                              .pin = f->pin,
                              .client_keys = f->secret,
                              .any_model = pass && f->outlined.model.n == 0,
                              .callers_only = pass && !is_shared(f),
                              .as_bytes = pass,
                              .now_ms = ar_loop_now_ms(f->worker->loop)};
    enum ar_code code = ar_plan_make(&ask, &f->arena, &f->plan, &err);
    if (pass && code == AR_MODEL_NOT_FOUND && ask.any_model) {
        return fail_path(f, AR_ENDPOINT_NOT_FOUND,
                         "the gateway does not answer this path itself, and no upstream takes it");
    }
    if (pass && ask.callers_only && code == AR_KEY_MISSING) {
        return fail_path(f, AR_SCOPE_MISSING,
                         "the gateway does not answer this path itself, and passes it on only with "
                         "your own key to an upstream that takes callers' keys (shared_paths)");
    }
    if (code != AR_OK) {
        return pass ? fail_path(f, code, err.note) : ar_flow_fail(f, code, err.note);
    }
    f->ping_at_ms = f->wants_stream ? ask.now_ms + f->snapshot->config->ping_interval : AR_NEVER;
    return ar_flow_to(f, &ar_step_pick);
}

int ar_flow_bad_head(void *worker, enum ar_code code, const char *note, struct ar_str path,
                     struct ar_buf *ret_body)
{
    (void)worker;
    struct ar_fault fault = {
        .code = code, .blame = AR_OF_CALLER, .retry_after_ms = -1, .message = ar_str_of(note)};
    return dialect_of_path(normal_path(path))->encode_error(&fault, AR_LIT(""), ret_body);
}
