/*
 * Steps from the commit to the end: relay, refuse, settle, record, finish. settle -> record ->
 * finish is the only way out. An answer that failed after the commit ends with the client dialect's
 * error event and without the closing chunk, so that nobody takes it for complete.
 */
#include "flow/flow.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/sse.h"

#include <stdio.h>

enum { RELAY_TURNS = 256 };

/* Hands what the sink holds to the connection. false: it is full. */
static bool pour(struct ar_flow *f)
{
    struct ar_sink *s = &f->seat.sink;
    struct ar_str rest = ar_str_from(ar_buf_view(&s->out), s->given);
    if (f->ping_rest.n > 0 && !ar_flow_end_ping(f)) {
        return false;
    }
    if (rest.n > 0) {
        size_t took = ar_conn_write(f->conn, rest);
        s->given += took;
        if (took < rest.n) {
            return false;
        }
        ar_buf_clear(&s->out);
        s->given = 0;
    }
    return true;
}

static struct ar_str answer_type(struct ar_flow *f, int *ret_status)
{
    struct ar_call_facts facts;
    *ret_status = 200;
    if (f->seat.native && f->seat.call) {
        f->seat.call->ops->facts(f->seat.call, &facts);
        bool stream = ar_str_find_nocase(facts.content_type, AR_LIT("text/event-stream")) <
                      facts.content_type.n;
        *ret_status = facts.status;
        bool reframed = f->wants_stream && f->seat.sink.framer.how == &ar_framing_json_array;
        if (!reframed && (stream || !f->wants_stream)) { /* else it is told as another kind */
            return facts.content_type;
        }
    }
    return f->wants_stream ? ar_str_of(f->seat.sink.framer.how->content_type)
                           : AR_LIT("application/json");
}

/* What a body would have, had it been asked for (RFC 9110 9.3.2); -1: not said, or of a coding that
 * we would undo. */
static int64_t head_length(const struct ar_header *h, unsigned n)
{
    int64_t length;
    struct ar_str said = ar_header_lit(h, n, "content-length"),
                  coding = ar_header_lit(h, n, "content-encoding");
    bool plain = coding.n == 0 || ar_str_is_nocase(coding, AR_LIT("identity"));
    return plain && ar_str_to_i64(said, 0, INT64_MAX, &length) == AR_OK ? length : -1;
}

/* Status and headers of an answer; length known when it is complete. */
static void open_answer(struct ar_flow *f)
{
    struct ar_header v[AR_ANSWER_HEADERS];
    int status;
    struct ar_str type = answer_type(f, &status);
    unsigned n = ar_flow_headers(f, type, v);
    int64_t length = f->seat.saw_end && !f->wants_stream ? (int64_t)f->seat.sink.out.n : -1;
    if (f->op == AR_OP_PASS && ar_str_is_lit(f->head->method, "HEAD")) {
        struct ar_call_facts facts;
        f->seat.call->ops->facts(f->seat.call, &facts);
        length = head_length(facts.headers, facts.header_count);
    }
    ar_conn_open(f->conn, status, v, n, length);
    f->record.status_sent = status;
    f->record.opened_us = f->now_us;
}

/* The attempt failed after the commit: what is out stays, the rest is an error event. */
static void break_off(struct ar_flow *f, const struct ar_event *ev)
{
    f->cut = true;
    f->fault = *ev->fault;
    f->fault.message = ar_arena_copy(&f->arena, ev->fault->message);
    struct ar_event copy = *ev;
    if (ev->raw.n == 0) { /* not on the wire yet */
        copy.raw = (struct ar_str){NULL, 0};
    }
    if (f->wants_stream && ar_sink_put(f, &copy) != AR_OK) {
        ar_buf_clear(&f->seat.sink.out); /* not even the error fits: the cut connection must tell */
    } else if (f->wants_stream && f->dialect->error_ends) {
        f->cut_told = true;
    }
}

static void ping(struct ar_flow *f)
{
    struct ar_sink *s = &f->seat.sink;
    if (s->writer && f->dialect->write_ping) {
        f->dialect->write_ping(s->writer, &s->framer);
    } else {
        s->framer.how->comment(&s->framer, AR_LIT(""));
    }
    (void)pour(f);
    ar_conn_flush(f->conn);
}

