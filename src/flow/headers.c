/*
 * Headers: who the caller says he is, which of his headers may travel to an upstream, which go on
 * our answer, and what an open gateway refuses so that no web page can spend the operator's money.
 * Lists are tables. Owns nothing.
 */
#include "flow/flow.h"

#include "base/id.h"
#include "http/url.h"

#include <arpa/inet.h>
#include <stdio.h>

/* Never forwarded, whatever the path: credentials, framing, our own, and what tells about the
 * caller's network. */
static const struct ar_str KEPT_HERE[] = {
    AR_LIT_INIT("authorization"),
    AR_LIT_INIT("x-api-key"),
    AR_LIT_INIT("x-goog-api-key"),
    AR_LIT_INIT("api-key"),
    AR_LIT_INIT("host"),
    AR_LIT_INIT("content-length"),
    AR_LIT_INIT("content-encoding"),
    AR_LIT_INIT("accept-encoding"),
    AR_LIT_INIT("expect"),
    AR_LIT_INIT("cookie"),
    AR_LIT_INIT("origin"),
    AR_LIT_INIT("referer"),
    AR_LIT_INIT("forwarded"),
    AR_LIT_INIT("x-forwarded-for"),
    AR_LIT_INIT("x-forwarded-proto"),
    AR_LIT_INIT("x-forwarded-host"),
    AR_LIT_INIT("x-real-ip"),
    AR_LIT_INIT("via"),
};
static const struct ar_str KEPT_PREFIXES[] = {AR_LIT_INIT("x-anyrouter-"), AR_LIT_INIT("sec-"),
                                              AR_LIT_INIT("proxy-"), AR_LIT_INIT("access-control-"),
                                              AR_LIT_INIT("cf-")};

/* Of a native answer: what clients of that vendor read. */
static const struct ar_str RELAYED[] = {
    AR_LIT_INIT("request-id"),     AR_LIT_INIT("x-request-id"), AR_LIT_INIT("openai-processing-ms"),
    AR_LIT_INIT("openai-version"), AR_LIT_INIT("openai-model"), AR_LIT_INIT("content-disposition"),
    AR_LIT_INIT("x-should-retry"), AR_LIT_INIT("location"),     AR_LIT_INIT("retry-after-ms"),
};
/* The same, where the key is the caller's own: else they are nobody's business but the operator's.
 */
static const struct ar_str RELAYED_LIMITS[] = {AR_LIT_INIT("x-ratelimit-"),
                                               AR_LIT_INIT("anthropic-ratelimit-")};
#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { RELAYED_UNTIL = AR_ANSWER_HEADERS - 8, FAULT_HEADERS = 24 };

static bool is_listed(struct ar_str name, const struct ar_str *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (name.n == list[i].n && ar_str_is_nocase(name, list[i])) {
            return true;
        }
    }
    return false;
}

static bool may_travel(struct ar_str name, struct ar_str connection)
{
    for (size_t i = 0; i < COUNT(KEPT_PREFIXES); i++) {
        if (ar_str_has_prefix_nocase(name, KEPT_PREFIXES[i])) {
            return false;
        }
    }
    return !is_listed(name, KEPT_HERE, COUNT(KEPT_HERE)) && !ar_header_is_hop(name, connection);
}

void ar_flow_travel(struct ar_flow *f, bool native)
{
    const struct ar_upstream *u = f->seat.cand->upstream;
    unsigned n = 0;
    struct ar_str connection = ar_header_lit(f->head->headers, f->head->header_count, "connection");
    f->travel = ar_arena_alloc(&f->arena, (f->head->header_count + u->conf->header_count + 2U) *
                                              sizeof *f->travel);
    f->travel_count = 0;
    if (!f->travel) {
        return; /* over the cap: the attempt's encoding fails */
    }
    bool betas = (u->provider->quirks & AR_QUIRK(BETA_HEADERS)) != 0;
    for (unsigned i = 0; native && i < f->head->header_count; i++) {
        struct ar_header h = f->head->headers[i];
        bool ok = may_travel(h.name, connection) &&
                  (betas || !ar_str_is_nocase(h.name, AR_LIT("anthropic-beta")));
        for (unsigned k = 0; ok && k < u->conf->header_count; k++) {
            ok = !ar_str_is_nocase(h.name, u->conf->headers[k].name);
        }
        if (ok) {
            f->travel[n++] = h;
        }
    }
    for (unsigned k = 0; k < u->conf->header_count; k++) {
        f->travel[n++] = (struct ar_header){u->conf->headers[k].name, u->conf->headers[k].value};
    }
    if (!ar_header_lit(f->travel, n, "user-agent").p) {
        f->travel[n++] = (struct ar_header){AR_LIT("user-agent"), AR_LIT("anyrouter")};
    }
    bool anthropic = native && f->dialect == &ar_dialect_anthropic;
    if (anthropic && !ar_header_lit(f->travel, n, "anthropic-version").p) {
        f->travel[n++] = (struct ar_header){AR_LIT("anthropic-version"), AR_LIT("2023-06-01")};
    }
    f->travel_count = n;
}

