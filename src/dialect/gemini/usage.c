/* usageMetadata -> token counts (PROTOCOLS 7.3). Zero counters are left out on this wire, so what
 * is missing beside a total is nought. Owns nothing. */
#include "dialect/gemini/gemini.h"

enum { U_PROMPT, U_TOOL, U_CACHED, U_SAID, U_THOUGHT, U_TOTAL, U_PROMPT_BY, U_SAID_BY, U_COUNT };
static const struct ar_str KEYS[U_COUNT] = {
    [U_PROMPT] = AR_LIT_INIT("promptTokenCount"),
    [U_TOOL] = AR_LIT_INIT("toolUsePromptTokenCount"),
    [U_CACHED] = AR_LIT_INIT("cachedContentTokenCount"),
    [U_SAID] = AR_LIT_INIT("candidatesTokenCount"),
    [U_THOUGHT] = AR_LIT_INIT("thoughtsTokenCount"),
    [U_TOTAL] = AR_LIT_INIT("totalTokenCount"),
    [U_PROMPT_BY] = AR_LIT_INIT("promptTokensDetails"),
    [U_SAID_BY] = AR_LIT_INIT("candidatesTokensDetails"),
};

/* A counter, or -1. */
static int64_t count(struct ar_jval v)
{
    int64_t n = -1;
    return !ar_json_is_nil(v) && ar_gemini_i64(v, &n, NULL) == AR_OK && n >= 0 ? n : -1;
}

/* Tokens of one modality in a list of details; -1: not listed. */
static int64_t modality(struct ar_jval list, struct ar_str name)
{
    for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it);) {
        if (ar_str_is_nocase(ar_json_esc(ar_json_get_lit(it.val, "modality")), name)) {
            return count(ar_json_get_lit(it.val, "tokenCount"));
        }
    }
    return -1;
}

bool ar_gemini_read_usage(struct ar_jval v, struct ar_usage *ret)
{
    struct ar_jval u[U_COUNT];
    ar_usage_clear(ret);
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return false;
    }
    ar_json_pick(v, KEYS, U_COUNT, u);
    int64_t prompt = count(u[U_PROMPT]), tool = count(u[U_TOOL]), said = count(u[U_SAID]),
            thought = count(u[U_THOUGHT]), total = count(u[U_TOTAL]);
    if (prompt < 0 && said < 0 && total < 0) {
        return false;
    }
    ret->in_total = ar_tokens(prompt) + ar_tokens(tool);
    ret->in_tool = tool;
    ret->in_cached = count(u[U_CACHED]);
    ret->out_reasoning = thought;
    ret->out_total = ar_tokens(said) + ar_tokens(thought);
    if (total - ret->in_total > ret->out_total) { /* some proxies leave the thoughts out */
        ret->out_total = total - ret->in_total;
    }
    ret->in_audio = modality(u[U_PROMPT_BY], AR_LIT("AUDIO"));
    ret->in_image = modality(u[U_PROMPT_BY], AR_LIT("IMAGE"));
    ret->out_audio = modality(u[U_SAID_BY], AR_LIT("AUDIO"));
    return true;
}
