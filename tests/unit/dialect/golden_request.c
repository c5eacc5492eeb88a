/*
 * A request case: the client's body is decoded, sealed and encoded for each target, and compared.
 * What must hold for every request is checked besides: the outline agrees, encoding is
 * deterministic, the result can be read again, and a history that has grown keeps its beginning.
 */
#include "dialect/golden_case.h"

struct asked {
    struct ar_str body;
    struct golden_target t;
    struct ar_request *r;
    struct ar_losses sealing;
};

/* Decodes and seals. */
static enum ar_code read_request(struct golden *g, struct asked *q, struct ar_str body,
                                 struct ar_err *err)
{
    *err = (struct ar_err){.code = AR_OK};
    q->body = body;
    q->sealing = (struct ar_losses){.strict = q->t.strict};
    enum ar_code code = g->own->decode_request(body, &q->t.in, q->t.op, &g->a, &q->r, err);
    return code == AR_OK ? ar_request_seal(q->r, &g->a, &q->sealing, err) : code;
}

static enum ar_code encode(struct golden *g, const struct asked *q, const struct ar_dialect *d,
                           struct ar_losses *l, struct ar_encoded *ret)
{
    struct ar_target t = golden_target_for(g, &q->t, d);
    if (!q->t.has_stream) {
        t.stream = q->r->stream;
    }
    struct ar_target *copy = ar_arena_new(&g->a, struct ar_target);
    *copy = t;
    struct ar_buf *body = ar_arena_new(&g->a, struct ar_buf);
    ar_buf_init(body, 64 << 20);
    *ret = (struct ar_encoded){.body = body};
    *l = (struct ar_losses){.strict = q->t.strict};
    ar_losses_merge(l, &q->sealing);
    enum ar_code code = d->encode_request(q->r, q->t.op, copy, &g->a, l, ret);
    struct ar_buf out = *body; /* into the arena, so that nobody has to free it */
    *body = (struct ar_buf){.n = out.n,
                            .p = (char *)(uintptr_t)ar_arena_copy(&g->a, ar_buf_view(&out)).p};
    ar_buf_done(&out);
    return code;
}

/* Are model and streaming in the path, not in the body? */
static bool is_named_by_path(const struct ar_dialect *d)
{
    return strstr(d->path_generate, "{model}") != NULL;
}

static void check_outline(struct golden *g, const struct asked *q)
{
    struct ar_outline o = {.max_out_tokens = -1};
    struct ar_err err = {.code = AR_OK};
    if (g->own->outline(q->body, &g->a, &o, &err) != AR_OK) {
        golden_bad(g, "outline refuses what decode_request takes: %s: %s", err.at, err.note);
        return;
    }
    if (!ar_str_is(o.model, q->r->model) || o.stream != q->r->stream || o.body_bytes != q->body.n) {
        golden_bad(g, "outline: model, stream or size differ from the decoded request");
    }
    struct ar_str at = ar_str_n(q->body.p + o.model_at.at, o.model_at.n);
    bool named = is_named_by_path(g->own);
    if (named ? o.model_at.n > 0 : o.model_at.n < 2 || at.p[0] != '"' || at.p[at.n - 1] != '"') {
        golden_bad(g, "outline: model_at is no string: %.*s", AR_FMT(at));
    }
    if (o.brace_at == 0 || q->body.p[o.brace_at - 1] != '{') {
        golden_bad(g, "outline: brace_at is not after a brace");
    }
}

/* Every native edit leaves valid JSON with the model in it. */
static void check_edits(struct golden *g, const struct asked *q)
{
    struct ar_outline o = {.max_out_tokens = -1};
    struct ar_err err;
    if (g->own->outline(q->body, &g->a, &o, &err) != AR_OK) {
        return;
    }
    for (unsigned bits = 0; bits < 8; bits++) {
        struct ar_edit_wish w = {AR_LIT("other-model"), bits & 1, bits & 2, bits & 4};
        struct ar_edit edits[AR_EDITS_MAX];
        struct ar_str pieces[2 * AR_EDITS_MAX + 1], text = {"", 0};
        unsigned n = ar_native_edits(q->body, &o, &w, &g->a, edits);
        n = ar_edits_apply(q->body, edits, n, pieces);
        for (unsigned i = 0; i < n; i++) {
            text = ar_arena_fmt(&g->a, "%.*s%.*s", AR_FMT(text), AR_FMT(pieces[i]));
        }
        struct ar_jdoc doc;
        if (ar_json_parse(text, 2, &g->a, &doc, &err) != AR_OK) {
            golden_bad(g, "native edits %u break the body: %.*s", bits, AR_FMT(text));
            continue;
        }
        struct ar_jval root = ar_json_root(&doc);
        struct ar_str model = ar_json_esc(ar_json_get_lit(root, "model"));
        if ((!is_named_by_path(g->own) && !ar_str_is_lit(model, "other-model")) ||
            (!w.keep_wishes && o.wishes.n > 0 && ar_json_get_lit(root, "provider").doc) ||
            (w.force_whole && ar_json_is(ar_json_get_lit(root, "stream"), AR_J_TRUE))) {
            golden_bad(g, "native edits %u are not in the body: %.*s", bits, AR_FMT(text));
        }
    }
}

