/* TLS settings, shared by the streams made of them and by all workers. Thread-safe after
 * construction; counted. */
#ifndef AR_IO_TLS_H
#define AR_IO_TLS_H

#include "base/str.h"

struct ar_tls;

/* Server side: PEM certificate chain and key files. NULL and err: unreadable, or key and
 * certificate do not fit. */
struct ar_tls *ar_tls_server(const char *cert_file, const char *key_file, struct ar_err *err);
/* Client side: system trust store, or ca_file (NULL: system) instead. insecure: no verification at
 * all. ALPN http/1.1, sessions are kept per host and resumed. */
struct ar_tls *ar_tls_client(const char *ca_file, bool insecure, struct ar_err *err);
struct ar_tls *ar_tls_ref(struct ar_tls *t);
void ar_tls_unref(struct ar_tls *t); /* NULL-safe */

#endif
