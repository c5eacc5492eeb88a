/* Intrusive doubly linked list: the node lives in the object, so linking never allocates. A head is
 * a node that points to itself when empty. One thread at a time. */
#ifndef AR_BASE_LIST_H
#define AR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ar_node {
    struct ar_node *prev, *next;
};

/* The object that holds node. The static analyzer does not see that taking a node off changes its
 * head, and would report every loop that frees what it takes off: it is shown a function it cannot
 * look into. */
#ifdef __clang_analyzer__
void *ar_node_holder(const struct ar_node *node);
#define AR_HOLDER(node, type, member) ((type *)ar_node_holder(node))
#else
#define AR_HOLDER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))
#endif

static inline void ar_list_init(struct ar_node *head)
{
    head->prev = head->next = head;
}

static inline bool ar_list_is_empty(const struct ar_node *head)
{
    return head->next == head;
}

/* A node that is in no list is zeroed or points to itself. */
static inline bool ar_list_is_linked(const struct ar_node *node)
{
    return node->next != NULL && node->next != node;
}

static inline void ar_list_append(struct ar_node *head, struct ar_node *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void ar_list_prepend(struct ar_node *head, struct ar_node *node)
{
    ar_list_append(head->next, node);
}

static inline void ar_list_remove(struct ar_node *node)
{
    if (node->next) {
        node->prev->next = node->next;
        node->next->prev = node->prev;
        node->prev = node->next = NULL;
    }
}

#endif
