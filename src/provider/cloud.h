/* What upstreams of clouds need besides a row: region, project, and keys that are files. Used while
 * a configuration is loaded; private to provider/. */
#ifndef AR_PROVIDER_CLOUD_H
#define AR_PROVIDER_CLOUD_H

#include "provider/upstream.h"

/* Fills in from the environment what the operator did not say, for the clouds whose names are
 * customary: AWS_* and GOOGLE_*. */
void ar_cloud_from_env(struct ar_config *c, struct ar_conf_upstream *conf,
                       const struct ar_provider *p, const char *(*getenv_fn)(const char *));
/* Value of the variable that switches p on where no file names upstreams, and its name; NULL: none
 * is set. */
const char *ar_cloud_switch(const struct ar_provider *p, const char *(*getenv_fn)(const char *),
                            struct ar_str *ret_name);

/* Region and project of u, and its keys' files read and checked. Memory: the configuration's.
 * Errors: AR_INVALID_REQUEST, the note without the place in the file. */
enum ar_code ar_cloud_build(struct ar_config *c, struct ar_upstream *u, struct ar_err *err) AR_MUST;

/* text with {project} and {region} of u; a URL with the host that the region has. Arena. */
struct ar_str ar_cloud_place(const struct ar_upstream *u, struct ar_str text, struct ar_arena *a);
struct ar_str ar_cloud_url(const struct ar_upstream *u, struct ar_str url, struct ar_arena *a);

#endif
