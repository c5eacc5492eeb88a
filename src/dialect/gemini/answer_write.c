/* Parts of an answer that its whole and its streamed form share (PROTOCOLS 4.6, 7): parts, which
 * part carries which signature, why it ended, what it cost. Owns nothing. */
#include "dialect/gemini/answer_write.h"

#include "base/id.h"

/* --- signatures --- */

const struct ar_opaque *ar_gemini_note_sig(struct ar_gemini_sigs *s, const struct ar_opaque *sig,
                                           bool shown)
{
    const struct ar_opaque *old = NULL;
    if (!sig || sig->data.n == 0) {
        return NULL;
    }
    if (!shown) {
        old = s->next;
        s->next = sig;
    }
    s->call = sig;
    return old;
}

const struct ar_opaque *ar_gemini_take_sig(struct ar_gemini_sigs *s, const struct ar_opaque *own,
                                           bool is_call)
{
    const struct ar_opaque *sig = own && own->data.n > 0 ? own : is_call ? s->call : s->next;
    if (is_call || s->next) {
        *s = (struct ar_gemini_sigs){NULL, NULL};
    }
    return sig;
}

bool ar_gemini_shows_thoughts(const struct ar_request *r)
{
    return !r || r->set.show == AR_SHOW_SUMMARY;
}

/* --- parts --- */

static void put_sig(struct ar_jw *w, const struct ar_opaque *sig)
{
    if (sig) {
        ar_jw_key(w, "thoughtSignature");
        ar_gemini_put_sig(w, sig);
    }
}

void ar_gemini_put_text_part(struct ar_jw *w, struct ar_str text, bool thought,
                             const struct ar_opaque *sig)
{
    ar_jw_open(w, '{');
    ar_jw_key_esc(w, "text", text);
    if (thought) {
        ar_jw_key_bool(w, "thought", true);
    }
    put_sig(w, sig);
    ar_jw_close(w, '}');
}

bool ar_gemini_put_call_part(struct ar_jw *w, const struct ar_block *b, const struct ar_opaque *sig,
                             const struct ar_stamp *stamp, unsigned nth, struct ar_arena *a)
{
    bool broken = false;
    char minted[32] = "call_";
    ar_jw_open(w, '{');
    ar_jw_key(w, "functionCall");
    ar_jw_open(w, '{');
    if (b->id.n == 0) {
        ar_id_base62(stamp->seed, "call", nth, 22, minted + 5);
    }
    ar_jw_key_text(w, "id", b->id.n > 0 ? b->id : ar_str_of(minted));
    ar_jw_key_text(w, "name", b->name);
    ar_jw_key(w, "args");
    if (b->freeform) {
        ar_jw_open(w, '{');
        ar_jw_key_text(w, "input", b->text);
        ar_jw_close(w, '}');
    } else {
        ar_jw_raw(w, ar_args_object(b->text, a, &broken));
    }
    ar_jw_close(w, '}');
    put_sig(w, sig);
    ar_jw_close(w, '}');
    return !broken;
}

bool ar_gemini_put_other_part(struct ar_jw *w, const struct ar_block *b)
{
    if (b->vendor == AR_VENDOR_GOOGLE && b->raw.n > 0) {
        ar_jw_raw(w, b->raw);
        return true;
    }
    if (!b->media || b->media->from != AR_FROM_B64 || b->media->mime.n == 0) {
        return false;
    }
    ar_jw_open(w, '{');
    ar_jw_key(w, "inlineData");
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "mimeType", b->media->mime);
    ar_jw_key_esc(w, "data", b->media->data);
    ar_jw_close(w, '}');
    ar_jw_close(w, '}');
    return true;
}

struct ar_str ar_gemini_unwrap_enum(struct ar_str text, struct ar_arena *a)
{
    struct ar_jdoc doc;
    struct ar_str plain = ar_json_unescape_in(text, a);
    if (!plain.p || ar_json_parse(plain, 2, a, &doc, NULL) != AR_OK) {
        return text;
    }
    struct ar_jval v = ar_json_get_lit(ar_json_root(&doc), "value");
    return ar_json_is(v, AR_J_STRING) ? ar_json_esc(v) : text;
}

/* --- how it ended --- */

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

struct ar_str ar_gemini_finish_of(const struct ar_stop *s)
{
    if (s->reason == AR_STOP_FILTER &&
        is_among(s->native, filters, sizeof(filters) / sizeof(filters[0]))) {
        return s->native;
    }
    return (unsigned)s->reason < FINISHES ? finishes[s->reason] : AR_LIT("OTHER");
}

void ar_gemini_put_finish(struct ar_jw *w, const struct ar_stop *s, bool refused)
{
    bool turned = refused && s->reason == AR_STOP_END;
    ar_jw_key_esc(w, "finishReason", turned ? AR_LIT("SAFETY") : ar_gemini_finish_of(s));
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

void ar_gemini_put_names(struct ar_jw *w, const struct ar_write_how *how)
{
    char id[32];
    ar_id_base62(how->stamp.seed, "response", 0, 22, id);
    ar_jw_key_text(w, "modelVersion", how->model);
    ar_jw_key_text(w, "responseId", ar_str_n(id, 22));
}
