/*
 * Steps of an attempt: pick a candidate, decode the body if it speaks another dialect, launch the
 * call, and race: pull events into the sink until one commits. A failure before the commit throws
 * the seat away and picks again; there is one way to do that (leave). They never write to the
 * client but for keep-alives.
 */
#include "flow/flow.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

#include <stdlib.h>

enum {
    HOLD_WHOLE_BYTES = 1 << 20,
    HOLD_STREAM_BYTES = 64 << 10,
    HOLD_MS = 15000,
    WHOLE_MAX = 64 << 20
};

static bool is_generator(const struct ar_candidate *c)
{
    return (c->upstream->provider->flags & AR_PLACE_GENERATOR) != 0;
}

/* What the upstream said of the operator's key is not for the client; an upstream that failed
 * without words is named with its status. */
static void describe_verdict(struct ar_flow *f)
{
    struct ar_fault *fault = &f->fault;
    if (f->as_is || !f->seat.cand) {
        return;
    }
    struct ar_str name = f->seat.cand->upstream->name;
    if (fault->code == AR_UPSTREAM_CREDENTIALS) {
        fault->message = ar_arena_fmt(
            &f->arena, "upstream %.*s refused the key that the operator configured", AR_FMT(name));
    } else if (fault->message.n == 0 && fault->upstream_status > 0) {
        fault->message = ar_arena_fmt(&f->arena, "upstream %.*s answered with status %d",
                                      AR_FMT(name), fault->upstream_status);
    }
}

enum ar_next ar_run_pick(struct ar_flow *f)
{
    const struct ar_candidate *c;
    int64_t now = ar_loop_now_ms(f->worker->loop);
    struct ar_fault left = f->left;
    f->left = (struct ar_fault){.code = AR_OK};
    if (ar_plan_next(f->plan, now, left.code == AR_OK ? NULL : &left, &c) != AR_READY) {
        ar_plan_verdict(f->plan, now, &f->fault, &f->as_is);
        describe_verdict(f);
        return ar_flow_to(f, &ar_step_refuse);
    }
    f->seat.cand = c;
    bool force_whole = c->upstream->conf->force_non_stream && f->wants_stream;
    bool foreign = f->outlined.has_envelope ||
                   (f->outlined.has_google_sig &&
                    !(c->upstream->provider->quirks & AR_QUIRK(TOOL_EXTRA_CONTENT)));
    f->seat.native = !is_generator(c) && c->dialect == f->dialect && !foreign && !force_whole &&
                     f->recalled.talk.n == 0 && /* what is said in it has to be seen here */
                     !f->recalled.is_run;       /* what it says is the gateway's to keep */
    f->seat.native |= f->op == AR_OP_PASS;
    return ar_flow_to(f, f->seat.native ? &ar_step_launch
                         : f->request   ? &ar_step_fetch
                                        : &ar_step_decode);
}

enum ar_next ar_flow_fail_picked(struct ar_flow *f, enum ar_code code, const struct ar_err *err)
{
    struct ar_fault mine = {.code = code, .blame = AR_OF_CALLER, .retry_after_ms = -1};
    ar_plan_report(f->plan, f->seat.cand, &mine, 0, ar_loop_now_ms(f->worker->loop));
    struct ar_err said = *err;
    ar_recall_place(f, &said);
    enum ar_next next = ar_flow_fail(f, code, said.note);
    f->fault.param =
        said.at[0] ? ar_arena_copy(&f->arena, ar_str_of(said.at)) : (struct ar_str){NULL, 0};
    return next;
}

enum ar_next ar_run_decode(struct ar_flow *f)
{
    struct ar_err err = {0};
    struct ar_wire_in in = {
        ar_header_lit(f->head->headers, f->head->header_count, "anthropic-version"),
        ar_header_lit(f->head->headers, f->head->header_count, "anthropic-beta"), &f->outlined.doc};
    enum ar_code code =
        f->dialect->decode_request(ar_buf_view(&f->body), &in, f->op, &f->arena, &f->request, &err);
    struct ar_losses *losses = ar_arena_new(&f->arena, struct ar_losses);
    if (!losses) {
        code = ar_fail(&err, AR_TOO_LARGE, "the request needs too much memory");
    } else if (code == AR_OK) {
        ar_flow_decoded(f);
        losses->strict = f->strict;
        code = ar_request_seal(f->request, &f->arena, losses, &err);
        if (code == AR_LOSSY) {
            (void)ar_fail(&err, code, "%s", losses->why);
            memcpy(err.at, losses->field, sizeof err.at);
        }
    }
    f->seal_losses = losses;
    if (code != AR_OK) {
        f->request = NULL;
        return ar_flow_fail_picked(f, code, &err);
    }
    return ar_flow_to(f, &ar_step_fetch);
}

