/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_SIM_ORACLE_H
#define SMQTT_TESTS_SIM_ORACLE_H
/* What must be true, told by what clients see and what was acknowledged to them. Sessions are numbers of actors; sets
 * of them are bits. Where the network leaves open whether the broker heard of something, both are right. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <smqtt/client.h>

struct sim;
struct actor;
struct link;

enum { MSGS_MAX = 6000, TOPICS = 10, FILTERS = 13, SESSIONS = 24, GROUPS = 2, MSG_NONE = UINT32_MAX };

/** How sure is it that something is there? */
enum surely { SURELY_NOT, MAYBE, SURELY };

enum will_state {
    WILL_NONE,     /* no will */
    WILL_ARMED,    /* its connection lives */
    WILL_MAY,      /* it may have fired, or may yet */
    WILL_DUE,      /* it fires at will_us, unless its client comes back before */
    WILL_MUST,     /* it has fired, or does at once */
    WILL_CANCELLED /* it never fires */
};

/** What a worker had written when something happened. */
struct mark {
    uint64_t number;
    uint32_t life; /* of the broker */
    uint8_t worker;
    bool was_lost; /* a crash came before it was committed */
};

struct msg {
    uint64_t owed, got, got2;                      /* sessions that must get it, that have got it, and with QoS 2 */
    uint64_t expected;                             /* who was to get it when it was published */
    uint64_t asked, acked;                         /* turns of the oracle's clock; acked 0: not yet */
    uint64_t asked_us, acked_us, will_us, late_us; /* late: when a will fires at the latest */
    struct mark mark;                              /* will: when it was cancelled */
    uint32_t size, expiry_s, delay_s;
    uint8_t actor, topic, qos, will;
    uint8_t groups, got_groups, got_groups2; /* bits of shared groups */
    bool retain, removal;                    /* removal: an empty retained message */
    bool resent;                             /* its publisher sent it on more than one connection */
    bool may_double;                         /* its publisher's session was lost, or it failed */
    bool refused;
    bool unstored; /* will: of a session that is not stored */
    uint32_t life; /* of the broker when it was published first */
};

struct sub {
    enum surely there;
    bool ever;   /* in this session */
    bool asking; /* SUBSCRIBE is under way */
    uint8_t qos, options;
    uint64_t since; /* clock at SUBACK */
    uint64_t asked; /* clock at the first SUBSCRIBE of this session */
};

struct session {
    enum surely there;
    bool connected;                      /* CONNACK came, and the connection lives as far as the client knows */
    bool online;                         /* the broker has a connection of it */
    bool maybe_online;                   /* or may have one that got no CONNACK */
    bool clean;                          /* what the CONNECT under way asks for */
    bool may_get_twice;                  /* its client forgot what it had */
    uint32_t expiry_min_s, expiry_max_s; /* in force */
    uint32_t asks_expiry_s;
    uint64_t away_us;         /* since when the broker knows that it is away, */
    uint64_t away_late_us;    /* or, as a crash may have made it forget, thinks so */
    uint32_t expiry_before_s; /* before its DISCONNECT changed it */
    struct mark gone;         /* of its end */
    uint64_t asked;           /* clock of its last CONNECT */
    uint64_t asked_us, up_us;
    struct sub subs[FILTERS];
    uint64_t last[SESSIONS][TOPICS][3][3]; /* asked + 1 of the newest by publisher, topic, QoS sent and got */
    uint32_t max_packet;                   /* the least of all its connections; 0: no limit */
    uint32_t will, old_will;               /* of the connection that lives, of the one before */
};

struct oracle {
    uint64_t clock; /* counts what clients do and see */
    struct msg *msgs;
    uint32_t n;
    struct session sessions[SESSIONS];
    bool match[FILTERS][TOPICS];
    bool lossy;       /* queues have a limit: what waits may be dropped */
    uint64_t crashed; /* clock of the last crash */
    uint64_t crashed_us;
    uint32_t late[TOPICS]; /* what the late one saw */
};

