/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine could do at most: moves the bytes that an MQTT broker would move, through as many TCP connections,
 * in pieces as large as come, and looks at none of them. The server is a child on processor 0, the client this process
 * on processor 1; only the server's CPU time counts.
 *
 *   mover fan-in|fan-out|pairs N QOS WINDOW SIZE SECONDS
 *
 * prints: messages per CPU second, messages per second. QoS 0 and 1; with 1 four bytes go back for each message, on
 * both sides, as PUBACK would. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX = 2000, BUFFER = 1 << 20, READ = 256 * 1024, EVENTS = 512, ACK = 4 };

/* The first n_in connections publish, the others receive. */
static struct {
    int n_in, n_out, qos;
    bool fan_in, fan_out;
    size_t size, window; /* bytes */
    double seconds;
} plan;

static int fds[MAX];
static uint8_t buffer[BUFFER];

static void pin(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int watch_all(void)
{
    int epoll = epoll_create1(0);
    int on = 1;
    for (int i = 0; i < plan.n_in + plan.n_out; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) != 0) {
            die("epoll_ctl");
        }
    }
    return epoll;
}

/* Waits for the kernel to take all of it: the other side always reads. */
static bool send_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len != 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* ---------------------------------------------------------------- the server */

static size_t partial[MAX]; /* bytes of a message that is not whole yet */

static bool acknowledge(int i, size_t got)
{
    static const uint8_t acks[READ / 8];
    size_t whole = (partial[i] + got) / plan.size;
    partial[i] = (partial[i] + got) % plan.size;
    return whole == 0 || send_all(fds[i], acks, whole * ACK);
}

static bool pass_on(int i, size_t from, size_t got)
{
    if (plan.fan_in) {
        return true; /* all in one piece at the end of the turn */
    }
    bool ok = true;
    for (int k = 0; plan.fan_out && k < plan.n_out; k++) {
        ok = ok && send_all(fds[plan.n_in + k], buffer + from, got);
    }
    return plan.fan_out ? ok : send_all(fds[plan.n_in + i], buffer + from, got);
}

static void serve(void)
{
    struct epoll_event events[EVENTS];
    int epoll = watch_all();
    bool ok = true;
    while (ok) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        size_t have = 0;
        for (int e = 0; e < n && ok; e++) {
            int i = (int)events[e].data.u32;
            size_t room = BUFFER - have < READ ? BUFFER - have : READ;
            ssize_t got = room != 0 ? recv(fds[i], buffer + have, room, MSG_DONTWAIT) : -1;
            if (got == 0) {
                return; /* the client is done */
            }
            if (got < 0 || i >= plan.n_in) {
                continue; /* what receivers send are acknowledgements */
            }
            ok = pass_on(i, have, (size_t)got) && (plan.qos == 0 || acknowledge(i, (size_t)got));
            have += plan.fan_in ? (size_t)got : 0;
        }
        ok = ok && (have == 0 || send_all(fds[plan.n_in], buffer, have));
    }
}

/* ---------------------------------------------------------------- the client */

static size_t credit[MAX], received[MAX];
static uint64_t delivered; /* bytes */

