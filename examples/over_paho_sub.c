/* SPDX-License-Identifier: Apache-2.0 */
/* S-MQTT over Paho's client for C, through any broker: is a server, prints what was sealed for it and who sealed it.
 *     over_paho_sub HOST PORT SERVER.id FILTER COUNT */
#include <MQTTClient.h>
#include <stdlib.h>

#include <smqtt/posix.h>

static struct smqtt_opener *opener;
static const char *filter;
static long left; /* messages to go */

static void must(const char *what, smqtt_err err)
{
    if (err != SMQTT_OK) {
        fprintf(stderr, "%s: %s\n", what, smqtt_strerror(err));
        exit(1);
    }
}

/** What the opener tells the application. */
static void told(const struct smqtt_secure_event *ev)
{
    if (ev->type == SMQTT_EV_MESSAGE) {
        printf("%s %s %.*s %.*s\n", smqtt_protection_name(ev->protection), ev->peer_name != NULL ? ev->peer_name : "-",
               (int)ev->topic.len, (const char *)ev->topic.data, (int)ev->bytes.len, (const char *)ev->bytes.data);
        fflush(stdout);
        left--;
    } else if (ev->type == SMQTT_EV_REFUSED) {
        fprintf(stderr, "not delivered: %s\n", smqtt_strerror(ev->err));
    }
}

/** What the opener asks of the MQTT client. */
static void pump(MQTTClient m)
{
    struct smqtt_secure_event ev;
    struct smqtt_request r;
    while (smqtt_opener_next(opener, &ev)) {
        if (!smqtt_secure_event_request(&ev, &r)) {
            told(&ev);
        } else if (r.type == SMQTT_ASK_PUBLISH) {
            MQTTClient_publish(m, r.topic, (int)r.payload.len, r.payload.data, r.qos, r.retain, NULL);
        } else if (r.type == SMQTT_ASK_SUBSCRIBE) {
            MQTTClient_subscribe(m, r.topic, r.qos);
        } else {
            MQTTClient_unsubscribe(m, r.topic);
        }
    }
}

/** Waits a tenth of a second for a message and gives it to the opener. */
static void receive(MQTTClient m)
{
    char *from = NULL;
    int len = 0;
    MQTTClient_message *msg = NULL;
    int rc = MQTTClient_receive(m, &from, &len, &msg, 100);
    must("network", rc == MQTTCLIENT_SUCCESS || rc == MQTTCLIENT_TOPICNAME_TRUNCATED ? SMQTT_OK : SMQTT_E_IO);
    if (msg != NULL) {
        struct smqtt_span payload = {msg->payload, (size_t)msg->payloadlen};
        must("message", smqtt_opener_message(opener, smqtt_str(from), payload, msg->retained, smqtt_posix_now()));
        pump(m); /* what the events show lies in the message */
        MQTTClient_freeMessage(&msg);
        MQTTClient_free(from);
    }
}

int main(int argc, char **argv)
{
    must("HOST PORT SERVER.id FILTER COUNT", argc == 6 ? SMQTT_OK : SMQTT_E_USAGE);
    filter = argv[4];
    left = strtol(argv[5], NULL, 10);
    struct smqtt_opener_config c = {.struct_size = sizeof(c), .rng = smqtt_system_rng()};
    must(argv[3], smqtt_posix_read_identity(NULL, argv[3], &c.identity));
    must("opener", smqtt_opener_new(&c, smqtt_posix_now(), &opener));
    char url[300];
    snprintf(url, sizeof(url), "tcp://%s:%s", argv[1], argv[2]);
    MQTTClient m = NULL;
    MQTTClient_connectOptions connect = MQTTClient_connectOptions_initializer;
    connect.reliable = 0; /* several messages may be under way */
    must(url,
         MQTTClient_create(&m, url, "over-paho-sub", MQTTCLIENT_PERSISTENCE_NONE, NULL) == 0 ? SMQTT_OK : SMQTT_E_IO);
    must(url, MQTTClient_connect(m, &connect) == MQTTCLIENT_SUCCESS ? SMQTT_OK : SMQTT_E_IO);
    must("opener", smqtt_opener_connected(opener, true, smqtt_str("over-paho-sub"), smqtt_posix_now()));
    pump(m);
    must(filter, MQTTClient_subscribe(m, filter, 1) == MQTTCLIENT_SUCCESS ? SMQTT_OK : SMQTT_E_NOT_AUTHORIZED);
    while (left > 0) { /* the network's turn, then time's */
        receive(m);
        smqtt_opener_tick(opener, smqtt_posix_now());
        pump(m);
    }
    MQTTClient_disconnect(m, 1000); /* once receipts are through, or after a second */
    MQTTClient_destroy(&m);
    smqtt_opener_free(opener);
    smqtt_identity_free(c.identity);
    return 0;
}
