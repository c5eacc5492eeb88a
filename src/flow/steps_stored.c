/*
 * Paths of stored responses (PROTOCOLS 2.1): /v1/responses/{id}, its input_items and cancel. What
 * is the gateway's own is told at once; what an upstream holds is passed through to the upstream
 * and key that made it; anything else is not found, unless the caller's own key could know it. An
 * id of another caller's is not told from one that never was.
 */
#include "flow/flow.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/id.h"
#include "json/write.h"

#include <stdio.h>

enum { ITEMS_DEFAULT = 20, ITEMS_MAX = 100 };

/* /v1/responses/{id}[/verb] */
struct place {
    struct ar_str id, verb;
};

static struct place read_place(struct ar_flow *f)
{
    static const struct ar_str ROOT = AR_LIT_INIT("/v1/responses/");
    struct ar_str rest = ar_str_from(f->path, ROOT.n);
    size_t at = ar_str_find_char(rest, '/');
    return (struct place){ar_percent_decode(ar_str_head(rest, at), &f->arena),
                          ar_str_from(rest, at + 1)};
}

static struct ar_str query_word(const struct ar_flow *f, struct ar_str name)
{
    struct ar_str rest = f->head->query, one;
    while (rest.n > 0 && ar_str_split(&rest, '&', &one)) {
        if (one.n > name.n && one.p[name.n] == '=' && ar_str_has_prefix(one, name)) {
            return ar_str_from(one, name.n + 1);
        }
    }
    return (struct ar_str){NULL, 0};
}

static enum ar_next answer(struct ar_flow *f)
{
    struct ar_header v[AR_ANSWER_HEADERS];
    if (ar_buf_finish(&f->seat.sink.out) != AR_OK) {
        return ar_flow_fail(f, AR_TOO_LARGE, "the stored response is too large");
    }
    unsigned n = ar_flow_headers(f, AR_LIT("application/json"), v);
    f->commit = AR_COMMITTED;
    f->record.status_sent = 200;
    f->record.client_dialect = "local";
    ar_conn_open(f->conn, 200, v, n, (int64_t)f->seat.sink.out.n);
    return ar_flow_to(f, &ar_step_settle);
}

static enum ar_next not_found(struct ar_flow *f, struct ar_str id)
{
    enum ar_next next = ar_flow_fail(f, AR_RESPONSE_NOT_FOUND, NULL);
    f->fault.message =
        ar_arena_fmt(&f->arena, "Response with id '%.*s' not found.", AR_FMT(ar_str_head(id, 80)));
    return next;
}

/* An item for the list: items need ids, and what a client sent may have none. */
static void put_item(struct ar_flow *f, struct ar_jw *w, struct ar_jval item, struct ar_str id)
{
    if (ar_json_is_nil(ar_json_get_lit(item, "id"))) {
        struct ar_str raw = ar_str_trim(ar_str_from(ar_json_raw(item), 1));
        ar_jw_raw(w, ar_arena_fmt(&f->arena, "{\"id\":\"%.*s\"%s%.*s", AR_FMT(id),
                                  ar_str_has_prefix(raw, AR_LIT("}")) ? "" : ",", AR_FMT(raw)));
    } else {
        ar_jw_raw(w, ar_json_raw(item));
    }
}

/* The id that the client gave, or one that depends on the response and the place alone. */
static struct ar_str item_id(struct ar_flow *f, const struct place *p, struct ar_jval item,
                             uint32_t at)
{
    struct ar_str id = ar_json_esc(ar_json_get_lit(item, "id"));
    if (!id.p) {
        uint8_t sum[32];
        char text[25];
        ar_sha256(p->id, sum);
        ar_id_hex(sum, "item", at, 24, text);
        id = ar_arena_fmt(&f->arena, "msg_%s", text);
    }
    return id;
}

