/* The stream of an upstream as events (PROTOCOLS 8.1). Content is borrowed from the frame, escapes
 * and all; one tape of nodes serves all frames. The queue holds the events of the frame at hand.
 * What compatible places do differently is tolerated here, each where it is read (PROTOCOLS 1.7).
 * It owns its tape, its queue and its calls; it never holds content back but for the start of a
 * think tag and for arguments that come before their tool's name. */
#include "dialect/chat/stream_read.h"

#include "base/hash.h"

#include <stdlib.h>

static const struct ar_target NO_TARGET;

void ar_chat_note_usage(struct ar_reader *r, struct ar_jval u, struct ar_jval x_groq)
{
    struct ar_usage usage;
    if (!ar_json_is(u, AR_J_OBJECT)) {
        u = ar_json_get_lit(x_groq, "usage");
    }
    if (!ar_json_is(u, AR_J_OBJECT)) {
        return;
    }
    ar_chat_read_usage(u, &usage);
    ar_usage_merge(&r->usage, &usage);
    r->has_usage = true;
}

void ar_chat_note_start(struct ar_reader *r, struct ar_jval root)
{
    r->started = true;
    r->answer.id = ar_arena_copy(r->a, ar_member_text_lit(r->a, root, "id"));
    r->answer.model = ar_arena_copy(r->a, ar_member_text_lit(r->a, root, "model"));
    if (ar_json_i64(ar_json_get_lit(root, "created"), &r->answer.created_unix, NULL) != AR_OK) {
        r->answer.created_unix = 0;
    }
}

void ar_chat_note_finish(struct ar_reader *r, struct ar_jval choice)
{
    struct ar_str finish = ar_json_esc(ar_json_get_lit(choice, "finish_reason"));
    struct ar_stop stop;
    if (!finish.n) {
        return;
    }
    ar_chat_read_stop(finish, choice, (struct ar_chat_seen){0}, &stop);
    r->finish = ar_arena_copy(r->a, finish);
    if (stop.sequence.n) {
        r->stop.sequence = ar_arena_copy(r->a, stop.sequence);
    }
}

/* --- blocks
 * -------------------------------------------------------------------------------------------------
 */

void ar_chat_close_block(struct ar_reader *r, int *b)
{
    if (*b >= 0) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_BLOCK_END, .b = (unsigned)*b});
        *b = -1;
    }
}

struct ar_block *ar_chat_start_block(struct ar_reader *r, enum ar_block_kind kind, unsigned *ret_b)
{
    struct ar_block *b = ar_arena_new(r->a, struct ar_block);
    if (!b) {
        ar_queue_fail(&r->queue, AR_TOO_LARGE, "the answer has too many blocks");
        return NULL;
    }
    b->kind = kind;
    *ret_b = r->next_b++;
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_BLOCK_START, .b = *ret_b, .block = b});
    return b;
}

void ar_chat_put_delta(struct ar_reader *r, unsigned b, enum ar_delta delta, struct ar_str text)
{
    ar_queue_put(&r->queue,
                 (struct ar_event){.kind = AR_EV_DELTA, .delta = delta, .b = b, .text = text});
}

/* Text of one kind: the others end first, so their order is that of the answer. */
static void put_said(struct ar_reader *r, int *b, enum ar_block_kind kind, enum ar_delta delta,
                     struct ar_str text)
{
    int *all[] = {&r->think_b, &r->text_b, &r->refusal_b};
    if (!text.n || r->queue.ended) {
        return;
    }
    if (*b < 0) {
        unsigned fresh;
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            ar_chat_close_block(r, all[i]);
        }
        if (!ar_chat_start_block(r, kind, &fresh)) {
            return;
        }
        *b = (int)fresh;
    }
    ar_chat_put_delta(r, (unsigned)*b, delta, text);
}

static void put_thinking(struct ar_reader *r, struct ar_str text)
{
    r->thought |= text.n > 0;
    put_said(r, &r->think_b, AR_THINKING, AR_D_THINKING, text);
}

