/* What keeps a server from starting, asked by serve and by config check alike. */
#ifndef AR_CLI_STARTUP_H
#define AR_CLI_STARTUP_H

#include "conf/config.h"

struct ar_tls;
struct ar_upstreams;
enum { AR_LISTENERS_MAX = 16 };

/* "host:port" or "[v6]:port" taken apart; "*" and "": every address. AR_INVALID_REQUEST. */
enum ar_code ar_listen_address(struct ar_str text, struct ar_str *ret_host,
                               uint16_t *ret_port) AR_MUST;
/* Has listen an address that is no loopback address? */
bool ar_startup_is_public(const struct ar_config *c);
/* Addresses, who could be let in, certificate and key. *ret_tls: the listeners' settings, owned by
 * the caller; NULL without TLS. Errors: AR_INVALID_REQUEST. */
enum ar_code ar_startup_check(const struct ar_config *c, const struct ar_upstreams *u,
                              struct ar_tls **ret_tls, struct ar_err *err) AR_MUST;
/* The part that a reload may break: nobody outside can spend the operator's keys unasked, and
 * somebody can be let in, and the certificates that upstreams name can be read. */
enum ar_code ar_startup_check_again(const struct ar_config *c, const struct ar_upstreams *u,
                                    bool is_public, struct ar_err *err) AR_MUST;

#endif
