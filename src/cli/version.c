/*
 * anyrouter version: one line, or JSON. The build names the commit for this file alone, so that a
 * new commit compiles nothing else anew.
 */
#include "cli/command.h"

#include <stdio.h>

#ifndef AR_COMMIT
#define AR_COMMIT "unknown"
#endif

static int run(struct ar_args args)
{
    bool json = false;
    for (int i = 0; i < args.argc; i++) {
        if (ar_args_flag(args, i, "--help")) {
            return ar_print_help(&ar_command_version);
        }
        if (!ar_args_flag(args, i, "--json")) {
            return ar_usage_error(&ar_command_version, "unknown argument", args.argv[i]);
        }
        json = true;
    }
    (void)printf(json ? "{\"version\":\"%s\",\"commit\":\"%s\"}\n" : "anyrouter %s (%s)\n",
                 AR_VERSION, AR_COMMIT);
    return 0;
}

const struct ar_command ar_command_version = {.name = "version",
                                              .usage = "version [--json]",
                                              .brief = "print the version",
                                              .doc = "Prints the program's version.",
                                              .run = run};
