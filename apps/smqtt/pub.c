/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt pub: as mosquitto_pub; with --to sealed, and done only when the server has confirmed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/span.h"
#include "base/utf8.h"
#include "commands.h"
#include "endpoint.h"
#include "net/clock.h"
#include "payload.h"
#include "run.h"
#include "say.h"
#include "settings.h"

/* GRACE_MS: a handshake that fails in time knows better why. */
enum { LINE_ROOM = 65536, WAITING_MAX = 256, GRACE_MS = 250 };

struct pub {
    struct opts opts;
    struct payload payload;
    bool sealed;
    bool all_read;  /* no further message will come */
    bool started;   /* connected before */
    uint32_t left;  /* of --repeat */
    size_t waiting; /* published, not finished */
    size_t confirmed;
    char *line; /* -l: what was read and is not yet a line */
    size_t line_len, line_cap;
};

static void usage(void)
{
    puts("Usage: smqtt pub [-h HOST] -t TOPIC (-m TEXT | -f FILE | -l | -s | -n) [--to SERVER.pub] [flags]\n\n"
         "Publishes a message. With --to it is sealed for that server, and the exit code is 0 only when the server\n"
         "has confirmed that it holds exactly what was sent.\n");
    opts_print(OPTS_P);
    puts(props_help);
    puts("\nExamples:\n"
         "  smqtt pub -t sensors/1 -m 21.5\n"
         "  smqtt pub -t sensors/1 -m 21.5 --to server.pub\n"
         "  smqtt pub -t sensors/1 -f picture.jpg --to server.pub --identity device.id\n"
         "  tail -f log | smqtt pub -t log -l --to server.pub");
}

/** The one publication: sealed or plain. */
static void publish(struct run *run, struct smqtt_span payload)
{
    struct pub *p = run->ctx;
    struct smqtt_publish_options options = {.qos = p->opts.qos, .retain = p->opts.retain, .receipt = p->sealed};
    options.props = props_span(&p->opts.props[PROPS_PUBLISH]);
    options.text = !p->opts.binary && smq_utf8_ok(payload, SMQ_TEXT_WELLFORMED);
    for (size_t i = 0; i < p->opts.topics.n; i++) {
        struct smqtt_span topic = smq_span_str(p->opts.topics.item[i]);
        smqtt_err err = p->sealed
                            ? smqtt_client_publish_sealed(run->client, topic, payload, &options, NULL, smq_clock_now())
                            : smqtt_client_publish(run->client, topic, payload, &options, NULL, smq_clock_now());
        if (err != SMQTT_OK) {
            say("nothing was published on '%s': %s.", p->opts.topics.item[i], smqtt_strerror(err));
            run_stop(run, EXIT_FAILED);
            return;
        }
        p->waiting++;
    }
}

static void finish_if_done(struct run *run)
{
    struct pub *p = run->ctx;
    if (p->all_read && p->waiting == 0) {
        run_stop(run, EXIT_OK);
    }
}

/** --receipt-timeout counts from the last sign of life. */
static void expect_receipt(struct run *run)
{
    struct pub *p = run->ctx;
    if (p->sealed && p->waiting != 0) {
        run->at = smq_clock_now().mono + p->opts.receipt_timeout + GRACE_MS;
    }
}

static void publish_next(struct run *run)
{
    struct pub *p = run->ctx;
    do {
        publish(run, smq_span_of(p->payload.bytes, p->payload.len));
        p->left--;
    } while (p->left != 0 && p->opts.repeat_delay == 0 && p->waiting < WAITING_MAX && !run->stop);
    p->all_read = p->left == 0;
    expect_receipt(run);
    if (!p->all_read && p->opts.repeat_delay != 0) {
        run->at = smq_clock_now().mono + p->opts.repeat_delay;
    }
}

static void on_connected(struct run *run, const struct smqtt_client_event *event)
{
    struct pub *p = run->ctx;
    if (p->sealed && !event->native_detect && !event->tunnel) {
        return; /* the client says so itself: event SECURE */
    }
    if (p->opts.stdin_line) {
        run->watch_input = !p->all_read && p->waiting < WAITING_MAX;
    } else if (p->left != 0) {
        publish_next(run);
    }
    finish_if_done(run);
}