static void put_plain_text(struct ar_reader *r, struct ar_str text)
{
    r->seen.text |= text.n > 0;
    put_said(r, &r->text_b, AR_TEXT, AR_D_TEXT, text);
    for (; r->cites && r->text_b >= 0; r->cites = r->cites->next) {
        ar_chat_put_delta(r, (unsigned)r->text_b, AR_D_CITATION, r->cites->s);
    }
}

static void put_text(struct ar_reader *r, struct ar_str text, bool is_last)
{
    struct ar_chat_piece pieces[AR_CHAT_PIECES];
    if (!(r->target->quirks & AR_QUIRK(THINK_TAGS))) {
        put_plain_text(r, text);
        return;
    }
    unsigned n = ar_chat_tags_cut(&r->tags, text, is_last, &r->scratch, pieces);
    for (unsigned i = 0; i < n; i++) {
        if (pieces[i].is_thinking) {
            put_thinking(r, pieces[i].text);
        } else {
            put_plain_text(r, pieces[i].text);
        }
    }
}

/* --- thinking material
 * -------------------------------------------------------------------------------------- */

/* reasoning_details: the text only where the plain field lacks it; signatures go to the open
 * thinking block, and what is encrypted without one is a block of its own. */
static void read_details(struct ar_reader *r, struct ar_jval details, bool has_plain)
{
    struct ar_jiter it = ar_json_iter(details);
    while (ar_json_next(&it) && !r->queue.ended) {
        struct ar_jval text = ar_json_get_lit(it.val, "text");
        if (!ar_json_is(text, AR_J_STRING)) {
            text = ar_json_get_lit(it.val, "summary");
        }
        if (!has_plain) {
            put_thinking(r, ar_json_esc(text));
        }
        struct ar_opaque *sig = ar_chat_read_opaque(r->a, it.val, r->target);
        if (!sig) {
            continue;
        }
        if (r->think_b >= 0 && sig->form != AR_REDACTED) {
            ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_DELTA,
                                                      .delta = AR_D_SIGNATURE,
                                                      .b = (unsigned)r->think_b,
                                                      .opaque = sig});
            ar_chat_close_block(r, &r->think_b);
            continue;
        }
        int b = -1;
        unsigned fresh;
        ar_chat_close_block(r, &r->think_b);
        ar_chat_close_block(r, &r->text_b);
        struct ar_block *block = ar_chat_start_block(
            r, sig->form == AR_SIGNATURE ? AR_THINKING : AR_REDACTED_THINKING, &fresh);
        if (block) {
            block->sig = sig;
            b = (int)fresh;
            ar_chat_close_block(r, &b);
        }
    }
}

static void read_thinking(struct ar_reader *r, struct ar_jval content, struct ar_jval other,
                          struct ar_jval details)
{
    struct ar_str text = ar_json_esc(content);
    if (!text.n) {
        text = ar_json_esc(other);
    }
    put_thinking(r, text);
    if (ar_json_count(details)) {
        read_details(r, details, text.n > 0);
    }
}

/* Mistral sends content as a list of text and thinking parts. */
static void read_content(struct ar_reader *r, struct ar_jval content)
{
    if (!ar_json_is(content, AR_J_ARRAY)) {
        struct ar_str text = ar_json_esc(content);
        if (text.n) {
            put_text(r, text, false);
        }
        return;
    }
    struct ar_jiter it = ar_json_iter(content);
    while (ar_json_next(&it)) {
        struct ar_jiter inner = ar_json_iter(ar_json_get_lit(it.val, "thinking"));
        put_plain_text(r, ar_json_esc(ar_json_get_lit(it.val, "text")));
        while (ar_json_next(&inner)) {
            put_thinking(r, ar_json_esc(ar_json_get_lit(inner.val, "text")));
        }
    }
}

