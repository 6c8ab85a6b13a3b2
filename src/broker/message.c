/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/message.h"
#include "base/mem.h"
#include "codec/topic.h"
#include "codec/varint.h"

size_t smq_msg_size(const struct smq_content *c)
{
    return sizeof(struct smq_msg) + 2 + c->topic.len + c->props.len + c->payload.len + c->source.len;
}

/* ------------------------------------------------------------ blocks between two messages */

enum { GRAIN = 16, KINDS = 32, KEPT = 128 };

struct smq_msg_spares {
    struct kind {
        struct smq_refbuf *first; /* each begins with a pointer to the next */
        unsigned n;
    } kinds[KINDS];
};

/* Sizes of one kind are one size for the usual allocators, too, which work in steps of 16 behind a head of 8. */
static size_t kind_of(size_t size)
{
    return (sizeof(struct smq_refbuf) + size + GRAIN / 2 - 1) / GRAIN;
}

static size_t as_allocated(size_t size)
{
    size_t kind = kind_of(size);
    return kind < KINDS ? kind * GRAIN + GRAIN / 2 - sizeof(struct smq_refbuf) : size;
}

static struct smq_refbuf *take_spare(struct smq_msg_spares *spares, size_t size)
{
    size_t kind = kind_of(size);
    struct smq_refbuf *buf = spares != NULL && kind < KINDS ? spares->kinds[kind].first : NULL;
    if (buf != NULL) {
        memcpy(&spares->kinds[kind].first, buf->data, sizeof buf);
        spares->kinds[kind].n--;
    }
    return buf;
}

static bool keep_spare(struct smq_msg_spares *spares, struct smq_refbuf *buf)
{
    size_t kind = kind_of(buf->len);
    if (spares == NULL || kind >= KINDS || spares->kinds[kind].n == KEPT) {
        return false;
    }
    memcpy(buf->data, &spares->kinds[kind].first, sizeof buf);
    spares->kinds[kind].first = buf;
    spares->kinds[kind].n++;
    return true;
}

