/* Inside of loading a configuration: what file, environment and defaults share. Private to conf/.
 */
#ifndef AR_CONF_LOADER_H
#define AR_CONF_LOADER_H

#include "conf/config.h"
#include "conf/tree.h"
#include "conf/value.h"

struct ar_loader {
    struct ar_config *c;
    struct ar_err *err;
    const char *(*getenv_fn)(const char *);
    struct ar_str env_host;
};

/* Index of an option's row, or AR_OPTION_COUNT; its field in the struct at base. */
unsigned ar_conf_find_row(bool is_root, struct ar_str path);
struct ar_option_slot ar_conf_slot(unsigned i, void *base);
bool ar_conf_is_root(unsigned i);
/* Sets option i in the struct at base, in its range. err: "must be ...", without the name. */
enum ar_code ar_conf_set(unsigned i, void *base, struct ar_str text, struct ar_arena *a,
                         struct ar_err *err) AR_MUST;

/* c->path into the configuration. */
enum ar_code ar_conf_load_file(struct ar_loader *l) AR_MUST;
/* The environment over it. */
enum ar_code ar_conf_load_env(struct ar_loader *l) AR_MUST;
/* err: "file:line: what". */
enum ar_code ar_conf_at_line(struct ar_loader *l, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
