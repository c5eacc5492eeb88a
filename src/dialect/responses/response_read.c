/* A whole Responses answer -> IR, and the observer of native ones (PROTOCOLS 2.5, 7). Every content
 * part is a block, as is every reasoning item, whose summary parts are joined by a blank line. An
 * answer that failed or was cancelled is a fault, not an answer. Owns nothing. */
#include "dialect/responses/stream_read.h"

static struct ar_fault bad(const char *why, enum ar_blame blame)
{
    return (struct ar_fault){
        .code = AR_UPSTREAM_ERROR, .blame = blame, .retry_after_ms = -1, .message = ar_str_of(why)};
}

void ar_responses_read_facts(struct ar_jval v, struct ar_arena *a, struct ar_response *ret)
{
    struct ar_str id = ar_member_text_lit(a, v, "id"), model = ar_member_text_lit(a, v, "model"),
                  tier = ar_member_text_lit(a, v, "service_tier");
    ret->id = id.p ? ar_arena_copy(a, id) : ret->id;
    ret->model = model.p ? ar_arena_copy(a, model) : ret->model;
    ret->service_tier = tier.p ? ar_arena_copy(a, tier) : ret->service_tier;
    double created;
    if (!ret->created_unix &&
        ar_json_double(ar_json_get_lit(v, "created_at"), &created, NULL) == AR_OK && created > 0 &&
        created < 1e12) {
        ret->created_unix = (int64_t)created;
    }
    ar_responses_read_usage(ar_json_get_lit(v, "usage"), &ret->usage);
}

/* incomplete_details.reason and its canonical word. */
static const struct {
    struct ar_str word;
    enum ar_stop_reason reason;
} REASONS[] = {
    {AR_LIT_INIT("max_output_tokens"), AR_STOP_MAX_TOKENS},
    {AR_LIT_INIT("max_tokens"), AR_STOP_MAX_TOKENS},
    {AR_LIT_INIT("max_messages"), AR_STOP_MAX_TOKENS},
    {AR_LIT_INIT("content_filter"), AR_STOP_FILTER},
    {AR_LIT_INIT("steered"), AR_STOP_STEERED},
};

static enum ar_stop_reason reason_of(struct ar_str word)
{
    for (size_t i = 0; i < sizeof REASONS / sizeof *REASONS; i++) {
        if (ar_str_is(word, REASONS[i].word)) {
            return REASONS[i].reason;
        }
    }
    return AR_STOP_OTHER;
}

bool ar_responses_read_stop(struct ar_jval v, struct ar_responses_seen seen, struct ar_arena *a,
                            struct ar_stop *ret, struct ar_fault *ret_fault)
{
    struct ar_str status = ar_json_esc(ar_json_get_lit(v, "status"));
    struct ar_jval error = ar_json_get_lit(v, "error");
    if (ar_str_is_lit(status, "failed") ||
        (!ar_json_is_nil(error) && !ar_str_is_lit(status, "completed"))) {
        ar_responses_decode_error(200, ar_json_raw(v), a, ret_fault);
        return false;
    }
    if (ar_str_is_lit(status, "cancelled")) {
        *ret_fault = bad("the upstream's answer was cancelled", AR_OF_UPSTREAM);
        return false;
    }
    *ret = (struct ar_stop){.reason = AR_STOP_END};
    if (ar_str_is_lit(status, "incomplete")) {
        struct ar_jval why = ar_json_get_lit(v, "incomplete_details");
        struct ar_str word = ar_member_text_lit(a, why, "reason");
        ret->reason = reason_of(word);
        ret->native = word.p ? ar_arena_copy(a, word) : word;
    } else if (seen.call) {
        ret->reason = AR_STOP_TOOL_USE;
    } else if (seen.refusal && !seen.text) {
        ret->reason = AR_STOP_REFUSAL;
    }
    return true;
}

/* --- items --- */

struct read {
    struct ar_arena *a;
    const struct ar_target *target;
    struct ar_block **tail;
    struct ar_responses_seen seen;
};

static struct ar_block *add(struct read *rd, const struct ar_block *b)
{
    struct ar_block *n = ar_block_new(rd->a, b->kind, &rd->tail);
    if (n) {
        *n = *b;
    }
    return n;
}

static void read_cites(struct read *rd, struct ar_jval list, struct ar_block *b)
{
    struct ar_buf out;
    ar_buf_init(&out, 1 << 20);
    for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it);) {
        struct ar_str c = ar_cite_of_openai(rd->a, it.val);
        if (c.p) {
            ar_buf_char(&out, out.n ? ',' : '[');
            ar_buf_str(&out, c);
        }
    }
    if (out.n) {
        ar_buf_char(&out, ']');
        b->citations =
            ar_buf_finish(&out) == AR_OK ? ar_arena_copy(rd->a, ar_buf_view(&out)) : b->citations;
    }
    ar_buf_done(&out);
}

static void read_message(struct read *rd, struct ar_jval item)
{
    struct ar_block b = {.item_id = ar_member_text_lit(rd->a, item, "id"),
                         .phase = ar_member_text_lit(rd->a, item, "phase")};
    for (struct ar_jiter it = ar_json_iter(ar_json_get_lit(item, "content")); ar_json_next(&it);) {
        struct ar_str refusal = ar_json_esc(ar_json_get_lit(it.val, "refusal"));
        struct ar_jval cites = ar_json_get_lit(it.val, "annotations");
        b.kind = refusal.n ? AR_REFUSAL : AR_TEXT;
        b.text = refusal.n ? refusal : ar_json_esc(ar_json_get_lit(it.val, "text"));
        if (!b.text.n) {
            continue;
        }
        rd->seen.refusal |= refusal.n > 0;
        rd->seen.text |= refusal.n == 0;
        struct ar_block *made = add(rd, &b);
        if (made && ar_json_count(cites)) {
            read_cites(rd, cites, made);
        }
    }
}

