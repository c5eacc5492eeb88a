/*
 * The step that fetches: media by reference that the candidate cannot take by URL are got here and
 * put inline into the IR, before the attempt is launched. One after the other, the same URL once a
 * request, whatever many blocks and candidates want it.
 *
 * The URL is the caller's, so the fetch trusts nothing: http and https only, no key of anybody's,
 * no proxy (it would look names up by itself), only public addresses unless fetch_private says
 * otherwise, checked in io/ on the very address that is connected to, at every redirect. Size,
 * time, redirects and the number of objects are bounded. What fails is the caller's: no key or
 * place is blamed, it is not tried again, and the next upstream is asked that takes such a URL by
 * itself.
 *
 * Owns the exchange under way and the bytes that came; what was fetched lives in the request's
 * arena as base64. Never shows a URL in a message, only its host: its query may be a secret.
 */
#include "flow/flow.h"

#include "base/id.h"
#include "http/sse.h"
#include "http/url.h"
#include "json/scan.h"

#include <stdio.h>

enum {
    OBJECT_MAX = 20 << 20, /* bytes (PROTOCOLS 6.2, as the next two) */
    OBJECT_MS = 10000,
    REDIRECTS_MAX = 5,
    OBJECTS_MAX = 100 /* of one request */
};

struct got {
    struct got *next;
    struct ar_str url; /* esc */
    struct ar_str mime, data;
    enum ar_code code; /* not AR_OK: it failed; why: the message */
    struct ar_str why;
};
struct ar_fetch {
    struct ar_exchange *x; /* NULL: none under way */
    struct ar_exchange_spec spec;
    struct ar_origin origin;
    struct ar_header headers[2];
    struct ar_buf body;
    struct ar_block *block; /* that wants it */
    struct ar_str url;      /* what is fetched, as the caller wrote it; esc */
    struct ar_str at;       /* URL of this hop */
    const char *field;
    unsigned hops, count;
    int64_t until_ms;
    struct got *got;
};

/* --- what is wanted --- */

static bool is_wanted(const struct ar_flow *f, const struct ar_target *t, const struct ar_block *b)
{
    return (b->kind == AR_IMAGE || b->kind == AR_DOCUMENT) && b->media &&
           b->media->from == AR_FROM_URL && !f->seat.cand->dialect->takes_url(b, t);
}

/* First block of the list, or inside of one, that must be inlined. A block around it loses its wire
 * form, which has the URL. */
static struct ar_block *find_in(const struct ar_flow *f, const struct ar_target *t,
                                struct ar_block *b)
{
    for (; b; b = b->next) {
        struct ar_block *in = NULL;
        if (is_wanted(f, t, b)) {
            in = b;
        } else if (b->kind == AR_TOOL_RESULT || b->kind == AR_DOCUMENT) {
            in = find_in(f, t, b->inner);
        }
        if (in) {
            b->raw = (struct ar_str){NULL, 0};
            return in;
        }
    }
    return NULL;
}

static struct ar_block *find(const struct ar_flow *f)
{
    const struct ar_candidate *c = f->seat.cand;
    struct ar_target t = {.model = c->model,
                          .vendor = c->upstream->provider->vendor,
                          .quirks = c->upstream->provider->quirks};
    struct ar_block *b = NULL;
    bool nobody_reads =
        (c->upstream->provider->flags & AR_PLACE_GENERATOR) != 0 || ar_flow_counts_here(f, c);
    for (struct ar_turn *turn = f->request->turns; turn && !b && !nobody_reads; turn = turn->next) {
        b = find_in(f, &t, turn->blocks);
    }
    return b;
}

static void put_inline(struct ar_media *m, const struct got *g)
{
    m->from = AR_FROM_B64;
    m->mime = g->mime;
    m->data = g->data;
}

/* --- URLs --- */

