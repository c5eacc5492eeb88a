/* The range column of options.def: least..most with units, or a word; alternatives with | between.
 * Pure; any thread. */
#ifndef AR_CONF_RANGE_H
#define AR_CONF_RANGE_H

#include "conf/value.h"

/* Is the slot's value in the range? "" holds everything. LIST and BOOL have none. Errors:
 * AR_INVALID_REQUEST with "must be ..., not ...". */
enum ar_code ar_range_check(struct ar_option_slot slot, struct ar_str range, struct ar_arena *a,
                            struct ar_err *err) AR_MUST;
/* For people: "auto or 1 to 256". Arena. */
struct ar_str ar_range_text(struct ar_str range, struct ar_arena *a);

#endif
