/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admit.h"

enum { REASON_BAD_VERSION = 0x84, REASON_BAD_ID = 0x85, REASON_NOT_AUTHORIZED = 0x87 };

const char *smq_admit_id_prefix(const struct smq_listener_config *listener)
{
    return listener->auto_id_prefix != NULL ? listener->auto_id_prefix : "auto-";
}

/* Of an identifier that the broker gives only the begin is known. */
static bool has_prefix(const struct smq_listener_config *listener, smq_span id)
{
    if (listener->clientid_prefixes == NULL) {
        return true;
    }
    smq_span prefix = smq_span_str(listener->clientid_prefixes);
    return smq_span_starts(id.len != 0 ? id : smq_span_str(smq_admit_id_prefix(listener)), prefix);
}

uint8_t smq_admit(const struct smq_listener_config *listener, struct smq_connect *connect, const char **why)
{
    if (listener->versions != 0 && (listener->versions & 1u << connect->version) == 0) {
        *why = "this listener does not take this version of MQTT";
        return REASON_BAD_VERSION; /* [MQTT-3.1.2-2] */
    }
    if (listener->use_username_as_clientid) {
        if (!connect->has_user || connect->user.len == 0) {
            *why = "the user name is the client identifier here, and there is none";
            return REASON_NOT_AUTHORIZED;
        }
        connect->client_id = connect->user;
    }
    if (connect->client_id.len == 0 && listener->demand_client_id) {
        *why = "this listener demands a client identifier";
        return REASON_BAD_ID; /* [MQTT-3.1.3-8] */
    }
    if (!has_prefix(listener, connect->client_id)) {
        *why = "client identifiers begin otherwise here";
        return REASON_NOT_AUTHORIZED;
    }
    return 0;
}

bool smq_admit_is_reserved(smq_span topic)
{
    static const char *const prefixes[] = {"$SYS", "$share", "$CONTROL/", "$SMQTT/"};
    for (size_t i = 0; topic.len != 0 && topic.data[0] == '$' && i < SMQ_ARRAY_LEN(prefixes); i++) {
        if (smq_span_starts(topic, smq_span_str(prefixes[i]))) {
            return true;
        }
    }
    return false;
}
