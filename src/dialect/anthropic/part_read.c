/* Content blocks of Anthropic's wire -> IR blocks, for requests and answers alike (PROTOCOLS 3.4).
 * Texts stay escaped spans of the source. A block with members that the IR has no name for keeps
 * its whole wire form in raw, so that it returns to this dialect as it came; a block type that
 * nobody knows becomes an opaque item. Envelopes in signatures are opened here (PROTOCOLS 5.6).
 * Owns nothing: blocks live in the arena, texts in the source. */
#include "dialect/anthropic/request_read.h"

#include "ir/opaque.h"

#include <stdio.h>

/* Escaped text of a string member; NULL-like values give "". */
static enum ar_code read_esc(const struct ar_anthropic_in *in, struct ar_jval v, struct ar_str *ret)
{
    if (!ar_json_is(v, AR_J_STRING)) {
        return ar_json_wrong(v, "a string", in->err);
    }
    *ret = ar_json_esc(v);
    return AR_OK;
}

enum ar_code ar_anthropic_missing(struct ar_jval v, const char *key, struct ar_err *err)
{
    struct ar_err at = {0};
    ar_json_path(v, at.at, sizeof(at.at));
    if (err) {
        int n = snprintf(err->at, sizeof(err->at), "%s%s%s", at.at, at.at[0] ? "." : "", key);
        if (n < 0 || (size_t)n >= sizeof(err->at)) {
            err->at[0] = '\0';
        }
        return ar_fail(err, AR_INVALID_REQUEST, "%s: required", err->at[0] ? err->at : key);
    }
    return AR_INVALID_REQUEST;
}

/* A required string of block v. */
static enum ar_code need(const struct ar_anthropic_in *in, struct ar_jval v, struct ar_str key,
                         struct ar_jval *ret)
{
    struct ar_jval m = ar_json_get(v, key);
    if (ar_json_is_nil(m)) {
        return ar_anthropic_missing(v, key.p, in->err);
    }
    if (!ar_json_is(m, AR_J_STRING)) {
        return ar_json_wrong(m, "a string", in->err);
    }
    *ret = m;
    return AR_OK;
}

static enum ar_code need_esc(const struct ar_anthropic_in *in, struct ar_jval v, struct ar_str key,
                             struct ar_str *ret)
{
    struct ar_jval m = {0};
    enum ar_code code = need(in, v, key, &m);
    return code == AR_OK ? read_esc(in, m, ret) : code;
}

static enum ar_code need_text(const struct ar_anthropic_in *in, struct ar_jval v, struct ar_str key,
                              struct ar_str *ret)
{
    struct ar_jval m = {0};
    enum ar_code code = need(in, v, key, &m);
    return code == AR_OK ? ar_json_text(m, in->a, ret, in->err) : code;
}

static struct ar_str esc_or_none(struct ar_jval v)
{
    return ar_json_is(v, AR_J_STRING) ? ar_json_esc(v) : (struct ar_str){0};
}

struct ar_str ar_anthropic_read_cache(struct ar_anthropic_in *in, struct ar_jval v)
{
    struct ar_str ttl = {0};
    if (ar_json_is(v, AR_J_OBJECT)) {
        struct ar_jval t = ar_json_get_lit(v, "ttl");
        ttl = ar_json_is(t, AR_J_STRING) ? ar_json_unescape_in(ar_json_esc(t), in->a) : AR_LIT("");
    }
    return ttl;
}

struct ar_opaque *ar_anthropic_read_sig(struct ar_anthropic_in *in, struct ar_str text,
                                        enum ar_sig_form form)
{
    struct ar_opaque *o = text.n > 0 ? ar_arena_new(in->a, struct ar_opaque) : NULL;
    if (o && !ar_opaque_unwrap(text, in->a, o)) {
        *o = (struct ar_opaque){.vendor = in->vendor,
                                .form = form,
                                .family = AR_LIT(""),
                                .account = in->account,
                                .data = text};
    }
    return o;
}

/* Appends a block of kind, with its cache marker. */
static struct ar_block *add(struct ar_anthropic_in *in, enum ar_block_kind kind, struct ar_jval v,
                            struct ar_block ***tail)
{
    struct ar_block *b = ar_block_new(in->a, kind, tail);
    if (b) {
        b->cache_ttl = ar_anthropic_read_cache(in, ar_json_get_lit(v, "cache_control"));
    }
    return b;
}

/* Keeps the wire form of b when v has members beyond those named (separated by spaces). */
static void keep_odd(struct ar_block *b, struct ar_jval v, const char *names)
{
    struct ar_str all = ar_str_of(names);
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        struct ar_str rest = all, name;
        bool known = ar_str_is_lit(it.key, "type") || ar_str_is_lit(it.key, "cache_control");
        while (!known && ar_str_split(&rest, ' ', &name)) {
            known = ar_str_is(name, it.key);
        }
        if (!known) {
            b->raw = ar_json_raw(v);
            return;
        }
    }
}

