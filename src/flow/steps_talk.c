/*
 * Conversations (the Conversations API of OpenAI): made, told, changed and removed here, whatever
 * upstream the responses in them come from. A conversation is its object and the id of the last
 * thing in it; what is in it is the chain of stored responses that ends there. Items that the
 * client puts in by itself are stored as a response without an answer. A response in a conversation
 * is never native: the gateway has to see its items.
 */
#include "flow/stored.h"

#include "base/clock.h"
#include "base/id.h"
#include "json/write.h"

enum { UPDATE_TRIES = 100 };

static const struct ar_str ROOT = AR_LIT_INIT("/v1/conversations");

bool ar_talk_is_path(struct ar_str path)
{
    return ar_str_has_prefix(path, ROOT);
}

static struct ar_recall_table *table(const struct ar_flow *f)
{
    return f->worker->recall->responses;
}

static int64_t now_ms(void)
{
    return ar_clock_us() / 1000;
}

/* An id of ours: of the request, so that no two are the same. */
static struct ar_str make_id(struct ar_flow *f, const char *prefix)
{
    char text[49];
    ar_id_hex(f->id, prefix, 0, 48, text);
    return ar_arena_fmt(&f->arena, "%s%s", prefix, text);
}

/* The body as an object; without a body an empty one. */
static bool read_body(struct ar_flow *f, struct ar_jdoc *doc)
{
    struct ar_str body = f->body.n > 0 ? ar_buf_view(&f->body) : AR_LIT("{}");
    return ar_json_parse(body, AR_JSON_DEPTH, &f->arena, doc, NULL) == AR_OK &&
           ar_json_is(ar_json_root(doc), AR_J_OBJECT);
}

/* Puts items behind what is in the conversation, whose last thing was `head`. */
static bool append(struct ar_flow *f, struct ar_str talk, struct ar_str head, struct ar_str items)
{
    struct ar_str previous, id = make_id(f, "batch_");
    struct ar_kept k = {
        .state = AR_KEPT_DONE, .previous = head, .input = items, .whole = AR_LIT("{}")};
    if (items.n == 0) {
        return true;
    }
    if (!ar_kept_put(table(f), ar_flow_tenant(f), id, &k, now_ms()) ||
        !ar_talk_append(table(f), ar_flow_tenant(f), talk, id, &f->arena, now_ms(), &previous)) {
        return false;
    }
    if (ar_str_is(previous, head)) {
        return true;
    }
    k.previous = previous; /* a turn ended meanwhile: behind it */
    return ar_kept_put(table(f), ar_flow_tenant(f), id, &k, now_ms());
}

static enum ar_next create(struct ar_flow *f, struct ar_jval root)
{
    struct ar_str id = make_id(f, "conv_");
    struct ar_jval metadata = ar_json_get_lit(root, "metadata");
    struct ar_jval items = ar_json_get_lit(root, "items");
    struct ar_buf *out = &f->seat.sink.out;
    struct ar_jw w = ar_jw_on(out);
    uint32_t at;
    if (!ar_recall_is_input(items, &at) || ar_json_is(items, AR_J_STRING) ||
        (!ar_json_is_nil(metadata) && !ar_json_is(metadata, AR_J_OBJECT))) {
        return ar_flow_fail(f, AR_INVALID_REQUEST,
                            "items is a list of objects, metadata an object");
    }
    ar_jw_open(&w, '{');
    ar_jw_key_text(&w, "id", id);
    ar_jw_key_lit(&w, "object", "conversation");
    ar_jw_key_i64(&w, "created_at", ar_clock_unix_ms() / 1000);
    ar_jw_key_raw(&w, "metadata", ar_json_is_nil(metadata) ? AR_LIT("{}") : ar_json_raw(metadata));
    ar_jw_close(&w, '}');
    struct ar_talk talk = {.head = AR_LIT(""), .whole = ar_buf_view(out)};
    if (!ar_talk_put(table(f), ar_flow_tenant(f), id, &talk, now_ms()) ||
        !append(f, id, AR_LIT(""), ar_stored_with_ids(f, ar_recall_items(items, &f->arena)))) {
        return ar_flow_fail(f, AR_TOO_LARGE, "the conversation cannot be stored");
    }
    return ar_stored_answer(f);
}

/* The object with other metadata into out. */
static void put_updated(struct ar_flow *f, struct ar_str whole, struct ar_jval metadata,
                        struct ar_buf *out)
{
    struct ar_jdoc doc;
    struct ar_jw w = ar_jw_on(out);
    ar_buf_clear(out);
    if (ar_json_parse(whole, 1, &f->arena, &doc, NULL) != AR_OK) {
        return; /* never: it was written here */
    }
    ar_jw_open(&w, '{');
    for (struct ar_jiter it = ar_json_iter(ar_json_root(&doc)); ar_json_next(&it);) {
        ar_jw_key_dec(&w, it.key);
        ar_jw_raw(&w, ar_json_raw(ar_str_is_lit(it.key, "metadata") ? metadata : it.val));
    }
    ar_jw_close(&w, '}');
}

static enum ar_next update(struct ar_flow *f, const struct ar_stored_place *p, struct ar_jval root)
{
    struct ar_talk talk;
    struct ar_jval metadata = ar_json_get_lit(root, "metadata");
    struct ar_buf *out = &f->seat.sink.out;
    if (!ar_json_is(metadata, AR_J_OBJECT)) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "metadata is an object");
    }
    /* A turn may end at the same moment, on another worker: then once more, with its head. */
    for (unsigned i = 0; i < UPDATE_TRIES; i++) {
        if (!ar_talk_get(table(f), ar_flow_tenant(f), p->id, now_ms(), &talk)) {
            return ar_stored_missing(f, "Conversation", p->id);
        }
        put_updated(f, talk.whole, metadata, out);
        struct ar_talk next = {.head = talk.head, .whole = ar_buf_view(out)};
        bool done = ar_talk_replace(table(f), ar_flow_tenant(f), p->id, &talk, &next, now_ms());
        ar_talk_done(&talk);
        if (done) {
            return ar_stored_answer(f);
        }
    }
    return ar_flow_fail(f, AR_CONFLICT, "the conversation changes all the time");
}

