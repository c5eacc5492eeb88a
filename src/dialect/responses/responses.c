/* OpenAI Responses as a dialect: the row of functions, and token counts, which are one number each
 * way (PROTOCOLS 2, 10). What each function does is in the file that its name tells. Owns nothing.
 */
#include "dialect/responses/responses.h"

static void encode_count(int64_t tokens, struct ar_buf *out)
{
    struct ar_jw w = ar_jw_on(out);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "object", "response.input_tokens");
    ar_jw_key_i64(&w, "input_tokens", tokens);
    ar_jw_close(&w, '}');
}

bool ar_responses_takes_url(const struct ar_block *b, const struct ar_target *t)
{
    return (b->kind == AR_IMAGE || b->kind == AR_DOCUMENT) &&
           !(t->quirks & AR_QUIRK(NO_URL_MEDIA)) &&
           ar_str_has_prefix_nocase(b->media->data, AR_LIT("http"));
}

const struct ar_dialect ar_dialect_responses = {
    .name = "responses",
    .doc = "OpenAI Responses: POST /v1/responses.",
    .id = AR_DIALECT_RESPONSES,
    .error_ends = true,
    .vendor = AR_VENDOR_OPENAI,
    .path_generate = "/v1/responses",
    .path_count = "/v1/responses/input_tokens",
    .outline = ar_responses_outline,
    .decode_request = ar_responses_decode_request,
    .encode_response = ar_responses_encode_response,
    .encode_count = encode_count,
    .encode_error = ar_responses_encode_error,
    .writer_new = ar_responses_writer_new,
    .write = ar_responses_write,
    .write_ping = ar_responses_write_ping,
    .writer_done = ar_responses_writer_done,
    .takes_url = ar_responses_takes_url,
    .encode_request = ar_responses_encode_request,
    .decode_response = ar_responses_decode_response,
    .decode_error = ar_responses_decode_error,
    .decode_count = ar_read_input_tokens,
    .observe = ar_responses_observe,
    .reader_new = ar_responses_reader_new,
    .read_frame = ar_responses_read_frame,
    .read_eof = ar_responses_read_eof,
    .read_next = ar_responses_read_next,
    .read_lingers = ar_responses_read_lingers,
    .reader_done = ar_responses_reader_done,
};
