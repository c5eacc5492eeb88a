/* application/vnd.amazon.eventstream, as Bedrock streams the events of a model in it: binary
 * messages with two checksums, each with headers and a JSON payload that holds one event in base64.
 * Gives the frames that the same events would be as text/event-stream. No I/O; one thread at a
 * time. Source: AWS, "Amazon event stream specification" and InvokeModelWithResponseStream,
 * 2026-10. */
#ifndef AR_PROVIDER_AWS_STREAM_H
#define AR_PROVIDER_AWS_STREAM_H

#include "base/frame.h"
#include "base/wake.h"
#include "json/scan.h"

struct ar_aws_stream {
    struct ar_buf carry; /* half a message */
    struct ar_buf json, text;
    struct ar_jtape tape;
    size_t message_max;
    const char *why; /* after FAILED; static */
};
void ar_aws_stream_init(struct ar_aws_stream *s, size_t message_max);
void ar_aws_stream_done(struct ar_aws_stream *s);
/* READY: one frame; borrows from s until the next call; its raw is the frame as text/event-stream.
 * An exception is a frame "error" with Anthropic's envelope. PENDING: all of in was used. FAILED:
 * not such a stream, or damaged. *ret_used: bytes of in that were used, in every case. */
enum ar_poll ar_aws_stream_next(struct ar_aws_stream *s, struct ar_str in, size_t *ret_used,
                                struct ar_frame *ret);
bool ar_aws_stream_is_between(const struct ar_aws_stream *s); /* no half message is held */

/* CRC-32 of IEEE 802.3, of bytes after others whose checksum is seed (0: none). */
uint32_t ar_crc32(uint32_t seed, struct ar_str bytes);

#endif
