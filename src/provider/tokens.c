/*
 * The cache of access tokens. An entry a secret: its token and when that ends, or why there is
 * none, and at most one exchange with the token endpoint, which belongs to the entry and not to
 * whoever caused it: an attempt that ends leaves the list of those that wait, the fetch goes on. In
 * the last minutes of a token's life the next one is fetched while the old one still serves.
 * Secrets are known by their digest; of the secret itself nothing is kept but for the time of a
 * fetch. It never takes an address from a caller: only the operator's keys come here.
 */
#include "provider/tokens.h"

#include "base/clock.h"
#include "base/hash.h"
#include "http/url.h"
#include "io/loop.h"
#include "provider/google.h"

#include <stdlib.h>

enum {
    ENTRIES_MAX = 256,
    EARLY_MS = 300000, /* renewed when so little is left, or half of its life */
    SPARE_MS = 10000,  /* not used when so little is left, or a tenth of its life */
    FAILED_MS = 5000,
    CONNECT_MS = 5000,
    ANSWER_MS = 10000,
    ANSWER_MAX = 64 << 10,
    MEMORY_MAX = 1 << 20
};

struct entry {
    struct ar_node node;
    uint64_t used; /* when, by the cache's count of uses */
    struct ar_tokens *tokens;
    uint8_t digest[32];
    char *token; /* owns; NULL: none */
    size_t token_n;
    int64_t renew_ms, ends_ms, failed_until_ms;
    struct ar_err why; /* of the last failure */
    struct ar_node waiting;
    /* the fetch; x NULL: none */
    struct ar_exchange *x;
    struct ar_exchange_spec spec;
    struct ar_origin origin;
    struct ar_header headers[3];
    struct ar_str body;
    struct ar_buf answer;
    struct ar_arena arena;
    struct ar_waker waker;
    struct ar_job job;
    struct ar_timer timer;
};

struct ar_tokens {
    struct ar_loop *loop;
    struct ar_pool *pool;
    struct ar_node entries;
    unsigned count;
    uint64_t uses;
};

struct ar_tokens *ar_tokens_new(struct ar_loop *l, struct ar_pool *p)
{
    struct ar_tokens *t = calloc(1, sizeof *t);
    AR_ASSERT(t != NULL);
    t->loop = l;
    t->pool = p;
    ar_list_init(&t->entries);
    return t;
}

/* The fetch and its memory, secrets in it first. */
static void end_fetch(struct entry *e)
{
    if (e->x) {
        ar_exchange_close(e->x);
        e->x = NULL;
    }
    if (e->answer.p) {
        explicit_bzero(e->answer.p, e->answer.cap);
    }
    ar_timer_clear(e->tokens->loop, &e->timer);
    ar_job_cancel(&e->job);
    ar_buf_done(&e->answer);
    ar_arena_done(&e->arena);
}

static void drop_token(struct entry *e)
{
    if (e->token) {
        explicit_bzero(e->token, e->token_n);
        free(e->token);
        e->token = NULL;
    }
}

static void drop(struct entry *e)
{
    AR_ASSERT(ar_list_is_empty(&e->waiting));
    end_fetch(e);
    drop_token(e);
    ar_list_remove(&e->node);
    e->tokens->count--;
    free(e);
}

void ar_tokens_free(struct ar_tokens *t)
{
    while (t && !ar_list_is_empty(&t->entries)) {
        drop(AR_HOLDER(t->entries.next, struct entry, node));
    }
    free(t);
}

static void wake_all(struct entry *e)
{
    while (!ar_list_is_empty(&e->waiting)) {
        struct ar_token_wait *w = AR_HOLDER(e->waiting.next, struct ar_token_wait, node);
        ar_list_remove(&w->node);
        ar_wake(w->waker);
    }
}

/* The fetch failed: remembered, told to those that wait. */
static void fail(struct entry *e, const struct ar_err *err)
{
    e->why = *err;
    if (e->why.code != AR_UPSTREAM_CREDENTIALS) { /* the place is not to blame for its neighbour */
        e->why.code = err->code == AR_UPSTREAM_TIMEOUT ? AR_UPSTREAM_TIMEOUT : AR_UPSTREAM_ERROR;
    }
    e->failed_until_ms = ar_loop_now_ms(e->tokens->loop) + FAILED_MS;
    end_fetch(e);
    wake_all(e);
}

