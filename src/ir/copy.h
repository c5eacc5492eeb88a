/* Deep copies of parts of an answer, for what must outlive the event that brought it. Arena; NULL
 * or p NULL over its cap. */
#ifndef AR_IR_COPY_H
#define AR_IR_COPY_H

#include "ir/event.h"

/* Absent stays absent. */
struct ar_str ar_copy_str(struct ar_str s, struct ar_arena *a);
struct ar_opaque *ar_copy_opaque(const struct ar_opaque *o, struct ar_arena *a);
/* One block with all that it points to but its next. */
struct ar_block *ar_copy_block(const struct ar_block *b, struct ar_arena *a);
struct ar_stop ar_copy_stop(const struct ar_stop *s, struct ar_arena *a);
/* All candidates. */
struct ar_response *ar_copy_response(const struct ar_response *r, struct ar_arena *a);

#endif