enum ar_next ar_run_relay(struct ar_flow *f)
{
    struct ar_event ev;
    if (f->commit != AR_COMMITTED) {
        f->record.committed_us = f->now_us;
        if (f->commit == AR_HELD) {
            open_answer(f);
        }
        f->commit = AR_COMMITTED;
    }
    int64_t now = ar_loop_now_ms(f->worker->loop), interval = f->snapshot->config->ping_interval;
    for (unsigned turns = 0;; turns++) {
        if (turns == RELAY_TURNS) { /* fairness: others and the sockets come first */
            return ar_flow_wait(f, AR_W_CALL | AR_W_CLIENT | AR_W_CLOCK, now);
        }
        if (ar_conn_is_gone(f->conn)) {
            f->gone = f->cut = true;
            f->fault = (struct ar_fault){
                .code = AR_CLIENT_CLOSED, .blame = AR_OF_CALLER, .retry_after_ms = -1};
            return ar_flow_to(f, &ar_step_settle);
        }
        if (f->seat.saw_end) {
            return ar_flow_to(f, &ar_step_settle);
        }
        if (!pour(f)) {
            return ar_flow_wait(f, AR_W_CLIENT, AR_NEVER); /* the connection keeps send_time */
        }
        if (!f->seat.call->ops->next(f->seat.call, &ev)) {
            break;
        }
        f->ping_at_ms = f->wants_stream ? now + interval : AR_NEVER;
        if (ev.kind == AR_EV_ERROR) {
            break_off(f, &ev);
            return ar_flow_to(f, &ar_step_settle);
        }
        f->seat.saw_end = ev.kind == AR_EV_END;
        if (ar_sink_put(f, &ev) != AR_OK) {
            struct ar_fault fault = {
                .code = AR_UPSTREAM_ERROR, .blame = AR_OF_US, .retry_after_ms = -1};
            fault.message = AR_LIT("the answer could not be carried over");
            break_off(f, &(struct ar_event){.kind = AR_EV_ERROR, .fault = &fault});
            return ar_flow_to(f, &ar_step_settle);
        }
    }
    ar_conn_flush(f->conn);
    if (now >= f->ping_at_ms) {
        ping(f);
        f->ping_at_ms = now + interval;
    }
    return ar_flow_wait(f, AR_W_CALL | AR_W_CLIENT | AR_W_CLOCK, f->ping_at_ms);
}

enum ar_next ar_run_settle(struct ar_flow *f)
{
    struct ar_seat *s = &f->seat;
    f->settled = true;
    ar_flow_fetch_end(f);
    if (s->cand && (s->call || s->counts_here) && f->plan) {
        struct ar_call_facts facts = {.status = 0};
        int64_t now = ar_loop_now_ms(f->worker->loop);
        if (s->call) {
            ar_flow_estimate(f);
            s->call->ops->facts(s->call, &facts);
        }
        bool cancelled = f->gone && !s->saw_end;
        s->rec->outcome = cancelled ? AR_CANCELLED : f->cut ? AR_CUT : AR_SERVED;
        s->rec->status = facts.status;
        s->rec->reused = facts.io.reused;
        s->rec->resent = facts.io.resent;
        s->rec->sent_us = facts.io.at_us[AR_PH_HEAD];
        s->rec->head_us = facts.io.at_us[AR_PH_BODY];
        s->rec->in_bytes = facts.io.in_bytes;
        s->rec->out_bytes = facts.io.out_bytes;
        s->rec->last_us = f->now_us;
        s->rec->usage = s->usage;
        ar_plan_report(f->plan, s->cand, cancelled || f->cut ? &f->fault : NULL,
                       ar_tokens(s->usage.in_total) + ar_tokens(s->usage.out_total), now);
        if (s->call) {
            f->record.warnings = ar_flow_warnings(f);
            s->call->ops->close(s->call);
            s->call = NULL;
        }
    }
    return ar_flow_to(f, &ar_step_record);
}

enum ar_next ar_run_record(struct ar_flow *f)
{
    struct ar_record *r = &f->record;
    r->ended_us = f->now_us;
    r->code = (int)f->fault.code;
    r->doing = f->doing;
    r->outcome = f->gone                  ? AR_CANCELLED
                 : f->cut                 ? AR_CUT
                 : f->fault.code != AR_OK ? AR_REFUSED
                                          : AR_SERVED;
    ar_record_put(f->worker->metrics, r, f->snapshot->config->log_access != 0);
    return ar_flow_to(f, &ar_step_finish);
}

