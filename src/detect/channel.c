/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mutate.h"
#include "detect/channel.h"

#include "base/mem.h"

enum {
    VALUE_FORM = 2,
    VALUE_FORM_1 = 1 /* had the generation before as soon as there had been one */
};

static enum smq_way way_out(enum smq_side role)
{
    return role == SMQ_SIDE_CLIENT ? SMQ_WAY_C2S : SMQ_WAY_S2C;
}

static enum smq_way way_in(enum smq_side role)
{
    return role == SMQ_SIDE_CLIENT ? SMQ_WAY_S2C : SMQ_WAY_C2S;
}

static struct smq_channel *session_alloc(const struct smqtt_mem *mem, enum smq_side role, const struct smq_suite *suite,
                                         uint16_t window)
{
    mem = smq_mem_or_default(mem);
    size_t each = SMQ_WINDOW_WORDS(window);
    struct smq_channel *s = smq_mem_zalloc(mem, 1, sizeof(*s) + 2 * SMQ_GENERATIONS * each * sizeof(s->words[0]));
    if (s == NULL) {
        return NULL;
    }
    s->mem = mem;
    s->role = role;
    s->suite = suite;
    s->window_size = window;
    for (size_t i = 0; i < SMQ_GENERATIONS; i++) {
        smq_window_init(&s->windows[i], s->words + i * each, window);
        smq_window_init(&s->saved[i], s->words + (SMQ_GENERATIONS + i) * each, window);
    }
    return s;
}

/** The first secret of one way from MS, the secret of the run. */
static smqtt_err way_secret(struct smq_hkdf *kdf, const struct smq_master *master, enum smq_way way,
                            uint8_t out[SMQ_HASH_LEN])
{
    return smq_schedule_run_expand(kdf, way == SMQ_WAY_C2S ? SMQ_LABEL_C2S : SMQ_LABEL_S2C,
                                   smq_span_of(master->th3, SMQ_HASH_LEN), out, SMQ_HASH_LEN);
}

/** On a run from MS: first what comes of it, so that it becomes the key of HMAC once. */
static smqtt_err keys_run(struct smq_hkdf *kdf, struct smq_channel *s, const struct smq_master *master,
                          uint8_t secrets[2][SMQ_HASH_LEN])
{
    enum smq_way out = way_out(s->role);
    enum smq_way in = way_in(s->role);
    SMQ_TRY(smq_schedule_run_once(kdf, s->suite, SMQ_LABEL_ACK, master->th3, &s->ack));
    SMQ_TRY(smq_schedule_run_once(kdf, s->suite, SMQ_LABEL_CLOSE, master->th3, &s->close));
    SMQ_TRY(way_secret(kdf, master, out, secrets[0]));
    SMQ_TRY(way_secret(kdf, master, in, secrets[1]));
    SMQ_TRY(smq_gen_run_init(kdf, &s->send, s->suite, secrets[0], out, master->ctx));
    SMQ_TRY(smq_gen_run_init(kdf, &s->recv[0], s->suite, secrets[1], in, master->ctx));
    return smq_gen_run_next(kdf, &s->recv[0], &s->recv[1]);
}

static smqtt_err keys_derive(struct smq_channel *s, const struct smq_master *master)
{
    struct smq_hkdf kdf;
    uint8_t secrets[2][SMQ_HASH_LEN] = {{0}, {0}};
    memcpy(s->th3, master->th3, SMQ_HASH_LEN);
    memcpy(s->ctx, master->ctx, SMQ_HASH_LEN);
    smqtt_err err = smq_schedule_run(&kdf, master->ms);
    if (err == SMQTT_OK) {
        err = keys_run(&kdf, s, master, secrets);
    }
    smq_hkdf_end(&kdf);
    smq_wipe(secrets, sizeof(secrets));
    return err;
}

smqtt_err smq_channel_new(const struct smqtt_mem *mem, enum smq_side role, const struct smq_suite *suite,
                          const struct smq_reply *terms, const uint8_t cid[SMQ_CID_LEN],
                          const struct smq_master *master, struct smq_channel **out)
{
    struct smq_channel *s = session_alloc(mem, role, suite, terms->window);
    if (s == NULL) {
        return SMQTT_E_NOMEM;
    }
    memcpy(s->cid, cid, SMQ_CID_LEN);
    memcpy(s->session_id, terms->session_id, SMQ_SESSION_ID_LEN);
    s->rekey = terms->rekey;
    smqtt_err err = keys_derive(s, master);
    if (err != SMQTT_OK) {
        smq_channel_free(s);
        return err;
    }
    *out = s;
    return SMQTT_OK;
}

void smq_channel_free(struct smq_channel *s)
{
    if (s == NULL) {
        return;
    }
    smq_gen_deinit(&s->send);
    for (size_t i = 0; i < SMQ_GENERATIONS; i++) {
        smq_gen_deinit(&s->recv[i]);
    }
    const struct smqtt_mem *mem = s->mem;
    smq_wipe(s, sizeof(*s));
    smq_mem_free(mem, s);
}

/* ---------------------------------------------------------------- sending */

