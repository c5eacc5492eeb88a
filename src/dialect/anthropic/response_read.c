/* Whole answers of an upstream: Anthropic's message object -> IR, and the observer of native
 * answers, which reads how it ended and what it cost without making an IR (PROTOCOLS 3.8, 7). Owns
 * nothing. */
#include "dialect/anthropic/request_read.h"

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
    struct ar_anthropic_in in = {
        .a = a, .err = &err, .vendor = t ? t->vendor : AR_VENDOR_ANTHROPIC};
    in.account =
        t && (t->caps & AR_CAP(ACCOUNT_BOUND_THINKING)) && t->account.p ? t->account : AR_LIT("");
    struct ar_jval root = ar_json_root(&doc);
    struct ar_response *r = ar_arena_new(a, struct ar_response);
    code = r ? ar_anthropic_read_content(&in, ar_json_get_lit(root, "content"), AR_IN_ANSWER,
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
