/*
 * TLS between a stream's buffers and its socket.
 *
 * Input: the socket is read into a buffer of the slab, OpenSSL takes the ciphertext out of it
 * through a BIO of our own and decrypts into the stream's read buffer; what does not fit stays as
 * ciphertext, and the socket is not read until the owner has eaten. Output: the stream's write
 * buffer becomes one record, which the BIO puts into the loop's scratch and the end of the call
 * hands to the kernel; what the kernel does not take is copied once and is in flight. While
 * something is in flight nothing is encrypted and the BIO says "later".
 *
 * Owns the SSL object and the ciphertext not read yet. A FIN without close_notify counts as an end:
 * HTTP's own framing says whether the answer was whole.
 */
#include "io/tls_impl.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

struct ar_tls_link {
    SSL *ssl;
    struct ar_tls *tls;
    char *in; /* ciphertext, a buffer of the slab; NULL: none */
    unsigned in_off, in_n;
    unsigned out_n; /* in the loop's scratch, during a call */
    bool in_eof, done, broken, fin_wanted, notified;
    bool more; /* decrypting stopped for want of room */
    char key[264];
};

/* --- BIO
 * ----------------------------------------------------------------------------------------------------
 */

static int bio_read(BIO *b, char *ret, size_t n, size_t *ret_n)
{
    struct ar_tcp *t = BIO_get_data(b);
    struct ar_tls_link *k = t->link;
    size_t left = k->in_n - k->in_off;
    BIO_clear_retry_flags(b);
    if (left == 0) {
        BIO_set_retry_read(b);
        return 0;
    }
    n = n < left ? n : left;
    memcpy(ret, k->in + k->in_off, n);
    k->in_off += (unsigned)n;
    *ret_n = n;
    return 1;
}

static int bio_write(BIO *b, const char *p, size_t n, size_t *ret_n)
{
    struct ar_tcp *t = BIO_get_data(b);
    struct ar_tls_link *k = t->link;
    BIO_clear_retry_flags(b);
    if (t->s.in_flight || k->out_n + n > AR_TLS_OUT) {
        BIO_set_retry_write(b);
        return 0;
    }
    memcpy(t->s.loop->tls_out + k->out_n, p, n);
    k->out_n += (unsigned)n;
    *ret_n = n;
    return 1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

BIO_METHOD *ar_tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "anyrouter");
    if (m) {
        (void)BIO_meth_set_read_ex(m, bio_read);
        (void)BIO_meth_set_write_ex(m, bio_write);
        (void)BIO_meth_set_ctrl(m, bio_ctrl);
        (void)BIO_meth_set_create(m, bio_create);
    }
    return m;
}

/* --- pieces of a call
 * --------------------------------------------------------------------------------------- */

/* Hands the scratch to the kernel; a remainder is in flight. */
static void ship(struct ar_tcp *t)
{
    struct ar_tls_link *k = t->link;
    uv_buf_t buf = {.base = t->s.loop->tls_out, .len = k->out_n};
    if (k->out_n == 0) {
        return;
    }
    k->out_n = 0;
    size_t sent = t->s.out_failed ? buf.len : ar_tcp_try(t, &buf, 1);
    if (sent < buf.len && !t->s.out_failed) {
        char *rest = malloc(buf.len - sent);
        AR_ASSERT(rest != NULL);
        memcpy(rest, buf.base + sent, buf.len - sent);
        ar_tcp_send_later(t, rest, buf.len - sent);
    }
}

static void drop_in(struct ar_tcp *t)
{
    struct ar_tls_link *k = t->link;
    if (k->in) {
        ar_slab_put(t->s.loop, k->in);
        k->in = NULL;
    }
    k->in_off = k->in_n = 0;
}

static void fail(struct ar_tcp *t, const char *note)
{
    enum ar_code code = t->link->tls->server ? AR_CLIENT_CLOSED : AR_UPSTREAM_TLS;
    t->link->broken = true;
    drop_in(t);
    ar_stream_fail_in(&t->s, code, 0, note);
    ar_stream_fail_out(&t->s, code, 0, note);
}

static void fail_ssl(struct ar_tcp *t)
{
    char reason[100], note[160];
    long verify = SSL_get_verify_result(t->link->ssl);
    ar_tls_reason(reason, sizeof reason);
    if (verify != X509_V_OK && !t->link->tls->insecure && !t->link->tls->server) {
        (void)snprintf(note, sizeof note, "certificate verify failed: %s",
                       X509_verify_cert_error_string(verify));
    } else {
        (void)snprintf(note, sizeof note, "TLS: %s", reason);
    }
    fail(t, note);
}

