/* The stream of a native call: its bytes are relayed, and only what the gateway must know is read:
 * the first content (which commits), usage, how it ended, errors. Every chunk of this wire carries
 * the usage so far; once content was shown, only now and then is a chunk parsed for that alone, and
 * each that has one of the keys that tell more, which cannot stand inside a string unescaped. Owns
 * nothing. */
#include "dialect/gemini/stream_read.h"

/* raw goes with the first event of the frame; what follows it shows no bytes of its own. */
static void put(struct ar_reader *r, struct ar_event ev, struct ar_str *raw)
{
    ev.raw = *raw;
    *raw = AR_LIT("");
    ar_queue_put(&r->queue, ev);
}

/* What a part shows; false: nothing. */
static bool find_content(struct ar_jval part, enum ar_block_kind *ret_kind, struct ar_str *ret_text)
{
    struct ar_jval text = ar_json_get_lit(part, "text");
    *ret_text = AR_LIT("");
    if (ar_json_is(text, AR_J_STRING)) {
        bool thought = ar_json_is(ar_json_get_lit(part, "thought"), AR_J_TRUE);
        *ret_kind = thought ? AR_THINKING : AR_TEXT;
        *ret_text = ar_json_esc(text);
        return ret_text->n > 0;
    }
    bool call = ar_json_is(ar_json_get_lit(part, "functionCall"), AR_J_OBJECT);
    *ret_kind = call ? AR_TOOL_USE : AR_OPAQUE_ITEM;
    return call || ar_json_count(part) > 0;
}

static void put_first_content(struct ar_reader *r, enum ar_block_kind kind, struct ar_str text,
                              struct ar_str *raw)
{
    struct ar_block *b = ar_arena_new(r->a, struct ar_block);
    if (!b) {
        return;
    }
    r->committed = true;
    b->kind = kind;
    put(r, (struct ar_event){.kind = AR_EV_BLOCK_START, .block = b}, raw);
    if (kind == AR_TEXT || kind == AR_THINKING) {
        enum ar_delta delta = kind == AR_TEXT ? AR_D_TEXT : AR_D_THINKING;
        put(r, (struct ar_event){.kind = AR_EV_DELTA, .delta = delta, .text = text}, raw);
    }
}

void ar_gemini_note_candidate(struct ar_reader *r, struct ar_jval candidate, struct ar_str *raw)
{
    struct ar_jval k[AR_K_COUNT];
    ar_gemini_pick_candidate(candidate, k);
    struct ar_jval parts = ar_json_get_lit(k[AR_K_CONTENT], "parts");
    enum ar_block_kind kind;
    struct ar_str text;
    for (struct ar_jiter it = ar_json_iter(parts); ar_json_next(&it);) {
        if (find_content(it.val, &kind, &text)) {
            r->said = true;
            r->called = r->called || kind == AR_TOOL_USE;
            r->ends_in_call = kind == AR_TOOL_USE;
            r->rests = false;
            if (!r->committed) {
                put_first_content(r, kind, text, raw);
            }
        }
    }
    ar_gemini_note_finish(r, k);
    r->rests = r->rests || k[AR_K_FINISH].doc != NULL;
}

static void note(struct ar_reader *r, struct ar_jval c[AR_C_COUNT], struct ar_str *raw)
{
    bool changed = ar_gemini_note_usage(r, c[AR_C_USAGE]);
    if (ar_json_is(c[AR_C_USAGE], AR_J_OBJECT)) {
        ar_buf_clear(&r->late);
    }
    if (!r->started) {
        ar_gemini_note_start(r, c);
        r->answer.usage = r->usage;
        put(r, (struct ar_event){.kind = AR_EV_START, .answer = &r->answer}, raw);
    }
    ar_gemini_note_feedback(r, c[AR_C_FEEDBACK]);
    for (struct ar_jiter it = ar_json_iter(c[AR_C_CANDIDATES]); ar_json_next(&it);) {
        ar_gemini_note_candidate(r, it.val, raw);
    }
    if (changed) {
        put(r, (struct ar_event){.kind = AR_EV_USAGE, .usage = &r->usage}, raw);
    }
}

/* Counts of the last chunk that was not looked into, when none came after it. */
static void read_late_usage(struct ar_reader *r)
{
    struct ar_jval c[AR_C_COUNT];
    if (r->late.n > 0 && ar_jtape_parse(&r->tape, ar_buf_view(&r->late), &r->doc, NULL) == AR_OK &&
        ar_gemini_pick_chunk(ar_json_root(&r->doc), c)) {
        (void)ar_gemini_note_usage(r, c[AR_C_USAGE]);
    }
}

void ar_gemini_relay_end(struct ar_reader *r)
{
    struct ar_str none = AR_LIT("");
    read_late_usage(r);
    if (!ar_gemini_settle_stop(r)) {
        return;
    }
    if (r->committed) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_BLOCK_END, .raw = none});
    }
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_STOP,
                                              .stop = &r->stop,
                                              .usage = r->has_usage ? &r->usage : NULL,
                                              .raw = none});
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_END, .raw = none});
    r->queue.ended = true;
}

static bool has(struct ar_str data, const char *key, size_t n)
{
    return memmem(data.p, data.n, key, n) != NULL;
}
#define HAS(data, l) has((data), "" l, sizeof(l) - 1)

/* Errors and refusals of the prompt come in objects of their own, so as the first key. */
static bool begins_with_candidates(struct ar_str data)
{
    static const struct ar_str KEY = AR_LIT_INIT("\"candidates\"");
    data = ar_str_from(data, 1);
    while (data.n > 0 && strchr(" \t\r\n", data.p[0])) {
        data = ar_str_from(data, 1);
    }
    return ar_str_has_prefix(data, KEY);
}

/* More text of an answer that is under way, and nothing else. */
static bool tells_nothing(struct ar_reader *r, struct ar_str data)
{
    bool quiet = r->committed && r->has_usage && !r->ends_in_call && r->finish.n == 0 &&
                 r->unread + 1 < AR_GEMINI_USAGE_EVERY;
    if (!quiet || !begins_with_candidates(data) || HAS(data, "\"finishReason\"") ||
        HAS(data, "\"functionCall\"")) {
        r->unread = 0;
        return false;
    }
    r->unread++;
    ar_buf_clear(&r->late);
    ar_buf_str(&r->late, data);
    return true;
}

void ar_gemini_relay_frame(struct ar_reader *r, const struct ar_frame *f)
{
    struct ar_str data = ar_str_trim(f->data), raw = f->raw;
    struct ar_jval c[AR_C_COUNT];
    if (data.n == 0) { /* a comment is no sign of an answer */
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_PING, .raw = raw});
        return;
    }
    if (tells_nothing(r, data)) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_RAW, .raw = raw});
        return;
    }
    if (ar_jtape_parse(&r->tape, data, &r->doc, NULL) == AR_OK &&
        ar_gemini_pick_chunk(ar_json_root(&r->doc), c)) {
        if (!ar_json_is_nil(c[AR_C_ERROR])) {
            ar_gemini_fail_by(r, data, raw);
            return;
        }
        unsigned before = r->queue.n;
        note(r, c, &raw);
        if (r->queue.n > before) {
            return;
        }
    }
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_RAW, .raw = raw});
}
