/*
 * The file: a tree walked by the tables. What a key means is a row of options.def; lists of keys,
 * models and headers have readers of their own. Every fault names the line and the nearest known
 * key. Reads one file, never the environment.
 */
#include "conf/loader.h"
#include "conf/range.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *path, *doc;
} LATER[] = {
#define X(path, doc) {path, doc},
#include "conf/later.def"
#undef X
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

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
at_line_v(struct ar_loader *l, unsigned line, const char *format, va_list args)
{
    char text[120];
    (void)vsnprintf(text, sizeof text, format, args);
    return ar_fail(l->err, AR_INVALID_REQUEST, "%.*s:%u: %s", AR_FMT(short_path(l->c->path)), line,
                   text);
}

__attribute__((format(printf, 3, 4))) enum ar_code
ar_conf_at_line(struct ar_loader *l, unsigned line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum ar_code code = at_line_v(l, line, format, args);
    va_end(args);
    return code;
}

/* Unknown key: the nearest known one is named. */
static enum ar_code unknown_key(struct ar_loader *l, const struct ar_tree *t, struct ar_str path,
                                bool is_root)
{
    static const char *const EXTRA_ROOT[] = {"upstreams", "aliases"};
    static const char *const EXTRA_UPSTREAM[] = {"keys", "models", "headers", "dialect"};
    for (unsigned i = 0; is_root && i < COUNT(LATER); i++) {
        if (ar_str_is(path, ar_str_of(LATER[i].path))) {
            return ar_conf_at_line(l, t->line,
                                   "%.*s: this version has no %s yet; remove the option",
                                   AR_FMT(path), LATER[i].doc);
        }
    }
    for (unsigned i = 0; i < AR_OPTION_COUNT; i++) {
        struct ar_str other = ar_str_of(ar_option_row(i)->path);
        if (is_root && ar_conf_is_root(i) && ar_str_has_prefix(other, path) &&
            other.p[path.n] == '.') {
            return ar_conf_at_line(l, t->line, "%.*s is a group of options, such as %s",
                                   AR_FMT(path), other.p);
        }
        if (is_root != ar_conf_is_root(i) && ar_str_is(path, other)) {
            return ar_conf_at_line(l, t->line, "%.*s is an option %s", AR_FMT(path),
                                   is_root ? "of an entry of upstreams" : "of the top level");
        }
    }
    const char *best = NULL;
    unsigned best_distance = path.n < 7 ? (unsigned)(path.n + 1) / 2 : 4;
    for (unsigned i = 0; i < AR_OPTION_COUNT + 4; i++) {
        const char *name =
            i < AR_OPTION_COUNT ? (ar_conf_is_root(i) == is_root ? ar_option_row(i)->path : NULL)
            : is_root           ? (i - AR_OPTION_COUNT < 2 ? EXTRA_ROOT[i - AR_OPTION_COUNT] : NULL)
                                : EXTRA_UPSTREAM[i - AR_OPTION_COUNT];
        unsigned d = name ? ar_word_distance(path, ar_str_of(name)) : 99;
        if (d < best_distance) {
            best_distance = d;
            best = name;
        }
    }
    return best ? ar_conf_at_line(l, t->line, "unknown option %.*s; did you mean %s?", AR_FMT(path),
                                  best)
                : ar_conf_at_line(l, t->line, "unknown option %.*s%s", AR_FMT(path), "");
}

static enum ar_code set_option(struct ar_loader *l, unsigned i, void *base, struct ar_str *sources,
                               const struct ar_tree *t)
{
    struct ar_option_slot slot = ar_conf_slot(i, base);
    struct ar_err why = {0};
    enum ar_code code = AR_OK;
    struct ar_str path = ar_str_of(ar_option_row(i)->path);
    if (t->kind == AR_TREE_MAP || (t->kind == AR_TREE_LIST && strcmp(slot.type, "LIST") != 0)) {
        return ar_conf_at_line(l, t->line, "%.*s must be %s", AR_FMT(path), "a single value");
    }
    if (t->kind == AR_TREE_LIST) {
        unsigned n = 0;
        for (const struct ar_tree *e = t->first; e; e = e->next) {
            n++;
        }
        struct ar_strs list = {ar_arena_alloc(&l->c->arena, (n + 1) * sizeof *list.v), 0};
        for (const struct ar_tree *e = t->first; e && list.v; e = e->next) {
            if (e->kind != AR_TREE_SCALAR) {
                return ar_conf_at_line(l, e->line, "%.*s must be %s", AR_FMT(path),
                                       "a list of values");
            }
            list.v[list.n++] = e->value;
        }
        *(struct ar_strs *)slot.field = list;
    } else if (t->kind == AR_TREE_SCALAR) {
        code = ar_conf_set(i, base, t->value, &l->c->arena, &why);
    } /* null keeps the default */
    if (code != AR_OK) {
        return ar_conf_at_line(l, t->line, "%.*s %s", AR_FMT(path), why.note);
    }
    sources[i] = ar_arena_fmt(&l->c->arena, "%.*s:%u", AR_FMT(l->c->path), t->line);
    return AR_OK;
}

static unsigned list_length(const struct ar_tree *t)
{
    unsigned n = 0;
    for (const struct ar_tree *e = t->kind == AR_TREE_LIST ? t->first : NULL; e; e = e->next) {
        n++;
    }
    return n;
}

/* Keys of one text. An empty one is refused: without a key the upstream would take its callers'. */
static enum ar_code add_keys(struct ar_loader *l, struct ar_conf_upstream *u,
                             const struct ar_tree *t)
{
    unsigned before = u->key_count;
    ar_config_set_keys(l->c, u, t->value,
                       ar_arena_fmt(&l->c->arena, "%.*s:%u", AR_FMT(l->c->path), t->line));
    return u->key_count > before ? AR_OK
                                 : ar_conf_at_line(l, t->line, "an entry of keys is empty: %s",
                                                   "leave keys out to take callers' keys");
}

/* {secret: ..., weight: ...} */
static enum ar_code read_key_map(struct ar_loader *l, struct ar_conf_upstream *u,
                                 const struct ar_tree *t)
{
    static const struct {
        const char *name;
        size_t offset;
        struct ar_str range;
    } NUMBERS[] = {
#define NUMBER(member, range) {#member, offsetof(struct ar_conf_key, member), AR_LIT_INIT(range)}
        NUMBER(weight, "0..1000000"), NUMBER(daily_requests, "0..1000000000000"),
        NUMBER(rpm, "0..1000000000"), NUMBER(tpm, "0..1000000000000"),
        NUMBER(concurrency, "0..1000000")};
#undef NUMBER
    struct ar_tree *secret = ar_tree_get(t, AR_LIT("secret"));
    if (!secret || secret->kind != AR_TREE_SCALAR) {
        return ar_conf_at_line(l, t->line, "an entry of keys needs a %s", "secret");
    }
    unsigned before = u->key_count;
    enum ar_code code = add_keys(l, u, secret);
    if (code != AR_OK) {
        return code;
    }
    for (const struct ar_tree *m = t->first; m; m = m->next) {
        bool known = ar_str_is_lit(m->key, "secret");
        for (unsigned i = 0; i < COUNT(NUMBERS) && !known; i++) {
            int64_t v = 0;
            struct ar_option_slot slot = {"INT", &v};
            struct ar_err why = {0};
            known = ar_str_is(m->key, ar_str_of(NUMBERS[i].name));
            if (known && (ar_value_set(slot, m->value, &l->c->arena, &why) != AR_OK ||
                          ar_range_check(slot, NUMBERS[i].range, &l->c->arena, &why) != AR_OK)) {
                return ar_conf_at_line(l, m->line, "%.*s %s", AR_FMT(m->key), why.note);
            }
            for (unsigned k = before; known && k < u->key_count; k++) {
                *(int64_t *)(void *)((char *)&u->keys[k] + NUMBERS[i].offset) = v;
            }
        }
        if (!known) {
            return ar_conf_at_line(l, m->line, "unknown option %.*s%s", AR_FMT(m->key),
                                   " of a key");
        }
    }
    return AR_OK;
}

static enum ar_code read_keys(struct ar_loader *l, struct ar_conf_upstream *u,
                              const struct ar_tree *t)
{
    enum ar_code code = t->kind == AR_TREE_SCALAR ? add_keys(l, u, t) : AR_OK;
    if (t->kind == AR_TREE_MAP) {
        return ar_conf_at_line(l, t->line, "%.*s must be %s", AR_FMT(AR_LIT("keys")), "a list");
    }
    for (const struct ar_tree *e = t->kind == AR_TREE_LIST ? t->first : NULL; e && code == AR_OK;
         e = e->next) {
        code = e->kind == AR_TREE_SCALAR ? add_keys(l, u, e)
               : e->kind == AR_TREE_MAP  ? read_key_map(l, u, e)
                                         : AR_OK;
    }
    return code;
}

/* A list of globs and {from, to} maps. */
static enum ar_code read_models(struct ar_loader *l, struct ar_conf_upstream *u,
                                const struct ar_tree *t)
{
    unsigned n = list_length(t);
    if (t->kind != AR_TREE_LIST) {
        return ar_conf_at_line(l, t->line, "%.*s must be %s", AR_FMT(AR_LIT("models")), "a list");
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
                return ar_conf_at_line(l, e->line, "an entry of %.*s must be %s",
                                       AR_FMT(AR_LIT("models")),
                                       "a name or {from: name, to: name}");
            }
            if (ar_str_find_char(to->value, '*') < to->value.n) {
                return ar_conf_at_line(l, to->line, "to must be %s, not %.*s", "one model's name",
                                       AR_FMT(ar_str_head(to->value, 60)));
            }
            m->from = from->value;
            m->to = to->value;
        } else if (e->kind != AR_TREE_SCALAR) {
            return ar_conf_at_line(l, e->line, "an entry of %.*s must be %s",
                                   AR_FMT(AR_LIT("models")), "a name or {from: name, to: name}");
        }
    }
    return AR_OK;
}

