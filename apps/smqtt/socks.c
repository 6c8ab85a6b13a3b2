/* SPDX-License-Identifier: Apache-2.0 */
#include "socks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/span.h"
#include "base/wr.h"
#include "say.h"

enum { VERSION = 5, NO_AUTH = 0, USER_AUTH = 2, IPV4 = 1, NAME = 3, IPV6 = 4, ROOM = 1024 };

static bool send_all(int fd, smq_span bytes, smqtt_ms until)
{
    while (bytes.len != 0) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n > 0) {
            bytes = smq_span_from(bytes, (size_t)n);
        } else if ((errno != EAGAIN && errno != EINTR) || !dial_wait(fd, POLLOUT, until)) {
            return false;
        }
    }
    return true;
}

/** Exactly so many bytes, and none of what follows them. */
static bool receive(int fd, uint8_t *out, size_t len, smqtt_ms until)
{
    size_t have = 0;
    while (have < len) {
        ssize_t n = recv(fd, out + have, len - have, 0);
        if (n > 0) {
            have += (size_t)n;
        } else if (n == 0) {
            errno = ECONNRESET;
            return false;
        } else if ((errno != EAGAIN && errno != EINTR) || !dial_wait(fd, POLLIN, until)) {
            return false;
        }
    }
    return true;
}

static bool broken(const struct url_proxy *proxy)
{
    say("the proxy %s does not answer as a SOCKS5 proxy (%s): check --proxy.", proxy->host, strerror(errno));
    return false;
}

static bool authenticate(int fd, const struct url_proxy *proxy, smqtt_ms until)
{
    uint8_t room[ROOM];
    uint8_t answer[2];
    struct smq_wr wr = smq_wr_of(room, sizeof(room));
    smq_wr_u8(&wr, 1);
    smq_wr_blob8(&wr, smq_span_str(proxy->user));
    smq_wr_blob8(&wr, smq_span_str(proxy->password));
    if (!send_all(fd, smq_wr_span(&wr), until) || !receive(fd, answer, 2, until)) {
        return broken(proxy);
    }
    if (answer[1] != 0) {
        say("the proxy %s does not take this user name and password: check --proxy.", proxy->host);
        return false;
    }
    return true;
}

/** Which method of authentication, and by it. */
static bool greet(int fd, const struct url_proxy *proxy, smqtt_ms until)
{
    const uint8_t hello[] = {VERSION, proxy->user != NULL ? 2 : 1, NO_AUTH, USER_AUTH};
    uint8_t answer[2];
    if (!send_all(fd, smq_span_of(hello, proxy->user != NULL ? 4 : 3), until) || !receive(fd, answer, 2, until)) {
        return broken(proxy);
    }
    errno = EPROTO;
    if (answer[0] != VERSION) {
        return broken(proxy);
    }
    if (answer[1] == NO_AUTH) {
        return true;
    }
    if (answer[1] == USER_AUTH && proxy->user != NULL) {
        return authenticate(fd, proxy, until);
    }
    say("the proxy %s wants another way to log in than a user name%s: check --proxy.", proxy->host,
        proxy->user == NULL ? ", or one that was not given" : "");
    return false;
}

static const char *refusal(uint8_t code)
{
    static const char *const texts[] = {"it failed",
                                        "it failed",
                                        "its rules forbid it",
                                        "the network is unreachable",
                                        "the host is unreachable",
                                        "connection refused",
                                        "the time to live expired",
                                        "it does not know this command",
                                        "it does not know this kind of address"};
    return code < SMQ_ARRAY_LEN(texts) ? texts[code] : "for an unknown reason";
}

/** The rest of the reply: the address that the proxy connects from, which nobody needs. */
static bool skip_address(int fd, uint8_t kind, smqtt_ms until)
{
    uint8_t room[ROOM];
    uint8_t len = kind == IPV4 ? 4 : 16;
    if (kind == NAME && !receive(fd, &len, 1, until)) {
        return false;
    }
    return receive(fd, room, (size_t)len + 2, until);
}

bool socks_connect(int fd, const struct url_proxy *proxy, const char *host, uint16_t port, smqtt_ms until)
{
    uint8_t room[ROOM];
    uint8_t address[16];
    if (strlen(host) > UINT8_MAX) {
        say("the host name '%s' is too long for a proxy: check -h.", host);
        return false;
    }
    if (!greet(fd, proxy, until)) {
        return false;
    }
    struct smq_wr wr = smq_wr_of(room, sizeof(room));
    smq_wr_bytes(&wr, "\x05\x01\x00", 3); /* version, CONNECT, reserved */
    if (inet_pton(AF_INET, host, address) == 1) {
        smq_wr_u8(&wr, IPV4);
        smq_wr_bytes(&wr, address, 4);
    } else if (inet_pton(AF_INET6, host, address) == 1) {
        smq_wr_u8(&wr, IPV6);
        smq_wr_bytes(&wr, address, 16);
    } else {
        smq_wr_u8(&wr, NAME);
        smq_wr_blob8(&wr, smq_span_str(host));
    }
    smq_wr_u16(&wr, port);
    uint8_t answer[4];
    if (!send_all(fd, smq_wr_span(&wr), until) || !receive(fd, answer, sizeof(answer), until)) {
        return broken(proxy);
    }
    if (answer[0] == VERSION && answer[1] != 0) {
        say("the proxy %s does not connect to %s port %u: %s.", proxy->host, host, port, refusal(answer[1]));
        return false;
    }
    errno = EPROTO;
    if (answer[0] != VERSION || (answer[3] != IPV4 && answer[3] != IPV6 && answer[3] != NAME) ||
        !skip_address(fd, answer[3], until)) {
        return broken(proxy);
    }
    return true;
}
