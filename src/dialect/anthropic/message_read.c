/* messages[] of a Messages request -> turns (PROTOCOLS 3.3). Messages stay one turn each; the
 * encoders regroup. Blocks are read by part_read.c. Owns nothing. */
#include "dialect/anthropic/request_read.h"

static enum ar_code read_role(struct ar_anthropic_in *in, struct ar_jval msg, enum ar_role *role,
                              enum ar_anthropic_place *at)
{
    struct ar_jval v = ar_json_get_lit(msg, "role");
    struct ar_str name = ar_json_esc(v);
    if (ar_str_is_lit(name, "user")) {
        *role = AR_USER;
        *at = AR_IN_USER;
    } else if (ar_str_is_lit(name, "assistant")) {
        *role = AR_ASSISTANT;
        *at = AR_IN_ASSISTANT;
    } else if (ar_str_is_lit(name, "system")) {
        *role = AR_SYSTEM;
        *at = AR_IN_SYSTEM;
    } else {
        return v.doc ? ar_json_wrong(v, "user, assistant or system", in->err)
                     : ar_anthropic_missing(msg, "role", in->err);
    }
    return AR_OK;
}

/* A thinking block without text that holds a thought signature of Gemini's belongs to the call
 * behind it (8.4.5). */
static void rejoin_thoughts(struct ar_block **link)
{
    while (*link) {
        struct ar_block *b = *link, *call = b->next;
        bool carrier =
            b->kind == AR_THINKING && b->text.n == 0 && b->sig && b->sig->form == AR_THOUGHT_SIG;
        if (carrier && call && call->kind == AR_TOOL_USE && !call->sig) {
            call->sig = b->sig;
            *link = call;
        } else {
            link = &b->next;
        }
    }
}

enum ar_code ar_anthropic_read_messages(struct ar_anthropic_in *in, struct ar_jval v,
                                        struct ar_turn **tail)
{
    if (!ar_json_is(v, AR_J_ARRAY) || ar_json_count(v) == 0) {
        return ar_json_wrong(v, "an array of at least one message", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        enum ar_role role = AR_USER;
        enum ar_anthropic_place at = AR_IN_USER;
        if (!ar_json_is(it.val, AR_J_OBJECT)) {
            return ar_json_wrong(it.val, "an object", in->err);
        }
        enum ar_code code = read_role(in, it.val, &role, &at);
        if (code != AR_OK) {
            return code;
        }
        struct ar_turn *t = ar_turn_new(in->a, role, &tail);
        if (!t) {
            return ar_request_too_large(in->err);
        }
        struct ar_jval content = ar_json_get_lit(it.val, "content");
        if (ar_json_is_nil(content)) {
            return ar_anthropic_missing(it.val, "content", in->err);
        }
        code = ar_anthropic_read_content(in, content, at, &t->blocks);
        if (code != AR_OK) {
            return code;
        }
        rejoin_thoughts(&t->blocks);
    }
    return AR_OK;
}
