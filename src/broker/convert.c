/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/convert.h"
#include "base/hex.h"
#include "base/siphash.h"
#include "broker/internal.h"
#include "broker/mount.h"
#include "broker/route.h"
#include "detect/channel.h"

enum { SKID_AT = 7, BRANCH_AT = SKID_AT + 16 + 1, CID_AT = BRANCH_AT + 2, HEX_LEN = 16 };

smqtt_err smq_convert_init(struct smq_worker *w)
{
    w->listener = smq_mem_zalloc(w->mem, 1, sizeof *w->listener);
    if (w->listener == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_subscriber_init(&w->listener->sub, smq_siphash13(w->key, smq_span_str("listener")));
    return SMQTT_OK;
}

/* What a topic says. */
struct path {
    uint8_t skid[SMQTT_SKID_LEN], cid[SMQ_CID_LEN];
};

static bool read_id(smq_span hex, uint8_t out[SMQ_CID_LEN])
{
    size_t len;
    for (size_t i = 0; i < hex.len; i++) {
        if (hex.data[i] >= 'A' && hex.data[i] <= 'F') {
            return false; /* another topic than that of the server */
        }
    }
    return smq_hex_decode(out, SMQ_CID_LEN, hex, &len) == SMQTT_OK && len == SMQ_CID_LEN;
}

/* smqtt1/<skid>/<branch>/<cid>, maybe behind a mount point. */
static bool read_path(smq_span topic, char branch, struct path *out)
{
    if (!smq_convert_is_topic(topic)) {
        return false;
    }
    const uint8_t *at = topic.data + topic.len - SMQ_CONVERT_TOPIC;
    bool levels = at[BRANCH_AT - 1] == '/' && at[BRANCH_AT] == (uint8_t)branch && at[CID_AT - 1] == '/';
    return levels && read_id(smq_span_of(at + SKID_AT, HEX_LEN), out->skid) &&
           read_id(smq_span_of(at + CID_AT, HEX_LEN), out->cid);
}

/* The topic as the tree has it for this client. End with smq_mount_free. */
static smqtt_err mounted_topic(const struct smq_conn *conn, const uint8_t *skid, char branch, const uint8_t *cid,
                               struct smq_mounted *out)
{
    char topic[SMQ_OWN_TOPIC_MAX];
    size_t len = smq_own_topic(smq_span_str(SMQ_PREFIX), skid, branch, smq_span_of(cid, SMQ_CID_LEN), topic);
    if (!smq_is_mounted(conn)) {
        memcpy(out->local, topic, len);
        out->topic = smq_span_of(out->local, len);
        out->heap = NULL;
        return SMQTT_OK;
    }
    return smq_mount_topic(conn, smq_span_of(topic, len), out);
}

static bool is_of_client(uint8_t header)
{
    return header == SMQ_DETECT_STEP0 || header == SMQ_DETECT_STEP3_REJECTED || header == SMQ_DETECT_STEP3;
}

static bool is_of_server(uint8_t header)
{
    return header == SMQ_DETECT_RETRY || header == SMQ_DETECT_STEP2_MOJIBAKE || header == SMQ_DETECT_STEP2 ||
           header == SMQ_DETECT_ACK || header == SMQ_DETECT_CLOSE;
}

static void drop(struct smq_worker *w)
{
    w->stats.tunnel_dropped++;
}

/* Header byte and body on a topic of the relay; `from` in whose name, NULL: the broker's. */
static void publish(struct smq_worker *w, const struct smq_relay *r, char branch, uint8_t header, smq_span body,
                    const struct smq_subscriber *from)
{
    struct smq_mounted topic;
    uint8_t *payload = smq_mem_alloc(w->mem, 1 + body.len);
    if (payload == NULL || mounted_topic(r->client, r->key, branch, r->key + SMQTT_SKID_LEN, &topic) != SMQTT_OK) {
        smq_mem_free(w->mem, payload);
        drop(w);
        return;
    }
    payload[0] = header;
    if (body.len != 0) {
        memcpy(payload + 1, body.data, body.len);
    }
    const struct smq_content content = {
        .topic = topic.topic, .payload = smq_span_of(payload, 1 + body.len), .expires = SMQTT_NEVER, .qos = 1};
    struct smq_routing routing;
    smq_routing_init(&routing, &content, from, true);
    routing.refusable = true;
    if (smq_route(w, &routing) == SMQTT_OK) {
        w->stats.tunnel_converted++;
    } else {
        drop(w);
    }
    smq_routing_deinit(&routing);
    smq_mount_free(r->client, &topic);
    smq_mem_free(w->mem, payload);
}

/* The oldest session that is open makes room; handshakes that are under way do not. */
static bool make_room(struct smq_worker *w, struct smq_conn *conn)
{
    struct smq_list *head = &conn->detect->relays;
    if (conn->detect->n_converted < SMQ_CONVERT_MAX) {
        return true;
    }
    for (struct smq_list *at = head->next; at != head; at = at->next) {
        struct smq_relay *r = SMQ_CONTAINER_OF(at, struct smq_relay, of_client);
        if (r->state == SMQ_RELAY_OPEN && (r->tunnelled || r->server == NULL)) {
            smq_relay_free(w, r);
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------ a client in the tunnel, a registered server */

static void retry(struct smq_worker *w, struct smq_conn *conn, const struct smq_relay_head *head)
{
    struct smq_relay shown = {.client = conn}; /* only where it goes */
    uint8_t body[SMQ_RETRY_MAX];
    memcpy(shown.key, head->skid, SMQTT_SKID_LEN);
    memcpy(shown.key + SMQTT_SKID_LEN, head->cid, SMQ_CID_LEN);
    size_t len = smq_relay_retry_write(head, SMQTT_STATUS_BUSY, w->now.wall, body);
    publish(w, &shown, 's', SMQ_DETECT_RETRY, smq_span_of(body, len), NULL);
}

/* The first of its cid. Over the limits it is answered by a hint, as far as those last. */
static struct smq_relay *first_of(struct smq_worker *w, struct smq_conn *conn, struct smq_server *server,
                                  const struct smq_relay_head *head, uint8_t header)
{
    struct smq_relay *r;
    if (!smq_detect_allow(conn, true) || !make_room(w, conn)) {
        if (header == SMQ_DETECT_STEP0 && smq_detect_allow(conn, false)) {
            retry(w, conn, head);
        }
        return NULL;
    }
    if (smq_relay_begin(w, conn, server, head, &r) != SMQTT_OK) {
        return NULL;
    }
    r->tunnelled = true;
    r->from_start = header == SMQ_DETECT_STEP0;
    r->state = r->from_start ? SMQ_RELAY_AWAITS_ANSWER : SMQ_RELAY_AWAITS_ACK;
    conn->detect->n_converted++;
    return r;
}

/* Copies and forgeries go on to the server, too, who can tell them: here only their number counts. */
static bool take(struct smq_worker *w, struct smq_conn *conn, struct smq_server *server,
                 const struct smq_relay_head *head, smq_span payload)
{
    uint8_t header = payload.data[0];
    struct smq_relay *r = smq_relay_find(w, head->skid, head->cid);
    if (r != NULL && (r->client != conn || !r->tunnelled || !smq_detect_allow(conn, false))) {
        return false;
    }
    r = r != NULL ? r : first_of(w, conn, server, head, header);
    if (r == NULL) {
        return false;
    }
    if (header == SMQ_DETECT_STEP3 && r->state == SMQ_RELAY_AWAITS_VERDICT) {
        r->state = SMQ_RELAY_AWAITS_ACK;
    }
    smq_span body = smq_span_from(payload, 1);
    return smq_relay_to_server(w, r, header == SMQ_DETECT_STEP0 ? SMQ_DETECT_STEP1 : header, body) == SMQTT_OK;
}

bool smq_convert_publish(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *p)
{
    struct path path;
    struct smq_relay_head head;
    bool is_path = p->topic.len == (size_t)conn->mount_len + SMQ_CONVERT_TOPIC && read_path(p->topic, 'c', &path);
    if (!is_path || !w->config->detect) {
        return false;
    }
    struct smq_server *server = smq_map_get(&w->servers, smq_span_of(path.skid, SMQTT_SKID_LEN));
    if (server == NULL) {
        return false; /* whoever subscribed to it */
    }
    bool good = !p->retain && p->payload.len > 1 && p->payload.len - 1 <= w->config->max_detect_size &&
                is_of_client(p->payload.data[0]) &&
                smq_relay_head_read(p->payload.data[0], smq_span_from(p->payload, 1), &head) == SMQTT_OK &&
                memcmp(head.skid, path.skid, sizeof path.skid) == 0 && memcmp(head.cid, path.cid, sizeof path.cid) == 0;
    if (good && smq_detect_side(conn) != NULL && take(w, conn, server, &head, p->payload)) {
        w->stats.tunnel_converted++;
    } else {
        drop(w);
    }
    return true;
}

smqtt_err smq_convert_answer(struct smq_worker *w, struct smq_relay *r, uint8_t header, smq_span body)
{
    if (!is_of_server(header)) {
        return SMQTT_E_MALFORMED;
    }
    if (header == SMQ_DETECT_ACK && r->state == SMQ_RELAY_AWAITS_ACK) {
        r->state = SMQ_RELAY_OPEN;
        smq_wheel_cancel(&w->wheel, &r->timer.node);
        w->stats.handshakes++;
    } else if ((header == SMQ_DETECT_STEP2 || header == SMQ_DETECT_STEP2_MOJIBAKE) &&
               r->state == SMQ_RELAY_AWAITS_ANSWER) {
        r->state = SMQ_RELAY_AWAITS_VERDICT;
    }
    publish(w, r, 's', header, body, NULL);
    if (header == SMQ_DETECT_CLOSE) {
        smq_relay_free(w, r);
    }
    return SMQTT_OK;
}

/* ------------------------------------------------------------ a native client, a server in the tunnel */

static bool has_other(const struct smq_match *m, const struct smq_subscriber *self)
{
    return m->n > 1 || (m->n == 1 && m->receivers[0].who != self);
}

static enum smq_audience audience_of(struct smq_worker *w, smq_span topic, const struct smq_subscriber *self)
{
    const struct smq_match *m;
    bool express = smq_trie_match_by_name(&w->trie, topic, &m) == SMQTT_OK && has_other(m, self);
    if (express || (w->count > 1 && smq_interest_match_by_name(&w->peers.interest, topic) != 0)) {
        return SMQ_AUDIENCE_EXPRESS;
    }
    bool any = smq_trie_match(&w->trie, topic, NULL, &m) == SMQTT_OK && has_other(m, self);
    return any || smq_peers_interested(w, topic) != 0 ? SMQ_AUDIENCE_CHANCE : SMQ_AUDIENCE_NONE;
}

enum smq_audience smq_convert_audience(struct smq_worker *w, struct smq_conn *conn, const uint8_t *skid,
                                       const uint8_t *cid)
{
    struct smq_mounted topic;
    enum smq_audience to = SMQ_AUDIENCE_NONE;
    if (mounted_topic(conn, skid, 'c', cid, &topic) != SMQTT_OK) {
        return to;
    }
    if (smq_session_may(w, conn->session, topic.topic, SMQ_ACCESS_WRITE)) {
        to = audience_of(w, topic.topic, &conn->session->sub);
    }
    smq_mount_free(conn, &topic);
    return to;
}

/* The worker has a subscription of its own for the answers, so that those of other workers come here, too. */
static smqtt_err listen(struct smq_worker *w, const struct smq_relay *r)
{
    struct smq_mounted topic;
    bool existed;
    if (!smq_worker_has_room(w, SMQ_SUBSCRIPTION_BYTES)) {
        return SMQTT_E_QUOTA;
    }
    SMQ_TRY(smq_peers_reserve(w));
    SMQ_TRY(mounted_topic(r->client, r->key, 's', r->key + SMQTT_SKID_LEN, &topic));
    smqtt_err err = smq_trie_subscribe(&w->trie, &w->listener->sub, topic.topic, 1, 0, &existed);
    smq_mount_free(r->client, &topic);
    return err;
}

smqtt_err smq_convert_begin(struct smq_worker *w, struct smq_conn *conn, const struct smq_relay_head *head,
                            struct smq_relay **out)
{
    struct smq_relay *r;
    if (!make_room(w, conn)) {
        return SMQTT_E_QUOTA;
    }
    SMQ_TRY(smq_relay_begin(w, conn, NULL, head, &r));
    conn->detect->n_converted++;
    w->n_listening++;
    smqtt_err err = listen(w, r);
    if (err != SMQTT_OK) {
        smq_relay_free(w, r);
        return err;
    }
    *out = r;
    return SMQTT_OK;
}

void smq_convert_to_server(struct smq_worker *w, const struct smq_relay *r, uint8_t header, smq_span body)
{
    publish(w, r, 'c', header, body, &r->client->session->sub);
}

void smq_convert_supersede(struct smq_worker *w, const struct smq_relay *r)
{
    struct smq_list *head = &r->client->detect->relays, *next;
    for (struct smq_list *at = head->next; at != head; at = next) {
        struct smq_relay *other = SMQ_CONTAINER_OF(at, struct smq_relay, of_client);
        bool same = other->server == NULL && memcmp(other->key, r->key, SMQTT_SKID_LEN) == 0;
        next = at->next;
        if (other != r && same && other->state == SMQ_RELAY_OPEN) {
            smq_relay_free(w, other);
        }
    }
}

void smq_convert_end(struct smq_worker *w, struct smq_relay *r)
{
    struct smq_mounted topic;
    r->client->detect->n_converted--;
    if (r->server != NULL || r->tunnelled) {
        return;
    }
    if (mounted_topic(r->client, r->key, 's', r->key + SMQTT_SKID_LEN, &topic) == SMQTT_OK) {
        (void)smq_trie_unsubscribe(&w->trie, &w->listener->sub, topic.topic);
        smq_mount_free(r->client, &topic);
        w->n_listening--; /* without memory it stays, and so does the care that the listener is no session (route.c) */
    }
}

/* Anybody may have published it: it moves the handshake on, and never back or to an end. */
static void note(struct smq_worker *w, struct smq_relay *r, uint8_t header)
{
    switch (header) {
    case SMQ_DETECT_RETRY:
        r->yields = true;
        break;
    case SMQ_DETECT_STEP2_MOJIBAKE:
    case SMQ_DETECT_STEP2:
        r->refused = header == SMQ_DETECT_STEP2_MOJIBAKE;
        r->state = r->state == SMQ_RELAY_AWAITS_ANSWER ? SMQ_RELAY_AWAITS_VERDICT : r->state;
        break;
    case SMQ_DETECT_ACK:
        if (r->state == SMQ_RELAY_AWAITS_ACK) {
            r->state = SMQ_RELAY_OPEN;
            smq_wheel_cancel(&w->wheel, &r->timer.node);
        }
        break;
    default:
        break;
    }
}

static bool is_mounted_alike(const struct smq_conn *conn, smq_span topic)
{
    smq_span rest = topic;
    return topic.len == (size_t)conn->mount_len + SMQ_CONVERT_TOPIC &&
           (!smq_is_mounted(conn) || smq_mount_strip(conn, &rest));
}

const struct smq_subscriber *smq_convert_deliver(struct smq_worker *w, const struct smq_content *content)
{
    struct path path;
    smq_span p = content->payload;
    struct smq_relay_head head;
    if (p.len == 0 || !is_of_server(p.data[0]) || !read_path(content->topic, 's', &path)) {
        return NULL; /* receipts are published as ever */
    }
    struct smq_relay *r = smq_relay_find(w, path.skid, path.cid);
    if (r == NULL || r->server != NULL || !is_mounted_alike(r->client, content->topic)) {
        return NULL;
    }
    smq_span body = smq_span_from(p, 1);
    bool good = body.len <= w->config->max_detect_size && smq_relay_head_read(p.data[0], body, &head) == SMQTT_OK &&
                memcmp(head.cid, path.cid, sizeof path.cid) == 0;
    if (good) {
        note(w, r, p.data[0]);
        w->stats.tunnel_converted++;
        smqtt_err err = smq_relay_write(r->client, p.data[0], body);
        if (err != SMQTT_OK) {
            smq_conn_doom(r->client, err);
        }
    } else {
        drop(w);
    }
    return &r->client->session->sub;
}
