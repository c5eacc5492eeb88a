/* What a translation lost: collected for the warnings header, or the first refusal. One an attempt,
 * owned by it. */
#ifndef AR_IR_LOSS_H
#define AR_IR_LOSS_H

#include "ir/request.h"

/* Codes of x-anyrouter-warnings (PROTOCOLS 0.1). */
enum ar_loss { AR_DROPPED, AR_CLAMPED, AR_EMULATED, AR_APPROXIMATED, AR_INLINED, AR_RENAMED };

struct ar_losses {
    bool strict;     /* WARN refuses too */
    bool refused;    /* field names what */
    size_t n;        /* bytes of text */
    char text[1024]; /* "dropped:top_k, clamped:temperature"; ends in ",truncated" when it was too
                        long */
    char field[96];
    char why[160];
};

/* AR_OK for SILENT, and for WARN when not strict (the warning is added once); AR_LOSSY for REJECT
 * and for WARN when strict, with field and why kept. field: wire name in the client's dialect; why:
 * a sentence for the message. */
enum ar_code ar_lose(struct ar_losses *l, enum ar_fate fate, enum ar_loss what, const char *field,
                     const char *why) AR_MUST;
/* A warning that never refuses: for answers, and for what must not fail. */
void ar_note(struct ar_losses *l, enum ar_loss what, const char *field);
/* Adds the warnings of from that l lacks. */
void ar_losses_merge(struct ar_losses *l, const struct ar_losses *from);

#endif
