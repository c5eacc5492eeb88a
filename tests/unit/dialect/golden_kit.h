/* What the golden tests are made of: files, JSON without white space, streams as frames, a framing
 * to write into, and a watch over the invariants of events. Arena unless said otherwise. */
#ifndef DIALECT_GOLDEN_KIT_H
#define DIALECT_GOLDEN_KIT_H

#include "base/frame.h"
#include "ir/event.h"
#include "ir/target.h"
#include "ir/undo.h"

/* Content of dir/name; p NULL: there is no such file. */
struct ar_str kit_read(const char *dir, const char *name, struct ar_arena *a);
bool kit_write(const char *dir, const char *name, struct ar_str text);

/* JSON without white space between tokens. */
struct ar_str kit_squeeze(struct ar_str json, struct ar_arena *a);

/* Cuts the next frame off *body, raw bytes included; false: none left. Comments and empty lines
 * belong to the next frame. */
bool kit_frame(struct ar_str *body, struct ar_arena *a, struct ar_frame *ret);
/* A stream with each frame as "event: NAME\ndata: SQUEEZED\n\n", comments left out: for comparison.
 */
struct ar_str kit_squeeze_sse(struct ar_str body, struct ar_arena *a);
extern const struct ar_framing kit_sse;

/* Bits of names of caps.def and quirks.def; false: unknown. */
bool kit_cap(struct ar_str name, uint64_t *into);
bool kit_quirk(struct ar_str name, uint64_t *into);

/* Watches one answer's events: NULL when ev fits the invariants of event.h, else what is wrong.
 * Zero it to begin. */
struct kit_watch {
    bool has_start, has_stop, is_over;
    unsigned blocks;
    bool open[1024];
};
const char *kit_watch_event(struct kit_watch *w, const struct ar_event *ev);

/* First difference of two texts, on standard output. */
void kit_show_difference(const char *what, struct ar_str want, struct ar_str got);

#endif
