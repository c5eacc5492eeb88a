/* How an answer ended and what it cost, in both directions: stop reasons (PROTOCOLS 7.2) and token
 * counts (7.3). Wire counters are kept as the wire has them and merged over a stream before they
 * become totals, because Anthropic's input count leaves the cache out and a later event may bring
 * only some of them. Owns nothing. */
#include "dialect/anthropic/anthropic.h"

static const struct {
    struct ar_str wire;
    enum ar_stop_reason reason;
} stops[] = {
    {AR_LIT_INIT("end_turn"), AR_STOP_END},
    {AR_LIT_INIT("max_tokens"), AR_STOP_MAX_TOKENS},
    {AR_LIT_INIT("stop_sequence"), AR_STOP_SEQUENCE},
    {AR_LIT_INIT("tool_use"), AR_STOP_TOOL_USE},
    {AR_LIT_INIT("pause_turn"), AR_STOP_PAUSE},
    {AR_LIT_INIT("refusal"), AR_STOP_REFUSAL},
    {AR_LIT_INIT("model_context_window_exceeded"), AR_STOP_CONTEXT},
    {AR_LIT_INIT("compaction"), AR_STOP_COMPACTION},
    /* writing only: first match by reason */
    {AR_LIT_INIT("refusal"), AR_STOP_FILTER},
};
enum { STOPS = sizeof(stops) / sizeof(stops[0]) };

bool ar_anthropic_read_stop(struct ar_jval v, struct ar_arena *a, struct ar_stop *ret)
{
    struct ar_jval reason = ar_json_get_lit(v, "stop_reason"),
                   seq = ar_json_get_lit(v, "stop_sequence");
    struct ar_jval details = ar_json_get_lit(v, "stop_details");
    if (!ar_json_is(reason, AR_J_STRING)) {
        return false;
    }
    struct ar_stop s = {.reason = AR_STOP_OTHER};
    s.native = ar_arena_copy(a, ar_json_unescape_in(ar_json_esc(reason), a));
    for (unsigned i = 0; i < STOPS; i++) {
        if (ar_str_is(stops[i].wire, s.native)) {
            s.reason = stops[i].reason;
            break;
        }
    }
    if (ar_json_is(seq, AR_J_STRING)) {
        s.sequence = ar_arena_copy(a, ar_json_esc(seq));
        if (s.reason == AR_STOP_END) {
            s.reason = AR_STOP_SEQUENCE; /* llama.cpp says end_turn and names the string */
        }
    }
    if (ar_json_is(details, AR_J_OBJECT)) {
        struct ar_jval category = ar_json_get_lit(details, "category"),
                       why = ar_json_get_lit(details, "explanation");
        if (ar_json_is(category, AR_J_STRING)) {
            s.category = ar_arena_copy(a, ar_json_unescape_in(ar_json_esc(category), a));
        }
        if (ar_json_is(why, AR_J_STRING)) {
            s.explanation = ar_arena_copy(a, ar_json_esc(why));
        }
    }
    *ret = s;
    return true;
}

static struct ar_str stop_name(enum ar_stop_reason reason)
{
    for (unsigned i = 0; i < STOPS; i++) {
        if (stops[i].reason == reason) {
            return stops[i].wire;
        }
    }
    return AR_LIT("end_turn");
}

void ar_anthropic_put_stop(struct ar_jw *w, const struct ar_stop *s, bool refused)
{
    if (!s) {
        ar_jw_key_null(w, "stop_reason");
        ar_jw_key_null(w, "stop_sequence");
        ar_jw_key_null(w, "stop_details");
        return;
    }
    enum ar_stop_reason reason = refused && s->reason == AR_STOP_END ? AR_STOP_REFUSAL : s->reason;
    ar_jw_key_esc(w, "stop_reason", stop_name(reason));
    ar_jw_key(w, "stop_sequence");
    if (s->sequence.p && reason == AR_STOP_SEQUENCE) {
        ar_jw_esc(w, s->sequence);
    } else {
        ar_jw_null(w);
    }
    ar_jw_key(w, "stop_details");
    if (reason != AR_STOP_REFUSAL && reason != AR_STOP_FILTER) {
        ar_jw_null(w);
        return;
    }
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "refusal");
    ar_jw_key(w, "category");
    if (s->category.p) {
        ar_jw_text(w, s->category);
    } else {
        ar_jw_null(w);
    }
    ar_jw_key(w, "explanation");
    if (s->explanation.p) {
        ar_jw_esc(w, s->explanation);
    } else {
        ar_jw_null(w);
    }
    ar_jw_close(w, '}');
}

