/* Events -> stream of GenerateContentResponse objects (PROTOCOLS 8.5). A text or thought delta is a
 * chunk of its own, made of a head, the escaped text and a tail that holds everything else, so it
 * costs three copies. A call is buffered and goes out whole when it ends, because Gemini's clients
 * read arguments as an object. The last chunk has finishReason, grounding and the full usage; an
 * answer that said nothing and was refused has promptFeedback instead. Which bytes part the chunks
 * is the framing's business. Owns its arena and the buffers of open calls, which are capped. */
#include "dialect/gemini/answer_write.h"

#include "ir/copy.h"

enum { BUFFERED_MAX = 16 << 20 };

/* A block that is open. */
struct open_block {
    struct open_block *next;
    unsigned b;
    struct ar_block block;                   /* kind; of a call id, name, sig, freeform: arena */
    struct ar_buf text;                      /* owns; esc: input of a call, or what was said */
    int64_t text_at;                         /* bytes of text before it */
    struct ar_name *citations, **cites_tail; /* raw */
};

struct ar_writer {
    struct ar_write_how how;
    struct ar_losses *losses;
    size_t losses_at; /* what is beyond belongs to the answer */
    struct ar_arena a;
    struct open_block *open, *spare;
    struct ar_gemini_sigs sigs;
    struct ar_gemini_cites cites;
    struct ar_buf tail, thought_tail; /* behind the text of a delta */
    struct ar_str grounding;          /* raw, when the answer had it from the beginning */
    int64_t text_bytes;
    struct ar_usage usage;
    unsigned calls;
    bool shows, unwraps, said, refused, stopped, failed, failed_size;
};

#define HEAD "{\"candidates\":[{\"content\":{\"parts\":["

/* Everything behind the parts of an usual chunk. */
static void put_rest(struct ar_writer *w, struct ar_buf *out)
{
    struct ar_jw j = ar_jw_on(out);
    ar_buf_lit(out, "],\"role\":\"model\"},\"index\":0}]");
    j.comma = true;
    if (w->usage.in_total >= 0) {
        ar_gemini_put_usage(&j, &w->usage);
    }
    ar_gemini_put_names(&j, &w->how);
    ar_buf_char(out, '}');
}

/* Makes the tails anew: usage has changed. */
static void make_tails(struct ar_writer *w)
{
    ar_buf_clear(&w->tail);
    ar_buf_clear(&w->thought_tail);
    ar_buf_lit(&w->tail, "\"}");
    put_rest(w, &w->tail);
    ar_buf_lit(&w->thought_tail, "\",\"thought\":true}");
    put_rest(w, &w->thought_tail);
}

struct ar_writer *ar_gemini_writer_new(const struct ar_write_how *how, struct ar_losses *l,
                                       struct ar_arena *a)
{
    struct ar_writer *w = ar_arena_new(a, struct ar_writer);
    if (w) {
        w->how = *how;
        w->losses = l;
        w->losses_at = l ? l->n : 0;
        w->shows = ar_gemini_shows_thinking(how->request);
        w->unwraps = ar_gemini_is_wrapped(how->request);
        ar_arena_init(&w->a, 4 << 20);
        ar_gemini_cites_init(&w->cites, BUFFERED_MAX);
        ar_buf_init(&w->tail, 1 << 16);
        ar_buf_init(&w->thought_tail, 1 << 16);
        ar_usage_clear(&w->usage);
        make_tails(w);
    }
    return w;
}

void ar_gemini_writer_done(struct ar_writer *w)
{
    if (!w) {
        return;
    }
    for (struct open_block *o = w->open; o; o = o->next) {
        ar_buf_done(&o->text);
    }
    ar_gemini_cites_done(&w->cites);
    ar_buf_done(&w->tail);
    ar_buf_done(&w->thought_tail);
    ar_arena_done(&w->a);
}

void ar_gemini_write_ping(struct ar_writer *w, struct ar_framer *out)
{
    (void)w;
    out->how->comment(out, AR_LIT(""));
}

/* --- chunks --- */

static void write_delta(struct ar_writer *w, struct ar_str text, bool thought,
                        struct ar_framer *out)
{
    out->how->begin(out, AR_LIT(""));
    ar_buf_lit(out->out, HEAD "{\"text\":\"");
    ar_buf_str(out->out, text);
    ar_buf_str(out->out, ar_buf_view(thought ? &w->thought_tail : &w->tail));
    out->how->end(out);
    w->said = true;
}

