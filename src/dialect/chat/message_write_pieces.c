/* Blocks gathered into pieces, and pieces written as the content of a message: as a string where
 * the wire allows it, because many compatible servers know no part lists. A document becomes text
 * where it has some; what only its vendor can read is noted as a loss. Owns nothing. */
#include "dialect/chat/message_write.h"

static void add_bit(struct ar_chat_enc *o, struct ar_chat_pieces *ps, struct ar_chat_bit p)
{
    struct ar_chat_bit *copy = ar_arena_new(o->a, struct ar_chat_bit);
    if (!copy) {
        return;
    }
    *copy = p;
    *ps->tail = copy;
    ps->tail = &copy->next;
    ps->n++;
    ps->media += p.media != NULL;
}

void ar_chat_add_media(struct ar_chat_enc *o, struct ar_chat_pieces *ps, const struct ar_block *b)
{
    add_bit(o, ps, (struct ar_chat_bit){.media = b});
}

void ar_chat_add_text(struct ar_chat_enc *o, struct ar_chat_pieces *ps, struct ar_str esc,
                      const struct ar_block *from)
{
    struct ar_chat_bit p = {.text = esc};
    if (from && from->cache_ttl.p && ar_chat_can(o, AR_CAP(CACHE_BREAKPOINTS)) &&
        o->marks_seen++ >= o->marks_skip) {
        p.mark = from;
        ps->marked = true;
    }
    add_bit(o, ps, p);
}

void ar_chat_open_string(struct ar_jw *w)
{
    if (w->comma) {
        ar_buf_char(w->out, ',');
    }
    ar_buf_char(w->out, '"');
}
void ar_chat_close_string(struct ar_jw *w)
{
    ar_buf_char(w->out, '"');
    w->comma = true;
}

static void write_mark(struct ar_chat_enc *o, const struct ar_block *b)
{
    struct ar_str ttl = b->cache_ttl;
    if (ar_str_is_lit(ttl, "5m")) {
        ttl = AR_LIT("30m");
    }
    ar_jw_key(&o->w, "prompt_cache_breakpoint");
    ar_jw_open(&o->w, '{');
    ar_jw_key_lit(&o->w, "mode", "explicit");
    if (ar_str_is_lit(ttl, "30m") || ar_str_is_lit(ttl, "12h")) {
        ar_jw_key_text(&o->w, "ttl", ttl);
    }
    ar_jw_close(&o->w, '}');
}

static void write_parts(struct ar_chat_enc *o, const struct ar_chat_pieces *ps)
{
    struct ar_jw *w = &o->w;
    ar_jw_open(w, '[');
    for (const struct ar_chat_bit *p = ps->first; p; p = p->next) {
        if (p->media) {
            ar_chat_put_media(o, p->media);
            continue;
        }
        ar_jw_open(w, '{');
        ar_jw_key_lit(w, "type", "text");
        ar_jw_key_esc(w, "text", p->text);
        if (p->mark) {
            write_mark(o, p->mark);
        }
        ar_jw_close(w, '}');
    }
    ar_jw_close(w, ']');
}

static void write_content(struct ar_chat_enc *o, const struct ar_chat_pieces *ps)
{
    bool as_string = ar_chat_has(o, AR_QUIRK(PARTS_AS_STRING));
    ar_jw_key(&o->w, "content");
    if (!as_string && (ps->n > 1 || ps->media || ps->marked)) {
        write_parts(o, ps);
        return;
    }
    if (ps->media) {
        ar_chat_lose(o, AR_FATE_REJECT, AR_DROPPED, "messages", "the upstream takes text only");
    }
    bool some = false;
    ar_chat_open_string(&o->w);
    for (const struct ar_chat_bit *p = ps->first; p; p = p->next) {
        if (!p->media) {
            ar_buf_str(o->w.out, some ? AR_LIT("\\n") : AR_LIT(""));
            ar_buf_str(o->w.out, p->text);
            some = true;
        }
    }
    ar_chat_close_string(&o->w);
}

void ar_chat_put_message(struct ar_chat_enc *o, const char *role, struct ar_str name,
                         const struct ar_chat_pieces *ps)
{
    ar_jw_open(&o->w, '{');
    ar_jw_key(&o->w, "role");
    ar_jw_esc(&o->w, ar_str_of(role));
    if (name.n && o->r->dialect == AR_DIALECT_CHAT) {
        ar_jw_key_text(&o->w, "name", name);
    }
    write_content(o, ps);
    ar_jw_close(&o->w, '}');
}

