/* SPDX-License-Identifier: Apache-2.0 */
/* smqtt rr: as mosquitto_rr: a request, and the first message on the response topic. */
#include <stdio.h>

#include "base/span.h"
#include "codec/topic.h"
#include "commands.h"
#include "fmt.h"
#include "net/clock.h"
#include "payload.h"
#include "run.h"
#include "say.h"
#include "settings.h"

struct rr {
    struct opts opts;
    struct payload payload;
};

static void usage(void)
{
    puts("Usage: smqtt rr [-h HOST] -t TOPIC -e TOPIC (-m TEXT | -f FILE | -s | -n) [flags]\n\n"
         "Subscribes to the topic of -e, publishes a request on that of -t and prints the first message that comes: "
         "the\n"
         "response. In version 5 the request names the topic on which the response is awaited.\n");
    opts_print(OPTS_R);
    puts(fmt_help);
    puts(props_help);
    puts("\nExamples:\n"
         "  smqtt rr -t rooms/1/get -e rooms/1/answer -m temperature -W 5");
}

static void fail(struct run *run, const char *what, smqtt_err err)
{
    say("%s: %s.", what, smqtt_strerror(err));
    run_stop(run, EXIT_FAILED);
}

static void subscribe(struct run *run)
{
    struct rr *r = run->ctx;
    struct smqtt_subscription list = {smq_span_str(r->opts.response_topic), r->opts.qos};
    smqtt_err err = smqtt_client_subscribe_props(run->client, &list, 1, props_span(&r->opts.props[PROPS_SUBSCRIBE]),
                                                 NULL, smq_clock_now());
    if (err != SMQTT_OK) {
        fail(run, "the subscription was not made", err);
    }
}

static void on_subscribed(struct run *run, const struct smqtt_client_event *event)
{
    struct rr *r = run->ctx;
    if (event->codes.len == 0 || event->codes.data[0] >= 0x80) {
        say("the broker refused the subscription to '%s'.", r->opts.response_topic);
        run_stop(run, EXIT_OK);
        return;
    }
    struct smqtt_publish_options options = {.qos = r->opts.qos, .props = props_span(&r->opts.props[PROPS_PUBLISH])};
    smqtt_err err =
        smqtt_client_publish(run->client, smq_span_str(r->opts.topics.item[r->opts.topics.n - 1]),
                             smq_span_of(r->payload.bytes, r->payload.len), &options, NULL, smq_clock_now());
    if (err != SMQTT_OK) {
        fail(run, "the request was not published", err);
    }
}

static void on_message(struct run *run, const struct smqtt_client_event *event)
{
    struct rr *r = run->ctx;
    if (run->stop || (event->retain && r->opts.no_retained)) {
        return;
    }
    fmt_print(&r->opts, event);
    run_stop(run, EXIT_OK);
}

static void on_event(struct run *run, const struct smqtt_client_event *event)
{
    switch (event->type) {
    case SMQTT_CLIENT_CONNECTED:
        subscribe(run);
        break;
    case SMQTT_CLIENT_REFUSED:
        run_refused(run, event);
        break;
    case SMQTT_CLIENT_CLOSED:
        if (!run->stop) {
            say("the broker ended the connection before the response came%s%s.", event->reason != 0 ? ": " : "",
                event->reason != 0 ? run_reason(run->version, event->reason) : "");
            run->exit_code = EXIT_LOST;
            run->stop = true;
        }
        break;
    case SMQTT_CLIENT_MESSAGE:
        on_message(run, event);
        break;
    case SMQTT_CLIENT_SUBSCRIBED:
        on_subscribed(run, event);
        break;
    case SMQTT_CLIENT_PUBLISHED:
        if (event->reason >= 0x80) {
            say("the broker did not take the request: %s.", run_reason(SMQTT_V5, event->reason));
        }
        break;
    case SMQTT_CLIENT_UNSUBSCRIBED:
    case SMQTT_CLIENT_SECURE:
    case SMQTT_CLIENT_QUARANTINED:
    case SMQTT_CLIENT_NONE:
        break;
    }
}

static void on_deadline(struct run *run)
{
    struct rr *r = run->ctx;
    run_stop_with_will(run, EXIT_TIMEOUT);
    if (!r->opts.quiet) {
        fputs("Timed out\n", stderr);
    }
}

static bool check(struct rr *r)
{
    struct opts *o = &r->opts;
    if (!payload_check(o)) {
        return false;
    }
    if (o->response_topic == NULL || !smq_topic_name_ok(smq_span_str(o->response_topic), 0)) {
        say("%s: say with -e where the response comes, without + and #.",
            o->response_topic == NULL ? "there is no response topic" : "the response topic cannot be published to");
        return false;
    }
    if (!props_add_text(&o->props[PROPS_PUBLISH], PROPS_PUBLISH, SMQ_PROP_RESPONSE_TOPIC, o->response_topic)) {
        say("the response topic is given by -e: leave -D publish response-topic out.");
        return false;
    }
    return fmt_check(o->format != NULL ? o->format : "%p") && payload_read(o, &r->payload);
}

static int run_rr(struct rr *r)
{
    static const struct run_hooks hooks = {.event = on_event, .deadline = on_deadline};
    struct run run_of = {.hooks = &hooks, .ctx = r, .at = SMQTT_NEVER};
    r->opts.count = 1;
    if (!check(r) || !settings_client(&run_of, &r->opts, false, SMQTT_V5)) {
        return EXIT_FAILED;
    }
    if (r->opts.timeout != 0) {
        run_of.at = smq_clock_now().mono + (smqtt_ms)r->opts.timeout * 1000;
    }
    return run(&run_of);
}

int command_rr(int argc, char **argv)
{
    static struct rr r;
    if (!opts_read(&r.opts, OPTS_R, argc, argv, 2)) {
        return EXIT_FAILED;
    }
    if (r.opts.show_version) {
        return say_version();
    }
    if (r.opts.help) {
        usage();
        return say_help_code();
    }
    say_quiet(r.opts.quiet);
    int code = run_rr(&r);
    payload_free(&r.payload);
    return code;
}
