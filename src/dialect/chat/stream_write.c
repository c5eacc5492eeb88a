/* Events as the chunks of a Chat stream (PROTOCOLS 8.2). What all chunks have in common is made
 * once, so a delta costs a few copies. It owns the common bytes, the list of blocks and what is
 * told at the end: thinking material, citations and the losses of the answer, which go out as one
 * comment before the terminal frame. After an error nothing follows, no [DONE] either: a failed
 * answer must not look complete. */
#include "dialect/chat/answer_write.h"

#include <stdlib.h>

enum { THINK_MAX = 1 << 20, DETAILS_MAX = 8 << 20, NOTES_MAX = 1 << 20, BLOCKS_MAX = 1 << 16 };

struct shown {
    enum ar_block_kind kind;
    unsigned call; /* number among the calls */
    bool some, freeform, hidden;
};

struct ar_writer {
    struct ar_write_how how;
    struct ar_losses *losses;
    size_t losses_at; /* bytes of losses->text that were there before the answer */
    struct ar_arena *a;
    struct ar_buf head;    /* of every chunk, up to the delta */
    struct ar_buf think;   /* text of the thinking block at hand */
    struct ar_buf details; /* reasoning_details so far */
    struct ar_buf notes;   /* annotations so far */
    struct shown *blocks;  /* owns */
    unsigned cap, calls, detail_n, thinking_n;
    const struct ar_opaque *sig;         /* of the thinking block at hand */
    int64_t chars, block_chars;          /* of content; where the text block at hand began */
    struct ar_name *cites, **cites_tail; /* of the text block at hand */
    struct ar_usage usage;
    bool started, text, refusal, legacy, hides_thinking;
};

struct ar_writer *ar_chat_writer_new(const struct ar_write_how *how, struct ar_losses *l,
                                     struct ar_arena *a)
{
    struct ar_writer *w = ar_arena_new(a, struct ar_writer);
    if (!w) {
        return NULL;
    }
    w->how = *how;
    w->losses = l;
    w->losses_at = l ? l->n : 0;
    w->a = a;
    w->legacy = how->request && how->request->legacy_functions;
    w->hides_thinking = how->request && how->request->set.show == AR_SHOW_OMITTED;
    ar_usage_clear(&w->usage);
    ar_buf_init(&w->head, 4096 + how->model.n * 6);
    ar_buf_init(&w->think, THINK_MAX);
    ar_buf_init(&w->details, DETAILS_MAX);
    ar_buf_init(&w->notes, NOTES_MAX);
    return w;
}

void ar_chat_writer_done(struct ar_writer *w)
{
    if (!w) {
        return;
    }
    ar_buf_done(&w->head);
    ar_buf_done(&w->think);
    ar_buf_done(&w->details);
    ar_buf_done(&w->notes);
    free(w->blocks);
    w->blocks = NULL;
    w->cap = 0;
}

void ar_chat_write_ping(struct ar_writer *w, struct ar_framer *out)
{
    (void)w;
    out->how->comment(out, (struct ar_str){0});
}

static void make_head(struct ar_writer *w, const struct ar_response *answer)
{
    struct ar_jw j = ar_jw_on(&w->head);
    struct ar_str id = answer ? answer->id : (struct ar_str){0};
    ar_jw_open(&j, '{');
    ar_jw_key(&j, "id");
    ar_chat_put_id(&w->how, id, &j);
    ar_jw_key_lit(&j, "object", "chat.completion.chunk");
    ar_jw_key_i64(&j, "created", w->how.stamp.now_unix);
    ar_jw_key_text(&j, "model", w->how.model.n || !answer ? w->how.model : answer->model);
    ar_buf_lit(&w->head, ",\"choices\":[");
}

static struct ar_buf *open_chunk(struct ar_writer *w, struct ar_framer *out)
{
    out->how->begin(out, (struct ar_str){0});
    ar_buf_str(out->out, ar_buf_view(&w->head));
    ar_buf_lit(out->out, "{\"index\":0,\"delta\":");
    return out->out;
}

static void close_chunk(struct ar_writer *w, struct ar_framer *out, struct ar_str finish)
{
    struct ar_buf *b = out->out;
    if (finish.n) {
        ar_buf_lit(b, ",\"finish_reason\":\"");
        ar_buf_str(b, finish);
        ar_buf_lit(b, "\"}]");
    } else {
        ar_buf_lit(b, ",\"finish_reason\":null}]");
    }
    if (w->how.include_usage) {
        ar_buf_lit(b, ",\"usage\":null}");
    } else {
        ar_buf_char(b, '}');
    }
    out->how->end(out);
}

