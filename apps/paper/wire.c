/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, DISCONNECT = 0xE0 };
enum { PARTY_SERVER, PARTY_SUBSCRIBER, PARTY_CLIENT, PARTIES };
static const char *const NAMES[PARTIES] = {"server", "subscriber", "client"};

struct wires {
    struct paper_run *run;
    int listener;
    struct sockaddr_in address;
    int relay[PARTIES]; /* the relay's ends, by party; -1 none */
    int end[PARTIES];   /* the parties' own */
};

__attribute__((format(printf, 2, 3))) static void say(struct paper_log *log, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(log->text + log->len, sizeof(log->text) - log->len, format, args);
    va_end(args);
    log->len += n > 0 ? (size_t)n : 0;
    log->len = log->len < sizeof(log->text) ? log->len : sizeof(log->text) - 1;
}

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void say_time(struct paper_log *log, const char *what, uint64_t us)
{
    say(log, "%s %llu:%06llu\n", what, (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000));
}

static bool read_all(int fd, uint8_t *out, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, out + at, len - at, 0);
        if (n <= 0) {
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

/** Header, remaining length as MQTT writes it, body. False at the end of the connection. */
static bool read_packet(int fd, struct paper_packet *out)
{
    uint8_t byte = 0x80;
    out->len = 0;
    if (!read_all(fd, &out->header, 1)) {
        return false;
    }
    for (unsigned shift = 0; (byte & 0x80) != 0; shift += 7) {
        if (shift > 21 || !read_all(fd, &byte, 1)) {
            return false;
        }
        out->len |= (size_t)(byte & 0x7F) << shift;
    }
    return out->len <= sizeof(out->body) && read_all(fd, out->body, out->len);
}

static void write_packet(int fd, const struct paper_packet *packet)
{
    uint8_t bytes[5 + PAPER_BODY_MAX] = {packet->header};
    size_t at = 1;
    size_t rest = packet->len;
    do {
        bytes[at++] = (uint8_t)((rest & 0x7F) | (rest > 0x7F ? 0x80U : 0U));
        rest >>= 7;
    } while (rest != 0);
    memcpy(bytes + at, packet->body, packet->len);
    /* A peer that has closed is found out by the next read. */
    (void)!send(fd, bytes, at + packet->len, MSG_NOSIGNAL);
}

static void add_text(struct paper_packet *packet, const void *text, size_t len)
{
    packet->body[packet->len++] = (uint8_t)(len >> 8);
    packet->body[packet->len++] = (uint8_t)len;
    memcpy(packet->body + packet->len, text, len);
    packet->len += len;
}

static struct paper_packet publish_packet(const struct paper_bytes *topic, const void *payload, size_t len)
{
    struct paper_packet out = {.header = PUBLISH};
    add_text(&out, topic->at, topic->len);
    memcpy(out.body + out.len, payload, len);
    out.len += len;
    return out;
}

/** The parts of a PUBLISH of QoS 0. */
static bool publish_parts(const struct paper_packet *in, struct paper_bytes *topic, struct paper_bytes *payload)
{
    size_t len = in->len >= 2 ? (size_t)in->body[0] << 8 | in->body[1] : in->len;
    if (len + 2 > in->len || len > PAPER_M_MAX || in->len - 2 - len > PAPER_M_MAX) {
        return false;
    }
    topic->len = len;
    memcpy(topic->at, in->body + 2, len);
    payload->len = in->len - 2 - len;
    memcpy(payload->at, in->body + 2 + len, payload->len);
    return true;
}

/* ---------------------------------------------------------------- the relay, in the broker's role */

static void cut(struct wires *w, int party)
{
    if (w->relay[party] >= 0) {
        shutdown(w->relay[party], SHUT_RDWR);
        close(w->relay[party]);
        w->relay[party] = -1;
    }
}

static void forward(struct wires *w, int to, const struct paper_packet *packet)
{
    if (w->relay[to] >= 0) {
        write_packet(w->relay[to], packet);
    }
}

static void relay_publish(struct wires *w, struct paper_packet *packet)
{
    struct paper_bytes topic;
    struct paper_bytes payload;
    if (w->run->replace != NULL && publish_parts(packet, &topic, &payload)) {
        *packet = publish_packet(&topic, w->run->replace, strlen(w->run->replace));
    }
    if (w->run->drop) {
        say(&w->run->relay_log, "PUBLISH is dropped\n");
        return;
    }
    /* The paper's broker is not asked to look at strings. */
    say(&w->run->relay_log, "PUBLISH of %zu bytes, in plain, goes to the server and to the subscriber\n", packet->len);
    forward(w, PARTY_SERVER, packet);
    forward(w, PARTY_SUBSCRIBER, packet);
}

static void relay_packet(struct wires *w, int from, struct paper_packet *packet)
{
    struct paper_log *log = &w->run->relay_log;
    if (packet->header == PUBLISH) {
        relay_publish(w, packet);
        return;
    }
    if (packet->header >> 4 != 0 || packet->len == 0 || packet->body[0] != PAPER_VER) {
        cut(w, from);
        return;
    }
    uint8_t came = packet->header;
    if (came == 0x01) {
        packet->header = 0x03;
    }
    say(log, "DETECT 0x%02X of %zu bytes from the %s goes on as 0x%02X\n", came, packet->len, NAMES[from],
        packet->header);
    forward(w, from == PARTY_CLIENT ? PARTY_SERVER : PARTY_CLIENT, packet);
    if (came == 0x07) {
        say(log, "verdict 0: the access is disconnected\n");
        cut(w, PARTY_CLIENT);
    }
}

static void relay_loop(struct wires *w)
{
    struct paper_packet packet;
    while (w->relay[PARTY_CLIENT] >= 0) {
        struct pollfd fds[PARTIES];
        for (int i = 0; i < PARTIES; i++) {
            fds[i] = (struct pollfd){.fd = w->relay[i], .events = POLLIN};
        }
        if (poll(fds, PARTIES, 10000) <= 0) {
            break;
        }
        for (int i = 0; i < PARTIES; i++) {
            if (w->relay[i] < 0 || fds[i].revents == 0) {
                continue;
            }
            if (read_packet(w->relay[i], &packet) && packet.header != DISCONNECT) {
                relay_packet(w, i, &packet);
            } else {
                cut(w, i);
            }
        }
    }
}

static void *relay_thread(void *arg)
{
    struct wires *w = arg;
    struct paper_packet packet;
    for (int i = 0; i < PARTIES; i++) { /* they come in this order */
        w->relay[i] = accept(w->listener, NULL, NULL);
        if (w->relay[i] < 0 || !read_packet(w->relay[i], &packet) || packet.header != CONNECT) {
            paper_die("a CONNECT at the relay");
        }
        struct paper_packet connack = {.header = CONNACK, .len = 2};
        write_packet(w->relay[i], &connack);
    }
    relay_loop(w);
    for (int i = 0; i < PARTIES; i++) {
        cut(w, i);
    }
    return NULL;
}

/* ---------------------------------------------------------------- the ends */

static bool server_packet(struct paper_run *run, int fd, struct paper_packet *in)
{
    struct paper_server *s = &run->server;
    struct paper_log *log = &run->server_log;
    struct paper_packet out;
    struct paper_bytes topic;
    if (in->header == DISCONNECT) {
        return false;
    }
    if (in->header == PUBLISH) {
        run->arrived = publish_parts(in, &topic, &run->payload);
        say(log, "published: %.*s\n", (int)run->payload.len, (const char *)run->payload.at);
        return true;
    }
    if (in->header == 0x07 || in->header == 0x0F) {
        say(log, "verdict: %d\n", paper_server_end(s, in) ? 1 : 0);
        return s->verdict;
    }
    uint64_t now = now_us();
    say_time(log, "receive time:", now);
    if (!paper_server_answer(s, in, now, &out)) {
        say(log, "Decryption Result: none\n");
        return false;
    }
    say(log, "Decryption Result: %.*s\nSHA1 digest: ", (int)s->held.len, (const char *)s->held.at);
    for (size_t i = 0; i < PAPER_HASH_LEN; i++) {
        say(log, "%02x", s->hash[i]);
    }
    say(log, "\nsigma: %.*s, flag %d\n", (int)(out.len - 9), (const char *)out.body + 9, out.header >> 3);
    write_packet(fd, &out);
    return true;
}

static void *server_thread(void *arg)
{
    struct wires *w = arg;
    struct paper_packet in;
    int fd = w->end[PARTY_SERVER];
    if (!w->run->mqtt) {
        fd = accept(w->listener, NULL, NULL);
    }
    say(&w->run->server_log, "%s", w->run->mqtt ? "connected to the relay\n" : "socket ok, bind ok, listen ok\n");
    while (fd >= 0 && read_packet(fd, &in) && server_packet(w->run, fd, &in)) {
    }
    shutdown(fd, SHUT_RDWR);
    if (!w->run->mqtt) {
        close(fd);
    }
    return NULL;
}

/** Follows the standard: [MQTT-1.5.4-1], a topic that is not well-formed UTF-8 closes the connection. */
static void *subscriber_thread(void *arg)
{
    struct wires *w = arg;
    struct paper_packet in;
    struct paper_bytes topic;
    struct paper_bytes payload;
    while (read_packet(w->end[PARTY_SUBSCRIBER], &in)) {
        if (in.header == PUBLISH && (!publish_parts(&in, &topic, &payload) || !paper_is_utf8(&topic))) {
            w->run->subscriber_closed = true;
            break;
        }
    }
    shutdown(w->end[PARTY_SUBSCRIBER], SHUT_RDWR);
    return NULL;
}

/** Steps 0 to 3; true when the publish phase may follow. */
static bool client_detect(struct paper_run *run, int fd)
{
    struct paper_log *log = &run->client_log;
    struct paper_packet packet = {0};
    uint64_t start = now_us();
    say_time(log, "send time:", start);
    if (!paper_client_start(&run->client, &run->m, start, &packet)) {
        say(log, "not UTF-8: this client does not send it\n");
        run->refused = true;
        return false;
    }
    say(log, "plaintext: %.*s\nSHA1 digest: ", (int)run->m.len, (const char *)run->m.at);
    for (size_t i = 0; i < PAPER_HASH_LEN; i++) {
        say(log, "%02x", run->client.hash[i]);
    }
    say(log, "\nC: %.*s\n", (int)(packet.len - 29), (const char *)packet.body + 29);
    say_time(log, "encrypted finished time:", now_us());
    write_packet(fd, &packet);
    if (!read_packet(fd, &packet)) {
        say(log, "no answer: the access has ended\n");
        return false;
    }
    run->confirmed = paper_client_answer(&run->client, &packet, now_us(), &packet);
    say(log, "flag %d, signature %s, timestamps %s: verdict %d\n", run->client.verified || run->confirmed ? 1 : 0,
        run->client.verified ? "good" : "not of this text", run->client.in_time ? "good" : "too far apart",
        run->confirmed ? 1 : 0);
    write_packet(fd, &packet);
    return run->confirmed;
}

static void client_play(struct paper_run *run, int fd)
{
    if (!run->skip_detect && !client_detect(run, fd)) {
        return;
    }
    if (run->topic.len == 0) {
        run->topic = paper_bytes_of("sensors/1");
    }
    struct paper_packet packet = publish_packet(&run->topic, run->m.at, run->m.len);
    write_packet(fd, &packet);
    say(&run->client_log, "publish phase: %zu bytes in plain\n", run->m.len);
    packet = (struct paper_packet){.header = DISCONNECT};
    write_packet(fd, &packet);
}

static int dial(struct wires *w)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&w->address, sizeof(w->address)) != 0) {
        paper_die("connecting on this machine");
    }
    return fd;
}

