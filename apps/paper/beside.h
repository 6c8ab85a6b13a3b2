/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_PAPER_BESIDE_H
#define SMQTT_PAPER_BESIDE_H
/**
 * @file beside.h
 * What is done to the paper's scheme, done to S-MQTT 1.0: through the public interface of libsmqtt alone, as a program
 * of anybody's would. Whoever stands between has the bytes in his hands.
 */
#include <smqtt/smqtt.h>

enum { BESIDE_BYTES_MAX = 4096, BESIDE_NOTE_MAX = 200 };

struct beside_bytes {
    uint8_t at[BESIDE_BYTES_MAX];
    size_t len;
};

/** What an endpoint said in one go. */
struct beside_said {
    bool open, closed, detect;
    uint8_t header; /**< of the last DETECT packet, with its body */
    struct beside_bytes body;
    unsigned messages, refused; /**< of the server: delivered, and not, with the last payload and the last reason */
    struct beside_bytes payload;
    smqtt_err why;
    enum smqtt_protection protection;
    char peer[SMQTT_NAME_MAX + 1];
    unsigned receipts;                    /**< of the client */
    struct beside_bytes topic, published; /**< the last of what an endpoint wants to publish */
};

struct beside_lab {
    struct smqtt_rng rng;
    struct smqtt_identity *server, *alice, *mallory; /**< with private keys */
    struct smqtt_sealer *sealer;                     /**< alice's */
    struct smqtt_opener *opener;
    struct smqtt_now now;
    unsigned saved;  /**< how often step 1 saved */
    bool ascii;      /**< the server holds text in US-ASCII */
    bool only_alice; /**< the server lets nobody else publish */
    struct beside_bytes step0, step2, step3;
    uint8_t header2, header3;
    struct beside_said last; /**< of the server, when step 3 had come */
    char note[BESIDE_NOTE_MAX];
};

/** An attack with the weakness of the paper that it tries. */
struct beside_attack {
    const char *id;
    const char *title;
    /** Tries it in a fresh lab; true when it was refused. */
    bool (*refused)(struct beside_lab *lab);
};

/** Each list ends with an id of NULL. */
extern const struct beside_attack beside_attacks_text[];
extern const struct beside_attack beside_attacks_trust[];

/** Ends the program when something fails that no attacker is at. */
void beside_must(smqtt_err err, const char *what);
struct smqtt_span beside_span(const char *text);
struct smqtt_span beside_view(const struct beside_bytes *bytes);
bool beside_has(const struct beside_bytes *in, const void *part, size_t len);

/** Identities, a client and a server, not yet connected. Free with beside_lab_deinit. */
void beside_lab_init(struct beside_lab *lab);
void beside_lab_deinit(struct beside_lab *lab);
/** A client of this identity (NULL: none) for the lab's server; free with smqtt_sealer_free. */
struct smqtt_sealer *beside_client(struct beside_lab *lab, struct smqtt_identity *identity);
/** A server with this identity and the lab's settings; free with smqtt_opener_free. */
struct smqtt_opener *beside_server(struct beside_lab *lab, struct smqtt_identity *identity);
/** Pulls all events of one endpoint. */
void beside_pull_client(struct smqtt_sealer *s, struct beside_said *out);
void beside_pull_server(struct smqtt_opener *o, struct beside_said *out);
/** Starts a handshake about a message on `plant/valve`; the step 0. */
void beside_start(struct beside_lab *lab, struct smqtt_sealer *s, const char *message, struct beside_bytes *step0);
/** Gives a DETECT packet to a server (relabelled as the broker does) or a client, and pulls. */
void beside_to_server(struct beside_lab *lab, struct smqtt_opener *o, uint8_t header, const struct beside_bytes *body,
                      struct beside_said *out);
void beside_to_client(struct beside_lab *lab, struct smqtt_sealer *s, uint8_t header, const struct beside_bytes *body,
                      struct beside_said *out);
/** Plays a whole handshake of the lab's client and server without interference, keeps its bytes; true when open. */
bool beside_play(struct beside_lab *lab, const char *message);
/** Seals a text for `plant/valve`, with a receipt wanted. */
void beside_seal(struct beside_lab *lab, const char *text, struct beside_bytes *record);
/** Gives a PUBLISH on `plant/valve` to a server, and pulls. */
void beside_deliver(struct beside_lab *lab, struct smqtt_opener *o, const struct beside_bytes *payload,
                    struct beside_said *out);

/** Prints the measurements of S-MQTT 1.0 and of TLS 1.3 as comma separated values. */
void beside_measure(unsigned long step, unsigned long reps);
void beside_measure_tls(unsigned long step, unsigned long reps);

enum { BESIDE_REPS_MAX = 1000 };
/** CPU time of this thread in seconds, and the middle of n values, which it sorts. */
double beside_cpu_s(void);
double beside_median(double *values, size_t n);

#endif
