/* SPDX-License-Identifier: Apache-2.0 */
#include "logging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "net/file.h"

#define STAMP_MAX 128

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

static void write_to(int fd, const char *line, size_t len)
{
    /* A log that cannot be written must not end the broker. */
    smqtt_err ignored = smq_file_write_all(fd, line, len);
    (void)ignored;
}

static void sink(void *ctx, enum smq_log_level level, const struct smq_log_about *about, const char *text, size_t len)
{
    (void)about;
    struct logging *logging = ctx;
    char line[STAMP_MAX + SMQ_LOG_LINE + 16];
    size_t at = stamp(logging, line, STAMP_MAX);
    const char *mark = level == SMQ_LOG_ERR ? "Error: " : level == SMQ_LOG_WARN ? "Warning: " : "";
    size_t mark_len = strlen(mark);
    memcpy(line + at, mark, mark_len);
    at += mark_len;
    memcpy(line + at, text, len);
    at += len;
    line[at++] = '\n';
    if ((logging->dest & SMQ_LOG_TO_STDOUT) != 0) {
        write_to(STDOUT_FILENO, line, at);
    }
    if ((logging->dest & SMQ_LOG_TO_STDERR) != 0) {
        write_to(STDERR_FILENO, line, at);
    }
    if ((logging->dest & SMQ_LOG_TO_FILE) != 0 && logging->file >= 0) {
        write_to(logging->file, line, at);
    }
}

void logging_init(struct logging *logging)
{
    *logging = (struct logging){
        .log = {SMQ_LOG_DEFAULT, sink, logging}, .dest = SMQ_LOG_TO_STDERR, .timestamp = true, .file = -1};
}

smqtt_err logging_set(struct logging *logging, const struct smq_conf *conf, bool verbose, bool quiet,
                      struct smq_why *why)
{
    int file = -1;
    if ((conf->log_dest & SMQ_LOG_TO_FILE) != 0) {
        file = open(conf->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
        if (file < 0) {
            return smq_why_set(why, SMQTT_E_IO, "Cannot open the log file %s: %s.", conf->log_file, strerror(errno));
        }
    }
    logging_close(logging);
    logging->file = file;
    logging->dest = conf->log_dest;
    logging->log.wanted = quiet ? 1u << SMQ_LOG_ERR : verbose ? SMQ_LOG_ALL : conf->log_types;
    logging->timestamp = conf->log_timestamp;
    logging->format = conf->log_timestamp_format;
    return SMQTT_OK;
}

void logging_close(struct logging *logging)
{
    if (logging->file >= 0) {
        close(logging->file);
        logging->file = -1;
    }
}