/* A chunk with other parts: the caller puts them between. */
static struct ar_jw open_chunk(struct ar_framer *out)
{
    out->how->begin(out, AR_LIT(""));
    ar_buf_lit(out->out, HEAD);
    return ar_jw_on(out->out);
}

static void close_chunk(struct ar_writer *w, struct ar_framer *out)
{
    put_rest(w, out->out);
    out->how->end(out);
    w->said = true;
}

static void write_text(struct ar_writer *w, struct ar_str text, bool thought,
                       const struct ar_opaque *sig, struct ar_framer *out)
{
    if (!sig) {
        write_delta(w, text, thought, out);
        return;
    }
    struct ar_jw j = open_chunk(out);
    ar_gemini_put_text_part(&j, text, thought, sig);
    close_chunk(w, out);
}

/* --- blocks --- */

static struct open_block *find(const struct ar_writer *w, unsigned b)
{
    struct open_block *o = w->open;
    while (o && o->b != b) {
        o = o->next;
    }
    return o;
}

static void keep_sig(struct ar_writer *w, struct open_block *o, const struct ar_opaque *sig)
{
    if (sig && sig->data.n > 0 && !o->block.sig) {
        o->block.sig = ar_copy_opaque(sig, &w->a);
    }
}

static void keep_citation(struct ar_writer *w, struct open_block *o, struct ar_str raw)
{
    struct ar_str copy = ar_arena_copy(&w->a, raw);
    if (copy.p) {
        (void)ar_name_new(&w->a, copy, &o->cites_tail);
    }
}

static void keep_citations(struct ar_writer *w, struct open_block *o, struct ar_str list)
{
    struct ar_jdoc doc;
    if (list.n == 0 || ar_json_parse(list, 1, &w->a, &doc, NULL) != AR_OK) {
        return;
    }
    for (struct ar_jiter it = ar_json_iter(ar_json_root(&doc)); ar_json_next(&it);) {
        keep_citation(w, o, ar_json_raw(it.val));
    }
}

static struct open_block *add_block(struct ar_writer *w, const struct ar_event *ev)
{
    struct open_block *o = w->spare, **link = &w->open;
    if (o) {
        w->spare = o->next;
    } else {
        o = ar_arena_new(&w->a, struct open_block);
    }
    if (!o) {
        return NULL;
    }
    const struct ar_block *b = ev->block;
    *o = (struct open_block){.b = ev->b, .text_at = w->text_bytes};
    o->cites_tail = &o->citations;
    o->block.kind = b->kind;
    o->block.freeform = b->freeform;
    o->block.id = ar_copy_str(b->id, &w->a);
    o->block.name = ar_copy_str(b->name, &w->a);
    ar_buf_init(&o->text, BUFFERED_MAX);
    keep_sig(w, o, b->sig);
    keep_citations(w, o, b->citations);
    while (*link) {
        link = &(*link)->next;
    }
    *link = o;
    return o;
}

static bool is_search(const struct ar_block *b)
{
    return b->kind == AR_SERVER_TOOL_USE && b->vendor != AR_VENDOR_GOOGLE &&
           ar_str_is_lit(b->name, "web_search");
}

static enum ar_code on_block_start(struct ar_writer *w, const struct ar_event *ev,
                                   struct ar_framer *out)
{
    const struct ar_block *b = ev->block;
    bool text = b->kind == AR_TEXT || b->kind == AR_REFUSAL;
    bool thought = b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING;
    w->refused = w->refused || b->kind == AR_REFUSAL;
    if (text || thought || b->kind == AR_TOOL_USE || is_search(b)) {
        return add_block(w, ev) ? AR_OK : AR_TOO_LARGE;
    }
    struct ar_buf part;
    ar_buf_init(&part, BUFFERED_MAX);
    struct ar_jw j = ar_jw_on(&part);
    if (ar_gemini_put_other_part(&j, b)) {
        j = open_chunk(out);
        ar_jw_raw(&j, ar_buf_view(&part));
        close_chunk(w, out);
    } else if (b->media && w->losses) {
        ar_note(w->losses, AR_DROPPED, b->kind == AR_AUDIO ? "audio" : "image");
    }
    ar_buf_done(&part);
    return AR_OK;
}

/* A thought is complete. */
static void end_thought(struct ar_writer *w, const struct open_block *o, struct ar_framer *out)
{
    bool shown = w->shows && o->block.kind == AR_THINKING;
    const struct ar_opaque *first = ar_gemini_note_sig(&w->sigs, o->block.sig, shown);
    if (first) {
        write_text(w, AR_LIT(""), true, first, out);
    }
    if (shown && o->block.sig) {
        write_text(w, AR_LIT(""), true, o->block.sig, out);
    }
}

