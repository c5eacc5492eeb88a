/*
 * What a request says about state that somebody holds, and what of its answer is remembered
 * (PROTOCOLS 5.7, 6.10). A response of the gateway's own is put in as items before anything is
 * planned: from then on the request is an ordinary one, and any upstream can serve it, natively or
 * translated. An id of an upstream's own binds the plan to the key that made it. What nobody here
 * knows stays in the body for the upstream to judge. Never waits: everything is in memory.
 */
#include "flow/stored.h"

#include "base/clock.h"
#include "json/write.h"

#include <stdio.h>

enum { REF_DEPTH = 4 };

const struct ar_recall_key *ar_flow_tenant(struct ar_flow *f)
{
    if (!f->recalled.has_tenant) {
        f->recalled.tenant = ar_recall_tenant(f->secret);
        f->recalled.has_tenant = true;
    }
    return &f->recalled.tenant;
}

static struct ar_recall_table *responses(const struct ar_flow *f)
{
    return f->worker->recall && ar_recall_is_on(f->worker->recall->responses)
               ? f->worker->recall->responses
               : NULL;
}

static int64_t now_ms(void)
{
    return ar_clock_us() / 1000;
}

/* --- the request --- */

/* The id belongs to an upstream's own state: there and with that key, or nowhere. */
static bool bind_to_account(struct ar_flow *f, struct ar_str id)
{
    struct ar_account_of of;
    struct ar_recall *r = f->worker->recall;
    if (!r || !ar_accounts_get(r->accounts, ar_flow_tenant(f), id, &f->arena, now_ms(), &of) ||
        of.upstream.n == 0) {
        return false;
    }
    f->pin = of.upstream;
    f->recalled.only_key = of.key_print;
    return true;
}

static enum ar_next fail_missing(struct ar_flow *f, enum ar_code code, const char *param,
                                 struct ar_str note)
{
    enum ar_next next = ar_flow_fail(f, code, NULL);
    f->fault.message = note;
    f->fault.param = ar_str_of(param);
    return next;
}

bool ar_recall_is_input(struct ar_jval input, uint32_t *ret_at)
{
    *ret_at = UINT32_MAX;
    if (!ar_json_is(input, AR_J_ARRAY)) {
        return ar_json_is_nil(input) || ar_json_is(input, AR_J_STRING);
    }
    *ret_at = 0;
    for (struct ar_jiter it = ar_json_iter(input); ar_json_next(&it); ++*ret_at) {
        if (!ar_json_is(it.val, AR_J_OBJECT)) {
            return false;
        }
    }
    return true;
}

/* Once the items are one list with those before them, nobody could say which was the client's. */
static bool check_input(struct ar_flow *f, struct ar_jval input)
{
    uint32_t at;
    if (ar_recall_is_input(input, &at)) {
        return true;
    }
    const char *param = at == UINT32_MAX ? "input" : ar_arena_fmt(&f->arena, "input[%u]", at).p;
    (void)fail_missing(f, AR_INVALID_REQUEST, param ? param : "input",
                       at == UINT32_MAX ? AR_LIT("input must be a string or a list of items")
                                        : AR_LIT("an item of input must be an object"));
    return false;
}

struct ar_str ar_recall_items(struct ar_jval input, struct ar_arena *a)
{
    struct ar_str raw = ar_json_raw(input);
    if (ar_json_is(input, AR_J_STRING)) {
        return ar_arena_fmt(a,
                            "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":"
                            "\"input_text\",\"text\":%.*s}]}",
                            AR_FMT(raw));
    }
    return ar_json_is(input, AR_J_ARRAY) ? ar_str_trim(ar_str_n(raw.p + 1, raw.n - 2)) : AR_LIT("");
}