static struct ar_str pass_target(struct ar_flow *f, const struct ar_candidate *c)
{
    struct ar_str path = ar_base_join(c->base, f->path, &f->arena), query = f->head->query, one;
    struct ar_str out = path;
    while (query.n > 0 && ar_str_split(&query, '&', &one)) { /* kept but for the secret */
        if (!ar_str_has_prefix(one, AR_LIT("key="))) {
            char sep = ar_str_find_char(out, '?') < out.n ? '&' : '?';
            out = ar_arena_fmt(&f->arena, "%.*s%c%.*s", AR_FMT(out), sep, AR_FMT(one));
        }
    }
    return out;
}

/* A target with the model's name where it stands for it; what could end a path is escaped (RFC 3986
 * 3.3). {model}: a slash stays; {segment}: the name is one segment of the path, spelled as AWS
 * signs it. */
static struct ar_str name_model(struct ar_flow *f, struct ar_str target, struct ar_str model)
{
    static const char HEX[] = "0123456789ABCDEF";
    if (ar_str_find_char(target, '{') == target.n) {
        return target;
    }
    struct ar_str mark = AR_LIT("{model}");
    size_t at = ar_str_find(target, mark);
    bool strict = at == target.n;
    if (strict) {
        mark = AR_LIT("{segment}");
        at = ar_str_find(target, mark);
    }
    if (at == target.n) {
        return target;
    }
    size_t cap = target.n + 3 * model.n;
    struct ar_buf b = {.p = ar_arena_alloc(&f->arena, cap), .cap = cap, .max = cap};
    if (!b.p) {
        return (struct ar_str){NULL, 0}; /* over the cap: the attempt's encoding fails */
    }
    ar_buf_str(&b, ar_str_head(target, at));
    for (size_t i = 0; i < model.n; i++) {
        unsigned char c = (unsigned char)model.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c != 0 && strchr(strict ? "-._~" : "-._~/:@", c));
        if (plain) {
            ar_buf_char(&b, (char)c);
        } else {
            char esc[3] = {'%', HEX[c >> 4], HEX[c & 15]};
            ar_buf_put(&b, esc, sizeof esc);
        }
    }
    ar_buf_str(&b, ar_str_from(target, at + mark.n));
    return ar_buf_view(&b);
}

static void fill_target(struct ar_flow *f, const struct ar_candidate *c, struct ar_target *t)
{
    *t = (struct ar_target){.model = c->model, .vendor = c->upstream->provider->vendor};
    t->quirks = c->upstream->provider->quirks;
    t->no_thinking = f->unsigned_history;
    t->stream = f->wants_stream && !c->upstream->conf->force_non_stream;
    if (f->seat.native) { /* the rest is for encoders */
        return;
    }
    enum ar_vendor place = t->vendor;
    ar_model_facts(c->model, t);
    t->vendor = t->vendor == AR_VENDOR_OTHER ? place : t->vendor;
    if (c->key) {
        t->account = ar_str_of(c->key->print);
    } else if (c->secret.n > 0) {
        char tag[9];
        ar_sha256_hex(c->secret, 8, tag);
        t->account = ar_arena_copy(&f->arena, ar_str_of(tag));
    }
    t->default_max_tokens = f->snapshot->config->default_max_tokens;
    if (t->max_out_tokens > 0 && t->default_max_tokens > t->max_out_tokens) {
        t->default_max_tokens = t->max_out_tokens;
    }
}

