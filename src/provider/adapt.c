/*
 * Clouds that host Claude take the Messages body with small changes: the model's name is in the
 * path and not in the body, the API version is a member instead of a header, and on Bedrock so are
 * the betas, of which it knows a few and refuses a request with any other. The body is written anew
 * from its members' own bytes; such places are signed over the whole body or rare enough that the
 * copy does not matter. Sources: Anthropic's "Claude on Vertex AI" and "Claude on Amazon Bedrock",
 * AWS "Anthropic Claude Messages API", 2026-10. Owns nothing.
 */
#include "provider/auth.h"

#include "json/write.h"

enum { BEDROCK = 1, VERTEX = 2 };
static const struct ar_body_form ON_VERTEX = {
    .version = "vertex-2023-10-16", .betas = VERTEX, .keeps_stream = true};
static const struct ar_body_form ON_BEDROCK = {.version = "bedrock-2023-05-31",
                                               .betas = BEDROCK,
                                               .accept_stream =
                                                   "application/vnd.amazon.eventstream"};

static const struct beta {
    struct ar_str name, sent;
    unsigned places;
} BETAS[] = {
#define X(name, sent, places, doc) {AR_LIT_INIT(name), AR_LIT_INIT(sent), places},
#include "provider/betas.def"
#undef X
};

/* Members that are never sent there: the path's, the headers', other gateways' wishes. */
static const struct ar_str LEFT_OUT[] = {AR_LIT_INIT("model"), AR_LIT_INIT("anthropic_version"),
                                         AR_LIT_INIT("provider"), AR_LIT_INIT("models")};

#define COUNT_OF(a) (sizeof(a) / sizeof *(a))

const struct ar_body_form *ar_body_form_of(const struct ar_call_spec *s)
{
    if (s->dialect != &ar_dialect_anthropic || s->op == AR_OP_PASS) {
        return NULL;
    }
    switch (s->auth) {
    case AR_AUTH_GOOGLE:
        return &ON_VERTEX;
    case AR_AUTH_AWS:
        return (s->flags & AR_PLACE_INVOKE) ? &ON_BEDROCK : NULL;
    default:
        return NULL;
    }
}

static bool is_in(struct ar_str s, const struct ar_str *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ar_str_is(s, list[i])) {
            return true;
        }
    }
    return false;
}

/* The name that a beta has at a place; n 0: it is not known there. */
static struct ar_str name_there(struct ar_str beta, unsigned place)
{
    for (size_t i = 0; i < COUNT_OF(BETAS); i++) {
        if ((BETAS[i].places & place) && ar_str_is(BETAS[i].name, beta)) {
            return BETAS[i].sent;
        }
    }
    return (struct ar_str){"", 0};
}

/* "a, b" -> the array of those that are known, each once; nothing when there is none. */
static void put_betas(struct ar_jw *w, struct ar_str betas, unsigned place)
{
    struct ar_str sent[COUNT_OF(BETAS)], one;
    size_t n = 0;
    while (betas.n > 0 && ar_str_split(&betas, ',', &one)) {
        one = name_there(ar_str_trim(one), place);
        if (one.n > 0 && n < COUNT_OF(sent) && !is_in(one, sent, n)) {
            sent[n++] = one;
        }
    }
    if (n > 0) {
        ar_jw_key(w, "anthropic_beta");
        ar_jw_open(w, '[');
        for (size_t i = 0; i < n; i++) {
            ar_jw_text(w, sent[i]);
        }
        ar_jw_close(w, ']');
    }
}

enum ar_code ar_body_adapt(const struct ar_adapt *how, struct ar_arena *a, struct ar_buf *out,
                           struct ar_err *err)
{
    struct ar_jdoc mine;
    const struct ar_jdoc *doc = how->doc;
    if (!doc || !doc->nodes) {
        enum ar_code code = ar_json_parse(how->body, 1, a, &mine, err);
        if (code != AR_OK) {
            return code;
        }
        doc = &mine;
    }
    struct ar_jw w = ar_jw_on(out);
    ar_jw_open(&w, '{');
    ar_jw_key_text(&w, "anthropic_version", ar_str_of(how->form->version));
    if (how->keeps_model) {
        ar_jw_key_text(&w, "model", how->model);
    }
    bool has_betas = false;
    struct ar_jiter it = ar_json_iter(ar_json_root(doc));
    while (ar_json_next(&it)) {
        if (is_in(it.key, LEFT_OUT, COUNT_OF(LEFT_OUT)) ||
            (!how->form->keeps_stream && ar_str_is_lit(it.key, "stream"))) {
            continue;
        }
        has_betas |= ar_str_is_lit(it.key, "anthropic_beta");
        ar_jw_key_dec(&w, it.key);
        ar_jw_raw(&w, ar_json_raw(it.val));
    }
    if (!has_betas) {
        put_betas(&w, how->betas, how->form->betas);
    }
    ar_jw_close(&w, '}');
    return ar_buf_finish(out) == AR_OK ? AR_OK
                                       : ar_fail(err, AR_TOO_LARGE, "the request is too large");
}