/* A name that may stand in a request and does not say how long it is. */
static bool is_header_name(struct ar_str name)
{
    static const char *const FRAMING[] = {"content-length", "transfer-encoding", "connection"};
    bool ok = name.n > 0;
    for (size_t i = 0; i < name.n; i++) {
        ok &= name.p[i] > ' ' && name.p[i] < 127 && !strchr("\"(),/:;<=>?@[\\]{}", name.p[i]);
    }
    for (unsigned i = 0; i < COUNT(FRAMING); i++) {
        ok &= !ar_str_is_nocase(name, ar_str_of(FRAMING[i]));
    }
    return ok;
}

static enum ar_code read_headers(struct ar_loader *l, struct ar_conf_upstream *u,
                                 const struct ar_tree *t)
{
    if (t->kind != AR_TREE_MAP && t->kind != AR_TREE_NULL) {
        return ar_conf_at_line(l, t->line, "%.*s must be %s", AR_FMT(AR_LIT("headers")),
                               "a map of names to values");
    }
    unsigned n = 0;
    for (const struct ar_tree *m = t->first; m; m = m->next) {
        n++;
    }
    u->headers = ar_arena_zalloc(&l->c->arena, (n + 1) * sizeof *u->headers);
    for (const struct ar_tree *m = t->first; m && u->headers; m = m->next) {
        if (!is_header_name(m->key)) {
            return ar_conf_at_line(l, m->line, "%.*s is no header%s",
                                   AR_FMT(ar_str_head(m->key, 60)), " that can be set");
        }
        bool bad = m->kind != AR_TREE_SCALAR;
        for (size_t i = 0; i < m->value.n; i++) {
            bad |= (unsigned char)m->value.p[i] < 0x20;
        }
        if (bad) {
            return ar_conf_at_line(l, m->line, "header %.*s must have %s", AR_FMT(m->key),
                                   "a single-line value");
        }
        u->headers[u->header_count++] = (struct ar_conf_header){m->key, m->value};
    }
    return AR_OK;
}

