/* SPDX-License-Identifier: Apache-2.0 */
/* S-MQTT over libmosquitto, through any broker: seals one message and waits until the server has confirmed it.
 *     over_libmosquitto HOST PORT SERVER.pub TOPIC TEXT */
#include <mosquitto.h>
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
static void told(struct mosquitto *m, const struct smqtt_secure_event *ev)
{
    if (ev->type == SMQTT_EV_OPEN) {
        const struct smqtt_seal_options options = {.text = true, .receipt = true};
        uint8_t record[4096];
        size_t len = 0;
        must("seal", smqtt_seal(sealer, smqtt_str(topic), smqtt_str(text), &options, smqtt_posix_now(), record,
                                sizeof(record), &len, NULL, NULL));
        mosquitto_publish(m, NULL, topic, (int)len, record, 1, false);
    } else if (ev->type == SMQTT_EV_RECEIPT || ev->type == SMQTT_EV_CLOSED) {
        puts(ev->err != SMQTT_OK ? smqtt_strerror(ev->err) : smqtt_status_text(ev->status));
        code = ev->type == SMQTT_EV_RECEIPT && ev->status == SMQTT_STATUS_OK && ev->flag == 1 ? 0 : 1;
    }
}

/** What the sealer asks of the MQTT client. */
static void pump(struct mosquitto *m)
{
    struct smqtt_secure_event ev;
    struct smqtt_request r;
    while (smqtt_sealer_next(sealer, &ev)) {
        if (!smqtt_secure_event_request(&ev, &r)) {
            told(m, &ev);
        } else if (r.type == SMQTT_ASK_PUBLISH) {
            mosquitto_publish(m, NULL, r.topic, (int)r.payload.len, r.payload.data, r.qos, r.retain);
        } else if (r.type == SMQTT_ASK_SUBSCRIBE) {
            mosquitto_subscribe(m, NULL, r.topic, r.qos);
        } else {
            mosquitto_unsubscribe(m, NULL, r.topic);
        }
    }
}

static void on_connect(struct mosquitto *m, void *user, int rc)
{
    (void)user;
    must("connection", rc == 0 ? SMQTT_OK : SMQTT_E_REFUSED);
    smqtt_sealer_connected(sealer, true, smqtt_posix_now());
    must("handshake", smqtt_sealer_start(sealer, smqtt_str(topic), smqtt_str(text), true, smqtt_posix_now()));
    pump(m);
}

static void on_message(struct mosquitto *m, void *user, const struct mosquitto_message *msg)
{
    (void)user;
    struct smqtt_span payload = {msg->payload, (size_t)msg->payloadlen};
    bool taken = false; /* or it is one of the application's own messages */
    must("answer", smqtt_sealer_message(sealer, smqtt_str(msg->topic), payload, &taken, smqtt_posix_now()));
    pump(m);
}

int main(int argc, char **argv)
{
    must("HOST PORT SERVER.pub TOPIC TEXT", argc == 6 ? SMQTT_OK : SMQTT_E_USAGE);
    topic = argv[4];
    text = argv[5];
    struct smqtt_sealer_config c = {.struct_size = sizeof(c), .rng = smqtt_system_rng()};
    must(argv[3], smqtt_posix_read_identity(NULL, argv[3], &c.server));
    c.client_id = smqtt_str("over-libmosquitto");
    must("sealer", smqtt_sealer_new(&c, smqtt_posix_now(), &sealer));

    mosquitto_lib_init();
    struct mosquitto *m = mosquitto_new("over-libmosquitto", true, NULL);
    mosquitto_connect_callback_set(m, on_connect);
    mosquitto_message_callback_set(m, on_message);
    int rc = mosquitto_connect(m, argv[1], (int)strtol(argv[2], NULL, 10), 60);
    while (code < 0) { /* the network's turn, then time's */
        must("network", rc == MOSQ_ERR_SUCCESS ? SMQTT_OK : SMQTT_E_IO);
        rc = mosquitto_loop(m, 100, 1);
        smqtt_sealer_tick(sealer, smqtt_posix_now());
        pump(m);
    }
    mosquitto_disconnect(m);
    mosquitto_destroy(m);
    smqtt_sealer_free(sealer);
    smqtt_identity_free(c.server);
    return code;
}