/* Without fragment; bytes that no request line may have are percent-encoded. */
static struct ar_str clean_url(struct ar_str url, struct ar_arena *a)
{
    static const char HEX[] = "0123456789ABCDEF";
    url = ar_str_head(url, ar_str_find_char(url, '#'));
    char *out = ar_arena_alloc(a, 3 * url.n + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < url.n; i++) {
        unsigned char c = (unsigned char)url.p[i];
        if (c <= ' ' || c >= 0x7f) {
            out[n++] = '%';
            out[n++] = HEX[c >> 4];
            out[n++] = HEX[c & 15];
        } else {
            out[n++] = (char)c;
        }
    }
    return ar_str_n(out, n);
}

/* Length of scheme://authority. */
static size_t authority_end(struct ar_str url)
{
    size_t i = ar_str_find(url, AR_LIT("://")) + 3;
    while (i < url.n && url.p[i] != '/' && url.p[i] != '?') {
        i++;
    }
    return i < url.n ? i : url.n;
}

static bool has_scheme(struct ar_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = (char)(s.p[i] | 0x20);
        if (s.p[i] == ':') {
            return i > 0;
        }
        if (!(c >= 'a' && c <= 'z') && !(i > 0 && strchr("0123456789+-.", s.p[i]))) {
            return false;
        }
    }
    return false;
}

/* Where a Location leads from a URL (RFC 3986 5.2, dot segments are left to the server). */
static struct ar_str resolve(struct ar_str from, struct ar_str to, struct ar_arena *a)
{
    size_t path = authority_end(from), end = ar_str_find_char(from, '?');
    if (has_scheme(to)) {
        return to;
    }
    if (ar_str_has_prefix(to, AR_LIT("//"))) {
        end = ar_str_find_char(from, ':') + 1;
    } else if (ar_str_has_prefix(to, AR_LIT("/"))) {
        end = path;
    } else if (!ar_str_has_prefix(to, AR_LIT("?"))) {
        while (end > path && from.p[end - 1] != '/') {
            end--;
        }
        if (end == path) {
            return ar_arena_fmt(a, "%.*s/%.*s", AR_FMT(ar_str_head(from, path)), AR_FMT(to));
        }
    }
    return ar_arena_fmt(a, "%.*s%.*s", AR_FMT(ar_str_head(from, end)), AR_FMT(to));
}

/* --- one object --- */

/* Starts an exchange for a URL: the caller's, or a redirect's. */
static enum ar_code open_url(struct ar_flow *f, struct ar_str url, struct ar_err *err)
{
    struct ar_fetch *s = f->fetch;
    struct ar_url u;
    s->at = clean_url(url, &f->arena);
    if (ar_url_parse(s->at, &u) != AR_OK || u.host.n > 253) {
        return ar_fail(err, AR_INVALID_REQUEST, "%s: only http and https URLs can be fetched",
                       s->field);
    }
    struct ar_str target = ar_str_from(s->at, authority_end(s->at));
    if (!ar_str_has_prefix(target, AR_LIT("/"))) {
        target = ar_arena_fmt(&f->arena, "/%.*s", AR_FMT(target));
    }
    s->origin = (struct ar_origin){.tls = u.tls,
                                   .port = u.port,
                                   .host = u.host,
                                   .public_only = f->snapshot->config->fetch_private == 0};
    s->headers[0] = (struct ar_header){AR_LIT("user-agent"), AR_LIT("anyrouter")};
    s->headers[1] = (struct ar_header){AR_LIT("accept"), AR_LIT("*/*")};
    s->spec = (struct ar_exchange_spec){.origin = &s->origin,
                                        .method = AR_LIT("GET"),
                                        .target = target,
                                        .headers = s->headers,
                                        .header_count = 2,
                                        .connect_ms = OBJECT_MS,
                                        .head_ms = OBJECT_MS,
                                        .idle_ms = OBJECT_MS,
                                        .waker = &f->waker};
    ar_buf_clear(&s->body);
    s->x = ar_exchange_start(f->worker->pool, &s->spec);
    return AR_OK;
}