/* The item of a stored response that has this id; raw, arena. */
static bool find_item(struct ar_flow *f, struct ar_str id, struct ar_str *ret)
{
    struct ar_account_of of;
    struct ar_kept k;
    struct ar_recall *r = f->worker->recall;
    if (!ar_accounts_get(r->accounts, ar_flow_tenant(f), id, &f->arena, now_ms(), &of) ||
        of.upstream.n > 0 ||
        !ar_kept_get(r->responses, ar_flow_tenant(f), of.key_print, now_ms(), &k)) {
        return false;
    }
    struct ar_str list = ar_arena_fmt(&f->arena, "[%.*s]", AR_FMT(k.output));
    struct ar_jdoc doc;
    bool found = false;
    if (list.p && ar_json_parse(list, REF_DEPTH, &f->arena, &doc, NULL) == AR_OK) {
        for (struct ar_jiter it = ar_json_iter(ar_json_root(&doc)); !found && ar_json_next(&it);) {
            found = ar_str_is(ar_json_esc(ar_json_get_lit(it.val, "id")), id);
            *ret = ar_json_raw(it.val);
        }
    }
    ar_kept_done(&k);
    return found;
}

static bool is_reference(struct ar_jval item)
{
    return ar_str_is_lit(ar_json_esc(ar_json_get_lit(item, "type")), "item_reference");
}

/* This turn's items, references replaced by what they name. false: *ret_id is nobody's here. */
static bool resolve(struct ar_flow *f, struct ar_jval input, struct ar_str *ret_items,
                    struct ar_str *ret_id)
{
    struct ar_buf out;
    bool good = true;
    ar_buf_init(&out, f->body.max);
    for (struct ar_jiter it = ar_json_iter(input); good && ar_json_next(&it);) {
        struct ar_str item = ar_json_raw(it.val);
        if (!ar_compact_open(it.val, &f->arena, &item) && is_reference(it.val)) {
            *ret_id = ar_json_esc(ar_json_get_lit(it.val, "id"));
            good = find_item(f, *ret_id, &item);
        }
        if (out.n > 0) {
            ar_buf_char(&out, ',');
        }
        ar_buf_str(&out, item);
    }
    good = good && ar_buf_finish(&out) == AR_OK;
    if (good) {
        *ret_items = ar_arena_copy(&f->arena, ar_buf_view(&out));
    }
    ar_buf_done(&out);
    return good && ret_items->p;
}

static bool is_named(struct ar_str key, const struct ar_str *names, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (ar_str_is(key, names[i])) {
            return true;
        }
    }
    return false;
}

void ar_recall_body(struct ar_jval root, struct ar_str chain, struct ar_str items,
                    const struct ar_str *skip, unsigned skips, struct ar_buf *out)
{
    static const struct ar_str STATE[] = {AR_LIT_INIT("input"), AR_LIT_INIT("conversation"),
                                          AR_LIT_INIT("previous_response_id")};
    struct ar_jw w = ar_jw_on(out);
    ar_jw_open(&w, '{');
    ar_jw_key(&w, "input");
    ar_buf_char(out, '[');
    ar_buf_str(out, chain);
    if (chain.n > 0 && items.n > 0) {
        ar_buf_char(out, ',');
    }
    ar_buf_str(out, items);
    ar_buf_char(out, ']');
    w.comma = true;
    for (struct ar_jiter it = ar_json_iter(root); ar_json_next(&it);) {
        if (!is_named(it.key, STATE, sizeof STATE / sizeof *STATE) &&
            !is_named(it.key, skip, skips)) {
            ar_jw_key_dec(&w, it.key);
            ar_jw_raw(&w, ar_json_raw(it.val));
        }
    }
    ar_jw_close(&w, '}');
}

/* The body anew, without what names the state. */
static enum ar_code rewrite(struct ar_flow *f, struct ar_jval root, struct ar_str chain)
{
    struct ar_recalled *r = &f->recalled;
    struct ar_buf out;
    ar_buf_init(&out, f->body.max);
    (void)ar_buf_reserve(&out, f->body.n + chain.n + 64);
    ar_recall_body(root, chain, r->items, NULL, 0, &out);
    enum ar_code code = ar_buf_finish(&out);
    if (code != AR_OK) {
        ar_buf_done(&out);
        return code;
    }
    r->asked = f->outlined.doc; /* the answer repeats what the client said, and the items of */
    r->asked_body = f->body;    /* this turn lie there */
    f->body = out;
    r->is_expanded = true;
    struct ar_err err = {0};
    return f->dialect->outline(ar_buf_view(&f->body), &f->arena, &f->outlined, &err);
}

