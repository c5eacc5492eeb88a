/*
 * anyrouter docs: reference pages printed from the tables that the program runs on, so they cannot
 * disagree with it. One page a call, Markdown on standard output.
 */
#include "app/app.h"

#include "conf/range.h"
#include "provider/upstream.h"

#include <stdio.h>

/* A type of options.def, for people. */
static const char *type_name(const char *type)
{
    static const char *const NAMES[][2] = {{"STR", "text"},   {"BOOL", "true or false"},
                                           {"INT", "number"}, {"MS", "time"},
                                           {"BYTES", "size"}, {"LIST", "list"}};
    for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (strcmp(NAMES[i][0], type) == 0) {
            return NAMES[i][1];
        }
    }
    return type;
}

static void put_variables(void)
{
    (void)printf(
        "## Environment\n\nKeys of providers: [providers.md](providers.md). `${NAME}` and "
        "`${NAME:default}` work in every value of the file.\n\n| variable | meaning |\n|---|---|\n"
        "| `ANYROUTER_CONFIG` | The file, where `--config` names none. |\n"
        "| `HTTPS_PROXY`, `ALL_PROXY` | Proxy to every upstream that is not this machine and names "
        "none itself; small letters too. |\n"
        "| `NO_PROXY` | Hosts that are asked without it, with commas; small letters too. |\n"
        "| `XDG_DATA_HOME` | Its folder `anyrouter` is the data folder, where `--data-dir` names "
        "none. |\n\n## Names of older set-ups\n\n| variable | meaning |\n|---|---|\n");
#define X(name, kind, target, doc) (void)printf("| `%s` | %s |\n", name, doc);
#include "conf/env.def"
#undef X
}

static void put_options(void)
{
    const struct ar_option_row *row;
    struct ar_arena scratch;
    ar_arena_init(&scratch, 1U << 20);
    (void)printf("# Options\n\nDefaults as a user would write them. *restart*: read at start only. "
                 "Times are written `500ms 10s 2m 1h 7d`, a bare number is seconds; sizes `64KiB "
                 "10MB`, a bare number is bytes. A value outside its range is an error that names "
                 "option, value and range.\n");
    for (int scope = 0; scope < 2; scope++) {
        const char *name = scope == 0 ? "ROOT" : "UPSTREAM";
        (void)printf("\n## %s\n\n| option | type | default | range | | meaning "
                     "|\n|---|---|---|---|---|---|\n",
                     scope == 0 ? "Top level" : "Entries of `upstreams`");
        for (unsigned i = 0; (row = ar_option_row(i)) != NULL; i++) {
            if (strcmp(row->scope, name) == 0) {
                struct ar_str range = ar_range_text(ar_str_of(row->range), &scratch);
                (void)printf("| `%s` | %s | %s%s%s | %.*s | %s | %s |\n", row->path,
                             type_name(row->type), row->def[0] ? "`" : "", row->def,
                             row->def[0] ? "`" : "", AR_FMT(range), row->restart ? "restart" : "",
                             row->doc);
            }
        }
    }
    (void)printf(
        "| `keys` | list | | | secret | Secrets, or `{secret, weight, daily_requests, rpm, tpm, "
        "concurrency}`; one string may hold several with "
        "commas. |\n| `models` | list | the provider's | | | Globs served, or `{from, to}` to "
        "rename. |\n| `headers` | map | | | secret | Sent with "
        "every request. |\n\n## `aliases`\n\nA map of names to models, applied once and by whole "
        "name: `aliases: {sonnet: claude-sonnet-4-5}`.\n\n");
    put_variables();
    ar_arena_done(&scratch);
}

static void put_errors(void)
{
    (void)printf("# Errors\n\nValues of `x-anyrouter-error`. The status is that of the Chat "
                 "dialect; Messages differs where its clients need it.\n\n"
                 "| code | status | meaning |\n|---|---|---|\n");
    for (int i = 1; i < AR_CODE_COUNT; i++) {
        (void)printf("| `%s` | %d | %s |\n", ar_code_public((enum ar_code)i),
                     ar_code_status((enum ar_code)i), ar_code_doc((enum ar_code)i));
    }
}

