/* One IR block -> one part of a generateContent request (PROTOCOLS 4.4, 6.2, 6.5). What came from
 * this dialect goes back in its wire form where nothing in it has to change; signatures go only to
 * the vendor that made them. Media goes inline, or by reference where Google can fetch it; media
 * that cannot go is refused by name. Owns nothing. */
#include "dialect/gemini/request_write.h"

/* --- signatures --- */

const struct ar_opaque *ar_gemini_own_sig(const struct ar_gemini_enc *e, const struct ar_block *b)
{
    const struct ar_opaque *o = b->sig;
    if (!o || e->t->no_thinking || o->data.n == 0 || o->vendor != AR_VENDOR_GOOGLE) {
        return NULL;
    }
    /* A relay of unknown make: the client's own signatures came from it. */
    bool ours = e->t->vendor == AR_VENDOR_GOOGLE || (e->native && e->t->vendor == AR_VENDOR_OTHER);
    return ours ? o : NULL;
}

/* "thoughtSignature" member: sig, or the word for "none kept" when NULL. */
static void put_signature(struct ar_gemini_enc *e, const struct ar_opaque *sig)
{
    if (sig && sig->data.n > 0) {
        ar_jw_key_text(&e->w, "thoughtSignature", sig->data);
    } else if (sig) {
        ar_jw_key_lit(&e->w, "thoughtSignature", "skip_thought_signature_validator");
    }
}

/* --- media --- */

static void refuse(struct ar_gemini_enc *e, enum ar_gemini_field field, const char *why)
{
    ar_gemini_lose(e, AR_FATE_REJECT, AR_DROPPED, field, why);
}

/* The MIME type that the first bytes of base64 text tell; p NULL: none of those known. */
static struct ar_str sniff(struct ar_str esc)
{
    static const struct {
        struct ar_str head, mime;
    } MAGIC[] = {
        {AR_LIT_INIT("iVBORw0KGgo"), AR_LIT_INIT("image/png")},
        {AR_LIT_INIT("R0lGOD"), AR_LIT_INIT("image/gif")},
        {AR_LIT_INIT("JVBERi0"), AR_LIT_INIT("application/pdf")},
        {AR_LIT_INIT("UklGR"), AR_LIT_INIT("image/webp")},
        {AR_LIT_INIT("/9j/"), AR_LIT_INIT("image/jpeg")},
        {AR_LIT_INIT("\\/9j"), AR_LIT_INIT("image/jpeg")},
    };
    for (size_t i = 0; i < sizeof MAGIC / sizeof *MAGIC; i++) {
        if (ar_str_has_prefix(esc, MAGIC[i].head)) {
            return MAGIC[i].mime;
        }
    }
    return (struct ar_str){NULL, 0};
}

static struct ar_str mime_of(const struct ar_block *b)
{
    struct ar_str mime = b->media->mime;
    if (mime.n > 0) {
        bool jpg = ar_str_is_nocase(mime, AR_LIT("image/jpg"));
        return jpg ? AR_LIT("image/jpeg") : mime;
    }
    switch (b->kind) {
    case AR_AUDIO:
        return AR_LIT("audio/wav");
    case AR_VIDEO:
        return AR_LIT("video/mp4");
    default:
        mime = b->media->from == AR_FROM_B64 ? sniff(b->media->data) : mime;
        return mime.n > 0            ? mime
               : b->kind == AR_IMAGE ? AR_LIT("image/png")
                                     : AR_LIT("application/pdf");
    }
}

