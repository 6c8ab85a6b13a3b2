/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_TEMP_DIR_H
#define SMQTT_TESTS_TEMP_DIR_H
/* A directory of its own for each test, removed with all files in it. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../test.h"

struct temp_dir {
    char path[64];
    char text[512]; /* of temp_dir_file */
};

static inline void temp_dir_make(struct temp_dir *t)
{
    snprintf(t->path, sizeof t->path, "/tmp/smqtt-test.XXXXXX");
    assert_non_null(mkdtemp(t->path));
}
/** PATH/name; valid until the next call. */
static inline const char *temp_dir_file(struct temp_dir *t, const char *name)
{
    snprintf(t->text, sizeof t->text, "%s/%s", t->path, name);
    return t->text;
}
static inline void temp_dir_remove(struct temp_dir *t)
{
    DIR *dir = opendir(t->path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            unlinkat(dirfd(dir), e->d_name, 0);
        }
    }
    closedir(dir);
    assert_int_equal(rmdir(t->path), 0);
}

#endif
