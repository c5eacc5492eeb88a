/* Content of a message, a string or parts by the type they name, -> blocks. A data: URL is cut into
 * its mime and its base64, which stays an escaped span of the body; nothing is decoded or checked
 * here, because only the target knows what it takes. */
#include "dialect/chat/request_read.h"

struct ar_str ar_chat_read_cache(struct ar_chat_in *in, struct ar_jval part)
{
    struct ar_jval mark = ar_json_get_lit(part, "prompt_cache_breakpoint");
    if (!ar_json_is(mark, AR_J_OBJECT)) {
        mark =
            ar_json_get_lit(part, "cache_control"); /* as OpenRouter and LiteLLM clients send it */
    }
    if (!ar_json_is(mark, AR_J_OBJECT)) {
        return (struct ar_str){0};
    }
    struct ar_str ttl = ar_member_text_lit(in->a, mark, "ttl");
    return ttl.p ? ttl : AR_LIT("");
}

static enum ar_code add_media(struct ar_chat_in *in, enum ar_block_kind kind, struct ar_jval part,
                              struct ar_media m, struct ar_block ***tail)
{
    struct ar_block *b = ar_block_new(in->a, kind, tail);
    struct ar_media *copy = ar_arena_new(in->a, struct ar_media);
    if (!b || !copy) {
        return AR_TOO_LARGE;
    }
    *copy = m;
    b->media = copy;
    b->cache_ttl = ar_chat_read_cache(in, part);
    return AR_OK;
}

static enum ar_code read_url(struct ar_chat_in *in, struct ar_jval part, struct ar_jval holder,
                             enum ar_block_kind kind, struct ar_block ***tail)
{
    struct ar_jval url = ar_json_is(holder, AR_J_STRING) ? holder : ar_json_get_lit(holder, "url");
    struct ar_media m = {.from = AR_FROM_URL};
    bool bad;
    if (!ar_json_is(url, AR_J_STRING)) {
        return ar_json_wrong(ar_json_is(url, AR_J_NONE) ? part : url, "a part with a string url",
                             in->err);
    }
    m.data = ar_json_esc(url);
    if (ar_take_data_url(m.data, in->a, &m, &bad) && bad) {
        return ar_json_wrong(url, "an http(s) URL or a data: URL in base64", in->err);
    }
    m.detail = ar_member_text_lit(in->a, holder, "detail");
    return add_media(in, kind, part, m, tail);
}

static enum ar_code read_image(struct ar_chat_in *in, struct ar_jval part, struct ar_block ***tail)
{
    return read_url(in, part, ar_json_get_lit(part, "image_url"), AR_IMAGE, tail);
}

static enum ar_code read_video(struct ar_chat_in *in, struct ar_jval part, struct ar_block ***tail)
{
    return read_url(in, part, ar_json_get_lit(part, "video_url"), AR_VIDEO, tail);
}

static enum ar_code read_audio(struct ar_chat_in *in, struct ar_jval part, struct ar_block ***tail)
{
    struct ar_jval audio = ar_json_get_lit(part, "input_audio");
    struct ar_jval data = ar_json_get_lit(audio, "data");
    struct ar_str format = ar_member_text_lit(in->a, audio, "format");
    if (!ar_json_is(data, AR_J_STRING)) {
        return ar_json_wrong(part, "a part with input_audio.data in base64", in->err);
    }
    struct ar_media m = {.from = AR_FROM_B64, .data = ar_json_esc(data)};
    if (format.n) {
        m.mime = ar_arena_fmt(in->a, "audio/%.*s", AR_FMT(format));
        if (!ar_is_media_type(m.mime)) {
            return ar_json_wrong(ar_json_get_lit(audio, "format"), "a format like wav", in->err);
        }
    }
    return add_media(in, AR_AUDIO, part, m, tail);
}

static enum ar_code read_file(struct ar_chat_in *in, struct ar_jval part, struct ar_block ***tail)
{
    struct ar_jval file = ar_json_get_lit(part, "file");
    struct ar_jval data = ar_json_get_lit(file, "file_data");
    struct ar_jval id = ar_json_get_lit(file, "file_id");
    struct ar_media m = {.title = ar_json_esc(ar_json_get_lit(file, "filename"))};
    bool bad;
    if (ar_json_is(data, AR_J_STRING)) {
        struct ar_str esc = ar_json_esc(data);
        if (ar_str_has_prefix(esc, AR_LIT("http"))) {
            m.from = AR_FROM_URL;
            m.data = esc;
        } else if (!ar_take_data_url(esc, in->a, &m,
                                     &bad)) { /* bare base64, as some clients send it */
            m.from = AR_FROM_B64;
            m.mime = AR_LIT("application/pdf");
            m.data = esc;
        } else if (bad) {
            return ar_json_wrong(data, "a data: URL in base64", in->err);
        }
    } else if (ar_json_is(id, AR_J_STRING)) {
        m.from = AR_FROM_FILE;
        m.file_vendor = AR_VENDOR_OPENAI;
        m.data = ar_json_esc(id);
    } else {
        return ar_json_wrong(part, "a part with file.file_data or file.file_id", in->err);
    }
    return add_media(in, AR_DOCUMENT, part, m, tail);
}

