/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_CONFIG_H
#define SMQTT_BROKER_CONFIG_H
/* What the broker was told: plain values, filled in by the parser of configuration files (conf/directive.def has a
 * row for each) or by a test. */
#include <smqtt/identity.h>
#include <smqtt/secure.h>

#include "base/span.h"
#include "base/utf8.h"

/** `smqtt_require_detect FILTER [SKID…]`: who wants to publish or subscribe under the filter must have completed a
 * handshake. */
struct smq_require_detect {
    char *filter; /* NULL: everything on this listener */
    uint8_t (*skids)[SMQTT_SKID_LEN];
    size_t n_skids; /* 0: any registered server */
    struct smq_require_detect *next;
};

/** What happens to messages of QoS 1 and 2 for a subscriber that has as much waiting as it may
 * (`smqtt_slow_subscriber`). */
enum smq_slow_policy {
    SMQ_SLOW_BACKPRESSURE, /* acknowledgements to publishers wait; after slow_timeout_s without progress: DROP_NEWEST */
    SMQ_SLOW_DROP_NEWEST,
    SMQ_SLOW_DROP_OLDEST,
    SMQ_SLOW_DISCONNECT
};

enum smq_on_mismatch { SMQ_MISMATCH_DISCONNECT, SMQ_MISMATCH_REFUSE };

/** Which kind of addresses a listener takes (`socket_domain`). */
enum smq_ip_family { SMQ_IP_ANY, SMQ_IP_V4, SMQ_IP_V6 };

struct smq_auth;

/** One `listener` and what belongs to it. All zero, but for allow_anonymous, is a listener that lets everybody do
 * everything. What Mosquitto keeps per listener only with per_listener_settings is filled in for each of them here, so
 * that nobody else has to know that switch. */
struct smq_listener_config {
    uint32_t id;       /* of its place (address, port, path): the same after a reload, 0: not known */
    char *address;     /* host or address to bind to; NULL: all */
    char *unix_path;   /* a Unix socket instead of address and port; NULL: none */
    char *bind_device; /* network interface (`bind_interface`); NULL: all */
    enum smq_ip_family family;
    uint16_t port;
    bool local_only; /* bind to 127.0.0.1 and ::1 */
    bool allow_anonymous;
    bool demand_client_id; /* not allow_zero_length_clientid */
    bool use_username_as_clientid;
    uint8_t first_bad_qos;    /* lowest QoS that is refused (max_qos + 1); 0: none is */
    uint8_t versions;         /* accept_protocol_versions: bits 1 << enum smqtt_version; 0: all */
    uint16_t topic_alias_in;  /* numbers of topics that a client may use (max_topic_alias); 0: none */
    uint16_t topic_alias_out; /* numbers of topics that we use towards a client (max_topic_alias_broker); 0: none */
    uint32_t max_connections; /* 0: no limit of its own */
    char *auto_id_prefix;     /* NULL: "auto-" */
    char *clientid_prefixes;  /* only client identifiers that begin so; NULL: all */
    char *mount_point;        /* NULL: none */
    char *password_file, *acl_file; /* for the shell to load; NULL: none */
    const struct smq_auth *auth;    /* what was loaded from them; NULL: who is let in may do everything */
    struct smq_require_detect *require_detect;
    struct smq_listener_config *next;
};

struct smq_broker_config {
    struct smq_listener_config *listeners;

    uint32_t max_connections;       /* global_max_connections; 0: as the system allows */
    uint32_t max_clients;           /* sessions, also of clients that are away (global_max_clients); 0: no limit */
    uint32_t max_packet_size;       /* bytes; 0: what MQTT allows */
    uint32_t message_size_limit;    /* bytes of the payload of a PUBLISH or will; 0: no limit of its own */
    uint32_t max_detect_size;       /* Remaining Length of DETECT; 8,192 */
    uint16_t max_keepalive;         /* seconds; 65,535 */
    uint16_t max_topic_levels;      /* 200 */
    uint32_t max_inflight_messages; /* towards a client; 20 as Mosquitto; 0: 65,535 */
    uint16_t receive_maximum;       /* announced to clients of version 5 and kept for QoS 2 of all; 1,024 */
    uint32_t
        max_queued_messages; /* per session beyond those in flight; 0 = no limit; default 1,000 offline as Mosquitto */
    uint64_t max_queued_bytes;               /* per session; 0: no limit */
    uint64_t max_output_bytes;               /* unsent bytes towards one connection; 64 MiB */
    uint32_t max_subscriptions;              /* per session; 0: no limit */
    uint32_t max_retained;                   /* messages; 0: no limit */
    uint64_t memory_limit;                   /* bytes of queued and retained messages in all; 0: no limit */
    uint32_t connect_timeout_s;              /* CONNECT must have come by then; 10 */
    uint32_t packet_timeout_s;               /* a packet begun must be whole by then; 60 */
    uint32_t persistent_client_expiration_s; /* 3.x sessions without connection; 0: never */
    bool retain_available;
    bool retained_persistence;        /* with a store: retained messages are kept in it; default true */
    enum smq_text_policy text_policy; /* STRICT */
    bool queue_qos0_messages;
    bool upgrade_outgoing_qos;

    bool detect;                /* native DETECT offered (`smqtt_detect`), default true */
    uint32_t detect_per_minute; /* token bucket per connection; 8 */
    uint32_t detect_burst;      /* 8 */
    enum smq_on_mismatch on_mismatch;
    struct smqtt_identity *identity;      /* the broker's own; NULL: none */
    struct smqtt_policy *identity_policy; /* where records for it are opened; NULL: everywhere */
    const struct smqtt_store *identity_store;
    /** May it be a client of that identity? Asked at step 0, at step 3 and for each record that is opened, by the
     * worker that has the identity. NULL: all may. */
    bool (*identity_allow)(void *ctx, const struct smqtt_identity *peer);
    void *identity_allow_ctx;
    /** Whose sessions with that identity end, and who is refused; NULL: nobody. Valid as long as the configuration. */
    const struct smqtt_revocations *identity_revoked;

    bool log_connections; /* `connection_messages` */

    enum smq_slow_policy slow_policy;
    uint32_t slow_timeout_s;     /* 30 */
    uint64_t max_inflight_bytes; /* towards a client; 0: no limit */
    bool check_retain_source;    /* default true */
    uint32_t sys_interval_s;     /* 10; 0: no $SYS */
    char *server_reference;      /* `smqtt_server_reference`: new clients are sent there (0x9C); NULL: none */
    bool response_information;   /* answered to clients that ask; default true */
};

/** Fills in the defaults named above; no listeners. */
void smq_broker_config_default(struct smq_broker_config *config);

#endif
