/* Anthropic Messages as a dialect: the row of functions, and token counts, which are one number
 * each way (PROTOCOLS 3, 10.1). What each function does is in the file that its name tells. Owns
 * nothing. */
#include "dialect/anthropic/anthropic.h"

bool ar_anthropic_takes_url(const struct ar_block *b, const struct ar_target *t)
{
    return ar_str_has_prefix_nocase(b->media->data, AR_LIT("https:")) &&
           !(t->quirks & AR_QUIRK(NO_URL_MEDIA));
}

const struct ar_dialect ar_dialect_anthropic = {
    .name = "anthropic",
    .doc = "Anthropic Messages: POST /v1/messages.",
    .id = AR_DIALECT_ANTHROPIC,
    .vendor = AR_VENDOR_ANTHROPIC,
    .path_generate = "/v1/messages",
    .path_count = "/v1/messages/count_tokens",
    .outline = ar_anthropic_outline,
    .decode_request = ar_anthropic_decode_request,
    .encode_response = ar_anthropic_encode_response,
    .encode_count = ar_put_input_tokens,
    .encode_error = ar_anthropic_encode_error,
    .writer_new = ar_anthropic_writer_new,
    .write = ar_anthropic_write,
    .write_ping = ar_anthropic_write_ping,
    .writer_done = ar_anthropic_writer_done,
    .takes_url = ar_anthropic_takes_url,
    .encode_request = ar_anthropic_encode_request,
    .decode_response = ar_anthropic_decode_response,
    .decode_error = ar_anthropic_decode_error,
    .decode_count = ar_read_input_tokens,
    .observe = ar_anthropic_observe,
    .reader_new = ar_anthropic_reader_new,
    .read_frame = ar_anthropic_read_frame,
    .read_eof = ar_anthropic_read_eof,
    .read_next = ar_anthropic_read_next,
    .read_lingers = ar_anthropic_read_lingers,
    .reader_done = ar_anthropic_reader_done,
};
