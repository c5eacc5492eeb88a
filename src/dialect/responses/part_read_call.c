/* Calls and their results, of every kind that this wire has an item for -> tool_use and tool_result
 * (PROTOCOLS 2.3, 6.3, 6.5). Calls of the kinds that are items of their own become calls of a
 * function whose arguments are the item's action, so that another vendor sees what it would have
 * been shown; the wire form stays in raw. Results of those kinds become the text that a model can
 * read. Owns nothing. */
#include "dialect/responses/request_read.h"

/* Wire names of the kinds, by enum ar_native; items are "<name>_call" and "<name>_call_output". */
static const char *const NATIVES[] = {
    [AR_NATIVE_NONE] = NULL,
    [AR_NATIVE_LOCAL_SHELL] = "local_shell",
    [AR_NATIVE_SHELL] = "shell",
    [AR_NATIVE_APPLY_PATCH] = "apply_patch",
    [AR_NATIVE_TOOL_SEARCH] = "tool_search",
};
enum { NATIVE_COUNT = sizeof NATIVES / sizeof *NATIVES };

const char *ar_responses_native_name(enum ar_native native)
{
    return (unsigned)native < NATIVE_COUNT ? NATIVES[native] : NULL;
}

enum ar_native ar_responses_native_of(struct ar_str name)
{
    for (unsigned i = 1; i < NATIVE_COUNT; i++) {
        if (ar_str_is(name, ar_str_of(NATIVES[i]))) {
            return (enum ar_native)i;
        }
    }
    return AR_NATIVE_NONE;
}

/* "shell_call" -> SHELL, with what follows the name. */
static enum ar_native native_item(struct ar_str type, struct ar_str tail)
{
    return ar_str_has_suffix(type, tail)
               ? ar_responses_native_of(ar_str_head(type, type.n - tail.n))
               : AR_NATIVE_NONE;
}

bool ar_responses_is_call(struct ar_str type)
{
    return ar_str_is_lit(type, "function_call") || ar_str_is_lit(type, "custom_tool_call") ||
           native_item(type, AR_LIT("_call")) != AR_NATIVE_NONE;
}

bool ar_responses_is_result(struct ar_str type)
{
    return ar_str_is_lit(type, "function_call_output") ||
           ar_str_is_lit(type, "custom_tool_call_output") ||
           ar_str_is_lit(type, "tool_search_output") ||
           native_item(type, AR_LIT("_call_output")) != AR_NATIVE_NONE;
}

/* --- calls --- */

static enum ar_code read_named(struct ar_responses_in *in, struct ar_jval v, struct ar_block *b)
{
    struct ar_jval name,
        input = ar_json_get(v, b->freeform ? AR_LIT("input") : AR_LIT("arguments"));
    enum ar_code c = ar_responses_need(in, v, AR_LIT("name"), &name);
    if (c != AR_OK || (c = ar_json_text(name, in->a, &b->name, in->err)) != AR_OK) {
        return c;
    }
    b->ns = ar_member_text_lit(in->a, v, "namespace");
    b->name = ar_responses_flat_name(b->ns, b->name, in->a);
    if (ar_json_is(input, AR_J_STRING)) {
        return ar_json_text(input, in->a, &b->text, in->err);
    }
    b->text = ar_json_is(input, AR_J_OBJECT) ? ar_json_raw(input) : AR_LIT("");
    return ar_json_is_nil(input) || ar_json_is(input, AR_J_OBJECT)
               ? AR_OK
               : ar_json_wrong(input, "a string", in->err);
}

/* The action of a local shell as a model would have written it: without the constant type and
 * without an empty environment. */