/* {"<key>":"<text>"} */
static void put_string(struct ar_writer *w, struct ar_framer *out, struct ar_str before,
                       struct ar_str text, struct ar_str after)
{
    struct ar_buf *b = open_chunk(w, out);
    ar_buf_str(b, before);
    ar_buf_str(b, text);
    ar_buf_str(b, after);
    close_chunk(w, out, (struct ar_str){0});
}

static struct shown *block_at(struct ar_writer *w, unsigned b)
{
    if (b >= BLOCKS_MAX) {
        return NULL;
    }
    if (b >= w->cap) {
        unsigned cap = w->cap ? w->cap : 8;
        while (cap <= b) {
            cap *= 2;
        }
        struct shown *p = realloc(w->blocks, cap * sizeof *p);
        if (!p) {
            return NULL;
        }
        memset(p + w->cap, 0, (cap - w->cap) * sizeof *p);
        w->blocks = p;
        w->cap = cap;
    }
    return &w->blocks[b];
}

/* --- calls
 * --------------------------------------------------------------------------------------------------
 */

static void start_call(struct ar_writer *w, struct shown *s, const struct ar_block *b,
                       struct ar_framer *out)
{
    const char *kind = b->freeform ? "custom" : "function";
    s->call = w->calls++;
    s->freeform = b->freeform;
    s->hidden = w->legacy && s->call > 0; /* the old form has room for one */
    if (s->hidden) {
        return;
    }
    struct ar_jw j = ar_jw_on(open_chunk(w, out));
    ar_jw_open(&j, '{');
    if (w->legacy) {
        ar_jw_key(&j, "function_call");
    } else {
        ar_jw_key(&j, "tool_calls");
        ar_jw_open(&j, '[');
        ar_jw_open(&j, '{');
        ar_jw_key_i64(&j, "index", s->call);
        ar_jw_key_text(&j, "id", b->id);
        ar_jw_key(&j, "type");
        ar_jw_esc(&j, ar_str_of(kind));
        ar_jw_key_n(&j, kind, strlen(kind));
    }
    ar_jw_open(&j, '{');
    ar_jw_key_text(&j, "name", b->name);
    ar_jw_key_n(&j, b->freeform ? "input" : "arguments", b->freeform ? 5 : 9);
    ar_jw_lit(&j, "");
    ar_jw_close(&j, '}');
    if (!w->legacy) {
        if (b->sig && b->sig->vendor == AR_VENDOR_GOOGLE) {
            ar_jw_key(&j, "extra_content");
            ar_jw_open(&j, '{');
            ar_jw_key(&j, "google");
            ar_jw_open(&j, '{');
            ar_jw_key_text(&j, "thought_signature", b->sig->data);
            ar_jw_close(&j, '}');
            ar_jw_close(&j, '}');
        }
        ar_jw_close(&j, '}');
        ar_jw_close(&j, ']');
    }
    ar_jw_close(&j, '}');
    close_chunk(w, out, (struct ar_str){0});
}

static void put_input(struct ar_writer *w, struct shown *s, struct ar_str text,
                      struct ar_framer *out)
{
    if (s->hidden || !text.n) {
        return;
    }
    s->some = true;
    if (w->legacy) {
        put_string(w, out, AR_LIT("{\"function_call\":{\"arguments\":\""), text, AR_LIT("\"}}"));
        return;
    }
    struct ar_buf *b = open_chunk(w, out);
    ar_buf_lit(b, "{\"tool_calls\":[{\"index\":");
    ar_buf_i64(b, s->call);
    ar_buf_str(b, s->freeform ? AR_LIT(",\"custom\":{\"input\":\"")
                              : AR_LIT(",\"function\":{\"arguments\":\""));
    ar_buf_str(b, text);
    ar_buf_lit(b, "\"}}]}");
    close_chunk(w, out, (struct ar_str){0});
}

/* --- content
 * ------------------------------------------------------------------------------------------------
 */

static void put_text(struct ar_writer *w, struct ar_str text, struct ar_framer *out)
{
    if (text.n) {
        w->text = true;
        w->chars += ar_chat_chars(text);
        put_string(w, out, AR_LIT("{\"content\":\""), text, AR_LIT("\"}"));
    }
}

static void put_thinking(struct ar_writer *w, struct shown *s, struct ar_str text,
                         struct ar_framer *out)
{
    if (!text.n) {
        return;
    }
    ar_buf_str(&w->think, text);
    if (!w->hides_thinking) {
        bool joined = !s->some && w->thinking_n > 0;
        put_string(w, out,
                   joined ? AR_LIT("{\"reasoning_content\":\"\\n\\n")
                          : AR_LIT("{\"reasoning_content\":\""),
                   text, AR_LIT("\"}"));
    }
    w->thinking_n += !s->some;
    s->some = true;
}

static void add_detail(struct ar_writer *w, struct ar_str text, const struct ar_opaque *sig)
{
    if (!sig || !sig->data.n) {
        return; /* nobody could read it back */
    }
    struct ar_jw j = ar_jw_on(&w->details);
    j.comma = w->detail_n > 0;
    ar_chat_put_detail(&j, text, sig, w->detail_n++);
}

