/* What the readers of clients' requests do alike, whatever wire they read: how a body is opened,
 * and values of fields. Pure; any thread. */
#ifndef AR_DIALECT_DECODE_H
#define AR_DIALECT_DECODE_H

#include "dialect/shared.h"

/* A body that is an object, and the empty request that it becomes. Arena. */
struct ar_opened {
    struct ar_jdoc *doc;
    struct ar_jval root;
    struct ar_request *r;
};
/* Takes the tape that in has, or makes one. Errors: AR_INVALID_REQUEST, AR_TOO_LARGE. */
enum ar_code ar_request_open(struct ar_str body, const struct ar_wire_in *in, struct ar_arena *a,
                             struct ar_opened *ret, struct ar_err *err) AR_MUST;
/* Is there a string that begins like an envelope (ir/opaque.h)? */
bool ar_has_envelope(const struct ar_jdoc *doc);
/* AR_INVALID_REQUEST at the path. */
enum ar_code ar_fail_at(struct ar_err *err, const char *at, const char *note);

/* Values of fields: null is noted as such in numbers, and nothing elsewhere. */
enum ar_code ar_take_num(struct ar_jval v, struct ar_num *ret, struct ar_err *err) AR_MUST;
enum ar_code ar_take_int(struct ar_jval v, struct ar_int *ret, struct ar_err *err) AR_MUST;
/* A number that is not below 0, and one that is not below 1. */
enum ar_code ar_take_whole(struct ar_jval v, struct ar_int *ret, struct ar_err *err) AR_MUST;
enum ar_code ar_take_count(struct ar_jval v, struct ar_int *ret, struct ar_err *err) AR_MUST;
enum ar_code ar_take_flag(struct ar_jval v, bool *ret, struct ar_err *err) AR_MUST;
enum ar_code ar_take_text(struct ar_jval v, struct ar_arena *a, struct ar_str *ret,
                          struct ar_err *err) AR_MUST;
/* A string or a list of strings, esc, in ret. */
enum ar_code ar_take_stops(struct ar_jval v, struct ar_arena *a, struct ar_name **ret,
                           struct ar_err *err) AR_MUST;

/* type/subtype with parameters: nothing that could end a data URL's head early. */
bool ar_is_media_type(struct ar_str s);
/* "data:image/png;base64,AAAA" (esc) as mime and data. false: it is no data URL, and m is as it
 * was; *ret_bad: it is one, without base64 or of no media type. */
bool ar_take_data_url(struct ar_str esc, struct ar_arena *a, struct ar_media *m, bool *ret_bad);

/* Of an error's object: decoded copy of a string, or a number's spelling, cut between characters.
 */
enum { AR_ERROR_TEXT_MAX = 2048 };
struct ar_str ar_take_error_text(struct ar_jval v, struct ar_arena *a);

#endif
