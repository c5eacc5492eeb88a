/* Output items on a stream -> blocks (PROTOCOLS 8.1, Responses reader). A block opens with the
 * first thing that it shows and closes when its item is done, which also brings what no delta told:
 * a text's missing end, an input, citations, the material of reasoning. How much was shown is
 * counted in UTF-16 units, because a delta may spell a character otherwise than the whole text
 * does. Texts are spans of the frame. Owns the list of items. */
#include "dialect/responses/stream_read.h"

#include <stdlib.h>

/* --- how much was shown --- */

/* The unit at s, in bytes of escaped text; *ret_units: 2 for four bytes of UTF-8. */
static size_t unit_at(struct ar_str s, unsigned *ret_units)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c == '\\'  ? (s.n > 1 && s.p[1] == 'u' ? 6 : 2)
               : c < 0x80 ? 1
               : c < 0xe0 ? 2
               : c < 0xf0 ? 3
                          : 4;
    *ret_units = n == 4 ? 2 : 1;
    return n < s.n ? n : s.n;
}

static size_t count_units(struct ar_str s)
{
    size_t units = 0;
    while (s.n > 0) {
        unsigned u;
        s = ar_str_from(s, unit_at(s, &u));
        units += u;
    }
    return units;
}

/* s without its first units. */
static struct ar_str after(struct ar_str s, size_t units)
{
    while (s.n > 0 && units > 0) {
        unsigned u;
        s = ar_str_from(s, unit_at(s, &u));
        units -= u < units ? u : units;
    }
    return s;
}

/* --- items --- */

static int64_t number(struct ar_jval v, int64_t or_else)
{
    int64_t i = 0;
    return ar_json_i64(v, &i, NULL) == AR_OK ? i : or_else;
}

static int64_t part_of(struct ar_jval root)
{
    return number(ar_json_get_lit(root, "content_index"), 0);
}

/* How a frame names its item. Some servers give no index, some no id, and some the same index to
 * all. */
struct which {
    int64_t index;    /* -1: not said */
    struct ar_str id; /* escaped as ids are: not at all */
};

static struct which which_of(struct ar_jval index, struct ar_jval id)
{
    return (struct which){number(index, -1), ar_json_esc(id)};
}

static bool is_named(const struct ar_responses_item *o, struct which w)
{
    return w.index >= 0 && o->index >= 0 ? o->index == w.index
                                         : w.id.n > 0 && ar_str_is(o->id, w.id);
}

/* The newest that is named so; the newest of all when nothing is said. */
static struct ar_responses_item *find(struct ar_reader *r, struct which w)
{
    if (w.index < 0 && w.id.n == 0 && r->item_n > 0) {
        return &r->items[r->item_n - 1];
    }
    for (unsigned i = r->item_n; i > 0; i--) {
        if (is_named(&r->items[i - 1], w)) {
            return &r->items[i - 1];
        }
    }
    return NULL;
}

static struct ar_responses_item *make(struct ar_reader *r, struct which w)
{
    if (r->item_n == r->item_cap) {
        unsigned cap = r->item_cap ? r->item_cap * 2 : 8;
        struct ar_responses_item *p = cap <= 1U << 16 ? realloc(r->items, cap * sizeof *p) : NULL;
        if (!p) {
            ar_queue_fail(&r->queue, AR_TOO_LARGE, "the answer has too many items");
            return NULL;
        }
        r->items = p;
        r->item_cap = cap;
    }
    struct ar_responses_item *o = &r->items[r->item_n++];
    *o = (struct ar_responses_item){
        .index = w.index, .id = AR_LIT(""), .kind = AR_RI_OTHER, .b = -1, .part = -1};
    if (w.id.n > 0) {
        o->id = ar_arena_copy(r->a, w.id);
    }
    return o;
}

static void close_block(struct ar_reader *r, struct ar_responses_item *o)
{
    if (o->b >= 0) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_BLOCK_END, .b = (unsigned)o->b});
        o->b = -1;
    }
}

/* Raw reasoning has no material to wait for, and some servers end it after all else: it is over
 * when something else begins, so that a writer of one block at a time need not hold that back. */
static void close_raw(struct ar_reader *r, const struct ar_responses_item *but)
{
    for (unsigned i = 0; i < r->item_n; i++) {
        if (&r->items[i] != but && r->items[i].is_raw) {
            close_block(r, &r->items[i]);
        }
    }
}

