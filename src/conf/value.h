/* Scalars of the configuration: text to typed value and back. Pure; any thread. */
#ifndef AR_CONF_VALUE_H
#define AR_CONF_VALUE_H

#include "conf/config.h"

/* The field of an option in its struct (struct ar_config or struct ar_conf_upstream). */
struct ar_option_slot {
    const char *type; /* STR BOOL INT MS BYTES LIST */
    void *field;
};
/* Parses text into the slot. LIST splits at commas. Errors: AR_INVALID_REQUEST with what is wanted.
 */
enum ar_code ar_value_set(struct ar_option_slot slot, struct ar_str text, struct ar_arena *a,
                          struct ar_err *err) AR_MUST;
/* "true"/"false"/"on"/"off"/"yes"/"no"/"1"/"0"; "10s" "500ms" "2m" "1h" (bare: bare_unit_ms each);
 * "64MiB" "10kB". */
enum ar_code ar_value_bool(struct ar_str text, int64_t *ret) AR_MUST;
enum ar_code ar_value_ms(struct ar_str text, int64_t bare_unit_ms, int64_t *ret) AR_MUST;
enum ar_code ar_value_bytes(struct ar_str text, int64_t *ret) AR_MUST;
/* The slot's value as text in the arena, as a user would write it. */
struct ar_str ar_value_text(struct ar_option_slot slot, struct ar_arena *a);
/* Edits between two words, for "did you mean". */
unsigned ar_word_distance(struct ar_str a, struct ar_str b);

#endif
