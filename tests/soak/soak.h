/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_SOAK_H
#define SMQTT_SOAK_H
/* The soak test: publishers, subscribers and shared groups with sessions that outlive their connections, which are cut
 * all the time, and an account of every message. One thread, one epoll set. All decisions (topics, sizes, where a
 * connection is cut and how) come from the seed; what they meet is up to the clock. */
#include <stdio.h>

#include "codec/packet.h"

enum {
    TOPICS = 6,   /* of each publisher; the last ones are retained */
    RETAINED = 2, /* how many of them */
    PUBS_MAX = 64,
    SUBS_MAX = 64,
    GROUPS_MAX = 8,
    FILTERS_MAX = 5, /* of a subscriber */
    CLIENTS_MAX = 256,
    IDS = 65535 /* packet identifiers 1..IDS */
};

struct flags {
    const char *host;
    unsigned port;
    uint64_t seed;
    unsigned qos;      /* of all publishers */
    unsigned messages; /* of all publishers together */
    unsigned pubs, subs, groups, members;
    unsigned window;    /* unacknowledged messages of a publisher */
    unsigned cut;       /* packets of a connection between two cuts, on the average; 0: no cuts */
    unsigned patience;  /* seconds without any progress after which what is missing is lost */
    unsigned asleep;    /* subscribers that stop reading and are not waited for */
    unsigned churn;     /* clients that subscribe and unsubscribe all the time */
    unsigned hups;      /* signals SIGHUP to `pid` during the load */
    long pid;           /* the broker; 0: unknown */
    bool checks_memory; /* the broker's, at the end */
    bool mortal;        /* the broker is killed and started again; a byte on the standard input says: no more */
};

/* ---- clients */

enum state { AWAY, ASKED, UP }; /* no connection, CONNECT was sent, CONNACK has come */

struct bytes {
    uint8_t *at;
    size_t len, cap;
};

struct soak;
struct client {
    struct soak *s;
    char id[48];
    enum smqtt_version version;
    bool clean;      /* no session that lasts */
    bool known;      /* the broker has its session */
    bool is_over;    /* never connects again */
    bool goes_soon;  /* the next turn cuts it */
    bool is_awaited; /* it closed in good order and waits for the broker to do so */
    bool asleep;     /* does not read */
    unsigned n_late; /* connections that were cut between CONNECT and CONNACK: each may still displace a newer one */
    enum state state;
    uint8_t reason; /* of a DISCONNECT that came */
    int fd, old_fd; /* old_fd: of the connection that a new one takes over; -1: none */
    struct bytes in, out;
    bool polls_out;
    uint64_t rng;
    uint32_t until_cut;   /* packets; 0: never */
    uint64_t back_ns;     /* when it connects again */
    uint16_t receive_max; /* what it announces; 0: nothing */
    uint16_t server_max;  /* what the broker announced */
    void (*up)(struct client *c);
    void (*packet)(struct client *c, const struct smq_packet *pkt);
    void *who; /* struct pub, sub */
};

/* ---- accounts */

/** What one reader (a subscriber or a group) got of one topic of one publisher. */
struct track {
    uint8_t qos;   /* with which it comes; NOT_WANTED: the reader has no filter for it */
    uint32_t next; /* after the highest number that came */
    uint32_t n;    /* different ones */
    uint8_t *bits; /* which */
    uint32_t cap;
};
enum { NOT_WANTED = 255 };

struct reader {
    struct track tracks[PUBS_MAX][TOPICS];
    bool is_group;
};

struct slot {
    uint8_t topic, state;
    bool again; /* PUBREL was sent in more than one connection */
    uint32_t number;
};
enum slot_state { SLOT_DONE, SLOT_PUBACK, SLOT_PUBREC, SLOT_PUBCOMP };

struct pub {
    struct client c;
    unsigned index;
    uint64_t total, head, tail; /* messages; the oldest not done; the next one */
    uint64_t rec;               /* the oldest that may wait for PUBREC */
    struct slot *slots;         /* ring of `window` */
    uint32_t numbers[TOPICS];   /* next number of each topic */
    uint32_t acked[TOPICS];     /* after the newest one that was acknowledged */
};

struct sub {
    struct client c;
    struct reader *reader;
    struct smq_filter filters[FILTERS_MAX];
    char text[FILTERS_MAX][64];
    uint32_t n_filters;
    bool is_in;      /* SUBACK has come */
    bool is_counted; /* not one that sleeps */
    uint32_t late;   /* acknowledgements that wait until so many are there */
    struct bytes acks;
    uint32_t n_acks, n_open; /* open: PUBLISH received here, PUBACK or PUBCOMP not yet sent */
    uint64_t *open;          /* by packet identifier, QoS 2: stamp + 1 of what waits for PUBREL */
    uint8_t *fresh;          /* by packet identifier: was it sent on this connection? */
    uint32_t n_ids;          /* entries of `open` */
};

struct seen {
    uint32_t next, kept; /* after the highest that came, after the retained one; 0: none came */
};

/** Subscribes and unsubscribes all the time. */
struct churner {
    struct client c;
    char filter[64];
    unsigned pub; /* whose topics */
    bool is_in, is_leaving;
    uint32_t n;
    uint32_t from[TOPICS];  /* published when SUBACK came */
    uint32_t acked[TOPICS]; /* acknowledged when it asked */
    struct seen seen[TOPICS];
};

