/* Tells when the JSON text of a tool call is complete, piece by piece, without parsing it: brackets
 * are counted, strings are skipped. The text comes as the content of a JSON string, so it is
 * escaped once more; escapes may be cut anywhere. A bare number or literal has no end of its own
 * and never counts as complete. Owns nothing. */
#include "dialect/anthropic/stream_write.h"

/* One character of the JSON text itself. */
static void feed(struct ar_anthropic_scan *s, unsigned c)
{
    if (s->in_string) {
        if (s->inner_escape) {
            s->inner_escape = false;
        } else if (c == '\\') {
            s->inner_escape = true;
        } else if (c == '"') {
            s->in_string = false;
            s->complete = s->depth == 0;
        }
        return;
    }
    switch (c) {
    case '"':
        s->in_string = true;
        return;
    case '{':
    case '[':
        s->depth++;
        return;
    case '}':
    case ']':
        s->depth -= s->depth > 0;
        s->complete = s->depth == 0;
        return;
    default:
        return;
    }
}

static unsigned hex_of(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 0x20U) - 'a' + 10U;
}

void ar_anthropic_scan_put(struct ar_anthropic_scan *s, struct ar_str esc)
{
    for (size_t i = 0; i < esc.n; i++) {
        char c = esc.p[i];
        if (s->hex_left > 0) {
            s->hex = (uint16_t)((unsigned)s->hex << 4 | (hex_of(c) & 15U));
            s->hex_left--;
            if (s->hex_left == 0) {
                feed(s, s->hex);
            }
        } else if (s->escaped) {
            s->escaped = false;
            if (c == 'u') {
                s->hex_left = 4;
                s->hex = 0;
            } else {
                feed(s, c == '"' || c == '\\' || c == '/' ? (unsigned)c : ' ');
            }
        } else if (c == '\\') {
            s->escaped = true;
        } else {
            feed(s, (unsigned char)c);
        }
    }
}
