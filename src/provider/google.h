/* Credentials of Google Cloud: the JSON of a service account or of a signed-in user, and the
 * request that turns them into an access token (OAuth 2.0, RFC 7523 and RFC 6749 section 6; "Using
 * OAuth 2.0 for Server to Server Applications"). Pure; any thread. */
#ifndef AR_PROVIDER_GOOGLE_H
#define AR_PROVIDER_GOOGLE_H

#include "base/arena.h"

struct ar_google_key {
    bool of_user;                 /* authorized_user: a refresh token; else a service account */
    struct ar_str token_uri;      /* http(s) URL */
    struct ar_str project;        /* n 0: the file names none */
    struct ar_str email, id, pem; /* service account */
    struct ar_str client_id, client_secret, refresh_token; /* user */
};

/* Is a secret such JSON? Anything else is taken for an access token. */
static inline bool ar_google_is_key(struct ar_str secret)
{
    return ar_str_has_prefix(ar_str_trim(secret), AR_LIT("{"));
}
/* "metadata:HOST[:PORT]": the metadata server of a machine of Google's gives the token itself. */
#define AR_GOOGLE_METADATA "metadata:"
static inline bool ar_google_is_metadata(struct ar_str secret)
{
    return ar_str_has_prefix(secret, AR_LIT(AR_GOOGLE_METADATA));
}
/* Texts: arena or json. Errors: AR_INVALID_REQUEST, saying what is missing, never a value. */
enum ar_code ar_google_key_read(struct ar_str json, struct ar_arena *a, struct ar_google_key *ret,
                                struct ar_err *err) AR_MUST;
/* Form body of the token request; arena. The assertion is good for an hour from now. Errors:
 * AR_UPSTREAM_CREDENTIALS: the key cannot sign; AR_TOO_LARGE. */
enum ar_code ar_google_token_body(const struct ar_google_key *k, int64_t now_unix,
                                  struct ar_arena *a, struct ar_str *ret,
                                  struct ar_err *err) AR_MUST;
/* What the token endpoint answered. Token: arena. Errors: AR_UPSTREAM_CREDENTIALS: refused;
 * AR_UPSTREAM_ERROR: no such answer; the note says why. */
enum ar_code ar_google_token_read(int status, struct ar_str body, struct ar_arena *a,
                                  struct ar_str *ret_token, int64_t *ret_lives_ms,
                                  struct ar_err *err) AR_MUST;

#endif