extern const char *const oracle_topics[TOPICS];
extern const char *const oracle_filters[FILTERS];
/** Filters from here on are for shared groups, one each; from ORACLE_WILLS on topics are of wills. */
enum { FILTER_SHARED = 10, FILTER_ALL = 9, FILTER_SEALED = 12, TOPIC_SHARED = 5, TOPIC_WILLS = 7, TOPIC_SEALED = 9 };

void oracle_init(struct sim *s);
void oracle_free(struct sim *s);

/* what clients do */
void oracle_connecting(struct sim *s, struct actor *a);
/** Is the session that it finds the one that it had? One that ended may have been made anew by a connection of which
 * its client saw nothing. */
bool oracle_has_session(const struct sim *s, const struct actor *a);
void oracle_connected(struct sim *s, struct actor *a, bool present);
/** The client sees its connection end. heard: the broker may know of it; lives: and has not
 * seen its end. */
void oracle_ended(struct sim *s, struct actor *a, bool heard, bool lives);
/** A new message of this actor; its number. */
uint32_t oracle_publish(struct sim *s, struct actor *a, unsigned topic, uint8_t qos, bool retain, uint32_t size,
                        uint32_t expiry_s);
/** It was not taken by the client's own library. */
void oracle_unpublish(struct sim *s, uint32_t msg);
void oracle_acknowledged(struct sim *s, struct actor *a, uint32_t msg, uint8_t reason);
/** What it had under way goes out again; lost: as new messages. */
void oracle_resent(struct sim *s, uint32_t msg, bool lost);
void oracle_subscribing(struct sim *s, struct actor *a, unsigned filter, uint8_t options);
void oracle_subscribed(struct sim *s, struct actor *a, unsigned filter, uint8_t code);
void oracle_unsubscribing(struct sim *s, struct actor *a, unsigned filter);
void oracle_unsubscribed(struct sim *s, struct actor *a, unsigned filter);
void oracle_message(struct sim *s, struct actor *a, const struct smqtt_client_event *ev);

/* what happens to the broker */
/** A connection ended at the broker. current: no other one of its client has taken its place. */
void oracle_gone(struct sim *s, const struct link *l, bool current);
void oracle_crashed(struct sim *s);
void oracle_restarted(struct sim *s);

/* wills (oracle_will.c) */
uint32_t oracle_will(struct sim *s, struct actor *a, unsigned topic, uint8_t qos, uint32_t delay_s);
void oracle_will_ended(struct sim *s, const struct link *l, bool said, bool current);
/** The session of this actor goes on (resumed) or ends: what becomes of a will that waits? */
/** The broker was killed, and started again. */
void oracle_wills_crashed(struct sim *s);
void oracle_will_restarted(struct sim *s, unsigned actor);
void oracle_will_back(struct sim *s, unsigned actor, bool resumed);
/** A connection came and went, and nobody knows whether the broker heard of it. */
void oracle_will_unsure(struct sim *s, unsigned actor);
void oracle_wills_tick(struct sim *s);
void oracle_will_got(struct sim *s, struct actor *a, uint32_t msg);

/* retained messages (oracle_retain.c) */
void oracle_retained_got(struct sim *s, struct actor *a, uint32_t msg);

/** The payload of a message; at least `size` bytes of room. */
void oracle_payload(const struct sim *s, uint32_t msg, uint8_t *out);
/** The message with this payload, or MSG_NONE: nobody wrote that. */
uint32_t oracle_read(const struct sim *s, struct smqtt_span payload);
/** Who must get a message that is published now, or a will whose connection began to end at clock `by`: those that
 * were subscribed then. */
void oracle_owe(struct sim *s, uint32_t msg, uint64_t by);
/** Everything is quiet: what is owed was delivered. */
void oracle_check_end(struct sim *s);
/** What the late one saw. */
void oracle_check_retained(struct sim *s, const struct actor *late);

#endif