static void enter(struct wires *w, int party)
{
    struct paper_packet packet = {.header = CONNECT};
    w->end[party] = dial(w);
    add_text(&packet, "MQTT", 4);
    memcpy(packet.body + packet.len, "\x04\x02\x00\x3C", 4); /* 3.1.1, clean session, 60 s */
    packet.len += 4;
    add_text(&packet, NAMES[party], strlen(NAMES[party]));
    write_packet(w->end[party], &packet);
    if (!read_packet(w->end[party], &packet) || packet.header != CONNACK) {
        paper_die("a CONNACK of the relay");
    }
}

static void listen_here(struct wires *w)
{
    socklen_t len = sizeof(w->address);
    w->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    w->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (w->listener < 0 || bind(w->listener, (struct sockaddr *)&w->address, len) != 0 || listen(w->listener, 4) != 0 ||
        getsockname(w->listener, (struct sockaddr *)&w->address, &len) != 0) {
        paper_die("listening on this machine");
    }
}

static pthread_t start(void *(*run)(void *), struct wires *w)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, w) != 0) {
        paper_die("starting a thread");
    }
    return thread;
}

static void play_through_relay(struct wires *w)
{
    pthread_t relay = start(relay_thread, w);
    for (int i = 0; i < PARTIES; i++) {
        enter(w, i);
    }
    say(&w->run->client_log, "connected to the relay\n");
    pthread_t server = start(server_thread, w);
    pthread_t subscriber = start(subscriber_thread, w);
    client_play(w->run, w->end[PARTY_CLIENT]);
    shutdown(w->end[PARTY_CLIENT], SHUT_WR);
    pthread_join(relay, NULL);
    pthread_join(server, NULL);
    pthread_join(subscriber, NULL);
    for (int i = 0; i < PARTIES; i++) {
        close(w->end[i]);
    }
}

void paper_run(struct paper_run *run)
{
    struct wires w = {.run = run};
    struct paper_curve servers;
    paper_curve_init(&servers);
    paper_server_init(&run->server, &servers, run->server_text);
    run->client.curve = run->curve;
    run->client.pk = run->server.pk;
    listen_here(&w);
    if (run->mqtt) {
        play_through_relay(&w);
    } else {
        pthread_t server = start(server_thread, &w);
        int fd = dial(&w);
        say(&run->client_log, "socket ok, connect ok: 127.0.0.1\n");
        client_play(run, fd);
        shutdown(fd, SHUT_WR);
        pthread_join(server, NULL);
        close(fd);
    }
    close(w.listener);
    run->server.curve = NULL;
    paper_curve_deinit(&servers);
}
