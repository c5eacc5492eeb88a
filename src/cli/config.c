/*
 * anyrouter config show|check|path: what the server would run with, whether it would start, and
 * which file it reads. Secrets are never printed.
 */
#include "cli/command.h"

#include "cli/startup.h"
#include "io/tls.h"
#include "provider/upstream.h"

#include <stdio.h>

struct wish {
    struct ar_conf_ask ask;
    bool sources, json;
    const char *what;
};

static int show(const struct wish *w)
{
    struct ar_upstreams *u;
    struct ar_config *c = ar_load_all(&w->ask, &u);
    if (!c) {
        return 1;
    }
    struct ar_buf out;
    ar_buf_init(&out, 64U << 20);
    ar_config_show(c, w->sources, w->json, &out);
    size_t put = fwrite(out.p, 1, out.n, stdout);
    int code = put == out.n && fflush(stdout) == 0 ? 0 : 1;
    ar_buf_done(&out);
    ar_config_free(c);
    return code;
}

static int check(const struct wish *w)
{
    struct ar_upstreams *u;
    struct ar_config *c = ar_load_all(&w->ask, &u);
    if (!c) {
        return 1;
    }
    struct ar_tls *tls;
    struct ar_err err = {0};
    if (ar_startup_check(c, u, &tls, &err) != AR_OK) {
        (void)fprintf(stderr, "anyrouter: %s\n", err.note);
        ar_config_free(c);
        return 1;
    }
    ar_tls_unref(tls);
    if (w->json) {
        (void)printf("{\"ok\":true,\"upstreams\":%u}\n", u->n);
    } else {
        (void)printf("ok: %.*s, %u upstream%s\n",
                     AR_FMT(c->path.n > 0 ? c->path : AR_LIT("no file")), u->n,
                     u->n == 1 ? "" : "s");
        for (unsigned i = 0; i < u->n; i++) {
            const struct ar_upstream *x = &u->v[i];
            (void)printf("  %-20.*s %-20s %u key%s%s\n", AR_FMT(x->name), x->provider->name,
                         x->key_count, x->key_count == 1 ? "" : "s",
                         x->passthrough ? ", takes the caller's key" : "");
        }
    }
    ar_config_free(c);
    return 0;
}

static int path(const struct wish *w)
{
    const char *found = ar_config_find(&w->ask);
    if (w->json) {
        (void)printf("{\"path\":%s%s%s}\n", found ? "\"" : "", found ? found : "null",
                     found ? "\"" : "");
    } else {
        (void)printf("%s\n", found ? found : "none: defaults and environment");
    }
    return 0;
}

static int run(struct ar_args args)
{
    static const struct {
        const char *name;
        int (*run)(const struct wish *w);
    } PARTS[] = {{"show", show}, {"check", check}, {"path", path}};
    struct wish w = {.what = NULL};
    for (int i = 0; i < args.argc; i++) {
        const char *v;
        if (ar_args_flag(args, i, "--help")) {
            return ar_print_help(&ar_command_config);
        }
        if ((v = ar_args_value(args, &i, "--config")) != NULL) {
            w.ask.path = v;
        } else if ((v = ar_args_value(args, &i, "--listen")) != NULL) {
            w.ask.listen = v;
        } else if (ar_args_flag(args, i, "--allow-open")) {
            w.ask.allow_open = true;
        } else if (ar_args_flag(args, i, "--sources")) {
            w.sources = true;
        } else if (ar_args_flag(args, i, "--json")) {
            w.json = true;
        } else if (args.argv[i][0] != '-' && !w.what) {
            w.what = args.argv[i];
        } else {
            return ar_usage_error(&ar_command_config, "unknown argument", args.argv[i]);
        }
        if (v && !v[0]) {
            return ar_usage_error(&ar_command_config, "a value is missing behind", args.argv[i]);
        }
    }
    for (unsigned i = 0; w.what && i < sizeof PARTS / sizeof *PARTS; i++) {
        if (strcmp(w.what, PARTS[i].name) == 0) {
            return PARTS[i].run(&w);
        }
    }
    return ar_usage_error(&ar_command_config,
                          w.what ? "wants show, check or path, not" : "wants show, check or path",
                          w.what ? w.what : "");
}

const struct ar_command ar_command_config = {
    .name = "config",
    .usage = "config show|check|path [--config F] [--listen A] [--allow-open] [--sources] [--json]",
    .brief = "show, check or find the configuration",
    .doc = "show   print every value, secrets masked; --sources says where each came from and its "
           "range\n"
           "check  load as the server would, certificate and key too, and say what is wrong\n"
           "path   the file that is read",
    .run = run,
};