/* Embeddings: the body in the form that the candidate's dialect has for them. */
static enum ar_code fill_embed(struct ar_flow *f, const struct ar_candidate *c, struct ar_err *err)
{
    struct ar_call_spec *s = &f->seat.spec;
    struct ar_embed *e = f->embed;
    bool own = c->dialect == f->dialect;
    e->upstream = own                              ? e->client
                  : c->dialect == &ar_dialect_chat ? AR_EMBED_OPENAI
                                                   : AR_EMBED_GEMINI_BATCH;
    e->model = f->outlined.model;
    if (!own || f->path_model.n > 0) {
        const char *path = ar_embed_path(e->upstream);
        s->path = name_model(f, ar_base_join(c->base, ar_str_of(path), &f->arena), c->model);
    }
    if (own) {
        return AR_OK;
    }
    struct ar_buf body;
    struct ar_losses *losses = ar_arena_new(&f->arena, struct ar_losses);
    struct ar_outline *none = ar_arena_new(&f->arena, struct ar_outline);
    if (!losses || !none) {
        return ar_fail(err, AR_TOO_LARGE, "the request needs too much memory");
    }
    losses->strict = f->strict;
    ar_buf_init(&body, f->body.max * 2);
    enum ar_code code =
        ar_embed_request(e, ar_buf_view(&f->body), c->model, &f->arena, losses, &body, err);
    s->body = code == AR_OK ? ar_arena_copy(&f->arena, ar_buf_view(&body)) : s->body;
    s->outline = none; /* nothing of the client's body is left to be edited */
    s->losses = losses;
    ar_buf_done(&body);
    return code;
}

static void fill_spec(struct ar_flow *f, const struct ar_candidate *c)
{
    struct ar_call_spec *s = &f->seat.spec;
    const struct ar_conf_upstream *conf = c->upstream->conf;
    const struct ar_provider *p = c->upstream->provider;
    memset(s, 0, sizeof *s);
    s->ops = is_generator(c) ? &ar_echo_call : &ar_http_call;
    s->dialect = c->dialect;
    fill_target(f, c, &s->target);
    if (c->base) {
        s->origin = c->base->origin;
        enum ar_asked asked = f->op == AR_OP_COUNT ? AR_ASK_COUNT
                              : s->target.stream   ? AR_ASK_STREAM
                                                   : AR_ASK_WHOLE;
        s->path = f->op == AR_OP_PASS
                      ? pass_target(f, c)
                      : name_model(f, c->base->targets[c->dialect->id][asked], c->model);
    }
    s->method = f->op == AR_OP_PASS ? f->head->method : AR_LIT("POST");
    s->secret = c->secret;
    s->auth = p->auth;
    s->callers_secret = c->callers_secret;
    s->region = c->upstream->region;
    s->tokens = f->worker->tokens;
    s->flags = p->flags;
    struct ar_header auth;
    ar_auth_put(p, c->secret, c->callers_secret, &f->arena, &auth);
    s->auth_header = auth.name;
    s->auth_value = auth.value;
    s->op = f->op;
    s->native = f->seat.native;
    s->upstream_stream = s->target.stream;
    s->client_stream = f->wants_stream;
    s->keep_wishes = (p->flags & AR_PLACE_ROUTER) != 0;
    s->ask_usage = conf->ask_usage && f->seat.native && c->dialect == &ar_dialect_chat &&
                   f->wants_stream && !f->outlined.include_usage;
    s->swallow_usage = s->ask_usage;
    s->body = ar_buf_view(&f->body);
    s->outline = &f->outlined;
    s->request = f->request;
    s->headers = f->travel;
    s->header_count = f->travel_count;
    s->connect_ms = conf->connect_timeout;
    s->first_byte_ms = conf->first_byte_timeout;
    s->silence_ms = conf->stream_timeout;
    s->total_ms = conf->timeout;
    s->whole_max = WHOLE_MAX;
    s->spare = &f->answer;
    s->stamp.now_unix = ar_clock_unix_s();
    memcpy(s->stamp.seed, f->id, sizeof s->stamp.seed);
    s->arena = &f->arena;
    s->pool = f->worker->pool;
    s->loop = f->worker->loop;
    s->waker = &f->waker;
}

