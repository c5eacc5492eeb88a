/*
 * Paths of stored responses (PROTOCOLS 2.1): /v1/responses/{id}, its input_items and cancel. What
 * is the gateway's own is told at once; what an upstream holds is passed through to the upstream
 * and key that made it; anything else is not found, unless the caller's own key could know it. An
 * id of another caller's is not told from one that never was.
 */
#include "flow/stored.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/id.h"
#include "http/url.h"
#include "json/write.h"

enum { ITEMS_DEFAULT = 20, ITEMS_MAX = 100 };

struct ar_str ar_stored_member(struct ar_str whole, struct ar_str key)
{
    struct ar_arena a;
    struct ar_jdoc doc;
    struct ar_str raw = {NULL, 0};
    ar_arena_init(&a, 4 * whole.n + 65536);
    if (ar_json_parse(whole, 1, &a, &doc, NULL) == AR_OK) {
        raw = ar_json_raw(ar_json_get(ar_json_root(&doc), key));
    }
    ar_arena_done(&a);
    return raw;
}

struct ar_stored_place ar_stored_read(struct ar_flow *f, struct ar_str root)
{
    struct ar_str rest = ar_str_from(f->path, root.n);
    size_t slash = ar_str_find_char(rest, '/');
    struct ar_str behind = ar_str_from(rest, slash + 1);
    size_t next = ar_str_find_char(behind, '/');
    return (struct ar_stored_place){ar_percent_decode(ar_str_head(rest, slash), &f->arena),
                                    ar_str_head(behind, next),
                                    ar_percent_decode(ar_str_from(behind, next + 1), &f->arena)};
}

enum ar_next ar_stored_answer(struct ar_flow *f)
{
    struct ar_header v[AR_ANSWER_HEADERS];
    if (ar_buf_finish(&f->seat.sink.out) != AR_OK) {
        return ar_flow_fail(f, AR_TOO_LARGE, "the stored object is too large");
    }
    unsigned n = ar_flow_headers(f, AR_LIT("application/json"), v);
    f->commit = AR_COMMITTED;
    f->record.status_sent = 200;
    f->record.client_dialect = "local";
    ar_conn_open(f->conn, 200, v, n, (int64_t)f->seat.sink.out.n);
    return ar_flow_to(f, &ar_step_settle);
}

enum ar_next ar_stored_missing(struct ar_flow *f, const char *what, struct ar_str id)
{
    enum ar_next next = ar_flow_fail(f, AR_RESPONSE_NOT_FOUND, NULL);
    f->fault.message =
        ar_arena_fmt(&f->arena, "%s with id '%.*s' not found.", what, AR_FMT(ar_str_head(id, 80)));
    return next;
}

enum ar_next ar_stored_deleted(struct ar_flow *f, struct ar_str id, const char *object)
{
    struct ar_jw w = ar_jw_on(&f->seat.sink.out);
    ar_jw_open(&w, '{');
    ar_jw_key_text(&w, "id", id);
    ar_jw_key_text(&w, "object", ar_str_of(object));
    ar_jw_key_bool(&w, "deleted", true);
    ar_jw_close(&w, '}');
    return ar_stored_answer(f);
}

/* The short form of a message ({"role","content":"text"}) is told in the full one, as the vendor
 * does: clients look for parts. false: it is not one. */
static bool put_message(struct ar_jw *w, struct ar_jval item, struct ar_str id)
{
    static const struct ar_str OWN[] = {AR_LIT_INIT("id"), AR_LIT_INIT("type"),
                                        AR_LIT_INIT("status"), AR_LIT_INIT("content")};
    struct ar_str type = ar_json_esc(ar_json_get_lit(item, "type")),
                  role = ar_json_esc(ar_json_get_lit(item, "role"));
    struct ar_jval content = ar_json_get_lit(item, "content"),
                   status = ar_json_get_lit(item, "status");
    if ((type.p && !ar_str_is_lit(type, "message")) || !role.p ||
        !ar_json_is(content, AR_J_STRING)) {
        return false;
    }
    ar_jw_open(w, '{');
    ar_jw_key(w, "id");
    ar_jw_esc(w, id);
    ar_jw_key_lit(w, "type", "message");
    ar_jw_key_raw(w, "status",
                  ar_json_is_nil(status) ? AR_LIT("\"completed\"") : ar_json_raw(status));
    for (struct ar_jiter it = ar_json_iter(item); ar_json_next(&it);) {
        bool own = false;
        for (unsigned i = 0; i < sizeof OWN / sizeof *OWN; i++) {
            own |= ar_str_is(it.key, OWN[i]);
        }
        if (!own) {
            ar_jw_key_dec(w, it.key);
            ar_jw_raw(w, ar_json_raw(it.val));
        }
    }
    ar_jw_key(w, "content");
    ar_jw_raw(w, ar_str_is_lit(role, "assistant")
                     ? AR_LIT("[{\"type\":\"output_text\",\"annotations\":[],\"text\":")
                     : AR_LIT("[{\"type\":\"input_text\",\"text\":"));
    ar_buf_str(w->out, ar_json_raw(content));
    ar_buf_lit(w->out, "}]");
    ar_jw_close(w, '}');
    return true;
}

