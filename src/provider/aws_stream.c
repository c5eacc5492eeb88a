/*
 * The event stream of AWS. A message is: total length, length of its headers, checksum of these
 * eight bytes, headers, payload, checksum of all before. Lengths are checked before anything is
 * gathered, checksums before anything is read. A chunk's payload is {"bytes": base64 of one event};
 * its event's type names the frame. Exceptions and errors of the service become the error event of
 * the dialect, so that the reader behind needs to know nothing. Message kinds that are not known
 * are passed over. Owns its buffers; keeps no more than one message and one frame.
 */
#include "provider/aws_stream.h"

#include "json/write.h"
#include "vault/sign.h"

#include <zlib.h>

enum { PRELUDE = 12, TRAILER = 4, HEADERS_MAX = 128 << 10 };

uint32_t ar_crc32(uint32_t seed, struct ar_str bytes)
{
    return (uint32_t)crc32_z(seed, (const unsigned char *)bytes.p, bytes.n);
}

static uint32_t read_u32(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void ar_aws_stream_init(struct ar_aws_stream *s, size_t message_max)
{
    *s = (struct ar_aws_stream){.message_max = message_max};
    ar_buf_init(&s->carry, message_max);
    ar_buf_init(&s->json, message_max);
    ar_buf_init(&s->text, message_max + 256);
}

void ar_aws_stream_done(struct ar_aws_stream *s)
{
    ar_buf_done(&s->carry);
    ar_buf_done(&s->json);
    ar_buf_done(&s->text);
    ar_jtape_done(&s->tape);
}

bool ar_aws_stream_is_between(const struct ar_aws_stream *s)
{
    return s->carry.n == 0;
}

static enum ar_poll fail(struct ar_aws_stream *s, const char *why)
{
    s->why = why;
    return AR_FAILED;
}

/* Headers that say what a message is. */
struct kind {
    struct ar_str message, event, exception, code, text;
};

/* Bytes of a header's value by its type, type byte not counted; -1: no such type. 6: bytes, 7:
 * text, both with a length of two bytes before them. */
static int size_of(unsigned char type, struct ar_str rest)
{
    static const int SIZES[] = {0, 0, 1, 2, 4, 8, -1, -1, 8, 16};
    if (type == 6 || type == 7) {
        return rest.n < 2 ? -1 : 2 + (((unsigned char)rest.p[0] << 8) | (unsigned char)rest.p[1]);
    }
    return type < sizeof SIZES / sizeof *SIZES ? SIZES[type] : -1;
}

static bool read_headers(struct ar_str h, struct kind *ret)
{
    const struct {
        struct ar_str name;
        struct ar_str *to;
    } WANTED[] = {{AR_LIT(":message-type"), &ret->message},
                  {AR_LIT(":event-type"), &ret->event},
                  {AR_LIT(":exception-type"), &ret->exception},
                  {AR_LIT(":error-code"), &ret->code},
                  {AR_LIT(":error-message"), &ret->text}};
    *ret = (struct kind){.event = {NULL, 0}};
    while (h.n > 0) {
        size_t name_n = (unsigned char)h.p[0];
        if (h.n < name_n + 2) {
            return false;
        }
        struct ar_str name = ar_str_n(h.p + 1, name_n);
        unsigned char type = (unsigned char)h.p[1 + name_n];
        h = ar_str_from(h, name_n + 2);
        int size = size_of(type, h);
        if (size < 0 || h.n < (size_t)size) {
            return false;
        }
        for (unsigned i = 0; type == 7 && i < sizeof WANTED / sizeof *WANTED; i++) {
            if (ar_str_is(name, WANTED[i].name)) {
                *WANTED[i].to = ar_str_n(h.p + 2, (size_t)size - 2);
            }
        }
        h = ar_str_from(h, (size_t)size);
    }
    return true;
}

/* The frame of an event: its text is written so that a client could have it as it is. */
static enum ar_poll give(struct ar_aws_stream *s, struct ar_str name, struct ar_frame *ret)
{
    ar_buf_clear(&s->text);
    ar_buf_lit(&s->text, "event: ");
    ar_buf_str(&s->text, name);
    ar_buf_lit(&s->text, "\ndata: ");
    size_t at = s->text.n;
    for (size_t i = 0; i < s->json.n; i++) { /* a line end outside of strings is a blank of JSON */
        if (s->json.p[i] == '\n' || s->json.p[i] == '\r') {
            s->json.p[i] = ' ';
        }
    }
    ar_buf_str(&s->text, ar_buf_view(&s->json));
    ar_buf_lit(&s->text, "\n\n");
    if (ar_buf_finish(&s->text) != AR_OK) {
        return fail(s, "an event of the upstream is too large");
    }
    ret->name = ar_str_n(s->text.p + 7, name.n);
    ret->data = ar_str_n(s->text.p + at, s->json.n);
    ret->raw = ar_buf_view(&s->text);
    return AR_READY;
}

static enum ar_poll give_chunk(struct ar_aws_stream *s, struct ar_str payload, struct ar_frame *ret)
{
    static const char BAD[] = "a chunk of the upstream's stream holds no event";
    struct ar_jdoc doc;
    ar_buf_clear(&s->json);
    if (ar_jtape_parse(&s->tape, payload, &doc, NULL) != AR_OK) {
        return fail(s, BAD);
    }
    struct ar_str bytes = ar_json_esc(ar_json_get_lit(ar_json_root(&doc), "bytes"));
    if (!bytes.p || !ar_base64_decode(bytes, &s->json) ||
        ar_jtape_parse(&s->tape, ar_buf_view(&s->json), &doc, NULL) != AR_OK) {
        return fail(s, BAD);
    }
    struct ar_str type = ar_json_esc(ar_json_get_lit(ar_json_root(&doc), "type"));
    if (!type.p || type.n > 64 || ar_str_find_char(type, '\\') < type.n) {
        return fail(s, BAD);
    }
    return give(s, type, ret);
}

/* What the service's exceptions are in the dialect. */
static const struct {
    struct ar_str exception, type;
} TYPES[] = {
    {AR_LIT_INIT("throttlingException"), AR_LIT_INIT("rate_limit_error")},
    {AR_LIT_INIT("serviceQuotaExceededException"), AR_LIT_INIT("rate_limit_error")},
    {AR_LIT_INIT("serviceUnavailableException"), AR_LIT_INIT("overloaded_error")},
    {AR_LIT_INIT("modelNotReadyException"), AR_LIT_INIT("overloaded_error")},
    {AR_LIT_INIT("modelTimeoutException"), AR_LIT_INIT("timeout_error")},
    {AR_LIT_INIT("validationException"), AR_LIT_INIT("invalid_request_error")},
    {AR_LIT_INIT("accessDeniedException"), AR_LIT_INIT("permission_error")},
    {AR_LIT_INIT("resourceNotFoundException"), AR_LIT_INIT("not_found_error")},
    {AR_LIT_INIT("internalServerException"), AR_LIT_INIT("api_error")},
    {AR_LIT_INIT("modelStreamErrorException"), AR_LIT_INIT("api_error")},
};

static enum ar_poll give_exception(struct ar_aws_stream *s, const struct kind *k,
                                   struct ar_str payload, struct ar_frame *ret)
{
    struct ar_str what = k->exception.n > 0 ? k->exception : k->code, type = AR_LIT("api_error");
    struct ar_jval said = {NULL, 0};
    struct ar_jdoc doc;
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        if (ar_str_is_nocase(TYPES[i].exception, what)) {
            type = TYPES[i].type;
        }
    }
    if (ar_jtape_parse(&s->tape, payload, &doc, NULL) == AR_OK) {
        said = ar_json_get_lit(ar_json_root(&doc), "message");
        said = said.doc ? said : ar_json_get_lit(ar_json_root(&doc), "Message");
    }
    ar_buf_clear(&s->json);
    struct ar_jw w = ar_jw_on(&s->json);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "type", "error");
    ar_jw_key(&w, "error");
    ar_jw_open(&w, '{');
    ar_jw_key_text(&w, "type", type);
    ar_jw_key(&w, "message");
    if (ar_json_is(said, AR_J_STRING)) {
        ar_jw_raw(&w, ar_json_raw(said));
    } else {
        ar_jw_text(&w, k->text.n > 0 ? k->text : what);
    }
    ar_jw_close(&w, '}');
    ar_jw_close(&w, '}');
    return give(s, AR_LIT("error"), ret);
}

