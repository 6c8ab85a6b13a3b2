/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_BENCH_BENCH_H
#define SMQTT_APPS_BENCH_BENCH_H
/* The load generator: one thread, one epoll loop, all clients. What happens for each message allocates nothing: a
 * PUBLISH is a prepared packet with its numbers filled in, incoming packets are looked at where they lie, and each
 * connection writes once per turn of the loop. The codec of src/codec makes and reads what comes once per connection
 * (CONNECT, CONNACK, SUBSCRIBE, SUBACK, DISCONNECT, DETECT); it is left out for PUBLISH and its acknowledgements,
 * because checking every string again would make the generator slower than what it measures. */
#include "codec/packet.h"
#include "flags.h"
#include "hist.h"
#include "proc.h"
#include "track.h"

struct bench;
struct sealed;
struct sockaddr_list;
struct ssl_st;
struct scenario;

enum { BENCH_STAMP = 16, BENCH_MAX_TRACKS = 4000000, BENCH_PHASES = 8, BENCH_ADDRESSES = 64 };
#define BENCH_MAGIC 0x424d5153u /* "SQMB" in memory; with the run's mark in it */

/** What stands at the start of each payload of at least BENCH_STAMP bytes; how, is bench_stamp_write's. */
struct bench_stamp {
    uint32_t publisher; /* 24 bits of it */
    uint64_t number;    /* 40 bits of it */
    uint64_t sent_ns;   /* 48 bits of it: unique within three days */
};

enum client_state {
    CLIENT_NEW,
    CLIENT_CONNECTING,
    CLIENT_SHAKES_HANDS, /* TLS */
    CLIENT_AWAITS_CONNACK,
    CLIENT_READY,
    CLIENT_OVER
};

/** Bytes at the sockets of those who publish and of all others, from the client's sight. */
enum bench_side { BENCH_PUBLISHERS, BENCH_OTHERS, BENCH_SIDES };
struct bench_bytes {
    uint64_t out, in;
};

struct bench_pub {
    struct client *client;
    uint8_t *packet;                                    /* prepared */
    size_t len, id_at, stamp_at, digits_at, digits_end; /* 0: has none */
    uint64_t n_topics;                                  /* with digits: that many in turn */
    uint64_t sent, limit;                               /* limit FLAG_ABSENT: none */
    uint64_t first_topic;
    uint64_t fan;     /* receivers of each message in this run */
    uint64_t arrived; /* copies that came, or were given up */
    uint32_t number, unacked, window, batch;
    uint16_t n_ids, last_id;
    uint8_t *ids;     /* state of each identifier 1..n_ids, QoS 1 and 2 */
    bool is_ready;    /* in the list of those that may have something to send */
    bool asked_again; /* rate: its next message is due */
};

struct bench_sub {
    struct client *client;
    struct track *tracks; /* of publishers first..first+n-1 */
    uint32_t first, n;
    uint64_t received;
};

struct client {
    struct bench *b;
    uint32_t number;
    int fd;
    enum client_state state;
    bool waits_for_out, is_dirty, wants_close, detects; /* CONNACK announces DETECT */
    uint16_t receive_max;
    uint8_t *out;
    size_t out_at, out_len, out_cap;
    uint8_t *rest; /* of a packet that is not whole yet */
    size_t rest_len, rest_cap;
    struct bench_pub *pub;
    struct bench_sub *sub;
    struct sealed *sealed;
    struct ssl_st *tls;
    uint64_t tls_in, tls_out;             /* counted so far */
    uint64_t filters_asked, filters_made; /* confirmed */
    uint64_t last_out_ns;
    char id[80];
};

/** One measured part of a run. */
struct bench_phase {
    const char *name, *unit;
    uint64_t n;
    double seconds;
    double own_cpu_s; /* of the generator */
    uint64_t sent;    /* messages that left in it */
    struct proc_use before, after;
    struct bench_bytes bytes[BENCH_SIDES];
};

/** One point of the picture. */
struct bench_point {
    double at_s, rate;
    uint64_t p50_ns, p99_ns;
};

struct bench_counters {
    uint64_t sent, acked, delivered, unknown, connected, failed, refused, lost_connections, bad_packets, stalls,
        sealed_open, sealed_refused;
    uint64_t lost, twice, late; /* reckoned at the end */
};

struct bench_load {
    bool is_on, is_over;
    uint64_t start_ns, rate_sent, last_arrival_ns;
    uint32_t *ready; /* numbers of publishers */
    uint32_t n_ready, turn;
};

