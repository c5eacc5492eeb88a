/* Errors of an upstream that speaks Messages: Anthropic's envelope, OpenAI's on an Anthropic path
 * (llama.cpp and relays), plain text and HTML; by status first, then refined by type and text
 * (PROTOCOLS 9.2), down to whose fault it is. Owns nothing. */
#include "dialect/anthropic/anthropic.h"
#include "dialect/decode.h"

/* Which status an error type stands for, when there is none: an error event, or an error object
 * with 200. */
static const struct {
    struct ar_str type;
    int status;
} statuses[] = {
    {AR_LIT_INIT("overloaded_error"), 529},
    {AR_LIT_INIT("api_error"), 500},
    {AR_LIT_INIT("rate_limit_error"), 429},
    {AR_LIT_INIT("timeout_error"), 504},
    {AR_LIT_INIT("invalid_request_error"), 400},
    {AR_LIT_INIT("authentication_error"), 401},
    {AR_LIT_INIT("billing_error"), 402},
    {AR_LIT_INIT("permission_error"), 403},
    {AR_LIT_INIT("not_found_error"), 404},
    {AR_LIT_INIT("conflict_error"), 409},
    {AR_LIT_INIT("request_too_large"), 413},
    {AR_LIT_INIT("insufficient_quota"), 402},
    {AR_LIT_INIT("server_error"), 500},
    {AR_LIT_INIT("unavailable_error"), 503},
    {AR_LIT_INIT("exceed_context_size_error"), 400},
    {AR_LIT_INIT("rate_limit_exceeded"), 429},
};

/* Texts and types that say more than the status. */
enum what { IS_CONTEXT, IS_BILLING, IS_AUTH, IS_MODEL, IS_POLICY, IS_OVERLOAD };
static const struct {
    struct ar_str text;
    enum what what;
} hints[] = {
    {AR_LIT_INIT("prompt is too long"), IS_CONTEXT},
    {AR_LIT_INIT("context_length_exceeded"), IS_CONTEXT},
    {AR_LIT_INIT("exceed context limit"), IS_CONTEXT},
    {AR_LIT_INIT("exceed_context_size"), IS_CONTEXT},
    {AR_LIT_INIT("maximum context length"), IS_CONTEXT},
    {AR_LIT_INIT("exceeds the available context"), IS_CONTEXT},
    {AR_LIT_INIT("exceeds the maximum number of tokens"), IS_CONTEXT},
    {AR_LIT_INIT("input is too long"), IS_CONTEXT}, /* Bedrock */
    {AR_LIT_INIT("credit balance is too low"), IS_BILLING},
    {AR_LIT_INIT("spend limit"), IS_BILLING},
    {AR_LIT_INIT("spending limit"), IS_BILLING},
    {AR_LIT_INIT("usage limits"), IS_BILLING},
    {AR_LIT_INIT("insufficient_quota"), IS_BILLING},
    {AR_LIT_INIT("insufficient balance"), IS_BILLING},
    {AR_LIT_INIT("billing_error"), IS_BILLING},
    {AR_LIT_INIT("invalid x-api-key"), IS_AUTH},
    {AR_LIT_INIT("invalid api key"), IS_AUTH},
    {AR_LIT_INIT("incorrect api key"), IS_AUTH},
    {AR_LIT_INIT("invalid_api_key"), IS_AUTH},
    {AR_LIT_INIT("authentication_error"), IS_AUTH},
    {AR_LIT_INIT("model_not_found"), IS_MODEL},
    {AR_LIT_INIT("model identifier is invalid"), IS_MODEL}, /* Bedrock */
    {AR_LIT_INIT("on-demand throughput"), IS_MODEL},        /* Bedrock: wants a profile's name */
    {AR_LIT_INIT("content policy"), IS_POLICY},
    {AR_LIT_INIT("content_policy"), IS_POLICY},
    {AR_LIT_INIT("content filtering policy"), IS_POLICY},
    {AR_LIT_INIT("overloaded_error"), IS_OVERLOAD},
    {AR_LIT_INIT("slow_down"), IS_OVERLOAD},
};

static bool says(const struct ar_fault *f, enum what what)
{
    const struct ar_str texts[] = {f->message, f->vendor_type, f->vendor_code};
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        for (size_t k = 0; hints[i].what == what && k < sizeof(texts) / sizeof(texts[0]); k++) {
            if (ar_str_find_nocase(texts[k], hints[i].text) < texts[k].n) {
                return true;
            }
        }
    }
    return false;
}

static bool is_missing_model(const struct ar_fault *f)
{
    struct ar_str m = f->message;
    bool named = ar_str_find_nocase(m, AR_LIT("model")) < m.n;
    return says(f, IS_MODEL) || (named && (ar_str_find_nocase(m, AR_LIT("not found")) < m.n ||
                                           ar_str_find_nocase(m, AR_LIT("does not exist")) < m.n));
}

static void blame(struct ar_fault *f, enum ar_code code, enum ar_blame who)
{
    f->code = code;
    f->blame = who;
}

