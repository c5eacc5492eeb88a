/*
 * The tables of places and models as functions. Rows are data; a look-up is a walk, done when a
 * configuration is loaded or an attempt begins. Owns nothing.
 */
#include "provider/auth.h"

#define Q(id)     AR_QUIRK(id)
#define C(id)     AR_CAP(id)
#define LOCAL     AR_PLACE_LOCAL
#define COUNT     AR_PLACE_COUNT
#define CUSTOM    AR_PLACE_CUSTOM
#define ROUTER    AR_PLACE_ROUTER
#define GENERATOR AR_PLACE_GENERATOR
#define INVOKE    AR_PLACE_INVOKE

/* Words of the column `speaks`. */
enum {
    IN_CHAT = AR_DIALECT_CHAT,
    IN_TEXT = AR_DIALECT_COMPLETIONS,
    IN_RESPONSES = AR_DIALECT_RESPONSES,
    IN_GEMINI = AR_DIALECT_GEMINI,
    IN_MESSAGES = AR_DIALECT_ANTHROPIC
};
#define AT(word, path) [IN_##word] = (path),
#define CHAT           AT(CHAT, "")
#define TEXT           AT(TEXT, "")
#define MESSAGES       AT(MESSAGES, "")
#define RESPONSES      AT(RESPONSES, "")
#define GEMINI         AT(GEMINI, "")

static const struct ar_provider ROWS[] = {
#define X(row_name, row_title, row_base, speaks, row_auth, row_key, row_models, row_vendor,        \
          row_quirks, row_flags)                                                                   \
    {.name = row_name,                                                                             \
     .title = row_title,                                                                           \
     .base_url = row_base,                                                                         \
     .paths = {speaks},                                                                            \
     .auth = AR_AUTH_##row_auth,                                                                   \
     .key_env = row_key,                                                                           \
     .models = row_models,                                                                         \
     .vendor = AR_VENDOR_##row_vendor,                                                             \
     .quirks = row_quirks,                                                                         \
     .flags = row_flags},
#include "provider/providers.def"
#undef X
#undef GEMINI
};

static const struct model_row {
    const char *glob;
    enum ar_vendor vendor;
    uint64_t caps;
    int64_t max_out_tokens;
} MODELS[] = {
#define X(glob, vendor, caps, max) {glob, AR_VENDOR_##vendor, caps, max},
#include "provider/models.def"
#undef X
};

static const struct {
    const char *header, *prefix;
    const struct ar_auth_scheme *scheme;
} AUTHS[] = {
#define X(id, header, prefix, scheme, doc) {header, prefix, scheme},
#include "provider/auth.def"
#undef X
};

enum { ROW_COUNT = sizeof ROWS / sizeof *ROWS, MODEL_COUNT = sizeof MODELS / sizeof *MODELS };

const struct ar_provider *ar_provider_row(unsigned i)
{
    return i < ROW_COUNT ? &ROWS[i] : NULL;
}

const struct ar_provider *ar_provider_find(struct ar_str name)
{
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        if (ar_str_is(name, ar_str_of(ROWS[i].name))) {
            return &ROWS[i];
        }
    }
    return NULL;
}

const char *ar_auth_header(enum ar_auth a)
{
    return AUTHS[a].header;
}

const char *ar_auth_prefix(enum ar_auth a)
{
    return AUTHS[a].prefix;
}

const struct ar_auth_scheme *ar_auth_scheme_of(enum ar_auth a)
{
    return AUTHS[a].scheme;
}

void ar_auth_put(const struct ar_provider *p, struct ar_str secret, bool callers,
                 struct ar_arena *a, struct ar_header *ret)
{
    *ret = (struct ar_header){{NULL, 0}, {NULL, 0}};
    if (secret.n == 0 || p->auth == AR_AUTH_NONE || AUTHS[p->auth].scheme) {
        return;
    }
    /* A signed-in user's token of Anthropic's is no API key. */
    bool bearer =
        p->auth == AR_AUTH_X_API_KEY && callers && ar_str_has_prefix(secret, AR_LIT("sk-ant-oat"));
    const char *prefix = bearer ? "Bearer " : ar_auth_prefix(p->auth);
    ret->name = bearer ? AR_LIT("authorization") : ar_str_of(ar_auth_header(p->auth));
    ret->value = prefix[0] ? ar_arena_join(a, ar_str_of(prefix), secret) : secret;
}

void ar_model_facts(struct ar_str model, struct ar_target *t)
{
    char plain[128]; /* lower case, dots as dashes */
    size_t n = model.n < sizeof plain ? model.n : sizeof plain;
    for (size_t i = 0; i < n; i++) {
        char c = model.p[i];
        plain[i] = c == '.' ? '-' : (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    for (unsigned i = 0; i < MODEL_COUNT; i++) {
        if (ar_str_matches_glob(ar_str_n(plain, n), ar_str_of(MODELS[i].glob))) {
            t->vendor = MODELS[i].vendor;
            t->caps = MODELS[i].caps;
            t->max_out_tokens = MODELS[i].max_out_tokens;
            return;
        }
    }
}
