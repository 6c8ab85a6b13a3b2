/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of S-MQTT in one program, with a function in the broker's place: all of the library's model at once. */
#include <stdlib.h>

#include <smqtt/posix.h>

static struct smqtt_sealer *sealer; /* seals what it publishes */
static struct smqtt_opener *opener; /* the server: opens it */

static void must(const char *what, smqtt_err err)
{
    if (err != SMQTT_OK) {
        fprintf(stderr, "%s: %s\n", what, smqtt_strerror(err));
        exit(1);
    }
}

/** What any MQTT library does with a message: gives it to those who have subscribed. */
static void broker(const char *topic, struct smqtt_span payload, bool to_opener)
{
    bool taken = false;
    must(topic, to_opener ? smqtt_opener_message(opener, smqtt_str(topic), payload, false, smqtt_posix_now())
                          : smqtt_sealer_message(sealer, smqtt_str(topic), payload, &taken, smqtt_posix_now()));
}

/** Takes one event off an endpoint. What it asks for is done, the rest is for the application. */
static bool turn(bool of_opener)
{
    struct smqtt_secure_event ev;
    struct smqtt_request r;
    if (!(of_opener ? smqtt_opener_next(opener, &ev) : smqtt_sealer_next(sealer, &ev))) {
        return false;
    }
    if (smqtt_secure_event_request(&ev, &r)) {
        if (r.type == SMQTT_ASK_PUBLISH) {
            broker(r.topic, r.payload, !of_opener); /* another endpoint, so the event stays valid meanwhile */
        }
    } else if (ev.type == SMQTT_EV_MESSAGE) {
        printf("%s says: %.*s\n", smqtt_protection_name(ev.protection), (int)ev.bytes.len, (const char *)ev.bytes.data);
    } else if (ev.type == SMQTT_EV_RECEIPT) {
        printf("receipt: %s\n", smqtt_status_text(ev.status));
    } else if (ev.type == SMQTT_EV_CLOSED) {
        must("session", ev.err);
    }
    return true;
}

static void run(void)
{
    while (turn(false) || turn(true)) {
    }
}

int main(void)
{
    struct smqtt_rng rng = smqtt_system_rng();
    struct smqtt_identity *id = NULL;
    must("keys", smqtt_identity_new(NULL, &rng, "x25519", "server", 0, smqtt_posix_now().wall, 0, &id));

    struct smqtt_opener_config open = {.struct_size = sizeof(open), .rng = rng, .identity = id};
    must("opener", smqtt_opener_new(&open, smqtt_posix_now(), &opener));
    struct smqtt_sealer_config seal = {.struct_size = sizeof(seal), .rng = rng, .server = id};
    seal.client_id = smqtt_str("client"); /* of `server` only the public half is used */
    must("sealer", smqtt_sealer_new(&seal, smqtt_posix_now(), &sealer));
    smqtt_identity_free(id); /* each end keeps a reference */

    /* Both are connected; the first message is what the handshake is about. */
    struct smqtt_span topic = smqtt_str("plant/7");
    struct smqtt_span text = smqtt_str("21.5 degrees");
    must("opener", smqtt_opener_connected(opener, true, smqtt_str("server"), smqtt_posix_now()));
    smqtt_sealer_connected(sealer, true, smqtt_posix_now());
    must("handshake", smqtt_sealer_start(sealer, topic, text, true, smqtt_posix_now()));
    run();

    const struct smqtt_seal_options options = {.text = true, .receipt = true};
    uint8_t record[256];
    size_t len = 0;
    must("seal",
         smqtt_seal(sealer, topic, text, &options, smqtt_posix_now(), record, sizeof(record), &len, NULL, NULL));
    broker("plant/7", (struct smqtt_span){record, len}, true);
    run();

    smqtt_sealer_free(sealer);
    smqtt_opener_free(opener);
    return 0;
}
