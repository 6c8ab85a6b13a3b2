/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_RELAY_H
#define SMQTT_BROKER_RELAY_H
/* Native DETECT (protocol.md 9): which connection is which server, and which handshakes are under way between whom. */
#include <smqtt/identity.h>

#include "broker/conn.h"
#include "broker/handle.h"
#include "codec/packet.h"
#include "detect/relay.h"

enum { SMQ_SKIDS_MAX = 16 };

/** A registered server, or one that has yet to prove itself. Every worker knows those of the others (relay_far.c). */
struct smq_server {
    struct smq_list of_conn;
    struct smq_conn *conn; /* NULL: the broker itself, or one of another worker */
    unsigned worker;       /* where its connection is; the broker's own identity: 0 */
    uint64_t others;       /* bits of other workers that say it is there: the end of this one may still be on its way */
    struct smqtt_identity *id;
    bool proven;
    uint8_t skid[SMQTT_SKID_LEN];
    uint8_t challenge[SMQ_CHALLENGE_LEN];
    struct smq_list relays; /* handshakes with it */
};

/** Header bytes of DETECT with their flag (protocol.md 4). */
enum smq_relay_header {
    SMQ_DETECT_STEP0 = 0x01,
    SMQ_DETECT_STEP1 = 0x03,
    SMQ_DETECT_RETRY = 0x02,
    SMQ_DETECT_STEP2_MOJIBAKE = 0x04,
    SMQ_DETECT_STEP2 = 0x0C,
    SMQ_DETECT_STEP3_REJECTED = 0x07,
    SMQ_DETECT_STEP3 = 0x0F,
    SMQ_DETECT_ACK = 0x0E,
    SMQ_DETECT_CLOSE = 0x06
};

enum smq_relay_state {
    SMQ_RELAY_AWAITS_ANSWER,  /* step 0 went on: RETRY or step 2 */
    SMQ_RELAY_AWAITS_VERDICT, /* step 2 went on: step 3 */
    SMQ_RELAY_AWAITS_ACK,     /* step 3 went on: acknowledgement, or close */
    SMQ_RELAY_OPEN            /* acknowledged: until close, or either connection ends */
};

/** A handshake, and the session that came of it. It is judged where its client is; the worker of the server, if that is
 * another, has an entry, too, that only says where answers go. Where one of the two is in the tunnel it is converted
 * (broker/convert.h). */
struct smq_relay {
    struct smq_list of_client, of_server;
    struct smq_conn *client; /* NULL: it is judged by `worker` */
    unsigned worker;
    struct smq_server *server; /* NULL: it is not registered, but in the tunnel */
    struct smq_timer timer;
    smqtt_ms begun;
    uint64_t first, last; /* keyed hashes of step 0 and step 3, to know repetitions */
    uint64_t answer;      /* of step 2 */
    uint8_t key[SMQTT_SKID_LEN + SMQ_CID_LEN];
    uint8_t state;   /* enum smq_relay_state */
    bool refused;    /* the text did not survive: flag 0 */
    bool from_start; /* its step 0 came through this connection */
    bool tunnelled; /* the client is in the tunnel, and `client` the connection that publishes for it, maybe a bridge */
    bool yields;    /* the server in the tunnel is not known to be there, or said RETRY: the next one takes its place */
};

/** A connection's part in it. */
struct smq_detect_side {
    struct smq_list servers; /* of smq_server: identities of this connection */
    struct smq_list relays;  /* of smq_relay: handshakes that it started */
    size_t n_servers;
    size_t n_converted;     /* of `relays` */
    struct smq_handle self; /* of the connection, for answers of the broker's identity on worker 0 */
    uint64_t tokens, noise; /* in sixty-thousandths of a packet: one a millisecond for each packet a minute */
    smqtt_ms refilled;
};

/** The connection's part, made if there is none yet; NULL: no memory. */
struct smq_detect_side *smq_detect_side(struct smq_conn *conn);
/** The connection ends: its servers and handshakes are forgotten. */
void smq_detect_drop(struct smq_conn *conn);
/** Takes one packet of the ordinary allowance (`start`), or of the ten times larger one for everything else. False when
 * it is used up. */
bool smq_detect_allow(struct smq_conn *conn, bool start);
/** A handshake ends. */
void smq_relay_free(struct smq_worker *w, struct smq_relay *r);
/** A server, proven or not, is forgotten with its handshakes. */
void smq_server_free(struct smq_worker *w, struct smq_server *s);

/** A PUBLISH on one of the topics of registration. SMQTT_OK, or what the connection is to be ended for. */
SMQ_MUST_USE smqtt_err smq_register_publish(struct smq_worker *w, struct smq_conn *conn,
                                            const struct smq_publish *publish);
