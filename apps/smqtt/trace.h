/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_TRACE_H
#define SMQTT_APPS_TRACE_H
/* -d: a line on standard output for each packet, in the words of Mosquitto's clients, which scripts look for. */
#include <smqtt/client.h>

#include "base/span.h"

struct trace {
    bool on;
    enum smqtt_version version;
    char id[256];    /* the client id, as far as it is known */
    uint16_t last;   /* packet identifier that was used last */
    uint16_t suback; /* that of the SUBACK that came last */
    size_t seen;     /* bytes of the output that were told already */
};

/** Starts anew with a connection. */
void trace_connect(struct trace *t, enum smqtt_version version, smq_span client_id);
/** The client's output as it is now: tells the packets that are new in it. */
void trace_output(struct trace *t, smq_span output);
/** So many bytes of the output left. */
void trace_sent(struct trace *t, size_t n);
/** Bytes that came: the length of the first whole packet, which is told; 0 when there is none. */
size_t trace_input(struct trace *t, smq_span bytes);
/** SUBACK's codes. */
void trace_subscribed(const struct trace *t, smq_span codes);

#endif
