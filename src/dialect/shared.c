/* What the files of several dialects do alike: members of objects, failures, rows of the undo list,
 * counts. Nothing here knows a wire format beyond these. Owns nothing. */
#include "dialect/shared.h"

#include "ir/undo.h"

struct ar_str ar_member_text(struct ar_arena *a, struct ar_jval obj, struct ar_str key)
{
    struct ar_jval v = ar_json_get(obj, key);
    struct ar_str s = {NULL, 0};
    if (!ar_json_is(v, AR_J_STRING) || ar_json_text(v, a, &s, NULL) != AR_OK) {
        return (struct ar_str){NULL, 0};
    }
    return s;
}

enum ar_code ar_request_too_large(struct ar_err *err)
{
    return ar_fail(err, AR_TOO_LARGE, "the request does not fit into its memory limit");
}

void ar_undo_add(struct ar_undo ***tail, struct ar_arena *a, struct ar_undo row)
{
    struct ar_undo *u = ar_arena_new(a, struct ar_undo);
    if (u) {
        row.next = NULL;
        *u = row;
        **tail = u;
        *tail = &u->next;
    }
}

void ar_put_input_tokens(int64_t tokens, struct ar_buf *out)
{
    struct ar_jw w = ar_jw_on(out);
    ar_jw_open(&w, '{');
    ar_jw_key_i64(&w, "input_tokens", tokens);
    ar_jw_close(&w, '}');
}

int64_t ar_read_input_tokens(struct ar_str body, struct ar_arena *a)
{
    struct ar_jdoc doc;
    int64_t n = -1;
    if (ar_json_parse(body, 1, a, &doc, NULL) != AR_OK) {
        return -1;
    }
    struct ar_jval v = ar_json_get_lit(ar_json_root(&doc), "input_tokens");
    return ar_json_i64(v, &n, NULL) == AR_OK && n >= 0 ? n : -1;
}
