/* Events -> Responses stream (PROTOCOLS 8.3). Decides which output item a block speaks in: texts
 * that follow each other share a message, thinking is a reasoning item, a call is an item of the
 * kind that the client's tool list has for its name. An item begins with the first thing that it
 * shows, and its place is its place in the output from then on; several may be open at once. A
 * message is closed late, because the next text may join it. The stream ends by one event with the
 * whole response, and never by a clean one without a stop. Owns its arena, the buffers of open
 * items and the finished items. */
#include "dialect/responses/answer_write.h"

#include "base/id.h"
#include "ir/copy.h"

struct ar_writer *ar_responses_writer_new(const struct ar_write_how *how, struct ar_losses *l,
                                          struct ar_arena *a)
{
    struct ar_writer *w = ar_arena_new(a, struct ar_writer);
    if (!w) {
        return NULL;
    }
    w->request = how->request;
    w->model = how->model;
    w->stamp = how->stamp;
    w->losses = l;
    w->losses_at = l ? l->n : 0;
    memcpy(w->id, "resp_", 5);
    ar_id_hex(how->stamp.seed, "response", 0, 48, w->id + 5);
    w->shows_thinking = !how->request || how->request->set.show == AR_SHOW_SUMMARY;
    ar_arena_init(&w->a, (size_t)4 * AR_RESPONSES_TEXT_MAX);
    ar_buf_init(&w->echo, AR_RESPONSES_TEXT_MAX);
    ar_buf_init(&w->done, AR_RESPONSES_TEXT_MAX);
    ar_buf_init(&w->spans, AR_RESPONSES_TEXT_MAX);
    ar_buf_init(&w->scratch, AR_RESPONSES_TEXT_MAX);
    ar_usage_clear(&w->usage);
    return w;
}

void ar_responses_writer_done(struct ar_writer *w)
{
    if (!w) {
        return;
    }
    for (struct ar_responses_out *o = w->open; o; o = o->next) {
        ar_buf_done(&o->text);
        ar_buf_done(&o->parts);
        ar_buf_done(&o->notes);
    }
    w->open = NULL;
    ar_buf_done(&w->echo);
    ar_buf_done(&w->done);
    ar_buf_done(&w->spans);
    ar_buf_done(&w->scratch);
    ar_arena_done(&w->a);
}

static void put_state(struct ar_writer *w, struct ar_str name, const char *status,
                      const struct ar_fault *fault, struct ar_framer *out)
{
    struct ar_jw j = ar_responses_open_frame(out, name);
    ar_jw_key(&j, "response");
    ar_responses_put_response(w, &j, status, fault);
    ar_responses_close_frame(w, out, &j);
}

/* Resets the idle timer of agents, which comments do not. */
void ar_responses_write_ping(struct ar_writer *w, struct ar_framer *out)
{
    put_state(w, AR_LIT("response.in_progress"), "in_progress", NULL, out);
}

/* --- blocks and items --- */

static struct ar_responses_live *find(struct ar_writer *w, unsigned b)
{
    struct ar_responses_live *v = w->live;
    while (v && v->b != b) {
        v = v->next;
    }
    return v;
}

static struct ar_responses_live *add_live(struct ar_writer *w, unsigned b,
                                          const struct ar_block *block)
{
    struct ar_responses_live *v = w->spare_live;
    struct ar_block *meta = ar_arena_new(&w->a, struct ar_block);
    if (v) {
        w->spare_live = v->next;
    } else {
        v = ar_arena_new(&w->a, struct ar_responses_live);
    }
    if (!v || !meta) {
        return NULL;
    }
    meta->item_id = ar_copy_str(block->item_id, &w->a);
    meta->phase = ar_copy_str(block->phase, &w->a);
    *v = (struct ar_responses_live){.next = w->live, .b = b, .kind = block->kind, .meta = meta};
    v->sig = ar_copy_opaque(block->sig, &w->a);
    v->cites_tail = &v->cites;
    w->live = v;
    return v;
}

static void drop_live(struct ar_writer *w, struct ar_responses_live *v)
{
    struct ar_responses_live **link = &w->live;
    while (*link != v) {
        link = &(*link)->next;
    }
    *link = v->next;
    v->next = w->spare_live;
    w->spare_live = v;
}

