/*
 * Google's credentials: a service account signs a statement about itself (a JSON Web Token), a
 * signed-in user shows his refresh token, and either is exchanged for an access token. Here is what
 * is sent and what is understood; who sends it and when is tokens.c. Owns nothing. No secret goes
 * into an error's note.
 */
#include "provider/google.h"

#include "json/scan.h"
#include "json/write.h"
#include "vault/sign.h"

#define SCOPE "https://www.googleapis.com/auth/cloud-platform"
enum { TOKEN_SECONDS = 3600, BODY_MAX = 64 << 10 };

static enum ar_code text(struct ar_jval root, const char *name, bool must, struct ar_arena *a,
                         struct ar_str *ret, struct ar_err *err)
{
    struct ar_jval v = ar_json_get(root, ar_str_of(name));
    if (!ar_json_is(v, AR_J_STRING)) {
        *ret = (struct ar_str){"", 0};
    } else if (ar_json_text(v, a, ret, NULL) != AR_OK) {
        return ar_fail(err, AR_TOO_LARGE, "the credentials are too large");
    }
    return must && ret->n == 0
               ? ar_fail(err, AR_INVALID_REQUEST, "Google credentials without %s", name)
               : AR_OK;
}

enum ar_code ar_google_key_read(struct ar_str json, struct ar_arena *a, struct ar_google_key *ret,
                                struct ar_err *err)
{
    struct ar_jdoc doc;
    struct ar_google_key k = {.of_user = false};
    if (json.n > BODY_MAX || ar_json_parse(json, AR_JSON_DEPTH, a, &doc, NULL) != AR_OK) {
        return ar_fail(err, AR_INVALID_REQUEST, "Google credentials that are no JSON");
    }
    struct ar_jval root = ar_json_root(&doc);
    struct ar_str type;
    enum ar_code code = text(root, "type", true, a, &type, err);
    k.of_user = ar_str_is_lit(type, "authorized_user");
    if (code == AR_OK && !k.of_user && !ar_str_is_lit(type, "service_account")) {
        return ar_fail(err, AR_INVALID_REQUEST,
                       "Google credentials of a type that is not known: service_account and "
                       "authorized_user are");
    }
    const struct {
        const char *name;
        bool of_user;
        struct ar_str *to;
    } MUST[] = {
        {"client_email", false, &k.email},         {"private_key", false, &k.pem},
        {"token_uri", false, &k.token_uri},        {"client_id", true, &k.client_id},
        {"client_secret", true, &k.client_secret}, {"refresh_token", true, &k.refresh_token}};
    for (unsigned i = 0; code == AR_OK && i < sizeof MUST / sizeof *MUST; i++) {
        if (MUST[i].of_user == k.of_user) {
            code = text(root, MUST[i].name, true, a, MUST[i].to, err);
        }
    }
    const struct {
        const char *name;
        struct ar_str *to;
    } MAY[] = {{"private_key_id", &k.id},
               {k.of_user ? "quota_project_id" : "project_id", &k.project},
               {"token_uri", &k.token_uri}};
    for (unsigned i = 0; code == AR_OK && i < sizeof MAY / sizeof *MAY; i++) {
        code = text(root, MAY[i].name, false, a, MAY[i].to, err);
    }
    if (k.token_uri.n == 0) {
        k.token_uri = AR_LIT("https://oauth2.googleapis.com/token");
    }
    if (code == AR_OK) {
        *ret = k;
    }
    return code;
}

/* The statement of a service account about itself. */
static enum ar_code put_assertion(const struct ar_google_key *k, int64_t now, struct ar_buf *out,
                                  struct ar_err *err)
{
    struct ar_buf header, claims;
    ar_buf_init(&header, BODY_MAX);
    ar_buf_init(&claims, BODY_MAX);
    struct ar_jw w = ar_jw_on(&header);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "alg", "RS256");
    ar_jw_key_lit(&w, "typ", "JWT");
    if (k->id.n > 0) {
        ar_jw_key_text(&w, "kid", k->id);
    }
    ar_jw_close(&w, '}');
    w = ar_jw_on(&claims);
    ar_jw_open(&w, '{');
    ar_jw_key_text(&w, "iss", k->email);
    ar_jw_key_lit(&w, "scope", SCOPE);
    ar_jw_key_text(&w, "aud", k->token_uri);
    ar_jw_key_i64(&w, "iat", now);
    ar_jw_key_i64(&w, "exp", now + TOKEN_SECONDS);
    ar_jw_close(&w, '}');
    enum ar_code code = ar_jwt_rs256(ar_buf_view(&header), ar_buf_view(&claims), k->pem, out, err);
    ar_buf_done(&header);
    ar_buf_done(&claims);
    return code;
}

enum ar_code ar_google_token_body(const struct ar_google_key *k, int64_t now_unix,
                                  struct ar_arena *a, struct ar_str *ret, struct ar_err *err)
{
    struct ar_buf out;
    enum ar_code code = AR_OK;
    ar_buf_init(&out, BODY_MAX);
    if (k->of_user) {
        ar_buf_lit(&out, "grant_type=refresh_token&client_id=");
        ar_percent_encode(k->client_id, false, &out);
        ar_buf_lit(&out, "&client_secret=");
        ar_percent_encode(k->client_secret, false, &out);
        ar_buf_lit(&out, "&refresh_token=");
        ar_percent_encode(k->refresh_token, false, &out);
    } else {
        ar_buf_lit(&out,
                   "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
        code = put_assertion(k, now_unix, &out, err);
    }
    if (code == AR_OK && ar_buf_finish(&out) == AR_OK) {
        *ret = ar_arena_copy(a, ar_buf_view(&out));
        code = ret->p ? AR_OK : ar_fail(err, AR_TOO_LARGE, "the token request is too large");
    }
    ar_buf_done(&out);
    return code;
}

enum ar_code ar_google_token_read(int status, struct ar_str body, struct ar_arena *a,
                                  struct ar_str *ret_token, int64_t *ret_lives_ms,
                                  struct ar_err *err)
{
    struct ar_jdoc doc;
    struct ar_jval root = {NULL, 0};
    struct ar_str token = {NULL, 0}, why = {"", 0}, more = {"", 0};
    int64_t seconds = 0;
    if (ar_json_parse(body, AR_JSON_DEPTH, a, &doc, NULL) == AR_OK) {
        root = ar_json_root(&doc);
    }
    if (status == 200 &&
        ar_json_text(ar_json_get_lit(root, "access_token"), a, &token, NULL) == AR_OK &&
        token.n > 0) {
        bool said = ar_json_i64(ar_json_get_lit(root, "expires_in"), &seconds, NULL) == AR_OK &&
                    seconds > 0 && seconds <= 86400;
        *ret_token = token;
        *ret_lives_ms = (said ? seconds : TOKEN_SECONDS) * 1000;
        return AR_OK;
    }
    (void)text(root, "error", false, a, &why, NULL);
    (void)text(root, "error_description", false, a, &more, NULL);
    bool refused = status >= 400 && status < 500 && status != 408 && status != 429;
    return ar_fail(err, refused ? AR_UPSTREAM_CREDENTIALS : AR_UPSTREAM_ERROR,
                   "no access token: the token endpoint answered %d %.*s%s%.*s", status,
                   AR_FMT(ar_str_head(why, 40)), more.n > 0 ? ": " : "",
                   AR_FMT(ar_str_head(more, 80)));
}