struct ar_str ar_flow_secret(const struct ar_request_head *h, struct ar_arena *a)
{
    static const struct ar_str HEADERS[] = {AR_LIT_INIT("x-api-key"), AR_LIT_INIT("authorization"),
                                            AR_LIT_INIT("x-goog-api-key"), AR_LIT_INIT("api-key")};
    for (size_t i = 0; i < COUNT(HEADERS); i++) {
        struct ar_str v = ar_header_get(h->headers, h->header_count, HEADERS[i]);
        if (i == 1 && v.p) {
            v = ar_str_has_prefix_nocase(v, AR_LIT("bearer ")) ? ar_str_from(v, 7)
                                                               : (struct ar_str){NULL, 0};
        }
        v = ar_str_trim(v);
        if (v.n > 0) {
            return v;
        }
    }
    struct ar_str key = ar_query_get(h->query, AR_LIT("key"));
    return key.n > 0 ? ar_percent_decode(key, a) : (struct ar_str){NULL, 0};
}

static void put(struct ar_header *v, unsigned *n, struct ar_str name, struct ar_str value)
{
    if (value.n > 0) {
        v[(*n)++] = (struct ar_header){name, value};
    }
}

/* A value that may stand in a header: printable ASCII. */
static struct ar_str printable(struct ar_str s, size_t max)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] > 0x7e) {
            return (struct ar_str){NULL, 0};
        }
    }
    return ar_str_head(s, max);
}

static bool is_relayed(const struct ar_flow *f, struct ar_str name)
{
    bool ok = is_listed(name, RELAYED, COUNT(RELAYED));
    bool own_key = f->seat.cand && f->seat.cand->callers_secret;
    for (size_t i = 0; own_key && !ok && i < COUNT(RELAYED_LIMITS); i++) {
        ok = ar_str_has_prefix_nocase(name, RELAYED_LIMITS[i]);
    }
    return ok;
}

static bool is_type_or_length(struct ar_str name)
{
    return ar_str_is_nocase(name, AR_LIT("content-type")) ||
           ar_str_is_nocase(name, AR_LIT("content-length"));
}

void ar_flow_keep_headers(struct ar_flow *f, struct ar_fault *fault)
{
    struct ar_str secret = f->seat.spec.secret;
    struct ar_header *kept = ar_arena_alloc(&f->arena, FAULT_HEADERS * sizeof *kept);
    unsigned n = 0;
    for (unsigned i = 0; kept && i < fault->raw_header_count && n < FAULT_HEADERS; i++) {
        const struct ar_header *h = &fault->raw_headers[i];
        if ((is_relayed(f, h->name) || is_type_or_length(h->name)) &&
            (secret.n < 4 || !ar_str_has(h->value, secret))) {
            kept[n++] = (struct ar_header){ar_arena_copy(&f->arena, h->name),
                                           ar_arena_copy(&f->arena, h->value)};
        }
    }
    fault->raw_headers = kept;
    fault->raw_header_count = n;
}

/* Of the answer that is relayed, or of the error that is told as it came. */
static void put_relayed(struct ar_flow *f, struct ar_header *v, unsigned *n)
{
    const struct ar_header *h = f->fault.raw_headers;
    unsigned count = f->fault.raw_header_count;
    bool has_id = false, is_error = !f->seat.call;
    if (!is_error) {
        struct ar_call_facts facts;
        f->seat.call->ops->facts(f->seat.call, &facts);
        h = facts.headers;
        count = facts.header_count;
    }
    for (unsigned i = 0; i < count && *n < RELAYED_UNTIL; i++) {
        if (is_error ? !is_type_or_length(h[i].name) : is_relayed(f, h[i].name)) {
            has_id |= ar_str_is_nocase(h[i].name, AR_LIT("request-id"));
            put(v, n, h[i].name, h[i].value);
        }
    }
    if (!has_id && f->dialect == &ar_dialect_anthropic) {
        put(v, n, AR_LIT("request-id"), ar_str_of(f->record.request_id));
    }
}

struct ar_str ar_flow_warnings(struct ar_flow *f)
{
    const struct ar_losses *l = f->seat.spec.losses;
    return l ? ar_arena_copy(&f->arena, ar_str_n(l->text, l->n)) : (struct ar_str){NULL, 0};
}

