/* Errors, both roles. Writing: the envelope of PROTOCOLS 3.11 with the exceptions of INTERFACE 4,
 * which make real agents stop when an error cannot get better; context errors get the text that
 * Claude Code recognises. Reading: Anthropic's envelope, OpenAI's on an Anthropic path (llama.cpp
 * and relays), plain text and HTML; by status first, then refined by type and text (9.2), down to
 * whose fault it is. Owns nothing. */
#include "dialect/anthropic/anthropic.h"

enum { MESSAGE_MAX = 2048 };

/* --- writing --- */

static const struct {
    int status;
    struct ar_str type;
} types[] = {
    {400, AR_LIT_INIT("invalid_request_error")},
    {401, AR_LIT_INIT("authentication_error")},
    {402, AR_LIT_INIT("billing_error")},
    {403, AR_LIT_INIT("permission_error")},
    {404, AR_LIT_INIT("not_found_error")},
    {405, AR_LIT_INIT("invalid_request_error")},
    {408, AR_LIT_INIT("timeout_error")},
    {409, AR_LIT_INIT("conflict_error")},
    {413, AR_LIT_INIT("request_too_large")},
    {426, AR_LIT_INIT("invalid_request_error")},
    {429, AR_LIT_INIT("rate_limit_error")},
    {431, AR_LIT_INIT("request_too_large")},
    {500, AR_LIT_INIT("api_error")},
    {502, AR_LIT_INIT("api_error")},
    {504, AR_LIT_INIT("timeout_error")},
    {529, AR_LIT_INIT("overloaded_error")},
};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

/* Codes whose status or type is not that of the table of codes (INTERFACE 4). */
static const struct {
    enum ar_code code;
    int status;
    struct ar_str type; /* n 0: the status's */
} exceptions[] = {
    {AR_KEY_MISSING, 403, {"", 0}},
    {AR_KEY_INVALID, 403, {"", 0}},
    {AR_KEY_DISABLED, 403, {"", 0}},
    {AR_KEY_EXPIRED, 403, {"", 0}},
    {AR_QUOTA_EXHAUSTED, 403, AR_LIT_INIT("billing_error")},
    {AR_CREDITS_EXHAUSTED, 403, AR_LIT_INIT("billing_error")},
    {AR_NO_UPSTREAM, 529, {"", 0}},
    {AR_UPSTREAM_OVERLOADED, 529, {"", 0}},
};

static struct ar_str type_of(int status)
{
    for (unsigned i = 0; i < TYPES; i++) {
        if (types[i].status == status) {
            return types[i].type;
        }
    }
    return status >= 500 ? AR_LIT("api_error") : AR_LIT("invalid_request_error");
}

static bool is_own_type(struct ar_str type)
{
    for (unsigned i = 0; i < TYPES; i++) {
        if (ar_str_is(types[i].type, type)) {
            return true;
        }
    }
    return false;
}

/* Status and type of a fault. A refusal by the upstream keeps the upstream's own. */
static int status_of(const struct ar_fault *f, struct ar_str *ret_type)
{
    int status = ar_code_status(f->code);
    *ret_type = (struct ar_str){0};
    for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
        if (exceptions[i].code == f->code) {
            status = exceptions[i].status;
            *ret_type = exceptions[i].type;
        }
    }
    if (f->code == AR_UPSTREAM_REFUSED) {
        status =
            f->upstream_status >= 400 && f->upstream_status < 500 ? f->upstream_status : status;
        *ret_type = is_own_type(f->vendor_type) ? f->vendor_type : *ret_type;
    }
    if (ret_type->n == 0) {
        *ret_type = type_of(status);
    }
    return status;
}

/* The first two integers of at least three digits in text. */
static unsigned find_numbers(struct ar_str text, int64_t ret[2])
{
    unsigned found = 0;
    for (size_t i = 0; i < text.n && found < 2; i++) {
        size_t n = 0;
        while (i + n < text.n && text.p[i + n] >= '0' && text.p[i + n] <= '9') {
            n++;
        }
        if (n >= 3 && n <= 12 &&
            ar_str_to_i64(ar_str_n(text.p + i, n), 0, INT64_MAX, &ret[found]) == AR_OK) {
            found++;
        }
        i += n > 0 ? n - 1 : 0;
    }
    return found;
}

