/*
 * The environment: names of older set-ups by the rows of env.def, the upstream `anyrouter` that
 * they describe, and proxies. Each name in use gives a notice. Reads variables only through the
 * loader's function, so that tests bring their own.
 */
#include "conf/loader.h"

enum env_kind {
    ENV_ROOT,
    ENV_UPSTREAM,
    ENV_LISTEN_PORT,
    ENV_LISTEN_HOST,
    ENV_URLS,
    ENV_KEYS,
    ENV_IGNORED
};
static const struct {
    const char *name;
    enum env_kind kind;
    const char *target, *doc;
} ENVS[] = {
#define X(name, kind, target, doc) {name, ENV_##kind, target, doc},
#include "conf/env.def"
#undef X
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static void notice(struct ar_loader *l, const char *name, const char *doc)
{
    struct ar_strs *n = &l->c->notices;
    struct ar_str *v = ar_arena_alloc(&l->c->arena, (n->n + 1U) * sizeof *v);
    if (v) {
        if (n->n > 0) {
            memcpy(v, n->v, n->n * sizeof *v);
        }
        v[n->n] = ar_arena_fmt(&l->c->arena, "%s: %s", name, doc);
        *n = (struct ar_strs){v, n->n + 1U};
    }
}

/* Adds an address to listen, once; on a file or a default list alike. */
static void add_listen(struct ar_loader *l, struct ar_str port, const char *name)
{
    struct ar_strs *list = &l->c->listen;
    struct ar_str host = l->env_host.n > 0 ? l->env_host : AR_LIT("127.0.0.1");
    struct ar_str address = ar_arena_fmt(&l->c->arena, "%.*s:%.*s", AR_FMT(host), AR_FMT(port));
    struct ar_str *v = ar_arena_alloc(&l->c->arena, (list->n + 1U) * sizeof *v);
    if (!v) {
        return;
    }
    memcpy(v, list->v, list->n * sizeof *v);
    v[list->n] = address;
    *list = (struct ar_strs){v, list->n + 1U};
    l->c->source[AR_OPT_ROOT_listen] = ar_arena_fmt(&l->c->arena, "env %s", name);
}

/* The upstream `anyrouter` of the environment; made on demand. */
static struct ar_conf_upstream *env_upstream(struct ar_loader *l)
{
    for (struct ar_conf_upstream *u = l->c->upstreams; u; u = u->next) {
        if (ar_str_is_lit(u->name, "anyrouter")) {
            return u;
        }
    }
    struct ar_conf_upstream *u = ar_config_add_upstream(l->c, "env");
    AR_ASSERT(u != NULL); /* the arena is far from its cap */
    u->name = AR_LIT("anyrouter");
    u->provider = AR_LIT("anyrouter.top");
    u->priority = 3;
    return u;
}

static enum ar_code read_env_row(struct ar_loader *l, unsigned i, struct ar_str value)
{
    struct ar_err why = {0};
    enum ar_code code = AR_OK;
    struct ar_str source = ar_arena_fmt(&l->c->arena, "env %s", ENVS[i].name);
    bool is_root = ENVS[i].kind == ENV_ROOT;
    void *base = l->c;
    struct ar_str *sources = l->c->source;
    if (!is_root && ENVS[i].kind != ENV_LISTEN_PORT && ENVS[i].kind != ENV_LISTEN_HOST &&
        ENVS[i].kind != ENV_IGNORED) {
        if (l->c->has_upstreams) {
            notice(l, ENVS[i].name, "has no effect: the file has upstreams");
            return AR_OK;
        }
        struct ar_conf_upstream *u = env_upstream(l);
        base = u;
        sources = u->source;
        u->priority = ENVS[i].kind == ENV_URLS || ENVS[i].kind == ENV_KEYS ? 1 : u->priority;
        if (ENVS[i].kind == ENV_KEYS) {
            ar_config_set_keys(l->c, u, value, source);
        }
    }
    switch (ENVS[i].kind) {
    case ENV_ROOT:
    case ENV_UPSTREAM:
    case ENV_URLS: {
        unsigned row = ar_conf_find_row(is_root, ar_str_of(ENVS[i].target));
        AR_ASSERT(row < AR_OPTION_COUNT);
        code = ar_conf_set(row, base, value, &l->c->arena, &why);
        sources[row] = source;
        break;
    }
    case ENV_LISTEN_PORT:
        add_listen(l, value, ENVS[i].name);
        break;
    case ENV_KEYS:
    case ENV_LISTEN_HOST:
    case ENV_IGNORED:
        break;
    }
    notice(l, ENVS[i].name, ENVS[i].doc);
    return code == AR_OK
               ? AR_OK
               : ar_fail(l->err, code, "environment variable %s %s", ENVS[i].name, why.note);
}

enum ar_code ar_conf_load_env(struct ar_loader *l)
{
    enum ar_code code = AR_OK;
    for (unsigned i = 0; i < COUNT(ENVS); i++) {
        const char *value = ENVS[i].kind == ENV_LISTEN_HOST ? l->getenv_fn(ENVS[i].name) : NULL;
        l->env_host = value && *value && l->env_host.n == 0
                          ? ar_arena_copy(&l->c->arena, ar_str_of(value))
                          : l->env_host;
    }
    for (unsigned i = 0; i < COUNT(ENVS) && code == AR_OK; i++) {
        const char *value = l->getenv_fn(ENVS[i].name);
        if (value && *value) {
            code = read_env_row(l, i, ar_arena_copy(&l->c->arena, ar_str_of(value)));
        }
    }
    static const char *const PROXIES[] = {"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"};
    for (unsigned i = 0; i < COUNT(PROXIES) && l->c->env_proxy.n == 0; i++) {
        const char *value = l->getenv_fn(PROXIES[i]);
        l->c->env_proxy = ar_arena_copy(&l->c->arena, ar_str_of(value ? value : ""));
    }
    const char *no = l->getenv_fn("NO_PROXY");
    no = no ? no : l->getenv_fn("no_proxy");
    l->c->env_no_proxy = ar_arena_copy(&l->c->arena, ar_str_of(no ? no : ""));
    return code;
}
