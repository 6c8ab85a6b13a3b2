/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_SIM_H
#define SMQTT_TESTS_SIM_H
/* The simulator: the real workers, real clients, a disk that can fail and a network that cuts, in one process with one
 * virtual clock and one seed. Nothing here knows the time of the day or draws a number but from `struct sim`: the same
 * seed gives the same run, event for event (docs/reliability.md). */
#include <smqtt/client.h>

#include "broker/config.h"
#include "broker/ledger.h"
#include "broker/worker.h"
#include "disk.h"
#include "oracle.h"
#include "secure.h"

enum {
    WORKERS_MAX = 4,
    ACTORS_MAX = 24,
    LINKS_MAX = 128,
    TRACE_KEPT = 160, /* the last lines, shown when a run fails */
    WHY_MAX = 400
};

/* ------------------------------------------------------------ events (world.c) */

enum event_kind {
    EV_TURN,     /* a worker goes on with its turn */
    EV_UP,       /* bytes reach the broker */
    EV_DOWN,     /* bytes reach a client */
    EV_GONE,     /* the broker is told that a transport is gone */
    EV_LOST,     /* a client is */
    EV_ACT,      /* a client does something */
    EV_CONNECT,  /* a client comes back */
    EV_TICK,     /* a client's timer */
    EV_COMMIT,   /* the disk is through with what it was given */
    EV_TOLD,     /* a worker hears of a commit */
    EV_HANDOVER, /* a transport reaches its owner */
    EV_CRASH,
    EV_RESTART,
    EV_RELOAD,
    EV_STORE /* the store gets well or ill */
};

struct event {
    uint64_t at_us;
    uint32_t order; /* of those at the same time */
    uint16_t who;
    uint8_t kind;
    uint32_t generation; /* of what it is for: one of an earlier life is ignored */
};

/** One line of the trace, formatted only when somebody wants to read it. */
struct line {
    uint64_t at_us;
    const char *what;
    uint64_t a, b, c;
};

/** An allocator that counts; `ceiling` 0: none. */
struct counted {
    struct smqtt_mem mem;
    size_t live, blocks, most;
};

/* ------------------------------------------------------------ links (link.c) */

struct bytes {
    uint8_t *at;
    size_t len, cap;
};

/** A transport between an actor and the broker. */
struct link {
    bool used;
    uint32_t generation;
    uint8_t actor, worker;
    struct smq_conn *conn;       /* NULL: the broker has let it go, or has not taken it yet */
    struct bytes up, down;       /* on their way; of `up` the first `arrived` are there and unread */
    size_t arrived, need, limit; /* limit: of `down`, then the broker has to wait */
    bool up_due, down_due;       /* an event is on its way */
    bool up_end, down_end;       /* whoever writes closed its side */
    bool cut;                    /* nothing passes any more */
    bool gone;                   /* the broker is to be told */
    bool has_news;               /* bytes that the worker has not looked at */
    bool blocked;                /* the broker has more to send than went in */
    bool was_paused, handed;
    bool client_done, broker_done;
    uint64_t stopped_us;  /* the client does not read before */
    uint32_t will;        /* message of the oracle that its CONNECT carried, or MSG_NONE */
    bool said, says_will; /* the client wrote DISCONNECT, with its will */
    bool says_expiry;     /* and how long its session shall live */
    uint32_t expiry_s;
    uint64_t ends;              /* oracle's clock when its end began, 0: the broker ended it */
    bool closing;               /* the broker waits for its last bytes to leave */
    uint64_t written, consumed; /* bytes by the client, by the broker */
};

/* ------------------------------------------------------------ shells (shell.c) */

enum phase { PHASE_SLEEP, PHASE_SOCKETS, PHASE_RINGS, PHASE_SEND, PHASE_BYTES };

/** Batches on their way from one worker to another. */
struct lane {
    struct smq_batch **items;
    size_t head, n, cap;
    bool told_full;
};

struct shell {
    struct smq_worker *w;
    enum phase phase;
    bool again;              /* somebody woke it in the middle of its turn */
    bool unsettled;          /* its rounds had an end before they were through */
    bool stuck;              /* a ring is full */
    unsigned rounds;         /* in this turn */
    uint32_t generation;     /* of the one event that is its next */
    struct smq_writes *late; /* a mutation keeps back what it should have given */
    uint64_t told;           /* commits it is to hear of */
};

/* ------------------------------------------------------------ actors (actor.c) */

