/* Whole answers, both roles: Anthropic's message object -> IR, IR -> message object; and the
 * observer of native answers, which reads how it ended and what it cost without making an IR
 * (PROTOCOLS 3.8, 7). A thinking block shown to a client is always signed: clients treat an empty
 * signature as a broken block (5.6). Owns nothing but a scratch arena. */
#include "dialect/anthropic/anthropic.h"

#include "ir/opaque.h"
#include "base/id.h"
#include "ir/undo.h"

/* The answer as JSON, or why it is none. */
static enum ar_code parse_answer(struct ar_str body, unsigned keep_depth, struct ar_arena *a,
                                 struct ar_jdoc *doc, struct ar_fault *ret_fault)
{
    struct ar_err err = {0};
    enum ar_code code = ar_json_parse(body, keep_depth, a, doc, &err);
    if (code == AR_TOO_LARGE) {
        *ret_fault = (struct ar_fault){
            .code = AR_UPSTREAM_ERROR, .blame = AR_OF_UPSTREAM, .retry_after_ms = -1};
        ret_fault->message = AR_LIT("the upstream's answer is over the size limit");
        return code;
    }
    struct ar_jval root = code == AR_OK ? ar_json_root(doc) : (struct ar_jval){0};
    bool failed = ar_str_is_lit(ar_json_esc(ar_json_get_lit(root, "type")), "error") ||
                  !ar_json_is_nil(ar_json_get_lit(root, "error"));
    if (ar_json_is(root, AR_J_OBJECT) && !failed &&
        ar_json_is(ar_json_get_lit(root, "content"), AR_J_ARRAY)) {
        return AR_OK;
    }
    if (failed) {
        ar_anthropic_decode_error(200, body, a, ret_fault);
    } else {
        *ret_fault = (struct ar_fault){
            .code = AR_UPSTREAM_ERROR, .blame = AR_OF_PLACE, .retry_after_ms = -1};
        ret_fault->message = AR_LIT("the upstream's answer is not a message");
    }
    return ret_fault->code;
}

static struct ar_str text_or_none(struct ar_jval v, struct ar_arena *a)
{
    return ar_json_is(v, AR_J_STRING) ? ar_json_unescape_in(ar_json_esc(v), a) : (struct ar_str){0};
}

static void read_facts(struct ar_jval root, struct ar_jval usage, struct ar_arena *a,
                       struct ar_response *r)
{
    struct ar_anthropic_usage u;
    r->id = text_or_none(ar_json_get_lit(root, "id"), a);
    r->model = text_or_none(ar_json_get_lit(root, "model"), a);
    r->service_tier = text_or_none(ar_json_get_lit(usage, "service_tier"), a);
    ar_anthropic_usage_clear(&u);
    ar_anthropic_usage_read(&u, usage);
    r->usage = ar_anthropic_usage_ir(&u);
}

enum ar_code ar_anthropic_decode_response(struct ar_str body, const struct ar_read_how *how,
                                          struct ar_arena *a, struct ar_response **ret,
                                          struct ar_fault *ret_fault)
{
    struct ar_jdoc doc;
    struct ar_err err = {0};
    enum ar_code code = parse_answer(body, AR_JSON_DEPTH, a, &doc, ret_fault);
    if (code != AR_OK) {
        return code;
    }
    const struct ar_target *t = how ? how->target : NULL;
    struct ar_anthropic_in rd = {
        .a = a, .err = &err, .vendor = t ? t->vendor : AR_VENDOR_ANTHROPIC};
    rd.account =
        t && (t->caps & AR_CAP(ACCOUNT_BOUND_THINKING)) && t->account.p ? t->account : AR_LIT("");
    struct ar_jval root = ar_json_root(&doc);
    struct ar_response *r = ar_arena_new(a, struct ar_response);
    code = r ? ar_anthropic_read_content(&rd, ar_json_get_lit(root, "content"), AR_IN_ANSWER,
                                         &r->blocks)
             : AR_TOO_LARGE;
    if (code == AR_OK) {
        read_facts(root, ar_json_get_lit(root, "usage"), a, r);
        r->has_stop = ar_anthropic_read_stop(root, a, &r->stop);
        code = ar_arena_finish(a);
    }
    if (code != AR_OK) {
        *ret_fault = (struct ar_fault){
            .code = AR_UPSTREAM_ERROR, .blame = AR_OF_PLACE, .retry_after_ms = -1};
        ret_fault->message = err.note[0] ? ar_arena_copy(a, ar_str_of(err.note))
                                         : AR_LIT("the upstream's answer cannot be read");
        return code;
    }
    *ret = r;
    return AR_OK;
}

