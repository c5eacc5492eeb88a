/* Whole answers of an upstream: IR of all candidates, and the observer of native ones, which reads
 * how it ended and what it cost. An answer has the form of a stream's chunk, so the stream reader
 * reads it and its events are put together here: the same content gives the same blocks either way
 * (PROTOCOLS 8.7). Owns nothing. */
#include "dialect/gemini/stream_read.h"

#include "ir/copy.h"

static void nonsense(struct ar_fault *f, const char *why)
{
    *f = (struct ar_fault){.code = AR_UPSTREAM_ERROR,
                           .blame = AR_OF_PLACE,
                           .upstream_status = 200,
                           .retry_after_ms = -1,
                           .message = ar_str_of(why)};
}

/* --- logprobs --- */

static void put_token(struct ar_jw *w, struct ar_jval v)
{
    struct ar_jval p = ar_json_get_lit(v, "logProbability");
    struct ar_str token = ar_json_esc(ar_json_get_lit(v, "token"));
    ar_jw_key_esc(w, "token", token.p ? token : AR_LIT(""));
    ar_jw_key_raw(w, "logprob", ar_json_is(p, AR_J_NUMBER) ? ar_json_raw(p) : AR_LIT("0"));
    ar_jw_key_null(w, "bytes");
}

struct ar_str ar_gemini_read_logprobs(struct ar_jval result, struct ar_arena *a)
{
    struct ar_buf out;
    struct ar_jval top = ar_json_get_lit(result, "topCandidates");
    uint32_t i = 0;
    ar_buf_init(&out, a->max_bytes);
    struct ar_jw w = ar_jw_on(&out);
    ar_jw_open(&w, '{');
    ar_jw_key(&w, "content");
    ar_jw_open(&w, '[');
    struct ar_jiter tops = ar_json_iter(top);
    for (struct ar_jiter it = ar_json_iter(ar_json_get_lit(result, "chosenCandidates"));
         ar_json_next(&it); i++) {
        ar_jw_open(&w, '{');
        put_token(&w, it.val);
        ar_jw_key(&w, "top_logprobs");
        ar_jw_open(&w, '[');
        if (ar_json_next(&tops)) {
            struct ar_jval list = ar_json_get_lit(tops.val, "candidates");
            for (struct ar_jiter k = ar_json_iter(list); ar_json_next(&k);) {
                ar_jw_open(&w, '{');
                put_token(&w, k.val);
                ar_jw_close(&w, '}');
            }
        }
        ar_jw_close(&w, ']');
        ar_jw_close(&w, '}');
    }
    ar_jw_close(&w, ']');
    ar_jw_key_null(&w, "refusal");
    ar_jw_close(&w, '}');
    struct ar_str text = i > 0 && ar_buf_finish(&out) == AR_OK ? ar_arena_copy(a, ar_buf_view(&out))
                                                               : (struct ar_str){NULL, 0};
    ar_buf_done(&out);
    return text;
}

/* --- events put together --- */

struct build {
    struct ar_arena *a;
    struct ar_block **tail, *last;
    struct ar_name *cites, **cites_tail; /* of the last block */
};

/* Citations of the block that ends, as one list. */
static void finish_block(struct build *s)
{
    struct ar_buf out;
    if (!s->cites || !s->last) {
        return;
    }
    ar_buf_init(&out, s->a->max_bytes);
    struct ar_jw w = ar_jw_on(&out);
    ar_jw_open(&w, '[');
    for (const struct ar_name *n = s->cites; n; n = n->next) {
        ar_jw_raw(&w, n->s);
    }
    ar_jw_close(&w, ']');
    s->last->citations = ar_arena_copy(s->a, ar_buf_view(&out));
    ar_buf_done(&out);
    s->cites = NULL;
}

static void take_delta(struct build *s, const struct ar_event *ev)
{
    struct ar_block *b = s->last;
    if (ev->delta == AR_D_SIGNATURE) {
        b->sig = ar_copy_opaque(ev->opaque, s->a);
    } else if (ev->delta == AR_D_CITATION) {
        if (!s->cites) {
            s->cites_tail = &s->cites;
        }
        ar_name_new(s->a, ev->text, &s->cites_tail);
    } else {
        b->text = b->text.n > 0 ? ar_arena_join(s->a, b->text, ev->text) : ev->text;
    }
}

/* true: it was the error. */
static bool take_event(struct build *s, const struct ar_event *ev, struct ar_fault *ret_fault)
{
    switch (ev->kind) {
    case AR_EV_BLOCK_START:
        s->last = ar_block_new(s->a, ev->block->kind, &s->tail);
        if (s->last) {
            struct ar_block *next = s->last->next;
            *s->last = *ev->block;
            s->last->next = next;
            bool text = ev->block->kind == AR_TEXT || ev->block->kind == AR_THINKING;
            s->last->text = text ? AR_LIT("") : (struct ar_str){NULL, 0};
        }
        break;
    case AR_EV_DELTA:
        if (s->last) {
            take_delta(s, ev);
        }
        break;
    case AR_EV_BLOCK_END:
        finish_block(s);
        break;
    case AR_EV_ERROR:
        *ret_fault = *ev->fault;
        return true;
    default:
        break;
    }
    return false;
}

/* A whole answer on its way into the IR; or all chunks of a stream in the array that comes without
 * alt=sse. */
struct whole {
    const struct ar_read_how *how;
    struct ar_str body;
    struct ar_arena *a;
    struct ar_jdoc doc;
    struct ar_fault *fault;
};

