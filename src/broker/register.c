/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/internal.h"
#include "broker/relay.h"

enum { REASON_BAD_PAYLOAD = 0x99 };

static smqtt_err tell(struct smq_conn *conn, const char *topic, const uint8_t *payload, size_t len)
{
    struct smq_content content = {
        .topic = smq_span_str(topic), .payload = smq_span_of(payload, len), .expires = SMQTT_NEVER};
    struct smq_send send = {.content = &content, .as_it_is = true};
    smqtt_err err = smq_conn_send(conn, &send);
    return err == SMQTT_E_NOMEM ? err : SMQTT_OK;
}

static smqtt_err tell_result(struct smq_conn *conn, const uint8_t *skid, uint8_t status)
{
    uint8_t out[SMQ_REGISTER_MAX];
    size_t len = smq_register_result_write(skid, status, out);
    return tell(conn, SMQ_REGISTERED_TOPIC, out, len);
}

static struct smq_server *find_own(const struct smq_conn *conn, const uint8_t *skid)
{
    const struct smq_list *head = &conn->detect->servers;
    for (struct smq_list *at = head->next; at != head; at = at->next) {
        struct smq_server *s = SMQ_CONTAINER_OF(at, struct smq_server, of_conn);
        if (memcmp(s->skid, skid, SMQTT_SKID_LEN) == 0) {
            return s;
        }
    }
    return NULL;
}

/* Someone else who is registered under this identity and alive. Client identifiers are unique among the living, so
 * that a session that was taken over is no longer here. */
static bool is_taken(const struct smq_worker *w, const struct smq_conn *conn, const uint8_t *skid)
{
    const struct smq_server *s = smq_map_get(&w->servers, smq_span_of(skid, SMQTT_SKID_LEN));
    return s != NULL && s->conn != conn;
}

static struct smq_server *server_new(struct smq_worker *w, struct smq_conn *conn, struct smqtt_identity *id)
{
    struct smq_server *s = smq_mem_zalloc(w->mem, 1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->conn = conn;
    s->worker = w->index;
    s->id = smqtt_identity_ref(id);
    memcpy(s->skid, smqtt_identity_skid(id), sizeof s->skid);
    smq_list_init(&s->relays);
    smq_list_push_back(&conn->detect->servers, &s->of_conn);
    conn->detect->n_servers++;
    return s;
}

void smq_server_refuse(struct smq_worker *w, struct smq_server *s)
{
    struct smq_conn *conn = s->conn;
    uint8_t skid[SMQTT_SKID_LEN];
    memcpy(skid, s->skid, sizeof skid);
    smq_server_free(w, s);
    if (conn != NULL && tell_result(conn, skid, SMQTT_STATUS_REFUSED) != SMQTT_OK) {
        smq_conn_fail(conn, SMQTT_E_NOMEM);
    }
}

static smqtt_err challenge(struct smq_worker *w, struct smq_conn *conn, struct smqtt_identity *id)
{
    const uint8_t *skid = smqtt_identity_skid(id);
    struct smq_server *s = find_own(conn, skid);
    if (is_taken(w, conn, skid)) {
        return tell_result(conn, skid, SMQTT_STATUS_REFUSED);
    }
    if (s == NULL && conn->detect->n_servers >= SMQ_SKIDS_MAX) {
        return tell_result(conn, skid, SMQTT_STATUS_BUSY);
    }
    if (s == NULL) {
        s = server_new(w, conn, id);
        if (s == NULL) {
            return SMQTT_E_NOMEM;
        }
    }
    if (!w->rng.fill(w->rng.ctx, s->challenge, sizeof s->challenge)) {
        return SMQTT_E_RNG;
    }
    uint8_t out[SMQ_REGISTER_MAX];
    size_t len = smq_register_challenge_write(skid, s->challenge, out);
    return tell(conn, SMQ_CHALLENGE_TOPIC, out, len);
}

static smqtt_err on_register(struct smq_worker *w, struct smq_conn *conn, smq_span payload)
{
    struct smqtt_identity *id;
    smqtt_err err = smq_register_read(w->mem, payload, w->now.wall, &id);
    if (err == SMQTT_E_NOMEM) {
        return err;
    }
    if (err != SMQTT_OK) {
        smq_conn_kick(conn, REASON_BAD_PAYLOAD, smqtt_strerror(err));
        return SMQTT_OK;
    }
    err = challenge(w, conn, id);
    smqtt_identity_free(id);
    return err;
}

static smqtt_err on_proof(struct smq_worker *w, struct smq_conn *conn, smq_span payload)
{
    uint8_t skid[SMQTT_SKID_LEN];
    if (smq_register_proof_skid(payload, skid) != SMQTT_OK) {
        smq_conn_kick(conn, REASON_BAD_PAYLOAD, "the proof of a registration is not valid");
        return SMQTT_OK;
    }
    struct smq_server *s = find_own(conn, skid);
    if (s == NULL) {
        return tell_result(conn, skid, SMQTT_STATUS_REFUSED);
    }
    smqtt_err err = smq_register_proof_check(payload, s->id, s->challenge, smq_session_id(conn->session));
    /* A challenge is good for one answer. */
    if (!w->rng.fill(w->rng.ctx, s->challenge, sizeof s->challenge)) {
        err = SMQTT_E_RNG;
    }
    if (err != SMQTT_OK || is_taken(w, conn, skid)) {
        if (!s->proven) {
            smq_server_free(w, s);
        }
        return tell_result(conn, skid, SMQTT_STATUS_REFUSED);
    }
    if (!s->proven) {
        SMQ_TRY(smq_map_put(&w->servers, smq_span_of(s->skid, sizeof s->skid), s, NULL));
        s->proven = true;
        smq_far_announce(w, s, true);
        smq_log(w->log, SMQ_LOG_INFO, "%s: registered as server \"%s\"", conn->peer, smqtt_identity_name(s->id));
    }
    return tell_result(conn, skid, SMQTT_STATUS_OK);
}

smqtt_err smq_register_publish(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *publish)
{
    bool is_register = smq_span_equal(publish->topic, smq_span_str(SMQ_REGISTER_TOPIC));
    bool is_proof = smq_span_equal(publish->topic, smq_span_str(SMQ_PROOF_TOPIC));
    if (!is_register && !is_proof) {
        return SMQTT_E_NOT_AUTHORIZED;
    }
    if (smq_detect_side(conn) == NULL) {
        return SMQTT_E_NOMEM;
    }
    if (!smq_detect_allow(conn, false)) {
        return SMQTT_E_RATE; /* each costs a verification */
    }
    return is_register ? on_register(w, conn, publish->payload) : on_proof(w, conn, publish->payload);
}