enum actor_kind {
    ACTOR_PEER,    /* publishes and subscribes */
    ACTOR_MEMBER,  /* of a shared group */
    ACTOR_ANCHOR,  /* the member that stays */
    ACTOR_WATCHER, /* has subscriptions that last, to see all there is */
    ACTOR_LATE,    /* comes at the end to see what is retained */
    ACTOR_SEALER,
    ACTOR_OPENER
};

enum actor_state { ACTOR_DOWN, ACTOR_ASKED, ACTOR_UP };

struct actor {
    enum actor_kind kind;
    uint8_t index;
    char id[16];
    struct smqtt_client *c;
    enum actor_state state;
    enum smqtt_version version;
    bool clean, has_will, renew; /* renew: the client begins with nothing when it connects next */
    bool owes_ids;               /* identifiers of QoS 2 may be in use that its client has forgotten */
    bool leaving;                /* it said DISCONNECT */
    uint32_t expiry_s, max_packet;
    uint16_t receive_max;
    int link;            /* -1: none */
    uint32_t generation; /* of its connection */
    uint64_t timer_us;   /* of its client's deadline, 0: none */
    uint64_t pause_us;   /* mean time between two acts */
    uint32_t acts;       /* left */
    uint32_t will;       /* message of the oracle, or MSG_NONE */
    bool connect_due;
    uint8_t group;
    struct {
        uint64_t token;
        uint32_t msg;
    } tokens[256]; /* of what it published and what is not through */
    uint32_t n_tokens;
    struct {
        uint64_t token;
        uint8_t filter;
        bool unsubscribe;
    } asks[32];
    uint32_t n_asks;
    uint32_t n_untold; /* messages of QoS 0 that no account is kept of */
    bool dies;         /* its program was killed; nothing more happens in it */
};

/* ------------------------------------------------------------ the world */

/** What a seed is made of: drawn at the start, shown with VERBOSE. */
struct plan {
    unsigned workers, actors, groups, steps;
    bool hot;             /* everybody has something for one topic, */
    unsigned late_worker; /* and this one is late */
    bool is_fixed, store, ill, secure, tight, shared_ids;
    uint32_t cut_permille;   /* of the acts of a client are cuts */
    uint32_t delay_us;       /* of bytes, mean */
    uint32_t stall_permille; /* of the phases of a worker take long */
    uint32_t crash_us;       /* between two crashes, mean */
    uint32_t store_us;       /* a commit takes, mean */
    uint32_t ring;           /* places of a ring */
    uint32_t down_limit;     /* bytes of a socket's buffer */
};

/** What happened in all runs: coverage. */
#define COUNTS(X)       \
    X(runs)             \
    X(events)           \
    X(connects)         \
    X(refused)          \
    X(disconnects)      \
    X(cuts)             \
    X(restarts_of_apps) \
    X(subscribes)       \
    X(unsubscribes)     \
    X(published)        \
    X(acknowledged)     \
    X(delivered)        \
    X(repeated)         \
    X(retained_seen)    \
    X(wills_armed)      \
    X(wills_fired)      \
    X(wills_cancelled)  \
    X(sessions_resumed) \
    X(sessions_new)     \
    X(sessions_expired) \
    X(shared_delivered) \
    X(slow_readers)     \
    X(handovers)        \
    X(stalls)           \
    X(rings_full)       \
    X(paused)           \
    X(reloads)          \
    X(commits)          \
    X(failed_commits)   \
    X(looks_at_rows)    \
    X(crashes)          \
    X(sealed)           \
    X(opened)           \
    X(receipts)         \
    X(handshakes)       \
    X(replays)          \
    X(kills)            \
    X(large)

struct counts {
#define COUNT(name) uint64_t name;
    COUNTS(COUNT)
#undef COUNT
};

struct sim {
    uint64_t seed, rng[4];
    struct plan plan;
    uint64_t now_us, calm_us;
    struct smqtt_now now, client_now; /* the broker's clock begins anew when it does */
    uint64_t mono_offset;
    struct event *heap;
    size_t n_heap, cap_heap;
    uint32_t n_events;
    uint64_t hash; /* of the trace */
    struct line lines[TRACE_KEPT];
    uint64_t n_lines;
    bool verbose, failed, ending;
    char why[WHY_MAX];
    struct counts *counts;

