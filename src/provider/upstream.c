/*
 * Upstreams made of configuration and table: URLs taken apart once, dialects resolved, keys
 * fingerprinted. What a model's name means to an upstream is answered here too. Memory is the
 * configuration's; nothing changes after the build.
 */
#include "provider/upstream.h"

#include "base/hash.h"
#include "conf/value.h"
#include "http/url.h"
#include "provider/cloud.h"

#include <stdio.h>

static enum ar_code bad(const struct ar_config *c, const struct ar_conf_upstream *u,
                        struct ar_err *err, const char *what, struct ar_str value)
{
    if (u->line > 0) {
        return ar_fail(err, AR_INVALID_REQUEST, "%.*s:%u: upstream %.*s: %s%.*s", AR_FMT(c->path),
                       u->line, AR_FMT(u->name), what, AR_FMT(value));
    }
    return ar_fail(err, AR_INVALID_REQUEST, "upstream %.*s (%s): %s%.*s", AR_FMT(u->name),
                   u->origin, what, AR_FMT(value));
}

void ar_providers_from_env(struct ar_config *c, const char *(*getenv_fn)(const char *))
{
    const struct ar_provider *p;
    struct ar_str variable;
    for (struct ar_conf_upstream *u = c->upstreams; u; u = u->next) {
        p = ar_provider_find(u->provider.n > 0 ? u->provider : u->name);
        if (p) {
            ar_cloud_from_env(c, u, p, getenv_fn);
        }
    }
    if (c->has_upstreams) {
        return;
    }
    for (unsigned i = 0; (p = ar_provider_row(i)) != NULL; i++) {
        const char *secret = ar_cloud_switch(p, getenv_fn, &variable);
        if (!secret || (p->flags & AR_PLACE_CUSTOM)) {
            continue;
        }
        struct ar_conf_upstream *u = ar_config_add_upstream(c, "env");
        u->name = u->provider = ar_str_of(p->name);
        u->priority = 2;
        ar_config_set_keys(c, u, ar_arena_copy(&c->arena, ar_str_of(secret)),
                           ar_arena_fmt(&c->arena, "env %.*s", AR_FMT(variable)));
        ar_cloud_from_env(c, u, p, getenv_fn);
    }
    bool has_keys = c->upstreams != NULL; /* then nobody else is asked unless it is named */
    bool has_default = false, has_echo = false;
    for (struct ar_conf_upstream *u = c->upstreams; u; u = u->next) {
        has_default |= ar_str_is_lit(u->name, "anyrouter");
        has_echo |= ar_str_is_lit(u->provider, "echo");
    }
    if (!has_default && !has_keys) {
        struct ar_conf_upstream *u = ar_config_add_upstream(c, "default");
        u->name = AR_LIT("anyrouter");
        u->provider = AR_LIT("anyrouter.top");
        u->priority = 3;
    }
    if (!has_echo) {
        struct ar_conf_upstream *u = ar_config_add_upstream(c, "default");
        u->name = u->provider = AR_LIT("echo");
        u->priority = 1;
    }
}

static enum ar_code build_base(struct ar_config *c, const struct ar_conf_upstream *conf,
                               struct ar_str text, struct ar_base *ret, struct ar_err *err)
{
    struct ar_url url;
    if (ar_url_parse(text, &url) != AR_OK) {
        size_t at = ar_str_find_char(text, '@'); /* what stands before it may be a password */
        text = at < text.n ? ar_str_from(text, at) : text;
        return bad(c, conf, err, "not a base URL like https://host/v1: ", text);
    }
    struct ar_str proxy = conf->proxy.n > 0                                ? conf->proxy
                          : ar_no_proxy_matches(c->env_no_proxy, url.host) ? AR_LIT("")
                                                                           : c->env_proxy;
    if (ar_str_is_lit(proxy, "none")) {
        proxy = AR_LIT("");
    }
    bool local = ar_str_is_lit(url.host, "localhost") ||
                 ar_str_has_prefix(url.host, AR_LIT("127.")) || ar_str_is_lit(url.host, "::1");
    if (local && conf->proxy.n == 0) {
        proxy = AR_LIT("");
    }
    if (proxy.n > 0 && !ar_str_has_prefix(proxy, AR_LIT("http://")) &&
        !ar_str_has_prefix(proxy, AR_LIT("socks5://"))) {
        return bad(c, conf, err, "proxy must begin with http:// or socks5://", AR_LIT(""));
    }
    ret->origin = (struct ar_origin){.tls = url.tls,
                                     .insecure = conf->insecure != 0,
                                     .port = url.port,
                                     .host = url.host,
                                     .proxy = proxy,
                                     .ca_file = conf->ca_file};
    ret->url = text;
    ret->path = url.path;
    ret->query = url.query;
    return AR_OK;
}

