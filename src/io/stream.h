/* A connected byte stream: TCP, TLS over it, a loopback pair in tests. Pull on both sides. Loop
 * thread only. Memory: at most one read and one write buffer (AR_STREAM_BUF each) taken from the
 * loop's slab and given back when empty: an idle stream holds none. */
#ifndef AR_IO_STREAM_H
#define AR_IO_STREAM_H

#include "base/str.h"
#include "base/wake.h"

struct ar_stream;
struct ar_loop;
enum { AR_STREAM_BUF = 16384, AR_STREAM_LOW = 4096 };

/* Bytes that came and were not eaten. READY: ret not empty, borrows until the next call on s.
 * PENDING: none yet. ENDED: the peer finished sending (TLS: close_notify or FIN) and all is eaten.
 * FAILED: err tells (AR_CLIENT_CLOSED for a reset). */
enum ar_poll ar_stream_peek(struct ar_stream *s, struct ar_str *ret, struct ar_err *err);
/* n <= peeked. While the buffer is full the socket is not read: eating is the backpressure. */
void ar_stream_eat(struct ar_stream *s, size_t n);
/* The next n bytes go straight into the memory at p, uncopied: the owner is woken when all have
 * come, or at an end or failure. Nothing may be uneaten. p is lent until take_back or close. */
void ar_stream_lend(struct ar_stream *s, char *p, size_t n);
size_t ar_stream_lent(const struct ar_stream *s); /* how many came so far */
size_t ar_stream_take_back(struct ar_stream *s);  /* the same; the memory is the owner's again */
/* Takes bytes like write(2): what is taken is copied or sent, the rest stays the caller's. Returns
 * how many; less than offered is "full": woken when room is above AR_STREAM_LOW. Large parts go to
 * the kernel without a copy. After a failure everything is taken and dropped: the owner was woken,
 * is_dead and peek tell. */
size_t ar_stream_write(struct ar_stream *s, const struct ar_str *parts, unsigned n);
size_t ar_stream_room(const struct ar_stream *s);
void ar_stream_flush(struct ar_stream *s); /* hand to the kernel now; else before the loop sleeps: a
                                              turn is one syscall */
bool ar_stream_is_flushed(struct ar_stream *s); /* false: woken when it is */
/* A failure or a FIN that a write would meet; cheap, for reuse checks. */
bool ar_stream_is_dead(const struct ar_stream *s);
void ar_stream_shut(struct ar_stream *s); /* after what was written: FIN or close_notify */
/* Passes the stream to another owner (pool): no wake is lost, none goes to the old one. NULL: wakes
 * nobody. */
void ar_stream_set_waker(struct ar_stream *s, struct ar_waker *w);
int64_t ar_stream_moved_ms(struct ar_stream *s, bool out); /* last progress; idle deadlines */
/* Peer's address as text (no port), static for the stream's life. */
struct ar_str ar_stream_peer(struct ar_stream *s);
/* Takes s. No wake after this call. Unsent bytes are dropped and the peer sees a reset unless all
 * was flushed or shut was called. The memory is the stream's own until the loop is done with it. */
void ar_stream_close(struct ar_stream *s);
/* Two ends of one pipe in memory, for tests; each holds at most AR_STREAM_BUF. */
void ar_stream_pair(struct ar_loop *l, struct ar_stream *ret[2]);

#endif
