/*
 * The log: logfmt or JSON lines, each written by one write(2) so that lines of several threads do
 * not mix. The level test comes first and costs one relaxed load. Owns the sink's settings, never a
 * file, never a secret.
 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192 };

static struct {
    _Atomic int min, format, fd; /* relaxed: a line more or less around a reload does no harm */
} sink = {AR_LOG_INFO, AR_LOG_LOGFMT, 2};

static const char *const LEVELS[] = {"debug", "info", "warn", "error", "off"};

void ar_log_setup(enum ar_log_level min, enum ar_log_format format, int fd)
{
    atomic_store_explicit(&sink.min, (int)min, memory_order_relaxed);
    atomic_store_explicit(&sink.format, (int)format, memory_order_relaxed);
    atomic_store_explicit(&sink.fd, fd, memory_order_relaxed);
}

bool ar_log_is_on(enum ar_log_level level)
{
    return (int)level >= atomic_load_explicit(&sink.min, memory_order_relaxed);
}

/* s in quotes with JSON escapes; logfmt readers take the same. */
static void put_quoted(struct ar_buf *b, struct ar_str s)
{
    ar_buf_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            ar_buf_char(b, '\\');
            ar_buf_char(b, (char)c);
        } else if (c < 0x20 || c == 0x7f) {
            ar_buf_fmt(b, "\\u%04x", c);
        } else {
            ar_buf_char(b, (char)c);
        }
    }
    ar_buf_char(b, '"');
}

static bool is_plain(struct ar_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f) {
            return false;
        }
    }
    return s.n > 0;
}

static void put_pair(struct ar_buf *b, bool json, const char *key, struct ar_str value)
{
    if (json) {
        ar_buf_fmt(b, ",\"%s\":", key);
        put_quoted(b, value);
        return;
    }
    ar_buf_fmt(b, " %s=", key);
    if (is_plain(value)) {
        ar_buf_str(b, value);
    } else {
        put_quoted(b, value);
    }
}

void ar_log_line(enum ar_log_level level, const char *event, const struct ar_log_pair *pairs,
                 unsigned n)
{
    if (!ar_log_is_on(level)) {
        return;
    }
    bool json = atomic_load_explicit(&sink.format, memory_order_relaxed) == AR_LOG_JSON;
    int64_t now = ar_clock_unix_ms();
    time_t s = (time_t)(now / 1000);
    struct tm tm;
    char stamp[40];
    (void)gmtime_r(&s, &tm);
    size_t at = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(stamp + at, sizeof stamp - at, ".%03dZ", (int)(now % 1000));
    struct ar_buf b;
    ar_buf_init(&b, LINE_MAX_BYTES - 2);
    ar_buf_fmt(&b,
               json ? "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\""
                    : "time=%s level=%s event=%s",
               stamp, LEVELS[level], event);
    for (unsigned i = 0; i < n; i++) {
        size_t before = b.n;
        if (pairs[i].value.p) {
            put_pair(&b, json, pairs[i].key, pairs[i].value);
        }
        if (b.overflowed) { /* a pair that does not fit is left out, so that the line stays one */
            b.n = before;
            b.overflowed = false;
        }
    }
    b.max = LINE_MAX_BYTES;
    if (json) {
        ar_buf_char(&b, '}');
    }
    ar_buf_char(&b, '\n');
    ssize_t put = write(atomic_load_explicit(&sink.fd, memory_order_relaxed), b.p, b.n);
    (void)put; /* nowhere to report it */
    ar_buf_done(&b);
}

void ar_log_note(enum ar_log_level level, const char *event, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ar_log_line(level, event, &(struct ar_log_pair){"note", ar_str_of(text)}, 1);
}

enum ar_code ar_log_level_of(struct ar_str name, enum ar_log_level *ret)
{
    for (int i = 0; i <= AR_LOG_OFF; i++) {
        if (ar_str_is(name, ar_str_of(LEVELS[i]))) {
            *ret = (enum ar_log_level)i;
            return AR_OK;
        }
    }
    return AR_INVALID_REQUEST;
}
