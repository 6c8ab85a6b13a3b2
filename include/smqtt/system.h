/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_SYSTEM_H
#define SMQTT_SYSTEM_H
/** @file system.h What a program on an ordinary system hands to the library: the crypto library's randomness, and the
 * version. */
#include <smqtt/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of these headers. */
#define SMQTT_VERSION "0.1.0"

/** The generator of the cryptographic library; safe to use from several threads. */
SMQTT_API struct smqtt_rng smqtt_system_rng(void);
/** The version (SMQTT_VERSION) of the library that is linked. */
SMQTT_API const char *smqtt_version_text(void);

#ifdef __cplusplus
}
#endif
#endif