/* Some places send them before the text. What comes when the text is over is lost. */
static void read_annotations(struct ar_reader *r, struct ar_jval annotations)
{
    struct ar_jiter it = ar_json_iter(annotations);
    while (ar_json_next(&it)) {
        struct ar_str c = ar_cite_of_openai(r->a, it.val);
        if (c.p && r->text_b >= 0) {
            ar_chat_put_delta(r, (unsigned)r->text_b, AR_D_CITATION, c);
        } else if (c.p && !r->seen.text) {
            if (!r->cites) {
                r->cites_tail = &r->cites;
            }
            ar_name_new(r->a, c, &r->cites_tail);
        }
    }
}

/* --- frames
 * -------------------------------------------------------------------------------------------------
 */

/* Members of a delta. */
enum {
    D_CONTENT,
    D_CALLS,
    D_CALL,
    D_REFUSAL,
    D_REASONING_CONTENT,
    D_REASONING,
    D_REASONING_DETAILS,
    D_ANNOTATIONS,
    DELTA_COUNT
};
static const struct ar_str DELTA[DELTA_COUNT] = {
    [D_CONTENT] = AR_LIT_INIT("content"),
    [D_CALLS] = AR_LIT_INIT("tool_calls"),
    [D_CALL] = AR_LIT_INIT("function_call"),
    [D_REFUSAL] = AR_LIT_INIT("refusal"),
    [D_REASONING_CONTENT] = AR_LIT_INIT("reasoning_content"),
    [D_REASONING] = AR_LIT_INIT("reasoning"),
    [D_REASONING_DETAILS] = AR_LIT_INIT("reasoning_details"),
    [D_ANNOTATIONS] = AR_LIT_INIT("annotations"),
};

static void read_delta(struct ar_reader *r, struct ar_jval delta)
{
    struct ar_jval d[DELTA_COUNT];
    ar_json_pick(delta, DELTA, DELTA_COUNT, d);
    struct ar_jval calls = d[D_CALLS], fc = d[D_CALL];
    struct ar_str refusal = ar_json_esc(d[D_REFUSAL]);
    read_thinking(r, d[D_REASONING_CONTENT], d[D_REASONING], d[D_REASONING_DETAILS]);
    read_content(r, d[D_CONTENT]);
    if (refusal.n) {
        r->seen.refusal = true;
        put_said(r, &r->refusal_b, AR_REFUSAL, AR_D_REFUSAL, refusal);
    }
    read_annotations(r, d[D_ANNOTATIONS]);
    if (ar_json_count(calls)) {
        ar_chat_read_calls(r, calls);
    }
    if (ar_json_is(fc, AR_J_OBJECT)) {
        ar_chat_read_call(r, fc, AR_CHAT_LEGACY_INDEX);
    }
}

void ar_chat_fail_by(struct ar_reader *r, struct ar_str body, struct ar_str raw)
{
    ar_chat_decode_error(200, body, r->a, &r->queue.fault);
    ar_queue_fail_by(&r->queue, raw);
}

/* Members of a chunk, and of a choice. */
enum { R_ERROR, R_CHOICES, R_USAGE, R_GROQ, ROOT_COUNT };
static const struct ar_str ROOT[ROOT_COUNT] = {
    [R_ERROR] = AR_LIT_INIT("error"),
    [R_CHOICES] = AR_LIT_INIT("choices"),
    [R_USAGE] = AR_LIT_INIT("usage"),
    [R_GROQ] = AR_LIT_INIT("x_groq"),
};
enum { C_INDEX, C_DELTA, C_MESSAGE, C_FINISH, C_ERROR, C_LOGPROBS, CHOICE_COUNT };
static const struct ar_str CHOICE[CHOICE_COUNT] = {
    [C_INDEX] = AR_LIT_INIT("index"),     [C_DELTA] = AR_LIT_INIT("delta"),
    [C_MESSAGE] = AR_LIT_INIT("message"), [C_FINISH] = AR_LIT_INIT("finish_reason"),
    [C_ERROR] = AR_LIT_INIT("error"),     [C_LOGPROBS] = AR_LIT_INIT("logprobs"),
};

