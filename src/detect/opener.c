/* SPDX-License-Identifier: Apache-2.0 */
/* Opener: making and freeing, events, time. */
#include "base/mutate.h"
#include "detect/opener.h"

#include "base/mem.h"
#include "base/utf8.h"

enum { WAITING_MAX = 1024, SESSIONS_MAX = 65536, IDLE_MAX_S = 86400, STEP_EVENTS = 12, HASH_KEY_LEN = 16 };

enum { WINDOW_DEFAULT = 1024, WINDOW_MAX = 32768, WINDOW_STEP = 64, REKEY_DEFAULT = 1 << 20 };

/* ---------------------------------------------------------------- making */

static bool config_ok(const struct smqtt_opener_config *c)
{
    return c->rng.fill != NULL && c->identity != NULL && c->identity->has_private && smq_prefix_ok(c->prefix) &&
           (c->window == 0 || (c->window >= SMQ_WINDOW_MIN && c->window <= WINDOW_MAX && c->window % WINDOW_STEP == 0));
}

static smqtt_err config_take(struct smqtt_opener *o, const struct smqtt_opener_config *config)
{
    struct smqtt_opener_config *c = &o->config;
    *c = *config;
    c->identity = smqtt_identity_ref(config->identity);
    c->window = c->window != 0 ? c->window : WINDOW_DEFAULT;
    c->rekey = c->rekey != 0 ? c->rekey : REKEY_DEFAULT;
    c->skew_max_ms = c->skew_max_ms != 0 ? c->skew_max_ms : SMQ_OPENER_SKEW_MS;
    c->waiting_max = c->waiting_max != 0 ? c->waiting_max : WAITING_MAX;
    c->sessions_max = c->sessions_max != 0 ? c->sessions_max : SESSIONS_MAX;
    c->idle_max_s = c->idle_max_s != 0 ? c->idle_max_s : IDLE_MAX_S;
    o->prefix = smq_mem_dup(o->mem, config->prefix);
    c->prefix = smq_span_of(o->prefix, o->prefix != NULL ? config->prefix.len : 0);
    return o->prefix != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

/** Everything that cannot fail, so that free may be called from here on. */
static void tables_init(struct smqtt_opener *o, const uint8_t *hash_keys, struct smqtt_now now)
{
    smq_evq_init(&o->q, o->mem, SMQ_OPENER_EVENTS_MAX, SMQ_OPENER_BYTES_MAX);
    smq_map_init(&o->waiting, o->mem, hash_keys);
    smq_map_init(&o->sessions, o->mem, hash_keys);
    smq_map_init(&o->kids, o->mem, hash_keys);
    smq_map_init(&o->owners, o->mem, hash_keys);
    smq_list_init(&o->waiting_list);
    smq_list_init(&o->named);
    smq_list_init(&o->anonymous);
    smq_list_init(&o->revoked);
    smq_list_init(&o->dirty);
    smq_list_init(&o->receipts);
    o->register_until = SMQTT_NEVER;
    smq_seen_init(&o->seen, o->mem, hash_keys + HASH_KEY_LEN, now.mono);
    memcpy(o->highest.hash_key, hash_keys + HASH_KEY_LEN, HASH_KEY_LEN);
}

smqtt_err smqtt_opener_new(const struct smqtt_opener_config *config, struct smqtt_now now, struct smqtt_opener **out)
{
    uint8_t hash_keys[2 * HASH_KEY_LEN];
    if (config->struct_size != sizeof(*config) || !config_ok(config)) {
        return SMQTT_E_USAGE;
    }
    if (smqtt_revocations_have(config->revoked, config->identity, NULL, NULL)) {
        return SMQTT_E_REVOKED;
    }
    if (!config->rng.fill(config->rng.ctx, hash_keys, sizeof(hash_keys))) {
        return SMQTT_E_RNG;
    }
    const struct smqtt_mem *mem = smq_mem_or_default(config->mem);
    struct smqtt_opener *o = smq_mem_zalloc(mem, 1, sizeof(*o));
    if (o == NULL) {
        return SMQTT_E_NOMEM;
    }
    o->mem = mem;
    smqtt_err err = config_take(o, config);
    tables_init(o, hash_keys, now);
    o->packet = smq_mem_alloc(mem, SMQ_PACKET_MAX);
    o->pt = smq_mem_alloc(mem, SMQ_PACKET_MAX);
    if (o->packet == NULL || o->pt == NULL) {
        err = SMQTT_E_NOMEM;
    }
    if (err == SMQTT_OK && !config->rng.fill(config->rng.ctx, o->cookie_key, sizeof(o->cookie_key))) {
        err = SMQTT_E_RNG;
    }
    if (err == SMQTT_OK && config->store != NULL) {
        err = smq_peers_load(o, now);
    }
    if (err != SMQTT_OK) {
        smqtt_opener_free(o);
        return err;
    }
    *out = o;
    return SMQTT_OK;
}

static void peers_free(struct smqtt_opener *o, struct smq_list *list)
{
    while (!smq_list_is_empty(list)) {
        struct smq_peer *peer = SMQ_CONTAINER_OF(smq_list_first(list), struct smq_peer, node);
        peer->refs = 0;
        smq_peer_end(o, peer, false);
    }
}

/** Sessions that have ended but whose events nobody pulled. */
static void queued_free(struct smqtt_opener *o)
{
    const struct smq_evq_entry *entry = NULL;
    while ((entry = smq_evq_pop(&o->q)) != NULL) {
        smq_opener_release_held(o);
        o->held = entry->owner;
    }
    smq_opener_release_held(o);
}

void smqtt_opener_free(struct smqtt_opener *o)
{
    if (o == NULL) {
        return;
    }
    const struct smqtt_mem *mem = o->mem;
    queued_free(o);
    peers_free(o, &o->named);
    peers_free(o, &o->anonymous);
    peers_free(o, &o->revoked);
    while (!smq_list_is_empty(&o->waiting_list)) {
        smq_opener_waiting_free(o, SMQ_CONTAINER_OF(smq_list_first(&o->waiting_list), struct smq_waiting, node));
    }
    for (size_t i = 0; i < SMQ_OPENER_KNOWN; i++) {
        smqtt_identity_free(o->known[i]);
    }
    smq_map_deinit(&o->waiting);
    smq_map_deinit(&o->sessions);
    smq_map_deinit(&o->kids);
    smq_map_deinit(&o->owners);
    smq_seen_deinit(&o->seen);
    smq_evq_deinit(&o->q);
    smq_mem_free(mem, o->client_id);
    smq_mem_free(mem, o->prefix);
    smq_mem_free(mem, o->packet);
    smq_mem_free(mem, o->pt);
    smqtt_identity_free(o->config.identity);
    smq_wipe(o, sizeof(*o));
    smq_mem_free(mem, o);
}

const struct smqtt_identity *smqtt_opener_identity(const struct smqtt_opener *o)
{
    return o->config.identity;
}

/* ---------------------------------------------------------------- pushing */

bool smq_opener_is_ours(smqtt_err err)
{
    return err == SMQTT_E_NOMEM || err == SMQTT_E_CRYPTO || err == SMQTT_E_RNG || err == SMQTT_E_IO ||
           err == SMQTT_E_FULL || err == SMQTT_E_BUG;
}

smqtt_err smq_opener_room(struct smqtt_opener *o)
{
    return smq_evq_reserve(&o->q, STEP_EVENTS, (size_t)2 * SMQ_STEP2_MAX + (size_t)STEP_EVENTS * SMQ_OWN_TOPIC_MAX);
}

struct smq_evq_entry *smq_opener_push(struct smqtt_opener *o, enum smqtt_secure_event_type type,
                                      const uint8_t cid[SMQ_CID_LEN])
{
    struct smq_evq_entry *entry = smq_evq_push(&o->q, type);
    memcpy(entry->ev.cid, cid, SMQ_CID_LEN);
    return entry;
}

void smq_opener_push_detect(struct smqtt_opener *o, uint8_t header, const uint8_t cid[SMQ_CID_LEN], smq_span body)
{
    struct smq_evq_entry *entry = smq_opener_push(o, SMQTT_EV_DETECT, cid);
    smq_evq_set_packet(&o->q, entry, header, body);
    if (o->config.tunnel) {
        char topic[SMQ_OWN_TOPIC_MAX];
        size_t len =
            smq_own_topic(o->config.prefix, o->config.identity->skid, 's', smq_span_of(cid, SMQ_CID_LEN), topic);
        smq_evq_set_topic(&o->q, entry, smq_span_of(topic, len));
    }
}

void smq_opener_push_step(struct smqtt_opener *o, const uint8_t cid[SMQ_CID_LEN], const struct smqtt_step *step)
{
    struct smq_evq_entry *entry = smq_opener_push(o, SMQTT_EV_STEP, cid);
    entry->ev.header = step->header;
    entry->ev.status = step->status;
    entry->ev.flag = step->flag;
    entry->ev.step = *step;
}

void smq_opener_push_publish(struct smqtt_opener *o, char branch, smq_span id, smq_span payload)
{
    char topic[SMQ_OWN_TOPIC_MAX];
    size_t len = smq_own_topic(o->config.prefix, o->config.identity->skid, branch, id, topic);
    struct smq_evq_entry *entry = smq_evq_push(&o->q, SMQTT_EV_PUBLISH);
    entry->ev.header = 1;
    smq_evq_set_topic(&o->q, entry, smq_span_of(topic, len));
    smq_evq_set_bytes(&o->q, entry, payload);
}

struct smq_evq_entry *smq_opener_push_closed(struct smqtt_opener *o, const uint8_t cid[SMQ_CID_LEN], smqtt_err err,
                                             uint8_t status)
{
    struct smq_evq_entry *entry = smq_opener_push(o, SMQTT_EV_CLOSED, cid);
    entry->ev.err = err;
    entry->ev.status = status;
    return entry;
}

void smq_opener_own(struct smq_evq_entry *entry, struct smq_peer *peer)
{
    entry->owner = peer;
    peer->refs++;
    memcpy(entry->ev.cid, peer->session->cid, SMQ_CID_LEN);
    memcpy(entry->ev.session_id, peer->session->session_id, SMQ_SESSION_ID_LEN);
    entry->ev.peer = peer->identity;
    entry->ev.peer_name = peer->identity != NULL ? peer->identity->name : NULL;
}

void smq_opener_release_held(struct smqtt_opener *o)
{
    struct smq_peer *peer = o->held;
    o->held = NULL;
    if (peer != NULL && --peer->refs == 0 && peer->dead) {
        smq_peer_free(o, peer);
    }
}

/* ---------------------------------------------------------------- pulling */

/** A record whose number is not durable is refused. */
static void refuse(struct smq_evq_entry *entry, smqtt_err err)
{
    struct smq_peer *peer = entry->owner;
    peer->expected -= (entry->bits & SMQ_ENTRY_RECEIPT) != 0;
    entry->bits = 0;
    entry->ev.type = SMQTT_EV_REFUSED;
    entry->ev.err = err;
    entry->ev.bytes = smq_span_of(NULL, 0);
    entry->bytes_at = SMQ_EVQ_BORROWED;
}

/** So are all since the last commit, when the store fails. */
static void uncommitted_refuse(struct smqtt_opener *o)
{
    for (size_t i = o->q.head; i < o->q.tail; i++) {
        if ((o->q.entries[i].bits & SMQ_ENTRY_UNCOMMITTED) != 0) {
            refuse(&o->q.entries[i], SMQTT_E_IO);
        }
    }
}

static void uncommitted_clear(struct smqtt_opener *o)
{
    for (size_t i = o->q.head; i < o->q.tail; i++) {
        const struct smq_peer *peer = o->q.entries[i].owner;
        if (peer != NULL && !peer->dead) {
            o->q.entries[i].bits &= ~(unsigned)SMQ_ENTRY_UNCOMMITTED;
        }
    }
}

/** protocol.md 6.4: windows are durable before the first of their records is delivered. One sync for all. */
static void windows_commit(struct smqtt_opener *o)
{
    const struct smqtt_store *store = o->config.store;
    smqtt_err err = SMQTT_OK;
    for (struct smq_list *node = o->dirty.next; node != &o->dirty && err == SMQTT_OK; node = node->next) {
        err = smq_peer_put(o, SMQ_CONTAINER_OF(node, struct smq_peer, dirty));
    }
    if (err == SMQTT_OK && !SMQ_MUTATE(window_late)) {
        err = store->sync(store->ctx);
    }
    struct smq_list *node = NULL;
    while ((node = smq_list_pop_front(&o->dirty)) != NULL) {
        struct smq_channel *session = SMQ_CONTAINER_OF(node, struct smq_peer, dirty)->session;
        if (err == SMQTT_OK) {
            smq_channel_mark_saved(session);
        } else {
            smq_channel_roll_back(session);
        }
    }
    if (err == SMQTT_OK) {
        uncommitted_clear(o);
    } else {
        uncommitted_refuse(o);
    }
}

bool smq_opener_text_survives(const struct smqtt_opener *o, smq_span text, smq_span *held, smq_span *back)
{
    const struct smqtt_text *pipeline = &o->config.pipeline;
    *held = *back = text;
    if (!smq_utf8_ok(text, SMQ_TEXT_WELLFORMED)) {
        return false;
    }
    return pipeline->hold == NULL || (pipeline->hold(pipeline->ctx, text, held, back) && smq_span_equal(*back, text));
}

/** The text check of a record, and its receipt. */
static void deliver(struct smqtt_opener *o, struct smq_evq_entry *entry)
{
    struct smq_peer *peer = entry->owner;
    struct smqtt_secure_event *ev = &entry->ev;
    if ((entry->bits & SMQ_ENTRY_UNCOMMITTED) != 0) {
        refuse(entry, SMQTT_E_CLOSED); /* the session ended before its window was stored */
    }
    if (ev->type == SMQTT_EV_MESSAGE) {
        smq_span back;
        ev->flag = !ev->text || smq_opener_text_survives(o, ev->bytes, &ev->bytes, &back);
        ev->status = ev->flag != 0 ? SMQTT_STATUS_OK : SMQTT_STATUS_MOJIBAKE;
        o->counters.opened += ev->flag;
        o->counters.mojibake += ev->flag == 0;
        if (ev->flag == 0) {
            ev->type = SMQTT_EV_REFUSED;
            ev->err = SMQTT_E_MOJIBAKE;
            ev->bytes = smq_span_of(NULL, 0);
        }
    }
    if ((entry->bits & SMQ_ENTRY_RECEIPT) != 0) {
        struct smq_receipt *receipt = &peer->receipts[peer->n_receipts++];
        peer->expected--;
        for (int i = 0; i < SMQ_KID_LEN; i++) {
            receipt->kid[i] = (uint8_t)(ev->kid >> (24 - 8 * i));
        }
        receipt->seq = ev->seq;
        receipt->status = ev->status;
        receipt->flag = ev->flag;
        if (!peer->dead && !smq_list_is_linked(&peer->waiting)) {
            smq_list_push_back(&o->receipts, &peer->waiting);
        }
    }
}

/** Seals up to 64 receipts of a session into a record. */
static smqtt_err receipts_seal(struct smqtt_opener *o, struct smq_peer *peer)
{
    uint8_t payload[SMQ_RECEIPTS_MAX * SMQ_RECEIPT_LEN];
    uint8_t record[SMQ_RECORD_HEAD_MAX + 1 + sizeof(payload) + SMQ_TAG_LEN];
    char topic[SMQ_OWN_TOPIC_MAX];
    size_t n = peer->n_receipts < SMQ_RECEIPTS_MAX ? peer->n_receipts : SMQ_RECEIPTS_MAX;
    struct smq_wr wr = smq_wr_of(payload, sizeof(payload));
    for (size_t i = 0; i < n; i++) {
        smq_receipt_write(&peer->receipts[i], &wr);
    }
    smq_span cid = smq_span_of(peer->session->cid, SMQ_CID_LEN);
    size_t topic_len = smq_own_topic(o->config.prefix, o->config.identity->skid, 's', cid, topic);
    SMQ_TRY(smq_evq_reserve(&o->q, 1, sizeof(record) + SMQ_OWN_TOPIC_MAX));
    struct smq_peer_ctx ctx = {o, peer};
    const struct smq_saver saver = smq_peer_saver(&ctx);
    struct smq_channel *session = peer->session;
    uint64_t seq = 0;
    bool renewed = false;
    size_t len = 0;
    const struct smq_sealed sealed = {.content = SMQ_CONTENT_RECEIPTS, .payload = smq_wr_span(&wr)};
    SMQ_TRY(smq_channel_number(session, &saver, &seq, &renewed));
    SMQ_TRY(smq_record_seal(o->mem, &session->send, seq, smq_span_of(topic, topic_len), &sealed, record, &len));
    smq_opener_push_publish(o, 's', cid, smq_span_of(record, len));
    peer->n_receipts -= n;
    memmove(peer->receipts, peer->receipts + n, peer->n_receipts * sizeof(peer->receipts[0]));
    return SMQTT_OK;
}

/** Receipts become a PUBLISH; false when there are none, or when they have to wait for memory or the store. */
static bool receipts_flush(struct smqtt_opener *o)
{
    struct smq_list *node = smq_list_first(&o->receipts);
    if (node == NULL) {
        return false;
    }
    struct smq_peer *peer = SMQ_CONTAINER_OF(node, struct smq_peer, waiting);
    if (receipts_seal(o, peer) != SMQTT_OK) {
        return false;
    }
    if (peer->n_receipts == 0) {
        smq_list_remove(&peer->waiting);
    }
    return true;
}

bool smqtt_opener_next(struct smqtt_opener *o, struct smqtt_secure_event *event)
{
    smq_opener_release_held(o);
    if (!smq_list_is_empty(&o->dirty)) {
        windows_commit(o);
    }
    struct smq_evq_entry *entry = smq_evq_pop(&o->q);
    if (entry == NULL && (receipts_flush(o) || smq_opener_end_revoked(o))) {
        entry = smq_evq_pop(&o->q);
    }
    if (entry == NULL) {
        *event = (struct smqtt_secure_event){.type = SMQTT_EV_NONE};
        return false;
    }
    o->held = entry->owner;
    if (entry->owner != NULL) {
        deliver(o, entry);
    }
    *event = entry->ev;
    return true;
}

/* ---------------------------------------------------------------- another list */

smqtt_err smqtt_opener_set_revoked(struct smqtt_opener *o, const struct smqtt_revocations *revoked,
                                   struct smqtt_now now)
{
    smq_opener_release_held(o);
    if (smqtt_revocations_have(revoked, o->config.identity, NULL, NULL)) {
        return SMQTT_E_REVOKED;
    }
    o->config.revoked = revoked;
    o->revoked_at = now;
    smq_peers_judge(o);
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- time */

smqtt_ms smqtt_opener_deadline(const struct smqtt_opener *o)
{
    smqtt_ms at = o->register_until;
    const struct smq_list *first = smq_list_first(&o->waiting_list);
    if (first != NULL) {
        smqtt_ms until = SMQ_CONTAINER_OF(first, const struct smq_waiting, node)->until;
        at = until < at ? until : at;
    }
    const struct smq_list *lists[] = {&o->named, &o->anonymous};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(lists); i++) {
        first = smq_list_first(lists[i]);
        smqtt_ms idle = first != NULL ? SMQ_CONTAINER_OF(first, const struct smq_peer, node)->idle_at : SMQTT_NEVER;
        at = idle < at ? idle : at;
    }
    return at;
}

static bool waiting_expire(struct smqtt_opener *o, struct smqtt_now now)
{
    const struct smq_list *first = smq_list_first(&o->waiting_list);
    struct smq_waiting *w = first != NULL ? SMQ_CONTAINER_OF(first, struct smq_waiting, node) : NULL;
    if (w == NULL || w->until > now.mono || smq_opener_room(o) != SMQTT_OK) {
        return false;
    }
    smq_opener_journal(o, w, smq_span_of(NULL, 0), w->reply.status, SMQ_VERDICT_NONE);
    smq_opener_push_closed(o, w->hs.cid, SMQTT_E_DELAY, w->reply.status);
    o->counters.handshakes_refused++;
    smq_opener_waiting_free(o, w);
    return true;
}

static bool idle_expire(struct smqtt_opener *o, struct smq_list *list, struct smqtt_now now)
{
    const struct smq_list *first = smq_list_first(list);
    struct smq_peer *peer = first != NULL ? SMQ_CONTAINER_OF(first, struct smq_peer, node) : NULL;
    if (peer == NULL || peer->idle_at > now.mono || smq_opener_room(o) != SMQTT_OK) {
        return false;
    }
    smq_opener_push_closed(o, peer->session->cid, SMQTT_E_EXPIRED, SMQTT_STATUS_EXPIRED);
    smq_peer_end(o, peer, true);
    return true;
}

/** A broker that announces registration and does not answer is told of once; it may still come. */
static void silence_tell(struct smqtt_opener *o, struct smqtt_now now)
{
    if (now.mono >= o->register_until && smq_evq_reserve(&o->q, 1, 0) == SMQTT_OK) {
        struct smq_evq_entry *entry = smq_evq_push(&o->q, SMQTT_EV_REGISTERED);
        entry->ev.err = SMQTT_E_DELAY;
        entry->ev.status = SMQTT_STATUS_BUSY;
        o->register_until = SMQTT_NEVER;
    }
}

void smqtt_opener_tick(struct smqtt_opener *o, struct smqtt_now now)
{
    smq_opener_release_held(o);
    silence_tell(o, now);
    while (waiting_expire(o, now)) {
    }
    while (idle_expire(o, &o->named, now) || idle_expire(o, &o->anonymous, now)) {
    }
}

void smqtt_opener_counters(const struct smqtt_opener *o, struct smqtt_secure_counters *out)
{
    *out = o->counters;
}

bool smqtt_opener_knows(const struct smqtt_opener *o, uint32_t kid)
{
    uint8_t key[SMQ_KID_LEN];
    struct smq_wr wr = smq_wr_of(key, sizeof(key));
    smq_wr_u32(&wr, kid);
    return smq_map_get(&o->kids, smq_span_of(key, sizeof(key))) != NULL;
}
