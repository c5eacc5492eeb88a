/*
 * Snapshots: configuration, upstreams and their health records put together. Built on the main
 * thread, freed there when the last worker gave it back.
 */
#include "app/app.h"

#include "base/log.h"
#include "provider/upstream.h"

#include <stdio.h>
#include <stdlib.h>

static const char *from_environment(const char *name)
{
    return getenv(name);
}

struct ar_snapshot *ar_snapshot_build(struct ar_app *app, struct ar_err *err)
{
    struct ar_config *c;
    struct ar_upstreams *u;
    if (ar_config_load(&app->ask, &c, err) != AR_OK) {
        return NULL;
    }
    ar_providers_from_env(c, from_environment);
    if (ar_upstreams_build(c, &u, err) != AR_OK) {
        ar_config_free(c);
        return NULL;
    }
    struct ar_snapshot *s = calloc(1, sizeof *s);
    AR_ASSERT(s != NULL);
    s->config = c;
    s->upstreams = u;
    s->generation = ++app->generation;
    ar_route_attach(&app->route, u);
    return s;
}

void ar_snapshot_free(struct ar_snapshot *s)
{
    if (s) {
        ar_config_free(s->config); /* upstreams live in its arena */
        free(s);
    }
}

/* One line an upstream: who it is, where, with how many keys. */
static void announce_upstream(const struct ar_upstream *u)
{
    char place[160] = "", more[32] = "";
    const struct ar_origin *o = u->base_count > 0 ? &u->bases[0].origin : NULL;
    if (o && o->host.n > 0) {
        (void)snprintf(place, sizeof place, " at %.*s:%u", AR_FMT(ar_str_head(o->host, 120)),
                       o->port);
    }
    if (u->base_count > 1) {
        (void)snprintf(more, sizeof more, " and %u more", u->base_count - 1);
    }
    ar_log_note(AR_LOG_INFO, "upstream", "%.*s (%s)%s%s: %u key%s%s", AR_FMT(u->name),
                u->provider->title, place, more, u->key_count, u->key_count == 1 ? "" : "s",
                u->passthrough ? ", takes the caller's key" : "");
    if (u->conf->insecure) {
        ar_log_note(AR_LOG_WARN, "insecure", "upstream %.*s: certificates are not checked",
                    AR_FMT(u->name));
    }
}

void ar_snapshot_announce(const struct ar_snapshot *s)
{
    enum ar_log_level level = AR_LOG_INFO;
    enum ar_code code = ar_log_level_of(s->config->log_level, &level);
    AR_ASSERT(code == AR_OK); /* checked when loaded */
    ar_log_setup(level, ar_str_is_lit(s->config->log_format, "json") ? AR_LOG_JSON : AR_LOG_LOGFMT,
                 2);
    ar_log_note(AR_LOG_INFO, "config", "%.*s",
                AR_FMT(s->config->path.n > 0 ? s->config->path
                                             : AR_LIT("no file, defaults and environment")));
    for (unsigned i = 0; i < s->config->notices.n; i++) {
        ar_log_note(AR_LOG_INFO, "environment", "%.*s", AR_FMT(s->config->notices.v[i]));
    }
    for (unsigned i = 0; i < s->upstreams->n; i++) {
        announce_upstream(&s->upstreams->v[i]);
    }
}
