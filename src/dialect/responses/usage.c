/* Token counts of a Responses answer (PROTOCOLS 7.3): the same numbers as Chat's under other names,
 * so Chat's reader knows both. Owns nothing. */
#include "dialect/responses/responses.h"

#include "dialect/chat/chat.h"

void ar_responses_read_usage(struct ar_jval usage, struct ar_usage *ret)
{
    ar_chat_read_usage(usage, ret);
}

void ar_responses_put_usage(struct ar_jw *j, const struct ar_usage *u)
{
    int64_t in = ar_tokens(u->in_total), out = ar_tokens(u->out_total);
    ar_jw_open(j, '{');
    ar_jw_key_i64(j, "input_tokens", in);
    ar_jw_key(j, "input_tokens_details");
    ar_jw_open(j, '{');
    ar_jw_key_i64(j, "cached_tokens", ar_tokens(u->in_cached));
    ar_jw_key_i64(j, "cache_write_tokens", ar_tokens(u->in_cache_write));
    ar_jw_close(j, '}');
    ar_jw_key_i64(j, "output_tokens", out);
    ar_jw_key(j, "output_tokens_details");
    ar_jw_open(j, '{');
    ar_jw_key_i64(j, "reasoning_tokens", ar_tokens(u->out_reasoning));
    ar_jw_close(j, '}');
    ar_jw_key_i64(j, "total_tokens", in + out);
    ar_jw_close(j, '}');
}
