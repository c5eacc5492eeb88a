/* Errors for a client: OpenAI's envelope is one for all its endpoints, so it is Chat's with the
 * exceptions that Codex needs (INTERFACE 4, CLIENTS 2); and the error of a response object that
 * failed. Owns nothing. */
#include "dialect/chat/chat.h"
#include "dialect/responses/answer_write.h"

/* OpenAI's envelope is one for all its endpoints. A spent quota has the status that stops Codex
 * (INTERFACE 4). */
int ar_responses_encode_error(const struct ar_fault *f, struct ar_str request_id,
                              struct ar_buf *out)
{
    int status = ar_chat_encode_error(f, request_id, out);
    return f->code == AR_QUOTA_EXHAUSTED || f->code == AR_CREDITS_EXHAUSTED ? 429 : status;
}

/* What Codex acts on (CLIENTS 2); everything else it retries. */
static const struct {
    enum ar_code code;
    struct ar_str name;
} CODES[] = {
    {AR_CONTEXT_LENGTH, AR_LIT_INIT("context_length_exceeded")},
    {AR_QUOTA_EXHAUSTED, AR_LIT_INIT("insufficient_quota")},
    {AR_CREDITS_EXHAUSTED, AR_LIT_INIT("insufficient_quota")},
    {AR_RATE_LIMITED, AR_LIT_INIT("rate_limit_exceeded")},
    {AR_TOO_MANY_CONCURRENT, AR_LIT_INIT("rate_limit_exceeded")},
    {AR_UPSTREAM_RATE_LIMITED, AR_LIT_INIT("rate_limit_exceeded")},
    {AR_NO_UPSTREAM, AR_LIT_INIT("server_is_overloaded")},
    {AR_UPSTREAM_OVERLOADED, AR_LIT_INIT("server_is_overloaded")},
    {AR_INVALID_REQUEST, AR_LIT_INIT("invalid_prompt")},
    {AR_LOSSY, AR_LIT_INIT("invalid_prompt")},
    {AR_CONTENT_POLICY, AR_LIT_INIT("invalid_prompt")},
    {AR_UPSTREAM_REFUSED, AR_LIT_INIT("invalid_prompt")},
    {AR_TOO_LARGE, AR_LIT_INIT("invalid_prompt")},
};

void ar_responses_put_fault(struct ar_jw *j, const struct ar_fault *f)
{
    struct ar_str name = AR_LIT("server_error");
    for (size_t i = 0; i < sizeof CODES / sizeof *CODES; i++) {
        name = CODES[i].code == f->code ? CODES[i].name : name;
    }
    struct ar_str text = f->message.n > 0 ? f->message : ar_str_of(ar_code_doc(f->code));
    ar_jw_open(j, '{');
    ar_jw_key_text(j, "code", name);
    ar_jw_key(j, "message");
    ar_jw_raw(j, AR_LIT("\""));
    ar_json_escape(text, j->out);
    if (f->retry_after_ms >= 0 && ar_str_is_lit(name, "rate_limit_exceeded")) {
        ar_buf_fmt(j->out, " Please try again in %llds.",
                   (long long)((f->retry_after_ms + 999) / 1000)); /* Codex waits as long */
    }
    ar_buf_char(j->out, '"');
    ar_jw_close(j, '}');
}
