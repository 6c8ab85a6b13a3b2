/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/span.h"
#include "codec/packet.h"
#include "codec/reason.h"
#include "net/clock.h"
#include "say.h"

/* BAD_VERSION: what the library makes of the refusal of a broker that knows 3.x only. SESSION_EXPIRY: the property. */
enum {
    BAD_VERSION = 0x84,
    SESSION_EXPIRY = 0x11,
    CONNECT_WAIT_MS = 10000,
    READ_SIZE = 65536,
    PAUSE_MS = 1000,
    PAUSE_MAX_MS = 30000
};

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t hung_up;
static int wake[2] = {-1, -1}; /* a pipe: the signal may come between a look at `interrupted` and poll */

static void on_signal(int sig)
{
    (void)sig;
    int saved = errno;
    interrupted = 1;
    ssize_t n = write(wake[1], "", 1);
    (void)n; /* full: there is a byte in it */
    errno = saved;
}

/* A terminal that is gone ends the program as before; what kill(1) sends asks for the files to be read again. */
static void on_hangup(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code == SI_KERNEL) {
        on_signal(sig);
        return;
    }
    int saved = errno;
    hung_up = 1;
    ssize_t n = write(wake[1], "", 1);
    (void)n;
    errno = saved;
}

static void catch_hangup(void)
{
    struct sigaction action = {.sa_sigaction = on_hangup, .sa_flags = SA_SIGINFO};
    sigaction(SIGHUP, &action, NULL);
}

