/* messages[] into turns. Leading system and developer messages are the instructions; later ones are
 * turns of their own, in place. Consecutive tool messages answer one assistant turn, so they are
 * one user turn. A user turn stays one turn a message: what joins neighbours is the encoder of a
 * dialect that must. */
#include "dialect/chat/request_read.h"

static enum ar_code read_result(struct ar_chat_in *in, struct ar_jval msg, struct ar_str id,
                                struct ar_block ***tail)
{
    struct ar_jval content = ar_json_get_lit(msg, "content");
    struct ar_block *b = ar_block_new(in->a, AR_TOOL_RESULT, tail);
    if (!b) {
        return AR_TOO_LARGE;
    }
    b->id = id;
    b->name = ar_member_text_lit(in->a, msg, "name");
    b->is_plain = ar_json_is(content, AR_J_STRING);
    b->cache_ttl = ar_chat_read_cache(in, msg);
    struct ar_block **inner = &b->inner;
    return ar_chat_read_content(in, content, &inner);
}

enum role { R_SYSTEM, R_USER, R_ASSISTANT, R_TOOL, R_FUNCTION, R_UNKNOWN };
static enum role role_of(struct ar_str s)
{
    static const struct {
        struct ar_str name;
        enum role role;
    } ROLES[] = {
        {AR_LIT_INIT("user"), R_USER},        {AR_LIT_INIT("assistant"), R_ASSISTANT},
        {AR_LIT_INIT("tool"), R_TOOL},        {AR_LIT_INIT("system"), R_SYSTEM},
        {AR_LIT_INIT("developer"), R_SYSTEM}, {AR_LIT_INIT("function"), R_FUNCTION},
    };
    for (size_t i = 0; i < sizeof ROLES / sizeof *ROLES; i++) {
        if (ar_str_is(s, ROLES[i].name)) {
            return ROLES[i].role;
        }
    }
    return R_UNKNOWN;
}

struct walk {
    struct ar_chat_in *in;
    struct ar_request *r;
    struct ar_block **system_tail;
    struct ar_turn **turn_tail;
    struct ar_turn *results; /* the user turn that takes the next tool message, or NULL */
    struct ar_block **results_tail;
    bool leading;
};

static enum ar_code read_tool_message(struct walk *w, struct ar_jval msg, enum role role)
{
    struct ar_chat_in *in = w->in;
    struct ar_str id;
    if (role == R_FUNCTION) { /* answers the last function_call */
        id = ar_arena_fmt(in->a, "call_fn_%u", in->legacy_calls ? in->legacy_calls - 1 : 0);
    } else {
        struct ar_jval v = ar_json_get_lit(msg, "tool_call_id");
        if (!ar_json_is(v, AR_J_STRING)) {
            return ar_json_wrong(ar_json_is(v, AR_J_NONE) ? msg : v,
                                 "a tool message with a string tool_call_id", in->err);
        }
        enum ar_code c = ar_json_text(v, in->a, &id, in->err);
        if (c != AR_OK) {
            return c;
        }
    }
    if (!w->results) {
        w->results = ar_turn_new(in->a, AR_USER, &w->turn_tail);
        if (!w->results) {
            return AR_TOO_LARGE;
        }
        w->results_tail = &w->results->blocks;
    }
    return read_result(in, msg, id, &w->results_tail);
}

/* A system or developer message: text only. */
static enum ar_code read_instructions(struct ar_chat_in *in, struct ar_jval msg,
                                      struct ar_block ***tail)
{
    struct ar_jval content = ar_json_get_lit(msg, "content");
    struct ar_block **first = *tail;
    enum ar_code c = ar_chat_read_content(in, content, tail);
    for (const struct ar_block *b = c == AR_OK ? *first : NULL; b; b = b->next) {
        if (b->kind != AR_TEXT) {
            return ar_json_wrong(content, "text in a system or developer message", in->err);
        }
    }
    return c;
}

static enum ar_code read_message(struct walk *w, struct ar_jval msg)
{
    struct ar_chat_in *in = w->in;
    struct ar_jval rv = ar_json_get_lit(msg, "role");
    enum role role = role_of(ar_json_esc(rv));
    if (role == R_UNKNOWN) {
        return ar_json_wrong(ar_json_is(rv, AR_J_NONE) ? msg : rv,
                             "a message with role system, developer, user, assistant or tool",
                             in->err);
    }
    if (role == R_TOOL || role == R_FUNCTION) {
        w->leading = false;
        return read_tool_message(w, msg, role);
    }
    w->results = NULL;
    if (role == R_SYSTEM && w->leading) {
        return read_instructions(in, msg, &w->system_tail);
    }
    w->leading = false;
    struct ar_turn *t = ar_turn_new(in->a,
                                    role == R_USER     ? AR_USER
                                    : role == R_SYSTEM ? AR_SYSTEM
                                                       : AR_ASSISTANT,
                                    &w->turn_tail);
    if (!t) {
        return AR_TOO_LARGE;
    }
    t->name = ar_member_text_lit(in->a, msg, "name");
    struct ar_block **tail = &t->blocks;
    if (role == R_ASSISTANT) {
        return ar_chat_read_assistant(in, msg, &tail);
    }
    if (role == R_SYSTEM) {
        return read_instructions(in, msg, &tail);
    }
    struct ar_jval content = ar_json_get_lit(msg, "content");
    if (ar_json_is_nil(content)) {
        return ar_json_wrong(ar_json_is(content, AR_J_NONE) ? msg : content,
                             "a message with content", in->err);
    }
    return ar_chat_read_content(in, content, &tail);
}

enum ar_code ar_chat_read_messages(struct ar_chat_in *in, struct ar_jval messages,
                                   struct ar_request *r)
{
    struct walk w = {
        .in = in, .r = r, .system_tail = &r->system, .turn_tail = &r->turns, .leading = true};
    struct ar_jiter it = ar_json_iter(messages);
    while (ar_json_next(&it)) {
        if (!ar_json_is(it.val, AR_J_OBJECT)) {
            return ar_json_wrong(it.val, "an object", in->err);
        }
        enum ar_code c = read_message(&w, it.val);
        if (c != AR_OK) {
            return c;
        }
    }
    return AR_OK;
}