static struct ar_str exec_input(struct ar_responses_in *in, struct ar_jval action)
{
    struct ar_buf out;
    ar_buf_init(&out, ar_json_raw(action).n + 16);
    struct ar_jw w = ar_jw_on(&out);
    ar_jw_open(&w, '{');
    for (struct ar_jiter it = ar_json_iter(action); ar_json_next(&it);) {
        bool is_default = ar_str_is_lit(it.key, "type") || ar_json_is_nil(it.val) ||
                          (ar_str_is_lit(it.key, "env") && ar_json_count(it.val) == 0);
        if (!is_default) {
            ar_jw_key_dec(&w, it.key);
            ar_jw_raw(&w, ar_json_raw(it.val));
        }
    }
    ar_jw_close(&w, '}');
    struct ar_str text = ar_arena_copy(in->a, ar_buf_view(&out));
    ar_buf_done(&out);
    return text.p ? text : AR_LIT("{}");
}

static enum ar_code read_native(struct ar_responses_in *in, struct ar_jval v, struct ar_block *b)
{
    static const struct ar_str INPUTS[] = {
        [AR_NATIVE_LOCAL_SHELL] = AR_LIT_INIT("action"),
        [AR_NATIVE_SHELL] = AR_LIT_INIT("action"),
        [AR_NATIVE_APPLY_PATCH] = AR_LIT_INIT("operation"),
        [AR_NATIVE_TOOL_SEARCH] = AR_LIT_INIT("arguments"),
    };
    struct ar_jval input = ar_json_get(v, INPUTS[b->native]);
    b->name = ar_str_of(ar_responses_native_name(b->native));
    b->raw = ar_json_raw(v);
    if (b->native == AR_NATIVE_TOOL_SEARCH && ar_json_is(input, AR_J_STRING)) {
        return ar_json_text(input, in->a, &b->text, in->err);
    }
    if (!ar_json_is(input, AR_J_OBJECT)) {
        return ar_json_wrong(input.doc ? input : v, "an object with the call's action", in->err);
    }
    b->text = b->native == AR_NATIVE_LOCAL_SHELL ? exec_input(in, input) : ar_json_raw(input);
    return AR_OK;
}

/* The id that pairs a call with its result. Older items of local_shell have but the one. */
static struct ar_str call_id(struct ar_responses_in *in, struct ar_jval v)
{
    struct ar_str id = ar_member_text_lit(in->a, v, "call_id");
    return id.n > 0 ? id : ar_member_text_lit(in->a, v, "id");
}

enum ar_code ar_responses_read_call(struct ar_responses_in *in, struct ar_jval v,
                                    struct ar_str type, struct ar_block ***tail)
{
    struct ar_block *b = ar_block_new(in->a, AR_TOOL_USE, tail);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->native = native_item(type, AR_LIT("_call"));
    b->freeform = ar_str_is_lit(type, "custom_tool_call");
    b->id = call_id(in, v);
    b->item_id = ar_member_text_lit(in->a, v, "id");
    if (b->id.n == 0) {
        return ar_json_wrong(v, "an object with a string call_id", in->err);
    }
    return b->native != AR_NATIVE_NONE ? read_native(in, v, b) : read_named(in, v, b);
}

/* --- results --- */

static enum ar_code add_text(struct ar_responses_in *in, struct ar_block *b, struct ar_str esc)
{
    struct ar_block **tail = &b->inner;
    struct ar_block *text = ar_block_new(in->a, AR_TEXT, &tail);
    if (!text || !esc.p) {
        return ar_request_too_large(in->err);
    }
    text->text = esc;
    text->is_plain = b->is_plain = true;
    return AR_OK;
}

/* One command of a shell: "$ exit 1", what it wrote, and what it complained of. All escaped. */
static void put_command(struct ar_jval one, struct ar_buf *out)
{
    struct ar_jval outcome = ar_json_get_lit(one, "outcome");
    struct ar_jval exit_code = ar_json_get_lit(outcome, "exit_code");
    struct ar_str said = ar_json_esc(ar_json_get_lit(one, "stdout"));
    struct ar_str wrong = ar_json_esc(ar_json_get_lit(one, "stderr"));
    if (ar_json_is(exit_code, AR_J_NUMBER)) {
        ar_buf_lit(out, "$ exit ");
        ar_buf_str(out, ar_json_raw(exit_code));
    } else {
        ar_buf_lit(out, "$ timeout");
    }
    if (said.n > 0) {
        ar_buf_lit(out, "\\n");
        ar_buf_str(out, said);
    }
    if (wrong.n > 0) {
        ar_buf_lit(out, "\\n[stderr]\\n");
        ar_buf_str(out, wrong);
    }
}