/** Takes the next generation into use; `old` keeps the one before. */
static smqtt_err send_renew(struct smq_channel *s, struct smq_gen *old)
{
    struct smq_gen next;
    if (s->send_generation == UINT32_MAX) {
        return SMQTT_E_SEQ_EXHAUSTED;
    }
    SMQ_TRY(smq_gen_next(&s->send, &next));
    *old = s->send;
    s->send = next;
    smq_wipe(&next, sizeof(next));
    s->send_generation++;
    s->next = 0;
    s->limit = 0;
    return SMQTT_OK;
}

/** protocol.md 6.3: numbers are durable before they are used. */
static smqtt_err reserve(struct smq_channel *s, const struct smq_saver *saver)
{
    uint64_t before = s->limit;
    s->limit = s->next + SMQ_RESERVE_BLOCK;
    smqtt_err err = SMQ_MUTATE(unreserved) ? SMQTT_OK : saver->save(saver->ctx, s);
    if (err != SMQTT_OK) {
        s->limit = before;
    }
    return err;
}

smqtt_err smq_channel_number(struct smq_channel *s, const struct smq_saver *saver, uint64_t *seq, bool *renewed)
{
    struct smq_gen old = {0};
    uint64_t old_next = s->next;
    uint64_t old_limit = s->limit;
    bool renew = s->next >= s->rekey;
    if (renew) {
        SMQ_TRY(send_renew(s, &old));
    }
    smqtt_err err = saver->save != NULL && s->next >= s->limit ? reserve(s, saver) : SMQTT_OK;
    if (err != SMQTT_OK && renew) {
        smq_gen_deinit(&s->send);
        s->send = old;
        s->send_generation--;
        s->next = old_next;
        s->limit = old_limit;
        smq_wipe(&old, sizeof(old));
        return err;
    }
    smq_gen_deinit(&old);
    if (err == SMQTT_OK) {
        *renewed = renew;
        *seq = s->next++;
    }
    return err;
}

/* ---------------------------------------------------------------- receiving */

static size_t prev_index(const struct smq_channel *s)
{
    return (s->recv_generation + 2) % SMQ_GENERATIONS;
}

static bool has_prev(const struct smq_channel *s, smqtt_ms mono)
{
    return s->recv_generation > 0 && mono < s->prev_until;
}

/** Who gets hold of a key that nothing is taken under any more could still read what was sealed with it. */
static void prev_expire(struct smq_channel *s, smqtt_ms mono)
{
    if (s->recv_generation > 0 && !has_prev(s, mono)) {
        smq_gen_deinit(&s->recv[prev_index(s)]);
        s->prev_until = 0;
    }
}

int smq_channel_find(const struct smq_channel *s, const uint8_t kid[SMQ_KID_LEN], smqtt_ms mono)
{
    for (uint32_t ahead = 0; ahead < SMQ_GENERATIONS; ahead++) {
        uint32_t index = (s->recv_generation + ahead) % SMQ_GENERATIONS;
        bool there = ahead < 2 || has_prev(s, mono);
        if (there && memcmp(s->recv[index].kid, kid, SMQ_KID_LEN) == 0) {
            return (int)index;
        }
    }
    return -1;
}

smqtt_err smq_channel_commit(struct smq_channel *s, int index, uint64_t seq, smqtt_ms mono, bool *moved,
                             uint64_t *missing)
{
    *moved = index == smq_channel_ahead(s);
    if (*moved) {
        struct smq_gen next;
        SMQ_TRY(smq_gen_next(&s->recv[index], &next));
        size_t slot = prev_index(s);
        smq_gen_deinit(&s->recv[slot]);
        s->recv[slot] = next;
        smq_wipe(&next, sizeof(next));
        s->windows[slot].any = false;
        s->saved[slot].any = false;
        s->recv_generation++;
        s->prev_until = mono + SMQ_GRACE_MS;
    }
    prev_expire(s, mono);
    *missing = smq_window_commit(&s->windows[index], seq);
    return SMQTT_OK;
}

void smq_channel_mark_saved(struct smq_channel *s)
{
    for (size_t i = 0; i < SMQ_GENERATIONS; i++) {
        smq_window_copy(&s->saved[i], &s->windows[i]);
    }
}

void smq_channel_roll_back(struct smq_channel *s)
{
    for (size_t i = 0; i < SMQ_GENERATIONS; i++) {
        smq_window_copy(&s->windows[i], &s->saved[i]);
    }
}

/* ---------------------------------------------------------------- storage */

