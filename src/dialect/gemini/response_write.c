/* IR -> GenerateContentResponse, whole (PROTOCOLS 4.6, 7). One part a block, in order. Thoughts are
 * shown only to a client that asked for them; what signs them rides on the next part then. A prompt
 * that was refused without a word is told as promptFeedback and no candidate. Owns a scratch arena.
 */
#include "dialect/gemini/answer_write.h"

struct answer {
    struct ar_jw w;
    const struct ar_write_how *how;
    struct ar_losses *l;
    struct ar_arena *a;
    struct ar_gemini_sigs sigs;
    struct ar_gemini_cites cites;
    int64_t text_bytes; /* of the candidate so far */
    unsigned calls, parts;
    bool shows, refused, unwraps;
};

static void put_text(struct answer *s, struct ar_str text, bool thought,
                     const struct ar_opaque *sig)
{
    ar_gemini_put_text_part(&s->w, text, thought, sig);
    s->parts++;
}

static void note_citations(struct answer *s, const struct ar_block *b, struct ar_str text,
                           int64_t from)
{
    struct ar_jdoc doc;
    if (b->citations.n == 0 || ar_json_parse(b->citations, 1, s->a, &doc, NULL) != AR_OK) {
        return;
    }
    for (struct ar_jiter it = ar_json_iter(ar_json_root(&doc)); ar_json_next(&it);) {
        ar_gemini_add_citation(&s->cites, ar_json_raw(it.val), text, from);
    }
}

static void put_said(struct answer *s, const struct ar_block *b)
{
    struct ar_str text = s->unwraps ? ar_gemini_unwrap(b->text, s->how->request, s->a) : b->text;
    int64_t from = s->text_bytes;
    if (text.p != b->text.p) {
        ar_note(s->l, AR_EMULATED, "generationConfig.responseMimeType");
    }
    const struct ar_opaque *own = b->kind == AR_TEXT ? b->sig : NULL;
    s->refused = s->refused || b->kind == AR_REFUSAL;
    if (text.n == 0 && !own) {
        return;
    }
    s->text_bytes += ar_gemini_bytes(text);
    put_text(s, text, false, ar_gemini_take_sig(&s->sigs, own, false));
    note_citations(s, b, text, from);
}

static void put_thought(struct answer *s, const struct ar_block *b)
{
    bool shown = s->shows && b->kind == AR_THINKING;
    const struct ar_opaque *first = ar_gemini_note_sig(&s->sigs, b->sig, shown);
    const struct ar_opaque *own = shown && b->sig && b->sig->data.n > 0 ? b->sig : NULL;
    if (first) {
        put_text(s, AR_LIT(""), true, first);
    }
    if (shown && (b->text.n > 0 || own)) {
        put_text(s, b->text, true, own);
    }
}

static void put_block(struct answer *s, const struct ar_block *b)
{
    switch (b->kind) {
    case AR_TEXT:
    case AR_REFUSAL:
        put_said(s, b);
        return;
    case AR_THINKING:
    case AR_REDACTED_THINKING:
        put_thought(s, b);
        return;
    case AR_TOOL_USE:
        if (!ar_gemini_put_call_part(&s->w, b, ar_gemini_take_sig(&s->sigs, b->sig, true),
                                     &s->how->stamp, s->calls++, s->a)) {
            ar_note(s->l, AR_APPROXIMATED, "functionCall.args");
        }
        s->parts++;
        return;
    case AR_SERVER_TOOL_USE:
        if (b->vendor != AR_VENDOR_GOOGLE && ar_str_is_lit(b->name, "web_search")) {
            ar_gemini_add_search(&s->cites, b->text);
        }
        break;
    default:
        break;
    }
    if (ar_gemini_put_other_part(&s->w, b)) {
        s->parts++;
    } else if (b->media) {
        ar_note(s->l, AR_DROPPED, b->kind == AR_AUDIO ? "audio" : "image");
    }
}

