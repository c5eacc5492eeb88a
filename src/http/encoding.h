/* Content codings (RFC 9110 8.4.1, RFC 8878): undoing gzip, deflate and zstd piece by piece. No
 * I/O. One thread at a time. */
#ifndef AR_HTTP_ENCODING_H
#define AR_HTTP_ENCODING_H

#include "base/str.h"
#include "base/wake.h"

enum ar_encoding { AR_ENC_IDENTITY, AR_ENC_GZIP, AR_ENC_DEFLATE, AR_ENC_ZSTD, AR_ENC_UNKNOWN };
/* Of a Content-Encoding value; absent or empty: identity. Several codings at once are
 * AR_ENC_UNKNOWN. */
enum ar_encoding ar_encoding_of(struct ar_str value);

struct ar_decoder;
/* e is one of gzip, deflate (with or without the zlib wrapper), zstd (window up to 8 MiB). NULL:
 * out of memory. */
struct ar_decoder *ar_decoder_new(enum ar_encoding e);
void ar_decoder_free(struct ar_decoder *d); /* NULL-safe */
/* Decodes from in to out. READY: *ret_n > 0 bytes were made. PENDING: all of in was used and
 * nothing was made. FAILED: the bytes are no such coding. *ret_used in every case. Members or
 * frames may follow each other. */
enum ar_poll ar_decoder_run(struct ar_decoder *d, struct ar_str in, size_t *ret_used,
                            struct ar_str out, size_t *ret_n);
/* May the input end here? */
bool ar_decoder_is_complete(const struct ar_decoder *d);

#endif