static enum ar_code read_text(struct ar_anthropic_in *in, struct ar_jval v,
                              enum ar_anthropic_place at, struct ar_block ***tail)
{
    struct ar_str text;
    enum ar_code code = need_esc(in, v, AR_LIT("text"), &text);
    if (code != AR_OK) {
        return code;
    }
    struct ar_jval citations = ar_json_get_lit(v, "citations");
    bool cites = ar_json_is(citations, AR_J_ARRAY) && ar_json_count(citations) > 0;
    if (cites && in->new_version && (at == AR_IN_USER || at == AR_IN_RESULT)) {
        return ar_json_wrong(citations, "empty in a user message of API version 2026-10-21",
                             in->err);
    }
    struct ar_block *b = add(in, AR_TEXT, v, tail);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->text = text;
    if (cites) {
        b->citations = ar_json_raw(citations);
    }
    keep_odd(b, v, "text citations");
    return AR_OK;
}

/* source{base64|url|file|text} -> media. content sources are the caller's. */
static enum ar_code read_source(struct ar_anthropic_in *in, struct ar_jval src, struct ar_media *m)
{
    struct ar_str type = {0};
    enum ar_code code = need_esc(in, src, AR_LIT("type"), &type);
    if (code != AR_OK) {
        return code;
    }
    if (ar_str_is_lit(type, "base64") || ar_str_is_lit(type, "text")) {
        m->from = type.n == 4 ? AR_FROM_TEXT : AR_FROM_B64;
        code = need_text(in, src, AR_LIT("media_type"), &m->mime);
        if (code == AR_OK && !ar_is_media_type(m->mime)) {
            code = ar_json_wrong(ar_json_get_lit(src, "media_type"), "a media type", in->err);
        }
        return code == AR_OK ? need_esc(in, src, AR_LIT("data"), &m->data) : code;
    }
    if (ar_str_is_lit(type, "url")) {
        m->from = AR_FROM_URL;
        return need_esc(in, src, AR_LIT("url"), &m->data);
    }
    if (ar_str_is_lit(type, "file")) {
        m->from = AR_FROM_FILE;
        m->file_vendor = AR_VENDOR_ANTHROPIC;
        return need_esc(in, src, AR_LIT("file_id"), &m->data);
    }
    return ar_json_wrong(ar_json_get_lit(src, "type"), "base64, text, url, file or content",
                         in->err);
}

static enum ar_code read_image(struct ar_anthropic_in *in, struct ar_jval v,
                               enum ar_anthropic_place at, struct ar_block ***tail)
{
    (void)at;
    struct ar_block *b = add(in, AR_IMAGE, v, tail);
    struct ar_media *m = ar_arena_new(in->a, struct ar_media);
    if (!b || !m) {
        return ar_request_too_large(in->err);
    }
    b->media = m;
    keep_odd(b, v, "source");
    return read_source(in, ar_json_get_lit(v, "source"), m);
}

static enum ar_code read_document(struct ar_anthropic_in *in, struct ar_jval v,
                                  enum ar_anthropic_place at, struct ar_block ***tail)
{
    if (at == AR_IN_ASSISTANT && in->new_version) {
        return ar_json_wrong(
            v, "no document: API version 2026-10-21 takes none in assistant messages", in->err);
    }
    struct ar_block *b = add(in, AR_DOCUMENT, v, tail);
    struct ar_media *m = ar_arena_new(in->a, struct ar_media);
    if (!b || !m) {
        return ar_request_too_large(in->err);
    }
    b->media = m;
    m->title = esc_or_none(ar_json_get_lit(v, "title"));
    m->context = esc_or_none(ar_json_get_lit(v, "context"));
    m->citations =
        ar_json_is(ar_json_get_lit(ar_json_get_lit(v, "citations"), "enabled"), AR_J_TRUE);
    keep_odd(b, v, "source title context citations");
    struct ar_jval src = ar_json_get_lit(v, "source");
    if (!ar_str_is_lit(esc_or_none(ar_json_get_lit(src, "type")), "content")) {
        return read_source(in, src, m);
    }
    m->from = AR_FROM_TEXT;
    struct ar_jval content = ar_json_get_lit(src, "content");
    if (ar_json_is(content, AR_J_STRING)) {
        m->mime = AR_LIT("text/plain");
        m->data = ar_json_esc(content);
        b->raw = ar_json_raw(v);
        return AR_OK;
    }
    return ar_anthropic_read_content(in, content, AR_IN_RESULT, &b->inner);
}

