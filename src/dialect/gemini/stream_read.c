/* The stream of an upstream as events (PROTOCOLS 8.1). A chunk has the form of a whole answer, so
 * whole answers are read by the same code (response_read.c). Text is borrowed from the frame,
 * escapes and all; one tape of nodes serves all frames. There is no end marker on this wire: the
 * body's end is the answer's, provided that a finishReason was seen or the last thing said was a
 * call. Owns its tape, its queue and a call that comes in pieces. */
#include "dialect/gemini/stream_read.h"

static const struct ar_target NO_TARGET;

void ar_gemini_fail_by(struct ar_reader *r, struct ar_str body, struct ar_str raw)
{
    ar_gemini_decode_error(200, body, r->a, &r->queue.fault);
    ar_queue_fail_by(&r->queue, raw);
}

/* --- what a chunk tells besides its parts --- */

bool ar_gemini_pick_chunk(struct ar_jval root, struct ar_jval ret[AR_C_COUNT])
{
    static const struct ar_str KEYS[AR_C_COUNT] = {
        [AR_C_CANDIDATES] = AR_LIT_INIT("candidates"),
        [AR_C_USAGE] = AR_LIT_INIT("usageMetadata"),
        [AR_C_MODEL] = AR_LIT_INIT("modelVersion"),
        [AR_C_ID] = AR_LIT_INIT("responseId"),
        [AR_C_FEEDBACK] = AR_LIT_INIT("promptFeedback"),
        [AR_C_ERROR] = AR_LIT_INIT("error"),
    };
    if (ar_json_is(root, AR_J_ARRAY)) { /* an element of an array that was not taken apart */
        root = ar_json_at(root, 0);
    }
    ar_json_pick(root, KEYS, AR_C_COUNT, ret);
    return ar_json_is(root, AR_J_OBJECT);
}

struct ar_jval ar_gemini_candidate(const struct ar_reader *r, struct ar_jval candidates)
{
    int64_t at = 0;
    if (r->candidate == 0 && ar_json_count(candidates) == 1) { /* nearly always */
        return ar_json_at(candidates, 0);
    }
    for (struct ar_jiter it = ar_json_iter(candidates); ar_json_next(&it); at++) {
        int64_t index = at;
        struct ar_jval v = ar_json_get_lit(it.val, "index");
        if (!ar_json_is(v, AR_J_NUMBER) || ar_json_i64(v, &index, NULL) != AR_OK) {
            index = at;
        }
        if (index == r->candidate) {
            return it.val;
        }
    }
    return (struct ar_jval){0};
}

void ar_gemini_pick_candidate(struct ar_jval candidate, struct ar_jval ret[AR_K_COUNT])
{
    static const struct ar_str KEYS[AR_K_COUNT] = {
        [AR_K_CONTENT] = AR_LIT_INIT("content"),
        [AR_K_FINISH] = AR_LIT_INIT("finishReason"),
        [AR_K_WHY] = AR_LIT_INIT("finishMessage"),
        [AR_K_GROUNDING] = AR_LIT_INIT("groundingMetadata"),
        [AR_K_SAFETY] = AR_LIT_INIT("safetyRatings"),
        [AR_K_LOGPROBS] = AR_LIT_INIT("logprobsResult"),
    };
    ar_json_pick(candidate, KEYS, AR_K_COUNT, ret);
}

/* A string's text, decoded, in the arena. */
static struct ar_str keep_text(struct ar_reader *r, struct ar_jval v)
{
    if (!ar_json_is(v, AR_J_STRING)) {
        return (struct ar_str){NULL, 0};
    }
    struct ar_str esc = ar_json_esc(v), dec = ar_json_unescape_in(esc, r->a);
    return dec.p == esc.p ? ar_arena_copy(r->a, dec) : dec;
}

void ar_gemini_note_start(struct ar_reader *r, const struct ar_jval c[AR_C_COUNT])
{
    r->started = true;
    r->answer.id = keep_text(r, c[AR_C_ID]);
    r->answer.model = keep_text(r, c[AR_C_MODEL]);
}

static bool has_changed(const struct ar_usage *old, const struct ar_usage *now)
{
    return old->in_total != now->in_total || old->out_total != now->out_total ||
           old->in_cached != now->in_cached || old->out_reasoning != now->out_reasoning;
}

bool ar_gemini_note_usage(struct ar_reader *r, struct ar_jval usage)
{
    struct ar_usage now, old = r->usage;
    if (!ar_gemini_read_usage(usage, &now)) {
        return false;
    }
    ar_usage_merge(&r->usage, &now);
    r->has_usage = true;
    return has_changed(&old, &r->usage);
}

