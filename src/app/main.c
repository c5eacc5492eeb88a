/*
 * The program: the list of commands and nothing else.
 */
#include "app/app.h"

#include <stdio.h>

static const struct ar_command *const COMMANDS[] = {&ar_command_serve,
                                                    &ar_command_config,
                                                    &ar_command_models,
                                                    &ar_command_translate,
                                                    &ar_command_docs,
                                                    &ar_command_version,
                                                    NULL};

static int help(FILE *out)
{
    (void)fprintf(out, "AnyRouter %s, an LLM API gateway.\n\n", AR_VERSION);
    for (unsigned i = 0; COMMANDS[i]; i++) {
        (void)fprintf(out, "  anyrouter %s\n      %s\n", COMMANDS[i]->usage, COMMANDS[i]->brief);
    }
    (void)fprintf(out, "\nanyrouter COMMAND --help says more.\n");
    return out == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return help(stderr);
    }
    for (unsigned i = 0; COMMANDS[i]; i++) {
        if (strcmp(argv[1], COMMANDS[i]->name) == 0) {
            return COMMANDS[i]->run((struct ar_args){argc - 2, argv + 2});
        }
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        for (unsigned i = 0; argc > 2 && COMMANDS[i]; i++) {
            if (strcmp(argv[2], COMMANDS[i]->name) == 0) {
                return ar_print_help(COMMANDS[i]);
            }
        }
        return help(stdout);
    }
    if (strcmp(argv[1], "--version") == 0) {
        return ar_command_version.run((struct ar_args){0, NULL});
    }
    (void)fprintf(stderr, "anyrouter: unknown command %s; try: anyrouter help\n", argv[1]);
    return 2;
}
