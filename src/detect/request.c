/* SPDX-License-Identifier: Apache-2.0 */
#include <smqtt/secure.h>

/* A zero stands behind the topic of every event and the header byte before the body of DETECT: detect/evq.h. */

static void tunnel(const struct smqtt_secure_event *event, struct smqtt_request *out)
{
    out->type = SMQTT_ASK_PUBLISH;
    out->payload = (struct smqtt_span){event->bytes.data - 1, event->bytes.len + 1};
    out->qos = 1; /* protocol.md 9.6 */
}

bool smqtt_secure_event_request(const struct smqtt_secure_event *event, struct smqtt_request *out)
{
    struct smqtt_request r = {.topic = (const char *)event->topic.data, .qos = 1};
    switch (event->type) {
    case SMQTT_EV_DETECT:
        if (event->topic.len == 0) {
            return false; /* natively */
        }
        tunnel(event, &r);
        break;
    case SMQTT_EV_PUBLISH:
        r.type = SMQTT_ASK_PUBLISH;
        r.payload = event->bytes;
        r.qos = event->header;
        r.retain = event->retain;
        break;
    case SMQTT_EV_SUBSCRIBE:
        r.type = SMQTT_ASK_SUBSCRIBE;
        break;
    case SMQTT_EV_UNSUBSCRIBE:
        r.type = SMQTT_ASK_UNSUBSCRIBE;
        break;
    case SMQTT_EV_NONE:
    case SMQTT_EV_STEP:
    case SMQTT_EV_OPEN:
    case SMQTT_EV_CLOSED:
    case SMQTT_EV_LOST:
    case SMQTT_EV_RECEIPT:
    case SMQTT_EV_MESSAGE:
    case SMQTT_EV_REFUSED:
    case SMQTT_EV_REGISTERED:
    case SMQTT_EV_DESCRIPTOR:
        return false;
    }
    *out = r;
    return true;
}