void smq_channel_write(const struct smq_channel *s, struct smq_wr *wr)
{
    uint32_t cur = s->recv_generation % SMQ_GENERATIONS;
    const struct smq_gen *prev = &s->recv[prev_index(s)];
    bool kept = s->recv_generation > 0 && prev->suite != NULL;
    smq_wr_u8(wr, VALUE_FORM);
    smq_wr_u8(wr, (uint8_t)s->role);
    smq_wr_u8(wr, s->suite->id);
    smq_wr_u16(wr, s->window_size);
    smq_wr_u32(wr, s->rekey);
    smq_wr_bytes(wr, s->cid, SMQ_CID_LEN);
    smq_wr_bytes(wr, s->session_id, SMQ_SESSION_ID_LEN);
    smq_wr_bytes(wr, s->th3, SMQ_HASH_LEN);
    smq_wr_bytes(wr, s->ctx, SMQ_HASH_LEN);
    smq_wr_bytes(wr, s->close.key, SMQ_NK_MAX);
    smq_wr_bytes(wr, s->close.nonce, SMQ_NONCE_LEN);
    smq_wr_u32(wr, s->send_generation);
    smq_wr_bytes(wr, s->send.secret, SMQ_HASH_LEN);
    smq_wr_u64(wr, s->limit);
    smq_wr_u32(wr, s->recv_generation);
    smq_wr_bytes(wr, s->recv[cur].secret, SMQ_HASH_LEN);
    smq_window_write(&s->windows[cur], wr);
    smq_wr_u8(wr, kept ? 1 : 0);
    if (kept) {
        smq_wr_bytes(wr, prev->secret, SMQ_HASH_LEN);
        smq_window_write(&s->windows[prev_index(s)], wr);
    }
}

static void bytes_read(struct smq_rd *rd, void *out, size_t len)
{
    smq_span s = smq_rd_bytes(rd, len);
    if (s.len == len) {
        memcpy(out, s.data, len);
    }
}

/** A generation from its stored secret. */
static smqtt_err gen_read(struct smq_rd *rd, const struct smq_channel *s, enum smq_way way, struct smq_gen *gen)
{
    smq_span secret = smq_rd_bytes(rd, SMQ_HASH_LEN);
    return smq_rd_ok(rd) ? smq_gen_init(gen, s->suite, secret.data, way, s->ctx) : SMQTT_E_MALFORMED;
}

/** The generation before, if it was kept. Without it nothing is taken under it. */
static smqtt_err prev_read(struct smq_rd *rd, struct smq_channel *s, uint8_t form, smqtt_ms mono)
{
    uint8_t kept = form == VALUE_FORM_1 ? s->recv_generation > 0 : smq_rd_u8(rd);
    if (kept > 1 || (kept == 1 && s->recv_generation == 0)) {
        return SMQTT_E_MALFORMED;
    }
    if (kept == 1) {
        SMQ_TRY(gen_read(rd, s, way_in(s->role), &s->recv[prev_index(s)]));
        smq_window_read(&s->windows[prev_index(s)], rd);
        s->prev_until = mono + SMQ_GRACE_MS;
    }
    return smq_rd_ok(rd) ? SMQTT_OK : SMQTT_E_MALFORMED;
}

static smqtt_err fields_read(struct smq_rd *rd, struct smq_channel *s, uint8_t form, smqtt_ms mono)
{
    bytes_read(rd, s->cid, SMQ_CID_LEN);
    bytes_read(rd, s->session_id, SMQ_SESSION_ID_LEN);
    bytes_read(rd, s->th3, SMQ_HASH_LEN);
    bytes_read(rd, s->ctx, SMQ_HASH_LEN);
    bytes_read(rd, s->close.key, SMQ_NK_MAX);
    bytes_read(rd, s->close.nonce, SMQ_NONCE_LEN);
    s->send_generation = smq_rd_u32(rd);
    SMQ_TRY(gen_read(rd, s, way_out(s->role), &s->send));
    s->limit = smq_rd_u64(rd);
    s->next = s->limit;
    s->recv_generation = smq_rd_u32(rd);
    uint32_t cur = s->recv_generation % SMQ_GENERATIONS;
    SMQ_TRY(gen_read(rd, s, way_in(s->role), &s->recv[cur]));
    SMQ_TRY(smq_gen_next(&s->recv[cur], &s->recv[smq_channel_ahead(s)]));
    smq_window_read(&s->windows[cur], rd);
    return prev_read(rd, s, form, mono);
}

smqtt_err smq_channel_read(const struct smqtt_mem *mem, enum smq_side role, struct smq_rd *rd, smqtt_ms mono,
                           struct smq_channel **out)
{
    uint8_t form = smq_rd_u8(rd);
    uint8_t stored_role = smq_rd_u8(rd);
    const struct smq_suite *suite = smq_suite_by_id(smq_rd_u8(rd));
    uint16_t window = smq_rd_u16(rd);
    uint32_t rekey = smq_rd_u32(rd);
    if (!smq_rd_ok(rd) || (form != VALUE_FORM && form != VALUE_FORM_1) || stored_role != (uint8_t)role ||
        suite == NULL || window < SMQ_WINDOW_MIN || rekey == 0) {
        return SMQTT_E_MALFORMED;
    }
    struct smq_channel *s = session_alloc(mem, role, suite, window);
    if (s == NULL) {
        return SMQTT_E_NOMEM;
    }
    s->rekey = rekey;
    smqtt_err err = fields_read(rd, s, form, mono);
    if (err != SMQTT_OK) {
        smq_channel_free(s);
        return err;
    }
    smq_channel_mark_saved(s);
    *out = s;
    return SMQTT_OK;
}
