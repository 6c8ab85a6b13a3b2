/* SPDX-License-Identifier: Apache-2.0 */
/* Seals one message for a server and waits until the server has confirmed it.
 *
 *     publisher HOST PORT SERVER.pub TOPIC TEXT
 */
#include "wire.h"

/** 0 or 1: the exit code is known; -1: not yet. */
static int on_event(const struct smqtt_client_event *event)
{
    const struct smqtt_secure_event *secure = &event->secure;
    switch (event->type) {
    case SMQTT_CLIENT_REFUSED:
        fprintf(stderr, "the broker refused the connection (reason 0x%02X)\n", event->reason);
        return 1;
    case SMQTT_CLIENT_CLOSED:
        fprintf(stderr, "the connection ended: %s\n", smqtt_strerror(event->err));
        return 1;
    case SMQTT_CLIENT_SECURE:
        if (secure->type == SMQTT_EV_RECEIPT) {
            printf("%s\n", smqtt_status_text(secure->status));
            return secure->status == SMQTT_STATUS_OK && secure->flag == 1 ? 0 : 1;
        }
        if (secure->type == SMQTT_EV_CLOSED) {
            fprintf(stderr, "nothing was published: %s\n",
                    secure->status != SMQTT_STATUS_OK ? smqtt_status_text(secure->status)
                                                      : smqtt_strerror(secure->err));
            return 1;
        }
        return -1;
    case SMQTT_CLIENT_QUARANTINED:
    case SMQTT_CLIENT_NONE:
    case SMQTT_CLIENT_CONNECTED:
    case SMQTT_CLIENT_MESSAGE:
    case SMQTT_CLIENT_PUBLISHED:
    case SMQTT_CLIENT_SUBSCRIBED:
    case SMQTT_CLIENT_UNSUBSCRIBED:
        return -1;
    }
    return -1;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        die(argv[0], "HOST PORT SERVER.pub TOPIC TEXT");
    }
    /* The sealer seals for one server, whose public half is all that it needs. */
    struct smqtt_sealer_config seal = {.struct_size = sizeof(seal)};
    seal.rng = smqtt_system_rng();
    seal.server = load_identity(argv[3]);
    seal.client_id = smqtt_str("example-publisher");
    struct smqtt_sealer *sealer = NULL;
    must("sealer", smqtt_sealer_new(&seal, now(), &sealer));
    smqtt_identity_free(seal.server); /* the sealer keeps a reference */

    struct smqtt_client_config config = {.struct_size = sizeof(config)};
    config.client_id = seal.client_id;
    config.clean_start = true;
    config.keep_alive_s = 60;
    struct smqtt_client *c = NULL;
    must("client", smqtt_client_new(&config, &c));
    must("sealer", smqtt_client_attach_sealer(c, sealer)); /* which the client now owns */

    /* The message may be given at once: it waits for the connection and for the handshake. */
    struct smqtt_publish_options options = {.qos = 1, .text = true, .receipt = true};
    must(argv[4], smqtt_client_publish_sealed(c, smqtt_str(argv[4]), smqtt_str(argv[5]), &options, NULL, now()));

    int fd = dial(argv[1], argv[2]);
    must("connect", smqtt_client_connect(c, now()));
    int code = -1;
    while (code < 0) {
        if (!take_turn(c, fd)) {
            smqtt_client_lost(c, SMQTT_E_IO, now());
        }
        struct smqtt_client_event event;
        while (code < 0 && smqtt_client_next(c, &event)) {
            code = on_event(&event);
        }
    }
    if (smqtt_client_disconnect(c, 0, now()) == SMQTT_OK) {
        send_all(c, fd);
    }
    close(fd);
    smqtt_client_free(c);
    return code;
}
