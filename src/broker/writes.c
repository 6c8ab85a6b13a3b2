/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/writes.h"

#include <string.h>

/* An operation: u8 op, u16 length of the key, u32 length of the value, key, value; in the machine's own order, because
 * it never leaves the process. A fetched row: the same, with u8 found. */
enum { HEAD = 7, FIRST = 2048 };

static bool make_room(const struct smqtt_mem *mem, uint8_t **bytes, size_t *cap, size_t len, size_t more)
{
    if (more <= *cap - len) {
        return true;
    }
    size_t wanted = *cap != 0 ? *cap * 2 : FIRST;
    while (wanted - len < more) {
        wanted *= 2;
    }
    uint8_t *larger = smq_mem_resize(mem, *bytes, wanted);
    if (larger == NULL) {
        return false;
    }
    *bytes = larger;
    *cap = wanted;
    return true;
}

static uint8_t *put_head(uint8_t *at, uint8_t kind, smq_span key, size_t value_len)
{
    uint16_t key_len = (uint16_t)key.len;
    uint32_t len = (uint32_t)value_len;
    at[0] = kind;
    memcpy(at + 1, &key_len, sizeof key_len);
    memcpy(at + 3, &len, sizeof len);
    memcpy(at + HEAD, key.data, key.len);
    return at + HEAD + key.len;
}

static uint8_t get_head(const uint8_t *at, smq_span *key, smq_span *value)
{
    uint16_t key_len;
    uint32_t len;
    memcpy(&key_len, at + 1, sizeof key_len);
    memcpy(&len, at + 3, sizeof len);
    *key = smq_span_of(at + HEAD, key_len);
    *value = smq_span_of(at + HEAD + key_len, len);
    return at[0];
}

struct smq_writes *smq_writes_new(const struct smqtt_mem *mem, unsigned worker, uint64_t number)
{
    struct smq_writes *writes = smq_mem_zalloc(mem, 1, sizeof *writes);
    if (writes != NULL) {
        writes->mem = mem;
        writes->worker = worker;
        writes->number = number;
    }
    return writes;
}

void smq_writes_free(struct smq_writes *writes)
{
    if (writes != NULL) {
        smq_mem_free(writes->mem, writes->bytes);
        smq_mem_free(writes->mem, writes);
    }
}

smqtt_err smq_writes_reserve(struct smq_writes *writes, size_t n, size_t bytes)
{
    bool room = make_room(writes->mem, &writes->bytes, &writes->cap, writes->len, n * HEAD + bytes);
    return room ? SMQTT_OK : SMQTT_E_NOMEM;
}

static uint8_t *append(struct smq_writes *writes, enum smq_write_op op, smq_span key, size_t value_len)
{
    if (smq_writes_reserve(writes, 1, key.len + value_len) != SMQTT_OK) {
        return NULL;
    }
    uint8_t *value = put_head(writes->bytes + writes->len, (uint8_t)op, key, value_len);
    writes->len += HEAD + key.len + value_len;
    writes->n_gets += op == SMQ_WRITE_GET;
    writes->n_writes += op != SMQ_WRITE_GET;
    return value;
}

smqtt_err smq_writes_add(struct smq_writes *writes, enum smq_write_op op, smq_span key, smq_span value)
{
    size_t len = op == SMQ_WRITE_PUT ? value.len : 0;
    uint8_t *at = append(writes, op, key, len);
    if (at == NULL) {
        return SMQTT_E_NOMEM;
    }
    if (len != 0) {
        memcpy(at, value.data, len);
    }
    return SMQTT_OK;
}

uint8_t *smq_writes_put_room(struct smq_writes *writes, smq_span key, size_t len)
{
    return append(writes, SMQ_WRITE_PUT, key, len);
}

bool smq_writes_next(const struct smq_writes *writes, size_t *at, struct smq_write *out)
{
    if (*at >= writes->len) {
        return false;
    }
    out->op = (enum smq_write_op)get_head(writes->bytes + *at, &out->key, &out->value);
    *at += HEAD + out->key.len + out->value.len;
    return true;
}

struct smq_fetched *smq_fetched_new(const struct smqtt_mem *mem, unsigned worker, uint64_t number)
{
    struct smq_fetched *fetched = smq_mem_zalloc(mem, 1, sizeof *fetched);
    if (fetched != NULL) {
        fetched->mem = mem;
        fetched->worker = worker;
        fetched->number = number;
    }
    return fetched;
}

void smq_fetched_free(struct smq_fetched *fetched)
{
    if (fetched != NULL) {
        smq_mem_free(fetched->mem, fetched->bytes);
        smq_mem_free(fetched->mem, fetched);
    }
}

smqtt_err smq_fetched_add(struct smq_fetched *fetched, smq_span key, bool found, smq_span value)
{
    size_t len = found ? value.len : 0;
    if (!make_room(fetched->mem, &fetched->bytes, &fetched->cap, fetched->len, HEAD + key.len + len)) {
        return SMQTT_E_NOMEM;
    }
    uint8_t *at = put_head(fetched->bytes + fetched->len, found, key, len);
    if (len != 0) {
        memcpy(at, value.data, len);
    }
    fetched->len += HEAD + key.len + len;
    return SMQTT_OK;
}

bool smq_fetched_next(const struct smq_fetched *fetched, size_t *at, struct smq_fetched_row *out)
{
    if (*at >= fetched->len) {
        return false;
    }
    out->found = get_head(fetched->bytes + *at, &out->key, &out->value) != 0;
    *at += HEAD + out->key.len + out->value.len;
    return true;
}
