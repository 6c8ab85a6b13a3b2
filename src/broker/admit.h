/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_ADMIT_H
#define SMQTT_BROKER_ADMIT_H
/* What a listener demands of its clients, whoever they are: versions, client identifiers, QoS,
 * topics. */
#include "broker/config.h"
#include "codec/packet.h"

/**
 * Before anything else is done with a CONNECT: its version (`accept_protocol_versions`), and the client identifier that
 * counts (`use_username_as_clientid`, `clientid_prefixes`, `allow_zero_length_clientid`).
 * @param[in,out] connect  client_id becomes the user name where the listener says so; a view, as it was
 * @param[out] why         words for log and client; static; untouched on success
 * @return 0, or the reason code of version 5 to refuse it with
 */
uint8_t smq_admit(const struct smq_listener_config *listener, struct smq_connect *connect, const char **why);
/** What identifiers begin with that the broker gives; borrowed from the listener or static. */
const char *smq_admit_id_prefix(const struct smq_listener_config *listener);
/** Is this QoS within `max_qos`? */
static inline bool smq_admit_qos(const struct smq_listener_config *listener, unsigned qos)
{
    return listener->first_bad_qos == 0 || qos < listener->first_bad_qos;
}
/** Is the topic one of the broker's own (`$SYS`, `$share`, `$CONTROL/`, `$SMQTT/`), where no client's message goes?
 * Other topics with $ are as all are, only that wildcards at their first level do not match them [MQTT-4.7.2-1]. */
bool smq_admit_is_reserved(smq_span topic);

#endif
