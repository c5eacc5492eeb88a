/* Loads a configuration from text and a made-up environment, for tests of conf/ and of what is
 * built on it. */
#ifndef TESTS_CONF_LOAD_H
#define TESTS_CONF_LOAD_H

#include "check.h"
#include "conf/config.h"

#include <unistd.h>

struct load_env {
    const char *name, *value; /* name NULL ends */
};
struct load {
    char path[64]; /* of the file; removed after loading */
    struct ar_config *config;
    struct ar_err err;
    enum ar_code code;
};

/* The environment of the next load; NULL: empty. */
static const struct load_env *load_environment;

static inline const char *load_getenv(const char *name)
{
    for (const struct load_env *e = load_environment; e && e->name; e++) {
        if (strcmp(e->name, name) == 0) {
            return e->value;
        }
    }
    return NULL;
}

/* ask: listen and allow_open; the rest is set here. Free config by ar_config_free. */
static inline struct load load_with(const char *yaml, const struct load_env *env,
                                    struct ar_conf_ask ask)
{
    struct load l = {.code = AR_OK};
    (void)snprintf(l.path, sizeof l.path, "%s/conf.XXXXXX", P_tmpdir);
    int fd = mkstemp(l.path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    (void)close(fd);
    load_environment = env;
    ask.path = l.path;
    ask.getenv_fn = load_getenv;
    l.code = ar_config_load(&ask, &l.config, &l.err);
    (void)unlink(l.path);
    if (l.code != AR_OK) {
        l.config = NULL;
    }
    return l;
}

static inline struct load load_text(const char *yaml, const struct load_env *env)
{
    return load_with(yaml, env, (struct ar_conf_ask){.path = NULL});
}

/* Loads what must be fine. */
static inline struct ar_config *load_good(const char *yaml)
{
    struct load l = load_text(yaml, NULL);
    if (l.code != AR_OK) {
        print_error("%s\n", l.err.note);
    }
    assert_int_equal(l.code, AR_OK);
    return l.config;
}

#endif
