/* An assistant's turn into one message: its text joined, its calls, a refusal, audio of this
 * dialect, the thinking as the target takes it. A turn that would say nothing is left out; a
 * compaction in it goes before it as a user's message. */
#include "dialect/chat/message_write.h"

/* Google's signature of a call. dummy: its word for "none kept", where none is there. */
static void put_signature(struct ar_chat_enc *e, const struct ar_block *b, bool dummy)
{
    struct ar_jw *w = &e->w;
    bool own = b->sig && b->sig->vendor == AR_VENDOR_GOOGLE && b->sig->data.n &&
               !e->t->no_thinking; /* one was refused */
    if (!AR_HAS(e, TOOL_EXTRA_CONTENT) || (!own && !dummy)) {
        return;
    }
    ar_jw_key(w, "extra_content");
    ar_jw_open(w, '{');
    ar_jw_key(w, "google");
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "thought_signature",
                   own ? b->sig->data : AR_LIT("skip_thought_signature_validator"));
    ar_jw_close(w, '}');
    ar_jw_close(w, '}');
}

/* A freeform input as the arguments of the function that stands for its tool. */
static struct ar_str wrapped(struct ar_chat_enc *e, struct ar_str text)
{
    struct ar_str esc = ar_json_escape_in(text, e->a);
    struct ar_str args = ar_arena_fmt(e->a, "{\"input\":\"%.*s\"}", AR_FMT(esc));
    return args.p ? args : AR_LIT("{}");
}

static void put_call(struct ar_chat_enc *e, const struct ar_block *b, bool dummy)
{
    struct ar_jw *w = &e->w;
    bool custom = b->freeform && ar_chat_has_custom(e);
    const char *kind = custom ? "custom" : "function";
    const char *input = custom ? "input" : "arguments";
    struct ar_str said = custom        ? b->text
                         : b->freeform ? wrapped(e, b->text)
                         : b->text.n   ? ar_args_text(b->text, e->a)
                                       : AR_LIT("{}");
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "id", ar_tool_id(b->id, e->a));
    ar_jw_key(w, "type");
    ar_jw_esc(w, ar_str_of(kind));
    ar_jw_key_n(w, kind, strlen(kind));
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "name", ar_tool_name(b->name, 64, e->a));
    ar_jw_key_n(w, input, strlen(input));
    ar_jw_text(w, said);
    ar_jw_close(w, '}');
    put_signature(e, b, dummy);
    ar_jw_close(w, '}');
}

static void put_calls(struct ar_chat_enc *e, const struct ar_turn *from, const struct ar_turn *end)
{
    bool open = false;
    /* Gemini 3 refuses a first call without a signature */
    bool dummy = AR_CAN(e, SIGNED_CALLS);
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind != AR_TOOL_USE) {
                continue;
            }
            if (!open) {
                ar_jw_key(&e->w, "tool_calls");
                ar_jw_open(&e->w, '[');
            }
            put_call(e, b, dummy && !open);
            open = true;
        }
    }
    if (open) {
        ar_jw_close(&e->w, ']');
    }
}

struct said {
    unsigned text, calls, thinking;
    const struct ar_block *refusal, *audio;
};

static struct said look(struct ar_chat_enc *e, const struct ar_turn *from,
                        const struct ar_turn *end)
{
    struct said s = {0};
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            s.text += (b->kind == AR_TEXT && b->text.n) || ar_is_text_document(b);
            s.calls += b->kind == AR_TOOL_USE;
            s.thinking += b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING;
            s.refusal = b->kind == AR_REFUSAL ? b : s.refusal;
            if (b->kind == AR_OPAQUE_ITEM && ar_str_is_lit(b->name, "audio") &&
                e->r->dialect == AR_DIALECT_CHAT) {
                s.audio = b;
            } else if (b->kind != AR_TEXT && b->kind != AR_TOOL_USE && b->kind != AR_REFUSAL &&
                       !ar_is_text_document(b) && !(b->kind == AR_COMPACTION && b->text.n)) {
                ar_chat_lose_block(e, b);
            }
        }
    }
    return s;
}

static void put_assistant_text(struct ar_chat_enc *e, const struct ar_turn *from,
                               const struct ar_turn *end)
{
    const struct ar_turn *last = from;
    ar_chat_open_string(&e->w);
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (last != t && (b->kind == AR_TEXT || ar_is_text_document(b))) {
                ar_buf_lit(e->w.out, "\\n\\n"); /* what were two messages */
                last = t;
            }
            if (b->kind == AR_TEXT) {
                ar_buf_str(e->w.out, b->text);
            } else if (ar_is_text_document(b)) {
                ar_buf_str(e->w.out, ar_document_text(b, e->a));
            }
        }
    }
    ar_chat_close_string(&e->w);
}

void ar_chat_put_assistant(struct ar_chat_enc *e, const struct ar_turn *from,
                           const struct ar_turn *end)
{
    struct said s = look(e, from, end);
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind == AR_COMPACTION &&
                b->text.n) { /* what it stands for came before this turn */
                struct ar_chat_pieces ps;
                ar_chat_start_pieces(&ps);
                ar_chat_add_text(e, &ps, ar_chat_summary_text(e, b), NULL);
                ar_chat_put_message(e, "user", (struct ar_str){0}, &ps);
            }
        }
    }
    if (!s.text && !s.calls && !s.refusal && !s.audio && from->blocks) {
        return; /* only thinking, or nothing: no message says nothing */
    }
    ar_jw_open(&e->w, '{');
    ar_jw_key_lit(&e->w, "role", "assistant");
    if (from->name.n && e->r->dialect == AR_DIALECT_CHAT) {
        ar_jw_key_text(&e->w, "name", from->name);
    }
    ar_jw_key(&e->w, "content");
    if (s.text || (!s.calls && !s.refusal && !s.audio)) {
        put_assistant_text(e, from, end);
    } else {
        ar_jw_null(&e->w);
    }
    if (s.refusal) {
        ar_jw_key_esc(&e->w, "refusal", s.refusal->text);
    }
    if (s.audio) {
        ar_jw_key_raw(&e->w, "audio", s.audio->raw);
    }
    if (s.thinking) {
        ar_chat_put_thinking(e, from, end);
    }
    put_calls(e, from, end);
    ar_jw_close(&e->w, '}');
}
