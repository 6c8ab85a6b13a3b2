/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_SAY_H
#define SMQTT_BROKER_SAY_H
/* What the log says of clients and packets, in the words of Mosquitto 2.0, because scripts match on them; machines that
 * read the JSON form get the same as fields. */
#include "base/log.h"
#include "broker/conn.h"
#include "broker/session.h"

/** "New client connected from 192.0.2.1:4711 as ID (p5, c1, k60, u'user')." and, for debugging, its will. */
void smq_say_connected(const struct smq_conn *conn, const struct smq_connect *c);
/** A CONNECT was refused: "Client <unknown> disconnected, not authorised." for strangers, else the reason. */
void smq_say_refused(const struct smq_conn *conn, uint8_t reason, const char *why);
/** An open connection ends for `err`; or, when that is SMQTT_OK, with the reason code of a DISCONNECT that we send. */
void smq_say_ended(const struct smq_conn *conn, smqtt_err err, uint8_t reason, const char *why);
/** The client closed it, with DISCONNECT (`farewell`) or without. */
void smq_say_left(const struct smq_conn *conn, bool farewell);
/** "Expiring client ID due to timeout.": the time of a session without connection has run out. Said whether or not
 * connections are logged, as by Mosquitto. */
void smq_say_expired(const struct smq_worker *w, const struct smq_session *s);

/* The functions below cost work: they are called only where smq_say_packets(w->log) is true. */

/** Is anything said of single packets? */
static inline bool smq_say_packets(const struct smq_log *log)
{
    return smq_log_is_on(log, SMQ_LOG_DEBUG);
}
/** "Received PUBACK from ID (Mid: 1, RC:0)" and the like; nothing for CONNECT and PUBLISH. */
void smq_say_received(const struct smq_conn *conn, const struct smq_packet *pkt);
/** "Received PUBLISH from ID (d0, q1, r0, m1, 'a/b', ... (5 bytes))". */
void smq_say_received_publish(const struct smq_conn *conn, const struct smq_publish *p);
/** "Sending SUBACK to ID"; not for PUBLISH and acknowledgements. */
void smq_say_sending(const struct smq_conn *conn, const struct smq_packet *pkt);
/** "Sending PUBLISH to ID (…)". */
void smq_say_sending_publish(const struct smq_conn *conn, const struct smq_send *send);
/** "Sending PUBACK to ID (m1, rc0)". */
void smq_say_sending_ack(const struct smq_conn *conn, enum smq_type type, uint16_t id, uint8_t reason);
/** "Denied PUBLISH from ID (…)". */
void smq_say_denied(const struct smq_conn *conn, const struct smq_publish *p);
/** "ID 2 a/b": the kind SUBSCRIBE; without QoS the kind UNSUBSCRIBE. */
void smq_say_subscribed(const struct smq_conn *conn, smq_span filter, uint8_t qos);
void smq_say_unsubscribed(const struct smq_conn *conn, smq_span filter);

#endif
