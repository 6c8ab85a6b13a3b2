/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_DETECT_CUT_STORE_H
#define SMQTT_TESTS_DETECT_CUT_STORE_H
/* An endpoint's disk in memory. */
#include <smqtt/secure.h>

#include "../test.h"

/** A store that forgets at a power cut what was not synced; it can be told to fail. */
struct cut_store {
    struct smqtt_store store; /* hand this out */
    struct cut_value {
        uint8_t key[64], *value;
        size_t key_len, value_len;
        bool gone;
    } now[256], synced[256];
    size_t n_now, n_synced;
    unsigned long puts, syncs;
    long fail_after; /* calls of put or sync that go well; negative: all */
};

void cut_store_init(struct cut_store *s);
/** Power fails: what was not synced is lost, and every value is as at the last sync. */
void cut_store_cut(struct cut_store *s);
void cut_store_deinit(struct cut_store *s);

#endif