/* All that is in it; arena. */
static enum ar_code read_items(struct ar_flow *f, struct ar_str head, struct ar_str *ret)
{
    struct ar_buf all;
    struct ar_str missing;
    ar_buf_init(&all, f->body.max);
    enum ar_code code = head.n == 0 ? AR_OK
                                    : ar_kept_chain(table(f), ar_flow_tenant(f), head, &f->arena,
                                                    now_ms(), &all, &missing);
    *ret = ar_arena_copy(&f->arena, ar_buf_view(&all));
    ar_buf_done(&all);
    return code == AR_OK && !ret->p ? AR_TOO_LARGE : code;
}

static enum ar_next tell_items(struct ar_flow *f, const struct ar_stored_place *p,
                               const struct ar_talk *talk)
{
    struct ar_str items;
    if (read_items(f, talk->head, &items) != AR_OK) {
        return ar_flow_fail(f, AR_RESPONSE_NOT_FOUND,
                            "a part of the conversation is not kept any more");
    }
    return p->rest.n > 0 ? ar_stored_item(f, p->id, items, p->rest)
                         : ar_stored_list(f, p->id, items);
}

static enum ar_next add_items(struct ar_flow *f, const struct ar_stored_place *p,
                              const struct ar_talk *talk, struct ar_jval root)
{
    uint32_t at;
    struct ar_jval items = ar_json_get_lit(root, "items");
    if (!ar_json_is(items, AR_J_ARRAY) || !ar_recall_is_input(items, &at)) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "items is a list of objects");
    }
    struct ar_str raw = ar_stored_with_ids(f, ar_recall_items(items, &f->arena));
    if (!append(f, p->id, talk->head, raw)) {
        return ar_flow_fail(f, AR_TOO_LARGE, "the items cannot be stored");
    }
    return ar_stored_list(f, p->id, raw);
}

/* Takes the item out of the turn that has it; what a response said stays in the response. */
static enum ar_next remove_item(struct ar_flow *f, const struct ar_stored_place *p,
                                const struct ar_talk *talk)
{
    struct ar_kept k;
    struct ar_str id = talk->head;
    while (id.n > 0 && ar_kept_get(table(f), ar_flow_tenant(f), id, now_ms(), &k)) {
        struct ar_kept next = k;
        bool found = ar_stored_without(f, k.input, p->rest, &next.input);
        found |= ar_stored_without(f, k.output, p->rest, &next.output);
        bool done = found && ar_kept_replace(table(f), ar_flow_tenant(f), id, &k, &next, now_ms());
        id = ar_arena_copy(&f->arena, k.previous);
        ar_kept_done(&k);
        if (done) {
            ar_buf_str(&f->seat.sink.out, talk->whole);
            return ar_stored_answer(f);
        }
        if (found) {
            return ar_flow_fail(f, AR_CONFLICT, "the conversation changed at this moment");
        }
    }
    return ar_stored_missing(f, "Item", p->rest);
}

static enum ar_next tell_one(struct ar_flow *f, const struct ar_stored_place *p,
                             const struct ar_talk *talk, struct ar_jval root)
{
    bool get = ar_str_is_lit(f->head->method, "GET"), post = ar_str_is_lit(f->head->method, "POST");
    bool items = ar_str_is_lit(p->verb, "items"), one = items && p->rest.n > 0;
    if (p->verb.n == 0 && get) {
        ar_buf_str(&f->seat.sink.out, talk->whole);
        return ar_stored_answer(f);
    }
    if (p->verb.n == 0 && post) {
        return update(f, p, root);
    }
    if (p->verb.n == 0) {
        (void)ar_talk_drop(table(f), ar_flow_tenant(f), p->id);
        return ar_stored_deleted(f, p->id, "conversation.deleted");
    }
    if (items && get) {
        return tell_items(f, p, talk);
    }
    if (items && post && p->rest.n == 0) {
        return add_items(f, p, talk, root);
    }
    if (one && ar_str_is_lit(f->head->method, "DELETE")) {
        return remove_item(f, p, talk);
    }
    return ar_flow_fail(f, AR_ENDPOINT_NOT_FOUND, "a conversation has no such path");
}

enum ar_next ar_talk_tell(struct ar_flow *f)
{
    struct ar_jdoc doc;
    struct ar_talk talk;
    struct ar_recall *r = f->worker->recall;
    struct ar_stored_place p = ar_stored_read(f, AR_LIT("/v1/conversations/"));
    if (!r || !ar_recall_is_on(r->responses)) {
        f->op = AR_OP_PASS;
        return ar_flow_to(f, &ar_step_outline);
    }
    if (!read_body(f, &doc)) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "the body is no JSON object");
    }
    ar_sink_open(f);
    if (f->path.n == ROOT.n) {
        return create(f, ar_json_root(&doc));
    }
    if (!ar_talk_get(table(f), ar_flow_tenant(f), p.id, now_ms(), &talk)) {
        return ar_stored_missing(f, "Conversation", p.id);
    }
    enum ar_next next = tell_one(f, &p, &talk, ar_json_root(&doc));
    ar_talk_done(&talk);
    return next;
}
