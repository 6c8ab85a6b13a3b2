/* SPDX-License-Identifier: Apache-2.0 */
/* Opener: the table of open sessions, and their storage (protocol.md 7). */
#include <stdlib.h>

#include "base/mem.h"
#include "detect/opener.h"

enum { VALUE_FORM = 1, SESSIONS_LOAD_FIRST = 64 };

/* ---------------------------------------------------------------- kids */

static void kid_list(struct smqtt_opener *o, struct smq_kid_slot *slot)
{
    void *old = NULL;
    /* Cannot fail: there is room, or the key is there. */
    slot->listed = smq_map_put(&o->kids, smq_span_of(slot->kid, SMQ_KID_LEN), slot, &old) == SMQTT_OK;
    slot->same = old;
}

static void kid_unlist(struct smqtt_opener *o, struct smq_kid_slot *slot)
{
    smq_span key = smq_span_of(slot->kid, SMQ_KID_LEN);
    if (!slot->listed) {
        return;
    }
    slot->listed = false;
    struct smq_kid_slot *first = smq_map_get(&o->kids, key);
    if (first != slot) {
        while (first->same != slot) {
            first = first->same;
        }
        first->same = slot->same;
    } else if (slot->same == NULL) {
        (void)smq_map_del(&o->kids, key);
    } else if (smq_map_put(&o->kids, smq_span_of(slot->same->kid, SMQ_KID_LEN), slot->same, NULL) != SMQTT_OK) {
        (void)smq_map_del(&o->kids, key); /* does not happen: the key exists */
    }
}

static void kid_set(struct smqtt_opener *o, struct smq_peer *peer, int index)
{
    struct smq_kid_slot *slot = &peer->kids[index];
    kid_unlist(o, slot);
    slot->owner = peer;
    memcpy(slot->kid, peer->session->recv[index].kid, SMQ_KID_LEN);
    kid_list(o, slot);
}

void smq_peer_moved(struct smqtt_opener *o, struct smq_peer *peer)
{
    kid_set(o, peer, smq_channel_ahead(peer->session));
}

/** How many sessions have this kid? */
static size_t kid_count(const struct smqtt_opener *o, const uint8_t *kid)
{
    size_t n = 0;
    for (const struct smq_kid_slot *slot = smq_map_get(&o->kids, smq_span_of(kid, SMQ_KID_LEN)); slot != NULL;
         slot = slot->same) {
        n++;
    }
    return n;
}

/* ---------------------------------------------------------------- entering and leaving */

static struct smq_list *list_of(struct smqtt_opener *o, const struct smq_peer *peer)
{
    return peer->revoked ? &o->revoked : peer->identity != NULL ? &o->named : &o->anonymous;
}

/** The sessions of an identity are counted together. */
static smqtt_err owner_join(struct smqtt_opener *o, struct smq_peer *peer)
{
    if (peer->identity == NULL) {
        return SMQTT_OK;
    }
    struct smq_owner *owner = smq_map_get(&o->owners, smq_span_of(peer->identity->skid, SMQTT_SKID_LEN));
    if (owner == NULL) {
        owner = smq_mem_zalloc(o->mem, 1, sizeof(*owner));
        if (owner == NULL) {
            return SMQTT_E_NOMEM;
        }
        smq_list_init(&owner->peers);
        memcpy(owner->skid, peer->identity->skid, SMQTT_SKID_LEN);
        smqtt_err err = smq_map_put(&o->owners, smq_span_of(owner->skid, SMQTT_SKID_LEN), owner, NULL);
        if (err != SMQTT_OK) {
            smq_mem_free(o->mem, owner);
            return err;
        }
    }
    smq_list_push_back(&owner->peers, &peer->of_owner);
    owner->n++;
    peer->owner = owner;
    return SMQTT_OK;
}

static void owner_leave(struct smqtt_opener *o, struct smq_peer *peer)
{
    struct smq_owner *owner = peer->owner;
    smq_list_remove(&peer->of_owner);
    peer->owner = NULL;
    if (owner != NULL && --owner->n == 0) {
        (void)smq_map_del(&o->owners, smq_span_of(owner->skid, SMQTT_SKID_LEN));
        smq_mem_free(o->mem, owner);
    }
}

