/* The row of the legacy Completions dialect: POST /v1/completions. Clients speak it, and places
 * that have the endpoint get it natively, observed with Chat's eyes: the frames differ by one
 * member. Nothing is ever translated into it: a prompt is a conversation of one user turn, so
 * whoever lacks the endpoint gets that in a dialect of his own. Owns nothing. */
#include "dialect/completions/completions.h"

#include "dialect/chat/chat.h"

const struct ar_dialect ar_dialect_completions = {
    .name = "completions",
    .doc = "OpenAI Completions (legacy)",
    .id = AR_DIALECT_COMPLETIONS,
    .vendor = AR_VENDOR_OPENAI,
    .path_generate = "/v1/completions",
    .outline = ar_chat_outline,
    .decode_request = ar_completions_decode_request,
    .encode_response = ar_completions_encode_response,
    .encode_error = ar_chat_encode_error,
    .writer_new = ar_completions_writer_new,
    .write = ar_completions_write,
    .write_ping = ar_completions_write_ping,
    .writer_done = ar_completions_writer_done,
    .decode_error = ar_chat_decode_error,
    .observe = ar_chat_observe,
    .reader_new = ar_chat_reader_new,
    .read_frame = ar_chat_read_frame,
    .read_eof = ar_chat_read_eof,
    .read_next = ar_chat_read_next,
    .read_lingers = ar_chat_read_lingers,
    .reader_done = ar_chat_reader_done,
};