struct bench {
    struct bench_flags flags;
    const struct scenario *scenario;
    int epoll;
    uint64_t now_ns, begin_ns;
    struct client *clients;
    uint32_t n_clients, n_opened, n_under_way, n_up;
    struct bench_pub *pubs;
    uint32_t n_pubs;
    struct bench_sub *subs;
    uint32_t n_subs;
    struct client **dirty;
    uint32_t n_dirty;
    uint8_t *in;
    size_t in_size;
    struct bench_load load;
    uint64_t connect_start_ns;
    uint64_t filters_next; /* subscriptions: next to ask for */
    struct hist hist, slot;
    struct bench_counters n;
    struct bench_bytes bytes[BENCH_SIDES];
    struct bench_phase phases[BENCH_PHASES];
    size_t n_phases;
    struct bench_point *points;
    size_t n_points, cap_points;
    uint64_t slot_ns, slot_delivered, slot_sent;
    bool is_measuring, storm, has_explained; /* why connections fail */
    uint32_t run_tag;
    struct sockaddr_list *addresses;
};

/** Nanoseconds of the monotonic clock. */
uint64_t bench_clock(void);
/** Ctrl-C was pressed, or SIGTERM came. */
bool bench_interrupted(void);
/** Turns the loop until `done` says so. False when `until_ns` (0: never) has passed first, or when interrupted: once
 * while the run goes on, twice when it only awaits what is under way. */
bool bench_run_until(struct bench *b, bool (*done)(struct bench *b), uint64_t until_ns);

/* link.c: sockets */
/** Looks the hosts up. False after a sentence. */
bool link_resolve(struct bench *b);
void link_free(struct bench *b);
/** Starts to connect; false when no socket could be made. */
bool link_open(struct client *c);
/** Closes; the client is over. */
void link_close(struct client *c);
/** Room for n more bytes to send, to be filled at once; NULL without memory (the client is closed then). */
uint8_t *link_room(struct client *c, size_t n);
/** Sends what every dirty client has. */
void link_flush(struct bench *b);
/** What epoll told about a client. */
void link_event(struct client *c, uint32_t events);
/** So many bytes passed its socket. */
void link_count(struct client *c, uint64_t in, uint64_t out);

/* wire.c: packets */
/** Writes a packet with the codec. False when it cannot be expressed. */
bool wire_write(struct client *c, const struct smq_packet *pkt);
void wire_connect(struct client *c);
/** SUBSCRIBE to up to 1000 filters. */
void wire_subscribe(struct client *c, const smq_span *filters, uint32_t n, uint8_t qos);
void wire_disconnect(struct client *c);
/** Takes whole packets from the bytes; returns how many bytes they were. */
size_t wire_take(struct client *c, const uint8_t *bytes, size_t len);
/** A message for a subscriber: counts it. */
void wire_count(struct client *c, const uint8_t *payload, size_t len);
/** Puts a stamp at the start of a payload, with the run's mark. */
void bench_stamp_write(const struct bench *b, const struct bench_stamp *stamp, uint8_t *payload);
/** The topic with %i, %c and %u put in. Returns its length; 0 when it does not fit. */
size_t wire_topic(const struct client *c, const char *pattern, char *out, size_t cap);

/* load.c: publishing */
/** Prepares the packet of a publisher for a topic; digits: length of a number at the topic's end that counts through
 * n_topics. False without memory. */
bool load_prepare(struct bench_pub *p, const char *topic, size_t digits, uint64_t n_topics);
/** This publisher may have become able to send. */
void load_ready(struct bench *b, struct bench_pub *p);
/** A copy of one of its messages came, or an acknowledgement. */
void load_arrived(struct bench *b, struct bench_pub *p);
/** Publishes what may be published now. Returns how long the loop may sleep, in milliseconds. */
int load_step(struct bench *b);
/** All was sent that should be, and came as far as can be told. */
bool load_is_drained(struct bench *b);
/** Makes the publishers' counters forget what does not come, after 500 ms without any arrival. */
void load_forgive(struct bench *b);

/* sealed.c: S-MQTT between publishers and subscribers */
/** Gives every subscriber an identity and every publisher the one of its receiver. False after a sentence. */
bool sealed_prepare(struct bench *b);
/** Subscribers register, then publishers shake hands; returns when all sessions are open. False after a sentence. */
bool sealed_open_all(struct bench *b);
void sealed_detect(struct client *c, uint8_t header, smq_span body);
/** A PUBLISH came for an endpoint. */
void sealed_message(struct client *c, smq_span topic, smq_span payload, bool retained);
/** The broker acknowledged what an endpoint published. */
void sealed_acked(struct client *c, uint16_t id);
/** Seals a message of its publisher and puts it into the client's output; false: not now. */
bool sealed_put(struct bench *b, struct bench_pub *p, uint64_t sent_ns);
/** Takes back what was published retained, before the connections end. */
void sealed_clear(struct bench *b);
/** Timers of all endpoints. */
void sealed_tick(struct bench *b);
void sealed_free(struct client *c);

/* phases.c */
/** Begins and ends a measured part; n is how many of `unit`. */
void phase_begin(struct bench *b, const char *name, const char *unit);
void phase_end(struct bench *b, uint64_t n);
/** Notes a point of the picture and shows progress, when it is time. */
void phase_progress(struct bench *b);

/* report.c, svg.c */
void report_text(const struct bench *b);
/** False after a sentence. */
bool report_json(const struct bench *b, const char *path);
bool report_svg(const struct bench *b, const char *path);

#endif
