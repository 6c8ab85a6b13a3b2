/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_EXAMPLES_WIRE_H
#define SMQTT_EXAMPLES_WIRE_H
/* What the two examples share: a blocking socket and an end. */
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <smqtt/posix.h>

static inline struct smqtt_now now(void)
{
    return smqtt_posix_now();
}

static inline void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static inline void must(const char *what, smqtt_err err)
{
    if (err != SMQTT_OK) {
        die(what, smqtt_strerror(err));
    }
}

static inline struct smqtt_identity *load_identity(const char *path)
{
    struct smqtt_identity *id = NULL;
    must(path, smqtt_posix_read_identity(NULL, path, &id));
    return id;
}

static inline int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (getaddrinfo(host, port, &hints, &list) != 0) {
        die(host, "is not found");
    }
    int fd = -1;
    for (struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd < 0) {
        die(host, "does not answer");
    }
    return fd;
}

/** Sends all that the client has to say. False when the connection is gone. */
static inline bool send_all(struct smqtt_client *c, int fd)
{
    struct smqtt_span out = smqtt_client_output(c);
    while (out.len != 0) {
        ssize_t n = send(fd, out.data, out.len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        smqtt_client_sent(c, (size_t)n, now());
        out = smqtt_client_output(c);
    }
    return true;
}

/** Waits for bytes, or for the client's deadline, and gives them to it. False when the connection is over. */
static inline bool take_turn(struct smqtt_client *c, int fd)
{
    if (!send_all(c, fd) || smqtt_client_wants_close(c)) {
        return false;
    }
    smqtt_ms at = smqtt_client_deadline(c);
    smqtt_ms mono = now().mono;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, at == SMQTT_NEVER ? -1 : at <= mono ? 0 : (int)(at - mono > 60000 ? 60000 : at - mono));
    if (n > 0) {
        static uint8_t bytes[16384];
        ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
        if (got <= 0) {
            return false;
        }
        smqtt_client_feed(c, (struct smqtt_span){bytes, (size_t)got}, now());
    }
    smqtt_client_tick(c, now());
    return true;
}

#endif
