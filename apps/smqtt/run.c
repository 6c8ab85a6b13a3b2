/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"
#include "codec/packet.h"
#include "codec/reason.h"
#include "net/clock.h"
#include "say.h"

enum { CONNECT_WAIT_MS = 10000, READ_SIZE = 65536, RECONNECT_MS = 1000 };

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

static bool read_version(const char *text, enum smqtt_version *out)
{
    static const struct {
        const char *text;
        enum smqtt_version version;
    } known[] = {{"31", SMQTT_V31},        {"mqttv31", SMQTT_V31}, {"311", SMQTT_V311},
                 {"mqttv311", SMQTT_V311}, {"5", SMQTT_V5},        {"mqttv5", SMQTT_V5}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(known); i++) {
        if (strcmp(text, known[i].text) == 0) {
            *out = known[i].version;
            return true;
        }
    }
    say("'%s' is not a protocol version: take 31, 311 or 5.", text);
    return false;
}

/** A client id: as given, or made of a prefix, or made up (a sealed session names it, so it is never empty). */
static const char *client_id(const struct opts *o, char *out, size_t cap)
{
    if (o->client_id != NULL) {
        return o->client_id;
    }
    snprintf(out, cap, "%s%ld-%llx", o->id_prefix != NULL ? o->id_prefix : "smqtt-", (long)getpid(),
             (unsigned long long)(smq_clock_now().wall & 0xFFFFF));
    return out;
}

static bool check_flags(const struct opts *o)
{
    if (!o->clean && o->client_id == NULL && o->id_prefix == NULL) {
        say("-c keeps the session on the broker, which finds it again by the client id: give one with -i.");
        return false;
    }
    if (o->will_payload != NULL && o->will_topic == NULL) {
        say("--will-payload needs --will-topic: say where the will is published.");
        return false;
    }
    return true;
}

bool run_config(const struct opts *o, bool secure, struct smqtt_client_config *config, struct smqtt_will *will)
{
    static char made_up[256];
    memset(config, 0, sizeof(*config));
    config->struct_size = sizeof(*config);
    config->version = secure ? SMQTT_V5 : SMQTT_V311;
    if (!check_flags(o) || (o->version != NULL && !read_version(o->version, &config->version))) {
        return false;
    }
    config->client_id = smq_span_str(client_id(o, made_up, sizeof(made_up)));
    config->clean_start = o->clean;
    config->keep_alive_s = o->keep_alive;
    config->lax_text = true; /* what a foreign broker lets through is printed, not a reason to part */
    bool expiry = o->session_expiry_given || !o->clean;
    config->session_expiry_s = expiry ? (o->session_expiry_given ? o->session_expiry : UINT32_MAX) : 0;
    config->has_user = o->user != NULL;
    config->has_password = o->password != NULL;
    config->user = smq_span_str(o->user);
    config->password = smq_span_str(o->password);
    config->max_queued = UINT32_MAX;
    if (o->will_topic != NULL) {
        memset(will, 0, sizeof(*will));
        will->topic = smq_span_str(o->will_topic);
        will->payload = smq_span_str(o->will_payload);
        will->qos = o->will_qos;
        will->retain = o->will_retain;
        config->will = will;
    }
    return true;
}

bool run_url(struct opts *o)
{
    if (o->url == NULL) {
        return true;
    }
    static char copy[2048];
    const char *prefix = "mqtt://";
    if (strncmp(o->url, prefix, strlen(prefix)) != 0 || strlen(o->url) >= sizeof(copy)) {
        say("'%s' is not a URL that is understood: write mqtt://[user[:password]@]host[:port]/topic.", o->url);
        return false;
    }
    snprintf(copy, sizeof(copy), "%s", o->url + strlen(prefix));
    char *topic = strchr(copy, '/');
    if (topic != NULL) {
        *topic++ = 0;
        if (*topic != 0 && o->topics.n < OPTS_LIST_MAX) {
            o->topics.item[o->topics.n++] = topic;
        }
    }
    char *host = strrchr(copy, '@');
    if (host != NULL) {
        *host++ = 0;
        o->user = copy;
        char *password = strchr(copy, ':');
        if (password != NULL) {
            *password++ = 0;
            o->password = password;
        }
    } else {
        host = copy;
    }
    char *port = host[0] == '[' ? strchr(host, ']') : host;
    port = port != NULL ? strchr(port, ':') : NULL;
    if (port != NULL) {
        *port++ = 0;
        o->port = (uint16_t)strtoul(port, NULL, 10);
    }
    if (host[0] == '[' && strchr(host, ']') != NULL) {
        *strchr(host, ']') = 0;
        host++;
    }
    o->host = host;
    return true;
}