static void finish(struct ar_writer *w, struct ar_responses_out *o, struct ar_framer *out)
{
    ar_responses_finish_item(w, o, false, (struct ar_str){0}, out);
}

/* A call that has ended without a whole input may have been cut: what follows tells. */
static bool may_be_cut(const struct ar_responses_out *o)
{
    struct ar_arena a;
    struct ar_jdoc doc;
    if (o->kind == AR_RW_CUSTOM || o->text.n == 0) {
        return true;
    }
    ar_arena_init(&a, 16 * o->text.n + 65536);
    struct ar_str input = ar_json_unescape_in(ar_buf_view(&o->text), &a);
    bool is_whole = input.p && ar_json_parse(input, 1, &a, &doc, NULL) == AR_OK;
    ar_arena_done(&a);
    return !is_whole;
}

/* Something else follows: the call was complete. */
static void release(struct ar_writer *w, struct ar_framer *out)
{
    if (w->held) {
        finish(w, w->held, out);
        w->held = NULL;
    }
}

/* Another item comes: a message that nothing is added to any more is closed. */
static void settle(struct ar_writer *w, struct ar_framer *out)
{
    struct ar_responses_out *o = w->newest;
    if (o && o->kind == AR_RW_MESSAGE && o->open_blocks == 0) {
        finish(w, o, out);
    }
}

static bool may_join(const struct ar_responses_out *o, const struct ar_block *meta)
{
    return o && o->kind == AR_RW_MESSAGE && ar_str_is(o->phase, meta->phase) &&
           (meta->item_id.n == 0 || ar_str_is(o->from_id, meta->item_id));
}

/* The item that the block speaks in from now on; NULL: no memory. */
static struct ar_responses_out *attach(struct ar_writer *w, struct ar_responses_live *v,
                                       struct ar_framer *out)
{
    bool is_thought = v->kind == AR_THINKING || v->kind == AR_REDACTED_THINKING;
    if (!is_thought && may_join(w->newest, v->meta)) {
        v->item = w->newest;
    } else {
        settle(w, out);
        v->item = ar_responses_open_item(w, is_thought ? AR_RW_REASONING : AR_RW_MESSAGE,
                                         AR_NATIVE_NONE, v->meta->item_id);
        if (!v->item) {
            return NULL;
        }
        v->item->phase = v->meta->phase;
        v->item->from_id = v->meta->item_id;
        if (v->kind == AR_TEXT) {
            v->item->logprobs = w->logprobs;
            w->logprobs = (struct ar_str){0};
        }
        ar_responses_show_item(w, v->item, out);
    }
    v->item->open_blocks++;
    v->from = v->kind == AR_TEXT && v->item->part == AR_RW_TEXT ? v->item->text.n : 0;
    return v->item;
}

/* --- calls --- */

/* The client's tool of that name. A model may leave a namespace out: its member by the bare name
 * is the second choice. */
static const struct ar_tool *find_tool(const struct ar_request *r, struct ar_str name)
{
    const struct ar_tool *member = NULL;
    for (const struct ar_tool *t = r ? r->tools : NULL; t; t = t->next) {
        if (t->kind != AR_TOOL_SERVER && ar_str_is(t->name, name)) {
            return t;
        }
        if (!member && t->ns.n > 0 && ar_str_is(ar_responses_bare_name(t->ns, t->name), name)) {
            member = t;
        }
    }
    return member;
}

/* A thought signature of Gemini's travels in a reasoning item of its own before the call. */
static bool put_thought(struct ar_writer *w, const struct ar_opaque *sig, struct ar_framer *out)
{
    if (w->request && !w->request->set.want_encrypted) {
        return true;
    }
    struct ar_responses_out *o =
        ar_responses_open_item(w, AR_RW_REASONING, AR_NATIVE_NONE, (struct ar_str){0});
    if (o) {
        o->sig = sig;
        ar_responses_show_item(w, o, out);
        finish(w, o, out);
    }
    return o != NULL;
}

