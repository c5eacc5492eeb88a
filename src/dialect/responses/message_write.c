/* Turns -> instructions and input items (PROTOCOLS 6.1, 6.5, 6.6). The first system text is the
 * instructions where the client had such a field; every other is a developer message in its place.
 * An assistant's turn falls apart into its items in the order of its blocks: reasoning (only what
 * the target's vendor made, and only where the item that it led to follows), messages, calls. A
 * request of this dialect goes back item by item as it came. Owns nothing. */
#include "dialect/responses/request_write.h"

enum { MARKS_MAX = 4 };
#define BILLING "x-anthropic-billing-header:"

static void open_item(struct ar_jw *w, const char *type)
{
    ar_jw_open(w, '{');
    ar_jw_key(w, "type");
    ar_jw_esc(w, ar_str_of(type));
}

/* --- system --- */

static bool is_said(const struct ar_block *b)
{
    return b->kind == AR_TEXT && b->text.n > 0 && !ar_str_has_prefix(b->text, AR_LIT(BILLING));
}

static void put_developer(struct ar_responses_enc *e, const struct ar_block *from,
                          const struct ar_block *end)
{
    unsigned n = 0;
    const struct ar_block *only = NULL;
    for (const struct ar_block *b = from; b != end; b = b->next) {
        n += is_said(b);
        only = is_said(b) ? b : only;
    }
    if (n == 0) {
        return;
    }
    open_item(&e->w, "message");
    ar_jw_key_lit(&e->w, "role", "developer");
    ar_jw_key(&e->w, "content");
    if (n == 1 && only && !only->cache_ttl.p) {
        ar_jw_esc(&e->w, only->text);
    } else {
        ar_jw_open(&e->w, '[');
        for (const struct ar_block *b = from; b != end; b = b->next) {
            if (is_said(b)) {
                ar_responses_put_input_text(e, b->text, b);
            }
        }
        ar_jw_close(&e->w, ']');
    }
    ar_jw_close(&e->w, '}');
}

/* The block that is the instructions, or NULL: a client of Chat has messages only. */
static const struct ar_block *instructions_of(const struct ar_responses_enc *e)
{
    const struct ar_block *b = e->r->system;
    bool has = e->r->dialect != AR_DIALECT_CHAT;
    if (e->native) {
        struct ar_jval root = e->r->wire ? ar_json_root(e->r->wire) : (struct ar_jval){0};
        has = ar_json_esc(ar_json_get_lit(root, "instructions")).n > 0;
    }
    while (has && b && !is_said(b)) {
        b = b->next;
    }
    return has ? b : NULL;
}

/* --- what a user's turn holds --- */

/* The call that a result answers, which is of the assistant turn before it (sealed), or NULL. */
static const struct ar_block *call_of(const struct ar_responses_enc *e,
                                      const struct ar_block *result)
{
    const struct ar_block *b = e->calls ? e->calls->blocks : NULL;
    while (b && !(b->kind == AR_TOOL_USE && ar_str_is(b->id, result->id))) {
        b = b->next;
    }
    return b;
}

static bool is_bare_text(const struct ar_block *b)
{
    return b->inner && b->inner->kind == AR_TEXT && !b->inner->next;
}

static void put_output(struct ar_responses_enc *e, const struct ar_block *b)
{
    static const struct ar_str ERROR = AR_LIT_INIT("Error: ");
    const struct ar_block *first = b->inner;
    bool says = first && first->kind == AR_TEXT && ar_str_has_prefix(first->text, ERROR);
    bool mark = b->is_error && !says, any = false;
    ar_jw_key(&e->w, "output");
    for (const struct ar_block *c = first; c; c = c->next) {
        any = any || ar_responses_is_part(c);
    }
    if (!any || is_bare_text(b)) {
        ar_jw_raw(&e->w, AR_LIT("\""));
        ar_buf_str(e->w.out, mark ? ERROR : AR_LIT(""));
        ar_buf_str(e->w.out, any ? first->text : AR_LIT(""));
        ar_buf_char(e->w.out, '"');
        return;
    }
    ar_jw_open(&e->w, '[');
    if (mark && first->kind != AR_TEXT) {
        ar_responses_put_input_text(e, ERROR, NULL);
    }
    for (const struct ar_block *c = first; c; c = c->next) {
        struct ar_block said = *c;
        if (mark && c == first && c->kind == AR_TEXT) {
            said.text = ar_arena_join(e->a, ERROR, c->text);
        }
        if (ar_responses_is_part(&said)) {
            ar_responses_put_part(e, &said);
        }
    }
    ar_jw_close(&e->w, ']');
}