/* Finds the end of the chain: the id of a response of ours; n 0: there is none. */
static enum ar_next find_head(struct ar_flow *f, struct ar_str *ret_head, bool *ret_bound)
{
    struct ar_talk talk;
    struct ar_outline *o = &f->outlined;
    struct ar_jval root = ar_json_root(&o->doc);
    *ret_bound = false;
    if (o->conversation.n == 0 && !ar_json_is_nil(ar_json_get_lit(root, "conversation"))) {
        return fail_missing(f, AR_INVALID_REQUEST, "conversation",
                            AR_LIT("conversation must be an id, or an object with one"));
    }
    if (o->previous_id.n == 0 && !ar_json_is_nil(ar_json_get_lit(root, "previous_response_id"))) {
        return fail_missing(f, AR_INVALID_REQUEST, "previous_response_id",
                            AR_LIT("previous_response_id must be the id of a response"));
    }
    if (o->previous_id.n > 0 && o->conversation.n > 0) {
        return fail_missing(f, AR_INVALID_REQUEST, "previous_response_id",
                            AR_LIT("previous_response_id and conversation exclude each other"));
    }
    if (o->conversation.n > 0) {
        if (!ar_talk_get(responses(f), ar_flow_tenant(f), o->conversation, now_ms(), &talk)) {
            *ret_bound = bind_to_account(f, o->conversation) || ar_flow_may_be_elsewhere(f);
            return *ret_bound
                       ? AR_MORE
                       : fail_missing(f, AR_PREVIOUS_NOT_FOUND, "conversation",
                                      ar_arena_fmt(&f->arena,
                                                   "Conversation with id '%.*s' not found.",
                                                   AR_FMT(ar_str_head(o->conversation, 80))));
        }
        *ret_head = ar_arena_copy(&f->arena, talk.head);
        f->recalled.talk = o->conversation;
        ar_talk_done(&talk);
        return AR_MORE;
    }
    *ret_head = o->previous_id;
    return AR_MORE;
}

static struct ar_str not_found(struct ar_flow *f, struct ar_str id)
{
    return ar_arena_fmt(&f->arena, "Previous response with id '%.*s' not found.",
                        AR_FMT(ar_str_head(id, 80)));
}

/* May an upstream know an id that we do not? Only one that speaks the dialect itself and gets the
 * caller's own key, or is meant by name. */
bool ar_flow_may_be_elsewhere(const struct ar_flow *f)
{
    const struct ar_upstreams *all = f->snapshot->upstreams;
    for (unsigned i = 0; i < all->n; i++) {
        const struct ar_upstream *u = &all->v[i];
        if (u->passthrough && ar_upstream_speaks(u, f->dialect)) {
            return true;
        }
    }
    return false;
}

static enum ar_next expand(struct ar_flow *f, struct ar_jval root, struct ar_str head)
{
    struct ar_buf chain;
    struct ar_str missing = {NULL, 0};
    ar_buf_init(&chain, f->body.max);
    enum ar_code code = head.n == 0 ? AR_OK
                                    : ar_kept_chain(responses(f), ar_flow_tenant(f), head,
                                                    &f->arena, now_ms(), &chain, &missing);
    f->recalled.previous = head;
    if (code == AR_OK) {
        code = rewrite(f, root, ar_buf_view(&chain));
    }
    ar_buf_done(&chain);
    if (code == AR_RESPONSE_NOT_FOUND) {
        f->recalled.previous = (struct ar_str){NULL, 0};
        if (ar_str_is(missing, f->outlined.previous_id) &&
            (bind_to_account(f, missing) || ar_flow_may_be_elsewhere(f))) {
            return ar_flow_to(f, &ar_step_plan);
        }
        return fail_missing(f, AR_PREVIOUS_NOT_FOUND, "previous_response_id",
                            not_found(f, missing));
    }
    if (code == AR_INVALID_REQUEST) {
        return fail_missing(f, code, "previous_response_id",
                            AR_LIT("the previous response is still in progress"));
    }
    return code == AR_OK ? ar_flow_to(f, &ar_step_plan)
                         : ar_flow_fail(f, code, "the history is over body_limit");
}

