/* Codes of failure, and the detail that goes with one. Functions that can fail return enum ar_code
 * and are AR_MUST. */
#ifndef AR_BASE_ERR_H
#define AR_BASE_ERR_H

#include <stddef.h>

#define AR_MUST __attribute__((warn_unused_result))

/* Rows of err.def. */
enum ar_code {
    AR_OK,
#define X(id, status, public_code, retry, doc) AR_##id,
#include "base/err.def"
#undef X
    AR_CODE_COUNT
};

/* What a failure says about trying again. */
enum ar_retry { AR_RETRY_NO, AR_RETRY_KEY, AR_RETRY_PLACE, AR_RETRY_MODEL, AR_RETRY_LATER };

/* Detail of a failure, filled once where the fault is found. note never holds a key, a prompt or an
 * upstream's body: it may be shown. at: JSON path, config key or header name; empty if none. */
struct ar_err {
    enum ar_code code;
    int sys; /* errno, libuv or OpenSSL code; 0: none */
    char at[96];
    char note[160];
};

/* Row of a code. All return static text. */
int ar_code_status(enum ar_code code);
const char *ar_code_public(enum ar_code code);
const char *ar_code_name(enum ar_code code);
const char *ar_code_doc(enum ar_code code);
enum ar_retry ar_code_retry(enum ar_code code);

/* Fills err (NULL: nothing to fill) and returns code, for `return ar_fail(...)`. */
enum ar_code ar_fail(struct ar_err *err, enum ar_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Invariants of our own, on in release builds: prints and aborts. Never for a peer's data. */
#define AR_ASSERT(x) ((x) ? (void)0 : ar_assert_failed(#x, __FILE__, __LINE__))
_Noreturn void ar_assert_failed(const char *what, const char *file, int line);

#endif
