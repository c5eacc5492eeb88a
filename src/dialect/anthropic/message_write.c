/* Turns -> messages (PROTOCOLS 6.1, 6.5). Turns between two assistant turns form one user message:
 * results first, then the rest in order; instructions in the middle become system messages after a
 * user turn where the model takes them, else user text in reminder tags. Neighbouring assistant
 * turns are merged unless signed thinking stands between. Nothing here depends on what comes later
 * in the history, so a longer history has the same beginning, byte for byte (P-014); only the last
 * assistant message is treated as a beginning to be continued. Owns nothing. */
#include "dialect/anthropic/request_write.h"

struct run {
    struct ar_anthropic_enc *e;
    bool in_message, in_user; /* a message is open, and whose it is */
    bool wrote_user, wrote_any;
    const struct ar_turn *held; /* the first system turn that waits for a user turn */
};

static void open_message(struct run *s, bool user, struct ar_str role)
{
    struct ar_jw *w = &s->e->w;
    ar_jw_open(w, '{');
    ar_jw_key_esc(w, "role", role);
    ar_jw_key(w, "content");
    ar_jw_open(w, '[');
    s->in_message = true;
    s->in_user = user;
    s->wrote_any = true;
    s->wrote_user = s->wrote_user || user;
}

static void close_message(struct run *s)
{
    if (s->in_message) {
        ar_jw_close(&s->e->w, ']');
        ar_jw_close(&s->e->w, '}');
        s->in_message = false;
    }
}

static void need_role(struct run *s, bool user)
{
    if (s->in_message && s->in_user != user) {
        close_message(s);
    }
    if (!s->in_message) {
        open_message(s, user, user ? AR_LIT("user") : AR_LIT("assistant"));
    }
}

static void put_plain(struct ar_anthropic_enc *e, struct ar_str esc)
{
    struct ar_block b = {.kind = AR_TEXT, .text = esc};
    ar_anthropic_put_part(e, &b);
}

/* A turn that was a bare string stays one. false: it was none, or it has nothing to show. */
static bool put_string(struct run *s, const struct ar_turn *t, struct ar_str role)
{
    const struct ar_block *b = t->blocks;
    if (!b || b->next || b->kind != AR_TEXT || !b->is_plain || b->cache_ttl.p ||
        !ar_anthropic_has_output(s->e, b)) {
        return false;
    }
    close_message(s);
    struct ar_jw *w = &s->e->w;
    ar_jw_open(w, '{');
    ar_jw_key_esc(w, "role", role);
    ar_jw_key_esc(w, "content", b->text);
    ar_jw_close(w, '}');
    s->wrote_any = true;
    s->wrote_user = s->wrote_user || t->role == AR_USER;
    return true;
}

/* --- system turns --- */

static bool has_text(const struct ar_anthropic_enc *e, const struct ar_turn *t)
{
    bool any = false;
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        any = any || ar_anthropic_has_output(e, b);
    }
    return any;
}

static void put_system_message(struct run *s, const struct ar_turn *t)
{
    if (!has_text(s->e, t) || put_string(s, t, AR_LIT("system"))) {
        return;
    }
    close_message(s);
    open_message(s, false, AR_LIT("system"));
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        if (ar_anthropic_has_output(s->e, b)) {
            ar_anthropic_put_part(s->e, b);
        }
    }
    close_message(s);
}

static void put_reminder(struct run *s, const struct ar_turn *t)
{
    struct ar_anthropic_enc *e = s->e;
    ar_anthropic_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "messages", "messages",
                      "the model takes instructions at the beginning only");
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        if (b->kind != AR_TEXT || !ar_anthropic_has_output(e, b)) {
            continue;
        }
        need_role(s, true);
        struct ar_str text =
            ar_arena_fmt(e->a, "<system-reminder>\\n%.*s\\n</system-reminder>", AR_FMT(b->text));
        struct ar_block wrapped = {
            .kind = AR_TEXT, .text = text.p ? text : AR_LIT(""), .cache_ttl = b->cache_ttl};
        ar_anthropic_put_part(e, &wrapped);
    }
}

