/* Turns -> contents (PROTOCOLS 6.1, 6.5). Roles alternate: neighbouring turns of one role are one
 * content. A user content that follows calls begins with their results, one for each, in the order
 * of the calls; what else was said comes after them. Instructions in the middle become user text in
 * reminder tags. Signatures stay on the parts they came with; a signature that came with thinking
 * goes to the part behind it, and the first call of a step that has none gets the documented word
 * for that, because newer models refuse it bare (4.7). Nothing here depends on what comes later in
 * the history, so a longer one has the same beginning, byte for byte. Owns nothing. */
#include "dialect/gemini/request_write.h"

struct run {
    struct ar_gemini_enc *e;
    bool in_content, in_user; /* a content is open, and whose it is */
    bool wrote_user, wrote_any;
    bool called;                     /* the open content has a call */
    const struct ar_opaque *pending; /* of thinking, for the next part */
};

static void close_content(struct run *s)
{
    if (s->in_content) {
        ar_jw_close(&s->e->w, ']');
        ar_jw_close(&s->e->w, '}');
        s->in_content = false;
    }
}

static void need_role(struct run *s, bool user)
{
    struct ar_jw *w = &s->e->w;
    if (s->in_content && s->in_user == user) {
        return;
    }
    close_content(s);
    ar_jw_open(w, '{');
    ar_jw_key_esc(w, "role", user ? AR_LIT("user") : AR_LIT("model"));
    ar_jw_key(w, "parts");
    ar_jw_open(w, '[');
    s->in_content = true;
    s->in_user = user;
    s->called = false;
    s->wrote_any = true;
    s->wrote_user = s->wrote_user || user;
}

static void lose_block(struct run *s, const struct ar_block *b)
{
    if (b->kind == AR_COMPACTION) {
        ar_gemini_lose_as(s->e, AR_FATE_REJECT, AR_DROPPED, "compaction",
                          "a compacted history belongs to the vendor that made it");
    } else if (b->kind >= AR_SERVER_TOOL_USE) {
        ar_gemini_lose(s->e, ar_block_is_needed(b) ? AR_FATE_REJECT : AR_FATE_WARN, AR_DROPPED,
                       AR_F_SERVER_TOOLS, "another vendor's item");
    }
}

/* --- user --- */

static void put_reminder(struct run *s, const struct ar_turn *t)
{
    struct ar_gemini_enc *e = s->e;
    ar_gemini_lose(e, AR_FATE_WARN, AR_APPROXIMATED, AR_F_MESSAGES,
                   "the model takes instructions at the beginning only");
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        if (b->kind == AR_TEXT && b->text.n > 0) {
            struct ar_str text = ar_arena_fmt(e->a, "<system-reminder>\\n%.*s\\n</system-reminder>",
                                              AR_FMT(b->text));
            need_role(s, true);
            ar_gemini_put_text(e, text.p ? text : AR_LIT(""));
        }
    }
}

static bool is_media(const struct ar_block *b)
{
    return b->kind == AR_IMAGE || b->kind == AR_AUDIO || b->kind == AR_VIDEO ||
           (b->kind == AR_DOCUMENT && !b->inner && b->media && b->media->from != AR_FROM_TEXT);
}

static void put_results(struct run *s, const struct ar_turn *t)
{
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        if (b->kind == AR_TOOL_RESULT) {
            need_role(s, true);
            ar_gemini_put_part(s->e, b, NULL);
        }
    }
}

/* Media of results that cannot be inside them. */
static void put_result_media(struct run *s, const struct ar_turn *t)
{
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        if (b->kind != AR_TOOL_RESULT || (s->e->native && b->raw.n > 0)) {
            continue;
        }
        for (const struct ar_block *c = b->inner; c; c = c->next) {
            if (is_media(c)) {
                need_role(s, true);
                ar_gemini_put_media(s->e, c);
            }
        }
    }
}

static void put_said(struct run *s, const struct ar_turn *t)
{
    bool any = false;
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        if (b->kind == AR_TOOL_RESULT) {
            any = true;
        } else if (ar_gemini_has_output(s->e, b)) {
            need_role(s, true);
            ar_gemini_put_part(s->e, b, ar_gemini_own_sig(s->e, b));
            any = true;
        } else {
            lose_block(s, b);
        }
    }
    if (!any && !(s->in_content && s->in_user)) {
        need_role(s, true);
        ar_gemini_put_text(s->e, AR_LIT("(empty)"));
    }
}

