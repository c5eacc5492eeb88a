/* The list of input items -> turns (PROTOCOLS 2.3, 6.1). The wire has a flat list in which
 * reasoning, messages and calls follow each other; neighbours of one side become one turn, as the
 * other dialects have them. Leading system and developer messages are the system text. A reasoning
 * item is a thinking block: its envelope is opened, its wire form kept for its own vendor. Items of
 * server tools, and those that nobody knows, are kept whole. Owns nothing. */
#include "dialect/responses/request_read.h"

#include "ir/opaque.h"

/* The open turn if it is of that role, else a new one. */
static struct ar_turn *join(struct ar_responses_in *in, enum ar_role role)
{
    if (!in->open || in->open->role != role) {
        in->open = ar_turn_new(in->a, role, &in->turn_tail);
        in->block_tail = in->open ? &in->open->blocks : NULL;
    }
    return in->open;
}

static bool is_system(struct ar_str role)
{
    return ar_str_is_lit(role, "developer") || ar_str_is_lit(role, "system");
}

/* A message of the user's or of the system's is a turn of its own; what leads is system text. */
static enum ar_code read_said(struct ar_responses_in *in, struct ar_jval v, enum ar_role role)
{
    struct ar_jval content = ar_json_get_lit(v, "content");
    in->open = NULL;
    if (role == AR_SYSTEM && !in->r->turns) {
        return ar_responses_read_content(in, content, &in->system_tail);
    }
    if (!join(in, role)) {
        return ar_request_too_large(in->err);
    }
    enum ar_code c = ar_responses_read_content(in, content, &in->block_tail);
    in->open = NULL;
    return c;
}

static enum ar_code read_assistant(struct ar_responses_in *in, struct ar_jval v)
{
    struct ar_str id = ar_member_text_lit(in->a, v, "id");
    struct ar_str phase = ar_member_text_lit(in->a, v, "phase");
    if (!join(in, AR_ASSISTANT)) {
        return ar_request_too_large(in->err);
    }
    struct ar_block **first = in->block_tail;
    enum ar_code c = ar_responses_read_content(in, ar_json_get_lit(v, "content"), &in->block_tail);
    for (struct ar_block *b = c == AR_OK ? *first : NULL; b; b = b->next) {
        b->item_id = id;
        b->phase = phase;
    }
    return c;
}

static enum ar_code read_message(struct ar_responses_in *in, struct ar_jval v)
{
    struct ar_jval role;
    enum ar_code c = ar_responses_need(in, v, AR_LIT("role"), &role);
    struct ar_str name = ar_json_esc(role);
    if (c != AR_OK) {
        return c;
    }
    if (ar_json_is_nil(ar_json_get_lit(v, "content"))) {
        return ar_json_wrong(v, "a message with content", in->err);
    }
    if (ar_str_is_lit(name, "assistant")) {
        return read_assistant(in, v);
    }
    if (!is_system(name) && !ar_str_is_lit(name, "user")) {
        return ar_json_wrong(role, "user, assistant, system or developer", in->err);
    }
    return read_said(in, v, is_system(name) ? AR_SYSTEM : AR_USER);
}

/* --- reasoning --- */

/* Texts of a list of {text}, joined by an empty line; escaped. */
static struct ar_str joined(struct ar_responses_in *in, struct ar_jval list)
{
    struct ar_buf out;
    struct ar_str one = {0};
    ar_buf_init(&out, ar_json_raw(list).n + 8 * (size_t)ar_json_count(list) + 8);
    for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it);) {
        struct ar_str text = ar_json_esc(ar_json_get_lit(it.val, "text"));
        if (text.n > 0) {
            ar_buf_str(&out, out.n > 0 ? AR_LIT("\\n\\n") : AR_LIT(""));
            ar_buf_str(&out, text);
            one = text;
        }
    }
    bool is_one = out.n == one.n;
    struct ar_str all = is_one ? one : ar_arena_copy(in->a, ar_buf_view(&out));
    ar_buf_done(&out);
    return all.p ? all : AR_LIT("");
}

static enum ar_code read_reasoning(struct ar_responses_in *in, struct ar_jval v)
{
    struct ar_str data = ar_member_text_lit(in->a, v, "encrypted_content");
    struct ar_str text = joined(in, ar_json_get_lit(v, "summary"));
    text = text.n > 0 ? text : joined(in, ar_json_get_lit(v, "content"));
    struct ar_opaque *sig = data.n > 0 ? ar_arena_new(in->a, struct ar_opaque) : NULL;
    struct ar_block *b =
        join(in, AR_ASSISTANT) ? ar_block_new(in->a, AR_THINKING, &in->block_tail) : NULL;
    if (!b || (data.n > 0 && !sig)) {
        return ar_request_too_large(in->err);
    }
    b->text = text;
    b->sig = sig;
    b->item_id = ar_member_text_lit(in->a, v, "id");
    if (sig && !ar_opaque_unwrap(data, in->a, sig)) {
        *sig = (struct ar_opaque){.vendor = AR_VENDOR_OPENAI,
                                  .form = AR_ENCRYPTED,
                                  .family = AR_LIT(""),
                                  .account = AR_LIT(""),
                                  .data = data};
        b->raw = ar_json_raw(v);
    }
    if (sig && text.n == 0 && (sig->form == AR_ENCRYPTED || sig->form == AR_REDACTED)) {
        b->kind = AR_REDACTED_THINKING;
    }
    return AR_OK;
}

