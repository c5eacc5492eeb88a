/* Errors of an upstream that speaks Chat: the body in any of the shapes that compatible places use,
 * and from status and words whose fault it is, which decides where a request goes next
 * (ARCHITECTURE 2, PROTOCOLS 9.2). A message that is passed on is cut at 2 KB and has everything
 * that looks like a key masked. Owns nothing. */
#include "dialect/chat/chat.h"

enum { MESSAGE_MAX = 2048, BODY_MAX = 65536 };

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '*';
}

/* Length of a secret that starts at s.p, or 0: what follows a well-known prefix of keys. */
static size_t secret_at(struct ar_str s)
{
    static const struct ar_str PREFIXES[] = {
        AR_LIT_INIT("sk-"),  AR_LIT_INIT("AIza"), AR_LIT_INIT("gsk_"),   AR_LIT_INIT("xai-"),
        AR_LIT_INIT("key="), AR_LIT_INIT("hf_"),  AR_LIT_INIT("nvapi-"), AR_LIT_INIT("Bearer ")};
    for (size_t i = 0; i < sizeof PREFIXES / sizeof *PREFIXES; i++) {
        if (ar_str_has_prefix(s, PREFIXES[i])) {
            size_t n = PREFIXES[i].n;
            while (n < s.n && is_key_char(s.p[n])) {
                n++;
            }
            return n >= PREFIXES[i].n + 8 ? n : 0;
        }
    }
    return 0;
}

static struct ar_str clean(struct ar_arena *a, struct ar_str s)
{
    struct ar_buf out;
    s = ar_str_trim(s);
    size_t end = s.n < MESSAGE_MAX ? s.n : MESSAGE_MAX;
    while (end > 0 && end < s.n && ((unsigned char)s.p[end] & 0xC0) == 0x80) {
        end--; /* not inside a character */
    }
    ar_buf_init(&out, (size_t)MESSAGE_MAX * 2);
    for (size_t i = 0; i < end;) {
        size_t n = i == 0 || !is_key_char(s.p[i - 1]) ? secret_at(ar_str_from(s, i)) : 0;
        if (n) {
            ar_buf_lit(&out, "***");
            i += n;
        } else {
            ar_buf_char(&out, s.p[i++]);
        }
    }
    struct ar_str c = out.n ? ar_arena_copy(a, ar_buf_view(&out)) : (struct ar_str){0};
    ar_buf_done(&out);
    return c;
}

/* String or number as text. */
static struct ar_str word(struct ar_arena *a, struct ar_jval obj, struct ar_str key)
{
    struct ar_jval v = ar_json_get(obj, key);
    return ar_json_is(v, AR_J_NUMBER) ? ar_json_raw(v) : ar_member_text(a, obj, key);
}

static struct ar_str first_text(struct ar_arena *a, struct ar_jval obj)
{
    static const struct ar_str KEYS[] = {AR_LIT_INIT("message"),
                                         AR_LIT_INIT("detail"),
                                         AR_LIT_INIT("error"),
                                         AR_LIT_INIT("msg"),
                                         AR_LIT_INIT("error_description"),
                                         AR_LIT_INIT("title")};
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        struct ar_jval v = ar_json_get(obj, KEYS[i]);
        struct ar_str s = ar_member_text(a, obj, KEYS[i]);
        if (!s.n && ar_json_is(v, AR_J_ARRAY)) { /* FastAPI: detail: [{msg}] */
            s = first_text(a, ar_json_at(v, 0));
        } else if (!s.n && ar_json_is(v, AR_J_OBJECT)) {
            s = ar_member_text_lit(a, v, "message");
        }
        if (s.n) {
            return s;
        }
    }
    return (struct ar_str){0};
}

/* {error:{…}}, {error:"…"}, {message}, {detail}, [{error}], or a body that is no JSON at all.
 * *ret_code: a numeric code, for errors that come with status 200. */
