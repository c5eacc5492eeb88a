/* Turns into messages[] (PROTOCOLS 6.1, 6.2, 6.5): the system text, users' turns and the order of
 * all. Tool results become tool messages directly after their calls; what a tool message cannot
 * hold (images, files) follows in a user message after the whole group. Claude Code's billing line
 * is never sent on: it changes with each version and would break every prefix cache. */
#include "dialect/chat/message_write.h"

enum { MARKS_MAX = 4 };
#define BILLING "x-anthropic-billing-header:"

static const char *system_role(const struct ar_chat_enc *o)
{
    return ar_chat_has(o, AR_QUIRK(DEVELOPER_ROLE)) && ar_chat_can(o, AR_CAP(REASONING))
               ? "developer"
               : "system";
}

/* One tool message. Media go to *attached under a number that the text names. */
static void write_result(struct ar_chat_enc *o, const struct ar_block *r,
                         struct ar_chat_pieces *attached, unsigned *number)
{
    struct ar_buf *out = o->w.out;
    ar_jw_open(&o->w, '{');
    ar_jw_key_lit(&o->w, "role", "tool");
    ar_jw_key_text(&o->w, "tool_call_id", ar_tool_id(r->id, o->a));
    ar_jw_key(&o->w, "content");
    ar_chat_open_string(&o->w);
    const struct ar_block *first = r->inner;
    bool says_error =
        first && first->kind == AR_TEXT && ar_str_has_prefix(first->text, AR_LIT("Error: "));
    if (r->is_error && !says_error) {
        ar_buf_lit(out, "Error: ");
    }
    for (const struct ar_block *b = first; b; b = b->next) {
        ar_buf_str(out, b == first ? AR_LIT("") : AR_LIT("\\n"));
        if (b->kind == AR_TEXT) {
            ar_buf_str(out, b->text);
        } else if (ar_chat_is_text_document(b)) {
            ar_buf_str(out, ar_chat_document_text(o, b));
        } else if (b->media) {
            const char *what = b->kind == AR_IMAGE ? "image" : "file";
            ar_buf_fmt(out, "[%s #%u attached below]", what, ++*number);
            struct ar_str label = ar_arena_fmt(o->a, "[%s #%u]", what, *number);
            ar_chat_add_text(o, attached, label.p ? label : AR_LIT(""), NULL);
            ar_chat_add_media(o, attached, b);
            ar_chat_lose(o, AR_FATE_WARN, AR_APPROXIMATED, "tool_result",
                         "tool messages hold text only: media follow in a user message");
        }
    }
    ar_chat_close_string(&o->w);
    ar_jw_close(&o->w, '}');
}

/* A system message as user text. */
static struct ar_str reminder_text(struct ar_chat_enc *o, const struct ar_block *b)
{
    struct ar_str s =
        ar_arena_fmt(o->a, "<system-reminder>\\n%.*s\\n</system-reminder>", AR_FMT(b->text));
    ar_chat_lose(o, AR_FATE_WARN, AR_APPROXIMATED, "messages",
                 "the upstream takes one system message at the start");
    return s.p ? s : AR_LIT("");
}

static void write_user(struct ar_chat_enc *o, const struct ar_turn *from, const struct ar_turn *end)
{
    struct ar_chat_pieces said, attached;
    unsigned number = 0;
    bool results = false;
    ar_chat_start_pieces(&said);
    ar_chat_start_pieces(&attached);
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind == AR_TOOL_RESULT) {
                write_result(o, b, &attached, &number);
                results = true;
            }
        }
    }
    if (attached.n && ar_chat_has(o, AR_QUIRK(STRICT_ALTERNATION))) {
        said = attached; /* one user message for both */
    } else if (attached.n) {
        ar_chat_put_message(o, "user", (struct ar_str){0}, &attached);
    }
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (t->role == AR_SYSTEM && b->kind == AR_TEXT) {
                ar_chat_add_text(o, &said, reminder_text(o, b), b);
            } else {
                ar_chat_gather(o, &said, b);
            }
        }
    }
    if (said.n || !results) {
        ar_chat_put_message(o, "user", from->name, &said);
    }
}

/* A place that takes one system message only gets later ones as user text. */
static enum ar_role role_of(const struct ar_chat_enc *o, const struct ar_turn *t)
{
    return t->role == AR_SYSTEM && ar_chat_has(o, AR_QUIRK(ONE_SYSTEM)) ? AR_USER : t->role;
}

