/* SPDX-License-Identifier: Apache-2.0 */
#include "stored.h"
#include "rows_check.h"

struct bed bed;
struct disk disk;

int stored_setup(void **state)
{
    (void)state;
    bed_init(&bed);
    disk_init(&disk);
    bed.disk = &disk;
    return 0;
}

int stored_teardown(void **state)
{
    (void)state;
    disk_free(&disk);
    return 0;
}

/* Everything that was written is on the disk, and nothing else. */
void stored_check(void)
{
    const char *what = rows_check(&disk, bed.workers, bed.count, bed.now);
    if (what != NULL) {
        fail_msg("%s", what);
    }
}

void stored_commit(void)
{
    bed_commit(&bed, SIZE_MAX);
    while (disk.n_waiting != 0) {
        bed_commit(&bed, SIZE_MAX);
    }
    stored_check();
}

size_t stored_rows(enum smq_session_row kind)
{
    return disk_count(&disk, SMQ_TABLE_SESSION, 0, kind);
}

struct smq_session *stored_session(const char *id)
{
    return smq_session_find(bed.w, smq_span_str(id));
}

struct client *stored_subscriber(const char *id, uint8_t qos)
{
    struct client *c = client_connect(&bed, SMQTT_V5, id, false);
    client_subscribe(c, "t/#", qos);
    return c;
}

struct client *stored_back(const char *id)
{
    return client_connect(&bed, SMQTT_V5, id, false);
}

struct client *stored_publisher(void)
{
    return client_connect(&bed, SMQTT_V5, "pub", true);
}

const char *stored_text(unsigned i)
{
    static char text[16];
    snprintf(text, sizeof text, "%u", i);
    return text;
}

void stored_publish(struct client *pub, unsigned from, unsigned to, uint8_t qos)
{
    for (unsigned i = from; i < to; i++) {
        client_publish(pub, "t/a", stored_text(i), qos, false);
    }
}

void stored_publish_expiring(struct client *pub, const char *payload, uint32_t expiry_s)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.qos = 1;
    pkt.publish.id = 5;
    pkt.publish.topic = smq_span_str("t/a");
    pkt.publish.payload = smq_span_str(payload);
    smq_props_clear(&pkt.publish.props);
    smq_props_set_num(&pkt.publish.props, SMQ_PROP_MESSAGE_EXPIRY, expiry_s);
    client_send(pub, &pkt);
    client_expect(pub, SMQ_PUBACK);
}

struct client *stored_connect_small(const char *id, uint32_t max_packet)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, id, false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_MAXIMUM_PACKET_SIZE, max_packet);
    return client_connect_pkt(&bed, &pkt);
}