static struct smq_peer *longest_idle(const struct smq_owner *owner)
{
    return SMQ_CONTAINER_OF(smq_list_first(&owner->peers), struct smq_peer, of_owner);
}

struct smq_peer *smq_peer_to_end(const struct smqtt_opener *o, bool named)
{
    const struct smq_list *first = smq_list_first(&o->anonymous);
    if (first != NULL || !named) {
        return first != NULL ? SMQ_CONTAINER_OF(first, struct smq_peer, node) : NULL;
    }
    struct smq_map_iter it = smq_map_iterate(&o->owners);
    const struct smq_owner *most = NULL;
    const struct smq_owner *owner = NULL;
    while ((owner = smq_map_next(&o->owners, &it)) != NULL) {
        bool more = most == NULL || owner->n > most->n;
        if (more || (owner->n == most->n && longest_idle(owner)->idle_at < longest_idle(most)->idle_at)) {
            most = owner;
        }
    }
    return most != NULL ? longest_idle(most) : NULL;
}

smqtt_err smq_peer_enter(struct smqtt_opener *o, struct smq_peer *peer)
{
    const struct smq_channel *s = peer->session;
    int cur = (int)(s->recv_generation % SMQ_GENERATIONS);
    int prev = (int)((s->recv_generation + 2) % SMQ_GENERATIONS);
    if (kid_count(o, s->recv[cur].kid) >= SMQ_OPENER_SAME_KID ||
        kid_count(o, s->recv[smq_channel_ahead(s)].kid) >= SMQ_OPENER_SAME_KID) {
        return SMQTT_E_FULL;
    }
    SMQ_TRY(smq_map_reserve(&o->kids, smq_map_count(&o->kids) + SMQ_GENERATIONS));
    SMQ_TRY(owner_join(o, peer));
    smqtt_err err = smq_map_put(&o->sessions, smq_span_of(s->cid, SMQ_CID_LEN), peer, NULL);
    if (err != SMQTT_OK) {
        owner_leave(o, peer);
        return err;
    }
    kid_set(o, peer, cur);
    kid_set(o, peer, smq_channel_ahead(s));
    if (s->recv[prev].suite != NULL) { /* it may have been wiped when its time was over */
        kid_set(o, peer, prev);
    }
    smq_list_push_back(list_of(o, peer), &peer->node);
    return SMQTT_OK;
}

void smq_peer_free(struct smqtt_opener *o, struct smq_peer *peer)
{
    smq_channel_free(peer->session);
    smqtt_identity_free(peer->identity);
    smq_mem_free(o->mem, peer->receipts);
    smq_wipe(peer, sizeof(*peer));
    smq_mem_free(o->mem, peer);
}

static void store_key(const struct smqtt_opener *o, const uint8_t cid[SMQ_CID_LEN], uint8_t key[SMQ_OPENER_KEY_LEN])
{
    memcpy(key, "s/", 2);
    memcpy(key + 2, o->config.identity->skid, SMQTT_SKID_LEN);
    memcpy(key + 2 + SMQTT_SKID_LEN, cid, SMQ_CID_LEN);
}

static void stored_delete(const struct smqtt_opener *o, const struct smq_peer *peer)
{
    const struct smqtt_store *store = o->config.store;
    uint8_t key[SMQ_OPENER_KEY_LEN];
    store_key(o, peer->session->cid, key);
    /* If this fails the session comes back after a restart, behind its numbers, and expires. */
    if (store != NULL && store->del(store->ctx, smq_span_of(key, sizeof(key))) == SMQTT_OK) {
        (void)!store->sync(store->ctx);
    }
}

void smq_peer_end(struct smqtt_opener *o, struct smq_peer *peer, bool delete)
{
    for (size_t i = 0; i < SMQ_GENERATIONS; i++) {
        kid_unlist(o, &peer->kids[i]);
    }
    (void)smq_map_del(&o->sessions, smq_span_of(peer->session->cid, SMQ_CID_LEN));
    owner_leave(o, peer);
    smq_list_remove(&peer->node);
    smq_list_remove(&peer->dirty);
    smq_list_remove(&peer->waiting);
    if (delete) {
        stored_delete(o, peer);
    }
    peer->dead = true;
    if (peer->refs == 0) {
        smq_peer_free(o, peer);
    }
}

