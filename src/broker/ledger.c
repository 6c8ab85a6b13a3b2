/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/ledger.h"

#include <stddef.h>

static bool lease(struct smq_ledger *ledger, struct smq_account *a, uint64_t used, uint64_t max)
{
    uint64_t missing = used - a->leased;
    uint64_t wanted = missing > SMQ_LEASE ? missing : SMQ_LEASE;
    if (!smq_ledger_take(&ledger->bytes, wanted, max)) {
        wanted = missing; /* near the limit every byte is asked for */
        if (!smq_ledger_take(&ledger->bytes, wanted, max)) {
            return false;
        }
    }
    a->leased += wanted;
    return true;
}

bool smq_account_reserve(struct smq_ledger *ledger, struct smq_account *a, uint64_t n, uint64_t max)
{
    uint64_t used = smq_account_used(a) + n;
    if (used > a->leased && !lease(ledger, a, used, max)) {
        return false;
    }
    return max == 0 || used <= max; /* the limit may be lower now than when it was leased */
}

void smq_account_trim(struct smq_ledger *ledger, struct smq_account *a, uint64_t kept_besides)
{
    uint64_t used = smq_account_used(a) + kept_besides;
    if (a->leased > used + 2 * (uint64_t)SMQ_LEASE || (used == 0 && a->leased != 0)) {
        uint64_t kept = used != 0 ? used + SMQ_LEASE : 0;
        smq_ledger_give(&ledger->bytes, a->leased - kept);
        a->leased = kept;
    }
}
