/*
 * Any bytes as a configuration file. The tree that comes out is well formed and was made of the
 * text; a configuration that loads is shown with its secrets masked, and its upstreams are built.
 * The environment holds three variables.
 */
#include "conf/config.h"
#include "conf/tree.h"
#include "json/scan.h"
#include "provider/upstream.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <stdio.h>
#include <unistd.h>

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static const char *some_environment(const char *name)
{
    return strcmp(name, "A") == 0   ? "canary-of-the-environment"
           : strcmp(name, "B") == 0 ? "[b: 'c"
           : strcmp(name, "E") == 0 ? ""
                                    : NULL;
}

static void walk(const struct ar_tree *t, unsigned depth)
{
    check(depth < 64);
    check(t->kind == AR_TREE_LIST || t->kind == AR_TREE_MAP || !t->first);
    for (const struct ar_tree *c = t->first; c; c = c->next) {
        check(c->line > 0);
        check(t->kind != AR_TREE_MAP || ar_tree_get(t, c->key) == c); /* no key stands twice */
        walk(c, depth + 1);
    }
}

/* Keys are shown as stars and commas, header values as stars. */
static void check_masked(struct ar_jval upstreams)
{
    struct ar_jiter it = ar_json_iter(upstreams), member;
    while (ar_json_next(&it)) {
        member = ar_json_iter(it.val);
        while (ar_json_next(&member)) {
            struct ar_str v = ar_json_esc(ar_json_get_lit(member.val, "value"));
            bool secret = ar_str_is_lit(member.key, "keys") || ar_str_is_lit(member.key, "proxy") ||
                          ar_str_has_prefix(member.key, AR_LIT("headers."));
            for (size_t i = 0; secret && i < v.n; i++) {
                check(v.p[i] == '*' || v.p[i] == ',');
            }
        }
    }
}

static void use(struct ar_config *c)
{
    struct ar_upstreams *u;
    struct ar_err err;
    struct ar_buf out;
    struct ar_jdoc doc;
    ar_buf_init(&out, 64 << 20);
    ar_config_show(c, true, true, &out);
    check(ar_buf_finish(&out) == AR_OK);
    check(ar_json_parse(ar_buf_view(&out), 8, &c->arena, &doc, NULL) == AR_OK);
    check_masked(ar_json_get_lit(ar_json_root(&doc), "upstreams"));
    ar_buf_clear(&out);
    ar_config_show(c, false, false, &out);
    ar_buf_done(&out);
    if (ar_upstreams_build(c, &u, &err) == AR_OK) {
        struct ar_str sent;
        for (unsigned i = 0; i < u->n; i++) {
            check(u->v[i].name.n > 0 && u->v[i].provider && u->v[i].base_count > 0);
            (void)ar_upstream_serves(&u->v[i], AR_LIT("gpt-5"), &sent);
        }
    } else {
        check(memchr(err.note, '\0', sizeof err.note) && err.note[0]);
    }
}

/* A file in memory that holds the bytes; loads it. */
static void load(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("config", MFD_CLOEXEC);
    check(fd >= 0);
    check(write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct ar_conf_ask ask = {.path = path, .getenv_fn = some_environment};
    struct ar_config *c = NULL;
    struct ar_err err = {0};
    if (ar_config_load(&ask, &c, &err) == AR_OK) {
        use(c);
        ar_config_free(c);
    } else {
        check(err.note[0] && memchr(err.note, '\0', sizeof err.note));
    }
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ar_arena a;
    struct ar_tree *root = NULL;
    struct ar_err err = {0};
    if (size > 65536) {
        return 0;
    }
    ar_arena_init(&a, 64 << 20);
    if (ar_tree_parse(ar_str_n((const char *)data, size), some_environment, &a, &root, &err) ==
        AR_OK) {
        check(root->kind == AR_TREE_MAP);
        walk(root, 0);
    } else {
        check(err.note[0]);
    }
    ar_arena_done(&a);
    load(data, size);
    return 0;
}