static void lose_item(struct ar_anthropic_enc *e, const struct ar_block *b)
{
    ar_anthropic_lose(e, ar_block_is_needed(b) ? AR_FATE_REJECT : AR_FATE_WARN, AR_DROPPED,
                      "messages", "messages", "another vendor's item");
}

/* --- user runs --- */

static void put_user_blocks(struct run *s, const struct ar_turn *t, bool results)
{
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        if ((b->kind == AR_TOOL_RESULT) != results) {
            continue;
        }
        if (ar_anthropic_has_output(s->e, b)) {
            need_role(s, true);
            ar_anthropic_put_part(s->e, b);
        } else if (b->kind >= AR_SERVER_TOOL_USE) {
            lose_item(s->e, b);
        }
    }
}

/* Held instructions go out after the user turn that was just written. */
static void release_held(struct run *s, const struct ar_turn *end)
{
    for (const struct ar_turn *t = s->held; t && t != end; t = t->next) {
        if (t->role == AR_SYSTEM) {
            put_system_message(s, t);
        }
    }
    s->held = NULL;
}

static bool has_later_user(const struct ar_turn *t, const struct ar_turn *end)
{
    while (t != end && t->role != AR_USER) {
        t = t->next;
    }
    return t != end;
}

/* Everything up to the next assistant turn. Returns that. */
static const struct ar_turn *put_user_run(struct run *s, const struct ar_turn *first)
{
    bool mid = AR_CAN(s->e, MID_SYSTEM) || (s->e->native && s->e->t->caps == 0);
    const struct ar_turn *t, *end = first;
    bool wrote = false;
    while (end && end->role != AR_ASSISTANT) {
        end = end->next;
    }
    bool alone = first->role == AR_USER && !has_later_user(first->next, end);
    if (alone && (first->next == end || mid) && put_string(s, first, AR_LIT("user"))) {
        release_held(s, first);
        for (t = first->next; t != end; t = t->next) {
            put_system_message(s, t);
        }
        return end;
    }
    for (t = first; t != end; t = t->next) {
        if (t->role == AR_USER) {
            put_user_blocks(s, t, true);
        }
    }
    for (t = first; t != end; t = t->next) {
        if (t->role == AR_USER) {
            put_user_blocks(s, t, false);
            wrote = s->in_message && s->in_user;
            if (!wrote && (!t->next || t->next->role != AR_USER)) {
                need_role(s, true);
                put_plain(s->e, AR_LIT("(empty)"));
                wrote = true;
            }
            if (wrote && s->held && (!t->next || t->next->role != AR_USER)) {
                release_held(s, t);
            }
        } else if (!mid) {
            put_reminder(s, t);
        } else if (wrote || (s->in_message && s->in_user)) {
            put_system_message(s, t);
        } else if (!s->held) {
            s->held = t;
        }
    }
    if (!end && s->held) { /* no user turn follows any more */
        for (t = s->held; t; t = t->next) {
            if (t->role == AR_SYSTEM) {
                put_reminder(s, t);
            }
        }
        s->held = NULL;
    }
    return end;
}

/* --- assistant turns --- */

/* esc without white space at its end, escaped white space included. */
static struct ar_str strip_end(struct ar_str s)
{
    for (;;) {
        size_t slashes = 0;
        if (s.n > 0 && s.p[s.n - 1] == ' ') {
            s.n--;
            continue;
        }
        if (s.n < 2 || !strchr("ntr", s.p[s.n - 1])) {
            return s;
        }
        while (slashes < s.n - 1 && s.p[s.n - 2 - slashes] == '\\') {
            slashes++;
        }
        if (slashes % 2 == 0) {
            return s;
        }
        s.n -= 2;
    }
}

/* Is there anything but thinking after b? */
static bool is_last_text(const struct ar_anthropic_enc *e, const struct ar_block *b)
{
    for (const struct ar_block *n = b->next; n; n = n->next) {
        if (ar_anthropic_has_output(e, n)) {
            return false;
        }
    }
    return b->kind == AR_TEXT;
}