static void succeed(struct entry *e, struct ar_str token, int64_t lives_ms)
{
    drop_token(e);
    e->token = malloc(token.n);
    AR_ASSERT(e->token != NULL);
    memcpy(e->token, token.p, token.n);
    e->token_n = token.n;
    int64_t ends_ms = ar_loop_now_ms(e->tokens->loop) + lives_ms;
    e->renew_ms = ends_ms - (lives_ms / 2 < EARLY_MS ? lives_ms / 2 : EARLY_MS);
    e->ends_ms = ends_ms - (lives_ms / 10 < SPARE_MS ? lives_ms / 10 : SPARE_MS);
    e->failed_until_ms = 0;
    end_fetch(e);
    wake_all(e);
}

/* true: the answer is complete. */
static bool gather(struct entry *e, struct ar_answer_head *head, struct ar_err *err)
{
    struct ar_str piece;
    enum ar_poll p = ar_exchange_head(e->x, head, err);
    while (p == AR_READY && (p = ar_exchange_peek(e->x, &piece, err)) == AR_READY) {
        ar_buf_str(&e->answer, piece);
        ar_exchange_eat(e->x, piece.n);
    }
    if (p == AR_FAILED && err->code == AR_OK) {
        (void)ar_fail(err, AR_UPSTREAM_ERROR, "the exchange failed");
    }
    return p != AR_PENDING;
}

/* Something happened on the exchange. */
static void go_on(struct ar_job *j)
{
    struct entry *e = AR_HOLDER(j, struct entry, job);
    struct ar_answer_head head = {0};
    struct ar_err err = {0};
    struct ar_str token;
    int64_t lives_ms;
    if (!e->x || !gather(e, &head, &err)) {
        return;
    }
    if (err.code != AR_OK) {
        struct ar_err said = {.code = err.code};
        (void)ar_fail(&said, err.code, "no access token: %.*s: %s", AR_FMT(e->origin.host),
                      err.note);
        fail(e, &said);
    } else if (ar_google_token_read(head.status, ar_buf_view(&e->answer), &e->arena, &token,
                                    &lives_ms, &err) != AR_OK) {
        fail(e, &err);
    } else {
        succeed(e, token, lives_ms);
    }
}

static void wake(struct ar_waker *w)
{
    struct entry *e = AR_HOLDER(w, struct entry, waker);
    ar_loop_queue(e->tokens->loop, &e->job);
}

static void is_late(struct ar_timer *t)
{
    struct entry *e = AR_HOLDER(t, struct entry, timer);
    struct ar_err err = {0};
    (void)ar_fail(&err, AR_UPSTREAM_TIMEOUT, "no access token: %.*s did not answer in time",
                  AR_FMT(e->origin.host));
    fail(e, &err);
}

static bool is_loopback(struct ar_str host)
{
    return ar_str_is_lit(host, "localhost") || ar_str_has_prefix(host, AR_LIT("127.")) ||
           ar_str_is_lit(host, "::1");
}

static void start(struct entry *e)
{
    e->spec.origin = &e->origin;
    e->spec.headers = e->headers;
    e->spec.connect_ms = CONNECT_MS;
    e->spec.head_ms = e->spec.idle_ms = ANSWER_MS;
    e->spec.waker = &e->waker;
    e->x = ar_exchange_start(e->tokens->pool, &e->spec);
    ar_timer_set(e->tokens->loop, &e->timer, ar_loop_now_ms(e->tokens->loop) + 2 * ANSWER_MS);
}

/* Asks the metadata server ("Authenticate applications to Google: access tokens from the metadata
 * server"): plain HTTP inside the machine's host, never through a proxy. The header keeps other
 * people's redirects out. */
static enum ar_code begin_metadata(struct entry *e, struct ar_str host, struct ar_err *err)
{
    struct ar_url url;
    struct ar_str text = ar_arena_join(&e->arena, AR_LIT("http://"), host);
    if (!text.p || ar_url_parse(text, &url) != AR_OK) {
        return ar_fail(err, AR_UPSTREAM_CREDENTIALS, "GCE_METADATA_HOST is no host");
    }
    e->origin = (struct ar_origin){.port = url.port, .host = url.host};
    e->headers[0] = (struct ar_header){AR_LIT("metadata-flavor"), AR_LIT("Google")};
    e->headers[1] = (struct ar_header){AR_LIT("user-agent"), AR_LIT("anyrouter")};
    e->spec = (struct ar_exchange_spec){
        .method = AR_LIT("GET"),
        .target = AR_LIT("/computeMetadata/v1/instance/service-accounts/default/token"),
        .header_count = 2};
    start(e);
    return AR_OK;
}

