/* Memos as a row of fields: a length and its bytes each, absent told from empty. Private to
 * recall/. Pure; any thread. */
#ifndef AR_RECALL_PACK_H
#define AR_RECALL_PACK_H

#include "recall/table.h"

/* Bytes that a field takes. */
size_t ar_pack_size(struct ar_str s);
/* A memo of the n fields; NULL: no memory, or a field of 4 GiB. */
struct ar_memo *ar_pack(const struct ar_str *fields, unsigned n);
/* The next field of *rest; false: none is left (a memo is never half a field). */
bool ar_unpack(struct ar_str *rest, struct ar_str *ret);

#endif
