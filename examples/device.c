/* SPDX-License-Identifier: Apache-2.0 */
/* A device without files, heap or clock: its memory is an array, its randomness the chip's, and its modem, which speaks
 * MQTT, hangs on a serial line and tells the time. Here the line is standard input and output:
 *
 *     device 'SERVER LINE' TOPIC TEXT
 *
 * A frame is: kind, QoS, retain, length of topic (2 bytes), length of payload (2 bytes), both big endian, topic,
 * payload. Kinds to the modem: S subscribe, U unsubscribe, P publish. From it: T the time (payload: wall and monotonic
 * clock in milliseconds, 8 bytes each), M a message. The first T means that the modem is connected.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <smqtt/smqtt.h>

/* ---------------------------------------------------------------- memory: first fit in an array */

enum { ARENA = 48 * 1024, ALIGN = 16 };

struct block {
    size_t size; /* of the room behind this head */
    size_t used;
};

static _Alignas(ALIGN) uint8_t arena[ARENA];
static size_t in_use, peak;

static struct block *block_after(struct block *b)
{
    return (struct block *)(void *)((uint8_t *)(b + 1) + b->size);
}

static void *arena_alloc(void *ctx, size_t size)
{
    (void)ctx;
    struct block *b = (struct block *)(void *)arena;
    struct block *end = (struct block *)(void *)(arena + ARENA);
    b->size = b->size != 0 ? b->size : ARENA - sizeof(*b); /* the first call */
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    for (; b != end; b = block_after(b)) {
        while (!b->used && block_after(b) != end && !block_after(b)->used) {
            b->size += sizeof(*b) + block_after(b)->size;
        }
        if (!b->used && b->size >= size) {
            if (b->size >= size + sizeof(*b) + ALIGN) {
                size_t rest = b->size - size - sizeof(*b);
                b->size = size;
                *block_after(b) = (struct block){rest, 0};
            }
            b->used = 1;
            in_use += b->size + sizeof(*b);
            peak = in_use > peak ? in_use : peak;
            return b + 1;
        }
    }
    return NULL;
}

static void arena_release(void *ctx, void *ptr)
{
    (void)ctx;
    if (ptr != NULL) {
        struct block *b = (struct block *)ptr - 1;
        b->used = 0;
        in_use -= b->size + sizeof(*b);
    }
}

static void *arena_resize(void *ctx, void *ptr, size_t size)
{
    void *fresh = arena_alloc(ctx, size);
    if (fresh != NULL && ptr != NULL) {
        size_t old = ((struct block *)ptr - 1)->size;
        memcpy(fresh, ptr, old < size ? old : size);
        arena_release(ctx, ptr);
    }
    return fresh;
}

/** The chip's generator. False when it has a fault: then nothing is sealed. */
static bool hardware_random(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    for (size_t at = 0; at < len; at += 256) {
        if (getentropy(out + at, len - at < 256 ? len - at : 256) != 0) {
            return false;
        }
    }
    return true;
}

/* ---------------------------------------------------------------- the line to the modem */

static uint8_t topic_in[256], payload_in[4096], record[1024];

static void frame_out(char kind, uint8_t qos, bool retain, const char *topic, struct smqtt_span payload)
{
    size_t n = strlen(topic);
    const uint8_t head[7] = {
        (uint8_t)kind, qos, retain, (uint8_t)(n >> 8), (uint8_t)n, (uint8_t)(payload.len >> 8), (uint8_t)payload.len};
    fwrite(head, 1, sizeof(head), stdout);
    fwrite(topic, 1, n, stdout);
    if (payload.len != 0) {
        fwrite(payload.data, 1, payload.len, stdout);
    }
    fflush(stdout);
}

/** The kind of the frame that came; 0 at the end of the line. */
static char frame_in(struct smqtt_span *topic, struct smqtt_span *payload)
{
    uint8_t head[7];
    if (fread(head, 1, sizeof(head), stdin) != sizeof(head)) {
        return 0;
    }
    *topic = (struct smqtt_span){topic_in, (size_t)head[3] << 8 | head[4]};
    *payload = (struct smqtt_span){payload_in, (size_t)head[5] << 8 | head[6]};
    bool fits = topic->len <= sizeof(topic_in) && payload->len <= sizeof(payload_in);
    return fits && fread(topic_in, 1, topic->len, stdin) == topic->len &&
                   fread(payload_in, 1, payload->len, stdin) == payload->len
               ? (char)head[0]
               : 0;
}

static smqtt_ms u64(const uint8_t *p)
{
    smqtt_ms v = 0;
    for (int i = 0; i < 8; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

/* ---------------------------------------------------------------- the application */

static struct smqtt_now now;

/** The exit code, or -1 while it is not known. */
static int pump(struct smqtt_sealer *s, const char *topic, const char *text)
{
    struct smqtt_secure_event ev;
    struct smqtt_request r;
    int code = -1;
    while (smqtt_sealer_next(s, &ev)) {
        size_t len = 0;
        if (smqtt_secure_event_request(&ev, &r)) {
            frame_out("?PSU"[r.type], r.qos, r.retain, r.topic, r.payload);
        } else if (ev.type == SMQTT_EV_OPEN) {
            const struct smqtt_seal_options options = {.text = true, .receipt = true};
            if (smqtt_seal(s, smqtt_str(topic), smqtt_str(text), &options, now, record, sizeof(record), &len, NULL,
                           NULL) != SMQTT_OK) {
                return 1;
            }
            frame_out('P', 1, false, topic, (struct smqtt_span){record, len});
        } else if (ev.type == SMQTT_EV_RECEIPT || ev.type == SMQTT_EV_CLOSED) {
            code = ev.type == SMQTT_EV_RECEIPT && ev.status == SMQTT_STATUS_OK && ev.flag == 1 ? 0 : 1;
        }
    }
    return code;
}

int main(int argc, char **argv)
{
    static const struct smqtt_mem mem = {arena_alloc, arena_resize, arena_release, NULL};
    struct smqtt_sealer_config c = {.struct_size = sizeof(c), .mem = &mem, .rng = {hardware_random, NULL}};
    struct smqtt_sealer *s = NULL;
    if (argc != 4 || smqtt_identity_read(&mem, smqtt_str(argv[1]), &c.server) != SMQTT_OK) {
        return 2;
    }
    c.client_id = smqtt_str("device");
    struct smqtt_span topic, payload;
    int code = -1;
    for (char kind = 0; code < 0 && (kind = frame_in(&topic, &payload)) != 0;) {
        bool taken = false;
        smqtt_err err = SMQTT_OK;
        if (kind == 'T' && payload.len == 16) {
            now = (struct smqtt_now){u64(payload_in), u64(payload_in + 8)};
        }
        if (s == NULL) {
            err = smqtt_sealer_new(&c, now, &s);
            if (err == SMQTT_OK) {
                smqtt_sealer_connected(s, true, now);
                err = smqtt_sealer_start(s, smqtt_str(argv[2]), smqtt_str(argv[3]), true, now);
            }
        } else if (kind == 'M') {
            err = smqtt_sealer_message(s, topic, payload, &taken, now);
        } else {
            smqtt_sealer_tick(s, now);
        }
        code = err == SMQTT_OK ? pump(s, argv[2], argv[3]) : 1;
    }
    fprintf(stderr, "memory of the sealer with its session: %zu bytes, at most %zu\n", in_use, peak);
    smqtt_sealer_free(s);
    smqtt_identity_free(c.server);
    return code != 0;
}
