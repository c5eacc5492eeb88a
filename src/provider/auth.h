/* Proofs that depend on the request or must be fetched first: what a row of auth.def has besides a
 * header. The call prepares until it may sign, then signs what it is about to send. Private to
 * provider/. Loop thread only. */
#ifndef AR_PROVIDER_AUTH_H
#define AR_PROVIDER_AUTH_H

#include "provider/provider.h"
#include "provider/tokens.h"

enum { AR_AUTH_ADDS = 4, AR_AUTH_MASKS = 3 };

/* One call's proof. All but wait and the results is borrowed and filled by the call. */
struct ar_auth_job {
    const struct ar_call_spec *spec;
    const struct ar_header *headers; /* that go out besides ours */
    unsigned header_count;
    const struct ar_str *parts; /* the final body */
    unsigned part_count;
    int64_t now_unix;
    struct ar_arena *arena;
    struct ar_token_wait wait;
    struct ar_str token; /* of prepare; arena */
    struct ar_header add[AR_AUTH_ADDS];
    unsigned add_count;
    struct ar_str masks[AR_AUTH_MASKS]; /* further secrets that may not be shown; n 0: none */
};

struct ar_auth_scheme {
    const char *name;
    /* READY: sign may be called. PENDING: the spec's waker wakes. FAILED: err. NULL: at once. */
    enum ar_poll (*prepare)(struct ar_auth_job *j, struct ar_err *err);
    /* Fills add and masks. Errors: AR_UPSTREAM_CREDENTIALS, AR_TOO_LARGE. */
    enum ar_code (*sign)(struct ar_auth_job *j, struct ar_err *err);
};
extern const struct ar_auth_scheme ar_auth_google, ar_auth_aws;
/* NULL: a header is all (ar_auth_put). */
const struct ar_auth_scheme *ar_auth_scheme_of(enum ar_auth a);

/* adapt.c. A body of the dialect as some places want it: the model in the path and the API version
 * in the body, betas beside it. */
struct ar_body_form {
    const char *version; /* value of anthropic_version */
    unsigned betas;      /* bit of its column in betas.def */
    bool keeps_stream;
    const char *accept_stream; /* value of accept for a stream; NULL: the usual */
};
/* NULL: the place takes the dialect's own. */
const struct ar_body_form *ar_body_form_of(const struct ar_call_spec *s);
/* Writes body in that form. betas: of the header, with commas. model: in the body where it must
 * stay (token counts). Errors: AR_INVALID_REQUEST, AR_TOO_LARGE. */
struct ar_adapt {
    const struct ar_body_form *form;
    struct ar_str body;
    const struct ar_jdoc *doc; /* tape of body; NULL: parsed here */
    struct ar_str model, betas;
    bool keeps_model;
};
enum ar_code ar_body_adapt(const struct ar_adapt *how, struct ar_arena *a, struct ar_buf *out,
                           struct ar_err *err) AR_MUST;

#endif
