/* OpenAI Chat Completions as a dialect (PROTOCOLS 1): the row of functions, and what all files of
 * the folder use. What each function does is in the file that its name tells. Owns nothing. */
#include "dialect/chat/chat.h"

struct ar_str ar_chat_key(struct ar_str key, struct ar_arena *a)
{
    return ar_str_find_char(key, '\\') < key.n ? ar_json_unescape_in(key, a) : key;
}

bool ar_chat_takes_url(const struct ar_block *b, const struct ar_target *t)
{
    return b->kind != AR_DOCUMENT && (b->kind != AR_IMAGE || !(t->quirks & AR_QUIRK(NO_URL_MEDIA)));
}

const struct ar_dialect ar_dialect_chat = {
    .name = "chat",
    .doc = "OpenAI Chat Completions",
    .id = AR_DIALECT_CHAT,
    .vendor = AR_VENDOR_OPENAI,
    .path_generate = "/v1/chat/completions",
    .path_count = NULL,
    .outline = ar_chat_outline,
    .decode_request = ar_chat_decode_request,
    .encode_response = ar_chat_encode_response,
    .encode_count = ar_put_input_tokens,
    .encode_error = ar_chat_encode_error,
    .writer_new = ar_chat_writer_new,
    .write = ar_chat_write,
    .write_ping = ar_chat_write_ping,
    .writer_done = ar_chat_writer_done,
    .takes_url = ar_chat_takes_url,
    .encode_request = ar_chat_encode_request,
    .decode_response = ar_chat_decode_response,
    .decode_error = ar_chat_decode_error,
    .decode_count = ar_read_input_tokens,
    .observe = ar_chat_observe,
    .reader_new = ar_chat_reader_new,
    .read_frame = ar_chat_read_frame,
    .read_eof = ar_chat_read_eof,
    .read_next = ar_chat_read_next,
    .read_lingers = ar_chat_read_lingers,
    .reader_done = ar_chat_reader_done,
};