/* A search result is a document to everybody else. */
static enum ar_code read_search_result(struct ar_anthropic_in *in, struct ar_jval v,
                                       enum ar_anthropic_place at, struct ar_block ***tail)
{
    (void)at;
    struct ar_block *b = add(in, AR_DOCUMENT, v, tail);
    struct ar_media *m = ar_arena_new(in->a, struct ar_media);
    if (!b || !m) {
        return ar_request_too_large(in->err);
    }
    b->media = m;
    b->vendor = AR_VENDOR_ANTHROPIC;
    b->raw = ar_json_raw(v);
    m->from = AR_FROM_TEXT;
    m->title = esc_or_none(ar_json_get_lit(v, "title"));
    m->context = esc_or_none(ar_json_get_lit(v, "source"));
    m->citations =
        ar_json_is(ar_json_get_lit(ar_json_get_lit(v, "citations"), "enabled"), AR_J_TRUE);
    return ar_anthropic_read_content(in, ar_json_get_lit(v, "content"), AR_IN_RESULT, &b->inner);
}

/* A tool that a search found, by its name; the list of tools has the rest. */
static enum ar_code read_reference(struct ar_anthropic_in *in, struct ar_jval v,
                                   enum ar_anthropic_place at, struct ar_block ***tail)
{
    (void)at;
    struct ar_str name = {0};
    enum ar_code code = need_esc(in, v, AR_LIT("tool_name"), &name);
    if (code != AR_OK) {
        return code;
    }
    struct ar_block *b = add(in, AR_TEXT, v, tail);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->raw = ar_json_raw(v);
    b->text = ar_arena_fmt(in->a, "Tool found: %.*s", AR_FMT(name));
    return b->text.p ? AR_OK : ar_request_too_large(in->err);
}

static enum ar_code read_thinking(struct ar_anthropic_in *in, struct ar_jval v,
                                  enum ar_anthropic_place at, struct ar_block ***tail)
{
    (void)at;
    struct ar_str text = {0}, sig = {0};
    enum ar_code code = need_esc(in, v, AR_LIT("thinking"), &text);
    struct ar_jval s = ar_json_get_lit(v, "signature");
    if (code == AR_OK && !ar_json_is_nil(s)) {
        code = ar_json_text(s, in->a, &sig, in->err);
    }
    if (code != AR_OK) {
        return code;
    }
    struct ar_block *b = add(in, AR_THINKING, v, tail);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->text = text;
    b->sig = ar_anthropic_read_sig(in, sig, AR_SIGNATURE);
    b->raw = b->sig && ar_str_is(b->sig->data, sig) ? ar_json_raw(v) : (struct ar_str){0};
    return AR_OK;
}

static enum ar_code read_redacted(struct ar_anthropic_in *in, struct ar_jval v,
                                  enum ar_anthropic_place at, struct ar_block ***tail)
{
    (void)at;
    struct ar_str data = {0};
    enum ar_code code = need_text(in, v, AR_LIT("data"), &data);
    if (code != AR_OK) {
        return code;
    }
    struct ar_block *b = add(in, AR_REDACTED_THINKING, v, tail);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->sig = ar_anthropic_read_sig(in, data, AR_REDACTED);
    b->raw = b->sig && ar_str_is(b->sig->data, data) ? ar_json_raw(v) : (struct ar_str){0};
    return AR_OK;
}

static enum ar_code read_tool_use(struct ar_anthropic_in *in, struct ar_jval v,
                                  enum ar_anthropic_place at, struct ar_block ***tail)
{
    struct ar_str id = {0}, name = {0};
    bool server = !ar_str_is_lit(ar_json_esc(ar_json_get_lit(v, "type")), "tool_use");
    if (!server && at != AR_IN_ASSISTANT && at != AR_IN_ANSWER) {
        return ar_json_wrong(v, "in an assistant message (tool_use)", in->err);
    }
    enum ar_code code = need_text(in, v, AR_LIT("id"), &id);
    if (code == AR_OK) {
        code = need_text(in, v, AR_LIT("name"), &name);
    }
    if (code != AR_OK) {
        return code;
    }
    struct ar_block *b = add(in, server ? AR_SERVER_TOOL_USE : AR_TOOL_USE, v, tail);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->id = id;
    b->name = name;
    struct ar_jval input = ar_json_get_lit(v, "input");
    b->text = ar_json_is_nil(input) ? AR_LIT("{}") : ar_json_raw(input);
    struct ar_jval caller = ar_json_get_lit(v, "caller");
    if (server) {
        b->vendor = AR_VENDOR_ANTHROPIC;
        b->raw = ar_json_raw(v);
    } else if (!ar_json_is_nil(caller) &&
               !ar_str_is_lit(esc_or_none(ar_json_get_lit(caller, "type")), "direct")) {
        b->raw = ar_json_raw(v);
    } else {
        keep_odd(b, v, "id name input caller");
    }
    return AR_OK;
}

