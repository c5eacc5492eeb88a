/* The response object (PROTOCOLS 2.5): what every event that carries it and every whole answer
 * consists of. Settings are repeated in the client's own words, because the SDKs type most of them
 * as always there; what the client left out has the API's default. store says whether
 * the gateway holds the answer. A whole answer goes through the writer of streams without its
 * frames, so that both forms have the same items. Owns nothing but what it makes for the call. */
#include "dialect/responses/answer_write.h"

#include "base/id.h"
#include "ir/opaque.h"

/* --- settings --- */

static const struct {
    struct ar_str name, missing;

} ECHO[] = {
    {AR_LIT_INIT("background"), AR_LIT_INIT("false")},
    {AR_LIT_INIT("instructions"), AR_LIT_INIT("null")},
    {AR_LIT_INIT("max_output_tokens"), AR_LIT_INIT("null")},
    {AR_LIT_INIT("max_tool_calls"), AR_LIT_INIT("null")},
    {AR_LIT_INIT("metadata"), AR_LIT_INIT("{}")},
    {AR_LIT_INIT("parallel_tool_calls"), AR_LIT_INIT("true")},
    {AR_LIT_INIT("previous_response_id"), AR_LIT_INIT("null")},
    {AR_LIT_INIT("prompt_cache_key"), AR_LIT_INIT("null")},
    {AR_LIT_INIT("reasoning"), AR_LIT_INIT("{\"effort\":null,\"summary\":null}")},
    {AR_LIT_INIT("safety_identifier"), AR_LIT_INIT("null")},
    {AR_LIT_INIT("temperature"), AR_LIT_INIT("1.0")},
    {AR_LIT_INIT("text"), AR_LIT_INIT("{\"format\":{\"type\":\"text\"}}")},
    {AR_LIT_INIT("tool_choice"), AR_LIT_INIT("\"auto\"")},
    {AR_LIT_INIT("tools"), AR_LIT_INIT("[]")},
    {AR_LIT_INIT("top_logprobs"), AR_LIT_INIT("0")},
    {AR_LIT_INIT("top_p"), AR_LIT_INIT("1.0")},
    {AR_LIT_INIT("truncation"), AR_LIT_INIT("\"disabled\"")},
    {AR_LIT_INIT("user"), AR_LIT_INIT("null")},
};
enum { ECHO_COUNT = sizeof ECHO / sizeof *ECHO };

void ar_responses_make_echo(const struct ar_request *r, struct ar_buf *ret)
{
    struct ar_str keys[ECHO_COUNT];
    struct ar_jval vals[ECHO_COUNT] = {{0}};
    for (unsigned i = 0; i < ECHO_COUNT; i++) {
        keys[i] = ECHO[i].name;
    }
    if (r && r->wire) {
        ar_json_pick(ar_json_root(r->wire), keys, ECHO_COUNT, vals);
    }
    struct ar_jw j = ar_jw_on(ret);
    j.comma = true;
    for (unsigned i = 0; i < ECHO_COUNT; i++) {
        ar_jw_key_n(&j, keys[i].p, keys[i].n);
        ar_jw_raw(&j, ar_json_is_nil(vals[i]) ? ECHO[i].missing : ar_json_raw(vals[i]));
    }
    ar_jw_key_bool(&j, "store", r && r->is_stored);
    struct ar_jval talk = r && r->wire ? ar_json_get_lit(ar_json_root(r->wire), "conversation")
                                       : (struct ar_jval){NULL, 0};
    if (ar_json_is(talk, AR_J_OBJECT)) {
        ar_jw_key_raw(&j, "conversation", ar_json_raw(talk));
    } else if (ar_json_is(talk, AR_J_STRING)) {
        ar_jw_key(&j, "conversation");
        ar_jw_open(&j, '{');
        ar_jw_key_raw(&j, "id", ar_json_raw(talk));
        ar_jw_close(&j, '}');
    }
}

/* The tier in this wire's words; others are not told. */
static void put_tier(struct ar_jw *j, struct ar_str tier)
{
    static const struct ar_str KNOWN[] = {AR_LIT_INIT("default"),  AR_LIT_INIT("auto"),
                                          AR_LIT_INIT("flex"),     AR_LIT_INIT("priority"),
                                          AR_LIT_INIT("scale"),    AR_LIT_INIT("fast"),
                                          AR_LIT_INIT("ultrafast")};
    tier = ar_str_is_lit(tier, "standard") ? KNOWN[0] : tier;
    ar_jw_key(j, "service_tier");
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
        if (ar_str_is(tier, KNOWN[i])) {
            ar_jw_esc(j, tier);
            return;
        }
    }
    ar_jw_null(j);
}

