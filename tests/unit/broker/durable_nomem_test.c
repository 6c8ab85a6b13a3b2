/* SPDX-License-Identifier: Apache-2.0 */
/* Each allocation fails once, with a store: what is on the disk is what the sessions hold, or nothing is acknowledged
 * any more. */
#include "rows_check.h"
#include "stored.h"

enum { MANY = 80 };

static size_t n_safe; /* messages of which the publisher heard that they are */

/* Reads what came, and answers it. */
static void answer(struct client *c)
{
    const struct smq_packet *pkt;
    while (c->bed != NULL && (pkt = client_next(c)) != NULL) {
        if (pkt->type == SMQ_PUBLISH && pkt->publish.qos != 0) {
            client_send_ack(c, pkt->publish.qos == 1 ? SMQ_PUBACK : SMQ_PUBREC, pkt->publish.id, 0);
        } else if (pkt->type == SMQ_PUBREL) {
            client_send_ack(c, SMQ_PUBCOMP, pkt->ack.id, 0);
        }
    }
}

static void answer_pub(struct client *pub)
{
    const struct smq_packet *pkt;
    while ((pkt = client_next(pub)) != NULL) {
        n_safe += (pkt->type == SMQ_PUBACK || pkt->type == SMQ_PUBREC) && pkt->ack.reason < 0x80;
        if (pkt->type == SMQ_PUBREC && pkt->ack.reason < 0x80) {
            client_send_ack(pub, SMQ_PUBREL, pkt->ack.id, 0);
        }
    }
}

static struct client *connect(const char *id)
{
    struct client *c = client_open(&bed, SMQTT_V5);
    if (c != NULL) {
        struct smq_packet pkt = packet_connect(SMQTT_V5, id, false);
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
        client_send(c, &pkt);
    }
    return c;
}

static void play(struct client *pub, struct client *sub)
{
    n_safe = 0;
    for (uint16_t i = 0; i < MANY; i++) {
        struct smq_packet pkt = {.type = SMQ_PUBLISH};
        pkt.publish.qos = (uint8_t)(1 + i % 2);
        pkt.publish.id = (uint16_t)(i + 1);
        pkt.publish.topic = smq_span_str("t/a");
        pkt.publish.payload = smq_span_str(stored_text(i));
        smq_props_clear(&pkt.publish.props);
        if (i % 8 == 0) {
            smq_props_set_num(&pkt.publish.props, SMQ_PROP_MESSAGE_EXPIRY, 30);
        }
        client_send(pub, &pkt);
        answer_pub(pub);
        if (i < MANY / 2) {
            answer(sub);
        } else if (i == MANY / 2 && sub->conn != NULL) {
            client_break(sub);
        }
    }
    size_t n_rows = disk_count(&disk, SMQ_TABLE_SESSION, disk_sid(&disk, "away"), SMQ_ROW_QUEUE);
    assert_true(bed.w->store_lost || n_rows >= n_safe);
    bed_pass(&bed, 5000);
    for (int i = 0; i < 2; i++) {
        struct client *back = connect(i == 0 ? "away" : "sub");
        if (back != NULL) {
            answer(back);
            bed_pass(&bed, 65000);
            answer(back);
        }
    }
}

static bool play_with(size_t nth)
{
    stored_setup(NULL);
    bed_start(&bed);
    client_disconnect(stored_subscriber("away", 2));
    struct client *sub = stored_subscriber("sub", 2), *pub = stored_publisher();
    failing_mem_arm(&bed.mem, nth);
    play(pub, sub);
    bool failed = failing_mem_has_failed(&bed.mem);
    failing_mem_arm(&bed.mem, 0);
    bed_turn(&bed);
    const char *what = bed.w->store_lost ? NULL : rows_check(&disk, bed.workers, bed.count, bed.now);
    if (what != NULL) {
        fail_msg("allocation %zu: %s", nth, what);
    }
    bed_stop(&bed);
    stored_teardown(NULL);
    return failed;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    size_t nth = 1;
    while (play_with(nth)) {
        nth++;
    }
    print_message("%zu allocations\n", nth - 1);
    assert_true(nth > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_fails_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