/* Names of the numbers that some places write for enums. */
static struct ar_str finish_of_number(struct ar_jval v)
{
    static const char *const NAMES[] = {"",           "STOP",  "MAX_TOKENS", "SAFETY",
                                        "RECITATION", "OTHER", "LANGUAGE",   "BLOCKLIST"};
    int64_t n = 0;
    if (!ar_json_is(v, AR_J_NUMBER) || ar_json_i64(v, &n, NULL) != AR_OK || n < 0) {
        return (struct ar_str){NULL, 0};
    }
    bool known = n < (int64_t)(sizeof NAMES / sizeof *NAMES);
    return known ? ar_str_of(NAMES[n]) : AR_LIT("OTHER");
}

void ar_gemini_note_finish(struct ar_reader *r, const struct ar_jval k[AR_K_COUNT])
{
    struct ar_jval v = k[AR_K_FINISH], why = k[AR_K_WHY];
    if (!v.doc) {
        return;
    }
    struct ar_str finish = ar_json_is(v, AR_J_STRING) ? keep_text(r, v) : finish_of_number(v);
    if (finish.n == 0 || ar_str_is_lit(finish, "FINISH_REASON_UNSPECIFIED")) {
        return;
    }
    r->finish = finish;
    if (ar_json_esc(why).n > 0) {
        r->stop.explanation = ar_arena_copy(r->a, ar_json_esc(why));
    }
}

void ar_gemini_note_feedback(struct ar_reader *r, struct ar_jval feedback)
{
    if (!feedback.doc) {
        return;
    }
    struct ar_jval v = ar_json_get_lit(feedback, "blockReason");
    struct ar_jval why = ar_json_get_lit(feedback, "blockReasonMessage");
    if (ar_json_is(v, AR_J_STRING) &&
        !ar_str_is_lit(ar_json_esc(v), "BLOCKED_REASON_UNSPECIFIED")) {
        r->blocked = keep_text(r, v);
    } else if (ar_json_is(v, AR_J_NUMBER)) {
        r->blocked = AR_LIT("OTHER");
    }
    if (ar_json_esc(why).n > 0) {
        r->stop.explanation = ar_arena_copy(r->a, ar_json_esc(why));
    }
}

bool ar_gemini_settle_stop(struct ar_reader *r)
{
    struct ar_stop *s = &r->stop;
    if (r->finish.n > 0) {
        s->native = r->finish;
        s->reason = ar_gemini_stop_of(r->finish);
        if (s->reason == AR_STOP_MALFORMED_TOOL && !r->said) {
            ar_queue_fail(&r->queue, AR_UPSTREAM_ERROR,
                          "the upstream's model made a call that is none");
            return false;
        }
        if (s->reason == AR_STOP_END && r->called) {
            s->reason = AR_STOP_TOOL_USE;
        }
        return true;
    }
    if (r->blocked.n > 0) {
        s->native = r->blocked;
        s->reason = r->said ? AR_STOP_FILTER : AR_STOP_REFUSAL;
        return true;
    }
    if (r->ends_in_call) {
        s->reason = AR_STOP_TOOL_USE;
        return true;
    }
    if (r->whole && r->said) { /* it is all there, but does not say how it ended */
        s->reason = AR_STOP_END;
        return true;
    }
    if (r->whole) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_ERROR, "the upstream's answer is empty");
        return false;
    }
    ar_queue_fail(&r->queue, AR_UPSTREAM_TRUNCATED, "the upstream's answer was cut");
    return false;
}

/* --- translated --- */

/* Raw side facts of the candidate; the last ones count. */
static void note_facts(struct ar_reader *r, const struct ar_jval k[AR_K_COUNT])
{
    struct ar_str grounding = ar_json_raw(k[AR_K_GROUNDING]), safety = ar_json_raw(k[AR_K_SAFETY]);
    if (ar_json_count(k[AR_K_GROUNDING]) > 0 && !ar_str_is(grounding, r->answer.grounding)) {
        r->answer.grounding = ar_arena_copy(r->a, grounding);
    }
    if (ar_json_count(k[AR_K_SAFETY]) > 0 && !ar_str_is(safety, r->answer.safety)) {
        r->answer.safety = ar_arena_copy(r->a, safety);
    }
    if (r->whole && ar_json_is(k[AR_K_LOGPROBS], AR_J_OBJECT)) {
        r->answer.logprobs = ar_gemini_read_logprobs(k[AR_K_LOGPROBS], r->a);
    }
}

/* Every chunk counts anew, and nobody wants to know each time: what is not read now is kept for the
 * end. true: they were read, and changed. */
static bool take_usage(struct ar_reader *r, struct ar_jval usage, bool is_due)
{
    if (!ar_json_is(usage, AR_J_OBJECT)) {
        return false;
    }
    if (!is_due && r->has_usage && ++r->unread < AR_GEMINI_USAGE_EVERY) {
        ar_buf_clear(&r->late);
        ar_buf_str(&r->late, ar_json_raw(usage));
        return false;
    }
    r->unread = 0;
    ar_buf_clear(&r->late);
    return ar_gemini_note_usage(r, usage);
}