enum ar_next ar_run_recall(struct ar_flow *f)
{
    static const struct ar_str REFERENCE = AR_LIT_INIT("\"item_reference\"");
    static const struct ar_str SUMMARY = AR_LIT_INIT("\"ar1.other.encrypted.summary.");
    struct ar_outline *o = &f->outlined;
    struct ar_recalled *r = &f->recalled;
    struct ar_str head = {NULL, 0}, missing = {NULL, 0};
    bool bound;
    bool held = responses(f) != NULL;
    bool refers = ar_str_has(ar_buf_view(&f->body), SUMMARY) ||
                  (held && ar_str_has(ar_buf_view(&f->body), REFERENCE));
    if (!held && (!refers || o->previous_id.n > 0 || o->conversation.n > 0)) {
        return ar_flow_to(f, &ar_step_plan);
    }
    struct ar_jval root = ar_json_root(&o->doc), input = ar_json_get_lit(root, "input");
    r->keeps = held && f->op == AR_OP_GENERATE && (o->store != AR_SET || o->store_on);
    if (!r->keeps && !refers && o->previous_id.n == 0 && o->conversation.n == 0) {
        return ar_flow_to(f, &ar_step_plan);
    }
    if (find_head(f, &head, &bound) != AR_MORE || f->step == &ar_step_refuse) {
        return AR_MORE;
    }
    if (bound) {
        return ar_flow_to(f, &ar_step_plan);
    }
    bool is_plain = head.n == 0 && r->talk.n == 0 && !refers;
    if (!is_plain && !check_input(f, input)) {
        return AR_MORE;
    }
    r->is_hidden = r->talk.n > 0 && !r->keeps && f->op == AR_OP_GENERATE;
    r->keeps |= r->is_hidden;
    r->items = ar_recall_items(input, &f->arena);
    if (refers && !resolve(f, input, &r->items, &missing)) {
        if (bind_to_account(f, missing) || ar_flow_may_be_elsewhere(f)) {
            return ar_flow_to(f, &ar_step_plan);
        }
        return fail_missing(f, AR_PREVIOUS_NOT_FOUND, "input",
                            ar_arena_fmt(&f->arena, "Item with id '%.*s' not found.",
                                         AR_FMT(ar_str_head(missing, 80))));
    }
    if (r->talk.n > 0) {
        r->items = ar_stored_with_ids(f, r->items);
    }
    return is_plain ? ar_flow_to(f, &ar_step_plan) : expand(f, root, head);
}

/* Items of an input; a bare string is one. */
static uint32_t count_items(const struct ar_jdoc *body)
{
    struct ar_jval input = ar_json_get_lit(ar_json_root(body), "input");
    return ar_json_is(input, AR_J_ARRAY) ? ar_json_count(input) : !ar_json_is_nil(input);
}

static void shift_place(const struct ar_flow *f, char *at, size_t size, bool is_note)
{
    struct ar_str place = ar_str_of(at), rest;
    int64_t index;
    char text[512];
    if (!f->recalled.is_expanded || !ar_str_has_prefix(place, AR_LIT("input["))) {
        return;
    }
    rest = ar_str_from(place, sizeof "input[" - 1);
    size_t end = ar_str_find_char(rest, ']');
    int64_t before = (int64_t)count_items(&f->outlined.doc) - count_items(&f->recalled.asked);
    if (ar_str_to_i64(ar_str_head(rest, end), 0, INT32_MAX, &index) != AR_OK || before <= 0) {
        return;
    }
    if (index >= before) {
        (void)snprintf(text, sizeof text, "input[%lld%.*s", (long long)(index - before),
                       AR_FMT(ar_str_from(rest, end)));
        size_t n = strlen(text) < size ? strlen(text) : size - 1;
        memcpy(at, text, n);
        at[n] = '\0';
    } else if (!is_note) {
        (void)snprintf(at, size, "%s",
                       f->recalled.talk.n > 0 ? "conversation" : "previous_response_id");
    }
}

void ar_recall_place(const struct ar_flow *f, struct ar_err *err)
{
    shift_place(f, err->at, sizeof err->at, false);
    shift_place(f, err->note, sizeof err->note, true);
}

