/* How an answer ended and what it cost, in both directions: finish reasons (PROTOCOLS 7.2) and
 * usageMetadata (7.3). Zero counters are left out on this wire, so what is missing beside a total
 * is nought. Owns nothing. */
#include "dialect/gemini/gemini.h"

/* --- how it ended --- */

/* finishReason -> why it ended, apart from what was said (PROTOCOLS 7.2). */
enum ar_stop_reason ar_gemini_stop_of(struct ar_str finish)
{
    static const struct {
        struct ar_str name;
        enum ar_stop_reason reason;
    } NAMES[] = {
        {AR_LIT_INIT("STOP"), AR_STOP_END},
        {AR_LIT_INIT("TOO_MANY_TOOL_CALLS"), AR_STOP_END},
        {AR_LIT_INIT("MAX_TOKENS"), AR_STOP_MAX_TOKENS},
        {AR_LIT_INIT("CONTINUATION"), AR_STOP_MAX_TOKENS},
        {AR_LIT_INIT("SAFETY"), AR_STOP_FILTER},
        {AR_LIT_INIT("RECITATION"), AR_STOP_FILTER},
        {AR_LIT_INIT("LANGUAGE"), AR_STOP_FILTER},
        {AR_LIT_INIT("BLOCKLIST"), AR_STOP_FILTER},
        {AR_LIT_INIT("PROHIBITED_CONTENT"), AR_STOP_FILTER},
        {AR_LIT_INIT("SPII"), AR_STOP_FILTER},
        {AR_LIT_INIT("MODEL_ARMOR"), AR_STOP_FILTER},
        {AR_LIT_INIT("MALFORMED_FUNCTION_CALL"), AR_STOP_MALFORMED_TOOL},
        {AR_LIT_INIT("UNEXPECTED_TOOL_CALL"), AR_STOP_MALFORMED_TOOL},
        {AR_LIT_INIT("MALFORMED_RESPONSE"), AR_STOP_MALFORMED_TOOL},
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (ar_str_is(finish, NAMES[i].name)) {
            return NAMES[i].reason;
        }
    }
    return ar_str_has_prefix(finish, AR_LIT("IMAGE_")) ? AR_STOP_FILTER : AR_STOP_OTHER;
}

static const struct ar_str finishes[] = {
    [AR_STOP_END] = AR_LIT_INIT("STOP"),
    [AR_STOP_MAX_TOKENS] = AR_LIT_INIT("MAX_TOKENS"),
    [AR_STOP_SEQUENCE] = AR_LIT_INIT("STOP"),
    [AR_STOP_TOOL_USE] = AR_LIT_INIT("STOP"),
    [AR_STOP_PAUSE] = AR_LIT_INIT("STOP"),
    [AR_STOP_REFUSAL] = AR_LIT_INIT("SAFETY"),
    [AR_STOP_FILTER] = AR_LIT_INIT("SAFETY"),
    [AR_STOP_CONTEXT] = AR_LIT_INIT("MAX_TOKENS"),
    [AR_STOP_COMPACTION] = AR_LIT_INIT("STOP"),
    [AR_STOP_MALFORMED_TOOL] = AR_LIT_INIT("MALFORMED_FUNCTION_CALL"),
    [AR_STOP_CANCELLED] = AR_LIT_INIT("OTHER"),
    [AR_STOP_STEERED] = AR_LIT_INIT("OTHER"),
    [AR_STOP_OTHER] = AR_LIT_INIT("OTHER"),
};
enum { FINISHES = sizeof(finishes) / sizeof(finishes[0]) };

/* Google's own words for what a filter did: kept. */
static const struct ar_str filters[] = {
    AR_LIT_INIT("SAFETY"),       AR_LIT_INIT("RECITATION"),
    AR_LIT_INIT("LANGUAGE"),     AR_LIT_INIT("BLOCKLIST"),
    AR_LIT_INIT("SPII"),         AR_LIT_INIT("PROHIBITED_CONTENT"),
    AR_LIT_INIT("IMAGE_SAFETY"), AR_LIT_INIT("IMAGE_PROHIBITED_CONTENT"),
    AR_LIT_INIT("IMAGE_OTHER"),  AR_LIT_INIT("IMAGE_RECITATION"),
    AR_LIT_INIT("NO_IMAGE"),
};
static const struct ar_str blocks[] = {
    AR_LIT_INIT("SAFETY"),       AR_LIT_INIT("BLOCKLIST"),   AR_LIT_INIT("PROHIBITED_CONTENT"),
    AR_LIT_INIT("IMAGE_SAFETY"), AR_LIT_INIT("MODEL_ARMOR"), AR_LIT_INIT("JAILBREAK"),
};