static enum ar_code begin_call(struct ar_writer *w, struct ar_responses_live *v,
                               const struct ar_block *b, struct ar_framer *out)
{
    const struct ar_tool *t = find_tool(w->request, b->name);
    enum ar_native native = b->native != AR_NATIVE_NONE ? b->native
                            : t && !b->freeform         ? t->native
                                                        : AR_NATIVE_NONE;
    char id[40] = "call_";
    settle(w, out);
    if (v->sig && v->sig->form == AR_THOUGHT_SIG && !put_thought(w, v->sig, out)) {
        return AR_TOO_LARGE;
    }
    enum ar_responses_kind kind = b->freeform                ? AR_RW_CUSTOM
                                  : native != AR_NATIVE_NONE ? AR_RW_NATIVE
                                                             : AR_RW_FUNCTION;
    struct ar_responses_out *o = ar_responses_open_item(w, kind, native, v->meta->item_id);
    if (!o) {
        return AR_TOO_LARGE;
    }
    if (b->id.n == 0) {
        ar_id_base62(w->stamp.seed, "call", o->index, 22, id + 5);
    }
    o->call_id = ar_arena_copy(&w->a, b->id.n > 0 ? b->id : ar_str_of(id));
    o->name = ar_arena_copy(&w->a, b->name);
    o->ns = b->ns.n > 0 ? ar_arena_copy(&w->a, b->ns) : t ? t->ns : (struct ar_str){0};
    o->open_blocks = 1;
    v->item = o;
    w->said = true;
    if (kind != AR_RW_NATIVE) {
        ar_responses_show_item(w, o, out);
    }
    return ar_arena_finish(&w->a);
}

/* --- searches --- */

static enum ar_code begin_search(struct ar_writer *w, struct ar_responses_live *v,
                                 struct ar_framer *out)
{
    settle(w, out);
    struct ar_responses_out *o =
        ar_responses_open_item(w, AR_RW_SEARCH, AR_NATIVE_NONE, v->meta->item_id);
    if (!o) {
        return AR_TOO_LARGE;
    }
    o->open_blocks = 1;
    v->item = o;
    ar_responses_show_item(w, o, out);
    return AR_OK;
}

/* A result has come: the oldest search that waits for one has it. */
static void end_search(struct ar_writer *w, struct ar_str raw, struct ar_framer *out)
{
    struct ar_responses_out *o = w->open;
    while (o && o->kind != AR_RW_SEARCH) {
        o = o->next;
    }
    if (o) {
        ar_responses_finish_item(w, o, false, ar_responses_sources(w, raw), out);
        for (struct ar_responses_live *v = w->live; v; v = v->next) {
            v->item = v->item == o ? NULL : v->item;
        }
    }
}

/* --- events --- */

static enum ar_code on_block_start(struct ar_writer *w, const struct ar_event *ev,
                                   struct ar_framer *out)
{
    const struct ar_block *b = ev->block;
    struct ar_responses_live *v = b ? add_live(w, ev->b, b) : NULL;
    release(w, out);
    if (!v) {
        return b ? AR_TOO_LARGE : AR_OK;
    }
    bool is_ours = b->vendor == AR_VENDOR_OPENAI && b->raw.n > 0;
    switch (b->kind) {
    case AR_TEXT:
    case AR_REFUSAL:
    case AR_THINKING:
    case AR_REDACTED_THINKING:
        return AR_OK;
    case AR_TOOL_USE:
        return begin_call(w, v, b, out);
    case AR_SERVER_TOOL_RESULT:
        end_search(w, b->raw, out);
        return AR_OK;
    default:
        break;
    }
    if (b->kind >= AR_SERVER_TOOL_USE && is_ours) {
        settle(w, out);
        ar_responses_pass_item(w, b->raw, out);
    } else if (b->kind == AR_SERVER_TOOL_USE) {
        return ar_str_is_lit(b->name, "web_search") ? begin_search(w, v, out) : AR_OK;
    } else if (w->losses) {
        ar_note(w->losses, AR_DROPPED, "content");
    }
    return AR_OK;
}

static enum ar_code put_text(struct ar_writer *w, struct ar_responses_live *v,
                             enum ar_responses_part part, struct ar_str esc, struct ar_framer *out)
{
    struct ar_responses_out *o = v->item ? v->item : attach(w, v, out);
    if (!o) {
        return AR_TOO_LARGE;
    }
    w->refused = w->refused || part == AR_RW_REFUSAL;
    w->said = w->said || part != AR_RW_SUMMARY;
    ar_responses_put_text(w, o, part, esc, out);
    return ar_buf_finish(&o->text);
}

