/* Turns into messages[] (PROTOCOLS 6.1, 6.2, 6.5). Each turn is gathered into pieces first: text or
 * media, with its cache mark; then the pieces are written as a string where the wire allows it,
 * because many compatible servers know no part lists. Tool results become tool messages directly
 * after their calls; what a tool message cannot hold (images, files) follows in a user message
 * after the whole group. Claude Code's billing line is never sent on: it changes with each version
 * and would break every prefix cache. */
#include "dialect/chat/encode.h"

enum { MARKS_MAX = 4 };
#define BILLING "x-anthropic-billing-header:"

struct piece {
    struct piece *next;
    struct ar_str text;           /* esc */
    const struct ar_block *media; /* or a part */
    const struct ar_block *mark;  /* the block whose cache mark it carries, or NULL */
};
struct pieces {
    struct piece *first, **tail;
    unsigned n, media;
    bool marked;
};

static void add_piece(struct ar_chat_out *o, struct pieces *ps, struct piece p)
{
    struct piece *copy = ar_arena_new(o->a, struct piece);
    if (!copy) {
        return;
    }
    *copy = p;
    *ps->tail = copy;
    ps->tail = &copy->next;
    ps->n++;
    ps->media += p.media != NULL;
}

static void add_text(struct ar_chat_out *o, struct pieces *ps, struct ar_str esc,
                     const struct ar_block *from)
{
    struct piece p = {.text = esc};
    if (from && from->cache_ttl.p && ar_chat_can(o, AR_CAP(CACHE_BREAKPOINTS)) &&
        o->marks_seen++ >= o->marks_skip) {
        p.mark = from;
        ps->marked = true;
    }
    add_piece(o, ps, p);
}

/* A JSON string made of several spans. */
static void open_string(struct ar_jw *w)
{
    if (w->comma) {
        ar_buf_char(w->out, ',');
    }
    ar_buf_char(w->out, '"');
}
static void close_string(struct ar_jw *w)
{
    ar_buf_char(w->out, '"');
    w->comma = true;
}

static void write_mark(struct ar_chat_out *o, const struct ar_block *b)
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

static void write_parts(struct ar_chat_out *o, const struct pieces *ps)
{
    struct ar_jw *w = &o->w;
    ar_jw_open(w, '[');
    for (const struct piece *p = ps->first; p; p = p->next) {
        if (p->media) {
            ar_chat_write_media(o, p->media);
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

static void write_content(struct ar_chat_out *o, const struct pieces *ps)
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
    open_string(&o->w);
    for (const struct piece *p = ps->first; p; p = p->next) {
        if (!p->media) {
            ar_buf_str(o->w.out, some ? AR_LIT("\\n") : AR_LIT(""));
            ar_buf_str(o->w.out, p->text);
            some = true;
        }
    }
    close_string(&o->w);
}

static void write_message(struct ar_chat_out *o, const char *role, struct ar_str name,
                          const struct pieces *ps)
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

static const char *system_role(const struct ar_chat_out *o)
{
    return ar_chat_has(o, AR_QUIRK(DEVELOPER_ROLE)) && ar_chat_can(o, AR_CAP(REASONING))
               ? "developer"
               : "system";
}

static void start(struct pieces *ps)
{
    *ps = (struct pieces){0};
    ps->tail = &ps->first;
}

/* Text that stands for a document: title, context, its text or the texts in it. Esc, arena. */
static struct ar_str document_text(struct ar_chat_out *o, const struct ar_block *b)
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

static bool is_text_document(const struct ar_block *b)
{
    return b->kind == AR_DOCUMENT && (!b->media || b->media->from == AR_FROM_TEXT || b->inner);
}

static void add_document(struct ar_chat_out *o, struct pieces *ps, const struct ar_block *b)
{
    if (b->media && b->media->citations) {
        ar_chat_lose(o, AR_FATE_WARN, AR_APPROXIMATED, "citations",
                     "the upstream cannot cite documents");
    }
    if (!is_text_document(b)) {
        add_piece(o, ps, (struct piece){.media = b});
        return;
    }
    add_text(o, ps, document_text(o, b), b);
    for (const struct ar_block *i = b->inner; i; i = i->next) {
        if (i->kind == AR_IMAGE) {
            add_piece(o, ps, (struct piece){.media = i});
        }
    }
}

static struct ar_str summary_text(struct ar_chat_out *o, const struct ar_block *b)
{
    struct ar_str s = ar_arena_fmt(o->a, "Summary of earlier conversation: %.*s", AR_FMT(b->text));
    return s.p ? s : AR_LIT("");
}

/* What only the block's own vendor can read. */
static void lose_block(struct ar_chat_out *o, const struct ar_block *b)
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
        ar_chat_lose(o, ar_str_is_lit(b->name, "container_upload") ? AR_FATE_REJECT : AR_FATE_WARN,
                     AR_DROPPED, "messages",
                     "a block of a type that the upstream's dialect has not");
        break;
    default: /* thinking outside an assistant turn says nothing to anybody */
        break;
    }
}

