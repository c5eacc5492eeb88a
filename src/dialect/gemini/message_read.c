/* contents[] and systemInstruction of a Gemini request -> turns and system text
 * (PROTOCOLS 4.4, 6.5). Neighbouring contents of the model are one turn, because clients keep a
 * streamed answer as it came. Parts are read by part_read.c. Owns nothing. */
#include "dialect/gemini/request_read.h"

static enum ar_code read_role(struct ar_gemini_in *in, struct ar_jval content, enum ar_role *ret)
{
    struct ar_jval v = ar_gemini_get_lit(content, "role");
    struct ar_str role = ar_json_is_nil(v) ? AR_LIT("") : ar_json_esc(v);
    if (!role.p) {
        return ar_json_wrong(v, "user or model", in->err);
    }
    if (role.n == 0 || ar_str_is_lit(role, "user") || ar_str_is_lit(role, "function")) {
        *ret = AR_USER;
        return AR_OK;
    }
    *ret = AR_ASSISTANT;
    return ar_str_is_lit(role, "model") ? AR_OK : ar_json_wrong(v, "user or model", in->err);
}

enum ar_code ar_gemini_read_messages(struct ar_gemini_in *in, struct ar_jval v,
                                     struct ar_request *r)
{
    struct ar_turn **tail = &r->turns, *turn = NULL;
    struct ar_gemini_place p = {.in = in};
    if (!ar_json_is(v, AR_J_ARRAY) || ar_json_count(v) == 0) {
        return ar_json_wrong(v, "an array of at least one content", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        enum ar_role role = AR_USER;
        if (!ar_json_is(it.val, AR_J_OBJECT)) {
            return ar_json_wrong(it.val, "an object", in->err);
        }
        enum ar_code code = read_role(in, it.val, &role);
        if (code != AR_OK) {
            return code;
        }
        bool goes_on = turn && role == AR_ASSISTANT && turn->role == AR_ASSISTANT;
        if (!goes_on) {
            turn = ar_turn_new(in->a, role, &tail);
            if (!turn) {
                return ar_request_too_large(in->err);
            }
            p.tail = &turn->blocks;
            p.last = p.thought = NULL;
            p.of_model = role == AR_ASSISTANT;
        }
        code = ar_gemini_read_content(&p, ar_gemini_get_lit(it.val, "parts"));
        if (code != AR_OK) {
            return code;
        }
    }
    return AR_OK;
}

enum ar_code ar_gemini_read_system(struct ar_gemini_in *in, struct ar_jval v, struct ar_request *r)
{
    struct ar_gemini_place p = {.in = in, .tail = &r->system};
    if (ar_json_is(v, AR_J_STRING)) {
        return ar_gemini_add_text(&p, AR_TEXT, ar_json_esc(v), NULL);
    }
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "a content (an object) or a string", in->err);
    }
    enum ar_code code = ar_gemini_read_content(&p, ar_gemini_get_lit(v, "parts"));
    for (const struct ar_block *b = r->system; code == AR_OK && b; b = b->next) {
        if (b->kind != AR_TEXT) {
            code = ar_json_wrong(v, "a content of text parts", in->err);
        }
    }
    return code;
}
