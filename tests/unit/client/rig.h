/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_RIG_H
#define SMQTT_TESTS_RIG_H
/* A client and the broker's end of its connection, in memory: what the client sends is read as packets, what the broker
 * answers is written by the same codec. Clocks stand still until a test moves them. */
#include "../test.h"

#include "../failing_mem.h"
#include "client/internal.h"

enum { RIG_BYTES = 1 << 20 };

struct rig {
    struct failing_mem fm;
    struct smqtt_client_config config;
    struct smqtt_client *c;
    struct smqtt_now now;
    struct smq_codec codec;   /* the broker's */
    uint8_t bytes[RIG_BYTES]; /* what the client sent and the test has not looked at: views of rig_take point into it */
    size_t from, to;
    bool announces; /* rig_connect: the broker announces DETECT */
    bool held;      /* rig_give gathers instead of feeding */
    uint8_t held_bytes[RIG_BYTES];
    size_t n_held;
};

/** A rig whose client is not made yet: change r->config, then rig_start. One at a time. */
struct rig *rig_new(enum smqtt_version version);
/** Makes the client. */
void rig_make(struct rig *r);
/** Connects: CONNECT is sent and checked to be one, CONNACK given, CONNECTED taken. */
void rig_connect(struct rig *r, bool session_present);
/** rig_make and rig_connect. */
void rig_start(struct rig *r);
/** Frees the client; fails when memory is left. */
void rig_end(struct rig *r);

/** The next packet that the client sent; its type has to be this one. */
struct smq_packet rig_take(struct rig *r, enum smq_type type);
/** The client has sent nothing more. */
void rig_silent(struct rig *r);
/** A packet of the broker. */
void rig_give(struct rig *r, struct smq_packet pkt);
/** Bytes of the broker. */
void rig_feed(struct rig *r, const void *bytes, size_t len);
/** The next event has to be of this type. */
struct smqtt_client_event rig_event(struct rig *r, enum smqtt_client_event_type type);
void rig_no_event(struct rig *r);
/** The transport breaks: CLOSED follows. */
void rig_break(struct rig *r);
/** The clocks go on by so much; the client is told. */
void rig_wait(struct rig *r, smqtt_ms ms);

struct smq_packet rig_connack(uint8_t reason, bool session_present);
struct smq_packet rig_ack(enum smq_type type, uint16_t id, uint8_t reason);
struct smq_packet rig_publish(uint8_t qos, uint16_t id, const char *topic, const char *payload);
struct smq_packet rig_suback(enum smq_type type, uint16_t id, const char *codes, size_t n);
struct smq_packet rig_disconnect(uint8_t reason);
struct smq_packet rig_detect(uint8_t header, const char *body);

#define assert_span(span, text)                                             \
    do {                                                                    \
        struct smqtt_span assert_span_ = (span);                            \
        assert_int_equal(assert_span_.len, strlen(text));                   \
        if (assert_span_.len != 0) {                                        \
            assert_memory_equal(assert_span_.data, text, assert_span_.len); \
        }                                                                   \
    } while (0)

#define FOR_EACH_VERSION(v) for (enum smqtt_version v = SMQTT_V31; v <= SMQTT_V5; v = (enum smqtt_version)(v + 1))

#endif
