/* Whom a request is encoded for: all that a translation may know besides the IR. Filled by
 * provider/ from its row, the upstream's configuration and the model table; borrowed during the
 * call. Pure data. */
#ifndef AR_IR_TARGET_H
#define AR_IR_TARGET_H

#include "ir/request.h"

/* Bits of quirks.def: how a place deviates from its dialect. */
enum ar_quirk_bit {
#define X(id, doc) AR_QUIRK_BIT_##id,
#include "ir/quirks.def"
#undef X
    AR_QUIRK_COUNT
};
#define AR_QUIRK(id) (UINT64_C(1) << AR_QUIRK_BIT_##id)

/* Bits of caps.def: what a model can and cannot. */
enum ar_cap_bit {
#define X(id, doc) AR_CAP_BIT_##id,
#include "ir/caps.def"
#undef X
    AR_CAP_COUNT
};
#define AR_CAP(id) (UINT64_C(1) << AR_CAP_BIT_##id)

struct ar_target {
    struct ar_str model;   /* dec: the name the upstream knows */
    enum ar_vendor vendor; /* who made the model, as far as thinking material is concerned */
    struct ar_str account; /* 8 hex: tag of the account behind the key; empty: unknown */
    uint64_t quirks, caps;
    int64_t max_out_tokens;     /* of the model; 0 unknown */
    int64_t default_max_tokens; /* where the dialect demands a limit and the client gave none */
    bool stream;                /* what the upstream is asked for */
    bool no_thinking; /* the history goes without its thinking: a signature in it was refused */
};

#endif
