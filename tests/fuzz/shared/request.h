/* What the targets of request bodies share: how an input chooses a target and a policy, reading it
 * in one dialect, writing it in every dialect. A broken property aborts. */
#ifndef AR_FUZZ_SHARED_REQUEST_H
#define AR_FUZZ_SHARED_REQUEST_H

#include "dialect/dialect.h"
#include "target.h"

/* An input taken apart. Strings borrow from it. */
struct fuzz_input {
    struct ar_str body;
    struct ar_target target; /* capabilities, quirks, vendor, limits */
    struct ar_str version;   /* for ar_wire_in; absent: not said */
    enum ar_op op;
    bool strict; /* nothing may be lost */
};

/* A body as it was read; fuzz_read_done frees. */
struct fuzz_read {
    struct ar_arena a;
    struct ar_outline outline;
    enum ar_code outlined;
    struct ar_request *request; /* sealed; NULL: refused */
};

/* The first bytes choose; of a bare body ('{' first) its hash chooses. False: too short. */
bool fuzz_input_of(const uint8_t *data, size_t size, struct fuzz_input *ret);

void fuzz_read(struct fuzz_read *x, const struct ar_dialect *d, const struct fuzz_input *in);
void fuzz_read_done(struct fuzz_read *x);

/* In every dialect: refused or written the same twice, and what was written is read again. */
void fuzz_write_all(const struct ar_request *r, const struct fuzz_input *in);

#endif