    struct counted broker_mem, client_mem;
    struct smq_broker_config configs[2]; /* the one in force, and the one before */
    unsigned config;
    struct smq_listener_config listener;
    struct smq_ledger *ledger;
    uint8_t hash_key[16];
    bool up;       /* the broker runs */
    uint32_t life; /* of the broker: how often it was started */
    struct shell shells[WORKERS_MAX];
    struct lane lanes[WORKERS_MAX][WORKERS_MAX]; /* from, to */
    struct link links[LINKS_MAX];
    struct actor actors[ACTORS_MAX];
    unsigned n_actors;
    struct sim_disk disk;
    struct oracle oracle;
    struct secure *secure; /* NULL: nobody seals anything in this run */
};

/* rng */
/** The next number of the run. */
uint64_t sim_random(struct sim *s);
/** A number in 0..below-1. */
static inline uint64_t sim_below(struct sim *s, uint64_t below)
{
    return sim_random(s) % below;
}
/** True in so many of a thousand cases. */
static inline bool sim_permille(struct sim *s, uint32_t permille)
{
    return sim_below(s, 1000) < permille;
}
/** A time around `mean`: mostly less, sometimes much more. */
uint64_t sim_delay(struct sim *s, uint64_t mean_us);
void sim_seed(struct sim *s, uint64_t seed);

/* world.c */
void sim_at(struct sim *s, uint64_t delay_us, enum event_kind kind, unsigned who, uint32_t generation);
/** Takes the next event; false: there is none before `until_us`, and it is that time now. */
bool sim_next(struct sim *s, uint64_t until_us, struct event *out);
/** Something happened: a line of the trace, and into its hash. `what` is a format for three uint64_t, and constant. */
void sim_trace(struct sim *s, const char *what, uint64_t a, uint64_t b, uint64_t c);
/** Something is wrong: the run ends. The first word stands. */
void sim_fail(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_show_trace(const struct sim *s);
void counted_init(struct counted *m);

/* link.c */
/** A new transport for this actor, to a worker drawn by chance; -1: no place. */
int link_open(struct sim *s, unsigned actor);
/** The client has written something, or closes (end). */
void link_write(struct sim *s, struct link *l, const uint8_t *data, size_t len);
void link_end(struct sim *s, struct link *l);
/** The network breaks it. */
void link_cut(struct sim *s, struct link *l);
void link_on_up(struct sim *s, struct link *l);
void link_on_down(struct sim *s, struct link *l);
void link_on_lost(struct sim *s, struct link *l);
/** Takes what the connection has to send, as far as it goes in. */
void link_take(struct sim *s, struct link *l);
/** The broker closes its end. broken: the client sees no orderly end. */
void link_close(struct sim *s, struct link *l, bool broken);
/** The slot is free when both ends are through. */
void link_settle(struct sim *s, struct link *l);

/* shell.c */
smqtt_err shell_start(struct sim *s);
/** Throws the workers away, as a crash does. */
void shell_stop(struct sim *s);
void shell_wake(struct sim *s, unsigned worker);
void shell_on_turn(struct sim *s, unsigned worker);
void shell_on_handover(struct sim *s, struct link *l);
void shell_reload(struct sim *s);
void shell_on_told(struct sim *s, unsigned worker);
/** Has no session more waiting or in flight than it may? */
void shell_check_ceilings(struct sim *s);
/** Does nobody do anything, and is nothing on its way? */
bool shell_is_quiet(const struct sim *s);
/** Prints where everything stands. */
void shell_show(const struct sim *s);

/* actor.c */
void actor_init(struct sim *s, unsigned index, enum actor_kind kind);
void actor_on_connect(struct sim *s, struct actor *a);
void actor_on_act(struct sim *s, struct actor *a);
void actor_on_tick(struct sim *s, struct actor *a);
/** Bytes came. */
void actor_feed(struct sim *s, struct actor *a, const uint8_t *data, size_t len);
/** The transport is gone. */
void actor_lost(struct sim *s, struct actor *a, bool orderly);
/** Output to the link, events to the oracle, timers. */
void actor_pump(struct sim *s, struct actor *a);
/** Its program is killed, at once. */
void actor_kill(struct sim *s, struct actor *a);
void actor_free(struct sim *s, struct actor *a);
/** Lets it come back soon. */
void actor_come(struct sim *s, struct actor *a, uint64_t delay_us);
/** Subscribes; filter is a number of the oracle's. */
void actor_subscribe(struct sim *s, struct actor *a, unsigned filter, uint8_t options);

/* run.c */
/** One run; false: it failed, and s->why says how. The caller frees with sim_free. */
bool sim_run(struct sim *s);

#endif
