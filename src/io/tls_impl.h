/* What tls.c and tls_link.c share; the one place that includes OpenSSL's TLS. Nobody outside io/
 * includes it. */
#ifndef AR_IO_TLS_IMPL_H
#define AR_IO_TLS_IMPL_H

#include "io/impl.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

enum { AR_TLS_SESSIONS = 64, AR_TLS_OUT = 65536 };

struct ar_tls_session {
    SSL_SESSION *session; /* owns; NULL: none */
    char key[264];        /* host:port */
};
struct ar_tls {
    atomic_uint refs;
    SSL_CTX *ctx;
    BIO_METHOD *bio;
    bool server, insecure;
    uv_mutex_t mutex; /* guards sessions */
    struct ar_tls_session sessions[AR_TLS_SESSIONS];
};

/* The newest error of OpenSSL's queue in words; empties the queue. */
void ar_tls_reason(char *ret, size_t n);
BIO_METHOD *ar_tls_bio_method(void);
bool ar_tls_is_resumed(const struct ar_tcp *t); /* for tests */
/* OpenSSL's callback for a new session. */
int ar_tls_on_session(SSL *ssl, SSL_SESSION *session);
/* Takes session. Any thread. */
void ar_tls_keep_session(struct ar_tls *t, struct ar_str key, SSL_SESSION *session);
/* A reference for the caller, or NULL. Any thread. */
SSL_SESSION *ar_tls_find_session(struct ar_tls *t, struct ar_str key);

#endif
