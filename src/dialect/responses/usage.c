/* Token counts of a Responses answer (PROTOCOLS 7.3). The same numbers as Chat's under other names,
 * so a compatible server that uses Chat's is understood. What is missing stays unknown; negative
 * numbers are not believed. Owns nothing. */
#include "dialect/responses/responses.h"

enum { U_IN, U_IN_CHAT, U_OUT, U_OUT_CHAT, U_TOTAL, U_IN_MORE, U_OUT_MORE, U_CACHED, U_COUNT };
static const struct ar_str COUNTERS[U_COUNT] = {
    [U_IN] = AR_LIT_INIT("input_tokens"),
    [U_IN_CHAT] = AR_LIT_INIT("prompt_tokens"),
    [U_OUT] = AR_LIT_INIT("output_tokens"),
    [U_OUT_CHAT] = AR_LIT_INIT("completion_tokens"),
    [U_TOTAL] = AR_LIT_INIT("total_tokens"),
    [U_IN_MORE] = AR_LIT_INIT("input_tokens_details"),
    [U_OUT_MORE] = AR_LIT_INIT("output_tokens_details"),
    [U_CACHED] = AR_LIT_INIT("cached_tokens"),
};
enum { D_CACHED, D_WRITE, D_WRITE_MORE, D_AUDIO, D_IMAGE, D_REASONING, D_COUNT };
static const struct ar_str DETAILS[D_COUNT] = {
    [D_CACHED] = AR_LIT_INIT("cached_tokens"),
    [D_WRITE] = AR_LIT_INIT("cache_write_tokens"),
    [D_WRITE_MORE] = AR_LIT_INIT("cache_write_tokens_details"),
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

void ar_responses_read_usage(struct ar_jval usage, struct ar_usage *ret)
{
    struct ar_jval u[U_COUNT], in[D_COUNT], out[D_COUNT];
    int64_t total = -1;
    ar_json_pick(usage, COUNTERS, U_COUNT, u);
    ar_json_pick(u[U_IN_MORE], DETAILS, D_COUNT, in);
    ar_json_pick(u[U_OUT_MORE], DETAILS, D_COUNT, out);
    ar_usage_clear(ret);
    read_count(u[U_IN], &ret->in_total);
    read_count(u[U_IN_CHAT], &ret->in_total);
    read_count(u[U_OUT], &ret->out_total);
    read_count(u[U_OUT_CHAT], &ret->out_total);
    read_count(in[D_CACHED], &ret->in_cached);
    read_count(u[U_CACHED], &ret->in_cached);
    read_count(in[D_WRITE], &ret->in_cache_write);
    read_count(ar_json_get_lit(in[D_WRITE_MORE], "ttl_30m_tokens"), &ret->in_cache_write_short);
    read_count(ar_json_get_lit(in[D_WRITE_MORE], "ttl_12h_tokens"), &ret->in_cache_write_long);
    read_count(in[D_AUDIO], &ret->in_audio);
    read_count(in[D_IMAGE], &ret->in_image);
    read_count(out[D_REASONING], &ret->out_reasoning);
    read_count(out[D_AUDIO], &ret->out_audio);
    /* Some places count reasoning apart from output_tokens; the total gives it away. */
    read_count(u[U_TOTAL], &total);
    if (ret->out_total >= 0 && ret->out_reasoning > 0 &&
        (ret->out_reasoning > ret->out_total ||
         total == ar_tokens(ret->in_total) + ret->out_total + ret->out_reasoning)) {
        ret->out_total += ret->out_reasoning;
    }
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
