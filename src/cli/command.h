/* A command of the program: one file, one const struct, one row in the list of app/main.c. */
#ifndef AR_CLI_COMMAND_H
#define AR_CLI_COMMAND_H

#include "conf/config.h"

struct ar_args { /* what stands behind the command's name */
    int argc;
    char **argv;
};
struct ar_command {
    const char *name, *usage;
    const char *brief; /* a line in the list of commands */
    const char *doc;
    int (*run)(struct ar_args args); /* exit code: 0, 1 error, 2 usage */
};
extern const struct ar_command ar_command_config, ar_command_models, ar_command_translate,
    ar_command_version;

/* Takes an option with a value ("--config F" or "--config=F") at argv[*i]; moves *i. NULL: another
 * argument. A missing value is "": a usage error. */
const char *ar_args_value(struct ar_args args, int *i, const char *name);
bool ar_args_flag(struct ar_args args, int i, const char *name);
/* One line on standard error with the next command to try; returns 2. */
int ar_usage_error(const struct ar_command *c, const char *what, const char *arg);
/* Prints usage and doc; returns 0. */
int ar_print_help(const struct ar_command *c);

/* Configuration and upstreams as the server would see them; prints the error. NULL: failed. */
struct ar_upstreams;
struct ar_config *ar_load_all(const struct ar_conf_ask *ask, struct ar_upstreams **ret);

#endif
