/* Usage and stop reasons of the wire, both directions (PROTOCOLS 7.2, 7.3). Counters that are
 * missing stay unknown when read and are 0 when written, because clients type them as numbers.
 * Negative ones are not believed. */
#include "dialect/chat/chat.h"

/* Names of counters: official ones, those of Responses, then what compatible places say. */
enum {
    U_IN,
    U_IN_OTHER,
    U_OUT,
    U_OUT_OTHER,
    U_TOTAL,
    U_IN_DETAILS,
    U_IN_DETAILS_OTHER,
    U_OUT_DETAILS,
    U_OUT_DETAILS_OTHER,
    U_CACHE_HIT,
    U_CACHED,
    U_CACHE_CREATED,
    U_COUNT
};
static const struct ar_str COUNTERS[U_COUNT] = {
    [U_IN] = AR_LIT_INIT("prompt_tokens"),
    [U_IN_OTHER] = AR_LIT_INIT("input_tokens"),
    [U_OUT] = AR_LIT_INIT("completion_tokens"),
    [U_OUT_OTHER] = AR_LIT_INIT("output_tokens"),
    [U_TOTAL] = AR_LIT_INIT("total_tokens"),
    [U_IN_DETAILS] = AR_LIT_INIT("prompt_tokens_details"),
    [U_IN_DETAILS_OTHER] = AR_LIT_INIT("input_tokens_details"),
    [U_OUT_DETAILS] = AR_LIT_INIT("completion_tokens_details"),
    [U_OUT_DETAILS_OTHER] = AR_LIT_INIT("output_tokens_details"),
    [U_CACHE_HIT] = AR_LIT_INIT("prompt_cache_hit_tokens"), /* DeepSeek */
    [U_CACHED] = AR_LIT_INIT("cached_tokens"),              /* Moonshot and others */
    [U_CACHE_CREATED] = AR_LIT_INIT("cache_creation_input_tokens"),
};
enum {
    D_CACHED,
    D_CACHE_WRITE,
    D_CACHE_WRITE_MORE,
    D_CACHE_CREATED,
    D_AUDIO,
    D_IMAGE,
    D_REASONING,
    D_COUNT
};
static const struct ar_str DETAILS[D_COUNT] = {
    [D_CACHED] = AR_LIT_INIT("cached_tokens"),
    [D_CACHE_WRITE] = AR_LIT_INIT("cache_write_tokens"),
    [D_CACHE_WRITE_MORE] = AR_LIT_INIT("cache_write_tokens_details"),
    [D_CACHE_CREATED] = AR_LIT_INIT("cache_creation_tokens"),
    [D_AUDIO] = AR_LIT_INIT("audio_tokens"),
    [D_IMAGE] = AR_LIT_INIT("image_tokens"),
    [D_REASONING] = AR_LIT_INIT("reasoning_tokens"),
};

/* Fills *ret unless it is known already. */
static void read_count(struct ar_jval v, int64_t *ret)
{
    int64_t n;
    if (*ret < 0 && v.doc && ar_json_i64(v, &n, NULL) == AR_OK && n >= 0) {
        *ret = n;
    }
}

void ar_chat_read_usage(struct ar_jval usage, struct ar_usage *ret)
{
    struct ar_jval u[U_COUNT], in[D_COUNT], out[D_COUNT];
    ar_json_pick(usage, COUNTERS, U_COUNT, u);
    ar_json_pick(u[u[U_IN_DETAILS].doc ? U_IN_DETAILS : U_IN_DETAILS_OTHER], DETAILS, D_COUNT, in);
    ar_json_pick(u[u[U_OUT_DETAILS].doc ? U_OUT_DETAILS : U_OUT_DETAILS_OTHER], DETAILS, D_COUNT,
                 out);
    ar_usage_clear(ret);
    read_count(u[U_IN], &ret->in_total);
    read_count(u[U_IN_OTHER], &ret->in_total);
    read_count(u[U_OUT], &ret->out_total);
    read_count(u[U_OUT_OTHER], &ret->out_total);
    read_count(in[D_CACHED], &ret->in_cached);
    read_count(u[U_CACHE_HIT], &ret->in_cached);
    read_count(u[U_CACHED], &ret->in_cached);
    read_count(in[D_CACHE_WRITE], &ret->in_cache_write);
    if (in[D_CACHE_WRITE_MORE].doc) {
        struct ar_jval more = in[D_CACHE_WRITE_MORE];
        read_count(ar_json_get_lit(more, "ttl_30m_tokens"), &ret->in_cache_write_short);
        read_count(ar_json_get_lit(more, "ttl_12h_tokens"), &ret->in_cache_write_long);
    }
    read_count(in[D_CACHE_CREATED], &ret->in_cache_write);
    read_count(u[U_CACHE_CREATED], &ret->in_cache_write);
    read_count(in[D_AUDIO], &ret->in_audio);
    read_count(in[D_IMAGE], &ret->in_image);
    read_count(out[D_REASONING], &ret->out_reasoning);
    read_count(out[D_AUDIO], &ret->out_audio);
    /* xAI and others count reasoning apart from the output; the total gives it away. */
    int64_t total = -1;
    read_count(u[U_TOTAL], &total);
    if (ret->out_total >= 0 && ret->out_reasoning > 0 &&
        (ret->out_reasoning > ret->out_total ||
         total == ar_tokens(ret->in_total) + ret->out_total + ret->out_reasoning)) {
        ret->out_total += ret->out_reasoning;
    }
}

void ar_chat_put_usage(const struct ar_usage *u, struct ar_jw *w)
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

static enum ar_stop_reason stop_of(struct ar_str finish)
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
    *ret = (struct ar_stop){.reason = finish.n ? stop_of(finish) : AR_STOP_END, .native = finish};
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

struct ar_chat_seen ar_chat_seen_of(const struct ar_block *b)
{
    struct ar_chat_seen seen = {0};
    for (; b; b = b->next) {
        seen.text |= b->kind == AR_TEXT && b->text.n;
        seen.refusal |= b->kind == AR_REFUSAL;
        seen.calls |= b->kind == AR_TOOL_USE;
    }
    return seen;
}