/* Text of the answer, for the client's eyes. */
static void say(struct ar_writer *w, struct ar_str text, struct ar_framer *out)
{
    w->text_bytes += ar_gemini_bytes(text);
    write_text(w, text, false, ar_gemini_take_sig(&w->sigs, NULL, false), out);
}

/* A text is complete: its citations have their end, its signature a part. */
static void end_text(struct ar_writer *w, struct open_block *o, struct ar_framer *out)
{
    if (o->text.n > 0 && w->unwraps) {
        struct ar_str value = ar_gemini_unwrap(ar_buf_view(&o->text), w->how.request, &w->a);
        if (value.p != o->text.p && w->losses) {
            ar_note(w->losses, AR_EMULATED, "generationConfig.responseMimeType");
        }
        say(w, value, out);
    }
    for (const struct ar_name *c = o->citations; c; c = c->next) {
        ar_gemini_add_citation(&w->cites, c->s, ar_buf_view(&o->text), o->text_at);
    }
    if (o->block.sig) {
        write_text(w, AR_LIT(""), false, ar_gemini_take_sig(&w->sigs, o->block.sig, false), out);
    }
}

static void end_call(struct ar_writer *w, struct open_block *o, struct ar_framer *out)
{
    struct ar_arena scratch;
    ar_arena_init(&scratch, 16 * o->text.n + 65536);
    o->block.text = ar_json_unescape_in(ar_buf_view(&o->text), &scratch);
    if (!o->block.text.p) {
        o->block.text = AR_LIT("");
    }
    if (o->block.kind == AR_SERVER_TOOL_USE) {
        ar_gemini_add_search(&w->cites, o->block.text);
    } else {
        const struct ar_opaque *sig = ar_gemini_take_sig(&w->sigs, o->block.sig, true);
        struct ar_jw j = open_chunk(out);
        if (!ar_gemini_put_call_part(&j, &o->block, sig, &w->how.stamp, w->calls++, &scratch) &&
            w->losses) {
            ar_note(w->losses, AR_APPROXIMATED, "functionCall.args");
        }
        close_chunk(w, out);
    }
    ar_arena_done(&scratch);
}

static void end_block(struct ar_writer *w, struct open_block *o, struct ar_framer *out)
{
    struct open_block **link = &w->open;
    while (*link != o) {
        link = &(*link)->next;
    }
    *link = o->next;
    switch (o->block.kind) {
    case AR_THINKING:
    case AR_REDACTED_THINKING:
        end_thought(w, o, out);
        break;
    case AR_TEXT:
    case AR_REFUSAL:
        end_text(w, o, out);
        break;
    default:
        end_call(w, o, out);
        break;
    }
    ar_buf_done(&o->text);
    o->next = w->spare;
    w->spare = o;
}

static void on_block_end(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    struct open_block *o = find(w, ev->b);
    if (!o) {
        return;
    }
    if (ev->block) {
        keep_sig(w, o, ev->block->sig);
        keep_citations(w, o, ev->block->citations);
    }
    end_block(w, o, out);
}

/* --- deltas --- */

static void on_text(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    struct open_block *o = find(w, ev->b);
    if (ev->text.n == 0) {
        return;
    }
    if (o) {
        ar_buf_str(&o->text, ev->text); /* citations count in it */
    }
    if (!o || !w->unwraps) {
        say(w, ev->text, out);
    }
}

static void on_input(struct ar_writer *w, const struct ar_event *ev)
{
    struct open_block *o = find(w, ev->b);
    if (o) {
        o->block.freeform = o->block.freeform || ev->delta == AR_D_FREEFORM;
        ar_buf_str(&o->text, ev->text);
        if (ar_buf_finish(&o->text) != AR_OK) {
            w->failed_size = true;
        }
    }
}

static void on_delta(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    struct open_block *o;
    switch (ev->delta) {
    case AR_D_REFUSAL:
        w->refused = true;
        on_text(w, ev, out);
        return;
    case AR_D_TEXT:
        on_text(w, ev, out);
        return;
    case AR_D_THINKING:
        if (ev->text.n > 0 && w->shows) {
            write_delta(w, ev->text, true, out);
        }
        return;
    case AR_D_JSON:
    case AR_D_FREEFORM:
        on_input(w, ev);
        return;
    case AR_D_SIGNATURE:
        o = find(w, ev->b);
        if (o) {
            keep_sig(w, o, ev->opaque);
        }
        return;
    case AR_D_CITATION:
        o = find(w, ev->b);
        if (o) {
            keep_citation(w, o, ev->text);
        }
        return;
    case AR_D_OPAQUE:
        return;
    }
}

