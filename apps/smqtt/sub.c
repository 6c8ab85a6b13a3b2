/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt sub: as mosquitto_sub; with --identity it is the server that opens what was sealed for it, and prints nothing
 * else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <smqtt/system.h>

#include "base/log.h"
#include "base/span.h"
#include "codec/topic.h"
#include "commands.h"
#include "endpoint.h"
#include "fmt.h"
#include "net/clock.h"
#include "removed.h"
#include "run.h"
#include "say.h"
#include "serve.h"
#include "settings.h"

enum { NAME_SHOWN = 512 };

struct sub {
    struct opts opts;
    bool opener;
    bool subscribed;
    bool ending; /* as soon as what is to be removed has been */
    struct removed removed;
    uint32_t printed;
    uint64_t refused, plain;
};

static void usage(void)
{
    puts(
        "Usage: smqtt sub [-h HOST] -t FILTER [-t FILTER ...] [--identity SERVER.id] [flags]\n\n"
        "Prints the messages that come. With --identity it is that server: it opens what was sealed for it and prints\n"
        "nothing else; what came in plain, or for somebody else, is counted and summarised on standard error.\n");
    opts_print(OPTS_S);
    puts(fmt_help);
    puts(props_help);
    puts("\nExamples:\n"
         "  smqtt sub -t '#' -v\n"
         "  smqtt sub -t 'sensors/#' --identity server.id -F '%Z %z %t %p'\n"
         "  smqtt sub -t 'sensors/#' --identity server.id --clients devices.pub -C 1 -W 60");
}

static void subscribe(struct run *run)
{
    struct sub *s = run->ctx;
    static struct smqtt_subscription list[OPTS_LIST_MAX];
    uint8_t options = (uint8_t)(s->opts.qos | (s->opts.retain_as_published ? 8 : 0));
    if (run->version == SMQTT_V5 && s->opts.no_retained) {
        options |= 0x20; /* retain handling 2: send none */
    }
    for (size_t i = 0; i < s->opts.topics.n; i++) {
        list[i] = (struct smqtt_subscription){smq_span_str(s->opts.topics.item[i]), options};
    }
    smqtt_err err = smqtt_client_subscribe_props(run->client, list, s->opts.topics.n,
                                                 props_span(&s->opts.props[PROPS_SUBSCRIBE]), NULL, smq_clock_now());
    for (size_t i = 0; err == SMQTT_OK && i < s->opts.unsubscribe.n; i++) {
        struct smqtt_span away = smq_span_str(s->opts.unsubscribe.item[i]);
        err = smqtt_client_unsubscribe_props(run->client, &away, 1, props_span(&s->opts.props[PROPS_UNSUBSCRIBE]), NULL,
                                             smq_clock_now());
    }
    if (err != SMQTT_OK) {
        say("the subscription was not made: %s.", smqtt_strerror(err));
        run_stop(run, EXIT_FAILED);
    }
}

static bool filtered_out(const struct sub *s, struct smqtt_span topic)
{
    for (size_t i = 0; i < s->opts.filter_out.n; i++) {
        if (smq_topic_match(smq_span_str(s->opts.filter_out.item[i]), topic)) {
            return true;
        }
    }
    return false;
}

/** --random-filter: is this one of those to be printed? */
static bool is_picked(const struct sub *s)
{
    struct smqtt_rng rng = smqtt_system_rng();
    uint32_t number = 0;
    return s->opts.random_filter >= 1000 ||
           (rng.fill(rng.ctx, (uint8_t *)&number, sizeof(number)) && number % 1000 < s->opts.random_filter);
}

/** Ends, but not before the broker has taken what removes retained messages. */
static void end(struct run *run)
{
    struct sub *s = run->ctx;
    s->ending = true;
    if (smqtt_client_unfinished(run->client) == 0) {
        run_stop(run, EXIT_OK);
    }
}

static void remove_retained(struct run *run, smq_span topic)
{
    struct sub *s = run->ctx;
    struct smqtt_publish_options options = {.qos = 1, .retain = true};
    smqtt_err err =
        smqtt_client_publish(run->client, topic, (struct smqtt_span){NULL, 0}, &options, NULL, smq_clock_now());
    if (err != SMQTT_OK) {
        say("a retained message was not removed: %s.", smqtt_strerror(err));
    } else {
        (void)removed_add(&s->removed, topic);
    }
}

