/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/internal.h"
#include "broker/say.h"

smqtt_err smq_on_disconnect(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    const struct smq_reasoned *d = &pkt->reasoned;
    struct smq_session *s = conn->session;
    if (smq_conn_is_v5(conn) && smq_props_has(&d->props, SMQ_PROP_SESSION_EXPIRY)) {
        uint32_t expiry = smq_props_num(&d->props, SMQ_PROP_SESSION_EXPIRY, 0);
        if (s->expiry_s == 0 && expiry != 0) {
            return SMQTT_E_PROTOCOL; /* MQTT 5.0 section 3.14.2.2.2 */
        }
        s->expiry_s = smq_session_expiry(w, expiry);
    }
    bool with_will = smq_conn_is_v5(conn) && d->reason != 0; /* [MQTT-3.14.4-3] */
    smq_say_left(conn, true);
    smq_conn_end(conn, SMQ_FATE_CLOSE_AFTER_OUTPUT, with_will);
    return SMQTT_OK;
}