/** What must stay zero, and what is merely counted. */
#define FAULTS(X)                                                                              \
    X(lost, "acknowledged and never delivered")                                                \
    X(doubled, "delivered twice, QoS 2 (or without a cut)")                                    \
    X(disordered, "first arrival behind a later one of the same publisher and topic")          \
    X(foreign, "never published, or not subscribed")                                           \
    X(damaged, "payload changed")                                                              \
    X(wrong_qos, "came with another QoS than it should")                                       \
    X(no_session, "the broker forgot a session, or kept one that was to go")                   \
    X(refused, "CONNACK, SUBACK or acknowledgement with a reason of failure")                  \
    X(closed, "the broker closed a connection that did nothing wrong")                         \
    X(wrong_ack, "an acknowledgement for nothing, or out of order")                            \
    X(no_dup, "sent again without DUP, or twice in one connection, or DUP for the first time") \
    X(too_many, "more unacknowledged than the receive maximum")                                \
    X(malformed, "a packet that the codec refuses")                                            \
    X(retained, "wrong retained message, or none")                                             \
    X(left, "sessions, subscriptions, messages or memory left in the broker")

struct counts {
#define X(name, text) uint64_t name;
    FAULTS(X)
#undef X
    uint64_t published, acked, delivered, again, cuts[8], resent, displaced, churned;
};

struct monitor;
struct soak {
    struct flags f;
    struct counts n;
    int epoll;
    uint64_t now_ns, moved_ns; /* moved: when a message came or was acknowledged last */
    uint32_t tag;              /* of this run, in every payload */
    bool is_loading;           /* cuts are allowed */
    struct pub *pubs;
    struct sub *subs; /* subscribers, members of groups, those that sleep */
    unsigned n_subs;
    struct churner *churners;
    struct reader *readers; /* of subs, then of groups */
    struct client *clients[CLIENTS_MAX];
    size_t n_clients;
    struct monitor *monitor;
    uint64_t rss_kib;       /* of the broker before the load; 0: unknown */
    unsigned said;          /* sentences about faults */
    uint64_t expected, got; /* deliveries: different ones */
};

/* main.c */
uint64_t chance(uint64_t *rng, uint64_t below);
uint64_t clock_ns(void);
/** One turn of the loop: at most `ms` milliseconds of waiting. */
void soak_turn(struct soak *s, int ms);
/** A sentence about a fault; only the first few are shown. */
void say(struct soak *s, const char *format, ...) SMQ_PRINTF(2, 3);

/* link.c: bytes, cuts and coming back */
void link_init(struct soak *s, struct client *c, const char *id, enum smqtt_version version);
void link_begin(struct client *c);
/** Cuts the connection as the client's chance has it, and lets it come back some milliseconds later. */
void link_cut(struct client *c);
/** The client ends for good, in good order. */
void link_end(struct client *c);
/** Closes at once and forgets what waits to be sent. */
void link_close(struct client *c);
/** It reads nothing any more. */
void link_sleep(struct client *c);
/** Closes and frees what it holds. */
void link_free(struct client *c);
void link_event(struct client *c, uint32_t events);
void link_flush(struct client *c);
void bytes_add(struct bytes *b, const void *data, size_t len);
void bytes_drop(struct bytes *b, size_t len);

/* wire.c: packets */
enum { HALF_NUMBER = 0xFFFFFFFF }; /* of messages that are never sent whole */
size_t wire_payload(const struct soak *s, unsigned pub, unsigned topic, uint32_t number, uint8_t *out);
void wire_send(struct client *c, const struct smq_packet *pkt);
void wire_ack(struct bytes *out, enum smq_type type, uint16_t id);
void wire_connect(struct client *c, bool clean);
void wire_disconnect(struct client *c, bool ends_session);
void wire_publish(struct client *c, unsigned pub, unsigned topic, uint32_t number, uint8_t qos, uint16_t id, bool dup);
size_t wire_topic(const struct soak *s, unsigned pub, unsigned topic, char *out, size_t cap);
/** Takes whole packets off `in` and tells the client. */
void wire_take(struct client *c);
/** False: not a payload of this run, or changed. */
bool wire_read_payload(const struct soak *s, smq_span payload, unsigned *pub, unsigned *topic, uint32_t *number);

/* pub.c */
void pub_init(struct soak *s, unsigned index);
void pub_free(struct pub *p);
void pub_pump(struct pub *p);
bool pub_is_done(const struct pub *p);

/* sub.c */
void sub_init(struct soak *s, struct sub *u, struct reader *reader, const char *id);
void sub_free(struct sub *u);
void sub_add_filter(struct sub *u, uint8_t qos, const char *format, ...) SMQ_PRINTF(3, 4);
/** Fills in which topics the reader gets, from the filters of `u`. */
void sub_wants(struct soak *s, struct sub *u);
/** Sends what acknowledgements waited. */
void sub_send_acks(struct sub *u);

/* account.c */
/** A message came. `qos` as delivered. */
void account_take(struct soak *s, struct sub *u, const struct smq_publish *p, uint64_t *stamp);
/** Everything published must be there: counts what is lost. */
void account_end(struct soak *s);
void account_free(struct soak *s);

/* churn.c */
void churn_init(struct soak *s, struct churner *h, unsigned index);
/** Is it subscribed, and has it what was retained before it asked? */
bool churn_is_served(const struct churner *h);
/** When nothing moves any more: counts what it should have got. */
void churn_end(struct churner *h);

/* watch.c: what the broker has left */
/** Begins to listen to $SYS, and notes the broker's memory as it is before the load. */
void watch_begin(struct soak *s);
/** All other clients have ended: nothing of them may be left. */
void watch_end(struct soak *s);
/** New subscribers get the newest value of each retained topic; then all are removed, and nobody gets any. */
void watch_retained(struct soak *s);

#endif
