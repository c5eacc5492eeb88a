/*
 * Proofs of places that want more than a header. Google: an access token that is fetched with a
 * service account's key and kept. AWS: a signature over the whole request, or a plain API key. A
 * secret that a caller brought is never read as a service account's key, because such a key names
 * the address that it is sent to. Owns nothing.
 */
#include "provider/auth.h"

#include "provider/google.h"
#include "vault/sigv4.h"

static void add(struct ar_auth_job *j, struct ar_str name, struct ar_str value)
{
    AR_ASSERT(j->add_count < AR_AUTH_ADDS);
    j->add[j->add_count++] = (struct ar_header){name, value};
}

static enum ar_code add_bearer(struct ar_auth_job *j, struct ar_str token, struct ar_err *err)
{
    struct ar_str value = ar_arena_join(j->arena, AR_LIT("Bearer "), token);
    if (!value.p) {
        return ar_fail(err, AR_TOO_LARGE, "the request needs too much memory");
    }
    add(j, AR_LIT("authorization"), value);
    return AR_OK;
}

/* --- Google --- */

static enum ar_poll google_prepare(struct ar_auth_job *j, struct ar_err *err)
{
    const struct ar_call_spec *s = j->spec;
    struct ar_str token = s->secret;
    enum ar_poll p = AR_READY;
    if (!s->callers_secret && s->tokens &&
        (ar_google_is_key(s->secret) || ar_google_is_metadata(s->secret))) {
        j->wait.waker = s->waker;
        p = ar_tokens_get(s->tokens, s->secret, &s->origin, &j->wait, &token, err);
    }
    if (p == AR_READY) {
        j->token = ar_arena_copy(j->arena, token);
    }
    return p;
}

static enum ar_code google_sign(struct ar_auth_job *j, struct ar_err *err)
{
    j->masks[0] = j->token;
    return add_bearer(j, j->token, err);
}

const struct ar_auth_scheme ar_auth_google = {
    .name = "google", .prepare = google_prepare, .sign = google_sign};

/* --- AWS --- */

/* ID:SECRET[:SESSION TOKEN]; anything without a colon is an API key. */
struct aws_key {
    struct ar_str id, secret, session;
};
static bool split_key(struct ar_str secret, struct aws_key *ret)
{
    size_t at = ar_str_find_char(secret, ':');
    struct ar_str rest = ar_str_from(secret, at + 1);
    *ret = (struct aws_key){.id = ar_str_head(secret, at)};
    at = ar_str_find_char(rest, ':');
    ret->secret = ar_str_head(rest, at);
    ret->session = ar_str_from(rest, at + 1);
    return ret->id.n > 0 && ret->secret.n > 0;
}

/* What a host's first label says: bedrock-runtime signs as bedrock. */
static struct ar_str service_of(struct ar_str host)
{
    struct ar_str first = ar_str_head(host, ar_str_find_char(host, '.'));
    return ar_str_is_lit(first, "bedrock-mantle") ? first : AR_LIT("bedrock");
}

/* The region that an address of AWS itself names (bedrock-runtime.eu-west-1.amazonaws.com) is the
 * one to sign for; behind other addresses it is the configured one. */
static struct ar_str region_of(const struct ar_call_spec *s)
{
    struct ar_str rest = s->origin.host, first, region;
    bool aws =
        ar_str_has_prefix(rest, AR_LIT("bedrock-")) &&
        (ar_str_has(rest, AR_LIT(".amazonaws.com")) || ar_str_has_suffix(rest, AR_LIT(".api.aws")));
    return aws && ar_str_split(&rest, '.', &first) && ar_str_split(&rest, '.', &region) ? region
                                                                                        : s->region;
}

/* The Host header as it goes out: with the port unless it is the scheme's own. */
static struct ar_str host_of(const struct ar_origin *o, struct ar_arena *a)
{
    bool six = ar_str_find_char(o->host, ':') < o->host.n;
    struct ar_str host = six ? ar_arena_fmt(a, "[%.*s]", AR_FMT(o->host)) : o->host;
    return o->port == (o->tls ? 443 : 80) ? host
                                          : ar_arena_fmt(a, "%.*s:%u", AR_FMT(host), o->port);
}

static enum ar_code aws_sign(struct ar_auth_job *j, struct ar_err *err)
{
    const struct ar_call_spec *s = j->spec;
    struct aws_key key;
    char date[17];
    if (!split_key(s->secret, &key)) {
        return add_bearer(j, s->secret, err);
    }
    j->masks[0] = key.secret;
    j->masks[1] = key.session;
    ar_sigv4_date(j->now_unix, date);
    struct ar_str stamp = ar_arena_copy(j->arena, ar_str_of(date));
    add(j, AR_LIT("host"), host_of(&s->origin, j->arena));
    add(j, AR_LIT("x-amz-date"), stamp);
    if (key.session.n > 0) {
        add(j, AR_LIT("x-amz-security-token"), key.session);
    }
    struct ar_sigv4_header signs[AR_AUTH_ADDS];
    for (unsigned i = 0; i < j->add_count; i++) {
        signs[i] = (struct ar_sigv4_header){j->add[i].name, j->add[i].value};
    }
    size_t at = ar_str_find_char(s->path, '?');
    struct ar_sigv4_ask ask = {.access_key = key.id,
                               .secret_key = key.secret,
                               .region = region_of(s),
                               .service = service_of(s->origin.host),
                               .now_unix = j->now_unix,
                               .method = s->method,
                               .path = ar_str_head(s->path, at),
                               .query = ar_str_from(s->path, at + 1),
                               .headers = signs,
                               .header_count = j->add_count,
                               .parts = j->parts,
                               .part_count = j->part_count};
    struct ar_str value = ar_sigv4_sign(&ask, j->arena);
    if (!value.p || !stamp.p) {
        return ar_fail(err, AR_UPSTREAM_CREDENTIALS, "the request cannot be signed with this key");
    }
    add(j, AR_LIT("authorization"), value);
    return AR_OK;
}

const struct ar_auth_scheme ar_auth_aws = {.name = "aws", .sign = aws_sign};
