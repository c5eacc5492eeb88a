/* Errors for a client: OpenAI's envelope, with the status and code that its agents test for
 * (PROTOCOLS 9.1, INTERFACE 4). Owns nothing. */
#include "dialect/chat/chat.h"

/* The type goes by the status; for those that have no row the caller is at fault below 499. */
static const struct {
    int status;
    const char *type;
} TYPES[] = {
    {402, "insufficient_quota"}, {403, "permission_error"},          {409, "conflict_error"},
    {429, "rate_limit_error"},   {503, "service_unavailable_error"},
};

/* The member code; null for those without a row. */
static const char *const NAMES[AR_CODE_COUNT] = {
    [AR_ENDPOINT_NOT_SUPPORTED] = "endpoint_not_supported",
    [AR_LOSSY] = "unsupported_parameter",
    [AR_CONTEXT_LENGTH] = "context_length_exceeded",
    [AR_CONTENT_POLICY] = "content_policy_violation",
    [AR_THREAD_UNSUPPORTED] = "unsupported_parameter",
    [AR_PREVIOUS_NOT_FOUND] = "previous_response_not_found",
    [AR_RESPONSE_NOT_FOUND] = "response_not_found",
    [AR_KEY_MISSING] = "invalid_api_key",
    [AR_KEY_INVALID] = "invalid_api_key",
    [AR_KEY_DISABLED] = "invalid_api_key",
    [AR_KEY_EXPIRED] = "invalid_api_key",
    [AR_QUOTA_EXHAUSTED] = "insufficient_quota",
    [AR_CREDITS_EXHAUSTED] = "insufficient_quota",
    [AR_MODEL_NOT_FOUND] = "model_not_found",
    [AR_METHOD_NOT_ALLOWED] = "method_not_supported",
    [AR_REQUEST_TIMEOUT] = "request_timeout",
    [AR_TOO_LARGE] = "request_too_large",
    [AR_HEADERS_TOO_LARGE] = "request_too_large",
    [AR_RATE_LIMITED] = "rate_limit_exceeded",
    [AR_TOO_MANY_CONCURRENT] = "rate_limit_exceeded",
    [AR_UPSTREAM_RATE_LIMITED] = "rate_limit_exceeded",
    [AR_UPSTREAM_ERROR] = "upstream_error",
    [AR_UPSTREAM_CONNECT] = "upstream_error",
    [AR_UPSTREAM_DNS] = "upstream_error",
    [AR_UPSTREAM_TLS] = "upstream_error",
    [AR_UPSTREAM_TRUNCATED] = "upstream_error",
    [AR_UPSTREAM_CREDENTIALS] = "upstream_error",
    [AR_NO_UPSTREAM] = "server_is_overloaded",
    [AR_UPSTREAM_OVERLOADED] = "server_is_overloaded",
    [AR_UPSTREAM_TIMEOUT] = "timeout",
};

static struct ar_str type_of(int status)
{
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        if (TYPES[i].status == status) {
            return ar_str_of(TYPES[i].type);
        }
    }
    return status < 499 ? AR_LIT("invalid_request_error") : AR_LIT("server_error");
}

int ar_chat_encode_error(const struct ar_fault *f, struct ar_str request_id, struct ar_buf *out)
{
    (void)request_id; /* it is in a header of every answer */
    int status = ar_code_status(f->code == AR_OK ? AR_INTERNAL : f->code);
    struct ar_str type = type_of(status), name = ar_str_of(NAMES[f->code]);
    if (f->code == AR_UPSTREAM_REFUSED || (f->code == AR_INVALID_REQUEST && f->upstream_status)) {
        status =
            f->upstream_status >= 400 && f->upstream_status < 500 ? f->upstream_status : status;
        type = f->vendor_type.n ? f->vendor_type : type;
        name = f->vendor_code;
    }
    struct ar_jw w = ar_jw_on(out);
    ar_jw_open(&w, '{');
    ar_jw_key(&w, "error");
    ar_jw_open(&w, '{');
    ar_jw_key_text(&w, "message", f->message.n ? f->message : ar_str_of(ar_code_doc(f->code)));
    ar_jw_key_text(&w, "type", type);
    ar_jw_key(&w, "param");
    f->param.n ? ar_jw_text(&w, f->param) : ar_jw_null(&w);
    ar_jw_key(&w, "code");
    name.n ? ar_jw_text(&w, name) : ar_jw_null(&w);
    ar_jw_close(&w, '}');
    ar_jw_close(&w, '}');
    return status;
}
