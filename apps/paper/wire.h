/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_PAPER_WIRE_H
#define SMQTT_PAPER_WIRE_H
/**
 * @file wire.h
 * The paper's protocol over sockets of this machine: either client and server alone (what the paper's traces show), or
 * DETECT packets of version 0xD0 through a relay in the broker's role, with one more subscriber that follows the
 * standard. Every party is a thread.
 */
#include "roles.h"

enum { PAPER_LOG_MAX = 8192 };

/** What one party tells. */
struct paper_log {
    char text[PAPER_LOG_MAX];
    size_t len;
};

struct paper_run {
    struct paper_curve *curve;  /**< of the client */
    bool mqtt;                  /**< through the relay; else alone */
    struct paper_client client; /**< text is to be set */
    enum paper_text server_text;
    struct paper_bytes m;
    struct paper_bytes topic; /**< where the publish phase publishes; empty: sensors/1 */
    bool skip_detect;         /**< the client publishes at once */
    const char *replace;      /**< the relay changes the published payload to this */
    bool drop;                /**< the relay drops what is published */

    struct paper_server server; /**< after the run */
    bool refused;               /**< the client would not send M */
    bool confirmed;             /**< the client's verdict */
    bool arrived;               /**< the server got a PUBLISH, with this */
    struct paper_bytes payload;
    bool subscriber_closed; /**< the subscriber had to close its connection */
    struct paper_log client_log, relay_log, server_log;
};

/** Plays one access from connecting to the end. Ends the program when a socket fails. */
void paper_run(struct paper_run *run);

#endif