enum ar_code ar_anthropic_observe(struct ar_str body, struct ar_arena *a, struct ar_response *ret,
                                  struct ar_fault *ret_fault)
{
    struct ar_jdoc doc, inner;
    enum ar_code code = parse_answer(body, 1, a, &doc, ret_fault);
    if (code != AR_OK) {
        return code;
    }
    struct ar_jval root = ar_json_root(&doc), usage = ar_json_get_lit(root, "usage");
    *ret = (struct ar_response){0};
    inner = (struct ar_jdoc){0};
    if (ar_json_is(usage, AR_J_OBJECT) &&
        ar_json_parse(ar_json_raw(usage), AR_JSON_DEPTH, a, &inner, NULL) != AR_OK) {
        inner = (struct ar_jdoc){0};
    }
    read_facts(root, ar_json_root(&inner), a, ret);
    ret->has_stop = ar_anthropic_read_stop(root, a, &ret->stop);
    return AR_OK;
}

/* --- writing --- */

bool ar_anthropic_is_withheld(const struct ar_request *r)
{
    return r && r->set.show == AR_SHOW_OMITTED;
}

struct ar_str ar_anthropic_message_id(struct ar_str id, const struct ar_stamp *stamp, char *ret)
{
    if (id.n > 4 && ar_str_has_prefix(id, AR_LIT("msg_"))) {
        return id;
    }
    memcpy(ret, "msg_", 4);
    ar_id_base62(stamp->seed, "message", 0, 24, ret + 4);
    return ar_str_n(ret, 28);
}

void ar_anthropic_put_sig(struct ar_jw *w, const struct ar_opaque *sig)
{
    static const struct ar_opaque none = {.vendor = AR_VENDOR_OTHER,
                                          .form = AR_SIGNATURE,
                                          .family = {"", 0},
                                          .account = {"", 0},
                                          .data = {"", 0}};
    if (sig && sig->vendor == AR_VENDOR_ANTHROPIC && sig->data.n > 0) {
        ar_jw_text(w, sig->data);
        return;
    }
    ar_jw_raw(w, AR_LIT("\""));
    ar_opaque_wrap(sig ? sig : &none, w->out);
    ar_buf_char(w->out, '"');
}

bool ar_anthropic_put_citation(struct ar_jw *w, struct ar_str raw)
{
    struct ar_arena scratch;
    struct ar_jdoc doc;
    bool put = false;
    ar_arena_init(&scratch, 64 * raw.n + 4096);
    if (ar_json_parse(raw, AR_JSON_DEPTH, &scratch, &doc, NULL) == AR_OK) {
        struct ar_jval v = ar_json_root(&doc), url = ar_json_get_lit(v, "url_citation");
        struct ar_str type = ar_json_esc(ar_json_get_lit(v, "type"));
        if (ar_str_has_suffix(type, AR_LIT("_location"))) {
            ar_jw_raw(w, raw);
            put = true;
        } else if (ar_json_is(ar_json_get_lit(url, "url"), AR_J_STRING)) {
            struct ar_str title = ar_json_esc(ar_json_get_lit(url, "title"));
            ar_jw_open(w, '{');
            ar_jw_key_lit(w, "type", "web_search_result_location");
            ar_jw_key_lit(w, "cited_text", "");
            ar_jw_key_esc(w, "url", ar_json_esc(ar_json_get_lit(url, "url")));
            ar_jw_key_esc(w, "title", title.p ? title : AR_LIT(""));
            ar_jw_key(w, "encrypted_index");
            ar_anthropic_put_sig(w, NULL);
            ar_jw_close(w, '}');
            put = true;
        }
    }
    ar_arena_done(&scratch);
    return put;
}

static void put_citations(struct ar_jw *w, struct ar_str raw, struct ar_arena *a)
{
    struct ar_jdoc doc;
    ar_jw_key(w, "citations");
    if (!raw.p || ar_json_parse(raw, 1, a, &doc, NULL) != AR_OK) {
        ar_jw_null(w);
        return;
    }
    ar_jw_open(w, '[');
    for (struct ar_jiter it = ar_json_iter(ar_json_root(&doc)); ar_json_next(&it);) {
        (void)ar_anthropic_put_citation(w, ar_json_raw(it.val));
    }
    ar_jw_close(w, ']');
}

static void put_thinking(struct ar_jw *w, const struct ar_block *b, bool withheld)
{
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "thinking");
    ar_jw_key_esc(w, "thinking", withheld ? AR_LIT("") : b->text);
    ar_jw_key(w, "signature");
    ar_anthropic_put_sig(w, b->sig);
    ar_jw_close(w, '}');
}