void ar_flow_decoded(struct ar_flow *f)
{
    if (!f->recalled.keeps) {
        return;
    }
    f->request->is_stored = !f->recalled.is_hidden;
    if (f->recalled.is_expanded) {
        f->request->wire = &f->recalled.asked;
    }
    for (struct ar_ext **at = &f->request->ext; *at;) {
        if (ar_str_is_lit((*at)->name, "background")) {
            *at = (*at)->next;
        } else {
            at = &(*at)->next;
        }
    }
}

/* --- thinking --- */

void ar_flow_restore(struct ar_flow *f)
{
    enum ar_vendor vendor = f->seat.spec.target.vendor;
    unsigned bit = 1U << (unsigned)vendor;
    if (!f->worker->recall || !f->request || f->unsigned_history ||
        (vendor != AR_VENDOR_ANTHROPIC && vendor != AR_VENDOR_GOOGLE) ||
        (f->recalled.restored_for & bit)) {
        return;
    }
    f->recalled.restored_for |= bit;
    (void)ar_signatures_restore(f->worker->recall->signatures, ar_flow_tenant(f), f->request,
                                vendor, &f->arena, now_ms());
}

void ar_flow_forget(struct ar_flow *f)
{
    if (f->worker->recall && f->request && f->recalled.restored_for) {
        ar_signatures_forget(f->worker->recall->signatures, ar_flow_tenant(f), f->request,
                             now_ms());
    }
}

/* --- the answer --- */

/* The id that an upstream gave its answer is remembered with the key that was used. */
static void note_account(struct ar_flow *f, const struct ar_event *ev)
{
    const struct ar_candidate *c = f->seat.cand;
    if (f->recalled.has_noted || f->dialect->id != AR_DIALECT_RESPONSES || !ev->answer ||
        ev->answer->id.n == 0 || (f->outlined.store == AR_SET && !f->outlined.store_on)) {
        return;
    }
    struct ar_account_of of = {c->upstream->name, ar_str_of(c->key_print)};
    ar_accounts_put(f->worker->recall->accounts, ar_flow_tenant(f), ev->answer->id, &of, now_ms());
    f->recalled.has_noted = true;
}

/* Most answers have nothing to be remembered: for those no caller is told apart. */
static bool has_thinking(const struct ar_response *r)
{
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        if (b->sig || b->kind == AR_THINKING) {
            return true;
        }
    }
    return false;
}

void ar_flow_watch(struct ar_flow *f, const struct ar_event *ev)
{
    struct ar_recall *r = f->worker->recall;
    if (!r || f->op != AR_OP_GENERATE) {
        return;
    }
    if (f->seat.native) {
        note_account(f, ev);
        return;
    }
    if (ev->kind == AR_EV_WHOLE) {
        if (has_thinking(ev->answer)) {
            ar_signatures_note(r->signatures, ar_flow_tenant(f), ev->answer, now_ms());
        }
        return;
    }
    ar_signature_tap_put(&f->recalled.tap, ev);
    if (ev->kind == AR_EV_END && f->recalled.tap.fold) {
        ar_signature_tap_note(&f->recalled.tap, r->signatures, ar_flow_tenant(f), now_ms());
    }
}

/* Where the answer's items are, for references to them. */
static void note_items(struct ar_flow *f, struct ar_jval output, struct ar_str id)
{
    struct ar_account_of of = {AR_LIT(""), id};
    for (struct ar_jiter it = ar_json_iter(output); ar_json_next(&it);) {
        struct ar_str item = ar_json_esc(ar_json_get_lit(it.val, "id"));
        if (item.n > 0) {
            ar_accounts_put(f->worker->recall->accounts, ar_flow_tenant(f), item, &of, now_ms());
        }
    }
}

/* In the place of the run's own beginning, unless that was cancelled. */
static bool end_run(struct ar_flow *f, struct ar_str id, const struct ar_kept *k)
{
    struct ar_kept seen;
    if (!ar_kept_get(responses(f), ar_flow_tenant(f), id, now_ms(), &seen)) {
        return false;
    }
    bool ended = seen.state == AR_KEPT_RUNNING &&
                 ar_kept_replace(responses(f), ar_flow_tenant(f), id, &seen, k, now_ms());
    ar_kept_done(&seen);
    return ended;
}