/* A whole message, checked. PENDING: nothing to show. */
static enum ar_poll read_message(struct ar_aws_stream *s, struct ar_str m, struct ar_frame *ret)
{
    size_t headers_n = read_u32(m.p + 4);
    struct kind k;
    if (ar_crc32(0, ar_str_head(m, m.n - TRAILER)) != read_u32(m.p + m.n - TRAILER)) {
        return fail(s, "a message of the upstream's stream is damaged");
    }
    if (!read_headers(ar_str_n(m.p + PRELUDE, headers_n), &k)) {
        return fail(s, "a message of the upstream's stream has broken headers");
    }
    struct ar_str payload =
        ar_str_n(m.p + PRELUDE + headers_n, m.n - PRELUDE - headers_n - TRAILER);
    if (ar_str_is_lit(k.message, "exception") || ar_str_is_lit(k.message, "error")) {
        return give_exception(s, &k, payload, ret);
    }
    return ar_str_is_lit(k.event, "chunk") ? give_chunk(s, payload, ret) : AR_PENDING;
}

/* Length of the message whose prelude is at p, or 0: none can be so. */
static size_t length_of(const struct ar_aws_stream *s, const char *p)
{
    size_t total = read_u32(p), headers = read_u32(p + 4);
    bool ok = ar_crc32(0, ar_str_n(p, 8)) == read_u32(p + 8) && total >= PRELUDE + TRAILER &&
              total <= s->message_max && headers <= HEADERS_MAX &&
              headers <= total - PRELUDE - TRAILER;
    return ok ? total : 0;
}