static void on_message(struct run *run, const struct smqtt_client_event *event)
{
    struct sub *s = run->ctx;
    if (run->stop || s->ending || removed_is_echo(&s->removed, event->topic, event->payload)) {
        return;
    }
    if (s->opts.retained_only && !event->retain) {
        end(run);
        return;
    }
    if (filtered_out(s, event->topic)) {
        return;
    }
    if (s->opts.remove_retained && event->retain && event->payload.len != 0) {
        remove_retained(run, event->topic);
    }
    if (event->retain && s->opts.no_retained) {
        return;
    }
    if (is_picked(s)) {
        fmt_print(&s->opts, event);
    }
    s->printed++;
    if (ferror(stdout) != 0 || (s->opts.count != 0 && s->printed >= s->opts.count)) {
        end(run);
    }
}

static void on_subscribed(struct run *run, const struct smqtt_client_event *event)
{
    struct sub *s = run->ctx;
    bool all_refused = event->codes.len != 0;
    for (size_t i = 0; i < event->codes.len; i++) {
        bool refused = event->codes.data[i] >= 0x80;
        all_refused = all_refused && refused;
        if (refused && i < s->opts.topics.n) {
            say("the broker refused the subscription to '%s': %s.", s->opts.topics.item[i],
                run->version == SMQTT_V5 ? run_reason(SMQTT_V5, event->codes.data[i]) : "not allowed");
        }
    }
    s->subscribed = true;
    trace_subscribed(&run->trace, event->codes);
    if (s->opts.progress) {
        fprintf(stderr, "subscribed\n");
    }
    if (all_refused) {
        say("All subscription requests were denied.");
    }
    if (all_refused || s->opts.exit_subscribed) {
        run_stop(run, EXIT_OK);
    }
}

static void on_secure(struct run *run, const struct smqtt_client_event *event)
{
    struct sub *s = run->ctx;
    const struct smqtt_secure_event *ev = &event->secure;
    switch (ev->type) {
    case SMQTT_EV_REGISTERED:
        if (ev->status != 0 && event->tunnel) {
            say("the broker does not let this server subscribe to what its clients send (%s): allow it to read "
                "smqtt1/+/c/+ and to write smqtt1/+/s/+, smqtt1/+/n/+ and smqtt1/+/d.",
                run_reason(run->version, ev->status));
            run_stop(run, EXIT_FAILED);
        } else if (ev->err == SMQTT_E_DELAY) {
            say("the broker announces DETECT, but has not answered the registration of this server for 10 s: no client "
                "can reach it so; with --tunnel it goes without the broker's help.");
        } else if (ev->status != 0) {
            say("the broker did not register this server: another one with the same identity is connected, or the "
                "identity is not valid now.");
            run_stop(run, EXIT_FAILED);
        } else if (s->opts.progress) {
            fprintf(stderr, "registered as server%s\n", event->tunnel ? " (tunnel)" : "");
        }
        break;
    case SMQTT_EV_CLOSED:
        if (ev->err == SMQTT_E_REFUSED && s->opener && !s->subscribed) {
            say("this broker does not announce DETECT: leave --native out, then it goes through the tunnel.");
            run_stop(run, EXIT_FAILED);
        }
        serve_say_closed(ev);
        break;
    case SMQTT_EV_REFUSED:
        s->refused++;
        s->plain += ev->err == SMQTT_E_PLAINTEXT ? 1 : 0;
        if (s->opts.progress) {
            fprintf(stderr, "refused: %s\n", smqtt_strerror(ev->err));
        }
        break;
    case SMQTT_EV_OPEN:
        if (s->opts.progress) {
            char name[NAME_SHOWN];
            smq_text_escape(name, sizeof name,
                            smq_span_str(ev->peer_name != NULL ? ev->peer_name : "an anonymous client"));
            fprintf(stderr, "session opened by %s\n", name);
        }
        break;
    case SMQTT_EV_NONE:
    case SMQTT_EV_DETECT:
    case SMQTT_EV_PUBLISH:
    case SMQTT_EV_SUBSCRIBE:
    case SMQTT_EV_UNSUBSCRIBE:
    case SMQTT_EV_STEP:
    case SMQTT_EV_LOST:
    case SMQTT_EV_RECEIPT:
    case SMQTT_EV_MESSAGE:
    case SMQTT_EV_DESCRIPTOR:
        break;
    }
}

static void on_event(struct run *run, const struct smqtt_client_event *event)
{
    struct sub *s = run->ctx;
    switch (event->type) {
    case SMQTT_CLIENT_CONNECTED:
        subscribe(run);
        break;
    case SMQTT_CLIENT_REFUSED:
        run_refused(run, event);
        break;
    case SMQTT_CLIENT_CLOSED:
        if (!run->stop && event->reason != 0) {
            say("the broker ended the connection: %s.", run_reason(run->version, event->reason));
        }
        break;
    case SMQTT_CLIENT_MESSAGE:
        on_message(run, event);
        break;
    case SMQTT_CLIENT_SUBSCRIBED:
        on_subscribed(run, event);
        break;
    case SMQTT_CLIENT_SECURE:
        on_secure(run, event);
        break;
    case SMQTT_CLIENT_PUBLISHED:
        if (s->ending) {
            end(run);
        }
        break;
    case SMQTT_CLIENT_UNSUBSCRIBED:
    case SMQTT_CLIENT_QUARANTINED:
    case SMQTT_CLIENT_NONE:
        break;
    }
}