/* One candidate. ret: arena. */
static enum ar_code read_candidate(struct whole *w, uint32_t index, struct ar_response **ret)
{
    struct ar_read_how plain = w->how ? *w->how : (struct ar_read_how){0};
    struct ar_event ev;
    plain.relay = false;
    struct ar_reader *rd = ar_gemini_reader_new(&plain, w->a);
    struct ar_response *r = ar_arena_new(w->a, struct ar_response);
    if (!rd || !r) {
        return AR_TOO_LARGE;
    }
    struct build s = {.a = w->a, .tail = &r->blocks};
    bool failed = false;
    rd->whole = true;
    rd->candidate = index;
    struct ar_jval root = ar_json_root(&w->doc);
    struct ar_jiter chunks = ar_json_iter(root);
    if (!ar_json_is(root, AR_J_ARRAY)) {
        ar_gemini_read_chunk(rd, root, w->body);
    }
    while (ar_json_is(root, AR_J_ARRAY) && !rd->queue.ended && ar_json_next(&chunks)) {
        ar_gemini_read_chunk(rd, chunks.val, ar_json_raw(chunks.val));
    }
    if (!rd->queue.ended) {
        ar_gemini_end_answer(rd);
    }
    while (ar_gemini_read_next(rd, &ev)) {
        failed = take_event(&s, &ev, w->fault) || failed;
    }
    struct ar_block *blocks = r->blocks;
    *r = rd->answer;
    r->blocks = blocks;
    r->stop = rd->stop;
    r->has_stop = rd->finish.n > 0 || rd->blocked.n > 0;
    r->usage = rd->usage;
    ar_gemini_reader_done(rd);
    *ret = r;
    return failed ? w->fault->code : ar_arena_finish(w->a);
}

/* The members of an answer, or why it is none. */
static enum ar_code open_answer(struct whole *w, struct ar_jval ret[AR_C_COUNT])
{
    enum ar_code code = ar_json_parse(w->body, AR_JSON_DEPTH, w->a, &w->doc, NULL);
    if (code != AR_OK || !ar_gemini_pick_chunk(ar_json_root(&w->doc), ret)) {
        nonsense(w->fault, "the upstream's answer is not a JSON object");
        return code == AR_TOO_LARGE ? code : AR_UPSTREAM_ERROR;
    }
    if (!ar_json_is_nil(ret[AR_C_ERROR])) {
        ar_gemini_decode_error(200, w->body, w->a, w->fault);
        return w->fault->code;
    }
    if (ar_json_count(ret[AR_C_CANDIDATES]) == 0 &&
        ar_json_is_nil(ar_json_get_lit(ret[AR_C_FEEDBACK], "blockReason"))) {
        nonsense(w->fault, "the upstream's answer is empty");
        return AR_UPSTREAM_ERROR;
    }
    return AR_OK;
}

static enum ar_code finish(struct whole *w, enum ar_code code)
{
    if (code == AR_TOO_LARGE) {
        *w->fault = (struct ar_fault){.code = code, .blame = AR_OF_US, .retry_after_ms = -1};
    }
    return code;
}

enum ar_code ar_gemini_decode_response(struct ar_str body, const struct ar_read_how *how,
                                       struct ar_arena *a, struct ar_response **ret,
                                       struct ar_fault *ret_fault)
{
    enum { CANDIDATES_MAX = 16 };
    struct ar_jval c[AR_C_COUNT];
    struct whole w = {.how = how, .body = body, .a = a, .fault = ret_fault};
    enum ar_code code = open_answer(&w, c);
    uint32_t n = code == AR_OK ? ar_json_count(c[AR_C_CANDIDATES]) : 0;
    struct ar_response **next = ret;
    for (uint32_t i = 0; code == AR_OK && (i == 0 || i < n) && i < CANDIDATES_MAX; i++) {
        code = read_candidate(&w, i, next);
        if (code != AR_OK && i > 0) { /* one that failed beside one that did not */
            *next = NULL;
            return ar_arena_finish(a);
        }
        next = code == AR_OK ? &(*next)->more : next;
    }
    return finish(&w, code);
}

enum ar_code ar_gemini_observe(struct ar_str body, struct ar_arena *a, struct ar_response *ret,
                               struct ar_fault *ret_fault)
{
    struct ar_jval c[AR_C_COUNT];
    struct ar_event ev;
    struct ar_str none = AR_LIT("");
    struct whole w = {.body = body, .a = a, .fault = ret_fault};
    enum ar_code code = open_answer(&w, c);
    struct ar_reader *rd = code == AR_OK ? ar_gemini_reader_new(NULL, a) : NULL;
    if (!rd) {
        return finish(&w, code == AR_OK ? AR_TOO_LARGE : code);
    }
    rd->whole = rd->committed = true; /* nothing is shown */
    struct ar_jval root = ar_json_root(&w.doc);
    struct ar_jiter chunks = ar_json_iter(root);
    bool in_array = ar_json_is(root, AR_J_ARRAY);
    for (bool more = true; more;) {
        if (!in_array || (ar_json_next(&chunks) && ar_gemini_pick_chunk(chunks.val, c))) {
            ar_gemini_note_start(rd, c);
            (void)ar_gemini_note_usage(rd, c[AR_C_USAGE]);
            ar_gemini_note_feedback(rd, c[AR_C_FEEDBACK]);
            ar_gemini_note_candidate(rd, ar_gemini_candidate(rd, c[AR_C_CANDIDATES]), &none);
        }
        more = in_array && chunks.at < chunks.end;
    }
    if (ar_gemini_settle_stop(rd)) {
        *ret = rd->answer;
        ret->stop = rd->stop;
        ret->usage = rd->usage;
        ret->has_stop = rd->finish.n > 0 || rd->blocked.n > 0;
    } else if (ar_gemini_read_next(rd, &ev)) {
        *ret_fault = *ev.fault;
        code = ret_fault->code;
    }
    ar_gemini_reader_done(rd);
    return finish(&w, code);
}
