/* Errors for a client: the envelope of PROTOCOLS 3.11 with the exceptions of INTERFACE 4, which
 * make real agents stop when an error cannot get better; context errors get the text that Claude
 * Code recognises. Owns nothing. */
#include "dialect/anthropic/anthropic.h"

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
