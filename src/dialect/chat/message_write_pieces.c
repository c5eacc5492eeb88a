/* Blocks gathered into pieces, and pieces written as the content of a message: as a string where
 * the wire allows it, because many compatible servers know no part lists. A document becomes text
 * where it has some; what only its vendor can read is noted as a loss. Owns nothing. */
#include "dialect/chat/message_write.h"

static void add_bit(struct ar_chat_enc *e, struct ar_chat_pieces *ps, struct ar_chat_bit p)
{
    struct ar_chat_bit *copy = ar_arena_new(e->a, struct ar_chat_bit);
    if (!copy) {
        return;
    }
    *copy = p;
    *ps->tail = copy;
    ps->tail = &copy->next;
    ps->n++;
    ps->media += p.media != NULL;
}

void ar_chat_add_media(struct ar_chat_enc *e, struct ar_chat_pieces *ps, const struct ar_block *b)
{
    add_bit(e, ps, (struct ar_chat_bit){.media = b});
}

void ar_chat_add_text(struct ar_chat_enc *e, struct ar_chat_pieces *ps, struct ar_str esc,
                      const struct ar_block *from)
{
    struct ar_chat_bit p = {.text = esc};
    if (from && from->cache_ttl.p && AR_CAN(e, CACHE_BREAKPOINTS) &&
        e->marks_seen++ >= e->marks_skip) {
        p.mark = from;
        ps->marked = true;
    }
    add_bit(e, ps, p);
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

static void put_mark(struct ar_chat_enc *e, const struct ar_block *b)
{
    struct ar_str ttl = b->cache_ttl;
    if (ar_str_is_lit(ttl, "5m")) {
        ttl = AR_LIT("30m");
    }
    ar_jw_key(&e->w, "prompt_cache_breakpoint");
    ar_jw_open(&e->w, '{');
    ar_jw_key_lit(&e->w, "mode", "explicit");
    if (ar_str_is_lit(ttl, "30m") || ar_str_is_lit(ttl, "12h")) {
        ar_jw_key_text(&e->w, "ttl", ttl);
    }
    ar_jw_close(&e->w, '}');
}

static void put_parts(struct ar_chat_enc *e, const struct ar_chat_pieces *ps)
{
    struct ar_jw *w = &e->w;
    ar_jw_open(w, '[');
    for (const struct ar_chat_bit *p = ps->first; p; p = p->next) {
        if (p->media) {
            ar_chat_put_media(e, p->media);
            continue;
        }
        ar_jw_open(w, '{');
        ar_jw_key_lit(w, "type", "text");
        ar_jw_key_esc(w, "text", p->text);
        if (p->mark) {
            put_mark(e, p->mark);
        }
        ar_jw_close(w, '}');
    }
    ar_jw_close(w, ']');
}

static void put_content(struct ar_chat_enc *e, const struct ar_chat_pieces *ps)
{
    bool as_string = AR_HAS(e, PARTS_AS_STRING);
    ar_jw_key(&e->w, "content");
    if (!as_string && (ps->n > 1 || ps->media || ps->marked)) {
        put_parts(e, ps);
        return;
    }
    if (ps->media) {
        ar_chat_lose(e, AR_FATE_REJECT, AR_DROPPED, "messages", "the upstream takes text only");
    }
    bool some = false;
    ar_chat_open_string(&e->w);
    for (const struct ar_chat_bit *p = ps->first; p; p = p->next) {
        if (!p->media) {
            ar_buf_str(e->w.out, some ? AR_LIT("\\n") : AR_LIT(""));
            ar_buf_str(e->w.out, p->text);
            some = true;
        }
    }
    ar_chat_close_string(&e->w);
}

void ar_chat_put_message(struct ar_chat_enc *e, const char *role, struct ar_str name,
                         const struct ar_chat_pieces *ps)
{
    ar_jw_open(&e->w, '{');
    ar_jw_key(&e->w, "role");
    ar_jw_esc(&e->w, ar_str_of(role));
    if (name.n && e->r->dialect == AR_DIALECT_CHAT) {
        ar_jw_key_text(&e->w, "name", name);
    }
    put_content(e, ps);
    ar_jw_close(&e->w, '}');
}

void ar_chat_start_pieces(struct ar_chat_pieces *ps)
{
    *ps = (struct ar_chat_pieces){0};
    ps->tail = &ps->first;
}

static void add_document(struct ar_chat_enc *e, struct ar_chat_pieces *ps, const struct ar_block *b)
{
    if (b->media && b->media->citations) {
        ar_chat_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "citations",
                     "the upstream cannot cite documents");
    }
    if (!ar_is_text_document(b)) {
        ar_chat_add_media(e, ps, b);
        return;
    }
    ar_chat_add_text(e, ps, ar_document_text(b, e->a), b);
    for (const struct ar_block *i = b->inner; i; i = i->next) {
        if (i->kind == AR_IMAGE) {
            ar_chat_add_media(e, ps, i);
        }
    }
}

struct ar_str ar_chat_summary_text(struct ar_chat_enc *e, const struct ar_block *b)
{
    struct ar_str s = ar_arena_fmt(e->a, "Summary of earlier conversation: %.*s", AR_FMT(b->text));
    return s.p ? s : AR_LIT("");
}

void ar_chat_lose_block(struct ar_chat_enc *e, const struct ar_block *b)
{
    switch (b->kind) {
    case AR_SERVER_TOOL_USE:
    case AR_SERVER_TOOL_RESULT:
        ar_chat_lose(e, AR_FATE_WARN, AR_DROPPED, "server_tool_use",
                     "the upstream cannot read another vendor's server tools");
        break;
    case AR_COMPACTION:
        ar_chat_lose(e, AR_FATE_REJECT, AR_DROPPED, "compaction",
                     "the compacted history belongs to its vendor");
        break;
    case AR_OPAQUE_ITEM:
        ar_chat_lose(e, ar_block_is_needed(b) ? AR_FATE_REJECT : AR_FATE_WARN, AR_DROPPED,
                     "messages", "a block of a type that the upstream's dialect has not");
        break;
    default: /* thinking outside an assistant turn says nothing to anybody */
        break;
    }
}

void ar_chat_gather(struct ar_chat_enc *e, struct ar_chat_pieces *ps, const struct ar_block *b)
{
    switch (b->kind) {
    case AR_TEXT:
    case AR_REFUSAL:
        ar_chat_add_text(e, ps, b->text, b);
        break;
    case AR_DOCUMENT:
        add_document(e, ps, b);
        break;
    case AR_IMAGE:
    case AR_AUDIO:
    case AR_VIDEO:
        ar_chat_add_media(e, ps, b);
        break;
    case AR_COMPACTION:
        if (b->text.n) {
            ar_chat_add_text(e, ps, ar_chat_summary_text(e, b), NULL);
            break;
        }
        ar_chat_lose_block(e, b);
        break;
    case AR_TOOL_RESULT:
        break;
    default:
        ar_chat_lose_block(e, b);
        break;
    }
}
