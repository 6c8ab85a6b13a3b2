/* SPDX-License-Identifier: Apache-2.0 */
#include "removed.h"

#include <stdlib.h>
#include <string.h>

struct topic {
    unsigned n; /* echoes that will come */
    uint8_t name[];
};

void removed_init(struct removed *r, const uint8_t hash_key[16])
{
    smq_map_init(&r->topics, NULL, hash_key);
}

void removed_deinit(struct removed *r)
{
    struct topic *t;
    struct smq_map_iter at = smq_map_iterate(&r->topics);
    while ((t = smq_map_next(&r->topics, &at)) != NULL) {
        smq_map_del_at(&r->topics, &at);
        free(t);
    }
    smq_map_deinit(&r->topics);
}

bool removed_add(struct removed *r, smq_span topic)
{
    struct topic *t = smq_map_get(&r->topics, topic);
    if (t == NULL) {
        t = malloc(sizeof *t + topic.len);
        if (t == NULL) {
            return false;
        }
        t->n = 0;
        memcpy(t->name, topic.data, topic.len);
        if (smq_map_put(&r->topics, smq_span_of(t->name, topic.len), t, NULL) != SMQTT_OK) {
            free(t);
            return false;
        }
    }
    t->n++;
    return true;
}

bool removed_is_echo(struct removed *r, smq_span topic, smq_span payload)
{
    struct topic *t = payload.len == 0 ? smq_map_get(&r->topics, topic) : NULL;
    if (t == NULL) {
        return false;
    }
    if (--t->n == 0) {
        free(smq_map_del(&r->topics, topic));
    }
    return true;
}
