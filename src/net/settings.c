/* SPDX-License-Identifier: Apache-2.0 */
#include "net/settings.h"

#include <string.h>

#include "base/mem.h"

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_same_place(const struct smq_listener_config *a, const struct smq_listener_config *b)
{
    if (a->unix_path != NULL || b->unix_path != NULL) {
        return is_same_text(a->unix_path, b->unix_path);
    }
    return a->port == b->port && a->local_only == b->local_only && a->family == b->family &&
           is_same_text(a->address, b->address) && is_same_text(a->bind_device, b->bind_device);
}

bool smq_settings_can_follow(const struct smq_listener_config *old, const struct smq_listener_config *new_one)
{
    return is_same_text(old->mount_point, new_one->mount_point) && old->topic_alias_out == new_one->topic_alias_out;
}

static void unref_place(const struct smqtt_mem *mem, struct smq_place *place)
{
    if (place != NULL && atomic_fetch_sub(&place->refs, 1) == 1) {
        smq_mem_free(mem, place);
    }
}

static const struct smq_site *find(const struct smq_settings *s, const struct smq_listener_config *listener)
{
    for (size_t i = 0; s != NULL && i < s->n_sites; i++) {
        if (is_same_place(s->sites[i].listener, listener)) {
            return &s->sites[i];
        }
    }
    return NULL;
}

struct smq_site *smq_settings_find(struct smq_settings *s, const struct smq_listener_config *listener)
{
    const struct smq_site *site = find(s, listener);
    return site != NULL ? &s->sites[site - s->sites] : NULL;
}

static struct smq_place *place_for(const struct smqtt_mem *mem, const struct smq_settings *before,
                                   const struct smq_listener_config *listener)
{
    const struct smq_site *old = find(before, listener);
    struct smq_place *place = old != NULL ? old->place : smq_mem_zalloc(mem, 1, sizeof *place);
    if (place != NULL) {
        atomic_fetch_add(&place->refs, 1);
    }
    return place;
}

static void free_settings(struct smq_settings *s)
{
    for (size_t i = 0; i < s->n_sites; i++) {
        unref_place(s->mem, s->sites[i].place);
    }
    smq_mem_free(s->mem, s);
}

smqtt_err smq_settings_new(const struct smqtt_mem *mem, const struct smq_broker_config *config,
                           const struct smq_settings *before, void (*release)(void *ctx), void *ctx,
                           struct smq_settings **out)
{
    size_t n = 0;
    for (const struct smq_listener_config *l = config->listeners; l != NULL; l = l->next) {
        n++;
    }
    struct smq_settings *s = smq_mem_zalloc(mem, 1, sizeof *s + n * sizeof s->sites[0]);
    if (s == NULL) {
        return SMQTT_E_NOMEM;
    }
    atomic_init(&s->refs, 1);
    s->mem = mem;
    s->config = config;
    for (const struct smq_listener_config *l = config->listeners; l != NULL; l = l->next) {
        struct smq_place *place = place_for(mem, before, l);
        if (place == NULL) {
            free_settings(s);
            return SMQTT_E_NOMEM;
        }
        s->sites[s->n_sites++] = (struct smq_site){s, l, place};
    }
    s->release = release;
    s->ctx = ctx;
    *out = s;
    return SMQTT_OK;
}

struct smq_settings *smq_settings_ref(struct smq_settings *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void smq_settings_unref(struct smq_settings *s)
{
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1) {
        return;
    }
    if (s->release != NULL) {
        s->release(s->ctx);
    }
    free_settings(s);
}

bool smq_site_enter(struct smq_site *site)
{
    unsigned max = site->listener->max_connections;
    unsigned before = atomic_fetch_add_explicit(&site->place->connections, 1, memory_order_relaxed);
    if (max != 0 && before >= max) {
        smq_site_leave(site);
        return false;
    }
    return true;
}

void smq_site_leave(struct smq_site *site)
{
    atomic_fetch_sub_explicit(&site->place->connections, 1, memory_order_relaxed);
}