smqtt_err smq_msg_spares_begin(struct smq_account *account, const struct smqtt_mem *mem)
{
    account->spares = smq_mem_zalloc(mem, 1, sizeof *account->spares);
    return account->spares != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

void smq_msg_spares_end(struct smq_account *account, const struct smqtt_mem *mem)
{
    struct smq_msg_spares *spares = account->spares;
    account->spares = NULL;
    for (size_t i = 0; spares != NULL && i < KINDS; i++) {
        while (spares->kinds[i].first != NULL) {
            struct smq_refbuf *buf = spares->kinds[i].first;
            memcpy(&spares->kinds[i].first, buf->data, sizeof buf);
            smq_refbuf_free(buf);
        }
    }
    smq_mem_free(mem, spares);
}

/* ------------------------------------------------------------ messages */

struct smq_refbuf *smq_msg_new(const struct smqtt_mem *mem, const struct smq_content *c, bool checked,
                               struct smq_account *account)
{
    size_t size = smq_msg_size(c);
    if (c->topic.len > UINT16_MAX || c->source.len > UINT16_MAX || c->props.len > SMQ_VARINT_MAX ||
        c->payload.len > SMQ_VARINT_MAX) {
        return NULL;
    }
    struct smq_refbuf *buf = take_spare(account->spares, size);
    if (buf == NULL) {
        buf = smq_refbuf_new(mem, as_allocated(size));
    }
    if (buf == NULL) {
        return NULL;
    }
    atomic_init(&buf->refs, 1);
    buf->len = (uint32_t)size;
    struct smq_msg *m = smq_msg_of(buf);
    *m = (struct smq_msg){.expires = c->expires,
                          .account = account,
                          .version = c->version,
                          .topic_len = (uint16_t)c->topic.len,
                          .source_len = (uint16_t)c->source.len,
                          .props_len = (uint32_t)c->props.len,
                          .payload_len = (uint32_t)c->payload.len,
                          .qos = c->qos,
                          .retain = c->retain,
                          .has_text = c->has_text,
                          .checked = checked};
    struct smq_wr wr = smq_wr_of(m->bytes, size - sizeof *m);
    smq_wr_blob16(&wr, c->topic);
    smq_wr_put(&wr, c->props);
    smq_wr_put(&wr, c->payload);
    smq_wr_put(&wr, c->source);
    account->made += size;
    return buf;
}

void smq_msg_unref(struct smq_refbuf *buf)
{
    if (buf == NULL || !smq_refbuf_release(buf)) {
        return;
    }
    struct smq_account *account = smq_msg_of(buf)->account;
    if (smq_refbuf_has_crossed(buf)) {
        smq_account_give(account, buf->len);
        smq_refbuf_free(buf);
        return;
    }
    account->made -= buf->len; /* this is the thread that made it */
    if (!keep_spare(account->spares, buf)) {
        smq_refbuf_free(buf);
    }
}

struct smq_content smq_msg_content(const struct smq_refbuf *buf)
{
    const struct smq_msg *m = (const struct smq_msg *)(const void *)buf->data;
    const uint8_t *at = m->bytes + 2;
    return (struct smq_content){.topic = {at, m->topic_len},
                                .props = {at + m->topic_len, m->props_len},
                                .payload = {at + m->topic_len + m->props_len, m->payload_len},
                                .source = {at + m->topic_len + m->props_len + m->payload_len, m->source_len},
                                .expires = m->expires,
                                .version = m->version,
                                .qos = m->qos,
                                .retain = m->retain,
                                .has_text = m->has_text};
}

static bool props_are_sound(smq_span raw, enum smq_text_policy text, bool *has_text)
{
    struct smq_props props;
    smq_props_clear(&props);
    props.raw = raw;
    struct smq_wr wr = smq_wr_measure();
    if (raw.len != 0 && smq_props_write(&wr, SMQ_IN_PUBLISH, text, &props) != SMQTT_OK) {
        return false;
    }
    struct smq_rd it = smq_rd_of(raw);
    enum smq_prop which;
    union smq_prop_value value;
    smq_span second;
    *has_text = false;
    while (smq_props_next(&it, &which, &value, &second)) {
        *has_text = *has_text || (which == SMQ_PROP_PAYLOAD_FORMAT && value.num == 1);
    }
    return true;
}

bool smq_content_is_sound(const struct smq_content *c, enum smq_text_policy text, uint16_t max_levels)
{
    bool has_text;
    return smq_utf8_ok(c->topic, text) && smq_topic_name_ok(c->topic, max_levels) &&
           props_are_sound(c->props, text, &has_text) && (!has_text || smq_utf8_ok(c->payload, SMQ_TEXT_WELLFORMED));
}

bool smq_msg_is_sound(struct smq_refbuf *buf, enum smq_text_policy text, uint16_t max_levels)
{
    struct smq_msg *m = smq_msg_of(buf);
    if (!m->checked) {
        struct smq_content c = smq_msg_content(buf);
        m->checked = smq_content_is_sound(&c, text, max_levels);
    }
    return m->checked;
}

/* ------------------------------------------------------------ deliveries */

struct wrapper {
    struct smq_refbuf *msg;
    struct smq_shared *share;
    uint32_t n_ids;
    bool retain;
    uint32_t ids[];
};

/* Blocks are aligned, so the lowest bit of the pointer can tell a wrapper from a bare message, and the next one that
 * the row stands in front of it. */
enum { WRAPPED = 1, TAGS = WRAPPED | SMQ_DELIVERY_HAS_ROW };

static struct wrapper *wrapper_of(void *delivery)
{
    uintptr_t bits = (uintptr_t)delivery;
    return (bits & WRAPPED) != 0 ? (struct wrapper *)(bits & ~(uintptr_t)TAGS) : NULL;
}

void *smq_delivery_new(const struct smqtt_mem *mem, struct smq_refbuf *msg, bool retain, const uint32_t *ids,
                       size_t n_ids, struct smq_shared *share)
{
    if (!retain && n_ids == 0 && share == NULL) {
        return msg;
    }
    struct wrapper *w = smq_mem_alloc(mem, sizeof *w + n_ids * sizeof *ids);
    if (w == NULL) {
        return NULL;
    }
    *w = (struct wrapper){msg, share, (uint32_t)n_ids, retain};
    if (n_ids != 0) {
        memcpy(w->ids, ids, n_ids * sizeof *ids);
    }
    return (void *)((uintptr_t)w + WRAPPED);
}

void *smq_delivery_new_stored(const struct smqtt_mem *mem, struct smq_refbuf *msg, bool retain, const uint32_t *ids,
                              size_t n_ids, struct smq_shared *share)
{
    struct smq_delivery_row *row = smq_mem_alloc(mem, sizeof *row + sizeof(struct wrapper) + n_ids * sizeof *ids);
    if (row == NULL) {
        return NULL;
    }
    *row = (struct smq_delivery_row){0};
    struct wrapper *w = (struct wrapper *)(row + 1);
    *w = (struct wrapper){msg, share, (uint32_t)n_ids, retain};
    if (n_ids != 0) {
        memcpy(w->ids, ids, n_ids * sizeof *ids);
    }
    return (void *)((uintptr_t)w + TAGS);
}

struct smq_delivery_row *smq_delivery_row(void *delivery)
{
    return (struct smq_delivery_row *)(void *)wrapper_of(delivery) - 1;
}

static __attribute__((noinline)) void wrapped_free(const struct smqtt_mem *mem, void *delivery)
{
    struct wrapper *w = wrapper_of(delivery);
    smq_msg_unref(w->msg);
    smq_mem_free(mem, smq_delivery_has_row(delivery) ? (void *)smq_delivery_row(delivery) : w);
}

void smq_delivery_free(const struct smqtt_mem *mem, void *delivery)
{
    if (wrapper_of(delivery) == NULL) {
        smq_msg_unref(delivery);
        return;
    }
    wrapped_free(mem, delivery);
}

struct smq_refbuf *smq_delivery_msg(void *delivery)
{
    struct wrapper *w = wrapper_of(delivery);
    return w != NULL ? w->msg : delivery;
}

bool smq_delivery_retain(void *delivery)
{
    struct wrapper *w = wrapper_of(delivery);
    return w != NULL && w->retain;
}

struct smq_shared *smq_delivery_share(void *delivery)
{
    struct wrapper *w = wrapper_of(delivery);
    return w != NULL ? w->share : NULL;
}

void smq_delivery_forget_share(void *delivery)
{
    wrapper_of(delivery)->share = NULL;
}

size_t smq_delivery_ids(void *delivery, const uint32_t **ids)
{
    struct wrapper *w = wrapper_of(delivery);
    *ids = w != NULL ? w->ids : NULL;
    return w != NULL ? w->n_ids : 0;
}
