/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_PAPER_ATTACKS_H
#define SMQTT_PAPER_ATTACKS_H
/** @file attacks.h Attacks on the paper's scheme, each carried out by whoever stands between client and server, or by a
 * client of his own. */
#include "roles.h"

enum { PAPER_NOTE_MAX = 200 };

/** Client, server, and a clock. */
struct paper_lab {
    struct paper_curve *curve;
    struct paper_server server;
    struct paper_client client;
    uint64_t now;
    char note[PAPER_NOTE_MAX]; /**< what was got, for people */
};

/** An attack with the weakness that it uses. */
struct paper_attack {
    const char *id;
    const char *title;
    /** Runs it in a fresh lab; true when it succeeded. */
    bool (*run)(struct paper_lab *lab);
};

/** The attacks of attacks_text.c and attacks_trust.c; each list ends with an id of NULL. */
extern const struct paper_attack paper_attacks_text[];
extern const struct paper_attack paper_attacks_trust[];

/** A lab with new keys. */
void paper_lab_init(struct paper_lab *lab, struct paper_curve *curve);
/** Plays steps 0 to 3 without interference; true when confirmed. */
bool paper_lab_play(struct paper_lab *lab, const char *text);
/** Makes step 0 of a text. */
struct paper_packet paper_lab_step0(struct paper_lab *lab, const char *text);

#endif
