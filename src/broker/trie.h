/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_TRIE_H
#define SMQTT_BROKER_TRIE_H
/* Who subscribed to what: a tree over the levels of filters, `+` and `#` in it. A group of a shared
 * subscription is a subscriber like any other (broker/share.h). To subscribe, to
 * unsubscribe and to find a subscription take the same time however many there are; to match costs the branches that
 * match. */
#include "base/list.h"
#include "broker/tree.h"

struct smq_trie_level;

/** Options of a subscription: the byte of MQTT 5.0. */
enum { SMQ_SUB_QOS = 3, SMQ_SUB_NO_LOCAL = 4, SMQ_SUB_RAP = 8 };

/** What the trie knows of a session; embedded in it. */
struct smq_subscriber {
    uint64_t hash;  /* random: for the table of subscriptions */
    uint32_t first; /* of its subscriptions; 0: none */
    uint32_t n;
    uint32_t mark, index; /* stamp of the last match, and where it stands in its result */
    bool is_group;        /* not a session: broker/share.h */
};

/* Subscriptions and nodes live in pools and name each other by 32 bits, 0: none. */

/** One subscription of one session. */
struct smq_sub {
    struct smq_subscriber *who;
    uint32_t node;
    uint32_t next, prev; /* in the list of the node */
    uint32_t who_next, who_prev;
    uint32_t terms; /* its identifier, which has 28 bits (0: none), and 4 bits of options */
};

struct smq_trie_node {
    struct smq_tree_node tree;
    uint32_t plus, hash; /* the children of these names */
    uint32_t subs;
};

struct smq_sub_slot {
    uint32_t sub; /* 0: free */
    uint32_t tag;
};

/** One that shall get the message. Several overlapping subscriptions of a session are one receiver with the highest
 * QoS [MQTT-3.3.5-1] and all identifiers [MQTT-3.3.4-3]. */
struct smq_receiver {
    struct smq_subscriber *who;
    uint32_t id;   /* first subscription identifier; 0: none */
    uint32_t more; /* 1 + index in smq_match.more; 0: no more */
    uint8_t qos;
    bool rap;
};

struct smq_more_id {
    uint32_t id, more;
};

struct smq_match {
    struct smq_receiver *receivers;
    size_t n, cap;
    struct smq_more_id *more;
    size_t n_more, cap_more;
};

enum { SMQ_LAST_TOPIC_MAX = 128 };

/** A filter has its first subscription (`begins`), or lost its last. The filter is borrowed during the call, which must
 * not change the trie. */
typedef void (*smq_trie_fn)(void *ctx, smq_span filter, bool begins);

struct smq_trie {
    struct smq_tree tree;
    struct smq_pool subs;
    smq_trie_fn changed; /* NULL: nobody wants to know */
    void *ctx;
    struct smq_sub_slot *slots; /* (subscriber, node) -> subscription */
    size_t mask, n;
    uint32_t mark;
    struct smq_match match; /* of the last call */
    /* Messages often come in a row on one topic: the last match is used again while nothing changed. */
    const struct smq_subscriber *last_from;
    uint16_t last_len;    /* 0: cannot be used again */
    bool last_cares_from; /* No Local was among the subscriptions */
    uint8_t last_topic[SMQ_LAST_TOPIC_MAX];
    struct smq_trie_level *levels;
    size_t n_levels;
};

/** SMQTT_E_NOMEM. `key` is random. */
SMQ_MUST_USE smqtt_err smq_trie_init(struct smq_trie *t, const struct smqtt_mem *mem, const uint8_t key[16]);
/** All subscriptions must be gone. */
void smq_trie_deinit(struct smq_trie *t);
/** Empty; hash is random. */
void smq_subscriber_init(struct smq_subscriber *s, uint64_t hash);
/**
 * Subscribes, or changes the options of the subscription that is there.
 * @param filter  checked, without `$share/group/`
 * @param id  subscription identifier, at most 268,435,455; 0: none
 * @param[out] existed  it was there before
 * @retval SMQTT_E_NOMEM  nothing changed
 */
SMQ_MUST_USE smqtt_err smq_trie_subscribe(struct smq_trie *t, struct smq_subscriber *who, smq_span filter,
                                          uint8_t options, uint32_t id, bool *existed);
/** Is there this very subscription? */
bool smq_trie_has(const struct smq_trie *t, const struct smq_subscriber *who, smq_span filter);
/** False when there was no such subscription. */
bool smq_trie_unsubscribe(struct smq_trie *t, struct smq_subscriber *who, smq_span filter);
/** Ends all subscriptions of the session. */
void smq_trie_drop(struct smq_trie *t, struct smq_subscriber *who);
/**
 * Everyone who shall get a message on `topic`.
 * @param from  the publisher, for No Local; NULL: nobody
 * @param[out] out  valid until the next call; its subscribers may not be freed meanwhile
 * @retval SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_trie_match(struct smq_trie *t, smq_span topic, const struct smq_subscriber *from,
                                      const struct smq_match **out);
/** The same, of those only whose filter names the first level of the topic and does not begin with a wildcard. */
SMQ_MUST_USE smqtt_err smq_trie_match_by_name(struct smq_trie *t, smq_span topic, const struct smq_match **out);
/** The next identifier of a receiver: start with *more = receiver->more. 0 at the end. */
static inline uint32_t smq_match_next_id(const struct smq_match *m, uint32_t *more)
{
    if (*more == 0) {
        return 0;
    }
    const struct smq_more_id *e = &m->more[*more - 1];
    *more = e->more;
    return e->id;
}

#endif