enum ar_next ar_run_finish(struct ar_flow *f)
{
    if (f->conn) {
        bool gone = f->gone || ar_conn_is_gone(f->conn);
        if (!gone && f->seat.sink.out.n > 0 && !pour(f)) {
            return ar_flow_wait(f, AR_W_CLIENT | AR_W_CLOCK,
                                AR_NEVER); /* the connection keeps send_time */
        }
        ar_conn_set_waker(f->conn, NULL);
        ar_conn_end(f->conn, !gone && (!f->cut || f->cut_told));
        f->conn = NULL;
    }
    ar_sink_close(f);
    return AR_DONE;
}

/* An error in the client's dialect: envelope, status, headers. */
static void open_error(struct ar_flow *f)
{
    struct ar_header v[AR_ANSWER_HEADERS];
    struct ar_buf *out = &f->seat.sink.out;
    struct ar_fault *fault = &f->fault;
    int status;
    ar_sink_close(f);
    ar_sink_open(f);
    bool in_array = f->path_stream && f->framing == &ar_framing_json_array;
    ar_buf_put(out, "[", in_array); /* as Gemini does (PROTOCOLS 4.9) */
    bool is_head = f->op == AR_OP_PASS && ar_str_is_lit(f->head->method, "HEAD");
    struct ar_str type = AR_LIT("application/json");
    int64_t length = -1;
    if (f->as_is && fault->raw_headers && (fault->raw_body.n > 0 || is_head)) {
        ar_buf_str(out, fault->raw_body);
        status = fault->upstream_status;
        type = ar_header_lit(fault->raw_headers, fault->raw_header_count, "content-type");
        length =
            is_head ? head_length(fault->raw_headers, fault->raw_header_count) : (int64_t)out->n;
    } else {
        status = f->dialect->encode_error(fault, ar_str_of(f->record.request_id), out);
        status = f->as_is ? fault->upstream_status : status;
        length = (int64_t)out->n;
    }
    ar_buf_put(out, "]", in_array);
    length += in_array;
    unsigned n = ar_flow_headers(f, type, v);
    if (!f->as_is) {
        v[n++] =
            (struct ar_header){AR_LIT("x-anyrouter-error"), ar_str_of(ar_code_public(fault->code))};
    }
    if (fault->retry_after_ms >= 0 || status == 429 || status == 503 || status == 529) {
        int64_t ms = fault->retry_after_ms >= 0 ? fault->retry_after_ms : 5000;
        v[n++] = (struct ar_header){
            AR_LIT("retry-after"), ar_arena_fmt(&f->arena, "%lld", (long long)((ms + 999) / 1000))};
    }
    if (fault->code == AR_METHOD_NOT_ALLOWED && f->endpoint) {
        v[n++] = (struct ar_header){AR_LIT("allow"), ar_str_of(f->endpoint->methods)};
    }
    if (f->left_warnings.n > 0) {
        v[n++] = (struct ar_header){AR_LIT("x-anyrouter-warnings"), f->left_warnings};
    }
    ar_conn_open(f->conn, status, v, n, length);
    f->record.status_sent = status;
    f->record.opened_us = f->now_us;
}

enum ar_next ar_run_refuse(struct ar_flow *f)
{
    if (f->gone || ar_conn_is_gone(f->conn)) {
        f->gone = true;
    } else if (f->commit == AR_HELD) {
        open_error(f);
        f->commit = AR_COMMITTED;
    } else { /* the status is out: only an event can tell */
        ar_sink_close(f);
        ar_sink_open(f);
        break_off(f, &(struct ar_event){.kind = AR_EV_ERROR, .fault = &f->fault});
    }
    if (ar_code_status(f->fault.code) >= 500) {
        const struct ar_str none = {NULL, 0};
        const struct ar_fault *fault = &f->fault;
        bool quotes = fault->upstream_status > 0; /* an upstream's own words may quote a prompt */
        struct ar_log_pair pairs[] = {
            {"id", ar_str_of(f->record.request_id)},
            {"code", ar_str_of(ar_code_public(fault->code))},
            {"doing", ar_str_of(f->doing)},
            {"model", f->record.model},
            {"upstream", f->seat.cand ? f->seat.cand->upstream->name : none},
            {"upstream_status", fault->upstream_status > 0
                                    ? ar_arena_fmt(&f->arena, "%d", fault->upstream_status)
                                    : none},
            {"upstream_type", fault->vendor_type.n > 0 ? fault->vendor_type : none},
            {"upstream_code", fault->vendor_code.n > 0 ? fault->vendor_code : none},
            {"note", quotes ? none : fault->message}};
        ar_log_line(AR_LOG_WARN, "refused", pairs, sizeof pairs / sizeof *pairs);
    }
    return ar_flow_to(f, &ar_step_settle);
}

