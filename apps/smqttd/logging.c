/* SPDX-License-Identifier: Apache-2.0 */
#include "logging.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "broker/sys.h"
#include "net/file.h"

#define STAMP_MAX 128

/* ---------------------------------------------------------------- forms */

static size_t stamp(const struct logging *logging, char *out, size_t cap)
{
    time_t now = time(NULL);
    struct tm tm;
    size_t len = 0;
    if (!logging->timestamp) {
        return 0;
    }
    if (logging->format != NULL && localtime_r(&now, &tm) != NULL) {
        len = strftime(out, cap - 3, logging->format, &tm);
    }
    if (len == 0) {
        int made = snprintf(out, cap - 3, "%lld", (long long)now);
        len = made > 0 ? (size_t)made : 0;
    }
    out[len++] = ':';
    out[len++] = ' ';
    return len;
}

/* "1795440366: Warning: text" and a line end. Returns its length. */
static size_t text_line(const struct logging *logging, enum smq_log_level level, const char *text, size_t len,
                        char line[STAMP_MAX + SMQ_LOG_LINE + 16])
{
    size_t at = stamp(logging, line, STAMP_MAX);
    const char *mark = level == SMQ_LOG_ERR ? "Error: " : level == SMQ_LOG_WARN ? "Warning: " : "";
    size_t mark_len = strlen(mark);
    memcpy(line + at, mark, mark_len);
    at += mark_len;
    memcpy(line + at, text, len);
    at += len;
    line[at++] = '\n';
    return at;
}

static void add_span(cJSON *object, const char *name, smq_span value)
{
    char safe[SMQ_LOG_LINE];
    if (value.data != NULL && value.len != 0) {
        smq_text_escape(safe, sizeof safe, value);
        cJSON_AddStringToObject(object, name, safe);
    }
}

/* {"time":"2026-11-23T12:00:00.123Z","level":"notice","event":"connected",…} and a line end; NULL: no memory. */
static char *json_line(enum smq_log_level level, const struct smq_log_about *about, const char *text)
{
    struct timespec now;
    struct tm tm;
    char day[40], time_text[60];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(time_text, sizeof time_text, "%s.%03ldZ", day, now.tv_nsec / 1000000);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "time", time_text);
    cJSON_AddStringToObject(object, "level", smq_log_level_name(level));
    if (about != NULL && about->event != NULL) {
        cJSON_AddStringToObject(object, "event", about->event);
        add_span(object, "client", about->client_id);
        add_span(object, "user", about->user);
        add_span(object, "peer", about->peer);
    }
    cJSON_AddStringToObject(object, "message", text + (text[0] == '\t' ? 1 : 0));
    char *line = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    return line;
}

/* ---------------------------------------------------------------- destinations */

static void write_to(int fd, const char *line, size_t len)
{
    /* A log that cannot be written must not end the broker. */
    smqtt_err ignored = smq_file_write_all(fd, line, len);
    (void)ignored;
}

static void write_everywhere(const struct logging *logging, const char *line, size_t len)
{
    if ((logging->dest & SMQ_LOG_TO_STDOUT) != 0) {
        write_to(STDOUT_FILENO, line, len);
    }
    if ((logging->dest & SMQ_LOG_TO_STDERR) != 0) {
        write_to(STDERR_FILENO, line, len);
    }
    if ((logging->dest & SMQ_LOG_TO_FILE) != 0 && logging->file >= 0) {
        write_to(logging->file, line, len);
    }
}

static int priority_of(enum smq_log_level level)
{
    switch (level) {
    case SMQ_LOG_ERR:
        return LOG_ERR;
    case SMQ_LOG_WARN:
        return LOG_WARNING;
    case SMQ_LOG_NOTICE:
        return LOG_NOTICE;
    case SMQ_LOG_INFO:
        return LOG_INFO;
    case SMQ_LOG_DEBUG:
        return LOG_DEBUG;
    case SMQ_LOG_SUBSCRIBE:
    case SMQ_LOG_UNSUBSCRIBE:
        return LOG_NOTICE;
    }
    return LOG_INFO;
}

/* A worker publishes it in its next turn. More than can wait are dropped, and counted in the next line that can. */
static void keep_for_topic(struct logging *logging, enum smq_log_level level, const char *line, size_t len)
{
    if (level == SMQ_LOG_DEBUG) {
        return; /* to publish one is worth such a line, which would have no end */
    }
    pthread_mutex_lock(&logging->waiting_lock);
    char *copy = logging->n_waiting < LOGGING_WAITING && logging->wake != NULL ? strndup(line, len) : NULL;
    if (copy != NULL) {
        logging->waiting[logging->n_waiting++] = (struct logging_line){level, copy};
    } else {
        logging->n_lost += logging->wake != NULL;
    }
    bool first = copy != NULL && logging->n_waiting == 1;
    void (*wake)(void *) = logging->wake;
    void *ctx = logging->wake_ctx;
    pthread_mutex_unlock(&logging->waiting_lock);
    if (first) {
        wake(ctx);
    }
}

/* The same line, time and all, to each destination, as Mosquitto does. The last byte is the line end. */
static void give(struct logging *logging, enum smq_log_level level, const char *line, size_t len)
{
    write_everywhere(logging, line, len);
    if ((logging->dest & SMQ_LOG_TO_SYSLOG) != 0) {
        syslog(logging->facility | priority_of(level), "%.*s", (int)(len - 1), line);
    }
    if ((logging->dest & SMQ_LOG_TO_TOPIC) != 0) {
        keep_for_topic(logging, level, line, len - 1);
    }
}