/* Everything up to the next assistant turn. Returns that. */
static const struct ar_turn *put_user_run(struct run *s, const struct ar_turn *first)
{
    const struct ar_turn *t, *end = first;
    while (end && end->role != AR_ASSISTANT) {
        end = end->next;
    }
    for (t = first; t != end; t = t->next) {
        if (t->role == AR_USER) {
            put_results(s, t);
        }
    }
    for (t = first; t != end && !AR_CAN(s->e, MIXED_TOOLS); t = t->next) {
        if (t->role == AR_USER) {
            put_result_media(s, t);
        }
    }
    for (t = first; t != end; t = t->next) {
        if (t->role == AR_USER) {
            put_said(s, t);
        } else {
            put_reminder(s, t);
        }
    }
    return end;
}

/* --- model --- */

static void put_call(struct run *s, const struct ar_block *b)
{
    static const struct ar_opaque NONE = {.data = {"", 0}};
    struct ar_gemini_enc *e = s->e;
    const struct ar_opaque *sig = ar_gemini_own_sig(e, b);
    ar_gemini_note_call(e, b);
    sig = sig ? sig : s->pending;
    if (!sig && !s->called && AR_CAN(e, SIGNED_CALLS)) {
        sig = &NONE;
    }
    need_role(s, false);
    ar_gemini_put_part(e, b, sig);
    s->called = true;
    s->pending = NULL;
}

static void put_thinking(struct run *s, const struct ar_block *b)
{
    const struct ar_opaque *sig = ar_gemini_own_sig(s->e, b);
    if (s->e->native && b->kind == AR_THINKING && (b->text.n > 0 || sig)) {
        need_role(s, false);
        ar_gemini_put_part(s->e, b, sig);
    } else if (sig) {
        s->pending = sig;
    }
}

static void put_spoken(struct run *s, const struct ar_block *b)
{
    const struct ar_opaque *sig = ar_gemini_own_sig(s->e, b);
    need_role(s, false);
    if (!sig && s->pending) {
        sig = s->pending;
        s->pending = NULL;
    }
    ar_gemini_put_part(s->e, b, sig);
}

static void put_model(struct run *s, const struct ar_turn *t)
{
    struct ar_gemini_enc *e = s->e;
    if (!s->wrote_any && !e->native) {
        ar_gemini_lose(e, AR_FATE_WARN, AR_APPROXIMATED, AR_F_MESSAGES,
                       "a history must begin with the user");
        need_role(s, true);
        ar_gemini_put_text(e, AR_LIT("(continue)"));
        s->wrote_user = false;
    }
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        if (b->kind == AR_TOOL_USE) {
            put_call(s, b);
        } else if (b->kind == AR_THINKING || b->kind == AR_REDACTED_THINKING) {
            put_thinking(s, b);
        } else if (ar_gemini_has_output(e, b) || ar_gemini_own_sig(e, b)) {
            put_spoken(s, b);
        } else {
            lose_block(s, b);
        }
    }
    if (s->pending) {
        struct ar_block carrier = {.kind = AR_TEXT, .text = AR_LIT("")};
        need_role(s, false);
        ar_gemini_put_part(e, &carrier, s->pending);
        s->pending = NULL;
    }
}

static void check_prefill(struct ar_gemini_enc *e, const struct ar_turn *t)
{
    bool text = false;
    for (const struct ar_block *b = t->blocks; b; b = b->next) {
        text = text || (b->kind == AR_TEXT && b->text.n > 0);
    }
    if (text && !e->native) {
        ar_gemini_lose(e, AR_FATE_WARN, AR_APPROXIMATED, AR_F_MESSAGES,
                       "the model may begin anew instead of continuing its last message");
    }
}

void ar_gemini_put_messages(struct ar_gemini_enc *e)
{
    struct run s = {.e = e};
    ar_jw_key(&e->w, "contents");
    ar_jw_open(&e->w, '[');
    for (const struct ar_turn *t = e->r->turns; t;) {
        if (t->role != AR_ASSISTANT) {
            t = put_user_run(&s, t);
            continue;
        }
        if (!t->next) {
            check_prefill(e, t);
        }
        put_model(&s, t);
        t = t->next;
    }
    close_content(&s);
    ar_jw_close(&e->w, ']');
    if (!s.wrote_any || (!s.wrote_user && !e->native)) {
        ar_gemini_lose(e, AR_FATE_REJECT, AR_DROPPED, AR_F_MESSAGES,
                       "at least one user message is required");
    }
}