static void put_candidate(struct answer *s, const struct ar_response *r, unsigned index)
{
    struct ar_jw *w = &s->w;
    s->sigs = (struct ar_gemini_sigs){NULL, NULL};
    s->text_bytes = s->parts = 0;
    s->refused = false;
    ar_gemini_cites_init(&s->cites, w->out->max);
    ar_jw_open(w, '{');
    ar_jw_key(w, "content");
    ar_jw_open(w, '{');
    ar_jw_key(w, "parts");
    ar_jw_open(w, '[');
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        put_block(s, b);
    }
    if (s->parts == 0 || s->sigs.next) {
        put_text(s, AR_LIT(""), false, s->sigs.next);
    }
    ar_jw_close(w, ']');
    ar_jw_key_lit(w, "role", "model");
    ar_jw_close(w, '}');
    if (r->has_stop) {
        ar_gemini_put_stop(w, &r->stop, s->refused);
    }
    ar_jw_key_i64(w, "index", index);
    if (r->safety.n > 0) {
        ar_jw_key_raw(w, "safetyRatings", r->safety);
    }
    if (r->grounding.n > 0) {
        ar_jw_key_raw(w, "groundingMetadata", r->grounding);
    } else {
        ar_gemini_put_grounding(w, &s->cites);
    }
    if (r->logprobs.n > 0) {
        ar_gemini_put_logprobs(w, r->logprobs, s->a);
    }
    ar_jw_close(w, '}');
    ar_gemini_cites_done(&s->cites);
}

/* --- logprobs: Chat's list of tokens, each with its rivals --- */

static void put_token(struct ar_jw *w, struct ar_jval v)
{
    struct ar_jval p = ar_json_get_lit(v, "logprob");
    ar_jw_open(w, '{');
    ar_jw_key_esc(w, "token", ar_json_esc(ar_json_get_lit(v, "token")));
    if (ar_json_is(p, AR_J_NUMBER)) {
        ar_jw_key_raw(w, "logProbability", ar_json_raw(p));
    }
    ar_jw_close(w, '}');
}

void ar_gemini_put_logprobs(struct ar_jw *w, struct ar_str raw, struct ar_arena *a)
{
    struct ar_jdoc doc;
    if (ar_json_parse(raw, AR_JSON_DEPTH, a, &doc, NULL) != AR_OK) {
        return;
    }
    struct ar_jval list = ar_json_get_lit(ar_json_root(&doc), "content");
    if (!ar_json_is(list, AR_J_ARRAY)) {
        return;
    }
    ar_jw_key(w, "logprobsResult");
    ar_jw_open(w, '{');
    ar_jw_key(w, "topCandidates");
    ar_jw_open(w, '[');
    for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it);) {
        ar_jw_open(w, '{');
        ar_jw_key(w, "candidates");
        ar_jw_open(w, '[');
        struct ar_jiter top = ar_json_iter(ar_json_get_lit(it.val, "top_logprobs"));
        while (ar_json_next(&top)) {
            put_token(w, top.val);
        }
        ar_jw_close(w, ']');
        ar_jw_close(w, '}');
    }
    ar_jw_close(w, ']');
    ar_jw_key(w, "chosenCandidates");
    ar_jw_open(w, '[');
    for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it);) {
        put_token(w, it.val);
    }
    ar_jw_close(w, ']');
    ar_jw_close(w, '}');
}

/* --- the answer --- */

/* Does a block show the client anything? */
static bool says(const struct answer *s, const struct ar_block *b)
{
    for (; b; b = b->next) {
        bool thought = b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING;
        if (!thought && !((b->kind == AR_TEXT || b->kind == AR_REFUSAL) && b->text.n == 0)) {
            return true;
        }
        if (thought && s->shows && b->text.n > 0) {
            return true;
        }
    }
    return false;
}

enum ar_code ar_gemini_encode_response(const struct ar_response *r, const struct ar_write_how *how,
                                       struct ar_losses *l, struct ar_buf *out)
{
    struct ar_arena scratch;
    ar_arena_init(&scratch, out->max > SIZE_MAX / 8 ? SIZE_MAX : 8 * out->max + 65536);
    struct answer s = {.w = ar_jw_on(out), .how = how, .l = l, .a = &scratch};
    struct ar_jw *w = &s.w;
    unsigned index = 0;
    s.shows = ar_gemini_shows_thinking(how->request);
    s.unwraps = ar_gemini_is_wrapped(how->request);
    ar_jw_open(w, '{');
    if (r->has_stop && ar_gemini_is_blocked(&r->stop, says(&s, r->blocks))) {
        ar_gemini_put_blocked(w, &r->stop);
    } else {
        ar_jw_key(w, "candidates");
        ar_jw_open(w, '[');
        for (const struct ar_response *c = r; c; c = c->more) {
            put_candidate(&s, c, index++);
        }
        ar_jw_close(w, ']');
    }
    ar_gemini_put_usage(w, &r->usage);
    ar_gemini_put_names(w, how);
    ar_jw_close(w, '}');
    enum ar_code code = ar_arena_finish(&scratch);
    ar_arena_done(&scratch);
    return code == AR_OK ? ar_buf_finish(out) : code;
}
