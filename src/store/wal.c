/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal.h"

#include "base/crc32c.h"

/* Blocks, and in each records: a sum of type and bytes (u32, masked), their length (u16), both little-endian, the type.
 * What is left of a block and too short for that is filled up. */
enum { BLOCK = 32768, HEAD = 7, SUM_LEN = 4 };
enum { FULL = 1, FIRST, MIDDLE, LAST };

struct record {
    size_t len; /* with its head; 0: there is no telling */
    uint8_t type;
    bool good;
};

static uint32_t masked(uint32_t sum)
{
    return ((sum >> 15) | (sum << 17)) + 0xA282EAD8u;
}

static struct record read_record(const uint8_t *at, size_t left)
{
    struct record r = {0, at[SUM_LEN + 2], false};
    size_t len = HEAD + (size_t)(at[SUM_LEN] | at[SUM_LEN + 1] << 8);
    if (r.type < FULL || r.type > LAST || len > left) {
        return r;
    }
    uint32_t sum = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    r.len = len;
    r.good = masked(smq_crc32c(0, smq_span_of(at + SUM_LEN + 2, len - HEAD + 1))) == sum;
    return r;
}

enum smq_wal_state smq_wal_look(smq_span log)
{
    bool wrong = false;
    for (size_t at = 0; at < log.len;) {
        size_t block = BLOCK - at % BLOCK;
        size_t left = block < log.len - at ? block : log.len - at;
        if (left < HEAD) {
            at += left;
            continue;
        }
        struct record r = read_record(log.data + at, left);
        if (!r.good && block > left && r.len == 0) {
            return wrong || log.data[at + SUM_LEN + 2] == 0 ? SMQ_WAL_TORN
                                                            : SMQ_WAL_WHOLE; /* it ends within a record */
        }
        if (wrong && r.good && r.type <= FIRST) {
            return SMQ_WAL_DAMAGED;
        }
        wrong = wrong || !r.good;
        at += r.len != 0 ? r.len : block;
    }
    return wrong ? SMQ_WAL_TORN : SMQ_WAL_WHOLE;
}
