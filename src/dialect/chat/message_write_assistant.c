/* An assistant's turn into one message: its text joined, its calls, a refusal, audio of this
 * dialect, the thinking as the target takes it. A turn that would say nothing is left out; a
 * compaction in it goes before it as a user's message. */
#include "dialect/chat/message_write.h"

/* Google's signature of a call. dummy: its word for "none kept", where none is there. */
static void write_signature(struct ar_chat_enc *o, const struct ar_block *b, bool dummy)
{
    struct ar_jw *w = &o->w;
    bool own = b->sig && b->sig->vendor == AR_VENDOR_GOOGLE && b->sig->data.n &&
               !o->t->no_thinking; /* one was refused */
    if (!ar_chat_has(o, AR_QUIRK(TOOL_EXTRA_CONTENT)) || (!own && !dummy)) {
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
static struct ar_str wrapped(struct ar_chat_enc *o, struct ar_str text)
{
    struct ar_str esc = ar_json_escape_in(text, o->a);
    struct ar_str args = ar_arena_fmt(o->a, "{\"input\":\"%.*s\"}", AR_FMT(esc));
    return args.p ? args : AR_LIT("{}");
}

static void write_call(struct ar_chat_enc *o, const struct ar_block *b, bool dummy)
{
    struct ar_jw *w = &o->w;
    bool custom = b->freeform && ar_chat_has_custom(o);
    const char *kind = custom ? "custom" : "function";
    const char *input = custom ? "input" : "arguments";
    struct ar_str said = custom        ? b->text
                         : b->freeform ? wrapped(o, b->text)
                         : b->text.n   ? ar_args_text(b->text, o->a)
                                       : AR_LIT("{}");
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "id", ar_tool_id(b->id, o->a));
    ar_jw_key(w, "type");
    ar_jw_esc(w, ar_str_of(kind));
    ar_jw_key_n(w, kind, strlen(kind));
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "name", ar_tool_name(b->name, 64, o->a));
    ar_jw_key_n(w, input, strlen(input));
    ar_jw_text(w, said);
    ar_jw_close(w, '}');
    write_signature(o, b, dummy);
    ar_jw_close(w, '}');
}

static void write_calls(struct ar_chat_enc *o, const struct ar_turn *from,
                        const struct ar_turn *end)
{
    bool open = false;
    /* Gemini 3 refuses a first call without a signature */
    bool dummy = ar_chat_can(o, AR_CAP(SIGNED_CALLS));
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind != AR_TOOL_USE) {
                continue;
            }
            if (!open) {
                ar_jw_key(&o->w, "tool_calls");
                ar_jw_open(&o->w, '[');
            }
            write_call(o, b, dummy && !open);
            open = true;
        }
    }
    if (open) {
        ar_jw_close(&o->w, ']');
    }
}

struct said {
    unsigned text, calls, thinking;
    const struct ar_block *refusal, *audio;
};

static struct said look(struct ar_chat_enc *o, const struct ar_turn *from,
                        const struct ar_turn *end)
{
    struct said s = {0};
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            s.text += (b->kind == AR_TEXT && b->text.n) || ar_chat_is_text_document(b);
            s.calls += b->kind == AR_TOOL_USE;
            s.thinking += b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING;
            s.refusal = b->kind == AR_REFUSAL ? b : s.refusal;
            if (b->kind == AR_OPAQUE_ITEM && ar_str_is_lit(b->name, "audio") &&
                o->r->dialect == AR_DIALECT_CHAT) {
                s.audio = b;
            } else if (b->kind != AR_TEXT && b->kind != AR_TOOL_USE && b->kind != AR_REFUSAL &&
                       !ar_chat_is_text_document(b) && !(b->kind == AR_COMPACTION && b->text.n)) {
                ar_chat_lose_block(o, b);
            }
        }
    }
    return s;
}

static void write_assistant_text(struct ar_chat_enc *o, const struct ar_turn *from,
                                 const struct ar_turn *end)
{
    const struct ar_turn *last = from;
    ar_chat_open_string(&o->w);
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (last != t && (b->kind == AR_TEXT || ar_chat_is_text_document(b))) {
                ar_buf_lit(o->w.out, "\\n\\n"); /* what were two messages */
                last = t;
            }
            if (b->kind == AR_TEXT) {
                ar_buf_str(o->w.out, b->text);
            } else if (ar_chat_is_text_document(b)) {
                ar_buf_str(o->w.out, ar_chat_document_text(o, b));
            }
        }
    }
    ar_chat_close_string(&o->w);
}

void ar_chat_put_assistant(struct ar_chat_enc *o, const struct ar_turn *from,
                           const struct ar_turn *end)
{
    struct said s = look(o, from, end);
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind == AR_COMPACTION &&
                b->text.n) { /* what it stands for came before this turn */
                struct ar_chat_pieces ps;
                ar_chat_start_pieces(&ps);
                ar_chat_add_text(o, &ps, ar_chat_summary_text(o, b), NULL);
                ar_chat_put_message(o, "user", (struct ar_str){0}, &ps);
            }
        }
    }
    if (!s.text && !s.calls && !s.refusal && !s.audio && from->blocks) {
        return; /* only thinking, or nothing: no message says nothing */
    }
    ar_jw_open(&o->w, '{');
    ar_jw_key_lit(&o->w, "role", "assistant");
    if (from->name.n && o->r->dialect == AR_DIALECT_CHAT) {
        ar_jw_key_text(&o->w, "name", from->name);
    }
    ar_jw_key(&o->w, "content");
    if (s.text || (!s.calls && !s.refusal && !s.audio)) {
        write_assistant_text(o, from, end);
    } else {
        ar_jw_null(&o->w);
    }
    if (s.refusal) {
        ar_jw_key_esc(&o->w, "refusal", s.refusal->text);
    }
    if (s.audio) {
        ar_jw_key_raw(&o->w, "audio", s.audio->raw);
    }
    if (s.thinking) {
        ar_chat_put_thinking(o, from, end);
    }
    write_calls(o, from, end);
    ar_jw_close(&o->w, '}');
}