/* Opens a block of the item like b, whose strings last as long as the frame. */
static bool open_block(struct ar_reader *r, struct ar_responses_item *o, const struct ar_block *b)
{
    struct ar_block *n = ar_arena_new(r->a, struct ar_block);
    if (!n) {
        ar_queue_fail(&r->queue, AR_TOO_LARGE, "the answer has too many blocks");
        return false;
    }
    *n = *b;
    ar_responses_start(r);
    close_raw(r, o);
    o->b = (int)r->next_b++;
    o->open = b->kind;
    ar_queue_put(&r->queue,
                 (struct ar_event){.kind = AR_EV_BLOCK_START, .b = (unsigned)o->b, .block = n});
    return true;
}

static void put_delta(struct ar_reader *r, const struct ar_responses_item *o, enum ar_delta delta,
                      struct ar_str text)
{
    ar_queue_put(
        &r->queue,
        (struct ar_event){.kind = AR_EV_DELTA, .delta = delta, .b = (unsigned)o->b, .text = text});
}

/* A call's block, once its name is known. */
static void open_call(struct ar_reader *r, struct ar_responses_item *o, struct ar_jval item)
{
    struct ar_block b;
    if (o->b < 0 && !o->said && ar_responses_out_call(item, r->a, &b) && b.name.n && b.id.n &&
        open_block(r, o, &b)) {
        r->seen.call = true;
        o->said = true;
        o->freeform = b.freeform;
    }
}

static void note_item(struct ar_reader *r, struct ar_responses_item *o, struct ar_jval item)
{
    struct ar_str type = ar_json_esc(ar_json_get_lit(item, "type"));
    struct ar_block b;
    struct ar_str id = ar_member_text_lit(r->a, item, "id"),
                  phase = ar_member_text_lit(r->a, item, "phase");
    o->kind = ar_str_is_lit(type, "message")          ? AR_RI_MESSAGE
              : ar_str_is_lit(type, "reasoning")      ? AR_RI_THINKING
              : ar_responses_out_call(item, r->a, &b) ? AR_RI_CALL
                                                      : AR_RI_OTHER;
    o->id = id.n ? ar_arena_copy(r->a, id) : o->id;
    o->phase = phase.n ? ar_arena_copy(r->a, phase) : o->phase;
    if (o->kind == AR_RI_CALL && b.native == AR_NATIVE_NONE) {
        open_call(r, o, item); /* a native one is shown when its object is whole */
    }
}

void ar_responses_item_added(struct ar_reader *r, struct ar_jval root)
{
    struct ar_jval item = ar_json_get_lit(root, "item");
    struct which w = which_of(ar_json_get_lit(root, "output_index"), ar_json_get_lit(item, "id"));
    struct ar_responses_item *o = w.index < 0 && w.id.n == 0 ? NULL : find(r, w);
    if (o && w.id.n > 0 && o->id.n > 0 && !ar_str_is(o->id, w.id)) {
        o = NULL; /* another of the same index */
    }
    if (!o) {
        o = make(r, w);
    }
    if (o && !o->is_done) {
        note_item(r, o, item);
    }
}

/* --- texts --- */

static void put_text(struct ar_reader *r, struct ar_responses_item *o, enum ar_block_kind kind,
                     int64_t part, struct ar_str text)
{
    if (!text.n) {
        return;
    }
    if (o->b >= 0 && (o->part != part || o->open != kind)) {
        close_block(r, o);
    }
    if (o->b < 0) {
        struct ar_block b = {.kind = kind, .item_id = o->id, .phase = o->phase};
        if (!open_block(r, o, &b)) {
            return;
        }
        o->part = part;
        o->units = 0;
        o->cites = 0;
    }
    r->seen.text |= kind == AR_TEXT;
    r->seen.refusal |= kind == AR_REFUSAL;
    o->said = true;
    o->units += count_units(text);
    put_delta(r, o, kind == AR_TEXT ? AR_D_TEXT : AR_D_REFUSAL, text);
}

/* Parts of a summary are one block, a blank line between them. What comes first decides whether
 * the summary or the raw reasoning is shown. */