static bool begins_with_thinking(const struct ar_turn *t)
{
    return t->blocks && (t->blocks->kind == AR_THINKING || t->blocks->kind == AR_REDACTED_THINKING);
}

static void put_assistant(struct run *s, const struct ar_turn *t, bool is_prefill)
{
    struct ar_anthropic_enc *e = s->e;
    bool calls = false, thinks = false;
    if (!s->wrote_any && !e->native) {
        ar_anthropic_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "messages", "messages",
                          "a history must begin with the user");
        need_role(s, true);
        put_plain(e, AR_LIT("(continue)"));
    }
    bool alone = !is_prefill && t->next->role != AR_ASSISTANT && !(s->in_message && !s->in_user);
    if (alone && put_string(s, t, AR_LIT("assistant"))) {
        e->open_tool_loop = false;
        return;
    }
    if (s->in_message && !s->in_user && begins_with_thinking(t)) {
        close_message(s);
    }
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        bool thinking = b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING;
        bool shown = thinking ? ar_anthropic_keeps_thinking(e, b) : ar_anthropic_has_output(e, b);
        if (!shown) {
            if (b->kind >= AR_SERVER_TOOL_USE) {
                lose_item(e, b);
            }
            continue;
        }
        calls = calls || b->kind == AR_TOOL_USE;
        thinks = thinks || thinking;
        if (is_prefill && !e->native && is_last_text(e, b)) {
            struct ar_block cut = *b;
            cut.text = strip_end(b->text);
            if (cut.text.n > 0) {
                need_role(s, false);
                ar_anthropic_put_part(e, &cut);
            }
        } else {
            need_role(s, false);
            ar_anthropic_put_part(e, b);
        }
    }
    if (s->in_message && s->in_user) { /* nothing was left of it: its neighbours stay apart */
        close_message(s);
    }
    e->open_tool_loop = calls && !thinks;
}

static bool ends_in_call(const struct ar_turn *t)
{
    bool call = false;
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        call = call || b->kind == AR_TOOL_USE;
    }
    return call;
}

static void check_prefill(struct ar_anthropic_enc *e, const struct ar_turn *t)
{
    if (e->native || !has_text(e, t)) {
        return;
    }
    if (!AR_CAN(e, PREFILL) || ends_in_call(t)) {
        ar_anthropic_lose(e, AR_FATE_REJECT, AR_DROPPED, "messages", "messages",
                          "the model cannot continue an assistant message at the end");
    } else if (e->native_format || e->json_tool) {
        ar_anthropic_lose(e, AR_FATE_REJECT, AR_DROPPED, "response_format", "output_config",
                          "a schema and an assistant message at the end exclude each other");
    }
}

/* Did user text come after the last assistant turn's results? Then the tool loop is over. */
static bool is_loop_open(const struct ar_turn *first)
{
    const struct ar_turn *last = NULL;
    for (const struct ar_turn *t = first; t; t = t->next) {
        last = t->role == AR_ASSISTANT ? t : last;
    }
    for (const struct ar_turn *t = last ? last->next : NULL; t; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind == AR_TOOL_RESULT) {
                return true;
            }
        }
    }
    return false;
}

void ar_anthropic_put_messages(struct ar_anthropic_enc *e)
{
    struct run s = {.e = e};
    ar_jw_key(&e->w, "messages");
    ar_jw_open(&e->w, '[');
    for (const struct ar_turn *t = e->r->turns; t;) {
        if (t->role != AR_ASSISTANT) {
            t = put_user_run(&s, t);
            continue;
        }
        if (!t->next) {
            check_prefill(e, t);
        }
        put_assistant(&s, t, !t->next);
        t = t->next;
    }
    close_message(&s);
    ar_jw_close(&e->w, ']');
    e->open_tool_loop = e->open_tool_loop && is_loop_open(e->r->turns);
    if (!s.wrote_any || (!s.wrote_user && !e->native)) {
        ar_anthropic_lose(e, AR_FATE_REJECT, AR_DROPPED, "messages", "messages",
                          "at least one user message is required");
    }
}
