/* Content parts of messages and tool results (PROTOCOLS 2.3, 6.2). Base64 is copied as the escaped
 * span that it came as. Media that cannot go are refused, never dropped: an answer about a picture
 * that was not sent is wrong. A document that is text becomes text. Owns nothing. */
#include "dialect/responses/request_write.h"

static void open_part(struct ar_jw *w, const char *type)
{
    ar_jw_open(w, '{');
    ar_jw_key(w, "type");
    ar_jw_esc(w, ar_str_of(type));
}

static void put_mark(struct ar_responses_enc *e, const struct ar_block *b)
{
    if (!b || !b->cache_ttl.p || !AR_CAN(e, CACHE_BREAKPOINTS) || e->marks_seen++ < e->marks_skip) {
        return;
    }
    struct ar_str ttl = b->cache_ttl;
    ttl = ar_str_is_lit(ttl, "5m") ? AR_LIT("30m") : ar_str_is_lit(ttl, "1h") ? AR_LIT("12h") : ttl;
    ar_jw_key(&e->w, "prompt_cache_breakpoint");
    ar_jw_open(&e->w, '{');
    ar_jw_key_lit(&e->w, "mode", "explicit");
    if (ar_str_is_lit(ttl, "30m") || ar_str_is_lit(ttl, "12h")) {
        ar_jw_key_text(&e->w, "ttl", ttl);
    }
    ar_jw_close(&e->w, '}');
}

static void refuse(struct ar_responses_enc *e, const char *field, const char *why)
{
    ar_responses_lose(e, AR_FATE_REJECT, AR_DROPPED, field, why);
}

void ar_responses_put_input_text(struct ar_responses_enc *e, struct ar_str esc,
                                 const struct ar_block *marked)
{
    open_part(&e->w, "input_text");
    ar_jw_key_esc(&e->w, "text", esc);
    put_mark(e, marked);
    ar_jw_close(&e->w, '}');
}

void ar_responses_put_said(struct ar_responses_enc *e, const struct ar_block *b)
{
    bool refusal = b->kind == AR_REFUSAL;
    open_part(&e->w, refusal ? "refusal" : "output_text");
    if (refusal) {
        ar_jw_key_esc(&e->w, "refusal", b->text);
    } else {
        ar_jw_key_esc(&e->w, "text", b->text);
        ar_jw_key_raw(&e->w, "annotations",
                      e->native && b->citations.p ? b->citations : AR_LIT("[]"));
    }
    ar_jw_close(&e->w, '}');
}

/* --- media --- */

/* A file id, if it is of the vendor that is asked. */
static void put_file_id(struct ar_responses_enc *e, const struct ar_media *m)
{
    bool own = m->file_vendor == AR_VENDOR_OPENAI &&
               (e->t->vendor == AR_VENDOR_OPENAI || (e->native && e->t->vendor == AR_VENDOR_OTHER));
    if (!own) {
        refuse(e, "file_id", "file ids cannot cross providers");
    }
    ar_jw_key_esc(&e->w, "file_id", m->data);
}

static void put_image(struct ar_responses_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    const struct ar_media *m = b->media;
    if (m->from == AR_FROM_URL && !ar_responses_takes_url(b, e->t)) {
        refuse(e, ar_responses_field(e, "image_url", "source.url"),
               "the upstream takes images inline only");
    }
    open_part(w, "input_image");
    if (m->from == AR_FROM_FILE) {
        put_file_id(e, m);
    } else if (m->from == AR_FROM_B64) {
        ar_jw_key(w, "image_url");
        ar_put_data_url(w, m->mime.n ? m->mime : AR_LIT("image/png"), m->data);
    } else {
        ar_jw_key_esc(w, "image_url", m->data);
    }
    ar_jw_key_text(w, "detail", m->detail.n ? m->detail : AR_LIT("auto"));
    put_mark(e, b);
    ar_jw_close(w, '}');
}