static struct ar_jval parse(struct golden *g, struct ar_str text)
{
    struct ar_jdoc *doc = ar_arena_new(&g->a, struct ar_jdoc);
    return ar_json_parse(text, AR_JSON_DEPTH, &g->a, doc, NULL) == AR_OK
               ? ar_json_root(doc)
               : (struct ar_jval){NULL, 0};
}

/* The history of a request in any dialect. */
static struct ar_jval list_of(struct ar_jval request)
{
    static const char *const NAMES[] = {"messages", "input", "contents"};
    struct ar_jval list = {NULL, 0};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES && !list.doc; i++) {
        list = ar_json_get(request, ar_str_of(NAMES[i]));
    }
    return list;
}

/* Is the shorter history's encoding the beginning of the longer one's? */
static bool is_prefix(struct ar_jval shorter, struct ar_jval longer)
{
    static const char *const SAME[] = {"system", "instructions", "systemInstruction", "tools"};
    for (unsigned i = 0; i < sizeof SAME / sizeof *SAME; i++) {
        struct ar_jval x = ar_json_get(shorter, ar_str_of(SAME[i])),
                       y = ar_json_get(longer, ar_str_of(SAME[i]));
        if (!ar_str_is(ar_json_raw(x), ar_json_raw(y))) {
            return false;
        }
    }
    struct ar_jiter a = ar_json_iter(list_of(shorter)), b = ar_json_iter(list_of(longer));
    while (ar_json_next(&a)) {
        if (!ar_json_next(&b) || !ar_str_is(ar_json_raw(a.val), ar_json_raw(b.val))) {
            return false;
        }
    }
    return true;
}

/* Is the element of a history something that the model said? */
static bool is_answer(struct ar_jval v)
{
    struct ar_str role = ar_json_esc(ar_json_get_lit(v, "role"));
    struct ar_str type = ar_json_esc(ar_json_get_lit(v, "type"));
    return ar_str_is_lit(role, "assistant") || ar_str_is_lit(role, "model") ||
           ar_str_is_lit(type, "reasoning") || ar_str_has_suffix(type, AR_LIT("_call"));
}

/* P-014: the history as it was before each answer gives the same beginning. */
static void check_prefix(struct golden *g, const struct asked *q, const struct ar_dialect *d,
                         struct ar_str whole)
{
    struct ar_jval messages = list_of(parse(g, q->body));
    struct ar_str list = ar_json_raw(messages);
    for (uint32_t k = 1; k < ar_json_count(messages); k++) {
        struct ar_jval next = ar_json_at(messages, k), last = ar_json_at(messages, k - 1);
        if (!is_answer(next) || is_answer(last)) {
            continue;
        }
        struct ar_str raw = ar_json_raw(last);
        struct ar_str head = ar_str_n(q->body.p, (size_t)(raw.p + raw.n - q->body.p));
        struct ar_str tail = ar_str_from(q->body, (size_t)(list.p + list.n - 1 - q->body.p));
        struct asked earlier = {.t = q->t};
        struct ar_err err;
        struct ar_losses l;
        struct ar_encoded out;
        struct ar_str body = ar_arena_fmt(&g->a, "%.*s%.*s", AR_FMT(head), AR_FMT(tail));
        if (read_request(g, &earlier, body, &err) != AR_OK ||
            encode(g, &earlier, d, &l, &out) != AR_OK) {
            continue;
        }
        if (!is_prefix(parse(g, ar_buf_view(out.body)), parse(g, whole))) {
            golden_bad(g,
                       "to %s: the history before message %u gives other bytes:\n      then %.*s\n "
                       "     now  %.*s",
                       d->name, k, AR_FMT(ar_buf_view(out.body)), AR_FMT(whole));
            return;
        }
    }
}