/* Kept until the text that it belongs to is complete: it covers all of it. */
static void keep_citation(struct ar_writer *w, struct ar_str raw)
{
    if (!w->cites) {
        w->cites_tail = &w->cites;
    }
    ar_name_new(w->a, ar_arena_copy(w->a, raw), &w->cites_tail);
}

static void flush_citations(struct ar_writer *w)
{
    for (; w->cites; w->cites = w->cites->next) {
        struct ar_jw j = ar_jw_on(&w->notes);
        j.comma = w->notes.n > 0;
        ar_chat_put_citation(&j, w->cites->s, w->a, w->block_chars, w->chars);
    }
}

static const struct ar_opaque *copy_sig(struct ar_writer *w, const struct ar_opaque *o)
{
    struct ar_opaque *c = o ? ar_arena_new(w->a, struct ar_opaque) : NULL;
    if (c) {
        *c = *o;
        c->family = ar_arena_copy(w->a, o->family);
        c->account = ar_arena_copy(w->a, o->account);
        c->data = ar_arena_copy(w->a, o->data);
    }
    return c;
}

/* Blocks that this dialect has no place for: said in the comment, except what is silent by rule. */
static void lose(struct ar_writer *w, enum ar_block_kind kind)
{
    if (w->losses &&
        (kind == AR_OPAQUE_ITEM || kind == AR_IMAGE || kind == AR_AUDIO || kind == AR_DOCUMENT)) {
        ar_note(w->losses, AR_DROPPED, "content");
    }
}

static void start_block(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    struct shown *s = block_at(w, ev->b);
    if (!s || !ev->block) {
        return;
    }
    *s = (struct shown){.kind = ev->block->kind};
    switch (s->kind) {
    case AR_TEXT:
        w->block_chars = w->chars;
        break;
    case AR_TOOL_USE:
        start_call(w, s, ev->block, out);
        break;
    case AR_THINKING:
    case AR_REDACTED_THINKING:
        ar_buf_clear(&w->think);
        w->sig = copy_sig(w, ev->block->sig);
        break;
    default:
        lose(w, s->kind);
        break;
    }
}

static void put_delta(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    struct shown *s = ev->b < w->cap ? &w->blocks[ev->b] : NULL;
    if (!s) {
        return;
    }
    switch (ev->delta) {
    case AR_D_TEXT:
        if (s->kind == AR_TEXT) {
            put_text(w, ev->text, out);
        }
        break;
    case AR_D_THINKING:
        put_thinking(w, s, ev->text, out);
        break;
    case AR_D_JSON:
    case AR_D_FREEFORM:
        if (s->kind == AR_TOOL_USE) {
            put_input(w, s, ev->text, out);
        }
        break;
    case AR_D_REFUSAL:
        if (ev->text.n) {
            w->refusal = true;
            put_string(w, out, AR_LIT("{\"refusal\":\""), ev->text, AR_LIT("\"}"));
        }
        break;
    case AR_D_CITATION:
        keep_citation(w, ev->text);
        break;
    case AR_D_SIGNATURE:
        if (s->kind == AR_THINKING || s->kind == AR_REDACTED_THINKING) {
            w->sig = copy_sig(w, ev->opaque);
        }
        break;
    case AR_D_OPAQUE:
        break;
    }
}

static void add_citations(struct ar_writer *w, struct ar_str list)
{
    struct ar_jdoc doc;
    if (list.n && ar_json_parse(list, AR_JSON_DEPTH, w->a, &doc, NULL) == AR_OK) {
        struct ar_jiter it = ar_json_iter(ar_json_root(&doc));
        while (ar_json_next(&it)) {
            keep_citation(w, ar_json_raw(it.val));
        }
    }
}

static void end_block(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    struct shown *s = ev->b < w->cap ? &w->blocks[ev->b] : NULL;
    if (!s) {
        return;
    }
    if (s->kind == AR_TOOL_USE && !s->some && !s->freeform) {
        put_input(w, s, AR_LIT("{}"), out); /* no arguments: the SDKs parse what they get */
    } else if (s->kind == AR_TEXT) {
        add_citations(w, ev->block ? ev->block->citations : (struct ar_str){0});
        flush_citations(w);
    } else if (s->kind == AR_THINKING || s->kind == AR_REDACTED_THINKING) {
        const struct ar_opaque *sig = ev->block && ev->block->sig ? ev->block->sig : w->sig;
        bool whole = ar_buf_finish(&w->think) == AR_OK;
        if (!whole && w->losses) {
            ar_note(w->losses, AR_DROPPED, "reasoning_details");
        } else if (whole) {
            struct ar_str text = w->think.n ? ar_buf_view(&w->think) : AR_LIT("");
            add_detail(w, s->kind == AR_THINKING ? text : (struct ar_str){0}, sig);
        }
        w->sig = NULL;
        ar_buf_clear(&w->think);
    }
}