static void drop(struct ar_fetch *s)
{
    if (s->x) {
        ar_exchange_close(s->x);
        s->x = NULL;
    }
    ar_buf_done(&s->body);
}

void ar_flow_fetch_end(struct ar_flow *f)
{
    struct ar_fault fault = {.code = AR_CLIENT_CLOSED, .blame = AR_OF_CALLER, .retry_after_ms = -1};
    if (f->fetch && f->fetch->x) {
        drop(f->fetch);
        ar_plan_report(f->plan, f->seat.cand, &fault, 0, ar_loop_now_ms(f->worker->loop));
    }
}

/* Begins with the block's media, or takes what was fetched before. */
static enum ar_code begin(struct ar_flow *f, struct ar_block *b, struct ar_err *err)
{
    struct ar_fetch *s = f->fetch;
    struct ar_str url = b->media->data;
    s->field = f->dialect == &ar_dialect_anthropic ? "source.url"
               : b->kind == AR_IMAGE               ? "image_url"
                                                   : "file";
    (void)snprintf(err->at, sizeof err->at, "%s", s->field);
    if (ar_lose(f->seal_losses, AR_FATE_WARN, AR_INLINED, s->field,
                "the upstream does not fetch it, and it may not be sent inline") != AR_OK) {
        return ar_fail(err, AR_LOSSY, "%s: %s", s->field, f->seal_losses->why);
    }
    for (struct got *g = s->got; g; g = g->next) {
        if (ar_str_is(g->url, url) && g->code != AR_OK) {
            return ar_fail(err, g->code, "%.*s", AR_FMT(g->why));
        }
        if (ar_str_is(g->url, url)) {
            put_inline(b->media, g);
            return AR_OK;
        }
    }
    if (++s->count > OBJECTS_MAX) {
        return ar_fail(err, AR_INVALID_REQUEST, "%s: more than %d objects to fetch", s->field,
                       OBJECTS_MAX);
    }
    s->block = b;
    s->url = url;
    s->hops = 0;
    s->until_ms = ar_loop_now_ms(f->worker->loop) + OBJECT_MS;
    ar_buf_init(&s->body, OBJECT_MAX);
    return open_url(f, ar_json_unescape_in(url, &f->arena), err);
}

static enum ar_code too_big(const struct ar_fetch *s, struct ar_err *err)
{
    return ar_fail(err, AR_INVALID_REQUEST, "%s: what is behind the URL is over %d MB", s->field,
                   OBJECT_MAX >> 20);
}

/* An answer that is no object: a redirect is followed, all else fails. */
static enum ar_code follow(struct ar_flow *f, const struct ar_answer_head *h, struct ar_err *err)
{
    struct ar_fetch *s = f->fetch;
    struct ar_str to = ar_str_trim(ar_header_lit(h->headers, h->header_count, "location"));
    bool moved = h->status == 301 || h->status == 302 || h->status == 303 || h->status == 307 ||
                 h->status == 308;
    if (!moved || to.n == 0) {
        return ar_fail(err, AR_UPSTREAM_ERROR, "%s: %.*s answered %d", s->field,
                       AR_FMT(ar_str_head(s->origin.host, 60)), h->status);
    }
    if (++s->hops > REDIRECTS_MAX) {
        return ar_fail(err, AR_UPSTREAM_ERROR, "%s: more than %d redirects", s->field,
                       REDIRECTS_MAX);
    }
    to = resolve(s->at, ar_arena_copy(&f->arena, to), &f->arena);
    ar_exchange_close(s->x); /* the head was its own */
    s->x = NULL;
    return open_url(f, to, err);
}