static void sink(void *ctx, enum smq_log_level level, const struct smq_log_about *about, const char *text, size_t len)
{
    struct logging *logging = ctx;
    char line[STAMP_MAX + SMQ_LOG_LINE + 16];
    pthread_rwlock_rdlock(&logging->lock);
    if (logging->form == SMQ_LOG_FORMAT_JSON) {
        char *json = json_line(level, about, text);
        if (json != NULL) {
            size_t json_len = strlen(json);
            json[json_len] = '\n'; /* in place of the zero, which nobody needs */
            give(logging, level, json, json_len + 1);
            cJSON_free(json);
        }
    } else {
        give(logging, level, line, text_line(logging, level, text, len, line));
    }
    pthread_rwlock_unlock(&logging->lock);
}

void logging_on_topics(struct logging *logging, void (*wake)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&logging->waiting_lock);
    logging->wake = wake;
    logging->wake_ctx = ctx;
    pthread_mutex_unlock(&logging->waiting_lock);
}

/* The first line that waits; false when there is none. The caller frees its text. */
static size_t take_lines(struct logging *logging, struct logging_line *lines, size_t *n_lost)
{
    pthread_mutex_lock(&logging->waiting_lock);
    size_t n = logging->n_waiting;
    memcpy(lines, logging->waiting, n * sizeof *lines);
    *n_lost = logging->n_lost;
    logging->n_waiting = 0;
    logging->n_lost = 0;
    pthread_mutex_unlock(&logging->waiting_lock);
    return n;
}

void logging_publish(struct logging *logging, struct smq_worker *w)
{
    struct logging_line lines[LOGGING_WAITING];
    size_t n_lost;
    size_t n = take_lines(logging, lines, &n_lost);
    for (size_t i = 0; i < n; i++) {
        smq_sys_log(w, (unsigned)lines[i].level, smq_span_str(lines[i].text));
        free(lines[i].text);
    }
    if (n_lost != 0) {
        char text[80];
        snprintf(text, sizeof text, "%zu lines of the log were not published: there were too many.", n_lost);
        smq_sys_log(w, SMQ_LOG_WARN, smq_span_str(text));
    }
}

/* ---------------------------------------------------------------- settings */

void logging_init(struct logging *logging)
{
    *logging = (struct logging){
        .log = {SMQ_LOG_DEFAULT, sink, logging}, .dest = SMQ_LOG_TO_STDERR, .timestamp = true, .file = -1};
    pthread_rwlock_init(&logging->lock, NULL);
    pthread_mutex_init(&logging->waiting_lock, NULL);
}

static int facility_of(enum smq_log_facility facility)
{
    static const int locals[] = {LOG_LOCAL0, LOG_LOCAL1, LOG_LOCAL2, LOG_LOCAL3,
                                 LOG_LOCAL4, LOG_LOCAL5, LOG_LOCAL6, LOG_LOCAL7};
    return (unsigned)facility < SMQ_ARRAY_LEN(locals) ? locals[facility] : LOG_DAEMON;
}

smqtt_err logging_set(struct logging *logging, const struct smq_conf *conf, bool verbose, bool quiet,
                      struct smq_why *why)
{
    int file = -1;
    char *format = NULL;
    if ((conf->log_dest & SMQ_LOG_TO_FILE) != 0) {
        file = open(conf->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
        if (file < 0) {
            return smq_why_set(why, SMQTT_E_IO, "Cannot open the log file %s: %s.", conf->log_file, strerror(errno));
        }
    }
    if (conf->log_timestamp_format != NULL) {
        format = strdup(conf->log_timestamp_format);
        if (format == NULL) {
            close(file);
            return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory.");
        }
    }
    pthread_rwlock_wrlock(&logging->lock);
    int old_file = logging->file;
    char *old_format = logging->format;
    logging->file = file;
    logging->format = format;
    logging->dest = conf->log_dest;
    logging->form = conf->log_format;
    logging->timestamp = conf->log_timestamp;
    logging->facility = facility_of(conf->log_facility);
    logging->log.wanted = quiet ? 1u << SMQ_LOG_ERR : verbose ? SMQ_LOG_ALL : conf->log_types & SMQ_LOG_ALL;
    if ((conf->log_dest & SMQ_LOG_TO_SYSLOG) != 0) {
        openlog("smqttd", LOG_PID | LOG_CONS, logging->facility);
    }
    pthread_rwlock_unlock(&logging->lock);
    if (old_file >= 0) {
        close(old_file);
    }
    free(old_format);
    return SMQTT_OK;
}

void logging_close(struct logging *logging)
{
    logging_on_topics(logging, NULL, NULL);
    for (size_t i = 0; i < logging->n_waiting; i++) {
        free(logging->waiting[i].text);
    }
    logging->n_waiting = 0;
    if (logging->file >= 0) {
        close(logging->file);
        logging->file = -1;
    }
    free(logging->format);
    logging->format = NULL;
    pthread_rwlock_destroy(&logging->lock);
    pthread_mutex_destroy(&logging->waiting_lock);
}
