/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_BROKER_ENDS_H
#define SMQTT_TESTS_BROKER_ENDS_H
/* Real S-MQTT endpoints as clients of a bed. */
#include <smqtt/secure.h>
#include <smqtt/system.h>

#include "harness.h"

/* A client with a sealer or an opener, as an application glues them together. */
struct end {
    struct client *c;
    struct smqtt_sealer *sealer;
    struct smqtt_opener *opener;
    bool registered, open, closed, answered;
    unsigned detect_as_publish; /* packets of the tunnel that came */
    uint8_t register_status, receipt_status;
    uint8_t cid[8]; /* of the session that opened */
    char message[64];
    enum smqtt_protection protection;
};

/** A new identity with its private keys. */
struct smqtt_identity *identity_new(const char *name);
/** Connects an opener and registers it. */
void server_begin(struct bed *bed, struct end *e, struct smqtt_identity *id, const char *client_id,
                  enum smqtt_version version);
/** Connects a sealer. */
void client_begin(struct bed *bed, struct end *e, struct smqtt_identity *server, const char *client_id);
/** The same in the tunnel. */
void tunnel_server_begin(struct bed *bed, struct end *e, struct smqtt_identity *id, const char *client_id);
void tunnel_client_begin(struct bed *bed, struct end *e, struct smqtt_identity *server, const char *client_id);
/** Lets all ends talk until they have nothing more to say. */
void talk(struct end *const *ends, size_t n);
/** Seals a text and publishes it with QoS 0. */
void seal_and_publish(struct end *e, const char *topic, const char *text);
/** Frees the endpoint; its connection stays. */
void end_free(struct end *e);

#endif