/* Moves the object on. false: it is complete, or *ret_code failed. */
static bool is_pending(struct ar_flow *f, struct ar_answer_head *h, enum ar_code *ret_code,
                       struct ar_err *err)
{
    struct ar_fetch *s = f->fetch;
    struct ar_err why = {0};
    struct ar_str piece;
    enum ar_poll p = ar_exchange_head(s->x, h, &why);
    while (p == AR_READY && h->status != 200) {
        *ret_code = follow(f, h, err);
        if (*ret_code != AR_OK) {
            return false;
        }
        p = ar_exchange_head(s->x, h, &why);
    }
    while (p == AR_READY) {
        p = ar_exchange_peek(s->x, &piece, &why);
        if (p == AR_READY) {
            ar_buf_str(&s->body, piece);
            ar_exchange_eat(s->x, piece.n);
            if (h->length > OBJECT_MAX || ar_buf_finish(&s->body) != AR_OK) {
                *ret_code = too_big(s, err);
                return false;
            }
        }
    }
    if (p == AR_FAILED) {
        *ret_code =
            ar_fail(err, why.code ? why.code : AR_UPSTREAM_ERROR, "%s: %s", s->field, why.note);
        return false;
    }
    *ret_code = AR_OK;
    if (p == AR_PENDING && ar_loop_now_ms(f->worker->loop) >= s->until_ms) {
        *ret_code = ar_fail(err, AR_UPSTREAM_TIMEOUT, "%s: not fetched within %d s", s->field,
                            OBJECT_MS / 1000);
        return false;
    }
    return p == AR_PENDING;
}

/* What the bytes are, where they tell; else what the server says. */
static struct ar_str mime_of(struct ar_str bytes, struct ar_str said)
{
    static const struct {
        struct ar_str head, mime;
    } magic[] = {
        {AR_LIT_INIT("\x89PNG\r\n\x1a\n"), AR_LIT_INIT("image/png")},
        {AR_LIT_INIT("\xff\xd8\xff"), AR_LIT_INIT("image/jpeg")},
        {AR_LIT_INIT("GIF8"), AR_LIT_INIT("image/gif")},
        {AR_LIT_INIT("%PDF-"), AR_LIT_INIT("application/pdf")},
    };
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++) {
        if (ar_str_has_prefix(bytes, magic[i].head)) {
            return magic[i].mime;
        }
    }
    if (ar_str_has_prefix(bytes, AR_LIT("RIFF")) &&
        ar_str_has_prefix(ar_str_from(bytes, 8), AR_LIT("WEBP"))) {
        return AR_LIT("image/webp");
    }
    return ar_str_trim(ar_str_head(said, ar_str_find_char(said, ';')));
}

/* The object is complete: into the arena, the list and the block. */
static enum ar_code keep(struct ar_flow *f, const struct ar_answer_head *h, struct ar_err *err)
{
    struct ar_fetch *s = f->fetch;
    struct ar_media *m = s->block->media;
    struct ar_str bytes = ar_buf_view(&s->body), mime = mime_of(bytes, h->content_type);
    if (bytes.n == 0) {
        return ar_fail(err, AR_UPSTREAM_ERROR, "%s: there is nothing behind the URL", s->field);
    }
    if (s->block->kind == AR_IMAGE && !ar_str_has_prefix_nocase(mime, AR_LIT("image/"))) {
        return ar_fail(err, AR_INVALID_REQUEST, "%s: what is behind the URL is no image", s->field);
    }
    struct got *g = ar_arena_new(&f->arena, struct got);
    struct ar_buf text;
    ar_buf_init(&text, 2 * (size_t)OBJECT_MAX);
    ar_b64_put(&text, bytes);
    struct got fresh = {.next = s->got,
                        .url = m->data,
                        .mime = ar_arena_copy(&f->arena, mime),
                        .data = ar_arena_copy(&f->arena, ar_buf_view(&text))};
    ar_buf_done(&text);
    if (!g || ar_arena_finish(&f->arena) != AR_OK) {
        return ar_fail(err, AR_TOO_LARGE, "the request needs too much memory");
    }
    *g = fresh;
    s->got = g;
    put_inline(m, g);
    return AR_OK;
}

