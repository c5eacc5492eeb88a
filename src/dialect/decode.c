/* What the readers do alike. Values are taken as they are: what is legal for a
 * model is for the upstream to say. Owns nothing: arena and spans of the body. */
#include "dialect/decode.h"

enum ar_code ar_request_open(struct ar_str body, const struct ar_wire_in *in, struct ar_arena *a,
                             struct ar_opened *ret, struct ar_err *err)
{
    ret->doc = ar_arena_new(a, struct ar_jdoc);
    ret->r = ar_arena_new(a, struct ar_request);
    if (!ret->doc || !ret->r) {
        return ar_request_too_large(err);
    }
    *ret->doc = in && in->doc ? *in->doc : (struct ar_jdoc){.nodes = NULL};
    enum ar_code code =
        ret->doc->nodes ? AR_OK : ar_json_parse(body, AR_JSON_DEPTH, a, ret->doc, err);
    if (code != AR_OK) {
        return code;
    }
    ret->root = ar_json_root(ret->doc);
    return ar_json_is(ret->root, AR_J_OBJECT)
               ? AR_OK
               : ar_fail(err, AR_INVALID_REQUEST, "the body must be a JSON object");
}

bool ar_has_envelope(const struct ar_jdoc *doc)
{
    struct ar_str head = AR_LIT("\"ar1.");
    for (uint32_t i = 0; i < doc->count; i++) {
        const struct ar_jnode *n = &doc->nodes[i];
        if (n->end - n->at > head.n && memcmp(doc->src.p + n->at, head.p, head.n) == 0) {
            return true;
        }
    }
    return false;
}

enum ar_code ar_fail_at(struct ar_err *err, const char *at, const char *note)
{
    enum ar_code code = ar_fail(err, AR_INVALID_REQUEST, "%s", note);
    if (err) {
        memcpy(err->at, at, strlen(at) + 1);
    }
    return code;
}

enum ar_code ar_take_num(struct ar_jval v, struct ar_num *ret, struct ar_err *err)
{
    ret->tri = ar_json_is_nil(v) ? AR_NULL : AR_SET;
    if (ret->tri == AR_NULL) {
        return AR_OK;
    }
    ret->src = ar_json_raw(v);
    return ar_json_double(v, &ret->d, err);
}

enum ar_code ar_take_int(struct ar_jval v, struct ar_int *ret, struct ar_err *err)
{
    ret->tri = ar_json_is_nil(v) ? AR_NULL : AR_SET;
    return ret->tri == AR_NULL ? AR_OK : ar_json_i64(v, &ret->i, err);
}

enum ar_code ar_take_whole(struct ar_jval v, struct ar_int *ret, struct ar_err *err)
{
    enum ar_code code = ar_take_int(v, ret, err);
    return code == AR_OK && ret->i < 0 ? ar_json_wrong(v, "0 or more", err) : code;
}

enum ar_code ar_take_count(struct ar_jval v, struct ar_int *ret, struct ar_err *err)
{
    enum ar_code code = ar_take_int(v, ret, err);
    bool none = code == AR_OK && ret->tri == AR_SET && ret->i < 1;
    return none ? ar_json_wrong(v, "1 or more", err) : code;
}

enum ar_code ar_take_flag(struct ar_jval v, bool *ret, struct ar_err *err)
{
    return ar_json_is_nil(v) ? AR_OK : ar_json_bool(v, ret, err);
}

enum ar_code ar_take_text(struct ar_jval v, struct ar_arena *a, struct ar_str *ret,
                          struct ar_err *err)
{
    return ar_json_is_nil(v) ? AR_OK : ar_json_text(v, a, ret, err);
}

enum ar_code ar_take_stops(struct ar_jval v, struct ar_arena *a, struct ar_name **ret,
                           struct ar_err *err)
{
    struct ar_name **tail = ret;
    if (ar_json_is(v, AR_J_STRING)) {
        return ar_name_new(a, ar_json_esc(v), &tail) ? AR_OK : ar_request_too_large(err);
    }
    if (!ar_json_is(v, AR_J_ARRAY) && !ar_json_is_nil(v)) {
        return ar_json_wrong(v, "a string or a list of strings", err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        if (!ar_json_is(it.val, AR_J_STRING)) {
            return ar_json_wrong(it.val, "a string", err);
        }
        if (!ar_name_new(a, ar_json_esc(it.val), &tail)) {
            return ar_request_too_large(err);
        }
    }
    return AR_OK;
}

bool ar_is_media_type(struct ar_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] > '~' ||
            strchr(",\"\\", s.p[i])) {
            return false;
        }
    }
    size_t slash = ar_str_find_char(s, '/');
    return slash > 0 && slash < ar_str_find_char(s, ';'); /* parameters follow the subtype */
}

bool ar_take_data_url(struct ar_str esc, struct ar_arena *a, struct ar_media *m, bool *ret_bad)
{
    *ret_bad = false;
    if (!ar_str_has_prefix_nocase(esc, AR_LIT("data:"))) {
        return false;
    }
    size_t comma = ar_str_find_char(esc, ',');
    struct ar_str head =
        ar_json_unescape_in(ar_str_head(ar_str_from(esc, 5), comma < 5 ? 0 : comma - 5), a);
    size_t semi = ar_str_find_char(head, ';');
    m->from = AR_FROM_B64;
    m->mime = semi > 0 ? ar_str_head(head, semi) : (struct ar_str){0};
    *ret_bad = comma >= esc.n || ar_str_find_nocase(head, AR_LIT(";base64")) >= head.n ||
               (m->mime.n > 0 && !ar_is_media_type(m->mime));
    m->data = ar_str_from(esc, comma + 1);
    return true;
}

struct ar_str ar_take_error_text(struct ar_jval v, struct ar_arena *a)
{
    struct ar_str s = {0};
    if (ar_json_is(v, AR_J_STRING)) {
        s = ar_json_unescape_in(ar_json_esc(v), a);
    } else if (ar_json_is(v, AR_J_NUMBER)) {
        s = ar_json_raw(v);
    }
    size_t n = s.n < AR_ERROR_TEXT_MAX ? s.n : AR_ERROR_TEXT_MAX;
    while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xC0U) == 0x80U) {
        n--;
    }
    return s.p ? ar_arena_copy(a, ar_str_head(s, n)) : s;
}