static void classify_400(struct ar_fault *f)
{
    if (says(f, IS_CONTEXT)) {
        blame(f, AR_CONTEXT_LENGTH, AR_OF_CALLER);
    } else if (says(f, IS_BILLING) || says(f, IS_AUTH)) {
        blame(f, AR_UPSTREAM_CREDENTIALS, AR_OF_KEY);
    } else if (says(f, IS_POLICY)) {
        blame(f, AR_CONTENT_POLICY, AR_OF_CALLER);
    } else if (is_missing_model(f)) {
        blame(f, AR_MODEL_NOT_FOUND, AR_OF_MODEL);
    } else {
        blame(f, AR_UPSTREAM_REFUSED, AR_OF_CALLER);
    }
}

static void classify(struct ar_fault *f, int status)
{
    switch (status) {
    case 400:
        classify_400(f);
        return;
    case 401:
    case 402:
    case 403:
        blame(f, AR_UPSTREAM_CREDENTIALS, AR_OF_KEY);
        return;
    case 404:
        if (is_missing_model(f) || ar_str_is_lit(f->vendor_type, "not_found_error")) {
            blame(f, AR_MODEL_NOT_FOUND, AR_OF_MODEL);
        } else {
            blame(f, AR_UPSTREAM_ERROR, AR_OF_UPSTREAM);
        }
        return;
    case 408:
    case 504:
        blame(f, AR_UPSTREAM_TIMEOUT, AR_OF_PLACE);
        return;
    case 424: /* Bedrock: the model failed */
        blame(f, AR_UPSTREAM_ERROR, AR_OF_PLACE);
        return;
    case 409:
        blame(f, AR_CONFLICT, AR_OF_CALLER);
        return;
    case 413:
        blame(f, AR_TOO_LARGE, AR_OF_CALLER);
        return;
    case 429:
        blame(f, says(f, IS_BILLING) ? AR_UPSTREAM_CREDENTIALS : AR_UPSTREAM_RATE_LIMITED,
              AR_OF_KEY);
        return;
    case 503:
    case 529:
        blame(f, AR_UPSTREAM_OVERLOADED, AR_OF_PLACE);
        return;
    default:
        break;
    }
    if (status >= 400 && status < 500) {
        blame(f, AR_UPSTREAM_REFUSED, AR_OF_CALLER);
    } else {
        blame(f, says(f, IS_OVERLOAD) ? AR_UPSTREAM_OVERLOADED : AR_UPSTREAM_ERROR, AR_OF_PLACE);
        if (says(f, IS_CONTEXT)) {
            blame(f, AR_CONTEXT_LENGTH, AR_OF_CALLER);
        }
    }
}

void ar_anthropic_fault_of(int status, struct ar_jval root, struct ar_arena *a,
                           struct ar_fault *ret)
{
    struct ar_jval error = ar_json_get_lit(root, "error");
    struct ar_jval of = ar_json_is(error, AR_J_OBJECT) ? error : root;
    *ret = (struct ar_fault){.upstream_status = status, .retry_after_ms = -1};
    ret->message = ar_take_error_text(
        ar_json_is(error, AR_J_STRING) ? error : ar_json_get_lit(of, "message"), a);
    if (!ret->message.p) {
        ret->message = ar_take_error_text(ar_json_get_lit(of, "detail"), a);
    }
    ret->vendor_type = ar_take_error_text(ar_json_get_lit(of, "type"), a);
    ret->vendor_code = ar_take_error_text(ar_json_get_lit(of, "code"), a);
    ret->param = ar_take_error_text(ar_json_get_lit(of, "param"), a);
    struct ar_jval details = ar_json_get_lit(of, "details");
    if (ar_json_is(details, AR_J_OBJECT)) {
        ret->details = ar_arena_copy(a, ar_json_raw(details));
    }
    int64_t code = 0;
    if (status < 400) {
        status = 500;
        for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
            if (ar_str_is(statuses[i].type, ret->vendor_type)) {
                status = statuses[i].status;
            }
        }
        if (status == 500 && ar_str_to_i64(ret->vendor_code, 400, 599, &code) == AR_OK) {
            status = (int)code;
        }
    }
    classify(ret, status);
}

void ar_anthropic_decode_error(int status, struct ar_str body, struct ar_arena *a,
                               struct ar_fault *ret)
{
    struct ar_jdoc doc;
    struct ar_jval root = {0};
    if (body.n <= 1U << 20 && ar_json_parse(body, AR_JSON_DEPTH, a, &doc, NULL) == AR_OK) {
        root = ar_json_root(&doc);
    }
    ar_anthropic_fault_of(status, root, a, ret);
    struct ar_str plain = ar_str_trim(ar_str_head(body, AR_ERROR_TEXT_MAX));
    if (!root.doc && plain.n > 0 && plain.p[0] != '<') { /* neither JSON nor HTML: a sentence */
        struct ar_str esc = ar_json_escape_in(plain, a); /* mends broken UTF-8 */
        ret->message = esc.p ? ar_json_unescape_in(esc, a) : esc;
        classify(ret, status);
    }
    ret->raw_body = body;
    ret->upstream_status = status;
}
