/* Decoders of bodies: zlib for gzip and deflate, libzstd for zstd.
 *
 * A decoder owns its library state (about 40 KiB for zlib, the frame's window for zstd) and no
 * buffer: both sides are the caller's, so a bomb costs time only as fast as somebody asks for its
 * output. "deflate" means the zlib format, but senders of raw deflate exist: the first byte pair
 * tells them apart. The only file that knows zlib and zstd. */
#include "http/encoding.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum { ZSTD_WINDOW_LOG_MAX = 23 };

struct ar_decoder {
    enum ar_encoding encoding;
    bool inited, in_member, any, bad;
    bool more;           /* the output was full: there may be more without input */
    unsigned char first; /* deflate: the byte that waits for its pair */
    bool has_first;
    z_stream z;
    ZSTD_DStream *zstd;
};

enum ar_encoding ar_encoding_of(struct ar_str value)
{
    value = ar_str_trim(value);
    if (value.n == 0 || ar_str_is_nocase(value, AR_LIT("identity"))) {
        return AR_ENC_IDENTITY;
    }
    if (ar_str_is_nocase(value, AR_LIT("gzip")) || ar_str_is_nocase(value, AR_LIT("x-gzip"))) {
        return AR_ENC_GZIP;
    }
    if (ar_str_is_nocase(value, AR_LIT("deflate"))) {
        return AR_ENC_DEFLATE;
    }
    return ar_str_is_nocase(value, AR_LIT("zstd")) ? AR_ENC_ZSTD : AR_ENC_UNKNOWN;
}

struct ar_decoder *ar_decoder_new(enum ar_encoding e)
{
    struct ar_decoder *d = calloc(1, sizeof(*d));
    if (!d) {
        return NULL;
    }
    d->encoding = e;
    if (e == AR_ENC_ZSTD) {
        d->zstd = ZSTD_createDStream();
        if (!d->zstd) {
            free(d);
            return NULL;
        }
        ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    } else if (e == AR_ENC_GZIP) {
        d->inited = inflateInit2(&d->z, 15 + 16) == Z_OK;
    }
    return d;
}

void ar_decoder_free(struct ar_decoder *d)
{
    if (!d) {
        return;
    }
    if (d->inited) {
        inflateEnd(&d->z);
    }
    ZSTD_freeDStream(d->zstd);
    free(d);
}

bool ar_decoder_is_complete(const struct ar_decoder *d)
{
    return d->any && !d->in_member && !d->has_first;
}

static bool inflate_bytes(struct ar_decoder *d, struct ar_str in, size_t *used, struct ar_str out,
                          size_t *made)
{
    union {
        const char *from;
        Bytef *to;
    } cast_in = {.from = in.p}, cast_out = {.from = out.p};
    uInt in_n = in.n > 1u << 30 ? 1u << 30 : (uInt)in.n;
    uInt out_n = out.n > 1u << 30 ? 1u << 30 : (uInt)out.n;
    d->z.next_in = cast_in.to;
    d->z.avail_in = in_n;
    d->z.next_out = cast_out.to;
    d->z.avail_out = out_n;
    int rc = inflate(&d->z, Z_NO_FLUSH);
    *used = in_n - d->z.avail_in;
    *made = out_n - d->z.avail_out;
    d->in_member = true;
    d->any = true;
    if (rc == Z_STREAM_END) {
        d->in_member = false;
        return inflateReset(&d->z) == Z_OK;
    }
    return rc == Z_OK || rc == Z_BUF_ERROR;
}

/* The first two bytes choose between the zlib format and raw deflate. */
static bool start_deflate(struct ar_decoder *d, struct ar_str in, size_t *used)
{
    unsigned char b = (unsigned char)in.p[0];
    *used = 1;
    if (!d->has_first) {
        d->first = b;
        d->has_first = true;
        return true;
    }
    bool wrapped = (d->first & 15) == 8 && (d->first * 256 + b) % 31 == 0;
    if (inflateInit2(&d->z, wrapped ? 15 : -15) != Z_OK) {
        return false;
    }
    d->inited = true;
    d->has_first = false;
    char pair[2] = {(char)d->first, (char)b};
    char none[1];
    size_t n = 0, made = 0;
    /* Two bytes make a header, or the start of a block: never output. */
    return inflate_bytes(d, ar_str_n(pair, 2), &n, ar_str_n(none, 0), &made) && n == 2;
}

static bool zstd_bytes(struct ar_decoder *d, struct ar_str in, size_t *used, struct ar_str out,
                       size_t *made)
{
    union {
        const char *from;
        void *to;
    } cast = {.from = out.p};
    ZSTD_inBuffer src = {in.p, in.n, 0};
    ZSTD_outBuffer dst = {cast.to, out.n, 0};
    size_t rc = ZSTD_decompressStream(d->zstd, &dst, &src);
    *used = src.pos;
    *made = dst.pos;
    d->any = true;
    d->in_member = rc != 0;
    return !ZSTD_isError(rc);
}

enum ar_poll ar_decoder_run(struct ar_decoder *d, struct ar_str in, size_t *ret_used,
                            struct ar_str out, size_t *ret_n)
{
    size_t total = 0;
    *ret_n = 0;
    for (;;) {
        size_t used = 0, made = 0;
        struct ar_str rest = ar_str_from(in, total);
        bool ok = true;
        if (d->bad) {
            *ret_used = total;
            return AR_FAILED;
        }
        if (rest.n == 0 && !(d->in_member && d->more)) {
            *ret_used = total;
            return AR_PENDING;
        }
        if (d->encoding == AR_ENC_ZSTD) {
            ok = zstd_bytes(d, rest, &used, out, &made);
        } else if (!d->inited) {
            ok = d->encoding == AR_ENC_DEFLATE && rest.p && rest.n > 0 &&
                 start_deflate(d, rest, &used);
        } else {
            ok = inflate_bytes(d, rest, &used, out, &made);
        }
        total += used;
        d->more = made == out.n;
        *ret_used = total;
        d->bad = !ok || (made == 0 && used == 0 && rest.n > 0);
        if (made > 0) {
            *ret_n = made; /* what was decoded before the fault is good */
            return AR_READY;
        }
    }
}