/* What a call that did not succeed means. */
static void judge(struct ar_tcp *t, int result)
{
    struct ar_tls_link *k = t->link;
    switch (SSL_get_error(k->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        if (k->in_eof && !k->done) {
            fail(t, "TLS: closed during the handshake");
        } else if (k->in_eof && !t->s.eof) {
            ar_stream_ended(&t->s);
        }
        break;
    case SSL_ERROR_WANT_WRITE: /* when what is in flight has landed */
        break;
    case SSL_ERROR_ZERO_RETURN:
        if (!t->s.eof) {
            ar_stream_ended(&t->s);
        }
        break;
    default:
        fail_ssl(t);
    }
}

static void shake(struct ar_tcp *t)
{
    struct ar_tls_link *k = t->link;
    ERR_clear_error();
    int r = SSL_do_handshake(k->ssl);
    if (r == 1) {
        k->done = true;
        ar_stream_wake(&t->s);
    } else {
        judge(t, r);
    }
    ship(t);
}

static void decrypt(struct ar_tcp *t)
{
    struct ar_tls_link *k = t->link;
    k->more = false;
    while (!k->broken && !t->s.eof) {
        size_t room = 0, n = 0;
        char *to = ar_stream_space(&t->s, &room);
        if (!to) {
            k->more = true;
            break;
        }
        ERR_clear_error();
        int r = SSL_read_ex(k->ssl, to, room, &n);
        ar_stream_fed(&t->s, r == 1 ? n : 0);
        if (r != 1) {
            judge(t, r);
            break;
        }
    }
    ship(t);
}

/* Everything that can be done with the ciphertext at hand. */
static void pump(struct ar_tcp *t)
{
    struct ar_tls_link *k = t->link;
    bool was_done = k->done;
    if (!k->done && !k->broken) {
        shake(t);
    }
    if (k->done && !k->broken) {
        decrypt(t);
    }
    if (k->in_off == k->in_n || k->broken || t->s.eof) {
        drop_in(t);
    }
    if (k->done && !was_done && !t->s.closed) {
        ar_stream_flush(&t->s);
    }
}

/* --- what tcp.c and dial.c call
 * ----------------------------------------------------------------------------- */

bool ar_tls_wants(const struct ar_tcp *t)
{
    return t->link->in == NULL;
}

void ar_tls_feed(struct ar_tcp *t, char *buf, size_t n)
{
    struct ar_tls_link *k = t->link;
    if (n == 0) {
        k->in_eof = true;
    } else {
        k->in = buf;
        k->in_n = (unsigned)n;
    }
    pump(t);
}

void ar_tls_output(struct ar_tcp *t)
{
    struct ar_tls_link *k = t->link;
    if (t->s.closed || k->broken) {
        k->fin_wanted = k->fin_wanted || (t->s.closed && t->s.fin);
    } else {
        pump(t);
    }
    if (k->fin_wanted && !t->s.in_flight) {
        k->fin_wanted = false;
        ar_tcp_fin(t);
    }
}

enum ar_poll ar_tls_handshake(struct ar_tcp *t, struct ar_err *err)
{
    struct ar_err cause = {0};
    struct ar_str in;
    if (t->link->done) {
        return AR_READY;
    }
    enum ar_poll p = ar_stream_peek(&t->s, &in, &cause);
    if (p == AR_PENDING && !t->s.out_failed) {
        return AR_PENDING;
    }
    (void)ar_fail(err, AR_UPSTREAM_TLS, "%.50s: %.100s", t->link->key,
                  cause.note[0] ? cause.note : "TLS: closed during the handshake");
    return AR_FAILED;
}

bool ar_tls_is_resumed(const struct ar_tcp *t)
{
    return SSL_session_reused(t->link->ssl) == 1;
}

static void notify(struct ar_tcp *t)
{
    struct ar_tls_link *k = t->link;
    if (k->done && !k->broken && !k->notified && !t->s.in_flight) {
        k->notified = true;
        ERR_clear_error();
        (void)SSL_shutdown(k->ssl);
        ship(t);
    }
}

void ar_tls_quit(struct ar_tcp *t)
{
    notify(t);
}

void ar_tls_detach(struct ar_tcp *t)
{
    struct ar_tls_link *k = t->link;
    if (!k) {
        return;
    }
    drop_in(t);
    if (k->done && !k->broken) { /* or OpenSSL takes its session for a bad one */
        SSL_set_shutdown(k->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    SSL_free(k->ssl);
    ar_tls_unref(k->tls);
    free(k);
    t->link = NULL;
}

int ar_tls_on_session(SSL *ssl, SSL_SESSION *session)
{
    struct ar_tls_link *k = SSL_get_app_data(ssl);
    ar_tls_keep_session(k->tls, ar_str_of(k->key), session);
    return 1; /* taken */
}

/* Whom a client wants to talk to: SNI, the name to verify, the session to resume. */
static void aim(struct ar_tls_link *k, struct ar_str host, uint16_t port)
{
    union ar_addr a;
    char name[256];
    (void)snprintf(name, sizeof name, "%.*s", AR_FMT(ar_str_head(host, 255)));
    (void)snprintf(k->key, sizeof k->key, "%s:%u", name, port);
    X509_VERIFY_PARAM *param = SSL_get0_param(k->ssl);
    if (ar_addr_parse(host, port, &a)) {
        (void)X509_VERIFY_PARAM_set1_ip_asc(param, name);
    } else {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        (void)X509_VERIFY_PARAM_set1_host(param, name, 0);
        (void)SSL_set_tlsext_host_name(k->ssl, name);
    }
    SSL_SESSION *session = ar_tls_find_session(k->tls, ar_str_of(k->key));
    if (session) {
        (void)SSL_set_session(k->ssl, session);
        SSL_SESSION_free(session);
    }
    SSL_set_connect_state(k->ssl);
}

void ar_tls_attach(struct ar_tcp *t, struct ar_tls *tls, struct ar_str host, uint16_t port)
{
    struct ar_tls_link *k = ar_io_alloc(sizeof *k);
    struct ar_stream *s = &t->s;
    if (!s->loop->tls_out) {
        s->loop->tls_out = ar_io_alloc(AR_TLS_OUT);
    }
    k->tls = ar_tls_ref(tls);
    k->ssl = SSL_new(tls->ctx);
    BIO *bio = BIO_new(tls->bio);
    AR_ASSERT(k->ssl != NULL && bio != NULL);
    BIO_set_data(bio, t);
    SSL_set_bio(k->ssl, bio, bio);
    SSL_set_app_data(k->ssl, k);
    t->link = k;
    s->ops = &ar_tls_ops;
    /* bytes behind a proxy's answer are TLS's */
    k->in = s->rbuf;
    k->in_off = s->roff;
    k->in_n = s->rn;
    k->in_eof = s->eof;
    s->rbuf = NULL;
    s->roff = s->rn = 0;
    s->eof = false;
    if (tls->server) {
        SSL_set_accept_state(k->ssl);
    } else {
        aim(k, host, port);
        pump(t);
    }
}

/* --- the stream's operations
 * -------------------------------------------------------------------------------- */

static size_t send_tls(struct ar_stream *s, const struct ar_str *parts, unsigned n)
{
    struct ar_tcp *t = AR_HOLDER(s, struct ar_tcp, s);
    struct ar_tls_link *k = t->link;
    size_t taken = 0;
    (void)parts;
    (void)n;
    if (!k->done || k->broken) {
        return 0;
    }
    ERR_clear_error();
    int r = SSL_write_ex(k->ssl, s->wbuf + s->woff, ar_stream_pending(s), &taken);
    if (r != 1) {
        taken = 0;
        int why = SSL_get_error(k->ssl, r);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
            fail_ssl(t);
        }
    }
    ship(t);
    return taken;
}

static void park(struct ar_stream *s)
{
    (void)s; /* goes when the handshake is done, or what is in flight has landed */
}

static void resume(struct ar_stream *s)
{
    struct ar_tcp *t = AR_HOLDER(s, struct ar_tcp, s);
    if ((t->link->more || t->link->in) && !s->closed) {
        pump(t);
    }
    ar_tcp_resume(t);
}

static void fin(struct ar_stream *s)
{
    struct ar_tcp *t = AR_HOLDER(s, struct ar_tcp, s);
    notify(t);
    if (s->in_flight) {
        t->link->fin_wanted = true;
    } else {
        ar_tcp_fin(t);
    }
}

const struct ar_stream_ops ar_tls_ops = {
    .send = send_tls,
    .park = park,
    .resume = resume,
    .fin = fin,
    .close = ar_tcp_close,
    .peer = ar_tcp_peer,
    .queued = ar_tcp_queued,
};
