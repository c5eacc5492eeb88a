/* The configuration: what the operator said, typed and checked, each value with its source.
 * Immutable once loaded. Owns its arena. Any thread. Meaning (which provider, which URL) is
 * provider/'s business. */
#ifndef AR_CONF_CONFIG_H
#define AR_CONF_CONFIG_H

#include "base/arena.h"

struct ar_strs {
    struct ar_str *v;
    unsigned n;
};
typedef struct ar_str ar_conf_STR;
typedef int64_t ar_conf_BOOL, ar_conf_INT, ar_conf_MS, ar_conf_BYTES;
typedef struct ar_strs ar_conf_LIST;

/* Index of each option in the source arrays. */
enum ar_option {
#define X(scope, path, field, type, def, range, flags, doc) AR_OPT_##scope##_##field,
#include "conf/options.def"
#undef X
    AR_OPTION_COUNT
};

struct ar_conf_key {
    struct ar_str secret;
    int64_t weight, daily_requests, rpm, tpm, concurrency; /* 0: no limit; weight 1 by default */
};
struct ar_conf_model {
    struct ar_str from, to; /* glob; name sent, absent: as asked */
};
struct ar_conf_header {
    struct ar_str name, value;
};

struct ar_conf_upstream {
    struct ar_conf_upstream *next;
#define X(scope, path, field, type, def, range, flags, doc) AR_FIELD_##scope(type, field)
#define AR_FIELD_UPSTREAM(type, field)                      ar_conf_##type field;
#define AR_FIELD_ROOT(type, field)
#include "conf/options.def"
#undef AR_FIELD_UPSTREAM
#undef AR_FIELD_ROOT
    struct ar_conf_key *keys;
    unsigned key_count;
    struct ar_conf_model *models;
    unsigned model_count;
    bool has_models;
    struct ar_conf_header *headers;
    unsigned header_count;
    unsigned line;      /* in the file; 0: none */
    const char *origin; /* "file", "env": where it comes from as a whole */
    struct ar_str source[AR_OPTION_COUNT];
    struct ar_str keys_source;
};

struct ar_config {
    struct ar_arena arena;
#define AR_FIELD_ROOT(type, field) ar_conf_##type field;
#define AR_FIELD_UPSTREAM(type, field)
#include "conf/options.def"
#undef AR_FIELD_UPSTREAM
#undef AR_FIELD_ROOT
#undef X
    struct ar_conf_upstream *upstreams;
    bool has_upstreams; /* the file has the key */
    struct ar_conf_model *aliases;
    unsigned alias_count;
    struct ar_str path;                    /* of the file; n 0: none */
    struct ar_str env_proxy, env_no_proxy; /* HTTPS_PROXY or ALL_PROXY; NO_PROXY */
    struct ar_str source[AR_OPTION_COUNT];
    struct ar_strs notices; /* lines for the log: old names in use */
};

/* What is given besides the file. */
struct ar_conf_ask {
    const char *path;                       /* --config; NULL: look at the usual places */
    const char *listen;                     /* --listen; NULL */
    bool allow_open;                        /* --allow-open */
    const char *(*getenv_fn)(const char *); /* NULL: getenv */
};

/* Loads, checks and types. Errors name file, line, key and the nearest known key:
 * AR_INVALID_REQUEST. ret: free by ar_config_free. */
enum ar_code ar_config_load(const struct ar_conf_ask *ask, struct ar_config **ret,
                            struct ar_err *err) AR_MUST;
void ar_config_free(struct ar_config *c); /* NULL-safe */

/* The file that would be read: --config, $ANYROUTER_CONFIG, ./anyrouter.yaml,
 * /etc/anyrouter/anyrouter.yaml; NULL: none there. */
const char *ar_config_find(const struct ar_conf_ask *ask);

/* All values as YAML or JSON, secrets as ***; sources: where each came from and what it may be. */
void ar_config_show(const struct ar_config *c, bool sources, bool json, struct ar_buf *out);

/* A new upstream at the end of the list with default values; NULL: out of memory. For what the
 * environment switches on. */
struct ar_conf_upstream *ar_config_add_upstream(struct ar_config *c, const char *origin);
/* Splits "a, b,c" into keys of u (empty pieces are left out). */
void ar_config_set_keys(struct ar_config *c, struct ar_conf_upstream *u, struct ar_str list,
                        struct ar_str source);

/* One row of options.def, for documentation and tests. NULL: past the end. */
struct ar_option_row {
    const char *scope, *path, *type, *def, *range, *doc; /* range: see options.def */
    bool restart, secret;
};
const struct ar_option_row *ar_option_row(unsigned i);

#endif
