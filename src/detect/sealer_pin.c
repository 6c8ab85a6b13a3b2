/* SPDX-License-Identifier: Apache-2.0 */
/* Sealer: what the broker has of the server's descriptor (protocol.md 3.1, 9.6). Anything may come there, at any time,
 * any number of times: only what the keys that are known have signed changes something, and only forward. */
#include "detect/sealer.h"

/* ---------------------------------------------------------------- telling */

/** Room is there. */
static struct smq_evq_entry *tell(struct smqtt_sealer *s, struct smqtt_identity *id, smqtt_err err)
{
    struct smq_evq_entry *entry = smq_sealer_push(s, SMQTT_EV_DESCRIPTOR, NULL);
    entry->ev.err = err;
    entry->ev.peer = id;
    entry->ev.peer_name = id->name;
    entry->owner = smqtt_identity_ref(id);
    return entry;
}

/** A descriptor that was refused is told once, and only so many of them in a time: whoever has the broker can make as
 * many as he likes. */
static bool tell_due(struct smqtt_sealer *s, const struct smqtt_identity *id, smqtt_ms mono)
{
    for (size_t i = 0; i < SMQ_SEALER_TOLD; i++) {
        if (s->told[i].used && memcmp(s->told[i].did, id->did, SMQTT_DID_LEN) == 0) {
            return false;
        }
    }
    if (s->told[s->told_next].used && mono - s->told[s->told_next].at < SMQ_SEALER_TOLD_MS) {
        return false;
    }
    memcpy(s->told[s->told_next].did, id->did, SMQTT_DID_LEN);
    s->told[s->told_next].at = mono;
    s->told[s->told_next].used = true;
    s->told_next = (s->told_next + 1) % SMQ_SEALER_TOLD;
    return true;
}

/* ---------------------------------------------------------------- adoption */

/** The handshake that waits for step 2 starts again, for the same message. It would have been with keys, or under a
 * descriptor, that the server may not have any more. */
static void restart(struct smqtt_sealer *s, struct smqtt_now now)
{
    s->cookies = 0;
    s->cookie_len = 0;
    s->hint = 0;
    s->give_up_at = now.mono + s->config.wait_ms;
    if (smq_sealer_attempt(s, smq_span_of(NULL, 0), now) != SMQTT_OK) {
        s->retry_at = now.mono + SMQ_SEALER_RETRY_MS;
    }
}

/** The descriptor takes the place of the one that was known. A session goes on until the next one is acknowledged, and
 * so does a handshake whose step 3 has left. Room is there. */
static void adopt(struct smqtt_sealer *s, struct smqtt_identity *id, struct smqtt_now now)
{
    const smq_span none = smq_span_of(NULL, 0);
    bool same_topic = memcmp(id->skid, s->config.server->skid, SMQTT_SKID_LEN) == 0;
    if (!same_topic) {
        smq_sealer_push_topic(s, SMQTT_EV_UNSUBSCRIBE, s->config.server, 'd', none);
        smq_sealer_push_watch(s, SMQTT_EV_UNSUBSCRIBE);
    }
    smq_sealer_set_server(&s->prior, s->config.server);
    smq_sealer_set_server(&s->config.server, id);
    if (!same_topic) {
        smq_sealer_push_watch(s, SMQTT_EV_SUBSCRIBE);
        smq_sealer_push_topic(s, SMQTT_EV_SUBSCRIBE, id, 'd', none); /* there may be a successor's successor */
    }
    tell(s, id, SMQTT_OK);
    if (s->state == SMQ_SEALER_WAIT2) {
        restart(s, now);
    }
}

/** What keeps us from a descriptor that may take the place of the known one. */
static smqtt_err refusal(const struct smqtt_sealer *s, const struct smqtt_identity *id)
{
    if (smqtt_revocations_have(s->config.revoked, id, NULL, NULL)) {
        return SMQTT_E_REVOKED;
    }
    bool fits = s->config.identity == NULL || s->config.identity->suite == id->suite;
    return fits ? SMQTT_OK : SMQTT_E_SUITE;
}

static smqtt_err judged(struct smqtt_sealer *s, struct smqtt_identity *id, struct smqtt_now now)
{
    smqtt_err err = smqtt_identity_supersedes(s->config.server, id, now.wall);
    if (err == SMQTT_E_NOMEM || err == SMQTT_E_CRYPTO) {
        return err;
    }
    if (err == SMQTT_OK && memcmp(id->did, s->config.server->did, SMQTT_DID_LEN) == 0) {
        return SMQTT_OK;
    }
    if (err == SMQTT_E_UNKNOWN_PEER) {
        s->counters.noise++;
        return SMQTT_OK;
    }
    err = err == SMQTT_OK ? refusal(s, id) : err;
    SMQ_TRY(smq_sealer_room(s));
    if (err == SMQTT_OK) {
        adopt(s, id, now);
        return SMQTT_OK;
    }
    s->counters.rollbacks += err == SMQTT_E_OLD_IDENTITY;
    if (tell_due(s, id, now.mono)) {
        tell(s, id, err);
    }
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- revocation */

static void end_all(struct smqtt_sealer *s)
{
    uint8_t cid[SMQ_CID_LEN];
    if (s->state != SMQ_SEALER_IDLE) {
        memcpy(cid, s->hs.cid, SMQ_CID_LEN);
        s->counters.handshakes_refused++;
        smq_sealer_drop_handshake(s);
        smq_sealer_push_closed(s, cid, SMQTT_E_REVOKED, 0);
    }
    if (s->session != NULL) {
        memcpy(cid, s->session->cid, SMQ_CID_LEN);
        smq_sealer_drop_session(s);
        smq_sealer_push_closed(s, cid, SMQTT_E_REVOKED, 0);
    }
}

static smqtt_err take_revocation(struct smqtt_sealer *s, smq_span payload)
{
    smqtt_err err = smqtt_revocation_check(payload, s->config.server, NULL, NULL);
    if (err == SMQTT_E_NOMEM || err == SMQTT_E_CRYPTO) {
        return err;
    }
    if (err != SMQTT_OK) {
        s->counters.noise++;
        return SMQTT_OK;
    }
    SMQ_TRY(smq_sealer_room(s));
    s->revoked = true;
    smq_evq_set_bytes(&s->q, tell(s, s->config.server, SMQTT_E_REVOKED), payload);
    end_all(s);
    return SMQTT_OK;
}

smqtt_err smq_sealer_take_descriptor(struct smqtt_sealer *s, smq_span payload, struct smqtt_now now)
{
    const struct smqtt_identity *known = s->config.server;
    if (s->revoked || smq_span_equal(payload, smq_span_of(known->descriptor, known->len))) {
        return SMQTT_OK;
    }
    if (smq_revocation_is(payload)) {
        return take_revocation(s, payload);
    }
    struct smqtt_identity *id = NULL;
    smqtt_err err = smqtt_identity_read_descriptor(s->mem, payload, &id);
    if (err == SMQTT_E_NOMEM || err == SMQTT_E_CRYPTO) {
        return err;
    }
    if (err != SMQTT_OK) {
        s->counters.noise++;
        return SMQTT_OK;
    }
    err = judged(s, id, now);
    smqtt_identity_free(id);
    return err;
}
