/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_CONVERT_H
#define SMQTT_BROKER_CONVERT_H
/* DETECT that travels natively on one side of this broker and as PUBLISH on the other (protocol.md 9.7): clients in the
 * tunnel reach registered servers, native clients reach servers in the tunnel.
 *
 * What comes through the tunnel has been on the way of others, and whoever may publish there may forge it. So nothing
 * of it ends a connection, and nothing but the ends of connections, time and the native side ends a handshake. */
#include "broker/message.h"
#include "broker/relay.h"

enum {
    SMQ_CONVERT_TOPIC = 42, /* smqtt1/<skid>/c/<cid> */
    SMQ_CONVERT_MAX = 256   /* handshakes and sessions of one connection that are converted */
};

/** Could this be such a topic, maybe behind a mount point? What every other topic pays for conversion. */
static inline bool smq_convert_is_topic(smq_span topic)
{
    return topic.len >= SMQ_CONVERT_TOPIC && memcmp(topic.data + topic.len - SMQ_CONVERT_TOPIC, "smqtt1/", 7) == 0;
}

/** Makes w->listener, which lives as long as the worker. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_convert_init(struct smq_worker *w);
/** A PUBLISH of a client, which it may publish, with its mount point before the topic. If it is for a registered server
 * it goes there, or is dropped and counted where it is noise or too much. True: it is done with, and routed to nobody.
 */
bool smq_convert_publish(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *p);
/** What a registered server says in a handshake whose client is in the tunnel is published for that. SMQTT_E_MALFORMED:
 * servers do not send such packets. */
SMQ_MUST_USE smqtt_err smq_convert_answer(struct smq_worker *w, struct smq_relay *r, uint8_t header, smq_span body);

/** Who would get what a native client says to a server that is not registered? */
enum smq_audience {
    SMQ_AUDIENCE_NONE,    /* nobody, or the client may not publish there */
    SMQ_AUDIENCE_CHANCE,  /* only who has subscribed to whatever begins like anything: a bridge, or one that watches */
    SMQ_AUDIENCE_EXPRESS, /* somebody whose filter begins with smqtt1/ */
};
/** The client itself does not count. */
enum smq_audience smq_convert_audience(struct smq_worker *w, struct smq_conn *conn, const uint8_t *skid,
                                       const uint8_t *cid);
/** A handshake of a native client with a server in the tunnel begins: its answers are listened for. SMQTT_E_QUOTA: no
 * more of them; SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_convert_begin(struct smq_worker *w, struct smq_conn *conn, const struct smq_relay_head *head,
                                         struct smq_relay **out);
/** A packet of that client is published, in its name. Lost where there is no room, as on any bad line. */
void smq_convert_to_server(struct smq_worker *w, const struct smq_relay *r, uint8_t header, smq_span body);
/** The sessions before this one of the same client with the same server are forgotten. */
void smq_convert_supersede(struct smq_worker *w, const struct smq_relay *r);
/** A handshake ends that is converted: nothing is listened for any more. */
void smq_convert_end(struct smq_worker *w, struct smq_relay *r);

/** Somebody published on a topic that smq_convert_is_topic, while there are handshakes with servers in the tunnel. If
 * it is an answer, its client gets it as DETECT. Returns the session's subscriber that is not to get it as PUBLISH, or
 * NULL. Changes no subscription. */
const struct smq_subscriber *smq_convert_deliver(struct smq_worker *w, const struct smq_content *content);

#endif
