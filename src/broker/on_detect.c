/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"
#include "broker/convert.h"
#include "broker/internal.h"
#include "broker/relay.h"

enum {
    HANDSHAKE_MS = 30000, /* an entry lives so long until it is acknowledged */
    PATIENCE_MS = 10000,  /* then the client may have given up: the next handshake takes its place */
    MISMATCH_MS = 5000,   /* for the client's own word after flag 0 */
    REASON_MISMATCH = 0x99
};

static uint64_t hash_of(const struct smq_worker *w, uint8_t header, smq_span body)
{
    return smq_siphash13(w->key, body) ^ header;
}

smqtt_err smq_relay_write(struct smq_conn *to, uint8_t header, smq_span body)
{
    struct smq_packet pkt = {.type = SMQ_DETECT};
    pkt.detect.header = header;
    pkt.detect.body = body;
    if (smq_conn_is_full(to)) {
        return SMQTT_OK; /* it does not read: lost, as on any bad line */
    }
    to->worker->stats.detect_out++;
    return smq_conn_write(to, &pkt);
}

static smqtt_err retry(struct smq_worker *w, struct smq_conn *conn, const struct smq_relay_head *head, uint8_t status)
{
    uint8_t body[SMQ_RETRY_MAX];
    size_t len = smq_relay_retry_write(head, status, w->now.wall, body);
    return smq_relay_write(conn, SMQ_DETECT_RETRY, smq_span_of(body, len));
}

static void make_key(uint8_t key[SMQTT_SKID_LEN + SMQ_CID_LEN], const uint8_t *skid, const uint8_t *cid)
{
    memcpy(key, skid, SMQTT_SKID_LEN);
    memcpy(key + SMQTT_SKID_LEN, cid, SMQ_CID_LEN);
}

struct smq_relay *smq_relay_find(const struct smq_worker *w, const uint8_t *skid, const uint8_t *cid)
{
    uint8_t key[SMQTT_SKID_LEN + SMQ_CID_LEN];
    make_key(key, skid, cid);
    return smq_map_get(&w->relays, smq_span_of(key, sizeof key));
}

/* The client held something else than the server: its access ends (protocol.md 9.3). */
static void end_access(struct smq_worker *w, struct smq_relay *r)
{
    struct smq_conn *client = r->client;
    smq_relay_free(w, r);
    if (w->config->on_mismatch == SMQ_MISMATCH_DISCONNECT) {
        smq_conn_kick(client, REASON_MISMATCH, "the text did not survive the way to the server and back");
    }
}

void smq_relay_on_timer(struct smq_worker *w, struct smq_timer *timer)
{
    struct smq_relay *r = SMQ_CONTAINER_OF(timer, struct smq_relay, timer);
    if (r->refused && r->server != NULL) {
        end_access(w, r);
    } else {
        smq_relay_free(w, r); /* from the tunnel only the client's own word counts */
    }
}

smqtt_err smq_relay_new(struct smq_worker *w, struct smq_conn *client, unsigned worker, struct smq_server *server,
                        const uint8_t *skid, const uint8_t *cid, struct smq_relay **out)
{
    struct smq_relay *r = smq_mem_zalloc(w->mem, 1, sizeof *r);
    if (r == NULL) {
        return SMQTT_E_NOMEM;
    }
    make_key(r->key, skid, cid);
    smqtt_err err = smq_map_put(&w->relays, smq_span_of(r->key, sizeof r->key), r, NULL);
    if (err != SMQTT_OK) {
        smq_mem_free(w->mem, r);
        return err;
    }
    r->client = client;
    r->worker = worker;
    r->server = server;
    r->begun = w->now.mono;
    smq_list_init(&r->of_client);
    smq_list_init(&r->of_server);
    smq_timer_init(&r->timer, SMQ_TIMER_RELAY);
    if (client != NULL) {
        smq_list_push_back(&client->detect->relays, &r->of_client);
    }
    if (server != NULL) {
        smq_list_push_back(&server->relays, &r->of_server);
    }
    *out = r;
    return SMQTT_OK;
}

