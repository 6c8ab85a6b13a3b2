/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_VECTORS_GEN_SMQTT_H
#define SMQTT_VECTORS_GEN_SMQTT_H
/* Parts of gen_smqtt_vectors. */
#include <stdio.h>

/** Writes refused.txt: what every implementation has to refuse. Ends the program when this one does not. */
void gen_refused_write(FILE *f);
/** Writes keys.txt: renewal, succession, revocation, locked files. */
void gen_keys_write(FILE *f);

#endif
