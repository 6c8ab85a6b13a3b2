/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_KEYRING_KIT_H
#define SMQTT_TESTS_KEYRING_KIT_H
/* A directory, files in it, identities. */
#include "../net/temp_dir.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <smqtt/identity.h>
#include <smqtt/system.h>

#include "base/span.h"
#include "net/file.h"

enum { KIT_NOW = 1000000 };

static struct temp_dir kit_dir;

static inline int kit_begin(void **state)
{
    (void)state;
    temp_dir_make(&kit_dir);
    return 0;
}

static inline int kit_end(void **state)
{
    (void)state;
    temp_dir_remove(&kit_dir);
    return 0;
}

static inline void kit_write(const char *name, smq_span text, mode_t mode)
{
    int fd = open(temp_dir_file(&kit_dir, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.data, text.len), (ssize_t)text.len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static inline struct smqtt_identity *kit_identity(const char *name)
{
    struct smqtt_rng rng = smqtt_system_rng();
    struct smqtt_identity *id = NULL;
    assert_int_equal(smqtt_identity_new(NULL, &rng, "x25519", name, 0, KIT_NOW, 0, &id), SMQTT_OK);
    return id;
}

static inline struct smqtt_identity *kit_renewed(const struct smqtt_identity *id)
{
    struct smqtt_identity *next = NULL;
    assert_int_equal(smqtt_identity_renew(NULL, id, 0, KIT_NOW, 0, &next), SMQTT_OK);
    return next;
}

static inline struct smqtt_identity *kit_successor(const struct smqtt_identity *id, smqtt_ms until)
{
    struct smqtt_rng rng = smqtt_system_rng();
    struct smqtt_identity *next = NULL;
    assert_int_equal(smqtt_identity_succeed(NULL, &rng, id, NULL, until, KIT_NOW, 0, &next), SMQTT_OK);
    return next;
}

#endif
