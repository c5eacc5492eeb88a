/*
 * Clouds while a configuration is loaded. A key of Google's may be the path of a JSON file: it is
 * read here, once, so that a broken one is told before the start and no request ever waits for a
 * disk; a service account also says which project it belongs to. Regions fill the marks in base
 * URLs and paths. The environment's customary variables stand in for what an upstream does not say,
 * only for upstreams of that cloud. Owns nothing; memory is the configuration's.
 */
#include "provider/cloud.h"

#include "provider/google.h"
#include "vault/sign.h"

#include <errno.h>
#include <stdio.h>

enum { FILE_MAX = 64 << 10 };

static const char *env(const char *(*getenv_fn)(const char *), const char *name)
{
    const char *v = getenv_fn(name);
    return v && *v ? v : NULL;
}

/* The first variable that is set becomes the option. */
static void take(struct ar_config *c, struct ar_conf_upstream *conf, enum ar_option option,
                 struct ar_str *field, const char *(*getenv_fn)(const char *),
                 const char *const *names)
{
    for (unsigned i = 0; field->n == 0 && names[i]; i++) {
        const char *v = env(getenv_fn, names[i]);
        if (v) {
            *field = ar_arena_copy(&c->arena, ar_str_of(v));
            conf->source[option] = ar_arena_fmt(&c->arena, "env %s", names[i]);
        }
    }
}

static void take_aws_key(struct ar_config *c, struct ar_conf_upstream *conf,
                         const char *(*getenv_fn)(const char *))
{
    const char *id = env(getenv_fn, "AWS_ACCESS_KEY_ID"),
               *secret = env(getenv_fn, "AWS_SECRET_ACCESS_KEY"),
               *session = env(getenv_fn, "AWS_SESSION_TOKEN"),
               *bearer = env(getenv_fn, "AWS_BEARER_TOKEN_BEDROCK");
    if (bearer) {
        ar_config_set_keys(c, conf, ar_arena_copy(&c->arena, ar_str_of(bearer)),
                           AR_LIT("env AWS_BEARER_TOKEN_BEDROCK"));
    } else if (id && secret) {
        ar_config_set_keys(c, conf,
                           ar_arena_fmt(&c->arena, "%s:%s%s%s", id, secret, session ? ":" : "",
                                        session ? session : ""),
                           AR_LIT("env AWS_ACCESS_KEY_ID"));
    }
}

/* The key "metadata": of the machine's own service account. */
static void name_metadata_host(struct ar_config *c, struct ar_conf_upstream *conf,
                               const char *(*getenv_fn)(const char *))
{
    const char *host = env(getenv_fn, "GCE_METADATA_HOST");
    for (unsigned i = 0; i < conf->key_count; i++) {
        if (ar_str_is_lit(conf->keys[i].secret, "metadata")) {
            conf->keys[i].secret = ar_arena_fmt(&c->arena, AR_GOOGLE_METADATA "%s",
                                                host ? host : "metadata.google.internal");
        }
    }
}

void ar_cloud_from_env(struct ar_config *c, struct ar_conf_upstream *conf,
                       const struct ar_provider *p, const char *(*getenv_fn)(const char *))
{
    static const char *const AWS_REGIONS[] = {"AWS_REGION", "AWS_DEFAULT_REGION", NULL};
    static const char *const REGIONS[] = {"GOOGLE_CLOUD_LOCATION", "CLOUD_ML_REGION", NULL};
    static const char *const PROJECTS[] = {"GOOGLE_CLOUD_PROJECT", "ANTHROPIC_VERTEX_PROJECT_ID",
                                           NULL};
    bool wants_key = conf->key_count == 0 && !ar_str_is_lit(conf->passthrough, "true");
    if (p->auth == AR_AUTH_AWS) {
        take(c, conf, AR_OPT_UPSTREAM_region, &conf->region, getenv_fn, AWS_REGIONS);
        if (wants_key) {
            take_aws_key(c, conf, getenv_fn);
        }
    } else if (p->auth == AR_AUTH_GOOGLE) {
        const char *file = env(getenv_fn, "GOOGLE_APPLICATION_CREDENTIALS");
        take(c, conf, AR_OPT_UPSTREAM_region, &conf->region, getenv_fn, REGIONS);
        take(c, conf, AR_OPT_UPSTREAM_project, &conf->project, getenv_fn, PROJECTS);
        if (wants_key && file) {
            ar_config_set_keys(c, conf, ar_arena_copy(&c->arena, ar_str_of(file)),
                               AR_LIT("env GOOGLE_APPLICATION_CREDENTIALS"));
        }
        name_metadata_host(c, conf, getenv_fn);
    }
}

const char *ar_cloud_switch(const struct ar_provider *p, const char *(*getenv_fn)(const char *),
                            struct ar_str *ret_name)
{
    struct ar_str names = ar_str_of(p->key_env), name;
    while (names.n > 0 && ar_str_split(&names, ' ', &name)) {
        char z[64];
        if (name.n < sizeof z) {
            memcpy(z, name.p, name.n);
            z[name.n] = '\0';
            const char *v = env(getenv_fn, z);
            *ret_name = name;
            if (v) {
                return v;
            }
        }
    }
    /* The file alone is too common to mean us: the project must be named beside it. */
    *ret_name = AR_LIT("GOOGLE_APPLICATION_CREDENTIALS");
    return p->auth == AR_AUTH_GOOGLE && env(getenv_fn, "GOOGLE_CLOUD_PROJECT")
               ? env(getenv_fn, "GOOGLE_APPLICATION_CREDENTIALS")
               : NULL;
}

