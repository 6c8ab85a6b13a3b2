/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_POSIX_H
#define SMQTT_POSIX_H
/**
 * @file posix.h
 * What every program on a POSIX system writes for the library: the clocks, and reading an identity's file. Inline, so
 * that the library itself stays free of the system; not a part of <smqtt/smqtt.h>. It needs what POSIX.1-2001 adds to
 * C: compile with -std=gnu11, or define _POSIX_C_SOURCE as 200112L before the first header.
 */
#include <smqtt/smqtt.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef CLOCK_MONOTONIC
/** Reads both clocks of the system. */
static inline struct smqtt_now smqtt_posix_now(void)
{
    struct timespec wall;
    struct timespec mono;
    struct smqtt_now now;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    now.wall = (smqtt_ms)wall.tv_sec * 1000 + (smqtt_ms)wall.tv_nsec / 1000000;
    now.mono = (smqtt_ms)mono.tv_sec * 1000 + (smqtt_ms)mono.tv_nsec / 1000000;
    return now;
}

/**
 * Reads a file with a private identity or a public line. What was read is wiped.
 * @param mem       NULL: malloc
 * @param path      of the file
 * @param[out] out  free with smqtt_identity_free
 * @retval SMQTT_E_IO it cannot be read; SMQTT_E_USAGE it holds private keys and others than its owner may read it
 * (chmod 600 mends it); else as smqtt_identity_read
 */
SMQTT_MUST_USE static inline smqtt_err smqtt_posix_read_identity(const struct smqtt_mem *mem, const char *path,
                                                                 struct smqtt_identity **out)
{
    uint8_t text[SMQTT_IDENTITY_TEXT_MAX];
    volatile uint8_t *wipe = text;
    struct smqtt_span span = {text, 0};
    struct smqtt_identity *id = NULL;
    struct stat about;
    FILE *f = fopen(path, "r");
    smqtt_err err = SMQTT_E_IO;
    size_t i;
    if (f == NULL) {
        return SMQTT_E_IO;
    }
    setvbuf(f, NULL, _IONBF, 0); /* no copy of secrets in a buffer of the C library */
    span.len = fread(text, 1, sizeof(text), f);
    if (!ferror(f) && fstat(fileno(f), &about) == 0) {
        err = smqtt_identity_read(mem, span, &id);
    }
    if (err == SMQTT_OK && smqtt_identity_has_private(id) && (about.st_mode & 077) != 0) {
        smqtt_identity_free(id);
        err = SMQTT_E_USAGE;
    }
    if (err == SMQTT_OK) {
        *out = id;
    }
    for (i = 0; i < sizeof(text); i++) {
        wipe[i] = 0;
    }
    fclose(f);
    return err;
}
#endif

#ifdef __cplusplus
}
#endif
#endif
