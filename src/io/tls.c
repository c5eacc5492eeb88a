/*
 * TLS settings: one OpenSSL context a server certificate or a client trust choice, counted and
 * shared by all workers, and for clients the table of sessions to resume.
 *
 * Owns the context, the BIO method of its links (tls_link.c) and the sessions: a small table by
 * hash of host and port, where a newer host takes an older one's place. Only the table needs its
 * lock; a context is read-only once built. Never asks for a passphrase.
 */
#include "io/tls_impl.h"

#include "base/hash.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

static const unsigned char ALPN[] = "\x08http/1.1";

void ar_tls_reason(char *ret, size_t n)
{
    unsigned long e = ERR_peek_error(); /* the first is the cause */
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    if (text) {
        (void)snprintf(ret, n, "%s", text);
    } else if (e && ERR_SYSTEM_ERROR(e)) {
        (void)uv_strerror_r(uv_translate_sys_error(ERR_GET_REASON(e)), ret, n);
    } else {
        (void)snprintf(ret, n, "failed");
    }
    ERR_clear_error();
}

static int no_passphrase(char *buf, int size, int rwflag, void *user)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)user;
    return 0;
}

static int pick_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                     const unsigned char *in, unsigned in_n, void *user)
{
    (void)ssl;
    (void)user;
    for (unsigned i = 0; i + 1 <= in_n; i += in[i] + 1u) {
        if (in[i] == ALPN[0] && i + 9 <= in_n && memcmp(in + i, ALPN, 9) == 0) {
            *out = in + i + 1;
            *out_n = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static struct ar_tls *create(const SSL_METHOD *method)
{
    struct ar_tls *t = ar_io_alloc(sizeof *t);
    atomic_init(&t->refs, 1);
    AR_ASSERT(uv_mutex_init(&t->mutex) == 0);
    t->bio = ar_tls_bio_method();
    t->ctx = SSL_CTX_new(method);
    AR_ASSERT(t->ctx != NULL && t->bio != NULL);
    (void)SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(t->ctx, no_passphrase);
    return t;
}

/* What is wrong with a file, in words; frees t. */
static struct ar_tls *refuse(struct ar_tls *t, const char *what, const char *file,
                             struct ar_err *err)
{
    char text[100];
    ar_tls_reason(text, sizeof text);
    (void)ar_fail(err, AR_INVALID_REQUEST, "%s %s: %s", what, file, text);
    ar_tls_unref(t);
    return NULL;
}

struct ar_tls *ar_tls_server(const char *cert_file, const char *key_file, struct ar_err *err)
{
    static const unsigned char ID[] = "anyrouter";
    struct ar_tls *t = create(TLS_server_method());
    t->server = true;
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(t->ctx, cert_file) != 1) {
        return refuse(t, "certificate", cert_file, err);
    }
    if (SSL_CTX_use_PrivateKey_file(t->ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(t->ctx) != 1) {
        return refuse(t, "key", key_file, err);
    }
    (void)SSL_CTX_set_session_id_context(t->ctx, ID, sizeof ID - 1);
    (void)SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF); /* tickets carry it all */
    (void)SSL_CTX_set_num_tickets(t->ctx, 1);
    SSL_CTX_set_alpn_select_cb(t->ctx, pick_alpn, NULL);
    return t;
}

struct ar_tls *ar_tls_client(const char *ca_file, bool insecure, struct ar_err *err)
{
    struct ar_tls *t = create(TLS_client_method());
    ERR_clear_error();
    if (ca_file && SSL_CTX_load_verify_file(t->ctx, ca_file) != 1) {
        return refuse(t, "trusted certificates", ca_file, err);
    }
    if (!ca_file && !insecure && SSL_CTX_set_default_verify_paths(t->ctx) != 1) {
        return refuse(t, "trusted certificates", "of the system", err);
    }
    SSL_CTX_set_verify(t->ctx, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    t->insecure = insecure;
    (void)SSL_CTX_set_alpn_protos(t->ctx, ALPN, sizeof ALPN - 1);
    (void)SSL_CTX_set_session_cache_mode(t->ctx,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(t->ctx, ar_tls_on_session);
    return t;
}

struct ar_tls *ar_tls_ref(struct ar_tls *t)
{
    if (t) {
        (void)atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    }
    return t;
}

void ar_tls_unref(struct ar_tls *t)
{
    /* acq_rel: who frees has seen what all others did with it */
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (int i = 0; i < AR_TLS_SESSIONS; i++) {
        SSL_SESSION_free(t->sessions[i].session);
    }
    SSL_CTX_free(t->ctx);
    BIO_meth_free(t->bio);
    uv_mutex_destroy(&t->mutex);
    free(t);
}

void ar_tls_keep_session(struct ar_tls *t, struct ar_str key, SSL_SESSION *session)
{
    struct ar_tls_session *row = &t->sessions[ar_hash64(key, 1) % AR_TLS_SESSIONS];
    SSL_SESSION *old = session;
    uv_mutex_lock(&t->mutex);
    if (key.n < sizeof row->key) {
        old = row->session;
        row->session = session;
        memcpy(row->key, key.p, key.n);
        row->key[key.n] = '\0';
    }
    uv_mutex_unlock(&t->mutex);
    SSL_SESSION_free(old);
}

SSL_SESSION *ar_tls_find_session(struct ar_tls *t, struct ar_str key)
{
    struct ar_tls_session *row = &t->sessions[ar_hash64(key, 1) % AR_TLS_SESSIONS];
    SSL_SESSION *session = NULL;
    uv_mutex_lock(&t->mutex);
    if (row->session && ar_str_is(ar_str_of(row->key), key) &&
        SSL_SESSION_is_resumable(row->session)) {
        session = row->session;
        (void)SSL_SESSION_up_ref(session);
    }
    uv_mutex_unlock(&t->mutex);
    return session;
}