/* Of a row's paths with blanks between: for whole answers, streams, counts; absent: none. */
static struct ar_str path_of(const char *template, enum ar_asked asked)
{
    struct ar_str rest = ar_str_of(template), one = {NULL, 0};
    for (unsigned i = 0; i <= (unsigned)asked; i++) {
        if (!ar_str_split(&rest, ' ', &one)) {
            return (struct ar_str){NULL, 0};
        }
    }
    return one;
}

/* Request target for an operation in a dialect: the row's template behind the base URL's path, or
 * the dialect's own path joined. */
static struct ar_str target_of(const struct ar_upstream *u, const struct ar_base *b,
                               unsigned dialect, enum ar_asked asked, struct ar_arena *a)
{
    const char *template = u->provider->paths[dialect], *more = "";
    const struct ar_dialect *d = ar_dialect_by_id(dialect);
    const char *own = asked == AR_ASK_COUNT                      ? d->path_count
                      : asked == AR_ASK_STREAM && d->path_stream ? d->path_stream
                                                                 : d->path_generate;
    if (template && strchr(template, ' ')) {
        struct ar_str path = ar_cloud_place(u, path_of(template, asked), a);
        return path.n > 0 ? ar_arena_join(a, b->path, path) : path;
    }
    if (!own) {
        return (struct ar_str){NULL, 0};
    }
    if (!template || !template[0]) {
        struct ar_base root = *b;
        if (d == &ar_dialect_gemini && u->dialect_count > 1 &&
            ar_str_has_suffix(b->path, AR_LIT("/v1"))) { /* the other dialects' version, not its */
            root.path = ar_str_head(b->path, b->path.n - 3);
        }
        return ar_base_join(&root, ar_str_of(own), a);
    }
    if (ar_str_has_prefix(ar_str_of(own), ar_str_of(d->path_generate))) {
        more = own + strlen(d->path_generate); /* "/count_tokens" */
    }
    return ar_arena_fmt(a, "%.*s%.*s%s%s%.*s", AR_FMT(b->path),
                        AR_FMT(ar_cloud_place(u, ar_str_of(template), a)), more,
                        b->query.n > 0 ? "?" : "", AR_FMT(b->query));
}

static enum ar_code build_bases(struct ar_config *c, struct ar_upstream *u, struct ar_err *err)
{
    struct ar_strs urls = u->conf->base_urls;
    struct ar_str own = ar_str_of(u->provider->base_url);
    if (urls.n == 0) {
        if (own.n == 0 && !(u->provider->flags & AR_PLACE_GENERATOR)) {
            return bad(c, u->conf, err, "base_urls must be given with provider ",
                       ar_str_of(u->provider->name));
        }
        urls = (struct ar_strs){&own, own.n > 0};
    }
    u->bases = ar_arena_zalloc(&c->arena, (urls.n + 1) * sizeof *u->bases);
    for (unsigned i = 0; i < urls.n && u->bases; i++) {
        enum ar_code code =
            build_base(c, u->conf, ar_cloud_url(u, urls.v[i], &c->arena), &u->bases[i], err);
        if (code != AR_OK) {
            return code;
        }
        for (unsigned d = 0; d < AR_DIALECT_COUNT; d++) {
            for (unsigned k = 0; k < AR_ASKED; k++) {
                u->bases[i].targets[d][k] =
                    target_of(u, &u->bases[i], d, (enum ar_asked)k, &c->arena);
            }
        }
        u->base_count++;
    }
    if (u->base_count == 0) {
        u->base_count = 1; /* a generator: one place without an address */
    }
    return AR_OK;
}

