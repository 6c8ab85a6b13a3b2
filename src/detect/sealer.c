/* SPDX-License-Identifier: Apache-2.0 */
/* Sealer: making and freeing, storage, events. */
#include "detect/sealer.h"

#include "base/mem.h"
#include "base/utf8.h"

enum { SKEW_MAX_MS = 30000, RTT_MAX_MS = 5000, WAIT_MS = 10000, STEP_EVENTS = 12, VALUE_FORM = 1, VALUE_AROUND = 512 };

/* ---------------------------------------------------------------- making */

static bool config_ok(const struct smqtt_sealer_config *c)
{
    if (c->rng.fill == NULL || c->server == NULL || c->client_id.len > SMQ_CLIENT_ID_MAX ||
        !smq_utf8_ok(c->client_id, SMQ_TEXT_STANDARD) || !smq_prefix_ok(c->prefix)) {
        return false;
    }
    if (c->identity != NULL && (!c->identity->has_private || c->identity->suite != c->server->suite)) {
        return false;
    }
    bool psk = c->psk.len != 0 || c->psk_id.len != 0;
    return !psk || (c->psk.len >= SMQ_PSK_MIN && c->psk_id.len >= 1 && c->psk_id.len <= SMQ_PSK_ID_MAX);
}

/** Names a stored session by own identity and client id; the server is added when it is used. */
static smqtt_err store_id_make(struct smqtt_sealer *s)
{
    const struct smqtt_sealer_config *c = &s->config;
    static const uint8_t anonymous[SMQTT_DID_LEN];
    uint8_t hash[SMQ_HASH_LEN];
    const smq_span parts[] = {smq_span_of(c->identity != NULL ? c->identity->did : anonymous, SMQTT_DID_LEN),
                              c->client_id};
    SMQ_TRY(smq_schedule_hash(parts, SMQ_ARRAY_LEN(parts), hash));
    memcpy(s->store_id, hash, SMQTT_SKID_LEN);
    return SMQTT_OK;
}

static smq_span store_key(const struct smqtt_sealer *s, const uint8_t skid[SMQTT_SKID_LEN],
                          uint8_t key[SMQ_SEALER_KEY_LEN])
{
    memcpy(key, "c/", 2);
    memcpy(key + 2, skid, SMQTT_SKID_LEN);
    memcpy(key + 2 + SMQTT_SKID_LEN, s->store_id, SMQTT_SKID_LEN);
    return smq_span_of(key, SMQ_SEALER_KEY_LEN);
}

static smqtt_err span_copy(const struct smqtt_mem *mem, smq_span *span)
{
    uint8_t *copy = smq_mem_dup(mem, *span);
    *span = smq_span_of(copy, copy != NULL ? span->len : 0);
    return copy != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

/** Copies what the configuration borrows; on failure the copies made so far are in place, the others empty. */
static smqtt_err config_copy(struct smqtt_sealer *s, const struct smqtt_sealer_config *config)
{
    struct smqtt_sealer_config *c = &s->config;
    *c = *config;
    c->server = smqtt_identity_ref(config->server);
    c->identity = smqtt_identity_ref(config->identity);
    c->skew_max_ms = c->skew_max_ms != 0 ? c->skew_max_ms : SKEW_MAX_MS;
    c->rtt_max_ms = c->rtt_max_ms != 0 ? c->rtt_max_ms : RTT_MAX_MS;
    c->wait_ms = c->wait_ms != 0 ? c->wait_ms : WAIT_MS;
    smqtt_err id = span_copy(s->mem, &c->client_id);
    smqtt_err psk = span_copy(s->mem, &c->psk);
    smqtt_err psk_id = span_copy(s->mem, &c->psk_id);
    smqtt_err prefix = span_copy(s->mem, &c->prefix);
    return id != SMQTT_OK ? id : psk != SMQTT_OK ? psk : psk_id != SMQTT_OK ? psk_id : prefix;
}

smqtt_err smqtt_sealer_new(const struct smqtt_sealer_config *config, struct smqtt_now now, struct smqtt_sealer **out)
{
    if (config->struct_size != sizeof(*config) || !config_ok(config)) {
        return SMQTT_E_USAGE;
    }
    if (smqtt_revocations_have(config->revoked, config->server, NULL, NULL) ||
        (config->identity != NULL && smqtt_revocations_have(config->revoked, config->identity, NULL, NULL))) {
        return SMQTT_E_REVOKED;
    }
    const struct smqtt_mem *mem = smq_mem_or_default(config->mem);
    struct smqtt_sealer *s = smq_mem_zalloc(mem, 1, sizeof(*s));
    if (s == NULL) {
        return SMQTT_E_NOMEM;
    }
    s->mem = mem;
    s->give_up_at = s->resend_at = s->retry_at = s->subscribe_at = SMQTT_NEVER;
    smq_evq_init(&s->q, mem, SMQ_SEALER_EVENTS_MAX, SMQ_SEALER_BYTES_MAX);
    smqtt_err err = config_copy(s, config);
    if (err == SMQTT_OK) {
        err = store_id_make(s);
    }
    if (err == SMQTT_OK && config->store != NULL) {
        err = smq_sealer_load(s, now);
    }
    if (err != SMQTT_OK) {
        smqtt_sealer_free(s);
        return err;
    }
    *out = s;
    return SMQTT_OK;
}

static void secret_free(const struct smqtt_mem *mem, smq_span secret)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)secret.data;
    if (bytes != NULL) {
        smq_wipe(bytes, secret.len);
    }
    smq_mem_free(mem, bytes);
}

