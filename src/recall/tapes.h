/* What runs without a client have said so far, as event-stream frames, for whoever asks while they
 * run: a tape a run, in memory, found by its key until the run ends. Its frames are then kept with
 * the stored response (ar_frames_put), so that a number means the same event before and after.
 * Shared by all workers: any thread. */
#ifndef AR_RECALL_TAPES_H
#define AR_RECALL_TAPES_H

#include "base/arena.h"
#include "recall/table.h"

struct ar_tape;
struct ar_tapes;
/* bytes: of one tape, and of all together. */
struct ar_tapes *ar_tapes_new(int64_t bytes);
void ar_tapes_set_limit(struct ar_tapes *t, int64_t bytes);
void ar_tapes_free(struct ar_tapes *t); /* NULL-safe; no tape is held */
int64_t ar_tapes_bytes(struct ar_tapes *t);

/* The run's side. A reference is the caller's; NULL: no memory. */
struct ar_tape *ar_tape_begin(struct ar_tapes *t, const struct ar_recall_key *key);
/* One frame. Over a cap, the tape is torn: it says so to its readers and takes nothing more. */
void ar_tape_put(struct ar_tape *tape, struct ar_str frame);
int64_t ar_tape_count(struct ar_tape *tape); /* frames so far */
/* Nothing more comes, and nobody finds it any more. All frames into out, unless it is torn (false).
 */
bool ar_tape_end(struct ar_tape *tape, struct ar_buf *out);

/* The reader's side: a reference; NULL: no such run. */
struct ar_tape *ar_tape_find(struct ar_tapes *t, const struct ar_recall_key *key);
enum ar_tape_state { AR_TAPE_RUNS, AR_TAPE_ENDED, AR_TAPE_TORN };
/* A place on a tape. skip: frames that are not wanted. */
struct ar_tape_place {
    size_t at;
    int64_t skip;
};
/* Appends what is there behind the place, at most `most` bytes, and moves it. ENDED and TORN are
 * said when nothing is left to be read. */
enum ar_tape_state ar_tape_read(struct ar_tape *tape, struct ar_tape_place *place, size_t most,
                                struct ar_buf *out);
void ar_tape_drop(struct ar_tape *tape); /* gives the reference back; NULL-safe */

/* Frames of an ended run, kept beside its response. */
bool ar_frames_put(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id,
                   struct ar_str frames, int64_t now_ms);
/* A memo (owns) whose bytes they are; NULL: there are none. */
struct ar_memo *ar_frames_get(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                              struct ar_str id, int64_t now_ms);
void ar_frames_drop(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                    struct ar_str id);
/* The key of a run's tape. */
struct ar_recall_key ar_tape_key(const struct ar_recall_key *tenant, struct ar_str id);
/* The rest of frames behind the first n. */
struct ar_str ar_frames_from(struct ar_str frames, int64_t n);

#endif
