/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_JOURNAL_H
#define SMQTT_NET_JOURNAL_H
/* The journal of step 1 (protocol.md 4): two files, DIR/journal and DIR/journal.old, each at most max bytes. When the
 * first is full it becomes the second. 0600, one line of text per entry, `name=value` separated by blanks, texts with
 * everything outside printable ASCII, '%' and blanks as %XX:
 *
 *     t=<ms> cid=<hex> ts1=<ms> ts2=<ms> flag=<n> status=<n> verdict=<n> peer=<skid or -> name=<text> client=<text>
 * topic=<text> ct=<base64url>
 */
#include <smqtt/secure.h>

#include "net/why.h"

#define SMQ_JOURNAL_MAX (4u * 1024 * 1024) /* default of each file */

struct smq_journal;

/**
 * Opens or makes the journal for writing. One process writes at a time: open the state of the same directory first.
 * @param max  bytes of each of the two files; 0: SMQ_JOURNAL_MAX; at least 64 KiB
 * @retval SMQTT_E_USAGE  others may read directory or file
 * @retval SMQTT_E_IO, SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_journal_open(const char *dir, size_t max, struct smq_journal **out, struct smq_why *why);
/** NULL is allowed. */
void smq_journal_close(struct smq_journal *journal);
/** Adds a line. Client id and topic are cut at 1,024 bytes, the ciphertext at 16 KiB. `wall`: milliseconds now.
 * SMQTT_E_IO, SMQTT_E_NOMEM: the line may be missing; the next one is tried again. */
SMQ_MUST_USE smqtt_err smq_journal_append(struct smq_journal *journal, smqtt_ms wall,
                                          const struct smqtt_journal_entry *entry);

/** One line as it was read. */
struct smq_journal_line {
    smqtt_ms at; /* wall clock */
    uint8_t cid[8];
    smqtt_ms ts1, ts2;
    uint8_t flag, status, verdict;
    bool has_peer;
    uint8_t skid[SMQTT_SKID_LEN];
    struct smqtt_span name, client_id, topic, ciphertext; /* views until fn returns; may hold anything */
};
/**
 * Reads both files, oldest line first, and calls fn for each.
 * @param[out] bad  number of lines that are none (a torn one after a power cut); may be NULL
 * @retval SMQTT_E_IO     there is no journal or it cannot be read
 * @retval SMQTT_E_USAGE  others may read it
 * @retval SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_journal_read(const char *dir, void (*fn)(void *arg, const struct smq_journal_line *line),
                                        void *arg, unsigned *bad, struct smq_why *why);

#endif
