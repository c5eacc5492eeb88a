/* Tool calls of a stream, put together from fragments (PROTOCOLS 8.1.2): by index, or by id and
 * order where places send none. A call is shown when its name is known; what came before waits in
 * its own buffer. Calls stay open until the stream ends, because fragments of several may come in
 * turns. */
#include "dialect/chat/stream_read.h"

#include "base/id.h"

#include <stdlib.h>

enum { NO_INDEX = -1, CALLS_MAX = 4096 };

/* --- calls
 * --------------------------------------------------------------------------------------------------
 */

static struct ar_chat_call *add_call(struct ar_reader *r, int64_t index)
{
    if (r->call_n == r->call_cap) {
        unsigned cap = r->call_cap ? r->call_cap * 2 : 4;
        struct ar_chat_call *calls =
            cap <= CALLS_MAX ? realloc(r->calls, cap * sizeof *calls) : NULL;
        if (!calls) {
            ar_queue_fail(&r->queue, AR_TOO_LARGE, "the answer has too many calls");
            return NULL;
        }
        r->calls = calls;
        r->call_cap = cap;
    }
    if (!r->calls) {
        return NULL;
    }
    struct ar_chat_call *c = &r->calls[r->call_n++];
    *c = (struct ar_chat_call){.index = index};
    ar_buf_init(&c->early, r->content_max);
    return c;
}

/* The call that a fragment belongs to. Without an index a new id, or a new name, is a new call; the
 * same index with another id and a name is one too (places that number every call 0). */
static struct ar_chat_call *find_call(struct ar_reader *r, int64_t index, struct ar_str id,
                                      struct ar_str name)
{
    bool joins_names = (r->target->quirks & AR_QUIRK(NAME_FRAGMENTS)) != 0;
    struct ar_chat_call *last = r->call_n ? &r->calls[r->call_n - 1] : NULL;
    if (index == NO_INDEX) {
        for (unsigned i = 0; id.n && i < r->call_n; i++) {
            if (ar_str_is(r->calls[i].id, id)) {
                return &r->calls[i];
            }
        }
        bool fresh = !last || (id.n && last->id.n) || (!id.n && name.n && !joins_names);
        return fresh ? add_call(r, NO_INDEX) : last;
    }
    for (unsigned i = r->call_n; i-- > 0;) {
        struct ar_chat_call *c = &r->calls[i];
        if (c->index == index) {
            bool other = id.n && c->id.n && !ar_str_is(c->id, id) && name.n && !joins_names;
            return other ? add_call(r, index) : c;
        }
    }
    return add_call(r, index);
}

void ar_chat_start_call(struct ar_reader *r, struct ar_chat_call *c)
{
    ar_chat_close_block(r, &r->think_b);
    ar_chat_close_block(r, &r->text_b);
    ar_chat_close_block(r, &r->refusal_b);
    if (!c->id.n) {
        c->id = ar_chat_mint_call(r->answer.id, r->minted++, r->a);
    }
    struct ar_block *b = ar_chat_start_block(r, AR_TOOL_USE, &c->b);
    if (!b) {
        return;
    }
    b->id = c->id;
    b->name = c->name;
    b->freeform = c->freeform;
    b->sig = c->sig;
    c->started = true;
    r->seen.calls = true;
    if (c->early.n) {
        ar_chat_put_delta(r, c->b, c->freeform ? AR_D_FREEFORM : AR_D_JSON, ar_buf_view(&c->early));
    }
}

static struct ar_str read_arguments(struct ar_reader *r, struct ar_jval v)
{
    if (ar_json_is(v, AR_J_OBJECT) || ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_escape_in(ar_json_raw(v), r->a);
    }
    return ar_json_esc(v);
}

static void feed_call(struct ar_reader *r, struct ar_chat_call *c, struct ar_str id,
                      struct ar_str name, struct ar_str input)
{
    bool joins_names = (r->target->quirks & AR_QUIRK(NAME_FRAGMENTS)) != 0;
    if (!c->id.n && id.n) {
        c->id = ar_arena_copy(r->a, id);
    }
    if (!c->started && name.n && !c->name.n) {
        c->name = ar_arena_copy(r->a, name);
    } else if (!c->started && name.n && joins_names) {
        c->name = ar_arena_fmt(r->a, "%.*s%.*s", AR_FMT(c->name), AR_FMT(name));
    }
    if (!c->started && c->name.n && (input.n || (c->id.n && !joins_names))) {
        ar_chat_start_call(r, c);
    }
    if (!input.n || r->queue.ended) {
        return;
    }
    if (c->started) {
        ar_chat_put_delta(r, c->b, c->freeform ? AR_D_FREEFORM : AR_D_JSON, input);
        return;
    }
    ar_buf_str(&c->early, input);
    if (ar_buf_finish(&c->early) != AR_OK) {
        ar_queue_fail(&r->queue, AR_TOO_LARGE, "a call's arguments are too large");
    }
}

void ar_chat_read_call(struct ar_reader *r, struct ar_jval v, int64_t index)
{
    struct ar_jval custom = ar_json_get_lit(v, "custom");
    bool freeform = ar_json_is(custom, AR_J_OBJECT);
    struct ar_jval f = freeform                        ? custom
                       : index == AR_CHAT_LEGACY_INDEX ? v
                                                       : ar_json_get_lit(v, "function");
    struct ar_str id = ar_member_text_lit(r->a, v, "id");
    struct ar_str name = ar_member_text_lit(r->a, f, "name");
    struct ar_chat_call *c = find_call(r, index, id, name);
    if (!c) {
        return;
    }
    c->freeform |= freeform;
    struct ar_opaque *sig = ar_chat_read_extra(r->a, v, r->target);
    if (sig && !c->started) {
        c->sig = sig;
    } else if (sig && !c->sig) {
        c->sig = sig;
        ar_queue_put(&r->queue,
                     (struct ar_event){
                         .kind = AR_EV_DELTA, .delta = AR_D_SIGNATURE, .b = c->b, .opaque = sig});
    }
    feed_call(r, c, id, name,
              read_arguments(r, ar_json_get(f, freeform ? AR_LIT("input") : AR_LIT("arguments"))));
}

void ar_chat_read_calls(struct ar_reader *r, struct ar_jval calls)
{
    struct ar_jiter it = ar_json_iter(calls);
    while (ar_json_next(&it) && !r->queue.ended) {
        int64_t index = NO_INDEX;
        if (ar_json_i64(ar_json_get_lit(it.val, "index"), &index, NULL) != AR_OK || index < 0) {
            index = NO_INDEX;
        }
        ar_chat_read_call(r, it.val, index);
    }
}