/* Tokens of the text so far, for the end of the answer. */
static void note_logprobs(struct ar_reader *r, struct ar_jval logprobs)
{
    struct ar_jval list = ar_json_get_lit(logprobs, "content");
    for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it);) {
        ar_buf_str(&r->tokens, r->tokens.n > 0 ? AR_LIT(",") : AR_LIT(""));
        ar_buf_str(&r->tokens, ar_json_raw(it.val));
    }
}

/* Only candidate 0 is shown: no other dialect has more than one on a stream. */
static struct ar_jval first_choice(struct ar_jval choices, struct ar_jval ret[CHOICE_COUNT])
{
    struct ar_jiter it = ar_json_iter(choices);
    while (ar_json_next(&it)) {
        int64_t index = 0;
        ar_json_pick(it.val, CHOICE, CHOICE_COUNT, ret);
        if (!ret[C_INDEX].doc || ar_json_i64(ret[C_INDEX], &index, NULL) != AR_OK || index == 0) {
            return it.val;
        }
    }
    ar_json_pick((struct ar_jval){NULL, 0}, CHOICE, CHOICE_COUNT, ret);
    return (struct ar_jval){NULL, 0};
}

static void end_stream(struct ar_reader *r)
{
    if (r->target->quirks & AR_QUIRK(THINK_TAGS)) {
        put_text(r, (struct ar_str){"", 0}, true);
    }
    for (unsigned i = 0; i < r->call_n && !r->queue.ended; i++) {
        if (!r->calls[i].started && r->calls[i].name.n) {
            ar_chat_start_call(r, &r->calls[i]);
        }
    }
    if (r->queue.ended) {
        return;
    }
    if (!r->finish.n && !r->seen.text && !r->seen.calls && !r->seen.refusal) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_ERROR,
                      "the upstream's stream ended without an answer");
        return;
    }
    ar_chat_close_block(r, &r->think_b);
    ar_chat_close_block(r, &r->text_b);
    ar_chat_close_block(r, &r->refusal_b);
    for (unsigned i = 0; i < r->call_n; i++) {
        int b = r->calls[i].started ? (int)r->calls[i].b : -1;
        ar_chat_close_block(r, &b);
    }
    struct ar_str sequence = r->stop.sequence;
    ar_chat_read_stop(r->finish, (struct ar_jval){0}, r->seen, &r->stop);
    if (sequence.n && r->stop.reason == AR_STOP_END) {
        r->stop.reason = AR_STOP_SEQUENCE;
        r->stop.sequence = sequence;
    }
    if (r->has_usage) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_USAGE, .usage = &r->usage});
    }
    if (r->tokens.n > 0 && ar_buf_finish(&r->tokens) == AR_OK) {
        r->answer.logprobs = ar_arena_fmt(r->a, "{\"content\":[%.*s],\"refusal\":null}",
                                          AR_FMT(ar_buf_view(&r->tokens)));
    }
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_STOP,
                                              .stop = &r->stop,
                                              .answer = &r->answer,
                                              .usage = r->has_usage ? &r->usage : NULL});
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_END});
    r->queue.ended = true;
}

