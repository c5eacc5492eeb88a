/* Content parts of messages and tool outputs -> IR blocks (PROTOCOLS 2.3). Texts and base64 stay
 * escaped spans of the body; a data: URL is cut into its media type and its data, nothing is
 * decoded or checked, because only the target knows what it takes. Input and output forms of text
 * are both accepted everywhere: clients send either in a history. Owns nothing. */
#include "dialect/responses/request_read.h"

static struct ar_block *add(struct ar_responses_in *in, enum ar_block_kind kind,
                            struct ar_jval part, struct ar_block ***tail)
{
    struct ar_block *b = ar_block_new(in->a, kind, tail);
    struct ar_jval mark = ar_json_get_lit(part, "prompt_cache_breakpoint");
    if (b && ar_json_is(mark, AR_J_OBJECT)) {
        struct ar_str ttl = ar_member_text_lit(in->a, mark, "ttl");
        b->cache_ttl = ttl.p ? ttl : AR_LIT("");
    }
    return b;
}

static enum ar_code add_media(struct ar_responses_in *in, enum ar_block_kind kind,
                              struct ar_jval part, const struct ar_media *m,
                              struct ar_block ***tail)
{
    struct ar_block *b = add(in, kind, part, tail);
    struct ar_media *copy = ar_arena_new(in->a, struct ar_media);
    if (!b || !copy) {
        return ar_request_too_large(in->err);
    }
    *copy = *m;
    b->media = copy;
    return AR_OK;
}

/* A URL, or "data:image/png;base64,AAAA" as mime and data (all escaped). */
static enum ar_code read_url(struct ar_responses_in *in, struct ar_jval url, struct ar_media *m)
{
    struct ar_str esc = ar_json_esc(url);
    bool bad;
    m->from = AR_FROM_URL;
    m->data = esc;
    return ar_take_data_url(esc, in->a, m, &bad) && bad
               ? ar_json_wrong(url, "an http(s) URL or a data: URL in base64", in->err)
               : AR_OK;
}

static enum ar_code read_text(struct ar_responses_in *in, struct ar_jval part,
                              struct ar_block ***tail)
{
    struct ar_jval text;
    enum ar_code c = ar_responses_need(in, part, AR_LIT("text"), &text);
    struct ar_block *b = c == AR_OK ? add(in, AR_TEXT, part, tail) : NULL;
    if (!b) {
        return c == AR_OK ? ar_request_too_large(in->err) : c;
    }
    struct ar_jval notes = ar_json_get_lit(part, "annotations");
    b->text = ar_json_esc(text);
    b->citations = ar_json_count(notes) > 0 ? ar_json_raw(notes) : (struct ar_str){0};
    return AR_OK;
}

static enum ar_code read_refusal(struct ar_responses_in *in, struct ar_jval part,
                                 struct ar_block ***tail)
{
    struct ar_jval text;
    enum ar_code c = ar_responses_need(in, part, AR_LIT("refusal"), &text);
    struct ar_block *b = c == AR_OK ? add(in, AR_REFUSAL, part, tail) : NULL;
    if (!b) {
        return c == AR_OK ? ar_request_too_large(in->err) : c;
    }
    b->text = ar_json_esc(text);
    return AR_OK;
}

static enum ar_code read_image(struct ar_responses_in *in, struct ar_jval part,
                               struct ar_block ***tail)
{
    struct ar_jval url = ar_json_get_lit(part, "image_url"), id = ar_json_get_lit(part, "file_id");
    struct ar_media m = {.detail = ar_member_text_lit(in->a, part, "detail")};
    enum ar_code c = AR_OK;
    if (ar_json_is(url, AR_J_OBJECT)) { /* Chat's form, which some clients send here */
        m.detail = m.detail.p ? m.detail : ar_member_text_lit(in->a, url, "detail");
        url = ar_json_get_lit(url, "url");
    }
    if (ar_json_is(url, AR_J_STRING)) {
        c = read_url(in, url, &m);
    } else if (ar_json_is(id, AR_J_STRING)) {
        m.from = AR_FROM_FILE;
        m.file_vendor = AR_VENDOR_OPENAI;
        m.data = ar_json_esc(id);
    } else {
        c = ar_json_wrong(part, "a part with image_url or file_id", in->err);
    }
    return c == AR_OK ? add_media(in, AR_IMAGE, part, &m, tail) : c;
}