static enum ar_code read_upstream(struct ar_loader *l, const struct ar_tree *t)
{
    static const struct {
        const char *key;
        enum ar_code (*read)(struct ar_loader *l, struct ar_conf_upstream *u,
                             const struct ar_tree *t);
    } SPECIAL[] = {{"keys", read_keys}, {"models", read_models}, {"headers", read_headers}};
    if (t->kind != AR_TREE_MAP) {
        return ar_conf_at_line(l, t->line, "%.*s must be %s",
                               AR_FMT(AR_LIT("an entry of upstreams")), "a map");
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
        unsigned row = special ? AR_OPTION_COUNT : ar_conf_find_row(false, key);
        if (!special) {
            code = row == AR_OPTION_COUNT ? unknown_key(l, m, key, false)
                                          : set_option(l, row, u, u->source, m);
        }
        if (code != AR_OK) {
            return code;
        }
    }
    return AR_OK;
}

static enum ar_code read_aliases(struct ar_loader *l, const struct ar_tree *t)
{
    unsigned n = 0;
    for (const struct ar_tree *m = t->kind == AR_TREE_MAP ? t->first : NULL; m; m = m->next) {
        n++;
    }
    if (t->kind != AR_TREE_MAP && t->kind != AR_TREE_NULL) {
        return ar_conf_at_line(l, t->line, "%.*s must be %s", AR_FMT(AR_LIT("aliases")),
                               "a map of names to models");
    }
    l->c->aliases = ar_arena_zalloc(&l->c->arena, (n + 1) * sizeof *l->c->aliases);
    for (const struct ar_tree *m = t->first; m && l->c->aliases; m = m->next) {
        if (m->kind != AR_TREE_SCALAR || ar_str_has_prefix(m->value, AR_LIT("@preset/"))) {
            return ar_conf_at_line(l, m->line, "alias %.*s must be %s", AR_FMT(m->key),
                                   "a model's name");
        }
        l->c->aliases[l->c->alias_count++] = (struct ar_conf_model){m->key, m->value};
    }
    return AR_OK;
}

