/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/alias.h"
#include "broker/internal.h"

/* ------------------------------------------------------------ from the client */

struct smq_aliases {
    uint32_t n;
    struct smq_alias {
        uint8_t *topic;
        size_t len;
    } of[];
};

/* NULL: no memory. */
static struct smq_alias_side *side_of(struct smq_conn *conn)
{
    if (conn->alias == NULL) {
        conn->alias = smq_mem_zalloc(conn->worker->mem, 1, sizeof *conn->alias);
    }
    return conn->alias;
}

static smqtt_err begin_in(struct smq_conn *conn)
{
    uint32_t max = conn->listener->topic_alias_in;
    struct smq_alias_side *side = side_of(conn);
    if (side != NULL && side->in == NULL) {
        side->in = smq_mem_zalloc(conn->worker->mem, 1, sizeof *side->in + max * sizeof(struct smq_alias));
        if (side->in != NULL) {
            side->in->n = max;
        }
    }
    return side != NULL && side->in != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

smqtt_err smq_alias_set(struct smq_conn *conn, uint32_t alias, smq_span topic)
{
    const struct smqtt_mem *mem = conn->worker->mem;
    bool begun = conn->alias != NULL && conn->alias->in != NULL;
    if (alias == 0 || alias > (begun ? conn->alias->in->n : conn->listener->topic_alias_in)) {
        return SMQTT_E_BAD_ALIAS; /* [MQTT-3.3.2-9] */
    }
    SMQ_TRY(begun ? SMQTT_OK : begin_in(conn));
    struct smq_alias *a = &conn->alias->in->of[alias - 1];
    if (a->topic != NULL && smq_span_equal(smq_span_of(a->topic, a->len), topic)) {
        return SMQTT_OK;
    }
    uint8_t *copy = smq_mem_dup(mem, topic);
    if (copy == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_mem_free(mem, a->topic);
    *a = (struct smq_alias){copy, topic.len};
    return SMQTT_OK;
}

smq_span smq_alias_get(const struct smq_conn *conn, uint32_t alias)
{
    const struct smq_aliases *in = conn->alias != NULL ? conn->alias->in : NULL;
    if (in == NULL || alias == 0 || alias > in->n) {
        return (smq_span){NULL, 0};
    }
    const struct smq_alias *a = &in->of[alias - 1];
    return smq_span_of(a->topic, a->len);
}

/* ------------------------------------------------------------ towards the client */

/* Topic with number is two bytes of length and three of the property. */
enum { PAYS_FROM = 6, USES_MAX = 100 };

struct smq_out_alias {
    uint8_t *topic;
    uint32_t len;
    uint32_t tag;  /* differs for most topics */
    uint8_t uses;  /* how much more often it was needed than others were that have no number */
    bool is_known; /* the client was told */
};

struct smq_out_aliases {
    uint32_t n, last; /* how many there may be; the one used last */
    struct smq_out_alias of[];
};

static uint32_t tag_of(smq_span topic)
{
    uint32_t tail; /* topics of one kind differ at their ends */
    memcpy(&tail, topic.data + topic.len - sizeof tail, sizeof tail);
    return tail ^ (uint32_t)topic.len;
}

static bool is_it(const struct smq_out_alias *a, uint32_t tag, smq_span topic)
{
    return a->tag == tag && a->topic != NULL && smq_span_equal(smq_span_of(a->topic, a->len), topic);
}

void smq_alias_begin_out(struct smq_conn *conn, uint32_t client_max)
{
    uint32_t max = conn->listener->topic_alias_out;
    max = max < client_max ? max : client_max;
    max = max < SMQ_ALIASES_OUT_MAX ? max : SMQ_ALIASES_OUT_MAX;
    struct smq_alias_side *side = max != 0 ? side_of(conn) : NULL;
    if (side == NULL || side->out != NULL) {
        return;
    }
    struct smq_out_aliases *out =
        smq_mem_zalloc(conn->worker->mem, 1, sizeof *out + max * sizeof(struct smq_out_alias));
    if (out != NULL) {
        out->n = max;
        side->out = out;
        conn->own_form = true;
    }
}

/* Takes one use off the number that is needed least; NULL when that is still needed more than this topic. */
static struct smq_out_alias *free_one(struct smq_out_aliases *out)
{
    struct smq_out_alias *least = &out->of[0];
    for (uint32_t i = 0; i < out->n && least->uses != 0; i++) {
        if (out->of[i].uses < least->uses) {
            least = &out->of[i];
        }
    }
    if (least->uses != 0) {
        least->uses--;
        return NULL;
    }
    return least;
}

static struct smq_out_alias *find(struct smq_out_aliases *out, smq_span topic)
{
    uint32_t tag = tag_of(topic);
    if (is_it(&out->of[out->last], tag, topic)) {
        return &out->of[out->last];
    }
    for (uint32_t i = 0; i < out->n; i++) {
        if (is_it(&out->of[i], tag, topic)) {
            return &out->of[i];
        }
    }
    return NULL;
}

uint16_t smq_alias_pick(struct smq_conn *conn, smq_span topic, bool *known)
{
    struct smq_out_aliases *out = conn->alias->out;
    *known = false;
    if (topic.len < PAYS_FROM) {
        return 0;
    }
    struct smq_out_alias *a = find(out, topic);
    if (a == NULL) {
        a = free_one(out);
        uint8_t *copy = a != NULL ? smq_mem_dup(conn->worker->mem, topic) : NULL;
        if (copy == NULL) {
            return 0;
        }
        smq_mem_free(conn->worker->mem, a->topic);
        *a = (struct smq_out_alias){.topic = copy, .len = (uint32_t)topic.len, .tag = tag_of(topic)};
    }
    a->uses = (uint8_t)(a->uses < USES_MAX ? a->uses + 1 : a->uses);
    *known = a->is_known;
    out->last = (uint32_t)(a - out->of);
    return (uint16_t)(out->last + 1);
}

void smq_alias_sent(struct smq_conn *conn, uint16_t alias)
{
    conn->alias->out->of[alias - 1].is_known = true;
}

void smq_alias_drop(struct smq_conn *conn)
{
    const struct smqtt_mem *mem = conn->worker->mem;
    struct smq_alias_side *side = conn->alias;
    if (side == NULL) {
        return;
    }
    for (uint32_t i = 0; side->in != NULL && i < side->in->n; i++) {
        smq_mem_free(mem, side->in->of[i].topic);
    }
    for (uint32_t i = 0; side->out != NULL && i < side->out->n; i++) {
        smq_mem_free(mem, side->out->of[i].topic);
    }
    smq_mem_free(mem, side->in);
    smq_mem_free(mem, side->out);
    smq_mem_free(mem, side);
    conn->alias = NULL;
}