/* An item for the list: items need ids, and what a client sent may have none. */
static void put_item(struct ar_flow *f, struct ar_jw *w, struct ar_jval item, struct ar_str id)
{
    if (put_message(w, item, id)) {
        return;
    }
    if (ar_json_is_nil(ar_json_get_lit(item, "id"))) {
        struct ar_str raw = ar_str_trim(ar_str_from(ar_json_raw(item), 1));
        ar_jw_raw(w, ar_arena_fmt(&f->arena, "{\"id\":\"%.*s\"%s%.*s", AR_FMT(id),
                                  ar_str_has_prefix(raw, AR_LIT("}")) ? "" : ",", AR_FMT(raw)));
    } else {
        ar_jw_raw(w, ar_json_raw(item));
    }
}

/* The id that the client gave, or one that depends on the owner and the place alone. */
static struct ar_str item_id(struct ar_flow *f, struct ar_str of, struct ar_jval item, uint32_t at)
{
    struct ar_str id = ar_json_esc(ar_json_get_lit(item, "id"));
    if (!id.p) {
        uint8_t sum[32];
        char text[25];
        ar_sha256(of, sum);
        ar_id_hex(sum, "item", at, 24, text);
        id = ar_arena_fmt(&f->arena, "msg_%s", text);
    }
    return id;
}

static bool parse_items(struct ar_flow *f, struct ar_str items, struct ar_jdoc *ret)
{
    struct ar_str list = ar_arena_fmt(&f->arena, "[%.*s]", AR_FMT(items));
    return list.p && ar_json_parse(list, AR_JSON_DEPTH, &f->arena, ret, NULL) == AR_OK;
}

static void put_id(struct ar_jw *w, struct ar_str id)
{
    id.p ? ar_jw_esc(w, id) : ar_jw_null(w);
}

struct page {
    struct ar_str of, after;
    int64_t limit;
    bool up;
};

static enum ar_next write_page(struct ar_flow *f, const struct page *p, struct ar_jval root)
{
    uint32_t n = ar_json_count(root), given = 0;
    struct ar_str first = {NULL, 0}, last = {NULL, 0};
    bool open = p->after.n == 0, more = false;
    struct ar_jw w = ar_jw_on(&f->seat.sink.out);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "object", "list");
    ar_jw_key(&w, "data");
    ar_jw_open(&w, '[');
    for (uint32_t i = 0; i < n && !more; i++) {
        uint32_t at = p->up ? i : n - 1 - i;
        struct ar_jval item = ar_json_at(root, at);
        struct ar_str id = item_id(f, p->of, item, at);
        more = open && given == p->limit;
        if (open && !more) {
            put_item(f, &w, item, id);
            first = given++ == 0 ? id : first;
            last = id;
        }
        open |= ar_str_is(id, p->after);
    }
    ar_jw_close(&w, ']');
    ar_jw_key(&w, "first_id");
    put_id(&w, first);
    ar_jw_key(&w, "last_id");
    put_id(&w, last);
    ar_jw_key_bool(&w, "has_more", more);
    ar_jw_close(&w, '}');
    return ar_stored_answer(f);
}

