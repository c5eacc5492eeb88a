/* One line per event on standard error: time, level, event, then key=value. The sink is the one
 * mutable global of the program. Any thread; a line is one write. Never log a key, a prompt, a
 * completion or an upstream's body. */
#ifndef AR_BASE_LOG_H
#define AR_BASE_LOG_H

#include "base/str.h"

enum ar_log_level { AR_LOG_DEBUG, AR_LOG_INFO, AR_LOG_WARN, AR_LOG_ERROR, AR_LOG_OFF };
enum ar_log_format { AR_LOG_LOGFMT, AR_LOG_JSON };

/* Before the first thread starts, and on reload. fd is borrowed for the process's life. */
void ar_log_setup(enum ar_log_level min, enum ar_log_format format, int fd);
bool ar_log_is_on(enum ar_log_level level);

/* A pair of a line. The value is quoted where needed. */
struct ar_log_pair {
    const char *key;
    struct ar_str value;
};
void ar_log_line(enum ar_log_level level, const char *event, const struct ar_log_pair *pairs,
                 unsigned n);

/* printf-style text of one pair "note"; for boot and admin, not the request path. */
void ar_log_note(enum ar_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* false, "debug", "info", "warn", "error", "off": AR_INVALID_REQUEST for others. */
enum ar_code ar_log_level_of(struct ar_str name, enum ar_log_level *ret) AR_MUST;

#endif