/* --- the answer --- */

static void on_start(struct ar_writer *w, const struct ar_response *answer)
{
    if (answer && answer->usage.in_total > 0) {
        ar_usage_merge(&w->usage, &answer->usage);
        make_tails(w);
    }
    if (answer && answer->grounding.n > 0) {
        w->grounding = ar_arena_copy(&w->a, answer->grounding);
    }
}

static void on_usage(struct ar_writer *w, const struct ar_usage *usage)
{
    ar_usage_merge(&w->usage, usage);
    make_tails(w);
}

static void on_stop(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    while (w->open) {
        end_block(w, w->open, out);
    }
    if (ev->usage) {
        ar_usage_merge(&w->usage, ev->usage);
    }
    w->stopped = true;
    ar_write_losses(w->losses, w->losses_at, out);
    out->how->begin(out, AR_LIT(""));
    struct ar_jw j = ar_jw_on(out->out);
    ar_jw_open(&j, '{');
    if (ar_gemini_is_blocked(ev->stop, w->said)) {
        ar_gemini_put_blocked(&j, ev->stop);
    } else {
        ar_jw_raw(&j, AR_LIT("\"candidates\":[{\"content\":{\"parts\":["));
        j.comma = false;
        ar_gemini_put_text_part(&j, AR_LIT(""), false, w->sigs.next);
        ar_buf_lit(out->out, "],\"role\":\"model\"}");
        j.comma = true;
        ar_gemini_put_stop(&j, ev->stop, w->refused);
        ar_jw_key_i64(&j, "index", 0);
        if (ev->answer && ev->answer->grounding.n > 0) {
            ar_jw_key_raw(&j, "groundingMetadata", ev->answer->grounding);
        } else if (w->grounding.n > 0) {
            ar_jw_key_raw(&j, "groundingMetadata", w->grounding);
        } else {
            ar_gemini_put_grounding(&j, &w->cites);
        }
        if (ev->answer && ev->answer->logprobs.n > 0) {
            ar_gemini_put_logprobs(&j, ev->answer->logprobs, &w->a);
        }
        ar_buf_lit(out->out, "}]");
    }
    j.comma = true;
    ar_gemini_put_usage(&j, &w->usage);
    ar_gemini_put_names(&j, &w->how);
    ar_jw_close(&j, '}');
    out->how->end(out);
}

static void on_error(struct ar_writer *w, const struct ar_fault *fault, struct ar_framer *out)
{
    out->how->begin(out, AR_LIT(""));
    (void)ar_gemini_encode_error(fault, (struct ar_str){NULL, 0}, out->out);
    out->how->end(out);
    out->how->finish(out);
    w->failed = true;
}

static void on_end(struct ar_writer *w, struct ar_framer *out)
{
    if (!w->stopped) { /* never a clean end without a reason */
        static const struct ar_fault cut = {.code = AR_UPSTREAM_TRUNCATED, .retry_after_ms = -1};
        on_error(w, &cut, out);
        return;
    }
    out->how->finish(out);
}

enum ar_code ar_gemini_write(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    enum ar_code code = AR_OK;
    if (w->failed || (w->stopped && ev->kind != AR_EV_END && ev->kind != AR_EV_ERROR)) {
        return AR_OK;
    }
    switch (ev->kind) {
    case AR_EV_DELTA:
        on_delta(w, ev, out);
        break;
    case AR_EV_START:
        on_start(w, ev->answer);
        break;
    case AR_EV_BLOCK_START:
        code = on_block_start(w, ev, out);
        break;
    case AR_EV_BLOCK_END:
        on_block_end(w, ev, out);
        break;
    case AR_EV_USAGE:
        on_usage(w, ev->usage);
        break;
    case AR_EV_STOP:
        on_stop(w, ev, out);
        break;
    case AR_EV_PING:
        ar_gemini_write_ping(w, out);
        break;
    case AR_EV_WHOLE:
        code = ar_write_whole(ar_gemini_write, w, ev->answer, out);
        break;
    case AR_EV_ERROR:
        on_error(w, ev->fault, out);
        break;
    case AR_EV_END:
        on_end(w, out);
        break;
    case AR_EV_RAW:
        break;
    }
    if (code == AR_OK && (w->failed_size || w->a.overflowed || w->tail.overflowed ||
                          ar_buf_finish(out->out) != AR_OK)) {
        code = AR_TOO_LARGE;
    }
    return code;
}