void ar_chat_start_pieces(struct ar_chat_pieces *ps)
{
    *ps = (struct ar_chat_pieces){0};
    ps->tail = &ps->first;
}

struct ar_str ar_chat_document_text(struct ar_chat_enc *o, const struct ar_block *b)
{
    struct ar_buf t;
    const struct ar_media *m = b->media;
    ar_buf_init(&t, o->a->max_bytes);
    ar_buf_lit(&t, "<document");
    if (m && m->title.n) {
        ar_buf_lit(&t, " title=\\\"");
        ar_buf_str(&t, m->title);
        ar_buf_lit(&t, "\\\"");
    }
    if (m && m->context.n) {
        ar_buf_lit(&t, " context=\\\"");
        ar_buf_str(&t, m->context);
        ar_buf_lit(&t, "\\\"");
    }
    ar_buf_lit(&t, ">\\n");
    if (m && m->from == AR_FROM_TEXT) {
        ar_buf_str(&t, m->data);
    }
    bool some = false;
    for (const struct ar_block *i = b->inner; i; i = i->next) {
        if (i->kind == AR_TEXT) {
            ar_buf_str(&t, some ? AR_LIT("\\n") : AR_LIT(""));
            ar_buf_str(&t, i->text);
            some = true;
        }
    }
    ar_buf_lit(&t, "\\n</document>");
    struct ar_str s = ar_arena_copy(o->a, ar_buf_view(&t));
    ar_buf_done(&t);
    return s.p ? s : AR_LIT("");
}

bool ar_chat_is_text_document(const struct ar_block *b)
{
    return b->kind == AR_DOCUMENT && (!b->media || b->media->from == AR_FROM_TEXT || b->inner);
}

static void add_document(struct ar_chat_enc *o, struct ar_chat_pieces *ps, const struct ar_block *b)
{
    if (b->media && b->media->citations) {
        ar_chat_lose(o, AR_FATE_WARN, AR_APPROXIMATED, "citations",
                     "the upstream cannot cite documents");
    }
    if (!ar_chat_is_text_document(b)) {
        ar_chat_add_media(o, ps, b);
        return;
    }
    ar_chat_add_text(o, ps, ar_chat_document_text(o, b), b);
    for (const struct ar_block *i = b->inner; i; i = i->next) {
        if (i->kind == AR_IMAGE) {
            ar_chat_add_media(o, ps, i);
        }
    }
}

struct ar_str ar_chat_summary_text(struct ar_chat_enc *o, const struct ar_block *b)
{
    struct ar_str s = ar_arena_fmt(o->a, "Summary of earlier conversation: %.*s", AR_FMT(b->text));
    return s.p ? s : AR_LIT("");
}

void ar_chat_lose_block(struct ar_chat_enc *o, const struct ar_block *b)
{
    switch (b->kind) {
    case AR_SERVER_TOOL_USE:
    case AR_SERVER_TOOL_RESULT:
        ar_chat_lose(o, AR_FATE_WARN, AR_DROPPED, "server_tool_use",
                     "the upstream cannot read another vendor's server tools");
        break;
    case AR_COMPACTION:
        ar_chat_lose(o, AR_FATE_REJECT, AR_DROPPED, "compaction",
                     "the compacted history belongs to its vendor");
        break;
    case AR_OPAQUE_ITEM:
        ar_chat_lose(o, ar_block_is_needed(b) ? AR_FATE_REJECT : AR_FATE_WARN, AR_DROPPED,
                     "messages", "a block of a type that the upstream's dialect has not");
        break;
    default: /* thinking outside an assistant turn says nothing to anybody */
        break;
    }
}

void ar_chat_gather(struct ar_chat_enc *o, struct ar_chat_pieces *ps, const struct ar_block *b)
{
    switch (b->kind) {
    case AR_TEXT:
    case AR_REFUSAL:
        ar_chat_add_text(o, ps, b->text, b);
        break;
    case AR_DOCUMENT:
        add_document(o, ps, b);
        break;
    case AR_IMAGE:
    case AR_AUDIO:
    case AR_VIDEO:
        ar_chat_add_media(o, ps, b);
        break;
    case AR_COMPACTION:
        if (b->text.n) {
            ar_chat_add_text(o, ps, ar_chat_summary_text(o, b), NULL);
            break;
        }
        ar_chat_lose_block(o, b);
        break;
    case AR_TOOL_RESULT:
        break;
    default:
        ar_chat_lose_block(o, b);
        break;
    }
}
