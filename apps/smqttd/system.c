/* SPDX-License-Identifier: Apache-2.0 */
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "net/file.h"

void system_raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* The process that was called waits for one byte. */
static void wait_ready(int from)
{
    char byte = 0;
    ssize_t got;
    do {
        got = read(from, &byte, 1);
    } while (got < 0 && errno == EINTR);
    _exit(got == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

smqtt_err system_daemonize(int *ready, struct smq_why *why)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return smq_why_set(why, SMQTT_E_IO, "Cannot go to the background: %s.", strerror(errno));
    }
    pid_t child = fork();
    if (child < 0) {
        int cause = errno;
        close(ends[0]);
        close(ends[1]);
        return smq_why_set(why, SMQTT_E_IO, "Cannot go to the background: %s.", strerror(cause));
    }
    if (child > 0) {
        close(ends[1]);
        wait_ready(ends[0]);
    }
    close(ends[0]);
    setsid();
    *ready = ends[1];
    return SMQTT_OK;
}

void system_is_ready(int ready)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++) {
        dup2(null, fd);
    }
    if (null >= 0) {
        close(null);
    }
    ssize_t ignored = write(ready, "", 1);
    (void)ignored;
    close(ready);
}

smqtt_err system_write_pid(const char *path, struct smq_why *why)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    return smq_file_write(path, smq_span_of(text, (size_t)len), false, true, why);
}

void system_notify(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = name != NULL ? strlen(name) : 0;
    if (len < 2 || len >= sizeof addr.sun_path || (name[0] != '/' && name[0] != '@')) {
        return;
    }
    memcpy(addr.sun_path, name, len);
    addr.sun_path[0] = name[0] == '@' ? 0 : name[0];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    ssize_t ignored = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&addr,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    (void)ignored;
    close(fd);
}

void system_notify_reloading(void)
{
    struct timespec now = {0, 0};
    char text[64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + (long long)now.tv_nsec / 1000);
    system_notify(text);
}

/* ---------------------------------------------------------------- whom it runs as */

smqtt_err system_find_user(const char *name, const struct smq_log *log, struct system_user *out, struct smq_why *why)
{
    static const char usual[] = "mosquitto";
    *out = (struct system_user){.wanted = false};
    if (geteuid() != 0) {
        return SMQTT_OK;
    }
    name = name != NULL ? name : usual;
    if (strcmp(name, "root") == 0) {
        smq_log(log, SMQ_LOG_WARN, "smqttd runs as root: name another user in the configuration file.");
        return SMQTT_OK;
    }
    const struct passwd *entry = getpwnam(name);
    if (entry == NULL && strcmp(name, usual) == 0) {
        smq_log(log, SMQ_LOG_WARN, "The user mosquitto does not exist: smqttd runs as nobody.");
        entry = getpwnam("nobody");
    }
    if (entry == NULL) {
        return smq_why_set(why, SMQTT_E_USAGE,
                           "The user \"%s\" does not exist: name one that does (user, in the configuration file).",
                           name);
    }
    out->wanted = true;
    out->uid = entry->pw_uid;
    out->gid = entry->pw_gid;
    snprintf(out->name, sizeof out->name, "%s", entry->pw_name);
    return SMQTT_OK;
}

void system_become(const struct system_user *user, bool root)
{
    if (!user->wanted || getuid() != 0) {
        return; /* it is that user for good */
    }
    /* What does not work here fails again, and is seen, in system_stay. */
    bool changed = root ? seteuid(0) == 0 : setegid(user->gid) == 0 && seteuid(user->uid) == 0;
    (void)changed;
}

smqtt_err system_stay(const struct system_user *user, struct smq_why *why)
{
    if (!user->wanted) {
        return SMQTT_OK;
    }
    if (seteuid(0) != 0 || initgroups(user->name, user->gid) != 0 || setgid(user->gid) != 0 || setuid(user->uid) != 0) {
        return smq_why_set(why, SMQTT_E_IO, "Cannot become the user %s: %s.", user->name, strerror(errno));
    }
    return SMQTT_OK;
}