static enum ar_code on_delta(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    struct ar_responses_live *v = w->live && w->live->b == ev->b ? w->live : find(w, ev->b);
    if (!v) {
        return AR_OK;
    }
    release(w, out);
    bool is_thought = v->kind == AR_THINKING || v->kind == AR_REDACTED_THINKING;
    bool is_said = v->kind == AR_TEXT || v->kind == AR_REFUSAL;
    switch (ev->delta) {
    case AR_D_TEXT:
    case AR_D_REFUSAL:
        return is_said && ev->text.n > 0
                   ? put_text(w, v, ev->delta == AR_D_TEXT ? AR_RW_TEXT : AR_RW_REFUSAL, ev->text,
                              out)
                   : AR_OK;
    case AR_D_THINKING:
        return is_thought && w->shows_thinking && ev->text.n > 0
                   ? put_text(w, v, AR_RW_SUMMARY, ev->text, out)
                   : AR_OK;
    case AR_D_JSON:
    case AR_D_FREEFORM:
        if (v->item && v->item->kind >= AR_RW_FUNCTION) {
            ar_responses_put_input(w, v->item, ev->text, out);
            return ar_buf_finish(&v->item->text);
        }
        return AR_OK;
    case AR_D_SIGNATURE:
        v->sig = ev->opaque ? ar_copy_opaque(ev->opaque, &w->a) : v->sig;
        return AR_OK;
    case AR_D_CITATION:
        ar_name_new(&w->a, ar_arena_copy(&w->a, ev->text), &v->cites_tail);
        return AR_OK;
    case AR_D_OPAQUE:
        return AR_OK;
    }
    return AR_OK;
}

static void end_thinking(struct ar_writer *w, struct ar_responses_live *v, struct ar_framer *out)
{
    bool has_sig = v->sig && v->sig->data.n > 0;
    struct ar_responses_out *o = v->item || !has_sig ? v->item : attach(w, v, out);
    if (o) {
        o->sig = v->sig;
        finish(w, o, out);
    }
}

static void on_block_end(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    struct ar_responses_live *v = find(w, ev->b);
    if (!v) {
        return;
    }
    if (ev->block && ev->block->sig) {
        v->sig = ar_copy_opaque(ev->block->sig, &w->a);
    }
    struct ar_responses_out *o = v->item;
    if (v->kind == AR_THINKING || v->kind == AR_REDACTED_THINKING) {
        end_thinking(w, v, out);
    } else if (v->kind == AR_TOOL_USE && o) {
        release(w, out);
        w->held = o;
        if (!may_be_cut(o)) {
            release(w, out);
        }
    } else if (o) {
        ar_responses_put_notes(w, v, ev->block, out);
        o->open_blocks--;
        if (o->kind == AR_RW_MESSAGE && o->open_blocks == 0 && o != w->newest) {
            finish(w, o, out);
        }
    }
    drop_live(w, v);
}

/* The list in {"content": [...]}, if the client asked for it; only a whole answer has one. */
static struct ar_str logprobs_of(struct ar_writer *w, struct ar_str raw)
{
    struct ar_jdoc doc;
    bool wanted = !w->request || w->request->set.logprobs;
    if (!wanted || raw.n == 0 || ar_json_parse(raw, AR_JSON_DEPTH, &w->a, &doc, NULL) != AR_OK) {
        return (struct ar_str){0};
    }
    struct ar_jval list = ar_json_get_lit(ar_json_root(&doc), "content");
    return ar_json_is(list, AR_J_ARRAY) ? ar_copy_str(ar_json_raw(list), &w->a)
                                        : (struct ar_str){0};
}

static enum ar_code on_start(struct ar_writer *w, const struct ar_response *answer,
                             struct ar_framer *out)
{
    struct ar_str id = answer ? answer->id : (struct ar_str){0};
    if (w->started) {
        return AR_OK;
    }
    w->started = true;
    if (id.n > 5 && id.n < sizeof w->id && ar_str_has_prefix(id, AR_LIT("resp_"))) {
        memcpy(w->id, id.p, id.n);
        w->id[id.n] = '\0';
    }
    if (answer) {
        w->service_tier = ar_copy_str(answer->service_tier, &w->a);
        w->logprobs = logprobs_of(w, answer->logprobs);
        ar_usage_merge(&w->usage, &answer->usage);
    }
    ar_responses_make_echo(w->request, &w->echo);
    if (!w->quiet) {
        put_state(w, AR_LIT("response.created"), "in_progress", NULL, out);
        put_state(w, AR_LIT("response.in_progress"), "in_progress", NULL, out);
    }
    return ar_buf_finish(&w->echo);
}