/** A message is through: PUBLISHED when plain, RECEIPT when sealed. */
static void one_done(struct run *run)
{
    struct pub *p = run->ctx;
    p->waiting -= p->waiting != 0 ? 1 : 0;
    expect_receipt(run);
    if (p->left != 0 && p->opts.repeat_delay == 0 && !p->opts.stdin_line && p->waiting < WAITING_MAX / 2) {
        publish_next(run);
    }
    run->watch_input = p->opts.stdin_line && !p->all_read && p->waiting < WAITING_MAX;
    finish_if_done(run);
}

static void on_secure(struct run *run, const struct smqtt_client_event *event)
{
    struct pub *p = run->ctx;
    const struct smqtt_secure_event *ev = &event->secure;
    if (run->stop) {
        return; /* what went wrong has been said */
    }
    if (ev->type == SMQTT_EV_DESCRIPTOR) {
        endpoint_on_descriptor(&p->opts, ev);
    } else if (ev->type == SMQTT_EV_CLOSED) {
        endpoint_say_failure(ev->err, ev->status, event->reason);
        run_stop(run, EXIT_NOT_CONFIRMED);
    } else if (ev->type == SMQTT_EV_RECEIPT && event->token != 0) {
        if (ev->status == SMQTT_STATUS_OK && ev->flag == 1) {
            p->confirmed++;
            one_done(run);
        } else {
            endpoint_say_failure(SMQTT_E_REFUSED, ev->status, 0);
            run_stop(run, EXIT_NOT_CONFIRMED);
        }
    } else if (ev->type == SMQTT_EV_OPEN) {
        expect_receipt(run); /* the handshake's own timer is over */
        if (p->opts.progress) {
            fprintf(stderr, "session open%s\n", ev->confirmed ? ", confirmed" : "");
        }
    }
}

/** A message of -l survives a lost connection: it is sent over the next one. All others are done in one. */
static void on_closed(struct run *run, const struct smqtt_client_event *event)
{
    struct pub *p = run->ctx;
    if (run->stop) {
        return;
    }
    const char *why = event->reason != 0 ? run_reason(run->version, event->reason) : "";
    if (run->reconnect && p->started) {
        say("the connection was lost%s%s; it is made again.", event->reason != 0 ? ": " : "", why);
        return;
    }
    say("the broker ended the connection before everything was %s%s%s.", p->sealed ? "confirmed" : "published",
        event->reason != 0 ? ": " : "", why);
    run->exit_code = p->sealed ? EXIT_NOT_CONFIRMED : EXIT_LOST;
    run->stop = true;
}

static void on_published(struct run *run, const struct smqtt_client_event *event)
{
    struct pub *p = run->ctx;
    if (event->token == 0) {
        return;
    }
    if (event->reason >= 0x80) {
        say("the broker did not take the message: %s.", run_reason(SMQTT_V5, event->reason));
    }
    if (p->sealed && event->reason >= 0x80) {
        run_stop(run, EXIT_NOT_CONFIRMED);
    } else if (!p->sealed) {
        one_done(run); /* refused or not: it was said, and the exit code is that of mosquitto_pub */
    }
}

static void on_event(struct run *run, const struct smqtt_client_event *event)
{
    struct pub *p = run->ctx;
    switch (event->type) {
    case SMQTT_CLIENT_CONNECTED:
        on_connected(run, event);
        p->started = true;
        break;
    case SMQTT_CLIENT_REFUSED:
        run_refused(run, event);
        break;
    case SMQTT_CLIENT_CLOSED:
        on_closed(run, event);
        break;
    case SMQTT_CLIENT_PUBLISHED:
        on_published(run, event);
        break;
    case SMQTT_CLIENT_SECURE:
        on_secure(run, event);
        break;
    case SMQTT_CLIENT_MESSAGE:
    case SMQTT_CLIENT_SUBSCRIBED:
    case SMQTT_CLIENT_UNSUBSCRIBED:
    case SMQTT_CLIENT_QUARANTINED:
    case SMQTT_CLIENT_NONE:
        break;
    }
}

static void on_deadline(struct run *run)
{
    struct pub *p = run->ctx;
    if (p->left != 0 && p->opts.repeat_delay != 0) {
        publish_next(run);
        return;
    }
    if (p->sealed && p->waiting != 0) {
        say("the server did not confirm within %u ms; the broker may hold the message back, or the server may be down: "
            "send it again, or allow more with --receipt-timeout.",
            p->opts.receipt_timeout);
        run_stop(run, EXIT_NOT_CONFIRMED);
    }
}