static void put_file(struct ar_responses_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    const struct ar_media *m = b->media;
    if (m->from == AR_FROM_URL && !ar_responses_takes_url(b, e->t)) {
        refuse(e, ar_responses_field(e, "file_url", "source.url"),
               "the upstream takes documents inline only");
    }
    open_part(w, "input_file");
    if (m->from == AR_FROM_FILE) {
        put_file_id(e, m);
    } else if (m->from == AR_FROM_URL) {
        ar_jw_key_esc(w, "file_url", m->data);
    } else {
        ar_jw_key_esc(w, "filename", m->title.n ? m->title : ar_document_name(m->mime));
        ar_jw_key(w, "file_data");
        ar_put_data_url(w, m->mime.n ? m->mime : AR_LIT("application/pdf"), m->data);
    }
    put_mark(e, b);
    ar_jw_close(w, '}');
}

static void put_audio(struct ar_responses_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    const struct ar_media *m = b->media;
    if (m->from != AR_FROM_B64) {
        refuse(e, "input_audio", "the upstream takes audio inline only");
    }
    open_part(w, "input_audio");
    ar_jw_key(w, "input_audio");
    ar_jw_open(w, '{');
    ar_jw_key_esc(w, "data", m->data);
    ar_jw_key_text(w, "format", ar_audio_format(m->mime));
    ar_jw_close(w, '}');
    ar_jw_close(w, '}');
}

/* --- documents that are text --- */

static void put_document(struct ar_responses_enc *e, const struct ar_block *b)
{
    if (b->media && b->media->citations) {
        ar_responses_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "citations",
                          "the upstream cannot cite documents");
    }
    if (b->media && !ar_is_text_document(b)) {
        put_file(e, b);
        return;
    }
    ar_responses_put_input_text(e, ar_document_text(b, e->a), b);
    for (const struct ar_block *i = b->inner; i; i = i->next) {
        if (i->kind == AR_IMAGE && i->media) {
            put_image(e, i);
        }
    }
}

/* --- blocks --- */

bool ar_responses_is_part(const struct ar_block *b)
{
    switch (b->kind) {
    case AR_TEXT:
    case AR_REFUSAL:
        return b->text.n > 0;
    case AR_DOCUMENT:
        return true;
    case AR_IMAGE:
    case AR_AUDIO:
    case AR_VIDEO:
        return b->media != NULL;
    default:
        return false;
    }
}

void ar_responses_put_part(struct ar_responses_enc *e, const struct ar_block *b)
{
    switch (b->kind) {
    case AR_IMAGE:
        put_image(e, b);
        return;
    case AR_DOCUMENT:
        put_document(e, b);
        return;
    case AR_AUDIO:
        put_audio(e, b);
        return;
    case AR_VIDEO:
        refuse(e, "video", "the upstream's dialect has no video");
        return;
    default:
        ar_responses_put_input_text(e, b->text, b);
        return;
    }
}

bool ar_responses_is_own_item(const struct ar_responses_enc *e, const struct ar_block *b)
{
    return b->vendor == AR_VENDOR_OPENAI && b->raw.n > 0 &&
           (e->native || e->t->vendor == AR_VENDOR_OPENAI);
}

void ar_responses_lose_block(struct ar_responses_enc *e, const struct ar_block *b)
{
    switch (b->kind) {
    case AR_SERVER_TOOL_USE:
    case AR_SERVER_TOOL_RESULT:
        ar_responses_lose(e, AR_FATE_WARN, AR_DROPPED, "server_tool_use",
                          "the upstream cannot read another vendor's server tools");
        return;
    case AR_COMPACTION:
        refuse(e, "compaction", "the compacted history belongs to its vendor");
        return;
    case AR_OPAQUE_ITEM:
        ar_responses_lose(e, ar_block_is_needed(b) ? AR_FATE_REJECT : AR_FATE_WARN, AR_DROPPED,
                          ar_responses_field(e, "messages", "messages"),
                          "a block of a type that the upstream's dialect has not");
        return;
    default: /* thinking that its vendor cannot verify: silent */
        return;
    }
}