enum ar_next ar_stored_list(struct ar_flow *f, struct ar_str of, struct ar_str items)
{
    struct ar_jdoc doc;
    struct ar_str query = f->head->query, wish = ar_query_get(query, AR_LIT("limit"));
    struct page p = {.of = of,
                     .limit = ITEMS_DEFAULT,
                     .after = ar_query_get(query, AR_LIT("after")),
                     .up = ar_str_is_lit(ar_query_get(query, AR_LIT("order")), "asc")};
    struct ar_str order = ar_query_get(query, AR_LIT("order"));
    if (order.n > 0 && !p.up && !ar_str_is_lit(order, "desc")) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "order is asc or desc");
    }
    if (wish.n > 0 && ar_str_to_i64(wish, 1, ITEMS_MAX, &p.limit) != AR_OK) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "limit is a number from 1 to 100");
    }
    if (!parse_items(f, items, &doc)) {
        return ar_flow_fail(f, AR_INTERNAL, "the stored items cannot be read");
    }
    return write_page(f, &p, ar_json_root(&doc));
}

/* The list anew: with ids (drop.n 0), or without the item of that id. n 0 and no p: no list, or no
 * memory. */
static struct ar_str rewrite(struct ar_flow *f, struct ar_str items, struct ar_str drop,
                             bool *ret_dropped)
{
    struct ar_jdoc doc;
    struct ar_buf out;
    uint32_t at = 0;
    if (!parse_items(f, items, &doc)) {
        return (struct ar_str){NULL, 0};
    }
    ar_buf_init(&out, SIZE_MAX / 2);
    struct ar_jw w = ar_jw_on(&out);
    struct ar_str of = ar_str_n((const char *)f->id, sizeof f->id);
    for (struct ar_jiter it = ar_json_iter(ar_json_root(&doc)); ar_json_next(&it); at++) {
        if (drop.n == 0) {
            put_item(f, &w, it.val, item_id(f, of, it.val, at));
        } else if (ar_str_is(ar_json_esc(ar_json_get_lit(it.val, "id")), drop)) {
            *ret_dropped = true;
        } else {
            ar_jw_raw(&w, ar_json_raw(it.val));
        }
    }
    struct ar_str copy = ar_arena_copy(&f->arena, ar_buf_view(&out));
    ar_buf_done(&out);
    return copy;
}

struct ar_str ar_stored_with_ids(struct ar_flow *f, struct ar_str items)
{
    bool dropped = false;
    struct ar_str with = items.n > 0 ? rewrite(f, items, AR_LIT(""), &dropped) : items;
    return with.n > 0 ? with : items;
}

bool ar_stored_without(struct ar_flow *f, struct ar_str items, struct ar_str id, struct ar_str *ret)
{
    bool dropped = false;
    struct ar_str without = items.n > 0 ? rewrite(f, items, id, &dropped) : items;
    *ret = without.p ? without : AR_LIT("");
    return dropped;
}

enum ar_next ar_stored_item(struct ar_flow *f, struct ar_str of, struct ar_str items,
                            struct ar_str id)
{
    struct ar_jdoc doc;
    uint32_t at = 0;
    if (!parse_items(f, items, &doc)) {
        return ar_flow_fail(f, AR_INTERNAL, "the stored items cannot be read");
    }
    for (struct ar_jiter it = ar_json_iter(ar_json_root(&doc)); ar_json_next(&it); at++) {
        if (ar_str_is(item_id(f, of, it.val, at), id)) {
            struct ar_jw w = ar_jw_on(&f->seat.sink.out);
            put_item(f, &w, it.val, id);
            return ar_stored_answer(f);
        }
    }
    return ar_stored_missing(f, "Item", id);
}

static enum ar_next remove_it(struct ar_flow *f, const struct ar_stored_place *p)
{
    struct ar_recall_table *t = f->worker->recall->responses;
    (void)ar_kept_drop(t, ar_flow_tenant(f), p->id);
    ar_frames_drop(t, ar_flow_tenant(f), p->id);
    return ar_stored_deleted(f, p->id, "response");
}