static bool is_taken(struct ar_str mime)
{
    static const struct ar_str HEADS[] = {AR_LIT_INIT("image/"), AR_LIT_INIT("audio/"),
                                          AR_LIT_INIT("video/"), AR_LIT_INIT("text/")};
    static const struct ar_str NAMES[] = {
        AR_LIT_INIT("application/pdf"),          AR_LIT_INIT("application/json"),
        AR_LIT_INIT("application/xml"),          AR_LIT_INIT("application/rtf"),
        AR_LIT_INIT("application/x-javascript"), AR_LIT_INIT("application/x-python")};
    for (size_t i = 0; i < sizeof HEADS / sizeof *HEADS; i++) {
        if (ar_str_has_prefix_nocase(mime, HEADS[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (ar_str_is_nocase(mime, NAMES[i])) {
            return true;
        }
    }
    return false;
}

static void put_inline(struct ar_gemini_enc *e, struct ar_str mime, struct ar_str data)
{
    struct ar_jw *w = &e->w;
    ar_jw_key(w, "inlineData");
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "mimeType", mime);
    ar_jw_key_esc(w, "data", data);
    ar_jw_close(w, '}');
}

static void put_reference(struct ar_gemini_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    const struct ar_media *m = b->media;
    bool image = b->kind == AR_IMAGE;
    if (m->from == AR_FROM_FILE && m->file_vendor != AR_VENDOR_GOOGLE) {
        refuse(e, AR_F_FILE_ID, "file ids cannot cross providers");
    } else if (m->from == AR_FROM_URL && !e->native && !ar_gemini_takes_url(b, e->t)) {
        refuse(e, image ? AR_F_IMAGE : AR_F_FILE, "the upstream takes media inline only");
    }
    ar_jw_key(w, "fileData");
    ar_jw_open(w, '{');
    if (m->mime.n > 0) {
        ar_jw_key_text(w, "mimeType", m->mime);
    }
    ar_jw_key_esc(w, "fileUri", m->data);
    ar_jw_close(w, '}');
}

/* Side facts of a part: the client's own for a video, and how closely to look. */
static void put_meta(struct ar_gemini_enc *e, const struct ar_block *b)
{
    static const struct {
        struct ar_str detail, level;
    } LEVELS[] = {
        {AR_LIT_INIT("low"), AR_LIT_INIT("MEDIA_RESOLUTION_LOW")},
        {AR_LIT_INIT("high"), AR_LIT_INIT("MEDIA_RESOLUTION_HIGH")},
        {AR_LIT_INIT("original"), AR_LIT_INIT("MEDIA_RESOLUTION_ULTRA_HIGH")},
    };
    if (b->meta.n > 0 && e->native) {
        ar_jw_key_raw(&e->w, "videoMetadata", b->meta);
    }
    for (size_t i = 0; i < sizeof LEVELS / sizeof *LEVELS; i++) {
        if (ar_str_is(b->media->detail, LEVELS[i].detail) &&
            (e->native || AR_CAN(e, MIXED_TOOLS))) {
            ar_jw_key(&e->w, "mediaResolution");
            ar_jw_open(&e->w, '{');
            ar_jw_key_esc(&e->w, "level", LEVELS[i].level);
            ar_jw_close(&e->w, '}');
        }
    }
}

static void put_media_members(struct ar_gemini_enc *e, const struct ar_block *b)
{
    struct ar_str mime = mime_of(b);
    if (b->media->from != AR_FROM_B64) {
        put_reference(e, b);
        return;
    }
    if (!e->native && !is_taken(mime)) {
        refuse(e, AR_F_FILE, "the upstream takes no such type of file");
    }
    put_inline(e, mime, b->media->data);
}

void ar_gemini_put_media(struct ar_gemini_enc *e, const struct ar_block *b)
{
    ar_jw_open(&e->w, '{');
    put_media_members(e, b);
    put_meta(e, b);
    ar_jw_close(&e->w, '}');
}

/* --- documents that are text --- */

static void put_attribute(struct ar_buf *out, const char *name, struct ar_str esc)
{
    if (esc.n > 0) {
        ar_buf_fmt(out, " %s=\\\"", name);
        ar_buf_str(out, esc);
        ar_buf_lit(out, "\\\"");
    }
}

static void put_document(struct ar_gemini_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    const struct ar_media *m = b->media;
    if (m && m->citations) {
        ar_gemini_lose_as(e, AR_FATE_WARN, AR_APPROXIMATED, "citations",
                          "the upstream cannot cite documents");
    }
    ar_jw_open(w, '{');
    ar_jw_key(w, "text");
    ar_jw_raw(w, AR_LIT("\"<document"));
    put_attribute(w->out, "title", m ? m->title : (struct ar_str){NULL, 0});
    put_attribute(w->out, "context", m ? m->context : (struct ar_str){NULL, 0});
    ar_buf_lit(w->out, ">\\n");
    if (m && m->from == AR_FROM_TEXT) {
        ar_buf_str(w->out, m->data);
    }
    bool some = false;
    for (const struct ar_block *c = b->inner; c; c = c->next) {
        if (c->kind == AR_TEXT) {
            ar_buf_str(w->out, some ? AR_LIT("\\n") : AR_LIT(""));
            ar_buf_str(w->out, c->text);
            some = true;
        }
    }
    ar_buf_lit(w->out, "\\n</document>\"");
    ar_jw_close(w, '}');
    for (const struct ar_block *c = b->inner; c; c = c->next) {
        if (c->kind == AR_IMAGE) {
            ar_gemini_put_media(e, c);
        }
    }
}

/* --- calls and results --- */

void ar_gemini_note_call(struct ar_gemini_enc *e, const struct ar_block *b)
{
    struct ar_name *n = ar_arena_new(e->a, struct ar_name);
    if (n) {
        n->s = b->name;
        ar_map_put(&e->calls, b->id, n);
    }
}

/* Not the one that a reader made up for a call without one. */
static void put_id(struct ar_gemini_enc *e, const struct ar_block *b)
{
    bool made_up = ar_str_has_prefix(b->id, AR_LIT("call_fn_"));
    if (b->id.n > 0 && !made_up && !AR_HAS(e, NO_CALL_IDS)) {
        ar_jw_key_text(&e->w, "id", b->id);
    }
}

static void put_call(struct ar_gemini_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    bool broken = false;
    ar_jw_key(w, "functionCall");
    ar_jw_open(w, '{');
    put_id(e, b);
    ar_jw_key_text(w, "name", ar_gemini_tool_name(e, b->name));
    ar_jw_key(w, "args");
    if (b->freeform) {
        ar_jw_open(w, '{');
        ar_jw_key_text(w, "input", b->text);
        ar_jw_close(w, '}');
    } else {
        ar_jw_raw(w, ar_args_object(b->text, e->a, &broken));
    }
    ar_jw_close(w, '}');
    if (broken) {
        ar_gemini_lose(e, AR_FATE_WARN, AR_APPROXIMATED, AR_F_ARGUMENTS,
                       "the arguments are not JSON");
    }
}

static void put_result_text(struct ar_gemini_enc *e, const struct ar_block *b)
{
    bool some = false;
    ar_jw_raw(&e->w, AR_LIT("\""));
    struct ar_buf *out = e->w.out;
    for (const struct ar_block *c = b->inner; c; c = c->next) {
        if ((c->kind == AR_TEXT || c->kind == AR_REFUSAL) && c->text.n > 0) {
            ar_buf_str(out, some ? AR_LIT("\\n") : AR_LIT(""));
            ar_buf_str(out, c->text);
            some = true;
        } else if (ar_is_text_document(c)) {
            ar_buf_str(out, some ? AR_LIT("\\n") : AR_LIT(""));
            ar_buf_str(out, ar_document_text(c, e->a));
            some = true;
        }
    }
    ar_buf_char(out, '"');
}

static bool is_media(const struct ar_block *b)
{
    return b->media && !ar_is_text_document(b) &&
           (b->kind == AR_IMAGE || b->kind == AR_DOCUMENT || b->kind == AR_AUDIO ||
            b->kind == AR_VIDEO);
}

static void put_result_parts(struct ar_gemini_enc *e, const struct ar_block *b)
{
    bool open = false;
    for (const struct ar_block *c = b->inner; c; c = c->next) {
        if (!is_media(c)) {
            continue;
        }
        if (!open) {
            ar_jw_key(&e->w, "parts");
            ar_jw_open(&e->w, '[');
            open = true;
        }
        ar_jw_open(&e->w, '{');
        put_media_members(e, c);
        ar_jw_close(&e->w, '}');
    }
    if (open) {
        ar_jw_close(&e->w, ']');
    }
}

static void put_result(struct ar_gemini_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    const struct ar_name *call = ar_map_get(&e->calls, b->id);
    struct ar_str name = call ? call->s : b->name;
    ar_jw_key(w, "functionResponse");
    ar_jw_open(w, '{');
    put_id(e, b);
    ar_jw_key_text(w, "name", ar_gemini_tool_name(e, name));
    ar_jw_key(w, "response");
    if (e->native && b->meta.n > 0) { /* as the client had it */
        ar_jw_raw(w, b->meta);
    } else {
        ar_jw_open(w, '{');
        ar_jw_key_n(w, b->is_error ? "error" : "output", b->is_error ? 5 : 6);
        put_result_text(e, b);
        ar_jw_close(w, '}');
    }
    if (AR_CAN(e, MIXED_TOOLS)) {
        put_result_parts(e, b);
    }
    ar_jw_close(w, '}');
}

/* --- any block --- */

bool ar_gemini_has_output(const struct ar_gemini_enc *e, const struct ar_block *b)
{
    switch (b->kind) {
    case AR_TEXT:
    case AR_REFUSAL:
        return b->text.n > 0;
    case AR_SERVER_TOOL_USE:
    case AR_SERVER_TOOL_RESULT:
    case AR_OPAQUE_ITEM:
        return b->vendor == AR_VENDOR_GOOGLE && b->raw.n > 0 &&
               (e->native || e->t->vendor == AR_VENDOR_GOOGLE);
    case AR_COMPACTION:
        return b->text.n > 0;
    case AR_THINKING:
    case AR_REDACTED_THINKING:
        return false;
    case AR_IMAGE:
    case AR_AUDIO:
    case AR_VIDEO:
        return b->media != NULL;
    default:
        return true;
    }
}

/* The wire form may go as it is: nothing in it has to be rewritten. */
static bool goes_raw(const struct ar_gemini_enc *e, const struct ar_block *b,
                     const struct ar_opaque *sig)
{
    if (b->raw.n == 0 || b->kind == AR_COMPACTION) {
        return false;
    }
    bool foreign = b->vendor == AR_VENDOR_GOOGLE && b->kind >= AR_SERVER_TOOL_USE;
    return foreign || (e->native && sig == b->sig);
}

void ar_gemini_put_part(struct ar_gemini_enc *e, const struct ar_block *b,
                        const struct ar_opaque *sig)
{
    struct ar_jw *w = &e->w;
    if (goes_raw(e, b, sig)) {
        ar_jw_raw(w, b->raw);
        return;
    }
    if (ar_is_text_document(b)) {
        put_document(e, b);
        return;
    }
    ar_jw_open(w, '{');
    switch (b->kind) {
    case AR_TOOL_USE:
        put_call(e, b);
        break;
    case AR_TOOL_RESULT:
        put_result(e, b);
        break;
    case AR_IMAGE:
    case AR_DOCUMENT:
    case AR_AUDIO:
    case AR_VIDEO:
        put_media_members(e, b);
        put_meta(e, b);
        break;
    case AR_COMPACTION:
        ar_jw_key(w, "text");
        ar_jw_raw(w, AR_LIT("\"Summary of earlier conversation: "));
        ar_buf_str(w->out, b->text);
        ar_buf_char(w->out, '"');
        break;
    default:
        ar_jw_key_esc(w, "text", b->text.p ? b->text : AR_LIT(""));
        if (b->kind == AR_THINKING) {
            ar_jw_key_bool(w, "thought", true);
        }
        break;
    }
    put_signature(e, sig);
    ar_jw_close(w, '}');
}