smqtt_err smq_relay_begin(struct smq_worker *w, struct smq_conn *client, struct smq_server *server,
                          const struct smq_relay_head *head, struct smq_relay **out)
{
    SMQ_TRY(smq_relay_new(w, client, w->index, server, head->skid, head->cid, out));
    smq_wheel_set(&w->wheel, &(*out)->timer.node, w->now.mono + HANDSHAKE_MS);
    return SMQTT_OK;
}

smqtt_err smq_relay_to_server(struct smq_worker *w, const struct smq_relay *r, uint8_t header, smq_span body)
{
    if (r->server == NULL) {
        smq_convert_to_server(w, r, header == SMQ_DETECT_STEP1 ? SMQ_DETECT_STEP0 : header, body);
        return SMQTT_OK;
    }
    if (smq_server_is_far(w, r->server)) {
        return smq_far_detect(w, r, header, body);
    }
    if (r->server->conn != NULL) {
        return smq_relay_write(r->server->conn, header, body);
    }
    smq_own_detect(w, header, body);
    return SMQTT_OK;
}

/* One handshake in flight: is the one under way too young to be given up? An old one makes room, and one with other
 * keys: the client has turned to the server's successor. One whose text did not survive makes none: it is about to end
 * this client's access. */
static bool is_busy(struct smq_worker *w, struct smq_conn *conn, const uint8_t skid[SMQTT_SKID_LEN])
{
    struct smq_list *head = &conn->detect->relays, *next;
    for (struct smq_list *at = head->next; at != head; at = next) {
        struct smq_relay *r = SMQ_CONTAINER_OF(at, struct smq_relay, of_client);
        next = at->next;
        if (r->state == SMQ_RELAY_OPEN || r->tunnelled) {
            continue;
        }
        bool same = memcmp(r->key, skid, SMQTT_SKID_LEN) == 0;
        if (r->refused && r->server != NULL) {
            return true;
        }
        if (same && w->now.mono - r->begun < PATIENCE_MS && !r->yields) {
            return true;
        }
        smq_relay_free(w, r);
    }
    return false;
}

static smqtt_err begin(struct smq_worker *w, struct smq_conn *conn, struct smq_server *server,
                       const struct smq_relay_head *head, struct smq_relay **out)
{
    return server != NULL ? smq_relay_begin(w, conn, server, head, out) : smq_convert_begin(w, conn, head, out);
}

/* A start over the allowance gets a hint, many of them end the connection. */
static smqtt_err too_many(struct smq_worker *w, struct smq_conn *conn, const struct smq_relay_head *head)
{
    return smq_detect_allow(conn, false) ? retry(w, conn, head, SMQTT_STATUS_BUSY) : SMQTT_E_RATE;
}

/* A step 0 that is new, and allowed. */
struct start {
    struct smq_server *server; /* NULL: it is not registered */
    const struct smq_relay_head *head;
    uint64_t hash;
    smq_span body;
};

/* Where nobody is sure to be the server, the hint comes as well: the client tries again as when nobody were there, and
 * what answers within a second is in time. */
static smqtt_err start(struct smq_worker *w, struct smq_conn *conn, const struct start *it)
{
    const struct smq_relay_head *head = it->head;
    enum smq_audience to = SMQ_AUDIENCE_EXPRESS;
    struct smq_relay *r;
    if (it->server == NULL) {
        to = smq_convert_audience(w, conn, head->skid, head->cid);
    }
    if (to == SMQ_AUDIENCE_NONE) {
        return retry(w, conn, head, SMQTT_STATUS_UNKNOWN_SERVER);
    }
    if (is_busy(w, conn, head->skid)) {
        return retry(w, conn, head, SMQTT_STATUS_BUSY);
    }
    smqtt_err err = begin(w, conn, it->server, head, &r);
    if (err != SMQTT_OK) {
        return err == SMQTT_E_QUOTA ? retry(w, conn, head, SMQTT_STATUS_BUSY) : err;
    }
    r->first = it->hash;
    r->from_start = true;
    r->yields = to == SMQ_AUDIENCE_CHANCE;
    SMQ_TRY(smq_relay_to_server(w, r, SMQ_DETECT_STEP1, it->body));
    return to == SMQ_AUDIENCE_CHANCE ? retry(w, conn, head, SMQTT_STATUS_UNKNOWN_SERVER) : SMQTT_OK;
}