static void begin_record(struct ar_flow *f, const struct ar_candidate *c)
{
    struct ar_record *r = &f->record;
    unsigned at = r->attempt_count < AR_ATTEMPTS_KEPT ? r->attempt_count++ : AR_ATTEMPTS_KEPT - 1;
    if (!r->attempt[at]) {
        r->attempt[at] = at > 0 ? ar_arena_new(&f->arena, struct ar_attempt_record) : NULL;
    }
    if (!r->attempt[at]) { /* the first has a place of its own; over the cap it serves for all */
        r->attempt[at] = &f->first_attempt;
    }
    f->seat.rec = r->attempt[at];
    *f->seat.rec = (struct ar_attempt_record){.upstream = c->upstream->name,
                                              .model = c->model,
                                              .dialect = c->dialect->name,
                                              .key_print = c->key_print,
                                              .why = c->why,
                                              .begun_us = ar_loop_read_us(f->worker->loop),
                                              .native = f->seat.native};
    ar_usage_clear(&f->seat.rec->usage);
    ar_usage_clear(&f->seat.usage);
}

bool ar_flow_counts_here(const struct ar_flow *f, const struct ar_candidate *c)
{
    bool asked = (c->upstream->provider->flags & (AR_PLACE_COUNT | AR_PLACE_GENERATOR)) != 0 ||
                 c->dialect != &ar_dialect_anthropic; /* whose relays often lack it */
    bool counts = c->dialect->path_count && asked;
    return f->op == AR_OP_COUNT && !counts;
}

enum ar_next ar_run_launch(struct ar_flow *f)
{
    const struct ar_candidate *c = f->seat.cand;
    ar_flow_travel(f, f->seat.native);
    fill_spec(f, c);
    struct ar_err err = {0};
    enum ar_code code = f->embed ? fill_embed(f, c, &err) : AR_OK;
    if (code != AR_OK) {
        return ar_flow_fail_picked(f, code, &err);
    }
    if (!f->seat.native) {
        ar_flow_restore(f);
        if (ar_flow_runs_apart(f)) {
            return ar_flow_detach(f);
        }
    }
    begin_record(f, c);
    f->seat.saw_end = false;
    f->seat.counts_here = ar_flow_counts_here(f, c);
    ar_sink_open(f);
    if (!f->seat.native || f->seat.counts_here) {
        struct ar_losses *losses = ar_arena_new(&f->arena, struct ar_losses);
        if (!losses) {
            err = (struct ar_err){.note = "the request needs too much memory"};
            f->seat.counts_here = false; /* given back once, here */
            return ar_flow_fail_picked(f, AR_TOO_LARGE, &err);
        }
        losses->strict = f->strict;
        f->seat.spec.losses = losses;
        if (f->seal_losses) {
            ar_losses_merge(losses, f->seal_losses);
        }
    }
    f->seat.call = f->seat.counts_here ? NULL : f->seat.spec.ops->start(&f->seat.spec);
    f->hold_until_ms = AR_NEVER;
    return ar_flow_to(f, &ar_step_race);
}

/* The upstream does not take a signature of the history's thinking (PROTOCOLS 9.2): once more
 * without, on translated paths. */
static bool is_signature(const struct ar_flow *f)
{
    struct ar_str said = f->left.message;
    bool thinks = ar_str_has(said, AR_LIT("thinking")) || ar_str_has(said, AR_LIT("thought"));
    return f->left.upstream_status == 400 && !f->seat.native && !f->unsigned_history &&
           ((thinks && ar_str_has(said, AR_LIT("signature"))) ||
            ar_str_has(said, AR_LIT("invalid_encrypted_content")) ||
            ar_str_is_lit(f->left.vendor_code, "invalid_encrypted_content"));
}

/* The upstream's own words for a client of its dialect: only what is an error of it; bytes that are
 * passed through are whatever they are. */
static bool may_relay(const struct ar_flow *f, struct ar_str body)
{
    const struct ar_candidate *c = f->seat.cand;
    bool same =
        c->dialect == f->dialect && (f->dialect != &ar_dialect_anthropic ||
                                     !(c->upstream->provider->quirks & AR_QUIRK(OPENAI_ERRORS)));
    return f->op == AR_OP_PASS || (same && ar_str_has_prefix(ar_str_trim(body), AR_LIT("{")));
}

/* A key of the operator's that an upstream does not take is his to know of, even when another one
 * served the request. */
