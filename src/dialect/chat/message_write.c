/* Turns into messages[] (PROTOCOLS 6.1, 6.2, 6.5): the system text, users' turns and the order of
 * all. Tool results become tool messages directly after their calls; what a tool message cannot
 * hold (images, files) follows in a user message after the whole group. Claude Code's billing line
 * is never sent on: it changes with each version and would break every prefix cache. */
#include "dialect/chat/message_write.h"

enum { MARKS_MAX = 4 };
#define BILLING "x-anthropic-billing-header:"

static const char *system_role(const struct ar_chat_enc *e)
{
    return AR_HAS(e, DEVELOPER_ROLE) && AR_CAN(e, REASONING) ? "developer" : "system";
}

/* One tool message. Media go to *attached under a number that the text names. */
static void put_result(struct ar_chat_enc *e, const struct ar_block *r,
                       struct ar_chat_pieces *attached, unsigned *number)
{
    struct ar_buf *out = e->w.out;
    ar_jw_open(&e->w, '{');
    ar_jw_key_lit(&e->w, "role", "tool");
    ar_jw_key_text(&e->w, "tool_call_id", ar_tool_id(r->id, e->a));
    ar_jw_key(&e->w, "content");
    ar_chat_open_string(&e->w);
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
        } else if (ar_is_text_document(b)) {
            ar_buf_str(out, ar_document_text(b, e->a));
        } else if (b->media) {
            const char *what = b->kind == AR_IMAGE ? "image" : "file";
            ar_buf_fmt(out, "[%s #%u attached below]", what, ++*number);
            struct ar_str label = ar_arena_fmt(e->a, "[%s #%u]", what, *number);
            ar_chat_add_text(e, attached, label.p ? label : AR_LIT(""), NULL);
            ar_chat_add_media(e, attached, b);
            ar_chat_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "tool_result",
                         "tool messages hold text only: media follow in a user message");
        }
    }
    ar_chat_close_string(&e->w);
    ar_jw_close(&e->w, '}');
}

/* A system message as user text. */
static struct ar_str reminder_text(struct ar_chat_enc *e, const struct ar_block *b)
{
    struct ar_str s =
        ar_arena_fmt(e->a, "<system-reminder>\\n%.*s\\n</system-reminder>", AR_FMT(b->text));
    ar_chat_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "messages",
                 "the upstream takes one system message at the start");
    return s.p ? s : AR_LIT("");
}

static void put_user(struct ar_chat_enc *e, const struct ar_turn *from, const struct ar_turn *end)
{
    struct ar_chat_pieces said, attached;
    unsigned number = 0;
    bool results = false;
    ar_chat_start_pieces(&said);
    ar_chat_start_pieces(&attached);
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind == AR_TOOL_RESULT) {
                put_result(e, b, &attached, &number);
                results = true;
            }
        }
    }
    if (attached.n && AR_HAS(e, STRICT_ALTERNATION)) {
        said = attached; /* one user message for both */
    } else if (attached.n) {
        ar_chat_put_message(e, "user", (struct ar_str){0}, &attached);
    }
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (t->role == AR_SYSTEM && b->kind == AR_TEXT) {
                ar_chat_add_text(e, &said, reminder_text(e, b), b);
            } else {
                ar_chat_gather(e, &said, b);
            }
        }
    }
    if (said.n || !results) {
        ar_chat_put_message(e, "user", from->name, &said);
    }
}

/* A place that takes one system message only gets later ones as user text. */
static enum ar_role role_of(const struct ar_chat_enc *e, const struct ar_turn *t)
{
    return t->role == AR_SYSTEM && AR_HAS(e, ONE_SYSTEM) ? AR_USER : t->role;
}

/* A system message between turns keeps its place. */
static void put_system_turn(struct ar_chat_enc *e, const struct ar_turn *t)
{
    struct ar_chat_pieces ps;
    ar_chat_start_pieces(&ps);
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        ar_chat_gather(e, &ps, b);
    }
    if (ps.n) {
        ar_chat_put_message(e, system_role(e), t->name, &ps);
    }
}