static enum ar_code read_tool_result(struct ar_anthropic_in *in, struct ar_jval v,
                                     enum ar_anthropic_place at, struct ar_block ***tail)
{
    (void)at;
    struct ar_str id = {0};
    enum ar_code code = need_text(in, v, AR_LIT("tool_use_id"), &id);
    if (code != AR_OK) {
        return code;
    }
    struct ar_block *b = add(in, AR_TOOL_RESULT, v, tail);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->id = id;
    b->is_error = ar_json_is(ar_json_get_lit(v, "is_error"), AR_J_TRUE);
    keep_odd(b, v, "tool_use_id content is_error");
    struct ar_jval content = ar_json_get_lit(v, "content");
    if (ar_json_is_nil(content)) {
        return AR_OK;
    }
    b->is_plain = ar_json_is(content, AR_J_STRING);
    return ar_anthropic_read_content(in, content, AR_IN_RESULT, &b->inner);
}

static enum ar_code read_compaction(struct ar_anthropic_in *in, struct ar_jval v,
                                    enum ar_anthropic_place at, struct ar_block ***tail)
{
    (void)at;
    struct ar_block *b = add(in, AR_COMPACTION, v, tail);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->vendor = AR_VENDOR_ANTHROPIC;
    b->text = esc_or_none(ar_json_get_lit(v, "content"));
    b->raw = ar_json_raw(v);
    return AR_OK;
}

/* Server tool results, and everything that nobody knows: whole. */
static enum ar_code read_opaque(struct ar_anthropic_in *in, struct ar_jval v, struct ar_str type,
                                struct ar_block ***tail)
{
    bool result = ar_str_has_suffix(type, AR_LIT("tool_result"));
    struct ar_block *b = add(in, result ? AR_SERVER_TOOL_RESULT : AR_OPAQUE_ITEM, v, tail);
    if (!b) {
        return ar_request_too_large(in->err);
    }
    b->vendor = AR_VENDOR_ANTHROPIC;
    b->raw = ar_json_raw(v);
    b->name = ar_json_unescape_in(type, in->a);
    struct ar_jval id = ar_json_get_lit(v, "tool_use_id");
    if (ar_json_is(id, AR_J_STRING)) {
        b->id = ar_json_unescape_in(ar_json_esc(id), in->a);
    }
    return AR_OK;
}

static const struct {
    struct ar_str type;
    enum ar_code (*read)(struct ar_anthropic_in *in, struct ar_jval v, enum ar_anthropic_place at,
                         struct ar_block ***tail);
} kinds[] = {
    {AR_LIT_INIT("text"), read_text},
    {AR_LIT_INIT("tool_use"), read_tool_use},
    {AR_LIT_INIT("tool_result"), read_tool_result},
    {AR_LIT_INIT("thinking"), read_thinking},
    {AR_LIT_INIT("image"), read_image},
    {AR_LIT_INIT("document"), read_document},
    {AR_LIT_INIT("search_result"), read_search_result},
    {AR_LIT_INIT("tool_reference"), read_reference},
    {AR_LIT_INIT("redacted_thinking"), read_redacted},
    {AR_LIT_INIT("server_tool_use"), read_tool_use},
    {AR_LIT_INIT("mcp_tool_use"), read_tool_use},
    {AR_LIT_INIT("compaction"), read_compaction},
};

/* One block, appended at *tail. */
static enum ar_code read_part(struct ar_anthropic_in *in, struct ar_jval v,
                              enum ar_anthropic_place at, struct ar_block ***tail)
{
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "a content block (an object)", in->err);
    }
    struct ar_str type = {0};
    enum ar_code code = need_esc(in, v, AR_LIT("type"), &type);
    if (code != AR_OK) {
        return code;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (ar_str_is(type, kinds[i].type)) {
            return kinds[i].read(in, v, at, tail);
        }
    }
    return read_opaque(in, v, type, tail);
}

enum ar_code ar_anthropic_read_content(struct ar_anthropic_in *in, struct ar_jval v,
                                       enum ar_anthropic_place at, struct ar_block **ret)
{
    struct ar_block *first = NULL, **tail = &first;
    if (ar_json_is(v, AR_J_STRING)) {
        struct ar_block *b = ar_block_new(in->a, AR_TEXT, &tail);
        if (!b) {
            return ar_request_too_large(in->err);
        }
        b->text = ar_json_esc(v);
        b->is_plain = true;
        *ret = first;
        return AR_OK;
    }
    if (!ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_wrong(v, "a string or an array of content blocks", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        enum ar_code code = read_part(in, it.val, at, &tail);
        if (code != AR_OK) {
            return code;
        }
    }
    *ret = first;
    return AR_OK;
}