static void tell_operator(struct ar_flow *f)
{
    const struct ar_candidate *c = f->seat.cand;
    const struct ar_str none = {NULL, 0};
    if (f->left.code != AR_UPSTREAM_CREDENTIALS || c->callers_secret) {
        return;
    }
    struct ar_log_pair pairs[] = {
        {"id", ar_str_of(f->record.request_id)},
        {"upstream", c->upstream->name},
        {"key", ar_str_of(c->key_print)},
        {"status", f->left.upstream_status > 0
                       ? ar_arena_fmt(&f->arena, "%d", f->left.upstream_status)
                       : none},
        {"type", f->left.vendor_type.n > 0 ? f->left.vendor_type : none},
        {"code", f->left.vendor_code.n > 0 ? f->left.vendor_code : none},
        {"note", f->left.upstream_status == 403 ? none : f->left.message}}; /* may quote a prompt */
    ar_log_line(AR_LOG_WARN, "key_refused", pairs, sizeof pairs / sizeof *pairs);
}

/* The seat failed before the commit: its bytes were never seen. */
static enum ar_next leave(struct ar_flow *f, const struct ar_fault *fault)
{
    struct ar_call_facts facts = {.status = 0};
    f->left = *fault; /* copied: the call's memory goes */
    f->left.message = ar_arena_copy(&f->arena, fault->message);
    if (fault->raw_headers && may_relay(f, fault->raw_body)) {
        f->left.raw_body = ar_arena_copy(&f->arena, fault->raw_body);
        ar_flow_keep_headers(f, &f->left);
    } else {
        f->left.raw_body = (struct ar_str){NULL, 0};
        f->left.raw_headers = NULL;
    }
    f->left.param = fault->param.p ? ar_arena_copy(&f->arena, fault->param) : fault->param;
    f->left.vendor_type =
        fault->vendor_type.p ? ar_arena_copy(&f->arena, fault->vendor_type) : fault->vendor_type;
    f->left.vendor_code =
        fault->vendor_code.p ? ar_arena_copy(&f->arena, fault->vendor_code) : fault->vendor_code;
    f->left.details = fault->details.p ? ar_arena_copy(&f->arena, fault->details) : fault->details;
    if (f->seat.call) {
        f->seat.call->ops->facts(f->seat.call, &facts);
        f->seat.call->ops->close(f->seat.call);
        f->seat.call = NULL;
    }
    f->seat.rec->outcome = AR_FAILED_OVER;
    f->seat.rec->status = facts.status;
    f->seat.rec->left_because = ar_code_public(f->left.code);
    f->seat.rec->last_us = f->now_us;
    f->seat.rec->usage = f->seat.usage;
    ar_sink_close(f);
    f->left_warnings = ar_flow_warnings(f);
    tell_operator(f);
    if (is_signature(f)) {
        f->unsigned_history = true;
        ar_flow_forget(f);
        f->left = (struct ar_fault){.code = AR_OK};
        return ar_flow_to(f, &ar_step_launch);
    }
    ar_plan_report(f->plan, f->seat.cand, &f->left, 0, ar_loop_now_ms(f->worker->loop));
    return ar_flow_to(f, &ar_step_pick);
}

bool ar_flow_end_ping(struct ar_flow *f)
{
    f->ping_rest = ar_str_from(f->ping_rest, ar_conn_write(f->conn, f->ping_rest));
    return f->ping_rest.n == 0;
}

/* A frame that is half out is ended before the next begins, even if an attempt's bytes are next. */
static void put_ping(struct ar_flow *f)
{
    struct ar_buf b;
    struct ar_framer framer = {.how = f->seat.sink.framer.how, .out = &b};
    ar_buf_init(&b, 256);
    framer.how->comment(&framer, AR_LIT(""));
    struct ar_str rest = ar_buf_view(&b);
    size_t took = ar_conn_write(f->conn, rest);
    if (took > 0 && took < rest.n) {
        f->ping_rest = ar_arena_copy(&f->arena, ar_str_from(rest, took));
    }
    ar_buf_done(&b);
}

void ar_flow_ping(struct ar_flow *f)
{
    struct ar_sink *s = &f->seat.sink;
    if (f->commit == AR_HELD) {
        struct ar_header v[AR_ANSWER_HEADERS];
        unsigned n = ar_flow_headers(
            f, s->framer.how->content_type ? ar_str_of(s->framer.how->content_type) : AR_LIT(""),
            v);
        ar_conn_open(f->conn, 200, v, n, -1);
        f->commit = AR_OPENED;
        f->record.status_sent = 200;
        f->record.opened_us = f->now_us;
    }
    if (ar_flow_end_ping(f)) {
        put_ping(f);
    }
    ar_conn_flush(f->conn);
    f->ping_at_ms = ar_loop_now_ms(f->worker->loop) + f->snapshot->config->ping_interval;
}

