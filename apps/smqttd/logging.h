/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_LOGGING_H
#define SMQTT_APPS_LOGGING_H
/* The daemon's log: stdout, stderr, a file, syslog and topics below $SYS/broker/log, as Mosquitto writes it, or one
 * JSON object a line. Lines may come from any thread; each leaves in one piece. */
#include <pthread.h>

#include "conf/conf.h"
#include "net/why.h"

enum { LOGGING_WAITING = 512 }; /* lines that wait for the worker that publishes them */

struct smq_worker;

struct logging_line {
    enum smq_log_level level;
    char *text;
};

struct logging {
    struct smq_log log;    /* hand out its address */
    pthread_rwlock_t lock; /* of the settings: lines read, logging_set writes */
    unsigned dest;
    bool timestamp;
    enum smq_log_format form;
    char *format; /* of times; NULL: seconds */
    int file;     /* -1: none */
    int facility;
    pthread_mutex_t waiting_lock;
    struct logging_line waiting[LOGGING_WAITING]; /* for topics */
    size_t n_waiting, n_lost;
    void (*wake)(void *ctx); /* that lines wait for topics; NULL: nobody publishes them */
    void *wake_ctx;
};

/** A log to stderr before there is a configuration. Once in the life of a process. */
void logging_init(struct logging *logging);
/** Takes the settings over and opens the file anew (so that it can be rotated). `quiet`: errors only; `verbose`:
 * everything. SMQTT_E_IO, SMQTT_E_NOMEM: the old settings stay. */
SMQ_MUST_USE smqtt_err logging_set(struct logging *logging, const struct smq_conf *conf, bool verbose, bool quiet,
                                   struct smq_why *why);
/** `wake` is called, from any thread, when lines wait for logging_publish; NULL: never again. */
void logging_on_topics(struct logging *logging, void (*wake)(void *ctx), void *ctx);
/** Publishes what waits; in the worker's thread. */
void logging_publish(struct logging *logging, struct smq_worker *w);
void logging_close(struct logging *logging);

#endif