static smqtt_err on_start(struct smq_worker *w, struct smq_conn *conn, const struct smq_relay_head *head, smq_span body)
{
    struct smq_relay *r = smq_relay_find(w, head->skid, head->cid);
    uint64_t hash = hash_of(w, SMQ_DETECT_STEP0, body);
    if (r != NULL && r->client == conn) {
        bool again = r->from_start && r->first == hash;
        if (!again) {
            return SMQTT_E_MALFORMED;
        }
        SMQ_TRY(smq_detect_allow(conn, false) ? SMQTT_OK : SMQTT_E_RATE);
        return r->state < SMQ_RELAY_AWAITS_ACK ? smq_relay_to_server(w, r, SMQ_DETECT_STEP1, body) : SMQTT_OK;
    }
    if (!smq_detect_allow(conn, true)) {
        return too_many(w, conn, head);
    }
    if (r != NULL) {
        return retry(w, conn, head, SMQTT_STATUS_REFUSED); /* a live cid of another connection */
    }
    const struct start it = {.server = smq_map_get(&w->servers, smq_span_of(head->skid, SMQTT_SKID_LEN)),
                             .head = head,
                             .hash = hash,
                             .body = body};
    return start(w, conn, &it);
}

/* Step 3 of a handshake that began on an earlier connection: the server knows it, or ignores it. */
static smqtt_err on_late_verdict(struct smq_worker *w, struct smq_conn *conn, const struct smq_relay_head *head,
                                 uint8_t header, smq_span body)
{
    struct smq_server *server = smq_map_get(&w->servers, smq_span_of(head->skid, SMQTT_SKID_LEN));
    if (!smq_detect_allow(conn, true)) {
        return smq_detect_allow(conn, false) ? SMQTT_OK : SMQTT_E_RATE;
    }
    if (server == NULL && smq_convert_audience(w, conn, head->skid, head->cid) == SMQ_AUDIENCE_NONE) {
        return SMQTT_OK;
    }
    if (is_busy(w, conn, head->skid)) {
        return SMQTT_OK;
    }
    struct smq_relay *r;
    smqtt_err err = begin(w, conn, server, head, &r);
    if (err != SMQTT_OK) {
        return err == SMQTT_E_QUOTA ? SMQTT_OK : err;
    }
    r->state = SMQ_RELAY_AWAITS_ACK;
    r->last = hash_of(w, header, body);
    return smq_relay_to_server(w, r, header, body);
}

static smqtt_err on_verdict(struct smq_worker *w, struct smq_conn *conn, const struct smq_relay_head *head,
                            uint8_t header, smq_span body)
{
    struct smq_relay *r = smq_relay_find(w, head->skid, head->cid);
    if (r == NULL) {
        return on_late_verdict(w, conn, head, header, body);
    }
    uint64_t hash = hash_of(w, header, body);
    bool contradicts = r->refused && header == SMQ_DETECT_STEP3 && r->server != NULL;
    bool first = r->state == SMQ_RELAY_AWAITS_VERDICT && !contradicts;
    bool again = r->state > SMQ_RELAY_AWAITS_VERDICT && r->last == hash;
    if (r->client != conn && r->tunnelled) {
        return SMQTT_OK; /* it was in the tunnel before: whoever that was, this client did nothing wrong */
    }
    if (r->client != conn || !(first || again)) {
        return SMQTT_E_MALFORMED;
    }
    if (again) {
        SMQ_TRY(smq_detect_allow(conn, false) ? SMQTT_OK : SMQTT_E_RATE);
        return smq_relay_to_server(w, r, header, body);
    }
    r->last = hash;
    if (header == SMQ_DETECT_STEP3) {
        r->state = SMQ_RELAY_AWAITS_ACK;
        if (r->server == NULL) {
            smq_convert_supersede(w, r);
        }
        return smq_relay_to_server(w, r, header, body);
    }
    smqtt_err err = smq_relay_to_server(w, r, header, body);
    r = smq_relay_find(w, head->skid, head->cid);
    if (r != NULL && r->refused) {
        end_access(w, r);
    } else if (r != NULL) {
        smq_relay_free(w, r);
    }
    return err;
}