/* A system message between turns keeps its place. */
static void write_system_turn(struct ar_chat_enc *o, const struct ar_turn *t)
{
    struct ar_chat_pieces ps;
    ar_chat_start_pieces(&ps);
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        ar_chat_gather(o, &ps, b);
    }
    if (ps.n) {
        ar_chat_put_message(o, system_role(o), t->name, &ps);
    }
}

/* The schema as words, for places without structured output. Esc, arena. */
static struct ar_str schema_line(struct ar_chat_enc *o)
{
    if (o->r->set.format != AR_FORMAT_SCHEMA || !ar_chat_has(o, AR_QUIRK(NO_JSON_SCHEMA))) {
        return (struct ar_str){0};
    }
    ar_chat_lose(o, AR_FATE_WARN, AR_EMULATED,
                 ar_chat_field(o, "response_format", "output_config.format"),
                 "the upstream has no structured output: the schema is sent as an instruction");
    struct ar_str schema = ar_json_escape_in(o->r->set.schema, o->a);
    return ar_arena_fmt(
        o->a, "Respond with one JSON object that matches this JSON Schema and nothing else:\\n%.*s",
        AR_FMT(schema));
}

static void write_system(struct ar_chat_enc *o)
{
    struct ar_chat_pieces ps;
    bool one = ar_chat_has(o, AR_QUIRK(ONE_SYSTEM));
    struct ar_str line = schema_line(o);
    ar_chat_start_pieces(&ps);
    for (const struct ar_block *b = o->r->system; b; b = b->next) {
        if (b->kind != AR_TEXT || ar_str_has_prefix(b->text, AR_LIT(BILLING))) {
            continue;
        }
        ar_chat_add_text(o, &ps, b->text, b);
        if (!one) {
            ar_chat_put_message(o, system_role(o), (struct ar_str){0}, &ps);
            ar_chat_start_pieces(&ps);
        }
    }
    if (line.n) {
        ar_chat_add_text(o, &ps, line, NULL);
    }
    if (!ps.n) {
        return;
    }
    ar_jw_open(&o->w, '{');
    ar_jw_key(&o->w, "role");
    ar_jw_esc(&o->w, ar_str_of(system_role(o)));
    ar_jw_key(&o->w, "content");
    ar_chat_open_string(&o->w);
    for (const struct ar_chat_bit *p = ps.first; p; p = p->next) {
        ar_buf_str(o->w.out, p == ps.first ? AR_LIT("") : AR_LIT("\\n\\n"));
        ar_buf_str(o->w.out, p->text);
    }
    ar_chat_close_string(&o->w);
    ar_jw_close(&o->w, '}');
}

/* Only the last four cache marks count. */
static void count_marks(struct ar_chat_enc *o)
{
    unsigned n = 0;
    for (const struct ar_block *b = o->r->system; b; b = b->next) {
        n += b->cache_ttl.p && b->kind == AR_TEXT && !ar_str_has_prefix(b->text, AR_LIT(BILLING));
    }
    for (const struct ar_turn *t = o->r->turns; t; t = t->next) {
        for (const struct ar_block *b = t->role == AR_ASSISTANT ? NULL : t->blocks; b;
             b = b->next) {
            n += b->cache_ttl.p && (b->kind == AR_TEXT || ar_chat_is_text_document(b));
        }
    }
    o->marks_skip = n > MARKS_MAX ? n - MARKS_MAX : 0;
}

void ar_chat_put_messages(struct ar_chat_enc *o)
{
    const struct ar_turn *next = NULL;
    bool strict = ar_chat_has(o, AR_QUIRK(STRICT_ALTERNATION));
    count_marks(o);
    ar_jw_key(&o->w, "messages");
    ar_jw_open(&o->w, '[');
    write_system(o);
    for (const struct ar_turn *t = o->r->turns; t; t = next) {
        next = t->next;
        enum ar_role role = role_of(o, t);
        while (strict && next && role_of(o, next) == role && role != AR_SYSTEM) {
            next = next->next;
        }
        if (role == AR_SYSTEM) {
            write_system_turn(o, t);
        } else if (role == AR_USER) {
            write_user(o, t, next);
        } else {
            ar_chat_put_assistant(o, t, next);
        }
        if (!next && t->role == AR_ASSISTANT && o->r->dialect != AR_DIALECT_CHAT) {
            ar_chat_lose(o, AR_FATE_WARN, AR_APPROXIMATED, "messages",
                         "the upstream reads a trailing assistant message as history, not as a "
                         "start to continue");
        }
    }
    if (!o->w.comma) {
        ar_chat_lose(o, AR_FATE_REJECT, AR_DROPPED, "messages",
                     "nothing of the history can be said in the upstream's dialect");
    }
    ar_jw_close(&o->w, ']');
}