/* "/path", "./path", "../path" or "*.json": a file, not a secret. */
static bool is_path(struct ar_str s)
{
    return ar_str_has_prefix(s, AR_LIT("/")) || ar_str_has_prefix(s, AR_LIT("./")) ||
           ar_str_has_prefix(s, AR_LIT("../")) || ar_str_has_suffix(s, AR_LIT(".json"));
}

static enum ar_code read_file(struct ar_config *c, struct ar_str path, struct ar_str *ret,
                              struct ar_err *err)
{
    struct ar_str z = ar_arena_copy(&c->arena, path);
    char *text = ar_arena_alloc(&c->arena, FILE_MAX);
    if (!z.p || !text) {
        return ar_fail(err, AR_TOO_LARGE, "the configuration is too large");
    }
    FILE *f = fopen(z.p, "rb");
    if (!f) {
        return ar_fail(err, AR_INVALID_REQUEST, "%.*s: %s", AR_FMT(ar_str_head(path, 120)),
                       strerror(errno));
    }
    size_t n = fread(text, 1, FILE_MAX, f);
    bool ok = !ferror(f) && n > 0 && n < FILE_MAX;
    (void)fclose(f);
    if (!ok) {
        return ar_fail(err, AR_INVALID_REQUEST, "%.*s is empty or no file of credentials",
                       AR_FMT(ar_str_head(path, 120)));
    }
    *ret = ar_str_n(text, n);
    return AR_OK;
}

/* A key that cannot sign is told now, and not by the first request. */
static enum ar_code try_key(struct ar_str pem, struct ar_err *err)
{
    struct ar_buf out;
    ar_buf_init(&out, FILE_MAX);
    enum ar_code code = ar_rs256_sign(pem, AR_LIT("anyrouter"), &out, err);
    ar_buf_done(&out);
    return code;
}

static enum ar_code read_google_key(struct ar_config *c, struct ar_upstream *u, struct ar_key *k,
                                    struct ar_err *err)
{
    struct ar_google_key g;
    if (ar_google_is_metadata(k->secret)) {
        return AR_OK;
    }
    enum ar_code code = is_path(k->secret) ? read_file(c, k->secret, &k->secret, err) : AR_OK;
    if (code == AR_OK && ar_google_is_key(k->secret)) {
        code = ar_google_key_read(k->secret, &c->arena, &g, err);
        code = code == AR_OK && !g.of_user ? try_key(g.pem, err) : code;
        if (code == AR_OK && u->project.n == 0) {
            u->project = g.project;
        }
    }
    return code;
}

enum ar_code ar_cloud_build(struct ar_config *c, struct ar_upstream *u, struct ar_err *err)
{
    enum ar_auth auth = u->provider->auth;
    u->region = u->conf->region;
    u->project = u->conf->project;
    for (unsigned i = 0; auth == AR_AUTH_GOOGLE && i < u->key_count; i++) {
        enum ar_code code = read_google_key(c, u, &u->keys[i], err);
        if (code != AR_OK) {
            return code;
        }
    }
    if (u->region.n == 0) {
        u->region = auth == AR_AUTH_AWS      ? AR_LIT("us-east-1")
                    : auth == AR_AUTH_GOOGLE ? AR_LIT("global")
                                             : (struct ar_str){NULL, 0};
    }
    if (auth == AR_AUTH_GOOGLE && u->project.n == 0) {
        return ar_fail(err, AR_INVALID_REQUEST,
                       "needs a project (GOOGLE_CLOUD_PROJECT), for the key names none");
    }
    for (size_t i = 0; i < u->region.n; i++) { /* it becomes part of a host name */
        char ch = u->region.p[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-')) {
            return ar_fail(err, AR_INVALID_REQUEST, "region must be like us-east-1");
        }
    }
    return AR_OK;
}

/* text with every mark replaced; arena. */
static struct ar_str put_in(struct ar_str text, struct ar_str mark, struct ar_str value,
                            struct ar_arena *a)
{
    size_t from = 0;
    for (;;) {
        size_t at = from + ar_str_find(ar_str_from(text, from), mark);
        if (at >= text.n) {
            return text;
        }
        text = ar_arena_fmt(a, "%.*s%.*s%.*s", AR_FMT(ar_str_head(text, at)), AR_FMT(value),
                            AR_FMT(ar_str_from(text, at + mark.n)));
        from = at + value.n;
    }
}

struct ar_str ar_cloud_place(const struct ar_upstream *u, struct ar_str text, struct ar_arena *a)
{
    text = put_in(text, AR_LIT("{project}"), u->project, a);
    return put_in(text, AR_LIT("{region}"), u->region, a);
}

/* Vertex AI: REGION-aiplatform.googleapis.com, but for `global` and the multi-regions. */
struct ar_str ar_cloud_url(const struct ar_upstream *u, struct ar_str url, struct ar_arena *a)
{
    struct ar_str host = AR_LIT("{region}-aiplatform.googleapis.com");
    if (ar_str_is_lit(u->region, "global")) {
        url = put_in(url, host, AR_LIT("aiplatform.googleapis.com"), a);
    } else if (ar_str_is_lit(u->region, "us") || ar_str_is_lit(u->region, "eu")) {
        url = put_in(url, host, AR_LIT("aiplatform.{region}.rep.googleapis.com"), a);
    }
    return ar_cloud_place(u, url, a);
}
