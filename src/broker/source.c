/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/source.h"
#include "base/mem.h"
#include "broker/internal.h"

static void put(struct smq_wr *wr, const struct smq_principal *who, uint32_t listener_id)
{
    smq_wr_u32(wr, listener_id);
    smq_wr_blob16(wr, who->client_id);
    smq_wr_u8(wr, who->has_user ? 1 : 0);
    smq_wr_blob16(wr, who->user);
}

smqtt_err smq_source_new(const struct smq_worker *w, const struct smq_auth *auth, const struct smq_principal *who,
                         uint32_t listener_id, uint8_t **bytes, smq_span *source)
{
    *bytes = NULL;
    *source = (smq_span){NULL, 0};
    if (!w->config->check_retain_source || auth == NULL || auth->access == NULL) {
        return SMQTT_OK;
    }
    struct smq_wr wr = smq_wr_measure();
    put(&wr, who, listener_id);
    size_t len = wr.len;
    if (len > UINT16_MAX) {
        return SMQTT_E_TOO_LARGE; /* names of 32 KiB; who has them may publish what is not retained */
    }
    *bytes = smq_mem_alloc(w->mem, len);
    if (*bytes == NULL) {
        return SMQTT_E_NOMEM;
    }
    wr = smq_wr_of(*bytes, len);
    put(&wr, who, listener_id);
    *source = smq_span_of(*bytes, len);
    return SMQTT_OK;
}

bool smq_source_may(const struct smq_worker *w, smq_span source, smq_span topic)
{
    if (source.len == 0 || !w->config->check_retain_source) {
        return true;
    }
    struct smq_rd rd = smq_rd_of(source);
    uint32_t listener_id = smq_rd_u32(&rd);
    struct smq_principal who = {.client_id = smq_rd_blob16(&rd)};
    who.has_user = smq_rd_u8(&rd) != 0;
    who.user = smq_rd_blob16(&rd);
    const struct smq_auth *auth = smq_auth_of(w, listener_id, NULL);
    if (auth == NULL || auth->access == NULL) {
        return true;
    }
    who.role = auth->role != NULL ? auth->role(auth->ctx, &who) : NULL;
    return auth->access(auth->ctx, &who, topic, SMQ_ACCESS_WRITE);
}