static void read_body(struct ar_str body, struct ar_arena *a, struct ar_fault *f, int64_t *ret_code)
{
    struct ar_jdoc doc;
    *ret_code = 0;
    if (ar_json_parse(body, AR_JSON_DEPTH, a, &doc, NULL) != AR_OK) {
        struct ar_str text = ar_str_trim(body);
        bool is_page = text.n && text.p[0] == '<';
        f->message = is_page ? (struct ar_str){0} : clean(a, ar_str_head(text, 300));
        return;
    }
    struct ar_jval root = ar_json_root(&doc);
    if (ar_json_is(root, AR_J_ARRAY)) {
        root = ar_json_at(root, 0);
    }
    struct ar_jval e = ar_json_get_lit(root, "error");
    if (!ar_json_is(e, AR_J_OBJECT)) {
        e = root;
    }
    struct ar_str text = ar_json_is(root, AR_J_STRING) ? ar_json_esc(root) : first_text(a, e);
    f->message = clean(a, text);
    f->vendor_type = word(a, e, AR_LIT("type"));
    if (!f->vendor_type.n) {
        f->vendor_type = word(a, e, AR_LIT("status")); /* Google */
    }
    f->vendor_code = word(a, e, AR_LIT("code"));
    f->param = ar_member_text_lit(a, e, "param");
    if (ar_json_i64(ar_json_get_lit(e, "code"), ret_code, NULL) != AR_OK) {
        *ret_code = 0;
    }
}