/* A reasoning item without text that holds a thought signature of Gemini's belongs to the call
 * behind it (PROTOCOLS 8.6). */
static void rejoin_thoughts(struct ar_turn *turns)
{
    for (struct ar_turn *t = turns; t; t = t->next) {
        struct ar_block **link = &t->blocks;
        while (*link) {
            struct ar_block *b = *link, *call = b->next;
            bool is_carrier = b->kind == AR_THINKING && b->text.n == 0 && b->sig &&
                              b->sig->form == AR_THOUGHT_SIG;
            if (is_carrier && call && call->kind == AR_TOOL_USE && !call->sig) {
                call->sig = b->sig;
                *link = call;
            }
            link = &(*link)->next;
        }
    }
}

/* --- the rest --- */

/* Kept whole: server tools' items and what nobody knows. */
static enum ar_code read_opaque(struct ar_responses_in *in, struct ar_jval v, struct ar_str type)
{
    bool is_call = ar_str_has_suffix(type, AR_LIT("_call"));
    enum ar_block_kind kind = is_call                             ? AR_SERVER_TOOL_USE
                              : ar_str_is_lit(type, "compaction") ? AR_COMPACTION
                                                                  : AR_OPAQUE_ITEM;
    bool is_said = ar_str_has_suffix(type, AR_LIT("_output")) ||
                   ar_str_has_suffix(type, AR_LIT("_response")) ||
                   ar_str_has_suffix(type, AR_LIT("_trigger"));
    struct ar_block *b = join(in, is_said ? AR_USER : AR_ASSISTANT)
                             ? ar_block_new(in->a, kind, &in->block_tail)
                             : NULL;
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->vendor = AR_VENDOR_OPENAI;
    b->raw = ar_json_raw(v);
    b->id = ar_member_text_lit(in->a, v, "id");
    b->name = ar_json_unescape_in(type, in->a);
    if (is_call) {
        struct ar_jval action = ar_json_get_lit(v, "action");
        b->name = ar_responses_server_name(ar_str_head(b->name, b->name.n - 5));
        b->text = ar_json_is(action, AR_J_OBJECT) ? ar_json_raw(action) : AR_LIT("{}");
    }
    return AR_OK;
}

/* In force until the next one: the last one counts for the answer that is asked for. */
static enum ar_code read_update(struct ar_responses_in *in, struct ar_jval v)
{
    struct ar_jval effort = ar_json_get_lit(ar_json_get_lit(v, "reasoning"), "effort");
    struct ar_jval text = ar_json_get_lit(v, "text");
    enum ar_code c = ar_json_is_nil(effort) ? AR_OK : ar_responses_read_effort(in, effort);
    return c == AR_OK && ar_json_is(text, AR_J_OBJECT) ? ar_responses_read_shape(in, text) : c;
}

static enum ar_code read_item(struct ar_responses_in *in, struct ar_jval v)
{
    struct ar_jval tv = ar_json_get_lit(v, "type");
    struct ar_str type = ar_json_esc(tv);
    bool by_server = ar_str_is_lit(ar_json_esc(ar_json_get_lit(v, "execution")), "server");
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "an object", in->err);
    }
    if (ar_str_is_lit(type, "message") || (!tv.doc && ar_json_get_lit(v, "role").doc)) {
        return read_message(in, v);
    }
    if (ar_str_is_lit(type, "reasoning")) {
        return read_reasoning(in, v);
    }
    if (ar_responses_is_call(type) && !by_server) {
        return join(in, AR_ASSISTANT) ? ar_responses_read_call(in, v, type, &in->block_tail)
                                      : ar_request_too_large(in->err);
    }
    if (ar_responses_is_result(type) && !by_server) {
        return join(in, AR_USER) ? ar_responses_read_result(in, v, type, &in->block_tail)
                                 : ar_request_too_large(in->err);
    }
    if (ar_str_is_lit(type, "additional_tools")) {
        return ar_responses_read_tools(in, ar_json_get_lit(v, "tools"));
    }
    if (ar_str_is_lit(type, "configuration_update")) {
        return read_update(in, v);
    }
    return type.n > 0 ? read_opaque(in, v, type)
                      : ar_json_wrong(tv.doc ? tv : v, "an item with a type", in->err);
}

enum ar_code ar_responses_read_messages(struct ar_responses_in *in, struct ar_jval v)
{
    if (ar_json_is(v, AR_J_STRING)) { /* P-029 */
        struct ar_turn *t = ar_turn_new(in->a, AR_USER, &in->turn_tail);
        struct ar_block **tail = t ? &t->blocks : NULL;
        return t ? ar_responses_read_content(in, v, &tail) : ar_request_too_large(in->err);
    }
    if (!ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_is_nil(v) ? AR_OK : ar_json_wrong(v, "a string or a list of items", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        enum ar_code c = read_item(in, it.val);
        if (c != AR_OK) {
            return c;
        }
    }
    rejoin_thoughts(in->r->turns);
    return AR_OK;
}
