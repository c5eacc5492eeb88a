/*
 * Loading: flags over environment over file over defaults, each value with the place it came from.
 * The tables say what exists: options.def here, the file's walk in read.c, the environment's in
 * env.c. It owns the configuration's arena until the caller has it; never a provider's row.
 */
#include "conf/config.h"

#include "conf/loader.h"

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

/* Numbers that would let nothing work, or that no counter holds. */
static enum ar_code check_numbers(struct ar_loader *l)
{
    static const char *const LEAST_ONE[] = {"max_attempts", "body_limit", "ping_interval"};
    for (unsigned i = 0; i < AR_OPTION_COUNT; i++) {
        struct ar_str path = ar_str_of(ROWS[i].doc.path), type = ar_str_of(ROWS[i].doc.type);
        bool counts = ROWS[i].is_root && ar_str_has_prefix(path, AR_LIT("limits."));
        for (unsigned k = 0; ROWS[i].is_root && k < sizeof LEAST_ONE / sizeof *LEAST_ONE; k++) {
            counts |= ar_str_is(path, ar_str_of(LEAST_ONE[k]));
        }
        bool limit = ar_str_has_prefix(path, AR_LIT("limits.")) && ar_str_is_lit(type, "INT");
        int64_t v = counts ? *(int64_t *)ar_conf_slot(i, l->c).field : 1;
        if (v < 1 || (limit && v > INT32_MAX)) {
            return ar_fail(l->err, AR_INVALID_REQUEST, "%s must be at least 1%s", ROWS[i].doc.path,
                           v < 1 ? "" : " and at most 2147483647");
        }
    }
    return l->c->listen.n > 0 ? AR_OK
                              : ar_fail(l->err, AR_INVALID_REQUEST, "listen must name an address");
}

/* Words that must be one of a few. */
static enum ar_code check_words(struct ar_loader *l)
{
    static const char *const BALANCES = "round_robin,least_used,random,weighted";
    struct {
        struct ar_str value;
        const char *path, *words;
    } checks[] = {{l->c->balance, "balance", BALANCES},
                  {l->c->log_level, "log.level", "debug,info,warn,error,off"},
                  {l->c->log_format, "log.format", "logfmt,json"}};
    for (unsigned i = 0; i < sizeof checks / sizeof *checks; i++) {
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
            return ar_conf_at_line(l, u->line, "balance of upstream %.*s must be one of %s",
                                   AR_FMT(u->name), BALANCES);
        }
    }
    if ((l->c->tls_cert.n > 0) != (l->c->tls_key.n > 0)) {
        return ar_fail(l->err, AR_INVALID_REQUEST, "tls needs both cert and key");
    }
    int64_t workers;
    if (!ar_str_is_lit(l->c->workers, "auto") &&
        ar_str_to_i64(l->c->workers, 1, 256, &workers) != AR_OK) {
        return ar_fail(l->err, AR_INVALID_REQUEST,
                       "workers must be auto or a number from 1 to 256");
    }
    return check_numbers(l);
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
