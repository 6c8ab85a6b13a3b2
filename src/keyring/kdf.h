/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_KEYRING_KDF_H
#define SMQTT_KEYRING_KDF_H
/* Argon2id for locked private files: libsmqtt carries none, so the programs bring libargon2's. */
#include <smqtt/identity.h>

/** The table to hand to smqtt_identity_unlock and smqtt_identity_locked_text, with their default costs. */
struct smqtt_kdf smq_kdf(void);

#endif