void smq_peer_touch(struct smqtt_opener *o, struct smq_peer *peer, struct smqtt_now now)
{
    peer->idle_at = now.mono + o->config.idle_max_s * (smqtt_ms)1000;
    peer->last_wall = now.wall;
    smq_list_remove(&peer->node);
    smq_list_push_back(list_of(o, peer), &peer->node);
    if (peer->owner != NULL) {
        smq_list_remove(&peer->of_owner);
        smq_list_push_back(&peer->owner->peers, &peer->of_owner);
    }
}

void smq_peers_judge(struct smqtt_opener *o)
{
    struct smq_list *next = o->named.next;
    for (struct smq_list *node = next; node != &o->named; node = next) {
        struct smq_peer *peer = SMQ_CONTAINER_OF(node, struct smq_peer, node);
        next = node->next;
        if (smqtt_revocations_have(o->config.revoked, peer->identity, NULL, NULL)) {
            peer->revoked = true;
            smq_list_remove(&peer->node);
            smq_list_push_back(list_of(o, peer), &peer->node);
        }
    }
}

/* ---------------------------------------------------------------- storage */

static void value_write(const struct smq_peer *peer, struct smq_wr *wr)
{
    const struct smqtt_identity *id = peer->identity;
    smq_wr_u8(wr, VALUE_FORM);
    smq_wr_bytes(wr, peer->step3_hash, SMQ_HASH_LEN);
    smq_wr_bytes(wr, peer->ack, SMQ_ENDING_LEN);
    smq_wr_u64(wr, peer->last_wall);
    smq_wr_blob16(wr, id != NULL ? smq_span_of(id->descriptor, id->len) : smq_span_of(NULL, 0));
    smq_channel_write(peer->session, wr);
}

smqtt_err smq_peer_put(struct smqtt_opener *o, struct smq_peer *peer)
{
    const struct smqtt_store *store = o->config.store;
    uint8_t key[SMQ_OPENER_KEY_LEN];
    struct smq_wr measure = smq_wr_measure();
    value_write(peer, &measure);
    uint8_t *value = smq_mem_alloc(o->mem, measure.len);
    if (value == NULL) {
        return SMQTT_E_NOMEM;
    }
    struct smq_wr wr = smq_wr_of(value, measure.len);
    value_write(peer, &wr);
    store_key(o, peer->session->cid, key);
    smqtt_err err = store->put(store->ctx, smq_span_of(key, sizeof(key)), smq_wr_span(&wr));
    smq_wipe(value, measure.len);
    smq_mem_free(o->mem, value);
    return err == SMQTT_OK ? SMQTT_OK : SMQTT_E_IO;
}

static smqtt_err peer_save(void *arg, struct smq_channel *session)
{
    const struct smq_peer_ctx *ctx = arg;
    const struct smqtt_store *store = ctx->o->config.store;
    SMQ_TRY(smq_peer_put(ctx->o, ctx->peer));
    if (store->sync(store->ctx) != SMQTT_OK) {
        return SMQTT_E_IO;
    }
    smq_channel_mark_saved(session);
    return SMQTT_OK;
}

struct smq_saver smq_peer_saver(struct smq_peer_ctx *ctx)
{
    return (struct smq_saver){ctx->o->config.store != NULL ? peer_save : NULL, ctx};
}

struct load {
    struct smqtt_opener *o;
    struct smqtt_now now;
    smqtt_err err;
    struct smq_peer **list;
    size_t n, cap;
};

static smqtt_err list_grow(struct load *load)
{
    if (load->n < load->cap) {
        return SMQTT_OK;
    }
    size_t cap = load->cap != 0 ? load->cap * 2 : SESSIONS_LOAD_FIRST;
    struct smq_peer **list = smq_mem_resize(load->o->mem, load->list, cap * sizeof(struct smq_peer *));
    if (list == NULL) {
        return SMQTT_E_NOMEM;
    }
    load->list = list;
    load->cap = cap;
    return SMQTT_OK;
}

