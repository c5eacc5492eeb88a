/* One media part of a user message. Base64 is copied as the escaped span that it came as. What
 * would have to be fetched or belongs to another vendor is refused, never dropped: an answer about
 * a picture that was not sent is wrong. */
#include "dialect/chat/request_write.h"

static void open_part(struct ar_jw *w, const char *type)
{
    ar_jw_open(w, '{');
    ar_jw_key(w, "type");
    ar_jw_esc(w, ar_str_of(type));
    ar_jw_key_n(w, type, strlen(type));
    ar_jw_open(w, '{');
}
static void close_part(struct ar_jw *w)
{
    ar_jw_close(w, '}');
    ar_jw_close(w, '}');
}

static void refuse(struct ar_chat_enc *e, const char *field, const char *why)
{
    ar_chat_lose(e, AR_FATE_REJECT, AR_DROPPED, field, why);
}

static void put_image(struct ar_chat_enc *e, const struct ar_block *b, const struct ar_media *m)
{
    struct ar_jw *w = &e->w;
    if (m->from == AR_FROM_FILE) {
        refuse(e, "file_id", "file ids cannot cross providers");
    } else if (m->from == AR_FROM_URL && !ar_chat_takes_url(b, e->t)) {
        refuse(e, ar_chat_field(e, "image_url", "source.url"),
               "the upstream takes images inline only");
    }
    open_part(w, "image_url");
    ar_jw_key(w, "url");
    if (m->from == AR_FROM_B64) {
        ar_put_data_url(w, m->mime.n ? m->mime : AR_LIT("image/png"), m->data);
    } else {
        ar_jw_esc(w, m->data);
    }
    if (m->detail.n) {
        ar_jw_key_text(w, "detail", m->detail);
    }
    close_part(w);
}

static void put_file(struct ar_chat_enc *e, const struct ar_media *m)
{
    struct ar_jw *w = &e->w;
    open_part(w, "file");
    if (m->from == AR_FROM_B64) {
        ar_jw_key_esc(w, "filename", m->title.n ? m->title : ar_document_name(m->mime));
        ar_jw_key(w, "file_data");
        ar_put_data_url(w, m->mime.n ? m->mime : AR_LIT("application/pdf"), m->data);
    } else if (m->from == AR_FROM_FILE && m->file_vendor == e->t->vendor &&
               m->file_vendor == AR_VENDOR_OPENAI) {
        ar_jw_key_esc(w, "file_id", m->data);
    } else if (m->from == AR_FROM_FILE) {
        refuse(e, "file_id", "file ids cannot cross providers");
    } else {
        refuse(e, ar_chat_field(e, "file", "source.url"),
               "the upstream takes documents inline only");
    }
    close_part(w);
}

static void put_audio(struct ar_chat_enc *e, const struct ar_media *m)
{
    struct ar_jw *w = &e->w;
    open_part(w, "input_audio");
    ar_jw_key_esc(w, "data", m->data);
    ar_jw_key_text(w, "format", ar_audio_format(m->mime));
    close_part(w);
}

static void put_video(struct ar_chat_enc *e, const struct ar_media *m)
{
    struct ar_jw *w = &e->w;
    if (e->r->dialect != AR_DIALECT_CHAT) {
        refuse(e, "video", "the upstream's dialect has no video");
    }
    open_part(w, "video_url");
    ar_jw_key(w, "url");
    if (m->from == AR_FROM_B64) {
        ar_put_data_url(w, m->mime.n ? m->mime : AR_LIT("video/mp4"), m->data);
    } else {
        ar_jw_esc(w, m->data);
    }
    close_part(w);
}

void ar_chat_put_media(struct ar_chat_enc *e, const struct ar_block *b)
{
    static const struct ar_media NONE = {.data = AR_LIT_INIT("")};
    const struct ar_media *m = b->media ? b->media : &NONE;
    switch (b->kind) {
    case AR_IMAGE:
        put_image(e, b, m);
        break;
    case AR_AUDIO:
        put_audio(e, m);
        break;
    case AR_VIDEO:
        put_video(e, m);
        break;
    default:
        put_file(e, m);
        break;
    }
}
