/*
 * The table of failures (err.def) as functions, and the two ways to report one: ar_fail for what
 * the outside world did, AR_ASSERT for what we did. Owns nothing; never logs.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct row {
    const char *name, *public_code, *doc;
    int status;
    enum ar_retry retry;
};

static const struct row ROWS[AR_CODE_COUNT] = {
    [AR_OK] = {"ok", "ok", "No failure.", 200, AR_RETRY_NO},
#define X(id, code_status, code_public, code_retry, code_doc)                                      \
    [AR_##id] = {#id, code_public, code_doc, code_status, AR_RETRY_##code_retry},
#include "base/err.def"
#undef X
};

int ar_code_status(enum ar_code code)
{
    return ROWS[code].status;
}

const char *ar_code_public(enum ar_code code)
{
    return ROWS[code].public_code;
}

const char *ar_code_name(enum ar_code code)
{
    return ROWS[code].name;
}

const char *ar_code_doc(enum ar_code code)
{
    return ROWS[code].doc;
}

enum ar_retry ar_code_retry(enum ar_code code)
{
    return ROWS[code].retry;
}

enum ar_code ar_fail(struct ar_err *err, enum ar_code code, const char *format, ...)
{
    if (err) {
        va_list args;
        err->code = code;
        va_start(args, format);
        (void)vsnprintf(err->note, sizeof err->note, format, args);
        va_end(args);
    }
    return code;
}

_Noreturn void ar_assert_failed(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "anyrouter: invariant broken: %s (%s:%d)\n", what, file, line);
    abort();
}
