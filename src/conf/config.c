/*
 * Loading: flags over environment over file over defaults, each value with the place it came from.
 * The tables say what exists: options.def here, the file's walk in read.c, the environment's in
 * env.c. It owns the configuration's arena until the caller has it; never a provider's row.
 */
#include "conf/config.h"

#include "conf/loader.h"
#include "conf/range.h"

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
#define X(scope, path, field, type, def, range, flags, doc)                                        \
    {{#scope, path, #type, def, range, doc, ((flags)&FLAG_R) != 0, ((flags)&FLAG_S) != 0},         \
     IS_ROOT_##scope,                                                                              \
     OFFSET_##scope(field)},
#include "conf/options.def"
#undef X
};
#undef R
#undef S

const struct ar_option_row *ar_option_row(unsigned i)
{
    return i < AR_OPTION_COUNT ? &ROWS[i].doc : NULL;
}

bool ar_conf_is_root(unsigned i)
{
    return ROWS[i].is_root;
}

struct ar_option_slot ar_conf_slot(unsigned i, void *base)
{
    return (struct ar_option_slot){ROWS[i].doc.type, (char *)base + ROWS[i].offset};
}

enum ar_code ar_conf_set(unsigned i, void *base, struct ar_str text, struct ar_arena *a,
                         struct ar_err *err)
{
    struct ar_option_slot slot = ar_conf_slot(i, base);
    enum ar_code code = ar_value_set(slot, text, a, err);
    bool is_default = ar_str_is(text, ar_str_of(ROWS[i].doc.def));
    return code != AR_OK || is_default ? code
                                       : ar_range_check(slot, ar_str_of(ROWS[i].doc.range), a, err);
}

/* Index of an option, or COUNT. */
unsigned ar_conf_find_row(bool is_root, struct ar_str path)
{
    for (unsigned i = 0; i < AR_OPTION_COUNT; i++) {
        if (ROWS[i].is_root == is_root && ar_str_is(path, ar_str_of(ROWS[i].doc.path))) {
            return i;
        }
    }
    return AR_OPTION_COUNT;
}

static void set_defaults(struct ar_config *c, bool is_root, void *base, struct ar_str *sources)
{
    for (unsigned i = 0; i < AR_OPTION_COUNT; i++) {
        if (ROWS[i].is_root == is_root) {
            enum ar_code code =
                ar_value_set(ar_conf_slot(i, base), ar_str_of(ROWS[i].doc.def), &c->arena, NULL);
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

void ar_config_set_keys(struct ar_config *c, struct ar_conf_upstream *u, struct ar_str list,
                        struct ar_str source)
{
    struct ar_strs pieces = {&list, 1};
    enum ar_code code = AR_OK;
    if (!ar_str_has_prefix(ar_str_trim(list), AR_LIT("{"))) { /* JSON is one key */
        pieces = (struct ar_strs){NULL, 0};
        code = ar_value_set((struct ar_option_slot){"LIST", &pieces}, list, &c->arena, NULL);
    }
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
    for (unsigned i = 0; i < sizeof USUAL / sizeof *USUAL; i++) {
        if (access(USUAL[i], F_OK) == 0) {
            return USUAL[i];
        }
    }
    return NULL;
}

/* What no row of the table can say. */
static enum ar_code check_whole(struct ar_loader *l)
{
    if ((l->c->tls_cert.n > 0) != (l->c->tls_key.n > 0)) {
        return ar_fail(l->err, AR_INVALID_REQUEST, "tls needs both cert and key");
    }
    return l->c->listen.n > 0 ? AR_OK
                              : ar_fail(l->err, AR_INVALID_REQUEST, "listen must name an address");
}

enum ar_code ar_config_load(const struct ar_conf_ask *ask, struct ar_config **ret,
                            struct ar_err *err)
{
    struct ar_config *c = calloc(1, sizeof *c);
    AR_ASSERT(c != NULL);
    ar_arena_init(&c->arena, 64U << 20);
    struct ar_loader l = {
        .c = c, .err = err, .getenv_fn = ask->getenv_fn ? ask->getenv_fn : plain_getenv};
    set_defaults(c, true, c, c->source);
    const char *path = ar_config_find(ask);
    enum ar_code code = AR_OK;
    if (path) {
        c->path = ar_arena_copy(&c->arena, ar_str_of(path));
        code = ar_conf_load_file(&l);
    }
    code = code == AR_OK ? ar_conf_load_env(&l) : code;
    if (code == AR_OK && ask->listen) {
        code = ar_value_set((struct ar_option_slot){"LIST", &c->listen},
                            ar_arena_copy(&c->arena, ar_str_of(ask->listen)), &c->arena, err);
        c->source[AR_OPT_ROOT_listen] = AR_LIT("flag --listen");
    }
    if (ask->allow_open) {
        c->allow_open = 1;
        c->source[AR_OPT_ROOT_allow_open] = AR_LIT("flag --allow-open");
    }
    code = code == AR_OK ? check_whole(&l) : code;
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
