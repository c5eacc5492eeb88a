/*
 * Loading: flags over environment over file over defaults, each value with the place it came from.
 * The tables say what exists (options.def, env.def, later.def); this file walks a tree and fills
 * the structs by them. Reads one file and the environment; never the network, never a provider's
 * row.
 */
#include "conf/config.h"

#include "conf/tree.h"
#include "conf/value.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct row {
    struct ar_option_row doc;
    bool is_root;
    size_t offset;
};

#define OFFSET_ROOT(field)     offsetof(struct ar_config, field)
#define OFFSET_UPSTREAM(field) offsetof(struct ar_conf_upstream, field)
enum { FLAG_NONE = 0, FLAG_R = 1, FLAG_S = 2 };
#define R                FLAG_R
#define S                FLAG_S
#define IS_ROOT_ROOT     true
#define IS_ROOT_UPSTREAM false
static const struct row ROWS[] = {
#define X(scope, path, field, type, def, flags, doc)                                               \
    {{#scope, path, #type, def, doc, ((flags)&FLAG_R) != 0, ((flags)&FLAG_S) != 0},                \
     IS_ROOT_##scope,                                                                              \
     OFFSET_##scope(field)},
#include "conf/options.def"
#undef X
};
#undef R
#undef S

static const struct {
    const char *path, *doc;
} LATER[] = {
#define X(path, doc) {path, doc},
#include "conf/later.def"
#undef X
};

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

const struct ar_option_row *ar_option_row(unsigned i)
{
    return i < COUNT(ROWS) ? &ROWS[i].doc : NULL;
}

static struct ar_option_slot slot_of(unsigned i, void *base)
{
    return (struct ar_option_slot){ROWS[i].doc.type, (char *)base + ROWS[i].offset};
}

/* Index of an option, or COUNT. */
static unsigned find_row(bool is_root, struct ar_str path)
{
    for (unsigned i = 0; i < COUNT(ROWS); i++) {
        if (ROWS[i].is_root == is_root && ar_str_is(path, ar_str_of(ROWS[i].doc.path))) {
            return i;
        }
    }
    return COUNT(ROWS);
}

struct loader {
    struct ar_config *c;
    struct ar_err *err;
    const char *(*getenv_fn)(const char *);
    struct ar_str env_host;
    bool env_upstream; /* some ANYROUTER_* variable asks for that upstream */
};

/* The end of a long path: the part that tells files apart. */
static struct ar_str short_path(struct ar_str path)
{
    while (path.n > 40 && ar_str_find_char(ar_str_from(path, 1), '/') < path.n - 1) {
        path = ar_str_from(path, 1 + ar_str_find_char(ar_str_from(path, 1), '/'));
    }
    return ar_str_head(path, 80);
}

/* "file:line: " and what the caller says of a key (%.*s) and a word (%s). */
__attribute__((format(printf, 3, 0))) static enum ar_code
at_line_v(struct loader *l, unsigned line, const char *format, va_list args)
{
    char text[120];
    (void)vsnprintf(text, sizeof text, format, args);
    return ar_fail(l->err, AR_INVALID_REQUEST, "%.*s:%u: %s", AR_FMT(short_path(l->c->path)), line,
                   text);
}

__attribute__((format(printf, 3, 4))) static enum ar_code at_line(struct loader *l, unsigned line,
                                                                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum ar_code code = at_line_v(l, line, format, args);
    va_end(args);
    return code;
}

/* Unknown key: the nearest known one is named. */
static enum ar_code unknown_key(struct loader *l, const struct ar_tree *t, struct ar_str path,
                                bool is_root)
{
    static const char *const EXTRA_ROOT[] = {"upstreams", "aliases"};
    static const char *const EXTRA_UPSTREAM[] = {"keys", "models", "headers", "dialect"};
    for (unsigned i = 0; is_root && i < COUNT(LATER); i++) {
        if (ar_str_is(path, ar_str_of(LATER[i].path))) {
            return at_line(l, t->line, "%.*s: this version has no %s yet; remove the option",
                           AR_FMT(path), LATER[i].doc);
        }
    }
    const char *best = NULL;
    unsigned best_distance = 4;
    for (unsigned i = 0; i < COUNT(ROWS) + 4; i++) {
        const char *name = i < COUNT(ROWS) ? (ROWS[i].is_root == is_root ? ROWS[i].doc.path : NULL)
                           : is_root ? (i - COUNT(ROWS) < 2 ? EXTRA_ROOT[i - COUNT(ROWS)] : NULL)
                                     : EXTRA_UPSTREAM[i - COUNT(ROWS)];
        unsigned d = name ? ar_word_distance(path, ar_str_of(name)) : 99;
        if (d < best_distance) {
            best_distance = d;
            best = name;
        }
    }
    return best ? at_line(l, t->line, "unknown option %.*s; did you mean %s?", AR_FMT(path), best)
                : at_line(l, t->line, "unknown option %.*s%s", AR_FMT(path), "");
}

static enum ar_code set_option(struct loader *l, unsigned i, void *base, struct ar_str *sources,
                               const struct ar_tree *t)
{
    struct ar_option_slot slot = slot_of(i, base);
    struct ar_err why = {0};
    enum ar_code code = AR_OK;
    struct ar_str path = ar_str_of(ROWS[i].doc.path);
    if (t->kind == AR_TREE_MAP || (t->kind == AR_TREE_LIST && strcmp(slot.type, "LIST") != 0)) {
        return at_line(l, t->line, "%.*s must be %s", AR_FMT(path), "a single value");
    }
    if (t->kind == AR_TREE_LIST) {
        unsigned n = 0;
        for (const struct ar_tree *e = t->first; e; e = e->next) {
            n++;
        }
        struct ar_strs list = {ar_arena_alloc(&l->c->arena, (n + 1) * sizeof *list.v), 0};
        for (const struct ar_tree *e = t->first; e && list.v; e = e->next) {
            if (e->kind != AR_TREE_SCALAR) {
                return at_line(l, e->line, "%.*s must be %s", AR_FMT(path), "a list of values");
            }
            list.v[list.n++] = e->value;
        }
        *(struct ar_strs *)slot.field = list;
    } else if (t->kind == AR_TREE_SCALAR) {
        code = ar_value_set(slot, t->value, &l->c->arena, &why);
    } /* null keeps the default */
    if (code != AR_OK) {
        return at_line(l, t->line, "%.*s %s", AR_FMT(path), why.note);
    }
    sources[i] = ar_arena_fmt(&l->c->arena, "%.*s:%u", AR_FMT(l->c->path), t->line);
    return AR_OK;
}

static void set_defaults(struct ar_config *c, bool is_root, void *base, struct ar_str *sources)
{
    for (unsigned i = 0; i < COUNT(ROWS); i++) {
        if (ROWS[i].is_root == is_root) {
            enum ar_code code =
                ar_value_set(slot_of(i, base), ar_str_of(ROWS[i].doc.def), &c->arena, NULL);
            AR_ASSERT(code == AR_OK);
            sources[i] = AR_LIT("default");
        }
    }
}

struct ar_conf_upstream *ar_config_add_upstream(struct ar_config *c, const char *origin)
{
    struct ar_conf_upstream *u = ar_arena_new(&c->arena, struct ar_conf_upstream);
    struct ar_conf_upstream **tail = &c->upstreams;
    if (!u) {
        return NULL;
    }
    while (*tail) {
        tail = &(*tail)->next;
    }
    *tail = u;
    u->origin = origin;
    set_defaults(c, false, u, u->source);
    return u;
}

static unsigned list_length(const struct ar_tree *t)
{
    unsigned n = 0;
    for (const struct ar_tree *e = t->kind == AR_TREE_LIST ? t->first : NULL; e; e = e->next) {
        n++;
    }
    return n;
}

void ar_config_set_keys(struct ar_config *c, struct ar_conf_upstream *u, struct ar_str list,
                        struct ar_str source)
{
    struct ar_strs pieces = {NULL, 0};
    enum ar_code code =
        ar_value_set((struct ar_option_slot){"LIST", &pieces}, list, &c->arena, NULL);
    struct ar_conf_key *keys =
        ar_arena_zalloc(&c->arena, (u->key_count + pieces.n + 1U) * sizeof *keys);
    if (code != AR_OK || !keys) {
        return;
    }
    if (u->key_count > 0) {
        memcpy(keys, u->keys, u->key_count * sizeof *keys);
    }
    for (unsigned i = 0; i < pieces.n; i++) {
        keys[u->key_count++] = (struct ar_conf_key){.secret = pieces.v[i], .weight = 1};
    }
    u->keys = keys;
    u->keys_source = source;
}

/* {secret: ..., weight: ...} */
static enum ar_code read_key_map(struct loader *l, struct ar_conf_upstream *u,
                                 const struct ar_tree *t)
{
    static const struct {
        const char *name;
        size_t offset;
    } NUMBERS[] = {{"weight", offsetof(struct ar_conf_key, weight)},
                   {"daily_requests", offsetof(struct ar_conf_key, daily_requests)},
                   {"rpm", offsetof(struct ar_conf_key, rpm)},
                   {"tpm", offsetof(struct ar_conf_key, tpm)},
                   {"concurrency", offsetof(struct ar_conf_key, concurrency)}};
    struct ar_tree *secret = ar_tree_get(t, AR_LIT("secret"));
    if (!secret || secret->kind != AR_TREE_SCALAR) {
        return at_line(l, t->line, "a key of upstream %.*s needs a %s", AR_FMT(u->name), "secret");
    }
    unsigned before = u->key_count;
    ar_config_set_keys(l->c, u, secret->value,
                       ar_arena_fmt(&l->c->arena, "%.*s:%u", AR_FMT(l->c->path), t->line));
    for (const struct ar_tree *m = t->first; m; m = m->next) {
        bool known = ar_str_is_lit(m->key, "secret");
        for (unsigned i = 0; i < COUNT(NUMBERS) && !known; i++) {
            int64_t v = 0;
            known = ar_str_is(m->key, ar_str_of(NUMBERS[i].name));
            if (known && ar_str_to_i64(m->value, 0, INT64_MAX, &v) != AR_OK) {
                return at_line(l, m->line, "%.*s must be %s", AR_FMT(m->key), "a whole number");
            }
            for (unsigned k = before; known && k < u->key_count; k++) {
                *(int64_t *)(void *)((char *)&u->keys[k] + NUMBERS[i].offset) = v;
            }
        }
        if (!known) {
            return at_line(l, m->line, "unknown option %.*s%s", AR_FMT(m->key), " of a key");
        }
    }
    return AR_OK;
}

static enum ar_code read_keys(struct loader *l, struct ar_conf_upstream *u, const struct ar_tree *t)
{
    if (t->kind == AR_TREE_SCALAR) {
        ar_config_set_keys(l->c, u, t->value,
                           ar_arena_fmt(&l->c->arena, "%.*s:%u", AR_FMT(l->c->path), t->line));
        return AR_OK;
    }
    for (const struct ar_tree *e = t->kind == AR_TREE_LIST ? t->first : NULL; e; e = e->next) {
        if (e->kind == AR_TREE_SCALAR) {
            ar_config_set_keys(l->c, u, e->value,
                               ar_arena_fmt(&l->c->arena, "%.*s:%u", AR_FMT(l->c->path), e->line));
        } else if (e->kind == AR_TREE_MAP) {
            enum ar_code code = read_key_map(l, u, e);
            if (code != AR_OK) {
                return code;
            }
        }
    }
    return t->kind == AR_TREE_MAP
               ? at_line(l, t->line, "%.*s must be %s", AR_FMT(AR_LIT("keys")), "a list")
               : AR_OK;
}

/* A list of globs and {from, to} maps. */
static enum ar_code read_models(struct loader *l, struct ar_conf_upstream *u,
                                const struct ar_tree *t)
{
    unsigned n = list_length(t);
    if (t->kind != AR_TREE_LIST) {
        return at_line(l, t->line, "%.*s must be %s", AR_FMT(AR_LIT("models")), "a list");
    }
    u->has_models = true;
    u->models = ar_arena_zalloc(&l->c->arena, (n + 1) * sizeof *u->models);
    for (const struct ar_tree *e = t->first; e && u->models; e = e->next) {
        struct ar_conf_model *m = &u->models[u->model_count++];
        m->from = e->value;
        if (e->kind == AR_TREE_MAP) {
            struct ar_tree *from = ar_tree_get(e, AR_LIT("from")),
                           *to = ar_tree_get(e, AR_LIT("to"));
            if (!from || !to || from->kind != AR_TREE_SCALAR || to->kind != AR_TREE_SCALAR) {
                return at_line(l, e->line, "an entry of %.*s must be %s", AR_FMT(AR_LIT("models")),
                               "a name or {from: name, to: name}");
            }
            m->from = from->value;
            m->to = to->value;
        } else if (e->kind != AR_TREE_SCALAR) {
            return at_line(l, e->line, "an entry of %.*s must be %s", AR_FMT(AR_LIT("models")),
                           "a name or {from: name, to: name}");
        }
    }
    return AR_OK;
}

static enum ar_code read_headers(struct loader *l, struct ar_conf_upstream *u,
                                 const struct ar_tree *t)
{
    if (t->kind != AR_TREE_MAP && t->kind != AR_TREE_NULL) {
        return at_line(l, t->line, "%.*s must be %s", AR_FMT(AR_LIT("headers")),
                       "a map of names to values");
    }
    unsigned n = 0;
    for (const struct ar_tree *m = t->first; m; m = m->next) {
        n++;
    }
    u->headers = ar_arena_zalloc(&l->c->arena, (n + 1) * sizeof *u->headers);
    for (const struct ar_tree *m = t->first; m && u->headers; m = m->next) {
        bool bad = m->kind != AR_TREE_SCALAR || m->key.n == 0;
        for (size_t i = 0; i < m->value.n; i++) {
            bad |= (unsigned char)m->value.p[i] < 0x20;
        }
        if (bad) {
            return at_line(l, m->line, "header %.*s must have %s", AR_FMT(m->key),
                           "a single-line value");
        }
        u->headers[u->header_count++] = (struct ar_conf_header){m->key, m->value};
    }
    return AR_OK;
}

static enum ar_code read_upstream(struct loader *l, const struct ar_tree *t)
{
    static const struct {
        const char *key;
        enum ar_code (*read)(struct loader *l, struct ar_conf_upstream *u, const struct ar_tree *t);
    } SPECIAL[] = {{"keys", read_keys}, {"models", read_models}, {"headers", read_headers}};
    if (t->kind != AR_TREE_MAP) {
        return at_line(l, t->line, "%.*s must be %s", AR_FMT(AR_LIT("an entry of upstreams")),
                       "a map");
    }
    struct ar_conf_upstream *u = ar_config_add_upstream(l->c, "file");
    if (!u) {
        return ar_fail(l->err, AR_TOO_LARGE, "the configuration is too large");
    }
    u->line = t->line;
    for (const struct ar_tree *m = t->first; m; m = m->next) {
        struct ar_str key = ar_str_is_lit(m->key, "dialect") ? AR_LIT("dialects") : m->key;
        key = ar_str_is_lit(key, "base_url") ? AR_LIT("base_urls") : key;
        enum ar_code code = AR_OK;
        bool special = false;
        for (unsigned i = 0; i < COUNT(SPECIAL) && !special; i++) {
            special = ar_str_is(key, ar_str_of(SPECIAL[i].key));
            code = special ? SPECIAL[i].read(l, u, m) : AR_OK;
        }
        unsigned row = special ? COUNT(ROWS) : find_row(false, key);
        if (!special) {
            code = row == COUNT(ROWS) ? unknown_key(l, m, key, false)
                                      : set_option(l, row, u, u->source, m);
        }
        if (code != AR_OK) {
            return code;
        }
    }
    return AR_OK;
}

static enum ar_code read_aliases(struct loader *l, const struct ar_tree *t)
{
    unsigned n = 0;
    for (const struct ar_tree *m = t->kind == AR_TREE_MAP ? t->first : NULL; m; m = m->next) {
        n++;
    }
    if (t->kind != AR_TREE_MAP && t->kind != AR_TREE_NULL) {
        return at_line(l, t->line, "%.*s must be %s", AR_FMT(AR_LIT("aliases")),
                       "a map of names to models");
    }
    l->c->aliases = ar_arena_zalloc(&l->c->arena, (n + 1) * sizeof *l->c->aliases);
    for (const struct ar_tree *m = t->first; m && l->c->aliases; m = m->next) {
        if (m->kind != AR_TREE_SCALAR || ar_str_has_prefix(m->value, AR_LIT("@preset/"))) {
            return at_line(l, m->line, "alias %.*s must be %s", AR_FMT(m->key), "a model's name");
        }
        l->c->aliases[l->c->alias_count++] = (struct ar_conf_model){m->key, m->value};
    }
    return AR_OK;
}

static enum ar_code read_member(struct loader *l, const struct ar_tree *t, struct ar_str path)
{
    unsigned row = find_row(true, path);
    if (row < COUNT(ROWS)) {
        return set_option(l, row, l->c, l->c->source, t);
    }
    if ((t->kind == AR_TREE_MAP || t->kind == AR_TREE_NULL) &&
        ar_str_find_char(path, '.') == path.n) {
        bool is_group = false;
        struct ar_str dotted = ar_arena_fmt(&l->c->arena, "%.*s.", AR_FMT(path));
        for (unsigned i = 0; i < COUNT(ROWS); i++) {
            is_group |= ROWS[i].is_root && ar_str_has_prefix(ar_str_of(ROWS[i].doc.path), dotted);
        }
        enum ar_code code = is_group ? AR_OK : unknown_key(l, t, path, true);
        for (const struct ar_tree *m = t->first; m && code == AR_OK; m = m->next) {
            code = read_member(
                l, m, ar_arena_fmt(&l->c->arena, "%.*s.%.*s", AR_FMT(path), AR_FMT(m->key)));
        }
        return code;
    }
    return unknown_key(l, t, path, true);
}

static enum ar_code read_tree(struct loader *l, const struct ar_tree *root)
{
    enum ar_code code = AR_OK;
    for (const struct ar_tree *m = root->first; m && code == AR_OK; m = m->next) {
        if (ar_str_is_lit(m->key, "upstreams")) {
            l->c->has_upstreams = true;
            if (m->kind != AR_TREE_LIST && m->kind != AR_TREE_NULL) {
                return at_line(l, m->line, "%.*s must be %s", AR_FMT(m->key), "a list");
            }
            for (const struct ar_tree *e = m->first; e && code == AR_OK; e = e->next) {
                code = read_upstream(l, e);
            }
        } else if (ar_str_is_lit(m->key, "aliases")) {
            code = read_aliases(l, m);
        } else {
            code = read_member(l, m, m->key);
        }
    }
    return code;
}

static enum ar_code read_file(struct loader *l, struct ar_buf *text)
{
    FILE *f = fopen(l->c->path.p, "re");
    if (!f) {
        return ar_fail(l->err, AR_INVALID_REQUEST, "cannot read %s: %s", l->c->path.p,
                       strerror(errno));
    }
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0) {
        ar_buf_put(text, piece, n);
    }
    bool failed = ferror(f) != 0;
    (void)fclose(f);
    if (failed || ar_buf_finish(text) != AR_OK) {
        return ar_fail(l->err, AR_INVALID_REQUEST, "cannot read %s: %s", l->c->path.p,
                       failed ? "read error" : "over 4 MiB");
    }
    return AR_OK;
}

static enum ar_code load_file(struct loader *l)
{
    struct ar_buf text;
    struct ar_tree *root = NULL;
    ar_buf_init(&text, 4U << 20);
    enum ar_code code = read_file(l, &text);
    if (code == AR_OK) {
        struct ar_err why = {0};
        code = ar_tree_parse(ar_buf_view(&text), l->getenv_fn, &l->c->arena, &root, &why);
        if (code != AR_OK) {
            code = ar_fail(l->err, code, "%.*s: %s", AR_FMT(l->c->path), why.note);
        }
    }
    ar_buf_done(&text);
    return code == AR_OK ? read_tree(l, root) : code;
}

static void notice(struct loader *l, const char *name, const char *doc)
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
static void add_listen(struct loader *l, struct ar_str port, const char *name)
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
static struct ar_conf_upstream *env_upstream(struct loader *l)
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

static enum ar_code read_env_row(struct loader *l, unsigned i, struct ar_str value)
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
        unsigned row = find_row(is_root, ar_str_of(ENVS[i].target));
        AR_ASSERT(row < COUNT(ROWS));
        code = ar_value_set(slot_of(row, base), value, &l->c->arena, &why);
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

static enum ar_code read_env(struct loader *l)
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

static const char *plain_getenv(const char *name)
{
    return getenv(name);
}

const char *ar_config_find(const struct ar_conf_ask *ask)
{
    static const char *const USUAL[] = {"./anyrouter.yaml", "/etc/anyrouter/anyrouter.yaml"};
    const char *env = (ask->getenv_fn ? ask->getenv_fn : plain_getenv)("ANYROUTER_CONFIG");
    if (ask->path) {
        return ask->path;
    }
    if (env && *env) {
        return env;
    }
    for (unsigned i = 0; i < COUNT(USUAL); i++) {
        if (access(USUAL[i], F_OK) == 0) {
            return USUAL[i];
        }
    }
    return NULL;
}

/* Words that must be one of a few. */
static enum ar_code check_words(struct loader *l)
{
    static const char *const BALANCES = "round_robin,least_used,random,weighted";
    struct {
        struct ar_str value;
        const char *path, *words;
    } checks[] = {{l->c->balance, "balance", BALANCES},
                  {l->c->log_level, "log.level", "debug,info,warn,error,off"},
                  {l->c->log_format, "log.format", "logfmt,json"}};
    for (unsigned i = 0; i < COUNT(checks); i++) {
        struct ar_str words = ar_str_of(checks[i].words), word;
        bool ok = false;
        while (ar_str_split(&words, ',', &word)) {
            ok |= ar_str_is(word, checks[i].value);
        }
        if (!ok) {
            return ar_fail(l->err, AR_INVALID_REQUEST, "%s must be one of %s", checks[i].path,
                           checks[i].words);
        }
    }
    for (struct ar_conf_upstream *u = l->c->upstreams; u; u = u->next) {
        struct ar_str words = ar_str_of(BALANCES), word;
        bool ok = false;
        while (ar_str_split(&words, ',', &word)) {
            ok |= ar_str_is(word, u->balance);
        }
        if (!ok) {
            return at_line(l, u->line, "balance of upstream %.*s must be one of %s",
                           AR_FMT(u->name), BALANCES);
        }
    }
    if ((l->c->tls_cert.n > 0) != (l->c->tls_key.n > 0)) {
        return ar_fail(l->err, AR_INVALID_REQUEST, "tls needs both cert and key");
    }
    return l->c->max_attempts > 0
               ? AR_OK
               : ar_fail(l->err, AR_INVALID_REQUEST, "max_attempts must be at least 1");
}

enum ar_code ar_config_load(const struct ar_conf_ask *ask, struct ar_config **ret,
                            struct ar_err *err)
{
    struct ar_config *c = calloc(1, sizeof *c);
    AR_ASSERT(c != NULL);
    ar_arena_init(&c->arena, 64U << 20);
    struct loader l = {
        .c = c, .err = err, .getenv_fn = ask->getenv_fn ? ask->getenv_fn : plain_getenv};
    set_defaults(c, true, c, c->source);
    const char *path = ar_config_find(ask);
    enum ar_code code = AR_OK;
    if (path) {
        c->path = ar_arena_copy(&c->arena, ar_str_of(path));
        code = load_file(&l);
    }
    code = code == AR_OK ? read_env(&l) : code;
    if (code == AR_OK && ask->listen) {
        code = ar_value_set((struct ar_option_slot){"LIST", &c->listen},
                            ar_arena_copy(&c->arena, ar_str_of(ask->listen)), &c->arena, err);
        c->source[AR_OPT_ROOT_listen] = AR_LIT("flag --listen");
    }
    if (ask->allow_open) {
        c->allow_open = 1;
        c->source[AR_OPT_ROOT_allow_open] = AR_LIT("flag --allow-open");
    }
    code = code == AR_OK ? check_words(&l) : code;
    code = code == AR_OK ? ar_arena_finish(&c->arena) : code;
    if (code != AR_OK) {
        ar_config_free(c);
        return code;
    }
    *ret = c;
    return AR_OK;
}

void ar_config_free(struct ar_config *c)
{
    if (c) {
        ar_arena_done(&c->arena);
        free(c);
    }
}
