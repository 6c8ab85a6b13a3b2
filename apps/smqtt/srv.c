/* SPDX-License-Identifier: Apache-2.0 */
/* SRV records (RFC 2782): where a domain keeps its broker. */
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

#include "dial.h"
#include "say.h"

enum { ANSWER_MAX = 65536, RECORD_HEAD = 6 };

/** One record of the answer; false when it is no SRV record or names no host. */
static bool read_record(ns_msg *msg, int i, struct dial_target *out)
{
    ns_rr rr;
    if (ns_parserr(msg, ns_s_an, i, &rr) != 0 || ns_rr_type(rr) != ns_t_srv || ns_rr_rdlen(rr) <= RECORD_HEAD) {
        return false;
    }
    const unsigned char *at = ns_rr_rdata(rr);
    out->priority = (uint16_t)ns_get16(at);
    out->weight = (uint16_t)ns_get16(at + 2);
    snprintf(out->port, sizeof(out->port), "%u", (unsigned)ns_get16(at + 4));
    int n = dn_expand(ns_msg_base(*msg), ns_msg_end(*msg), at + RECORD_HEAD, out->host, sizeof(out->host));
    return n > 0 && out->host[0] != 0; /* an empty name: the service is not offered */
}

/** The lower priority goes first, then the higher weight. */
static bool is_before(const struct dial_target *a, const struct dial_target *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->weight > b->weight;
}

size_t dial_srv_read(const uint8_t *answer, size_t len, struct dial_target out[DIAL_TARGETS_MAX])
{
    ns_msg msg;
    size_t n = 0;
    if (len > ANSWER_MAX || ns_initparse(answer, (int)len, &msg) != 0) {
        return 0;
    }
    for (int i = 0; i < ns_msg_count(msg, ns_s_an) && n < DIAL_TARGETS_MAX; i++) {
        struct dial_target found;
        if (!read_record(&msg, i, &found)) {
            continue;
        }
        size_t at = n++;
        for (; at > 0 && is_before(&found, &out[at - 1]); at--) {
            out[at] = out[at - 1];
        }
        out[at] = found;
    }
    return n;
}

size_t dial_srv(const char *service, const char *host, struct dial_target out[DIAL_TARGETS_MAX])
{
    static unsigned char answer[ANSWER_MAX];
    char name[512];
    snprintf(name, sizeof(name), "%s.%s", service, host);
    int len = res_query(name, ns_c_in, ns_t_srv, answer, sizeof(answer));
    if (len < 0) {
        say("the DNS has no SRV record %s (%s): leave -S out and give host and port.", name, hstrerror(h_errno));
        return 0;
    }
    size_t n = dial_srv_read(answer, (size_t)len, out);
    if (n == 0) {
        say("the SRV record %s names no host: leave -S out and give host and port.", name);
    }
    return n;
}