static void put_thinking(struct ar_reader *r, struct ar_responses_item *o, bool is_raw,
                         int64_t part, struct ar_str text)
{
    if (!text.n || (o->said && o->is_raw != is_raw)) {
        return;
    }
    if (o->b < 0) {
        struct ar_block b = {.kind = AR_THINKING, .item_id = o->id};
        if (o->said || !open_block(r, o, &b)) {
            return;
        }
        o->said = true;
        o->is_raw = is_raw;
        o->part = part;
        o->units = 0;
    } else if (part != o->part) {
        put_delta(r, o, AR_D_THINKING, AR_LIT("\\n\\n"));
        o->part = part;
        o->units = 0;
    }
    o->units += count_units(text);
    put_delta(r, o, AR_D_THINKING, text);
}

static void put_input(struct ar_reader *r, struct ar_responses_item *o, struct ar_str text)
{
    if (o->b >= 0 && text.n) {
        o->units += count_units(text);
        put_delta(r, o, o->freeform ? AR_D_FREEFORM : AR_D_JSON, text);
    }
}

/* Members of a delta, in the order of its keys. */
enum { K_DELTA, K_OUTPUT, K_CONTENT, K_SUMMARY, K_ID, K_COUNT };
static const struct ar_str KEYS[K_COUNT] = {
    [K_DELTA] = AR_LIT_INIT("delta"),
    [K_OUTPUT] = AR_LIT_INIT("output_index"),
    [K_CONTENT] = AR_LIT_INIT("content_index"),
    [K_SUMMARY] = AR_LIT_INIT("summary_index"),
    [K_ID] = AR_LIT_INIT("item_id"),
};

void ar_responses_item_delta(struct ar_reader *r, enum ar_responses_frame kind, struct ar_jval root)
{
    struct ar_jval m[K_COUNT];
    ar_json_pick(root, KEYS, K_COUNT, m);
    struct ar_str text = ar_json_esc(m[K_DELTA]);
    struct which w = which_of(m[K_OUTPUT], m[K_ID]);
    struct ar_responses_item *o = find(r, w);
    if (!o) {
        o = make(r, w); /* never announced: the kind of delta tells what it is */
    }
    if (!o || o->is_done) {
        return;
    }
    switch (kind) {
    case AR_RF_TEXT:
        put_text(r, o, AR_TEXT, number(m[K_CONTENT], 0), text);
        return;
    case AR_RF_REFUSAL:
        put_text(r, o, AR_REFUSAL, number(m[K_CONTENT], 0), text);
        return;
    case AR_RF_SUMMARY:
        put_thinking(r, o, false, number(m[K_SUMMARY], 0), text);
        return;
    case AR_RF_REASON:
        put_thinking(r, o, true, number(m[K_CONTENT], 0), text);
        return;
    default:
        put_input(r, o, text);
        return;
    }
}

static void put_cite(struct ar_reader *r, struct ar_responses_item *o, struct ar_jval annotation)
{
    struct ar_str c = ar_cite_of_openai(r->a, annotation);
    o->cites++;
    if (c.p && o->b >= 0 && o->open == AR_TEXT) {
        put_delta(r, o, AR_D_CITATION, c);
    }
}

void ar_responses_item_cite(struct ar_reader *r, struct ar_jval root)
{
    struct ar_responses_item *o =
        find(r, which_of(ar_json_get_lit(root, "output_index"), ar_json_get_lit(root, "item_id")));
    if (o && !o->is_done && o->b >= 0 && o->part == part_of(root)) {
        put_cite(r, o, ar_json_get_lit(root, "annotation"));
    }
}

/* --- the end of an item --- */

static void finish_message(struct ar_reader *r, struct ar_responses_item *o, struct ar_jval item)
{
    int64_t part = 0;
    for (struct ar_jiter it = ar_json_iter(ar_json_get_lit(item, "content")); ar_json_next(&it);
         part++) {
        struct ar_str refusal = ar_json_esc(ar_json_get_lit(it.val, "refusal"));
        struct ar_str text = refusal.n ? refusal : ar_json_esc(ar_json_get_lit(it.val, "text"));
        enum ar_block_kind kind = refusal.n ? AR_REFUSAL : AR_TEXT;
        if (part < o->part) {
            continue;
        }
        put_text(r, o, kind, part, part == o->part ? after(text, o->units) : text);
        struct ar_jiter cites = ar_json_iter(ar_json_get_lit(it.val, "annotations"));
        for (uint32_t n = 0; part == o->part && ar_json_next(&cites); n++) {
            if (n >= o->cites) {
                put_cite(r, o, cites.val);
            }
        }
    }
    close_block(r, o);
}

