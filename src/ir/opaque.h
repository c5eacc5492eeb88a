/* The envelope that carries one vendor's thinking material through another's dialect
 * (PROTOCOLS 5.6): ar1.<vendor>.<form>.<family>.<acct8>.<base64url(data)>. Pure; any thread. */
#ifndef AR_IR_OPAQUE_H
#define AR_IR_OPAQUE_H

#include "ir/request.h"

/* Appends the envelope of o; the result is plain ASCII, so it is its own escaped form. Empty data
 * is legal: it marks thinking that nobody can verify but that a client must see signed. */
void ar_opaque_wrap(const struct ar_opaque *o, struct ar_buf *out);
/* true: text is an envelope and *ret holds it (data decoded into the arena). false: it is none; a
 * broken envelope is one with vendor OTHER and empty data. */
bool ar_opaque_unwrap(struct ar_str text, struct ar_arena *a, struct ar_opaque *ret);
/* May material o be sent to vendor and account? acct empty: unknown, only unbound material fits. */
bool ar_opaque_fits(const struct ar_opaque *o, enum ar_vendor vendor, struct ar_str account,
                    bool account_bound);

#endif