/* What the vendors' clients send from a web page. */
static const char WEB_HEADERS[] =
    "authorization, content-type, x-api-key, x-goog-api-key, api-key, anthropic-version, "
    "anthropic-beta, anthropic-dangerous-direct-browser-access, openai-organization, "
    "openai-project, openai-beta, idempotency-key, x-stainless-arch, x-stainless-lang, "
    "x-stainless-os, x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, "
    "x-stainless-runtime-version, x-stainless-timeout, x-stainless-helper-method, http-referer, "
    "x-title, x-anyrouter-provider, x-anyrouter-strict, x-anyrouter-trace-id";

/* Preflight of a web page (Fetch standard, CORS protocol). */
static void answer_options(struct ar_flow *f, struct ar_header *v, unsigned *n)
{
    const struct ar_config *c = f->snapshot->config;
    struct ar_err err;
    (void)!ar_flow_guard(f, &err); /* sets origin when allowed */
    v[(*n)++] =
        (struct ar_header){AR_LIT("x-anyrouter-request-id"), ar_str_of(f->record.request_id)};
    if (f->origin.n == 0) {
        return;
    }
    struct ar_str more = AR_LIT("");
    for (unsigned i = 0; i < c->cors_headers.n; i++) {
        more = ar_arena_fmt(&f->arena, "%.*s, %.*s", AR_FMT(more), AR_FMT(c->cors_headers.v[i]));
    }
    v[(*n)++] = (struct ar_header){AR_LIT("access-control-allow-origin"), f->origin};
    v[(*n)++] = (struct ar_header){AR_LIT("access-control-allow-methods"),
                                   AR_LIT("GET, POST, PUT, PATCH, DELETE, OPTIONS")};
    v[(*n)++] = (struct ar_header){AR_LIT("access-control-allow-headers"),
                                   ar_arena_fmt(&f->arena, "%s%.*s", WEB_HEADERS, AR_FMT(more))};
    v[(*n)++] =
        (struct ar_header){AR_LIT("access-control-max-age"),
                           ar_arena_fmt(&f->arena, "%lld", (long long)(c->cors_max_age / 1000))};
    v[(*n)++] = (struct ar_header){AR_LIT("vary"), AR_LIT("origin")};
}

enum ar_next ar_run_local(struct ar_flow *f)
{
    struct ar_header v[AR_ANSWER_HEADERS];
    struct ar_local_answer answer = {.status = 204};
    unsigned n = 0;
    ar_sink_open(f);
    if (ar_str_is_lit(f->head->method, "OPTIONS")) {
        answer_options(f, v, &n);
    } else {
        size_t prefix = strlen(f->endpoint->path);
        prefix -= f->endpoint->path[prefix - 1] == '*';
        struct ar_local_ask ask = {.method = f->head->method,
                                   .path = f->path,
                                   .rest = ar_str_from(f->path, prefix),
                                   .query = f->head->query,
                                   .headers = f->head->headers,
                                   .header_count = f->head->header_count,
                                   .secrets = f->secret,
                                   .arena = &f->arena,
                                   .snapshot = f->snapshot,
                                   .context = f->worker->context};
        answer = (struct ar_local_answer){
            .status = 200, .content_type = AR_LIT("application/json"), .body = &f->seat.sink.out};
        f->endpoint->run(&ask, &answer);
        if (answer.again_ms > 0 && !ar_conn_is_gone(f->conn)) {
            ar_sink_close(f);
            return ar_flow_wait(f, AR_W_CLIENT | AR_W_CLOCK,
                                ar_loop_now_ms(f->worker->loop) + answer.again_ms);
        }
        if (answer.code != AR_OK) {
            return ar_flow_fail(f, answer.code, answer.err.note);
        }
        n = ar_flow_headers(f, answer.content_type, v);
    }
    f->commit = AR_COMMITTED;
    f->record.status_sent = answer.status;
    f->record.client_dialect = "local";
    ar_conn_open(f->conn, answer.status, v, n, (int64_t)f->seat.sink.out.n);
    return ar_flow_to(f, &ar_step_settle);
}