/* --- the end
 * ------------------------------------------------------------------------------------------------
 */

static void put_usage(struct ar_writer *w, const struct ar_usage *u, struct ar_framer *out)
{
    out->how->begin(out, (struct ar_str){0});
    ar_buf_str(out->out, ar_buf_view(&w->head));
    ar_buf_lit(out->out, "],\"usage\":");
    struct ar_jw j = ar_jw_on(out->out);
    ar_chat_put_usage(u, &j);
    ar_buf_char(out->out, '}');
    out->how->end(out);
}

static const char *finish_of(const struct ar_writer *w, const struct ar_stop *stop)
{
    if (stop->reason == AR_STOP_REFUSAL) {
        return w->text ? "content_filter" : "stop";
    }
    return w->legacy && stop->reason == AR_STOP_TOOL_USE ? "function_call"
                                                         : ar_chat_finish_of(stop->reason);
}

static void put_stop(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    static const struct ar_stop PLAIN = {.reason = AR_STOP_END};
    const struct ar_stop *stop = ev->stop ? ev->stop : &PLAIN;
    if (stop->reason == AR_STOP_REFUSAL && !w->text && !w->refusal) {
        struct ar_str why =
            stop->explanation.n ? stop->explanation : AR_LIT("The model declined to answer.");
        put_string(w, out, AR_LIT("{\"refusal\":\""), why, AR_LIT("\"}"));
    }
    if (w->notes.n && ar_buf_finish(&w->notes) == AR_OK) {
        put_string(w, out, AR_LIT("{\"annotations\":["), ar_buf_view(&w->notes), AR_LIT("]}"));
    }
    bool wanted = !w->how.request || w->how.request->set.logprobs;
    if (wanted && ev->answer && ev->answer->logprobs.n > 0) {
        put_string(w, out, AR_LIT("{},\"logprobs\":"), ev->answer->logprobs, AR_LIT(""));
    }
    struct ar_buf *b = open_chunk(w, out);
    if (w->detail_n && ar_buf_finish(&w->details) == AR_OK) {
        ar_buf_lit(b, "{\"reasoning_details\":[");
        ar_buf_str(b, ar_buf_view(&w->details));
        ar_buf_lit(b, "]}");
    } else {
        ar_buf_lit(b, "{}");
    }
    close_chunk(w, out, ar_str_of(finish_of(w, stop)));
    if (w->how.include_usage) {
        put_usage(w, ev->usage ? ev->usage : &w->usage, out);
    }
}

static void put_end(struct ar_writer *w, struct ar_framer *out)
{
    ar_write_losses(w->losses, w->losses_at, out);
    out->how->begin(out, (struct ar_str){0});
    ar_buf_lit(out->out, "[DONE]");
    out->how->end(out);
}

static void put_error(struct ar_writer *w, const struct ar_fault *f, struct ar_framer *out)
{
    static const struct ar_fault UNKNOWN = {.code = AR_UPSTREAM_ERROR, .retry_after_ms = -1};
    (void)w;
    out->how->begin(out, (struct ar_str){0});
    ar_chat_encode_error(f ? f : &UNKNOWN, (struct ar_str){0}, out->out);
    out->how->end(out);
}

static void put_start(struct ar_writer *w, const struct ar_response *answer, struct ar_framer *out)
{
    if (w->started) {
        return;
    }
    w->started = true;
    make_head(w, answer);
    put_string(w, out, AR_LIT("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}"),
               (struct ar_str){"", 0}, AR_LIT(""));
}

enum ar_code ar_chat_write(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    switch (ev->kind) {
    case AR_EV_START:
        put_start(w, ev->answer, out);
        break;
    case AR_EV_BLOCK_START:
        start_block(w, ev, out);
        break;
    case AR_EV_DELTA:
        put_delta(w, ev, out);
        break;
    case AR_EV_BLOCK_END:
        end_block(w, ev, out);
        break;
    case AR_EV_USAGE:
        if (ev->usage) {
            ar_usage_merge(&w->usage, ev->usage);
        }
        break;
    case AR_EV_STOP:
        put_stop(w, ev, out);
        break;
    case AR_EV_PING:
        ar_chat_write_ping(w, out);
        break;
    case AR_EV_RAW:
        break;
    case AR_EV_WHOLE:
        return ar_write_whole(ar_chat_write, w, ev->answer, out);
    case AR_EV_ERROR:
        put_error(w, ev->fault, out);
        break;
    case AR_EV_END:
        put_end(w, out);
        break;
    }
    return ar_buf_finish(out->out);
}
