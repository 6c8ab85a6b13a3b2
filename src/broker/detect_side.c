/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/convert.h"
#include "broker/internal.h"
#include "broker/relay.h"
#include "codec/topic.h"

enum { PACKET = 60000, NOISE_FACTOR = 10 };

struct smq_detect_side *smq_detect_side(struct smq_conn *conn)
{
    struct smq_worker *w = conn->worker;
    if (conn->detect == NULL) {
        struct smq_detect_side *d = smq_mem_zalloc(w->mem, 1, sizeof *d);
        if (d == NULL) {
            return NULL;
        }
        smq_list_init(&d->servers);
        smq_list_init(&d->relays);
        d->tokens = (uint64_t)w->config->detect_burst * PACKET;
        d->noise = d->tokens * NOISE_FACTOR;
        d->refilled = w->now.mono;
        conn->detect = d;
    }
    return conn->detect;
}

void smq_detect_drop(struct smq_conn *conn)
{
    struct smq_detect_side *d = conn->detect;
    struct smq_worker *w = conn->worker;
    struct smq_list *at;
    if (d == NULL) {
        return;
    }
    while ((at = smq_list_first(&d->relays)) != NULL) {
        smq_relay_free(w, SMQ_CONTAINER_OF(at, struct smq_relay, of_client));
    }
    while ((at = smq_list_first(&d->servers)) != NULL) {
        smq_server_free(w, SMQ_CONTAINER_OF(at, struct smq_server, of_conn));
    }
    smq_handle_end(&w->handles, d->self);
    smq_mem_free(w->mem, d);
    conn->detect = NULL;
}

static uint64_t refill(uint64_t tokens, uint64_t more, uint64_t max)
{
    return tokens >= max || more >= max - tokens ? max : tokens + more;
}

bool smq_detect_allow(struct smq_conn *conn, bool start)
{
    const struct smq_broker_config *config = conn->worker->config;
    struct smq_detect_side *d = conn->detect;
    smqtt_ms now = conn->worker->now.mono;
    if (config->detect_per_minute == 0) {
        return true;
    }
    uint64_t max = (uint64_t)config->detect_burst * PACKET;
    uint64_t elapsed = now > d->refilled ? now - d->refilled : 0;
    enum { LONG = 86400000 };
    uint64_t more = (elapsed < LONG ? elapsed : LONG) * config->detect_per_minute;
    d->tokens = refill(d->tokens, more, max);
    d->noise = refill(d->noise, more * NOISE_FACTOR, max * NOISE_FACTOR);
    d->refilled = now;
    uint64_t *from = start ? &d->tokens : &d->noise;
    if (*from < PACKET) {
        return false;
    }
    *from -= PACKET;
    return true;
}

/* ------------------------------------------------------------ servers and handshakes */

void smq_relay_free(struct smq_worker *w, struct smq_relay *r)
{
    smq_map_del(&w->relays, smq_span_of(r->key, sizeof r->key));
    smq_wheel_cancel(&w->wheel, &r->timer.node);
    smq_list_remove(&r->of_client);
    smq_list_remove(&r->of_server);
    smq_far_over(w, r);
    if (r->tunnelled || r->server == NULL) {
        smq_convert_end(w, r);
    }
    smq_mem_free(w->mem, r);
}

void smq_server_free(struct smq_worker *w, struct smq_server *s)
{
    struct smq_list *at;
    while ((at = smq_list_first(&s->relays)) != NULL) {
        smq_relay_free(w, SMQ_CONTAINER_OF(at, struct smq_relay, of_server));
    }
    smq_span skid = smq_span_of(s->skid, sizeof s->skid);
    if (s->proven && smq_map_get(&w->servers, skid) == s) {
        smq_map_del(&w->servers, skid);
        if (!smq_server_is_far(w, s)) {
            smq_far_announce(w, s, false);
        }
        smq_far_promote(w, s->skid, s->others);
    }
    if (s->conn != NULL) {
        s->conn->detect->n_servers--;
    }
    smq_list_remove(&s->of_conn);
    smqtt_identity_free(s->id);
    smq_mem_free(w->mem, s);
}

/* ------------------------------------------------------------ require_detect */

/* Is there a name that both filters match? */
static bool overlap(smq_span a, smq_span b)
{
    smq_span la, lb, hash = smq_span_str("#"), plus = smq_span_str("+");
    bool more_a = true, more_b = true;
    for (;;) {
        bool has_a = smq_topic_next_level(&a, &more_a, &la);
        bool has_b = smq_topic_next_level(&b, &more_b, &lb);
        if ((has_a && smq_span_equal(la, hash)) || (has_b && smq_span_equal(lb, hash))) {
            return true;
        }
        if (!has_a || !has_b) {
            return has_a == has_b;
        }
        if (!smq_span_equal(la, plus) && !smq_span_equal(lb, plus) && !smq_span_equal(la, lb)) {
            return false;
        }
    }
}

static bool rule_applies(const struct smq_require_detect *rule, smq_span topic, bool is_filter)
{
    if (rule->filter == NULL) {
        return true;
    }
    smq_span filter = smq_span_str(rule->filter);
    return is_filter ? overlap(filter, topic) : smq_topic_match(filter, topic);
}

static bool rule_names(const struct smq_require_detect *rule, const uint8_t *skid)
{
    for (size_t i = 0; i < rule->n_skids; i++) {
        if (memcmp(rule->skids[i], skid, SMQTT_SKID_LEN) == 0) {
            return true;
        }
    }
    return rule->n_skids == 0;
}

static bool has_completed(const struct smq_conn *conn, const struct smq_require_detect *rule)
{
    const struct smq_detect_side *d = conn->detect;
    if (d == NULL) {
        return false;
    }
    for (const struct smq_list *at = d->relays.next; at != &d->relays; at = at->next) {
        const struct smq_relay *r = SMQ_CONTAINER_OF(at, struct smq_relay, of_client);
        bool vouched = r->server != NULL; /* who acknowledged it in the tunnel, nobody knows */
        if (r->state == SMQ_RELAY_OPEN && r->from_start && vouched && rule_names(rule, r->server->skid)) {
            return true;
        }
    }
    return false;
}

/* Where S-MQTT itself is spoken (protocol.md 9.6): smqtt1/<skid>/ and c, s, n or d. Else who has completed nothing
 * could talk below smqtt1/ about anything, or look at what everybody does there. */
static bool is_own_topic(smq_span topic)
{
    enum { SKID_AT = 7, SKID_END = SKID_AT + 2 * SMQTT_SKID_LEN, BRANCH_END = SKID_END + 2 };
    const uint8_t *at = topic.data;
    if (topic.len < BRANCH_END || !smq_span_starts(topic, smq_span_str("smqtt1/")) || at[SKID_END] != '/' ||
        (topic.len > BRANCH_END && at[BRANCH_END] != '/')) {
        return false;
    }
    for (size_t i = SKID_AT; i < SKID_END; i++) {
        if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f'))) {
            return false;
        }
    }
    return memchr("csnd", at[SKID_END + 1], 4) != NULL;
}

bool smq_detect_is_satisfied(const struct smq_conn *conn, smq_span topic, bool is_filter)
{
    const struct smq_require_detect *rule = conn->listener->require_detect;
    if (rule == NULL || is_own_topic(topic)) {
        return true; /* protocol.md 9.4 */
    }
    for (; rule != NULL; rule = rule->next) {
        if (rule_applies(rule, topic, is_filter) && !has_completed(conn, rule)) {
            return false;
        }
    }
    return true;
}