void ar_recall_restate(struct ar_str whole, struct ar_str status, struct ar_str error,
                       struct ar_arena *a, struct ar_buf *out)
{
    struct ar_jdoc doc;
    struct ar_jw w = ar_jw_on(out);
    ar_jw_open(&w, '{');
    if (ar_json_parse(whole, 1, a, &doc, NULL) == AR_OK) {
        for (struct ar_jiter it = ar_json_iter(ar_json_root(&doc)); ar_json_next(&it);) {
            ar_jw_key_dec(&w, it.key);
            if (ar_str_is_lit(it.key, "status")) {
                ar_jw_text(&w, status);
            } else if (error.p && ar_str_is_lit(it.key, "error")) {
                ar_jw_raw(&w, error);
            } else {
                ar_jw_raw(&w, ar_json_raw(it.val));
            }
        }
    }
    ar_jw_close(&w, '}');
}

/* A run that is cancelled stays so: its flow finds out by itself. */
static enum ar_next cancel(struct ar_flow *f, const struct ar_stored_place *p,
                           const struct ar_kept *k)
{
    struct ar_buf *out = &f->seat.sink.out;
    if (k->state == AR_KEPT_DONE &&
        !ar_str_is_lit(ar_stored_member(k->whole, AR_LIT("background")), "true")) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "Cannot cancel a synchronous response.");
    }
    if (k->state == AR_KEPT_RUNNING) {
        struct ar_kept next = *k;
        ar_recall_restate(k->whole, AR_LIT("cancelled"), (struct ar_str){NULL, 0}, &f->arena, out);
        next.state = AR_KEPT_CANCELLED;
        next.whole = ar_buf_view(out);
        next.output = AR_LIT("");
        if (ar_kept_replace(f->worker->recall->responses, ar_flow_tenant(f), p->id, k, &next,
                            ar_clock_us() / 1000)) {
            return ar_stored_answer(f);
        }
        return ar_flow_fail(f, AR_CONFLICT, "the response ended at this moment");
    }
    ar_buf_str(out, k->whole);
    return ar_stored_answer(f);
}

static enum ar_next tell(struct ar_flow *f, const struct ar_stored_place *p,
                         const struct ar_kept *k)
{
    bool get = ar_str_is_lit(f->head->method, "GET");
    ar_sink_open(f);
    if (p->verb.n == 0 && get) {
        if (ar_str_is_lit(ar_query_get(f->head->query, AR_LIT("stream")), "true")) {
            return ar_stored_stream(f, p->id, k);
        }
        ar_buf_str(&f->seat.sink.out, k->whole);
        return ar_stored_answer(f);
    }
    if (p->verb.n == 0 && ar_str_is_lit(f->head->method, "DELETE")) {
        return remove_it(f, p);
    }
    if (p->rest.n > 0) {
        return ar_flow_fail(f, AR_ENDPOINT_NOT_FOUND, "a stored response has no such path");
    }
    if (ar_str_is_lit(p->verb, "input_items") && get) {
        return ar_stored_list(f, p->id, k->input);
    }
    if (ar_str_is_lit(p->verb, "cancel") && ar_str_is_lit(f->head->method, "POST")) {
        return cancel(f, p, k);
    }
    return ar_flow_fail(f, AR_ENDPOINT_NOT_FOUND, "a stored response has no such path");
}

enum ar_next ar_run_stored(struct ar_flow *f)
{
    struct ar_recall *r = f->worker->recall;
    struct ar_account_of of;
    struct ar_kept k;
    int64_t now = ar_clock_us() / 1000;
    if (ar_talk_is_path(f->path)) {
        return ar_talk_tell(f);
    }
    struct ar_stored_place p = ar_stored_read(f, AR_LIT("/v1/responses/"));
    if (ar_str_is_lit(p.id, "compact") && p.verb.n == 0 && ar_str_is_lit(f->head->method, "POST")) {
        return ar_flow_compact(f);
    }
    if (r && ar_kept_get(r->responses, ar_flow_tenant(f), p.id, now, &k)) {
        enum ar_next next = tell(f, &p, &k);
        ar_kept_done(&k);
        return next;
    }
    if (r && ar_accounts_get(r->accounts, ar_flow_tenant(f), p.id, &f->arena, now, &of) &&
        of.upstream.n > 0) {
        f->pin = of.upstream;
        f->recalled.only_key = of.key_print;
    } else if (f->pin.n == 0 && !ar_flow_may_be_elsewhere(f)) {
        return ar_stored_missing(f, "Response", p.id);
    }
    f->op = AR_OP_PASS;
    return ar_flow_to(f, &ar_step_outline);
}
