/* What an output item says (PROTOCOLS 2.3, 7.1), for the whole answer and for the stream alike:
 * calls of every kind become tool_use, native ones with their action or operation object as input;
 * reasoning's material is bound to the vendor of the target; items that only their vendor can use
 * stay as they came. Owns nothing. */
#include "dialect/responses/stream_read.h"

#include "ir/opaque.h"

/* Items that are calls, and where their input is. A native call has no name of its own. */
static const struct call {
    struct ar_str type, input, name;
    enum ar_native native;
    bool freeform;
} CALLS[] = {
    {AR_LIT_INIT("function_call"), AR_LIT_INIT("arguments"), {0}, AR_NATIVE_NONE, false},
    {AR_LIT_INIT("custom_tool_call"), AR_LIT_INIT("input"), {0}, AR_NATIVE_NONE, true},
    {AR_LIT_INIT("local_shell_call"), AR_LIT_INIT("action"), AR_LIT_INIT("local_shell"),
     AR_NATIVE_LOCAL_SHELL, false},
    {AR_LIT_INIT("shell_call"), AR_LIT_INIT("action"), AR_LIT_INIT("shell"), AR_NATIVE_SHELL,
     false},
    {AR_LIT_INIT("apply_patch_call"), AR_LIT_INIT("operation"), AR_LIT_INIT("apply_patch"),
     AR_NATIVE_APPLY_PATCH, false},
    {AR_LIT_INIT("tool_search_call"), AR_LIT_INIT("arguments"), AR_LIT_INIT("tool_search"),
     AR_NATIVE_TOOL_SEARCH, false},
};

static const struct call *call_of(struct ar_jval item)
{
    struct ar_str type = ar_json_esc(ar_json_get_lit(item, "type"));
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        if (ar_str_is(type, CALLS[i].type)) {
            return &CALLS[i];
        }
    }
    return NULL;
}

bool ar_responses_out_call(struct ar_jval item, struct ar_arena *a, struct ar_block *ret)
{
    const struct call *c = call_of(item);
    bool by_server =
        ar_str_is_lit(ar_json_esc(ar_json_get_lit(item, "execution")), "server"); /* tool_search */
    if (!c || by_server) {
        return false;
    }
    *ret = (struct ar_block){.kind = AR_TOOL_USE,
                             .native = c->native,
                             .freeform = c->freeform,
                             .id = ar_member_text_lit(a, item, "call_id"),
                             .item_id = ar_member_text_lit(a, item, "id"),
                             .ns = ar_member_text_lit(a, item, "namespace")};
    ret->name = ar_member_text_lit(a, item, "name");
    ret->name = c->name.p ? c->name : ar_responses_flat_name(ret->ns, ret->name, a);
    if (!ret->id.n) {
        ret->id = ret->item_id;
    }
    return true;
}

/* local_shell's action without its type, which is always exec. */
static struct ar_str without_type(struct ar_jval action, struct ar_arena *a)
{
    struct ar_buf out;
    ar_buf_init(&out, a->max_bytes);
    struct ar_jw w = ar_jw_on(&out);
    ar_jw_open(&w, '{');
    for (struct ar_jiter it = ar_json_iter(action); ar_json_next(&it);) {
        if (!ar_str_is_lit(it.key, "type")) {
            ar_jw_key_dec(&w, it.key);
            ar_jw_raw(&w, ar_json_raw(it.val));
        }
    }
    ar_jw_close(&w, '}');
    struct ar_str text = ar_arena_copy(a, ar_buf_view(&out));
    ar_buf_done(&out);
    return text;
}

struct ar_str ar_responses_out_input(struct ar_jval item, struct ar_arena *a,
                                     const struct ar_block *b)
{
    const struct call *c = call_of(item);
    struct ar_jval v = c ? ar_json_get(item, c->input) : (struct ar_jval){0};
    if (ar_json_is(v, AR_J_STRING)) {
        return ar_json_unescape_in(ar_json_esc(v), a);
    }
    if (b->native == AR_NATIVE_LOCAL_SHELL && ar_json_is(v, AR_J_OBJECT)) {
        return without_type(v, a);
    }
    return ar_json_is_nil(v) ? (struct ar_str){0} : ar_json_raw(v);
}

void ar_responses_out_other(struct ar_jval item, struct ar_arena *a, struct ar_block *ret)
{
    struct ar_str type = ar_member_text_lit(a, item, "type");
    struct ar_jval action = ar_json_get_lit(item, "action");
    *ret = (struct ar_block){.kind = AR_OPAQUE_ITEM,
                             .vendor = AR_VENDOR_OPENAI,
                             .name = type,
                             .raw = ar_json_raw(item),
                             .item_id = ar_member_text_lit(a, item, "id")};
    ret->id = ret->item_id;
    if (ar_str_has_suffix(type, AR_LIT("_call"))) {
        ret->kind = AR_SERVER_TOOL_USE;
        ret->name = ar_responses_server_name(ar_str_head(type, type.n - 5));
        ret->text = ar_json_is(action, AR_J_OBJECT) ? ar_json_raw(action) : AR_LIT("{}");
    } else if (ar_str_is_lit(type, "compaction")) {
        ret->kind = AR_COMPACTION;
    }
}

struct ar_opaque *ar_responses_out_sig(struct ar_jval item, const struct ar_target *t,
                                       struct ar_arena *a)
{
    struct ar_str data = ar_member_text_lit(a, item, "encrypted_content");
    struct ar_opaque *o = data.n ? ar_arena_new(a, struct ar_opaque) : NULL;
    if (!o || ar_opaque_unwrap(data, a, o)) {
        return o; /* a gateway behind this one wrapped it already */
    }
    *o = (struct ar_opaque){.vendor = t ? t->vendor : AR_VENDOR_OPENAI,
                            .form = AR_ENCRYPTED,
                            .family = AR_LIT(""),
                            .account = AR_LIT(""),
                            .data = data};
    if (t && (t->caps & AR_CAP(ACCOUNT_BOUND_THINKING)) && t->account.p) {
        o->account = t->account;
    }
    return o;
}

struct ar_jval ar_responses_out_thinking(struct ar_jval item)
{
    struct ar_jval summary = ar_json_get_lit(item, "summary");
    struct ar_jiter it = ar_json_iter(summary);
    while (ar_json_next(&it)) {
        if (ar_json_esc(ar_json_get_lit(it.val, "text")).n) {
            return summary;
        }
    }
    return ar_json_get_lit(item, "content");
}

/* The lists of all texts as one; the elements are the same on both wires. */
struct ar_str ar_responses_out_logprobs(struct ar_jval output, struct ar_arena *a)
{
    struct ar_buf out;
    ar_buf_init(&out, a->max_bytes);
    for (struct ar_jiter it = ar_json_iter(output); ar_json_next(&it);) {
        struct ar_jiter part = ar_json_iter(ar_json_get_lit(it.val, "content"));
        while (ar_json_next(&part)) {
            struct ar_jiter one = ar_json_iter(ar_json_get_lit(part.val, "logprobs"));
            while (ar_json_next(&one)) {
                ar_buf_str(&out, out.n > 0 ? AR_LIT(",") : AR_LIT("{\"content\":["));
                ar_buf_str(&out, ar_json_raw(one.val));
            }
        }
    }
    struct ar_str text = {0};
    if (out.n > 0) {
        ar_buf_lit(&out, "],\"refusal\":null}");
        text = ar_arena_copy(a, ar_buf_view(&out));
    }
    ar_buf_done(&out);
    return text;
}