/* --- how it ended --- */

const char *ar_responses_status(const struct ar_writer *w)
{
    switch (w->stop.reason) {
    case AR_STOP_MAX_TOKENS:
    case AR_STOP_CONTEXT:
    case AR_STOP_FILTER:
    case AR_STOP_STEERED:
        return "incomplete";
    case AR_STOP_REFUSAL: /* a refusal that was said is a complete answer */
        return w->said && !w->refused ? "incomplete" : "completed";
    case AR_STOP_CANCELLED:
        return "cancelled";
    default:
        return "completed";
    }
}

static void put_incomplete(struct ar_jw *j, const struct ar_writer *w, bool is_incomplete)
{
    enum ar_stop_reason reason = w->stop.reason;
    ar_jw_key(j, "incomplete_details");
    if (!is_incomplete) {
        ar_jw_null(j);
        return;
    }
    ar_jw_open(j, '{');
    ar_jw_key_esc(j, "reason",
                  reason == AR_STOP_STEERED ? AR_LIT("steered")
                  : reason == AR_STOP_FILTER || reason == AR_STOP_REFUSAL
                      ? AR_LIT("content_filter")
                      : AR_LIT("max_output_tokens"));
    ar_jw_close(j, '}');
}

void ar_responses_put_sig(struct ar_jw *j, const struct ar_opaque *sig)
{
    if (sig->vendor == AR_VENDOR_OPENAI && sig->form == AR_ENCRYPTED) {
        ar_jw_text(j, sig->data);
        return;
    }
    ar_jw_raw(j, AR_LIT("\""));
    ar_opaque_wrap(sig, j->out);
    ar_buf_char(j->out, '"');
}

/* --- the object --- */

static void put_output(struct ar_jw *j, const struct ar_writer *w)
{
    ar_jw_key(j, "output");
    ar_jw_open(j, '[');
    for (size_t at = 0; at < w->spans.n; at += sizeof(struct ar_span)) {
        struct ar_span s;
        memcpy(&s, w->spans.p + at, sizeof s);
        if (s.n > 0) {
            ar_jw_raw(j, ar_str_n(w->done.p + s.at, s.n));
        }
    }
    ar_jw_close(j, ']');
}

void ar_responses_put_response(struct ar_writer *w, struct ar_jw *j, const char *status,
                               const struct ar_fault *fault)
{
    bool is_over = w->stopped && !fault;
    ar_jw_open(j, '{');
    ar_jw_key_text(j, "id", ar_str_of(w->id));
    ar_jw_key_lit(j, "object", "response");
    ar_jw_key_i64(j, "created_at", w->stamp.now_unix);
    ar_jw_key_esc(j, "status", ar_str_of(status));
    ar_jw_key(j, "error");
    if (fault) {
        ar_responses_put_fault(j, fault);
    } else {
        ar_jw_null(j);
    }
    put_incomplete(j, w, is_over && ar_str_is_lit(ar_str_of(status), "incomplete"));
    ar_jw_key_text(j, "model", w->model);
    put_output(j, w);
    ar_jw_key(j, "usage");
    if (is_over) {
        ar_responses_put_usage(j, &w->usage);
    } else {
        ar_jw_null(j);
    }
    put_tier(j, w->service_tier);
    ar_buf_str(j->out, ar_buf_view(&w->echo));
    ar_jw_close(j, '}');
}

enum ar_code ar_responses_encode_response(const struct ar_response *r,
                                          const struct ar_write_how *how, struct ar_losses *l,
                                          struct ar_buf *out)
{
    struct ar_arena a;
    struct ar_unfold u;
    struct ar_event ev;
    struct ar_framer none = {.how = NULL};
    ar_arena_init(&a, SIZE_MAX);
    struct ar_writer *w = ar_responses_writer_new(how, l, &a);
    enum ar_code code = w ? AR_OK : AR_TOO_LARGE;
    if (w) {
        w->quiet = true;
        ar_unfold_init(&u, r, &a);
        u.at_once = true;
        while (code == AR_OK && ar_unfold_next(&u, &ev)) {
            code = ev.kind == AR_EV_END ? AR_OK : ar_responses_write(w, &ev, &none);
        }
    }
    if (code == AR_OK) {
        struct ar_jw j = ar_jw_on(out);
        ar_responses_put_response(w, &j, ar_responses_status(w), NULL);
        code = ar_buf_finish(out);
    }
    ar_responses_writer_done(w);
    ar_arena_done(&a);
    return code;
}
