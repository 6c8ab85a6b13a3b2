/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_CRC32C_H
#define SMQTT_BASE_CRC32C_H
/* CRC-32C (RFC 3720 appendix B.4): finds torn and rotten records, not malice. */
#include "base/span.h"

/** The sum of `s` behind what `crc` is the sum of; 0 to begin. */
uint32_t smq_crc32c(uint32_t crc, smq_span s);

#endif