static void put_result(struct ar_responses_enc *e, const struct ar_block *b)
{
    const struct ar_block *call = call_of(e, b);
    if (b->raw.n > 0 && b->native != AR_NATIVE_NONE && e->native) {
        ar_jw_raw(&e->w, b->raw);
        return;
    }
    bool custom = call && call->freeform && e->official;
    open_item(&e->w, custom ? "custom_tool_call_output" : "function_call_output");
    ar_jw_key_text(&e->w, "call_id", ar_tool_id(b->id, e->a));
    put_output(e, b);
    ar_jw_close(&e->w, '}');
}

static void put_summary(struct ar_responses_enc *e, const struct ar_block *b)
{
    if (ar_responses_is_own_item(e, b)) {
        ar_jw_raw(&e->w, b->raw);
    } else if (b->text.n > 0) {
        struct ar_str text =
            ar_arena_join(e->a, AR_LIT("Summary of earlier conversation: "), b->text);
        open_item(&e->w, "message");
        ar_jw_key_lit(&e->w, "role", "user");
        ar_jw_key_esc(&e->w, "content", text.p ? text : AR_LIT(""));
        ar_jw_close(&e->w, '}');
    } else {
        ar_responses_lose_block(e, b);
    }
}

/* What a user said: a string where one text is all. */
static void put_message(struct ar_responses_enc *e, const struct ar_turn *t)
{
    unsigned n = 0;
    const struct ar_block *only = NULL;
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        n += ar_responses_is_part(b);
        only = ar_responses_is_part(b) ? b : only;
    }
    if (n == 0) {
        return;
    }
    open_item(&e->w, "message");
    ar_jw_key_lit(&e->w, "role", "user");
    ar_jw_key(&e->w, "content");
    if (n == 1 && only && only->kind == AR_TEXT && !only->cache_ttl.p) {
        ar_jw_esc(&e->w, only->text);
    } else {
        ar_jw_open(&e->w, '[');
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (ar_responses_is_part(b)) {
                ar_responses_put_part(e, b);
            }
        }
        ar_jw_close(&e->w, ']');
    }
    ar_jw_close(&e->w, '}');
}

static void put_user(struct ar_responses_enc *e, const struct ar_turn *t)
{
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        if (b->kind == AR_TOOL_RESULT) {
            put_result(e, b);
        } else if (b->kind == AR_COMPACTION) {
            put_summary(e, b);
        } else if (b->kind >= AR_SERVER_TOOL_USE && ar_responses_is_own_item(e, b)) {
            ar_jw_raw(&e->w, b->raw);
        } else if (!ar_responses_is_part(b)) {
            ar_responses_lose_block(e, b);
        }
    }
    put_message(e, t);
}

/* --- what an assistant's turn holds --- */

static void put_call(struct ar_responses_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    if (b->native != AR_NATIVE_NONE && b->raw.n > 0 && e->native) {
        ar_jw_raw(w, b->raw);
        return;
    }
    bool custom = b->freeform && e->official, spaced = b->ns.n > 0 && e->official;
    struct ar_str name =
        spaced ? ar_responses_bare_name(b->ns, b->name) : ar_responses_tool_name(e, b->name);
    open_item(w, custom ? "custom_tool_call" : "function_call");
    if (e->native && b->item_id.n > 0) {
        ar_jw_key_text(w, "id", b->item_id);
    }
    ar_jw_key_text(w, "call_id", ar_tool_id(b->id, e->a));
    ar_jw_key_text(w, "name", name);
    if (spaced) {
        ar_jw_key_text(w, "namespace", b->ns);
    }
    if (custom) {
        ar_jw_key_text(w, "input", b->text);
    } else if (b->freeform) {
        struct ar_str input = ar_json_escape_in(b->text, e->a);
        struct ar_str wrapped = ar_arena_fmt(e->a, "{\"input\":\"%.*s\"}", AR_FMT(input));
        ar_jw_key_text(w, "arguments", wrapped.p ? wrapped : AR_LIT("{}"));
    } else {
        ar_jw_key_text(w, "arguments", b->text.n ? ar_args_text(b->text, e->a) : AR_LIT("{}"));
    }
    ar_jw_close(w, '}');
}

static void put_thinking(struct ar_responses_enc *e, const struct ar_block *b)
{
    struct ar_jw *w = &e->w;
    if (e->native && b->raw.n > 0) {
        ar_jw_raw(w, b->raw);
        return;
    }
    open_item(w, "reasoning");
    ar_jw_key(w, "summary");
    ar_jw_open(w, '[');
    if (b->text.n > 0) {
        open_item(w, "summary_text");
        ar_jw_key_esc(w, "text", b->text);
        ar_jw_close(w, '}');
    }
    ar_jw_close(w, ']');
    ar_jw_key_text(w, "encrypted_content", b->sig->data);
    ar_jw_close(w, '}');
}