/* The newest session of this client with this server takes the place of those before. */
static void open_relay(struct smq_worker *w, struct smq_relay *r)
{
    struct smq_list *head = &r->client->detect->relays, *next;
    for (struct smq_list *at = head->next; at != head; at = next) {
        struct smq_relay *other = SMQ_CONTAINER_OF(at, struct smq_relay, of_client);
        next = at->next;
        if (other != r && other->server == r->server && other->state == SMQ_RELAY_OPEN && !other->tunnelled) {
            smq_relay_free(w, other);
        }
    }
    r->state = SMQ_RELAY_OPEN;
    smq_wheel_cancel(&w->wheel, &r->timer.node);
    w->stats.handshakes++;
}

/* Does this answer fit the state? Advances it. *ends: nothing is to follow. */
static bool advance(struct smq_worker *w, struct smq_relay *r, uint8_t header, uint64_t hash, bool *ends)
{
    switch (header) {
    case SMQ_DETECT_RETRY:
        *ends = true;
        return r->state == SMQ_RELAY_AWAITS_ANSWER;
    case SMQ_DETECT_STEP2_MOJIBAKE:
    case SMQ_DETECT_STEP2:
        if (r->state != SMQ_RELAY_AWAITS_ANSWER) {
            return r->from_start && r->answer == hash;
        }
        r->answer = hash;
        r->refused = header == SMQ_DETECT_STEP2_MOJIBAKE;
        r->state = SMQ_RELAY_AWAITS_VERDICT;
        if (r->refused) {
            smq_wheel_set(&w->wheel, &r->timer.node, w->now.mono + MISMATCH_MS);
        }
        return true;
    case SMQ_DETECT_ACK:
        if (r->state == SMQ_RELAY_AWAITS_ACK) {
            open_relay(w, r);
        }
        return r->state == SMQ_RELAY_OPEN;
    case SMQ_DETECT_CLOSE:
        *ends = true;
        return r->state >= SMQ_RELAY_AWAITS_ACK;
    default:
        return false;
    }
}

smqtt_err smq_relay_answer(struct smq_worker *w, struct smq_relay *r, uint8_t header, smq_span body)
{
    struct smq_conn *client = r->client;
    bool ends = false;
    if (client == NULL) {
        smq_far_answer(w, r, header, body); /* it is judged there */
        return SMQTT_OK;
    }
    if (r->tunnelled) {
        return smq_convert_answer(w, r, header, body);
    }
    if (!advance(w, r, header, hash_of(w, header, body), &ends)) {
        return SMQTT_E_MALFORMED;
    }
    if (ends) {
        smq_relay_free(w, r);
    }
    smqtt_err err = smq_relay_write(client, header, body);
    if (err != SMQTT_OK) {
        smq_conn_fail(client, err); /* the client's loss, not the server's */
    }
    return SMQTT_OK;
}

/* From a server: only for what was begun with one of the identities that this connection registered. */
static smqtt_err on_answer(struct smq_worker *w, struct smq_conn *conn, const struct smq_relay_head *head,
                           uint8_t header, smq_span body)
{
    const struct smq_list *servers = &conn->detect->servers;
    bool is_server = false;
    for (const struct smq_list *at = servers->next; at != servers; at = at->next) {
        const struct smq_server *s = SMQ_CONTAINER_OF(at, struct smq_server, of_conn);
        struct smq_relay *r = s->proven ? smq_relay_find(w, s->skid, head->cid) : NULL;
        is_server = is_server || s->proven;
        if (r != NULL && r->server == s) {
            return smq_relay_answer(w, r, header, body);
        }
    }
    return is_server ? SMQTT_OK : SMQTT_E_MALFORMED; /* its client may just have gone */
}

smqtt_err smq_on_detect(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    const struct smq_detect_pkt *p = &pkt->detect;
    struct smq_relay_head head;
    w->stats.detect_in++;
    if (!w->config->detect) {
        return SMQTT_E_MALFORMED;
    }
    SMQ_TRY(smq_relay_head_read(p->header, p->body, &head));
    if (smq_detect_side(conn) == NULL) {
        return SMQTT_E_NOMEM;
    }
    switch (p->header) {
    case SMQ_DETECT_STEP0:
        return on_start(w, conn, &head, p->body);
    case SMQ_DETECT_STEP3_REJECTED:
    case SMQ_DETECT_STEP3:
        return on_verdict(w, conn, &head, p->header, p->body);
    default:
        return on_answer(w, conn, &head, p->header, p->body);
    }
}