/** Identities of events that nobody pulled. */
static void queued_free(struct smqtt_sealer *s)
{
    const struct smq_evq_entry *entry = NULL;
    while ((entry = smq_evq_pop(&s->q)) != NULL) {
        smqtt_identity_free(entry->owner);
    }
}

void smqtt_sealer_free(struct smqtt_sealer *s)
{
    if (s == NULL) {
        return;
    }
    const struct smqtt_mem *mem = s->mem;
    struct smqtt_identity *ids[] = {s->config.server,  s->config.identity, s->hs_server,
                                    s->session_server, s->prior,           s->held};
    queued_free(s);
    smq_channel_free(s->session);
    smq_channel_free(s->pending);
    smq_evq_deinit(&s->q);
    smq_mem_free(mem, s->unreceipted);
    smq_mem_free(mem, s->topic);
    secret_free(mem, smq_span_of(s->m, s->m_len));
    smq_mem_free(mem, s->packet);
    secret_free(mem, s->config.client_id);
    secret_free(mem, s->config.psk);
    secret_free(mem, s->config.psk_id);
    secret_free(mem, s->config.prefix);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(ids); i++) {
        smqtt_identity_free(ids[i]);
    }
    smq_wipe(s, sizeof(*s));
    smq_mem_free(mem, s);
}

/* ---------------------------------------------------------------- storage */

static smqtt_err session_save(void *ctx, struct smq_channel *session)
{
    struct smqtt_sealer *s = ctx;
    const struct smqtt_identity *server = smq_sealer_server_of(s, session);
    uint8_t key[SMQ_SEALER_KEY_LEN];
    struct smq_wr measure = smq_wr_measure();
    smq_channel_write(session, &measure);
    size_t cap = measure.len + 1 + SMQTT_DID_LEN;
    uint8_t *value = smq_mem_alloc(s->mem, cap);
    if (value == NULL) {
        return SMQTT_E_NOMEM;
    }
    struct smq_wr wr = smq_wr_of(value, cap);
    smq_wr_u8(&wr, VALUE_FORM);
    smq_wr_bytes(&wr, server->did, SMQTT_DID_LEN);
    smq_channel_write(session, &wr);
    const struct smqtt_store *store = s->config.store;
    smqtt_err err = store->put(store->ctx, store_key(s, server->skid, key), smq_wr_span(&wr));
    if (err == SMQTT_OK) {
        err = store->sync(store->ctx);
    }
    smq_wipe(value, cap);
    smq_mem_free(s->mem, value);
    if (err == SMQTT_OK) {
        smq_channel_mark_saved(session);
    }
    return err == SMQTT_OK ? SMQTT_OK : SMQTT_E_IO;
}

void smq_sealer_forget_stored(struct smqtt_sealer *s, const uint8_t skid[SMQTT_SKID_LEN])
{
    const struct smqtt_store *store = s->config.store;
    uint8_t key[SMQ_SEALER_KEY_LEN];
    /* If this fails the session comes back after a restart, behind its reserved numbers, and the server's next notice
     * ends it again. */
    if (store != NULL && store->del(store->ctx, store_key(s, skid, key)) == SMQTT_OK) {
        (void)!store->sync(store->ctx);
    }
}

struct smq_saver smq_sealer_saver(struct smqtt_sealer *s, const struct smq_channel *session)
{
    bool durable = s->config.store != NULL && session == s->session;
    return (struct smq_saver){durable ? session_save : NULL, s};
}

struct load {
    struct smqtt_sealer *s;
    smq_span key;
    smqtt_ms mono;
    smqtt_err err;
    struct smq_channel *session;
};

