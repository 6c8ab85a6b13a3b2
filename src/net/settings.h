/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_SETTINGS_H
#define SMQTT_NET_SETTINGS_H
/* A configuration that is in use by several loops and by their transports, and freed when the last of them lets go.
 * After a reload the old one lives as long as something still points into it. */
#include <stdatomic.h>

#include "broker/config.h"

/** Where connections come in: address and port, or a path. It is the same place after a reload, and counts on. */
struct smq_place {
    atomic_uint refs; /* by settings */
    atomic_uint connections;
};

struct smq_settings;

/** One listener of one configuration. */
struct smq_site {
    struct smq_settings *settings;
    const struct smq_listener_config *listener;
    struct smq_place *place;
};

struct smq_settings {
    atomic_uint refs;
    const struct smqtt_mem *mem;
    const struct smq_broker_config *config;
    bool tcp_nodelay;           /* for new connections; the caller's to set before anybody else has it */
    void (*release)(void *ctx); /* in the thread that let go last */
    void *ctx;
    size_t n_sites;
    struct smq_site sites[]; /* in the order of config->listeners */
};

/**
 * Settings with one reference. The listeners of `config` must not change any more.
 * @param before   those in use until now, whose places go on; NULL: none
 * @param release  called with ctx when nobody points to `config` any more; not when this fails
 * @retval SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_settings_new(const struct smqtt_mem *mem, const struct smq_broker_config *config,
                                        const struct smq_settings *before, void (*release)(void *ctx), void *ctx,
                                        struct smq_settings **out);
/** One reference more; from any thread. Returns `s`. */
struct smq_settings *smq_settings_ref(struct smq_settings *s);
/** One reference less; from any thread. NULL is allowed. */
void smq_settings_unref(struct smq_settings *s);
/** The site of the same place, NULL when there is none. */
struct smq_site *smq_settings_find(struct smq_settings *s, const struct smq_listener_config *listener);
/** May a connection that came in by `old` go on with the settings of `new_one`, the same place after a reload? Not when
 * its topics or their numbers would change their meaning. */
bool smq_settings_can_follow(const struct smq_listener_config *old, const struct smq_listener_config *new_one);
/** One connection more at this place, unless the listener has as many as it may. */
bool smq_site_enter(struct smq_site *site);
/** One less. */
void smq_site_leave(struct smq_site *site);

#endif