/** Reads one value into a peer that is in no table yet. */
static smqtt_err value_read(struct load *load, smq_span value, struct smq_peer *peer)
{
    struct smq_rd rd = smq_rd_of(value);
    uint8_t form = smq_rd_u8(&rd);
    smq_span hash = smq_rd_bytes(&rd, SMQ_HASH_LEN);
    smq_span ack = smq_rd_bytes(&rd, SMQ_ENDING_LEN);
    peer->last_wall = smq_rd_u64(&rd);
    smq_span descriptor = smq_rd_blob16(&rd);
    if (!smq_rd_ok(&rd) || form != VALUE_FORM) {
        return SMQTT_E_MALFORMED;
    }
    memcpy(peer->step3_hash, hash.data, SMQ_HASH_LEN);
    memcpy(peer->ack, ack.data, SMQ_ENDING_LEN);
    if (descriptor.len != 0) {
        SMQ_TRY(smq_identity_parse(load->o->mem, descriptor, false, &peer->identity));
    }
    SMQ_TRY(smq_channel_read(load->o->mem, SMQ_SIDE_SERVER, &rd, load->now.mono, &peer->session));
    return smq_rd_done(&rd) ? SMQTT_OK : SMQTT_E_MALFORMED;
}

static void load_value(void *arg, struct smqtt_span key, struct smqtt_span value)
{
    struct load *load = arg;
    if (load->err != SMQTT_OK || key.len != SMQ_OPENER_KEY_LEN || load->n >= load->o->config.sessions_max) {
        return;
    }
    struct smq_peer *peer = smq_mem_zalloc(load->o->mem, 1, sizeof(*peer));
    smqtt_err err = peer == NULL ? SMQTT_E_NOMEM : list_grow(load);
    if (err == SMQTT_OK) {
        err = value_read(load, value, peer);
    }
    if (err == SMQTT_OK) {
        smq_list_init(&peer->node);
        smq_list_init(&peer->of_owner);
        smq_list_init(&peer->dirty);
        smq_list_init(&peer->waiting);
        load->list[load->n++] = peer;
        return;
    }
    if (peer != NULL) {
        smq_peer_free(load->o, peer);
    }
    load->err = err == SMQTT_E_NOMEM ? err : SMQTT_OK; /* a value that cannot be read is no session */
}

static int by_last_use(const void *a, const void *b)
{
    const struct smq_peer *x = *(struct smq_peer *const *)a;
    const struct smq_peer *y = *(struct smq_peer *const *)b;
    return (x->last_wall > y->last_wall) - (x->last_wall < y->last_wall);
}

/** A session that was read enters the tables, unless something went wrong before. Returns what was wrong before, or is
 * now. */
static smqtt_err loaded_enter(const struct load *load, struct smq_peer *peer, smqtt_err err)
{
    struct smqtt_opener *o = load->o;
    if (peer->identity != NULL && smqtt_revocations_have(o->config.revoked, peer->identity, NULL, NULL)) {
        stored_delete(o, peer);
        smq_peer_free(o, peer);
        return err;
    }
    smqtt_ms max = o->config.idle_max_s * (smqtt_ms)1000;
    smqtt_ms idle = load->now.wall > peer->last_wall ? load->now.wall - peer->last_wall : 0;
    peer->idle_at = load->now.mono + (idle < max ? max - idle : 0);
    smqtt_err entered = err == SMQTT_OK ? smq_peer_enter(o, peer) : err;
    if (entered != SMQTT_OK) {
        smq_peer_free(o, peer);
    }
    return entered == SMQTT_E_NOMEM ? entered : err;
}

smqtt_err smq_peers_load(struct smqtt_opener *o, struct smqtt_now now)
{
    const struct smqtt_store *store = o->config.store;
    struct load load = {o, now, SMQTT_OK, NULL, 0, 0};
    uint8_t key[SMQ_OPENER_KEY_LEN];
    const uint8_t no_cid[SMQ_CID_LEN] = {0};
    store_key(o, no_cid, key);
    smq_span prefix = smq_span_of(key, SMQ_OPENER_KEY_LEN - SMQ_CID_LEN);
    smqtt_err err = store->each(store->ctx, prefix, load_value, &load) == SMQTT_OK ? load.err : SMQTT_E_IO;
    if (load.n > 1) {
        qsort(load.list, load.n, sizeof(struct smq_peer *), by_last_use);
    }
    for (size_t i = 0; i < load.n; i++) {
        err = loaded_enter(&load, load.list[i], err);
    }
    smq_mem_free(o->mem, load.list);
    return err;
}