static void put_text(struct ar_jw *w, const struct ar_block *b, struct ar_arena *a)
{
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "text");
    ar_jw_key_esc(w, "text", b->text);
    put_citations(w, b->citations, a);
    ar_jw_close(w, '}');
}

struct answer {
    struct ar_jw w;
    const struct ar_write_how *how;
    struct ar_losses *l;
    struct ar_arena *a;
    unsigned calls;
    bool refused;
};

static void put_call(struct answer *s, const struct ar_block *b)
{
    struct ar_jw *w = &s->w;
    bool thought = b->sig && b->sig->form == AR_THOUGHT_SIG;
    const struct ar_request *r = s->how->request;
    if (thought && r &&
        (r->set.reason_mode == AR_REASON_ADAPTIVE || r->set.reason_mode == AR_REASON_BUDGET)) {
        struct ar_block carrier = {.kind = AR_THINKING, .text = AR_LIT(""), .sig = b->sig};
        put_thinking(w, &carrier, false);
    }
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "tool_use");
    char id[64] = "toolu_";
    ar_jw_key(w, "id");
    if (b->id.n > 0) {
        ar_jw_text(w, b->id);
    } else {
        ar_id_base62(s->how->stamp.seed, "call", s->calls, 24, id + 6);
        ar_jw_text(w, ar_str_of(id));
    }
    s->calls++;
    ar_jw_key_text(w, "name", b->name);
    bool ok = ar_anthropic_put_input(w, b, s->a);
    ar_jw_key_raw(w, "caller", AR_LIT("{\"type\":\"direct\"}"));
    ar_jw_close(w, '}');
    if (!ok) {
        ar_note(s->l, AR_APPROXIMATED, "tool_use.input");
    }
}

static void put_block(struct answer *s, const struct ar_block *b)
{
    struct ar_jw *w = &s->w;
    struct ar_anthropic_search search;
    switch (b->kind) {
    case AR_REFUSAL:
        s->refused = true;
        __attribute__((fallthrough));
    case AR_TEXT:
        if (b->text.n > 0 || b->citations.n > 2) {
            put_text(w, b, s->a);
        }
        return;
    case AR_THINKING:
        put_thinking(w, b, ar_anthropic_is_withheld(s->how->request));
        return;
    case AR_REDACTED_THINKING:
        ar_jw_open(w, '{');
        ar_jw_key_lit(w, "type", "redacted_thinking");
        ar_jw_key(w, "data");
        ar_anthropic_put_sig(w, b->sig);
        ar_jw_close(w, '}');
        return;
    case AR_TOOL_USE:
        put_call(s, b);
        return;
    case AR_SERVER_TOOL_USE:
    case AR_SERVER_TOOL_RESULT:
    case AR_COMPACTION:
    case AR_OPAQUE_ITEM:
        if (b->vendor == AR_VENDOR_ANTHROPIC && b->raw.n > 0) {
            ar_jw_raw(w, b->raw);
        } else if (ar_anthropic_make_search(b, true, s->a, &search)) {
            ar_jw_raw(w, search.use.raw);
            ar_jw_raw(w, search.result.raw);
        }
        return;
    default:
        ar_note(s->l, AR_DROPPED,
                b->kind == AR_AUDIO   ? "audio"
                : b->kind == AR_IMAGE ? "image"
                                      : "content");
        return;
    }
}

enum ar_code ar_anthropic_encode_response(const struct ar_response *r,
                                          const struct ar_write_how *how, struct ar_losses *l,
                                          struct ar_buf *out)
{
    struct ar_arena scratch;
    char id[64];
    ar_arena_init(&scratch, out->max > SIZE_MAX / 8 ? SIZE_MAX : 8 * out->max + 65536);
    struct answer s = {.w = ar_jw_on(out), .how = how, .l = l, .a = &scratch};
    struct ar_jw *w = &s.w;
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "id", ar_anthropic_message_id(r->id, &how->stamp, id));
    ar_jw_key_lit(w, "type", "message");
    ar_jw_key_lit(w, "role", "assistant");
    ar_jw_key_text(w, "model", how->model);
    ar_jw_key(w, "content");
    ar_jw_open(w, '[');
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        put_block(&s, b);
    }
    ar_jw_close(w, ']');
    ar_anthropic_put_stop(w, r->has_stop ? &r->stop : NULL, s.refused);
    ar_jw_key_null(w, "container");
    ar_jw_key(w, "usage");
    ar_anthropic_put_usage(w, &r->usage, r->service_tier);
    ar_jw_close(w, '}');
    enum ar_code code = ar_arena_finish(&scratch);
    ar_arena_done(&scratch);
    return code == AR_OK ? ar_buf_finish(out) : code;
}