static void read_chunk(struct ar_reader *r, struct ar_jval value, struct ar_str data)
{
    struct ar_jval root[ROOT_COUNT], c[CHOICE_COUNT];
    ar_json_pick(value, ROOT, ROOT_COUNT, root);
    if (ar_chat_is_error(root[R_ERROR])) {
        ar_chat_fail_by(r, data, (struct ar_str){NULL, 0});
        return;
    }
    struct ar_jval choice = first_choice(root[R_CHOICES], c);
    if (ar_chat_is_error(c[C_ERROR])) { /* OpenRouter */
        ar_chat_fail_by(r, ar_json_raw(choice), (struct ar_str){NULL, 0});
        return;
    }
    if (!r->started) {
        ar_chat_note_start(r, value);
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_START, .answer = &r->answer});
    }
    ar_chat_note_usage(r, root[R_USAGE], root[R_GROQ]);
    /* else a whole message in a chunk */
    struct ar_jval delta = ar_json_is(c[C_DELTA], AR_J_OBJECT) ? c[C_DELTA] : c[C_MESSAGE];
    if (ar_json_is(delta, AR_J_OBJECT)) {
        read_delta(r, delta);
    }
    if (ar_json_is(c[C_LOGPROBS], AR_J_OBJECT)) {
        note_logprobs(r, c[C_LOGPROBS]);
    }
    if (ar_json_esc(c[C_FINISH]).n) {
        ar_chat_note_finish(r, choice);
    }
    if (ar_str_is_lit(r->finish, "error") && !r->queue.ended) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_ERROR, "the upstream's model failed");
    }
}

void ar_chat_read_frame(struct ar_reader *r, const struct ar_frame *f)
{
    ar_queue_reuse(&r->queue);
    if (r->queue.ended) {
        return;
    }
    if (r->relay) {
        ar_chat_relay_frame(r, f);
        return;
    }
    struct ar_str data = ar_str_trim(f->data);
    if (!data.n) {
        return;
    }
    if (ar_str_is_lit(data, "[DONE]")) {
        end_stream(r);
    } else if (ar_str_is_lit(f->name, "error")) {
        ar_chat_fail_by(r, data, (struct ar_str){0});
    } else if (ar_jtape_parse(&r->tape, data, &r->doc, NULL) != AR_OK ||
               !ar_json_is(ar_json_root(&r->doc), AR_J_OBJECT)) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_ERROR,
                      "the upstream's stream has a frame that is not a JSON object");
    } else {
        read_chunk(r, ar_json_root(&r->doc), data);
    }
}

/* A stream that ends without a finish and without [DONE] is cut, however clean its end looks. */
void ar_chat_read_eof(struct ar_reader *r, enum ar_eof eof)
{
    (void)eof;
    ar_queue_reuse(&r->queue);
    if (r->queue.ended) {
        return;
    }
    if (!r->finish.n) {
        ar_queue_fail(&r->queue, AR_UPSTREAM_TRUNCATED, "the upstream's answer was cut");
    } else if (r->relay) {
        ar_chat_relay_end(r, AR_LIT(""));
    } else {
        end_stream(r);
    }
}

bool ar_chat_read_next(struct ar_reader *r, struct ar_event *ret)
{
    return ar_queue_next(&r->queue, ret);
}

bool ar_chat_read_lingers(const struct ar_reader *r)
{
    return r->finish.n > 0 && !r->queue.ended && (!r->relay || r->rests);
}

struct ar_reader *ar_chat_reader_new(const struct ar_read_how *how, struct ar_arena *a)
{
    struct ar_reader *r = ar_arena_new(a, struct ar_reader);
    if (!r) {
        return NULL;
    }
    r->target = how->target ? how->target : &NO_TARGET;
    r->a = a;
    r->relay = how->relay;
    r->swallow = how->swallow_usage;
    r->content_max = how->content_max ? how->content_max : (size_t)1 << 24;
    r->text_b = r->think_b = r->refusal_b = -1;
    ar_usage_clear(&r->usage);
    ar_buf_init(&r->scratch, r->content_max * 2);
    ar_buf_init(&r->tokens, r->content_max);
    ar_buf_init(&r->same.bytes, 65536);
    return r;
}

void ar_chat_reader_done(struct ar_reader *r)
{
    if (!r) {
        return;
    }
    for (unsigned i = 0; i < r->call_n; i++) {
        ar_buf_done(&r->calls[i].early);
    }
    free(r->calls);
    ar_queue_done(&r->queue);
    ar_jtape_done(&r->tape);
    ar_buf_done(&r->scratch);
    ar_buf_done(&r->tokens);
    ar_buf_done(&r->same.bytes);
    r->calls = NULL;
    r->call_n = 0;
}