/** Publishes the whole lines that are in the buffer. */
static void take_lines(struct run *run)
{
    struct pub *p = run->ctx;
    size_t from = 0;
    char *end = NULL;
    while (from < p->line_len && (end = memchr(p->line + from, '\n', p->line_len - from)) != NULL) {
        publish(run, smq_span_of(p->line + from, (size_t)(end - (p->line + from))));
        from = (size_t)(end - p->line) + 1;
    }
    p->line_len -= from;
    memmove(p->line, p->line + from, p->line_len);
}

static void on_input(struct run *run)
{
    struct pub *p = run->ctx;
    if (p->line_cap - p->line_len < LINE_ROOM) {
        char *more = p->line_cap < FILE_MAX ? realloc(p->line, p->line_cap + 2 * LINE_ROOM) : NULL;
        if (more == NULL) {
            say("a line of standard input is longer than %d bytes: use -s or -f for it.", FILE_MAX);
            run_stop(run, EXIT_FAILED);
            return;
        }
        p->line = more;
        p->line_cap += 2 * LINE_ROOM;
    }
    ssize_t n = read(STDIN_FILENO, p->line + p->line_len, LINE_ROOM);
    if (n > 0) {
        p->line_len += (size_t)n;
        take_lines(run);
    } else if (n == 0) {
        if (p->line_len != 0) {
            publish(run, smq_span_of(p->line, p->line_len));
            p->line_len = 0;
        }
        p->all_read = true;
    }
    run->watch_input = !p->all_read && p->waiting < WAITING_MAX;
    expect_receipt(run);
    finish_if_done(run);
}

static bool check(struct pub *p)
{
    struct opts *o = &p->opts;
    p->sealed = o->to != NULL;
    if (!payload_check(o)) {
        return false;
    }
    if (say_called_as() != NULL && o->topics.n > 1) { /* there the last one counts */
        o->topics.item[0] = o->topics.item[o->topics.n - 1];
        o->topics.n = 1;
    }
    if (p->sealed && o->props[PROPS_PUBLISH].len != 0) {
        say("properties of a sealed message would travel in plain: leave -D publish out.");
        return false;
    }
    if (p->sealed && (o->retain || o->will_topic != NULL)) {
        say("%s cannot be sealed for a server, and is never sent in plain instead: leave %s out.",
            o->retain ? "a retained message" : "a will", o->retain ? "-r" : "--will-topic");
        return false;
    }
    if (!p->sealed && (o->trust_first_use || o->known != NULL || o->revoked.n != 0)) {
        say("--trust-first-use, --known and --revoked are about a server, but nothing is sealed: name it with --to.");
        return false;
    }
    if (!p->sealed && o->identity != NULL) {
        say("--identity says who seals, but nothing is sealed: name the server with --to.");
        return false;
    }
    o->qos = p->sealed && !o->qos_given ? 1 : o->qos;
    return payload_read(o, &p->payload);
}

static int run_pub(struct pub *p)
{
    static const struct run_hooks hooks = {.event = on_event, .input = on_input, .deadline = on_deadline};
    struct run r = {.hooks = &hooks, .ctx = p, .at = SMQTT_NEVER};
    if (!check(p) || !settings_client(&r, &p->opts, p->sealed, p->sealed ? SMQTT_V5 : SMQTT_V311)) {
        return EXIT_FAILED;
    }
    r.reconnect = p->opts.stdin_line;
    p->left = p->opts.stdin_line ? 0 : p->opts.repeat;
    if (p->sealed) {
        struct smqtt_sealer *sealer = endpoint_sealer(&p->opts, r.client_id);
        if (sealer == NULL || smqtt_client_attach_sealer(r.client, sealer) != SMQTT_OK) {
            smqtt_sealer_free(sealer);
            smqtt_client_free(r.client);
            return EXIT_FAILED;
        }
        smqtt_client_set_path(r.client, endpoint_path(&p->opts));
    }
    return run(&r);
}

int command_pub(int argc, char **argv)
{
    static struct pub p;
    if (!opts_read(&p.opts, OPTS_P, argc, argv, 2)) {
        return EXIT_FAILED;
    }
    if (p.opts.show_version) {
        return say_version();
    }
    if (p.opts.help) {
        usage();
        return say_help_code();
    }
    say_quiet(p.opts.quiet);
    int code = run_pub(&p);
    payload_free(&p.payload);
    free(p.line);
    return code;
}
