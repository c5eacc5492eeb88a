/* One content block on its way to a Messages client: its state, and the frames that make it. The
 * writer (stream_write.c) decides which block may speak. Pure; one thread at a time. */
#ifndef AR_DIALECT_ANTHROPIC_STREAM_WRITE_H
#define AR_DIALECT_ANTHROPIC_STREAM_WRITE_H

#include "dialect/anthropic/answer_write.h"

/* Where the JSON text of a call stands; zeroed to begin. stream_write_scan.c. */
struct ar_anthropic_scan {
    unsigned depth;
    uint8_t hex_left;
    bool escaped, in_string, inner_escape, complete;
    uint16_t hex;
};
/* The next piece, escaped as in a JSON string. */
void ar_anthropic_scan_put(struct ar_anthropic_scan *s, struct ar_str esc);

struct ar_anthropic_out {
    struct ar_anthropic_out *next;
    unsigned b, index; /* the event's number, and the wire's */
    enum ar_block_kind kind;
    bool ended, is_signed, has_json, freeform;
    struct ar_anthropic_scan json;
    const struct ar_opaque *sig; /* arena; shown at the end */
    struct ar_buf waiting;       /* owns; frames, while another block is open */
    unsigned waiting_frames;
    char prefix[128]; /* of the usual delta: {"type":"content_block_delta",...,"text":" */
    uint8_t prefix_n;
};

/* Kind on the wire, or false: this dialect cannot show the block. */
bool ar_anthropic_out_kind(const struct ar_block *b, enum ar_block_kind *ret);
/* Sets what depends on kind and index. */
void ar_anthropic_out_init(struct ar_anthropic_out *o);
/* content_block_start. id (dec): for a call that came without one. */
void ar_anthropic_out_start(const struct ar_anthropic_out *o, const struct ar_block *b,
                            struct ar_str id, struct ar_framer *f);
void ar_anthropic_out_sign(struct ar_anthropic_out *o, const struct ar_opaque *sig,
                           struct ar_framer *f);
/* What the block still owes the client (a signature, an input), and content_block_stop. */
void ar_anthropic_out_end(struct ar_anthropic_out *o, struct ar_framer *f);

/* The block's usual delta with this text (esc). */
static inline void ar_anthropic_out_text(const struct ar_anthropic_out *o, struct ar_str text,
                                         struct ar_framer *f)
{
    f->how->begin(f, AR_LIT("content_block_delta"));
    ar_buf_put(f->out, o->prefix, o->prefix_n);
    ar_buf_str(f->out, text);
    ar_buf_lit(f->out, "\"}}");
    f->how->end(f);
}

/* Begins {"type":"<name>" ...; the caller adds members and closes. */
struct ar_jw ar_anthropic_open_frame(struct ar_framer *f, struct ar_str name);
void ar_anthropic_close_frame(struct ar_framer *f, struct ar_jw *w);
/* The same for a content_block_delta, inside its delta object. */
struct ar_jw ar_anthropic_open_delta(struct ar_framer *f, unsigned index, struct ar_str type);
void ar_anthropic_close_delta(struct ar_framer *f, struct ar_jw *w);

#endif
