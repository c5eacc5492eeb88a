/* What a client calls the field that a translation says something about. Pure; any thread. */
#ifndef AR_DIALECT_FIELD_H
#define AR_DIALECT_FIELD_H

#include <stdint.h>

/* The name that a client of the dialect (id) knows for what Chat calls so; chat itself where it has
 * none of its own. Static text. */
const char *ar_dialect_field(uint8_t dialect, const char *chat);

#endif
