/*
 * Fields one behind the other, each behind its length in the machine's own order: memos never leave
 * the process. The largest length says "absent".
 */
#include "recall/pack.h"

enum { LENGTH_BYTES = sizeof(uint32_t) };

size_t ar_pack_size(struct ar_str s)
{
    return LENGTH_BYTES + (s.p ? s.n : 0);
}

struct ar_memo *ar_pack(const struct ar_str *fields, unsigned n)
{
    size_t size = 0;
    for (unsigned i = 0; i < n; i++) {
        if (fields[i].n >= UINT32_MAX) {
            return NULL;
        }
        size += ar_pack_size(fields[i]);
    }
    struct ar_memo *m = ar_memo_new(size);
    char *to = m ? ar_memo_bytes(m) : NULL;
    for (unsigned i = 0; m && i < n; i++) {
        uint32_t length = fields[i].p ? (uint32_t)fields[i].n : UINT32_MAX;
        memcpy(to, &length, LENGTH_BYTES);
        to += LENGTH_BYTES;
        if (fields[i].p && fields[i].n > 0) {
            memcpy(to, fields[i].p, fields[i].n);
            to += fields[i].n;
        }
    }
    return m;
}

bool ar_unpack(struct ar_str *rest, struct ar_str *ret)
{
    uint32_t length;
    if (rest->n < LENGTH_BYTES) {
        return false;
    }
    memcpy(&length, rest->p, LENGTH_BYTES);
    struct ar_str behind = ar_str_from(*rest, LENGTH_BYTES);
    *ret = length == UINT32_MAX ? (struct ar_str){NULL, 0} : ar_str_head(behind, length);
    *rest = ar_str_from(behind, ret->n);
    return true;
}
