/* Inside the folder: the content of a message, gathered before it is written. All of it lives in
 * the encoding's arena; without memory a piece is left out and the arena's state tells. */
#ifndef AR_DIALECT_CHAT_MESSAGE_WRITE_H
#define AR_DIALECT_CHAT_MESSAGE_WRITE_H

#include "dialect/chat/request_write.h"

/* One part of a message. */
struct ar_chat_bit {
    struct ar_chat_bit *next;
    struct ar_str text;           /* esc */
    const struct ar_block *media; /* or a part */
    const struct ar_block *mark;  /* the block whose cache mark it carries, or NULL */
};
struct ar_chat_pieces {
    struct ar_chat_bit *first, **tail;
    unsigned n, media;
    bool marked;
};

void ar_chat_start_pieces(struct ar_chat_pieces *ps);
/* text: esc. from: the block whose cache mark it carries, or NULL. */
void ar_chat_add_text(struct ar_chat_enc *e, struct ar_chat_pieces *ps, struct ar_str esc,
                      const struct ar_block *from);
void ar_chat_add_media(struct ar_chat_enc *e, struct ar_chat_pieces *ps, const struct ar_block *b);
/* A user's block as pieces; tool results are written apart. */
void ar_chat_gather(struct ar_chat_enc *e, struct ar_chat_pieces *ps, const struct ar_block *b);
/* A message of the role with the pieces as its content. name: n 0, none. */
void ar_chat_put_message(struct ar_chat_enc *e, const char *role, struct ar_str name,
                         const struct ar_chat_pieces *ps);

/* A JSON string made of several spans. */
void ar_chat_open_string(struct ar_jw *w);
void ar_chat_close_string(struct ar_jw *w);

struct ar_str ar_chat_summary_text(struct ar_chat_enc *e, const struct ar_block *b);
/* Notes the loss of what only the block's own vendor can read. */
void ar_chat_lose_block(struct ar_chat_enc *e, const struct ar_block *b);

/* message_write_assistant.c: the turns from..end (NULL: to the last) as one message. */
void ar_chat_put_assistant(struct ar_chat_enc *e, const struct ar_turn *from,
                           const struct ar_turn *end);

#endif