static enum ar_code build_dialects(struct ar_config *c, struct ar_upstream *u, struct ar_err *err)
{
    for (unsigned i = 0; i < u->conf->dialects.n; i++) {
        const struct ar_dialect *d = ar_dialect_by_name(u->conf->dialects.v[i]);
        if (!d) {
            return bad(c, u->conf, err, "unknown dialect (chat, responses, anthropic, gemini): ",
                       u->conf->dialects.v[i]);
        }
        if (!ar_upstream_speaks(u, d)) {
            u->dialects[u->dialect_count++] = d;
        }
    }
    for (unsigned i = 0; i < AR_DIALECT_COUNT && u->conf->dialects.n == 0; i++) {
        if (u->provider->paths[i]) {
            u->dialects[u->dialect_count++] = ar_dialect_by_id(i);
        }
    }
    return AR_OK;
}

static void build_keys(struct ar_config *c, struct ar_upstream *u)
{
    u->keys = ar_arena_zalloc(&c->arena, (u->conf->key_count + 1U) * sizeof *u->keys);
    for (unsigned i = 0; i < u->conf->key_count && u->keys; i++) {
        struct ar_key *k = &u->keys[u->key_count++];
        k->conf = &u->conf->keys[i];
        k->secret = k->conf->secret;
    }
}

/* After the keys are what they say (a file's content). */
static void name_keys(struct ar_upstream *u)
{
    for (unsigned i = 0; i < u->key_count; i++) {
        ar_sha256_hex(u->keys[i].secret, 8, u->keys[i].print);
    }
}

/* No row has that name: the nearest is named. */
static enum ar_code bad_provider(struct ar_config *c, const struct ar_conf_upstream *conf,
                                 bool is_named, struct ar_err *err)
{
    const struct ar_provider *p;
    const char *best = NULL;
    unsigned best_distance = (unsigned)conf->provider.n / 2;
    for (unsigned i = 0; (p = ar_provider_row(i)) != NULL; i++) {
        unsigned d = ar_word_distance(conf->provider, ar_str_of(p->name));
        if (d < best_distance) {
            best_distance = d;
            best = p->name;
        }
    }
    if (conf->provider.n == 0) {
        return bad(c, conf, err, "needs a provider", AR_LIT(""));
    }
    if (!is_named && !best) {
        return bad(c, conf, err, "needs a provider: none has the name ", conf->name);
    }
    return bad(c, conf, err, "unknown provider ",
               ar_arena_fmt(&c->arena, "%.*s%s%s%s", AR_FMT(conf->provider),
                            best ? "; did you mean " : "", best ? best : "", best ? "?" : ""));
}

static enum ar_code build_one(struct ar_config *c, struct ar_conf_upstream *conf,
                              struct ar_upstream *u, struct ar_err *err)
{
    bool is_named = conf->provider.n > 0;
    if (!is_named && conf->name.n > 0) {
        conf->provider = conf->name; /* - name: openai */
    }
    if (conf->name.n == 0) {
        conf->name = conf->provider;
    }
    u->conf = conf;
    u->name = conf->name;
    u->provider = ar_provider_find(conf->provider);
    if (!u->provider) {
        return bad_provider(c, conf, is_named, err);
    }
    if (conf->key_count > AR_KEYS_MAX || conf->base_urls.n > AR_BASES_MAX) {
        return bad(c, conf, err, "at most 64 keys and 16 base_urls; use a second upstream",
                   AR_LIT(""));
    }
    struct ar_err cloud = {0};
    build_keys(c, u);
    if (ar_cloud_build(c, u, &cloud) != AR_OK) {
        return bad(c, conf, err, cloud.note, AR_LIT(""));
    }
    name_keys(u);
    int64_t pass = u->key_count == 0;
    if (conf->passthrough.n > 0) {
        struct ar_err why;
        enum ar_code code = ar_str_is_lit(conf->passthrough, "true") ? AR_OK
                            : ar_str_is_lit(conf->passthrough, "false")
                                ? AR_OK
                                : ar_fail(&why, AR_INVALID_REQUEST, "bool");
        if (code != AR_OK) {
            return bad(c, conf, err, "passthrough must be true or false, not ", conf->passthrough);
        }
        pass = ar_str_is_lit(conf->passthrough, "true");
    }
    u->passthrough = pass != 0 && u->provider->auth != AR_AUTH_NONE;
    enum ar_code code = build_dialects(c, u, err); /* bases are of dialects */
    return code == AR_OK ? build_bases(c, u, err) : code;
}