/* The schema as words, for places without structured output. Esc, arena. */
static struct ar_str schema_line(struct ar_chat_enc *e)
{
    if (e->r->set.format != AR_FORMAT_SCHEMA || !AR_HAS(e, NO_JSON_SCHEMA)) {
        return (struct ar_str){0};
    }
    ar_chat_lose(e, AR_FATE_WARN, AR_EMULATED,
                 ar_chat_field(e, "response_format", "output_config.format"),
                 "the upstream has no structured output: the schema is sent as an instruction");
    struct ar_str schema = ar_json_escape_in(e->r->set.schema, e->a);
    return ar_arena_fmt(
        e->a, "Respond with one JSON object that matches this JSON Schema and nothing else:\\n%.*s",
        AR_FMT(schema));
}

static void put_system(struct ar_chat_enc *e)
{
    struct ar_chat_pieces ps;
    bool one = AR_HAS(e, ONE_SYSTEM);
    struct ar_str line = schema_line(e);
    ar_chat_start_pieces(&ps);
    for (const struct ar_block *b = e->r->system; b; b = b->next) {
        if (b->kind != AR_TEXT || ar_str_has_prefix(b->text, AR_LIT(BILLING))) {
            continue;
        }
        ar_chat_add_text(e, &ps, b->text, b);
        if (!one) {
            ar_chat_put_message(e, system_role(e), (struct ar_str){0}, &ps);
            ar_chat_start_pieces(&ps);
        }
    }
    if (line.n) {
        ar_chat_add_text(e, &ps, line, NULL);
    }
    if (!ps.n) {
        return;
    }
    ar_jw_open(&e->w, '{');
    ar_jw_key(&e->w, "role");
    ar_jw_esc(&e->w, ar_str_of(system_role(e)));
    ar_jw_key(&e->w, "content");
    ar_chat_open_string(&e->w);
    for (const struct ar_chat_bit *p = ps.first; p; p = p->next) {
        ar_buf_str(e->w.out, p == ps.first ? AR_LIT("") : AR_LIT("\\n\\n"));
        ar_buf_str(e->w.out, p->text);
    }
    ar_chat_close_string(&e->w);
    ar_jw_close(&e->w, '}');
}

/* Only the last four cache marks count. */
static void count_marks(struct ar_chat_enc *e)
{
    unsigned n = 0;
    for (const struct ar_block *b = e->r->system; b; b = b->next) {
        n += b->cache_ttl.p && b->kind == AR_TEXT && !ar_str_has_prefix(b->text, AR_LIT(BILLING));
    }
    for (const struct ar_turn *t = e->r->turns; t; t = t->next) {
        for (const struct ar_block *b = t->role == AR_ASSISTANT ? NULL : t->blocks; b;
             b = b->next) {
            n += b->cache_ttl.p && (b->kind == AR_TEXT || ar_is_text_document(b));
        }
    }
    e->marks_skip = n > MARKS_MAX ? n - MARKS_MAX : 0;
}

void ar_chat_put_messages(struct ar_chat_enc *e)
{
    const struct ar_turn *next = NULL;
    bool strict = AR_HAS(e, STRICT_ALTERNATION);
    count_marks(e);
    ar_jw_key(&e->w, "messages");
    ar_jw_open(&e->w, '[');
    put_system(e);
    for (const struct ar_turn *t = e->r->turns; t; t = next) {
        next = t->next;
        enum ar_role role = role_of(e, t);
        while (strict && next && role_of(e, next) == role && role != AR_SYSTEM) {
            next = next->next;
        }
        if (role == AR_SYSTEM) {
            put_system_turn(e, t);
        } else if (role == AR_USER) {
            put_user(e, t, next);
        } else {
            ar_chat_put_assistant(e, t, next);
        }
        if (!next && t->role == AR_ASSISTANT && e->r->dialect != AR_DIALECT_CHAT) {
            ar_chat_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "messages",
                         "the upstream reads a trailing assistant message as history, not as a "
                         "start to continue");
        }
    }
    if (!e->w.comma) {
        ar_chat_lose(e, AR_FATE_REJECT, AR_DROPPED, "messages",
                     "nothing of the history can be said in the upstream's dialect");
    }
    ar_jw_close(&e->w, ']');
}