static struct ar_str shell_text(struct ar_responses_in *in, struct ar_jval output)
{
    struct ar_buf out;
    ar_buf_init(&out, ar_json_raw(output).n + 64 * (size_t)ar_json_count(output) + 64);
    for (struct ar_jiter it = ar_json_iter(output); ar_json_next(&it);) {
        ar_buf_str(&out, out.n > 0 ? AR_LIT("\\n") : AR_LIT(""));
        put_command(it.val, &out);
    }
    struct ar_str text = ar_arena_copy(in->a, ar_buf_view(&out));
    ar_buf_done(&out);
    return text;
}

/* Names of the tools that a search brought, which are in the list of tools from here on. */
static enum ar_code read_found(struct ar_responses_in *in, struct ar_jval v, struct ar_block *b)
{
    struct ar_buf out;
    struct ar_jval tools = ar_json_get_lit(v, "tools");
    ar_buf_init(&out, ar_json_raw(tools).n + 64);
    ar_buf_lit(&out, "Tools found:");
    for (struct ar_jiter it = ar_json_iter(tools); ar_json_next(&it);) {
        struct ar_jval name = ar_json_get_lit(it.val, "name");
        if (ar_json_is(name, AR_J_STRING)) {
            ar_buf_char(&out, ' ');
            ar_buf_str(&out, ar_json_esc(name));
        }
    }
    struct ar_str text = ar_arena_copy(in->a, ar_buf_view(&out));
    ar_buf_done(&out);
    enum ar_code c = add_text(in, b, text);
    struct ar_tool **first = in->tool_tail;
    c = c == AR_OK ? ar_responses_read_tools(in, tools) : c;
    for (struct ar_tool *t = *first; t; t = t->next) {
        t->defer = false; /* it is loaded now */
    }
    return c;
}

static enum ar_code read_output(struct ar_responses_in *in, struct ar_jval v, struct ar_block *b)
{
    struct ar_jval output = ar_json_get_lit(v, "output");
    struct ar_block **tail = &b->inner;
    if (b->native == AR_NATIVE_SHELL && ar_json_is(output, AR_J_ARRAY)) {
        return add_text(in, b, shell_text(in, output));
    }
    if (ar_json_is(output, AR_J_OBJECT)) { /* one part without its list, as a screenshot comes */
        b->raw = ar_json_raw(v);
        return add_text(in, b, ar_json_escape_in(ar_json_raw(output), in->a));
    }
    b->is_plain = ar_json_is(output, AR_J_STRING);
    return ar_responses_read_content(in, output, &tail);
}

enum ar_code ar_responses_read_result(struct ar_responses_in *in, struct ar_jval v,
                                      struct ar_str type, struct ar_block ***tail)
{
    struct ar_block *b = ar_block_new(in->a, AR_TOOL_RESULT, tail);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->id = call_id(in, v);
    b->item_id = ar_member_text_lit(in->a, v, "id");
    b->native = ar_str_is_lit(type, "tool_search_output")
                    ? AR_NATIVE_TOOL_SEARCH
                    : native_item(type, AR_LIT("_call_output"));
    b->freeform = ar_str_is_lit(type, "custom_tool_call_output");
    b->raw = b->native != AR_NATIVE_NONE ? ar_json_raw(v) : (struct ar_str){0};
    b->is_error = b->native == AR_NATIVE_APPLY_PATCH &&
                  ar_str_is_lit(ar_json_esc(ar_json_get_lit(v, "status")), "failed");
    if (b->id.n == 0) {
        return ar_json_wrong(v, "an object with a string call_id", in->err);
    }
    return b->native == AR_NATIVE_TOOL_SEARCH ? read_found(in, v, b) : read_output(in, v, b);
}
