/* The stream reader's state, shared by its translated half (stream_read.c) and its relaying half
 * (stream_relay.c). Wire: PROTOCOLS 3.10, 8.1. Pure; one thread at a time. */
#ifndef AR_DIALECT_ANTHROPIC_STREAM_READ_H
#define AR_DIALECT_ANTHROPIC_STREAM_READ_H

#include "dialect/anthropic/request_read.h"
#include "ir/queue.h"

/* What a frame is; its name, or the type in its data. */
enum ar_anthropic_frame {
    AR_AF_OTHER,
    AR_AF_DELTA,
    AR_AF_BLOCK_START,
    AR_AF_BLOCK_STOP,
    AR_AF_PING,
    AR_AF_MESSAGE_START,
    AR_AF_MESSAGE_DELTA,
    AR_AF_MESSAGE_STOP,
    AR_AF_ERROR
};

/* A block that has begun and not ended. */
struct ar_anthropic_open {
    struct ar_anthropic_open *next;
    int64_t index; /* the wire's */
    unsigned b;
    enum ar_block_kind kind;
    struct ar_str input; /* esc: what the start event held; shown at the end unless deltas came */
};

struct ar_reader {
    const struct ar_target *target;
    struct ar_arena *a;
    bool relay;
    bool started, committed, stopped, ending;
    struct ar_jtape tape; /* owns; of the frame at hand */
    struct ar_jdoc doc;
    struct ar_anthropic_open *open, *spare;
    unsigned blocks;
    struct ar_anthropic_usage counts;
    struct ar_str frame; /* relay: raw bytes for the next event */
    bool has_frame;
    struct ar_queue queue; /* owns */
    /* what queued events point to */
    struct ar_block block;
    struct ar_opaque opaque;
    struct ar_response answer;
    struct ar_usage usage;
    struct ar_stop stop;
};

/* stream_read.c: shared moves. */
enum ar_anthropic_frame ar_anthropic_frame_of(struct ar_str name);
/* Parses what has to be known of the frame. */
void ar_anthropic_note_frame(struct ar_reader *r, enum ar_anthropic_frame kind,
                             const struct ar_frame *f);

/* stream_relay.c */
void ar_anthropic_relay_frame(struct ar_reader *r, const struct ar_frame *f);
/* The body is over and the answer said why it stopped: the end carries no bytes. */
void ar_anthropic_relay_end(struct ar_reader *r);
/* The frame's bytes go with the first event of the frame. */
void ar_anthropic_relay_event(struct ar_reader *r, struct ar_event *ev);

#endif