static enum ar_code read_file(struct ar_responses_in *in, struct ar_jval part,
                              struct ar_block ***tail)
{
    struct ar_jval data = ar_json_get_lit(part, "file_data");
    struct ar_jval url = ar_json_get_lit(part, "file_url"), id = ar_json_get_lit(part, "file_id");
    struct ar_media m = {.title = ar_json_esc(ar_json_get_lit(part, "filename"))};
    enum ar_code c = AR_OK;
    if (ar_json_is(data, AR_J_STRING)) {
        c = read_url(in, data, &m);
        if (m.from == AR_FROM_URL) { /* bare base64, as some clients send it */
            m.from = AR_FROM_B64;
            m.mime = AR_LIT("application/pdf");
        }
    } else if (ar_json_is(url, AR_J_STRING)) {
        c = read_url(in, url, &m);
    } else if (ar_json_is(id, AR_J_STRING)) {
        m.from = AR_FROM_FILE;
        m.file_vendor = AR_VENDOR_OPENAI;
        m.data = ar_json_esc(id);
    } else {
        c = ar_json_wrong(part, "a part with file_data, file_url or file_id", in->err);
    }
    return c == AR_OK ? add_media(in, AR_DOCUMENT, part, &m, tail) : c;
}

static enum ar_code read_audio(struct ar_responses_in *in, struct ar_jval part,
                               struct ar_block ***tail)
{
    struct ar_jval audio = ar_json_get_lit(part, "input_audio"), data;
    enum ar_code c =
        ar_responses_need(in, ar_json_is(audio, AR_J_OBJECT) ? audio : part, AR_LIT("data"), &data);
    if (c != AR_OK) {
        return c;
    }
    struct ar_str format = ar_member_text_lit(in->a, audio, "format");
    struct ar_media m = {.from = AR_FROM_B64, .data = ar_json_esc(data)};
    if (format.n > 0) {
        m.mime = ar_arena_fmt(in->a, "audio/%.*s", AR_FMT(format));
        if (!ar_is_media_type(m.mime)) {
            return ar_json_wrong(ar_json_get_lit(audio, "format"), "a format like wav", in->err);
        }
    }
    return add_media(in, AR_AUDIO, part, &m, tail);
}

static const struct {
    struct ar_str type;
    enum ar_code (*read)(struct ar_responses_in *in, struct ar_jval part, struct ar_block ***tail);
} PARTS[] = {
    {AR_LIT_INIT("input_text"), read_text}, {AR_LIT_INIT("output_text"), read_text},
    {AR_LIT_INIT("text"), read_text},       {AR_LIT_INIT("summary_text"), read_text},
    {AR_LIT_INIT("refusal"), read_refusal}, {AR_LIT_INIT("input_image"), read_image},
    {AR_LIT_INIT("image_url"), read_image}, {AR_LIT_INIT("computer_screenshot"), read_image},
    {AR_LIT_INIT("input_file"), read_file}, {AR_LIT_INIT("input_audio"), read_audio},
};

static enum ar_code read_part(struct ar_responses_in *in, struct ar_jval part,
                              struct ar_block ***tail)
{
    struct ar_jval tv = ar_json_get_lit(part, "type");
    struct ar_str type = ar_json_esc(tv);
    for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++) {
        if (ar_str_is(type, PARTS[i].type)) {
            return PARTS[i].read(in, part, tail);
        }
    }
    return ar_json_wrong(tv.doc ? tv : part,
                         "of type input_text, input_image, input_file, input_audio, output_text "
                         "or refusal",
                         in->err);
}

enum ar_code ar_responses_read_content(struct ar_responses_in *in, struct ar_jval v,
                                       struct ar_block ***tail)
{
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    if (ar_json_is(v, AR_J_STRING)) {
        struct ar_block *b = ar_block_new(in->a, AR_TEXT, tail);
        if (!b) {
            return ar_request_too_large(in->err);
        }
        b->text = ar_json_esc(v);
        b->is_plain = true;
        return AR_OK;
    }
    if (!ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_wrong(v, "a string or a list of parts", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        enum ar_code c = read_part(in, it.val, tail);
        if (c != AR_OK) {
            return c;
        }
    }
    return AR_OK;
}
