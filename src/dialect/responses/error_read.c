/* Errors of an upstream that speaks Responses (PROTOCOLS 9.2). The envelope and the words are those
 * of Chat, whose reader does the work; what only this dialect says (codes of a failed response) is
 * added here. Owns nothing. */
#include "dialect/responses/stream_read.h"

static const struct {
    const char *word;
    enum ar_code code;
    enum ar_blame blame;
} WORDS[] = {
    {"context_length_exceeded", AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {"usage_not_included", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {"invalid_prompt", AR_CONTENT_POLICY, AR_OF_CALLER},
    {"bio_policy", AR_CONTENT_POLICY, AR_OF_CALLER},
    {"cyber_policy", AR_CONTENT_POLICY, AR_OF_CALLER},
    {"misalignment_policy_violation", AR_CONTENT_POLICY, AR_OF_CALLER},
    {"image_content_policy_violation", AR_CONTENT_POLICY, AR_OF_CALLER},
    {"server_is_overloaded", AR_UPSTREAM_OVERLOADED, AR_OF_PLACE},
};

void ar_responses_decode_error(int status, struct ar_str body, struct ar_arena *a,
                               struct ar_fault *ret)
{
    ar_dialect_chat.decode_error(status, body, a, ret);
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (ar_str_is(ret->vendor_code, ar_str_of(WORDS[i].word))) {
            ret->code = WORDS[i].code;
            ret->blame = WORDS[i].blame;
            return;
        }
    }
    /* An invalid input that was found out only while the answer was made. */
    if (status < 400 && ar_str_has_prefix(ret->vendor_code, AR_LIT("invalid_")) &&
        ret->code == AR_UPSTREAM_ERROR) {
        ret->code = AR_UPSTREAM_REFUSED;
        ret->blame = AR_OF_CALLER;
    }
}
