/* What all workers read, in one immutable piece: built off their threads, published through each
 * worker's mailbox, given back when a worker switched and its last flow on it ended. Each part is
 * built and freed by the folder that knows it; app/ puts them together. No thread loads a shared
 * pointer to it. */
#ifndef AR_CONF_SNAPSHOT_H
#define AR_CONF_SNAPSHOT_H

#include <stdint.h>

struct ar_config;
struct ar_upstreams; /* provider/upstream.h */
struct ar_snapshot {
    struct ar_config *config;       /* owns */
    struct ar_upstreams *upstreams; /* owns */
    uint64_t generation;
    struct ar_snapshot *older; /* app's list of those not yet freed */
    unsigned holders;          /* workers that have not given it back; app's thread only */
};

#endif