void ar_anthropic_usage_clear(struct ar_anthropic_usage *u)
{
    *u = (struct ar_anthropic_usage){-1, -1, -1, -1, -1, -1, -1, -1, -1};
}

static void take(struct ar_jval of, struct ar_str key, int64_t *into)
{
    int64_t n = 0;
    struct ar_jval v = ar_json_get(of, key);
    if (ar_json_is(v, AR_J_NUMBER) && ar_json_i64(v, &n, NULL) == AR_OK && n >= 0 &&
        n <= INT64_C(1) << 52) {
        *into = n;
    }
}

void ar_anthropic_usage_read(struct ar_anthropic_usage *u, struct ar_jval v)
{
    struct ar_jval split = ar_json_get_lit(v, "cache_creation"),
                   tools = ar_json_get_lit(v, "server_tool_use");
    take(v, AR_LIT("input_tokens"), &u->input);
    take(v, AR_LIT("cache_read_input_tokens"), &u->read);
    take(v, AR_LIT("cache_creation_input_tokens"), &u->creation);
    take(v, AR_LIT("output_tokens"), &u->output);
    take(split, AR_LIT("ephemeral_5m_input_tokens"), &u->short_);
    take(split, AR_LIT("ephemeral_1h_input_tokens"), &u->long_);
    take(ar_json_get_lit(v, "output_tokens_details"), AR_LIT("thinking_tokens"), &u->thinking);
    take(tools, AR_LIT("web_search_requests"), &u->searches);
    take(tools, AR_LIT("web_fetch_requests"), &u->fetches);
}

struct ar_usage ar_anthropic_usage_ir(const struct ar_anthropic_usage *u)
{
    struct ar_usage r;
    ar_usage_clear(&r);
    if (u->input >= 0) {
        r.in_total = u->input + ar_tokens(u->read) + ar_tokens(u->creation);
    }
    r.in_cached = u->read;
    r.in_cache_write = u->creation;
    r.in_cache_write_short = u->short_ < 0 && u->long_ < 0 ? u->creation : u->short_;
    r.in_cache_write_long = u->long_;
    r.out_total = u->output;
    r.out_reasoning = u->thinking;
    r.web_search = u->searches;
    r.web_fetch = u->fetches;
    return r;
}

void ar_anthropic_put_usage(struct ar_jw *w, const struct ar_usage *u, struct ar_str service_tier)
{
    int64_t cached = ar_tokens(u->in_cached), written = ar_tokens(u->in_cache_write);
    int64_t input = ar_tokens(ar_tokens(u->in_total) - cached - written);
    ar_jw_open(w, '{');
    ar_jw_key_i64(w, "input_tokens", input);
    ar_jw_key_i64(w, "cache_read_input_tokens", cached);
    ar_jw_key_i64(w, "cache_creation_input_tokens", written);
    if (written > 0) {
        int64_t later = ar_tokens(u->in_cache_write_long);
        ar_jw_key(w, "cache_creation");
        ar_jw_open(w, '{');
        ar_jw_key_i64(w, "ephemeral_5m_input_tokens",
                      u->in_cache_write_short >= 0 ? u->in_cache_write_short
                                                   : ar_tokens(written - later));
        ar_jw_key_i64(w, "ephemeral_1h_input_tokens", later);
        ar_jw_close(w, '}');
    }
    ar_jw_key_i64(w, "output_tokens", ar_tokens(u->out_total));
    if (u->out_reasoning >= 0) {
        ar_jw_key(w, "output_tokens_details");
        ar_jw_open(w, '{');
        ar_jw_key_i64(w, "thinking_tokens", u->out_reasoning);
        ar_jw_close(w, '}');
    }
    if (u->web_search > 0 || u->web_fetch > 0) {
        ar_jw_key(w, "server_tool_use");
        ar_jw_open(w, '{');
        ar_jw_key_i64(w, "web_search_requests", ar_tokens(u->web_search));
        ar_jw_key_i64(w, "web_fetch_requests", ar_tokens(u->web_fetch));
        ar_jw_close(w, '}');
    }
    if (ar_str_is_lit(service_tier, "default")) {
        ar_jw_key_lit(w, "service_tier", "standard");
    } else if (ar_str_is_lit(service_tier, "standard") || ar_str_is_lit(service_tier, "priority") ||
               ar_str_is_lit(service_tier, "batch")) {
        ar_jw_key_text(w, "service_tier", service_tier);
    }
    ar_jw_close(w, '}');
}
