/* Escaped text character by character, and the two machines of ir/undo.c that read it so: the
 * decoder of a wrapped freeform input, and the search for stop strings. The machines are private to
 * ir/. One thread at a time. */
#ifndef AR_IR_UNITS_H
#define AR_IR_UNITS_H

#include "ir/request.h"

/* An escape (a pair of surrogates is one) or a UTF-8 sequence, with its decoded bytes. */
struct ar_unit {
    size_t n; /* bytes of escaped text */
    unsigned dec_n;
    char dec[4];
};
/* Cuts the first unit off *rest. false: empty, or the unit is not complete yet; is_last: nothing
 * follows, so what is there is a unit. Broken material decodes to U+FFFD. */
bool ar_unit_next(struct ar_str *rest, bool is_last, struct ar_unit *ret);

/* Decoder of {"input": "..."} whose JSON text comes in escaped pieces, cut anywhere. Owns its
 * buffers. */
struct ar_freeform {
    unsigned stage, at; /* token of the wrapper, bytes of it seen */
    unsigned esc_n;     /* escape of the inner string that is not complete */
    char esc[12];
    struct ar_buf work; /* piece that is not complete */
    struct ar_buf seen; /* decoded, until it is known to be the wrapper */
};
void ar_freeform_init(struct ar_freeform *f, size_t max_bytes);
/* Appends what is now known of the input to out, escaped. */
void ar_freeform_put(struct ar_freeform *f, struct ar_str esc, struct ar_buf *out);
/* The rest; the whole JSON text when it was no wrapper. */
void ar_freeform_end(struct ar_freeform *f, struct ar_buf *out);
void ar_freeform_done(struct ar_freeform *f);

/* Search for stop strings in text that comes in pieces of numbered blocks. Holds back only what may
 * be the beginning of a stop string. Owns its buffers; borrows stops until done. */
struct ar_stopper {
    const struct ar_name *stops; /* dec */
    struct ar_buf esc, dec;      /* what is held, both spellings */
    struct ar_buf units;         /* struct held_unit */
    size_t scanned;              /* bytes of esc that are units */
    size_t free;                 /* units that may go */
    unsigned b;                  /* block of the text that is no unit yet */
    const struct ar_name *hit;   /* NULL: not met */
};
void ar_stopper_init(struct ar_stopper *s, const struct ar_name *stops, size_t max_bytes);
void ar_stopper_put(struct ar_stopper *s, unsigned b, struct ar_str esc);
/* Nothing follows in this block: an incomplete unit is complete. */
void ar_stopper_seal(struct ar_stopper *s);
/* Nothing follows that could match: everything may go. */
void ar_stopper_flush(struct ar_stopper *s);
/* Moves text that may go, of one block, to out: true, its block in *ret_b. After a hit nothing is
 * left but that. */
bool ar_stopper_take(struct ar_stopper *s, unsigned *ret_b, struct ar_buf *out);
/* Is text of block b held? */
bool ar_stopper_holds(const struct ar_stopper *s, unsigned b);
bool ar_stopper_is_full(const struct ar_stopper *s);
void ar_stopper_done(struct ar_stopper *s);

#endif
