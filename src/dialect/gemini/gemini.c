/* Gemini generateContent as a dialect: the row of functions, and token counts, which are one number
 * each way (PROTOCOLS 4, 10.3). Model and streaming are in the path, not in the body: flow fills
 * them in. What each function does is in the file that its name tells. Owns nothing. */
#include "dialect/gemini/gemini.h"

static void encode_count(int64_t tokens, struct ar_buf *out)
{
    ar_buf_lit(out, "{\"totalTokens\":");
    ar_buf_i64(out, tokens);
    ar_buf_char(out, '}');
}

static int64_t decode_count(struct ar_str body, struct ar_arena *a)
{
    struct ar_jdoc doc;
    int64_t n = -1;
    if (ar_json_parse(body, 1, a, &doc, NULL) != AR_OK ||
        ar_json_i64(ar_json_get_lit(ar_json_root(&doc), "totalTokens"), &n, NULL) != AR_OK ||
        n < 0) {
        return -1;
    }
    return n;
}

/* What Google fetches by itself: its own files and buckets, and YouTube (esc). */
static bool is_google_url(struct ar_str url)
{
    static const struct ar_str HEADS[] = {
        AR_LIT_INIT("gs://"),
        AR_LIT_INIT("https://generativelanguage.googleapis.com/"),
        AR_LIT_INIT("https://www.youtube.com/"),
        AR_LIT_INIT("https://youtube.com/"),
        AR_LIT_INIT("https://m.youtube.com/"),
        AR_LIT_INIT("https://youtu.be/"),
    };
    for (size_t i = 0; i < sizeof HEADS / sizeof *HEADS; i++) {
        if (ar_str_has_prefix_nocase(url, HEADS[i])) {
            return true;
        }
    }
    return false;
}

bool ar_gemini_takes_url(const struct ar_block *b, const struct ar_target *t)
{
    (void)t;
    return is_google_url(b->media->data);
}

const struct ar_dialect ar_dialect_gemini = {
    .name = "gemini",
    .doc = "Gemini generateContent: POST /v1beta/models/{model}:generateContent.",
    .id = AR_DIALECT_GEMINI,
    .vendor = AR_VENDOR_GOOGLE,
    .path_generate = "/v1beta/models/{model}:generateContent",
    .path_stream = "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    .path_count = "/v1beta/models/{model}:countTokens",
    .outline = ar_gemini_outline,
    .decode_request = ar_gemini_decode_request,
    .encode_response = ar_gemini_encode_response,
    .encode_count = encode_count,
    .encode_error = ar_gemini_encode_error,
    .writer_new = ar_gemini_writer_new,
    .write = ar_gemini_write,
    .write_ping = ar_gemini_write_ping,
    .writer_done = ar_gemini_writer_done,
    .takes_url = ar_gemini_takes_url,
    .encode_request = ar_gemini_encode_request,
    .decode_response = ar_gemini_decode_response,
    .decode_error = ar_gemini_decode_error,
    .decode_count = decode_count,
    .observe = ar_gemini_observe,
    .reader_new = ar_gemini_reader_new,
    .read_frame = ar_gemini_read_frame,
    .read_eof = ar_gemini_read_eof,
    .read_next = ar_gemini_read_next,
    .read_lingers = ar_gemini_read_lingers,
    .reader_done = ar_gemini_reader_done,
};