static void put_served(struct ar_flow *f, struct ar_header *v, unsigned *n)
{
    const struct ar_candidate *c = f->seat.cand;
    put(v, n, AR_LIT("x-anyrouter-upstream"), printable(c->upstream->name, 64));
    put(v, n, AR_LIT("x-anyrouter-model"), printable(c->model, 128));
    put(v, n, AR_LIT("x-anyrouter-attempts"), ar_arena_i64(&f->arena, c->attempt));
    put(v, n, AR_LIT("x-anyrouter-warnings"), printable(ar_flow_warnings(f), 1024));
}

unsigned ar_flow_headers(struct ar_flow *f, struct ar_str content_type, struct ar_header *v)
{
    unsigned n = 0;
    put(v, &n, AR_LIT("content-type"), content_type);
    put(v, &n, AR_LIT("x-anyrouter-request-id"), ar_str_of(f->record.request_id));
    put(v, &n, AR_LIT("x-anyrouter-trace-id"), f->record.trace_id);
    if (f->origin.n > 0) {
        put(v, &n, AR_LIT("access-control-allow-origin"), f->origin);
        put(v, &n, AR_LIT("vary"), AR_LIT("origin"));
        put(v, &n, AR_LIT("access-control-expose-headers"), AR_LIT("*"));
    }
    if (f->record.attempt_count > 0) {
        int64_t us = f->record.attempt[0]->begun_us - f->record.begun_us;
        put(v, &n, AR_LIT("x-anyrouter-overhead-us"), ar_arena_i64(&f->arena, us));
    }
    if (f->record.attempt_count > 0 && f->seat.cand) {
        put_served(f, v, &n);
    }
    if (ar_str_has_prefix(content_type, AR_LIT("text/event-stream"))) {
        put(v, &n, AR_LIT("cache-control"), AR_LIT("no-cache"));
        put(v, &n, AR_LIT("x-accel-buffering"), AR_LIT("no"));
    }
    if (f->seat.call ? f->seat.native : f->as_is && f->fault.raw_headers) {
        put_relayed(f, v, &n);
    } else if (f->dialect == &ar_dialect_anthropic) {
        put(v, &n, AR_LIT("request-id"), ar_str_of(f->record.request_id));
    } else {
        put(v, &n, AR_LIT("x-request-id"), ar_str_of(f->record.request_id));
    }
    return n;
}

/* Host header without its port. */
static struct ar_str host_of(struct ar_str host)
{
    if (host.n > 0 && host.p[0] == '[') {
        return ar_str_from(ar_str_head(host, ar_str_find_char(host, ']')), 1);
    }
    return ar_str_head(host, ar_str_find_char(host, ':'));
}

static bool is_address(struct ar_str s)
{
    char z[64];
    unsigned char bytes[16];
    if (s.n >= sizeof z) {
        return false;
    }
    memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    return inet_pton(AF_INET, z, bytes) == 1 || inet_pton(AF_INET6, z, bytes) == 1;
}

static bool is_in(const struct ar_strs *list, struct ar_str s)
{
    for (unsigned i = 0; i < list->n; i++) {
        if (ar_str_is_nocase(s, list->v[i])) {
            return true;
        }
    }
    return false;
}

enum ar_code ar_flow_guard(struct ar_flow *f, struct ar_err *err)
{
    const struct ar_config *c = f->snapshot->config;
    struct ar_str origin = ar_header_lit(f->head->headers, f->head->header_count, "origin");
    struct ar_str host = host_of(ar_header_lit(f->head->headers, f->head->header_count, "host"));
    bool allowed =
        origin.n > 0 && (is_in(&c->cors_origins, origin) || is_in(&c->cors_origins, AR_LIT("*")));
    bool spends = false; /* answers cost the operator something */
    f->origin = allowed ? origin : (struct ar_str){NULL, 0};
    for (unsigned i = 0; i < f->snapshot->upstreams->n; i++) {
        const struct ar_upstream *u = &f->snapshot->upstreams->v[i];
        unsigned free = u->provider->flags & (AR_PLACE_LOCAL | AR_PLACE_GENERATOR);
        spends |= u->key_count > 0 || free == AR_PLACE_LOCAL;
    }
    if (!spends || c->require_token) {
        return AR_OK;
    }
    /* A header with a secret makes browsers ask first; a query does not. */
    bool secret_in_header = f->secret.n > 0 && !ar_query_get(f->head->query, AR_LIT("key")).p;
    if (origin.n > 0 && !allowed && !secret_in_header) {
        return ar_fail(err, AR_ORIGIN_DENIED, "web pages of this origin are not in cors.origins");
    }
    if (host.n > 0 && !is_address(host) && !ar_str_is_nocase(host, AR_LIT("localhost")) &&
        !is_in(&c->host_names, host)) {
        return ar_fail(err, AR_ORIGIN_DENIED,
                       "the Host header is no address and not in host_names");
    }
    return AR_OK;
}
