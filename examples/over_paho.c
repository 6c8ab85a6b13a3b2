/* SPDX-License-Identifier: Apache-2.0 */
/* S-MQTT over Paho's client for C, through any broker: seals one message and waits until the server has confirmed it.
 *     over_paho HOST PORT SERVER.pub TOPIC TEXT */
#include <MQTTClient.h>
#include <stdlib.h>

#include <smqtt/posix.h>

static struct smqtt_sealer *sealer;
static const char *topic, *text;
static int code = -1; /* of exit, once it is known */

static void must(const char *what, smqtt_err err)
{
    if (err != SMQTT_OK) {
        fprintf(stderr, "%s: %s\n", what, smqtt_strerror(err));
        exit(1);
    }
}

/** What the sealer tells the application. */
static void told(MQTTClient m, const struct smqtt_secure_event *ev)
{
    if (ev->type == SMQTT_EV_OPEN) {
        const struct smqtt_seal_options options = {.text = true, .receipt = true};
        uint8_t record[4096];
        size_t len = 0;
        must("seal", smqtt_seal(sealer, smqtt_str(topic), smqtt_str(text), &options, smqtt_posix_now(), record,
                                sizeof(record), &len, NULL, NULL));
        MQTTClient_publish(m, topic, (int)len, record, 1, 0, NULL);
    } else if (ev->type == SMQTT_EV_RECEIPT || ev->type == SMQTT_EV_CLOSED) {
        puts(ev->err != SMQTT_OK ? smqtt_strerror(ev->err) : smqtt_status_text(ev->status));
        code = ev->type == SMQTT_EV_RECEIPT && ev->status == SMQTT_STATUS_OK && ev->flag == 1 ? 0 : 1;
    }
}

/** What the sealer asks of the MQTT client. */
static void pump(MQTTClient m)
{
    struct smqtt_secure_event ev;
    struct smqtt_request r;
    while (smqtt_sealer_next(sealer, &ev)) {
        if (!smqtt_secure_event_request(&ev, &r)) {
            told(m, &ev);
        } else if (r.type == SMQTT_ASK_PUBLISH) {
            MQTTClient_publish(m, r.topic, (int)r.payload.len, r.payload.data, r.qos, r.retain, NULL);
        } else if (r.type == SMQTT_ASK_SUBSCRIBE) {
            MQTTClient_subscribe(m, r.topic, r.qos);
        } else {
            MQTTClient_unsubscribe(m, r.topic);
        }
    }
}

/** Waits a tenth of a second for a message and gives it to the sealer. */
static void receive(MQTTClient m)
{
    char *from = NULL;
    int len = 0;
    MQTTClient_message *msg = NULL;
    int rc = MQTTClient_receive(m, &from, &len, &msg, 100);
    must("network", rc == MQTTCLIENT_SUCCESS || rc == MQTTCLIENT_TOPICNAME_TRUNCATED ? SMQTT_OK : SMQTT_E_IO);
    if (msg != NULL) {
        struct smqtt_span payload = {msg->payload, (size_t)msg->payloadlen};
        bool taken = false; /* or it is one of the application's own messages */
        must("answer", smqtt_sealer_message(sealer, smqtt_str(from), payload, &taken, smqtt_posix_now()));
        MQTTClient_freeMessage(&msg);
        MQTTClient_free(from);
    }
}

int main(int argc, char **argv)
{
    must("HOST PORT SERVER.pub TOPIC TEXT", argc == 6 ? SMQTT_OK : SMQTT_E_USAGE);
    topic = argv[4];
    text = argv[5];
    struct smqtt_sealer_config c = {.struct_size = sizeof(c), .rng = smqtt_system_rng()};
    must(argv[3], smqtt_posix_read_identity(NULL, argv[3], &c.server));
    c.client_id = smqtt_str("over-paho");
    must("sealer", smqtt_sealer_new(&c, smqtt_posix_now(), &sealer));
    char url[300];
    snprintf(url, sizeof(url), "tcp://%s:%s", argv[1], argv[2]);
    MQTTClient m = NULL;
    MQTTClient_connectOptions connect = MQTTClient_connectOptions_initializer;
    connect.reliable = 0; /* several messages may be under way */
    must(url, MQTTClient_create(&m, url, "over-paho", MQTTCLIENT_PERSISTENCE_NONE, NULL) == 0 ? SMQTT_OK : SMQTT_E_IO);
    must(url, MQTTClient_connect(m, &connect) == MQTTCLIENT_SUCCESS ? SMQTT_OK : SMQTT_E_IO);
    smqtt_sealer_connected(sealer, true, smqtt_posix_now());
    must("handshake", smqtt_sealer_start(sealer, smqtt_str(topic), smqtt_str(text), true, smqtt_posix_now()));
    for (pump(m); code < 0; pump(m)) { /* the network's turn, then time's */
        receive(m);
        smqtt_sealer_tick(sealer, smqtt_posix_now());
    }
    MQTTClient_disconnect(m, 1000);
    MQTTClient_destroy(&m);
    smqtt_sealer_free(sealer);
    smqtt_identity_free(c.server);
    return code;
}
