/* Calls of the kinds that this wire has an item for, back from the arguments that another vendor's
 * model wrote (PROTOCOLS 6.3, 8.3.5). A client runs these without asking, so an input that is not
 * of the form is refused here and becomes an ordinary call. Members that the model gave are kept as
 * they came. Owns nothing. */
#include "dialect/responses/answer_write.h"

void ar_responses_put_name(struct ar_jw *w, struct ar_str name, struct ar_str ns)
{
    ar_jw_key_text(w, "name", ar_responses_bare_name(ns, name));
    if (ns.n > 0) {
        ar_jw_key_text(w, "namespace", ns);
    }
}

static bool is_string_list(struct ar_jval v)
{
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        if (!ar_json_is(it.val, AR_J_STRING)) {
            return false;
        }
    }
    return ar_json_is(v, AR_J_ARRAY) && ar_json_count(v) > 0;
}

static void put_members(struct ar_jw *w, struct ar_jval v, const char *but)
{
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        if (!ar_str_is(it.key, ar_str_of(but))) {
            ar_jw_key_dec(w, it.key);
            ar_jw_raw(w, ar_json_raw(it.val));
        }
    }
}

static bool put_exec(struct ar_jw *w, struct ar_jval v)
{
    if (!is_string_list(ar_json_get_lit(v, "command"))) {
        return false;
    }
    ar_jw_key(w, "action");
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "exec");
    put_members(w, v, "type");
    if (!ar_json_get_lit(v, "env").doc) {
        ar_jw_key_raw(w, "env", AR_LIT("{}"));
    }
    ar_jw_close(w, '}');
    return true;
}

static bool put_shell(struct ar_jw *w, struct ar_jval v)
{
    if (!is_string_list(ar_json_get_lit(v, "commands"))) {
        return false;
    }
    ar_jw_key(w, "action");
    ar_jw_open(w, '{');
    put_members(w, v, "");
    if (!ar_json_get_lit(v, "timeout_ms").doc) {
        ar_jw_key_null(w, "timeout_ms");
    }
    if (!ar_json_get_lit(v, "max_output_length").doc) {
        ar_jw_key_null(w, "max_output_length");
    }
    ar_jw_close(w, '}');
    return true;
}

static bool put_patch(struct ar_jw *w, struct ar_jval v)
{
    struct ar_str type = ar_json_esc(ar_json_get_lit(v, "type"));
    bool has_diff = ar_json_is(ar_json_get_lit(v, "diff"), AR_J_STRING);
    bool deletes = ar_str_is_lit(type, "delete_file");
    bool writes = ar_str_is_lit(type, "create_file") || ar_str_is_lit(type, "update_file");
    if (!ar_json_is(ar_json_get_lit(v, "path"), AR_J_STRING) ||
        !(deletes || (writes && has_diff))) {
        return false;
    }
    ar_jw_key(w, "operation");
    ar_jw_open(w, '{');
    put_members(w, v, deletes ? "diff" : "");
    ar_jw_close(w, '}');
    return true;
}

static bool put_search(struct ar_jw *w, struct ar_jval v)
{
    ar_jw_key_lit(w, "execution", "client");
    ar_jw_key_raw(w, "arguments", ar_json_raw(v));
    return true;
}

bool ar_responses_put_action(struct ar_jw *w, enum ar_native native, struct ar_str input,
                             struct ar_arena *a)
{
    struct ar_jdoc doc;
    if (ar_json_parse(input, AR_JSON_DEPTH, a, &doc, NULL) != AR_OK) {
        return false;
    }
    struct ar_jval v = ar_json_root(&doc);
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return false;
    }
    switch (native) {
    case AR_NATIVE_LOCAL_SHELL:
        return put_exec(w, v);
    case AR_NATIVE_SHELL:
        return put_shell(w, v);
    case AR_NATIVE_APPLY_PATCH:
        return put_patch(w, v);
    case AR_NATIVE_TOOL_SEARCH:
        return put_search(w, v);
    case AR_NATIVE_NONE:
        break;
    }
    return false;
}
