/* SPDX-License-Identifier: Apache-2.0 */
/* Is a server: opens what is sealed for it, prints it with its class, ends after COUNT messages.
 *
 *     subscriber HOST PORT SERVER.id FILTER COUNT
 */
#include "wire.h"

static void subscribe(struct smqtt_client *c, const char *filter)
{
    struct smqtt_subscription list = {smqtt_str(filter), 1};
    must(filter, smqtt_client_subscribe(c, &list, 1, NULL, now()));
}

static void print(const struct smqtt_client_event *event)
{
    const struct smqtt_secure_event *secure = &event->secure;
    /* What came in plain never gets here: without a policy everything has to be sealed. */
    printf("%s %s %.*s %.*s\n", smqtt_protection_name(secure->protection),
           secure->peer_name != NULL ? secure->peer_name : "-", (int)event->topic.len, (const char *)event->topic.data,
           (int)event->payload.len, (const char *)event->payload.data);
    fflush(stdout);
}

/** How many messages the event was: 1 or 0. */
static int on_event(struct smqtt_client *c, const struct smqtt_client_event *event, const char *filter)
{
    switch (event->type) {
    case SMQTT_CLIENT_CONNECTED:
        subscribe(c, filter);
        return 0;
    case SMQTT_CLIENT_MESSAGE:
        print(event);
        return 1;
    case SMQTT_CLIENT_SECURE:
        if (event->secure.type == SMQTT_EV_REFUSED) {
            fprintf(stderr, "not printed: %s\n", smqtt_strerror(event->err));
        } else if (event->secure.type == SMQTT_EV_REGISTERED && event->secure.status != 0) {
            die("registration", smqtt_status_text(event->secure.status));
        }
        return 0;
    case SMQTT_CLIENT_REFUSED:
    case SMQTT_CLIENT_CLOSED:
        die("connection", smqtt_strerror(event->err));
        return 0;
    case SMQTT_CLIENT_QUARANTINED:
    case SMQTT_CLIENT_NONE:
    case SMQTT_CLIENT_PUBLISHED:
    case SMQTT_CLIENT_SUBSCRIBED:
    case SMQTT_CLIENT_UNSUBSCRIBED:
        return 0;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        die(argv[0], "HOST PORT SERVER.id FILTER COUNT");
    }
    struct smqtt_opener_config open = {.struct_size = sizeof(open)};
    open.rng = smqtt_system_rng();
    open.identity = load_identity(argv[3]);
    struct smqtt_opener *opener = NULL;
    must("opener", smqtt_opener_new(&open, now(), &opener));
    smqtt_identity_free(open.identity); /* the opener keeps a reference */

    struct smqtt_client_config config = {.struct_size = sizeof(config)};
    config.client_id = smqtt_str("example-subscriber");
    config.clean_start = true;
    config.keep_alive_s = 60;
    struct smqtt_client *c = NULL;
    must("client", smqtt_client_new(&config, &c));
    must("opener", smqtt_client_attach_opener(c, opener)); /* which the client now owns */

    int fd = dial(argv[1], argv[2]);
    must("connect", smqtt_client_connect(c, now()));
    long left = strtol(argv[5], NULL, 10);
    while (left > 0) {
        if (!take_turn(c, fd)) {
            smqtt_client_lost(c, SMQTT_E_IO, now());
        }
        struct smqtt_client_event event;
        while (left > 0 && smqtt_client_next(c, &event)) {
            left -= on_event(c, &event, argv[4]);
        }
    }
    send_all(c, fd); /* acknowledgements and receipts of the last message */
    struct smqtt_client_event event;
    while (smqtt_client_next(c, &event)) {
    }
    if (smqtt_client_disconnect(c, 0, now()) == SMQTT_OK) {
        send_all(c, fd);
    }
    close(fd);
    smqtt_client_free(c);
    return 0;
}