/* Claude Code compacts on "prompt is too long: A tokens > B maximum" (CLIENTS 2). */
static void put_context_message(struct ar_jw *w, struct ar_str message)
{
    int64_t n[2] = {0, 0};
    if (ar_str_has(message, AR_LIT("prompt is too long")) ||
        ar_str_has(message, AR_LIT("exceed context limit"))) {
        ar_jw_text(w, message);
        return;
    }
    ar_jw_raw(w, AR_LIT("\"prompt is too long: "));
    if (find_numbers(message, n) == 2 && n[0] != n[1]) {
        ar_buf_i64(w->out, n[0] > n[1] ? n[0] : n[1]);
        ar_buf_lit(w->out, " tokens > ");
        ar_buf_i64(w->out, n[0] > n[1] ? n[1] : n[0]);
        ar_buf_lit(w->out, " maximum");
    } else {
        ar_json_escape(message, w->out);
    }
    ar_buf_char(w->out, '"');
}

/* The envelope has no member for the field at fault: the message begins with it, as the vendor's
 * does. */
static void put_named_message(struct ar_jw *w, struct ar_str field, struct ar_str message)
{
    ar_jw_raw(w, AR_LIT("\""));
    ar_json_escape(field, w->out);
    ar_buf_lit(w->out, ": ");
    ar_json_escape(message, w->out);
    ar_buf_char(w->out, '"');
}

int ar_anthropic_put_error(struct ar_jw *w, const struct ar_fault *f)
{
    struct ar_str type;
    int status = status_of(f, &type);
    struct ar_str message = f->message.n > 0 ? f->message : ar_str_of(ar_code_doc(f->code));
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "type", type);
    ar_jw_key(w, "message");
    if (f->code == AR_CONTEXT_LENGTH) {
        put_context_message(w, message);
    } else if (f->param.n > 0 && ar_str_find(message, f->param) == message.n) {
        put_named_message(w, f->param, message);
    } else {
        ar_jw_text(w, message);
    }
    if (f->details.n > 0) {
        ar_jw_key_raw(w, "details", f->details);
    } else if (f->code ==
               AR_THREAD_UNSUPPORTED) { /* makes the SDK resend the whole history (CLIENTS 0.3) */
        ar_jw_key_raw(
            w, "details",
            AR_LIT("{\"error_code\":\"thread_unsupported_request\",\"unsupported\":[\"thread\"]}"));
    }
    ar_jw_close(w, '}');
    return status;
}

int ar_anthropic_encode_error(const struct ar_fault *f, struct ar_str request_id,
                              struct ar_buf *out)
{
    struct ar_jw w = ar_jw_on(out);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "type", "error");
    ar_jw_key(&w, "error");
    int status = ar_anthropic_put_error(&w, f);
    ar_jw_key(&w, "request_id");
    if (request_id.n > 0) {
        ar_jw_text(&w, request_id);
    } else {
        ar_jw_null(&w);
    }
    ar_jw_close(&w, '}');
    return status;
}

/* --- reading --- */

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

/* dec copy of a string (or a number's spelling), cut at the limit between characters. */
static struct ar_str text_of(struct ar_jval v, struct ar_arena *a)
{
    struct ar_str s = {0};
    if (ar_json_is(v, AR_J_STRING)) {
        s = ar_json_unescape_in(ar_json_esc(v), a);
    } else if (ar_json_is(v, AR_J_NUMBER)) {
        s = ar_json_raw(v);
    }
    size_t n = s.n < MESSAGE_MAX ? s.n : MESSAGE_MAX;
    while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xC0U) == 0x80U) {
        n--;
    }
    return s.p ? ar_arena_copy(a, ar_str_head(s, n)) : s;
}

void ar_anthropic_fault_of(int status, struct ar_jval root, struct ar_arena *a,
                           struct ar_fault *ret)
{
    struct ar_jval error = ar_json_get_lit(root, "error");
    struct ar_jval of = ar_json_is(error, AR_J_OBJECT) ? error : root;
    *ret = (struct ar_fault){.upstream_status = status, .retry_after_ms = -1};
    ret->message =
        text_of(ar_json_is(error, AR_J_STRING) ? error : ar_json_get_lit(of, "message"), a);
    if (!ret->message.p) {
        ret->message = text_of(ar_json_get_lit(of, "detail"), a);
    }
    ret->vendor_type = text_of(ar_json_get_lit(of, "type"), a);
    ret->vendor_code = text_of(ar_json_get_lit(of, "code"), a);
    ret->param = text_of(ar_json_get_lit(of, "param"), a);
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
    struct ar_str plain = ar_str_trim(ar_str_head(body, MESSAGE_MAX));
    if (!root.doc && plain.n > 0 && plain.p[0] != '<') { /* neither JSON nor HTML: a sentence */
        struct ar_str esc = ar_json_escape_in(plain, a); /* mends broken UTF-8 */
        ret->message = esc.p ? ar_json_unescape_in(esc, a) : esc;
        classify(ret, status);
    }
    ret->raw_body = body;
    ret->upstream_status = status;
}