/* The model declined and said nothing: its reason is the answer. */
static enum ar_code put_refusal(struct ar_writer *w, struct ar_framer *out)
{
    struct ar_block none = {.kind = AR_REFUSAL};
    struct ar_responses_live *v = add_live(w, UINT32_MAX, &none);
    struct ar_str why =
        w->stop.explanation.n > 0 ? w->stop.explanation : AR_LIT("The model declined to answer.");
    return v ? put_text(w, v, AR_RW_REFUSAL, why, out) : AR_TOO_LARGE;
}

static enum ar_code on_stop(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    enum ar_code code = AR_OK;
    if (ev->stop) {
        w->stop = ar_copy_stop(ev->stop, &w->a);
    }
    if (ev->usage) {
        ar_usage_merge(&w->usage, ev->usage);
    }
    if (w->stop.reason == AR_STOP_REFUSAL && !w->said) {
        code = put_refusal(w, out);
    }
    bool is_cut = ar_str_is_lit(ar_str_of(ar_responses_status(w)), "incomplete");
    w->held = NULL;
    if (ev->answer && w->newest && w->newest->kind == AR_RW_MESSAGE && !w->newest->logprobs.n) {
        w->newest->logprobs = logprobs_of(w, ev->answer->logprobs);
    }
    while (w->open) {
        ar_responses_finish_item(w, w->open, is_cut, (struct ar_str){0}, out);
    }
    w->stopped = true;
    return code;
}

static void on_error(struct ar_writer *w, const struct ar_fault *fault, struct ar_framer *out)
{
    static const struct ar_fault UNKNOWN = {.code = AR_INTERNAL, .retry_after_ms = -1};
    release(w, out);
    put_state(w, AR_LIT("response.failed"), "failed", fault ? fault : &UNKNOWN, out);
    out->how->finish(out);
    w->failed = true;
}

static void on_end(struct ar_writer *w, struct ar_framer *out)
{
    if (!w->stopped) { /* never a clean end without a reason */
        static const struct ar_fault CUT = {.code = AR_UPSTREAM_TRUNCATED, .retry_after_ms = -1};
        on_error(w, &CUT, out);
        return;
    }
    const char *status = ar_responses_status(w);
    bool is_complete = ar_str_is_lit(ar_str_of(status), "completed");
    ar_write_losses(w->losses, w->losses_at, out);
    put_state(w, is_complete ? AR_LIT("response.completed") : AR_LIT("response.incomplete"), status,
              NULL, out);
    out->how->finish(out);
}

enum ar_code ar_responses_write(struct ar_writer *w, const struct ar_event *ev,
                                struct ar_framer *out)
{
    enum ar_code code = AR_OK;
    if (w->failed) {
        return AR_OK;
    }
    w->seq = w->seq > 0 ? w->seq : out->count; /* frames that were relayed had numbers too */
    switch (ev->kind) {
    case AR_EV_START:
        code = on_start(w, ev->answer, out);
        break;
    case AR_EV_BLOCK_START:
        code = on_block_start(w, ev, out);
        break;
    case AR_EV_DELTA:
        code = on_delta(w, ev, out);
        break;
    case AR_EV_BLOCK_END:
        on_block_end(w, ev, out);
        break;
    case AR_EV_USAGE:
        if (ev->usage) {
            ar_usage_merge(&w->usage, ev->usage);
        }
        break;
    case AR_EV_STOP:
        code = on_stop(w, ev, out);
        break;
    case AR_EV_WHOLE:
        code = ar_write_whole(ar_responses_write, w, ev->answer, out);
        break;
    case AR_EV_ERROR:
        on_error(w, ev->fault, out);
        break;
    case AR_EV_END:
        on_end(w, out);
        break;
    case AR_EV_PING:
    case AR_EV_RAW:
        break;
    }
    if (code == AR_OK) {
        code = ar_buf_finish(&w->done);
    }
    if (code == AR_OK) {
        code = ar_arena_finish(&w->a);
    }
    return code == AR_OK && !w->quiet ? ar_buf_finish(out->out) : code;
}
