/*
 * Steps from the first byte to the plan: what path it is, who asks, the body, its outline. They own
 * nothing beyond the flow and never talk to an upstream.
 */
#include "flow/flow.h"
#include "flow/paths.h"

#include "http/sse.h"
#include "json/scan.h"

#include <stdio.h>

/* A path that is none of ours is named. */
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
    f->path = ar_path_normal(f->head->path);
    f->dialect = ar_path_dialect(f->path);
    f->framing = &ar_framing_sse;
    f->record.client_dialect = f->dialect->name;
    struct ar_str trace =
        ar_header_lit(f->head->headers, f->head->header_count, "x-anyrouter-trace-id");
    for (size_t i = 0; i < trace.n; i++) {
        trace.n = trace.p[i] < 0x21 || trace.p[i] > 0x7e ? 0 : trace.n;
    }
    f->record.trace_id = ar_str_head(trace, 128);
    if (f->head->upgrade_ws && ar_str_is_lit(method, "GET") &&
        ar_str_is_lit(f->path, "/v1/responses")) {
        f->op = AR_OP_STATE;
        return ar_flow_to(f, &ar_step_authenticate);
    }
    if (f->head->upgrade_ws) {
        return ar_flow_fail(f, AR_UPGRADE_REQUIRED, "WebSocket is not offered here; use HTTP");
    }
    const struct ar_endpoint *e = ar_path_find(f->worker->endpoints, f->path, method, &takes);
    f->endpoint = e;
    if (ar_str_is_lit(method, "OPTIONS") &&
        ar_header_lit(f->head->headers, f->head->header_count, "origin").p) {
        return ar_flow_to(f, &ar_step_local);
    }
    if (e && !takes && !(e->vendor_methods && ar_method_is_in(e->vendor_methods, method))) {
        char note[96];
        (void)snprintf(note, sizeof note, "this path takes %s", e->methods);
        return ar_flow_fail(f, AR_METHOD_NOT_ALLOWED, note);
    }
    if (e && takes) {
        f->op = (enum ar_op)e->op;
        f->dialect = e->run ? f->dialect : ar_dialect_by_id(e->dialect);
        if (e->run || ar_path_asks(f)) {
            return ar_flow_to(f, &ar_step_authenticate);
        }
    }
    f->endpoint = NULL;
    f->op = AR_OP_PASS;
    if (!ar_path_is_api(f->path) || ar_path_climbs(f->path, &f->arena)) {
        return fail_path(f, AR_ENDPOINT_NOT_FOUND,
                         "there is no such path; the API is below /v1 and /v1beta");
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
    return ar_flow_to(f, f->endpoint && f->endpoint->run ? &ar_step_local
                         : f->head->upgrade_ws           ? &ar_step_socket
                                                         : &ar_step_read_body);
}

enum ar_next ar_run_read_body(struct ar_flow *f)
{
    struct ar_err err = {0};
    if (f->head->body_length > 0 && f->body.cap == 0) {
        (void)ar_buf_reserve(&f->body, (size_t)f->head->body_length < f->body.max
                                           ? (size_t)f->head->body_length
                                           : 0);
    }
    switch (ar_conn_read(f->conn, &f->body, &err)) {
    case AR_PENDING:
        return ar_flow_wait(f, AR_W_CLIENT, AR_NEVER); /* the connection keeps the deadline */
    case AR_ENDED:
        return ar_flow_to(f, f->op == AR_OP_STATE ? &ar_step_stored : &ar_step_outline);
    default:
        f->gone = err.code == AR_CLIENT_CLOSED;
        return ar_flow_fail(f, err.code ? err.code : AR_CLIENT_CLOSED, err.note);
    }
}

/* A pass-through body may name a model; anything else is opaque. */
static void outline_pass(struct ar_flow *f)
{
    struct ar_jdoc doc;
    struct ar_str type = ar_header_lit(f->head->headers, f->head->header_count, "content-type");
    f->outlined =
        (struct ar_outline){.max_out_tokens = -1, .body_bytes = f->body.n, .model = f->path_model};
    bool is_json = f->embed || ar_str_find_nocase(type, AR_LIT("json")) < type.n;
    if (f->path_model.n > 0 || !is_json || f->body.n == 0 ||
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
    if (f->path_model.n > 0) {
        f->outlined.model = f->path_model;
        f->outlined.stream = f->path_stream;
    }
    f->record.model = f->outlined.model;
    f->wants_stream = f->op == AR_OP_GENERATE && f->outlined.stream;
    f->record.stream = f->wants_stream;
    return ar_flow_to(f, f->dialect == &ar_dialect_responses && f->op != AR_OP_PASS
                             ? &ar_step_recall
                             : &ar_step_plan);
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
                              .only_key = f->recalled.only_key,
                              .client_keys = f->secret,
                              .any_model = pass && f->outlined.model.n == 0,
                              .callers_only = pass && !f->embed && !is_shared(f) &&
                                              !ar_recalled_is_open(&f->recalled),
                              .as_bytes = pass,
                              .embeds = f->embed != NULL,
                              .now_ms = ar_loop_now_ms(f->worker->loop)};
    enum ar_code code = ar_plan_make(&ask, &f->arena, &f->plan, &err);
    if (f->embed && ask.any_model) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "model: must be a non-empty string");
    }
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
    return ar_path_dialect(ar_path_normal(path))->encode_error(&fault, AR_LIT(""), ret_body);
}
