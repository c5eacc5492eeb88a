/*
 * What all commands share: options, errors of usage, help, and loading the configuration the way
 * the server does. Prints to the terminal; keeps nothing.
 */
#include "cli/command.h"

#include "provider/upstream.h"

#include <stdio.h>
#include <stdlib.h>

const char *ar_args_value(struct ar_args args, int *i, const char *name)
{
    size_t n = strlen(name);
    const char *arg = args.argv[*i];
    if (strncmp(arg, name, n) != 0 || (arg[n] != '\0' && arg[n] != '=')) {
        return NULL;
    }
    if (arg[n] == '=') {
        return arg + n + 1;
    }
    return *i + 1 < args.argc ? args.argv[++*i] : "";
}

bool ar_args_flag(struct ar_args args, int i, const char *name)
{
    return strcmp(args.argv[i], name) == 0;
}

int ar_usage_error(const struct ar_command *c, const char *what, const char *arg)
{
    (void)fprintf(stderr, "anyrouter %s: %s%s%s; try: anyrouter %s --help\n", c->name, what,
                  arg[0] ? " " : "", arg, c->name);
    return 2;
}

int ar_print_help(const struct ar_command *c)
{
    (void)printf("usage: anyrouter %s\n\n%s\n", c->usage, c->doc);
    return 0;
}

static const char *from_environment(const char *name)
{
    return getenv(name);
}

struct ar_config *ar_load_all(const struct ar_conf_ask *ask, struct ar_upstreams **ret)
{
    struct ar_config *c;
    struct ar_err err = {0};
    if (ar_config_load(ask, &c, &err) != AR_OK) {
        (void)fprintf(stderr, "anyrouter: %s\n", err.note);
        return NULL;
    }
    ar_providers_from_env(c, from_environment);
    if (ar_upstreams_build(c, ret, &err) != AR_OK) {
        (void)fprintf(stderr, "anyrouter: %s\n", err.note);
        ar_config_free(c);
        return NULL;
    }
    return c;
}
