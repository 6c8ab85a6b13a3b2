/* SPDX-License-Identifier: Apache-2.0 */
#include "net/wake.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

smqtt_err smq_wake_open(int *fd)
{
    int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made < 0) {
        return SMQTT_E_IO;
    }
    *fd = made;
    return SMQTT_OK;
}

void smq_wake_raise(int fd)
{
    int saved = errno;
    uint64_t one = 1;
    /* Full means raised. */
    ssize_t ignored = write(fd, &one, sizeof one);
    (void)ignored;
    errno = saved;
}

bool smq_wake_take(int fd)
{
    uint64_t n = 0;
    return read(fd, &n, sizeof n) == (ssize_t)sizeof n;
}