/* What was tried failed, and is not tried again for another candidate. */
static void keep_failure(struct ar_flow *f, enum ar_code code, const struct ar_err *err)
{
    struct ar_fetch *s = f->fetch;
    struct got *g = s->url.n > 0 ? ar_arena_new(&f->arena, struct got) : NULL;
    if (g) {
        *g = (struct got){.next = s->got, .url = s->url, .code = code};
        g->why = ar_arena_copy(&f->arena, ar_str_of(err->note));
        s->got = g;
    }
}

/* On to the next upstream: it may take the URL by itself. */
static enum ar_next leave(struct ar_flow *f, enum ar_code code, const struct ar_err *err)
{
    f->left = (struct ar_fault){.code = code, .blame = AR_OF_UPSTREAM, .retry_after_ms = -1};
    f->left.message = ar_arena_copy(&f->arena, ar_str_of(err->note));
    f->left.param = ar_arena_copy(&f->arena, ar_str_of(err->at));
    ar_plan_report(f->plan, f->seat.cand, &f->left, 0, ar_loop_now_ms(f->worker->loop));
    return ar_flow_to(f, &ar_step_pick);
}

static enum ar_next wait_on(struct ar_flow *f, int64_t now)
{
    if (now >= f->ping_at_ms) {
        ar_flow_ping(f);
    }
    int64_t until = f->fetch->until_ms < f->ping_at_ms ? f->fetch->until_ms : f->ping_at_ms;
    return ar_flow_wait(f, AR_W_CALL | AR_W_CLIENT | AR_W_CLOCK, until);
}

/* What the candidate needs next: an object under way, or the launch. */
static enum ar_code next_wanted(struct ar_flow *f, struct ar_err *err)
{
    struct ar_block *b;
    while (!(f->fetch && f->fetch->x) && (b = find(f)) != NULL) {
        if (!f->fetch) {
            f->fetch = ar_arena_new(&f->arena, struct ar_fetch);
            ar_sink_open(f); /* for keep-alives */
        }
        if (!f->fetch) {
            return ar_fail(err, AR_TOO_LARGE, "the request needs too much memory");
        }
        enum ar_code code = begin(f, b, err);
        if (code != AR_OK) {
            return code;
        }
    }
    return AR_OK;
}

enum ar_next ar_run_fetch(struct ar_flow *f)
{
    struct ar_err err = {0};
    struct ar_answer_head head;
    enum ar_code code;
    if (ar_conn_is_gone(f->conn)) {
        f->gone = true;
        f->fault = (struct ar_fault){
            .code = AR_CLIENT_CLOSED, .blame = AR_OF_CALLER, .retry_after_ms = -1};
        if (!(f->fetch && f->fetch->x)) {
            ar_plan_report(f->plan, f->seat.cand, &f->fault, 0, ar_loop_now_ms(f->worker->loop));
        }
        return ar_flow_to(f, &ar_step_settle); /* ends what is under way */
    }
    while ((code = next_wanted(f, &err)) == AR_OK) {
        if (!(f->fetch && f->fetch->x)) {
            return ar_flow_to(f, &ar_step_launch);
        }
        if (is_pending(f, &head, &code, &err)) {
            return wait_on(f, ar_loop_now_ms(f->worker->loop));
        }
        code = code == AR_OK ? keep(f, &head, &err) : code;
        if (code != AR_OK) {
            break;
        }
        drop(f->fetch);
    }
    bool is_final = !f->fetch || code == AR_LOSSY || code == AR_TOO_LARGE;
    if (f->fetch) {
        (void)snprintf(err.at, sizeof err.at, "%s", f->fetch->field);
        if (!is_final) {
            keep_failure(f, code, &err);
        }
        drop(f->fetch);
        f->fetch->url = (struct ar_str){NULL, 0};
    }
    return is_final ? ar_flow_fail_picked(f, code, &err) : leave(f, code, &err);
}