/* Google's RetryInfo: "retryDelay": "12s". */
static int64_t retry_delay_ms(struct ar_str body)
{
    static const struct ar_str KEY = AR_LIT_INIT("\"retryDelay\"");
    struct ar_str s = ar_str_from(body, ar_str_find(body, KEY) + KEY.n);
    size_t i = 0, from;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == ':' || s.p[i] == '"')) {
        i++;
    }
    from = i;
    while (i < s.n && i - from < 9 && ((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.')) {
        i++;
    }
    double seconds;
    if (i == from || i >= s.n || s.p[i] != 's' ||
        ar_str_to_double(ar_str_n(s.p + from, i - from), &seconds) != AR_OK) {
        return -1;
    }
    return (int64_t)(seconds * 1000 + 0.999);
}

/* Words that tell more than the status. Looked for in code, type and message, in this order; status
 * 0: any. */
static const struct hint {
    int status;
    const char *text;
    enum ar_code code;
    enum ar_blame blame;
} HINTS[] = {
    {0, "context_length_exceeded", AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {400, "maximum context length", AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {400, "prompt is too long", AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {400, "exceeds the maximum number of tokens", AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {400, "exceed_context_size", AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {400, "context window", AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {400, "exceeds the available context size", AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {500, "exceeds the available context size", AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {400, "range of input length", AR_CONTEXT_LENGTH, AR_OF_CALLER},
    {0, "insufficient_quota", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {0, "billing_hard_limit_reached", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {0, "billing_not_active", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {0, "insufficient balance", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {0, "credit balance is too low", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {0, "exceeded your current quota", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, "spend limit", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, "api_key_invalid", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, "invalid_api_key", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, "api key not valid", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, "incorrect api key", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, "invalid api key", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, "authentication_error", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, "billing_error", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {400, "content_policy_violation", AR_CONTENT_POLICY, AR_OF_CALLER},
    {400, "content_filter", AR_CONTENT_POLICY, AR_OF_CALLER},
    {400, "model_not_found", AR_MODEL_NOT_FOUND, AR_OF_MODEL},
    {400, "invalid_model", AR_MODEL_NOT_FOUND, AR_OF_MODEL},
    {400, "is not a valid model", AR_MODEL_NOT_FOUND, AR_OF_MODEL},
    {404, "model", AR_MODEL_NOT_FOUND, AR_OF_MODEL},
    {404, "deployment", AR_MODEL_NOT_FOUND, AR_OF_MODEL},
    {0, "slow_down", AR_UPSTREAM_OVERLOADED, AR_OF_PLACE},
    {0, "overloaded_error", AR_UPSTREAM_OVERLOADED, AR_OF_PLACE},
    {0, "server_is_overloaded", AR_UPSTREAM_OVERLOADED, AR_OF_PLACE},
    {200, "rate_limit", AR_UPSTREAM_RATE_LIMITED, AR_OF_KEY},
    {200, "invalid_api_key", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {200, "invalid_request_error", AR_UPSTREAM_REFUSED, AR_OF_CALLER},
};

/* What the status alone says. */
static const struct {
    int from, to;
    enum ar_code code;
    enum ar_blame blame;
} STATUSES[] = {
    {401, 403, AR_UPSTREAM_CREDENTIALS, AR_OF_KEY},
    {404, 404, AR_MODEL_NOT_FOUND, AR_OF_MODEL},
    {408, 408, AR_UPSTREAM_TIMEOUT, AR_OF_PLACE},
    {413, 413, AR_TOO_LARGE, AR_OF_CALLER},
    {429, 429, AR_UPSTREAM_RATE_LIMITED, AR_OF_KEY},
    {400, 499, AR_UPSTREAM_REFUSED, AR_OF_CALLER},
    {503, 503, AR_UPSTREAM_OVERLOADED, AR_OF_PLACE},
    {504, 504, AR_UPSTREAM_TIMEOUT, AR_OF_PLACE},
    {524, 524, AR_UPSTREAM_TIMEOUT, AR_OF_PLACE},
    {529, 529, AR_UPSTREAM_OVERLOADED, AR_OF_PLACE},
};

static void judge_by_status(int status, struct ar_fault *f)
{
    f->code = AR_UPSTREAM_ERROR;
    f->blame = AR_OF_PLACE;
    for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++) {
        if (status >= STATUSES[i].from && status <= STATUSES[i].to) {
            f->code = STATUSES[i].code;
            f->blame = STATUSES[i].blame;
            return;
        }
    }
}

static bool says(const struct ar_fault *f, struct ar_str hint)
{
    return ar_str_find_nocase(f->vendor_code, hint) < f->vendor_code.n ||
           ar_str_find_nocase(f->vendor_type, hint) < f->vendor_type.n ||
           ar_str_find_nocase(f->message, hint) < f->message.n;
}

bool ar_chat_is_error(struct ar_jval v)
{
    return !ar_json_is_nil(v) && !ar_json_is(v, AR_J_FALSE) &&
           !(ar_json_is(v, AR_J_STRING) && ar_json_esc(v).n == 0);
}

/* A copy, because the body may go before the fault does. */
static struct ar_str keep(struct ar_arena *a, struct ar_str s)
{
    return s.n ? ar_arena_copy(a, ar_str_head(s, MESSAGE_MAX)) : (struct ar_str){0};
}

void ar_chat_decode_error(int status, struct ar_str body, struct ar_arena *a, struct ar_fault *ret)
{
    struct ar_fault f = {.upstream_status = status, .retry_after_ms = -1};
    int64_t code;
    read_body(body, a, &f, &code);
    if (status < 400 && code >= 400 && code < 600) {
        status = (int)code; /* the true status, told in the body alone */
    }
    judge_by_status(status, &f);
    int family = status == 422 ? 400 : status < 400 ? 200 : status;
    for (size_t i = 0; i < sizeof HINTS / sizeof *HINTS; i++) {
        if ((HINTS[i].status == 0 || HINTS[i].status == family) &&
            says(&f, ar_str_of(HINTS[i].text))) {
            f.code = HINTS[i].code;
            f.blame = HINTS[i].blame;
            break;
        }
    }
    if (status == 400 &&
        ar_str_has(body, AR_LIT("API_KEY_INVALID"))) { /* Google says it in the details only */
        f.code = AR_UPSTREAM_CREDENTIALS;
        f.blame = AR_OF_KEY;
    }
    f.vendor_type = keep(a, f.vendor_type);
    f.vendor_code = keep(a, f.vendor_code);
    f.param = keep(a, f.param);
    f.raw_body = body.n && body.n <= BODY_MAX ? ar_arena_copy(a, body) : (struct ar_str){0};
    f.retry_after_ms = status == 429 || status == 503 ? retry_delay_ms(body) : -1;
    *ret = f;
}