static enum ar_code read_member(struct ar_loader *l, const struct ar_tree *t, struct ar_str path)
{
    unsigned row = ar_conf_find_row(true, path);
    if (row < AR_OPTION_COUNT) {
        return set_option(l, row, l->c, l->c->source, t);
    }
    if ((t->kind == AR_TREE_MAP || t->kind == AR_TREE_NULL) &&
        ar_str_find_char(path, '.') == path.n) {
        bool is_group = false;
        struct ar_str dotted = ar_arena_fmt(&l->c->arena, "%.*s.", AR_FMT(path));
        for (unsigned i = 0; i < AR_OPTION_COUNT; i++) {
            is_group |=
                ar_conf_is_root(i) && ar_str_has_prefix(ar_str_of(ar_option_row(i)->path), dotted);
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

static enum ar_code read_tree(struct ar_loader *l, const struct ar_tree *root)
{
    enum ar_code code = AR_OK;
    for (const struct ar_tree *m = root->first; m && code == AR_OK; m = m->next) {
        if (ar_str_is_lit(m->key, "upstreams")) {
            l->c->has_upstreams = true;
            if (m->kind != AR_TREE_LIST && m->kind != AR_TREE_NULL) {
                return ar_conf_at_line(l, m->line, "%.*s must be %s", AR_FMT(m->key), "a list");
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

static enum ar_code read_file(struct ar_loader *l, struct ar_buf *text)
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
    int failed = ferror(f) ? errno : 0;
    (void)fclose(f);
    if (failed != 0 || ar_buf_finish(text) != AR_OK) {
        return ar_fail(l->err, AR_INVALID_REQUEST, "cannot read %s: %s", l->c->path.p,
                       failed != 0 ? strerror(failed) : "over 4 MiB");
    }
    return AR_OK;
}

enum ar_code ar_conf_load_file(struct ar_loader *l)
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
