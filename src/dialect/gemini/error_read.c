/* Errors of an upstream that speaks this dialect (PROTOCOLS 4.9, 9.2): from status, Google's status
 * word, reasons in the details and a few phrases, whose fault it is, which decides where a request
 * goes next. A bad key comes as 400 and is the key's fault; how long to wait is in RetryInfo. Owns
 * nothing. */
#include "dialect/gemini/gemini.h"
#include "dialect/decode.h"

enum { BODY_MAX = 65536 };

/* What the status alone says; the first row that covers it. */
static const struct {
    int from, to;
    enum ar_code code;
    enum ar_blame blame;
} STATUSES[] = {
    {400, 400, AR_UPSTREAM_REFUSED, AR_OF_CALLER},
    {401, 403, AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {404, 404, AR_MODEL_NOT_FOUND, AR_OF_MODEL},
    {408, 408, AR_UPSTREAM_TIMEOUT, AR_OF_PLACE},
    {409, 409, AR_CONFLICT, AR_OF_CALLER},
    {413, 413, AR_TOO_LARGE, AR_OF_CALLER},
    {429, 429, AR_UPSTREAM_RATE_LIMITED, AR_OF_KEY},
    {499, 499, AR_UPSTREAM_ERROR, AR_OF_PLACE},
    {400, 499, AR_UPSTREAM_REFUSED, AR_OF_CALLER},
    {503, 503, AR_UPSTREAM_OVERLOADED, AR_OF_PLACE},
    {504, 504, AR_UPSTREAM_TIMEOUT, AR_OF_PLACE},
    {529, 529, AR_UPSTREAM_OVERLOADED, AR_OF_PLACE},
};

/* Status words, for errors that come with status 200 and without a code. */
static const struct {
    struct ar_str word;
    int status;
} WORDS[] = {
    {AR_LIT_INIT("INVALID_ARGUMENT"), 400},
    {AR_LIT_INIT("FAILED_PRECONDITION"), 400},
    {AR_LIT_INIT("OUT_OF_RANGE"), 400},
    {AR_LIT_INIT("UNAUTHENTICATED"), 401},
    {AR_LIT_INIT("PERMISSION_DENIED"), 403},
    {AR_LIT_INIT("NOT_FOUND"), 404},
    {AR_LIT_INIT("ABORTED"), 409},
    {AR_LIT_INIT("ALREADY_EXISTS"), 409},
    {AR_LIT_INIT("RESOURCE_EXHAUSTED"), 429},
    {AR_LIT_INIT("CANCELLED"), 499},
    {AR_LIT_INIT("UNIMPLEMENTED"), 501},
    {AR_LIT_INIT("UNAVAILABLE"), 503},
    {AR_LIT_INIT("DEADLINE_EXCEEDED"), 504},
};

/* Phrases that tell more than the status; status 0: any. Looked for in message and reason. */
static const struct {
    int status;
    struct ar_str text;
    enum ar_code code;
    enum ar_blame blame;
} HINTS[] = {
    {0, AR_LIT_INIT("API_KEY_INVALID"), AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {0, AR_LIT_INIT("API_KEY_EXPIRED"), AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, AR_LIT_INIT("api key not valid"), AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, AR_LIT_INIT("api key expired"), AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, AR_LIT_INIT("api key not found"), AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, AR_LIT_INIT("enable billing"), AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {429, AR_LIT_INIT("credits are depleted"), AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {429, AR_LIT_INIT("spending cap"), AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, AR_LIT_INIT("location is not supported"), AR_UPSTREAM_ERROR, AR_OF_PLACE},
    {400, AR_LIT_INIT("exceeds the maximum number of tokens"), AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {400, AR_LIT_INIT("maximum context length"), AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {400, AR_LIT_INIT("context_length_exceeded"), AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {400, AR_LIT_INIT("prompt is too long"), AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {400, AR_LIT_INIT("unexpected model name format"), AR_MODEL_NOT_FOUND, AR_OF_MODEL},
    {400, AR_LIT_INIT("model is not supported"), AR_MODEL_NOT_FOUND, AR_OF_MODEL},
};

/* "12s" or "0.5s" -> milliseconds; -1: no such thing. */
static int64_t delay_ms(struct ar_str s)
{
    double seconds = 0;
    if (s.n < 2 || s.n > 16 || s.p[s.n - 1] != 's' ||
        ar_str_to_double(ar_str_head(s, s.n - 1), &seconds) != AR_OK || seconds < 0 ||
        seconds > 1e9) {
        return -1;
    }
    return (int64_t)(seconds * 1000 + 0.999);
}

/* The details that matter: a reason, and how long to wait. */
static struct ar_str read_details(struct ar_jval list, struct ar_arena *a, struct ar_fault *f)
{
    struct ar_str reason = {NULL, 0};
    for (struct ar_jiter it = ar_json_iter(list); ar_json_next(&it);) {
        struct ar_jval r = ar_json_get_lit(it.val, "reason"),
                       delay = ar_json_get_lit(it.val, "retryDelay");
        if (ar_json_is(r, AR_J_STRING)) {
            reason = ar_take_error_text(r, a);
        }
        if (ar_json_is(delay, AR_J_STRING)) {
            f->retry_after_ms = delay_ms(ar_json_esc(delay));
        }
        struct ar_jval broken = ar_json_at(ar_json_get_lit(it.val, "fieldViolations"), 0);
        if (ar_json_is(ar_json_get_lit(broken, "field"), AR_J_STRING)) {
            f->param = ar_take_error_text(ar_json_get_lit(broken, "field"), a);
        }
    }
    return reason;
}

static bool says(const struct ar_fault *f, struct ar_str reason, struct ar_str text)
{
    return ar_str_find_nocase(f->message, text) < f->message.n ||
           ar_str_find_nocase(reason, text) < reason.n;
}

static void judge(struct ar_fault *f, int status, struct ar_str reason)
{
    f->code = AR_UPSTREAM_ERROR;
    f->blame = AR_OF_PLACE;
    for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++) {
        if (status >= STATUSES[i].from && status <= STATUSES[i].to) {
            f->code = STATUSES[i].code;
            f->blame = STATUSES[i].blame;
            break;
        }
    }
    for (size_t i = 0; i < sizeof HINTS / sizeof *HINTS; i++) {
        if ((HINTS[i].status == 0 || HINTS[i].status == status) && says(f, reason, HINTS[i].text)) {
            f->code = HINTS[i].code;
            f->blame = HINTS[i].blame;
            break;
        }
    }
}

/* The status that an error with status 200 tells in its body; 500 when it tells none. */
static int told_status(const struct ar_fault *f)
{
    int64_t code = 0;
    if (ar_str_to_i64(f->vendor_code, 400, 599, &code) == AR_OK) {
        return (int)code;
    }
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (ar_str_is(f->vendor_type, WORDS[i].word)) {
            return WORDS[i].status;
        }
    }
    return 500;
}

void ar_gemini_decode_error(int status, struct ar_str body, struct ar_arena *a,
                            struct ar_fault *ret)
{
    struct ar_jdoc doc;
    struct ar_jval root = {0};
    struct ar_fault f = {.upstream_status = status, .retry_after_ms = -1};
    if (body.n <= 1U << 20 && ar_json_parse(body, AR_JSON_DEPTH, a, &doc, NULL) == AR_OK) {
        root = ar_json_root(&doc);
    }
    if (ar_json_is(root, AR_J_ARRAY)) { /* of a stream that was asked for as an array */
        root = ar_json_at(root, 0);
    }
    struct ar_jval e = ar_json_get_lit(root, "error");
    struct ar_jval of = ar_json_is(e, AR_J_OBJECT) ? e : root;
    struct ar_str plain = ar_str_trim(ar_str_head(body, AR_ERROR_TEXT_MAX));
    if (root.doc) {
        f.message =
            ar_take_error_text(ar_json_is(e, AR_J_STRING) ? e : ar_json_get_lit(of, "message"), a);
    } else if (plain.n > 0 && plain.p[0] != '<') {       /* neither JSON nor HTML: a sentence */
        struct ar_str esc = ar_json_escape_in(plain, a); /* mends broken UTF-8 */
        f.message = esc.p ? ar_json_unescape_in(esc, a) : esc;
    }
    f.vendor_type = ar_take_error_text(ar_json_get_lit(of, "status"), a);
    f.vendor_code = ar_take_error_text(ar_json_get_lit(of, "code"), a);
    struct ar_str reason = read_details(ar_json_get_lit(of, "details"), a, &f);
    judge(&f, status < 400 ? told_status(&f) : status, reason);
    f.raw_body = body.n > 0 && body.n <= BODY_MAX ? ar_arena_copy(a, body) : (struct ar_str){0};
    *ret = f;
}
