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

static const struct ar_body_form VERTEX = {
    .version = "vertex-2023-10-16", .keeps_stream = true, .betas_inside = false};
static const struct ar_body_form BEDROCK = {.version = "bedrock-2023-05-31",
                                            .betas_inside = true,
                                            .accept_stream = "application/vnd.amazon.eventstream"};

/* Betas that Bedrock knows. */
static const struct ar_str KNOWN[] = {
    AR_LIT_INIT("computer-use-2024-10-22"),
    AR_LIT_INIT("computer-use-2025-01-24"),
    AR_LIT_INIT("computer-use-2025-11-24"),
    AR_LIT_INIT("token-efficient-tools-2025-02-19"),
    AR_LIT_INIT("interleaved-thinking-2025-05-14"),
    AR_LIT_INIT("output-128k-2025-02-19"),
    AR_LIT_INIT("dev-full-thinking-2025-05-14"),
    AR_LIT_INIT("context-1m-2025-08-07"),
    AR_LIT_INIT("context-management-2025-06-27"),
    AR_LIT_INIT("effort-2025-11-24"),
    AR_LIT_INIT("tool-search-tool-2025-10-19"),
    AR_LIT_INIT("tool-examples-2025-10-29"),
    AR_LIT_INIT("compact-2026-01-12"),
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
        return &VERTEX;
    case AR_AUTH_AWS:
        return (s->flags & AR_PLACE_INVOKE) ? &BEDROCK : NULL;
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

/* "a, b" -> the array of those that are known; nothing when there is none. */
static void put_betas(struct ar_jw *w, struct ar_str betas)
{
    struct ar_str one;
    bool open = false;
    while (betas.n > 0 && ar_str_split(&betas, ',', &one)) {
        one = ar_str_trim(one);
        if (!is_in(one, KNOWN, COUNT_OF(KNOWN))) {
            continue;
        }
        if (!open) {
            ar_jw_key(w, "anthropic_beta");
            ar_jw_open(w, '[');
            open = true;
        }
        ar_jw_text(w, one);
    }
    if (open) {
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
    if (how->form->betas_inside && !has_betas) {
        put_betas(&w, how->betas);
    }
    ar_jw_close(&w, '}');
    return ar_buf_finish(out) == AR_OK ? AR_OK
                                       : ar_fail(err, AR_TOO_LARGE, "the request is too large");
}