static void put(struct ar_flow *f, struct ar_str id, struct ar_kept *k)
{
    struct ar_recalled *r = &f->recalled;
    struct ar_recall_table *t = responses(f);
    struct ar_str previous;
    bool kept = r->is_run ? end_run(f, id, k) : ar_kept_put(t, ar_flow_tenant(f), id, k, now_ms());
    if (kept && r->talk.n > 0 &&
        ar_talk_append(t, ar_flow_tenant(f), r->talk, id, &f->arena, now_ms(), &previous) &&
        !ar_str_is(previous, k->previous)) { /* another turn ended meanwhile: behind it */
        k->previous = previous;
        (void)ar_kept_put(t, ar_flow_tenant(f), id, k, now_ms());
    }
}

static void keep(struct ar_flow *f, struct ar_str json)
{
    static const struct ar_str KEYS[] = {AR_LIT_INIT("id"), AR_LIT_INIT("output")};
    struct ar_jdoc doc;
    struct ar_jval v[2] = {{0}};
    struct ar_arena a;
    ar_arena_init(&a, (size_t)f->snapshot->config->limits_request_memory);
    if (responses(f) && ar_json_parse(json, 3, &a, &doc, NULL) == AR_OK) {
        ar_json_pick(ar_json_root(&doc), KEYS, 2, v);
        struct ar_str id = f->recalled.is_run ? ar_run_id(f) : ar_json_esc(v[0]),
                      output = ar_json_raw(v[1]);
        if (id.n > 0 && ar_json_is(v[1], AR_J_ARRAY)) {
            struct ar_kept k = {.state = AR_KEPT_DONE,
                                .previous = f->recalled.previous,
                                .input = f->recalled.items,
                                .output = ar_str_n(output.p + 1, output.n - 2),
                                .whole = json};
            if (f->recalled.is_hidden) { /* under a name that nobody was told */
                id = ar_arena_fmt(&a, "turn_%.*s", AR_FMT(id));
            }
            put(f, id, &k);
            note_items(f, v[1], id);
        }
    }
    ar_arena_done(&a);
}

void ar_flow_keep_whole(struct ar_flow *f, struct ar_str json)
{
    if (f->recalled.keeps && f->dialect->id == AR_DIALECT_RESPONSES) {
        keep(f, json);
    }
}

void ar_flow_keep_frames(struct ar_flow *f, struct ar_str frames)
{
    static const struct ar_str ENDS[] = {AR_LIT_INIT("event: response.completed\n"),
                                         AR_LIT_INIT("event: response.incomplete\n")};
    static const struct ar_str MEMBER = AR_LIT_INIT("\"response\"");
    struct ar_jdoc doc;
    struct ar_arena a;
    if (!f->recalled.keeps || f->dialect->id != AR_DIALECT_RESPONSES) {
        return;
    }
    size_t at = ar_str_find(frames, ENDS[0]);
    at = at < frames.n ? at : ar_str_find(frames, ENDS[1]);
    struct ar_str frame = ar_str_from(frames, at);
    struct ar_str data = ar_str_from(frame, ar_str_find(frame, AR_LIT("data: ")) + 6);
    data = ar_str_head(data, ar_str_find_char(data, '\n'));
    if (!ar_str_has(data, MEMBER)) {
        return;
    }
    ar_arena_init(&a, (size_t)f->snapshot->config->limits_request_memory);
    if (ar_json_parse(data, 2, &a, &doc, NULL) == AR_OK) {
        struct ar_jval whole = ar_json_get_lit(ar_json_root(&doc), "response");
        if (ar_json_is(whole, AR_J_OBJECT)) {
            keep(f, ar_json_raw(whole));
        }
    }
    ar_arena_done(&a);
}

void ar_flow_recall_done(struct ar_flow *f)
{
    ar_signature_tap_done(&f->recalled.tap);
    ar_buf_done(&f->recalled.asked_body);
    ar_tape_drop(f->recalled.tape);
    f->recalled.tape = NULL;
}
