/* SPDX-License-Identifier: Apache-2.0 */
/* S-MQTT over libmosquitto, through any broker: is a server, prints what was sealed for it and who sealed it.
 *     over_libmosquitto_sub HOST PORT SERVER.id FILTER COUNT */
#include <mosquitto.h>
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
static void pump(struct mosquitto *m)
{
    struct smqtt_secure_event ev;
    struct smqtt_request r;
    while (smqtt_opener_next(opener, &ev)) {
        if (!smqtt_secure_event_request(&ev, &r)) {
            told(&ev);
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
    must("opener", smqtt_opener_connected(opener, true, smqtt_str("over-libmosquitto-sub"), smqtt_posix_now()));
    pump(m);
    mosquitto_subscribe(m, NULL, filter, 1);
}

static void on_message(struct mosquitto *m, void *user, const struct mosquitto_message *msg)
{
    (void)user;
    struct smqtt_span payload = {msg->payload, (size_t)msg->payloadlen};
    must("message", smqtt_opener_message(opener, smqtt_str(msg->topic), payload, msg->retain, smqtt_posix_now()));
    pump(m);
}

int main(int argc, char **argv)
{
    must("HOST PORT SERVER.id FILTER COUNT", argc == 6 ? SMQTT_OK : SMQTT_E_USAGE);
    filter = argv[4];
    left = strtol(argv[5], NULL, 10);
    struct smqtt_opener_config c = {.struct_size = sizeof(c), .rng = smqtt_system_rng()};
    must(argv[3], smqtt_posix_read_identity(NULL, argv[3], &c.identity));
    must("opener", smqtt_opener_new(&c, smqtt_posix_now(), &opener));

    mosquitto_lib_init();
    struct mosquitto *m = mosquitto_new("over-libmosquitto-sub", true, NULL);
    mosquitto_connect_callback_set(m, on_connect);
    mosquitto_message_callback_set(m, on_message);
    int rc = mosquitto_connect(m, argv[1], (int)strtol(argv[2], NULL, 10), 60);
    while (left > 0 || mosquitto_want_write(m)) { /* the network's turn, then time's */
        must("network", rc == MOSQ_ERR_SUCCESS ? SMQTT_OK : SMQTT_E_IO);
        rc = mosquitto_loop(m, 100, 1);
        smqtt_opener_tick(opener, smqtt_posix_now());
        pump(m);
    }
    mosquitto_disconnect(m);
    mosquitto_destroy(m);
    smqtt_opener_free(opener);
    smqtt_identity_free(c.identity);
    return 0;
}