static void finish_thinking(struct ar_reader *r, struct ar_responses_item *o, struct ar_jval item)
{
    struct ar_jval summary = ar_json_get_lit(item, "summary"),
                   content = ar_json_get_lit(item, "content"),
                   list = ar_responses_out_thinking(item);
    bool is_raw = list.doc && list.doc == content.doc && list.i == content.i;
    struct ar_opaque *sig = ar_responses_out_sig(item, r->target, r->a);
    int64_t part = 0;
    if (o->said) {
        is_raw = o->is_raw;
        list = is_raw ? content : summary;
    }
    for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it); part++) {
        struct ar_str text = ar_json_esc(ar_json_get_lit(it.val, "text"));
        if (part >= o->part) {
            put_thinking(r, o, is_raw, part, part == o->part ? after(text, o->units) : text);
        }
    }
    if (sig && o->b >= 0) {
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_DELTA,
                                                  .delta = AR_D_SIGNATURE,
                                                  .b = (unsigned)o->b,
                                                  .opaque = sig});
    } else if (sig && !o->said) {
        struct ar_block b = {.kind = AR_REDACTED_THINKING, .sig = sig, .item_id = o->id};
        open_block(r, o, &b);
    }
    close_block(r, o);
}

static void finish_call(struct ar_reader *r, struct ar_responses_item *o, struct ar_jval item)
{
    struct ar_block b;
    open_call(r, o, item);
    if (o->b >= 0 && ar_responses_out_call(item, r->a, &b)) {
        struct ar_str input = ar_responses_out_input(item, r->a, &b);
        put_input(r, o, after(ar_json_escape_in(input, r->a), o->units));
    }
    close_block(r, o);
}

static void finish_other(struct ar_reader *r, struct ar_responses_item *o, struct ar_jval item)
{
    struct ar_block b;
    ar_responses_out_other(item, r->a, &b);
    struct ar_str input = b.text.n ? ar_json_escape_in(b.text, r->a) : b.text;
    b.text = (struct ar_str){0};
    if (b.name.n && open_block(r, o, &b)) {
        if (input.n) {
            put_delta(r, o, AR_D_JSON, input);
        }
        close_block(r, o);
    }
}

/* The item is whole: shows what was not shown yet. */
static void finish(struct ar_reader *r, struct ar_responses_item *o, struct ar_jval item)
{
    if (!o || o->is_done) {
        return;
    }
    note_item(r, o, item);
    if (r->queue.ended) {
        return;
    }
    switch (o->kind) {
    case AR_RI_MESSAGE:
        finish_message(r, o, item);
        break;
    case AR_RI_THINKING:
        finish_thinking(r, o, item);
        break;
    case AR_RI_CALL:
        finish_call(r, o, item);
        break;
    default:
        close_block(r, o);
        finish_other(r, o, item);
        break;
    }
    o->is_done = true;
}

void ar_responses_item_done(struct ar_reader *r, struct ar_jval root)
{
    struct ar_jval item = ar_json_get_lit(root, "item");
    struct which w = which_of(ar_json_get_lit(root, "output_index"), ar_json_get_lit(item, "id"));
    struct ar_responses_item *o = find(r, w);
    finish(r, o ? o : make(r, w), item);
}

/* The item that the final list has at a place: by its id, else by its place. */
static struct ar_responses_item *find_final(struct ar_reader *r, struct ar_jval item, unsigned at)
{
    struct ar_str id = ar_json_esc(ar_json_get_lit(item, "id"));
    struct ar_responses_item *o = id.n > 0 ? find(r, (struct which){-1, id}) : NULL;
    if (!o) {
        o = find(r, (struct which){at, AR_LIT("")});
    }
    if (!o && at < r->item_n && r->items[at].index < 0) {
        o = &r->items[at]; /* no index was ever given: the order is all there is */
    }
    return o;
}

void ar_responses_items_end(struct ar_reader *r, struct ar_jval output)
{
    unsigned at = 0;
    for (struct ar_jiter it = ar_json_iter(output); ar_json_next(&it) && !r->queue.ended; at++) {
        struct ar_responses_item *o = find_final(r, it.val, at);
        if (!o) {
            o = make(r, (struct which){-1, ar_json_esc(ar_json_get_lit(it.val, "id"))});
        }
        finish(r, o, it.val);
    }
    for (unsigned i = 0; i < r->item_n; i++) {
        close_block(r, &r->items[i]);
    }
}
