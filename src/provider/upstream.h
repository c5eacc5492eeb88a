/* Upstreams: what the operator configured, resolved against the providers table. Immutable, part of
 * a snapshot; borrows from the configuration. Any thread. */
#ifndef AR_PROVIDER_UPSTREAM_H
#define AR_PROVIDER_UPSTREAM_H

#include "conf/config.h"
#include "provider/provider.h"

struct ar_health; /* route/health.h */

/* What is asked of a place, for its request target. */
enum ar_asked { AR_ASK_WHOLE, AR_ASK_STREAM, AR_ASK_COUNT, AR_ASKED };
struct ar_base {
    struct ar_origin origin;
    struct ar_str url, path, query; /* path: of the base URL, no trailing slash */
    /* Request target by dialect; {model} in it stands for the model's name. n 0: none. */
    struct ar_str targets[AR_DIALECT_COUNT][AR_ASKED];
    struct ar_health *health;
};
struct ar_key {
    struct ar_str secret; /* n 0: the place needs none */
    char print[9];        /* 8 hex of its SHA-256: for logs and traces */
    const struct ar_conf_key *conf;
    struct ar_health *health;
};
struct ar_upstream {
    struct ar_str name;
    const struct ar_conf_upstream *conf;
    const struct ar_provider *provider;
    const struct ar_dialect *dialects[AR_DIALECT_COUNT];
    unsigned dialect_count;
    struct ar_base *bases;
    unsigned base_count;
    struct ar_key *keys; /* none and passthrough: the caller's */
    unsigned key_count;
    bool passthrough;
    struct ar_str region, project; /* of a cloud; n 0: none */
    struct ar_health *health;      /* of the whole: turn of its keys */
};
enum { AR_KEYS_MAX = 64, AR_BASES_MAX = 16 }; /* of one upstream */

struct ar_upstreams {
    struct ar_upstream *v;
    unsigned n;
    struct ar_strs notices; /* lines for the log */
};

/* Environment: fills in what upstreams of clouds do not say (keys, region, project); switches on
 * the rows whose key variable is set, and the default upstream, where the file names none. Before
 * ar_upstreams_build. */
void ar_providers_from_env(struct ar_config *c, const char *(*getenv_fn)(const char *));

/* Resolves all enabled upstreams. Errors name the place in the file: AR_INVALID_REQUEST. Memory:
 * the config's arena, so the result dies with it. */
enum ar_code ar_upstreams_build(struct ar_config *c, struct ar_upstreams **ret,
                                struct ar_err *err) AR_MUST;

/* Does u serve the model (INTERFACE 5)? *ret_sent: the name to send. */
bool ar_upstream_serves(const struct ar_upstream *u, struct ar_str model, struct ar_str *ret_sent);
/* The one dialect in which u speaks to the model (by the name that is sent); NULL: any of its. */
const struct ar_dialect *ar_upstream_only(const struct ar_upstream *u, struct ar_str sent);
/* The dialect for requests of a dialect that u does not speak; NULL: none can be made. */
const struct ar_dialect *ar_upstream_translates_to(const struct ar_upstream *u);
bool ar_upstream_speaks(const struct ar_upstream *u, const struct ar_dialect *d);
/* A full path ("/v1/models") joined to a base URL as INTERFACE 5 says: its version is dropped where
 * the base URL has one. Arena. */
struct ar_str ar_base_join(const struct ar_base *b, struct ar_str full_path, struct ar_arena *a);

#endif