enum ar_code ar_upstreams_build(struct ar_config *c, struct ar_upstreams **ret, struct ar_err *err)
{
    unsigned n = 0;
    for (struct ar_conf_upstream *u = c->upstreams; u; u = u->next) {
        n++;
    }
    struct ar_upstreams *all = ar_arena_new(&c->arena, struct ar_upstreams);
    struct ar_upstream *v = ar_arena_zalloc(&c->arena, (n + 1) * sizeof *v);
    if (!all || !v) {
        return ar_fail(err, AR_TOO_LARGE, "the configuration is too large");
    }
    all->v = v;
    for (struct ar_conf_upstream *conf = c->upstreams; conf; conf = conf->next) {
        struct ar_upstream *u = &v[all->n];
        enum ar_code code = build_one(c, conf, u, err);
        if (code != AR_OK) {
            return code;
        }
        for (unsigned i = 0; i < all->n; i++) {
            if (ar_str_is(v[i].name, u->name)) {
                return bad(c, conf, err, "two upstreams have the name ", u->name);
            }
        }
        if (conf->enabled) {
            all->n++;
        } else {
            *u = (struct ar_upstream){.name = {NULL, 0}};
        }
    }
    *ret = all;
    return ar_arena_finish(&c->arena);
}

/* "gemini=gemini-*" -> the dialect and the glob; without a dialect, NULL. */
static const struct ar_dialect *dialect_of(struct ar_str *glob)
{
    size_t at = ar_str_find_char(*glob, '=');
    if (at == glob->n) {
        return NULL;
    }
    const struct ar_dialect *d = ar_dialect_by_name(ar_str_head(*glob, at));
    *glob = ar_str_from(*glob, at + 1);
    return d;
}

const struct ar_dialect *ar_upstream_only(const struct ar_upstream *u, struct ar_str sent)
{
    struct ar_str globs = ar_str_of(u->provider->models), glob;
    while (ar_str_split(&globs, ' ', &glob)) {
        const struct ar_dialect *d = dialect_of(&glob);
        if (d && ar_str_matches_glob(sent, glob) && ar_upstream_speaks(u, d)) {
            return d;
        }
    }
    return NULL;
}

const struct ar_dialect *ar_upstream_translates_to(const struct ar_upstream *u)
{
    for (unsigned i = 0; i < u->dialect_count; i++) {
        if (u->dialects[i]->encode_request) {
            return u->dialects[i];
        }
    }
    return NULL;
}

bool ar_upstream_speaks(const struct ar_upstream *u, const struct ar_dialect *d)
{
    for (unsigned i = 0; i < u->dialect_count; i++) {
        if (u->dialects[i] == d) {
            return true;
        }
    }
    return false;
}

bool ar_upstream_serves(const struct ar_upstream *u, struct ar_str model, struct ar_str *ret_sent)
{
    *ret_sent = model;
    for (unsigned i = 0; i < u->conf->model_count; i++) {
        const struct ar_conf_model *m = &u->conf->models[i];
        if (ar_str_matches_glob(model, m->from)) {
            *ret_sent = m->to.p ? m->to : model;
            return true;
        }
    }
    if (u->conf->has_models) {
        return false;
    }
    struct ar_str globs = ar_str_of(u->provider->models), glob;
    while (ar_str_split(&globs, ' ', &glob)) {
        (void)dialect_of(&glob);
        if (ar_str_matches_glob(model, glob)) {
            return true;
        }
    }
    return false;
}

/* "/v1", "/v1beta", "/v4/" at the end, or "/openai": the base URL names the version itself. */
static bool ends_in_version(struct ar_str path)
{
    size_t at = path.n;
    while (at > 0 && path.p[at - 1] != '/') {
        at--;
    }
    struct ar_str last = ar_str_from(path, at);
    return ar_str_is_lit(last, "openai") ||
           (last.n >= 2 && last.p[0] == 'v' && last.p[1] >= '0' && last.p[1] <= '9');
}

struct ar_str ar_base_join(const struct ar_base *b, struct ar_str full_path, struct ar_arena *a)
{
    struct ar_str tail = full_path;
    if (ends_in_version(b->path)) { /* drop the path's own version: /v1/models -> /models */
        size_t slash = 1 + ar_str_find_char(ar_str_from(full_path, 1), '/');
        tail = ar_str_from(full_path, slash);
    }
    const char *sep = b->query.n == 0 ? "" : ar_str_find_char(tail, '?') < tail.n ? "&" : "?";
    return ar_arena_fmt(a, "%.*s%.*s%s%.*s", AR_FMT(b->path), AR_FMT(tail), sep, AR_FMT(b->query));
}