/* Reads the key, signs and sends. */
static enum ar_code begin(struct entry *e, struct ar_str secret, const struct ar_origin *near,
                          struct ar_err *err)
{
    struct ar_google_key k;
    struct ar_url url;
    ar_arena_init(&e->arena, MEMORY_MAX);
    ar_buf_init(&e->answer, ANSWER_MAX);
    secret = ar_arena_copy(&e->arena, secret);
    if (ar_google_is_metadata(secret)) {
        return begin_metadata(e, ar_str_from(secret, sizeof AR_GOOGLE_METADATA - 1), err);
    }
    enum ar_code code = ar_google_key_read(secret, &e->arena, &k, err);
    if (code == AR_OK && ar_url_parse(k.token_uri, &url) != AR_OK) {
        code = ar_fail(err, AR_INVALID_REQUEST, "Google credentials whose token_uri is no URL");
    }
    if (code == AR_OK) {
        code = ar_google_token_body(&k, ar_clock_unix_ms() / 1000, &e->arena, &e->body, err);
    }
    if (code != AR_OK) {
        err->code = AR_UPSTREAM_CREDENTIALS;
        return err->code;
    }
    e->origin = (struct ar_origin){.tls = url.tls,
                                   .insecure = near->insecure,
                                   .port = url.port,
                                   .host = url.host,
                                   .ca_file = ar_arena_copy(&e->arena, near->ca_file)};
    if (!is_loopback(url.host)) {
        e->origin.proxy = ar_arena_copy(&e->arena, near->proxy);
    }
    e->headers[0] =
        (struct ar_header){AR_LIT("content-type"), AR_LIT("application/x-www-form-urlencoded")};
    e->headers[1] = (struct ar_header){AR_LIT("accept"), AR_LIT("application/json")};
    e->headers[2] = (struct ar_header){AR_LIT("user-agent"), AR_LIT("anyrouter")};
    e->spec = (struct ar_exchange_spec){
        .method = AR_LIT("POST"),
        .target = url.query.n > 0
                      ? ar_arena_fmt(&e->arena, "%.*s?%.*s", AR_FMT(url.path), AR_FMT(url.query))
                  : url.path.n > 0 ? url.path
                                   : AR_LIT("/"),
        .header_count = 3,
        .parts = &e->body,
        .part_count = 1};
    start(e);
    return AR_OK;
}

/* Secret by secret few are used: what a reload left behind goes when the cache is full. */
static struct entry *find(struct ar_tokens *t, struct ar_str secret)
{
    struct entry *oldest = NULL;
    uint8_t digest[32];
    ar_sha256(secret, digest);
    t->uses++;
    for (struct ar_node *n = t->entries.next; n != &t->entries; n = n->next) {
        struct entry *e = AR_HOLDER(n, struct entry, node);
        if (memcmp(e->digest, digest, sizeof digest) == 0) {
            e->used = t->uses;
            return e;
        }
        if (ar_list_is_empty(&e->waiting) && (!oldest || e->used < oldest->used)) {
            oldest = e;
        }
    }
    if (t->count >= ENTRIES_MAX && oldest) {
        drop(oldest);
    }
    struct entry *e = calloc(1, sizeof *e);
    AR_ASSERT(e != NULL);
    memcpy(e->digest, digest, sizeof digest);
    e->tokens = t;
    e->used = t->uses;
    e->waker.wake = wake;
    e->job.run = go_on;
    e->timer.fire = is_late;
    ar_list_init(&e->waiting);
    ar_list_append(&t->entries, &e->node);
    t->count++;
    return e;
}

enum ar_poll ar_tokens_get(struct ar_tokens *t, struct ar_str secret, const struct ar_origin *near,
                           struct ar_token_wait *w, struct ar_str *ret_token, struct ar_err *err)
{
    struct entry *e = find(t, secret);
    int64_t now = ar_loop_now_ms(t->loop);
    bool fails = now < e->failed_until_ms;
    if ((!e->token || now >= e->renew_ms) && !e->x && !fails) {
        struct ar_err why = {0};
        if (begin(e, secret, near, &why) != AR_OK) {
            fail(e, &why);
            fails = true;
        }
    }
    if (e->token && now < e->ends_ms) {
        *ret_token = ar_str_n(e->token, e->token_n);
        return AR_READY;
    }
    if (fails) {
        *err = e->why;
        return AR_FAILED;
    }
    if (!ar_list_is_linked(&w->node)) {
        ar_list_append(&e->waiting, &w->node);
    }
    return AR_PENDING;
}

void ar_token_leave(struct ar_token_wait *w)
{
    ar_list_remove(&w->node);
}