static bool is_among(struct ar_str s, const struct ar_str *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ar_str_is(s, all[i])) {
            return true;
        }
    }
    return false;
}

static struct ar_str finish_of(const struct ar_stop *s)
{
    if (s->reason == AR_STOP_FILTER &&
        is_among(s->native, filters, sizeof(filters) / sizeof(filters[0]))) {
        return s->native;
    }
    return (unsigned)s->reason < FINISHES ? finishes[s->reason] : AR_LIT("OTHER");
}

void ar_gemini_put_stop(struct ar_jw *w, const struct ar_stop *s, bool refused)
{
    bool turned = refused && s->reason == AR_STOP_END;
    ar_jw_key_esc(w, "finishReason", turned ? AR_LIT("SAFETY") : finish_of(s));
    if (s->explanation.n > 0) {
        ar_jw_key_esc(w, "finishMessage", s->explanation);
    }
}

bool ar_gemini_is_blocked(const struct ar_stop *s, bool said)
{
    return !said && s->reason == AR_STOP_REFUSAL;
}

void ar_gemini_put_blocked(struct ar_jw *w, const struct ar_stop *s)
{
    bool own = is_among(s->native, blocks, sizeof(blocks) / sizeof(blocks[0]));
    ar_jw_key(w, "promptFeedback");
    ar_jw_open(w, '{');
    ar_jw_key_esc(w, "blockReason", own ? s->native : AR_LIT("OTHER"));
    if (s->explanation.n > 0) {
        ar_jw_key_esc(w, "blockReasonMessage", s->explanation);
    }
    ar_jw_close(w, '}');
}

/* --- what it cost --- */

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

static void put_details(struct ar_jw *w, const struct ar_usage *u, int64_t prompt)
{
    int64_t audio = ar_tokens(u->in_audio), image = ar_tokens(u->in_image);
    int64_t text = prompt - audio - image;
    const struct {
        struct ar_str name;
        int64_t n;
    } all[] = {{AR_LIT("TEXT"), text}, {AR_LIT("IMAGE"), image}, {AR_LIT("AUDIO"), audio}};
    if (audio + image == 0) {
        return;
    }
    ar_jw_key(w, "promptTokensDetails");
    ar_jw_open(w, '[');
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].n > 0) {
            ar_jw_open(w, '{');
            ar_jw_key_esc(w, "modality", all[i].name);
            ar_jw_key_i64(w, "tokenCount", all[i].n);
            ar_jw_close(w, '}');
        }
    }
    ar_jw_close(w, ']');
}

void ar_gemini_put_usage(struct ar_jw *w, const struct ar_usage *u)
{
    int64_t in = ar_tokens(u->in_total), out = ar_tokens(u->out_total);
    int64_t tool = ar_tokens(u->in_tool), thoughts = ar_tokens(u->out_reasoning);
    int64_t cached = ar_tokens(u->in_cached);
    ar_jw_key(w, "usageMetadata");
    ar_jw_open(w, '{');
    ar_jw_key_i64(w, "promptTokenCount", in > tool ? in - tool : 0);
    ar_jw_key_i64(w, "candidatesTokenCount", out > thoughts ? out - thoughts : 0);
    ar_jw_key_i64(w, "totalTokenCount", in + out);
    if (cached > 0) {
        ar_jw_key_i64(w, "cachedContentTokenCount", cached);
    }
    if (thoughts > 0) {
        ar_jw_key_i64(w, "thoughtsTokenCount", thoughts);
    }
    if (tool > 0) {
        ar_jw_key_i64(w, "toolUsePromptTokenCount", tool);
    }
    put_details(w, u, in > tool ? in - tool : 0);
    ar_jw_close(w, '}');
}
