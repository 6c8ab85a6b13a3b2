/* SPDX-License-Identifier: Apache-2.0 */
/* Password and ACL files from strangers, then questions with names and topics of the same bytes. The first byte chooses
 * the kind of file. */
#include <stdlib.h>

#include "auth/acl.h"
#include "auth/passwords.h"

static const uint8_t key[16] = "0123456789abcde";

static void passwords(smq_span text)
{
    struct smq_lines lines = smq_lines_of("fuzz", text);
    struct smq_passwords *p = NULL;
    if (smq_passwords_read(NULL, key, &lines, &p) != SMQTT_OK) {
        if (lines.fault[0] == 0) {
            abort();
        }
        return;
    }
    struct smq_pwhash hash, again;
    char line[SMQ_PWHASH_TEXT_MAX];
    if (smq_passwords_find(p, text, &hash)) {
        size_t len = smq_pwhash_write(&hash, line);
        if (len == 0 || smq_pwhash_read(smq_span_of(line, len), &again) != SMQTT_OK) {
            abort();
        }
    }
    smq_passwords_free(p);
}

static void acl(smq_span text)
{
    struct smq_lines lines = smq_lines_of("fuzz", text);
    struct smq_acl *a = NULL;
    if (smq_acl_read(NULL, key, &lines, &a) != SMQTT_OK) {
        if (lines.fault[0] == 0) {
            abort();
        }
        return;
    }
    /* Parts of the text as names and topics. */
    for (size_t from = 0; from < text.len && from < 64; from++) {
        smq_span topic = smq_span_from(text, from);
        smq_span user = smq_span_of(text.data, from);
        topic.len = topic.len < 40 ? topic.len : 40;
        bool may_write = smq_acl_allows(a, smq_acl_role(a, user), user, topic, topic, SMQ_ACL_WRITE);
        bool may_read = smq_acl_allows(a, smq_acl_role(a, user), user, topic, topic, SMQ_ACL_READ);
        (void)may_write;
        (void)may_read;
    }
    smq_acl_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size != 0) {
        smq_span text = smq_span_of(data + 1, size - 1);
        (data[0] & 1) != 0 ? acl(text) : passwords(text);
    }
    return 0;
}