static void put_providers(void)
{
    const struct ar_provider *p;
    (void)printf("# Providers\n\nRows of the providers table: set `provider` to the name. The key "
                 "variable switches a row on when no file names "
                 "upstreams.\n\n| name | place | dialects | base URL | key variable | models "
                 "|\n|---|---|---|---|---|---|\n");
    for (unsigned i = 0; (p = ar_provider_row(i)) != NULL; i++) {
        (void)printf("| `%s` | %s | ", p->name, p->title);
        for (unsigned d = 0, n = 0; d < AR_DIALECT_COUNT; d++) {
            if (p->paths[d]) {
                (void)printf("%s%s", n++ > 0 ? ", " : "", ar_dialect_by_id(d)->name);
            }
        }
        (void)printf(" | %s | %s%s%s | `%s` |\n",
                     p->base_url[0]                  ? p->base_url
                     : p->flags & AR_PLACE_GENERATOR ? "none"
                                                     : "yours",
                     p->key_env[0] ? "`" : "", p->key_env, p->key_env[0] ? "`" : "", p->models);
    }
    (void)printf("\n## Quirks\n\nHow a place may deviate from its dialect; each is a bit of its "
                 "row.\n\n| quirk | meaning |\n|---|---|\n");
#define X(id, doc) (void)printf("| `%s` | %s |\n", #id, doc);
#include "ir/quirks.def"
#undef X
    (void)printf("\n## Keys\n\nHow a secret is shown to a place; clouds: [CLOUDS.md](../CLOUDS.md)."
                 "\n\n| scheme | what is sent |\n|---|---|\n");
#define X(id, header, prefix, scheme, doc) (void)printf("| `%s` | %s |\n", #id, doc);
#include "provider/auth.def"
#undef X
    (void)printf("\n## Betas on clouds\n\nOf `anthropic-beta` these reach Claude on Bedrock and "
                 "Vertex AI, which refuse others.\n\n| beta | sent as | where | what "
                 "|\n|---|---|---|---|\n");
#define BEDROCK 1
#define VERTEX  2
#define X(name, sent, places, doc)                                                                 \
    (void)printf("| `%s` | `%s` | %s | %s |\n", name, sent,                                        \
                 (places) == (BEDROCK | VERTEX) ? "both"                                           \
                 : (places) == BEDROCK          ? "Bedrock"                                        \
                                                : "Vertex AI",                                              \
                 doc);
#include "provider/betas.def"
#undef X
    (void)printf("\n## Models of `echo`\n\n| model | what it does |\n|---|---|\n");
#define X(name, kind, pace, doc) (void)printf("| `echo/%s` | %s |\n", name, doc);
#include "provider/echo.def"
#undef X
}

static void put_endpoints(void)
{
    (void)printf("# Endpoints\n\nPrefixes `/api` and `/gateway` reach the same paths. Any other "
                 "`/v1/` path is passed through.\n\n| methods | path | what "
                 "|\n|---|---|---|\n");
#define X(methods, path, vendor, dialect, op, doc)                                                 \
    (void)printf("| %s | `%s` | %s |\n", methods, path, doc);
#include "flow/endpoints.def"
#undef X
    for (const struct ar_endpoint *e = ar_admin_endpoints; e->methods; e++) {
        (void)printf("| %s | `%s` | %s |\n", e->methods, e->path, e->doc);
    }
}

static void put_metrics(void)
{
    const struct ar_metric_row *row;
    (void)printf("# Metrics\n\n`GET /metrics`, Prometheus text.\n\n| name | type | labels | "
                 "meaning |\n|---|---|---|---|\n");
    for (unsigned i = 0; (row = ar_metric_row(i)) != NULL; i++) {
        (void)printf("| `%s` | %s | %s | %s |\n", row->name, row->type, row->labels, row->doc);
    }
}

static const struct {
    const char *name;
    void (*put)(void);
} PAGES[] = {{"options", put_options},
             {"errors", put_errors},
             {"providers", put_providers},
             {"endpoints", put_endpoints},
             {"metrics", put_metrics}};

static int run(struct ar_args args)
{
    for (unsigned i = 0; args.argc == 1 && i < sizeof PAGES / sizeof *PAGES; i++) {
        if (strcmp(args.argv[0], PAGES[i].name) == 0) {
            PAGES[i].put();
            return fflush(stdout) == 0 ? 0 : 1;
        }
    }
    return args.argc == 1 && ar_args_flag(args, 0, "--help")
               ? ar_print_help(&ar_command_docs)
               : ar_usage_error(&ar_command_docs,
                                args.argc == 1 ? "there is no page" : "wants one page",
                                args.argc == 1 ? args.argv[0] : "");
}

const struct ar_command ar_command_docs = {
    .name = "docs",
    .usage = "docs options|errors|providers|endpoints|metrics",
    .brief = "print a reference page",
    .doc = "Prints a reference page as Markdown, from the program's own tables.",
    .run = run,
};