/* A user's block as pieces; tool results are written apart. */
static void gather(struct ar_chat_out *o, struct pieces *ps, const struct ar_block *b)
{
    switch (b->kind) {
    case AR_TEXT:
    case AR_REFUSAL:
        add_text(o, ps, b->text, b);
        break;
    case AR_DOCUMENT:
        add_document(o, ps, b);
        break;
    case AR_IMAGE:
    case AR_AUDIO:
    case AR_VIDEO:
        add_piece(o, ps, (struct piece){.media = b});
        break;
    case AR_COMPACTION:
        if (b->text.n) {
            add_text(o, ps, summary_text(o, b), NULL);
            break;
        }
        lose_block(o, b);
        break;
    case AR_TOOL_RESULT:
        break;
    default:
        lose_block(o, b);
        break;
    }
}

/* One tool message. Media go to *attached under a number that the text names. */
static void write_result(struct ar_chat_out *o, const struct ar_block *r, struct pieces *attached,
                         unsigned *number)
{
    struct ar_buf *out = o->w.out;
    ar_jw_open(&o->w, '{');
    ar_jw_key_lit(&o->w, "role", "tool");
    ar_jw_key_text(&o->w, "tool_call_id", ar_tool_id(r->id, o->a));
    ar_jw_key(&o->w, "content");
    open_string(&o->w);
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
        } else if (is_text_document(b)) {
            ar_buf_str(out, document_text(o, b));
        } else if (b->media) {
            const char *what = b->kind == AR_IMAGE ? "image" : "file";
            ar_buf_fmt(out, "[%s #%u attached below]", what, ++*number);
            struct ar_str label = ar_arena_fmt(o->a, "[%s #%u]", what, *number);
            add_text(o, attached, label.p ? label : AR_LIT(""), NULL);
            add_piece(o, attached, (struct piece){.media = b});
            ar_chat_lose(o, AR_FATE_WARN, AR_APPROXIMATED, "tool_result",
                         "tool messages hold text only: media follow in a user message");
        }
    }
    close_string(&o->w);
    ar_jw_close(&o->w, '}');
}

/* A system message as user text. */
static struct ar_str reminder_text(struct ar_chat_out *o, const struct ar_block *b)
{
    struct ar_str s =
        ar_arena_fmt(o->a, "<system-reminder>\\n%.*s\\n</system-reminder>", AR_FMT(b->text));
    ar_chat_lose(o, AR_FATE_WARN, AR_APPROXIMATED, "messages",
                 "the upstream takes one system message at the start");
    return s.p ? s : AR_LIT("");
}

static void write_user(struct ar_chat_out *o, const struct ar_turn *from, const struct ar_turn *end)
{
    struct pieces said, attached;
    unsigned number = 0;
    bool results = false;
    start(&said);
    start(&attached);
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
        write_message(o, "user", (struct ar_str){0}, &attached);
    }
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (t->role == AR_SYSTEM && b->kind == AR_TEXT) {
                add_text(o, &said, reminder_text(o, b), b);
            } else {
                gather(o, &said, b);
            }
        }
    }
    if (said.n || !results) {
        write_message(o, "user", from->name, &said);
    }
}

static void write_calls(struct ar_chat_out *o, const struct ar_turn *from,
                        const struct ar_turn *end)
{
    struct ar_jw *w = &o->w;
    bool open = false;
    bool dummy =
        ar_str_has(o->t->model, AR_LIT("gemini-3")); /* it refuses calls without a signature */
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind != AR_TOOL_USE) {
                continue;
            }
            if (!open) {
                ar_jw_key(w, "tool_calls");
                ar_jw_open(w, '[');
            }
            ar_jw_open(w, '{');
            ar_jw_key_text(w, "id", ar_tool_id(b->id, o->a));
            ar_jw_key(w, "type");
            ar_jw_esc(w, b->freeform ? AR_LIT("custom") : AR_LIT("function"));
            ar_jw_key_n(w, b->freeform ? "custom" : "function", b->freeform ? 6 : 8);
            ar_jw_open(w, '{');
            ar_jw_key_text(w, "name", ar_tool_name(b->name, 64, o->a));
            ar_jw_key_n(w, b->freeform ? "input" : "arguments", b->freeform ? 5 : 9);
            ar_jw_text(w, b->freeform ? b->text
                          : b->text.n ? ar_args_text(b->text, o->a)
                                      : AR_LIT("{}"));
            ar_jw_close(w, '}');
            bool signed_by_google = b->sig && b->sig->vendor == AR_VENDOR_GOOGLE && b->sig->data.n;
            if (ar_chat_has(o, AR_QUIRK(TOOL_EXTRA_CONTENT)) &&
                (signed_by_google || (dummy && !open))) {
                ar_jw_key(w, "extra_content");
                ar_jw_open(w, '{');
                ar_jw_key(w, "google");
                ar_jw_open(w, '{');
                ar_jw_key_text(w, "thought_signature",
                               signed_by_google ? b->sig->data
                                                : AR_LIT("skip_thought_signature_validator"));
                ar_jw_close(w, '}');
                ar_jw_close(w, '}');
            }
            ar_jw_close(w, '}');
            open = true;
        }
    }
    if (open) {
        ar_jw_close(w, ']');
    }
}