static void on_deadline(struct run *run)
{
    struct sub *s = run->ctx;
    if (s->opts.timeout != 0) {
        run_stop_with_will(run, EXIT_TIMEOUT);
        if (!s->opts.quiet) {
            fputs("Timed out\n", stderr);
        }
    }
}

static void on_hangup(struct run *run)
{
    const struct sub *s = run->ctx;
    if (!serve_read_revoked_again(&s->opts)) {
        run_stop(run, EXIT_FAILED);
    }
}

static bool are_filters(const struct opts_list *list, const char *flag)
{
    for (size_t i = 0; i < list->n; i++) {
        if (!smq_topic_filter_ok(smq_span_str(list->item[i]), 0)) {
            say("'%s' of %s is not a topic filter: + has to be a whole level and # the last one.", list->item[i], flag);
            return false;
        }
    }
    return true;
}

static bool check(struct sub *s)
{
    struct opts *o = &s->opts;
    s->opener = o->identity != NULL;
    if (o->topics.n == 0) {
        say("there is no topic: say with -t what to subscribe to.");
        return false;
    }
    if (o->n_args != 0) {
        say("'%s' is no flag: quote what has spaces or * in it.", o->args[0]);
        return false;
    }
    if (o->no_retained && o->retained_only) {
        say("-R prints no retained messages and --retained-only nothing else: leave one of them out.");
        return false;
    }
    if (!are_filters(&o->topics, "-t") || !are_filters(&o->filter_out, "-T") || !are_filters(&o->unsubscribe, "-U")) {
        return false;
    }
    for (size_t i = 0; i < o->topics.n && s->opener; i++) {
        struct smqtt_span group;
        struct smqtt_span rest;
        if (smq_topic_split_share(smq_span_str(o->topics.item[i]), &group, &rest)) {
            say("a shared subscription gives each message to one of several, but a sealed one is for one server: "
                "subscribe to the filter without $share.");
            return false;
        }
    }
    if (!s->opener &&
        (o->charset != NULL || o->clients != NULL || o->state != NULL || o->previous.n != 0 || o->revoked.n != 0)) {
        say("--charset, --clients, --state, --previous and --revoked belong to a server: say which one with "
            "--identity.");
        return false;
    }
    o->qos = s->opener && !o->qos_given ? 1 : o->qos;
    return fmt_check(o->format != NULL ? o->format : "%p");
}

static int run_sub(struct sub *s)
{
    static const struct run_hooks plain = {.event = on_event, .deadline = on_deadline};
    static const struct run_hooks server = {.event = on_event, .deadline = on_deadline, .hangup = on_hangup};
    struct run r = {.hooks = s->opts.identity != NULL && s->opts.revoked.n != 0 ? &server : &plain,
                    .ctx = s,
                    .at = SMQTT_NEVER,
                    .reconnect = true,
                    .graceful = true};
    if (!check(s) || !settings_client(&r, &s->opts, s->opener, s->opener ? SMQTT_V5 : SMQTT_V311)) {
        return EXIT_FAILED;
    }
    if (s->opener) {
        if (!serve_attach(&s->opts, r.client)) {
            smqtt_client_free(r.client);
            serve_close();
            return EXIT_FAILED;
        }
        smqtt_client_set_path(r.client, endpoint_path(&s->opts));
    }
    if (s->opts.timeout != 0) {
        r.at = smq_clock_now().mono + (smqtt_ms)s->opts.timeout * 1000;
    }
    static const uint8_t unknown[16];
    uint8_t key[16];
    struct smqtt_rng rng = smqtt_system_rng();
    removed_init(&s->removed, rng.fill(rng.ctx, key, sizeof(key)) ? key : unknown);
    int code = run(&r);
    removed_deinit(&s->removed);
    serve_close();
    if (s->refused != 0) {
        say("%llu messages were not printed: %llu in plain, %llu that did not open or were refused.",
            (unsigned long long)s->refused, (unsigned long long)s->plain, (unsigned long long)(s->refused - s->plain));
    }
    return code;
}

int command_sub(int argc, char **argv)
{
    static struct sub s;
    if (!opts_read(&s.opts, OPTS_S, argc, argv, 2)) {
        return EXIT_FAILED;
    }
    if (s.opts.show_version) {
        return say_version();
    }
    if (s.opts.help) {
        usage();
        return say_help_code();
    }
    say_quiet(s.opts.quiet);
    return run_sub(&s);
}