void run_catch_signals(void)
{
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0) {
        wake[0] = wake[1] = -1; /* a signal that comes in a bad moment has to be sent again */
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int run_poll(struct pollfd *p, unsigned n, int timeout_ms)
{
    struct pollfd all[RUN_POLL_MAX + 1];
    char byte;
    n = n < RUN_POLL_MAX ? n : RUN_POLL_MAX;
    for (unsigned i = 0; i < n; i++) {
        all[i] = p[i];
    }
    all[n] = (struct pollfd){wake[0], POLLIN, 0};
    int ready = poll(all, n + 1, timeout_ms);
    for (unsigned i = 0; i < n; i++) {
        p[i].revents = all[i].revents;
    }
    if (ready > 0 && all[n].revents != 0 && read(wake[0], &byte, 1) == 1) {
        errno = EINTR;
        return -1;
    }
    return ready;
}

bool run_is_interrupted(void)
{
    return interrupted != 0;
}

bool run_take_interrupt(void)
{
    bool was = interrupted != 0;
    interrupted = 0;
    return was;
}

const char *run_reason(enum smqtt_version version, uint8_t reason)
{
    static const char *const v3[] = {"Connection Accepted",
                                     "Connection Refused: unacceptable protocol version",
                                     "Connection Refused: identifier rejected",
                                     "Connection Refused: broker unavailable",
                                     "Connection Refused: bad user name or password",
                                     "Connection Refused: not authorised"};
    if (version == SMQTT_V5) {
        return smq_reason_text(reason);
    }
    return reason < SMQ_ARRAY_LEN(v3) ? v3[reason] : "Connection Refused: unknown reason";
}

void run_refused(struct run *run, const struct smqtt_client_event *event)
{
    run->older = run->steps_down && event->reason == BAD_VERSION;
    if (!run->older) {
        say("the broker refused the connection: %s.", run_reason(run->version, event->reason));
    }
    run->exit_code = event->reason != 0 ? event->reason : EXIT_FAILED;
    run->stop = true;
}

/* ---------------------------------------------------------------- moving bytes */

/** False when the connection has ended. */
static bool write_out(struct run *run)
{
    struct smqtt_span out = smqtt_client_output(run->client);
    trace_output(&run->trace, out);
    while (out.len != 0) {
        ssize_t n = transport_write(&run->transport, out.data, out.len);
        if (n == TRANSPORT_AGAIN) {
            return true;
        }
        if (n < 0) {
            smqtt_client_lost(run->client, SMQTT_E_IO, smq_clock_now());
            return false;
        }
        trace_sent(&run->trace, (size_t)n);
        smqtt_client_sent(run->client, (size_t)n, smq_clock_now());
        out = smqtt_client_output(run->client);
    }
    return true;
}

/** DISCONNECT goes behind what the last events asked for, as the receipt of the last message. */
static void leave(struct run *run)
{
    static const uint8_t session_over[] = {SESSION_EXPIRY, 0, 0, 0, 0};
    smq_span props = props_span(&run->opts->props[PROPS_DISCONNECT]);
    run->leaves = false;
    if (run->ends_session && !run->older && props.len == 0) {
        props = smq_span_of(session_over, sizeof(session_over));
    }
    smqtt_err err = smqtt_client_disconnect_props(run->client, run->leave_reason, props, smq_clock_now());
    (void)err; /* not connected any more: then there is nothing to say goodbye to */
}

static void pull_events(struct run *run)
{
    struct smqtt_client_event event;
    while (smqtt_client_next(run->client, &event)) {
        run->connected = run->connected || event.type == SMQTT_CLIENT_CONNECTED;
        trace_output(&run->trace, smqtt_client_output(run->client));
        if (event.type == SMQTT_CLIENT_QUARANTINED) {
            aside_note(&run->aside, run->opts, &event);
            continue;
        }
        if (event.type == SMQTT_CLIENT_CLOSED && run->opts->strict && aside_is_reason(event.err) && !run->stop) {
            say("the broker sent a string that MQTT does not allow (%s): the connection was ended, as --strict wants "
                "it; without that flag such messages are put aside.",
                smqtt_strerror(event.err));
            run->stop = true;
            run->exit_code = EXIT_FAILED;
        }
        run->hooks->event(run, &event);
    }
    if (run->leaves) {
        leave(run);
    }
}

/** With -d: packet by packet, so that each is told before what it does. */
static void feed_traced(struct run *run, smq_span bytes)
{
    if (smq_bytebuf_append(&run->raw, bytes) != SMQTT_OK) {
        smqtt_client_lost(run->client, SMQTT_E_NOMEM, smq_clock_now());
        return;
    }
    smq_span rest = smq_bytebuf_span(&run->raw);
    size_t size = 0;
    while (!run->stop && (size = trace_input(&run->trace, rest)) != 0) {
        smqtt_client_feed(run->client, smq_span_of(rest.data, size), smq_clock_now());
        smq_bytebuf_consume(&run->raw, size);
        pull_events(run);
        rest = smq_bytebuf_span(&run->raw);
    }
}

/** False when the connection has ended. */
static bool read_in(struct run *run)
{
    static uint8_t buf[READ_SIZE];
    ssize_t n = transport_read(&run->transport, buf, sizeof(buf));
    if (n > 0) {
        if (run->trace.on) {
            feed_traced(run, smq_span_of(buf, (size_t)n));
        } else {
            smqtt_client_feed(run->client, smq_span_of(buf, (size_t)n), smq_clock_now());
        }
        return true;
    }
    if (n == TRANSPORT_AGAIN) {
        return true;
    }
    smqtt_client_lost(run->client, SMQTT_E_IO, smq_clock_now());
    return false;
}

/* ---------------------------------------------------------------- turning */

static void stop(struct run *run, int exit_code, uint8_t reason)
{
    if (run->stop) {
        return;
    }
    run->stop = true;
    run->exit_code = exit_code;
    run->leaves = true;
    run->leave_reason = reason;
}

void run_stop(struct run *run, int exit_code)
{
    stop(run, exit_code, 0);
}

void run_stop_with_will(struct run *run, int exit_code)
{
    stop(run, exit_code, run->version == SMQTT_V5 ? 4 : 0);
}

static int poll_timeout(const struct run *run, smqtt_ms until)
{
    smqtt_ms now = smq_clock_now().mono;
    smqtt_ms at = smqtt_client_deadline(run->client);
    at = run->at < at ? run->at : at;
    at = until < at ? until : at;
    if (at == SMQTT_NEVER) {
        return -1;
    }
    return at <= now ? 0 : (int)(at - now > 60000 ? 60000 : at - now);
}

/** What the clock and a signal ask for. */
static void keep_time(struct run *run)
{
    struct smqtt_now now = smq_clock_now();
    smqtt_client_tick(run->client, now);
    if (run->at <= now.mono && !run->stop) {
        run->at = SMQTT_NEVER;
        run->hooks->deadline(run);
    }
    if (interrupted) {
        run_stop_with_will(run, EXIT_OK);
    }
    if (hung_up && !run->stop) {
        hung_up = 0;
        run->hooks->hangup(run);
    }
}

/** One turn; false when the connection is over. */
static bool turn(struct run *run)
{
    pull_events(run);
    if (!write_out(run)) {
        pull_events(run);
        return false;
    }
    bool has_output = smqtt_client_output(run->client).len != 0;
    if (smqtt_client_wants_close(run->client) || (run->stop && !has_output)) {
        return false;
    }
    bool input = run->hooks->input != NULL && run->watch_input && !run->stop;
    struct pollfd p[2] = {{run->transport.fd, transport_events(&run->transport, has_output), 0},
                          {input ? STDIN_FILENO : -1, POLLIN, 0}};
    int n = run_poll(p, 2, poll_timeout(run, SMQTT_NEVER));
    bool alive = true;
    if (n > 0 && p[0].revents != 0) {
        alive = read_in(run);
    }
    if (n > 0 && input && (p[1].revents & (POLLIN | POLLHUP)) != 0) {
        run->hooks->input(run);
    }
    keep_time(run);
    if (!alive) {
        pull_events(run);
    }
    return alive;
}

/** Connects and turns until the connection ends. False when there was none. */
static bool connect_and_turn(struct run *run)
{
    smqtt_ms until = smq_clock_now().mono + CONNECT_WAIT_MS;
    run->connected = false;
    if (!transport_open(&run->transport, run->opts, run->at < until ? run->at : until)) {
        return false;
    }
    smqtt_err err = smqtt_client_connect(run->client, smq_clock_now());
    if (err != SMQTT_OK) {
        say("CONNECT cannot be sent: %s.", smqtt_strerror(err));
        transport_close(&run->transport);
        run->reconnect = false;
        return false;
    }
    trace_connect(&run->trace, run->version, run->client_id);
    smq_bytebuf_deinit(&run->raw);
    while (turn(run)) {
    }
    transport_close(&run->transport);
    smqtt_client_lost(run->client, SMQTT_OK, smq_clock_now());
    pull_events(run);
    return true;
}

/** Waits before it connects again, longer each time, unless the connection before was a good one. */
static void pause_a_while(struct run *run, smqtt_ms *pause)
{
    *pause = run->connected || *pause == 0 ? PAUSE_MS : *pause * 2;
    *pause = *pause < PAUSE_MAX_MS ? *pause : PAUSE_MAX_MS;
    smqtt_ms until = smq_clock_now().mono + *pause;
    while (!run->stop && smq_clock_now().mono < until) {
        run_poll(NULL, 0, poll_timeout(run, until));
        keep_time(run);
    }
}

int run(struct run *run)
{
    if (run->graceful) {
        run_catch_signals();
    }
    if (run->hooks->hangup != NULL) {
        catch_hangup();
    }
    run->trace.on = run->opts->debug;
    smq_bytebuf_init(&run->raw, NULL, SIZE_MAX / 4);
    run->exit_code = EXIT_FAILED;
    bool connected = connect_and_turn(run);
    if (connected && run->older && smqtt_client_set_version(run->client, SMQTT_V311) == SMQTT_OK) {
        run->version = SMQTT_V311;
        run->stop = run->steps_down = run->older = false;
        run->exit_code = EXIT_FAILED;
        connected = connect_and_turn(run);
    }
    if (connected && run->reconnect && !run->connected && !run->stop && tls_is_wanted(run->opts)) {
        say("the broker ended the first connection before it let us in: it may want a certificate, --cert and --key.");
        connected = false; /* a broker that refuses our certificate will do so again */
    }
    smqtt_ms pause = 0;
    while (run->reconnect && connected && !run->stop) {
        pause_a_while(run, &pause);
        if (!run->stop) {
            connect_and_turn(run);
        }
    }
    smq_bytebuf_deinit(&run->raw);
    aside_sum(run->client);
    smqtt_client_free(run->client);
    run->client = NULL;
    return run->exit_code;
}