struct said {
    unsigned text, calls, thinking;
    const struct ar_block *refusal, *audio;
};

static struct said look(struct ar_chat_out *o, const struct ar_turn *from,
                        const struct ar_turn *end)
{
    struct said s = {0};
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            s.text += (b->kind == AR_TEXT && b->text.n) || is_text_document(b);
            s.calls += b->kind == AR_TOOL_USE;
            s.thinking += b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING;
            s.refusal = b->kind == AR_REFUSAL ? b : s.refusal;
            if (b->kind == AR_OPAQUE_ITEM && ar_str_is_lit(b->name, "audio") &&
                o->r->dialect == AR_DIALECT_CHAT) {
                s.audio = b;
            } else if (b->kind != AR_TEXT && b->kind != AR_TOOL_USE && b->kind != AR_REFUSAL &&
                       !is_text_document(b) && !(b->kind == AR_COMPACTION && b->text.n)) {
                lose_block(o, b);
            }
        }
    }
    return s;
}

static void write_assistant_text(struct ar_chat_out *o, const struct ar_turn *from,
                                 const struct ar_turn *end)
{
    const struct ar_turn *last = from;
    open_string(&o->w);
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (last != t && (b->kind == AR_TEXT || is_text_document(b))) {
                ar_buf_lit(o->w.out, "\\n\\n"); /* what were two messages */
                last = t;
            }
            if (b->kind == AR_TEXT) {
                ar_buf_str(o->w.out, b->text);
            } else if (is_text_document(b)) {
                ar_buf_str(o->w.out, document_text(o, b));
            }
        }
    }
    close_string(&o->w);
}

static void write_assistant(struct ar_chat_out *o, const struct ar_turn *from,
                            const struct ar_turn *end)
{
    struct said s = look(o, from, end);
    for (const struct ar_turn *t = from; t != end; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind == AR_COMPACTION &&
                b->text.n) { /* what it stands for came before this turn */
                struct pieces ps;
                start(&ps);
                add_text(o, &ps, summary_text(o, b), NULL);
                write_message(o, "user", (struct ar_str){0}, &ps);
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
        ar_chat_write_thinking(o, from, end);
    }
    write_calls(o, from, end);
    ar_jw_close(&o->w, '}');
}

/* A place that takes one system message only gets later ones as user text. */
static enum ar_role role_of(const struct ar_chat_out *o, const struct ar_turn *t)
{
    return t->role == AR_SYSTEM && ar_chat_has(o, AR_QUIRK(ONE_SYSTEM)) ? AR_USER : t->role;
}

/* A system message between turns keeps its place. */
static void write_system_turn(struct ar_chat_out *o, const struct ar_turn *t)
{
    struct pieces ps;
    start(&ps);
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        gather(o, &ps, b);
    }
    if (ps.n) {
        write_message(o, system_role(o), t->name, &ps);
    }
}

/* The schema as words, for places without structured output. Esc, arena. */
static struct ar_str schema_line(struct ar_chat_out *o)
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

static void write_system(struct ar_chat_out *o)
{
    struct pieces ps;
    bool one = ar_chat_has(o, AR_QUIRK(ONE_SYSTEM));
    struct ar_str line = schema_line(o);
    start(&ps);
    for (const struct ar_block *b = o->r->system; b; b = b->next) {
        if (b->kind != AR_TEXT || ar_str_has_prefix(b->text, AR_LIT(BILLING))) {
            continue;
        }
        add_text(o, &ps, b->text, b);
        if (!one) {
            write_message(o, system_role(o), (struct ar_str){0}, &ps);
            start(&ps);
        }
    }
    if (line.n) {
        add_text(o, &ps, line, NULL);
    }
    if (!ps.n) {
        return;
    }
    ar_jw_open(&o->w, '{');
    ar_jw_key(&o->w, "role");
    ar_jw_esc(&o->w, ar_str_of(system_role(o)));
    ar_jw_key(&o->w, "content");
    open_string(&o->w);
    for (const struct piece *p = ps.first; p; p = p->next) {
        ar_buf_str(o->w.out, p == ps.first ? AR_LIT("") : AR_LIT("\\n\\n"));
        ar_buf_str(o->w.out, p->text);
    }
    close_string(&o->w);
    ar_jw_close(&o->w, '}');
}

/* Only the last four cache marks count. */
static void count_marks(struct ar_chat_out *o)
{
    unsigned n = 0;
    for (const struct ar_block *b = o->r->system; b; b = b->next) {
        n += b->cache_ttl.p && b->kind == AR_TEXT && !ar_str_has_prefix(b->text, AR_LIT(BILLING));
    }
    for (const struct ar_turn *t = o->r->turns; t; t = t->next) {
        for (const struct ar_block *b = t->role == AR_ASSISTANT ? NULL : t->blocks; b;
             b = b->next) {
            n += b->cache_ttl.p && (b->kind == AR_TEXT || is_text_document(b));
        }
    }
    o->marks_skip = n > MARKS_MAX ? n - MARKS_MAX : 0;
}

void ar_chat_write_messages(struct ar_chat_out *o)
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
            write_assistant(o, t, next);
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