static double clock_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Writes go in halves of the window, as those of smqtt bench. */
static void publish(int i)
{
    size_t half = plan.window / plan.size / 2 * plan.size;
    if (credit[i] < (half != 0 ? half : plan.size)) {
        return;
    }
    size_t n = credit[i] / plan.size * plan.size;
    ssize_t sent = send(fds[i], buffer, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    credit[i] -= sent > 0 ? (size_t)sent : 0;
}

/* Without acknowledgements the room comes from what arrived. */
static void give_credit(int out, size_t got)
{
    static int turn;
    if (plan.fan_out) {
        static size_t rest;
        rest += got;
        size_t whole = rest / (size_t)plan.n_out;
        credit[0] += whole;
        rest -= whole * (size_t)plan.n_out;
        return;
    }
    if (!plan.fan_in) {
        credit[out] += got;
        return;
    }
    while (got != 0) {
        size_t part = got < plan.size ? got : plan.size;
        for (int tried = 0; tried < plan.n_in && credit[turn] + part > plan.window; tried++) {
            turn = (turn + 1) % plan.n_in;
        }
        credit[turn] += part;
        got -= part;
    }
}

static void on_bytes(int i, size_t got)
{
    static const uint8_t acks[READ];
    if (i < plan.n_in) {
        received[i] += got;
        credit[i] += received[i] / ACK * plan.size;
        received[i] %= ACK;
        return;
    }
    delivered += got;
    received[i] += got;
    if (plan.qos == 0) {
        give_credit(i - plan.n_in, got);
        return;
    }
    size_t whole = received[i] / plan.size;
    received[i] %= plan.size;
    if (whole != 0) {
        (void)send_all(fds[i], acks, whole * ACK);
    }
}

static double drive(void)
{
    static uint8_t in[READ];
    struct epoll_event events[EVENTS];
    int epoll = watch_all();
    double start = clock_s();
    for (int i = 0; i < plan.n_in; i++) {
        credit[i] = plan.window;
    }
    double now = start;
    while (now < start + plan.seconds) {
        for (int i = 0; i < plan.n_in; i++) {
            publish(i);
        }
        int n = epoll_wait(epoll, events, EVENTS, 10);
        for (int e = 0; e < n; e++) {
            int i = (int)events[e].data.u32;
            ssize_t got = recv(fds[i], in, READ, MSG_DONTWAIT);
            if (got > 0) {
                on_bytes(i, (size_t)got);
            }
        }
        now = clock_s();
    }
    return now - start;
}

/* ---------------------------------------------------------------- both */

static void connect_all(int listener, bool is_server)
{
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    if (getsockname(listener, (struct sockaddr *)&at, &len) != 0) {
        die("getsockname");
    }
    for (int i = 0; i < plan.n_in + plan.n_out; i++) {
        fds[i] = is_server ? accept(listener, NULL, NULL) : socket(AF_INET, SOCK_STREAM, 0);
        if (fds[i] < 0 || (!is_server && connect(fds[i], (struct sockaddr *)&at, len) != 0)) {
            die("connection");
        }
    }
}

static bool read_plan(int argc, char **argv)
{
    if (argc != 7) {
        return false;
    }
    int n = (int)strtol(argv[2], NULL, 10);
    plan.fan_in = strcmp(argv[1], "fan-in") == 0;
    plan.fan_out = strcmp(argv[1], "fan-out") == 0;
    plan.n_in = plan.fan_out ? 1 : n;
    plan.n_out = plan.fan_in ? 1 : n;
    plan.qos = (int)strtol(argv[3], NULL, 10);
    plan.size = strtoul(argv[5], NULL, 10);
    plan.window = strtoul(argv[4], NULL, 10) * plan.size;
    plan.seconds = strtod(argv[6], NULL);
    return n > 0 && plan.n_in + plan.n_out <= MAX && plan.size >= 8 && plan.window != 0;
}

int main(int argc, char **argv)
{
    if (!read_plan(argc, argv)) {
        fputs("Usage: mover fan-in|fan-out|pairs N QOS WINDOW SIZE SECONDS\n", stderr);
        return 1;
    }
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&any, sizeof any) != 0 || listen(listener, 4096) != 0) {
        die("listen");
    }
    pid_t child = fork();
    if (child == 0) {
        pin(0);
        connect_all(listener, true);
        serve();
        _exit(0);
    }
    pin(1);
    connect_all(listener, false);
    double seconds = drive();
    for (int i = 0; i < plan.n_in + plan.n_out; i++) {
        shutdown(fds[i], SHUT_WR);
    }
    for (ssize_t got = 1; got > 0;) {
        got = recv(fds[plan.n_in], buffer, BUFFER, 0); /* so that the server's last writes end */
    }
    struct rusage use;
    if (child < 0 || kill(child, SIGKILL) != 0 || wait4(child, NULL, 0, &use) != child) {
        die("wait");
    }
    double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                 (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
    double messages = (double)delivered / (double)plan.size;
    printf("%.0f %.0f\n", cpu > 0 ? messages / cpu : 0, messages / seconds);
    return 0;
}