/** Has this connection completed what `require_detect` of its listener wants for the topic, or filter? */
bool smq_detect_is_satisfied(const struct smq_conn *conn, smq_span topic, bool is_filter);

/** What a server, or the broker as one, sends for a handshake goes to its client. SMQTT_E_MALFORMED: not in this state.
 */
SMQ_MUST_USE smqtt_err smq_relay_answer(struct smq_worker *w, struct smq_relay *r, uint8_t header, smq_span body);

/** A packet for a connection; lost when it does not read. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_relay_write(struct smq_conn *to, uint8_t header, smq_span body);
/** Of skid and cid; NULL: there is none. */
struct smq_relay *smq_relay_find(const struct smq_worker *w, const uint8_t *skid, const uint8_t *cid);
/** A handshake that begins, without timer. client NULL: it is judged by `worker`; server NULL: it is in the tunnel.
 * SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_relay_new(struct smq_worker *w, struct smq_conn *client, unsigned worker,
                                     struct smq_server *server, const uint8_t *skid, const uint8_t *cid,
                                     struct smq_relay **out);
/** One whose client is here, with its timer. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_relay_begin(struct smq_worker *w, struct smq_conn *client, struct smq_server *server,
                                       const struct smq_relay_head *head, struct smq_relay **out);
/** A packet to the server, wherever it is: 0x03 for a step 0. The broker itself may answer before this returns, and the
 * relay be gone. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_relay_to_server(struct smq_worker *w, const struct smq_relay *r, uint8_t header,
                                           smq_span body);
/** Somebody else has the server's name now: `s`, a connection of this worker, hears that it is refused and is no server
 * any more. */
void smq_server_refuse(struct smq_worker *w, struct smq_server *s);

/* Servers and clients of different workers (relay_far.c). */

/** Is this server's connection, or the identity, with another worker? */
bool smq_server_is_far(const struct smq_worker *w, const struct smq_server *s);
/** A server has ended here; the lowest of the `others` that say it is there takes its place. */
void smq_far_promote(struct smq_worker *w, const uint8_t *skid, uint64_t others);
/** Forgets the servers of other workers. */
void smq_far_deinit(struct smq_worker *w);
/** Tells all workers that the server is here, or is no more. */
void smq_far_announce(struct smq_worker *w, const struct smq_server *s, bool begins);
/** A packet for a server of another worker. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_far_detect(struct smq_worker *w, const struct smq_relay *r, uint8_t header, smq_span body);
/** An answer of a server here for the client of another worker. */
void smq_far_answer(struct smq_worker *w, const struct smq_relay *r, uint8_t header, smq_span body);
/** The handshake is over: the other worker is told. */
void smq_far_over(struct smq_worker *w, const struct smq_relay *r);
/** A payload that may be a record for the broker's identity, which is with worker 0: it is sent there. False: it is
 * none. *err: SMQTT_E_NOMEM, SMQTT_E_QUOTA. */
bool smq_far_seal(struct smq_worker *w, struct smq_conn *conn, const struct smq_content *content, smqtt_err *err);

struct smq_own_from;
/** Back to where it came from: `inner` is what was opened (`opened`), or the record itself, which is not for us. */
void smq_far_opened(struct smq_worker *w, const struct smq_own_from *from, const struct smq_content *inner,
                    bool opened);

/* The broker's own identity. */

/** Makes the opener, if the configuration names an identity. Errors of smqtt_opener_new. */
SMQ_MUST_USE smqtt_err smq_own_init(struct smq_worker *w);
void smq_own_deinit(struct smq_worker *w);
/** The configuration has changed, but not the identity: who is revoked now loses the session with it. */
void smq_own_configure(struct smq_worker *w);
/** Who a record came from. */
struct smq_own_from {
    struct smq_session *session; /* of this worker, or NULL: */
    unsigned worker;             /* what was opened goes back to that one, */
    struct smq_handle conn;      /* for this connection */
};
/** Could this be a record that the broker's identity is to open? Cheap, and right about what is not. */
bool smq_own_may_take(const struct smq_worker *w, const struct smq_content *content);
/** A DETECT packet for the broker itself. */
void smq_own_detect(struct smq_worker *w, uint8_t header, smq_span body);
/** Is this payload a record for the broker itself, to be opened here? Then it was, and what came of it was routed. If
 * its key is not known, a notice may have been published (protocol.md 9.5). */
bool smq_own_take(struct smq_worker *w, const struct smq_own_from *from, const struct smq_content *content);
/** Publishes what was opened, for a session of this worker, if that may; NULL: for nobody in particular. */
void smq_own_publish(struct smq_worker *w, struct smq_session *from, const struct smq_content *inner);
void smq_own_tick(struct smq_worker *w);
smqtt_ms smq_own_deadline(const struct smq_worker *w);

#endif