static bool is_item(const struct ar_responses_enc *e, const struct ar_block *b)
{
    return b->kind == AR_TOOL_USE || ar_responses_is_part(b) ||
           (b->kind >= AR_SERVER_TOOL_USE && ar_responses_is_own_item(e, b));
}

/* Does the item that the reasoning led to follow? */
static bool is_followed(const struct ar_responses_enc *e, const struct ar_block *b)
{
    b = b->next;
    while (b && (b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING)) {
        b = b->next;
    }
    return b && is_item(e, b);
}

static bool same_message(const struct ar_block *a, const struct ar_block *b)
{
    return (b->kind == AR_TEXT || b->kind == AR_REFUSAL) && ar_str_is(a->item_id, b->item_id) &&
           ar_str_is(a->phase, b->phase);
}

/* Texts that are neighbours and belong to one message. Returns what comes after them. */
static const struct ar_block *put_said(struct ar_responses_enc *e, const struct ar_block *first)
{
    const struct ar_block *b = first;
    struct ar_jw *w = &e->w;
    open_item(w, "message");
    ar_jw_key_lit(w, "role", "assistant");
    ar_jw_key(w, "content");
    ar_jw_open(w, '[');
    for (; b && (b == first || same_message(first, b)); b = b->next) {
        if (b->text.n > 0) {
            ar_responses_put_said(e, b);
        }
    }
    ar_jw_close(w, ']');
    if (first->phase.n > 0) {
        ar_jw_key_text(w, "phase", first->phase);
    }
    ar_jw_close(w, '}');
    return b;
}

static void put_assistant(struct ar_responses_enc *e, const struct ar_turn *t)
{
    for (const struct ar_block *b = t->blocks; b;) {
        if ((b->kind == AR_TEXT || b->kind == AR_REFUSAL) && b->text.n > 0) {
            b = put_said(e, b);
            continue;
        }
        if (b->kind == AR_TOOL_USE) {
            put_call(e, b);
        } else if (b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING) {
            if (ar_responses_keeps_thinking(e, b->sig) && is_followed(e, b)) {
                put_thinking(e, b);
            }
        } else if (b->kind == AR_COMPACTION) {
            put_summary(e, b);
        } else if (b->kind >= AR_SERVER_TOOL_USE && ar_responses_is_own_item(e, b)) {
            ar_jw_raw(&e->w, b->raw);
        } else if (b->kind == AR_DOCUMENT || b->media) {
            ar_responses_lose(e, AR_FATE_REJECT, AR_DROPPED, "messages",
                              "the upstream takes no media from an assistant");
        } else if (b->kind != AR_TEXT && b->kind != AR_REFUSAL) {
            ar_responses_lose_block(e, b);
        }
        b = b->next;
    }
}

/* --- all --- */

static unsigned count_marks(const struct ar_block *b)
{
    unsigned n = 0;
    for (; b; b = b->next) {
        n += b->cache_ttl.p != NULL && ar_responses_is_part(b);
        n += b->kind == AR_TOOL_RESULT ? count_marks(b->inner) : 0;
    }
    return n;
}

static void plan_marks(struct ar_responses_enc *e, const struct ar_block *instructions)
{
    unsigned n = count_marks(instructions ? instructions->next : e->r->system);
    for (const struct ar_turn *t = e->r->turns; t; t = t->next) {
        n += t->role == AR_ASSISTANT ? 0 : count_marks(t->blocks);
    }
    e->marks_skip = n > MARKS_MAX ? n - MARKS_MAX : 0;
}

void ar_responses_put_messages(struct ar_responses_enc *e)
{
    const struct ar_block *first = instructions_of(e), *rest = first ? first->next : e->r->system;
    const struct ar_turn *last = NULL;
    plan_marks(e, first);
    if (first) {
        ar_jw_key_esc(&e->w, "instructions", first->text);
    }
    ar_jw_key(&e->w, "input");
    ar_jw_open(&e->w, '[');
    for (const struct ar_block *b = rest; b; b = b->next) {
        put_developer(e, b, b->next);
    }
    for (const struct ar_turn *t = e->r->turns; t; t = t->next) {
        last = t;
        if (t->role == AR_SYSTEM) {
            put_developer(e, t->blocks, NULL);
        } else if (t->role == AR_USER) {
            put_user(e, t);
        } else {
            put_assistant(e, t);
            e->calls = t;
        }
    }
    ar_jw_close(&e->w, ']');
    bool same_words = e->native || e->r->dialect == AR_DIALECT_CHAT;
    if (last && last->role == AR_ASSISTANT && !same_words) {
        ar_responses_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "messages",
                          "the upstream reads a trailing assistant message as history, not as a "
                          "start to continue");
    }
}