/* Moves up to want - carry.n bytes of *in into carry. true: carry has want. */
static bool fill(struct ar_aws_stream *s, size_t want, struct ar_str *in)
{
    size_t n = s->carry.n < want ? want - s->carry.n : 0;
    struct ar_str piece = ar_str_head(*in, n);
    ar_buf_str(&s->carry, piece);
    *in = ar_str_from(*in, piece.n);
    return s->carry.n >= want;
}

enum ar_poll ar_aws_stream_next(struct ar_aws_stream *s, struct ar_str in, size_t *ret_used,
                                struct ar_frame *ret)
{
    struct ar_str rest = in;
    enum ar_poll p = AR_PENDING;
    while (p == AR_PENDING && (rest.n > 0 || s->carry.n > 0)) {
        const char *at = s->carry.n > 0 ? s->carry.p : rest.p;
        if (s->carry.n > 0 || rest.n < PRELUDE) {
            if (!fill(s, PRELUDE, &rest)) {
                break;
            }
            at = s->carry.p;
        }
        size_t total = length_of(s, at);
        if (total == 0) {
            p = fail(s, "the upstream's stream is no event stream, or is damaged");
        } else if (s->carry.n == 0 && rest.n >= total) {
            p = read_message(s, ar_str_head(rest, total), ret);
            rest = ar_str_from(rest, total);
        } else if (fill(s, total, &rest)) {
            p = read_message(s, ar_buf_view(&s->carry), ret);
            ar_buf_clear(&s->carry);
        } else {
            break;
        }
    }
    *ret_used = in.n - rest.n;
    return p;
}
