/* Errors for a client: Google's envelope with its status words (PROTOCOLS 4.9, 9.1) and the
 * exceptions of INTERFACE 4, chosen so that agents stop when an error cannot get better. A wait is
 * told as RetryInfo. Where the stream is a JSON array, its framing wraps the body. Owns nothing. */
#include "dialect/gemini/gemini.h"

static const struct {
    int status;
    struct ar_str word;
} words[] = {
    {400, AR_LIT_INIT("INVALID_ARGUMENT")},   {401, AR_LIT_INIT("UNAUTHENTICATED")},
    {402, AR_LIT_INIT("RESOURCE_EXHAUSTED")}, {403, AR_LIT_INIT("PERMISSION_DENIED")},
    {404, AR_LIT_INIT("NOT_FOUND")},          {405, AR_LIT_INIT("UNIMPLEMENTED")},
    {408, AR_LIT_INIT("DEADLINE_EXCEEDED")},  {409, AR_LIT_INIT("ABORTED")},
    {413, AR_LIT_INIT("INVALID_ARGUMENT")},   {426, AR_LIT_INIT("UNIMPLEMENTED")},
    {429, AR_LIT_INIT("RESOURCE_EXHAUSTED")}, {431, AR_LIT_INIT("INVALID_ARGUMENT")},
    {499, AR_LIT_INIT("CANCELLED")},          {500, AR_LIT_INIT("INTERNAL")},
    {501, AR_LIT_INIT("UNIMPLEMENTED")},      {502, AR_LIT_INIT("INTERNAL")},
    {503, AR_LIT_INIT("UNAVAILABLE")},        {504, AR_LIT_INIT("DEADLINE_EXCEEDED")},
};

static struct ar_str word_of(int status)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (words[i].status == status) {
            return words[i].word;
        }
    }
    return status >= 500 ? AR_LIT("INTERNAL") : AR_LIT("INVALID_ARGUMENT");
}

/* Is it one of Google's own words? */
static bool is_word(struct ar_str s)
{
    static const struct ar_str more[] = {AR_LIT_INIT("FAILED_PRECONDITION"),
                                         AR_LIT_INIT("ALREADY_EXISTS"),
                                         AR_LIT_INIT("OUT_OF_RANGE")};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (ar_str_is(words[i].word, s)) {
            return true;
        }
    }
    return ar_str_is(s, more[0]) || ar_str_is(s, more[1]) || ar_str_is(s, more[2]);
}

static int status_of(const struct ar_fault *f, struct ar_str *ret_word)
{
    int status = ar_code_status(f->code);
    if (f->code == AR_QUOTA_EXHAUSTED || f->code == AR_CREDITS_EXHAUSTED) {
        status = 403; /* Gemini CLI repeats a 429 */
    }
    bool refused =
        f->code == AR_UPSTREAM_REFUSED && f->upstream_status >= 400 && f->upstream_status < 500;
    status = refused ? f->upstream_status : status;
    *ret_word = refused && is_word(f->vendor_type) ? f->vendor_type : word_of(status);
    return status;
}

/* The envelope has no member for the field at fault: the message begins with it. */
static void put_message(struct ar_jw *w, const struct ar_fault *f)
{
    struct ar_str text = f->message.n > 0 ? f->message : ar_str_of(ar_code_doc(f->code));
    ar_jw_key(w, "message");
    if (f->param.n == 0 || ar_str_has(text, f->param)) {
        ar_jw_text(w, text);
        return;
    }
    ar_jw_raw(w, AR_LIT("\""));
    ar_json_escape(f->param, w->out);
    ar_buf_lit(w->out, ": ");
    ar_json_escape(text, w->out);
    ar_buf_char(w->out, '"');
}

static void put_details(struct ar_jw *w, const struct ar_fault *f)
{
    bool bad_key = f->code == AR_KEY_INVALID;
    if (!bad_key && f->retry_after_ms <= 0) {
        return;
    }
    ar_jw_key(w, "details");
    ar_jw_open(w, '[');
    ar_jw_open(w, '{');
    if (bad_key) {
        ar_jw_key_lit(w, "@type", "type.googleapis.com/google.rpc.ErrorInfo");
        ar_jw_key_lit(w, "reason", "API_KEY_INVALID");
        ar_jw_key_lit(w, "domain", "googleapis.com");
    } else {
        char delay[32];
        ar_jw_key_lit(w, "@type", "type.googleapis.com/google.rpc.RetryInfo");
        struct ar_buf b = {.p = delay, .cap = sizeof delay, .max = sizeof delay};
        ar_buf_i64(&b, f->retry_after_ms / 1000 + (f->retry_after_ms % 1000 > 0));
        ar_buf_char(&b, 's');
        ar_jw_key_text(w, "retryDelay", ar_buf_view(&b));
    }
    ar_jw_close(w, '}');
    ar_jw_close(w, ']');
}

int ar_gemini_encode_error(const struct ar_fault *f, struct ar_str request_id, struct ar_buf *out)
{
    (void)request_id;
    struct ar_str word;
    struct ar_jw w = ar_jw_on(out);
    int status = status_of(f, &word);
    ar_jw_open(&w, '{');
    ar_jw_key(&w, "error");
    ar_jw_open(&w, '{');
    ar_jw_key_i64(&w, "code", status);
    put_message(&w, f);
    ar_jw_key_text(&w, "status", word);
    put_details(&w, f);
    ar_jw_close(&w, '}');
    ar_jw_close(&w, '}');
    return status;
}
