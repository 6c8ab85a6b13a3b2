/* SPDX-License-Identifier: Apache-2.0 */
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
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

smqtt_err system_daemonize(struct smq_why *why)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) {
        return smq_why_set(why, SMQTT_E_IO, "Cannot go to the background: /dev/null: %s.", strerror(errno));
    }
    pid_t child = fork();
    if (child < 0) {
        int cause = errno;
        close(null);
        return smq_why_set(why, SMQTT_E_IO, "Cannot go to the background: %s.", strerror(cause));
    }
    if (child > 0) {
        _exit(EXIT_SUCCESS);
    }
    setsid();
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        dup2(null, fd);
    }
    close(null);
    return SMQTT_OK;
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
