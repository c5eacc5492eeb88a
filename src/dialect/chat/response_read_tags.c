/* <think>...</think> at the start of content, as models write it whose server does not part
 * thinking from text. A tag may be cut anywhere between deltas, so what could still become one is
 * held back: at most a tag's length. Works on escaped text; an escaped bracket (\u003c) is undone
 * first. White space around the tags belongs to nobody. */
#include "dialect/chat/stream_read.h"

static const struct ar_str OPEN_TAG = AR_LIT_INIT("<think>"), CLOSE_TAG = AR_LIT_INIT("</think>");

/* Bytes of white space at the start of escaped text. */
static size_t blank(struct ar_str s)
{
    size_t i = 0;
    while (i < s.n) {
        if (s.p[i] == ' ') {
            i++;
        } else if (s.p[i] == '\\' && i + 1 < s.n &&
                   (s.p[i + 1] == 'n' || s.p[i + 1] == 'r' || s.p[i + 1] == 't')) {
            i += 2;
        } else {
            break;
        }
    }
    return i;
}

/* Held bytes and text as one span. */
static struct ar_str join(struct ar_chat_tags *t, struct ar_str text, struct ar_buf *scratch)
{
    bool escaped = ar_str_has(text, AR_LIT("\\u003"));
    ar_buf_clear(scratch);
    if (t->held_n == 0 && !escaped) {
        return text;
    }
    ar_buf_put(scratch, t->held, t->held_n);
    t->held_n = 0;
    if (!escaped) {
        ar_buf_str(scratch, text);
        return ar_buf_view(scratch);
    }
    struct ar_buf plain;
    ar_buf_init(&plain, text.n + 16);
    ar_json_unescape(text, &plain);
    ar_json_escape(ar_buf_view(&plain), scratch);
    ar_buf_done(&plain);
    return ar_buf_view(scratch);
}

static void hold(struct ar_chat_tags *t, struct ar_str s)
{
    if (s.p && s.n) {
        memcpy(t->held, s.p, s.n);
    }
    t->held_n = (unsigned)s.n;
}

/* Longest end of s that may be the start of the closing tag. */
static size_t tail_of_tag(struct ar_str s)
{
    for (size_t n = CLOSE_TAG.n - 1; n > 0; n--) {
        if (n <= s.n && memcmp(s.p + s.n - n, CLOSE_TAG.p, n) == 0) {
            return n;
        }
    }
    return 0;
}

/* Still before the tag? Takes the tag off *s, or turns the cutting off. true: all of *s is held. */
static bool open_tag(struct ar_chat_tags *t, struct ar_str *s, bool is_last)
{
    size_t skip = blank(*s);
    struct ar_str rest = ar_str_from(*s, skip);
    if (ar_str_has_prefix(rest, OPEN_TAG)) {
        t->at = AR_TAGS_INSIDE;
        *s = ar_str_from(rest, OPEN_TAG.n);
        return false;
    }
    bool may_come = rest.n < OPEN_TAG.n && memcmp(rest.p ? rest.p : "", OPEN_TAG.p, rest.n) == 0;
    if (may_come && !is_last && s->n <= sizeof t->held) {
        hold(t, *s);
        return true;
    }
    t->at = AR_TAGS_OFF;
    return false;
}

unsigned ar_chat_tags_cut(struct ar_chat_tags *t, struct ar_str text, bool is_last,
                          struct ar_buf *scratch, struct ar_chat_piece ret[AR_CHAT_PIECES])
{
    unsigned n = 0;
    struct ar_str s = t->at == AR_TAGS_OFF ? text : join(t, text, scratch);
    if (t->at == AR_TAGS_BEFORE && (s.n == 0 || open_tag(t, &s, is_last))) {
        return 0;
    }
    if (t->at == AR_TAGS_INSIDE) {
        size_t end = ar_str_find(s, CLOSE_TAG);
        size_t held = end < s.n || is_last ? 0 : tail_of_tag(s);
        struct ar_str thought = ar_str_head(s, end < s.n ? end : s.n - held);
        if (thought.n) {
            ret[n++] = (struct ar_chat_piece){thought, true};
        }
        if (end == s.n) {
            hold(t, ar_str_from(s, s.n - held));
            return n;
        }
        t->at = AR_TAGS_AFTER;
        s = ar_str_from(s, end + CLOSE_TAG.n);
    }
    if (t->at == AR_TAGS_AFTER) {
        s = ar_str_from(s, blank(s));
        t->at = s.n ? AR_TAGS_OFF : AR_TAGS_AFTER;
    }
    if (s.p && s.n) {
        ret[n++] = (struct ar_chat_piece){s, false};
    }
    return n;
}
