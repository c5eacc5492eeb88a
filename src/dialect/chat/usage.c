/* Usage and stop reasons of the wire, both directions (PROTOCOLS 7.2, 7.3). Counters that are
 * missing stay unknown when read and are 0 when written, because clients type them as numbers.
 * Negative ones are not believed. */
#include "dialect/chat/chat.h"

/* The first of the names that holds a count. */
static void read_count(struct ar_jval obj, const char *const *names, int64_t *ret)
{
    for (; *names; names++) {
        int64_t n;
        if (ar_json_i64(ar_json_get(obj, ar_str_of(*names)), &n, NULL) == AR_OK && n >= 0) {
            *ret = n;
            return;
        }
    }
}
#define COUNT(obj, ret, ...) read_count((obj), (const char *const[]){__VA_ARGS__, NULL}, (ret))

void ar_chat_read_usage(struct ar_jval usage, struct ar_usage *ret)
{
    struct ar_jval in = ar_json_get_lit(usage, "prompt_tokens_details");
    struct ar_jval out = ar_json_get_lit(usage, "completion_tokens_details");
    ar_usage_clear(ret);
    COUNT(usage, &ret->in_total, "prompt_tokens", "input_tokens");
    COUNT(usage, &ret->out_total, "completion_tokens", "output_tokens");
    COUNT(in, &ret->in_cached, "cached_tokens");
    if (ret->in_cached < 0) { /* DeepSeek; Moonshot and others */
        COUNT(usage, &ret->in_cached, "prompt_cache_hit_tokens", "cached_tokens");
    }
    COUNT(in, &ret->in_cache_write, "cache_write_tokens", "cache_creation_tokens");
    if (ret->in_cache_write < 0) {
        COUNT(usage, &ret->in_cache_write, "cache_creation_input_tokens");
    }
    COUNT(in, &ret->in_audio, "audio_tokens");
    COUNT(in, &ret->in_image, "image_tokens");
    COUNT(out, &ret->out_reasoning, "reasoning_tokens");
    COUNT(out, &ret->out_audio, "audio_tokens");
    /* xAI counts reasoning apart from completion_tokens; the total gives it away. */
    int64_t total = -1;
    COUNT(usage, &total, "total_tokens");
    if (ret->out_total >= 0 && ret->out_reasoning > 0 &&
        (ret->out_reasoning > ret->out_total ||
         total == ar_tokens(ret->in_total) + ret->out_total + ret->out_reasoning)) {
        ret->out_total += ret->out_reasoning;
    }
}

void ar_chat_write_usage(const struct ar_usage *u, struct ar_jw *w)
{
    int64_t in = ar_tokens(u->in_total), out = ar_tokens(u->out_total);
    ar_jw_open(w, '{');
    ar_jw_key_i64(w, "prompt_tokens", in);
    ar_jw_key_i64(w, "completion_tokens", out);
    ar_jw_key_i64(w, "total_tokens", in + out);
    ar_jw_key(w, "prompt_tokens_details");
    ar_jw_open(w, '{');
    ar_jw_key_i64(w, "cached_tokens", ar_tokens(u->in_cached));
    if (u->in_cache_write > 0) {
        ar_jw_key_i64(w, "cache_write_tokens", u->in_cache_write);
    }
    if (u->in_audio > 0) {
        ar_jw_key_i64(w, "audio_tokens", u->in_audio);
    }
    ar_jw_close(w, '}');
    ar_jw_key(w, "completion_tokens_details");
    ar_jw_open(w, '{');
    ar_jw_key_i64(w, "reasoning_tokens", ar_tokens(u->out_reasoning));
    if (u->out_audio > 0) {
        ar_jw_key_i64(w, "audio_tokens", u->out_audio);
    }
    ar_jw_close(w, '}');
    ar_jw_close(w, '}');
}

/* Words of finish_reason, official ones first; the others are seen at compatible places. */
static const struct {
    struct ar_str word;
    enum ar_stop_reason reason;
} WORDS[] = {
    {AR_LIT_INIT("stop"), AR_STOP_END},
    {AR_LIT_INIT("tool_calls"), AR_STOP_TOOL_USE},
    {AR_LIT_INIT("length"), AR_STOP_MAX_TOKENS},
    {AR_LIT_INIT("content_filter"), AR_STOP_FILTER},
    {AR_LIT_INIT("function_call"), AR_STOP_TOOL_USE},
    {AR_LIT_INIT("eos"), AR_STOP_END},
    {AR_LIT_INIT("end_turn"), AR_STOP_END},
    {AR_LIT_INIT("tool_use"), AR_STOP_TOOL_USE},
    {AR_LIT_INIT("max_tokens"), AR_STOP_MAX_TOKENS},
    {AR_LIT_INIT("model_length"), AR_STOP_CONTEXT},
    {AR_LIT_INIT("refusal"), AR_STOP_REFUSAL},
    {AR_LIT_INIT("sensitive"), AR_STOP_FILTER},
};

enum ar_stop_reason ar_chat_stop_of(struct ar_str finish)
{
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (ar_str_is(finish, WORDS[i].word)) {
            return WORDS[i].reason;
        }
    }
    return AR_STOP_OTHER;
}

const char *ar_chat_finish_of(enum ar_stop_reason reason)
{
    switch (reason) {
    case AR_STOP_TOOL_USE:
        return "tool_calls";
    case AR_STOP_MAX_TOKENS:
    case AR_STOP_CONTEXT:
        return "length";
    case AR_STOP_FILTER:
        return "content_filter";
    default:
        return "stop";
    }
}

void ar_chat_read_stop(struct ar_str finish, struct ar_jval choice, struct ar_chat_seen seen,
                       struct ar_stop *ret)
{
    struct ar_jval matched =
        ar_json_get_lit(choice, "stop_reason"); /* vLLM: the stop string, or a token's number */
    *ret = (struct ar_stop){.reason = finish.n ? ar_chat_stop_of(finish) : AR_STOP_END,
                            .native = finish};
    if (ret->reason == AR_STOP_END && seen.calls) {
        ret->reason = AR_STOP_TOOL_USE;
    } else if (ret->reason == AR_STOP_TOOL_USE && !seen.calls) {
        ret->reason = AR_STOP_END;
    }
    if (ret->reason == AR_STOP_END && ar_json_esc(matched).n &&
        !ar_str_is(ar_json_esc(matched), finish)) {
        ret->reason = AR_STOP_SEQUENCE;
        ret->sequence = ar_json_esc(matched);
    } else if (ret->reason == AR_STOP_END && seen.refusal && !seen.text) {
        ret->reason = AR_STOP_REFUSAL;
    }
}