static void read_reasoning(struct read *rd, struct ar_jval item)
{
    struct ar_block b = {.item_id = ar_member_text_lit(rd->a, item, "id")};
    struct ar_str text = {0};
    for (struct ar_jiter it = ar_json_iter(ar_responses_out_thinking(item)); ar_json_next(&it);) {
        struct ar_str piece = ar_json_esc(ar_json_get_lit(it.val, "text"));
        if (piece.n && text.n) {
            piece = ar_arena_join(rd->a, AR_LIT("\\n\\n"), piece);
            text = ar_arena_join(rd->a, text, piece.p ? piece : AR_LIT(""));
        } else if (piece.n) {
            text = piece;
        }
    }
    b.text = text;
    b.sig = ar_responses_out_sig(item, rd->target, rd->a);
    b.kind = text.n ? AR_THINKING : AR_REDACTED_THINKING;
    if (text.n || b.sig) {
        add(rd, &b);
    }
}

static void read_item(struct read *rd, struct ar_jval item)
{
    struct ar_str type = ar_json_esc(ar_json_get_lit(item, "type"));
    struct ar_block b;
    if (ar_str_is_lit(type, "message")) {
        read_message(rd, item);
    } else if (ar_str_is_lit(type, "reasoning")) {
        read_reasoning(rd, item);
    } else if (ar_responses_out_call(item, rd->a, &b)) {
        b.text = ar_responses_out_input(item, rd->a, &b);
        rd->seen.call = true;
        add(rd, &b);
    } else if (type.n) {
        ar_responses_out_other(item, rd->a, &b);
        add(rd, &b);
    }
}

/* The answer as JSON, or why it is none. */
static enum ar_code parse_answer(struct ar_str body, unsigned keep_depth, struct ar_arena *a,
                                 struct ar_jdoc *doc, struct ar_fault *ret_fault)
{
    enum ar_code code = ar_json_parse(body, keep_depth, a, doc, NULL);
    if (code == AR_TOO_LARGE) {
        *ret_fault = bad("the upstream's answer is over the size limit", AR_OF_UPSTREAM);
        return code;
    }
    struct ar_jval root = code == AR_OK ? ar_json_root(doc) : (struct ar_jval){0};
    bool is_answer = ar_json_is(ar_json_get_lit(root, "output"), AR_J_ARRAY);
    if (ar_json_is(root, AR_J_OBJECT) && !is_answer &&
        !ar_json_is_nil(ar_json_get_lit(root, "error"))) {
        ar_responses_decode_error(200, body, a, ret_fault);
        return ret_fault->code;
    }
    if (!is_answer) {
        *ret_fault = bad("the upstream's answer is not a response", AR_OF_PLACE);
        return ret_fault->code;
    }
    return AR_OK;
}

enum ar_code ar_responses_decode_response(struct ar_str body, const struct ar_read_how *how,
                                          struct ar_arena *a, struct ar_response **ret,
                                          struct ar_fault *ret_fault)
{
    struct ar_jdoc doc;
    enum ar_code code = parse_answer(body, AR_JSON_DEPTH, a, &doc, ret_fault);
    if (code != AR_OK) {
        return code;
    }
    struct ar_jval root = ar_json_root(&doc);
    struct ar_response *r = ar_arena_new(a, struct ar_response);
    if (!r) {
        *ret_fault = bad("the upstream's answer is over the size limit", AR_OF_UPSTREAM);
        return AR_TOO_LARGE;
    }
    struct read rd = {.a = a, .target = how ? how->target : NULL, .tail = &r->blocks};
    for (struct ar_jiter it = ar_json_iter(ar_json_get_lit(root, "output")); ar_json_next(&it);) {
        read_item(&rd, it.val);
    }
    ar_responses_read_facts(root, a, r);
    r->logprobs = ar_responses_out_logprobs(ar_json_get_lit(root, "output"), a);
    if (!ar_responses_read_stop(root, rd.seen, a, &r->stop, ret_fault)) {
        return ret_fault->code;
    }
    r->has_stop = true;
    code = ar_arena_finish(a);
    if (code != AR_OK) {
        *ret_fault = bad("the upstream's answer is over the size limit", AR_OF_UPSTREAM);
        return code;
    }
    *ret = r;
    return AR_OK;
}

enum ar_code ar_responses_observe(struct ar_str body, struct ar_arena *a, struct ar_response *ret,
                                  struct ar_fault *ret_fault)
{
    struct ar_jdoc doc;
    enum ar_code code = parse_answer(body, 5, a, &doc, ret_fault);
    if (code != AR_OK) {
        return code;
    }
    struct ar_jval root = ar_json_root(&doc);
    struct ar_responses_seen seen = {0};
    struct ar_block b;
    *ret = (struct ar_response){0};
    for (struct ar_jiter it = ar_json_iter(ar_json_get_lit(root, "output")); ar_json_next(&it);) {
        seen.call |= ar_responses_out_call(it.val, a, &b);
        struct ar_jiter part = ar_json_iter(ar_json_get_lit(it.val, "content"));
        bool is_message = ar_str_is_lit(ar_json_esc(ar_json_get_lit(it.val, "type")), "message");
        while (is_message && ar_json_next(&part)) {
            seen.text |= ar_json_esc(ar_json_get_lit(part.val, "text")).n > 0;
            seen.refusal |= ar_json_esc(ar_json_get_lit(part.val, "refusal")).n > 0;
        }
    }
    ar_responses_read_facts(root, a, ret);
    ret->has_stop = ar_responses_read_stop(root, seen, a, &ret->stop, ret_fault);
    return ret->has_stop ? AR_OK : ret_fault->code;
}