static enum ar_code read_refusal(struct ar_chat_in *in, struct ar_jval part,
                                 struct ar_block ***tail)
{
    struct ar_jval v = ar_json_get_lit(part, "refusal");
    if (!ar_json_is(v, AR_J_STRING)) {
        return ar_json_wrong(part, "a part with a string refusal", in->err);
    }
    struct ar_block *b = ar_block_new(in->a, AR_REFUSAL, tail);
    if (!b) {
        return AR_TOO_LARGE;
    }
    b->text = ar_json_esc(v);
    return AR_OK;
}

/* Mistral's {type:"thinking", thinking:[{type:"text",text}]}, or a string. */
static enum ar_code read_thinking(struct ar_chat_in *in, struct ar_jval part,
                                  struct ar_block ***tail)
{
    struct ar_jval v = ar_json_get_lit(part, "thinking");
    struct ar_jiter it = ar_json_iter(v);
    if (ar_json_is(v, AR_J_STRING)) {
        struct ar_block *b = ar_block_new(in->a, AR_THINKING, tail);
        if (b) {
            b->text = ar_json_esc(v);
        }
        return b ? AR_OK : AR_TOO_LARGE;
    }
    while (ar_json_next(&it)) {
        struct ar_jval text = ar_json_get_lit(it.val, "text");
        struct ar_block *b =
            ar_json_is(text, AR_J_STRING) ? ar_block_new(in->a, AR_THINKING, tail) : NULL;
        if (b) {
            b->text = ar_json_esc(text);
        }
    }
    return AR_OK;
}

static enum ar_code read_media(struct ar_chat_in *in, struct ar_jval part, struct ar_str type,
                               struct ar_block ***tail)
{
    static const struct {
        struct ar_str type;
        enum ar_code (*read)(struct ar_chat_in *in, struct ar_jval part, struct ar_block ***tail);
    } PARTS[] = {
        {AR_LIT_INIT("image_url"), read_image},   {AR_LIT_INIT("input_audio"), read_audio},
        {AR_LIT_INIT("file"), read_file},         {AR_LIT_INIT("refusal"), read_refusal},
        {AR_LIT_INIT("thinking"), read_thinking}, {AR_LIT_INIT("video_url"), read_video},
    };
    for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++) {
        if (ar_str_is(type, PARTS[i].type)) {
            return PARTS[i].read(in, part, tail);
        }
    }
    struct ar_jval tv = ar_json_get_lit(part, "type");
    if (in->target) { /* an answer: what is unknown is not shown */
        return AR_OK;
    }
    return ar_json_wrong(ar_json_is(tv, AR_J_NONE) ? part : tv,
                         "text, image_url, input_audio, file or refusal", in->err);
}

static struct ar_block *add_text(struct ar_chat_in *in, struct ar_str esc, bool is_plain,
                                 struct ar_block ***tail)
{
    struct ar_block *b = ar_block_new(in->a, AR_TEXT, tail);
    if (b) {
        b->text = esc;
        b->is_plain = is_plain;
    }
    return b;
}

static enum ar_code read_part(struct ar_chat_in *in, struct ar_jval part, struct ar_block ***tail)
{
    if (ar_json_is(part, AR_J_STRING)) {
        return add_text(in, ar_json_esc(part), false, tail) ? AR_OK : AR_TOO_LARGE;
    }
    if (!ar_json_is(part, AR_J_OBJECT)) {
        return ar_json_wrong(part, "an object", in->err);
    }
    struct ar_str type = ar_json_esc(ar_json_get_lit(part, "type"));
    if (!ar_str_is_lit(type, "text")) {
        return read_media(in, part, type, tail);
    }
    struct ar_jval text = ar_json_get_lit(part, "text");
    if (!ar_json_is(text, AR_J_STRING)) {
        return ar_json_wrong(ar_json_is(text, AR_J_NONE) ? part : text,
                             "a text part with a string text", in->err);
    }
    struct ar_block *b = add_text(in, ar_json_esc(text), false, tail);
    if (!b) {
        return AR_TOO_LARGE;
    }
    b->cache_ttl = ar_chat_read_cache(in, part);
    return AR_OK;
}

enum ar_code ar_chat_read_content(struct ar_chat_in *in, struct ar_jval content,
                                  struct ar_block ***tail)
{
    if (ar_json_is_nil(content)) {
        return AR_OK;
    }
    if (ar_json_is(content, AR_J_STRING)) {
        return add_text(in, ar_json_esc(content), true, tail) ? AR_OK : AR_TOO_LARGE;
    }
    if (!ar_json_is(content, AR_J_ARRAY)) {
        return ar_json_wrong(content, "a string or a list of parts", in->err);
    }
    struct ar_jiter it = ar_json_iter(content);
    while (ar_json_next(&it)) {
        enum ar_code c = read_part(in, it.val, tail);
        if (c != AR_OK) {
            return c;
        }
    }
    return AR_OK;
}
