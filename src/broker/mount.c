/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/mount.h"
#include "broker/internal.h"
#include "codec/topic.h"

static smqtt_err join(const struct smq_conn *conn, smq_span head, smq_span rest, struct smq_mounted *out)
{
    smq_span prefix = smq_span_of(conn->listener->mount_point, conn->mount_len);
    size_t len = head.len + prefix.len + rest.len;
    out->heap = NULL;
    if (len > UINT16_MAX) {
        return SMQTT_E_BAD_TOPIC;
    }
    uint8_t *at = out->local;
    if (len > sizeof out->local) {
        out->heap = smq_mem_alloc(conn->worker->mem, len);
        if (out->heap == NULL) {
            return SMQTT_E_NOMEM;
        }
        at = out->heap;
    }
    struct smq_wr wr = smq_wr_of(at, len);
    smq_wr_put(&wr, head);
    smq_wr_put(&wr, prefix);
    smq_wr_put(&wr, rest);
    out->topic = smq_wr_span(&wr);
    return SMQTT_OK;
}

smqtt_err smq_mount_topic(const struct smq_conn *conn, smq_span topic, struct smq_mounted *out)
{
    if (!smq_is_mounted(conn)) {
        out->topic = topic;
        out->heap = NULL;
        return SMQTT_OK;
    }
    return join(conn, smq_span_of(NULL, 0), topic, out);
}

smqtt_err smq_mount_filter(const struct smq_conn *conn, smq_span filter, struct smq_mounted *out)
{
    if (!smq_is_mounted(conn)) {
        out->topic = filter;
        out->heap = NULL;
        return SMQTT_OK;
    }
    smq_span group, inner;
    bool shared = smq_topic_split_share(filter, &group, &inner);
    size_t head = shared ? filter.len - inner.len : 0;
    smqtt_err err = join(conn, smq_span_of(filter.data, head), smq_span_from(filter, head), out);
    return err == SMQTT_E_BAD_TOPIC ? SMQTT_E_BAD_FILTER : err;
}

void smq_mount_free(const struct smq_conn *conn, struct smq_mounted *mounted)
{
    smq_mem_free(conn->worker->mem, mounted->heap);
}

bool smq_mount_strip(const struct smq_conn *conn, smq_span *topic)
{
    smq_span prefix = smq_span_of(conn->listener->mount_point, conn->mount_len);
    /* With nothing behind it there would be no topic left [MQTT-4.7.3-1]. */
    if (topic->len <= prefix.len || !smq_span_starts(*topic, prefix)) {
        return false;
    }
    *topic = smq_span_from(*topic, prefix.len);
    return true;
}
