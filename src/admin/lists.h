/* Lists of models by who asks. Private to admin/. Worker's thread. */
#ifndef AR_ADMIN_LISTS_H
#define AR_ADMIN_LISTS_H

#include "admin/admin.h"
#include "conf/config.h"

struct ar_model_list {
    struct ar_strs ids, owners; /* as many */
};
/* The list for who asks, by his own key where an upstream takes it. NULL: being fetched, ask again.
 * Borrowed for the call. */
const struct ar_model_list *ar_model_list(struct ar_model_cache *c, const struct ar_local_ask *ask);

#endif