static void load_value(void *arg, struct smqtt_span key, struct smqtt_span value)
{
    struct load *load = arg;
    struct smqtt_sealer *s = load->s;
    struct smq_rd rd = smq_rd_of(value);
    uint8_t form = smq_rd_u8(&rd);
    smq_span did = smq_rd_bytes(&rd, SMQTT_DID_LEN);
    if (load->session != NULL || !smq_span_equal(key, load->key) || form != VALUE_FORM ||
        !smq_span_equal(did, smq_span_of(s->config.server->did, SMQTT_DID_LEN))) {
        return;
    }
    load->err = smq_channel_read(s->mem, SMQ_SIDE_CLIENT, &rd, load->mono, &load->session);
    if (load->err == SMQTT_OK && (!smq_rd_done(&rd) || load->session->suite != s->config.server->suite)) {
        smq_channel_free(load->session);
        load->session = NULL;
    }
}

smqtt_err smq_sealer_load(struct smqtt_sealer *s, struct smqtt_now now)
{
    const struct smqtt_store *store = s->config.store;
    uint8_t key[SMQ_SEALER_KEY_LEN];
    struct load load = {s, store_key(s, s->config.server->skid, key), now.mono, SMQTT_OK, NULL};
    if (store->each(store->ctx, load.key, load_value, &load) != SMQTT_OK) {
        smq_channel_free(load.session);
        return SMQTT_E_IO;
    }
    if (load.err == SMQTT_E_NOMEM) {
        return SMQTT_E_NOMEM;
    }
    s->session = load.session; /* a value that cannot be read is no session */
    if (s->session != NULL) {
        smq_sealer_set_server(&s->session_server, s->config.server);
        SMQ_TRY(smq_sealer_room(s));
        smq_sealer_push_session(s, SMQTT_EV_SUBSCRIBE, s->session);
        return SMQTT_OK;
    }
    uint8_t skid[SMQTT_SKID_LEN];
    smqtt_ms until = 0;
    if (smqtt_identity_predecessor(s->config.server, skid, &until)) {
        smq_sealer_forget_stored(s, skid); /* nobody would ask for it again */
    }
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- events */

smqtt_err smq_sealer_room(struct smqtt_sealer *s)
{
    return smq_evq_reserve(&s->q, STEP_EVENTS, SMQ_PACKET_MAX + (size_t)STEP_EVENTS * SMQ_OWN_TOPIC_MAX);
}

struct smq_evq_entry *smq_sealer_push(struct smqtt_sealer *s, enum smqtt_secure_event_type type, const uint8_t *cid)
{
    struct smq_evq_entry *entry = smq_evq_push(&s->q, type);
    if (cid != NULL) {
        memcpy(entry->ev.cid, cid, SMQ_CID_LEN);
    }
    return entry;
}

void smq_sealer_push_topic(struct smqtt_sealer *s, enum smqtt_secure_event_type type,
                           const struct smqtt_identity *server, char branch, smq_span id)
{
    char topic[SMQ_OWN_TOPIC_MAX];
    size_t len = smq_own_topic(s->config.prefix, server->skid, branch, id, topic);
    smq_evq_set_topic(&s->q, smq_evq_push(&s->q, type), smq_span_of(topic, len));
}

void smq_sealer_push_session(struct smqtt_sealer *s, enum smqtt_secure_event_type type,
                             const struct smq_channel *session)
{
    const struct smqtt_identity *server = smq_sealer_server_of(s, session);
    smq_sealer_push_topic(s, type, server, 's', smq_span_of(session->cid, SMQ_CID_LEN));
    smq_sealer_push_topic(s, type, server, 'n', smq_span_of(session->send.kid, SMQ_KID_LEN));
    if (session == s->session) {
        smq_sealer_push_watch(s, type);
    }
}

void smq_sealer_push_watch(struct smqtt_sealer *s, enum smqtt_secure_event_type type)
{
    const struct smqtt_identity *server = s->config.server;
    if (s->session != NULL && memcmp(server->skid, s->session_server->skid, SMQTT_SKID_LEN) != 0) {
        smq_sealer_push_topic(s, type, server, 'n', smq_span_of(s->session->send.kid, SMQ_KID_LEN));
    }
}

void smq_sealer_push_detect(struct smqtt_sealer *s, uint8_t header, const uint8_t cid[SMQ_CID_LEN], smq_span body)
{
    struct smq_evq_entry *entry = smq_sealer_push(s, SMQTT_EV_DETECT, cid);
    smq_evq_set_packet(&s->q, entry, header, body);
    if (s->config.tunnel) {
        char topic[SMQ_OWN_TOPIC_MAX];
        size_t len = smq_own_topic(s->config.prefix, s->hs_server->skid, 'c', smq_span_of(cid, SMQ_CID_LEN), topic);
        smq_evq_set_topic(&s->q, entry, smq_span_of(topic, len));
    }
}

void smq_sealer_push_closed(struct smqtt_sealer *s, const uint8_t *cid, smqtt_err err, uint8_t status)
{
    struct smq_evq_entry *entry = smq_sealer_push(s, SMQTT_EV_CLOSED, cid);
    entry->ev.err = err;
    entry->ev.status = status;
    s->counters.mojibake += err == SMQTT_E_MOJIBAKE;
}

bool smqtt_sealer_next(struct smqtt_sealer *s, struct smqtt_secure_event *event)
{
    const struct smq_evq_entry *entry = smq_evq_pop(&s->q);
    smqtt_identity_free(s->held);
    s->held = entry != NULL ? entry->owner : NULL;
    *event = entry != NULL ? entry->ev : (struct smqtt_secure_event){.type = SMQTT_EV_NONE};
    return entry != NULL;
}

/* ---------------------------------------------------------------- ends */

void smq_sealer_drop_handshake(struct smqtt_sealer *s)
{
    if (s->pending != NULL) {
        smq_sealer_push_topic(s, SMQTT_EV_UNSUBSCRIBE, s->hs_server, 'n',
                              smq_span_of(s->pending->send.kid, SMQ_KID_LEN));
        smq_channel_free(s->pending);
        s->pending = NULL;
        s->n_unreceipted = s->session != NULL ? s->n_unreceipted : 0;
    }
    if (s->state != SMQ_SEALER_IDLE) {
        smq_sealer_push_topic(s, SMQTT_EV_UNSUBSCRIBE, s->hs_server, 's', smq_span_of(s->hs.cid, SMQ_CID_LEN));
    }
    smq_wipe(&s->hs, sizeof(s->hs));
    s->state = SMQ_SEALER_IDLE;
    s->give_up_at = s->resend_at = s->retry_at = SMQTT_NEVER;
}

void smq_sealer_drop_session(struct smqtt_sealer *s)
{
    smq_sealer_push_session(s, SMQTT_EV_UNSUBSCRIBE, s->session);
    smq_channel_free(s->session);
    s->session = NULL;
    s->n_unreceipted = 0;
    smq_sealer_forget_stored(s, s->session_server->skid);
}

/* ---------------------------------------------------------------- questions */

struct smq_channel *smq_sealer_target(const struct smqtt_sealer *s)
{
    return s->session != NULL ? s->session : s->config.tunnel ? NULL : s->pending;
}

const struct smqtt_identity *smq_sealer_server_of(const struct smqtt_sealer *s, const struct smq_channel *session)
{
    return session == s->session ? s->session_server : s->hs_server;
}

void smq_sealer_set_server(struct smqtt_identity **slot, struct smqtt_identity *id)
{
    struct smqtt_identity *old = *slot;
    *slot = smqtt_identity_ref(id);
    smqtt_identity_free(old);
}

const struct smqtt_identity *smqtt_sealer_server(const struct smqtt_sealer *s)
{
    return s->config.server;
}

bool smqtt_sealer_is_open(const struct smqtt_sealer *s)
{
    return smq_sealer_target(s) != NULL;
}

bool smqtt_sealer_is_superseded(const struct smqtt_sealer *s, struct smqtt_now now, bool *over)
{
    const struct smqtt_identity *server = s->config.server;
    uint8_t old[SMQTT_SKID_LEN];
    smqtt_ms until = 0;
    *over = false;
    if (s->session == NULL || memcmp(s->session_server->skid, server->skid, SMQTT_SKID_LEN) == 0) {
        return false;
    }
    bool named =
        smqtt_identity_predecessor(server, old, &until) && memcmp(old, s->session_server->skid, SMQTT_SKID_LEN) == 0;
    *over = named ? now.wall > until : true; /* a generation was passed over: whoever has those keys is not served */
    return true;
}

smqtt_ms smqtt_sealer_deadline(const struct smqtt_sealer *s)
{
    smqtt_ms at = s->give_up_at;
    at = s->resend_at < at ? s->resend_at : at;
    at = s->subscribe_at < at ? s->subscribe_at : at;
    return s->retry_at < at ? s->retry_at : at;
}

smqtt_err smqtt_sealer_check_plain(const struct smqtt_sealer *s, struct smqtt_span topic)
{
    return smqtt_policy_requires(s->config.policy, topic) ? SMQTT_E_PLAINTEXT : SMQTT_OK;
}

void smqtt_sealer_counters(const struct smqtt_sealer *s, struct smqtt_secure_counters *out)
{
    *out = s->counters;
}