static void check_encoding(struct golden *g, const struct asked *q, const struct ar_dialect *d,
                           struct ar_str body)
{
    struct ar_losses l;
    struct ar_encoded again;
    if (encode(g, q, d, &l, &again) != AR_OK ||
        !ar_str_is(ar_buf_view(again.body), body)) { /* P-013 */
        golden_bad(g, "to %s: encoding twice gives other bytes", d->name);
    }
    struct ar_request *back;
    struct ar_err err = {.code = AR_OK};
    struct ar_wire_in in = {{NULL, 0}, {NULL, 0}, NULL};
    for (unsigned i = 0; i < again.header_count; i++) {
        if (ar_str_is_lit(again.headers[i].name, "anthropic-version")) {
            in.version = again.headers[i].value;
        }
    }
    if (d->decode_request(body, &in, q->t.op, &g->a, &back, &err) != AR_OK) {
        golden_bad(g, "to %s: the result cannot be read again: %s: %s", d->name, err.at, err.note);
    }
    if (q->t.check_prefix) {
        check_prefix(g, q, d, body);
    }
}

static void compare_headers(struct golden *g, const struct ar_encoded *e)
{
    struct ar_str text = {"", 0};
    for (unsigned i = 0; i < e->header_count; i++) {
        text = ar_arena_fmt(&g->a, "%.*s%.*s: %.*s\n", AR_FMT(text), AR_FMT(e->headers[i].name),
                            AR_FMT(e->headers[i].value));
    }
    golden_compare(g, "headers.txt", GOLDEN_TEXT, text, false);
}

static void compare_undo(struct golden *g, const struct ar_encoded *e)
{
    static const char *const HOW[] = {"name", "freeform", "json_text", "value"};
    struct ar_str text = {"", 0};
    for (const struct ar_undo *u = e->undo; u; u = u->next) {
        text = ar_arena_fmt(&g->a, "%.*s%s %.*s -> %.*s\n", AR_FMT(text), HOW[u->how],
                            AR_FMT(u->sent), AR_FMT(u->name));
    }
    for (const struct ar_name *s = e->stops; s; s = s->next) {
        text = ar_arena_fmt(&g->a, "%.*sstop %.*s\n", AR_FMT(text), AR_FMT(s->s));
    }
    golden_compare(g, "undo.txt", GOLDEN_TEXT, text, false);
}

static void run_target(struct golden *g, const struct asked *q, const struct ar_dialect *d)
{
    bool one = q->t.only != NULL;
    const char *to = golden_name(g, "to-%s.json", d);
    const char *warnings = one ? "warnings.txt" : golden_name(g, "warnings-%s.txt", d);
    const char *refused = one ? "refused.txt" : golden_name(g, "refused-%s.txt", d);
    struct ar_losses l;
    struct ar_encoded out;
    enum ar_code code = encode(g, q, d, &l, &out);
    if (code != AR_OK) {
        bool told = golden_compare(g, refused, GOLDEN_TEXT, ar_str_of(l.field), false);
        if (golden_has(g, to) || (one && !told)) {
            golden_bad(g, "to %s: refused: %s %s: %s", d->name, ar_code_name(code), l.field, l.why);
        }
        if (code != AR_LOSSY || !l.refused) {
            golden_bad(g, "to %s: failed with %s, and names no field", d->name, ar_code_name(code));
        }
        return;
    }
    if (golden_has(g, refused)) {
        golden_bad(g, "to %s: was not refused: %.*s", d->name, AR_FMT(ar_buf_view(out.body)));
        return;
    }
    bool told = golden_compare(g, to, GOLDEN_JSON, ar_buf_view(out.body), false);
    golden_compare(g, warnings, GOLDEN_TEXT, ar_str_n(l.text, l.n), told);
    if (one) {
        compare_headers(g, &out);
        compare_undo(g, &out);
    }
    check_encoding(g, q, d, ar_buf_view(out.body));
}

void golden_request(struct golden *g)
{
    struct asked q;
    struct ar_err err;
    golden_target_read(g, &q.t);
    enum ar_code code = read_request(g, &q, kit_read(g->dir, "client.json", &g->a), &err);
    if (code != AR_OK) {
        struct ar_str got = code == AR_LOSSY ? ar_str_of(q.sealing.field)
                                             : ar_arena_fmt(&g->a, "invalid %s", err.at);
        if (!golden_compare(g, "refused.txt", GOLDEN_TEXT, got, false)) {
            golden_bad(g, "cannot be read: %s: %s: %s", ar_code_name(code), err.at, err.note);
        }
        return;
    }
    check_outline(g, &q);
    check_edits(g, &q);
    for (unsigned i = 0; i < AR_DIALECT_COUNT; i++) {
        const struct ar_dialect *d = ar_dialect_by_id(i);
        if (d->encode_request && (!q.t.only || q.t.only == d)) { /* some only face clients */
            run_target(g, &q, d);
        }
    }
}