/* A page of the list (limit, after, order). */
static enum ar_next list_items(struct ar_flow *f, const struct place *p, const struct ar_kept *k)
{
    struct ar_jdoc doc;
    int64_t limit = ITEMS_DEFAULT;
    struct ar_str list = ar_arena_fmt(&f->arena, "[%.*s]", AR_FMT(k->input));
    struct ar_str wish = query_word(f, AR_LIT("limit")), after = query_word(f, AR_LIT("after"));
    bool up = ar_str_is_lit(query_word(f, AR_LIT("order")), "asc");
    if (wish.n > 0 && ar_str_to_i64(wish, 1, ITEMS_MAX, &limit) != AR_OK) {
        return ar_flow_fail(f, AR_INVALID_REQUEST, "limit is a number from 1 to 100");
    }
    if (!list.p || ar_json_parse(list, AR_JSON_DEPTH, &f->arena, &doc, NULL) != AR_OK) {
        return ar_flow_fail(f, AR_INTERNAL, "the stored items cannot be read");
    }
    struct ar_jval root = ar_json_root(&doc);
    uint32_t n = ar_json_count(root), given = 0;
    struct ar_str first = {NULL, 0}, last = {NULL, 0};
    bool open = after.n == 0, more = false;
    struct ar_jw w = ar_jw_on(&f->seat.sink.out);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "object", "list");
    ar_jw_key(&w, "data");
    ar_jw_open(&w, '[');
    for (uint32_t i = 0; i < n && !more; i++) {
        uint32_t at = up ? i : n - 1 - i;
        struct ar_jval item = ar_json_at(root, at);
        struct ar_str id = item_id(f, p, item, at);
        if (open && given == limit) {
            more = true;
        } else if (open) {
            put_item(f, &w, item, id);
            first = given++ == 0 ? id : first;
            last = id;
        }
        open |= ar_str_is(id, after);
    }
    ar_jw_close(&w, ']');
    ar_jw_key(&w, "first_id");
    first.p ? ar_jw_esc(&w, first) : ar_jw_null(&w);
    ar_jw_key(&w, "last_id");
    last.p ? ar_jw_esc(&w, last) : ar_jw_null(&w);
    ar_jw_key_bool(&w, "has_more", more);
    ar_jw_close(&w, '}');
    return answer(f);
}

static enum ar_next remove_it(struct ar_flow *f, const struct place *p)
{
    (void)ar_kept_drop(f->worker->recall->responses, ar_flow_tenant(f), p->id);
    struct ar_jw w = ar_jw_on(&f->seat.sink.out);
    ar_jw_open(&w, '{');
    ar_jw_key_text(&w, "id", p->id);
    ar_jw_key_lit(&w, "object", "response");
    ar_jw_key_bool(&w, "deleted", true);
    ar_jw_close(&w, '}');
    return answer(f);
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
static enum ar_next cancel(struct ar_flow *f, const struct place *p, const struct ar_kept *k)
{
    struct ar_buf *out = &f->seat.sink.out;
    if (k->state == AR_KEPT_DONE && !ar_str_has(k->whole, AR_LIT("\"background\":true"))) {
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
            return answer(f);
        }
        return ar_flow_fail(f, AR_CONFLICT, "the response ended at this moment");
    }
    ar_buf_str(out, k->whole);
    return answer(f);
}

static enum ar_next tell(struct ar_flow *f, const struct place *p, const struct ar_kept *k)
{
    bool get = ar_str_is_lit(f->head->method, "GET");
    ar_sink_open(f);
    if (p->verb.n == 0 && get) {
        if (ar_str_is_lit(query_word(f, AR_LIT("stream")), "true")) {
            return ar_flow_fail(f, AR_INVALID_REQUEST,
                                "a stored response is not streamed here: leave stream out");
        }
        ar_buf_str(&f->seat.sink.out, k->whole);
        return answer(f);
    }
    if (p->verb.n == 0 && ar_str_is_lit(f->head->method, "DELETE")) {
        return remove_it(f, p);
    }
    if (ar_str_is_lit(p->verb, "input_items") && get) {
        return list_items(f, p, k);
    }
    if (ar_str_is_lit(p->verb, "cancel") && ar_str_is_lit(f->head->method, "POST")) {
        return cancel(f, p, k);
    }
    return ar_flow_fail(f, AR_ENDPOINT_NOT_FOUND, "a stored response has no such path");
}

enum ar_next ar_run_stored(struct ar_flow *f)
{
    struct place p = read_place(f);
    struct ar_recall *r = f->worker->recall;
    struct ar_account_of of;
    struct ar_kept k;
    int64_t now = ar_clock_us() / 1000;
    if (ar_str_is_lit(p.id, "compact") && p.verb.n == 0) {
        f->recalled.is_exchange = true;
        f->op = AR_OP_PASS;
        return ar_flow_to(f, &ar_step_read_body);
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
        return not_found(f, p.id);
    }
    f->op = AR_OP_PASS;
    return ar_flow_to(f, &ar_step_read_body);
}