/** One address: connects within the time, or -1. */
static int connect_one(const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
    if (fd < 0) {
        return -1;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0) {
        return fd;
    }
    if (errno == EINPROGRESS) {
        struct pollfd p = {fd, POLLOUT, 0};
        int error = 0;
        socklen_t len = sizeof(error);
        if (poll(&p, 1, CONNECT_WAIT_MS) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
            error == 0) {
            return fd;
        }
        errno = error != 0 ? error : ETIMEDOUT;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int connect_any(const struct opts *o)
{
    char port[8];
    snprintf(port, sizeof(port), "%u", o->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    int failed = getaddrinfo(o->host, port, &hints, &list);
    if (failed != 0) {
        say("the host '%s' is not found (%s): check -h.", o->host, gai_strerror(failed));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *ai = list; ai != NULL && fd < 0 && !interrupted; ai = ai->ai_next) {
        fd = connect_one(ai);
    }
    if (fd < 0) {
        say("no connection to %s port %s (%s): is the broker running there?", o->host, port, strerror(errno));
    }
    freeaddrinfo(list);
    return fd;
}

const char *run_reason(enum smqtt_version version, uint8_t reason)
{
    static const char *const v3[] = {"accepted",
                                     "the broker does not take this protocol version",
                                     "the broker does not take this client id",
                                     "the broker is not available",
                                     "user name or password is wrong",
                                     "not authorized"};
    if (version == SMQTT_V5) {
        return smq_reason_text(reason);
    }
    return reason < SMQ_ARRAY_LEN(v3) ? v3[reason] : "the broker refused";
}

static void write_out(struct run *run)
{
    struct smqtt_span out = smqtt_client_output(run->client);
    while (out.len != 0) {
        ssize_t n = send(run->fd, out.data, out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            if (errno != EAGAIN) {
                smqtt_client_lost(run->client, SMQTT_E_IO, smq_clock_now());
            }
            return;
        }
        smqtt_client_sent(run->client, (size_t)n, smq_clock_now());
        out = smqtt_client_output(run->client);
    }
}

/** False when the connection has ended. */
static bool read_in(struct run *run)
{
    static uint8_t buf[READ_SIZE];
    ssize_t n = recv(run->fd, buf, sizeof(buf), 0);
    if (n > 0) {
        smqtt_client_feed(run->client, (struct smqtt_span){buf, (size_t)n}, smq_clock_now());
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    smqtt_client_lost(run->client, SMQTT_E_IO, smq_clock_now());
    return false;
}

static void pull_events(struct run *run)
{
    struct smqtt_client_event event;
    while (smqtt_client_next(run->client, &event)) {
        run->hooks->event(run, &event);
    }
}

void run_stop(struct run *run, int exit_code)
{
    if (run->stop) {
        return;
    }
    run->stop = true;
    run->exit_code = exit_code;
    smqtt_err err = smqtt_client_disconnect(run->client, 0, smq_clock_now());
    (void)err; /* not connected any more: then there is nothing to say goodbye to */
}

static int poll_timeout(const struct run *run)
{
    smqtt_ms now = smq_clock_now().mono;
    smqtt_ms at = smqtt_client_deadline(run->client);
    at = run->at < at ? run->at : at;
    if (at == SMQTT_NEVER) {
        return -1;
    }
    return at <= now ? 0 : (int)(at - now > 60000 ? 60000 : at - now);
}

/** One turn; false when the connection is over. */
static bool turn(struct run *run)
{
    write_out(run);
    pull_events(run);
    write_out(run);
    if (smqtt_client_wants_close(run->client) || (run->stop && smqtt_client_output(run->client).len == 0)) {
        return false;
    }
    bool input = run->hooks->input != NULL && run->watch_input && !run->stop;
    struct pollfd p[2] = {{run->fd, POLLIN, 0}, {input ? STDIN_FILENO : -1, POLLIN, 0}};
    if (smqtt_client_output(run->client).len != 0) {
        p[0].events |= POLLOUT;
    }
    int n = poll(p, 2, poll_timeout(run));
    if (interrupted) {
        run_stop(run, run->exit_code);
        write_out(run);
        return false;
    }
    bool alive = true;
    if (n > 0 && (p[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        alive = read_in(run);
    }
    if (n > 0 && input && (p[1].revents & (POLLIN | POLLHUP)) != 0) {
        run->hooks->input(run);
    }
    struct smqtt_now now = smq_clock_now();
    smqtt_client_tick(run->client, now);
    if (run->at <= now.mono && !run->stop) {
        run->at = SMQTT_NEVER;
        run->hooks->deadline(run);
    }
    if (!alive) {
        pull_events(run);
    }
    return alive;
}

static void wait_a_moment(void)
{
    struct timespec pause = {RECONNECT_MS / 1000, 0};
    nanosleep(&pause, NULL);
}

/** Connects and turns until the connection ends. */
static bool connect_and_turn(struct run *run)
{
    run->fd = connect_any(run->opts);
    if (run->fd < 0) {
        run->exit_code = EXIT_CONNECT;
        return false;
    }
    smqtt_err err = smqtt_client_connect(run->client, smq_clock_now());
    if (err != SMQTT_OK) {
        say("CONNECT cannot be sent: %s.", smqtt_strerror(err));
        run->exit_code = EXIT_FAILED;
        close(run->fd);
        return false;
    }
    while (turn(run)) {
    }
    close(run->fd);
    smqtt_client_lost(run->client, SMQTT_OK, smq_clock_now());
    pull_events(run);
    return true;
}

int run(struct run *run)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    bool connected = connect_and_turn(run);
    while (run->reconnect && connected && !run->stop && !interrupted) {
        wait_a_moment();
        connect_and_turn(run);
    }
    smqtt_client_free(run->client);
    run->client = NULL;
    return run->exit_code;
}