static void read_late_usage(struct ar_reader *r)
{
    struct ar_jdoc doc;
    if (r->late.n > 0 &&
        ar_json_parse(ar_buf_view(&r->late), AR_JSON_DEPTH, r->a, &doc, NULL) == AR_OK) {
        (void)ar_gemini_note_usage(r, ar_json_root(&doc));
    }
}

void ar_gemini_read_chunk(struct ar_reader *r, struct ar_jval root, struct ar_str data)
{
    struct ar_jval c[AR_C_COUNT], k[AR_K_COUNT];
    if (!ar_gemini_pick_chunk(root, c)) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_ERROR,
                      "the upstream's stream has a frame that is not a JSON object");
        return;
    }
    if (!ar_json_is_nil(c[AR_C_ERROR])) {
        ar_gemini_fail_by(r, data, (struct ar_str){NULL, 0});
        return;
    }
    struct ar_jval candidate = ar_gemini_candidate(r, c[AR_C_CANDIDATES]);
    ar_gemini_pick_candidate(candidate, k);
    bool changed = take_usage(r, c[AR_C_USAGE], k[AR_K_FINISH].doc || !candidate.doc);
    if (!r->started) {
        ar_gemini_note_start(r, c);
        r->answer.usage = r->usage;
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_START, .answer = &r->answer});
    }
    if (changed) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_USAGE, .usage = &r->usage});
    }
    ar_gemini_note_feedback(r, c[AR_C_FEEDBACK]);
    struct ar_jval parts = ar_json_get_lit(k[AR_K_CONTENT], "parts");
    for (struct ar_jiter it = ar_json_iter(parts); ar_json_next(&it) && !r->queue.ended;) {
        ar_gemini_read_part(r, it.val);
    }
    if (!r->queue.ended) {
        note_facts(r, k);
        ar_gemini_note_finish(r, k);
    }
}

void ar_gemini_end_answer(struct ar_reader *r)
{
    ar_gemini_end_pieces(r);
    if (r->queue.ended || !ar_gemini_settle_stop(r)) {
        return;
    }
    read_late_usage(r);
    ar_gemini_ground(r);
    ar_gemini_close_block(r);
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_STOP,
                                              .stop = &r->stop,
                                              .answer = &r->answer,
                                              .usage = r->has_usage ? &r->usage : NULL});
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_END});
    r->queue.ended = true;
}

/* --- frames --- */

void ar_gemini_read_frame(struct ar_reader *r, const struct ar_frame *f)
{
    ar_queue_reuse(&r->queue);
    if (r->queue.ended) {
        return;
    }
    if (r->relay) {
        ar_gemini_relay_frame(r, f);
        return;
    }
    struct ar_str data = ar_str_trim(f->data);
    if (data.n == 0 || ar_str_is_lit(data, "[DONE]")) { /* some proxies add OpenAI's marker */
        return;
    }
    if (ar_jtape_parse(&r->tape, data, &r->doc, NULL) != AR_OK) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_ERROR,
                      "the upstream's stream has a frame that is not a JSON object");
        return;
    }
    ar_gemini_read_chunk(r, ar_json_root(&r->doc), data);
}

void ar_gemini_read_eof(struct ar_reader *r, enum ar_eof eof)
{
    (void)eof; /* a finish or a cut is told by what was said, however clean the end looks */
    ar_queue_reuse(&r->queue);
    if (r->queue.ended) {
        return;
    }
    if (!r->started) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_TRUNCATED, "the upstream's answer was cut");
    } else if (r->relay) {
        ar_gemini_relay_end(r);
    } else {
        ar_gemini_end_answer(r);
    }
}

bool ar_gemini_read_next(struct ar_reader *r, struct ar_event *ret)
{
    return ar_queue_next(&r->queue, ret);
}

bool ar_gemini_read_lingers(const struct ar_reader *r)
{
    return r->finish.n > 0 && !r->queue.ended && (!r->relay || r->rests);
}

struct ar_reader *ar_gemini_reader_new(const struct ar_read_how *how, struct ar_arena *a)
{
    struct ar_reader *r = ar_arena_new(a, struct ar_reader);
    if (!r) {
        return NULL;
    }
    r->target = how && how->target ? how->target : &NO_TARGET;
    r->a = a;
    r->relay = how && how->relay;
    r->content_max = how && how->content_max ? how->content_max : (size_t)1 << 24;
    r->open_b = -1;
    ar_usage_clear(&r->usage);
    ar_usage_clear(&r->answer.usage);
    ar_buf_init(&r->late, 65536);
    ar_buf_init(&r->said_text, r->content_max);
    return r;
}

void ar_gemini_reader_done(struct ar_reader *r)
{
    if (!r) {
        return;
    }
    ar_queue_done(&r->queue);
    ar_jtape_done(&r->tape);
    ar_buf_done(&r->late);
    ar_buf_done(&r->said_text);
    ar_gemini_args_done(r->args);
    r->args = NULL;
}