/* Where no upstream counts: an estimate that says so (P-194). */
static enum ar_next estimate_count(struct ar_flow *f)
{
    f->seat.usage.in_total = (int64_t)(f->body.n / 4 + 1);
    f->seat.usage.estimated = true;
    if (!f->seat.spec.losses) {
        f->seat.spec.losses = ar_arena_new(&f->arena, struct ar_losses);
    }
    ar_note(f->seat.spec.losses, AR_APPROXIMATED, "input_tokens");
    f->dialect->encode_count(f->seat.usage.in_total, &f->seat.sink.out);
    f->seat.saw_end = true;
    return ar_flow_to(f, &ar_step_relay);
}

/* The place serves the model but has no such path. */
static bool has_no_count(const struct ar_fault *fault)
{
    int status = fault->upstream_status;
    return status == 404 || status == 405 || status == 501;
}

static bool is_commit(struct ar_flow *f, const struct ar_event *ev, int64_t now)
{
    size_t held = f->seat.sink.out.n;
    if (f->embed) { /* counted, and perhaps told in another form */
        return ev->kind == AR_EV_END;
    }
    if (f->op == AR_OP_PASS) {
        return held >= HOLD_STREAM_BYTES || ev->kind == AR_EV_END ||
               (f->seat.spec.relays_stream && held > 0);
    }
    if (!f->wants_stream) {
        return ev->kind == AR_EV_END || held >= HOLD_WHOLE_BYTES;
    }
    if (f->hold_until_ms == AR_NEVER) {
        f->hold_until_ms = now + HOLD_MS;
    }
    return ar_event_commits(ev) || held >= HOLD_STREAM_BYTES ||
           (now >= f->hold_until_ms && held > 0);
}

enum ar_next ar_run_race(struct ar_flow *f)
{
    struct ar_event ev;
    int64_t now = ar_loop_now_ms(f->worker->loop);
    if (f->seat.counts_here) {
        return estimate_count(f);
    }
    if (ar_conn_is_gone(f->conn)) {
        f->gone = true;
        f->fault = (struct ar_fault){
            .code = AR_CLIENT_CLOSED, .blame = AR_OF_CALLER, .retry_after_ms = -1};
        return ar_flow_to(f, &ar_step_settle);
    }
    while (f->seat.call->ops->next(f->seat.call, &ev)) {
        if (ev.kind == AR_EV_ERROR && f->op == AR_OP_COUNT && has_no_count(ev.fault)) {
            f->seat.call->ops->close(f->seat.call);
            f->seat.call = NULL;
            f->seat.native = false;
            f->seat.counts_here = true;
            return estimate_count(f);
        }
        if (ev.kind == AR_EV_ERROR) {
            return leave(f, ev.fault);
        }
        enum ar_code code = ar_sink_put(f, &ev);
        if (code != AR_OK) {
            struct ar_fault fault = {.code = code == AR_LOSSY ? code : AR_UPSTREAM_ERROR,
                                     .blame = code == AR_LOSSY ? AR_OF_CALLER : AR_OF_PLACE,
                                     .retry_after_ms = -1,
                                     .message =
                                         AR_LIT("the upstream's answer could not be carried over")};
            return leave(f, &fault);
        }
        f->seat.saw_end |= ev.kind == AR_EV_END;
        if (is_commit(f, &ev, now)) {
            f->seat.rec->first_event_us = f->now_us;
            return ar_flow_to(f, &ar_step_relay);
        }
    }
    if (now >= f->hold_until_ms && f->seat.sink.out.n > 0) {
        return ar_flow_to(f, &ar_step_relay);
    }
    if (now >= f->ping_at_ms) {
        ar_flow_ping(f);
    }
    int64_t until = f->ping_at_ms;
    if (f->hold_until_ms < until && f->seat.sink.out.n > 0) {
        until = f->hold_until_ms;
    }
    return ar_flow_wait(f, AR_W_CALL | AR_W_CLIENT | AR_W_CLOCK, until);
}
